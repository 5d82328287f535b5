"""Callers in other VPCs: an endpoint service (PrivateLink), whose Network Load Balancer leads to the internal balancer."""

from typing import Final, NamedTuple

import pulumi
from pulumi_aws import ec2, lb, route53, vpc

from pulumi_llm.base.component import Component
from pulumi_llm.gpu_inference_cluster.args import GpuInferenceClusterSettings, PrivateLinkSettings
from pulumi_llm.gpu_inference_cluster.load_balancer import Balancer, target_group_name
from pulumi_llm.gpu_inference_cluster.workloads.place import IDLE_SECONDS

_HTTPS: Final = 443


class PrivateLink(NamedTuple):
    """The endpoint service, for the endpoints of callers and for whoever accepts these."""

    service_id: pulumi.Output[str]
    service_name: pulumi.Output[str]


def create_private_link(
    component: Component, settings: GpuInferenceClusterSettings, link: PrivateLinkSettings, balancer: Balancer
) -> PrivateLink:
    """Make the endpoint service. TLS ends at the internal balancer, which has the domain's certificate.

    https://docs.aws.amazon.com/elasticloadbalancing/latest/network/application-load-balancer-target.html
    https://docs.aws.amazon.com/vpc/latest/privatelink/create-endpoint-service.html
    """
    front = _network_balancer(component, settings, _security_group(component, settings))
    _forward(component, settings, front, balancer)
    zone_id = settings.verification_zone_id(link)
    service = ec2.VpcEndpointService(
        component.child_name("endpoint-service"),
        acceptance_required=link.acceptance_required,
        allowed_principals=link.allowed_principals,
        network_load_balancer_arns=[front.arn],
        private_dns_name=settings.domain.name if zone_id is not None else None,
        tags={"Name": component.child_name("endpoint-service"), **component.tags},
        opts=component.child("endpoint-service", protect=settings.deletion_protection or None),
    )
    if zone_id is not None:
        _verify_domain(component, settings.domain.name, zone_id, service)
    return PrivateLink(service.id, service.service_name)


def _security_group(component: Component, settings: GpuInferenceClusterSettings) -> ec2.SecurityGroup:
    """Make the group of the network balancer, which calls the internal balancer and is called through PrivateLink alone.

    It has no inbound rule, so that nobody in the VPC goes around the groups of the internal balancer's callers.
    """
    group = ec2.SecurityGroup(
        component.child_name("nlb-security-group"),
        vpc_id=settings.network.vpc_id,
        description="The network balancer of the endpoint service",
        revoke_rules_on_delete=True,
        tags={"Name": component.child_name("nlb-security-group"), **component.tags},
        opts=component.child("nlb-security-group"),
    )
    vpc.SecurityGroupEgressRule(
        component.child_name("nlb-to-balancer"),
        security_group_id=group.id,
        referenced_security_group_id=settings.network.balancer_security_group_id,
        ip_protocol="tcp",
        from_port=_HTTPS,
        to_port=_HTTPS,
        tags=component.tags,
        opts=component.child("nlb-to-balancer"),
    )
    vpc.SecurityGroupIngressRule(
        component.child_name("balancer-from-nlb"),
        security_group_id=settings.network.balancer_security_group_id,
        referenced_security_group_id=group.id,
        ip_protocol="tcp",
        from_port=_HTTPS,
        to_port=_HTTPS,
        tags=component.tags,
        opts=component.child("balancer-from-nlb"),
    )
    return group


def _network_balancer(component: Component, settings: GpuInferenceClusterSettings, group: ec2.SecurityGroup) -> lb.LoadBalancer:
    return lb.LoadBalancer(
        component.child_name("nlb"),
        internal=True,
        load_balancer_type="network",
        subnets=settings.network.balancer_subnet_ids,
        # Only a balancer that is made with a group can have one.
        security_groups=[group.id],
        # Who comes through PrivateLink has an address of another VPC, which no rule here can name: the service's permissions,
        # and the group of the caller's endpoint, say who may.
        # https://docs.aws.amazon.com/elasticloadbalancing/latest/network/load-balancer-security-groups.html
        enforce_security_group_inbound_rules_on_private_link_traffic="off",
        enable_deletion_protection=settings.deletion_protection,
        tags=component.tags,
        opts=component.child("nlb", protect=settings.deletion_protection or None),
    )


def _forward(
    component: Component, settings: GpuInferenceClusterSettings, front: lb.LoadBalancer, balancer: Balancer
) -> lb.Listener:
    """Forward to the internal balancer. A group of the type `alb` takes one, and none of the other attributes of a group."""
    group = lb.TargetGroup(
        component.child_name("nlb-target-group"),
        name=target_group_name(component, "nlb", "nlb"),
        vpc_id=settings.network.vpc_id,
        target_type="alb",
        port=_HTTPS,
        protocol="TCP",
        # At a path that leads to no model the internal balancer answers 404 itself: it is there, whatever its models do.
        health_check={"protocol": "HTTPS", "path": "/", "matcher": "404"},
        tags=component.tags,
        opts=component.child("nlb-target-group"),
    )
    lb.TargetGroupAttachment(
        component.child_name("nlb-target"),
        target_group_arn=group.arn,
        target_id=balancer.balancer.arn,
        port=_HTTPS,
        # AWS takes a balancer only if it listens on the group's port.
        opts=component.child("nlb-target", depends_on=[balancer.listener]),
    )
    return lb.Listener(
        component.child_name("nlb-listener"),
        load_balancer_arn=front.arn,
        port=_HTTPS,
        protocol="TCP",
        # As the internal balancer; 350 seconds by default.
        # https://docs.aws.amazon.com/elasticloadbalancing/latest/network/update-idle-timeout.html
        tcp_idle_timeout_seconds=IDLE_SECONDS,
        default_actions=[{"type": "forward", "target_group_arn": group.arn}],
        tags=component.tags,
        opts=component.child("nlb-listener"),
    )


def _verify_domain(component: Component, domain: str, zone_id: pulumi.Input[str], service: ec2.VpcEndpointService) -> None:
    """Prove by a record that the domain is ours, so that callers may have it as the name of their endpoints.

    https://docs.aws.amazon.com/vpc/latest/privatelink/manage-dns-names.html
    """
    proof = service.private_dns_name_configurations.apply(lambda configurations: configurations[0])
    record = route53.Record(
        component.child_name("endpoint-service-record"),
        zone_id=zone_id,
        name=proof.apply(lambda proof: f"{proof.name}.{domain}"),
        type="TXT",
        records=[proof.apply(lambda proof: proof.value or "")],
        ttl=300,
        opts=component.child("endpoint-service-record"),
    )
    vpc.EndpointServicePrivateDnsVerification(
        component.child_name("endpoint-service-verification"),
        service_id=service.id,
        wait_for_verification=True,
        opts=component.child(
            "endpoint-service-verification",
            depends_on=[record],
            # Another name of the same service has to be verified again.
            replacement_trigger=domain,
            delete_before_replace=True,
        ),
    )
