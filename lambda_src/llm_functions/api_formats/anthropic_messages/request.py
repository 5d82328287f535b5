"""Reads requests in the format of Anthropic's Messages API.

https://platform.claude.com/docs/en/api/messages
https://platform.claude.com/docs/en/api/messages-count-tokens
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, cast

import msgspec

from llm_functions.api_formats.anthropic_messages import tools
from llm_functions.api_formats.fields import MOST_ITEMS, MOST_MESSAGES, Fields
from llm_functions.api_formats.fields import kind as kind_of
from llm_functions.api_formats.media import ADDRESS, is_address, is_base64
from llm_gateway.errors import clipped
from llm_gateway.request import (
    NUMERIC_PARAMETERS,
    Cache,
    ChatRequest,
    Media,
    Message,
    ReasoningBlock,
    ResponseFormat,
    Sampling,
    ToolUse,
    longer,
)
from llm_gateway.system_messages import after_results

STOP_LIMIT = 16

# What Anthropic's API also takes and what no model needs for its answer: where a request runs, at what price, and what is
# trimmed from its history or told of it.
IGNORED = (
    *("service_tier", "inference_geo", "speed", "context_management", "diagnostics", "betas", "fallbacks"),
    *("user_profile_id", "workspace_id", "billing_policy", "fallback_credit_token"),
)
# What happens at Anthropic, and nowhere else.
HOSTED = ("container", "mcp_servers", "compaction", "thread")
# What Claude Code's system text begins with. Anthropic takes the line out; it differs in every request, and nothing after it
# would be read from a prompt cache. https://github.com/anthropics/claude-code/issues/68900
BILLING = "x-anthropic-billing-header:"
EFFORTS = ("low", "medium", "high", "xhigh", "max")
_HIGH = EFFORTS.index("high")
# The budgets of thinking, in tokens, up to which an effort is low or medium.
_LOW_BUDGET, _MEDIUM_BUDGET = 4096, 16384


def parse(body: Mapping[str, Any], *, counted: bool = False) -> tuple[ChatRequest, bool]:
    """Parse a request's body. Returns the request, and whether its answer shows the model's thinking.

    `counted`: the body is one whose tokens are to be counted. Raises the error 400, which names every field that is wrong.
    """
    fields = Fields(body)
    model = fields.string("model", required=True)
    max_tokens = fields.integer("max_tokens", 1)
    if max_tokens is None and not fields.has("max_tokens") and not counted:
        fields.wrong("max_tokens", "is required, a whole number")
    conversation = _Conversation(fields)
    offered = tools.read(fields)
    tool_choice, parallel = tools.choice(fields, offered)
    thinking, effort, asked = _thinking(fields)
    response_format, effort = _output_config(fields, effort, asked)
    cache = tools.is_cached(fields)
    messages = [*after_results(conversation.messages)]
    if cache and messages:
        messages[-1] = msgspec.structs.replace(messages[-1], cache=longer(messages[-1].cache, cache))
    request = ChatRequest(
        messages=tuple(messages),
        model=model or "",
        system="\n\n".join(conversation.system) if conversation.system else None,
        sampling=Sampling(
            max_tokens=max_tokens,
            **fields.numbers(NUMERIC_PARAMETERS),
            stop=fields.strings("stop_sequences", STOP_LIMIT),
        ),
        # It asks for more thought and no other answer: a model that does not reason answers without.
        defaults=Sampling(reasoning_effort=effort),
        tools=offered,
        tool_choice=tool_choice,
        parallel_tool_calls=parallel,
        stream=fields.boolean("stream"),
        names={
            "stop": "stop_sequences",
            "response_format": "output_config.format",
            "parallel_tool_calls": "tool_choice.disable_parallel_tool_use",
        },
        response_format=response_format,
        hints=_hints(fields),
        cache_system=conversation.cache_system,
        thinking=asked,
    )
    for name in HOSTED:
        if fields.any(name):
            fields.wrong(name, "is a part of Anthropic's own service and is not possible here; leave it out")
    for name in IGNORED:
        fields.any(name)
    fields.no_others()
    fields.finish()
    return request, thinking


def _hints(fields: Fields) -> dict[str, Any]:
    """Return the hints. No target knows `top_k`, so that it is named as dropped."""
    found: dict[str, Any] = {}
    if (top_k := fields.integer("top_k", 0)) is not None:
        found["top_k"] = top_k
    metadata = fields.object("metadata")
    if metadata is None:
        return found
    user = metadata.string("user_id")
    metadata.no_others()
    return {**found, "user": user} if user else found


def _thinking(fields: Fields) -> tuple[bool, str | None, dict[str, Any]]:
    """Return whether the answer shows the model's thinking, the effort that is asked for, and the caller's words for Claude.

    Where nobody asks for it, an answer begins with its text. With tools it is shown nevertheless: some models need their
    thinking back with the result of a tool.
    """
    thinking = fields.object("thinking")
    if thinking is None:
        return fields.has("tools"), None, {}
    kind = thinking.string("type", required=True)
    budget = thinking.integer("budget_tokens", 1)
    display = thinking.string("display")
    if display == "updates":  # of Anthropic's beta: a summary as it comes about
        display = "summarized"
    if display not in (None, "summarized", "omitted"):
        thinking.wrong("display", f"must be summarized or omitted, not {clipped(display)!r}")
    thinking.any("block_binding")  # what Anthropic does with blocks of another prefix
    thinking.no_others()
    asked = {"type": kind, "budget_tokens": budget, "display": display}
    asked = {name: value for name, value in asked.items() if value is not None}
    match kind:
        case "disabled":
            return False, None, asked
        case "adaptive" | "between_tools" | None:
            return True, "medium", asked
        case "enabled":
            if budget is None or budget > _MEDIUM_BUDGET:
                return True, "high", asked
            return True, "low" if budget <= _LOW_BUDGET else "medium", asked
        case _:
            thinking.wrong("type", f"must be enabled, adaptive or disabled, not {clipped(kind)!r}")
            return False, None, {}


def _output_config(fields: Fields, effort: str | None, asked: dict[str, Any]) -> tuple[ResponseFormat | None, str | None]:
    """Return the form of the answer's text, and the effort for other models than Claude: the one named here, or `effort`.

    `asked` is told the one that is named.
    """
    found = _format(fields, "output_format")  # its place before output_config
    config = fields.object("output_config")
    if config is None:
        return found, effort
    named = config.string("effort")
    if named is not None and named not in EFFORTS:
        config.wrong("effort", f"must be {', '.join(EFFORTS[:-1])} or {EFFORTS[-1]}, not {clipped(named)!r}")
    if named is not None:
        asked["effort"] = named
    found = _format(config, "format") or found
    config.any("task_budget")
    config.no_others()
    if named in EFFORTS[_HIGH:]:  # some of OpenAI's models do not know a higher one
        return found, "high"
    return found, named or effort


def _format(fields: Fields, name: str) -> ResponseFormat | None:
    wanted = fields.object(name)
    if wanted is None:
        return None
    kind = wanted.string("type", required=True)
    if kind not in (None, "json_schema"):
        wanted.wrong("type", f"only 'json_schema' is possible, not {clipped(kind)!r}")
    schema: Any = wanted.any("schema")
    if not isinstance(schema, dict):
        wanted.wrong(
            "schema", "is required, a JSON Schema" if schema is None else f"must be a JSON Schema, not {kind_of(schema)}"
        )
        return None
    wanted.check_nesting("schema", cast("dict[str, Any]", schema))
    wanted.no_others()
    return ResponseFormat(type="json_schema", name="answer", schema=cast("dict[str, Any]", schema), strict=True)


# The conversation.


def _without_billing(text: str) -> str:
    return text.partition("\n")[2].lstrip("\n") if text.startswith(BILLING) else text


class _Conversation:
    """The system texts and the messages of a request."""

    def __init__(self, fields: Fields) -> None:
        self.messages: list[Message] = []
        self.system: list[str] = []
        self.cache_system: Cache = False
        self._ending: set[str] = set()  # the places of the system's messages that a later turn of the user ends,
        self._ended: set[str] = set()  # and of those that one has ended
        system = fields.any("system")
        if isinstance(system, str):
            self._add_system(_Content(text=[system]))
        elif system is not None:
            self._add_system(_read_blocks(fields.objects("system", MOST_ITEMS)))
        if not fields.has("messages"):
            fields.any("messages")
            fields.wrong("messages", "is required, a list of messages")
        for message in fields.objects("messages", MOST_MESSAGES):
            self._add(message)
        if self._ended:
            self.messages = [message for message in self.messages if message.place not in self._ended]

    def _add_system(self, content: "_Content") -> None:
        self.system += [text for given in content.text if (text := _without_billing(given))]
        self.cache_system = longer(self.cache_system, content.cache)

    def _add(self, message: Fields) -> None:
        role = message.string("role", required=True)
        content, config = message.any("content"), message.any("output_config")
        if content is None and not (role == "system" and config):
            message.wrong("content", "is required, a string or a list of blocks")
        read = _Content(text=[content]) if isinstance(content, str) else _read_blocks(message.objects("content", MOST_ITEMS))
        message.any("effort")  # as output_config: of one turn; the request's own counts
        if message.string("clear_at") == "next_user_message":
            self._ending.add(message.place)
        message.no_others()
        match role:
            case "system" if not read.text:
                pass
            case "system" if self.messages:
                self.messages.append(Message("system", "\n\n".join(read.text), place=message.place, cache=read.cache))
            case "system":
                self._add_system(read)
            case "assistant":
                self.messages.append(
                    Message(
                        role="assistant",
                        text=read.joined(),
                        tool_calls=tuple(read.calls),
                        reasoning="".join(read.reasoning),
                        reasoning_blocks=tuple(read.reasoning_blocks),
                        place=message.place,
                        cache=read.cache,
                        order=tuple(read.order) if read.is_interleaved else (),
                    )
                )
            case "user":
                self._ended |= self._ending
                self._ending.clear()
                self.messages += read.results
                if read.text or read.media or not read.results:
                    self.messages.append(
                        Message(
                            role="user", text=read.joined(), parts=read.mixed_parts(), place=message.place, cache=read.cache
                        )
                    )
            case None:
                pass
            case _:
                message.wrong("role", f"must be user or assistant, not {clipped(role)!r}")


class _Content:
    """What the blocks of a message, or of a tool's result, hold."""

    def __init__(self, text: Iterable[str] = ()) -> None:
        self.text = list(text)
        self.parts: list[str | Media] = []
        self.media = False
        self.calls: list[ToolUse] = []
        self.results: list[Message] = []
        self.reasoning: list[str] = []
        self.reasoning_blocks: list[ReasoningBlock] = []
        self.order: list[str | ReasoningBlock | int] = []  # all of an assistant's turn; a number is a place in `calls`
        self.cache: Cache = False

    @property
    def is_interleaved(self) -> bool:
        """Whether signed reasoning stands in a turn that is not in the usual order: reasoning, one text, calls."""
        ranks = [0 if isinstance(part, ReasoningBlock) else 1 if isinstance(part, str) else 2 for part in self.order]
        return 0 in ranks and (ranks.count(1) > 1 or ranks != sorted(ranks))

    def joined(self) -> str:
        return "\n".join(self.text)

    def mixed_parts(self) -> tuple[str | Media, ...]:
        return tuple(self.parts) if self.media else ()

    def add_text(self, text: str) -> None:
        self.text.append(text)
        self.parts.append(text)
        self.order.append(text)

    def add_reasoning(self, block: ReasoningBlock) -> None:
        self.reasoning_blocks.append(block)
        self.order.append(block)

    def add_media(self, media: Media) -> None:
        self.media = True
        self.parts.append(media)


