"""The table of API keys: the hash of each key with its caller.

The component writes one item for each key; nothing writes at run time. Both take the form of an item from here.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from llm_gateway.identity.caller import Caller, connections_of, models_of, permission_attributes

if TYPE_CHECKING:  # the component imports only the form of an item, not an AWS client
    from llm_gateway.aws.dynamodb import DynamoDB

HASH_KEY = "key_hash"

# Seconds that a key is cached. A deleted key is refused after that time: at each request, and at each `chat` and `resume` of a
# connection that was made with it. What is being generated goes on to its end.
TRUST_SECONDS = 60.0
# The most keys in the cache.
_MAX_CACHED_KEYS = 1000


def item(key_hash: str, caller: Caller, *, websocket: bool = True) -> dict[str, Any]:
    """Return the item of a key. `websocket`: whether it may connect to a WebSocket API."""
    return {
        HASH_KEY: {"S": key_hash},
        "name": {"S": caller.key},
        "tenant": {"S": caller.tenant},
        **permission_attributes(caller),
        **({} if websocket else {"websocket": {"BOOL": False}}),
    }


class KeyStore:
    """Looks keys up by their hash and caches the known ones for `TRUST_SECONDS`.

    `websocket`: a WebSocket API asks, and a key that may not connect to one is unknown.
    """

    def __init__(self, dynamodb: "DynamoDB", table: str, clock: Callable[[], float], *, websocket: bool = False) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._websocket = websocket
        self._clock = clock
        self._cache: dict[str, tuple[float, Caller]] = {}

    async def find(self, key_hash: str) -> Caller | None:
        """Return the caller whose key has that hash, None if the key is unknown. Raises what `DynamoDB` raises."""
        read, caller = self._cache.get(key_hash, (0.0, None))
        if caller is not None and self._clock() - read < TRUST_SECONDS:
            return caller
        self._cache.pop(key_hash, None)
        found = await self._dynamodb.get_item(self._table, {HASH_KEY: {"S": key_hash}})
        if found is None or (self._websocket and not found.get("websocket", {"BOOL": True})["BOOL"]):
            return None
        caller = Caller(
            tenant=found["tenant"]["S"], key=found["name"]["S"], models=models_of(found), connections=connections_of(found)
        )
        if len(self._cache) >= _MAX_CACHED_KEYS:
            del self._cache[next(iter(self._cache))]
        self._cache[key_hash] = (self._clock(), caller)
        return caller
