"""The rules of callers over every operation: what is refused has the format's own shape, and no model is asked."""

import json
from collections.abc import AsyncGenerator, Callable
from typing import Any

import pytest

from llm_gateway.call import ModelCall
from llm_gateway.events import Delta, Done, Event, Usage
from llm_gateway.routes import Alias, Routes, Target
from llm_gateway.rules import Rule

HI = [{"role": "user", "content": "Hi"}]
TOKENS = {"message": "Hi", "max_tokens": 900}
# An operation, and a body whose answer would have more tokens than the rule allows -> the field that is to blame.
OPERATIONS: list[tuple[str, dict[str, Any], str]] = [
    ("/chat", TOKENS, "max_tokens"),
    ("/chat/stream", TOKENS, "max_tokens"),
    ("/v1/chat/completions", {"messages": HI, "max_completion_tokens": 900}, "max_completion_tokens"),
    ("/v1/chat/completions", {"messages": HI, "max_tokens": 900, "stream": True}, "max_tokens"),
    ("/v1/completions", {"prompt": "Hi", "max_tokens": 900}, "max_tokens"),
    ("/v1/completions", {"prompt": "Hi", "max_tokens": 900, "stream": True}, "max_tokens"),
    ("/v1/responses", {"input": "Hi", "max_output_tokens": 900}, "max_output_tokens"),
    ("/v1/responses", {"input": "Hi", "max_output_tokens": 900, "stream": True}, "max_output_tokens"),
    ("/v1/messages", {"messages": HI, "max_tokens": 900}, "max_tokens"),
    ("/v1/messages", {"messages": HI, "max_tokens": 900, "stream": True}, "max_tokens"),
]
# What a rule does not leave of an alias -> for every operation with a model.
PARTS = ("/v1/embeddings", {"input": "Hi"})


class Model:
    """A provider that keeps its calls."""

    def __init__(self) -> None:
        self.calls: list[ModelCall] = []

    async def answer(self, call: ModelCall) -> AsyncGenerator[list[Event], None]:
        self.calls.append(call)
        yield [Delta("Hello"), Usage(3, 2), Done("end_turn")]

    async def embed(self, call: Any) -> AsyncGenerator[list[Event], None]:
        self.calls.append(call)
        yield []


def _alias(name: str, *regions: str, **more: Any) -> Alias:
    accepts = ("max_tokens", "temperature", "system", "tools", "stream_tools")
    values: dict[str, Any] = {"max_output_tokens": 4096, "context_tokens": 100_000, "accepts": accepts, **more}
    return Alias(name, (Target(f"bedrock/{name}", "bedrock", name, regions=regions, **values),), retries=0)


def routes(*rules: Rule) -> Routes:
    vectors = _alias("vectors", "us-east-1", kind="embedding", max_output_tokens=0, accepts=())
    return Routes((_alias("abroad", "us-east-1"), _alias("home", "eu-central-1"), vectors), rules=rules)


SMALL = Rule("small", keys=("web",), max_tokens=500)
HOME = Rule("home", tenants=("shop",), regions=("eu-central-1",))
Start = Callable[..., Any]


def _headers(service: Any, key: str = "web", tenant: str = "shop") -> dict[str, str]:
    return service.context({"tenant": tenant, "key": key, "models": '"all"'})


async def test_a_parameter_out_of_a_rules_bounds_is_refused_in_every_format(gateway: Start) -> None:
    model = Model()
    service = await gateway(provider=model, authorization="api_key", routes=routes(SMALL))
    for path, body, field in OPERATIONS:
        response = await service.post(path, {**body, "model": "home"}, _headers(service))
        error = service.error_of(response)
        assert (response.status_code, error["code"], error["param"]) == (403, "denied_by_rule", field), path
        assert error["type"] == "permission_error"
        assert error["message"] == f"the rule 'small' allows {field} of at most 500, not 900"
        assert model.calls == []
        # It is the rule of another key.
        response = await service.post(path, {**body, "model": "home"}, _headers(service, "batch"))
        assert response.status_code == 200, path
        assert [call.sampling.max_tokens for call in model.calls] == [900]
        model.calls.clear()


async def test_an_alias_that_a_rule_leaves_nothing_of_is_refused_in_every_format(gateway: Start) -> None:
    model = Model()
    service = await gateway(provider=model, authorization="api_key", routes=routes(HOME))
    counted = ("/v1/messages/count_tokens", {"messages": HI}, "")
    for path, body, _ in (*OPERATIONS, counted, (*PARTS, "")):
        name = "vectors" if path == PARTS[0] else "abroad"
        response = await service.post(path, {**body, "model": name}, _headers(service))
        error = service.error_of(response)
        assert (response.status_code, error["code"], error["param"]) == (403, "denied_by_rule", "model"), path
        assert "the rule 'home' allows no target" in error["message"] and "us-east-1" not in error["message"]
    assert model.calls == []


