// "Create configuration": a bucket, plugins, their options, then the two lines for the agent's host.
import { Refused, buckets, json } from "./api.js";
import { button, copy, field, h, problem, select } from "./dom.js";
import { Listener, newest } from "./listen.js";

const WHOLE = /^-?\d+$/;

// A control for an option, and how its value is read; undefined: as the default says.
function control(option) {
  if (option.type === "boolean" || option.choices) {
    const list = option.choices ?? [true, false];
    const made = select([["", `default: ${option.default}`], ...list.map((one) => [JSON.stringify(one), one === "" ? "(empty)" : String(one)])], "");
    return [made, () => (made.value ? JSON.parse(made.value) : undefined)];
  }
  if (option.type.startsWith("list of")) {
    const made = h("textarea", { rows: "2", spellcheck: "false", placeholder: "one a line" });
    const numbers = option.type === "list of integer";
    const lines = () => made.value.split("\n").map((line) => line.trim()).filter(Boolean);
    return [made, () => (lines().length ? lines().map((line) => (numbers && WHOLE.test(line) ? Number(line) : line)) : undefined)];
  }
  const number = option.type === "integer" || option.type === "number" || option.type === "size";
  const made = h("input", { spellcheck: "false", autocomplete: "off", required: option.required });
  if (option.default !== null && option.default !== "") made.placeholder = `default: ${option.default}`;
  return [made, () => {
    if (made.value === "") return undefined;
    return number && made.value.trim() !== "" && !Number.isNaN(Number(made.value)) ? Number(made.value) : made.value;
  }];
}

class Maker {
  constructor(content, all, inputs, org) {
    Object.assign(this, { content, all, inputs, org, bucket: all[0], chosen: new Map() });
    this.name = h("input", { required: true, spellcheck: "false", autocomplete: "off", oninput: () => { this.named = true; } });
    this.forms = h("div");
    this.text = h("textarea", { rows: "18", spellcheck: "false", oninput: () => { this.edited = true; this.again.hidden = false; } });
    this.edited = false;
    this.again = button("Make the text anew", () => { this.edited = false; this.compose(); }, { hidden: true });
    this.failed = h("div");
    this.cards = h("ul", { class: "cards" }, inputs.map((input) => this.card(input)));
    const search = h("input", { type: "search", oninput: () => this.filter(search.value) });
    content.replaceChildren(h("form", { onsubmit: (event) => { event.preventDefault(); this.create(); } },
      h("section", { class: "card", "aria-label": "Bucket and plugins" },
        field("Bucket", select(all.map((one) => one.name), this.bucket.name, (name) => {
          this.bucket = all.find((one) => one.name === name);
          this.compose();
        })),
        field("Find a plugin", search), this.cards),
      this.forms,
      h("section", { class: "card", "aria-label": "The configuration" },
        field("Name", this.name),
        field("Text", this.text, "It may be edited. Everybody who may read configurations sees it: write ${NAME} for a secret."),
        this.again, this.failed,
        h("p", { class: "row" }, h("button", { type: "submit", class: "main" }, "Save and Test")))));
    this.compose();
  }

  card(input) {
    const made = button("", () => {
      if (this.chosen.delete(input.name)) made.setAttribute("aria-pressed", "false");
      else {
        this.chosen.set(input.name, this.form(input));
        made.setAttribute("aria-pressed", "true");
      }
      this.forms.replaceChildren(...[...this.chosen.values()].map((form) => form.element));
      this.compose();
    }, { "aria-pressed": "false" });
    made.append(h("strong", {}, input.name), h("span", {}, input.text));
    return h("li", { "data-words": `${input.name} ${input.text}`.toLowerCase() }, made);
  }

  filter(words) {
    for (const card of this.cards.children) card.hidden = !card.dataset.words.includes(words.trim().toLowerCase());
  }

