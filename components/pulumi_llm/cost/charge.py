"""A charge of a resource: a price, and how many of what it is for."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from pulumi_llm.cost.prices import Price, price_table


class Resource(Protocol):
    """A resource of a program, as an evaluation of it has it: camelCase keys, nothing unknown."""

    @property
    def urn(self) -> str: ...
    @property
    def type(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def id(self) -> str: ...
    @property
    def inputs(self) -> Mapping[str, Any]: ...
    @property
    def state(self) -> Mapping[str, Any]: ...
    @property
    def parents(self) -> tuple[str, ...]: ...


class Charge(NamedTuple):
    """A price, and how many of what it is for.

    `low` and `high` are the least and the most of it, as with a group of nodes. Of what is used up, one stands for any number.
    """

    price: Price
    low: float = 1
    high: float = 1
    note: str = ""


class Unpriced(Exception):
    """A resource costs something that the table of prices does not have; the text says what."""


def charge(name: str, low: float = 1, high: float | None = None, note: str = "") -> Charge:
    """A charge by the name of its price. `high` is `low` where it is not given."""
    return Charge(price_table().prices[name], low, low if high is None else high, note)


def of_type(resources: Sequence[Resource], type: str) -> Iterator[Resource]:
    """The resources of a type."""
    return (resource for resource in resources if resource.type == type)


def counted(number: float, noun: str, plural: str = "s") -> str:
    """A number of things in words."""
    return f"{number:g} {noun}{'' if number == 1 else plural}"
