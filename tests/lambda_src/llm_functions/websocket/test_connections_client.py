"""Calls of API Gateway's @connections, whose signature botocore's signer checks."""

from typing import Any

import pytest

from llm_gateway.aws import connections as module
from llm_gateway.aws.connections import Connections, ConnectionsError, Gone
from llm_gateway.http.client import HttpClient
from support import websocket_api
from support.websocket_api import Clients

CONNECTION = "L0SM9cOFvHcCIhw="


@pytest.fixture(autouse=True)
def at_once(monkeypatch) -> None:
    monkeypatch.setattr(module, "_FIRST_PAUSE", 0.001)
    monkeypatch.setattr(module, "_LONGEST_PAUSE", 0.002)


async def test_a_message_arrives(connections: Connections, clients: Clients) -> None:
    await connections.post(CONNECTION, b'{"type":"pong"}')
    assert clients.got == {CONNECTION: [{"type": "pong"}]}


# the statuses that API Gateway answers first -> what comes of the call, and how often it was made
ANSWERS: dict[str, tuple[list[int], type[Exception] | None, int]] = {
    "throttled once": ([429], None, 2),
    "failed twice": ([500, 503], None, 3),
    "throttled for a while": ([429] * 9, None, 10),
    "gone": ([410], Gone, 1),
    "forbidden": ([403], ConnectionsError, 1),
    "too large": ([413], ConnectionsError, 1),
}


@pytest.mark.parametrize(("statuses", "error", "calls"), ANSWERS.values(), ids=ANSWERS)
async def test_what_api_gateway_answers(
    connections: Connections, clients: Clients, statuses: list[int], error: Any, calls: int
) -> None:
    clients.failures = list(statuses)
    if error is None:
        await connections.post(CONNECTION, b"{}")
    else:
        with pytest.raises(error):
            await connections.post(CONNECTION, b"{}")
    assert clients.calls == [("POST", CONNECTION)] * calls


async def test_a_caller_that_tries_again_by_itself_has_no_patience(connections: Connections, clients: Clients) -> None:
    clients.failures = [429]
    with pytest.raises(ConnectionsError, match="429"):
        await connections.post(CONNECTION, b"{}", patience=0)
    assert clients.calls == [("POST", CONNECTION)]


async def test_api_gateway_cannot_be_reached(monkeypatch) -> None:
    monkeypatch.setattr(module, "_PATIENCE", 0.0)
    async with HttpClient() as http:
        unreachable = Connections(websocket_api.aws(http), "http://127.0.0.1:9/ws", {})
        with pytest.raises(ConnectionsError, match=r"127\.0\.0\.1:9"):
            await unreachable.post(CONNECTION, b"{}")


async def test_a_connection_is_looked_at_and_closed(connections: Connections, clients: Clients) -> None:
    assert await connections.is_open(CONNECTION)
    await connections.close(CONNECTION)
    assert not await connections.is_open(CONNECTION)
    await connections.close(CONNECTION)
    with pytest.raises(Gone):
        await connections.post(CONNECTION, b"{}")


async def test_the_host_can_be_replaced_as_in_an_aws_sdk(http: HttpClient, clients: Clients) -> None:
    environ = {"AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI": f"{clients.url}/"}
    replaced = Connections(websocket_api.aws(http), "https://a1b2.execute-api.us-east-1.amazonaws.com/ws", environ)
    await replaced.post(CONNECTION, b"{}")
    assert clients.calls == [("POST", CONNECTION)]
