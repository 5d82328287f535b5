import { createParser } from "eventsource-parser";
import { connectionLost, fromBody } from "../api/errors";
import type { ChatRequest, ErrorBody, StreamEvent } from "../api/types";
import { type Connection, encode, hex, post, type Transport, type TransportEvent } from "./transport";

/** Milliseconds without a byte after which a connection counts as lost. The service sends a comment every 10 s. */
const SILENCE_MS = 30_000;

/** `POST /chat/stream`: the answer comes as Server-Sent Events. */
export class SseTransport implements Transport {
  constructor(private readonly connection: Connection) {}

  async *send(request: ChatRequest, signal: AbortSignal): AsyncGenerator<TransportEvent> {
    const { config, credential } = this.connection;
    const headers: Record<string, string> = { accept: "text/event-stream" };
    if (config.streamBodyHash) headers["x-amz-content-sha256"] = await sha256(encode(request));
    const response = await post(config.streamUrl, request, credential, signal, headers);
    for await (const event of readEvents(response, signal)) {
      if (event.type === "error") throw fromBody(0, event.error);
      yield event;
      if (event.type === "done") return;
    }
    // A stream that ends with neither `done` nor `error` was cut on its way.
    throw connectionLost();
  }
}

type SentEvent = StreamEvent | { type: "error"; error: ErrorBody };

async function* readEvents(response: Response, signal: AbortSignal): AsyncGenerator<SentEvent> {
  if (!response.body) throw connectionLost();
  const read: SentEvent[] = [];
  const parser = createParser({
    onEvent: ({ event, data }) => read.push({ type: event, ...JSON.parse(data) } as SentEvent),
  });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  try {
    while (true) {
      const { done, value } = await withTimeout(reader.read());
      if (done) return;
      parser.feed(value);
      yield* read.splice(0);
    }
  } catch {
    signal.throwIfAborted();
    throw connectionLost();
  } finally {
    reader.cancel().catch(() => {}); // it has failed already, or the rest is not wanted
  }
}

function withTimeout<T>(promise: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout>;
  const silence = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error("silence")), SILENCE_MS);
  });
  return Promise.race([promise, silence]).finally(() => clearTimeout(timer));
}

async function sha256(text: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return hex(new Uint8Array(digest));
}
