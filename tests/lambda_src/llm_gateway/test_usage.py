"""What a caller is told of its use: how much, what is left and until when, and nothing of any other caller."""

import asyncio
from typing import Any

import msgspec
import pytest

from llm_gateway.aws.dynamodb import DynamoDB, DynamoDBError, Item
from llm_gateway.errors import GatewayError
from llm_gateway.events import Usage
from llm_gateway.gateway import Gateway
from llm_gateway.http.errors import ConnectionCut
from llm_gateway.identity.caller import Caller
from llm_gateway.limits import CallerLimits, Limit, Limits
from llm_gateway.pipeline import answer
from llm_gateway.request import Sampling
from llm_gateway.router import Router
from llm_gateway.routes import Price, Routes
from llm_gateway.stages.ledger import Ledger
from llm_gateway.usage import usage_of
from support.clock import Now
from support.scripted_provider import FAR, Scripted, alias, said, target
from support.websocket_api import LEDGER

pytestmark = pytest.mark.timeout(60)

CALLER, OTHER = Caller("acme", "ci"), Caller("acme", "app")
PRICE = Price(1_000_000, 5_000_000, 100_000, 1_250_000, 2_000_000)
# A scripted answer has 3 + 2 tokens: 13 micro-dollars.
TOKENS, USD = 5, 13e-6
MINUTE_ENDS, DAY_ENDS, MONTH_ENDS = "2027-01-15T08:01:00Z", "2027-01-16T00:00:00Z", "2027-02-01T00:00:00Z"


def ledger(dynamodb: DynamoDB, now: Now, limits: CallerLimits) -> Ledger:
    return Ledger(dynamodb, LEDGER, limits, lambda _: None, clock=now)


async def call(of: Ledger, caller: Caller = CALLER) -> None:
    gateway = Gateway(Routes((alias(target("a", price=PRICE)),)), Router({"p": Scripted()}), ledger=of)
    batches = answer(gateway, said(sampling=Sampling(max_tokens=9)), caller, "r", asyncio.get_running_loop().time() + FAR)
    assert any(isinstance(event, Usage) for batch in [batch async for batch in batches] for event in batch)


async def told(of: Ledger, caller: Caller = CALLER) -> dict[str, Any]:
    return msgspec.json.decode(msgspec.json.encode(await usage_of(of, caller)))


async def test_a_caller_is_told_what_it_used_and_what_is_left(dynamodb: DynamoDB, moment: Now) -> None:
    limits = CallerLimits(
        keys={"ci": Limits((Limit("requests", "minute", 3), Limit("micro_usd", "month", 1_000_000)), 2)},
        others=Limits((Limit("tokens", "day", 100, "main"), Limit("tokens", "day", 100, "other"))),
        tenants={"acme": Limits((Limit("requests", "day", 9),), 7)},
    )
    of = ledger(dynamodb, moment, limits)
    for caller in (CALLER, CALLER, OTHER):
        await call(of, caller)
    used = {"requests": 2, "tokens": 2 * TOKENS, "usd": 2 * USD}
    tenant = {
        "name": "acme",
        "calls_in_flight": {"used": 0, "limit": 7, "remaining": 7},
        "limits": [
            {"measure": "requests", "window": "day", "limit": 9, "used": 3, "remaining": 6, "resets_at": DAY_ENDS},
        ],
    }
    assert await told(of) == {
        "at": "2027-01-15T08:00:10Z",
        "caller": {
            "name": "ci",
            "tenant": "acme",
            "day": {"since": "2027-01-15T00:00:00Z", "resets_at": DAY_ENDS, **used},
            "month": {"since": "2027-01-01T00:00:00Z", "resets_at": MONTH_ENDS, **used},
            "minute": {"since": "2027-01-15T08:00:00Z", "resets_at": MINUTE_ENDS, **used},
            "calls_in_flight": {"used": 0, "limit": 2, "remaining": 2},
            "limits": [
                {"measure": "requests", "window": "minute", "limit": 3, "used": 2, "remaining": 1, "resets_at": MINUTE_ENDS},
                {
                    **{"measure": "usd", "window": "month", "limit": 1.0, "used": 2 * USD, "remaining": 0.999974},
                    "resets_at": MONTH_ENDS,
                },
            ],
        },
        "tenant": tenant,
    }
    # Another one of its tenant: its own use, and the same rest of the tenant's.
    other = await told(of, OTHER)
    assert other["tenant"] == tenant and "minute" not in other["caller"]
    assert (other["caller"]["day"]["requests"], other["caller"]["calls_in_flight"]) == (1, {"used": 0})
    left = {"measure": "tokens", "window": "day", "limit": 100, "resets_at": DAY_ENDS}
    assert other["caller"]["limits"] == [
        {**left, "model": "main", "used": TOKENS, "remaining": 100 - TOKENS},
        {**left, "model": "other", "used": 0, "remaining": 100},
    ]


