// What the service's WebSocket API seldom does. The browser's connection ends in this test, which speaks the protocol.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { card, choose, openPage, phase, run, runButton, startBrowser, startStack } from "./harness.mjs";

let stack;
let browser;

before(async () => {
  [stack, browser] = await Promise.all([startStack(), startBrowser()]);
});

after(async () => {
  await browser?.close();
  await stack?.stop();
});

/** A page whose WebSocket this test answers. `serve(socket, message, connections)` answers each message. */
async function openWithWebSocket(serve, options = {}) {
  const received = [];
  let connections = 0;
  const prepare = async (page) => {
    await page.routeWebSocket("**/ws", (socket) => {
      connections++;
      const reply = (message) => socket.send(JSON.stringify(message));
      socket.onMessage((text) => {
        const message = JSON.parse(text);
        received.push(message);
        serve({ socket, reply, message, connections });
      });
    });
  };
  const opened = await openPage(browser, stack, { prepare, ...options });
  return { ...opened, received };
}

/** The messages of one answer. */
function answer(id) {
  const events = [
    { type: "start", request_id: "r-1", model: "deepseek-v3-2", target: "bedrock/deepseek-v3-2" },
    ...["One ", "two ", "three."].map((text) => ({ type: "delta", text })),
    { type: "usage", input_tokens: 3, output_tokens: 4 },
    { type: "done", stop_reason: "end_turn" },
  ];
  return events.map((event, index) => ({ id, seq: index + 1, ...event }));
}

test("three transports run side by side, over one connection", async () => {
  const { page, received, close } = await openWithWebSocket(({ reply, message }) => {
    if (message.action === "chat") for (const event of answer(message.id)) reply(event);
  });
  await page.setViewportSize({ width: 360, height: 740 });
  await page.getByLabel("Runs", { exact: true }).fill("2");
  await run(page);
  assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 360);
  for (const name of ["REST", "SSE", "WebSocket"]) await phase(page, name, "Complete");
  assert.equal(await card(page, "WebSocket").locator(".text").textContent(), "One two three.\n");
  await card(page, "WebSocket").getByText("Answered by bedrock/deepseek-v3-2").waitFor();
  assert.equal(await page.getByRole("img", { name: /^First chunk over 2 runs.*WebSocket/ }).count(), 2);
  assert.deepEqual(
    received.map(({ action, message, model }) => ({ action, message, model })),
    Array(2).fill({ action: "chat", message: "Hello! What can you do?", model: "deepseek-v3-2" }),
  );
  assert.match(received[0].id, /^[A-Za-z0-9_-]{1,64}$/);
  assert.notEqual(received[0].id, received[1].id);
  await close();
});

test("a connection that is lost is opened again, and the answer goes on without a gap", async () => {
  const { page, received, close } = await openWithWebSocket(({ socket, reply, message, connections }) => {
    if (message.action === "chat") {
      for (const event of answer(message.id).slice(0, 3)) reply(event);
      setTimeout(() => socket.close({ code: 1006 }), 100);
    }
    // What has come already comes once more, as a journal may do.
    if (message.action === "resume" && connections > 1) for (const event of answer(message.id).slice(1)) reply(event);
  });
  await runButton(page).click();
  await phase(page, "WebSocket", "Reconnecting");
  await phase(page, "WebSocket", "Complete");
  assert.equal(await card(page, "WebSocket").locator(".text").textContent(), "One two three.\n");
  assert.deepEqual(
    received.find(({ action }) => action === "resume"),
    { action: "resume", id: received[0].id, seq: 3 },
  );
  await close();
});

test("to stop is to cancel, and an error of the service is said", async () => {
  const { page, received, close } = await openWithWebSocket(({ reply, message }) => {
    if (message.action !== "chat") return;
    if (message.message === "fail") {
      const error = { type: "rate_limit_error", code: "upstream_throttled", message: "busy", request_id: "r-2" };
      reply({ id: message.id, type: "error", error });
    } else for (const event of answer(message.id).slice(0, 2)) reply(event);
  });
  await runButton(page).click();
  await phase(page, "WebSocket", "Answering");
  await page.getByRole("button", { name: "Stop WebSocket" }).click();
  await phase(page, "WebSocket", "Stopped");
  await page.getByRole("button", { name: "Stop all" }).click();
  assert.deepEqual(
    received.map(({ action }) => action),
    ["chat", "cancel"],
  );
  assert.equal(received[0].id, received[1].id);
  await page.getByLabel("Prompt", { exact: true }).fill("fail");
  await run(page);
  await card(page, "WebSocket").getByText("The model is busy.").waitFor();
  await close();
});

test("a part of an answer that grows can be selected and the whole be copied, and its end is shown at once", async () => {
  let reply;
  const served = (call) => {
    if (call.message.action !== "chat") return;
    const send = (message) => call.reply({ id: call.message.id, ...message });
    send({ type: "waiting" });
    send({ seq: 1, type: "start", request_id: "r-1", model: "m" });
    send({ seq: 2, type: "delta", text: "First paragraph.\n\n" });
    reply = send;
  };
  const { page, close } = await openWithWebSocket(served, { permissions: ["clipboard-read", "clipboard-write"] });
  await choose(page, "WebSocket");

  // While an input method composes, Enter is its own.
  const composed = { key: "Enter", ctrlKey: true, isComposing: true, bubbles: true };
  await page.getByLabel("Prompt", { exact: true }).dispatchEvent("keydown", composed);
  assert.ok(await runButton(page).isVisible());
  await runButton(page).click();

  const answered = card(page, "WebSocket").locator(".text");
  await answered.getByText("First paragraph.").dblclick({ position: { x: 12, y: 10 } });
  const selection = () => page.evaluate(() => getSelection().toString().trim());
  const selected = await selection();
  assert.equal(selected, "First");
  reply({ seq: 3, type: "delta", text: "Second paragraph." });
  await card(page, "WebSocket").getByRole("button", { name: "Copy the answer" }).click();
  await page.waitForFunction(async () => (await navigator.clipboard.readText()).includes("Second"));
  await card(page, "WebSocket").getByText("Copied").waitFor({ state: "hidden" }); // two seconds, in which it would have been drawn
  assert.equal(await selection(), selected);
  await page.evaluate(() => getSelection().removeAllRanges());
  await answered.getByText("Second paragraph.").waitFor();

  // A text that takes long to draw is drawn seldom, and yet at its end.
  const long = Array.from({ length: 3_000 }, (_, line) => `- *item* **${line}** [a](https://example.com)`).join("\n");
  reply({ seq: 4, type: "delta", text: `\n\n${long}` });
  await answered.getByText("2999").waitFor();
  reply({ seq: 5, type: "delta", text: "\n\nThe last words." });
  const times = page.evaluate(async () => {
    const found = async (test) => {
      while (!test()) await new Promise(requestAnimationFrame);
      return performance.now();
    };
    const card = document.querySelector(".answer.websocket");
    const ended = await found(() => card.querySelector(".phase.done"));
    return (await found(() => card.textContent.includes("The last words."))) - ended;
  });
  reply({ seq: 6, type: "done", stop_reason: "end_turn" });
  const late = await times;
  assert.ok(late < 2_000, `the end is shown ${late} ms after it is said`);
  await close();
});
