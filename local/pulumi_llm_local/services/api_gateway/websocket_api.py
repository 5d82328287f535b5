"""API Gateway's WebSocket API, as the program's resources configure it.

What AWS does in which order, and how it answers by itself, is from
https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api.html and the pages below it;
docs/verification.md lists what is assumed.
"""

import asyncio
import contextlib
import json
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from aiohttp import WSMsgType, web

from pulumi_llm_local.aws_types.draft import ACCOUNT
from pulumi_llm_local.program.graph import Graph, Resource
from pulumi_llm_local.services.api_gateway import websocket_template
from pulumi_llm_local.services.api_gateway.api_request import header_fields
from pulumi_llm_local.services.api_gateway.authorization import allows
from pulumi_llm_local.services.api_gateway.lambda_proxy import permitted_function
from pulumi_llm_local.services.api_gateway.mapping_template import TemplateError
from pulumi_llm_local.services.api_gateway.usage_plan import Bucket
from pulumi_llm_local.services.api_gateway.websocket_frames import FrameLimit
from pulumi_llm_local.services.event_invocation import EVENT_INVOKE_CONFIG, EventInvocations
from pulumi_llm_local.services.lambda_function import Function, FunctionError
from pulumi_llm_local.services.local_run import LocalError, LocalRun, WebSocketLimits
from pulumi_llm_local.services.loopback import is_foreign

API = "aws:apigatewayv2/api:Api"
STAGE = "aws:apigatewayv2/stage:Stage"
ROUTE = "aws:apigatewayv2/route:Route"
ROUTE_RESPONSE = "aws:apigatewayv2/routeResponse:RouteResponse"
INTEGRATION_RESPONSE = "aws:apigatewayv2/integrationResponse:IntegrationResponse"
INTEGRATION = "aws:apigatewayv2/integration:Integration"
AUTHORIZER = "aws:apigatewayv2/authorizer:Authorizer"
PLAYED = frozenset({API, STAGE, ROUTE, ROUTE_RESPONSE, INTEGRATION, AUTHORIZER, EVENT_INVOKE_CONFIG})
IMPLIED = frozenset({"aws:apigatewayv2/deployment:Deployment", INTEGRATION_RESPONSE})

# https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-execution-service-websocket-limits-table.html
INTEGRATION_SECONDS = 29.0
# How long a client may take to answer that its connection is closed.
_CLOSE_SECONDS = 1.0


async def start(run: LocalRun) -> None:
    """Make every stage of a WebSocket API. The first shares the page's address, which serves it; the others have their own."""
    events = EventInvocations(run.graph, run.functions)
    run.stop.push_async_callback(events.stop)
    for api in websocket_apis(run.graph):
        for stage in run.graph.of_type(STAGE):
            if stage.state["apiId"] == api.id:
                made = WebSocketApi(run.graph, api, stage, run.functions, events, run.options.websocket_limits)
                run.stop.push_async_callback(made.close)
                if not run.websocket_apis and not any(api.stage_name == made.stage_name for api, _ in run.apis[:1]):
                    run.websocket_apis.append((made, run.address))
                    continue
                app = web.Application()
                app.router.add_route("*", "/{path:.*}", made.handle)
                run.websocket_apis.append((made, await run.serve(app, run.next_listener())))
    if not (run.apis or run.websocket_apis):
        raise LocalError("no WebSocket API of the program has a stage, so there is nothing to run")


def websocket_apis(graph: Graph) -> list[Resource]:
    """Return the WebSocket APIs. HTTP APIs have the same type."""
    return [api for api in graph.of_type(API) if api.state["protocolType"] == "WEBSOCKET"]


@dataclass
class Connection:
    """A client that is connected. Times are in seconds since the epoch."""

    id: str
    socket: web.WebSocketResponse
    identity: Mapping[str, Any]
    authorized: Mapping[str, Any]
    connected_at: float = field(default_factory=time.time)
    active_at: float = field(default_factory=time.time)


def not_played(graph: Graph) -> set[str]:
    """What has the type of a WebSocket API, and is none."""
    return {f"{API} ({kind})" for api in graph.of_type(API) if (kind := api.state["protocolType"]) != "WEBSOCKET"}


