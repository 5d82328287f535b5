"""The way in: one internal balancer for all models, HTTPS from the caller to the pods, allowed paths only."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import pulumi
from pulumi_aws import acm, lb, route53, vpc

from pulumi_llm.base.component import Component
from pulumi_llm.gpu_inference_cluster.args import ClusterDomainSettings, GpuInferenceClusterSettings
from pulumi_llm.gpu_inference_cluster.workloads.place import (
    GRPC_PORT,
    HEALTH_PATH,
    HTTPS_PORT,
    IDLE_SECONDS,
    STICKINESS_COOKIE,
    STICKINESS_SECONDS,
)
from pulumi_llm.gpu_inference_cluster.workloads.versions import ServedModel, Version

# What a caller may ask of a model. More than five values a rule are refused.
# https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-limits.html
_PATHS: Final = ("chat/completions", "completions", "embeddings", "models", "responses")

# A gRPC path holds no model's name, so a caller gives it as metadata.
GRPC_MODEL_HEADER: Final = "llm-model"

# TLS 1.3 and 1.2. https://docs.aws.amazon.com/elasticloadbalancing/latest/application/describe-ssl-policies.html
_TLS_POLICY: Final = "ELBSecurityPolicy-TLS13-1-2-2021-06"
# At least; longer where servers may take longer to end their answers.
_DEREGISTRATION_SECONDS: Final = 120
# Targets of version 1.2 of HTTP are tried so often; each check's answer has to come within less.
_HEALTH_CHECK: Final = {"interval": 10, "timeout": 5, "healthy_threshold": 2, "unhealthy_threshold": 3}
_TARGET_GROUP_NAME: Final = 32

# The tag of the target groups in which pods of the cluster are registered.
CLUSTER_TAG: Final = "pulumi-llm/cluster"

_NOT_FOUND: Final = {
    "error": {"type": "invalid_request_error", "code": "not_found", "message": "There is nothing at this path"}
}


class Balancer(NamedTuple):
    """The balancer, and the target group of each version by the version's name."""

    balancer: lb.LoadBalancer
    listener: lb.Listener
    target_groups: Mapping[str, lb.TargetGroup]


def create_balancer(
    component: Component,
    settings: GpuInferenceClusterSettings,
    models: Sequence[ServedModel],
    cluster_name: pulumi.Input[str],
) -> Balancer:
    """Make the balancer, its listener and a target group for each version, whose targets it checks at once."""
    network = settings.network
    balancer = lb.LoadBalancer(
        component.child_name("balancer"),
        internal=True,
        load_balancer_type="application",
        subnets=network.balancer_subnet_ids,
        security_groups=[network.balancer_security_group_id],
        idle_timeout=IDLE_SECONDS,
        drop_invalid_header_fields=True,
        enable_deletion_protection=settings.deletion_protection,
        tags=component.tags,
        opts=component.child("balancer", protect=settings.deletion_protection or None),
    )
    listener = lb.Listener(
        component.child_name("listener"),
        load_balancer_arn=balancer.arn,
        port=443,
        protocol="HTTPS",
        ssl_policy=_TLS_POLICY,
        certificate_arn=_certificate(component, settings.domain),
        default_actions=[
            {
                "type": "fixed-response",
                "fixed_response": {
                    "status_code": "404",
                    "content_type": "application/json",
                    "message_body": json.dumps(_NOT_FOUND),
                },
            }
        ],
        tags=component.tags,
        opts=component.child("listener"),
    )
    if settings.domain.zone_id is not None:
        route53.Record(
            component.child_name("record"),
            zone_id=settings.domain.zone_id,
            name=settings.domain.name,
            type="A",
            aliases=[{"name": balancer.dns_name, "zone_id": balancer.zone_id, "evaluate_target_health": False}],
            opts=component.child("record"),
        )
    if any(version.grpc for model in models for version in model.versions):
        _let_grpc_in(component, settings)
    target_groups = {
        version.name: _target_group(component, settings, listener, version, cluster_name)
        for model in models
        for version in model.versions
    }
    return Balancer(balancer, listener, target_groups)


def forward(component: Component, balancer: Balancer, model: ServedModel, ready: Sequence[pulumi.Resource]) -> lb.ListenerRule:
    """Forward a model's paths to its versions by their weights, once these are `ready`."""
    targets = [(balancer.target_groups[version.name].arn, version.weight) for version in model.versions]
    return lb.ListenerRule(
        f"{component.child_name('rule')}-{model.name}",
        listener_arn=balancer.listener.arn,
        # Without a priority, which AWS then gives: the models' paths are different, and another model moves no other.
        conditions=_conditions(model),
        actions=[_forward_to(targets)],
        tags=component.tags,
        opts=component.child("rule", depends_on=list(ready)),
    )


def _conditions(model: ServedModel) -> list[Any]:
    if any(version.grpc for version in model.versions):
        return [
            {"http_header": {"http_header_name": "content-type", "values": ["application/grpc*"]}},
            {"http_header": {"http_header_name": GRPC_MODEL_HEADER, "values": [model.name]}},
        ]
    return [{"path_pattern": {"values": [f"/{model.name}/v1/{path}" for path in _PATHS]}}]


