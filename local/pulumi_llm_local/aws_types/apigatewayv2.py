"""API Gateway's WebSocket and HTTP APIs."""

from collections.abc import Mapping
from typing import Any, Final

from pulumi_llm_local.aws_types.aws_type import AWS_DOCS, AwsType, Outputs, Relation, ValueRule
from pulumi_llm_local.aws_types.draft import Draft

_ARN: Final = "arn:{partition}:apigateway:{region}::"
_REFERENCE: Final = AWS_DOCS + "apigatewayv2/latest/api-reference/"
_GUIDE: Final = AWS_DOCS + "apigateway/latest/developerguide/"
_SELECTION: Final = _GUIDE + "apigateway-websocket-api-selection-expressions.html"

API: Final = "aws:apigatewayv2/api:Api"
AUTHORIZER: Final = "aws:apigatewayv2/authorizer:Authorizer"
DEPLOYMENT: Final = "aws:apigatewayv2/deployment:Deployment"
INTEGRATION: Final = "aws:apigatewayv2/integration:Integration"
INTEGRATION_RESPONSE: Final = "aws:apigatewayv2/integrationResponse:IntegrationResponse"
ROUTE: Final = "aws:apigatewayv2/route:Route"
ROUTE_RESPONSE: Final = "aws:apigatewayv2/routeResponse:RouteResponse"
STAGE: Final = "aws:apigatewayv2/stage:Stage"


def _websocket_or_http_api(draft: Draft) -> Outputs:
    """A WebSocket API's id ends in `wss` and no HTTP API's does, so that its parts can tell what they belong to."""
    websocket = draft.text("protocolType") == "WEBSOCKET"
    identifier = draft.lower(7) + ("wss" if websocket else "web")
    return {
        "id": identifier,
        "arn": "arn:{partition}:apigateway:{region}::/apis/{id}",
        "apiEndpoint": f"{'wss' if websocket else 'https'}://{{id}}.execute-api.{{region}}.{{dns_suffix}}",
        "executionArn": "arn:{partition}:execute-api:{region}:{account}:{id}",
        "apiKeySelectionExpression": "$request.header.x-api-key",
    }


def _websocket_or_http_stage(draft: Draft) -> Outputs:
    """A stage's URL has its API's protocol; the default stage of an HTTP API has no path."""
    scheme = "wss" if _is_websocket(draft.inputs) else "https"
    path = "" if draft.physical_name == "$default" else "{name}"
    return {
        "id": "{name}",
        "arn": "arn:{partition}:apigateway:{region}::/apis/{apiId}/stages/{name}",
        "executionArn": "arn:{partition}:execute-api:{region}:{account}:{apiId}/{name}",
        "invokeUrl": f"{scheme}://{{apiId}}.execute-api.{{region}}.{{dns_suffix}}/{path}",
        "deploymentId": "{lower6}",
    }


def _is_websocket(inputs: Mapping[str, Any]) -> bool:
    """Whether a part of an API belongs to a WebSocket API. The stand-ins' ids tell; one that is not known yet does not."""
    return str(inputs.get("apiId")).endswith("wss")


def _api(inputs: Mapping[str, Any]) -> Mapping[str, ValueRule]:
    """A WebSocket API needs an expression over the message, which an HTTP API cannot have."""
    if inputs.get("protocolType") == "WEBSOCKET":
        pattern = r"(\$request\.(body|header|querystring|path)\.[\w.-]+|\$\{request\.[\w.-]+\}.*)"
    else:
        pattern = r"\$\{?request\.method\}? \$\{?request\.path\}?"
    return {"routeSelectionExpression": ValueRule(_SELECTION, pattern=pattern)}


def _integration(inputs: Mapping[str, Any]) -> Mapping[str, ValueRule]:
    high = 29000 if _is_websocket(inputs) else 30000
    return {"timeoutMilliseconds": ValueRule(_REFERENCE + "apis-apiid-integrations.html", low=50, high=high)}


def _route(inputs: Mapping[str, Any]) -> Mapping[str, ValueRule]:
    """A WebSocket API takes no JWT authorizer, and `$` begins only the three route keys that API Gateway knows."""
    rules = {"target": ValueRule(_REFERENCE + "apis-apiid-routes.html", pattern="integrations/.+")}
    if not _is_websocket(inputs):
        return rules
    types = ("NONE", "AWS_IAM", "CUSTOM")
    return {
        **rules,
        "authorizationType": ValueRule(_REFERENCE + "apis-apiid-routes.html", values=types),
        "routeKey": ValueRule(
            _GUIDE + "apigateway-websocket-api-develop-routes.html", pattern=r"\$(connect|disconnect|default)|[^$\s].*"
        ),
    }


def _authorizer(inputs: Mapping[str, Any]) -> Mapping[str, ValueRule]:
    if not _is_websocket(inputs):
        return {}
    page = _REFERENCE + "apis-apiid-authorizers.html"
    return {
        "authorizerType": ValueRule(page, values=("REQUEST",)),
        # https://github.com/aws/aws-cdk/issues/18307
        "identitySources": ValueRule(page, pattern=r"(route\.request\.(header|querystring)|context|stageVariables)\.[\w.-]+"),
        # Cached results are an HTTP API's alone.
        "authorizerResultTtlInSeconds": ValueRule(page, low=0, high=0),
    }


