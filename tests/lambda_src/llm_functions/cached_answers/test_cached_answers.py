"""Answers that are there already: in every API format, whole and streamed, and which requests get them."""

import asyncio
import json
import re
from typing import Any

import msgspec
import pytest

from llm_gateway import errors
from llm_gateway.answer_cache import AnswerCache
from llm_gateway.aws.dynamodb import DynamoDB
from llm_gateway.events import Delta, Done, StopReason, ToolCall, ToolCallDelta, Usage
from llm_gateway.limits import CallerLimits, Limit, Limits
from llm_gateway.metrics import Metrics
from llm_gateway.routes import Routes
from llm_gateway.stages import journal_writer
from support.cached_requests import BODIES, MESSAGES, ROUTES, STREAMS, alias, status
from support.clock import Now
from support.keyed_requests import KEY, Model, Start
from support.websocket_api import JOURNAL, LEDGER

pytestmark = pytest.mark.timeout(120)

PATH = "/v1/chat/completions"
BODY = BODIES[PATH]
ASKED = msgspec.structs.replace(ROUTES, cache=AnswerCache(600, "asked"))
HOT: dict[str, Any] = {**BODY, "temperature": 0.7}


def without_its_own(text: str) -> str:
    """An answer without what is each answer's own: ids, times, and what the cache has done."""
    text = re.sub(r'"(id|item_id|request_id|response_id)":"[^"]*"', r'"\1":""', text)
    text = re.sub(r'"(created|created_at|completed_at|attempts|waited_ms|first_token_ms)":[0-9.]+', r'"\1":0', text)
    return re.sub(r',"cache":\{[^}]*\}', "", text)


@pytest.mark.parametrize("path", BODIES | STREAMS)
async def test_the_same_request_gets_the_same_answer(api: Start, model: Model, now: Now, path: str) -> None:
    """Byte by byte but for ids and times; whole and streamed answers are one."""
    service, body = await api(now=now), (BODIES | STREAMS)[path]
    first = await service.post(path, body)
    assert (first.status_code, status(first), "age" in first.headers) == (200, "miss", False)
    again = await service.http.post(path, content=json.dumps(dict(reversed(body.items())), indent=2))
    assert (status(again), again.headers["age"], again.headers["x-llm-saved-tokens"]) == ("hit", "0", "5")
    assert without_its_own(again.text) == without_its_own(first.text)
    assert again.headers["x-llm-target"] == first.headers["x-llm-target"]
    assert again.headers["x-request-id"] != first.headers["x-request-id"]
    assert model.calls == 1
    if path in STREAMS and path in BODIES:
        assert status(await service.post(path, {**body, "stream": False})) == "hit"


async def test_one_answer_serves_every_format_that_asks_for_the_same(api: Start, model: Model) -> None:
    service = await api()
    for path, body in (BODIES | STREAMS).items():
        if not path.startswith("/chat"):  # which has a system prompt and defaults of its own
            bounded = {**body, ("max_output_tokens" if "responses" in path else "max_tokens"): 9}
            answer = await service.post(path, bounded)
            assert "Hello" in answer.text and " world" in answer.text
    assert model.calls == 1


