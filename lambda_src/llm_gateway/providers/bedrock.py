"""Amazon Bedrock: Converse and ConverseStream, and for imported models InvokeModel in OpenAI's chat format.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html
https://docs.aws.amazon.com/bedrock/latest/userguide/invoke-imported-model.html
"""

import base64
from collections.abc import AsyncGenerator, Iterator, Mapping
from typing import Any
from urllib.parse import quote

import msgspec

from llm_gateway import errors
from llm_gateway.aws import Aws
from llm_gateway.call import ModelCall
from llm_gateway.errors import GatewayError
from llm_gateway.event_stream import EventStreamDecoder
from llm_gateway.events import Delta, Done, Event, Reasoning, StopReason, ToolCall, ToolCallDelta, Usage
from llm_gateway.http_client import Response
from llm_gateway.providers import openai_chat, upstream
from llm_gateway.request import Message, Tool

_STOP_REASONS: dict[str, StopReason] = {
    "end_turn": "end_turn",
    "tool_use": "tool_use",
    "max_tokens": "max_tokens",
    "stop_sequence": "stop_sequence",
    "guardrail_intervened": "content_filtered",
    "content_filtered": "content_filtered",
    "model_context_window_exceeded": "context_window_exceeded",
}

_HEADERS = (("content-type", "application/json"),)

_encode = msgspec.json.Encoder().encode


class Bedrock:
    """Foundation models, inference profiles, provisioned throughput and imported models, by id or ARN."""

    def __init__(self, aws: Aws) -> None:
        self._aws = aws
        self._paths: dict[str, str] = {}

    def answer(self, call: ModelCall) -> AsyncGenerator[list[Event], None]:
        dialect = _CONVERSE if call.target.api == "converse" else _INVOKE_MODEL
        return upstream.exchange(self._send(call, dialect), call, dialect)

    async def _send(self, call: ModelCall, dialect: "_Converse | _InvokeModel") -> Response:
        model = call.target.model
        path = self._paths.get(model)
        if path is None:
            path = self._paths[model] = f"/model/{quote(model, safe='')}/"
        return await self._aws.post(
            "bedrock-runtime",
            path + dialect.operations[call.stream],
            _HEADERS,
            _encode(dialect.body(call)),
            read_timeout=call.stall_seconds,
            deadline=call.deadline,
        )


class _Converse:
    media_type = "application/vnd.amazon.eventstream"
    operations = ("converse", "converse-stream")

    def body(self, call: ModelCall) -> dict[str, Any]:
        return _body(call)

    def refusal(self, status: int, headers: Mapping[str, str], body: bytes) -> GatewayError:
        return _refusal(status, headers, body)

    def whole(self, body: bytes) -> list[Event]:
        return _whole(body)

    def decoder(self) -> "_ConverseStream":
        return _ConverseStream()


class _InvokeModel:
    media_type = "application/vnd.amazon.eventstream"
    operations = ("invoke", "invoke-with-response-stream")

    def body(self, call: ModelCall) -> dict[str, Any]:
        body = openai_chat.body(call)
        del body["model"]  # it stands in the path
        return body

    def refusal(self, status: int, headers: Mapping[str, str], body: bytes) -> GatewayError:
        return _refusal(status, headers, body)

    def whole(self, body: bytes) -> list[Event]:
        return openai_chat.whole(body)

    def decoder(self) -> "_InvokeModelStream":
        return _InvokeModelStream()


_CONVERSE = _Converse()
_INVOKE_MODEL = _InvokeModel()


# The request of Converse.


def _body(call: ModelCall) -> dict[str, Any]:
    sampling = call.sampling
    inference: dict[str, Any] = {"maxTokens": sampling.max_tokens}
    if sampling.temperature is not None:
        inference["temperature"] = sampling.temperature
    if sampling.top_p is not None:
        inference["topP"] = sampling.top_p
    if sampling.stop:
        inference["stopSequences"] = list(sampling.stop)
    body: dict[str, Any] = {"messages": _messages(call.messages), "inferenceConfig": inference}
    if call.system:
        body["system"] = [{"text": call.system}]
    if tools := _offered(call):
        body["toolConfig"] = {"tools": [_tool_spec(tool) for tool in tools], **_tool_choice(call)}
    return body


