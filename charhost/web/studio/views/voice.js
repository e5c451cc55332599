// The microphone and the loudspeaker of a conversation.

import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { state } from "../store.js";
import { Voice } from "../voice/voice.js";

const STATES = { off: "", open: "listening", held: "listening, until you let go", idle: "" };

export function voiceBar(talk) {
  if (talk.isOver) return nothing;
  talk.voice ??= new Voice(talk);
  const { voice } = talk;
  const isOn = voice.mode !== "off";
  return html`<div class="voice" role="group" aria-label="Voice">
    ${state.health.stt_up || isOn ? microphone(voice) : nothing}
    ${state.health.tts_up || voice.isAloud ? html`<button type="button" aria-pressed=${voice.isAloud ? "true" : "false"} @click=${() => voice.toggleAloud()}>Speak the answers</button>` : nothing}
    <span class="quiet small" role="status">${voice.isSpeaking ? "speaking" : STATES[voice.mode]}</span>
    ${voice.problem ? html`<p class="problem" role="alert">${voice.problem}</p>` : nothing}
  </div>`;
}

function microphone(voice) {
  return html`<button type="button" aria-pressed=${voice.mode === "open" ? "true" : "false"} @click=${() => voice.toggle()}>Microphone</button>
    ${voice.mode === "open" ? nothing : holdButton(voice)}
    ${voice.mode === "off" ? nothing : html`<meter aria-label="Level of the microphone" .value=${voice.level}></meter>`}`;
}

/** A button that is held, by mouse, finger or key; a click without these, as of a screen reader, begins and ends. */
function holdButton(voice) {
  const press = (event) => {
    event.preventDefault();
    voice.press();
  };
  const onKey = (event, act) => {
    if (event.key !== " " && event.key !== "Enter") return;
    event.preventDefault();
    if (!event.repeat) act();
  };
  return html`<button type="button" class="hold" aria-pressed=${voice.mode === "held" ? "true" : "false"}
    @pointerdown=${(event) => { event.target.setPointerCapture(event.pointerId); press(event); event.target.focus(); }}
    @pointerup=${() => voice.release()} @pointercancel=${() => voice.release()} @contextmenu=${(event) => event.preventDefault()}
    @keydown=${(event) => onKey(event, () => voice.press())} @keyup=${(event) => onKey(event, () => voice.release())}
    @blur=${() => voice.release()}
    @click=${(event) => { if (event.detail === 0) voice.mode === "held" ? voice.release() : voice.press(); }}>Hold to talk</button>`;
}
