"""The names of a tool's properties that Claude does not take, replaced by some that it takes, and its schema as it takes it.

Claude refuses `$filter` and `filter[id]`, at the top of a schema alone; one such name fails the whole request
(ComposioHQ/composio#3500). So does a schema of an older draft (Dokploy/mcp#74).
"""

import re
from collections.abc import Mapping
from typing import Any, cast

import msgspec

from llm_gateway.call import ModelCall, is_claude
from llm_gateway.events import Done, Event, ToolCall, ToolCallDelta
from llm_gateway.providers.tool_names import replacement
from llm_gateway.providers.tool_schemas import in_draft_2020_12, without_unions
from llm_gateway.request import Message, Tool
from llm_gateway.rewriting import before_usage, beginning

_is_property = re.compile(r"[a-zA-Z0-9_.-]{1,64}").fullmatch
_encode = msgspec.json.Encoder().encode

# The names that stand for the caller's, by the name of their tool.
Renamed = Mapping[str, Mapping[str, str]]


def as_claude_takes(call: ModelCall) -> tuple[ModelCall, Renamed]:
    """Return the call with schemas that Claude takes, and the caller's names of properties by those that stand for them."""
    if not call.tools or not is_claude(call.target):
        return call, {}
    renamed: dict[str, dict[str, str]] = {}
    tools: list[Tool] = []
    for tool in call.tools:
        taken = msgspec.structs.replace(tool, parameters=in_draft_2020_12(tool.parameters))
        if names := _names(without_unions(taken)):
            taken = _with_names(without_unions(taken), names)
            renamed[tool.name] = {theirs: name for name, theirs in names.items()}
        tools.append(taken)
    messages = call.messages
    if renamed:
        theirs = {tool: {name: key for key, name in names.items()} for tool, names in renamed.items()}
        messages = tuple(_message(message, theirs) for message in messages)
    return msgspec.structs.replace(call, tools=tuple(tools), messages=messages), renamed


class CallersProperties:
    """Puts the caller's names back into the arguments of calls, part by part."""

    def __init__(self, renamed: Renamed) -> None:
        self._texts = {
            tool: {_encode(theirs).decode(): _encode(name).decode() for theirs, name in names.items()}
            for tool, names in renamed.items()
        }
        self._of_call: dict[int, Mapping[str, str]] = {}
        self._held: dict[int, str] = {}  # the end of a text in which a name may have begun

    def read(self, batch: list[Event]) -> list[Event]:
        events: list[Event] = []
        for event in batch:
            match event:
                case ToolCall(index=index, name=name):
                    if name in self._texts:
                        self._of_call[index] = self._texts[name]
                    events.append(event)
                case ToolCallDelta(index=index, arguments=part) if index in self._of_call:
                    if text := self._put_back(index, part):
                        events.append(ToolCallDelta(index, text))
                case Done():
                    place = before_usage(events)
                    events[place:place] = [ToolCallDelta(index, text) for index, text in self._held.items() if text]
                    events.append(event)
                case _:
                    events.append(event)
        return events

    def _put_back(self, index: int, part: str) -> str:
        names = self._of_call[index]
        text = self._held.get(index, "") + part
        for theirs, name in names.items():
            text = text.replace(theirs, name)
        held = beginning(text, names)
        self._held[index] = text[len(text) - held :]
        return text[: len(text) - held]


def _names(tool: Tool) -> dict[str, str]:
    """Return what stands for each property at the top of a tool's schema that Claude does not take."""
    properties: Any = tool.parameters.get("properties")
    if not isinstance(properties, dict):
        return {}
    used = set(cast("dict[str, Any]", properties))
    names: dict[str, str] = {}
    for name in sorted(name for name in used if not _is_property(name)):
        theirs = replacement(name)
        while theirs in used:
            theirs = replacement(theirs)
        names[name] = theirs
        used.add(theirs)
    return names


def _with_names(tool: Tool, names: Mapping[str, str]) -> Tool:
    schema = dict(tool.parameters)
    schema["properties"] = {names.get(name, name): rules for name, rules in schema["properties"].items()}
    if isinstance(schema.get("required"), list):
        schema["required"] = [names.get(name, name) for name in schema["required"]]
    return msgspec.structs.replace(tool, parameters=schema)


def _message(message: Message, names: Renamed) -> Message:
    if not any(use.name in names for use in message.tool_calls):
        return message
    uses = (
        msgspec.structs.replace(use, arguments={names[use.name].get(key, key): value for key, value in use.arguments.items()})
        if use.name in names
        else use
        for use in message.tool_calls
    )
    return msgspec.structs.replace(message, tool_calls=tuple(uses))
