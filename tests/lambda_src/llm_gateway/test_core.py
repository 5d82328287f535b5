"""The core's rules one by one, and what holds for any input."""

import asyncio
import hashlib
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from llm_functions.api_formats import chat as chat_api
from llm_functions.api_formats import openai_chat as openai_api
from llm_functions.http.application import Application
from llm_gateway import errors, telemetry
from llm_gateway.aws.client import Aws
from llm_gateway.call import ModelCall, model_call
from llm_gateway.errors import GatewayError
from llm_gateway.events import Delta, Done, Event, Usage
from llm_gateway.http.client import HttpClient
from llm_gateway.identity import caller as auth
from llm_gateway.identity import keys
from llm_gateway.identity.caller import (
    Caller,
    caller_context,
    caller_from_context,
    key_hash,
    presented_key,
)
from llm_gateway.identity.keys import KeyStore
from llm_gateway.pipeline import Gateway, answer
from llm_gateway.providers.mock import Mock
from llm_gateway.providers.openai import chat_completions
from llm_gateway.request import ChatRequest, Message, Sampling, Tool, ToolUse
from llm_gateway.router import Router
from llm_gateway.routes import Alias, Endpoint, Routes, Target, encode, load
from llm_gateway.stages.authorize import allowed_models, authorize
from llm_gateway.stages.validate import conversation_problems

pytestmark = pytest.mark.timeout(30)

SAMPLING = ("max_tokens", "temperature", "top_p", "stop", "system")
HI = (Message(role="user", text="Hi"),)
TOOL = Tool(name="t", description="", parameters={"type": "object"})


def target(accepts: tuple[Any, ...] = SAMPLING, **more: Any) -> Target:
    values: dict[str, Any] = {
        "name": "mock/m",
        "provider": "mock",
        "model": "m",
        "max_output_tokens": 4096,
        "context_tokens": 9999,
        **more,
    }
    return Target(accepts=accepts, **values)


NOTHING = Sampling()


def request(explicit: Sampling = NOTHING, **more: Any) -> ChatRequest:
    values: dict[str, Any] = {"messages": HI, "defaults": chat_api.DEFAULTS, "default_system": "Default.", **more}
    return ChatRequest(sampling=explicit, **values)


def sent(request: ChatRequest, to: Target) -> ModelCall:
    return model_call(request, Alias("an-alias", (to,)), to, deadline=0.0)


PAIR = ("temperature", "top_p")

# From a request to what a target is sent.

# target, explicit -> what is sent
SAMPLED: dict[str, tuple[Target, Sampling, Sampling]] = {
    "defaults": (target(), Sampling(), Sampling(1000, 0.7, 0.9)),
    "explicit values": (target(), Sampling(5, 0.1, 0.2, ("a",)), Sampling(5, 0.1, 0.2, ("a",))),
    "zeros are explicit": (target(), Sampling(temperature=0.0, top_p=0.0), Sampling(1000, 0.0, 0.0)),
    "none is taken": (target(("max_tokens",)), Sampling(), Sampling(1000)),
    "temperature is not taken": (target(("max_tokens", "top_p")), Sampling(), Sampling(1000, None, 0.9)),
    "the default is above the model's tokens": (target(max_output_tokens=10), Sampling(), Sampling(10, 0.7, 0.9)),
    "the default is above the model's temperature": (target(temperature_max=0.5), Sampling(), Sampling(1000, 0.5, 0.9)),
    "exclusive: the first default": (target(exclusive=PAIR), Sampling(), Sampling(1000, 0.7)),
    "exclusive: in the target's order": (target(exclusive=PAIR[::-1]), Sampling(), Sampling(1000, None, 0.9)),
    "exclusive: explicit temperature": (target(exclusive=PAIR), Sampling(temperature=0.1), Sampling(1000, 0.1)),
    "exclusive: explicit top_p": (target(exclusive=PAIR), Sampling(top_p=0.1), Sampling(1000, None, 0.1)),
    "exclusive: explicit zero": (target(exclusive=PAIR), Sampling(top_p=0.0), Sampling(1000, None, 0.0)),
}


@pytest.mark.parametrize(("to", "explicit", "expected"), SAMPLED.values(), ids=SAMPLED)
def test_sampling(to: Target, explicit: Sampling, expected: Sampling) -> None:
    assert sent(request(explicit), to).sampling == expected


