"""Reads and checks a request to Anthropic's Messages API: its form, the rules of a conversation, what the model accepts.

https://docs.anthropic.com/en/api/messages. No model here plays the tools that Anthropic itself runs: these are refused by
name. Images and documents are read, and not looked at. Parameters such as `cache_control` and `top_k` are accepted
and change nothing.
"""

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal, cast

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, ValidationError
from pydantic_core import PydanticCustomError

from pulumi_llm_local.upstreams import claude_schema, closed_schema
from pulumi_llm_local.upstreams.anthropic.errors import MessagesError, invalid_request
from pulumi_llm_local.upstreams.model import (
    Block,
    Call,
    GenerationRequest,
    Json,
    MediaBlock,
    Message,
    ModelTraits,
    ReasoningBlock,
    Role,
    TextBlock,
    Tool,
    ToolResultBlock,
    ToolUseBlock,
)

# The form of a request. Anthropic's own API checks it with pydantic as well, so the errors are in its words. The types of
# Anthropic's SDK are TypedDicts without any bound, and the SDK is no dependency of the local run.


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class _Cacheable(_Form):
    cache_control: Any = None


class TextParam(_Cacheable):
    type: Literal["text"]
    text: str
    citations: Any = None


def _is_base64(data: str) -> str:
    try:
        base64.b64decode(data, validate=True)
    except binascii.Error as error:
        raise PydanticCustomError("base64", "invalid base64 data") from error
    return data


class Base64Source(_Form):
    type: Literal["base64"]
    media_type: Literal["image/jpeg", "image/png", "image/gif", "image/webp", "application/pdf"]
    data: Annotated[str, AfterValidator(_is_base64)]


class UrlSource(_Form):
    type: Literal["url"]
    url: str


class TextSource(_Form):
    type: Literal["text"]
    media_type: Literal["text/plain"]
    data: str


class ImageParam(_Cacheable):
    type: Literal["image"]
    source: Annotated[Base64Source | UrlSource, Discriminator("type")]


class DocumentParam(_Cacheable):
    type: Literal["document"]
    source: Annotated[Base64Source | UrlSource | TextSource, Discriminator("type")]
    title: str | None = None
    context: str | None = None
    citations: Any = None


class ToolUseParam(_Cacheable):
    type: Literal["tool_use"]
    id: Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]+$")]
    name: Annotated[str, Field(min_length=1, max_length=200)]
    input: Json


def _as_blocks(content: Any) -> Any:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


ResultPart = Annotated[TextParam | ImageParam | DocumentParam, Discriminator("type")]


def _as_result(content: Any) -> Any:
    return [] if content == "" else _as_blocks(content)


class ToolResultParam(_Cacheable):
    type: Literal["tool_result"]
    tool_use_id: Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]+$")]
    content: Annotated[list[ResultPart], BeforeValidator(_as_result)] = []
    is_error: bool = False


class ThinkingParam(_Form):
    type: Literal["thinking"]
    thinking: str
    signature: Annotated[str, Field(min_length=1)]


class RedactedThinkingParam(_Form):
    type: Literal["redacted_thinking"]
    data: str


BlockParam = Annotated[
    TextParam | ImageParam | DocumentParam | ToolUseParam | ToolResultParam | ThinkingParam | RedactedThinkingParam,
    Discriminator("type"),
]


class MessageParam(_Form):
    role: Literal["user", "assistant", "system"]
    content: Annotated[list[BlockParam], BeforeValidator(_as_blocks)]


class InputSchema(BaseModel):
    model_config = ConfigDict(extra="allow")
    type: Literal["object"]


class ToolParam(_Cacheable):
    type: Literal["custom"] | None = None
    name: Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,128}$")]
    description: str | None = None
    input_schema: InputSchema
    strict: bool | None = None


# The tools of Anthropic's own that the caller runs: their names, and what a model here writes as their input.
# https://platform.claude.com/docs/en/agents-and-tools/tool-use/overview
_OWN_TOOLS = {
    "bash": (("bash",), "command"),
    "text_editor": (("str_replace_based_edit_tool", "str_replace_editor"), "path"),
    "memory": (("memory",), "path"),
    "computer": (("computer",), "action"),
}


