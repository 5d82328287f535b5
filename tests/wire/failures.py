"""Five providers in their own words: a right answer of each, and every way in which each fails.

What the two test files of failures share: the table `FAILURES`, upstreams that play it on loopback, a gateway in front of them,
callers that judge how their calls ended, and a loop that skips the time in which nothing happens.
"""

import asyncio
import base64
import contextlib
import dataclasses
import json
import random
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import httpx

from lambda_src.conftest import ORIGIN, Service, _served
from llm_functions.compose import providers
from llm_functions.http.application import Application
from llm_gateway.http.client import HttpClient
from llm_gateway.pipeline import Gateway
from llm_gateway.request import Parameter
from llm_gateway.router import Router
from llm_gateway.routes import Alias, Endpoint, Routes, Target
from support.local_bedrock import KEYS, REGION
from wire.bedrock import Wire
from wire.http import Fake, Peer

# Time.


class Clock:
    """The loop's time, which stands still while anything is done and leaps to the next timer when nothing is left to do.

    Every limit can then stand at its real length, and a busy machine changes no time: a minute's silence takes a few
    milliseconds.
    """

    # Seconds of idleness after which nothing is on its way any more: all parties run in this loop, on loopback.
    QUIET = 0.004

    def __init__(self, loop: Any) -> None:
        self._loop = loop
        self._real = loop.time, loop._selector.select
        self._now = loop.time()

    def now(self) -> float:
        return self._now

    def forward(self, seconds: float) -> None:
        self._now += seconds

    def _select(self, timeout: float | None = None) -> Any:
        _, select = self._real
        if timeout is None or timeout <= 0:
            return select(timeout)
        events = select(self.QUIET)
        if not events:
            self._now += timeout
        return events

    @contextlib.contextmanager
    def installed(self) -> Iterator["Clock"]:
        self._loop.time, self._loop._selector.select = self.now, self._select
        try:
            yield self
        finally:
            self._loop.time, self._loop._selector.select = self._real


# What an upstream does with one request: the bytes that it sends, and what it does then.


@dataclass(frozen=True)
class Play:
    """`serves`: the answer is whole and the connection stays; `closes`; `waits`, in the middle, until the gateway goes.

    `late` is sent half a second after the rest.
    """

    data: bytes
    then: Literal["serves", "closes", "waits"] = "serves"
    late: bytes = b""


# Each provider's words.

TEXT = "Hello there"
KEY = "sk-the-providers-own-key-0123456789"
_EVERYTHING: tuple[Parameter, ...] = (
    *("max_tokens", "temperature", "top_p", "stop", "system"),
    *("tools", "stream_tools", "reasoning_effort"),
)


class Voice:
    """A provider: its target, and what stands on its wire. `key_header` is what a request must carry."""

    name = ""
    target: Target
    endpoint: Endpoint | None = None
    key_header = ""
    head = b""  # of a stream
    base_path = ""

    def piece(self, text: str) -> bytes:
        raise NotImplementedError

    def stream(self, *pieces: bytes) -> bytes:
        raise NotImplementedError

    def whole(self, text: str) -> bytes:
        raise NotImplementedError

    def answer(self, stream: bool) -> Play:
        """A right answer."""
        if stream:
            return Play(self.stream(self.piece("Hello"), self.piece(" there")))
        return Play(self.whole(TEXT))

    def begun(self) -> bytes:
        """A stream's head and its first token."""
        return self.head + self.opening() + self.piece("Hello")

    def opening(self) -> bytes:
        """What a stream says before its first token."""
        return b""

    def malformed(self) -> bytes:
        """An event that cannot be read."""
        raise NotImplementedError

    def broken(self) -> bytes:
        """An error that comes as an event of a stream."""
        raise NotImplementedError

    def broken_whole(self) -> bytes:
        """An error where a whole answer is due."""
        raise NotImplementedError


def _target(name: str, provider: str, model: str, **more: Any) -> Target:
    values: dict[str, Any] = {"max_output_tokens": 4096, "context_tokens": 100_000, "accepts": _EVERYTHING, **more}
    return Target(name=name, provider=provider, model=model, **values)