def _read_blocks(blocks: list[Fields]) -> _Content:
    content = _Content()
    for block in blocks:
        kind = block.string("type", required=True)
        cached = tools.is_cached(block)
        content.cache = longer(content.cache, cached)
        match kind:
            case "text":
                if not block.has("text"):
                    block.wrong("text", "is required, a string")
                content.add_text(block.string("text") or "")  # a model's answer may be blank
                block.any("citations")
            case "image":
                block.any("transformations")
                if media := _media(block, "image"):
                    content.add_media(media)
            case "document":
                _read_document(block, content)
            case "tool_reference":  # all tools are offered, those too that a tool of the client's is to find
                content.add_text(block.string("tool_name", required=True) or "")
            case "search_result":
                title, source = block.string("title") or "", block.string("source") or ""
                content.add_text("\n".join([title, source, *_read_blocks(block.objects("content", MOST_ITEMS)).text]))
                block.any("citations")
            case "tool_reference":  # in the result of a search for tools, all of which are offered from the beginning
                content.add_text(f"There is the tool {block.string('tool_name', required=True)}.")
            case "tool_use":
                content.order.append(len(content.calls))
                content.calls.append(_tool_use(block))
            case "tool_result":
                content.results.append(_tool_result(block, cached))
            case "thinking":
                text, signature = block.string("thinking") or "", block.string("signature") or ""
                content.reasoning.append(text)
                if signature:
                    content.add_reasoning(ReasoningBlock(text=text, signature=signature))
            case "redacted_thinking":
                content.add_reasoning(ReasoningBlock(data=block.string("data", required=True) or ""))
            case None:
                pass
            case _:
                block.wrong(
                    "type",
                    f"{clipped(kind)!r} is not possible here, for this service runs no tools and keeps no files; leave it out",
                )
                continue
        block.no_others()
    return content


