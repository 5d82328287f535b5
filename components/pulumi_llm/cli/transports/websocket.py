"""The WebSocket API: messages over one connection, which is opened again when it is lost.

docs/websocket.md has the protocol.
"""

import asyncio
import contextlib
import random
import secrets
from collections import deque
from dataclasses import dataclass
from typing import Annotated

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.protocol import State

from llm_gateway import errors
from llm_gateway.aws.connections import FRAME_BYTES
from pulumi_llm.cli.transports.transport import (
    CONNECT_SECONDS,
    Answer,
    ChatError,
    Data,
    Display,
    Reading,
    Transport,
    UsageError,
    encoded,
)

# https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-execution-service-websocket-limits-table.html
MAX_MESSAGE_BYTES = 128 * 1024
# Seconds without any message after which the service is asked for a sign of life, and after which the connection is lost.
PING_SECONDS = 10.0
SILENCE_SECONDS = 25.0
# The service sends a message of a generation at least every 10 s. After so many seconds without one, it is resumed.
ANSWER_SECONDS = 30.0
# A `chat` may wait a minute for its function before it is `overloaded`, and Lambda may drop it without a word.
# https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html
FIRST_ANSWER_SECONDS = 90.0
# How often a `chat` is sent, each time after its connection was lost: more would only add to the load.
MOST_CHATS = 3
# A generation goes on for 30 s without a client, so a later resume finds nothing.
RESUME_SECONDS = 30.0
# The pauses before a new connection: they grow while there is none, and while each is lost without a new message.
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.25, 4.0
# How often a connection may be lost without a new message of the generation in between.
MOST_LOSSES = 5
# How often a message is sent again on one connection, because of an error that says so.
MOST_REPEATS = 10
# Seconds before a `resume` is sent again for which there was no place.
REPLAY_PAUSE_SECONDS = 1.0
# The messages of a connection are counted for a minute.
_WINDOW_SECONDS = 60.0
_CLOSE_SECONDS = 1.0


class _Lost(Exception):
    """The connection is of no more use."""


class _Connect(connect):
    """Follows no redirect: API Gateway answers with none, and the key would go to another host."""

    def process_redirect(self, exc: Exception) -> Exception:
        return exc


