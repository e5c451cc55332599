// The attempts to reload, and what an operator does about them.

import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { repeat } from "../vendor/lit-html/directives/repeat.js";
import { post } from "../api.js";
import { operate } from "../feed.js";
import { DEFAULT_SET, catalogs, notify, state, update } from "../store.js";
import { HELD, count, seconds, time } from "../text.js";

let report = null; // of the last request of this page
let problem = "";
let isWaiting = false;

export function reloadsView() {
  const set = operated();
  return html`<div class="bar"><h1>Reloads</h1>${setChoice(set)}</div>
    <form class="card reload" @submit=${(event) => event.preventDefault()}>
      <div class="field"><label for="directory">Directory</label>
        <input id="directory" placeholder=${set?.directory ?? ""} dir="auto" autocomplete="off">
        <span class="quiet small">empty: the one that serves</span></div>
      <p class="actions">
        <button class="main" ?disabled=${isWaiting} @click=${(event) => reload(event, false)}>Reload now</button>
        <button ?disabled=${isWaiting} @click=${(event) => reload(event, true)}>Dry run</button>
        ${rollback(set)}
      </p>
      ${problem ? html`<p class="problem" role="alert" dir="auto">${problem}</p>` : nothing}
      ${report ? html`<div role="status">${attempt(report)}</div>` : nothing}
    </form>
    ${watcher(set)}
    ${[...state.running.values()].map(runningView)}
    <h2>The last attempts</h2>
    <ul class="list">${repeat(set?.history?.reloads ?? [], (one) => one.reload_id, (one) => html`<li class="row">${attempt(one)}</li>`)}</ul>`;
}

function operated() {
  const sets = catalogs();
  return sets.find(({ set }) => set === state.operated) ?? sets[0];
}

function setChoice(chosen) {
  const names = catalogs().map(({ set }) => set);
  if (names.length < 2) return nothing;
  return html`<label class="quiet">of the set
    <select @change=${(event) => operate(event.target.value)}>${names.map((name) => html`<option ?selected=${name === chosen.set}>${name}</option>`)}</select></label>`;
}

function runningView({ set, since, trigger }) {
  const which = set === DEFAULT_SET ? "" : ` of ${set}`;
  return html`<p class="card" role="status">A reload${which} is running since ${time(since)} (${trigger}).</p>`;
}

async function send(path, body) {
  isWaiting = true;
  report = null;
  problem = "";
  update();
  try {
    report = await post(path, { set: operated().set, ...body });
  } catch (error) {
    problem = error.message;
    report = error.body?.reload_id ? error.body : null;
  }
  isWaiting = false;
  update();
}

function reload(event, isDry) {
  const directory = event.target.form.querySelector("#directory").value.trim();
  send("v1/characters/reload", { ...(directory ? { directory } : {}), dry_run: isDry });
}

function rollback(set) {
  const earlier = (set?.history?.generations ?? []).filter((generation) => generation !== set.generation);
  if (!earlier.length) return nothing;
  return html`<label class="quiet">Roll back to generation
    <select id="generation">${earlier.map((generation) => html`<option>${generation}</option>`)}</select></label>
    <button ?disabled=${isWaiting} @click=${confirmRollback}>Roll back</button>`;
}

function confirmRollback(event) {
  const generation = Number(event.target.form.querySelector("#generation").value);
  const { status } = operated();
  const sessions = status.generations.reduce((sum, entry) => sum + entry.sessions, 0);
  const policy = status.last_reload?.sessions.policy ?? "close";
  if (confirm(`Roll back to generation ${generation}? ${count(sessions, "open conversation")} may be affected (policy “${policy}”).`)) {
    send("v1/characters/rollback", { generation });
  }
}

function watcher(set) {
  const found = set?.status?.watcher;
  if (!found) return html`<p class="quiet">No watcher: start the server with <code>--watch</code>, and a saved file is loaded at once.</p>`;
  const works = found.up ? `The watcher notices changes (${found.mode}).` : "The watcher does not notice changes; the log says why.";
  return html`<p class="card"><span class="dot ${found.up ? "good" : "bad"}"></span>${works}
    ${found.held ? html`${HELD} <button @click=${resume}>Resume</button>` : nothing}</p>`;
}

async function resume() {
  try {
    await post(`v1/characters/watch/resume?${new URLSearchParams({ set: operated().set })}`, {});
    notify("The watcher compares the directory again.");
  } catch (error) {
    notify(error.message);
  }
}

function attempt(one) {
  const mark = one.errors.length ? "bad" : { applied: "good", unchanged: "", valid: "good" }[one.outcome] ?? "bad";
  return html`<div class="what">
    <p><span class="badge ${mark}">${one.outcome}${one.dry_run ? " (dry run)" : ""}</span>
      <span class="quiet">${time(one.started_at)} · ${one.trigger} · ${seconds(one.load_duration)} · generation ${one.generation}</span></p>
    <p dir="auto">${one.message}</p>
    ${changes(one.changes)}
    ${one.errors.length
      ? html`<ul class="errors">${one.errors.slice(0, 20).map((error) => html`<li class="problem" dir="auto"><code>${error.file}${error.line ? `:${error.line}` : ""}</code> ${error.error_type}: ${error.message}</li>`)}</ul>`
      : nothing}
  </div>`;
}

function changes(found) {
  const parts = ["added", "removed", "modified"].filter((kind) => found[kind].length);
  if (!parts.length) return nothing;
  return html`<p class="quiet small" dir="auto">${parts.map((kind) => `${kind}: ${found[kind].slice(0, 20).join(", ")}${found[kind].length > 20 ? " …" : ""}`).join(" · ")}</p>`;
}
