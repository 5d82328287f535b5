"""How the HTTP client connects, in the clear and over TLS, and how that fails."""

import asyncio
import contextlib
import socket
from unittest import mock

import pytest

from llm_gateway.http import connection as http_connection
from llm_gateway.http import pool, wire
from llm_gateway.http.client import (
    ConnectError,
    ConnectionCut,
    ConnectTimeout,
    HttpClient,
    TlsError,
)
from support.http_server import SHORT, Peer, all_gone, assert_one_clean_line, fetch, forever, serving
from support.tls import Authority

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
