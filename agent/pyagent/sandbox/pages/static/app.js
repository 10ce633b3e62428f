// Which page is shown: the part of the address behind `#`, such as `#explore?bucket=b`. It never leaves the browser.
import { Refused, json, text } from "./api.js";
import { h, problem } from "./dom.js";
import * as agents from "./agents.js";
import * as buckets from "./buckets.js";
import * as configure from "./configure.js";
import * as explore from "./explore.js";
import * as signin from "./signin.js";

const PAGES = {
  explore: ["Data Explorer", explore],
  buckets: ["Buckets", buckets],
  configure: ["Create configuration", configure],
  agents: ["Agents", agents],
};

const main = document.getElementById("main");
const nav = document.getElementById("nav");
const signOut = document.getElementById("sign-out");
let leave = () => {};
let signedIn = false;
let shown = "";
let turn = 0;

export function parsed() {
  const [name, query = ""] = location.hash.slice(1).split(/\?(.*)/s);
  return { name: name in PAGES ? name : "explore", state: new URLSearchParams(query) };
}

async function show() {
  const mine = ++turn;
  leave();
  leave = () => {};
  nav.hidden = signOut.hidden = !signedIn;
  if (!signedIn) {
    document.title = "Sign in - pyagent sandbox";
    shown = "";
    await signin.show(main, () => { signedIn = true; show(); });
    return;
  }
  const { name, state } = parsed();
  const [title, page] = PAGES[name];
  document.title = `${title} - pyagent sandbox`;
  nav.replaceChildren(...Object.entries(PAGES).map(([key, [text]]) =>
    h("a", { href: `#${key}`, "aria-current": key === name ? "page" : null }, text)));
  const heading = h("h1", { tabindex: "-1" }, title);
  const content = h("div");
  main.replaceChildren(heading, content);
  if (shown !== name) heading.focus({ preventScroll: true });
  shown = name;
  try {
    const ended = (await page.show(content, state)) ?? (() => {});
    if (mine === turn) leave = ended;
    else ended(); // another page was chosen before this one was there
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    if (error.status !== 401) content.replaceChildren(problem(`cannot show this page: ${error.message}`));
  }
}

async function start() {
  try {
    await text("GET", "/api/v2/me");
    signedIn = true;
  } catch (error) {
    if (error.status !== 401) {
      main.replaceChildren(problem(error.message));
      return;
    }
  }
  await show();
}

document.getElementById("skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});
signOut.addEventListener("click", async () => {
  await json("POST", "/api/v2/signout").catch(() => {});
  signedIn = false;
  show();
});
window.addEventListener("hashchange", show);
window.addEventListener("signed-out", () => {
  if (!signedIn) return;
  signedIn = false;
  show();
});
start();
