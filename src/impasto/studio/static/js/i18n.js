/** Words: one file per language in locales/, named in LANGUAGES; `t` looks one up. */

import { $$ } from "./dom.js";
import { recall, remember, set, state } from "./store.js";

/** A further language is one more file and one more line. */
export const LANGUAGES = { en: "English", zh: "中文" };

let words = {};

export function t(key, values = {}) {
  const text = words[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

/** What the server calls by a name, in the visitor's words where there are any. */
export const named = (group, name, fallback) => words[`${group}.${name}`] ?? fallback ?? name;

export function preferred() {
  const wanted = [recall("language"), ...navigator.languages];
  const found = wanted.map((one) => one?.split("-")[0]).find((one) => one in LANGUAGES);
  return found ?? "en";
}

export async function speak(language) {
  const answer = await fetch(`/static/locales/${language}.json`);
  words = await answer.json();
  document.documentElement.lang = language;
  document.cookie = "lang=" + language;
  if (language !== preferred()) remember("language", language);
  translate(document);
  set({ language });
}

function translate(root) {
  for (const node of $$("[data-t]", root)) node.textContent = t(node.dataset.t);
  for (const node of $$("[data-t-label]", root)) {
    node.setAttribute("aria-label", t(node.dataset.tLabel));
    if (node.matches("button, a, summary, label")) node.title = t(node.dataset.tLabel);
  }
  for (const node of $$("[data-t-hint]", root)) node.placeholder = t(node.dataset.tHint);
}

export function number(value, digits = 0) {
  return new Intl.NumberFormat(state.language, { maximumFractionDigits: digits }).format(value);
}

export const percent = (share) => `${number(Math.round(share * 100))} %`;

/** 0.4 s, 12 s, 2 min 5 s, 1 h 3 min */
export function duration(seconds) {
  if (seconds < 9.95) return t("time.s", { s: number(Math.max(seconds, 0.1), 1) });
  const whole = Math.round(seconds);
  if (whole < 60) return t("time.s", { s: whole });
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return whole % 60 ? t("time.ms", { m: minutes, s: whole % 60 }) : t("time.m", { m: minutes });
  return t("time.hm", { h: Math.floor(minutes / 60), m: minutes % 60 });
}

export function until(moment) {
  const minutes = Math.max(1, Math.round((Date.parse(moment) - Date.now()) / 60000));
  return minutes < 60 ? t("time.m", { m: minutes }) : t("time.h", { h: Math.round(minutes / 60) });
}
