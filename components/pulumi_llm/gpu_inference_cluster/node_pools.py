"""The nodes: a group for what the cluster itself needs, and for each pool one on demand and one of spot instances."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import pulumi
from pulumi_aws import autoscaling, ec2, eks, iam

from pulumi_llm.base.component import Component
from pulumi_llm.base.iam import allow, assume_role, policy_document
from pulumi_llm.base.location import Location
from pulumi_llm.gpu_inference_cluster.args import (
    GpuInferenceClusterSettings,
    NodeBoundsSettings,
    NodePoolSettings,
)
from pulumi_llm.gpu_inference_cluster.cluster import Cluster
from pulumi_llm.gpu_inference_cluster.workloads.place import GPU_RESOURCE, GPU_TAINT, POOL_LABEL
from pulumi_llm.models.gpu_instances import gpu_instances

# The network's permissions are those of the VPC CNI's own role.
# https://docs.aws.amazon.com/eks/latest/userguide/create-node-role.html
NODE_POLICIES: Final = ("AmazonEKSWorkerNodePolicy", "AmazonEC2ContainerRegistryPullOnly")
# What Session Manager needs alone, besides registering the node. AmazonSSMManagedInstanceCore reads all of the account's
# parameters.
# https://docs.aws.amazon.com/systems-manager/latest/userguide/getting-started-create-iam-instance-profile.html
_SESSIONS: Final = (
    "ssmmessages:CreateControlChannel",
    "ssmmessages:CreateDataChannel",
    "ssmmessages:OpenControlChannel",
    "ssmmessages:OpenDataChannel",
)

# The root disk of Amazon Linux 2023.
_ROOT_DEVICE: Final = "/dev/xvda"
_SYSTEM_VOLUME_GIB: Final = 50

# By this label Cluster Autoscaler knows that a node has GPUs, and waits until the device plugin has told of them.
# https://github.com/kubernetes/autoscaler/blob/master/cluster-autoscaler/cloudprovider/aws/README.md
_ACCELERATOR_LABEL: Final = "k8s.amazonaws.com/accelerator"
# Where the device plugin's DaemonSet runs, by its chart.
_HAS_GPU_LABEL: Final = "nvidia.com/gpu.present"
# From these tags of an Auto Scaling group the autoscaler knows what its nodes are like while there are none.
_TEMPLATE: Final = "k8s.io/cluster-autoscaler/node-template"

# Until a node is drained (15 minutes at most), its successor is there, and the servers that have moved are ready.
_NODE_MINUTES: Final = 30
_GROUP_MINUTES: Final = 60

ON_DEMAND: Final = "on-demand"
SPOT: Final = "spot"


class Group(NamedTuple):
    """A node group that is to be made."""

    pool: str
    capacity: str
    settings: NodePoolSettings
    bounds: NodeBoundsSettings

    @property
    def suffix(self) -> str:
        """What tells it from the others."""
        return f"{self.pool}-{self.capacity}"


def groups(settings: GpuInferenceClusterSettings) -> Iterator[Group]:
    """Yield the groups of GPU nodes."""
    for name, pool in sorted(settings.node_pools.items()):
        if pool is None or not pool.valid("instance_type", "on_demand", "spot"):  # pyright: ignore[reportUnnecessaryComparison]
            continue  # it was reported
        for capacity, bounds in ((ON_DEMAND, pool.on_demand), (SPOT, pool.spot)):
            if bounds.max:
                yield Group(name, capacity, pool, bounds)


def template_tags(group: Group) -> dict[str, str]:
    """The autoscaler's tags of a group, by what tells their resources apart."""
    instance = gpu_instances()[group.settings.instance_type]
    return {
        "gpu": f"{_TEMPLATE}/resources/{GPU_RESOURCE}={instance.gpus}",
        "disk": f"{_TEMPLATE}/resources/ephemeral-storage={group.settings.allocatable_gib}Gi",
        "pool": f"{_TEMPLATE}/label/{POOL_LABEL}={group.pool}",
        "accelerator": f"{_TEMPLATE}/label/{_ACCELERATOR_LABEL}={_accelerator(group)}",
        "taint": f"{_TEMPLATE}/taint/{GPU_TAINT}=true:NoSchedule",
    }


