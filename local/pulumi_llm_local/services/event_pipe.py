"""The program's EventBridge Pipes from a DynamoDB stream to a bus of its own.

https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-pipes-dynamodb.html

Records are taken in the stream's order, and one that fails keeps those after it waiting, until its retries or its age are over;
then it goes to the dead letter queue. Not played: an enrichment, other sources, other targets. A pipe's role is not asked.
"""

import asyncio
import json
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import aiohttp

from pulumi_llm_local.program.graph import Resource
from pulumi_llm_local.services import input_template, moto
from pulumi_llm_local.services.event_bus import EventBuses, EventRefused
from pulumi_llm_local.services.event_log import EventLog
from pulumi_llm_local.services.event_pattern import EventPattern, EventPatternError
from pulumi_llm_local.services.input_template import InputTemplate, InputTemplateError
from pulumi_llm_local.services.local_run import LocalError, LocalRun
from pulumi_llm_local.services.queues import Queues

PIPE = "aws:pipes/pipe:Pipe"
PLAYED = frozenset({PIPE})
IMPLIED = frozenset[str]()
# "EventBridge polls shards in your DynamoDB stream for records at a base rate of four times per second."
_POLL_SECONDS = 0.25
# Seconds before a failed record is tried again: AWS backs off, and does not say how.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 60.0
# A pipe takes no more records at once than its target does in one call, which is ten for a bus.
# https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-pipes-batching-concurrency.html
_BATCH_SIZE = 10
# What is played of each part of a pipe. `onPartialBatchItemFailure` and `parallelizationFactor` change nothing here: each
# record is tried alone.
_SOURCE_KEYS = frozenset({"dynamodbStreamParameters", "filterCriteria"})
_STREAM_KEYS = frozenset(
    {
        *("batchSize", "deadLetterConfig", "maximumBatchingWindowInSeconds", "maximumRecordAgeInSeconds"),
        *("maximumRetryAttempts", "onPartialBatchItemFailure", "parallelizationFactor", "startingPosition"),
    }
)
_TARGET_KEYS = frozenset({"eventbridgeEventBusParameters", "inputTemplate"})
_BUS_KEYS = frozenset({"detailType", "source", "resources", "time"})


async def start(run: LocalRun) -> None:
    """Run the program's pipes. Raises `LocalError` for what is not played, or what AWS refuses."""
    pipes = list(run.graph.of_type(PIPE))
    if not pipes:
        return
    queues = Queues(run.graph, run.variables[moto.SQS_ENDPOINT])
    run.stop.push_async_callback(queues.close)
    session = aiohttp.ClientSession()
    run.stop.push_async_callback(session.close)
    tables = {str(table.state["streamArn"]) for table in run.graph.of_type(moto.TABLE) if table.state.get("streamEnabled")}
    for resource in pipes:
        pipe = Pipe(resource, queues, run.event_buses, tables, EventLog(run.logs / f"{resource.name}.log"))
        if pipe.runs:
            stream = Stream(session, run.variables[moto.SQS_ENDPOINT], run.graph.region, pipe.source)
            await stream.open(pipe.starting_position)
            task = asyncio.ensure_future(pipe.run(stream))
            run.stop.push_async_callback(_cancel, task)


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


