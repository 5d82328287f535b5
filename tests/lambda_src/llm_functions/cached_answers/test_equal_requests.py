"""Equal requests at once: one is generated, the others get its answer, and none is lost with it."""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

import httpx
import msgspec
import pytest

from llm_gateway import errors
from llm_gateway.aws import dynamodb as dynamodb_module
from llm_gateway.aws.dynamodb import DynamoDB, DynamoDBError
from llm_gateway.identity.caller import ANONYMOUS
from llm_gateway.limits import CallerLimits, Limit, Limits
from llm_gateway.request import ChatRequest, Message, Sampling
from llm_gateway.stages import cache, cancel, journal
from llm_gateway.stages.cache import Cache, CacheControl, Lookup
from llm_gateway.stages.journal import Journal
from support.cached_requests import BODIES, ROUTES, STREAMS, status
from support.chat_requests import sent
from support.clock import Now
from support.keyed_requests import Model, Start
from support.websocket_api import JOURNAL

pytestmark = pytest.mark.timeout(120)

PATH = "/v1/chat/completions"
BODY = BODIES[PATH]
STREAM = {**BODY, "stream": True}


async def until(holds: Callable[[], bool]) -> None:
    while not holds():  # noqa: ASYNC110
        await asyncio.sleep(0.01)


@pytest.mark.assumes("key-claim")
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_of_fifty_at_once_one_is_generated(api: Start, model: Model, streamed: bool) -> None:
    services = [await api() for _ in range(5)]
    model.hold()
    sent = [asyncio.create_task(each.post(PATH, STREAM if streamed else BODY)) for each in services for _ in range(10)]
    await model.asked.wait()
    model.free(1000)
    answers = await asyncio.gather(*sent)
    assert Counter((each.status_code, status(each)) for each in answers) == {(200, "miss"): 1, (200, "hit"): 49}
    assert all("Hello" in each.text and " world" in each.text for each in answers)
    assert model.calls == 1


async def test_a_stream_is_followed_while_it_comes(api: Start, model: Model) -> None:
    service = await api()
    model.hold()
    model.free(1)
    generating = asyncio.create_task(service.post(PATH, STREAM))
    await model.asked.wait()
    whole = asyncio.create_task(service.post(PATH, BODY))
    async with service.streaming(PATH, STREAM) as (response, events):
        assert (status(response), response.headers["age"], "x-llm-saved-tokens" in response.headers) == ("hit", "0", False)
        got = [await anext(events) for _ in range(3)]
        assert not generating.done() and not whole.done()
        model.free(9)
        got += [event async for event in events if event.name != ":"]
    texts = [event.data["choices"][0]["delta"].get("content") for event in got if event.data and event.data["choices"]]
    assert [each for each in texts if each] == ["Hello", " world"]
    assert got[-1].name == "[DONE]"
    assert (await whole).json()["choices"][0]["message"]["content"] == "Hello world"
    await generating
    assert model.calls == 1


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_when_the_generation_fails_each_goes_on_by_itself(api: Start, model: Model, streamed: bool) -> None:
    service = await api()
    model.hold()
    body = STREAM if streamed else BODY
    failing = asyncio.create_task(service.post(PATH, body))
    await model.asked.wait()
    others = [asyncio.create_task(service.post(PATH, body)) for _ in range(5)]
    model.failures = [errors.upstream_unavailable()]
    model.free(1000)
    assert (await failing).status_code == errors.upstream_unavailable().status
    answers = await asyncio.gather(*others)
    assert {each.status_code for each in answers} == {200}
    assert all(" world" in each.text for each in answers)
    assert 2 <= model.calls <= 6


async def test_an_answer_that_breaks_off(api: Start, model: Model) -> None:
    """Who has got a part is told, who has got nothing gets an answer of its own."""
    service = await api()
    model.hold()
    model.free(1)
    failing = asyncio.create_task(service.post("/chat/stream", STREAMS["/chat/stream"]))
    await model.asked.wait()
    whole = asyncio.create_task(service.post("/chat", BODIES["/chat"]))
    async with service.streaming("/chat/stream", STREAMS["/chat/stream"]) as (_, events):
        got = [await anext(events) for _ in range(4)]
        model.failures = [errors.upstream_unavailable()]
        model.free(1000)
        got += [event async for event in events if event.name != ":"]
    assert [event.name for event in got if event.data] == ["start", "reasoning", "delta", "error"]
    assert got[-1].data["error"]["code"] == "stream_interrupted"
    await failing
    assert (await whole).json()["message"] == "Hello world"
    assert model.calls == 2


