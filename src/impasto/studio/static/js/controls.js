/** The dials: each is a field of the Recipe, at rest until touched, with a way back. */

import { $, h, tool } from "./dom.js";
import { number, percent, t } from "./i18n.js";
import { DEFAULTS, choose, method, setting } from "./recipe.js";
import { set, state, watch } from "./store.js";
import { filmic } from "./work.js";

const SIZES = [512, 768, 1024, 1536, 2048, 3072, 4096];

const STABLE = 0.35; // what films are painted with when nothing is asked for

const times = (value) => `${number(value, 2)} ×`;

/** Everything that can be turned: where it is shown, for whom, and how. */
const DIALS = [
  { name: "strength", box: "look", kind: "range", min: 0, max: 100, step: 1, factor: 100, rest: () => method()?.strength ?? 1, says: percent },
  { name: "style_scale", box: "look", kind: "range", min: -1, max: 1, step: 0.05, log: true, rest: () => 1, says: times },
  { name: "color", box: "look", kind: "segments", values: ["style", "luma", "match"] },
  { name: "quality", box: "look", kind: "segments", values: ["draft", "normal", "best"], option: true },
  { name: "size", box: "look", kind: "size" },
  { name: "stable", box: "look", kind: "stable", only: filmic },
  { name: "stroke_size", box: "more", kind: "range", min: -2, max: 3, step: 0.1, log: true, rest: () => 1, says: times },
  { name: "feather", box: "more", kind: "range", min: 0, max: 20, step: 0.5, rest: () => 1, says: (value) => `${number(value, 1)} %`, only: () => state.regions.length > 0 },
  { name: "seed", box: "more", kind: "seed" },
  { name: "iterations", box: "more", kind: "number", min: 1, max: 2000, option: true },
  { name: "init", box: "more", kind: "select", values: ["auto", "content", "noise", "adain", "wct"], option: true },
  { name: "levels", box: "more", kind: "range", min: 1, max: 5, step: 1, rest: () => 5, says: number, option: true },
];

export function controls() {
  watch(["settings", "methods", "photo", "regions", "language", "limits", "stable"], show);
}

let shown = "";

function show() {
  const dials = DIALS.filter((dial) => (dial.only?.() ?? true) && (!dial.option || has(dial.name)));
  const key = JSON.stringify([dials.map((dial) => dial.name), state.language, state.limits.size, Boolean(state.photo)]);
  if (key !== shown) {
    shown = key;
    for (const box of ["look", "more"]) $(`#${box}`).replaceChildren(...dials.filter((dial) => dial.box === box).map(build));
  }
  for (const dial of dials) KINDS[dial.kind].show(dial, $(`#dial-${dial.name}`));
}

const has = (name) => (method()?.options ?? []).includes(name) || (name === "quality" && setting("method") === "auto");

function build(dial) {
  const label = t(`dial.${dial.name}`);
  const parts = KINDS[dial.kind].build(dial, label);
  const group = dial.kind === "segments";
  return h("div", { class: `dial ${dial.kind}`, id: `dial-${dial.name}`, role: group ? "radiogroup" : null, "aria-labelledby": group ? `name-${dial.name}` : null },
    h(group ? "span" : "label", { class: "dial-name", id: `name-${dial.name}`, for: group ? null : `in-${dial.name}`, title: t(`dial.${dial.name}.hint`) }, label),
    parts);
}

const reset = (dial, label) =>
  tool("back", t("dial.reset", { name: label }), () => (choose({ [dial.name]: null }), $(`#in-${dial.name}`).focus()), { class: "tool reset", hidden: true });

const touch = (name, value) => choose({ [name]: value });

const at = (dial, value) => (dial.log ? Math.log2(value) : value * (dial.factor ?? 1));
const from = (dial, place) => (dial.log ? Math.round(2 ** place * 1000) / 1000 : place / (dial.factor ?? 1));

const range = {
  build: (dial, label) => [
    h("output", { class: "dial-value", for: `in-${dial.name}` }), reset(dial, label),
    h("input", { type: "range", id: `in-${dial.name}`, min: dial.min, max: dial.max, step: dial.step, title: t(`dial.${dial.name}.hint`),
      oninput: (event) => touch(dial.name, from(dial, Number(event.target.value))) }),
  ],
  show: (dial, node) => {
    const value = setting(dial.name);
    const rest = value === null || value === DEFAULTS[dial.name];
    const input = $("input", node);
    const said = dial.says(value ?? dial.rest());
    if (document.activeElement !== input || rest) input.value = at(dial, value ?? dial.rest());
    $("output", node).textContent = value === null ? t(`dial.${dial.name}.rest`, { value: said }) : said;
    input.setAttribute("aria-valuetext", said);
    $(".reset", node).hidden = rest;
  },
};

