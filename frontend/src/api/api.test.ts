import { describe, expect, test, vi } from "vitest";
import { readConfig } from "./config";
import { authorizationHeaders } from "./credential";
import { explain, fromResponse, ServiceError } from "./errors";
import { readService } from "./service";

describe("the runtime configuration", () => {
  test("has addresses relative to the page", () => {
    const config = readConfig('{"rest_url": "/api/", "websocket_url": "/ws"}', "https://chat.example/");
    expect(config).toMatchObject({
      restUrl: "https://chat.example/api",
      streamUrl: "https://chat.example/api/chat/stream",
      websocketUrl: "wss://chat.example/ws",
      streamBodyHash: false,
      apiKey: "",
    });
    expect(readConfig('{"rest_url": "https://api.example/v"}', "http://x/").websocketUrl).toBeNull();
  });

  test.each([
    ["no JSON", "<html>"],
    ["no address", "{}"],
  ])("with %s is refused", (_name, text) => {
    expect(() => readConfig(text, "http://x/")).toThrow(/config\.json/);
  });
});

test("a key and a token are sent in the header of each", () => {
  expect(authorizationHeaders({ authorization: "api_key", secret: "k" })).toEqual({ "x-api-key": "k" });
  expect(authorizationHeaders({ authorization: "jwt", secret: "t" })).toEqual({ authorization: "Bearer t" });
  expect(authorizationHeaders({ authorization: "none", secret: "k" })).toEqual({});
});

test.each([
  ["none", undefined],
  ["api_key", { bearer: {}, api_key: {} }],
  ["jwt", { bearer: {} }],
  ["iam", { sigv4: {} }],
])("the service's description says how it knows its callers: %s", (authorization, securitySchemes) => {
  const schemas = { ChatRequest: { properties: { temperature: { minimum: 0, maximum: 2, default: 0.7 } } } };
  const components = { schemas, ...(securitySchemes ? { securitySchemes } : {}) };
  const service = readService({ components, paths: {} });
  expect(service.authorization).toBe(authorization);
  expect([service.stops, readService({ components, paths: { "/chat/{request_id}": {} } }).stops]).toEqual([false, true]);
  expect(service.bounds.temperature).toEqual({ minimum: 0, maximum: 2, default: 0.7 });
});

describe("every failure is said with what to do", () => {
  test.each([
    [401, "invalid_api_key", "Wrong API key", "key"],
    [403, "access_denied", "Not allowed", "key"],
    [403, "", "Blocked on the way", "retry"],
    [403, "model_not_allowed", "Model not allowed", null],
    [403, "denied_by_rule", "Not allowed", null],
    [503, "service_disabled", "Switched off", "retry"],
    [503, "model_disabled", "Switched off", "retry"],
    [429, "rate_limit_exceeded", "Too many requests", "retry"],
    [429, "quota_exceeded", "Limit reached", "retry"],
    [400, "content_policy_violation", "Blocked by a policy", null],
    [0, "content_policy_violation", "Blocked by a policy", null],
    [502, "function_failed", "The service failed", "retry"],
    [0, "upstream_failed", "The model's provider failed", "retry"],
    [503, "", "The service failed", "retry"],
    [504, "function_timeout", "No answer in time", "retry"],
    [0, "connection_lost", "Connection lost", "retry"],
  ])("%i %s", (status, code, title, action) => {
    const explained = explain(new ServiceError(status, code, "because", "r", 3));
    expect(explained).toMatchObject({ title, action, wait: 3 });
    expect(explained.advice).toMatch(/\.$/);
  });

  test("a block names its policy", () => {
    const message = "the answer was blocked by the policy 'topic:Investments' of this service";
    expect(explain(new ServiceError(0, "content_policy_violation", message)).advice).toBe(`T${message.slice(1)}.`);
  });

  test.each([
    ["in seconds", "90", /may use 5 requests a minute\. It resets at 12:31 UTC\.$/, "retry"],
    ["as a date", "Wed, 02 Dec 2026 00:00:00 GMT", /It resets at December 2 at 00:00 UTC\.$/, null],
    ["never", "", /may use 5 requests a minute\.$/, null],
  ])("a limit says when it resets: %s", async (_name, header, advice, action) => {
    vi.stubEnv("TZ", "UTC");
    vi.useFakeTimers({ now: Date.UTC(2026, 11, 1, 12, 30) });
    const error = { code: "quota_exceeded", message: "this caller may use 5 requests a minute", request_id: "r" };
    const failure = await fromResponse(Response.json({ error }, { status: 429, headers: { "retry-after": header } }));
    vi.advanceTimersByTime(60_000); // the time that is told stays
    const explained = explain(failure);
    vi.useRealTimers();
    vi.unstubAllEnvs();
    expect(explained.advice).toMatch(advice);
    expect(explained.action).toBe(action);
  });
});
