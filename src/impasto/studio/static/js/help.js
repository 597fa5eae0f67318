/** Keys for everything, and a sheet that says so. */

import { $, $$, h, hear, tool } from "./dom.js";
import { t } from "./i18n.js";
import { brushing, done } from "./mask.js";
import { add } from "./regions.js";
import { job, set, state, unfinished } from "./store.js";
import { full, hold, look, looking, zoom } from "./viewer.js";
import { beside, cancel, paint, remove, star } from "./work.js";

const current = (action) => () => job() && action(job());

const KEYS = [
  ["p", "paint.go", () => paint()],
  ["x", "job.cancel", current((one) => unfinished(one) && cancel(one.id))],
  ["o", "welcome.choose", () => $("#photo-file").click()],
  ["/", "keys.search", () => (set({ view: "easel" }), setTimeout(() => $("#search").focus()))],
  ["m", "regions.add", () => state.photo?.width && (brushing() ? done() : add())],
  ["b", "view.hold", () => hold(true)],
  ["1", "view.slider", () => look("slider")],
  ["2", "view.lens", () => look("lens")],
  ["3", "view.plain", () => look("plain")],
  ["+", "view.in", () => zoom(looking().scale * 1.5)],
  ["-", "view.out", () => zoom(looking().scale / 1.5)],
  ["0", "view.fit", () => zoom(1)],
  ["f", "view.full", () => full()],
  ["[", "keys.newer", () => beside(-1)],
  ["]", "keys.older", () => beside(1)],
  ["s", "star.on", current(star)],
  ["Delete", "delete.yes", current((one) => remove([one.id]))],
  ["e", "nav.easel", () => (location.hash = "#easel")],
  ["c", "nav.compare", () => (location.hash = "#compare")],
  ["h", "nav.history", () => (location.hash = "#history")],
  ["?", "help.open", () => help()],
];

export function shortcuts() {
  hear($("#help-open"), "click", help);
  hear(document, "keydown", pressed);
  hear(document, "keyup", (event) => event.key.toLowerCase() === "b" && hold(false));
}

function pressed(event) {
  if (event.defaultPrevented || $("dialog[open]")) return;
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) return event.preventDefault(), paint();
  if (event.key === "Escape") return escape();
  if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
  const found = KEYS.find(([key]) => key === event.key || key === event.key.toLowerCase() || (key === "+" && event.key === "="));
  if (!found || (event.repeat && !"+-[]".includes(found[0]))) return;
  event.preventDefault();
  found[2]();
}

const typing = (node) => node.matches?.("input:not([type=range], [type=radio], [type=checkbox]), select, textarea");

function escape() {
  for (const menu of $$("details.menu[open]")) menu.open = false;
  if (brushing()) done();
}

function help() {
  const dialog = $("#help");
  const row = ([key, name]) => h("div", null, h("dt", null, h("kbd", null, key === "Delete" ? "Del" : key)), h("dd", null, t(name), key === "p" && [" ", h("kbd", null, "Ctrl Enter")]));
  dialog.replaceChildren(
    h("div", { class: "row" }, h("h2", { id: "help-title" }, t("help.title")), h("span", { class: "gap" }), tool("close", t("close"), () => dialog.close())),
    h("p", null, t("help.lead")),
    h("h3", null, t("help.ways")), h("ul", null, ["help.way1", "help.way2", "help.way3"].map((key) => h("li", null, t(key)))),
    h("h3", { class: "keyed" }, t("help.keys")), h("dl", { class: "keys" }, KEYS.map(row)));
  dialog.showModal();
}
