"""Requests that name an idempotency key: one generation for each, however often they are sent. Whole answers."""

import asyncio
import json
from collections import Counter
from typing import Any

import httpx
import msgspec
import pytest

from llm_gateway import errors
from llm_gateway.aws import dynamodb as dynamodb_module
from llm_gateway.aws.dynamodb import DynamoDB
from llm_gateway.errors import AnsweredBefore, GatewayError
from llm_gateway.identity.caller import Caller
from llm_gateway.routes import Alias
from llm_gateway.stages import journal
from llm_gateway.stages.idempotency import WHOLE_SECONDS, Idempotency
from support.clock import Now
from support.keyed_requests import BODIES, KEY, ROUTES, STREAMS, Model, Start
from support.websocket_api import JOURNAL

pytestmark = pytest.mark.timeout(120)


@pytest.mark.parametrize("path", BODIES)
async def test_a_request_that_is_sent_again_gets_the_same_answer(api: Start, model: Model, path: str) -> None:
    service = await api()
    first = await service.post(path, BODIES[path], KEY)
    assert (first.status_code, "idempotent-replayed" in first.headers) == (200, False)
    # The order of fields and the spaces between them say nothing.
    body = json.dumps(dict(reversed(BODIES[path].items())), indent=2)
    again = await service.http.post(path, content=body, headers=KEY)
    assert (again.status_code, again.content) == (200, first.content)
    assert again.headers["idempotent-replayed"] == "true"
    assert again.headers["x-llm-target"] == first.headers["x-llm-target"]
    assert again.headers["x-request-id"] != first.headers["x-request-id"]
    assert model.calls == 1
    assert (await service.post(path, BODIES[path], {"Idempotency-Key": "another"})).status_code == 200
    assert (await service.post(path, BODIES[path])).status_code == 200
    assert model.calls == 3


@pytest.mark.assumes("key-claim")
async def test_of_fifty_at_once_one_is_answered(api: Start, model: Model) -> None:
    service = await api()
    model.hold()
    sent = [asyncio.create_task(service.post("/chat", BODIES["/chat"], KEY)) for _ in range(50)]
    done: list[httpx.Response] = []
    for each in asyncio.as_completed(sent):
        done.append(await each)
        if len(done) == 49:
            model.free(9)
    refused = done[:49]
    assert Counter(each.status_code for each in done) == {409: 49, 200: 1}
    for each in refused:
        assert service.error_of(each)["code"] == "in_progress"
        assert 1 <= int(each.headers["retry-after"]) <= 30
        assert "x-should-retry" not in each.headers
    again = await asyncio.gather(*(service.post("/chat", BODIES["/chat"], KEY) for _ in range(50)))
    assert {each.content for each in again} == {done[-1].content}
    assert model.calls == 1


async def test_a_key_belongs_to_one_request_of_one_caller(api: Start, model: Model) -> None:
    service = await api(authorization="api_key")

    def caller(tenant: str, key: str) -> dict[str, str]:
        return {**KEY, **service.context({"tenant": tenant, "key": key, "models": '"all"'})}

    mine = caller("acme", "ci")
    assert (await service.post("/chat", BODIES["/chat"], mine)).status_code == 200
    for path, body in (("/chat", {"message": "Hello"}), *((path, body) for path, body in (BODIES | STREAMS).items())):
        if (path, body) == ("/chat", BODIES["/chat"]):
            continue
        refused = await service.post(path, body, mine)
        assert (refused.status_code, refused.headers["x-should-retry"]) == (409, "false"), path
        error = service.error_of(refused)
        assert (error["code"], error["param"]) == ("idempotency_key_reused", "Idempotency-Key")
    assert model.calls == 1
    for other in (caller("acme", "other"), caller("other", "ci")):
        assert "idempotent-replayed" not in (await service.post("/chat", BODIES["/chat"], other)).headers
    assert model.calls == 3


KEYS = {"a": 200, "x" * 255: 200, "with spaces within": 200, "~!#": 200, '"quoted"': 200} | dict.fromkeys(
    ("", "x" * 256, "é", "tab\twithin"), 400
)


@pytest.mark.parametrize("key", KEYS)
async def test_the_form_of_a_key(api: Start, model: Model, key: str) -> None:
    service = await api()
    got = await service.post("/chat", BODIES["/chat"], [("Idempotency-Key", key.encode("latin-1"))])  # pyright: ignore[reportArgumentType]
    assert got.status_code == KEYS[key]
    if got.status_code == 400:
        assert service.error_of(got)["param"] == "Idempotency-Key"
    assert model.calls == (got.status_code == 200)


FAILURES = {
    "throttled": errors.upstream_throttled(retry_after=1),
    "down": errors.upstream_unavailable(),
    "refused": errors.content_filter(),
    "broken": errors.upstream_failed(),
}


@pytest.mark.parametrize("path", ["/chat", "/chat/stream", "/v1/chat/completions"])
@pytest.mark.parametrize("failure", FAILURES)
async def test_a_failed_request_gives_its_key_back(api: Start, model: Model, failure: str, path: str) -> None:
    service = await api()
    model.failures = [FAILURES[failure]]
    body = (BODIES | STREAMS)[path]
    failed = await service.post(path, body, KEY)
    assert failed.status_code == FAILURES[failure].status
    again = await service.post(path, body, KEY)
    assert (again.status_code, model.calls) == (200, 2)
    assert "idempotent-replayed" not in again.headers
    assert (await service.post(path, body, KEY)).headers["idempotent-replayed"] == "true"
    # What is refused before a model is asked takes no key.
    other = {"Idempotency-Key": "other"}
    assert (await service.post(path, {**body, "model": "none"}, other)).status_code == 404
    assert (await service.post(path, body, other)).status_code == 200


