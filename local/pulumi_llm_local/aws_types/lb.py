"""Elastic Load Balancing."""

from collections.abc import Mapping
from typing import Any, Final

from pulumi_llm_local.aws_types.aws_type import AWS_DOCS, AwsType, Outputs, Relation, ValueRule
from pulumi_llm_local.aws_types.draft import Draft

_LIMITS: Final = AWS_DOCS + "elasticloadbalancing/latest/application/load-balancer-limits.html"
_LISTENER: Final = "aws:lb/listener:Listener"
_RULE: Final = "aws:lb/listenerRule:ListenerRule"
# https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DeleteTargetGroup.html
_IN_USE: Final = "ResourceInUse: Target group is currently in use by a listener or a rule"
_ATTACHMENT: Final = "aws:lb/targetGroupAttachment:TargetGroupAttachment"
# https://docs.aws.amazon.com/elasticloadbalancing/latest/network/application-load-balancer-target.html
_NETWORK: Final = AWS_DOCS + "elasticloadbalancing/latest/network/"
_IS_TARGET: Final = "ResourceInUse: the load balancer is registered as a target of another one"
# https://docs.aws.amazon.com/vpc/latest/privatelink/delete-endpoint-service.html
_HAS_SERVICE: Final = "ResourceInUse: the load balancer is currently associated with another service"
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


def _target_group_rules(inputs: Mapping[str, Any]) -> Mapping[str, ValueRule]:
    """A group whose target is a balancer speaks TCP to it, is checked over HTTP, and has no attributes of its own."""
    if inputs.get("targetType") != "alb":
        return {}
    page = _NETWORK + "application-load-balancer-target.html"
    return {
        "protocol": ValueRule(page, values=("TCP",)),
        "healthCheck.protocol": ValueRule(page, member="HealthCheckProtocol", values=("HTTP", "HTTPS")),
        "deregistrationDelay": ValueRule(page, values=(300,)),
    }


def _rule(draft: Draft) -> Outputs:
    """A rule's ARN is its listener's, of another kind. Without a priority it gets the next one that is free."""
    arn = draft.text("listenerArn").replace(":listener/", ":listener-rule/", 1)
    return {"id": "{arn}", "arn": f"{arn}/{{hex16}}", "priority": int(draft.digits(4)) + 1}


TYPES: Final[Mapping[str, AwsType]] = {
    _LISTENER: AwsType(
        outputs=_listener,
        replaced_by="loadBalancerArn",
        api="elbv2 CreateListener",
        rules={"tcpIdleTimeoutSeconds": ValueRule(_NETWORK + "update-idle-timeout.html", low=60, high=6000)},
        contains=(Relation(_RULE, {"listenerArn": "arn"}),),
    ),
    _RULE: AwsType(
        outputs=_rule,
        replaced_by="listenerArn",
        api="elbv2 CreateRule",
        rules={
            "conditions.pathPattern.values": ValueRule(_LIMITS, high=5),
            "conditions.httpHeader.values": ValueRule(_LIMITS, high=5),
        },
        unique=("listenerArn", "priority"),
        needs=(Relation(_LISTENER, {"listenerArn": "arn"}, "ListenerNotFound: One or more listeners not found"),),
    ),
    "aws:lb/loadBalancer:LoadBalancer": AwsType(
        outputs=_load_balancer,
        replaced_by="customerOwnedIpv4Pool internal loadBalancerType name namePrefix",
        api="elbv2 CreateLoadBalancer",
        stateful="callers have its address",
        deletion_protection=("enableDeletionProtection", True),
        contains=(Relation(_LISTENER, {"loadBalancerArn": "arn"}),),
        blocked_by=(
            Relation(_ATTACHMENT, {"targetId": "arn"}, _IS_TARGET),
            Relation("aws:ec2/vpcEndpointService:VpcEndpointService", {"networkLoadBalancerArns": "arn"}, _HAS_SERVICE),
        ),
    ),
    _ATTACHMENT: AwsType(
        outputs={"id": "{targetGroupArn}-{digits10}"},
        api="elbv2 RegisterTargets",
        replaced_by="availabilityZone port quicServerId targetGroupArn targetId",
    ),
    "aws:lb/targetGroup:TargetGroup": AwsType(
        outputs={"id": "{arn}", "arnSuffix": "targetgroup/{name}/{hex16}", "arn": _ARN + "{arnSuffix}"},
        api="elbv2 CreateTargetGroup",
        rules_by_inputs=_target_group_rules,
        replaced_by="ipAddressType name namePrefix port protocol targetType vpcId",
        blocked_by=(Relation(_RULE, {"actions": "arn"}, _IN_USE), Relation(_LISTENER, {"defaultActions": "arn"}, _IN_USE)),
    ),
}
