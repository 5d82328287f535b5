"""The calls of DynamoDB that the gateway makes.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.LowLevelAPI.html
"""

import asyncio
import random
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from llm_gateway.aws.client import Aws
from llm_gateway.http.client import HttpError

Item = dict[str, Any]
"""An item in DynamoDB's JSON, with typed attribute values such as ``{"S": "text"}``."""

# Attempts in all, and the seconds before the second one at most; each pause may be twice as long as the one before, as in AWS's
# SDKs. https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html#Programming.Errors.RetryAndBackoff
_ATTEMPTS = 4
_FIRST_PAUSE = 0.05
# Seconds that an attempt may take, and a call with all its attempts: the shortest function that makes one has 10 s.
_ATTEMPT_SECONDS = 2.0
_CALL_SECONDS = 5.0
# The errors that say that DynamoDB has done nothing, and may do it a moment later.
_THROTTLED = frozenset({"ProvisionedThroughputExceededException", "RequestLimitExceeded", "ThrottlingException"})
# The reasons for which a transaction is canceled, and may succeed a moment later.
_PASSING = frozenset({"TransactionConflict", "ProvisionedThroughputExceeded", "ThrottlingError"})


class DynamoDBError(Exception):
    """DynamoDB answered with an error.

    `name` is the exception's name, such as ValidationException. `temporary`: another attempt may succeed.
    """

    def __init__(self, name: str, message: str, status: int) -> None:
        super().__init__(f"{name}: {message}")
        self.name = name
        self.temporary = status >= 500 or name in _THROTTLED


class ConditionFailed(DynamoDBError):
    """The condition of a write does not hold, so nothing was written.

    `item` is the item as it is, where that was asked for; empty where there is none.
    """

    def __init__(self, name: str, message: str, status: int, item: Item) -> None:
        super().__init__(name, message, status)
        self.item = item


class TransactionCanceled(DynamoDBError):
    """Nothing of a transaction was written. `reasons` has a code for each write, "None" where it is not the reason.

    https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html
    """

    def __init__(self, name: str, message: str, status: int, reasons: Sequence[str]) -> None:
        super().__init__(name, message, status)
        self.reasons = reasons
        self.temporary = bool(reasons) and all(reason == "None" or reason in _PASSING for reason in reasons)


class Update:
    """An update that is put together: the parts of its expression, its conditions, and the names and values of both."""

    def __init__(self) -> None:
        self.names: dict[str, str] = {}
        self.values: Item = {}
        self.adds: list[str] = []
        self.deletes: list[str] = []
        self.sets: list[str] = []
        self.removes: list[str] = []
        self.conditions: list[str] = []

    def name(self, attribute: str) -> str:
        placeholder = f"#n{len(self.names)}"
        self.names[placeholder] = attribute
        return placeholder

    def value(self, kind: str, value: Any) -> str:
        placeholder = f":v{len(self.values)}"
        self.values[placeholder] = {kind: value}
        return placeholder

    def expression(self) -> str:
        clauses = {"ADD": self.adds, "DELETE": self.deletes, "SET": self.sets, "REMOVE": self.removes}
        return " ".join(f"{verb} {', '.join(parts)}" for verb, parts in clauses.items() if parts)


