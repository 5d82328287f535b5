"""Thinking that an open model writes into its answer."""

from collections.abc import AsyncGenerator, Sequence
from typing import Any

import msgspec
import pytest

from llm_gateway.events import Delta, Done, Event, Logprobs, Reasoning, StopReason, ToolCall, Usage
from llm_gateway.routes import ThinkTags
from llm_gateway.think_tags import without_think_tags

USAGE = Usage(700, 900)


async def split(
    pieces: Sequence[str | Event], tags: ThinkTags, reason: StopReason, usage: Usage = USAGE
) -> tuple[str, str, list[Event]]:
    """Return the reasoning and the text of an answer, one batch a piece, and all of its events but the end."""
    events = [Delta(piece) if isinstance(piece, str) else piece for piece in pieces]

    async def answer() -> AsyncGenerator[list[Event], None]:
        for event in events:
            yield [event]
        yield [usage, Done(reason)]

    found: list[Event] = []
    async for batch in without_think_tags(answer(), tags):
        assert batch
        found += batch
    assert found[-1] == Done(reason) and isinstance(found[-2], Usage)
    thoughts = "".join(event.text for event in found if isinstance(event, Reasoning))
    return thoughts, "".join(event.text for event in found if isinstance(event, Delta)), found[:-1]


# the tags, how the answer ends, what the model writes -> its reasoning and its text. Each is read whole and in pieces.
ANSWERS: dict[str, tuple[ThinkTags, StopReason, str, str, str]] = {
    "both tags": ("written", "end_turn", "<think>\nWell, 1 < 2.\n</think>\n\nYes. </think>", "Well, 1 < 2.", "Yes. </think>"),
    "white space before": ("written", "end_turn", "\n <think>a</think>b", "a", "b"),
    "no thoughts": ("written", "end_turn", "<think>\n\n</think>\n\nYes.", "", "Yes."),
    "no tag": ("written", "end_turn", " No <think>tag</think> here.", "", " No <think>tag</think> here."),
    "the beginning of a tag": ("written", "end_turn", "<thi", "", "<thi"),
    "white space alone": ("written", "end_turn", "  ", "", "  "),
    "cut within the thinking": ("written", "max_tokens", "<think>One, </thi", "One, </thi", ""),
    "never closed": ("written", "end_turn", "<think>One, two", "One, two", ""),
    "a closing tag alone": ("written", "end_turn", "One</think>two", "", "One</think>two"),
    "opened": ("opened", "end_turn", "One,\n two\n</think>\n\nThree", "One,\n two", "Three"),
    "opened and written": ("opened", "end_turn", "<think>\nOne</think>two", "One", "two"),
    "opened and cut": ("opened", "max_tokens", "One, two", "One, two", ""),
    "opened, and closed at once": ("opened", "end_turn", "\n</think>\n\nThree", "", "Three"),
    "nothing": ("opened", "end_turn", "", "", ""),
}


@pytest.mark.parametrize(("tags", "reason", "written", "reasoning", "text"), ANSWERS.values(), ids=ANSWERS)
async def test_thinking_is_split_off(tags: Any, reason: Any, written: str, reasoning: str, text: str) -> None:
    for size in (len(written) or 1, 5, 2, 1):
        pieces = [written[at : at + size] for at in range(0, len(written), size)]
        assert (await split(pieces, tags, reason))[:2] == (reasoning, text), size


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("written", ["<think>|One|</think>|two| three", "<thi|nk>|</thi|nk>|two| three", "<|two| three"])
async def test_log_probabilities_are_those_of_the_text(written: str, whole: bool) -> None:
    tokens = written.split("|")
    each = [(Delta(token), Logprobs([{"token": token}])) for token in tokens]
    if whole:
        each = [(Delta("".join(tokens)), Logprobs([{"token": token} for token in tokens]))]
    _, text, events = await split([event for pair in each for event in pair], "written", "end_turn")
    assert "".join(token["token"] for event in events if isinstance(event, Logprobs) for token in event.tokens) == text


async def test_an_answer_without_thinking_is_no_reasoning_where_the_template_opens_it() -> None:
    """In a stream the text comes once more: what was taken for reasoning has left already."""

    async def whole() -> AsyncGenerator[list[Event], None]:
        yield [Delta('{"a": 1}'), Usage(1, 1), Done("end_turn")]

    batches = [batch async for batch in without_think_tags(whole(), "opened")]
    assert batches == [[Delta('{"a": 1}'), Usage(1, 1), Done("end_turn")]]
    assert (await split(['{"a"', ": 1}"], "opened", "end_turn"))[1] == '{"a": 1}'


@pytest.mark.parametrize("tags", ["written", "opened"])
async def test_calls_and_the_servers_own_reasoning_end_the_thinking(tags: ThinkTags) -> None:
    call = ToolCall(0, "call_1", "f")
    thoughts, text, events = await split(["<think>On", "e ", call], tags, "tool_use")
    assert (thoughts, text, events[-2]) == ("One ", "", call)
    assert await split([Reasoning("One"), "<think>", "two"], tags, "end_turn") == (
        "One",
        "<think>two",
        [Reasoning("One"), Delta("<think>"), Delta("two"), USAGE],
    )


# the tags, what the model writes, the tokens that the server has counted -> the tokens of the reasoning
COUNTED: dict[str, tuple[ThinkTags, str, Usage, int]] = {
    "by their length": ("written", f"<think>{'a' * 41}</think>Yes.", USAGE, 11),
    "never more than all": ("written", f"<think>{'a' * 400}</think>Yes.", Usage(700, 20), 20),
    "by the server": ("written", f"<think>{'a' * 41}</think>Yes.", Usage(700, 900, reasoning_tokens=13), 13),
    "no thoughts": ("written", "<think>\n\n</think>Yes.", USAGE, 0),
    "what came again as the text": ("opened", "a" * 41, USAGE, 0),
}


@pytest.mark.parametrize(("tags", "written", "usage", "tokens"), COUNTED.values(), ids=COUNTED)
async def test_the_tokens_of_the_thinking_are_told(tags: Any, written: str, usage: Usage, tokens: int) -> None:
    for size in (len(written), 7):
        pieces = [written[at : at + size] for at in range(0, len(written), size)]
        _, _, events = await split(pieces, tags, "end_turn", usage)
        assert events[-1] == msgspec.structs.replace(usage, reasoning_tokens=tokens)
