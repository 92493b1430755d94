/** Elements of the page, without markup in strings: text is never parsed as HTML. */

/** Create an element: properties ("on..." are listeners, others attributes), then children. */
export function el(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  set(element, properties);
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** The same for SVG. */
export function svg(tag, properties = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  set(element, properties);
  element.append(...children);
  return element;
}

function set(element, properties) {
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (["value", "checked", "disabled", "hidden", "selected", "draggable"].includes(name)) element[name] = value;
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
}

/** A button with a text. */
export function button(text, onclick, properties = {}) {
  return el("button", { type: "button", onclick, ...properties }, text);
}

/** Replace the children of an element; the focus stays at the control of the same job with the same name. */
export function refill(place, ...children) {
  const focused = document.activeElement;
  const key = place.contains(focused) ? keyOf(focused) : null;
  const number = focused?.closest("[data-job]")?.dataset.job;
  place.replaceChildren(...children);
  if (key === null) return;
  const controls = [...place.querySelectorAll("a, button:enabled, input:enabled, select:enabled")];
  const same = controls.find((each) => keyOf(each) === key);
  (same ?? controls.find((each) => number && each.closest("[data-job]")?.dataset.job === number))?.focus();
}

function keyOf(control) {
  const name = control.getAttribute("aria-label") ?? control.textContent;
  return [control.closest("[data-job]")?.dataset.job, control.tagName, control.type, name].join("|");
}

let ids = 0;

/** A new id. */
export function newId(prefix) {
  ids += 1;
  return `${prefix}-${ids}`;
}

/** A function that is called at most every `ms` milliseconds, and once after the last call. */
export function throttled(ms, call) {
  let timer = null;
  let again = false;
  return function run() {
    if (timer !== null) {
      again = true;
      return;
    }
    call();
    timer = setTimeout(() => {
      timer = null;
      if (again) {
        again = false;
        run();
      }
    }, ms);
  };
}

/** A function that is called `ms` milliseconds after its last call. */
export function debounced(ms, call) {
  let timer;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(call, ms);
  };
}
