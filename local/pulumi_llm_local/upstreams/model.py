"""The vocabulary of all stand-ins for providers: what a model accepts, what it is asked, and what it answers.

Each provider's stand-in translates its own protocol into these words and back.
"""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Literal, Protocol

Json = dict[str, Any]

# A request to a model.


@dataclass(frozen=True)
class ModelTraits:
    """What one model accepts. A provider refuses every other parameter.

    Attributes:
        accepts: Names of parameters, as in `llm_gateway.request.Parameter`.
        exclusive: At most one of these may be given.
        reasoning: The model shows its reasoning.
        max_output_tokens: The largest value of max_tokens, and its default.
        context_tokens: The limit of request and answer together; None: no limit.
        embedding: The model makes embeddings and does not chat: on Bedrock in which of its forms.
    """

    accepts: frozenset[str]
    exclusive: frozenset[str] = frozenset()
    reasoning: bool = False
    max_output_tokens: int = 4096
    context_tokens: int | None = None
    embedding: Literal["", "titan_v2", "cohere_v3", "cohere_v4", "openai"] = ""


@dataclass(frozen=True)
class TextBlock:
    text: str


@dataclass(frozen=True)
class ReasoningBlock:
    text: str


@dataclass(frozen=True)
class MediaBlock:
    """An image or a document of so many bytes, or at an address. `kind` is the ability that a model needs for it."""

    kind: Literal["images", "image_urls", "documents"]
    format: str
    size: int


@dataclass(frozen=True)
class ToolUseBlock:
    """A tool call that the model made."""

    id: str
    name: str
    input: Json


@dataclass(frozen=True)
class ToolResultBlock:
    """What the tool answered to the call `id`. A JSON result is in `text`, as JSON."""

    id: str
    text: str
    error: bool = False
    media: tuple[MediaBlock, ...] = ()


Block = TextBlock | ReasoningBlock | MediaBlock | ToolUseBlock | ToolResultBlock
Role = Literal["user", "assistant"]


@dataclass(frozen=True)
class Message:
    role: Role
    content: tuple[Block, ...]


@dataclass(frozen=True)
class Tool:
    name: str
    description: str
    schema: Json


@dataclass(frozen=True)
class GenerationRequest:
    """A valid request to a model. None: the parameter is not given.

    `tool_name` is the tool that the choice "tool" names. `output_schema` is the JSON Schema that a text must follow.
    """

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
    output_schema: Json | None = None

    @property
    def given(self) -> list[str]:
        """The names of the parameters that the request has."""
        names = ("system", "tools", "max_tokens", "temperature", "top_p", "stop")
        return [*(name for name in names if getattr(self, name) not in (None, ())), *sorted({each.kind for each in self.media})]

    @property
    def media(self) -> list[MediaBlock]:
        """The images and documents of the conversation."""
        found: list[MediaBlock] = []
        for block in (block for message in self.messages for block in message.content):
            if isinstance(block, MediaBlock):
                found.append(block)
            elif isinstance(block, ToolResultBlock):
                found += block.media
        return found

    @property
    def refused(self) -> list[str]:
        """The given parameters that the model does not accept."""
        return [name for name in self.given if name not in self.traits.accepts]

    @property
    def excluding(self) -> list[str]:
        """The given parameters of which the model takes only one, if there are several."""
        both = sorted(self.traits.exclusive & set(self.given))
        return both if len(both) > 1 else []


@dataclass(frozen=True)
class Call:
    """A call of a stand-in, as it was read: what the model is asked, and whether the answer is sent as a stream."""

    generation: GenerationRequest
    stream: bool


def tool_input(text: str) -> Any:
    """Return the input of a tool call that a model wrote. It is {} if the text is no JSON: cut short, or empty."""
    try:
        return json.loads(text)
    except ValueError:
        return {}


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
    """Ends the reasoning. Some models want it back together with the reasoning."""

    signature: str


@dataclass(frozen=True)
class ToolUseStart:
    id: str
    name: str


@dataclass(frozen=True)
class ToolUseDelta:
    """A piece of the JSON text that is the input of the latest tool call."""

    input: str


@dataclass(frozen=True)
class Finish:
    """The last piece of every answer. `stop_sequence` is the one that was found, if the model says it."""

    stop_reason: StopReason
    input_tokens: int
    output_tokens: int
    stop_sequence: str | None = None


Piece = TextDelta | ReasoningDelta | SignatureDelta | ToolUseStart | ToolUseDelta | Finish


class LanguageModel(Protocol):
    """What generates the answers behind a stand-in."""

    def generate(self, request: GenerationRequest, /) -> AsyncIterator[Piece]:
        """Yield the answer. Closing the iterator stops the generation.

        Raises:
            UpstreamError: The model refuses the request or fails.
        """
        ...


class UpstreamError(Exception):
    """A model's refusal or failure. Each provider reports it in its own words.

    Args:
        status: 400 the request is invalid, 403 access is denied, 424 the model failed within its answer, 429 too many
            requests, 503 the model is not available, 500 any other failure.
        message: The cause, for the caller.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
