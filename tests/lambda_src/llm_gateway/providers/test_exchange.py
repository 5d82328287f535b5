"""What providers say in other words than the table of failures has, and when they want to be asked again."""

import datetime
from collections.abc import Callable
from typing import Any

import pytest

from wire.bedrock import Wire
from wire.callers import CHAT, CHAT_STREAM
from wire.harness import Harness
from wire.provider_responses import (
    ANTHROPIC,
    OPENAI,
    PROVIDERS,
    VLLM,
    ProviderResponses,
    anthropic_error,
    bedrock_error,
    openai_error,
    sse_event,
)
from wire.replying import Reply

# Other words for a failure that is in the table: who says it, what it says -> our status and code.
WORDS: dict[str, tuple[ProviderResponses, bytes, int, str]] = {
    "a model that is not found, as a 400": (
        OPENAI,
        openai_error(400, "The requested model 'gpt-6' does not exist.", "invalid_request_error", "model_not_found"),
        502,
        "upstream_misconfigured",
    ),
    "a filter of Azure's": (
        OPENAI,
        openai_error(400, "The response was filtered", "", "content_filter"),
        400,
        "content_filter",
    ),
    "an error of vLLM before 0.11": (
        VLLM,
        Wire.response(
            400, {"object": "error", "message": "maximum context length is 8192", "type": "BadRequestError", "code": 400}
        ),
        400,
        "context_length_exceeded",
    ),
    "a body that is too large": (
        ANTHROPIC,
        anthropic_error(413, "request_too_large", "Request exceeds the maximum size"),
        400,
        "context_length_exceeded",
    ),
    "a filter of Anthropic's": (
        ANTHROPIC,
        anthropic_error(400, "invalid_request_error", "Output blocked by content filtering policy"),
        400,
        "content_filter",
    ),
    "an error page of Cloudflare's in front of Anthropic": (
        ANTHROPIC,
        Wire.response(529, b"<html>529</html>", content_type="text/html"),
        503,
        "upstream_unavailable",
    ),
    "a string that is too long": (
        OPENAI,
        openai_error(
            *(400, "Invalid 'tools[0].function.description': string too long. Expected a maximum length of 1024."),
            *("invalid_request_error", "string_above_max_length"),
        ),
        400,
        "upstream_rejected",
    ),
    "a string that is too long, without a code": (
        VLLM,
        openai_error(400, "messages[0].name: string too long, at most 64", "BadRequestError", 400),
        400,
        "upstream_rejected",
    ),
    "a rate limit whose words are of the context": (
        OPENAI,
        openai_error(413, "Request too large: reduce the length of the messages.", "tokens", "rate_limit_exceeded"),
        429,
        "upstream_throttled",
    ),
    "a context of llama.cpp's": (
        VLLM,
        openai_error(400, "request (9412 tokens) exceeds it, try increasing it", "exceed_context_size_error", 400),
        400,
        "context_length_exceeded",
    ),
    "a context of older llama.cpp's": (
        VLLM,
        openai_error(400, "the request exceeds the available context size, try increasing it", "server_error", 400),
        400,
        "context_length_exceeded",
    ),
    "a context of vLLM's engine": (
        VLLM,
        openai_error(
            *(400, "The decoder prompt (length 9000) is longer than the maximum model length of 4096."),
            *("BadRequestError", 400),
        ),
        400,
        "context_length_exceeded",
    ),
    "an error of the request in place of an answer": (
        VLLM,
        Wire.response(200, {"error": {"message": "bad grammar", "type": "BadRequestError", "code": 400}}),
        400,
        "upstream_rejected",
    ),
    "a country that is not served": (
        OPENAI,
        openai_error(403, "Request not allowed", "forbidden", "unsupported_country_region_territory"),
        502,
        "upstream_misconfigured",
    ),
}


