"""OpenAI's chat format, as OpenAI, DeepSeek, vLLM and Bedrock's imported models use it.

https://platform.openai.com/docs/api-reference/chat, https://api-docs.deepseek.com/api/create-chat-completion,
https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html
"""

from collections.abc import Mapping
from typing import Any, cast

import msgspec

from llm_gateway import errors
from llm_gateway.call import ModelCall
from llm_gateway.errors import GatewayError
from llm_gateway.events import Delta, Done, Event, Reasoning, StopReason, ToolCall, ToolCallDelta, Usage
from llm_gateway.providers import exchange
from llm_gateway.request import Message, Tool

# The sampling parameters besides the limit of the answer. OpenAI's names are ours.
_SAMPLING = {name: name for name in ("temperature", "top_p", "stop", "reasoning_effort")}

_STOP_REASONS: dict[str, StopReason] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "content_filtered",
}

_encode = msgspec.json.Encoder().encode


# The request.


def body(call: ModelCall) -> dict[str, Any]:
    """Return the request's JSON, without the fields for streaming."""
    names = {**_SAMPLING, "max_tokens": call.target.max_tokens_name}
    request: dict[str, Any] = {"model": call.target.model, "messages": _messages(call), **call.sampling.named(names)}
    if call.tools:
        request["tools"] = [_tool(tool) for tool in call.tools]
        request["tool_choice"] = _tool_choice(call)
    return request


def _messages(call: ModelCall) -> list[dict[str, Any]]:
    system = [{"role": "system", "content": call.system}] if call.system else []
    with_reasoning = "reasoning_content" in call.target.accepts
    return [*system, *(_message(message, with_reasoning=with_reasoning) for message in call.messages)]


def _message(message: Message, *, with_reasoning: bool) -> dict[str, Any]:
    if message.role == "tool":
        return {"role": "tool", "tool_call_id": message.tool_call_id, "content": message.text}
    found: dict[str, Any] = {"role": message.role, "content": message.text}
    if message.reasoning and with_reasoning:
        found["reasoning_content"] = message.reasoning
    if not message.tool_calls:
        return found
    calls = [
        {
            "id": use.id,
            "type": "function",
            "function": {"name": use.name, "arguments": _encode(use.arguments).decode()},
        }
        for use in message.tool_calls
    ]
    return {**found, "content": message.text or None, "tool_calls": calls}


def _tool(tool: Tool) -> dict[str, Any]:
    function: dict[str, Any] = {"name": tool.name, "parameters": tool.parameters}
    if tool.description:
        function["description"] = tool.description
    return {"type": "function", "function": function}


def _tool_choice(call: ModelCall) -> str | dict[str, Any]:
    if call.tool_choice.mode == "tool":
        return {"type": "function", "function": {"name": call.tool_choice.name}}
    return call.tool_choice.mode


# The answer, in the names of the API. msgspec ignores all other fields.


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: str | None = None


class _ToolCall(msgspec.Struct):
    index: int | None = None
    id: str | None = None
    function: _Function | None = None


class _Message(msgspec.Struct):
    """A message or a part of one. DeepSeek and older vLLM send `reasoning_content`, vLLM since 0.12 sends `reasoning`."""

    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: list[_ToolCall] | None = None


class _Choice(msgspec.Struct):
    delta: _Message | None = None
    message: _Message | None = None
    finish_reason: str | None = None
    # From vLLM: the stop sequence that ended the answer, or the number of a token.
    stop_reason: str | int | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int
    completion_tokens: int


class _Metrics(msgspec.Struct):
    inputTokenCount: int
    outputTokenCount: int


class _Completion(msgspec.Struct):
    """A complete answer or a chunk of one."""

    choices: list[_Choice] = []
    usage: _Usage | None = None
    error: Any = None
    # From Bedrock, in the last chunk.
    metrics: _Metrics | None = msgspec.field(default=None, name="amazon-bedrock-invocationMetrics")


_decode = msgspec.json.Decoder(_Completion).decode


def read_complete(data: bytes) -> list[Event]:
    """Return the events of a chat.completion. Raises `GatewayError` or any of `exchange.UNREADABLE`."""
    answer = _decode(data)
    if answer.error is not None:
        raise errors.upstream_failed(detail=_described(answer.error))
    choice = answer.choices[0]
    if choice.message is None or choice.finish_reason is None:
        raise ValueError("the answer has no message or no finish_reason")
    events: list[Event] = []
    reader = _AnswerReader()
    reader.add(choice.message, events)
    reader.finish(choice, _usage(answer), events)
    return events


class ChunkReader:
    """Reads the chunks of a stream, each a JSON text."""

    def __init__(self) -> None:
        self._reader = _AnswerReader()
        self._last: _Choice | None = None
        self._usage: Usage | None = None

    def read(self, data: bytes, events: list[Event]) -> None:
        """Add the events of one chunk to `events`. Raises `GatewayError` or any of `exchange.UNREADABLE`."""
        chunk = _decode(data)
        if chunk.error is not None:
            raise _stream_error(chunk.error)
        if chunk.choices:
            choice = chunk.choices[0]
            if choice.delta is not None:
                self._reader.add(choice.delta, events)
            if choice.finish_reason is not None:
                self._last = choice
        if chunk.usage is not None or chunk.metrics is not None:
            self._usage = _usage(chunk)

    def end(self, events: list[Event]) -> None:
        """Add the events that end the answer. Raises the error 502 if the answer is not complete."""
        if self._last is None or self._usage is None:
            missing = "finish_reason" if self._last is None else "usage"
            raise errors.stream_interrupted(detail=f"the stream ended without a {missing}")
        self._reader.finish(self._last, self._usage, events)


