"""Whatever befalls calls that run at once, no budget is passed, and nothing that was spent is lost."""

import asyncio
import random
from collections.abc import AsyncGenerator
from typing import Any, NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from llm_gateway import errors
from llm_gateway.aws.dynamodb import DynamoDB, Item
from llm_gateway.call import ModelCall
from llm_gateway.errors import GatewayError
from llm_gateway.events import Delta, Done, Event, Usage
from llm_gateway.gateway import Gateway
from llm_gateway.http.errors import ConnectionCut
from llm_gateway.identity.caller import Caller
from llm_gateway.limits import CallerLimits, Limit, Limits
from llm_gateway.pipeline import answer
from llm_gateway.request import Sampling
from llm_gateway.router import Router
from llm_gateway.routes import Price, Routes
from llm_gateway.stages.ledger import Ledger
from support.ledger_table import TABLE, Table
from support.scripted_provider import FAR, alias, said, target

NOON = 1_800_000_000.0
CHEAP, DEAR = Price(1_000_000, 2_000_000, 1_000_000, 1_000_000, 1_000_000), Price(3_000_000, 9_000_000, *[3_000_000] * 3)
PRICES = {"cheap": CHEAP, "dear": DEAR}
# What a provider may do with a call; "late" has charged for what nobody gets.
Reaction = st.sampled_from(["answers", "answers", "throttles", "late", "breaks off"])
# What may befall a write: the connection is cut before it, or its answer is lost, or the client carries it out twice.
Fate = st.sampled_from(["done", "done", "done", "cut", "lost", "twice"])


class Plan(NamedTuple):
    """A call: what each target does, the tokens of the answer, how the writes go, and after which of them the function dies."""

    reactions: tuple[str, str]
    used: int
    fates: tuple[str, str, str, str]
    dies_after: int


Plans = st.lists(
    st.builds(Plan, st.tuples(Reaction, Reaction), st.integers(1, 9), st.tuples(Fate, Fate, Fate, Fate), st.integers(1, 9)),
    min_size=1,
    max_size=12,
)


class Client(DynamoDB):
    """The client of one call's function, whose writes go as planned. From its death on, none is carried out."""

    def __init__(self, table: Table, plan: Plan, chance: random.Random) -> None:
        self._table, self._plan, self._chance = table, plan, chance
        self._fates = list(plan.fates)
        self._left = plan.dies_after

    async def update_item(self, *args: Any, **more: Any) -> Item:
        more.pop("item_on_failure")
        for _ in range(self._chance.randrange(3)):
            await asyncio.sleep(0)  # others come in between
        self._left -= 1
        fate = self._fates.pop(0) if self._fates else "done"
        if self._left < 0 or fate == "cut":
            raise ConnectionCut("cut")
        if fate == "twice":
            await self._table.update_item(*args, **more)
        item = await self._table.update_item(*args, **more)
        if fate == "lost":
            raise ConnectionCut("lost")
        return item


class Provider:
    """A provider that charges for what it does. `spent` is that, in micro-dollars, with what it may still charge."""

    def __init__(self, chance: random.Random) -> None:
        self.spent = 0
        self._chance = chance
        self.plans: dict[str, Plan] = {}

    async def answer(self, call: ModelCall) -> AsyncGenerator[list[Event], None]:
        plan = self.plans[call.caller.key]
        price, reaction = PRICES[call.target.name], plan.reactions[call.target.name == "dear"]
        usage = Usage(1, plan.used)
        for _ in range(self._chance.randrange(3)):
            await asyncio.sleep(0)
        if reaction == "throttles":
            raise errors.upstream_throttled()
        self.spent += (price.input + usage.output_tokens * price.output) // 1_000_000
        if reaction == "late":
            raise errors.upstream_timeout()
        yield [Delta("a")]
        await asyncio.sleep(0)
        if reaction == "breaks off":
            raise errors.stream_interrupted()
        yield [usage, Done("end_turn")]


@given(Plans, st.integers(0, 1_500), st.randoms(use_true_random=False))
@settings(max_examples=50, deadline=None)
def test_no_budget_is_passed_and_nothing_is_lost(plans: list[Plan], budget: int, chance: random.Random) -> None:
    of_tenant = Limits((Limit("micro_usd", "day", max(1, budget)), Limit("micro_usd", "month", 10_000)))
    of = CallerLimits(others=Limits((Limit("tokens", "day", 10_000),), 3), tenants={"acme": of_tenant})
    table, provider = Table(), Provider(chance)

    async def call(number: int, plan: Plan) -> str:
        # Each call in a process of its own: only the table is shared. `caller` is there to tell the provider which plan it is.
        caller = Caller("acme", f"key-{number}")
        provider.plans[caller.key] = plan
        ledger = Ledger(Client(table, plan, chance), TABLE, of, lambda _: None, clock=lambda: NOON)
        routes = Routes((alias(*(target(name, price=price) for name, price in PRICES.items())),))
        gateway = Gateway(routes, Router({"p": provider}), ledger=ledger)
        batches = answer(
            gateway, said("Hi", sampling=Sampling(max_tokens=9)), caller, "r", asyncio.get_running_loop().time() + FAR
        )
        try:
            async for _ in batches:
                assert provider.spent <= max(1, budget)
        except GatewayError as error:
            return error.code
        return "answered"

    async def all_calls() -> list[str]:
        return await asyncio.gather(*(call(number, plan) for number, plan in enumerate(plans)))

    outcomes = asyncio.run(all_calls())
    charged = table.counters("tenant", "acme").get("2027-01-15 micro_usd", 0)
    # What the provider has charged is in the books, and never more than the budget.
    assert provider.spent <= charged <= max(1, budget)
    assert set(outcomes) <= {
        *("answered", "quota_exceeded", "limits_unavailable", "upstream_throttled", "upstream_timeout"),
        *("stream_interrupted", "all_targets_failed"),
    }
    undisturbed = all(set(plan.fates) == {"done"} and plan.dies_after > 4 for plan in plans)
    certain = all("late" not in plan.reactions and "breaks off" not in plan.reactions for plan in plans)
    if undisturbed and certain:
        assert charged == provider.spent
