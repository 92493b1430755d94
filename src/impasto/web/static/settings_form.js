/** A form of settings, generated from their JSON Schema: ranges, help, and reset for each. */

import { button, el, newId } from "./dom.js";
import { label, shown } from "./text.js";

const SIZES = [256, 512, 1024, 2048, 4096];
const ENDS = { strength: ["more content", "more style"], style_scale: ["finer strokes", "larger strokes"] };
const CHOICES = { init: ["content", "noise", "fast"] };
const WORDS = {
  color: { style: "Style image", match: "Style image, content matched first", content: "Content image", luminance: "Content image, luminance from the result" },
  method: { optimize: "Optimization (best quality)", fast: "One pass (seconds)" },
  faces: { keep: "Unchanged", soft: "Features in place", off: "As the rest" },
  init: { content: "Content image", noise: "Noise", fast: "Result of the one-pass method" },
  optimizer: { lbfgs: "L-BFGS", adam: "Adam", "keras-adam": "Adam of Keras" },
};
const LOGARITHMIC = ["style_scale"];
const SLIDER_SPAN = 1000;

/** A form for `names`; `values` has all settings, and is changed in place. `onChange` is called after each change. */
export function settingsForm(schema, defaults, values, names, onChange) {
  const fields = names.map((name) => field(name, schema.properties[name], defaults[name], values, onChange));
  return {
    element: el("div", { class: "fields" }, fields.map((each) => each.element)),
    show: () => fields.forEach((each) => each.show()),
  };
}

function field(name, schema, standard, values, onChange) {
  const id = newId(name);
  const complaint = el("small", { class: "invalid", hidden: true });
  const reset = button("Reset", () => change(standard), { class: "plain small", "aria-label": `Reset ${label(name)}` });
  const control = controlFor(name, schema, id, change, complain);

  function complain(message) {
    complaint.textContent = message;
    complaint.hidden = !message;
  }
  function change(value) {
    complain("");
    values[name] = value;
    show();
    onChange(name);
  }
  function show() {
    control.show(values[name]);
    reset.hidden = shown(values[name]) === shown(standard);
  }
  show();
  const help = helpOf(name, `${id}-help`, schema.description ?? "");
  const element = el("div", { class: "field", "data-setting": name },
    el("div", { class: "head" }, el("label", { for: id }, label(name)), control.output ?? "", reset),
    control.element, complaint, help);
  return { element, show };
}

/** The first sentence; the others are shown on request. */
function helpOf(name, id, text) {
  const [first, ...others] = text.split(/(?<=\.) /);
  const more = el("summary", { "aria-label": `More about ${label(name)}` }, "More");
  return el("small", {}, el("span", { id }, first, " "), others.length ? el("details", {}, more, el("span", {}, others.join(" "))) : null);
}

function controlFor(name, schema, id, change, complain) {
  const attributes = { id, "aria-describedby": `${id}-help` };
  const choices = schema.enum ?? CHOICES[name];
  if (choices) return select(choices, WORDS[name], attributes, change);
  if (schema.type === "boolean") return checkbox(attributes, change);
  if (schema.type === "object") return layers(attributes, change, complain);
  const range = bounds(schema);
  if (name === "size") return size(attributes, range, change, complain);
  if (LOGARITHMIC.includes(name)) return ratio(name, attributes, range, change);
  const isNarrow = range.max - range.min <= SLIDER_SPAN && schema.type === "number";
  return isNarrow ? slider(name, attributes, range, change) : number(attributes, range, schema.type, change, complain);
}

function bounds(schema) {
  return {
    min: schema.minimum ?? schema.exclusiveMinimum ?? -Infinity,
    max: schema.maximum ?? schema.exclusiveMaximum ?? Infinity,
    open: [schema.exclusiveMinimum !== undefined, schema.exclusiveMaximum !== undefined],
  };
}

function select(choices, words, attributes, change) {
  const options = choices.map((choice) => el("option", { value: String(choice) }, words?.[choice] ?? String(choice)));
  const element = el("select", { ...attributes, onchange: () => change(choices[element.selectedIndex]) }, options);
  return { element, show: (value) => { element.value = String(value); } };
}

function checkbox(attributes, change) {
  const element = el("input", { type: "checkbox", ...attributes, onchange: () => change(element.checked) });
  return { element: el("div", {}, element), show: (value) => { element.checked = value; } };
}

