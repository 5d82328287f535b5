"""The calls of SQS that the gateway makes.

https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-making-api-requests-json.html
"""

from typing import Any

import msgspec

from llm_gateway.aws.client import Aws


class SqsError(Exception):
    """SQS has refused a call."""


class Sqs:
    """A client. `timeout` is in seconds, for each wait. Every method raises `SqsError` or `HttpError`."""

    def __init__(self, aws: Aws) -> None:
        self._aws = aws

    async def send_message(self, queue_url: str, body: str, *, delay: int = 0, timeout: float) -> None:
        """Send a message to a standard queue, which hands it out after `delay` seconds, 900 at most."""
        message = {"QueueUrl": queue_url, "MessageBody": body, **({"DelaySeconds": delay} if delay else {})}
        await self._call("SendMessage", message, timeout)

    async def change_visibility(self, queue_url: str, receipt: str, seconds: int, *, timeout: float) -> None:
        """Hide a received message for so many seconds from now on, 0 to 43,200."""
        body = {"QueueUrl": queue_url, "ReceiptHandle": receipt, "VisibilityTimeout": seconds}
        await self._call("ChangeMessageVisibility", body, timeout)

    async def _call(self, operation: str, body: dict[str, Any], timeout: float) -> bytes:
        response = await self._aws.post(
            "sqs",
            "/",
            [("content-type", "application/x-amz-json-1.0"), ("x-amz-target", f"AmazonSQS.{operation}")],
            msgspec.json.encode(body),
            response_timeout=timeout,
            read_timeout=timeout,
        )
        async with response:
            received = await response.read()
        if response.status != 200:
            raise SqsError(f"status {response.status}: {received[:300].decode(errors='replace')}")
        return received
