"""Tickets: issued over HTTP, used once by the authorizer of the WebSocket API."""

import asyncio
import importlib
import sys
import time
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from llm_functions.request_context import caller_context, caller_from_context, credential_from_context
from llm_gateway.aws.dynamodb import DynamoDB
from llm_gateway.errors import GatewayError
from llm_gateway.identity import keys
from llm_gateway.identity.caller import Caller, Credential, key_hash
from llm_gateway.identity.tickets import LIFE_SECONDS, TicketTable
from support.local_bedrock import KEYS, REGION
from support.websocket_api import API_KEYS as API_KEYS_TABLE
from support.websocket_api import TICKETS

CALLER = Caller("acme", "ci", ("one", "two"))
OF_A_KEY = Credential(key_hash=key_hash("a-key-01234567890123456789"))
ARN = "arn:aws:execute-api:us-east-1:123456789012:a1b2c3/ws/$connect"
PATH = "/ws/ticket"


@pytest.fixture
def tickets(dynamodb: DynamoDB, now: Any) -> TicketTable:
    return TicketTable(dynamodb, TICKETS, now)


@pytest.mark.parametrize("credential", [OF_A_KEY, Credential(expires=1_900_000_000)], ids=["a key", "a token"])
async def test_a_ticket_is_used_once(tickets: TicketTable, credential: Credential) -> None:
    ticket, seconds = await tickets.issue(CALLER, credential)
    assert seconds == LIFE_SECONDS == 30
    assert await tickets.redeem(ticket) == (CALLER, credential)
    assert await tickets.redeem(ticket) is None


async def test_of_many_at_once_one_gets_in(tickets: TicketTable) -> None:
    ticket, _ = await tickets.issue(CALLER, OF_A_KEY)
    redeemed = await asyncio.gather(*(tickets.redeem(ticket) for _ in range(20)))
    assert sorted(redeemed, key=bool) == [None] * 19 + [(CALLER, OF_A_KEY)]


@pytest.mark.parametrize(("after", "known"), [(28, True), (30, False), (86_400, False)])
async def test_a_ticket_is_too_old(tickets: TicketTable, now: Any, after: int, known: bool) -> None:
    ticket, _ = await tickets.issue(CALLER, OF_A_KEY)
    now.seconds += after
    assert (await tickets.redeem(ticket) is not None) is known


@pytest.mark.parametrize(("left", "seconds"), [(10, 10), (300, 30)])
async def test_a_ticket_does_not_outlive_its_token(tickets: TicketTable, now: Any, left: int, seconds: int) -> None:
    ticket, valid = await tickets.issue(CALLER, Credential(expires=int(now()) + left))
    assert valid == seconds
    now.seconds += seconds
    assert await tickets.redeem(ticket) is None


async def test_an_expired_token_gets_none(tickets: TicketTable, now: Any) -> None:
    with pytest.raises(GatewayError) as refused:
        await tickets.issue(CALLER, Credential(expires=int(now())))
    assert refused.value.status == 401


async def test_the_table_does_not_have_the_ticket(tickets: TicketTable, dynamodb: DynamoDB) -> None:
    ticket, _ = await tickets.issue(CALLER, OF_A_KEY)
    item = await dynamodb.get_item(TICKETS, {"ticket_hash": {"S": key_hash(ticket)}})
    assert item is not None and ticket not in repr(item)


WRONG = ("", "a", "a" * 42, "a" * 44, "ä" * 43, "a" * 42 + "=", "a" * 42 + "\n", "a" * 43 + "\n", "a" * 42 + "/")


@pytest.mark.parametrize("ticket", WRONG)
async def test_what_is_no_ticket_is_refused_without_asking_the_table(ticket: str) -> None:
    assert await TicketTable(cast("DynamoDB", None), TICKETS).redeem(ticket) is None


