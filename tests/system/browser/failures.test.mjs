// What goes wrong: each failure is said with what to do, and what follows works.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import {
  card,
  choose,
  ended,
  NAMES,
  openPage,
  phase,
  run,
  runButton,
  startBrowser,
  startProxy,
  startStack,
} from "./harness.mjs";

let stack;
let browser;

before(async () => {
  [stack, browser] = await Promise.all([startStack(), startBrowser()]);
});

after(async () => {
  await browser?.close();
  await stack?.stop();
});

const ready = (page) => page.locator("button.primary:enabled", { hasText: "Run" }).waitFor();

test("a wrong key is said at once, and the right one is kept in the tab only", async () => {
  const { page, context, urls, close } = await openPage(browser, stack);
  await page.getByRole("button", { name: /^API key/ }).click();
  await page.getByLabel("API key", { exact: true }).fill("wrong");
  await page.getByRole("button", { name: "Use key" }).click();
  await page.getByText("Wrong API key.").waitFor();
  assert.equal(await runButton(page).isEnabled(), false);
  await page.getByLabel("API key", { exact: true }).fill(stack.key);
  await page.keyboard.press("Enter");
  await ready(page);
  await run(page);
  for (const name of NAMES) await phase(page, name, "Complete");
  const kept = () => page.evaluate(() => [Object.values(localStorage), Object.values(sessionStorage)]);
  assert.deepEqual(await kept(), [[], [stack.key]]);
  await page.getByRole("button", { name: /^API key/ }).click();
  await page.getByLabel("API key", { exact: true }).fill(stack.key);
  await page.getByLabel("Remember it on this device").check();
  await page.getByRole("button", { name: "Use key" }).click();
  assert.deepEqual(await kept(), [[stack.key], []]);
  assert.ok(urls.every((url) => !url.includes(stack.key)));
  assert.equal((await context.cookies()).length, 0);
  await close();
});

test("a key that is refused during a run leads to the entry of another one", async () => {
  const { page, close } = await openPage(browser, stack);
  const error = {
    type: "permission_error",
    code: "access_denied",
    message: "this API key may not make this call",
    request_id: "r-1",
  };
  await page.route("**/api/chat", (route) => route.fulfill({ status: 403, json: { error } }));
  await run(page);
  await card(page, "REST").getByText("Not allowed.").waitFor();
  await card(page, "REST").getByText("r-1").waitFor();
  for (const name of ["SSE", "WebSocket"]) await phase(page, name, "Complete");
  await card(page, "REST").getByRole("button", { name: "Enter another key" }).click();
  assert.ok(await page.getByLabel("API key", { exact: true }).evaluate((input) => input === document.activeElement));
  await close();
});

test("a function that is killed in the middle breaks the answers off, and the next run works", async () => {
  const { page, close } = await openPage(browser, stack);
  await runButton(page).click();
  for (const name of ["SSE", "WebSocket"]) await phase(page, name, "Answering");
  stack.killFunction();
  await ended(page);
  await card(page, "SSE").getByText("Connection lost.").waitFor();
  await card(page, "REST").getByText("The service failed.").waitFor();
  await card(page, "WebSocket").getByText("The service failed.").waitFor();
  for (const name of ["SSE", "WebSocket"]) {
    assert.ok((await card(page, name).locator(".text").textContent()).startsWith("Hello!"), "what had come stays");
  }
  await card(page, "SSE").getByRole("button", { name: "Try again" }).click();
  await ended(page);
  for (const name of NAMES) await phase(page, name, "Complete");
  await close();
});

test("a WebSocket that is cut is opened again, and the answer goes on without a gap", async () => {
  const proxy = await startProxy(stack);
  try {
    const { page, close } = await openPage(browser, proxy);
    await run(page);
    const texts = await Promise.all(NAMES.map((name) => card(page, name).locator(".text").textContent()));
    assert.equal(new Set(texts).size, 1, "every transport gives the same answer");
    await choose(page, "WebSocket");
    await runButton(page).click();
    await phase(page, "WebSocket", "Answering");
    proxy.cut();
    await phase(page, "WebSocket", "Reconnecting");
    await phase(page, "WebSocket", "Complete");
    assert.equal(await card(page, "WebSocket").locator(".text").textContent(), texts[0]);
    await close();
  } finally {
    await proxy.stop();
  }
});

test("a lost network is said, and a new try works when it is back", async () => {
  const { page, context, close } = await openPage(browser, stack);
  await context.setOffline(true);
  await run(page);
  for (const name of NAMES) await card(page, name).getByText("No connection.").waitFor();
  await context.setOffline(false);
  await card(page, "REST").getByRole("button", { name: "Try again" }).click();
  await ended(page);
  for (const name of NAMES) await phase(page, name, "Complete");
  await close();
});

test("a service that cannot be reached at first is tried again", async () => {
  let down = true;
  const prepare = (page) => page.route("**/openapi.json", (route) => (down ? route.abort() : route.continue()));
  const { page, close } = await openPage(browser, stack, { ready: false, prepare });
  await page.getByText("No connection.").waitFor();
  down = false;
  await ready(page);
  assert.equal(await page.getByText("No connection.").count(), 0);
  await close();
});

test("a page without its configuration says so", async () => {
  const prepare = (page) => page.route("**/config.json", (route) => route.fulfill({ status: 404, body: "" }));
  const { page, close } = await openPage(browser, stack, { ready: false, prepare });
  await page.getByText("This page is not set up.").waitFor();
  await close();
});
