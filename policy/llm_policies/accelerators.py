"""Accelerators: which resource types start instances that have some, how many of them, and what they cost."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final, Literal

from llm_policies import karpenter
from llm_policies.rule import Resource
from llm_policies.stacks import came_from, of_type, refers
from llm_policies.values import State, Value, each, some

INSTANCE: Final = "aws:ec2/instance:Instance"
SPOT_INSTANCE: Final = "aws:ec2/spotInstanceRequest:SpotInstanceRequest"
TEMPLATE: Final = "aws:ec2/launchTemplate:LaunchTemplate"
CONFIGURATION: Final = "aws:ec2/launchConfiguration:LaunchConfiguration"
EC2_FLEET: Final = "aws:ec2/fleet:Fleet"
SPOT_FLEET: Final = "aws:ec2/spotFleetRequest:SpotFleetRequest"
NODE_GROUP: Final = "aws:eks/nodeGroup:NodeGroup"
GROUP: Final = "aws:autoscaling/group:Group"
BATCH: Final = "aws:batch/computeEnvironment:ComputeEnvironment"
ENDPOINT: Final = "aws:sagemaker/endpointConfiguration:EndpointConfiguration"
SERVING: Final = "aws:sagemaker/endpoint:Endpoint"
SCALED: Final = "aws:appautoscaling/target:Target"
SCHEDULE: Final = "aws:autoscaling/schedule:Schedule"
BLOCK: Final = "aws:ec2/capacityBlockReservation:CapacityBlockReservation"
MANAGED: Final = "aws:ecs/capacityProvider:CapacityProvider"

Unit = Literal["instances", "vCPUs", "GPUs"]


@dataclass(frozen=True)
class _Place:
    """Where a type says which instances it starts, and how many at most."""

    holders: str
    """The path of the maps that each have an instance type; `[]` stands for every item of a list."""
    kind: str = ""
    """The instance type in such a map; if empty, the holder is itself one."""
    count: str = ""
    """The path of their number, together; if empty, it is one."""
    each: tuple[str, ...] = ()
    """The paths of the number in each holder, where each starts instances of its own. The greatest counts."""
    weight: str = ""
    """How much of the number an instance is, in each holder."""
    unit: Unit = "instances"
    bound: bool = True
    """Whether it starts instances itself; a default of others does not."""


_OVERRIDES: Final = "mixedInstancesPolicy.launchTemplate.overrides[]"
_STUDIO: Final = ("codeEditorAppSettings", "jupyterLabAppSettings", "jupyterServerAppSettings", "kernelGatewayAppSettings")


def _studio(*within: str, bound: bool = False) -> tuple[_Place, ...]:
    apps = (*_STUDIO, *(() if bound else ("rSessionAppSettings", "tensorBoardAppSettings")))
    return tuple(_Place(f"{place}.{app}.defaultResourceSpec", "instanceType", bound=bound) for place in within for app in apps)


def _training(within: str) -> tuple[_Place, ...]:
    return (
        _Place(f"{within}resourceConfig", "instanceType", each=("instanceCount",)),
        _Place(f"{within}resourceConfig.instanceGroups[]", "instanceType", each=("instanceCount",)),
    )


_SCALING: Final = ("initialInstanceCount", "managedInstanceScaling.maxInstanceCount")

_PLACES: Final[Mapping[str, tuple[_Place, ...]]] = {
    INSTANCE: (_Place("", "instanceType"),),
    SPOT_INSTANCE: (_Place("", "instanceType"),),
    "aws:ec2/capacityReservation:CapacityReservation": (_Place("", "instanceType", "instanceCount"),),
    "aws:ec2/dedicatedHost:DedicatedHost": (_Place("", "instanceType"), _Place("", "instanceFamily")),
    TEMPLATE: (_Place("", "instanceType", bound=False),),
    CONFIGURATION: (_Place("", "instanceType", bound=False),),
    EC2_FLEET: (
        _Place(
            "launchTemplateConfigs[].overrides[]",
            "instanceType",
            "targetCapacitySpecification.totalTargetCapacity",
            weight="weightedCapacity",
        ),
    ),
    SPOT_FLEET: (
        _Place("launchSpecifications[]", "instanceType", "targetCapacity", weight="weightedCapacity"),
        _Place("launchTemplateConfigs[].overrides[]", "instanceType", "targetCapacity", weight="weightedCapacity"),
    ),
    NODE_GROUP: (_Place("instanceTypes[]", "", "scalingConfig.maxSize"),),
    GROUP: (_Place(_OVERRIDES, "instanceType", "maxSize", weight="weightedCapacity"),),
    BATCH: (_Place("computeResources.instanceTypes[]", "", "computeResources.maxVcpus", unit="vCPUs"),),
    ENDPOINT: (
        _Place("productionVariants[]", "instanceType", each=_SCALING),
        _Place("shadowProductionVariants[]", "instanceType", each=_SCALING),
    ),
    "aws:sagemaker/notebookInstance:NotebookInstance": (_Place("", "instanceType"),),
    "aws:sagemaker/app:App": (_Place("resourceSpec", "instanceType"),),
    "aws:sagemaker/space:Space": _studio("spaceSettings", bound=True),
    "aws:sagemaker/domain:Domain": _studio("defaultUserSettings", "defaultSpaceSettings"),
    "aws:sagemaker/userProfile:UserProfile": _studio("userSettings"),
    "aws:sagemaker/trainingJob:TrainingJob": _training(""),
    "aws:sagemaker/hyperParameterTuningJob:HyperParameterTuningJob": (
        *_training("trainingJobDefinition."),
        *_training("trainingJobDefinitions[]."),
        *(
            _Place(f"{held}.hyperParameterTuningResourceConfig{more}", "instanceType", each=("instanceCount",))
            for held in ("trainingJobDefinition", "trainingJobDefinitions[]")
            for more in ("", ".instanceConfigs[]")
        ),
    ),
    "aws:sagemaker/dataQualityJobDefinition:DataQualityJobDefinition": (
        _Place("jobResources.clusterConfig", "instanceType", each=("instanceCount",)),
    ),
    "aws:codebuild/fleet:Fleet": (
        _Place("computeConfiguration", "instanceType", "baseCapacity"),
        _Place("", "environmentType", "baseCapacity"),
    ),
    "aws:emr/cluster:Cluster": (
        _Place("masterInstanceGroup", "instanceType", each=("instanceCount",)),
        _Place("coreInstanceGroup", "instanceType", each=("instanceCount",)),
        _Place("coreInstanceFleet.instanceTypeConfigs[]", "instanceType", "coreInstanceFleet.targetOnDemandCapacity"),
    ),
    "aws:emr/instanceGroup:InstanceGroup": (_Place("", "instanceType", "instanceCount"),),
    "aws:gamelift/fleet:Fleet": (_Place("", "ec2InstanceType"),),
    "aws:appstream/fleet:Fleet": (_Place("", "instanceType", "computeCapacity.desiredInstances"),),
    "aws:appstream/imageBuilder:ImageBuilder": (_Place("", "instanceType"),),
    "aws:workspaces/workspace:Workspace": (_Place("workspaceProperties", "computeTypeName"),),
}
# Where a type holds a template of resources as text, JSON or YAML, and what fills it.
_BODIES: Final[Mapping[str, tuple[str, ...]]] = {
    "aws:cloudcontrol/resource:Resource": ("desiredState",),
    "aws:cloudformation/stack:Stack": ("templateBody", "parameters"),
    "aws:cloudformation/stackSet:StackSet": ("templateBody", "parameters"),
}
# In such a text: what follows a key such as InstanceType, one or a list, and the types in it.
_IN_BODY: Final = re.compile(r"InstanceTypes?[\"']?\s*:\s*(\[[^\]]*|(?:\s*-[^\n]*)+|[^\n,}]*)")
_KIND: Final = re.compile(r"(?<![\w.])(?:ml\.)?[a-z][\w-]*(?:\.[\w*-]+)?")
# Where a type asks for instances by what they have, instead of by name.
_TEMPLATES: Final = "launchTemplateConfigs[].overrides[].instanceRequirements"
_REQUIREMENTS: Final[Mapping[str, tuple[str, str]]] = {
    TEMPLATE: ("instanceRequirements", ""),
    GROUP: (f"{_OVERRIDES}.instanceRequirements", "maxSize"),
    EC2_FLEET: (_TEMPLATES, "targetCapacitySpecification.totalTargetCapacity"),
    SPOT_FLEET: (_TEMPLATES, "targetCapacity"),
    MANAGED: ("managedInstancesProvider.instanceLaunchTemplate.instanceRequirements", ""),
}

TYPES: Final = (*_PLACES, *_BODIES, MANAGED, *karpenter.TYPES)
"""The types that start instances, or say of which type others are started."""

# GPUs, AWS's own accelerators and FPGAs: the families that AWS calls accelerated computing. A family's name may end its text,
# as where AWS Batch takes a family instead of a size, and a glob may stand for one. https://aws.amazon.com/ec2/instance-types/accelerated-computing/
_ACCELERATED: Final = re.compile(
    r"(ml\.)?(\*.*|(g|gr|p|trn|inf|dl|vt|f)[\d*][a-z0-9*-]*(\..+)?)|stream\.graphics.*|GRAPHICS.*|[A-Z]+_GPU_CONTAINER"
)

# US dollars an hour: on demand, Linux, us-east-1, as the AWS Price List had them on 2026-09-24 (offer AmazonEC2; taken from a
# table that was held against it, not from the offer itself). Other regions and SageMaker cost more. The setting `prices` adds
# to these, and has precedence.
_LISTED: Final[Mapping[str, float]] = {
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
_ESTIMATES: Final[Mapping[str, float]] = {f"ml.{kind}": 1.4 * price for kind, price in _LISTED.items()}
PRICES: Final[Mapping[str, float]] = {**_ESTIMATES, **_LISTED}
# GPUs of an instance, where it has more than one. https://docs.aws.amazon.com/ec2/latest/instancetypes/ac.html
_GPUS: Final[Mapping[str, int]] = {
    **{f"{family}.{size}": 4 for family in ("g5", "g6", "g6e") for size in ("12xlarge", "24xlarge")},
    **{f"{family}.48xlarge": 8 for family in ("g5", "g6", "g6e", "p5", "p5en")},
    **{"g4dn.12xlarge": 4, "p4d.24xlarge": 8, "p4de.24xlarge": 8},
    **{"inf2.24xlarge": 6, "inf2.48xlarge": 12, "trn1.32xlarge": 16},
}


def accelerated(kind: str) -> bool:
    """Whether an instance type, a family or a glob has accelerators."""
    return _ACCELERATED.fullmatch(kind) is not None


def allowed(kind: str, patterns: Sequence[str]) -> bool:
    """Whether an accelerated type, family or glob is one of those allowed: names, or globs. Of SageMaker's, without `ml.`."""
    bare = kind.removeprefix("ml.")
    if any(fnmatchcase(bare, pattern) or kind == pattern for pattern in patterns):
        return True
    held = _sizes(bare, PRICES) if "." not in bare or bare.endswith(".*") else []
    return bool(held) and all(any(fnmatchcase(size, pattern) for pattern in patterns) for size in held)


