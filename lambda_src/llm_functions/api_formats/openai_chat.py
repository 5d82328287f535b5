"""The API format of OpenAI's chat completions.

https://platform.openai.com/docs/api-reference/chat
Reasoning is in the field ``reasoning_content``, as in DeepSeek's API and vLLM.
"""

import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

import msgspec

from llm_functions.api_formats.answer_ids import CHAT_COMPLETION
from llm_functions.api_formats.complete import collect, retrieval_fields
from llm_functions.api_formats.fields import MOST_ITEMS, Fields, cache_point
from llm_functions.api_formats.openai_messages import conversation
from llm_functions.api_formats.openai_parameters import other_parameters
from llm_functions.api_formats.response_format import response_format
from llm_functions.api_formats.tool_lists import allowed, unique
from llm_gateway.errors import GatewayError, clipped
from llm_gateway.events import (
    Delta,
    Done,
    Embeddings,
    Event,
    Logprobs,
    Reasoning,
    ReasoningSignature,
    Start,
    StopReason,
    ToolCall,
    ToolCallDelta,
    Usage,
)
from llm_gateway.request import NUMERIC_PARAMETERS, ChatRequest, ReasoningBlock, Sampling, Tool, ToolChoice

STOP_LIMIT = 4

FINISH_REASONS: dict[StopReason, str] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "content_filtered": "content_filter",
    "cancelled": "length",  # of the reasons that clients know, the one of an answer that is cut
}

_encode = msgspec.json.Encoder().encode


def parse(body: Mapping[str, Any]) -> tuple[ChatRequest, bool]:
    """Parse a request's body. Returns the request, and whether its stream ends with the usage.

    Raises the error 400, which names every field that is wrong.
    """
    fields = Fields(body)
    model = fields.string("model", required=True)
    said = conversation(fields)
    tools, tool_choice = _tool_choice(fields, unique(fields, map(_tool, fields.objects("tools", MOST_ITEMS))))
    stream = fields.boolean("stream")
    include_usage = usage_is_included(fields, stream)
    rare, hints = other_parameters(fields)
    request = ChatRequest(
        messages=said.turns,
        model=model or "",
        system=said.system,
        sampling=Sampling(
            max_tokens=_max_tokens(fields),
            **fields.numbers(NUMERIC_PARAMETERS),
            stop=fields.strings("stop", STOP_LIMIT),
            reasoning_effort=reasoning_effort(fields, "reasoning_effort"),
        ),
        tools=tools,
        tool_choice=tool_choice,
        stream=stream,
        response_format=response_format(fields, "response_format"),
        parallel_tool_calls=fields.boolean("parallel_tool_calls") or not fields.has("parallel_tool_calls"),
        names={
            "system": said.system_place,
            "max_tokens": "max_completion_tokens" if fields.has("max_completion_tokens") else "max_tokens",
        },
        rare=rare,
        hints=hints,
        cache_system=said.cache_system,
    )
    fields.no_others()
    fields.finish()
    return request, include_usage


def _max_tokens(fields: Fields) -> int | None:
    old, new = fields.integer("max_tokens", 1), fields.integer("max_completion_tokens", 1)
    if None not in (old, new) and old != new:
        fields.wrong("max_tokens", "give either max_tokens or max_completion_tokens, not both with different values")
    return old if new is None else new


# https://platform.openai.com/docs/api-reference/chat/create#chat-create-reasoning_effort
EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")


def reasoning_effort(fields: Fields, name: str) -> str | None:
    effort = fields.string(name)
    if effort is not None and effort not in EFFORTS:
        fields.wrong(name, f"must be {', '.join(EFFORTS[:-1])} or {EFFORTS[-1]}, not {clipped(effort)!r}")
    return "xhigh" if effort == "max" else effort  # only OpenAI's newest models know a higher one


def usage_is_included(fields: Fields, stream: bool) -> bool:
    options = fields.object("stream_options")
    if options is None:
        return False
    include = options.boolean("include_usage")
    options.any("include_obfuscation")
    options.no_others()
    if not stream:
        fields.wrong("stream_options", "is possible only with stream: true")
    return include


def _tool(tool: Fields) -> Tool:
    shape = tool.string("type", required=True)
    if shape not in (None, "function"):
        tool.wrong("type", f"only 'function' is possible, not {clipped(shape)!r}")
        return Tool(name="", description="", parameters={})
    function, cache = tool.object("function"), cache_point(tool.any("cache_control"))
    tool.no_others()
    if function is None:
        tool.wrong("function", "is required, an object")
        return Tool(name="", description="", parameters={})
    name = function.string("name", required=True)
    description = function.string("description")
    parameters = function.object_schema("parameters")
    strict = function.boolean("strict")
    function.no_others()
    return Tool(name=name or "", description=description or "", parameters=parameters, strict=strict, cache=cache)