class WebSocketTransport(Transport):
    """Asks by the `chat` message. When the connection is lost, the answer is resumed on a new one."""

    schemes = ("ws", "wss")
    wrong_scheme = "a WebSocket needs the URL of the WebSocket API (the output websocket_url), such as wss://example.com/ws"

    def __init__(self, endpoint: str, api_key: str) -> None:
        super().__init__(endpoint, api_key)
        self._connection: ClientConnection | None = None

    async def models(self) -> list[str] | None:
        return None

    async def ask(self, body: dict[str, object], display: Display) -> Answer:
        id = secrets.token_hex(8)
        generation = _Generation(id, {"action": "chat", "id": id, **body}, Reading(display))
        if len(encoded(generation.chat)) > MAX_MESSAGE_BYTES:
            raise UsageError(
                "message_too_large",
                f"a WebSocket API takes messages of at most {MAX_MESSAGE_BYTES:,} bytes; --transport sse takes more",
            )
        losses = 0
        try:
            connection, message = await self._open(), generation.chat
            while True:
                before = generation.seq
                try:
                    return await self._converse(connection, generation, message)
                except (_Lost, ConnectionClosed):
                    losses = 0 if generation.seq > before else losses + 1
                if losses > MOST_LOSSES:
                    raise self._interrupted("the connection was lost again and again", generation)
                display.reconnecting()
                connection, message = await self._reopen(generation, losses), generation.resume()
        except asyncio.CancelledError:
            await self._cancel(id)
            raise

    async def close(self) -> None:
        if self._connection is not None:
            await self._connection.close()

    async def _converse(self, connection: ClientConnection, generation: "_Generation", message: dict[str, object]) -> Answer:
        """Send a message, and read until the answer is complete. Raises `_Lost` and `ConnectionClosed`."""
        clock = asyncio.get_running_loop().time
        heard_at = alive_at = clock()
        answered, repeats = False, 0
        received = deque[Data]()
        await self._send(connection, message, generation)
        while True:
            queued = message is generation.chat and not answered
            left = alive_at + (FIRST_ANSWER_SECONDS if queued else ANSWER_SECONDS) - clock()
            if left <= 0:
                raise await self._gave_up(generation) if queued else _Lost
            if not received:
                frame = await self._frame(connection, min(PING_SECONDS, left))
                if not frame:
                    if clock() - heard_at >= SILENCE_SECONDS:
                        raise _Lost
                    await _write(connection, {"action": "ping"})
                    continue
                heard_at = clock()
                received.extend(frame)
            data = received.popleft()
            if not data.type:  # API Gateway's own: it throttles, or its integration failed
                if generation.seq:
                    raise _Lost
                throttled = data.message == "Too Many Requests"
                kind = errors.rate_limit_exceeded if throttled else errors.internal_error
                raise self._error(kind.code, f"API Gateway answered {data.message!r}")
            if data.id is None and data.type == "error" and not answered and generation.seq == 0:
                raise self._reported(data.error, "")
            if data.id != generation.id:
                continue  # a pong, or of a generation that was stopped
            alive_at, answered = clock(), True
            if data.seq is None:
                if data.type != "error":
                    continue  # `waiting`, or what a later version sends
                again, repeats = await self._again(data, generation, message), repeats + 1
                if again is None or repeats > MOST_REPEATS:
                    raise self._reported(data.error, generation.reading.answer.request_id)
                message, answered, heard_at, alive_at = again, False, clock(), clock()
                await self._send(connection, message, generation)
                continue
            if data.seq > generation.seq + 1:
                received.clear()
                await _write(connection, generation.resume())
            if data.seq != generation.seq + 1:
                continue
            generation.seq = data.seq
            if data.type == "error":
                raise self._reported(data.error, generation.reading.answer.request_id)
            if generation.reading.take(data.type, data):
                return generation.reading.answer

    @staticmethod
    async def _again(data: Data, generation: "_Generation", sent: dict[str, object]) -> dict[str, object] | None:
        """What to send after an error of the message that was sent; None if the error ends the generation."""
        match data.error.code:
            case errors.unknown_generation.code if generation.seq == 0:
                return generation.chat  # it was lost with the connection, or it is only just being taken
            case errors.generation_exists.code:
                return generation.resume()
            case errors.too_many_resumes.code:
                await asyncio.sleep(REPLAY_PAUSE_SECONDS)
                return generation.resume()
            # A `chat` has cost nothing yet.
            case errors.rate_limited.code | errors.generations_unavailable.code if (
                generation.seq or sent is not generation.chat
            ):
                await asyncio.sleep(data.error.retry_after or _WINDOW_SECONDS)
                return generation.resume()
            case _:
                return None

    async def _open(self) -> ClientConnection:
        if self._connection is not None and self._connection.state is State.OPEN:
            return self._connection
        try:
            self._connection = await _Connect(
                self.base,
                additional_headers=self._headers(),
                user_agent_header="pulumi-llm",
                compression=None,
                open_timeout=CONNECT_SECONDS,
                close_timeout=_CLOSE_SECONDS,
                # At the prompt nothing answers such a ping; those of the protocol are sent while an answer is awaited.
                ping_interval=None,
            )
        except InvalidStatus as error:
            response = error.response
            if response.status_code == 401:
                kind = errors.invalid_api_key
                reason = (
                    "the WebSocket API does not let this key in" if self._key else "give a key: --api-key or PULUMI_LLM_API_KEY"
                )
                raise self._error(kind.code, reason, status=401) from None
            if response.status_code == 429:
                reason = "this key has as many connections as it may, or too many clients connect at once"
                raise self._error(errors.too_many_connections.code, reason, status=429) from None
            raise self._refused(response.status_code, response.headers, bytes(response.body or b"")) from None
        except TimeoutError:
            raise self._error("timeout", f"{self.base}: no connection within {CONNECT_SECONDS:g} s") from None
        except ConnectionRefusedError:
            text = f"nothing listens at {self.base}; is the service running?"
            raise self._error("connection_refused", text) from None
        except (OSError, EOFError, ValueError, WebSocketException) as error:
            raise self._error("connection_failed", f"cannot connect to {self.base}: {error}") from None
        return self._connection

    async def _reopen(self, generation: "_Generation", losses: int) -> ClientConnection:
        """Open a new connection, as long as the generation can be resumed. `losses` were in vain."""
        if self._connection is not None:
            self._connection.transport.abort()
            self._connection = None
        clock = asyncio.get_running_loop().time
        began, pause = clock(), min(FIRST_PAUSE_SECONDS * 2 ** max(0, losses - 1), LONGEST_PAUSE_SECONDS)
        while True:
            # Somewhere between half of it and all of it: clients that were cut at once do not come back at once.
            await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311
            try:
                return await self._open()
            except ChatError as error:
                if 400 <= error.status < 500 and error.status != 429:
                    raise
                if clock() - began >= RESUME_SECONDS:
                    raise self._interrupted(f"no new connection within {RESUME_SECONDS:g} s", generation) from error
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    async def _send(self, connection: ClientConnection, message: dict[str, object], generation: "_Generation") -> None:
        """Send the `chat` or a `resume`. Raises the error of an overloaded service if the `chat` was sent often enough."""
        if message is generation.chat:
            if generation.chats == MOST_CHATS:
                raise self._overloaded()
            generation.chats += 1
        await _write(connection, message)

    async def _cancel(self, id: str) -> None:
        """Stop a generation, if the connection still takes it."""
        if self._connection is not None:
            with contextlib.suppress(ConnectionClosed, TimeoutError):
                async with asyncio.timeout(_CLOSE_SECONDS):
                    await _write(self._connection, {"action": "cancel", "id": id})

    async def _frame(self, connection: ClientConnection, seconds: float) -> list[Data]:
        """Return the messages of the next frame, which has one or an array; none if it does not come in time."""
        try:
            async with asyncio.timeout(seconds):
                text = await connection.recv()
        except TimeoutError:
            return []
        try:
            data = msgspec.json.decode(text, type=Data | Annotated[list[Data], msgspec.Meta(min_length=1)])
            return [data] if isinstance(data, Data) else data
        except msgspec.DecodeError as error:
            raise self._error("malformed_message", str(error)) from None

    async def _gave_up(self, generation: "_Generation") -> ChatError:
        """Stop a generation that has not begun in time."""
        await self._cancel(generation.id)
        return self._overloaded()

    def _overloaded(self) -> ChatError:
        return self._error(
            errors.overloaded.code, "the service has not begun to answer; it may have too much to do, try again later"
        )

    def _interrupted(self, reason: str, generation: "_Generation") -> ChatError:
        answer = generation.reading.answer
        return self._error(errors.stream_interrupted.code, f"the answer broke off: {reason}", answer.request_id)


@dataclass
class _Generation:
    """A generation. `seq` is the number of the last message that came, `chats` how often the `chat` was sent."""

    id: str
    chat: dict[str, object]
    reading: Reading
    seq: int = 0
    chats: int = 0

    def resume(self) -> dict[str, object]:
        return {"action": "resume", "id": self.id, "seq": self.seq}


async def _write(connection: ClientConnection, message: dict[str, object]) -> None:
    """Send a message, in frames as small as API Gateway wants them."""
    data = encoded(message)
    await connection.send([data[start : start + FRAME_BYTES] for start in range(0, len(data), FRAME_BYTES)], text=True)
