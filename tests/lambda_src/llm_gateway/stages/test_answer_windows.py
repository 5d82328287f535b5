"""What leaves of an answer, and when: text in windows, with what was found replaced; tool calls whole."""

import asyncio
from collections.abc import Sequence
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_gateway import errors
from llm_gateway.errors import GatewayError
from llm_gateway.events import (
    Delta,
    Done,
    Event,
    Logprobs,
    Reasoning,
    ReasoningSignature,
    ToolCall,
    ToolCallDelta,
    Usage,
)
from llm_gateway.stages.answer_windows import Windows

END = [Usage(3, 2), Done("end_turn")]


class Checks:
    """A check that blocks "bad", and replaces "ada@example.com". It keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def __call__(self, texts: Sequence[str]) -> Sequence[str]:
        self.asked += texts
        if any("bad" in text for text in texts):
            raise errors.content_policy_violation(part="answer", policy="word", then="")
        return [text.replace("ada@example.com", "{EMAIL}") for text in texts]


async def left(*batches: list[Event], characters: int = 300) -> tuple[list[Event], Checks]:
    """What leaves of an answer in these batches, and the checks."""
    checks = Checks()
    windows = Windows(checks, characters)
    events: list[Event] = []
    for batch in batches:
        windows.add(batch)
        if windows.is_full:
            events += await windows.passed()
    assert windows.is_complete
    return events, checks


def texts(events: Sequence[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, Delta))


@given(
    words=st.lists(st.sampled_from(["sky ", "ada@example.com", " blue", "x" * 90, "ada@", "example.com "]), max_size=60),
    cut=st.integers(1, 50),
    characters=st.sampled_from([0, 200, 300, 1000]),
)
def test_the_text_is_the_same_in_whatever_parts_it_comes(words: list[str], cut: int, characters: int) -> None:
    text = "".join(words)
    parts: list[Event] = [Delta(text[at : at + cut]) for at in range(0, len(text), cut)]
    events, _ = asyncio.run(left(*([part] for part in parts), END, characters=characters))
    assert texts(events) == text.replace("ada@example.com", "{EMAIL}") and events[-2:] == END


async def test_nothing_leaves_before_its_window_has_passed() -> None:
    checks = Checks()
    windows = Windows(checks, 300)
    windows.add([Delta("a" * 169)])
    assert not windows.is_full
    windows.add([Delta("b")])
    assert windows.is_full and await windows.passed() == [Delta("a" * 70)]
    windows.add([Delta("c" * 169)])
    assert not windows.is_full
    windows.add([Delta("bad")])
    with pytest.raises(GatewayError, match="'word'"):
        await windows.passed()
    assert checks.asked == ["a" * 169 + "b", "a" * 99 + "b" + "c" * 169 + "bad"]


async def test_a_window_is_one_text_unit() -> None:
    """AWS charges for each 1,000 characters of a check that have begun."""
    sizes = [1 + 7 * at % 40 for at in range(600)]
    _, checks = await left(*([Delta("a" * size)] for size in sizes), END, characters=1_000)
    assert max(map(len, checks.asked)) <= 1_000
    assert len(checks.asked) <= sum(sizes) / 830 + 1


async def test_after_a_check_only_new_text_is_a_reason_for_another() -> None:
    windows = Windows(Checks(), 300)
    windows.add([Delta("a" * 200)])
    assert windows.holds_text
    await windows.passed()
    assert not windows.holds_text and not windows.is_full
    windows.add([Delta("b")])
    assert windows.holds_text and not windows.is_full


async def test_a_short_text_that_could_not_leave_is_no_reason_for_a_check() -> None:
    windows = Windows(Checks(), 300)
    windows.add([Delta("a" * 100)])
    assert not windows.holds_text


CALL = ToolCall(0, "call-1", "send")
# The parts of a call's arguments -> what leaves of them, and None where they are blocked.
ARGUMENTS: dict[str, tuple[list[str], str | None]] = {
    "as they are": (['{"to": "b', 'ob"}'], '{"to": "bob"}'),
    "masked": (['{"to": "ada@exam', 'ple.com", "n": 1}'], '{"to":"{EMAIL}","n":1}'),
    "masked behind an escape": (['{"to": "\\u0061da@example.com"}'], '{"to":"{EMAIL}"}'),
    "blocked": (['{"text": "b', 'ad"}'], None),
    "blocked behind an escape": (['{"text": "b\\u0061d"}'], None),
    "blocked in a name": (['{"bad": 1}'], None),
    "blocked, cut off": (['{"text": "bad'], None),
    "masked, cut off": (['{"text": "ada@example.com'], '{"text": "{EMAIL}'),
    "none": ([], ""),
}


@pytest.mark.parametrize(("parts", "expected"), ARGUMENTS.values(), ids=ARGUMENTS)
@pytest.mark.parametrize("characters", [0, 300])
async def test_a_tool_call_leaves_whole_or_not_at_all(characters: int, parts: list[str], expected: str | None) -> None:
    batches: list[list[Event]] = [[Delta("Well."), CALL], *([ToolCallDelta(0, part)] for part in parts), END]
    if expected is None:
        with pytest.raises(GatewayError, match="'word'"):
            await left(*batches, characters=characters)
        return
    events, _ = await left(*batches, characters=characters)
    arguments = [ToolCallDelta(0, expected)] if expected else []
    assert events == [Delta("Well."), CALL, *arguments, *END]


async def test_calls_that_come_at_once_leave_one_after_another() -> None:
    other = ToolCall(1, "call-2", "send")
    events, _ = await left(
        [CALL, other], [ToolCallDelta(0, '{"a"'), ToolCallDelta(1, "{"), ToolCallDelta(0, ":1}"), ToolCallDelta(1, "}")], END
    )
    assert events == [CALL, ToolCallDelta(0, '{"a":1}'), other, ToolCallDelta(1, "{}"), *END]


REASONING: dict[str, tuple[list[Event], list[Event] | None]] = {
    "as it is": ([Reasoning("Hm."), ReasoningSignature("s")], [Reasoning("Hm."), ReasoningSignature("s")]),
    "masked, and no longer what was signed": ([Reasoning("ada@example.com"), ReasoningSignature("s")], [Reasoning("{EMAIL}")]),
    "blocked": ([Reasoning("bad"), ReasoningSignature("s")], None),
    "encrypted": ([ReasoningSignature(data="d")], [ReasoningSignature(data="d")]),
    "a refusal": ([Delta("ada@example.com", refusal=True)], [Delta("{EMAIL}", refusal=True)]),
    "a blocked refusal": ([Delta("bad", refusal=True)], None),
}


@pytest.mark.parametrize(("said", "expected"), REASONING.values(), ids=REASONING)
async def test_reasoning_and_refusals_are_no_way_around(said: list[Event], expected: list[Event] | None) -> None:
    if expected is None:
        with pytest.raises(GatewayError, match="'word'"):
            await left(said, END)
        return
    assert (await left(said, END))[0] == [*expected, *END]


async def test_log_probabilities_leave_with_their_text_and_not_with_one_that_was_masked() -> None:
    one, two = Logprobs([{"token": "a"}]), Logprobs([{"token": "b"}])
    events, _ = await left([Delta("a" * 150), one], [Delta("b" * 150), two], END)
    assert events == [Delta("a" * 150 + "b" * 50), one, Delta("b" * 100), two, *END]
    events, _ = await left([Delta("ada@example.com"), one], END)
    assert events == [Delta("{EMAIL}"), *END]


async def test_what_was_masked_at_the_end_of_a_window_waits_for_what_follows() -> None:
    class Open(Checks):
        async def __call__(self, texts: Sequence[str]) -> Sequence[str]:
            self.asked += texts
            return [text.replace("ada@example", "{EMAIL}").replace("{EMAIL}.com", "{EMAIL}") for text in texts]

    windows = Windows(Open(), 300)
    windows.add([Delta("x" * 250 + "ada@example")])
    assert await windows.passed() == [Delta("x" * 250)]
    windows.add([Delta(".com"), *END])
    assert await windows.passed() == [Delta("{EMAIL}"), *END]


def test_events_are_all_known() -> None:
    """An event that is new must be thought of here."""
    held = {"Delta", "Reasoning", "ToolCallDelta", "Logprobs"}
    without_text = {"Start", "ReasoningSignature", "ToolCall", "Embeddings", "Usage", "Done"}
    names = {each.__name__ for each in get_args(Event)}
    assert names == held | without_text
