"""The functions of the WebSocket API before their real stores."""

import contextlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import pytest

from llm_functions.websocket.chats import Chats
from llm_gateway.aws.connections import Connections
from llm_gateway.aws.dynamodb import DynamoDB
from llm_gateway.http.client import HttpClient
from llm_gateway.identity.connections import ConnectionTable
from llm_gateway.stages.journal import Journal
from support import websocket_api
from support.websocket_api import CONNECTIONS, JOURNAL, Clients

MESSAGES_PER_MINUTE = 150


@dataclass
class Now:
    """Seconds since the epoch, as the stores see them: hardly any time passes, but no two times are equal."""

    seconds: float = 1_800_000_000.0

    def __call__(self) -> float:
        self.seconds += 1e-5
        return self.seconds


@pytest.fixture(scope="session")
def dynamodb_url() -> Iterator[str]:
    with websocket_api.dynamodb_server() as url:
        yield url


@pytest.fixture
def now() -> Now:
    return Now()


@pytest.fixture
async def http(opened: contextlib.AsyncExitStack) -> HttpClient:
    return await opened.enter_async_context(HttpClient())


@pytest.fixture
async def dynamodb(http: HttpClient, dynamodb_url: str) -> DynamoDB:
    client = DynamoDB(websocket_api.aws(http, AWS_ENDPOINT_URL_DYNAMODB=dynamodb_url))
    await websocket_api.create_tables(client)
    return client


@pytest.fixture
async def clients() -> AsyncIterator[Clients]:
    async with Clients().serve() as clients:
        yield clients


@pytest.fixture
def connections(http: HttpClient, clients: Clients) -> Connections:
    return Connections(websocket_api.aws(http), clients.stage_url, {})


@pytest.fixture
def journal(dynamodb: DynamoDB, now: Now) -> Journal:
    return Journal(dynamodb, JOURNAL, now)


@pytest.fixture
def table(dynamodb: DynamoDB, now: Now) -> ConnectionTable:
    return ConnectionTable(dynamodb, CONNECTIONS, now)


@pytest.fixture
def interval() -> float:
    """The least seconds between two messages. What is waited for in tests is always an event."""
    return 0.005


@pytest.fixture
def chats(journal: Journal, table: ConnectionTable, connections: Connections, interval: float, now: Now) -> Chats:
    return Chats(journal, table, connections, clock=now, messages_per_minute=MESSAGES_PER_MINUTE, interval=interval)
