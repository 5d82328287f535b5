"""Permissions that are a resource of their own instead of a policy document: whether they let anyone in."""

from collections.abc import Iterator, Mapping
from typing import Final

from llm_policies.conditions import Condition
from llm_policies.rule import Resource

LAMBDA: Final = "aws:lambda/permission:Permission"
_LAYER: Final = "aws:lambda/layerVersionPermission:LayerVersionPermission"
_EVENTS: Final = "aws:cloudwatch/eventPermission:EventPermission"

# What such a resource lets its principal do, and the properties that limit who that is, each with its condition key.
_KINDS: Final[Mapping[str, tuple[str, Mapping[str, str]]]] = {
    LAMBDA: (
        "invoke the function",
        {"principalOrgId": "aws:principalorgid", "sourceArn": "aws:sourcearn", "sourceAccount": "aws:sourceaccount"},
    ),
    _LAYER: ("read the layer", {"organizationId": "aws:principalorgid"}),
    _EVENTS: ("send events to the bus", {"condition.value": "aws:principalorgid"}),
}
TYPES: Final = tuple(_KINDS)


def public_permission(resource: Resource) -> Iterator[str]:
    """Tell whether a permission's principal is everybody, and nothing limits who of them."""
    does, keys = _KINDS[resource.type]
    if resource["principal"].text() == "*" and not any(
        Condition("StringLike", key, (value,)).limits("caller")
        for path, key in keys.items()
        if (value := resource.at(path).text())
    ):
        demand = "aws:PrincipalOrgID in its condition" if resource.type == _EVENTS else next(iter(keys))
        yield f"principal: lets anyone {does}; name who may, or demand {demand}"
