/** What one does with jobs. */

import { call, fresh, get, post, upload } from "./api.js";
import { drop, merge } from "./events.js";
import { t } from "./i18n.js";
import { drawn } from "./regions.js";
import { recipe, restore } from "./recipe.js";
import { jobs, set, state } from "./store.js";
import { ask, sorry, toast } from "./toasts.js";

let busy = false;

/** Why nothing can be painted yet, in words; null when it can. */
export function hindrance() {
  if (!state.photo) return t("paint.no_photo");
  if (!state.photo.id) return t("paint.sending");
  if (!state.mix.length && !state.regions.some((one) => one.style)) return t("paint.no_style");
  if (state.regions.some((one) => !one.style)) return t("paint.no_region_style");
  return null;
}

export async function paint() {
  const why = hindrance();
  if (why) return toast(why);
  if (busy) return null;
  busy = true;
  try {
    await sendMasks();
    set({ region: null });
    const order = { recipe: recipe(), ...(filmic() && state.stable !== null ? { stable: state.stable } : {}) };
    const job = await firmly("/v1/jobs", order);
    merge(job);
    set({ current: job.id, view: "easel" });
    return job;
  } catch (error) {
    return sorry(error);
  } finally {
    busy = false;
  }
}

export const filmic = () => state.photo?.kind === "film";

/** Sent again with the same key when the line breaks, so that it is done once. */
async function firmly(path, order) {
  const headers = { "Idempotency-Key": fresh() };
  try {
    return await post(path, order, headers);
  } catch (error) {
    if (error.status) throw error;
    await new Promise((resolve) => setTimeout(resolve, 1500));
    return post(path, order, headers);
  }
}

async function sendMasks() {
  for (const region of state.regions.filter((one) => one.dirty)) {
    const file = await drawn(region.key);
    const about = await upload(file);
    const sent = { ...region, upload: about.id, dirty: false };
    set({ regions: state.regions.map((one) => (one.key === region.key ? sent : one)) });
  }
}

export async function compare(order) {
  try {
    const { id, jobs: made } = await firmly("/v1/comparisons", order);
    made.forEach(merge);
    return id;
  } catch (error) {
    sorry(error);
    return null;
  }
}

export async function cancel(id) {
  try {
    merge(await post(`/v1/jobs/${id}/cancel`));
  } catch (error) {
    sorry(error);
  }
}

export async function star(job) {
  try {
    merge(await call("PATCH", `/v1/jobs/${job.id}`, { json: { starred: !job.starred } }));
  } catch (error) {
    sorry(error);
  }
}

export async function remove(ids) {
  const question = ids.length > 1 ? t("delete.many", { n: ids.length }) : t("delete.one");
  if (!(await ask(question, t("delete.yes")))) return false;
  for (const id of ids) {
    try {
      await call("DELETE", `/v1/jobs/${id}`);
      drop(id);
    } catch (error) {
      if (error.status === 404) drop(id);
      else return sorry(error), false;
    }
  }
  return true;
}

/** The Recipe with what was left to the studio still open; `recipe` says how it was settled. */
export const asked = (job) => job.asked ?? job.recipe;

/** A job on the easel, with the controls as they were for it. */
export async function open(id, view = "easel") {
  const job = state.jobs.get(id) ?? (await get(`/v1/jobs/${id}`).catch(() => null));
  if (!job) return false;
  if (!state.jobs.has(id)) merge(job);
  set({ current: id, view, stable: job.stable ?? null });
  const lost = await restore(asked(job));
  if (lost.photo) set({ photo: null, current: id });
  return true;
}

export function beside(way) {
  const all = jobs().filter((job) => job.preview);
  const at = all.findIndex((job) => job.id === state.current);
  const next = all[at < 0 ? 0 : at + way];
  return next ? open(next.id) : null;
}
