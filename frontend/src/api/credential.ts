// How the caller is known to the service. A key is sent in a header or as a WebSocket's subprotocol, never in a URL.

export type Authorization = "none" | "api_key" | "jwt" | "iam";

export interface Credential {
  authorization: Authorization;
  /** The API key or the token; empty where there is none. */
  secret: string;
}

export function authorizationHeaders({ authorization, secret }: Credential): Record<string, string> {
  if (!secret || authorization === "none" || authorization === "iam") return {};
  // CloudFront replaces `authorization` before a function URL, so a key has its own header.
  return authorization === "jwt" ? { authorization: `Bearer ${secret}` } : { "x-api-key": secret };
}

const STORED = "pulumi-llm.key";

/** The key that was entered in this tab, or remembered on this device. */
export function storedKey(): { secret: string; remembered: boolean } | null {
  const remembered = localStorage.getItem(STORED);
  if (remembered !== null) return { secret: remembered, remembered: true };
  const kept = sessionStorage.getItem(STORED);
  return kept === null ? null : { secret: kept, remembered: false };
}

export function storeKey(secret: string, remember: boolean): void {
  forgetKey();
  (remember ? localStorage : sessionStorage).setItem(STORED, secret);
}

export function forgetKey(): void {
  localStorage.removeItem(STORED);
  sessionStorage.removeItem(STORED);
}
