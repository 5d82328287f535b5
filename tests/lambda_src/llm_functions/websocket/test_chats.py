"""Generations over a WebSocket: what the client gets, whatever happens to it, to API Gateway or to the function."""

import asyncio
import json
import re
from collections.abc import AsyncGenerator, Callable
from typing import Any, cast

import msgspec
import pytest

from lambda_src.llm_functions.websocket.conftest import MESSAGES_PER_MINUTE
from llm_functions.websocket import chats as chats_module
from llm_functions.websocket import generation as generation_module
from llm_functions.websocket.chats import Chats, ClientEvent
from llm_functions.websocket.generation import Pace
from llm_gateway import errors
from llm_gateway.answer_cache import AnswerCache
from llm_gateway.aws import connections as connections_module
from llm_gateway.aws.connections import Connections, ConnectionsError
from llm_gateway.aws.dynamodb import DynamoDB, DynamoDBError
from llm_gateway.events import Delta, Done, Event, Usage
from llm_gateway.gateway import Gateway
from llm_gateway.http.client import HttpClient
from llm_gateway.identity import keys
from llm_gateway.identity.caller import ANONYMOUS, Caller, Credential
from llm_gateway.identity.connections import ConnectionTable, Limits
from llm_gateway.router import Router
from llm_gateway.rules import Rule
from llm_gateway.stages import journal_writer
from llm_gateway.stages.cache import Cache
from llm_gateway.stages.journal import DEAD_SECONDS, FORESTALL_SECONDS, Journal
from llm_gateway.stages.policy import Policy
from support import websocket_api
from support.chat_requests import ROUTES
from support.websocket_api import JOURNAL, Clients

CALLER = Caller("acme", "ci")
LIMITS = Limits(per_connection=2, per_key=3)
FAR = 600.0


