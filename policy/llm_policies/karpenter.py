"""Karpenter's pools of nodes: the accelerated instance types that each may start, and its limits.

Read from custom resources, and from the values of Helm charts that make pools. https://karpenter.sh/docs/concepts/nodepools/
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from llm_policies.rule import Resource
from llm_policies.values import Value, each

_CUSTOM: Final = (
    "kubernetes:karpenter.sh/v1:NodePool",
    "kubernetes:karpenter.sh/v1beta1:NodePool",
    "kubernetes:karpenter.sh/v1alpha5:Provisioner",
)
_CHARTS: Final = ("kubernetes:helm.sh/v3:Release", "kubernetes:helm.sh/v4:Chart")
TYPES: Final = (*_CUSTOM, *_CHARTS)

# https://docs.aws.amazon.com/ec2/latest/instancetypes/ac.html
_CATEGORIES: Final = ("g", "gr", "p", "trn", "inf", "dl", "vt", "f")
_BY_GPU: Final[Mapping[str, tuple[str, ...]]] = {
    "t4": ("g4dn",),
    "a10g": ("g5",),
    "l4": ("g6", "gr6"),
    "l40s": ("g6e",),
    "v100": ("p3",),
    "a100": ("p4d", "p4de"),
    "h100": ("p5",),
    "h200": ("p5e", "p5en"),
    "b200": ("p6-b200",),
}


@dataclass(frozen=True)
class Pool:
    """A pool: types, families or globs of what it may start (`*`: any), and its limits by their unit."""

    path: str
    kinds: tuple[str, ...]
    limits: Mapping[Literal["vCPUs", "GPUs"], float]


def pools(resource: Resource) -> Iterator[Pool]:
    """The pools that a resource makes. Raises `NotVerified` at the end if one is unknown."""
    yield from each(_held(resource), _pool)


def _held(resource: Resource) -> Iterator[Value]:
    """The specifications of pools: maps with requirements, or with a template that has some."""
    if resource.type in _CUSTOM:
        yield resource["spec"]
    elif not resource["values"].missing:
        yield from _within(resource["values"])


def _within(value: Value) -> Iterator[Value]:
    if isinstance(value.data, Mapping):
        if _is_pool(value):
            yield value
            return
        for inner in value.entries().values():
            yield from _within(inner)
    elif isinstance(value.data, list):
        for inner in value.items():
            yield from _within(inner)


def _is_pool(value: Value) -> bool:
    places = (value["requirements"], value.at("template.spec.requirements"), value.at("spec.template.spec.requirements"))
    items = [item for place in places if isinstance(place.data, list) for item in place.items()]
    return any(item["key"].data is not None and item["operator"].data is not None for item in items)


def _pool(given: Value) -> Iterator[Pool]:
    spec = given["spec"] if given["template"].missing and isinstance(given["spec"].data, Mapping) else given
    template = spec.at("template.spec") if not spec["template"].missing else spec
    rules: dict[str, list[tuple[str, list[str]]]] = {}
    for item in template["requirements"].items():
        name = item["key"].text().rpartition("/")[2]
        values = [value.text() for value in item["values"].items()]
        rules.setdefault(name, []).append((item["operator"].text(), values))
    limits = spec["limits"]
    limits = limits if limits["resources"].missing else limits["resources"]
    found: dict[Literal["vCPUs", "GPUs"], float] = {}
    if (cpus := _quantity(limits["cpu"])) is not None:
        found["vCPUs"] = cpus
    gpus = [_quantity(limits[name]) for name in ("nvidia.com/gpu", "aws.amazon.com/neuron", "amd.com/gpu")]
    if any(gpu is not None for gpu in gpus):
        found["GPUs"] = sum(gpu or 0 for gpu in gpus)
    yield Pool(given.path, tuple(_kinds(rules)), found)


def _kinds(rules: Mapping[str, list[tuple[str, list[str]]]]) -> list[str]:
    """The types that the requirements leave, by the narrowest of them."""

    def given(name: str) -> list[str] | None:
        lists = [values for operator, values in rules.get(name, ()) if operator == "In"]
        return lists[0] if lists else None

    if any(_none(rule) for name in ("instance-gpu-count", "instance-accelerator-count") for rule in rules.get(name, ())):
        return []
    if (types := given("instance-type")) is not None:
        return types
    sizes = given("instance-size") or []
    families = given("instance-family")
    if families is None and (gpus := given("instance-gpu-name")) is not None:
        families = [family for gpu in gpus for family in _BY_GPU.get(gpu, (f"*{gpu}",))]
    if families is not None:
        return [f"{family}.{size}" for family in families for size in sizes] or families
    categories = given("instance-category")
    if categories is not None:
        return [f"{category}*" for category in categories if category in _CATEGORIES]
    excluded = {value for operator, values in rules.get("instance-category", ()) if operator == "NotIn" for value in values}
    return [] if {"g", "p"} <= excluded else ["*"]


def _none(rule: tuple[str, list[str]]) -> bool:
    """Whether a rule on a number of accelerators leaves none."""
    operator, values = rule
    return operator == "DoesNotExist" or (operator == "Lt" and values[:1] == ["1"]) or (operator == "In" and values == ["0"])


def _quantity(value: Value) -> float | None:
    """A quantity of Kubernetes' as a number: 16, "16", "1500m", "1k". None if there is none."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([mk]?)", value.text())
    return float(found[1]) * {"m": 0.001, "k": 1000.0, "": 1.0}[found[2]] if found else None
