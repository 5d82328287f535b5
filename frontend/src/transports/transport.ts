import type { Config } from "../api/config";
import { authorizationHeaders, type Credential } from "../api/credential";
import { fromResponse, unreachable } from "../api/errors";
import type { ChatRequest, StreamEvent } from "../api/types";

export const TRANSPORTS = ["rest", "sse", "websocket"] as const;
export type TransportId = (typeof TRANSPORTS)[number];

export const NAMES: Record<TransportId, string> = { rest: "REST", sse: "SSE", websocket: "WebSocket" };
export const DESCRIPTIONS: Record<TransportId, string> = {
  rest: "The whole answer in one response",
  sse: "A stream of events over HTTP",
  websocket: "Messages over one open connection",
};

/** A stream's event, or the news that a lost connection is being replaced. */
export type TransportEvent = StreamEvent | { type: "reconnecting" };

/**
 * One way to ask the service. `send` yields the events of the answer as they arrive, and ends with `done`. It throws a
 * `ServiceError` for every failure. When `signal` aborts, it ends without another event.
 */
export interface Transport {
  send(request: ChatRequest, signal: AbortSignal): AsyncIterable<TransportEvent>;
}

/** `POST` a request; returns the response where its status is 2xx. */
export async function post(
  url: string,
  request: ChatRequest,
  credential: Credential,
  signal: AbortSignal,
  headers: Record<string, string> = {},
): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(url, {
      method: "POST",
      headers: { "content-type": "application/json", ...authorizationHeaders(credential), ...headers },
      body: encode(request),
      cache: "no-store",
      signal,
    });
  } catch {
    signal.throwIfAborted();
    throw unreachable();
  }
  if (!response.ok) throw await fromResponse(response);
  return response;
}

/** The JSON of what is sent. A half of an emoji, which no UTF-8 can carry, becomes U+FFFD. */
export function encode(value: object): string {
  return JSON.stringify(value, (_, part) => (typeof part === "string" ? part.toWellFormed() : part));
}

export function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** What every transport is made from. */
export interface Connection {
  config: Config;
  credential: Credential;
}
