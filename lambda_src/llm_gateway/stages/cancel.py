"""A caller stops its own stream: by `DELETE /chat/{request_id}` over HTTP, by `cancel` over a WebSocket.

Lambda never tells a function that its client left, and the request that stops a stream reaches another function than the one
that generates. So it leaves an item in the journal's table, and a running stream looks for it once a second. The item is found
by the caller and the request id: a caller stops nothing of another's, and learns nothing of it. A stream that is shorter than
a second reads nothing. Where the table cannot be read, the stream goes on.
"""

import asyncio
import hashlib
import re
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec

from llm_gateway import errors
from llm_gateway.aws.dynamodb import DynamoDB, DynamoDBError, Item
from llm_gateway.errors import GatewayError, Problem
from llm_gateway.http.errors import HttpError
from llm_gateway.identity.caller import Caller
from llm_gateway.stages.journal import HASH_KEY, SORT_KEY, TTL_ATTRIBUTE

T = TypeVar("T")

# Seconds between two looks, and before the first one.
POLL_SECONDS = 1.0
# Seconds that an item is kept: a function runs for as long at most.
KEPT_SECONDS = 15 * 60
# API Gateway's ids of REST requests, and Lambda's for its URLs, are UUIDs; those of WebSockets are such as O0GRedvMB71tF0Q=.
# https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-mapping-template-reference.html
REQUEST_ID = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")


class Stop:
    """Whether one generation is to be stopped. `request` says so."""

    def __init__(self) -> None:
        self.requested = False
        self._scope: asyncio.Timeout | None = None

    def begin(self) -> None:
        """The generation begins."""

    def close(self) -> None:
        """The generation has ended."""

    def request(self) -> None:
        """Stop the generation, and what `unless_requested` waits for."""
        if not self.requested:
            self.requested = True
            if self._scope is not None:
                self._scope.reschedule(asyncio.get_running_loop().time())

    async def unless_requested(self, begin: Callable[[], Awaitable[T]]) -> T:
        """Return the result of what `begin` begins. It is cancelled when the generation is to be stopped, which raises
        `Stopped`."""
        if self.requested:
            raise Stopped
        scope = asyncio.timeout(None)
        try:
            async with scope:
                self._scope = scope
                return await begin()
        except TimeoutError:
            if not scope.expired():
                raise
            raise Stopped from None
        finally:
            self._scope = None


class Stopped(Exception):
    """The generation is to be stopped."""


class Cancels:
    """What callers have asked to stop. `warn` is told that nothing can be read. `clock` gives seconds since the epoch."""

    def __init__(
        self, dynamodb: DynamoDB, table: str, warn: Callable[[str], None], *, clock: Callable[[], float] = time.time
    ) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._warn = warn
        self._clock = clock

    async def record(self, caller: Caller, request_id: str) -> None:
        """Record that a stream of the caller is to be stopped, whether there is one or not.

        Raises the error 400 if it is no id of a request, and 503 if the table cannot be written.
        """
        if not REQUEST_ID.fullmatch(request_id):
            form = "must be the x-request-id of a stream, a UUID, or the id of its answer, such as chatcmpl-…"
            raise errors.invalid_request([Problem("request_id", form)])
        item = {**_key(caller, request_id), TTL_ATTRIBUTE: {"N": str(int(self._clock()) + KEPT_SECONDS)}}
        try:
            await self._dynamodb.put_item(self._table, item)
        except (DynamoDBError, HttpError) as error:
            raise errors.cancel_unavailable(detail=f"{type(error).__name__}: {error}") from error

    def stop(self, caller: Caller, request_id: str) -> "RecordedStop":
        """Return what looks whether a stream of the caller is to be stopped."""
        return RecordedStop(self, caller, request_id)

    async def pass_on(self, caller: Caller, follower: str, generation: str) -> None:
        """Wait until the request `follower` is to be stopped, and record it of the generation that it follows, which is its
        caller's, too."""
        stop = self.stop(caller, follower)
        stop.begin()
        try:
            await stop.unless_requested(asyncio.Event().wait)
        except Stopped:
            try:
                await self.record(caller, generation)
            except GatewayError as error:
                self._warn(f"{generation} cannot be stopped now: {error.cause}")
        finally:
            stop.close()

    async def is_recorded(self, key: Item) -> bool:
        return await self._dynamodb.get_item(self._table, key) is not None

    def warn(self, text: str) -> None:
        self._warn(text)


class RecordedStop(Stop):
    """A stop that is requested when it has been recorded."""

    def __init__(self, cancels: Cancels, caller: Caller, request_id: str) -> None:
        super().__init__()
        self._cancels = cancels
        self._key = _key(caller, request_id)
        self._request_id = request_id
        self._timer: asyncio.TimerHandle | None = None
        self._look: asyncio.Task[None] | None = None

    def begin(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(POLL_SECONDS, self._start)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._look is not None:
            self._look.cancel()

    def _start(self) -> None:
        self._look = asyncio.create_task(self._poll())

    async def _poll(self) -> None:
        warned = False
        while True:
            try:
                if await self._cancels.is_recorded(self._key):
                    self.request()
                    return
            except (DynamoDBError, HttpError) as error:
                if not warned:
                    warned = True
                    self._cancels.warn(f"{self._request_id} cannot be stopped now: {type(error).__name__}: {error}")
            await asyncio.sleep(POLL_SECONDS)


def _key(caller: Caller, request_id: str) -> Item:
    digest = hashlib.sha256(msgspec.json.encode([caller.tenant, caller.key, request_id])).hexdigest()
    return {HASH_KEY: {"S": f"cancel#{digest}"}, SORT_KEY: {"N": "0"}}
