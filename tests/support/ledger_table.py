"""The ledger's table within a test's process: moto's, without a server, so that thousands of writes take seconds."""

import json
from collections.abc import Callable
from typing import Any

from moto.dynamodb.exceptions import ConditionalCheckFailed
from moto.dynamodb.models import DynamoDBBackend

from llm_gateway.aws.dynamodb import ConditionFailed, DynamoDB, Item

TABLE = "the-ledger"


class Table:
    """The table. Its updates are not torn apart by others."""

    def __init__(self) -> None:
        self.backend = DynamoDBBackend("us-east-1", "123456789012")
        schema = [{"AttributeName": "holder", "KeyType": "HASH"}]
        attributes = [{"AttributeName": "holder", "AttributeType": "S"}]
        nothing = dict.fromkeys(("global_indexes", "indexes", "streams", "sse_specification", "warm_throughput"))
        self.backend.create_table(
            TABLE,
            schema=schema,
            throughput=None,
            attr=attributes,
            billing_mode="PAY_PER_REQUEST",
            tags=[],
            deletion_protection_enabled=False,
            **nothing,
        )

    def update(self, table: str, key: Item, update: str, **more: Any) -> Item:
        try:
            item = self.backend.update_item(
                table,
                key,
                update,
                more["names"],
                more["values"],
                condition_expression=more["condition"],
                return_values_on_condition_check_failure="ALL_OLD",
            )
        except ConditionalCheckFailed as failed:
            raise ConditionFailed("", "", 400, json.loads(failed.description).get("Item", {})) from None
        return json.loads(json.dumps(item.to_json()["Attributes"], default=str))

    def item(self, holder: str) -> Item:
        found = self.backend.get_item(TABLE, {"holder": {"S": holder}})
        return json.loads(json.dumps(found.to_json()["Attributes"], default=str)) if found is not None else {}

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
        return self._table.update(*args, **more)


def counters_of(item: Item) -> dict[str, int]:
    """The numbers of an item."""
    return {name: int(value["N"]) for name, value in item.items() if "N" in value}
