/** All that was painted: to look at again, star, delete or take home. */

import { $, $$, button, h, icon, tool } from "./dom.js";
import { duration, t, until } from "./i18n.js";
import { promise, styleNames } from "./easel.js";
import { saving, starring } from "./ledge.js";
import { methodTitle } from "./palette.js";
import { standing } from "./progress.js";
import { jobs, state, unfinished, watch } from "./store.js";
import { cancel, open, remove } from "./work.js";

const filter = { starred: false, words: "" };
const picked = new Set();

export function history() {
  watch(["jobs", "language", "view", "styles", "methods", "limits"], show);
}

function wanted() {
  const words = filter.words.toLocaleLowerCase().split(/\s+/);
  const text = (one) => `${styleNames(one.recipe)} ${one.recipe.method} ${methodTitle(one.recipe.method)}`.toLocaleLowerCase();
  return jobs().filter((one) => (!filter.starred || one.starred) && words.every((word) => text(one).includes(word)));
}

function show() {
  if (state.view !== "history") return;
  const view = $("#view-history");
  for (const id of picked) if (!state.jobs.has(id)) picked.delete(id);
  if (!$(".sheet-head", view) || view.dataset.language !== state.language) frame(view);
  const all = wanted();
  bar();
  const kept = new Map($$(".card", view).map((card) => [card.dataset.key, card]));
  const focused = document.activeElement?.closest?.(".card")?.dataset.job;
  const cards = all.map((one) => kept.get(signature(one)) ?? card(one));
  const list = $(".cards", view);
  if (cards.length !== list.children.length || cards.some((each, at) => list.children[at] !== each)) {
    list.replaceChildren(...cards);
    if (focused) $(`.card[data-job="${focused}"] .face`, list)?.focus();
  }
  const empty = $(".empty", view);
  empty.hidden = all.length > 0;
  empty.replaceChildren(h("h3", null, state.jobs.size ? t("history.no_match") : t("history.empty")), h("p", { class: "soft" }, state.jobs.size ? t("history.no_match_line") : t("history.empty_line")), state.jobs.size ? "" : h("p", null, h("a", { class: "button", href: "#easel" }, t("welcome.back"))));
}

function frame(view) {
  view.dataset.language = state.language;
  view.replaceChildren(
    h("header", { class: "sheet-head" },
      h("h2", null, t("nav.history")),
      h("p", { class: "soft" }, promise()),
      h("div", { class: "row" },
        h("label", { class: "search" }, icon("search"), h("input", { type: "search", id: "history-search", placeholder: t("history.search"), "aria-label": t("history.search"), value: filter.words, oninput: (event) => ((filter.words = event.target.value), show()) })),
        h("button", { class: "switch", id: "history-starred", "aria-pressed": filter.starred, onclick: (event) => ((filter.starred = !filter.starred), event.currentTarget.setAttribute("aria-pressed", filter.starred), show()) }, t("history.starred")),
        h("span", { class: "gap" }),
        h("span", { id: "history-picked", class: "row" }))),
    h("div", { class: "empty" }), h("div", { class: "cards" }));
}

function bar() {
  const some = picked.size > 0;
  const all = some ? jobs().filter((one) => picked.has(one.id)) : wanted();
  const box = $("#history-picked");
  if (!all.length) return box.replaceChildren();
  const bin = button("bin", some ? t("history.delete_some", { n: all.length }) : t("history.delete"), () => remove(all.map((one) => one.id)), { id: "history-delete" });
  box.replaceChildren(archive(all, some, "history-zip"), bin);
}

const PACKED = 100; // paintings that the server packs at once

/** The results of some jobs as one file; of too many, the newest. */
export function archive(all, some, id) {
  const painted = all.filter((one) => one.result);
  const ids = painted.sort((a, b) => (a.created < b.created ? 1 : -1)).slice(0, PACKED).map((one) => `id=${one.id}`);
  if (!ids.length) return "";
  const text = some || ids.length < painted.length ? t("history.zip_some", { n: ids.length }) : t("history.zip");
  return h("a", { class: "button plain small", id, href: `/v1/archive?${ids.join("&")}`, download: "" }, icon("save"), text);
}

const signature = (one) => JSON.stringify([one.id, one.state, one.position, one.progress, one.preview, one.starred, one.result, state.language, state.styles.length, picked.has(one.id)]);

function card(one) {
  const name = styleNames(one.recipe) || t("view.painting");
  const tick = (event) => {
    if (event.target.checked) picked.add(one.id);
    else picked.delete(one.id);
    event.target.closest(".card").dataset.key = signature(one);
    bar();
  };
  return h("article", { class: `card ${one.state}`, data: { job: one.id, key: signature(one) } },
    h("button", { class: "face", "aria-label": t("history.open", { name }), onclick: () => open(one.id) },
      one.preview ? h("img", { src: one.preview, alt: "", loading: "lazy" }) : icon(one.state === "failed" ? "alert" : "brush")),
    h("label", { class: "tick" }, h("input", { type: "checkbox", checked: picked.has(one.id), "aria-label": t("history.pick", { name }), onchange: tick })),
    h("div", { class: "card-text" }, h("strong", null, name),
      h("span", { class: "soft" }, [methodTitle(one.recipe.method), one.state === "done" && one.seconds ? duration(one.seconds) : standing(one)].join(" · ")),
      one.expires ? h("span", { class: "soft" }, t("label.expires", { time: until(one.expires) })) : ""),
    h("div", { class: "card-tools" },
      starring(one),
      unfinished(one) ? tool("stop", t("job.cancel"), () => cancel(one.id)) : "",
      one.result ? saving(one) : "",
      tool("bin", t("delete"), () => remove([one.id]))));
}
