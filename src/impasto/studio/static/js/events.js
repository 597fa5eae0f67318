/** The stream of what happens to one's own jobs; it comes back by itself. */

import { get } from "./api.js";
import { hear } from "./dom.js";
import { set, state, unfinished } from "./store.js";

const LONGEST = 8000;

let source = null;
let pause = 500;
let timer;

export function follow() {
  clearTimeout(timer);
  source?.close();
  source = new EventSource("/v1/events");
  hear(source, "job", (event) => merge(JSON.parse(event.data)));
  hear(source, "gone", (event) => drop(JSON.parse(event.data).id));
  source.onopen = () => {
    pause = 500;
    set({ connection: "open" });
    refresh().catch(() => {}); // what was deleted while we were away
  };
  source.onerror = () => {
    source.close();
    set({ connection: "lost" });
    timer = setTimeout(follow, pause);
    pause = Math.min(LONGEST, pause * 2);
  };
}

export function followAtOnce() {
  if (state.connection === "lost") follow();
}

/** An event may overtake an answer: what is finished stays finished. */
export function merge(job) {
  if (finished(state.jobs.get(job.id)) && !finished(job)) return;
  state.jobs.set(job.id, job);
  set({ jobs: state.jobs });
}

const finished = (job) => Boolean(job) && !unfinished(job);

export function drop(id) {
  state.jobs.delete(id);
  const current = state.current === id ? null : state.current;
  set({ jobs: state.jobs, current });
}

/** The list as the server has it, the newest of it. */
export async function refresh() {
  const { jobs } = await get("/v1/jobs?limit=200");
  const kept = [...state.jobs.values()].filter((old) => jobs.length === 200 && old.created < jobs.at(-1).created);
  set({ jobs: new Map([...kept, ...jobs].map((job) => [job.id, job])) });
}
