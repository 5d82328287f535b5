"""The upstream client over real sockets: each way a server can fail, and what happens to the connection each time."""

import asyncio
import contextlib
import datetime
import ipaddress
import re
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from unittest import mock

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_gateway.http import client as http_client
from llm_gateway.http import connection as http_connection
from llm_gateway.http import pool, wire
from llm_gateway.http.client import (
    ConnectError,
    ConnectionCut,
    ConnectTimeout,
    HttpClient,
    HttpError,
    MalformedResponse,
    ReadTimeout,
    Response,
    ResponseTimeout,
    TlsError,
)

KIB = 1024
PATIENCE = 30.0  # no test waits this long: it is what keeps a broken one from hanging
SHORT = 0.05  # a time-out that is meant to strike
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi"
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


class Peer:
    """One connection as the server sees it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.requests: list[tuple[bytes, bytes]] = []

    async def request(self) -> tuple[bytes, bytes]:
        """The next request's head and body."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
        body = await self.reader.readexactly(int(length[1]) if length else 0)
        self.requests.append((head, body))
        return head, body

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self, data: bytes = OK) -> None:
        await self.request()
        await self.send(data)

    async def gone(self) -> None:
        """Until the client has closed the connection, in order or by a reset."""
        with contextlib.suppress(ConnectionError):
            assert await self.reader.read() == b""


