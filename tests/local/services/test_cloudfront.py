"""CloudFront as a viewer sees it: behaviors, functions, origins, headers, and what it answers by itself."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from pulumi_llm_local.program.graph import Graph, Resource
from pulumi_llm_local.services.cloudfront import distribution, s3_origin
from pulumi_llm_local.services.cloudfront.cache import CACHE_POLICY
from pulumi_llm_local.services.cloudfront.distribution import DISTRIBUTION, FUNCTION, Distribution
from pulumi_llm_local.services.cloudfront.response_headers import POLICY
from pulumi_llm_local.services.local_run import LocalError

Client = TestClient[web.Request, web.Application]
BUCKET = "site.s3.us-east-1.amazonaws.com"
API = "abc.execute-api.us-east-1.amazonaws.com"
ARN = "arn:aws:cloudfront::123456789012:distribution/E1"
ALL_VIEWER = "216adef6-5c7f-47e4-b989-5492eafa07d3"
ALL_VIEWER_EXCEPT_HOST = "b689b0a8-53d0-40ab-baf2-68738e2966ac"
SECURITY_HEADERS = "67f7725c-6f97-4210-82d7-5512b31e9d03"
EVERY_METHOD = ["GET", "HEAD", "OPTIONS", "PUT", "POST", "PATCH", "DELETE"]


def resource(type: str, id: str, **state: Any) -> Resource:
    return Resource("urn", type, id, id, {}, state)


def allow(action: str, resource: str, arn: str = ARN) -> dict[str, Any]:
    condition = {"StringEquals": {"AWS:SourceArn": arn}}
    principal = {"Service": "cloudfront.amazonaws.com"}
    return {"Effect": "Allow", "Principal": principal, "Action": action, "Resource": resource, "Condition": condition}


READ = allow("s3:GetObject", "arn:aws:s3:::site/*")
LIST = allow("s3:ListBucket", "arn:aws:s3:::site")


def page(code: str = "", **more: Any) -> dict[str, Any]:
    associations = [{"eventType": "viewer-request", "functionArn": "function"}] if code else []
    return {"targetOriginId": "page", "allowedMethods": ["GET", "HEAD"], "functionAssociations": associations, **more}


def api(pattern: str = "/api/*", **more: Any) -> dict[str, Any]:
    given = {"targetOriginId": "api", "allowedMethods": EVERY_METHOD, "originRequestPolicyId": ALL_VIEWER_EXCEPT_HOST}
    return {"pathPattern": pattern, **given, **more}


async def echo(request: web.Request) -> web.StreamResponse:
    """The API: it answers with what it was asked, streams, or does not answer."""
    assert request.transport is not None
    if request.path.startswith("/api/kept"):
        counts = request.app["counts"]
        counts[request.path] = counts.get(request.path, 0) + 1
        control = request.path.removeprefix("/api/kept/")
        return web.Response(
            text=f"{counts[request.path]}", status=429 if "429" in control else 200, headers={"cache-control": control}
        )
    if request.path == "/api/gone":
        request.transport.abort()
    if request.path == "/api/silent":
        await asyncio.sleep(20)
    if request.path == "/api/stream":
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b"data: 1\n\n")
        if request.query:
            request.transport.abort()
        return response
    body = {
        "method": request.method,
        "path": str(request.rel_url),
        "headers": {name.lower(): value for name, value in request.headers.items()},
        "body": await request.text(),
    }
    return web.json_response(body, headers={"x-frame-options": "ALLOW"})


@contextlib.asynccontextmanager
async def viewer(
    *behaviors: dict[str, Any], code: str = "", policy: list[Any] | None = None, seconds: float = 30, **default: Any
) -> AsyncIterator[Client]:
    """A viewer of a distribution with a bucket and an API."""
    document = json.dumps({"Statement": [READ, LIST] if policy is None else policy})
    state = {
        "arn": ARN,
        "domainName": "d1.cloudfront.net",
        "defaultRootObject": "index.html",
        "enabled": True,
        "origins": [
            {"originId": "page", "domainName": BUCKET, "originAccessControlId": "O1"},
            {
                "originId": "api",
                "domainName": API,
                "customHeaders": [{"name": "x-cdn", "value": "yes"}],
                "customOriginConfig": {"originReadTimeout": seconds},
            },
            {"originId": "elsewhere", "domainName": "example.com"},
        ],
        "orderedCacheBehaviors": list(behaviors),
        "defaultCacheBehavior": page(code, **default),
        "restrictions": {"geoRestriction": {"restrictionType": "none"}},
    }
    none = {"headerBehavior": "none", "cookieBehavior": "none", "queryStringBehavior": "none"}
    key = {f"{part}Config": none for part in ("headers", "cookies", "queryStrings")}
    own = {"customHeadersConfig": {"items": [{"header": "x-own", "value": "1", "override": True}]}}
    own |= {"removeHeadersConfig": {"items": [{"header": "server"}]}}
    resources = (
        resource(
            s3_origin.BUCKET,
            "site",
            bucket="site",
            arn="arn:aws:s3:::site",
            bucketDomainName="",
            bucketRegionalDomainName=BUCKET,
        ),
        resource(s3_origin.BUCKET_POLICY, "policy", bucket="site", policy=document),
        resource(s3_origin.OBJECT, "i", bucket="site", key="index.html", content="the page", contentType="text/html"),
        resource(s3_origin.OBJECT, "a", bucket="site", key="a b.txt", content="a file", cacheControl="no-cache"),
        resource(FUNCTION, "function", arn="function", code=code, publish=True),
        resource(POLICY, "own", **own),
        resource(CACHE_POLICY, "cache", minTtl=0, defaultTtl=0, maxTtl=60, parametersInCacheKeyAndForwardedToOrigin=key),
        resource(DISTRIBUTION, "E1", **state),
    )
    graph = Graph("us-east-1", resources, {}, ())
    app = web.Application()
    app["counts"] = {}
    app.router.add_route("*", "/{path:.*}", echo)
    async with TestServer(app) as server, aiohttp.ClientSession() as session:
        run: Any = SimpleNamespace(
            graph=graph, websocket_apis=[], web_acls={}, hosts={API: str(server.make_url("")).rstrip("/")}
        )
        made = Distribution(run, resources[-1], session)
        front = web.Application(client_max_size=0)
        front.router.add_route("*", "/{path:.*}", made.handle)
        async with TestClient(TestServer(front)) as client:
            yield client


# The behaviors of path patterns, and a path -> whether the API gets it.
PATHS: dict[str, tuple[str, str, bool]] = {
    "below": ("/api/*", "/api/chat", True),
    "the folder itself": ("/api/*", "/api", False),
    "without a slash": ("api/*", "/api/chat", True),
    "upper case": ("/api/*", "/API/chat", False),
    "anything": ("*.json", "/a/b.json", True),
    "one character": ("/v?/x", "/v1/x", True),
    "not two": ("/v?/x", "/v12/x", False),
    "a dot is a dot": ("/a.c", "/abc", False),
    "no query": ("/api*x", "/api?x", False),
}


@pytest.mark.parametrize(("pattern", "path", "to_api"), PATHS.values(), ids=PATHS)
async def test_path_patterns(pattern: str, path: str, *, to_api: bool) -> None:
    async with viewer(api(pattern)) as client, client.get(path) as answer:
        assert (answer.headers.get("server") != "AmazonS3") == to_api


async def test_an_api_gets_the_request_with_its_own_host_and_the_cdns_headers() -> None:
    async with viewer(api(responseHeadersPolicyId=SECURITY_HEADERS)) as client:
        headers = {"authorization": "Bearer key", "x-cdn": "forged", "cookie": "a=b"}
        async with client.post("/api/a%2Fb?q=%20x", data="body", headers=headers) as answer:
            got = await answer.json()
    assert (got["method"], got["path"], got["body"]) == ("POST", "/api/a%2Fb?q=%20x", "body")
    sent = {name: got["headers"].get(name) for name in ("host", "authorization", "cookie", "x-cdn", "x-forwarded-for", "via")}
    assert sent == {
        "host": API,
        "authorization": "Bearer key",
        "cookie": "a=b",
        "x-cdn": "yes",
        "x-forwarded-for": "127.0.0.1",
        "via": "1.1 d1.cloudfront.net (CloudFront)",
    }
    names = ("x-cache", "x-content-type-options", "referrer-policy", "x-frame-options")
    # The managed policy leaves the origin's own frame options.
    assert [answer.headers.get(name) for name in names] == [
        "Miss from cloudfront",
        "nosniff",
        "strict-origin-when-cross-origin",
        "ALLOW",
    ]


async def test_without_a_policy_an_origin_gets_little() -> None:
    headers = {"authorization": "Bearer key", "cookie": "a=b"}
    async with viewer(api(originRequestPolicyId=None)) as client, client.get("/api/x?q=1", headers=headers) as answer:
        got = await answer.json()
    assert got["path"] == "/api/x"
    assert got["headers"].keys().isdisjoint({"authorization", "cookie"})
    assert got["headers"]["user-agent"] == "Amazon CloudFront"


async def test_api_gateway_refuses_the_viewers_host() -> None:
    async with viewer(api(originRequestPolicyId=ALL_VIEWER)) as client, client.get("/api/x") as answer:
        assert (answer.status, await answer.json()) == (403, {"message": "Forbidden"})


# What is asked for -> the status, and a part of the answer.
ANSWERS: dict[str, tuple[str, str, dict[str, Any], int, str]] = {
    "the root": ("GET", "/", {}, 200, "the page"),
    "a file": ("GET", "/a%20b.txt", {}, 200, "a file"),
    "no file": ("GET", "/none", {}, 404, "NoSuchKey"),
    "another method": ("POST", "/", {}, 403, "The distribution supports only cachable requests"),
    "a GET with a body": ("GET", "/api/x", {"data": "body"}, 403, "Bad request"),
    "an origin that breaks off": ("GET", "/api/gone", {}, 502, "Generated by cloudfront"),
    "an origin elsewhere": ("GET", "/elsewhere", {}, 502, "Generated by cloudfront"),
}


@pytest.mark.parametrize(("method", "path", "given", "status", "part"), ANSWERS.values(), ids=ANSWERS)
async def test_answers(method: str, path: str, given: dict[str, Any], status: int, part: str) -> None:
    elsewhere = api("/elsewhere", targetOriginId="elsewhere")
    async with viewer(api(), elsewhere) as client, client.request(method, path, **given) as answer:
        assert (answer.status, part in await answer.text()) == (status, True)
        assert answer.headers["x-cache"] == ("Miss" if status < 400 else "Error") + " from cloudfront"


async def test_an_origin_that_is_silent_for_too_long() -> None:
    async with viewer(api(), seconds=0.1) as client, client.get("/api/silent") as answer:
        assert (answer.status, answer.headers["x-cache"]) == (504, "Error from cloudfront")


async def test_a_stream_comes_as_it_is_sent_and_breaks_off_as_it_does() -> None:
    async with viewer(api()) as client:
        async with client.get("/api/stream") as answer:
            assert await answer.text() == "data: 1\n\n"
        with pytest.raises(aiohttp.ClientError):
            async with client.get("/api/stream?cut=1") as answer:
                await answer.text()


# The statements of the bucket's policy -> the statuses of a file, of none, and of the bucket itself.
POLICIES: dict[str, tuple[list[Any], list[int]]] = {
    "read and list": ([READ, LIST], [200, 404]),
    "read": ([READ], [200, 403]),
    "none": ([], [403, 403]),
    "another distribution": ([allow("s3:GetObject", "arn:aws:s3:::site/*", f"{ARN}2")], [403, 403]),
    "another bucket": ([allow("s3:*", "arn:aws:s3:::other/*")], [403, 403]),
    "all by a pattern": ([allow("s3:Get*", "arn:aws:s3:::*")], [200, 403]),
}


@pytest.mark.parametrize(("policy", "statuses"), POLICIES.values(), ids=POLICIES)
async def test_a_bucket_answers_what_its_policy_allows(policy: list[Any], statuses: list[int]) -> None:
    async with viewer(policy=policy) as client:
        got = [(await client.get(path)).status for path in ("/index.html", "/none.txt")]
    assert got == statuses


async def test_a_file_that_the_browser_has_is_not_sent_again() -> None:
    async with viewer() as client:
        first = await client.get("/a%20b.txt")
        again = await client.get("/a%20b.txt", headers={"if-none-match": first.headers["etag"]})
    assert (first.headers["cache-control"], again.status, await again.read()) == ("no-cache", 304, b"")


async def test_a_policy_of_ones_own() -> None:
    async with viewer(responseHeadersPolicyId="own") as client, client.get("/") as answer:
        assert (answer.headers["x-own"], "AmazonS3" in answer.headers.get("server", "")) == ("1", False)


# What the origin's Cache-Control says -> whether a second viewer gets what the first one got.
@pytest.mark.parametrize(
    ("control", "hit"),
    [
        ("max-age=0, s-maxage=60", True),
        ("max-age=60", True),
        ("max-age=0", False),
        ("no-store", False),
        ("max-age=60, 429", False),
    ],
)
async def test_what_is_kept(control: str, hit: bool) -> None:
    async with viewer(api(cachePolicyId="cache", originRequestPolicyId=None)) as client:
        texts, states = [], []
        for query in ("", "?other"):  # which is no part of the key
            async with client.get(
                f"/api/kept/{control}{query}", headers={"cookie": query, "cache-control": "no-cache"}
            ) as answer:
                texts.append(await answer.text())
                states.append(answer.headers["x-cache"])
    assert texts == (["1", "1"] if hit else ["1", "2"])
    assert states[1].startswith("Hit") is hit


def function(body: str) -> str:
    return f"async function handler(event) {{ const request = event.request; {body} }}"


# A function and a path -> the status, a part of the answer and x-cache.
FUNCTIONS: dict[str, tuple[str, str, int, str, str]] = {
    "a path is written anew": (function("request.uri = '/index.html'; return request;"), "/deep", 200, "the page", "Miss"),
    "without async": ("function handler(e) { e.request.uri = '/'; return e.request; }", "/deep", 200, "the page", "Miss"),
    "a response": (
        function("return { statusCode: 302, headers: { location: { value: request.querystring.to.value } } };"),
        "/x?to=/there",
        302,
        "",
        "FunctionGeneratedResponse",
    ),
    "its own body": (
        function("return { statusCode: 404, body: { data: event.viewer.ip } };"),
        "/",
        404,
        "127.0.0.1",
        "FunctionGeneratedResponse",
    ),
    "an exception": (function("return nothing.there;"), "/", 503, "not defined", "FunctionExecutionError"),
    "no result": (function(""), "/", 502, "no request and no response", "FunctionValidationError"),
    "no path": (function("request.uri = 'index.html'; return request;"), "/", 502, "no request", "FunctionValidationError"),
    "without end": (function("while (true) {}"), "/", 503, "", "FunctionExecutionError"),
    "too much memory": (
        function("const all = []; while (true) all.push('x'.repeat(1000) + all.length);"),
        "/",
        503,
        "",
        "FunctionExecutionError",
    ),
    "nothing kept": (
        "let n = 0; " + function("n += 1; return { statusCode: 200, body: `${n}` };"),
        "/",
        200,
        "1",
        "FunctionGeneratedResponse",
    ),
}


@pytest.mark.assumes("cdn-function")
@pytest.mark.parametrize(("code", "path", "status", "part", "x_cache"), FUNCTIONS.values(), ids=FUNCTIONS)
async def test_functions(code: str, path: str, status: int, part: str, x_cache: str) -> None:
    async with viewer(code=code) as client:
        await client.get(path, allow_redirects=False)
        async with client.get(path, allow_redirects=False) as answer:
            assert (answer.status, part in await answer.text()) == (status, True)
            assert answer.headers["x-cache"] == f"{x_cache} from cloudfront"


# A function that CloudFront does not take, or that cannot be run here -> why.
REFUSED = {
    "too large": ("// " + "x" * 10240, "more than 10 KB"),
    "no JavaScript": ("function handler(", "cannot be run here"),
    "an import": ("import cf from 'cloudfront'; " + function("return request;"), "cannot be run here"),
}


@pytest.mark.parametrize(("code", "reason"), REFUSED.values(), ids=REFUSED)
async def test_a_function_that_is_refused(code: str, reason: str) -> None:
    with pytest.raises(LocalError, match=reason):
        async with viewer(code=code):
            pass


def test_what_is_not_played_is_named() -> None:
    behavior = page(
        functionAssociations=[{"eventType": "viewer-response", "functionArn": "f"}], responseHeadersPolicyId="other"
    )
    state = {
        "origins": [{"originId": "page", "domainName": BUCKET}],
        "defaultCacheBehavior": behavior,
        "customErrorResponses": [{"errorCode": 404, "errorCachingMinTtl": 0}, {"errorCode": 500, "responsePagePath": "/x"}],
        "restrictions": {"geoRestriction": {"restrictionType": "whitelist"}},
    }
    graph = Graph("us-east-1", (resource(DISTRIBUTION, "E1", **state),), {}, ())
    parts = ("geo restriction", "error pages", "viewer-response functions", "a response headers policy")
    assert distribution.not_played(graph) == {f"{DISTRIBUTION} ({part})" for part in parts}