def _sizes(kind: str, prices: Mapping[str, float]) -> list[str]:
    """The types with a price that a name, a family or a glob stands for."""
    if kind in prices:
        return [kind]
    pattern = kind if "*" in kind else f"{kind}.*"
    return [name for name in prices if fnmatchcase(name, pattern)]


def named(resource: Resource) -> list[Value]:
    """All places where a resource says an instance type. Raises `NotVerified` if a list of them is unknown."""
    if resource.type in _BODIES:
        return [kind for path in _BODIES[resource.type] for kind in _named_in(resource[path])]
    return [
        holder[place.kind] if place.kind else holder
        for place in _PLACES.get(resource.type, ())
        for holder in resource.properties.all_at(place.holders)
    ]


def _named_in(body: Value) -> list[Value]:
    """The instance types in a template, or in the parameters that fill one."""
    if isinstance(body.plain, Mapping):
        return [value for value in body.entries().values() if "." in value.text() and _KIND.fullmatch(value.text())]
    kinds = [kind for found in _IN_BODY.findall(body.text()) for kind in _KIND.findall(found)]
    return [Value(kind, body.path, body.origin) for kind in kinds]


def required(resource: Resource) -> list[Value]:
    """All places where a resource asks for instances with accelerators by what they have."""
    path = _REQUIREMENTS.get(resource.type, ("", ""))[0]
    return [place for place in resource.properties.all_at(path) if _asks(place)] if path else []


