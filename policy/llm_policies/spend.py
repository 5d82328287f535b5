"""Rules on cost: which accelerators a stack may have, how many at most, and who is notified when the cost grows."""

import re
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Final, cast

from llm_policies import bedrock, budgets
from llm_policies.rule import STRINGS, Resource, Rule, Setting, Settings
from llm_policies.stacks import Found, came_from, each_resource, of_type
from llm_policies.values import NotVerified, State, Value, each, some

_INSTANCE: Final = "aws:ec2/instance:Instance"
_SPOT_INSTANCE: Final = "aws:ec2/spotInstanceRequest:SpotInstanceRequest"
_RESERVATION: Final = "aws:ec2/capacityReservation:CapacityReservation"
_TEMPLATE: Final = "aws:ec2/launchTemplate:LaunchTemplate"
_NODE_GROUP: Final = "aws:eks/nodeGroup:NodeGroup"
_GROUP: Final = "aws:autoscaling/group:Group"
_ENDPOINT: Final = "aws:sagemaker/endpointConfiguration:EndpointConfiguration"
_SERVING: Final = "aws:sagemaker/endpoint:Endpoint"
_THROUGHPUT: Final = "aws:bedrock/provisionedModelThroughput:ProvisionedModelThroughput"
_STACK: Final = "pulumi:pulumi:Stack"

_OVERRIDES: Final = "mixedInstancesPolicy.launchTemplate.overrides"

# Where a type says which instances it starts. `[]` stands for every item of a list.
_PLACES: Final[Mapping[str, tuple[str, ...]]] = {
    _INSTANCE: ("instanceType",),
    _SPOT_INSTANCE: ("instanceType",),
    _RESERVATION: ("instanceType",),
    _TEMPLATE: ("instanceType",),
    "aws:ec2/launchConfiguration:LaunchConfiguration": ("instanceType",),
    "aws:ec2/fleet:Fleet": ("launchTemplateConfigs[].overrides[].instanceType",),
    "aws:ec2/spotFleetRequest:SpotFleetRequest": (
        "launchSpecifications[].instanceType",
        "launchTemplateConfigs[].overrides[].instanceType",
    ),
    _NODE_GROUP: ("instanceTypes[]",),
    _GROUP: (f"{_OVERRIDES}[].instanceType",),
    "aws:batch/computeEnvironment:ComputeEnvironment": ("computeResources.instanceTypes[]",),
    _ENDPOINT: ("productionVariants[].instanceType", "shadowProductionVariants[].instanceType"),
}
# Where a type asks for instances by what they have, instead of by name.
_REQUIREMENTS: Final[Mapping[str, str]] = {
    _TEMPLATE: "instanceRequirements",
    _GROUP: f"{_OVERRIDES}[].instanceRequirements",
    "aws:ec2/fleet:Fleet": "launchTemplateConfigs[].overrides[].instanceRequirements",
    "aws:ec2/spotFleetRequest:SpotFleetRequest": "launchTemplateConfigs[].overrides[].instanceRequirements",
}

# GPUs, AWS's own accelerators and FPGAs: the families that AWS calls accelerated computing. A family's name may end its text,
# as where AWS Batch takes a family instead of a size, and a glob may stand for one. https://aws.amazon.com/ec2/instance-types/accelerated-computing/
_ACCELERATED: Final = re.compile(r"(ml\.)?(\*.*|(g|gr|p|trn|inf|dl|vt|f)[\d*][a-z0-9*-]*(\..+)?)")

