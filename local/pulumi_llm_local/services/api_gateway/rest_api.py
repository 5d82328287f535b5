"""API Gateway's REST API, as the program's resources configure it.

What AWS does in which order, and how it answers by itself, is from
https://docs.aws.amazon.com/apigateway/latest/developerguide/ ; docs/verification.md lists what is assumed.
"""

import asyncio
import json
import re
import uuid
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

from pulumi_llm_local.program.graph import Graph, Resource
from pulumi_llm_local.services.api_gateway import gateway_responses, mapping_template
from pulumi_llm_local.services.api_gateway.api_request import ApiRequest, read_payload
from pulumi_llm_local.services.api_gateway.authorization import Authorization
from pulumi_llm_local.services.api_gateway.gateway_responses import GatewayResponse
from pulumi_llm_local.services.api_gateway.lambda_proxy import MAX_EVENT_BYTES, forward, invoke, permitted_function, relay
from pulumi_llm_local.services.api_gateway.usage_plan import UsagePlans
from pulumi_llm_local.services.lambda_function import Function, FunctionError, FunctionThrottled
from pulumi_llm_local.services.local_run import LocalError, LocalRun, address
from pulumi_llm_local.services.signature import Credentials
from pulumi_llm_local.services.waf import WebAcl, acl_of

REST_API = "aws:apigateway/restApi:RestApi"
STAGE = "aws:apigateway/stage:Stage"
API_KEY = "aws:apigateway/apiKey:ApiKey"
PLAYED = frozenset(
    {
        REST_API,
        API_KEY,
        "aws:apigateway/authorizer:Authorizer",
        "aws:apigateway/integration:Integration",
        "aws:apigateway/integrationResponse:IntegrationResponse",
        "aws:apigateway/method:Method",
        "aws:apigateway/methodSettings:MethodSettings",
        "aws:apigateway/model:Model",
        "aws:apigateway/requestValidator:RequestValidator",
        "aws:apigateway/resource:Resource",
        "aws:apigateway/response:Response",
        STAGE,
        "aws:apigateway/usagePlan:UsagePlan",
        "aws:apigateway/usagePlanKey:UsagePlanKey",
    }
)
IMPLIED = frozenset(
    {
        "aws:apigateway/basePathMapping:BasePathMapping",
        "aws:apigateway/deployment:Deployment",
        "aws:apigateway/domainName:DomainName",
        "aws:apigateway/methodResponse:MethodResponse",
    }
)


async def start(run: LocalRun) -> None:
    """Make every stage of a REST API with its socket. They answer when all of them are there, for the page shows them all."""
    for api in run.graph.of_type(REST_API):
        for stage in run.graph.of_type(STAGE):
            if stage.state["restApi"] == api.id:
                listener = run.next_listener() if run.apis else run.listener
                acl = acl_of(run, str(stage.state["arn"]))
                made = RestApi(run.graph, api, stage, run.functions, run.key, acl)
                run.apis.append((made, listener))
                run.hosts |= {urlsplit(theirs).netloc: address(listener) for theirs in made.addresses}
    if not run.apis and any(True for _ in run.graph.of_type(REST_API)):
        raise LocalError("no REST API of the program has a stage, so there is nothing to run")


