/** How far a painting is: on the easel, in the title, and for those who listen. */

import { $, css, h, icon } from "./dom.js";
import { duration, percent, t } from "./i18n.js";
import { job, jobs, state, unfinished } from "./store.js";
import { say } from "./toasts.js";
import { cancel } from "./work.js";

export function standing(one) {
  if (one.state === "queued") return one.position > 1 ? t("job.queued", { n: one.position }) : t("job.next");
  if (one.state === "running") return [t("job.running"), share(one), left(one)].filter(Boolean).join(" · ");
  if (one.state === "failed") return one.reason ?? t("job.failed");
  if (one.state === "cancelled") return one.preview ? t("job.cancelled_kept") : t("job.cancelled");
  return one.seconds ? t("job.done_in", { time: duration(one.seconds) }) : t("job.done");
}

const share = (one) => (one.progress?.fraction > 0 ? percent(one.progress.fraction) : "");

function left(one) {
  const seconds = one.progress?.eta_seconds;
  return seconds === null || seconds === undefined ? "" : t("job.left", { time: duration(seconds) });
}

let built = "";

export function progress(one) {
  const box = $("#status");
  const sending = state.sending;
  const visible = sending || (one && !(one.state === "done" || (one.state === "cancelled" && one.preview)) && !state.region);
  box.hidden = !visible;
  heading(one);
  if (!visible) return (built = "");
  const key = sending ? "sending" : `${one.id} ${one.state} ${state.language}`;
  if (key !== built) build(box, sending ? null : one, key);
  const fraction = sending ? sending.fraction : one.progress?.fraction;
  $(".line", box).textContent = sending ? sending.text : standing(one);
  const bar = $(".meter", box);
  if (bar) {
    bar.classList.toggle("unknown", !fraction);
    css(bar.firstChild, { width: `${(fraction ?? 0) * 100}%` });
    if (fraction) bar.setAttribute("aria-valuenow", Math.round(fraction * 100));
    else bar.removeAttribute("aria-valuenow");
  }
  if (one && !sending) speak(one);
}

function build(box, one, key) {
  built = key;
  const busy = !one || unfinished(one);
  box.className = `status ${one?.state ?? "sending"}`;
  box.replaceChildren(
    one?.state === "failed" ? icon("alert") : "",
    h("span", { class: "line" }),
    one && unfinished(one) && h("button", { class: "button small", id: "cancel", onclick: () => cancel(one.id) }, icon("stop"), t("job.cancel")) || "",
    busy ? h("div", { class: "meter", role: "progressbar", "aria-label": t("job.progress"), "aria-valuemin": 0, "aria-valuemax": 100 }, h("span")) : "",
  );
}

let said = "";

/** Beginnings, quarters and ends; not every step. */
function speak(one) {
  const quarter = Math.floor((one.progress?.fraction ?? 0) * 4);
  const key = `${one.id} ${one.state} ${quarter}`;
  if (key === said) return;
  said = key;
  say(standing(one));
}

let worked = false;

/** The window's title goes along, also behind other windows. */
export function heading(one = job()) {
  const busy = jobs().filter(unfinished);
  const count = $("#nav-busy");
  count.hidden = !busy.length;
  count.textContent = busy.length || "";
  count.setAttribute("aria-label", t("nav.busy", { n: busy.length }));
  const shown = unfinished(one) ? one : busy.find((each) => each.state === "running");
  if (shown) document.title = shown.state === "running" ? `${share(shown) || "…"} · Impasto` : `… · Impasto`;
  else if (worked && document.hidden) document.title = `✓ ${t("job.done")} · Impasto`;
  else if (!document.title.startsWith("✓") || !document.hidden) document.title = "Impasto";
  if (one?.state === "done" && said.startsWith(one.id) && !said.includes("done")) speak(one);
  worked = Boolean(shown);
}

document.addEventListener("visibilitychange", () => heading());
