"""Pipes from a table's stream to a bus, and on to a queue and its dead letter queue: all in a moto of their own."""

import asyncio
import json
import os
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from pulumi_llm_local.program.graph import Graph, Resource
from pulumi_llm_local.services import event_pipe, moto
from pulumi_llm_local.services.event_bus import EventRefused
from pulumi_llm_local.services.event_log import EventLog
from pulumi_llm_local.services.event_pipe import PIPE, Pipe, Stream
from pulumi_llm_local.services.local_run import LocalError
from pulumi_llm_local.services.moto import BUCKET, QUEUE, TABLE, Moto
from pulumi_llm_local.services.queues import Queues

REGION = "eu-central-1"
ACCOUNT = "123456789012"
STREAM_ARN = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/jobs/stream/2026-01-01T00:00:00.000"
BUS_ARN = f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/jobs"
PIPE_ARN = f"arn:aws:pipes:{REGION}:{ACCOUNT}:pipe/outbox"
QUEUE_ARN = f"arn:aws:sqs:{REGION}:{ACCOUNT}:"
URL = f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/"
TABLE_STATE = {
    "name": "jobs",
    "hashKey": "job",
    "attributes": [{"name": "job", "type": "S"}, {"name": "owner", "type": "S"}],
    "globalSecondaryIndexes": [{"name": "by-owner", "hashKey": "owner", "rangeKey": "job", "projectionType": "ALL"}],
    "streamEnabled": True,
    "streamViewType": "NEW_AND_OLD_IMAGES",
    "streamArn": STREAM_ARN,
}
FILTER = {"eventName": ["INSERT", "MODIFY"], "dynamodb": {"NewImage": {"event": {"S": [{"exists": True}]}}}}
TEMPLATE = '{"job": "<$.dynamodb.Keys.job.S>", "status": <$.dynamodb.NewImage.status.S>}'


def resource(type_: str, name: str, state: dict[str, Any]) -> Resource:
    return Resource(name, type_, name, name, state, state)


def queue(name: str, **state: Any) -> Resource:
    return resource(QUEUE, name, {"name": name, "arn": QUEUE_ARN + name, "url": URL + name, **state})


REDRIVE = json.dumps({"deadLetterTargetArn": QUEUE_ARN + "dead", "maxReceiveCount": 1})
GRAPH = Graph(
    REGION,
    (
        resource(TABLE, "jobs", TABLE_STATE),
        queue("dead"),
        queue("queue", redrivePolicy=REDRIVE, visibilityTimeoutSeconds=1),
        resource(BUCKET, "objects", {"bucket": "objects"}),
    ),
    {},
    (),
)


class Buses:
    """A bus that refuses as often as it is told."""

    def __init__(self) -> None:
        self.refusals = 0
        self.events: list[dict[str, Any]] = []
        self.came = asyncio.Event()

    def __contains__(self, arn: str) -> bool:
        return arn == BUS_ARN

    def put(self, arn: str, **event: Any) -> None:
        if self.refusals:
            self.refusals -= 1
            raise EventRefused("it is refused")
        self.events.append(event)
        self.came.set()


class Place:
    """A moto with what the graph declares, and a bus."""

    def __init__(self, url: str, session: aiohttp.ClientSession, folder: Path) -> None:
        self.url, self.session, self.folder = url, session, folder
        self.queues = Queues(GRAPH, url)
        self.buses = Buses()

    async def put_item(self, job: str, **attributes: str) -> None:
        item = {name: {"S": value} for name, value in {"job": job, **attributes}.items()}
        await self.call("dynamodb", "DynamoDB_20120810.PutItem", {"TableName": "jobs", "Item": item})

    async def call(self, service: str, operation: str, body: dict[str, Any]) -> Any:
        return await moto.call(self.session, self.url, REGION, service, operation, body)

    def pipe(self, **changes: Any) -> Pipe:
        buses: Any = self.buses
        return Pipe(pipe(**changes), self.queues, buses, {STREAM_ARN}, EventLog(self.folder / "log"))

    async def run(self, made: Pipe) -> asyncio.Task[None]:
        stream = Stream(self.session, self.url, REGION, made.source)
        await stream.open(made.starting_position)
        return asyncio.ensure_future(made.run(stream))


