/** The job that is being described: images, masks, settings. It is kept in the tab, so that a reload loses nothing. */

import { api } from "./api.js";
import { state } from "./state.js";

const KEY = "impasto-draft";

/** The draft; `editing` is the number of a waiting job that it changes. */
export const draft = { content: null, styles: [], keep: null, detail: null, settings: {}, name: "", timelapse: true, priority: 0, init: null, task: null, editing: null };

/** Begin with the draft of the last visit, or the defaults. */
export function restoreDraft() {
  try {
    Object.assign(draft, JSON.parse(sessionStorage.getItem(KEY) ?? "{}"));
  } catch {
    sessionStorage.removeItem(KEY);
  }
  const known = Object.keys(state.setup.defaults);
  const kept = Object.entries(draft.settings).filter(([name]) => known.includes(name));
  draft.settings = { ...state.setup.defaults, ...Object.fromEntries(kept) };
}

/** Forget files that the server no longer has, and a job that no longer waits; returns whether anything was forgotten. */
export async function checkDraft() {
  const exists = (id) => api("GET", `/api/files/${id}`).then(() => true, (error) => error.status !== 404);
  const before = JSON.stringify(draft);
  if (draft.content && !(await exists(draft.content.id))) Object.assign(draft, { content: null, keep: null, detail: null });
  for (const role of ["keep", "detail", "init"]) if (draft[role] && !(await exists(draft[role]))) draft[role] = null;
  const kept = await Promise.all(draft.styles.map(({ file }) => exists(file.id)));
  draft.styles = draft.styles.filter((_, index) => kept[index]);
  for (const style of draft.styles) if (style.mask && style.mask !== "alpha" && !(await exists(style.mask))) style.mask = null;
  if (draft.editing !== null && state.jobs.get(draft.editing)?.state !== "waiting") draft.editing = null;
  return JSON.stringify(draft) !== before;
}

/** Keep the draft. */
export function saveDraft() {
  try {
    sessionStorage.setItem(KEY, JSON.stringify(draft));
  } catch {
    // a browser that stores nothing: the draft lives as long as the page
  }
}

/** The draft as the server takes it. */
export function specOf(from = draft) {
  return {
    task: from.content ? (from.task ?? "stylize") : "texture",
    content: from.content?.id ?? null,
    styles: from.styles.map(({ file, weight, mask }) => ({ file: file.id, weight, mask: mask ?? null })),
    keep: from.content ? from.keep : null,
    detail: from.content ? from.detail : null,
    init: from.init,
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
    init: editing === null ? null : spec.init,
    task: spec.task === "reconstruct" ? spec.task : null,
    editing,
  });
  saveDraft();
}
