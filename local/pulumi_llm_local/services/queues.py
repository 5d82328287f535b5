"""The program's queues, which moto holds, for the services that read from them and send to them."""

from collections.abc import Mapping, Sequence
from typing import Any

import aiohttp

from pulumi_llm_local.program.graph import Graph
from pulumi_llm_local.services import moto

# "Long polling", at most. https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ReceiveMessage.html
LONGEST_WAIT_SECONDS = 20
# How many messages one call takes, gives or deletes.
MOST_MESSAGES = 10


class Queues:
    """The queues of a program, in moto at its URL. Every call raises `MotoError` and `aiohttp.ClientError`."""

    def __init__(self, graph: Graph, moto_url: str) -> None:
        self._moto_url = moto_url
        self._region = graph.region
        self._urls = {str(queue.state["arn"]): str(queue.state["url"]) for queue in graph.of_type(moto.QUEUE)}
        self._session: aiohttp.ClientSession | None = None

    def url(self, arn: str) -> str:
        """The URL of a queue of the program's, empty if it is none."""
        return self._urls.get(arn, "")

    async def send(self, url: str, body: str, attributes: Mapping[str, str] | None = None) -> None:
        """Send one message, with its attributes, which are texts."""
        texts = {name: {"DataType": "String", "StringValue": value} for name, value in (attributes or {}).items()}
        await self._call("SendMessage", {"QueueUrl": url, "MessageBody": body, "MessageAttributes": texts})

    async def receive(self, url: str, most: int, wait_seconds: float) -> list[dict[str, Any]]:
        """Wait for messages and return them: as many as are there, at most `most`."""
        body = {
            "QueueUrl": url,
            "MaxNumberOfMessages": min(most, MOST_MESSAGES),
            "WaitTimeSeconds": min(int(wait_seconds), LONGEST_WAIT_SECONDS),
            "AttributeNames": ["All"],
            "MessageAttributeNames": ["All"],
        }
        return (await self._call("ReceiveMessage", body)).get("Messages", [])

    async def delete(self, url: str, receipt_handles: Sequence[str]) -> None:
        """Delete received messages."""
        for start in range(0, len(receipt_handles), MOST_MESSAGES):
            chunk = receipt_handles[start : start + MOST_MESSAGES]
            entries = [{"Id": str(index), "ReceiptHandle": handle} for index, handle in enumerate(chunk)]
            await self._call("DeleteMessageBatch", {"QueueUrl": url, "Entries": entries})

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def _call(self, operation: str, body: Mapping[str, Any]) -> dict[str, Any]:
        self._session = self._session or aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=32))
        return await moto.call(self._session, self._moto_url, self._region, "sqs", f"AmazonSQS.{operation}", body)
