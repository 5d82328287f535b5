// The sources of an answer from documents, over each transport. tests/system/browser/test_browser.py starts the stack.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { after, before, test } from "node:test";
import { card, choose, NAMES, openPage, phase, run, startBrowser } from "./harness.mjs";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const stack = JSON.parse(process.env.STACK);
let browser;

before(async () => {
  browser = await startBrowser();
});

after(() => browser?.close());

const sources = (page, name) => card(page, name).getByRole("region", { name: `${name}: sources` });

async function asked(page) {
  await page.getByLabel("Prompt", { exact: true }).fill("How many days of leave?");
  await run(page);
}

test("every transport shows the same sources, and a document's words are text", async () => {
  const { page, close } = await openPage(browser, stack);
  await asked(page);
  for (const name of NAMES) {
    await phase(page, name, "Complete");
    const items = sources(page, name).getByRole("listitem");
    assert.equal(await items.count(), 2, name);
    const [first, second] = await items.allTextContents();
    assert.match(first, /^<img src=x onerror=alert\(1\)>Leaves3:\/\/[\w-]+\/leave\.mdLeave: 30 days a year\.$/);
    assert.match(second, /^office\.mds3:\/\/.*<script>alert\(1\)<\/script>$/);
    assert.equal(await sources(page, name).locator("img, script, a").count(), 0);
    assert.deepEqual(await items.evaluateAll((found) => found.map(({ value }) => value)), [1, 2]);
  }
  assert.match(await page.locator("output").textContent(), /SSE: first chunk [^.]* milliseconds, 2 sources\./);
  await close();
});

for (const colorScheme of ["light", "dark"]) {
  test(`axe finds nothing beside sources, ${colorScheme}, and a phone shows all of them`, async () => {
    const { page, close } = await openPage(browser, stack, { colorScheme, viewport: { width: 360, height: 740 } });
    await asked(page);
    await page.evaluate(axe);
    const found = await page.evaluate(async () => {
      const { violations } = await window.axe.run();
      return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" ")}`);
    });
    assert.deepEqual(found, []);
    assert.ok((await page.evaluate(() => document.documentElement.scrollWidth)) <= 360);
    await close();
  });
}

test("a source on the web is a link, by the keyboard too, and no other one is", async () => {
  const { page, close } = await openPage(browser, stack);
  const addresses = ["https://docs.example/leave", "javascript:alert(1)", "s3://documents/leave.md"];
  const citations = addresses.map((source, index) => ({
    index: index + 1,
    source,
    title: `Document ${index + 1}`,
    excerpt: "",
  }));
  await page.route("**/api/chat", async (route) => {
    const answer = await (await route.fetch()).json();
    await route.fulfill({ json: { ...answer, citations } });
  });
  await choose(page, "REST");
  await asked(page);
  const link = sources(page, "REST").getByRole("link");
  assert.deepEqual(await link.evaluateAll((links) => links.map(({ href, target, rel }) => [href, target, rel])), [
    [addresses[0], "_blank", "noopener noreferrer"],
  ]);
  const text = card(page, "REST").getByRole("region", { name: "REST: answer" });
  await text.focus();
  for (let presses = 0; presses < 5 && !(await link.evaluate((element) => element === document.activeElement)); presses++)
    await page.keyboard.press("Tab");
  assert.ok(await link.evaluate((element) => element === document.activeElement), "the link is reached");
  await close();
});

test("an answer without the documents says so", async () => {
  const { page, close } = await openPage(browser, stack);
  await page.route("**/api/chat", async (route) => {
    const { citations, ...answer } = await (await route.fetch()).json();
    await route.fulfill({ json: { ...answer, retrieval: "unavailable" } });
  });
  await choose(page, "REST");
  await asked(page);
  await card(page, "REST").getByText("written without them").waitFor();
  assert.equal(await sources(page, "REST").count(), 0);
  await close();
});
