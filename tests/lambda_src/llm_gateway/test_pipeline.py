"""The event stream that answers a request, and the one line that is recorded of it."""

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from llm_gateway import errors
from llm_gateway.call import ModelCall
from llm_gateway.checked_router import Safety
from llm_gateway.errors import GatewayError
from llm_gateway.events import Delta, Done, Event, Start, Usage
from llm_gateway.gateway import Gateway
from llm_gateway.identity import caller as auth
from llm_gateway.identity.caller import (
    ANONYMOUS,
    Caller,
)
from llm_gateway.pipeline import answer
from llm_gateway.request import Media, Message, ResponseFormat
from llm_gateway.router import Router
from llm_gateway.routes import Alias, Routes
from llm_gateway.safety import GuardrailUse
from llm_gateway.safety import Safety as Settings
from llm_gateway.stages.guardrail import Assessment
from llm_gateway.telemetry import _without_words
from support.chat_requests import HI, ROUTES, request, user
from support.clock import Clock
from support.scripted_provider import FAR, Scripted, alias, once, routing, said


class EventsProvider:
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


class SlowGuardrail:
    """A guardrail that lets everything pass, after two seconds."""

    async def assess(self, source: str, texts: Sequence[str], deadline: float) -> Assessment:
        await asyncio.sleep(2.0)
        return Assessment((), tuple(texts))


# Seconds until each target fails or answers, of which the last one answers -> waited_ms, first_token_ms.
TIMES: dict[str, tuple[list[float], float, float]] = {"alone": ([3.0], 0, 3000), "after another": ([1.5, 3.0], 1500, 3000)}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(("seconds", "waited", "first_token"), TIMES.values(), ids=TIMES)
async def test_the_times_of_an_answer_are_those_of_its_targets(
    clock: Clock, monkeypatch, stream: bool, seconds: list[float], waited: float, first_token: float
) -> None:
    """The guardrail takes its time before the call and before the first window leaves, and is in neither."""
    now = asyncio.get_running_loop().time
    times = SimpleNamespace(perf_counter=now, monotonic_ns=time.monotonic_ns, time=time.time)
    monkeypatch.setattr("llm_gateway.telemetry.time", times)
    targets = {f"t{number}": each for number, each in enumerate(seconds)}

    class Provider(Scripted):
        async def answer(self, call: ModelCall) -> AsyncGenerator[list[Event], None]:
            await asyncio.sleep(targets[call.target.name])
            if call.target.name != [*targets][-1]:
                raise errors.content_filter()
            async for batch in super().answer(call):
                yield batch

    safety = Safety(Settings(guardrail=GuardrailUse()), SlowGuardrail())  # pyright: ignore[reportArgumentType]
    gateway = Gateway(Routes((alias(*targets),)), routing(Provider()), safety=safety)
    batches = answer(gateway, said(stream=stream), ANONYMOUS, "r", now() + FAR)
    start, *_ = [event async for batch in batches for event in batch]
    assert isinstance(start, Start) and start.attempts == len(seconds)
    assert (start.waited_ms, start.first_token_ms) == (pytest.approx(waited, abs=1), pytest.approx(first_token, abs=1))


SECRET_PROMPT, SECRET_ANSWER, SECRET_KEY = "my-secret-prompt", "my-secret-answer", "sk-my-secret-key"


async def run(provider: Any, name: str = "one", text: str = SECRET_PROMPT) -> list[Event]:
    gateway = gateway_of(provider)
    said = request(messages=(user(text),), model=name, system=SECRET_PROMPT)
    deadline = asyncio.get_running_loop().time() + 10
    batches = answer(gateway, said, Caller("acme", "ci"), "request-1", deadline)
    return [event async for batch in batches for event in batch]


async def test_the_record_of_an_answer(records) -> None:
    provider = EventsProvider(Delta(SECRET_ANSWER), Usage(3, 2), Done("end_turn"))
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
        "target": "mock/m",
        "gen_ai.usage.input_tokens": 3,
        "gen_ai.usage.output_tokens": 2,
        "gen_ai.response.finish_reasons": ["end_turn"],
    }


# provider, model -> the error's code, the record's level
FAILED: dict[str, tuple[EventsProvider, str, str, str]] = {
    "an unknown model": (EventsProvider(), "three", "model_not_found", "WARN"),
    "no event at all": (EventsProvider(), "one", "stream_interrupted", "ERROR"),
    "no done": (EventsProvider(Delta(SECRET_ANSWER), Usage(3, 2)), "one", "stream_interrupted", "ERROR"),
    "an error of its own": (EventsProvider(Delta(SECRET_ANSWER), RuntimeError("broken")), "one", "internal_error", "ERROR"),
    "a typed error": (EventsProvider(errors.upstream_throttled()), "one", "upstream_throttled", "WARN"),
}


@pytest.mark.parametrize(("provider", "name", "code", "level"), FAILED.values(), ids=FAILED)
async def test_the_record_of_a_failure(records, provider: EventsProvider, name: str, code: str, level: str) -> None:
    with pytest.raises(GatewayError) as failed:
        await run(provider, name)
    (record,) = records
    assert (failed.value.code, record["error.type"], record["level"]) == (code, code, level)
    assert SECRET_PROMPT not in repr(record) and SECRET_ANSWER not in repr(record)


