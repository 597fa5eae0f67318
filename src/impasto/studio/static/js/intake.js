/** Pictures come in: dropped, pasted, chosen; as a photo, a style, or a result. */

import { tooLarge, upload } from "./api.js";
import { $, $$, hear } from "./dom.js";
import { t } from "./i18n.js";
import { chooseStyle, keep, place, restore, uploaded } from "./recipe.js";
import { set, state } from "./store.js";
import { sorry, toast } from "./toasts.js";
import { asked } from "./work.js";

export function intake() {
  for (const input of $$("input[type=file]")) hear(input, "change", () => chosen(input, input.multiple ? takeStyle : take));
  for (const button of $$("[data-opens]")) hear(button, "click", () => $(`#${button.dataset.opens}`).click());
  hear(document, "paste", pasted);
  dropping();
}

function chosen(input, into) {
  const files = [...input.files];
  input.value = "";
  for (const file of files) into(file);
}

function pasted(event) {
  const file = [...(event.clipboardData?.files ?? [])].find(isPicture);
  if (!file) return;
  event.preventDefault();
  set({ view: "easel" });
  take(file).then((done) => {
    if (!done) return;
    toast(t("intake.pasted"), { action: { label: t("intake.as_style"), run: () => takeStyle(file) } });
  });
}

const isPicture = (file) => /^(image|video)\//.test(file.type) || file.type === "";

/** While something is dragged over the page, half of it takes a photo and the rest a style. */
function dropping() {
  const veil = $("#veil");
  let depth = 0;
  const show = (on) => (veil.hidden = !on);
  const files = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  hear(document, "dragenter", (event) => {
    if (!files(event)) return;
    event.preventDefault();
    depth += 1;
    show(true);
  });
  hear(document, "dragover", (event) => {
    if (!files(event)) return;
    event.preventDefault();
    for (const half of $$(".half", veil)) half.classList.toggle("over", half.contains(event.target));
  });
  hear(document, "dragleave", () => {
    depth = Math.max(0, depth - 1);
    if (!depth) show(false);
  });
  hear(document, "drop", (event) => {
    if (!files(event)) return;
    event.preventDefault();
    depth = 0;
    show(false);
    const all = [...event.dataTransfer.files];
    if (event.target.closest?.(".half.style, .wall")) all.forEach((file) => takeStyle(file));
    else if (all.length) take(all[0]);
  });
}

let sends = 0; // the latest one's progress is shown

/** Send a file and tell how far it is; null when that did not work, and why is said. */
async function send(file, text) {
  const refused = tooLarge(file, state.limits);
  if (refused) return toast(refused, { kind: "error" }), null;
  const turn = ++sends;
  const tell = (sending) => turn === sends && set({ sending });
  tell({ text, fraction: 0 });
  try {
    const about = await upload(file, (fraction) => tell({ text, fraction }));
    for (const notice of about.notices ?? []) toast(notice);
    return about;
  } catch (error) {
    sorry(error);
    return null;
  } finally {
    tell(null);
  }
}

let takes = 0;
let before = {}; // what is put back when what is on its way does not arrive

/** A photo or a film; or a painting of ours, which brings its settings along. */
export async function take(file) {
  const turn = ++takes;
  if (!state.photo || state.photo.id) before = { photo: state.photo, current: state.current };
  const url = file.type.startsWith("image/") ? URL.createObjectURL(file) : null;
  set({ view: "easel", region: null });
  if (url) set({ photo: { id: null, kind: "picture", url, title: file.name }, current: null });
  const about = await send(file, t("intake.sending"));
  if (url) setTimeout(() => URL.revokeObjectURL(url), 5000);
  if (turn !== takes) {
    if (about) before = { photo: uploaded(about, file.name), current: null }; // a later one came
    return false;
  }
  if (!about) return set(before), false;
  if (about.recipe) return again(about);
  place(uploaded(about, file.name), { regions: [] });
  return true;
}

async function again(about) {
  const known = [...state.jobs.values()].find((job) => job.state === "done" && sameWork(job.recipe, about.recipe));
  const lost = await restore(known ? asked(known) : about.recipe);
  set({ current: known?.id ?? null });
  if (lost.photo) place(uploaded(about));
  if (lost.styles.length) toast(t("intake.lost_styles", { names: lost.styles.join(", ") }));
  toast(lost.photo ? t("intake.lost_photo") : t("intake.restored"));
  return true;
}

function sameWork(a, b) {
  const key = (one) => JSON.stringify([one.photo, one.styles, one.masks, one.method, one.seed, one.size, one.strength, one.color]);
  return key(a) === key(b);
}

export async function takeStyle(file) {
  const about = await send(file, t("intake.sending_style"));
  if (!about) return;
  const title = file.name.replace(/\.[^.]*$/, "");
  keep({ name: about.id, title, swatch: uploaded(about).url });
  chooseStyle(about.id, false);
}