def _read_document(block: Fields, content: _Content) -> None:
    """Read a document. One that is plain text becomes a text, which every model reads."""
    title, context = block.string("title") or "", block.string("context") or ""
    block.any("citations")
    source = block.object("source")
    match source.any("type") if source is not None else None:
        case "text" if source is not None:
            source.any("media_type")
            text = source.string("data", required=True) or ""
        case "content" if source is not None:
            inner = source.any("content")
            text = inner if isinstance(inner, str) else _read_blocks(source.objects("content", MOST_ITEMS)).joined()
        case _:
            if context:
                content.add_text(context)
            if media := _media(block, "document", title):
                content.add_media(media)
            return
    content.add_text("\n".join(part for part in (title, context, text) if part))


_is_media_type = re.compile(r"[\w.+-]+/[\w.+-]+").fullmatch


def _media(block: Fields, kind: Any, name: str = "") -> Media | None:
    source = block.object("source")
    if source is None:
        if not block.has("source"):
            block.wrong("source", "is required, an object")
        return None
    media: Media | None = None
    match source.string("type", required=True):
        case "base64":
            media_type, data = source.string("media_type", required=True), source.string("data", required=True)
            if media_type and not _is_media_type(media_type):
                source.wrong("media_type", f"must be such as image/png, not {clipped(media_type)!r}")
            if data and not is_base64(data):
                source.wrong("data", "must be base64")
            media = Media(kind=kind, media_type=media_type or "", data=data or "", name=name)
        case "url":
            url = source.string("url", required=True) or ""
            if url and not is_address(url):
                source.wrong("url", f"must be {ADDRESS}, not {clipped(url, 32)!r}")
            media = Media(kind=kind, url=url, name=name)
        case None:
            pass
        case other:
            source.wrong("type", f"must be base64 or url, not {clipped(other)!r}: this service keeps no files")
            return None
    source.no_others()
    return media


def _tool_use(block: Fields) -> ToolUse:
    identifier, name = block.string("id", required=True), block.string("name", required=True)
    arguments: Any = block.any("input")
    if not isinstance(arguments, dict):
        block.wrong("input", "is required, an object")
        arguments = {}
    block.check_nesting("input", cast("dict[str, Any]", arguments))
    for other in ("caller", "toolset_name"):
        block.any(other)
    return ToolUse(id=identifier or "", name=name or "", arguments=cast("dict[str, Any]", arguments))


def _tool_result(block: Fields, cached: Cache) -> Message:
    identifier = block.string("tool_use_id", required=True)
    content = block.any("content")
    read = _Content(text=[content]) if isinstance(content, str) else _read_blocks(block.objects("content", MOST_ITEMS))
    failed = block.boolean("is_error")
    block.any("toolset_name")
    return Message(
        role="tool",
        text=read.joined(),
        parts=read.mixed_parts(),
        tool_call_id=identifier or "",
        place=block.place,
        cache=longer(cached, read.cache),
        failed=failed,
    )
