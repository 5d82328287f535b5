"""Every way in which a provider fails, and what the caller is told: the table of failures.

Each dimension is covered once. A new failure is one row below, or one row of the file named here:

- What a provider sends, and the error that it means: `REFUSALS`, a response other than 200, makes 5 cases, one for each
  provider. `BROKEN_ANSWERS` makes 10, for a complete and a streamed answer are read differently. `UNREACHABLE` makes 2:
  the client of AWS and that of the other providers.
  They run in `llm_gateway/providers/test_failures.py`, over one transport, with one target and without retries.
- Other words of one provider for a failure that is in the table already: `llm_gateway/providers/test_exchange.py` for those
  over HTTP, `llm_gateway/providers/bedrock/test_errors.py` for Bedrock's exceptions; 1 case each.
- A new error code: one entry of `BY_CODE`. It makes 6 cases in `test_failures.py`: the response of each of the four
  transports, the next target and the retries. One row of `FAILURES` in `llm_gateway/test_router_failures.py` adds the
  router's policy: next target, retry, cooldown. Pauses, limits and the error of several targets are tested there as well.
- A code that can come after the first token: one entry of `AFTER_FIRST_TOKEN`, 2 cases.
- A form of the header Retry-After: one row in `test_exchange.py`, 1 case.
- What can happen to a provider's key: `llm_gateway/providers/test_endpoint.py`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from wire.bedrock import Wire
from wire.provider_responses import (
    ANTHROPIC,
    CONVERSE,
    INVOKE,
    OPENAI,
    PROVIDERS,
    TEXT,
    VLLM,
    ProviderResponses,
    anthropic_error,
    bedrock_error,
    openai_error,
)
from wire.replying import Reply


@dataclass(frozen=True)
class ExpectedError:
    """The error that a caller gets, and what the router does after it. Written down here, not read from the code.

    `next_target`: another target is asked. `retried`: the same target may be asked again. `retry_after` is in seconds.
    """

    status: int
    type: str
    code: str
    retry_after: int | None = None
    next_target: bool = True
    retried: bool = True

    def after(self, seconds: int) -> "ExpectedError":
        return replace(self, retry_after=seconds)


THROTTLED = ExpectedError(429, "rate_limit_error", "upstream_throttled", 1)
NOT_READY = ExpectedError(503, "upstream_error", "model_not_ready", 30)
UNAVAILABLE = ExpectedError(503, "upstream_error", "upstream_unavailable", 1)
FAILED = ExpectedError(502, "upstream_error", "upstream_failed")
INTERRUPTED = ExpectedError(502, "upstream_error", "stream_interrupted")
TIMEOUT = ExpectedError(504, "upstream_error", "upstream_timeout", retried=False)
MISCONFIGURED = ExpectedError(502, "upstream_error", "upstream_misconfigured", retried=False)
TOO_LONG = ExpectedError(400, "invalid_request_error", "context_length_exceeded", retried=False)
REFUSED = ExpectedError(400, "invalid_request_error", "content_filter", retried=False)
REJECTED = ExpectedError(400, "invalid_request_error", "upstream_rejected", next_target=False, retried=False)


@dataclass(frozen=True)
class Failure:
    """One failure of one provider, for a complete or for a streamed answer.

    The upstream sends `reply`; without one, its `address` refuses connections, never accepts them, or shows a certificate
    that nobody trusts. `text` is the part of the answer that the caller gets before the error.
    """

    error: ExpectedError
    reply: Reply | None = None
    address: Literal["listens", "refuses", "never accepts", "self-signed"] = "listens"
    text: str = ""


# Responses other than 200: the failure -> what each provider sends, and the error that it means.

HTML = b"<html><head><title>503 Service Temporarily Unavailable</title></head><body></body></html>"
NGINX = b"<html><head><title>429 Too Many Requests</title></head><body><center>nginx</center></body></html>"
_VALIDATION = "ValidationException"
REFUSALS: dict[str, dict[str, tuple[bytes, ExpectedError]]] = {
    "throttled": {
        "converse": (
            bedrock_error("ThrottlingException", 429, "Too many requests, please wait before trying again."),
            THROTTLED,
        ),
        "invoke": (bedrock_error("ThrottlingException", 429, "Too many tokens, please wait before trying again."), THROTTLED),
        "openai": (
            openai_error(
                *(429, "Rate limit reached for gpt-5 in organization org-1 on requests per min (RPM).", "requests"),
                *("rate_limit_exceeded",),
                retry_after="4",
                retry_after_ms="3900",
                x_ratelimit_reset_requests="3.9s",
            ),
            THROTTLED.after(4),
        ),
        "vllm": (Wire.response(429, NGINX, content_type="text/html", retry_after="7"), THROTTLED.after(7)),
        "anthropic": (
            anthropic_error(
                *(429, "rate_limit_error", "This request would exceed your organization's rate limit."),
                retry_after="17",
                anthropic_ratelimit_requests_reset="2026-01-01T00:01:00Z",
            ),
            THROTTLED.after(17),
        ),
    },
    "not ready": {
        "converse": (bedrock_error("ModelNotReadyException", 429, "The model is not ready to serve inference."), NOT_READY),
        "invoke": (bedrock_error("ModelNotReadyException", 429, "Model is not ready for inference."), NOT_READY),
        "openai": (
            openai_error(503, "The engine is currently overloaded, please try again later", "server_error"),
            UNAVAILABLE,
        ),
        "vllm": (
            openai_error(503, "The model is still loading.", "ServiceUnavailableError", 503, retry_after="5"),
            NOT_READY.after(5),
        ),
        "anthropic": (anthropic_error(529, "overloaded_error", "Overloaded"), UNAVAILABLE),
    },
    "unavailable": {
        "converse": (bedrock_error("ServiceUnavailableException", 503, "Bedrock is unable to process it."), UNAVAILABLE),
        "invoke": (Wire.response(503, b""), UNAVAILABLE),
        "openai": (Wire.response(503, HTML, content_type="text/html", retry_after="12"), UNAVAILABLE.after(12)),
        "vllm": (Wire.response(503, HTML, content_type="text/html"), UNAVAILABLE),
        "anthropic": (Wire.response(503, HTML, content_type="text/html", retry_after="2"), UNAVAILABLE.after(2)),
    },
    "4xx": {
        "converse": (bedrock_error(_VALIDATION, 400, "This model doesn't support the field topK."), REJECTED),
        "invoke": (bedrock_error(_VALIDATION, 400, "Malformed input request: #: extraneous key"), REJECTED),
        "openai": (openai_error(400, "Unsupported parameter", "invalid_request_error", "unsupported_parameter"), REJECTED),
        "vllm": (openai_error(400, "top_k must be -1 (disable), or at least 1", "BadRequestError", 400), REJECTED),
        "anthropic": (anthropic_error(400, "invalid_request_error", "top_k: Input should be valid"), REJECTED),
    },
    "key refused": {
        "converse": (bedrock_error("AccessDeniedException", 403, "You don't have access to it."), MISCONFIGURED),
        "invoke": (bedrock_error("UnrecognizedClientException", 403, "The security token is invalid."), MISCONFIGURED),
        "openai": (
            openai_error(401, "Incorrect API key provided: sk-the**6789.", "invalid_request_error", "invalid_api_key"),
            MISCONFIGURED,
        ),
        "vllm": (Wire.response(401, {"error": "Unauthorized"}), MISCONFIGURED),
        "anthropic": (anthropic_error(401, "authentication_error", "invalid x-api-key"), MISCONFIGURED),
    },
    "no such model": {
        "converse": (bedrock_error(_VALIDATION, 400, "The provided model identifier is invalid."), MISCONFIGURED),
        "invoke": (bedrock_error("ResourceNotFoundException", 404, "Could not find it."), MISCONFIGURED),
        "openai": (
            openai_error(404, "The model `gpt-5` does not exist", "invalid_request_error", "model_not_found"),
            MISCONFIGURED,
        ),
        "vllm": (openai_error(404, "The model `Qwen/Qwen3-8B` does not exist.", "NotFoundError", 404), MISCONFIGURED),
        "anthropic": (anthropic_error(404, "not_found_error", "model: claude-sonnet-4-5"), MISCONFIGURED),
    },
    "no money": {
        "converse": (bedrock_error("ServiceQuotaExceededException", 400, "Too many tokens per day."), THROTTLED),
        "invoke": (bedrock_error("ServiceQuotaExceededException", 400, "Your account's quota is used up."), THROTTLED),
        "openai": (
            openai_error(429, "You exceeded your current quota.", "insufficient_quota", "insufficient_quota"),
            MISCONFIGURED,
        ),
        "vllm": (openai_error(402, "Insufficient Balance", "unknown_error", "invalid_request_error"), MISCONFIGURED),
        "anthropic": (
            anthropic_error(400, "invalid_request_error", "Your credit balance is too low to access the API."),
            MISCONFIGURED,
        ),
    },
    "5xx": {
        "converse": (bedrock_error("InternalServerException", 500, "The system encountered an error."), FAILED),
        "invoke": (bedrock_error("ModelErrorException", 424, "The request failed in the model."), FAILED),
        "openai": (openai_error(500, "The server had an error while processing your request.", "server_error"), FAILED),
        "vllm": (Wire.response(500, b"Internal Server Error", content_type="text/plain"), FAILED),
        "anthropic": (anthropic_error(500, "api_error", "Internal server error"), FAILED),
    },
    "timed out there": {
        "converse": (bedrock_error("ModelTimeoutException", 408, "The model took too long."), TIMEOUT),
        "invoke": (bedrock_error("ModelTimeoutException", 408, "The model took too long."), TIMEOUT),
        "openai": (Wire.response(504, b"upstream request timeout", content_type="text/plain"), TIMEOUT),
        "vllm": (Wire.response(504, HTML, content_type="text/html"), TIMEOUT),
        "anthropic": (anthropic_error(504, "timeout_error", "The request timed out."), TIMEOUT),
    },
    "context too long": {
        "converse": (bedrock_error(_VALIDATION, 400, "Input is too long for requested model."), TOO_LONG),
        "invoke": (bedrock_error(_VALIDATION, 400, "This model's maximum context length is 8192 tokens."), TOO_LONG),
        "openai": (
            openai_error(
                *(400, "Your input exceeds the limits of this model.", "invalid_request_error", "context_length_exceeded"),
            ),
            TOO_LONG,
        ),
        "vllm": (
            openai_error(
                *(
                    400,
                    "This model's maximum context length is 8192 tokens. However, you requested 9000",
                    "BadRequestError",
                    400,
                )
            ),
            TOO_LONG,
        ),
        "anthropic": (
            anthropic_error(400, "invalid_request_error", "prompt is too long: 208310 tokens > 200000 maximum"),
            TOO_LONG,
        ),
    },
}


# Addresses at which nobody answers.
UNREACHABLE: dict[str, Failure] = {
    "connection refused": Failure(UNAVAILABLE, address="refuses"),
    "connecting takes too long": Failure(UNAVAILABLE, address="never accepts"),
    "TLS fails": Failure(UNAVAILABLE, address="self-signed"),
}


# Answers that break off, and answers that are none: the failure of a provider, complete (False) and streamed (True).


def _no_first_token(provider: ProviderResponses, stream: bool) -> Failure:
    return Failure(TIMEOUT, Reply(provider.head + provider.opening() if stream else provider.complete(TEXT)[:60], "waits"))


def _stands_still(provider: ProviderResponses, stream: bool) -> Failure:
    if stream:
        return Failure(TIMEOUT, Reply(provider.up_to_first_token(), "waits"), text="Hello")
    return Failure(TIMEOUT, Reply(provider.complete(TEXT)[:-10], "waits"))


def _cut(provider: ProviderResponses, stream: bool) -> Failure:
    if stream:
        cut = provider.up_to_first_token() + provider.delta(" there")[:-7]
        return Failure(INTERRUPTED, Reply(cut, "closes"), text="Hello")
    return Failure(FAILED, Reply(provider.complete(TEXT)[:-10], "closes"))


def _cut_before_the_first_token(provider: ProviderResponses, stream: bool) -> Failure:
    if stream:
        return Failure(INTERRUPTED, Reply(provider.head + provider.opening()[:-9], "closes"))
    return Failure(FAILED, Reply(provider.complete(TEXT)[:25], "closes"))


def _ends_too_early(provider: ProviderResponses, stream: bool) -> Failure:
    """The body ends in order, the answer does not."""
    if stream:
        return Failure(INTERRUPTED, Reply(provider.up_to_first_token() + Wire.STREAM_END), text="Hello")
    return Failure(FAILED, Reply(Wire.response(200, b"")))


def _malformed(provider: ProviderResponses, stream: bool) -> Failure:
    if stream:
        sent = provider.up_to_first_token() + provider.malformed_event() + provider.delta("x")
        return Failure(INTERRUPTED, Reply(sent, "waits"), text="Hello")
    return Failure(FAILED, Reply(Wire.response(200, provider.complete(TEXT).partition(b"\r\n\r\n")[2][:-15])))


def _malformed_at_first(provider: ProviderResponses, stream: bool) -> Failure:
    if stream:
        return Failure(INTERRUPTED, Reply(provider.head + provider.malformed_event(), "waits"))
    return Failure(FAILED, Reply(Wire.response(200, [])))


def _error_event(provider: ProviderResponses, stream: bool) -> Failure:
    """An error of the provider's own, where a piece of the answer is due."""
    if not stream:
        return Failure(FAILED, Reply(provider.error_for_answer()))
    error = UNAVAILABLE if provider is ANTHROPIC else INTERRUPTED
    return Failure(error, Reply(provider.up_to_first_token() + provider.error_event(), "waits"), text="Hello")


