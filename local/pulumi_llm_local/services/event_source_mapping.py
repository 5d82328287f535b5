"""The program's event source mappings from an SQS queue to a function: Lambda polls the queue and invokes the function.

https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html
https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html

Messages that the function has not dealt with come back when the queue's visibility timeout is over, and go to the queue's dead
letter queue once they have been received often enough. Not played: filter criteria, FIFO queues, provisioned pollers, other
sources.
"""

import asyncio
import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

import aiohttp

from pulumi_llm_local.program.graph import Graph, Resource
from pulumi_llm_local.services import moto
from pulumi_llm_local.services.event_log import EventLog
from pulumi_llm_local.services.lambda_function import Function, FunctionError, FunctionThrottled
from pulumi_llm_local.services.local_run import LocalError, LocalRun
from pulumi_llm_local.services.queues import LONGEST_WAIT_SECONDS, MOST_MESSAGES, Queues

MAPPING = "aws:lambda/eventSourceMapping:EventSourceMapping"
PLAYED = frozenset({MAPPING})
IMPLIED = frozenset[str]()
_KEYS = frozenset(
    {
        *("batchSize", "enabled", "eventSourceArn", "functionName", "functionResponseTypes", "maximumBatchingWindowInSeconds"),
        *("scalingConfig", "metricsConfig", "tags", "tagsAll", "region"),
    }
)
# https://docs.aws.amazon.com/lambda/latest/api/API_CreateEventSourceMapping.html
_BATCH_SIZE, _MOST_BATCH, _MOST_WINDOW = 10, 10_000, 300
# "Lambda starts processing five batches at a time". It would start more while messages wait; one machine has no use for that.
_CONCURRENCY = 5
# The attributes of a message that Lambda hands on.
_ATTRIBUTES = (
    *("ApproximateReceiveCount", "SentTimestamp", "SenderId", "ApproximateFirstReceiveTimestamp"),
    *("AWSTraceHeader", "DeadLetterQueueSourceArn"),
)
# Seconds before a throttled invocation is tried again, and before a queue that cannot be read is asked again.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 10.0


async def start(run: LocalRun) -> None:
    """Poll for every mapping that is enabled. Raises `LocalError` for what is not played, or what AWS refuses."""
    resources = list(run.graph.of_type(MAPPING))
    if not resources:
        return
    queues = Queues(run.graph, run.variables[moto.SQS_ENDPOINT])
    run.stop.push_async_callback(queues.close)
    for resource in resources:
        log = EventLog(run.logs / f"{resource.name}.log")
        mapping = EventSourceMapping(resource, run.graph, queues, run.functions, log)
        run.stop.push_async_callback(mapping.stop)
        mapping.start()


