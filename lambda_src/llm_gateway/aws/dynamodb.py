"""The few calls of DynamoDB that the gateway makes, over its own signed HTTP.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.LowLevelAPI.html
"""

from typing import Any

import msgspec

from llm_gateway.aws.client import Aws


class DynamoDBError(Exception):
    """An answer other than 200: `name` is the exception's, such as ConditionalCheckFailedException."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(f"{name}: {message}")
        self.name = name


class DynamoDB:
    """Calls take and give DynamoDB's JSON, attribute values typed as ``{"S": "text"}``."""

    def __init__(self, aws: Aws) -> None:
        self._aws = aws

    async def get_item(self, table: str, key: dict[str, Any]) -> dict[str, Any] | None:
        """The item of that key, None where there is none. Raises `DynamoDBError` and `http_client.HttpError`."""
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
