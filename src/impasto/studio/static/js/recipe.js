/** Between the controls and a Recipe. */

import { get, gone } from "./api.js";
import { set, state } from "./store.js";

export const MOST_STYLES = 4;

export const DEFAULTS = {
  method: "auto",
  size: null,
  strength: null,
  style_scale: 1,
  stroke_size: null,
  feather: 1,
  init: "auto",
  color: "style",
  seed: 0,
  precision: "auto",
  iterations: null,
  quality: "normal",
  optimizer: "adam",
  finish: true,
  levels: 5,
  level_strengths: [],
  floor: 1e-5,
  shrinkage: 0,
};

export const setting = (name) => state.settings[name] ?? DEFAULTS[name];

let lent = null; // the photo that a restored size was for

/** Change some controls; null puts one back to what it is when nothing is asked for. */
export function choose(values) {
  if ("size" in values) lent = null;
  const settings = { ...state.settings, ...values };
  for (const name of Object.keys(settings)) {
    if (!(name in DEFAULTS) || settings[name] === null || same(settings[name], DEFAULTS[name])) delete settings[name];
  }
  set({ settings });
}

/** Put a photo on the easel; a size that came with the painting of another one goes. */
export function place(photo, values) {
  if (lent && lent !== photo.id) choose({ size: null });
  set({ photo, current: null, ...values });
}

const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

export const method = (name = setting("method")) => state.methods.find((one) => one.name === name);

/** Whether a method can paint a style; those for some only are named by the styles. */
export const paints = (name, wanted) =>
  method(name)?.any_style !== false || Boolean(style(wanted)?.methods?.includes(name));

/** Another method; controls that it does not have go back to rest, they would be refused. */
export function chooseMethod(name) {
  const keeps = new Set(method(name)?.options ?? []);
  const special = new Set(state.methods.filter((one) => one.name !== "auto").flatMap((one) => one.options));
  const lost = [...special].filter((option) => !keeps.has(option) && !(name === "auto" && option === "quality"));
  choose({ method: name, ...Object.fromEntries(lost.map((option) => [option, null])) });
}

/** What will be painted, without what is as always. */
export function recipe() {
  const masks = state.regions.filter((one) => one.upload && one.style).map((one) => ({ mask: one.upload, style: one.style }));
  return {
    ...(state.photo ? { photo: state.photo.id } : {}),
    ...(state.mix.length ? { styles: state.mix } : {}),
    ...(masks.length ? { masks } : {}),
    ...state.settings,
  };
}

/** Style of the gallery or of the visitor: {name, title, artist, year, swatch}. */
export const style = (name) =>
  state.styles.find((one) => one.name === name) ?? state.own.find((one) => one.name === name);

/** Choose a style; or, `mixing`, add it to those that are there or take it away. */
export function chooseStyle(name, mixing) {
  if (state.region) {
    set({ regions: state.regions.map((one) => (one.key === state.region ? { ...one, style: name } : one)) });
    return true;
  }
  if (!mixing) {
    set({ mix: [{ source: name, weight: 1 }] });
    return true;
  }
  const others = state.mix.filter((one) => one.source !== name);
  if (others.length === state.mix.length) {
    if (others.length >= MOST_STYLES) return false;
    others.push({ source: name, weight: 1 });
  }
  set({ mix: others });
  return true;
}

/**
 * Put every control where a Recipe has it. Resolves to what could not be had again:
 * {photo: true} when its photo is not on this server any more, {styles: [names]} likewise.
 */
export async function restore(wanted) {
  const shares = wanted.styles ?? [];
  const masks = wanted.masks ?? [];
  const sources = [...new Set([...shares.map((one) => one.source), ...masks.map((one) => one.style)])];
  const missing = [];
  for (const name of sources) if (!style(name) && !(await adopt(name))) missing.push(name);
  const known = (name) => !missing.includes(name);
  const regions = [];
  for (const [at, one] of masks.entries()) {
    if (known(one.style) && (one.mask === "alpha" || !(await gone(one.mask)))) {
      regions.push({ key: `r${at}-${one.mask}`, upload: one.mask, style: one.style, dirty: false });
    }
  }
  const found = await photo(wanted.photo ?? "");
  set({ mix: shares.filter((one) => known(one.source)), regions, region: null, settings: {} });
  choose(Object.fromEntries(Object.entries(wanted).filter(([name]) => name in DEFAULTS && name !== "precision")));
  lent = wanted.size ? wanted.photo : null;
  if (found) set({ photo: found });
  return { photo: !found, styles: missing };
}

const own = (name) => /^u[0-9a-f]{32}$/.test(name);

const preview = (id) => `/v1/uploads/${id}/preview`;

/** A style of the visitor that this page does not know yet, as after a restore elsewhere. */
async function adopt(name) {
  if (!own(name) || (await gone(name))) return false;
  keep({ name, title: "", swatch: preview(name) });
  return true;
}

export function keep(one) {
  set({ own: [one, ...state.own.filter((old) => old.name !== one.name)].slice(0, 24) });
}

/** The photo that a Recipe names, as long as it is there; else null. */
export async function photo(id) {
  if (id === state.photo?.id) return state.photo;
  if (id.startsWith("sample:")) {
    const found = state.samples.find((one) => `sample:${one.name}` === id);
    return found ? sample(found) : null;
  }
  if (!own(id)) return null;
  const about = await get(`/v1/uploads/${id}`).catch(() => null);
  return about && uploaded(about);
}

export const sample = (one) => ({
  id: `sample:${one.name}`,
  kind: "picture",
  url: one.url,
  width: one.width,
  height: one.height,
  title: one.title,
  alpha: false,
});

export const uploaded = (about, title = "") => ({
  id: about.id,
  kind: about.kind,
  url: about.preview ?? preview(about.id),
  width: about.width,
  height: about.height,
  alpha: Boolean(about.alpha),
  seconds: about.seconds ?? null,
  expires: about.expires,
  title,
});