def _tool_choice(fields: Fields, tools: tuple[Tool, ...]) -> tuple[tuple[Tool, ...], ToolChoice]:
    """Return the tools that may be called, and the choice among them."""
    choice = fields.any("tool_choice")
    match choice:
        case None | "auto" | "none":
            return tools, ToolChoice(mode="none" if choice == "none" else "auto")
        case "required":
            if not tools:
                fields.wrong("tool_choice", "'required' needs tools")
            return tools, ToolChoice(mode="required")
        case {"type": "function", "function": {"name": str(name)}}:
            if name not in {tool.name for tool in tools}:
                fields.wrong("tool_choice", f"there is no tool {clipped(name)!r} in tools")
            return tools, ToolChoice(mode="tool", name=name)
        case {"type": "allowed_tools", "allowed_tools": listed}:
            return allowed(fields, listed, tools, _function_name)
        case _:
            fields.wrong(
                "tool_choice",
                'must be \'auto\', \'none\', \'required\', {"type": "function", "function": {"name": …}} or '
                '{"type": "allowed_tools", "allowed_tools": {…}}',
            )
            return tools, ToolChoice()


def _function_name(tool: Any) -> str | None:
    match tool:
        case {"function": {"name": str(name)}}:
            return name
        case _:
            return None


async def render_complete(batches: AsyncIterator[list[Event]], *, logprobs: bool = False) -> tuple[Start, bytes]:
    """Return the event that begins the answer, and the complete answer as a chat.completion object.

    `logprobs`: the caller has asked for them.
    """
    answer = await collect(batches)
    content = answer.content or ("" if not answer.calls and not answer.refusal else None)
    message: dict[str, Any] = {"role": "assistant", "content": content}
    if answer.refusal:
        message["refusal"] = answer.refusal
    if answer.reasoning:
        message["reasoning_content"] = answer.reasoning
    if blocks := [_thinking_block(block) for block in answer.reasoning_blocks if block.signature or block.data]:
        message["thinking_blocks"] = blocks
    if answer.calls:
        message["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in answer.calls
        ]
    if answer.start.citations:
        message["annotations"] = _annotations(answer.content, answer.start)
    told = _logprobs(answer.logprobs, refusal=bool(answer.refusal)) if logprobs and answer.logprobs else None
    choice = {"index": 0, "message": message, "logprobs": told, "finish_reason": FINISH_REASONS[answer.stop_reason]}
    head = {**_head(answer.start.request_id, answer.start.model, "chat.completion"), **retrieval_fields(answer.start)}
    return answer.start, _encode({**head, "usage": usage_fields(answer.usage), "choices": [choice]})


def _annotations(text: str, start: Start) -> list[dict[str, Any]]:
    """Return where the text cites the passages that the model was given."""
    from llm_functions.api_formats.citations import url_citations  # only where answers have passages

    return [{"type": "url_citation", "url_citation": each} for each in url_citations(text, start.citations)]


def _thinking_block(block: ReasoningBlock) -> dict[str, str]:
    """Render a signed or encrypted block of reasoning; a client that sends it back keeps Claude's thinking between its calls.

    The field and its form are those of other gateways. https://docs.litellm.ai/docs/reasoning_content
    """
    if block.data:
        return {"type": "redacted_thinking", "data": block.data}
    return {"type": "thinking", "thinking": block.text, "signature": block.signature}


