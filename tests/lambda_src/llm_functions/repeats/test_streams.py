"""Streams that name an idempotency key: whoever comes back gets what it has not got, from one generation."""

import asyncio
import contextlib
import itertools
import time
from typing import Any

import hypothesis.strategies as st
import msgspec
import openai
import pytest
from hypothesis import HealthCheck, given, settings

from llm_functions.http import event_stream, repeats
from llm_gateway import errors
from llm_gateway.aws.dynamodb import DynamoDB, DynamoDBError
from llm_gateway.identity.caller import ANONYMOUS
from llm_gateway.limits import CallerLimits, Limit, Limits
from llm_gateway.stages import journal
from llm_gateway.stages.idempotency import Idempotency
from support.clock import Now
from support.gateway_service import Service, Sse
from support.keyed_requests import BODIES, KEY, ROUTES, STREAMS, Model, Start
from support.websocket_api import JOURNAL, LEDGER

pytestmark = pytest.mark.timeout(120)

PATH = "/chat/stream"
BODY = BODIES["/chat"]
NAMES = ["start", "reasoning", "delta", "delta", "usage", "done"]
_keys = itertools.count()


def since(number: int, key: dict[str, str] = KEY) -> dict[str, str]:
    return {**key, "Last-Event-ID": str(number)}


def text(events: list[Sse]) -> str:
    return "".join(event.data["text"] for event in events if event.name == "delta")


def contents(events: list[Sse]) -> list[tuple[int | None, str, Any]]:
    return [(event.id, event.name, event.data) for event in events if event.retry is None]


@pytest.mark.parametrize("path", STREAMS)
async def test_a_stream_that_is_asked_for_again_is_the_same(api: Start, model: Model, path: str) -> None:
    service = await api()

    async def stream() -> list[Any]:
        found = contents(await service.sse(path, STREAMS[path], KEY))
        for _, _, data in found:  # OpenAI's formats say when they were rendered
            for part in (data, (data or {}).get("response")):
                for name in ("created", "created_at"):
                    (part or {}).pop(name, None)
        return found

    first = await stream()
    assert await stream() == first
    assert model.calls == 1
    async with service.streaming(path, STREAMS[path], KEY) as (response, _):
        assert response.headers["idempotent-replayed"] == "true"
        assert response.headers["x-llm-target"] == "bedrock/chat"


async def test_a_client_that_comes_back_follows_the_stream(api: Start, model: Model) -> None:
    service = await api()
    model.hold()
    model.free(1)
    async with service.streaming(PATH, BODY, KEY) as (_, events):
        got = [await anext(events) for _ in range(4)]  # the first has nothing but retry
    assert [event.name for event in got[1:]] == NAMES[:3]
    # The client has left, and the generation goes on.
    async with service.streaming(PATH, BODY, since(2)) as (response, events):
        assert response.headers["idempotent-replayed"] == "true"
        assert [(await anext(events)).retry, (await anext(events)).id] == [3000, 3]
        async with service.streaming(PATH, BODY, KEY) as (_, others):  # another one wants all of it
            assert [(await anext(others)).name for _ in range(4)][1:] == NAMES[:3]
            model.free(9)
            rest = [event async for event in events if event.name != ":"]
            assert contents([event async for event in others if event.name != ":"]) == contents(rest)
    assert [(event.id, event.name) for event in rest] == list(enumerate(NAMES[3:], 4))
    assert text([*got[1:], *rest]) == "Hello world"
    assert model.calls == 1


