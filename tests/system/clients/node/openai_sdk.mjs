// The official OpenAI SDK for JavaScript: parse with zod, the stream helper with its history fed back, tools that run.

import assert from "node:assert/strict";
import OpenAI from "openai";
import { zodResponseFormat, zodTextFormat } from "openai/helpers/zod";
import { z } from "zod";
import { apiKey, baseURL, run } from "./checks.mjs";

const client = new OpenAI({ baseURL, apiKey, maxRetries: 0 });
const user = { role: "user", content: "What is the weather in Paris?" };
const City = z.object({ name: z.string(), country: z.string() });

async function parse(model) {
  const answer = await client.chat.completions.parse({
    model,
    messages: [user],
    response_format: zodResponseFormat(City, "city"),
  });
  City.parse(answer.choices[0].message.parsed);
  const again = await client.chat.completions.create({ model, messages: [user, answer.choices[0].message, user] });
  assert.ok(again.choices[0].message.content);
}

async function streamHelper(model) {
  const stream = client.chat.completions.stream({ model, messages: [user], stream_options: { include_usage: true } });
  const final = await stream.finalChatCompletion();
  assert.ok(final.usage.completion_tokens > 0);
  const again = await client.chat.completions.create({ model, messages: [user, final.choices[0].message, user] });
  assert.ok(again.choices[0].message.content);
}

async function runTools(model) {
  let called = 0;
  const runner = client.chat.completions.runTools({
    model,
    messages: [user],
    tools: [
      {
        type: "function",
        function: {
          name: "weather",
          description: "Tell the weather of a city.",
          parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
          parse: JSON.parse,
          function: () => {
            called += 1;
            return "7 degrees";
          },
        },
      },
    ],
  });
  assert.ok(await runner.finalContent());
  assert.ok(called > 0);
}

async function responses(model) {
  const answer = await client.responses.parse({
    model,
    input: "Which city?",
    store: false,
    text: { format: zodTextFormat(City, "city") },
  });
  City.parse(answer.output_parsed);
}

await run([parse, streamHelper, runTools, responses]);
