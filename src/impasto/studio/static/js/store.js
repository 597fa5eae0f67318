/** What the page knows; whoever shows a part of it watches its keys. */

export const state = {
  styles: [], // of the gallery
  methods: [],
  samples: [],
  limits: {},
  own: [], // styles of the visitor: {name, title, swatch}
  photo: null, // {id, kind, width, height, url, alpha, title, seconds, expires}
  mix: [], // {source, weight}
  regions: [], // {key, upload, style, dirty}
  region: null, // key of the region that is being drawn
  settings: {}, // of the Recipe, without photo, styles and masks
  stable: null,
  estimates: null, // {method: {seconds, ...}}
  waiting: null, // {waiting, seconds} of the queue
  jobs: new Map(),
  current: null, // id of the job on the easel
  sending: null, // what is on its way to the server: {text, fraction}
  view: "easel",
  connection: "new", // "new" | "open" | "lost"
  language: "en",
};

const watchers = new Map();
let dirty = new Set();

/** `show` runs once now or soon after any of these keys changed, however often they did. */
export function watch(keys, show) {
  for (const key of keys) watchers.set(key, [...(watchers.get(key) ?? []), show]);
}

export function set(values) {
  Object.assign(state, values);
  if (!dirty.size) queueMicrotask(tell);
  for (const key of Object.keys(values)) dirty.add(key);
}

function tell() {
  const keys = dirty;
  dirty = new Set();
  const shows = new Set([...keys].flatMap((key) => watchers.get(key) ?? []));
  for (const show of shows) show();
}

export const job = (id = state.current) => (id ? (state.jobs.get(id) ?? null) : null);

export const unfinished = (one) => one?.state === "queued" || one?.state === "running";

export const jobs = () => [...state.jobs.values()].sort((a, b) => (a.created < b.created ? 1 : -1));

export function remember(name, value) {
  try {
    localStorage.setItem(`impasto.${name}`, JSON.stringify(value));
  } catch {
    // private windows and full disks: the page works on, it only forgets
  }
}

export function recall(name, fallback = null) {
  try {
    return JSON.parse(localStorage.getItem(`impasto.${name}`)) ?? fallback;
  } catch {
    return fallback;
  }
}