class Server:
    """A server on loopback that plays `script` on each connection and then closes it."""

    def __init__(self, script: Callable[[Peer], Awaitable[None]]) -> None:
        self.script = script
        self.peers: list[Peer] = []
        self.url = ""
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, tls: ssl.SSLContext | None = None) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=tls)
        port = self._server.sockets[0].getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{port}/v1/chat?key=hidden"

    async def stop(self) -> None:
        """Close; a script that failed, or one that still waits for a client that has gone, is the test's failure."""
        self._server.close()
        done, pending = await asyncio.wait(self._tasks, timeout=PATIENCE) if self._tasks else (set(), set())
        for task in pending:
            task.cancel()
        assert not pending, "a connection is still open"
        for task in done:
            task.result()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Peer(reader, writer)
        self.peers.append(peer)
        self._tasks.add(asyncio.ensure_future(self._play(peer)))

    async def _play(self, peer: Peer) -> None:
        try:
            await self.script(peer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client went away, as it may
        finally:
            peer.writer.transport.abort() if peer.writer.transport.get_write_buffer_size() else peer.writer.close()

    @property
    def requests(self) -> list[tuple[bytes, bytes]]:
        return [request for peer in self.peers for request in peer.requests]


@contextlib.asynccontextmanager
async def serving(
    script: Callable[[Peer], Awaitable[None]], tls: ssl.SSLContext | None = None, **options: object
) -> AsyncIterator[tuple[Server, HttpClient]]:
    """A server and a client for it; in the end both are closed, and nothing of either may be left."""
    before = asyncio.all_tasks()
    server = Server(script)
    await server.start(tls)
    client = HttpClient(**options)  # type: ignore[arg-type]
    try:
        yield server, client
    finally:
        await client.close()
        await server.stop()
    # asyncio's own task for a handshake that failed ends a turn later.
    if rest := asyncio.all_tasks() - before:
        assert not (await asyncio.wait(rest, timeout=PATIENCE))[1]


async def forever(peer: Peer) -> None:
    """Answer every request."""
    while True:
        await peer.answer()


def once(data: bytes) -> Callable[[Peer], Awaitable[None]]:
    """Read a request, send `data`, close."""

    async def script(peer: Peer) -> None:
        await peer.answer(data)

    return script


def then_wait(data: bytes) -> Callable[[Peer], Awaitable[None]]:
    """Read a request, send `data` and nothing more, until the client goes."""

    async def script(peer: Peer) -> None:
        await peer.answer(data)
        await peer.gone()

    return script


async def post(client: HttpClient, url: str, **options: object) -> Response:
    arguments: dict[str, object] = {
        "method": "POST",
        "url": url,
        "headers": [("Authorization", "Bearer secret")],
        "body": b"{}",
        "response_timeout": PATIENCE,
        "read_timeout": PATIENCE,
    }
    arguments.update(options)
    return await client.send(**arguments)  # type: ignore[arg-type]


async def fetch(client: HttpClient, url: str, **options: object) -> bytes:
    return await (await post(client, url, **options)).read()


async def stream(client: HttpClient, url: str, **options: object) -> bytes:
    async with await post(client, url, **options) as response:
        return b"".join([piece async for piece in response.chunks()])


# The failure table.

NOT_HTTP = b"SSH-2.0-OpenSSH_9.6\r\n\r\n"
HALF = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello"
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
    authority: "Authority",
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


# Connecting.


async def test_refused() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening
        async with HttpClient() as client:
            url = f"http://127.0.0.1:{taken.getsockname()[1]}/?key=hidden"
            with pytest.raises(ConnectError) as raised:
                await fetch(client, url)
            assert_one_clean_line(raised.value, url)


async def test_name_that_does_not_resolve() -> None:
    async def lookup(*_: object, **__: object) -> list[object]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    async with HttpClient() as client:
        with (
            mock.patch.object(asyncio.get_running_loop(), "getaddrinfo", lookup),
            pytest.raises(ConnectError, match="Name or service not known"),
        ):
            await fetch(client, "http://nowhere.invalid/")
        with pytest.raises(ConnectError, match="not a valid name"):
            await fetch(client, f"http://{'a' * 70}.invalid/")


async def test_connect_timeout() -> None:
    """A listener whose queue is full: the kernel drops what comes, so that the connection is never made."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        async with HttpClient(connect_timeout=SHORT) as client:
            url = f"http://127.0.0.1:{listener.getsockname()[1]}/?key=hidden"
            with pytest.raises(ConnectTimeout, match=r"no connection within 0\.05 s") as raised:
                await fetch(client, url)
            assert_one_clean_line(raised.value, url)


async def test_connect_timeout_covers_the_handshake() -> None:
    async def silent(peer: Peer) -> None:
        assert await peer.reader.read(1) == b"\x16"  # the client's hello
        with contextlib.suppress(ConnectionError):
            await peer.reader.read()

    async with serving(silent, connect_timeout=SHORT) as (server, client):
        with pytest.raises(ConnectTimeout):
            await fetch(client, server.url.replace("http:", "https:"))
        await all_gone(server)


async def test_reset_while_connecting() -> None:
    async def reset(peer: Peer) -> None:
        await peer.reader.read(1)  # the rest of the hello is unread, so closing resets

    async with serving(reset) as (server, client):
        with pytest.raises(ConnectError):
            await fetch(client, server.url.replace("http:", "https:"))


async def test_closed_as_soon_as_accepted() -> None:
    async def script(_: Peer) -> None:
        return

    connect, lost = HttpClient._connect, pool.Pool.lost
    noticed = asyncio.Event()

    def lost_and_noticed(self: pool.Pool, connection: http_connection.Connection) -> None:
        lost(self, connection)
        noticed.set()

    async def connect_and_lose(self: HttpClient, origin: wire.Origin, deadline: float) -> http_connection.Connection:
        connection = await connect(self, origin, deadline)
        await noticed.wait()
        return connection

    async with serving(script) as (server, client):
        with pytest.raises(ConnectionCut):
            await fetch(client, server.url)
        with (
            mock.patch.object(HttpClient, "_connect", connect_and_lose),
            mock.patch.object(pool.Pool, "lost", lost_and_noticed),
            pytest.raises(ConnectionCut, match="before the request was sent"),
        ):
            await fetch(client, server.url)


# TLS.


class Authority:
    """A certificate authority of the test's own and the contexts that stand on it."""

    def __init__(self, folder: Path) -> None:
        self.server = self._server_context(folder, "127.0.0.1")
        self.stranger = self._server_context(folder, "127.0.0.2")
        self.client = ssl.create_default_context()
        for name in ("127.0.0.1", "127.0.0.2"):
            self.client.load_verify_locations(folder / f"{name}.pem")

    def _server_context(self, folder: Path, address: str) -> ssl.SSLContext:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, address)])
        now = datetime.datetime.now(datetime.UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(
                x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address)), x509.DNSName("localhost")]),
                critical=False,
            )
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(
                x509.KeyUsage(True, False, False, False, False, True, True, False, False),
                critical=True,
            )
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        pem = folder / f"{address}.pem"
        key_pem = folder / f"{address}.key"
        pem.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        key_pem.write_bytes(
            key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem, key_pem)
        return context


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"))


