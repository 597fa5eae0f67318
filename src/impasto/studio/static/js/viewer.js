/** Looking at a picture: before and after by slider, lens or key; zoom, pan, full screen. */

import { $, $$, css, hear, still } from "./dom.js";
import { t } from "./i18n.js";
import { recall, remember } from "./store.js";

const NEAR = 28; // pixels at which the divider is taken rather than the picture moved
const MOST = 8;

const view = { mode: "slider", split: 0, scale: 1, x: 0, y: 0, lens: [0.5, 0.5], holding: false, both: false };
const pointers = new Map();
let frame, layers, before, after, lens, divider;
let drag = null;
let busy = () => false; // true while the brush has the picture
let changed = () => {};

export function viewer({ brushing, onchange }) {
  [frame, layers, before, after, lens, divider] = ["#frame", "#layers", "#before", "#after", "#lens", "#divider"].map((id) => $(id));
  [busy, changed] = [brushing, onchange];
  view.mode = recall("look", "slider");
  hear(frame, "pointerdown", down);
  hear(frame, "pointermove", move);
  for (const end of ["pointerup", "pointercancel"]) hear(frame, end, up);
  hear(frame, "pointerleave", () => view.mode === "lens" && (lens.hidden = true));
  hear(frame, "wheel", wheel, { passive: false });
  hear(frame, "dblclick", (event) => !busy() && zoom(view.scale > 1 ? 1 : 2.5, event.clientX, event.clientY));
  hear(frame, "keydown", keys);
  hear(frame, "blur", () => hold(false));
  new ResizeObserver(draw).observe(frame);
}

export const looking = () => ({ ...view });

/** Another picture is there: both layers, or only one; a new painting is wiped in over the photo. */
export function shown(both, wipe) {
  view.both = both;
  Object.assign(view, { scale: 1, x: 0, y: 0, holding: false });
  cancelAnimationFrame(wiping);
  if (both && wipe && !still()) sweep(performance.now());
  else view.split = 0;
  draw();
}

let wiping = 0;

function sweep(start) {
  const step = (now) => {
    const share = Math.min(1, (now - start) / 900);
    view.split = (1 - share) ** 3;
    draw();
    if (share < 1) wiping = requestAnimationFrame(step);
  };
  view.split = 1;
  wiping = requestAnimationFrame(step);
}

export function look(mode) {
  view.mode = mode;
  remember("look", mode);
  if (mode === "slider" && view.split < 0.02) view.split = 0.5;
  draw();
}

export function hold(on) {
  if (view.holding === on) return;
  view.holding = on;
  draw();
}

/** Zoom about a point of the window, by default the middle of the picture. */
export function zoom(scale, clientX, clientY) {
  const box = frame.getBoundingClientRect();
  const at = clientX === undefined ? [box.width / 2, box.height / 2] : [clientX - box.left, clientY - box.top];
  const next = Math.max(1, Math.min(MOST, scale));
  const [x, y] = [(at[0] - view.x) / view.scale, (at[1] - view.y) / view.scale];
  view.scale = next;
  place(at[0] - x * next, at[1] - y * next);
}

function place(x, y) {
  const [width, height] = [frame.clientWidth, frame.clientHeight];
  view.x = Math.min(0, Math.max(width * (1 - view.scale), x));
  view.y = Math.min(0, Math.max(height * (1 - view.scale), y));
  draw();
}

export async function full() {
  const stage = $(".stage");
  if (document.fullscreenElement) await document.exitFullscreen();
  else await stage.requestFullscreen?.();
}

export function onPicture(event) {
  const box = layers.getBoundingClientRect();
  return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
}

export function draw() {
  const both = view.both && !busy();
  const slider = both && view.mode === "slider";
  css(layers, { transform: `translate(${view.x}px, ${view.y}px) scale(${view.scale})` });
  const cut = slider ? (view.split * frame.clientWidth - view.x) / view.scale / frame.clientWidth : 0;
  css(after, { "clip-path": cut > 0 ? `inset(0 0 0 ${Math.min(100, cut * 100)}%)` : "none", visibility: busy() || (view.holding && both) ? "hidden" : "visible" });
  divider.hidden = !slider || view.holding;
  css(divider, { left: `${view.split * 100}%` });
  for (const tag of $$(".tag", frame)) {
    const left = tag.classList.contains("left");
    tag.hidden = !both || (view.holding ? !left : !slider || view.split < 0.02 || (left ? view.split < 0.15 : view.split > 0.85));
  }
  frame.dataset.mode = both ? view.mode : "plain";
  frame.classList.toggle("zoomed", view.scale > 1);
  if (!(both && view.mode === "lens")) lens.hidden = true;
  else if (frame.matches(":focus-visible")) drawLens();
  describe(slider);
  changed();
}

