"""The deployment, and the stage that serves it: what is logged and throttled of the whole API."""

import json
from collections.abc import Sequence

import pulumi
from pulumi_aws import apigatewayv2, cloudwatch

from llm_gateway.identity.caller import KEY, TENANT
from pulumi_llm.api_edge.settings import Throttle
from pulumi_llm.api_edge.snapshot import digest
from pulumi_llm.base.component import Component
from pulumi_llm.base.lambda_function import Shared, log_group

# API Gateway takes no path after the stage, so this name is the path, of a CDN in front, too.
STAGE = "ws"

# https://docs.aws.amazon.com/apigateway/latest/developerguide/websocket-api-logging.html
_ACCESS_LOG = {
    "request_id": "$context.requestId",
    "time": "$context.requestTime",
    "source_ip": "$context.identity.sourceIp",
    "route": "$context.routeKey",
    "event": "$context.eventType",
    "connection_id": "$context.connectionId",
    "status": "$context.status",
    "integration_ms": "$context.integrationLatency",
    "tenant": f"$context.authorizer.{TENANT}",
    "api_key": f"$context.authorizer.{KEY}",
    "error": "$context.error.responseType",
    "error_message": "$context.error.message",
    "integration_error": "$context.integration.error",
    "authorizer_status": "$context.authorizer.status",
    "authorizer_error": "$context.authorizer.error",
}


def create_stage(
    component: Component,
    shared: Shared,
    api: apigatewayv2.Api,
    parts: Sequence[pulumi.Resource],
    *,
    ready: Sequence[pulumi.Resource],
    throttle: Throttle,
    access_logs: bool,
) -> tuple[apigatewayv2.Stage, cloudwatch.LogGroup | None]:
    """Deploy `parts`, all that a deployment of `api` freezes, and make the stage.

    `ready` is what must be there before the stage serves. Returns the stage, and the log group of the access logs.
    """
    deployment = apigatewayv2.Deployment(
        component.child_name("deployment"),
        api_id=api.id,
        triggers={"definition": digest([api, *parts])},
        opts=component.child("deployment", depends_on=[api, *parts, *ready]),
    )
    logs = log_group(component, "access-logs", shared) if access_logs else None
    stage = apigatewayv2.Stage(
        component.child_name("stage"),
        api_id=api.id,
        name=STAGE,
        deployment_id=deployment.id,
        # Each route is throttled by itself. Metrics of each would be billed as custom metrics.
        default_route_settings={
            "detailed_metrics_enabled": False,
            "logging_level": "OFF",
            "data_trace_enabled": False,
            "throttling_rate_limit": throttle.rate_limit,
            "throttling_burst_limit": throttle.burst_limit,
        },
        access_log_settings=None if logs is None else {"destination_arn": logs.arn, "format": json.dumps(_ACCESS_LOG)},
        tags=component.tags,
        opts=component.child("stage"),
    )
    return stage, logs
