// The Data Explorer: choices on one side, the chart of them on the other. What is chosen is in the page's address.
import { Refused, buckets, json, query, tables, values } from "./api.js";
import { Chart } from "./chart.js";
import { button, copy, field, h, problem, select } from "./dom.js";
import * as flux from "./flux.js";

const REFRESHES = [["0", "off"], ["1", "1 s"], ["5", "5 s"], ["10", "10 s"], ["60", "1 min"]];
const MOST_RAW = 200_000;
const SHOWN_FIRST = { mem: ["used"], system: ["load1"], cpu: ["usage_idle"] };

class Explorer {
  constructor(content, state, all, units) {
    this.units = units;
    this.here = location.hash.split("?")[0];
    this.all = all;
    this.bucket = all.find((one) => one.name === state.get("bucket")) ?? all[0];
    this.view = {
      bucket: this.bucket.name,
      measurement: state.get("m") ?? "",
      fields: state.getAll("f"),
      tags: Object.fromEntries([...state].filter(([key]) => key.startsWith("t.")).map(([key, value]) => [key.slice(2), value])),
      range: state.get("range") in flux.RANGES ? state.get("range") : "15m",
      every: flux.WINDOWS.includes(state.get("every")) ? state.get("every") : "auto",
      fn: flux.FUNCTIONS.includes(state.get("fn")) ? state.get("fn") : "mean",
    };
    this.refresh = REFRESHES.some(([value]) => value === state.get("refresh")) ? state.get("refresh") : "5";
    this.own = state.get("flux") ?? "";
    this.chart = new Chart();
    this.raw = "";
    this.timer = 0;
    this.abort = new AbortController();
    this.choices = h("form", { class: "card choices", "aria-label": "What is shown", onsubmit: (event) => event.preventDefault() });
    this.failed = h("div");
    this.updated = h("span", { class: "quiet" });
    this.text = h("textarea", { rows: "8", spellcheck: "false", "aria-label": "Flux" });
    this.csv = h("pre", { tabindex: "0", "aria-label": "Raw CSV", hidden: true });
    this.link = h("a", {}, "Link to this view");
    this.said = h("span", { role: "status", class: "quiet" });
    this.back = button("Back to the choices", () => { this.own = ""; this.choose(); }, { hidden: true });
    content.replaceChildren(h("div", { class: "explore" }, this.choices, h("div", {}, this.result())));
    this.visible = () => { if (!document.hidden) this.run(); };
    document.addEventListener("visibilitychange", this.visible);
  }

  result() {
    const rawButton = button("Raw CSV", () => {
      this.csv.hidden = !this.csv.hidden;
      rawButton.setAttribute("aria-expanded", String(!this.csv.hidden));
      this.showRaw();
    }, { "aria-expanded": "false" });
    const run = button("Run this text", () => { this.own = this.text.value; this.choose(); });
    return [
      h("section", { class: "card", "aria-label": "Chart" }, this.failed, this.chart.element,
        h("p", { class: "row" }, this.link, button("Copy the link", () => copy(this.link.href, this.said)), rawButton,
          button("Download CSV", () => this.download()), this.said, this.updated), this.csv),
      h("details", { class: "card", open: this.own !== "" }, h("summary", {}, "Flux"), this.text, h("p", { class: "row" }, run, this.back)),
    ];
  }

  close() {
    clearTimeout(this.timer);
    this.abort.abort();
    this.chart.close();
    document.removeEventListener("visibilitychange", this.visible);
    this.closed = true;
  }

  // Ask for what can be chosen, show it, and run what is chosen.
  async choose() {
    const view = this.view;
    this.abort.abort();
    this.abort = new AbortController();
    const { signal } = this.abort;
    const ask = (script) => values(this.bucket, script, signal);
    this.remember();
    try {
      const measurements = await ask(flux.measurements(view));
      if (!measurements.includes(view.measurement)) {
        view.measurement = measurements.includes("mem") ? "mem" : measurements[0] ?? "";
        view.fields = [];
        view.tags = {};
      }
      let fields = [], tags = [];
      if (view.measurement) {
        const [names, keys] = await Promise.all([ask(flux.fields(view)), ask(flux.tagKeys(view))]);
        fields = names;
        const own = keys.filter((key) => !key.startsWith("_"));
        tags = await Promise.all(own.map(async (key) => [key, await ask(flux.tagValues(view, key))]));
        // What another measurement or bucket does not have is not chosen any more.
        const known = Object.fromEntries(tags);
        view.tags = Object.fromEntries(Object.entries(view.tags).filter(([key, value]) => known[key]?.includes(value)));
        view.fields = view.fields.filter((name) => fields.includes(name));
        if (!view.fields.length) view.fields = (SHOWN_FIRST[view.measurement] ?? []).filter((name) => fields.includes(name));
        if (!view.fields.length) view.fields = fields.slice(0, 1);
      }
      if (signal.aborted) return;
      this.form(measurements, fields, tags);
      await this.run();
    } catch (error) {
      this.told(error);
    }
  }