/** The frame is a slider for those who do not see it, too. */
function describe(slider) {
  frame.setAttribute("role", slider ? "slider" : "group");
  frame.setAttribute("aria-label", slider ? t("view.slider_label") : t("view.frame"));
  for (const [name, value] of [["min", 0], ["max", 100], ["now", Math.round(view.split * 100)]]) {
    if (slider) frame.setAttribute(`aria-value${name}`, value);
    else frame.removeAttribute(`aria-value${name}`);
  }
}

function drawLens() {
  const [width, height] = [frame.clientWidth, frame.clientHeight];
  const magnified = 2 * view.scale;
  const size = lens.offsetWidth || 180;
  const [x, y] = [view.lens[0] * width * view.scale + view.x, view.lens[1] * height * view.scale + view.y];
  lens.hidden = false;
  const image = $("img", lens);
  if (image.src !== before.src) image.src = before.src;
  css(lens, { left: `${x}px`, top: `${y}px` });
  css(image, {
    width: `${width * magnified}px`,
    height: `${height * magnified}px`,
    left: `${size / 2 - view.lens[0] * width * magnified}px`,
    top: `${size / 2 - view.lens[1] * height * magnified}px`,
  });
}

function down(event) {
  if (busy() || event.button > 0) return;
  pointers.set(event.pointerId, event);
  const box = frame.getBoundingClientRect();
  const x = event.clientX - box.left;
  if (pointers.size === 2) drag = pinch();
  else if (view.both && view.mode === "slider" && (view.scale === 1 || Math.abs(x - view.split * box.width) < NEAR)) {
    cancelAnimationFrame(wiping);
    drag = { kind: "split" };
  } else if (view.mode === "lens" && event.pointerType !== "mouse") drag = { kind: "lens" };
  else drag = { kind: "pan", x: event.clientX - view.x, y: event.clientY - view.y };
  if (view.both && view.mode === "plain" && view.scale === 1) hold(true);
  frame.setPointerCapture(event.pointerId);
  move(event);
}

function pinch() {
  hold(false);
  const [a, b] = [...pointers.values()];
  return { kind: "pinch", far: distance(a, b), scale: view.scale };
}

const distance = (a, b) => Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY) || 1;

function move(event) {
  if (busy()) return;
  if (pointers.has(event.pointerId)) pointers.set(event.pointerId, event);
  if (view.mode === "lens" && view.both && (event.pointerType === "mouse" || drag?.kind === "lens")) {
    view.lens = onPicture(event).map((share) => Math.max(0, Math.min(1, share)));
    drawLens();
  }
  if (!drag) return;
  if (drag.kind === "pinch" && pointers.size === 2) {
    const [a, b] = [...pointers.values()];
    zoom((drag.scale * distance(a, b)) / drag.far, (a.clientX + b.clientX) / 2, (a.clientY + b.clientY) / 2);
  } else if (drag.kind === "split") {
    const box = frame.getBoundingClientRect();
    view.split = Math.max(0, Math.min(1, (event.clientX - box.left) / box.width));
    draw();
  } else if (drag.kind === "pan" && view.scale > 1) place(event.clientX - drag.x, event.clientY - drag.y);
}

function up(event) {
  pointers.delete(event.pointerId);
  drag = null;
  if (view.mode === "plain") hold(false);
}

function wheel(event) {
  const page = document.scrollingElement;
  if (busy() || (!event.ctrlKey && page.scrollHeight > page.clientHeight + 1)) return;
  event.preventDefault();
  zoom(view.scale * Math.exp(-event.deltaY * 0.002), event.clientX, event.clientY);
}

function keys(event) {
  if (busy() || event.altKey || event.ctrlKey || event.metaKey) return;
  const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
  if (!way) return;
  event.preventDefault();
  if (view.both && view.mode === "lens") {
    view.lens = view.lens.map((share, axis) => Math.max(0, Math.min(1, share + way[axis] * 0.03)));
    drawLens();
  } else if (view.both && view.mode === "slider" && !event.shiftKey) {
    view.split = Math.max(0, Math.min(1, view.split + (way[0] || -way[1]) * 0.05));
    draw();
  } else place(view.x - way[0] * 60, view.y - way[1] * 60);
}
