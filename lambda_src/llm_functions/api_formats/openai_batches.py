"""OpenAI's format of batches and files: what is asked, and how they are shown.

https://platform.openai.com/docs/api-reference/batch and https://platform.openai.com/docs/api-reference/files
"""

import posixpath
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

import msgspec

from llm_functions.api_formats.fields import Fields, kind
from llm_functions.multipart import Form
from llm_gateway.batches.batch import ENDPOINTS, WINDOW, Batch
from llm_gateway.batches.file import File, Purpose
from llm_gateway.batches.pages import LARGEST_PAGE, Page
from llm_gateway.errors import Problem, clipped, invalid_request

PURPOSES: Final[tuple[Purpose, ...]] = ("batch", "batch_output")
# Those that OpenAI's files have besides: a list of these is empty.
OTHER_PURPOSES: Final = ("assistants", "assistants_output", "evals", "fine-tune", "fine-tune-results", "user_data", "vision")
# Seconds that a file may be asked to be kept for, and the bounds of metadata.
SECONDS: Final = (3_600, 2_592_000)
MOST_PAIRS, LONGEST_KEY, LONGEST_VALUE = 16, 64, 512
DEFAULT_PAGE, LARGEST_LIMIT_OF_FILES = 20, 10_000
LONGEST_FILENAME = 255
FILE_ID, BATCH_ID = re.compile(r"file-[0-9a-f]{32}"), re.compile(r"batch_[0-9a-f]{32}")
_ANCHOR: Final = "created_at"
# What stands in the place of bytes that are not UTF-8, where API Gateway passes a body on as a text.
# https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-payload-encodings.html
_REPLACEMENT: Final = "\ufffd"
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class BatchRequest(msgspec.Struct, frozen=True):
    """What a batch is asked to be. `output_seconds`: how long its files are kept; 0: as long as any."""

    endpoint: str
    input_file: str
    metadata: dict[str, str] | None
    output_seconds: int


class FileRequest(msgspec.Struct, frozen=True):
    """A file that is uploaded. `seconds`: how long it is kept; 0: as long as any."""

    filename: str
    content: bytes
    seconds: int


class PageRequest(msgspec.Struct, frozen=True):
    """Which page of a list is asked for. `purpose` and `ascending` are of files alone."""

    limit: int
    after: str | None
    purpose: str | None = None
    ascending: bool = False


def parse_batch(body: Mapping[str, Any]) -> BatchRequest:
    """Parse the body of POST /v1/batches. Raises the error 400, which names every field that is wrong."""
    fields = Fields(body)
    endpoint, file = fields.string("endpoint", required=True), fields.string("input_file_id", required=True)
    if endpoint and endpoint not in ENDPOINTS:
        fields.wrong("endpoint", f"must be one of {', '.join(ENDPOINTS)}, not {clipped(endpoint)!r}")
    window = fields.string("completion_window", required=True)
    if window and window != WINDOW:
        fields.wrong("completion_window", f"must be {WINDOW!r}, not {clipped(window)!r}")
    metadata, seconds = _metadata(fields), 0
    if (policy := fields.object("output_expires_after")) is not None:
        anchor = policy.string("anchor", required=True)
        if anchor and anchor != _ANCHOR:
            policy.wrong("anchor", f"must be {_ANCHOR!r}, not {clipped(anchor)!r}")
        if not policy.has("seconds"):
            policy.wrong("seconds", "is required, a whole number")
        seconds = policy.integer("seconds", *SECONDS) or 0
        policy.no_others()
    fields.no_others()
    fields.finish()
    return BatchRequest(endpoint or "", file or "", metadata, seconds)


def _metadata(fields: Fields) -> dict[str, str] | None:
    value = fields.any("metadata")
    if value is None:
        return None
    if not isinstance(value, dict):
        fields.wrong("metadata", f"must be an object, not {kind(value)}")
        return None
    pairs = cast("dict[str, Any]", value)
    if len(pairs) > MOST_PAIRS:
        fields.wrong("metadata", f"may hold at most {MOST_PAIRS} pairs, not {len(pairs):,}")
        return None
    for name, text in pairs.items():
        if len(name) > LONGEST_KEY:
            fields.wrong(f"metadata.{name}", f"its name must have at most {LONGEST_KEY} characters, not {len(name):,}")
        if not isinstance(text, str):
            fields.wrong(f"metadata.{name}", f"must be a string, not {kind(text)}")
        elif len(text) > LONGEST_VALUE:
            fields.wrong(f"metadata.{name}", f"must have at most {LONGEST_VALUE} characters, not {len(text):,}")
    return pairs


def parse_file(form: Form) -> FileRequest:
    """Read the form of POST /v1/files. Raises the error 400, which names every field that is wrong."""
    problems: list[Problem] = []
    given, file = dict(form.fields), form.files.get("file")
    purpose = given.pop("purpose", None)
    if purpose is None:
        problems.append(Problem("purpose", "is required: 'batch'"))
    elif purpose != "batch":
        problems.append(Problem("purpose", f"must be 'batch': files are there for batches alone, not for {clipped(purpose)!r}"))
    seconds = _seconds(given, problems)
    if file is None:
        problems.append(Problem("file", "is required, a file with its name"))
    else:
        problems += [Problem("file", text) for text in (_wrong_name(file.filename), _wrong_content(file.content)) if text]
    others = [*given, *(name for name in form.files if name != "file")]
    problems += [Problem(clipped(name), "is not known; there are expires_after, file, purpose") for name in others]
    if problems or file is None:
        raise invalid_request(problems)
    return FileRequest(_base_name(file.filename), file.content, seconds)


