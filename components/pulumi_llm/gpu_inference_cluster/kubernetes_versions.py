"""The Kubernetes versions of EKS: until when AWS supports each, and the add-ons that belong to it."""

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Final, NamedTuple

from pulumi_llm.cost.prices import price_table

_ADVICE: Final = "update kubernetes_version"
_NOTICE: Final = timedelta(days=60)


class KubernetesVersion(NamedTuple):
    """A version. The dates are the ends of standard and of extended support; None where they were not known yet.

    `node_release` is the release of the nodes' images, which have the drivers. `autoscaler` is the tag of Cluster Autoscaler's
    image, which follows Kubernetes' versions. `addons` are the versions of the
    add-ons; `aws eks describe-addon-versions --kubernetes-version 1.35` lists them.
    """

    standard_until: date | None
    extended_until: date | None
    node_release: str
    autoscaler: str
    addons: Mapping[str, str]


# These run in any of the versions.
_ADDONS: Final = {
    "vpc-cni": "v1.22.4-eksbuild.3",
    "eks-pod-identity-agent": "v1.3.10-eksbuild.3",
    "eks-node-monitoring-agent": "v1.6.4-eksbuild.1",
}

# The releases: https://github.com/awslabs/amazon-eks-ami/blob/main/CHANGELOG.md, and
# aws ssm get-parameter --name /aws/service/eks/optimized-ami/1.35/amazon-linux-2023/x86_64/nvidia/recommended/release_version
# Dates: https://docs.aws.amazon.com/eks/latest/userguide/kubernetes-versions.html
VERSIONS: Final[Mapping[str, KubernetesVersion]] = {
    "1.34": KubernetesVersion(
        date(2026, 12, 2),
        date(2027, 12, 2),
        "1.34.9-20260714",
        "v1.34.5",
        {**_ADDONS, "coredns": "v1.12.4-eksbuild.29", "kube-proxy": "v1.34.6-eksbuild.21"},
    ),
    "1.35": KubernetesVersion(
        date(2027, 3, 27),
        date(2028, 3, 27),
        "1.35.6-20260714",
        "v1.35.2",
        {**_ADDONS, "coredns": "v1.13.2-eksbuild.21", "kube-proxy": "v1.35.3-eksbuild.21"},
    ),
    "1.36": KubernetesVersion(
        None,
        None,
        "1.36.2-20260714",
        "v1.36.1",
        {**_ADDONS, "coredns": "v1.14.3-eksbuild.16", "kube-proxy": "v1.36.0-eksbuild.21"},
    ),
}


def support_notice(version: str, today: date) -> str:
    """What must be known of a version's support; empty where nothing must."""
    known = VERSIONS[version]
    prices = price_table().prices
    hour = prices["eks_cluster"].usd
    costs = f"costs ${hour + prices['eks_extended'].usd:.2f} an hour instead of ${hour:.2f}"
    standard, extended = known.standard_until, known.extended_until
    if standard is None or extended is None or today < standard - _NOTICE:
        return ""
    if today < standard:
        return f"Kubernetes {version}: EKS's standard support ends on {standard}, and then it {costs}; {_ADVICE}"
    if today < extended:
        return (
            f"Kubernetes {version} has had extended support only since {standard}, which {costs}, and EKS updates the cluster "
            f"by itself after {extended}; {_ADVICE}"
        )
    return f"Kubernetes {version}: EKS's support ended on {extended}, and EKS updates the cluster by itself; {_ADVICE}"