# US dollars an hour: on demand, Linux, us-east-1, as the AWS Price List had them on 2026-09-24 (offer AmazonEC2; taken from a
# table that was held against it, not from the offer itself). Other regions and SageMaker cost more. The setting `prices` adds
# to these, and has precedence.
_PRICES: Final[Mapping[str, float]] = {
    "g4dn.xlarge": 0.526,
    "g4dn.2xlarge": 0.752,
    "g4dn.4xlarge": 1.204,
    "g4dn.8xlarge": 2.176,
    "g4dn.12xlarge": 3.912,
    "g4dn.16xlarge": 4.352,
    "g5.xlarge": 1.006,
    "g5.2xlarge": 1.212,
    "g5.4xlarge": 1.624,
    "g5.8xlarge": 2.448,
    "g5.12xlarge": 5.672,
    "g5.16xlarge": 4.096,
    "g5.24xlarge": 8.144,
    "g5.48xlarge": 16.288,
    "g6.xlarge": 0.8048,
    "g6.2xlarge": 0.9776,
    "g6.4xlarge": 1.3232,
    "g6.8xlarge": 2.0144,
    "g6.12xlarge": 4.6016,
    "g6.16xlarge": 3.3968,
    "g6.24xlarge": 6.6752,
    "g6.48xlarge": 13.3504,
    "g6e.xlarge": 1.861,
    "g6e.2xlarge": 2.24208,
    "g6e.4xlarge": 3.00424,
    "g6e.8xlarge": 4.52856,
    "g6e.12xlarge": 10.49264,
    "g6e.16xlarge": 7.57719,
    "g6e.24xlarge": 15.06559,
    "g6e.48xlarge": 30.13118,
    "inf2.xlarge": 0.7582,
    "inf2.8xlarge": 1.96786,
    "inf2.24xlarge": 6.49063,
    "inf2.48xlarge": 12.98127,
    "p4d.24xlarge": 21.957642,
    "p4de.24xlarge": 27.44705,
    "p5.4xlarge": 6.88,
    "p5.48xlarge": 55.04,
    "p5en.48xlarge": 63.296,
    "trn1.2xlarge": 1.34375,
    "trn1.32xlarge": 21.50,
}
# Estimates: an instance of SageMaker costs up to 1.4 times the same one of EC2.
_SAGEMAKER_PRICES: Final[Mapping[str, float]] = {f"ml.{kind}": 1.4 * price for kind, price in _PRICES.items()}


# What a resource starts


def _accelerated(kind: str) -> bool:
    return _ACCELERATED.fullmatch(kind) is not None


def _may_start_accelerators(resource: Resource) -> bool:
    def named(place: Value) -> bool:
        return _accelerated(place.text())

    def asked(place: Value) -> bool:
        return place["acceleratorCount"]["min"].number() > 0

    places = [(place, named) for path in _PLACES.get(resource.type, ()) for place in resource.properties.all_at(path)]
    if resource.type in _REQUIREMENTS:
        places += [(place, asked) for place in resource.properties.all_at(_REQUIREMENTS[resource.type])]
    return some(places, lambda found: found[1](found[0]))


# Rules


def _types_allowed(resource: Resource, settings: Settings) -> Iterator[str]:
    allowed = cast("list[str]", settings["types"])

    def of_type(place: Value) -> Iterator[str]:
        kind = place.text()
        bare = kind.removeprefix("ml.")
        if _accelerated(kind) and not any(fnmatchcase(bare, pattern) or kind == pattern for pattern in allowed):
            yield f"{place.path}: {kind} is none of the allowed accelerated types: {', '.join(allowed) or 'none is'}"

    def of_requirements(place: Value) -> Iterator[str]:
        if place["acceleratorCount"]["min"].number() <= 0:
            return
        if not place["allowedInstanceTypes"].items():
            yield f"{place.path}.allowedInstanceTypes: asks for any accelerated type; list the allowed ones"
        yield from each(place["allowedInstanceTypes"].items(), of_type)

    for path in _PLACES[resource.type]:
        yield from each(resource.properties.all_at(path), of_type)
    if resource.type in _REQUIREMENTS:
        yield from each(resource.properties.all_at(_REQUIREMENTS[resource.type]), of_requirements)


