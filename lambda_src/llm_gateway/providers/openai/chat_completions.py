"""OpenAI's chat format, as OpenAI, DeepSeek, vLLM and Bedrock's imported models use it.

https://platform.openai.com/docs/api-reference/chat, https://api-docs.deepseek.com/api/create-chat-completion,
https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html
"""

import re
from collections.abc import Mapping
from itertools import groupby
from operator import attrgetter
from typing import Any, cast

import msgspec

from llm_gateway import errors
from llm_gateway.call import ModelCall
from llm_gateway.errors import ErrorKind, GatewayError
from llm_gateway.estimate import reasoning_tokens_of, tokens_of
from llm_gateway.events import Delta, Done, Event, Logprobs, Reasoning, StopReason, ToolCall, ToolCallDelta, Usage
from llm_gateway.json_schema import is_fully_required
from llm_gateway.providers import exchange
from llm_gateway.providers.openai.content import content, media_of_results
from llm_gateway.providers.tool_schemas import as_openai_takes, with_items
from llm_gateway.request import Message, ResponseFormat, Tool
from llm_gateway.tool_calls import strict_schemas

# The sampling parameters besides the limit of the answer. OpenAI's names are ours.
_SAMPLING = {name: name for name in ("temperature", "top_p", "stop", "reasoning_effort")}

_STOP_REASONS: dict[str, StopReason] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "content_filtered",
    # Mistral's: https://docs.mistral.ai/api/
    "model_length": "max_tokens",
}
# The reasons of an answer that is not complete: DeepSeek's, Mistral's and OpenRouter's, vLLM's and SGLang's.
# https://api-docs.deepseek.com/api/create-chat-completion, https://openrouter.ai/docs/api-reference/overview
_INCOMPLETE = ("insufficient_system_resource", "error", "abort")

# OpenAI refuses a longer id, with string_above_max_length.
CALL_ID = re.compile(r".{1,40}", re.DOTALL)

# OpenAI and Azure refuse longer ones, also with string_above_max_length. Claude Code's `user` has more than 120 characters.
_IDS = {"user", "safety_identifier", "prompt_cache_key"}
_LONGEST_ID = 64

_encode = msgspec.json.Encoder().encode


# The request.


def body(call: ModelCall) -> dict[str, Any]:
    """Return the request's JSON, without the fields for streaming."""
    names = {**_SAMPLING, "max_tokens": call.target.max_tokens_name}
    request: dict[str, Any] = {"model": call.target.model, "messages": _messages(call), **call.sampling.named(names)}
    if call.sampling.reasoning_effort == "none" and call.target.model.startswith("deepseek-"):
        # DeepSeek has another switch. https://api-docs.deepseek.com/guides/thinking_mode
        del request["reasoning_effort"]
        request["thinking"] = {"type": "disabled"}
    if call.tools:
        strict = strict_schemas(call)
        request["tools"] = [_tool(tool, strict=tool.name in strict) for tool in call.tools]
        request["tool_choice"] = _tool_choice(call)
        if not call.parallel_tool_calls and "parallel_tool_calls" in call.target.accepts:
            request["parallel_tool_calls"] = False
    if call.response_format is not None:
        request["response_format"] = _response_format(call.response_format)
    if call.rare or call.hints:
        request |= {**fitting_ids(call.hints), **call.rare}
    return request


def fitting_ids(hints: Mapping[str, Any]) -> dict[str, Any]:
    """Return hints with a digest for each id that is too long."""
    return {
        name: exchange.digest(value) if name in _IDS and len(value) > _LONGEST_ID else value for name, value in hints.items()
    }


def _messages(call: ModelCall) -> list[dict[str, Any]]:
    system = [{"role": "system", "content": call.system}] if call.system else []
    with_reasoning = "reasoning_content" in call.target.accepts
    if not any(message.parts for message in call.messages):
        return [*system, *(_message(message, with_reasoning=with_reasoning) for message in call.messages)]
    found = system
    for role, turns in groupby(call.messages, attrgetter("role")):
        messages = list(turns)
        found += [_message(message, with_reasoning=with_reasoning) for message in messages]
        if role == "tool" and (media := media_of_results(messages)) is not None:
            found.append(media)
    return found