class Stream:
    """A stream of DynamoDB's, which moto has: one shard that never ends. Every call raises `MotoError` and `ClientError`."""

    def __init__(self, session: aiohttp.ClientSession, moto_url: str, region: str, arn: str) -> None:
        self.shard = ""
        self._session = session
        self._moto_url = moto_url
        self._region = region
        self._arn = arn
        self._iterator = ""

    async def open(self, position: str) -> None:
        """Begin at TRIM_HORIZON, the oldest record, or at LATEST, what comes from now on."""
        described = await self._call("DescribeStream", {"StreamArn": self._arn})
        (shard,) = described["StreamDescription"]["Shards"]
        self.shard = str(shard["ShardId"])
        wanted = {"StreamArn": self._arn, "ShardId": self.shard, "ShardIteratorType": position}
        self._iterator = (await self._call("GetShardIterator", wanted))["ShardIterator"]

    async def records(self, most: int) -> list[dict[str, Any]]:
        """Return the records that have come since, at most `most`."""
        answer = await self._call("GetRecords", {"ShardIterator": self._iterator, "Limit": most})
        self._iterator = answer["NextShardIterator"]
        return [{**record, "awsRegion": self._region, "eventSourceARN": self._arn} for record in answer["Records"]]

    async def _call(self, operation: str, body: Mapping[str, Any]) -> Any:
        name = f"DynamoDBStreams_20120810.{operation}"
        return await moto.call(self._session, self._moto_url, self._region, "dynamodb", name, body)


@dataclass(frozen=True)
class _Bus:
    """What a pipe says of the events that it puts on a bus; each may be a path into the record."""

    source: str
    detail_type: str
    resources: tuple[str, ...]
    time: str


