"""Elastic Kubernetes Service."""

from collections.abc import Mapping
from typing import Final

from pulumi_llm_local.aws_types.aws_type import AwsType

TYPES: Final[Mapping[str, AwsType]] = {
    "aws:eks/accessEntry:AccessEntry": AwsType(replaced_by="clusterName principalArn type"),
    "aws:eks/accessPolicyAssociation:AccessPolicyAssociation": AwsType(
        api="eks AssociateAccessPolicy", replaced_by="accessScope clusterName policyArn principalArn"
    ),
    "aws:eks/addon:Addon": AwsType(replaced_by="addonName clusterName"),
    "aws:eks/cluster:Cluster": AwsType(
        # Encryption can be added in place, never taken away; the subnets can be changed in place.
        replaced_by=(
            "accessConfig.bootstrapClusterCreatorAdminPermissions bootstrapSelfManagedAddons "
            "computeConfig.nodeRoleArn encryptionConfig kubernetesNetworkConfig.ipFamily "
            "kubernetesNetworkConfig.serviceIpv4Cidr name outpostConfig remoteNetworkConfig roleArn"
        ),
        stateful="all that is in it goes with it",
        deletion_protection=("deletionProtection", True),
    ),
    "aws:eks/nodeGroup:NodeGroup": AwsType(
        replaced_by=(
            "amiType capacityType clusterName diskSize instanceTypes launchTemplate.id launchTemplate.name "
            "nodeGroupName nodeGroupNamePrefix nodeRoleArn remoteAccess subnetIds"
        ),
        api="eks CreateNodegroup",
    ),
    "aws:eks/podIdentityAssociation:PodIdentityAssociation": AwsType(replaced_by="clusterName namespace serviceAccount"),
}
