"""DELETE /chat/{request_id}: a caller stops its own stream, and nobody another's."""

import asyncio
import json
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import msgspec
import pytest

from llm_functions.api_formats import chat
from llm_functions.http import event_stream
from llm_gateway.aws.dynamodb import DynamoDB, DynamoDBError
from llm_gateway.call import ModelCall
from llm_gateway.checked_router import Safety
from llm_gateway.errors import GatewayError
from llm_gateway.events import Delta, Done, Event
from llm_gateway.gateway import Gateway
from llm_gateway.identity.caller import ANONYMOUS
from llm_gateway.limits import CallerLimits, Limit, Limits
from llm_gateway.pipeline import answer
from llm_gateway.router import Router
from llm_gateway.safety import GuardrailUse
from llm_gateway.safety import Safety as Settings
from llm_gateway.stages import cancel
from llm_gateway.stages.guardrail import Assessment, Finding
from support.gateway_service import Service
from support.keyed_requests import KEY, ROUTES, STREAMS, Model, Start
from support.websocket_api import LEDGER

pytestmark = pytest.mark.timeout(120)

# The ids of requests at API Gateway.
FIRST, SECOND = "c6af9ac6-7b61-11e6-9a41-93e8deadbeef", "79104EDF-7cb8-4fbd-8f5d-2f3a0cbf0b4e"
PATH = "/chat/stream"
BODY = STREAMS[PATH]
MINE = {"tenant": "acme", "key": "ci", "models": '"all"'}
# What a stream ends with in each format: the last of its events that say something, and the reason in it.
ENDS = {
    "/chat/stream": ("done", '"stop_reason":"cancelled"'),
    "/v1/chat/completions": ("", '"finish_reason":"length"'),
    "/v1/completions": ("", '"finish_reason":"length"'),
    "/v1/responses": ("response.incomplete", '"incomplete_details":{"reason":"max_output_tokens"}'),
    "/v1/messages": ("message_delta", '"stop_reason":"max_tokens"'),
}
# Where the id of an answer is, or that of its request.
_IDS = {"id", "request_id"}


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cancel, "POLL_SECONDS", 0.02)


async def stop(service: Service, request_id: str = FIRST, caller: dict[str, str] = MINE) -> None:
    answer = await service.http.delete(f"/chat/{request_id}", headers=service.context(caller, "another"))
    assert (answer.status_code, answer.json()) == (202, {"request_id": request_id, "status": "cancelling"})


