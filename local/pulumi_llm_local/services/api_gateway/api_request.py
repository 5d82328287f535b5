"""A request on its way through API Gateway."""

import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from multidict import CIMultiDictProxy

from pulumi_llm_local.aws_types.draft import ACCOUNT
from pulumi_llm_local.services.api_gateway.gateway_responses import GatewayResponse

MAX_PAYLOAD_BYTES = 10 * 1024 * 1024
"""API Gateway's payload limit."""


@dataclass(frozen=True)
class ApiRequest:
    """One request to a stage of an API."""

    request: web.Request
    id: str
    api_id: str
    stage: str
    path: str
    sent_path: str  # as the function gets it
    body: bytes
    resource_path: str
    path_parameters: Mapping[str, str]
    method_arn: str

    def parameter(self, name: str) -> str:
        """What `$input.params` of a mapping template gives: from path, query or header, in that order, by exact name."""
        headers = dict(self.request.raw_headers)
        found = self.path_parameters.get(name) or self.request.query.get(name)
        return found or headers.get(name.encode(), b"").decode("latin-1")

    def context(self, authorized: Mapping[str, Any] | None) -> dict[str, Any]:
        """API Gateway's request context; `authorized` is what the authorizer answered, None before it is asked."""
        context: dict[str, Any] = {
            "accountId": ACCOUNT,
            "apiId": self.api_id,
            "stage": self.stage,
            "requestId": self.id,
            "extendedRequestId": self.id,
            "requestTimeEpoch": int(time.time() * 1000),
            "httpMethod": self.request.method,
            "path": self.request.path,
            "resourcePath": self.resource_path,
            "protocol": "HTTP/1.1",
            "identity": {"sourceIp": self.request.remote, "userAgent": self.request.headers.get("user-agent")},
        }
        if authorized and "identity" in authorized:
            context["identity"] |= authorized["identity"]
        elif authorized:
            given: dict[str, Any] = authorized.get("context") or {}
            context["authorizer"] = {**given, "principalId": authorized.get("principalId"), "integrationLatency": 0}
        return context


def header_fields(headers: CIMultiDictProxy[str]) -> dict[str, Any]:
    """Return the headers as an event has them: every value, and the last value of each name.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html
    """
    several = {name: headers.getall(name) for name in headers}
    return {"headers": {name: values[-1] for name, values in several.items()}, "multiValueHeaders": several}


async def read_payload(request: web.Request) -> bytes:
    """Read the whole payload, as API Gateway does before anything else, and decompress it.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-make-request-with-compressed-payload.html
    Raises `GatewayResponse` for one that is too large, or not compressed as it says.
    """
    body = bytearray()
    async for chunk in request.content.iter_any():
        body += chunk
        if len(body) > MAX_PAYLOAD_BYTES:
            raise GatewayResponse("REQUEST_TOO_LARGE")
    coding = request.headers.get("content-encoding", "identity").lower()
    if coding == "identity":
        return bytes(body)
    try:
        decompressor = zlib.decompressobj(_WINDOW_BITS[coding])
        plain = decompressor.decompress(body, MAX_PAYLOAD_BYTES)
    except (KeyError, zlib.error):
        raise GatewayResponse("UNSUPPORTED_MEDIA_TYPE") from None
    if not decompressor.eof:
        raise GatewayResponse("REQUEST_TOO_LARGE" if decompressor.unconsumed_tail else "UNSUPPORTED_MEDIA_TYPE")
    return plain


# The codings that API Gateway supports, as zlib calls them.
_WINDOW_BITS = {"gzip": zlib.MAX_WBITS | 16, "deflate": zlib.MAX_WBITS}
