"""The one error vocabulary: every failure that a caller can see is a `GatewayError`.

Its shape is OpenAI's, ``{"error": {"type", "code", "message", "request_id"}}``, with ``param`` where one field is to blame.
`ERROR_KINDS` describes each kind once, `GATEWAY_RESPONSES` which of them API Gateway answers by itself. The router's policy,
API Gateway's responses, the OpenAPI document and the tables in docs/ are made from them. A kind is called to make an error:
``raise errors.upstream_failed(detail="…")``.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from llm_gateway.events import Usage

INVALID_REQUEST = "invalid_request_error"
AUTHENTICATION = "authentication_error"
PERMISSION = "permission_error"
NOT_FOUND = "not_found_error"
RATE_LIMIT = "rate_limit_error"
UPSTREAM = "upstream_error"
SERVER = "server_error"


# The most characters of a caller's value that an error repeats: a body may hold 128 KB of it, or more.
MOST_SHOWN = 64
# By this header the SDKs of OpenAI and of Anthropic do not try a request again, as they do by themselves after 408, 409, 429
# and 500 or more (_base_client.py of both). It is sent where the failure lasts, and where the wait has more seconds than this:
# of a long Retry-After, OpenAI's do not wait for the end, or give up, and Anthropic's sleep until then, for hours.
DO_NOT_RETRY = ("x-should-retry", "false")
LONGEST_WAIT = 60
# The most characters of an error's text and of its detail. A character has 6 bytes at most in JSON, and both have to fit into
# one message of a WebSocket, 32 KB.
_MOST_MESSAGE, _MOST_DETAIL = 4_000, 1_000


def clipped(text: str, most: int = MOST_SHOWN) -> str:
    """Return the beginning of a text that may be long."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


class FailurePolicy(msgspec.Struct, frozen=True):
    """What the router does when a target fails.

    `next_target`: another target may answer, with `larger_context` only one whose context is larger. `retry`: this target may
    recover and is asked again. `cooldown`: for some time it is asked after all others. `wake`: it may answer once its servers
    are there, so they are started where they sleep. `paid`: there was an answer, which costs as much as any, so one more is
    asked for in all, by whichever target.
    """

    next_target: bool = False
    larger_context: bool = False
    retry: bool = False
    cooldown: bool = False
    wake: bool = False
    paid: bool = False

    @property
    def lasts(self) -> bool:
        """Whether the same request fails again shortly, or was answered as often as it may be."""
        return self.paid or (self.cooldown and not (self.retry or self.wake))


# Every target would refuse the request: the caller has to change it.
_FINAL = FailurePolicy()
_TEMPORARY = FailurePolicy(next_target=True, retry=True, cooldown=True, wake=True)
_LASTING = FailurePolicy(next_target=True, cooldown=True)
_SILENT = FailurePolicy(next_target=True, cooldown=True, wake=True)


class ErrorKind(msgspec.Struct, frozen=True):
    """One kind of failure.

    `status` is the HTTP status. `message` is the text, with places in braces. `retry_after` is in seconds. `policy` is what the
    router does after it. `final`: the same request fails so again, though SDKs try again after its status.
    """

    code: str
    status: int
    type: str
    message: str
    retry_after: float | None = None
    policy: FailurePolicy = _FINAL
    final: bool = False

    @property
    def lasts(self) -> bool:
        """Whether the same request fails so again."""
        return self.final or self.policy.lasts

    @property
    def passes(self) -> bool:
        """Whether a request that fails so may succeed shortly."""
        return _passes(self.status, self.lasts, self.retry_after)

    def __call__(
        self, *, param: str | None = None, retry_after: float | None = None, detail: str | None = None, **values: object
    ) -> "GatewayError":
        """An error of this kind. `retry_after` replaces the kind's own; `values` fill the places of its text."""
        error = GatewayError(self, clipped(self.message.format(**values), _MOST_MESSAGE))
        error.param = param
        error.retry_after = self.retry_after if retry_after is None else retry_after
        error.detail = None if detail is None else clipped(detail, _MOST_DETAIL)
        return error


