/** The loss over the steps, on a logarithmic or a linear axis; dashed lines are where a new scale begins. */

import { button, el, svg } from "./dom.js";

const WIDTH = 560;
const HEIGHT = 220;
const LEFT = 52;
const TOP = 8;
const BOTTOM = 24;
const TERMS = ["total", "content", "style"];
let isLogarithmic = true;

/** The chart of {step, scale, total, content, style}, with a button for the kind of its axis. */
export function lossChart(losses) {
  const count = losses.step.length;
  if (count < 2) return el("p", { class: "quiet" }, "The loss appears after a few steps.");
  const last = losses.step[count - 1];
  const text = `Loss ${losses.total[0].toPrecision(3)} at first, ${losses.total[count - 1].toPrecision(3)} after ${last + 1} steps.`;
  const legend = TERMS.map((term) => el("span", { class: term }, term));
  const place = el("div", { class: "plot" });
  const toggle = button("Logarithmic", () => {
    isLogarithmic = !isLogarithmic;
    show();
  }, { class: "small", id: "logarithmic" });
  function show() {
    toggle.setAttribute("aria-pressed", String(isLogarithmic));
    place.replaceChildren(plot(losses, last, text));
  }
  show();
  return el("div", { class: "chart" }, place, el("div", { class: "legend" }, legend, el("span", { class: "grow none" }), toggle), el("small", {}, text));
}

function plot(losses, last, text) {
  const { y, ticks } = axis(TERMS.flatMap((term) => losses[term]));
  const x = (step) => LEFT + ((WIDTH - LEFT - 8) * step) / Math.max(1, last);
  const chart = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": text });
  for (const tick of ticks) {
    chart.append(svg("line", { class: "axis", x1: LEFT, x2: WIDTH, y1: y(tick), y2: y(tick) }));
    chart.append(svg("text", { x: LEFT - 6, y: y(tick) + 4, "text-anchor": "end" }, String(Number(tick.toPrecision(3)))));
  }
  losses.scale.forEach((scale, index) => {
    if (index && scale === losses.scale[index - 1]) return;
    const at = x(losses.step[index]);
    if (index) chart.append(svg("line", { class: "mark", x1: at, x2: at, y1: TOP, y2: HEIGHT - BOTTOM }));
    chart.append(svg("text", { x: at + 3, y: HEIGHT - 6 }, `${scale} px`));
  });
  for (const term of TERMS) {
    const points = losses.step.map((step, index) => `${x(step).toFixed(1)},${y(losses[term][index]).toFixed(1)}`);
    chart.append(svg("polyline", { class: term, points: points.join(" ") }));
  }
  return chart;
}

/** Where values are on the vertical axis, and which of them are marked. */
function axis(values) {
  const positive = values.filter((value) => value > 0);
  const least = Math.min(...positive);
  const most = Math.max(...positive);
  const place = (share) => TOP + (HEIGHT - BOTTOM - TOP) * (1 - share);
  if (!isLogarithmic) return { y: (value) => place(value / most), ticks: [0, 0.25, 0.5, 0.75, 1].map((share) => share * most) };
  const low = Math.log10(least);
  const span = Math.max(Math.log10(most) - low, 0.1);
  const y = (value) => place((Math.log10(Math.max(value, least)) - low) / span);
  const powers = Array.from({ length: Math.ceil(span) + 2 }, (_, index) => Math.floor(low) + index);
  const parts = span < 2 ? [1, 2, 5] : [1];
  const ticks = powers.flatMap((power) => parts.map((part) => part * 10 ** power)).filter((tick) => tick >= least && tick <= most);
  return { y, ticks };
}
