"""Providers as they are on the wire: what each sends for an answer, whole and streamed, and what it documents of a request."""

import base64
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, ClassVar, Literal, get_type_hints

from botocore import validate
from botocore.loaders import Loader
from botocore.model import ServiceModel
from openai.types.chat.completion_create_params import CompletionCreateParamsNonStreaming, CompletionCreateParamsStreaming
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from lambda_src.conftest import REGION, Wire

KEY = "sk-test-0123456789"

Frames = list[bytes]


# A conversation, in nobody's words.


@dataclass(frozen=True)
class Call:
    id: str
    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True)
class Answer:
    text: str = ""
    reasoning: str = ""
    calls: tuple[Call, ...] = ()
    stop: str = "end_turn"
    usage: tuple[int, int] = (11, 7)


@dataclass(frozen=True)
class Asked:
    """What a provider was asked. `turns` are (role, text), ("call", id, name, arguments) and ("result", id, text)."""

    turns: tuple[tuple[Any, ...], ...] = (("user", "Hi"),)
    system: str | None = None
    tools: dict[str, tuple[str | None, Any]] = field(default_factory=dict)
    choice: Any = None
    max_tokens: int = 4000
    temperature: float | None = None
    top_p: float | None = None
    stop: tuple[str, ...] = ()


def dumped(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def cut(text: str, size: int) -> list[str]:
    return [text[i : i + size] for i in range(0, len(text), size)]


def pieces(call: Call) -> list[str]:
    """A call's arguments as they are streamed: a call without any is streamed as nothing."""
    return ["", *cut(json.dumps(call.arguments, ensure_ascii=False), 4)] if call.arguments else [""]


def with_news(value: Any) -> Any:
    """The same JSON with members that nobody knows yet; a tool's input is the model's own."""
    if isinstance(value, list):
        return [with_news(item) for item in value]
    if not isinstance(value, dict):
        return value
    known = {name: item if name == "input" else with_news(item) for name, item in value.items()}
    return {"of_tomorrow": {"a": [1, None]}, **known}


# The providers.


class Speaker:
    """A provider's side of the wire. `accepts` and `target` are what its model takes beside the sampling parameters."""

    endpoint: Literal["openai_compatible", "anthropic"] | None = None
    media_type = "text/event-stream; charset=utf-8"
    key = True
    target: ClassVar[dict[str, Any]] = {}
    tells_stop_sequence = True
    tells_reasoning = True
    ends_with_the_body = False  # nothing in the stream says that it was the last event
    takes_effort = False
    piece = 3  # characters of the text in one event

    def whole(self, answer: Answer) -> Any:
        raise NotImplementedError

    def events(self, answer: Answer) -> Iterator[Any]:
        """The events of a stream, before they are framed."""
        raise NotImplementedError

    def frame(self, event: Any) -> bytes:
        raise NotImplementedError

    def noise(self) -> Frames:
        """Frames that mean nothing wherever they stand."""
        raise NotImplementedError

    def padding(self) -> bytes:
        """What may stand before the JSON of a whole answer."""
        return b""

    def asked(self, body: Any) -> Asked:
        raise NotImplementedError

    def check(self, path: str, headers: dict[str, str], body: Any, *, stream: bool) -> None:
        """Hold a request against what the provider documents."""
        raise NotImplementedError

    def expected(self, answer: Answer) -> Answer:
        """What a caller can learn of an answer."""
        if answer.stop == "stop_sequence" and not self.tells_stop_sequence:
            answer = replace(answer, stop="end_turn")
        return answer if self.tells_reasoning else replace(answer, reasoning="")

    def frames(self, answer: Answer) -> Frames:
        return [self.frame(event) for event in self.events(answer)]

    def response(self, answer: Answer, *, stream: bool) -> bytes:
        return self.streamed(*self.frames(answer)) if stream else self.answered(dumped(self.whole(answer)))

    def answered(self, body: bytes) -> bytes:
        return Wire.response(200, body)

    def head(self, framing: str = "transfer-encoding: chunked") -> bytes:
        return f"HTTP/1.1 200 OK\r\ncontent-type: {self.media_type}\r\n{framing}\r\n\r\n".encode()

    def streamed(self, *frames: bytes) -> bytes:
        return self.head() + b"".join(map(Wire.chunk, frames)) + Wire.STREAM_END


class Converse(Speaker):
    media_type = "application/vnd.amazon.eventstream"
    _model = ServiceModel(Loader().load_service_model("bedrock-runtime", "service-2"), "bedrock-runtime")

    def whole(self, answer: Answer) -> Any:
        content: list[Any] = []
        if answer.reasoning:
            content.append({"reasoningContent": {"reasoningText": {"text": answer.reasoning, "signature": "c2ln"}}})
        if answer.text or not answer.calls:
            content.append({"text": answer.text})
        for call in answer.calls:
            content.append({"toolUse": {"toolUseId": call.id, "name": call.name, "input": call.arguments}})
        return {
            "output": {"message": {"role": "assistant", "content": content}},
            "stopReason": answer.stop,
            **self._counts(answer),
        }

    def events(self, answer: Answer) -> Iterator[Any]:
        yield "messageStart", {"role": "assistant"}
        block = 0
        for deltas in (
            [{"reasoningContent": {"text": piece}} for piece in cut(answer.reasoning, 5)],
            [{"text": piece} for piece in cut(answer.text, self.piece)],
        ):
            for delta in deltas:
                yield "contentBlockDelta", {"contentBlockIndex": block, "delta": delta}
            if deltas and "reasoningContent" in deltas[0]:
                yield (
                    "contentBlockDelta",
                    {"contentBlockIndex": block, "delta": {"reasoningContent": {"signature": "c2ln"}}},
                )
            if deltas:
                yield "contentBlockStop", {"contentBlockIndex": block}
                block += 1
        for call in answer.calls:
            start = {"toolUse": {"toolUseId": call.id, "name": call.name}}
            yield "contentBlockStart", {"contentBlockIndex": block, "start": start}
            for piece in pieces(call):
                yield "contentBlockDelta", {"contentBlockIndex": block, "delta": {"toolUse": {"input": piece}}}
            yield "contentBlockStop", {"contentBlockIndex": block}
            block += 1
        yield "messageStop", {"stopReason": answer.stop}
        yield "metadata", self._counts(answer)

    def _counts(self, answer: Answer) -> dict[str, Any]:
        read, written = answer.usage
        usage = {"inputTokens": read, "outputTokens": written, "totalTokens": read + written, "cacheReadInputTokens": 0}
        return {"usage": usage, "metrics": {"latencyMs": 12}}

    def frame(self, event: Any) -> bytes:
        name, payload = event
        return Wire.frame("event", name, dumped(payload))

    def noise(self) -> Frames:
        citation = {"citation": {"title": "A source"}}
        return [
            self.frame(("ofTomorrow", {"delta": {"text": "not the answer's"}})),
            self.frame(("contentBlockDelta", {"contentBlockIndex": 0, "delta": citation})),
            self.frame(("contentBlockStart", {"contentBlockIndex": 0, "start": {"ofTomorrow": {}}})),
        ]

    def asked(self, body: Any) -> Asked:
        turns: list[tuple[Any, ...]] = []
        for message in body["messages"]:
            for block in message["content"]:
                match block:
                    case {"text": text}:
                        turns.append((message["role"], text))
                    case {"toolUse": use}:
                        turns.append(("call", use["toolUseId"], use["name"], use["input"]))
                    case {"toolResult": {"toolUseId": id_, "content": [{"text": text}]}}:
                        assert message["role"] == "user"
                        turns.append(("result", id_, text))
        config, tools = body["inferenceConfig"], body.get("toolConfig", {})
        specs = [tool["toolSpec"] for tool in tools.get("tools", [])]
        choice = tools.get("toolChoice", {"auto": {}}) if tools else {}
        names = {"auto": "auto", "any": "required", "tool": choice.get("tool", {}).get("name")}
        return Asked(
            turns=tuple(turns),
            system="".join(block["text"] for block in body["system"]) if "system" in body else None,
            tools={spec["name"]: (spec.get("description"), spec["inputSchema"]["json"]) for spec in specs},
            choice=names[next(iter(choice))] if choice else None,
            max_tokens=config["maxTokens"],
            temperature=config.get("temperature"),
            top_p=config.get("topP"),
            stop=tuple(config.get("stopSequences", ())),
        )

    def check(self, path: str, headers: dict[str, str], body: Any, *, stream: bool) -> None:
        assert path == f"/model/test.model-v1%3A0/converse{'-stream' if stream else ''}"
        _check_signature(headers)
        operation = self._model.operation_model("ConverseStream" if stream else "Converse")
        assert set(body) <= set(operation.input_shape.members)
        validate.validate_parameters({"modelId": "a-model", **body}, operation.input_shape)
        roles = [message["role"] for message in body["messages"]]
        assert roles == ["user", "assistant"] * (len(roles) // 2) + ["user"]


def _check_signature(headers: dict[str, str]) -> None:
    assert headers["content-type"] == "application/json"
    assert f"/{REGION}/bedrock/aws4_request" in headers["authorization"]


class OpenAI(Speaker):
    """OpenAI itself: the reasoning is hidden, and a stop sequence looks like the answer's end."""

    endpoint = "openai_compatible"
    target: ClassVar[dict[str, Any]] = {"max_tokens_name": "max_completion_tokens"}
    reasoning: str | None = None
    tells_stop_sequence = False
    tells_reasoning = False
    takes_effort = True
    limit = "max_completion_tokens"
    _stops: ClassVar[dict[str, str]] = {
        "end_turn": "stop",
        "stop_sequence": "stop",
        "max_tokens": "length",
        "tool_use": "tool_calls",
        "content_filtered": "content_filter",
    }

    def whole(self, answer: Answer) -> Any:
        message: dict[str, Any] = {"role": "assistant", "content": answer.text if answer.text or not answer.calls else None}
        message |= {"refusal": None, "annotations": []}
        if self.reasoning:
            message[self.reasoning] = answer.reasoning or None
        if answer.calls:
            message["tool_calls"] = [
                {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": json.dumps(call.arguments)}}
                for call in answer.calls
            ]
        choice = {"index": 0, "message": message, "logprobs": None, **self._end(answer)}
        return {**self._base("chat.completion"), "choices": [choice], "usage": self._usage(answer)}

    def events(self, answer: Answer) -> Iterator[Any]:
        yield self._chunk({"role": "assistant", "content": "", "refusal": None})
        if self.reasoning:
            for piece in cut(answer.reasoning, 5):
                yield self._chunk({self.reasoning: piece, "content": None})
        for piece in cut(answer.text, self.piece):
            yield self._chunk({"content": piece})
        for index, call in enumerate(answer.calls):
            function = {"name": call.name, "arguments": ""}
            yield self._chunk({"tool_calls": [{"index": index, "id": call.id, "type": "function", "function": function}]})
            for piece in pieces(call):
                yield self._chunk({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
        yield from self._ending(answer)
        yield b"[DONE]"

    def _ending(self, answer: Answer) -> Iterator[Any]:
        yield self._chunk({}, **self._end(answer))
        yield {**self._base("chat.completion.chunk"), "choices": [], "usage": self._usage(answer)}

    def _base(self, shape: str) -> dict[str, Any]:
        return {"id": "chatcmpl-1", "object": shape, "created": 1_700_000_000, "model": "a-model", "system_fingerprint": None}

    def _chunk(self, delta: dict[str, Any], **more: Any) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": None, **more}
        return {**self._base("chat.completion.chunk"), "choices": [choice], "usage": None}

    def _end(self, answer: Answer) -> dict[str, Any]:
        return {"finish_reason": self._stops[answer.stop]}

    def _usage(self, answer: Answer) -> dict[str, Any]:
        read, written = answer.usage
        details = {"completion_tokens_details": {"reasoning_tokens": 3}, "prompt_tokens_details": {"cached_tokens": 0}}
        return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written, **details}

    def frame(self, event: Any) -> bytes:
        return b"data: %s\n\n" % (event if isinstance(event, bytes) else dumped(event))

    def noise(self) -> Frames:
        first = {**self._base("chat.completion.chunk"), "choices": [], "prompt_filter_results": []}  # Azure's
        return [
            b": keep-alive\n\n",
            b"retry: 10\n\n",
            b"id: 7\n\n",
            b"data: \n\n",
            self.frame(first),
            self.frame(self._chunk({})),
        ]

    def asked(self, body: Any) -> Asked:
        turns: list[tuple[Any, ...]] = []
        system: str | None = None
        for message in body["messages"]:
            match message["role"]:
                case "system":
                    assert system is None and not turns
                    system = message["content"]
                case "tool":
                    turns.append(("result", message["tool_call_id"], message["content"]))
                case role:
                    if message["content"] is not None:
                        turns.append((role, message["content"]))
                    for use in message.get("tool_calls", []):
                        arguments = json.loads(use["function"]["arguments"])
                        turns.append(("call", use["id"], use["function"]["name"], arguments))
        functions = [tool["function"] for tool in body.get("tools", [])]
        choice = body.get("tool_choice")
        return Asked(
            turns=tuple(turns),
            system=system,
            tools={function["name"]: (function.get("description"), function["parameters"]) for function in functions},
            choice=choice["function"]["name"] if isinstance(choice, dict) else choice,
            max_tokens=body[self.limit],
            temperature=body.get("temperature"),
            top_p=body.get("top_p"),
            stop=tuple(body.get("stop", ())),
        )

    def check(self, path: str, headers: dict[str, str], body: Any, *, stream: bool) -> None:
        assert path == "/v1/chat/completions" and headers["content-type"] == "application/json"
        assert headers.get("authorization") == (f"Bearer {KEY}" if self.key else None)
        assert body["model"] == "test.model-v1:0"
        assert body.get("stream", False) == stream
        assert body.get("stream_options") == ({"include_usage": True} if stream else None)
        check_chat_completion(body, stream=stream)


def check_chat_completion(body: Any, *, stream: bool) -> None:
    """Hold a body against the types of OpenAI's own client."""
    kind: Any = CompletionCreateParamsStreaming if stream else CompletionCreateParamsNonStreaming
    assert set(body) <= set(get_type_hints(kind))
    _take_all(TypeAdapter(kind).validate_python(body))


def _take_all(value: Any) -> None:
    """pydantic checks an Iterable's items when they are taken."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, Iterable) and not isinstance(value, str | bytes):
        for item in value:
            _take_all(item)


class DeepSeek(OpenAI):
    target: ClassVar[dict[str, Any]] = {}
    limit = "max_tokens"
    reasoning = "reasoning_content"
    tells_reasoning = True

    def padding(self) -> bytes:
        return b"\n\n\n"

    def _ending(self, answer: Answer) -> Iterator[Any]:
        yield {**self._chunk({"content": ""}, **self._end(answer)), "usage": self._usage(answer)}


class VLLM(OpenAI):
    target: ClassVar[dict[str, Any]] = {}
    limit = "max_tokens"
    key = False
    reasoning = "reasoning"
    tells_reasoning = True
    tells_stop_sequence = True

    def _end(self, answer: Answer) -> dict[str, Any]:
        met = "END" if answer.stop == "stop_sequence" else 151645 if answer.stop == "end_turn" else None
        return {**super()._end(answer), "stop_reason": met}


class Imported(OpenAI):
    """A model that was imported to Bedrock: OpenAI's format in Bedrock's frames, without [DONE]."""

    endpoint = None
    media_type = "application/vnd.amazon.eventstream"
    target: ClassVar[dict[str, Any]] = {"api": "invoke_model"}
    limit = "max_tokens"
    reasoning = "reasoning_content"
    tells_reasoning = True
    ends_with_the_body = True

    def events(self, answer: Answer) -> Iterator[Any]:
        return (event for event in super().events(answer) if event != b"[DONE]")

    def _ending(self, answer: Answer) -> Iterator[Any]:
        read, written = answer.usage
        metrics = {"inputTokenCount": read, "outputTokenCount": written, "invocationLatency": 12, "firstByteLatency": 3}
        yield {**self._chunk({}, **self._end(answer)), "amazon-bedrock-invocationMetrics": metrics}

    def frame(self, event: Any) -> bytes:
        return Wire.frame("event", "chunk", {"bytes": base64.b64encode(dumped(event)).decode(), "p": "abcdef"})

    def noise(self) -> Frames:
        return [Wire.frame("event", "ofTomorrow", {"bytes": "!"}), self.frame(self._chunk({}))]

    def check(self, path: str, headers: dict[str, str], body: Any, *, stream: bool) -> None:
        assert path == f"/model/test.model-v1%3A0/invoke{'-with-response-stream' if stream else ''}"
        _check_signature(headers)
        assert not {"model", "stream", "stream_options"} & set(body)
        check_chat_completion({"model": "", **body}, stream=False)


class Anthropic(Speaker):
    endpoint = "anthropic"

    def whole(self, answer: Answer) -> Any:
        content: list[Any] = []
        if answer.reasoning:
            content.append({"type": "thinking", "thinking": answer.reasoning, "signature": "c2ln"})
        if answer.text:
            content.append({"type": "text", "text": answer.text, "citations": None})
        for call in answer.calls:
            content.append({"type": "tool_use", "id": call.id, "name": call.name, "input": call.arguments})
        usage = {**self._sent(answer), "output_tokens": answer.usage[1]}
        return {**self._message(), "content": content, **self._end(answer), "usage": usage}

    def events(self, answer: Answer) -> Iterator[Any]:
        yield {"type": "message_start", "message": {**self._message(), "usage": {**self._sent(answer), "output_tokens": 1}}}
        blocks: list[tuple[Any, list[Any]]] = []
        if answer.reasoning:
            deltas = [{"type": "thinking_delta", "thinking": piece} for piece in cut(answer.reasoning, 5)]
            signature = {"type": "signature_delta", "signature": "c2ln"}
            blocks.append(({"type": "thinking", "thinking": "", "signature": ""}, [*deltas, signature]))
        if answer.text:
            deltas = [{"type": "text_delta", "text": piece} for piece in cut(answer.text, self.piece)]
            blocks.append(({"type": "text", "text": ""}, deltas))
        for call in answer.calls:
            deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in pieces(call)]
            blocks.append(({"type": "tool_use", "id": call.id, "name": call.name, "input": {}}, deltas))
        for index, (block, deltas) in enumerate(blocks):
            yield {"type": "content_block_start", "index": index, "content_block": block}
            yield from ({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas)
            yield {"type": "content_block_stop", "index": index}
        usage = {"input_tokens": None, "output_tokens": answer.usage[1]}
        yield {"type": "message_delta", "delta": self._end(answer), "usage": usage}
        yield {"type": "message_stop"}

    def _message(self) -> dict[str, Any]:
        message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "a-model", "content": []}
        return {**message, "stop_reason": None, "stop_sequence": None}

    def _sent(self, answer: Answer) -> dict[str, Any]:
        """What was read from the prompt cache or written to it is counted beside the rest."""
        return {"input_tokens": answer.usage[0] - 5, "cache_read_input_tokens": 3, "cache_creation_input_tokens": 2}

    def _end(self, answer: Answer) -> dict[str, Any]:
        reason = "refusal" if answer.stop == "content_filtered" else answer.stop
        return {"stop_reason": reason, "stop_sequence": "END" if reason == "stop_sequence" else None}

    def frame(self, event: Any) -> bytes:
        return b"event: %s\ndata: %s\n\n" % (event["type"].encode(), dumped(event))

    def noise(self) -> Frames:
        unknown = {"type": "content_block_delta", "index": 0, "delta": {"type": "citations_delta", "citation": {}}}
        return [b": comment\n\n", *map(self.frame, ({"type": "ping"}, {"type": "of_tomorrow", "index": 0}, unknown))]

    def asked(self, body: Any) -> Asked:
        turns: list[tuple[Any, ...]] = []
        for message in body["messages"]:
            for block in message["content"]:
                match block["type"]:
                    case "text":
                        turns.append((message["role"], block["text"]))
                    case "tool_use":
                        turns.append(("call", block["id"], block["name"], block["input"]))
                    case "tool_result":
                        turns.append(("result", block["tool_use_id"], block["content"]))
        choice = body.get("tool_choice")
        return Asked(
            turns=tuple(turns),
            system=body.get("system"),
            tools={tool["name"]: (tool.get("description"), tool["input_schema"]) for tool in body.get("tools", [])},
            choice=choice and {"auto": "auto", "any": "required", "none": "none", "tool": choice.get("name")}[choice["type"]],
            max_tokens=body["max_tokens"],
            temperature=body.get("temperature"),
            top_p=body.get("top_p"),
            stop=tuple(body.get("stop_sequences", ())),
        )

    def check(self, path: str, headers: dict[str, str], body: Any, *, stream: bool) -> None:
        assert path == "/v1/messages"
        assert (headers["x-api-key"], headers["anthropic-version"]) == (KEY, "2023-06-01")
        assert headers["content-type"] == "application/json" and "authorization" not in headers
        request = MessagesRequest.model_validate(body)
        assert request.model == "test.model-v1:0" and bool(request.stream) == stream
        blocks = [block for message in request.messages for block in message.content]
        assert request.tools or not any(isinstance(block, ToolUseBlock | ToolResultBlock) for block in blocks)
        assert request.tools or request.tool_choice is None
        roles = [message.role for message in request.messages]
        assert roles == ["user", "assistant"] * (len(roles) // 2) + ["user"]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class TextBlock(Strict):
    type: Literal["text"]
    text: Annotated[str, Field(min_length=1)]


class ToolUseBlock(Strict):
    type: Literal["tool_use"]
    id: Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]+$")]
    name: Annotated[str, Field(min_length=1, max_length=200)]
    input: dict[str, Any]


class ToolResultBlock(Strict):
    type: Literal["tool_result"]
    tool_use_id: Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]+$")]
    content: str = ""
    is_error: bool = False


class InputMessage(Strict):
    role: Literal["user", "assistant"]
    content: Annotated[list[TextBlock | ToolUseBlock | ToolResultBlock], Field(min_length=1)]


class InputSchema(BaseModel):
    type: Literal["object"]


class CustomTool(Strict):
    name: Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,128}$")]
    description: str | None = None
    input_schema: InputSchema


class ToolChoice(Strict):
    type: Literal["auto", "any", "none", "tool"]
    name: str | None = None


class MessagesRequest(Strict):
    """POST /v1/messages, as far as a gateway without images and server tools sends it.

    https://docs.anthropic.com/en/api/messages
    """

    model: str
    max_tokens: Annotated[int, Field(ge=1)]
    messages: Annotated[list[InputMessage], Field(min_length=1)]
    system: Annotated[str, Field(min_length=1)] | None = None
    temperature: Annotated[float, Field(ge=0, le=1)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    stop_sequences: list[Annotated[str, Field(min_length=1)]] | None = None
    tools: list[CustomTool] | None = None
    tool_choice: ToolChoice | None = None
    stream: bool | None = None


SPEAKERS: dict[str, Speaker] = {
    "bedrock": Converse(),
    "imported": Imported(),
    "openai": OpenAI(),
    "deepseek": DeepSeek(),
    "vllm": VLLM(),
    "anthropic": Anthropic(),
}
OPENAI = {name: speaker for name, speaker in SPEAKERS.items() if isinstance(speaker, OpenAI)}