def _error_event_at_first(provider: ProviderResponses, stream: bool) -> Failure:
    """The same before the first token. Complete: an error without its usual members."""
    if not stream:
        return Failure(FAILED, Reply(Wire.response(200, {"error": "something"})))
    error = UNAVAILABLE if provider is ANTHROPIC else INTERRUPTED
    return Failure(error, Reply(provider.head + provider.opening() + provider.error_event(), "waits"))


BROKEN_ANSWERS: dict[str, Callable[[ProviderResponses, bool], Failure]] = {
    "content refused": lambda provider, stream: Failure(REFUSED, Reply(provider.refusal(stream))),
    "no head": lambda provider, stream: Failure(TIMEOUT, Reply(b"", "waits")),
    "no first token": _no_first_token,
    "stands still": _stands_still,
    "cut": _cut,
    "cut before the first token": _cut_before_the_first_token,
    "cut before the head": lambda provider, stream: Failure(FAILED, Reply(b"", "closes")),
    "ends too early": _ends_too_early,
    "malformed event": _malformed,
    "malformed first event": _malformed_at_first,
    "wrong content type": lambda provider, stream: Failure(FAILED, Reply(Wire.response(200, HTML, content_type="text/html"))),
    "error in the stream": _error_event,
    "error as the first event": _error_event_at_first,
}


