"""A queue of jobs within a test's process, as SQS's documentation describes a standard queue with a dead-letter queue.

A received message is hidden for the visibility timeout, and comes again unless it is deleted by its latest receipt. Once it has
been received as often as it may be, the next receive moves it to the dead-letter queue.
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-dead-letter-queues.html
"""

import json
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from llm_functions.job_runner import LONGEST_DELAY, Queue
from llm_gateway.queues import MOST_RECEIVES
from llm_gateway.tables import JOB_ACCEPTED, JOB_EVENT_SOURCE, JOB_VERSION

VISIBILITY_SECONDS = 960.0


@dataclass
class Message:
    id: str
    body: str
    visible_at: float
    receives: int = 0
    receipt: str = ""


class StandInQueue(Queue):
    """The queue. `clock` gives seconds; `hidden` is what messages have been hidden for, by their ids, and
    `delays` after how many seconds those that a run has sent were to come."""

    def __init__(self, clock: Callable[[], float], most_receives: int = MOST_RECEIVES) -> None:
        self.messages: dict[str, Message] = {}
        self.dead: dict[str, Message] = {}
        self.hidden: dict[str, list[float]] = {}
        self.delays: list[float] = []
        self._clock = clock
        self._most = most_receives
        self._number = 0

    def send(self, job: str, version: int = 1) -> str:
        """Send the event of a job, as EventBridge hands it to a queue. Returns the message's id."""
        detail = {"job": job, JOB_VERSION: str(version)}
        event = {"version": "0", "detail-type": JOB_ACCEPTED, "source": JOB_EVENT_SOURCE, "detail": detail}
        return self.send_body(json.dumps(event))

    def send_body(self, body: str, delay: float = 0) -> str:
        self._number += 1
        id = f"message-{self._number}"
        self.messages[id] = Message(id, body, self._clock() + delay)
        return id

    def receive(self, most: int = 10) -> list[dict[str, Any]]:
        """Return records as the event source mapping hands them to a function."""
        records: list[dict[str, Any]] = []
        for message in list(self.messages.values()):
            if message.visible_at > self._clock() or len(records) == most:
                continue
            if message.receives >= self._most:
                self.dead[message.id] = self.messages.pop(message.id)
                continue
            self._number += 1
            message.receives += 1
            message.receipt = f"receipt-{self._number}"
            message.visible_at = self._clock() + VISIBILITY_SECONDS
            attributes = {"ApproximateReceiveCount": str(message.receives)}
            records.append(
                {
                    "messageId": message.id,
                    "receiptHandle": message.receipt,
                    "body": message.body,
                    "attributes": attributes,
                    "eventSource": "aws:sqs",
                }
            )
        return records

    def delete(self, records: list[dict[str, Any]], kept: Collection[str]) -> None:
        """Delete the messages of a batch that the function has not named."""
        for record in records:
            message = self.messages.get(record["messageId"])
            if message is not None and message.id not in kept and message.receipt == record["receiptHandle"]:
                del self.messages[message.id]

    def redrive(self) -> None:
        """Move the dead messages back: each is a new one then."""
        for message in self.dead.values():
            self.send_body(message.body)
        self.dead.clear()

    async def send_dead_letter(self, body: str) -> bool:
        self._number += 1
        id = f"dead-letter-{self._number}"
        self.dead[id] = Message(id, body, self._clock())
        return True

    async def send_later(self, body: str, seconds: float) -> bool:
        self.delays.append(seconds)
        self.send_body(body, min(int(seconds) + 1, LONGEST_DELAY))
        return True

    async def hide(self, receipt: str, seconds: float) -> None:
        for message in self.messages.values():
            if message.receipt == receipt:
                message.visible_at = self._clock() + int(seconds)
                self.hidden.setdefault(message.id, []).append(seconds)
