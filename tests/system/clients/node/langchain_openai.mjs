// LangChain for JavaScript over its OpenAI package.

import assert from "node:assert/strict";
import { tool } from "@langchain/core/tools";
import { ChatOpenAI } from "@langchain/openai";
import { z } from "zod";
import { apiKey, baseURL, run } from "./checks.mjs";

const City = z.object({ name: z.string(), country: z.string() });
const served = (model) => new ChatOpenAI({ model, apiKey, maxRetries: 0, configuration: { baseURL } });
const words = `Which city? Answer in JSON by this schema: ${JSON.stringify(z.toJSONSchema(City))}`;

async function chat(model) {
  const first = await served(model).invoke("Say hello.");
  assert.ok(first.content);
  const again = await served(model).invoke([{ role: "user", content: "Hi" }, first, { role: "user", content: "Again." }]);
  assert.ok(again.content);
}

async function structured(model) {
  for (const method of ["jsonSchema", "functionCalling", "jsonMode"]) {
    City.parse(await served(model).withStructuredOutput(City, { name: "city", method }).invoke(words));
  }
}

async function tools(model) {
  const weather = tool(async ({ city }) => `7 degrees in ${city}`, {
    name: "weather",
    description: "Tell the weather of a city.",
    schema: z.object({ city: z.string() }),
  });
  const bound = served(model).bindTools([weather], { tool_choice: "weather" });
  const answer = await bound.invoke("The weather in Paris?");
  assert.equal(answer.tool_calls[0].name, "weather");
  const result = await weather.invoke(answer.tool_calls[0]);
  const last = await served(model)
    .bindTools([weather])
    .invoke([{ role: "user", content: "The weather in Paris?" }, answer, result]);
  assert.ok(last.content || last.tool_calls.length);
}

await run([chat, structured, tools]);
