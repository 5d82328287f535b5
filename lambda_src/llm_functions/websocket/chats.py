"""What the clients of the WebSocket API may ask for: generations, and their messages again."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from llm_functions.api_formats import chat as chat_format
from llm_functions.websocket import messages
from llm_functions.websocket.generation import Generation
from llm_gateway import errors
from llm_gateway.aws.connections import Connections, ConnectionsError, Gone
from llm_gateway.aws.dynamodb import DynamoDBError
from llm_gateway.errors import ErrorKind, GatewayError
from llm_gateway.gateway import Gateway
from llm_gateway.http.client import HttpError
from llm_gateway.identity.caller import Caller
from llm_gateway.identity.connections import ConnectionTable, Limits, Sender
from llm_gateway.identity.keys import KeyStore
from llm_gateway.pipeline import answer
from llm_gateway.request import ChatRequest
from llm_gateway.stages.journal import FLUSH_SECONDS, Head, Journal, Superseded
from llm_gateway.telemetry import record_refusal, stacktrace, write_log, write_warning

# Seconds before the end of the invocation at which a request times out, so that its end can still be sent and written.
DEADLINE_MARGIN_SECONDS = 10.0
# Seconds in which a client has to take what it has missed. One that reads more slowly is disconnected, and resumes from there.
REPLAY_SECONDS = 10.0
# How many replays may run at once for one API key: each one occupies an execution of the function.
REPLAYS_PER_KEY = 10
# Messages of a connection that are refused before it is closed: each one costs a call of a function.
MOST_REFUSALS = 100
# What a connection may ask for again before it is closed: each time, a whole answer may be sent. A client needs one or two for
# each generation that goes on with a new connection.
MOST_RESUMES = 100
# Seconds in which a function that lives writes to the journal several times.
WATCH_SECONDS = 5 * FLUSH_SECONDS
# Why a generation may have died.
_CAUSES = (errors.function_failed, errors.function_timeout, errors.overloaded)


class ClientEvent(msgspec.Struct, frozen=True):
    """A message with what API Gateway says of it, as the integration's template renders it. `body` is base64."""

    connection: str
    request_id: str
    body: bytes


