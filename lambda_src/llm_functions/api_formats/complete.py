"""A complete answer, collected from its events."""

from collections.abc import AsyncIterator
from typing import Any

import msgspec

from llm_gateway.events import (
    Delta,
    Done,
    Event,
    Logprobs,
    Reasoning,
    ReasoningSignature,
    Start,
    StopReason,
    ToolCall,
    ToolCallDelta,
    Usage,
)
from llm_gateway.request import ReasoningBlock


class CollectedCall(msgspec.Struct):
    """A tool call; `arguments` is the JSON text of an object."""

    id: str
    name: str
    arguments: str = ""


class CompleteAnswer(msgspec.Struct):
    """What all events of an answer say together.

    `reasoning_blocks` are its reasoning in the blocks that are signed, and `order` has them, the texts between them and the
    places in `calls` in the order in which they came. `refusal` is the end of `text` that is the model's refusal.
    """

    start: Start
    text: str
    refusal: str
    reasoning: str
    calls: list[CollectedCall]
    usage: Usage
    stop_reason: StopReason
    reasoning_blocks: list[ReasoningBlock]
    order: list[str | ReasoningBlock | int]
    logprobs: list[dict[str, Any]]
    stop_sequence: str

    @property
    def content(self) -> str:
        """The text without the refusal."""
        return self.text.removesuffix(self.refusal)


async def collect(batches: AsyncIterator[list[Event]]) -> CompleteAnswer:
    """Return the complete answer. Raises the `GatewayError` that the events raise."""
    text: list[str] = []
    refusal: list[str] = []
    reasoning: list[str] = []
    blocks: list[ReasoningBlock] = []
    block_at = 0  # the place in `reasoning` at which the block begins that is not signed yet
    calls: list[CollectedCall] = []
    order: list[str | ReasoningBlock | int] = []
    told = made = 0  # how many parts of the text, and calls, are in `order`
    logprobs: list[dict[str, Any]] = []
    found: dict[type, Event] = {}  # the events that come once
    async for batch in batches:
        for event in batch:
            match event:
                case Delta(text=part):
                    text.append(part)
                    if event.refusal:
                        refusal.append(part)
                case Reasoning(text=part):
                    reasoning.append(part)
                case ReasoningSignature(signature=signature, data=data):
                    blocks.append(ReasoningBlock("" if data else "".join(reasoning[block_at:]), signature, data))
                    block_at = block_at if data else len(reasoning)
                    order += [*_text(text[told:]), *range(made, len(calls)), blocks[-1]]
                    told, made = len(text), len(calls)
                case ToolCall(id=identifier, name=name):
                    calls.append(CollectedCall(identifier, name))
                case ToolCallDelta(index=index, arguments=part):
                    calls[index].arguments += part
                case Logprobs(tokens=tokens):
                    logprobs += tokens
                case _:
                    found[type(event)] = event
    start, usage, done = found[Start], found[Usage], found[Done]
    assert isinstance(start, Start) and isinstance(usage, Usage) and isinstance(done, Done)  # an answer has each of them
    if block_at < len(reasoning):
        blocks.append(ReasoningBlock("".join(reasoning[block_at:])))
        order.append(blocks[-1])
    order += [*_text(text[told:]), *range(made, len(calls))]
    return CompleteAnswer(
        *(start, "".join(text), "".join(refusal), "".join(reasoning), calls, usage, done.stop_reason),
        *(blocks, order, logprobs, done.stop_sequence),
    )


def retrieval_fields(start: Start) -> dict[str, Any]:
    """Return what an answer says of the passages that its model was given: the same fields in every format, which has no names
    of its own for them; none where nothing was looked for."""
    fields: dict[str, Any] = {}
    if start.citations:
        fields["citations"] = msgspec.to_builtins(start.citations)
    if start.retrieval:
        fields["retrieval"] = start.retrieval
    return fields


def _text(parts: list[str]) -> list[str]:
    return ["".join(parts)] if parts else []
