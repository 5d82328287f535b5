"""Which target the router asks first: the strategies, the cooldown of one that failed, and those that do not take a request."""

import math
import random
from collections import Counter
from typing import Any

import pytest

from llm_gateway import errors, router
from llm_gateway.errors import GatewayError
from llm_gateway.request import ChatRequest, Message, Sampling, Tool
from llm_gateway.router import Attempt
from llm_gateway.routes import Target
from support.scripted_provider import NEAR, Scripted, alias, once, opened, refused, routing, said, target

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


async def test_a_target_that_fails_thousands_of_times_is_still_passed_over(clock) -> None:
    """A process may live for hours, in which one model is throttled each time."""
    provider = Scripted(a=errors.upstream_failed())
    routes = routing(provider)
    for _ in range(1_100):
        assert await once(routes, alias("a")) == "upstream_failed"
    assert await once(routes, alias("a", "b")) == "b"


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
        said(sampling=Sampling(max_tokens=20), exact=True),
        "b",
    ),
    "lowered to the first's": ((target("a", max_output_tokens=10), target("b")), said(sampling=Sampling(max_tokens=20)), "a"),
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
        await opened(routing(provider), to, said(sampling=Sampling(temperature=1.5), exact=True), attempts=attempts)
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