class Chats:
    """Serves `chat`, `resume` and `cancel`, and reports the death of a function.

    `keys` are the API keys, if there are any. `clock` gives seconds since the epoch. `messages_per_minute` are those that may
    come on a connection. `interval` is the least seconds between two messages of a generation.
    """

    def __init__(
        self,
        journal: Journal,
        table: ConnectionTable,
        connections: Connections,
        *,
        keys: KeyStore | None = None,
        clock: Callable[[], float] = time.time,
        messages_per_minute: int,
        interval: float,
        debug: bool = False,
    ) -> None:
        self._keys = keys
        self._clock = clock
        self._messages_per_minute = messages_per_minute
        self._interval = interval
        self._journal = journal
        self._table = table
        self._connections = connections
        self._debug = debug

    async def chat(self, gateway: Gateway, limits: Limits, event: ClientEvent, seconds_left: float) -> None:
        """Generate an answer and send it, unless the connection is closed. `seconds_left` are those of the invocation.

        Raises `ConnectionsError` before a model is called if nothing can be sent from here. Then the invocation has to fail, so
        that `died` tells the client from elsewhere.
        """
        gateway.current()  # newer feature flags are fetched while the message is looked at
        try:
            if not await self._connections.may_send(event.connection):
                # It waited for this function, and its client has gone, which sends it once more if it comes back. One that
                # still listens notices, and does the same. https://github.com/aws/aws-sdk-js/issues/3773
                await self._connections.close(event.connection)
                return
            message, sender = await self._received(event)
            caller = await self._authorized(sender)
            request = chat_format.parse(message.fields, stream=True)
            head = await self._begin(message.id, caller, event)
            if head is None:
                return
            if head.cancelled:
                await self._end_cancelled(message.id, head)
                return
            try:
                await self._table.lease(event.connection, caller, event.request_id, limits, seconds_left)
            except Exception:
                await self._withdraw(head)
                raise
            try:
                await self._generate(gateway, message.id, head, request, caller, seconds_left)
            finally:
                await self._release(event, caller)
        except ConnectionsError:
            raise
        except Exception as error:
            await self._refuse("chat", event, error)

    async def resume(self, event: ClientEvent) -> None:
        """Let a generation go on with the connection that asks. If it has ended, send what the client has missed.

        Raises `ConnectionsError` if API Gateway cannot be asked about the connection.
        """
        try:
            if not await self._connections.is_open(event.connection):
                return  # the event came late, and the client may have resumed elsewhere
            message, sender = await self._received(event, resume=True)
            if sender.resumes > MOST_RESUMES:
                await self._connections.close(event.connection)
                return
            caller = await self._authorized(sender)
            since = messages.since(message)
            head = await self._journal.resume(_key(caller, event.connection, message.id), event.connection, since)
            if head is None:
                raise errors.unknown_generation(id=message.id)
            if head.status == "ended" and not head.last:
                raise errors.generation_not_kept(id=message.id)
            await self._send_missed_if_over(message.id, head, caller)
        except Gone:
            pass
        except ConnectionsError:
            raise
        except Exception as error:
            await self._refuse("resume", event, error)

    async def cancel(self, caller: Caller, connection: str, body: bytes) -> bytes | None:
        """Stop a generation, or keep it from beginning if its `chat` is still under way. Raises `GatewayError`.

        Returns the answer for a generation that has ended already. Otherwise its end is the answer, and others send that.
        """
        message = messages.parse(body)
        await self.count_message(connection)
        head = await self._journal.cancel(_key(caller, connection, message.id))
        if head is None:
            raise errors.unknown_generation(id=message.id)
        if head.status == "died":
            raise _cause(head)()
        return messages.ended(message.id, head.last) if head.status == "ended" else None

    async def count_message(self, connection: str, *, resume: bool = False) -> Sender | None:
        """Count a message, and return who sent it; None if the connection is unknown.

        Raises the error 429 if the connection has sent too many in this minute.
        """
        sender = await self._table.sender(connection, resume=resume)
        if sender is not None and sender.messages > self._messages_per_minute:
            raise errors.rate_limited(limit=self._messages_per_minute, retry_after=60 - self._clock() % 60)
        return sender

    async def count_refusal(self, connection: str, failure: GatewayError) -> None:
        """Count what the client has done wrong, and close a connection that does nothing else."""
        if failure.status >= 500:
            return
        try:
            if await self._table.count_refusal(connection) >= MOST_REFUSALS:
                await self._connections.close(connection)
        except (DynamoDBError, HttpError, ConnectionsError) as error:
            write_warning(f"refusals: {error}", connection_id=connection)

    async def died(self, event: ClientEvent, kind: ErrorKind) -> None:
        """Tell the client of a `chat` whose function did not end, because it was killed or never started. `kind` says why."""
        known = await self._table.find(event.connection)
        id = messages.id_of(event.body)
        if known is None or id is None:
            return
        caller, _ = known
        head = await self._journal.head(_key(caller, event.connection, id))
        connection, missed = event.connection, list[bytes]()
        if head is not None and head.run == event.request_id:
            # Lambda delivers an event at least once, and this may be the failure of a second delivery.
            await asyncio.sleep(WATCH_SECONDS)
            head = await self._journal.record_death(head, kind.code)
            if head is None:
                return  # its function lives, it ended, or somebody else has recorded it
            await self._release(event, caller)
            connection = head.connection
            # A client that never resumed has got every message, and perhaps more than the journal has.
            missed = await self._journal.read(head, head.since) if head.resumes else []
        # Without a number: nobody knows how many messages the client has got.
        missed.append(messages.refusal(id, kind(), event.request_id, debug=self._debug))
        with contextlib.suppress(Gone):  # the client will resume, and find it in the journal
            await self._post_all(connection, missed)

    async def _release(self, event: ClientEvent, caller: Caller) -> None:
        """Give the leases back. They end by their time if that fails, which concerns no client."""
        try:
            await self._table.release(event.connection, caller, event.request_id)
        except (DynamoDBError, HttpError) as error:
            write_warning(f"leases: {error}", request_id=event.request_id)

    async def _received(self, event: ClientEvent, *, resume: bool = False) -> tuple[messages.ClientMessage, Sender]:
        message = messages.parse(event.body)
        sender = await self.count_message(event.connection, resume=resume)
        if sender is None:
            raise errors.missing_api_key()
        return message, sender

    async def _authorized(self, sender: Sender) -> Caller:
        """Return the caller as it is now: what an API key may use can have changed. Raises the error 401."""
        credential = sender.credential
        if credential.expires and self._clock() >= credential.expires:
            raise errors.token_expired()
        if not credential.key_hash:
            return sender.caller
        # A key that cannot be looked up may have been taken away.
        found = None if self._keys is None else await self._keys.find(credential.key_hash)
        if found is None:
            raise errors.invalid_api_key()
        return found

    async def _begin(self, id: str, caller: Caller, event: ClientEvent) -> Head | None:
        """Record that the generation begins. Returns None if another delivery of the same event has recorded it.

        Everything else that concerns a generation comes after this, so that a second delivery changes nothing.
        """
        key = _key(caller, event.connection, id)
        head = await self._journal.begin(key, event.request_id, event.connection)
        if head is not None:
            return head
        known = await self._journal.head(key)
        if known is None or known.run != event.request_id:
            raise errors.generation_exists(id=id)
        with contextlib.suppress(Gone):
            await self._send_missed_if_over(id, known, caller)
        return None

    async def _withdraw(self, head: Head) -> None:
        """Take back that a generation has begun: its client is told why, and may use its id again."""
        try:
            await self._journal.withdraw(head)
        except (DynamoDBError, HttpError) as error:
            write_warning(f"journal: {error}", request_id=head.run)

    async def _end_cancelled(self, id: str, head: Head) -> None:
        """End a generation that was cancelled before it began."""
        end = messages.numbered(id, 1, messages.cancelled())
        head = await self._journal.write(head, [end], ended=True)
        with contextlib.suppress(Gone):
            await self._connections.post(head.connection, end)

    async def _generate(
        self, gateway: Gateway, id: str, head: Head, request: ChatRequest, caller: Caller, seconds_left: float
    ) -> None:
        deadline = asyncio.get_running_loop().time() + seconds_left - DEADLINE_MARGIN_SECONDS
        policy = gateway.current().policy
        generation = Generation(
            id,
            head,
            self._journal,
            self._connections,
            interval=self._interval,
            keeps=policy is None or policy.keeps(caller),
            debug=self._debug,
        )
        try:
            await generation.run(answer(gateway, request, caller, head.run, deadline, stop=generation.stop))
        except Superseded:
            write_warning("the generation was ended by others", request_id=head.run)
        except (DynamoDBError, HttpError) as error:  # its client has got the end; who resumes is told that its function died
            write_warning(f"the journal has no end: {type(error).__name__}: {error}", request_id=head.run)

    async def _send_missed_if_over(self, id: str, head: Head, caller: Caller) -> None:
        """Send what the client has not got, unless the function lives, which does so itself. Raises `Gone`.

        What is being sent to a connection is not sent again beside that.
        """
        if self._journal.is_dead(head):
            head = await self._journal.record_death(head, errors.function_failed.code) or head
        if head.status == "running":
            return
        async with self._table.replay(head.connection, caller, id, REPLAYS_PER_KEY, 2 * REPLAY_SECONDS) as alone:
            if alone:
                await self._send_missed(id, head)

    async def _send_missed(self, id: str, head: Head) -> None:
        missed = await self._journal.read(head, head.since)
        if head.status == "died":
            number = max(head.last, head.since) + 1
            missed.append(messages.numbered(id, number, messages.failure(_cause(head)(), head.run, debug=self._debug)))
        await self._post_all(head.connection, missed or [messages.ended(id, head.last)])

    async def _post_all(self, connection: str, posted: Sequence[bytes]) -> None:
        """Post messages, many in a frame. A client that does not take them in time is disconnected. Raises `Gone`."""
        at = 0
        try:
            async with asyncio.timeout(REPLAY_SECONDS):
                while at < len(posted):
                    frame, at = messages.frame(posted, at)
                    await self._connections.post(connection, frame, patience=REPLAY_SECONDS)
        except (TimeoutError, ConnectionsError) as error:
            write_warning(f"missed messages: {error or 'timeout'}", connection_id=connection)
            with contextlib.suppress(ConnectionsError):
                await self._connections.close(connection, patience=0)

    async def _refuse(self, action: str, event: ClientEvent, error: Exception) -> None:
        """Tell a client why its message was not served, and disconnect it if it may not call. Raises `ConnectionsError`."""
        failure = as_failure(error, event.request_id)
        if not failure.recorded:
            record_refusal(event.request_id, "WS", action, failure)
        text = messages.refusal(messages.id_of(event.body), failure, event.request_id, debug=self._debug)
        with contextlib.suppress(Gone):
            await self._connections.post(event.connection, text)
            if failure.type == errors.AUTHENTICATION:
                await self._connections.close(event.connection)
            else:
                await self.count_refusal(event.connection, failure)


def as_failure(error: Exception, request_id: str) -> GatewayError:
    """Return the error for the client. The traceback of an unexpected exception goes to the log only."""
    if isinstance(error, GatewayError):
        return error
    if isinstance(error, (DynamoDBError, HttpError)):
        return errors.generations_unavailable(detail=f"{type(error).__name__}: {error}")
    if not isinstance(error, ConnectionsError):
        write_log({"level": "ERROR", "message": stacktrace(error), "request_id": request_id})
    return errors.unexpected(error)


def _cause(head: Head) -> ErrorKind:
    """Return why the writer of a generation died."""
    return next((each for each in _CAUSES if each.code == head.cause), errors.function_failed)


def client_event(event: Mapping[str, Any]) -> ClientEvent:
    """Read what the integration's template has rendered."""
    return msgspec.convert(event, ClientEvent)


def _key(caller: Caller, connection: str, id: str) -> str:
    """The journal's key: an id belongs to one API key of one tenant.

    Nobody tells apart callers without authorization, so their ids belong to their connection. API Gateway makes the names of
    connections; nobody can guess another's.
    """
    holder = [connection] if caller.anonymous else []
    return msgspec.json.encode([caller.tenant, caller.key, *holder, id]).decode()
