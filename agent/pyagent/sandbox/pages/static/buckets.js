// The buckets: make, delete, and put files into them.
import { Refused, buckets, json, text } from "./api.js";
import { button, field, h, problem, select } from "./dom.js";

const DAY = 86400;
const RETENTIONS = [["0", "for ever"], ["3600", "1 hour"], [`${DAY}`, "1 day"], [`${7 * DAY}`, "7 days"], [`${30 * DAY}`, "30 days"], [`${90 * DAY}`, "90 days"], [`${365 * DAY}`, "1 year"]];
const MOST = 64 * 2 ** 20;

function kept(seconds) {
  const known = RETENTIONS.find(([value]) => Number(value) === seconds);
  return known ? known[1] : seconds % DAY === 0 ? `${seconds / DAY} days` : `${seconds / 3600} hours`;
}

function counted(lines) {
  return `${lines.toLocaleString("en")} ${lines === 1 ? "line" : "lines"}`;
}

class Page {
  constructor(content) {
    this.list = h("div", { class: "scroll" });
    this.failed = h("div");
    this.uploads = h("section", { class: "card", "aria-label": "Upload" });
    this.dialog = h("dialog", { "aria-label": "Delete a bucket" });
    const name = h("input", { required: true, spellcheck: "false", autocomplete: "off" });
    const keep = select(RETENTIONS, "0");
    content.replaceChildren(this.failed, h("section", { class: "card", "aria-label": "All buckets" }, this.list),
      h("form", { class: "card", "aria-label": "New bucket", onsubmit: (event) => {
        event.preventDefault();
        this.make(name, Number(keep.value));
      } }, h("h2", {}, "New bucket"), h("div", { class: "options" }, field("Name", name), field("Keep data", keep)),
      h("button", { type: "submit", class: "main" }, "Create bucket")),
      this.uploads, this.dialog);
  }

  async load() {
    const all = await buckets();
    const rows = all.map((bucket) => h("tr", {},
      h("th", { scope: "row" }, bucket.name),
      h("td", {}, kept(bucket.retentionRules[0]?.everySeconds ?? 0)),
      h("td", {}, h("a", { href: `#explore?${new URLSearchParams({ bucket: bucket.name })}`, "aria-label": `Explore ${bucket.name}` }, "Explore")),
      h("td", {}, button("Delete", () => this.ask(bucket), { class: "bad", "aria-label": `Delete ${bucket.name}` }))));
    const head = h("tr", {}, ["bucket", "keeps data"].map((one) => h("th", { scope: "col" }, one)), h("td", { colspan: "2" }));
    this.list.replaceChildren(rows.length ? h("table", {}, h("thead", {}, head), h("tbody", {}, rows)) : h("p", {}, "There is no bucket yet."));
    this.upload(all);
  }

  async make(name, everySeconds) {
    await this.trying(`create the bucket ${name.value}`, async () => {
      const { orgs } = await json("GET", "/api/v2/orgs");
      const retentionRules = everySeconds ? [{ type: "expire", everySeconds }] : [];
      await json("POST", "/api/v2/buckets", { orgID: orgs[0].id, name: name.value, retentionRules });
      name.value = "";
      await this.load();
    });
  }

  ask(bucket) {
    this.dialog.replaceChildren(
      h("p", {}, `Delete the bucket ${bucket.name}, with all that is in it?`),
      h("p", { class: "row" }, button("Cancel", () => this.dialog.close(), { autofocus: true }), button("Delete it", async () => {
        this.dialog.close();
        await this.trying(`delete the bucket ${bucket.name}`, async () => {
          await text("DELETE", `/api/v2/buckets/${bucket.id}`);
          await this.load();
        });
      }, { class: "bad" })));
    this.dialog.showModal();
  }

  async trying(what, work) {
    this.failed.replaceChildren();
    try {
      await work();
    } catch (error) {
      if (error.status === 401) return;
      if (!(error instanceof Refused)) throw error;
      this.failed.replaceChildren(problem(`cannot ${what}: ${error.message}`));
    }
  }

  upload(all) {
    const into = select(all.map((bucket) => [bucket.id, bucket.name]), all[0]?.id);
    const unit = select(["ns", "us", "ms", "s"], "ns");
    const files = h("input", { type: "file", multiple: true, onchange: () => { take(files.files); files.value = ""; } });
    const results = h("div", { role: "status" });
    const drop = h("div", { class: "drop" }, field("Files", files, "annotated CSV, CSV with a line of names, or line protocol; drop them here, or choose"));
    const take = async (list) => {
      for (const file of [...list]) results.append(await this.send(file, all.find((one) => one.id === into.value), unit.value));
    };
    for (const kind of ["dragover", "dragenter"]) drop.addEventListener(kind, (event) => { event.preventDefault(); drop.classList.add("over"); });
    drop.addEventListener("dragleave", () => drop.classList.remove("over"));
    drop.addEventListener("drop", (event) => {
      event.preventDefault();
      drop.classList.remove("over");
      take(event.dataTransfer.files);
    });
    if (!all.length) {
      this.uploads.replaceChildren();
      return;
    }
    this.uploads.replaceChildren(h("h2", {}, "Upload"), h("div", { class: "options" }, field("Into the bucket", into), field("Times that are numbers are in", unit)), drop, results);
  }

  // What came of one file, as an element.
  async send(file, bucket, precision) {
    if (file.size > MOST) return problem(`cannot upload ${file.name}: it has ${Math.ceil(file.size / 2 ** 20)} MiB, and ${MOST / 2 ** 20} are taken here; write it with: pyagent write`);
    try {
      const query = new URLSearchParams({ bucket: bucket.id, name: file.name, precision });
      const done = JSON.parse(await text("POST", `/api/sandbox/upload?${query}`, file, { "Content-Type": "application/octet-stream" }));
      const said = [h("p", { class: "good" }, `${file.name}: ${counted(done.written)} written to ${bucket.name}${done.refused ? `, ${done.refused.toLocaleString("en")} refused` : ""}`)];
      const told = [...done.notes, ...done.reasons];
      if (told.length) said.push(h("ul", {}, told.map((one) => h("li", {}, one))));
      if (done.failure) said.push(problem(done.failure));
      if (!done.written) said.shift();
      if (!said.length) said.push(h("p", {}, `${file.name}: there is nothing in it`));
      return h("div", {}, said);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      return problem(`cannot upload ${file.name}: ${error.message}`);
    }
  }
}

export async function show(content) {
  await new Page(content).load();
}
