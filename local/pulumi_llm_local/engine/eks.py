"""What EKS refuses of a change of a cluster."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from pulumi_llm_local.aws_types.values import revealed
from pulumi_llm_local.engine.rest_apis import Resource

_CLUSTER: Final = "aws:eks/cluster:Cluster"
_SUBNET: Final = "aws:ec2/subnet:Subnet"


def refused_change(cluster: Resource, inputs: Mapping[str, Any], account: Iterable[Resource]) -> str:
    """Return what EKS answers to a change that it refuses; empty where it does not.

    Subnets that are added must be in zones that the cluster was made with.

    https://docs.aws.amazon.com/eks/latest/userguide/network-reqs.html
    """
    if cluster.token != _CLUSTER:
        return ""
    zones = {each.id: str(each.state.get("availabilityZone")) for each in account if each.token == _SUBNET}
    before, after = (_subnets(revealed(given)) for given in (cluster.inputs, inputs))
    known = {zones[subnet] for subnet in before if subnet in zones}
    added = [subnet for subnet in after - before if subnet in zones and zones[subnet] not in known]
    if not known or not added:
        return ""
    return (
        f"InvalidParameterException: Provided subnets {', '.join(added)} belong to the AZs that the cluster was not made with"
    )


def _subnets(given: Mapping[str, Any]) -> set[str]:
    config: Mapping[str, Any] = given.get("vpcConfig") or {}
    subnets: Sequence[Any] = config.get("subnetIds") or ()
    return {str(subnet) for subnet in subnets}