def test_without_any_default_the_models_own_bound_is_sent() -> None:
    assert sent(request(defaults=Sampling()), target()).sampling == Sampling(4096)


# target, request -> the fields that are wrong
REFUSED: dict[str, tuple[Target, ChatRequest, list[str]]] = {
    "too many tokens": (target(max_output_tokens=10), request(Sampling(11)), ["max_tokens"]),
    "too hot": (target(temperature_max=0.5), request(Sampling(temperature=0.6)), ["temperature"]),
    "too many stops": (target(stop_max=1), request(Sampling(stop=("a", "b"))), ["stop"]),
    "all not taken": (
        target(("max_tokens",), max_output_tokens=1),
        request(Sampling(2, 0.0, 0.0, ("a",)), system="", tools=(TOOL,)),
        ["max_tokens", "temperature", "top_p", "stop", "tools", "system"],
    ),
    "both of a pair": (target(exclusive=PAIR), request(Sampling(temperature=0.1, top_p=0.1)), ["top_p"]),
    "tools": (target(), request(tools=(TOOL,)), ["tools"]),
    "reasoning effort": (target(), request(Sampling(reasoning_effort="low")), ["reasoning_effort"]),
    "earlier calls": (
        target(),
        request(messages=(*HI, Message("assistant", tool_calls=(ToolUse("c", "t", {}),)), Message("tool", "1", (), "c"))),
        ["tools"],
    ),
}


@pytest.mark.parametrize(("to", "said", "fields"), REFUSED.values(), ids=REFUSED)
def test_what_a_target_does_not_take_is_told_at_once(to: Target, said: ChatRequest, fields: list[str]) -> None:
    with pytest.raises(GatewayError) as refused:
        sent(said, to)
    assert (refused.value.status, refused.value.param) == (400, fields[0])
    assert [problem.partition(": ")[0] for problem in refused.value.message.split("; ") if ": " in problem] == fields


@pytest.mark.parametrize(("accepts", "kept"), [((), False), (("reasoning_content",), True)])
def test_earlier_reasoning_is_sent_back_to_a_target_that_takes_it(accepts: Any, kept: bool) -> None:
    answer = {"role": "assistant", "content": "Hi.", "reasoning_content": "They greet."}
    body = {"model": "a", "messages": [{"role": "user", "content": "Hi"}, answer, {"role": "user", "content": "And?"}]}
    said, _ = openai_api.parse(body)
    (_, turn, _) = chat_completions.body(sent(said, target((*SAMPLING, *accepts))))["messages"]
    assert turn == (answer if kept else {"role": "assistant", "content": "Hi."})


@pytest.mark.parametrize(("strategy", "accepts", "sent"), [("workload", (), None), ("priority", ("reasoning_effort",), "high")])
def test_a_reasoning_effort_chooses_a_target_that_need_not_take_it(strategy: Any, accepts: Any, sent: str | None) -> None:
    to = target((*SAMPLING, *accepts))
    call = model_call(request(Sampling(reasoning_effort="high")), Alias("a", (to,), strategy=strategy), to, 0.0)
    assert call.sampling.reasoning_effort == sent


@pytest.mark.parametrize(
    ("accepts", "said", "system"),
    [
        (SAMPLING, request(), "Default."),
        (SAMPLING, request(system="Mine."), "Mine."),
        (SAMPLING, request(system=""), ""),
        (("max_tokens",), request(), None),
        (SAMPLING, request(default_system=None), None),
    ],
)
def test_the_system_prompt(accepts: Any, said: ChatRequest, system: str | None) -> None:
    assert sent(said, target(accepts)).system == system


@pytest.mark.parametrize(
    ("accepts", "stream", "tools", "streamed"),
    [
        ((), True, (), True),
        ((), False, (), False),
        (("tools",), True, (TOOL,), False),
        (("tools", "stream_tools"), True, (TOOL,), True),
        (("tools", "stream_tools"), False, (TOOL,), False),
    ],
)
def test_whether_the_provider_streams(accepts: Any, stream: bool, tools: Any, streamed: bool) -> None:
    assert sent(request(stream=stream, tools=tools), target((*SAMPLING, *accepts))).stream is streamed


