"""The nodes of a cluster: instances with their volumes, from those that stay to the most that there may be."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pulumi_llm.cost.charge import Charge, Resource, Unpriced, charge, counted, of_type
from pulumi_llm.cost.kept_nodes import kept_nodes, node_bounds
from pulumi_llm.cost.prices import Price, price_table
from pulumi_llm.models.gpu_instances import gpu_instances


def node_group_charges(group: Resource, resources: Sequence[Resource]) -> Iterator[Charge]:
    """Yield the charges from the nodes that stay to the most, each with the volumes of its launch template.

    Of several instance types, the cheapest and the dearest.
    """
    low, high = node_bounds(group)
    nodes = f"{low:g} to {high:g} nodes" if low != high else counted(low, "node")
    types = _instance_types(group, resources)
    capacity = group.inputs.get("capacityType") or "ON_DEMAND"
    if capacity == "CAPACITY_BLOCK":
        raise Unpriced("a Capacity Block is paid in advance, at a price of its own")
    prices = sorted((_instance(kind) for kind in types), key=lambda price: price.usd)
    kept = kept_nodes(group, min(_gpus(kind) for kind in types), resources)
    if kept > low:
        nodes += f", {kept:.3g} of them kept by servers on average"
    dearest = prices[-1]
    spot = "; at the price on demand, which Spot stays below" if capacity == "SPOT" else ""
    yield Charge(dearest, kept * prices[0].usd / dearest.usd, high, f"{nodes}{spot}")
    for each in _volumes(group, resources):
        yield each._replace(low=each.low * kept, high=each.high * high, note=f"{each.note} in each of {nodes}")


def _instance_types(group: Resource, resources: Sequence[Resource]) -> Sequence[str]:
    """The group's own, its launch template's, or EKS's default.

    https://docs.aws.amazon.com/eks/latest/APIReference/API_CreateNodegroup.html
    """
    if types := group.inputs.get("instanceTypes"):
        return types
    template = _launch_template(group, resources)
    return [template.inputs["instanceType"]] if template is not None and "instanceType" in template.inputs else ["t3.medium"]


def _gpus(kind: str) -> int:
    instance = gpu_instances().get(kind)
    return instance.gpus if instance is not None else 0


def _instance(kind: str) -> Price:
    prices = price_table().instances
    if kind not in prices:
        raise Unpriced(f"there is no price for the instance type {kind}")
    return prices[kind]


def _launch_template(group: Resource, resources: Sequence[Resource]) -> Resource | None:
    named: Mapping[str, Any] | None = group.inputs.get("launchTemplate")
    if not named:
        return None
    templates = of_type(resources, "aws:ec2/launchTemplate:LaunchTemplate")
    found = next((t for t in templates if named.get("id") == t.id or named.get("name") == t.state.get("name")), None)
    if found is None:
        raise Unpriced("its launch template is not in the program, which says its volumes")
    return found


def _volumes(group: Resource, resources: Sequence[Resource]) -> Iterator[Charge]:
    """The volumes of one node. A group without a template has one of 20 GB.

    https://docs.aws.amazon.com/eks/latest/APIReference/API_CreateNodegroup.html
    """
    template = _launch_template(group, resources)
    if template is None:
        size = float(group.inputs.get("diskSize") or 20)
        yield charge("ebs_gp3", size, note=f"{size:g} GB")
        return
    mappings: Sequence[Mapping[str, Any]] = template.inputs.get("blockDeviceMappings") or ()
    volumes: list[Mapping[str, Any]] = [each["ebs"] for each in mappings if each.get("ebs")]
    if not volumes or any("volumeSize" not in volume for volume in volumes):
        raise Unpriced("its launch template says no size of a volume, so that the image decides")
    for volume in volumes:
        kind, size = volume.get("volumeType") or "gp2", float(volume["volumeSize"])
        if kind not in ("gp2", "gp3"):
            raise Unpriced(f"there is no price for a volume of the type {kind}")
        yield charge(f"ebs_{kind}", size, note=f"{size:g} GB")
        if kind == "gp3":
            for name, included in (("iops", 3000), ("throughput", 125)):
                more = float(volume.get(name) or included) - included
                if more > 0:
                    yield charge(f"ebs_gp3_{name}", more, note=f"{more:g} more")
