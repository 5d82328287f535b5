"""What reads the providers' answers: however a stream is cut, wherever it breaks off, and whatever stands in it."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_functions.api_formats import chat as chat_api
from llm_functions.api_formats import openai_chat
from llm_gateway.errors import GatewayError
from llm_gateway.events import Delta, Done, Event, Reasoning, Start, ToolCall, ToolCallDelta, Usage
from llm_gateway.http.sse import MAX_EVENT_BYTES, SseDecoder, SseError
from llm_gateway.providers import exchange
from llm_gateway.providers.anthropic.dialect import Anthropic
from llm_gateway.providers.bedrock.converse import Converse as ConverseDialect
from llm_gateway.providers.bedrock.invoke_model import InvokeModel
from llm_gateway.providers.exchange import UNREADABLE, Dialect
from llm_gateway.providers.openai.dialect import OpenAICompatible
from pulumi_llm_local.upstreams.bedrock.wire import chunk_message, raw_message
from support.growth import assert_linear
from wire.bedrock import Converse, Imported
from wire.providers import SPEAKERS
from wire.speaker import Answer, FunctionCall, Speaker, dumped


def dialect(name: str) -> Dialect:
    """How the gateway reads the answers of that speaker."""
    speaker = SPEAKERS[name]
    match speaker.endpoint:
        case None:
            return ConverseDialect() if isinstance(speaker, Converse) else InvokeModel()
        case "anthropic":
            return Anthropic()
        case "openai_compatible":
            return OpenAICompatible()


EVERY = pytest.mark.parametrize("name", SPEAKERS)
SSE = [name for name, speaker in SPEAKERS.items() if speaker.media_type.startswith("text/")]

Read = tuple[list[Event], str]


def read(name: str, packets: Iterable[bytes]) -> Read:
    """The events of a stream, and the code of what ended it; "" for a whole answer. As `exchange.read_answer` reads it."""
    decoder = dialect(name).decoder()
    events: list[Event] = []
    try:
        for packet in packets:
            decoder.feed(packet, events)
            if decoder.done:
                break
        else:
            decoder.end(events)
    except GatewayError as error:
        assert not decoder.done
        return events, error.code
    except UNREADABLE:
        assert not decoder.done
        return events, "unreadable"
    assert isinstance(events[-1], Done)
    return events, ""


def read_whole(name: str, body: bytes) -> Read:
    try:
        events = dialect(name).read_complete(body)
    except GatewayError as error:
        return [], error.code
    except UNREADABLE:
        return [], "unreadable"
    assert isinstance(events[-1], Done)
    return events, ""


def check(events: Sequence[Event]) -> None:
    """What every layer above relies on, and that both dialects can say it."""
    begun = 0
    for at, event in enumerate(events):
        match event:
            case Delta(text=text) | Reasoning(text=text):
                assert isinstance(text, str) and text
            case ToolCall(index=index, id=id_, name=name):
                assert index == begun and isinstance(id_, str) and id_ and isinstance(name, str) and name
                begun += 1
            case ToolCallDelta(index=index, arguments=arguments):
                assert 0 <= index < begun and isinstance(arguments, str) and arguments
            case Usage():
                assert at == len(events) - 2
            case Done():
                assert at == len(events) - 1
            case Start():
                raise AssertionError("the pipeline begins the answer, no provider does")
    batch = [Start("request-1", "model", "the/target", 1, 0.0, 0.0), *events]
    chat_api.StreamRenderer("request-1").events(batch)
    openai_chat.StreamRenderer("request-1", include_usage=True).events(batch)


def understood(events: Sequence[Event]) -> Answer:
    calls: list[list[str]] = []
    for event in events:
        match event:
            case ToolCall():
                calls.append([event.id, event.name, ""])
            case ToolCallDelta():
                calls[event.index][2] += event.arguments
            case _:
                pass
    (usage,) = (event for event in events if isinstance(event, Usage))
    (done,) = (event for event in events if isinstance(event, Done))
    return Answer(
        text="".join(event.text for event in events if isinstance(event, Delta)),
        reasoning="".join(event.text for event in events if isinstance(event, Reasoning)),
        calls=tuple(FunctionCall(id_, name, json.loads(arguments)) for id_, name, arguments in calls),
        stop=done.stop_reason,
        usage=(usage.input_tokens, usage.output_tokens),
    )


# Answers of every kind.

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
IDS = st.text("abcXYZ019_-", min_size=1, max_size=8)
CALLS = st.builds(FunctionCall, IDS, IDS, st.dictionaries(TEXTS, JSON, max_size=2))
COUNTS = st.tuples(st.integers(5, 10**6), st.integers(0, 10**6))
ANSWERS = st.one_of(
    st.builds(Answer, TEXTS, TEXTS, st.just(()), st.sampled_from(["end_turn", "max_tokens", "stop_sequence"]), COUNTS),
    st.builds(
        Answer, TEXTS, TEXTS, st.lists(CALLS, min_size=1, max_size=3, unique_by=lambda c: c.id), st.just("tool_use"), COUNTS
    ),
)
ALL = Answer(
    "Größe 你好 🙂",
    "Why?",
    (FunctionCall("c1", "t", {"a": "北京"}), FunctionCall("c2", "u", {}), FunctionCall("c3", "t", {"b": 1})),
    "tool_use",
)


def cut(data: bytes, at: Sequence[int]) -> list[bytes]:
    return [data[start:end] for start, end in zip([0, *at], [*at, len(data)], strict=True)]


def bytewise(data: bytes) -> list[bytes]:
    return cut(data, range(1, len(data)))


@EVERY
@settings(max_examples=60, deadline=None, derandomize=True)
@given(answer=ANSWERS, drawn=st.data())
def test_the_same_events_however_cut(name: str, answer: Answer, drawn: st.DataObject) -> None:
    """With what means nothing between the events, and with what comes behind the last one."""
    speaker = SPEAKERS[name]
    noise = st.lists(st.sampled_from(speaker.noise()), max_size=2).map(b"".join)
    data = b"".join(drawn.draw(noise) + frame for frame in speaker.frames(answer))
    behind = b"" if speaker.ends_with_the_body else drawn.draw(st.sampled_from([b"", data, b"rubbish"]))
    at = sorted(drawn.draw(st.lists(st.integers(0, len(data)), max_size=6), label="cuts"))
    events, code = expected = read(name, [data + behind])
    assert code == "" and understood(events) == speaker.expected(_listed(answer))
    check(events)
    assert read(name, cut(data + behind, at)) == expected
    assert read(name, bytewise(data)) == expected
    assert understood(read_whole(name, dumped(speaker.complete(answer)))[0]) == speaker.expected(_listed(answer))


def _listed(answer: Answer) -> Answer:
    return Answer(answer.text, answer.reasoning, tuple(answer.calls), answer.stop, answer.usage)


@pytest.mark.parametrize("name", SSE)
@pytest.mark.parametrize("packets", [lambda data: [data], bytewise], ids=["in one piece", "byte by byte"])
def test_lines_may_end_with_crlf(name: str, packets: Any) -> None:
    data = b"".join(SPEAKERS[name].frames(ALL))
    assert read(name, packets(data.replace(b"\n", b"\r\n"))) == read(name, [data])


@EVERY
def test_truncated_anywhere(name: str) -> None:
    """Whole or an error, and never an event that the whole answer does not have."""
    frames = SPEAKERS[name].frames(ALL)
    data = b"".join(frames)
    expected, _ = read(name, [data])
    # What says that the answer is complete stands before the usage, which is estimated if it does not come, and before [DONE].
    behind = {"anthropic": 0, "bedrock": 1, "imported": 0}.get(name, 2)
    needed = len(data) - sum(map(len, frames[len(frames) - behind :]))
    wholes = 0
    for at in range(len(data)):
        events, code = read(name, [data[:at]])
        if code:
            assert code in ("stream_interrupted", "unreadable") and events == expected[: len(events)]
            assert not any(isinstance(event, Done) for event in events)
        else:
            *answered, usage, done = events
            assert (answered, done) == (expected[:-2], expected[-1])
            assert usage == expected[-2] or (isinstance(usage, Usage) and usage.estimated)
            assert at >= needed - 2  # the empty line at the end may be missing
            wholes += 1
    assert bool(wholes) == (name != "imported")


# What is no answer.


def replaced(draw: st.DrawFn, value: Any) -> Any:
    """The same JSON with something else in one place, or without one member."""
    if isinstance(value, dict) and value and draw(st.integers(0, 3)):
        key = draw(st.sampled_from(sorted(value)))
        if draw(st.integers(0, 5)) == 0:
            return {name: item for name, item in value.items() if name != key}
        return {**value, key: replaced(draw, value[key])}
    if isinstance(value, list) and value and draw(st.integers(0, 3)):
        at = draw(st.integers(0, len(value) - 1))
        return [*value[:at], replaced(draw, value[at]), *value[at + 1 :]]
    return draw(JSON)


@st.composite
def spoilt_streams(draw: st.DrawFn, speaker: Speaker) -> bytes:
    """An answer in which events are spoilt, missing, doubled or in another's place."""
    events = list(speaker.events(draw(ANSWERS)))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(events) - 1))
        match draw(st.sampled_from(["replace", "replace", "replace", "drop", "double", "move"])):
            case "drop":
                del events[at]
            case "double":
                events.insert(at, events[at])
            case "move":
                events.insert(draw(st.integers(0, len(events) - 1)), events.pop(at))
            case _ if isinstance(events[at], bytes):
                events[at] = draw(st.binary(max_size=12))
            case _ if isinstance(speaker, Converse):
                events[at] = events[at][0], replaced(draw, events[at][1])
            case _:
                events[at] = Spoilt(replaced(draw, events[at]))
        if not events:
            break
    return b"".join(_frame(speaker, event) for event in events)


