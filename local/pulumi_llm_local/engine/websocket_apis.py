"""What API Gateway serves of a WebSocket (or HTTP) API: a deployment is a snapshot, and a stage serves its deployment's."""

from collections.abc import Iterable, Mapping
from typing import Any

from pulumi_llm_local.aws_types.apigatewayv2 import API, AUTHORIZER, INTEGRATION, INTEGRATION_RESPONSE, ROUTE, ROUTE_RESPONSE
from pulumi_llm_local.aws_types.values import revealed
from pulumi_llm_local.engine.changes import DEFAULTS
from pulumi_llm_local.engine.rest_apis import Description, Resource


def described(api: str, account: Iterable[Resource]) -> Description:
    """Describe the API with the id `api` as a deployment would freeze it now.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-deployment.html
    """
    parts = [each for each in account if each.inputs.get("apiId") == api or (each.token, each.id) == (API, api)]

    def integration(identifier: str) -> list[Description]:
        own = [part for part in parts if part.token == INTEGRATION_RESPONSE and part.inputs.get("integrationId") == identifier]
        responses = [_settings(response, without=("integrationId",)) for response in own]
        return [{"settings": settings, "responses": responses} for settings in of(INTEGRATION, identifier)]

    def of(token: str, identifier: Any) -> list[Description]:
        return [_settings(each) for each in parts if (each.token, each.id) == (token, identifier)]

    def route(each: Resource) -> Description:
        inputs = revealed(each.inputs)
        responses = [part for part in parts if part.token == ROUTE_RESPONSE and part.inputs.get("routeId") == each.id]
        return {
            "settings": _settings(each, without=("target", "authorizerId")),
            "integration": integration(str(inputs.get("target")).removeprefix("integrations/")),
            "authorizer": of(AUTHORIZER, inputs.get("authorizerId")),
            "responses": [_settings(response, without=("routeId",)) for response in responses],
        }

    settings = [_settings(each, without=("tags",)) for each in parts if each.token == API]
    return {"api": settings, "routes": {each.inputs["routeKey"]: route(each) for each in parts if each.token == ROUTE}}


def _settings(part: Resource, without: tuple[str, ...] = ()) -> Mapping[str, Any]:
    return {key: value for key, value in revealed(part.inputs).items() if key not in (DEFAULTS, *without)}