def test_a_history_with_calls_is_tools_too() -> None:
    """Its tools are declared (toolConfig), and that is what such a model refuses in ConverseStream."""
    messages = (*HI, Message("assistant", tool_calls=(ToolUse("c", "t", {}),)), Message("tool", "1", (), "c"))
    assert not sent(request(stream=True, messages=messages), target((*SAMPLING, "tools"))).stream


# The conversation's rules.


def user(text: str = "Hi") -> Message:
    return Message("user", text)


def said(text: str = "Yes", *calls: str) -> Message:
    return Message("assistant", text, tuple(ToolUse(identifier, "t", {}) for identifier in calls))


def result(identifier: str) -> Message:
    return Message("tool", "1", (), identifier)


CONVERSATIONS: dict[str, tuple[tuple[Message, ...], list[str]]] = {
    "a message": ((user(),), []),
    "turns": ((user(), said(), user()), []),
    "two of the user's": ((user(), user()), []),
    "a call and its result": ((user(), said("", "a"), result("a")), []),
    "two calls, their results in any order": ((user(), said("", "a", "b"), result("b"), result("a"), user()), []),
    "a call in each of two turns": ((user(), said("", "a"), result("a"), said("", "a"), result("a")), []),
    "nothing": ((), ["messages"]),
    "the assistant first": ((said(), user()), ["messages[0].role"]),
    "the assistant last": ((user(), said()), ["messages[1].role"]),
    "only the assistant": ((said(),), ["messages[0].role", "messages[0].role"]),
    "a result first": ((result("a"),), ["messages[0].role", "messages[0].tool_call_id"]),
    "a result of no call": ((user(), result("a")), ["messages[1].tool_call_id"]),
    "a result twice": ((user(), said("", "a"), result("a"), result("a")), ["messages[3].tool_call_id"]),
    "a result too late": ((user(), said("", "a"), user(), result("a")), ["messages[2]", "messages[3].tool_call_id"]),
    "one result is missing": ((user(), said("", "a", "b"), result("a")), ["messages[2]"]),
    "no result": ((user(), said("", "a"), said(), user()), ["messages[2]"]),
    "calls last": ((user(), said("", "a")), ["messages[1].role"]),
    "empty": ((user(" \n"),), ["messages[0].content"]),
    "an empty answer": ((user(), said(""), user()), ["messages[1].content"]),
}


@pytest.mark.parametrize(("messages", "fields"), CONVERSATIONS.values(), ids=CONVERSATIONS)
def test_conversations(messages: Any, fields: list[str]) -> None:
    placed = [msgspec.structs.replace(message, place=f"messages[{place}]") for place, message in enumerate(messages)]
    assert [problem.field for problem in conversation_problems(placed)] == fields


# The routes document.

ROUTES = Routes(
    aliases=(
        Alias("one", (target(stop_max=4, exclusive=PAIR, temperature_max=2.0),), retries=0),
        Alias("two", (target(model="", model_variable="MODEL_ARN"), target(("max_tokens",)))),
    )
)


def test_routes_survive_the_archive(tmp_path: Path) -> None:
    path = tmp_path / "routes.json"
    path.write_bytes(encode(ROUTES))
    routes = load(path, {"MODEL_ARN": "arn:of:it"})
    assert routes.names() == ["one", "two"] and routes.aliases[0] == ROUTES.aliases[0]
    assert [each.model for each in routes.aliases[1].targets] == ["arn:of:it", "m"]
    assert encode(ROUTES) == encode(ROUTES) and json.loads(encode(ROUTES))
    assert routes.alias("").name == "one" and routes.alias("two").name == "two" and routes.alias("three") is None


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (None, FileNotFoundError),
        (b"", msgspec.DecodeError),
        (b"{}", msgspec.ValidationError),
        (encode(ROUTES).replace(b'"mock"', b'"mocked"'), ValueError),
        (encode(ROUTES).replace(b'"top_p"', b'"top_q"'), msgspec.ValidationError),
        (encode(ROUTES).replace(b"4096", b'"4096"'), msgspec.ValidationError),
        (encode(ROUTES), KeyError),  # the variable is not set
    ],
)
def test_broken_routes_stop_the_start(tmp_path: Path, content: bytes | None, error: type[Exception]) -> None:
    path = tmp_path / "routes.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(error):
        load(path, {})