@given(cuts=st.lists(st.integers(0, 12), min_size=1, max_size=4), parts=st.integers(1, 6), held=st.booleans())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_the_answer_is_the_same_wherever_it_was_cut(
    cuts: list[int], parts: int, held: bool, running: Service, model: Model
) -> None:
    """A client that is cut off after so many events, and again, while the model answers and after it."""
    model.texts = [f"part {number} " for number in range(parts)]
    model.hold()
    model.free(parts if held else 1000)
    key = {"Idempotency-Key": f"key {next(_keys)}"}
    calls, got = model.calls, list[Sse]()
    for cut in cuts:
        if got and got[-1].name == "done":
            break
        headers = since(got[-1].id or 0, key) if got else key
        available = parts + 2 if held else parts + 4
        async with running.streaming(PATH, BODY, headers) as (_, events):
            while len(got) < min(cut, available):
                event = await anext(events)
                if event.id is not None:
                    got.append(event)
    model.free(1000)
    if got and got[-1].name == "done":
        assert (await running.post(PATH, BODY, since(got[-1].id or 0, key))).status_code == 204
    else:
        got += [event for event in await running.sse(PATH, BODY, since(got[-1].id or 0, key) if got else key) if event.id]
    assert [event.id for event in got] == list(range(1, parts + 5))
    assert [event.name for event in got] == ["start", "reasoning", *["delta"] * parts, "usage", "done"]
    assert text(got) == "".join(model.texts)
    assert contents([event for event in await running.sse(PATH, BODY, key) if event.id]) == contents(got)
    assert model.calls == calls + 1


@pytest.fixture
async def running(api: Start) -> Service:
    return await api()


async def test_of_many_streams_at_once_one_calls_a_model(api: Start, model: Model) -> None:
    service = await api()
    streams = await asyncio.gather(*(service.sse(PATH, BODY, KEY) for _ in range(repeats.MOST_FOLLOWERS + 1)))
    assert model.calls == 1
    assert len({repr(contents(each)) for each in streams}) == 1