def pipe(**changes: Any) -> Resource:
    state: dict[str, Any] = {
        "name": "outbox",
        "arn": PIPE_ARN,
        "source": STREAM_ARN,
        "target": BUS_ARN,
        "sourceParameters": {
            "dynamodbStreamParameters": {"startingPosition": "TRIM_HORIZON"},
            "filterCriteria": {"filters": [{"pattern": json.dumps(FILTER)}]},
        },
        "targetParameters": {
            "eventbridgeEventBusParameters": {"source": "pulumi-llm.jobs", "detailType": "$.dynamodb.NewImage.event.S"},
            "inputTemplate": TEMPLATE,
        },
    }
    return resource(PIPE, "outbox", state | changes)


def stream_parameters(**changes: Any) -> dict[str, Any]:
    return {"sourceParameters": {"dynamodbStreamParameters": {"startingPosition": "TRIM_HORIZON", **changes}}}


@pytest.fixture
async def place(tmp_path: Path) -> AsyncGenerator[Place]:
    async with AsyncExitStack() as stop:
        server = Moto(tmp_path / "moto.log", os.environ)
        stop.push_async_callback(server.stop)
        await server.start()
        await server.fill(GRAPH, {}, ())
        session = await stop.enter_async_context(aiohttp.ClientSession())
        made = Place(server.url, session, tmp_path)
        stop.push_async_callback(made.queues.close)
        yield made


async def test_a_changed_item_becomes_an_event(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_pipe, "_POLL_SECONDS", 0.01)
    await place.put_item("1", status="queued", event="job.accepted", owner="me")
    task = await place.run(place.pipe())
    await place.buses.came.wait()
    place.buses.came.clear()
    await place.put_item("1", status="running", owner="me")  # no event, as the filter says
    await place.put_item("1", status="failed", event="job.failed", owner="me")
    await place.buses.came.wait()
    task.cancel()
    event: dict[str, Any] = {"source": "pulumi-llm.jobs", "resources": [], "time": ""}
    assert place.buses.events == [
        {**event, "detail_type": "job.accepted", "detail": {"job": "1", "status": "queued"}},
        {**event, "detail_type": "job.failed", "detail": {"job": "1", "status": "failed"}},
    ]
    # The index that the table has.
    body = {"KeyConditionExpression": "#o = :o", "ExpressionAttributeNames": {"#o": "owner"}}
    values = {":o": {"S": "me"}}
    query = {"TableName": "jobs", "IndexName": "by-owner", **body, "ExpressionAttributeValues": values}
    assert (await place.call("dynamodb", "DynamoDB_20120810.Query", query))["Count"] == 1


async def test_what_comes_before_the_pipe_is_left_out_where_it_begins_at_the_latest(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_pipe, "_POLL_SECONDS", 0.01)
    await place.put_item("1", status="queued", event="job.accepted")
    task = await place.run(place.pipe(**stream_parameters(startingPosition="LATEST")))
    await place.put_item("2", status="queued", event="job.accepted")
    await place.buses.came.wait()
    task.cancel()
    assert [event["detail"]["job"] for event in place.buses.events] == ["2"]


async def test_a_record_that_fails_keeps_the_next_ones_waiting(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_pipe, "_FIRST_PAUSE", 0.001)
    place.buses.refusals = 2
    await place.put_item("1", status="queued", event="job.accepted")
    await place.put_item("2", status="queued", event="job.accepted")
    task = await place.run(place.pipe())
    while len(place.buses.events) < 2:
        place.buses.came.clear()
        await place.buses.came.wait()
    task.cancel()
    assert [event["detail"]["job"] for event in place.buses.events] == ["1", "2"]
    assert (place.folder / "log").read_text().count("it is refused") == 2


async def test_a_record_without_the_templates_attribute_is_a_dead_letter(place: Place) -> None:
    await place.put_item("1", event="job.accepted")
    await place.put_item("2", status="queued", event="job.accepted")
    letters = {"deadLetterConfig": {"arn": QUEUE_ARN + "dead"}, "maximumRetryAttempts": 0}
    task = await place.run(place.pipe(**stream_parameters(**letters)))
    (letter,) = await place.queues.receive(URL + "dead", 10, 20)
    await place.buses.came.wait()
    task.cancel()
    said = json.loads(letter["Body"])
    assert said["context"] == {"partnerResourceArn": PIPE_ARN, "condition": "RetryAttemptsExhausted"}
    batch = said["DDBStreamBatchInfo"]
    assert (batch["streamArn"], batch["batchSize"]) == (STREAM_ARN, 1)
    assert batch["startSequenceNumber"] == batch["endSequenceNumber"]
    assert [event["detail"]["job"] for event in place.buses.events] == ["2"]
    assert "the input template made no JSON" in (place.folder / "log").read_text()


