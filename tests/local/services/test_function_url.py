"""Function URLs as AWS documents them: signatures, permissions, and the event that the function gets."""

import contextlib
import hashlib
import json
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from multidict import CIMultiDict

from pulumi_llm_local.aws_types.lambda_ import FUNCTION_URL, PERMISSION
from pulumi_llm_local.program.graph import Graph, Resource
from pulumi_llm_local.services.cloudfront.function_url_origin import ACCESS_CONTROL, FunctionUrlOrigin, find_access_control
from pulumi_llm_local.services.cloudfront.origin import OriginRequest
from pulumi_llm_local.services.function_url import FunctionUrl
from pulumi_llm_local.services.lambda_function import FunctionThrottled
from pulumi_llm_local.services.signature import Credentials

CDN = "arn:aws:cloudfront::123456789012:distribution/E1"
FUNCTION_ARN = "arn:aws:lambda:us-east-1:123456789012:function:chat"
HOST = "abc.lambda-url.us-east-1.on.aws"
BODY = b'{"message": "Hello"}'
HASH = hashlib.sha256(BODY).hexdigest()
URL_ACTION, FUNCTION_ACTION = "lambda:InvokeFunctionUrl", "lambda:InvokeFunction"


def resource(type: str, id: str, **state: Any) -> Resource:
    return Resource("urn", type, id, id, {}, state)


def permission(action: str, **more: Any) -> dict[str, Any]:
    given = {"function": FUNCTION_ARN, "qualifier": "live", "principal": "cloudfront.amazonaws.com", "sourceArn": CDN}
    return {"action": action, **given, **more}


BOTH = (permission(URL_ACTION, functionUrlAuthType="AWS_IAM"), permission(FUNCTION_ACTION, invokedViaFunctionUrl=True))


class Echo:
    """A function behind the Web Adapter that answers with its request context."""

    name, arn = "chat", FUNCTION_ARN

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url
        self.throttled = False

    @contextlib.contextmanager
    def invocation(self) -> Any:
        if self.throttled:
            raise FunctionThrottled("Rate Exceeded")
        yield

    async def request(self, method: str, path: str, headers: Any, body: bytes, context: Any) -> aiohttp.ClientResponse:
        return await self._session.post(self._url, json=context)


async def _echo(request: web.Request) -> web.Response:
    return web.Response(body=await request.read(), content_type="application/json")


class Called:
    def __init__(self, status: int, headers: Any, body: bytes) -> None:
        self.status, self.headers, self.document = status, headers, json.loads(body)


@contextlib.asynccontextmanager
async def calls(permissions: Any = BOTH, signing: str = "always", throttled: bool = False, **url: Any) -> AsyncIterator[Any]:
    """Call the URL as CloudFront does, with these permissions of the function's."""
    given = {"functionUrl": f"https://{HOST}/", "functionName": "chat", "qualifier": "live", "authorizationType": "AWS_IAM"}
    state = {**given, "invokeMode": "RESPONSE_STREAM", **url}
    control = {"originAccessControlOriginType": "lambda", "signingBehavior": signing}
    resources = [
        resource(FUNCTION_URL, "url", **state),
        resource(ACCESS_CONTROL, "E2", **control),
        *(resource(PERMISSION, f"p{i}", **each) for i, each in enumerate(permissions)),
    ]
    graph = Graph(resources=resources, outputs={}, region="us-east-1", warnings=[])
    run: Any = SimpleNamespace(graph=graph, key=Credentials("AKIALOCAL", "secret"), service_callers={})
    function_app, url_app = web.Application(), web.Application()
    function_app.router.add_post("/", _echo)
    async with aiohttp.ClientSession() as session, TestServer(function_app) as function_server:
        function: Any = Echo(session, str(function_server.make_url("/")))
        function.throttled = throttled
        url_app.router.add_route("*", "/{path:.*}", FunctionUrl(run, resources[0], function).handle)
        async with TestServer(url_app) as server:
            settings = {"domainName": HOST, "originAccessControlId": "E2"}
            access = find_access_control(graph, settings)
            assert access is not None
            origin = FunctionUrlOrigin(run, settings, access, CDN, str(server.make_url("")).rstrip("/"), session)

            async def call(headers: dict[str, str], method: str = "POST", body: bytes = BODY) -> Called:
                request = OriginRequest(method, "/api/chat/stream?a=b%20c", CIMultiDict(headers), body)
                async with origin.answer(request) as answer:
                    content: Any = answer.body
                    whole = content if isinstance(content, bytes) else b"".join([chunk async for chunk in content])
                    return Called(answer.status, answer.headers, whole)

            yield call


async def test_the_event_is_the_documented_one() -> None:
    async with calls() as call:
        answer = await call({"x-amz-content-sha256": HASH, "authorization": "Bearer the-viewers"})
    context = answer.document
    assert answer.status == 200
    assert (context["domainName"], context["http"]["method"], context["http"]["path"]) == (HOST, "POST", "/api/chat/stream")
    assert context["accountId"] == context["authorizer"]["iam"]["accountId"] == "123456789012"
    assert "resourcePath" not in context


FORBIDDEN = {"Message": "Forbidden"}
CASES: dict[str, tuple[dict[str, Any], dict[str, str], int, str]] = {
    "no body hash": ({}, {}, 403, "InvalidSignatureException"),
    "another body's hash": ({}, {"x-amz-content-sha256": "0" * 64}, 403, "InvalidSignatureException"),
    "no signature": ({"signing": "never"}, {}, 403, "AccessDeniedException"),
    "no permission": ({"permissions": ()}, {"x-amz-content-sha256": HASH}, 403, "AccessDeniedException"),
    "one of the two": ({"permissions": BOTH[:1]}, {"x-amz-content-sha256": HASH}, 403, "AccessDeniedException"),
    "the other of the two": ({"permissions": BOTH[1:]}, {"x-amz-content-sha256": HASH}, 403, "AccessDeniedException"),
    "for another distribution": (
        {"permissions": [{**each, "sourceArn": f"{CDN}2"} for each in BOTH]},
        {"x-amz-content-sha256": HASH},
        403,
        "AccessDeniedException",
    ),
    "for another alias": (
        {"permissions": [{**each, "qualifier": "canary"} for each in BOTH]},
        {"x-amz-content-sha256": HASH},
        403,
        "AccessDeniedException",
    ),
    "as many calls as are reserved": ({"throttled": True}, {"x-amz-content-sha256": HASH}, 429, ""),
}


@pytest.mark.parametrize(("arguments", "headers", "status", "code"), CASES.values(), ids=CASES)
async def test_what_lambda_refuses(arguments: dict[str, Any], headers: dict[str, str], status: int, code: str) -> None:
    async with calls(**arguments) as call:
        answer = await call(headers)
    assert (answer.status, answer.headers.get("x-amzn-errortype", "")) == (status, code)
    assert code != "AccessDeniedException" or answer.document == FORBIDDEN


async def test_a_url_for_anyone_asks_for_nothing() -> None:
    async with calls(authorizationType="NONE", signing="never") as call:
        answer = await call({})
    assert answer.status == 200 and "authorizer" not in answer.document


async def test_a_request_without_a_body_needs_no_hash() -> None:
    async with calls() as call:
        assert (await call({}, method="GET", body=b"")).status == 200
