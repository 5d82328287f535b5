"""A DynamoDB that throttles, fails, or loses its answers."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import ClientSession, web

from llm_gateway.aws import dynamodb as module
from llm_gateway.aws.dynamodb import DynamoDB, DynamoDBError
from llm_gateway.errors import GatewayError
from llm_gateway.http.client import HttpClient
from llm_gateway.identity.caller import Caller, Credential
from llm_gateway.identity.connections import ConnectionTable, Limits
from llm_gateway.stages.journal import Journal
from support import websocket_api
from support.web_app import listening
from support.websocket_api import CONNECTIONS, JOURNAL

KEY = '["acme","ci","one"]'
CALLER = Caller("acme", "ci")

# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html
THROTTLED = (400, "ProvisionedThroughputExceededException")
FAILED = (500, "InternalServerError")


class Unreliable:
    """Stands before a DynamoDB.

    Attributes:
        refused: What the next calls are answered, which do nothing.
        forbidden: The operation that is refused.
        lost: How many of the next calls are carried out, and answered by an error.
        calls: The operations that were called.
    """

    def __init__(self, url: str) -> None:
        self.upstream = url
        self.url = ""
        self.refused: list[tuple[int, str]] = []
        self.forbidden = ""
        self.lost = 0
        self.calls: list[str] = []

    @contextlib.asynccontextmanager
    async def serve(self) -> AsyncIterator["Unreliable"]:
        app = web.Application()
        app.router.add_post("/", self._handle)
        async with ClientSession() as self._session, listening(app) as self.url:
            yield self

    async def _handle(self, request: web.Request) -> web.Response:
        self.calls.append(request.headers["x-amz-target"].split(".")[1])
        if self.refused:
            return _error(*self.refused.pop(0))
        if self.calls[-1] == self.forbidden:
            return _error(400, "AccessDeniedException")
        headers = {name: request.headers[name] for name in ("content-type", "x-amz-target", "authorization", "x-amz-date")}
        async with self._session.post(self.upstream, data=await request.read(), headers=headers) as answer:
            body = await answer.read()
        if self.lost:
            self.lost -= 1
            return _error(*FAILED)
        return web.Response(body=body, status=answer.status)


def _error(status: int, name: str) -> web.Response:
    return web.json_response({"__type": f"com.amazonaws.dynamodb.v20120810#{name}", "message": "no"}, status=status)


@pytest.fixture
async def unreliable(dynamodb: DynamoDB, dynamodb_url: str) -> AsyncIterator[Unreliable]:
    async with Unreliable(dynamodb_url).serve() as unreliable:
        yield unreliable


@pytest.fixture
def client(http: HttpClient, unreliable: Unreliable, monkeypatch) -> DynamoDB:
    monkeypatch.setattr(module, "_FIRST_PAUSE", 0.001)
    return DynamoDB(websocket_api.aws(http, AWS_ENDPOINT_URL_DYNAMODB=unreliable.url))


# What DynamoDB answers first -> the name of the error that the caller gets, and how often it was called.
ANSWERS: dict[str, tuple[list[tuple[int, str]], str | None, int]] = {
    "throttled": ([THROTTLED], None, 2),
    "throttled in the other words": ([(400, "ThrottlingException"), (400, "RequestLimitExceeded")], None, 3),
    "failed": ([FAILED, (503, "ServiceUnavailable"), FAILED], None, 4),
    "throttled for too long": ([THROTTLED] * 9, "ProvisionedThroughputExceededException", 4),
    "wrong": ([(400, "ValidationException")], "ValidationException", 1),
    "not allowed": ([(400, "AccessDeniedException")], "AccessDeniedException", 1),
}


@pytest.mark.parametrize(("refused", "error", "calls"), ANSWERS.values(), ids=ANSWERS)
async def test_what_may_pass_is_tried_again(
    client: DynamoDB, unreliable: Unreliable, refused: list[tuple[int, str]], error: str | None, calls: int
) -> None:
    unreliable.refused = list(refused)
    try:
        await client.get_item(CONNECTIONS, {"id": {"S": "x"}})
        name = None
    except DynamoDBError as caught:
        name = caught.name
    assert (name, len(unreliable.calls)) == (error, calls)


async def test_a_call_has_an_end(client: DynamoDB, unreliable: Unreliable, monkeypatch) -> None:
    monkeypatch.setattr(module, "_FIRST_PAUSE", 60.0)
    unreliable.refused = [THROTTLED] * 9
    with pytest.raises(DynamoDBError):
        await client.get_item(CONNECTIONS, {"id": {"S": "x"}})
    assert len(unreliable.calls) == 1


async def test_writes_whose_answers_are_lost_are_made_once(client: DynamoDB, unreliable: Unreliable, now: Any) -> None:
    journal = Journal(client, JOURNAL, now)
    unreliable.lost = 1
    head = await journal.begin(KEY, "run-1", "first")
    assert head is not None
    assert await journal.begin(KEY, "run-1", "first") is None  # Lambda delivers the event again: that is another writer
    unreliable.lost = 1
    head = await journal.write(head, [b'{"seq":1}'])
    assert await journal.read(head, 0) == [b'{"seq":1}']


async def test_the_end_is_written_once(client: DynamoDB, unreliable: Unreliable, now: Any) -> None:
    journal = Journal(client, JOURNAL, now)
    head = await journal.begin(KEY, "run-1", "first")
    assert head is not None
    unreliable.lost = 1
    ended = await journal.write(head, [], ended=True)
    assert ended.status == "ended"


async def test_a_death_is_recorded_once(client: DynamoDB, unreliable: Unreliable, now: Any) -> None:
    journal = Journal(client, JOURNAL, now)
    head = await journal.begin(KEY, "run-1", "first")
    assert head is not None
    unreliable.lost = 1
    died = await journal.record_death(head, "function_failed")
    assert died is not None and died.status == "died"
    assert await journal.record_death(head, "function_failed") is None  # somebody else


async def test_the_last_lease_is_taken_once(client: DynamoDB, unreliable: Unreliable, now: Any) -> None:
    table = ConnectionTable(client, CONNECTIONS, now)
    await table.add("first", CALLER, Credential(), limit=100)
    limits = Limits(per_connection=1, per_key=1)
    await table.lease("first", CALLER, "run-0", limits, 60)  # makes the key's item
    await table.release("first", CALLER, "run-0")
    unreliable.lost = 1
    await table.lease("first", CALLER, "run-1", limits, 60)
    with pytest.raises(GatewayError):
        await table.lease("first", CALLER, "run-2", limits, 60)


async def test_a_connection_is_counted_once(client: DynamoDB, unreliable: Unreliable, now: Any) -> None:
    table = ConnectionTable(client, CONNECTIONS, now)
    for connection in ("first", "second"):  # the second takes the last place
        unreliable.lost = 1
        await table.add(connection, CALLER, Credential(), limit=2)
    with pytest.raises(GatewayError):
        await table.add("third", CALLER, Credential(), limit=2)
    await table.remove("first")
    await table.add("third", CALLER, Credential(), limit=2)
    with pytest.raises(GatewayError):
        await table.add("fourth", CALLER, Credential(), limit=2)


async def test_a_connection_that_cannot_be_recorded_is_not_counted(client: DynamoDB, unreliable: Unreliable, now: Any) -> None:
    table = ConnectionTable(client, CONNECTIONS, now)
    unreliable.forbidden = "PutItem"
    with pytest.raises(DynamoDBError):
        await table.add("first", CALLER, Credential(), limit=1)
    unreliable.forbidden = ""
    await table.add("second", CALLER, Credential(), limit=1)


async def test_the_first_generations_of_a_key_begin_at_once(dynamodb: DynamoDB, now: Any) -> None:
    """Each finds that the key has no item, and one of them makes it."""
    table = ConnectionTable(dynamodb, CONNECTIONS, now)
    await table.add("first", CALLER, Credential(), limit=100)
    limits = Limits(per_connection=4, per_key=4)
    await asyncio.gather(*(table.lease("first", CALLER, f"run-{n}", limits, 60) for n in range(4)))
    with pytest.raises(GatewayError):
        await table.lease("first", CALLER, "run-4", limits, 60)
