"""The JSON object in an answer that was asked for in words: what leaves of a text, however it comes."""

import asyncio
import json
from collections.abc import AsyncGenerator, Iterable
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_gateway.call import ModelCall
from llm_gateway.errors import GatewayError
from llm_gateway.events import Delta, Done, Event, Logprobs, Reasoning, StopReason, ToolCall, ToolCallDelta, Usage
from llm_gateway.json_text import object_in_text
from llm_gateway.request import Message, Sampling, ToolChoice
from llm_gateway.routes import Target

TARGET = Target("a", "a", "a", max_output_tokens=100, context_tokens=100, accepts=("max_tokens", "system", "prefill"))
CALL = ModelCall(TARGET, (Message("user", "Hi"),), None, Sampling(), (), ToolChoice(), True, 0.0, 1.0, object_in_text=True)
USAGE = Usage(1, 2)


def passed(batches: Iterable[list[Event]], call: ModelCall = CALL) -> list[Event]:
    """Return the events that leave."""

    async def upstream() -> AsyncGenerator[list[Event], None]:
        for batch in batches:
            yield batch

    async def read() -> list[Event]:
        return [event async for batch in object_in_text(upstream(), call) for event in batch]

    return asyncio.run(read())


def text_of(events: Iterable[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, Delta))


def ending(reason: StopReason = "end_turn") -> list[Event]:
    return [USAGE, Done(reason)]


def split(text: str, places: Iterable[int]) -> list[str]:
    edges = [0, *sorted(place % (len(text) + 1) for place in places), len(text)]
    return [text[begin:end] for begin, end in pairwise(edges) if begin < end]


NONE, INVALID = "the answer has none", "that of the answer is not valid"
OBJECTS = {
    "plain": '{"a": 1}',
    "no field": "{}",
    "nested": '{"a": {"b": [{"c": {}}]}, "d": {}}',
    "braces in strings": '{"a": "}{", "{": "}}"}',
    "quotes in strings": r'{"a": "say \"}\" \\", "b\\\"": "\\"}',
    "space": ' {\n  "a" : 1\n}',
    "not ASCII": '{"ä€😀": "😀}"}',
}
# What the model says, and what the caller gets of it, or the error's reason.
WORDS: dict[str, tuple[str, str]] = {
    **{name: (text, text.strip()) for name, text in OBJECTS.items()},
    **{f"{name}, in a block": (f"```json\n{text}\n```", text.strip()) for name, text in OBJECTS.items()},
    **{f"{name}, between words": (f'In "the form" [1]: {text}\nHm, }} "?', text.strip()) for name, text in OBJECTS.items()},
    "a block without a language": ('```\n{"a": 1}\n```\n', '{"a": 1}'),
    "braces of words": ('{here} { is {{it}}: { "a": 1}.', '{ "a": 1}'),
    "a bracket of words": ('As [asked], [ ] it is {"a": [1]}', '{"a": [1]}'),
    "two objects": ('{"a": 1}\n{"a": 2}', '{"a": 1}'),
    "an object in words after it": ('{"a": 1} It follows {"type": "object"}.', '{"a": 1}'),
    "a list": ('[{"a": 1}, {"a": 2}]', NONE),
    "a list in a block": ('```json\n[\n  {"a": 1}\n]\n```', NONE),
    "a list of numbers": ("[1, 2]", NONE),
    "a text": ('"a"', NONE),
    "words": ("It is {fine}.", NONE),
    "an open brace": ("It is {", NONE),
    "empty": ("", NONE),
    "white space": (" \n", NONE),
    "not closed": ('{"a": 1', INVALID),
    "not closed within a string": ('{"a": "1}', INVALID),
    "another language": ("{\"a\": 'b'}", INVALID),
    "a comma too many": ('{"a": 1,}', INVALID),
}


@pytest.mark.parametrize("case", WORDS)
@settings(deadline=None)
@given(places=st.lists(st.integers(0, 200), max_size=30), whole=st.booleans())
def test_the_object_of_an_answer(case: str, places: list[int], whole: bool) -> None:
    text, expected = WORDS[case]
    deltas: list[Event] = [Delta(part) for part in split(text, places)]
    batches = [[*deltas, *ending()]] if whole else [*([each] for each in deltas), ending()]
    try:
        events = passed(batches)
    except GatewayError as error:
        assert (error.code, error.usage) == ("invalid_output", USAGE) and expected in error.message
        return
    assert text_of(events) == expected and events[-2:] == ending()
    json.loads(expected)


VALUES = st.recursive(
    st.none() | st.integers(-(10**9), 10**9) | st.text(), lambda each: st.lists(each) | st.dictionaries(st.text(), each)
)


@settings(deadline=None)
@given(st.dictionaries(st.text(), VALUES), st.integers(0, 4), st.lists(st.integers(0, 500), max_size=20))
def test_any_object_of_any_split(value: dict[str, Any], indent: int, places: list[int]) -> None:
    text = json.dumps(value, indent=indent or None, ensure_ascii=indent > 2)
    deltas = split(f"Here it is:\n```json\n{text}\n```", places)
    assert text_of(passed([*([Delta(part)] for part in deltas), ending()])) == text


def test_the_object_leaves_as_it_comes() -> None:
    """From its first character that is not the words' on; and of many deltas, each is read once."""
    deltas = ["Sure", ": {", " ", '"a', '": ', "1", "} Do", "ne {"]
    left = [text_of([event]) for event in passed([*([Delta(each)] for each in deltas), ending()])]
    assert left[:-2] == ['{ "a', '": ', "1", "}"]


