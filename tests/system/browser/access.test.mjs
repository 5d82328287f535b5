// The page for everybody: by keyboard, by screen reader, in light and dark, on a phone.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { after, before, test } from "node:test";
import { ended, openPage, phase, run, runButton, startBrowser, startStack } from "./harness.mjs";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
let stack;
let browser;

before(async () => {
  [stack, browser] = await Promise.all([startStack([], { first: 0.4, token: 0.015 }), startBrowser()]);
});

after(async () => {
  await browser?.close();
  await stack?.stop();
});

/** Bring the page into each of its states; `check` is called in each. */
async function eachState(page, check) {
  await check("empty");
  await page.getByText("Parameters, system prompt").click();
  await page.getByText("What the figures measure").click();
  await check("open");
  await page.getByLabel("Model").selectOption("gpt-oss-20b");
  await page.getByLabel("Continue the conversation").check();
  await runButton(page).click();
  await phase(page, "SSE", "Answering");
  await check("running");
  await ended(page);
  await run(page);
  await page.getByText("Reasoning", { exact: true }).first().click();
  await check("done");
  await page.route("**/api/chat", (route) => route.abort());
  await page.getByRole("checkbox", { name: "SSE" }).uncheck();
  await run(page);
  await page.getByText("No connection.").waitFor();
  await page.getByRole("button", { name: /^API key/ }).click();
  await page.getByRole("textbox", { name: "API key" }).fill("wrong");
  await page.keyboard.press("Enter");
  await page.getByText("Wrong API key.").waitFor();
  await check("failed");
}

for (const colorScheme of ["light", "dark"]) {
  test(`axe finds nothing in any state, ${colorScheme}`, async () => {
    const { page, close } = await openPage(browser, stack, { colorScheme });
    await eachState(page, async (state) => {
      await page.evaluate(axe);
      const found = await page.evaluate(async () => {
        const { violations } = await window.axe.run();
        return violations.map(({ id, impact, nodes }) => `${impact} ${id}: ${nodes.map(({ html }) => html).join(" ")}`);
      });
      assert.deepEqual(found, [], state);
    });
    await close();
  });
}

test("on a phone of 360 pixels nothing is wider than the screen, and buttons are large enough", async () => {
  const { page, close } = await openPage(browser, stack, { viewport: { width: 360, height: 740 }, hasTouch: true });
  await eachState(page, async (state) => {
    const wide = await page.evaluate(() => document.documentElement.scrollWidth);
    assert.ok(wide <= 360, `${state}: ${wide} pixels`);
    const small = await page
      .locator("button:visible, select:visible, input:not([type=checkbox], [type=radio]):visible")
      .evaluateAll((controls) =>
        controls.filter((control) => control.getBoundingClientRect().height < 32).map((control) => control.outerHTML),
      );
    assert.deepEqual(small, [], state);
  });
  await close();
});

test("everything works by the keyboard alone", async () => {
  const { page, close } = await openPage(browser, stack);
  const focused = () =>
    page.evaluate(() => {
      const element = document.activeElement;
      return element?.getAttribute("aria-label") ?? element?.labels?.[0]?.textContent ?? element?.textContent ?? "";
    });
  const tabTo = async (name) => {
    for (let presses = 0; presses < 40; presses++) {
      if ((await focused()).startsWith(name)) return;
      await page.keyboard.press("Tab");
    }
    assert.fail(`${name} is not reached`);
  };
  await tabTo("Prompt");
  await page.keyboard.press("Control+A");
  await page.keyboard.type("By keyboard");
  await tabTo("Model");
  await page.keyboard.press("ArrowDown");
  await tabTo("REST");
  await page.keyboard.press("Space");
  await tabTo("Run");
  const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
  assert.equal(outline, "solid", "what has the focus is seen");
  await page.keyboard.press("Enter");
  await phase(page, "SSE", "Answering");
  await tabTo("Stop SSE");
  await page.keyboard.press("Enter");
  await phase(page, "SSE", "Stopped");
  await ended(page);
  await page.getByLabel("Prompt", { exact: true }).focus();
  await page.keyboard.press("Control+Enter");
  await phase(page, "SSE", "Complete");
  assert.ok(await page.getByText("By keyboard").last().isVisible());
  await tabTo("API key");
  await page.keyboard.press("Enter");
  await tabTo("Close");
  await page.keyboard.press("Enter");
  assert.ok((await focused()).startsWith("API key"), "the focus goes back to what opened the panel");
  await close();
});

test("a screen reader is told the beginning and the end of a series, and no more", async () => {
  const { page, close } = await openPage(browser, stack);
  await page.evaluate(() => {
    window.told = [];
    const region = document.querySelector("output");
    new MutationObserver(() => window.told.push(region.textContent)).observe(region, {
      childList: true,
      characterData: true,
      subtree: true,
    });
  });
  await page.getByLabel("Runs", { exact: true }).fill("2");
  await run(page);
  const told = await page.evaluate(() => window.told);
  assert.equal(told[0], "Running.");
  assert.match(told.at(-1), /^Run 2 of 2 ended\. REST: first chunk [\d,]+, total [\d,]+ milliseconds\. SSE: first chunk /);
  assert.equal(told.length, 2);
  assert.equal(await page.locator("[aria-live], [role=alert], [role=log]").count(), 0, "there is no other live region");
  await close();
});
