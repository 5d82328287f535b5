"""What five providers send: a right answer of each, and each one's ways to fail in the middle of it."""

import base64
import json
from collections.abc import Mapping
from typing import Any

from llm_gateway.request import Parameter
from llm_gateway.routes import Endpoint, Target
from support.local_bedrock import KEYS
from wire.bedrock import Wire
from wire.replying import Reply

TEXT = "Hello there"
KEY = "sk-the-providers+own/key=0123456789"
_EVERYTHING: tuple[Parameter, ...] = (
    *("max_tokens", "temperature", "top_p", "stop", "system"),
    *("tools", "stream_tools", "reasoning_effort"),
)


class ProviderResponses:
    """A provider: the target that stands for it, and the bytes that it sends.

    `key_header` is what each request to it must carry. `head` begins a streamed answer.
    """

    name = ""
    target: Target
    endpoint: Endpoint | None = None
    key_header = ""
    head = b""
    base_path = ""

    def delta(self, text: str) -> bytes:
        """The event that adds `text` to a streamed answer."""
        raise NotImplementedError

    def stream(self, *deltas: bytes) -> bytes:
        """A streamed answer."""
        raise NotImplementedError

    def complete(self, text: str) -> bytes:
        """An answer that is not streamed."""
        raise NotImplementedError

    def answer(self, stream: bool) -> Reply:
        """A right answer."""
        if stream:
            return Reply(self.stream(self.delta("Hello"), self.delta(" there")))
        return Reply(self.complete(TEXT))

    def up_to_first_token(self) -> bytes:
        """A streamed answer up to its first token, that one included."""
        return self.head + self.opening() + self.delta("Hello")

    def opening(self) -> bytes:
        """What comes between the head and the first token of a streamed answer."""
        return b""

    def malformed_event(self) -> bytes:
        """An event that cannot be read."""
        raise NotImplementedError

    def error_event(self) -> bytes:
        """An error that comes as an event of a streamed answer."""
        raise NotImplementedError

    def error_for_answer(self) -> bytes:
        """An error in place of an answer that is not streamed."""
        raise NotImplementedError

    def refusal(self, stream: bool) -> bytes:
        """The provider's own filter refuses the conversation."""
        raise NotImplementedError


def _target(name: str, provider: str, model: str, **more: Any) -> Target:
    values: dict[str, Any] = {"max_output_tokens": 4096, "context_tokens": 100_000, "accepts": _EVERYTHING, **more}
    return Target(name=name, provider=provider, model=model, **values)


class Converse(ProviderResponses):
    name = "converse"
    target = _target("bedrock/claude", "bedrock", "us.anthropic.claude-sonnet-4-5-20250929-v1:0")
    key_header = f"authorization: AWS4-HMAC-SHA256 Credential={KEYS.access_key}/"
    head = Wire.STREAM_HEAD

    def delta(self, text: str) -> bytes:
        return Wire.text(text)

    def opening(self) -> bytes:
        return Wire.event("messageStart", {"role": "assistant"})

    def stream(self, *deltas: bytes) -> bytes:
        return Wire.stream(self.opening(), *deltas, Wire.event("contentBlockStop", {"contentBlockIndex": 0}), Wire.ending())

    def complete(self, text: str) -> bytes:
        return Wire.response(200, Wire.converse({"text": text}))

    def malformed_event(self) -> bytes:
        frame = Wire.frame("event", "contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "lost"}})
        return Wire.chunk(frame[:-8] + b"XXXX" + frame[-4:])  # its checksum does not match

    def error_event(self) -> bytes:
        return Wire.exception("modelStreamErrorException", "The model produced an error while streaming.")

    def error_for_answer(self) -> bytes:
        return bedrock_error("ModelErrorException", 424, "The request failed due to an error while processing the model.")

    def refusal(self, stream: bool) -> bytes:
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

    def delta(self, text: str) -> bytes:
        return self.chunk({"content": text})

    def opening(self) -> bytes:
        return self.chunk({"role": "assistant", "content": ""})

    def ending(self, reason: str = "stop") -> bytes:
        metrics = {"inputTokenCount": 3, "outputTokenCount": 2, "invocationLatency": 12, "firstByteLatency": 5}
        return self.chunk({}, reason, **{"amazon-bedrock-invocationMetrics": metrics})

    def stream(self, *deltas: bytes) -> bytes:
        return Wire.stream(self.opening(), *deltas, self.ending())

    def complete(self, text: str) -> bytes:
        return completion(text)

    def malformed_event(self) -> bytes:
        return Wire.event("chunk", {"bytes": base64.b64encode(b'{"id": "chatcmpl-1", "choices": [{"del').decode()})

    def refusal(self, stream: bool) -> bytes:
        if stream:
            return Wire.stream(self.opening(), self.ending("content_filter"))
        return completion("", "content_filter")


def bedrock_error(name: str, status: int, message: str, **headers: str) -> bytes:
    return Wire.response(status, {"message": message}, x_amzn_errortype=f"{name}:http://internal.amazon.com/", **headers)


def completion(text: str, reason: str = "stop") -> bytes:
    """A chat.completion that is not streamed."""
    return Wire.response(
        200,
        {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": reason}],
            "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
        },
    )


def sse_event(value: Any) -> bytes:
    """One event of an SSE stream without a name, in a chunk of its own."""
    return Wire.chunk(b"data: " + (value if isinstance(value, bytes) else json.dumps(value).encode()) + b"\n\n")


_SSE_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n"


class OpenAI(ProviderResponses):
    name = "openai"
    target = _target("openai/gpt-5", "openai", "gpt-5", max_tokens_name="max_completion_tokens")
    endpoint = Endpoint(name="openai", type="openai_compatible", secret_arn="arn:aws:secretsmanager:us-east-1:1:secret:openai")
    key_header = f"authorization: Bearer {KEY}\r\n"
    head = _SSE_HEAD
    base_path = "/v1"

    @staticmethod
    def chunk(delta: Mapping[str, Any], finish_reason: str | None = None) -> bytes:
        choices = [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}]
        return sse_event({"id": "chatcmpl-1", "object": "chat.completion.chunk", "choices": choices, "usage": None})

    def delta(self, text: str) -> bytes:
        return self.chunk({"content": text})

    def opening(self) -> bytes:
        return self.chunk({"role": "assistant", "content": "", "refusal": None})

    def ending(self, reason: str = "stop") -> bytes:
        usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
        return self.chunk({}, reason) + sse_event({"id": "chatcmpl-1", "choices": [], "usage": usage}) + sse_event(b"[DONE]")

    def stream(self, *deltas: bytes) -> bytes:
        return self.head + self.opening() + b"".join(deltas) + self.ending() + Wire.STREAM_END

    def complete(self, text: str) -> bytes:
        return completion(text)

    def malformed_event(self) -> bytes:
        return sse_event(b'{"id": "chatcmpl-1", "choices": [{"del')

    def error_event(self) -> bytes:
        message = "The server had an error while processing your request. Sorry about that!"
        return sse_event({"error": {"message": message, "type": "server_error", "param": None, "code": None}})

    def error_for_answer(self) -> bytes:
        return openai_error(200, "The server had an error while processing your request", "server_error")

    def refusal(self, stream: bool) -> bytes:
        message = "Invalid prompt: your prompt was flagged as potentially violating our usage policy."
        return openai_error(400, message, "invalid_request_error", "invalid_prompt")


