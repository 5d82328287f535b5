"""The security groups, chained: the functions call the balancer, and the balancer calls the servers of models."""

from typing import Final, NamedTuple

import pulumi
from pulumi_aws import ec2, vpc

from pulumi_llm.base.component import Component

_HTTPS: Final = 443
_ANYWHERE: Final = "0.0.0.0/0"


class SecurityGroups(NamedTuple):
    """Who calls whom, from left to right."""

    function: ec2.SecurityGroup
    balancer: ec2.SecurityGroup
    service: ec2.SecurityGroup


def create_security_groups(component: Component, vpc_id: pulumi.Input[str], service_port: pulumi.Input[int]) -> SecurityGroups:
    """Make the groups. A group has no rules but these, so a rule of yours may be added beside them."""
    function = _group(component, "function", vpc_id, "Functions that call models")
    balancer = _group(component, "balancer", vpc_id, "The internal balancer of the servers of models")
    service = _group(component, "service", vpc_id, "The servers of models")
    _call(component, "function", function, "balancer", balancer, _HTTPS)
    _call(component, "balancer", balancer, "service", service, service_port)
    for key, group, why in (("function", function, "AWS and providers of models"), ("service", service, "Images and weights")):
        vpc.SecurityGroupEgressRule(
            component.child_name(f"{key}-to-internet"),
            security_group_id=group.id,
            description=why,
            ip_protocol="tcp",
            from_port=_HTTPS,
            to_port=_HTTPS,
            cidr_ipv4=_ANYWHERE,
            tags=component.tags,
            opts=component.child(f"{key}-to-internet"),
        )
    return SecurityGroups(function, balancer, service)


def _group(component: Component, key: str, vpc_id: pulumi.Input[str], description: str) -> ec2.SecurityGroup:
    name = f"{key}-security-group"
    return ec2.SecurityGroup(
        component.child_name(name),
        vpc_id=vpc_id,
        description=description,
        revoke_rules_on_delete=True,
        tags={"Name": component.child_name(name), **component.tags},
        opts=component.child(name),
    )


def _call(
    component: Component,
    caller_key: str,
    caller: ec2.SecurityGroup,
    called_key: str,
    called: ec2.SecurityGroup,
    port: pulumi.Input[int],
) -> None:
    """Let one group call another on one port, at both ends."""
    out, into = f"{caller_key}-to-{called_key}", f"{called_key}-from-{caller_key}"
    vpc.SecurityGroupEgressRule(
        component.child_name(out),
        security_group_id=caller.id,
        ip_protocol="tcp",
        from_port=port,
        to_port=port,
        referenced_security_group_id=called.id,
        tags=component.tags,
        opts=component.child(out),
    )
    vpc.SecurityGroupIngressRule(
        component.child_name(into),
        security_group_id=called.id,
        ip_protocol="tcp",
        from_port=port,
        to_port=port,
        referenced_security_group_id=caller.id,
        tags=component.tags,
        opts=component.child(into),
    )
