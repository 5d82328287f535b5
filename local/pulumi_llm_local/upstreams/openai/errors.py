"""Errors in the words of the servers that speak OpenAI's chat completions.

OpenAI: https://platform.openai.com/docs/guides/error-codes; DeepSeek: https://api-docs.deepseek.com/quick_start/error_codes;
vLLM: `ErrorResponse` of vllm/entrypoints/openai. Where a provider documents only a status, the text is the local run's own.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from pulumi_llm_local.upstreams.fault import FaultKind
from pulumi_llm_local.upstreams.model import BedrockError, ConverseCall, Json
from pulumi_llm_local.upstreams.openai.request import ChatError
from pulumi_llm_local.upstreams.server import exceeded_context

# vllm-old is vLLM up to 0.9: its errors are flat, and only reasoning_content holds the reasoning.
Flavour = Literal["openai", "deepseek", "vllm", "vllm-old"]


@dataclass(frozen=True)
class Refusal:
    """An answer that is an error. vLLM tells its status in the place of `code`."""

    status: int
    message: str
    type: str
    param: str | None = None
    code: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])

    def body(self, flavour: Flavour) -> Json:
        described: Json = {"message": self.message, "type": self.type, "param": self.param, "code": self.code}
        match flavour:
            case "openai" | "deepseek":
                return {"error": described}
            case "vllm":
                return {"error": {**described, "code": self.status}}
            case "vllm-old":
                return {"object": "error", **described, "code": self.status}

    def event(self, flavour: Flavour) -> bytes:
        """The error within a stream."""
        return f"data: {json.dumps(self.body(flavour))}\n\n".encode()


class Refused(Exception):
    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


def of_fault(fault: FaultKind | None, flavour: Flavour, call: ConverseCall) -> Refusal | None:
    """The error of a fault that refuses the request before the model is asked; None for any other."""
    match fault:
        case "throttle":
            return _THROTTLED[flavour]
        case "not-ready":
            return _NOT_READY.get(flavour, _UNAVAILABLE[flavour])
        case "503":
            return _UNAVAILABLE[flavour]
        case "500":
            return failed(flavour)
        case "bad-key":
            return unauthorized(flavour, "sk-wrong")
        case "context":
            return too_long(flavour, call)
        case "refuse":
            return _FILTERED.get(flavour)
        case _:
            return None


def of_request(error: ChatError, flavour: Flavour) -> Refusal:
    match flavour:
        case "openai":
            return Refusal(400, error.message, "invalid_request_error", error.param, error.code)
        case "deepseek" if error.form:
            message = f"Failed to deserialize the JSON body into the target type: {error.message}"
            return Refusal(422, message, "invalid_request_error", None, "invalid_request_error")
        case "deepseek":
            return Refusal(400, error.message, "invalid_request_error", None, "invalid_request_error")
        case "vllm" | "vllm-old":
            return Refusal(400, error.message, "BadRequestError", error.param if flavour == "vllm" else None)


def of_model(error: BedrockError, flavour: Flavour) -> Refusal:
    """What the model behind the upstream raised, told as the provider tells the like."""
    match error.status:
        case 429:
            return _THROTTLED[flavour]
        case 503:
            return _UNAVAILABLE[flavour]
        case 400:
            return of_request(ChatError(error.message), flavour)
        case _:
            return failed(flavour)


def failed(flavour: Flavour) -> Refusal:
    match flavour:
        case "openai":
            message = "The server had an error while processing your request. Sorry about that!"
            return Refusal(500, message, "server_error")
        case "deepseek":
            return Refusal(500, "Internal Server Error", "server_error", None, "internal_server_error")
        case "vllm" | "vllm-old":
            return Refusal(500, "EngineCore encountered an issue. See stack trace for the root cause.", "InternalServerError")


def unauthorized(flavour: Flavour, key: str) -> Refusal:
    """`key` is the one that came, empty for none."""
    shown = f"****{key[-4:]}"
    match flavour:
        case "openai" if not key:
            message = (
                "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth "
                "(i.e. Authorization: Bearer YOUR_KEY)."
            )
            return Refusal(401, message, "invalid_request_error")
        case "openai":
            message = f"Incorrect API key provided: {shown}. You can find your API key at https://platform.openai.com/account/api-keys."
            return Refusal(401, message, "invalid_request_error", None, "invalid_api_key")
        case "deepseek":
            message = f"Authentication Fails, Your api key: {shown} is invalid"
            return Refusal(401, message, "authentication_error", None, "invalid_request_error")
        case "vllm" | "vllm-old":
            return Refusal(401, "Unauthorized", "Unauthorized")


def unpaid() -> Refusal:
    """DeepSeek's alone."""
    return Refusal(402, "Insufficient Balance", "unknown_error", None, "invalid_request_error")


