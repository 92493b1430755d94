/** The queue beside every view: what runs, pauses and waits, in order, and what has ended last. */

import { api } from "./api.js";
import { attempt } from "./dialogs.js";
import { button, el, refill, throttled } from "./dom.js";
import { draggable } from "./pickers.js";
import { ask, put, state, subscribe } from "./state.js";
import { progressText, stateText, title } from "./text.js";

const RECENT = 6;
const ORDER = "text/impasto-order";

/** Show the queue in `place` for as long as the page is open. */
export function queueView(place) {
  let isDragging = false;
  // an element that is replaced while it is dragged could not be dropped
  const show = throttled(250, () => isDragging || refill(place, ...sections()));
  place.addEventListener("dragstart", () => (isDragging = true));
  place.addEventListener("dragend", () => {
    isDragging = false;
    show();
  });
  subscribe((change) => (change.kind === "step" ? step(place, change.number) : show()));
  window.addEventListener("hashchange", show);
  show();
}

function sections() {
  const jobs = [...state.jobs.values()].filter((job) => !job.deleted);
  const active = jobs.filter((job) => job.state === "running" || job.state === "paused").sort((one, other) => one.number - other.number);
  const waiting = jobs.filter((job) => job.state === "waiting").sort((one, other) => (one.place ?? 1e9) - (other.place ?? 1e9));
  const ended = jobs.filter((job) => job.ended !== null).sort((one, other) => other.ended - one.ended).slice(0, RECENT);
  const parts = [el("h2", {}, "Queue")];
  if (!active.length && !waiting.length) parts.push(el("p", { class: "quiet" }, "No job is running or waiting."));
  if (active.length) parts.push(el("ul", { class: "jobs" }, active.map((job) => item(job))));
  if (waiting.length) {
    parts.push(el("h2", {}, `Waiting (${waiting.length})`));
    parts.push(el("ul", { class: "jobs", id: "waiting" }, waiting.map((job, index) => waitingItem(job, index, waiting))));
  }
  if (ended.length) parts.push(el("h2", {}, "Finished"), el("ul", { class: "jobs" }, ended.map((job) => item(job))));
  return parts;
}

/** The address of a small image of a job; null if there is none yet. */
export function thumbnailOf(job, edge = 256) {
  if (job.result || job.preview) return `/api/jobs/${job.number}/thumbnail?edge=${edge}&v=${job.result ? job.result.bytes : job.preview}`;
  return job.spec.content ? `/api/files/${job.spec.content}/thumbnail?edge=${edge}` : null;
}

function item(job, ...more) {
  const source = thumbnailOf(job);
  const isCurrent = location.hash === `#job/${job.number}`;
  const element = el("li", { class: "item", "data-job": job.number, "data-current": isCurrent },
    el("a", { href: `#job/${job.number}`, "aria-label": `${title(job)}, ${stateText(job)}` }),
    source ? el("img", { src: source, alt: "", loading: "lazy" }) : el("span", { class: "blank" }),
    el("div", { class: "text" }, el("span", { class: "name" }, title(job)),
      el("small", { class: "progress-text" }, job.state === "running" ? progressText(job) : stateText(job)),
      job.state === "running" || job.state === "paused" ? el("progress", { max: Math.max(1, job.steps), value: job.step, "aria-label": `Progress of ${title(job)}` }) : null),
    ...more);
  draggable(element, job.number);
  return element;
}

function step(place, number) {
  const element = place.querySelector(`[data-job="${number}"]`);
  const job = state.jobs.get(number);
  const bar = element?.querySelector("progress");
  if (!bar) return;
  bar.max = Math.max(1, job.steps);
  bar.value = job.step;
  element.querySelector(".progress-text").textContent = progressText(job);
}

function waitingItem(job, index, waiting) {
  const move = (before) => attempt(async () => put(await api("PATCH", `/api/jobs/${job.number}`, { before })));
  const up = button("↑", () => move(waiting[index - 1].number), { class: "small", disabled: index === 0, "aria-label": `Move ${title(job)} up` });
  const down = button("↓", () => move(waiting[index + 2]?.number ?? null), { class: "small", disabled: index === waiting.length - 1, "aria-label": `Move ${title(job)} down` });
  const cancel = button("Cancel", () => attempt(() => ask(job.number, "cancel")), { class: "small", "aria-label": `Cancel ${title(job)}` });
  const element = item(job, el("div", { class: "moves" }, up, down, cancel));
  element.addEventListener("dragstart", (event) => event.dataTransfer.setData(ORDER, String(job.number)));
  element.addEventListener("dragover", (event) => {
    if (!event.dataTransfer.types.includes(ORDER)) return;
    event.preventDefault();
    element.classList.add("over");
  });
  element.addEventListener("dragleave", () => element.classList.remove("over"));
  element.addEventListener("drop", (event) => {
    element.classList.remove("over");
    const moved = Number(event.dataTransfer.getData(ORDER));
    if (!moved || moved === job.number) return;
    event.preventDefault();
    attempt(async () => put(await api("PATCH", `/api/jobs/${moved}`, { before: job.number })));
  });
  return element;
}