class Converse(Voice):
    name = "converse"
    target = _target("bedrock/claude", "bedrock", "us.anthropic.claude-sonnet-4-5-20250929-v1:0")
    key_header = f"authorization: AWS4-HMAC-SHA256 Credential={KEYS.access_key}/"
    head = Wire.STREAM_HEAD

    def piece(self, text: str) -> bytes:
        return Wire.text(text)

    def opening(self) -> bytes:
        return Wire.event("messageStart", {"role": "assistant"})

    def stream(self, *pieces: bytes) -> bytes:
        return Wire.stream(self.opening(), *pieces, Wire.event("contentBlockStop", {"contentBlockIndex": 0}), Wire.ending())

    def whole(self, text: str) -> bytes:
        return Wire.response(200, Wire.converse({"text": text}))

    def malformed(self) -> bytes:
        frame = Wire.frame("event", "contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "lost"}})
        return Wire.chunk(frame[:-8] + b"XXXX" + frame[-4:])  # its checksum does not match

    def broken(self) -> bytes:
        return Wire.exception("modelStreamErrorException", "The model produced an error while streaming.")

    def broken_whole(self) -> bytes:
        return bedrock_error("ModelErrorException", 424, "The request failed due to an error while processing the model.")

    def refuses(self, stream: bool) -> bytes:
        if stream:
            return Wire.stream(self.opening(), Wire.ending("content_filtered"))
        return Wire.response(200, Wire.converse(reason="content_filtered"))


class Invoke(Converse):
    """An imported model, in OpenAI's chunks within Bedrock's frames."""

    name = "invoke"
    target = _target(
        "bedrock/imported",
        "bedrock",
        "arn:aws:bedrock:us-east-1:123456789012:imported-model/abcdef123456",
        api="invoke_model",
    )

    @staticmethod
    def chunk(delta: Mapping[str, Any], finish_reason: str | None = None, **more: Any) -> bytes:
        chunk = {
            "id": "chatcmpl-1",
            "object": "chat.completion.chunk",
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}],
            **more,
        }
        return Wire.event("chunk", {"bytes": base64.b64encode(json.dumps(chunk).encode()).decode(), "p": "abcdef"})

    def piece(self, text: str) -> bytes:
        return self.chunk({"content": text})

    def opening(self) -> bytes:
        return self.chunk({"role": "assistant", "content": ""})

    def ending(self, reason: str = "stop") -> bytes:
        metrics = {"inputTokenCount": 3, "outputTokenCount": 2, "invocationLatency": 12, "firstByteLatency": 5}
        return self.chunk({}, reason, **{"amazon-bedrock-invocationMetrics": metrics})

    def stream(self, *pieces: bytes) -> bytes:
        return Wire.stream(self.opening(), *pieces, self.ending())

    def whole(self, text: str) -> bytes:
        return completion(text)

    def malformed(self) -> bytes:
        return Wire.event("chunk", {"bytes": base64.b64encode(b'{"id": "chatcmpl-1", "choices": [{"del').decode()})

    def refuses(self, stream: bool) -> bytes:
        if stream:
            return Wire.stream(self.opening(), self.ending("content_filter"))
        return completion("", "content_filter")


def bedrock_error(name: str, status: int, message: str, **headers: str) -> bytes:
    return Wire.response(status, {"message": message}, x_amzn_errortype=f"{name}:http://internal.amazon.com/", **headers)


def completion(text: str, reason: str = "stop") -> bytes:
    """A whole chat.completion."""
    return Wire.response(
        200,
        {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": reason}],
            "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
        },
    )


def data(value: Any) -> bytes:
    """One event of an SSE stream without a name, in a chunk of its own."""
    return Wire.chunk(b"data: " + (value if isinstance(value, bytes) else json.dumps(value).encode()) + b"\n\n")


_SSE_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n"


