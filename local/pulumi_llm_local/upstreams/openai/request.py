"""Reads and checks a request in the format of OpenAI's chat completions, as the servers with this format do.

No server here plays images and other media, several choices or log probabilities: these are refused by name.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

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
    tool_input,
)
from pulumi_llm_local.upstreams.openai import schemas

# The form of a request. The openai package has it as TypedDicts, without any bound; it is no dependency of the local run.


class _Form(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True)


class ImageUrl(_Form):
    url: str
    detail: Literal["auto", "low", "high"] | None = None


class File(_Form):
    filename: str | None = None
    file_data: str | None = None


class ContentPart(_Form):
    type: Literal["text", "refusal", "image_url", "file"]
    text: str | None = None
    refusal: str | None = None
    image_url: ImageUrl | None = None
    file: File | None = None


class Function(_Form):
    name: str
    arguments: Any


class ToolCall(_Form):
    id: str
    function: Function


def _as_parts(content: Any) -> Any:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


class ChatMessage(_Form):
    role: Literal["system", "assistant", "user", "function", "tool", "developer"]
    content: Annotated[list[ContentPart] | None, BeforeValidator(_as_parts)] = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: str | None = None
    reasoning_content: str | None = None  # DeepSeek's and vLLM's, from an earlier answer
    reasoning: str | None = None


class FunctionDefinition(_Form):
    name: Annotated[str, Field(min_length=1)]
    description: str | None = None
    parameters: Json | None = None
    strict: bool | None = None


class ToolDefinition(_Form):
    type: Literal["function"]
    function: FunctionDefinition


class StreamOptions(_Form):
    include_usage: bool | None = None


class JsonSchema(_Form):
    name: Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
    description: str | None = None
    schema_: Annotated[Json | None, Field(alias="schema")] = None
    strict: bool | None = None


class ResponseFormat(_Form):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None


class ChatParameters(_Form):
    """The parameters that are read or refused here. A `Literal` allows only the default, for nothing else is played."""

    messages: Annotated[list[ChatMessage], Field(min_length=1)]
    model: str = ""
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    stop: Annotated[list[str], BeforeValidator(lambda stop: [stop] if isinstance(stop, str) else stop)] = []
    stream: bool = False
    stream_options: StreamOptions | None = None
    tools: list[ToolDefinition] = []
    tool_choice: Any = None
    n: Literal[1] = 1
    logprobs: bool = False
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    response_format: ResponseFormat | None = None
    audio: Literal[None] = None
    functions: Literal[None] = None
    user: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None


# The other parameters that OpenAI documents, the deprecated ones included: accepted, without effect here.
_WITHOUT_EFFECT = frozenset(
    (
        *("frequency_penalty", "function_call", "logit_bias", "metadata", "modalities", "moderation", "parallel_tool_calls"),
        *("prediction", "presence_penalty", "prompt_cache_options", "prompt_cache_retention", "reasoning_effort"),
        *("seed", "service_tier", "store", "verbosity", "web_search_options"),
    )
)


# Reading it.


@dataclass(frozen=True)
class ChatRules:
    """How one server reads a request.

    Attributes:
        limits: The names under which it takes the limit of the answer's tokens.
        strict: It refuses parameters that it does not know, and checks a request against what the model accepts.
        paired_tools: Every tool call must be answered before the next turn.
        most_stops: The most stop sequences that it takes; None: any number.
        names: What the name of a tool must match.
        longest_id: The most characters of a tool call's id; None: any number.
        json_schema: It takes a response_format with a schema.
    """

    limits: tuple[str, ...]
    strict: bool = False
    paired_tools: bool = True
    most_stops: int | None = None
    names: str = r".+"
    longest_id: int | None = None
    json_schema: bool = True


@dataclass(frozen=True)
class ChatRequest(Call):
    """`include_usage`: the stream must end with the tokens used. `top_logprobs`: of so many other tokens, None: of none."""

    include_usage: bool
    top_logprobs: int | None


class InvalidChat(Exception):
    """An error in a request, in OpenAI's words.

    Args:
        message: The error.
        param: The place of the error in the request.
        code: OpenAI's code of the error.
        form: The request has a wrong form, whatever the model is.
    """

    def __init__(self, message: str, param: str | None = None, code: str | None = None, *, form: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.code = code
        self.form = form


def read_document(body: bytes) -> Json:
    """Raises `InvalidChat`."""
    try:
        document = json.loads(body)
    except ValueError as error:
        message = f"We could not parse the JSON body of your request: {error}"
        raise InvalidChat(message, form=True) from error
    if not isinstance(document, dict):
        raise InvalidChat("The JSON body of your request is not an object.", form=True)
    return cast(Json, document)


def read_chat(document: Json, model_id: str, traits: ModelTraits, rules: ChatRules) -> ChatRequest:
    """Raises `InvalidChat`."""
    given = {name: value for name, value in document.items() if value is not None}
    if rules.strict and "max_tokens" in given and "max_tokens" not in rules.limits:
        raise InvalidChat(
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
            "max_tokens",
            "unsupported_parameter",
        )
    for name in given:
        if rules.strict and name not in ChatParameters.model_fields and name not in _WITHOUT_EFFECT:
            raise InvalidChat(f"Unrecognized request argument supplied: {name}")
    try:
        chat = ChatParameters.model_validate(given)
    except ValidationError as error:
        raise _invalid(error) from error
    if rules.most_stops is not None and len(chat.stop) > rules.most_stops:
        message = (
            f"Invalid 'stop': array too long. Expected an array with maximum length {rules.most_stops}, but got an array with "
            f"length {len(chat.stop)} instead."
        )
        raise InvalidChat(message, "stop", "array_above_max_length")
    _check_names(chat, rules)
    messages, system = _read_messages(chat.messages, rules)
    tools = tuple(_read_tool(tool.function) for tool in chat.tools)
    if rules.strict:
        _check_functions(chat.tools)
        if "parallel_tool_calls" in given and not tools:
            message = (
                "Invalid value for 'parallel_tool_calls': 'parallel_tool_calls' is only allowed when 'tools' are specified."
            )
            raise InvalidChat(message, "parallel_tool_calls")
    choice, tool_name = _read_tool_choice(chat.tool_choice, tools)
    limits = (getattr(chat, name) for name in rules.limits)
    request = GenerationRequest(
        model_id=model_id,
        traits=traits,
        # A model is always asked something.
        messages=messages or (Message("user", tuple(TextBlock(text) for text in system)),),
        system=system if messages else (),
        max_tokens=next((limit for limit in limits if limit is not None), None),
        temperature=chat.temperature,
        top_p=chat.top_p,
        stop=tuple(sequence for sequence in chat.stop if sequence),
        tools=() if choice == "none" else tools,
        tool_choice=cast(Any, {"required": "any", "tool": "tool"}.get(choice, "auto")),
        tool_name=tool_name,
        output_schema=_read_output_schema(chat, rules),
    )
    if rules.strict:
        _check_traits(request, rules)
        if chat.stream_options is not None and not chat.stream:
            message = "The 'stream_options' parameter is only allowed when 'stream' is enabled."
            raise InvalidChat(message, "stream_options")
    # https://platform.openai.com/docs/api-reference/chat/create#chat-create-top_logprobs
    if chat.top_logprobs is not None and not chat.logprobs:
        raise InvalidChat("The 'top_logprobs' parameter is only allowed when 'logprobs' is enabled.", "top_logprobs")
    top_logprobs = (chat.top_logprobs or 0) if chat.logprobs else None
    return ChatRequest(request, chat.stream, bool(chat.stream_options and chat.stream_options.include_usage), top_logprobs)


def _invalid(errors: ValidationError) -> InvalidChat:
    """Return the first error in the form of a request, in OpenAI's words."""
    error = errors.errors()[0]
    param = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in error["loc"]).lstrip(".")
    kind, value, context = error["type"], error["input"], error.get("ctx", {})
    match kind:
        case "missing":
            return _missing(param)
        case "literal_error" if error["loc"][0] not in ("messages", "tools"):
            return InvalidChat(f"The local run does not play {param} = {value!r}. Remove it and try again.", param)
        case "literal_error":
            message = f"Invalid value: '{value}'. Supported values are: {context['expected']}."
            return InvalidChat(message, param, "invalid_value", form=True)
        case "greater_than_equal" | "less_than_equal":
            bound, sign, side = (context["ge"], ">=", "below_min") if "ge" in context else (context["le"], "<=", "above_max")
            number = "decimal" if isinstance(bound, float) else "integer"
            message = (
                f"{number} {side.replace('_', ' ')}imum value. Expected a value {sign} {bound:g}, but got {value} instead."
            )
            return InvalidChat(f"Invalid '{param}': {message}", param, f"{number}_{side}_value")
        case "too_short":
            message = "empty array. Expected an array with minimum length 1, but got an empty array instead."
            return InvalidChat(f"Invalid '{param}': {message}", param, "empty_array")
        case _ if kind.removesuffix("_type") in _TYPES:
            found = _TYPES.get(type(value).__name__, "null")
            message = f"expected {_TYPES[kind.removesuffix('_type')]}, but got {found} instead."
            return InvalidChat(f"Invalid type for '{param}': {message}", param, "invalid_type", form=True)
        case _:
            return InvalidChat(f"Invalid '{param}': {error['msg']}.", param, "invalid_value", form=True)


