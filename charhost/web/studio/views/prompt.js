// The prompt and the tools of one character, and what differs from an earlier generation.

import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { get, post } from "../api.js";
import { difference, folded } from "../difference.js";
import { characters, state, update } from "../store.js";
import { count, seconds } from "../text.js";

const view = { route: null, name: "", found: null, problem: "", earlier: null, results: new Map(), fingerprint: "" };

/** Load what the address names, once for each visit. */
function followAddress() {
  if (state.route === view.route) return;
  view.route = state.route;
  const { name } = state.route;
  if (!name) return;
  Object.assign(view, { name, found: null, problem: "", earlier: null, results: new Map() });
  load();
}

async function load() {
  try {
    view.found = await get(path(view.name, "prompt"));
    view.problem = "";
  } catch (error) {
    view.problem = error.message;
  }
  update();
}

function path(name, rest) {
  return `v1/characters/${encodeURIComponent(name)}/${rest}`;
}

/** Return the difference of the prompts of two generations as a template. */
export async function promptDifference(name, before, after) {
  try {
    const now = await get(path(name, "prompt"));
    const [old, recent] = await Promise.all(
      [before, after].map((generation) => (generation === now.generation ? now : get(`${path(name, "prompt")}?generation=${generation}`))),
    );
    return differenceView(old, recent);
  } catch (error) {
    return html`<p class="quiet">${error.message}</p>`;
  }
}

export function promptView() {
  const names = characters().map((entry) => entry.name);
  followAddress();
  followFile();
  return html`<div class="bar"><h1>Prompt</h1>
      <label class="quiet">of <select @change=${(event) => { location.hash = `#/prompt/${encodeURIComponent(event.target.value)}`; }}>
        <option value="" disabled ?selected=${!view.name}>Choose…</option>
        ${names.map((name) => html`<option value=${name} ?selected=${name === view.name}>${name}</option>`)}
      </select></label></div>
    ${view.problem ? html`<p class="problem" role="alert" dir="auto">${view.problem}</p>` : nothing}
    ${view.found ? promptOf(view.found) : nothing}`;
}

/** Load the prompt again when a reload changed its character. */
function followFile() {
  const entry = characters().find((one) => one.name === view.name);
  if (entry && view.fingerprint && view.fingerprint !== entry.fingerprint) load();
  view.fingerprint = entry?.fingerprint ?? "";
}

function promptOf(found) {
  const others = found.generations.filter((generation) => generation !== found.generation);
  return html`
    <p class="quiet">generation ${found.generation} · ${count(found.prompt.length, "character")} · about ${count(found.tokens, "token")}
      ${others.length
        ? html`· <label>compare with generation <select @change=${compare}>
            <option value="">–</option>${others.map((generation) => html`<option>${generation}</option>`)}</select></label>`
        : nothing}</p>
    ${found.warnings.map((text) => html`<p class="warning" dir="auto">${text}</p>`)}
    ${view.earlier ? differenceView(view.earlier, found) : html`<pre class="prompt prose" tabindex="0" dir="auto" aria-label="The prompt">${found.prompt}</pre>`}
    ${found.greetings.length ? html`<h2>Greetings</h2><ul>${found.greetings.map((text) => html`<li dir="auto">${text}</li>`)}</ul>` : nothing}
    ${found.tools.length ? html`<h2>Tools</h2>${found.tools.map(toolForm)}` : nothing}`;
}

async function compare(event) {
  const generation = event.target.value;
  view.earlier = generation ? await get(`${path(view.name, "prompt")}?generation=${generation}`) : null;
  update();
}

function differenceView(before, after) {
  const lines = difference(before.prompt, after.prompt);
  if (lines.every((line) => line.kind === "same")) return html`<p class="quiet">The prompts are equal.</p>`;
  const signs = { same: " ", removed: "−", added: "+", skipped: "" };
  const shown = folded(lines);
  const side = (kind, title) => html`<div><h3 class="small">${title}</h3><pre tabindex="0" dir="auto" aria-label=${title} class="prose">${shown
    .filter((line) => ["same", "skipped", kind].includes(line.kind))
    .map((line) => html`<span class="changed ${line.kind}"><i>${signs[line.kind]}</i>${line.text}\n</span>`)}</pre></div>`;
  return html`<div class="sides">${side("removed", `Generation ${before.generation}`)}${side("added", `Generation ${after.generation}`)}</div>`;
}

function toolForm(tool) {
  const { name, description, parameters } = tool.function;
  const fields = Object.entries(parameters?.properties ?? {});
  return html`<form class="card tool" @submit=${(event) => call(event, name, fields)}>
    <h3><code>${name}</code></h3>
    ${description ? html`<p class="quiet" dir="auto">${description}</p>` : nothing}
    ${fields.map(([field, schema]) => fieldView(name, field, schema, parameters.required?.includes(field)))}
    <button>Call<span class="unseen"> ${name}</span></button>
    ${resultView(view.results.get(name))}
  </form>`;
}

function fieldView(tool, field, schema, isRequired) {
  const id = `${tool}-${field}`;
  return html`<div class="field"><label for=${id}>${field}${isRequired ? " *" : ""}</label>
    ${Array.isArray(schema.enum)
      ? html`<select id=${id} name=${field}>${isRequired ? nothing : html`<option value=""></option>`}${schema.enum.map((value) => html`<option value=${JSON.stringify(value)}>${value}</option>`)}</select>`
      : html`<input id=${id} name=${field} ?required=${isRequired} placeholder=${schema.type ?? "JSON"}>`}
    ${schema.description ? html`<span class="quiet small">${schema.description}</span>` : nothing}</div>`;
}

async function call(event, name, fields) {
  event.preventDefault();
  const values = new FormData(event.target);
  const parts = fields.filter(([field]) => values.get(field) !== "").map(([field, schema]) => [field, valueOf(values.get(field), schema)]);
  try {
    view.results.set(name, await post(path(view.name, `tools/${encodeURIComponent(name)}`), { arguments: Object.fromEntries(parts) }));
  } catch (error) {
    view.results.set(name, { output: error.message, seconds: 0 });
  }
  update();
}

function valueOf(text, schema) {
  if (schema.type === "string" && !Array.isArray(schema.enum)) return text;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function resultView(result) {
  return html`<div role="status">${result ? html`<pre tabindex="0" dir="auto">${result.output}</pre><p class="quiet small">after ${seconds(result.seconds)}</p>` : nothing}</div>`;
}