class OpenAI(Voice):
    name = "openai"
    target = _target("openai/gpt-5", "openai", "gpt-5", max_tokens_name="max_completion_tokens")
    endpoint = Endpoint(name="openai", type="openai_compatible", secret_arn="arn:aws:secretsmanager:us-east-1:1:secret:openai")
    key_header = f"authorization: Bearer {KEY}\r\n"
    head = _SSE_HEAD
    base_path = "/v1"

    @staticmethod
    def chunk(delta: Mapping[str, Any], finish_reason: str | None = None) -> bytes:
        choices = [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}]
        return data({"id": "chatcmpl-1", "object": "chat.completion.chunk", "choices": choices, "usage": None})

    def piece(self, text: str) -> bytes:
        return self.chunk({"content": text})

    def opening(self) -> bytes:
        return self.chunk({"role": "assistant", "content": "", "refusal": None})

    def ending(self, reason: str = "stop") -> bytes:
        usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
        return self.chunk({}, reason) + data({"id": "chatcmpl-1", "choices": [], "usage": usage}) + data(b"[DONE]")

    def stream(self, *pieces: bytes) -> bytes:
        return self.head + self.opening() + b"".join(pieces) + self.ending() + Wire.STREAM_END

    def whole(self, text: str) -> bytes:
        return completion(text)

    def malformed(self) -> bytes:
        return data(b'{"id": "chatcmpl-1", "choices": [{"del')

    def broken(self) -> bytes:
        message = "The server had an error while processing your request. Sorry about that!"
        return data({"error": {"message": message, "type": "server_error", "param": None, "code": None}})

    def broken_whole(self) -> bytes:
        return openai_error(200, "The server had an error while processing your request", "server_error")

    def refuses(self, stream: bool) -> bytes:
        message = "Invalid prompt: your prompt was flagged as potentially violating our usage policy."
        return openai_error(400, message, "invalid_request_error", "invalid_prompt")


class Vllm(OpenAI):
    name = "vllm"
    target = _target("vllm/qwen3", "vllm", "Qwen/Qwen3-8B")
    endpoint = Endpoint(name="vllm", type="openai_compatible")
    key_header = ""

    def broken(self) -> bytes:
        error = {"message": "EngineCore encountered an issue.", "type": "InternalServerError", "param": None, "code": 500}
        return data({"error": error}) + data(b"[DONE]")

    def broken_whole(self) -> bytes:
        return openai_error(200, "EngineCore encountered an issue.", "InternalServerError", 500)

    def refuses(self, stream: bool) -> bytes:
        if stream:
            return self.head + self.opening() + self.ending("content_filter") + Wire.STREAM_END
        return completion("", "content_filter")


def openai_error(status: int, message: str, kind: str, code: Any = None, **headers: str) -> bytes:
    return Wire.response(status, {"error": {"message": message, "type": kind, "param": None, "code": code}}, **headers)


class Anthropic(Voice):
    name = "anthropic"
    target = _target("anthropic/sonnet", "anthropic", "claude-sonnet-4-5")
    endpoint = Endpoint(name="anthropic", type="anthropic", secret_arn="arn:aws:secretsmanager:us-east-1:1:secret:anthropic")
    key_header = f"x-api-key: {KEY}\r\n"
    head = _SSE_HEAD

    @staticmethod
    def event(kind: str, **members: Any) -> bytes:
        body = json.dumps({"type": kind, **members})
        return Wire.chunk(f"event: {kind}\ndata: {body}\n\n".encode())

    def piece(self, text: str) -> bytes:
        return self.event("content_block_delta", index=0, delta={"type": "text_delta", "text": text})

    def opening(self) -> bytes:
        message = {"id": "msg_1", "type": "message", "role": "assistant", "content": [], "stop_reason": None}
        return (
            self.event("message_start", message={**message, "usage": {"input_tokens": 3, "output_tokens": 1}})
            + self.event("content_block_start", index=0, content_block={"type": "text", "text": ""})
            + self.event("ping")
        )

    def ending(self, reason: str = "end_turn") -> bytes:
        return (
            self.event("content_block_stop", index=0)
            + self.event("message_delta", delta={"stop_reason": reason}, usage={"output_tokens": 2})
            + self.event("message_stop")
        )

    def stream(self, *pieces: bytes) -> bytes:
        return self.head + self.opening() + b"".join(pieces) + self.ending() + Wire.STREAM_END

    def whole(self, text: str, reason: str = "end_turn") -> bytes:
        content = [{"type": "text", "text": text}] if text else []
        usage = {"input_tokens": 3, "output_tokens": 2}
        message = {"id": "msg_1", "type": "message", "role": "assistant", "content": content, "stop_reason": reason}
        return Wire.response(200, {**message, "usage": usage})

    def malformed(self) -> bytes:
        return Wire.chunk(b'event: content_block_delta\ndata: {"type": "content_block_delta", "del\n\n')

    def broken(self) -> bytes:
        return self.event("error", error={"type": "overloaded_error", "message": "Overloaded"})

    def broken_whole(self) -> bytes:
        return anthropic_error(200, "api_error", "Internal server error")

    def refuses(self, stream: bool) -> bytes:
        if stream:
            return self.head + self.opening() + self.ending("refusal") + Wire.STREAM_END
        return self.whole("", "refusal")