class Spoilt:
    """JSON that is framed as an event, whether it is one or not."""

    def __init__(self, value: Any) -> None:
        self.value = value


def _frame(speaker: Speaker, event: Any) -> bytes:
    if not isinstance(event, Spoilt):
        return speaker.frame(event)
    if isinstance(speaker, Imported):
        return speaker.frame(event.value)
    return b"data: %s\n\n" % dumped(event.value)


@EVERY
@settings(max_examples=150, deadline=None, derandomize=True)
@given(drawn=st.data())
def test_a_spoilt_stream(name: str, drawn: st.DataObject) -> None:
    data = drawn.draw(spoilt_streams(SPEAKERS[name]), label="stream")
    events, _ = expected = read(name, [data])
    check(events)
    assert read(name, bytewise(data)) == expected


@EVERY
@settings(max_examples=150, deadline=None, derandomize=True)
@given(drawn=st.data())
def test_a_spoilt_whole_answer(name: str, drawn: st.DataObject) -> None:
    @st.composite
    def bodies(draw: st.DrawFn) -> bytes:
        return dumped(replaced(draw, SPEAKERS[name].complete(draw(ANSWERS))))

    check(read_whole(name, drawn.draw(bodies() | JSON.map(dumped) | st.binary(max_size=20)))[0])


