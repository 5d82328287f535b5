"""Errors in the words of the servers that speak OpenAI's chat completions.

OpenAI: https://platform.openai.com/docs/guides/error-codes; DeepSeek: https://api-docs.deepseek.com/quick_start/error_codes;
vLLM: `ErrorResponse` of vllm/entrypoints/openai. If a provider documents only a status, the text is the local run's own.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pulumi_llm_local.upstreams.fault import FaultKind
from pulumi_llm_local.upstreams.model import GenerationRequest, Json, UpstreamError
from pulumi_llm_local.upstreams.openai.request import InvalidChat
from pulumi_llm_local.upstreams.openai.wire import Flavour
from pulumi_llm_local.upstreams.tokens import exceeded_context


@dataclass(frozen=True)
class ChatRefusal:
    """An answer that is an error. vLLM gives its status in the place of `code`."""

    status: int
    message: str
    type: str
    param: str | None = None
    code: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])

    def body(self, flavour: Flavour) -> Json:
        """Return the body of the answer, which is also the event of an error within a stream."""
        code = self.code if flavour in ("openai", "deepseek") else self.status
        error: Json = {"message": self.message, "type": self.type, "param": self.param, "code": code}
        return {"object": "error", **error} if flavour == "vllm-old" else {"error": error}


def _invalid(status: int, message: str, code: str | None = None, param: str | None = None) -> ChatRefusal:
    return ChatRefusal(status, message, "invalid_request_error", param, code)


class ChatRefused(Exception):
    def __init__(self, refusal: ChatRefusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


def of_fault(fault: FaultKind | None, flavour: Flavour, request: GenerationRequest) -> ChatRefusal | None:
    """Return the error of a fault that refuses the request before the model is asked; None for any other fault."""
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
            return too_long(flavour, request)
        case "refuse":
            return _FILTERED.get(flavour)
        case _:
            return None


def of_request(error: InvalidChat, flavour: Flavour) -> ChatRefusal:
    match flavour:
        case "openai":
            return _invalid(400, error.message, error.code, error.param)
        case "deepseek" if error.form:
            message = f"Failed to deserialize the JSON body into the target type: {error.message}"
            return _invalid(422, message, "invalid_request_error")
        case "deepseek":
            return _invalid(400, error.message, "invalid_request_error")
        case "vllm" | "vllm-old":
            return ChatRefusal(400, error.message, "BadRequestError", error.param if flavour == "vllm" else None)


def of_model(error: UpstreamError, flavour: Flavour) -> ChatRefusal:
    """Return the provider's error for a failure of the model."""
    match error.status:
        case 429:
            return _THROTTLED[flavour]
        case 503:
            return _UNAVAILABLE[flavour]
        case 400:
            return of_request(InvalidChat(error.message), flavour)
        case _:
            return failed(flavour)


def failed(flavour: Flavour) -> ChatRefusal:
    match flavour:
        case "openai":
            message = "The server had an error while processing your request. Sorry about that!"
            return ChatRefusal(500, message, "server_error")
        case "deepseek":
            return ChatRefusal(500, "Internal Server Error", "server_error", None, "internal_server_error")
        case "vllm" | "vllm-old":
            return ChatRefusal(
                500, "EngineCore encountered an issue. See stack trace for the root cause.", "InternalServerError"
            )


def unauthorized(flavour: Flavour, key: str) -> ChatRefusal:
    """`key` is the key of the request; empty: none."""
    shown = f"****{key[-4:]}"
    match flavour:
        case "openai" if not key:
            message = (
                "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth "
                "(i.e. Authorization: Bearer YOUR_KEY)."
            )
            return _invalid(401, message)
        case "openai":
            message = f"Incorrect API key provided: {shown}. You can find your API key at https://platform.openai.com/account/api-keys."
            return _invalid(401, message, "invalid_api_key")
        case "deepseek":
            message = f"Authentication Fails, Your api key: {shown} is invalid"
            return ChatRefusal(401, message, "authentication_error", None, "invalid_request_error")
        case "vllm" | "vllm-old":
            return ChatRefusal(401, "Unauthorized", "Unauthorized")