def test_a_provider_of_an_unknown_protocol_stops_the_start(tmp_path: Path) -> None:
    path = tmp_path / "routes.json"
    path.write_bytes(encode(Routes(ROUTES.aliases, (Endpoint(name="p", type="gopher", base_url="https://p.example.com"),))))
    with pytest.raises(ValueError, match="provider 'p' must be one of openai_compatible, anthropic, not 'gopher'"):
        load(path, {"MODEL_ARN": "arn:of:it"})


# Who calls.

PRESENTED: dict[str, tuple[dict[str, str], str | None]] = {
    "nothing": ({}, None),
    "bearer": ({"Authorization": "Bearer abc"}, "abc"),
    "bearer, small": ({"authorization": "bearer abc"}, "abc"),
    "bearer, loud": ({"AUTHORIZATION": "BEARER  abc "}, "abc"),
    "x-api-key": ({"x-api-key": "abc"}, "abc"),
    "X-Api-Key": ({"X-Api-Key": " abc "}, "abc"),
    "both: bearer counts": ({"x-api-key": "two", "authorization": "Bearer one"}, "one"),
    "an empty bearer": ({"authorization": "Bearer ", "x-api-key": "two"}, "two"),
    "another scheme": ({"authorization": "Basic abc"}, None),
    "another scheme beside a key": ({"authorization": "AWS4-HMAC-SHA256 x", "x-api-key": "two"}, "two"),
    "no scheme": ({"authorization": "abc"}, None),
    "an empty key": ({"x-api-key": " "}, None),
}


@pytest.mark.parametrize(("headers", "key"), PRESENTED.values(), ids=PRESENTED)
def test_presented_key(headers: dict[str, str], key: str | None) -> None:
    assert presented_key(headers) == key


def test_a_key_is_stored_as_its_sha256() -> None:
    assert key_hash("schlüssel") == hashlib.sha256("schlüssel".encode()).hexdigest()


@pytest.mark.parametrize("caller", [Caller("acme", "ci"), Caller("acme", "ci", ("one",)), Caller("a", "", ("one", "two"))])
def test_a_caller_survives_api_gateway(caller: Caller) -> None:
    context = caller_context(caller)
    assert all(isinstance(value, str) for value in context.values())
    assert caller_from_context(context) == caller


@pytest.mark.parametrize("context", [None, {}, {"principalId": "x"}, {"key": "ci", "models": ""}])
def test_without_an_authorizers_word_nobody_calls(context: Any) -> None:
    with pytest.raises(GatewayError) as refused:
        caller_from_context(context)
    assert (refused.value.status, refused.value.code) == (401, "missing_api_key")


# models allowed, model asked -> the alias, or the error's code
AUTHORIZED: list[tuple[tuple[str, ...], str, str]] = [
    ((), "", "one"),
    ((), "two", "two"),
    ((), "three", "model_not_found"),
    (("two",), "", "two"),
    (("two",), "two", "two"),
    (("two",), "one", "model_not_allowed"),
    (("two",), "three", "model_not_found"),
    (("two", "one"), "", "one"),
    (("gone",), "", "model_not_allowed"),
    (("gone",), "one", "model_not_allowed"),
]


@pytest.mark.parametrize(("models", "name", "expected"), AUTHORIZED)
def test_authorize(models: tuple[str, ...], name: str, expected: str) -> None:
    caller = Caller("acme", "ci", models)
    if expected in ROUTES.names():
        assert authorize(caller, name, ROUTES).name == expected
    else:
        with pytest.raises(GatewayError) as refused:
            authorize(caller, name, ROUTES)
        assert (refused.value.code, refused.value.param) == (expected, "model")
    assert allowed_models(caller, ROUTES) == [each for each in ROUTES.names() if not models or each in models]


# The table of keys.


