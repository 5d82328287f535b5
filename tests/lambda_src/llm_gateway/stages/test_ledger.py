"""The ledger before a real table: no caller passes a limit, and what was not used is given back."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any, cast

import msgspec
import pytest

from llm_gateway import errors
from llm_gateway.aws.dynamodb import DynamoDB, DynamoDBError, Item
from llm_gateway.call import ModelCall, model_call
from llm_gateway.errors import GatewayError
from llm_gateway.events import Delta, Done, Event, Start, Usage
from llm_gateway.gateway import Gateway
from llm_gateway.http.errors import ConnectionCut
from llm_gateway.identity.caller import Caller
from llm_gateway.limits import CallerLimits, Limit, Limits, Measure, Window
from llm_gateway.pipeline import answer
from llm_gateway.request import Sampling
from llm_gateway.router import Router
from llm_gateway.routes import Alias, Price, Routes
from llm_gateway.stages.ledger import Ledger
from support.clock import Clock, Now
from support.ledger_table import Client, Table
from support.scripted_provider import FAR, Scripted, alias, said, target
from support.websocket_api import LEDGER

pytestmark = pytest.mark.timeout(60)

CALLER = Caller("acme", "ci")
# 2027-01-15T08:00:00Z
MINUTE, DAY, MONTH = "2027-01-15T08:00", "2027-01-15", "2027-01"
# A request of one token, and an answer of up to 9; the scripted answer has 3 + 2.
ASKED = Sampling(max_tokens=9)
RESERVED, USED = 10, 5


def limit(measure: Measure, window: Window, most: int, model: str = "") -> Limit:
    return Limit(measure, window, most, model)


def limits(*counted: Limit, calls: int | None = None) -> Limits:
    return Limits(counted, calls)


def of_all(*counted: Limit, calls: int | None = None) -> CallerLimits:
    return CallerLimits(others=limits(*counted, calls=calls))


class Api:
    """A gateway whose ledger has these limits, in front of a scripted provider."""

    def __init__(self, dynamodb: DynamoDB, now: Now, of: CallerLimits, provider: Any = None, to: Alias | None = None) -> None:
        self.dynamodb = dynamodb
        self.provider = provider or Scripted()
        self.warnings: list[str] = []
        ledger = Ledger(dynamodb, LEDGER, of, self.warnings.append, clock=now)
        self.gateway = Gateway(Routes((to or alias("a"),)), Router({"p": self.provider}), ledger=ledger)

    async def call(self, caller: Caller = CALLER, sampling: Sampling = ASKED, text: str = "Hi") -> list[Event]:
        batches = answer(self.gateway, said(text, sampling=sampling), caller, "r", asyncio.get_running_loop().time() + FAR)
        return [event async for batch in batches for event in batch]

    async def outcome(self, caller: Caller = CALLER, **more: Any) -> str:
        try:
            await self.call(caller, **more)
        except GatewayError as error:
            return error.code
        return "passed"

    async def item(self, *holder: str) -> dict[str, Any]:
        key = json.dumps(holder or ("caller", "acme", "ci"), separators=(",", ":"))
        found = await self.dynamodb.get_item(LEDGER, {"holder": {"S": key}}, consistent=True) or {}
        return {name: int(value["N"]) for name, value in found.items() if "N" in value} | (
            {"in_flight": found["in_flight"]["SS"]} if "in_flight" in found else {}
        )


async def test_a_call_is_settled_by_what_it_used(dynamodb: DynamoDB, moment: Now) -> None:
    api = Api(dynamodb, moment, of_all(limit("tokens", "minute", 100)))
    await api.call()
    item = await api.item()
    assert item.pop("expires") > moment.seconds
    assert item == {
        f"{MINUTE} requests": 1,
        f"{MINUTE} tokens": USED,
        f"{DAY} requests": 1,
        f"{DAY} tokens": USED,
        f"{MONTH} requests": 1,
        f"{MONTH} tokens": USED,
    }


# The calls that went before, the seconds that the call takes -> what is left when it begins, when it has ended, and its reset.
LEFT: dict[str, tuple[int, float, int, int, str]] = {
    "the first call": (0, 0, 100 - RESERVED, 100 - USED, "50s"),
    "after others": (2, 20, 100 - 2 * USED - RESERVED, 100 - 3 * USED, "30s"),
    "into the next minute": (1, 50, 100 - USED - RESERVED, 100, "1m0s"),
}


@pytest.mark.parametrize(("before", "seconds", "begun", "ended", "reset"), LEFT.values(), ids=LEFT)
async def test_an_answer_says_what_is_left_when_it_is_sent(
    dynamodb: DynamoDB, moment: Now, before: int, seconds: float, begun: int, ended: int, reset: str
) -> None:
    """A stream's head is sent with its first event, a whole answer's when the call is settled."""
    api = Api(dynamodb, moment, of_all(limit("tokens", "minute", 100)))
    for _ in range(before):
        await api.call()
    batches = answer(api.gateway, said("Hi", sampling=ASKED), CALLER, "r", asyncio.get_running_loop().time() + FAR)
    start = (await anext(batches))[0]
    assert isinstance(start, Start)
    assert start.rate_limits == {
        "x-ratelimit-limit-tokens": "100",
        "x-ratelimit-remaining-tokens": str(begun),
        "x-ratelimit-reset-tokens": "50s",
    }
    moment.seconds += seconds
    async for _ in batches:
        pass
    assert start.rate_limits == {
        "x-ratelimit-limit-tokens": "100",
        "x-ratelimit-remaining-tokens": str(ended),
        "x-ratelimit-reset-tokens": reset,
    }


async def test_what_cannot_be_settled_is_not_left(dynamodb: DynamoDB, moment: Now) -> None:
    api = Api(Failing(dynamodb, None, ConnectionCut("cut")), moment, of_all(limit("tokens", "minute", 100)))
    start = (await api.call())[0]
    assert isinstance(start, Start) and start.rate_limits["x-ratelimit-remaining-tokens"] == str(100 - RESERVED)


# limits -> how many of five calls pass, the limit that is named, its Retry-After
REFUSALS: dict[str, tuple[CallerLimits, int, str, int | None]] = {
    "requests a minute": (of_all(limit("requests", "minute", 2)), 2, "2 requests a minute", 50),
    "requests a day": (of_all(limit("requests", "day", 3)), 3, "3 requests a day", 16 * 3600 - 10),
    "requests a month": (
        of_all(limit("requests", "month", 1)),
        1,
        "1 request a month, and none",
        16 * 86_400 + 16 * 3600 - 10,
    ),
    "tokens a minute": (of_all(limit("tokens", "minute", 2 * USED + RESERVED)), 3, "20 tokens a minute", 50),
    "tokens a day": (of_all(limit("tokens", "day", RESERVED + USED - 1)), 1, "14 tokens a day", 16 * 3600 - 10),
    "the longest of two": (
        of_all(limit("requests", "minute", 2), limit("requests", "day", 2)),
        *(2, "2 requests a day", 16 * 3600 - 10),
    ),
    "of an alias": (of_all(limit("requests", "day", 1, "main")), 1, "1 request a day for 'main'", 16 * 3600 - 10),
    "of another alias": (of_all(limit("requests", "day", 1, "other")), 5, "", None),
    "more than there ever is": (of_all(limit("tokens", "minute", RESERVED - 1)), 0, "9 tokens a minute", None),
    "none in flight": (of_all(calls=1), 5, "", None),
    "of a key": (CallerLimits({"ci": limits(limit("requests", "day", 4))}), 4, "4 requests a day", 16 * 3600 - 10),
    "of another key": (CallerLimits({"other": limits(limit("requests", "day", 1))}), 5, "", None),
    "of the tenant": (
        CallerLimits(tenants={"acme": limits(limit("requests", "day", 2))}),
        2,
        "caller's tenant may use 2",
        None,
    ),
    "of another tenant": (CallerLimits(tenants={"other": limits(limit("requests", "day", 2))}), 5, "", None),
}


@pytest.mark.parametrize(("of", "passed", "named", "after"), REFUSALS.values(), ids=REFUSALS)
async def test_a_limit_refuses(
    dynamodb: DynamoDB, moment: Now, of: CallerLimits, passed: int, named: str, after: int | None
) -> None:
    api = Api(dynamodb, moment, of)
    for number in range(5):
        if number < passed:
            await api.call()
            continue
        with pytest.raises(GatewayError) as refused:
            await api.call()
        error = refused.value
        assert (error.status, error.code, error.type) == (429, "quota_exceeded", errors.RATE_LIMIT)
        assert named in error.message and (after is None or error.retry_after == after)
        assert error.passes is (error.retry_after == 50)  # SDKs wait for a minute, and no longer
    assert len(api.provider.calls) == passed


# limits, max_tokens -> why a call does not fit
WHY: dict[str, tuple[CallerLimits, Sampling, str]] = {
    "tokens of a default": (
        of_all(limit("tokens", "day", 9)),
        Sampling(),
        "may use 9 tokens a day, and less is left than the 4,097 tokens that this call reserves, for an answer of up to 4,096 "
        "tokens, because no max_tokens was given; shorten the request, or give it a lower max_tokens",
    ),
    "tokens that were asked for": (
        of_all(limit("tokens", "day", 9)),
        ASKED,
        "less is left than the 10 tokens that this call reserves, for an answer of up to 9 tokens; shorten",
    ),
    "what is left": (
        of_all(limit("tokens", "day", 14)),
        ASKED,
        "less is left than the 10 tokens that this call reserves, for an answer of up to 9 tokens; the next day begins in",
    ),
}


@pytest.mark.parametrize(("of", "sampling", "why"), WHY.values(), ids=WHY)
async def test_a_refusal_says_what_the_call_needs(
    dynamodb: DynamoDB, moment: Now, of: CallerLimits, sampling: Sampling, why: str
) -> None:
    api = Api(dynamodb, moment, of)
    with pytest.raises(GatewayError) as refused:
        for _ in range(2):
            await api.call(sampling=sampling)
    assert why in refused.value.message


async def test_a_refusal_of_one_call_in_flight(dynamodb: DynamoDB, moment: Now) -> None:
    api = Api(dynamodb, moment, of_all(calls=1), Waiting())
    (running,) = await _begun(api, 1)
    with pytest.raises(GatewayError) as refused:
        await api.call()
    assert "may use 1 call in flight, and none is left; try again when one ends" in refused.value.message
    api.provider.may_end.set()
    assert await running == "passed"


async def test_a_refusal_says_what_is_left(dynamodb: DynamoDB, moment: Now) -> None:
    api = Api(
        dynamodb, moment, of_all(limit("requests", "minute", 1), limit("tokens", "day", 1000), limit("tokens", "minute", 500))
    )
    await api.call()
    with pytest.raises(GatewayError) as refused:
        await api.call()
    assert dict(refused.value.headers()) == {
        "retry-after": "50",
        "x-ratelimit-limit-requests": "1",
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": "50s",
        "x-ratelimit-limit-tokens": "500",
        "x-ratelimit-remaining-tokens": "495",
        "x-ratelimit-reset-tokens": "50s",
    }


async def test_of_many_calls_at_once_as_many_pass_as_fit(dynamodb: DynamoDB, moment: Now) -> None:
    api = Api(dynamodb, moment, of_all(limit("requests", "day", 20)))
    outcomes = await asyncio.gather(*(api.outcome() for _ in range(80)))
    assert sorted(outcomes) == ["passed"] * 20 + ["quota_exceeded"] * 60
    assert (await api.item())[f"{DAY} requests"] == 20


class Waiting(Scripted):
    """A provider whose answers begin at once and end when they may."""

    def __init__(self) -> None:
        super().__init__()
        self.may_end = asyncio.Event()
        self.known: asyncio.Queue[None] = asyncio.Queue()

    async def answer(self, call: Any) -> Any:
        self.calls.append(call)
        self.known.put_nowait(None)
        yield [Delta("a")]
        await self.may_end.wait()
        yield [Usage(3, 2), Done("end_turn")]


async def _begun(api: Api, count: int = 1) -> list["asyncio.Task[str]"]:
    """Begin calls, and return them when each runs or is refused."""
    tasks = [asyncio.create_task(api.outcome()) for _ in range(count)]
    for task in tasks:
        task.add_done_callback(lambda _: api.provider.known.put_nowait(None))
    for _ in tasks:
        await api.provider.known.get()
    return tasks


async def test_what_runs_has_reserved_the_most_that_it_may_use(dynamodb: DynamoDB, moment: Now) -> None:
    api = Api(dynamodb, moment, of_all(limit("tokens", "day", 3 * RESERVED - 1)), Waiting())
    running = await _begun(api, 3)
    assert sum(task.done() for task in running) == 1 and (await api.item())[f"{DAY} tokens"] == 2 * RESERVED
    api.provider.may_end.set()
    assert sorted(await asyncio.gather(*running)) == ["passed", "passed", "quota_exceeded"]
    assert (await api.item())[f"{DAY} tokens"] == 2 * USED
    assert await api.outcome() == "passed"


async def test_calls_in_flight(dynamodb: DynamoDB, moment: Now) -> None:
    api = Api(dynamodb, moment, of_all(calls=2), Waiting())
    running = await _begun(api, 2)
    with pytest.raises(GatewayError) as refused:
        await api.call()
    assert "2 calls in flight, and none is left" in refused.value.message and refused.value.retry_after == 1
    assert (await api.item())[f"{DAY} requests"] == 2
    api.provider.may_end.set()
    assert await asyncio.gather(*running, api.outcome()) in (["passed"] * 3, ["passed", "passed", "quota_exceeded"])
    assert "in_flight" not in await api.item() and await api.outcome() == "passed"


async def test_the_call_of_a_function_that_died_does_not_count_for_ever(dynamodb: DynamoDB, moment: Now) -> None:
    """It stays charged, and its place is free when its function is over in any case."""
    api = Api(dynamodb, moment, of_all(calls=1))
    deadline = asyncio.get_running_loop().time() + 300
    assert api.gateway.ledger is not None
    died = api.gateway.ledger.reservation(CALLER, "main", [], deadline)
    assert died is not None
    await died.admit(_call_of(api))
    moment.seconds += 355
    assert await api.outcome() == "quota_exceeded"
    moment.seconds += 10
    assert await api.outcome() == "passed"
    item = await api.item()
    assert (item[f"{DAY} requests"], item[f"{DAY} tokens"]) == (2, RESERVED + USED) and "in_flight" not in item


def _call_of(api: Api) -> ModelCall:
    to = api.gateway.routes.aliases[0]
    return model_call(said(sampling=ASKED), to, to.targets[0], 0.0)


async def test_windows_begin_anew(dynamodb: DynamoDB, moment: Now) -> None:
    api = Api(dynamodb, moment, of_all(limit("requests", "minute", 1), limit("requests", "day", 3)))
    outcomes = list[str]()
    for seconds in (0, 10, 45, 60, 60, 86_400):
        moment.seconds += seconds
        outcomes.append(await api.outcome())
    assert outcomes == ["passed", "quota_exceeded", "passed", "passed", "quota_exceeded", "passed"]


async def test_windows_that_are_over_are_deleted(dynamodb: DynamoDB, moment: Now) -> None:
    api = Api(dynamodb, moment, of_all(limit("tokens", "minute", 1000), limit("requests", "day", 9, "main")))
    await api.call()
    moment.seconds += 60
    await api.call()
    assert f"{MINUTE} tokens" in await api.item()  # a function whose clock is late may still use it
    moment.seconds += 86_400
    await api.call()
    item = await api.item()
    assert {name.partition(" ")[0] for name in item} == {"2027-01-16T08:01", "2027-01-16", DAY, MONTH, "expires"}
    moment.seconds += 60 * 86_400
    await api.call()
    item = await api.item()
    assert {name.partition(" ")[0] for name in item} == {"2027-03-17T08:01", "2027-03-17", "2027-03", "expires"}


async def test_a_call_that_ends_after_midnight_is_settled_in_its_day(dynamodb: DynamoDB, moment: Now) -> None:
    api = Api(dynamodb, moment, of_all(limit("tokens", "minute", 100)), Waiting())
    moment.seconds += 16 * 3600 - 20
    running = await _begun(api)
    moment.seconds += 200
    api.provider.may_end.set()
    await running[0]
    item = await api.item()
    assert (item[f"{DAY} tokens"], item[f"{MONTH} tokens"]) == (USED, USED)
    assert not any(name.startswith("2027-01-16") for name in item)


async def test_tenants_have_totals_of_all_their_keys(dynamodb: DynamoDB, moment: Now) -> None:
    of = CallerLimits(
        keys={"ci": limits(limit("requests", "day", 2))}, tenants={"acme": limits(limit("requests", "day", 3), calls=9)}
    )
    api = Api(dynamodb, moment, of)
    ci, app, other = CALLER, Caller("acme", "app"), Caller("other", "app")
    outcomes = [await api.outcome(caller) for caller in (ci, ci, ci, app, app, other)]
    assert outcomes == ["passed", "passed", "quota_exceeded", "passed", "quota_exceeded", "passed"]
    tenant, key = await api.item("tenant", "acme"), await api.item()
    # Where one of them refuses, the other gets back what it has counted.
    assert (tenant[f"{DAY} requests"], key[f"{DAY} requests"]) == (3, 2)
    assert tenant[f"{DAY} tokens"] == 3 * USED and "in_flight" not in tenant | key


# A provider's reactions -> the tokens that are charged, of 1 + 9 reserved at each target.
FAILURES: dict[str, tuple[Any, int]] = {
    "refused": (errors.upstream_throttled(), 0),
    "not accepted": (errors.upstream_rejected(reason="no"), 0),
    "maybe answered": (errors.upstream_timeout(), RESERVED),
    "answered in vain": (errors.invalid_output(reason="no"), RESERVED),
}


@pytest.mark.parametrize(("failure", "charged"), FAILURES.values(), ids=FAILURES)
async def test_a_failed_call_is_charged_what_it_may_have_used(
    dynamodb: DynamoDB, moment: Now, failure: GatewayError, charged: int
) -> None:
    for reactions, more in (({"a": failure}, 0), ({"a": failure, "b": 0.0}, USED if failure.policy.next_target else 0)):
        api = Api(dynamodb, moment, of_all(limit("tokens", "day", 10_000)), Scripted(**reactions), alias(*reactions))
        name = f"of {len(reactions)} targets"
        await api.outcome(Caller("acme", name))
        item = await api.item("caller", "acme", name)
        assert (item[f"{DAY} requests"], item[f"{DAY} tokens"]) == (1, charged + more) and "in_flight" not in item


async def test_an_answer_whose_usage_is_known_is_charged_that_though_it_was_refused(dynamodb: DynamoDB, moment: Now) -> None:
    failure = errors.invalid_output(reason="no")
    failure.usage = Usage(2, 1)
    api = Api(dynamodb, moment, of_all(limit("tokens", "day", 10_000)), Scripted(a=failure, b=0.0), alias("a", "b"))
    await api.call()
    assert (await api.item())[f"{DAY} tokens"] == 3 + USED


async def test_an_answer_that_nobody_reads_on_stays_charged(dynamodb: DynamoDB, moment: Now) -> None:
    api = Api(dynamodb, moment, of_all(limit("tokens", "day", 10_000)))
    batches = answer(api.gateway, said(sampling=ASKED), CALLER, "r", asyncio.get_running_loop().time() + FAR)
    await anext(batches)
    await batches.aclose()
    item = await api.item()
    assert item[f"{DAY} tokens"] == RESERVED and "in_flight" not in item


async def test_a_request_that_is_wrong_counts_for_nothing(dynamodb: DynamoDB, moment: Now) -> None:
    api = Api(dynamodb, moment, of_all(limit("requests", "day", 10_000)))
    assert await api.outcome(sampling=Sampling(temperature=1.5)) == "invalid_value"
    assert await api.item() == {}


# Money.

PRICE = Price(input=1_000_000, output=5_000_000, cache_read=100_000, cache_write=1_250_000, cache_write_hour=2_000_000)


class Answering(Scripted):
    def __init__(self, *usages: Usage) -> None:
        super().__init__()
        self.usages = list(usages)

    async def answer(self, call: Any) -> Any:
        self.calls.append(call)
        yield [self.usages.pop(0), Done("end_turn")]


async def test_money_is_counted_by_the_prices_of_the_target(dynamodb: DynamoDB, moment: Now) -> None:
    usage = Usage(100, 10, cached_tokens=40, cache_write_tokens=20)
    of = of_all(limit("micro_usd", "month", 1_000_000))
    api = Api(dynamodb, moment, of, Answering(usage), alias(target("a", price=PRICE)))
    await api.call()
    item = await api.item()
    # 40 plain, 40 read, 20 written, 10 out
    assert item[f"{MONTH} micro_usd"] == 40 + 4 + 25 + 50 and item[f"{MONTH} tokens"] == 110


async def test_a_dearer_target_has_to_fit_in(dynamodb: DynamoDB, moment: Now) -> None:
    """The first target reserves its own price; a fallback does not escape the budget."""
    dear = msgspec.structs.replace(PRICE, output=500_000_000)
    of = of_all(limit("micro_usd", "day", 1_000))
    to = alias(target("a", price=PRICE), target("b", price=dear))
    api = Api(dynamodb, moment, of, Scripted(a=errors.upstream_throttled()), to)
    assert await api.outcome() == "quota_exceeded"
    assert api.provider.asked == ["a"]
    item = await api.item()
    assert item.get(f"{DAY} micro_usd", 0) == 0 and "in_flight" not in item
    cheap = alias(target("b", price=dear), target("a", price=PRICE))
    api = Api(dynamodb, moment, of_all(limit("micro_usd", "day", 10_000)), Scripted(b=errors.upstream_throttled()), cheap)
    assert await api.outcome() == "passed"
    assert (await api.item())[f"{DAY} micro_usd"] == 3 + 10


async def test_a_usage_that_nobody_has_counted_costs_the_most_that_it_can(dynamodb: DynamoDB, moment: Now) -> None:
    """Four characters are a token by the estimate; of Japanese they are four."""
    usage = Usage(1, 1, estimated=True)
    api = Api(dynamodb, moment, of_all(limit("micro_usd", "day", 1_000)), Answering(usage), alias(target("a", price=PRICE)))
    await api.call()
    item = await api.item()
    assert item[f"{DAY} micro_usd"] == 103 + 9 * 5 and item[f"{DAY} tokens"] == 2


@pytest.mark.parametrize("settled", [None, "twice", "lost"])
async def test_an_extension_that_one_account_refuses_is_given_back_once(
    dynamodb: DynamoDB, moment: Now, settled: str | None
) -> None:
    dear = msgspec.structs.replace(PRICE, output=500_000_000)
    budgets = {
        "others": limits(limit("micro_usd", "day", 100_000)),
        "tenants": {"acme": limits(limit("micro_usd", "day", 1000))},
    }
    to = alias(target("a", price=PRICE), target("b", price=dear))
    table = Failing(dynamodb, None, None, None, None, settled, settled)
    api = Api(table, moment, CallerLimits(**budgets), Scripted(a=errors.upstream_throttled()), to)
    assert await api.outcome() == "quota_exceeded" and api.provider.asked == ["a"]
    api.dynamodb = dynamodb
    for item in (await api.item(), await api.item("tenant", "acme")):
        assert item[f"{DAY} micro_usd"] == 0 and "in_flight" not in item


@pytest.mark.parametrize("text", ["Hi", "x" * 400, "日本語" * 50, "\U0001f600" * 30], ids=["short", "latin", "cjk", "emoji"])
async def test_money_is_reserved_for_as_many_tokens_as_there_can_be(dynamodb: DynamoDB, moment: Now, text: str) -> None:
    most = len(text.encode()) + 80 + 9 * 5
    for budget, outcome in ((most * 2 - 1, "passed"), (len(text.encode()) + 9 * 5, "quota_exceeded")):
        api = Api(dynamodb, moment, of_all(limit("micro_usd", "day", budget)), None, alias(target("a", price=PRICE)))
        assert await api.outcome(Caller("acme", f"{budget}"), text=text) == outcome


# The table fails.


class Failing(DynamoDB):
    """A table whose calls end as the list says; "lost" is a write that is carried out and whose answer is lost."""

    def __init__(self, table: DynamoDB, *ends: Any) -> None:
        self._table = table
        self._ends = list(ends)

    async def update_item(self, *args: Any, **more: Any) -> Item:
        end = self._ends.pop(0) if self._ends else None
        if isinstance(end, Exception):
            raise end
        if end == "lost":
            await self._table.update_item(*args, **more)
            raise ConnectionCut("lost")
        if end == "twice":
            await self._table.update_item(*args, **more)
        return await self._table.update_item(*args, **more)


STORE_FAILURES = {
    "throttled": DynamoDBError("ThrottlingException", "slow down", 400),
    "no table": DynamoDBError("ResourceNotFoundException", "no table", 400),
    "down": ConnectionCut("cut"),
    "lost": "lost",
}


@pytest.mark.parametrize("end", STORE_FAILURES.values(), ids=STORE_FAILURES)
async def test_no_call_is_made_while_the_table_fails(dynamodb: DynamoDB, moment: Now, end: Any) -> None:
    api = Api(Failing(dynamodb, end), moment, of_all(limit("requests", "day", 5), calls=1))
    with pytest.raises(GatewayError) as failed:
        await api.call()
    assert (failed.value.status, failed.value.code, failed.value.retry_after) == (503, "limits_unavailable", 1)
    assert api.provider.calls == []
    assert await api.outcome() == "passed"


@pytest.mark.parametrize("end", STORE_FAILURES.values(), ids=STORE_FAILURES)
async def test_what_cannot_be_settled_stays_charged(dynamodb: DynamoDB, moment: Now, end: Any) -> None:
    api = Api(Failing(dynamodb, None, end), moment, of_all(limit("tokens", "day", 1000)))
    assert len(await api.call()) == 5
    assert len(api.warnings) == 1 and api.warnings[0].startswith("not settled: ")
    api.dynamodb = dynamodb
    assert (await api.item())[f"{DAY} tokens"] == (USED if end == "lost" else RESERVED)


@pytest.mark.parametrize("left", [30.0, 0.2], ids=["time is left", "at the deadline"])
async def test_settling_takes_no_longer_than_the_function_has(moment: Now, clock: Clock, left: float) -> None:
    """A whole answer is sent when its call is settled, so a table that hangs must not keep it until the function is killed."""
    writes = 0

    async def hang() -> None:
        nonlocal writes
        writes += 1
        if writes > 1:
            await asyncio.get_running_loop().create_future()

    api = Api(Client(Table(), hang), moment, of_all(limit("tokens", "day", 1000)))
    began = clock.now()
    batches = answer(api.gateway, said(sampling=ASKED), CALLER, "r", began + left)
    assert len([event async for batch in batches for event in batch]) == 5
    # The function ends a second after the deadline.
    assert clock.now() - began < left + 1
    assert api.warnings == ["not settled: TimeoutError: "]


async def test_one_of_two_tables_writes_fails(dynamodb: DynamoDB, moment: Now) -> None:
    of = CallerLimits(others=limits(calls=5), tenants={"acme": limits(calls=5)})
    api = Api(Failing(dynamodb, None, ConnectionCut("cut")), moment, of)
    assert await api.outcome() == "limits_unavailable" and api.provider.calls == []
    api.dynamodb = dynamodb
    assert "in_flight" not in await api.item() and await api.outcome() == "passed"


async def test_a_write_that_is_carried_out_twice_counts_once(dynamodb: DynamoDB, moment: Now) -> None:
    """DynamoDB's client asks again where it has got no answer."""
    api = Api(Failing(dynamodb, "twice", "twice"), moment, of_all(limit("tokens", "day", 1000), calls=1))
    assert await api.outcome() == "passed"
    api.dynamodb = dynamodb
    item = await api.item()
    assert (item[f"{DAY} requests"], item[f"{DAY} tokens"]) == (1, USED) and "in_flight" not in item


