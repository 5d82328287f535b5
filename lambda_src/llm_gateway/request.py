"""The one request type, whichever transport and dialect it came by."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

from llm_gateway.errors import Problem


class ToolUse(msgspec.Struct, frozen=True):
    """A tool call that the model made earlier in the conversation; `arguments` is a JSON object."""

    id: str
    name: str
    arguments: dict[str, Any]


class Message(msgspec.Struct, frozen=True):
    """One turn. A `tool` message answers the call `tool_call_id` of the assistant message before it; `reasoning` is what the
    assistant thought on the way, where the caller has kept it.

    `place` is where the caller wrote it, such as ``messages[2]``, for errors.
    """

    role: Literal["user", "assistant", "tool"]
    text: str = ""
    tool_calls: tuple[ToolUse, ...] = ()
    tool_call_id: str = ""
    reasoning: str = ""
    place: str = ""


class Tool(msgspec.Struct, frozen=True):
    """A tool that the model may call; `parameters` is a JSON Schema of type object."""

    name: str
    description: str
    parameters: dict[str, Any]


class ToolChoice(msgspec.Struct, frozen=True):
    """`auto`: the model decides; `none`: it calls none; `required`: it calls one; `tool`: it calls `name`."""

    mode: Literal["auto", "none", "required", "tool"] = "auto"
    name: str = ""


class Sampling(msgspec.Struct, frozen=True):
    """How tokens are chosen, and how many. None: not given. `reasoning_effort` is OpenAI's word: none, minimal, low, …"""

    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop: tuple[str, ...] = ()
    reasoning_effort: str | None = None


class ChatRequest(msgspec.Struct, frozen=True):
    """What a caller asks for.

    `system` and `sampling` hold what the caller said; `default_system` and `defaults` hold what the dialect says where the
    caller said nothing. A default is sent only to a model that takes the parameter; an explicit value is sent, or refused
    by name. `model` is an alias, empty for the first one. `names` are the dialect's own names of fields, where they differ from
    ours, for errors.
    """

    messages: tuple[Message, ...]
    model: str = ""
    system: str | None = None
    default_system: str | None = None
    sampling: Sampling = Sampling()
    defaults: Sampling = Sampling()
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice = ToolChoice()
    stream: bool = False
    names: Mapping[str, str] = {}

    def name(self, field: str) -> str:
        """What the caller calls a field."""
        return self.names.get(field) or field

    @property
    def uses_tools(self) -> bool:
        """Whether tools are offered, or were called earlier in the conversation."""
        return bool(self.tools) or any(message.tool_calls for message in self.messages)


def conversation_problems(messages: Sequence[Message]) -> list[Problem]:
    """What no model could answer: every rule of a conversation that is broken, each with the message's place."""
    if not messages:
        return [Problem("messages", "must hold at least one message of the user")]
    problems: list[Problem] = []
    first, last = messages[0], messages[-1]
    if first.role != "user":
        problems.append(Problem(f"{first.place}.role", f"a conversation starts with 'user', not {first.role!r}"))
    if last.role == "assistant":
        reason = "the last message must be the user's or a tool's, for there is nothing to answer otherwise"
        problems.append(Problem(f"{last.place}.role", reason))
    open_calls: set[str] = set()
    for message in messages:
        if message.role == "tool":
            if message.tool_call_id not in open_calls:
                reason = f"{message.tool_call_id!r} answers no tool call of the assistant message before it"
                problems.append(Problem(f"{message.place}.tool_call_id", reason))
            open_calls.discard(message.tool_call_id)
            continue
        if open_calls:
            problems.append(Problem(message.place, f"the tool calls {', '.join(sorted(open_calls))} have no answer before it"))
        open_calls = {call.id for call in message.tool_calls}
        if not message.text.strip() and not message.tool_calls:
            problems.append(Problem(f"{message.place}.content", "must not be empty"))
    if open_calls and last.role == "tool":
        problems.append(Problem(last.place, f"the tool calls {', '.join(sorted(open_calls))} have no answer"))
    return problems
