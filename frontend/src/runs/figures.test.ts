import { describe, expect, test } from "vitest";
import { estimateTokens, figures, format, quantile } from "./figures";

const timeline = { sentAt: 1000, arrivals: [1300, 1320, 1340, 1400], endedAt: 1500, outputTokens: 20, estimatedTokens: 4 };

describe("the figures of an answer", () => {
  test("of a stream", () => {
    const { firstChunk, total, rate, jitter } = figures(timeline, 0);
    expect([firstChunk, total, rate]).toEqual([300, 500, 40]);
    expect(jitter).toBeCloseTo(18.856, 3); // the standard deviation of 20, 20 and 60
  });

  test("while it comes, the time goes on and tokens are estimated", () => {
    const { total, rate } = figures({ ...timeline, endedAt: null, outputTokens: null }, 2000);
    expect([total, rate]).toEqual([1000, 4]);
  });

  test("of an answer in one piece there is no jitter, of none no first chunk", () => {
    expect(figures({ ...timeline, arrivals: [1500] }, 0)).toMatchObject({ firstChunk: 500, jitter: null });
    expect(figures({ ...timeline, arrivals: [], outputTokens: null, estimatedTokens: 0 }, 0)).toMatchObject({
      firstChunk: null,
      rate: null,
    });
  });
});

test("quantiles are interpolated", () => {
  const values = [40, 10, 30, 20];
  expect([0, 0.5, 0.95, 1].map((q) => quantile(values, q))).toEqual([10, 25, 38.5, 40]);
  expect(quantile([7], 0.95)).toBe(7);
  expect(quantile([], 0.5)).toBeNull();
});

test("tokens are words and signs", () => {
  expect(estimateTokens("Hello, wörld! 42")).toBe(5);
  expect(estimateTokens("  ")).toBe(0);
});

test("figures are written with what their size deserves", () => {
  expect(format(1234.5, "total")).toBe("1,235");
  expect(format(30.26, "rate")).toBe("30.3");
  expect(format(7.04, "jitter")).toBe("7.0");
  expect(format(null, "jitter")).toBe("–");
});
