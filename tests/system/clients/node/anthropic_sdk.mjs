// The official Anthropic SDK for JavaScript.

import assert from "node:assert/strict";
import Anthropic from "@anthropic-ai/sdk";
import { apiKey, baseURL, run } from "./checks.mjs";

const client = new Anthropic({ baseURL: baseURL.replace(/\/v1$/, ""), apiKey, maxRetries: 0 });
const user = { role: "user", content: "Say hello." };

async function messages(model) {
  const answer = await client.messages.create({ model, max_tokens: 300, messages: [user] });
  assert.ok(answer.content.some((block) => block.type === "text" && block.text));
}

async function stream(model) {
  const final = await client.messages.stream({ model, max_tokens: 300, messages: [user] }).finalMessage();
  assert.ok(final.usage.output_tokens > 0);
  const again = [user, { role: "assistant", content: final.content }, user];
  assert.ok((await client.messages.create({ model, max_tokens: 300, messages: again })).content.length);
}

await run([messages, stream]);
