// Elements made in code. All text goes in as text: what users and agents name things is never read as HTML.

export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "value") element.value = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

// A control below its label; `hint` is read together with it.
export function field(label, control, hint = "") {
  control.id ||= `id-${label.replace(/\W+/g, "-").toLowerCase()}`;
  const parts = [h("label", { for: control.id }, label), control];
  if (hint) {
    control.setAttribute("aria-describedby", `${control.id}-hint`);
    parts.push(h("small", { id: `${control.id}-hint` }, hint));
  }
  return h("div", { class: "field" }, parts);
}

// `options`: values, or pairs of value and text.
export function select(options, chosen, onchange) {
  const list = options.map((option) => (Array.isArray(option) ? option : [option, option]));
  const control = h("select", { onchange: () => onchange?.(control.value) }, list.map(([value, text]) => h("option", { value }, text)));
  if (list.some(([value]) => value === chosen)) control.value = chosen;
  return control;
}

export function button(text, onclick, attributes = {}) {
  return h("button", { type: "button", onclick, ...attributes }, text);
}

// Says what went wrong, at once, to screen readers as well.
export function problem(text) {
  return h("p", { class: "problem", role: "alert" }, text);
}

export async function copy(text, said) {
  try {
    await navigator.clipboard.writeText(text);
    said.textContent = "copied";
  } catch {
    said.textContent = "cannot copy here: mark the text and copy it";
  }
}

const STEPS = [["T", 1e12], ["G", 1e9], ["M", 1e6], ["k", 1e3]];

// A number for people, as the commands show it; `unit` as the plugins declare it.
export function readable(value, unit = "") {
  if (value === null || value === undefined) return "";
  if (typeof value !== "number") return String(value);
  const [name, size] = STEPS.find(([, each]) => Math.abs(value) >= each) ?? ["", 1];
  const number = Number((value / size).toPrecision(4)).toString();
  if (unit === "bytes") return `${number} ${name}B`;
  if (unit === "percent" || unit === "%") return `${number} %`;
  return number + (name ? ` ${name}` : "") + (unit && unit !== "1" ? ` ${unit}` : "");
}

export function ago(seconds) {
  const rounded = Math.max(0, Math.round(seconds));
  if (rounded < 120) return `${rounded} s ago`;
  return rounded < 7200 ? `${Math.round(rounded / 60)} min ago` : `${Math.round(rounded / 3600)} h ago`;
}
