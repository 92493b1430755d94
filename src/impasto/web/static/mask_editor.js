/** The mask editor: brush, eraser and rectangle on the content image, with a mouse, a pen or a finger. */

import { upload } from "./api.js";
import { attempt, confirm, toast } from "./dialogs.js";
import { button, el, newId } from "./dom.js";
import { MaskImage, resized } from "./mask_image.js";
import { decodeGray, encodeGray } from "./png.js";
import { state } from "./state.js";
import { openViewer } from "./viewer.js";

const COLOR = [214, 64, 96];
const OPACITY = 0.55;

/** Edit the mask (the id of a file, or null) of a content image; `take` gets the new id, or null if it is empty. */
export async function editMask(heading, file, mask, take) {
  const image = new MaskImage(file.width, file.height);
  if (mask) image.values = (await loadMask(`/api/files/${mask === "alpha" ? `${file.id}/mask?from=alpha` : `${mask}/content`}`, file)).values;
  const brush = { white: true, isRectangle: false, size: Math.round(Math.max(file.width, file.height) / 12), softness: 0.3 };
  const overlay = overlayOf(image);
  let last = null;
  let corner = null;
  let pointer = null;
  const viewer = await openViewer(`/api/files/${file.id}/tiles`, { name: heading, overlay: draw, onPointer });

  function draw(context, view) {
    overlay(context, view);
    if (!pointer || brush.isRectangle) return;
    context.beginPath();
    context.arc(view.x + pointer[0] * view.scale, view.y + pointer[1] * view.scale, (brush.size / 2) * view.scale, 0, 2 * Math.PI);
    context.strokeStyle = "#fff";
    context.lineWidth = 3;
    context.stroke();
    context.strokeStyle = "#000";
    context.lineWidth = 1;
    context.stroke();
  }
  function onPointer(event, point) {
    pointer = event.type === "pointercancel" ? null : point;
    const isMove = event.type === "pointermove" || event.type === "pointerrawupdate";
    if (event.type === "pointerdown" && event.button === 0 && !event.shiftKey) {
      image.begin();
      last = corner = point;
      stroke(event, point);
    } else if (isMove && last) {
      stroke(event, point);
    } else if (event.type === "pointerup") {
      image.end();
      last = null;
      controls.show();
    } else if (event.type === "pointercancel") {
      image.abandon(); // a second finger: the image is moved
      last = null;
    }
    viewer.draw();
    return last !== null;
  }
  function stroke(event, point) {
    if (brush.isRectangle) {
      image.abandon();
      image.begin();
      image.rectangle(corner, point, brush.white);
      return;
    }
    // a pen presses: light strokes are thin
    const pressure = event.pointerType === "pen" && event.pressure > 0 ? 0.2 + 0.8 * event.pressure : 1;
    image.paint(last, point, (brush.size / 2) * pressure, brush.softness, brush.white !== (event.buttons === 32));
    last = point;
  }
  // without a pointer: the arrow keys move the image below the brush, and the space bar paints in the middle
  viewer.canvas.addEventListener("keydown", (event) => {
    if (event.key !== " ") return;
    event.preventDefault();
    const { view, canvas } = viewer;
    pointer = [(canvas.width / 2 - view.x) / view.scale, (canvas.height / 2 - view.y) / view.scale];
    image.begin();
    image.paint(pointer, pointer, brush.size / 2, brush.softness, brush.white);
    image.end();
    redraw();
  });
  const redraw = () => {
    controls.show();
    viewer.draw();
  };
  const controls = toolbar(image, brush, file, redraw);
  const close = () => {
    if (!image.done.length) dialog.close();
    else confirm("Discard the changes", "The mask stays as it was before.", () => dialog.close());
  };
  const save = async () => {
    const isEmpty = image.values.every((value) => value === 0);
    const made = isEmpty ? null : await upload(await encodeGray(file.width, file.height, image.values), `mask-of-${file.name.replace(/\.\w+$/, "")}.png`);
    take(made?.id ?? null);
    dialog.close();
  };
  const dialog = el("dialog", { class: "wide", "aria-label": heading, onkeydown: (event) => shortcut(event, image, redraw) },
    el("div", { class: "mask-editor" }, controls.element, viewer.element,
      el("div", { class: "row" }, el("span", { class: "grow quiet" }, `${heading}: paint what belongs to it. Two fingers, or Shift and the mouse, move the image; the wheel zooms. Keys: arrows move, Space paints in the middle.`),
        button("Close without saving", close), button("Save mask", () => attempt(save), { class: "primary" }))));
  dialog.addEventListener("cancel", (event) => {
    event.preventDefault();
    close();
  });
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}