def _forward_to(targets: Sequence[tuple[pulumi.Input[str], int]]) -> Any:
    if len(targets) == 1:
        return {"type": "forward", "target_group_arn": targets[0][0]}
    # With sticky targets in several groups, the groups must be sticky too.
    # https://docs.aws.amazon.com/elasticloadbalancing/latest/application/sticky-sessions.html
    sticky = {"enabled": True, "duration": STICKINESS_SECONDS}
    groups = [{"arn": arn, "weight": weight} for arn, weight in targets]
    return {"type": "forward", "forward": {"target_groups": groups, "stickiness": sticky}}


def _target_group(
    component: Component,
    settings: GpuInferenceClusterSettings,
    listener: lb.Listener,
    version: Version,
    cluster_name: pulumi.Input[str],
) -> lb.TargetGroup:
    group = lb.TargetGroup(
        f"{component.child_name('target-group')}-{version.name}",
        name=target_group_name(component, version.model, version.name),
        vpc_id=settings.network.vpc_id,
        target_type="ip",
        deregistration_delay=max(_DEREGISTRATION_SECONDS, version.grace_seconds),
        load_balancing_algorithm_type="least_outstanding_requests",
        tags={**component.tags, CLUSTER_TAG: cluster_name},
        opts=component.child("target-group"),
        **(_GRPC if version.grpc else _HTTPS),
    )
    # The balancer checks only targets of groups that a rule of its leads to. By this rule, which no request matches, a new
    # version's servers are found healthy before they get traffic.
    lb.ListenerRule(
        f"{component.child_name('check-rule')}-{version.name}",
        listener_arn=listener.arn,
        conditions=[{"path_pattern": {"values": [f"/.versions/{version.name}"]}}],
        actions=[{"type": "forward", "target_group_arn": group.arn}],
        tags=component.tags,
        opts=component.child("check-rule"),
    )
    return group


_HTTPS: Final[dict[str, Any]] = {
    "port": HTTPS_PORT,
    "protocol": "HTTPS",
    "health_check": {**_HEALTH_CHECK, "protocol": "HTTPS", "path": HEALTH_PATH, "matcher": "200"},
    "stickiness": {
        "enabled": True,
        "type": "app_cookie",
        "cookie_name": STICKINESS_COOKIE,
        "cookie_duration": STICKINESS_SECONDS,
    },
}
# Any gRPC status: a server answers UNIMPLEMENTED where it has no health service, and that shows that it is there.
# https://docs.aws.amazon.com/elasticloadbalancing/latest/application/target-group-health-checks.html
_GRPC: Final[dict[str, Any]] = {
    "port": GRPC_PORT,
    "protocol": "HTTP",
    "protocol_version": "GRPC",
    "health_check": {**_HEALTH_CHECK, "protocol": "HTTP", "path": "/grpc.health.v1.Health/Check", "matcher": "0-99"},
}


def target_group_name(component: Component, start: str, name: str) -> str:
    """A name of 32 characters at most, which Pulumi's own with a stack's name in it would not be.

    It begins with `start`, and `name` makes its end, so that no two groups have the same. A version has a group of its own, so
    that no group of one name ever takes another's place.
    """
    whole = f"{pulumi.get_organization()}/{pulumi.get_project()}/{pulumi.get_stack()}/{component.child_name('target-group')}"
    end = hashlib.sha256(f"{whole}/{name}".encode()).hexdigest()[:10]
    begin = re.sub("[^a-z0-9]+", "-", start)[: _TARGET_GROUP_NAME - len(end) - 1].strip("-")
    return f"{begin}-{end}"


def _certificate(component: Component, domain: ClusterDomainSettings) -> pulumi.Input[str]:
    """The given certificate, or one that is validated in the zone, which must be public."""
    if domain.certificate_arn is not None:
        return domain.certificate_arn
    certificate = acm.Certificate(
        component.child_name("certificate"),
        domain_name=domain.name,
        validation_method="DNS",
        tags=component.tags,
        opts=component.child("certificate"),
    )
    option = certificate.domain_validation_options.apply(lambda options: options[0])
    assert domain.zone_id is not None  # one of the two is required
    record = route53.Record(
        component.child_name("certificate-record"),
        zone_id=domain.zone_id,
        name=option.apply(lambda option: option.resource_record_name),
        type=option.apply(lambda option: option.resource_record_type),
        records=[option.apply(lambda option: option.resource_record_value or "")],
        ttl=300,
        allow_overwrite=True,
        opts=component.child("certificate-record"),
    )
    validation = acm.CertificateValidation(
        component.child_name("certificate-validation"),
        certificate_arn=certificate.arn,
        validation_record_fqdns=[record.fqdn],
        opts=component.child("certificate-validation"),
    )
    return validation.certificate_arn


def _let_grpc_in(component: Component, settings: GpuInferenceClusterSettings) -> None:
    """Open the port of gRPC from the balancer to the nodes, at both ends."""
    network = settings.network
    ways: Sequence[tuple[str, Any, pulumi.Input[str], pulumi.Input[str]]] = (
        (
            "balancer-to-grpc",
            vpc.SecurityGroupEgressRule,
            network.balancer_security_group_id,
            network.service_security_group_id,
        ),
        (
            "grpc-from-balancer",
            vpc.SecurityGroupIngressRule,
            network.service_security_group_id,
            network.balancer_security_group_id,
        ),
    )
    for key, rule, group, other in ways:
        rule(
            component.child_name(key),
            security_group_id=group,
            referenced_security_group_id=other,
            ip_protocol="tcp",
            from_port=GRPC_PORT,
            to_port=GRPC_PORT,
            tags=component.tags,
            opts=component.child(key),
        )
