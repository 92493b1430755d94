/** History: all results, with search, favorites, comparison and deletion. */

import { api } from "./api.js";
import { attempt, toast } from "./dialogs.js";
import { button, debounced, el, newId, refill } from "./dom.js";
import { draggable } from "./pickers.js";
import { thumbnailOf } from "./queue_view.js";
import { ask, keep, put, state, subscribe } from "./state.js";
import { stateText, title } from "./text.js";

const PAGE = 40;
const ENDED = "done,stopped,failed,canceled";

/** Show history in `place`; returns a function that ends it. */
export function historyView(place) {
  const filters = { search: "", favorite: false };
  const chosen = new Set();
  const list = el("ul", { class: "gallery", id: "gallery" });
  const more = button("More", () => load(false), { hidden: true });
  const compare = button("Compare", () => { location.hash = `#compare/${[...chosen].join(",")}`; }, { class: "primary", disabled: true });
  const shownJobs = [];
  const fresh = debounced(250, () => load(true));
  const only = newId("favorites");
  const search = newId("search");
  place.append(el("h1", {}, "History"), el("div", { class: "filters", role: "search" }, el("label", { for: search, class: "sr" }, "Search"),
    el("input", { type: "search", id: search, placeholder: "Search names and settings", oninput: (event) => { filters.search = event.target.value; fresh(); } }),
    el("span", { class: "check" }, el("input", { type: "checkbox", id: only, onchange: (event) => { filters.favorite = event.target.checked; fresh(); } }), el("label", { for: only }, "Favorites")),
    compare), list, el("p", {}, more));

  async function load(anew) {
    const query = new URLSearchParams({ state: ENDED, limit: PAGE, search: filters.search });
    if (filters.favorite) query.set("favorite", "true");
    if (!anew && shownJobs.length) query.set("before", shownJobs.at(-1).number);
    const page = await attempt(() => api("GET", `/api/jobs?${query}`));
    if (!page) return;
    if (anew) shownJobs.length = 0;
    shownJobs.push(...page.jobs);
    page.jobs.forEach((job) => keep(job));
    more.hidden = !page.more;
    show();
  }
  function show() {
    const jobs = shownJobs.map((job) => state.jobs.get(job.number)).filter((job) => job && !job.deleted);
    refill(list, ...jobs.map((job) => tile(job, chosen, () => { compare.disabled = chosen.size < 2; })));
    if (!jobs.length) list.replaceChildren(el("li", { class: "note" }, filters.search || filters.favorite ? "No result matches." : "No results yet."));
  }
  load(true);
  // the next page is loaded when the end of this one comes into sight; the button is for the keyboard
  const sight = new IntersectionObserver(([entry]) => entry.isIntersecting && !more.hidden && load(false), { rootMargin: "400px" });
  sight.observe(more);
  const unsubscribe = subscribe((change) => {
    if (change.kind === "reset") fresh();
    if (change.kind !== "job") return;
    const job = state.jobs.get(change.number);
    if (job && job.ended !== null && !shownJobs.some((each) => each.number === job.number)) fresh();
    else if (shownJobs.some((each) => each.number === change.number)) show();
  });
  return () => {
    sight.disconnect();
    unsubscribe();
  };
}

function tile(job, chosen, onChoice) {
  const id = newId("choose");
  const source = job.result ? thumbnailOf(job, 384) : null;
  const box = el("input", { type: "checkbox", id, checked: chosen.has(job.number), disabled: !job.result, onchange: () => {
    if (box.checked) chosen.add(job.number);
    else chosen.delete(job.number);
    onChoice();
  } });
  const star = button(job.favorite ? "★" : "☆", () => attempt(async () => put(await api("PATCH", `/api/jobs/${job.number}`, { favorite: !job.favorite }))),
    { class: "plain small", "aria-pressed": String(job.favorite), "aria-label": `Favorite: ${title(job)}` });
  const remove = button("Delete", () => attempt(async () => {
    put(await api("DELETE", `/api/jobs/${job.number}`));
    toast(`${title(job)} is deleted.`, { text: "Undo", run: () => attempt(() => ask(job.number, "restore")) });
  }), { class: "plain small", "aria-label": `Delete ${title(job)}` });
  const element = el("li", { class: "tile", "data-job": job.number }, el("a", { href: `#job/${job.number}` },
    source ? el("img", { src: source, alt: `Result of ${title(job)}`, loading: "lazy" }) : el("div", { class: "blank" })),
  el("div", {}, el("span", { class: "name" }, title(job)), el("div", { class: "row" }, el("span", { class: `badge ${job.state}` }, stateText(job)), el("span", { class: "grow" }), star, remove),
    el("span", { class: "check" }, box, el("label", { for: id, class: "quiet" }, "Compare"))));
  draggable(element, job.number);
  return element;
}