async def test_who_stops_a_stream_stops_nobody_elses(
    api: Start, model: Model, dynamodb_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cancel, "POLL_SECONDS", 0.01)
    service = await api(journal=dynamodb_url)
    model.hold()
    model.free(1)
    async with service.streaming(PATH, STREAM) as (response, events):
        whole = asyncio.create_task(service.post(PATH, BODY))
        assert (await service.http.delete(f"/chat/{response.headers['x-request-id']}")).status_code == 202
        assert [event.name for event in [each async for each in events]][-1] == "[DONE]"
    model.free(1000)
    assert (await whole).json()["choices"][0]["message"]["content"] == "Hello world"
    assert status(await service.post(PATH, BODY)) in ("hit", "miss")
    assert model.calls in (2, 3)


async def test_who_follows_a_stream_stops_its_own(
    api: Start, model: Model, dynamodb_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cancel, "POLL_SECONDS", 0.01)
    service = await api(journal=dynamodb_url)
    model.hold()
    model.free(1)
    generating = asyncio.create_task(service.post(PATH, STREAM))
    await model.asked.wait()
    async with service.streaming(PATH, STREAM) as (response, events):
        assert status(response) == "hit"
        assert (await service.http.delete(f"/chat/{response.headers['x-request-id']}")).status_code == 202
        assert [event.name for event in [each async for each in events]][-1] == "[DONE]"
    assert not generating.done()
    model.free(1000)
    assert " world" in (await generating).text
    assert status(await service.post(PATH, BODY)) == "hit"
    assert model.calls == 1


async def test_when_the_caller_leaves_the_others_get_an_answer(api: Start, model: Model) -> None:
    service = await api()
    model.hold()
    model.free(1)
    async with service.streaming(PATH, STREAM) as (_, events):
        await anext(events)
        other = asyncio.create_task(service.post(PATH, BODY))
    await model.ended.wait()  # the local run and Lambda go on; another server stops
    model.free(1000)
    assert (await other).json()["choices"][0]["message"]["content"] == "Hello world"


async def test_what_began_before_is_not_for_those_who_want_it_new(api: Start, model: Model) -> None:
    service = await api()
    model.hold()
    first = asyncio.create_task(service.post(PATH, BODY))
    await model.asked.wait()
    new = asyncio.create_task(service.post(PATH, BODY, {"Cache-Control": "no-cache"}))
    await until(lambda: model.calls == 2)
    model.free(1000)
    assert [status(await each) for each in (first, new)] == ["miss", "miss"]
    assert status(await service.post(PATH, BODY)) == "hit"


# The function that generates.


@pytest.fixture
def of_a_function(dynamodb: DynamoDB, now: Now, http: Any) -> Callable[[str], Lookup]:
    """Return the lookup of a function for one and the same request."""
    settings = ROUTES.cache
    assert settings is not None
    answers = Cache(dynamodb, JOURNAL, settings, [], lambda text: None, clock=now)
    request = ChatRequest((Message("user", "Hi"),), sampling=Sampling(temperature=0))

    def make(run: str) -> Lookup:
        deadline = asyncio.get_running_loop().time() + 300
        return answers.lookup(request, ROUTES.aliases[0], ROUTES, ANONYMOUS, run, deadline, "")

    return make