def unknown_model(flavour: Flavour, model: str) -> Refusal:
    match flavour:
        case "openai":
            message = f"The model `{model}` does not exist or you do not have access to it."
            return Refusal(404, message, "invalid_request_error", None, "model_not_found")
        case "deepseek":
            return Refusal(400, "Model Not Exist", "invalid_request_error", None, "invalid_request_error")
        case "vllm" | "vllm-old":
            return Refusal(404, f"The model `{model}` does not exist.", "NotFoundError", "model" if flavour == "vllm" else None)


def too_long(flavour: Flavour, call: ConverseCall) -> Refusal:
    limit, messages = exceeded_context(call)
    if flavour == "openai":
        message = (
            f"This model's maximum context length is {limit} tokens. However, your messages resulted in {messages} tokens. "
            "Please reduce the length of the messages."
        )
        return Refusal(400, message, "invalid_request_error", "messages", "context_length_exceeded")
    completion = call.max_tokens or 0
    message = (
        f"This model's maximum context length is {limit} tokens. However, you requested {messages + completion} tokens "
        f"({messages} in the messages, {completion} in the completion). Please reduce the length of the messages or completion."
    )
    return of_request(ChatError(message), flavour)


_RETRY = {"retry-after": "1", "retry-after-ms": "1000"}
_NO_RETRY_TOLD = "Requests rate limit exceeded. Please slow down your requests."
_THROTTLED: dict[Flavour, Refusal] = {
    "openai": Refusal(
        429,
        "Rate limit reached for this model in organization org-local on requests per min (RPM): Limit 500, Used 500, "
        "Requested 1. Please try again in 1s.",
        "requests",
        None,
        "rate_limit_exceeded",
        _RETRY,
    ),
    "deepseek": Refusal(429, "Rate limit reached", "rate_limit_error", None, "rate_limit_reached"),
    # vLLM has no rate limit; what stands before it may have one.
    "vllm": Refusal(429, _NO_RETRY_TOLD, "TooManyRequestsError", headers={"retry-after": "1"}),
    "vllm-old": Refusal(429, _NO_RETRY_TOLD, "TooManyRequestsError", headers={"retry-after": "1"}),
}
_TOO_BUSY = "Service is too busy. We advise users to temporarily switch to alternative LLM API service providers."
_UNAVAILABLE: dict[Flavour, Refusal] = {
    "openai": Refusal(
        503,
        "Our servers are currently overloaded. Please try again later.",
        "service_unavailable_error",
        None,
        "server_is_overloaded",
    ),
    "deepseek": Refusal(503, _TOO_BUSY, "service_unavailable_error", None, "invalid_request_error"),
    "vllm": Refusal(503, "The engine is not available.", "ServiceUnavailableError"),
    "vllm-old": Refusal(503, "The engine is not available.", "ServiceUnavailableError"),
}
_NOT_READY: dict[Flavour, Refusal] = {
    "openai": Refusal(503, "The server is overloaded or not ready yet.", "server_error", headers=_RETRY),
}
# vLLM has no filter; under the fault it is its answer that ends so (`bedrock_fault.generate`).
_FILTERED: dict[Flavour, Refusal] = {
    "openai": Refusal(
        400,
        "Your request was rejected as a result of our safety system. Your prompt may contain text that is not allowed by our "
        "safety system.",
        "invalid_request_error",
        None,
        "content_policy_violation",
    ),
    "deepseek": Refusal(400, "Content Exists Risk", "invalid_request_error", None, "invalid_request_error"),
}
