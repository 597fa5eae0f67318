/** The brush: regions are drawn on the photo by hand, or by arrow keys and the space bar. */

import { $, css, h, hear, icon, tool } from "./dom.js";
import { t } from "./i18n.js";
import { choose, setting, style } from "./recipe.js";
import { canvas, region, touched, veil } from "./regions.js";
import { set, state, watch } from "./store.js";
import { draw, onPicture } from "./viewer.js";

const brush = { size: 0.12, erase: false, at: [0.5, 0.5] }; // size: of the picture's long side

export const brushing = () => Boolean(state.region);

let frame, screen, ring;
let last = null;
let undo = [];

export function mask() {
  [frame, screen, ring] = [$("#frame"), $("#mask"), $("#ring")];
  hear(frame, "pointerdown", begin);
  hear(frame, "pointermove", go);
  for (const end of ["pointerup", "pointercancel"]) hear(frame, end, finish);
  hear(frame, "pointerleave", () => (ring.hidden = true));
  hear(frame, "keydown", keys);
  watch(["region", "regions", "settings", "language", "photo"], show);
}

function show() {
  const on = brushing();
  screen.hidden = !on;
  frame.classList.toggle("brushing", on);
  if (!on) ring.hidden = true;
  if (shownFor !== state.region) undo = [];
  bar(on);
  paintVeil();
  draw();
}

let shownFor = null;

function paintVeil() {
  if (!brushing()) return;
  const color = getComputedStyle(frame).getPropertyValue("--accent-solid") || "red";
  veil(screen, state.region, color, setting("feather"));
}

/** The tools are built once for a region, so that a slider is not replaced under the hand. */
function bar(on) {
  const box = $("#brushes");
  box.hidden = !on;
  const wanted = on ? `${state.region} ${region()?.style} ${state.language}` : "";
  if (box.dataset.shows === wanted) return;
  box.dataset.shows = wanted;
  if (on && shownFor !== state.region) frame.scrollIntoView({ block: "center" });
  shownFor = state.region;
  if (!on) return box.replaceChildren();
  box.setAttribute("aria-label", t("regions.add"));
  const chosen = style(region().style);
  box.replaceChildren(
    h("span", { class: "chosen" },
      chosen ? h("img", { src: chosen.swatch, alt: "" }) : h("span", { class: "blank" }),
      chosen ? chosen.title || t("mix.own") : t("mask.pick")),
    tool("brush", t("mask.brush"), () => mode(false), { "aria-pressed": !brush.erase, id: "mask-brush" }),
    tool("eraser", t("mask.erase"), () => mode(true), { "aria-pressed": brush.erase, id: "mask-erase" }),
    slider("mask-size", t("mask.size"), 2, 50, brush.size * 100, (value) => (brush.size = value / 100)),
    slider("mask-feather", t("mask.feather"), 0, 10, setting("feather"), (value) => (choose({ feather: value }), paintVeil())),
    tool("back", t("mask.undo"), back),
    tool("bin", t("mask.clear"), clear),
    h("button", { class: "button main small", id: "mask-done", onclick: done }, icon("check"), t("mask.done")),
  );
}

function slider(id, label, min, max, value, oninput) {
  return h("label", { class: "mini" }, h("span", null, label),
    h("input", { type: "range", id, min, max, step: 0.5, value, oninput: (event) => oninput(Number(event.target.value)) }));
}

function mode(erase) {
  brush.erase = erase;
  $("#mask-brush").setAttribute("aria-pressed", !erase);
  $("#mask-erase").setAttribute("aria-pressed", erase);
}

export function done() {
  set({ region: null });
  $("#frame").focus({ preventScroll: true });
}

function snapshot() {
  const from = canvas(state.region);
  undo.push(from.getContext("2d").getImageData(0, 0, from.width, from.height));
  if (undo.length > 12) undo.shift();
}

function back() {
  const before = undo.pop();
  if (!before) return;
  canvas(state.region).getContext("2d").putImageData(before, 0, 0);
  touched(state.region);
  paintVeil();
}

function clear() {
  snapshot();
  const from = canvas(state.region);
  from.getContext("2d").clearRect(0, 0, from.width, from.height);
  touched(state.region);
  paintVeil();
}

function begin(event) {
  if (!brushing() || event.button > 0) return;
  event.preventDefault();
  frame.setPointerCapture(event.pointerId);
  snapshot();
  last = onPicture(event);
  stroke(last, last);
}

function go(event) {
  if (!brushing()) return;
  const at = onPicture(event);
  placeRing(at, event.pointerType === "mouse" || last);
  if (!last) return;
  stroke(last, at);
  last = at;
}

function finish() {
  if (!last) return;
  last = null;
  touched(state.region);
}

function stroke(from, to) {
  const paper = canvas(state.region);
  const pen = paper.getContext("2d");
  const [width, height] = [paper.width, paper.height];
  pen.globalCompositeOperation = brush.erase ? "destination-out" : "source-over";
  pen.strokeStyle = "#fff";
  pen.lineWidth = brush.size * Math.max(width, height);
  pen.lineCap = pen.lineJoin = "round";
  pen.beginPath();
  pen.moveTo(from[0] * width, from[1] * height);
  pen.lineTo(to[0] * width + 0.01, to[1] * height);
  pen.stroke();
  paintVeil();
}

function placeRing(at, visible) {
  brush.at = at;
  const box = $("#layers").getBoundingClientRect();
  const own = frame.getBoundingClientRect();
  const size = brush.size * Math.max(box.width, box.height);
  ring.hidden = !visible;
  css(ring, { left: `${box.left - own.left + at[0] * box.width}px`, top: `${box.top - own.top + at[1] * box.height}px`, width: `${size}px`, height: `${size}px` });
}

function keys(event) {
  if (!brushing()) return;
  const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
  if (way) {
    const next = brush.at.map((share, axis) => Math.max(0, Math.min(1, share + way[axis] * 0.04)));
    placeRing(next, true);
  } else if (event.key === " ") {
    snapshot();
    placeRing(brush.at, true);
    stroke(brush.at, brush.at);
    touched(state.region);
  } else if (event.key === "z" && (event.ctrlKey || event.metaKey)) back();
  else return;
  event.preventDefault();
  event.stopPropagation();
}
