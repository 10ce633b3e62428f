// The first page: set-up of a new server, or the form to sign in.
import { json, signIn } from "./api.js";
import { field, h, problem } from "./dom.js";

// `done` is called when there is a session.
export async function show(main, done) {
  const { allowed } = await json("GET", "/api/v2/setup");
  const name = h("input", { required: true, autocomplete: "username", autocapitalize: "none", spellcheck: "false" });
  const password = h("input", { type: "password", required: true, autocomplete: allowed ? "new-password" : "current-password" });
  const org = h("input", { required: true, value: "home" });
  const bucket = h("input", { required: true, value: "monitoring-system" });
  if (allowed) password.minLength = 8;
  const failed = h("div");
  const form = h("form", { class: "card narrow", onsubmit: send },
    h("h1", { tabindex: "-1" }, allowed ? "Set up this server" : "Sign in"),
    allowed && h("p", {}, "It is empty. Name the first user, the organization and the first bucket."),
    field("Username", name),
    field("Password", password, allowed ? "8 to 72 characters" : ""),
    allowed && field("Organization", org),
    allowed && field("Bucket", bucket),
    failed,
    h("button", { type: "submit", class: "main" }, allowed ? "Set up" : "Sign in"));
  main.replaceChildren(form);
  name.focus();

  async function send(event) {
    event.preventDefault();
    const given = { username: name.value, password: password.value, org: org.value, bucket: bucket.value };
    try {
      if (allowed) await json("POST", "/api/sandbox/setup", given);
      else await signIn(given.username, given.password);
      password.value = "";
      done();
    } catch (error) {
      const words = error.status === 401 ? "username or password is wrong" : error.message;
      failed.replaceChildren(problem(`${allowed ? "cannot set up" : "cannot sign in"}: ${words}`));
      password.focus();
    }
  }
}
