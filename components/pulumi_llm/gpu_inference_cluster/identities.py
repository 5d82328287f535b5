"""Which pods may use which AWS roles: EKS Pod Identity."""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import pulumi
from pulumi_aws import eks, iam

from pulumi_llm.base.component import Component
from pulumi_llm.base.iam import policy_document
from pulumi_llm.base.location import Location


class Identity(NamedTuple):
    """A role of pods, with the policy that must be there before they start."""

    role: iam.Role
    policy: pulumi.Resource


class ServiceAccount(NamedTuple):
    """A ServiceAccount by its namespace and name."""

    namespace: str
    name: str


CNI = ServiceAccount("kube-system", "aws-node")


def create_identity(
    component: Component, key: str, account: ServiceAccount, description: str, statements: Sequence[dict[str, Any]]
) -> Identity:
    """Make a role that pods of one ServiceAccount take, with these statements as its policy. Its children are `key-…`."""
    role = _role(component, key, account, description)
    policy = iam.RolePolicy(
        f"{component.child_name(f'{key}-policy')}",
        role=role.name,
        policy=pulumi.Output.json_dumps(policy_document(*statements)),
        opts=component.child(f"{key}-policy"),
    )
    return Identity(role, policy)


def create_cni_identity(component: Component, location: Location) -> Identity:
    """Make the VPC CNI's role, which gives addresses to pods.

    https://docs.aws.amazon.com/eks/latest/userguide/cni-iam-role.html
    """
    role = _role(component, "cni", CNI, "The VPC CNI gives addresses to pods")
    policy = iam.RolePolicyAttachment(
        component.child_name("cni-policy"),
        role=role.name,
        policy_arn=f"arn:{location.partition}:iam::aws:policy/AmazonEKS_CNI_Policy",
        opts=component.child("cni-policy"),
    )
    return Identity(role, policy)


def associate(
    component: Component, key: str, cluster_name: pulumi.Input[str], account: ServiceAccount, identity: Identity
) -> eks.PodIdentityAssociation:
    """Let the pods of a ServiceAccount take the role, which they do only if it is there before they start."""
    return eks.PodIdentityAssociation(
        component.child_name(f"{key}-identity"),
        cluster_name=cluster_name,
        namespace=account.namespace,
        service_account=account.name,
        role_arn=identity.role.arn,
        tags=component.tags,
        opts=component.child(f"{key}-identity", depends_on=[identity.policy]),
    )


def _role(component: Component, key: str, account: ServiceAccount, description: str) -> iam.Role:
    """A role that EKS gives to pods of one ServiceAccount alone.

    https://docs.aws.amazon.com/eks/latest/userguide/pod-id-abac.html
    """
    pods = {"kubernetes-namespace": account.namespace, "kubernetes-service-account": account.name}
    trust = {
        "Effect": "Allow",
        "Principal": {"Service": "pods.eks.amazonaws.com"},
        "Action": ["sts:AssumeRole", "sts:TagSession"],
        "Condition": {"StringEquals": {f"aws:RequestTag/{tag}": value for tag, value in pods.items()}},
    }
    return iam.Role(
        component.child_name(f"{key}-role"),
        description=description,
        assume_role_policy=json.dumps(policy_document(trust)),
        tags=component.tags,
        opts=component.child(f"{key}-role"),
    )