async def test_a_queue_gives_up_a_message_to_its_dead_letter_queue(place: Place) -> None:
    await place.queues.send(URL + "queue", "hello", {"kind": "x"})
    (first,) = await place.queues.receive(URL + "queue", 10, 20)
    assert first["Attributes"]["ApproximateReceiveCount"] == "1"
    assert first["MessageAttributes"]["kind"]["StringValue"] == "x"
    # Its visibility timeout is a second; then it has been received often enough.
    assert await place.queues.receive(URL + "queue", 10, 2) == []
    (dead,) = await place.queues.receive(URL + "dead", 10, 20)
    assert dead["Body"] == "hello"
    await place.queues.delete(URL + "dead", [dead["ReceiptHandle"]])
    assert await moto.queue_depth(place.url, REGION, URL + "dead") == 0


async def test_a_bucket_of_the_program_takes_objects(place: Place) -> None:
    headers = moto.scope(REGION, "s3")
    address = f"{place.url}/objects/jobs/1/request.json"
    async with place.session.put(address, data=b"{}", headers=headers) as stored:
        assert stored.status == 200
    async with place.session.get(address, headers=headers) as found:
        assert await found.read() == b"{}"


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "another stream": ({"source": STREAM_ARN.replace("jobs", "other")}, "only the stream of a table of the program's own"),
    "another target": ({"target": QUEUE_ARN + "queue"}, "only an event bus of the program's own"),
    "an enrichment": ({"enrichment": "arn:aws:lambda:::function:f"}, "an enrichment is not played"),
    "no position": ({"sourceParameters": {}}, "startingPosition TRIM_HORIZON or LATEST"),
    "another source": ({"sourceParameters": {"sqsQueueParameters": {"batchSize": 1}}}, "sqsQueueParameters is not played"),
    "an unknown operator": (
        {"sourceParameters": {"filterCriteria": {"filters": [{"pattern": '{"a": [{"wildcard": "*"}]}'}]}}},
        "startingPosition",
    ),
    "another endpoint": (
        {"targetParameters": {"eventbridgeEventBusParameters": {"endpointId": "a.veo"}}},
        "endpointId is not played",
    ),
    "an unknown variable": ({"targetParameters": {"inputTemplate": '{"a": <$..b>}'}}, "<\\$..b> in an input template"),
    "a path that is not played": (
        {"targetParameters": {"eventbridgeEventBusParameters": {"detailType": "$.a[*]"}}},
        "the path \\$.a\\[\\*\\]",
    ),
    "more than a bus takes": (stream_parameters(batchSize=11), "at most 10 records, not 11"),
    "another dead letter queue": (stream_parameters(deadLetterConfig={"arn": QUEUE_ARN + "other"}), "other is not played"),
}


@pytest.mark.parametrize(("changes", "text"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused(changes: dict[str, Any], text: str, tmp_path: Path) -> None:
    with pytest.raises(LocalError, match=text):
        Place("", None, tmp_path).pipe(**changes)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("pattern", ['{"a": [{"wildcard": "*"}]}', '{"a": [{"anything-but": {"prefix": "x"}}]}'])
def test_a_filter_that_a_pipe_does_not_have_is_refused(pattern: str, tmp_path: Path) -> None:
    given = stream_parameters()["sourceParameters"] | {"filterCriteria": {"filters": [{"pattern": pattern}]}}
    with pytest.raises(LocalError, match="the pipe outbox: a: "):
        Place("", None, tmp_path).pipe(sourceParameters=given)  # pyright: ignore[reportArgumentType]
    many = {"filterCriteria": {"filters": [{"pattern": '{"a": ["b"]}'}] * 6}}
    with pytest.raises(LocalError, match="at most 5 filters, not 6"):
        Place("", None, tmp_path).pipe(sourceParameters=given | many)  # pyright: ignore[reportArgumentType]


def test_a_stopped_pipe_does_not_run(tmp_path: Path) -> None:
    assert not Place("", None, tmp_path).pipe(desiredState="STOPPED").runs  # pyright: ignore[reportArgumentType]
