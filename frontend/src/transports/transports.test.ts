// REST and SSE over a scripted fetch. The WebSocket is tested in the browser.
import { afterEach, describe, expect, test, vi } from "vitest";
import { readConfig } from "../api/config";
import { ServiceError } from "../api/errors";
import { RestTransport } from "./rest";
import { SseTransport } from "./sse";
import type { Transport, TransportEvent } from "./transport";

const config = readConfig('{"rest_url": "/api"}', "https://chat.example/page/");
const connection = { config, credential: { authorization: "api_key" as const, secret: "s3cret" } };
const REQUEST = { message: "Hello", max_tokens: 5 };

afterEach(() => vi.unstubAllGlobals());

function answerWith(answer: () => Response | Promise<Response>) {
  const fetched = vi.fn(async (_url: string, _init: RequestInit) => answer());
  vi.stubGlobal("fetch", fetched);
  return fetched;
}

/** A response whose body is cut into pieces; with `broken`, the connection is lost after them. */
function stream(pieces: string[], broken = false): Response {
  const body = new ReadableStream<Uint8Array>({
    pull(controller) {
      const piece = pieces.shift();
      if (piece !== undefined) controller.enqueue(new TextEncoder().encode(piece));
      else if (broken) controller.error(new TypeError("network error"));
      else controller.close();
    },
  });
  return new Response(body, { headers: { "content-type": "text/event-stream" } });
}

async function collect(transport: Transport, signal = new AbortController().signal) {
  const events: TransportEvent[] = [];
  let failure: unknown = null;
  try {
    for await (const event of transport.send(REQUEST, signal)) events.push(event);
  } catch (error) {
    failure = error;
  }
  return { events, failure: failure as ServiceError };
}

const event = (type: string, data: object, id = 1) => `id: ${id}\nevent: ${type}\ndata: ${JSON.stringify(data)}\n\n`;
const START = event("start", { type: "start", request_id: "r", model: "m" });
const DONE = event("done", { type: "done", stop_reason: "end_turn" });
const LIMITED = { type: "rate_limit_error", code: "rate_limit_exceeded", message: "too many", request_id: "r" };

describe("SSE", () => {
  test("reads events however the network cuts them", async () => {
    const text = `retry: 3000\n\n${START}: keep-alive\n\n${event("delta", { type: "delta", text: "héllo" })}${DONE}`;
    answerWith(() => stream([...text].map(String)));
    const { events, failure } = await collect(new SseTransport(connection));
    expect(failure).toBeNull();
    expect(events.map(({ type }) => type)).toEqual(["start", "delta", "done"]);
    expect(events[1]).toEqual({ type: "delta", text: "héllo" });
  });

  test("sends the key in a header, and the body's hash where it is asked for", async () => {
    const fetched = answerWith(() => stream([START, DONE]));
    await collect(new SseTransport({ ...connection, config: { ...config, streamBodyHash: true } }));
    const [url, init] = fetched.mock.calls[0] as [string, RequestInit];
    expect(url).toBe("https://chat.example/api/chat/stream");
    expect(init.body).toBe(JSON.stringify(REQUEST));
    expect(init.headers).toMatchObject({
      "x-api-key": "s3cret",
      "x-amz-content-sha256": "872eba9edffec723c8961eb4187ba39f2c594d3e9c858e0064e0f407597294e3",
    });
  });

  test.each([
    ["tells a service that takes it", true],
    ["tells nothing to one that does not", false],
  ])("that is stopped %s", async (_name, stops) => {
    const abort = new AbortController();
    const stopped = stream([START], true);
    stopped.headers.set("x-request-id", "request-7");
    const fetched = answerWith(() => stopped);
    const answer = new SseTransport(connection, stops).send(REQUEST, abort.signal);
    await answer.next();
    abort.abort();
    await expect(answer.next()).rejects.toThrow();
    const deleted = fetched.mock.calls.slice(1).map(([url, init]) => [url, init.method, init.headers]);
    expect(deleted).toEqual(stops ? [["https://chat.example/api/chat/request-7", "DELETE", { "x-api-key": "s3cret" }]] : []);
  });

  test.each([
    ["an error event", () => stream([START, event("error", { error: LIMITED })]), "rate_limit_exceeded"],
    ["an end without done", () => stream([START]), "connection_lost"],
    ["a connection that breaks off", () => stream([START], true), "connection_lost"],
    [
      "a status",
      () => Response.json({ error: LIMITED }, { status: 429, headers: { "retry-after": "7" } }),
      "rate_limit_exceeded",
    ],
    ["no connection", () => Promise.reject(new TypeError("failed")), "unreachable"],
  ])("fails for %s", async (_name, answer, code) => {
    answerWith(answer as () => Response);
    const { failure } = await collect(new SseTransport(connection));
    expect(failure).toBeInstanceOf(ServiceError);
    expect(failure.code).toBe(code);
  });
});

describe("REST", () => {
  test("gives what the answer was given with its beginning, as a stream does", async () => {
    const informed = {
      citations: [{ index: 1, source: "s3://b/a.md", title: "a.md", excerpt: "A." }],
      retrieval: "unavailable",
    };
    const usage = { input_tokens: 2, output_tokens: 3 };
    answerWith(() =>
      Response.json({ message: "Hi", model: "m", usage, ...usage, stop_reason: "x", request_id: "r", ...informed }),
    );
    const { events } = await collect(new RestTransport(connection));
    expect(events[0]).toEqual({ type: "start", request_id: "r", model: "m", ...informed });
  });

  test("gives the whole answer as events", async () => {
    const usage = { input_tokens: 2, output_tokens: 3 };
    const body = { message: "Hi", reasoning: "Hm", model: "m", usage, ...usage, stop_reason: "end_turn", request_id: "r" };
    answerWith(() => Response.json(body, { headers: { "x-llm-target": "bedrock/m" } }));
    const { events } = await collect(new RestTransport(connection));
    expect(events).toEqual([
      { type: "start", request_id: "r", model: "m", target: "bedrock/m" },
      { type: "reasoning", text: "Hm" },
      { type: "delta", text: "Hi" },
      { type: "usage", ...usage },
      { type: "done", stop_reason: "end_turn" },
    ]);
  });

  test("keeps the time to wait, and reads what a firewall answers", async () => {
    answerWith(() => Response.json({ error: LIMITED }, { status: 429, headers: { "retry-after": "7" } }));
    const { failure } = await collect(new RestTransport(connection));
    expect([failure.status, failure.retryAfter, failure.requestId]).toEqual([429, 7, "r"]);
    answerWith(() => new Response("<html>Forbidden</html>", { status: 403 }));
    expect((await collect(new RestTransport(connection))).failure).toMatchObject({ status: 403, code: "", retryAfter: null });
  });

  test("ends when it is stopped", async () => {
    const abort = new AbortController();
    answerWith(async () => {
      abort.abort();
      throw new DOMException("aborted", "AbortError");
    });
    const { failure } = await collect(new RestTransport(connection), abort.signal);
    expect(failure.name).toBe("AbortError");
  });
});
