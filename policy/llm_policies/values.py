"""The values that a rule reads: a resource's inputs, which may be missing, or unknown until the resource is created.

Reading a missing value never fails. Reading an unknown value raises `NotVerified`, which the pack reports with the value's
path, so that no rule silently passes a resource that it could not check.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, TypeVar, cast

T = TypeVar("T")
Problem = TypeVar("Problem")


class State(Enum):
    """Whether a value can be read."""

    KNOWN = "known"
    UNKNOWN = "unknown"
    MISSING = "missing"


class NotVerified(Exception):
    """A rule needs a value that is not known yet. `path` is the path of the value."""

    def __init__(self, path: str) -> None:
        super().__init__(f"{path} is not known yet")
        self.path = path


class Unknown:
    """Stands in plain data for a value that is not known yet."""

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN: Final = Unknown()


@dataclass(frozen=True)
class Value:
    """A value in a resource's inputs, which may be known, missing or unknown.

    `value["a"]["b"]` and `value[0]` select a nested value and never raise. The methods that read the value itself (`plain`,
    `items`, `equals` …) raise `NotVerified` if it is unknown.
    """

    data: Any
    path: str = ""
    origin: str = ""
    """The resource's name, if several resources are read together."""

    @property
    def state(self) -> State:
        if self.data is UNKNOWN:
            return State.UNKNOWN
        return State.MISSING if self.data is None else State.KNOWN

    def __getitem__(self, key: str | int) -> "Value":
        """Select a nested value. It is unknown if this one is, and missing if this one is missing or has another type."""
        below = f"{self.path}[{key}]" if isinstance(key, int) else f"{self.path}.{key}" if self.path else key
        if self.data is UNKNOWN:
            return Value(UNKNOWN, self.path, self.origin)
        data: Any = self.data
        if isinstance(data, Mapping):
            return Value(cast("Mapping[Any, Any]", data).get(key), below, self.origin)
        if isinstance(data, list) and isinstance(key, int):
            items = cast("list[Any]", data)
            return Value(items[key] if -len(items) <= key < len(items) else None, below, self.origin)
        return Value(None, below, self.origin)

    def at(self, path: str) -> "Value":
        """Select a value by several names at once: `at("vpcConfig.endpointPublicAccess")`."""
        value = self
        for name in path.split("."):
            value = value[name]
        return value

    def all_at(self, path: str) -> "list[Value]":
        """Select all values of a path, `[]` for every item of a list. Raises `NotVerified` if the list is unknown."""
        head, more, rest = path.partition("[]")
        place = self.at(head) if head else self
        if not more:
            return [place]
        rest = rest.removeprefix(".")
        return [found for item in place.items() for found in (item.all_at(rest) if rest else [item])]

    @property
    def missing(self) -> bool:
        """Whether the value is missing. Raises `NotVerified`."""
        return self.plain is None

    @property
    def plain(self) -> Any:
        """The value; None if it is missing. Lists and maps may contain `UNKNOWN`. Raises `NotVerified`."""
        if self.data is UNKNOWN:
            raise NotVerified(f"{self.origin}.{self.path}" if self.origin else self.path)
        return self.data

    def text(self, default: str = "") -> str:
        """The value as text, or the default if it is missing. Raises `NotVerified`."""
        return default if self.missing else str(self.plain)

    @property
    def known_text(self) -> str:
        """The value if it is a text that is known, else empty. Never raises."""
        return self.data if isinstance(self.data, str) else ""

    def number(self, default: float = 0) -> float:
        """The value as a number, or the default if it is missing or not a number. Raises `NotVerified`."""
        value = self.plain
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
        return value if is_number else default

    def flag(self, default: bool = False) -> bool:
        """The value as true or false, or the default if it is missing. Raises `NotVerified`."""
        return default if self.missing else self.plain is True or self.plain == "true"

    def equals(self, *expected: Any) -> bool:
        """Whether the value is one of these. Raises `NotVerified`."""
        return self.plain in expected

    def items(self) -> "list[Value]":
        """The items of a list. A value that is not a list counts as its only item. Raises `NotVerified`."""
        value = self.plain
        if value is None:
            return []
        if isinstance(value, list):
            return [Value(item, f"{self.path}[{index}]", self.origin) for index, item in enumerate(cast("list[Any]", value))]
        return [self]

    def entries(self) -> "dict[str, Value]":
        """The entries of a map. Empty if the value is not a map. Raises `NotVerified`."""
        value = self.plain
        if not isinstance(value, Mapping):
            return {}
        return {str(key): self[key] for key in cast("Mapping[str, Any]", value)}


def each(values: Iterable[T], check: Callable[[T], Iterator[Problem]]) -> Iterator[Problem]:
    """Check all of them, also if one cannot be verified. Raises `NotVerified` at the end in that case."""
    unverified: NotVerified | None = None
    for value in values:
        try:
            yield from check(value)
        except NotVerified as error:
            unverified = unverified or error
    if unverified is not None:
        raise unverified


def each_at(value: Value, checks: Iterable[tuple[str, Callable[[Value], Iterator[str]]]]) -> Iterator[str]:
    """Check the values of several paths (`Value.all_at`), each by a check of its own, also if one cannot be verified."""
    yield from each(checks, lambda one: each(value.all_at(one[0]), one[1]))


def some(values: Iterable[T], test: Callable[[T], bool]) -> bool:
    """Whether the test holds for one of them. Raises `NotVerified` if it holds for none and is unknown for one."""
    return any(each(values, lambda value: iter([True] if test(value) else [])))
