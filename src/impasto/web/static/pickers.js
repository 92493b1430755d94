/** Choosing images: drop, paste, choose, or a demo image; uploads with progress. */

import { api, upload } from "./api.js";
import { attempt, toast } from "./dialogs.js";
import { button, el, newId } from "./dom.js";
import { state } from "./state.js";

const JOB = "application/x-impasto-job";

/** Let an element of a job be dragged to other places: images, and forms of settings. */
export function draggable(element, number) {
  element.draggable = true;
  element.addEventListener("dragstart", (event) => {
    event.dataTransfer.setData(JOB, String(number));
    event.dataTransfer.setData("text/uri-list", `${location.origin}/#job/${number}`);
    event.dataTransfer.effectAllowed = "copyMove";
  });
}

/** The number of the job that is dropped, or null. */
export function droppedJob(event) {
  const text = event.dataTransfer.getData(JOB) || event.dataTransfer.getData("text/uri-list");
  const match = /^(\d+)$|#job\/(\d+)$/.exec(text.trim());
  return match ? Number(match[1] ?? match[2]) : null;
}

/** Make an element a target: `take` gets {files, job} of what is dropped. */
export function dropTarget(element, take) {
  element.addEventListener("dragover", (event) => {
    if (event.dataTransfer.types.includes("text/impasto-order")) return;
    event.preventDefault();
    event.stopPropagation();
    element.classList.add("over");
  });
  element.addEventListener("dragleave", () => element.classList.remove("over"));
  element.addEventListener("drop", (event) => {
    event.preventDefault();
    event.stopPropagation();
    element.classList.remove("over");
    take({ files: [...event.dataTransfer.files], job: droppedJob(event) });
  });
}

/** The result of a job as an uploaded file. */
export async function resultAsFile(number) {
  const response = await fetch(`/api/jobs/${number}/result`);
  if (!response.ok) throw new Error((await response.json()).error);
  return upload(await response.blob(), `result-${number}.png`);
}

/** A place for images; `take` gets each uploaded file. `more` is its text if there is an image already. */
export function picker(text, role, { more = "", multiple = false } = {}, take) {
  const id = newId("file");
  const error = el("p", { class: "error", role: "alert", hidden: true });
  const bar = el("progress", { max: 1, value: 0, hidden: true, "aria-label": "Upload" });
  const preview = el("img", { alt: "", hidden: true });
  const input = el("input", { type: "file", id, class: "sr", accept: "image/*,.tif,.tiff,.avif", multiple, "aria-label": text,
    onchange: () => send([...input.files]) });
  const place = el("div", { class: more ? "drop small" : "drop" }, preview,
    el("p", {}, more || "Drop an image here, paste it, or"),
    el("div", { class: "row" }, el("label", { class: "button", for: id }, more ? "Choose" : `Choose ${text.toLowerCase()}`), input),
    bar, error);

  async function send(files) {
    error.hidden = true;
    for (const file of multiple ? files : files.slice(0, 1)) {
      // shown at once, while it is being sent; what the browser cannot show waits for the server
      const url = URL.createObjectURL(file);
      preview.src = url;
      preview.onload = () => { preview.hidden = false; };
      bar.hidden = false;
      try {
        take(await upload(file, file.name || "pasted.png", (share) => { bar.value = share; }));
      } catch (failure) {
        error.textContent = failure.message;
        error.hidden = false;
      }
      bar.hidden = true;
      preview.hidden = true;
      URL.revokeObjectURL(url);
    }
    input.value = "";
  }
  dropTarget(place, ({ files, job }) => {
    if (files.length) send(files);
    else if (job !== null) attempt(async () => take(await resultAsFile(job)));
    else toast("That is not an image file; drop a file from a folder.");
  });
  const samples = state.setup.demo.filter((demo) => demo.role === role).map((demo) =>
    button(demo.name.replace(/\.\w+$/, ""), () => attempt(async () => take(await api("POST", `/api/demo/${demo.name}`, {})))));
  return { element: el("div", { class: "picker" }, place, el("div", { class: "samples" }, el("span", { class: "quiet" }, "Demo images:"), samples)), send };
}

/** Files in the clipboard. */
export function pastedFiles(event) {
  return [...(event.clipboardData?.files ?? [])].filter((file) => file.type.startsWith("image/"));
}
