// One conversation over /v1/realtime, in the dialect of OpenAI's current SDKs.

import { socketAddress, subprotocols } from "./api.js";
import { state, update } from "./store.js";

const MOST_KEPT = 200;
const WORDS = new Set(["response.output_text.delta", "response.output_audio_transcript.delta"]);
const EXPECTED = new Set(["response_cancel_not_active", "input_audio_buffer_commit_empty"]);
const FATAL = new Set([3000, 4004]);

/**
 * Its `lines` are what the view shows: {kind: "user" | "character" | "note" | "error" | "beside", text, …}.
 * A line of the user or the character has the `item` of the conversation.
 */
export class Talk {
  constructor(character, changed) {
    this.character = character;
    this.changed = changed;
    this.session = "";
    this.lines = [];
    this.instructions = "";
    this.draft = "";
    this.status = "connecting"; // or "open", "waiting", "over"
    this.answer = null; // the line that is being written
    this.voice = null; // if the server speaks or hears
    this.waiting = []; // events for the server, until the connection is open
    this.pause = 250;
  }

  static from(saved, changed) {
    return Object.assign(new Talk(saved.character, changed), saved);
  }

  get saved() {
    const lines = this.lines.filter((line) => !line.isHeard).slice(-MOST_KEPT).map((line) => ({ ...line, isWriting: false }));
    return { character: this.character, session: this.session, lines, instructions: this.instructions, draft: this.draft };
  }

  get isOver() {
    return this.status === "over";
  }

  get isAnswering() {
    return this.answer !== null;
  }

  get isConnected() {
    return this.status === "open" && this.socket.readyState === WebSocket.OPEN;
  }

  connect() {
    const resumed = this.session;
    const query = new URLSearchParams({ model: this.character, ...(resumed ? { resume: resumed } : {}) });
    this.socket = new WebSocket(socketAddress(`v1/realtime?${query}`), subprotocols());
    this.socket.onmessage = (message) => this.obey(JSON.parse(message.data));
    this.socket.onclose = (event) => this.lost(event);
    this.status = "connecting";
    update();
  }

  close() {
    this.voice?.close();
    this.status = "over";
    this.socket?.close();
  }

  /** Say something; without text the character opens the conversation. */
  say(text) {
    this.voice?.interrupt();
    this.lines.push({ kind: "user", text, item: newId() });
    this.sendItem(this.lines.at(-1));
    this.respond();
  }

  respond() {
    this.expect();
    this.send({ type: "response.create", response: { metadata: metadata(), output_modalities: this.voice?.modalities ?? ["text"] } });
    this.keep();
  }

  expect() {
    this.answer = { kind: "character", text: "", isWriting: true, asked: performance.now(), calls: [] };
    this.lines.push(this.answer);
  }

  stop() {
    if (this.isAnswering) this.send({ type: "response.cancel" });
    this.voice?.interrupt();
  }

  /** Have the last question answered again, in place of its answer. */
  askAgain() {
    const question = this.lines.findLastIndex((line) => line.kind === "user");
    this.forgetAfter(question + 1);
    this.respond();
  }

  /** Replace the last question, and everything after it. */
  edit(text) {
    this.forgetAfter(this.lines.findLastIndex((line) => line.kind === "user"));
    this.say(text);
  }

  /** Have the last question answered beside its answer: the conversation does not change. */
  askBeside() {
    const question = this.lines.findLastIndex((line) => line.kind === "user");
    const items = this.lines.slice(0, question + 1).filter(isSaid).map(asItem);
    const line = { kind: "beside", text: "", isWriting: true, asked: performance.now(), calls: [] };
    this.lines.push(line);
    this.beside = line;
    this.send({ type: "response.create", response: { conversation: "none", output_modalities: ["text"], input: items, metadata: { ...metadata(), beside: "1" } } });
    this.keep();
  }

  instruct(text) {
    this.instructions = text;
    this.send({ type: "session.update", session: { type: "realtime", instructions: text } });
    this.keep();
  }

  note(text, versions = null) {
    this.lines.push({ kind: "note", text, versions });
    this.keep();
  }

  forgetAfter(index) {
    for (const line of this.lines.splice(index)) {
      for (const id of line.items ?? (line.item ? [line.item] : [])) this.send({ type: "conversation.item.delete", item_id: id });
    }
  }

