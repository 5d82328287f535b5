"""What a caller has used, and what is left of its limits: the answer of GET /usage. Only that operation loads this module."""

import asyncio
import time
from collections.abc import Iterator

import msgspec

from llm_gateway.accounts import (
    caller_holder,
    calls_in_flight,
    counted_windows,
    counter_name,
    is_over,
    tenant_holder,
    value_of,
)
from llm_gateway.aws.dynamodb import Item
from llm_gateway.identity.caller import Caller
from llm_gateway.limits import Limits, Measure, Window, seconds_left, stamps
from llm_gateway.stages.ledger import Ledger


class Spent(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was used in a window. `usd` is None where money is not counted."""

    since: str
    resets_at: str
    requests: int
    tokens: int
    usd: float | None = None


class Left(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is left of a limit. `limit`, `used` and `remaining` are in US dollars where that is the measure."""

    measure: str
    window: Window
    limit: float
    used: float
    remaining: float
    resets_at: str
    model: str | None = None


class InFlight(msgspec.Struct, frozen=True, omit_defaults=True):
    """The calls in flight, and how many there may be."""

    used: int
    limit: int | None = None
    remaining: int | None = None


class CallerUsage(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What a caller has used. One without limits is not counted, and has no more than its names."""

    name: str
    tenant: str
    day: Spent | None = None
    month: Spent | None = None
    minute: Spent | None = None
    calls_in_flight: InFlight | None = None
    limits: tuple[Left, ...]


class TenantUsage(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What is left of a tenant's limits. What its callers have used besides is nobody's own."""

    name: str
    calls_in_flight: InFlight | None = None
    limits: tuple[Left, ...]


class UsageReport(msgspec.Struct, frozen=True, omit_defaults=True):
    """The answer. Its times are in UTC, as RFC 3339 has them."""

    at: str
    caller: CallerUsage
    tenant: TenantUsage | None = None


async def usage_of(ledger: Ledger, caller: Caller) -> UsageReport:
    """Return what a caller has used, and what is left to it. Raises the error 503 if the table cannot be read."""
    own, of_tenant = ledger.limits.of_key(caller.principal), ledger.limits.of_tenant(caller.tenant)
    item, tenant_item = await asyncio.gather(
        _item(ledger, caller_holder(caller), own), _item(ledger, tenant_holder(caller), of_tenant)
    )
    now = ledger.clock()
    used = CallerUsage(name=caller.principal, tenant=caller.tenant, limits=tuple(_left(item, own, now)))
    if own:
        has_money = ledger.limits.has_money
        spent = {window: _spent(item, window, now, has_money=has_money) for window in counted_windows(own)}
        used = msgspec.structs.replace(used, **spent, calls_in_flight=_in_flight(item, own, now))
    tenant = None
    if of_tenant:
        running = None if of_tenant.calls_in_flight is None else _in_flight(tenant_item, of_tenant, now)
        left = tuple(_left(tenant_item, of_tenant, now))
        tenant = TenantUsage(name=caller.tenant, calls_in_flight=running, limits=left)
    return UsageReport(_time(now), used, tenant)


async def _item(ledger: Ledger, holder: str, limits: Limits) -> Item:
    return await ledger.item(holder) if limits else {}


def _spent(item: Item, window: Window, now: float, *, has_money: bool) -> Spent:
    stamp = getattr(stamps(now), window)

    def value(measure: Measure) -> int:
        return value_of(item, counter_name(stamp, measure))

    usd = value("micro_usd") / 1e6 if has_money else None
    return Spent(_start(stamp), _reset(window, now), value("requests"), value("tokens"), usd)


def _left(item: Item, limits: Limits, now: float) -> Iterator[Left]:
    for limit in limits.counted:
        used = value_of(item, counter_name(getattr(stamps(now), limit.window), limit.measure, limit.model))
        remaining, reset = max(0, limit.most - used), _reset(limit.window, now)
        if limit.measure == "micro_usd":
            yield Left("usd", limit.window, limit.most / 1e6, used / 1e6, remaining / 1e6, reset, limit.model or None)
        else:
            yield Left(limit.measure, limit.window, limit.most, used, remaining, reset, limit.model or None)


def _in_flight(item: Item, limits: Limits, now: float) -> InFlight:
    running = sum(not is_over(id, now) for id in calls_in_flight(item))
    most = limits.calls_in_flight
    return InFlight(running, most, None if most is None else max(0, most - running))


def _start(stamp: str) -> str:
    """Return when the window of a stamp began."""
    return stamp + "2026-01-01T00:00:00Z"[len(stamp) :]


def _reset(window: Window, now: float) -> str:
    """Return when the next window begins."""
    return _time(now + seconds_left(window, now))


def _time(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(round(seconds)))
