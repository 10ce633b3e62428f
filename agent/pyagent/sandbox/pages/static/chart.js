// A line chart with the colours of the page, and the same in words and numbers below it.
import { h, readable } from "./dom.js";

/* global uPlot */

const dark = window.matchMedia("(prefers-color-scheme: dark)");
export const MOST_SERIES = 50;
const HEIGHT = 320;

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

// `draw(series, unit)`: series are {name, times, values}, times in seconds and rising.
export class Chart {
  constructor() {
    this.canvas = h("div", { class: "chart", role: "img", "aria-label": "no data" });
    this.legend = h("div", { class: "scroll" });
    this.element = h("figure", {}, this.canvas, this.legend);
    this.plot = null;
    this.series = [];
    this.unit = "";
    this.redraw = () => { this.plot?.destroy(); this.plot = null; this.draw(this.series, this.unit); };
    dark.addEventListener("change", this.redraw);
    this.observer = new ResizeObserver(() => this.plot?.setSize({ width: this.canvas.clientWidth, height: HEIGHT }));
    this.observer.observe(this.canvas);
  }

  close() {
    dark.removeEventListener("change", this.redraw);
    this.observer.disconnect();
    this.plot?.destroy();
  }

  draw(series, unit) {
    const drawn = series.slice(0, MOST_SERIES);
    const names = drawn.map((one) => one.name).join("\n");
    if (names !== this.names || unit !== this.unit) { this.plot?.destroy(); this.plot = null; }
    [this.series, this.unit, this.names] = [series, unit, names];
    const newest = drawn.map((one) => `${one.name} ${readable(one.values.at(-1), unit)}`);
    this.canvas.setAttribute("aria-label", newest.length ? `line chart: ${newest.slice(0, 5).join(", ")}` : "no data");
    this.canvas.dataset.points = drawn.reduce((sum, one) => sum + one.times.length, 0);
    this.words(series, drawn, unit);
    if (!drawn.length) { this.plot?.destroy(); this.plot = null; return; }
    const data = uPlot.join(drawn.map((one) => [one.times, one.values]));
    if (this.plot) this.plot.setData(data);
    else this.plot = new uPlot(this.options(drawn, unit), data, this.canvas);
  }

  options(drawn, unit) {
    const axis = { stroke: colour("--text"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line"), width: 1 } };
    return {
      width: this.canvas.clientWidth || 600,
      height: HEIGHT,
      legend: { show: false },
      cursor: { drag: { x: true, y: false } },
      axes: [axis, { ...axis, size: 84, values: (_, ticks) => ticks.map((tick) => readable(tick, unit)) }],
      series: [{}, ...drawn.map((one, index) => ({ label: one.name, stroke: colour(`--series-${index % 8}`), width: 2, spanGaps: true }))],
    };
  }

  words(series, drawn, unit) {
    if (!drawn.length) {
      this.legend.replaceChildren(h("p", { class: "quiet" }, "No numbers in this range."));
      return;
    }
    const rows = drawn.map((one, index) => {
      const known = one.values.filter((value) => value !== null);
      const numbers = [known.at(-1), known.reduce((a, b) => Math.min(a, b)), known.reduce((a, b) => Math.max(a, b))];
      return h("tr", {}, h("th", { scope: "row" }, h("span", { class: `key series-${index % 8}`, "aria-hidden": "true" }), one.name),
        numbers.map((number) => h("td", {}, readable(number, unit))));
    });
    const head = ["series", "last", "lowest", "highest"].map((name) => h("th", { scope: "col" }, name));
    const more = series.length > drawn.length && h("p", {}, `${drawn.length} of ${series.length} series are drawn; choose tags to see the others.`);
    this.legend.replaceChildren(h("table", {}, h("thead", {}, h("tr", {}, head)), h("tbody", {}, rows)), more || "");
  }
}
