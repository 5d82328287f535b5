import { connectionLost } from "../api/errors";
import type { ChatAnswer, ChatRequest } from "../api/types";
import { type Connection, post, type Transport, type TransportEvent } from "./transport";

/** `POST /chat`: the whole answer comes at once. */
export class RestTransport implements Transport {
  constructor(private readonly connection: Connection) {}

  async *send(request: ChatRequest, signal: AbortSignal): AsyncGenerator<TransportEvent> {
    const { config, credential } = this.connection;
    const response = await post(`${config.restUrl}/chat`, request, credential, signal);
    let answer: ChatAnswer;
    try {
      answer = await response.json();
    } catch {
      signal.throwIfAborted();
      throw connectionLost();
    }
    const target = response.headers.get("x-llm-target");
    const { request_id, model, citations, retrieval } = answer;
    const informed = { ...(citations ? { citations } : {}), ...(retrieval ? { retrieval } : {}) };
    yield { type: "start", request_id, model, ...(target ? { target } : {}), ...informed };
    if (answer.reasoning) yield { type: "reasoning", text: answer.reasoning };
    if (answer.message) yield { type: "delta", text: answer.message };
    yield { type: "usage", input_tokens: answer.input_tokens, output_tokens: answer.output_tokens };
    yield { type: "done", stop_reason: answer.stop_reason };
  }
}