@pytest.mark.parametrize("at", ["before the first event", "after it"])
async def test_the_place_of_a_function_that_died_is_taken(api: Start, model: Model, now: Now, at: str) -> None:
    """Its writer is not seen any more: it was killed."""
    service = await api(now=now)
    model.hold()
    if at == "after it":
        model.free(1)
    dying = asyncio.create_task(service.post(PATH, STREAM))
    await model.asked.wait()
    if at == "after it":
        async with service.streaming(PATH, STREAM) as (response, _):
            assert status(response) == "hit"  # the table has a part
    write = Journal.write

    async def of_the_living(self: Journal, head: journal.Head, *args: Any, **more: Any) -> journal.Head:
        if runs and head.run == runs[0]:  # the dead one's
            return head
        return await write(self, head, *args, **more)

    claim, runs = Journal.claim, list[str]()

    async def noted(self: Journal, *args: Any, **more: Any) -> Any:
        found = await claim(self, *args, **more)
        runs.append(found[0].run)
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Journal, "claim", noted)
        patch.setattr(Journal, "write", of_the_living)
        others = [asyncio.create_task(service.post(PATH, BODY)) for _ in range(5)]
        await until(lambda: len(runs) == 5)
        assert not any(each.done() for each in others)
        now.seconds += 61
        model.free(1000)
        answers = await asyncio.gather(*others)
        dying.cancel()
        await asyncio.gather(dying, return_exceptions=True)
    assert Counter(status(each) for each in answers) == {"miss": 1, "hit": 4}
    assert all(each.json()["choices"][0]["message"]["content"] == "Hello world" for each in answers)
    assert model.calls == 2


async def test_a_function_that_was_only_slow_keeps_nothing(
    dynamodb: DynamoDB, now: Now, of_a_function: Callable[[str], Lookup], monkeypatch: pytest.MonkeyPatch
) -> None:
    from llm_gateway.call import model_call
    from llm_gateway.events import Delta, Done, Start, Usage

    alias = ROUTES.aliases[0]
    request = ChatRequest((Message("user", "Hi"),), sampling=Sampling(temperature=0))
    call = model_call(request, alias, alias.targets[0], 0.0)

    def answer(text: str) -> list[Any]:
        return [Start("", "chat", "bedrock/chat", 0, 0, 0), Delta(text), Usage(1, 1), Done("end_turn")]

    slow, other = of_a_function("slow"), of_a_function("other")
    await slow.take(call)
    now.seconds += 6
    await other.take(call)
    slow.add(answer("of the slow"))
    other.add(answer("of the other"))
    await asyncio.gather(slow.close(), other.close())
    with pytest.raises(cache.Found) as found:
        await of_a_function("late").take(call)
    assert found.value.kept.first[0] == Delta("of the other")


async def test_a_claim_that_nobody_waits_for_is_given_back(of_a_function: Callable[[str], Lookup]) -> None:
    from llm_gateway.call import model_call

    alias = ROUTES.aliases[0]
    request = ChatRequest((Message("user", "Hi"),), sampling=Sampling(temperature=0))
    call = model_call(request, alias, alias.targets[0], 0.0)

    class Refusing:
        async def admit(self, call: Any) -> None:
            raise errors.limits_unavailable()

    refused = of_a_function("refused")
    with pytest.raises(errors.GatewayError):
        await refused.beside(Refusing()).admit(call)
    await refused.close()
    next_one = of_a_function("next")
    await next_one.take(call)
    assert next_one.use.status == "miss"
    await next_one.close()


# The store.


