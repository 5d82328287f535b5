"""HTTP/1.1 messages that two servers could read in two ways: what ours does with each.

The Web Adapter sends none of them. Whoever puts another proxy before the function must still be sure that the two agree where
a request ends (request smuggling). https://www.rfc-editor.org/rfc/rfc9112.html#section-11.2
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import pytest

from llm_functions.http.server import IDLE_SECONDS, RECEIVE_SECONDS
from support.clock import Clock
from support.gateway_service import PATIENCE, serve

HOST = b"Host: x"
CHUNKED = b"Transfer-Encoding: chunked"
UPGRADE = (b"Connection: Upgrade", b"Upgrade: h2c")
# Sent after each message: it is answered only if the server has found the message's end where it is.
LAST = b"GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
REFUSED = ["400"]


class Sent(NamedTuple):
    name: str
    raw: bytes
    answers: list[str]


def message(*headers: bytes, body: bytes = b"", start: bytes = b"POST /a HTTP/1.1", host: bytes = HOST) -> bytes:
    return b"\r\n".join([start, *([host] if host else []), *headers, b"", body])


def accepted(name: str, raw: bytes, *answers: str) -> Sent:
    return Sent(name, raw, [*answers, "GET /last"])


def refused(name: str, raw: bytes) -> Sent:
    return Sent(name, raw, REFUSED)


ABC = "POST /a abc"
LENGTHS = (
    accepted("a length", message(b"Content-Length: 3", body=b"abc"), ABC),
    accepted("space around a length", message(b"Content-Length: \t3 \t", body=b"abc"), ABC),
    accepted("a line end after the body", message(b"Content-Length: 3", body=b"abc\r\n"), ABC),
    accepted("a body after GET", message(b"Content-Length: 3", body=b"abc", start=b"GET /a HTTP/1.1"), "GET /a abc"),
    accepted("no length", message(), "POST /a"),
    accepted("a name that a CGI gateway would change", message(b"Transfer_Encoding: chunked"), "POST /a"),
    refused("two lengths", message(b"Content-Length: 3", b"Content-Length: 4", body=b"abcd")),
    refused("the same length twice", message(b"Content-Length: 3", b"Content-Length: 3", body=b"abc")),
    *(
        refused(f"the length {length.decode()!r}", message(b"Content-Length: " + length, body=b"abc"))
        for length in (b"", b"3, 3", b"+3", b"-1", b"0x3", b"3 3", b"1_0", b"3.0", b"\x0b3", b"9" * 23, b"%d" % 2**64)
    ),
    refused("a length and a coding", message(b"Content-Length: 6", CHUNKED, body=b"0\r\n\r\nG")),
    refused("a coding and a length", message(CHUNKED, b"Content-Length: 6", body=b"0\r\n\r\nG")),
)
CODINGS = (
    accepted("chunks", message(CHUNKED, body=b"1\r\na\r\n2\r\nbc\r\n0\r\n\r\n"), ABC),
    accepted("another case", message(b"tRANSFER-eNCODING: ChUnKeD", body=b"3\r\nabc\r\n0\r\n\r\n"), ABC),
    accepted("a tab before it", message(b"Transfer-Encoding:\tchunked", body=b"3\r\nabc\r\n0\r\n\r\n"), ABC),
    *(
        refused(f"the coding {coding.decode()!r}", message(b"Transfer-Encoding: " + coding, body=b"3\r\nabc\r\n0\r\n\r\n"))
        for coding in (
            *(
                b"",
                b"xchunked",
                b"identity",
                b"gzip",
                b"chunked, identity",
                b"gzip, chunked",
                b"chunked, chunked",
                b"chunked;q=1",
            ),
            *(b'"chunked"', b"\x0bchunked", b"chunked\x0b", b"chunked\0", b",chunked"),
        )
    ),
    refused("it twice", message(CHUNKED, CHUNKED, body=b"3\r\nabc\r\n0\r\n\r\n")),
    refused("it, and another", message(CHUNKED, b"Transfer-Encoding: identity", body=b"3\r\nabc\r\n0\r\n\r\n")),
    *(
        refused(f"{other.decode()!r}, and it", message(b"Transfer-Encoding: " + other, CHUNKED, body=b"3\r\nabc\r\n0\r\n\r\n"))
        for other in (b"gzip", b"identity", b"deflate, gzip", b"x", b"")
    ),
    refused("it between others", message(b"TE: x", b"Transfer-Encoding: gzip", b"X-Other: a", CHUNKED, body=b"0\r\n\r\n")),
    refused("an empty one, and a length", message(b"Transfer-Encoding: ", b"Content-Length: 3", body=b"abc")),
    refused("on a folded line", message(b"Transfer-Encoding:\r\n chunked", body=b"0\r\n\r\n")),
    refused("a space before the colon", message(b"Transfer-Encoding : chunked", body=b"0\r\n\r\n")),
)
CHUNKS = (
    accepted("zeros", message(CHUNKED, body=b"0003\r\nabc\r\n000\r\n\r\n"), ABC),
    accepted("an extension", message(CHUNKED, body=b"3;a=b\r\nabc\r\n0;x\r\n\r\n"), ABC),
    *(
        refused(f"the chunk {chunk.decode()!r}", message(CHUNKED, body=chunk + b"\r\n0\r\n\r\n"))
        for chunk in (
            *(b"-3\r\nabc", b"+3\r\nabc", b"0x3\r\nabc", b"3 \r\nabc", b" 3\r\nabc", b"\r\nabc", b"f" * 17 + b"\r\nabc"),
            *(
                b"3\nabc",
                b"3\r\nabc\n",
                b"2\r\nabc",
                b"4\r\nabc",
                b"3\r\nabcXX",
                b'3;a="\r\n"\r\nabc',
                b"3;\nabc",
                b"3;a\0\r\nabc",
            ),
        )
    ),
    # Trailers must not become headers: the caller's identity is read from a header.
    accepted("trailers", message(CHUNKED, body=b"3\r\nabc\r\n0\r\nX-Seen: trailer\r\n\r\n"), ABC),
    refused("a length as a trailer", message(CHUNKED, body=b"3\r\nabc\r\n0\r\nContent-Length: 50\r\n\r\n")),
    refused("a coding as a trailer", message(CHUNKED, body=b"3\r\nabc\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n")),
    refused("a space in a trailer", message(CHUNKED, body=b"3\r\nabc\r\n0\r\nX : y\r\n\r\n")),
)
HEADS = (
    accepted("a header", message(b"X-Seen: a"), "POST /a seen=a"),
    accepted("line ends before the request", b"\r\n\r\n" + message(), "POST /a"),
    accepted("a byte above ASCII", message(b"X-Other: \xff"), "POST /a"),
    *(
        refused(f"the header {header.decode('latin-1')!r}", message(header))
        for header in (
            *(
                b"X: a\r\n b",
                b"X: a\nY: b",
                b"X: a\rY: b",
                b"X: a\0b",
                b"X: a\x01b",
                b"X: a\x7fb",
                b"X\0: a",
                b"X Y: a",
                b"X : a",
            ),
            *(b": a", b"X", b"X(: a", b"X\xe4: a", b"Content-Length : 3", b"\x00", b" X: a"),
        )
    ),
    refused("a space before the first header", b"GET / HTTP/1.1\r\n Host: x\r\n\r\n"),
    refused("bare line feeds", b"GET /a HTTP/1.1\nHost: x\n\n"),
    refused("a bare line feed at the end", b"GET /a HTTP/1.1\r\nHost: x\r\n\n"),
    refused("no host", message(host=b"")),
    refused("two hosts", message(b"Host: y")),
    refused("the same host twice", message(HOST)),
)
STARTS = (
    accepted("a query", message(start=b"GET /a?b=/c HTTP/1.1"), "GET /a ?b=/c"),
    accepted("escapes", message(start=b"GET /a%2Fb%20c HTTP/1.1"), "GET /a/b c"),
    accepted("dots", message(start=b"GET /a/../b HTTP/1.1"), "GET /a/../b"),
    accepted("two slashes", message(start=b"GET //other/a HTTP/1.1"), "GET //other/a"),
    accepted("an absolute target", message(start=b"GET http://other/a?b HTTP/1.1"), "GET /a ?b"),
    accepted("an asterisk", message(start=b"OPTIONS * HTTP/1.1"), "OPTIONS *"),
    accepted("several spaces", message(start=b"GET  /a  HTTP/1.1"), "GET /a"),
    *(
        refused(f"the line {start.decode('latin-1')!r}", message(start=start))
        for start in (
            *(
                b"GET a HTTP/1.1",
                b"GET /a b HTTP/1.1",
                b"GET /a\0 HTTP/1.1",
                b"GET /\xe4 HTTP/1.1",
                b"GET http://other HTTP/1.1",
            ),
            *(b"GET\t/a\tHTTP/1.1", b"GET /a HTTP/1.1 ", b"get /a HTTP/1.1", b"FOO /a HTTP/1.1", b"CONNECT other:443 HTTP/1.1"),
            *(b"GET /a", b"GET /a HTTP/0.9", b"GET /a HTTP/1.0", b"GET /a HTTP/1.2", b"GET /a HTTP/1.10", b"GET /a HTTP/2.0"),
            *(b"GET /a http/1.1", b"GET /a RTSP/1.0", b"SOURCE /a ICE/1.0", b"PRI * HTTP/2.0", b"\x16\x03\x01\x02\x00\x01"),
        )
    ),
    refused("HTTP/1.0 that is to be kept alive", message(b"Connection: keep-alive", start=b"GET /a HTTP/1.0")),
    refused("HTTP/1.0 with a coding", message(CHUNKED, start=b"POST /a HTTP/1.0", body=b"3\r\nabc\r\n0\r\n\r\n")),
)
ORDER = (
    accepted("two at once", message(b"Content-Length: 3", body=b"abc") + message(start=b"GET /b HTTP/1.1"), ABC, "GET /b"),
    Sent("more after the last", message(b"Connection: close") + message(start=b"GET /b HTTP/1.1"), ["POST /a"]),
    # llhttp takes what follows such a head for another protocol: the body would be read as the next request.
    refused("an upgrade with a length", message(*UPGRADE, b"Content-Length: 3", body=b"abc")),
    refused("an upgrade with a coding", message(*UPGRADE, CHUNKED, body=b"3\r\nabc\r\n0\r\n\r\n")),
    refused("an upgrade", message(*UPGRADE, start=b"GET /a HTTP/1.1")),
    refused("a WebSocket", message(b"Connection: Upgrade", b"Upgrade: websocket", start=b"GET /a HTTP/1.1")),
)
LONG = (
    refused("a long header", message(b"X: " + b"a" * 200_000)),
    refused("many headers", message(*[b"X: a"] * 50_000)),
    refused("a long target", message(start=b"GET /" + b"a" * 200_000 + b" HTTP/1.1")),
    refused("long trailers", message(CHUNKED, body=b"3\r\nabc\r\n0\r\nX: " + b"a" * 200_000 + b"\r\n\r\n")),
    refused("a long extension", message(CHUNKED, body=b"3;" + b"a" * 200_000 + b"\r\nabc\r\n0\r\n\r\n")),
)
TABLE = (*LENGTHS, *CODINGS, *CHUNKS, *HEADS, *STARTS, *ORDER)


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Answer with what the application sees of a request."""
    body, more = b"", scope["path"] != "/unread"
    while more:
        part = await receive()
        if part["type"] == "http.disconnect":
            return
        body, more = body + part["body"], part["more_body"]
    query = f"?{scope['query_string'].decode()}" if scope["query_string"] else ""
    seen = "".join(f"seen={value.decode()}" for name, value in scope["headers"] if name == b"x-seen")
    text = " ".join(filter(None, [scope["method"], scope["path"], query, body.decode(), seen])).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(text))]})
    await send({"type": "http.response.body", "body": text})