def anthropic_error(status: int, kind: str, message: str, **headers: str) -> bytes:
    return Wire.response(
        status, {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}, **headers
    )


CONVERSE, INVOKE, OPENAI, VLLM, ANTHROPIC = VOICES = (Converse(), Invoke(), OpenAI(), Vllm(), Anthropic())
# Who answers where another fails: always one at another address.
NEXT: dict[str, Voice] = {"converse": OPENAI, "invoke": VLLM, "openai": ANTHROPIC, "vllm": CONVERSE, "anthropic": INVOKE}


# The table. What a failure is to the caller, and what is done about it: written down here, not read from the router.


@dataclass(frozen=True)
class Kind:
    """`other`: another target is asked; `again`: this one may be asked again."""

    status: int
    type: str
    code: str
    retry_after: int | None = None
    other: bool = True
    again: bool = True

    def after(self, seconds: int) -> "Kind":
        return dataclasses.replace(self, retry_after=seconds)


THROTTLED = Kind(429, "rate_limit_error", "upstream_throttled", 1)
NOT_READY = Kind(503, "upstream_error", "model_not_ready", 30)
UNAVAILABLE = Kind(503, "upstream_error", "upstream_unavailable", 1)
FAILED = Kind(502, "upstream_error", "upstream_failed")
INTERRUPTED = Kind(502, "upstream_error", "stream_interrupted")
TIMEOUT = Kind(504, "upstream_error", "upstream_timeout", again=False)
MISCONFIGURED = Kind(502, "upstream_error", "upstream_misconfigured", again=False)
TOO_LONG = Kind(400, "invalid_request_error", "context_length_exceeded", again=False)
REFUSED = Kind(400, "invalid_request_error", "content_filter", again=False)
REJECTED = Kind(400, "invalid_request_error", "upstream_rejected", other=False, again=False)

LONGEST_PAUSE = 8  # seconds that a caller is kept waiting for a target that asks to be asked later


@dataclass(frozen=True)
class Case:
    """One failure of one provider, for a whole or for a streamed answer.

    `place` is where the upstream is to be found: it answers with `play`, or it refuses connections, lets them wait, or shows a
    certificate that nobody knows. `text` is what the caller has got of the answer before the error.
    """

    kind: Kind
    play: Play | None = None
    place: Literal["answers", "refuses", "full", "self-signed"] = "answers"
    text: str = ""

    @property
    def calls(self) -> int:
        """How often the upstream is called where two retries are allowed."""
        again = self.kind.again and not self.text and (self.kind.retry_after or 0) <= LONGEST_PAUSE
        return 3 if again else 1