# The types as pydantic and Python name them, in OpenAI's words.
_TYPES = {
    "bool": "a boolean",
    "int": "an integer",
    "float": "a decimal",
    "str": "a string",
    "string": "a string",
    "list": "an array",
    "dict": "an object",
    "model": "an object",
}


def _missing(param: str) -> InvalidChat:
    return InvalidChat(f"Missing required parameter: '{param}'.", param, "missing_required_parameter", form=True)


# The rules of a conversation.


def _read_messages(listed: Sequence[ChatMessage], rules: ChatRules) -> tuple[tuple[Message, ...], tuple[str, ...]]:
    """Return the conversation, with neighbours of one role joined to one message, and the texts of the system."""
    messages: list[Message] = []
    system: list[str] = []
    awaited: set[str] = set()
    for i, message in enumerate(listed):
        texts = _texts(message, i)
        if message.role in ("system", "developer"):
            system += texts
            continue
        role, content = _read_content(message, texts, i)
        if rules.paired_tools:
            awaited = _awaited(awaited, content, i)
        if messages and messages[-1].role == role:
            content = (*messages.pop().content, *content)
        messages.append(Message(role, content))
    if awaited:
        raise _unanswered(awaited)
    return tuple(messages), tuple(system)


def _texts(message: ChatMessage, index: int) -> list[str]:
    if message.content is None and not message.tool_calls:
        raise _missing(f"messages[{index}].content")
    texts: list[str] = []
    for i, part in enumerate(message.content or ()):
        if getattr(part, part.type) is None:
            raise _missing(f"messages[{index}].content[{i}].{part.type}")
        if part.type in ("text", "refusal"):
            texts.append(getattr(part, part.type))
        elif message.role != "user":
            raise InvalidChat(
                f"Invalid 'messages[{index}]'. Image URLs are only allowed for messages with role 'user', but this message "
                f"with role '{message.role}' contains an image URL.",
                f"messages[{index}]",
                "invalid_value",
            )
    return texts


