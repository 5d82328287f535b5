"""What the router does after a failure: the next target, a pause and a retry, the time that a target has, the one error."""

import asyncio
import math
from collections.abc import AsyncGenerator, Callable, Iterator
from typing import Any

import pytest

from llm_gateway import errors, trace
from llm_gateway.call import ModelCall
from llm_gateway.errors import GatewayError, Problem
from llm_gateway.events import Delta, Done, Event, Usage
from llm_gateway.router import Attempt
from support.scripted_provider import NEAR, Chance, Scripted, alias, once, opened, refused, routing, said, target

# What follows a failure.

# a failure -> is another target asked, is this one asked again, is it asked last from then on
FAILURES: dict[str, tuple[Callable[[], GatewayError], bool, bool, bool]] = {
    "throttled": (errors.upstream_throttled, True, True, True),
    "not ready": (lambda: errors.model_not_ready(retry_after=1), True, True, True),
    "unavailable": (errors.upstream_unavailable, True, True, True),
    "failed": (errors.upstream_failed, True, True, True),
    "interrupted": (errors.stream_interrupted, True, True, True),
    "timeout": (errors.upstream_timeout, True, False, True),
    "misconfigured": (errors.upstream_misconfigured, True, False, True),
    "too long": (errors.context_length_exceeded, True, False, False),
    "refused": (refused, True, False, False),
    "of another form": (lambda: errors.invalid_output(reason="no"), True, True, False),
    "rejected": (lambda: errors.upstream_rejected(reason="no"), False, False, False),
    "invalid": (lambda: errors.invalid_request([Problem("x", "y")]), False, False, False),
    "internal": (errors.internal_error, False, False, False),
}


@pytest.mark.parametrize(("failure", "other", "again", "cools"), FAILURES.values(), ids=FAILURES)
async def test_after_a_failure(clock, failure: Any, other: bool, again: bool, cools: bool) -> None:
    code = failure().code
    # Another target, with a context in which more has place.
    provider = Scripted(a=[failure(), 0.0])
    routes = routing(provider)
    to = alias("a", target("b", context_tokens=200_000))
    assert await once(routes, to) == ("b" if other else code)
    assert provider.asked == (["a", "b"] if other else ["a"])
    assert await once(routes, to) == ("b" if cools else "a")
    # The same one.
    provider = Scripted(a=[failure(), 0.0])
    assert await once(routing(provider), alias("a", retries=1)) == ("a" if again else code)
    # Never more often than that.
    provider = Scripted(a=failure(), b=failure())
    to = alias("a", target("b", context_tokens=200_000), retries=2)
    shared = code in ("context_length_exceeded", "invalid_output")  # clients shorten the conversation when they read it
    assert await once(routing(provider), to) == ("all_targets_failed" if other and not shared else code)
    paid = code == "invalid_output"  # there was an answer, and nobody gets one that none can give again and again
    assert provider.asked == ["a", "b"] * (1 if paid else 3) if again else ["a", "b"] if other else ["a"]


def test_every_code_that_has_a_rule_is_in_the_table() -> None:
    followed = {kind.code for kind in errors.ERROR_KINDS if kind.policy.next_target}
    assert {failure().code for failure, other, *_ in FAILURES.values() if other} == followed


async def test_an_error_that_is_in_no_table_is_passed_on_with_its_own_policy() -> None:
    novel = errors.ErrorKind("novel", 418, errors.UPSTREAM, "a kind of its own")
    assert await once(routing(Scripted(a=novel())), alias("a", target("b"))) == "novel"
    follows = errors.ErrorKind("novel", 418, errors.UPSTREAM, "a kind", policy=errors.FailurePolicy(next_target=True))
    assert await once(routing(Scripted(a=follows())), alias("a", target("b"))) == "b"


async def test_only_those_that_may_recover_are_asked_again(clock) -> None:
    provider = Scripted(a=errors.upstream_failed(), b=errors.upstream_timeout(), c=refused(), d=errors.stream_interrupted())
    with pytest.raises(GatewayError) as failed:
        await opened(routing(provider), alias("a", "b", "c", "d", retries=1))
    assert provider.asked == ["a", "b", "c", "d", "a", "d"]
    assert failed.value.message == (
        "no target of 'main' could answer: a: upstream_failed; b: upstream_timeout; c: content_filter; d: stream_interrupted"
    )


async def test_a_provider_that_breaks_is_the_services_own_fault() -> None:
    class Broken(Scripted):
        async def answer(self, call: ModelCall) -> AsyncGenerator[list[Event], None]:
            raise RuntimeError("broken")
            yield []

    with pytest.raises(RuntimeError):
        await opened(routing(Broken()), alias("a", "b"))


async def test_a_provider_that_says_nothing_is_followed() -> None:
    class Silent(Scripted):
        async def answer(self, call: ModelCall) -> AsyncGenerator[list[Event], None]:
            if call.target.name == "b":
                yield [Delta("b")]

    assert await once(routing(Silent()), alias("a", "b")) == "b"


# The context.