@pytest.mark.parametrize("path", ["/chat", "/chat/stream", PATH])
async def test_without_the_store_requests_are_answered(
    api: Start, model: Model, path: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(dynamodb_module, "_FIRST_PAUSE", 0.001)
    service = await api(cached="http://127.0.0.1:9")
    answers = [await service.post(path, (BODIES | STREAMS)[path]) for _ in range(5)]
    assert {(each.status_code, status(each)) for each in answers} == {(200, "bypass")}
    assert capfd.readouterr().out.count("the cache cannot be used") == 1  # for a while it is not asked
    assert model.calls == 5


async def test_a_store_that_hangs_is_not_waited_for(api: Start, model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    service = await api()
    monkeypatch.setattr(cache, "_LOOKUP_SECONDS", 0.01)

    async def never(*_: Any, **__: Any) -> Any:
        await asyncio.Event().wait()

    monkeypatch.setattr(Journal, "claim", never)
    answer = await service.post(PATH, BODY)
    assert (answer.status_code, status(answer), model.calls) == (200, "bypass", 1)


@pytest.mark.parametrize("operation", ["read", "write", "head"])
async def test_where_the_store_fails_meanwhile(
    api: Start, model: Model, operation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "_END_SECONDS", 0.05)
    service = await api()

    async def fails(*_: Any, **__: Any) -> Any:
        raise DynamoDBError("ThrottlingException", "slow down", 400)

    async def get() -> httpx.Response:
        return await service.post(PATH, BODY)

    if operation == "read":
        await get()
        monkeypatch.setattr(Journal, operation, fails)
        answers = [await get()]
    elif operation == "write":
        monkeypatch.setattr(Journal, operation, fails)
        answers = [await get()]
    else:
        model.hold()
        first = asyncio.create_task(get())
        await model.asked.wait()
        monkeypatch.setattr(Journal, operation, fails)
        second = asyncio.create_task(get())
        await until(lambda: model.calls == 2)
        model.free(1000)
        answers = await asyncio.gather(first, second)
    assert {each.status_code for each in answers} == {200}
    assert {each.json()["choices"][0]["message"]["content"] for each in answers} == {"Hello world"}


async def test_what_ttl_has_deleted_in_part_is_answered_anew(api: Start, model: Model, dynamodb: DynamoDB) -> None:
    model.texts = ["Hello" * 1000]  # more than stands in the item that is looked up
    service = await api()
    await service.post(PATH, BODY)
    call: Any = vars(DynamoDB)["_call"]
    for item in (await call(dynamodb, "Scan", {"TableName": JOURNAL}))["Items"]:
        if "payload" in item:
            await dynamodb.delete_item(JOURNAL, {name: item[name] for name in (journal.HASH_KEY, journal.SORT_KEY)})
    answer = await service.post(PATH, BODY)
    assert (answer.status_code, status(answer), model.calls) == (200, "miss", 2)
    assert status(await service.post(PATH, BODY)) == "hit"


async def test_what_cannot_be_read_is_answered_anew(api: Start, model: Model, dynamodb: DynamoDB) -> None:
    """A later version may know other events."""
    service = await api()
    await service.post(PATH, BODY)
    call: Any = vars(DynamoDB)["_call"]
    (item,) = (await call(dynamodb, "Scan", {"TableName": JOURNAL}))["Items"]
    lines = item["payload"]["S"].split("\n")
    await dynamodb.put_item(JOURNAL, {**item, "payload": {"S": "\n".join([*lines[:-1], '{"type":"finis"}'])}})
    answer = await service.post(PATH, BODY)
    assert (answer.status_code, status(answer), model.calls) == (200, "miss", 2)
    assert status(await service.post(PATH, BODY)) == "hit"


async def test_who_is_refused_does_not_wait(api: Start, model: Model, dynamodb_url: str) -> None:
    limits = CallerLimits(others=Limits((Limit("requests", "day", 1, ""),), None))
    service = await api(limits=dynamodb_url, routes=msgspec.structs.replace(ROUTES, limits=limits))
    model.hold()
    first = asyncio.create_task(service.post(PATH, BODY))
    await model.asked.wait()
    assert (await service.post(PATH, BODY)).status_code == 429
    assert not first.done()
    model.free(1000)
    assert (await first).status_code == 200


@pytest.mark.parametrize("steps", range(8))
async def test_a_refusal_comes_while_the_cache_is_looked_into(
    of_a_function: Callable[[str], Lookup], monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    """The look is given up at any of its steps, also when the claim has just been made."""
    claimed = asyncio.Event()
    first = of_a_function("first")
    request = ChatRequest((Message("user", "Hi"),), sampling=Sampling(temperature=0))
    call = sent(request, ROUTES.aliases[0].targets[0])
    await first.take(call)

    async def claim(journal: Journal, *args: Any, **more: Any) -> Any:
        found = await claimed_by_table(journal, *args, **more)
        claimed.set()
        return found

    claimed_by_table = Journal.claim
    monkeypatch.setattr(Journal, "claim", claim)

    class Refuses:
        async def admit(self, call: Any) -> None:
            await claimed.wait()
            for _ in range(steps):
                await asyncio.sleep(0)
            raise errors.stream_interrupted(detail="no")

    async with asyncio.timeout(20):
        with pytest.raises(errors.GatewayError):
            await of_a_function("second").beside(Refuses()).admit(call)
    await first.close()


def test_the_header() -> None:
    assert CacheControl.read("") == CacheControl()
    assert CacheControl.read("no-cache, max-age = 5") == CacheControl(no_cache=True, max_age=5)
    assert CacheControl.read('max-age="7", No-Store') == CacheControl(no_store=True, max_age=7)
    assert CacheControl.read("max-age=-1").max_age == CacheControl.read("max-age=99999999999").max_age == 0
    assert CacheControl.read("no-cache=field, =, ,,").no_cache
