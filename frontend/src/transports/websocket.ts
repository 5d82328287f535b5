import { connectionLost, fromBody, messageTooLarge, overloaded, ServiceError } from "../api/errors";
import { loadModels } from "../api/service";
import type { ChatRequest, ErrorBody, StreamEvent } from "../api/types";
import { Queue } from "./queue";
import { type Connection, encode, hex, type Transport, type TransportEvent } from "./transport";

const PROTOCOL = "llm.chat.v1";
/**
 * API Gateway closes the connection for a frame of more than 32 KB, and a page cannot say how a message is divided into frames.
 * https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-execution-service-websocket-limits-table.html
 */
const FRAME_BYTES = 32 * 1024;
/** Milliseconds of silence after which the service is asked for a sign of life: API Gateway closes at 10 minutes. */
const IDLE_PING_MS = 4 * 60_000;
/** The same while an answer is awaited. A browser may not notice for minutes that the connection is lost. */
const PING_MS = 10_000;
/** Where nothing comes in this time after a ping, the connection is lost. */
const PONG_MS = 15_000;
const CHECK_MS = 5_000;
/**
 * The service sends a message of each generation at least every 10 s. One without any in this time is resumed on another connection;
 * so often in a row, and the answer is lost.
 */
const ANSWER_MS = 30_000;
const MOST_LOSSES = 3;
/**
 * A `chat` may wait a minute for its function before the service says that it is overloaded, and Lambda may drop it without a word.
 * https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html
 */
const FIRST_ANSWER_MS = 90_000;
/** How often a `chat` is sent, each time after its connection was lost: more would only add to the load. */
const MOST_CHATS = 3;
/** A generation whose client is gone stops after this time, so a later resume finds nothing. */
const RESUME_MS = 30_000;
/**
 * The pauses before a connection is opened again: the first, and the longest. They grow while there is none, and while each is lost
 * without a new message.
 */
const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 4_000;
/** How long a connection may take to open, and the service to say why it does not. */
const OPEN_MS = 10_000;

/** `retry_after` is in seconds; over HTTP it is a header. */
type ErrorMessage = { type: "error"; error: ErrorBody & { retry_after?: number } };
type SentMessage =
  | ((StreamEvent | ErrorMessage) & { id: string; seq: number })
  | ((ErrorMessage | { type: "pong" } | { type: "waiting" }) & { id?: string | null; seq?: undefined });

/** What API Gateway answers by itself. It does not say to which message. */
type GatewayMessage = { message: string; connectionId: string; requestId: string; type?: undefined };

interface Generation {
  queue: Queue<TransportEvent>;
  /** The `chat` message. */
  chat: object;
  /** The number of the last message that arrived. */
  seq: number;
  /** How often the `chat` was sent. */
  chats: number;
  /** Whether the `chat` has been sent and nothing has come since. Then it may wait for its function. */
  queued: boolean;
  /** When its last message arrived, or the last `chat` or `resume` was sent. */
  heardAt: number;
  /** Whether a message has come since that `chat` or `resume`. */
  answered: boolean;
  /** How often something was lost or repeated since the generation went on. */
  losses: number;
}

/**
 * The `chat` action of the WebSocket API. One connection serves all answers. When it is lost in the middle of one, it is opened
 * again and the answer is resumed after the last message that arrived.
 */
export class WebSocketTransport implements Transport {
  private socket: WebSocket | null = null;
  private opening: Promise<WebSocket> | null = null;
  private readonly generations = new Map<string, Generation>();
  private checks: ReturnType<typeof setInterval> | undefined;
  private checkedAt = 0;
  private checkedLate = false;
  private heardAt = 0;
  /** Whether a message of a generation came whose predecessor did not. */
  private gap = false;
  /** When the first ping was sent since a message arrived. */
  private pingedAt: number | null = null;

  constructor(
    private readonly connection: Connection,
    private readonly url: string,
  ) {}

  async *send(request: ChatRequest, signal: AbortSignal): AsyncGenerator<TransportEvent> {
    const id = hex(crypto.getRandomValues(new Uint8Array(16))); // randomUUID exists on secure pages only
    const chat = { action: "chat", id, ...request };
    const size = new TextEncoder().encode(encode(chat)).length;
    if (size > FRAME_BYTES) throw messageTooLarge(size, FRAME_BYTES);
    const generation: Generation = {
      queue: new Queue(),
      chat,
      seq: 0,
      chats: 0,
      queued: false,
      heardAt: 0,
      answered: false,
      losses: 0,
    };
    const cancel = () => {
      if (this.socket?.readyState === WebSocket.OPEN) this.write(this.socket, { action: "cancel", id });
      generation.queue.close();
    };
    signal.addEventListener("abort", cancel);
    try {
      const socket = await orAborted(this.openOrExplain(), signal);
      this.generations.set(id, generation);
      this.sendChat(socket, generation);
      yield* generation.queue;
      signal.throwIfAborted();
    } finally {
      signal.removeEventListener("abort", cancel);
      this.generations.delete(id);
    }
  }