async def test_the_newest_of_many_followers_go_on(api: Start, model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each one holds a function, and none learns that its client has left."""
    monkeypatch.setattr(repeats, "MOST_FOLLOWERS", 2)
    service = await api()
    model.hold()
    model.free(1)
    async with contextlib.AsyncExitStack() as open_streams:

        async def follow() -> Any:
            _, events = await open_streams.enter_async_context(service.streaming(PATH, BODY, KEY))
            assert [(await anext(events)).name for _ in range(4)][1:] == NAMES[:3]
            return events

        first, *followers = [await follow() for _ in range(4)]
        (last,) = [event async for event in followers[0]]
        assert (last.name, last.id, last.data["error"]["code"]) == ("error", None, "too_many_followers")
        model.free(9)
        for events in (first, *followers[1:]):
            assert [event.name async for event in events if event.name != ":"] == NAMES[3:]
    assert model.calls == 1


async def _has_everything(service: Service, number: int) -> None:
    """A client that has the last event is to try no more, and one that cannot have what it says is wrong."""
    done = await service.post(PATH, BODY, since(number))
    assert (done.status_code, done.content, done.headers.get("content-type")) == (204, b"", None)
    assert done.headers["idempotent-replayed"] == "true"
    for known in (number + 1, 500):
        refused = await service.post(PATH, BODY, since(known))
        assert (refused.status_code, service.error_of(refused)["param"]) == (400, "Last-Event-ID")
        assert f"the last event of this stream is {number}" in refused.json()["error"]["message"]


async def test_a_client_that_has_everything_is_told_so(api: Start, model: Model) -> None:
    """204 tells an EventSource to stop: https://html.spec.whatwg.org/multipage/server-sent-events.html"""
    service = await api()
    await service.sse(PATH, BODY, KEY)
    assert [event.name for event in await service.sse(PATH, BODY, since(len(NAMES) - 1))][1:] == ["done"]
    await _has_everything(service, len(NAMES))
    assert model.calls == 1


async def test_what_is_not_there_is_not_resumed(api: Start, model: Model) -> None:
    service = await api()
    refused = await service.post(PATH, BODY, since(3))
    assert (refused.status_code, service.error_of(refused)["code"]) == (404, "nothing_to_resume")
    wrong = await service.post(PATH, BODY, {**KEY, "Last-Event-ID": "three"})
    assert (wrong.status_code, service.error_of(wrong)["param"]) == (400, "Last-Event-ID")
    assert model.calls == 0
    # Without its key, nobody knows which one is meant.
    refused = await service.post(PATH, BODY, {"Last-Event-ID": "3"})
    assert (refused.status_code, service.error_of(refused)["param"]) == (400, "Last-Event-ID")
    assert "needs the Idempotency-Key" in refused.json()["error"]["message"]
    assert model.calls == 0


async def test_a_client_that_has_nothing_of_a_stream_gets_all_of_it(api: Start, model: Model) -> None:
    """The number 0, with which some clients begin, is as none; so is any number where events are not kept or have none."""
    service = await api()
    assert [event.name for event in await service.sse(PATH, BODY, since(0))][1:] == NAMES
    assert [event.name for event in await service.sse(PATH, BODY, since(0))][1:] == NAMES
    assert model.calls == 1
    assert [event.name for event in await service.sse(PATH, BODY, {"Last-Event-ID": "0"})][1:] == NAMES
    chunks = await service.sse("/v1/messages", STREAMS["/v1/messages"], {"Last-Event-ID": "3"})
    assert chunks[-1].name == "message_stop"
    assert model.calls == 3


async def test_without_a_journal_the_number_says_nothing(gateway: Start, model: Model) -> None:
    service = await gateway(provider=model, routes=ROUTES)
    assert [event.name for event in await service.sse(PATH, BODY, {"Last-Event-ID": "3"})][1:] == NAMES


async def test_a_client_ahead_of_a_stream_that_runs_is_told_at_its_end(
    api: Start, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its response has begun with a comment."""
    monkeypatch.setattr(event_stream, "KEEP_ALIVE_SECONDS", 0.02)
    service = await api()
    model.hold()
    model.free(1)
    async with service.streaming(PATH, BODY, KEY) as (_, events):
        await anext(events)
        async with service.streaming(PATH, BODY, since(500)) as (_, others):
            await anext(others)
            model.free(9)
            last = [event async for event in others if event.name not in (":", "")][-1]
    assert (last.name, last.id, last.data["error"]["param"]) == ("error", None, "Last-Event-ID")


@pytest.mark.parametrize("path", STREAMS)
async def test_a_stream_that_broke_off_is_sent_again_and_answered_anew(api: Start, model: Model, path: str) -> None:
    service = await api()
    model.hold()
    model.free(1)
    async with service.streaming(path, STREAMS[path], KEY) as (_, events):
        await anext(events)
        model.failures = [errors.upstream_throttled(retry_after=7)]
        model.free(1)
        first = [event async for event in events]
    assert "upstream_throttled" in repr(first[-1].data)
    if path == PATH:
        again = await service.sse(path, STREAMS[path], since(1))
        assert [event.name for event in again[1:]] == ["reasoning", "delta", "error"]
        assert (again[-1].id, again[-1].data["error"]["code"]) == (4, "upstream_throttled")
        await _has_everything(service, 4)
    assert model.calls == 1
    model.free(9)
    anew = await service.sse(path, STREAMS[path], KEY)
    assert "upstream_throttled" not in repr(anew)
    assert model.calls == 2


async def test_whoever_follows_is_told_of_a_failure_before_the_first_event(
    api: Start, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = await api()
    look, follows = journal.Journal.head, asyncio.Event()

    async def looking(self: Any, key: str) -> Any:
        follows.set()
        return await look(self, key)

    monkeypatch.setattr(journal.Journal, "head", looking)
    model.hold()
    first = asyncio.create_task(service.post(PATH, BODY, KEY))
    await model.asked.wait()
    second = asyncio.create_task(service.post(PATH, BODY, KEY))
    await follows.wait()
    model.failures = [errors.upstream_throttled()]
    model.free(1)
    assert (await first).status_code == 429
    assert ((await second).status_code, model.calls) == (502, 1)
    model.free(9)
    assert text(await service.sse(PATH, BODY, KEY)) == "Hello world"


@pytest.mark.parametrize("resumed", [False, True])
async def test_a_writer_that_died(api: Start, model: Model, dynamodb: DynamoDB, resumed: bool) -> None:
    """Its client is told what there is and that it ended; sent without a number, the request is answered anew."""
    service = await api()
    past = Now()
    past.seconds = time.time() - journal.DEAD_SECONDS - 1
    died = Idempotency(dynamodb, JOURNAL, lambda text: None, clock=past)
    claim = died.claim(
        KEY["Idempotency-Key"], ANONYMOUS, "died", ["chat_stream", BODY], asyncio.get_running_loop().time() + 300, stream=True
    )
    await claim.take()
    assert claim.head is not None
    lines = [b'{"type":"start","request_id":"died","model":"chat","target":"t","attempts":1,"waited_ms":0,"first_token_ms":0}']
    await claim.journal.write(claim.head, [*lines, b'{"type":"delta","text":"Hel"}'])
    events = await service.sse(PATH, BODY, since(1) if resumed else KEY)
    assert [event.name for event in events[1:]] == (["delta", "error"] if resumed else ["start", "delta", "error"])
    assert events[-1].data["error"]["code"] == "function_failed"
    assert model.calls == 0
    assert text(await service.sse(PATH, BODY, KEY)) == "Hello world"


async def test_a_stream_goes_on_where_the_journal_fails(api: Start, model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    service = await api()
    write, failures = journal.Journal.write, iter([True, True, False, True])

    async def sometimes(self: Any, *args: Any, **more: Any) -> Any:
        if next(failures, False):
            raise DynamoDBError("InternalServerError", "down", 500)
        return await write(self, *args, **more)

    monkeypatch.setattr(journal.Journal, "write", sometimes)
    first = await service.sse(PATH, BODY, KEY)
    assert text(first) == "Hello world"
    assert contents(await service.sse(PATH, BODY, KEY)) == contents(first)
    assert model.calls == 1


async def test_repetitions_cost_nothing(api: Start, model: Model, dynamodb: DynamoDB, dynamodb_url: str) -> None:
    """Whole and streamed ones, of a caller who has used up everything."""
    limits = CallerLimits(others=Limits((Limit("requests", "day", 2, ""),), None))
    service = await api(limits=dynamodb_url, routes=msgspec.structs.replace(ROUTES, limits=limits))
    other = {"Idempotency-Key": "other"}
    first = await service.post("/chat", BODY, other)
    streamed = await service.sse(PATH, BODY, KEY)
    for _ in range(3):
        assert (await service.post("/chat", BODY, other)).content == first.content
        assert contents(await service.sse(PATH, BODY, KEY))[1:] == contents(streamed)[1:]
    assert (await service.post("/chat", BODY)).status_code == 429
    refused = await service.post("/chat", BODY, {"Idempotency-Key": "a third"})
    assert refused.status_code == 429
    item: Any = await dynamodb.get_item(LEDGER, {"holder": {"S": '["caller","anonymous",""]'}}, consistent=True)
    assert {value["N"] for name, value in item.items() if name.endswith("requests")} == {"2"}
    assert "in_flight" not in item
    assert model.calls == 2


async def test_the_openai_client_tries_again_by_itself(api: Start, model: Model) -> None:
    """It gives up waiting, is told twice that the answer is under way, and gets it."""
    service = await api()
    model.hold()
    client = service.openai(max_retries=5, timeout=0.3)

    async def free() -> None:
        await model.asked.wait()
        await asyncio.sleep(0.5)
        model.free(9)

    freeing = asyncio.create_task(free())
    answer = await client.chat.completions.create(model="chat", messages=[{"role": "user", "content": "Hi"}], extra_headers=KEY)
    await freeing
    assert answer.choices[0].message.content == "Hello world"
    assert model.calls == 1
    with pytest.raises(openai.ConflictError) as refused:
        await client.chat.completions.create(model="chat", messages=[{"role": "user", "content": "?"}], extra_headers=KEY)
    assert refused.value.code == "idempotency_key_reused"
