"""The event-stream decoder against botocore's: any message, however cut, and anything that is not one."""

import struct
import zlib
from collections.abc import Iterable, Sequence

import pytest
from botocore.eventstream import EventStreamBuffer
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_gateway.aws import event_stream
from llm_gateway.aws.event_stream import MAX_HEADERS, MAX_PAYLOAD, EventStreamDecoder, EventStreamError
from support.growth import assert_linear

# A header: its name, its type, and its value as it stands on the wire.
Header = tuple[str, int, bytes]
Decoded = list[tuple[dict[str, str], bytes]]


def prelude(total: int, headers: int) -> bytes:
    lengths = struct.pack("!II", total, headers)
    return lengths + struct.pack("!I", zlib.crc32(lengths))


def framed(block: bytes, payload: bytes = b"") -> bytes:
    """A message with whatever stands for its headers, and CRCs that match."""
    message = prelude(16 + len(block) + len(payload), len(block)) + block + payload
    return message + struct.pack("!I", zlib.crc32(message))


def block(headers: Iterable[Header]) -> bytes:
    parts: list[bytes] = []
    for name, kind, value in headers:
        encoded = name.encode()
        parts.append(bytes([len(encoded)]) + encoded + bytes([kind]))
        parts.append(struct.pack("!H", len(value)) + value if kind in (6, 7) else value)
    return b"".join(parts)


def text(name: str, value: str) -> Header:
    return name, 7, value.encode()


def event(payload: bytes, name: str = "contentBlockDelta") -> bytes:
    """A message as Bedrock sends it."""
    headers = [text(":event-type", name), text(":content-type", "application/json"), text(":message-type", "event")]
    return framed(block(headers), payload)


def decoded(pieces: Iterable[bytes]) -> Decoded:
    decoder = EventStreamDecoder()
    messages = [(dict(headers), payload) for piece in pieces for headers, payload in decoder.feed(piece)]
    assert decoder.pending == 0
    return messages


def botocores(data: bytes) -> Decoded:
    buffer = EventStreamBuffer()
    buffer.add_data(data)
    return [(_texts(message.headers), message.payload) for message in buffer]


def _texts(headers: dict[str, object]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if isinstance(value, str)}


def cut(data: bytes, at: Sequence[int]) -> list[bytes]:
    return [data[start:end] for start, end in zip([0, *at], [*at, len(data)], strict=True)]


BYTES = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
ALL_TYPES: list[Header] = [
    *((f"t{kind}", kind, bytes(range(size))) for kind, size in BYTES.items()),
    ("blob", 6, b"\xff\x00"),
    ("empty blob", 6, b""),
    text("text", "Größe"),
    text("empty text", ""),
    text("n" * 255, "v" * 65535),
]
NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
VALUES = st.one_of(
    st.tuples(st.just(7), st.text(st.characters(exclude_categories=["Cs"]), max_size=20).map(str.encode)),
    st.tuples(st.just(6), st.binary(max_size=20)),
    *(st.tuples(st.just(kind), st.binary(min_size=size, max_size=size)) for kind, size in BYTES.items()),
)
HEADERS = st.dictionaries(NAMES, VALUES, max_size=4).map(lambda d: [(name, *value) for name, value in d.items()])
MESSAGES = st.one_of(
    st.builds(framed, HEADERS.map(block), st.binary(max_size=60)),
    st.binary(max_size=60).map(event),
)


@settings(max_examples=200, deadline=None)
@given(messages=st.lists(MESSAGES, max_size=5), cuts=st.data())
def test_same_as_botocore_however_cut(messages: list[bytes], cuts: st.DataObject) -> None:
    data = b"".join(messages)
    at = sorted(cuts.draw(st.lists(st.integers(0, len(data)), max_size=8), label="cuts"))
    expected = botocores(data)
    assert len(expected) == len(messages)
    assert decoded([data]) == expected
    assert decoded(cut(data, at)) == expected
    assert decoded(data[i : i + 1] for i in range(len(data))) == expected