# the failure -> what each provider answers, and what that is
Answered = tuple[bytes, Kind]
HTML = b"<html><head><title>503 Service Temporarily Unavailable</title></head><body></body></html>"
NGINX = b"<html><head><title>429 Too Many Requests</title></head><body><center>nginx</center></body></html>"
_VALIDATION = "ValidationException"
ANSWERED: dict[str, dict[str, Answered]] = {
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


def _answered(name: str) -> Callable[[Any, bool], Case]:
    def case(voice: Voice, stream: bool) -> Case:
        answer, kind = ANSWERED[name][voice.name]
        return Case(kind, Play(answer))

    return case


def _stalls(voice: Any, stream: bool) -> Case:
    if stream:
        return Case(TIMEOUT, Play(voice.begun(), "waits"), text="Hello")
    return Case(TIMEOUT, Play(voice.whole(TEXT)[:-10], "waits"))


def _cut(voice: Any, stream: bool) -> Case:
    if stream:
        return Case(INTERRUPTED, Play(voice.begun() + voice.piece(" there")[:-7], "closes"), text="Hello")
    return Case(FAILED, Play(voice.whole(TEXT)[:-10], "closes"))


def _cut_before_the_first_token(voice: Any, stream: bool) -> Case:
    if stream:
        return Case(INTERRUPTED, Play(voice.head + voice.opening()[:-9], "closes"))
    return Case(FAILED, Play(voice.whole(TEXT)[:25], "closes"))


def _ends_too_early(voice: Any, stream: bool) -> Case:
    """The body ends in order, the answer does not."""
    if stream:
        return Case(INTERRUPTED, Play(voice.begun() + Wire.STREAM_END), text="Hello")
    return Case(FAILED, Play(Wire.response(200, b"")))


def _malformed(voice: Any, stream: bool) -> Case:
    if stream:
        return Case(INTERRUPTED, Play(voice.begun() + voice.malformed() + voice.piece("x"), "waits"), text="Hello")
    return Case(FAILED, Play(Wire.response(200, voice.whole(TEXT).partition(b"\r\n\r\n")[2][:-15])))


def _malformed_at_first(voice: Any, stream: bool) -> Case:
    if stream:
        return Case(INTERRUPTED, Play(voice.head + voice.malformed(), "waits"))
    return Case(FAILED, Play(Wire.response(200, [])))


def _breaks(voice: Any, stream: bool) -> Case:
    """An error of the provider's own, where a piece of the answer is due."""
    if not stream:
        return Case(FAILED, Play(voice.broken_whole()))
    kind = UNAVAILABLE if voice.name == "anthropic" else INTERRUPTED
    return Case(kind, Play(voice.begun() + voice.broken(), "waits"), text="Hello")


def _breaks_at_first(voice: Any, stream: bool) -> Case:
    """The same before the first token; whole: in half of the words."""
    if not stream:
        return Case(FAILED, Play(Wire.response(200, {"error": "something"})))
    kind = UNAVAILABLE if voice.name == "anthropic" else INTERRUPTED
    return Case(kind, Play(voice.head + voice.opening() + voice.broken(), "waits"))


FAILURES: dict[str, Callable[[Any, bool], Case]] = {
    **{name: _answered(name) for name in ANSWERED},
    "content refused": lambda voice, stream: Case(REFUSED, Play(voice.refuses(stream))),
    "connection refused": lambda voice, stream: Case(UNAVAILABLE, place="refuses"),
    "connecting takes too long": lambda voice, stream: Case(UNAVAILABLE, place="full"),
    "TLS fails": lambda voice, stream: Case(UNAVAILABLE, place="self-signed"),
    "no head": lambda voice, stream: Case(TIMEOUT, Play(b"", "waits")),
    "no first token": lambda voice, stream: Case(
        TIMEOUT, Play(voice.head + voice.opening() if stream else voice.whole(TEXT)[:60], "waits")
    ),
    "stands still": _stalls,
    "cut": _cut,
    "cut before the first token": _cut_before_the_first_token,
    "cut before the head": lambda voice, stream: Case(FAILED, Play(b"", "closes")),
    "ends too early": _ends_too_early,
    "malformed event": _malformed,
    "malformed first event": _malformed_at_first,
    "wrong content type": lambda voice, stream: Case(FAILED, Play(Wire.response(200, HTML, content_type="text/html"))),
    "error in the stream": _breaks,
    "error as the first event": _breaks_at_first,
}


# Upstreams.


class Upstream(Fake):
    """A provider that does with its n-th request what its n-th play says, and with all further ones what the last says."""

    def __init__(self, voice: Voice | None, plays: Sequence[Callable[[bool], Play]]) -> None:
        super().__init__(self._serve)
        self.voice = voice
        self.plays = list(plays)
        self.connections = 0
        self._open = 0
        self.all_left = asyncio.Event()

    @property
    def calls(self) -> int:
        return len(self.paths)

    async def _serve(self, peer: Peer) -> None:
        self.connections += 1
        self._open += 1
        self.all_left.clear()
        try:
            while True:
                body = await peer.request()
                stream = bool(body.get("stream")) or "stream" in self.paths[-1]
                play = self.plays[min(len(self.paths), len(self.plays)) - 1](stream)
                await peer.send(play.data)
                if play.late:
                    await asyncio.sleep(0.5)
                    await peer.send(play.late)
                if play.then == "closes":
                    return
                if play.then == "waits":
                    return await peer.gone()
        finally:
            self._open -= 1
            if not self._open:
                self.all_left.set()


def secret(value: Any = KEY) -> Play:
    """What Secrets Manager answers: a secret's text, or something else whole (a `bytes` is a response)."""
    if isinstance(value, bytes):
        return Play(value)
    members = {"SecretString": value} if isinstance(value, str) else value
    return Play(Wire.response(200, {"ARN": "arn:of:it", "Name": "a-key", "VersionId": "v1", **members}))


class World:
    """What one test runs: upstreams, places that are none, and a gateway before them. `stack` closes all of it."""

    def __init__(self, stack: contextlib.AsyncExitStack, tls: ssl.SSLContext, trust: ssl.SSLContext) -> None:
        self._stack = stack
        self._tls = tls
        self._trust = trust
        self.secrets: Upstream | None = None

    async def upstream(self, voice: Voice | None, *plays: Callable[[bool], Play]) -> Upstream:
        started = Upstream(voice, plays)
        await started.start()
        self._stack.push_async_callback(started.stop)
        return started

    async def healthy(self, voice: Voice) -> Upstream:
        return await self.upstream(voice, voice.answer)

    async def failing(self, voice: Voice, case: Case) -> tuple[str, Upstream | None]:
        """The address of an upstream that fails, and the upstream where there is one."""
        match case.place:
            case "answers":
                play = case.play
                assert play is not None
                upstream = await self.upstream(voice, lambda stream: play)
                return upstream.url, upstream
            case "refuses":
                with socket.create_server(("127.0.0.1", 0)) as closed:
                    return f"http://127.0.0.1:{closed.getsockname()[1]}", None
            case "full":
                return self._full(), None
            case "self-signed":
                server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0, ssl=self._tls)
                self._stack.callback(server.close)
                return f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}", None

    def _full(self) -> str:
        """A listener that accepts nobody, with as many in its queue as it holds: the next one waits."""
        listener = self._stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(3):
            waiting = self._stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        return f"http://127.0.0.1:{listener.getsockname()[1]}"

    async def gateway(
        self,
        *behind: tuple[Voice, str],
        debug: bool = False,
        contexts: Sequence[int] = (),
        secrets: Sequence[Callable[[bool], Play]] = (lambda stream: secret(),),
        **alias: Any,
    ) -> Service:
        """A gateway whose only alias, ``main``, has these targets at these addresses."""
        self.secrets = await self.upstream(None, *secrets)
        environ = {
            "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": KEYS.access_key,
            "AWS_SECRET_ACCESS_KEY": KEYS.secret_key,
            "AWS_ENDPOINT_URL_SECRETSMANAGER": self.secrets.url,
            "AUTHORIZATION": "none",
            "DEBUG": "true" if debug else "false",
            "CORS_ALLOW_ORIGIN": ORIGIN,
        }
        targets: list[Target] = []
        endpoints: list[Endpoint] = []
        for place, (voice, url) in enumerate(behind):
            context = contexts[place] if contexts else 100_000 * (place + 1)
            targets.append(_replaced(voice.target, context_tokens=context))
            if voice.endpoint is None:
                environ["AWS_ENDPOINT_URL_BEDROCK_RUNTIME"] = url
            else:
                endpoints.append(_replaced(voice.endpoint, base_url=url + voice.base_path))
        values: dict[str, Any] = {"retries": 0, "first_token_seconds": FIRST_TOKEN_SECONDS, **alias}
        routes = Routes(aliases=(Alias(name="main", targets=tuple(targets), **values),), endpoints=tuple(endpoints))
        client = HttpClient(ssl_context=self._trust)
        self._stack.push_async_callback(client.close)
        router = Router(providers(routes.endpoints, client, environ), random.Random(1))
        url = await self._stack.enter_async_context(_served(Application(Gateway(routes, router), environ)))
        # Without limits of its own: the loop's time leaps.
        http = httpx.AsyncClient(base_url=url, verify=self._trust, trust_env=False, timeout=None)
        await self._stack.enter_async_context(http)
        return Service(url, http, self._stack)