@pytest.mark.parametrize("characters", [350_000, 490_000])
async def test_an_answer_may_be_larger_than_an_item(api: Start, model: Model, characters: int) -> None:
    model.texts = ["ö" * characters]
    service = await api()
    first = await service.post("/chat", BODIES["/chat"], KEY)
    assert first.json()["message"] == model.texts[0]
    assert (await service.post("/chat", BODIES["/chat"], KEY)).content == first.content
    assert model.calls == 1


async def test_an_answer_that_is_too_large_is_sent_once(api: Start, model: Model, dynamodb: DynamoDB) -> None:
    """Its parts share a partition of the table, which takes a megabyte a second."""
    model.texts = ["ö" * 500_000]
    service = await api()
    assert (await service.post("/chat", BODIES["/chat"], KEY)).json()["message"] == model.texts[0]
    for _ in range(2):
        again = await service.post("/chat", BODIES["/chat"], KEY)
        assert (again.status_code, service.error_of(again)["code"]) == (409, "answer_not_kept")
        assert again.headers["x-should-retry"] == "false"
    assert model.calls == 1


async def test_what_a_request_says_is_not_kept(
    api: Start, model: Model, dynamodb: DynamoDB, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The Responses API repeats a request in its answer: whoever sends it again has it."""
    written: list[str] = []
    put = DynamoDB.put_item

    async def kept(self: DynamoDB, table: str, item: Any, **more: Any) -> None:
        written.append(json.dumps(item))
        await put(self, table, item, **more)

    monkeypatch.setattr(DynamoDB, "put_item", kept)
    tool = {"type": "function", "name": "secret_tool", "parameters": {"type": "object", "properties": {}}}
    body = {**BODIES["/v1/responses"], "instructions": "A secret", "metadata": {"a": "secret"}, "tools": [tool]}
    routes = msgspec.structs.replace(ROUTES, aliases=tuple(map(_with_tools, ROUTES.aliases)))
    service = await api(routes=routes)
    first = await service.post("/v1/responses", body, KEY)
    assert (first.status_code, first.json()["instructions"]) == (200, "A secret")
    again = await service.post("/v1/responses", body, KEY)
    assert (again.content, again.headers["idempotent-replayed"]) == (first.content, "true")
    assert "Hello" in "".join(written) and "secret" not in "".join(written)


def _with_tools(alias: Alias) -> Alias:
    targets = (msgspec.structs.replace(each, accepts=("max_tokens", "system", "tools", "metadata")) for each in alias.targets)
    return msgspec.structs.replace(alias, targets=tuple(targets))


@pytest.mark.parametrize("path", ["/chat", "/chat/stream"])
async def test_without_the_store_no_model_is_called(
    api: Start, model: Model, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dynamodb_module, "_FIRST_PAUSE", 0.001)
    service = await api(journal="http://127.0.0.1:9")
    refused = await service.post(path, BODIES["/chat"], KEY)
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert service.error_of(refused)["code"] == "idempotency_unavailable"
    assert model.calls == 0
    assert (await service.post(path, BODIES["/chat"])).status_code == 200


async def test_what_cannot_be_kept_is_answered(api: Start, model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer is there, and has been paid for. Its key is taken until the function is over."""
    service = await api()

    async def write(*_: Any, **__: Any) -> None:
        raise dynamodb_module.DynamoDBError("InternalServerError", "down", 500)

    with monkeypatch.context() as broken:
        broken.setattr(journal.Journal, "write", write)
        assert (await service.post("/chat", BODIES["/chat"], KEY)).json()["message"] == "Hello world"
    again = await service.post("/chat", BODIES["/chat"], KEY)
    assert (again.status_code, service.error_of(again)["code"]) == (409, "in_progress")


async def test_a_key_of_a_function_that_died_is_free_after_its_deadline(dynamodb: DynamoDB, now: Now) -> None:
    loop = asyncio.get_running_loop()
    keys = Idempotency(dynamodb, JOURNAL, lambda text: None, clock=now)

    def claim(run: str) -> Any:
        return keys.claim("k", Caller("acme", "ci"), run, ["chat", {}], loop.time() + 300, stream=False)

    died = claim("died")
    await died.take()
    now.seconds += 299
    with pytest.raises(GatewayError) as refused:
        await claim("early").take()
    assert (refused.value.code, refused.value.retry_after) == ("in_progress", 30)
    now.seconds += 10
    anew = claim("anew")
    await anew.take()
    await died.keep([], b"of the dead")  # it was only slow: its answer is not that of the new one
    await anew.keep([("a", "b")], b"of the living")
    for seconds, free in ((WHOLE_SECONDS - 1, False), (2, True)):
        now.seconds += seconds
        late = claim("late")
        if free:
            await late.take()
        else:
            with pytest.raises(AnsweredBefore) as before:
                await late.take()
            assert await late.kept(before.value.answer) == ([("a", "b")], b"of the living")


async def test_a_write_that_is_carried_out_twice_claims_once(dynamodb: DynamoDB, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client of DynamoDB sends a request again whose answer was lost."""
    call: Any = vars(DynamoDB)["_call"]

    async def twice(self: DynamoDB, operation: str, body: dict[str, Any]) -> Any:
        if operation == "PutItem":
            await call(self, operation, body)
        return await call(self, operation, body)

    monkeypatch.setattr(DynamoDB, "_call", twice)
    keys = Idempotency(dynamodb, JOURNAL, lambda text: None)
    claim = keys.claim("k", Caller("acme", "ci"), "r", ["chat", {}], asyncio.get_running_loop().time() + 9, stream=False)
    await claim.take()
    assert claim.head is not None