class Client(NamedTuple):
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def answer(self) -> str:
        """The body of an answer with status 200, another status, "" at the end."""
        try:
            head = await self.reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            return ""
        status, *headers = head.decode().lower().split("\r\n")
        length = next((int(each.removeprefix("content-length:")) for each in headers if each.startswith("content-length:")), 0)
        body = (await self.reader.readexactly(length)).decode()
        return body if " 200" in status else status.split()[1]

    async def answers(self) -> list[str]:
        """All answers, until the server closes the connection."""
        found: list[str] = []
        while answer := await self.answer():
            found.append(answer)
        return found


@contextlib.asynccontextmanager
async def connected(application: Any = echo) -> AsyncIterator[Client]:
    async with serve(application) as url:
        client = Client(*await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2])))
        try:
            yield client
        finally:
            client.writer.close()


@pytest.mark.parametrize("sent", TABLE, ids=lambda sent: sent.name)
async def test_each_message_has_one_meaning(sent: Sent) -> None:
    async with connected() as client, asyncio.timeout(PATIENCE):
        client.writer.write(sent.raw + LAST)
        assert await client.answers() == sent.answers


@pytest.mark.parametrize("sent", [each for each in TABLE if each.answers[-1] == "GET /last"], ids=lambda sent: sent.name)
async def test_it_has_the_same_meaning_byte_by_byte(sent: Sent) -> None:
    async with connected() as client, asyncio.timeout(PATIENCE):
        for byte in sent.raw + LAST:
            client.writer.write(bytes([byte]))
            await asyncio.sleep(0)  # let the server read it
        assert await client.answers() == sent.answers