async def test_the_list_of_models_has_what_the_caller_may_use(gateway: Start) -> None:
    service = await gateway(provider=Model(), authorization="api_key", routes=routes(HOME, SMALL))

    async def listed(**caller: str) -> dict[str, int]:
        response = await service.http.get("/v1/models", headers=_headers(service, **caller))
        return {model["id"]: model["max_output_tokens"] for model in response.json()["data"]}

    assert await listed() == {"home": 500}
    assert await listed(key="batch") == {"home": 4096}
    assert await listed(tenant="ops") == {"abroad": 500, "home": 500, "vectors": 0}
    for name, status in (("home", 200), ("abroad", 403), ("gone", 404)):
        response = await service.http.get(f"/v1/models/{name}", headers=_headers(service))
        assert response.status_code == status
    # What an error recommends is what the caller may use.
    for path, model, right in (("/chat", "gone", "choose one of home"), ("/chat", "vectors", "for chats choose home")):
        refused = await service.post(path, {"message": "Hi", "model": model}, _headers(service))
        assert refused.json()["error"]["message"].endswith(right)
    unknown = await service.http.get("/v1/models/gone", headers=_headers(service))
    assert unknown.json()["error"]["message"].endswith("choose one of home")
    limited = service.context({"tenant": "shop", "key": "web", "models": '["abroad","vectors"]'})
    refused = await service.post("/chat", {"message": "Hi", "model": "home"}, limited)
    assert refused.json()["error"]["message"].endswith("it may use none")
    # Without a model, the first one that is left answers.
    response = await service.post("/chat", {"message": "Hi"}, _headers(service))
    assert response.json()["model"] == "home"


async def test_a_model_is_described_as_the_caller_may_use_it(gateway: Start) -> None:
    """What is described is what is answered: no streams, and bounds."""
    rules = (Rule("whole", keys=("web",), streams=False), Rule("cool", keys=("web",), max_tokens=50, temperature_max=0.5))
    service = await gateway(provider=Model(), authorization="api_key", routes=routes(*rules))
    for key, expected in (("web", (False, 50, 0.5)), ("batch", (True, 4096, 1.0))):
        one = (await service.http.get("/v1/models/home", headers=_headers(service, key))).json()
        listed = (await service.http.get("/v1/models", headers=_headers(service, key))).json()["data"]
        for model in (one, *(each for each in listed if each["id"] == "home")):
            assert (model["streams"], model["default_max_tokens"], model["temperature_max"]) == expected
        assert all("streams" not in model and "default_max_tokens" not in model for model in listed if model["id"] == "vectors")
        body = {"model": "home", "messages": HI, "stream": True}
        streamed = await service.post("/v1/chat/completions", body, _headers(service, key))
        assert (streamed.status_code == 200) is expected[0]


async def test_a_model_is_described_without_tools_where_a_rule_allows_none(gateway: Start) -> None:
    rules = (Rule("no-tools", keys=("web",), tools=()), Rule("search-only", keys=("batch",), tools=("search",)))
    service = await gateway(provider=Model(), authorization="api_key", routes=routes(*rules))
    for key, tools in (("web", False), ("batch", True)):
        one = (await service.http.get("/v1/models/home", headers=_headers(service, key))).json()
        listed = (await service.http.get("/v1/models", headers=_headers(service, key))).json()["data"]
        for model in (one, *(each for each in listed if each["id"] == "home")):
            assert ("tools" in model["accepts"], "stream_tools" in model["accepts"]) == (tools, tools)
            assert "temperature" in model["accepts"]


@pytest.mark.parametrize(
    ("authorization", "context", "tenant", "key"),
    [
        ("jwt", {"authorizer": {"tenant": "shop", "key": "auth0|7", "models": '"all"'}}, "shop", "auth0|7"),
        (
            "iam",
            {"identity": {"accountId": "123456789012", "userArn": "arn:aws:sts::123456789012:assumed-role/batch/any"}},
            "123456789012",
            "arn:aws:sts::123456789012:assumed-role/batch",
        ),
        ("none", {}, "anonymous", ""),
    ],
)
async def test_rules_hold_for_every_kind_of_caller(
    gateway: Start, authorization: str, context: dict[str, Any], tenant: str, key: str
) -> None:
    for rule, status in (
        (Rule("a", keys=(key,), tenants=(tenant,), models=("abroad",)), 403),
        (Rule("a", keys=("other",), models=("abroad",)), 200),
        (Rule("a", models=("abroad",)), 403),
    ):
        service = await gateway(provider=Model(), authorization=authorization, routes=routes(rule))
        headers = {"x-amzn-request-context": json.dumps({"requestId": "r", **context})}
        response = await service.post("/chat", {"message": "Hi", "model": "home"}, headers)
        assert response.status_code == status
