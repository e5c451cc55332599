// Requests to the server, with the key of this tab.

import { state } from "./store.js";

/** The error of a refused request: the problem document, or OpenAI's error. */
export class Refused extends Error {
  constructor(status, body) {
    super(body?.detail ?? body?.error?.message ?? `The server answered with status ${status}.`);
    this.status = status;
    this.body = body ?? {};
    this.code = body?.code ?? body?.error?.code ?? "";
  }
}

function headers(extra = {}) {
  return state.key ? { Authorization: `Bearer ${state.key}`, ...extra } : extra;
}

async function json(response) {
  const body = await response.json().catch(() => null);
  if (!response.ok) throw new Refused(response.status, body);
  return body;
}

export async function get(path) {
  return json(await fetch(path, { headers: headers() }));
}

export async function post(path, body, method = "POST") {
  const content = { "Content-Type": "application/json" };
  return json(await fetch(path, { method, headers: headers(content), body: JSON.stringify(body) }));
}

/** Read server-sent events (WHATWG HTML, section 9.2) until the connection ends; resolves with the last id. */
export async function readEvents(path, lastId, onOpen, onEvent) {
  const response = await fetch(path, { headers: headers(lastId ? { "Last-Event-ID": lastId } : {}), cache: "no-store" });
  if (!response.ok) throw new Refused(response.status, await response.json().catch(() => null));
  onOpen();
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read().catch(() => ({ done: true }));
    if (done) return lastId;
    text += value;
    const frames = text.split("\n\n");
    text = frames.pop();
    for (const frame of frames) {
      const fields = Object.fromEntries(frame.split("\n").map((line) => [line.split(":", 1)[0], line.replace(/^\w+: ?/, "")]));
      if (fields.id) lastId = fields.id;
      if (fields.data) onEvent(fields.event, JSON.parse(fields.data));
    }
  }
}

/** Return the address of a WebSocket beside this page. */
export function socketAddress(path) {
  const address = new URL(path, document.baseURI);
  address.protocol = address.protocol.replace("http", "ws");
  return address;
}

/** A browser can send a key with a WebSocket only as a subprotocol. */
export function subprotocols() {
  return state.key ? ["realtime", `openai-insecure-api-key.${state.key}`] : ["realtime"];
}
