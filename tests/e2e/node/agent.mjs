// An agent of @openai/agents that speaks with a character: node agent.mjs URL SCENARIO
// Prints a line of JSON for each thing that a test waits for.
import { OpenAIRealtimeWebSocket, RealtimeAgent, RealtimeSession, tool } from "@openai/agents/realtime";
import { z } from "zod";

const [url, scenario] = process.argv.slice(2);
const print = (what) => console.log(JSON.stringify(what));

const getWeather = tool({
  name: "get_weather",
  description: "Return the weather.",
  parameters: z.object({ city: z.string() }),
  execute: async ({ city }) => {
    print({ ran: city });
    return "sunny";
  },
});

const agent = new RealtimeAgent({ name: "Test", instructions: "Be brief.", tools: [getWeather] });
const session = new RealtimeSession(agent, {
  transport: new OpenAIRealtimeWebSocket({ url }),
  config: { outputModalities: ["text"] },
});

const seen = [];
const waiting = [];
session.transport.on("*", (event) => {
  seen.push(event);
  for (const one of waiting.splice(0)) one.matches(event) ? one.resolve(event) : waiting.push(one);
});
session.on("error", (error) => print({ error: String(error.error?.message ?? error.error) }));

const next = (matches) => new Promise((resolve) => waiting.push({ matches, resolve }));
const kind = (type) => next((event) => event.type === type);
const done = () => kind("response.done");
const messages = () =>
  session.history
    .filter((item) => item.type === "message" && item.role === "assistant")
    .map((item) => ({ status: item.status, text: item.content.map((part) => part.text ?? "").join("") }));

const scenarios = {
  async turn() {
    const end = done();
    session.sendMessage("Hello!");
    await end;
    print({ messages: messages() });
  },
  async tool() {
    const first = done();
    session.sendMessage("How is the weather?");
    await first;
    await done();
    print({ messages: messages() });
  },
  async update() {
    const delta = kind("response.output_text.delta");
    const end = done();
    session.sendMessage("Hello!");
    await delta;
    const updated = next((event) => event.type === "session.updated" && event.session.instructions === "New.");
    session.transport.updateSessionConfig({ instructions: "New.", outputModalities: ["text"] });
    await updated;
    print({ updated: true });
    const { response } = await end;
    print({ status: response.status, messages: messages() });
  },
  async cancel() {
    const delta = kind("response.output_text.delta");
    const end = done();
    session.sendMessage("Hello!");
    await delta;
    session.transport._cancelResponse();
    const { response } = await end;
    const again = done();
    session.sendMessage("Again!");
    await again;
    print({ status: response.status, messages: messages() });
  },
  async failure() {
    const end = done();
    session.sendMessage("Hello!");
    const { response } = await end;
    const again = done();
    session.sendMessage("Again!");
    await again;
    print({ status: response.status, messages: messages() });
  },
};

const opened = kind("session.created");
await session.connect({ apiKey: "x", url });
await opened;
await scenarios[scenario]();
session.close();
