"""The one request type, whichever transport and dialect it came by."""

from typing import Any, Literal

import msgspec

from llm_gateway.errors import Problem


class ToolUse(msgspec.Struct, frozen=True):
    """A tool call that the model made earlier in the conversation; `arguments` is a JSON object."""

    id: str
    name: str
    arguments: dict[str, Any]


class Message(msgspec.Struct, frozen=True):
    """One turn. A `tool` message answers the call `tool_call_id` of the assistant message before it."""

    role: Literal["user", "assistant", "tool"]
    text: str = ""
    tool_calls: tuple[ToolUse, ...] = ()
    tool_call_id: str = ""


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
    """How tokens are chosen, and how many. None: not given."""

    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop: tuple[str, ...] = ()


class ChatRequest(msgspec.Struct, frozen=True):
    """What a caller asks for.

    `system` and `sampling` hold what the caller said; `default_system` and `defaults` hold what the dialect says where the
    caller said nothing. A default is sent only to a model that takes the parameter; an explicit value is sent, or refused
    by name. `model` is an alias, empty for the first one. `conversation_field` is the dialect's name of the field that
    `messages` came from, for errors.
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
    conversation_field: str = "messages"


def conversation_problems(request: ChatRequest) -> list[Problem]:
    """What no model could answer: every rule of a conversation that is broken, each with the message's place."""
    problems: list[Problem] = []
    field = request.conversation_field
    messages = request.messages
    if not messages:
        return [Problem(field, "must hold at least one message")]
    if messages[0].role != "user":
        problems.append(Problem(f"{field}[0].role", f"a conversation starts with 'user', not {messages[0].role!r}"))
    if messages[-1].role == "assistant":
        problems.append(
            Problem(
                f"{field}[{len(messages) - 1}].role",
                "the last message must be the user's or a tool's, for there is nothing to answer otherwise",
            )
        )
    open_calls: set[str] = set()
    for index, message in enumerate(messages):
        place = f"{field}[{index}]"
        if message.role == "tool":
            if message.tool_call_id not in open_calls:
                problems.append(
                    Problem(
                        f"{place}.tool_call_id",
                        f"{message.tool_call_id!r} answers no tool call of the assistant message before it",
                    )
                )
            open_calls.discard(message.tool_call_id)
            continue
        if open_calls:
            problems.append(Problem(place, f"the tool calls {', '.join(sorted(open_calls))} have no answer before it"))
        open_calls = {call.id for call in message.tool_calls}
        if not message.text.strip() and not message.tool_calls:
            problems.append(Problem(f"{place}.content", "must not be empty"))
    if open_calls and messages[-1].role == "tool":
        problems.append(Problem(field, f"the tool calls {', '.join(sorted(open_calls))} have no answer"))
    return problems
