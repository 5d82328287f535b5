"""Bedrock's Converse and ConverseStream: their requests and answers.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html
"""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from llm_gateway import errors
from llm_gateway.aws.event_stream import EventStreamDecoder
from llm_gateway.call import ModelCall, is_nova
from llm_gateway.errors import GatewayError
from llm_gateway.estimate import reasoning_tokens_of, tokens_of
from llm_gateway.events import (
    Delta,
    Done,
    Event,
    Reasoning,
    ReasoningSignature,
    StopReason,
    ToolCall,
    ToolCallDelta,
    Usage,
)
from llm_gateway.providers import exchange
from llm_gateway.providers.bedrock.content import ContentBlocks, cache_point
from llm_gateway.providers.bedrock.errors import refusal, stream_exception
from llm_gateway.providers.prompt_cache import has_cache_points, with_cache_points
from llm_gateway.providers.reasoning import converse_fields
from llm_gateway.providers.tool_schemas import as_nova_takes, without_unions
from llm_gateway.request import ResponseFormat, Tool
from llm_gateway.tool_calls import strict_schemas

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
# The answer is not complete.
_INCOMPLETE = ("malformed_model_output", "malformed_tool_use")


class Converse:
    """The dialect of Converse and ConverseStream."""

    media_type = "application/vnd.amazon.eventstream"
    operations = ("converse", "converse-stream")
    # https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ToolUseBlock.html
    call_id = re.compile(r"[a-zA-Z0-9_.:-]{1,64}")

    def body(self, call: ModelCall) -> dict[str, Any]:
        return _body(call)

    def refusal(self, status: int, headers: Mapping[str, str], body: bytes) -> GatewayError:
        return refusal(status, headers, body)

    def read_complete(self, body: bytes) -> list[Event]:
        answer = _decode_answer(body)
        events: list[Event] = []
        reader = _AnswerReader()
        for block in answer.output.message.content:
            if block.toolUse is not None:
                reader.begin_call(block.toolUse, events)
            reader.add(block, events)
            reader.end_block(events)
        reader.finish(answer.stopReason or "", answer.usage, events)
        return events

    def decoder(self) -> "_Stream":
        return _Stream()


# The request.


def _body(call: ModelCall) -> dict[str, Any]:
    if has_cache_points(call):
        call = with_cache_points(call)
    body: dict[str, Any] = {
        "messages": exchange.alternating_turns(call, ContentBlocks(call).of),
        "inferenceConfig": call.sampling.named(_SAMPLING),
    }
    if call.system:
        body["system"] = [{"text": call.system}]
        if call.cache_system:
            body["system"].append(cache_point(call.cache_system))
    if tools := _declared_tools(call):
        body["toolConfig"] = {"tools": _tool_list(tools, call), **_tool_choice(call)}
    if call.response_format is not None:
        body["outputConfig"] = {"textFormat": _text_format(call.response_format)}
    if fields := converse_fields(call):
        body["additionalModelRequestFields"] = fields
    if call.hints or call.guardrail is not None or call.request_metadata:
        body |= _more(call)
    return body


def _more(call: ModelCall) -> dict[str, Any]:
    """Return the fields that few requests have."""
    found: dict[str, Any] = {}
    if (guardrail := call.guardrail) is not None:
        trace = "enabled" if guardrail.trace else "disabled"
        found["guardrailConfig"] = {
            "guardrailIdentifier": guardrail.identifier,
            "guardrailVersion": guardrail.version,
            "trace": trace,
        }
    metadata = {**call.hints.get("metadata", {}), **call.request_metadata}
    if metadata := {name: str(value) for name, value in metadata.items() if _is_metadata(name) and _is_metadata(str(value))}:
        found["requestMetadata"] = dict(list(metadata.items())[-_MOST_METADATA:])
    if call.hints.get("service_tier") in _SERVICE_TIERS:
        found["serviceTier"] = {"type": call.hints["service_tier"]}
    return found