def create_nodes(
    component: Component,
    settings: GpuInferenceClusterSettings,
    location: Location,
    account: pulumi.Output[str],
    cluster: Cluster,
    before: Sequence[pulumi.Resource],
) -> tuple[iam.Role, eks.NodeGroup, list[eks.NodeGroup]]:
    """Make the nodes' role, the system group and the groups of the pools, each with a launch template."""
    role, policies = _node_role(component, location, account)
    waited_for = [*before, *policies]
    system = _system_group(component, settings, cluster, role, waited_for)
    pools = [_gpu_group(component, settings, cluster, role, group, waited_for) for group in groups(settings)]
    return role, system, pools


def _node_role(component: Component, location: Location, account: pulumi.Output[str]) -> tuple[iam.Role, list[pulumi.Resource]]:
    role = iam.Role(
        component.child_name("node-role"),
        description="Nodes join the cluster, pull images, and can be entered by Session Manager",
        assume_role_policy=json.dumps(assume_role("ec2.amazonaws.com")),
        tags=component.tags,
        opts=component.child("node-role"),
    )
    instances = pulumi.Output.concat(f"arn:{location.partition}:ec2:{location.region}:", account, ":instance/*")
    statements = [
        allow("RegisterNodes", ["ssm:UpdateInstanceInformation"], instances),
        allow("Sessions", _SESSIONS, "*"),
    ]
    sessions = iam.RolePolicy(
        component.child_name("session-policy"),
        role=role.name,
        policy=pulumi.Output.json_dumps(policy_document(*statements)),
        opts=component.child("session-policy"),
    )
    attached = [
        iam.RolePolicyAttachment(
            f"{component.child_name('node-policy')}-{policy}",
            role=role.name,
            policy_arn=f"arn:{location.partition}:iam::aws:policy/{policy}",
            opts=component.child("node-policy"),
        )
        for policy in NODE_POLICIES
    ]
    return role, [*attached, sessions]


def _system_group(
    component: Component,
    settings: GpuInferenceClusterSettings,
    cluster: Cluster,
    role: iam.Role,
    waited_for: Sequence[pulumi.Resource],
) -> eks.NodeGroup:
    template = _launch_template(
        component, "system-launch-template", "", {"volume_size": _SYSTEM_VOLUME_GIB}, [cluster.security_group_id]
    )
    nodes = settings.system_nodes
    return eks.NodeGroup(
        component.child_name("system-node-group"),
        **_of_cluster(settings, cluster, role, template),
        ami_type="AL2023_x86_64_STANDARD",
        update_config={"max_unavailable": 1},
        instance_types=[nodes.instance_type],
        scaling_config={"min_size": nodes.min, "max_size": nodes.max, "desired_size": nodes.min},
        tags=component.tags,
        opts=_as_scaled(component, "system-node-group", waited_for, nodes.max),
    )


def _gpu_group(
    component: Component,
    settings: GpuInferenceClusterSettings,
    cluster: Cluster,
    role: iam.Role,
    group: Group,
    waited_for: Sequence[pulumi.Resource],
) -> eks.NodeGroup:
    pool = group.settings
    template = _launch_template(
        component,
        "launch-template",
        group.suffix,
        {
            "volume_size": pool.volume_gib,
            "throughput": pool.volume_throughput,
            # Each IOPS is good for a quarter of a MiB a second; 3,000 cost nothing.
            # https://docs.aws.amazon.com/ebs/latest/userguide/general-purpose.html
            "iops": max(3000, 4 * pool.volume_throughput),
        },
        # A group of its own beside the cluster's: EKS adds none where a launch template names some.
        # https://docs.aws.amazon.com/eks/latest/userguide/launch-templates.html
        [cluster.security_group_id, settings.network.service_security_group_id],
        **_reservation(group),
    )
    made = eks.NodeGroup(
        f"{component.child_name('node-group')}-{group.suffix}",
        **_of_cluster(settings, cluster, role, template),
        ami_type="AL2023_x86_64_NVIDIA",
        capacity_type=_capacity_type(group),
        # An old node goes before its new one comes. By default EKS adds up to two nodes for each zone first, which for GPUs are
        # neither at hand nor within the quota. https://docs.aws.amazon.com/eks/latest/userguide/managed-node-update-behavior.html
        update_config={"max_unavailable": 1, "update_strategy": "MINIMAL"},
        # A block's instance type stands in its launch template.
        instance_types=None if pool.capacity_block else [pool.instance_type],
        scaling_config={"min_size": group.bounds.min, "max_size": group.bounds.max, "desired_size": group.bounds.min},
        labels={POOL_LABEL: group.pool, _ACCELERATOR_LABEL: _accelerator(group), _HAS_GPU_LABEL: "true"},
        taints=[{"key": GPU_TAINT, "value": "true", "effect": "NO_SCHEDULE"}],
        tags=component.tags,
        opts=_as_scaled(component, "node-group", waited_for, group.bounds.max),
    )
    scaling_group = made.resources.apply(_scaling_group)
    for key, tag in template_tags(group).items():
        name, _, value = tag.partition("=")
        autoscaling.Tag(
            f"{component.child_name('scaling-tag')}-{group.suffix}-{key}",
            autoscaling_group_name=scaling_group,
            tag={"key": name, "value": value, "propagate_at_launch": False},
            opts=component.child("scaling-tag"),
        )
    return made


