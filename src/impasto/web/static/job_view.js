/** The view of a job: watch it, steer it, use its result. */

import { api } from "./api.js";
import { beforeAfter } from "./before_after.js";
import { attempt, confirm, toast } from "./dialogs.js";
import { button, el, throttled } from "./dom.js";
import { draftFrom } from "./draft.js";
import { lossChart } from "./loss_chart.js";
import { draggable } from "./pickers.js";
import { ask, job as jobOf, put, remove as forget, state, subscribe } from "./state.js";
import { bytes, duration, label, progressText, shown, stateText, title } from "./text.js";

const PRIORITIES = { 2: "highest", 1: "high", 0: "normal", "-1": "low", "-2": "lowest" };

/** Show job `number` in `place`; returns a function that ends it. */
export async function jobView(place, number) {
  await jobOf(number);
  const parts = { head: el("div", { class: "job-head" }), stage: el("div", { class: "stage" }), under: el("div"),
    progress: el("div", { class: "progress" }), actions: el("div", { class: "row", id: "actions" }), chart: el("section", { class: "card", "aria-label": "Loss" }),
    facts: el("section", { class: "card", "aria-label": "Settings of this job" }), live: el("p", { class: "sr", "aria-live": "polite" }) };
  place.append(parts.head, parts.stage, parts.under, parts.progress, parts.actions, el("div", { class: "columns" }, parts.chart, parts.facts), parts.live);
  const shownKeys = {};
  // each part is made again only when what it shows has changed: nothing flickers, and the focus stays
  const show = () => {
    const job = state.jobs.get(number);
    if (!job) {
      place.replaceChildren(el("p", { class: "note" }, "This job was removed."));
      return;
    }
    const once = (name, key, make) => {
      if (shownKeys[name] === key) return;
      shownKeys[name] = key;
      make();
    };
    once("head", [job.name, stateText(job), job.parent, job.favorite].join(), () => {
      parts.head.replaceChildren(...head(job));
      parts.live.textContent = `${title(job)} is ${stateText(job)}.`;
    });
    once("stage", [job.preview, job.result?.bytes, job.state === "done"].join(), () => stage(parts, job));
    once("actions", [job.state, job.request, Boolean(job.result), Boolean(job.preview), job.timelapse, job.deleted, job.priority].join(), () => replace(parts.actions, actions(job)));
    once("facts", [JSON.stringify(job.changed), job.state, job.memory, job.deleted].join(), () => facts(parts.facts, job));
    progress(parts.progress, job);
  };
  const chart = throttled(2000, async () => {
    const losses = await attempt(() => api("GET", `/api/jobs/${number}/losses?points=400`));
    if (losses) parts.chart.replaceChildren(el("h2", {}, "Loss"), lossChart(losses));
  });
  show();
  chart();
  return subscribe((change) => {
    if (change.number !== undefined && change.number !== number) return;
    if (change.kind === "reset") refresh(number);
    show();
    if (state.jobs.has(number)) chart();
  });
}

async function refresh(number) {
  try {
    put(await api("GET", `/api/jobs/${number}`));
  } catch (error) {
    if (error.status === 404) forget(number);
  }
}

/** Replace the children that are different: a button that is being pressed stays. */
function replace(place, elements) {
  const wanted = new Map(elements.map((element) => [element.outerHTML, element]));
  for (const child of [...place.children]) if (!wanted.has(child.outerHTML)) child.remove();
  const kept = new Map([...place.children].map((child) => [child.outerHTML, child]));
  elements.forEach((element, index) => {
    const child = kept.get(element.outerHTML) ?? element;
    if (place.children[index] !== child) place.insertBefore(child, place.children[index] ?? null);
  });
}

function head(job) {
  const star = button(job.favorite ? "★" : "☆", () => change(job, { favorite: !job.favorite }), { class: "plain", "aria-pressed": String(job.favorite), "aria-label": "Favorite" });
  return [el("h1", {}, title(job)), el("span", { class: `badge ${job.state}`, id: "state" }, stateText(job)), star,
    job.parent !== null ? el("a", { href: `#job/${job.parent}` }, `from job ${job.parent}`) : null].filter(Boolean);
}

async function change(job, changes) {
  await attempt(async () => put(await api("PATCH", `/api/jobs/${job.number}`, changes)));
}

function stage(parts, job) {
  const { number } = job;
  const name = `Result of ${title(job)}`;
  parts.under.replaceChildren();
  if (job.result) {
    const edge = 1024;
    const result = { src: `/api/jobs/${number}/thumbnail?edge=${edge}&v=${job.result.bytes}`, alt: name };
    const zoom = button("Zoom", () => openZoom(parts, job), { id: "zoom" });
    if (job.spec.content) {
      const { images, slider } = beforeAfter({ src: `/api/files/${job.spec.content}/thumbnail?edge=${edge}`, alt: "Content image" }, result);
      parts.stage.replaceChildren(images);
      parts.under.append(slider, el("div", { class: "row" }, zoom));
    } else {
      parts.stage.replaceChildren(el("img", result));
      parts.under.append(el("div", { class: "row" }, zoom));
    }
    const handle = el("span", { class: "quiet" }, `${job.result.width} × ${job.result.height} pixels, ${job.result.depth} bits, ${bytes(job.result.bytes)}`);
    parts.under.lastChild.append(handle);
    draggable(handle, number); // the image itself moves the slider
  } else if (job.preview) {
    // the next image replaces the present one when it is there
    const next = new Image();
    next.alt = name;
    next.onload = () => parts.stage.replaceChildren(next);
    next.src = `/api/jobs/${number}/preview?v=${job.preview}`;
  } else {
    const content = job.spec.content ? el("img", { src: `/api/files/${job.spec.content}/thumbnail?edge=1024`, alt: "Content image" }) : null;
    parts.stage.replaceChildren(content ?? el("p", { class: "note" }, "The first preview appears soon."));
  }
}