class Model:
    """A provider that says what it is told to. Its answer ends with `done`."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[list[Event] | Exception] = asyncio.Queue()
        self.asked = 0
        self.began = asyncio.Event()
        self.stopped = False

    def say(self, *words: str) -> None:
        self._queue.put_nowait([Delta(word) for word in words])

    def done(self) -> None:
        self._queue.put_nowait([Usage(3, 2), Done("end_turn")])

    def fail(self, error: Exception) -> None:
        self._queue.put_nowait(error)

    async def answer(self, call: Any) -> AsyncGenerator[list[Event], None]:
        self.asked += 1
        self.began.set()
        try:
            while True:
                batch = await self._queue.get()
                if isinstance(batch, Exception):
                    raise batch
                yield batch
        finally:
            self.stopped = True


@pytest.fixture
def model() -> Model:
    return Model()


@pytest.fixture(autouse=True)
def soon(monkeypatch) -> None:
    """Nothing waits as long as in production; what is waited for is always an event."""
    monkeypatch.setattr(generation_module, "_WIDER_SECONDS", (0.01, 0.02))
    for module in (generation_module, journal_writer):
        monkeypatch.setattr(module, "FLUSH_SECONDS", 0.03)
    monkeypatch.setattr(connections_module, "_FIRST_PAUSE", 0.001)
    monkeypatch.setattr(chats_module, "WATCH_SECONDS", 0.5)


def event(connection: str = "first", request_id: str = "run-1", id: Any = "one", **fields: Any) -> ClientEvent:
    return ClientEvent(connection, request_id, json.dumps({"action": "any", "id": id, **fields}).encode())


Start = Callable[..., "asyncio.Task[None]"]


@pytest.fixture
async def start(chats: Chats, table: ConnectionTable, model: Model) -> Start:
    """Begin a chat in a task; the connections are known."""
    for connection in ("first", "second", "third"):
        await table.add(connection, CALLER, Credential(), limit=100)

    def begin(
        connection: str = "first", request_id: str = "run-1", id: str = "one", answered_by: Model = model, **fields: Any
    ) -> "asyncio.Task[None]":
        gateway = Gateway(ROUTES, Router({"mock": answered_by}))
        asked = event(connection, request_id, id, **{"message": "Hi", **fields})
        return asyncio.create_task(chats.chat(gateway, LIMITS, asked, FAR))

    return begin


def types(messages: list[Any]) -> list[str]:
    return [message["type"] for message in messages]


async def test_an_answer_has_numbers_and_every_field_of_the_events(start: Start, clients: Clients, model: Model) -> None:
    running = start()
    model.say("Hel", "lo")
    model.done()
    await running
    got = clients.got["first"]
    assert [message["seq"] for message in got] == list(range(1, len(got) + 1))
    assert {message["id"] for message in got} == {"one"}
    assert types(got) == ["start", "delta", "usage", "done"]
    assert (got[0]["request_id"], got[0]["model"], got[0]["target"]) == ("run-1", "one", "mock/m")
    assert got[1:] == [
        {"id": "one", "seq": 2, "type": "delta", "text": "Hello"},
        {"id": "one", "seq": 3, "type": "usage", "input_tokens": 3, "output_tokens": 2},
        {"id": "one", "seq": 4, "type": "done", "stop_reason": "end_turn"},
    ]


@pytest.mark.parametrize("interval", [FAR])
async def test_the_first_part_is_sent_at_once_and_the_next_ones_together(start: Start, clients: Clients, model: Model) -> None:
    running = start()
    model.say("one")
    await clients.until("first", "delta")
    for word in (" two", " three", " four"):
        model.say(word)
    model.done()  # the end waits for nothing
    await running
    assert [m["text"] for m in clients.got["first"] if m["type"] == "delta"] == ["one", " two three four"]


@pytest.mark.parametrize("interval", [FAR])
async def test_a_frames_worth_of_text_waits_for_nothing(start: Start, clients: Clients, model: Model) -> None:
    running = start()
    model.say("one")
    await clients.until("first", "delta")
    clients.got["first"].clear()
    model.say("x" * 32 * 1024)
    await clients.until("first", "delta")
    model.done()
    await running


# What is wrong with a message -> the code of its error.
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no message": ({"message": None}, "invalid_value"),
    "an unknown field": ({"mesage": "Hi"}, "invalid_value"),
    "an id of another kind": ({"id": 3}, "invalid_value"),
    "a connection that is not known": ({"connection": "stranger"}, "missing_api_key"),
}


@pytest.mark.parametrize(("wrong", "code"), WRONG.values(), ids=WRONG)
async def test_a_wrong_message_is_no_generation(
    start: Start, clients: Clients, model: Model, wrong: dict[str, Any], code: str
) -> None:
    await start(**wrong)
    (answer,) = clients.got[wrong.get("connection", "first")]
    assert (answer["type"], answer["error"]["code"], answer["error"]["request_id"]) == ("error", code, "run-1")
    assert answer["id"] == (None if "id" in wrong else "one")
    assert "seq" not in answer
    assert model.asked == 0


async def test_a_connection_that_only_sends_what_is_refused_is_closed(start: Start, clients: Clients, monkeypatch) -> None:
    monkeypatch.setattr(chats_module, "MOST_REFUSALS", 3)
    for number in range(3):
        assert "first" not in clients.gone
        await start(id=number)
    assert "first" in clients.gone
    assert len(clients.got["first"]) == 3


async def test_too_many_messages_are_told_to_wait_and_the_generation_goes_on(
    start: Start, clients: Clients, chats: Chats, model: Model, now: Any
) -> None:
    running = start()
    model.say("Hello")
    await clients.until("first", "delta")
    for _ in range(MESSAGES_PER_MINUTE - 1):
        await chats.count_message("first")
    asked = model.asked
    await start(id="two", request_id="run-2")
    await chats.resume(event(id="three", seq=0))
    for id in ("two", "three"):
        refused = await clients.until("first", "error", id)
        assert (refused["error"]["code"], "seq" in refused) == ("rate_limited", False)
        assert 0 < refused["error"]["retry_after"] <= 60
    assert (model.asked, clients.gone) == (asked, set())
    model.done()
    await running
    assert clients.text("first") == "Hello"
    now.seconds += refused["error"]["retry_after"]
    model.say("Again")
    model.done()
    await start(id="two", request_id="run-2")  # its id is free
    assert clients.got["first"][-1]["type"] == "done"


async def test_the_pipelines_error_ends_the_generation(start: Start, clients: Clients) -> None:
    await start(model="unknown")
    (answer,) = clients.got["first"]
    assert (answer["seq"], answer["type"], answer["error"]["code"]) == (1, "error", "model_not_found")


async def test_a_failure_after_some_text_is_the_last_message(start: Start, clients: Clients, model: Model) -> None:
    running = start()
    model.say("Hello")
    model.fail(errors.stream_interrupted())
    await running
    assert types(clients.got["first"]) == ["start", "delta", "error"]
    assert clients.got["first"][-1]["error"]["code"] == "stream_interrupted"
    assert clients.text("first") == "Hello"


async def test_an_id_is_used_once(start: Start, clients: Clients, model: Model) -> None:
    running = start()
    model.say("Hello")
    await clients.until("first", "delta")
    await start("second", "run-2")
    (answer,) = clients.got["second"]
    assert (answer["error"]["code"], "seq" in answer) == ("generation_exists", False)
    await start("first", "run-1")  # Lambda delivers the event again: nothing happens
    model.done()
    await running
    assert types(clients.got["first"]) == ["start", "delta", "usage", "done"]
    assert model.asked == 1


async def test_limits_hold_for_a_connection_and_for_a_key(start: Start, clients: Clients, model: Model) -> None:
    models = [Model(), Model(), Model()]
    running: list[asyncio.Task[None]] = []
    for n, connection in enumerate(("first", "first", "second")):
        models[n].say("Hello")
        running.append(start(connection, f"run-{n}", f"id-{n}", models[n]))
        await clients.until(connection, "delta", f"id-{n}")
    for connection, holder in (("first", "one connection"), ("third", "one API key")):
        await start(connection, f"run-{connection}", "another")
        refused = clients.got[connection][-1]["error"]
        assert (refused["code"], holder in refused["message"]) == ("too_many_generations", True)
    for each in models:
        each.done()
    await asyncio.gather(*running)
    model.say("Hello")
    model.done()
    await start("first", "run-9", "another")
    assert clients.got["first"][-1]["type"] == "done"


async def test_a_lease_that_nobody_gave_back_ends_by_its_time(
    start: Start, clients: Clients, table: ConnectionTable, model: Model, now: Any
) -> None:
    for n in range(2):
        await table.lease("first", CALLER, f"killed-{n}", LIMITS, 60)
    await start()
    assert clients.got["first"][-1]["error"]["code"] == "too_many_generations"
    now.seconds += 61
    running = start(request_id="run-2", id="two")
    model.say("Hello")
    model.done()
    await running
    assert clients.got["first"][-1]["type"] == "done"


class Keys:
    """The table of API keys."""

    def __init__(self, **callers: Caller) -> None:
        self.items = {hash: keys.item(hash, caller) for hash, caller in callers.items()}

    async def get_item(self, _table: str, key: Any) -> Any:
        return self.items.get(key["key_hash"]["S"])


# What is known of a connection, the keys there are by their hashes -> the code of the error for a chat.
CREDENTIALS: dict[str, tuple[Credential, dict[str, Caller] | None, str | None]] = {
    "a key": (Credential(key_hash="a"), {"a": CALLER}, None),
    "a key that was taken away": (Credential(key_hash="a"), {"b": CALLER}, "invalid_api_key"),
    "a key that lost the model": (Credential(key_hash="a"), {"a": Caller("acme", "ci", ("other",))}, "model_not_allowed"),
    "a key, and no store of keys": (Credential(key_hash="a"), None, "invalid_api_key"),
    "a token": (Credential(expires=1_800_000_001), None, None),
    "a token that has expired": (Credential(expires=1_800_000_000), {}, "expired_token"),
}


@pytest.mark.parametrize("action", ["chat", "resume"])
@pytest.mark.parametrize(("credential", "known", "code"), CREDENTIALS.values(), ids=CREDENTIALS)
async def test_a_credential_is_checked_again(
    start: Start,
    chats: Chats,
    clients: Clients,
    table: ConnectionTable,
    model: Model,
    action: str,
    credential: Credential,
    known: dict[str, Caller] | None,
    code: str | None,
) -> None:
    model.say("Hello")
    model.done()
    await start()
    store = None if known is None else keys.KeyStore(cast("DynamoDB", Keys(**known)), "keys", lambda: 0.0)
    chats._keys = store  # pyright: ignore[reportPrivateUsage]
    await table.add("second", CALLER, credential, limit=100)
    if action == "chat":
        model.say("Hello")
        model.done()
        await start("second", "run-2", "two")
    else:
        await chats.resume(event("second", "run-2", seq=0))
    last = clients.got["second"][-1]
    refused = code if code != "model_not_allowed" or action == "chat" else None
    assert (last["type"], last.get("error", {}).get("code")) == ("error" if refused else "done", refused)
    assert ("second" in clients.gone) == (code in ("invalid_api_key", "expired_token"))


@pytest.mark.parametrize("rule", [Rule("strict", tenants=("acme",), max_tokens=5), Rule("strict", streams=False)])
async def test_a_rule_of_the_caller_refuses_a_generation(
    chats: Chats, clients: Clients, table: ConnectionTable, model: Model, rule: Rule
) -> None:
    await table.add("first", CALLER, Credential(), limit=100)
    gateway = Gateway(ROUTES, Router({"mock": model}), policy=Policy([rule]))
    await chats.chat(gateway, LIMITS, event(message="Hi", max_tokens=6), FAR)
    (refused,) = clients.got["first"]
    assert (refused["type"], refused["error"]["code"], model.asked) == ("error", "denied_by_rule", 0)
    assert "the rule 'strict' allows" in refused["error"]["message"]
    assert await leases(table, "first") == []


async def _kept_texts(dynamodb: DynamoDB) -> str:
    """All that the journal's table holds."""
    return json.dumps(await vars(DynamoDB)["_call"](dynamodb, "Scan", {"TableName": JOURNAL}))


