"""A Lambda function as every component makes one: its own logs and role, published as versions behind the alias `live`."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_aws import cloudwatch, iam, lambda_

from pulumi_llm.base import bundle
from pulumi_llm.base.component import Component
from pulumi_llm.base.function_settings import PolicySettings, VpcSettings, listed
from pulumi_llm.base.iam import allow, assume_role, manage_network_interfaces, policy_document, write_logs

# Every integration, permission and event source calls a function by this alias, never by $LATEST.
ALIAS = "live"


@dataclass(frozen=True)
class Published:
    """A function, its role, its alias and its log group."""

    function: lambda_.Function
    role: iam.Role
    alias: lambda_.Alias
    log_group: cloudwatch.LogGroup


@dataclass(frozen=True)
class Identity:
    """What a function runs as: its role, which has these policies, and where it writes its logs."""

    role: iam.Role
    log_group: cloudwatch.LogGroup
    policies: Sequence[pulumi.Resource]


@dataclass(frozen=True)
class Shared:
    """What the functions of one component have in common. `kms_key_arn` encrypts logs and environment; None: AWS's own key."""

    log_retention_days: pulumi.Input[int]
    kms_key_arn: pulumi.Input[str] | None = None
    tracing: bool = False


def publish(
    component: Component,
    prefix: str,
    shared: Shared,
    *,
    description: str,
    code: pulumi.Archive,
    handler: str,
    memory_mb: pulumi.Input[int],
    timeout_seconds: int,
    environment: Mapping[str, pulumi.Input[str]],
    policies: Mapping[str, pulumi.Input[Sequence[Mapping[str, Any]]]],
    layers: Sequence[pulumi.Input[str]] = (),
    reserved_concurrency: pulumi.Input[int] | None = None,
    vpc: VpcSettings | None = None,
    own_policies: PolicySettings | None = None,
    dead_letter_queue_arn: pulumi.Input[str] | None = None,
) -> Published:
    """Make a function whose children's keys begin with `prefix`. `policies`, `vpc` and `own_policies` are those of
    `create_identity`, and the rest of `publish_as`."""
    return publish_as(
        component,
        create_identity(component, prefix, shared, policies, vpc, own_policies),
        prefix,
        shared,
        description=description,
        code=code,
        handler=handler,
        memory_mb=memory_mb,
        timeout_seconds=timeout_seconds,
        environment=environment,
        layers=layers,
        reserved_concurrency=reserved_concurrency,
        vpc=vpc,
        dead_letter_queue_arn=dead_letter_queue_arn,
    )


def create_identity(
    component: Component,
    prefix: str,
    shared: Shared,
    policies: Mapping[str, pulumi.Input[Sequence[Mapping[str, Any]]]],
    vpc: VpcSettings | None = None,
    own_policies: PolicySettings | None = None,
) -> Identity:
    """Make the role and the log group of a function, or of several that do the same.

    `policies` are statements by the key of the policy's child; the role may also write its own logs, and what `shared` asks
    for: decrypt with the key, send traces. The network is `vpc`; `own_policies` are the user's.
    """
    logs = log_group(component, f"{prefix}logs", shared)
    role = iam.Role(
        component.child_name(f"{prefix}role"),
        assume_role_policy=json.dumps(assume_role("lambda.amazonaws.com")),
        tags=component.tags,
        opts=component.child(f"{prefix}role"),
    )
    own = [write_logs(pulumi.Output.format("{}:*", logs.arn))]
    if shared.kms_key_arn is not None:
        own.append(allow("Decrypt", ["kms:Decrypt"], shared.kms_key_arn))
    if shared.tracing:
        # X-Ray's actions take no resource.
        # https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsx-ray.html
        own.append(allow("Trace", ["xray:PutTraceSegments", "xray:PutTelemetryRecords"], "*"))
    if vpc is not None:
        policies = {**policies, f"{prefix}vpc-policy": manage_network_interfaces()}
    made: list[pulumi.Resource] = [
        iam.RolePolicy(
            component.child_name(key),
            role=role.id,
            policy=pulumi.Output.json_dumps(pulumi.Output.from_input(statements).apply(_document)),
            opts=component.child(key),
        )
        for key, statements in {f"{prefix}logs-policy": own, **policies}.items()
    ]
    if own_policies is not None:
        made += _own_policies(component, role, own_policies)
    return Identity(role, logs, made)


