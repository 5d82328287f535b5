"""Who may call a REST API: a method's authorizer, or the caller's AWS signature."""

import fnmatch
import re
import time
from collections.abc import Mapping
from typing import Any

from multidict import CIMultiDictProxy, MultiMapping

from pulumi_llm_local.aws_types.draft import ACCOUNT
from pulumi_llm_local.program.graph import Graph, Resource
from pulumi_llm_local.services.api_gateway.api_request import ApiRequest, header_fields
from pulumi_llm_local.services.api_gateway.gateway_responses import GatewayResponse
from pulumi_llm_local.services.api_gateway.lambda_proxy import permitted_function
from pulumi_llm_local.services.lambda_function import Function, FunctionError
from pulumi_llm_local.services.signature import Credentials, SignatureError, verify_signature

USER_ARN = f"arn:aws:iam::{ACCOUNT}:user/local"
"""Who has the local credentials."""


class Authorization:
    """The authorizers of an API, with their caches."""

    def __init__(
        self,
        graph: Graph,
        authorizers: Mapping[str, Resource],
        functions: Mapping[str, Function],
        credentials: Credentials,
        execution_arn: str,
    ) -> None:
        self._graph = graph
        self._authorizers = authorizers
        self._functions = functions
        self._credentials = credentials  # whose AWS signatures are known
        self._execution_arn = execution_arn
        self._cache: dict[tuple[str, ...], tuple[float, Any]] = {}

    async def authorize(self, method: Resource, call: ApiRequest) -> Mapping[str, Any]:
        """Give what the method's authorizer answers, {} for a method without one.

        Raises `GatewayResponse` where the call is refused.
        """
        if method.state["authorization"] == "NONE":
            return {}
        if method.state["authorization"] == "AWS_IAM":
            return self._check_signature(call)
        if method.state["authorization"] != "CUSTOM":
            raise GatewayResponse("AUTHORIZER_CONFIGURATION_ERROR")
        authorizer = self._authorizers[method.state["authorizerId"]]
        identity = identity_values(str(authorizer.state.get("identitySource") or ""), call.request.headers, call.request.query)
        if identity is None:
            raise GatewayResponse("UNAUTHORIZED")
        source_arn = f"{self._execution_arn}/authorizers/{authorizer.id}"
        function = permitted_function(self._graph, self._functions, str(authorizer.state["authorizerUri"]), source_arn)
        if function is None:
            raise GatewayResponse("AUTHORIZER_CONFIGURATION_ERROR")
        answer = await self._authorizer_answer(authorizer, function, call, identity)
        if not allows(answer, call.method_arn):
            raise GatewayResponse("ACCESS_DENIED")
        return answer

    async def _authorizer_answer(
        self, authorizer: Resource, function: Function, call: ApiRequest, identity: tuple[str, ...]
    ) -> Any:
        """Ask the authorizer, or its cache where that is on: by the values of its identity sources, for every route."""
        seconds = float(authorizer.state.get("authorizerResultTtlInSeconds") or 0)
        key = (authorizer.id, *identity)
        answered, answer = self._cache.get(key, (0.0, None))
        if seconds and time.monotonic() - answered < seconds:
            return answer
        try:
            answer = await function.invoke(_authorizer_event(call))
        except FunctionError as error:
            raise GatewayResponse("UNAUTHORIZED" if str(error) == "Unauthorized" else "AUTHORIZER_FAILURE") from error
        if seconds:
            self._cache[key] = (time.monotonic(), answer)
        return answer

    def _check_signature(self, call: ApiRequest) -> Mapping[str, Any]:
        """The identity of a signed call. Policies are not played: who is known may call."""
        try:
            verify_signature(call.request, call.body, self._graph.region, self._credentials, "execute-api")
        except SignatureError as error:
            missing = error.code == "MissingAuthenticationTokenException"
            raise GatewayResponse("MISSING_AUTHENTICATION_TOKEN" if missing else "INVALID_SIGNATURE") from error
        return {"identity": {"accountId": ACCOUNT, "userArn": USER_ARN, "accessKey": self._credentials.access_key}}


def identity_values(sources: str, headers: CIMultiDictProxy[str], query: MultiMapping[str]) -> tuple[str, ...] | None:
    """Return the values of an authorizer's identity sources, by which its answers are cached; None if one is missing or empty.

    "[They] derive the authorization caching key and … perform runtime validation of the REQUEST authorizer by verifying all of
    the identity-related request parameters are present, not null and non-empty." Of a header that is there several times, the
    last value is taken, as in the event's `headers`; AWS does not say which the cache goes by. Values of the context and of the
    stage are the same for all callers here.
    https://docs.aws.amazon.com/apigateway/latest/api/API_CreateAuthorizer.html#apigw-CreateAuthorizer-request-identitySource
    """
    values: list[str] = []
    for source in (sources or "method.request.header.Authorization").split(","):
        match = re.fullmatch(r"method\.request\.(header|querystring)\.(.+)", source.strip())
        if match is None:
            continue
        value = (headers if match[1] == "header" else query).getall(match[2], [""])[-1]
        if not value:
            return None
        values.append(value)
    return tuple(values)


def _authorizer_event(call: ApiRequest) -> dict[str, Any]:
    headers = call.request.headers
    return {
        "type": "REQUEST",
        "methodArn": call.method_arn,
        "resource": call.resource_path,
        "path": call.path,
        "httpMethod": call.request.method,
        **header_fields(headers),
        "queryStringParameters": dict(call.request.query) or None,
        "pathParameters": dict(call.path_parameters) or None,
        "stageVariables": None,
        "requestContext": call.context(None),
    }


def allows(answer: Any, method_arn: str) -> bool:
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
