"""Who may call a REST API: a method's authorizer, or the caller's AWS signature."""

import fnmatch
import re
import time
from collections.abc import Mapping
from typing import Any

from pulumi_llm_local.aws_types.draft import ACCOUNT
from pulumi_llm_local.program.graph import Graph, Resource
from pulumi_llm_local.services.api_gateway.api_request import ApiRequest
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
        self._cache: dict[tuple[str, str], tuple[float, Any]] = {}

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
        for source in str(authorizer.state.get("identitySource") or "method.request.header.Authorization").split(","):
            if header := re.fullmatch(r"method\.request\.header\.(.+)", source.strip()):  # noqa: SIM102
                if not call.request.headers.get(header[1]):
                    raise GatewayResponse("UNAUTHORIZED")
        source_arn = f"{self._execution_arn}/authorizers/{authorizer.id}"
        function = permitted_function(self._graph, self._functions, str(authorizer.state["authorizerUri"]), source_arn)
        if function is None:
            raise GatewayResponse("AUTHORIZER_CONFIGURATION_ERROR")
        answer = await self._authorizer_answer(authorizer, function, call)
        if not allows(answer, call.method_arn):
            raise GatewayResponse("ACCESS_DENIED")
        return answer

    async def _authorizer_answer(self, authorizer: Resource, function: Function, call: ApiRequest) -> Any:
        """Ask the authorizer, or its cache where that is on: by the values of its identity sources, for every route."""
        seconds = float(authorizer.state.get("authorizerResultTtlInSeconds") or 0)
        identity = (authorizer.id, call.request.headers.get("authorization", ""))
        answered, answer = self._cache.get(identity, (0.0, None))
        if seconds and time.monotonic() - answered < seconds:
            return answer
        try:
            answer = await function.invoke(_authorizer_event(call))
        except FunctionError as error:
            raise GatewayResponse("UNAUTHORIZED" if str(error) == "Unauthorized" else "AUTHORIZER_FAILURE") from error
        if seconds:
            self._cache[identity] = (time.monotonic(), answer)
        return answer

    def _check_signature(self, call: ApiRequest) -> Mapping[str, Any]:
        """The identity of a signed call. Policies are not played: who is known may call."""
        try:
            verify_signature(call.request, call.body, self._graph.region, self._credentials, "execute-api")
        except SignatureError as error:
            missing = error.code == "MissingAuthenticationTokenException"
            raise GatewayResponse("MISSING_AUTHENTICATION_TOKEN" if missing else "INVALID_SIGNATURE") from error
        return {"identity": {"accountId": ACCOUNT, "userArn": USER_ARN, "accessKey": self._credentials.access_key}}


def _authorizer_event(call: ApiRequest) -> dict[str, Any]:
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
