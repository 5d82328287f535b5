"""The table of jobs within a test's process: moto's, without a server, and a bucket that is a dictionary."""

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

from moto.dynamodb.exceptions import ConditionalCheckFailed
from moto.dynamodb.models import DynamoDBBackend

from llm_gateway.aws.dynamodb import ConditionFailed, DynamoDB, Item
from llm_gateway.aws.s3 import Bucket
from llm_gateway.jobs.job import ENDED
from llm_gateway.tables import JOBS, JOBS_BY_OWNER

TABLE, BUCKET = "the-jobs", "the-jobs-bucket"
ATTRIBUTES = (JOBS.hash_key, JOBS_BY_OWNER.hash_key, JOBS_BY_OWNER.sort_key)
INDEX = {
    "IndexName": JOBS_BY_OWNER.name,
    "KeySchema": [
        {"AttributeName": JOBS_BY_OWNER.hash_key, "KeyType": "HASH"},
        {"AttributeName": JOBS_BY_OWNER.sort_key, "KeyType": "RANGE"},
    ],
    "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": list(JOBS_BY_OWNER.included)},
}


class Table(DynamoDB):
    """A client of the table. Where `loses` is set, the answer to the next write is lost, so the client makes it again.

    `ends` counts how often each job has ended.
    """

    def __init__(self) -> None:
        self.loses = False
        self.ends: Counter[str] = Counter()
        self._backend = DynamoDBBackend("us-east-1", "123456789012")
        nothing = dict.fromkeys(("indexes", "streams", "sse_specification", "warm_throughput"))
        self._backend.create_table(
            TABLE,
            schema=[{"AttributeName": JOBS.hash_key, "KeyType": "HASH"}],
            throughput=None,
            attr=[{"AttributeName": name, "AttributeType": "S"} for name in ATTRIBUTES],
            billing_mode="PAY_PER_REQUEST",
            tags=[],
            deletion_protection_enabled=False,
            global_indexes=[INDEX],
            **nothing,
        )

    def ids(self) -> set[str]:
        """Return the ids of all jobs, expired ones, too."""
        return {_plain(item)[JOBS.hash_key]["S"] for item in self._backend.get_table(TABLE).all_items()}

    async def get_item(self, table: str, key: Item, *, consistent: bool = False) -> Item | None:
        found = self._backend.get_item(table, key)
        return None if found is None else _plain(found)

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
        for _ in range(self._times()):
            try:
                self._backend.put_item(
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
        item: Any = None
        for _ in range(self._times()):
            try:
                before = self._backend.get_item(table, key)
                was = None if before is None else _plain(before)["status"]["S"]
                item = self._backend.update_item(
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
            is_ended = _plain(item)["status"]["S"] in ENDED and was not in ENDED
            self.ends[key[JOBS.hash_key]["S"]] += is_ended
        return _plain(item)

    def _times(self) -> int:
        times, self.loses = 2 if self.loses else 1, False
        return times


class Objects(Bucket):
    """A bucket."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    async def put(self, key: str, content: bytes) -> None:
        self.kept[key] = content

    async def put_new(self, key: str, content: bytes) -> bool:
        return self.kept.setdefault(key, content) is content

    async def get(self, key: str) -> bytes | None:
        return self.kept.get(key)


def _plain(item: Any) -> Item:
    return json.loads(json.dumps(item.to_json()["Attributes"], default=str))


def _failed(failed: ConditionalCheckFailed) -> ConditionFailed:
    return ConditionFailed("", "", 400, json.loads(failed.description).get("Item", {}))
