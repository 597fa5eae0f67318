/** The wall: styles of the gallery and of the visitor; searched, chosen, mixed. */

import { $, $$, h, hear, icon, roving } from "./dom.js";
import { named, t } from "./i18n.js";
import { MOST_STYLES, chooseMethod, chooseStyle, paints, setting } from "./recipe.js";
import { region } from "./regions.js";
import { state, watch } from "./store.js";
import { toast } from "./toasts.js";
import { paint } from "./work.js";

export const title = (one) => named("style", one.name, one.title) || t("mix.own");
export const artist = (one) => (one.artist ? named("artist", one.artist, one.artist) : t("mix.own_artist"));

export function wall() {
  watch(["styles", "own", "language"], hang);
  watch(["mix", "regions", "region", "settings", "styles", "own", "language"], mark);
  hear($("#search"), "input", search);
  hear($("#mixing"), "click", () => mixing(!mixes()));
  roving($("#swatches"), ".swatch");
}

const mixes = () => $("#mixing").getAttribute("aria-pressed") === "true";
const mixing = (on) => $("#mixing").setAttribute("aria-pressed", on);

function hang() {
  const own = h("button", { class: "swatch add", onclick: () => $("#style-file").click() },
    h("span", { class: "pic" }, icon("plus")), h("span", { class: "name" }, t("wall.own")), h("span", { class: "by" }, t("wall.own_line")));
  $("#swatches").replaceChildren(own, ...state.own.map(swatch), ...state.styles.map(swatch));
  for (const button of $$("#swatches .swatch")) button.tabIndex = -1;
  search();
}

function swatch(one) {
  return h("button", { class: "swatch", data: { style: one.name }, "aria-pressed": "false",
    title: `${[title(one), artist(one), one.year].filter(Boolean).join(", ")}${one.artist ? `\n${t("wall.hint")}` : ""}`,
    onclick: (event) => pick(one.name, event.shiftKey || mixes()),
    ondblclick: () => !mixes() && !state.region && paint() },
    h("span", { class: "pic" }, h("img", { src: one.swatch, alt: "", loading: "lazy", width: 192, height: 192 }), h("span", { class: "share" })),
    h("span", { class: "name" }, title(one)), h("span", { class: "by" }, artist(one)));
}

function pick(name, mix) {
  if (!chooseStyle(name, mix)) return toast(t("wall.full", { n: MOST_STYLES }));
  const kind = setting("method");
  if (paints(kind, name) || !(state.region || state.mix.some((one) => one.source === name))) return null;
  chooseMethod("auto");
  return toast(t("wall.automatic", { method: named("method", `${kind}.title`, kind) }));
}

/** Which are chosen, and which the chosen method cannot paint. */
function mark() {
  const total = state.mix.reduce((sum, one) => sum + one.weight, 0);
  const here = region();
  for (const button of $$("#swatches [data-style]")) {
    const name = button.dataset.style;
    const at = state.mix.find((one) => one.source === name);
    const on = here ? here.style === name : Boolean(at);
    button.setAttribute("aria-pressed", on);
    $(".share", button).textContent = at && !here && state.mix.length > 1 ? `${Math.round((at.weight / total) * 100)}` : "";
    if (on && button !== document.activeElement) reveal(button);
    button.classList.toggle("unknown", !paints(setting("method"), name));
  }
}

/** The wall is moved, never the page. */
function reveal(button) {
  const list = $("#swatches");
  const [x, y] = [button.offsetLeft - list.scrollLeft, button.offsetTop - list.scrollTop];
  if (x < 0 || x > list.clientWidth - 60) list.scrollLeft = button.offsetLeft - list.clientWidth / 3;
  if (y < 0 || y > list.clientHeight - 60) list.scrollTop = button.offsetTop - list.clientHeight / 3;
}

function search() {
  const wanted = $("#search").value.trim().toLocaleLowerCase().split(/\s+/);
  let found = 0;
  for (const button of $$("#swatches [data-style]")) {
    const one = state.styles.find((each) => each.name === button.dataset.style);
    const text = `${button.textContent} ${one?.title ?? ""} ${one?.artist ?? ""} ${one?.year ?? ""} ${one?.name ?? ""}`.toLocaleLowerCase();
    button.hidden = !wanted.every((word) => text.includes(word));
    found += button.hidden ? 0 : 1;
  }
  const all = $$("#swatches [data-style]:not([hidden])");
  if (all.length && !all.some((button) => button.tabIndex === 0)) all[0].tabIndex = 0;
  $("#wall-none").hidden = found > 0 || !state.styles.length;
}
