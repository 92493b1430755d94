/** Several results side by side: one zoom for all, and the settings in which they differ. */

import { attempt } from "./dialogs.js";
import { el } from "./dom.js";
import { job as jobOf } from "./state.js";
import { label, shown, title } from "./text.js";
import { openViewer } from "./viewer.js";

/** Show the results of the jobs `numbers` in `place`. */
export async function compareView(place, numbers) {
  const found = await Promise.all(numbers.map((number) => attempt(async () => {
    const job = await jobOf(number);
    return { job, viewer: await openViewer(`/api/jobs/${number}/tiles`, { name: `Result of ${title(job)}` }) };
  })));
  const jobs = found.filter(Boolean).map(({ job }) => job);
  const viewers = found.filter(Boolean).map(({ viewer }) => viewer);
  if (!jobs.length) {
    place.append(el("p", { class: "note" }, "None of these jobs has a result."));
    return () => {};
  }
  viewers.forEach((viewer) => { viewer.linked = viewers.filter((other) => other !== viewer); });
  const figures = jobs.map((job, index) => el("figure", {}, viewers[index].element, el("figcaption", {}, el("a", { href: `#job/${job.number}` }, title(job)))));
  const names = Object.keys(jobs[0].spec.settings).filter((name) => new Set(jobs.map((job) => shown(job.spec.settings[name]))).size > 1);
  const rows = names.map((name) => [label(name), ...jobs.map((job) => shown(job.spec.settings[name]))]);
  rows.push(["Steps", ...jobs.map((job) => String(job.step))]);
  rows.push(["Loss", ...jobs.map((job) => (job.loss ? job.loss.total.toPrecision(4) : ""))]);
  const table = el("table", {}, el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Setting"), jobs.map((job) => el("th", { scope: "col" }, title(job))))),
    el("tbody", {}, rows.map(([name, ...values]) => el("tr", {}, el("th", { scope: "row" }, name), values.map((value) => el("td", {}, value))))));
  place.append(el("h1", {}, "Compare"), el("div", { class: "side-by-side" }, figures), el("div", { class: "scroll" }, table));
  return () => {};
}