@EVERY
@settings(max_examples=100, deadline=None, derandomize=True)
@given(rubbish=st.lists(st.binary(max_size=30) | st.sampled_from([b"data: ", b"\n", b"\r\n", b"{", b"[DONE]"]), max_size=8))
def test_rubbish_in_place_of_a_stream(name: str, rubbish: list[bytes]) -> None:
    assert read(name, rubbish)[1] in ("stream_interrupted", "unreadable")


REFUSALS = st.one_of(
    st.fixed_dictionaries(
        {}, optional=dict.fromkeys(("error", "message", "Message", "code", "type", "__type", "detail"), JSON)
    ),
    st.fixed_dictionaries(
        {"error": st.fixed_dictionaries({}, optional=dict.fromkeys(("type", "message", "code", "param"), JSON))}
    ),
    JSON,
)
WAITS = st.sampled_from(
    ["", "3", "-1", "1e400", "nan", "inf", "x", "Mon, 01 Jan 0001 00:00:00 -0000", "Fri, 31 Dec 9999 23:59:59 +0000"]
)
DATES = st.from_regex(r"[A-Z][a-z]{2}, \d{1,2} (Jan|Dec) \d{1,5} \d\d:\d\d:\d\d ([+-]\d{4}|GMT)", fullmatch=True)


@EVERY
@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    status=st.integers(300, 599),
    body=REFUSALS.map(dumped) | st.binary(max_size=20),
    waits=WAITS | DATES | TEXTS,
    kind=st.none() | TEXTS,
)
def test_any_refusal_is_one_error(name: str, status: int, body: bytes, waits: str, kind: str | None) -> None:
    headers = {"retry-after": waits, "retry-after-ms": "" if waits == "3" else waits}
    if kind is not None:
        headers["x-amzn-errortype"] = kind
    try:
        error = dialect(name).refusal(status, headers, body)
    except UNREADABLE:
        error = exchange.by_status(status, headers, "")
    assert 400 <= error.status < 600 and error.code and error.message
    assert error.retry_after is None or 0 <= error.retry_after <= 86_400
    assert all(value.isdigit() or (name, value) == ("x-should-retry", "false") for name, value in error.headers())
    json.dumps(error.body("request-1", debug=True))


