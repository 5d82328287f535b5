// The connection's life, with a WebSocket that the test holds. What it looks like is tested in the browser.
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { readConfig } from "../api/config";
import type { ServiceError } from "../api/errors";
import type { ChatRequest } from "../api/types";
import { WebSocketTransport } from "./websocket";

class FakeSocket {
  static readonly OPEN = 1;
  static opened: FakeSocket[] = [];
  static refuses = false;
  readyState = 0;
  sent: Record<string, unknown>[] = [];
  onopen = () => {};
  onclose: (() => void) | null = null;
  onerror: (() => void) | null = null;
  onmessage: ((message: { data: string }) => void) | null = null;

  constructor(
    readonly url: string,
    readonly protocols: string[],
  ) {
    FakeSocket.opened.push(this);
    const refuses = FakeSocket.refuses;
    setTimeout(() => {
      this.readyState = refuses ? 3 : 1;
      refuses ? this.onerror?.() : this.onopen();
    });
  }

  send(text: string) {
    this.sent.push(JSON.parse(text));
  }

  close() {
    this.readyState = 3;
    this.onclose?.();
  }

  reply(message: object) {
    this.onmessage?.({ data: JSON.stringify(message) });
  }
}

const config = readConfig('{"rest_url": "/api", "websocket_url": "/ws"}', "https://chat.example/");
const credential = { authorization: "api_key" as const, secret: "a key?>" };
const REQUEST = { message: "Hello" };

beforeEach(() => {
  vi.useFakeTimers();
  FakeSocket.opened = [];
  FakeSocket.refuses = false;
  vi.stubGlobal("WebSocket", FakeSocket);
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

function start(request: ChatRequest = REQUEST) {
  const transport = new WebSocketTransport({ config, credential }, config.websocketUrl as string);
  const types: string[] = [];
  const answer = (async () => {
    for await (const { type } of transport.send(request, new AbortController().signal)) types.push(type);
  })().catch((error: ServiceError) => error.code);
  return { types, answer };
}

const actions = (index: number) => socket(index).sent.map(({ action }) => action);

const socket = (index: number) => FakeSocket.opened[index] as FakeSocket;

test("the key is a subprotocol, never part of the address", async () => {
  start();
  await vi.advanceTimersByTimeAsync(1);
  expect(socket(0).url).toBe("wss://chat.example/ws");
  expect(socket(0).protocols).toEqual(["llm.chat.v1", "llm.key.YSBrZXk_Pg"]);
});

test("a connection that falls silent is asked, then replaced, and the answer is resumed", async () => {
  const { types, answer } = start();
  await vi.advanceTimersByTimeAsync(1);
  const { id } = socket(0).sent[0] as { id: string };
  socket(0).reply({ id, seq: 1, type: "start", request_id: "r", model: "m" });
  await vi.advanceTimersByTimeAsync(20_000);
  expect(socket(0).sent.at(-1)).toEqual({ action: "ping" });
  await vi.advanceTimersByTimeAsync(12_000);
  expect(FakeSocket.opened.length).toBe(2);
  expect(socket(1).sent).toEqual([{ action: "resume", id, seq: 1 }]);
  socket(1).reply({ id, seq: 2, type: "done", stop_reason: "end_turn" });
  await answer;
  expect(types).toEqual(["start", "reconnecting", "done"]);
});

test("a gap in the numbers is asked for again", async () => {
  const { types, answer } = start();
  await vi.advanceTimersByTimeAsync(1);
  const { id } = socket(0).sent[0] as { id: string };
  socket(0).reply({ id, seq: 1, type: "start", request_id: "r", model: "m" });
  socket(0).reply({ id, seq: 3, type: "done", stop_reason: "end_turn" });
  expect(socket(0).sent.at(-1)).toEqual({ action: "resume", id, seq: 1 });
  socket(0).reply({ id, seq: 2, type: "delta", text: "x" });
  socket(0).reply({ id, seq: 3, type: "done", stop_reason: "end_turn" });
  await answer;
  expect(types).toEqual(["start", "delta", "done"]);
});

test("after 30 seconds without a connection the answer is lost", async () => {
  vi.stubGlobal("fetch", () => Promise.reject(new TypeError("failed")));
  const { answer } = start();
  await vi.advanceTimersByTimeAsync(1);
  FakeSocket.refuses = true;
  socket(0).close();
  await vi.advanceTimersByTimeAsync(40_000);
  expect(await answer).toBe("connection_lost");
});

test.each([
  ["the key", () => Response.json({ error: { code: "invalid_api_key", message: "" } }, { status: 401 }), "invalid_api_key"],
  ["a proxy", () => Response.json({ data: [] }), "websocket_refused"],
])("where no connection opens, %s is to blame", async (_name, models, code) => {
  vi.stubGlobal("fetch", async () => models());
  FakeSocket.refuses = true;
  const { answer } = start();
  await vi.advanceTimersByTimeAsync(1);
  expect(await answer).toBe(code);
});

test("a request that API Gateway would close the connection for is not sent", async () => {
  const { answer } = start({ message: "ä".repeat(17_000) });
  await vi.advanceTimersByTimeAsync(1);
  expect(await answer).toBe("message_too_large");
  expect(FakeSocket.opened).toEqual([]);
});

test.each([
  ["Too Many Requests", "rate_limit_exceeded"],
  ["Internal server error", "internal_error"],
  ["Forbidden", "internal_error"],
])("what API Gateway itself refuses with %j has failed, and will not be generated", async (message, code) => {
  const { answer } = start();
  await vi.advanceTimersByTimeAsync(1);
  socket(0).reply({ message, connectionId: "c", requestId: "r" });
  expect(await answer).toBe(code);
  expect(actions(0)).toEqual(["chat", "cancel"]);
});

test("a refusal that concerns no answer changes nothing", async () => {
  const { types, answer } = start();
  await vi.advanceTimersByTimeAsync(1);
  const { id } = socket(0).sent[0] as { id: string };
  socket(0).reply({ id, seq: 1, type: "start", request_id: "r", model: "m" });
  socket(0).reply({ message: "Too Many Requests", connectionId: "c", requestId: "r" });
  socket(0).reply({ id, seq: 2, type: "done", stop_reason: "end_turn" });
  await answer;
  expect(types).toEqual(["start", "done"]);
});

test("a chat that nothing answers is asked for again on another connection, and given up in the end", async () => {
  const { types, answer } = start();
  for (let second = 0; second < 200; second++) {
    await vi.advanceTimersByTimeAsync(1_000);
    const open = socket(FakeSocket.opened.length - 1);
    if (open.sent.at(-1)?.action === "ping") open.reply({ type: "pong" });
  }
  expect(await answer).toBe("connection_lost");
  expect(types).toEqual(["reconnecting", "reconnecting", "reconnecting"]);
  expect(actions(1)).toContain("resume");
});

test("a chat that was lost is sent again, and one that was not is resumed", async () => {
  const { types, answer } = start();
  await vi.advanceTimersByTimeAsync(1);
  const { id } = socket(0).sent[0] as { id: string };
  const refuse = (code: string) => socket(0).reply({ id, type: "error", error: { code, message: "" } });
  refuse("unknown_generation");
  refuse("generation_exists");
  expect(actions(0)).toEqual(["chat", "chat", "resume"]);
  socket(0).reply({ id, seq: 1, type: "done", stop_reason: "end_turn" });
  await answer;
  expect(types).toEqual(["done"]);
});