function shortcut(event, image, redraw) {
  if (!(event.ctrlKey || event.metaKey) || event.key.toLowerCase() !== "z") return;
  event.preventDefault();
  if (event.shiftKey) image.redo();
  else image.undo();
  redraw();
}

/** The mask in a file, at the size of the image. */
async function loadMask(source, file) {
  const blob = typeof source === "string" ? await fetched(source) : source;
  const decoded = await decodeGray(blob);
  if (decoded.width === file.width && decoded.height === file.height) return decoded;
  toast(`The mask had ${decoded.width} × ${decoded.height} pixels; it is resized to ${file.width} × ${file.height}.`);
  return { values: resized(decoded, file.width, file.height) };
}

async function fetched(path) {
  const response = await fetch(path);
  if (!response.ok) throw new Error((await response.json()).error);
  return response.blob();
}

function toolbar(image, brush, file, redraw) {
  const tools = [["Brush", true, false], ["Eraser", false, false], ["Rectangle", true, true]].map(([text, white, isRectangle]) => ({
    white, isRectangle, element: button(text, () => {
      Object.assign(brush, { white, isRectangle });
      show();
    }),
  }));
  const undo = button("Undo", () => { image.undo(); redraw(); });
  const redo = button("Redo", () => { image.redo(); redraw(); });
  const slider = (text, properties, change) => {
    const id = newId("brush");
    return el("label", { for: id }, text, el("input", { type: "range", id, ...properties, oninput: (event) => change(Number(event.target.value)) }));
  };
  const most = Math.log2(Math.max(file.width, file.height));
  const size = slider("Size", { min: 0, max: most, step: "any", value: Math.log2(brush.size) }, (value) => { brush.size = 2 ** value; redraw(); });
  const softness = slider("Softness", { min: 0, max: 1, step: 0.05, value: brush.softness }, (value) => { brush.softness = value; });
  const all = (text, make) => button(text, () => { image.change(make); redraw(); });
  const take = (load) => attempt(async () => {
    const { values } = await load();
    image.change((_, at) => values[at]);
    redraw();
  });
  const chooser = newId("mask-file");
  const input = el("input", { type: "file", id: chooser, class: "sr", accept: "image/*", "aria-label": "Mask from a file", onchange: () => take(() => loadMask(input.files[0], file)) });
  const from = (kind) => () => take(() => loadMask(`/api/files/${file.id}/mask?from=${kind}`, file));
  function show() {
    for (const { element: tool, ...kind } of tools) {
      tool.setAttribute("aria-pressed", String(brush.white === kind.white && brush.isRectangle === kind.isRectangle));
    }
    undo.disabled = !image.done.length;
    redo.disabled = !image.undone.length;
  }
  show();
  const element = el("div", { class: "row", role: "toolbar", "aria-label": "Tools" }, tools.map((tool) => tool.element), size, softness, undo, redo,
    all("Invert", (value) => 255 - value), all("Fill", () => 255), all("Clear", () => 0),
    el("label", { class: "button", for: chooser }, "From a file"), input,
    file.has_alpha ? button("From alpha", from("alpha")) : null, state.setup.faces ? button("From faces", from("faces")) : null);
  return { element, show };
}

/** A function that draws the visible part of a mask in a color. */
function overlayOf(image) {
  const buffer = document.createElement("canvas");
  const target = buffer.getContext("2d");
  return (context, view) => {
    const { width, height } = context.canvas;
    const [left, top] = [Math.max(0, Math.floor(view.x)), Math.max(0, Math.floor(view.y))];
    const [right, bottom] = [Math.min(width, Math.ceil(view.x + view.width * view.scale)), Math.min(height, Math.ceil(view.y + view.height * view.scale))];
    if (right <= left || bottom <= top) return;
    Object.assign(buffer, { width: right - left, height: bottom - top });
    const pixels = target.createImageData(right - left, bottom - top);
    const columns = new Int32Array(right - left).map((_, x) => Math.min(image.width - 1, Math.max(0, Math.floor((left + x + 0.5 - view.x) / view.scale))));
    const words = new Uint32Array(pixels.data.buffer);
    const color = COLOR[0] | (COLOR[1] << 8) | (COLOR[2] << 16);
    for (let y = 0; y < bottom - top; y += 1) {
      const row = Math.min(image.height - 1, Math.max(0, Math.floor((top + y + 0.5 - view.y) / view.scale))) * image.width;
      for (let x = 0; x < columns.length; x += 1) {
        const value = image.values[row + columns[x]];
        if (value) words[y * columns.length + x] = color | (Math.round(value * OPACITY) << 24);
      }
    }
    target.putImageData(pixels, 0, 0);
    context.drawImage(buffer, left, top);
  };
}