@pytest.mark.parametrize("sent", LONG, ids=lambda sent: sent.name)
async def test_what_is_too_long_is_refused(sent: Sent) -> None:
    async with connected() as client, asyncio.timeout(PATIENCE):
        client.writer.write(sent.raw + LAST)
        # The server closes with bytes unread, which may reset the connection before the client has read the answer.
        assert await client.answers() in ([], REFUSED)


async def test_a_large_body_is_no_long_head() -> None:
    body = b"a" * 1_000_000
    async with connected() as client, asyncio.timeout(PATIENCE):
        client.writer.write(message(b"Content-Length: 1000000", body=body) + LAST)
        assert await client.answers() == ["POST /a " + body.decode(), "GET /last"]


async def test_the_body_of_a_refused_upgrade_is_no_request() -> None:
    smuggled = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
    async with connected() as client, asyncio.timeout(PATIENCE):
        client.writer.write(message(*UPGRADE, b"Content-Length: %d" % len(smuggled)))
        assert await client.answer() == "400"
        client.writer.write(smuggled)
        assert await client.answers() == []


async def test_a_client_is_told_to_continue() -> None:
    async with connected() as client, asyncio.timeout(PATIENCE):
        client.writer.write(message(b"Expect: 100-continue", b"Content-Length: 3"))
        assert await client.answer() == "100"
        client.writer.write(b"abc" + LAST)
        assert await client.answers() == [ABC, "GET /last"]


