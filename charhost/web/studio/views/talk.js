// The conversations of this tab.

import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { live } from "../vendor/lit-html/directives/live.js";
import { repeat } from "../vendor/lit-html/directives/repeat.js";
import { unsafeHTML } from "../vendor/lit-html/directives/unsafe-html.js";
import { markdown, markdownSounded } from "../markdown.js";
import { characters, notify, state, update } from "../store.js";
import { beginTalk, closeTalk, show, shown, talks } from "../talks.js";
import { seconds } from "../text.js";
import { promptDifference } from "./prompt.js";

let voiceBar = null; // the view, loaded where the server speaks or hears
let editing = null; // the conversation whose last question is edited
const rendered = new WeakMap(); // the HTML of each line that is complete

export function talkView() {
  const talk = shown.talk;
  return html`
    <div class="bar"><h1>Talk</h1>${chooser()}${standIn()}</div>
    ${talks.length > 1 ? tabs() : nothing}
    ${talk ? conversation(talk) : html`<p class="card">Choose a character to talk to, here or in the list of <a href="#/characters">characters</a>.</p>`}`;
}

function standIn() {
  return state.health?.llm === "offline"
    ? html`<p class="badge warn">No model: the offline stand-in answers</p>`
    : nothing;
}

function chooser() {
  const names = characters().map((entry) => entry.name);
  return html`<label class="quiet">New conversation with
    <select .value=${live("")} @change=${(event) => { beginTalk(event.target.value); }}>
      <option value="" disabled selected>Choose…</option>
      ${names.map((name) => html`<option value=${name}>${name}</option>`)}
    </select></label>`;
}

function tabs() {
  return html`<div class="tabs" role="group" aria-label="Conversations">
    ${talks.map((talk) => html`<button aria-pressed=${talk === shown.talk} @click=${() => show(talk)} dir="auto">${talk.character}</button>`)}
  </div>`;
}

function conversation(talk) {
  const last = talk.lines.findLastIndex((line) => line.kind === "user");
  return html`
    <section class="talk" aria-label="Conversation with ${talk.character}">
      <div class="bar">
        <h2 dir="auto">${talk.character}</h2> ${status(talk)}
        <details class="instructions"><summary>Instructions</summary>
          <label>Instructions of the client, beside the character's prompt
            <textarea rows="3" .value=${talk.instructions} @change=${(event) => talk.instruct(event.target.value)}></textarea></label>
        </details>
        <button class="link" @click=${() => closeTalk(talk)}>Close<span class="unseen"> this conversation</span></button>
      </div>
      <div class="lines" role="log" aria-live="polite" tabindex="0" aria-label="What was said">
        ${repeat(talk.lines, (line) => line, (line, index) => lineView(talk, line, index === last))}
      </div>
      ${actions(talk, last)}
      ${voice(talk)}
      ${composer(talk)}
    </section>`;
}

function voice(talk) {
  if (!talk.voice && !state.health?.stt_up && !state.health?.tts_up) return nothing;
  if (!voiceBar) {
    voiceBar = () => nothing;
    import("./voice.js").then((module) => {
      voiceBar = module.voiceBar;
      update();
    }, () => {});
  }
  return voiceBar(talk);
}

function status(talk) {
  const texts = { connecting: "connecting…", waiting: "connection lost, trying again…", over: "this conversation is over" };
  return html`<span class="quiet" role="status">${texts[talk.status] ?? ""}</span>`;
}

function lineView(talk, line, isLast) {
  if (line.kind === "note") return noteView(talk, line);
  if (line.kind === "error") return html`<p class="problem line" dir="auto">${line.text}</p>`;
  if (line.kind === "user") return html`<div class="line user"><p class="pre" dir="auto">${line.text || html`<span class="quiet">listening…</span>`}</p></div>`;
  const lit = talk.voice?.lit(line);
  return html`<div class="line character ${line.kind}" aria-busy=${line.isWriting || lit !== undefined ? "true" : "false"}>
    ${line.kind === "beside" ? html`<p class="quiet small">the same question, answered by the new version</p>` : nothing}
    <div class="markdown" dir="auto">${line.text ? unsafeHTML(lit === undefined ? htmlOf(line) : markdownSounded(line.text, lit)) : line.isWriting ? html`<span class="quiet">…</span>` : nothing}</div>
    ${(line.calls ?? []).map(callView)}
    ${line.problem ? html`<p class="problem" dir="auto">${line.problem}</p>` : nothing}
    ${line.isWriting ? nothing : measures(line)}
  </div>`;
}