# The forms that AWS takes, by its own error message: https://github.com/aws/aws-cdk/issues/18307
_IDENTITY_SOURCE = re.compile(
    r"route\.request\.(?P<where>querystring|header)\.(?P<name>[\w.-]+)|(stageVariables|context)\.[\w.-]+"
)


class Refused(Exception):
    """API Gateway refuses a connection with this status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class WebSocketApi:
    """One stage of a WebSocket API."""

    def __init__(
        self,
        graph: Graph,
        api: Resource,
        stage: Resource,
        functions: Mapping[str, Function],
        events: EventInvocations,
        limits: WebSocketLimits,
    ) -> None:
        self._graph = graph
        self._functions = functions
        self._events = events
        self._limits = limits
        self.id = api.id
        self.stage_name = str(stage.state["name"])
        self._stage = stage
        self._execution_arn = str(api.state["executionArn"])
        self._selection = _selection(str(api.state.get("routeSelectionExpression") or ""))
        self._routes = {str(route.state["routeKey"]): route for route in self._mine(ROUTE)}
        self._integrations = {each.id: each for each in self._mine(INTEGRATION)}
        self._authorizers = {each.id: each for each in self._mine(AUTHORIZER)}
        self._answered = {str(each.state["routeId"]) for each in self._mine(ROUTE_RESPONSE)}
        self._buckets: dict[str, Bucket] = {}
        self.connections: dict[str, Connection] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._check()

    @property
    def address(self) -> str:
        """AWS's own address of the stage."""
        return f"wss://{self.id}.execute-api.{self._graph.region}.amazonaws.com/{self.stage_name}"

    @property
    def functions(self) -> list[Function]:
        """The functions behind its routes, and that of its authorizer, each once."""
        parts = [*self._integrations.values(), *self._authorizers.values()]
        uris = [str(part.state.get("integrationUri") or part.state.get("authorizerUri") or "") for part in parts]
        names = {match[1] for uri in uris if (match := re.search(r":function:([^:/]+)", uri))}
        return [function for name, function in self._functions.items() if name in names]

    def _mine(self, type: str) -> list[Resource]:
        return [resource for resource in self._graph.of_type(type) if resource.state["apiId"] == self.id]

    def _check(self) -> None:
        """Raise `LocalError` for what AWS refuses, or what is not played."""
        responses = {str(each.state["integrationId"]) for each in self._mine(INTEGRATION_RESPONSE)}
        if not self._stage.state.get("deploymentId") and not self._stage.state.get("autoDeploy"):
            raise LocalError(f"the stage {self.stage_name} of {self.id} has no deployment, so it answers nothing")
        for authorizer in self._authorizers.values():
            sources: list[str] = authorizer.state.get("identitySources") or []
            for source in sources:
                if _IDENTITY_SOURCE.fullmatch(source) is None:
                    raise LocalError(f"{source!r} is no identity source of a WebSocket API, such as route.request.header.NAME")
        for key, route in self._routes.items():
            # "You can only use a Lambda authorizer function for the $connect route."
            # https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-lambda-auth.html
            if key != "$connect" and (route.state.get("authorizationType") or "NONE") != "NONE":
                raise LocalError(f"the route {key} has an authorizer; a WebSocket API has one on $connect only")
            if (route.state.get("authorizationType") or "NONE") not in ("NONE", "CUSTOM"):
                raise LocalError(f"{route.state['authorizationType']} on the route {key} is not played")
            integration = self._integration(route)
            if integration is None:
                raise LocalError(f"the route {key} has no integration")
            if integration.state["integrationType"] not in ("AWS", "AWS_PROXY"):
                raise LocalError(f"{integration.state['integrationType']} integrations of a WebSocket API are not played")
            # "For non-proxy integrations, you must set up at least one integration response", where the route answers.
            # https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-integration-responses.html
            if integration.state["integrationType"] == "AWS" and route.id in self._answered and integration.id not in responses:
                raise LocalError(f"the route {key} answers, and its integration has no response")

    def _integration(self, route: Resource) -> Resource | None:
        return self._integrations.get(str(route.state.get("target") or "").removeprefix("integrations/"))

    # Connections.

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Serve a connection from its handshake to its end."""
        request_id = _identifier()
        if request.path.rstrip("/") != f"/{self.stage_name}":
            return web.json_response({"message": "Forbidden"}, status=403)
        # API Gateway takes any. Here anybody's page in the user's browser could connect to what only this machine is to reach.
        if is_foreign(request.headers.get("origin")):
            return web.json_response({"message": "the local run takes no page of another machine"}, status=403)
        if request.headers.get("upgrade", "").lower() != "websocket":
            return web.json_response({"message": "Upgrade Required", "requestId": request_id}, status=426)
        connection_id = _identifier()
        try:
            authorized = await self._authorize(request, connection_id)
            taken = await self._connect(request, connection_id, authorized)
        except Refused as refused:
            answer = {"message": refused.message, "connectionId": connection_id, "requestId": request_id}
            return web.json_response(answer, status=refused.status)
        socket = web.WebSocketResponse(
            protocols=[taken] if taken else [], max_msg_size=0, compress=False, timeout=_CLOSE_SECONDS
        )
        await socket.prepare(request)
        self._limit_frames(request, socket)
        connection = Connection(connection_id, socket, _identity(request), authorized)
        self.connections[connection_id] = connection
        watch = asyncio.ensure_future(self._watch(connection))
        try:
            await self._receive(connection)
        finally:
            watch.cancel()
            del self.connections[connection_id]
            self._begin(self._disconnected(connection))
        return socket

    async def close(self) -> None:
        """Close every connection."""
        for connection in list(self.connections.values()):
            await connection.socket.close(code=1001)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _limit_frames(self, request: web.Request, socket: web.WebSocketResponse) -> None:
        def refuse() -> None:
            self._begin(socket.close(code=1009, message=b"the frame or the message is too large"))

        protocol: Any = request.protocol
        protocol._payload_parser = FrameLimit(protocol._payload_parser, refuse)

    async def _watch(self, connection: Connection) -> None:
        """Close a connection that is idle, or too old. https://www.rfc-editor.org/rfc/rfc6455#section-7.4.1"""
        while True:
            now = time.time()
            end = min(connection.active_at + self._limits.idle_seconds, connection.connected_at + self._limits.life_seconds)
            if now >= end:
                await connection.socket.close(code=1001, message=b"Going away")
                return
            await asyncio.sleep(end - now)

    async def _receive(self, connection: Connection) -> None:
        async for message in connection.socket:
            connection.active_at = time.time()
            if message.type is WSMsgType.TEXT:
                self._begin(self._serve(connection, cast("str", message.data)))
            elif message.type is WSMsgType.BINARY:
                self._begin(self._serve(connection, cast("bytes", message.data).decode("utf-8", "replace")))

    def _begin(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # $connect and $disconnect.

    async def _authorize(self, request: web.Request, connection_id: str) -> Mapping[str, Any]:
        """Give what the authorizer of $connect answers. Raises `Refused`."""
        route = self._routes.get("$connect")
        if route is None or (route.state.get("authorizationType") or "NONE") == "NONE":
            return {}
        authorizer = self._authorizers[str(route.state["authorizerId"])]
        sources: list[str] = authorizer.state.get("identitySources") or []
        for source in sources:
            match = _IDENTITY_SOURCE.fullmatch(source)
            assert match is not None
            where = {"querystring": request.query, "header": request.headers}.get(match["where"])
            if where is not None and not where.get(match["name"]):
                raise Refused(401, "Unauthorized")
        source_arn = f"{self._execution_arn}/authorizers/{authorizer.id}"
        function = permitted_function(self._graph, self._functions, str(authorizer.state["authorizerUri"]), source_arn)
        if function is None:
            raise Refused(500, "Internal server error")
        arn = f"{self._execution_arn}/{self.stage_name}/$connect"
        event = {
            "type": "REQUEST",
            "methodArn": arn,
            **header_fields(request.headers),
            "queryStringParameters": dict(request.query),
            "multiValueQueryStringParameters": {name: request.query.getall(name) for name in request.query},
            "stageVariables": {},
            "requestContext": self._context("$connect", connection_id, _identity(request), {}, time.time()),
        }
        try:
            answer = await function.invoke(event)
        except FunctionError as error:
            unknown = str(error) == "Unauthorized"
            raise Refused(401 if unknown else 500, "Unauthorized" if unknown else "Internal server error") from error
        if not allows(answer, arn):
            raise Refused(403, "Forbidden")
        return cast("Mapping[str, Any]", answer)

    async def _connect(self, request: web.Request, connection_id: str, authorized: Mapping[str, Any]) -> str | None:
        """Ask the integration of $connect, and return the subprotocol that it takes up. Raises `Refused`."""
        if not self._admit("$connect"):
            raise Refused(429, "Too Many Requests")
        route = self._routes.get("$connect")
        if route is None:
            return None
        context = self._context("$connect", connection_id, _identity(request), authorized, time.time())
        event = {
            **header_fields(request.headers),
            "queryStringParameters": dict(request.query) or None,
            "requestContext": context,
            "isBase64Encoded": False,
        }
        try:
            answer = await self._invoke(route, event)
        except (FunctionError, TimeoutError) as error:
            raise Refused(502, "Internal server error") from error
        if not isinstance(answer, dict):
            raise Refused(502, "Internal server error")
        answered = cast("dict[str, Any]", answer)
        status = int(answered.get("statusCode", 502))
        if status >= 300:
            raise Refused(status, str(answered.get("body") or "Forbidden"))
        returned: dict[str, Any] = answered.get("headers") or {}
        return next((str(value) for name, value in returned.items() if name.lower() == "sec-websocket-protocol"), None)

    async def _disconnected(self, connection: Connection) -> None:
        """Tell the program; API Gateway does so at its best effort."""
        route = self._routes.get("$disconnect")
        if route is None:
            return
        context = self._context(
            "$disconnect", connection.id, connection.identity, connection.authorized, connection.connected_at
        )
        context |= {"disconnectStatusCode": connection.socket.close_code or 1006, "disconnectReason": ""}
        with contextlib.suppress(FunctionError, TimeoutError):
            await self._invoke(route, {"headers": {}, "requestContext": context, "isBase64Encoded": False})

    # Messages.

    async def _serve(self, connection: Connection, text: str) -> None:
        key = self._select(text)
        request_id = _identifier()
        route = self._routes.get(key)
        if route is None:
            return await self._answer(connection, "Forbidden", request_id)
        if not self._admit(key):
            return await self._answer(connection, "Too Many Requests", request_id)
        context = self._context(key, connection.id, connection.identity, connection.authorized, connection.connected_at)
        # Whatever the key is: a client may name any. $context.eventType is CONNECT, MESSAGE or DISCONNECT.
        # https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-mapping-template-reference.html
        context |= {"eventType": "MESSAGE", "requestId": request_id, "extendedRequestId": request_id}
        context["messageId"] = _identifier()
        integration = self._integration(route)
        assert integration is not None
        try:
            if integration.state["integrationType"] == "AWS":
                answer = await self._custom(integration, key, context, text)
            else:
                answer = await self._invoke(route, {"requestContext": context, "body": text, "isBase64Encoded": False})
        except (FunctionError, TemplateError, TimeoutError):
            return await self._answer(connection, "Internal server error", request_id)
        # A route answers only where it has a response. https://docs.aws.amazon.com/apigateway/latest/developerguide/
        # apigateway-websocket-api-route-response.html
        body = cast("dict[str, Any]", answer).get("body") if isinstance(answer, dict) else None
        if body and route.id in self._answered and route.state.get("routeResponseSelectionExpression"):
            with contextlib.suppress(ConnectionError):
                await self.send(connection, str(body))

    def _select(self, text: str) -> str:
        """The route of a message: `$default` for what is no JSON, or selects no route."""
        try:
            value: Any = json.loads(text)
        except (ValueError, RecursionError):
            return "$default"
        for part in self._selection:
            value = cast("dict[str, Any]", value).get(part) if isinstance(value, dict) else None
        return value if isinstance(value, str) and value in self._routes and not value.startswith("$") else "$default"

    async def _invoke(self, route: Resource, event: Mapping[str, Any]) -> Any:
        integration = self._integration(route)
        assert integration is not None
        function, _ = self._function(integration, str(route.state["routeKey"]))
        seconds = float(integration.state.get("timeoutMilliseconds") or INTEGRATION_SECONDS * 1000) / 1000
        async with asyncio.timeout(min(seconds, INTEGRATION_SECONDS)):
            return await function.invoke(event)

    async def _custom(self, integration: Resource, key: str, context: Mapping[str, Any], text: str) -> Any:
        """An integration of type AWS: a template makes the event, and a header says how the function is invoked.

        https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-integration-async.html
        """
        parameters: dict[str, str] = integration.state.get("requestParameters") or {}
        templates: dict[str, str] = integration.state.get("requestTemplates") or {}
        selected = str(integration.state.get("templateSelectionExpression") or "").removeprefix("\\")
        template = templates.get(selected) or templates.get("$default")
        event = text if template is None else websocket_template.render(template, context, text)
        try:
            payload = json.loads(event)
        except ValueError:
            raise TemplateError("what the template renders is not JSON, and Lambda takes nothing else") from None
        function, qualifier = self._function(integration, key)
        given = {name.lower(): value for name, value in parameters.items()}
        if given.get("integration.request.header.x-amz-invocation-type") == "'Event'":
            self._events.accept(function, qualifier, payload)
            return None
        async with asyncio.timeout(INTEGRATION_SECONDS):
            return await function.invoke(payload)

    def _function(self, integration: Resource, key: str) -> tuple[Function, str | None]:
        uri = str(integration.state["integrationUri"])
        function = permitted_function(self._graph, self._functions, uri, f"{self._execution_arn}/{self.stage_name}/{key}")
        if function is None:
            raise FunctionError("API Gateway may not call the function")
        qualifier = re.search(r":function:[^:/]+:([^:/]+)/", uri)
        return function, qualifier[1] if qualifier else None

    def _admit(self, key: str) -> bool:
        """Count a call against its route's throttle. A route without settings of its own has the default ones."""
        settings: list[dict[str, Any]] = self._stage.state.get("routeSettings") or []
        own = next((each for each in settings if each["routeKey"] == key), None)
        limits: dict[str, Any] = own or self._stage.state.get("defaultRouteSettings") or {}
        rate, burst = limits.get("throttlingRateLimit"), limits.get("throttlingBurstLimit")
        if rate is None or burst is None:
            return True
        return self._buckets.setdefault(key, Bucket(float(rate), float(burst))).take(time.time())

    async def _answer(self, connection: Connection, message: str, request_id: str) -> None:
        """What API Gateway answers by itself, as its users report it."""
        text = json.dumps({"message": message, "connectionId": connection.id, "requestId": request_id})
        with contextlib.suppress(ConnectionError):
            await self.send(connection, text)

    async def send(self, connection: Connection, text: str) -> None:
        """Send a message to a client. Raises `ConnectionError` if it has gone."""
        await connection.socket.send_str(text)
        connection.active_at = time.time()

    def _context(
        self, key: str, connection_id: str, identity: Mapping[str, Any], authorized: Mapping[str, Any], connected_at: float
    ) -> dict[str, Any]:
        kinds = {"$connect": "CONNECT", "$disconnect": "DISCONNECT"}
        request_id = _identifier()
        context: dict[str, Any] = {
            "routeKey": key,
            "eventType": kinds.get(key, "MESSAGE"),
            "messageDirection": "IN",
            "stage": self.stage_name,
            "apiId": self.id,
            "accountId": ACCOUNT,
            "domainName": f"{self.id}.execute-api.{self._graph.region}.amazonaws.com",
            "connectionId": connection_id,
            "connectedAt": int(connected_at * 1000),
            "requestTimeEpoch": int(time.time() * 1000),
            "requestId": request_id,
            "extendedRequestId": request_id,
            "identity": dict(identity),
        }
        if authorized:
            given: dict[str, Any] = authorized.get("context") or {}
            context["authorizer"] = {**given, "principalId": authorized.get("principalId"), "integrationLatency": 0}
        return context


def _selection(expression: str) -> list[str]:
    """The keys of a route selection expression such as `$request.body.action`."""
    match = re.fullmatch(r"\$request\.body\.(\w+(?:\.\w+)*)", expression.strip().replace("${", "$").rstrip("}"))
    if match is None:
        raise LocalError(f"the route selection expression {expression!r} is not played; use one such as $request.body.action")
    return match[1].split(".")


def _identity(request: web.Request) -> dict[str, Any]:
    return {"sourceIp": request.remote, "userAgent": request.headers.get("user-agent")}


def _identifier() -> str:
    """An id of the form that API Gateway gives connections, messages and requests."""
    return f"{secrets.token_urlsafe(11)}="
