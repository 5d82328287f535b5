"""What a model behind the local Bedrock is asked and what it answers: the vocabulary of the server and of every `Model`.

The other upstreams of a local run use it as well, each with its own protocol around it.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Literal, Protocol

# A call, as a model is asked.

Json = dict[str, Any]


@dataclass(frozen=True)
class ModelTraits:
    """What one model accepts; anything else is a ValidationException.

    `accepts` holds any of max_tokens, temperature, top_p, stop, system and tools; of those in `exclusive` at most one may be
    given. `reasoning`: the model shows its reasoning. `max_output_tokens` bounds maxTokens, and stands for it when absent.
    `context_tokens` bounds request and answer together; None: nothing does.
    """

    accepts: frozenset[str]
    exclusive: frozenset[str] = frozenset()
    reasoning: bool = False
    max_output_tokens: int = 4096
    context_tokens: int | None = None


@dataclass(frozen=True)
class TextBlock:
    text: str


@dataclass(frozen=True)
class ReasoningBlock:
    text: str


@dataclass(frozen=True)
class ToolUseBlock:
    """A tool call that the model made."""

    id: str
    name: str
    input: Json


@dataclass(frozen=True)
class ToolResultBlock:
    """What the tool answered to call `id`; JSON results stand in `text` as JSON."""

    id: str
    text: str
    error: bool = False


Block = TextBlock | ReasoningBlock | ToolUseBlock | ToolResultBlock


@dataclass(frozen=True)
class Message:
    role: Literal["user", "assistant"]
    content: tuple[Block, ...]


@dataclass(frozen=True)
class Tool:
    name: str
    description: str
    schema: Json


@dataclass(frozen=True)
class ConverseCall:
    """A valid request. `tool_choice` is auto, any, or tool, which means the one that `tool_name` names. None: not given."""

    model_id: str
    traits: ModelTraits
    messages: tuple[Message, ...]
    system: tuple[str, ...] = ()
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop: tuple[str, ...] = ()
    tools: tuple[Tool, ...] = ()
    tool_choice: Literal["auto", "any", "tool"] = "auto"
    tool_name: str = ""


# An answer, as a model gives it piece by piece.

StopReason = Literal["end_turn", "tool_use", "max_tokens", "stop_sequence", "content_filtered"]


@dataclass(frozen=True)
class TextDelta:
    text: str


@dataclass(frozen=True)
class ReasoningDelta:
    text: str


@dataclass(frozen=True)
class SignatureDelta:
    """Ends the reasoning: what some models want back together with it."""

    signature: str


@dataclass(frozen=True)
class ToolUseStart:
    id: str
    name: str


@dataclass(frozen=True)
class ToolUseDelta:
    """A piece of the JSON text that is the input of the call begun last."""

    input: str


@dataclass(frozen=True)
class Finish:
    """The last piece of every answer. `stop_sequence` is the one that was met, as far as the model tells."""

    stop_reason: StopReason
    input_tokens: int
    output_tokens: int
    stop_sequence: str | None = None


Piece = TextDelta | ReasoningDelta | SignatureDelta | ToolUseStart | ToolUseDelta | Finish


class Model(Protocol):
    """Who answers. A `BedrockError` that it raises reaches the caller as it is; closing the iterator stops it."""

    def generate(self, call: ConverseCall) -> AsyncIterator[Piece]: ...


class BedrockError(Exception):
    """An error as AWS sends it: the HTTP status, the exception's name and its message."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


def validation_error(message: str) -> BedrockError:
    return BedrockError(400, "ValidationException", message)


def internal_error() -> BedrockError:
    message = "The system encountered an unexpected error during processing. Try your request again."
    return BedrockError(500, "InternalServerException", message)
