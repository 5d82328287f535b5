"""Errors in Anthropic's words: https://docs.anthropic.com/en/api/errors."""

from collections.abc import Mapping

from pulumi_llm_local.upstreams.fault import FaultKind
from pulumi_llm_local.upstreams.model import GenerationRequest, Json, UpstreamError
from pulumi_llm_local.upstreams.tokens import exceeded_context, exceeds_context


class MessagesError(Exception):
    """An answer that is an error."""

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = headers or {}

    def body(self, request_id: str) -> Json:
        """Return the body of the answer, which is also the event of an error within a stream."""
        return {"type": "error", "error": {"type": _TYPES[self.status], "message": self.message}, "request_id": request_id}


_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    529: "overloaded_error",
}


def invalid_request(message: str) -> MessagesError:
    return MessagesError(400, message)


def unauthorized(message: str = "invalid x-api-key") -> MessagesError:
    return MessagesError(401, message)


def throttled() -> MessagesError:
    message = "This request would exceed your organization's rate limit of 50 requests per minute. Please try again later."
    return MessagesError(429, message, {"retry-after": "1"})


def failed() -> MessagesError:
    return MessagesError(500, "Internal server error")


def overloaded() -> MessagesError:
    return MessagesError(529, "Overloaded")


def of_fault(fault: FaultKind | None, request: GenerationRequest) -> MessagesError | None:
    """Return the error before the model is asked, by the fault or because the request is too long; None: there is none.

    The fault refuse gives no error: it ends an answer, with the stop reason refusal.
    """
    match fault:
        case "throttle":
            return throttled()
        case "not-ready" | "503":
            return overloaded()
        case "500":
            return failed()
        case "bad-key":
            return unauthorized()
        case _ if fault == "context" or exceeds_context(request):
            limit, tokens = exceeded_context(request)
            return invalid_request(f"prompt is too long: {tokens} tokens > {limit} maximum")
        case _:
            return None


def of_model(error: UpstreamError) -> MessagesError:
    """Return Anthropic's error for a failure of the model."""
    match error.status:
        case 429:
            return throttled()
        case 424 | 503:
            return overloaded()
        case 400 | 403:
            return MessagesError(error.status, error.message)
        case _:
            return failed()
