"""Gateway responses: what API Gateway answers by itself, as the program configures it."""

import json
import re
from collections.abc import Mapping
from typing import Any

from aiohttp import web
from multidict import CIMultiDict

from pulumi_llm_local.program.graph import Resource


class GatewayResponse(Exception):
    """API Gateway answers by itself, with this response type, such as `THROTTLED`.

    `authorizer` is the authorizer's context, where it had answered before.
    """

    def __init__(self, type: str, authorizer: Mapping[str, Any] | None = None) -> None:
        super().__init__(type)
        self.type = type
        self.authorizer = authorizer or {}


def render(response_type: GatewayResponse, request_id: str, configured: Mapping[str, Resource]) -> web.Response:
    """Render a gateway response.

    Args:
        response_type: The response type, with the authorizer's context.
        request_id: The request's id, which a template may name.
        configured: The program's gateway responses by their types, `DEFAULT_4XX` and `DEFAULT_5XX` included.
    """
    type = response_type.type
    status, message = _DEFAULT_RESPONSES[type]
    default = configured.get("DEFAULT_4XX" if status < 500 else "DEFAULT_5XX")
    response = configured.get(type) or default
    if response is None:
        return web.json_response({"message": message}, status=status)
    state = response.state
    templates: dict[str, str] = state.get("responseTemplates") or {}
    parameters: dict[str, str] = state.get("responseParameters") or {}
    template = templates.get("application/json", '{"message":$context.error.messageString}')
    variables = {
        "$context.error.messageString": json.dumps(message),
        "$context.error.responseType": type,
        "$context.requestId": request_id,
        # A value is made a text. https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-mapping-template-reference.html
        **{f"$context.authorizer.{name}": str(value) for name, value in response_type.authorizer.items()},
    }
    template = re.sub(r"\$context(?:\.\w+)+", lambda variable: variables.get(variable[0], ""), template)
    headers = CIMultiDict[str]()
    for name, value in parameters.items():
        text = value.strip("'") if value.startswith("'") else variables.get(f"${value}", "")
        headers[name.removeprefix("gatewayresponse.header.")] = text
    return web.Response(
        status=int(state.get("statusCode") or status), text=template, headers=headers, content_type="application/json"
    )


# The status and message of each gateway response that is not configured.
_DEFAULT_RESPONSES = {
    "ACCESS_DENIED": (403, "User is not authorized to access this resource"),
    "API_CONFIGURATION_ERROR": (500, "Internal server error"),
    "AUTHORIZER_CONFIGURATION_ERROR": (500, "Internal server error"),
    "AUTHORIZER_FAILURE": (500, "Internal server error"),
    "BAD_REQUEST_BODY": (400, "Invalid request body"),
    "INTEGRATION_FAILURE": (504, "Internal server error"),
    "INVALID_SIGNATURE": (403, "The request signature we calculated does not match the signature you provided"),
    "INTEGRATION_TIMEOUT": (504, "Endpoint request timed out"),
    "INVALID_API_KEY": (403, "Forbidden"),
    "MISSING_AUTHENTICATION_TOKEN": (403, "Missing Authentication Token"),
    "QUOTA_EXCEEDED": (429, "Limit Exceeded"),
    "REQUEST_TOO_LARGE": (413, "Request Too Long"),
    "THROTTLED": (429, "Too Many Requests"),
    "UNAUTHORIZED": (401, "Unauthorized"),
    "UNSUPPORTED_MEDIA_TYPE": (415, "Unsupported Media Type"),
    "WAF_FILTERED": (403, "Forbidden"),
}
