/** What the page knows of the server: settings, jobs, connection. Everything that is shown comes from here. */

import { api } from "./api.js";

/** The state. `jobs` maps numbers to jobs; `order` has the waiting ones as they will run. */
export const state = { setup: null, jobs: new Map(), connected: true };

const listeners = new Set();
const ACTIVE = "running,paused,waiting";

/** Call `listener` with every change {kind, number}; returns a function that ends this. */
export function subscribe(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Tell all listeners of a change. */
export function changed(change) {
  for (const listener of [...listeners]) listener(change);
}

/** Load settings and jobs. */
export async function load() {
  const [setup, active, recent] = await Promise.all([
    api("GET", "/api/setup"),
    api("GET", `/api/jobs?state=${ACTIVE}&limit=1000`),
    api("GET", "/api/jobs?limit=30"),
  ]);
  state.setup = setup;
  // older jobs that are shown stay; their views ask for them again
  for (const job of [...recent.jobs, ...active.jobs]) keep(job);
  await loadOrder();
  changed({ kind: "reset" });
}

/** Load the order of the waiting jobs. */
export async function loadOrder() {
  const page = await api("GET", "/api/jobs?state=waiting&limit=1000");
  page.jobs.forEach((job, index) => keep(job, { place: index }));
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
