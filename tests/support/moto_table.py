"""A table of moto's within a test's process, without a server."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from moto.dynamodb.comparisons import get_filter_expression
from moto.dynamodb.exceptions import ConditionalCheckFailed
from moto.dynamodb.models import DynamoDBBackend
from moto.dynamodb.models.dynamo_type import DynamoType

from llm_gateway.aws.dynamodb import ConditionFailed, DynamoDB, Item


class MotoTable(DynamoDB):
    """A client of the table.

    `keys` are the table's key attributes: the type of key and of value of each, such as ("HASH", "S"). `others` are the types
    of further attributes, which an index needs.
    """

    def __init__(
        self,
        table: str,
        keys: Mapping[str, tuple[str, str]],
        others: Mapping[str, str] | None = None,
        indexes: list[dict[str, Any]] | None = None,
    ) -> None:
        self.backend = DynamoDBBackend("us-east-1", "123456789012")
        types = {name: of for name, (_, of) in keys.items()} | dict(others or {})
        nothing = dict.fromkeys(("indexes", "streams", "sse_specification", "warm_throughput"))
        self.backend.create_table(
            table,
            schema=[{"AttributeName": name, "KeyType": kind} for name, (kind, _) in keys.items()],
            throughput=None,
            attr=[{"AttributeName": name, "AttributeType": of} for name, of in types.items()],
            billing_mode="PAY_PER_REQUEST",
            tags=[],
            deletion_protection_enabled=False,
            global_indexes=indexes,
            **nothing,
        )

    async def get_item(self, table: str, key: Item, *, consistent: bool = False) -> Item | None:
        found = self.backend.get_item(table, key)
        return None if found is None else plain(found)

    async def batch_get(self, table: str, keys: Sequence[Item]) -> list[Item]:
        found = [await self.get_item(table, key) for key in keys]
        return [item for item in found if item is not None]

    async def put_item(
        self,
        table: str,
        item: Item,
        *,
        condition: str | None = None,
        names: Mapping[str, str] | None = None,
        values: Item | None = None,
        item_on_failure: bool = False,
    ) -> None:
        try:
            self.backend.put_item(
                table,
                item,
                condition_expression=condition,
                expression_attribute_names=dict(names or {}),
                expression_attribute_values=dict(values or {}),
                return_values_on_condition_check_failure="ALL_OLD",
            )
        except ConditionalCheckFailed as failed:
            raise _failed(failed) from None

    async def update_item(
        self,
        table: str,
        key: Item,
        update: str,
        *,
        condition: str | None = None,
        names: Mapping[str, str] | None = None,
        values: Item | None = None,
        item_on_failure: bool = False,
    ) -> Item:
        try:
            item = self.backend.update_item(
                table,
                key,
                update,
                dict(names or {}),
                dict(values or {}),
                condition_expression=condition,
                return_values_on_condition_check_failure="ALL_OLD",
            )
        except ConditionalCheckFailed as failed:
            raise _failed(failed) from None
        return plain(item)

    async def count_index(
        self, table: str, index: str, condition: str, values: Item, *, names: Mapping[str, str], only: str, most: int
    ) -> int:
        name, value = condition.split(" = ")
        found, *_ = self.backend.get_table(table).query(
            hash_key=DynamoType(values[value]),
            hash_key_conditions=[(names[name], DynamoType(values[value]))],
            range_comparison=None,
            range_objs=[],
            limit=most + 1,
            exclusive_start_key=None,  # pyright: ignore[reportArgumentType]
            scan_index_forward=True,
            projection_expressions=None,
            index_name=index,
            filter_expression=get_filter_expression(only, dict(names), dict(values)),
        )
        return len(found)


def plain(item: Any) -> Item:
    """Return an item of moto's as DynamoDB answers with it."""
    return json.loads(json.dumps(item.to_json()["Attributes"], default=str))


def _failed(failed: ConditionalCheckFailed) -> ConditionFailed:
    return ConditionFailed("", "", 400, json.loads(failed.description).get("Item", {}))
