// The API's own types are generated (schema.d.ts); here they get short names.
import type { components } from "./schema";

type Schemas = components["schemas"];

export interface Turn {
  role: "user" | "assistant";
  content: string;
}

// The generator reads the schema of `history` as a list of exactly one turn.
export type ChatRequest = Omit<Schemas["ChatRequest"], "history" | "prompt"> & { message: string; history?: Turn[] };
export type ChatAnswer = Schemas["ChatAnswer"];
export type ErrorBody = Schemas["Error"]["error"];
export type Model = Schemas["ModelList"]["data"][number];
export type ModelList = Schemas["ModelList"];
/** A passage of a document that the model was given; the answer cites it by its `index`. */
export type Citation = NonNullable<ChatAnswer["citations"]>[number];

/** What an answer says of the documents that it was to be given: `unavailable`, it was written without them. */
export type Informed = Pick<ChatAnswer, "citations" | "retrieval">;

// The events of a stream, which OpenAPI cannot describe. SSE and WebSocket send the same ones.
export type StreamEvent =
  | ({ type: "start"; request_id: string; model: string; target?: string } & Informed)
  | { type: "delta"; text: string }
  | { type: "reasoning"; text: string }
  | { type: "usage"; input_tokens: number; output_tokens: number }
  | { type: "done"; stop_reason: string };
