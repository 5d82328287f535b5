"""Callers whose answers are not kept, over every operation: the table of answers has nothing of them afterwards."""

from typing import Any

import msgspec
import pytest

from llm_gateway.answer_cache import AnswerCache
from llm_gateway.aws.dynamodb import DynamoDB
from llm_gateway.routes import Routes
from llm_gateway.rules import Rule
from support.gateway_service import Service
from support.keyed_requests import BODIES, KEY, MESSAGES, ROUTES, STREAMS, Model, Start
from support.websocket_api import JOURNAL

PRIVATE = Rule("private", tenants=("shop",), retention="none")
# Every operation that calls a model, with a body for it.
OPERATIONS = [*BODIES.items(), *STREAMS.items()]


def _routes() -> Routes:
    """Temperature 0 is cached, as far as the format has it."""
    return msgspec.structs.replace(ROUTES, rules=(PRIVATE,), cache=AnswerCache(600, when="asked"))


async def _items(dynamodb: DynamoDB) -> list[Any]:
    return (await vars(DynamoDB)["_call"](dynamodb, "Scan", {"TableName": JOURNAL}))["Items"]


def _headers(tenant: str, **more: str) -> dict[str, str]:
    asked = {"Cache-Control": "max-age=60"}
    return {**Service.context({"tenant": tenant, "key": "web", "models": '"all"'}), **asked, **more}


@pytest.mark.parametrize(("path", "body"), OPERATIONS, ids=lambda part: part if isinstance(part, str) else "")
async def test_nothing_is_kept_of_what_they_are_answered(
    gateway: Start, dynamodb: DynamoDB, dynamodb_url: str, records: list[dict[str, Any]], path: str, body: dict[str, Any]
) -> None:
    model = Model()
    service = await gateway(
        provider=model, routes=_routes(), authorization="api_key", journal=dynamodb_url, cached=dynamodb_url
    )
    answers = [await service.post(path, body, _headers("shop")) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert model.calls == 2 and await _items(dynamodb) == []
    expected = None if path == "/v1/embeddings" else "bypass"
    assert [answer.headers.get("x-llm-cache") for answer in answers] == [expected, expected]
    refused = await service.post(path, body, _headers("shop", **KEY))
    error = service.error_of(refused)
    assert (refused.status_code, error["code"], error["param"]) == (403, "denied_by_rule", "Idempotency-Key")
    assert error["message"] == "the rule 'private' keeps no answers, so none is sent again; leave the Idempotency-Key out"
    assert model.calls == 2 and await _items(dynamodb) == []
    assert [record["policy.decisions"] for record in records] == [
        ["private: keeps no answer"],
        ["private: keeps no answer"],
        ["private: refused Idempotency-Key"],
    ]
    # The rule is of that tenant alone.
    other = await service.post(path, body, _headers("other", **KEY))
    assert other.status_code == 200 and await _items(dynamodb) != []


async def test_a_stream_of_theirs_is_stopped_and_not_resumed(gateway: Start, dynamodb: DynamoDB, dynamodb_url: str) -> None:
    service = await gateway(
        provider=Model(), routes=_routes(), authorization="api_key", journal=dynamodb_url, cached=dynamodb_url
    )
    resumed = await service.post("/chat/stream", {"message": "Hi"}, _headers("shop", **KEY, **{"Last-Event-ID": "2"}))
    assert (resumed.status_code, service.error_of(resumed)["code"]) == (403, "denied_by_rule")
    stopped = await service.http.delete("/chat/8e03978e-40d5-43dd-bc93-6894a57f9324", headers=_headers("shop"))
    assert stopped.status_code == 202
    (mark,) = await _items(dynamodb)
    assert not {"payload", "fingerprint"} & set(mark)  # it says which request is to be stopped


async def test_what_was_kept_before_the_rule_is_not_sent_again(gateway: Start, dynamodb: DynamoDB, dynamodb_url: str) -> None:
    model = Model()
    body = {"model": "chat", "messages": MESSAGES}
    for rules, status, calls in (((), 200, 1), ((PRIVATE,), 200, 2)):
        routes = msgspec.structs.replace(_routes(), rules=rules)
        service = await gateway(provider=model, routes=routes, authorization="api_key", cached=dynamodb_url)
        answer = await service.post("/v1/chat/completions", body, _headers("shop"))
        assert (answer.status_code, model.calls) == (status, calls)