# https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html#bedrock-runtime_Converse-request-requestMetadata
_is_metadata = re.compile(r"[a-zA-Z0-9\s:_@$#=/+,.-]{1,256}", re.ASCII).fullmatch
_MOST_METADATA = 16
# https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ServiceTier.html
_SERVICE_TIERS = ("default", "flex", "priority")


def _declared_tools(call: ModelCall) -> tuple[Tool, ...]:
    """Return the tools to declare.

    Converse has no tool choice "none". It requires a declaration of every tool that is called in the history, even if it is not
    offered now.
    """
    used = any(message.tool_calls for message in call.messages)
    tools = call.tools if used or call.tool_choice.mode != "none" else ()
    return (*tools, *exchange.undeclared_tools(call))


def _tool_list(tools: tuple[Tool, ...], call: ModelCall) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    strict = strict_schemas(call)
    as_taken = as_nova_takes if is_nova(call.target) else without_unions
    for tool in tools:
        found.append(_tool_spec(as_taken(tool), strict.get(tool.name)))
        if tool.cache:
            found.append(cache_point(tool.cache))
    return found


def _tool_spec(tool: Tool, schema: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return a tool, with the closed schema that its arguments have to follow."""
    spec: dict[str, Any] = {"name": tool.name, "inputSchema": {"json": schema or tool.parameters}}
    if schema is not None:
        spec["strict"] = True
    if tool.description.strip():  # Bedrock refuses a blank one
        spec["description"] = tool.description
    return {"toolSpec": spec}


def _text_format(wanted: ResponseFormat) -> dict[str, Any]:
    """Converse takes the schema as a text."""
    described = {"schema": msgspec.json.encode(wanted.schema).decode(), "name": wanted.name}
    if wanted.description.strip():
        described["description"] = wanted.description
    return {"type": "json_schema", "structure": {"jsonSchema": described}}


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
    text: str | None = None
    signature: str | None = None


class _ReasoningContent(msgspec.Struct):
    """A complete block has `reasoningText`, a part of a block has `text` or `signature`. An encrypted one is Base64."""

    reasoningText: _ReasoningText | None = None
    text: str | None = None
    signature: str | None = None
    redactedContent: str | None = None


class _Content(msgspec.Struct):
    """A block of an answer, or a part of one."""

    text: str | None = None
    reasoningContent: _ReasoningContent | None = None
    toolUse: _ToolUse | None = None


class _Message(msgspec.Struct):
    content: list[_Content]


class _Output(msgspec.Struct):
    message: _Message


class _Usage(msgspec.Struct):
    """The tokens read from and written to the prompt cache are not part of `inputTokens`.

    https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_TokenUsage.html
    """

    inputTokens: int | None = None
    outputTokens: int | None = None
    cacheReadInputTokens: int | None = None
    cacheWriteInputTokens: int | None = None


class _Answer(msgspec.Struct):
    output: _Output
    usage: _Usage | None = None
    stopReason: str | None = None


class _BlockDelta(msgspec.Struct):
    delta: _Content


class _BlockStart(msgspec.Struct):
    start: _Content


class _MessageStop(msgspec.Struct):
    stopReason: str | None = None


class _Metadata(msgspec.Struct):
    usage: _Usage | None = None


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
        self._reader = _AnswerReader()
        self._stop_reason: str | None = None

    def feed(self, data: bytes, events: list[Event]) -> None:
        for headers, payload in self._frames.feed(data):
            name = headers.get(":event-type")
            if name == "contentBlockDelta":
                self._reader.add(_decode_delta(payload).delta, events)
            elif name is None or headers.get(":message-type") != "event":
                raise stream_exception(headers, payload)
            else:
                self._other(name, payload, events)
                if self.done:
                    return

    def end(self, events: list[Event]) -> None:
        """The usage alone may be missing: messageStop has said that the answer is complete."""
        if self._frames.pending or self._stop_reason is None:
            raise errors.stream_interrupted(detail="the stream ended without messageStop")
        self._reader.finish(self._stop_reason, None, events)

    def _other(self, name: str, payload: bytes, events: list[Event]) -> None:
        match name:
            case "contentBlockStart":
                if (use := _decode_start(payload).start.toolUse) is not None:
                    self._reader.begin_call(use, events)
            case "contentBlockStop":
                self._reader.end_block(events)
            case "messageStop":
                self._stop_reason = _decode_stop(payload).stopReason or ""
            case "metadata":
                if self._stop_reason is None:
                    raise errors.stream_interrupted(detail="metadata came before messageStop")
                self._reader.finish(self._stop_reason, _decode_metadata(payload).usage, events)
                self.done = True
            case _:  # messageStart adds nothing
                pass


class _AnswerReader:
    """Reads the blocks of an answer, which come one after another. It keeps how much has come."""

    def __init__(self) -> None:
        self._calls = 0
        self._without_arguments = False  # a call whose arguments have not come: no event is sent for an empty object
        self._characters = 0  # of text and calls
        self._reasoning_characters = 0

    def begin_call(self, use: _ToolUse, events: list[Event]) -> None:
        if not use.name:
            raise ValueError("a toolUse has no name")
        self._without_arguments = True
        self._characters += len(use.name)
        events.append(ToolCall(index=self._calls, id=use.toolUseId or exchange.new_call_id(), name=use.name))
        self._calls += 1

    def add(self, part: _Content, events: list[Event]) -> None:
        if part.text:
            self._characters += len(part.text)
            events.append(Delta(part.text))
        elif part.toolUse is not None:
            if part.toolUse.input:
                if not self._calls:
                    raise ValueError("arguments came before their toolUse")
                arguments = exchange.arguments_text(part.toolUse.input)
                self._without_arguments = False
                self._characters += len(arguments)
                events.append(ToolCallDelta(index=self._calls - 1, arguments=arguments))
        elif part.reasoningContent is not None:
            self._reason(part.reasoningContent, events)

    def _reason(self, reasoning: _ReasoningContent, events: list[Event]) -> None:
        whole = reasoning.reasoningText or _ReasoningText()
        if text := reasoning.text or whole.text:
            self._reasoning_characters += len(text)
            events.append(Reasoning(text))
        if signature := reasoning.signature or whole.signature:
            events.append(ReasoningSignature(signature=signature))
        if reasoning.redactedContent:
            events.append(ReasoningSignature(data=reasoning.redactedContent))

    def end_block(self, events: list[Event]) -> None:
        if self._without_arguments:
            self._without_arguments = False
            events.append(ToolCallDelta(index=self._calls - 1, arguments="{}"))

    def finish(self, reason: str, counted: _Usage | None, events: list[Event]) -> None:
        meaning = _STOP_REASONS.get(reason)
        usage = _usage(counted or _Usage(), self._characters, self._reasoning_characters)
        if reason in _INCOMPLETE:
            error = errors.invalid_output(reason=f"it stopped with {reason!r}")
            error.usage = usage
            raise error
        if meaning is None and not self._characters:
            raise errors.upstream_failed(detail=f"the model stopped with {reason!r}")
        if meaning is None:  # an answer is not thrown away for a reason that is new
            meaning = "tool_use" if self._calls else "end_turn"
        if meaning == "content_filtered" and not self._characters and not self._reasoning_characters:
            error = errors.content_filter(detail=f"stopReason {reason}")
            error.usage = usage
            raise error
        events.append(usage)
        events.append(Done(meaning))


def _usage(counts: _Usage, characters: int, of_reasoning: int) -> Usage:
    """Return the usage; what Bedrock has not counted is an estimate, as the tokens of the reasoning always are.

    `characters` are those of the answer, besides those `of_reasoning`.
    """
    read, written = counts.cacheReadInputTokens or 0, counts.cacheWriteInputTokens or 0
    output = tokens_of(characters + of_reasoning) if counts.outputTokens is None else counts.outputTokens
    return Usage(
        input_tokens=(counts.inputTokens or 0) + read + written,
        output_tokens=output,
        cached_tokens=read,
        cache_write_tokens=written,
        reasoning_tokens=reasoning_tokens_of(of_reasoning, output),
        estimated=counts.inputTokens is None or counts.outputTokens is None,
    )
