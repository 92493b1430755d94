/** The page: which view is shown, and the connection to the server. */

import { createView } from "./create_view.js";
import { el } from "./dom.js";
import { listen } from "./events.js";
import { queueView } from "./queue_view.js";
import { load, state, subscribe } from "./state.js";

const PREFETCH_MS = 1000;

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
  if (page === "job") return (await import("./job_view.js")).jobView(place, Number(rest));
  if (page === "history") return (await import("./history_view.js")).historyView(place);
  if (page === "compare") return (await import("./compare_view.js")).compareView(place, rest.split(",").map(Number));
  document.querySelector('[data-page="new"]').setAttribute("aria-current", "page");
  return createView(place);
}

async function start() {
  const event = await load();
  queueView(document.getElementById("queue"));
  subscribe((change) => {
    if (change.kind === "connection") document.getElementById("connection").hidden = state.connected;
  });
  window.addEventListener("hashchange", show);
  // what is dropped beside a target does not replace the page
  for (const type of ["dragover", "drop"]) document.addEventListener(type, (event) => event.preventDefault());
  await show();
  document.body.dataset.ready = "true";
  listen(event);
  // the other views are there when they are asked for, also while the server is away
  setTimeout(() => Promise.all([import("./job_view.js"), import("./history_view.js")]).catch(() => {}), PREFETCH_MS);
}

start().catch((error) => document.getElementById("view").replaceChildren(el("p", { class: "note error" }, error.message)));