def _hourly_ceiling(resources: Sequence[Resource], settings: Settings) -> Found:
    ceiling = float(settings["usd_per_hour"])
    prices = {**_SAGEMAKER_PRICES, **_PRICES, **cast("dict[str, float]", settings["prices"])}
    parts: list[tuple[float, str]] = []

    def check(resource: Resource) -> Iterator[str]:
        for types, count in _fleets(resource, resources):
            priced: list[str] = []

            def of_type(place: Value, priced: list[str] = priced) -> Iterator[str]:
                kind = place.text()
                if kind in prices:
                    priced.append(kind)
                elif _accelerated(kind):
                    yield f"{place.path}: {kind} has no price, so that no ceiling can hold it; give one by the setting `prices`"

            try:
                yield from each(types, of_type)
            finally:
                if priced and count.state is State.KNOWN:
                    dearest = max(priced, key=lambda kind: prices[kind])
                    number = count.number(1)
                    parts.append((prices[dearest] * number, f"{resource.name} {number:g} x {dearest}"))
            if priced:
                count.number(1)

    unverified: NotVerified | None = None
    try:
        yield from each_resource(of_type(resources, *_COUNTS), check)
    except NotVerified as error:
        unverified = error
    total = sum(cost for cost, _ in parts)
    if total > ceiling:
        listed = ", ".join(f"{text} = ${cost:.2f}" for cost, text in sorted(parts, reverse=True))
        yield None, f"accelerators may cost ${total:.2f} an hour, more than ${ceiling:.2f}: {listed}"
    if unverified is not None:
        raise unverified


# How many instances a resource may start at most. Of an endpoint, and where nothing is said, it is what it starts with.
_COUNTS: Final[Mapping[str, str]] = {
    _INSTANCE: "",
    _SPOT_INSTANCE: "",
    _RESERVATION: "instanceCount",
    _NODE_GROUP: "scalingConfig.maxSize",
    _GROUP: "maxSize",
    _ENDPOINT: "",
}


def _fleets(resource: Resource, resources: Sequence[Resource]) -> list[tuple[list[Value], Value]]:
    """The sets of instances that a resource may start: the possible types of each set, and the maximum number."""
    if resource.type == _ENDPOINT:
        variants = [*resource["productionVariants"].items(), *resource["shadowProductionVariants"].items()]
        return [([variant["instanceType"]], variant["initialInstanceCount"]) for variant in variants]
    count = resource.at(_COUNTS[resource.type]) if _COUNTS[resource.type] else Value(1)
    types = [place for path in _PLACES[resource.type] for place in resource.properties.all_at(path) if place.data is not None]
    if not types:
        types = [template["instanceType"] for template in _templates(resource, resources)]
    return [(types, count)]


def _templates(resource: Resource, resources: Sequence[Resource]) -> list[Resource]:
    """The launch templates in the stack from which a resource starts its instances."""
    for name in ("launchTemplate", "mixedInstancesPolicy"):
        sources = came_from(resource, name, _TEMPLATE)
        if sources:
            return sources
    specification = resource.at("mixedInstancesPolicy.launchTemplate.launchTemplateSpecification")
    places = [resource.at("launchTemplate.id"), resource.at("launchTemplate.name")]
    places += [specification["launchTemplateId"], specification["launchTemplateName"]]
    given = {place.text() for place in places if not place.missing}
    return [template for template in of_type(resources, _TEMPLATE) if {template["id"].data, template["name"].data} & given]


def _throughput(resource: Resource, settings: Settings) -> Iterator[str]:
    units = resource["modelUnits"].number(1)
    if units > settings["model_units"]:
        yield f"modelUnits: {units:g} are billed every hour, called or not; {settings['model_units']} are allowed"
    commitment = resource["commitmentDuration"].text()
    if commitment and commitment not in cast("list[str]", settings["commitments"]):
        yield f"commitmentDuration: {commitment} is billed to its end, even when the throughput is deleted"


def _budget_present(resources: Sequence[Resource], settings: Settings) -> Found:
    if any(stack["budget_waiver"].data for stack in of_type(resources, _STACK)):
        return

    def spends(resource: Resource) -> bool:
        if resource.type in (_THROUGHPUT, _ENDPOINT, _SERVING):
            return True
        return bedrock.calls_models(resource) if resource.type in bedrock.POLICIES else _may_start_accelerators(resource)

    if some(of_type(resources, budgets.BUDGET, budgets.ANOMALIES), lambda one: budgets.tells(one, settings)):
        return
    if some(of_type(resources, *_SPENDING), spends):
        yield (
            None,
            "the stack spends on models or accelerators, but no budget in money, nor a cost anomaly subscription, tells anyone "
            "of it in time",
        )