class Vllm(OpenAI):
    name = "vllm"
    target = _target("vllm/qwen3", "vllm", "Qwen/Qwen3-8B")
    endpoint = Endpoint(name="vllm", type="openai_compatible")
    key_header = ""

    def error_event(self) -> bytes:
        error = {"message": "EngineCore encountered an issue.", "type": "InternalServerError", "param": None, "code": 500}
        return sse_event({"error": error}) + sse_event(b"[DONE]")

    def error_for_answer(self) -> bytes:
        return openai_error(200, "EngineCore encountered an issue.", "InternalServerError", 500)

    def refusal(self, stream: bool) -> bytes:
        if stream:
            return self.head + self.opening() + self.ending("content_filter") + Wire.STREAM_END
        return completion("", "content_filter")


def openai_error(status: int, message: str, kind: str, code: Any = None, **headers: str) -> bytes:
    return Wire.response(status, {"error": {"message": message, "type": kind, "param": None, "code": code}}, **headers)


class Anthropic(ProviderResponses):
    name = "anthropic"
    target = _target("anthropic/sonnet", "anthropic", "claude-sonnet-4-5")
    endpoint = Endpoint(name="anthropic", type="anthropic", secret_arn="arn:aws:secretsmanager:us-east-1:1:secret:anthropic")
    key_header = f"x-api-key: {KEY}\r\n"
    head = _SSE_HEAD

    @staticmethod
    def event(kind: str, **members: Any) -> bytes:
        body = json.dumps({"type": kind, **members})
        return Wire.chunk(f"event: {kind}\ndata: {body}\n\n".encode())

    def delta(self, text: str) -> bytes:
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

    def stream(self, *deltas: bytes) -> bytes:
        return self.head + self.opening() + b"".join(deltas) + self.ending() + Wire.STREAM_END

    def complete(self, text: str, reason: str = "end_turn") -> bytes:
        content = [{"type": "text", "text": text}] if text else []
        usage = {"input_tokens": 3, "output_tokens": 2}
        message = {"id": "msg_1", "type": "message", "role": "assistant", "content": content, "stop_reason": reason}
        return Wire.response(200, {**message, "usage": usage})

    def malformed_event(self) -> bytes:
        return Wire.chunk(b'event: content_block_delta\ndata: {"type": "content_block_delta", "del\n\n')

    def error_event(self) -> bytes:
        return self.event("error", error={"type": "overloaded_error", "message": "Overloaded"})

    def error_for_answer(self) -> bytes:
        return anthropic_error(200, "api_error", "Internal server error")

    def refusal(self, stream: bool) -> bytes:
        if stream:
            return self.head + self.opening() + self.ending("refusal") + Wire.STREAM_END
        return self.complete("", "refusal")


def anthropic_error(status: int, kind: str, message: str, **headers: str) -> bytes:
    return Wire.response(
        status, {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}, **headers
    )


CONVERSE, INVOKE, OPENAI, VLLM, ANTHROPIC = PROVIDERS = (Converse(), Invoke(), OpenAI(), Vllm(), Anthropic())
# The provider of the second target, where the first one fails: always one at another address.
FOLLOWER: dict[str, ProviderResponses] = {
    "converse": OPENAI,
    "invoke": VLLM,
    "openai": ANTHROPIC,
    "vllm": CONVERSE,
    "anthropic": INVOKE,
}