class GatewayError(Exception):
    """A failure as its caller sees it.

    `status` is the HTTP status, `param` the field that is to blame. `retry_after` is in seconds. `lasts`: the same request
    fails again. `detail` is the cause as the provider or the code gave it; it is shown only with ``DEBUG=true``.
    """

    def __init__(self, kind: ErrorKind, message: str) -> None:
        super().__init__(message)
        self.status = kind.status
        self.type = kind.type
        self.code = kind.code
        self.policy = kind.policy
        self.lasts = kind.lasts
        self.message = message
        self.param: str | None = None
        self.retry_after: float | None = None
        self.detail: str | None = None
        # Of an answer that was refused when it was there.
        self.usage: Usage | None = None
        # Whether the provider had begun to answer, or may have: it may charge for what was lost.
        self.may_be_billed = False
        # Whether the request that ended so has cost something, or may have, by this failure or before it. Set by the pipeline.
        self.spent = False
        # The headers that say what is left of the caller's limits.
        self.rate_limits: Mapping[str, str] = {}
        # The methods that the path has, where the request's is none of them.
        self.allow = ""
        # Set by telemetry, so that a failure is recorded once.
        self.recorded = False

    @property
    def is_billed(self) -> bool:
        """Whether the provider charges for the call that failed so, or may."""
        return self.usage is not None or self.may_be_billed or self.policy.paid or self.code in _MAY_BE_BILLED

    @property
    def cause(self) -> str:
        """What is logged of it as the failure of an attempt. The text of a paid one repeats the schema and the answer."""
        return self.detail or (self.code if self.policy.paid else self.message)

    def body(self, request_id: str, *, debug: bool = False) -> dict[str, dict[str, str]]:
        """The JSON body of the answer."""
        error = {"type": self.type, "code": self.code, "message": self.message, "request_id": request_id}
        if self.param is not None:
            error["param"] = self.param
        if debug and self.detail is not None:
            error["detail"] = self.detail
        return {"error": error}

    def redact(self, redact: Callable[[str], str]) -> None:
        """Take secrets out of its texts."""
        self.message = redact(self.message)
        self.args = (self.message,)
        if self.detail is not None:
            self.detail = redact(self.detail)

    def headers(self) -> list[tuple[str, str]]:
        """The headers of the answer: `Retry-After` in whole seconds, rounded up, at least 1, `DO_NOT_RETRY`, `Allow`, and what
        limits leave."""
        found = list(self.rate_limits.items())
        if self.allow:
            found.append(("allow", self.allow))
        if self.retry_after is not None:
            found.append(("retry-after", str(max(1, math.ceil(self.retry_after)))))
        if _is_retried(self.status) and not self.passes:
            found.append(DO_NOT_RETRY)
        return found

    @property
    def passes(self) -> bool:
        """Whether the same request may succeed shortly."""
        return _passes(self.status, self.lasts, self.retry_after)


class AnsweredBefore(Exception):
    """The request is a repetition, so nothing is called. `answer` is where its answer is, for the transport."""

    def __init__(self, answer: Any) -> None:
        super().__init__("the request has been sent before")
        self.answer = answer


def _passes(status: int, lasts: bool, retry_after: float | None) -> bool:
    return _is_retried(status) and not lasts and (retry_after or 0) <= LONGEST_WAIT


def _is_retried(status: int) -> bool:
    """Whether SDKs try a request again that is answered with this status."""
    return status in (408, 409, 429) or status >= 500


# The kinds, by status: what this service answers, and what API Gateway answers in front of it.

