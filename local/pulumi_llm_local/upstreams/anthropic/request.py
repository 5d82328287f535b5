"""A request to Anthropic's Messages API, read and checked: its form, the rules of a conversation, what the model accepts.

https://docs.anthropic.com/en/api/messages. Played by no model here, and refused by name: images, documents, tools that
Anthropic itself runs. `cache_control`, `metadata`, `top_k` and the like are accepted and change nothing.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

from pulumi_llm_local.upstreams.model import (
    Block,
    ConverseCall,
    Json,
    Message,
    ModelTraits,
    ReasoningBlock,
    TextBlock,
    Tool,
    ToolResultBlock,
    ToolUseBlock,
)


@dataclass(frozen=True)
class MessagesRequest:
    call: ConverseCall
    stream: bool


class InvalidRequest(Exception):
    """The message of an invalid_request_error, or of a not_found_error with the status 404."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.message = message
        self.status = status


def read_messages(body: bytes, models: Any) -> MessagesRequest:
    """`models` maps a model's name to its `ModelTraits`. Raises `InvalidRequest`."""
    try:
        given: Any = json.loads(body)
    except ValueError as error:
        raise InvalidRequest(f"The request body is not valid JSON: {error}") from error
    if not isinstance(given, dict):
        raise InvalidRequest("Input should be a valid dictionary")
    document = cast(Json, given)
    for name in document:
        if name not in _KNOWN:
            raise InvalidRequest(f"{name}: Extra inputs are not permitted")
    name: str = _field(document, "model", (str,), "string", required=True)
    max_tokens: int = _field(document, "max_tokens", (int,), "integer", required=True)
    if max_tokens < 1:
        raise InvalidRequest("max_tokens: Input should be greater than or equal to 1")
    messages = _messages(_field(document, "messages", (list,), "list", required=True))
    if name not in models:
        raise InvalidRequest(f"model: {name}", 404)
    traits = cast(ModelTraits, models[name])
    if max_tokens > traits.max_output_tokens:
        raise InvalidRequest(
            f"max_tokens: {max_tokens} > {traits.max_output_tokens}, which is the maximum allowed number of output tokens for "
            f"{name}"
        )
    tools = _tools(_field(document, "tools", (list,), "list") or ())
    choice, tool_name = _tool_choice(_field(document, "tool_choice", (dict,), "dictionary"), tools)
    thinking = _thinking(document, name, max_tokens, traits, forced=choice in ("any", "tool"))
    _check_conversation(messages, thinking=thinking == "enabled")
    call = ConverseCall(
        model_id=name,
        traits=replace(traits, reasoning=thinking is not None),
        messages=messages,
        system=_system(document.get("system")),
        max_tokens=max_tokens,
        temperature=_share(document, "temperature"),
        top_p=_share(document, "top_p"),
        stop=_stop(_field(document, "stop_sequences", (list,), "list") or ()),
        tools=() if choice == "none" else tools,
        tool_choice=cast(Any, choice if choice != "none" else "auto"),
        tool_name=tool_name,
    )
    _check_traits(call)
    return MessagesRequest(call, bool(_field(document, "stream", (bool,), "boolean")))


_KNOWN = frozenset(
    {
        "cache_control",
        "container",
        "context_management",
        "inference_geo",
        "max_tokens",
        "messages",
        "metadata",
        "model",
        "output_config",
        "service_tier",
        "stop_sequences",
        "stream",
        "system",
        "temperature",
        "thinking",
        "tool_choice",
        "tools",
        "top_k",
        "top_p",
    }
)


def _field(given: Json, name: str, kinds: tuple[type, ...], expected: str, place: str = "", *, required: bool = False) -> Any:
    value = given.get(name)
    if value is None and required:
        raise InvalidRequest(f"{place}{name}: Field required")
    if value is None or (isinstance(value, kinds) and (bool in kinds or not isinstance(value, bool))):
        return value
    raise InvalidRequest(f"{place}{name}: Input should be a valid {expected}")


def _share(given: Json, name: str) -> float | None:
    value = _field(given, name, (int, float), "number")
    if value is not None and not 0 <= value <= 1:
        raise InvalidRequest(f"{name}: range: 0..1")
    return value


def _stop(sequences: Sequence[Any]) -> tuple[str, ...]:
    for i, sequence in enumerate(sequences):
        if not isinstance(sequence, str):
            raise InvalidRequest(f"stop_sequences.{i}: Input should be a valid string")
        if not sequence.strip():
            raise InvalidRequest("stop_sequences: each stop sequence must contain non-whitespace")
    return tuple(sequences)


