"""Function URLs: who may call, the event that the function gets, and its answer as it comes.

Played for functions behind the Web Adapter.
https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html and urls-invocation.html beside it
"""

import re
import time
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

from pulumi_llm_local.aws_types.lambda_ import FUNCTION, FUNCTION_URL, PERMISSION
from pulumi_llm_local.program.graph import Graph, Resource
from pulumi_llm_local.services.api_gateway.lambda_proxy import MAX_EVENT_BYTES, relay
from pulumi_llm_local.services.lambda_function import Function, FunctionError, FunctionThrottled, streams
from pulumi_llm_local.services.local_run import LocalRun, ServiceCaller
from pulumi_llm_local.services.signature import SignatureError, verify_signature

PLAYED = frozenset({FUNCTION_URL})
IMPLIED = frozenset[str]()


async def start(run: LocalRun) -> None:
    """Serve the URL of each function behind the Web Adapter."""
    for resource in run.graph.of_type(FUNCTION_URL):
        if (name := _streaming_function(run.graph, resource)) is not None:
            url = FunctionUrl(run, resource, run.functions[name])
            app = web.Application(client_max_size=0)
            app.router.add_route("*", "/{path:.*}", url.handle)
            served = await run.serve(app, auto_decompress=False)
            run.function_urls[url.address] = run.hosts[urlsplit(url.address).netloc] = served


def not_played(graph: Graph) -> set[str]:
    """The URLs of functions that the Web Adapter is not in front of."""
    missing = any(_streaming_function(graph, resource) is None for resource in graph.of_type(FUNCTION_URL))
    return {f"{FUNCTION_URL} (of a function that does not stream by the Web Adapter)"} if missing else set()


def _streaming_function(graph: Graph, url: Resource) -> str | None:
    """Return the name of a URL's function, if it streams by the Web Adapter."""
    given = str(url.state["functionName"])
    functions = [each for each in graph.of_type(FUNCTION) if given in (each.state["name"], each.state["arn"])]
    return next((str(each.state["name"]) for each in functions if streams(each)), None)


class FunctionUrl:
    """The URL of a function, or of one of its aliases."""

    def __init__(self, run: LocalRun, resource: Resource, function: Function) -> None:
        state = resource.state
        self.address = str(state["functionUrl"])
        """AWS's address of it."""
        self._run = run
        self._function = function
        self._qualifier = str(state.get("qualifier") or "")
        self._signed = state["authorizationType"] == "AWS_IAM"
        self._streams = state.get("invokeMode") == "RESPONSE_STREAM"

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer a request as Lambda does."""
        body = await request.read()
        if len(body) > MAX_EVENT_BYTES:
            return _refusal(413, "RequestEntityTooLargeException", "Request must be smaller than 6291456 bytes")
        caller = None
        if self._signed:
            try:
                caller = self._caller(request, body)
            except SignatureError as error:
                if error.code == "MissingAuthenticationTokenException":
                    return _forbidden()
                return _refusal(403, error.code, error.message)
            if caller is not None and not _may_call(self._run.graph, self._function, self._qualifier, caller):
                return _forbidden()
        try:
            with self._function.invocation():
                if not self._streams:  # the adapter's stream is no whole answer
                    raise FunctionError(f"{self._function.name} streams, and its URL has the mode BUFFERED")
                headers = [(name.lower(), value) for name, value in request.headers.items()]
                context = self._context(request, caller)
                answer = await self._function.request(request.method, request.raw_path, headers, body, context)
                return await relay(request, answer)
        except FunctionThrottled:
            return web.json_response(
                {"Reason": "ReservedFunctionConcurrentInvocationLimitExceeded", "Type": "User", "message": "Rate Exceeded."},
                status=429,
            )
        except FunctionError:
            # https://docs.aws.amazon.com/lambda/latest/dg/urls-monitoring.html: a function that fails is a 502
            return web.Response(status=502, text="Internal Server Error")

    def _caller(self, request: web.Request, body: bytes) -> ServiceCaller | None:
        """Return the service that signed the request; None for this run's own key. Raises `SignatureError`."""
        key = _ACCESS_KEY.search(request.headers.get("Authorization", ""))
        caller = self._run.service_callers.get(key[1]) if key else None
        credentials = caller.credentials if caller else self._run.key
        verify_signature(request, body, self._run.graph.region, credentials, "lambda")
        return caller

    def _context(self, request: web.Request, caller: ServiceCaller | None) -> dict[str, Any]:
        """https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html#urls-request-payload"""
        host = urlsplit(self.address).netloc
        now = datetime.now(UTC)
        context: dict[str, Any] = {
            "accountId": "anonymous",
            "apiId": host.partition(".")[0],
            "authentication": None,
            "domainName": host,
            "domainPrefix": host.partition(".")[0],
            "http": {
                "method": request.method,
                "path": request.path,
                "protocol": "HTTP/1.1",
                "sourceIp": request.remote,
                "userAgent": request.headers.get("User-Agent", ""),
            },
            "requestId": str(uuid.uuid4()),
            "routeKey": "$default",
            "stage": "$default",
            "time": f"{now:%d/%b/%Y:%H:%M:%S} +0000",
            "timeEpoch": int(time.time() * 1000),
        }
        if self._signed:
            account = self._function.arn.split(":")[4]
            arn = f"arn:aws:sts::{account}:assumed-role/cloudfront/oac" if caller else f"arn:aws:iam::{account}:user/local"
            iam = {"accessKey": "AKIA", "accountId": account, "callerId": "local", "userArn": arn, "userId": "local"}
            context |= {"accountId": account, "authorizer": {"iam": {**iam, "cognitoIdentity": None, "principalOrgId": None}}}
        return context


def _may_call(graph: Graph, function: Function, qualifier: str, caller: ServiceCaller) -> bool:
    """Whether the function's resource policy lets a service in by its URL.

    Since October 2025 two permissions are needed: https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html
    """
    found: set[str] = set()
    for permission in graph.of_type(PERMISSION):
        state: Mapping[str, Any] = permission.state
        arn = str(state["function"])
        if (
            arn in (function.arn, function.name)
            and str(state.get("qualifier") or "") == qualifier
            and state["principal"] == caller.principal
            and state.get("sourceArn") in (None, caller.source_arn)
            and state.get("functionUrlAuthType") in (None, "AWS_IAM")
        ):
            found.add(str(state["action"]))
    return {"lambda:InvokeFunctionUrl", "lambda:InvokeFunction"} <= found


_ACCESS_KEY = re.compile(r"Credential=([^/,\s]+)/")


def _forbidden() -> web.Response:
    """What a request without a signature, and one without permission, get."""
    return web.json_response({"Message": "Forbidden"}, status=403, headers={"x-amzn-ErrorType": "AccessDeniedException"})


def _refusal(status: int, code: str, message: str) -> web.Response:
    return web.json_response({"message": message}, status=status, headers={"x-amzn-ErrorType": code})