const segments = {
  build: (dial) => h("div", { class: "choices" }, dial.values.map((value) =>
    h("label", null,
      h("input", { type: "radio", name: dial.name, value, onchange: () => touch(dial.name, value) }), h("span", null, t(`dial.${dial.name}.${value}`))))),
  show: (dial, node) => node.querySelectorAll("input").forEach((input) => (input.checked = input.value === setting(dial.name))),
};

const select = {
  build: (dial) => h("select", { id: `in-${dial.name}`, onchange: (event) => touch(dial.name, event.target.value) },
    dial.values.map((value) => h("option", { value }, t(`dial.${dial.name}.${value}`)))),
  show: (dial, node) => ($("select", node).value = setting(dial.name)),
};

const numeric = {
  build: (dial) => h("input", { type: "number", id: `in-${dial.name}`, min: dial.min, max: dial.max, inputmode: "numeric", placeholder: t(`dial.${dial.name}.rest`),
    onchange: (event) => touch(dial.name, whole(event.target, dial.min, dial.max)) }),
  show: (dial, node) => {
    const input = $("input", node);
    if (document.activeElement !== input) input.value = setting(dial.name) ?? "";
  },
};

/** A whole number within bounds, null for nothing; what is beyond is drawn back. */
function whole(input, min, max) {
  const value = Math.round(Number(input.value));
  if (input.value === "" || !Number.isFinite(value)) return null;
  input.value = Math.max(min, Math.min(max, value));
  return Number(input.value);
}

const seed = {
  build: (dial, label) => [
    h("input", { type: "number", id: "in-seed", min: 0, max: Number.MAX_SAFE_INTEGER, inputmode: "numeric", onchange: (event) => touch("seed", whole(event.target, 0, Number.MAX_SAFE_INTEGER) ?? 0) }),
    reset(dial, label),
    tool("dice", t("dial.seed.another"), () => touch("seed", Math.floor(Math.random() * 1e6))),
  ],
  show: (dial, node) => {
    const input = $("input", node);
    if (document.activeElement !== input) input.value = setting("seed");
    $(".reset", node).hidden = setting("seed") === 0;
  },
};

const size = {
  build: () => [
    h("select", { id: "in-size", onchange: (event) => sized(event.target.value) },
      h("option", { value: "" }, t("dial.size.own")),
      SIZES.filter((side) => side <= (state.limits.size ?? 4096)).map((side) => h("option", { value: side }, t("dial.size.px", { n: side }))),
      h("option", { value: "other" }, t("dial.size.other"))),
    h("input", { type: "number", id: "in-size-other", min: 16, max: state.limits.size ?? 4096, inputmode: "numeric", hidden: true, "aria-label": t("dial.size"),
      onchange: (event) => touch("size", whole(event.target, 16, state.limits.size ?? 4096)) }),
  ],
  show: (dial, node) => {
    const [list, other] = [$("select", node), $("input", node)];
    const value = setting("size");
    const usual = value === null || SIZES.includes(value);
    if (!other.hidden && document.activeElement === other) return;
    other.hidden = usual;
    list.value = value === null ? "" : usual ? value : "other";
    if (!usual) other.value = value;
  },
};

function sized(value) {
  const other = $("#in-size-other");
  other.hidden = value !== "other";
  if (value !== "other") return touch("size", value ? Number(value) : null);
  other.value = setting("size") ?? Math.max(state.photo?.width ?? 1024, state.photo?.height ?? 1024);
  return other.focus();
}

/** How steady a film is; not a field of the Recipe but of the order. */
const stable = {
  build: () => [
    h("output", { class: "dial-value" }),
    h("input", { type: "range", id: "in-stable", min: 0, max: 100, step: 5, oninput: (event) => set({ stable: Number(event.target.value) / 100 }) }),
  ],
  show: (dial, node) => {
    $("input", node).value = (state.stable ?? STABLE) * 100;
    $("output", node).textContent = percent(state.stable ?? STABLE);
  },
};

const KINDS = { range, segments, select, number: numeric, seed, size, stable };