def _seconds(given: dict[str, str], problems: list[Problem]) -> int:
    """Return how long a file is to be kept: its form has the fields of an object in brackets."""
    anchor, text = (given.pop(f"expires_after[{name}]", None) for name in ("anchor", "seconds"))
    if anchor is None and text is None:
        return 0
    if anchor != _ANCHOR:
        problems.append(Problem("expires_after[anchor]", f"must be {_ANCHOR!r}"))
    low, high = SECONDS
    seconds = int(text) if text and text.isascii() and text.isdigit() and len(text) < 10 else 0
    if not low <= seconds <= high:
        problems.append(Problem("expires_after[seconds]", f"must be between {low} and {high}"))
    return seconds


def _base_name(filename: str) -> str:
    """Return a file's name without its folders, which some clients send."""
    return posixpath.basename(filename.replace("\\", "/"))


def _wrong_name(filename: str) -> str:
    name = _base_name(filename)
    if not name.strip() or _CONTROL.search(name):
        return "its name must not be empty, and have no control characters"
    return f"its name must have at most {LONGEST_FILENAME} characters" if len(name) > LONGEST_FILENAME else ""


def _wrong_content(content: bytes) -> str:
    """Return what is wrong with a file that cannot be JSON Lines. Its lines are checked once its batch has begun."""
    if not content or content.isspace():
        return "is empty; it must have a JSON object in each line"
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        return f"must be UTF-8: byte {error.start} is not"
    if "\0" in text:
        return "must be JSON Lines in UTF-8: it has a zero byte"
    if (place := text.find(_REPLACEMENT)) >= 0:
        return (
            f"must be UTF-8: character {place} is U+FFFD, which takes the place of what is not; "
            r"where you mean that character itself, write \ufffd"
        )
    return ""


def parse_page(query: Sequence[tuple[str, str]], *, files: bool = False) -> PageRequest:
    """Read the query of a list. Raises the error 400."""
    asked, problems = dict(query), list[Problem]()
    most, default = (LARGEST_LIMIT_OF_FILES, LARGEST_PAGE) if files else (LARGEST_PAGE, DEFAULT_PAGE)
    limit, after = asked.pop("limit", str(default)), asked.pop("after", None)
    if not (limit.isascii() and limit.isdigit() and len(limit) < 6 and 1 <= int(limit) <= most):
        problems.append(Problem("limit", f"must be between 1 and {most}, not {clipped(limit)!r}"))
    pattern = FILE_ID if files else BATCH_ID
    if after is not None and pattern.fullmatch(after) is None:
        problems.append(Problem("after", f"must be the id of the last {'file' if files else 'batch'} of the page before"))
    purpose = order = None
    if files:
        purpose, order = asked.pop("purpose", None), asked.pop("order", None)
        if purpose is not None and purpose not in (purposes := PURPOSES + OTHER_PURPOSES):
            problems.append(Problem("purpose", f"must be one of {', '.join(purposes)}, not {clipped(purpose)!r}"))
        if order not in (None, "asc", "desc"):
            problems.append(Problem("order", f"must be asc or desc, not {clipped(order)!r}"))
    known = "after, limit, order, purpose" if files else "after, limit"
    problems += [Problem(clipped(name), f"is not known; there are {known}") for name in asked]
    if problems:
        raise invalid_request(problems)
    return PageRequest(
        min(int(limit), LARGEST_PAGE),
        after,
        purpose,
        order == "asc",
    )


def described_file(file: File) -> dict[str, Any]:
    """Return a file as its caller sees it."""
    return {
        "id": file.id,
        "object": "file",
        "bytes": file.bytes,
        "created_at": file.created_at,
        "expires_at": file.expires,
        "filename": file.filename,
        "purpose": file.purpose,
        "status": "processed",
        "status_details": None,
    }


_TIMES: Final = (
    "in_progress_at",
    "expires_at",
    "finalizing_at",
    "completed_at",
    "failed_at",
    "expired_at",
    "cancelling_at",
    "cancelled_at",
)


def described_batch(batch: Batch) -> dict[str, Any]:
    """Return a batch as its caller sees it."""
    return {
        "id": batch.id,
        "object": "batch",
        "endpoint": batch.endpoint,
        "model": batch.model or None,
        "errors": {"object": "list", "data": batch.errors} if batch.errors else None,
        "input_file_id": batch.input_file,
        "completion_window": WINDOW,
        "status": batch.status,
        "output_file_id": batch.output_file or None,
        "error_file_id": batch.error_file or None,
        "created_at": batch.created_at,
        **{name: getattr(batch, name) or None for name in _TIMES},
        "request_counts": {"total": batch.total, "completed": batch.completed, "failed": batch.failed},
        "usage": batch.usage,
        "metadata": batch.metadata,
    }


def listed(page: Page[Any], shown: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return a page of a list."""
    first, last = (shown[0]["id"], shown[-1]["id"]) if shown else (None, None)
    return {"object": "list", "data": shown, "first_id": first, "last_id": last, "has_more": page.has_more}