  /** Close the connection; every answer on it fails. */
  close(): void {
    for (const { queue } of this.generations.values()) queue.fail(connectionLost());
    this.generations.clear();
    this.socket?.close();
  }

  private sendChat(socket: WebSocket, generation: Generation): void {
    generation.chats++;
    generation.queued = true;
    this.ask(socket, generation, generation.chat);
  }

  private resume(socket: WebSocket, id: string, generation: Generation): void {
    generation.queued = false;
    this.ask(socket, generation, { action: "resume", id, seq: generation.seq });
  }

  private ask(socket: WebSocket, generation: Generation, message: object): void {
    generation.heardAt = performance.now();
    generation.answered = false;
    this.write(socket, message);
  }

  private write(socket: WebSocket, message: object): void {
    socket.send(encode(message));
  }

  private async openOrExplain(): Promise<WebSocket> {
    try {
      return await this.open();
    } catch {
      throw await this.refusal();
    }
  }

  private open(): Promise<WebSocket> {
    if (this.socket?.readyState === WebSocket.OPEN) return Promise.resolve(this.socket);
    this.opening ??= this.connect().finally(() => {
      this.opening = null;
    });
    return this.opening;
  }

  private async connect(): Promise<WebSocket> {
    const { authorization, secret } = this.connection.credential;
    const key = secret && authorization !== "none" ? [`llm.key.${base64Url(secret)}`] : [];
    const socket = new WebSocket(this.url, [PROTOCOL, ...key]);
    const opened = await new Promise<boolean>((resolve) => {
      const timer = setTimeout(() => resolve(false), OPEN_MS);
      const settle = (isOpen: boolean) => {
        clearTimeout(timer);
        resolve(isOpen);
      };
      socket.onopen = () => settle(true);
      socket.onerror = socket.onclose = () => settle(false);
    });
    socket.onopen = socket.onerror = socket.onclose = null;
    if (!opened) {
      socket.close();
      throw connectionLost();
    }
    socket.onmessage = ({ data }) => {
      this.heardAt = performance.now();
      this.pingedAt = null;
      const received: SentMessage | GatewayMessage | SentMessage[] = JSON.parse(data);
      this.gap = false;
      for (const message of Array.isArray(received) ? received : [received]) {
        this.receive(message);
        if (this.gap) break; // what follows comes again
      }
    };
    socket.onclose = () => this.lost();
    this.heardAt = this.checkedAt = performance.now();
    this.pingedAt = null;
    this.checkedLate = false;
    clearInterval(this.checks);
    this.checks = setInterval(() => this.check(socket), CHECK_MS);
    this.socket = socket;
    return socket;
  }

  /** Keep the connection alive, and find out that it is lost where nothing says so. */
  private check(socket: WebSocket): void {
    const now = performance.now();
    // A hidden page is checked once a minute, and a computer that slept reads its messages after the first check. So a late check
    // only asks; the next one judges by that.
    const late = now - this.checkedAt > 2 * CHECK_MS;
    const first = late && !this.checkedLate;
    this.checkedAt = now;
    this.checkedLate = late;
    const unheard = !first && this.pingedAt !== null && now - this.pingedAt >= PONG_MS;
    const silent = late ? [] : [...this.generations].filter(([, { heardAt }]) => now - heardAt > ANSWER_MS);
    const stalled = silent.some(([, { queued }]) => !queued);
    for (const [id, { queue, queued, heardAt }] of silent) {
      if (!queued || now - heardAt <= FIRST_ANSWER_MS) continue;
      this.write(socket, { action: "cancel", id });
      queue.fail(overloaded());
      this.generations.delete(id);
    }
    if (unheard || stalled) {
      socket.onclose = socket.onmessage = null;
      socket.close();
      this.lost();
    } else if (late || now - this.heardAt > (this.generations.size > 0 ? PING_MS : IDLE_PING_MS)) {
      this.pingedAt = first ? now : (this.pingedAt ?? now);
      this.write(socket, { action: "ping" });
    }
  }

  /** Why no connection opens. A browser does not tell a page, so REST is asked whether the key or the network is to blame. */
  private async refusal(): Promise<ServiceError> {
    try {
      await loadModels(this.connection.config, this.connection.credential, AbortSignal.timeout(OPEN_MS));
    } catch (error) {
      if (error instanceof ServiceError) return error;
      throw error;
    }
    return new ServiceError(0, "websocket_refused", "the WebSocket was refused");
  }

