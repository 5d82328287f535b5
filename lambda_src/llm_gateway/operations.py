"""The table of HTTP operations: the component makes API Gateway's routes from it, the function answers them, and the OpenAPI
document describes them."""

import re
from collections.abc import Mapping
from typing import Literal

import msgspec


class Operation(msgspec.Struct, frozen=True):
    """One operation. `path` may have one parameter, such as ``{id}``. `authorized`: the caller must be known. `has_body`: the
    body must be a JSON object. `generates`: it calls a model. `errors`: whose shape they have."""

    id: str
    method: Literal["GET", "POST", "DELETE"]
    path: str
    summary: str
    authorized: bool = True
    has_body: bool = False
    generates: bool = False
    errors: Literal["openai", "anthropic"] = "openai"


# The operations of every API.
OPERATIONS = (
    Operation("chat", "POST", "/chat", "Answer one message, whole", has_body=True, generates=True),
    Operation(
        "chat_stream",
        "POST",
        "/chat/stream",
        "Answer one message as Server-Sent Events",
        has_body=True,
        generates=True,
    ),
    Operation(
        "chat_completions",
        "POST",
        "/v1/chat/completions",
        "Answer a conversation in OpenAI's format, whole or streamed",
        has_body=True,
        generates=True,
    ),
    Operation(
        "completions",
        "POST",
        "/v1/completions",
        "Answer a prompt in OpenAI's older format, whole or streamed",
        has_body=True,
        generates=True,
    ),
    Operation(
        "responses",
        "POST",
        "/v1/responses",
        "Answer a conversation in the format of OpenAI's Responses API, whole or streamed",
        has_body=True,
        generates=True,
    ),
    Operation(
        "messages",
        "POST",
        "/v1/messages",
        "Answer a conversation in Anthropic's format, whole or streamed",
        has_body=True,
        generates=True,
        errors="anthropic",
    ),
    Operation(
        "count_tokens",
        "POST",
        "/v1/messages/count_tokens",
        "Estimate the tokens of a conversation in Anthropic's format",
        has_body=True,
        errors="anthropic",
    ),
    Operation("embeddings", "POST", "/v1/embeddings", "Embed texts in OpenAI's format", has_body=True, generates=True),
    Operation("models", "GET", "/v1/models", "List the models in OpenAI's format and Anthropic's"),
    Operation("model", "GET", "/v1/models/{id}", "Describe one model in OpenAI's format and Anthropic's"),
    Operation("health", "GET", "/health", "Tell that the service is up", authorized=False),
    Operation("openapi", "GET", "/openapi.json", "Describe this API", authorized=False),
)

# Only of an API that has a table of tickets.
_TICKET = Operation(
    "websocket_ticket", "POST", "/ws/ticket", "Issue a ticket, with which a browser connects to the WebSocket API"
)
# Only of an API whose callers have limits, or which knows what they have used.
_USAGE = Operation("usage", "GET", "/usage", "Tell what the caller has used, and what is left of its limits")
# Only of an API that has a journal.
_CANCEL = Operation("cancel", "DELETE", "/chat/{request_id}", "Stop a stream that the caller has asked for")
# Only of an API that has a table of jobs.
_JOBS = (
    Operation("submit_jobs", "POST", "/jobs", "Have one message, or a list of them, answered later", has_body=True),
    Operation("jobs", "GET", "/jobs", "List the caller's jobs, the newest first"),
    Operation("job_events", "GET", "/jobs/{id}/events", "Follow a job as Server-Sent Events until it ends"),
    Operation("job", "GET", "/jobs/{id}", "Tell what has become of a job, with its result"),
    Operation("cancel_job", "DELETE", "/jobs/{id}", "Cancel a job"),
)
# Only of an API that takes batches. A path with more after its parameter stands before the one without.
_BATCHES = (
    Operation("create_file", "POST", "/v1/files", "Upload a file of requests in OpenAI's format, for a batch"),
    Operation("files", "GET", "/v1/files", "List the caller's files, the newest first"),
    Operation("file_content", "GET", "/v1/files/{id}/content", "Download a file"),
    Operation("file", "GET", "/v1/files/{id}", "Describe a file"),
    Operation("delete_file", "DELETE", "/v1/files/{id}", "Delete a file"),
    Operation("create_batch", "POST", "/v1/batches", "Have the requests of a file answered within a day", has_body=True),
    Operation("batches", "GET", "/v1/batches", "List the caller's batches, the newest first"),
    Operation("cancel_batch", "POST", "/v1/batches/{id}/cancel", "Cancel a batch"),
    Operation("batch", "GET", "/v1/batches/{id}", "Tell what has become of a batch"),
)


def operations(
    *, tickets: bool, limits: bool, journal: bool, jobs: bool = False, batches: bool = False, usage: bool = False
) -> tuple[Operation, ...]:
    """The operations of an API; with `tickets` also the one that issues them, with `limits` or `usage` the one that says
    what was used, with `journal` the one that stops a stream, with `jobs` those of jobs, and with `batches` those of batches
    and files."""
    more = (*([_TICKET] if tickets else []), *([_USAGE] if limits or usage else []), *([_CANCEL] if journal else []))
    return (*OPERATIONS, *more, *(_JOBS if jobs else ()), *(_BATCHES if batches else ()))


def path_parameters(path: str) -> list[str]:
    """The parameters of a path, such as ``/v1/models/{id}`` or ``/files/{proxy+}``."""
    return re.findall(r"\{([^}+]+)\+?\}", path)


PATHS: Mapping[str, str] = {operation.id: operation.path for operation in OPERATIONS}

# The headers of an answer that a web page may read. API Gateway's own answers have the first three.
EXPOSED_HEADERS = (
    "retry-after, x-should-retry, x-request-id, request-id, server-timing, x-llm-target, x-llm-dropped, x-llm-retrieval, "
    "idempotent-replayed, age, x-llm-cache, x-llm-saved-tokens, "
) + ", ".join(f"x-ratelimit-{what}-{measure}" for measure in ("requests", "tokens") for what in ("limit", "remaining", "reset"))

# The largest body that the service reads, in bytes. A synchronous request of Lambda may have 6 MB and holds the body escaped as
# a JSON string; 4 MiB leaves room for that and for the headers.
# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
MAX_BODY_BYTES = 4 * 1024 * 1024