class Table:
    """A DynamoDB that holds one item a hash, and counts who asks."""

    def __init__(self, **callers: Caller) -> None:
        self.items = {name: keys.item(name, caller) for name, caller in callers.items()}
        self.asked: list[str] = []

    async def get_item(self, table: str, key: dict[str, Any]) -> dict[str, Any] | None:
        assert table == "keys"
        self.asked.append(key["key_hash"]["S"])
        return self.items.get(self.asked[-1])


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def store(table: Table) -> tuple[KeyStore, Clock]:
    clock = Clock()
    return KeyStore(table, "keys", clock), clock  # type: ignore[arg-type]


async def test_a_known_key_is_remembered_for_its_time() -> None:
    caller = Caller("acme", "ci", ("one", "two"))
    table = Table(a=caller)
    known, clock = store(table)
    assert [await known.find("a") for _ in range(3)] == [caller] * 3 and table.asked == ["a"]
    clock.now += keys.TRUST_SECONDS - 0.001
    assert await known.find("a") == caller and table.asked == ["a"]
    clock.now += 0.001
    assert await known.find("a") == caller and table.asked == ["a", "a"]


async def test_a_key_that_is_taken_away_is_refused_after_that_time() -> None:
    table = Table(a=Caller("acme", "ci"))
    known, clock = store(table)
    assert await known.find("a") is not None
    table.items.clear()
    assert await known.find("a") is not None
    clock.now += keys.TRUST_SECONDS
    assert await known.find("a") is None and await known.find("a") is None


async def test_an_unknown_key_is_not_remembered() -> None:
    table = Table()
    known, _ = store(table)
    assert await known.find("a") is None
    table.items["a"] = keys.item("a", Caller("acme", "ci"))
    assert await known.find("a") == Caller("acme", "ci")


async def test_what_is_remembered_is_bounded(monkeypatch) -> None:
    monkeypatch.setattr(keys, "_REMEMBERED", 3)
    table = Table(**{name: Caller("acme", name) for name in "abcdef"})
    known, _ = store(table)
    for name in "abcdef":
        await known.find(name)
    assert len(known._known) == 3
    table.asked.clear()
    for name in "defa":
        await known.find(name)
    assert table.asked == ["a"]


async def test_a_table_that_fails_is_no_answer() -> None:
    class Broken:
        async def get_item(self, table: str, key: Any) -> None:
            raise RuntimeError("no table")

    with pytest.raises(RuntimeError):
        await KeyStore(Broken(), "keys", Clock()).find("a")  # type: ignore[arg-type]