# the targets' contexts (a says that it is too long) -> who is asked
CONTEXTS: list[tuple[tuple[int, ...], str, str]] = [
    ((8, 128), "ab", "b"),
    ((8, 8), "a", "context_length_exceeded"),
    ((128, 8), "a", "context_length_exceeded"),
    ((8, 4, 128, 8), "ac", "c"),
    ((8,), "a", "context_length_exceeded"),
]


@pytest.mark.parametrize(("contexts", "asked", "result"), CONTEXTS)
async def test_where_the_conversation_is_too_long(contexts: tuple[int, ...], asked: str, result: str) -> None:
    provider = Scripted(a=errors.context_length_exceeded())
    targets = [target(name, context_tokens=context) for name, context in zip("abcd", contexts, strict=False)]
    assert await once(routing(provider), alias(*targets, retries=2)) == result
    assert "".join(provider.asked) == asked


async def test_one_that_is_too_small_is_not_waited_for(clock) -> None:
    provider = Scripted(a=errors.upstream_unavailable(), b=errors.context_length_exceeded())
    targets = target("a", context_tokens=8), target("b", context_tokens=16)
    began = clock.now()
    assert await once(routing(provider), alias(*targets, retries=2)) == "all_targets_failed"
    assert provider.asked == ["a", "b"] and clock.now() == began


# Pauses.

# the n-th failures' Retry-After, what chance gives (0 to 1), the retries allowed -> the seconds between the calls
PAUSES: dict[str, tuple[list[float | None], float, int, list[float]]] = {
    "nothing is asked for": ([None], 1.0, 3, [0.25, 0.5, 1.0]),
    "by chance": ([None], 0.5, 3, [0.125, 0.25, 0.5]),
    "at once": ([None], 0.0, 3, [0, 0, 0]),
    "what is asked for is the least": ([2.0], 0.0, 2, [2, 2]),
    "and chance comes on top": ([2.0, 1.0, 3.0], 1.0, 3, [2.25, 1.5, 4.0]),
    "the longest": ([8.0], 0.0, 2, [8, 8]),
    "too long": ([8.1], 0.0, 2, []),
    "too long with chance": ([7.9], 1.0, 2, []),
    "too long the second time": ([1.0, 30.0], 0.0, 3, [1]),
    "no retries": ([1.0], 0.0, 0, []),
}


@pytest.mark.parametrize(("asked_for", "chance", "retries", "expected"), PAUSES.values(), ids=PAUSES)
async def test_pauses(clock, asked_for: Any, chance: float, retries: int, expected: list[float]) -> None:
    provider = Scripted(
        a=[errors.upstream_failed() if each is None else errors.upstream_unavailable(retry_after=each) for each in asked_for]
    )
    with pytest.raises(GatewayError) as failed:
        await opened(routing(provider, Chance(chance)), alias("a", retries=retries))
    pauses = [later - earlier for earlier, later in zip(provider.times, provider.times[1:], strict=False)]
    assert pauses == pytest.approx(expected, abs=NEAR)
    assert failed.value.retry_after == asked_for[min(len(provider.times), len(asked_for)) - 1]


# what a and b ask for -> who is asked when, with two retries and the most that chance adds
EACH: list[tuple[float, float, str, list[float]]] = [
    (60, 1, "abbb", [0, 0, 1.25, 2.75]),
    (2, 1, "abbab", [0, 0, 1.25, 2.5, 2.5]),
    (0, 1, "abaa", [0, 0, 0.25, 0.75]),
    (1, 1, "ababab", [0, 0, 1.25, 1.25, 2.75, 2.75]),
]


@pytest.mark.parametrize(("first", "second", "asked", "times"), EACH)
async def test_no_target_is_asked_sooner_than_it_has_asked_for(
    clock, first: float, second: float, asked: str, times: list[float]
) -> None:
    a, b = errors.upstream_throttled(retry_after=first), errors.upstream_unavailable(retry_after=second)
    provider = Scripted(a=a, b=b)
    with pytest.raises(GatewayError) as failed:
        await opened(routing(provider, Chance(1.0)), alias("a", "b", retries=2))
    assert "".join(provider.asked) == asked
    assert [each - provider.times[0] for each in provider.times] == pytest.approx(times, abs=NEAR)
    assert (failed.value.status, failed.value.code, failed.value.retry_after) == (503, "all_targets_failed", min(first, second))


async def test_the_time_that_others_took_counts(clock) -> None:
    """b has been waiting long enough when a is done with failing."""
    provider = Scripted(a=errors.upstream_unavailable(retry_after=5), b=math.inf)
    to = alias("a", "b", "c", retries=1)
    provider.reactions["c"] = [errors.upstream_timeout()]
    assert await once(routing(provider, Chance(0.0)), to) == "all_targets_failed"
    assert [each - provider.times[0] for each in provider.times] == pytest.approx([0, 0, 30, 30], abs=NEAR)


# seconds to the deadline, what a target asks for -> its calls
DEADLINES: list[tuple[float, float, int]] = [(10.0, 3.0, 4), (7.0, 3.0, 3), (3.0, 3.0, 1), (0.5, 1.0, 1), (3.5, 3.0, 2)]


