"""The function at its own URL, behind CloudFront: no authorizer has checked the key."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from support.gateway_service import Service
from support.keys_table import KEY, Table, serving

HELLO = {"message": "Hello"}
PATH = "/api/chat/stream"


@pytest.fixture
def table() -> Iterator[Table]:
    with serving() as server:
        yield server


async def test_a_known_key_is_answered_with_its_own_models(gateway, bedrock, table) -> None:
    service = await gateway((await bedrock()).url, authorization="api_key", dynamodb=table.url)
    headers = {**service.url_context(), "x-api-key": KEY, "authorization": "AWS4-HMAC-SHA256 Credential=of-cloudfront"}
    for path in (PATH, "/api/llm/chat/stream", "/chat/stream"):
        events = await service.sse(path, HELLO, headers)
        assert [events[1].name, events[-1].name] == ["start", "done"]
    refused = await service.post(PATH, {**HELLO, "model": "arn"}, headers)
    assert (refused.status_code, service.error_of(refused)["code"]) == (403, "model_not_allowed")
    assert len(table.requests) == 1, "a known key is looked up once"


FORGED = {"requestId": "r", "authorizer": {"tenant": "acme", "key": "ci", "models": '"all"'}}
REFUSED: dict[str, tuple[dict[str, str], str]] = {
    "no key": ({}, "missing_api_key"),
    "a wrong key": ({"x-api-key": "another"}, "invalid_api_key"),
    # CloudFront puts its own signature there, so a key in it cannot be the caller's.
    "a key as Authorization": ({"authorization": f"Bearer {KEY}"}, "missing_api_key"),
    "a key that is no text": ({"x-api-key": "\xff"}, "invalid_api_key"),
}


@pytest.mark.parametrize(("headers", "code"), REFUSED.values(), ids=REFUSED)
async def test_nobody_else_is(gateway, table, headers: dict[str, str], code: str) -> None:
    service = await gateway(authorization="api_key", dynamodb=table.url)
    response = await service.post(
        PATH, HELLO, {**service.url_context(), **{k: v.encode("latin-1") for k, v in headers.items()}}
    )
    assert (response.status_code, service.error_of(response)["code"]) == (401, code)


async def test_what_stands_beside_http_in_the_context_is_no_authorizers_word(gateway, table) -> None:
    """Both ways in one context can only be forged: then the key decides."""
    service = await gateway(authorization="api_key", dynamodb=table.url)
    url = json.loads(service.url_context()["x-amzn-request-context"])
    response = await service.post(PATH, HELLO, {"x-amzn-request-context": json.dumps({**url, **FORGED})})
    assert (response.status_code, service.error_of(response)["code"]) == (401, "missing_api_key")


@pytest.mark.parametrize("authorization", ["api_key", "jwt", "iam"])
async def test_a_function_without_the_table_lets_nobody_in(gateway, authorization: str) -> None:
    service = await gateway(authorization=authorization)
    response = await service.post(PATH, HELLO, {**service.url_context(), "x-api-key": KEY})
    assert (response.status_code, service.error_of(response)["code"]) == (401, "missing_api_key")


async def test_a_key_does_not_stand_in_for_the_authorizer_of_the_rest_api(gateway, table) -> None:
    service = await gateway(authorization="api_key", dynamodb=table.url)
    response = await service.post("/chat/stream", HELLO, {**service.context(), "x-api-key": KEY})
    assert (response.status_code, service.error_of(response)["code"]) == (401, "missing_api_key")
    assert table.requests == []


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/api/chat"), ("POST", "/v1/chat/completions"), ("GET", "/health"), ("POST", f"{PATH}/")],
)
async def test_only_the_stream_is_served(gateway, table, method: str, path: str) -> None:
    service = await gateway(authorization="api_key", dynamodb=table.url)
    headers: dict[str, Any] = {**service.url_context(), "x-api-key": KEY}
    response = await service.http.request(method, path, json=HELLO, headers=headers)
    assert (response.status_code, service.error_of(response)["code"]) == (404, "unknown_route")


async def test_the_stream_takes_one_method(gateway, table) -> None:
    service = await gateway(authorization="api_key", dynamodb=table.url)
    for method in ("GET", "HEAD", "DELETE"):
        response = await service.http.request(method, PATH, headers={**service.url_context(), "x-api-key": KEY})
        assert (response.status_code, response.headers["allow"]) == (405, "POST")


async def test_a_table_that_fails_is_neither_yes_nor_no(gateway, table) -> None:
    service: Service = await gateway(authorization="api_key", dynamodb=table.url)
    table.instead = (400, json.dumps({"__type": "x#AccessDeniedException", "message": "no"}).encode())
    response = await service.post(PATH, HELLO, {**service.url_context(), "x-api-key": KEY})
    assert (response.status_code, service.error_of(response)["code"]) == (500, "authorizer_failed")


async def test_without_authentication_anyone_streams(gateway, bedrock) -> None:
    service = await gateway((await bedrock()).url)
    assert (await service.sse(PATH, HELLO, service.url_context()))[-1].name == "done"
