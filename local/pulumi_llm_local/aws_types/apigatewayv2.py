"""API Gateway's WebSocket and HTTP APIs."""

from collections.abc import Mapping
from typing import Final

from pulumi_llm_local.aws_types.aws_type import AWS_DOCS, AwsType, Outputs, ValueRule
from pulumi_llm_local.aws_types.draft import Draft

_ARN: Final = "arn:{partition}:apigateway:{region}::"


def _websocket_or_http_api(draft: Draft) -> Outputs:
    """A WebSocket API's id ends in `w` and no HTTP API's does, so that a stage can tell what it belongs to."""
    websocket = draft.text("protocolType") == "WEBSOCKET"
    identifier = draft.lower(9) + ("w" if websocket else "h")
    return {
        "id": identifier,
        "arn": "arn:{partition}:apigateway:{region}::/apis/{id}",
        "apiEndpoint": f"{'wss' if websocket else 'https'}://{{id}}.execute-api.{{region}}.{{dns_suffix}}",
        "executionArn": "arn:{partition}:execute-api:{region}:{account}:{id}",
        "apiKeySelectionExpression": "$request.header.x-api-key",
    }


def _websocket_or_http_stage(draft: Draft) -> Outputs:
    """A stage's URL has its API's protocol; the default stage of an HTTP API has no path."""
    scheme = "wss" if draft.text("apiId").endswith("w") else "https"
    path = "" if draft.physical_name == "$default" else "{name}"
    return {
        "id": "{name}",
        "arn": "arn:{partition}:apigateway:{region}::/apis/{apiId}/stages/{name}",
        "executionArn": "arn:{partition}:execute-api:{region}:{account}:{apiId}/{name}",
        "invokeUrl": f"{scheme}://{{apiId}}.execute-api.{{region}}.{{dns_suffix}}/{path}",
        "deploymentId": "{lower6}",
    }


TYPES: Final[Mapping[str, AwsType]] = {
    "aws:apigatewayv2/api:Api": AwsType(
        outputs=_websocket_or_http_api,
        replaced_by="credentialsArn protocolType routeKey target",
        stateful="callers have its address",
    ),
    "aws:apigatewayv2/apiMapping:ApiMapping": AwsType(outputs={"id": "{lower6}"}, replaced_by="apiId domainName"),
    "aws:apigatewayv2/authorizer:Authorizer": AwsType(outputs={"id": "{lower6}"}, replaced_by="apiId"),
    "aws:apigatewayv2/deployment:Deployment": AwsType(
        outputs={"id": "{lower6}", "autoDeployed": False}, replaced_by="apiId triggers"
    ),
    "aws:apigatewayv2/domainName:DomainName": AwsType(
        outputs={
            "id": "{domainName}",
            "arn": _ARN + "/domainnames/{domainName}",
            "apiMappingSelectionExpression": "$request.basepath",
        },
        replaced_by="domainName",
        stateful="callers have its address",
    ),
    "aws:apigatewayv2/integration:Integration": AwsType(
        outputs={"id": "{lower7}"},
        replaced_by="apiId integrationSubtype integrationType",
        rules={
            "timeoutMilliseconds": ValueRule(
                AWS_DOCS + "apigatewayv2/latest/api-reference/apis-apiid-integrations.html", low=50, high=30000
            )
        },
    ),
    "aws:apigatewayv2/route:Route": AwsType(outputs={"id": "{lower7}"}, replaced_by="apiId"),
    "aws:apigatewayv2/routeResponse:RouteResponse": AwsType(outputs={"id": "{lower7}"}, replaced_by="apiId routeId"),
    "aws:apigatewayv2/stage:Stage": AwsType(
        outputs=_websocket_or_http_stage, replaced_by="apiId name", stateful="callers have its address"
    ),
}