async def test_an_answer_that_nobody_reads_on_is_recorded_and_closed(records) -> None:
    provider = EventsProvider(Delta("one"), Delta("two"), Usage(3, 2), Done("end_turn"))
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
    headers = service.context({"tenant": "acme", "key": "ci", "models": '"all"'}) | {"authorization": f"Bearer {SECRET_KEY}"}
    bodies = [
        {"message": SECRET_PROMPT, "system_prompt": SECRET_PROMPT},
        {"message": SECRET_PROMPT, "history": [{"role": "assistant", "content": SECRET_ANSWER}], "top_p": 0.5, "model": "bare"},
        {"message": SECRET_PROMPT, "temperature": 1.5},
        {"message": SECRET_PROMPT, "model": "bare", "system_prompt": SECRET_ANSWER},
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


@pytest.mark.parametrize("text", [SECRET_PROMPT, "x" + SECRET_PROMPT])
async def test_of_a_callers_words_a_failure_puts_few_into_the_log(records, text: str) -> None:
    """Providers repeat them in their errors, and exceptions in their texts."""
    long = "".join(f"{text} {n}, " for n in range(100))
    told = f"AccessDenied, with what nobody wrote: {long[5:]}"
    for failure in (errors.upstream_rejected(reason="status 400", detail=told), errors.upstream_failed(detail=told)):
        with pytest.raises(GatewayError):
            await run(EventsProvider(failure), "one", long)
    with pytest.raises(GatewayError):
        await run(EventsProvider(KeyError(long)), "one", long)
    assert len(records) == 3 and "AccessDenied, with what nobody" in records[0]["error.detail"]
    assert "test_pipeline.py" in records[2]["exception.stacktrace"]
    for record in records:
        written = json.dumps(record, ensure_ascii=False)
        assert not [at for at in range(len(long) - 65) if long[at : at + 65] in written]


# The record of the attempts.


def events_of(provider: Scripted, to: Alias) -> AsyncGenerator[list[Event], None]:
    deadline = asyncio.get_running_loop().time() + FAR
    return answer(Gateway(Routes((to,)), routing(provider)), said(), ANONYMOUS, "request-1", deadline)


async def test_the_record_names_the_attempts_that_failed(clock, records) -> None:
    provider = Scripted(a=errors.upstream_throttled(), b=[errors.upstream_unavailable(), 0.0])
    events = [event async for batch in events_of(provider, alias("a", "b", retries=1)) for event in batch]
    assert provider.asked == ["a", "b", "a", "b"]
    (record,) = records
    assert record["failed_attempts"] == ["a: upstream_throttled", "b: upstream_unavailable", "a: upstream_throttled"]
    assert (record["gen_ai.response.model"], record["level"], "error.type" in record) == ("b", "INFO", False)
    start = events[0]
    assert isinstance(start, Start) and (start.target, start.attempts) == ("b", 4)


async def test_the_record_of_a_request_that_nobody_answers(records) -> None:
    provider = Scripted(a=errors.upstream_throttled(detail="slow down"), b=errors.upstream_failed(detail="it broke"))
    with pytest.raises(GatewayError):
        async for _ in events_of(provider, alias("a", "b")):
            pass
    (record,) = records
    assert record["failed_attempts"] == ["a: upstream_throttled", "b: upstream_failed"]
    assert (record["error.type"], record["level"]) == ("all_targets_failed", "ERROR")
    assert record["error.detail"] == "a: slow down; b: it broke"


async def test_the_record_of_answers_of_another_form(records) -> None:
    """They are paid for, and what they say is the caller's and the model's."""

    def refused() -> GatewayError:
        error = errors.invalid_output(reason="patient-4711 is not allowed")
        error.usage = Usage(10, 7)
        return error

    provider = Scripted(a=refused(), b=refused(), c=refused())
    with pytest.raises(GatewayError, match="patient-4711"):
        async for _ in events_of(provider, alias("a", "b", "c", retries=2)):
            pass
    (record,) = records
    assert provider.asked == ["a", "b"] and record["failed_attempts"] == ["a: invalid_output", "b: invalid_output"]
    assert (record["failed_attempts.input_tokens"], record["failed_attempts.output_tokens"]) == (20, 14)
    provider = Scripted(a=refused(), b=errors.upstream_timeout())
    with pytest.raises(GatewayError, match="no target"):
        async for _ in events_of(provider, alias("a", "b", retries=0)):
            pass
    assert "patient" not in json.dumps(records)


def test_of_images_and_schemas_a_failure_puts_few_words_into_the_log() -> None:
    url = "https://bucket.s3.amazonaws.com/patient-4711.png?X-Amz-Signature=" + "5EC4E7" * 20
    name = "a_property_whose_name_is_long_enough_to_tell_something_about_a_patient" * 2
    asked = msgspec.structs.replace(
        said(),
        messages=(Message("user", parts=(Media("image", url=url),)),),
        response_format=ResponseFormat("json_schema", "a", "", {"properties": {name: {}}}),
        hints={"metadata": {"note": "n" * 200}},
    )
    for words in (url, name, "n" * 200):
        assert len(_without_words(f"Unable to take {words}: 403", asked)) < 90


async def test_an_answer_at_once_has_no_failed_attempts(records) -> None:
    async for _ in events_of(Scripted(), alias("a", "b")):
        pass
    assert "failed_attempts" not in records[0]


async def test_a_target_that_fails_after_its_first_token_is_asked_last(clock) -> None:
    class BreaksOff(Scripted):
        async def answer(self, call: ModelCall) -> AsyncGenerator[list[Event], None]:
            yield [Delta(call.target.name)]
            if call.target.name == "a":
                raise errors.stream_interrupted()
            yield [Usage(3, 2), Done("end_turn")]

    routes, to = routing(BreaksOff()), alias("a", "b")
    gateway, deadline = Gateway(Routes((to,)), routes), clock.now() + FAR
    with pytest.raises(GatewayError, match="broke off"):
        async for _ in answer(gateway, said(), ANONYMOUS, "request-1", deadline):
            pass
    assert await once(routes, to) == "b"


def test_the_module_under_test_is_the_checkouts() -> None:
    assert Path(auth.__file__).parents[2].name == "lambda_src"
