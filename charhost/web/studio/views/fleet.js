// The nodes of the fleet, as the server knows them.

import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { get } from "../api.js";
import { DEFAULT_SET, state, update } from "../store.js";
import { count } from "../text.js";

const PAUSE = 3000;
const KINDS = { serving: "good", building: "warn", leaving: "warn", drifted: "warn" };
let fleet = null;
let asked = -PAUSE;

export function fleetView() {
  if (!state.health?.fleet) return nothing; // a server by itself
  if (performance.now() - asked >= PAUSE) load();
  if (!fleet) return nothing;
  return html`<section class="nodes" aria-labelledby="nodes"><h2 id="nodes">Nodes of the fleet ${fleet.fleet}</h2>
    ${fleet.reachable ? nothing : html`<p class="problem" role="alert">The engine cannot be used: ${fleet.trouble}</p>`}
    ${fleet.sets.map(proposal)}
    <ul class="list">${fleet.nodes.map(nodeRow)}</ul></section>`;
}

async function load() {
  asked = performance.now();
  try {
    fleet = await get("v1/fleet");
  } catch {
    return; // the next look tries again
  }
  update();
}

function proposal({ name, register }) {
  const proposed = register?.proposed;
  return proposed ? html`<p class="card" role="status">Epoch ${proposed.epoch}${of(name)} is proposed by ${proposed.by}.</p>` : nothing;
}

function nodeRow(node) {
  const parts = [
    count(node.sessions, "conversation"),
    node.seen === null ? "" : node.seen < 5 ? "seen just now" : `seen ${Math.round(node.seen)} s ago`,
    `charhost ${node.version}, Python ${node.python}`,
  ].filter(Boolean);
  return html`<li class="row"><div class="what">
    <strong>${node.node}</strong>${node.node === fleet.node ? html` <span class="quiet">this one</span>` : nothing}
    <span class="quiet small">${parts.join(" · ")}</span>
    ${Object.entries(node.sets).map(([name, served]) => servedSet(name, served, node.leaving))}
  </div></li>`;
}

function servedSet(name, served, isLeaving) {
  const shown = isLeaving ? "leaving" : served.state;
  const errors = served.errors.map((error) => `${error.file}${error.line === null ? "" : `:${error.line}`}: ${error.message}`);
  return html`<p><span class="badge ${KINDS[shown] ?? "bad"}">${shown}</span>
      ${name === DEFAULT_SET ? nothing : `${name}: `}${version(served)}</p>
    ${served.error ? html`<p class="problem" dir="auto">${served.error}</p>` : nothing}
    ${errors.length ? html`<ul class="errors problem">${errors.map((text) => html`<li dir="auto">${text}</li>`)}</ul>` : nothing}`;
}

function version({ epoch, revision, state }) {
  if (!epoch && state !== "drifted") return "no set yet";
  return html`epoch ${epoch}, revision <code>${revision.replace("sha256:", "").slice(0, 12)}</code>`;
}

function of(name) {
  return name === DEFAULT_SET ? "" : ` of ${name}`;
}
