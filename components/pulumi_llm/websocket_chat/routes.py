"""The routes of the API, and the integrations that they lead to."""

import json

import pulumi
from pulumi_aws import apigatewayv2

from pulumi_llm.base.component import Component

# The routes that the function `connections` answers at once, and which of them answer with a message.
PROXIED = ("$connect", "$disconnect", "cancel", "ping", "$default")
_ANSWERED = ("cancel", "ping", "$default")
# The routes whose messages a function gets asynchronously: `generations`, and `recovery`, which never waits behind generations.
HANDED_OVER = ("chat", "resume")

CHILDREN = {
    "proxy-integration": apigatewayv2.Integration,
    "event-integration": apigatewayv2.Integration,
    "event-response": apigatewayv2.IntegrationResponse,
    "route": apigatewayv2.Route,
    "route-response": apigatewayv2.RouteResponse,
}


def create_routes(
    component: Component,
    api: apigatewayv2.Api,
    authorizer: apigatewayv2.Authorizer | None,
    connections_uri: pulumi.Input[str],
    generations_uri: pulumi.Input[str],
    recovery_uri: pulumi.Input[str],
) -> list[pulumi.Resource]:
    """Make all routes of `api`. The URIs are those by which API Gateway invokes the functions."""
    proxy = apigatewayv2.Integration(
        component.child_name("proxy-integration"),
        api_id=api.id,
        integration_type="AWS_PROXY",
        integration_uri=connections_uri,
        opts=component.child("proxy-integration"),
    )
    made: list[pulumi.Resource] = [proxy]
    for key in PROXIED:
        checking = authorizer if key == "$connect" else None
        made += _route(component, api, key, proxy, authorizer=checking, answered=key in _ANSWERED)
    for key, uri in zip(HANDED_OVER, (generations_uri, recovery_uri), strict=True):
        integration = _event_integration(component, api, key, uri)
        # Without a route response none is sent, whatever this says; an integration of type AWS is to have one nevertheless.
        # https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-integration-responses.html
        response = apigatewayv2.IntegrationResponse(
            f"{component.child_name('event-response')}-{key}",
            api_id=api.id,
            integration_id=integration.id,
            integration_response_key="$default",
            opts=component.child("event-response"),
        )
        made += [integration, response, *_route(component, api, key, integration)]
    return made


def route_names() -> list[str]:
    """The names of the routes, as their resources have them."""
    return [_name(key) for key in (*PROXIED, *HANDED_OVER)]


def answered_names() -> list[str]:
    """The names of the routes that answer with a message."""
    return [_name(key) for key in _ANSWERED]


def _name(key: str) -> str:
    return key.removeprefix("$")


def _event_integration(
    component: Component, api: apigatewayv2.Api, action: str, uri: pulumi.Input[str]
) -> apigatewayv2.Integration:
    """An integration that invokes the function asynchronously, so that no generation meets the limit of 29 s.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-integration-async.html
    The message is in base64: a client cannot leave its place in the event, whatever it writes.
    """
    template = {
        "connection": "$context.connectionId",
        "request_id": "$context.requestId",
        "body": "$util.base64Encode($input.body)",
    }
    return apigatewayv2.Integration(
        f"{component.child_name('event-integration')}-{action}",
        api_id=api.id,
        integration_type="AWS",
        integration_method="POST",
        integration_uri=uri,
        passthrough_behavior="NEVER",
        template_selection_expression="\\$default",
        request_templates={"$default": json.dumps(template)},
        request_parameters={"integration.request.header.X-Amz-Invocation-Type": "'Event'"},
        opts=component.child("event-integration"),
    )


def _route(
    component: Component,
    api: apigatewayv2.Api,
    key: str,
    integration: apigatewayv2.Integration,
    *,
    authorizer: apigatewayv2.Authorizer | None = None,
    answered: bool = False,
) -> list[pulumi.Resource]:
    """A route. Only with a response does what its function returns reach the client.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-route-response.html
    """
    route = apigatewayv2.Route(
        f"{component.child_name('route')}-{_name(key)}",
        api_id=api.id,
        route_key=key,
        target=pulumi.Output.format("integrations/{}", integration.id),
        authorization_type="CUSTOM" if authorizer is not None else "NONE",
        authorizer_id=None if authorizer is None else authorizer.id,
        route_response_selection_expression="$default" if answered else None,
        opts=component.child("route"),
    )
    if not answered:
        return [route]
    response = apigatewayv2.RouteResponse(
        f"{component.child_name('route-response')}-{_name(key)}",
        api_id=api.id,
        route_id=route.id,
        route_response_key="$default",
        opts=component.child("route-response"),
    )
    return [route, response]
