"""The router's rules, each by itself: who is asked first, who follows, how long is waited, what is remembered of a failure.

No network and no waiting: targets answer by a script, chance has a seed, and the loop's time leaps.
"""

import asyncio
import math
import random
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from llm_gateway import errors, router, telemetry
from llm_gateway.call import ModelCall
from llm_gateway.errors import GatewayError, Problem
from llm_gateway.events import Delta, Done, Event, Start, Usage
from llm_gateway.identity.caller import ANONYMOUS
from llm_gateway.pipeline import Gateway, answer
from llm_gateway.request import ChatRequest, Message, Sampling, Tool
from llm_gateway.router import Attempt, Opened, Router
from llm_gateway.routes import Alias, Routes, Target
from wire.failures import Clock

pytestmark = pytest.mark.timeout(20)

FAR = 1000.0  # seconds until the deadline, where it does not matter
NEAR = 1e-3  # seconds: a time is one or another


@pytest.fixture
async def clock(monkeypatch) -> Any:
    """The time of the loop and of the router, which leaps."""
    loop = asyncio.get_running_loop()
    with Clock(loop).installed() as clock:
        monkeypatch.setattr(router, "time", SimpleNamespace(monotonic=loop.time))
        yield clock


@pytest.fixture(autouse=True)
def records(monkeypatch) -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = []
    monkeypatch.setattr(telemetry, "write_log", lambda fields: lines.append(dict(fields)))
    return lines


# Targets that answer by a script.

Reaction = GatewayError | float  # an error at once, or an answer after so many seconds


class Scripted:
    """A provider whose targets react as their lists say, the last entry for ever."""

    def __init__(self, **reactions: Sequence[Reaction] | Reaction) -> None:
        self.reactions = {name: list(r) if isinstance(r, Sequence) else [r] for name, r in reactions.items()}
        self.asked: list[str] = []
        self.times: list[float] = []
        self.calls: list[ModelCall] = []
        self.running = 0
        self.began = asyncio.Event()

    async def answer(self, call: ModelCall) -> AsyncGenerator[list[Event], None]:
        name = call.target.name
        self.asked.append(name)
        self.calls.append(call)
        loop = asyncio.get_running_loop()
        self.times.append(loop.time())
        reactions = self.reactions.get(name, [0.0])
        reaction = reactions.pop(0) if len(reactions) > 1 else reactions[0]
        self.running += 1
        self.began.set()
        try:
            if isinstance(reaction, GatewayError):
                raise reaction.with_traceback(None)
            if reaction == math.inf:
                await loop.create_future()
            if reaction:
                await asyncio.sleep(reaction)
            yield [Delta(name)]
            yield [Delta("!"), Usage(3, 2), Done("end_turn")]
        finally:
            self.running -= 1


def target(name: str, **more: Any) -> Target:
    values: dict[str, Any] = {"max_output_tokens": 4096, "context_tokens": 100_000, "accepts": ("max_tokens", "temperature")}
    return Target(name=name, provider="p", model=name, **{**values, **more})


def alias(*targets: Target | str, **more: Any) -> Alias:
    behind = tuple(target(each) if isinstance(each, str) else each for each in targets)
    return Alias(name="main", targets=behind, **{"retries": 0, **more})


def said(text: str = "Hi", **more: Any) -> ChatRequest:
    return ChatRequest(messages=(Message("user", text),), **{"stream": True, **more})


class Chance(random.Random):
    """Chance that always gives this."""

    def __init__(self, value: float) -> None:
        super().__init__(0)
        self.value = value

    def random(self) -> float:
        return self.value


def routing(provider: Scripted, chance: random.Random | None = None) -> Router:
    return Router({"p": provider}, chance or random.Random(7))


async def opened(
    routes: Router, to: Alias, request: ChatRequest | None = None, seconds: float = FAR, attempts: list[Attempt] | None = None
) -> Opened:
    deadline = asyncio.get_running_loop().time() + seconds
    return await routes.open(request or said(), to, deadline, [] if attempts is None else attempts)


async def once(routes: Router, to: Alias, request: ChatRequest | None = None, seconds: float = FAR) -> str:
    """The target that answers, or the code of the error that the caller gets."""
    try:
        found = await opened(routes, to, request, seconds)
    except GatewayError as error:
        return error.code
    assert found.first == [Delta(found.target.name)]
    await found.rest.aclose()
    return found.target.name


def refused() -> GatewayError:
    """A failure after which the next target is asked and nothing is remembered."""
    return errors.content_filter()


# Who is asked first.