def _message(message: Message, *, with_reasoning: bool) -> dict[str, Any]:
    if message.role == "tool":
        return {"role": "tool", "tool_call_id": message.tool_call_id, "content": message.text}
    found: dict[str, Any] = {"role": message.role, "content": content(message) if message.parts else message.text}
    if message.reasoning and with_reasoning:
        found["reasoning_content"] = message.reasoning
    if not message.tool_calls:
        return found
    calls = [
        {
            "id": use.id,
            "type": "function",
            "function": {"name": use.name, "arguments": use.text or _encode(use.arguments).decode()},
        }
        for use in message.tool_calls
    ]
    return {**found, "content": message.text or None, "tool_calls": calls}


def _tool(tool: Tool, *, strict: bool) -> dict[str, Any]:
    tool = as_openai_takes(tool)
    function: dict[str, Any] = {"name": tool.name, "parameters": tool.parameters}
    if strict:
        function["strict"] = True
    if tool.description:
        function["description"] = tool.description
    return {"type": "function", "function": function}


def _tool_choice(call: ModelCall) -> str | dict[str, Any]:
    if call.tool_choice.mode == "tool":
        return {"type": "function", "function": {"name": call.tool_choice.name}}
    return call.tool_choice.mode


def _response_format(wanted: ResponseFormat) -> dict[str, Any]:
    if wanted.type == "json_object":
        return {"type": "json_object"}
    # OpenAI refuses a schema that its strict mode does not take, such as Anthropic's with optional properties.
    strict = wanted.strict and is_fully_required(wanted.schema)
    described: dict[str, Any] = {"name": wanted.name, "schema": with_items(wanted.schema), "strict": strict}
    if wanted.description:
        described["description"] = wanted.description
    return {"type": "json_schema", "json_schema": described}


# The answer, in the names of the API. msgspec ignores all other fields, and what may be absent may be null.


class _Function(msgspec.Struct):
    """`arguments` is a JSON text; some servers send an object."""

    name: str | None = None
    arguments: Any = None


class _ToolCall(msgspec.Struct):
    index: int | None = None
    id: str | None = None
    function: _Function | None = None


class _Part(msgspec.Struct):
    """A part of the content of Mistral's reasoning models. https://docs.mistral.ai/capabilities/reasoning/"""

    text: str | None = None
    thinking: list["_Part"] | None = None


class _Message(msgspec.Struct):
    """A message or a part of one. DeepSeek and older vLLM send `reasoning_content`, vLLM since 0.12 sends `reasoning`."""

    content: str | list[_Part] | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: list[_ToolCall] | None = None


class _Choice(msgspec.Struct):
    delta: _Message | None = None
    message: _Message | None = None
    finish_reason: str | None = None
    logprobs: Any = None
    # From vLLM: the stop sequence that ended the answer, or the number of a token.
    stop_reason: str | int | None = None


class _PromptDetails(msgspec.Struct):
    cached_tokens: int | None = None


class _CompletionDetails(msgspec.Struct):
    reasoning_tokens: int | None = None