async function openZoom(parts, job) {
  await attempt(async () => {
    const { openViewer } = await import("./viewer.js");
    const viewer = await openViewer(`/api/jobs/${job.number}/tiles`,
      { name: `Result of ${title(job)}`, before: job.spec.content && `/api/files/${job.spec.content}/tiles` });
    parts.stage.replaceChildren(viewer.element);
    parts.under.querySelector(".slider")?.remove(); // the viewer has its own
    parts.stage.draggable = false;
    viewer.canvas.focus();
  });
}

function progress(place, job) {
  if (!place.firstChild) place.append(el("progress", { "aria-label": "Progress" }), el("span", { id: "progress-text" }), el("p", { class: "error", id: "message" }));
  const [bar, text, message] = place.children;
  bar.max = Math.max(1, job.steps);
  bar.value = job.step;
  bar.hidden = !["running", "paused"].includes(job.state);
  text.textContent = job.state === "waiting" ? "waiting for a worker" : progressText(job);
  if (job.loss && job.state === "running") text.textContent += ` · loss ${job.loss.total.toPrecision(3)}`;
  message.textContent = job.message;
  message.className = job.state === "failed" ? "error" : "quiet";
}

function actions(job) {
  const { number } = job;
  const now = () => state.jobs.get(number); // a button may be older than what is known of the job
  const asks = (text, request, properties) => button(text, () => attempt(() => ask(number, request)), properties);
  const list = [];
  const isActive = ["running", "waiting", "paused"].includes(job.state);
  if (job.deleted) return [asks("Restore", "restore")];
  if (job.state === "running" || job.state === "waiting") list.push(asks("Pause", "pause", { disabled: Boolean(job.request) }));
  if (job.state === "paused") list.push(asks("Continue", "resume", { class: "primary" }));
  if (job.state === "running" || job.state === "paused") list.push(asks("Stop and keep", "stop", { disabled: Boolean(job.request) }));
  if (isActive) list.push(button("Cancel", () => confirm("Cancel the job", "Nothing of it is kept.", () => ask(number, "cancel")), { disabled: Boolean(job.request) }));
  if (job.state === "waiting") list.push(button("Edit", () => edit(now(), number)), priority(job));
  if (["failed", "stopped", "canceled"].includes(job.state)) list.push(asks("Retry", "retry"));
  if (job.result || job.preview) list.push(button("Fork", () => openFork(now())));
  if (job.result && job.state !== "running") list.push(button("More steps", () => moreSteps(now())));
  list.push(button("Duplicate", () => attempt(async () => { location.hash = `#job/${(await ask(number, "duplicate")).number}`; })));
  list.push(button("New image with these", () => edit(now(), null)));
  if (job.result) list.push(...downloads(job));
  if (job.state !== "running") list.push(button("Delete", () => remove(now()), { class: "danger" }));
  return list;
}

function priority(job) {
  const options = Object.entries(PRIORITIES).sort((one, other) => other[0] - one[0]).map(([value, text]) => el("option", { value, selected: Number(value) === job.priority }, `${text} priority`));
  return el("select", { "aria-label": "Priority", onchange: (event) => change(job, { priority: Number(event.target.value) }) }, options);
}

async function edit(job, editing) {
  await attempt(async () => {
    await draftFrom(job, editing);
    location.hash = "#new";
  });
}

async function openFork(job) {
  const { fork } = await import("./fork.js");
  await attempt(() => fork(job));
}

async function moreSteps(job) {
  const { continueFor } = await import("./fork.js");
  continueFor(job);
}

function downloads(job) {
  const link = (text, href) => el("a", { class: "button", href, download: "" }, text);
  const result = `/api/jobs/${job.number}/result?format=`;
  const depth = job.result.depth === 16 ? [link("PNG, 16 bits", `${result}png16`)] : [];
  return [link("PNG", `${result}png8`), ...depth, link("JPEG", `${result}jpeg`), job.timelapse ? link("Time-lapse", `/api/jobs/${job.number}/timelapse`) : null].filter(Boolean);
}

async function remove(job) {
  await attempt(async () => {
    put(await api("DELETE", `/api/jobs/${job.number}`));
    location.hash = "#history";
    toast(`${title(job)} is deleted.`, { text: "Undo", run: () => attempt(() => ask(job.number, "restore")) });
  });
}

function facts(place, job) {
  const images = [job.spec.content, ...job.spec.styles.map((style) => style.file)].filter(Boolean);
  const figures = images.map((id, index) => el("figure", {}, el("img", { src: `/api/files/${id}/thumbnail?edge=256`, alt: job.spec.content && index === 0 ? "Content image" : "Style image" }),
    el("small", {}, job.spec.content && index === 0 ? "content" : "style")));
  const rows = Object.entries(job.changed).map(([name, value]) => [label(name), shown(value)]);
  if (job.memory) rows.push(["Memory", bytes(job.memory)]);
  if (job.seconds && job.state !== "running") rows.push(["Time", duration(job.seconds)]);
  place.replaceChildren(el("h2", {}, "Settings"), el("div", { class: "inputs" }, figures),
    rows.length ? el("dl", { class: "facts" }, rows.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)])) : el("p", { class: "quiet" }, "All settings at their defaults."),
    el("p", {}, el("a", { href: `/api/jobs/${job.number}/job`, download: `job-${job.number}.json` }, "The job as JSON")));
}
