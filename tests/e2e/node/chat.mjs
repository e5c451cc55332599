// A client of npm openai that chats: node chat.mjs URL [MODEL]
import OpenAI from "openai";

const client = new OpenAI({ apiKey: "x", baseURL: process.argv[2], maxRetries: 0 });
const messages = [{ role: "user", content: "Hello!" }];
const pieces = [];
const model = process.argv[3] ?? "Ada";
const stream = await client.chat.completions.create({
  model,
  messages,
  stream: true,
  stream_options: { include_usage: true },
});
let usage;
for await (const chunk of stream) {
  if (chunk.choices.length) pieces.push(chunk.choices[0].delta.content ?? "");
  usage = chunk.usage ?? usage;
}
const plain = await client.chat.completions.create({ model, messages });
const models = [];
for await (const model of client.models.list()) models.push(model.id);
const retrieved = (await client.models.retrieve(model)).id;
const refused = await client.chat.completions.create({ model: "Nobody", messages }).catch((error) => error);
console.log(
  JSON.stringify({
    pieces,
    plain: plain.choices[0].message.content,
    usage: usage.total_tokens,
    models,
    retrieved,
    refused: [refused.status, refused.code],
  }),
);