def _scaling_group(resources: Any) -> str:
    """The name of the Auto Scaling group that EKS has made for a node group."""
    return resources[0].autoscaling_groups[0].name


def _capacity_type(group: Group) -> str:
    if group.settings.capacity_block:
        return "CAPACITY_BLOCK"
    return "SPOT" if group.capacity == SPOT else "ON_DEMAND"


def _accelerator(group: Group) -> str:
    return f"nvidia-{gpu_instances()[group.settings.instance_type].gpu.name.lower()}"


def _reservation(group: Group) -> dict[str, Any]:
    """The launch template's part of a capacity reservation or block.

    https://docs.aws.amazon.com/eks/latest/userguide/capacity-blocks-mng.html
    """
    pool = group.settings
    if pool.capacity_reservation_id is None or group.capacity == SPOT:
        return {}
    target = {"capacity_reservation_target": {"capacity_reservation_id": pool.capacity_reservation_id}}
    block = {"instance_market_options": {"market_type": "capacity-block"}, "instance_type": pool.instance_type}
    return {"capacity_reservation_specification": target, **(block if pool.capacity_block else {})}


def _launch_template(
    component: Component,
    key: str,
    suffix: str,
    volume: Mapping[str, int],
    security_group_ids: Sequence[pulumi.Input[str]],
    **more: Any,
) -> ec2.LaunchTemplate:
    name = f"{component.child_name(key)}{f'-{suffix}' if suffix else ''}"
    tags: Mapping[str, pulumi.Input[str]] = {"Name": name, **component.tags}
    disk: Any = {"volume_type": "gp3", **volume, "encrypted": "true", "delete_on_termination": "true"}
    return ec2.LaunchTemplate(
        name,
        block_device_mappings=[{"device_name": _ROOT_DEVICE, "ebs": disk}],
        # Hop 1: pods do not reach the node's role.
        metadata_options={"http_tokens": "required", "http_put_response_hop_limit": 1, "http_endpoint": "enabled"},
        vpc_security_group_ids=security_group_ids,
        tag_specifications=[{"resource_type": kind, "tags": tags} for kind in ("instance", "volume")],
        update_default_version=True,
        tags=component.tags,
        opts=component.child(key),
        **more,
    )


def _of_cluster(
    settings: GpuInferenceClusterSettings, cluster: Cluster, role: iam.Role, template: ec2.LaunchTemplate
) -> dict[str, Any]:
    """What all node groups share."""
    return {
        "cluster_name": cluster.name,
        "node_role_arn": role.arn,
        "subnet_ids": settings.network.private_subnet_ids,
        # $Latest would differ at every preview.
        "launch_template": {"id": template.id, "version": template.latest_version.apply(str)},
        "version": settings.kubernetes_version,
        # Without it, EKS takes the newest with any other change of the launch template, a tag's too.
        "release_version": settings.release,
        # Off by default. https://docs.aws.amazon.com/eks/latest/userguide/node-health.html
        "node_repair_config": {"enabled": True},
    }


def _as_scaled(component: Component, key: str, waited_for: Sequence[pulumi.Resource], most: int) -> pulumi.ResourceOptions:
    """How many nodes there are is the autoscaler's to say, within the bounds.

    Other subnets would replace the group with all its nodes: a zone that is added later is for groups that are made later.
    Nodes are updated one after the other, each when the servers of the last are ready again; the provider waits an hour.
    """
    minutes = _GROUP_MINUTES + _NODE_MINUTES * most
    return component.child(
        key,
        depends_on=list(waited_for),
        ignore_changes=["scalingConfig.desiredSize", "subnetIds"],
        custom_timeouts=pulumi.CustomTimeouts(create="1h", update=f"{minutes}m", delete=f"{minutes}m"),
    )
