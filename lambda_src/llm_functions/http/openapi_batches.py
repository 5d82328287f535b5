"""What the OpenAPI document says of batches and files."""

from typing import Any

from llm_functions.api_formats.openai_batches import (
    DEFAULT_PAGE,
    LARGEST_LIMIT_OF_FILES,
    LONGEST_KEY,
    LONGEST_VALUE,
    MOST_PAIRS,
    OTHER_PURPOSES,
    PURPOSES,
    SECONDS,
)
from llm_functions.http.schemas import COUNT, TEXT, obj, or_null, ref
from llm_gateway import errors
from llm_gateway.batches.batch import ENDPOINTS, STATUSES, WINDOW
from llm_gateway.batches.pages import LARGEST_PAGE
from llm_gateway.errors import ErrorKind
from llm_gateway.tables import FILES_KEPT_DAYS

# The operations, and what the service itself answers of each besides what any caller may get.
ERRORS: dict[str, tuple[ErrorKind, ...]] = {
    "create_file": (
        errors.invalid_form,
        errors.invalid_value,
        errors.file_too_large,
        errors.too_many_files,
        errors.service_disabled,
        errors.jobs_unavailable,
    ),
    "files": (errors.invalid_value, errors.unknown_file, errors.jobs_unavailable),
    "file": (errors.unknown_file, errors.jobs_unavailable),
    "file_content": (errors.unknown_file, errors.jobs_unavailable),
    "delete_file": (errors.unknown_file, errors.jobs_unavailable),
    "create_batch": (
        errors.invalid_json,
        errors.request_too_large,
        errors.unsupported_media_type,
        errors.invalid_value,
        errors.unknown_file,
        errors.idempotency_key_reused,
        errors.too_many_batches,
        errors.service_disabled,
        errors.jobs_unavailable,
    ),
    "batches": (errors.invalid_value, errors.unknown_batch, errors.jobs_unavailable),
    "batch": (errors.unknown_batch, errors.jobs_unavailable),
    "cancel_batch": (errors.unknown_batch, errors.jobs_unavailable),
}
# The kinds that no other operation answers.
ONLY = (
    *(errors.invalid_form, errors.file_too_large, errors.unknown_file, errors.unknown_batch),
    *(errors.too_many_files, errors.too_many_batches),
)


def _id(pattern: str) -> dict[str, Any]:
    return {"name": "id", "in": "path", "required": True, "schema": {"type": "string", "pattern": f"^{pattern}$"}}


def _query(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": description, "schema": schema}


_FILE, _BATCH = _id("file-[0-9a-f]{32}"), _id("batch_[0-9a-f]{32}")
_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "Names the request, so that its batch is there once however often it is sent: such as a UUID",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
}
_AFTER = _query("after", "The last id of the page before", TEXT)

PARAMETERS: dict[str, list[dict[str, Any]]] = {
    "create_file": [],
    "files": [
        _query("purpose", "Only files with this purpose", {"enum": [*PURPOSES, *OTHER_PURPOSES]}),
        _query(
            "limit",
            f"How many at most; a page has {LARGEST_PAGE} at most",
            {"type": "integer", "minimum": 1, "maximum": LARGEST_LIMIT_OF_FILES, "default": LARGEST_PAGE},
        ),
        _query("order", "By the time of their creation", {"enum": ["asc", "desc"], "default": "desc"}),
        _AFTER,
    ],
    "file": [_FILE],
    "file_content": [_FILE],
    "delete_file": [_FILE],
    "create_batch": [_KEY],
    "batches": [
        _query("limit", "How many", {"type": "integer", "minimum": 1, "maximum": LARGEST_PAGE, "default": DEFAULT_PAGE}),
        _AFTER,
    ],
    "batch": [_BATCH],
    "cancel_batch": [_BATCH],
}
_ANSWERS = {"files": "FileList", "delete_file": "DeletedFile", "batches": "BatchList"}

LINK: dict[str, Any] = {
    "302": {
        "description": "A long file is at S3, by this link, for five minutes",
        "headers": {"Location": {"required": True, "schema": {"type": "string"}}},
    }
}


def answer(id: str) -> dict[str, Any]:
    """Return what an operation of batches and files answers with."""
    if id == "file_content":
        return {"description": "The file", "content": {"application/octet-stream": {}}}
    schema = ref(_ANSWERS.get(id, "File" if "file" in id else "Batch"))
    return {"description": "The answer", "content": {"application/json": {"schema": schema}}}