# AWS's addresses.


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, "https://bedrock-runtime.eu-west-1.amazonaws.com"),
        ({"AWS_ENDPOINT_URL": "http://localhost:1/"}, "http://localhost:1"),
        ({"AWS_ENDPOINT_URL_BEDROCK_RUNTIME": "http://localhost:2"}, "http://localhost:2"),
        ({"AWS_ENDPOINT_URL": "http://a:1", "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": "http://b:2"}, "http://b:2"),
        ({"AWS_ENDPOINT_URL_DYNAMODB": "http://localhost:3"}, "https://bedrock-runtime.eu-west-1.amazonaws.com"),
    ],
)
def test_a_services_address(environ: dict[str, str], expected: str) -> None:
    fixed = {"AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    assert Aws(HttpClient(), {**fixed, **environ}).endpoint("bedrock-runtime") == expected


# The mock.

# text, sampling -> the answer, its tokens, why it stopped
MOCKED: list[tuple[str, Sampling, str, int, str]] = [
    ("one two", Sampling(100), "You said: one two", 4, "end_turn"),
    ("one two", Sampling(3), "You said: one", 3, "max_tokens"),
    ("one two", Sampling(4), "You said: one two", 4, "end_turn"),
    ("one two", Sampling(100, stop=("two",)), "You said: one", 3, "stop_sequence"),
    ("one two", Sampling(100, stop=("two", "said")), "You", 1, "stop_sequence"),
    ("one two", Sampling(100, stop=("three",)), "You said: one two", 4, "end_turn"),
    ("one two", Sampling(1, stop=("two",)), "You", 1, "max_tokens"),
]


@pytest.mark.parametrize(("text", "sampling", "expected", "tokens", "reason"), MOCKED)
async def test_the_mock(text: str, sampling: Sampling, expected: str, tokens: int, reason: str) -> None:
    call = sent(request(sampling, messages=(user(text),), system=None), target())
    first, second = [[event async for batch in Mock().answer(call) for event in batch] for _ in range(2)]
    assert first == second
    *deltas, usage, done = first
    assert "".join(delta.text for delta in deltas) == expected.rstrip() and all(delta.text for delta in deltas)
    assert (usage, done) == (Usage(len(text.split()), tokens), Done(reason))  # type: ignore[arg-type]


# The pipeline and its record.


class Scripted:
    """A provider that gives these events, usage and done in one batch, or raises what is no event."""

    def __init__(self, *events: Event | Exception) -> None:
        self.events = events
        self.closed = False

    async def answer(self, call: Any) -> AsyncGenerator[list[Event], None]:
        batch: list[Event] = []
        try:
            for event in self.events:
                if isinstance(event, Exception):
                    raise event
                batch.append(event)
                if not isinstance(event, Usage):
                    yield batch
                    batch = []
            if batch:
                yield batch
        finally:
            self.closed = True


def gateway_of(provider: Any) -> Gateway:
    return Gateway(ROUTES, Router({"mock": provider}))


SECRET_PROMPT, SECRET_ANSWER, SECRET_KEY = "my-secret-prompt", "my-secret-answer", "sk-my-secret-key"


@pytest.fixture
def records(monkeypatch) -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = []
    monkeypatch.setattr(telemetry, "write_log", lambda fields: lines.append(dict(fields)))
    return lines


async def run(provider: Any, name: str = "one", text: str = SECRET_PROMPT) -> list[Event]:
    gateway = gateway_of(provider)
    said = request(messages=(user(text),), model=name, system=SECRET_PROMPT)
    deadline = asyncio.get_running_loop().time() + 10
    batches = answer(gateway, said, Caller("acme", "ci"), "request-1", deadline)
    return [event async for batch in batches for event in batch]


async def test_the_record_of_an_answer(records) -> None:
    provider = Scripted(Delta(SECRET_ANSWER), Usage(3, 2), Done("end_turn"))
    events = await run(provider)
    assert [type(event).__name__ for event in events] == ["Start", "Delta", "Usage", "Done"] and provider.closed
    (record,) = records
    assert record.pop("duration_ms") >= record.pop("time_to_first_event_ms") >= 0
    assert record == {
        "level": "INFO",
        "message": "chat",
        "request_id": "request-1",
        "tenant": "acme",
        "api_key": "ci",
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "one",
        "gen_ai.provider.name": "mock",
        "gen_ai.response.model": "m",
        "gen_ai.usage.input_tokens": 3,
        "gen_ai.usage.output_tokens": 2,
        "gen_ai.response.finish_reasons": ["end_turn"],
    }


# provider, model -> the error's code, the record's level
FAILED: dict[str, tuple[Scripted, str, str, str]] = {
    "an unknown model": (Scripted(), "three", "model_not_found", "WARN"),
    "no event at all": (Scripted(), "one", "stream_interrupted", "ERROR"),
    "no done": (Scripted(Delta(SECRET_ANSWER), Usage(3, 2)), "one", "stream_interrupted", "ERROR"),
    "an error of its own": (Scripted(Delta(SECRET_ANSWER), RuntimeError("broken")), "one", "internal_error", "ERROR"),
    "a typed error": (Scripted(errors.upstream_throttled("wait")), "one", "upstream_throttled", "WARN"),
}


@pytest.mark.parametrize(("provider", "name", "code", "level"), FAILED.values(), ids=FAILED)
async def test_the_record_of_a_failure(records, provider: Scripted, name: str, code: str, level: str) -> None:
    with pytest.raises(GatewayError) as failed:
        await run(provider, name)
    (record,) = records
    assert (failed.value.code, record["error.type"], record["level"]) == (code, code, level)
    assert SECRET_PROMPT not in repr(record) and SECRET_ANSWER not in repr(record)


async def test_an_answer_that_nobody_reads_on_is_recorded_and_closed(records) -> None:
    provider = Scripted(Delta("one"), Delta("two"), Usage(3, 2), Done("end_turn"))
    deadline = asyncio.get_running_loop().time() + 10
    events = answer(gateway_of(provider), request(messages=HI), Caller("acme", "ci"), "request-1", deadline)
    await anext(events)
    await events.aclose()
    assert provider.closed and records[0]["error.type"] == "abandoned"


async def test_the_deadline_ends_a_provider_that_does_not_begin(records) -> None:
    class Endless(Scripted):
        async def answer(self, call: Any) -> AsyncGenerator[list[Event], None]:
            try:
                await asyncio.get_running_loop().create_future()
                yield []
            finally:
                self.closed = True

    provider = Endless()
    deadline = asyncio.get_running_loop().time() + 0.02
    with pytest.raises(GatewayError) as late:
        async for _ in answer(gateway_of(provider), request(messages=HI), Caller("acme", "ci"), "request-1", deadline):
            pass
    assert (late.value.status, late.value.code, records[0]["error.type"]) == (504, "upstream_timeout", "upstream_timeout")
    assert provider.closed


async def test_no_line_of_the_log_tells_the_prompt_the_answer_or_the_key(gateway, bedrock, capsysbinary) -> None:
    service = await gateway((await bedrock()).url, authorization="api_key")
    headers = service.context({"tenant": "acme", "key": "ci", "models": ""}) | {"authorization": f"Bearer {SECRET_KEY}"}
    bodies = [
        {"message": SECRET_PROMPT, "system_prompt": SECRET_PROMPT},
        {"message": SECRET_PROMPT, "history": [{"role": "assistant", "content": SECRET_ANSWER}]},
        {"message": SECRET_PROMPT, "temperature": 1.5},
        {"message": SECRET_PROMPT, "model": "bare", "stop": SECRET_ANSWER},
    ]
    answers = [await service.post(path, body, headers) for path in ("/chat", "/chat/stream") for body in bodies]
    lines = [json.loads(line) for line in capsysbinary.readouterr().out.splitlines()]
    assert [each.status_code for each in answers] == [200, 400, 400, 400] * 2
    assert len(lines) == len(answers)
    assert all(line["gen_ai.operation.name"] == "chat" and line["api_key"] == "ci" for line in lines)
    assert lines[0]["gen_ai.provider.name"] == "aws.bedrock" and lines[0]["gen_ai.response.model"] == "test.all-v1:0"
    for secret in (SECRET_PROMPT, SECRET_ANSWER, SECRET_KEY, "stand-in"):
        assert secret not in json.dumps(lines)


@pytest.mark.parametrize("body", [{"message": "Hi", "max_tokens": 0}, {}])
async def test_a_request_that_cannot_be_read_is_recorded_too(gateway, capsysbinary, body: Any) -> None:
    """`pipeline` says: one line of telemetry, whatever happened."""
    service = await gateway()
    assert (await service.post("/chat", body)).status_code == 400
    (line,) = capsysbinary.readouterr().out.splitlines()
    assert json.loads(line)["error.type"] == "invalid_value"


# Whatever comes.

NAMES = [
    *("message", "prompt", "model", "system_prompt", "max_tokens", "temperature", "top_p", "stop", "history", "messages"),
    *("role", "content", "tools", "tool_choice", "tool_calls", "tool_call_id", "stream", "stream_options", "include_usage"),
    *("type", "function", "name", "arguments", "parameters", "description", "strict", "id", "text", "n", "logprobs"),
    *("max_completion_tokens", "response_format", "parallel_tool_calls", "logit_bias", "modalities", "user", "metadata"),
]
WORDS = [
    "user",
    "assistant",
    "system",
    "developer",
    "tool",
    "text",
    "function",
    "auto",
    "none",
    "required",
    "full",
    "{}",
    "[1]",
]
# Numbers that every float holds: the ones beyond are a row of the table of bad requests.
SCALARS = st.none() | st.booleans() | st.integers(-(2**64), 2**64) | st.floats(allow_nan=False, allow_infinity=False)
TEXTS = st.sampled_from(WORDS) | st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
KEYS = st.sampled_from(NAMES) | st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
VALUES = st.recursive(
    SCALARS | TEXTS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=5), max_leaves=20
)
# Near what is right, where the deeper branches are.
PARTS = st.fixed_dictionaries({}, optional={"type": TEXTS, "text": TEXTS})
CALLS = st.fixed_dictionaries(
    {},
    optional={"id": TEXTS, "type": TEXTS, "function": st.fixed_dictionaries({}, optional={"name": TEXTS, "arguments": VALUES})},
)
MESSAGES = st.fixed_dictionaries(
    {"role": st.sampled_from(["system", "user", "assistant", "tool", "robot"])},
    optional={"content": TEXTS | st.lists(PARTS, max_size=2), "tool_calls": st.lists(CALLS, max_size=2), "tool_call_id": TEXTS},
)
BODIES = st.dictionaries(KEYS, VALUES, max_size=8) | st.fixed_dictionaries(
    {"model": TEXTS, "messages": st.lists(MESSAGES, max_size=4)},
    optional={"tools": VALUES, "tool_choice": VALUES, "stream": st.booleans(), "n": VALUES, "temperature": SCALARS},
)
SLOWLY = settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True, database=None
)


