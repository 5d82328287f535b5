// Runs: one prompt over the chosen transports at once, repeated one after the other. React reads it as an external store.
import { ServiceError } from "../api/errors";
import type { ChatRequest, Citation } from "../api/types";
import { NAMES, type Transport, type TransportEvent, type TransportId } from "../transports/transport";
import { estimateTokens, type Figures, figures, format, type Timeline } from "./figures";

export type Phase = "waiting" | "limited" | "answering" | "reconnecting" | "done" | "stopped" | "failed";

/** One answer over one transport, as far as it has come. */
export interface Attempt {
  phase: Phase;
  timeline: Timeline;
  text: string;
  reasoning: string;
  model: string;
  target: string;
  requestId: string;
  stopReason: string;
  citations: Citation[];
  /** Whether the answer was written without the documents, because they could not be searched. */
  uninformed: boolean;
  error: ServiceError | null;
}

/** What is kept of a run: the figures of each answer that was complete. */
export interface RunRecord {
  number: number;
  figures: Partial<Record<TransportId, Figures>>;
}

/** The runs of one request. Only these are compared: another prompt, model or parameter makes another answer. */
export interface RunGroup {
  id: number;
  request: ChatRequest;
  records: RunRecord[];
}

export interface Snapshot {
  attempts: Partial<Record<TransportId, Attempt>>;
  /** The group of the last run comes first. */
  groups: RunGroup[];
  /** The run of a series that is going on, from 1; 0 while nothing runs. */
  current: number;
  of: number;
  /** What a screen reader is told. It changes only when something ends. */
  announcement: string;
}

const MOST_RECORDS = 100;
const MOST_GROUPS = 20;
/** Milliseconds between two changes that React sees, so that drawing does not disturb what is measured. */
const UPDATE_MS = 50;
/** Within a series, the pauses before a request that the key's rate limit refused is sent again: the first, and the longest. */
const LIMIT_PAUSES_MS: readonly [number, number] = [2_000, 16_000];

export class Comparison {
  private attempts: Partial<Record<TransportId, Attempt>> = {};
  private groups: RunGroup[] = [];
  private current = 0;
  private of = 0;
  private made = 0; // groups
  private announcement = "";
  private readonly aborts = new Map<TransportId, AbortController>();
  private stopping = false;
  private readonly listeners = new Set<() => void>();
  private scheduled: ReturnType<typeof setTimeout> | null = null;
  private snapshot: Snapshot = this.take();

  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  readonly read = (): Snapshot => this.snapshot;

  /**
   * Run a request `times` times over the transports. It ends early when one of them fails or `stop` is called. In a series, what
   * the key's rate limit refuses is sent again later.
   *
   * Returns the text of the last answer that was complete; null where there is none.
   */
  async run(transports: Map<TransportId, Transport>, request: ChatRequest, times: number): Promise<string | null> {
    if (this.current > 0) return null;
    this.of = times;
    this.stopping = false;
    for (this.current = 1; ; this.current++) {
      this.attempts = {};
      this.announcement = this.current === 1 ? "Running." : this.announcement;
      await Promise.all([...transports].map(([id, transport]) => this.attempt(id, transport, request)));
      this.keep(request);
      const failed = Object.values(this.attempts).some(({ phase }) => phase === "failed");
      if (this.stopping || failed || this.current >= times) break;
    }
    this.announcement = this.summary();
    this.current = 0;
    this.publish();
    return Object.values(this.attempts).find(({ phase }) => phase === "done")?.text ?? null;
  }

  /** Stop one answer, or all of them and the series. */
  stop(id?: TransportId): void {
    if (id) {
      this.aborts.get(id)?.abort();
      return;
    }
    this.stopping = true;
    for (const abort of this.aborts.values()) abort.abort();
  }

  /** Forget the runs. */
  clear(): void {
    this.groups = [];
    this.announcement = "The runs are cleared.";
    this.publish();
  }

  private async attempt(id: TransportId, transport: Transport, request: ChatRequest): Promise<void> {
    const abort = new AbortController();
    this.aborts.set(id, abort);
    for (let pause = LIMIT_PAUSES_MS[0]; ; pause = Math.min(pause * 2, LIMIT_PAUSES_MS[1])) {
      const attempt = newAttempt();
      this.attempts[id] = attempt;
      this.publish();
      await this.send(attempt, transport, request, abort.signal);
      if (this.of === 1 || attempt.error?.code !== "rate_limit_exceeded") break;
      attempt.phase = "limited";
      attempt.error = null;
      this.publish();
      await sleep(pause, abort.signal);
      if (abort.signal.aborted) {
        attempt.phase = "stopped";
        break;
      }
    }
    this.aborts.delete(id);
    this.publish();
  }

