"""How API Gateway calls a function, and sends its answer on."""

import contextlib
import fnmatch
import re
from collections.abc import Mapping

import aiohttp
from aiohttp import web

from pulumi_llm_local.program.graph import Graph
from pulumi_llm_local.services.lambda_function import Function

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