async def test_priority_is_the_order_of_the_targets() -> None:
    provider = Scripted(a=refused(), b=refused())
    routes = routing(provider)
    assert [await once(routes, alias("a", "b", "c")) for _ in range(2)] == ["c", "c"]
    assert provider.asked == ["a", "b", "c"] * 2


@pytest.mark.parametrize("weights", [(1, 1), (3, 1), (70, 20, 10), (1, 1, 1, 1), (99, 1)])
async def test_weights_are_shares(weights: tuple[int, ...]) -> None:
    draws = 2500
    names = "abcd"[: len(weights)]
    provider = Scripted(**dict.fromkeys(names, refused()))
    routes = routing(provider)
    to = alias(*(target(name, weight=weight) for name, weight in zip(names, weights, strict=True)), strategy="weight")
    for _ in range(draws):
        assert await once(routes, to) == "all_targets_failed"
    orders = [tuple(provider.asked[at : at + len(names)]) for at in range(0, len(provider.asked), len(names))]
    assert len(orders) == draws and all(sorted(order) == list(names) for order in orders)  # all of them follow
    firsts = Counter(order[0] for order in orders)
    for name, weight in zip(names, weights, strict=True):
        share = weight / sum(weights)
        assert abs(firsts[name] - draws * share) < 4 * math.sqrt(draws * share * (1 - share))
    if weights == (70, 20, 10):  # the second is drawn by what is left
        after_a = Counter(order[1] for order in orders if order[0] == "a")
        assert abs(after_a["b"] / after_a.total() - 2 / 3) < 0.05


async def test_a_seed_gives_the_same_draws() -> None:
    to = alias("a", "b", "c", strategy="weight")
    asked = []
    for _ in range(2):
        provider = Scripted()
        routes = routing(provider, random.Random(5))
        for _ in range(30):
            await once(routes, to)
        asked.append(provider.asked)
    assert asked[0] == asked[1] and len(set(asked[0])) == 3


FASTEST = alias("a", "b", "c", strategy="latency")


async def test_latency_measures_each_and_prefers_the_fastest(clock) -> None:
    provider = Scripted(a=2.0, b=0.5, c=1.0)
    routes = routing(provider)
    assert [await once(routes, FASTEST) for _ in range(6)] == ["a", "b", "c", "b", "b", "b"]


async def test_latency_is_an_average_that_follows(clock) -> None:
    provider = Scripted(a=1.0, b=[0.5, 0.5, 4.0, 0.5])
    routes = routing(provider)
    to = alias("a", "b", strategy="latency")
    # b at 0.5, then 0.5 + 0.3 * 3.5 = 1.55
    assert [await once(routes, to) for _ in range(6)] == ["a", "b", "b", "b", "a", "a"]


async def test_latency_is_forgotten(clock) -> None:
    provider = Scripted(a=2.0, b=0.5, c=1.0)
    routes = routing(provider)
    assert [await once(routes, FASTEST) for _ in range(4)] == ["a", "b", "c", "b"]
    clock.forward(router.LATENCY_LIFE - 10)
    assert await once(routes, FASTEST) == "b"
    clock.forward(11)
    assert [await once(routes, FASTEST) for _ in range(4)] == ["a", "c", "b", "b"]


async def test_what_was_measured_long_ago_counts_no_more(clock) -> None:
    """One slow hour does not make a target slow for the next."""
    provider = Scripted(a=[20.0, 0.5], b=1.0)
    routes = routing(provider)
    to = alias("a", "b", strategy="latency")
    assert [await once(routes, to) for _ in range(3)] == ["a", "b", "b"]
    clock.forward(router.LATENCY_LIFE)
    assert [await once(routes, to) for _ in range(4)] == ["a", "b", "a", "a"]


async def test_whole_and_streamed_answers_are_measured_apart(clock) -> None:
    provider = Scripted(a=[0.1, 9.0], b=[2.0, 1.0])
    routes = routing(provider)
    to = alias("a", "b", strategy="latency")
    streamed, whole = said(), said(stream=False)
    assert [await once(routes, to, request) for request in (streamed, streamed, whole, whole)] == ["a", "b", "a", "b"]
    assert [await once(routes, to, request) for request in (whole, streamed, whole)] == ["b", "a", "b"]


# the prompt's characters, the effort asked for -> the order, where s is small (100 tokens) and m, l are not
WORKLOADS: list[tuple[int, str | None, str]] = [
    (10, None, "sml"),
    (400, None, "sml"),
    (401, None, "mls"),
    (10, "none", "sml"),
    (10, "minimal", "sml"),
    (10, "low", "sml"),
    (10, "medium", "mls"),
    (10, "high", "mls"),
    (10, "xhigh", "mls"),
    (401, "low", "mls"),
]