  private async send(attempt: Attempt, transport: Transport, request: ChatRequest, signal: AbortSignal): Promise<void> {
    try {
      for await (const event of transport.send(request, signal)) {
        apply(attempt, event, performance.now());
        this.schedule();
      }
      attempt.phase = signal.aborted ? "stopped" : "done";
    } catch (error) {
      attempt.phase = signal.aborted ? "stopped" : "failed";
      attempt.error = signal.aborted ? null : asServiceError(error);
    }
    attempt.timeline.endedAt ??= performance.now();
  }

  private keep(request: ChatRequest): void {
    const complete = Object.entries(this.attempts).filter(([, { phase }]) => phase === "done");
    if (complete.length === 0) return;
    const same = JSON.stringify(request);
    const group = this.groups.find((each) => JSON.stringify(each.request) === same) ?? {
      id: ++this.made,
      request,
      records: [],
    };
    const record: RunRecord = {
      number: (group.records.at(-1)?.number ?? 0) + 1,
      figures: Object.fromEntries(complete.map(([id, { timeline }]) => [id, figures(timeline, 0)])),
    };
    const grown = { ...group, records: [...group.records, record].slice(-MOST_RECORDS) };
    this.groups = [grown, ...this.groups.filter((each) => each !== group)].slice(0, MOST_GROUPS);
  }

  private summary(): string {
    const ends = (Object.entries(this.attempts) as [TransportId, Attempt][]).map(([id, attempt]) => {
      const { firstChunk, total } = figures(attempt.timeline, 0);
      if (attempt.phase !== "done") return `${NAMES[id]} ${attempt.phase}`;
      const times = `first chunk ${format(firstChunk, "firstChunk")}, total ${format(total, "total")} milliseconds`;
      const count = attempt.citations.length;
      const sources = count === 0 ? "" : `, ${count} ${count === 1 ? "source" : "sources"}`;
      return `${NAMES[id]}: ${times}${sources}`;
    });
    return `${this.of > 1 ? `Run ${this.current} of ${this.of} ended.` : "Ended."} ${ends.join(". ")}.`;
  }

  private schedule(): void {
    this.scheduled ??= setTimeout(() => this.publish(), UPDATE_MS);
  }

  private publish(): void {
    if (this.scheduled !== null) clearTimeout(this.scheduled);
    this.scheduled = null;
    this.snapshot = this.take();
    for (const listener of this.listeners) listener();
  }

  private take(): Snapshot {
    const attempts = Object.fromEntries(Object.entries(this.attempts).map(([id, attempt]) => [id, { ...attempt }]));
    const { groups, current, of, announcement } = this;
    return { attempts, groups, current, of, announcement };
  }
}

function newAttempt(): Attempt {
  const timeline = { sentAt: performance.now(), arrivals: [], endedAt: null, outputTokens: null, estimatedTokens: 0 };
  const texts = { text: "", reasoning: "", model: "", target: "", requestId: "", stopReason: "" };
  return { phase: "waiting", timeline, ...texts, citations: [], uninformed: false, error: null };
}

function apply(attempt: Attempt, event: TransportEvent, now: number): void {
  const { timeline } = attempt;
  if (event.type !== "reconnecting" && attempt.phase !== "waiting") attempt.phase = "answering";
  switch (event.type) {
    case "start":
      attempt.requestId = event.request_id;
      attempt.model = event.model;
      attempt.target = event.target ?? "";
      attempt.citations = event.citations ?? [];
      attempt.uninformed = event.retrieval === "unavailable";
      break;
    case "delta":
    case "reasoning":
      attempt.phase = "answering";
      timeline.arrivals.push(now);
      timeline.estimatedTokens += estimateTokens(event.text);
      attempt[event.type === "delta" ? "text" : "reasoning"] += event.text;
      break;
    case "usage":
      timeline.outputTokens = event.output_tokens;
      break;
    case "reconnecting":
      attempt.phase = "reconnecting";
      break;
    case "done":
      attempt.stopReason = event.stop_reason;
      timeline.endedAt = now;
      break;
  }
}

function asServiceError(error: unknown): ServiceError {
  if (error instanceof ServiceError) return error;
  return new ServiceError(0, "", `this page failed: ${error instanceof Error ? error.message : String(error)}`);
}

function sleep(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
