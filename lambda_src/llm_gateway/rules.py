"""The rules of callers, as the routes document has them: what a request may ask for, and where its data may go."""

from typing import TYPE_CHECKING, Literal, get_args

import msgspec

if TYPE_CHECKING:
    from datetime import tzinfo  # only where a rule has hours

Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
WEEKDAYS: tuple[Weekday, ...] = get_args(Weekday)
# What becomes of a value that is out of a rule's bounds.
OutOfBounds = Literal["refuse", "clamp"]
# How long answers are kept here: "none", not at all.
Retention = Literal["none"]


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


def time_zone(name: str) -> "tzinfo":
    """Return a time zone by its name. Raises `ZoneInfoNotFoundError`, `ValueError` or `OSError` for one that is not here."""
    if name == "UTC":
        from datetime import UTC

        return UTC
    from zoneinfo import ZoneInfo

    return ZoneInfo(name)


def _minute(text: str) -> int:
    return int(text[:2]) * 60 + int(text[3:])


class Restrictions(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, kw_only=True):
    """What a rule has besides its name. None: it does not restrict that.

    It is for callers with one of `keys` and one of `tenants`. An empty list is for nobody, or allows nothing: never all.
    `models` are aliases. `regions` are where a target may take a request's data. `tools` are names. A caller's value out of the
    bounds is refused, or set to the bound. `prompt_caching`: a provider may keep parts of a prompt in its cache. `retention`:
    how long the gateway keeps answers.
    """

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
    retention: Retention | None = None

    def is_for(self, key: str, tenant: str) -> bool:
        """Whether it restricts a caller of that name and tenant."""
        return (self.keys is None or key in self.keys) and (self.tenants is None or tenant in self.tenants)


class Rule(Restrictions, frozen=True):
    """A restriction of some callers. It never allows anything: of several rules, all hold."""

    name: str

    @property
    def label(self) -> str:
        """What the log calls it."""
        return self.name


class AddedRule(Rule, frozen=True):
    """A rule that the feature flags add to the deployed ones."""

    @property
    def label(self) -> str:
        """What the log calls it: a deployed rule may have the same name."""
        return f"{self.name} (flags)"


def principal_of(name: str) -> str:
    """Return what `keys` have for a caller, by its name or by the ARN of its role: requests are signed by sessions of a role,
    whose ARNs have another form.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html
    """
    parts = name.split(":", 5)
    if len(parts) < 6 or parts[0] != "arn" or parts[2] != "iam" or not parts[5].startswith("role/"):
        return name
    return f"arn:{parts[1]}:sts::{parts[4]}:assumed-role/{parts[5].rpartition('/')[2]}"