async def test_what_follows_an_answer_in_place_of_100_is_not_read() -> None:
    """The client may send the body all the same, or the next request."""
    async with connected() as client, asyncio.timeout(PATIENCE):
        client.writer.write(message(b"Expect: 100-continue", b"Content-Length: 3", start=b"POST /unread HTTP/1.1"))
        assert await client.answers() == ["POST /unread"]


async def test_an_error_is_not_written_into_an_answer() -> None:
    begun = asyncio.Event()

    async def stream(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"begun", "more_body": True})
        begun.set()
        assert (await receive())["type"] == "http.disconnect"

    async with connected(stream) as client, asyncio.timeout(PATIENCE):
        client.writer.write(message())
        await begun.wait()
        client.writer.write(b"junk\r\n\r\n")
        head, _, body = (await client.reader.read()).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 ") and body == b"5\r\nbegun\r\n"


SLOW = {
    "nothing": b"",
    "a part of a head": message()[:-4],
    "a head without its body": message(b"Content-Length: 3"),
    "a chunk without the next": message(CHUNKED, body=b"3\r\nabc\r\n"),
    "a part of a second request": message() + message()[:-4],
}


@pytest.mark.parametrize("sent", SLOW.values(), ids=SLOW.keys())
async def test_a_request_that_does_not_arrive_is_not_waited_for(clock: Clock, sent: bytes) -> None:
    async with connected() as client:
        began = clock.now()
        client.writer.write(sent)
        await client.answers()
        assert RECEIVE_SECONDS <= clock.now() - began < RECEIVE_SECONDS + 1


async def test_an_idle_connection_is_kept_for_an_hour(clock: Clock) -> None:
    async with connected() as client:
        for idle in (0, IDLE_SECONDS - 1):
            await asyncio.sleep(idle)
            client.writer.write(message())
            assert await client.answer() == "POST /a"
        began = clock.now()
        assert await client.answers() == []
        assert IDLE_SECONDS - 1 <= clock.now() - began < IDLE_SECONDS + 1


async def test_a_long_answer_is_not_a_slow_request(clock: Clock) -> None:
    async def slow(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(10 * RECEIVE_SECONDS)
        await echo(scope, receive, send)

    async with connected(slow) as client:
        client.writer.write(message() + message()[:-4])
        assert await client.answer() == "POST /a"
