/** One photo, some styles, some methods: everything beside everything. */

import { $, $$, button, h, icon } from "./dom.js";
import { get } from "./api.js";
import { merge } from "./events.js";
import { archive } from "./history.js";
import { duration, t } from "./i18n.js";
import { methodTitle } from "./palette.js";
import { standing } from "./progress.js";
import { paints, setting, style } from "./recipe.js";
import { jobs, recall, remember, state, unfinished, watch } from "./store.js";
import { artist, title } from "./wall.js";
import { asked, cancel, compare, open, remove } from "./work.js";

const chosen = { styles: new Set(), methods: new Set() };
let shown = recall("comparison");

export function comparison() {
  const before = recall("compare", {});
  chosen.styles = new Set(before.styles ?? []);
  chosen.methods = new Set(before.methods ?? ["auto", "wct", "adain"]);
  watch(["view", "photo", "styles", "own", "methods", "language", "estimates"], show);
  watch(["jobs", "view", "language"], grid);
}

export async function showComparison(id) {
  shown = id;
  remember("comparison", id);
  const { jobs: made } = await get(`/v1/comparisons/${id}`).catch(() => ({ jobs: [] }));
  made.forEach(merge);
  grid();
}

function show() {
  if (state.view !== "compare") return;
  const view = $("#view-compare");
  if (!chosen.styles.size) for (const one of state.mix) chosen.styles.add(one.source);
  const key = JSON.stringify([state.photo?.id, state.styles.length, state.own.length, state.methods.length, state.language]);
  if (view.dataset.key !== key) {
    view.dataset.key = key;
    view.replaceChildren(head(), h("div", { id: "grid", class: "grid-box" }));
    grid();
  }
  count();
}

function head() {
  const photo = state.photo;
  const all = [...state.own, ...state.styles];
  return h("header", { class: "sheet-head" },
    h("h2", null, t("nav.compare")), h("p", { class: "soft" }, t("compare.lead")),
    h("div", { class: "setup" },
      h("div", { class: "setup-photo" }, h("h3", null, t("view.photo")), photo ? h("img", { src: photo.url, alt: photo.title || t("view.photo") }) : h("p", { class: "soft" }, t("compare.no_photo")),
        h("a", { class: "button plain small", href: "#easel" }, photo ? t("view.change") : t("welcome.choose"))),
      h("fieldset", { class: "setup-styles" }, h("legend", null, t("palette.styles")), h("div", { class: "picks" }, all.map(pickStyle))),
      h("fieldset", { class: "setup-methods" }, h("legend", null, t("palette.method")), ...state.methods.map(pickMethod))),
    h("div", { class: "row" },
      h("button", { class: "button main", id: "compare-go", onclick: go }, icon("brush"), t("compare.go")),
      h("span", { id: "compare-count", class: "soft", role: "status" })));
}

function pickStyle(one) {
  return h("label", { class: "pick", title: `${title(one)}, ${artist(one)}` },
    h("input", { type: "checkbox", value: one.name, checked: chosen.styles.has(one.name), "aria-label": title(one), onchange: toggle(chosen.styles, one.name) }),
    h("img", { src: one.swatch, alt: "", loading: "lazy" }));
}

function pickMethod(one) {
  return h("label", { class: "tickbox" },
    h("input", { type: "checkbox", value: one.name, checked: chosen.methods.has(one.name), onchange: toggle(chosen.methods, one.name) }),
    h("span", null, methodTitle(one.name)), h("span", { class: "soft time", data: { time: one.name } }));
}

const toggle = (set, name) => (event) => {
  if (event.target.checked) set.add(name);
  else set.delete(name);
  remember("compare", { styles: [...chosen.styles], methods: [...chosen.methods] });
  count();
};