class _Usage(msgspec.Struct):
    """The tokens that were read from the cache are part of `prompt_tokens`. DeepSeek has its own name for them."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    prompt_tokens_details: _PromptDetails | None = None
    completion_tokens_details: _CompletionDetails | None = None
    prompt_cache_hit_tokens: int | None = None


class _Metrics(msgspec.Struct):
    inputTokenCount: int | None = None
    outputTokenCount: int | None = None


class _Completion(msgspec.Struct):
    """A complete answer or a chunk of one."""

    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    error: Any = None
    # From Bedrock, in the last chunk.
    metrics: _Metrics | None = msgspec.field(default=None, name="amazon-bedrock-invocationMetrics")


_decode = msgspec.json.Decoder(_Completion).decode


def read_complete(data: bytes) -> list[Event]:
    """Return the events of a chat.completion. Raises `GatewayError` or any of `exchange.UNREADABLE`."""
    answer = _decode(data)
    if answer.error is not None:
        raise _error_in_answer(answer.error, errors.upstream_failed)
    if not answer.choices:
        raise ValueError("the answer has no choices")
    choice = answer.choices[0]
    message = choice.message or choice.delta
    if message is None:
        raise ValueError("the answer has no message")
    events: list[Event] = []
    reader = _AnswerReader()
    reader.add(message, events)
    if choice.logprobs is not None:
        events += _logprobs(choice.logprobs)
    reader.finish(choice, answer, events)
    return events


class ChunkReader:
    """Reads the chunks of a stream, each a JSON text."""

    def __init__(self) -> None:
        self._reader = _AnswerReader()
        self._last: _Choice | None = None  # the last one with a finish_reason: some servers repeat it, or send empty ones
        self._counted = _Completion()  # the last chunk that has the usage

    def read(self, data: bytes, events: list[Event]) -> None:
        """Add the events of one chunk to `events`. Raises `GatewayError` or any of `exchange.UNREADABLE`."""
        chunk = _decode(data)
        if chunk.error is not None:
            raise _error_in_answer(chunk.error, errors.stream_interrupted)
        if chunk.choices:
            choice = chunk.choices[0]
            if choice.delta is not None:
                self._reader.add(choice.delta, events)
            if choice.logprobs is not None:
                events += _logprobs(choice.logprobs)
            if choice.finish_reason:
                self._last = choice
        if chunk.usage is not None or chunk.metrics is not None:
            self._counted = chunk

    def end(self, events: list[Event], *, marked: bool = False) -> None:
        """Add the events that end the answer. Raises the error 502 if the answer is not complete.

        `marked`: the server has sent what ends a stream, so that an answer without a finish_reason is complete too.
        """
        if self._last is None and not (marked and self._reader.answered):
            raise errors.stream_interrupted(detail="the stream ended without a finish_reason")
        self._reader.finish(self._last or _Choice(), self._counted, events)


class _AnswerReader:
    """Reads the parts of an answer. It keeps the positions of its calls, and how much has come."""

    def __init__(self) -> None:
        self._characters = 0  # of text and calls
        self._reasoning_characters = 0
        self._positions: dict[int, int] = {}  # the provider's index of a call -> ours
        self._ids: list[str] = []
        self._without_arguments: set[int] = set()  # the calls whose arguments have not come
        self._without_id: dict[int, str] = {}  # the calls to which the server gave no id -> their arguments so far

    @property
    def answered(self) -> bool:
        """Whether text or a call has come."""
        return self._characters > 0

    def add(self, message: _Message, events: list[Event]) -> None:
        if text := message.reasoning_content or message.reasoning:
            self._reason(text, events)
        if text := message.content:
            if isinstance(text, str):
                self._characters += len(text)
                events.append(Delta(text))
            else:
                self._add_parts(text, events)
        if message.refusal:
            self._characters += len(message.refusal)
            events.append(Delta(message.refusal, refusal=True))
        if message.tool_calls:
            for position, call in enumerate(message.tool_calls):
                self._add_call(call, position if call.index is None else call.index, events)

    def _reason(self, text: str, events: list[Event]) -> None:
        self._reasoning_characters += len(text)
        events.append(Reasoning(text))

    def _add_parts(self, parts: list[_Part], events: list[Event]) -> None:
        for part in parts:
            if text := "".join(thought.text or "" for thought in part.thinking or ()):
                self._reason(text, events)
            if part.text:
                self._characters += len(part.text)
                events.append(Delta(part.text))

    def _add_call(self, call: _ToolCall, index: int, events: list[Event]) -> None:
        position = self._positions.get(index)
        function = call.function or _Function()
        arguments = exchange.arguments_text(function.arguments)
        if position is None or self._is_another(call, function, position):
            if not function.name:
                raise ValueError("a tool call begins without a name")
            position = self._positions[index] = len(self._ids)
            identifier = call.id
            if not identifier:
                identifier = exchange.new_call_id()
                self._without_id[position] = ""
            self._ids.append(identifier)
            self._characters += len(function.name)
            self._without_arguments.add(position)
            events.append(ToolCall(index=position, id=identifier, name=function.name))
        if arguments:
            self._characters += len(arguments)
            self._without_arguments.discard(position)
            if position in self._without_id:
                self._without_id[position] += arguments
            events.append(ToolCallDelta(index=position, arguments=arguments))

    def _is_another(self, call: _ToolCall, function: _Function, position: int) -> bool:
        """Whether a call begins although there is one with its index: some servers give every call the index 0."""
        if call.id:
            return call.id != self._ids[position] and position not in self._without_id
        return bool(function.name) and position in self._without_id and _is_json(self._without_id[position])

    def finish(self, last: _Choice, counted: _Completion, events: list[Event]) -> None:
        events.extend(ToolCallDelta(index=position, arguments="{}") for position in sorted(self._without_arguments))
        said = (last.finish_reason or "").lower()
        reason = _STOP_REASONS.get(said)
        if said in _INCOMPLETE or (reason is None and not self.answered):
            raise errors.upstream_failed(detail=f"the model stopped with {last.finish_reason!r}")
        usage = _usage(counted, self._characters, self._reasoning_characters)
        if reason == "content_filtered" and not self._characters and not self._reasoning_characters:
            error = errors.content_filter(detail=f"finish_reason {said}")
            error.usage = usage
            raise error
        if reason is None:  # an answer is not thrown away for a reason that is new
            reason = "end_turn"
        if reason == "end_turn" and self._ids:  # OpenAI and vLLM send "stop" if the caller chose the tool
            reason = "tool_use"
        elif reason == "end_turn" and isinstance(last.stop_reason, str):
            reason = "stop_sequence"
        events.append(usage)
        told = reason == "stop_sequence" and isinstance(last.stop_reason, str)
        events.append(Done(reason, str(last.stop_reason) if told else ""))


def _logprobs(found: Any) -> list[Event]:
    """Return the log probabilities of an answer's text; a refusal is part of that here. Another form is left out."""
    if not isinstance(found, dict):
        return []
    fields = cast("dict[str, Any]", found)
    tokens: Any = fields.get("content") or fields.get("refusal")
    if not isinstance(tokens, list):
        return []
    told = [cast("dict[str, Any]", token) for token in cast("list[Any]", tokens) if isinstance(token, dict)]
    return [Logprobs(told)] if told else []


