import { connectionLost, fromBody, messageTooLarge, ServiceError } from "../api/errors";
import { loadModels } from "../api/service";
import type { ChatRequest, ErrorBody, StreamEvent } from "../api/types";
import { Queue } from "./queue";
import type { Connection, Transport, TransportEvent } from "./transport";

const PROTOCOL = "llm.chat.v1";
/**
 * API Gateway closes the connection for a frame of more than 32 KB, and a page cannot say how a message is divided into frames.
 * https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-execution-service-websocket-limits-table.html
 */
const FRAME_BYTES = 32 * 1024;
/** Milliseconds of silence after which the service is asked for a sign of life: API Gateway closes at 10 minutes. */
const IDLE_PING_MS = 4 * 60_000;
/** The same while an answer is awaited, and when the connection counts as lost: a browser may not notice for minutes. */
const PING_MS = 10_000;
const SILENCE_MS = 25_000;
const CHECK_MS = 5_000;
/** A `chat` or `resume` that nothing has answered in this time has been lost; so often in a row, and the answer is lost. */
const ANSWER_MS = 30_000;
const MOST_LOSSES = 3;
/** A generation whose client is gone stops after this time, so a later resume finds nothing. */
const RESUME_MS = 30_000;
const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 4_000;

type SentMessage = (StreamEvent | { type: "error"; error: ErrorBody } | { type: "pong" }) & {
  id?: string | null;
  seq?: number;
};

/** What API Gateway answers by itself. It does not say to which message. */
type GatewayMessage = { message: string; connectionId: string; requestId: string; type?: undefined };

interface Generation {
  queue: Queue<TransportEvent>;
  /** The `chat` message. */
  chat: object;
  /** The number of the last message that arrived. */
  seq: number;
  /** When the `chat` or `resume` was sent that nothing has answered yet. */
  askedAt: number | null;
  /** How often something was lost or repeated since a message arrived. */
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
  private heardAt = 0;

  constructor(
    private readonly connection: Connection,
    private readonly url: string,
  ) {}

  async *send(request: ChatRequest, signal: AbortSignal): AsyncGenerator<TransportEvent> {
    const id = crypto.randomUUID();
    const chat = { action: "chat", id, ...request };
    const size = new TextEncoder().encode(JSON.stringify(chat)).length;
    if (size > FRAME_BYTES) throw messageTooLarge(size, FRAME_BYTES);
    const generation: Generation = { queue: new Queue(), chat, seq: 0, askedAt: null, losses: 0 };
    const cancel = () => {
      if (this.socket?.readyState === WebSocket.OPEN) this.write(this.socket, { action: "cancel", id });
      generation.queue.close();
    };
    signal.addEventListener("abort", cancel);
    try {
      const socket = await this.open();
      signal.throwIfAborted();
      this.generations.set(id, generation);
      this.ask(socket, generation, chat);
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

  private ask(socket: WebSocket, generation: Generation, message: object): void {
    generation.askedAt = performance.now();
    this.write(socket, message);
  }

  private write(socket: WebSocket, message: object): void {
    socket.send(JSON.stringify(message));
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
      socket.onopen = () => resolve(true);
      socket.onerror = socket.onclose = () => resolve(false);
    });
    if (!opened) throw await this.refusal();
    socket.onerror = null;
    socket.onmessage = ({ data }) => {
      this.heardAt = performance.now();
      this.receive(JSON.parse(data));
    };
    socket.onclose = () => this.lost();
    this.heardAt = performance.now();
    clearInterval(this.checks);
    this.checks = setInterval(() => this.check(socket), CHECK_MS);
    this.socket = socket;
    return socket;
  }

  /** Keep the connection alive, and find out that it is lost where nothing says so. */
  private check(socket: WebSocket): void {
    const now = performance.now();
    const silence = now - this.heardAt;
    const awaited = this.generations.size > 0;
    const unanswered = [...this.generations.values()].some(({ askedAt }) => askedAt !== null && now - askedAt > ANSWER_MS);
    if (unanswered || (awaited && silence > SILENCE_MS)) {
      socket.onclose = null;
      socket.close();
      this.lost();
    } else if (silence > (awaited ? PING_MS : IDLE_PING_MS)) this.write(socket, { action: "ping" });
  }

  /** Why no connection opens. A browser does not tell a page, so REST is asked whether the key or the network is to blame. */
  private async refusal(): Promise<ServiceError> {
    try {
      await loadModels(this.connection.config, this.connection.credential);
    } catch (error) {
      if (error instanceof ServiceError) return error;
      throw error;
    }
    return new ServiceError(0, "websocket_refused", "the WebSocket was refused");
  }

  private receive(message: SentMessage | GatewayMessage): void {
    if (message.type === undefined) {
      this.refused(message);
      return;
    }
    const generation = this.generations.get(message.id ?? "");
    if (message.type === "pong" || !generation) return;
    generation.askedAt = null;
    const { seq } = message;
    if (seq !== undefined) {
      if (seq <= generation.seq) return; // it has come before the connection was lost
      if (seq > generation.seq + 1) {
        if (this.socket) this.resume(this.socket, message.id as string, generation);
        return;
      }
      generation.seq = seq;
      generation.losses = 0;
    } else if (message.type === "error" && this.again(message.id as string, generation, message.error.code)) return;
    if (message.type === "error") {
      // Without authorization an answer cannot be resumed on another connection.
      const code: string = message.error.code;
      generation.queue.fail(
        code === "unknown_generation" && generation.seq > 0 ? connectionLost() : fromBody(0, message.error),
      );
      return;
    }
    generation.queue.push(message);
    if (message.type === "done") generation.queue.close();
  }

  /** What has not been answered has failed: nobody knows which of the messages was refused. */
  private refused({ message, requestId }: GatewayMessage): void {
    const [status, code] = message === "Too Many Requests" ? [429, "rate_limit_exceeded"] : [500, "internal_error"];
    for (const [id, { queue, seq, askedAt }] of this.generations) {
      if (askedAt === null || seq > 0) continue; // a `resume` is repeated after a while
      queue.fail(new ServiceError(status, code, message, requestId));
      if (this.socket) this.write(this.socket, { action: "cancel", id });
    }
  }

  /** Send something else after an error about a message, where the protocol says so. */
  private again(id: string, generation: Generation, code: string): boolean {
    if (!this.socket || ++generation.losses > MOST_LOSSES) return false;
    if (code === "unknown_generation" && generation.seq === 0) this.ask(this.socket, generation, generation.chat);
    else if (code === "generation_exists") this.resume(this.socket, id, generation);
    else return false;
    return true;
  }

  private resume(socket: WebSocket, id: string, generation: Generation): void {
    this.ask(socket, generation, { action: "resume", id, seq: generation.seq });
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
    for (let pause = FIRST_PAUSE_MS; this.generations.size > 0; pause = Math.min(pause * 2, LONGEST_PAUSE_MS)) {
      await new Promise((resolve) => setTimeout(resolve, pause));
      try {
        const socket = await this.open();
        for (const [id, generation] of this.generations) this.resume(socket, id, generation);
        return;
      } catch (error) {
        const refused = error instanceof ServiceError && error.status >= 400 && error.status < 500;
        if (refused || performance.now() - began > RESUME_MS) {
          for (const { queue } of this.generations.values()) queue.fail(refused ? error : connectionLost());
          return;
        }
      }
    }
  }
}

function base64Url(text: string): string {
  const bytes = String.fromCharCode(...new TextEncoder().encode(text));
  return btoa(bytes).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
}
