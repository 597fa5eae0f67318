/** The palette: the mix and its weights, the regions, the methods. */

import { $, $$, button, h, tool } from "./dom.js";
import { duration, named, percent, t } from "./i18n.js";
import { chooseMethod, setting, style } from "./recipe.js";
import { add, removeRegion } from "./regions.js";
import { set, state, watch } from "./store.js";
import { artist, title } from "./wall.js";

export function palette() {
  watch(["mix", "styles", "own", "language"], showMix);
  watch(["regions", "region", "photo", "styles", "own", "language"], showRegions);
  watch(["methods", "language"], showMethods);
  watch(["settings", "estimates", "methods", "language", "mix"], markMethods);
}

let shares = "";

const percents = (weight) => Math.round(Math.min(1, weight) * 100);

function showMix() {
  const key = JSON.stringify([state.mix.map((one) => one.source), state.language, state.styles.length, state.own.length]);
  if (key !== shares) hangMix(key);
  const total = state.mix.reduce((sum, one) => sum + one.weight, 0);
  for (const [at, row] of [...$$("#mix .share-row")].entries()) {
    const [input, output] = [$("input", row), $("output", row)];
    if (!output) continue;
    const { weight } = state.mix[at];
    output.textContent = percent(weight / total);
    if (input !== document.activeElement) input.value = percents(weight);
  }
}

function hangMix(key) {
  shares = key;
  if (!state.mix.length) return $("#mix").replaceChildren(h("p", { class: "soft hint" }, t("mix.none")));
  const many = state.mix.length > 1;
  $("#mix").replaceChildren(...state.mix.map((one) => shareRow(one, many)));
}

function shareRow(one, many) {
  const known = style(one.source) ?? { name: one.source, title: one.source };
  const weigh = (event) => {
    const weight = Math.max(0.01, Number(event.target.value) / 100);
    set({ mix: state.mix.map((each) => (each.source === one.source ? { ...each, weight } : each)) });
  };
  return h("div", { class: "share-row" },
    known.swatch ? h("img", { src: known.swatch, alt: "", width: 44, height: 44 }) : h("span", { class: "blank" }),
    h("div", { class: "what" }, h("strong", null, title(known)), h("span", { class: "soft" }, artist(known)),
      many && h("span", { class: "weigh" },
        h("input", { type: "range", min: 1, max: 100, value: percents(one.weight), "aria-label": t("mix.weight", { name: title(known) }), oninput: weigh }),
        h("output", null, ""))),
    tool("close", t("mix.remove", { name: title(known) }), () => set({ mix: state.mix.filter((each) => each.source !== one.source) })));
}

function showRegions() {
  $("#regions-box").hidden = state.photo?.kind === "film";
  const rows = state.regions.map((one, at) => {
    const known = style(one.style);
    const name = t("regions.name", { n: at + 1 });
    return h("div", { class: "share-row" },
      known ? h("img", { src: known.swatch, alt: "", width: 44, height: 44 }) : h("span", { class: "blank" }),
      h("button", { class: "what link", "aria-pressed": state.region === one.key, onclick: () => set({ region: one.key }) },
        h("strong", null, one.upload === "alpha" ? t("regions.alpha_name") : name), h("span", { class: "soft" }, known ? title(known) : t("mask.pick"))),
      tool("close", t("regions.remove", { name }), () => removeRegion(one.key)));
  });
  const alpha = state.photo?.alpha && !state.regions.some((one) => one.upload === "alpha");
  $("#regions").replaceChildren(
    ...rows,
    rows.length ? "" : h("p", { class: "soft hint" }, t("regions.none")),
    h("div", { class: "row" },
      button("brush", t("regions.add"), () => add(), { id: "region-add", disabled: !state.photo?.width }),
      alpha && h("button", { class: "button plain small", onclick: () => set({ region: add("alpha") }) }, t("regions.alpha"))),
  );
}

/** Why a method cannot, without the ids of uploads. */
export const reason = (estimate) => (estimate.reason ?? t("method.cannot")).replace(/u[0-9a-f]{32}/g, t("mix.own"));

/** Names that people understand, with the server's own words where we have none. */
export const methodTitle = (name) => named("method", `${name}.title`, name);

const SLOW = 3; // seconds from which a method is one that one waits for

function showMethods() {
  $("#methods").replaceChildren(...state.methods.map((one) =>
    h("label", { class: "method", data: { method: one.name } },
      h("input", { type: "radio", name: "method", value: one.name, onchange: () => chooseMethod(one.name) }),
      h("span", { class: "method-name" }, methodTitle(one.name), one.name === "auto" ? "" : h("small", null, one.name)),
      h("span", { class: "method-time" }),
      h("span", { class: "method-line" }, named("method", `${one.name}.line`, one.good)))));
}

function markMethods() {
  for (const card of $$("#methods .method")) {
    const name = card.dataset.method;
    $("input", card).checked = setting("method") === name;
    const estimate = state.estimates?.[name];
    const not = estimate && estimate.fits === false;
    card.classList.toggle("not", Boolean(not));
    $(".method-time", card).textContent = not ? t("method.cannot") : estimate?.seconds ? duration(estimate.seconds) : "";
    $(".method-time", card).classList.toggle("slow", Boolean(estimate?.seconds > SLOW));
    card.title = not ? reason(estimate) : "";
  }
}
