"""What the OpenAPI document says of jobs."""

from typing import Any

from llm_functions.api_formats.jobs import CHAT, CHAT_COMPLETIONS, MOST_JOBS
from llm_functions.http.jobs import DEFAULT_PAGE, LARGEST_PAGE
from llm_functions.http.schemas import COUNT, TEXT, obj, ref
from llm_gateway import errors
from llm_gateway.errors import ErrorKind
from llm_gateway.jobs.job import STATUSES
from llm_gateway.tables import JOBS_KEPT_DAYS

_EDGE_OF_A_BODY = (errors.invalid_json, errors.request_too_large, errors.unsupported_media_type)
# The operations, and what the service itself answers of each besides what any caller may get.
ERRORS: dict[str, tuple[ErrorKind, ...]] = {
    "submit_jobs": (
        *_EDGE_OF_A_BODY,
        errors.invalid_value,
        errors.wrong_kind_of_model,
        errors.model_not_found,
        errors.idempotency_key_reused,
        errors.too_many_jobs,
        errors.service_disabled,
        errors.model_disabled,
        errors.jobs_unavailable,
    ),
    "jobs": (errors.invalid_value, errors.jobs_unavailable),
    "job": (errors.unknown_job, errors.jobs_unavailable),
    "cancel_job": (errors.unknown_job, errors.jobs_unavailable),
    "job_events": (errors.invalid_value, errors.unknown_job, errors.jobs_unavailable),
}
# The kinds that no other operation answers.
ONLY = (errors.unknown_job, errors.too_many_jobs, errors.jobs_unavailable)

_ID = {"name": "id", "in": "path", "required": True, "schema": {"type": "string", "pattern": "^job_[0-9a-f]{32}$"}}
_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "Names the request, so that its jobs are there once however often it is sent: such as a UUID",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
}
_LAST_EVENT = {
    "name": "Last-Event-ID",
    "in": "header",
    "description": "The id of the last event that the client has; it gets the states after it",
    "schema": {"type": "integer", "minimum": 0},
}


def _query(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": description, "schema": schema}


PARAMETERS: dict[str, list[dict[str, Any]]] = {
    "submit_jobs": [_KEY],
    "jobs": [
        _query("status", "Only jobs with this status", {"enum": list(STATUSES)}),
        _query("limit", "How many", {"type": "integer", "minimum": 1, "maximum": LARGEST_PAGE, "default": DEFAULT_PAGE}),
        _query("after", "The next of the page before", TEXT),
    ],
    "job": [_ID],
    "cancel_job": [_ID],
    "job_events": [_ID, _LAST_EVENT],
}
ANSWERS = {"jobs": "JobList", "job": "Job", "cancel_job": "Job"}


def answer(id: str) -> dict[str, Any]:
    """Return what an operation of jobs answers with."""
    match id:
        case "submit_jobs":
            schema = {"anyOf": [ref("Job"), obj({"jobs": {"type": "array", "items": ref("Job")}}, ("jobs",))]}
            return {"description": "The jobs are kept, and will be run", "content": {"application/json": {"schema": schema}}}
        case "job_events":
            return {
                "description": "An event for each state of the job, with the job, until it has ended",
                "content": {"text/event-stream": {}},
            }
        case _:
            return {"description": "The answer", "content": {"application/json": {"schema": ref(ANSWERS[id])}}}


def schemas() -> dict[str, Any]:
    """Return the schemas of what is asked and answered."""
    time = {**TEXT, "format": "date-time"}
    error_texts = {"type": TEXT, "code": TEXT, "message": TEXT, "request_id": TEXT}
    job = {
        "id": TEXT,
        "status": {"enum": list(STATUSES)},
        "model": {**TEXT, "description": "The alias"},
        "created": time,
        "started": {**time, "description": "When it was first run; missing before"},
        "ended": {**time, "description": "When it ended; missing before"},
        "expires": {**time, "description": f"When it is no longer kept: after {JOBS_KEPT_DAYS} days"},
        "attempts": {**COUNT, "description": "How often it has been run"},
        "cancelling": {"const": True, "description": "It is to be cancelled, and still runs"},
        "error": {**obj({**error_texts, "param": TEXT}, tuple(error_texts)), "description": "Why it failed, or runs again"},
        "usage": {"type": "object", "description": "The tokens of its answer, in the answer's format"},
        "result": {"type": "object", "description": "Its answer, in the format of its endpoint"},
    }
    asked = {"endpoint": {"enum": [CHAT_COMPLETIONS]}, "body": ref("ChatCompletionRequest")}
    chat = {"endpoint": {"enum": [CHAT]}, "body": ref("ChatRequest")}
    one = {"anyOf": [ref("ChatRequest"), obj(asked, tuple(asked)), obj(chat, tuple(chat))]}
    several = {"type": "array", "items": one, "minItems": 1, "maxItems": MOST_JOBS}
    return {
        "Job": obj(job, ("id", "status", "model", "created", "expires", "attempts")),
        "JobList": obj(
            {
                "jobs": {"type": "array", "items": ref("Job")},
                "next": {**TEXT, "description": "What to ask for as after; missing on the last page"},
            },
            ("jobs",),
        ),
        "JobRequest": {"anyOf": [*one["anyOf"], obj({"jobs": several}, ("jobs",))]},
    }