def _is_json(text: str) -> bool:
    try:
        msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


def _usage(answer: _Completion, characters: int, of_reasoning: int) -> Usage:
    """Return the usage; what the server has not counted is an estimate.

    `characters` are those of the answer, besides those `of_reasoning`.
    """
    counts = answer.usage or _Usage()
    prompt, completion, total = counts.prompt_tokens, counts.completion_tokens, counts.total_tokens
    if answer.metrics is not None:
        prompt = answer.metrics.inputTokenCount if prompt is None else prompt
        completion = answer.metrics.outputTokenCount if completion is None else completion
    if total is not None and prompt is not None and (completion is None or total > prompt + completion):
        completion = total - prompt  # Gemini and Grok count reasoning in the total only
    prompt_details, completion_details = counts.prompt_tokens_details, counts.completion_tokens_details
    output = tokens_of(characters + of_reasoning) if completion is None else max(completion, 0)
    reasoning = completion_details.reasoning_tokens if completion_details is not None else None
    cached = (prompt_details.cached_tokens if prompt_details is not None else None) or counts.prompt_cache_hit_tokens
    return Usage(
        input_tokens=max(prompt or 0, 0),
        output_tokens=output,
        cached_tokens=max(cached or 0, 0),
        reasoning_tokens=reasoning_tokens_of(of_reasoning, output) if reasoning is None else reasoning,
        estimated=prompt is None or completion is None,
    )


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
    return _classified(status, headers, message, codes, f"{status} {_described(error)}")


