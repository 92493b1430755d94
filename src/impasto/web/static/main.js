/** The page: which view is shown, and the connection to the server. */

import { createView } from "./create_view.js";
import { el } from "./dom.js";
import { listen } from "./events.js";
import { historyView } from "./history_view.js";
import { jobView } from "./job_view.js";
import { queueView } from "./queue_view.js";
import { load, state, subscribe } from "./state.js";

let end = () => {};

async function show() {
  const [page, rest = ""] = location.hash.replace(/^#/, "").split("/");
  const place = document.getElementById("view");
  end();
  end = () => {};
  place.replaceChildren();
  window.scrollTo(0, 0);
  for (const link of document.querySelectorAll("[data-page]")) {
    if (link.dataset.page === page) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  try {
    const ended = await view(place, page, rest);
    if (`#${page}${rest ? `/${rest}` : ""}` === location.hash || !location.hash) end = ended;
    else ended();
  } catch (error) {
    place.replaceChildren(el("p", { class: "note error" }, error.message));
  }
}

async function view(place, page, rest) {
  if (page === "job") return jobView(place, Number(rest));
  if (page === "history") return historyView(place);
  if (page === "compare") {
    const { compareView } = await import("./compare_view.js");
    return compareView(place, rest.split(",").map(Number));
  }
  document.querySelector('[data-page="new"]').setAttribute("aria-current", "page");
  return createView(place);
}

async function start() {
  await load();
  queueView(document.getElementById("queue"));
  subscribe((change) => {
    if (change.kind === "connection") document.getElementById("connection").hidden = state.connected;
  });
  window.addEventListener("hashchange", show);
  // what is dropped beside a target does not replace the page
  for (const type of ["dragover", "drop"]) document.addEventListener(type, (event) => event.preventDefault());
  await show();
  document.body.dataset.ready = "true";
  listen();
}

start().catch((error) => document.getElementById("view").replaceChildren(el("p", { class: "note error" }, error.message)));