def _thinking(
    document: Json, model: str, max_tokens: int, traits: ModelTraits, *, forced: bool
) -> Literal["enabled", "adaptive"] | None:
    thinking: Json | None = _field(document, "thinking", (dict,), "dictionary")
    kind = (thinking or {"type": "disabled"}).get("type")
    if thinking is None or kind == "disabled":
        return None
    if kind not in ("enabled", "adaptive"):
        raise InvalidRequest(
            f"thinking: Input tag '{kind}' found using 'type' does not match any of the expected tags: 'adaptive', 'disabled', "
            "'enabled'"
        )
    if not traits.reasoning:
        raise InvalidRequest(f"'{model}' does not support thinking")
    if kind == "enabled":
        budget: int = _field(thinking, "budget_tokens", (int,), "integer", "thinking.enabled.", required=True)
        if budget < _LEAST_BUDGET:
            raise InvalidRequest(f"thinking.enabled.budget_tokens: Input should be greater than or equal to {_LEAST_BUDGET}")
        if budget >= max_tokens:
            raise InvalidRequest("`max_tokens` must be greater than `thinking.budget_tokens`.")
    if document.get("temperature") not in (None, 1):
        raise InvalidRequest("`temperature` may only be set to 1 when thinking is enabled.")
    if forced:
        raise InvalidRequest("Thinking may not be enabled when tool_choice forces tool use.")
    return cast(Any, kind)


_LEAST_BUDGET = 1024


# Messages.


def _messages(listed: list[Any]) -> tuple[Message, ...]:
    """Neighbours of one role are made one message, as the API does."""
    if not listed:
        raise InvalidRequest("messages: at least one message is required")
    messages: list[Message] = []
    for i, entry in enumerate(listed):
        if not isinstance(entry, dict):
            raise InvalidRequest(f"messages.{i}: Input should be a valid dictionary")
        message = cast(Json, entry)
        role: Any = message.get("role")
        if role not in ("user", "assistant"):
            raise InvalidRequest(
                f'messages: Unexpected role "{role}". Allowed roles are "user" or "assistant". The Messages API accepts a '
                "top-level `system` parameter, not a role of that name."
            )
        content = _content(message.get("content"), role, f"messages.{i}.content")
        if messages and messages[-1].role == role:
            messages[-1] = Message(role, (*messages[-1].content, *content))
        else:
            messages.append(Message(role, content))
    return tuple(messages)


def _content(content: Any, role: str, place: str) -> tuple[Block, ...]:
    blocks: Any = [{"type": "text", "text": content}] if isinstance(content, str) else content
    if not isinstance(blocks, list):
        raise InvalidRequest(f"{place}: Input should be a valid string or list")
    if not blocks:
        raise InvalidRequest(f"{place}: all messages must have non-empty content")
    return tuple(_block(block, role, f"{place}.{i}") for i, block in enumerate(cast(list[Any], blocks)))


def _block(given: Any, role: str, place: str) -> Block:
    block = cast(Json, given if isinstance(given, dict) else {})
    match role, block.get("type"):
        case _, "text":
            text: str = _field(block, "text", (str,), "string", f"{place}.text.", required=True)
            if not text:
                raise InvalidRequest("messages: text content blocks must be non-empty")
            return TextBlock(text)
        case "user", "tool_result":
            id_: str = _field(block, "tool_use_id", (str,), "string", f"{place}.tool_result.", required=True)
            return ToolResultBlock(id_, _result(block.get("content"), place), bool(block.get("is_error")))
        case "assistant", "tool_use":
            place = f"{place}.tool_use."
            return ToolUseBlock(
                _field(block, "id", (str,), "string", place, required=True),
                _field(block, "name", (str,), "string", place, required=True),
                _field(block, "input", (dict,), "dictionary", place, required=True),
            )
        case "assistant", "thinking":
            if not block.get("signature"):
                raise InvalidRequest(f"{place}.thinking.signature: Field required")
            return ReasoningBlock(_field(block, "thinking", (str,), "string", f"{place}.thinking.", required=True))
        case "assistant", "redacted_thinking":
            return ReasoningBlock("")
        case _, kind:
            raise InvalidRequest(f"{place}: the local run does not play the block {kind!r} in a message of role {role}")


def _result(content: Any, place: str) -> str:
    if content is None or isinstance(content, str):
        return content or ""
    texts: list[str] = []
    if not isinstance(content, list):
        raise InvalidRequest(f"{place}.tool_result.content: Input should be a valid string or list")
    for i, entry in enumerate(cast(list[Any], content)):
        part = cast(Json, entry if isinstance(entry, dict) else {})
        if part.get("type") != "text":
            raise InvalidRequest(f"{place}.tool_result.content.{i}: the local run plays text alone, not {part.get('type')!r}")
        texts.append(_field(part, "text", (str,), "string", f"{place}.tool_result.content.{i}.text.", required=True))
    return "\n".join(texts)