  form(input) {
    const read = {};
    const fields = input.options.map((option) => {
      const [made, value] = control(option);
      made.id = `option-${input.name}-${option.name}`;
      made.addEventListener("change", () => this.compose());
      read[option.name] = value;
      const kind = option.type === "secret" ? "secret: write ${NAME}, a variable of the agent's host" : option.type;
      const needs = option.effects.includes("executes") ? "; the agent's host has to allow it, with PYAGENT_ALLOW_REMOTE_EXEC=1" : "";
      return field(option.name, made, (option.text ? `${option.text} (${kind})` : kind) + needs);
    });
    const sample = h("details", {}, h("summary", {}, "Sample settings"), h("pre", { tabindex: "0" }, input.sample));
    const element = h("fieldset", { class: "card" }, h("legend", {}, input.name),
      fields.length ? h("div", { class: "options" }, fields) : h("p", {}, "It has no options of its own."), sample);
    return { element, values: () => Object.fromEntries(Object.entries(read).map(([name, value]) => [name, value()]).filter(([, value]) => value !== undefined)) };
  }

  async compose() {
    if (!this.named) this.name.value = [...this.chosen.keys()].join(" ");
    if (this.edited) return;
    const turn = (this.turn ?? 0) + 1;
    this.turn = turn;
    const inputs = [...this.chosen].map(([name, form]) => ({ name, options: form.values() }));
    try {
      const { config } = await json("POST", "/api/sandbox/configuration", { bucket: this.bucket.name, org: this.org.name, inputs });
      if (this.turn !== turn || this.edited) return;
      this.text.value = config;
      this.again.hidden = true;
      this.failed.replaceChildren();
    } catch (error) {
      this.told(error);
    }
  }

  async create() {
    try {
      const { bucket, org } = this;
      const config = this.text.value;
      const { mistakes } = await json("POST", "/api/sandbox/check", { config });
      if (mistakes.length) {
        this.failed.replaceChildren(problem(mistakes.join("\n")));
        return;
      }
      const before = await newest(bucket);
      const made = await json("POST", "/api/v2/telegrafs", { name: this.name.value, description: "", config, orgID: org.id, metadata: { buckets: [bucket.name] } });
      const permissions = [
        { action: "read", resource: { type: "telegrafs", id: made.id, orgID: org.id } },
        { action: "write", resource: { type: "buckets", id: bucket.id, orgID: org.id } },
      ];
      const { token } = await json("POST", "/api/v2/authorizations", { orgID: org.id, description: `${made.name} token`, permissions });
      this.done(made, token, before);
    } catch (error) {
      this.told(error);
    }
  }

  // The token of this configuration is shown now, and never again.
  done(made, token, before) {
    const lines = [`export INFLUX_TOKEN=${token}`, `pyagent --config ${location.origin}/api/v2/telegrafs/${made.id}`];
    const shown = h("pre", { tabindex: "0", "aria-label": "Lines for the host" }, lines.join("\n"));
    const said = h("span", { role: "status", class: "quiet" });
    const heading = h("h2", { tabindex: "-1" }, `Run ${made.name}`);
    this.listener = new Listener(this.bucket, before);
    this.content.replaceChildren(
      h("section", { class: "card", "aria-label": "Run it" }, heading,
        h("p", {}, "Paste both lines into a shell of the host, or into /etc/pyagent/NAME.env for the service pyagent@NAME. The token can write this bucket and read this configuration; it is shown only here."),
        shown, h("p", { class: "row" }, button("Copy both lines", () => copy(lines.join("\n"), said)), said)),
      this.listener.element,
      h("p", {}, button("Create another one", () => window.dispatchEvent(new Event("hashchange")))));
    heading.focus();
  }

  told(error) {
    if (error.status === 401) return;
    if (!(error instanceof Refused)) throw error;
    this.failed.replaceChildren(problem(error.message));
  }
}

export async function show(content) {
  const [all, { inputs }] = await Promise.all([buckets(), json("GET", "/api/sandbox/plugins")]);
  if (!all.length) {
    content.replaceChildren(h("p", {}, "There is no bucket yet."));
    return undefined;
  }
  const { orgs } = await json("GET", "/api/v2/orgs");
  const org = orgs.find((one) => one.id === all[0].orgID) ?? orgs[0];
  const maker = new Maker(content, all.filter((one) => one.orgID === org.id), inputs, org);
  return () => maker.listener?.stop();
}
