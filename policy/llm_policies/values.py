"""What a rule reads: a resource's inputs, of which any may be missing, or not known before the resource is made.

Reading never fails for what is missing, and for what is unknown it raises `NotVerified`, which the pack reports by name. No
rule passes a resource in silence because it could not see it.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, cast


class State(Enum):
    """Whether a value can be read."""

    KNOWN = "known"
    UNKNOWN = "unknown"
    MISSING = "missing"


class NotVerified(Exception):
    """A rule needs a value that is not known yet; `path` is where it stands."""

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
    """A place in a resource's inputs: what is there, or that nothing is, or that it is not known yet.

    `value["a"]["b"]` and `value[0]` go deeper and never raise. What reads the place itself (`plain`, `items`, `equals` …)
    raises `NotVerified` where it is unknown.
    """

    data: Any
    path: str = ""
    origin: str = ""
    """The resource's name, where several are read together."""

    @property
    def state(self) -> State:
        if self.data is UNKNOWN:
            return State.UNKNOWN
        return State.MISSING if self.data is None else State.KNOWN

    def __getitem__(self, key: str | int) -> "Value":
        """Go deeper. Below an unknown all is unknown; below what is missing, or of another kind, all is missing."""
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
        """Go deeper by several names at once: `at("vpcConfig.endpointPublicAccess")`."""
        value = self
        for name in path.split("."):
            value = value[name]
        return value

    @property
    def missing(self) -> bool:
        """Whether nothing is there. Raises `NotVerified`."""
        return self.plain is None

    @property
    def plain(self) -> Any:
        """The value, None where it is missing; lists and maps may hold `UNKNOWN`. Raises `NotVerified`."""
        if self.data is UNKNOWN:
            raise NotVerified(f"{self.origin}.{self.path}" if self.origin else self.path)
        return self.data

    def text(self, default: str = "") -> str:
        """The value as text; the default where it is missing. Raises `NotVerified`."""
        return default if self.missing else str(self.plain)

    def number(self, default: float = 0) -> float:
        """The value as a number; the default where it is missing or none. Raises `NotVerified`."""
        value = self.plain
        return value if isinstance(value, (int, float)) and not isinstance(value, bool) else default

    def flag(self, default: bool = False) -> bool:
        """The value as true or false; the default where it is missing. Raises `NotVerified`."""
        return default if self.missing else self.plain is True or self.plain == "true"

    def equals(self, *expected: Any) -> bool:
        """Whether the value is one of these. Raises `NotVerified`."""
        return self.plain in expected

    def items(self) -> "list[Value]":
        """The items of a list, each a place of its own; one that is no list is the only item. Raises `NotVerified`."""
        value = self.plain
        if value is None:
            return []
        if isinstance(value, list):
            return [Value(item, f"{self.path}[{index}]", self.origin) for index, item in enumerate(cast("list[Any]", value))]
        return [self]

    def entries(self) -> "dict[str, Value]":
        """The entries of a map; none where it is something else. Raises `NotVerified`."""
        value = self.plain
        if not isinstance(value, Mapping):
            return {}
        return {str(key): self[key] for key in cast("Mapping[str, Any]", value)}


def each(values: Iterable[Value], check: Callable[[Value], Iterator[str]]) -> Iterator[str]:
    """Check every one: one that cannot be verified hides no problem of the others. Raises `NotVerified` at the end."""
    unverified: NotVerified | None = None
    for value in values:
        try:
            yield from check(value)
        except NotVerified as error:
            unverified = unverified or error
    if unverified is not None:
        raise unverified
