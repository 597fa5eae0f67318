/** The easel: the welcome, the photo, the painting. */

import { $, $$, css, h, hear } from "./dom.js";
import { named, t } from "./i18n.js";
import { chooseStyle, place, sample, setting, style } from "./recipe.js";
import { job, state, unfinished, watch } from "./store.js";
import { progress } from "./progress.js";
import { shown } from "./viewer.js";
import { title } from "./wall.js";
import { paint } from "./work.js";

/** What a first visitor's samples are painted in: one style each, all of them different. */
const PAIRS = ["starry-night", "great-wave", "composition-vii", "udnie", "the-scream", "delaunay-portrait"];

let welcoming = false; // asked for although a picture is there

export function easel() {
  watch(["photo", "current", "jobs", "sending", "region", "language"], show);
  watch(["samples", "styles", "mix", "language"], hangSamples);
  watch(["limits", "language"], privacy);
  watch(["settings", "current", "jobs"], blend);
  hear($("#welcome-back"), "click", () => welcome(false));
  hear($("#film"), "loadedmetadata", (event) => ratio(event.target.videoWidth, event.target.videoHeight));
  for (const id of ["before", "after"]) hear($(`#${id}`), "load", measured);
}

export function welcome(on) {
  welcoming = on;
  show();
  if (on) $("#welcome .button").focus({ preventScroll: true });
}

const HERE = /^(localhost|127\.[\d.]+|\[::1\])$/.test(location.hostname) ? "computer" : "server";

export const promise = () =>
  t("privacy", { place: t(`place.${HERE}`), h: Math.round((state.limits.ttl_seconds ?? 86400) / 3600) });

function privacy() {
  for (const line of $$(".privacy")) line.textContent = promise();
}

function hangSamples() {
  const names = new Set(state.styles.map((one) => one.name));
  const wall = [...PAIRS.filter((name) => names.has(name)), ...state.styles.map((one) => one.name)];
  $("#samples-box").hidden = !state.samples.length;
  $("#samples").replaceChildren(...state.samples.map((one, at) => {
    const wanted = style(state.mix[0]?.source ?? wall[at % Math.max(1, wall.length)]);
    const name = named("sample", one.name, one.title);
    return h("button", { class: "sample", "aria-label": wanted ? t("welcome.sample", { photo: name, style: title(wanted) }) : name, onclick: () => begin(one, wanted) },
      h("img", { src: one.url, alt: "", class: "photo", loading: "lazy" }), wanted && h("img", { src: wanted.swatch, alt: "", class: "chip" }));
  }));
}

function begin(one, wanted) {
  place(sample(one), { regions: [], region: null });
  welcoming = false;
  if (wanted && !state.mix.length) chooseStyle(wanted.name, false);
  return paint();
}

let seen = { before: "", after: "", job: null };

function show() {
  const one = job();
  if (state.sending) welcoming = false;
  const empty = welcoming || (!state.photo && !one);
  $("#welcome").hidden = !empty;
  $("#welcome-back").hidden = !(welcoming && (state.photo || one));
  $("#frame").hidden = empty;
  $("#ledge").hidden = empty;
  $("#tools").hidden = empty || Boolean(state.region);
  $("#easel").dataset.state = empty ? "empty" : (one?.state ?? "photo");
  if (!empty) hang(one);
  else $("#film").pause();
  progress(empty ? null : one);
}

function hang(one) {
  const film = one?.kind === "film" && one.state === "done" && one.result;
  const before = state.photo?.url ?? "";
  const after = one?.preview ?? "";
  const video = $("#film");
  video.hidden = !film;
  if (film && video.dataset.job !== one.id) {
    video.dataset.job = one.id;
    video.poster = one.preview ?? "";
    video.src = one.result;
  } else if (!film) video.pause();
  $("#layers").hidden = Boolean(film);
  const size = one?.width ? one : state.photo;
  if (size?.width) ratio(size.width, size.height);
  layer("before", before, film);
  layer("after", sharp(one) ?? after, film);
  $("#before").alt = state.photo?.title || t("view.photo");
  $("#after").alt = one ? t("view.painting_of", { style: styleNames(one.recipe) }) : "";
  $("#frame").classList.toggle("working", unfinished(one) && !after);
  const both = Boolean(before && after && one.state !== "running" && !film);
  const fresh = seen.job === one?.id && seen.state !== one?.state && one?.state === "done";
  const key = `${one?.id} ${both} ${before}`;
  if (key !== seen.key || fresh) shown(both, fresh);
  seen = { ...seen, job: one?.id, state: one?.state, key };
}

/** All pixels, once one looks that closely. */
const sharp = (one) => (near && one?.result && one.state === "done" ? `${one.result}?format=webp` : null);

let near = false;

export function closer(scale) {
  if (scale > 1.3 === near) return;
  near = scale > 1.3;
  show();
}

/** A picture takes the place of the last one only when it is there, so nothing flickers. */
function layer(id, url, hide) {
  const image = $(`#${id}`);
  image.hidden = !url || hide;
  if (seen[id] === url) return;
  seen[id] = url;
  if (!url) return image.removeAttribute("src");
  const next = new Image();
  next.onload = () => seen[id] === url && (image.src = url);
  next.onerror = () => seen[id] === url && (image.hidden = true);
  next.src = url;
}

function ratio(width, height) {
  if (width && height) css($("#easel"), { "--ratio": width / height });
}

/** A picture that came without its size, as while it is still being sent. */
function measured(event) {
  const image = event.target;
  if (!job()?.width && !state.photo?.width) ratio(image.naturalWidth, image.naturalHeight);
}

/** Less strength can be seen at once: the painting over the photo, until it is painted anew. */
function blend() {
  const one = job();
  const [full, wanted] = [one?.recipe.strength ?? 1, setting("strength")];
  const share = one?.state === "done" && wanted !== null && full > 0 ? Math.min(1, wanted / full) : 1;
  css($("#after"), { opacity: share });
  $("#frame").classList.toggle("blended", share < 1);
}

/** The styles of a Recipe by name: "The Scream + Udnie". */
export function styleNames(recipe) {
  const names = [...(recipe.styles ?? []).map((one) => one.source), ...(recipe.masks ?? []).map((one) => one.style)];
  return [...new Set(names)].map((name) => (style(name) ? title(style(name)) : t("mix.own"))).join(" + ");
}
