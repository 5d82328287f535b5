"""GET /usage over HTTP: for each kind of caller, as it is described, and only where there are limits."""

import json
from typing import Any

import msgspec
import pytest
import schemathesis

from lambda_src.conftest import ROUTES
from llm_functions.request_context import caller_context
from llm_gateway.aws.dynamodb import DynamoDB
from llm_gateway.identity.caller import Caller, Credential
from llm_gateway.limits import CallerLimits, Limit, Limits
from llm_gateway.operations import operations
from llm_gateway.routes import Price, Routes
from support.clock import Now
from support.gateway_service import Service

pytestmark = pytest.mark.timeout(60)

PATH = "/usage"
NOWHERE = "http://127.0.0.1:9"
LIMITS = Limits((Limit("requests", "minute", 100), Limit("micro_usd", "month", 10_000_000, "mock")), 5)


def limited(limits: CallerLimits) -> Routes:
    """The mock alone, with a price."""
    (mock,) = (each for each in ROUTES.aliases if each.name == "mock")
    priced = msgspec.structs.replace(mock.targets[0], price=Price(1_000_000, 1_000_000, 0, 0, 0))
    return Routes((msgspec.structs.replace(mock, targets=(priced,)),), limits=limits)


KEY = caller_context(Caller("acme", "ci"), Credential())
ROLE = {"accountId": "123456789012", "userArn": "arn:aws:sts::123456789012:assumed-role/batch/session-1"}
# How callers are known -> what the request's context has, and who it is.
CALLERS: dict[str, tuple[str, dict[str, Any], str, str]] = {
    "a key": ("api_key", {"authorizer": KEY}, "ci", "acme"),
    "a token": ("jwt", {"authorizer": {**KEY, "key": "user|1234", "tenant": "shop"}}, "user|1234", "shop"),
    "a role": ("iam", {"identity": ROLE}, "arn:aws:sts::123456789012:assumed-role/batch", "123456789012"),
    "anyone": ("none", {}, "", "anonymous"),
}


def headers(context: dict[str, Any]) -> dict[str, str]:
    return {"x-amzn-request-context": json.dumps({"requestId": "request-1", **context})}


async def described(service: Service) -> Any:
    return schemathesis.openapi.from_dict((await service.http.get("/openapi.json")).json())


@pytest.mark.parametrize(("auth", "context", "name", "tenant"), CALLERS.values(), ids=CALLERS)
async def test_each_caller_is_told_its_own_use(
    gateway: Any, dynamodb: DynamoDB, dynamodb_url: str, now: Now, auth: str, context: dict[str, Any], name: str, tenant: str
) -> None:
    routes = limited(CallerLimits(others=LIMITS, tenants={tenant: Limits((Limit("tokens", "day", 10_000),))}))
    service = await gateway(authorization=auth, routes=routes, limits=dynamodb_url, now=now)
    answered = await service.post("/chat", {"message": "Hi"}, headers(context))
    assert answered.status_code == 200, answered.text
    told = await service.http.get(PATH, headers=headers(context))
    assert told.status_code == 200 and told.headers["cache-control"] == "no-store"
    (await described(service))[PATH]["GET"].validate_response(told)
    body, usage = told.json(), answered.json()["usage"]
    tokens = usage["input_tokens"] + usage["output_tokens"]
    assert (body["caller"]["name"], body["caller"]["tenant"], body["tenant"]["name"]) == (name, tenant, tenant)
    for window in ("minute", "day", "month"):
        counted = body["caller"][window]
        assert (counted["requests"], counted["tokens"], counted["usd"]) == (1, tokens, tokens / 1e6)
    assert [limit["used"] for limit in body["caller"]["limits"][1:]] == [tokens / 1e6]
    assert body["tenant"]["limits"][0]["remaining"] == 10_000 - tokens


# Where it is not answered: the limits, the DynamoDB, the context -> the error.
REFUSALS: dict[str, tuple[CallerLimits | None, str, dict[str, str] | None, tuple[int, str]]] = {
    "no limits": (None, "", KEY, (404, "unknown_route")),
    "no caller": (CallerLimits(others=LIMITS), NOWHERE, None, (401, "missing_api_key")),
    "a token that expired": (CallerLimits(others=LIMITS), NOWHERE, {**KEY, "expires": "1000"}, (401, "invalid_api_key")),
    "the table is down": (CallerLimits(others=LIMITS), NOWHERE, KEY, (503, "limits_unavailable")),
}


@pytest.mark.parametrize(("limits", "table", "context", "expected"), REFUSALS.values(), ids=REFUSALS)
async def test_where_there_is_no_answer(
    gateway: Any, limits: CallerLimits | None, table: str, context: Any, expected: tuple[int, str]
) -> None:
    routes = ROUTES if limits is None else limited(limits)
    service = await gateway(authorization="api_key", routes=routes, limits=table)
    refused = await service.http.get(PATH, headers=service.context(context))
    assert (refused.status_code, service.error_of(refused)["code"]) == expected
    document = await described(service)
    served = {operation.path for operation in operations(tickets=False, limits=limits is not None, journal=False)}
    assert set(document) == served
    if limits is not None:
        document[PATH]["GET"].validate_response(refused)
    assert ("retry-after" in refused.headers) is (refused.status_code == 503)


async def test_a_caller_whose_limits_are_not_its_own_is_told_so(gateway: Any, dynamodb: DynamoDB, dynamodb_url: str) -> None:
    service = await gateway(authorization="api_key", routes=limited(CallerLimits({"x": LIMITS})), limits=dynamodb_url)
    told = await service.http.get(PATH, headers=service.context(KEY))
    body = told.json()
    (await described(service))[PATH]["GET"].validate_response(told)
    assert body.pop("at") and body == {"caller": {"name": "ci", "tenant": "acme", "limits": []}}
