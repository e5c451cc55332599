// A client of npm openai that has one turn, with a refusal before it: node realtime.mjs ws|websocket|beta URL
import OpenAI from "openai";
import WebSocket from "ws";

const [kind, baseURL] = process.argv.slice(2);
const client = new OpenAI({ apiKey: "x", baseURL, dangerouslyAllowBrowser: true });

async function connected() {
  if (kind === "websocket") {
    globalThis.WebSocket ??= WebSocket; // Node 20 has none of its own
    const { OpenAIRealtimeWebSocket } = await import("openai/realtime/websocket");
    return new OpenAIRealtimeWebSocket({ model: "Ada", dangerouslyAllowBrowser: true }, client);
  }
  if (kind === "beta") {
    const { OpenAIRealtimeWS } = await import("openai/beta/realtime/ws");
    return new OpenAIRealtimeWS({ model: "Ada" }, client);
  }
  const { OpenAIRealtimeWS } = await import("openai/realtime/ws");
  return new OpenAIRealtimeWS({ model: "Ada" }, client);
}

const realtime = await connected();
const told = { model: null, error: null, text: "", status: null };

realtime.on("error", (error) => (told.error = error.error?.event_id ?? String(error)));
for (const type of ["response.output_text.delta", "response.text.delta"])
  realtime.on(type, (event) => (told.text += event.delta));
realtime.on("session.created", (event) => {
  told.model = event.session.model;
  realtime.send({ type: "response.cancel", event_id: "mine" });
  const content = [{ type: "input_text", text: "Hello!" }];
  realtime.send({ type: "conversation.item.create", item: { type: "message", role: "user", content } });
  realtime.send({ type: "response.create" });
});
realtime.on("response.done", (event) => {
  told.status = event.response.status;
  console.log(JSON.stringify(told));
  realtime.close();
});