def _system(system: Any) -> tuple[str, ...]:
    if system is None or isinstance(system, str):
        return (system,) if system else ()
    if not isinstance(system, list):
        raise InvalidRequest("system: Input should be a valid string or list")
    entries = [cast(Json, entry if isinstance(entry, dict) else {}) for entry in cast(list[Any], system)]
    return tuple(_field(entry, "text", (str,), "string", f"system.{i}.", required=True) for i, entry in enumerate(entries))


def _check_conversation(messages: Sequence[Message], *, thinking: bool) -> None:
    if messages[0].role != "user":
        raise InvalidRequest('messages: first message must use the "user" role')
    awaited: list[str] = []
    for i, message in enumerate(messages):
        answered = [block.id for block in message.content if isinstance(block, ToolResultBlock)]
        missing = [id_ for id_ in awaited if id_ not in answered]
        if missing:
            raise InvalidRequest(
                f"messages.{i - 1}: `tool_use` ids were found without `tool_result` blocks immediately after: "
                f"{', '.join(missing)}. Each `tool_use` block must have a corresponding `tool_result` block in the next "
                "message."
            )
        for id_ in answered:
            if id_ not in awaited:
                raise InvalidRequest(
                    f"messages.{i}.content.0: unexpected `tool_use_id` found in `tool_result` blocks: {id_}. Each "
                    "`tool_result` block must have a corresponding `tool_use` block in the previous message."
                )
        awaited = [block.id for block in message.content if isinstance(block, ToolUseBlock)]
    if awaited:
        raise InvalidRequest(
            f"messages.{len(messages) - 1}: `tool_use` ids were found without `tool_result` blocks immediately after: "
            f"{', '.join(awaited)}."
        )
    # In the loop of a tool the model wants back what it thought.
    if thinking and len(messages) > 1 and any(isinstance(block, ToolResultBlock) for block in messages[-1].content):
        first = messages[-2].content[0]
        if not isinstance(first, ReasoningBlock):
            found = "tool_use" if isinstance(first, ToolUseBlock) else "text"
            raise InvalidRequest(
                f"messages.{len(messages) - 2}.content.0.type: Expected `thinking` or `redacted_thinking`, but found "
                f"`{found}`. When `thinking` is enabled, a final `assistant` message must start with a thinking block "
                "(preceeding the lastmost set of `tool_use` and `tool_result` blocks)."
            )


# Tools, and what the model accepts.


def _tools(listed: Sequence[Any]) -> tuple[Tool, ...]:
    tools: list[Tool] = []
    for i, entry in enumerate(listed):
        tool = cast(Json, entry if isinstance(entry, dict) else {})
        if tool.get("type") not in (None, "custom"):
            raise InvalidRequest(f"tools.{i}: the local run does not play tools of type {tool['type']!r}")
        place = f"tools.{i}.custom."
        name: str = _field(tool, "name", (str,), "string", place, required=True)
        schema: Json = _field(tool, "input_schema", (dict,), "dictionary", place, required=True)
        if schema.get("type") != "object":
            raise InvalidRequest(f"tools.{i}.custom.input_schema.type: Input should be 'object'")
        if any(other.name == name for other in tools):
            raise InvalidRequest("tools: Tool names must be unique.")
        tools.append(Tool(name, tool.get("description") or "", schema))
    return tuple(tools)


def _tool_choice(choice: Json | None, tools: Sequence[Tool]) -> tuple[str, str]:
    """auto, any, tool or none, and the tool's name."""
    if choice is None:
        return "auto", ""
    kind: Any = choice.get("type")
    if kind not in ("auto", "any", "tool", "none"):
        raise InvalidRequest(
            f"tool_choice: Input tag '{kind}' found using 'type' does not match any of the expected tags: 'auto', 'any', "
            "'tool', 'none'"
        )
    if not tools and kind != "none":
        raise InvalidRequest("tool_choice may only be specified while providing tools.")
    name = choice.get("name") if kind == "tool" else ""
    if name and all(tool.name != name for tool in tools):
        raise InvalidRequest(f"Tool '{name}' not found in provided tools")
    if name is None:
        raise InvalidRequest("tool_choice.tool.name: Field required")
    return kind, name


def _check_traits(call: ConverseCall) -> None:
    given = {"temperature": call.temperature, "top_p": call.top_p}
    names = [name for name, value in given.items() if value is not None]
    for name in names:
        if name not in call.traits.accepts:
            raise InvalidRequest(f"`{name}` is not supported for this model.")
    if len(call.traits.exclusive & set(names)) > 1:
        raise InvalidRequest("`temperature` and `top_p` cannot both be specified for this model. Please use only one.")
    if call.tools and "tools" not in call.traits.accepts:
        raise InvalidRequest(f"'{call.model_id}' does not support tool use")
