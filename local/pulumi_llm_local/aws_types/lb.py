"""Elastic Load Balancing."""

from collections.abc import Mapping
from typing import Final

from pulumi_llm_local.aws_types.aws_type import AwsType, Outputs
from pulumi_llm_local.aws_types.draft import Draft

_ARN: Final = "arn:{partition}:elasticloadbalancing:{region}:{account}:"


def _load_balancer(draft: Draft) -> Outputs:
    """A load balancer's kind is in its ARN: `app`, `net` or `gwy`."""
    kind = {"network": "net", "gateway": "gwy"}.get(draft.text("loadBalancerType"), "app")
    domain = "elb.{region}.{dns_suffix}" if kind == "net" else "{region}.elb.{dns_suffix}"
    return {
        "id": "{arn}",
        "arnSuffix": f"{kind}/{{name}}/{{hex16}}",
        "arn": _ARN + "loadbalancer/{arnSuffix}",
        "dnsName": f"{{name}}-{{digits10}}.{domain}",
        "zoneId": "Z{zone.upper13}",
    }


def _listener(draft: Draft) -> Outputs:
    """A listener's ARN is its load balancer's, of another kind, with an end of its own."""
    arn = draft.text("loadBalancerArn").replace(":loadbalancer/", ":listener/", 1)
    return {"id": "{arn}", "arn": f"{arn}/{{hex16}}"}


TYPES: Final[Mapping[str, AwsType]] = {
    "aws:lb/listener:Listener": AwsType(outputs=_listener, replaced_by="loadBalancerArn", api="elbv2 CreateListener"),
    "aws:lb/loadBalancer:LoadBalancer": AwsType(
        outputs=_load_balancer,
        replaced_by="customerOwnedIpv4Pool internal loadBalancerType name namePrefix",
        api="elbv2 CreateLoadBalancer",
        stateful="callers have its address",
        deletion_protection=("enableDeletionProtection", True),
    ),
    "aws:lb/targetGroup:TargetGroup": AwsType(
        outputs={"id": "{arn}", "arnSuffix": "targetgroup/{name}/{hex16}", "arn": _ARN + "{arnSuffix}"},
        api="elbv2 CreateTargetGroup",
        replaced_by="ipAddressType name namePrefix port protocol targetType vpcId",
    ),
}