def _messages(messages: tuple[Message, ...]) -> list[dict[str, Any]]:
    """Converse wants user and assistant in turn: neighbors of one role become one message of several blocks."""
    turns: list[dict[str, Any]] = []
    for message in messages:
        role = "assistant" if message.role == "assistant" else "user"
        if not turns or turns[-1]["role"] != role:
            turns.append({"role": role, "content": []})
        turns[-1]["content"].extend(_blocks(message))
    return turns


def _blocks(message: Message) -> Iterator[dict[str, Any]]:
    if message.role == "tool":
        yield {"toolResult": {"toolUseId": message.tool_call_id, "content": [{"text": message.text}]}}
        return
    if message.text.strip():
        yield {"text": message.text}
    for call in message.tool_calls:
        yield {"toolUse": {"toolUseId": call.id, "name": call.name, "input": call.arguments}}


def _offered(call: ModelCall) -> tuple[Tool, ...]:
    """The tools to declare.

    Converse has no "none", and wants every tool that the history holds a call of declared, offered now or not.
    """
    used = any(message.tool_calls for message in call.messages)
    tools = call.tools if used or call.tool_choice.mode != "none" else ()
    return (*tools, *upstream.undeclared(call))


def _tool_spec(tool: Tool) -> dict[str, Any]:
    spec: dict[str, Any] = {"name": tool.name, "inputSchema": {"json": tool.parameters}}
    if tool.description:
        spec["description"] = tool.description
    return {"toolSpec": spec}


def _tool_choice(call: ModelCall) -> dict[str, Any]:
    match call.tool_choice.mode:
        case "required":
            return {"toolChoice": {"any": {}}}
        case "tool":
            return {"toolChoice": {"tool": {"name": call.tool_choice.name}}}
        case _:
            return {}


# The answer of Converse, whole and streamed. What is not named here is ignored, as msgspec does.


class _ToolUse(msgspec.Struct):
    toolUseId: str = ""
    name: str = ""
    input: Any = None


class _ReasoningText(msgspec.Struct):
    text: str = ""


class _ReasoningContent(msgspec.Struct):
    """Whole: `reasoningText`; a piece: `text`."""

    reasoningText: _ReasoningText | None = None
    text: str = ""


class _Content(msgspec.Struct):
    """A block of an answer, or a piece of one."""

    text: str = ""
    reasoningContent: _ReasoningContent | None = None
    toolUse: _ToolUse | None = None


class _Message(msgspec.Struct):
    content: list[_Content]


class _Output(msgspec.Struct):
    message: _Message


class _Usage(msgspec.Struct):
    inputTokens: int
    outputTokens: int

    def event(self) -> Usage:
        return Usage(input_tokens=self.inputTokens, output_tokens=self.outputTokens)


class _Answer(msgspec.Struct):
    output: _Output
    usage: _Usage
    stopReason: str


class _BlockDelta(msgspec.Struct):
    delta: _Content


class _BlockStart(msgspec.Struct):
    start: _Content


class _MessageStop(msgspec.Struct):
    stopReason: str


class _Metadata(msgspec.Struct):
    usage: _Usage


_decode_answer = msgspec.json.Decoder(_Answer).decode
_decode_delta = msgspec.json.Decoder(_BlockDelta).decode
_decode_start = msgspec.json.Decoder(_BlockStart).decode
_decode_stop = msgspec.json.Decoder(_MessageStop).decode
_decode_metadata = msgspec.json.Decoder(_Metadata).decode


def _whole(body: bytes) -> list[Event]:
    answer = _decode_answer(body)
    events: list[Event] = []
    calls = 0
    for block in answer.output.message.content:
        if block.text:
            events.append(Delta(block.text))
        elif block.reasoningContent is not None:
            if block.reasoningContent.reasoningText is not None and block.reasoningContent.reasoningText.text:
                events.append(Reasoning(block.reasoningContent.reasoningText.text))
        elif (use := block.toolUse) is not None:
            events.append(_tool_call(use, calls))
            events.append(ToolCallDelta(index=calls, arguments=_encode(use.input).decode()))
            calls += 1
    stop = _stop_reason(answer.stopReason, said=bool(events))
    return [*events, answer.usage.event(), Done(stop)]


