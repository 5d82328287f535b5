"""What a program costs before it is deployed: while idle, by use, by its models' tokens, and for a thousand chats."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date

import msgspec

from llm_gateway.routes import Routes
from pulumi_llm.cost.charge import Charge, Resource
from pulumi_llm.cost.charges import charges_of
from pulumi_llm.cost.chats import Chat, uses
from pulumi_llm.cost.model_prices import ModelPrice, model_prices
from pulumi_llm.cost.prices import REGION, price_table
from pulumi_llm.cost.served_models import served_models


class Component(msgspec.Struct, frozen=True):
    """A component of a program. Without a name: the program itself."""

    name: str
    type: str


class IdleCost(msgspec.Struct, frozen=True):
    """What a resource costs a month while nothing is used: at least, and at most."""

    component: Component
    resource: str
    type: str
    charge: str
    usd_month_least: float
    usd_month_most: float
    note: str
    page: str


class UnitPrice(msgspec.Struct, frozen=True):
    """What is paid for by use: US dollars for `each` of the units. `resources` are those of the component that are used."""

    component: Component
    resources: tuple[str, ...]
    charge: str
    usd: float
    each: int
    unit: str
    page: str


class NotPriced(msgspec.Struct, frozen=True):
    """A resource that costs something which is not in the sums."""

    component: Component
    resource: str
    type: str
    reason: str


class ComponentCost(msgspec.Struct, frozen=True):
    """What a component costs: a month while idle, and for a thousand chats, the models left out.

    `chat_parts` are those of the chats by what they use; a component that carries none has no parts.
    """

    component: Component
    idle_usd_month_least: float
    idle_usd_month_most: float
    usd_per_thousand_chats: float
    chat_parts: Mapping[str, float]


class Estimate(msgspec.Struct, frozen=True):
    """The costs of a program, in US dollars. `prices_of` is the Region of the prices, `region` the program's."""

    region: str
    prices_of: str
    prices_checked_from: date
    prices_checked_to: date
    idle_usd_month_least: float
    idle_usd_month_most: float
    components: Sequence[ComponentCost]
    idle: Sequence[IdleCost]
    unit_prices: Sequence[UnitPrice]
    models: Sequence[ModelPrice]
    not_priced: Sequence[NotPriced]
    doubts: Mapping[str, str]


def estimate(resources: Sequence[Resource], routes: Iterable[Routes], region: str, chat: Chat) -> Estimate:
    """Compute what a program costs.

    Args:
        resources: The program's resources.
        routes: The routes documents of its functions.
        region: Where it is deployed; the prices are of another one all the same.
        chat: The size of a chat.
    """
    idle: list[IdleCost] = []
    used: list[tuple[Component, str, Charge]] = []
    not_priced: list[NotPriced] = []
    for resource in resources:
        component = component_of(resource)
        found = charges_of(resource, resources)
        idle += [_idle_cost(component, resource, charge) for charge in found.charges if charge.price.idle]
        used += [(component, resource.name, charge) for charge in found.charges if not charge.price.idle]
        if found.unpriced:
            not_priced.append(NotPriced(component, resource.name, resource.type, found.unpriced))
    oldest, newest = price_table().checked()
    return Estimate(
        region=region,
        prices_of=REGION,
        prices_checked_from=oldest,
        prices_checked_to=newest,
        idle_usd_month_least=_least(idle),
        idle_usd_month_most=_most(idle),
        components=list(_components(resources, idle, chat)),
        idle=idle,
        unit_prices=list(_unit_prices(used)),
        models=model_prices(routes, served_models(resources), chat),
        not_priced=not_priced,
        doubts=_doubts({each.charge for each in idle} | {charge.price.title for _, _, charge in used}),
    )


def component_of(resource: Resource) -> Component:
    """The outermost component that a resource is in."""
    if not resource.parents:
        return Component("", "")
    _, _, types, *name = resource.parents[0].split("::")
    return Component("::".join(name), types.rpartition("$")[2])


def _idle_cost(component: Component, resource: Resource, charge: Charge) -> IdleCost:
    monthly = charge.price.usd_a_month
    return IdleCost(
        component=component,
        resource=resource.name,
        type=resource.type,
        charge=charge.price.title,
        usd_month_least=_cents(charge.low * monthly),
        usd_month_most=_cents(charge.high * monthly),
        note=charge.note,
        page=charge.price.page,
    )


def _unit_prices(used: Sequence[tuple[Component, str, Charge]]) -> Iterator[UnitPrice]:
    """Each price once for a component, with the resources that it is for."""
    for component, title in dict.fromkeys((component, charge.price.title) for component, _, charge in used):
        same = [(name, charge.price) for other, name, charge in used if (other, charge.price.title) == (component, title)]
        price = same[0][1]
        names = tuple(name for name, _ in same)
        yield UnitPrice(component, names, title, price.usd, price.each, price.unit, price.page)


def _components(resources: Sequence[Resource], idle: Sequence[IdleCost], chat: Chat) -> Iterator[ComponentCost]:
    for component in dict.fromkeys(map(component_of, resources)):
        mine = [resource for resource in resources if component_of(resource) == component]
        parts: dict[str, float] = {}
        for use in uses(component.type, component.name, mine, chat):
            title = price_table().prices[use.price].title
            parts[title] = parts.get(title, 0) + use.usd * 1000
        own = [each for each in idle if each.component == component]
        yield ComponentCost(component, _least(own), _most(own), sum(parts.values()), parts)


def _least(idle: Iterable[IdleCost]) -> float:
    return _cents(sum(each.usd_month_least for each in idle))


def _most(idle: Iterable[IdleCost]) -> float:
    return _cents(sum(each.usd_month_most for each in idle))


def _doubts(titles: set[str]) -> Mapping[str, str]:
    """What is not certain of the prices that were used."""
    return {price.title: price.doubt for price in price_table().prices.values() if price.doubt and price.title in titles}


def _cents(usd: float) -> float:
    return round(usd, 2)
