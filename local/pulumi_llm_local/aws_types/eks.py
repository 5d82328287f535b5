"""Elastic Kubernetes Service."""

from collections.abc import Mapping
from typing import Any, Final

from pulumi_llm_local.aws_types.aws_type import AWS_DOCS, AwsType, Outputs, Relation, ValueRule
from pulumi_llm_local.aws_types.draft import CREATED, Draft

_GUIDE: Final = AWS_DOCS + "eks/latest/userguide/"
_CLUSTER: Final = "aws:eks/cluster:Cluster"
_NODE_GROUP: Final = "aws:eks/nodeGroup:NodeGroup"
# https://docs.aws.amazon.com/eks/latest/APIReference/API_CreateNodegroup.html
_NO_CLUSTER: Final = "ResourceNotFoundException: No cluster found for name"
_OF_CLUSTER: Final = Relation(_CLUSTER, {"clusterName": "name"}, _NO_CLUSTER)


def _cluster(draft: Draft) -> Outputs:
    """A cluster makes a security group for its control plane and nodes."""
    host = f"{draft.hex(32).upper()}.gr7.{draft.region}.eks.{draft.dns_suffix}"
    return {
        "id": "{name}",
        "clusterId": "",
        "arn": "arn:{partition}:eks:{region}:{account}:cluster/{name}",
        "endpoint": f"https://{host}",
        "certificateAuthority": {"data": "LS0tLS1CRUdJTi1DRVJUSUZJQ0FURS0tLS0t"},
        "createdAt": CREATED,
        "identities": [
            {"oidcs": [{"issuer": f"https://oidc.eks.{draft.region}.{draft.dns_suffix}/id/{draft.hex(32).upper()}"}]}
        ],
        "platformVersion": "eks.1",
        "status": "ACTIVE",
        "vpcConfig": {"clusterSecurityGroupId": f"sg-{draft.hex(17, 'group')}", "vpcId": f"vpc-{draft.hex(17, 'vpc')}"},
    }


def _node_group(draft: Draft) -> Outputs:
    """A node group makes an Auto Scaling group, in whose name is its own."""
    name = draft.physical_name
    return {
        "id": "{clusterName}:{nodeGroupName}",
        "arn": f"arn:{{partition}}:eks:{{region}}:{{account}}:nodegroup/{{clusterName}}/{{nodeGroupName}}/{draft.uuid()}",
        "status": "ACTIVE",
        "resources": [
            {"autoscalingGroups": [{"name": f"eks-{name}-{draft.uuid('group')}"}], "remoteAccessSecurityGroupId": ""}
        ],
    }


def _scaling(inputs: Mapping[str, Any]) -> Mapping[str, ValueRule]:
    """The size that is wanted is within the bounds, or EKS refuses the group and its update.

    With too high a minimum it says "Minimum capacity 2 can't be greater than desired size 1".
    """
    scaling: Mapping[str, Any] = inputs.get("scalingConfig") or {}
    low, high = (_number(scaling.get(key)) for key in ("minSize", "maxSize"))
    page = AWS_DOCS + "eks/latest/APIReference/API_NodegroupScalingConfig.html"
    known = low is not None or high is not None
    rules = {"scalingConfig.desiredSize": ValueRule(page, low=low, high=high)} if known else {}
    # https://docs.aws.amazon.com/eks/latest/userguide/launch-templates.html
    if inputs.get("launchTemplate") and inputs.get("diskSize"):
        rules["diskSize"] = ValueRule(_GUIDE + "launch-templates.html", values=("no value beside a launch template",))
    return rules


def _number(value: Any) -> float | None:
    """A bound, unless it is unknown."""
    return value if isinstance(value, int | float) else None


TYPES: Final[Mapping[str, AwsType]] = {
    "aws:eks/accessEntry:AccessEntry": AwsType(
        outputs={
            "id": "{clusterName}:{principalArn}",
            "accessEntryArn": "arn:{partition}:eks:{region}:{account}:access-entry/{clusterName}/role/{account}/{uuid}",
            "createdAt": CREATED,
            "type": "STANDARD",
        },
        replaced_by="clusterName principalArn type",
        needs=(_OF_CLUSTER,),
    ),
    "aws:eks/accessPolicyAssociation:AccessPolicyAssociation": AwsType(
        outputs={"id": "{clusterName}#{principalArn}#{policyArn}", "associatedAt": CREATED},
        api="eks AssociateAccessPolicy",
        replaced_by="accessScope clusterName policyArn principalArn",
        needs=(
            Relation(
                "aws:eks/accessEntry:AccessEntry",
                {"clusterName": "clusterName", "principalArn": "principalArn"},
                "ResourceNotFoundException: The specified principalArn could not be found: it has no access entry",
            ),
        ),
    ),
    "aws:eks/addon:Addon": AwsType(
        outputs={
            "id": "{clusterName}:{addonName}",
            "arn": "arn:{partition}:eks:{region}:{account}:addon/{clusterName}/{addonName}/{uuid}",
            "createdAt": CREATED,
        },
        replaced_by="addonName clusterName",
        needs=(_OF_CLUSTER,),
    ),
    _CLUSTER: AwsType(
        outputs=_cluster,
        # Encryption can be added in place, never taken away; the subnets can be changed in place.
        replaced_by=(
            "accessConfig.bootstrapClusterCreatorAdminPermissions bootstrapSelfManagedAddons "
            "computeConfig.nodeRoleArn encryptionConfig kubernetesNetworkConfig.ipFamily "
            "kubernetesNetworkConfig.serviceIpv4Cidr name outpostConfig remoteNetworkConfig roleArn"
        ),
        stateful="all that is in it goes with it",
        deletion_protection=("deletionProtection", True),
        # https://docs.aws.amazon.com/eks/latest/userguide/delete-cluster.html
        blocked_by=(Relation(_NODE_GROUP, {"clusterName": "name"}, "ResourceInUseException: Cluster has nodegroups attached"),),
    ),
    _NODE_GROUP: AwsType(
        outputs=_node_group,
        name_property="nodeGroupName",
        rules_by_inputs=_scaling,
        needs=(_OF_CLUSTER,),
        replaced_by=(
            "amiType capacityType clusterName diskSize instanceTypes launchTemplate.id launchTemplate.name "
            "nodeGroupName nodeGroupNamePrefix nodeRoleArn remoteAccess subnetIds"
        ),
        api="eks CreateNodegroup",
    ),
    "aws:eks/podIdentityAssociation:PodIdentityAssociation": AwsType(
        outputs={
            "id": "{associationId}",
            "associationId": "a-{lower17}",
            "associationArn": "arn:{partition}:eks:{region}:{account}:podidentityassociation/{clusterName}/{id}",
        },
        replaced_by="clusterName namespace serviceAccount",
        # A ServiceAccount has one role. https://docs.aws.amazon.com/eks/latest/userguide/pod-id-association.html
        unique=("clusterName", "namespace", "serviceAccount"),
        needs=(_OF_CLUSTER,),
    ),
}
