/** What it will take, by every method, before it is asked for. */

import { post } from "./api.js";
import { $, soon } from "./dom.js";
import { duration, t } from "./i18n.js";
import { reason } from "./palette.js";
import { recipe, setting } from "./recipe.js";
import { jobs, set, state, unfinished, watch } from "./store.js";
import { hindrance, paint } from "./work.js";

let latest = 0;
let subject = "";

export function forecast() {
  watch(["photo", "mix", "settings", "regions", "methods", "jobs"], soon(asked, 250));
  watch(["photo", "mix", "settings", "regions", "estimates", "waiting", "language", "sending"], show);
  $("#paint").addEventListener("click", () => paint());
}

/** Asked again when something else is wanted (before that, any style), or the queue is another one. */
function asked() {
  if (state.photo && !state.photo.id) return; // on its way
  const any = [...state.styles].sort((a, b) => b.methods.length - a.methods.length)[0];
  const wanted = recipe();
  if (any && !wanted.styles && !wanted.masks) wanted.styles = [{ source: any.name, weight: 1 }];
  const key = JSON.stringify([wanted, state.methods.length, jobs().filter(unfinished).map((one) => one.id)]);
  if (key === subject) return;
  subject = key;
  ask(wanted);
}

async function ask(wanted) {
  const own = ++latest;
  const photo = wanted.photo ? { photo: wanted.photo } : { width: 1024, height: 768 };
  try {
    const { estimates, queue } = await post("/v1/estimates", { ...photo, recipe: wanted });
    if (own !== latest) return;
    set({ estimates: Object.fromEntries(estimates.map((one) => [one.method, one])), waiting: queue });
    if (estimates.some((one) => one.fits && !one.seconds)) setTimeout(() => own === latest && ask(wanted), 3000);
  } catch (error) {
    if (own === latest && error.status) set({ estimates: null });
  }
}

function show() {
  const why = hindrance();
  $("#paint").classList.toggle("resting", Boolean(why));
  $("#forecast").textContent = why ?? words();
}

function words() {
  const one = state.estimates?.[setting("method")];
  if (!one) return "";
  if (one.fits === false) return reason(one);
  if ($("#frame.blended:not([hidden])")) return t("forecast.blended");
  const waiting = state.waiting?.waiting ? t("forecast.waiting", { n: state.waiting.waiting, time: duration(state.waiting.seconds ?? 0) }) : "";
  const size = state.photo && one.width ? `${one.width} × ${one.height}` : "";
  return [one.seconds ? t("forecast.about", { time: duration(one.seconds) }) : "", size, waiting].filter(Boolean).join(" · ");
}