def _with_schema(tool: Any) -> Any:
    """Return a tool with its schema, which one of Anthropic's own does not tell."""
    if not isinstance(tool, dict):
        return tool
    given = cast("dict[str, Any]", tool)
    kind, _, date = str(given.get("type") or "").rpartition("_")
    names, field = _OWN_TOOLS.get(kind, ((), ""))
    if given.get("name") not in names or not date.isdecimal() or "input_schema" in given:
        return given
    schema = {"type": "object", "properties": {field: {"type": "string"}}, "required": [field]}
    return {"name": given["name"], "input_schema": schema, "cache_control": given.get("cache_control")}


class ToolChoice(_Form):
    type: Literal["auto", "any", "tool", "none"]
    name: str = ""
    disable_parallel_tool_use: bool = False


class OutputFormat(_Form):
    type: Literal["json_schema"]
    schema_: Annotated[Json, Field(alias="schema")]


class OutputConfig(_Form):
    format: OutputFormat | None = None
    effort: Literal["low", "medium", "high", "xhigh", "max"] | None = None


class Thinking(_Form):
    type: Literal["adaptive", "between_tools", "disabled", "enabled"]
    budget_tokens: Annotated[int, Field(ge=1024)] | None = None
    display: Any = None


def _from_0_to_1(value: float) -> float:
    if not 0 <= value <= 1:
        raise PydanticCustomError("range", "range: 0..1")
    return value


def _not_blank(sequence: str) -> str:
    if not sequence.strip():
        raise PydanticCustomError("blank", "each stop sequence must contain non-whitespace")
    return sequence


Share = Annotated[float, AfterValidator(_from_0_to_1)]


def _opaque(user: str) -> str:
    for name, pattern in (("an email address", r"\S+@\S+\.\S+"), ("a phone number", r"\+?[0-9 ()./-]{7,}")):
        if re.search(pattern, user) if "@" in pattern else re.fullmatch(pattern, user):
            message = "user_id appears to contain {what}. Please send a uuid or hash value instead."
            raise PydanticCustomError("personal", message, {"what": name})
    return user


class Metadata(_Form):
    """The words for an id that names a person are from public reports.

    https://platform.claude.com/docs/en/api/messages/create
    """

    user_id: Annotated[str, Field(max_length=256), AfterValidator(_opaque)] | None = None


class MessagesParameters(_Cacheable):
    """What Anthropic documents for POST /v1/messages. Any: the parameter changes nothing."""

    model: str
    max_tokens: Annotated[int, Field(ge=1)]
    messages: list[MessageParam]
    system: Annotated[list[TextParam], BeforeValidator(_as_blocks)] = []
    temperature: Share | None = None
    top_p: Share | None = None
    stop_sequences: list[Annotated[str, AfterValidator(_not_blank)]] = []
    tools: list[Annotated[ToolParam, BeforeValidator(_with_schema)]] = []
    tool_choice: ToolChoice | None = None
    thinking: Thinking | None = None
    stream: bool = False
    container: Any = None
    context_management: Any = None
    inference_geo: Any = None
    metadata: Metadata | None = None
    output_config: OutputConfig | None = None
    service_tier: Any = None
    top_k: Any = None


# Reading it.