async def test_of_a_caller_whose_answers_are_not_kept_the_journal_has_no_text(
    chats: Chats, clients: Clients, table: ConnectionTable, model: Model, dynamodb: DynamoDB
) -> None:
    """A client that comes back gets its messages from the function while that runs, and then learns that they are gone."""
    for connection in ("first", "second", "third"):
        await table.add(connection, CALLER, Credential(), limit=100)
    policy = Policy([Rule("private", tenants=("acme",), retention="none")])
    cached = Cache(dynamodb, JOURNAL, AnswerCache(60), [], lambda text: None)
    routes = msgspec.structs.replace(ROUTES, cache=AnswerCache(60))
    gateway = Gateway(routes, Router({"mock": model}), policy=policy, cache=cached)
    asked = event(message="the-prompt", temperature=0)
    running = asyncio.create_task(chats.chat(gateway, LIMITS, asked, FAR))
    model.say("the-secret")
    await clients.until("first", "delta")
    clients.gone.add("first")
    await chats.resume(event("second", "run-2", seq=1))
    await clients.until("second", "delta")
    assert [message["seq"] for message in clients.got["second"]] == [2]
    assert not {"the-prompt", "the-secret"} & set(re.findall(r"the-\w+", await _kept_texts(dynamodb)))
    model.say("-end")
    model.done()
    await running
    assert clients.text("first", "second") == "the-secret-end"
    table_text = await _kept_texts(dynamodb)
    assert "the-" not in table_text.replace(JOURNAL, "") and table_text.count('"written"') == 1
    # The head says that it has ended, so that nobody generates it again.
    await chats.chat(gateway, LIMITS, asked, FAR)
    await chats.chat(gateway, LIMITS, event("third", "run-4", message="the-prompt"), FAR)
    await chats.resume(event("third", "run-3", seq=2))
    assert model.asked == 1
    assert [message["error"]["code"] for message in clients.got["third"]] == ["generation_exists", "generation_not_kept"]


async def leases(table: ConnectionTable, holder: str) -> list[str]:
    """The runs that hold a lease."""
    item = await table._dynamodb.get_item(table._table, {"id": {"S": holder}}, consistent=True)  # pyright: ignore[reportPrivateUsage]
    return sorted(item["leases"]["M"]) if item else []


