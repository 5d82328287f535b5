// The runtime configuration: config.json beside index.html. It is written by the deployment, so one build of the page serves
// every environment. Addresses may be relative to the page.

export interface Config {
  /** The REST API, without a slash at the end. */
  restUrl: string;
  /** Where `POST` answers with Server-Sent Events. */
  streamUrl: string;
  /** The WebSocket API; null where there is none. */
  websocketUrl: string | null;
  /** Whether a stream's request needs the hash of its body, as a Lambda function URL behind CloudFront does. */
  streamBodyHash: boolean;
  /** A key to start with. Only the local run gives one: the file is public. */
  apiKey: string;
  /** A page that says what else runs; empty where there is none. */
  statusUrl: string;
}

export class ConfigError extends Error {}

export async function loadConfig(): Promise<Config> {
  const response = await fetch("/config.json", { cache: "no-store" });
  if (!response.ok) throw new ConfigError(`config.json answered with the status ${response.status}`);
  return readConfig(await response.text(), window.location.href);
}

export function readConfig(text: string, base: string): Config {
  let given: Record<string, unknown>;
  try {
    given = JSON.parse(text);
  } catch {
    throw new ConfigError("config.json is not JSON");
  }
  const rest = given.rest_url;
  if (typeof rest !== "string" || !rest) throw new ConfigError("config.json has no rest_url, the address of the REST API");
  const absolute = (url: string) => new URL(url, base).href;
  const restUrl = absolute(rest).replace(/\/+$/, "");
  return {
    restUrl,
    streamUrl: typeof given.stream_url === "string" ? absolute(given.stream_url) : `${restUrl}/chat/stream`,
    websocketUrl: typeof given.websocket_url === "string" ? absolute(given.websocket_url).replace(/^http/, "ws") : null,
    streamBodyHash: given.stream_body_hash === true,
    apiKey: typeof given.api_key === "string" ? given.api_key : "",
    statusUrl: typeof given.status_url === "string" ? absolute(given.status_url) : "",
  };
}
