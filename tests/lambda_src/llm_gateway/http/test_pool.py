"""Which connection the next request of the HTTP client takes, and when it is sent once more."""

import asyncio
import socket
from unittest import mock

import pytest

from llm_gateway.http import client as http_client
from llm_gateway.http import connection as http_connection
from llm_gateway.http.client import (
    ConnectionCut,
    HttpClient,
    HttpError,
    ResponseTimeout,
)
from support.http_server import HALF, KIB, OK, PATIENCE, SHORT, Peer, all_gone, fetch, forever, post, serving, then_wait

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