class RestApi:
    """One stage of a REST API."""

    def __init__(
        self,
        graph: Graph,
        api: Resource,
        stage: Resource,
        functions: Mapping[str, Function],
        credentials: Credentials,
        acl: WebAcl | None,
    ) -> None:
        self._graph = graph
        self._acl = acl
        self._functions = functions
        self.id = api.id
        self._key_source = api.state.get("apiKeySource") or "HEADER"
        self._own_endpoint_disabled = bool(api.state.get("disableExecuteApiEndpoint"))
        self._execution_arn = str(api.state["executionArn"])
        self.stage_name = str(stage.state["stageName"])
        self._mappings = [
            mapping
            for mapping in self._mine("aws:apigateway/basePathMapping:BasePathMapping")
            if mapping.state.get("stageName") == self.stage_name
        ]
        self._paths = self._resource_paths(str(api.state["rootResourceId"]))
        self._methods = {_place(m): m for m in self._mine("aws:apigateway/method:Method")}
        self._integrations = {_place(i): i for i in self._mine("aws:apigateway/integration:Integration")}
        self._integration_responses = {
            _place(r): r for r in self._mine("aws:apigateway/integrationResponse:IntegrationResponse")
        }
        authorizers = {a.id: a for a in self._mine("aws:apigateway/authorizer:Authorizer")}
        self._authorization = Authorization(graph, authorizers, functions, credentials, self._execution_arn)
        self._models = {m.state["name"]: m for m in self._mine("aws:apigateway/model:Model")}
        self._validators = {v.id: v for v in self._mine("aws:apigateway/requestValidator:RequestValidator")}
        self._responses = {r.state["responseType"]: r for r in self._mine("aws:apigateway/response:Response")}
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
        """AWS's addresses of the stage: API Gateway's own, unless it is disabled, and those of custom domains."""
        region = self._execution_arn.split(":")[3]  # of its provider, which need not be the stack's
        own = f"https://{self.id}.execute-api.{region}.amazonaws.com/{self.stage_name}"
        domains = [_address(mapping) for mapping in self._mappings]
        return domains if self._own_endpoint_disabled else [own, *domains]

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
        """Answer a request as API Gateway does: who may call, what the limits allow, what the function answers."""
        request_id = str(uuid.uuid4())
        blocked = self._acl.inspect(request) if self._acl else None
        if blocked is not None and blocked.response is not None:
            return blocked.response
        try:
            if blocked is not None:
                raise GatewayResponse("WAF_FILTERED")
            return await self._handle(request, request_id)
        except GatewayResponse as response:
            return gateway_responses.render(response, request_id, self._responses)

    async def _handle(self, request: web.Request, request_id: str) -> web.StreamResponse:
        base, in_path = self._base_path(request)
        # A REST API finds the resource by the path as it is sent, and passes that on: an escaped slash parts nothing.
        # AWS's pages do not say so; live events do: https://github.com/middleapi/standard-server/pull/93
        sent = request.rel_url.raw_path
        if sent != base and not sent.startswith(f"{base}/"):
            return web.json_response({"message": "Forbidden"}, status=403)  # another stage or mapping, which there is not
        path = sent.removeprefix(base) or "/"
        resource_id, parameters = self._match(path)
        method = self._methods.get((resource_id, request.method)) or self._methods.get((resource_id, "ANY"))
        if method is None:
            raise GatewayResponse("MISSING_AUTHENTICATION_TOKEN")
        call = ApiRequest(
            request=request,
            id=request_id,
            api_id=self.id,
            stage=self.stage_name,
            path=path,
            sent_path=sent if in_path else path,
            body=await read_payload(request),
            resource_path=self._paths[resource_id] or "/",
            path_parameters=parameters,
            method_arn=f"{self._execution_arn}/{self.stage_name}/{request.method}{path}",
        )
        authorized = await self._authorization.authorize(method, call)
        verdict = self._plans.admit_to_method(call.resource_path, request.method)
        if verdict is None and method.state.get("apiKeyRequired"):
            key = authorized.get("usageIdentifierKey") if self._key_source == "AUTHORIZER" else request.headers.get("x-api-key")
            verdict = self._plans.admit(str(key or ""))
        if verdict is not None:
            raise GatewayResponse(verdict, authorized.get("context"))
        self._validate(method, call)
        integration = self._integrations[_place(method)]
        if integration.state["type"] == "MOCK":
            return self._mock(integration, call)
        return await self._proxy(integration, call, authorized)

    def _base_path(self, request: web.Request) -> tuple[str, bool]:
        """What stands before a route in the request's path, and whether the function gets it: a custom domain's base path,
        which it gets, or the stage, which it does not."""
        for mapping in self._mappings:
            if mapping.state["domainName"] == request.url.host:
                base = mapping.state.get("basePath")
                return (f"/{base}" if base else "", True)
        return f"/{self.stage_name}", False

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

    def _validate(self, method: Resource, call: ApiRequest) -> None:
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
        except (ValueError, RecursionError):  # no JSON, or nested too deeply
            raise GatewayResponse("BAD_REQUEST_BODY") from None
        if schema.get("type") == "object" and not isinstance(value, dict):
            raise GatewayResponse("BAD_REQUEST_BODY")

    def _mock(self, integration: Resource, call: ApiRequest) -> web.Response:
        response = self._integration_responses[_place(integration)]
        parameters: dict[str, str] = response.state.get("responseParameters") or {}
        headers = {name.removeprefix("method.response.header."): value.strip("'") for name, value in parameters.items()}
        templates: dict[str, str] = response.state.get("responseTemplates") or {}
        if template := templates.get("application/json"):
            try:
                headers |= mapping_template.overridden_headers(template, call.parameter)
            except mapping_template.TemplateError as error:
                raise GatewayResponse("API_CONFIGURATION_ERROR") from error
        return web.Response(status=int(response.state["statusCode"]), headers=headers)

    async def _proxy(self, integration: Resource, call: ApiRequest, authorized: Mapping[str, Any]) -> web.StreamResponse:
        uri = str(integration.state["uri"])
        if integration.state["type"] == "HTTP_PROXY":
            try:
                return await forward(uri, call)
            except FunctionError as error:
                raise GatewayResponse("INTEGRATION_FAILURE") from error
        function = permitted_function(self._graph, self._functions, uri, call.method_arn)
        if function is None:
            raise GatewayResponse("API_CONFIGURATION_ERROR")
        if len(call.body) > MAX_EVENT_BYTES:
            raise GatewayResponse("REQUEST_TOO_LARGE")
        # The adapter's stream begins with a prelude that a buffered integration cannot read, and the other way round.
        if function.streams != (integration.state.get("responseTransferMode") == "STREAM"):
            raise GatewayResponse("INTEGRATION_FAILURE")
        path = urlsplit(str(call.request.rel_url))
        target = call.sent_path + (f"?{path.query}" if path.query else "")
        seconds = float(integration.state.get("timeoutMilliseconds") or 29_000) / 1000
        try:
            with function.invocation():
                async with asyncio.timeout(seconds):
                    if not function.streams:
                        return await invoke(function, call, authorized)
                    answer = await function.request(
                        call.request.method,
                        target,
                        [item for item in call.request.headers.items() if item[0].lower() != "content-encoding"],
                        call.body,
                        call.context(authorized),
                    )
                return await relay(call.request, answer)
        except TimeoutError:
            raise GatewayResponse("INTEGRATION_TIMEOUT") from None
        except FunctionThrottled as error:
            # "If the Lambda API rejects the invocation request, API Gateway returns a 500 error code."
            # https://docs.aws.amazon.com/lambda/latest/dg/services-apigateway-errors.html
            raise GatewayResponse("API_CONFIGURATION_ERROR") from error
        except FunctionError as error:
            raise GatewayResponse("INTEGRATION_FAILURE") from error


def _address(mapping: Resource) -> str:
    base = mapping.state.get("basePath")
    return f"https://{mapping.state['domainName']}" + (f"/{base}" if base else "")


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
