"""The functions of the WebSocket API as Lambda calls them."""

import asyncio
import base64
import contextlib
import importlib
import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from llm_functions.request_context import caller_context
from llm_gateway.aws.dynamodb import DynamoDB, DynamoDBError
from llm_gateway.http.client import HttpClient
from llm_gateway.identity.caller import Caller, Credential, key_hash
from llm_gateway.routes import ROUTES_FILE
from support import websocket_api
from support.chat_requests import ROUTES
from support.local_bedrock import KEYS, REGION
from support.websocket_api import CONNECTIONS, JOURNAL, Clients

CALLER = Caller("acme", "ci", ("one",))
CREDENTIAL = Credential(key_hash=key_hash("a-key"))


@pytest.fixture
def environment(monkeypatch, tmp_path: Path, dynamodb_url: str) -> None:
    (tmp_path / ROUTES_FILE).write_bytes(msgspec.json.encode(ROUTES))
    for name, value in {
        "AUTHORIZATION": "api_key",
        "JOURNAL_TABLE": JOURNAL,
        "CONNECTIONS_TABLE": CONNECTIONS,
        "WEBSOCKET_STAGE_URL": "http://127.0.0.1:9/ws",
        "CONNECTIONS_PER_KEY": "3",
        "MESSAGES_PER_MINUTE": "30",
        "GENERATIONS_PER_CONNECTION": "4",
        "GENERATIONS_PER_KEY": "20",
        "LAMBDA_TASK_ROOT": str(tmp_path),
        "AWS_REGION": REGION,
        "AWS_ACCESS_KEY_ID": KEYS.access_key,
        "AWS_SECRET_ACCESS_KEY": KEYS.secret_key,
        "AWS_ENDPOINT_URL_DYNAMODB": dynamodb_url,
        "MODEL_ARN": "m",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("DEBUG", raising=False)


def imported(name: str) -> Iterator[Any]:
    """The module as a new environment imports it: it reads its configuration then."""
    module = importlib.reload(importlib.import_module(f"llm_functions.websocket.{name}"))
    yield module
    for value in vars(module).values():
        if isinstance(value, HttpClient):
            module._loop.run_until_complete(value.close())
    module._loop.close()


@pytest.fixture
def tables(environment: None, dynamodb_url: str) -> None:
    async def create() -> None:
        async with HttpClient() as client:
            await websocket_api.create_tables(DynamoDB(websocket_api.aws(client, AWS_ENDPOINT_URL_DYNAMODB=dynamodb_url)))

    asyncio.run(create())


@pytest.fixture
def connections(tables: None) -> Iterator[Any]:
    yield from imported("connections")


@pytest.fixture
def generations(tables: None) -> Iterator[Any]:
    yield from imported("generations")


@pytest.fixture
def recovery(tables: None) -> Iterator[Any]:
    yield from imported("recovery")


def proxied(route: str, body: str = "", **headers: str) -> dict[str, Any]:
    kind = {"$connect": "CONNECT", "$disconnect": "DISCONNECT"}.get(route, "MESSAGE")
    context: dict[str, Any] = {"routeKey": route, "eventType": kind, "connectionId": "c=", "requestId": "r="}
    context["authorizer"] = caller_context(CALLER, CREDENTIAL)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return {"requestContext": context, "headers": named, "body": body or None, "isBase64Encoded": False}


# The subprotocols that a client offers -> the status, and the one that is taken up.
OFFERED: dict[str, tuple[str | None, int, str | None]] = {
    "none": (None, 200, None),
    "ours": ("llm.chat.v1", 200, "llm.chat.v1"),
    "ours and a key": ("llm.chat.v1, llm.key.c2VjcmV0", 200, "llm.chat.v1"),
    "the key first": ("llm.key.c2VjcmV0,llm.chat.v1", 200, "llm.chat.v1"),
    "the key alone": ("llm.key.c2VjcmV0", 400, None),
    "another one": ("graphql-ws", 400, None),
}


def test_a_connection_that_cannot_be_recorded_is_refused_as_one_that_may_come_again(
    connections: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(*_: Any, **__: Any) -> None:
        raise DynamoDBError("ThrottlingException", "slow down", 400)

    monkeypatch.setattr(connections._table, "add", fails)
    assert connections.handler(proxied("$connect"), None) == {"statusCode": 503}


@pytest.mark.parametrize(("offered", "status", "taken"), OFFERED.values(), ids=OFFERED)
def test_connect(connections: Any, offered: str | None, status: int, taken: str | None) -> None:
    headers = {} if offered is None else {"Sec_WebSocket_Protocol": offered}
    answer = connections.handler(proxied("$connect", **headers), None)
    assert answer == {"statusCode": status, **({"headers": {"Sec-WebSocket-Protocol": taken}} if taken else {})}
    known = connections._loop.run_until_complete(connections._table.find("c="))
    assert known == ((CALLER, CREDENTIAL) if status == 200 else None)


def test_a_caller_has_so_many_connections_and_a_refused_one_is_unknown(connections: Any) -> None:
    def event(route: str, n: int) -> dict[str, Any]:
        made = proxied(route, Sec_WebSocket_Protocol="llm.chat.v1")
        made["requestContext"]["connectionId"] = f"c{n}"
        return made

    assert [connections.handler(event("$connect", n), None)["statusCode"] for n in range(4)] == [200, 200, 200, 429]
    assert connections._loop.run_until_complete(connections._table.find("c3")) is None
    for ended, status in ((3, 429), (0, 200)):  # the end of one that never began frees nothing
        connections.handler(event("$disconnect", ended), None)
        assert connections.handler(event("$connect", 4), None)["statusCode"] == status


def test_a_key_with_a_limit_of_its_own_has_that(connections: Any) -> None:
    event = proxied("$connect")
    event["requestContext"]["authorizer"] = caller_context(msgspec.structs.replace(CALLER, connections=1), CREDENTIAL)
    answers: list[int] = []
    for n in range(2):
        event["requestContext"]["connectionId"] = f"c{n}"
        answers.append(connections.handler(event, None)["statusCode"])
    assert answers == [200, 429]


def test_a_connection_that_ends_is_known_for_as_long_as_a_generation_of_it_may_run(connections: Any, dynamodb_url: str) -> None:
    connections.handler(proxied("$connect"), None)
    assert connections.handler(proxied("$disconnect"), None) == {"statusCode": 200}
    assert connections._loop.run_until_complete(connections._table.find("c=")) == (CALLER, CREDENTIAL)
    other = proxied("$disconnect")
    other["requestContext"]["connectionId"] = "other"
    connections.handler(other, None)
    assert connections._loop.run_until_complete(connections._table.find("other")) is None


@pytest.mark.parametrize("action", ["$connect", "$disconnect"])
def test_a_message_is_no_connection(connections: Any, action: str) -> None:
    message = proxied(action, json.dumps({"action": action}))
    message["requestContext"]["eventType"] = "MESSAGE"
    answer = connections.handler(message, None)
    assert json.loads(answer["body"])["error"]["code"] == "unknown_action"
    assert connections._loop.run_until_complete(connections._table.find("c=")) is None


def test_ping(connections: Any) -> None:
    answer = connections.handler(proxied("ping", '{"action":"ping"}'), None)
    assert (answer["statusCode"], json.loads(answer["body"])) == (200, {"type": "pong"})


# A route and its message -> the code of the answer, and the id in it.
REFUSED: dict[str, tuple[str, str, str, str | None]] = {
    "cancel of an unknown generation": ("cancel", '{"action":"cancel","id":"x"}', "unknown_generation", "x"),
    "cancel without an id": ("cancel", '{"action":"cancel"}', "invalid_value", None),
    "an unknown action": ("$default", '{"action":"sing","id":"x"}', "unknown_action", "x"),
    "no JSON": ("$default", "sing", "invalid_message", None),
}


@pytest.mark.parametrize(("route", "body", "code", "id"), REFUSED.values(), ids=REFUSED)
def test_what_is_answered_with_an_error(connections: Any, route: str, body: str, code: str, id: str | None) -> None:
    answer = connections.handler(proxied(route, body), None)
    message = json.loads(answer["body"])
    assert (answer["statusCode"], message["id"], message["type"], message["error"]["code"]) == (200, id, "error", code)
    assert message["error"]["request_id"] == "r="


def test_a_connection_that_only_sends_what_is_refused_is_closed(connections: Any, monkeypatch) -> None:
    monkeypatch.setattr(importlib.import_module("llm_functions.websocket.chats"), "MOST_REFUSALS", 2)
    with clients_of(connections) as clients:
        for expected in (set[str](), {"c="}):
            connections.handler(proxied("$default", "sing"), None)
            assert clients.gone == expected


# A route that a client floods -> its message, and how many are answered before it is told to wait.
FLOODS: dict[str, tuple[str, int]] = {
    "ping": ('{"action":"ping"}', 20 + 30),  # twenty of them are not counted
    "cancel": ('{"action":"cancel","id":"x"}', 30),
}


@pytest.mark.parametrize("route", FLOODS)
def test_a_flood_is_answered_with_the_time_to_wait_and_then_closed(connections: Any, route: str, monkeypatch) -> None:
    body, served = FLOODS[route]
    monkeypatch.setattr(importlib.import_module("llm_functions.websocket.chats"), "MOST_REFUSALS", 30 + 5)
    chats: Any = connections._chats
    chats._clock = chats._table._clock = connections._pings._clock = lambda: 1_800_000_045.5  # all within one minute
    with clients_of(connections) as clients:
        answers = [json.loads(connections.handler(proxied(route, body), None)["body"]) for _ in range(served + 1)]
        codes = [answer.get("error", {}).get("code") for answer in answers]
        assert (codes.index("rate_limited"), clients.gone) == (served, set())
        error = answers[-1]["error"]
        assert (answers[-1]["type"], "seq" in answers[-1], error["type"], error["retry_after"]) == (
            "error",
            False,
            "rate_limit_error",
            15,
        )
        for _ in range(40):
            connections.handler(proxied(route, body), None)
        assert clients.gone == {"c="}


def test_pings_as_a_client_sends_them_are_not_written(connections: Any, dynamodb_url: str) -> None:
    with clients_of(connections):
        for _ in range(connections.UNCOUNTED_PINGS):
            connections.handler(proxied("ping", '{"action":"ping"}'), None)
        sender = connections._loop.run_until_complete(connections._table.sender("c="))
        assert sender.messages == 1


def asked(action: str, **fields: Any) -> dict[str, Any]:
    """What the integration's template renders."""
    body = base64.b64encode(json.dumps({"action": action, "id": "one", **fields}).encode()).decode()
    return {"connection": "c=", "request_id": "run=", "body": body}


def test_a_chat_and_its_resume(generations: Any, recovery: Any) -> None:
    context = SimpleNamespace(get_remaining_time_in_millis=lambda: 600_000)
    with clients_of(generations) as clients:
        generations.handler(asked("chat", message="Hello there"), context)
        assert clients.text("c=") == "You said: Hello there"
        answer = clients.got["c="]
    with clients_of(recovery) as clients:
        recovery.handler(asked("resume", seq=1), None)
        assert clients.got["c="] == answer[1:]


# The record of a failed invocation -> the code of the error.
FAILED: dict[str, tuple[str, dict[str, Any] | None, str]] = {
    "killed": (
        "RetriesExhausted",
        {"errorType": "Runtime.ExitError", "errorMessage": "RequestId: … Error: Runtime exited"},
        "function_failed",
    ),
    "timed out": (
        "RetriesExhausted",
        {"errorMessage": "2026-11-29T00:00:00Z run= Task timed out after 900.00 seconds"},
        "function_timeout",
    ),
    "no execution was free": ("EventAgeExceeded", None, "overloaded"),
}


@pytest.mark.parametrize(("condition", "response", "code"), FAILED.values(), ids=FAILED)
def test_a_failed_invocation(recovery: Any, condition: str, response: Any, code: str) -> None:
    record = {"requestContext": {"condition": condition}, "requestPayload": asked("chat", message="Hi")}
    with clients_of(recovery) as clients:
        recovery.handler({**record, "responsePayload": response}, None)
        assert [m["error"]["code"] for m in clients.got["c="]] == [code]


@contextlib.contextmanager
def clients_of(module: Any) -> Iterator[Clients]:
    """The clients to which a function posts; one of them is connected."""
    clients = Clients()
    served = clients.serve()
    run = module._loop.run_until_complete
    run(served.__aenter__())
    try:
        module._chats._connections._base = clients.stage_url
        run(module._chats._table.add("c=", CALLER, Credential(), limit=100))
        yield clients
    finally:
        run(served.__aexit__(None, None, None))
