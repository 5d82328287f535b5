"""The errors that API Gateway answers by itself, in a shape that clients of OpenAI's format and of Anthropic's both read."""

import json
from collections.abc import Mapping

import pulumi
from pulumi_aws import apigateway

from llm_gateway.errors import DO_NOT_RETRY, GATEWAY_RESPONSES, GatewayResponse, rate_limit_exceeded
from llm_gateway.operations import EXPOSED_HEADERS
from pulumi_llm.api_edge.api import Api
from pulumi_llm.api_edge.cors import Cors
from pulumi_llm.base.component import Component


def gateway_responses(auth: str) -> dict[str, GatewayResponse]:
    """Return the responses by API Gateway's response type, for an API whose callers are authenticated by `auth`.

    The types are the same for every `auth`: a response is deleted after the deployment is made, so the stage would serve one
    that another `auth` does not have.
    """
    found: dict[str, GatewayResponse] = {}
    for iam in (False, True) if auth == "iam" else (True, False):  # of two responses of a type, the latter counts
        found |= {response.type: response for response in GATEWAY_RESPONSES if response.iam == iam}
    return found


def create_gateway_responses(
    component: Component, api: Api, auth: str, cors: Cors, *, throttled_seconds: int
) -> list[pulumi.Resource]:
    """Make the responses of `api`, which browsers show to the pages that `cors` allows.

    Args:
        throttled_seconds: After how long any caller that is throttled has a request again.
    """
    return [_create(component, api, response, cors, throttled_seconds) for response in gateway_responses(auth).values()]


def _create(component: Component, api: Api, response: GatewayResponse, cors: Cors, throttled_seconds: int) -> pulumi.Resource:
    kind = response.kind
    headers: dict[str, pulumi.Input[str]] = {
        "Access-Control-Allow-Origin": pulumi.Output.format("'{}'", cors.error_origin),
        "Access-Control-Expose-Headers": f"'{EXPOSED_HEADERS}'",
        "X-Request-Id": "context.requestId",
        "Cache-Control": "'no-store'",
        **_retry_headers(response, throttled_seconds),
    }
    error = {
        "type": kind.type,
        "code": kind.code,
        "message": response.message or kind.message,
        "request_id": "$context.requestId",
    }
    # A template of a response has variables and no conditions, so it cannot go by the path. Anthropic's clients read the type
    # and the request_id of the whole. https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-gatewayResponse-definition.html
    body = {"type": "error", "error": error, "request_id": "$context.requestId"}
    return apigateway.Response(
        f"{component.child_name('gateway-response')}-{response.type.lower().replace('_', '-')}",
        rest_api_id=api.id,
        response_type=response.type,
        status_code=None if response.type.startswith("DEFAULT_") else str(kind.status),  # each of those keeps its own
        response_parameters={f"gatewayresponse.header.{name}": value for name, value in headers.items()},
        response_templates={"application/json": json.dumps(body)},
        opts=component.child("gateway-response"),
    )


def _retry_headers(response: GatewayResponse, throttled_seconds: int) -> Mapping[str, str]:
    """Return the mapping of Retry-After: a fixed number of seconds, or a variable of the authorizer's context, which is hours.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/rest-api-parameter-mapping-sources.html
    """
    if response.retry_after:
        return {"Retry-After": f"context.authorizer.{response.retry_after}", "X-Should-Retry": f"'{DO_NOT_RETRY[1]}'"}
    seconds = throttled_seconds if response.kind is rate_limit_exceeded else response.kind.retry_after
    return {} if seconds is None else {"Retry-After": f"'{seconds}'"}