async def test_a_second_delivery_of_an_event_changes_nothing(
    start: Start, clients: Clients, chats: Chats, table: ConnectionTable, model: Model
) -> None:
    """Lambda delivers an event at least once. https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html"""
    other = Model()
    running, another = start(), start(request_id="run-2", id="two", answered_by=other)
    for each, id in ((model, "one"), (other, "two")):
        each.say("Hello")
        await clients.until("first", "delta", id)
    await start()  # again, where the connection has as many generations as it may have
    await chats.died(event(), errors.function_failed)  # and that one fails
    assert await leases(table, "first") == await leases(table, '["acme","ci"]') == ["run-1", "run-2"]
    for each in (model, other):
        each.done()
    await asyncio.gather(running, another)
    assert types([m for m in clients.got["first"] if m["id"] == "one"]) == ["start", "delta", "usage", "done"]
    assert await leases(table, "first") == await leases(table, '["acme","ci"]') == []
    assert model.asked == 1


async def test_a_second_delivery_finds_that_the_first_one_died(
    start: Start, clients: Clients, journal: Journal, model: Model, now: Any
) -> None:
    await journal.begin('["acme","ci","one"]', "run-1", "first")
    await start()
    assert clients.got["first"] == []  # it may live
    now.seconds += DEAD_SECONDS + 1
    await start()
    assert [(m["seq"], m["error"]["code"]) for m in clients.got["first"]] == [(1, "function_failed")]
    assert model.asked == 0


async def test_a_refused_chat_may_be_sent_again_with_its_id(
    start: Start, clients: Clients, table: ConnectionTable, model: Model, monkeypatch
) -> None:
    """Whether too many run, or DynamoDB fails when one of the leases has been taken."""
    update = table._dynamodb.update_item  # pyright: ignore[reportPrivateUsage]

    async def fails(name: str, key: Any, text: str, **more: Any) -> Any:
        if "SET leases" in text and key["id"]["S"] == '["acme","ci"]':
            raise DynamoDBError("ThrottlingException", "Throughput exceeds the current capacity", 400)
        return await update(name, key, text, **more)

    with monkeypatch.context() as patched:
        patched.setattr(table._dynamodb, "update_item", fails)  # pyright: ignore[reportPrivateUsage]
        await start()
    for n in range(2):
        await table.lease("first", CALLER, f"other-{n}", LIMITS, FAR)
    await start()
    assert [m["error"]["code"] for m in clients.got["first"]] == ["generations_unavailable", "too_many_generations"]
    for n in range(2):
        await table.release("first", CALLER, f"other-{n}")
    assert await leases(table, "first") == await leases(table, '["acme","ci"]') == []
    model.say("Hello")
    model.done()
    await start()
    assert clients.got["first"][-1]["type"] == "done"


async def test_each_lease_is_given_back_whatever_happens_to_the_other(
    start: Start, table: ConnectionTable, monkeypatch
) -> None:
    start().cancel()
    await table.lease("first", CALLER, "run-9", LIMITS, FAR)
    update = table._dynamodb.update_item  # pyright: ignore[reportPrivateUsage]

    async def fails(name: str, key: Any, text: str, **more: Any) -> Any:
        if key["id"]["S"] == '["acme","ci"]':
            raise DynamoDBError("ThrottlingException", "Throughput exceeds the current capacity", 400)
        return await update(name, key, text, **more)

    monkeypatch.setattr(table._dynamodb, "update_item", fails)  # pyright: ignore[reportPrivateUsage]
    with pytest.raises(DynamoDBError):
        await table.release("first", CALLER, "run-9")
    assert await leases(table, "first") == []


async def test_a_token_has_the_limits_of_its_caller_whatever_it_calls_itself(
    start: Start, clients: Clients, table: ConnectionTable
) -> None:
    """A token without `sub` may name a tenant "anonymous", which those without authorization are called, too."""
    named = Caller(ANONYMOUS.tenant, ANONYMOUS.key)
    running: list[asyncio.Task[None]] = []
    models = [Model() for _ in range(LIMITS.per_key + 1)]
    for n, each in enumerate(models):
        await table.add(f"token-{n}", named, Credential(expires=2_000_000_000), limit=100)
        each.say("Hello")
        running.append(start(f"token-{n}", f"run-{n}", f"id-{n}", each))
        await clients.until(f"token-{n}", "delta" if n < LIMITS.per_key else "error", f"id-{n}")
    for each in models:
        each.done()
    await asyncio.gather(*running)
    assert clients.got[f"token-{LIMITS.per_key}"][-1]["error"]["code"] == "too_many_generations"


async def test_without_authorization_ids_and_limits_are_each_connections_own(
    start: Start, clients: Clients, chats: Chats, table: ConnectionTable, model: Model
) -> None:
    models = [model, *(Model() for _ in range(4))]
    running: list[asyncio.Task[None]] = []
    for n, each in enumerate(models):
        await table.add(f"visitor-{n}", ANONYMOUS, Credential(), limit=100)
        each.say(f"secret {n}")
        running.append(start(f"visitor-{n}", f"run-{n}", "one", each))
        await clients.until(f"visitor-{n}", "delta")
    await table.add("mallory", ANONYMOUS, Credential(), limit=100)
    await chats.resume(event("mallory", "run-9", seq=0))
    with pytest.raises(errors.GatewayError, match="no generation 'one'"):
        await chats.cancel(ANONYMOUS, "mallory", b'{"id":"one"}')
    assert [m["error"]["code"] for m in clients.got["mallory"]] == ["unknown_generation"]
    await chats.resume(event("visitor-0", "run-10", seq=0))
    for each in models:
        each.done()
    await asyncio.gather(*running)
    assert [clients.text(f"visitor-{n}") for n in range(5)] == [f"secret {n}" for n in range(5)]


# The client.


