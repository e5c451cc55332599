// The spoken side of a conversation: what the microphone hears, and what the character says aloud.

import { notify, state, update } from "../store.js";
import { Loudspeaker } from "./loudspeaker.js";
import { Microphone, loudness } from "./microphone.js";

const TURNS_BY_SERVER = { type: "server_vad", create_response: true, interrupt_response: true };
const IDLE = 30_000; // ms after which the microphone of a button that is not held is closed
const TICK = 100; // ms between two looks at which words have sounded
const MOST_WAITING = 1 << 20; // bytes at a connection that is too slow for speech
let listening = null; // the one conversation that the microphone is for

export class Voice {
  constructor(talk) {
    this.talk = talk;
    this.microphone = null; // the promise of it
    this.mode = "off"; // "open": the server finds the turns; "held" and "idle": the button is held, or was
    this.isAloud = null; // until the user chooses
    this.level = 0;
    this.problem = "";
    this.turn = null; // the line of the turn that is not over
    this.times = {}; // of the turn that is answered next: performance.now()
    this.answers = new Map(); // by item: {line, at}, where its words begin in the line
    this.spoken = new Map(); // by item, until its sound is over: {line, clauses: [{at, ms}], length}
    this.silenced = new Set(); // items whose sound is not wanted any more
  }

  get modalities() {
    return [this.isAloud ? "audio" : "text"];
  }

  get isSpeaking() {
    return this.spoken.size > 0;
  }

  /** Open the microphone until it is closed, or close it. */
  toggle() {
    return this.mode === "open" ? this.hush() : this.listen("open");
  }

  /** Take what is said from now on, until `release`. */
  async press() {
    this.isHeld = true;
    if (this.talk.isAnswering || this.isSpeaking) this.talk.stop();
    await this.listen("held");
    if (!this.isHeld) this.release(); // while the browser asked for permission
  }

  release() {
    this.isHeld = false;
    if (this.mode !== "held") return;
    this.mode = "idle";
    this.timer = setTimeout(() => this.hush(), IDLE);
    this.times = { ended: performance.now() };
    this.send({ type: "input_audio_buffer.commit" });
    update();
  }

  hush() {
    clearTimeout(this.timer);
    this.microphone?.then((microphone) => microphone.close(), () => {});
    this.microphone = null;
    this.mode = "off";
    this.level = 0;
    this.send({ type: "input_audio_buffer.clear" });
    this.forgetTurn();
    update();
  }

  toggleAloud() {
    this.isAloud = !this.isAloud;
    this.isAloud ? this.prepare() : this.silence();
    this.configure();
    update();
  }

  close() {
    this.hush();
    clearInterval(this.ticking);
    this.loudspeaker?.close();
    this.loudspeaker = null;
  }

  /** Have the session do what the user chose; also a new one, after the connection was lost. */
  configure() {
    const input = this.mode === "off" ? {} : { audio: { input: { turn_detection: this.mode === "open" ? TURNS_BY_SERVER : null } } };
    this.send({ type: "session.update", session: { type: "realtime", output_modalities: this.modalities, ...input } });
  }

  /** Stop the sound, and let the server know how much of it was heard. */
  interrupt() {
    for (const [item, heard] of this.silence()) {
      this.answers.get(item).line.isStopped = true;
      this.send({ type: "conversation.item.truncate", item_id: item, content_index: 0, audio_end_ms: heard });
    }
  }

  /** Forget what a connection that was lost has not brought to its end. */
  lost() {
    this.silence();
    this.turn = null;
    this.talk.lines = this.talk.lines.filter((line) => !line.isHeard);
  }

  /** Return how many letters of a line have sounded, undefined if it is not being spoken. */
  lit(line) {
    const found = [...this.spoken].find(([, spoken]) => spoken.line === line);
    if (!found) return undefined;
    const [item, { clauses, length }] = found;
    const [heard, came] = [this.loudspeaker.heard(item), this.loudspeaker.came(item)];
    const marks = [...clauses, { at: length, ms: came }];
    const next = marks.findIndex(({ ms }) => ms > heard);
    if (next < 1) return marks.find(({ ms }) => ms >= came).at; // all that came has sounded: to the clause that has no sound yet
    const [from, to] = [marks[next - 1], marks[next]];
    return Math.round(from.at + ((to.at - from.at) * (heard - from.ms)) / (to.ms - from.ms));
  }

  obey(event) {
    HANDLERS[event.type]?.(this, event);
  }

  async listen(mode) {
    clearTimeout(this.timer);
    if (listening !== this) listening?.hush();
    listening = this;
    try {
      this.microphone ??= Microphone.open((bytes) => this.take(bytes));
      await this.microphone;
    } catch (error) {
      this.microphone = null;
      this.problem = error.message;
      return update();
    }
    if (!this.microphone) return; // the conversation was closed meanwhile
    this.problem = "";
    this.mode = mode;
    this.isAloud ??= state.health.tts_up;
    if (this.isAloud) this.prepare();
    this.configure();
    this.send({ type: "input_audio_buffer.clear" });
    if (mode === "held") this.hear({ kind: "user", text: "", isHeard: true });
    update();
  }