@pytest.mark.assumes("provider-words")
@pytest.mark.parametrize(("provider", "response", "status", "code"), WORDS.values(), ids=WORDS)
async def test_other_words(harness: Harness, provider: ProviderResponses, response: bytes, status: int, code: str) -> None:
    outcome = await CHAT.call(await harness.gateway(await harness.replying(provider, lambda stream: Reply(response))))
    assert (outcome.status, outcome.code) == (status, code)


# Errors that come as an event of a stream and are not stream_interrupted: who says it, the event -> our code.
EVENTS: dict[str, tuple[ProviderResponses, bytes, str]] = {
    "a rate limit of OpenAI's": (
        OPENAI,
        sse_event({"error": {"message": "Rate limit reached", "type": "requests", "code": "rate_limit_exceeded"}}),
        "upstream_throttled",
    ),
    "a context of vLLM's": (
        VLLM,
        sse_event({"error": {"message": "maximum context length is 8192", "type": "BadRequestError", "code": 400}}),
        "context_length_exceeded",
    ),
    "a request that vLLM refuses only in the stream": (
        VLLM,
        sse_event({"error": {"message": "bad grammar", "type": "BadRequestError", "code": 400}}),
        "upstream_rejected",
    ),
    "a key that is refused only in the stream": (
        VLLM,
        sse_event({"error": {"message": "Unauthorized", "type": "Unauthorized", "code": 401}}),
        "upstream_misconfigured",
    ),
    "a filter of Azure's": (
        OPENAI,
        sse_event({"error": {"message": "The response was filtered", "type": "", "code": "content_filter"}}),
        "content_filter",
    ),
    "a rate limit of Anthropic's": (
        ANTHROPIC,
        ANTHROPIC.event("error", error={"type": "rate_limit_error", "message": "Rate limited"}),
        "upstream_throttled",
    ),
    "a key that Anthropic takes back meanwhile": (
        ANTHROPIC,
        ANTHROPIC.event("error", error={"type": "authentication_error", "message": "invalid x-api-key"}),
        "upstream_misconfigured",
    ),
    "a time-out of Anthropic's": (
        ANTHROPIC,
        ANTHROPIC.event("error", error={"type": "timeout_error", "message": "Request timed out"}),
        "upstream_timeout",
    ),
}


@pytest.mark.assumes("provider-words")
@pytest.mark.parametrize(("provider", "event", "code"), EVENTS.values(), ids=EVENTS)
async def test_an_error_event(harness: Harness, provider: ProviderResponses, event: bytes, code: str) -> None:
    reply = Reply(provider.up_to_first_token() + event, "waits")
    outcome = await CHAT_STREAM.call(await harness.gateway(await harness.replying(provider, lambda stream: reply)))
    assert (outcome.code, outcome.text) == (code, "Hello")


# When a provider wants to be asked again.

_DAY = 86_400


def _date(seconds: float) -> str:
    return f"{datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds):%a, %d %b %Y %H:%M:%S GMT}"


