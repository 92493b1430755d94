/** Restoring all or selected settings from a result: a job of the server, or an image file with a recipe. */

import { upload } from "./api.js";
import { dialog, toast } from "./dialogs.js";
import { button, el, newId } from "./dom.js";
import { label, shown } from "./text.js";

/** Let the user choose from what was dropped: image files, or a job. */
export async function chooseSettings(files, job, present, use) {
  if (job) {
    chooseFrom(job.spec.settings, present, use);
    return;
  }
  for (const file of files.slice(0, 1)) {
    const { recipe } = await upload(file, file.name);
    if (recipe) chooseFrom(recipe.settings, present, use);
    else toast(`${file.name}: has no recipe; drop an image that impasto saved`);
  }
}

/** Let the user choose which of the settings that differ are taken over. */
export function chooseFrom(settings, present, use) {
  const different = Object.entries(settings).filter(([name, value]) => name in present && name !== "init" && shown(value) !== shown(present[name]));
  if (!different.length) {
    toast("These settings are the present ones.");
    return;
  }
  const boxes = different.map(([name, value]) => {
    const id = newId("restore");
    const box = el("input", { type: "checkbox", id, checked: true, name });
    return { box, name, value, element: el("div", { class: "check" }, box, el("label", { for: id }, `${label(name)}: ${shown(value)} (now ${shown(present[name])})`)) };
  });
  const all = (checked) => () => boxes.forEach(({ box }) => { box.checked = checked; });
  dialog("Restore settings", el("div", {}, el("div", { class: "row" }, button("All", all(true), { class: "small" }), button("None", all(false), { class: "small" })),
    el("div", { class: "choices" }, boxes.map(({ element }) => element))),
  [{ text: "Restore", kind: "primary", run: () => {
    use(Object.fromEntries(boxes.filter(({ box }) => box.checked).map(({ name, value }) => [name, value])));
  } }]);
}
