import { describe, expect, test, vi } from "vitest";
import { ServiceError } from "../api/errors";
import { NAMES, type Transport, type TransportEvent, type TransportId } from "../transports/transport";
import { Comparison } from "./comparison";

const ANSWER: TransportEvent[] = [
  { type: "start", request_id: "r", model: "m" },
  { type: "reasoning", text: "Hm." },
  { type: "delta", text: "Hello " },
  { type: "delta", text: "you" },
  { type: "usage", input_tokens: 1, output_tokens: 3 },
  { type: "done", stop_reason: "end_turn" },
];
const REQUEST = { message: "Hello" };

/** A transport that yields events, then throws an error or waits until it is stopped. */
function transport(events: TransportEvent[], then?: ServiceError | "wait"): Transport {
  return {
    async *send(_request, signal) {
      yield* events;
      signal.throwIfAborted();
      if (then === "wait") await new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
      if (then instanceof ServiceError) throw then;
    },
  };
}

const over = (transports: Partial<Record<TransportId, Transport>>) =>
  new Map(Object.entries(transports) as [TransportId, Transport][]);

describe("a series", () => {
  test("keeps the figures of each complete answer", async () => {
    const comparison = new Comparison();
    const text = await comparison.run(over({ rest: transport(ANSWER), sse: transport(ANSWER) }), REQUEST, 3);
    const { attempts, groups, current, announcement } = comparison.read();
    expect(groups.map(({ request }) => request)).toEqual([REQUEST]);
    expect(text).toBe("Hello you");
    expect(attempts.sse).toMatchObject({ phase: "done", text: "Hello you", reasoning: "Hm.", requestId: "r", model: "m" });
    expect(groups[0]?.records.map(({ number, figures }) => [number, Object.keys(figures)])).toEqual([
      [1, ["rest", "sse"]],
      [2, ["rest", "sse"]],
      [3, ["rest", "sse"]],
    ]);
    expect(current).toBe(0);
    expect(announcement).toMatch(new RegExp(`^Run 3 of 3 ended. ${NAMES.rest}: first chunk`));
  });

  test("keeps the sources of an answer, and says how many there are", async () => {
    const citation = (index: number) => ({ index, source: `s3://b/${index}.md`, title: `${index}.md`, excerpt: "" });
    const informed = (...citations: object[]) => [{ ...ANSWER[0], citations } as TransportEvent, ...ANSWER.slice(1)];
    const comparison = new Comparison();
    const transports = { rest: transport(informed(citation(1))), sse: transport(informed(citation(1), citation(2))) };
    await comparison.run(over(transports), REQUEST, 1);
    const { attempts, announcement } = comparison.read();
    expect(attempts.sse).toMatchObject({ citations: [citation(1), citation(2)], uninformed: false });
    expect(announcement).toMatch(/REST: .* milliseconds, 1 source\. SSE: .* milliseconds, 2 sources\.$/);
    const without = [{ ...ANSWER[0], retrieval: "unavailable" } as TransportEvent, ...ANSWER.slice(1)];
    await comparison.run(over({ rest: transport(without) }), REQUEST, 1);
    expect(comparison.read().attempts.rest).toMatchObject({ citations: [], uninformed: true });
  });

  test("ends with the first failure, and the other transport's answer counts", async () => {
    const comparison = new Comparison();
    const failure = new ServiceError(429, "upstream_throttled", "busy");
    await comparison.run(over({ rest: transport(ANSWER), sse: transport(ANSWER.slice(0, 3), failure) }), REQUEST, 5);
    const { attempts, groups, announcement } = comparison.read();
    expect(attempts.sse).toMatchObject({ phase: "failed", text: "Hello ", error: failure });
    expect(groups[0]?.records.map(({ figures }) => Object.keys(figures))).toEqual([["rest"]]);
    expect(announcement).toContain("SSE failed");
  });

  test("sends again what the key's rate limit refuses", async () => {
    vi.useFakeTimers();
    const comparison = new Comparison();
    let sent = 0;
    const limited: Transport = {
      send: (request, signal) => {
        const refused = ++sent === 2 || sent === 3 ? new ServiceError(429, "rate_limit_exceeded", "", "", 1) : undefined;
        return transport(refused ? [] : ANSWER, refused).send(request, signal);
      },
    };
    const running = comparison.run(over({ rest: limited }), REQUEST, 2);
    await vi.advanceTimersByTimeAsync(1_900);
    expect(comparison.read().attempts.rest?.phase).toBe("limited");
    await vi.advanceTimersByTimeAsync(5_000);
    await running;
    vi.useRealTimers();
    expect([sent, comparison.read().groups[0]?.records.length]).toEqual([4, 2]);
    expect(comparison.read().attempts.rest?.phase).toBe("done");
  });

  test("ends when it is stopped, and what was stopped does not count", async () => {
    const comparison = new Comparison();
    const running = comparison.run(over({ sse: transport(ANSWER.slice(0, 3), "wait") }), REQUEST, 5);
    comparison.stop();
    expect(await running).toBeNull();
    const { attempts, groups, current } = comparison.read();
    expect([attempts.sse?.phase, attempts.sse?.error, groups, current]).toEqual(["stopped", null, [], 0]);
  });

  test("goes on when one answer is stopped", async () => {
    const comparison = new Comparison();
    const running = comparison.run(over({ rest: transport(ANSWER), sse: transport([], "wait") }), REQUEST, 2);
    for (let stopped = 0; stopped < 2; ) {
      if (comparison.read().attempts.rest?.phase === "done" && comparison.read().current === stopped + 1) {
        comparison.stop("sse");
        stopped++;
      }
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    await running;
    expect(comparison.read().groups[0]?.records.length).toBe(2);
  });
});

test("runs of unlike requests are kept apart", async () => {
  const comparison = new Comparison();
  const requests = [
    { message: "Hello", model: "a" },
    { message: "Hello", model: "b" },
    { message: "Hello", model: "a", temperature: 0.5 },
    { message: "Hello", model: "a" },
  ];
  for (const request of requests) await comparison.run(over({ rest: transport(ANSWER) }), request, 2);
  const runs = comparison.read().groups.map(({ request, records }) => [request, records.map(({ number }) => number)]);
  expect(runs).toEqual([
    [requests[0], [1, 2, 3, 4]],
    [requests[2], [1, 2]],
    [requests[1], [1, 2]],
  ]);
  comparison.clear();
  expect(comparison.read().groups).toEqual([]);
});