async def test_a_cancel_that_overtakes_its_chat_stops_it(start: Start, clients: Clients, chats: Chats, model: Model) -> None:
    for _ in range(2):
        with pytest.raises(errors.GatewayError, match="no generation 'one'"):
            await chats.cancel(CALLER, "first", b'{"action":"cancel","id":"one"}')
    await chats.resume(event("second", "run-0", seq=0))
    assert [m["error"]["code"] for m in clients.got["second"]] == ["unknown_generation"]
    await start()
    assert clients.got["first"] == [{"id": "one", "seq": 1, "type": "done", "stop_reason": "cancelled"}]
    await chats.resume(event("third", "run-2", seq=0))
    assert clients.got["third"] == clients.got["first"]
    assert model.asked == 0


async def test_a_cancel_of_nothing_is_forgotten(start: Start, clients: Clients, chats: Chats, model: Model, now: Any) -> None:
    with pytest.raises(errors.GatewayError, match="no generation 'one'"):
        await chats.cancel(CALLER, "first", b'{"action":"cancel","id":"one"}')
    now.seconds += FORESTALL_SECONDS + 1
    model.say("Hello")
    model.done()
    await start()
    assert clients.text("first") == "Hello"


async def test_cancel_stops_the_model_and_the_answer_is_done(
    start: Start, clients: Clients, chats: Chats, model: Model, capfd: pytest.CaptureFixture[str]
) -> None:
    running = start()
    model.say("Hello")
    await clients.until("first", "delta")
    await chats.cancel(CALLER, "first", b'{"action":"cancel","id":"one"}')
    await running
    assert model.stopped
    # What has come is what counts against limits.
    usage = {"id": "one", "seq": 3, "type": "usage", "input_tokens": 9, "output_tokens": 2, "estimated": True}
    assert clients.got["first"][-2:] == [usage, {"id": "one", "seq": 4, "type": "done", "stop_reason": "cancelled"}]
    record = next(json.loads(line) for line in capfd.readouterr().out.splitlines() if '"gen_ai.operation.name"' in line)
    assert (record["gen_ai.response.finish_reasons"], record["gen_ai.usage.output_tokens"]) == (["cancelled"], 2)
    for _ in range(2):  # it has ended, which is what was asked for
        again = await chats.cancel(CALLER, "first", b'{"action":"cancel","id":"one"}')
        assert again is not None and json.loads(again) == {"id": "one", "type": "ended", "last": 4}


async def test_cancel_stops_a_model_that_has_not_begun(start: Start, clients: Clients, chats: Chats, model: Model) -> None:
    running = start()
    await model.began.wait()
    await chats.cancel(CALLER, "first", b'{"action":"cancel","id":"one"}')
    await running
    assert model.stopped
    assert clients.got["first"] == [{"id": "one", "seq": 1, "type": "done", "stop_reason": "cancelled"}]


@pytest.mark.parametrize("caller", [Caller("acme", "other"), Caller("other", "ci")])
async def test_somebody_elses_generation_is_unknown(
    start: Start, clients: Clients, chats: Chats, table: ConnectionTable, model: Model, caller: Caller
) -> None:
    running = start()
    model.say("Hello")
    model.done()
    await running
    await table.add("theirs", caller, Credential(), limit=100)
    await chats.resume(event("theirs", "run-2", seq=0))
    assert [m["error"]["code"] for m in clients.got["theirs"]] == ["unknown_generation"]
    with pytest.raises(errors.GatewayError, match="no generation 'one'"):
        await chats.cancel(caller, "theirs", b'{"id":"one"}')


@pytest.mark.parametrize("seq", range(7))
async def test_after_its_end_a_generation_is_sent_from_any_number(
    start: Start, clients: Clients, chats: Chats, model: Model, seq: int
) -> None:
    running = start()
    model.say("Hello")
    await clients.until("first", "delta")
    model.say(" world")
    model.done()
    await running
    await chats.resume(event("second", "run-2", seq=seq))
    assert len(clients.got["first"]) == 5
    assert clients.got["second"] == (clients.got["first"][seq:] or [{"id": "one", "type": "ended", "last": 5}])


@pytest.mark.parametrize("seq", [0, 1, 2])
async def test_a_client_that_comes_back_gets_what_it_missed_and_what_follows(
    start: Start, clients: Clients, chats: Chats, model: Model, seq: int
) -> None:
    running = start()
    model.say("Hello")
    await clients.until("first", "delta")
    clients.gone.add("first")
    model.say(" lost")
    await chats.resume(event("second", "run-2", seq=seq))
    model.say(" world")
    model.done()
    await running
    had = clients.got["first"][:seq]
    assert had + [m for m in clients.got["second"] if m["seq"] > len(had)] == sorted(
        {m["seq"]: m for m in clients.got["first"] + clients.got["second"]}.values(), key=lambda m: m["seq"]
    )
    assert clients.text("first", "second") == "Hello lost world"


async def test_a_client_that_comes_back_at_the_very_end_is_served(
    start: Start, clients: Clients, chats: Chats, model: Model, journal: Journal, monkeypatch
) -> None:
    """The resume is recorded after the last message was sent to nobody, and before the end is written."""
    running = start()
    model.say("Hello")
    await clients.until("first", "delta")
    clients.gone.add("first")
    write = journal.write

    async def late(head: Any, messages: Any, *, ended: bool = False, **more: Any) -> Any:
        if ended:
            await chats.resume(event("second", "run-2", seq=2))
        return await write(head, messages, ended=ended, **more)

    monkeypatch.setattr(journal, "write", late)
    model.say(" world")
    model.done()
    await running
    assert clients.text("first", "second") == "Hello world"
    assert types(clients.got["second"]) == ["delta", "usage", "done"]


