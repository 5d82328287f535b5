"""The security groups, chained: the functions call the balancer, and the balancer calls the servers of models."""

from typing import Any, Final, NamedTuple

import pulumi
from pulumi_aws import ec2, vpc

from pulumi_llm.base.component import Component
from pulumi_llm.inference_network.tags import named

HTTPS: Final = 443
_ANYWHERE: Final = "0.0.0.0/0"

_Rule = type[vpc.SecurityGroupEgressRule] | type[vpc.SecurityGroupIngressRule]


class SecurityGroups(NamedTuple):
    """Who calls whom, from left to right."""

    function: ec2.SecurityGroup
    balancer: ec2.SecurityGroup
    service: ec2.SecurityGroup


def create_security_groups(component: Component, vpc_id: pulumi.Input[str], service_port: pulumi.Input[int]) -> SecurityGroups:
    """Make the groups. A group has no rules but these, so a rule of yours may be added beside them."""
    function = create_group(component, "function-security-group", vpc_id, "Functions that call models")
    balancer = create_group(component, "balancer-security-group", vpc_id, "The internal balancer of the servers of models")
    service = create_group(component, "service-security-group", vpc_id, "The servers of models")
    _let_call(component, ("function", function), ("balancer", balancer), HTTPS)
    _let_call(component, ("balancer", balancer), ("service", service), service_port)
    for key, group, why in (("function", function, "AWS and providers of models"), ("service", service, "Images and weights")):
        out = f"{key}-to-internet"
        add_rule(component, out, vpc.SecurityGroupEgressRule, group, HTTPS, cidr_ipv4=_ANYWHERE, description=why)
    return SecurityGroups(function, balancer, service)


def create_group(component: Component, key: str, vpc_id: pulumi.Input[str], description: str) -> ec2.SecurityGroup:
    """Make a group without rules."""
    return ec2.SecurityGroup(
        component.child_name(key),
        vpc_id=vpc_id,
        description=description,
        revoke_rules_on_delete=True,
        tags=named(component, key),
        opts=component.child(key),
    )


def add_rule(
    component: Component, key: str, rule: _Rule, group: ec2.SecurityGroup, port: pulumi.Input[int], **other: Any
) -> None:
    """Open one port of a group; `other` says to or from where."""
    rule(
        component.child_name(key),
        security_group_id=group.id,
        ip_protocol="tcp",
        from_port=port,
        to_port=port,
        tags=component.tags,
        opts=component.child(key),
        **other,
    )


def _let_call(
    component: Component,
    caller: tuple[str, ec2.SecurityGroup],
    called: tuple[str, ec2.SecurityGroup],
    port: pulumi.Input[int],
) -> None:
    """Let one group call another on one port, at both ends."""
    (caller_key, calling), (called_key, answering) = caller, called
    out, into = f"{caller_key}-to-{called_key}", f"{called_key}-from-{caller_key}"
    add_rule(component, out, vpc.SecurityGroupEgressRule, calling, port, referenced_security_group_id=answering.id)
    add_rule(component, into, vpc.SecurityGroupIngressRule, answering, port, referenced_security_group_id=calling.id)