class EventSourceMapping:
    """One mapping. Raises `LocalError`."""

    def __init__(
        self, resource: Resource, graph: Graph, queues: Queues, functions: Mapping[str, Function], log: EventLog
    ) -> None:
        state = resource.state
        self._name = resource.name
        self._queues, self._log = queues, log
        self._enabled = state.get("enabled") is not False
        self._arn = str(state.get("eventSourceArn"))
        self._url = queues.url(self._arn)
        self._region = graph.region
        if unplayed := sorted(key for key, value in resource.inputs.items() if value is not None and key not in _KEYS):
            raise self._error(f"{', '.join(unplayed)} is not played")
        named = re.fullmatch(r"(?:arn:[^:]+:lambda:[^:]+:\d+:function:)?([^:]+)(?::[^:]+)?", str(state["functionName"]))
        if named is None or named[1] not in functions:
            raise self._error(f"{state['functionName']} is no function of the program")
        self._function = functions[named[1]]
        queue = next((each.state for each in graph.of_type(moto.QUEUE) if each.state["url"] == self._url), None)
        if queue is None or queue.get("fifoQueue"):
            raise self._error(f"{self._arn} is not played: only a standard queue of the program's own is")
        self._visibility_seconds = float(queue["visibilityTimeoutSeconds"])
        if self._visibility_seconds < self._function.timeout:
            raise self._error(
                f"InvalidParameterValueException: Queue visibility timeout: {self._visibility_seconds:g} seconds is less than "
                f"Function timeout: {self._function.timeout:g} seconds"
            )
        self._batch_size = int(state.get("batchSize") or _BATCH_SIZE)
        self._window_seconds = int(state.get("maximumBatchingWindowInSeconds") or 0)
        if not (1 <= self._batch_size <= _MOST_BATCH and 0 <= self._window_seconds <= _MOST_WINDOW):
            raise self._error(f"a batch has 1 to {_MOST_BATCH:,} messages, and its window 0 to {_MOST_WINDOW} seconds")
        if self._batch_size > MOST_MESSAGES and self._window_seconds < 1:
            raise self._error(
                "InvalidParameterValueException: Maximum batch window in seconds must be greater than 0 if maximum batch size "
                "is greater than 10"
            )
        scaling: Mapping[str, Any] = state.get("scalingConfig") or {}
        self._concurrency = int(scaling.get("maximumConcurrency") or _CONCURRENCY)
        if not 2 <= self._concurrency <= 1000:
            raise self._error(f"the maximum concurrency is between 2 and 1,000, not {self._concurrency}")
        types = set[str](state.get("functionResponseTypes") or ())
        if unknown := types - {"ReportBatchItemFailures"}:
            raise self._error(f"the response type {', '.join(sorted(unknown))} is unknown")
        self._reports_failures = bool(types)
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Begin to poll, unless the mapping is disabled."""
        if self._enabled:
            self._begin(asyncio.ensure_future(self._poll()))

    async def stop(self) -> None:
        """End all, also the invocations: their messages come back, as those of an environment that dies."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _begin(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _poll(self) -> None:
        """Take batches while invocations are free."""
        free = asyncio.Semaphore(self._concurrency)
        while True:
            await free.acquire()
            batch: list[dict[str, Any]] = []
            try:
                batch = await self._next_batch()
            except (moto.MotoError, aiohttp.ClientError) as error:
                self._log.write(f"{self._url} could not be read: {error}")
                await asyncio.sleep(_FIRST_PAUSE)
            if not batch:
                free.release()
                continue
            task = asyncio.ensure_future(self._serve(batch))
            task.add_done_callback(lambda _: free.release())
            self._begin(task)

    async def _next_batch(self) -> list[dict[str, Any]]:
        """Wait for messages; with a window, gather more until it is over or the batch is full."""
        batch = await self._queues.receive(self._url, self._batch_size, LONGEST_WAIT_SECONDS)
        end = asyncio.get_running_loop().time() + self._window_seconds
        while batch and len(batch) < self._batch_size and (left := end - asyncio.get_running_loop().time()) > 0:
            batch += await self._queues.receive(self._url, self._batch_size - len(batch), max(1, left))
        return batch

    async def _serve(self, messages: Sequence[Mapping[str, Any]]) -> None:
        """Invoke the function with a batch, and delete what it has dealt with."""
        event = {"Records": [self._record(message) for message in messages]}
        end, pause = asyncio.get_running_loop().time() + self._visibility_seconds, _FIRST_PAUSE
        while True:
            try:
                answer = await self._function.invoke(event)
                break
            except FunctionThrottled as error:
                # "Lambda continues to retry the message until the message's timestamp exceeds your queue's visibility timeout"
                if asyncio.get_running_loop().time() + pause > end:
                    self._log.write(f"{len(messages)} messages come back: {error}")
                    return
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
            except FunctionError as error:
                self._log.write(f"{len(messages)} messages come back: {error}")
                return
        failed = (
            failed_messages(answer, [str(each["MessageId"]) for each in messages]) if self._reports_failures else set[str]()
        )
        done = [str(each["ReceiptHandle"]) for each in messages if each["MessageId"] not in failed]
        try:
            await self._queues.delete(self._url, done)
        except (moto.MotoError, aiohttp.ClientError) as error:
            self._log.write(f"{len(done)} messages could not be deleted, and come back: {error}")

    def _record(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """A message as the function gets it."""
        attributes: Mapping[str, str] = message.get("Attributes") or {}
        given: Mapping[str, Mapping[str, Any]] = message.get("MessageAttributes") or {}
        record = {
            "messageId": message["MessageId"],
            "receiptHandle": message["ReceiptHandle"],
            "body": message["Body"],
            "attributes": {name: attributes[name] for name in _ATTRIBUTES if name in attributes},
            "messageAttributes": {name: _attribute(value) for name, value in given.items()},
            "md5OfBody": message["MD5OfBody"],
            "eventSource": "aws:sqs",
            "eventSourceARN": self._arn,
            "awsRegion": self._region,
        }
        if "MD5OfMessageAttributes" in message:
            record["md5OfMessageAttributes"] = message["MD5OfMessageAttributes"]
        return record

    def _error(self, text: str) -> LocalError:
        return LocalError(f"the event source mapping {self._name}: {text}")


def failed_messages(answer: Any, ids: Sequence[str]) -> set[str]:
    """Return the ids of the messages that a function reports as failed: all where its answer is not as it should be.

    https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html#services-sqs-batchfailurereporting-conditions
    """
    everything = set(ids)
    if answer is None or answer == {}:  # "an empty EventResponse, a null EventResponse"
        return set()
    if not isinstance(answer, dict):
        return everything
    failures: Any = cast("dict[str, Any]", answer).get("batchItemFailures")
    if failures is None:
        return set()
    if not isinstance(failures, list):
        return everything
    found: set[str] = set()
    for each in cast("list[Any]", failures):
        identifier = cast("dict[str, Any]", each).get("itemIdentifier") if isinstance(each, dict) else None
        if not isinstance(identifier, str) or identifier not in everything:  # null, by another key, empty, or of no message
            return everything
        found.add(identifier)
    return found


def _attribute(value: Mapping[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {"stringListValues": [], "binaryListValues": [], "dataType": value["DataType"]}
    if "StringValue" in value:
        made["stringValue"] = value["StringValue"]
    if "BinaryValue" in value:
        made["binaryValue"] = value["BinaryValue"]
    return made