@pytest.mark.parametrize(("characters", "effort", "order"), WORKLOADS)
@pytest.mark.parametrize("place", ["message", "system", "history"])
async def test_workload(characters: int, effort: str | None, order: str, place: str) -> None:
    accepts = ("max_tokens", "system", "reasoning_effort")
    targets = [target(name, accepts=accepts) for name in "ml"]
    targets.insert(1, target("s", accepts=accepts, short_prompt_tokens=100))
    provider = Scripted(s=refused(), m=refused(), l=refused())
    text = "x" * (characters - 1)
    messages = {
        "message": (Message("user", text + "y"),),
        "system": (Message("user", "y"),),
        "history": (Message("user", text), Message("assistant", "y")),
    }[place]
    request = ChatRequest(
        messages=messages, system=text if place == "system" else None, sampling=Sampling(reasoning_effort=effort)
    )
    await once(routing(provider), alias(*targets, strategy="workload"), request)
    assert "".join(provider.asked) == order


# What follows a failure.

# a failure -> is another target asked, is this one asked again, is it asked last from then on
FAILURES: dict[str, tuple[Callable[[], GatewayError], bool, bool, bool]] = {
    "throttled": (errors.upstream_throttled, True, True, True),
    "not ready": (lambda: errors.model_not_ready(retry_after=1), True, True, True),
    "unavailable": (errors.upstream_unavailable, True, True, True),
    "failed": (errors.upstream_failed, True, True, True),
    "interrupted": (errors.stream_interrupted, True, True, True),
    "timeout": (lambda: errors.upstream_timeout("late"), True, False, True),
    "misconfigured": (lambda: errors.upstream_misconfigured("wrong"), True, False, True),
    "too long": (lambda: errors.context_length_exceeded("long"), True, False, False),
    "refused": (refused, True, False, False),
    "rejected": (lambda: errors.upstream_rejected("no"), False, False, False),
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
    assert await once(routing(provider), to) == ("all_targets_failed" if other else code)
    assert provider.asked == ["a", "b"] * 3 if again else ["a", "b"] if other else ["a"]


def test_every_code_that_has_a_rule_is_in_the_table() -> None:
    followed = {code for code, policy in router.FAILURE_POLICY.items() if policy.next_target}
    assert {failure().code for failure, other, *_ in FAILURES.values() if other} == followed


async def test_only_those_that_may_recover_are_asked_again(clock) -> None:
    provider = Scripted(
        a=errors.upstream_failed(), b=errors.upstream_timeout("late"), c=refused(), d=errors.stream_interrupted()
    )
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
    provider = Scripted(a=errors.context_length_exceeded("too long"))
    targets = [target(name, context_tokens=context) for name, context in zip("abcd", contexts, strict=False)]
    assert await once(routing(provider), alias(*targets, retries=2)) == result
    assert "".join(provider.asked) == asked


async def test_one_that_is_too_small_is_not_waited_for(clock) -> None:
    provider = Scripted(a=errors.upstream_unavailable(), b=errors.context_length_exceeded("too long"))
    targets = target("a", context_tokens=8), target("b", context_tokens=16)
    began = clock.now()
    assert await once(routing(provider), alias(*targets, retries=2)) == "all_targets_failed"
    assert provider.asked == ["a", "b"] and clock.now() == began


# Cooling down.


async def test_a_target_that_fails_is_asked_last_for_twice_as_long_each_time(clock) -> None:
    provider = Scripted(a=errors.upstream_failed())
    routes = routing(provider)
    to = alias("a", "b")
    for cooldown in (5, 10, 20, 40, 60, 60):
        provider.asked.clear()
        assert await once(routes, to) == "b" and provider.asked == ["a", "b"]
        clock.forward(cooldown - NEAR)
        assert await once(routes, to) == "b" and provider.asked == ["a", "b", "b"]
        clock.forward(NEAR)


async def test_a_success_ends_it(clock) -> None:
    provider = Scripted(a=[errors.upstream_failed(), errors.upstream_failed(), 0.0, errors.upstream_failed(), 0.0])
    routes = routing(provider)
    to = alias("a", "b")
    answers = []
    for pause in (5, 10, 0, 5 - NEAR, NEAR):
        answers.append(await once(routes, to))
        clock.forward(pause)
    assert answers == ["b", "b", "a", "b", "b"] and await once(routes, to) == "a"


@pytest.mark.parametrize(("asked_for", "cooldown"), [(1.0, 5.0), (30.0, 30.0), (600.0, 600.0)])
async def test_the_longer_of_cooldown_and_retry_after_counts(clock, asked_for: float, cooldown: float) -> None:
    routes = routing(Scripted(a=[errors.upstream_throttled(retry_after=asked_for), 0.0]))
    to = alias("a", "b")
    assert await once(routes, to) == "b"
    clock.forward(cooldown - NEAR)
    assert await once(routes, to) == "b"
    clock.forward(NEAR)
    assert await once(routes, to) == "a"


async def test_one_that_cools_down_is_still_asked_where_the_others_fail(clock) -> None:
    provider = Scripted(a=[errors.upstream_failed(), 0.0], b=[0.0, refused()])
    routes = routing(provider)
    assert [await once(routes, alias("a", "b")) for _ in range(2)] == ["b", "a"]
    assert provider.asked == ["a", "b", "b", "a"]


async def test_one_alone_is_asked_although_it_cools_down() -> None:
    provider = Scripted(a=[errors.upstream_failed(), 0.0])
    routes = routing(provider)
    assert [await once(routes, alias("a")) for _ in range(2)] == ["upstream_failed", "a"]


@pytest.mark.parametrize("strategy", ["priority", "weight", "latency", "workload"])
async def test_it_is_asked_last_under_every_strategy_and_alias(strategy: Any) -> None:
    provider = Scripted(a=errors.upstream_failed())
    routes = routing(provider)
    assert await once(routes, alias("a")) == "upstream_failed"
    small = target("a", weight=1000, short_prompt_tokens=100)
    for _ in range(10):
        provider.asked.clear()
        assert await once(routes, alias(small, "b", "c", strategy=strategy)) in "bc" and provider.asked[0] != "a"


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
    provider.reactions["c"] = [errors.upstream_timeout("late")]
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
    provider = Scripted(a=errors.context_length_exceeded("too long"), b=50.0)
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


# Targets that do not take the request.

TOOL = Tool("t", "", {"type": "object"})
WARM = target("a", temperature_max=1.0)
TAKES: dict[str, tuple[tuple[Target, ...], ChatRequest, str]] = {
    "all do": ((WARM, target("b", temperature_max=2.0)), said(sampling=Sampling(temperature=0.5)), "a"),
    "too hot for the first": ((WARM, target("b", temperature_max=2.0)), said(sampling=Sampling(temperature=1.5)), "b"),
    "only the last knows tools": (
        (target("a"), target("b"), target("c", accepts=("max_tokens", "tools", "stream_tools"))),
        said(tools=(TOOL,)),
        "c",
    ),
    "too many tokens for the first": (
        (target("a", max_output_tokens=10), target("b")),
        said(sampling=Sampling(max_tokens=20)),
        "b",
    ),
    "no target of them": ((target("a", temperature_max=1.0), target("b", temperature_max=1.2)), said(), "a"),
}


@pytest.mark.parametrize(("targets", "request_", "expected"), TAKES.values(), ids=TAKES)
async def test_one_that_does_not_take_the_request_is_passed_over(targets: Any, request_: ChatRequest, expected: str) -> None:
    provider = Scripted()
    assert await once(routing(provider), alias(*targets), request_) == expected
    assert provider.asked == [expected]


async def test_where_none_takes_it_the_first_ones_reason_is_told() -> None:
    provider = Scripted()
    to = alias(WARM, target("b", accepts=("max_tokens",)))
    attempts: list[Attempt] = []
    with pytest.raises(GatewayError) as refused:
        await opened(routing(provider), to, said(sampling=Sampling(temperature=1.5)), attempts=attempts)
    assert (refused.value.status, refused.value.param) == (400, "temperature")
    assert refused.value.message == "temperature: main takes 0 to 1, not 1.5" and not provider.asked and not attempts


async def test_the_failure_of_the_only_one_that_takes_it_is_told_as_it_is() -> None:
    provider = Scripted(b=errors.upstream_throttled(retry_after=9))
    with pytest.raises(GatewayError) as failed:
        await opened(routing(provider), alias(WARM, target("b", temperature_max=2.0)), said(sampling=Sampling(temperature=1.5)))
    assert (failed.value.code, failed.value.retry_after) == ("upstream_throttled", 9)


async def test_each_target_is_sent_what_it_takes() -> None:
    provider = Scripted(a=refused())
    to = alias(target("a", accepts=("max_tokens",)), target("b", max_output_tokens=50))
    await once(routing(provider), to, said(defaults=Sampling(max_tokens=100, temperature=0.7)))
    sent = [(call.target.name, call.sampling.max_tokens, call.sampling.temperature) for call in provider.calls]
    assert sent == [("a", 100, None), ("b", 50, 0.7)]


async def test_tools_are_streamed_where_the_target_can() -> None:
    provider = Scripted(a=refused())
    accepts = ("max_tokens", "tools")
    to = alias(target("a", accepts=accepts), target("b", accepts=(*accepts, "stream_tools")))
    await once(routing(provider), to, said(tools=(TOOL,)))
    assert [call.stream for call in provider.calls] == [False, True]


# Callers that go away, and callers beside each other.


async def test_a_caller_that_goes_before_the_first_token_ends_the_call() -> None:
    provider = Scripted(a=math.inf)
    waiting = asyncio.ensure_future(opened(routing(provider), alias("a", "b")))
    await provider.began.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert provider.running == 0 and provider.asked == ["a"]


async def test_a_caller_that_goes_in_a_pause_is_not_served_further() -> None:
    provider = Scripted(a=errors.upstream_unavailable(retry_after=5))
    waiting = asyncio.ensure_future(opened(routing(provider), alias("a", retries=3)))
    await provider.began.wait()
    await asyncio.sleep(0)  # it has failed
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert provider.asked == ["a"] and provider.running == 0


async def test_closing_the_rest_ends_the_call() -> None:
    provider = Scripted()
    found = await opened(routing(provider), alias("a"))
    assert provider.running == 1
    await found.rest.aclose()
    assert provider.running == 0


async def test_that_a_caller_went_away_is_not_held_against_the_target() -> None:
    provider = Scripted(a=[math.inf, 0.0])
    routes = routing(provider)
    waiting = asyncio.ensure_future(opened(routes, alias("a", "b")))
    await provider.began.wait()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert await once(routes, alias("a", "b")) == "a"


async def test_requests_at_once_do_not_disturb_each_other(clock) -> None:
    """Ten callers, of which every second one's first target fails after a while: each has its own answer and its own record."""

    class ByCaller(Scripted):
        async def answer(self, call: ModelCall) -> AsyncGenerator[list[Event], None]:
            number = int(call.messages[0].text)
            await asyncio.sleep(number)
            if number % 2 and call.target.name == "a":
                raise errors.upstream_failed(detail=str(number))
            yield [Delta(f"{call.target.name}{number}")]
            await asyncio.sleep(number)
            yield [Usage(number, number), Done("end_turn")]

    routes = routing(ByCaller())

    async def call(number: int) -> tuple[list[Event], list[Attempt]]:
        attempts: list[Attempt] = []
        found = await opened(routes, alias("a", "b"), said(str(number)), attempts=attempts)
        return found.first + [event async for batch in found.rest for event in batch], attempts

    for number, (events, attempts) in enumerate(await asyncio.gather(*map(call, range(10)))):
        name = "b" if number % 2 else "a"
        assert events == [Delta(f"{name}{number}"), Usage(number, number), Done("end_turn")]
        assert [attempt.target.name for attempt in attempts] == (["a", "b"] if number % 2 else ["a"])
        assert [attempt.error.detail for attempt in attempts if attempt.error] == ([str(number)] if number % 2 else [])
        assert [attempt.seconds for attempt in attempts] == pytest.approx([number] * len(attempts), abs=NEAR)


# The record.


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


async def test_an_answer_at_once_has_no_failed_attempts(records) -> None:
    async for _ in events_of(Scripted(), alias("a", "b")):
        pass
    assert "failed_attempts" not in records[0]


def statuses() -> Iterator[Any]:
    """The failures of all targets -> status, type and Retry-After of the one error."""
    throttled, unavailable = errors.upstream_throttled(retry_after=9), errors.upstream_unavailable(retry_after=4)
    failed, late = errors.upstream_failed(), errors.upstream_timeout("late")
    yield [throttled, errors.upstream_throttled(retry_after=3)], (429, "rate_limit_error", 3)
    yield [throttled, unavailable], (503, "upstream_error", 4)
    yield [throttled, failed], (503, "upstream_error", 9)
    yield [failed, errors.upstream_misconfigured("x")], (502, "upstream_error", None)
    yield [failed, late], (502, "upstream_error", None)
    yield [late, late], (504, "upstream_error", None)
    yield [refused(), refused()], (400, "invalid_request_error", None)
    yield [refused(), late], (502, "upstream_error", None)


@pytest.mark.parametrize(("failures", "expected"), list(statuses()))
async def test_one_error_for_all(failures: list[GatewayError], expected: Any) -> None:
    names = "ab"
    provider = Scripted(**dict(zip(names, failures, strict=True)))
    with pytest.raises(GatewayError) as failed:
        await opened(routing(provider), alias(*names))
    error = failed.value
    assert ((error.status, error.type, error.retry_after), error.code) == (expected, "all_targets_failed")