def read_messages(body: bytes, models: Mapping[str, ModelTraits]) -> Call:
    """Read the body of a request. `models` has what each model accepts, by its name.

    Raises:
        MessagesError: The first error.
    """
    try:
        given = MessagesParameters.model_validate_json(body)
    except ValidationError as error:
        raise invalid_request(_message_of(error)) from error
    if given.model not in models:
        raise MessagesError(404, f"model: {given.model}")
    traits = models[given.model]
    if given.max_tokens > traits.max_output_tokens:
        raise invalid_request(
            f"max_tokens: {given.max_tokens} > {traits.max_output_tokens}, which is the maximum allowed number of output "
            f"tokens for {given.model}"
        )
    later = _system_messages(given.messages, traits)
    messages = _read_conversation([message for message in given.messages if message.role != "system"])
    tools = tuple(Tool(tool.name, tool.description or "", tool.input_schema.model_dump()) for tool in given.tools)
    choice = given.tool_choice or ToolChoice(type="auto")
    _check_newest(given, choice)
    thinks = _thinks(given, traits, forced=choice.type in ("any", "tool"))
    _check_conversation(messages, thinking=given.thinking is not None and given.thinking.type == "enabled")
    request = GenerationRequest(
        model_id=given.model,
        traits=replace(traits, reasoning=thinks),
        messages=messages,
        system=(*(block.text for block in given.system if block.text), *later),
        max_tokens=given.max_tokens,
        temperature=given.temperature,
        top_p=given.top_p,
        stop=tuple(given.stop_sequences),
        tools=() if choice.type == "none" else tools,
        tool_choice="auto" if choice.type == "none" else choice.type,
        tool_name=choice.name,
        output_schema=_output_schema(given, traits),
    )
    _check_tools(given, tools)
    _check_strict_tools(given, traits)
    _check_traits(request)
    return Call(request, given.stream)


def _output_schema(given: MessagesParameters, traits: ModelTraits) -> Json | None:
    """Return the schema that the text must follow. https://platform.claude.com/docs/en/build-with-claude/structured-outputs"""
    wanted = given.output_config.format if given.output_config is not None else None
    if wanted is None:
        return None
    if "closed_json_schema" not in traits.accepts:
        raise invalid_request(f"'{given.model}' does not support output format.")
    if problem := closed_schema.refusal(wanted.schema_):
        raise invalid_request(f"output_config.format.schema: {problem}")
    return wanted.schema_


def _check_strict_tools(given: MessagesParameters, traits: ModelTraits) -> None:
    for index, tool in enumerate(given.tools):
        if not tool.strict:
            continue
        if "strict_tools" not in traits.accepts:
            raise invalid_request(f"'{given.model}' does not support strict tools.")
        if problem := closed_schema.refusal(tool.input_schema.model_dump()):
            raise invalid_request(f"tools.{index}.custom.input_schema: {problem}")
    wanted = given.output_config.format if given.output_config is not None else None
    strict = [tool.input_schema.model_dump() for tool in given.tools if tool.strict]
    if problem := closed_schema.limits_refusal(strict, wanted.schema_ if wanted is not None else None):
        raise invalid_request(problem)


def _message_of(errors: ValidationError) -> str:
    """Return the first error in the form of a request, in Anthropic's words."""
    error = errors.errors()[0]
    context = error.get("ctx", {})
    place = ".".join(map(str, error["loc"]))
    match error["type"]:
        case "union_tag_invalid" if error["loc"][0] == "messages":
            return f"{place}: the local run does not play the block {context['tag']!r}"
        case "literal_error" if error["loc"][-1] == "role":
            return (
                f'messages: Unexpected role "{error["input"]}". Allowed roles are "user" or "assistant". The Messages API '
                "accepts a top-level `system` parameter, not a role of that name."
            )
        case "json_invalid":
            return f"The request body is not valid JSON: {context['error']}"
        case _:
            return f"{place}: {error['msg']}"


def _check_newest(given: MessagesParameters, choice: ToolChoice) -> None:
    """Refuse what the newest models refuse, and what none takes in a tool's schema.

    https://platform.claude.com/docs/en/models/opus-5-5/whats-new-opus-5-5, .../whats-new-sonnet-5-5
    """
    for index, tool in enumerate(given.tools):
        if problem := claude_schema.refusal(tool.input_schema.model_dump()):
            raise invalid_request(f"tools.{index}.custom.input_schema{problem}")
    kind = given.thinking.type if given.thinking is not None else ""
    if kind == "between_tools" and "sonnet-5-5" not in given.model:
        raise invalid_request('"thinking.type.between_tools" is not supported for this model.')
    if not any(name in given.model for name in ("opus-5-5", "sonnet-5-5", "fable-5-1")):
        return
    if choice.type in ("any", "tool"):
        raise invalid_request("tool_choice: forced tool use is not supported for this model.")
    if kind in ("disabled", "enabled"):
        raise invalid_request(f'"thinking.type.{kind}" is not supported for this model.')


