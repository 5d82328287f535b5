"""Bedrock's Converse and ConverseStream: their requests and answers.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html
"""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from llm_gateway import errors
from llm_gateway.aws.event_stream import EventStreamDecoder
from llm_gateway.call import ModelCall
from llm_gateway.errors import GatewayError
from llm_gateway.events import Delta, Done, Event, Reasoning, StopReason, ToolCall, ToolCallDelta, Usage
from llm_gateway.providers import exchange
from llm_gateway.providers.bedrock.errors import refusal, stream_exception
from llm_gateway.request import Message, Tool

# The names of the sampling parameters.
_SAMPLING = {"max_tokens": "maxTokens", "temperature": "temperature", "top_p": "topP", "stop": "stopSequences"}

_STOP_REASONS: dict[str, StopReason] = {
    "end_turn": "end_turn",
    "tool_use": "tool_use",
    "max_tokens": "max_tokens",
    "stop_sequence": "stop_sequence",
    "guardrail_intervened": "content_filtered",
    "content_filtered": "content_filtered",
    "model_context_window_exceeded": "context_window_exceeded",
}

_encode = msgspec.json.Encoder().encode


class Converse:
    """The dialect of Converse and ConverseStream."""

    media_type = "application/vnd.amazon.eventstream"
    operations = ("converse", "converse-stream")

    def body(self, call: ModelCall) -> dict[str, Any]:
        return _body(call)

    def refusal(self, status: int, headers: Mapping[str, str], body: bytes) -> GatewayError:
        return refusal(status, headers, body)

    def read_complete(self, body: bytes) -> list[Event]:
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
        stop = _stop_reason(answer.stopReason, has_content=bool(events))
        return [*events, answer.usage.event(), Done(stop)]

    def decoder(self) -> "_Stream":
        return _Stream()


# The request.


def _body(call: ModelCall) -> dict[str, Any]:
    body: dict[str, Any] = {
        "messages": exchange.alternating_turns(call.messages, _content_blocks),
        "inferenceConfig": call.sampling.named(_SAMPLING),
    }
    if call.system:
        body["system"] = [{"text": call.system}]
    if tools := _declared_tools(call):
        body["toolConfig"] = {"tools": [_tool_spec(tool) for tool in tools], **_tool_choice(call)}
    return body


def _content_blocks(message: Message) -> Iterator[dict[str, Any]]:
    if message.role == "tool":
        yield {"toolResult": {"toolUseId": message.tool_call_id, "content": [{"text": message.text}]}}
        return
    if message.text.strip():
        yield {"text": message.text}
    for call in message.tool_calls:
        yield {"toolUse": {"toolUseId": call.id, "name": call.name, "input": call.arguments}}


def _declared_tools(call: ModelCall) -> tuple[Tool, ...]:
    """Return the tools to declare.

    Converse has no tool choice "none". It requires a declaration of every tool that is called in the history, even if it is not
    offered now.
    """
    used = any(message.tool_calls for message in call.messages)
    tools = call.tools if used or call.tool_choice.mode != "none" else ()
    return (*tools, *exchange.undeclared_tools(call))


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


# The answer, complete and streamed, in the names of the API. msgspec ignores all other fields.


class _ToolUse(msgspec.Struct):
    toolUseId: str = ""
    name: str = ""
    input: Any = None


class _ReasoningText(msgspec.Struct):
    text: str = ""


class _ReasoningContent(msgspec.Struct):
    """A complete block has `reasoningText`, a part of a block has `text`."""

    reasoningText: _ReasoningText | None = None
    text: str = ""


class _Content(msgspec.Struct):
    """A block of an answer, or a part of one."""

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


class _Stream:
    """Decodes the events of ConverseStream. The last event of a complete stream is `metadata`."""

    def __init__(self) -> None:
        self.done = False
        self._frames = EventStreamDecoder()
        self._calls = 0
        self._without_arguments = False  # a call whose arguments have not come: no event is sent for an empty object
        self._has_content = False
        self._stop: StopReason | None = None

    def feed(self, data: bytes, events: list[Event]) -> None:
        for headers, payload in self._frames.feed(data):
            name = headers.get(":event-type")
            if name == "contentBlockDelta":
                self._delta(_decode_delta(payload).delta, events)
            elif name is None or headers.get(":message-type") != "event":
                raise stream_exception(headers, payload)
            else:
                self._other(name, payload, events)
                if self.done:
                    return

    def end(self, events: list[Event]) -> None:
        raise errors.stream_interrupted(detail="the stream ended without metadata")

    def _delta(self, delta: _Content, events: list[Event]) -> None:
        if delta.text:
            self._has_content = True
            events.append(Delta(delta.text))
        elif delta.toolUse is not None:
            if delta.toolUse.input:
                if not self._calls:
                    raise ValueError("arguments came before their toolUse")
                self._without_arguments = False
                events.append(ToolCallDelta(index=self._calls - 1, arguments=str(delta.toolUse.input)))
        elif delta.reasoningContent is not None and delta.reasoningContent.text:  # else it is a signature or empty
            events.append(Reasoning(delta.reasoningContent.text))

    def _other(self, name: str, payload: bytes, events: list[Event]) -> None:
        match name:
            case "contentBlockStart":
                if (use := _decode_start(payload).start.toolUse) is not None:
                    self._has_content = self._without_arguments = True
                    events.append(_tool_call(use, self._calls))
                    self._calls += 1
            case "contentBlockStop" if self._without_arguments:
                self._without_arguments = False
                events.append(ToolCallDelta(index=self._calls - 1, arguments="{}"))
            case "messageStop":
                self._stop = _stop_reason(_decode_stop(payload).stopReason, has_content=self._has_content)
            case "metadata":
                if self._stop is None:
                    raise errors.stream_interrupted(detail="metadata came before messageStop")
                events.append(_decode_metadata(payload).usage.event())
                events.append(Done(self._stop))
                self.done = True
            case _:  # messageStart and contentBlockStop add nothing
                pass


def _tool_call(use: _ToolUse, index: int) -> ToolCall:
    if not use.toolUseId or not use.name:
        raise ValueError("a toolUse has no toolUseId or no name")
    return ToolCall(index=index, id=use.toolUseId, name=use.name)


def _stop_reason(reason: str, *, has_content: bool) -> StopReason:
    meaning = _STOP_REASONS.get(reason)
    if meaning is None:
        # malformed_model_output, malformed_tool_use, or a new one of AWS: the answer is not complete.
        raise errors.upstream_failed(detail=f"the model stopped with {reason!r}")
    if meaning == "content_filtered" and not has_content:
        raise errors.content_filter(detail=f"stopReason {reason}")
    return meaning
