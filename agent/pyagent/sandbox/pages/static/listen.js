// "Listen for Data": says what arrives in a bucket, the moment it does.
import { Refused, query, quoted, tables } from "./api.js";
import { ago, button, h, problem } from "./dom.js";

const EVERY = 1000;
// Looks without anything new, before there is advice.
const PATIENCE = 30;

// The newest time of each measurement and host, as {name: milliseconds}. Of the last hour, as older points are no news.
export async function newest(bucket, signal) {
  const script = `from(bucket: ${quoted(bucket.name)})
  |> range(start: -1h, stop: 1h)
  |> keep(columns: ["_time", "_measurement", "host"])
  |> max(column: "_time")`;
  const found = {};
  for (const { rows } of tables(await query(bucket, script, signal))) {
    for (const row of rows) found[row.host ? `${row._measurement} from ${row.host}` : row._measurement] = Date.parse(row._time);
  }
  return found;
}

// `before`: what `newest` gave when the configuration was made; what came since then counts as well.
export class Listener {
  constructor(bucket, before) {
    Object.assign(this, { bucket, before, timer: 0, abort: null });
    this.start = button("Listen for Data", () => (this.abort ? this.stop() : this.listen()), { class: "main" });
    this.said = h("div", { role: "status" });
    this.element = h("section", { class: "card", "aria-label": "Listen for Data" }, this.start, this.said);
  }

  stop() {
    clearTimeout(this.timer);
    this.abort?.abort();
    this.abort = null;
    this.start.textContent = "Listen for Data";
  }

  listen() {
    this.abort = new AbortController();
    this.start.textContent = "Stop listening";
    this.looks = 0;
    this.say(h("p", {}, `Waiting for data in the bucket ${this.bucket.name} ...`));
    this.look(this.abort.signal);
  }

  async look(signal) {
    try {
      const now = await newest(this.bucket, signal);
      if (signal.aborted) return;
      const fresh = Object.entries(now).filter(([name, time]) => !(time <= (this.before[name] ?? -Infinity)));
      if (fresh.length) this.arrived(fresh);
      else if (++this.looks === PATIENCE) {
        this.said.append(h("p", {}, "Nothing came yet. Does the agent run? Its log says what keeps it, and so does: pyagent doctor NAME"));
      }
    } catch (error) {
      if (error.name === "AbortError" || error.status === 401) return;
      if (!(error instanceof Refused)) throw error;
      this.say(problem(`cannot look into the bucket ${this.bucket.name}: ${error.message}`));
    }
    this.timer = setTimeout(() => this.look(signal), EVERY);
  }

  arrived(fresh) {
    const link = new URLSearchParams({ bucket: this.bucket.name, m: fresh[0][0].split(" from ")[0] });
    this.say(
      h("p", { class: "good" }, `Data arrives in the bucket ${this.bucket.name}:`),
      h("ul", {}, fresh.map(([name, time]) => h("li", {}, `${name}, the newest point ${ago((Date.now() - time) / 1000)}`))),
      h("p", {}, h("a", { href: `#explore?${link}` }, "Show it in the Data Explorer")));
  }

  // Only what is new is read out.
  say(...parts) {
    const text = parts.map((part) => part.textContent).join("\n");
    if (this.said.textContent !== text.replaceAll("\n", "")) this.said.replaceChildren(...parts);
  }
}
