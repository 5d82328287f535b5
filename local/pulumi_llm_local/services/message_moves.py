"""SQS's message move tasks, which moto has not: they take the messages of a dead letter queue back to where they came from.

https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_StartMessageMoveTask.html

A task is over at once here. Without a destination it fails where others than SQS have sent a message to the queue. Messages
that somebody has received meanwhile stay, and come with the next task. "All redriven messages are considered new messages with
a new messageID and enqueueTime."
"""

import json
import time
import uuid
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_OPERATIONS = ("StartMessageMoveTask", "ListMessageMoveTasks")
# "The upper limit … is 500."
_MOST_PER_SECOND = 500
_MOST_LISTED = 10


class MoveError(Exception):
    """What SQS refuses."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def with_message_moves(app: "WSGIApplication") -> "WSGIApplication":
    """Answer the calls about message move tasks, and leave the others to moto."""
    tasks: dict[str, list[dict[str, Any]]] = {}

    def answer(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        service, _, operation = environ.get("HTTP_X_AMZ_TARGET", "").partition(".")
        if service != "AmazonSQS" or operation not in _OPERATIONS:
            return app(environ, start_response)
        asked = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
        try:
            known = tasks.setdefault(str(asked.get("SourceArn")), [])
            found = _start(asked, known) if operation == "StartMessageMoveTask" else {"Results": known[:_MOST_LISTED]}
        except MoveError as error:
            start_response("400 Bad Request", [("content-type", "application/x-amz-json-1.0")])
            return [json.dumps({"__type": f"com.amazonaws.sqs#{error.code}", "message": str(error)}).encode()]
        start_response("200 OK", [("content-type", "application/x-amz-json-1.0")])
        return [json.dumps(found).encode()]

    return answer


def _start(asked: Mapping[str, Any], tasks: list[dict[str, Any]]) -> dict[str, Any]:
    rate = asked.get("MaxNumberOfMessagesPerSecond")
    if rate is not None and not 1 <= int(rate) <= _MOST_PER_SECOND:
        raise MoveError("InvalidParameterValue", f"Value {rate} for parameter MaxNumberOfMessagesPerSecond is invalid.")
    handle, began = str(uuid.uuid4()), int(time.time() * 1000)
    moved = _moved(str(asked.get("SourceArn")), str(asked.get("DestinationArn") or ""))
    task: dict[str, Any] = {"Status": "COMPLETED", "SourceArn": asked["SourceArn"], "StartedTimestamp": began}
    if moved is None:
        moved, task = 0, {**task, "Status": "FAILED", "FailureReason": "CouldNotDetermineMessageSource"}
    tasks.insert(0, {**task, "ApproximateNumberOfMessagesMoved": moved, "ApproximateNumberOfMessagesToMove": moved})
    return {"TaskHandle": handle}


def _moved(source_arn: str, destination_arn: str) -> int | None:
    """Move the messages, and return how many there were; None if it is not known where to."""
    from moto.sqs.models import sqs_backends  # pyright: ignore[reportMissingTypeStubs]

    parts = source_arn.split(":")
    if len(parts) != 6 or parts[2] != "sqs":
        raise MoveError("InvalidAddress", f"The address {source_arn} is not valid for this endpoint.")
    backend: Any = sqs_backends[parts[4]][parts[3]]
    queues: dict[str, Any] = {queue.queue_arn: queue for queue in backend.queues.values()}
    if source_arn not in queues or (destination_arn and destination_arn not in queues):
        raise MoveError(
            "ResourceNotFoundException", "The resource that you specified for the SourceArn parameter doesn't exist."
        )
    dead_letters = queues[source_arn]
    sources = [queue for queue in queues.values() if queue.dead_letter_queue is dead_letters]
    if not sources:
        raise MoveError("InvalidParameterValue", "Source queue must be configured as a Dead Letter Queue.")
    destination = queues.get(destination_arn) or sources[0]
    waiting = [message for message in cast("list[Any]", dead_letters._messages) if message.visible]
    # SQS moves a message that has been received so often. One that was not has been sent.
    least = min(int(queue.redrive_policy["maxReceiveCount"]) for queue in sources)
    if not destination_arn and any(message.approximate_receive_count < least for message in waiting):
        return None
    for message in waiting:
        dead_letters._messages.remove(message)
        backend.send_message(destination.name, message.body, message_attributes=message.message_attributes)
    return len(waiting)
