"""The rules of callers, as the routes document has them: what a request may ask for, and where its data may go."""

from typing import Literal, get_args

import msgspec

Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
WEEKDAYS: tuple[Weekday, ...] = get_args(Weekday)
# What becomes of a value that is out of a rule's bounds.
OutOfBounds = Literal["refuse", "clamp"]


class Hours(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A part of the day, from `start` to before `end`, such as ``08:00``; an `end` not after `start` is on the next day.

    `weekdays` are the days on which it starts. `time_zone` is a name of the IANA's database.
    """

    start: str = "00:00"
    end: str = "00:00"
    weekdays: tuple[Weekday, ...] = WEEKDAYS
    time_zone: str = "UTC"

    def __str__(self) -> str:
        days = "" if self.weekdays == WEEKDAYS else f"{', '.join(self.weekdays)} "
        return f"{days}{self.start} to {self.end} {self.time_zone}"

    def contains(self, weekday: int, minute: int) -> bool:
        """Whether a local time is in it, by its weekday, of which 0 is Monday, and its minute of the day."""
        start, end = _minute(self.start), _minute(self.end)
        if start < end:
            return start <= minute < end and WEEKDAYS[weekday] in self.weekdays
        return (minute >= start and WEEKDAYS[weekday] in self.weekdays) or (
            minute < end and WEEKDAYS[weekday - 1] in self.weekdays
        )


def _minute(text: str) -> int:
    return int(text[:2]) * 60 + int(text[3:])


class Rule(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A restriction of some callers. It never allows anything: of several rules, all hold. None: it does not restrict that.

    It is for callers with one of `keys` and one of `tenants`. An empty list is for nobody, or allows nothing: never all.
    `models` are aliases. `regions` are where a target may take a request's data. `tools` are names. A caller's value out of the
    bounds is refused, or set to the bound. `prompt_caching`: a provider may keep parts of a prompt in its cache.
    """

    name: str
    keys: tuple[str, ...] | None = None
    tenants: tuple[str, ...] | None = None
    models: tuple[str, ...] | None = None
    regions: tuple[str, ...] | None = None
    hours: tuple[Hours, ...] | None = None
    tools: tuple[str, ...] | None = None
    max_tokens: int | None = None
    temperature_min: float | None = None
    temperature_max: float | None = None
    out_of_bounds: OutOfBounds = "refuse"
    streams: bool = True
    prompt_caching: bool = True

    def is_for(self, key: str, tenant: str) -> bool:
        """Whether it restricts a caller of that name and tenant."""
        return (self.keys is None or key in self.keys) and (self.tenants is None or tenant in self.tenants)