# the upstream's headers -> ours: a number, or the two that it lies between
RETRY_AFTER: dict[str, tuple[Callable[[], dict[str, str]], int | tuple[int, int]]] = {
    "none": (lambda: {}, 1),
    "seconds": (lambda: {"retry_after": "37"}, 37),
    "with spaces around it": (lambda: {"retry_after": "  37 "}, 37),
    "a fraction is never rounded down": (lambda: {"retry_after": "1.2"}, 2),
    "less than a second": (lambda: {"retry_after": "0.2"}, 1),
    "now": (lambda: {"retry_after": "0"}, 1),
    "milliseconds": (lambda: {"retry_after_ms": "12000"}, 12),
    "milliseconds, no whole second": (lambda: {"retry_after_ms": "12001"}, 13),
    "milliseconds count before seconds": (lambda: {"retry_after": "60", "retry_after_ms": "1500"}, 2),
    "milliseconds that are none": (lambda: {"retry_after": "60", "retry_after_ms": "soon"}, 60),
    "milliseconds that are no number": (lambda: {"retry_after": "60", "retry_after_ms": "nan"}, 60),
    "a date": (lambda: {"retry_after": _date(3600)}, (3595, 3600)),
    "a date in the past": (lambda: {"retry_after": _date(-3600)}, 1),
    "a date far away": (lambda: {"retry_after": "Fri, 31 Dec 9999 23:59:59 GMT"}, _DAY),
    "a date that is none": (lambda: {"retry_after": "Wed, 99 Oct 2025 07:28:00 GMT"}, 1),
    "a year that is none": (lambda: {"retry_after": f"Wed, 21 Oct {'9' * 30} 07:28:00 GMT"}, 1),
    "a zone that is none": (lambda: {"retry_after": f"Wed, 21 Oct 2025 07:28:00 +{'9' * 30}"}, 1),
    "a date before all dates": (lambda: {"retry_after": "Mon, 01 Jan 0001 00:00:00 -0000"}, 1),
    "a date without a zone": (lambda: {"retry_after": "Fri, 31 Dec 9999 23:59:59"}, _DAY),
    "negative": (lambda: {"retry_after": "-5"}, 1),
    "no number": (lambda: {"retry_after": "nan"}, 1),
    "infinite": (lambda: {"retry_after": "1e999"}, _DAY),
    "infinite, in words": (lambda: {"retry_after": "inf"}, 1),
    "huge": (lambda: {"retry_after": "9" * 400}, _DAY),
    "words": (lambda: {"retry_after": "in a minute"}, 1),
    "other signs": (lambda: {"retry_after": "²"}, 1),
    "two values": (lambda: {"retry_after": "5, 10"}, 1),
    "empty": (lambda: {"retry_after": ""}, 1),
    "resets are not asked for": (
        lambda: {
            "x_ratelimit_reset_requests": "120ms",
            "x_ratelimit_reset_tokens": "6m0s",
            "anthropic_ratelimit_requests_reset": "2999-01-01T00:00:00Z",
            "anthropic_ratelimit_tokens_reset": "2999-01-01T00:00:00Z",
            "ratelimit_reset": "50",
        },
        1,
    ),
    "beside resets": (lambda: {"retry_after": "9", "anthropic_ratelimit_requests_reset": "2999-01-01T00:00:00Z"}, 9),
}


async def retry_after(harness: Harness, provider: ProviderResponses, **headers: str) -> int:
    """The seconds that a caller is told where the provider's refusal has these headers."""
    refusal = Reply(OVERLOADED[provider.name](**headers))
    outcome = await CHAT.call(await harness.gateway(await harness.replying(provider, lambda stream: refusal)))
    assert outcome.code in ("upstream_throttled", "upstream_unavailable")
    return int(outcome.headers["retry-after"])


OVERLOADED: dict[str, Callable[..., bytes]] = {
    "openai": lambda **headers: openai_error(429, "Rate limit reached", "requests", "rate_limit_exceeded", **headers),
    "vllm": lambda **headers: openai_error(503, "the model is overloaded", "ServiceUnavailableError", 503, **headers),
    "anthropic": lambda **headers: anthropic_error(429, "rate_limit_error", "Rate limited", **headers),
    "converse": lambda **headers: bedrock_error("ThrottlingException", 429, "Slow down", **headers),
    "invoke": lambda **headers: bedrock_error("ServiceUnavailableException", 503, "Slow down", **headers),
}


@pytest.mark.parametrize(("headers", "expected"), RETRY_AFTER.values(), ids=RETRY_AFTER)
async def test_retry_after(harness: Harness, headers: Any, expected: Any) -> None:
    first, last = expected if isinstance(expected, tuple) else (expected, expected)
    assert first <= await retry_after(harness, OPENAI, **headers()) <= last


@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda provider: provider.name)
async def test_every_provider_may_ask_for_a_pause(harness: Harness, provider: ProviderResponses) -> None:
    assert await retry_after(harness, provider, retry_after="37") == 37