def _error_in_answer(error: Any, otherwise: ErrorKind) -> GatewayError:
    """Return the error for an error within an answer of status 200, in a stream or in its place.

    What would have been a refusal with a status 4xx is one here too: asked again, the server would say the same. `otherwise`
    is the error for what is the server's own failure.
    """
    message, codes = _read(error)
    detail = _described(error)
    status = next((int(code) for code in codes if code.isascii() and code.isdigit() and len(code) == 3), 0)
    if not 400 <= status < 500:
        known = codes & (_REJECTED | _MISCONFIGURED | _FILTERED | _THROTTLED | {_CONTEXT, "invalid_request_error"})
        if not known and not exchange.says_too_long(message):
            return otherwise(detail=detail)
        status = 400
    return _classified(status, {}, message, codes, detail)


def _classified(status: int, headers: Mapping[str, str], message: str, codes: set[str], detail: str) -> GatewayError:
    """Return the error for a refusal: by its code, where that says what it is, else by its words, else by its status."""
    if 400 <= status < 500:
        if _CONTEXT in codes or "exceed_context_size_error" in codes:  # the second is llama.cpp's
            return errors.context_length_exceeded(detail=detail)
        if codes & _FILTERED:
            return errors.content_filter(detail=detail)
        if codes & _MISCONFIGURED:
            return errors.upstream_misconfigured(detail=detail)
        if codes & _THROTTLED:
            return errors.upstream_throttled(retry_after=exchange.retry_after(headers), detail=detail)
        if codes & _REJECTED:
            return errors.upstream_rejected(reason=message, detail=detail)
        if message in _DEEPSEEK:  # DeepSeek has no codes for them
            return _DEEPSEEK[message](detail=detail)
        if status in _OF_THE_REQUEST:
            if exchange.says_too_long(message):
                return errors.context_length_exceeded(detail=detail)
            return errors.upstream_rejected(reason=message, detail=detail)
    if status == 503 and any(word in message.lower() for word in _NOT_READY):
        return errors.model_not_ready(retry_after=exchange.retry_after(headers), detail=detail)
    return exchange.by_status(status, headers, detail)


# The statuses by which a server refuses the request itself.
_OF_THE_REQUEST = (400, 409, 413, 415, 422)
# The codes of OpenAI, Azure, DeepSeek and Groq. https://platform.openai.com/docs/guides/error-codes
_CONTEXT = "context_length_exceeded"
# For a conversation that a filter refuses.
_FILTERED = {"content_filter", "content_policy_violation", "invalid_prompt", "responsible_ai_policy_violation"}
# For a set-up that is wrong. The first is a 429 for which waiting does not help.
_MISCONFIGURED = {"insufficient_quota", "model_not_found", "invalid_api_key"}
# Groq also sends the first with a 413, for a request that is larger than the tokens of a minute.
_THROTTLED = {"rate_limit_exceeded", "rate_limit_error"}
# For one field of a request. Their words are like those for a conversation that is too long.
_REJECTED = {
    "string_above_max_length",
    "array_above_max_length",
    "integer_above_max_value",
    "integer_below_min_value",
    "unsupported_parameter",
    "unsupported_value",
    "invalid_value",
}
# https://api-docs.deepseek.com/quick_start/error_codes; the texts are from public reports.
_DEEPSEEK = {"Content Exists Risk": errors.content_filter, "Model Not Exist": errors.upstream_misconfigured}
# The texts of a server whose model is being loaded.
_NOT_READY = ("loading", "not ready", "warming", "starting")


def _read(error: Any) -> tuple[str, set[str]]:
    """Return the message of an error, and its code and type if they are there."""
    if not isinstance(error, dict):
        return str(error), set()
    fields = cast("dict[str, Any]", error)
    return str(fields.get("message") or ""), {str(fields.get(name)) for name in ("code", "type") if fields.get(name)}


def _described(error: Any) -> str:
    message, codes = _read(error)
    return f"{'/'.join(sorted(codes)) or 'error'}: {message}"
