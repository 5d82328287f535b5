"""How many nodes the servers of models keep while nobody calls: KEDA's least number of servers, through the day."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from pulumi_llm.cost.charge import Resource, of_type

NODE_GROUP: Final = "aws:eks/nodeGroup:NodeGroup"
DEPLOYMENT: Final = "kubernetes:apps/v1:Deployment"
_SCALED_OBJECT: Final = "kubernetes:keda.sh/v1alpha1:ScaledObject"
_GPU: Final = "nvidia.com/gpu"
_PAUSED: Final = "autoscaling.keda.sh/paused-replicas"
_DAY: Final = 24 * 60


class _Servers(NamedTuple):
    """The servers of a Deployment: the GPUs of each, the labels of their nodes, and KEDA's object that scales them."""

    gpus: int
    node_labels: Mapping[str, str]
    scaled: Mapping[str, Any]


def kept_nodes(group: Resource, gpus: int, resources: Sequence[Resource]) -> float:
    """Return how many nodes of a group stay on average through a day. It is at least the group's own bound.

    Where groups have the same labels, those on demand are filled before those of spot instances.

    Args:
        group: The node group.
        gpus: The GPUs of one of its nodes.
        resources: All of the program.
    """
    low, high = node_bounds(group)
    labels: Mapping[str, str] = group.inputs.get("labels") or {}
    servers = [each for each in _servers(resources) if each.node_labels and each.node_labels.items() <= labels.items()]
    if not servers or not gpus:
        return low
    before = sum(node_bounds(other)[1] for other in _filled_before(group, resources))

    def at(minute: int) -> float:
        needed = math.ceil(sum(_floor(each.scaled, minute) * each.gpus for each in servers) / gpus)
        return min(max(needed - before, low), high)

    return sum(map(at, range(_DAY))) / _DAY


def node_bounds(group: Resource) -> tuple[float, float]:
    """Return the least and the most nodes of a group."""
    scaling: Mapping[str, Any] = group.inputs["scalingConfig"]
    return float(scaling["minSize"]), float(scaling["maxSize"])


def _filled_before(group: Resource, resources: Sequence[Resource]) -> Iterator[Resource]:
    if group.inputs.get("capacityType") != "SPOT":
        return
    for other in of_type(resources, NODE_GROUP):
        same = all(other.inputs.get(key) == group.inputs.get(key) for key in ("clusterName", "labels"))
        if same and other.inputs.get("capacityType") != "SPOT":
            yield other


def _servers(resources: Sequence[Resource]) -> Iterator[_Servers]:
    """The servers that KEDA scales, and that ask for GPUs."""
    deployments: dict[tuple[str, str], Resource] = {_key(each): each for each in of_type(resources, DEPLOYMENT)}
    for scaled in of_type(resources, _SCALED_OBJECT):
        deployment = deployments.get((_key(scaled)[0], scaled.inputs["spec"]["scaleTargetRef"]["name"]))
        if deployment is None:
            continue
        pod: Mapping[str, Any] = deployment.inputs["spec"]["template"]["spec"]
        containers: Sequence[Mapping[str, Any]] = pod["containers"]
        if gpus := sum(map(_gpu_limit, containers)):
            yield _Servers(gpus, pod.get("nodeSelector") or {}, scaled.inputs)


def _gpu_limit(container: Mapping[str, Any]) -> int:
    resources: Mapping[str, Mapping[str, Any]] = container.get("resources") or {}
    return int((resources.get("limits") or {}).get(_GPU, 0))


def _key(resource: Resource) -> tuple[str, str]:
    """The namespace and the name of an object."""
    metadata: Mapping[str, Any] = resource.inputs["metadata"]
    return str(metadata.get("namespace", "")), str(metadata.get("name", ""))


def _floor(scaled: Mapping[str, Any], minute: int) -> float:
    """The least number of servers at a minute of the day. Cron triggers raise it; those that are not daily are left out.

    https://keda.sh/docs/latest/scalers/cron/
    """
    annotations: Mapping[str, str] = scaled["metadata"].get("annotations") or {}
    if _PAUSED in annotations:
        return float(annotations[_PAUSED])
    spec: Mapping[str, Any] = scaled["spec"]
    crons: list[Mapping[str, str]] = [each["metadata"] for each in spec["triggers"] if each["type"] == "cron"]
    active = [float(each["desiredReplicas"]) for each in crons if _is_active(each["start"], each["end"], minute)]
    return max([float(spec.get("minReplicaCount", 0)), *active])


def _is_active(start: str, end: str, minute: int) -> bool:
    first, last = _minute(start), _minute(end)
    if first is None or last is None:
        return False
    return first <= minute < last if first <= last else minute >= first or minute < last


def _minute(cron: str) -> int | None:
    """The minute of the day at which a daily cron expression is due."""
    daily = re.fullmatch(r"(\d+) (\d+) \* \* \*", cron)
    return None if daily is None else int(daily[2]) * 60 + int(daily[1])
