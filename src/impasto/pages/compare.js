"use strict";
const ZOOM = 3;
const dialog = document.querySelector("dialog");
const slider = dialog.querySelector("input");
const stage = dialog.querySelector(".stage");
const after = dialog.querySelector(".after");
const before = dialog.querySelector(".before");
let shown = null;

// The lens: the same spot of every picture of a row, ZOOM times as large.
for (const pair of document.querySelectorAll(".pair")) {
  const pictures = [...pair.querySelectorAll(".picture")];
  const drop = () => pair.querySelectorAll(".lens").forEach((lens) => lens.remove());
  for (const picture of pictures) {
    picture.addEventListener("pointermove", (event) => {
      if (event.pointerType === "touch") return;
      const box = picture.getBoundingClientRect();
      const x = (event.clientX - box.left) / box.width;
      const y = (event.clientY - box.top) / box.height;
      pictures.forEach((other) => place(other, x, y));
    });
    picture.addEventListener("pointerleave", drop);
    picture.addEventListener("click", () => { drop(); open(picture); });
  }
}

function place(picture, x, y) {
  const image = picture.querySelector("img");
  let lens = picture.querySelector(".lens");
  if (!lens) {
    lens = document.createElement("span");
    lens.className = "lens";
    lens.style.backgroundImage = `url("${image.src}")`;
    picture.append(lens);
  }
  const { clientWidth: width, clientHeight: height } = image;
  const radius = lens.offsetWidth / 2;
  lens.style.left = `${x * width}px`;
  lens.style.top = `${y * height}px`;
  lens.style.backgroundSize = `${width * ZOOM}px ${height * ZOOM}px`;
  lens.style.backgroundPosition = `${radius - x * width * ZOOM}px ${radius - y * height * ZOOM}px`;
}

// Before and after: the photo is drawn over the picture, as far as the slider says.
function open(picture) {
  shown = picture;
  const pair = picture.closest(".pair");
  const painted = picture.querySelector("img");
  const photo = pair.querySelector(".original img");
  after.src = painted.src;
  after.alt = painted.alt;
  before.src = (photo || painted).src;
  before.alt = "";
  dialog.querySelector(".title").textContent = picture.closest("figure").querySelector("h3").textContent;
  stage.style.setProperty("--aspect", painted.getAttribute("width") / painted.getAttribute("height"));
  draw(slider.value);
  if (dialog.open) return;
  dialog.showModal();
  slider.focus();  // so that the arrow keys move it
}

function draw(percent) {
  slider.value = percent;
  before.style.clipPath = `inset(0 ${100 - percent}% 0 0)`;
  dialog.querySelector(".line").style.left = `${percent}%`;
}

function step(by) {
  const pictures = [...shown.closest(".pair").querySelectorAll(".picture")];
  const next = pictures.indexOf(shown) + by;
  open(pictures[(next + pictures.length) % pictures.length]);
}

slider.addEventListener("input", () => draw(slider.value));
stage.addEventListener("pointermove", (event) => {
  if (event.pointerType === "mouse" || event.buttons) {
    const box = event.currentTarget.getBoundingClientRect();
    draw((100 * (event.clientX - box.left)) / box.width);
  }
});
dialog.querySelectorAll(".step").forEach((button) =>
  button.addEventListener("click", () => step(Number(button.dataset.step))));
dialog.querySelector(".close").addEventListener("click", () => dialog.close());
dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