async def test_tool_calls_are_kept(api: Start, model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    async def answer(call: Any) -> Any:
        model.calls += 1
        yield [ToolCall(0, "call_1", "look"), ToolCallDelta(0, '{"at":'), ToolCallDelta(0, '"it"}')]
        yield [Usage(3, 2), Done("tool_use")]

    monkeypatch.setattr(model, "answer", answer)
    service = await api()
    body = {**BODY, "tools": [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]}
    first, again = [await service.post(PATH, body) for _ in range(2)]
    assert without_its_own(again.text) == without_its_own(first.text)
    assert again.json()["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"] == '{"at":"it"}'
    assert (status(again), model.calls) == ("hit", 1)


# Of two equal requests: what each has in common, the header Cache-Control of the second, and what the cache does for it.
REQUESTS: dict[str, tuple[Routes, dict[str, Any], str, str]] = {
    "at temperature 0": (ROUTES, BODY, "", "hit"),
    "an ordinary one": (ROUTES, HOT, "", "bypass"),
    "without a temperature": (ROUTES, {"model": "chat", "messages": MESSAGES}, "", "bypass"),
    "of a model that takes no temperature": (ROUTES, {**BODY, "model": "plain"}, "", "bypass"),
    "one that asks, where only temperature 0 is cached": (ROUTES, HOT, "max-age=60", "bypass"),
    "one that asks": (ASKED, HOT, "max-age=60", "hit"),
    "one that does not ask": (ASKED, HOT, "", "bypass"),
    "of a model without temperature that asks": (ASKED, {**BODY, "model": "plain"}, "max-age=60", "hit"),
    "no-cache": (ROUTES, BODY, "no-cache", "miss"),
    "no-store": (ROUTES, BODY, "no-store", "bypass"),
    "both": (ASKED, HOT, "no-store, max-age=60", "bypass"),
    "no age": (ROUTES, BODY, "max-age=0", "miss"),
    "not a number": (ROUTES, BODY, "max-age=soon", "miss"),
    "unknown words": (ROUTES, BODY, 'Private, s-maxage=7, foo="a, b"', "hit"),
    "in capitals": (ROUTES, BODY, "NO-STORE", "bypass"),
}


@pytest.mark.parametrize("case", REQUESTS)
async def test_which_requests_get_a_cached_answer(api: Start, model: Model, case: str) -> None:
    routes, body, asked, expected = REQUESTS[case]
    service = await api(routes=routes)
    for first in ("max-age=60", ""):
        await service.post(PATH, body, {"Cache-Control": first} if first else None)
    calls = model.calls
    got = await service.post(PATH, body, {"Cache-Control": asked} if asked else None)
    assert (got.status_code, status(got)) == (200, expected)
    assert model.calls - calls == (expected != "hit")


@pytest.mark.assumes("cache-headers")
async def test_an_answer_is_used_for_its_time(api: Start, model: Model, now: Now) -> None:
    service = await api(now=now)

    async def get(asked: str = "") -> tuple[str | None, str | None]:
        answer = await service.post(PATH, BODY, {"Cache-Control": asked} if asked else None)
        return status(answer), answer.headers.get("age")

    assert await get() == ("miss", None)
    now.seconds += 100
    assert await get() == ("hit", "100")
    assert await get("max-age=101") == ("hit", "100")
    assert await get("max-age=99") == ("miss", None)  # and what it has got is kept in its place
    now.seconds += 10
    assert await get("max-age=99") == ("hit", "10")
    assert await get("no-cache") == ("miss", None)
    assert await get() == ("hit", "0")
    now.seconds += 599
    assert await get() == ("hit", "599")
    now.seconds += 2
    assert await get() == ("miss", None)
    assert model.calls == 4


async def test_entries_are_a_tenants_own(api: Start, model: Model) -> None:
    """All of its keys share them, those that may use the alias."""
    service = await api(authorization="api_key")

    def caller(tenant: str, key: str, models: str = '"all"') -> dict[str, str]:
        return service.context({"tenant": tenant, "key": key, "models": models})

    for who, expected in (
        (caller("acme", "ci"), "miss"),
        (caller("acme", "ci"), "hit"),
        (caller("acme", "web"), "hit"),
        (caller("other", "ci"), "miss"),
        (caller("other", "ci"), "hit"),
    ):
        assert status(await service.post(PATH, BODY, who)) == expected
    refused = await service.post(PATH, BODY, caller("acme", "small", '["other"]'))
    assert (refused.status_code, status(refused)) == (403, None)
    assert model.calls == 2


async def test_a_change_of_the_deployment_finds_no_old_answer(api: Start, model: Model) -> None:
    first = await api()
    assert [status(await first.post(PATH, BODY)) for _ in range(2)] == ["miss", "hit"]
    aliases = (alias("chat", "max_tokens", "temperature", "tools", "stream_tools", temperature_max=0.5), *ROUTES.aliases[1:])
    changed = await api(routes=msgspec.structs.replace(ROUTES, aliases=aliases))
    assert status(await changed.post(PATH, BODY)) == "miss"
    assert status(await (await api()).post(PATH, BODY)) == "hit"


ENDS: dict[StopReason, str] = {
    "end_turn": "hit",
    "max_tokens": "hit",
    "stop_sequence": "hit",
    "content_filtered": "miss",
    "context_window_exceeded": "miss",
}


@pytest.mark.parametrize("path", [PATH, "/chat/stream"])
@pytest.mark.parametrize("end", ENDS)
async def test_only_answers_with_an_ordinary_end_are_kept(
    api: Start, model: Model, monkeypatch: pytest.MonkeyPatch, end: StopReason, path: str
) -> None:
    async def answer(call: Any) -> Any:
        yield [Delta("Hel")]
        yield [Delta("lo"), Usage(3, 2), Done(end)]

    monkeypatch.setattr(model, "answer", answer)
    service = await api()
    body = (BODIES | STREAMS)[path]
    assert [status(await service.post(path, body)) for _ in range(2)] == ["miss", ENDS[end]]


@pytest.mark.parametrize("at", ["before the first event", "after it"])
@pytest.mark.parametrize("path", [PATH, "/chat/stream"])
async def test_errors_are_not_kept(api: Start, model: Model, path: str, at: str) -> None:
    service, body = await api(), (BODIES | STREAMS)[path]
    failure = errors.upstream_unavailable()
    if at == "after it":
        model.hold()
        model.free(1)
        failing = asyncio.create_task(service.post(path, body))
        await model.asked.wait()
        model.failures = [failure]
        model.free(1000)
        await failing
    else:
        model.failures = [failure]
        assert (await service.post(path, body)).status_code == failure.status
    again = await service.post(path, body)
    assert (again.status_code, status(again)) == (200, "miss")
    assert status(await service.post(path, body)) == "hit"
    assert model.calls == 2


async def test_what_a_fallback_samples_is_not_kept(api: Start, model: Model) -> None:
    """The first target is sent temperature 0, and the one that answers takes none."""
    first, second = alias("a", "max_tokens", "temperature").targets[0], alias("b", "max_tokens").targets[0]
    both = msgspec.structs.replace(ROUTES.aliases[0], targets=(first, second))
    service = await api(routes=msgspec.structs.replace(ROUTES, aliases=(both,)))
    model.failures = [errors.upstream_unavailable()]
    answers = [await service.post(PATH, {**BODY, "max_tokens": 9}) for _ in range(2)]
    assert [each.headers["x-llm-target"] for each in answers] == ["bedrock/b", "bedrock/b"]  # the other cools down
    assert [status(each) for each in answers] == ["miss", "bypass"]


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_a_short_answer_is_found_by_one_call(
    api: Start, model: Model, streamed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    call, asked = vars(DynamoDB)["_call"], list[str]()

    async def noted(self: DynamoDB, operation: str, body: dict[str, Any]) -> Any:
        asked.append(operation)
        return await call(self, operation, body)

    monkeypatch.setattr(DynamoDB, "_call", noted)
    monkeypatch.setattr(journal_writer, "FLUSH_SECONDS", 60.0)
    service = await api()
    answers = [await service.post(PATH, {**BODY, "stream": streamed}) for _ in range(2)]
    assert [status(each) for each in answers] == ["miss", "hit"]
    assert asked == ["PutItem", "UpdateItem", "PutItem"]


@pytest.mark.parametrize("characters", [3_000, 200_000, 1_000_000])
async def test_an_answer_may_be_long(api: Start, model: Model, characters: int) -> None:
    model.texts = ["ö" * 1000] * (characters // 1000)
    service = await api()
    first, again = [await service.post(PATH, BODY) for _ in range(2)]
    assert again.json()["choices"] == first.json()["choices"]
    assert (status(again), model.calls) == ("hit", 1)


async def test_what_does_not_fit_into_an_item_is_not_kept(api: Start, model: Model) -> None:
    model.texts = ["ö" * 200_000]
    service = await api()
    assert [status(await service.post(PATH, BODY)) for _ in range(2)] == ["miss", "miss"]


async def test_vectors_are_not_cached(api: Start, model: Model) -> None:
    service = await api()
    for _ in range(2):
        answer = await service.post("/v1/embeddings", {"model": "vectors", "input": "Hi"})
        assert (answer.status_code, status(answer)) == (200, None)
    assert model.calls == 2


async def test_a_hit_is_a_request_that_uses_nothing(
    api: Start, model: Model, now: Now, dynamodb: DynamoDB, dynamodb_url: str, capfd: pytest.CaptureFixture[str]
) -> None:
    limits = CallerLimits(others=Limits((Limit("requests", "day", 3, ""), Limit("tokens", "day", 10_000, "")), None))
    service = await api(now=now, limits=dynamodb_url, routes=msgspec.structs.replace(ROUTES, limits=limits))
    answers = [await service.post(PATH, {**BODY, "max_tokens": 50}) for _ in range(3)]
    assert [status(each) for each in answers] == ["miss", "hit", "hit"]
    assert [each.headers["x-ratelimit-remaining-requests"] for each in answers] == ["2", "1", "0"]
    assert (await service.post(PATH, {**BODY, "max_tokens": 50})).status_code == 429
    item: Any = await dynamodb.get_item(LEDGER, {"holder": {"S": '["caller","anonymous",""]'}}, consistent=True)
    counted = {name.split()[-1]: value["N"] for name, value in item.items() if " " in name}
    assert counted == {"requests": "3", "tokens": "5"}
    assert "in_flight" not in item
    # In the log, a hit has used no tokens, and says which it has saved.
    lines = [json.loads(line) for line in capfd.readouterr().out.splitlines() if line.startswith("{")]
    hits = [line for line in lines if line.get("cache.status") == "hit"]
    assert [line["cache.saved_tokens"] for line in hits] == [5, 5]
    assert not any("gen_ai.usage.input_tokens" in line for line in hits)
    assert all(0 <= line["cache.age_s"] < 60 for line in hits)


async def test_a_request_with_a_key_gets_what_is_cached_and_keeps_it(api: Start, model: Model, dynamodb_url: str) -> None:
    service = await api(journal=dynamodb_url)
    assert status(await service.post(PATH, BODY)) == "miss"
    first = await service.post(PATH, BODY, KEY)
    assert (status(first), "idempotent-replayed" in first.headers) == ("hit", False)
    again = await service.post(PATH, BODY, KEY)
    assert (again.content, again.headers["idempotent-replayed"]) == (first.content, "true")
    streamed = {**BODY, "stream": True}
    for replayed in (False, True):
        answer = await service.post(PATH, streamed, {"Idempotency-Key": "another"})
        assert ("idempotent-replayed" in answer.headers, " world" in answer.text) == (replayed, True)
    # What was answered with a key is cached, too.
    body = {**BODY, "max_tokens": 7}
    assert status(await service.post(PATH, body, {"Idempotency-Key": "a third"})) == "miss"
    assert status(await service.post(PATH, body)) == "hit"
    assert model.calls == 2
    # A repetition that would not have what is cached: nothing is generated, and nothing stays claimed. What is cached makes
    # room if the claim comes before it is known that the request is a repetition.
    again = await service.post(PATH, BODY, {**KEY, "Cache-Control": "no-cache"})
    assert (again.content, again.headers["idempotent-replayed"]) == (first.content, "true")
    use = status(await service.post(PATH, BODY))
    assert (use, model.calls) in (("hit", 2), ("miss", 3))


async def test_the_description_says_what_the_cache_adds(api: Start, gateway: Start, model: Model) -> None:
    """To each operation that chats, where there is a cache; browsers may read its headers."""
    headers = {"age", "x-llm-cache", "x-llm-saved-tokens"}
    cached = (await (await api()).http.get("/openapi.json")).json()["paths"]
    plain = (await (await gateway(provider=model)).http.get("/openapi.json")).json()["paths"]
    for path, methods in cached.items():
        for method, operation in methods.items():
            described = {"headers": headers, "parameters": {"Cache-Control"}} if path in BODIES | STREAMS else {}
            for paths, expected in ((cached, described), (plain, dict[str, set[str]]())):
                there = paths[path][method]
                assert headers & set(there["responses"]["200"].get("headers", ())) == expected.get("headers", set())
                named = {each["name"] for each in there.get("parameters", ())}
                assert named & {"Cache-Control"} == expected.get("parameters", set()), operation["operationId"]
    exposed = (await (await api()).post(PATH, BODY)).headers["access-control-expose-headers"].split(", ")
    assert headers <= set(exposed)


async def test_the_table_holds_no_prompt(api: Start, dynamodb: DynamoDB) -> None:
    service = await api()
    await service.post(PATH, {**BODY, "messages": [{"role": "user", "content": "a secret"}]})
    call: Any = vars(DynamoDB)["_call"]
    items = (await call(dynamodb, "Scan", {"TableName": JOURNAL}))["Items"]
    assert len(items) == 1
    assert "secret" not in json.dumps(items)


async def test_metrics_tell_hits_from_misses_and_from_what_is_not_cached(api: Start, capfd: pytest.CaptureFixture[str]) -> None:
    service = await api(routes=msgspec.structs.replace(ROUTES, metrics=Metrics("test")))
    for body in (BODY, BODY, HOT):
        await service.post(PATH, body)
    lines = [json.loads(line) for line in capfd.readouterr().out.splitlines() if line.startswith("{")]
    measured = [{name: line[name] for name in ("cache.hits", "cache.saved_tokens") if name in line} for line in lines]
    assert measured == [{"cache.hits": 0}, {"cache.hits": 1, "cache.saved_tokens": 5}, {}]
    for line, fields in zip(lines, measured, strict=True):
        (directive,) = line["_aws"]["CloudWatchMetrics"]
        assert {metric["Name"] for metric in directive["Metrics"] if metric["Name"].startswith("cache.")} == set(fields)