class StreamRenderer:
    """Renders the answer as the stream that OpenAI's SDKs read: chunks as data lines, ``[DONE]`` at the end."""

    def __init__(self, request_id: str, include_usage: bool) -> None:
        self._request_id = request_id
        self._include_usage = include_usage
        self._head: dict[str, Any] = {}
        self._usage: Usage | None = None
        self._reasoning: list[str] = []  # of the block that is not signed yet
        self._blocks = 0  # how many are signed
        self._before = self._after = b""  # a chunk's bytes before and after a delta's text
        self._start: Start | None = None  # of an answer that may cite passages
        self._citing: list[str] = []  # the text of that

    def opening(self) -> bytes:
        return b""

    def events(self, batch: list[Event]) -> bytes:
        return b"".join([self._event(event) for event in batch])

    def _event(self, event: Event) -> bytes:
        match event:
            case Delta(text=part):  # first, and with a fast path: most events are deltas
                if event.refusal:
                    return self._chunk({"refusal": part})
                if self._start is not None:
                    self._citing.append(part)
                return self._before + _encode(part) + self._after
            case Start(request_id=request_id, model=model):
                self._start = event if event.citations else None
                self._head = _head(request_id, model, "chat.completion.chunk")
                self._before, self._after = self._chunk({"content": _MARK}).split(_encode(_MARK))
                return self._chunk({"role": "assistant", "content": ""}, **retrieval_fields(event))
            case Reasoning(text=part):
                self._reasoning.append(part)
                return self._chunk({"reasoning_content": part})
            case ToolCall(index=index, id=identifier, name=name):
                function = {"name": name, "arguments": ""}
                return self._chunk(
                    {"tool_calls": [{"index": index, "id": identifier, "type": "function", "function": function}]}
                )
            case ToolCallDelta(index=index, arguments=part):
                return self._chunk({"tool_calls": [{"index": index, "function": {"arguments": part}}]})
            case ReasoningSignature(signature=signature, data=data):
                block = ReasoningBlock("" if data else "".join(self._reasoning), signature, data)
                if not data:
                    self._reasoning.clear()
                self._blocks += 1  # OpenAI's clients join the parts of a list's items by their index
                return self._chunk({"thinking_blocks": [{"index": self._blocks - 1, **_thinking_block(block)}]})
            case Embeddings() | Logprobs():
                return b""
            case Usage():
                self._usage = event
                return b""
            case Done(stop_reason=reason):
                last = self._cited() + self._chunk({}, FINISH_REASONS[reason])
                if self._include_usage and self._usage is not None:
                    last += _data({**self._head, "choices": [], "usage": usage_fields(self._usage)})
                return last

    def error(self, error: GatewayError, *, debug: bool) -> bytes:
        return _data(error.body(self._request_id, debug=debug))

    def closing(self) -> bytes:
        return b"data: [DONE]\n\n"

    def _cited(self) -> bytes:
        """Return a chunk that says where passages are cited, after the text, as OpenAI's models that search the web send it."""
        if self._start is None or not (annotations := _annotations("".join(self._citing), self._start)):
            return b""
        return self._chunk({"annotations": annotations})

    def _chunk(
        self,
        delta: dict[str, Any],
        finish_reason: str | None = None,
        logprobs: dict[str, Any] | None = None,
        **told: Any,
    ) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": finish_reason}
        return _data({**self._head, **told, "choices": [choice]})


class LogprobsRenderer(StreamRenderer):
    """Renders the log probabilities, too: in the chunk of the text to which they belong."""

    def events(self, batch: list[Event]) -> bytes:
        data: list[bytes] = []
        before: Event | None = None
        for event, following in zip(batch, [*batch[1:], None], strict=True):
            if isinstance(event, Delta) and isinstance(following, Logprobs):
                told = _logprobs(following.tokens, refusal=event.refusal)
                if self._start is not None and not event.refusal:
                    self._citing.append(event.text)
                data.append(self._chunk({"refusal" if event.refusal else "content": event.text}, logprobs=told))
            elif not isinstance(event, Logprobs):
                data.append(self._event(event))
            elif not isinstance(before, Delta):
                data.append(self._chunk({}, logprobs=_logprobs(event.tokens)))
            before = event
        return b"".join(data)


def _logprobs(tokens: list[dict[str, Any]], *, refusal: bool = False) -> dict[str, Any]:
    """Return log probabilities with all fields that OpenAI's SDKs read, of which some servers leave out the optional ones."""
    told: list[dict[str, Any]] = [{"bytes": None, "top_logprobs": [], **token} for token in tokens]
    return {"content": None, "refusal": told} if refusal else {"content": told, "refusal": None}


# It is nowhere else in a chunk: the name of a model and the id of a request hold no control characters.
_MARK = "\x00"


def _data(value: Any) -> bytes:
    return b"data: %s\n\n" % _encode(value)


def _head(request_id: str, model: str, shape: str) -> dict[str, Any]:
    return {"id": CHAT_COMPLETION + request_id, "object": shape, "created": int(time.time()), "model": model}


def usage_fields(usage: Usage) -> dict[str, Any]:
    """OpenAI's fields; `cache_write_tokens` and `estimated` are ours, and only there where they say something."""
    prompt = {"cached_tokens": usage.cached_tokens}
    if usage.cache_write_tokens:
        prompt["cache_write_tokens"] = usage.cache_write_tokens
    found: dict[str, Any] = {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": prompt,
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }
    if usage.estimated:
        found["estimated"] = True
    return found
