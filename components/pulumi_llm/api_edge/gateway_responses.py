"""The errors that API Gateway answers by itself, in a shape that clients of OpenAI's format and of Anthropic's both read."""

import json

import pulumi
from pulumi_aws import apigateway

from llm_gateway.errors import GATEWAY_RESPONSES, GatewayResponse
from llm_gateway.operations import EXPOSED_HEADERS
from pulumi_llm.api_edge.api import Api
from pulumi_llm.api_edge.cors import Cors
from pulumi_llm.base.component import Component

# HTTP status, type, code, message, and how API Gateway makes Retry-After, empty for none.
_Response = tuple[int, str, str, str, str]


def gateway_responses(auth: str) -> dict[str, _Response]:
    """Return the responses by API Gateway's response type, for an API whose callers are authenticated by `auth`.

    The status is 0 for the response types that keep API Gateway's status. The types are the same for every `auth`: a response
    is deleted after the deployment is made, so the stage would serve one that another `auth` does not have.
    """
    found: dict[str, _Response] = {}
    for iam in (False, True) if auth == "iam" else (True, False):  # of two responses of a type, the latter counts
        for response in GATEWAY_RESPONSES:
            if response.iam == iam:
                kind = response.kind
                status = 0 if response.type.startswith("DEFAULT_") else kind.status
                found[response.type] = (status, kind.type, kind.code, response.message or kind.message, _retry_after(response))
    return found


def _retry_after(response: GatewayResponse) -> str:
    """Return the mapping of the header: a fixed number of seconds, or a variable of the authorizer's context.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/rest-api-parameter-mapping-sources.html
    """
    if response.retry_after:
        return f"context.authorizer.{response.retry_after}"
    return "" if response.kind.retry_after is None else f"'{response.kind.retry_after}'"


def create_gateway_responses(component: Component, api: Api, auth: str, cors: Cors) -> list[pulumi.Resource]:
    """Make the responses of `api`, which browsers show to the pages that `cors` allows."""
    return [_create(component, api, type_, response, cors) for type_, response in gateway_responses(auth).items()]


def _create(component: Component, api: Api, response_type: str, response: _Response, cors: Cors) -> pulumi.Resource:
    status, error_type, code, message, retry_after = response
    headers: dict[str, pulumi.Input[str]] = {
        "Access-Control-Allow-Origin": pulumi.Output.format("'{}'", cors.error_origin),
        "Access-Control-Expose-Headers": f"'{EXPOSED_HEADERS}'",
        "X-Request-Id": "context.requestId",
        "Cache-Control": "'no-store'",
    }
    if retry_after:
        headers["Retry-After"] = retry_after
    error = {"type": error_type, "code": code, "message": message, "request_id": "$context.requestId"}
    # A template of a response has variables and no conditions, so it cannot go by the path. Anthropic's clients read the type
    # and the request_id of the whole. https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-gatewayResponse-definition.html
    body = {"type": "error", "error": error, "request_id": "$context.requestId"}
    return apigateway.Response(
        f"{component.child_name('gateway-response')}-{response_type.lower().replace('_', '-')}",
        rest_api_id=api.id,
        response_type=response_type,
        status_code=str(status) if status else None,
        response_parameters={f"gatewayresponse.header.{name}": value for name, value in headers.items()},
        response_templates={"application/json": json.dumps(body)},
        opts=component.child("gateway-response"),
    )
