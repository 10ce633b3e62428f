// The agents that run on this host, live: what `pyagent status` says.
import { Refused, json } from "./api.js";
import { ago, h, problem, readable } from "./dom.js";

const EVERY = 2000;

function span(seconds) {
  const rounded = Math.round(seconds);
  if (rounded < 120) return `${rounded} s`;
  return rounded < 7200 ? `${Math.round(rounded / 60)} min` : rounded < 172800 ? `${Math.round(rounded / 3600)} h` : `${Math.round(rounded / 86400)} days`;
}

function table(caption, names, rows) {
  const head = h("tr", {}, names.map((name) => h("th", { scope: "col" }, name)));
  const body = rows.map(([first, ...cells]) => h("tr", {}, h("th", { scope: "row" }, first), cells.map((cell) => h("td", {}, cell))));
  return h("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": caption }, h("table", {}, h("thead", {}, head), h("tbody", {}, body)));
}

const FEW = 3;

function origins({ name, origins = [] }) {
  const more = origins.length > FEW ? ` and ${origins.length - FEW} more; see: pyagent status --origins` : "";
  return h("p", {}, `${name} runs what others wrote: ${origins.slice(0, FEW).join(", ")}${more}`);
}

const count = (number) => Number(number ?? 0).toLocaleString("en");

function card({ instance, status, error }) {
  const title = h("h2", {}, instance);
  if (error) return h("section", { class: "card", "aria-label": instance }, title, problem(error));
  const { configuration } = status;
  const facts = [`pyagent ${status.version}`, `process ${status.pid}`, `up ${span(status.uptime_seconds)}`];
  if (status.resident_bytes) facts.push(`memory ${readable(status.resident_bytes, "bytes")}`);
  const from = configuration.sources.join(", ") || "none yet";
  const kept = status.quarantine?.metrics;
  const inputs = status.inputs.map((one) => [one.name, count(one.metrics), one.age_seconds === null ? "never" : ago(one.age_seconds),
    `${readable(one.duration_seconds)} s`, count(one.failures), count(one.overruns)]);
  const outputs = status.outputs.map((one) => [one.name, count(one.written), `${count(one.queued)} of ${count(one.limit)}`,
    count(one.dropped), count(one.rejected), count(one.failures)]);
  return h("section", { class: "card", "aria-label": instance }, title,
    status.problems.length ? status.problems.map((one) => problem(one)) : h("p", { class: "good" }, "All is well."),
    h("p", {}, facts.join(", ")),
    h("p", {}, `Configuration: ${from}${configuration.from_cache ? ", from the last good copy" : ""}`),
    table(`inputs of ${instance}`, ["input", "metrics", "last", "took", "failures", "late"], inputs),
    table(`outputs of ${instance}`, ["output", "written", "waiting", "dropped", "refused", "failures"], outputs),
    status.inputs.filter((one) => one.origins?.length).map(origins),
    kept > 0 && h("p", {}, `${count(kept)} metrics refused for good are kept; see: pyagent quarantine list`));
}

export async function show(content) {
  let timer = 0;
  let left = false;
  const list = h("div");
  const failed = h("div");
  content.replaceChildren(failed, list);

  async function look() {
    try {
      const { agents } = await json("GET", "/api/sandbox/agents");
      if (left) return;
      failed.replaceChildren();
      // What somebody scrolls by keyboard stays where it is.
      if (!list.contains(document.activeElement) || !list.firstChild) list.replaceChildren(...agents.map(card));
      if (!agents.length) list.replaceChildren(h("p", {}, "No agent runs on this host as pyagent@NAME. Start one with: systemctl start pyagent@NAME"));
    } catch (error) {
      if (error.status === 401) return;
      if (!(error instanceof Refused)) throw error;
      failed.replaceChildren(problem(`cannot look for agents: ${error.message}`));
    }
    if (!left) timer = setTimeout(look, EVERY);
  }
  look();
  return () => { left = true; clearTimeout(timer); };
}