def _media(message: ChatMessage, index: int) -> list[MediaBlock]:
    """Return the images and documents of a message. A document is a PDF: https://platform.openai.com/docs/guides/pdf-files"""
    found: list[MediaBlock] = []
    for i, part in enumerate(message.content or ()):
        url = part.image_url.url if part.image_url else part.file.file_data if part.file else None
        if url is None:
            continue
        kind = "images" if part.image_url else "documents"
        if part.image_url and url.startswith("https://"):
            found.append(MediaBlock("image_urls", "url", len(url)))
            continue
        match = re.fullmatch(r"data:([a-z]+/[a-z0-9.+-]+);base64,([A-Za-z0-9+/]+={0,2})", url)
        if match is None or not match[1].startswith("image/" if part.image_url else "application/pdf"):
            param = f"messages[{index}].content[{i}].{part.type}"
            raise InvalidChat(f"Invalid '{param}'. Expected a base64-encoded data URL.", param, "invalid_value")
        found.append(MediaBlock(kind, match[1], len(match[2]) * 3 // 4))
    return found


def _read_content(message: ChatMessage, texts: Sequence[str], index: int) -> tuple[Role, tuple[Block, ...]]:
    spoken = [TextBlock(text) for text in texts]
    match message.role:
        case "user":
            return "user", (*spoken, *_media(message, index))
        case "assistant":
            reasoning = message.reasoning_content or message.reasoning
            calls = [ToolUseBlock(c.id, c.function.name, _arguments(c.function.arguments)) for c in message.tool_calls or ()]
            return "assistant", (*([ReasoningBlock(reasoning)] if reasoning else ()), *spoken, *calls)
        case "tool":
            if message.tool_call_id is None:
                raise _missing(f"messages[{index}].tool_call_id")
            return "user", (ToolResultBlock(message.tool_call_id, "\n".join(texts)),)
        case _:
            raise InvalidChat(f"The local run does not play messages of role '{message.role}'.", f"messages[{index}].role")


def _arguments(text: Any) -> Json:
    """Read the arguments that a model wrote, which may not be JSON."""
    arguments: Any = tool_input(text) if isinstance(text, str) else {}
    return cast(Json, arguments) if isinstance(arguments, dict) else {}


def _awaited(awaited: set[str], content: Sequence[Block], index: int) -> set[str]:
    """Return the ids of the tool calls that are still without an answer after a message with `content`."""
    answered = {block.id for block in content if isinstance(block, ToolResultBlock)}
    if answered - awaited:
        raise InvalidChat(
            "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with 'tool_calls'.",
            f"messages.[{index}].role",
        )
    if awaited and not answered:
        raise _unanswered(awaited)
    return (awaited - answered) | {block.id for block in content if isinstance(block, ToolUseBlock)}


def _unanswered(ids: set[str]) -> InvalidChat:
    return InvalidChat(
        "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. "
        f"The following tool_call_ids did not have response messages: {', '.join(sorted(ids))}",
        "messages",
    )


# The form of the answer.


def _read_output_schema(chat: ChatParameters, rules: ChatRules) -> Json | None:
    """Return the schema that the answer's text must follow. https://platform.openai.com/docs/guides/structured-outputs"""
    wanted = chat.response_format
    if wanted is None or wanted.type == "text":
        return None
    if wanted.type == "json_object":
        # DeepSeek has the same rule: https://api-docs.deepseek.com/guides/json_mode
        if rules.strict or not rules.json_schema:
            _check_json_is_mentioned(chat.messages)
        return {"type": "object"}
    if not rules.json_schema:
        raise InvalidChat("This response_format type is unavailable now")
    described = wanted.json_schema
    if described is None or described.schema_ is None:
        raise _missing("response_format.json_schema" + ("" if described is None else ".schema"))
    if rules.strict:
        problem = schemas.strict_refusal(described.schema_) if described.strict else ""
        if problem := problem or schemas.object_refusal(described.schema_) or schemas.items_refusal(described.schema_):
            message = f"Invalid schema for response_format '{described.name}': {problem}"
            raise InvalidChat(message, "response_format", "invalid_json_schema")
    return described.schema_


def _check_json_is_mentioned(messages: Sequence[ChatMessage]) -> None:
    texts = [part.text or "" for message in messages for part in message.content or ()]
    if not any("json" in text.lower() for text in texts):
        message = "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'."
        raise InvalidChat(message, "messages")


# Tools, and what the model accepts.


def _check_functions(tools: Sequence[ToolDefinition]) -> None:
    for index, tool in enumerate(tools):
        parameters = tool.function.parameters
        if parameters is None:  # which is a function without any
            continue
        problem = schemas.strict_refusal(parameters) if tool.function.strict else ""
        if problem := problem or schemas.function_refusal(parameters):
            message = f"Invalid schema for function '{tool.function.name}': {problem}"
            raise InvalidChat(message, f"tools[{index}].function.parameters", "invalid_function_parameters")


def _check_names(chat: ChatParameters, rules: ChatRules) -> None:
    """The names of tools and the ids of calls. The errors are from public reports of OpenAI's API."""
    for i, tool in enumerate(chat.tools):
        if re.fullmatch(rules.names, tool.function.name) is None:
            param = f"tools[{i}].function.name"
            message = (
                f"Invalid '{param}': string does not match pattern. Expected a string that matches the pattern '{rules.names}'."
            )
            raise InvalidChat(message, param, "invalid_value")
    for i, message in enumerate(chat.messages):
        ids = {f"tool_calls[{j}].id": call.id for j, call in enumerate(message.tool_calls or ())}
        for place, id_ in (*ids.items(), ("tool_call_id", message.tool_call_id or "")):
            if rules.longest_id is not None:
                _check_length(id_, f"messages[{i}].{place}", rules.longest_id)
    if rules.strict:
        _check_length(chat.safety_identifier or "", "safety_identifier", 128)
        check_user(chat.user)
        _check_length(chat.prompt_cache_key or "", "prompt_cache_key", 64)


def check_user(user: str | None) -> None:
    """Check a length that the documentation does not have; it is from public reports of the error."""
    _check_length(user or "", "user", 64)


def _check_length(text: str, param: str, most: int) -> None:
    if len(text) > most:
        expected = f"Expected a string with maximum length {most}, but got a string with length {len(text)} instead."
        raise InvalidChat(f"Invalid '{param}': string too long. {expected}", param, "string_above_max_length")


def _read_tool(function: FunctionDefinition) -> Tool:
    return Tool(function.name, function.description or "", function.parameters or {"type": "object", "properties": {}})


def _read_tool_choice(choice: Any, tools: Sequence[Tool]) -> tuple[str, str]:
    """Return none, auto, required or tool, and the tool's name."""
    if choice is None:
        return "auto", ""
    if not tools:
        message = "Invalid value for 'tool_choice': 'tool_choice' is only allowed when 'tools' are specified."
        raise InvalidChat(message, "tool_choice")
    match choice:
        case "none" | "auto" | "required":
            return choice, ""
        case {"function": {"name": str(name)}} if any(tool.name == name for tool in tools):
            return "tool", name
        case _:
            raise InvalidChat(f"Tool choice '{choice}' not found in 'tools' parameter.", "tool_choice", "invalid_value")


def _check_traits(request: GenerationRequest, rules: ChatRules) -> None:
    for name in {"images", "image_urls"} & set(request.refused):
        raise InvalidChat(f"Invalid content type. {name} is only supported by certain models.", "messages", None)
    for name in request.refused:
        if name not in ("system", "documents"):
            field = rules.limits[0] if name == "max_tokens" else name
            message = f"Unsupported parameter: '{field}' is not supported with this model."
            raise InvalidChat(message, field, "unsupported_parameter")
    most = request.traits.max_output_tokens
    if request.max_tokens is not None and request.max_tokens > most:
        raise InvalidChat(
            f"max_tokens is too large: {request.max_tokens}. This model supports at most {most} completion tokens, whereas you "
            f"provided {request.max_tokens}.",
            rules.limits[0],
            "invalid_value",
        )
