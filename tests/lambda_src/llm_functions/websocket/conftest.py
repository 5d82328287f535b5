"""The functions of the WebSocket API before their real stores."""

from collections.abc import AsyncIterator

import pytest

from llm_functions.websocket.chats import Chats
from llm_gateway.aws.connections import Connections
from llm_gateway.aws.dynamodb import DynamoDB
from llm_gateway.http.client import HttpClient
from llm_gateway.identity.connections import ConnectionTable
from llm_gateway.stages.journal import Journal
from support import websocket_api
from support.clock import Now
from support.websocket_api import CONNECTIONS, JOURNAL, Clients

MESSAGES_PER_MINUTE = 150


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
