// The characters, among them the files that failed.

import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { repeat } from "../vendor/lit-html/directives/repeat.js";
import { get } from "../api.js";
import { catalogs, characters, state, update } from "../store.js";
import { beginTalk } from "../talks.js";
import { HELD, count } from "../text.js";

const sources = new Map(); // lines by reload, file and line
const HIDDEN = 'Clients that list voices do not show it: its METADATA has no "good": True.';
const EDITORS = { vscode: "VS Code", cursor: "Cursor", zed: "Zed", pycharm: "PyCharm", "": "none" };

export function charactersView() {
  const [first, ...others] = catalogs();
  if (!first) return html`<h1>Characters</h1><p class="quiet">Loading…</p>`;
  return html`
    <div class="bar">
      <h1>Characters</h1>
      <label class="filter"><span class="unseen">Filter the characters</span>
        <input type="search" placeholder="Filter ${count(characters().length, "character")}" .value=${state.filter} @input=${filter}></label>
      ${state.isAdmin ? editorChoice() : nothing}
    </div>
    ${state.status?.watcher?.held ? html`<p class="card">${HELD} <a href="#/reloads">Resume</a></p>` : nothing}
    ${setView(first)}
    ${others.map((other) => html`<h2>${other.set}</h2>${setView(other)}`)}`;
}

function setView(catalog) {
  const errors = catalog.report?.errors ?? [];
  const rows = rowsOf(catalog, errors).filter(matches);
  return html`<p class="quiet where" dir="auto">${catalog.directory} · generation ${catalog.generation}</p>
    ${empty(catalog, errors)}
    <ul class="list">
      ${repeat(rows, (row) => row.entry?.name ?? `${row.file}:${row.errors[0].line}`, rowView)}
    </ul>
    ${state.filter && !rows.length ? html`<p class="quiet">No character matches “${state.filter}”.</p>` : nothing}`;
}

function empty(catalog, errors) {
  if (catalog.characters.length || errors.length) return nothing;
  return html`<p class="card">No character serves yet. Write one with <code>charhost new ada</code>, or see the
    <a href="docs/characters">guide</a>; it appears here when it is loaded.</p>`;
}

/** Return a row for each character, with the errors of its file, and one for each other file that failed. */
function rowsOf(catalog, errors) {
  const rows = new Map(catalog.characters.map((entry) => [entry.file, { catalog, file: entry.file, entry, errors: [] }]));
  for (const error of errors) {
    if (!rows.has(error.file)) rows.set(error.file, { catalog, file: error.file, entry: null, errors: [] });
    rows.get(error.file).errors.push(error);
  }
  return errors.length ? [...rows.values()].sort((a, b) => (a.file < b.file ? -1 : 1)) : [...rows.values()];
}

function matches({ file, entry, errors }) {
  const wanted = state.filter.trim().toLowerCase();
  const text = `${file} ${entry?.name ?? errors[0].character ?? ""} ${entry?.comment ?? ""}`;
  return !wanted || text.toLowerCase().includes(wanted);
}

function filter(event) {
  state.filter = event.target.value;
  update();
}

function rowView({ catalog, file, entry, errors }) {
  return entry ? character(catalog, entry, errors) : brokenFile(catalog, file, errors);
}

