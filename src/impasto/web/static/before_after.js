/** Two images on top of each other, and a slider that says where one ends and the other begins. */

import { el, newId } from "./dom.js";

/** `before` and `after` are {src, alt}. */
export function beforeAfter(before, after) {
  const id = newId("compare");
  const top = el("img", { ...before, class: "top-image" });
  const line = el("div", { class: "line" });
  const images = el("div", { class: "before-after" }, el("img", after), top, line);
  const input = el("input", { type: "range", id, min: 0, max: 100, value: 50, oninput: show });
  function show() {
    top.style.clipPath = `inset(0 ${100 - input.value}% 0 0)`;
    line.style.left = `${input.value}%`;
  }
  // the image itself can be dragged, too
  images.addEventListener("pointermove", (event) => {
    if (event.buttons !== 1 && event.pointerType === "mouse") return;
    const box = images.getBoundingClientRect();
    input.value = (100 * (event.clientX - box.left)) / box.width;
    show();
  });
  images.addEventListener("dragstart", (event) => event.preventDefault());
  show();
  return { images, slider: el("div", { class: "slider" }, el("label", { for: id, class: "quiet" }, "Content image and result"), input) };
}