def unpaid() -> ChatRefusal:
    """Return the error of an account without money. Only DeepSeek has it."""
    return ChatRefusal(402, "Insufficient Balance", "unknown_error", None, "invalid_request_error")


def unknown_model(flavour: Flavour, model: str) -> ChatRefusal:
    match flavour:
        case "openai":
            message = f"The model `{model}` does not exist or you do not have access to it."
            return _invalid(404, message, "model_not_found")
        case "deepseek":
            return _invalid(400, "Model Not Exist", "invalid_request_error")
        case "vllm" | "vllm-old":
            return ChatRefusal(
                404, f"The model `{model}` does not exist.", "NotFoundError", "model" if flavour == "vllm" else None
            )


def too_long(flavour: Flavour, request: GenerationRequest) -> ChatRefusal:
    limit, messages = exceeded_context(request)
    if flavour == "openai":
        message = (
            f"This model's maximum context length is {limit} tokens. However, your messages resulted in {messages} tokens. "
            "Please reduce the length of the messages."
        )
        return _invalid(400, message, "context_length_exceeded", "messages")
    completion = request.max_tokens or 0
    message = (
        f"This model's maximum context length is {limit} tokens. However, you requested {messages + completion} tokens "
        f"({messages} in the messages, {completion} in the completion). Please reduce the length of the messages or completion."
    )
    return of_request(InvalidChat(message), flavour)


_RETRY = {"retry-after": "1", "retry-after-ms": "1000"}
_SLOW_DOWN = "Requests rate limit exceeded. Please slow down your requests."
_THROTTLED: dict[Flavour, ChatRefusal] = {
    "openai": ChatRefusal(
        429,
        "Rate limit reached for this model in organization org-local on requests per min (RPM): Limit 500, Used 500, "
        "Requested 1. Please try again in 1s.",
        "requests",
        None,
        "rate_limit_exceeded",
        _RETRY,
    ),
    "deepseek": ChatRefusal(429, "Rate limit reached", "rate_limit_error", None, "rate_limit_reached"),
    # vLLM has no rate limit; a proxy before it may have one.
    "vllm": ChatRefusal(429, _SLOW_DOWN, "TooManyRequestsError", headers={"retry-after": "1"}),
    "vllm-old": ChatRefusal(429, _SLOW_DOWN, "TooManyRequestsError", headers={"retry-after": "1"}),
}
_TOO_BUSY = "Service is too busy. We advise users to temporarily switch to alternative LLM API service providers."
_UNAVAILABLE: dict[Flavour, ChatRefusal] = {
    "openai": ChatRefusal(
        503,
        "Our servers are currently overloaded. Please try again later.",
        "service_unavailable_error",
        None,
        "server_is_overloaded",
    ),
    "deepseek": ChatRefusal(503, _TOO_BUSY, "service_unavailable_error", None, "invalid_request_error"),
    "vllm": ChatRefusal(503, "The engine is not available.", "ServiceUnavailableError"),
    "vllm-old": ChatRefusal(503, "The engine is not available.", "ServiceUnavailableError"),
}
_NOT_READY: dict[Flavour, ChatRefusal] = {
    "openai": ChatRefusal(503, "The server is overloaded or not ready yet.", "server_error", headers=_RETRY),
}
# vLLM has no filter: under the fault refuse its answer ends with content_filter (`fault.generate`).
_FILTERED: dict[Flavour, ChatRefusal] = {
    "openai": ChatRefusal(
        400,
        "Your request was rejected as a result of our safety system. Your prompt may contain text that is not allowed by our "
        "safety system.",
        "invalid_request_error",
        None,
        "content_policy_violation",
    ),
    "deepseek": _invalid(400, "Content Exists Risk", "invalid_request_error"),
}