def _asks(place: Value) -> bool:
    """Whether requirements can only be met by accelerators, or name some."""
    if place["acceleratorCount"]["min"].number() > 0:
        return True
    return any(place[name].items() for name in ("acceleratorNames", "acceleratorTypes", "acceleratorManufacturers"))


def may_start(resource: Resource) -> bool:
    """Whether a resource may start instances with accelerators. Raises `NotVerified` if that is unknown."""
    if resource.type in karpenter.TYPES:
        return some(karpenter.pools(resource), lambda pool: any(accelerated(kind) for kind in pool.kinds))
    if some(named(resource), lambda place: accelerated(place.text())):
        return True
    return resource.type == BLOCK or bool(required(resource))


# How many


@dataclass(frozen=True)
class Fleet:
    """Instances that a resource may start: their possible types, each with its weight, and how many at most."""

    kinds: Sequence[tuple[Value, Value]]
    count: Value
    unit: Unit = "instances"

    def is_priced(self, prices: Mapping[str, float]) -> bool:
        return any(kind.state is State.KNOWN and _sizes(kind.text(), prices) for kind, _ in self.kinds)

    def without_price(self, prices: Mapping[str, float]) -> Iterator[str]:
        """Yield what has no price. Raises `NotVerified` at the end if a type is unknown."""
        yield from each((kind for kind, _ in self.kinds), lambda kind: _unpriced(kind, prices))

    def dearest(self, prices: Mapping[str, float]) -> tuple[float, str]:
        """The greatest cost of an hour, and its instances. Raises `NotVerified` if their number is unknown."""
        found = [(0.0, "")]
        for kind, weight in self.kinds:
            if State.UNKNOWN in (kind.state, weight.state) or kind.missing:
                continue
            for name in _sizes(kind.text(), prices):
                size = {"instances": 1.0, "vCPUs": _vcpus(name), "GPUs": _GPUS.get(name, 1)}[self.unit]
                number = math.ceil(self.count.number(1) / (size * _weight(weight)))
                found.append((number * prices[name], f"{number:g} x {name}"))
        return max(found)


