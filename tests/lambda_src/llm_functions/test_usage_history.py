"""GET /usage of past days over HTTP: from the record of a request by way of the log to the answer, and as it is described."""

import base64
import gzip
import importlib
import json
import time
from typing import Any

import msgspec
import pytest
import schemathesis

from lambda_src.conftest import ROUTES
from llm_functions.request_context import caller_context
from llm_gateway.aws.dynamodb import DynamoDB
from llm_gateway.identity.caller import Caller, Credential
from llm_gateway.limits import CallerLimits, Limit, Limits
from llm_gateway.routes import Price, Routes
from support.local_bedrock import KEYS, REGION
from support.websocket_api import USAGE

pytestmark = pytest.mark.timeout(60)

PATH = "/usage"
KEY = caller_context(Caller("acme", "ci"), Credential())
OTHER = caller_context(Caller("acme", "boss"), Credential())


def routes(**more: Any) -> Routes:
    (mock,) = (each for each in ROUTES.aliases if each.name == "mock")
    priced = msgspec.structs.replace(mock.targets[0], price=Price(1_000_000, 1_000_000, 0, 0, 0))
    return Routes((msgspec.structs.replace(mock, targets=(priced,)),), costs=True, **more)


def subscription(records: list[dict[str, Any]], kind: str = "DATA_MESSAGE") -> dict[str, Any]:
    """The event with which CloudWatch Logs hands log events over."""
    now = int(time.time() * 1000)
    batch = {
        "messageType": kind,
        "owner": "123456789012",
        "logGroup": "chat-logs",
        "logStream": "2026/11/30/[1]abc",
        "subscriptionFilters": ["usage-filter"],
        "logEvents": [{"id": f"{n:056}", "timestamp": now, "message": json.dumps(each)} for n, each in enumerate(records)],
    }
    return {"awslogs": {"data": base64.b64encode(gzip.compress(json.dumps(batch).encode())).decode()}}


@pytest.fixture
def write(dynamodb_url: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The function that counts."""
    monkeypatch.setenv("AWS_REGION", REGION)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEYS.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", KEYS.secret_key)
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", dynamodb_url)
    monkeypatch.setenv("USAGE_TABLE", USAGE)
    module = importlib.reload(importlib.import_module("llm_functions.usage_writer"))
    loop: Any = vars(module)["_loop"]
    yield module.handler
    loop.close()


def answered(service: Any, response: Any) -> Any:
    assert response.status_code == 200, response.text
    return response.json()


async def test_a_request_is_counted_by_its_record_and_told(
    gateway: Any, dynamodb: DynamoDB, dynamodb_url: str, records: list[dict[str, Any]], write: Any
) -> None:
    import asyncio

    service = await gateway(authorization="api_key", routes=routes(), usage=dynamodb_url, tenant_readers='["boss"]')
    described = schemathesis.openapi.from_dict((await service.http.get("/openapi.json")).json())[PATH]["GET"]
    nothing = await service.http.get(PATH, headers=service.context(KEY))
    described.validate_response(nothing)
    assert nothing.json()["rows"] == [] and "as_of" not in nothing.json()
    used = (await service.post("/chat", {"message": "Hi"}, service.context(KEY))).json()["usage"]
    tokens = used["input_tokens"] + used["output_tokens"]
    assert (await service.post("/chat", {"message": "Hi", "model": "no-alias"}, service.context(KEY))).status_code == 404
    lines = [dict(each) for each in records]
    for event in (subscription(lines), subscription(lines), subscription([], "CONTROL_MESSAGE")):
        await asyncio.to_thread(write, event, None)
    told = await service.http.get(f"{PATH}?by=alias", headers=service.context(KEY))
    described.validate_response(told)
    body = answered(service, told)
    (row,) = body["rows"]
    assert (body["tenant"], body["caller"], body["by"], row["alias"]) == ("acme", "ci", ["alias"], "mock")
    assert (row["requests"], row["errors"], row["input_tokens"] + row["output_tokens"]) == (1, 0, tokens)
    assert row["usd"] == tokens / 1e6 == body["total"]["usd"] and body["as_of"] <= body["at"]
    boss = await service.http.get(f"{PATH}?scope=tenant", headers=service.context(OTHER))
    described.validate_response(boss)
    assert answered(service, boss)["total"]["requests"] == 1 and "caller" not in boss.json()
    for path, status, code in ((f"{PATH}?scope=tenant", 403, "access_denied"), (f"{PATH}?by=x", 400, "invalid_value")):
        refused = await service.http.get(path, headers=service.context(KEY))
        described.validate_response(refused)
        assert (refused.status_code, service.error_of(refused)["code"]) == (status, code)


async def test_beside_limits_a_question_without_parameters_is_about_them(
    gateway: Any, dynamodb: DynamoDB, dynamodb_url: str
) -> None:
    limits = CallerLimits(others=Limits((Limit("requests", "day", 100),)))
    service = await gateway(authorization="api_key", routes=routes(limits=limits), limits=dynamodb_url, usage=dynamodb_url)
    described = schemathesis.openapi.from_dict((await service.http.get("/openapi.json")).json())[PATH]["GET"]
    for path, has in ((PATH, "limits"), (f"{PATH}?by=", "rows")):
        told = await service.http.get(path, headers=service.context(KEY))
        described.validate_response(told)
        assert has in json.dumps(answered(service, told))


async def test_a_table_that_cannot_be_read(gateway: Any) -> None:
    service = await gateway(authorization="api_key", routes=routes(), usage="http://127.0.0.1:9")
    refused = await service.http.get(PATH, headers=service.context(KEY))
    assert (refused.status_code, service.error_of(refused)["code"]) == (503, "usage_unavailable")
    assert refused.headers["retry-after"] == "1"
