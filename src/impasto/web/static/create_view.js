/** The view of a new image: content and style images, settings, estimate, start. */

import { api } from "./api.js";
import { attempt, confirm, dialog, toast } from "./dialogs.js";
import { button, debounced, el, newId } from "./dom.js";
import { checkDraft, draft, restoreDraft, saveDraft, specOf } from "./draft.js";
import { dropTarget, pastedFiles, picker } from "./pickers.js";
import { settingsForm } from "./settings_form.js";
import { job as jobOf, put, state, subscribe } from "./state.js";
import { bytes, duration, shown } from "./text.js";

/** Show the view in `place`; returns a function that ends it. */
export function createView(place) {
  restoreDraft();
  const { setup } = state;
  const images = el("div", { class: "pickers" });
  const presets = el("div", { class: "presets" });
  const estimate = el("p", { id: "estimate", class: "quiet", role: "status" });
  const start = button("Start", begin, { class: "primary", id: "start" });
  const forms = [];
  const refresh = debounced(400, () => showEstimate(estimate, start));
  const onChange = () => {
    saveDraft();
    refresh();
    showChoice(presets);
  };
  const addForm = (names) => forms[forms.push(settingsForm(setup.schema, setup.defaults, draft.settings, names, onChange)) - 1].element;
  const others = Object.keys(setup.schema.properties).filter((name) => !setup.primary.includes(name));
  const use = (settings) => {
    Object.assign(draft.settings, settings);
    forms.forEach((form) => form.show());
    onChange();
  };
  const showPresets = () => presets.replaceChildren(...presetControls(use));
  showPresets();
  const settings = el("section", { class: "card setup", "aria-label": "Settings" }, el("h2", {}, "Settings"), presets, addForm(setup.primary),
    el("details", { class: "more", id: "all-settings", ontoggle: ({ target }) => forms.length < 2 && target.append(addForm(others)) }, el("summary", {}, "All settings")));
  dropTarget(settings, (dropped) => restore(dropped, use));
  const show = () => {
    showImages(images, show, onChange, use);
    onChange();
  };
  show();

  async function begin() {
    await attempt(async () => {
      const editing = draft.editing;
      const made = editing === null ? await api("POST", "/api/jobs", specOf()) : await api("PATCH", `/api/jobs/${editing}`, { spec: specOf() });
      draft.editing = null;
      draft.name = "";
      saveDraft();
      put(made);
      location.hash = `#job/${made.number}`;
    });
  }
  const paste = (event) => {
    const files = pastedFiles(event);
    if (!files.length) return;
    event.preventDefault();
    images.pickers[draft.content ? 1 : 0].send(files);
  };
  document.addEventListener("paste", paste);
  const end = subscribe((change) => {
    if (change.kind !== "saved") return;
    showPresets();
    showChoice(presets);
  });
  const heading = el("h1");
  const leave = button("Leave the job as it is", () => {
    draft.editing = null;
    showEditing();
    saveDraft();
  }, { class: "plain" });
  function showEditing() {
    heading.textContent = draft.editing === null ? "New image" : `Edit job ${draft.editing}`;
    start.textContent = draft.editing === null ? "Start" : "Save";
    leave.hidden = draft.editing === null;
  }
  showEditing();
  place.append(heading, images, settings, startBar(start, leave, estimate));
  checkDraft().then((isDifferent) => {
    if (!isDifferent) return;
    toast("Some images of the last visit are no longer on the server.");
    showEditing();
    show();
  }, () => {});
  return () => {
    document.removeEventListener("paste", paste);
    end();
  };
}

function startBar(start, leave, estimate) {
  const name = newId("name");
  const lapse = newId("timelapse");
  return el("div", { class: "start" }, estimate,
    el("span", { class: "row" }, el("label", { for: name, class: "sr" }, "Name"),
      el("input", { id: name, placeholder: "Name (optional)", value: draft.name, maxlength: 200, oninput: (event) => { draft.name = event.target.value; saveDraft(); } })),
    el("span", { class: "check" }, el("input", { type: "checkbox", id: lapse, checked: draft.timelapse, onchange: (event) => { draft.timelapse = event.target.checked; saveDraft(); } }),
      el("label", { for: lapse }, "Time-lapse")),
    leave, start);
}

async function showEstimate(place, start) {
  start.disabled = !draft.styles.length;
  if (!draft.styles.length) {
    place.textContent = draft.content ? "Choose a style image." : "Choose a content image and a style image.";
    return;
  }
  const what = draft.content ? "" : "Without a content image: a texture in this style. ";
  place.textContent = `${what}Estimating.`;
  try {
    const found = await api("POST", "/api/estimate", specOf());
    const parts = [`${found.width} × ${found.height} pixels`];
    if (found.seconds !== null) parts.push(`about ${duration(found.seconds)}`);
    if (found.memory !== null) parts.push(`${bytes(found.memory)} of memory`);
    place.textContent = what + parts.join(" · ");
  } catch (error) {
    place.textContent = error.message;
  }
}