def _replaced(struct: Any, **changes: Any) -> Any:
    return type(struct)(**{name: getattr(struct, name) for name in struct.__struct_fields__} | changes)


# Below the 10 s after which a silent stream's head is sent: the head can still tell who answers.
FIRST_TOKEN_SECONDS = 6.0
# How long an invocation lives, in seconds: longer than any pause and any silence here.
INVOCATION_SECONDS = 100.0


# Callers.


@dataclass
class Outcome:
    """How a call ended: with the whole answer `text`, or with one typed `error` after the part `text` of it.

    `comments` counts what kept a silent stream open; `start` is the event that /chat/stream begins with.
    """

    status: int
    headers: Mapping[str, str]
    raw: str
    text: str = ""
    error: dict[str, Any] | None = None
    comments: int = 0
    start: dict[str, Any] | None = None

    @property
    def target(self) -> str | None:
        return self.headers.get("x-llm-target")


@dataclass(frozen=True)
class Transport:
    path: str
    body: dict[str, Any]
    stream: bool

    async def call(self, service: Service, **more: Any) -> Outcome:
        """Call, and judge the form of what comes: one answer or one error, and nothing after it."""
        deadline = round((time.time() + INVOCATION_SECONDS) * 1000)
        headers = {"x-amzn-lambda-context": json.dumps({"deadline": deadline})}
        response = await service.post(self.path, self.body | more, headers)
        outcome = Outcome(response.status_code, response.headers, response.text)
        if response.status_code != 200:
            outcome.error = service.error_of(response)
        elif not self.stream:
            answer = response.json()
            if self.path == "/chat":
                assert answer["stop_reason"] == "end_turn" and answer["usage"] == {"input_tokens": 3, "output_tokens": 2}
                outcome.text = answer["message"]
            else:
                (choice,) = answer["choices"]
                assert choice["finish_reason"] == "stop" and answer["usage"]["total_tokens"] == 5
                outcome.text = choice["message"]["content"]
        else:
            assert response.headers["content-type"].startswith("text/event-stream")
            assert response.text.endswith("\n\n")
            frames = response.text.removesuffix("\n\n").split("\n\n")
            outcome.comments = frames.count(": keep-alive")
            events = [frame for frame in frames if frame != ": keep-alive"]
            (self._chat_events if self.path == "/chat/stream" else self._openai_events)(events, outcome)
            assert outcome.headers["x-request-id"] == (outcome.error or {}).get("request_id", outcome.headers["x-request-id"])
        return outcome

    @staticmethod
    def _chat_events(frames: list[str], outcome: Outcome) -> None:
        assert frames[0] == "retry: 3000"
        names: list[str] = []
        for number, frame in enumerate(frames[1:], 1):
            identifier, name, content = frame.split("\n")
            assert identifier == f"id: {number}"
            value = json.loads(content.removeprefix("data: "))
            names.append(name.removeprefix("event: "))
            match names[-1]:
                case "start":
                    outcome.start = value
                case "delta":
                    outcome.text += value["text"]
                case "error":
                    assert list(value) == ["error"]
                    outcome.error = value["error"]
                case "done":
                    assert value["stop_reason"] == "end_turn"
        if outcome.error is None:
            assert names[0] == "start" and names[-2:] == ["usage", "done"] and names.count("done") == 1
        else:
            assert names[-1] == "error" and names.count("error") == 1 and "done" not in names
            assert "start" not in names or (names[0] == "start" and outcome.text)

    @staticmethod
    def _openai_events(frames: list[str], outcome: Outcome) -> None:
        finished = ended = False
        for frame in frames:
            assert frame.startswith("data: ") and "\n" not in frame
            assert not ended and outcome.error is None, "something came after the end"
            if frame == "data: [DONE]":
                ended = True
                continue
            value = json.loads(frame.removeprefix("data: "))
            if "error" in value:
                assert list(value) == ["error"]
                outcome.error = value["error"]
                continue
            (choice,) = value["choices"]
            outcome.text += choice["delta"].get("content", "")
            finished = finished or choice["finish_reason"] is not None
        assert ended == finished == (outcome.error is None)


_MESSAGES = [{"role": "user", "content": "Hello, who is there?"}]
TRANSPORTS = {
    "chat": Transport("/chat", {"message": "Hello, who is there?"}, stream=False),
    "chat stream": Transport("/chat/stream", {"message": "Hello, who is there?"}, stream=True),
    "openai": Transport("/v1/chat/completions", {"model": "main", "messages": _MESSAGES}, stream=False),
    "openai stream": Transport("/v1/chat/completions", {"model": "main", "messages": _MESSAGES, "stream": True}, stream=True),
}