class _AnswerReader:
    """Reads the parts of an answer. It keeps the positions of its calls, and whether there was content."""

    def __init__(self) -> None:
        self._has_content = False
        self._positions: dict[int, int] = {}  # the provider's index of a call -> ours
        self._ids: list[str] = []
        self._without_arguments: set[int] = set()  # the calls whose arguments have not come

    def add(self, message: _Message, events: list[Event]) -> None:
        if text := message.reasoning_content or message.reasoning:
            events.append(Reasoning(text))
        if text := message.content or message.refusal:
            self._has_content = True
            events.append(Delta(text))
        if message.tool_calls:
            for position, call in enumerate(message.tool_calls):
                self._add_call(call, position if call.index is None else call.index, events)

    def _add_call(self, call: _ToolCall, index: int, events: list[Event]) -> None:
        position = self._positions.get(index)
        function = call.function or _Function()
        if position is None or (call.id and call.id != self._ids[position]):  # some servers give every call the index 0
            if not call.id or not function.name:
                raise ValueError("a tool call begins without an id or a name")
            position = self._positions[index] = len(self._ids)
            self._ids.append(call.id)
            self._has_content = True
            self._without_arguments.add(position)
            events.append(ToolCall(index=position, id=call.id, name=function.name))
        if function.arguments:
            self._without_arguments.discard(position)
            events.append(ToolCallDelta(index=position, arguments=function.arguments))

    def finish(self, last: _Choice, usage: Usage, events: list[Event]) -> None:
        events.extend(ToolCallDelta(index=position, arguments="{}") for position in sorted(self._without_arguments))
        reason = _STOP_REASONS.get(last.finish_reason or "")
        if reason is None:  # such as DeepSeek's insufficient_system_resource: the answer is not complete
            raise errors.upstream_failed(detail=f"the model stopped with {last.finish_reason!r}")
        if reason == "content_filtered" and not self._has_content:
            raise errors.content_filter(detail="finish_reason content_filter")
        if reason == "end_turn" and self._ids:  # OpenAI and vLLM send "stop" if the caller chose the tool
            reason = "tool_use"
        elif reason == "end_turn" and isinstance(last.stop_reason, str):
            reason = "stop_sequence"
        events.append(usage)
        events.append(Done(reason))


def _usage(answer: _Completion) -> Usage:
    if answer.usage is not None:
        return Usage(input_tokens=answer.usage.prompt_tokens, output_tokens=answer.usage.completion_tokens)
    if answer.metrics is not None:
        return Usage(input_tokens=answer.metrics.inputTokenCount, output_tokens=answer.metrics.outputTokenCount)
    raise ValueError("the answer has no usage")


# The errors.


class _Refusal(msgspec.Struct):
    """The body of an error. In vLLM before 0.11 it has no inner object."""

    error: Any = None
    message: str = ""
    code: Any = None
    type: Any = None


_decode_refusal = msgspec.json.Decoder(_Refusal).decode


def refusal(status: int, headers: Mapping[str, str], data: bytes) -> GatewayError:
    """Return the error for an answer with another status than 200. Raises any of `exchange.UNREADABLE`."""
    answer = _decode_refusal(data)
    error: Any = answer.error or {"message": answer.message, "code": answer.code, "type": answer.type}
    message, codes = _read(error)
    detail = f"{status} {_described(error)}"
    if 400 <= status < 500:
        if "context_length_exceeded" in codes or exchange.says_too_long(message):
            return errors.context_length_exceeded(detail=detail)
        if codes & _FILTERED:
            return errors.content_filter(detail=detail)
        if codes & {"insufficient_quota", "model_not_found"}:  # the first is a 429 for which waiting does not help
            return errors.upstream_misconfigured(detail=detail)
        if message in _DEEPSEEK:  # DeepSeek has no codes for them
            return _DEEPSEEK[message](detail=detail)
        if status in (400, 409, 413, 415, 422):
            return errors.upstream_rejected(reason=message, detail=detail)
    if status == 503 and any(word in message.lower() for word in _NOT_READY):
        return errors.model_not_ready(retry_after=exchange.retry_after(headers), detail=detail)
    return exchange.by_status(status, headers, detail)


# The codes of OpenAI, Azure and DeepSeek for a conversation that their filters refuse.
_FILTERED = {"content_filter", "content_policy_violation", "invalid_prompt", "responsible_ai_policy_violation"}
# https://api-docs.deepseek.com/quick_start/error_codes; the texts are from public reports.
_DEEPSEEK = {"Content Exists Risk": errors.content_filter, "Model Not Exist": errors.upstream_misconfigured}
# The texts of a server whose model is being loaded.
_NOT_READY = ("loading", "not ready", "warming", "starting")


def _stream_error(error: Any) -> GatewayError:
    """Return the error for an error event in a stream."""
    message, codes = _read(error)
    detail = _described(error)
    if "context_length_exceeded" in codes or exchange.says_too_long(message):
        return errors.context_length_exceeded(detail=detail)
    if codes & _FILTERED:
        return errors.content_filter(detail=detail)
    if codes & {"429", "rate_limit_exceeded", "rate_limit_error"}:
        return errors.upstream_throttled(detail=detail)
    return errors.stream_interrupted(detail=detail)


def _read(error: Any) -> tuple[str, set[str]]:
    """Return the message of an error, and its code and type if they are there."""
    if not isinstance(error, dict):
        return str(error), set()
    fields = cast("dict[str, Any]", error)
    return str(fields.get("message") or ""), {str(fields.get(name)) for name in ("code", "type") if fields.get(name)}


def _described(error: Any) -> str:
    message, codes = _read(error)
    return f"{'/'.join(sorted(codes)) or 'error'}: {message}"