  form(measurements, fields, tags) {
    const view = this.view;
    const focused = document.activeElement?.id;
    const change = (key) => (value) => { view[key] = value; this.choose(); };
    const boxes = fields.map((name) => {
      const box = h("input", { type: "checkbox", onchange: () => {
        view.fields = box.checked ? [...view.fields, name] : view.fields.filter((one) => one !== name);
        this.choose();
      } });
      box.checked = view.fields.includes(name);
      box.id = `field-${name}`;
      return h("label", { class: "check" }, box, name);
    });
    const tagChoices = tags.map(([key, list]) =>
      field(`tag ${key}`, select([["", "all"], ...list], view.tags[key] ?? "", (value) => {
        if (value) view.tags[key] = value;
        else delete view.tags[key];
        this.choose();
      })));
    this.choices.replaceChildren(
      field("Bucket", select(this.all.map((one) => one.name), view.bucket, (name) => {
        view.bucket = name;
        this.bucket = this.all.find((one) => one.name === name);
        this.choose();
      })),
      field("Measurement", select(measurements, view.measurement, change("measurement"))),
      h("fieldset", {}, h("legend", {}, "Fields"), h("div", { class: "checks" }, boxes)),
      ...tagChoices,
      field("Range", select(Object.keys(flux.RANGES).map((one) => [one, `last ${one}`]), view.range, change("range"))),
      field("Aggregate window", select(flux.WINDOWS, view.every, change("every"))),
      field("Function", select(flux.FUNCTIONS, view.fn, change("fn"))),
      field("Refresh", select(REFRESHES, this.refresh, (value) => { this.refresh = value; this.run(); })));
    this.choices.classList.toggle("off", this.own !== "");
    for (const control of this.choices.querySelectorAll("select, input")) {
      if (control.id !== "id-refresh") control.disabled = this.own !== "";
    }
    if (focused) document.getElementById(focused)?.focus();
  }

  address() {
    const { view } = this;
    const state = new URLSearchParams({ bucket: view.bucket });
    if (this.own) state.set("flux", this.own);
    else {
      if (view.measurement) state.set("m", view.measurement);
      for (const name of view.fields) state.append("f", name);
      for (const [key, value] of Object.entries(view.tags)) state.set(`t.${key}`, value);
      state.set("range", view.range);
      state.set("every", view.every);
      state.set("fn", view.fn);
    }
    state.set("refresh", this.refresh);
    return `#explore?${state}`;
  }

  // Before anything is asked: a session may have ended, and one that begins goes on with this.
  remember() {
    // The address may be another page's already, whose turn is next.
    if (this.closed || location.hash.split("?")[0] !== this.here) return;
    this.here = "#explore";
    history.replaceState(null, "", this.address());
    this.link.href = location.href;
  }

  async run() {
    clearTimeout(this.timer);
    if (this.closed) return;
    this.remember();
    const script = this.own || (this.view.measurement ? flux.script(this.view) : "");
    if (document.activeElement !== this.text || this.own === "") this.text.value = script;
    this.back.hidden = this.own === "";
    const { signal } = this.abort;
    try {
      const csv = script ? await query(this.bucket, script, signal) : "";
      if (signal.aborted) return;
      this.draw(csv);
      this.failed.replaceChildren();
    } catch (error) {
      this.told(error);
    }
    if (Number(this.refresh) && !this.closed && !signal.aborted && !document.hidden) {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => (this.view.measurement || this.own ? this.run() : this.choose()), Number(this.refresh) * 1000);
    }
  }

  draw(csv) {
    this.raw = csv;
    this.showRaw();
    const series = [];
    for (const { group, rows, types } of tables(csv)) {
      if (!("_time" in types) || !["double", "long", "unsignedLong", "boolean"].includes(types._value)) continue;
      const points = rows.filter((row) => typeof row._value === "number").map((row) => [Date.parse(row._time) / 1000, row._value]);
      points.sort((a, b) => a[0] - b[0]);
      const { _start, _stop, _measurement, _field, ...tags } = group;
      const name = [_measurement, _field, ...Object.entries(tags).map(([key, value]) => `${key}=${value}`)].filter(Boolean).join(" ");
      if (points.length) series.push({ name: name || "value", times: points.map(([time]) => time), values: points.map(([, value]) => value) });
    }
    this.chart.draw(series, this.unit());
    this.updated.textContent = `as of ${new Date().toLocaleTimeString()}`;
  }

  // Of the values, where the installed plugins say it, and it is the same for all that is drawn.
  unit() {
    const { measurement, fields, fn } = this.view;
    if (this.own || fn === "count") return "";
    const found = new Set(fields.map((name) => this.units[measurement]?.[name] ?? ""));
    return found.size === 1 ? [...found][0] : "";
  }

  showRaw() {
    if (this.csv.hidden) return;
    const cut = this.raw.length > MOST_RAW;
    this.csv.textContent = this.raw.slice(0, MOST_RAW) + (cut ? "\n... the rest is in the download" : "");
  }

  download() {
    const address = URL.createObjectURL(new Blob([this.raw], { type: "text/csv" }));
    h("a", { href: address, download: `${this.view.measurement || "query"}.csv` }).click();
    setTimeout(() => URL.revokeObjectURL(address), 60_000);
  }

  told(error) {
    if (error.name === "AbortError" || error.status === 401) return;
    if (!(error instanceof Refused)) throw error;
    this.failed.replaceChildren(problem(error.message));
    if (!this.choices.firstChild) this.form([], [], []);
  }
}

export async function show(content, state) {
  const all = await buckets();
  if (!all.length) {
    content.replaceChildren(h("p", {}, "There is no bucket yet."));
    return undefined;
  }
  const { inputs } = await json("GET", "/api/sandbox/plugins");
  const units = Object.assign({}, ...inputs.map((input) => input.measurements));
  const explorer = new Explorer(content, state, all, units);
  explorer.choose();
  return () => explorer.close();
}
