"""Bedrock's exceptions: their names, statuses and messages.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html#API_runtime_Converse_Errors
"""

from pulumi_llm_local.upstreams.fault import FaultKind
from pulumi_llm_local.upstreams.model import UpstreamError


class BedrockError(Exception):
    """An error as Bedrock sends it: the HTTP status, the exception's name and its message."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


def validation_error(message: str) -> BedrockError:
    return BedrockError(400, "ValidationException", message)


def too_long() -> BedrockError:
    return validation_error("Input is too long for requested model.")


def internal_error() -> BedrockError:
    message = "The system encountered an unexpected error during processing. Try your request again."
    return BedrockError(500, "InternalServerException", message)


def of_fault(fault: FaultKind | None) -> BedrockError | None:
    """Return the error of a fault that refuses the request before the model is asked; None for any other fault."""
    if fault == "context":
        return too_long()
    if fault == "500":
        return internal_error()
    return BedrockError(*_FAULTS[fault]) if fault in _FAULTS else None


_FAULTS: dict[FaultKind | None, tuple[int, str, str]] = {
    "throttle": (429, "ThrottlingException", "Too many requests, please wait before trying again."),
    "not-ready": (429, "ModelNotReadyException", "Model is not ready for inference. Wait and try your request again."),
    "503": (503, "ServiceUnavailableException", "Bedrock is unable to process your request."),
    "bad-key": (403, "UnrecognizedClientException", "The security token included in the request is invalid."),
}


def of_model(error: UpstreamError) -> BedrockError:
    """Return the exception that reports a failure of the model."""
    code = _CODES.get(error.status)
    return internal_error() if code is None else BedrockError(error.status, code, error.message)


_CODES = {
    400: "ValidationException",
    403: "AccessDeniedException",
    424: "ModelErrorException",
    429: "ThrottlingException",
    503: "ServiceUnavailableException",
}