class _ConverseStream:
    """ConverseStream's events as ours; the metadata is the last event of a whole stream."""

    def __init__(self) -> None:
        self.done = False
        self._frames = EventStreamDecoder()
        self._calls = 0
        self._bare_call = False  # a call of which no arguments have come: an object without members is sent as nothing at all
        self._said = False
        self._stop: StopReason | None = None

    def feed(self, data: bytes, events: list[Event]) -> None:
        for headers, payload in self._frames.feed(data):
            name = headers.get(":event-type")
            if name == "contentBlockDelta":
                self._delta(_decode_delta(payload).delta, events)
            elif name is None or headers.get(":message-type") != "event":
                raise _stream_exception(headers, payload)
            else:
                self._other(name, payload, events)
                if self.done:
                    return

    def end(self, events: list[Event]) -> None:
        raise errors.stream_interrupted(detail="the stream ended without metadata")

    def _delta(self, delta: _Content, events: list[Event]) -> None:
        if delta.text:
            self._said = True
            events.append(Delta(delta.text))
        elif delta.toolUse is not None:
            if delta.toolUse.input:
                if not self._calls:
                    raise ValueError("arguments came before their toolUse")
                self._bare_call = False
                events.append(ToolCallDelta(index=self._calls - 1, arguments=str(delta.toolUse.input)))
        elif delta.reasoningContent is not None and delta.reasoningContent.text:  # else a signature, or an empty piece
            events.append(Reasoning(delta.reasoningContent.text))

    def _other(self, name: str, payload: bytes, events: list[Event]) -> None:
        match name:
            case "contentBlockStart":
                if (use := _decode_start(payload).start.toolUse) is not None:
                    self._said = self._bare_call = True
                    events.append(_tool_call(use, self._calls))
                    self._calls += 1
            case "contentBlockStop" if self._bare_call:
                self._bare_call = False
                events.append(ToolCallDelta(index=self._calls - 1, arguments="{}"))
            case "messageStop":
                self._stop = _stop_reason(_decode_stop(payload).stopReason, said=self._said)
            case "metadata":
                if self._stop is None:
                    raise errors.stream_interrupted(detail="metadata came before messageStop")
                events.append(_decode_metadata(payload).usage.event())
                events.append(Done(self._stop))
                self.done = True
            case _:  # messageStart and contentBlockStop say nothing that the others don't
                pass


def _tool_call(use: _ToolUse, index: int) -> ToolCall:
    if not use.toolUseId or not use.name:
        raise ValueError("a toolUse has no toolUseId or no name")
    return ToolCall(index=index, id=use.toolUseId, name=use.name)


def _stop_reason(reason: str, *, said: bool) -> StopReason:
    meaning = _STOP_REASONS.get(reason)
    if meaning is None:
        # malformed_model_output, malformed_tool_use, or one that AWS has added: what came is not a whole answer.
        raise errors.upstream_failed(detail=f"the model stopped with {reason!r}")
    if meaning == "content_filtered" and not said:
        raise errors.content_refused(detail=f"stopReason {reason}")
    return meaning


# The stream of InvokeModel.


class _Chunk(msgspec.Struct):
    bytes: str


_decode_chunk = msgspec.json.Decoder(_Chunk).decode


class _InvokeModelStream:
    """Chunks of OpenAI's format, each in Base64 in an event. The body's end is the answer's."""

    def __init__(self) -> None:
        self.done = False
        self._frames = EventStreamDecoder()
        self._chunks = openai_chat.Chunks()

    def feed(self, data: bytes, events: list[Event]) -> None:
        for headers, payload in self._frames.feed(data):
            if headers.get(":event-type") == "chunk":
                self._chunks.read(base64.b64decode(_decode_chunk(payload).bytes), events)
            elif headers.get(":message-type") != "event":
                raise _stream_exception(headers, payload)

    def end(self, events: list[Event]) -> None:
        if self._frames.pending:
            raise errors.stream_interrupted(detail="the stream ended in the middle of an event")
        self._chunks.end(events)


