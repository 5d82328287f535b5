"""Tool names and call ids that a provider does not take, replaced by some that it takes.

A name must have up to 64 letters, digits, _ and - at OpenAI, Anthropic and Bedrock. The other rules differ and stand with the
dialects. A replacement follows from what it replaces, so that it is the same in every turn of a conversation.
"""

import re
from collections.abc import Mapping
from hashlib import blake2b

import msgspec

from llm_gateway.call import ModelCall, is_claude
from llm_gateway.events import Event, ToolCall
from llm_gateway.request import Message, Tool, ToolUse

_is_name = re.compile(r"[a-zA-Z0-9_-]{1,64}").fullmatch
_NOT_IN_A_NAME = re.compile(r"[^a-zA-Z0-9_-]")
# Mistral refuses every other id of a call, at its own API and in its tokenizer on vLLM (mistralai/mistral-common,
# src/mistral_common/protocol/instruct/validator.py).
_is_mistral = re.compile(r"mistral|mixtral|ministral|magistral|codestral|devstral|pixtral", re.IGNORECASE).search
_MISTRALS_CALL_ID = re.compile(r"[a-zA-Z0-9]{9}")
# Claude's own rule holds at every provider (BerriAI/litellm#24210). The length is Bedrock's.
_CLAUDES_CALL_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")


def fitted(call: ModelCall, call_id: re.Pattern[str]) -> tuple[ModelCall, Mapping[str, str]]:
    """Return the call with names and ids that its provider takes, and the caller's name for each name that was replaced.

    Args:
        call_id: What an id of a call must match. Two calls must not share one, either.
    """
    messages = call.messages
    if not call.tools and not any(message.tool_calls for message in messages):
        return call, {}
    if _is_mistral(call.target.model):
        call_id = _MISTRALS_CALL_ID
    elif is_claude(call.target):
        call_id = _CLAUDES_CALL_ID
    used = {tool.name for tool in call.tools}
    ids: list[str] = []
    for message in messages:
        if message.tool_calls:
            used.update(use.name for use in message.tool_calls)
            ids.extend(use.id for use in message.tool_calls)
    replaced: dict[str, str] = {}
    for name in sorted(name for name in used if not _is_name(name)):
        theirs = replacement(name)
        while theirs in used:  # a name that somebody chose so that a call of it is taken for the other tool's
            theirs = replacement(theirs)
        replaced[name] = theirs
        used.add(theirs)
    fits = len(set(ids)) == len(ids) and all(call_id.fullmatch(each) for each in ids)
    if not replaced and fits:
        return call, {}
    fitted_call = msgspec.structs.replace(
        call,
        messages=_messages(messages, replaced, call_id),
        tools=tuple(_tool(tool, replaced) for tool in call.tools),
        tool_choice=msgspec.structs.replace(call.tool_choice, name=replaced.get(call.tool_choice.name, call.tool_choice.name)),
    )
    return fitted_call, {theirs: name for name, theirs in replaced.items()}


def with_names(events: list[Event], names: Mapping[str, str]) -> list[Event]:
    """Return the events with the caller's names of tools."""
    return [
        msgspec.structs.replace(event, name=names.get(event.name, event.name)) if isinstance(event, ToolCall) else event
        for event in events
    ]


def _messages(messages: tuple[Message, ...], names: Mapping[str, str], call_id: re.Pattern[str]) -> tuple[Message, ...]:
    current: dict[str, str] = {}  # the caller's id -> the one that stands for its latest call
    seen: set[str] = set()
    again: dict[str, int] = {}

    def digest(identifier: str) -> str:
        found = blake2b(identifier.encode(), digest_size=12).hexdigest()
        return found[:9] if call_id is _MISTRALS_CALL_ID else f"call_{found}"

    def use_of(use: ToolUse) -> ToolUse:
        identifier = use.id if call_id.fullmatch(use.id) else digest(use.id)
        while identifier in seen:  # the count goes on: thousands of calls of one id are as many steps
            again[use.id] = again.get(use.id, 0) + 1
            identifier = digest(f"{use.id} {again[use.id]}")
        seen.add(identifier)
        current[use.id] = identifier
        return msgspec.structs.replace(use, id=identifier, name=names.get(use.name, use.name))

    def message_of(message: Message) -> Message:
        if message.tool_calls:
            return msgspec.structs.replace(message, tool_calls=tuple(map(use_of, message.tool_calls)))
        if message.tool_call_id in current:
            return msgspec.structs.replace(message, tool_call_id=current[message.tool_call_id])
        return message

    return tuple(map(message_of, messages))


def _tool(tool: Tool, names: Mapping[str, str]) -> Tool:
    return msgspec.structs.replace(tool, name=names[tool.name]) if tool.name in names else tool


def replacement(name: str) -> str:
    """Return a name that is like `name` and differs from that of every other one."""
    return f"{_NOT_IN_A_NAME.sub('_', name)[:55]}_{blake2b(name.encode(), digest_size=4).hexdigest()}"
