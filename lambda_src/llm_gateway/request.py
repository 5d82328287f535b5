"""The request, the same for every transport and API format."""

from collections.abc import Mapping
from typing import Any, Literal, get_args

import msgspec

# The parameters that a target may accept: those of every chat model, the tools of most, and those of models that reason.
# `stream_tools`: tools with a streamed answer. `reasoning_content`: the reasoning of earlier turns is sent back, as DeepSeek
# requires with the result of a tool call.
ChatParameter = Literal["max_tokens", "temperature", "top_p", "stop", "system"]
ToolParameter = Literal["tools", "stream_tools"]
Parameter = Literal[ChatParameter, ToolParameter, "reasoning_effort", "reasoning_content"]
CHAT_PARAMETERS: tuple[ChatParameter, ...] = get_args(ChatParameter)
TOOL_PARAMETERS: tuple[ToolParameter, ...] = get_args(ToolParameter)


# The bound of an answer in /chat's own format, and its default.
MAX_TOKENS = 4000
DEFAULT_MAX_TOKENS = 1000


class ToolUse(msgspec.Struct, frozen=True):
    """A tool call that the model made earlier in the conversation; `arguments` is a JSON object."""

    id: str
    name: str
    arguments: dict[str, Any]


class Message(msgspec.Struct, frozen=True):
    """One turn of a conversation.

    A `tool` message holds the result of the call `tool_call_id` in the assistant message before it. `reasoning` is the
    reasoning of an assistant message, if the caller has kept it. `place` is its place in the caller's request, such as
    ``messages[2]``, for errors.
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


# The sampling parameters that are numbers: from and to, as the API formats take them. A target's own bound may be tighter.
NUMERIC_PARAMETERS: Mapping[str, tuple[float, float]] = {"temperature": (0, 2), "top_p": (0, 1)}


class Sampling(msgspec.Struct, frozen=True):
    """How many tokens are generated and how they are chosen. None: not given. `reasoning_effort` is OpenAI's: none, low, …"""

    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop: tuple[str, ...] = ()
    reasoning_effort: str | None = None

    def named(self, names: Mapping[str, str]) -> dict[str, Any]:
        """Return the given parameters by a provider's names. `names` maps ours to the provider's."""
        return {theirs: value for ours, theirs in names.items() if (value := getattr(self, ours)) not in (None, ())}


class ChatRequest(msgspec.Struct, frozen=True):
    """What a caller asks for.

    `system` and `sampling` hold the caller's values, `default_system` and `defaults` those of the API format for what the
    caller does not give. A default is sent only to a model that accepts the parameter. A caller's value is sent, or refused
    with the parameter's name. `model` is an alias, empty for the first one. `names` maps our names of fields to the API
    format's, where they differ, for errors.
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
        """Return the caller's name of a field."""
        return self.names.get(field) or field

    @property
    def uses_tools(self) -> bool:
        """Whether tools are offered or were called earlier in the conversation."""
        return bool(self.tools) or any(message.tool_calls for message in self.messages)
