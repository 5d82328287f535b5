"""How API Gateway calls a function, and sends its answer on."""

import base64
import contextlib
import fnmatch
import re
from collections.abc import Mapping
from typing import Any, cast

import aiohttp
from aiohttp import web

from pulumi_llm_local.program.graph import Graph
from pulumi_llm_local.services.api_gateway.api_request import ApiRequest, header_fields
from pulumi_llm_local.services.lambda_function import Function, FunctionError

MAX_EVENT_BYTES = 6 * 1024 * 1024
"""Lambda's limit for the event that the payload is put into."""


def permitted_function(graph: Graph, functions: Mapping[str, Function], uri: str, source_arn: str) -> Function | None:
    """Find the function that a URI calls, by its alias; None where it has no permission for `source_arn`."""
    match = re.search(r"/functions/(arn:aws:lambda:[^/]+:function:([^:/]+)(?::([^:/]+))?)/", uri)
    if match is None or match[2] not in functions:
        return None
    for permission in graph.of_type("aws:lambda/permission:Permission"):
        state = permission.state
        if (
            match[2] in str(state["function"])
            and (state.get("qualifier") or None) == match[3]
            and state["principal"] == "apigateway.amazonaws.com"
            and fnmatch.fnmatchcase(source_arn, str(state.get("sourceArn") or "*"))
        ):
            return functions[match[2]]
    return None


async def invoke(function: Function, call: ApiRequest, authorized: Mapping[str, Any]) -> web.Response:
    """Call a function with a request as one event, and render what it returns. Raises `FunctionError`.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html
    """
    answer = await function.invoke(
        {
            "resource": call.resource_path,
            "path": call.sent_path,
            "httpMethod": call.request.method,
            **header_fields(call.request.headers),
            "queryStringParameters": dict(call.request.query) or None,
            "pathParameters": dict(call.path_parameters) or None,
            "stageVariables": None,
            "requestContext": call.context(authorized),
            "body": call.body.decode("utf-8", "replace") or None,
            "isBase64Encoded": False,
        }
    )
    if not isinstance(answer, dict) or "statusCode" not in answer:
        raise FunctionError("Malformed Lambda proxy response")
    returned = cast("dict[str, Any]", answer)
    body = str(returned.get("body") or "")
    content = base64.b64decode(body) if returned.get("isBase64Encoded") else body.encode()
    response = web.Response(status=int(returned["statusCode"]), body=content, content_type="application/json")
    sent: dict[str, Any] = returned.get("headers") or {}
    for name, value in sent.items():
        response.headers[name] = str(value)
    return response


async def forward(uri: str, call: ApiRequest) -> web.StreamResponse:
    """Send a request on to the URL of an HTTP proxy integration, and its response back. Raises `FunctionError`.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/setup-http-integrations.html
    """
    url = uri
    for name, value in call.path_parameters.items():
        url = url.replace(f"{{{name}}}", value)
    skipped = ("host", "content-length", "transfer-encoding", "connection")
    headers = [(name, value) for name, value in call.request.headers.items() if name.lower() not in skipped]
    try:
        async with aiohttp.ClientSession(auto_decompress=False) as session:
            answer = await session.request(
                call.request.method, url, params=call.request.query, headers=headers, data=call.body, allow_redirects=False
            )
            return await relay(call.request, answer)
    except (aiohttp.ClientError, OSError) as error:
        raise FunctionError(f"{url} did not answer: {error}") from error


async def relay(request: web.Request, answer: aiohttp.ClientResponse) -> web.StreamResponse:
    """Send a function's answer on, chunk by chunk as it comes.

    A client that goes away does not end the function: as on Lambda, it runs on, and what it still writes is dropped. A function
    that breaks off breaks the response off, too.
    """
    response = web.StreamResponse(status=answer.status)
    for name, value in answer.headers.items():
        if name.lower() not in ("transfer-encoding", "content-length", "connection", "keep-alive", "date", "server"):
            response.headers.add(name, value)
    gone = False
    try:
        await response.prepare(request)
    except ConnectionError:
        gone = True
    try:
        async for chunk in answer.content.iter_any():
            if not gone:
                try:
                    await response.write(chunk)
                except ConnectionError:
                    gone = True
    except (aiohttp.ClientError, TimeoutError):
        if request.transport is not None:
            request.transport.abort()
        return response
    finally:
        answer.release()
    if not gone:
        with contextlib.suppress(ConnectionError):
            await response.write_eof()
    return response