def _unpriced(kind: Value, prices: Mapping[str, float]) -> Iterator[str]:
    name = kind.text()
    if accelerated(name) and not _sizes(name, prices):
        yield f"{kind.path}: {name} has no price, so that no ceiling can hold it; give one by the setting `prices`"


def _weight(value: Value) -> float:
    """How much of a fleet's capacity an instance is: a number, or one as text."""
    return max(float(found[0]), 1) if (found := re.match(r"\d+(\.\d+)?", value.text())) else 1


def _vcpus(name: str) -> float:
    """The vCPUs of an instance, from its size. https://docs.aws.amazon.com/ec2/latest/instancetypes/ac.html"""
    times = re.search(r"\.(\d*)xlarge", name)
    return 4.0 * int(times[1] or 1) if times else 2.0


def fleets(resource: Resource, resources: Sequence[Resource]) -> Iterator[Fleet]:
    """The sets of instances that a resource starts. Raises `NotVerified` at the end for one that is unknown."""
    yield from each(_PLACES.get(resource.type, ()), lambda place: _fleets_at(place, resource, resources))
    if resource.type in _REQUIREMENTS and resource.type not in (TEMPLATE, MANAGED):
        count = _REQUIREMENTS[resource.type][1]
        kinds = [kind for place in required(resource) for kind in place["allowedInstanceTypes"].items()]
        if kinds:
            yield Fleet([(kind, Value(1)) for kind in kinds], _count(count, resource, resources))
    # A type that the launch template alone says.
    if resource.type in _LAUNCHING and not any(kind.data for kind in named(resource)):
        sources = [(source["instanceType"], Value(1)) for source in _launched(resource, resources)]
        sources += [
            (kind, Value(1))
            for source in _launched(resource, resources)
            for place in required(source)
            for kind in place["allowedInstanceTypes"].items()
        ]
        if sources:
            yield Fleet(sources, _count(_LAUNCHING[resource.type], resource, resources))


_LAUNCHING: Final[Mapping[str, str]] = {
    INSTANCE: "",
    NODE_GROUP: "scalingConfig.maxSize",
    GROUP: "maxSize",
    EC2_FLEET: "targetCapacitySpecification.totalTargetCapacity",
    SPOT_FLEET: "targetCapacity",
}


def _fleets_at(place: _Place, resource: Resource, resources: Sequence[Resource]) -> Iterator[Fleet]:
    if not place.bound:
        return
    holders = resource.properties.all_at(place.holders)
    kinds = [
        (holder[place.kind] if place.kind else holder, holder[place.weight] if place.weight else Value(1)) for holder in holders
    ]
    if place.each:
        for holder, kind in zip(holders, kinds, strict=True):
            yield Fleet([kind], _most([*(holder.at(path) for path in place.each), *_scaled(holder, resource, resources)]))
    elif any(kind.data is not None for kind, _ in kinds):
        yield Fleet(kinds, _count(place.count, resource, resources), place.unit)