class DynamoDB:
    """A client. Every method raises `DynamoDBError` or `HttpError`, and `ConditionFailed` where it takes a condition.

    A call that fails for a reason that may pass is made again. So a write may be carried out twice, and its condition may fail
    because of the write itself: whoever makes it has to recognize that.

    `names` and `values` are those that the expressions refer to, such as ``{"#s": "status"}`` and ``{":one": {"N": "1"}}``.
    With `item_on_failure`, the `ConditionFailed` has the item, at no further cost.
    """

    def __init__(self, aws: Aws) -> None:
        self._aws = aws

    async def get_item(self, table: str, key: Item, *, consistent: bool = False) -> Item | None:
        """Return the item with that key, None if there is none."""
        body = {"TableName": table, "Key": key, **({"ConsistentRead": True} if consistent else {})}
        answer = await self._call("GetItem", body)
        return answer.get("Item")

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
        """Write an item, in the place of one with its key."""
        body = {"TableName": table, "Item": item, **_on_failure(item_on_failure), **_expressions(condition, names, values)}
        await self._call("PutItem", body)

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
        """Change an item, and return it as it is then. An item that is not there is made, unless the condition forbids it."""
        body = {
            "TableName": table,
            "Key": key,
            "UpdateExpression": update,
            "ReturnValues": "ALL_NEW",
            **_on_failure(item_on_failure),
            **_expressions(condition, names, values),
        }
        answer = await self._call("UpdateItem", body)
        return answer["Attributes"]

    async def batch_get(self, table: str, keys: Sequence[Item]) -> list[Item]:
        """Return the items with those keys, 100 at most, as they are now, in any order."""
        items: list[Item] = []
        left: dict[str, Any] = {table: {"Keys": list(keys), "ConsistentRead": True}}
        while left:
            answer = await self._call("BatchGetItem", {"RequestItems": left})
            items += answer["Responses"].get(table, ())
            left = answer.get("UnprocessedKeys") or {}
        return items

    async def transact_write(self, writes: Sequence[Mapping[str, Any]]) -> None:
        """Make up to 100 writes of different items, all or none of them, such as ``{"Put": {"TableName": …, "Item": …}}``.

        Raises `TransactionCanceled` where a condition does not hold, or an item is being written by others.
        """
        await self._call("TransactWriteItems", {"TransactItems": writes})

    async def delete_item(self, table: str, key: Item) -> Item | None:
        """Delete the item with that key, and return it as it was; None if there is none."""
        answer = await self._call("DeleteItem", {"TableName": table, "Key": key, "ReturnValues": "ALL_OLD"})
        return answer.get("Attributes")

    async def query(self, table: str, condition: str, values: Item) -> list[Item]:
        """Return all items that fulfil a condition on their key, in the order of their sort key."""
        items: list[Item] = []
        body: dict[str, Any] = {
            "TableName": table,
            "KeyConditionExpression": condition,
            "ExpressionAttributeValues": values,
            "ConsistentRead": True,
        }
        while True:
            answer = await self._call("Query", body)
            items += answer["Items"]
            if not (last := answer.get("LastEvaluatedKey")):
                return items
            body["ExclusiveStartKey"] = last

    async def query_index(
        self,
        table: str,
        index: str,
        condition: str,
        values: Item,
        *,
        names: Mapping[str, str],
        start: Item | None,
        limit: int,
        ascending: bool = False,
    ) -> tuple[list[Item], Item | None]:
        """Return a page of the items that fulfil a condition on the key of an index, the last ones of its sort key first unless
        `ascending`.

        `start` is the key of the item after which the page begins. The second result is that of the next page, None if there is
        none. An index may lag behind its table.
        """
        body: dict[str, Any] = {
            "TableName": table,
            "IndexName": index,
            "KeyConditionExpression": condition,
            "ExpressionAttributeNames": names,
            "ExpressionAttributeValues": values,
            "ScanIndexForward": ascending,
            "Limit": limit,
            **({"ExclusiveStartKey": start} if start else {}),
        }
        answer = await self._call("Query", body)
        return answer["Items"], answer.get("LastEvaluatedKey")

    async def count_index(
        self, table: str, index: str, condition: str, values: Item, *, names: Mapping[str, str], only: str, most: int
    ) -> int:
        """Return how many items fulfil a condition on the key of an index, and the one on their attributes, `only`.

        Of more than `most`, it is any number above that: only about so many are read. An index may lag behind its table.
        """
        count = 0
        body: dict[str, Any] = {
            "TableName": table,
            "IndexName": index,
            "Select": "COUNT",
            "KeyConditionExpression": condition,
            "FilterExpression": only,
            "ExpressionAttributeNames": names,
            "ExpressionAttributeValues": values,
            "Limit": most + 1,
        }
        while True:
            answer = await self._call("Query", body)
            count += answer["Count"]
            if count > most or not (last := answer.get("LastEvaluatedKey")):
                return count
            body["ExclusiveStartKey"] = last

    async def _call(self, operation: str, body: dict[str, Any]) -> dict[str, Any]:
        loop = asyncio.get_running_loop()
        end = loop.time() + _CALL_SECONDS
        content = msgspec.json.encode(body)
        pauses = [_FIRST_PAUSE * 2**n for n in range(_ATTEMPTS - 1)]
        while True:
            try:
                return await self._attempt(operation, content, end)
            except (DynamoDBError, HttpError) as error:
                lasting = isinstance(error, DynamoDBError) and not error.temporary
                if lasting or not pauses or loop.time() + pauses[0] > end:
                    raise
            await asyncio.sleep(pauses.pop(0) * random.random())  # noqa: S311

    async def _attempt(self, operation: str, content: bytes, deadline: float) -> dict[str, Any]:
        response = await self._aws.post(
            "dynamodb",
            "/",
            [("content-type", "application/x-amz-json-1.0"), ("x-amz-target", f"DynamoDB_20120810.{operation}")],
            content,
            response_timeout=_ATTEMPT_SECONDS,
            read_timeout=_ATTEMPT_SECONDS,
            deadline=deadline,
        )
        async with response:
            received = await response.read()
        try:
            answer: dict[str, Any] = msgspec.json.decode(received)
        except msgspec.DecodeError:
            raise DynamoDBError(str(response.status), "the answer is not JSON", response.status) from None
        if response.status != 200:
            name = str(answer.get("__type", response.status)).split("#")[-1]
            text = self._aws.redact(str(answer.get("message") or answer.get("Message") or ""))
            if name == "TransactionCanceledException":
                reasons: list[dict[str, Any]] = answer.get("CancellationReasons") or []
                raise TransactionCanceled(name, text, response.status, [str(each.get("Code")) for each in reasons])
            if name != "ConditionalCheckFailedException":
                raise DynamoDBError(name, text, response.status)
            raise ConditionFailed(name, text, response.status, answer.get("Item", {}))
        return answer


def _on_failure(item: bool) -> dict[str, str]:
    return {"ReturnValuesOnConditionCheckFailure": "ALL_OLD"} if item else {}


def _expressions(condition: str | None, names: Mapping[str, str] | None, values: Item | None) -> dict[str, Any]:
    """Return the parts of a write that are given; DynamoDB refuses empty ones."""
    given = {
        "ConditionExpression": condition,
        "ExpressionAttributeNames": names,
        "ExpressionAttributeValues": values,
    }
    return {name: value for name, value in given.items() if value}