async def test_a_connection_that_resumes_all_the_time_is_closed(
    start: Start, clients: Clients, chats: Chats, model: Model, monkeypatch
) -> None:
    monkeypatch.setattr(chats_module, "MOST_RESUMES", 2)
    model.say("Hello")
    model.done()
    await start()
    for _ in range(3):
        await chats.resume(event("second", "run-2", seq=3))
    assert types(clients.got["second"]) == ["done", "done"]
    assert "second" in clients.gone


async def test_what_was_missed_comes_in_few_frames(start: Start, clients: Clients, chats: Chats, journal: Journal) -> None:
    head = await journal.begin('["acme","ci","one"]', "run-1", "first")
    assert head is not None
    texts = [f"word {number} " for number in range(2_000)]
    sent = [b'{"id":"one","seq":%d,"type":"delta","text":"%s"}' % (n, text.encode()) for n, text in enumerate(texts, 1)]
    await journal.write(head, sent, ended=True)
    await chats.resume(event("second", "run-2", seq=500))
    assert [m["seq"] for m in clients.got["second"]] == list(range(501, 2_001))
    assert "".join(m["text"] for m in clients.got["second"]) == "".join(texts[500:])
    assert clients.frames["second"] == 3


async def test_an_answer_is_sent_again_to_one_connection_once_and_for_one_key_a_few_times(
    start: Start, clients: Clients, chats: Chats, table: ConnectionTable, model: Model, monkeypatch
) -> None:
    """Each replay occupies an execution of a function, as long as its client takes."""
    monkeypatch.setattr(chats_module, "REPLAYS_PER_KEY", 2)
    model.say("Hello")
    model.done()
    await start()
    clients.busy = True
    running: list[asyncio.Task[None]] = []
    for connection in ("second", "third"):
        clients.refused.clear()
        running.append(asyncio.create_task(chats.resume(event(connection, f"run-{connection}", seq=0))))
        await clients.refused.wait()
    await table.add("fourth", CALLER, Credential(), limit=100)
    clients.busy = {"second", "third"}
    await chats.resume(event("second", "run-4", seq=0))  # the same again, which is being sent
    await chats.resume(event("fourth", "run-5", seq=3))
    (refused,) = clients.got["fourth"]
    assert (refused["error"]["code"], "seq" in refused) == ("too_many_resumes", False)
    clients.busy = False
    await asyncio.gather(*running)
    assert types(clients.got["second"]) == types(clients.got["third"]) == ["start", "delta", "usage", "done"]

    assert await leases(table, '["replays","acme","ci"]') == []


async def test_a_client_that_takes_no_replay_is_disconnected_soon(
    start: Start, clients: Clients, chats: Chats, model: Model, monkeypatch
) -> None:
    """And Lambda is not told of a failure, which it would repeat."""
    monkeypatch.setattr(chats_module, "REPLAY_SECONDS", 0.2)
    model.say("Hello")
    model.done()
    await start()
    clients.busy = True
    await chats.resume(event("second", "run-2", seq=0))
    assert clients.got["second"] == []
    assert "second" in clients.gone
    clients.busy = False
    await chats.resume(event("third", "run-3", seq=0))
    assert types(clients.got["third"]) == ["start", "delta", "usage", "done"]


async def test_after_the_models_end_no_client_keeps_the_function(
    start: Start, clients: Clients, chats: Chats, model: Model, journal: Journal, monkeypatch
) -> None:
    """What a client that reads too slowly has not got is in the journal, for whoever resumes."""
    running = start()
    model.say("Hello")
    await clients.until("first", "delta")
    connections = chats._connections  # pyright: ignore[reportPrivateUsage]
    post = connections.post

    async def slow(connection: str, message: bytes, **more: Any) -> None:
        if connection == "first":
            await asyncio.Event().wait()
        await post(connection, message, **more)

    monkeypatch.setattr(connections, "post", slow)
    monkeypatch.setattr(generation_module, "FINAL_POST_SECONDS", 0.5)
    model.done()
    head = None
    while head is None or head.status != "ended":
        await asyncio.sleep(0.005)
        head = await journal.head('["acme","ci","one"]')
    await chats.resume(event("second", "run-2", seq=2))
    assert types(clients.got["second"]) == ["usage", "done"]
    await running
    assert "first" in clients.gone


async def test_a_client_that_stays_away_ends_its_generation(
    start: Start, clients: Clients, chats: Chats, model: Model, monkeypatch
) -> None:
    monkeypatch.setattr(generation_module, "GONE_SECONDS", 0.1)
    running = start()
    model.say("Hello")
    await clients.until("first", "delta")
    clients.gone.add("first")
    model.say(" world")
    await running
    assert model.stopped
    await chats.resume(event("second", "run-2", seq=0))
    assert clients.text("second") == "Hello world"
    assert clients.got["second"][-1]["error"]["code"] == "client_gone"


async def test_a_client_that_leaves_while_the_model_thinks_is_noticed(
    start: Start, clients: Clients, model: Model, monkeypatch
) -> None:
    monkeypatch.setattr(generation_module, "GONE_SECONDS", 0.1)
    monkeypatch.setattr(generation_module, "WAITING_SECONDS", 0.05)
    running = start()
    await model.began.wait()
    clients.gone.add("first")
    await running
    assert model.stopped
    # To the end, in case that it is there after all.
    assert ("DELETE", "first") in clients.calls


async def test_a_client_is_told_that_a_model_thinks(
    start: Start, clients: Clients, chats: Chats, model: Model, monkeypatch
) -> None:
    monkeypatch.setattr(generation_module, "WAITING_SECONDS", 0.05)
    running = start()
    assert await clients.until("first", "waiting") == {"id": "one", "type": "waiting"}
    await chats.resume(event("second", "run-2", seq=0))
    await clients.until("second", "waiting")
    model.say("Hello")
    model.done()
    await running
    assert clients.text("second") == "Hello"


