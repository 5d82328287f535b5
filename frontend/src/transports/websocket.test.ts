// The connection's life, with a WebSocket that the test holds. What it looks like is tested in the browser.
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { readConfig } from "../api/config";
import type { ServiceError } from "../api/errors";
import type { ChatRequest } from "../api/types";
import { WebSocketTransport } from "./websocket";

class FakeSocket {
  static readonly OPEN = 1;
  static opened: FakeSocket[] = [];
  static refuses: boolean | "silently" = false;
  readyState = 0;
  sent: Record<string, unknown>[] = [];
  onopen: (() => void) | null = null;
  onclose: (() => void) | null = null;
  onerror: (() => void) | null = null;
  onmessage: ((message: { data: string }) => void) | null = null;

  constructor(
    readonly url: string,
    readonly protocols: string[],
  ) {
    FakeSocket.opened.push(this);
    const refuses = FakeSocket.refuses;
    if (refuses === "silently") return;
    setTimeout(() => {
      this.readyState = refuses ? 3 : 1;
      refuses ? this.onerror?.() : this.onopen?.();
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

function start(request: ChatRequest = REQUEST, signal = new AbortController().signal) {
  const transport = new WebSocketTransport({ config, credential }, config.websocketUrl as string);
  return { transport, ...started(transport, request, signal) };
}

function started(transport: WebSocketTransport, request: ChatRequest = REQUEST, signal = new AbortController().signal) {
  const types: string[] = [];
  const answer = (async () => {
    for await (const { type } of transport.send(request, signal)) types.push(type);
  })().catch((error: ServiceError) => error.code);
  return { types, answer };
}

/** Let time pass; `each` is called for the open connection and the id of its generation every second. */
async function pass(seconds: number, each: (open: FakeSocket, id: string, second: number) => void) {
  for (let second = 1; second <= seconds; second++) {
    await vi.advanceTimersByTimeAsync(1_000);
    each(socket(FakeSocket.opened.length - 1), (socket(0).sent[0] as { id: string }).id, second);
  }
}

const pong = (open: FakeSocket) => {
  if (open.sent.at(-1)?.action === "ping") open.reply({ type: "pong" });
};

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
  const asked = socket(0).sent.length;
  const rest = [
    { id, seq: 2, type: "delta", text: "x" },
    { id, seq: 3, type: "usage", input_tokens: 1, output_tokens: 1 },
    { id, seq: 4, type: "done", stop_reason: "end_turn" },
  ];
  socket(0).reply(rest.slice(1)); // a frame may have several
  expect(socket(0).sent.length).toBe(asked + 1);
  socket(0).reply(rest);
  await answer;
  expect(types).toEqual(["start", "delta", "usage", "done"]);
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

const unknown = (open: FakeSocket, id: string) =>
  open.reply({ id, type: "error", error: { code: "unknown_generation", message: "" } });

test("a chat waits for its function on one connection, until the service says that it is overloaded", async () => {
  const { types, answer } = start();
  await pass(75, (open, id, second) => {
    pong(open);
    if (second === 70) open.reply({ id, type: "error", error: { code: "overloaded", message: "" } });
  });
  expect(await answer).toBe("overloaded");
  expect(types).toEqual([]);
  expect(actions(0).filter((action) => action !== "ping")).toEqual(["chat"]);
});

test("a chat that nothing ever answers is given up, and other answers go on", async () => {
  const { transport, answer } = start();
  await vi.advanceTimersByTimeAsync(1);
  const second = started(transport);
  await vi.advanceTimersByTimeAsync(1);
  const id = socket(0).sent[1]?.id;
  await pass(100, (open, _, time) => {
    pong(open);
    if (time % 10 === 0) open.reply({ id, type: "waiting" });
  });
  expect(await answer).toBe("overloaded");
  socket(0).reply({ id, seq: 1, type: "done", stop_reason: "end_turn" });
  await second.answer;
  expect(second.types).toEqual(["done"]);
  expect(FakeSocket.opened).toHaveLength(1);
  expect(actions(0).filter((action) => action !== "ping")).toEqual(["chat", "chat", "cancel"]);
});

test("a chat whose connection is lost again and again is sent three times, with growing pauses", async () => {
  const { answer } = start();
  await vi.advanceTimersByTimeAsync(1);
  const { id } = socket(0).sent[0] as { id: string };
  for (const connection of [0, 1, 2]) {
    socket(connection).close();
    await vi.advanceTimersByTimeAsync(250 * 2 ** connection);
    await vi.advanceTimersByTimeAsync(1);
    expect(FakeSocket.opened).toHaveLength(connection + 2);
    unknown(socket(connection + 1), id);
  }
  expect(await answer).toBe("overloaded");
  expect([1, 2, 3].map(actions)).toEqual([["resume", "chat"], ["resume", "chat"], ["resume"]]);
});

test("a model that is slow to begin is waited for as long as the service says so", async () => {
  const { types, answer } = start();
  await vi.advanceTimersByTimeAsync(1);
  await pass(300, (open, id, second) => {
    pong(open);
    if (second % 10 === 0) open.reply({ id, type: second % 20 ? "waiting" : "novelty" });
  });
  expect(FakeSocket.opened).toHaveLength(1);
  const { id } = socket(0).sent[0] as { id: string };
  socket(0).reply({ id, seq: 1, type: "done", stop_reason: "end_turn" });
  await answer;
  expect(types).toEqual(["done"]);
});

test("a generation that falls silent in the middle is resumed on another connection, whatever the pongs say", async () => {
  const { types, answer } = start();
  await vi.advanceTimersByTimeAsync(1);
  const { id } = socket(0).sent[0] as { id: string };
  socket(0).reply({ id, seq: 1, type: "start", request_id: "r", model: "m" });
  await pass(40, pong);
  expect(FakeSocket.opened).toHaveLength(2);
  expect(socket(1).sent[0]).toEqual({ action: "resume", id, seq: 1 });
  // A `resume` that is only taken note of each time is no progress.
  const noted = new Set<FakeSocket>();
  await pass(200, (open) => {
    pong(open);
    if (!noted.has(open)) open.reply({ id, type: "waiting" });
    noted.add(open);
  });
  expect(await answer).toBe("connection_lost");
  expect(types).toEqual(["start", "reconnecting", "reconnecting", "reconnecting"]);
});

test("a page whose clock stands still asks before it takes a connection for lost", async () => {
  start();
  await vi.advanceTimersByTimeAsync(1);
  const clock = vi.spyOn(performance, "now");
  const at = (seconds: number) => clock.mockReturnValue(seconds * 1_000);
  const check = () => vi.advanceTimersByTimeAsync(5_000);
  const { id } = socket(0).sent[0] as { id: string };
  // As Chromium checks a hidden page: once a minute.
  for (const minute of [1, 2, 3]) {
    at(minute * 60 - 5);
    socket(0).reply({ id, type: "waiting" });
    at(minute * 60);
    await check();
    pong(socket(0));
  }
  // A computer that slept: what came in the meantime is read after the check.
  at(3_600);
  await check();
  socket(0).reply({ id, type: "waiting" });
  at(3_605);
  await check();
  expect(FakeSocket.opened).toHaveLength(1);
  expect(
    actions(0)
      .slice(1)
      .every((action) => action === "ping"),
  ).toBe(true);
  // Nothing follows the ping.
  at(7_200);
  await check();
  at(7_260);
  await check();
  clock.mockRestore();
  await vi.advanceTimersByTimeAsync(1_000);
  expect(FakeSocket.opened).toHaveLength(2);
});

test("stop ends an answer while the connection is still being opened", async () => {
  FakeSocket.refuses = "silently";
  const abort = new AbortController();
  const { answer } = start(REQUEST, abort.signal);
  let ended = false;
  answer.finally(() => {
    ended = true;
  });
  await vi.advanceTimersByTimeAsync(1_000);
  expect(ended).toBe(false);
  abort.abort();
  await vi.advanceTimersByTimeAsync(0);
  expect(ended).toBe(true);
});

test("a connection that does not open within 10 seconds is given up", async () => {
  vi.stubGlobal("fetch", () => Promise.reject(new TypeError("failed")));
  FakeSocket.refuses = "silently";
  const { answer } = start();
  await vi.advanceTimersByTimeAsync(10_001);
  expect(await answer).toBe("unreachable");
  expect(socket(0).readyState).toBe(3);
});

test("tries to connect again are spread, and REST is asked once", async () => {
  const asked = vi.fn(() => Promise.reject(new TypeError("failed")));
  vi.stubGlobal("fetch", asked);
  const random = vi.spyOn(Math, "random").mockReturnValue(0.999).mockReturnValueOnce(0);
  const { answer } = start();
  await vi.advanceTimersByTimeAsync(1);
  FakeSocket.refuses = true;
  socket(0).close();
  await vi.advanceTimersByTimeAsync(124);
  expect(FakeSocket.opened).toHaveLength(1);
  await vi.advanceTimersByTimeAsync(2);
  expect(FakeSocket.opened).toHaveLength(2);
  await vi.advanceTimersByTimeAsync(496);
  expect(FakeSocket.opened).toHaveLength(2);
  await vi.advanceTimersByTimeAsync(40_000);
  expect(await answer).toBe("connection_lost");
  expect(asked).toHaveBeenCalledTimes(1);
  random.mockRestore();
});

test("an error that names no message is that of the chat without an answer", async () => {
  const { answer } = start({ message: "half an emoji: \ud83d" });
  await vi.advanceTimersByTimeAsync(1);
  expect(socket(0).sent[0]).toMatchObject({ message: "half an emoji: \ufffd" });
  socket(0).reply({ id: null, type: "error", error: { code: "invalid_request", message: "no" } });
  expect(await answer).toBe("invalid_request");
});

test("an error that names no message is not that of a chat that was taken up", async () => {
  const { types, answer } = start();
  await vi.advanceTimersByTimeAsync(1);
  const { id } = socket(0).sent[0] as { id: string };
  socket(0).reply({ id, type: "waiting" });
  socket(0).reply({ id: null, type: "error", error: { code: "invalid_request", message: "no" } });
  socket(0).reply({ id, seq: 1, type: "done", stop_reason: "end_turn" });
  await answer;
  expect(types).toEqual(["done"]);
});

test.each(["rate_limited", "generations_unavailable"])(
  "a resume that met %s is sent again when the service says so, and a chat is not",
  async (code) => {
    const { types, answer } = start();
    await vi.advanceTimersByTimeAsync(1);
    const { id } = socket(0).sent[0] as { id: string };
    const refuse = () => socket(0).reply({ id, type: "error", error: { code, message: "", retry_after: 20 } });
    socket(0).reply({ id, seq: 1, type: "start", request_id: "r", model: "m" });
    socket(0).reply({ id, seq: 3, type: "done", stop_reason: "end_turn" });
    refuse();
    await pass(19, pong);
    expect(actions(0).filter((action) => action !== "ping")).toEqual(["chat", "resume"]);
    await pass(1, pong);
    expect(actions(0).filter((action) => action !== "ping")).toEqual(["chat", "resume", "resume"]);
    socket(0).reply({ id, seq: 2, type: "done", stop_reason: "end_turn" });
    await answer;
    expect(types).toEqual(["start", "done"]);
    const second = new WebSocketTransport({ config, credential }, config.websocketUrl as string);
    const failed = second.send(REQUEST, new AbortController().signal).next();
    const caught = failed.catch((error: ServiceError) => [error.code, error.retryAfter]);
    await vi.advanceTimersByTimeAsync(1);
    const chat = socket(1).sent[0] as { id: string };
    socket(1).reply({ id: chat.id, type: "error", error: { code, message: "", retry_after: 20 } });
    expect(await caught).toEqual([code, 20]);
  },
);

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
