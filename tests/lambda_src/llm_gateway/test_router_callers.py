"""Callers of the router that go away, and callers beside each other."""

import asyncio
import math
from collections.abc import AsyncGenerator

import pytest

from llm_gateway import errors
from llm_gateway.call import ModelCall
from llm_gateway.events import Delta, Done, Event, Usage
from llm_gateway.router import Attempt
from support.scripted_provider import NEAR, Scripted, alias, once, opened, routing, said

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