function htmlOf(line) {
  const known = rendered.get(line);
  if (known?.text === line.text) return known.html;
  const made = { text: line.text, html: markdown(line.text) };
  rendered.set(line, made);
  return made.html;
}

function callView(call) {
  return html`<details class="call"><summary>used <code>${call.name}</code></summary>
    <pre tabindex="0">${call.arguments}</pre><pre tabindex="0">${call.output ?? "no result"}</pre></details>`;
}

function measures(line) {
  const parts = [
    line.isStopped ? "stopped" : null,
    line.firstWord === undefined ? null : `first word after ${seconds(line.firstWord / 1000)}`,
    line.tokens ? `${line.tokens} tokens` : null,
    ...(state.isAdmin ? Object.entries(line.stages ?? {}).map(([stage, ms]) => `${stage} ${seconds(ms / 1000)}`) : []),
  ].filter(Boolean);
  return html`<p class="quiet small measures"><span>${parts.join(" · ")}</span>
    ${line.text ? html`<button class="link" @click=${() => copy(line.text)}>Copy<span class="unseen"> this answer</span></button>` : nothing}</p>`;
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    notify("Copied.");
  } catch {
    notify("The browser does not allow copying here.");
  }
}

function noteView(talk, line) {
  const canCompare = state.isAdmin && line.versions?.before && line.versions.before !== line.versions.after;
  return html`<aside class="line note"><p dir="auto">${line.text}
      ${canCompare ? html`<button class="link" @click=${() => compare(talk, line)}>What changed in its prompt?</button>` : nothing}</p>
    ${line.difference ? line.difference : nothing}
  </aside>`;
}

async function compare(talk, line) {
  const shownDifference = await promptDifference(talk.character, line.versions.before, line.versions.after);
  Object.defineProperty(line, "difference", { value: shownDifference, enumerable: false, configurable: true });
  update();
}

function actions(talk, last) {
  if (last < 0 || talk.isAnswering || talk.voice?.isSpeaking || talk.voice?.turn || talk.beside || talk.isOver) return nothing;
  const isNew = talk.lines.slice(last).findLast((line) => line.kind === "beside" || line.versions)?.kind === "note";
  return html`<p class="actions">
    ${isNew ? html`<button class="main" @click=${() => talk.askBeside()}>Ask the last question again</button>` : nothing}
    <button @click=${() => talk.askAgain()}>Replace the answer</button>
    <button @click=${() => edit(talk, last)}>Edit the question</button>
  </p>`;
}

function edit(talk, last) {
  editing = talk;
  talk.draft = talk.lines[last].text;
  update();
  document.getElementById("say")?.focus();
}

function composer(talk) {
  const isEditing = editing === talk;
  const send = (event) => {
    event.preventDefault();
    const text = talk.draft.trim();
    if (!text || talk.isAnswering || talk.isOver) return;
    talk.draft = "";
    isEditing ? talk.edit(text) : talk.say(text);
    editing = null;
    update();
  };
  return html`<form class="composer" @submit=${send}>
    <label class="unseen" for="say">Say something to ${talk.character}</label>
    <textarea id="say" rows="2" dir="auto" placeholder=${isEditing ? "Edit your question" : `Say something to ${talk.character}`}
      .value=${live(talk.draft)} ?disabled=${talk.isOver}
      @input=${(event) => { talk.draft = event.target.value; }}
      @keydown=${(event) => { if (event.key === "Enter" && !event.shiftKey && !event.isComposing) send(event); }}></textarea>
    ${isEditing ? html`<button type="button" @click=${() => { editing = null; talk.draft = ""; update(); }}>Cancel</button>` : nothing}
    ${talk.isAnswering || talk.voice?.isSpeaking
      ? html`<button type="button" @click=${() => talk.stop()}>Stop</button>`
      : html`<button class="main" ?disabled=${talk.isOver}>${isEditing ? "Ask" : "Send"}</button>`}
  </form>`;
}