class Pipe:
    """One pipe. Raises `LocalError`."""

    def __init__(
        self, resource: Resource, queues: Queues, buses: EventBuses | None, streams: Collection[str], log: EventLog
    ) -> None:
        self._log = log
        state = resource.state
        self._name = str(state["name"])
        self._arn = str(state["arn"])
        self.source, self._target = str(state["source"]), str(state["target"])
        self.runs = state.get("desiredState") != "STOPPED"
        self._queues, self._buses = queues, buses
        source = _parameters(resource, "sourceParameters")
        stream: Mapping[str, Any] = source.get("dynamodbStreamParameters") or {}
        target = _parameters(resource, "targetParameters")
        bus: Mapping[str, Any] = target.get("eventbridgeEventBusParameters") or {}
        for given, played in ((source, _SOURCE_KEYS), (stream, _STREAM_KEYS), (target, _TARGET_KEYS), (bus, _BUS_KEYS)):
            if unplayed := sorted(key for key, value in given.items() if value is not None and key not in played):
                raise self._error(f"{', '.join(unplayed)} is not played")
        if state.get("enrichment"):
            raise self._error("an enrichment is not played")
        if self.source not in streams:
            raise self._error(f"{self.source} is not played: only the stream of a table of the program's own is")
        if buses is None or self._target not in buses:
            raise self._error(f"{self._target} is not played: only an event bus of the program's own is")
        self.starting_position = str(stream.get("startingPosition") or "")
        if self.starting_position not in ("TRIM_HORIZON", "LATEST"):
            raise self._error("a stream is read from the startingPosition TRIM_HORIZON or LATEST")
        self._batch_size = int(stream.get("batchSize") or _BATCH_SIZE)
        if self._batch_size > _BATCH_SIZE:
            raise self._error(f"a batch for an event bus has at most {_BATCH_SIZE} records, not {self._batch_size}")
        self._retries = _limit(stream.get("maximumRetryAttempts"))
        self._age_seconds = _limit(stream.get("maximumRecordAgeInSeconds"))
        dead_letters: Mapping[str, Any] = stream.get("deadLetterConfig") or {}
        self._dead_letter_url = queues.url(str(dead_letters.get("arn") or ""))
        if dead_letters.get("arn") and not self._dead_letter_url:
            raise self._error(f"{dead_letters['arn']} is not played: only a queue of the program's own is")
        criteria: Mapping[str, Any] = source.get("filterCriteria") or {}
        filters: list[Mapping[str, Any]] = criteria.get("filters") or []
        if len(filters) > 5:
            raise self._error(f"a pipe has at most 5 filters, not {len(filters)}")
        self._bus = _Bus(
            # https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-pipes-event-target.html
            source=str(bus.get("source") or f"Pipe {self._name}"),
            detail_type=str(bus.get("detailType") or "Event from aws:dynamodb"),
            resources=tuple(bus.get("resources") or ()),
            time=str(bus.get("time") or ""),
        )
        try:
            self._filters = [EventPattern(each["pattern"], of_pipe=True) for each in filters]
            self._template = InputTemplate(target["inputTemplate"]) if target.get("inputTemplate") else None
            for value in (self._bus.source, self._bus.detail_type, self._bus.time, *self._bus.resources):
                input_template.check_parameter(value)
        except (EventPatternError, InputTemplateError) as error:
            raise self._error(str(error)) from None

    async def run(self, stream: Stream) -> None:
        """Take records until nobody wants them any more."""
        while True:
            try:
                records = await stream.records(self._batch_size)
            except (moto.MotoError, aiohttp.ClientError):
                records = []
            for record in records:
                if not self._filters or any(each.matches(record) for each in self._filters):
                    await self._put(record, stream.shard)
            if len(records) < self._batch_size:
                await asyncio.sleep(_POLL_SECONDS)

    async def _put(self, record: Mapping[str, Any], shard: str) -> None:
        """Put a record's event on the bus, again while it fails; in the end it goes to the dead letter queue."""
        began, pause, retries = asyncio.get_running_loop().time(), _FIRST_PAUSE, 0
        while True:
            try:
                self._put_once(record)
                return
            except (EventRefused, InputTemplateError) as error:
                self._log.write(f"{record['dynamodb']['SequenceNumber']}: {error}")
            if retries >= self._retries:
                condition = "RetryAttemptsExhausted"
                break
            if asyncio.get_running_loop().time() - began + pause > self._age_seconds:
                condition = "MaximumRecordAgeExceeded"
                break
            retries += 1
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
        if self._dead_letter_url:
            letter = self._dead_letter(record, shard, condition)
            try:
                await self._queues.send(self._dead_letter_url, json.dumps(letter))
            except (moto.MotoError, aiohttp.ClientError) as error:
                self._log.write(f"the dead letter queue took no message: {error}")

    def _put_once(self, record: Mapping[str, Any]) -> None:
        assert self._buses is not None
        variables = {
            "aws.pipes.pipe-arn": self._arn,
            "aws.pipes.pipe-name": self._name,
            "aws.pipes.source-arn": self.source,
            "aws.pipes.target-arn": self._target,
            "aws.pipes.event.ingestion-time": _now(),
            "aws.pipes.event.json": record,
        }
        self._buses.put(
            self._target,
            source=input_template.parameter(self._bus.source, record),
            detail_type=input_template.parameter(self._bus.detail_type, record),
            detail=self._template.rendered(record, variables) if self._template else record,
            resources=[input_template.parameter(each, record) for each in self._bus.resources],
            time=input_template.parameter(self._bus.time, record),
        )

    def _dead_letter(self, record: Mapping[str, Any], shard: str, condition: str) -> dict[str, Any]:
        """A dead letter says where the record is in the stream, which keeps it for a day.

        https://docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-errors.html
        """
        change: Mapping[str, Any] = record["dynamodb"]
        arrival = datetime.fromtimestamp(float(change["ApproximateCreationDateTime"]), UTC)
        return {
            "context": {"partnerResourceArn": self._arn, "condition": condition},
            "version": "1.0",
            "timestamp": _now(),
            "DDBStreamBatchInfo": {
                "shardId": shard,
                "startSequenceNumber": change["SequenceNumber"],
                "endSequenceNumber": change["SequenceNumber"],
                "approximateArrivalOfFirstRecord": _iso(arrival),
                "approximateArrivalOfLastRecord": _iso(arrival),
                "batchSize": 1,
                "streamArn": self.source,
            },
        }

    def _error(self, text: str) -> LocalError:
        return LocalError(f"the pipe {self._name}: {text}")


def _parameters(resource: Resource, name: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = resource.state.get(name) or {}
    return found


def _limit(given: Any) -> float:
    """-1, the default, is no limit."""
    return math.inf if given is None or given < 0 else float(given)


def _now() -> str:
    return _iso(datetime.now(UTC))


def _iso(time: datetime) -> str:
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")
