// A local stack and a browser that shows its page. tests/system/browser/test_browser.py runs these tests and sets PULUMI_LLM, the
// command, and CHROMIUM, the browser.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

/**
 * Start a stack on a free port. Its model waits `first` seconds before an answer and `token` seconds before each further token.
 * Its throttle lets every test through, if `options` do not set another one.
 */
export async function startStack(options = [], { first = 0.4, token = 0.04 } = {}) {
  const throttle = 'api.throttle={"rate_limit": 1000, "burst_limit": 1000}';
  const common = ["local", "--json", "--port", "0", "--model-delay", `${first},${token}`, "--config", throttle];
  const child = spawn(process.env.PULUMI_LLM, [...common, ...options], { stdio: ["ignore", "pipe", "pipe"] });
  let said = "";
  child.stderr.on("data", (data) => {
    said += data;
  });
  const line = await new Promise((resolve, reject) => {
    createInterface(child.stdout).once("line", resolve);
    child.once("exit", () => reject(new Error(`the stack did not start: ${said}`)));
  });
  const outputs = JSON.parse(line);
  return {
    key: outputs.api_key_value,
    page: new URL("/", outputs.api_gateway_url).href,
    killFunction: () => killFunction(child.pid),
    stop: () =>
      new Promise((resolve) => {
        child.once("exit", resolve);
        child.kill("SIGINT");
      }),
  };
}

const GENERATING = /llm_functions\.(http|websocket\.generations)/;

/** Kill the processes of the functions that generate answers, descendants of the run's. */
function killFunction(run) {
  const processes = readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        const parent = Number(readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1].split(" ")[1]);
        return [{ pid: Number(pid), parent, command: readFileSync(`/proc/${pid}/cmdline`, "utf8") }];
      } catch {
        return []; // it has ended meanwhile
      }
    });
  const parents = new Map(processes.map(({ pid, parent }) => [pid, parent]));
  const belongs = (pid) => pid === run || (parents.has(pid) && belongs(parents.get(pid)));
  const found = processes.filter(({ pid, command }) => GENERATING.test(command) && belongs(pid));
  assert.ok(found.length > 0, "the function runs");
  for (const { pid } of found) process.kill(pid, "SIGKILL");
}

export function startBrowser() {
  const quiet = ["--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update"];
  return chromium.launch({
    executablePath: process.env.CHROMIUM,
    args: ["--no-sandbox", "--disable-gpu", "--disable-sync", ...quiet],
  });
}

/** Open the page in a context of its own, ready to run. `close` fails where the page reported an error or its policy a violation, unless not `reports`. */
export async function openPage(browser, stack, { ready = true, reports = true, prepare, ...options } = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const page = await context.newPage();
  const problems = [];
  const urls = [];
  page.on("pageerror", (error) => problems.push(error.message));
  page.on("console", (message) => {
    // What the browser itself says of an answer that is an error, or of a network that was switched off, is no problem.
    if (message.type() === "error" && !/^(Failed to load resource|WebSocket connection to)/.test(message.text()))
      problems.push(message.text());
  });
  page.on("request", (request) => urls.push(request.url()));
  await page.exposeFunction("reportViolation", (text) => problems.push(text));
  await page.addInitScript(() => {
    document.addEventListener("securitypolicyviolation", (event) => {
      window.reportViolation(`${event.violatedDirective}: ${event.blockedURI} ${event.sourceFile}`);
    });
  });
  await prepare?.(page);
  await page.goto(stack.page);
  if (ready) await page.locator("button.primary:enabled", { hasText: "Run" }).waitFor();
  const close = async () => {
    await context.close();
    if (reports) assert.deepEqual(problems, []);
  };
  return { page, context, urls, close };
}

/** A way to a stack, on a port of its own, that can be cut. */
export async function startProxy(stack) {
  const { hostname, port } = new URL(stack.page);
  const sockets = new Set();
  const server = createServer((near) => {
    const far = connect(Number(port), hostname);
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ]) {
      sockets.add(socket);
      socket.pipe(other);
      socket.on("error", () => {});
      socket.on("close", () => {
        sockets.delete(socket);
        other.destroy();
      });
    }
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const cut = () => {
    for (const socket of sockets) socket.destroy();
  };
  const stop = () => {
    cut();
    return new Promise((resolve) => server.close(resolve));
  };
  return { ...stack, page: `http://127.0.0.1:${server.address().port}/`, cut, stop };
}

export const NAMES = ["REST", "SSE", "WebSocket"];

/** Choose the transports of the next run. */
export async function choose(page, ...names) {
  for (const name of NAMES) await page.getByRole("checkbox", { name }).setChecked(names.includes(name));
}

export const card = (page, name) => page.getByRole("article", { name, exact: true });
export const runButton = (page) => page.getByRole("button", { name: "Run", exact: true });

/** Press Run, and wait until nothing runs any more. */
export async function run(page) {
  await runButton(page).click();
  await ended(page);
}

export async function ended(page) {
  await page.getByRole("button", { name: "Stop all" }).waitFor({ state: "hidden", timeout: 60_000 });
}

export async function phase(page, name, text) {
  await card(page, name).locator(".phase", { hasText: text }).waitFor({ timeout: 30_000 });
}

/** The number of a cell such as "1,234 ms". */
export const number = (text) => Number(text.replaceAll(",", "").match(/-?\d+(\.\d+)?/)[0]);
