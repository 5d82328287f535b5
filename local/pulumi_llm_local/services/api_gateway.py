"""API Gateway's REST API, as the program's resources configure it.

What AWS does in which order, and how it answers by itself, is from
https://docs.aws.amazon.com/apigateway/latest/developerguide/ ; docs/verification.md lists what is assumed.
"""

import asyncio
import contextlib
import fnmatch
import json
import re
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from aiohttp import web
from multidict import CIMultiDict

from pulumi_llm_local.program.graph import Graph, Resource
from pulumi_llm_local.program.recorder import ACCOUNT
from pulumi_llm_local.services.lambda_function import Function, FunctionError
from pulumi_llm_local.services.signature import Credentials, verify_signature
from pulumi_llm_local.services.usage_plan import UsagePlans
from pulumi_llm_local.upstreams.bedrock.errors import BedrockError

REST_API = "aws:apigateway/restApi:RestApi"

# Who has the local credentials.
USER_ARN = f"arn:aws:iam::{ACCOUNT}:user/local"

# API Gateway's payload limit, and Lambda's for the event that the payload is put into (6 MB).
MAX_PAYLOAD_BYTES = 10 * 1024 * 1024
MAX_EVENT_BYTES = 6 * 1024 * 1024

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
}


class GatewayResponse(Exception):
    """API Gateway answers by itself, with this response type."""

    def __init__(self, type: str) -> None:
        super().__init__(type)
        self.type = type


@dataclass(frozen=True)
class Call:
    """One request under way."""

    request: web.Request
    request_id: str
    path: str
    body: bytes
    resource_path: str
    path_parameters: Mapping[str, str]
    method_arn: str


