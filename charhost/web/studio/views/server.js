// The load of the server, its fleet, and what is not set up.

import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { chart } from "../chart.js";
import { post } from "../api.js";
import { notify, state, update } from "../store.js";
import { bytes, count, seconds } from "../text.js";
import { fleetView } from "./fleet.js";

const CHARTS = [
  ["Conversations", (one) => one.sessions, (value) => String(value)],
  ["Responses a minute", (one) => one.responses_per_minute, (value) => String(value)],
  ["Time to first word", (one) => one.time_to_first_token, seconds],
  ["Errors of models a minute", (one) => one.model_errors_per_minute, (value) => String(value)],
  ["Memory", (one) => one.memory_bytes, bytes],
  ["Sets in memory", (one) => one.builds_alive, (value) => String(value)],
];

export function serverView() {
  return html`<div class="bar"><h1>Server</h1></div>
    ${model()}
    ${missing()}
    ${fleetView()}
    <div class="charts">${CHARTS.map(([title, pick, show]) => chart(title, state.figures.map(pick), show))}</div>
    ${generations()}`;
}

function model() {
  const used = state.model;
  if (!used) return nothing;
  const names = used.models.includes(used.model) ? used.models : [used.model, ...used.models].filter(Boolean);
  return html`<p class="card"><span class="dot ${state.health.llm === "up" ? "good" : "bad"}"></span>
    <label>Characters speak with <select @change=${choose}>${names.map((name) => html`<option ?selected=${name === used.model}>${name}</option>`)}</select></label>
    at ${used.server}<span class="quiet">${used.found ? ", found on this machine; another server: " : ""}${used.found ? html`<code>--llm-url</code>` : nothing}</span></p>`;
}

async function choose(event) {
  try {
    state.model = await post("v1/model", { model: event.target.value }, "PUT");
    notify(`Characters speak with ${state.model.model} until the server is restarted.`);
  } catch (error) {
    notify(error.message);
  }
  update();
}

function missing() {
  const open = !["localhost", "127.0.0.1", "[::1]"].includes(location.hostname);
  const tips = [
    state.health?.llm === "offline" && ["No language model is connected: the offline stand-in answers. Start Ollama or another model's server on this machine, or name one:", "--llm-url http://127.0.0.1:11434/v1"],
    state.health?.llm === "down" && ["The model's server does not respond.", "curl $CHARHOST_LLM_URL/models"],
    open && !state.key && ["This address is open to other machines without an admin key.", "CHARHOST_ADMIN_KEY=…"],
    state.status && !state.status.watcher && ["Saved files are loaded only when a reload is asked for.", "--watch"],
    state.status?.state_file === false && ["A restart loses history and conversations.", "--state charhost.db"],
  ].filter(Boolean);
  if (!tips.length) return nothing;
  return html`<ul class="tips">${tips.map(([text, command]) => html`<li class="card">${text} <code>${command}</code></li>`)}</ul>`;
}

function generations() {
  const found = state.status?.generations ?? [];
  if (!found.length) return html`<p class="quiet">No conversation is open.</p>`;
  return html`<h2>Conversations by generation</h2><table>
    <thead><tr><th scope="col">generation</th><th scope="col">open</th></tr></thead>
    <tbody>${found.map((one) => html`<tr><td>${one.generation}</td><td>${count(one.sessions, "conversation")}</td></tr>`)}</tbody></table>`;
}