async def test_tls_self_signed_is_refused(authority: Authority) -> None:
    """The default context trusts the system's authorities and nobody else."""
    async with serving(forever, authority.server) as (server, client):
        with pytest.raises(TlsError, match="certificate verify failed") as raised:
            await fetch(client, server.url)
        assert_one_clean_line(raised.value, server.url)


async def test_tls_certificate_of_another_host_is_refused(authority: Authority) -> None:
    async with serving(forever, authority.stranger, ssl_context=authority.client) as (server, client):
        with pytest.raises(TlsError, match="IP address mismatch"):
            await fetch(client, server.url)


async def test_tls_to_a_server_without_it() -> None:
    async def script(peer: Peer) -> None:
        await peer.send(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            await peer.reader.read()  # the client's hello

    async with serving(script) as (server, client):
        with pytest.raises(TlsError):
            await fetch(client, server.url.replace("http:", "https:"))


async def test_tls_works_with_the_host_name_in_the_handshake(authority: Authority) -> None:
    names: list[str | None] = []
    authority.server.sni_callback = lambda _socket, name, _context: names.append(name)
    try:
        async with serving(forever, authority.server, ssl_context=authority.client) as (server, client):
            url = server.url.replace("127.0.0.1", "localhost")
            assert await fetch(client, url) == b"hi"
            assert await fetch(client, url) == b"hi"
            assert len(server.peers) == 1
        assert names == ["localhost"]
    finally:
        authority.server.sni_callback = None


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


# The pool.


async def test_connections_are_reused_and_parallel_requests_have_their_own() -> None:
    everybody = asyncio.Barrier(3)

    async def script(peer: Peer) -> None:
        await peer.request()
        await everybody.wait()
        await peer.send(OK)
        await forever(peer)

    async with serving(script) as (server, client):
        assert await asyncio.gather(*(fetch(client, server.url) for _ in range(3))) == [b"hi"] * 3
        assert len(server.peers) == 3
        for _ in range(5):
            await fetch(client, server.url)
        assert len(server.peers) == 3
        # The youngest connection serves them all, so that the others can grow old.
        assert sorted(len(peer.requests) for peer in server.peers) == [1, 1, 6]


async def test_connection_is_back_before_the_body_is_read() -> None:
    """Once the last byte is there the connection is free, whatever the caller does with the body."""
    async with serving(forever) as (server, client):
        first = await post(client, server.url)
        second = await post(client, server.url)
        assert len(server.peers) == 1
        assert await second.read() == b"hi"
        assert await first.read() == b"hi"
        first.close()
        first.close()
        assert await fetch(client, server.url) == b"hi"
        assert len(server.peers) == 1


async def test_the_next_user_of_a_connection_keeps_its_time_out() -> None:
    """It may start before the task that waits for the last response has had its turn: they share no clock."""
    complete = asyncio.Event()
    received = http_connection.Connection.data_received

    def data_received(self: http_connection.Connection, piece: bytes) -> None:
        complete.set()
        received(self, piece)

    async def script(peer: Peer) -> None:
        await peer.answer()
        await peer.request()
        await peer.gone()

    async with serving(script) as (server, client):

        async def second() -> None:
            await complete.wait()
            await fetch(client, server.url, response_timeout=SHORT)

        with mock.patch.object(http_connection.Connection, "data_received", data_received):
            first, next_one = asyncio.ensure_future(fetch(client, server.url)), asyncio.ensure_future(second())
            with pytest.raises(ResponseTimeout):
                await next_one
            assert await first == b"hi"
        assert len(server.peers) == 1


async def test_idle_connections_expire() -> None:
    closed = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.answer()
        await peer.gone()
        closed.set()

    async with serving(script, idle_timeout=SHORT) as (server, client):
        await fetch(client, server.url)
        await asyncio.wait_for(closed.wait(), PATIENCE)
        await fetch(client, server.url)
        assert len(server.peers) == 2


async def test_expired_connection_is_not_handed_out() -> None:
    async with serving(forever) as (server, client):
        await fetch(client, server.url)
        connection = next(iter(client._pool._all))
        connection.idle_since -= http_client.IDLE_TIMEOUT
        await fetch(client, server.url)
        assert len(server.peers) == 2


async def test_idle_connections_are_bounded() -> None:
    everybody = asyncio.Barrier(3)

    async def script(peer: Peer) -> None:
        await peer.request()
        await everybody.wait()
        await peer.send(OK)
        await forever(peer)

    async with serving(script, max_idle=1) as (server, client):
        await asyncio.gather(*(fetch(client, server.url) for _ in range(3)))
        assert sum(map(len, client._pool._idle.values())) == 1


async def test_connection_closed_while_idle_is_not_handed_out() -> None:
    """Not even when the event loop has had no turn to notice: the kernel is asked. No request is lost on it."""
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"

        async def serve() -> tuple[socket.socket, bytes]:
            peer, _ = await loop.sock_accept(listener)
            request = await loop.sock_recv(peer, 4 * KIB)
            await loop.sock_sendall(peer, OK)
            return peer, request

        async with HttpClient() as client:
            for goodbye in (b"", b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\n\r\n"):
                serving_first = asyncio.ensure_future(serve())
                assert await fetch(client, url) == b"hi"
                peer, _ = await serving_first
                peer.send(goodbye)
                peer.close()
                serving_second = asyncio.ensure_future(serve())
                assert await fetch(client, url) == b"hi"  # its first step runs before the loop's next turn
                peer, request = await serving_second
                assert request.startswith(b"POST / ")
                peer.close()


async def test_connection_close_is_obeyed() -> None:
    """The client closes too, and does not wait for the server to do what it announced."""
    data = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nhi"
    async with serving(then_wait(data)) as (server, client):
        assert await fetch(client, server.url) == b"hi"
        await all_gone(server)


async def test_answer_before_the_whole_request_is_sent_closes_the_connection() -> None:
    """A server that has refused a large body need not read it, and the next request would wait behind it."""

    async def script(peer: Peer) -> None:
        await peer.reader.readuntil(b"\r\n\r\n")
        await peer.send(b"HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\nno")
        while await peer.reader.read(64 * KIB):
            pass

    async with serving(script) as (server, client):
        assert await fetch(client, server.url, body=bytes(32 * KIB * KIB)) == b"no"
        await all_gone(server)


async def test_unasked_bytes_close_an_idle_connection() -> None:
    idle = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.answer()
        await idle.wait()
        await peer.send(b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n\r\n")
        await peer.gone()

    async with serving(script) as (server, client):
        await fetch(client, server.url)
        idle.set()
        await all_gone(server)
        await fetch(client, server.url)
        assert len(server.peers) == 2


@pytest.mark.parametrize("surplus", [b"HTTP/1.1 200 OK\r\n", OK, b"junk"])
async def test_bytes_after_the_response_close_the_connection(surplus: bytes) -> None:
    async with serving(then_wait(OK + surplus)) as (server, client):
        assert await fetch(client, server.url) == b"hi"
        await all_gone(server)
        assert await fetch(client, server.url) == b"hi"
        assert len(server.peers) == 2


# Sending once more.


async def test_stale_connection_is_retried_once() -> None:
    """The server takes the second request and closes without a byte: a fresh connection gets it."""

    async def script(peer: Peer) -> None:
        await peer.answer()
        if len(server.peers) == 1:
            await peer.request()
        else:
            await forever(peer)

    async with serving(script) as (server, client):
        await fetch(client, server.url, body=b"first")
        assert await fetch(client, server.url, body=b"second") == b"hi"
        assert [body for _, body in server.peers[0].requests] == [b"first", b"second"]
        assert [body for _, body in server.peers[1].requests] == [b"second"]


async def test_reset_connection_is_retried_once() -> None:
    async def script(peer: Peer) -> None:
        await peer.answer()
        if len(server.peers) == 1:
            await peer.reader.read(1)
            sock = peer.writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        else:
            await forever(peer)

    async with serving(script) as (server, client):
        await fetch(client, server.url)
        assert await fetch(client, server.url) == b"hi"
        assert len(server.peers) == 2


async def test_the_retry_is_not_retried() -> None:
    async def script(peer: Peer) -> None:
        if len(server.peers) == 1:
            await peer.answer()
        await peer.request()

    timeouts: list[float] = []
    send = http_connection.Connection.send

    async def spy(
        self: http_connection.Connection, exchange: http_connection.Exchange, head: bytes, body: bytes, timeout: float
    ) -> None:
        timeouts.append(timeout)
        await send(self, exchange, head, body, timeout)

    async with serving(script) as (server, client):
        await fetch(client, server.url)
        with (
            mock.patch.object(http_connection.Connection, "send", spy),
            pytest.raises(ConnectionCut, match="before the response"),
        ):
            await fetch(client, server.url)
        assert [len(peer.requests) for peer in server.peers] == [2, 1]
        first, second = timeouts
        assert second < first == PATIENCE  # both share one response_timeout


@pytest.mark.parametrize("start", [b"H", b"HTTP/1.1 100 Continue\r\n\r\n", HALF])
async def test_no_retry_after_the_first_byte(start: bytes) -> None:
    async def script(peer: Peer) -> None:
        await peer.answer()
        await peer.answer(start)

    async with serving(script) as (server, client):
        await fetch(client, server.url)
        with pytest.raises(ConnectionCut, match="before the end of the"):
            await fetch(client, server.url)
        assert len(server.requests) == 2


async def test_no_retry_after_a_time_out() -> None:
    async def script(peer: Peer) -> None:
        await peer.answer()
        await peer.request()
        await peer.gone()

    async with serving(script) as (server, client):
        await fetch(client, server.url)
        with pytest.raises(ResponseTimeout):
            await fetch(client, server.url, response_timeout=SHORT)
        await all_gone(server)
        assert len(server.requests) == 2


async def test_no_retry_when_the_client_is_closed() -> None:
    asked = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.answer()
        await peer.request()
        asked.set()
        await peer.gone()

    async with serving(script) as (server, client):
        await fetch(client, server.url)
        request = asyncio.ensure_future(fetch(client, server.url))
        await asked.wait()
        await client.close()
        with pytest.raises(HttpError, match="the client was closed"):
            await request
        with pytest.raises(RuntimeError):
            await fetch(client, server.url)
        assert len(server.requests) == 2


# Leaving early.


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
async def test_close_in_the_middle_closes_the_socket(tls: bool, authority: Authority) -> None:
    options = {"ssl_context": authority.client}
    async with serving(then_wait(HALF), authority.server if tls else None, **options) as (server, client):
        response = await post(client, server.url)
        response.close()
        response.close()
        await all_gone(server)
        with pytest.raises(HttpError, match="the response was closed"):
            await response.read()


async def test_leaving_the_block_or_the_generator_closes_the_socket() -> None:
    async with serving(then_wait(HALF)) as (server, client):
        async with await post(client, server.url):
            pass
        await all_gone(server)
        async with await post(client, server.url) as response:
            async for piece in response.chunks():
                assert piece == b"hello"
                break
        await all_gone(server)
        async with contextlib.aclosing((await post(client, server.url)).chunks()) as pieces:
            assert await anext(pieces) == b"hello"
        await all_gone(server)


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
@pytest.mark.parametrize(
    ("data", "get"),
    [(b"", fetch), (b"HTTP/1.1 200", fetch), (HALF, fetch), (HALF, stream)],
    ids=["nothing", "status", "half", "half-streamed"],
)
async def test_cancellation_closes_the_socket(
    data: bytes, get: Callable[..., Awaitable[bytes]], tls: bool, authority: Authority
) -> None:
    sent = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.answer(data)
        sent.set()
        await peer.gone()

    options = {"ssl_context": authority.client}
    async with serving(script, authority.server if tls else None, **options) as (server, client):
        request = asyncio.ensure_future(get(client, server.url))
        await sent.wait()
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request
        await all_gone(server)
        assert not client._pool._idle.get(wire.parse_url(server.url).origin)


async def test_cancellation_while_connecting() -> None:
    accepted = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.reader.read(1)  # the hello of a handshake that is never answered
        accepted.set()
        with contextlib.suppress(ConnectionError):
            await peer.reader.read()

    async with serving(script) as (server, client):
        request = asyncio.ensure_future(fetch(client, server.url.replace("http:", "https:")))
        await accepted.wait()
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request
        await all_gone(server)


async def test_cancellation_after_the_last_byte_keeps_the_connection() -> None:
    """The response was complete when the task was cancelled, before it ran again."""
    received = http_connection.Connection.data_received

    async with serving(forever) as (server, client):

        def data_received(self: http_connection.Connection, piece: bytes) -> None:
            received(self, piece)
            request.cancel()

        with mock.patch.object(http_connection.Connection, "data_received", data_received):
            request = asyncio.ensure_future(fetch(client, server.url))
            with pytest.raises(asyncio.CancelledError):
                await request
        assert await fetch(client, server.url) == b"hi"
        assert len(server.peers) == 1


async def test_closing_the_client_ends_a_response_and_is_idempotent() -> None:
    async with serving(then_wait(b"HTTP/1.1 200 OK\r\n\r\nhello")) as (server, client):
        response = await post(client, server.url)
        pieces = response.chunks()
        assert await anext(pieces) == b"hello"
        waiting = asyncio.ensure_future(anext(pieces))
        await client.close()
        with pytest.raises(HttpError, match="the client was closed"):  # and not the end of a body until close
            await waiting
        await client.close()
        assert client._pool._all == set()


async def test_two_readers_of_one_response_are_refused() -> None:
    async with serving(then_wait(HALF)) as (server, client):
        response = await post(client, server.url)
        pieces = response.chunks()
        assert await anext(pieces) == b"hello"
        first = asyncio.ensure_future(anext(pieces))
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="two tasks"):
            await response.read()
        with pytest.raises(HttpError, match="the response was closed"):
            await first


# Memory.


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
async def test_a_large_body_is_not_buffered(tls: bool, authority: Authority) -> None:
    """A caller that does not read stops the server; what waits in the client stays near `max_buffer`."""
    block = bytes(range(256)) * 256
    blocks = 512  # 32 MiB, more than the kernel takes for a loopback connection
    written = 0

    async def script(peer: Peer) -> None:
        nonlocal written
        await peer.request()
        sock = peer.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 256 * KIB)
        await peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % (len(block) * blocks))
        for _ in range(blocks):
            await peer.send(block)
            written += 1
        await forever(peer)

    async with serving(script, authority.server if tls else None, ssl_context=authority.client) as (server, client):
        response = await post(client, server.url)
        before = -1
        while written != before:  # until the server stands still
            before = written
            for _ in range(200):
                await asyncio.sleep(0)
        assert written < blocks * 3 // 4
        assert response._exchange.buffered <= (256 + 256) * KIB  # the bound, and the one read that went over it
        size = largest = 0
        async for piece in response.chunks():
            start = size % 256
            assert piece == (block * (len(piece) // len(block) + 2))[start : start + len(piece)]
            size += len(piece)
            largest = max(largest, len(piece))
            await asyncio.sleep(0)
        assert size == len(block) * blocks
        assert largest <= (256 + 256) * KIB
        assert await fetch(client, server.url) == b"hi"
        assert len(server.peers) == 1


async def test_the_pauses_of_a_slow_caller_are_not_a_time_out() -> None:
    """`read_timeout` runs while the caller waits for a byte, not while bytes wait for the caller."""
    body = b"x" * 600 * KIB

    async with serving(once(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body) + body)) as (server, client):
        response = await post(client, server.url, read_timeout=SHORT)
        idle = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(3 * SHORT, idle.set_result, None)
        await idle
        assert await response.read() == body


# Helpers.


async def all_gone(server: Server) -> None:
    """Until every script has ended, which each does when its client has closed the connection."""
    async with asyncio.timeout(PATIENCE):
        await asyncio.gather(*server._tasks)


def assert_one_clean_line(error: HttpError, url: str) -> None:
    text = str(error)
    assert text.startswith("/".join(url.split("/")[:3]).replace("localhost", "127.0.0.1"))
    assert "\n" not in text
    assert "hidden" not in text
    assert "secret" not in text
