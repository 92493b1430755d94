/** A mask at the full size of its image: drawing and undo. Coordinates are in pixels; (0, 0) is the top left corner. */

const TILE = 256;
const UNDO_BYTES = 2 ** 29;

/** A mask of width x height values, 0 (black) to 255 (white). */
export class MaskImage {
  constructor(width, height, values = new Uint8Array(width * height)) {
    Object.assign(this, { width, height, values });
    this.undone = [];
    this.done = [];
    this.stroke = null;
  }

  /** Begin a change that is undone as one. */
  begin() {
    this.stroke = new Map();
  }

  /** End it. */
  end() {
    if (this.stroke?.size) {
      this.done.push(this.stroke);
      this.undone = [];
      this.limitUndo();
    }
    this.stroke = null;
  }

  /** Undo what the present change has done so far, and end it. */
  abandon() {
    for (const [index, tile] of this.stroke ?? []) this.restore(index, tile);
    this.stroke = null;
  }

  /**
   * Paint from one point to another: pixels whose centers are nearer than `radius` become `white` or black. `softness`,
   * 0 to 1, is the share of the radius over which the edge falls off. Returns the rectangle that has changed.
   */
  paint([x0, y0], [x1, y1], radius, softness, white) {
    const left = Math.max(0, Math.floor(Math.min(x0, x1) - radius));
    const right = Math.min(this.width, Math.ceil(Math.max(x0, x1) + radius));
    const top = Math.max(0, Math.floor(Math.min(y0, y1) - radius));
    const bottom = Math.min(this.height, Math.ceil(Math.max(y0, y1) + radius));
    if (left >= right || top >= bottom) return null;
    const line = [x0, y0, x1, y1];
    const inner = radius * (1 - softness);
    for (let y = top; y < bottom; y += 1) {
      const outside = span(line, y + 0.5, radius, left, right);
      if (!outside) continue;
      this.keep(outside[0], y, outside[1], y + 1);
      const inside = inner > 0 ? span(line, y + 0.5, inner, left, right) : null;
      const [from, to] = inside ?? [outside[1], outside[1]];
      this.fade(line, y, outside[0], from, radius, inner, white);
      this.values.fill(white ? 255 : 0, y * this.width + from, y * this.width + to);
      this.fade(line, y, to, outside[1], radius, inner, white);
    }
    return [left, top, right, bottom];
  }

  /** Set the pixels of a rectangle between two points, whose edges are rounded to whole pixels. */
  rectangle([x0, y0], [x1, y1], white) {
    const limit = (value, most) => Math.min(most, Math.max(0, Math.round(value)));
    const [left, right] = [limit(Math.min(x0, x1), this.width), limit(Math.max(x0, x1), this.width)];
    const [top, bottom] = [limit(Math.min(y0, y1), this.height), limit(Math.max(y0, y1), this.height)];
    if (left >= right || top >= bottom) return;
    this.keep(left, top, right, bottom);
    for (let y = top; y < bottom; y += 1) this.values.fill(white ? 255 : 0, y * this.width + left, y * this.width + right);
  }

  /** Paint pixels of a row whose distances lie between `inner` and `radius`. */
  fade([x0, y0, x1, y1], y, from, to, radius, inner, white) {
    const [dx, dy] = [x1 - x0, y1 - y0];
    const length = dx * dx + dy * dy;
    const py = y + 0.5 - y0;
    for (let x = from; x < to; x += 1) {
      const px = x + 0.5 - x0;
      const along = length ? Math.min(1, Math.max(0, (px * dx + py * dy) / length)) : 0;
      const [ax, ay] = [px - along * dx, py - along * dy];
      const distance = Math.sqrt(ax * ax + ay * ay);
      if (distance > radius) continue;
      const amount = distance <= inner ? 255 : Math.round((255 * (radius - distance)) / (radius - inner));
      const at = y * this.width + x;
      if (white) this.values[at] = Math.max(this.values[at], amount);
      else this.values[at] = Math.min(this.values[at], 255 - amount);
    }
  }

  /** Change every value. */
  change(make) {
    this.begin();
    this.keep(0, 0, this.width, this.height);
    for (let at = 0; at < this.values.length; at += 1) this.values[at] = make(this.values[at], at);
    this.end();
  }

  /** Undo the last change; returns whether there was one. */
  undo() {
    return this.swap(this.done, this.undone);
  }

  /** Do the last undone change again. */
  redo() {
    return this.swap(this.undone, this.done);
  }