async def test_a_running_generation_answers_who_resumes_it(start: Start, clients: Clients, chats: Chats, model: Model) -> None:
    running = start()
    model.say("Hello")
    await clients.until("first", "delta")
    await chats.resume(event("second", "run-2", seq=2))  # which has everything
    await clients.until("second", "waiting")
    model.done()
    await running


async def test_a_client_that_is_called_gone_and_is_not_gets_everything(start: Start, clients: Clients, model: Model) -> None:
    running = start()
    model.say("Hello")
    await clients.until("first", "delta")
    clients.failures.append(410)
    model.say(" world")
    model.done()
    await running
    assert clients.text("first") == "Hello world"
    assert clients.gone == set()


async def test_a_connection_that_takes_nothing_for_a_while_is_kept(start: Start, clients: Clients, model: Model) -> None:
    running = start()
    model.say("Hello")
    await clients.until("first", "delta")
    for words in ((" throttled",), (" twice", " or", " more")):
        clients.busy = True
        clients.refused.clear()
        for word in words:
            model.say(word)
        await clients.refused.wait()
        clients.refused.clear()
        await clients.refused.wait()  # it is tried again
        clients.busy = False
    model.done()
    await running
    assert clients.text("first") == "Hello throttled twice or more"
    assert {method for method, _ in clients.calls} == {"GET", "POST"}


async def test_refusals_make_fewer_messages_for_a_while(monkeypatch) -> None:
    monkeypatch.setattr(generation_module, "_WIDER_SECONDS", (0.25, 1.0))
    pace = Pace(0.05)
    seconds = [pace.seconds]
    for _ in range(3):
        pace.widen()
        seconds.append(pace.seconds)
    pace.ease()  # too early
    seconds.append(pace.seconds)
    monkeypatch.setattr(generation_module, "_EASE_SECONDS", 0.0)
    for _ in range(3):
        pace.ease()
        seconds.append(pace.seconds)
    assert seconds == [0.05, 0.25, 1.0, 1.0, 1.0, 0.25, 0.05, 0.05]
    rare = Pace(0.5)
    rare.widen()
    assert rare.seconds == 1.0


async def test_a_client_that_takes_nothing_can_cancel_and_finds_the_end_in_the_journal(
    start: Start, clients: Clients, chats: Chats, model: Model, journal: Journal
) -> None:
    running = start()
    model.say("Hello")
    await clients.until("first", "delta")
    clients.busy = True
    model.say(" world")
    await clients.refused.wait()
    await chats.cancel(CALLER, "first", b'{"action":"cancel","id":"one"}')
    head = None
    while head is None or head.status != "ended":
        await asyncio.sleep(0.005)
        head = await journal.head('["acme","ci","one"]')
    assert model.stopped
    clients.busy = False
    await running
    assert clients.text("first") == "Hello world"
    assert clients.got["first"][-1]["stop_reason"] == "cancelled"


async def test_a_connection_that_takes_nothing_for_too_long_is_closed_and_its_client_resumes(
    start: Start, clients: Clients, chats: Chats, model: Model, monkeypatch
) -> None:
    running = start()
    model.say("Hello")
    await clients.until("first", "delta")
    monkeypatch.setattr(generation_module, "GONE_SECONDS", 0.05)
    clients.busy = True
    model.say(" world")
    await clients.closed.wait()
    monkeypatch.setattr(generation_module, "GONE_SECONDS", FAR)
    clients.busy = False
    await chats.resume(event("second", "run-2", seq=2))
    model.done()
    await running
    assert clients.text("first", "second") == "Hello world"


@pytest.mark.parametrize("seq", [None, "1", -1])
async def test_a_resume_without_a_number_is_refused(start: Start, clients: Clients, chats: Chats, seq: Any) -> None:
    await chats.resume(event("second", "run-2", seq=seq))
    (answer,) = clients.got["second"]
    assert (answer["id"], answer["error"]["code"], answer["error"]["param"]) == ("one", "invalid_value", "seq")


async def test_a_resume_that_comes_late_does_not_take_the_answer_from_its_client(
    start: Start, clients: Clients, chats: Chats, model: Model
) -> None:
    """Lambda keeps an event for which no execution is free; meanwhile the client may have connected once more."""
    running = start()
    model.say("Hello")
    await clients.until("first", "delta")
    clients.gone |= {"first", "second"}
    await chats.resume(event("third", "run-3", seq=2))
    await chats.resume(event("second", "run-2", seq=2))
    model.say(" world")
    model.done()
    await running
    assert clients.text("first", "third") == "Hello world"


# The function.


async def test_a_chat_whose_client_has_gone_asks_no_model(start: Start, clients: Clients, model: Model) -> None:
    """It waited for its function, and the client has sent it once more on a new connection."""
    clients.gone.add("first")
    await start("first")
    assert model.asked == 0
    assert ("DELETE", "first") in clients.calls  # in case that it is there after all
    running = start("second", "run-2")
    model.say("Hello")
    model.done()
    await running
    assert (clients.text("second"), model.asked) == ("Hello", 1)


@pytest.mark.parametrize("unreachable", [True, False], ids=["no way to API Gateway", "an endpoint of private APIs"])
async def test_a_function_that_cannot_send_asks_no_model(
    start: Start, chats: Chats, clients: Clients, model: Model, http: HttpClient, unreachable: bool, monkeypatch
) -> None:
    """The invocation fails, so that the client is told from elsewhere."""
    if unreachable:
        monkeypatch.setattr(connections_module, "_PATIENCE", 0.0)
        chats._connections = Connections(websocket_api.aws(http), "http://127.0.0.1:9/ws", {})  # pyright: ignore[reportPrivateUsage]
    clients.failures = [403]
    with pytest.raises(ConnectionsError):
        await start()
    assert model.asked == 0


