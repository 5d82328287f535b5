"""How many connections a caller has open: one item for each caller, in the table of connections.

Connections are counted in windows of ten minutes, by when they began: `open_connections` is how many are open in all,
`began_N` how many began in the window number N, `ended_N` how many of those have ended. So the item has the same size however
many there are, and a connection costs one write unit when it begins and one when it ends.

API Gateway reports the end of a connection at its best effort only, and lets none live longer than two hours. So two hours
after a window, whatever is still counted in it is over, and is taken off.
https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-route-keys-connect-disconnect.html
https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-execution-service-websocket-limits-table.html
"""

import contextlib
import time
from collections.abc import Callable

import msgspec

from llm_gateway import errors
from llm_gateway.aws.dynamodb import ConditionFailed, DynamoDB, DynamoDBError, Item
from llm_gateway.http.client import HttpError
from llm_gateway.identity.caller import Caller
from llm_gateway.tables import CONNECTIONS

HASH_KEY, _, TTL_ATTRIBUTE = CONNECTIONS

LIFE_SECONDS = 2 * 3600
WINDOW_SECONDS = 600
# How many connections may begin within a window, for each that may be open at once. A client that connects again and again
# would otherwise take up what all callers may open in a second, and begin with new limits each time.
OPENINGS = 10
_LAST_BEGAN, _LAST_ENDED = "last_began", "last_ended"


class OpenConnections:
    """The counts. Its methods raise `DynamoDBError` or `HttpError`. `clock` gives seconds since the epoch.

    DynamoDB's client may carry a write out twice. The item has the last connection that began and the last that ended, so that
    it counts neither again, unless another one came in between: then one is counted wrongly until its window is over.
    """

    def __init__(self, dynamodb: DynamoDB, table: str, clock: Callable[[], float] = time.time) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._clock = clock

    async def begin(self, connection: str, caller: Caller, limit: int) -> int:
        """Count a connection that begins. Returns the number of its window.

        Raises the error 429 if the caller has `limit` connections open, or has opened too many in this window.
        """
        window = int(self._clock()) // WINDOW_SECONDS
        try:
            item = await self._count(connection, caller, window, limit)
        except ConditionFailed:
            item = await self._dynamodb.get_item(self._table, _key(caller), consistent=True) or {}
            if item.get(_LAST_BEGAN) == {"S": connection}:
                return window
            if not _over(item, window):
                raise errors.too_many_connections(limit=limit) from None
            await self._take_off(caller, item, window)
            try:
                await self._count(connection, caller, window, limit)
            except ConditionFailed:
                raise errors.too_many_connections(limit=limit) from None
            return window
        if _over(item, window):
            with contextlib.suppress(DynamoDBError, HttpError):  # the next one does it
                await self._take_off(caller, item, window)
        return window

    async def end(self, connection: str, caller: Caller, window: int) -> None:
        """Count the end of a connection that began in a window."""
        with contextlib.suppress(ConditionFailed):  # the window is over
            await self._dynamodb.update_item(
                self._table,
                _key(caller),
                f"ADD open_connections :less, ended_{window} :one SET {_LAST_ENDED} = :connection",
                condition=f"attribute_exists(began_{window}) AND open_connections > :none AND {_another(_LAST_ENDED)}",
                values={":less": {"N": "-1"}, ":one": {"N": "1"}, ":none": {"N": "0"}, ":connection": {"S": connection}},
            )

    async def _count(self, connection: str, caller: Caller, window: int, limit: int) -> Item:
        """Count one more, and return the item. Raises `ConditionFailed` if there are too many."""
        began = f"began_{window}"
        return await self._dynamodb.update_item(
            self._table,
            _key(caller),
            f"ADD open_connections :one, {began} :one SET {_LAST_BEGAN} = :connection, {TTL_ATTRIBUTE} = :kept",
            condition="(attribute_not_exists(open_connections) OR open_connections < :limit) "
            f"AND (attribute_not_exists({began}) OR {began} < :openings) AND {_another(_LAST_BEGAN)}",
            values={
                ":one": {"N": "1"},
                ":connection": {"S": connection},
                ":limit": {"N": str(limit)},
                ":openings": {"N": str(OPENINGS * limit)},
                # Longer than any connection of it lives.
                ":kept": {"N": str(int(self._clock()) + LIFE_SECONDS + 2 * WINDOW_SECONDS)},
            },
        )

    async def _take_off(self, caller: Caller, item: Item, window: int) -> None:
        """Forget the windows that are over, unless somebody else has done it or changed one of them."""
        lost, conditions, values = 0, list[str](), dict[str, object]()
        over = _over(item, window)
        for each in over:
            began, ended = item[f"began_{each}"], item.get(f"ended_{each}")
            lost += int(began["N"]) - int(ended["N"] if ended else 0)
            conditions.append(f"began_{each} = :began_{each}")
            values[f":began_{each}"] = began
            if ended:
                conditions.append(f"ended_{each} = :ended_{each}")
                values[f":ended_{each}"] = ended
            else:
                conditions.append(f"attribute_not_exists(ended_{each})")
        forgotten = ", ".join(f"began_{each}, ended_{each}" for each in over)
        with contextlib.suppress(ConditionFailed):
            await self._dynamodb.update_item(
                self._table,
                _key(caller),
                f"SET open_connections = open_connections - :lost REMOVE {forgotten}",
                condition=" AND ".join(conditions),
                values={**values, ":lost": {"N": str(lost)}},
            )


def _another(attribute: str) -> str:
    """The condition that an attribute does not have this connection."""
    return f"(attribute_not_exists({attribute}) OR {attribute} <> :connection)"


def _over(item: Item, window: int) -> list[int]:
    """Return the windows of an item whose connections have all ended."""
    begun = [int(name.removeprefix("began_")) for name in item if name.startswith("began_")]
    return [each for each in begun if each + LIFE_SECONDS // WINDOW_SECONDS < window]


def _key(caller: Caller) -> Item:
    return {HASH_KEY: {"S": msgspec.json.encode(["connections", caller.tenant, caller.key]).decode()}}
