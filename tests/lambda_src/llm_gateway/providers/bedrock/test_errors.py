"""What each exception of Bedrock becomes, by HTTP and in a stream."""

from typing import Any

import pytest

from wire.bedrock import Wire
from wire.callers import CHAT, CHAT_STREAM

INVALID, LIMIT, UPSTREAM = "invalid_request_error", "rate_limit_error", "upstream_error"
# name -> HTTP status of Bedrock's; our status, type, code, Retry-After
EXCEPTIONS: dict[str, tuple[int, int, str, str, str | None]] = {
    "ThrottlingException": (429, 429, LIMIT, "upstream_throttled", "1"),
    "ServiceQuotaExceededException": (400, 429, LIMIT, "upstream_throttled", "1"),
    "TooManyRequestsException": (429, 429, LIMIT, "upstream_throttled", "1"),
    "ModelNotReadyException": (429, 503, UPSTREAM, "model_not_ready", "30"),
    "ServiceUnavailableException": (503, 503, UPSTREAM, "upstream_unavailable", "1"),
    "ModelTimeoutException": (408, 504, UPSTREAM, "upstream_timeout", None),
    "ModelErrorException": (424, 502, UPSTREAM, "upstream_failed", None),
    "ModelStreamErrorException": (424, 502, UPSTREAM, "stream_interrupted", None),
    "InternalServerException": (500, 502, UPSTREAM, "upstream_failed", None),
    "ValidationException": (400, 400, INVALID, "upstream_rejected", None),
    "AccessDeniedException": (403, 502, UPSTREAM, "upstream_misconfigured", None),
    "ResourceNotFoundException": (404, 502, UPSTREAM, "upstream_misconfigured", None),
    "ConflictException": (400, 502, UPSTREAM, "upstream_misconfigured", None),
    "UnrecognizedClientException": (403, 502, UPSTREAM, "upstream_misconfigured", None),
    "InvalidSignatureException": (403, 502, UPSTREAM, "upstream_misconfigured", None),
    "MissingAuthenticationTokenException": (403, 502, UPSTREAM, "upstream_misconfigured", None),
    "IncompleteSignatureException": (403, 502, UPSTREAM, "upstream_misconfigured", None),
    "ExpiredTokenException": (403, 502, UPSTREAM, "upstream_misconfigured", None),
    "ExceptionOfTomorrow": (500, 502, UPSTREAM, "upstream_failed", None),
    "ThrottlingOfTomorrow": (429, 429, LIMIT, "upstream_throttled", "1"),
    "OutageOfTomorrow": (503, 503, UPSTREAM, "upstream_unavailable", "1"),
}


async def refused(gateway: Any, fake: Any, status: int, body: dict[str, Any], **headers: str) -> tuple[Any, ...]:
    """Our status, type, code and Retry-After for Bedrock's refusal."""
    service = await gateway((await fake(Wire.plays(Wire.response(status, body, **headers)))).url, debug=True)
    outcome = await CHAT.call(service)
    assert outcome.error is not None and outcome.error["detail"].endswith(": The cause")
    return outcome.status, outcome.error["type"], outcome.code, outcome.headers.get("retry-after")


@pytest.mark.parametrize(("name", "expected"), EXCEPTIONS.items(), ids=EXCEPTIONS)
async def test_an_exception_by_http(gateway, fake, name: str, expected: Any) -> None:
    status, *ours = expected
    assert await refused(gateway, fake, status, {"message": "The cause"}, x_amzn_errortype=name) == tuple(ours)


NAME = "ModelNotReadyException"
# where the exception's name may stand: the members of the body, the header
FORMS: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "header with a URL": (
        {"message": "The cause"},
        {"x_amzn_errortype": f"{NAME}:http://internal.amazon.com/coral/com.amazon.bedrock/"},
    ),
    "__type": ({"__type": NAME, "message": "The cause"}, {}),
    "__type with a namespace": ({"__type": f"com.amazon.bedrock#{NAME}", "Message": "The cause"}, {}),
}


@pytest.mark.parametrize(("body", "headers"), FORMS.values(), ids=FORMS)
async def test_where_the_exception_is_named(gateway, fake, body: Any, headers: Any) -> None:
    status, *ours = EXCEPTIONS[NAME]
    assert await refused(gateway, fake, status, body, **headers) == tuple(ours)


# In a stream Bedrock names these, beginning small; there an InternalServerException breaks off what had begun
IN_STREAM = {
    "throttlingException": EXCEPTIONS["ThrottlingException"],
    "serviceUnavailableException": EXCEPTIONS["ServiceUnavailableException"],
    "modelStreamErrorException": EXCEPTIONS["ModelStreamErrorException"],
    "internalServerException": (500, 502, UPSTREAM, "stream_interrupted", None),
    "validationException": EXCEPTIONS["ValidationException"],
    "exceptionOfTomorrow": EXCEPTIONS["ExceptionOfTomorrow"],
}


@pytest.mark.parametrize(("name", "expected"), IN_STREAM.items(), ids=IN_STREAM)
async def test_an_exception_in_the_stream(gateway, fake, name: str, expected: Any) -> None:
    _, _, kind, code, _ = expected
    stream = Wire.stream(
        Wire.event("messageStart", {"role": "assistant"}), Wire.text("Hel"), Wire.text("lo"), Wire.exception(name, "The cause")
    )
    service = await gateway((await fake(Wire.plays(stream, wait=True))).url, debug=True)
    outcome = await CHAT_STREAM.call(service)
    assert (outcome.status, outcome.text) == (200, "Hello") and outcome.error is not None
    assert (outcome.error["type"], outcome.code, outcome.error["detail"]) == (kind, code, f"{name}: The cause")


# what Bedrock's ValidationException says -> our status and code
VALIDATION = {
    "The provided model identifier is invalid.": (502, "upstream_misconfigured"),
    "Invocation of model ID x with on-demand throughput isn’t supported. Retry with an inference profile.": (
        502,
        "upstream_misconfigured",
    ),
    "This model version has reached the end of its life. Please refer to the AWS documentation.": (
        502,
        "upstream_misconfigured",
    ),
    "Input is too long for requested model.": (400, "context_length_exceeded"),
    "The model returned the following errors: prompt is too long: 208310 tokens > 200000 maximum": (
        400,
        "context_length_exceeded",
    ),
    "input length and `max_tokens` exceed context limit: 198000 + 4096 > 200000": (400, "context_length_exceeded"),
    "This model's maximum context length is 131072 tokens.": (400, "context_length_exceeded"),
    "Too many input tokens. Max input tokens: 8192": (400, "context_length_exceeded"),
    "This model doesn't support tool use.": (400, "upstream_rejected"),
    "": (400, "upstream_rejected"),
}


@pytest.mark.parametrize(("message", "expected"), VALIDATION.items())
@pytest.mark.assumes("validation-text")
async def test_a_validation_exception_by_what_it_says(gateway, fake, message: str, expected: Any) -> None:
    refusal = Wire.response(400, {"message": message}, x_amzn_errortype="ValidationException")
    outcome = await CHAT.call(await gateway((await fake(Wire.plays(refusal))).url))
    assert (outcome.status, outcome.code) == expected
    assert (message in outcome.error["message"]) == (outcome.code == "upstream_rejected")
