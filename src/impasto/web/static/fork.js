/** Forks: a new job that starts from the present image of another one, with changes. */

import { api } from "./api.js";
import { attempt, dialog } from "./dialogs.js";
import { button, el, newId } from "./dom.js";
import { settingsForm } from "./settings_form.js";
import { put, state } from "./state.js";
import { shown } from "./text.js";

const STEPS = 60;

/** Ask what is to be different, and create the job. */
export async function fork(job) {
  const { setup } = state;
  const values = { ...setup.defaults, ...job.spec.settings };
  const styles = job.spec.styles.map((style) => ({ ...style }));
  const masks = { keep: job.spec.keep, detail: job.spec.detail };
  const first = ["strength", "size", "style_scale"];
  const others = Object.keys(setup.schema.properties).filter((name) => !first.includes(name) && !["init", "first_scale", "method"].includes(name));
  const form = (names) => settingsForm(setup.schema, setup.defaults, values, names, () => {}).element;
  const body = el("div", {}, el("p", { class: "quiet", id: "fork-image" }, await imageText(job)), form(first),
    styles.length > 1 ? el("div", {}, styles.map((style, index) => weight(style, index))) : null,
    job.spec.content ? await maskButtons(job, masks, styles) : null,
    el("details", { class: "more" }, el("summary", {}, "All settings"), form(others)));
  dialog("Fork", body, [{ text: "Start the fork", kind: "primary", run: () => {
    const settings = Object.fromEntries(Object.entries(values).filter(([name, value]) => shown(value) !== shown(job.spec.settings[name]) && !["first_scale", "init"].includes(name)));
    return create(job, { settings, styles, ...masks });
  } }]);
}

/** What a fork starts from. */
async function imageText(job) {
  const text = (what, width, height) => `A new job starts from ${what} of this one, ${width} × ${height} pixels.`;
  if (job.result) return text("the image", job.result.width, job.result.height);
  const preview = new Image();
  preview.src = `/api/jobs/${job.number}/preview?v=${job.preview}`;
  await preview.decode();
  const { naturalWidth: width, naturalHeight: height } = preview;
  const more = job.state === "running" && job.scale > Math.max(width, height) ? ` Pause this job first to start from its image of ${job.scale} pixels.` : "";
  return text("the last preview", width, height) + more;
}

function weight(style, index) {
  const id = newId("weight");
  const text = el("label", { for: id }, `Weight of style image ${index + 1}: ${style.weight}`);
  return el("div", {}, text, el("input", { type: "range", id, min: 0.05, max: 2, step: 0.05, value: style.weight, oninput: (event) => {
    style.weight = Number(event.target.value);
    text.textContent = `Weight of style image ${index + 1}: ${style.weight}`;
  } }));
}

async function maskButtons(job, masks, styles) {
  const content = await api("GET", `/api/files/${job.spec.content}`);
  const open = (text, from, role) => button(text, (event) => attempt(async () => {
    const { editMask } = await import("./mask_editor.js");
    await editMask(text, content, from[role], (mask) => {
      from[role] = mask;
      event.target.setAttribute("aria-pressed", String(mask !== null));
    });
  }), { "aria-pressed": String(from[role] !== null) });
  return el("div", { class: "masks" }, open("Protected area", masks, "keep"), open("More detail", masks, "detail"),
    styles.map((style, index) => open(styles.length > 1 ? `Mask of style image ${index + 1}` : "Mask of the style image", style, "mask")));
}

/** Ask for how many steps a finished image is optimized further, and create the job. */
export function continueFor(job) {
  const id = newId("steps");
  const input = el("input", { type: "number", id, min: 1, max: 100000, step: 1, value: STEPS });
  dialog("More steps", el("div", {}, el("label", { for: id }, "Steps at the full size "), input), [{ text: "Start", kind: "primary", run: () => {
    if (!(Number(input.value) >= 1)) return false;
    return create(job, { steps: Math.round(Number(input.value)) });
  } }]);
}

async function create(job, changes) {
  const made = put(await api("POST", `/api/jobs/${job.number}/fork`, changes));
  location.hash = `#job/${made.number}`;
}
