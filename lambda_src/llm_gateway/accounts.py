"""The items of the ledger's table: who has one, what their attributes are called, and when each is out of date.

A holder of limits, which is a caller or a tenant, has one item. It has a counter for each window and measure, such as
``2026-11-30 tokens``, with the alias at its end where an alias has a limit of its own, and the ids of calls in flight.
"""

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import msgspec

from llm_gateway.aws.dynamodb import Item
from llm_gateway.identity.caller import Caller
from llm_gateway.limits import MEASURES, WINDOWS, Limit, Limits, Measure, Stamps, Window, stamps

IN_FLIGHT = "in_flight"
# Seconds after its deadline for which a call still counts as in flight.
_MARGIN_SECONDS = 60.0
_ID_TIME = slice(0, 10)  # seconds since the epoch
# DynamoDB's partition keys have up to 2,048 bytes, the subject of a token any number.
_LONGEST_HOLDER = 1_000

_WINDOW_OF_LENGTH: Mapping[int, Window] = {
    len(stamp): window
    for window, stamp in zip(WINDOWS, stamps(0), strict=True)  # minute 16, day 10, month 7
}
_SECONDS: Mapping[Window, float] = {"minute": 60, "day": 86_400, "month": 28 * 86_400}


class Counter(NamedTuple):
    """A counter of an item, and the limit that it has."""

    attribute: str
    window: Window
    measure: Measure
    limit: Limit | None


def caller_holder(caller: Caller) -> str:
    """Return the key of a caller's item."""
    return _holder(["caller", caller.tenant, caller.principal])


def tenant_holder(caller: Caller) -> str:
    """Return the key of the item of a caller's tenant."""
    return _holder(["tenant", caller.tenant])


def counters(limits: Limits, alias: str, now: Stamps) -> Iterator[Counter]:
    """Yield the counters of a call of an alias. All measures are counted a day and a month, a minute's only for its limits."""
    limit_of = {(limit.window, limit.measure, limit.model): limit for limit in limits.counted}
    for window in counted_windows(limits):
        stamp = getattr(now, window)
        for measure in MEASURES:
            yield Counter(counter_name(stamp, measure), window, measure, limit_of.get((window, measure, "")))
            if (of_alias := limit_of.get((window, measure, alias))) is not None:
                yield Counter(counter_name(stamp, measure, alias), window, measure, of_alias)


def counted_windows(limits: Limits) -> Sequence[Window]:
    """Return the windows in which everything is counted."""
    return WINDOWS if any(limit.window == "minute" for limit in limits.counted) else WINDOWS[1:]


def counter_name(stamp: str, measure: Measure, alias: str = "") -> str:
    """Return the attribute that counts a measure in a window, of one alias if it is named."""
    return f"{stamp} {measure} {alias}" if alias else f"{stamp} {measure}"


def value_of(item: Item, counter: str) -> int:
    """Return what a counter has come to."""
    return int(item[counter]["N"]) if counter in item else 0


def is_old(window: Window, attribute: str, now: float) -> bool:
    """Whether the window after a counter's is over, or, for a month, most of it."""
    return attribute.partition(" ")[0] < getattr(stamps(now - _SECONDS[window]), window)


def old_counters(item: Item, now: float) -> Iterator[str]:
    """Yield the counters of an item that nobody needs any more."""
    for attribute in item:
        stamp, _, measure = attribute.partition(" ")
        window = _WINDOW_OF_LENGTH.get(len(stamp)) if measure else None
        if window and is_old(window, attribute, now):
            yield attribute


def call_id(over: float) -> str:
    """Return an id for a call whose function is over at that time, in seconds since the epoch."""
    return f"{math.floor(over + _MARGIN_SECONDS):010d}{os.urandom(5).hex()}"


def calls_in_flight(item: Item) -> list[str]:
    """Return the ids of an item's calls in flight, those of functions that have died among them."""
    return item[IN_FLIGHT]["SS"] if IN_FLIGHT in item else []


def is_over(id: str, now: float) -> bool:
    """Whether the function of a call in flight has died."""
    return int(id[_ID_TIME]) < now


def _holder(names: Sequence[str]) -> str:
    holder = msgspec.json.encode(names)
    if len(holder) <= _LONGEST_HOLDER:
        return holder.decode()
    import hashlib

    return f"{names[0]} {hashlib.sha256(holder).hexdigest()}"