@pytest.mark.parametrize(("seconds", "asked_for", "calls"), DEADLINES)
async def test_no_retry_begins_after_the_deadline(clock, seconds: float, asked_for: float, calls: int) -> None:
    provider = Scripted(a=errors.upstream_unavailable(retry_after=asked_for))
    began = asyncio.get_running_loop().time()
    assert await once(routing(provider, Chance(0.0)), alias("a", retries=9), seconds=seconds) == "upstream_unavailable"
    assert len(provider.asked) == calls
    assert asyncio.get_running_loop().time() - began < seconds


# How long a target may take to begin.

# streamed, seconds to the deadline, targets that never begin -> when each is asked, and when the caller hears of it
LIMITS: dict[str, tuple[bool, float, str, list[float]]] = {
    "one alone has all the time": (True, 100, "a", [0, 100]),
    "others wait for the first token": (True, 100, "abc", [0, 30, 60, 100]),
    "or for their share": (True, 60, "abc", [0, 20, 40, 60]),
    "a whole answer has its share": (False, 90, "abc", [0, 30, 60, 90]),
    "and no other limit": (False, 200, "ab", [0, 100, 200]),
}


@pytest.mark.parametrize(("stream", "seconds", "names", "expected"), LIMITS.values(), ids=LIMITS)
async def test_a_target_that_does_not_begin(clock, stream: bool, seconds: float, names: str, expected: list[float]) -> None:
    provider = Scripted(**dict.fromkeys(names, math.inf))
    began = asyncio.get_running_loop().time()
    result = await once(routing(provider), alias(*names, retries=2), said(stream=stream), seconds)
    assert result == ("upstream_timeout" if len(names) == 1 else "all_targets_failed")
    times = [*provider.times, asyncio.get_running_loop().time()]
    assert [each - began for each in times] == pytest.approx(expected, abs=NEAR)
    assert provider.running == 0


async def test_targets_that_are_too_small_are_none_to_hurry_for(clock) -> None:
    provider = Scripted(a=errors.context_length_exceeded(), b=50.0)
    small, large = {"context_tokens": 8}, {"context_tokens": 128}
    to = alias(target("a", **small), target("b", **large), target("c", **small))
    assert await once(routing(provider), to, seconds=100) == "b"


async def test_the_limit_is_for_the_first_token_alone(clock) -> None:
    class Slow(Scripted):
        async def answer(self, call: ModelCall) -> AsyncGenerator[list[Event], None]:
            for text in "xyz":
                yield [Delta(text)]
                await asyncio.sleep(45)
            yield [Usage(3, 2), Done("end_turn")]

    found = await opened(routing(Slow()), alias("a", "b"))
    assert found.first + [event async for batch in found.rest for event in batch] == [
        *(Delta(text) for text in "xyz"),
        Usage(3, 2),
        Done("end_turn"),
    ]


# Where every target fails.


def statuses() -> Iterator[Any]:
    """The failures of all targets -> status, type and Retry-After of the one error."""
    throttled, unavailable = errors.upstream_throttled(retry_after=9), errors.upstream_unavailable(retry_after=4)
    failed, late = errors.upstream_failed(), errors.upstream_timeout()
    yield [throttled, errors.upstream_throttled(retry_after=3)], (429, "rate_limit_error", 3)
    yield [throttled, unavailable], (503, "upstream_error", 4)
    yield [throttled, failed], (503, "upstream_error", 9)
    yield [failed, errors.upstream_misconfigured()], (502, "upstream_error", None)
    yield [failed, late], (502, "upstream_error", None)
    yield [late, late], (504, "upstream_error", None)
    yield [refused(), refused()], (400, "invalid_request_error", None)
    yield [refused(), late], (502, "upstream_error", None)
    yield [unavailable, errors.upstream_unavailable()], (503, "upstream_error", 1)
    yield [errors.context_length_exceeded(), refused()], (400, "invalid_request_error", None)
    yield [errors.context_length_exceeded(), failed], (502, "upstream_error", None)
    yield [errors.stream_interrupted(), errors.stream_interrupted()], (502, "upstream_error", None)


@pytest.mark.parametrize(("failures", "expected"), list(statuses()))
async def test_one_error_for_all(failures: list[GatewayError], expected: Any) -> None:
    provider = Scripted(**dict(zip("ab", failures, strict=True)))
    with pytest.raises(GatewayError) as failed:
        await opened(routing(provider), alias("a", target("b", context_tokens=200_000)))
    error = failed.value
    assert ((error.status, error.type, error.retry_after), error.code) == (expected, "all_targets_failed")


async def test_the_span_of_a_call_begins_with_its_attempt() -> None:
    """The span's end is its beginning and the attempt's seconds: by another beginning it would end after the next one began."""
    attempts: list[Attempt] = []
    trace.begin(of_request := trace.Trace("0" * 32))
    await opened(routing(Scripted(a=refused())), alias("a", "b"), attempts=attempts)
    assert [call.began for call in of_request.calls] == [of_request.at(int(attempt.began * 1e9)) for attempt in attempts]
    assert len(attempts) == 2