def test_every_type_of_header() -> None:
    data = framed(block(ALL_TYPES), b"payload")
    assert decoded([data]) == botocores(data)
    assert decoded([data]) == [({"text": "Größe", "empty text": "", "n" * 255: "v" * 65535}, b"payload")]


def test_pending_is_what_is_not_whole() -> None:
    """At every byte of a stream: the whole messages have come out, and the rest is counted."""
    messages = [event(b"one"), framed(b""), event(b"three", "metadata")]
    data = b"".join(messages)
    ends = [sum(map(len, messages[:count])) for count in range(len(messages) + 1)]
    for first in range(len(data) + 1):
        decoder = EventStreamDecoder()
        whole = sum(end <= first for end in ends) - 1
        assert len(list(decoder.feed(data[:first]))) == whole
        assert decoder.pending == first - ends[whole]
        assert list(decoder.feed(b"")) == []
        assert len(list(decoder.feed(data[first:]))) == len(messages) - whole
        assert decoder.pending == 0


@pytest.mark.parametrize("piece", [1, 7, 10_000])
def test_a_changed_byte_is_never_a_message(piece: int) -> None:
    """A CRC-32 sees every change within one byte, so wherever it is, an error comes and no wrong message before it."""
    good = [event(b'{"delta":1}'), framed(block(ALL_TYPES[:-1]), b"x"), event(b"{}", "messageStop")]
    data = b"".join(good)
    expected = decoded([data])
    for at in range(len(data)):
        damaged = data[:at] + bytes([data[at] ^ (1 + at % 255)]) + data[at + 1 :]
        decoder = EventStreamDecoder()
        messages: Decoded = []
        with pytest.raises(EventStreamError):
            for start in range(0, len(data), piece):
                messages += [(dict(headers), payload) for headers, payload in decoder.feed(damaged[start : start + piece])]
        assert messages == expected[: len(messages)]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(max_size=40) | MESSAGES, max_size=6))
def test_random_bytes(pieces: list[bytes]) -> None:
    decoder = EventStreamDecoder()
    failed = False
    for piece in pieces:
        try:
            list(decoder.feed(piece))
        except EventStreamError:
            failed = True
        else:
            assert not failed


@settings(max_examples=400, deadline=None)
@given(st.binary(max_size=40) | st.lists(st.sampled_from([b"\0", b"\1", b"a", b"\7", b"\6", b"\t", b"\xc3"])).map(b"".join))
def test_random_headers(headers: bytes) -> None:
    """With CRCs that match: refused, or read as botocore reads them."""
    data = framed(headers, b"payload")
    try:
        messages = decoded([data])
    except EventStreamError as error:
        assert "\n" not in str(error)
    else:
        assert messages == botocores(data)


