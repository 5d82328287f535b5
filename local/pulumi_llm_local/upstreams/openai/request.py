"""A request in the format of OpenAI's chat completions, read and checked as the servers that take it do.

Played by no server here, and refused by name: images and other media, several choices, log probabilities, output formats.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
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
class ChatRules:
    """How one server reads a request.

    `limits` are the names under which it takes the bound of the answer's tokens. `known`: the parameters that it takes, any
    other is an error; None: it ignores what it does not know. `strict`: it holds a request against what the model accepts.
    `paired_tools`: it wants every tool call answered before the next turn.
    """

    limits: tuple[str, ...]
    known: frozenset[str] | None = None
    strict: bool = False
    paired_tools: bool = True
    most_stops: int | None = None


@dataclass(frozen=True)
class ChatRequest:
    """`include_usage`: a stream is to end with the tokens used."""

    call: ConverseCall
    stream: bool
    include_usage: bool


class ChatError(Exception):
    """What is wrong with a request, in OpenAI's words. `form`: it is of another form than it should be, whatever the model."""

    def __init__(self, message: str, param: str | None = None, code: str | None = None, *, form: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.code = code
        self.form = form


def read_document(body: bytes) -> Json:
    """Raises `ChatError`."""
    try:
        document = json.loads(body)
    except ValueError as error:
        message = f"We could not parse the JSON body of your request: {error}"
        raise ChatError(message, form=True) from error
    if not isinstance(document, dict):
        raise ChatError("The JSON body of your request is not an object.", form=True)
    return cast(Json, document)


def read_chat(document: Json, model_id: str, traits: ModelTraits, rules: ChatRules) -> ChatRequest:
    """Raises `ChatError`."""
    given = {name: value for name, value in document.items() if value is not None}
    if rules.strict and "max_tokens" in given and "max_tokens" not in rules.limits:
        raise ChatError(
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
            "max_tokens",
            "unsupported_parameter",
        )
    for name in given:
        if rules.known is not None and name not in rules.known:
            raise ChatError(f"Unrecognized request argument supplied: {name}")
    _check_not_played(given)
    messages, system = _read_messages(given, rules)
    tools = _tools(given)
    choice = _tool_choice(given.get("tool_choice"), tools)
    call = ConverseCall(
        model_id=model_id,
        traits=traits,
        # A model is always asked something.
        messages=messages or (Message("user", tuple(TextBlock(text) for text in system)),),
        system=system if messages else (),
        max_tokens=_max_tokens(given, rules),
        temperature=_number(given, "temperature", 2),
        top_p=_number(given, "top_p", 1),
        stop=_stop(given, rules.most_stops),
        tools=() if choice == "none" else tools,
        tool_choice=cast(Any, {"required": "any", "named": "tool"}.get(choice, "auto")),
        tool_name=given["tool_choice"]["function"]["name"] if choice == "named" else "",
    )
    if rules.strict:
        _check_traits(call, rules)
    stream = bool(_get(given, "stream", (bool,), "a boolean"))
    options: Json | None = _get(given, "stream_options", (dict,), "an object")
    if options is not None and not stream and rules.strict:
        raise ChatError("The 'stream_options' parameter is only allowed when 'stream' is enabled.", "stream_options")
    return ChatRequest(call, stream, bool((options or {}).get("include_usage")))


def _check_not_played(given: Json) -> None:
    wanted = {
        "n": given.get("n", 1) != 1,
        "logprobs": bool(given.get("logprobs")),
        "response_format": given.get("response_format") not in (None, {"type": "text"}),
        "functions": "functions" in given,
        "audio": "audio" in given,
    }
    for name, asked in wanted.items():
        if asked:
            raise ChatError(f"The local run does not play {name}. Remove it and try again.", name)


def _get(given: Json, name: str, kinds: tuple[type, ...], expected: str, place: str = "") -> Any:
    """The value of `name`, None where it is not given."""
    value = given.get(name)
    if value is None or (isinstance(value, kinds) and (bool in kinds or not isinstance(value, bool))):
        return value
    raise _invalid_type(place or name, expected, value)


def _invalid_type(place: str, expected: str, value: Any) -> ChatError:
    message = f"Invalid type for '{place}': expected {expected}, but got {_type_name(value)} instead."
    return ChatError(message, place, "invalid_type", form=True)


def _type_name(value: Any) -> str:
    names = {
        bool: "a boolean",
        int: "an integer",
        float: "a decimal",
        str: "a string",
        list: "an array",
        dict: "an object",
    }
    return next((name for kind, name in names.items() if isinstance(value, kind)), "null")


def _missing(place: str) -> ChatError:
    return ChatError(f"Missing required parameter: '{place}'.", place, "missing_required_parameter", form=True)


def _max_tokens(given: Json, rules: ChatRules) -> int | None:
    for name in rules.limits:
        value = _get(given, name, (int,), "an integer")
        if value is not None:
            if value < 1:
                message = f"Invalid '{name}': integer below minimum value. Expected a value >= 1, but got {value} instead."
                raise ChatError(message, name, "integer_below_min_value")
            return cast(int, value)
    return None


def _number(given: Json, name: str, most: float) -> float | None:
    value = _get(given, name, (int, float), "a decimal")
    if value is not None and not 0 <= value <= most:
        side, bound = ("below minimum", ">= 0") if value < 0 else ("above maximum", f"<= {most}")
        message = f"Invalid '{name}': decimal {side} value. Expected a value {bound}, but got {value} instead."
        raise ChatError(message, name, f"decimal_{side.replace('imum', '').replace(' ', '_')}_value")
    return value


def _stop(given: Json, most: int | None) -> tuple[str, ...]:
    value = _get(given, "stop", (str, list), "one of a string or array of strings")
    stop: list[Any] = [value] if isinstance(value, str) else value or []
    for i, sequence in enumerate(stop):
        if not isinstance(sequence, str):
            raise _invalid_type(f"stop[{i}]", "a string", sequence)
    if most is not None and len(stop) > most:
        message = f"Invalid 'stop': array too long. Expected an array with maximum length {most}, but got an array with length "
        raise ChatError(f"{message}{len(stop)} instead.", "stop", "array_above_max_length")
    return tuple(sequence for sequence in stop if sequence)


# Messages.


def _read_messages(given: Json, rules: ChatRules) -> tuple[tuple[Message, ...], tuple[str, ...]]:
    """The conversation, neighbours of one role made one message, and the texts of the system."""
    listed = _get(given, "messages", (list,), "an array of objects")
    if listed is None:
        raise _missing("messages")
    if not listed:
        raise ChatError(
            "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array instead.",
            "messages",
            "empty_array",
        )
    messages: list[Message] = []
    system: list[str] = []
    awaited: set[str] = set()
    for i, entry in enumerate(cast(list[Any], listed)):
        place = f"messages[{i}]"
        if not isinstance(entry, dict):
            raise _invalid_type(place, "an object", entry)
        message = cast(Json, entry)
        role = _get(message, "role", (str,), "a string", f"{place}.role")
        if role in ("system", "developer"):
            system += _texts(message, place)
            continue
        speaker, content = _content(role, message, place)
        if rules.paired_tools:
            awaited = _awaited(awaited, content, i)
        if messages and messages[-1].role == speaker:
            messages[-1] = Message(speaker, (*messages[-1].content, *content))
        else:
            messages.append(Message(speaker, tuple(content)))
    if awaited:
        raise _unanswered(awaited)
    return tuple(messages), tuple(system)


def _awaited(awaited: set[str], content: Sequence[Block], index: int) -> set[str]:
    """The ids of the tool calls still to be answered after a message that holds `content`."""
    answered = {block.id for block in content if isinstance(block, ToolResultBlock)}
    if answered - awaited:
        raise ChatError(
            "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with 'tool_calls'.",
            f"messages.[{index}].role",
        )
    if awaited and not answered:
        raise _unanswered(awaited)
    return (awaited - answered) | {block.id for block in content if isinstance(block, ToolUseBlock)}


def _unanswered(ids: set[str]) -> ChatError:
    return ChatError(
        "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. "
        f"The following tool_call_ids did not have response messages: {', '.join(sorted(ids))}",
        "messages",
    )


def _content(role: Any, message: Json, place: str) -> tuple[Literal["user", "assistant"], list[Block]]:
    match role:
        case "user":
            return "user", [TextBlock(text) for text in _texts(message, place)]
        case "tool":
            id_ = _get(message, "tool_call_id", (str,), "a string", f"{place}.tool_call_id")
            if id_ is None:
                raise _missing(f"{place}.tool_call_id")
            return "user", [ToolResultBlock(id_, "\n".join(_texts(message, place)))]
        case "assistant":
            reasoning = message.get("reasoning_content") or message.get("reasoning")
            calls = list(_tool_calls(message, place))
            texts = _texts(message, place, optional=bool(calls))
            thought = [ReasoningBlock(reasoning)] if isinstance(reasoning, str) else []
            return "assistant", [*thought, *(TextBlock(text) for text in texts), *calls]
        case None:
            raise _missing(f"{place}.role")
        case _:
            supported = "'system', 'assistant', 'user', 'function', 'tool', and 'developer'"
            message_text = f"Invalid value: '{role}'. Supported values are: {supported}."
            raise ChatError(message_text, f"{place}.role", "invalid_value", form=True)


def _texts(message: Json, place: str, *, optional: bool = False) -> list[str]:
    place = f"{place}.content"
    content = message.get("content")
    if content is None and optional:
        return []
    if isinstance(content, str):
        return [content]
    if not isinstance(content, list):
        raise _invalid_type(place, "one of a string or array of objects", content)
    texts: list[str] = []
    for i, part in enumerate(cast(list[Any], content)):
        given = cast(Json, part if isinstance(part, dict) else {})
        kind = given.get("type")
        if kind not in ("text", "refusal"):
            raise ChatError(f"The local run does not play content parts of type {kind!r}.", f"{place}[{i}].type")
        text = _get(given, kind, (str,), "a string", f"{place}[{i}].{kind}")
        if text is None:
            raise _missing(f"{place}[{i}].{kind}")
        texts.append(text)
    return texts


def _tool_calls(message: Json, place: str) -> Iterator[ToolUseBlock]:
    calls = _get(message, "tool_calls", (list,), "an array of objects", f"{place}.tool_calls")
    for i, call in enumerate(calls or ()):
        try:
            id_, name, arguments = call["id"], call["function"]["name"], call["function"]["arguments"]
        except (LookupError, TypeError) as error:
            raise _missing(f"{place}.tool_calls[{i}].id, .function.name or .function.arguments") from error
        yield ToolUseBlock(id_, name, _arguments(arguments))


def _arguments(text: Any) -> Json:
    """What a model once wrote; nobody promised that it is JSON."""
    try:
        arguments = json.loads(text)
    except (ValueError, TypeError):
        return {}
    return cast(Json, arguments) if isinstance(arguments, dict) else {}


# Tools, and what the model accepts.


def _tools(given: Json) -> tuple[Tool, ...]:
    tools: list[Tool] = []
    entries: list[Any] = _get(given, "tools", (list,), "an array of objects") or []
    for i, entry in enumerate(entries):
        place = f"tools[{i}]"
        if not isinstance(entry, dict) or cast(Json, entry).get("type") != "function":
            raise ChatError("The local run plays no tools but those of type 'function'.", f"{place}.type", "invalid_value")
        function: Json = _get(cast(Json, entry), "function", (dict,), "an object", f"{place}.function") or {}
        name = _get(function, "name", (str,), "a string", f"{place}.function.name")
        if not name:
            raise _missing(f"{place}.function.name")
        schema = _get(function, "parameters", (dict,), "an object", f"{place}.function.parameters")
        tools.append(Tool(name, function.get("description") or "", schema or {"type": "object", "properties": {}}))
    return tuple(tools)


def _tool_choice(choice: Any, tools: Sequence[Tool]) -> str:
    """none, auto, required, or named."""
    if choice is None:
        return "auto"
    if not tools:
        message = "Invalid value for 'tool_choice': 'tool_choice' is only allowed when 'tools' are specified."
        raise ChatError(message, "tool_choice")
    if choice in ("none", "auto", "required"):
        return cast(str, choice)
    function: Any = cast(Json, choice).get("function") if isinstance(choice, dict) else None
    name = cast(Json, function).get("name") if isinstance(function, dict) else None
    if all(tool.name != name for tool in tools):
        raise ChatError(f"Tool choice '{name or choice}' not found in 'tools' parameter.", "tool_choice", "invalid_value")
    return "named"


def _check_traits(call: ConverseCall, rules: ChatRules) -> None:
    traits = call.traits
    given = {
        "max_tokens": call.max_tokens,
        "temperature": call.temperature,
        "top_p": call.top_p,
        "stop": call.stop or None,
        "tools": call.tools or None,
    }
    for name, value in given.items():
        if value is not None and name not in traits.accepts:
            field = rules.limits[0] if name == "max_tokens" else name
            message = f"Unsupported parameter: '{field}' is not supported with this model."
            raise ChatError(message, field, "unsupported_parameter")
    if call.max_tokens is not None and call.max_tokens > traits.max_output_tokens:
        raise ChatError(
            f"max_tokens is too large: {call.max_tokens}. This model supports at most {traits.max_output_tokens} completion "
            f"tokens, whereas you provided {call.max_tokens}.",
            rules.limits[0],
            "invalid_value",
        )