function presetControls(use) {
  const { presets, saved } = state.setup;
  const id = newId("preset");
  const help = el("small");
  const choose = el("select", { id, onchange: () => {
    if (choose.value) use(chosenIn(choose.value).settings);
  } }, el("option", { value: "" }, "custom"), el("optgroup", { label: "Presets" }, presets.map((each, index) => el("option", { value: `preset:${index}` }, each.name))),
  saved.length ? el("optgroup", { label: "Saved" }, saved.map((each, index) => el("option", { value: `saved:${index}` }, each.name))) : null);
  const name = el("input", { "aria-label": "Name of the settings", maxlength: 100 });
  const save = button("Save settings", () => dialog("Save settings", name, [{ text: "Save", kind: "primary", run: async () => {
    if (!name.value.trim()) return false;
    await api("PUT", `/api/saved/${encodeURIComponent(name.value.trim())}`, { settings: draft.settings });
    toast("Saved.");
    return true;
  } }]));
  const remove = button("Delete", () => {
    const chosen = chosenIn(choose.value);
    confirm("Delete settings", `"${chosen.name}" is deleted.`, () => api("DELETE", `/api/saved/${encodeURIComponent(chosen.name)}`));
  }, { hidden: true, "data-remove": true, "aria-label": "Delete the saved settings" });
  return [el("label", { for: id }, "Preset", choose), save, remove, el("div", { class: "grow" }, help)];
}

function chosenIn(value) {
  const [kind, index] = value.split(":");
  return (kind === "preset" ? state.setup.presets : state.setup.saved)[index];
}

/** Show which preset the present settings are. */
function showChoice(place) {
  const choose = place.querySelector("select");
  const equals = (option) => Object.entries(chosenIn(option.value).settings).every(([name, value]) => shown(value) === shown(draft.settings[name]));
  choose.value = [...choose.options].find((option) => option.value && equals(option))?.value ?? "";
  place.querySelector("small").textContent = choose.value ? (chosenIn(choose.value).description ?? "") : "";
  place.querySelector("[data-remove]").hidden = !choose.value.startsWith("saved");
}

async function restore({ files, job }, use) {
  const { chooseSettings } = await import("./restore.js");
  await attempt(async () => chooseSettings(files, job === null ? null : await jobOf(job), draft.settings, use));
}

function showImages(place, show, onChange, use) {
  const content = contentPicker(show, use);
  const styles = stylePicker(show, onChange, use);
  place.pickers = [content, styles];
  place.replaceChildren(content.element, styles.element);
}

/** Offer the settings of an image that impasto has made. */
function offer(file, use) {
  if (!file.recipe) return;
  toast("This image has a recipe.", { text: "Restore settings", run: async () => {
    const { chooseFrom } = await import("./restore.js");
    chooseFrom(file.recipe.settings, draft.settings, use);
  } });
}

function contentPicker(show, use) {
  const take = (file) => {
    Object.assign(draft, { content: file, keep: null, detail: null, init: null, task: null });
    offer(file, use);
    show();
  };
  const chooser = picker("Content image", "content", { more: draft.content ? "Another content image" : "" }, take);
  const heading = el("h2", {}, "Content image");
  if (!draft.content) return { element: el("section", { class: "picker", "aria-label": "Content image" }, heading, chooser.element), send: chooser.send };
  const file = draft.content;
  const masks = el("div", { class: "masks" }, maskButton("Protected area", "keep", show), maskButton("More detail", "detail", show),
    button("Remove", () => { Object.assign(draft, { content: null, keep: null, detail: null }); show(); }, { class: "plain", "aria-label": "Remove the content image" }));
  const element = el("section", { class: "picker", "aria-label": "Content image" }, heading,
    el("div", { class: "drop filled" }, el("img", { src: `/api/files/${file.id}/thumbnail?edge=1024`, alt: `Content image ${file.name}` })),
    el("p", { class: "quiet name" }, `${file.name} · ${file.width} × ${file.height}`), masks, chooser.element);
  return { element, send: chooser.send };
}

function maskButton(text, role, show) {
  const has = draft[role] !== null;
  return button(has ? `${text}: edit` : text, () => openMask(text, draft[role], (mask) => {
    draft[role] = mask;
    show();
  }), { "aria-pressed": String(has), "data-mask": role });
}

async function openMask(text, mask, take) {
  await attempt(async () => {
    const { editMask } = await import("./mask_editor.js");
    await editMask(text, draft.content, mask, take);
  });
}

function stylePicker(show, onChange, use) {
  const chooser = picker("Style image", "style", { more: draft.styles.length ? "Another style image" : "", multiple: true }, (file) => {
    draft.styles.push({ file, weight: 1, mask: null });
    offer(file, use);
    show();
  });
  const cards = draft.styles.map((style, index) => styleCard(style, index, show, onChange));
  const element = el("section", { class: "picker", "aria-label": "Style images" }, el("h2", {}, draft.styles.length > 1 ? "Style images" : "Style image"),
    el("ul", { class: draft.styles.length === 1 ? "styles single" : "styles" }, cards), chooser.element);
  return { element, send: chooser.send };
}

function styleCard(style, index, show, onChange) {
  const { file } = style;
  const id = newId("weight");
  const remove = button("Remove", () => { draft.styles.splice(index, 1); show(); }, { class: "plain small", "aria-label": `Remove style image ${index + 1}` });
  const mask = draft.content ? button(style.mask ? "Mask: edit" : "Mask", () => openMask(`Mask of style image ${index + 1}`, style.mask, (made) => {
    style.mask = made;
    show();
  }), { class: "small", "aria-pressed": String(Boolean(style.mask)), "data-mask": `style-${index + 1}` }) : null;
  const weight = draft.styles.length < 2 ? null : [el("label", { for: id, class: "quiet" }, `Weight ${style.weight}`),
    el("input", { type: "range", id, min: 0.05, max: 2, step: 0.05, value: style.weight, oninput: (event) => {
      style.weight = Number(event.target.value);
      event.target.previousElementSibling.textContent = `Weight ${style.weight}`;
      onChange();
    } })];
  return el("li", { class: "style" }, el("img", { src: `/api/files/${file.id}/thumbnail?edge=1024`, alt: `Style image ${file.name}` }),
    el("div", {}, el("span", { class: "name quiet" }, file.name), weight, el("div", { class: "row" }, mask, remove)));
}