def _stage(inputs: Mapping[str, Any]) -> Mapping[str, ValueRule]:
    """The name of a stage is a part of the URL; `$default` is an HTTP API's that has none."""
    names = "[a-zA-Z0-9_-]+" if _is_websocket(inputs) else r"[a-zA-Z0-9_-]+|\$default"
    return {"name": ValueRule(_REFERENCE + "apis-apiid-stages.html", member="StageName", high=128, pattern=names)}


_THROTTLE: Final = {
    f"{settings}.{limit}": ValueRule(_REFERENCE + "apis-apiid-stages.html#apis-apiid-stages-model-routesettings", low=0)
    for settings in ("defaultRouteSettings", "routeSettings")
    for limit in ("throttlingBurstLimit", "throttlingRateLimit")
}

TYPES: Final[Mapping[str, AwsType]] = {
    API: AwsType(
        outputs=_websocket_or_http_api,
        replaced_by="credentialsArn protocolType routeKey target",
        stateful="callers have its address",
        rules_by_inputs=_api,
    ),
    "aws:apigatewayv2/apiMapping:ApiMapping": AwsType(outputs={"id": "{lower6}"}, replaced_by="apiId domainName"),
    AUTHORIZER: AwsType(
        outputs={"id": "{lower6}"},
        replaced_by="apiId",
        rules_by_inputs=_authorizer,
        unique=("apiId", "name"),
        # https://github.com/anomalyco/sst/issues/5586
        blocked_by=(
            Relation(
                ROUTE,
                {"apiId": "apiId", "authorizerId": "id"},
                "ConflictException: Cannot delete authorizer, is referenced in route",
            ),
        ),
    ),
    DEPLOYMENT: AwsType(
        outputs={"id": "{lower6}", "autoDeployed": False},
        replaced_by="apiId triggers",
        blocked_by=(
            # https://docs.aws.amazon.com/apigatewayv2/latest/api-reference/apis-apiid-deployments-deploymentid.html
            Relation(
                STAGE,
                {"apiId": "apiId", "deploymentId": "id"},
                "BadRequestException: Active stages pointing to this deployment must be moved or deleted",
            ),
        ),
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
    INTEGRATION: AwsType(
        outputs={"id": "{lower7}"},
        replaced_by="apiId integrationSubtype integrationType",
        rules_by_inputs=_integration,
        rules={"timeoutMilliseconds": ValueRule(_REFERENCE + "apis-apiid-integrations.html", member="TimeoutInMillis")},
        contains=(Relation(INTEGRATION_RESPONSE, {"apiId": "apiId", "integrationId": "id"}),),
        # https://github.com/milliHQ/terraform-aws-next-js/issues/247
        blocked_by=(
            Relation(
                ROUTE,
                {"apiId": "apiId", "target": "integrations/{id}"},
                "ConflictException: Cannot delete Integration because it is referenced by the following Routes",
            ),
        ),
    ),
    INTEGRATION_RESPONSE: AwsType(
        outputs={"id": "{lower7}"},
        replaced_by="apiId integrationId",
        # A regular expression stands between slashes; $default takes what no other one does.
        rules={
            "integrationResponseKey": ValueRule(
                _GUIDE + "apigateway-websocket-api-integration-responses.html", pattern=r"\$default|/.+/"
            )
        },
        needs=(
            Relation(
                INTEGRATION,
                {"apiId": "apiId", "integrationId": "id"},
                "NotFoundException: Invalid Integration identifier specified",
            ),
        ),
    ),
    ROUTE: AwsType(
        outputs={"id": "{lower7}"},
        replaced_by="apiId",
        rules_by_inputs=_route,
        # https://docs.aws.amazon.com/apigatewayv2/latest/api-reference/apis-apiid-routes.html
        unique=("apiId", "routeKey"),
        contains=(Relation(ROUTE_RESPONSE, {"apiId": "apiId", "routeId": "id"}),),
    ),
    ROUTE_RESPONSE: AwsType(
        outputs={"id": "{lower7}"},
        replaced_by="apiId routeId",
        # Only the key $default is possible. https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-route-response.html
        rules={"routeResponseKey": ValueRule(_GUIDE + "apigateway-websocket-api-route-response.html", values=("$default",))},
        needs=(Relation(ROUTE, {"apiId": "apiId", "routeId": "id"}, "NotFoundException: Invalid Route identifier specified"),),
    ),
    STAGE: AwsType(
        outputs=_websocket_or_http_stage,
        replaced_by="apiId name",
        stateful="callers have its address",
        within="apiId",
        rules=_THROTTLE
        | {
            # A map in the API, a list in the provider.
            "routeSettings.loggingLevel": ValueRule(_REFERENCE + "apis-apiid-stages.html", values=("ERROR", "INFO", "OFF")),
            "accessLogSettings.destinationArn": ValueRule(
                _GUIDE + "websocket-api-logging.html",
                pattern="arn:[^:]+:(logs:[^:]+:[0-9]{12}:log-group:.+|firehose:[^:]+:[0-9]{12}:deliverystream/amazon-apigateway-.+)",
            ),
        },
        rules_by_inputs=_stage,
    ),
}