@pytest.mark.parametrize("path", STREAMS)
@pytest.mark.parametrize("key", [{}, KEY])
async def test_a_stream_ends_where_its_caller_stops_it(
    api: Start, model: Model, path: str, key: dict[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    service = await api(authorization="api_key")
    model.hold()
    model.free(1)
    headers = {**service.context(MINE, FIRST), **key}
    async with service.streaming(path, STREAMS[path], headers) as (response, events):
        assert response.headers["x-request-id"] == FIRST
        got = [await anext(events)]
        await stop(service)
        got += [event async for event in events]
    assert model.ended.is_set()
    name, reason = ENDS[path]
    texts = [(event.name, msgspec.json.encode(event.data).decode()) for event in got if event.data]
    assert any(each == name and reason in text for each, text in texts), texts
    assert "Hello" in repr(texts) and "world" not in repr(texts)
    if "completions" not in path:  # there a usage is sent where it is asked for
        assert '"estimated":true' in texts[-1][1] or '"estimated":true' in texts[-2][1]
    record = next(json.loads(line) for line in capfd.readouterr().out.splitlines() if '"gen_ai.operation.name"' in line)
    assert record["gen_ai.response.finish_reasons"] == ["cancelled"]
    # What has come is what is charged: "Well." and "Hello", by their length.
    assert (record["gen_ai.usage.output_tokens"], record["level"]) == (3, "INFO")
    model.free(9)
    if key:  # the key keeps the answer as it ended
        assert [event.name for event in await service.sse(path, STREAMS[path], headers)] == [event.name for event in got]
        assert model.calls == 1


async def test_what_was_generated_is_charged(api: Start, model: Model, dynamodb: DynamoDB, dynamodb_url: str) -> None:
    limits = CallerLimits(others=Limits((Limit("tokens", "day", 100_000, ""),), None))
    routes = msgspec.structs.replace(ROUTES, limits=limits)
    service = await api(authorization="api_key", limits=dynamodb_url, routes=routes)
    model.hold()
    model.free(1)
    async with service.streaming(PATH, BODY, service.context(MINE, FIRST)) as (_, events):
        await anext(events)
        await stop(service)
        usage = next(event.data for event in [event async for event in events] if event.name == "usage")
    assert usage["estimated"] is True
    item: Any = await dynamodb.get_item(LEDGER, {"holder": {"S": '["caller","acme","ci"]'}}, consistent=True)
    assert "in_flight" not in item
    (tokens,) = {value["N"] for name, value in item.items() if name.endswith("tokens")}
    assert int(tokens) == usage["input_tokens"] + usage["output_tokens"]


@pytest.mark.parametrize("caller", [{**MINE, "key": "cd"}, {**MINE, "tenant": "other"}])
async def test_a_caller_stops_nothing_of_anothers(
    api: Start, model: Model, caller: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    service, looks = await api(authorization="api_key"), asyncio.Semaphore(0)
    look = DynamoDB.get_item

    async def looking(self: DynamoDB, *args: Any, **more: Any) -> Any:
        found = await look(self, *args, **more)
        looks.release()
        return found

    model.hold()
    model.free(1)
    async with service.streaming(PATH, BODY, service.context(MINE, FIRST)) as (_, events):
        await anext(events)
        await stop(service, caller=caller)  # the same answer
        await stop(service, SECOND)  # which is not there
        monkeypatch.setattr(DynamoDB, "get_item", looking)
        for _ in range(3):
            await looks.acquire()
        model.free(9)
        names = [event.name async for event in events]
    assert names[-1] == "done" and model.calls == 1
    assert "delta" in names


async def test_a_stream_that_has_not_begun_ends_with_an_error(
    api: Start, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its client knows its id by the head, which the first comment brings."""
    monkeypatch.setattr(event_stream, "KEEP_ALIVE_SECONDS", 0.02)
    service = await api(authorization="api_key")
    model.hold()
    async with service.streaming(PATH, BODY, {**service.context(MINE, FIRST), **KEY}) as (response, events):
        await stop(service, response.headers["x-request-id"])
        found = [event async for event in events if event.name != ":" and event.data]
    assert [(event.name, event.data["error"]["code"]) for event in found] == [("error", "cancelled")]
    assert model.ended.is_set()
    model.free(9)  # nothing has come, so nothing is kept
    again = await service.sse(PATH, BODY, {**service.context(MINE, SECOND), **KEY})
    assert again[-1].data["stop_reason"] == "end_turn"


async def test_a_stream_goes_on_where_the_table_is_down(
    api: Start, model: Model, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    service, looks = await api(authorization="api_key"), asyncio.Semaphore(0)

    async def down(self: Any, *_: Any, **__: Any) -> Any:
        looks.release()
        raise DynamoDBError("InternalServerError", "down", 500)

    monkeypatch.setattr(DynamoDB, "get_item", down)
    monkeypatch.setattr(DynamoDB, "put_item", down)
    model.hold()
    model.free(1)
    async with service.streaming(PATH, BODY, service.context(MINE, FIRST)) as (_, events):
        await anext(events)
        for _ in range(3):
            await looks.acquire()
        refused = await service.http.delete(f"/chat/{FIRST}", headers=service.context(MINE, FIRST))
        assert (refused.status_code, service.error_of(refused)["code"]) == (503, "cancel_unavailable")
        model.free(9)
        names = [event.name async for event in events]
    assert names[-1] == "done"
    lines = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert len([line for line in lines if "cannot be stopped" in line["message"]]) == 1


async def test_short_answers_and_whole_ones_read_nothing(
    api: Start, dynamodb: DynamoDB, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cancel, "POLL_SECONDS", 60)
    reads: list[str] = []
    call = DynamoDB._call  # pyright: ignore[reportPrivateUsage]

    async def counted(self: DynamoDB, operation: str, body: dict[str, Any]) -> Any:
        reads.append(operation)
        return await call(self, operation, body)

    monkeypatch.setattr(DynamoDB, "_call", counted)
    service = await api()
    assert (await service.sse(PATH, BODY))[-1].name == "done"
    assert (await service.post("/chat", BODY)).status_code == 200
    assert reads == []


@pytest.mark.parametrize(
    "request_id",
    ["a%20b", "x" * 65, "a/b", "request-1", "O0GRedvMB71tF0Q=", f"{FIRST}-1", f"gen-{FIRST}", f"msg_{FIRST}_0", "chatcmpl-"],
)
async def test_the_form_of_an_id(api: Start, request_id: str) -> None:
    service = await api()
    refused = await service.http.delete(f"/chat/{request_id}")
    assert (refused.status_code, service.error_of(refused)["param"]) == (400, "request_id")


@pytest.mark.parametrize("path", STREAMS)
async def test_the_id_of_an_answer_is_one_of_its_request(api: Start, model: Model, path: str) -> None:
    """It is what the SDKs show."""
    service = await api(authorization="api_key")
    model.hold()
    model.free(1)
    async with service.streaming(path, STREAMS[path], service.context(MINE, FIRST)) as (_, events):
        data: dict[str, Any] = (await anext(event async for event in events if event.data)).data
        said = next(each for each in (data, *data.values()) if isinstance(each, dict) and _IDS & set(each))
        shown = next(said[name] for name in _IDS if name in said)
        assert shown.endswith(FIRST)
        answer = await service.http.delete(f"/chat/{shown}", headers=service.context(MINE, "another"))
        assert (answer.status_code, answer.json()["request_id"]) == (202, FIRST)
        async for _ in events:
            pass
    assert model.ended.is_set()


@pytest.mark.parametrize("since", [{}, {"Last-Event-ID": "2"}])
async def test_one_who_follows_a_stream_stops_it_by_its_own_id(api: Start, model: Model, since: dict[str, str]) -> None:
    """It is the only one that a client knows which goes on after some event."""
    service = await api(authorization="api_key")
    model.hold()
    model.free(1)
    async with service.streaming(PATH, BODY, {**service.context(MINE, FIRST), **KEY}) as (_, events):
        await anext(events)
        again = {**service.context(MINE, SECOND), **KEY, **since}
        async with service.streaming(PATH, BODY, again) as (response, others):
            assert response.headers["idempotent-replayed"] == "true"
            await stop(service, response.headers["x-request-id"])
            for each in (events, others):
                assert [event async for event in each if event.data][-1].data["stop_reason"] == "cancelled"
    assert model.ended.is_set()


async def test_without_a_journal_there_is_no_such_operation(gateway: Start, model: Model) -> None:
    service = await gateway(provider=model, routes=ROUTES)
    refused = await service.http.delete(f"/chat/{FIRST}")
    assert (refused.status_code, service.error_of(refused)["code"]) == (404, "unknown_route")
    paths = (await service.http.get("/openapi.json")).json()["paths"]
    assert "/chat/{request_id}" not in paths


@pytest.mark.parametrize("word", ["Hello", "nothing of it"])
async def test_what_has_come_is_checked_before_it_leaves(word: str) -> None:
    """Where a guardrail sees answers, it sees the end of a stopped one, too."""

    class Stopped:
        async def answer(self, call: ModelCall) -> AsyncGenerator[list[Event], None]:
            yield [Delta("Hello")]
            stop.request()
            await asyncio.Event().wait()

    class Guardrail:
        async def assess(self, source: str, texts: Sequence[str], deadline: float) -> Assessment:
            found = [Finding("word", "BLOCKED")] if any(word in text for text in texts) else []
            return Assessment(tuple(found), tuple(texts))

    safety = Safety(Settings(guardrail=GuardrailUse(prompts=False)), Guardrail())  # pyright: ignore[reportArgumentType]
    gateway = Gateway(ROUTES, Router({"bedrock": Stopped()}), safety=safety)
    request = chat.parse({"message": "Hi"}, stream=True)
    stop, texts = cancel.Stop(), ""
    batches = answer(gateway, request, ANONYMOUS, "request-1", asyncio.get_running_loop().time() + 60, stop=stop)
    try:
        async for batch in batches:
            texts += "".join(event.text for event in batch if isinstance(event, Delta))
        assert isinstance(batch[-1], Done) and batch[-1].stop_reason == "cancelled"
    except GatewayError as error:
        texts += error.code
    assert texts == ("content_policy_violation" if word == "Hello" else "Hello")
