"""A response that is left before its end, and one that is larger than the client keeps in memory."""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable
from unittest import mock

import pytest

from llm_gateway.http import connection as http_connection
from llm_gateway.http import wire
from llm_gateway.http.client import (
    HttpError,
)
from support.http_server import HALF, KIB, SHORT, Peer, all_gone, fetch, forever, once, post, serving, stream, then_wait
from support.tls import Authority

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
