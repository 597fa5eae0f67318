/** Calls of the server; whatever goes wrong is a Problem in words. */

import { duration, number, t } from "./i18n.js";

/** RFC 9457: what the server says went wrong, or that there is no server. */
export class Problem extends Error {
  constructor(status, body, retry) {
    super(words(status, body, retry));
    this.status = status;
  }
}

function words(status, body, retry) {
  if (!status) return t("error.unreachable");
  if (status === 401 || status === 403) return body?.detail ?? t("error.forbidden");
  const text = body?.detail ?? body?.title ?? t("error.status", { status });
  return status === 429 && retry ? `${text} ${t("error.retry", { time: duration(retry) })}` : text;
}

export async function call(method, path, { json, headers = {}, keep } = {}) {
  const body = json === undefined ? undefined : JSON.stringify(json);
  if (body) headers = { ...headers, "Content-Type": "application/json" };
  let answer;
  try {
    answer = await fetch(path, { method, body, headers, keepalive: keep });
  } catch {
    throw new Problem(0);
  }
  const kind = answer.headers.get("Content-Type") ?? "";
  const data = kind.includes("json") ? await answer.json().catch(() => null) : null;
  if (!answer.ok) throw new Problem(answer.status, data, Number(answer.headers.get("Retry-After")));
  return data;
}

export const get = (path) => call("GET", path);
export const post = (path, json, headers) => call("POST", path, { json, headers });

/** Send a file as it is; `tell` hears how much has arrived, 0 to 1. */
export function upload(file, tell = () => {}) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", "/v1/uploads");
    request.responseType = "json";
    request.setRequestHeader("Content-Type", file.type || "application/octet-stream");
    request.upload.onprogress = (event) => tell(event.loaded / event.total);
    request.onerror = () => reject(new Problem(0));
    request.onload = () => {
      const retry = Number(request.getResponseHeader("Retry-After"));
      if (request.status < 300) resolve(request.response);
      else reject(new Problem(request.status, request.response, retry));
    };
    request.send(file);
  });
}

/** Whether the server says that an upload is not there; its silence says nothing. */
export const gone = (id) => get(`/v1/uploads/${id}`).then(() => false, (error) => error.status === 404);

/** What would be refused anyway, said before it is sent. */
export function tooLarge(file, limits) {
  const film = file.type.startsWith("video/");
  const most = film ? limits.film_bytes : limits.upload_bytes;
  if (!most || file.size <= most) return null;
  const values = { size: number(file.size / 1e6, 1), most: number(most / 1e6) };
  return film ? t("error.film_bytes", values) : t("error.upload_bytes", values);
}

/** For a call that must not happen twice, however often it is sent. */
export const fresh = () => [...crypto.getRandomValues(new Uint8Array(16))].map((b) => b.toString(16).padStart(2, "0")).join("");
