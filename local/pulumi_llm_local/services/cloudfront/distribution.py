"""Distributions: behaviors, edge functions, origins, and the headers that CloudFront adds.

Only what a cache policy of the program's own lets keep by its path is cached: `x-cache` says Miss for everything else.
https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/distribution-web-values-specify.html
"""

import contextlib
import re
from collections.abc import Mapping
from typing import Any, cast
from urllib.parse import quote, urlencode, urlsplit

import aiohttp
from aiohttp import web
from multidict import CIMultiDict

from pulumi_llm_local.program.graph import Graph, Resource
from pulumi_llm_local.services.api_gateway.websocket_api import WebSocketApi
from pulumi_llm_local.services.cloudfront import error_page, s3_origin
from pulumi_llm_local.services.cloudfront.cache import CACHE_POLICY, cache_missing, find_cache
from pulumi_llm_local.services.cloudfront.edge_function import EdgeFunction, EdgeFunctionError, response_of
from pulumi_llm_local.services.cloudfront.function_url_origin import ACCESS_CONTROL, FunctionUrlOrigin, find_access_control
from pulumi_llm_local.services.cloudfront.origin import HttpOrigin, Origin, OriginError, OriginRequest, UnknownOrigin
from pulumi_llm_local.services.cloudfront.response_headers import POLICY, find_policy
from pulumi_llm_local.services.cloudfront.s3_origin import S3Origin, bucket_of
from pulumi_llm_local.services.local_run import LocalRun

DISTRIBUTION = "aws:cloudfront/distribution:Distribution"
FUNCTION = "aws:cloudfront/function:Function"
PLAYED = frozenset({DISTRIBUTION, FUNCTION, POLICY, CACHE_POLICY, s3_origin.BUCKET, s3_origin.BUCKET_POLICY, s3_origin.OBJECT})
IMPLIED = frozenset(
    {
        ACCESS_CONTROL,
        "aws:s3/bucketOwnershipControls:BucketOwnershipControls",
        "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
        "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
    }
)

# What is sent on of a viewer's request. https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/
# using-managed-origin-request-policies.html
_ALL_VIEWER = "216adef6-5c7f-47e4-b989-5492eafa07d3"
_ALL_VIEWER_EXCEPT_HOST = "b689b0a8-53d0-40ab-baf2-68738e2966ac"
# Of a request without a policy, these headers go to the origin, and no query string and no cookies.
# https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/RequestAndResponseBehaviorCustomOrigin.html
_ALWAYS_SENT = ("content-length", "content-type", "if-match", "if-modified-since", "if-none-match", "range")


async def start(run: LocalRun) -> None:
    """Serve each distribution at an address of its own."""
    for resource in run.graph.of_type(DISTRIBUTION):
        if resource.state["enabled"]:
            session = aiohttp.ClientSession(auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar())
            run.stop.push_async_callback(session.close)
            distribution = Distribution(run, resource, session)
            app = web.Application(client_max_size=0)
            app.router.add_route("*", "/{path:.*}", distribution.handle)
            run.distributions.append((distribution, await run.serve(app, run.next_listener(), auto_decompress=False)))


def not_played(graph: Graph) -> set[str]:
    """The parts of distributions that are not played."""
    found: set[str] = set()
    for distribution in graph.of_type(DISTRIBUTION):
        state = distribution.state
        restrictions: dict[str, Any] = state["restrictions"]
        errors: list[dict[str, Any]] = state.get("customErrorResponses") or []
        parts = {
            "geo restriction": restrictions["geoRestriction"]["restrictionType"] != "none",
            "error pages": any(each.get("responsePagePath") for each in errors),
            "origin groups": state.get("originGroups"),
            "viewer-response functions": any(not each for behavior in _behaviors(state) for each in _viewer_requests(behavior)),
            "Lambda@Edge": any(behavior.get("lambdaFunctionAssociations") for behavior in _behaviors(state)),
            "an origin request policy": any(
                _policy(b) not in ("", _ALL_VIEWER, _ALL_VIEWER_EXCEPT_HOST) for b in _behaviors(state)
            ),
            "a cache policy": any(cache_missing(graph, str(behavior.get("cachePolicyId"))) for behavior in _behaviors(state)),
            "a response headers policy": any(_headers_policy_missing(graph, behavior) for behavior in _behaviors(state)),
        }
        found |= {f"{DISTRIBUTION} ({part})" for part, given in parts.items() if given}
    return found


