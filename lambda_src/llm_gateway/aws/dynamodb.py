"""The calls of DynamoDB that the gateway makes.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.LowLevelAPI.html
"""

from typing import Any

import msgspec

from llm_gateway.aws.client import Aws


class DynamoDBError(Exception):
    """DynamoDB answered with an error. `name` is the exception's name, such as ConditionalCheckFailedException."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(f"{name}: {message}")
        self.name = name


class DynamoDB:
    """A client. Its items are DynamoDB's JSON, with typed attribute values such as ``{"S": "text"}``."""

    def __init__(self, aws: Aws) -> None:
        self._aws = aws

    async def get_item(self, table: str, key: dict[str, Any]) -> dict[str, Any] | None:
        """Return the item with that key, None if there is none. Raises `DynamoDBError` or `HttpError`."""
        answer = await self._call("GetItem", {"TableName": table, "Key": key})
        return answer.get("Item")

    async def _call(self, operation: str, body: dict[str, Any]) -> dict[str, Any]:
        response = await self._aws.post(
            "dynamodb",
            "/",
            [("content-type", "application/x-amz-json-1.0"), ("x-amz-target", f"DynamoDB_20120810.{operation}")],
            msgspec.json.encode(body),
            response_timeout=2.0,
            read_timeout=2.0,
        )
        async with response:
            answer: dict[str, Any] = msgspec.json.decode(await response.read())
        if response.status != 200:
            raise DynamoDBError(str(answer.get("__type", response.status)).split("#")[-1], str(answer.get("message", "")))
        return answer