DEEP = b"[" * 100_000


@EVERY
def test_nesting_without_end(name: str) -> None:
    """In a member that is read as it is, and in one that nobody knows."""
    speaker, whole = (
        SPEAKERS[name],
        {"error": "HERE", "of_tomorrow": "HERE", "content": [{"type": "tool_use", "input": "HERE"}]},
    )
    converse = {"output": {"message": {"content": [{"toolUse": {"toolUseId": "1", "name": "t", "input": "HERE"}}]}}}
    for document in (whole, converse, {"of_tomorrow": "HERE"}):
        for body in (DEEP, dumped(document).replace(b'"HERE"', DEEP)):
            assert read_whole(name, body) == ([], "unreadable")
            with pytest.raises(UNREADABLE):
                dialect(name).decoder().feed(_deep(speaker, body), [])
            error = _refused(name, body)
            assert (error.status, error.code) == (502, "upstream_failed")


def _deep(speaker: Speaker, body: bytes) -> bytes:
    if isinstance(speaker, Converse):
        return raw_message("event", "contentBlockDelta", body)
    if isinstance(speaker, Imported):
        return chunk_message(body)
    return b"data: %s\n\n" % body


def _refused(name: str, body: bytes) -> GatewayError:
    try:
        return dialect(name).refusal(500, {}, body)
    except UNREADABLE:
        return exchange.by_status(500, {}, "")


# Server-Sent Events by themselves.

LINES = st.sampled_from(
    [b"data: x", b"data:y", b"data:  z", b"data: ", b"data:", b": c", b"event: e", b"id: 1", b"dat", b"", b"", b""]
)
ENDS = st.sampled_from([b"\n", b"\n", b"\r\n"])


def by_the_book(data: bytes) -> list[bytes]:
    """As the standard says, line by line; an event whose data is empty is left out."""
    found: list[bytes] = []
    values: list[bytes] = []
    for line in data.replace(b"\r\n", b"\n").split(b"\n")[:-1]:
        if line.startswith(b"data:"):
            values.append(line[5:].removeprefix(b" "))
        elif not line:
            found.append(b"\n".join(values))
            values = []
    return [event for event in found if event]


@settings(max_examples=300, deadline=None, derandomize=True)
@given(lines=st.lists(st.tuples(LINES, ENDS), max_size=12), drawn=st.data())
def test_events_by_the_book_however_cut(lines: list[tuple[bytes, bytes]], drawn: st.DataObject) -> None:
    data = b"".join(line + end for line, end in lines)
    at = sorted(drawn.draw(st.lists(st.integers(0, len(data)), max_size=6)))
    for packets in ([data], cut(data, at), bytewise(data)):
        decoder = SseDecoder()
        assert [event for packet in packets for event in decoder.feed(packet)] == by_the_book(data)
        assert decoder.end() == by_the_book(data + b"\n\n")[len(by_the_book(data)) :]
        assert decoder.end() == []


@pytest.mark.parametrize("piece", [b"x" * 1000, b"x" * 999 + b"\n", b"data: x\n"], ids=["a line", "lines", "data"])
def test_an_event_that_never_ends(piece: bytes) -> None:
    decoder = SseDecoder()
    with pytest.raises(SseError, match="4,194,304 bytes"):
        for _ in range(MAX_EVENT_BYTES // len(piece) + 1):
            assert decoder.feed(piece) == []


@EVERY
def test_the_work_grows_with_the_bytes(name: str) -> None:
    """What copies the whole with every piece takes minutes for a long event."""
    speaker = type(SPEAKERS[name])()

    def decode(size: int) -> None:
        speaker.piece = size
        answer = Answer(text="x" * size)
        data = b"".join(speaker.frames(answer))
        events, code = read(name, cut(data, range(64, len(data), 64)))
        assert code == "" and understood(events) == answer

    assert_linear(decode, 50_000)


def test_an_event_of_many_lines() -> None:
    def decode(lines: int) -> None:
        decoder = SseDecoder()
        for _ in range(lines):
            assert decoder.feed(b"data: x\n") == []
        (event,) = decoder.feed(b"\n")
        assert event.count(b"x") == lines

    assert_linear(decode, 10_000)
    decode(MAX_EVENT_BYTES // 8 - 1)