class Distribution:
    """A distribution."""

    def __init__(self, run: LocalRun, resource: Resource, session: aiohttp.ClientSession) -> None:
        state = resource.state
        self._arn = str(state["arn"])
        self._domain_name = str(state["domainName"])
        aliases: list[str] = state.get("aliases") or []
        self.addresses = [f"https://{name}" for name in (self._domain_name, *aliases)]
        """AWS's addresses of it."""
        self._root = str(state.get("defaultRootObject") or "")
        self._acl = run.web_acls.get(str(state.get("webAclId")))
        self._origins = {str(origin["originId"]): _Origin(run, origin, self._arn, session) for origin in state["origins"]}
        self._behaviors = [_Behavior(run, behavior, self._domain_name, resource.id) for behavior in _behaviors(state)]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer a viewer's request."""
        blocked = self._acl.inspect(request) if self._acl else None
        if blocked is not None:
            return blocked.response or error_page.error_page(403, error_page.BLOCKED)
        behavior = next(behavior for behavior in self._behaviors if behavior.matches(request.rel_url.raw_path))
        if request.method not in behavior.methods:
            return error_page.error_page(403, error_page.METHOD)
        if request.method == "GET" and request.can_read_body:  # "CloudFront returns an HTTP status code 403"
            return error_page.error_page(403, error_page.BAD_REQUEST)
        try:
            viewer = behavior.run_function(request)
        except EdgeFunctionError as error:
            return error_page.error_page(error.status, str(error), f"{error.code} from cloudfront")
        if isinstance(viewer, web.Response):
            viewer.headers["x-cache"] = "FunctionGeneratedResponse from cloudfront"
            return self._finish(viewer, behavior)
        path, query, headers = viewer
        if (
            behavior.cache is not None
            and (found := behavior.cache.find(path)) is not None
            and request.method in ("GET", "HEAD")
        ):
            kept, age = found
            cached = web.Response(body=kept.body, headers=kept.headers)
            cached.headers.update({"age": str(age), "x-cache": "Hit from cloudfront"})
            return self._finish(cached, behavior)
        asked = path
        origin = self._origins[behavior.origin_id]
        sent = behavior.sent_headers(headers)
        sent["via"] = f"1.1 {self._domain_name} (CloudFront)"
        sent["x-forwarded-for"] = ", ".join(filter(None, [headers.get("x-forwarded-for"), request.remote]))
        sent.update(origin.custom_headers)
        path = origin.path + (f"/{self._root}" if path == "/" and self._root else path)
        target = f"{path}?{query}" if query and behavior.sends_all else path
        if origin.websocket is not None:
            return await self._connect(origin.websocket, request, target, sent, behavior)
        try:
            async with origin.server.answer(OriginRequest(request.method, target, sent, await request.read())) as answer:
                response = web.StreamResponse(status=answer.status)
                response.headers.extend(answer.headers)
                body = answer.body
                if behavior.cache is not None and request.method == "GET" and answer.status == 200:
                    body = body if isinstance(body, bytes) else b"".join([chunk async for chunk in body])
                    behavior.cache.keep(asked, answer.headers, body)
                self._finish(response, behavior)
                return await _send(request, response, body)
        except OriginError as error:
            return error_page.error_page(error.status, error.text)

    async def _connect(
        self, api: WebSocketApi, request: web.Request, target: str, headers: CIMultiDict[str], behavior: "_Behavior"
    ) -> web.StreamResponse:
        """Hand a handshake to a WebSocket API, and the connection with it."""
        for name in ("connection", "upgrade"):  # those of this connection, which is the API's from here on
            headers.extend((name, value) for value in request.headers.getall(name, []))
        response = await api.handle(request.clone(rel_url=target, headers=headers))
        return response if response.prepared else self._finish(response, behavior)

    def _finish(self, response: web.StreamResponse, behavior: "_Behavior") -> web.StreamResponse:
        """Add the headers that CloudFront adds to what an origin or a function answers."""
        headers = response.headers
        headers.setdefault("x-cache", f"{'Miss' if response.status < 400 else 'Error'} from cloudfront")
        headers["via"] = f"1.1 {self._domain_name} (CloudFront)"
        if behavior.response_headers is not None:
            behavior.response_headers.apply(headers)
        return response


class _Origin:
    """An origin: a WebSocket API of this run, or what else answers."""

    def __init__(
        self, run: LocalRun, settings: Mapping[str, Any], distribution_arn: str, session: aiohttp.ClientSession
    ) -> None:
        domain_name = str(settings["domainName"])
        self.path = str(settings.get("originPath") or "")
        headers: list[dict[str, str]] = settings.get("customHeaders") or []
        self.custom_headers = {header["name"]: header["value"] for header in headers}
        self.websocket: WebSocketApi | None = next(
            (api for api, _ in run.websocket_apis if urlsplit(str(api.address)).netloc == domain_name), None
        )
        self.server = self._server(run, settings, domain_name, distribution_arn, session)

    def _server(
        self, run: LocalRun, settings: Mapping[str, Any], domain_name: str, arn: str, session: aiohttp.ClientSession
    ) -> Origin:
        if (bucket := bucket_of(run.graph, domain_name)) is not None:
            return S3Origin(run.graph, bucket, arn, signed=bool(settings.get("originAccessControlId")))
        if (url := run.hosts.get(domain_name)) is not None:
            if (access := find_access_control(run.graph, settings)) is not None:
                return FunctionUrlOrigin(run, settings, access, arn, url, session)
            return HttpOrigin(settings, url, session)
        return UnknownOrigin()


