"""The table of API keys: a key's hash, and whose it is.

The component writes an item a key; nothing writes one at run time. The item's shape stands here for both.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from llm_gateway.identity.caller import Caller

if TYPE_CHECKING:  # the component reads the item's shape here, and has no use for an AWS client
    from llm_gateway.aws.dynamodb import DynamoDB

HASH_KEY = "key_hash"

# Seconds that a process trusts what it read: a key that is taken away is refused everywhere after that time.
TRUST_SECONDS = 60.0
# The most keys that a process remembers.
_REMEMBERED = 1000


def item(key_hash: str, caller: Caller) -> dict[str, Any]:
    """The table's item for a key."""
    return {
        HASH_KEY: {"S": key_hash},
        "name": {"S": caller.key},
        "tenant": {"S": caller.tenant},
        "models": {"L": [{"S": name} for name in caller.models]},
    }


class KeyStore:
    """Looks keys up by their hash, and remembers the known ones for `TRUST_SECONDS`."""

    def __init__(self, dynamodb: "DynamoDB", table: str, clock: Callable[[], float]) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._clock = clock
        self._known: dict[str, tuple[float, Caller]] = {}

    async def find(self, key_hash: str) -> Caller | None:
        """The caller whose key has that hash, None for an unknown one. Raises what `DynamoDB` raises."""
        read, caller = self._known.get(key_hash, (0.0, None))
        if caller is not None and self._clock() - read < TRUST_SECONDS:
            return caller
        self._known.pop(key_hash, None)
        found = await self._dynamodb.get_item(self._table, {HASH_KEY: {"S": key_hash}})
        if found is None:
            return None
        caller = Caller(
            tenant=found["tenant"]["S"],
            key=found["name"]["S"],
            models=tuple(model["S"] for model in found["models"]["L"]),
        )
        if len(self._known) >= _REMEMBERED:
            del self._known[next(iter(self._known))]
        self._known[key_hash] = (self._clock(), caller)
        return caller
