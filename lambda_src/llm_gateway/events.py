"""The event stream that every transport renders.

Events travel in batches, lists of what one read of the upstream gave: a batch crosses the layers once, however many tokens
it holds. An answer is ``Start``, then any number of ``Delta``, ``Reasoning``, ``ToolCall`` and ``ToolCallDelta``, then
``Usage``, then ``Done``, these two in one batch, the last. A failure after ``Start`` is a `GatewayError` raised by the stream,
which a transport renders as its ``error`` event; a stream never ends without ``Done`` or an error.
"""

from typing import Literal

import msgspec

# Why the model stopped. Rendered as it is by /chat; the OpenAI routes translate it into a finish_reason.
StopReason = Literal["end_turn", "max_tokens", "stop_sequence", "tool_use", "content_filtered", "context_window_exceeded"]


class Start(msgspec.Struct, frozen=True, tag="start"):
    """The model has begun to answer. `model` is the alias, `target` the name of the target of it that answers.

    `attempts` counts the calls of targets, this one included; `waited_ms` are the milliseconds that the others and the pauses
    between them took, `first_token_ms` those that this one took to begin.
    """

    request_id: str
    model: str
    target: str
    attempts: int
    waited_ms: float
    first_token_ms: float


class Delta(msgspec.Struct, frozen=True, tag="delta"):
    """A piece of the answer's text, never empty."""

    text: str


class Reasoning(msgspec.Struct, frozen=True, tag="reasoning"):
    """A piece of the model's reasoning, never empty; not part of the answer."""

    text: str


class ToolCall(msgspec.Struct, frozen=True, tag="tool_call"):
    """The model begins to call a tool. `index` counts the calls of one answer from 0."""

    index: int
    id: str
    name: str


class ToolCallDelta(msgspec.Struct, frozen=True, tag="tool_call_delta"):
    """A piece of the JSON text of call `index`'s arguments."""

    index: int
    arguments: str


class Usage(msgspec.Struct, frozen=True, tag="usage"):
    """The tokens that the provider counted (and bills)."""

    input_tokens: int
    output_tokens: int


class Done(msgspec.Struct, frozen=True, tag="done"):
    """The answer is whole."""

    stop_reason: StopReason


Event = Start | Delta | Reasoning | ToolCall | ToolCallDelta | Usage | Done
