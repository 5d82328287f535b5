"""The table of prices: every type of the components has its charges, once; every price has its page and its date."""

import inspect
from datetime import UTC, date, datetime

import pytest

import pulumi_llm
from pulumi_llm.base.component import Component
from pulumi_llm.cost.charges import CHARGES
from pulumi_llm.cost.prices import price_table

COMPONENTS: list[type[Component]] = [
    value for name in pulumi_llm.__all__ if inspect.isclass(value := getattr(pulumi_llm, name)) and issubclass(value, Component)
]


@pytest.mark.parametrize("component", COMPONENTS, ids=lambda component: component.__name__)
def test_every_type_that_a_component_makes_is_priced_or_free(component: type[Component]) -> None:
    table = price_table()
    types = {kind.pulumi_type for kind in component.CHILDREN.values()}  # type: ignore[attr-defined]
    assert types
    known = {kind for kind in types if kind in table.types or kind in CHARGES or table.why_free(kind)}
    assert sorted(types - known) == [], "say in cost/prices.toml what they cost"


def test_a_type_stands_in_one_place() -> None:
    table = price_table()
    places = [*table.types, *CHARGES, *table.free]
    assert sorted(places) == sorted(set(places))


def test_every_price_has_a_page_and_a_date() -> None:
    table = price_table()
    assert {name for names in table.types.values() for name in names} <= set(table.prices)
    for name, price in (*table.prices.items(), *table.instances.items()):
        assert price.page.startswith("https://aws.amazon.com/"), name
        assert date(2026, 1, 1) <= price.checked <= datetime.now(UTC).date(), name
        assert price.usd > 0, name
    for name, free in table.free.items():
        assert free.page.startswith("https://"), name
        assert free.why, name