  private receive(message: SentMessage | GatewayMessage): void {
    if (message.type === undefined) {
      const [status, code] = message.message === "Too Many Requests" ? [429, "rate_limit_exceeded"] : [500, "internal_error"];
      this.refused(new ServiceError(status, code, message.message, message.requestId));
      return;
    }
    if (message.type === "pong") return;
    const { id } = message;
    if (id == null) {
      if (message.type === "error") this.refused(fromMessage(message));
      return;
    }
    const generation = this.generations.get(id);
    if (!generation) return;
    const asked = !generation.answered;
    const queued = generation.queued;
    generation.heardAt = performance.now();
    generation.answered = true;
    generation.queued = false;
    if (message.seq !== undefined) {
      const { seq } = message;
      if (seq <= generation.seq) return; // it has come before the connection was lost
      if (seq > generation.seq + 1) {
        this.gap = true;
        if (this.socket) this.resume(this.socket, id, generation);
        return;
      }
      generation.seq = seq;
      generation.losses = 0;
    } else if (message.type !== "error") {
      // `waiting`, or what a later version sends. The first one may only say that a `resume` has come.
      if (!asked) generation.losses = 0;
      return;
    } else if (this.again(id, generation, message, queued)) return;
    if (message.type === "error") {
      // Without authorization an answer cannot be resumed on another connection.
      const code: string = message.error.code;
      generation.queue.fail(code === "unknown_generation" && generation.seq > 0 ? connectionLost() : fromMessage(message));
      return;
    }
    generation.queue.push(message);
    if (message.type === "done") generation.queue.close();
  }

  /** An error that names no message. What has not been answered has failed: nobody knows which message was refused. */
  private refused(error: ServiceError): void {
    for (const [id, { queue, seq, answered }] of this.generations) {
      if (answered || seq > 0) continue; // a `resume` is repeated after a while
      queue.fail(error);
      if (this.socket) this.write(this.socket, { action: "cancel", id });
    }
  }

  /** Send something else after an error about a message, where the protocol says so. `queued`: that message was the `chat`. */
  private again(id: string, generation: Generation, { error }: ErrorMessage, queued: boolean): boolean {
    const { socket } = this;
    if (!socket) return false;
    const code: string = error.code;
    if (code === "unknown_generation" && generation.seq === 0) {
      if (generation.chats < MOST_CHATS) this.sendChat(socket, generation);
      else generation.queue.fail(overloaded());
      return true;
    }
    if (code === "too_many_resumes") return true; // that one is sent again when nothing has come for a while
    if ((code === "rate_limited" || code === "generations_unavailable") && !queued) {
      const wait = (error.retry_after ?? 60) * 1000;
      generation.heardAt = performance.now() + wait;
      setTimeout(() => {
        if (this.socket === socket && this.generations.get(id) === generation) this.resume(socket, id, generation);
      }, wait);
      return true;
    }
    if (code !== "generation_exists" || ++generation.losses > MOST_LOSSES) return false;
    this.resume(socket, id, generation);
    return true;
  }

  /** Open the connection again where answers wait for it, with growing pauses, as long as they can be resumed. */
  private async lost(): Promise<void> {
    clearInterval(this.checks);
    this.socket = null;
    for (const [id, generation] of this.generations) {
      if (++generation.losses > MOST_LOSSES) {
        generation.queue.fail(connectionLost());
        this.generations.delete(id);
      } else generation.queue.push({ type: "reconnecting" });
    }
    const began = performance.now();
    let explained = false;
    const losses = Math.max(0, ...[...this.generations.values()].map((generation) => generation.losses - 1));
    for (let pause = FIRST_PAUSE_MS * 2 ** losses; this.generations.size > 0; pause = Math.min(pause * 2, LONGEST_PAUSE_MS)) {
      // Somewhere between half of it and all of it: clients that were cut at once do not come back at once.
      await new Promise((resolve) => setTimeout(resolve, pause * (0.5 + Math.random() / 2)));
      try {
        const socket = await this.open();
        for (const [id, generation] of this.generations) this.resume(socket, id, generation);
        return;
      } catch {
        const reason = explained ? connectionLost() : await this.refusal();
        explained = true;
        const refused = reason.status === 401 || reason.status === 403;
        if (refused || performance.now() - began > RESUME_MS) {
          for (const { queue } of this.generations.values()) queue.fail(refused ? reason : connectionLost());
          return;
        }
      }
    }
  }
}

/** What the promise gives, or `signal`'s reason as soon as it aborts. */
function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    if (signal.aborted) abort();
    signal.addEventListener("abort", abort);
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}

function fromMessage({ error }: ErrorMessage): ServiceError {
  return fromBody(0, error, error.retry_after ?? null);
}

function base64Url(text: string): string {
  const bytes = String.fromCharCode(...new TextEncoder().encode(text));
  return btoa(bytes).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
}
