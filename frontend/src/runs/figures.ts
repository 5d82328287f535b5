// What is measured of one answer, and over many.

/** Times in milliseconds of `performance.now()`. */
export interface Timeline {
  sentAt: number;
  /** When each piece of the answer or of the reasoning reached the page. */
  arrivals: number[];
  endedAt: number | null;
  /** The tokens that the provider counted; null until it has told them. */
  outputTokens: number | null;
  /** How many tokens the pieces so far have, by a rough count. */
  estimatedTokens: number;
}

export const FIGURES = ["firstChunk", "total", "rate", "jitter"] as const;
export type Figure = (typeof FIGURES)[number];
/** Null: there is no such figure, or not yet. */
export type Figures = Record<Figure, number | null>;

export interface FigureText {
  name: string;
  unit: string;
  meaning: string;
  /** The quantile at the bad end, which 5 of 100 runs are beyond: p95, or p5 where more is better. */
  tail: Tail;
}

export interface Tail {
  name: string;
  q: number;
}

const P95: Tail = { name: "p95", q: 0.95 };
const P5: Tail = { name: "p5", q: 0.05 };

export const FIGURE_TEXTS: Record<Figure, FigureText> = {
  firstChunk: {
    name: "First chunk",
    unit: "ms",
    meaning:
      "From the moment this page sends the request until the first piece of the answer, or of the reasoning, has arrived. It contains the network, the service, the model's thinking and, in the first run, the opening of the connection.",
    tail: P95,
  },
  total: {
    name: "Total",
    unit: "ms",
    meaning: "From the moment this page sends the request until the answer is complete.",
    tail: P95,
  },
  rate: {
    name: "Tokens per second",
    unit: "tok/s",
    meaning:
      "The answer's tokens, as the model's provider counts them, divided by the total time. While the answer comes, words and signs are counted in their place (≈).",
    tail: P5,
  },
  jitter: {
    name: "Jitter",
    unit: "ms",
    meaning:
      "The standard deviation of the pauses between two pieces as they arrive: 0 is a perfectly even stream. A piece may contain several tokens. An answer in one piece has none.",
    tail: P95,
  },
};

export function figures(timeline: Timeline, now: number): Figures {
  const { sentAt, arrivals, endedAt } = timeline;
  const first = arrivals[0];
  const total = (endedAt ?? now) - sentAt;
  const tokens = timeline.outputTokens ?? timeline.estimatedTokens;
  return {
    firstChunk: first === undefined ? null : first - sentAt,
    total,
    rate: tokens > 0 && total > 0 ? tokens / (total / 1000) : null,
    jitter: jitter(arrivals),
  };
}

function jitter(arrivals: number[]): number | null {
  const pauses = arrivals.slice(1).map((at, index) => at - (arrivals[index] as number));
  if (pauses.length < 2) return null;
  const mean = pauses.reduce((sum, pause) => sum + pause, 0) / pauses.length;
  return Math.sqrt(pauses.reduce((sum, pause) => sum + (pause - mean) ** 2, 0) / pauses.length);
}

/** Words and signs, each counted as a token. */
export function estimateTokens(text: string): number {
  return text.match(/[\p{L}\p{N}_]+|[^\s\p{L}\p{N}_]/gu)?.length ?? 0;
}

/** The quantile `q` (0 to 1) of the values, interpolated between the two nearest; null of none. */
export function quantile(values: number[], q: number): number | null {
  if (values.length === 0) return null;
  const sorted = [...values].sort((a, b) => a - b);
  const place = (sorted.length - 1) * q;
  const low = sorted[Math.floor(place)] as number;
  const high = sorted[Math.ceil(place)] as number;
  return low + (high - low) * (place - Math.floor(place));
}

export function format(value: number | null, figure: Figure): string {
  if (value === null) return "–";
  const digits = figure === "rate" || (figure === "jitter" && value < 100) ? 1 : 0;
  return value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}