def publish_as(
    component: Component,
    identity: Identity,
    prefix: str,
    shared: Shared,
    *,
    description: str,
    code: pulumi.Archive,
    handler: str,
    memory_mb: pulumi.Input[int],
    timeout_seconds: int,
    environment: Mapping[str, pulumi.Input[str]],
    layers: Sequence[pulumi.Input[str]] = (),
    reserved_concurrency: pulumi.Input[int] | None = None,
    vpc: VpcSettings | None = None,
    suffix: str = "",
    dead_letter_queue_arn: pulumi.Input[str] | None = None,
) -> Published:
    """Make a function with its alias, which runs as `identity`. `suffix` ends the names of both, where there are several.
    What fails each time that it is called asynchronously goes to the queue of dead letters."""
    role, logs = identity.role, identity.log_group
    function = lambda_.Function(
        component.child_name(f"{prefix}function") + suffix,
        description=description,
        runtime=bundle.RUNTIME,
        architectures=["arm64"],
        handler=handler,
        code=code,
        layers=list(layers) or None,
        role=role.arn,
        memory_size=memory_mb,
        timeout=timeout_seconds,
        environment={"variables": dict(environment)},
        kms_key_arn=shared.kms_key_arn,
        logging_config={"log_format": "JSON", "log_group": logs.name},
        reserved_concurrent_executions=reserved_concurrency,
        vpc_config={"subnet_ids": listed(vpc.subnet_ids), "security_group_ids": listed(vpc.security_group_ids)}
        if vpc is not None
        else None,
        tracing_config={"mode": "Active"} if shared.tracing else None,
        dead_letter_config={"target_arn": dead_letter_queue_arn} if dead_letter_queue_arn is not None else None,
        publish=True,
        tags=component.tags,
        opts=component.child(f"{prefix}function", depends_on=list(identity.policies)),
    )
    alias = lambda_.Alias(
        component.child_name(f"{prefix}alias") + suffix,
        name=ALIAS,
        function_name=function.name,
        function_version=function.version,
        # Its name is given, so the provider would delete it first, and until it is there again nothing could be called.
        opts=component.child(f"{prefix}alias", delete_before_replace=False),
    )
    return Published(function=function, role=role, alias=alias, log_group=logs)


def _own_policies(component: Component, role: iam.Role, policies: PolicySettings) -> list[pulumi.Resource]:
    """Give the role what the user adds, each policy under its name: another order changes nothing."""
    attached = [
        iam.RolePolicyAttachment(
            f"{component.child_name('managed-policy')}-{name}",
            role=role.name,
            policy_arn=arn,
            opts=component.child("managed-policy"),
        )
        for name, arn in sorted(policies.managed.items())
    ]
    written = [
        iam.RolePolicy(
            f"{component.child_name('inline-policy')}-{name}",
            role=role.id,
            policy=pulumi.Output.json_dumps(pulumi.Output.from_input(listed(statements)).apply(_document)),
            opts=component.child("inline-policy"),
        )
        for name, statements in sorted(policies.inline.items())
    ]
    return [*attached, *written]


def let_api_gateway_invoke(
    component: Component, key: str, published: Published, source_arn: pulumi.Input[str]
) -> lambda_.Permission:
    """Let API Gateway call the function by its alias, for `source_arn` alone."""
    return lambda_.Permission(
        component.child_name(key),
        action="lambda:InvokeFunction",
        function=published.function.name,
        qualifier=published.alias.name,
        principal="apigateway.amazonaws.com",
        source_arn=source_arn,
        opts=component.child(key),
    )


def log_group(component: Component, key: str, shared: Shared) -> cloudwatch.LogGroup:
    return cloudwatch.LogGroup(
        component.child_name(key),
        retention_in_days=shared.log_retention_days,
        kms_key_id=shared.kms_key_arn,
        tags=component.tags,
        opts=component.child(key),
    )


def _document(statements: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return policy_document(*map(dict, statements))
