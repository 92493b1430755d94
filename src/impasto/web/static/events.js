/** The stream of events: keeps the state as the server has it, also after a lost connection. */

import { api } from "./api.js";
import { changed, load, loadOrder, progress, put, remove, state } from "./state.js";
import { debounced } from "./dom.js";

const RETRY_MS = 3000;

const refreshOrder = debounced(150, async () => {
  await loadOrder().catch(() => {});
  changed({ kind: "order" });
});

const HIDDEN_SECONDS = 60;
let source = null;
let last = ""; // the id of the last event
let closing;

/**
 * Listen to the events after the one with the id `after`. The browser reconnects by itself and sends the id of the last
 * event it received. A page that is hidden for a while closes its connection, since browsers allow six for all tabs; it
 * reconnects when it is visible again.
 */
export function listen(after) {
  last = after;
  document.addEventListener("visibilitychange", () => {
    clearTimeout(closing);
    if (!document.hidden) {
      if (source === null) connect();
      return;
    }
    closing = setTimeout(() => {
      source?.close();
      source = null;
    }, 1000 * HIDDEN_SECONDS);
  });
  connect();
}

function connect() {
  source = new EventSource(`/api/events?after=${last}`);
  const on = (name, handle) => source.addEventListener(name, (event) => {
    last = event.lastEventId;
    handle(JSON.parse(event.data));
  });
  on("reset", () => load().catch(() => {}));
  on("job", (job) => {
    const before = state.jobs.get(job.number);
    put(job);
    if (job.state === "waiting" || before?.state === "waiting") refreshOrder();
  });
  on("step", progress);
  on("removed", ({ number }) => remove(number));
  on("saved", async () => {
    state.setup = await api("GET", "/api/setup");
    changed({ kind: "saved" });
  });
  source.addEventListener("open", () => connection(true));
  source.addEventListener("error", () => {
    connection(false);
    // a refused stream is not tried again by the browser
    if (source?.readyState === EventSource.CLOSED) setTimeout(again, RETRY_MS);
  });
}

/** Without a valid token this leads to the login. */
function again() {
  api("GET", "/api/storage").then(() => source !== null && connect(), () => setTimeout(again, RETRY_MS));
}

function connection(connected) {
  if (state.connected === connected) return;
  state.connected = connected;
  changed({ kind: "connection" });
}
