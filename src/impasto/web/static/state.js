/** What the page knows of the server: settings, jobs, connection. Everything that is shown comes from here. */

import { api } from "./api.js";

/** The state. `jobs` maps numbers to jobs; `order` has the waiting ones as they will run. */
export const state = { setup: null, jobs: new Map(), connected: true };

const listeners = new Set();

/** Call `listener` with every change {kind, number}; returns a function that ends this. */
export function subscribe(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Tell all listeners of a change. */
export function changed(change) {
  for (const listener of [...listeners]) listener(change);
}

/** Load settings and jobs; returns the id of the last event before. */
export async function load() {
  const start = await api("GET", "/api/start");
  state.setup = start.setup;
  // older jobs that are shown stay; their views ask for them again
  start.jobs.forEach((job) => keep(job));
  order(start.waiting);
  changed({ kind: "reset" });
  return start.event;
}

/** Load the order of the waiting jobs. */
export async function loadOrder() {
  const page = await api("GET", "/api/jobs?state=waiting&limit=1000");
  order(page.jobs);
}

function order(waiting) {
  waiting.forEach((job, index) => keep(job, { place: index }));
}

/** Keep a job, unless a newer state of it is known: an event may come before the answer to a request. */
export function keep(job, more = {}) {
  const known = state.jobs.get(job.number);
  state.jobs.set(job.number, known && known.version > job.version ? { ...known, ...more } : { ...known, ...job, ...more });
}

/** A job, from the server if it is not known yet. */
export async function job(number) {
  if (!state.jobs.has(number)) put(await api("GET", `/api/jobs/${number}`));
  return state.jobs.get(number);
}

/** Take over a job that the server has sent. */
export function put(sent) {
  keep(sent);
  changed({ kind: "job", number: sent.number });
  return state.jobs.get(sent.number);
}

/** Take over the progress of a job. */
export function progress(step) {
  const known = state.jobs.get(step.number);
  if (!known) return;
  // the speed of the last seconds: scales differ
  const since = known.since && step.seconds - known.since.seconds < 4 && known.scale === step.scale ? known.since : step;
  const speed = step.seconds > since.seconds ? (step.step - since.step) / (step.seconds - since.seconds) : known.speed;
  state.jobs.set(step.number, { ...known, ...step, since, speed });
  changed({ kind: "step", number: step.number });
}

/** Forget a job. */
export function remove(number) {
  state.jobs.delete(number);
  changed({ kind: "job", number });
}

/** Ask something of a job, such as "pause"; what the server answers is taken over. */
export async function ask(number, request, body) {
  return put(await api("POST", `/api/jobs/${number}/${request}`, body ?? {}));
}
