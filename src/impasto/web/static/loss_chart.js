/** The loss over the steps, on a logarithmic axis; dashed lines are where a new scale begins. */

import { el, svg } from "./dom.js";

const WIDTH = 560;
const HEIGHT = 220;
const LEFT = 46;
const BOTTOM = 24;
const TERMS = ["total", "content", "style"];

/** The chart of {step, scale, total, content, style}. */
export function lossChart(losses) {
  const count = losses.step.length;
  if (count < 2) return el("p", { class: "quiet" }, "The loss appears after a few steps.");
  const values = TERMS.flatMap((term) => losses[term]).filter((value) => value > 0);
  const low = Math.log10(Math.min(...values));
  const high = Math.max(Math.log10(Math.max(...values)), low + 0.1);
  const last = losses.step[count - 1];
  const x = (step) => LEFT + ((WIDTH - LEFT - 8) * step) / Math.max(1, last);
  const y = (value) => 8 + (HEIGHT - BOTTOM - 8) * (1 - (Math.log10(Math.max(value, 1e-12)) - low) / (high - low));
  const text = `Loss ${losses.total[0].toPrecision(3)} at first, ${losses.total[count - 1].toPrecision(3)} after ${last + 1} steps.`;
  const chart = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": text });
  for (let power = Math.ceil(low); power <= Math.floor(high); power += 1) {
    chart.append(svg("line", { class: "axis", x1: LEFT, x2: WIDTH, y1: y(10 ** power), y2: y(10 ** power) }));
    chart.append(svg("text", { x: 4, y: y(10 ** power) + 4 }, `1e${power}`));
  }
  losses.scale.forEach((scale, index) => {
    if (index && scale === losses.scale[index - 1]) return;
    const at = x(losses.step[index]);
    if (index) chart.append(svg("line", { class: "mark", x1: at, x2: at, y1: 8, y2: HEIGHT - BOTTOM }));
    chart.append(svg("text", { x: at + 3, y: HEIGHT - 6 }, `${scale} px`));
  });
  for (const term of TERMS) {
    const points = losses.step.map((step, index) => `${x(step).toFixed(1)},${y(losses[term][index]).toFixed(1)}`);
    chart.append(svg("polyline", { class: term, points: points.join(" ") }));
  }
  const legend = el("div", { class: "legend" }, TERMS.map((term) => el("span", { class: term }, term)));
  return el("div", { class: "chart" }, chart, legend, el("small", {}, text));
}