async def test_what_was_reached_once_may_throttle(start: Start, clients: Clients, model: Model, monkeypatch) -> None:
    clients.failures = [429] * 9
    monkeypatch.setattr(connections_module, "_PATIENCE", 0.0)
    running = start()
    model.say("Hello")
    model.done()
    await running
    assert clients.text("first") == "Hello"


async def test_leases_that_cannot_be_given_back_concern_no_client(
    start: Start, clients: Clients, table: ConnectionTable, model: Model, monkeypatch
) -> None:
    async def fails(*_: Any) -> None:
        raise DynamoDBError("ThrottlingException", "Throughput exceeds the current capacity", 400)

    monkeypatch.setattr(table, "release", fails)
    running = start()
    model.say("Hello")
    model.done()
    await running
    assert types(clients.got["first"]) == ["start", "delta", "usage", "done"]


async def killed(running: "asyncio.Task[None]") -> None:
    """The function ends without writing the end of its generation."""
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


@pytest.mark.parametrize("kind", [errors.function_failed, errors.function_timeout])
async def test_a_killed_function_is_reported_once(
    start: Start, clients: Clients, chats: Chats, model: Model, kind: errors.ErrorKind
) -> None:
    code = kind.code
    running = start()
    model.say("Hello")
    await clients.until("first", "delta")
    await killed(running)
    await chats.died(event(), kind)
    last = clients.got["first"][-1]
    assert (last["id"], last["type"], last["error"]["code"], "seq" in last) == ("one", "error", code, False)
    await chats.died(event(), kind)
    assert types(clients.got["first"]).count("error") == 1
    # Who asks again gets what the journal has, and the error with the next number that it waits for.
    for seq in (0, 2, 57):
        connection = f"{seq}"
        await chats._table.add(connection, CALLER, Credential(), limit=100)  # pyright: ignore[reportPrivateUsage]
        await chats.resume(event(connection, "run-2", seq=seq))
        numbers = [m["seq"] for m in clients.got[connection]]
        assert numbers == list(range(seq + 1, seq + 1 + len(numbers)))
        assert clients.got[connection][-1]["error"]["code"] == code


async def test_a_resumed_generation_that_is_killed_tells_the_new_connection(
    start: Start, clients: Clients, chats: Chats, model: Model, journal: Journal
) -> None:
    running = start()
    model.say("Hello")
    await clients.until("first", "delta")
    head = await journal.head('["acme","ci","one"]')
    while head is None or head.last < 2:
        await asyncio.sleep(0.005)
        head = await journal.head('["acme","ci","one"]')
    await killed(running)
    await chats.resume(event("second", "run-2", seq=1))
    assert clients.got["second"] == []  # for all that the resume knows, the function goes on
    await chats.died(event(), errors.function_failed)
    assert types(clients.got["second"]) == ["delta", "error"]


async def test_a_function_that_never_began_is_reported(start: Start, clients: Clients, chats: Chats) -> None:
    await chats.died(event(), errors.function_failed)
    assert [m["error"]["code"] for m in clients.got["first"]] == ["function_failed"]


async def test_a_dead_function_that_nobody_reports_is_found_by_a_resume(
    start: Start, clients: Clients, chats: Chats, model: Model, now: Any
) -> None:
    running = start()
    model.say("Hello")
    await clients.until("first", "delta")
    await killed(running)
    now.seconds += DEAD_SECONDS + 1
    await chats.resume(event("second", "run-2", seq=9))
    (answer,) = clients.got["second"]
    assert (answer["seq"], answer["error"]["code"]) == (10, "function_failed")
    with pytest.raises(errors.GatewayError) as told:
        await chats.cancel(CALLER, "second", b'{"action":"cancel","id":"one"}')
    assert told.value.code == "function_failed"


async def test_a_function_that_is_thought_dead_stops(
    start: Start, clients: Clients, chats: Chats, model: Model, journal: Journal
) -> None:
    running = start()
    model.say("Hello")
    await clients.until("first", "delta")
    head = None
    while head is None:
        known = await journal.head('["acme","ci","one"]')
        assert known is not None
        head = await journal.record_death(known, "function_failed")
    await running
    assert model.stopped
    assert "done" not in types(clients.got["first"])


async def test_an_answer_comes_from_the_cache(
    chats: Chats, clients: Clients, table: ConnectionTable, model: Model, dynamodb: DynamoDB
) -> None:
    """It is kept in the journal's table, beside the generations."""
    await table.add("first", CALLER, Credential(), limit=100)
    cached = Cache(dynamodb, JOURNAL, AnswerCache(60), [], lambda text: None)
    gateway = Gateway(msgspec.structs.replace(ROUTES, cache=AnswerCache(60)), Router({"mock": model}), cache=cached)
    model.say("Hello", " world")
    model.done()
    for number in range(2):
        await chats.chat(gateway, LIMITS, event(request_id=f"run-{number}", id=f"g{number}", message="Hi", temperature=0), FAR)
    starts = [message for message in clients.got["first"] if message["type"] == "start"]
    assert [each["cache"] for each in starts] == [{"status": "miss"}, {"status": "hit", "age": 0, "saved_tokens": 5}]
    text = [message["text"] for message in clients.got["first"] if message["type"] == "delta"]
    assert "".join(text) == "Hello world" * 2
    assert model.asked == 1