def _thinks(given: MessagesParameters, traits: ModelTraits, *, forced: bool) -> bool:
    """Whether the model is asked to show its reasoning."""
    if given.thinking is None or given.thinking.type == "disabled":
        return False
    if not traits.reasoning:
        raise invalid_request(f"'{given.model}' does not support thinking")
    if given.thinking.type == "enabled" and given.thinking.budget_tokens is None:
        raise invalid_request("thinking.enabled.budget_tokens: Field required")
    if (given.thinking.budget_tokens or 0) >= given.max_tokens:
        raise invalid_request("`max_tokens` must be greater than `thinking.budget_tokens`.")
    if given.temperature not in (None, 1):
        raise invalid_request("`temperature` may only be set to 1 when thinking is enabled.")
    if forced:
        raise invalid_request("Thinking may not be enabled when tool_choice forces tool use.")
    return True


# The rules of a conversation.


def _system_messages(listed: Sequence[MessageParam], traits: ModelTraits) -> tuple[str, ...]:
    """Return the texts of the system messages between the others.

    https://platform.claude.com/docs/en/build-with-claude/mid-conversation-system-messages
    """
    texts: list[str] = []
    for i, message in enumerate(listed):
        if message.role != "system":
            continue
        if "system_messages" not in traits.accepts:
            raise invalid_request("role 'system' is not supported on this model")
        before = listed[i - 1].role if i else ""
        after = listed[i + 1].role if i + 1 < len(listed) else "assistant"
        if before != "user" or after != "assistant":
            raise invalid_request(
                f"messages.{i}: a `system` message must follow a `user` message, and be the last or be followed by an "
                "`assistant` message"
            )
        for block in message.content:
            if not isinstance(block, TextParam):
                raise invalid_request(f"messages.{i}: only `text` blocks are allowed in `system` messages")
            texts.append(block.text)
    return tuple(texts)


def _read_conversation(listed: Sequence[MessageParam]) -> tuple[Message, ...]:
    """Return the messages, with neighbours of one role joined to one message, as the API does."""
    if not listed:
        raise invalid_request("messages: at least one message is required")
    messages: list[Message] = []
    for i, message in enumerate(listed):
        if not message.content:
            raise invalid_request(f"messages.{i}.content: all messages must have non-empty content")
        role: Role = "assistant" if message.role == "assistant" else "user"
        content = tuple(_read_block(block, role, f"messages.{i}") for block in message.content)
        if messages and messages[-1].role == role:
            content = (*messages.pop().content, *content)
        messages.append(Message(role, content))
    return tuple(messages)


def _read_block(block: BlockParam, role: Role, place: str) -> Block:
    of_user = block.type in ("tool_result", "image", "document")
    if block.type != "text" and role != ("user" if of_user else "assistant"):
        raise invalid_request(f"{place}: `{block.type}` blocks are not allowed in `{role}` messages")
    match block:
        case TextParam():
            return TextBlock(_said(block))
        case ToolUseParam():
            return ToolUseBlock(block.id, block.name, block.input)
        case ToolResultParam():
            texts = [_said(part) for part in block.content if isinstance(part, TextParam)]
            if block.is_error and not block.content:
                raise invalid_request(f"{place}: tool_result: content cannot be empty if `is_error` is true")
            media = tuple(_media(part) for part in block.content if not isinstance(part, TextParam))
            return ToolResultBlock(block.tool_use_id, "\n".join(texts), block.is_error, media)
        case ImageParam() | DocumentParam():
            return _media(block)
        case ThinkingParam():
            return ReasoningBlock(block.thinking)
        case RedactedThinkingParam():
            return ReasoningBlock("")


