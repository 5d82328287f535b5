// Vercel's AI SDK: createOpenAI by its default (Responses) and by Chat Completions, openai-compatible, and createAnthropic.

import assert from "node:assert/strict";
import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateObject, generateText, stepCountIs, streamObject, streamText, tool } from "ai";
import { z } from "zod";
import { apiKey, baseURL, run } from "./checks.mjs";

globalThis.AI_SDK_LOG_WARNINGS = false;
const openai = createOpenAI({ baseURL, apiKey });
const compatible = createOpenAICompatible({
  name: "own",
  baseURL,
  apiKey,
  includeUsage: true,
  supportsStructuredOutputs: true,
});
const anthropic = createAnthropic({ baseURL, apiKey });
const schema = z.object({ name: z.string(), country: z.string() });
const prompt = "What is the weather in Paris?";
const once = { maxRetries: 0, prompt };

async function text(model) {
  assert.ok((await generateText({ ...once, model: compatible(model) })).text);
  assert.ok((await generateText({ ...once, model: openai.chat(model) })).text);
}

async function objects(model) {
  for (const each of [compatible(model), openai.chat(model)]) {
    schema.parse((await generateObject({ ...once, model: each, schema })).object);
    const streamed = streamObject({ ...once, model: each, schema });
    for await (const _ of streamed.partialObjectStream);
    schema.parse(await streamed.object);
  }
}

function withTools(model) {
  let called = 0;
  const weather = tool({
    description: "Tell the weather of a city.",
    inputSchema: z.object({ city: z.string() }),
    execute: async () => {
      called += 1;
      return "7 degrees";
    },
  });
  const streamed = streamText({
    ...once,
    model,
    tools: { weather },
    stopWhen: stepCountIs(3),
    onError: () => {},
  });
  return { streamed, called: () => called };
}

async function toolsStreamed(model) {
  for (const each of [compatible(model), openai.chat(model)]) {
    const { streamed, called } = withTools(each);
    assert.ok(await streamed.text);
    assert.ok(called() > 0 && (await streamed.usage).outputTokens > 0);
  }
}

async function defaultOfCreateOpenAI(model) {
  assert.ok((await generateText({ ...once, model: openai(model) })).text);
  const { streamed, called } = withTools(openai(model));
  assert.ok(await streamed.text);
  assert.ok(called() > 0);
  const providerOptions = { openai: { store: false } };
  const first = await generateText({ ...once, model: openai(model), providerOptions });
  const again = [{ role: "user", content: prompt }, ...first.response.messages, { role: "user", content: "And tomorrow?" }];
  assert.ok((await generateText({ maxRetries: 0, model: openai(model), messages: again, providerOptions })).text);
}

async function messages(model) {
  assert.ok((await generateText({ ...once, model: anthropic(model) })).text);
  const { streamed, called } = withTools(anthropic(model));
  assert.ok(await streamed.text);
  assert.ok(called() > 0);
}

await run([text, objects, toolsStreamed, defaultOfCreateOpenAI, messages]);
