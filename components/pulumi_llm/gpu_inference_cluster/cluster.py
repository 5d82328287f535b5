"""The EKS cluster: its key, its logs, who administers it, its add-ons."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import pulumi
from pulumi_aws import cloudwatch, eks, iam, kms

from pulumi_llm.base.component import Component
from pulumi_llm.base.iam import allow, assume_role, policy_document
from pulumi_llm.base.location import Location
from pulumi_llm.gpu_inference_cluster.args import GpuInferenceClusterSettings
from pulumi_llm.gpu_inference_cluster.identities import CNI, Identity
from pulumi_llm.gpu_inference_cluster.kubernetes_versions import VERSIONS

# https://docs.aws.amazon.com/eks/latest/userguide/control-plane-logs.html
_LOGS: Final = ("api", "audit", "authenticator", "controllerManager", "scheduler")

# What a node needs before a pod can run on it, and what itself runs as pods on the system nodes.
_BEFORE_NODES: Final = ("kube-proxy", "eks-pod-identity-agent", "vpc-cni")
_AFTER_NODES: Final = ("coredns", "eks-node-monitoring-agent")
ADDONS: Final = (*_BEFORE_NODES, *_AFTER_NODES)

# The part of the monitoring agent that asks the GPUs runs on their nodes alone, which are tainted.
# https://docs.aws.amazon.com/eks/latest/userguide/node-health-nma.html
_ON_GPU_NODES: Final = {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}

_CONFIGURATIONS: Final[Mapping[str, Mapping[str, Any]]] = {
    # Without it, NetworkPolicies have no effect. https://docs.aws.amazon.com/eks/latest/userguide/cni-network-policy-configure.html
    "vpc-cni": {"enableNetworkPolicy": "true"},
    "eks-node-monitoring-agent": {"dcgmAgent": {"tolerations": [_ON_GPU_NODES]}},
}


class Cluster(NamedTuple):
    """The cluster, and what pods on its nodes need before there are any."""

    cluster: eks.Cluster
    name: pulumi.Output[str]
    security_group_id: pulumi.Output[str]
    logs: cloudwatch.LogGroup
    access: Sequence[pulumi.Resource]


def create_cluster(
    component: Component, settings: GpuInferenceClusterSettings, location: Location, account: pulumi.Output[str]
) -> Cluster:
    """Make the cluster, with access for its admins alone."""
    role = iam.Role(
        component.child_name("cluster-role"),
        description="EKS manages what the cluster needs",
        assume_role_policy=json.dumps(assume_role("eks.amazonaws.com")),
        tags=component.tags,
        opts=component.child("cluster-role"),
    )
    policy = iam.RolePolicy(
        component.child_name("cluster-policy"),
        role=role.name,
        policy=pulumi.Output.json_dumps(policy_document(*_manage_nodes(location, account))),
        opts=component.child("cluster-policy"),
    )
    key = _secrets_key(component, settings)
    # In a document of its own: no preview knows the key that is made with the cluster.
    key_policy = iam.RolePolicy(
        component.child_name("cluster-key-policy"),
        role=role.name,
        policy=pulumi.Output.json_dumps(policy_document(allow("FindKey", ["kms:DescribeKey"], key))),
        opts=component.child("cluster-key-policy"),
    )
    # The name of the log group follows from the cluster's, and EKS makes the group itself where it is not there first: without
    # an end of its logs. So the cluster's name is made of one that Pulumi has made already.
    name = role.name.apply(lambda name: name.replace("-cluster-role", "", 1))
    logs = cloudwatch.LogGroup(
        component.child_name("cluster-logs"),
        name=pulumi.Output.concat("/aws/eks/", name, "/cluster"),
        retention_in_days=settings.log_retention_days,
        kms_key_id=settings.kms_key_arn,
        tags=component.tags,
        opts=component.child("cluster-logs"),
    )
    cluster = eks.Cluster(
        component.child_name("cluster"),
        name=name,
        version=settings.kubernetes_version,
        role_arn=role.arn,
        vpc_config=_network(settings),
        access_config={"authentication_mode": "API", "bootstrap_cluster_creator_admin_permissions": False},
        bootstrap_self_managed_addons=False,
        enabled_cluster_log_types=_LOGS,
        encryption_config={"provider": {"key_arn": key}, "resources": ["secrets"]},
        # With STANDARD, EKS would update the cluster by itself, and the program could not follow.
        upgrade_policy={"support_type": "EXTENDED"},
        deletion_protection=settings.deletion_protection,
        tags=component.tags,
        opts=component.child(
            "cluster",
            depends_on=[policy, key_policy, logs],
            protect=settings.deletion_protection or None,
            # EKS takes no other key for a cluster that has one, and no subnet in a zone that it was not made with.
            # https://docs.aws.amazon.com/eks/latest/APIReference/API_AssociateEncryptionConfig.html
            # https://docs.aws.amazon.com/eks/latest/userguide/network-reqs.html
            ignore_changes=["encryptionConfig", "vpcConfig.subnetIds"],
        ),
    )
    access = [_admin(component, location, cluster, number, arn) for number, arn in enumerate(settings.admins, 1)]
    group = cluster.vpc_config.apply(lambda config: config.cluster_security_group_id or "")
    return Cluster(cluster, cluster.name, group, logs, access)


def _manage_nodes(location: Location, account: pulumi.Output[str]) -> list[dict[str, Any]]:
    """What EKS needs at least of a cluster's role besides its key, without what makes load balancers for Services.

    AmazonEKSClusterPolicy changes routes, security groups, volumes and instances of the whole account.
    https://docs.aws.amazon.com/eks/latest/userguide/cluster-iam-role.html
    """
    find = ["AvailabilityZones", "DhcpOptions", "InstanceTopology", "Instances", "NetworkInterfaces", "Vpcs"]
    return [
        allow(
            "TagNodes",
            ["ec2:CreateTags"],
            pulumi.Output.concat(f"arn:{location.partition}:ec2:{location.region}:", account, ":instance/*"),
            {"ForAnyValue:StringLike": {"aws:TagKeys": "kubernetes.io/cluster/*"}},
        ),
        allow("FindNodes", [f"ec2:Describe{what}" for what in find], "*"),
    ]


def _network(settings: GpuInferenceClusterSettings) -> Any:
    """Where the cluster's API is reached: from the VPC, and from the networks that are listed."""
    cidrs = settings.endpoint_public_cidrs
    config: dict[str, Any] = {
        "subnet_ids": settings.network.private_subnet_ids,
        "endpoint_private_access": True,
        "endpoint_public_access": bool(cidrs),
    }
    return {**config, "public_access_cidrs": cidrs} if cidrs else config