def _said(block: TextParam) -> str:
    if not block.text:
        raise invalid_request("messages: text content blocks must be non-empty")
    if not block.text.strip():
        raise invalid_request("messages: text content blocks must contain non-whitespace text")
    return block.text


def _media(block: ImageParam | DocumentParam) -> MediaBlock:
    match block.source:
        case UrlSource(url=url):
            return MediaBlock("image_urls" if block.type == "image" else "documents", "url", len(url))
        case Base64Source(media_type=media_type, data=data) | TextSource(media_type=media_type, data=data):
            if block.type == "image" and media_type == "application/pdf":
                raise invalid_request(
                    "image.source.media_type: Input should be 'image/jpeg', 'image/png', 'image/gif' or 'image/webp'"
                )
            return MediaBlock("images" if block.type == "image" else "documents", media_type, len(data))


def _check_conversation(messages: Sequence[Message], *, thinking: bool) -> None:
    if messages[0].role != "user":
        raise invalid_request('messages: first message must use the "user" role')
    awaited: list[str] = []
    known: set[str] = set()
    for i, message in enumerate((*messages, Message("user", ()))):  # the calls of the last message are unanswered, too
        answered = [block.id for block in message.content if isinstance(block, ToolResultBlock)]
        missing = [id_ for id_ in awaited if id_ not in answered]
        if missing:
            raise invalid_request(
                f"messages.{i - 1}: `tool_use` ids were found without `tool_result` blocks immediately after: "
                f"{', '.join(missing)}. Each `tool_use` block must have a corresponding `tool_result` block in the next "
                "message."
            )
        unexpected = [id_ for id_ in answered if id_ not in awaited]
        if unexpected:
            raise invalid_request(
                f"messages.{i}.content.0: unexpected `tool_use_id` found in `tool_result` blocks: {unexpected[0]}. Each "
                "`tool_result` block must have a corresponding `tool_use` block in the previous message."
            )
        awaited = [block.id for block in message.content if isinstance(block, ToolUseBlock)]
        if len(set(awaited)) < len(awaited) or known & set(awaited):
            raise invalid_request(f"messages.{i}: `tool_use` ids must be unique")
        known.update(awaited)
    # Between a tool call and its result the model needs its own reasoning.
    if thinking and len(messages) > 1 and any(isinstance(block, ToolResultBlock) for block in messages[-1].content):
        first = messages[-2].content[0]
        if not isinstance(first, ReasoningBlock):
            found = "tool_use" if isinstance(first, ToolUseBlock) else "text"
            raise invalid_request(
                f"messages.{len(messages) - 2}.content.0.type: Expected `thinking` or `redacted_thinking`, but found "
                f"`{found}`. When `thinking` is enabled, a final `assistant` message must start with a thinking block "
                "(preceeding the lastmost set of `tool_use` and `tool_result` blocks)."
            )


# Tools, and what the model accepts.


def _check_tools(given: MessagesParameters, tools: Sequence[Tool]) -> None:
    names = [tool.name for tool in tools]
    if len(set(names)) < len(names):
        raise invalid_request("tools: Tool names must be unique.")
    if given.tool_choice and given.tool_choice.type != "none" and not tools:
        raise invalid_request("tool_choice may only be specified while providing tools.")
    if given.tool_choice and given.tool_choice.type == "tool" and given.tool_choice.name not in names:
        raise invalid_request(f"Tool '{given.tool_choice.name}' not found in provided tools")


def _check_traits(request: GenerationRequest) -> None:
    for name in request.refused:
        if name in ("temperature", "top_p"):
            raise invalid_request(f"`{name}` is not supported for this model.")
    if request.excluding:
        raise invalid_request("`temperature` and `top_p` cannot both be specified for this model. Please use only one.")
    for name in {"images", "image_urls", "documents"} & set(request.refused):
        raise invalid_request(f"'{request.model_id}' does not support {name.replace('_', ' ')}")
    if "tools" in request.refused:
        raise invalid_request(f"'{request.model_id}' does not support tool use")
