"""Which pods may use which AWS roles: EKS Pod Identity."""

import hashlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import pulumi
from pulumi_aws import eks, iam

from pulumi_llm.base.component import Component
from pulumi_llm.base.iam import allow, policy_document
from pulumi_llm.base.location import Location
from pulumi_llm.gpu_inference_cluster.workloads.versions import ServedModel, Version


class Identity(NamedTuple):
    """A role of pods, with the policies that must be there before they start."""

    role: iam.Role
    policies: Sequence[pulumi.Resource]


class ServiceAccount(NamedTuple):
    """A ServiceAccount by its namespace and name."""

    namespace: str
    name: str


CNI = ServiceAccount("kube-system", "aws-node")


def create_identity(
    component: Component,
    key: str,
    cluster_name: pulumi.Output[str],
    account: ServiceAccount,
    description: str,
    statements: Sequence[dict[str, Any]],
    instance: str = "",
) -> Identity:
    """Make a role that pods of one ServiceAccount of the cluster take, with these statements as its policy.

    Its children have the keys `key-…`; `instance` tells one of several.
    """
    role = _role(component, key, cluster_name, account, description, instance)
    policy = iam.RolePolicy(
        _named(component, f"{key}-policy", instance),
        role=role.name,
        policy=pulumi.Output.json_dumps(policy_document(*statements)),
        opts=component.child(f"{key}-policy"),
    )
    return Identity(role, [policy])


def create_cni_identity(
    component: Component,
    location: Location,
    account: pulumi.Output[str],
    vpc_id: pulumi.Input[str],
    cluster_name: pulumi.Output[str],
) -> Identity:
    """Make the VPC CNI's role, which gives addresses to pods: in this VPC, and on the nodes of this cluster.

    AmazonEKS_CNI_Policy changes the interfaces of the whole account.
    https://github.com/aws/amazon-vpc-cni-k8s/blob/master/docs/iam-policy.md
    """

    def arns(*kinds: str) -> list[pulumi.Output[str]]:
        return [pulumi.Output.concat(f"arn:{location.partition}:ec2:{location.region}:", account, f":{kind}") for kind in kinds]

    in_vpc = {"ArnEquals": {"ec2:Vpc": pulumi.Output.concat(*arns("vpc/"), vpc_id)}}
    owned = cluster_name.apply(lambda name: {"StringEquals": {f"aws:ResourceTag/kubernetes.io/cluster/{name}": "owned"}})
    find = ["Instances", "InstanceTypes", "NetworkInterfaces", "SecurityGroups", "Subnets", "Tags"]
    change = ["ec2:AttachNetworkInterface", "ec2:DetachNetworkInterface", "ec2:ModifyNetworkInterfaceAttribute"]
    addresses = ["ec2:AssignPrivateIpAddresses", "ec2:UnassignPrivateIpAddresses", "ec2:DeleteNetworkInterface"]
    interfaces = arns("network-interface/*")
    statements = [
        allow("Find", [f"ec2:Describe{what}" for what in find], "*"),
        # An interface that is being made is in no VPC yet, but its subnet is.
        allow("MakeInterfaces", ["ec2:CreateNetworkInterface"], interfaces),
        allow("MakeInVpc", ["ec2:CreateNetworkInterface"], arns("subnet/*", "security-group/*"), in_vpc),
        allow(
            "TagNewInterfaces", ["ec2:CreateTags"], interfaces, {"StringEquals": {"ec2:CreateAction": "CreateNetworkInterface"}}
        ),
        allow("TagInterfaces", ["ec2:CreateTags"], interfaces, in_vpc),
        allow("ChangeInterfaces", [*change, *addresses], interfaces, in_vpc),
        allow("ChangeGroups", ["ec2:ModifyNetworkInterfaceAttribute"], arns("security-group/*"), in_vpc),
        {**allow("ChangeNodes", change, arns("instance/*")), "Condition": owned},
    ]
    return create_identity(component, "cni", cluster_name, CNI, "The VPC CNI gives addresses to pods", statements)