# The errors.


class _Exception(msgspec.Struct):
    message: str | None = None
    Message: str | None = None
    type: str = msgspec.field(default="", name="__type")


_decode_exception = msgspec.json.Decoder(_Exception).decode


def _refusal(status: int, headers: Mapping[str, str], body: bytes) -> GatewayError:
    """The error that a status other than 200 means."""
    name = headers.get("x-amzn-errortype", "").split(":")[0]
    try:
        answer = _decode_exception(body)
        message = answer.message or answer.Message or ""
        name = name or answer.type.split("#")[-1]
    except upstream.UNREADABLE:
        message = body[:200].decode(errors="replace")
    return _exception(name, message, status=status, retry_after=upstream.retry_after(headers))


def _stream_exception(headers: Mapping[str, str], payload: bytes) -> GatewayError:
    """The error that an event means which is none of the answer's."""
    if headers.get(":message-type") == "exception":
        message = _decode_exception(payload).message if payload else None
        return _exception(headers[":exception-type"], message or "", in_stream=True)
    return errors.stream_interrupted(detail=f"{headers.get(':error-code')}: {headers.get(':error-message')}")


def _exception(
    name: str, message: str, *, status: int = 0, in_stream: bool = False, retry_after: float | None = None
) -> GatewayError:
    """What each exception of Converse means to a caller, by its name in either spelling (the stream's begin small).

    ModelNotReadyException is a 429 like ThrottlingException, but means that an imported model is being loaded.
    """
    detail = f"{name or status}: {message}"
    match name[:1].upper() + name[1:]:
        case "ThrottlingException" | "ServiceQuotaExceededException" | "TooManyRequestsException":
            return errors.upstream_throttled(retry_after=retry_after, detail=detail)
        case "ModelNotReadyException":
            return errors.model_not_ready(retry_after=retry_after, detail=detail)
        case "ServiceUnavailableException":
            return errors.upstream_unavailable(retry_after=retry_after, detail=detail)
        case "ModelTimeoutException":
            return errors.upstream_timeout("the model took too long to answer", detail=detail)
        case "ModelStreamErrorException":
            return errors.stream_interrupted(detail=detail)
        case "InternalServerException":
            return errors.stream_interrupted(detail=detail) if in_stream else errors.upstream_failed(detail=detail)
        case "ModelErrorException":
            return errors.upstream_failed(detail=detail)
        case "ValidationException":
            return _validation_error(message, detail)
        case (
            "AccessDeniedException"
            | "ResourceNotFoundException"
            | "UnrecognizedClientException"
            | "InvalidSignatureException"
            | "MissingAuthenticationTokenException"
            | "IncompleteSignatureException"
            | "ExpiredTokenException"
            | "ConflictException"
        ):
            return upstream.misconfigured(detail)
        case _ if status in (401, 403, 404):
            return upstream.misconfigured(detail)
        case _ if status == 429:
            return errors.upstream_throttled(retry_after=retry_after, detail=detail)
        case _ if status == 503:
            return errors.upstream_unavailable(retry_after=retry_after, detail=detail)
        case _:
            return errors.upstream_failed(detail=detail)


# Bedrock tells these apart from a caller's mistake only in the message's text.
_MISCONFIGURED = (
    "model identifier is invalid",
    "on-demand throughput isn",
    "end of its life",
    "end of life",
    "access to this model is not available",
)


def _validation_error(message: str, detail: str) -> GatewayError:
    lower = message.lower()
    if any(part in lower for part in _MISCONFIGURED):
        return errors.upstream_misconfigured(
            "the model's id is not valid at its provider; this service's operator has to check it", detail=detail
        )
    if upstream.says_too_long(message):
        return upstream.too_long(detail)
    return errors.upstream_rejected(f"the model's provider refused the request: {message}", detail=detail)