  sendItem({ kind, text, item }) {
    this.send({ type: "conversation.item.create", item: { id: item, ...asItem({ kind, text }) } });
  }

  send(event) {
    this.isConnected ? this.socket.send(JSON.stringify(event)) : this.waiting.push(event);
  }

  keep() {
    this.changed();
    update();
  }

  obey(event) {
    this.voice?.obey(event);
    if (event.type === "session.created") this.opened(event.session);
    else if (event.type === "response.created") this.began(event.response);
    else if (WORDS.has(event.type)) this.write(this.lineOf(event), event.delta);
    else if (event.type === "response.output_item.done") this.wrote(this.lineOf(event), event.item);
    else if (event.type === "response.done") this.ended(event.response);
    else if (event.type === "error") this.failed(event.error);
    update();
  }

  opened(session) {
    const isNew = this.session !== session.id;
    this.session = session.id;
    this.status = "open";
    this.pause = 250;
    const begins = isNew && this.lines.every((line) => line.kind === "note");
    // What was said before belongs to the new session, too, when the old one is gone.
    if (isNew) this.lines.filter((line) => isSaid(line) && !this.waits(line.item)).forEach((line) => this.recreate(line));
    if (isNew && this.instructions) this.send({ type: "session.update", session: { type: "realtime", instructions: this.instructions } });
    this.voice?.configure();
    const waiting = this.waiting.splice(0);
    waiting.forEach((event) => this.send(event));
    if (begins && !waiting.length) this.respond();
    this.keep();
  }

  began({ id, metadata }) {
    if (metadata?.beside) this.besideId = id;
    else if (!this.answer) this.expect(); // the server answers what was spoken
  }

  recreate(line) {
    line.item = newId();
    line.items = undefined;
    this.sendItem(line);
  }

  waits(item) {
    return this.waiting.some((event) => event.item?.id === item);
  }

  lineOf(event) {
    return event.response_id === this.besideId ? this.beside : this.answer;
  }

  write(line, delta) {
    if (!line) return;
    line.firstWord ??= performance.now() - line.asked;
    line.text += delta;
  }

  wrote(line, item) {
    if (line && line.kind !== "beside") line.items = [...(line.items ?? []), item.id];
  }

  ended(response) {
    const line = response.id === this.besideId ? this.beside : this.answer;
    if (!line) return;
    line.isWriting = false;
    line.seconds = (performance.now() - line.asked) / 1000;
    line.tokens = response.usage?.output_tokens;
    line.calls = response.charhost_tools ?? [];
    if (response.status === "cancelled") line.isStopped = true;
    if (response.status === "failed") line.problem = response.status_details?.error?.message ?? "The response failed.";
    if (response.status === "incomplete") line.problem = `The response was cut: ${response.status_details?.reason}.`;
    if (line === this.beside) this.beside = null;
    else this.answer = null;
    this.keep();
  }

  failed(error) {
    if (error.code === "characters_reloaded") {
      this.pause = error.retry_after_ms ?? this.pause;
      return;
    }
    if (error.code === "session_not_found") {
      this.session = "";
      return;
    }
    if (EXPECTED.has(error.code)) return;
    this.lines.push({ kind: "error", text: error.message });
    this.keep();
  }

  lost(event) {
    for (const line of [this.answer, this.beside]) {
      if (line) Object.assign(line, { isWriting: false, isStopped: true });
    }
    this.answer = this.beside = null;
    this.voice?.lost();
    if (this.status === "over") return;
    const isGone = FATAL.has(event.code) && this.session !== "";
    if (isGone || event.code === 4009) {
      this.close();
      this.keep();
      return;
    }
    this.status = "waiting";
    const pause = this.pause;
    this.pause = Math.min(Math.max(pause, 250) * 2, 5000);
    setTimeout(() => this.status === "waiting" && this.connect(), pause);
    update();
  }
}

function isSaid(line) {
  return (line.kind === "user" || line.kind === "character") && line.text !== "";
}

function asItem({ kind, text }) {
  const isUser = kind === "user";
  return { type: "message", role: isUser ? "user" : "assistant", content: [{ type: isUser ? "input_text" : "output_text", text }] };
}

function metadata() {
  return state.isAdmin ? { charhost_tools: "visible" } : {};
}

function newId() {
  return `item_${crypto.getRandomValues(new Uint32Array(4)).join("")}`.slice(0, 32);
}
