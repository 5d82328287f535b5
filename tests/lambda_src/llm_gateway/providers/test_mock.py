"""The provider that needs no model."""

import pytest

from llm_gateway.events import Done, Usage
from llm_gateway.providers.mock import Mock
from llm_gateway.request import Sampling
from support.chat_requests import request, sent, target, user

# text, sampling -> the answer, its tokens, why it stopped
MOCKED: list[tuple[str, Sampling, str, int, str]] = [
    ("one two", Sampling(100), "You said: one two", 4, "end_turn"),
    ("one two", Sampling(3), "You said: one", 3, "max_tokens"),
    ("one two", Sampling(4), "You said: one two", 4, "end_turn"),
    ("one two", Sampling(100, stop=("two",)), "You said: one", 3, "stop_sequence"),
    ("one two", Sampling(100, stop=("two", "said")), "You", 1, "stop_sequence"),
    ("one two", Sampling(100, stop=("three",)), "You said: one two", 4, "end_turn"),
    ("one two", Sampling(1, stop=("two",)), "You", 1, "max_tokens"),
]


@pytest.mark.parametrize(("text", "sampling", "expected", "tokens", "reason"), MOCKED)
async def test_the_mock(text: str, sampling: Sampling, expected: str, tokens: int, reason: str) -> None:
    call = sent(request(sampling, messages=(user(text),), system=None), target())
    first, second = [[event async for batch in Mock().answer(call) for event in batch] for _ in range(2)]
    assert first == second
    *deltas, usage, done = first
    assert "".join(delta.text for delta in deltas) == expected.rstrip() and all(delta.text for delta in deltas)
    assert (usage, done) == (Usage(len(text.split()), tokens), Done(reason))  # type: ignore[arg-type]
