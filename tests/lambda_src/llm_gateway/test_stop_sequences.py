"""Stop sequences that the gateway finds itself."""

from collections.abc import AsyncGenerator
from typing import Any

import msgspec
import pytest

from llm_gateway.call import ModelCall
from llm_gateway.events import Delta, Done, Event, Logprobs, Reasoning, ToolCall, Usage
from llm_gateway.stop_sequences import cut
from support.chat_requests import request, sent, target

END = (Usage(7, 9), Done("end_turn"))


def call_with(*sequences: str) -> ModelCall:
    return msgspec.structs.replace(sent(request(), target()), cut=sequences)


def texts(*pieces: str) -> list[list[Event]]:
    """One batch for each piece, and one for the end."""
    return [*([Delta(piece)] for piece in pieces), list(END)]


class Model:
    """Plays batches, and knows whether its call was ended before all were read."""

    def __init__(self, batches: list[list[Event]]) -> None:
        self.left = batches
        self.closed = False

    async def answer(self) -> AsyncGenerator[list[Event], None]:
        try:
            while self.left:
                yield self.left.pop(0)
        finally:
            self.closed = True


async def read(model: Model, *sequences: str) -> list[Event]:
    events: list[Event] = []
    async for batch in cut(model.answer(), call_with(*sequences)):
        assert batch
        events += batch
    assert model.closed
    return events


# sequences, the model's pieces -> the text that leaves, whether it was cut
CUTS: dict[str, tuple[tuple[str, ...], tuple[str, ...], str, bool]] = {
    "none comes": (("END",), ("one ", "two"), "one two", False),
    "in a piece": (("END",), ("one END two",), "one ", True),
    "over pieces": (("END",), ("one E", "N", "D two"), "one ", True),
    "a beginning that goes on otherwise": (("END",), ("one EN", "T two"), "one ENT two", False),
    "a beginning at the end": (("END",), ("one EN",), "one EN", False),
    "a beginning within a beginning": (("aab",), ("a", "a", "a", "b"), "a", True),
    "the first of several": (("two", "one"), ("zero one two",), "zero ", True),
    "at once": (("a",), ("abc",), "", True),
    "line ends": (("\n\n",), ("a\n", "b\n", "\nc"), "a\nb", True),
}


@pytest.mark.parametrize(("sequences", "pieces", "text", "is_cut"), CUTS.values(), ids=CUTS)
async def test_the_answer_ends_before_the_sequence(sequences: Any, pieces: Any, text: str, is_cut: bool) -> None:
    *parts, usage, done = await read(Model(texts(*pieces)), *sequences)
    assert "".join(part.text for part in parts if isinstance(part, Delta)) == text
    if not is_cut:
        assert (usage, done) == END
        return
    assert done.stop_reason == "stop_sequence" and done.stop_sequence in sequences
    assert isinstance(usage, Usage) and usage.estimated and usage.input_tokens > 0 and usage.output_tokens > 0


async def test_the_call_of_the_model_ends() -> None:
    model = Model(texts("one END", "two"))
    await read(model, "END")
    assert model.left == texts("two")


async def test_a_usage_that_has_come_is_told() -> None:
    assert await read(Model([[Delta("one END"), *END]]), "END") == [Delta("one "), END[0], Done("stop_sequence", "END")]


async def test_log_probabilities_come_with_their_text_and_not_of_what_is_cut() -> None:
    pieces: list[list[Event]] = [[Delta(text), Logprobs([{"token": text}])] for text in ("a", "E", "N", "b", "E", "N", "D")]
    *parts, _, _ = await read(Model([*pieces, list(END)]), "END")
    assert "".join(part.text for part in parts if isinstance(part, Delta)) == "aENb"
    assert [token["token"] for part in parts if isinstance(part, Logprobs) for token in part.tokens] == ["a", "E", "N", "b"]


async def test_only_the_text_is_searched() -> None:
    thought, called = Reasoning("END"), ToolCall(0, "c", "END")
    assert await read(Model([[thought, Delta("E"), called, *END]]), "END") == [thought, Delta("E"), called, *END]


@pytest.mark.parametrize(
    ("accepts", "most", "native", "found"),
    [((), None, (), ("a", "b")), (("stop",), None, ("a", "b"), ()), (("stop",), 1, ("a",), ("b",))],
)
def test_a_target_gets_as_many_as_it_takes(accepts: Any, most: Any, native: Any, found: Any) -> None:
    said = request(msgspec.structs.replace(request().sampling, stop=("a", "b")))
    call = sent(said, target(("max_tokens", *accepts), stop_max=most))
    assert (call.sampling.stop, call.cut) == (native, found)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_model_without_stop_sequences_stops(gateway, bedrock, stream: bool) -> None:
    service = await gateway((await bedrock()).url)
    body = {"model": "r1", "messages": [{"role": "user", "content": "Hello, who is there?"}], "stop": ["who"]}
    if stream:
        events = await service.sse("/v1/chat/completions", {**body, "stream": True})
        assert events.pop().name == "[DONE]"
        choices = [event.data["choices"][0] for event in events]
        text, reason = "".join(choice["delta"].get("content") or "" for choice in choices), choices[-1]["finish_reason"]
    else:
        answer = (await service.post("/v1/chat/completions", body)).json()
        (choice,) = answer["choices"]
        text, reason = choice["message"]["content"], choice["finish_reason"]
        assert answer["usage"]["completion_tokens"] > 0
    assert "Hello, " in text and "who" not in text and reason == "stop"
