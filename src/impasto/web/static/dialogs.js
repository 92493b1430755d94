/** Short messages, questions and dialogs. */

import { button, el } from "./dom.js";

/** A message at the lower edge, with an action if there is one ({text, run}). */
export function toast(message, action) {
  const place = document.getElementById("toasts");
  const element = el("div", { class: "toast" }, el("span", {}, message));
  const close = () => element.remove();
  if (action) {
    element.append(button(action.text, () => {
      close();
      action.run();
    }));
  }
  place.append(element);
  // anew above all dialogs that are open
  place.hidePopover();
  place.showPopover();
  setTimeout(close, action ? 10000 : 5000);
}

/** Run something that may fail; the error is shown. */
export async function attempt(run) {
  try {
    return await run();
  } catch (error) {
    toast(error.message);
    return undefined;
  }
}

/** A dialog with a title, a body, and actions [{text, run, kind}]; it stays open if `run` returns false or fails. */
export function dialog(heading, body, actions, properties = {}) {
  const element = el("dialog", { "aria-label": heading, ...properties });
  const close = () => element.close();
  const buttons = actions.map(({ text, run, kind }) =>
    button(text, () => attempt(async () => {
      if ((await run()) !== false) close();
    }), { class: kind ?? "" }));
  element.append(el("h2", {}, heading), body, el("div", { class: "actions" }, button("Close", close), buttons));
  element.addEventListener("close", () => element.remove());
  document.body.append(element);
  element.showModal();
  return element;
}

/** Ask whether to do something that cannot be undone. */
export function confirm(question, text, run) {
  dialog(question, el("p", {}, text), [{ text: question, run, kind: "danger" }]);
}
