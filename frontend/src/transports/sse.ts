import { createParser } from "eventsource-parser";
import { authorizationHeaders } from "../api/credential";
import { connectionLost, fromBody } from "../api/errors";
import type { ChatRequest, ErrorBody, StreamEvent } from "../api/types";
import { type Connection, encode, hex, post, type Transport, type TransportEvent } from "./transport";

/** Milliseconds without a byte after which a connection counts as lost. The service sends a comment every 10 s. */
const SILENCE_MS = 30_000;

/**
 * `POST /chat/stream`: the answer comes as Server-Sent Events. `stops`: the service takes `DELETE`, which ends the model's
 * answer; it does not learn that a connection was closed.
 */
export class SseTransport implements Transport {
  constructor(
    private readonly connection: Connection,
    private readonly stops = false,
  ) {}

  async *send(request: ChatRequest, signal: AbortSignal): AsyncGenerator<TransportEvent> {
    const { config, credential } = this.connection;
    const headers: Record<string, string> = { accept: "text/event-stream" };
    if (config.streamBodyHash) headers["x-amz-content-sha256"] = await sha256(encode(request));
    const response = await post(config.streamUrl, request, credential, signal, headers);
    const stop = () => this.stop(response.headers.get("x-request-id"));
    signal.addEventListener("abort", stop);
    try {
      for await (const event of readEvents(response, signal)) {
        if (event.type === "error") throw fromBody(0, event.error);
        yield event;
        if (event.type === "done") return;
      }
    } finally {
      signal.removeEventListener("abort", stop);
    }
    // A stream that ends with neither `done` nor `error` was cut on its way.
    throw connectionLost();
  }

  private stop(requestId: string | null): void {
    if (!this.stops || !requestId) return;
    const { config, credential } = this.connection;
    const url = `${config.restUrl}/chat/${requestId}`;
    // The user has the answer as far as it came; nobody waits for this.
    fetch(url, { method: "DELETE", headers: authorizationHeaders(credential), keepalive: true }).catch(() => {});
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