_SPENDING: Final = (*bedrock.POLICIES, *_PLACES, _THROUGHPUT, _SERVING)

RULES: Final = (
    Rule(
        name="gpu-types-allowed",
        title="Accelerated instances are of an allowed type.",
        severity="high",
        why=(
            "One mistyped size costs as much as a fleet: a g5.xlarge is $1 an hour, a p5.48xlarge $55, which is $40,000 a"
            " month for one node that nobody noticed."
        ),
        fix="Take an allowed instance type, or have the type added to the setting `types`.",
        check=_types_allowed,
        types=tuple(_PLACES),
        settings={
            "types": Setting(
                [f"g5.{size}" for size in ("xlarge", *(f"{n}xlarge" for n in (2, 4, 8, 12, 16, 24, 48)))],
                STRINGS,
                "The accelerated instance types that may be started: names, or globs as `g6e.*`; SageMaker's without `ml.`.",
            )
        },
        url="https://aws.amazon.com/ec2/instance-types/accelerated-computing/",
    ),
    Rule(
        name="gpu-hourly-ceiling",
        title="All accelerators that a stack may start stay under an hourly ceiling.",
        severity="high",
        why=(
            "A group grows to its maximum by itself: twenty g5.12xlarge are $113 an hour, $19,000 over a week in which a queue "
            "was stuck."
        ),
        fix="Lower max_size or the instance size, or have the setting `usd_per_hour` raised by who pays.",
        check_stack=_hourly_ceiling,
        types=(*_COUNTS, _TEMPLATE),
        settings={
            "usd_per_hour": Setting(
                20, {"type": "number", "minimum": 0}, "US dollars an hour, at on-demand prices of us-east-1."
            ),
            "prices": Setting(
                {},
                {"type": "object", "additionalProperties": {"type": "number", "minimum": 0}},
                "US dollars an hour by instance type: of those without a price, or instead of an estimate (ml.g5.xlarge).",
            ),
        },
        url="https://aws.amazon.com/ec2/pricing/on-demand/",
    ),
    Rule(
        name="bedrock-throughput-bounded",
        title="Provisioned throughput of a model is within bounds, and without commitment.",
        severity="high",
        why=(
            "A model unit is billed by the hour, called or not. At $20 an hour a forgotten one is $14,600 a month, and with a "
            "commitment of six months $88,000 that no deletion gives back."
        ),
        fix="Fewer model_units, no commitment_duration; or settings that who pays has raised.",
        check=_throughput,
        types=(_THROUGHPUT,),
        settings={
            "model_units": Setting(1, {"type": "integer", "minimum": 0}, "The most model units of one provisioned throughput."),
            "commitments": Setting([], STRINGS, "The commitments that may be entered: OneMonth, SixMonths."),
        },
        url="https://docs.aws.amazon.com/bedrock/latest/userguide/prov-throughput.html",
    ),
    Rule(
        name="budget-present",
        title="A stack that spends on models or accelerators has a budget that tells someone.",
        severity="medium",
        why=(
            "The bill comes once a month: a leaked key or a forgotten node is found after 30 days instead of one, at $24 a day "
            "for the smallest GPU and without any bound for model calls."
        ),
        fix=(
            "aws.budgets.Budget with notifications, or aws.costexplorer.AnomalySubscription with subscribers. Where another "
            "stack makes them, export an output `budget_waiver` whose text says so."
        ),
        check_stack=_budget_present,
        types=(budgets.BUDGET, budgets.ANOMALIES, _STACK, *_SPENDING),
        settings=budgets.LIMITS,
        url="https://docs.aws.amazon.com/cost-management/latest/userguide/budgets-managing-costs.html",
    ),
)
