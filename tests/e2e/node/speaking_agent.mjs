// An agent of @openai/agents that asks by voice, and interrupts the answer: node speaking_agent.mjs URL
// Prints a line of JSON for each thing that a test waits for.
import { OpenAIRealtimeWebSocket, RealtimeAgent, RealtimeSession } from "@openai/agents/realtime";

const [url] = process.argv.slice(2);
const print = (what) => console.log(JSON.stringify(what));

const RATE = 24_000;
const PIECE = RATE / 10;

// Speech is a tone, and silence ends it, for longer than the agent has the server wait.
const spoken = (milliseconds, quiet = 3_000) => {
  const samples = new Int16Array(((milliseconds + quiet) * RATE) / 1_000);
  for (let at = 0; at < (milliseconds * RATE) / 1_000; at++) samples[at] = 16_000 * Math.sin((2 * Math.PI * 440 * at) / RATE);
  return samples;
};

const agent = new RealtimeAgent({ name: "Test", instructions: "Be brief." });
const session = new RealtimeSession(agent, { transport: new OpenAIRealtimeWebSocket({ url }) });
session.on("error", (error) => print({ error: String(error.error?.message ?? error.error) }));

const waiting = [];
const next = (on, name, matches = () => true) =>
  new Promise((resolve) => {
    const take = (event) => {
      if (!matches(event)) return;
      on.off(name, take);
      resolve(event);
    };
    on.on(name, take);
    waiting.push(take);
  });
const kind = (type) => next(session.transport, "*", (event) => event.type === type);
const heard = () => kind("conversation.item.input_audio_transcription.completed");
const say = (milliseconds) => {
  const samples = spoken(milliseconds);
  for (let at = 0; at < samples.length; at += PIECE) session.sendAudio(samples.slice(at, at + PIECE).buffer);
};

const opened = kind("session.updated");
await session.connect({ apiKey: "x", url });
await opened;

const question = heard();
const sound = next(session, "audio");
say(1_000);
print({ heard: (await question).transcript, sound: (await sound).data.byteLength });

const stop = heard();
const interrupted = next(session, "audio_interrupted");
const done = next(session.transport, "*", (event) => event.type === "response.done" && event.response.status === "completed");
say(500);
await interrupted;
const { transcript } = await stop;
const { response } = await done;
print({ heard: transcript, said: response.output[0].content[0].transcript });
session.close();
