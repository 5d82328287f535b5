"""The one error vocabulary: every failure that a caller can see is a `GatewayError`.

The shape on the wire is the OpenAI one, ``{"error": {"type", "code", "message", "request_id"}}``, with ``param`` where one
field is to blame. Each constructor below is one kind of failure; its HTTP status, type and code stand here and nowhere else.
"""

import math
from collections.abc import Sequence

import msgspec

INVALID_REQUEST = "invalid_request_error"
AUTHENTICATION = "authentication_error"
PERMISSION = "permission_error"
NOT_FOUND = "not_found_error"
RATE_LIMIT = "rate_limit_error"
UPSTREAM = "upstream_error"
SERVER = "server_error"


class GatewayError(Exception):
    """A failure as its caller sees it.

    `status` is the HTTP status. `retry_after` is in seconds. `detail` is the cause as the upstream or the code told it; it is
    shown only with ``DEBUG=true``.
    """

    def __init__(
        self,
        status: int,
        type: str,
        code: str,
        message: str,
        *,
        param: str | None = None,
        retry_after: float | None = None,
        detail: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.type = type
        self.code = code
        self.message = message
        self.param = param
        self.retry_after = retry_after
        self.detail = detail
        # Set by telemetry, so that a failure is recorded once.
        self.recorded = False

    def body(self, request_id: str, *, debug: bool = False) -> dict[str, dict[str, str]]:
        """What is sent: the one error shape."""
        error = {"type": self.type, "code": self.code, "message": self.message, "request_id": request_id}
        if self.param is not None:
            error["param"] = self.param
        if debug and self.detail is not None:
            error["detail"] = self.detail
        return {"error": error}

    def headers(self) -> list[tuple[str, str]]:
        """The headers that belong to this error: `Retry-After`, in whole seconds, none too few, at least 1."""
        if self.retry_after is None:
            return []
        return [("retry-after", str(max(1, math.ceil(self.retry_after))))]


class Problem(msgspec.Struct, frozen=True):
    """One mistake in a request: which field, what is wrong with it and what would be right."""

    field: str
    message: str


# The most mistakes that one answer tells; a body may hold any number of them.
_MOST_PROBLEMS = 20

# What the caller can mend.


def invalid_request(problems: Sequence[Problem], code: str = "invalid_value") -> GatewayError:
    """400 that tells every mistake at once; `param` is the first field."""
    shown = [f"{problem.field}: {problem.message}" for problem in problems[:_MOST_PROBLEMS]]
    if len(problems) > _MOST_PROBLEMS:
        shown.append(f"and {len(problems) - _MOST_PROBLEMS} more")
    message = "; ".join(shown)
    return GatewayError(400, INVALID_REQUEST, code, message, param=problems[0].field)


def invalid_json(message: str) -> GatewayError:
    return GatewayError(400, INVALID_REQUEST, "invalid_json", message)


def body_too_large(limit_bytes: int) -> GatewayError:
    return GatewayError(
        413,
        INVALID_REQUEST,
        "request_too_large",
        f"the body is larger than {limit_bytes:,} bytes; shorten the message or the history",
    )


def unknown_route(method: str, path: str) -> GatewayError:
    return GatewayError(
        404, NOT_FOUND, "unknown_route", f"there is no {method} {path} here; GET /openapi.json lists what there is"
    )


def unknown_model(name: str, known: Sequence[str]) -> GatewayError:
    return GatewayError(
        404,
        NOT_FOUND,
        "model_not_found",
        f"model: there is no model {name!r} here; choose one of {', '.join(known)}",
        param="model",
    )


def missing_credentials() -> GatewayError:
    return GatewayError(
        401,
        AUTHENTICATION,
        "missing_api_key",
        "this call needs a valid API key; send it as 'Authorization: Bearer KEY' or 'x-api-key: KEY'",
    )


def model_not_allowed(name: str, allowed: Sequence[str]) -> GatewayError:
    return GatewayError(
        403,
        PERMISSION,
        "model_not_allowed",
        f"model: this API key may not use {name!r}; it may use {', '.join(allowed)}",
        param="model",
    )


# What the upstream did.


def upstream_rejected(message: str, *, detail: str | None = None) -> GatewayError:
    """400: the model's provider refused the request as the caller wrote it."""
    return GatewayError(400, INVALID_REQUEST, "upstream_rejected", message, detail=detail)


def context_too_long(message: str, *, detail: str | None = None) -> GatewayError:
    return GatewayError(400, INVALID_REQUEST, "context_length_exceeded", message, detail=detail)


def content_refused(*, detail: str | None = None) -> GatewayError:
    """400: the provider's own filter refuses to answer this conversation, and has said nothing of an answer."""
    return GatewayError(
        400, INVALID_REQUEST, "content_filter", "the model's provider refuses to answer this conversation", detail=detail
    )


def upstream_throttled(*, retry_after: float | None = None, detail: str | None = None) -> GatewayError:
    """429: the model's provider throttles this account; not the caller's own quota."""
    return GatewayError(
        429,
        RATE_LIMIT,
        "upstream_throttled",
        "the model's provider is throttling this service; try again shortly",
        retry_after=1 if retry_after is None else retry_after,
        detail=detail,
    )


def model_not_ready(*, retry_after: float | None = None, detail: str | None = None) -> GatewayError:
    """503: an imported model that Bedrock has unloaded, or a pool without a running replica, is being loaded."""
    return GatewayError(
        503,
        UPSTREAM,
        "model_not_ready",
        "the model is being loaded; try again in a minute",
        retry_after=30 if retry_after is None else retry_after,
        detail=detail,
    )


def upstream_misconfigured(message: str, *, detail: str | None = None) -> GatewayError:
    """502: this service's own set-up is wrong (access, model id): the operator can mend it, the caller cannot."""
    return GatewayError(502, UPSTREAM, "upstream_misconfigured", message, detail=detail)


def upstream_failed(*, detail: str | None = None) -> GatewayError:
    """502: the provider answered with an error of its own, or with something that is no answer."""
    return GatewayError(502, UPSTREAM, "upstream_failed", "the model's provider failed; try again", detail=detail)


def upstream_unavailable(*, retry_after: float | None = None, detail: str | None = None) -> GatewayError:
    """503: the provider cannot be reached or says that it is unavailable."""
    return GatewayError(
        503,
        UPSTREAM,
        "upstream_unavailable",
        "the model's provider is unavailable; try again shortly",
        retry_after=1 if retry_after is None else retry_after,
        detail=detail,
    )


def upstream_timeout(message: str, *, detail: str | None = None) -> GatewayError:
    return GatewayError(504, UPSTREAM, "upstream_timeout", message, detail=detail)


def stream_interrupted(*, detail: str | None = None) -> GatewayError:
    """502: the provider's stream broke off before its end; what was sent is not the whole answer."""
    return GatewayError(
        502,
        UPSTREAM,
        "stream_interrupted",
        "the model's answer broke off before its end; what came so far is incomplete",
        detail=detail,
    )


def all_targets_failed(alias: str, reasons: Sequence[tuple[str, GatewayError]]) -> GatewayError:
    """The failure of several targets in one: each target with its code, under the status that they share, else 502.

    Where any of them may recover it is 503 with the shortest of their times; where all are throttled, 429.
    """
    errors = [error for _, error in reasons]
    statuses = {error.status for error in errors}
    times = [error.retry_after for error in errors if error.retry_after is not None]
    status = statuses.pop() if len(statuses) == 1 else 503 if times else 502
    return GatewayError(
        status,
        RATE_LIMIT if status == 429 else INVALID_REQUEST if status == 400 else UPSTREAM,
        "all_targets_failed",
        f"no target of {alias!r} could answer: {'; '.join(f'{name}: {error.code}' for name, error in reasons)}",
        retry_after=min(times) if times else None,
        detail="; ".join(f"{name}: {error.detail or error.message}" for name, error in reasons),
    )


def internal(*, detail: str | None = None) -> GatewayError:
    return GatewayError(
        500, SERVER, "internal_error", "the service failed; the request id helps to find out why", detail=detail
    )