  /** Make the loudspeaker, once the user has pressed something: before, a browser leaves it silent. */
  prepare() {
    this.loudspeaker ??= new Loudspeaker();
    this.ticking ??= setInterval(() => this.tick(), TICK);
  }

  tick() {
    if (!this.isSpeaking) return;
    for (const [item, { line }] of this.spoken) {
      if (line.isWriting || this.loudspeaker.heard(item) < this.loudspeaker.came(item)) continue;
      this.spoken.delete(item);
      this.loudspeaker.forget(item);
    }
    update();
  }

  take(bytes) {
    const isWanted = this.mode === "open" || this.mode === "held";
    this.level = isWanted ? loudness(bytes) : 0;
    if (isWanted && this.talk.socket.bufferedAmount < MOST_WAITING) {
      this.send({ type: "input_audio_buffer.append", audio: btoa(String.fromCharCode(...bytes)) });
    }
    update();
  }

  hear(line) {
    this.forgetTurn();
    this.turn = line;
    this.talk.lines.push(line);
  }

  forgetTurn() {
    if (this.turn) this.remove(this.turn);
    this.turn = null;
  }

  remove(line) {
    this.talk.lines = this.talk.lines.filter((other) => other !== line);
  }

  understood({ item_id, transcript }) {
    this.times.understood = performance.now();
    const line = this.lineOf(item_id);
    if (!line) return;
    Object.assign(line, { text: transcript, isHeard: false });
    if (!transcript) this.remove(line);
    if (line.isByHand) transcript ? this.talk.respond() : notify("No words were understood.");
    this.talk.keep();
  }

  lineOf(item) {
    return this.talk.lines.findLast((line) => line.item === item);
  }

  /** Note where the words of a clause begin, in the text and in the sound. */
  clause({ item_id: item, delta }) {
    const line = this.talk.answer;
    if (!line || !this.loudspeaker || this.silenced.has(item)) return;
    if (!this.answers.has(item)) {
      this.answers.set(item, { line, at: line.text.length });
      this.spoken.set(item, { line, clauses: [], length: line.text.length });
    }
    const spoken = this.spoken.get(item);
    spoken.clauses.push({ at: spoken.length, ms: this.loudspeaker.came(item) });
    spoken.length += delta.length;
  }

  sound({ item_id: item, delta }) {
    if (!this.spoken.has(item)) return;
    const wait = this.loudspeaker.play(item, delta);
    const { ended, silence = 0, understood } = this.times;
    if (!understood || !ended) return;
    const now = performance.now();
    this.spoken.get(item).line.stages = { turn: silence, words: understood - ended, "first sound": now - understood, playback: 1000 * wait };
    this.times = {};
  }

  /** Stop the sound; returns [item, ms that were heard] of each item that was cut. */
  silence() {
    for (const item of this.spoken.keys()) this.silenced.add(item);
    this.spoken.clear();
    return this.loudspeaker?.stop() ?? [];
  }

  /** Keep the words of an answer that were heard: the character remembers no others. */
  heardOnly({ id, content }) {
    const { line, at } = this.answers.get(id) ?? {};
    if (!line) return;
    line.text = line.text.slice(0, at) + (content?.[0]?.transcript ?? "");
    this.talk.keep();
  }

  send(event) {
    if (this.talk.isConnected) this.talk.send(event);
  }
}

const TRANSCRIPTION = "conversation.item.input_audio_transcription.";
const HANDLERS = {
  "session.updated": (voice, { session }) => {
    voice.detection = session.audio.input.turn_detection;
  },
  "input_audio_buffer.speech_started": (voice, { item_id }) => {
    voice.interrupt();
    voice.hear({ kind: "user", text: "", item: item_id, isHeard: true });
  },
  "input_audio_buffer.speech_stopped": (voice) => {
    voice.times = { ended: performance.now(), silence: voice.detection?.silence_duration_ms };
  },
  "input_audio_buffer.committed": (voice, { item_id }) => {
    if (voice.turn) Object.assign(voice.turn, { item: item_id, isByHand: voice.detection === null });
    voice.turn = null;
  },
  [`${TRANSCRIPTION}delta`]: (voice, { item_id, delta }) => {
    const line = voice.lineOf(item_id);
    if (line) line.text += (line.text && " ") + delta.trim();
  },
  [`${TRANSCRIPTION}completed`]: (voice, event) => voice.understood(event),
  [`${TRANSCRIPTION}failed`]: (voice, { item_id, error }) => {
    voice.remove(voice.lineOf(item_id));
    notify(error.message);
  },
  "response.output_audio_transcript.delta": (voice, event) => voice.clause(event),
  "response.output_audio.delta": (voice, event) => voice.sound(event),
  "conversation.item.truncated": (voice, { item_id }) => voice.send({ type: "conversation.item.retrieve", item_id }),
  "conversation.item.retrieved": (voice, { item }) => voice.heardOnly(item),
  error: (voice, { error }) => {
    if (error.code !== "input_audio_buffer_commit_empty") return;
    voice.forgetTurn();
    notify("Hold the button while you speak.");
  },
};