function count() {
  const pairs = wantedMethods().flatMap((name) => wantedStyles().filter((one) => paints(name, one)).map(() => name));
  for (const span of $$("#view-compare [data-time]")) {
    const seconds = state.estimates?.[span.dataset.time]?.seconds;
    span.textContent = seconds ? duration(seconds) : "";
  }
  const seconds = pairs.reduce((sum, name) => sum + (state.estimates?.[name]?.seconds ?? 0), 0);
  const [n, most] = [pairs.length, state.limits.own];
  const more = n > most ? t("compare.most", { n: most }) : seconds && t("forecast.about", { time: duration(seconds) });
  $("#compare-count").textContent = n ? [t("compare.count", { n }), more].filter(Boolean).join(" · ") : t("compare.none");
  $("#compare-go").disabled = !n || n > most || !state.photo?.id;
}

const wantedStyles = () => [...chosen.styles].filter((name) => style(name));
const wantedMethods = () => state.methods.map((one) => one.name).filter((name) => chosen.methods.has(name));

async function go() {
  const order = { photo: state.photo.id, styles: wantedStyles(), methods: wantedMethods() };
  if (setting("size")) order.size = setting("size");
  if (setting("strength") !== null) order.strength = setting("strength");
  const id = await compare(order);
  if (!id) return;
  remember(`columns.${id}`, wantedMethods());
  location.hash = `#compare/${id}`;
  $("#grid").scrollIntoView({ block: "start" });
}

/** Rows are styles, columns methods; a cell is a job. */
function grid() {
  const box = $("#grid");
  if (state.view !== "compare" || !box) return;
  const all = jobs().filter((one) => one.comparison && one.comparison === shown).reverse();
  if (!all.length) return box.replaceChildren(h("p", { class: "soft empty" }, t("compare.empty")));
  const rows = [...new Set(all.map(source))];
  const columns = recall(`columns.${shown}`) ?? [...new Set(all.map((one) => asked(one).method))];
  const body = rows.map((name) => {
    const own = all.filter((one) => source(one) === name);
    return h("tr", null, h("th", { scope: "row" }, rowHead(name)), columns.map((column) =>
      h("td", null, cell(own.find((one) => asked(one).method === column), paints(column, name)))));
  });
  const busy = all.filter(unfinished);
  const focused = document.activeElement?.dataset?.cell;
  box.replaceChildren(
    h("div", { class: "row" }, h("h3", null, t("compare.result")), h("span", { class: "gap" }),
      busy.length ? button("stop", t("compare.stop"), () => busy.forEach((one) => cancel(one.id))) : "",
      archive(all),
      button("bin", t("history.delete"), () => remove(all.map((one) => one.id)))),
    h("div", { class: "scroll", tabindex: 0, role: "group", "aria-label": t("compare.result") },
      h("table", { class: "cells", css: { "--ratio": (state.photo?.width ?? 4) / (state.photo?.height ?? 3) } },
        h("thead", null, h("tr", null, h("td", null, state.photo ? h("img", { class: "corner", src: state.photo.url, alt: t("view.photo") }) : ""), columns.map((name) => h("th", { scope: "col" }, methodTitle(name))))),
        h("tbody", null, body))));
  if (focused) $(`[data-cell="${focused}"]`, box)?.focus();
}

const source = (one) => one.recipe.styles?.[0]?.source ?? "";

function rowHead(name) {
  const known = style(name);
  return known ? [h("img", { src: known.swatch, alt: "" }), h("span", null, title(known))] : h("span", null, t("mix.own"));
}

function cell(one, possible) {
  if (!one) return possible ? "" : h("p", { class: "cell-text" }, t("compare.cannot"));
  return h("button", { class: `cell ${one.state}`, data: { cell: one.id }, onclick: () => open(one.id), "aria-label": `${methodTitle(one.recipe.method)}, ${standing(one)}` },
    one.preview ? h("img", { src: one.preview, alt: "" }) : icon(one.state === "failed" ? "alert" : "brush"),
    h("span", { class: "cell-text" }, standing(one)));
}
