// The script for what is chosen in the Data Explorer.
import { quoted } from "./api.js";

export const RANGES = { "5m": 300, "15m": 900, "1h": 3600, "6h": 21600, "24h": 86400, "7d": 604800, "30d": 2592000 };
export const WINDOWS = ["auto", "1s", "10s", "30s", "1m", "5m", "15m", "1h", "6h", "1d"];
export const FUNCTIONS = ["mean", "min", "max", "last", "sum", "count", "median", "none"];
const STEPS = [["1s", 1], ["5s", 5], ["10s", 10], ["30s", 30], ["1m", 60], ["5m", 300], ["15m", 900], ["30m", 1800], ["1h", 3600], ["2h", 7200]];

function every(view) {
  if (view.every !== "auto") return view.every;
  return (STEPS.find(([, seconds]) => RANGES[view.range] / seconds <= 400) ?? STEPS.at(-1))[0];
}

function any(column, list) {
  return list.map((value) => `r[${quoted(column)}] == ${quoted(value)}`).join(" or ");
}

// `view`: {bucket, measurement, fields, tags: {key: value}, range, every, fn}, names as they are.
export function script(view) {
  const lines = [
    `from(bucket: ${quoted(view.bucket)})`,
    `range(start: -${view.range})`,
    `filter(fn: (r) => ${any("_measurement", [view.measurement])})`,
  ];
  if (view.fields.length) lines.push(`filter(fn: (r) => ${any("_field", view.fields)})`);
  for (const [key, value] of Object.entries(view.tags)) lines.push(`filter(fn: (r) => ${any(key, [value])})`);
  if (view.fn !== "none") lines.push(`aggregateWindow(every: ${every(view)}, fn: ${view.fn}, createEmpty: false)`);
  return lines.join("\n  |> ");
}

const SCHEMA = 'import "influxdata/influxdb/schema"\n\n';

function where(view) {
  return `bucket: ${quoted(view.bucket)}, start: -30d`;
}

export function measurements(view) {
  return `${SCHEMA}schema.measurements(${where(view)})`;
}

export function fields(view) {
  return `${SCHEMA}schema.measurementFieldKeys(${where(view)}, measurement: ${quoted(view.measurement)})`;
}

export function tagKeys(view) {
  return `${SCHEMA}schema.measurementTagKeys(${where(view)}, measurement: ${quoted(view.measurement)})`;
}

export function tagValues(view, tag) {
  return `${SCHEMA}schema.measurementTagValues(${where(view)}, measurement: ${quoted(view.measurement)}, tag: ${quoted(tag)})`;
}
