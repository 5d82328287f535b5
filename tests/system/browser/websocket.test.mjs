// What the service's WebSocket API seldom does. The browser's connection ends in this test, which speaks the protocol.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { card, openPage, phase, run, runButton, startBrowser, startStack } from "./harness.mjs";

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
async function openWithWebSocket(serve) {
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
  const opened = await openPage(browser, stack, { prepare });
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
