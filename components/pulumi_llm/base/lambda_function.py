"""A Lambda function as every component makes one: its own logs and role, published as versions behind the alias `live`."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_aws import cloudwatch, iam, lambda_

from pulumi_llm.base import bundle
from pulumi_llm.base.component import Component
from pulumi_llm.base.iam import allow, assume_role, policy_document, write_logs

# Every integration, permission and event source calls a function by this alias, never by $LATEST.
ALIAS = "live"


@dataclass(frozen=True)
class Published:
    """A function, its alias and its log group."""

    function: lambda_.Function
    alias: lambda_.Alias
    log_group: cloudwatch.LogGroup


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
) -> Published:
    """Make a function whose children's keys begin with `prefix`.

    `policies` are statements by the key of the policy's child; the function may also write its own logs, and what `shared` asks
    for: decrypt with the key, send traces.
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
    made: list[pulumi.Resource] = [
        iam.RolePolicy(
            component.child_name(key),
            role=role.id,
            policy=pulumi.Output.json_dumps(pulumi.Output.from_input(statements).apply(_document)),
            opts=component.child(key),
        )
        for key, statements in {f"{prefix}logs-policy": own, **policies}.items()
    ]
    function = lambda_.Function(
        component.child_name(f"{prefix}function"),
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
        tracing_config={"mode": "Active"} if shared.tracing else None,
        publish=True,
        tags=component.tags,
        opts=component.child(f"{prefix}function", depends_on=made),
    )
    alias = lambda_.Alias(
        component.child_name(f"{prefix}alias"),
        name=ALIAS,
        function_name=function.name,
        function_version=function.version,
        # Its name is given, so the provider would delete it first, and until it is there again nothing could be called.
        opts=component.child(f"{prefix}alias", delete_before_replace=False),
    )
    return Published(function=function, alias=alias, log_group=logs)


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