def _secrets_key(component: Component, settings: GpuInferenceClusterSettings) -> pulumi.Input[str]:
    """The key of the secrets. A cluster whose key is gone is lost, so the own one is protected as the cluster is."""
    if settings.kms_key_arn is not None:
        return settings.kms_key_arn
    key = kms.Key(
        component.child_name("secrets-key"),
        description="The secrets of the cluster",
        enable_key_rotation=True,
        deletion_window_in_days=30,
        tags=component.tags,
        opts=component.child("secrets-key", protect=settings.deletion_protection or None),
    )
    return key.arn


def _admin(
    component: Component, location: Location, cluster: eks.Cluster, number: int, arn: pulumi.Input[str]
) -> pulumi.Resource:
    """Let a role administer the cluster. https://docs.aws.amazon.com/eks/latest/userguide/access-policies.html"""
    entry = eks.AccessEntry(
        f"{component.child_name('admin')}-{number}",
        cluster_name=cluster.name,
        principal_arn=arn,
        tags=component.tags,
        opts=component.child("admin"),
    )
    return eks.AccessPolicyAssociation(
        f"{component.child_name('admin-policy')}-{number}",
        cluster_name=cluster.name,
        principal_arn=entry.principal_arn,
        policy_arn=f"arn:{location.partition}:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy",
        access_scope={"type": "cluster"},
        opts=component.child("admin-policy"),
    )


def addons_before_nodes(
    component: Component, settings: GpuInferenceClusterSettings, cluster: Cluster, cni: Identity
) -> list[pulumi.Resource]:
    """Make the add-ons that nodes need to become ready. The VPC CNI has its permissions by Pod Identity, not the node's."""
    association = {"role_arn": cni.role.arn, "service_account": CNI.name}
    more = {"vpc-cni": {"pod_identity_associations": [association]}}
    return [_addon(component, settings, cluster, name, cni.policies, **more.get(name, {})) for name in _BEFORE_NODES]


def addons_after_nodes(
    component: Component, settings: GpuInferenceClusterSettings, cluster: Cluster, nodes: Sequence[pulumi.Resource]
) -> list[pulumi.Resource]:
    """Make the add-ons that are not ready before pods can run."""
    return [_addon(component, settings, cluster, name, nodes) for name in _AFTER_NODES]


def _addon(
    component: Component,
    settings: GpuInferenceClusterSettings,
    cluster: Cluster,
    name: str,
    depends_on: Sequence[pulumi.Resource],
    **more: Any,
) -> eks.Addon:
    configuration = _CONFIGURATIONS.get(name)
    return eks.Addon(
        f"{component.child_name('addon')}-{name}",
        cluster_name=cluster.name,
        addon_name=name,
        addon_version=VERSIONS[settings.kubernetes_version].addons[name],
        configuration_values=json.dumps(configuration) if configuration else None,
        resolve_conflicts_on_create="OVERWRITE",
        resolve_conflicts_on_update="OVERWRITE",
        tags=component.tags,
        opts=component.child("addon", depends_on=list(depends_on)),
        **more,
    )
