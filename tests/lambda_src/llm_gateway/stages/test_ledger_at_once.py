"""500 calls at once on a budget for 100: exactly 100 pass, and the ledger has what was spent.

An answer ends when every call has been decided, so that all that pass run at once.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from typing import Any

import pytest

from llm_gateway import errors
from llm_gateway.call import ModelCall
from llm_gateway.errors import GatewayError
from llm_gateway.events import Delta, Done, Event, Usage
from llm_gateway.gateway import Gateway
from llm_gateway.identity.caller import Caller
from llm_gateway.limits import CallerLimits, Limit, Limits
from llm_gateway.pipeline import answer
from llm_gateway.request import Sampling
from llm_gateway.router import Router
from llm_gateway.routes import Alias, Price, Routes
from llm_gateway.stages.ledger import Ledger
from support.clock import Now
from support.ledger_table import TABLE, Client, Table
from support.scripted_provider import FAR, alias, said, target

pytestmark = pytest.mark.timeout(120)

CALLS, FIT = 500, 100
CALLER = Caller("acme", "ci")
PRICE, DEAR = Price(1_000_000, 5_000_000, 0, 0, 0), Price(2_000_000, 10_000_000, 0, 0, 0)
# "Hi" has 2 bytes, a message and a request have 16 and 64 tokens more at most; an answer has up to 9 tokens.
RESERVED, SPENT = 2 + 16 + 64 + 9 * 5, 3 + 2 * 5


class Provider:
    """A provider whose targets throttle where their names say so. `spent` is what it charges, in micro-dollars."""

    def __init__(self) -> None:
        self.spent = 0
        self.may_end = asyncio.Event()
        self.begun = 0

    async def answer(self, call: ModelCall) -> AsyncGenerator[list[Event], None]:
        await asyncio.sleep(0)
        if call.target.name.startswith("throttled"):
            raise errors.upstream_throttled()
        price = call.target.price
        assert price is not None
        self.begun += 1
        yield [Delta("a")]
        await self.may_end.wait()
        self.spent += (3 * price.input + 2 * price.output) // 1_000_000
        yield [Usage(3, 2), Done("end_turn")]


class Api:
    """A gateway for one caller."""

    def __init__(self, limits: CallerLimits, to: Alias, now: Now, writes: Callable[[int], None]) -> None:
        self.table, self.provider = Table(), Provider()
        self._writes, self._count = writes, 0
        ledger = Ledger(Client(self.table, self._write), TABLE, limits, pytest.fail, clock=now)
        self._gateway = Gateway(Routes((to,)), Router({"p": self.provider}), ledger=ledger)

    async def _write(self) -> None:
        self._count += 1
        self._writes(self._count)
        await asyncio.sleep(0)

    async def _call(self, decided: Callable[[], None]) -> str:
        request = said("Hi", sampling=Sampling(max_tokens=9))
        batches = answer(self._gateway, request, CALLER, "r", asyncio.get_running_loop().time() + FAR)
        try:
            await anext(batches)
            decided()
            async for _ in batches:
                pass
        except GatewayError as error:
            decided()
            return error.code
        return "passed"

    async def call(self, number: int) -> Counter[str]:
        """Make so many calls at once, and return how often each ended how."""
        left = number

        def decided() -> None:
            nonlocal left
            left -= 1
            if not left:
                self.provider.may_end.set()

        return Counter(await asyncio.gather(*(self._call(decided) for _ in range(number))))


def limited(*counted: Limit, calls: int | None = None) -> CallerLimits:
    return CallerLimits(others=Limits(counted, calls))


def of_money(most: int) -> Limit:
    return Limit("micro_usd", "day", most)


ONE, FALLBACK = alias(target("a", price=PRICE)), alias(target("throttled", price=PRICE), target("a", price=PRICE))
# The limits -> the aliases' targets.
BUDGETS: dict[str, tuple[CallerLimits, Alias]] = {
    "money": (limited(of_money(FIT * RESERVED + RESERVED - 1)), ONE),
    "money, with a fallback on each": (limited(of_money(FIT * RESERVED)), FALLBACK),
}


@pytest.mark.parametrize(("limits", "to"), BUDGETS.values(), ids=BUDGETS)
async def test_exactly_as_many_pass_as_fit(moment: Now, limits: CallerLimits, to: Alias) -> None:
    api = Api(limits, to, moment, lambda _: None)
    assert await api.call(CALLS) == {"passed": FIT, "quota_exceeded": CALLS - FIT}
    assert api.provider.spent == FIT * SPENT
    counters = api.table.counters("caller", "acme", "ci")
    assert {name: counters[f"2027-01-15 {name}"] for name in ("requests", "tokens", "micro_usd")} == {
        "requests": FIT,
        "tokens": FIT * 5,
        "micro_usd": api.provider.spent,
    }


async def test_a_dearer_fallback_passes_no_budget(moment: Now) -> None:
    """What calls have reserved for the first target is in the way of each other's fallback, so fewer pass, or none. What is
    charged is what was spent."""
    to = alias(target("throttled", price=PRICE), target("a", price=DEAR))
    api = Api(limited(of_money(20 * 2 * RESERVED)), to, moment, lambda _: None)
    outcomes = await api.call(100)
    assert outcomes["passed"] <= 20 and sum(outcomes.values()) == 100
    assert set(outcomes) <= {"passed", "quota_exceeded"}
    assert (
        api.table.counters("caller", "acme", "ci")["2027-01-15 micro_usd"]
        == api.provider.spent
        == outcomes["passed"] * 2 * SPENT
    )


# A window -> the stamps of the one before its end, and of the one after it.
ROLLOVERS: dict[str, tuple[Any, tuple[str, str], Alias]] = {
    "a minute's": ("minute", ("2027-01-15T23:59", "2027-01-16T00:00"), FALLBACK),
    "a day's": ("day", ("2027-01-15", "2027-01-16"), ONE),
}


@pytest.mark.parametrize(("window", "windows", "to"), ROLLOVERS.values(), ids=ROLLOVERS)
async def test_each_window_has_a_budget_of_its_own(moment: Now, window: Any, windows: tuple[str, str], to: Alias) -> None:
    """The window ends in the middle of the calls; those of the old one end in the new one."""
    moment.seconds += 16 * 3600 - 20  # ten seconds before midnight

    def write(count: int) -> None:
        if count == CALLS // 2:
            moment.seconds += 20

    limits = limited(Limit("requests", window, FIT), Limit("micro_usd", window, FIT * RESERVED))
    api = Api(limits, to, moment, write)
    assert await api.call(CALLS) == {"passed": 2 * FIT, "quota_exceeded": CALLS - 2 * FIT}
    counters = api.table.counters("caller", "acme", "ci")
    assert [counters[f"{stamp} micro_usd"] for stamp in windows] == [FIT * SPENT] * 2
    assert [counters[f"{stamp} requests"] for stamp in windows] == [FIT] * 2
    assert api.provider.spent == 2 * FIT * SPENT