def _count(path: str, resource: Resource, resources: Sequence[Resource]) -> Value:
    """The number of instances at a path, or to which a schedule raises a group's maximum."""
    count = resource.at(path) if path else Value(1)
    schedules = [one for one in of_type(resources, SCHEDULE) if resource.type == GROUP and _belongs(one, resource)]
    return _most([count, *(one["maxSize"] for one in schedules)]) if schedules else count


def _belongs(schedule: Resource, group: Resource) -> bool:
    if schedule["autoscalingGroupName"].state is State.UNKNOWN:
        return any(source.urn == group.urn for source in came_from(schedule, "autoscalingGroupName", GROUP))
    return refers(schedule, "autoscalingGroupName", group, "name", "id")


def _most(counts: Sequence[Value]) -> Value:
    """The greatest of several numbers; one that is unknown, if one is."""
    unknown = next((count for count in counts if count.state is State.UNKNOWN), None)
    return unknown or Value(max((count.number(1) for count in counts if not count.missing), default=1))


def _scaled(variant: Value, resource: Resource, resources: Sequence[Resource]) -> list[Value]:
    """The numbers to which Application Auto Scaling may take a variant of an endpoint's."""
    if resource.type != ENDPOINT:
        return []
    return [target["maxCapacity"] for target in of_type(resources, SCALED) if _scales(target, variant)]


def _scales(target: Resource, variant: Value) -> bool:
    place = target["resourceId"]
    if place.state is State.UNKNOWN or not place.text().startswith("endpoint/"):
        return bool(came_from(target, "resourceId", SERVING))
    return variant["variantName"].data in (None, place.text().rpartition("/")[2])


def _launched(resource: Resource, resources: Sequence[Resource]) -> list[Resource]:
    """The launch templates, or the configuration, in the stack from which a resource starts its instances."""
    for name in ("launchTemplate", "mixedInstancesPolicy", "launchTemplateConfigs", "launchConfiguration"):
        sources = came_from(resource, name, TEMPLATE, CONFIGURATION)
        if sources:
            return sources
    configuration = resource["launchConfiguration"]
    if not configuration.missing:
        return [one for one in of_type(resources, CONFIGURATION) if refers(resource, "launchConfiguration", one, "name", "id")]
    specifications = [
        resource["launchTemplate"],
        resource.at("mixedInstancesPolicy.launchTemplate.launchTemplateSpecification"),
    ]
    specifications += [one["launchTemplateSpecification"] for one in resource["launchTemplateConfigs"].items()]
    places = [one[name] for one in specifications for name in ("id", "name", "launchTemplateId", "launchTemplateName")]
    given = {place.text() for place in places if not place.missing}
    return [template for template in of_type(resources, TEMPLATE) if {template["id"].data, template["name"].data} & given]


# What no ceiling can hold


def unbounded(resource: Resource, resources: Sequence[Resource]) -> Iterator[str]:
    """Yield a line for what starts accelerators without a number or a price that the program says."""
    if resource.type == BLOCK:
        yield "capacityBlockOfferingId: a block of accelerators is paid as it is made, at a price that the program does not say"
    if resource.type in _BODIES:
        for kind in named(resource):
            if accelerated(kind.text()):
                yield f"{kind.path}: {kind.text()}, of which nobody counts how many: make them as resources of pulumi_aws"
    for place in required(resource) if resource.type != TEMPLATE else ():
        if resource.type == MANAGED:
            yield f"{place.path}: starts accelerated instances for as long as tasks ask for them; use an Auto Scaling group"
        elif not place["allowedInstanceTypes"].items():
            yield f"{place.path}.allowedInstanceTypes: any accelerated type may be started, at any price; list those that may"
    if (
        resource.type == SCALED
        and resource["scalableDimension"].equals("sagemaker:variant:DesiredInstanceCount")
        and not of_type(resources, ENDPOINT)
    ):
        most = resource["maxCapacity"].number()
        yield f"maxCapacity: {most:g} instances of an endpoint of another stack, at a price that this program does not say"


COUNTED: Final = (*_PLACES, *_BODIES, MANAGED, BLOCK, SCALED, SCHEDULE, SERVING)
"""The types that are read to count instances."""