function slider(name, attributes, range, change) {
  const step = range.max - range.min > 50 ? 1 : 0.01;
  const low = range.open[0] ? range.min + step : range.min;
  const high = range.open[1] ? range.max - step / 10 : range.max;
  const input = el("input", { type: "range", min: low, max: high, step: "any", ...attributes,
    oninput: () => change(Number((Math.round(input.value / step) * step).toFixed(4))) });
  // the arrow keys move by a visible step, although any value can be set
  input.addEventListener("keydown", (event) => {
    const direction = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1 }[event.key];
    if (!direction) return;
    event.preventDefault();
    const by = step === 1 ? 5 : range.max - range.min > 5 ? 0.1 : 0.05;
    change(Number(Math.min(high, Math.max(low, Number(input.value) + direction * by)).toFixed(4)));
  });
  const output = el("output", { for: attributes.id });
  return { element: el("div", {}, input, ends(name)), output, show: (value) => { input.value = value; output.textContent = shown(value); } };
}

/** A slider for a factor: each step multiplies, so that 1 is in the middle between 1/2 and 2. */
function ratio(name, attributes, range, change) {
  const input = el("input", { type: "range", min: Math.log2(range.min), max: Math.log2(range.max), step: "any", ...attributes,
    oninput: () => change(rounded(2 ** input.value)) });
  const rounded = (value) => Math.min(range.max, Math.max(range.min, Number((Math.round(value * 20) / 20).toFixed(2))));
  input.addEventListener("keydown", (event) => {
    const direction = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1 }[event.key];
    if (!direction) return;
    event.preventDefault();
    const value = 2 ** input.value;
    change(rounded(value + direction * (value < 1.001 && (direction < 0 || value < 0.99) ? 0.05 : 0.1)));
  });
  const show = (value) => {
    input.value = Math.log2(value);
    input.setAttribute("aria-valuetext", shown(value));
    output.textContent = shown(value);
  };
  const output = el("output", { for: attributes.id });
  return { element: el("div", {}, input, ends(name)), output, show };
}

function ends(name) {
  return ENDS[name] ? el("div", { class: "ends quiet" }, ENDS[name].map((end) => el("span", {}, end))) : null;
}

function number(attributes, range, type, change, complain) {
  const element = el("input", { type: "number", step: type === "integer" ? 1 : "any", ...attributes, onchange: () => {
    const value = Number(element.value);
    const inside = (range.open[0] ? value > range.min : value >= range.min) && (range.open[1] ? value < range.max : value <= range.max);
    if (element.value === "" || !Number.isFinite(value) || !inside || (type === "integer" && !Number.isInteger(value))) {
      complain(`got ${element.value || "nothing"}; give ${type === "integer" ? "a whole number" : "a number"} ${rangeText(range)}`);
    } else {
      change(value);
    }
  } });
  return { element, show: (value) => { element.value = value; } };
}

function rangeText({ min, max, open }) {
  const low = Number.isFinite(min) ? `${open[0] ? "above" : "from"} ${min}` : "";
  return Number.isFinite(max) ? `${low} ${open[1] ? "below" : "to"} ${max}` : low;
}

function size(attributes, range, change, complain) {
  const input = number(attributes, range, "integer", change, complain);
  const chips = SIZES.map((edge) => button(String(edge), () => change(edge), { class: "small", "aria-label": `${edge} pixels` }));
  return {
    element: el("div", {}, input.element, el("div", { class: "chips" }, chips)),
    show: (value) => {
      input.show(value);
      chips.forEach((chip, index) => chip.setAttribute("aria-pressed", String(SIZES[index] === value)));
    },
  };
}

function layers(attributes, change, complain) {
  const element = el("textarea", { rows: 3, ...attributes, onchange: () => {
    const pairs = element.value.split(/[,\n]/).map((part) => part.trim()).filter(Boolean).map((part) => part.split("="));
    if (!pairs.length || pairs.some((pair) => pair.length !== 2 || !pair[0].trim() || !(Number(pair[1]) >= 0))) {
      complain("give NAME=WEIGHT for each layer, separated by commas, such as block4_conv2=1");
    } else {
      change(Object.fromEntries(pairs.map(([name, weight]) => [name.trim(), Number(weight)])));
    }
  } });
  return { element, show: (value) => { element.value = shown(value); } };
}