invalid_value = ErrorKind("invalid_value", 400, INVALID_REQUEST, "{problems}")
invalid_json = ErrorKind("invalid_json", 400, INVALID_REQUEST, "the body must be a JSON object; {reason}")
invalid_form = ErrorKind(
    "invalid_form", 400, INVALID_REQUEST, "the body must be multipart/form-data, as OpenAI's clients send it; {reason}"
)
# The model's provider refused the request as the caller wrote it.
upstream_rejected = ErrorKind("upstream_rejected", 400, INVALID_REQUEST, "the model's provider refused the request: {reason}")
context_length_exceeded = ErrorKind(
    "context_length_exceeded",
    400,
    INVALID_REQUEST,
    "the conversation is longer than the model's context; shorten it, or ask for a shorter answer",
    policy=FailurePolicy(next_target=True, larger_context=True),
)
# The provider's own filter refuses the conversation, and no part of an answer has come.
content_filter = ErrorKind(
    "content_filter",
    400,
    INVALID_REQUEST,
    "the model's provider refuses to answer this conversation",
    policy=FailurePolicy(next_target=True),
)
# A filter of this service's, or its guardrail: the policy is named, and never what it has found.
content_policy_violation = ErrorKind(
    "content_policy_violation",
    400,
    INVALID_REQUEST,
    "the {part} was blocked by the policy {policy!r} of this service{then}",
)
# The alias chats where embeddings are asked for, or the reverse.
wrong_kind_of_model = ErrorKind(
    "wrong_kind_of_model",
    400,
    INVALID_REQUEST,
    "model: {name!r} is for {use}, so call POST {path} with it; {right}",
)
bad_request = ErrorKind("bad_request", 400, INVALID_REQUEST, "the request cannot be answered")
missing_api_key = ErrorKind(
    "missing_api_key",
    401,
    AUTHENTICATION,
    "this call needs a valid API key; send it as 'Authorization: Bearer KEY' or 'x-api-key: KEY'",
)
invalid_api_key = ErrorKind("invalid_api_key", 401, AUTHENTICATION, missing_api_key.message)
api_key_without_plan = ErrorKind("invalid_api_key", 403, PERMISSION, "this API key is in no usage plan")
model_not_allowed = ErrorKind(
    "model_not_allowed", 403, PERMISSION, "model: this API key may not use {name!r}; it may use {allowed}"
)
# A rule of the caller's, see `llm_gateway.rules`.
denied_by_rule = ErrorKind("denied_by_rule", 403, PERMISSION, "the rule {rule!r} {reason}")
access_denied = ErrorKind("access_denied", 403, PERMISSION, "this API key may not make this call")
# With AWS signatures, API Gateway answers a call without one and an unknown route alike.
missing_signature = ErrorKind(
    "missing_signature",
    403,
    AUTHENTICATION,
    "this call needs an AWS signature for execute-api, or there is no such route; GET /openapi.json lists what there is",
)
invalid_signature = ErrorKind("invalid_signature", 403, AUTHENTICATION, "the AWS signature is wrong")
expired_token = ErrorKind("expired_token", 403, AUTHENTICATION, "the AWS credentials have expired")
model_not_found = ErrorKind("model_not_found", 404, NOT_FOUND, "model: there is no model {name!r} here; choose one of {known}")
unknown_route = ErrorKind(
    "unknown_route", 404, NOT_FOUND, "there is no {method} {path} here; GET /openapi.json lists what there is; {hint}"
)
# Of the function itself: API Gateway, in front of it, knows no difference between a path and a method that it does not have.
method_not_allowed = ErrorKind(
    "method_not_allowed", 405, INVALID_REQUEST, "{path} takes {allowed}, not {method}; GET /openapi.json lists what there is"
)
# Those of others are not there, either.
unknown_job = ErrorKind(
    "unknown_job", 404, NOT_FOUND, "there is no job {id!r} of this API key, or it has expired; GET /jobs lists what there is"
)
unknown_file = ErrorKind(
    "unknown_file",
    404,
    NOT_FOUND,
    "there is no file {id!r} of this API key, or it has expired; GET /v1/files lists what there is",
)
unknown_batch = ErrorKind(
    "unknown_batch",
    404,
    NOT_FOUND,
    "there is no batch {id!r} of this API key, or it has expired; GET /v1/batches lists what there is",
)
# With `Last-Event-ID`.
nothing_to_resume = ErrorKind(
    "nothing_to_resume",
    404,
    NOT_FOUND,
    "there is no stream of this Idempotency-Key to resume, or it ended more than 15 minutes ago; send the request without "
    "Last-Event-ID, to have it answered anew",
)
idempotency_key_reused = ErrorKind(
    "idempotency_key_reused",
    409,
    INVALID_REQUEST,
    "this Idempotency-Key was sent with another body, or to another operation; give each request its own",
    final=True,
)
in_progress = ErrorKind(
    "in_progress",
    409,
    INVALID_REQUEST,
    "the request with this Idempotency-Key is being answered; send it again shortly, to get that answer",
    retry_after=1,
)
answer_not_kept = ErrorKind(
    "answer_not_kept",
    409,
    INVALID_REQUEST,
    "the request with this Idempotency-Key has been answered, and its answer was too large to be kept: more than 1 MB",
    final=True,
)
# By `DELETE /chat/{request_id}`, before the answer has begun; one that has begun ends with the stop reason "cancelled".
cancelled = ErrorKind(
    "cancelled", 409, INVALID_REQUEST, "the generation was stopped, because its caller asked for it", final=True
)
request_too_large = ErrorKind(
    "request_too_large", 413, INVALID_REQUEST, "the body is larger than {limit:,} bytes; shorten the message or the history"
)
file_too_large = ErrorKind(
    "file_too_large",
    413,
    INVALID_REQUEST,
    "file: the request is larger than {limit:,} bytes; split the file, and create a batch of each part",
)
unsupported_media_type = ErrorKind(
    "unsupported_media_type",
    415,
    INVALID_REQUEST,
    "the body must be JSON, sent with Content-Type: application/json, not {given!r}",
)
# Whoever follows a stream holds a function until it ends, and no function learns that its client has left.
too_many_followers = ErrorKind(
    "too_many_followers",
    429,
    RATE_LIMIT,
    "at most {limit} requests may follow one stream at once, and newer ones have come; this one ends here",
    final=True,
)
rate_limit_exceeded = ErrorKind(
    "rate_limit_exceeded", 429, RATE_LIMIT, "too many requests a second for this API key; try again shortly", retry_after=1
)
quota_exceeded = ErrorKind(
    "quota_exceeded",
    429,
    RATE_LIMIT,
    "this API key has used up its requests for today; the count starts anew at 00:00 UTC",
)
# A limit of the ledger.
limit_reached = ErrorKind("quota_exceeded", 429, RATE_LIMIT, "{whose} may use {limit}, and {why}; {then}")
# The provider throttles this service's account; the caller's own quota is not used up.
upstream_throttled = ErrorKind(
    "upstream_throttled",
    429,
    RATE_LIMIT,
    "the model's provider is throttling this service; try again shortly",
    retry_after=1,
    policy=_TEMPORARY,
)
internal_error = ErrorKind("internal_error", 500, SERVER, "the service failed; the request id helps to find out why")
authorizer_failed = ErrorKind(
    "authorizer_failed", 500, SERVER, "the service could not check the API key; try again", retry_after=1
)
# The provider answered with an error of its own, or with something that is no answer.
upstream_failed = ErrorKind("upstream_failed", 502, UPSTREAM, "the model's provider failed; try again", policy=_TEMPORARY)
# The provider's stream ended before the answer did: what was sent is incomplete.
stream_interrupted = ErrorKind(
    "stream_interrupted",
    502,
    UPSTREAM,
    "the model's answer broke off before its end; what came so far is incomplete",
    policy=_TEMPORARY,
)
# JSON was asked for, or arguments that follow a schema, or a call of a tool, and the model gave something else.
invalid_output = ErrorKind(
    "invalid_output",
    502,
    UPSTREAM,
    "the model's answer has not the form that was asked for: {reason}; try again",
    policy=FailurePolicy(next_target=True, retry=True, paid=True),
)
# This service's own set-up is wrong (access, model id): its operator can correct it, the caller cannot.
upstream_misconfigured = ErrorKind(
    "upstream_misconfigured",
    502,
    UPSTREAM,
    "this service may not use the model; its operator has to check the model's id, key and access",
    policy=_LASTING,
)
function_failed = ErrorKind("function_failed", 502, SERVER, "the service failed to answer; try again", retry_after=1)
all_targets_failed = ErrorKind("all_targets_failed", 502, UPSTREAM, "no target of {alias!r} could answer: {reasons}")
# The function answers as many calls as it may at once.
overloaded = ErrorKind(
    "overloaded",
    503,
    SERVER,
    "the service answers as many calls as it may at once; try again shortly",
    retry_after=5,
)
# The service's operators have switched it off, or one alias, see `llm_gateway.feature_flags`.
service_disabled = ErrorKind(
    "service_disabled", 503, SERVER, "the service is switched off for now{then}", retry_after=300, final=True
)
model_disabled = ErrorKind(
    "model_disabled", 503, SERVER, "model: {name!r} is switched off for now{then}", retry_after=300, final=True
)
# The table of what callers have used cannot be read or written. No call is made then, so that none passes a limit.
limits_unavailable = ErrorKind(
    "limits_unavailable",
    503,
    SERVER,
    "the service could not check the caller's limits; try again shortly",
    retry_after=1,
)
# The table of requests that name their keys cannot be read or written. No call is made then: it may be the second one.
idempotency_unavailable = ErrorKind(
    "idempotency_unavailable",
    503,
    SERVER,
    "the service could not check the Idempotency-Key; try again shortly",
    retry_after=1,
)
# The table in which a running stream looks cannot be written.
cancel_unavailable = ErrorKind(
    "cancel_unavailable",
    503,
    SERVER,
    "the service could not record that the generation is to be stopped; try again shortly",
    retry_after=1,
)
# Jobs that are queued or running. They are counted when jobs are submitted.
too_many_jobs = ErrorKind(
    "too_many_jobs",
    429,
    RATE_LIMIT,
    "with {number:,} more, this caller would have more than {most:,} jobs that have not ended; submit them when some have",
    retry_after=30,
)
# Batches that have not ended. They are counted when one is created.
too_many_batches = ErrorKind(
    "too_many_batches",
    429,
    RATE_LIMIT,
    "with this one, this caller would have more than {batches:,} batches that have not ended, or more than {requests:,} "
    "requests in them; create it when some have",
    retry_after=60,
)
# Files are counted by the day (UTC), when they are uploaded.
too_many_files = ErrorKind(
    "too_many_files",
    429,
    RATE_LIMIT,
    "this caller has uploaded {most:,} files today (UTC), as many as it may in a day; upload more of them tomorrow",
    retry_after=3_600,
)
# The table of what callers have used on past days cannot be read.
usage_unavailable = ErrorKind(
    "usage_unavailable",
    503,
    SERVER,
    "the service could not read what was used; try again shortly",
    retry_after=1,
)
# The table or the bucket of jobs cannot be read or written. Batches and files are there, too.
jobs_unavailable = ErrorKind(
    "jobs_unavailable",
    503,
    SERVER,
    "the service could not read or write what it keeps; try again shortly, with the same Idempotency-Key",
    retry_after=1,
)
# The guardrail cannot be asked. Nothing is passed on unchecked then.
guardrail_unavailable = ErrorKind(
    "guardrail_unavailable",
    503,
    SERVER,
    "the service could not check the conversation against its policies; try again shortly",
    retry_after=1,
)
# The knowledge base cannot be asked. Where `when_unavailable` says so, the model answers without it.
retrieval_unavailable = ErrorKind(
    "retrieval_unavailable",
    503,
    SERVER,
    "the service could not look into its knowledge base; try again shortly",
    retry_after=1,
)
# The provider cannot be reached or says that it is unavailable.
upstream_unavailable = ErrorKind(
    "upstream_unavailable",
    503,
    UPSTREAM,
    "the model's provider is unavailable; try again shortly",
    retry_after=1,
    policy=_TEMPORARY,
)
# An imported model that Bedrock has unloaded, or a pool without a running replica, is being loaded.
model_not_ready = ErrorKind(
    "model_not_ready", 503, UPSTREAM, "the model is being loaded; try again in a minute", retry_after=30, policy=_TEMPORARY
)
upstream_timeout = ErrorKind("upstream_timeout", 504, UPSTREAM, "the model took too long to answer", policy=_SILENT)
function_timeout = ErrorKind("function_timeout", 504, SERVER, "the service did not answer in time")