def failure_of(name: str, provider: ProviderResponses, *, stream: bool) -> Failure:
    """The failure called `name`, as `provider` has it."""
    if name in UNREACHABLE:
        return UNREACHABLE[name]
    if name in BROKEN_ANSWERS:
        return BROKEN_ANSWERS[name](provider, stream)
    response, error = REFUSALS[name][provider.name]
    return Failure(error, Reply(response))


def every_failure() -> dict[str, tuple[ProviderResponses, bool, Failure]]:
    """Each failure of each provider once, and streamed as well where that is read differently."""
    cases = [
        *((provider, name, False) for provider in PROVIDERS for name in REFUSALS),
        *((provider, name, False) for provider in (CONVERSE, OPENAI) for name in UNREACHABLE),
        *((provider, name, stream) for provider in PROVIDERS for name in BROKEN_ANSWERS for stream in (False, True)),
    ]
    return {
        f"{provider.name}-{name}-{'streamed' if stream else 'complete'}": (
            provider,
            stream,
            failure_of(name, provider, stream=stream),
        )
        for provider, name, stream in cases
    }


# One failure for each error code: who fails, and how.
BY_CODE: dict[str, tuple[ProviderResponses, str]] = {
    "upstream_throttled": (OPENAI, "throttled"),
    "model_not_ready": (VLLM, "not ready"),
    "upstream_unavailable": (ANTHROPIC, "unavailable"),
    "upstream_failed": (INVOKE, "5xx"),
    "stream_interrupted": (CONVERSE, "cut before the first token"),  # a complete answer that is cut is upstream_failed
    "upstream_timeout": (OPENAI, "no first token"),
    "upstream_misconfigured": (ANTHROPIC, "no money"),
    "context_length_exceeded": (CONVERSE, "context too long"),
    "content_filter": (VLLM, "content refused"),
    "upstream_rejected": (INVOKE, "4xx"),
}
# One for each code that can come after the first token.
AFTER_FIRST_TOKEN: dict[str, tuple[ProviderResponses, str]] = {
    "stream_interrupted": (INVOKE, "cut"),
    "upstream_timeout": (VLLM, "stands still"),
    "upstream_unavailable": (ANTHROPIC, "error in the stream"),
}
