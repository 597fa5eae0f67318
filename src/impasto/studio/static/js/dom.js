/** Elements. Styles go through the CSSOM, which the page's CSP allows. */

export const $ = (selector, root = document) => root.querySelector(selector);
export const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];

const SVG = "http://www.w3.org/2000/svg";

/** `on...` are listeners, `css` is an object, `data` a dataset; null and false are left out. */
export function h(tag, props, ...children) {
  const node = document.createElement(tag);
  if (tag === "button") node.type = "button";
  for (const [name, value] of Object.entries(props ?? {})) give(node, name, value);
  node.append(...children.flat(2).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

function give(node, name, value) {
  if (value === null || value === undefined || (value === false && !name.startsWith("aria"))) return;
  if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
  else if (name === "css") css(node, value);
  else if (name === "data") Object.assign(node.dataset, value);
  else if (name === "value") node.value = value;
  else node.setAttribute(name, value === true && !name.startsWith("aria") ? "" : value);
}

export const hear = (node, ...listener) => node.addEventListener(...listener);

export function css(node, values) {
  for (const [name, value] of Object.entries(values)) node.style.setProperty(name, value);
}

/** One of the drawings in icons.svg; decoration only, the button says what it does. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `/static/icons.svg#${name}`);
  svg.append(use);
  return svg;
}

export function tool(name, label, onclick, props) {
  return h("button", { class: "tool", title: label, "aria-label": label, onclick, ...props }, icon(name));
}

export const button = (name, label, onclick, props) =>
  h("button", { class: "button plain small", onclick, ...props }, icon(name), label);

/** One tab stop for many: arrow keys, Home and End go from item to item. */
export function roving(list, selector) {
  const items = () => $$(selector, list).filter((item) => item.offsetParent !== null);
  list.addEventListener("keydown", (event) => {
    const all = items();
    const at = all.indexOf(document.activeElement);
    if (at < 0) return;
    const row = all.filter((item) => item.offsetTop === all[0].offsetTop).length % all.length || 1;
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, ArrowDown: at + row, ArrowUp: at - row, Home: 0, End: all.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    all[Math.max(0, Math.min(all.length - 1, to))].focus();
  });
  list.addEventListener("focusin", (event) => {
    if (!event.target.matches(selector)) return;
    for (const item of $$(selector, list)) item.tabIndex = item === event.target ? 0 : -1;
  });
}

export const still = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

/** Calls that come close together become one, `wait` ms after the last. */
export function soon(action, wait) {
  let timer;
  return (...values) => {
    clearTimeout(timer);
    timer = setTimeout(() => action(...values), wait);
  };
}