def parsed_or_refused(parse: Any, body: dict[str, Any]) -> Any:
    """What parsing gives, None for a GatewayError 400 that names a field; anything else is the test's failure."""
    try:
        return parse(body)
    except GatewayError as error:
        assert (error.status, error.type) == (400, "invalid_request_error") and error.param and error.message
        msgspec.json.encode(error.body("request-1"))  # can be sent
        return None


@SLOWLY
@given(BODIES)
@example({"message": "Hi", "history": [{}]})
def test_any_object_is_read_or_refused_by_chat(body: dict[str, Any]) -> None:
    read = parsed_or_refused(lambda body: chat_api.parse(body, stream=False), body)
    assert read is None or isinstance(read.messages[-1].text, str)


@SLOWLY
@given(BODIES)
@example({"model": "full", "messages": [{"role": "tool", "content": None}]})
def test_any_object_is_read_or_refused_by_openai(body: dict[str, Any]) -> None:
    read = parsed_or_refused(openai_api.parse, body)
    if read is not None:
        conversation_problems(read[0].messages)


@asynccontextmanager
async def in_process() -> AsyncIterator[Any]:
    """The application called as uvicorn calls it, one request after another."""
    environ = {"AUTHORIZATION": "none", "DEBUG": "true", "CORS_ALLOW_ORIGIN": "*"}
    routes = Routes(aliases=(Alias("full", (target((*SAMPLING, "tools"), stop_max=4),)),))
    application = Application(Gateway(routes, Router({"mock": Mock()})), environ)

    async def post(path: str, body: bytes) -> tuple[int, bytes]:
        sent: list[dict[str, Any]] = []
        left: list[dict[str, Any]] = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> dict[str, Any]:
            if left:
                return left.pop()
            return await asyncio.get_running_loop().create_future()  # the client stays

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        await application({"type": "http", "method": "POST", "path": path, "headers": []}, receive, send)
        assert [message["type"] for message in sent].count("http.response.start") == 1
        assert sent[0]["type"] == "http.response.start" and not sent[-1].get("more_body")
        return sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:])

    yield post