class _Behavior:
    """A cache behavior."""

    def __init__(self, run: LocalRun, settings: Mapping[str, Any], domain_name: str, distribution_id: str) -> None:
        self._pattern = _pattern(str(settings.get("pathPattern") or "*"))
        self.origin_id = str(settings["targetOriginId"])
        self.methods = frozenset(map(str, settings["allowedMethods"]))
        self._policy = _policy(settings)
        self.response_headers = find_policy(run.graph, str(settings.get("responseHeadersPolicyId")))
        self.cache = find_cache(run.graph, str(settings.get("cachePolicyId")))
        arns = [str(each["functionArn"]) for each in _viewer_requests(settings) if each]
        functions = [function for function in run.graph.of_type(FUNCTION) if function.state["arn"] in arns]
        self._function = EdgeFunction(functions[0], domain_name, distribution_id) if functions else None

    @property
    def sends_all(self) -> bool:
        """Whether the origin gets the viewer's headers, cookies and query."""
        return self._policy != ""

    def matches(self, path: str) -> bool:
        """Whether the behavior is for a path."""
        return self._pattern.fullmatch(path) is not None

    def sent_headers(self, headers: CIMultiDict[str]) -> CIMultiDict[str]:
        """Those of the viewer's headers that the origin gets."""
        if not self.sends_all:
            sent = CIMultiDict((name, value) for name, value in headers.items() if name.lower() in _ALWAYS_SENT)
            sent["user-agent"] = "Amazon CloudFront"
            return sent
        sent = headers.copy()
        if self._policy != _ALL_VIEWER:
            sent.popall("host", None)
        return sent

    def run_function(self, request: web.Request) -> web.Response | tuple[str, str, CIMultiDict[str]]:
        """Return what the viewer asks for after the function: path, query and headers; or the function's own response.

        Raises `EdgeFunctionError`.
        """
        if self._function is None:
            return request.rel_url.raw_path, request.rel_url.raw_query_string, CIMultiDict(request.headers)
        result = self._function.viewer_request(request)
        if "statusCode" in result:
            return response_of(result)
        headers = CIMultiDict(_pairs(result.get("headers")))
        if cookies := _pairs(result.get("cookies")):
            headers["cookie"] = "; ".join(f"{name}={value}" for name, value in cookies)
        query: Any = result.get("querystring") or ""
        return str(result["uri"]), query if isinstance(query, str) else urlencode(_pairs(query), quote_via=quote), headers


async def _send(request: web.Request, response: web.StreamResponse, body: Any) -> web.StreamResponse:
    """Send a response on as it comes. What breaks off at the origin breaks off at the viewer, too."""
    with contextlib.suppress(ConnectionError):
        await response.prepare(request)
        if isinstance(body, bytes):
            await response.write(body)
        else:
            try:
                async for chunk in body:
                    await response.write(chunk)
            except OriginError:
                if request.transport is not None:
                    request.transport.abort()
                return response
        await response.write_eof()
    return response


def _behaviors(state: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The behaviors in the order in which they are tried: the default one is the last."""
    ordered: list[dict[str, Any]] = state.get("orderedCacheBehaviors") or []
    return [*ordered, state["defaultCacheBehavior"]]


def _policy(behavior: Mapping[str, Any]) -> str:
    return str(behavior.get("originRequestPolicyId") or "")


def _headers_policy_missing(graph: Graph, behavior: Mapping[str, Any]) -> bool:
    identifier = behavior.get("responseHeadersPolicyId")
    return bool(identifier) and find_policy(graph, str(identifier)) is None


def _viewer_requests(behavior: Mapping[str, Any]) -> list[dict[str, Any] | None]:
    """The functions of viewer requests; None in the place of another event's."""
    associations: list[dict[str, Any]] = behavior.get("functionAssociations") or []
    return [each if each["eventType"] == "viewer-request" else None for each in associations]


def _pattern(pattern: str) -> re.Pattern[str]:
    """A path pattern: `*` is any number of characters, `?` is one. It is case sensitive, and a slash may stand before it.

    https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/DownloadDistValuesCacheBehavior.html
    """
    parts = {"*": ".*", "?": "."}
    text = pattern if pattern.startswith(("/", "*")) else f"/{pattern}"
    return re.compile("".join(parts.get(character, re.escape(character)) for character in text))


def _pairs(values: Any) -> list[tuple[str, str]]:
    """Names and values of the form that an edge function has."""
    pairs: list[tuple[str, str]] = []
    for name, entry in cast("dict[str, dict[str, Any]]", values or {}).items():
        several: list[dict[str, Any]] = entry.get("multiValue") or [entry]
        pairs += [(name, str(each["value"])) for each in several]
    return pairs