def read_weights(
    component: Component, models: Sequence[ServedModel], namespace: str, location: Location, cluster_name: pulumi.Output[str]
) -> list[pulumi.Resource]:
    """Let the servers of each model read its weights in S3, and nothing else.

    Each folder has a policy of its own, so that the servers of an old version read theirs until they are gone.
    """
    made: list[pulumi.Resource] = []
    for model in with_weights_in_s3(models):
        account = ServiceAccount(namespace, model.name)
        role = _role(component, "model", cluster_name, account, "A model's servers read its weights", model.name)
        policies = [
            iam.RolePolicy(
                _named(component, "model-policy", name),
                role=role.name,
                policy=pulumi.Output.json_dumps(policy_document(*_read_weights(version, location))),
                opts=component.child("model-policy"),
            )
            for name, version in weight_policies(model).items()
        ]
        made.append(associate(component, "model", cluster_name, account, Identity(role, policies), model.name))
    return made


def weight_policies(model: ServedModel) -> dict[str, Version]:
    """A version for each folder in S3 of a model, by what tells the folder's policy from others."""
    return {
        f"{model.name}-{hashlib.sha256(version.source.encode()).hexdigest()[:8]}": version
        for version in model.versions
        if version.bucket
    }


def _read_weights(version: Version, location: Location) -> list[dict[str, Any]]:
    statements = _read_folder(f"arn:{location.partition}:s3:::{version.bucket}", version.prefix, 1)
    if version.weights_kms_key_arn is not None:
        # https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html
        through_s3 = {"StringLike": {"kms:ViaService": f"s3.{location.region}.*"}}
        statements.append(allow("DecryptWeights", ["kms:Decrypt"], version.weights_kms_key_arn, through_s3))
    return statements


def with_weights_in_s3(models: Sequence[ServedModel]) -> list[ServedModel]:
    """The models that need a role."""
    return [model for model in models if any(version.bucket for version in model.versions)]


def _read_folder(bucket_arn: str, prefix: str, number: int) -> list[dict[str, Any]]:
    below = f"{prefix}/*" if prefix else "*"
    listed = {"StringLike": {"s3:prefix": [below, prefix]}} if prefix else None
    return [
        allow(f"ReadWeights{number}", ["s3:GetObject"], f"{bucket_arn}/{below}"),
        allow(f"FindWeights{number}", ["s3:ListBucket"], bucket_arn, listed),
    ]


def associate(
    component: Component,
    key: str,
    cluster_name: pulumi.Input[str],
    account: ServiceAccount,
    identity: Identity,
    instance: str = "",
) -> eks.PodIdentityAssociation:
    """Let the pods of a ServiceAccount take the role, which they do only if it is there before they start."""
    return eks.PodIdentityAssociation(
        _named(component, f"{key}-identity", instance),
        cluster_name=cluster_name,
        namespace=account.namespace,
        service_account=account.name,
        role_arn=identity.role.arn,
        tags=component.tags,
        opts=component.child(f"{key}-identity", depends_on=list(identity.policies)),
    )


def _named(component: Component, key: str, instance: str) -> str:
    return f"{component.child_name(key)}{f'-{instance}' if instance else ''}"


def _role(
    component: Component,
    key: str,
    cluster_name: pulumi.Output[str],
    account: ServiceAccount,
    description: str,
    instance: str = "",
) -> iam.Role:
    """A role that EKS gives to pods of one ServiceAccount of the cluster alone.

    https://docs.aws.amazon.com/eks/latest/userguide/pod-id-abac.html
    """
    pods: dict[str, pulumi.Input[str]] = {
        "eks-cluster-name": cluster_name,
        "kubernetes-namespace": account.namespace,
        "kubernetes-service-account": account.name,
    }
    trust = {
        "Effect": "Allow",
        "Principal": {"Service": "pods.eks.amazonaws.com"},
        "Action": ["sts:AssumeRole", "sts:TagSession"],
        "Condition": {"StringEquals": {f"aws:RequestTag/{tag}": value for tag, value in pods.items()}},
    }
    return iam.Role(
        _named(component, f"{key}-role", instance),
        description=description,
        assume_role_policy=pulumi.Output.json_dumps(policy_document(trust)),
        tags=component.tags,
        opts=component.child(f"{key}-role"),
    )
