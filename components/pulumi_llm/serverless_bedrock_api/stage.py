"""The stage: what is logged and throttled of the whole API."""

import json

import pulumi
from pulumi_aws import apigateway, cloudwatch

from llm_gateway.identity.caller import KEY, TENANT
from llm_gateway.operations import OPERATIONS, Operation
from pulumi_llm.api_edge.api import Api
from pulumi_llm.api_edge.settings import Throttle
from pulumi_llm.base.component import Component
from pulumi_llm.base.lambda_function import Shared, log_group

# Anyone may ask for the operations without authorization. An answer holds the function for milliseconds, on a cold start for a
# second or two: with this throttle, that is never more than some ten executions.
_OPEN_THROTTLE = Throttle(rate_limit=5, burst_limit=5)

_ACCESS_LOG = {
    "request_id": "$context.requestId",
    "time": "$context.requestTime",
    "source_ip": "$context.identity.sourceIp",
    "method": "$context.httpMethod",
    "path": "$context.path",
    "status": "$context.status",
    "response_ms": "$context.responseLatency",
    "integration_ms": "$context.integrationLatency",
    "bytes": "$context.responseLength",
    "tenant": f"$context.authorizer.{TENANT}",
    "api_key": f"$context.authorizer.{KEY}",
    # Who signed, with AWS signatures.
    "caller": "$context.identity.userArn",
    "error": "$context.error.responseType",
}


def create_stage(
    component: Component,
    shared: Shared,
    api: Api,
    deployment: apigateway.Deployment,
    *,
    throttle: Throttle,
    access_logs: bool,
    access_log_destination_arn: pulumi.Input[str] | None,
) -> tuple[apigateway.Stage, cloudwatch.LogGroup | None]:
    """Make the stage that serves `deployment`, with a throttle for each method and, where wanted, a log of each request.

    Returns:
        The stage, and the log group that was made for it.
    """
    made = log_group(component, "access-logs", shared) if access_logs and access_log_destination_arn is None else None
    destination_arn = access_log_destination_arn if made is None else made.arn
    stage = apigateway.Stage(
        component.child_name("stage"),
        rest_api=api.id,
        deployment=deployment.id,
        stage_name=api.stage_name,
        xray_tracing_enabled=shared.tracing,
        access_log_settings={"destination_arn": destination_arn, "format": json.dumps(_ACCESS_LOG)}
        if destination_arn is not None
        else None,
        tags=component.tags,
        opts=component.child("stage"),
    )
    settings = _method_settings(component, "stage-settings", api, stage, "*/*", throttle, after=[])
    for operation in open_operations():
        path = _escaped(api.path_prefix + operation.path)
        key, name = "method-settings", operation.id.replace("_", "-")
        # Each is an update of the stage, of which API Gateway takes one at a time.
        settings = _method_settings(
            component, key, api, stage, f"{path}/{operation.method}", _OPEN_THROTTLE, after=[settings], name=name
        )
    return stage, made


def _escaped(path: str) -> str:
    """Return a path as the settings of a method name it.

    The slashes of a deeper one are escaped, the first too: https://github.com/hashicorp/terraform-provider-aws/issues/9738
    """
    first, *deeper = path.removeprefix("/").split("/")
    return path.replace("/", "~1") if deeper else first


def open_operations() -> list[Operation]:
    """The operations that anyone may ask for."""
    return [operation for operation in OPERATIONS if not operation.authorized]


def _method_settings(
    component: Component,
    key: str,
    api: Api,
    stage: apigateway.Stage,
    method_path: str,
    throttle: Throttle,
    *,
    after: list[pulumi.Resource],
    name: str = "",
) -> apigateway.MethodSettings:
    """Make the settings of one method, or of all others. The throttle is counted for each method by itself.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-request-throttling.html
    """
    return apigateway.MethodSettings(
        component.child_name(key) + (f"-{name}" if name else ""),
        rest_api=api.id,
        stage_name=stage.stage_name,
        method_path=method_path,
        settings={
            "metrics_enabled": True,
            "logging_level": "OFF",
            "data_trace_enabled": False,
            "throttling_rate_limit": throttle.rate_limit,
            "throttling_burst_limit": throttle.burst_limit,
        },
        opts=component.child(key, depends_on=after),
    )
