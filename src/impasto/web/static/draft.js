/** The job that is being described: images, masks, settings. It is kept in the browser, so that a reload loses nothing. */

import { api } from "./api.js";
import { state } from "./state.js";

const KEY = "impasto-draft";

/** The draft; `editing` is the number of a waiting job that it changes. */
export const draft = { content: null, styles: [], keep: null, detail: null, settings: {}, name: "", timelapse: true, priority: 0, editing: null };

/** Begin with the draft of the last visit, or the defaults. */
export function restoreDraft() {
  try {
    Object.assign(draft, JSON.parse(localStorage.getItem(KEY) ?? "{}"));
  } catch {
    localStorage.removeItem(KEY);
  }
  const known = Object.keys(state.setup.defaults);
  const kept = Object.entries(draft.settings).filter(([name]) => known.includes(name));
  draft.settings = { ...state.setup.defaults, ...Object.fromEntries(kept) };
}

/** Keep the draft. */
export function saveDraft() {
  try {
    localStorage.setItem(KEY, JSON.stringify(draft));
  } catch {
    // a browser that stores nothing: the draft lives as long as the page
  }
}

/** The draft as the server takes it. */
export function specOf(from = draft) {
  return {
    task: from.content ? "stylize" : "texture",
    content: from.content?.id ?? null,
    styles: from.styles.map(({ file, weight, mask }) => ({ file: file.id, weight, mask: mask ?? null })),
    keep: from.content ? from.keep : null,
    detail: from.content ? from.detail : null,
    settings: from.settings,
    name: from.name,
    timelapse: from.timelapse,
    priority: from.priority,
  };
}

/** Take over the images, masks and settings of a job. */
export async function draftFrom(job, editing = null) {
  const file = (id) => api("GET", `/api/files/${id}`);
  const { spec } = job;
  const styles = await Promise.all(spec.styles.map(async (style) => ({ ...style, file: await file(style.file) })));
  Object.assign(draft, {
    content: spec.content ? await file(spec.content) : null,
    styles,
    keep: spec.keep,
    detail: spec.detail,
    settings: { ...state.setup.defaults, ...spec.settings },
    name: job.name,
    timelapse: spec.timelapse,
    priority: job.priority,
    editing,
  });
  saveDraft();
}
