"""The ledger's table within a test's process: moto's, without a server, so that thousands of writes take seconds."""

import json
from collections.abc import Callable
from typing import Any

from llm_gateway.aws.dynamodb import DynamoDB, Item
from support.moto_table import MotoTable, plain

TABLE = "the-ledger"


class Table(MotoTable):
    """The table. Its updates are not torn apart by others."""

    def __init__(self) -> None:
        super().__init__(TABLE, {"holder": ("HASH", "S")})

    def item(self, holder: str) -> Item:
        found = self.backend.get_item(TABLE, {"holder": {"S": holder}})
        return {} if found is None else plain(found)

    def counters(self, *holder: str) -> dict[str, int]:
        return counters_of(self.item(json.dumps(holder, separators=(",", ":"))))


class Client(DynamoDB):
    """A client of the table. `before` is called before each write: others may come in between, and time may pass."""

    def __init__(self, table: Table, before: Callable[[], Any] | None = None) -> None:
        self._table = table
        self._before = before

    async def get_item(self, table: str, key: Item, *, consistent: bool = False) -> Item | None:
        return self._table.item(key["holder"]["S"])

    async def update_item(self, *args: Any, item_on_failure: bool = False, **more: Any) -> Item:
        assert item_on_failure
        if self._before is not None:
            await self._before()
        return await self._table.update_item(*args, **more)


def counters_of(item: Item) -> dict[str, int]:
    """The numbers of an item."""
    return {name: int(value["N"]) for name, value in item.items() if "N" in value}