def check_bodies(bodies: Any, count: int) -> None:
    """No body that `bodies` gives makes the service fail, on any route."""

    @settings(SLOWLY, max_examples=count)
    @given(st.sampled_from(["/chat", "/chat/stream", "/v1/chat/completions"]), bodies)
    def check(path: str, body: bytes) -> None:
        async def once() -> None:
            async with in_process() as post:
                status, content = await post(path, body)
            assert status in (200, 400, 404), content
            if status != 200:
                error = json.loads(content)["error"]
                assert set(error) <= {"type", "code", "message", "request_id", "param", "detail"}
            assert b'"code":"internal_error"' not in content

        asyncio.run(once())

    check()


def test_no_bytes_make_the_service_fail(monkeypatch) -> None:
    monkeypatch.setattr(telemetry, "write_log", lambda fields: None)
    check_bodies(st.binary(max_size=60) | st.binary(max_size=40).map(lambda data: b'{"message": "' + data + b'"}'), 200)


def test_no_object_makes_the_service_fail(monkeypatch) -> None:
    monkeypatch.setattr(telemetry, "write_log", lambda fields: None)
    check_bodies(BODIES.map(lambda body: json.dumps({"model": "full", **body}).encode()), 200)


def test_the_module_under_test_is_the_checkouts() -> None:
    assert Path(auth.__file__).parents[2].name == "lambda_src"
