"""The errors for Bedrock's exceptions, in HTTP responses and in streams.

https://docs.aws.amazon.com/bedrock/latest/APIReference/CommonErrors.html, and the operations' own pages
"""

from collections.abc import Mapping

import msgspec

from llm_gateway import errors
from llm_gateway.errors import GatewayError
from llm_gateway.providers import exchange


class _Exception(msgspec.Struct):
    message: str | None = None
    Message: str | None = None
    type: str = msgspec.field(default="", name="__type")


_decode_exception = msgspec.json.Decoder(_Exception).decode


def refusal(status: int, headers: Mapping[str, str], body: bytes) -> GatewayError:
    """Return the error for an answer with another status than 200."""
    name = headers.get("x-amzn-errortype", "").split(":")[0]
    try:
        answer = _decode_exception(body)
        message = answer.message or answer.Message or ""
        name = name or answer.type.split("#")[-1]
    except exchange.UNREADABLE:
        message = body[:200].decode(errors="replace")
    return _exception(name, message, status=status, retry_after=exchange.retry_after(headers))


def stream_exception(headers: Mapping[str, str], payload: bytes) -> GatewayError:
    """Return the error for an event that is not part of an answer."""
    if headers.get(":message-type") == "exception":
        message = _decode_exception(payload).message if payload else None
        return _exception(headers[":exception-type"], message or "", in_stream=True)
    return errors.stream_interrupted(detail=f"{headers.get(':error-code')}: {headers.get(':error-message')}")


def _exception(
    name: str, message: str, *, status: int = 0, in_stream: bool = False, retry_after: float | None = None
) -> GatewayError:
    """Return the error for an exception, by its name. In a stream the names begin with a small letter.

    ModelNotReadyException has the status 429 like ThrottlingException, but it means that an imported model is being loaded.
    """
    detail = f"{name or status}: {message}"
    match name[:1].upper() + name[1:]:
        case "ThrottlingException" | "ServiceQuotaExceededException" | "TooManyRequestsException":
            return errors.upstream_throttled(retry_after=retry_after, detail=detail)
        case "ModelNotReadyException":
            return errors.model_not_ready(retry_after=retry_after, detail=detail)
        case "ServiceUnavailableException":
            return errors.upstream_unavailable(retry_after=retry_after, detail=detail)
        case "ModelTimeoutException":
            return errors.upstream_timeout(detail=detail)
        case "ModelStreamErrorException":
            return errors.stream_interrupted(detail=detail)
        case "InternalServerException":
            return errors.stream_interrupted(detail=detail) if in_stream else errors.upstream_failed(detail=detail)
        case "ModelErrorException":
            return errors.upstream_failed(detail=detail)
        case "ValidationException":
            return _validation_error(message, detail)
        case (
            "AccessDeniedException"
            | "ResourceNotFoundException"
            | "UnrecognizedClientException"
            | "InvalidSignatureException"
            | "MissingAuthenticationTokenException"
            | "IncompleteSignatureException"
            | "ExpiredTokenException"
            | "ConflictException"
        ):
            return errors.upstream_misconfigured(detail=detail)
        case _ if status in (401, 403, 404):
            return errors.upstream_misconfigured(detail=detail)
        case _ if status == 429:
            return errors.upstream_throttled(retry_after=retry_after, detail=detail)
        case _ if status == 503:
            return errors.upstream_unavailable(retry_after=retry_after, detail=detail)
        case _:
            return errors.upstream_failed(detail=detail)


# Only the text of a ValidationException tells these from a caller's mistake.
_MISCONFIGURED = (
    "model identifier is invalid",
    "on-demand throughput isn",
    "end of its life",
    "end of life",
    "access to this model is not available",
)


def _validation_error(message: str, detail: str) -> GatewayError:
    lower = message.lower()
    if any(part in lower for part in _MISCONFIGURED):
        return errors.upstream_misconfigured(detail=detail)
    if exchange.says_too_long(message):
        return errors.context_length_exceeded(detail=detail)
    return errors.upstream_rejected(reason=message, detail=detail)