  swap(from, to) {
    const tiles = from.pop();
    if (!tiles) return false;
    const now = new Map();
    for (const [index, tile] of tiles) {
      now.set(index, this.copy(index));
      this.restore(index, tile);
    }
    to.push(now);
    return true;
  }

  /** Keep the tiles of a rectangle as they are before the present change. */
  keep(left, top, right, bottom) {
    const columns = Math.ceil(this.width / TILE);
    for (let row = Math.floor(top / TILE); row <= Math.floor((bottom - 1) / TILE); row += 1) {
      for (let column = Math.floor(left / TILE); column <= Math.floor((right - 1) / TILE); column += 1) {
        const index = row * columns + column;
        if (this.stroke && !this.stroke.has(index)) this.stroke.set(index, this.copy(index));
      }
    }
  }

  area(index) {
    const columns = Math.ceil(this.width / TILE);
    const [left, top] = [(index % columns) * TILE, Math.floor(index / columns) * TILE];
    return [left, top, Math.min(this.width, left + TILE), Math.min(this.height, top + TILE)];
  }

  /** A copy of a tile; one number if all of its values are equal. */
  copy(index) {
    const [left, top, right, bottom] = this.area(index);
    const tile = new Uint8Array((right - left) * (bottom - top));
    for (let y = top; y < bottom; y += 1) {
      tile.set(this.values.subarray(y * this.width + left, y * this.width + right), (y - top) * (right - left));
    }
    for (let at = 1; at < tile.length; at += 1) if (tile[at] !== tile[0]) return tile;
    return tile[0];
  }

  restore(index, tile) {
    const [left, top, right, bottom] = this.area(index);
    for (let y = top; y < bottom; y += 1) {
      const target = this.values.subarray(y * this.width + left, y * this.width + right);
      if (typeof tile === "number") target.fill(tile);
      else target.set(tile.subarray((y - top) * (right - left), (y - top + 1) * (right - left)));
    }
  }

  /** Forget the oldest changes when all of them together are too large. */
  limitUndo() {
    const size = (tiles) => [...tiles.values()].reduce((sum, tile) => sum + (tile.length ?? 1), 0);
    let total = this.done.reduce((sum, tiles) => sum + size(tiles), 0);
    while (total > UNDO_BYTES && this.done.length > 1) total -= size(this.done.shift());
  }
}

/** Gray values at another size: those of the nearest pixels. */
export function resized({ width, height, values }, newWidth, newHeight) {
  const result = new Uint8Array(newWidth * newHeight);
  for (let y = 0; y < newHeight; y += 1) {
    const row = Math.floor(((y + 0.5) * height) / newHeight) * width;
    for (let x = 0; x < newWidth; x += 1) result[y * newWidth + x] = values[row + Math.floor(((x + 0.5) * width) / newWidth)];
  }
  return result;
}

/**
 * The pixels of a row whose centers (at height `y`) are within `radius` of a line: [first, end], or null. They are one
 * span, since the shape is convex: two disks and the band between them.
 */
function span([x0, y0, x1, y1], y, radius, left, right) {
  let [low, high] = [Infinity, -Infinity];
  const include = (from, to) => {
    low = Math.min(low, from);
    high = Math.max(high, to);
  };
  for (const [x, center] of [[x0, y0], [x1, y1]]) {
    const half = Math.sqrt(radius * radius - (y - center) ** 2);
    if (half >= 0) include(x - half, x + half);
  }
  const [dx, dy] = [x1 - x0, y1 - y0];
  const length = Math.hypot(dx, dy);
  if (length > 0) {
    // the band: |distance to the line| <= radius, and between the two ends
    const ranges = [
      [(radius * length + dx * (y - y0)) / dy + x0, (-radius * length + dx * (y - y0)) / dy + x0],
      [(0 - dy * (y - y0)) / dx + x0, (length * length - dy * (y - y0)) / dx + x0],
    ];
    if (dy === 0) ranges[0] = Math.abs(y - y0) <= radius ? [-Infinity, Infinity] : [Infinity, -Infinity];
    else ranges[0].sort((one, other) => one - other);
    if (dx === 0) ranges[1] = (y - y0) / dy >= 0 && (y - y0) / dy <= 1 ? [-Infinity, Infinity] : [Infinity, -Infinity];
    else ranges[1].sort((one, other) => one - other);
    const [from, to] = [Math.max(ranges[0][0], ranges[1][0]), Math.min(ranges[0][1], ranges[1][1])];
    if (from <= to) include(from, to);
  }
  const first = Math.max(left, Math.ceil(low - 0.5 - 1e-9));
  const end = Math.min(right, Math.floor(high - 0.5 + 1e-9) + 1);
  return first < end ? [first, end] : null;
}
