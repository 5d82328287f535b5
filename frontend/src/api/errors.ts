// Failures, and what the user can do about each.
import type { ErrorBody } from "./types";

/** A failure that the service reported, or a connection that failed (`status` 0). */
export class ServiceError extends Error {
  private readonly arrivedAt = Date.now();

  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly requestId = "",
    /** Seconds after which another try may succeed. */
    readonly retryAfter: number | null = null,
  ) {
    super(message);
  }

  /** When another try may succeed; null where nobody says. */
  get resetsAt(): Date | null {
    return this.retryAfter === null ? null : new Date(this.arrivedAt + this.retryAfter * 1000);
  }
}

export function unreachable(): ServiceError {
  return new ServiceError(0, "unreachable", "the service cannot be reached");
}

export function connectionLost(): ServiceError {
  return new ServiceError(0, "connection_lost", "the connection was lost before the answer was complete");
}

/** The service has not begun to answer: it is busy, and what it was asked may have been dropped. */
export function overloaded(): ServiceError {
  return new ServiceError(503, "overloaded", "the service has not begun to answer");
}

export function messageTooLarge(bytes: number, most: number): ServiceError {
  const kilobytes = (count: number) => `${Math.ceil(count / 1024)} KB`;
  return new ServiceError(
    413,
    "message_too_large",
    `the request has ${kilobytes(bytes)}, and over a WebSocket it may have ${kilobytes(most)}`,
  );
}

export function fromBody(status: number, body: ErrorBody, retryAfter: number | null = null): ServiceError {
  return new ServiceError(status, body.code, body.message, body.request_id, retryAfter);
}

/** Read a response that is not 2xx. A firewall or a proxy may have answered with something else than the service's JSON. */
export async function fromResponse(response: Response): Promise<ServiceError> {
  const retryAfter = secondsUntil(response.headers.get("retry-after") ?? "");
  try {
    const body: { error: ErrorBody } = await response.json();
    return fromBody(response.status, body.error, retryAfter);
  } catch {
    const requestId = response.headers.get("x-request-id") ?? "";
    return new ServiceError(response.status, "", `the status is ${response.status}`, requestId, retryAfter);
  }
}

/** The seconds that a Retry-After header says, as their number or as a date; null for none. */
function secondsUntil(header: string): number | null {
  const seconds = /^\d+$/.test(header) ? Number(header) : Math.ceil((Date.parse(header) - Date.now()) / 1000);
  return Number.isNaN(seconds) ? null : Math.max(0, seconds);
}

export interface Explanation {
  title: string;
  advice: string;
  /** What the page offers: to enter another key, or to run again (after `wait` seconds). */
  action: "key" | "retry" | null;
  wait: number;
}

/** Say what happened and what to do, in the user's words. */
export function explain(error: ServiceError): Explanation {
  const wait = error.retryAfter ?? 0;
  const said = (title: string, advice: string, action: Explanation["action"] = "retry") => ({ title, advice, action, wait });
  switch (error.code) {
    case "missing_api_key":
      return said("No API key", "This service needs a key. Enter yours.", "key");
    case "model_not_allowed":
      return said("Model not allowed", "This key may not use the model. Choose another one, or ask for access.", null);
    case "denied_by_rule":
      return said("Not allowed", `${error.message}.`, null);
    case "service_disabled":
    case "model_disabled":
      return said("Switched off", sentence(error.message));
    case "quota_exceeded":
      return said(
        "Limit reached",
        `${sentence(error.message)}${resets(error)}`,
        error.retryAfter !== null && error.retryAfter <= LONGEST_WAIT ? "retry" : null,
      );
    case "content_policy_violation":
      return said("Blocked by a policy", sentence(error.message), null);
    case "rate_limit_exceeded":
      return said("Too many requests", "This key sends too many requests a second. Wait a moment.");
    case "rate_limited":
      return said("Too many messages", "This connection sends too many messages a minute. Wait until the next one.");
    case "too_many_generations":
      return said("Too many answers at once", sentence(error.message));
    case "upstream_throttled":
      return said(
        "The model is busy",
        "The model's provider limits this service at the moment. Wait, or choose another model.",
      );
    case "model_not_ready":
      return said("The model is starting", "It is being loaded, which can take a minute.");
    case "limits_unavailable":
    case "guardrail_unavailable":
    case "retrieval_unavailable":
    case "generations_unavailable":
      return said("A part of the service is down", sentence(error.message));
    case "overloaded":
      return said("The service is busy", "It answers as many calls as it may at once. Wait a moment.");
    case "function_failed":
      return said("The service failed", "Its function ended before it answered. A new one starts with the next call.");
    case "context_length_exceeded":
      return said("Too long for the model", "Shorten the message or the history, or lower the answer's length.", null);
    case "content_filter":
      return said(
        "Refused by the provider",
        "The provider's filter does not let this conversation pass. Change the message.",
        null,
      );
    case "upstream_failed":
    case "upstream_unavailable":
    case "upstream_misconfigured":
      return said("The model's provider failed", sentence(error.message));
    case "upstream_timeout":
      return said("No answer in time", "The model took too long. Ask for a shorter answer, or choose another model.");
    case "unreachable":
      return said("No connection", "The service cannot be reached. Check your network; nothing was answered.");
    case "connection_lost":
      return said("Connection lost", "It broke off before the end of the answer; what is shown is incomplete.");
    case "stream_interrupted":
      return said("The answer broke off", "The model stopped in the middle; what is shown is incomplete.");
    case "message_too_large":
      return said(
        "Too large for a WebSocket",
        `${sentence(error.message)} Shorten the message or the history; the other transports take more.`,
        null,
      );
    case "websocket_refused":
      return said(
        "WebSocket refused",
        "The service answers, but a WebSocket cannot be opened. A proxy may block it, or this key has as many connections as it may.",
      );
  }
  switch (error.status) {
    case 400:
      return said("The request is not valid", sentence(error.message), null);
    case 401:
      return said("Wrong API key", "The service does not know this key. Check it and enter it again.", "key");
    case 403:
      return error.code
        ? said("Not allowed", sentence(error.message), "key")
        : said("Blocked on the way", "A firewall refused the request before it reached the service.");
    case 404:
      return said("Not found", sentence(error.message), null);
    case 413:
      return said("Too large", "Shorten the message or the history.", null);
    case 429:
      return said("Too many requests", "Wait a moment.");
    case 502:
      return said("The model's provider failed", sentence(error.message));
    case 504:
      return said("No answer in time", "The model took too long. Ask for a shorter answer, or choose another model.");
  }
  return said("The service failed", sentence(error.message));
}

/** Seconds for which the page offers to wait for a limit. */
const LONGEST_WAIT = 120;

/** Say when a limit is counted anew, in the user's time; nothing of one that is so within a minute, for the button counts that down. */
function resets({ resetsAt, retryAfter }: ServiceError): string {
  if (resetsAt === null || (retryAfter ?? 0) < 60) return "";
  const time = { hour: "2-digit", minute: "2-digit" } as const;
  const isToday = resetsAt.toDateString() === new Date().toDateString();
  const date = isToday ? {} : ({ day: "numeric", month: "long" } as const);
  return ` It resets at ${resetsAt.toLocaleString("en", { ...date, ...time, hourCycle: "h23", timeZoneName: "short" })}.`;
}

function sentence(text: string): string {
  const first = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(first) ? first : `${first}.`;
}