class RestApi:
    """One REST API and its stage."""

    def __init__(self, graph: Graph, api: Resource, functions: Mapping[str, Function], credentials: Credentials) -> None:
        self._graph = graph
        self._credentials = credentials  # whose AWS signatures are known
        self._functions = functions
        self.id = api.id
        self._key_source = api.state.get("apiKeySource") or "HEADER"
        self._execution_arn = str(api.state["executionArn"])
        (self._stage,) = self._mine("aws:apigateway/stage:Stage")
        self.stage_name = str(self._stage.state["stageName"])
        self._paths = self._resource_paths(str(api.state["rootResourceId"]))
        self._methods = {_place(m): m for m in self._mine("aws:apigateway/method:Method")}
        self._integrations = {_place(i): i for i in self._mine("aws:apigateway/integration:Integration")}
        self._integration_responses = {
            _place(r): r for r in self._mine("aws:apigateway/integrationResponse:IntegrationResponse")
        }
        self._authorizers = {a.id: a for a in self._mine("aws:apigateway/authorizer:Authorizer")}
        self._models = {m.state["name"]: m for m in self._mine("aws:apigateway/model:Model")}
        self._validators = {v.id: v for v in self._mine("aws:apigateway/requestValidator:RequestValidator")}
        self._responses = {r.state["responseType"]: r for r in self._mine("aws:apigateway/response:Response")}
        self._authorizer_cache: dict[tuple[str, str], tuple[float, Any]] = {}
        self._plans = UsagePlans(graph, self.id, self.stage_name)

    @property
    def keys(self) -> list[str]:
        """The API keys that may call it."""
        return self._plans.keys

    @property
    def signed(self) -> bool:
        """Whether calls must be signed with AWS credentials."""
        return any(method.state["authorization"] == "AWS_IAM" for method in self._methods.values())

    @property
    def addresses(self) -> list[str]:
        """AWS's addresses of the stage: API Gateway's own, and those of custom domains."""
        own = f"https://{self.id}.execute-api.{self._graph.region}.amazonaws.com/{self.stage_name}"
        mappings = self._mine("aws:apigateway/basePathMapping:BasePathMapping")
        return [own, *(f"https://{mapping.state['domainName']}" for mapping in mappings)]

    @property
    def functions(self) -> list[Function]:
        """The functions behind its routes, each once."""
        uris = [str(integration.state.get("uri") or "") for integration in self._integrations.values()]
        names = {match[1] for uri in uris if (match := re.search(r":function:([^:/]+)", uri))}
        return [function for name, function in self._functions.items() if name in names]

    def _mine(self, type: str) -> list[Resource]:
        return [r for r in self._graph.of_type(type) if self.id in (r.state.get("restApi"), r.state.get("restApiId"))]

    def _resource_paths(self, root: str) -> dict[str, str]:
        paths = {root: ""}
        for resource in self._mine("aws:apigateway/resource:Resource"):
            paths[resource.id] = f"{paths[resource.state['parentId']]}/{resource.state['pathPart']}"
        return paths

    async def handle(self, request: web.Request) -> web.StreamResponse:
        request_id = str(uuid.uuid4())
        try:
            return await self._handle(request, request_id)
        except GatewayResponse as response:
            return self._gateway_response(response.type, request_id)

    async def _handle(self, request: web.Request, request_id: str) -> web.StreamResponse:
        stage = f"/{self.stage_name}"
        if request.path != stage and not request.path.startswith(f"{stage}/"):
            return web.json_response({"message": "Forbidden"}, status=403)  # another stage, which there is not
        path = request.path.removeprefix(stage) or "/"
        resource_id, parameters = self._match(path)
        method = self._methods.get((resource_id, request.method)) or self._methods.get((resource_id, "ANY"))
        if method is None:
            raise GatewayResponse("MISSING_AUTHENTICATION_TOKEN")
        call = Call(
            request=request,
            request_id=request_id,
            path=path,
            body=await _read(request),
            resource_path=self._paths[resource_id] or "/",
            path_parameters=parameters,
            method_arn=f"{self._execution_arn}/{self.stage_name}/{request.method}{path}",
        )
        authorized = await self._authorize(method, call)
        verdict = self._plans.admit_to_stage()
        if verdict is None and method.state.get("apiKeyRequired"):
            key = authorized.get("usageIdentifierKey") if self._key_source == "AUTHORIZER" else request.headers.get("x-api-key")
            verdict = self._plans.admit(str(key or ""))
        if verdict is not None:
            raise GatewayResponse(verdict)
        self._validate(method, call)
        integration = self._integrations[_place(method)]
        if integration.state["type"] == "MOCK":
            return self._mock(integration)
        return await self._proxy(integration, call, authorized)

    def _match(self, path: str) -> tuple[str, dict[str, str]]:
        """The resource of a path: exact parts before {parameters}, those before a greedy {proxy+}."""
        parts = path.strip("/").split("/") if path.strip("/") else []
        candidates: list[tuple[tuple[int, ...], str, dict[str, str]]] = []
        for identifier, template in self._paths.items():
            wanted = template.strip("/").split("/") if template else []
            matched = _match_parts(wanted, parts)
            if matched is not None:
                candidates.append((matched[0], identifier, matched[1]))
        if not candidates:
            raise GatewayResponse("MISSING_AUTHENTICATION_TOKEN")
        _, identifier, parameters = min(candidates, key=lambda candidate: candidate[0])
        return identifier, parameters

    # Who may call.

    async def _authorize(self, method: Resource, call: Call) -> Mapping[str, Any]:
        """What the method's authorizer answers, {} for a method without one."""
        if method.state["authorization"] == "NONE":
            return {}
        if method.state["authorization"] == "AWS_IAM":
            return self._check_signature(call)
        if method.state["authorization"] != "CUSTOM":
            raise GatewayResponse("AUTHORIZER_CONFIGURATION_ERROR")
        authorizer = self._authorizers[method.state["authorizerId"]]
        for source in str(authorizer.state.get("identitySource") or "method.request.header.Authorization").split(","):
            if header := re.fullmatch(r"method\.request\.header\.(.+)", source.strip()):  # noqa: SIM102
                if not call.request.headers.get(header[1]):
                    raise GatewayResponse("UNAUTHORIZED")
        function = self._function(str(authorizer.state["authorizerUri"]), f"{self._execution_arn}/authorizers/{authorizer.id}")
        if function is None:
            raise GatewayResponse("AUTHORIZER_CONFIGURATION_ERROR")
        answer = await self._authorizer_answer(authorizer, function, call)
        if not _allows(answer, call.method_arn):
            raise GatewayResponse("ACCESS_DENIED")
        return answer

    async def _authorizer_answer(self, authorizer: Resource, function: Function, call: Call) -> Any:
        """What the authorizer says, from the cache where that is on: by the values of its identity sources, for every route."""
        seconds = float(authorizer.state.get("authorizerResultTtlInSeconds") or 0)
        identity = (authorizer.id, call.request.headers.get("authorization", ""))
        answered, answer = self._authorizer_cache.get(identity, (0.0, None))
        if seconds and time.monotonic() - answered < seconds:
            return answer
        try:
            answer = await function.invoke(self._authorizer_event(call))
        except FunctionError as error:
            raise GatewayResponse("UNAUTHORIZED" if str(error) == "Unauthorized" else "AUTHORIZER_FAILURE") from error
        if seconds:
            self._authorizer_cache[identity] = (time.monotonic(), answer)
        return answer

    def _check_signature(self, call: Call) -> Mapping[str, Any]:
        """The identity of a signed call. Policies are not played: who is known may call."""
        try:
            verify_signature(call.request, call.body, self._graph.region, self._credentials, "execute-api")
        except BedrockError as error:
            missing = error.code == "MissingAuthenticationTokenException"
            raise GatewayResponse("MISSING_AUTHENTICATION_TOKEN" if missing else "INVALID_SIGNATURE") from error
        return {"identity": {"accountId": ACCOUNT, "userArn": USER_ARN, "accessKey": self._credentials.access_key}}

    def _authorizer_event(self, call: Call) -> dict[str, Any]:
        headers = call.request.headers
        return {
            "type": "REQUEST",
            "methodArn": call.method_arn,
            "resource": call.resource_path,
            "path": call.path,
            "httpMethod": call.request.method,
            "headers": dict(headers),
            "multiValueHeaders": {name: headers.getall(name) for name in headers},
            "queryStringParameters": dict(call.request.query) or None,
            "pathParameters": dict(call.path_parameters) or None,
            "stageVariables": None,
            "requestContext": self._context(call, None),
        }

    def _context(self, call: Call, authorized: Mapping[str, Any] | None) -> dict[str, Any]:
        context: dict[str, Any] = {
            "accountId": ACCOUNT,
            "apiId": self.id,
            "stage": self.stage_name,
            "requestId": call.request_id,
            "extendedRequestId": call.request_id,
            "requestTimeEpoch": int(time.time() * 1000),
            "httpMethod": call.request.method,
            "path": call.request.path,
            "resourcePath": call.resource_path,
            "protocol": "HTTP/1.1",
            "identity": {"sourceIp": call.request.remote, "userAgent": call.request.headers.get("user-agent")},
        }
        if authorized and "identity" in authorized:
            context["identity"] |= authorized["identity"]
        elif authorized:
            given: dict[str, Any] = authorized.get("context") or {}
            context["authorizer"] = {**given, "principalId": authorized.get("principalId"), "integrationLatency": 0}
        return context

    # What is asked.

    def _validate(self, method: Resource, call: Call) -> None:
        """The request validator: a body that is no JSON, or not of its model's type, is refused."""
        validator = self._validators.get(method.state.get("requestValidatorId") or "")
        models: Mapping[str, str] = method.state.get("requestModels") or {}
        content_type = call.request.content_type if "content-type" in call.request.headers else "application/json"
        model = self._models.get(models.get(content_type, ""))
        if validator is None or not validator.state.get("validateRequestBody") or model is None:
            return
        schema = json.loads(model.state["schema"])
        try:
            value = json.loads(call.body)
        except ValueError:
            raise GatewayResponse("BAD_REQUEST_BODY") from None
        if schema.get("type") == "object" and not isinstance(value, dict):
            raise GatewayResponse("BAD_REQUEST_BODY")

    # Who answers.

    def _mock(self, integration: Resource) -> web.Response:
        response = self._integration_responses[_place(integration)]
        parameters: dict[str, str] = response.state.get("responseParameters") or {}
        headers = {name.removeprefix("method.response.header."): value.strip("'") for name, value in parameters.items()}
        return web.Response(status=int(response.state["statusCode"]), headers=headers)

    async def _proxy(self, integration: Resource, call: Call, authorized: Mapping[str, Any]) -> web.StreamResponse:
        function = self._function(str(integration.state["uri"]), call.method_arn)
        if function is None:
            raise GatewayResponse("API_CONFIGURATION_ERROR")
        if len(call.body) > MAX_EVENT_BYTES:
            raise GatewayResponse("REQUEST_TOO_LARGE")
        # The adapter's stream begins with a prelude that a buffered integration cannot read, and the other way round.
        if function.streams != (integration.state.get("responseTransferMode") == "STREAM"):
            raise GatewayResponse("INTEGRATION_FAILURE")
        path = urlsplit(str(call.request.rel_url))
        target = call.path + (f"?{path.query}" if path.query else "")
        seconds = float(integration.state.get("timeoutMilliseconds") or 29_000) / 1000
        try:
            async with asyncio.timeout(seconds):
                answer = await function.request(
                    call.request.method,
                    target,
                    list(call.request.headers.items()),
                    call.body,
                    self._context(call, authorized),
                )
        except TimeoutError:
            raise GatewayResponse("INTEGRATION_TIMEOUT") from None
        except FunctionError as error:
            raise GatewayResponse("INTEGRATION_FAILURE") from error
        return await _relay(call.request, answer)

    def _function(self, uri: str, source_arn: str) -> Function | None:
        """The function that a URI calls, by its alias; None where it has no permission for `source_arn`."""
        match = re.search(r"/functions/(arn:aws:lambda:[^/]+:function:([^:/]+)(?::([^:/]+))?)/", uri)
        if match is None or match[2] not in self._functions:
            return None
        for permission in self._graph.of_type("aws:lambda/permission:Permission"):
            state = permission.state
            if (
                match[2] in str(state["function"])
                and (state.get("qualifier") or None) == match[3]
                and state["principal"] == "apigateway.amazonaws.com"
                and fnmatch.fnmatchcase(source_arn, str(state.get("sourceArn") or "*"))
            ):
                return self._functions[match[2]]
        return None

    # What API Gateway says by itself.

    def _gateway_response(self, type: str, request_id: str) -> web.Response:
        status, message = _DEFAULT_RESPONSES[type]
        default = self._responses.get("DEFAULT_4XX" if status < 500 else "DEFAULT_5XX")
        configured = self._responses.get(type) or default
        if configured is None:
            return web.json_response({"message": message}, status=status)
        state = configured.state
        templates: dict[str, str] = state.get("responseTemplates") or {}
        parameters: dict[str, str] = state.get("responseParameters") or {}
        template = templates.get("application/json", '{"message":$context.error.messageString}')
        variables = {
            "$context.error.messageString": json.dumps(message),
            "$context.error.responseType": type,
            "$context.requestId": request_id,
        }
        for variable, value in variables.items():
            template = template.replace(variable, value)
        headers = CIMultiDict[str]()
        for name, value in parameters.items():
            text = value.strip("'") if value.startswith("'") else variables.get(f"${value}", "")
            headers[name.removeprefix("gatewayresponse.header.")] = text
        return web.Response(
            status=int(state.get("statusCode") or status), text=template, headers=headers, content_type="application/json"
        )


