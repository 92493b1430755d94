/** Numbers and names as text. */

/** "2 min 5 s" of seconds. */
export function duration(seconds) {
  if (seconds < 60) return `${Math.max(1, Math.round(seconds))} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) return seconds < 600 ? `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s` : `${minutes} min`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** "1.5 GB" of bytes. */
export function bytes(count) {
  const units = ["bytes", "KB", "MB", "GB", "TB"];
  const power = count < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log10(count) / 3));
  const value = count / 1000 ** power;
  return `${value < 10 && power ? value.toFixed(1) : Math.round(value)} ${units[power]}`;
}

/** A setting's name in words. */
export function label(name) {
  const words = name.replaceAll("_", " ").replace("tv ", "TV ");
  return words[0].toUpperCase() + words.slice(1);
}

/** A setting's value as text. */
export function shown(value) {
  if (value === null || value === undefined) return "none";
  if (typeof value === "object") return Object.entries(value).map(([name, weight]) => `${name}=${weight}`).join(", ");
  if (typeof value === "number") return String(Number(value.toPrecision(6)));
  return String(value);
}

/** What a job is called. */
export function title(job) {
  return job.name || `Job ${job.number}`;
}

const STATES = {
  waiting: "waiting", running: "running", paused: "paused", done: "done",
  stopped: "stopped", failed: "failed", canceled: "canceled",
};
const REQUESTS = { pause: "pausing", stop: "stopping", cancel: "canceling" };

/** The state of a job in a word. */
export function stateText(job) {
  return job.request && job.state === "running" ? REQUESTS[job.request] : STATES[job.state];
}

/** Step, scale, speed and remaining time of a job. */
export function progressText(job) {
  if (!job.steps) return job.state === "running" ? "starting" : stateText(job);
  const parts = [`step ${job.step} of ${job.steps}`];
  if (job.state === "running") {
    if (job.scale) parts.push(`${job.scale} pixels`);
    if (job.speed) parts.push(`${job.speed.toPrecision(2)} steps per second`);
    if (job.seconds_left !== null) parts.push(`${duration(job.seconds_left)} left`);
  }
  return parts.join(" · ");
}
