// What the page measures, over the real stack.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { card, NAMES, number, openPage, phase, run, runButton, startBrowser, startStack } from "./harness.mjs";

let stack;
let browser;

before(async () => {
  [stack, browser] = await Promise.all([startStack(), startBrowser()]);
});

after(async () => {
  await browser?.close();
  await stack?.stop();
});

test("the transports run at once, and ten runs show the model's delays", async () => {
  // Long delays, so that what other programs do to this machine's clock weighs little.
  const delays = { first: 1, token: 0.1 };
  const tokens = 10;
  const measured = await startStack([], delays);
  try {
    const { page, close } = await openPage(browser, measured);
    await page.getByText("Parameters, system prompt").click();
    await page.getByLabel("Longest answer").fill(String(tokens));
    await page.getByLabel("Runs", { exact: true }).fill("10");
    // The stand-in waits before the first token, before each other one and before the end.
    const first = delays.first * 1000;
    const total = first + tokens * delays.token * 1000;
    const expected = {
      "rest firstChunk": total,
      "rest total": total,
      "sse firstChunk": first,
      "sse total": total,
      "websocket firstChunk": first,
      "websocket total": total,
    };
    // A busy machine disturbs figures, but not each figure in each of six series. None is ever sooner than the model.
    const late = new Map(Object.keys(expected).map((cell) => [cell, "not measured"]));
    for (let series = 0; series < 6 && late.size > 0; series++) {
      if (series > 0) await page.getByRole("button", { name: "Clear" }).click();
      const began = performance.now();
      await run(page);
      const took = performance.now() - began;
      assert.ok(took < 20 * total, `one after the other they would take ${30 * total} ms; it was ${took}`);
      for (const [cell, delay] of Object.entries(expected)) {
        const value = number(await page.locator(`[data-cell="${cell}"] strong`).textContent());
        assert.ok(value >= delay - 5, `${cell}: ${value} ms is sooner than the model's ${delay}`);
        if (value <= delay * 1.1 + 30) late.delete(cell);
        else if (late.has(cell)) late.set(cell, `${value} ms, not ${delay}`);
      }
    }
    assert.deepEqual([...late], []);

    const plot = page.getByRole("img", { name: /^First chunk over 10 runs, median in ms: REST .+, SSE/ }).first();
    for (const id of ["rest", "sse", "websocket"]) assert.equal(await plot.locator(`.${id} .mark`).count(), 10);
    await page.getByLabel("Jitter").check();
    const jitter = page.getByRole("img", { name: /^Jitter over 10 runs/ }).first();
    for (const id of ["sse", "websocket"]) assert.equal(await jitter.locator(`.${id} .mark`).count(), 10);
    assert.equal(await jitter.locator(".rest .mark").count(), 0, "a whole answer has none");
    await page.getByRole("button", { name: "Clear" }).click();
    await page.getByText("The figures of your runs are compared here").waitFor();
    await close();
  } finally {
    await measured.stop();
  }
});

test("each answer can be stopped, and all of them", async () => {
  const { page, close } = await openPage(browser, stack);
  await runButton(page).click();
  const shown = {};
  for (const name of ["SSE", "WebSocket", "REST"]) {
    if (name !== "REST") await phase(page, name, "Answering");
    await page.getByRole("button", { name: `Stop ${name}` }).click();
    await phase(page, name, "Stopped");
    if (name !== "REST") shown[name] = await card(page, name).locator(".text").textContent();
  }
  for (const [name, text] of Object.entries(shown)) {
    assert.equal(await card(page, name).locator(".text").textContent(), text);
  }
  assert.ok(await page.getByText("The figures of your runs are compared here").isVisible(), "what was stopped does not count");

  await page.getByLabel("Runs", { exact: true }).fill("5");
  await runButton(page).click();
  await phase(page, "SSE", "Answering");
  await page.getByRole("button", { name: "Stop all" }).click();
  await runButton(page).waitFor();
  for (const name of NAMES) await phase(page, name, "Stopped");
  await close();
});