async def _relay(request: web.Request, answer: aiohttp.ClientResponse) -> web.StreamResponse:
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


async def _read(request: web.Request) -> bytes:
    """The whole payload; API Gateway reads it before anything else."""
    body = bytearray()
    async for chunk in request.content.iter_any():
        body += chunk
        if len(body) > MAX_PAYLOAD_BYTES:
            raise GatewayResponse("REQUEST_TOO_LARGE")
    return bytes(body)


def _place(resource: Resource) -> tuple[str, str]:
    return str(resource.state["resourceId"]), str(resource.state["httpMethod"])


def _match_parts(wanted: list[str], parts: list[str]) -> tuple[tuple[int, ...], dict[str, str]] | None:
    """How well a template matches (smaller is better), and its parameters; None where it does not."""
    parameters: dict[str, str] = {}
    rank: list[int] = []
    for position, part in enumerate(wanted):
        if part.endswith("+}"):
            if len(parts) <= position:
                return None
            parameters[part[1:-2]] = "/".join(parts[position:])
            return (*rank, 2), parameters
        if position >= len(parts):
            return None
        if part.startswith("{"):
            parameters[part[1:-1]] = parts[position]
            rank.append(1)
        elif part == parts[position]:
            rank.append(0)
        else:
            return None
    return (tuple(rank), parameters) if len(wanted) == len(parts) else None


def _allows(answer: Any, method_arn: str) -> bool:
    """Whether an authorizer's policy allows a call; anything that is no policy does not."""
    try:
        statements = answer["policyDocument"]["Statement"]
    except (KeyError, TypeError):
        return False
    verdict = False
    for statement in statements:
        resources = statement["Resource"] if isinstance(statement["Resource"], list) else [statement["Resource"]]
        if any(fnmatch.fnmatchcase(method_arn, resource) for resource in resources):
            if statement["Effect"] == "Deny":
                return False
            verdict = True
    return verdict
