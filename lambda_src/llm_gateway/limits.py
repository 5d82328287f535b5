"""What callers may use: their limits, as the routes document has them, and the windows of time in which they are counted."""

import time
from collections.abc import Mapping
from typing import Literal, NamedTuple, get_args

import msgspec

# What is counted. Money is in micro-dollars, of which a million are one US dollar: integers add up exactly.
Measure = Literal["requests", "tokens", "micro_usd"]
# The calendar's minutes, days and months, in UTC.
Window = Literal["minute", "day", "month"]
MEASURES: tuple[Measure, ...] = get_args(Measure)
WINDOWS: tuple[Window, ...] = get_args(Window)


def amount_of(measure: Measure, amount: int) -> str:
    """Return an amount in words, such as ``$0.25`` or ``1 request``."""
    if measure == "micro_usd":
        return f"${amount / 1e6:,.6g}"
    return f"{amount:,} {measure.removesuffix('s') if amount == 1 else measure}"


class Limit(msgspec.Struct, frozen=True, omit_defaults=True):
    """The most that may be used in a window; with `model` of that alias alone."""

    measure: Measure
    window: Window
    most: int
    model: str = ""

    def __str__(self) -> str:
        return f"{amount_of(self.measure, self.most)} a {self.window}" + (f" for {self.model!r}" if self.model else "")


class Limits(msgspec.Struct, frozen=True, omit_defaults=True):
    """The limits of one caller, or of all callers of a tenant together. `calls_in_flight` is how many may run at once."""

    counted: tuple[Limit, ...] = ()
    calls_in_flight: int | None = None

    def __bool__(self) -> bool:
        return bool(self.counted) or self.calls_in_flight is not None


NO_LIMITS = Limits()


class CallerLimits(msgspec.Struct, frozen=True, omit_defaults=True):
    """The limits of all callers: of API keys by their names, of each other caller, and of tenants by their names."""

    keys: Mapping[str, Limits] = {}
    others: Limits = NO_LIMITS
    tenants: Mapping[str, Limits] = {}

    @property
    def has_money(self) -> bool:
        """Whether a limit is one of money, so that the prices of targets are needed."""
        every = (*self.keys.values(), self.others, *self.tenants.values())
        return any(limit.measure == "micro_usd" for each in every for limit in each.counted)

    def of_key(self, name: str) -> Limits:
        """Return the limits of a caller with that key, or another name."""
        return self.keys.get(name, self.others)

    def of_tenant(self, name: str) -> Limits:
        return self.tenants.get(name, NO_LIMITS)


class Stamps(NamedTuple):
    """The windows of a moment, such as ``2026-11-30T12:34``, ``2026-11-30`` and ``2026-11``. Those of one kind sort by time."""

    minute: str
    day: str
    month: str


def stamps(now: float) -> Stamps:
    """Return the windows of a time in seconds since the epoch."""
    text = time.strftime("%Y-%m-%dT%H:%M", time.gmtime(now))
    return Stamps(text, text[:10], text[:7])


def seconds_left(window: Window, now: float) -> float:
    """Return the seconds until the next window begins."""
    if window == "minute":
        return 60 - now % 60
    end_of_day = 86_400 - now % 86_400
    if window == "day":
        return end_of_day
    import calendar  # only where a month's limit is told

    today = time.gmtime(now)
    days_after = calendar.monthrange(today.tm_year, today.tm_mon)[1] - today.tm_mday
    return end_of_day + days_after * 86_400
