/** Short messages: what went wrong and what to do, or what was done. */

import { $, h, icon } from "./dom.js";
import { t } from "./i18n.js";

const SHOWN = 7000;

/** kind: "note" | "error"; action: {label, run}. Errors stay until they are closed. */
export function toast(text, { kind = "note", action } = {}) {
  const close = () => node.remove();
  const node = h(
    "div",
    { class: `toast ${kind}`, role: kind === "error" ? "alert" : "status" },
    icon(kind === "error" ? "alert" : "info"),
    h("p", null, text),
    action && h("button", { class: "link", onclick: () => (close(), action.run()) }, action.label),
    h("button", { class: "tool", "aria-label": t("close"), title: t("close"), onclick: close }, icon("close")),
  );
  const shelf = $("#toasts");
  for (const old of shelf.children) if (old.textContent === node.textContent) old.remove();
  shelf.append(node);
  while (shelf.children.length > 3) shelf.firstChild.remove();
  if (kind !== "error") setTimeout(close, SHOWN);
  return close;
}

export const sorry = (error) => {
  if (!(error instanceof Error) || error.status === undefined) console.error(error);
  return toast(error.message, { kind: "error" });
};

/** For those who do not see the page: said once, politely. */
export function say(text) {
  const voice = $("#voice");
  if (voice.textContent !== text) voice.textContent = text;
}

/** A question with one dangerous answer; resolves to whether it was given. */
export function ask(question, danger) {
  const dialog = $("#ask");
  $("p", dialog).textContent = question;
  $("#ask-yes", dialog).textContent = danger;
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}