CUT: dict[str, tuple[str, StopReason, str]] = {
    "within the words": ("Here it", "max_tokens", "Here it"),
    "at the brace": ("Here it is: {", "max_tokens", "Here it is: {"),
    "within a list": ('[{"a": 1}, {"a', "max_tokens", '[{"a": 1}, {"a'),
    "within the object": ('Here: {"a": {"b', "max_tokens", '{"a": {"b'),
    "after the object": ('{"a": 1} It', "max_tokens", '{"a": 1}'),
    "filtered": ("Sorry", "content_filtered", "Sorry"),
    "filtered within the object": ('{"a": "', "content_filtered", '{"a": "'),
    "the context": ('{"a": "', "context_window_exceeded", '{"a": "'),
    "nothing": ("", "max_tokens", ""),
    "by the caller's stop sequence": ('{"a": ', "stop_sequence", '{"a": '),
    "by a stop sequence after it": ('{"a": 1}\n', "stop_sequence", '{"a": 1}'),
}


@pytest.mark.parametrize("case", CUT)
def test_an_answer_that_is_cut_passes_as_it_is(case: str) -> None:
    text, reason, expected = CUT[case]
    events = passed([*([Delta(each)] for each in text), ending(reason)])
    assert text_of(events) == expected and events[-2:] == ending(reason)


CALLS: list[Event] = [ToolCall(0, "call_1", "weather"), ToolCallDelta(0, '{"city": "Rome"}')]


@pytest.mark.parametrize(
    ("text", "expected"), [("I look it up.", ""), ("", ""), ('{"a": 1} So:', '{"a": 1}'), ('{"a": ', '{"a": ')]
)
def test_calls_pass_and_the_words_beside_them_do_not(text: str, expected: str) -> None:
    events = passed([[Delta(each)] for each in text] + [CALLS, ending("tool_use")])
    assert text_of(events) == expected
    assert [event for event in events if not isinstance(event, Delta)] == [*CALLS, *ending("tool_use")]


def test_reasoning_passes() -> None:
    """Also one with braces, which is no part of the text."""
    thought: list[Event] = [Reasoning('Is it {"a": 2}?')]
    assert passed([thought, [Delta('Yes: {"a": 1}')], ending()]) == [*thought, Delta('{"a": 1}'), *ending()]


@pytest.mark.parametrize(
    ("begun", "text", "expected"),
    [
        ("{", '"a": 1}\n```', '"a": 1}'),
        ('Here: {"a": [', "1, {}]} Done", "1, {}]}"),
        ("```json\n", '{"a": 1}\n', '{"a": 1}'),
        ("As {", 'asked}: {"a": 1}', '{"a": 1}'),
        ('{"a": "', 'a"} b', 'a"}'),
        ("{", "it}", NONE),
        ('{"a": ', "it}", INVALID),
    ],
)
def test_an_answer_that_the_caller_has_begun(begun: str, text: str, expected: str) -> None:
    call = msgspec.structs.replace(CALL, messages=(*CALL.messages, Message("assistant", begun)))
    batches = [*([Delta(each)] for each in text), ending()]
    if expected in (NONE, INVALID):
        with pytest.raises(GatewayError, match=expected):
            passed(batches, call)
        return
    assert text_of(passed(batches, call)) == expected
    other = msgspec.structs.replace(call, target=msgspec.structs.replace(TARGET, accepts=("max_tokens", "system")))
    assert text_of(passed([[Delta('{"b": 1}'), *ending()]], other)) == '{"b": 1}'  # it begins anew


@pytest.mark.parametrize(("text", "valid"), [('```{"a": 1}```', True), ('{"a": "1"}', False), ("{}", False)])
def test_a_strict_schema(text: str, valid: bool) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    call = msgspec.structs.replace(CALL, checked_schema=schema)
    if valid:
        assert text_of(passed([[Delta(text), *ending()]], call)) == '{"a": 1}'
    else:
        with pytest.raises(GatewayError) as raised:
            passed([[Delta(text), *ending()]], call)
        assert raised.value.code == "invalid_output"
    assert passed([[Delta(text), *ending("max_tokens")]], call)[-1] == Done("max_tokens")


@settings(deadline=None)
@given(places=st.lists(st.integers(0, 40), max_size=10), whole=st.booleans())
def test_log_probabilities_are_those_of_the_object(places: list[int], whole: bool) -> None:
    words = ["Sure", ": ", "{", ' "', "a", '": ', "1", "}", " Done", " {"]
    deltas = split("".join(words), places)
    batches: list[list[Event]] = [[Delta(each)] for each in deltas]
    tokens: list[Event] = [Logprobs([{"token": word}]) for word in words]
    batches += [tokens] if whole else [[each] for each in tokens]
    events = passed([*batches, ending()])
    given = [token["token"] for event in events if isinstance(event, Logprobs) for token in event.tokens]
    assert given == ["{", ' "', "a", '": ', "1", "}"]


def test_log_probabilities_of_a_text_that_is_cut() -> None:
    tokens = Logprobs([{"token": "Here"}])
    assert passed([[Delta("Here")], [tokens], ending("max_tokens")]) == [Delta("Here"), tokens, *ending("max_tokens")]
