"""API Gateway's @connections, by which a program sends messages to the clients of its WebSocket APIs.

https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-how-to-call-websocket-api-connections.html
"""

import re
import time
from urllib.parse import unquote

from aiohttp import web

from pulumi_llm_local.services.api_gateway.websocket_frames import MAX_MESSAGE_BYTES
from pulumi_llm_local.services.local_run import LocalRun
from pulumi_llm_local.services.signature import SignatureError, verify_signature

PLAYED = frozenset[str]()
IMPLIED = frozenset[str]()


async def start(run: LocalRun) -> None:
    """Serve it before the functions start, which find it by the variable that AWS's SDKs read."""
    app = web.Application(client_max_size=2 * MAX_MESSAGE_BYTES)
    app.router.add_route("*", "/{path:.*}", _Connections(run).handle)
    run.variables["AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI"] = await run.serve(app)


class _Connections:
    """@connections of every WebSocket API of a run, whose ids are all different."""

    def __init__(self, run: LocalRun) -> None:
        self._run = run

    async def handle(self, request: web.Request) -> web.Response:
        match = re.fullmatch(r"/([^/]+)/@connections/([^/]+)", request.raw_path)
        body = await request.read()
        try:
            verify_signature(request, body, self._run.graph.region, self._run.key, "execute-api")
        except SignatureError as error:
            return web.json_response({"message": error.message}, status=403, headers={"x-amzn-errortype": error.code})
        stage, identifier = (unquote(match[1]), unquote(match[2])) if match else ("", "")
        api = next((a for a, _ in self._run.websocket_apis if a.stage_name == stage and identifier in a.connections), None)
        if api is None:
            return web.Response(status=410, headers={"x-amzn-errortype": "GoneException"})
        connection = api.connections[identifier]
        if request.method == "DELETE":
            await connection.socket.close(code=1000)
            return web.Response(status=204)
        if request.method == "GET":
            return web.json_response(
                {
                    "connectedAt": _time(connection.connected_at),
                    "lastActiveAt": _time(connection.active_at),
                    "identity": connection.identity,
                }
            )
        if len(body) > MAX_MESSAGE_BYTES:
            return web.json_response({"message": "Payload too large"}, status=413)
        try:
            await api.send(connection, body.decode())
        except ConnectionError:
            return web.Response(status=410, headers={"x-amzn-errortype": "GoneException"})
        return web.Response()


def _time(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