def schemas() -> dict[str, Any]:
    """Return the schemas of what is asked and answered."""
    low, high = SECONDS
    seconds = {"type": "integer", "minimum": low, "maximum": high}
    kept = f"How long the file is kept: {FILES_KEPT_DAYS} days at most, which is the default"
    time, or_no_time = COUNT, or_null(COUNT)
    expiry = obj({"anchor": {"const": "created_at"}, "seconds": seconds}, ("anchor", "seconds"), additionalProperties=False)
    metadata = {
        "type": "object",
        "maxProperties": MOST_PAIRS,
        "propertyNames": {"maxLength": LONGEST_KEY},
        "additionalProperties": {**TEXT, "maxLength": LONGEST_VALUE},
    }
    return {
        "FileRequest": obj(
            {
                "file": {"type": "string", "contentMediaType": "application/jsonl", "description": "JSON Lines in UTF-8"},
                "purpose": {"const": "batch"},
                "expires_after[anchor]": {"const": "created_at"},
                "expires_after[seconds]": {**seconds, "description": kept},
            },
            ("file", "purpose"),
            additionalProperties=False,
        ),
        "File": _file(),
        "FileList": _list("File"),
        "DeletedFile": obj({"id": TEXT, "object": {"const": "file"}, "deleted": {"const": True}}, ("id", "object", "deleted")),
        "BatchRequest": obj(
            {
                "input_file_id": {**TEXT, "minLength": 1, "description": "A file that was uploaded with purpose batch"},
                "endpoint": {"enum": list(ENDPOINTS), "description": "Where each of its requests goes"},
                "completion_window": {"const": WINDOW},
                "metadata": or_null(metadata),
                "output_expires_after": {**or_null(expiry), "description": kept},
            },
            ("input_file_id", "endpoint", "completion_window"),
            additionalProperties=False,
        ),
        "Batch": _batch(time, or_no_time, metadata),
        "BatchList": _list("Batch"),
    }


def _file() -> dict[str, Any]:
    file = {
        "id": TEXT,
        "object": {"const": "file"},
        "bytes": COUNT,
        "created_at": COUNT,
        "expires_at": {**COUNT, "description": "When it is no longer kept"},
        "filename": TEXT,
        "purpose": {"enum": list(PURPOSES)},
        "status": {"const": "processed"},
        "status_details": {"type": "null"},
    }
    return obj(file, tuple(file))


def _batch(time: dict[str, Any], or_no_time: dict[str, Any], metadata: dict[str, Any]) -> dict[str, Any]:
    problem = obj({"code": TEXT, "message": TEXT, "param": or_null(TEXT), "line": or_null(COUNT)}, ("code", "message"))
    counts = {"total": COUNT, "completed": COUNT, "failed": COUNT}
    batch = {
        "id": TEXT,
        "object": {"const": "batch"},
        "endpoint": {"enum": list(ENDPOINTS)},
        "model": {**or_null(TEXT), "description": "The alias, once all of its requests have been answered by one"},
        "errors": or_null(obj({"object": {"const": "list"}, "data": {"type": "array", "items": problem}}, ("object", "data"))),
        "input_file_id": TEXT,
        "completion_window": {"const": WINDOW},
        "status": {"enum": list(STATUSES)},
        "output_file_id": {**or_null(TEXT), "description": "The file of the answers"},
        "error_file_id": {**or_null(TEXT), "description": "The file of the requests that have none"},
        "created_at": time,
        "in_progress_at": or_no_time,
        "expires_at": {**time, "description": "What is not answered then is answered no more"},
        **dict.fromkeys(("finalizing_at", "completed_at", "failed_at", "expired_at"), or_no_time),
        **dict.fromkeys(("cancelling_at", "cancelled_at"), or_no_time),
        "request_counts": obj(counts, tuple(counts)),
        "usage": or_null({"type": "object"}),
        "metadata": or_null(metadata),
    }
    return obj(batch, tuple(batch))


def _list(name: str) -> dict[str, Any]:
    end = or_null(TEXT)
    page = {"first_id": end, "last_id": end, "has_more": {"type": "boolean"}}
    return obj({"object": {"const": "list"}, "data": {"type": "array", "items": ref(name)}, **page}, ("object", "data", *page))