function character(catalog, entry, errors) {
  const mark = state.marks.get(catalog.set)?.get(entry.name);
  const language = entry.metadata.language;
  return html`<li class="row">
    <div class="what">
      <strong dir="auto">${entry.name}</strong>
      ${mark ? html`<span class="badge good">${mark === "added" ? "new" : "changed"}</span>` : nothing}
      ${entry.good ? nothing : html`<span class="badge" title=${HIDDEN}>hidden</span>`}
      ${typeof language === "string" ? html`<span class="badge">${language}</span>` : nothing}
      ${entry.comment ? html`<p class="quiet clip" dir="auto">${entry.comment}</p>` : nothing}
      <p class="quiet small">${fileLink(catalog, entry.file)} ${tools(entry)}</p>
      ${otherVoice(entry)}
      ${errors.length ? html`<p class="problem">The file is broken; its last good version still serves.</p>` : nothing}
      ${errors.map((error) => errorView(catalog, error))}
    </div>
    <div class="do">
      <button class="soft" @click=${() => talk(entry.name)}>Talk<span class="unseen"> to ${entry.name}</span></button>
      ${state.isAdmin ? html`<a class="button" href="#/prompt/${encodeURIComponent(entry.name)}">Prompt<span class="unseen"> of ${entry.name}</span></a>` : nothing}
    </div>
  </li>`;
}

function tools(entry) {
  const names = [...entry.tools, ...entry.host_tools];
  return names.length ? html`· <span dir="auto">${names.join(", ")}</span>` : nothing;
}

/** Tell an operator why a character speaks with another voice than its file asks for, and what there is to install. */
function otherVoice({ voice }) {
  if (!state.isAdmin || !voice || voice.exact) return nothing;
  return html`<p class="quiet small" dir="auto">Speaks with ${voice.name || "no voice of its own"}: ${voice.why}</p>`;
}

function talk(name) {
  beginTalk(name);
  location.hash = "#/talk";
}

function brokenFile(catalog, file, errors) {
  return html`<li class="row">
    <div class="what">
      <strong dir="auto">${errors[0].character ?? file}</strong> <span class="badge bad">broken</span>
      <span class="quiet small">does not serve</span>
      ${errors.map((error) => errorView(catalog, error))}
    </div>
  </li>`;
}

function errorView(catalog, error) {
  return html`<p class="problem" dir="auto">${fileLink(catalog, error.file, error.line)} ${error.error_type}: ${error.message}</p>
    ${error.line ? sourceLines(catalog, error) : nothing}`;
}

function sourceLines(catalog, error) {
  const key = `${catalog.report.reload_id} ${error.file} ${error.line}`;
  if (!sources.has(key)) {
    sources.set(key, null);
    get(`v1/characters/source?${new URLSearchParams({ file: error.file, line: error.line, set: catalog.set })}`)
      .then((found) => sources.set(key, found), () => {})
      .finally(update);
  }
  const found = sources.get(key);
  if (!found) return nothing;
  const width = String(found.first + found.lines.length).length;
  return html`<pre class="source" tabindex="0" aria-label="Lines of ${error.file} around line ${error.line}">${found.lines.map(
    (text, index) => html`<span class=${found.first + index === error.line ? "wrong" : ""}><i>${String(found.first + index).padStart(width)}</i> ${text}\n</span>`,
  )}</pre>`;
}

/** Show the path of a file, as a link to the editor if one was chosen. */
function fileLink(catalog, path, line = null) {
  const shown = line ? `${path}:${line}` : path;
  const editor = localStorage.getItem("editor");
  if (!state.isAdmin || !editor || !isLocal()) return html`<code dir="auto">${shown}</code>`;
  const absolute = `${catalog.directory}/${path}`;
  const address = editor === "pycharm" ? `pycharm://open?file=${encodeURIComponent(absolute)}&line=${line ?? 1}` : `${editor}://file${encodeURI(absolute)}:${line ?? 1}`;
  return html`<a href=${address}><code dir="auto">${shown}</code></a>`;
}

function isLocal() {
  return ["localhost", "127.0.0.1", "[::1]"].includes(location.hostname);
}

function editorChoice() {
  if (!isLocal()) return nothing;
  const chosen = localStorage.getItem("editor") ?? "";
  return html`<label class="quiet">Files open in
    <select @change=${(event) => { localStorage.setItem("editor", event.target.value); update(); }}>
      ${Object.entries(EDITORS).map(([id, title]) => html`<option value=${id} ?selected=${id === chosen}>${title}</option>`)}
    </select></label>`;
}
