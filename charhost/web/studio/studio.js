// The frame of the page: navigation, key, notices, and the view that the address names.

import { html, nothing, render } from "./vendor/lit-html/lit-html.js";
import { start } from "./feed.js";
import { catalogs, onUpdate, state, update } from "./store.js";
import { charactersView } from "./views/characters.js";
import { openTalk, talks } from "./talks.js";

// Those that are not seen first are loaded when they are.
const VIEWS = {
  characters: { title: "Characters", view: charactersView },
  talk: { title: "Talk", load: async () => (await import("./views/talk.js")).talkView },
  prompt: { title: "Prompt", load: async () => (await import("./views/prompt.js")).promptView, admin: true },
  reloads: { title: "Reloads", load: async () => (await import("./views/reloads.js")).reloadsView, admin: true },
  server: { title: "Server", load: async () => (await import("./views/server.js")).serverView, admin: true },
};
const ICON = new URL("icon.svg", import.meta.url);

function readAddress() {
  const [view, ...rest] = location.hash.replace(/^#\/?/, "").split("/");
  const name = decoded(rest.join("/"));
  state.route = { view: VIEWS[view] ? view : "characters", name };
  if (view === "talk" && name) openTalk(name);
  update();
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // an address that was typed by hand
  }
}

function page() {
  if (!state.mayChat) return keyForm();
  const visible = Object.entries(VIEWS).filter(([, { admin }]) => !admin || state.isAdmin);
  const route = visible.some(([id]) => id === state.route.view) ? state.route.view : "characters";
  document.title = `${VIEWS[route].title} · charhost studio`;
  return html`
    <a class="skip" href="#main" @click=${skip}>Skip to the content</a>
    <header class="side">
      <p class="brand"><img src=${ICON} alt="" width="24" height="24"> charhost</p>
      <nav aria-label="Views">
        ${visible.map(
          ([id, { title }]) => html`<a href="#/${id}" aria-current=${id === route ? "page" : nothing}>${title}${badge(id)}</a>`,
        )}
      </nav>
      <div class="foot">${connection()} <a href="docs">Manual</a> ${state.key ? html`<button class="link" @click=${forgetKey}>Forget the key</button>` : keyLink()}</div>
    </header>
    <main id="main" tabindex="-1">${viewOf(VIEWS[route])}</main>
    <div class="notice" role="status" ?hidden=${!state.notice}>${state.notice}</div>`;
}

function viewOf(entry) {
  if (entry.view) return entry.view();
  entry.loading ??= load(entry);
  return html`<p class="quiet">Loading…</p>`;
}

async function load(entry) {
  try {
    entry.view = await entry.load();
  } catch {
    entry.view = () => html`<p class="problem" role="alert">This part of the page could not be loaded. <a href="">Load the page again</a></p>`;
  }
  update();
}

function badge(id) {
  const errors = catalogs().reduce((sum, { report }) => sum + (report?.errors.length ?? 0), 0);
  if (id === "characters" && errors) return html` <span class="badge bad">${errors}<span class="unseen"> broken</span></span>`;
  if (id === "talk" && talks.some(({ voice }) => voice?.mode === "open")) return html` <span class="badge warn">on<span class="unseen">, the microphone is open</span></span>`;
  if (id === "talk" && talks.length) return html` <span class="badge">${talks.length}<span class="unseen"> open</span></span>`;
  if (id === "reloads" && state.running.size) return html` <span class="badge">…<span class="unseen"> one is running</span></span>`;
  return nothing;
}

function connection() {
  const open = state.feed === "open";
  return html`<span><span class="dot ${open ? "good" : "bad"}"></span>${open ? "Connected" : "Connecting…"}</span>`;
}

function keyLink() {
  return state.isAdmin ? nothing : html`<button class="link" @click=${askForKey}>Enter a key</button>`;
}

function keyForm() {
  return html`<main class="gate" id="main">
    <form @submit=${takeKey}>
      <h1><img src=${ICON} alt="" width="32" height="32"> charhost</h1>
      <input type="text" autocomplete="username" value="charhost" aria-label="Name for the password manager" hidden>
      <label for="key">Key</label>
      <input id="key" type="password" autocomplete="current-password" required autofocus aria-describedby="key-help">
      <p id="key-help" class="quiet">The API key to talk, or the admin key. It is kept for this tab only.</p>
      <p class="problem" role="alert">${state.keyProblem}</p>
      <button class="main">Open the studio</button>
    </form>
  </main>`;
}

function takeKey(event) {
  event.preventDefault();
  state.key = event.target.querySelector("#key").value.trim();
  sessionStorage.setItem("key", state.key);
  start();
}

function askForKey() {
  state.mayChat = false;
  update();
}

function forgetKey() {
  sessionStorage.removeItem("key");
  state.key = "";
  state.isAdmin = false;
  start();
}

function skip(event) {
  event.preventDefault();
  document.getElementById("main").focus();
}

const root = document.getElementById("studio");
root.replaceChildren();
onUpdate(() => {
  const before = root.querySelector(".lines");
  const isAtEnd = before && before.scrollHeight - before.scrollTop - before.clientHeight < 80;
  render(page(), root);
  const after = root.querySelector(".lines");
  if (after && (isAtEnd || after !== before)) after.scrollTop = after.scrollHeight;
});
addEventListener("hashchange", readAddress);
readAddress();
start();
