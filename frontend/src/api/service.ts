// What the service says of itself: how it knows its callers, its models, and the bounds of a request.
import type { Config } from "./config";
import { type Authorization, authorizationHeaders, type Credential } from "./credential";
import { fromResponse, ServiceError, unreachable } from "./errors";
import type { Model, ModelList } from "./types";

export interface Bounds {
  minimum: number;
  maximum: number;
  default: number;
}

export interface Service {
  authorization: Authorization;
  systemPrompt: string;
  bounds: Record<"max_tokens" | "temperature" | "top_p", Bounds>;
  /** Whether a stream can be stopped, by `DELETE`. */
  stops: boolean;
}

interface OpenApi {
  paths: Record<string, unknown>;
  components: {
    schemas: { ChatRequest: { properties: Record<string, { minimum?: number; maximum?: number; default?: unknown }> } };
    securitySchemes?: Record<string, unknown>;
  };
}

export async function loadService(config: Config): Promise<Service> {
  const document: OpenApi = await getJson(`${config.restUrl}/openapi.json`);
  return readService(document);
}

export function readService(document: OpenApi): Service {
  const schemes = document.components.securitySchemes ?? {};
  const properties = document.components.schemas.ChatRequest.properties;
  const bounds = (name: string): Bounds => {
    const { minimum = 0, maximum = Number.MAX_SAFE_INTEGER, default: usual } = properties[name] ?? {};
    return { minimum, maximum, default: Number(usual) };
  };
  return {
    authorization: "api_key" in schemes ? "api_key" : "sigv4" in schemes ? "iam" : "bearer" in schemes ? "jwt" : "none",
    systemPrompt: String(properties.system_prompt?.default ?? ""),
    bounds: { max_tokens: bounds("max_tokens"), temperature: bounds("temperature"), top_p: bounds("top_p") },
    stops: "/chat/{request_id}" in document.paths,
  };
}

/** The models that the caller may use. Throws `ServiceError`, of status 401 where the key is missing or wrong. */
export async function loadModels(config: Config, credential: Credential, signal?: AbortSignal): Promise<Model[]> {
  const list: ModelList = await getJson(`${config.restUrl}/v1/models`, authorizationHeaders(credential), signal);
  return list.data.filter((model) => model.kind === "chat");
}

async function getJson<T>(url: string, headers: Record<string, string> = {}, signal?: AbortSignal): Promise<T> {
  let response: Response;
  try {
    response = await fetch(url, { headers, cache: "no-store", ...(signal ? { signal } : {}) });
  } catch {
    throw unreachable();
  }
  if (!response.ok) throw await fromResponse(response);
  try {
    return await response.json();
  } catch {
    throw new ServiceError(response.status, "", `${url} did not answer with JSON`);
  }
}
