// Vercel's AI SDK: its provider's chat completions, with `responses` as the second argument the provider's default, and
// with `compatible` the provider for other servers.
import { createInterface } from "node:readline";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";

const [url, kind] = process.argv.slice(2);
const server = { baseURL: `${url}/v1`, apiKey: "unused" };
const openai = createOpenAI(server);
const providers = { responses: openai, compatible: createOpenAICompatible({ name: "charhost", ...server }) };
const named = providers[kind] ?? openai.chat;

const get_weather = tool({
  description: "Return the weather.",
  inputSchema: z.object({ city: z.string().default("Rome") }),
  execute: async ({ city }) => `sunny in ${city}`,
});

let messages = [];
const options = (model) => ({
  model: named(model),
  messages,
  tools: { get_weather },
  stopWhen: stepCountIs(5),
  maxRetries: 0,
});

const steps = {
  begin() {
    messages = [];
  },
  async say({ text, model = "Ada" }) {
    messages.push({ role: "user", content: text });
    const result = await generateText(options(model));
    messages.push(...result.response.messages);
    return result.text;
  },
  async stream({ text }) {
    messages.push({ role: "user", content: text });
    const result = streamText({ ...options("Ada"), onError() {} });
    const pieces = [];
    for await (const part of result.fullStream) {
      if (part.type === "text-delta") pieces.push(part.text);
      if (part.type === "error") throw part.error;
    }
    messages.push(...(await result.response).messages);
    return pieces;
  },
  async structured({ text }) {
    const required = { toolChoice: "required", stopWhen: stepCountIs(1), messages: [{ role: "user", content: text }] };
    const result = await generateText({ ...options("Ada"), ...required });
    return result.toolCalls[0].input;
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const { step, ...values } = JSON.parse(line);
  const result = await Promise.resolve()
    .then(() => steps[step](values))
    .then(
      (found) => ({ result: found ?? null }),
      (error) => ({ error: `${error.name}: ${error.message} ${error.responseBody ?? ""}` }),
    );
  console.log(JSON.stringify(result));
}
