/** Under the picture: its label, as in a museum, and what one can do with it. */

import { $, $$, h, icon, tool } from "./dom.js";
import { duration, t, until } from "./i18n.js";
import { styleNames, welcome } from "./easel.js";
import { methodTitle } from "./palette.js";
import { standing } from "./progress.js";
import { style } from "./recipe.js";
import { job, jobs, state, unfinished, watch } from "./store.js";
import { toast } from "./toasts.js";
import { full, hold, look, looking, zoom } from "./viewer.js";
import { artist } from "./wall.js";
import { open, remove, star } from "./work.js";

export function ledge() {
  watch(["photo", "current", "jobs", "language", "region", "styles", "methods"], show);
  watch(["jobs", "current", "language", "styles"], strip);
  setInterval(show, 60000); // "deleted in 3 h"
}

function show() {
  const one = job();
  label(one);
  tools(one);
}

function label(one) {
  const box = $("#label");
  if (!one) {
    const size = state.photo?.width ? `${state.photo.width} × ${state.photo.height}` : "";
    const length = state.photo?.seconds ? duration(state.photo.seconds) : "";
    const gone = state.photo?.expires ? t("label.expires", { time: until(state.photo.expires) }) : "";
    box.replaceChildren(h("strong", null, state.photo?.title || t("view.photo")), h("span", { class: "soft" }, [size, length, gone].filter(Boolean).join(" · ")));
    return;
  }
  const by = [...new Set((one.recipe.styles ?? []).map((each) => style(each.source)).filter(Boolean).map(artist))].join(", ");
  const facts = [
    one.state === "cancelled" && one.preview ? standing(one) : "",
    methodTitle(one.recipe.method),
    one.seconds ? duration(one.seconds) : "",
    one.width ? `${one.width} × ${one.height}` : "",
    one.expires ? t("label.expires", { time: until(one.expires) }) : "",
  ];
  box.replaceChildren(
    h("strong", null, styleNames(one.recipe) || t("view.painting"), by && h("span", { class: "by" }, by)),
    h("span", { class: "soft" }, facts.filter(Boolean).join(" · ")),
    one.notices?.length ? h("span", { class: "notice" }, one.notices.join(" ")) : "");
}

let built = "";

function tools(one) {
  const seen = one?.preview && !unfinished(one);
  const film = one?.kind === "film";
  const key = JSON.stringify([one?.id, Boolean(seen), Boolean(one?.result), one?.starred, Boolean(state.photo), state.language]);
  if (key !== built) {
    built = key;
    $("#tools").replaceChildren(...[
      h("button", { class: "tool wide", id: "change", "aria-label": t("view.change"), onclick: () => welcome(true) }, icon("picture"), h("span", null, t("view.change"))),
      h("span", { class: "gap" }),
      seen && state.photo && !film ? modes() : "",
      seen && state.photo && !film ? holding() : "",
      !film ? magnify() : "",
      tool("full", t("view.full"), full),
    ]);
    $("#keep").replaceChildren(...[
      one?.result ? saving(one) : "",
      one?.result && !film && navigator.clipboard?.write ? tool("copy", t("save.copy"), () => copy(one)) : "",
      one ? starring(one) : "",
      one ? tool("bin", t("delete"), () => remove([one.id])) : "",
    ]);
  }
  markTools();
}

export function markTools() {
  const { mode, scale } = looking();
  for (const button of $$("#tools [data-mode]")) button.setAttribute("aria-pressed", button.dataset.mode === mode);
  const shown = $("#tools .scale");
  if (shown) shown.textContent = `${Math.round(scale * 100)} %`;
}

const modes = () =>
  h("span", { class: "group" }, ["slider", "lens", "plain"].map((mode) => tool(mode, t(`view.${mode}`), () => look(mode), { data: { mode } })));

function holding() {
  const on = (event) => (event.preventDefault(), hold(true));
  const off = () => hold(false);
  const key = (down) => (event) => [" ", "Enter"].includes(event.key) && (event.preventDefault(), event.stopPropagation(), hold(down));
  return tool("hold", t("view.hold"), null, { onpointerdown: on, onpointerup: off, onpointerleave: off, onkeydown: key(true), onkeyup: key(false), onblur: off });
}

const magnify = () =>
  h("span", { class: "group zoom" },
    tool("minus", t("view.out"), () => zoom(looking().scale / 1.5)),
    h("button", { class: "tool scale", title: t("view.fit"), onclick: () => zoom(1) }, "100 %"),
    tool("plus", t("view.in"), () => zoom(looking().scale * 1.5)));

export function saving(one) {
  const link = (format, name) => h("a", { href: format ? `${one.result}?format=${format}&download=true` : `${one.result}?download=true`, download: "" }, name);
  const kinds = one.kind === "film" ? [link("", "MP4")] : [link("png", "PNG"), link("jpeg", "JPEG"), link("webp", "WebP")];
  return h("details", { class: "menu" }, h("summary", { class: "tool wide", title: t("save"), "aria-label": t("save") }, icon("save"), h("span", null, t("save"))),
    h("div", { class: "menu-list" }, ...kinds, one.kind === "film" ? "" : h("p", { class: "soft" }, t("save.recipe"))));
}

export function starring(one) {
  const label = one.starred ? t("star.off") : t("star.on");
  return tool("star", label, () => star(one), { "aria-pressed": Boolean(one.starred), class: "tool star", title: `${label}. ${t("star.hint")}` });
}

export async function copy(one) {
  try {
    const picture = fetch(`${one.result}?format=png`).then((answer) => answer.blob());
    await navigator.clipboard.write([new ClipboardItem({ "image/png": picture })]);
    toast(t("save.copied"));
  } catch {
    toast(t("save.not_copied"), { kind: "error" });
  }
}

const RECENT = 16;

function strip() {
  const all = jobs().slice(0, RECENT);
  const box = $("#recent");
  box.hidden = !all.length;
  const key = JSON.stringify([all.map((one) => [one.id, one.state, one.preview, one.starred]), state.current, state.language]);
  if (box.dataset.key === key) return;
  box.dataset.key = key;
  const focused = document.activeElement?.dataset?.job;
  box.replaceChildren(...all.map((one) =>
    h("button", { class: `thumb ${one.state}`, data: { job: one.id }, "aria-pressed": one.id === state.current, "aria-label": `${styleNames(one.recipe)}, ${standing(one)}`, title: styleNames(one.recipe), onclick: () => (welcome(false), open(one.id)) },
      one.preview ? h("img", { src: one.preview, alt: "" }) : icon(one.state === "failed" ? "alert" : "brush"))),
    h("a", { class: "all", href: "#history" }, t("recent.all")));
  if (focused) $(`[data-job="${focused}"]`, box)?.focus();
}

document.addEventListener("click", (event) => {
  for (const menu of $$("details.menu[open]")) if (!menu.contains(event.target) || event.target.closest("a")) menu.open = false;
});
