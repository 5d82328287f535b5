"""CloudFront Functions: the program's own source, run by a JavaScript engine.

Of CloudFront's limits, the code's 10 KB and the memory's 2 MB hold here. Its bound of CPU time is below a millisecond, and not
played; only a function that does not end is stopped. Key-value stores and `import` are not played either.
https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/cloudfront-limits.html#limits-functions
"""

import json
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, cast

import quickjs  # pyright: ignore[reportMissingTypeStubs]
from aiohttp import web

from pulumi_llm_local.program.graph import Resource
from pulumi_llm_local.services.local_run import LocalError

# The engine's package has no types.
_ENGINE: Any = quickjs
_JsError: type[Exception] = _ENGINE.JSException
_MAX_BYTES = 10 * 1024
_MEMORY_BYTES = 2 * 1024 * 1024
_SECONDS = 0.2
# Of a function's result, `undefined` and what else JSON has no words for become null.
_CALL = """
var result = null, failure = null;
Promise.resolve().then(() => handler(JSON.parse(event))).then(
  (value) => { result = JSON.stringify(value === undefined ? null : value); },
  (error) => { failure = String(error); },
);
"""


class EdgeFunctionError(Exception):
    """A function failed, or returned what CloudFront takes for no request and no response."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class EdgeFunction:
    """A CloudFront Function for viewer requests."""

    def __init__(self, resource: Resource, domain_name: str, distribution_id: str) -> None:
        """Raises `LocalError` for what CloudFront refuses, or what cannot be run here."""
        self._code = str(resource.state["code"])
        self._context = {"distributionDomainName": domain_name, "distributionId": distribution_id}
        if len(self._code.encode()) > _MAX_BYTES:
            raise LocalError(f"the CloudFront Function {resource.name} has more than 10 KB, and CloudFront refuses it")
        if not resource.state.get("publish", True):
            raise LocalError(f"the CloudFront Function {resource.name} is not published, and CloudFront associates none such")
        try:
            self._environment()
        except _JsError as error:
            raise LocalError(f"the CloudFront Function {resource.name} cannot be run here: {error}") from error

    def viewer_request(self, request: web.Request) -> Mapping[str, Any]:
        """Run the function, and return the request or the response that it returns. Raises `EdgeFunctionError`.

        https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/functions-event-structure.html
        """
        context = {**self._context, "eventType": "viewer-request", "requestId": uuid.uuid4().hex}
        headers = [(name.lower(), value) for name, value in request.headers.items() if name.lower() != "cookie"]
        viewer = {
            "method": request.method,
            "uri": request.rel_url.raw_path,
            "querystring": _values(list(request.query.items())),
            "headers": _values(headers),
            "cookies": _values(list(request.cookies.items())),
        }
        event = {"version": "1.0", "context": context, "viewer": {"ip": request.remote}, "request": viewer}
        result = self._run(event)
        status = result.get("statusCode")
        uri = result.get("uri")
        if (isinstance(status, int) and 200 <= status < 600) or (isinstance(uri, str) and uri.startswith("/")):
            return result
        raise EdgeFunctionError(502, "FunctionValidationError", "it returned no request and no response")

    def _environment(self) -> Any:
        """An engine with the function. Each request has a new one, for a function keeps nothing between requests."""
        context = _ENGINE.Context()
        context.set_memory_limit(_MEMORY_BYTES)
        context.set_time_limit(_SECONDS)
        context.eval("var console = { log() {}, error() {} };")
        context.eval(self._code)
        return context

    def _run(self, event: Mapping[str, Any]) -> Mapping[str, Any]:
        result: Any = None
        failure: Any = None
        try:
            context = self._environment()
            context.set("event", json.dumps(event))
            context.eval(_CALL)
            while context.execute_pending_job():
                pass
            result, failure = context.get("result"), context.get("failure")
        except _JsError as error:
            failure = error
        if failure is not None:
            # https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/http-503-service-unavailable.html
            raise EdgeFunctionError(503, "FunctionExecutionError", str(failure))
        value: Any = json.loads(result) if isinstance(result, str) else None
        return cast("Mapping[str, Any]", value) if isinstance(value, dict) else {}


def response_of(result: Mapping[str, Any]) -> web.Response:
    """The response that a function has made."""
    body: Any = result.get("body") or ""
    text = str(cast("Mapping[str, Any]", body).get("data") or "") if isinstance(body, dict) else str(body)
    headers = cast("Mapping[str, Mapping[str, str]]", result.get("headers") or {})
    pairs = [(name, str(value["value"])) for name, value in headers.items()]
    return web.Response(status=int(result["statusCode"]), body=text.encode(), headers=pairs)


def _values(items: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """The form of headers, cookies and query strings in an event: what occurs several times has `multiValue`."""
    found: dict[str, Any] = {}
    for name, value in items:
        if name in found:
            found[name].setdefault("multiValue", [{"value": found[name]["value"]}]).append({"value": value})
        else:
            found[name] = {"value": value}
    return found
