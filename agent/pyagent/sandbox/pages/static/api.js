// The server's API. The session's cookie goes with each call by itself; no token is ever here.

export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

// The answer's text. A call that needs a session and has none any more shows the form to sign in.
export async function text(method, path, body, headers = {}, signal = undefined) {
  let response;
  try {
    response = await fetch(path, { method, body, headers, signal, credentials: "same-origin", redirect: "error" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(0, "the server does not answer; does it still run?");
  }
  const answer = await response.text();
  if (response.ok) return answer;
  let message = answer;
  try {
    message = JSON.parse(answer).message;
  } catch { /* it is plain text */ }
  if (response.status === 401 && path !== "/api/v2/signin") window.dispatchEvent(new Event("signed-out"));
  throw new Refused(response.status, message || `the server answered ${response.status}`);
}

export async function json(method, path, body) {
  const sent = body === undefined ? [] : [JSON.stringify(body), { "Content-Type": "application/json" }];
  const answer = await text(method, path, ...sent);
  return answer ? JSON.parse(answer) : null;
}

export function signIn(username, password) {
  const bytes = new TextEncoder().encode(`${username}:${password}`);
  return text("POST", "/api/v2/signin", undefined, { Authorization: `Basic ${btoa(String.fromCharCode(...bytes))}` });
}

// Buckets that hold data of users, by name.
export async function buckets() {
  const found = [];
  for (let more = true; more; ) {
    const page = (await json("GET", `/api/v2/buckets?limit=100&offset=${found.length}`)).buckets;
    found.push(...page);
    more = page.length === 100;
  }
  return found.filter((bucket) => bucket.type === "user").sort((a, b) => (a.name < b.name ? -1 : 1));
}

// The annotated CSV that a script gives.
export function query(bucket, flux, signal) {
  const body = { query: flux, dialect: { annotations: ["datatype", "group", "default"] } };
  const headers = { "Content-Type": "application/json" };
  return text("POST", `/api/v2/query?orgID=${encodeURIComponent(bucket.orgID)}`, JSON.stringify(body), headers, signal);
}

// A text in Flux. `${` would begin an expression.
export function quoted(value) {
  return `"${value.replace(/[\\"]/g, "\\$&").replace(/\$\{/g, "\\${").replace(/\n/g, "\\n").replace(/\r/g, "\\r").replace(/\t/g, "\\t")}"`;
}

function records(csv) {
  const found = [];
  let row = [], cell = "", inside = false;
  for (let at = 0; at < csv.length; at++) {
    const sign = csv[at];
    if (inside) {
      if (sign !== '"') cell += sign;
      else if (csv[at + 1] === '"') cell += csv[++at];
      else inside = false;
    } else if (sign === '"') inside = true;
    else if (sign === ",") { row.push(cell); cell = ""; }
    else if (sign === "\n") { row.push(cell); found.push(row); row = []; cell = ""; }
    else if (sign !== "\r") cell += sign;
  }
  if (cell || row.length) found.push([...row, cell]);
  return found;
}

const NUMBERS = { double: Number, long: Number, unsignedLong: Number, boolean: (cell) => (cell === "true" ? 1 : 0) };

// The tables of annotated CSV: {group: {column: value}, types: {column: type}, rows: [{column: text or number}]}.
export function tables(csv) {
  const found = [];
  let types = [], groups = [], defaults = [], names = null, table = null, key = "";
  for (const row of records(csv)) {
    if (row.length < 2) { names = null; continue; }
    if (row[0].startsWith("#")) {
      if (row[0] === "#datatype") { types = row; names = null; }
      if (row[0] === "#group") groups = row;
      if (row[0] === "#default") defaults = row;
      continue;
    }
    if (names === null) {
      names = row;
      key = "";
      if (names[1] === "error") types = row.map(() => "string");
      continue;
    }
    const cells = {};
    names.forEach((name, index) => {
      const cell = row[index] === "" ? defaults[index] ?? "" : row[index];
      if (index) cells[name] = cell !== "" && types[index] in NUMBERS ? NUMBERS[types[index]](cell) : cell;
    });
    if ("error" in cells && names.length <= 3) throw new Refused(400, cells.error);
    const id = `${cells.result} ${cells.table}`;
    if (id !== key) {
      key = id;
      const of = {};
      names.forEach((name, index) => { if (groups[index] === "true") of[name] = cells[name]; });
      table = { group: of, types: Object.fromEntries(names.map((name, index) => [name, types[index]])), rows: [] };
      found.push(table);
    }
    table.rows.push(cells);
  }
  return found;
}

// The values of the column `_value`, as texts.
export async function values(bucket, flux, signal) {
  return tables(await query(bucket, flux, signal)).flatMap((table) => table.rows.map((row) => String(row._value)));
}
