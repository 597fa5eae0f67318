/** Puts the studio together: words, catalogue, the last work, the three views. */

import { get, gone } from "./api.js";
import { comparison, showComparison } from "./compare.js";
import { controls } from "./controls.js";
import { $, $$, h, hear, icon } from "./dom.js";
import { closer, easel } from "./easel.js";
import { follow, followAtOnce } from "./events.js";
import { forecast } from "./forecast.js";
import { shortcuts } from "./help.js";
import { history } from "./history.js";
import { LANGUAGES, preferred, speak, t } from "./i18n.js";
import { intake } from "./intake.js";
import { ledge, markTools } from "./ledge.js";
import { brushing, mask } from "./mask.js";
import { palette } from "./palette.js";
import { photo } from "./recipe.js";
import { recall, remember, set, state, watch } from "./store.js";
import { sorry } from "./toasts.js";
import { looking, viewer } from "./viewer.js";
import { wall } from "./wall.js";
import { open } from "./work.js";

const KEPT = ["mix", "settings", "regions", "stable", "own"]; // of the state, over a reload

async function begin() {
  for (const place of $$("[data-icon]")) place.replaceWith(icon(place.dataset.icon));
  await speak(preferred());
  for (const part of [wall, palette, controls, forecast, easel, ledge, history, comparison, mask, intake, shortcuts]) part();
  viewer({ brushing, onchange: looked });
  head();
  routes();
  await catalogue();
  await last();
  remembering();
  follow();
}

function looked() {
  markTools();
  closer(looking().scale);
}

function head() {
  const list = $("#language");
  list.replaceChildren(...Object.entries(LANGUAGES).map(([code, name]) => h("option", { value: code, lang: code }, name)));
  list.value = state.language;
  hear(list, "change", () => speak(list.value));
  hear($("#theme"), "click", theme);
  watch(["connection", "language"], () => {
    const lost = state.connection === "lost";
    $("#connection").hidden = !lost;
    $("#connection").textContent = lost ? t("connection.lost") : "";
  });
  for (const name of ["online", "focus", "visibilitychange"]) hear(window, name, followAtOnce);
}

function theme() {
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  root.dataset.theme = (root.dataset.theme ?? system) === "dark" ? "light" : "dark";
  remember("theme", root.dataset.theme);
}

const VIEWS = ["easel", "compare", "history"];

function routes() {
  hear(window, "hashchange", route);
  watch(["view"], () => {
    for (const view of VIEWS) $(`#view-${view}`).hidden = view !== state.view;
    for (const link of $$("#nav a")) {
      if (link.hash === `#${state.view}`) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    document.documentElement.dataset.view = state.view;
    if (location.hash.slice(1).split("/")[0] !== state.view) window.history.pushState(null, "", `#${state.view}`);
    window.scrollTo(0, 0);
  });
  route();
}

function route() {
  const [view, id] = location.hash.slice(1).split("/");
  set({ view: VIEWS.includes(view) ? view : "easel" });
  if (view === "compare" && id) showComparison(id);
}

async function catalogue() {
  for (let pause = 500; ; pause = Math.min(8000, pause * 2)) {
    try {
      const [styles, methods, samples, limits] = await Promise.all(["styles", "methods", "samples", "limits"].map((name) => get(`/v1/${name}`)));
      return set({ ...styles, ...methods, ...samples, limits, connection: "open" });
    } catch (error) {
      if (error.status && error.status < 500) return sorry(error);
      set({ connection: "lost" });
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  }
}

/** What was on the easel when the page was left, as far as it still is. */
async function last() {
  const kept = recall("work", {});
  const lost = await Promise.all((kept.own ?? []).map((one) => gone(one.name)));
  const own = (kept.own ?? []).filter((one, at) => !lost[at]);
  const known = new Set([...own, ...state.styles].map((one) => one.name));
  set({
    own,
    settings: kept.settings ?? {},
    stable: kept.stable ?? null,
    mix: (kept.mix ?? []).filter((one) => known.has(one.source)),
    regions: (kept.regions ?? []).filter((one) => one.upload),
  });
  if (kept.current && (await open(kept.current, state.view))) return;
  const found = kept.photo ? await photo(kept.photo) : null;
  set(found ? { photo: found } : { regions: [] });
}

function remembering() {
  watch([...KEPT, "photo", "current"], () => {
    const kept = Object.fromEntries(KEPT.map((name) => [name, state[name]]));
    remember("work", { ...kept, photo: state.photo?.id ?? null, current: state.current });
  });
}

begin();