ERROR_KINDS = tuple(value for value in globals().values() if isinstance(value, ErrorKind))

# What only the WebSocket API reports, besides the kinds above. There the status is a field of no message; it orders the kinds.
unknown_action = ErrorKind(
    "unknown_action", 400, INVALID_REQUEST, "action: must be one of chat, cancel, resume and ping, in a JSON object"
)
invalid_message = ErrorKind(
    "invalid_message", 400, INVALID_REQUEST, "the message must be a JSON object; it cannot be read: {reason}"
)
# The token with which the connection was made. The connection is closed after it.
token_expired = ErrorKind(
    "expired_token", 401, AUTHENTICATION, "the token of this connection has expired; connect again with a new one"
)
unknown_generation = ErrorKind(
    "unknown_generation",
    404,
    NOT_FOUND,
    "id: there is no generation {id!r} of this API key, or it ended more than 15 minutes ago; start it with chat",
)
# To `resume`, where a rule says so.
generation_not_kept = ErrorKind(
    "generation_not_kept",
    404,
    NOT_FOUND,
    "id: the generation {id!r} has ended, and its messages are not kept, as a rule of its caller says; start another one with "
    "chat",
)
client_gone = ErrorKind(
    "client_gone", 408, INVALID_REQUEST, "the generation was stopped, because its client was gone for {seconds:g} s"
)
generation_exists = ErrorKind(
    "generation_exists",
    409,
    INVALID_REQUEST,
    "id: this API key has a generation {id!r} already; give each its own id, or continue that one with resume",
)
too_many_generations = ErrorKind(
    "too_many_generations",
    429,
    RATE_LIMIT,
    "at most {limit} generations may run at once for {holder}; wait for one of them to end",
    retry_after=1,
)
too_many_resumes = ErrorKind(
    "too_many_resumes",
    429,
    RATE_LIMIT,
    "at most {limit} answers may be sent again at once for one API key; send the resume again shortly",
    retry_after=1,
)
# The tables of connections and of generations cannot be read or written.
generations_unavailable = ErrorKind(
    "generations_unavailable",
    503,
    SERVER,
    "the service could not look up or record the generation; send the message again shortly",
    retry_after=1,
)
# At the handshake, where the client gets the status alone.
too_many_connections = ErrorKind(
    "too_many_connections",
    429,
    RATE_LIMIT,
    "at most {limit} connections may be open at once for one API key, and ten times as many be opened in ten minutes",
    retry_after=5,
)
rate_limited = ErrorKind(
    "rate_limited",
    429,
    RATE_LIMIT,
    "at most {limit} messages a minute may come on one connection; wait until the next minute",
    retry_after=60,
)
WEBSOCKET_ERROR_KINDS = (
    unknown_action,
    invalid_message,
    token_expired,
    unknown_generation,
    generation_not_kept,
    client_gone,
    generation_exists,
    too_many_generations,
    too_many_resumes,
    generations_unavailable,
    too_many_connections,
    rate_limited,
)

