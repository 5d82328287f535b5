"""Tells the queues of sleeping servers that they are wanted, beside the requests that want them.

What scales the servers watches how many messages a queue holds. Nobody reads the messages: they expire by themselves.
"""

import asyncio
import time
from collections.abc import Mapping
from typing import Protocol

import msgspec

from llm_gateway.aws.sqs import SqsError
from llm_gateway.http.client import HttpError
from llm_gateway.telemetry import write_warning

# Seconds between two messages of this process to one queue. KEDA looks at a queue every 30 s by default.
# https://keda.sh/docs/latest/reference/scaledobject-spec/#pollinginterval
INTERVAL = 30.0
# Seconds after which a message that failed is sent again, at the next request.
RETRY_INTERVAL = 5.0
# Seconds that a message may take.
SEND_SECONDS = 3.0
# Seconds that the end of an answer waits for a message that is under way.
END_SECONDS = 1.0


class MessageSender(Protocol):
    """Sends a message to a queue. Raises `SqsError` or `HttpError`."""

    async def send_message(self, queue_url: str, body: str, *, timeout: float) -> None: ...


class Demand:
    """The demand for the servers of some providers.

    Args:
        sender: Sends the messages.
        queues: The URLs of the queues, by the names of the providers.
    """

    def __init__(self, sender: MessageSender, queues: Mapping[str, str]) -> None:
        self._sender = sender
        self._queues = queues
        self._silent_until: dict[str, float] = {}
        self._sending: set[asyncio.Task[None]] = set()

    def wake(self, provider: str) -> None:
        """Tell the queue of a provider, if it has one and was not told a moment ago. Returns at once."""
        queue_url = self._queues.get(provider)
        if queue_url is None:
            return
        now = time.monotonic()
        if self._silent_until.get(queue_url, now) > now:
            return
        self._silent_until[queue_url] = now + INTERVAL
        task = asyncio.get_running_loop().create_task(self._send(provider, queue_url))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def sent(self) -> None:
        """Wait until the messages have left, for `END_SECONDS` at most.

        Lambda freezes a function when its answer has ended, and with it a message that is under way.
        https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html
        """
        if self._sending:
            await asyncio.wait(self._sending, timeout=END_SECONDS)

    async def _send(self, provider: str, queue_url: str) -> None:
        body = msgspec.json.encode({"provider": provider}).decode()
        try:
            async with asyncio.timeout(SEND_SECONDS):
                await self._sender.send_message(queue_url, body, timeout=SEND_SECONDS)
        except (SqsError, HttpError, TimeoutError) as error:
            self._silent_until[queue_url] = time.monotonic() + RETRY_INTERVAL
            text = str(error) or f"no answer within {SEND_SECONDS:g} s"
            write_warning(f"{provider} cannot be woken: {text}")
