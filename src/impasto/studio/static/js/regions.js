/** Regions: what is drawn where, one canvas each; white is what a region's style paints. */

import { css } from "./dom.js";
import { set, state } from "./store.js";

const SIDE = 1024; // longest side of a mask; edges are feathered anyway

const canvases = new Map();

export const region = (key = state.region) => state.regions.find((one) => one.key === key) ?? null;

export function add(upload = null) {
  const key = `r${Date.now()}`;
  const made = { key, upload, style: null, dirty: false };
  set({ regions: [...state.regions, made], region: upload ? state.region : key });
  return key;
}

export function removeRegion(key) {
  canvases.delete(key);
  const region = state.region === key ? null : state.region;
  set({ regions: state.regions.filter((one) => one.key !== key), region });
}

/** The canvas of a region, drawn on first use from what the server keeps of it. */
export function canvas(key) {
  if (canvases.has(key)) return canvases.get(key);
  const { width = 1, height = 1 } = state.photo ?? {};
  const scale = Math.min(1, SIDE / Math.max(width, height));
  const made = document.createElement("canvas");
  made.width = Math.max(1, Math.round(width * scale));
  made.height = Math.max(1, Math.round(height * scale));
  canvases.set(key, made);
  const { upload } = region(key) ?? {};
  if (upload && upload !== "alpha") recalled(made, upload);
  return made;
}

/** A mask that was sent: its white becomes what is drawn. */
function recalled(made, upload) {
  const image = new Image();
  image.onload = () => {
    const pen = made.getContext("2d");
    pen.drawImage(image, 0, 0, made.width, made.height);
    const pixels = pen.getImageData(0, 0, made.width, made.height);
    for (let at = 0; at < pixels.data.length; at += 4) {
      pixels.data[at + 3] = (pixels.data[at + 3] * pixels.data[at]) / 255;
      pixels.data.fill(255, at, at + 3);
    }
    pen.putImageData(pixels, 0, 0);
    set({ region: state.region });
  };
  image.src = `/v1/uploads/${upload}/preview`;
}

export function touched(key) {
  const one = region(key);
  if (one?.dirty) return;
  set({ regions: state.regions.map((other) => (other === one ? { ...one, dirty: true } : other)) });
}

export function drawn(key) {
  const from = canvas(key);
  const whole = document.createElement("canvas");
  [whole.width, whole.height] = [from.width, from.height];
  const pen = whole.getContext("2d");
  pen.fillRect(0, 0, whole.width, whole.height);
  pen.drawImage(from, 0, 0);
  return new Promise((resolve) => whole.toBlob(resolve, "image/png"));
}

/** Show a region on `screen` as a veil of `color`, as soft at the edge as it will be painted. */
export function veil(screen, key, color, feather) {
  const from = canvas(key);
  [screen.width, screen.height] = [from.width, from.height];
  const pen = screen.getContext("2d");
  const blur = (feather / 100) * Math.max(from.width, from.height);
  pen.filter = blur ? `blur(${blur}px)` : "none";
  pen.drawImage(from, 0, 0);
  pen.filter = "none";
  pen.globalCompositeOperation = "source-in";
  pen.fillStyle = color;
  pen.fillRect(0, 0, screen.width, screen.height);
  pen.globalCompositeOperation = "source-over";
  css(screen, { opacity: "0.7" });
}