# What only a job ends with, besides the kinds above.
retries_exhausted = ErrorKind(
    "retries_exhausted", 502, UPSTREAM, "the job was run {attempts} times, and ended each time without an answer; {reason}"
)


# The field of the authorizer's context that says when the quota of an API key begins anew, as an HTTP date.
QUOTA_RESET = "quota_reset"


class GatewayResponse(msgspec.Struct, frozen=True):
    """An answer that API Gateway gives by itself, by its response type. `message` replaces the kind's own text, and
    `retry_after` its own Retry-After: by the field of that name in the authorizer's context.

    With `iam` it is the answer where AWS signatures are asked for, in place of the other one of its type.
    https://docs.aws.amazon.com/apigateway/latest/developerguide/supported-gateway-response-types.html
    """

    type: str
    kind: ErrorKind
    message: str = ""
    iam: bool = False
    retry_after: str = ""


# What a client's base URL is, by what it appends.
BASE_URLS = (
    "a client's base URL ends with /v1 for OpenAI's SDKs and @ai-sdk/anthropic, and before /v1 for Anthropic's SDKs and "
    "Claude Code"
)

GATEWAY_RESPONSES = (
    GatewayResponse("DEFAULT_4XX", bad_request),
    GatewayResponse("DEFAULT_5XX", internal_error, "the service failed; try again"),
    GatewayResponse("BAD_REQUEST_BODY", invalid_json, invalid_json.message.format(reason="see GET /openapi.json")),
    GatewayResponse("UNAUTHORIZED", invalid_api_key),
    GatewayResponse("INVALID_API_KEY", api_key_without_plan),
    GatewayResponse("ACCESS_DENIED", access_denied),
    GatewayResponse("ACCESS_DENIED", access_denied, "these AWS credentials may not make this call", iam=True),
    GatewayResponse("INVALID_SIGNATURE", invalid_signature, iam=True),
    GatewayResponse("EXPIRED_TOKEN", expired_token, iam=True),
    # API Gateway's name for a route or a method that does not exist.
    GatewayResponse(
        "MISSING_AUTHENTICATION_TOKEN",
        unknown_route,
        f"there is no such route or method here; GET /openapi.json lists what there is; {BASE_URLS}",
    ),
    GatewayResponse("MISSING_AUTHENTICATION_TOKEN", missing_signature, f"{missing_signature.message}; {BASE_URLS}", iam=True),
    GatewayResponse("REQUEST_TOO_LARGE", request_too_large, "the body is too large"),
    GatewayResponse(
        "UNSUPPORTED_MEDIA_TYPE",
        unsupported_media_type,
        "send JSON with Content-Type: application/json, compressed as Content-Encoding says",
    ),
    GatewayResponse("THROTTLED", rate_limit_exceeded),
    GatewayResponse("QUOTA_EXCEEDED", quota_exceeded, retry_after=QUOTA_RESET),
    GatewayResponse("AUTHORIZER_FAILURE", authorizer_failed),
    GatewayResponse("AUTHORIZER_CONFIGURATION_ERROR", authorizer_failed),
    # Lambda rejects the call, for the function answers as many as it may: API Gateway answers 500, and its log says "Execution
    # failed due to configuration error: Rate Exceeded". A set-up that is wrong has the same type.
    # https://docs.aws.amazon.com/lambda/latest/dg/services-apigateway-errors.html
    GatewayResponse("API_CONFIGURATION_ERROR", overloaded),
    GatewayResponse("INTEGRATION_FAILURE", function_failed),
    GatewayResponse("INTEGRATION_TIMEOUT", function_timeout),
)