BAD: list[tuple[str, bytes, str]] = [
    ("prelude's CRC", prelude(16, 0)[:-1] + b"\0", "its prelude's CRC does not match"),
    ("nothing but zeros", bytes(12), "its prelude's CRC does not match"),
    ("an HTTP error page", b"<html><body>502</body></html>", "its prelude's CRC does not match"),
    ("message's CRC", event(b"x")[:-1] + b"\0", "its CRC does not match"),
    ("length of 0", prelude(0, 0), "it has 0 bytes"),
    ("length below the frame's", prelude(15, 0), "it has 15 bytes"),
    ("headers longer than the message", prelude(100, 85), "its headers 85"),
    ("headers of 4 GiB", prelude(100, 2**32 - 1), "its headers 4,294,967,295"),
    ("payload above the bound", prelude(16 + MAX_PAYLOAD + 1, 0), "it has 25,165,841 bytes"),
    ("length of 4 GiB", prelude(2**32 - 1, 0), "it has 4,294,967,295 bytes"),
    ("headers above the bound", prelude(MAX_HEADERS + 17, MAX_HEADERS + 1), "its headers 131,073"),
    ("unknown type", framed(b"\1a\x0a"), "of type 10"),
    ("type of 255", framed(b"\1a\xff"), "of type 255"),
    ("no name", framed(b"\0\0"), "has no name"),
    ("name that is cut", framed(b"\5abcd"), "a header ends after the 5 bytes"),
    ("no type", framed(b"\1a"), "a header ends after the 2 bytes"),
    ("no length", framed(b"\1a\7"), "a header ends after the 3 bytes"),
    ("half a length", framed(b"\1a\7\0"), "a header ends after the 4 bytes"),
    ("text that is cut", framed(b"\1a\7\0\3ab", b"c"), "a header ends after the 7 bytes"),
    ("bytes that are cut", framed(b"\1a\6\0\3ab"), "a header ends after the 7 bytes"),
    ("number that is cut", framed(b"\1a\4abc"), "a header ends after the 6 bytes"),
    ("UUID that is cut", framed(b"\1a\x09" + bytes(15)), "a header ends after the 18 bytes"),
    ("name that is not UTF-8", framed(b"\1\xff\0"), "is not UTF-8"),
    ("text that is not UTF-8", framed(b"\1a\7\0\1\xff"), "is not UTF-8"),
    ("name twice", framed(block([text("a", "x"), text("a", "x")])), "appears twice"),
    ("name twice, of two types", framed(block([("a", 0, b""), text("a", "x")])), "appears twice"),
]


@pytest.mark.parametrize(("bad", "says"), [case[1:] for case in BAD], ids=[case[0].replace(" ", "-") for case in BAD])
@pytest.mark.parametrize("piece", [1, 10_000])
def test_refused(bad: bytes, says: str, piece: int) -> None:
    """It is refused in one piece and byte by byte, behind a good message, and for good."""
    good = event(b"good")
    data = good + bad
    decoder = EventStreamDecoder()
    with pytest.raises(EventStreamError, match=f"^the message at byte {len(good)} of the event stream: .*{says}") as first:
        for start in range(0, len(data), piece):
            list(decoder.feed(data[start : start + piece]))
    assert "\n" not in str(first.value)
    for more in (b"", good):
        with pytest.raises(EventStreamError, match=says) as again:
            list(decoder.feed(more))
        assert str(again.value) == str(first.value)


@pytest.mark.parametrize(("headers", "payload"), [(0, MAX_PAYLOAD), (MAX_HEADERS, 0), (MAX_HEADERS, MAX_PAYLOAD)])
def test_largest_message_is_waited_for(headers: int, payload: int) -> None:
    decoder = EventStreamDecoder()
    assert list(decoder.feed(prelude(16 + headers + payload, headers))) == []
    assert decoder.pending == 12


def test_work_grows_with_the_bytes() -> None:
    """The rest is copied neither once a message nor once a byte."""

    def many(number: int) -> None:
        data = event(b"x" * 100) * number
        assert len(list(EventStreamDecoder().feed(data))) == number
        assert len(list(EventStreamDecoder().feed(data[:-1]))) == number - 1

    def large(size: int) -> None:
        data = event(b"x" * size)
        assert len(decoded(data[i : i + 1] for i in range(len(data)))) == 1

    assert_linear(many, 2_000)
    assert_linear(large, 30_000)


def test_known_header_blocks_are_bounded() -> None:
    for number in range(3 * event_stream.CACHED_BLOCKS):
        data = framed(block([text("error-message", str(number))]))
        assert decoded([data]) == [({"error-message": str(number)}, b"")]
        assert len(event_stream._cache) <= event_stream.CACHED_BLOCKS
    long = block([text("error-message", "x" * event_stream.CACHED_BLOCK_BYTES)])
    assert decoded([framed(long)]) == botocores(framed(long))
    assert long not in event_stream._cache