@pytest.fixture
async def authorizer(
    request: Any, monkeypatch: pytest.MonkeyPatch, dynamodb: DynamoDB, dynamodb_url: str
) -> AsyncIterator[Any]:
    """The module as a new environment imports it. Its configuration is the parameter. It knows two keys, one for REST only."""
    await dynamodb.put_item(API_KEYS_TABLE, keys.item(key_hash("a-key-01234567890123456789"), CALLER))
    await dynamodb.put_item(API_KEYS_TABLE, keys.item(key_hash("a-key-for-rest-0123456789"), CALLER, websocket=False))
    for name, value in {
        "KEYS_TABLE": API_KEYS_TABLE,
        "JWT_ISSUER": "https://issuer.example.com",
        "JWT_AUDIENCES": "chat",
        "JWT_TENANT_CLAIM": "tenant",
        "JWT_MODELS_CLAIM": "",
        "AWS_REGION": REGION,
        "AWS_ACCESS_KEY_ID": KEYS.access_key,
        "AWS_SECRET_ACCESS_KEY": KEYS.secret_key,
        "AWS_ENDPOINT_URL_DYNAMODB": dynamodb_url,
        **request.param,
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delitem(sys.modules, "llm_functions.authorizer", raising=False)
    module = importlib.import_module("llm_functions.authorizer")
    yield module
    sys.modules.pop("llm_functions.authorizer", None)
    await asyncio.to_thread(module._loop.run_until_complete, module._client.close())
    module._loop.close()


def connecting(ticket: str, **headers: str) -> dict[str, Any]:
    return {"methodArn": ARN, "headers": {"Sec-WebSocket-Protocol": f"llm.chat.v1, llm.ticket.{ticket}", **headers}}


API_KEYS = {"AUTHORIZATION": "api_key"}
WITH_TICKETS = {"TICKETS_TABLE": TICKETS, "FOR_WEBSOCKET": "true"}


@pytest.mark.parametrize(
    "authorizer",
    [{**API_KEYS, **WITH_TICKETS}, {"AUTHORIZATION": "jwt", **WITH_TICKETS}],
    indirect=True,
    ids=["api_key", "jwt"],
)
async def test_the_authorizer_takes_a_ticket_once(authorizer: Any, dynamodb: DynamoDB) -> None:
    credential = OF_A_KEY if authorizer.os.environ["AUTHORIZATION"] == "api_key" else Credential(expires=int(time.time()) + 60)
    ticket, _ = await TicketTable(dynamodb, TICKETS).issue(CALLER, credential)
    # An Authorization header decides alone, and leaves the ticket as it is.
    with pytest.raises(Exception, match="Unauthorized"):
        await asyncio.to_thread(authorizer.handler, connecting(ticket, Authorization="Basic x"), None)
    answer = await asyncio.to_thread(authorizer.handler, connecting(ticket), None)
    assert answer["policyDocument"]["Statement"][0]["Effect"] == "Allow"
    # The connection is its caller's, and what it was issued for is checked again at each chat.
    assert caller_from_context(answer["context"]) == CALLER
    assert credential_from_context(answer["context"]) == credential
    assert "usageIdentifierKey" not in answer
    for again in (ticket, "a" * 43, "a"):
        with pytest.raises(Exception, match="Unauthorized"):
            await asyncio.to_thread(authorizer.handler, connecting(again), None)


# How the API lets in, and for what a ticket was issued that it refuses.
FOREIGN = {
    "a key that may not connect": ("api_key", Credential(key_hash=key_hash("a-key-for-rest-0123456789"))),
    "a key that was taken away": ("api_key", Credential(key_hash=key_hash("a-former-key"))),
    "a token, where there are keys": ("api_key", Credential(expires=1_900_000_000)),
    "a key, where there are tokens": ("jwt", OF_A_KEY),
}


@pytest.mark.parametrize(
    ("authorizer", "credential"),
    [({"AUTHORIZATION": auth, **WITH_TICKETS}, credential) for auth, credential in FOREIGN.values()],
    indirect=["authorizer"],
    ids=FOREIGN,
)
async def test_a_ticket_is_worth_what_it_was_issued_for(authorizer: Any, dynamodb: DynamoDB, credential: Credential) -> None:
    ticket, _ = await TicketTable(dynamodb, TICKETS).issue(CALLER, credential)
    with pytest.raises(Exception, match="Unauthorized"):
        await asyncio.to_thread(authorizer.handler, connecting(ticket), None)


@pytest.mark.parametrize(
    "authorizer", [API_KEYS, {**API_KEYS, "FOR_WEBSOCKET": "true"}], indirect=True, ids=["REST", "WebSocket"]
)
async def test_a_key_for_rest_does_not_connect(authorizer: Any) -> None:
    for_websocket = authorizer.os.environ.get("FOR_WEBSOCKET") == "true"
    for key, known in (("a-key-01234567890123456789", True), ("a-key-for-rest-0123456789", not for_websocket)):
        event = {"methodArn": ARN, "headers": {"Authorization": f"Bearer {key}"}}
        if known:
            answer = await asyncio.to_thread(authorizer.handler, event, None)
            assert caller_from_context(answer["context"]) == CALLER
        else:
            with pytest.raises(Exception, match="Unauthorized"):
                await asyncio.to_thread(authorizer.handler, event, None)


@pytest.mark.parametrize("authorizer", [API_KEYS], indirect=True)
async def test_without_a_table_no_ticket_is_taken(authorizer: Any, tickets: TicketTable) -> None:
    ticket, _ = await tickets.issue(CALLER, OF_A_KEY)
    with pytest.raises(Exception, match="Unauthorized"):
        await asyncio.to_thread(authorizer.handler, connecting(ticket), None)


async def test_a_known_caller_gets_a_ticket(gateway: Any, dynamodb: DynamoDB, dynamodb_url: str) -> None:
    service = await gateway(authorization="api_key", tickets=dynamodb_url)
    answer = await service.http.post(PATH, headers=service.context(caller_context(CALLER, OF_A_KEY)))
    assert answer.status_code == 200 and answer.headers["cache-control"] == "no-store"
    body = answer.json()
    assert list(body) == ["ticket", "expires_in", "subprotocols"]
    assert (body["expires_in"], body["subprotocols"]) == (30, ["llm.chat.v1", f"llm.ticket.{body['ticket']}"])
    assert await TicketTable(dynamodb, TICKETS).redeem(body["ticket"]) == (CALLER, OF_A_KEY)
    assert PATH in (await service.http.get("/openapi.json")).json()["paths"]


# Where there is no ticket: the arguments of the gateway, the context of the authorizer -> the error.
NO_TICKET: dict[str, tuple[bool, dict[str, str] | None, tuple[int, str]]] = {
    "no table": (False, caller_context(CALLER, OF_A_KEY), (404, "unknown_route")),
    "no caller": (True, None, (401, "missing_api_key")),
    "a token that expired": (True, caller_context(CALLER, Credential(expires=1_000_000)), (401, "invalid_api_key")),
}


@pytest.mark.parametrize(("table", "context", "expected"), NO_TICKET.values(), ids=NO_TICKET)
async def test_nobody_else_gets_one(
    gateway: Any, dynamodb: DynamoDB, dynamodb_url: str, table: bool, context: Any, expected: tuple[int, str]
) -> None:
    service = await gateway(authorization="jwt", tickets=dynamodb_url if table else "")
    answer = await service.http.post(PATH, headers=service.context(context))
    assert (answer.status_code, service.error_of(answer)["code"]) == expected
    assert (PATH in (await service.http.get("/openapi.json")).json()["paths"]) is table