def statuses(kind: ErrorKind) -> list[int]:
    """The HTTP statuses that errors of a kind have."""
    if kind is all_targets_failed:  # see no_target_answered
        return sorted({each.status for each in ERROR_KINDS if each.policy.next_target})
    return [kind.status]


# Errors that are made from several problems or failures.


class Problem(msgspec.Struct, frozen=True):
    """One problem of a request: which field, what is wrong with it and what would be right."""

    field: str
    message: str


# The most problems that one answer lists. A body may hold any number of them, so no more are collected than it takes to know
# that there are more.
MOST_PROBLEMS = 20


def unexpected(error: Exception) -> GatewayError:
    """Return the error for an exception that nobody expected, with the beginning of its text, which may repeat a caller's."""
    return internal_error(detail=f"{type(error).__name__}: {clipped(str(error))}")


# The router makes these, too, of a call that began.
_MAY_BE_BILLED = frozenset({upstream_timeout.code, stream_interrupted.code})


def invalid_request(problems: Sequence[Problem]) -> GatewayError:
    """400 that lists every problem at once; `param` is the first field."""
    shown = [f"{problem.field}: {problem.message}" for problem in problems[:MOST_PROBLEMS]]
    if len(problems) > MOST_PROBLEMS:
        shown.append("and more")
    return invalid_value(problems="; ".join(shown), param=problems[0].field)


def no_target_answered(alias: str, reasons: Sequence[tuple[str, GatewayError]]) -> GatewayError:
    """The failures of several targets as one error: each target with its code, under the status that they share.

    If their statuses differ, it is 503 if any of them has a `retry_after`, else 502. The shortest `retry_after` is passed on.
    """
    failures = [error for _, error in reasons]
    if all(error.code == context_length_exceeded.code for error in failures):  # clients shorten the conversation by its code
        return failures[0]
    times = [error.retry_after for error in failures if error.retry_after is not None]
    shared = {error.status for error in failures}
    error = all_targets_failed(
        alias=alias,
        reasons="; ".join(f"{name}: {error.code}" for name, error in reasons),
        retry_after=min(times) if times else None,
        detail="; ".join(f"{name}: {error.cause}" for name, error in reasons),
    )
    error.status = shared.pop() if len(shared) == 1 else 503 if times else 502
    error.lasts = not any(failure.passes for failure in failures)
    error.type = RATE_LIMIT if error.status == 429 else INVALID_REQUEST if error.status == 400 else UPSTREAM
    return error
