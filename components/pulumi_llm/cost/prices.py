"""AWS's prices: prices.toml, with its sources."""

import tomllib
from collections.abc import Mapping, Sequence
from datetime import date
from functools import cache
from importlib.resources import files
from typing import Final

import msgspec

from pulumi_llm.models.gpu_instances import gpu_instances

REGION: Final = "us-east-1"

# As AWS's own calculator counts. https://docs.aws.amazon.com/pricing-calculator/latest/userguide/what-is-pricing-calculator.html
HOURS_PER_MONTH: Final = 730


class Price(msgspec.Struct, frozen=True):
    """What AWS charges for one thing.

    Attributes:
        usd: US dollars for `each` of the units.
        unit: "hour" or "month" where it is charged while nothing is used, else what is used up.
        page: Where AWS publishes it.
        checked: The date of the copy of the price list that it was compared with.
        doubt: What is not certain of it; empty where nothing is.
    """

    title: str
    usd: float
    unit: str
    page: str
    checked: date
    each: int = 1
    doubt: str = ""

    @property
    def idle(self) -> bool:
        """Whether it is charged while nothing is used."""
        return self.unit in ("hour", "month")

    @property
    def usd_a_month(self) -> float:
        """The price of a month of an idle thing."""
        return self.usd * HOURS_PER_MONTH if self.unit == "hour" else self.usd

    def of(self, quantity: float) -> float:
        """The price of so many units that are used up."""
        return self.usd * quantity / self.each


class Free(msgspec.Struct, frozen=True):
    """Why a type costs nothing, and where AWS says so."""

    page: str
    why: str


class PriceTable(msgspec.Struct, frozen=True):
    """All prices by their names, and what the types of resources are charged for.

    `types` are those whose charges do not depend on their inputs. A name in `free` that ends in `*` stands for all types that
    begin so.
    """

    prices: Mapping[str, Price]
    types: Mapping[str, Sequence[str]]
    free: Mapping[str, Free]
    instances: Mapping[str, Price]

    def why_free(self, type: str) -> Free | None:
        """Why a type costs nothing; None for one that costs something, or of which nothing is known."""
        if type in self.free:
            return self.free[type]
        prefixes = (name for name in self.free if name.endswith("*") and type.startswith(name.removesuffix("*")))
        return next((self.free[name] for name in prefixes), None)

    def checked(self) -> tuple[date, date]:
        """The oldest and the newest date at which prices were compared."""
        dates = [price.checked for price in (*self.prices.values(), *self.instances.values())]
        return min(dates), max(dates)


class _Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    title: str
    usd: float
    unit: str
    each: int = 1
    doubt: str = ""


class _Page(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    page: str
    checked: date
    prices: tuple[_Entry, ...]


class _FreeTypes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    page: str
    why: str
    types: tuple[str, ...]


class _Instances(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    page: str
    checked: date
    usd: Mapping[str, float]


class _Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pages: tuple[_Page, ...]
    types: Mapping[str, tuple[str, ...]]
    free: tuple[_FreeTypes, ...]
    instances: _Instances


@cache
def price_table() -> PriceTable:
    """Read the table. Raises `msgspec.ValidationError`."""
    text = files("pulumi_llm.cost").joinpath("prices.toml").read_text(encoding="utf-8")
    document = msgspec.convert(tomllib.loads(text), _Document)
    return PriceTable(
        prices={
            entry.name: Price(entry.title, entry.usd, entry.unit, page.page, page.checked, entry.each, entry.doubt)
            for page in document.pages
            for entry in page.prices
        },
        types=document.types,
        free={name: Free(entry.page, entry.why) for entry in document.free for name in entry.types},
        instances=_instance_prices(document.instances),
    )


def _instance_prices(listed: _Instances) -> Mapping[str, Price]:
    """The price of an hour by instance type, those with GPUs among them."""
    return {
        **{name: Price(name, usd, "hour", listed.page, listed.checked) for name, usd in listed.usd.items()},
        **{each.name: Price(each.name, each.price, "hour", listed.page, each.priced) for each in gpu_instances().values()},
    }
