/** A view of a large image at any zoom, from tiles: only what is seen is loaded. */

import { api } from "./api.js";
import { button, el } from "./dom.js";

const MAX_SCALE = 32;
const CACHED_TILES = 200;

/**
 * A viewer of the image whose pyramid is at `path`. `overlay(context, view)` draws on top of it; `onPointer(event, point)`
 * may take pointer events (returns true). `before`: the pyramid of an image that a slider shows instead. Views that are linked (`link`) move together.
 */
export async function openViewer(path, { overlay = () => {}, onPointer = () => false, name = "Image", before = null } = {}) {
  const pyramid = await api("GET", path);
  const under = before && (await beforeLayer(before, () => draw()));
  const canvas = el("canvas", { tabindex: 0, role: "img", "aria-label": `${name}; plus and minus zoom, arrow keys move, 0 fits, 1 is full size` });
  const context = canvas.getContext("2d");
  const view = { scale: 1, x: 0, y: 0, width: pyramid.width, height: pyramid.height };
  const tiles = tileSource(path, pyramid, () => draw());
  const viewer = { element: null, view, canvas, draw, fit, linked: [], pyramid };
  let isFitted = true;

  function resize() {
    const ratio = window.devicePixelRatio || 1;
    const width = Math.max(1, Math.round(canvas.clientWidth * ratio));
    const height = Math.max(1, Math.round(canvas.clientHeight * ratio));
    if (canvas.width === width && canvas.height === height) return;
    Object.assign(canvas, { width, height });
    if (isFitted) fit();
    else draw();
  }
  function fit() {
    isFitted = true;
    view.scale = Math.min(canvas.width / view.width, canvas.height / view.height);
    view.x = (canvas.width - view.width * view.scale) / 2;
    view.y = (canvas.height - view.height * view.scale) / 2;
    moved();
  }
  function zoom(factor, x = canvas.width / 2, y = canvas.height / 2) {
    const smallest = Math.min(1, 0.5 * Math.min(canvas.width / view.width, canvas.height / view.height));
    const scale = Math.min(MAX_SCALE, Math.max(smallest, view.scale * factor));
    view.x = x - ((x - view.x) * scale) / view.scale;
    view.y = y - ((y - view.y) * scale) / view.scale;
    view.scale = scale;
    isFitted = false;
    moved();
  }
  function pan(x, y) {
    view.x += x;
    view.y += y;
    isFitted = false;
    moved();
  }
  function moved() {
    draw();
    for (const other of viewer.linked) other.follow(viewer);
  }
  // the same place of another image, which may have another size
  viewer.follow = (leader) => {
    const ratio = leader.view.width / view.width;
    Object.assign(view, { scale: leader.view.scale * ratio, x: leader.view.x, y: leader.view.y });
    isFitted = false;
    draw();
  };
  let isDue = false;
  function draw() {
    if (isDue) return;
    isDue = true;
    requestAnimationFrame(() => {
      isDue = false;
      context.setTransform(1, 0, 0, 1, 0, 0);
      context.clearRect(0, 0, canvas.width, canvas.height);
      context.imageSmoothingEnabled = view.scale < 1;
      tiles.draw(context, view, canvas);
      under?.draw(context, view, canvas);
      overlay(context, view);
    });
  }
  gestures(canvas, { view, zoom, pan, onPointer });
  canvas.addEventListener("keydown", (event) => {
    const by = canvas.width / 10;
    const actions = {
      "+": () => zoom(1.5), "=": () => zoom(1.5), "-": () => zoom(1 / 1.5), 0: fit, 1: () => zoom(1 / view.scale),
      ArrowLeft: () => pan(by, 0), ArrowRight: () => pan(-by, 0), ArrowUp: () => pan(0, by), ArrowDown: () => pan(0, -by),
    };
    if (!actions[event.key] || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    actions[event.key]();
  });
  viewer.element = el("div", { class: "viewer" }, canvas, el("div", { class: "zoom" },
    button("−", () => zoom(1 / 1.5), { class: "small", "aria-label": "Zoom out" }), button("+", () => zoom(1.5), { class: "small", "aria-label": "Zoom in" }),
    button("Fit", fit, { class: "small" }), button("1:1", () => zoom(1 / view.scale), { class: "small", "aria-label": "Full size" })), under?.slider ?? "");
  new ResizeObserver(resize).observe(canvas);
  return viewer;
}

/** Another image of the same scene, at the left of a line that a slider moves; it may have another size. */
async function beforeLayer(path, onChange) {
  const pyramid = await api("GET", path);
  const tiles = tileSource(path, pyramid, onChange);
  const slider = el("input", { type: "range", class: "before", min: 0, max: 100, value: 50, "aria-label": "Content image and result", oninput: onChange });
  function draw(context, view, canvas) {
    const edge = Math.round((canvas.width * slider.value) / 100);
    context.save();
    context.beginPath();
    context.rect(0, 0, edge, canvas.height);
    context.clip();
    context.clearRect(0, 0, edge, canvas.height);
    const scale = (view.scale * view.width) / pyramid.width;
    context.imageSmoothingEnabled = scale < 1;
    tiles.draw(context, { ...view, scale }, canvas);
    context.restore();
    context.fillStyle = "#fff";
    context.fillRect(edge - 1, 0, 2, canvas.height);
  }
  return { draw, slider };
}

function tileSource(path, { tile, levels, width, height }, onLoad) {
  const cache = new Map();
  function load(level, column, row) {
    const key = `${level}/${column}/${row}`;
    if (!cache.has(key)) {
      const image = new Image();
      image.onload = onLoad;
      image.src = `${path}/${key}`;
      cache.set(key, image);
      if (cache.size > CACHED_TILES) cache.delete(cache.keys().next().value);
    }
    const image = cache.get(key);
    cache.delete(key); // the tiles that were used last are at the end
    cache.set(key, image);
    return image.complete && image.naturalWidth ? image : null;
  }
  function drawLevel(context, view, canvas, level) {
    const size = tile * 2 ** level; // of a tile in pixels of the image
    const first = [Math.max(0, Math.floor(-view.x / view.scale / size)), Math.max(0, Math.floor(-view.y / view.scale / size))];
    const last = [Math.min(Math.ceil(width / size), Math.ceil((canvas.width - view.x) / view.scale / size)),
      Math.min(Math.ceil(height / size), Math.ceil((canvas.height - view.y) / view.scale / size))];
    for (let row = first[1]; row < last[1]; row += 1) {
      for (let column = first[0]; column < last[0]; column += 1) {
        const image = load(level, column, row);
        if (!image) continue;
        const x = view.x + column * size * view.scale;
        const y = view.y + row * size * view.scale;
        const scale = 2 ** level * view.scale;
        // the last tile of a reduced level is rounded up: it must not reach beyond the image
        const w = Math.min(image.naturalWidth * scale, (width - column * size) * view.scale);
        const h = Math.min(image.naturalHeight * scale, (height - row * size) * view.scale);
        context.drawImage(image, x, y, w, h);
      }
    }
  }
  return {
    draw(context, view, canvas) {
      const best = Math.min(levels - 1, Math.max(0, Math.floor(Math.log2(1 / view.scale))));
      if (best < levels - 1) drawLevel(context, view, canvas, levels - 1); // until the others are there
      drawLevel(context, view, canvas, best);
    },
  };
}

/** Pointer gestures: one pointer moves, two pinch, the wheel zooms; positions are in pixels of the canvas. */
function gestures(canvas, { view, zoom, pan, onPointer }) {
  const pointers = new Map();
  const ratio = () => canvas.width / canvas.clientWidth;
  const place = (event) => [event.offsetX * ratio(), event.offsetY * ratio()];
  const point = ([x, y]) => [(x - view.x) / view.scale, (y - view.y) / view.scale];
  const middle = () => {
    const [one, other] = [...pointers.values()];
    return { x: (one[0] + other[0]) / 2, y: (one[1] + other[1]) / 2, distance: Math.hypot(one[0] - other[0], one[1] - other[1]) };
  };
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, place(event));
    if (pointers.size === 1) onPointer(event, point(place(event)));
    else onPointer({ type: "pointercancel" }, [0, 0]);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!pointers.has(event.pointerId)) {
      onPointer(event, point(place(event)));
      return;
    }
    const before = pointers.get(event.pointerId);
    const start = pointers.size === 2 ? middle() : null;
    pointers.set(event.pointerId, place(event));
    if (start) {
      const end = middle();
      pan(end.x - start.x, end.y - start.y);
      zoom(end.distance / Math.max(1, start.distance), end.x, end.y);
    } else {
      const events = event.getCoalescedEvents?.() ?? [];
      const taken = (events.length ? events : [event]).map((each) => onPointer(each, point(place(each))));
      if (!taken.some(Boolean)) pan(place(event)[0] - before[0], place(event)[1] - before[1]);
    }
  });
  for (const type of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(type, (event) => {
      if (pointers.delete(event.pointerId)) onPointer(event, point(place(event)));
    });
  }
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0015)), ...place(event));
  }, { passive: false });
}
