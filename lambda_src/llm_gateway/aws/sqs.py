"""The call of SQS that the gateway makes.

https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-making-api-requests-json.html
"""

import msgspec

from llm_gateway.aws.client import Aws


class SqsError(Exception):
    """SQS has refused a message."""


class Sqs:
    def __init__(self, aws: Aws) -> None:
        self._aws = aws

    async def send_message(self, queue_url: str, body: str, *, timeout: float) -> None:
        """Send a message to a standard queue. `timeout` is in seconds, for each wait. Raises `SqsError` or `HttpError`."""
        response = await self._aws.post(
            "sqs",
            "/",
            [("content-type", "application/x-amz-json-1.0"), ("x-amz-target", "AmazonSQS.SendMessage")],
            msgspec.json.encode({"QueueUrl": queue_url, "MessageBody": body}),
            response_timeout=timeout,
            read_timeout=timeout,
        )
        async with response:
            received = await response.read()
        if response.status != 200:
            raise SqsError(f"status {response.status}: {received[:300].decode(errors='replace')}")