async def test_what_runs_is_in_it_until_it_ends_and_what_died_no_longer_runs(dynamodb: DynamoDB, moment: Now) -> None:
    of = ledger(dynamodb, moment, CallerLimits(others=Limits((Limit("tokens", "day", 100),), 1)))
    gateway = Gateway(Routes((alias("a"),)), Router({"p": Scripted()}), ledger=of)
    request = said(sampling=Sampling(max_tokens=9))
    batches = answer(gateway, request, CALLER, "r", asyncio.get_running_loop().time() + 300)
    await anext(batches)
    running = (await told(of))["caller"]
    assert running["calls_in_flight"] == {"used": 1, "limit": 1, "remaining": 0}
    assert running["limits"][0]["remaining"] == 90 and "usd" not in running["day"]
    moment.seconds += 361  # as if its function had been killed
    assert (await told(of))["caller"]["calls_in_flight"] == {"used": 0, "limit": 1, "remaining": 1}
    await batches.aclose()


async def test_a_new_window_begins_at_zero(dynamodb: DynamoDB, moment: Now) -> None:
    of = ledger(dynamodb, moment, CallerLimits(others=Limits((Limit("requests", "minute", 3),))))
    assert (await told(of))["caller"]["day"]["requests"] == 0  # before the first call
    counted: list[tuple[int, int, int]] = []
    for seconds in (0, 60, 86_400, 20 * 86_400):
        moment.seconds += seconds
        await call(of)
        caller = (await told(of))["caller"]
        counted.append((caller["minute"]["requests"], caller["day"]["requests"], caller["month"]["requests"]))
    assert counted == [(1, 1, 1), (1, 2, 2), (1, 1, 3), (1, 1, 1)]


async def test_more_may_be_used_than_the_limit_but_no_less_than_nothing_is_left(dynamodb: DynamoDB, moment: Now) -> None:
    """As where a limit was lowered."""
    await call(ledger(dynamodb, moment, CallerLimits(others=Limits((Limit("tokens", "day", 100),), 5))))
    lower = ledger(dynamodb, moment, CallerLimits(others=Limits((Limit("tokens", "day", TOKENS - 1),), 5)))
    (left,) = (await told(lower))["caller"]["limits"]
    assert (left["used"], left["limit"], left["remaining"]) == (TOKENS, TOKENS - 1, 0)


# The limits there are -> what the answer has.
WHOSE: dict[str, tuple[CallerLimits, set[str], bool]] = {
    "none of one's own": (CallerLimits({"x": Limits((), 1)}), {"name", "tenant", "limits"}, False),
    "the tenant's alone": (CallerLimits(tenants={"acme": Limits((), 1)}), {"name", "tenant", "limits"}, True),
    "calls in flight alone": (
        CallerLimits(others=Limits((), 1)),
        {"name", "tenant", "limits", "day", "month", "calls_in_flight"},
        False,
    ),
}


@pytest.mark.parametrize(("limits", "names", "of_tenant"), WHOSE.values(), ids=WHOSE)
async def test_what_is_not_counted_is_not_there(
    dynamodb: DynamoDB, moment: Now, limits: CallerLimits, names: set[str], of_tenant: bool
) -> None:
    of = ledger(dynamodb, moment, limits)
    await call(of)
    answered = await told(of)
    assert (set(answered["caller"]), answered["caller"]["limits"], "tenant" in answered) == (names, [], of_tenant)


class Reads(DynamoDB):
    """A table that is only read, and fails if it shall."""

    def __init__(self, table: DynamoDB, failure: Exception | None = None) -> None:
        self._table, self._failure = table, failure
        self.holders: list[str] = []

    async def get_item(self, table: str, key: Item, *, consistent: bool = False) -> Item | None:
        self.holders.append(key["holder"]["S"])
        assert consistent  # what a caller's last call has used is in it
        if self._failure is not None:
            raise self._failure
        return await self._table.get_item(table, key, consistent=consistent)


async def test_only_items_of_the_caller_with_limits_are_read(dynamodb: DynamoDB, moment: Now) -> None:
    table = Reads(dynamodb)
    one, both = Limits((), 1), CallerLimits(others=Limits((), 1), tenants={"acme": Limits((), 1)})
    session = Caller("1", "arn:aws:sts::1:assumed-role/r/one")
    for limits, caller in ((CallerLimits({"x": one}), CALLER), (both, CALLER), (both, Caller("other", "ci")), (both, session)):
        name = (await told(ledger(table, moment, limits), caller))["caller"]["name"]
    assert name == "arn:aws:sts::1:assumed-role/r"
    assert table.holders == [
        *('["caller","acme","ci"]', '["tenant","acme"]'),
        '["caller","other","ci"]',
        '["caller","1","arn:aws:sts::1:assumed-role/r"]',
    ]


FAILURES = {
    "throttled": DynamoDBError("ThrottlingException", "slow down", 400),
    "no table": DynamoDBError("ResourceNotFoundException", "no table", 400),
    "not allowed": DynamoDBError("AccessDeniedException", "no", 400),
    "down": ConnectionCut("cut"),
}


@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES)
async def test_without_the_table_nothing_is_told(dynamodb: DynamoDB, moment: Now, failure: Exception) -> None:
    of = ledger(Reads(dynamodb, failure), moment, CallerLimits(others=Limits((), 1), tenants={"acme": Limits((), 1)}))
    with pytest.raises(GatewayError) as failed:
        await told(of)
    error = failed.value
    assert (error.status, error.code, error.retry_after, error.passes) == (503, "limits_unavailable", 1, True)