test("a request has what was asked for, and the history goes on", async () => {
  const { page, close } = await openPage(browser, stack);
  const bodies = [];
  page.on("request", (request) => request.method() === "POST" && bodies.push(request.postDataJSON()));
  await page.getByRole("checkbox", { name: "REST" }).uncheck();
  await page.getByRole("checkbox", { name: "WebSocket" }).uncheck();
  await page.getByLabel("Model").selectOption("deepseek-v3-2");
  await page.getByLabel("Prompt", { exact: true }).fill("My name is Ada.");
  await page.getByText("Parameters, system prompt").click();
  await page.getByLabel("System prompt").fill("Be brief.");
  await page.getByLabel("Longest answer").fill("12");
  await page.getByLabel("Temperature").fill("0.2");
  await page.getByLabel("Continue the conversation").check();
  await run(page);
  await page.getByText("The answer reached its longest length.").waitFor();
  await page.getByLabel("Prompt", { exact: true }).fill("Who am I?");
  await run(page);
  const [first, second] = bodies;
  const parameters = { model: "deepseek-v3-2", system_prompt: "Be brief.", max_tokens: 12, temperature: 0.2 };
  assert.deepEqual(first, { message: "My name is Ada.", ...parameters });
  assert.deepEqual(second.history[0], { role: "user", content: "My name is Ada." });
  assert.equal(second.history.length, 2);
  assert.ok(second.history[1].content.startsWith("Hello! This is the local stand-in"));

  // Two requests that are not alike are not compared with each other.
  const groups = page.getByLabel("Request", { exact: true });
  assert.deepEqual(
    await groups.locator("option").allTextContents(),
    ["Who am I?", "My name is Ada."].map((message, index) => {
      const history = index === 0 ? " · history of 2" : "";
      return `“${message}” · deepseek-v3-2 · max_tokens 12 · temperature 0.2 · system prompt “Be brief.”${history} · 1 run`;
    }),
  );
  await groups.selectOption({ index: 1 });
  await page
    .getByRole("img", { name: /^First chunk over 1 run,/ })
    .first()
    .waitFor();
  assert.match(await page.locator('[data-cell="sse rate"] .tail').textContent(), /^p5 /);
  assert.match(await page.locator('[data-cell="sse total"] .tail').textContent(), /^p95 /);

  await page.getByLabel("Temperature").fill("7");
  await page.getByText("Parameters, system prompt").click();
  await runButton(page).click();
  assert.ok(await page.getByLabel("Temperature").isVisible(), "a field that is not valid is shown");
  assert.equal(bodies.length, 2);
  await close();
});

test("reasoning is folded, and an answer can be copied", async () => {
  const context = { permissions: ["clipboard-read", "clipboard-write"] };
  const { page, close } = await openPage(browser, stack, context);
  await page.getByLabel("Model").selectOption("gpt-oss-20b");
  await run(page);
  const reasoning = card(page, "SSE").getByText("I am a stand-in, so I say so");
  assert.equal(await reasoning.isVisible(), false);
  await card(page, "SSE").getByText("Reasoning", { exact: true }).click();
  assert.ok(await reasoning.isVisible());
  await page.getByRole("button", { name: "Copy the answer of SSE" }).click();
  const copied = await page.evaluate(() => navigator.clipboard.readText());
  assert.ok(copied.startsWith("Hello! This is the local stand-in"));
  await close();
});

test("Markdown is rendered, and nothing in it runs or loads", async () => {
  const message = [
    "# Title",
    "**bold** `code` [link](https://example.com) [bad](javascript:alert(1))",
    "[mail](mailto:a@example.com) [call](tel:123) [file](ftp://example.com/x) [other](//evil.example/) [page](/status) [here](#x)",
    '<script>window.bad = 1</script><img src="https://evil.example/x.png" onerror="window.bad = 1">',
    '<p style="position:fixed" id="root" class="card" onclick="window.bad = 1">text</p><form action="/x"><input></form>',
    "![image](https://evil.example/y.png)",
    "| a | b |\n|---|---|\n| 1 | 2 |",
  ].join("\n\n");
  const { page, urls, close } = await openPage(browser, stack);
  const answer = { message, model: "m", input_tokens: 1, output_tokens: 1, stop_reason: "end_turn", request_id: "r" };
  await page.route("**/api/chat", (route) => route.fulfill({ json: answer }));
  await page.getByRole("checkbox", { name: "SSE" }).uncheck();
  await run(page);
  const text = card(page, "REST").locator(".markdown");
  for (const tag of ["h1", "strong", "code", "table"]) assert.equal(await text.locator(tag).count(), 1, tag);
  assert.equal(await text.locator("script, img, form, input, style, [style], [id], [onclick], .card").count(), 0);
  assert.deepEqual(await text.locator("a[href]").evaluateAll((links) => links.map((link) => link.getAttribute("href"))), [
    "https://example.com",
    "mailto:a@example.com",
  ]);
  assert.equal(await text.locator("a[href]").first().getAttribute("rel"), "noopener noreferrer");
  assert.equal(await page.evaluate(() => window.bad), undefined);
  assert.deepEqual(
    urls.filter((url) => !url.startsWith(stack.page)),
    [],
  );
  await close();
});

test("an answer that nothing can read is shown as it was written, and what cannot be shown is said", async () => {
  const { page, close } = await openPage(browser, stack);
  const events = (target, text) =>
    [
      { type: "start", request_id: "r", model: "m", target },
      { type: "delta", text },
      { type: "done", stop_reason: "end_turn" },
    ]
      .map((event) => `data: ${JSON.stringify(event)}\n\n`)
      .join("");
  let body = events("t", ">".repeat(2_500) + "_a".repeat(8_000));
  await page.route("**/api/chat/stream", (route) => route.fulfill({ contentType: "text/event-stream", body }));
  await page.getByRole("checkbox", { name: "REST" }).uncheck();
  await run(page);
  await phase(page, "SSE", "Complete");
  assert.match(await card(page, "SSE").locator(".markdown").textContent(), />>_a_a/);
  await close();

  const broken = await openPage(browser, stack, { reports: false });
  body = events({}, "text");
  await broken.page.route("**/api/chat/stream", (route) => route.fulfill({ contentType: "text/event-stream", body }));
  await runButton(broken.page).click();
  await broken.page.getByRole("alert").getByText("This page has failed").waitFor();
  await broken.page.getByRole("button", { name: "Load the page again" }).click();
  await runButton(broken.page).waitFor();
  await broken.close();
});
