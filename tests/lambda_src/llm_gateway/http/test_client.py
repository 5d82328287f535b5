"""The HTTP client over real sockets: each way a server can fail, the request that it gets, and how its responses are read."""

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable, Sequence
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_gateway.http import connection as http_connection
from llm_gateway.http import wire
from llm_gateway.http.client import (
    ConnectionCut,
    HttpError,
    MalformedResponse,
    ReadTimeout,
    ResponseTimeout,
)
from support.http_server import (
    CHUNKED,
    HALF,
    KIB,
    OK,
    PATIENCE,
    SHORT,
    Peer,
    all_gone,
    assert_one_clean_line,
    fetch,
    forever,
    once,
    post,
    serving,
    stream,
    then_wait,
)
from support.tls import Authority

# The failure table.

NOT_HTTP = b"SSH-2.0-OpenSSH_9.6\r\n\r\n"
STALLED = {"response_timeout": SHORT, "read_timeout": PATIENCE}
STALLED_BODY = {"response_timeout": PATIENCE, "read_timeout": SHORT}

FAILURES: list[tuple[str, Callable[[Peer], Awaitable[None]], dict[str, object], type[HttpError], str]] = [
    ("no byte in time", then_wait(b""), STALLED, ResponseTimeout, r"no response head within 0\.05 s"),
    ("half a head in time", then_wait(b"HTTP/1.1 200 OK\r\n"), STALLED, ResponseTimeout, "no response head"),
    ("100 but no head", then_wait(b"HTTP/1.1 100 Continue\r\n\r\n"), STALLED, ResponseTimeout, "no response head"),
    ("a stall in the body", then_wait(HALF), STALLED_BODY, ReadTimeout, r"no byte of the body for 0\.05 s"),
    ("a stall in a chunk", then_wait(CHUNKED + b"5\r\nhel"), STALLED_BODY, ReadTimeout, "no byte of the body"),
    ("a stall after the head", then_wait(CHUNKED), STALLED_BODY, ReadTimeout, "no byte of the body"),
    ("cut before the head", once(b""), {}, ConnectionCut, "before the response"),
    ("cut in the head", once(b"HTTP/1.1 200 OK\r\ncontent-le"), {}, ConnectionCut, "before the end of the head"),
    ("cut after 100", once(b"HTTP/1.1 100 Continue\r\n\r\n"), {}, ConnectionCut, "before the end of the head"),
    ("cut in a body with a length", once(HALF), {}, ConnectionCut, "before the end of the body"),
    ("cut in a chunk", once(CHUNKED + b"5\r\nhel"), {}, ConnectionCut, "before the end of the body"),
    ("cut between chunks", once(CHUNKED + b"5\r\nhello\r\n"), {}, ConnectionCut, "before the end of the body"),
    ("cut in the last chunk", once(CHUNKED + b"5\r\nhello\r\n0\r\n"), {}, ConnectionCut, "before the end of the body"),
    ("not HTTP", once(NOT_HTTP), {}, MalformedResponse, "malformed: "),
    ("a bad status line", once(b"HTTP/1.1 OK\r\n\r\n"), {}, MalformedResponse, "malformed: "),
    ("a status below 100", once(b"HTTP/1.1 099 No\r\n\r\nhi"), {}, MalformedResponse, "its status is 99"),
    ("switching protocols", once(b"HTTP/1.1 101 Up\r\n\r\nhi"), {}, MalformedResponse, "its status is 101"),
    ("a bad header", once(b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n"), {}, MalformedResponse, "malformed: "),
    ("two lengths", once(OK.replace(b"\r\n\r\n", b"\r\ncontent-length: 3\r\n\r\n")), {}, MalformedResponse, "malformed"),
    ("a negative length", once(OK.replace(b" 2", b" -2")), {}, MalformedResponse, "malformed: "),
    ("a bad chunk size", once(CHUNKED + b"xyz\r\n"), {}, MalformedResponse, "malformed: "),
    (
        "a huge header",
        then_wait(b"HTTP/1.1 200 OK\r\na: " + b"x" * 70 * KIB),
        {},
        MalformedResponse,
        "headers or chunk framing without an end",
    ),
    (
        "a huge head at once",
        once(b"HTTP/1.1 200 OK\r\n" + b"".join(b"h%d: x\r\n" % i for i in range(9000)) + b"\r\n"),
        {},
        MalformedResponse,
        "header section is larger than 65,536 bytes|without an end",
    ),
    (
        "a huge trailer",
        then_wait(CHUNKED + b"2\r\nhi\r\n0\r\nt: " + b"x" * 200 * KIB),
        {},
        MalformedResponse,
        "without an end",
    ),
    (
        "100 without an end",
        then_wait(b"HTTP/1.1 100 Continue\r\n\r\n" * 4000),
        {},
        MalformedResponse,
        "without an end",
    ),
]


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
@pytest.mark.parametrize("get", [fetch, stream])
@pytest.mark.parametrize(
    ("script", "options", "kind", "text"), [f[1:] for f in FAILURES], ids=[f[0].replace(" ", "-") for f in FAILURES]
)
async def test_failure(
    script: Callable[[Peer], Awaitable[None]],
    options: dict[str, object],
    kind: type[HttpError],
    text: str,
    get: Callable[..., Awaitable[bytes]],
    tls: bool,
    authority: Authority,
) -> None:
    """Each failure is its own exception, tells nothing secret and leaves no connection: `serving` waits for its end."""
    async with serving(script, authority.server if tls else None, ssl_context=authority.client) as (server, client):
        with pytest.raises(HttpError) as raised:
            await get(client, server.url, **options)
        assert type(raised.value) is kind
        assert_one_clean_line(raised.value, server.url)
        assert re.search(text, str(raised.value))
        await all_gone(server)
        assert len(server.requests) == 1


async def test_pieces_before_a_failure_arrive() -> None:
    async with serving(once(HALF)) as (server, client):
        pieces: list[bytes] = []
        response = await post(client, server.url)
        with pytest.raises(ConnectionCut):
            async for piece in response.chunks():
                pieces.append(piece)
        assert b"".join(pieces) == b"hello"
        with pytest.raises(ConnectionCut):
            await response.read()


async def test_chunk_framing_without_a_body_does_not_count_as_progress() -> None:
    """A chunk extension that drips in for ever is neither read nor kept."""

    async def script(peer: Peer) -> None:
        await peer.answer(CHUNKED + b"2\r\nhi\r\n5;x=")
        while True:
            await peer.send(b"y" * KIB)

    async with serving(script) as (server, client):
        with pytest.raises(MalformedResponse, match="without an end"):
            await fetch(client, server.url)


# The request as the server gets it.


async def test_request_on_the_wire() -> None:
    async with serving(forever) as (server, client):
        await fetch(client, server.url, headers=[("X-One", "1"), ("accept", "text/event-stream")], body=b"abc")
        host = server.url.split("/")[2].encode()
        expected = (
            b"POST /v1/chat?key=hidden HTTP/1.1\r\nX-One: 1\r\naccept: text/event-stream\r\nhost: %b\r\n"
            b"content-length: 3\r\n\r\n" % host
        )
        assert server.requests == [(expected, b"abc")]


async def test_given_host_and_length_stand() -> None:
    async with serving(forever) as (server, client):
        await fetch(client, server.url, headers=[("Host", "model.example"), ("Content-Length", "3")], body=b"abc")
        head = server.requests[0][0].lower()
        assert head.count(b"host:") == head.count(b"content-length:") == 1
        assert b"host: model.example" in head


@pytest.mark.parametrize(
    ("url", "host", "path"),
    [
        ("http://a.example", "a.example", "/"),
        ("http://A.example:80/x", "a.example", "/x"),
        ("https://a.example:443?q=1", "a.example", "/?q=1"),
        ("https://a.example:80/x#part", "a.example:80", "/x"),
        ("http://[::1]:8080/x%20y", "[::1]:8080", "/x%20y"),
    ],
)
def test_url(url: str, host: str, path: str) -> None:
    target = wire.parse_url(url)
    assert (target.host, target.path) == (host, path)


async def test_no_body_no_length_and_a_large_body() -> None:
    async with serving(forever) as (server, client):
        large = bytes(range(256)) * 4 * KIB  # more than one write
        await fetch(client, server.url, method="GET", body=b"")
        await fetch(client, server.url, body=b"")
        await fetch(client, server.url, body=large)
        (get, _), (empty, _), (_, body) = server.requests
        assert b"content-length" not in get
        assert b"content-length: 0\r\n" in empty
        assert body == large
        assert len(server.peers) == 1


@pytest.mark.parametrize(
    "options",
    [
        {"headers": [("x", "secret\r\nevil: 1")]},
        {"headers": [("x", "secret\nevil: 1")]},
        {"headers": [("x", "secret\revil: 1")]},
        {"headers": [("x", "secret\0")]},
        {"headers": [("x\r\nevil", "secret")]},
        {"headers": [("x", "secret\u2026")]},
        {"headers": [("content-length", "7")]},
        {"headers": [("transfer-encoding", "chunked")]},
        {"method": "GET / HTTP/1.1\r\nevil: 1\r\n\r\nGET"},
        {"url": "http://127.0.0.1/\r\nsecret"},
        {"url": "http://127.0.0.1/?a=secret\nx"},
        {"url": "http://127.0.0.1/a secret"},
        {"url": "http://127.0.0.1/secr\u00e9t"},
        {"url": "http://user:secret@127.0.0.1/"},
        {"url": "ftp://127.0.0.1/secret"},
        {"url": "http:///secret"},
        {"url": "127.0.0.1/secret"},
    ],
    ids=repr,
)
async def test_what_must_not_be_sent_is_refused(options: dict[str, object]) -> None:
    async with serving(forever) as (server, client):
        with pytest.raises(ValueError) as raised:
            await post(client, str(options.pop("url", server.url)), **options)
        assert "secret" not in str(raised.value)
        assert "\n" not in str(raised.value)
        assert server.peers == []


async def test_nagle_is_off() -> None:
    async with serving(forever) as (server, client):
        await fetch(client, server.url)
        connection = next(iter(client._pool._all))
        sock = connection.transport.get_extra_info("socket")
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1


# Responses.

RESPONSES: list[tuple[str, bytes, int, bytes, bool]] = [
    ("length", OK, 200, b"hi", True),
    ("empty", b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", 200, b"", True),
    ("chunked", CHUNKED + b"2\r\nhi\r\n5;ext=1\r\nthere\r\n0\r\n\r\n", 200, b"hithere", True),
    ("trailer", CHUNKED + b"2\r\nhi\r\n0\r\nx-sum: 1\r\n\r\n", 200, b"hi", True),
    ("continue", b"HTTP/1.1 100 Continue\r\n\r\n" + OK, 200, b"hi", True),
    ("hints", b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + OK, 200, b"hi", True),
    ("204", b"HTTP/1.1 204 No Content\r\n\r\n", 204, b"", True),
    ("304", b"HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n", 304, b"", True),
    ("error", b"HTTP/1.1 429 Slow Down\r\nretry-after: 1\r\ncontent-length: 2\r\n\r\nno", 429, b"no", True),
    ("close", b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nhi", 200, b"hi", False),
    ("until close", b"HTTP/1.1 200 OK\r\n\r\nhi until the end", 200, b"hi until the end", False),
    ("1.0", b"HTTP/1.0 200 OK\r\ncontent-type: text/plain\r\n\r\nhi", 200, b"hi", False),
    ("other coding", b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\nhi", 200, b"hi", False),
]
by_response = pytest.mark.parametrize(
    ("data", "status", "body", "kept"), [r[1:] for r in RESPONSES], ids=[r[0] for r in RESPONSES]
)


@by_response
@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
@pytest.mark.parametrize("get", [fetch, stream])
async def test_response(
    data: bytes,
    status: int,
    body: bytes,
    kept: bool,
    get: Callable[..., Awaitable[bytes]],
    tls: bool,
    authority: Authority,
) -> None:
    """Each way to frame a body; twice, on one connection where the response allows it and on two where not."""

    async def script(peer: Peer) -> None:
        await peer.answer(data)
        if kept:
            await peer.answer(data)

    async with serving(script, authority.server if tls else None, ssl_context=authority.client) as (server, client):
        response = await post(client, server.url)
        assert response.status == status
        assert await response.read() == body
        assert await response.read() == b""
        assert await get(client, server.url) == body
        assert len(server.peers) == (1 if kept else 2)


@by_response
async def test_response_in_single_bytes(data: bytes, status: int, body: bytes, kept: bool) -> None:
    assert await split(data, range(1, len(data)), kept) == (status, body)


@settings(max_examples=60, deadline=None)
@given(case=st.sampled_from(RESPONSES), cuts=st.data())
def test_response_split_anywhere(case: tuple[str, bytes, int, bytes, bool], cuts: st.DataObject) -> None:
    _, data, status, body, kept = case
    at = sorted(cuts.draw(st.sets(st.integers(1, len(data) - 1)), label="cuts"))
    assert asyncio.run(split(data, at, kept)) == (status, body)


async def split(data: bytes, cuts: Sequence[int], kept: bool) -> tuple[int, bytes]:
    """What comes of `data` when the client gets it in exactly these pieces, and an ordinary response after it."""
    taken = asyncio.Event()
    counts: list[int] = []

    def data_received(self: http_connection.Connection, piece: bytes) -> None:
        counts.append(len(piece))
        taken.set()
        received(self, piece)

    async def script(peer: Peer) -> None:
        await peer.request()
        for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
            taken.clear()
            await peer.send(data[start:end])
            await taken.wait()
        if kept:
            await peer.answer()

    received = http_connection.Connection.data_received
    with mock.patch.object(http_connection.Connection, "data_received", data_received):
        async with serving(script) as (server, client):
            response = await post(client, server.url)
            pieces = [piece async for piece in response.chunks()]
            assert b"" not in pieces
            assert len(counts) == len(cuts) + 1
            if kept:
                assert await fetch(client, server.url) == b"hi"
                assert len(server.peers) == 1
    return response.status, b"".join(pieces)


async def test_head_has_no_body() -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-length: 2000\r\n\r\n"

    async def script(peer: Peer) -> None:
        await peer.answer(head)
        await peer.answer(head)
        await peer.answer()

    async with serving(script) as (server, client):
        response = await post(client, server.url, method="HEAD", body=b"")
        assert response.headers["content-length"] == "2000"
        assert await response.read(limit=10) == b""
        assert await stream(client, server.url, method="HEAD", body=b"") == b""
        assert await fetch(client, server.url) == b"hi"
        assert len(server.peers) == 1


async def test_headers_are_lower_case_and_joined() -> None:
    data = b"HTTP/1.1 200 OK\r\nX-A: 1\r\nSet-Cookie: a\r\nx-a:  2 \r\nX-Latin: \xe9\r\ncontent-length: 0\r\n\r\n"
    async with serving(once(data)) as (server, client), await post(client, server.url) as response:
        assert response.headers == {"x-a": "1, 2", "set-cookie": "a", "x-latin": "é", "content-length": "0"}


@pytest.mark.parametrize(
    "data",
    [b"HTTP/1.1 200 OK\r\ncontent-length: 2000\r\n\r\n", CHUNKED + b"7d0\r\n" + b"x" * 2000 + b"\r\n"],
    ids=["declared", "found"],
)
async def test_read_is_bounded(data: bytes) -> None:
    async with serving(then_wait(data)) as (server, client):
        response = await post(client, server.url)
        with pytest.raises(MalformedResponse, match="the body is larger than 1,000 bytes"):
            await response.read(limit=1000)
        await all_gone(server)


async def test_head_is_bounded_when_it_comes_with_its_body() -> None:
    data = OK.replace(b"\r\n\r\n", b"\r\nx: " + b"x" * 2 * KIB + b"\r\n\r\n")
    async with serving(then_wait(data), max_head=KIB) as (server, client):
        with pytest.raises(MalformedResponse, match="header section is larger than 1,024 bytes"):
            await fetch(client, server.url)
        await all_gone(server)