async def test_without_limits_the_table_is_not_called(moment: Now) -> None:
    api = Api(cast("Any", None), moment, CallerLimits({"other": limits(calls=1)}, tenants={"other": limits(calls=1)}))
    start = (await api.call())[0]
    assert isinstance(start, Start) and start.rate_limits == {}


# Who is one caller.

CALLERS: dict[str, tuple[Sequence[Caller], int]] = {
    "two keys": ([CALLER, Caller("acme", "app")], 2),
    "two tenants": ([CALLER, Caller("other", "ci")], 2),
    "sessions of a role": (
        [Caller("1", "arn:aws:sts::1:assumed-role/r/one"), Caller("1", "arn:aws:sts::1:assumed-role/r/two")],
        1,
    ),
    "roles": ([Caller("1", "arn:aws:sts::1:assumed-role/r/one"), Caller("1", "arn:aws:sts::1:assumed-role/s/one")], 2),
    "sessions of a federated user": (
        [Caller("1", "arn:aws:sts::1:federated-user/one"), Caller("1", "arn:aws:sts::1:federated-user/two")],
        1,
    ),
    "users": ([Caller("1", "arn:aws:iam::1:user/one"), Caller("1", "arn:aws:iam::1:user/two")], 2),
    "long subjects": ([Caller("t", "x" * 5000), Caller("t", "x" * 5001)], 2),
}


@pytest.mark.parametrize(("callers", "count"), CALLERS.values(), ids=CALLERS)
async def test_who_is_one_caller(dynamodb: DynamoDB, moment: Now, callers: Sequence[Caller], count: int) -> None:
    api = Api(dynamodb, moment, of_all(limit("requests", "day", 1)))
    assert [await api.outcome(caller) for caller in callers].count("passed") == count


def test_the_document_of_limits_is_read_as_it_was_written() -> None:
    of = CallerLimits({"ci": limits(limit("requests", "day", 1, "main"), calls=3)}, limits(limit("micro_usd", "month", 5)))
    assert msgspec.json.decode(msgspec.json.encode(of), type=CallerLimits) == of
