"""A batch, as its table's item holds it, and where its objects are."""

import hashlib
import uuid
from collections.abc import Mapping
from typing import Any, Literal, get_args

import msgspec

from llm_gateway.aws.dynamodb import Item
from llm_gateway.batches.item import ItemType
from llm_gateway.identity.caller import Caller
from llm_gateway.jobs.job import owner_of, timestamp
from llm_gateway.tables import BATCH_ACCEPTED, BATCHES_PREFIX, JOB_ALIAS, JOB_EVENT, JOB_STATUS, JOB_TENANT, JOBS_KEPT_DAYS

# Those of OpenAI's batches. https://platform.openai.com/docs/api-reference/batch/object
Status = Literal["validating", "in_progress", "finalizing", "completed", "failed", "expired", "cancelling", "cancelled"]
Ended = Literal["completed", "failed", "expired", "cancelled"]
STATUSES: tuple[Status, ...] = get_args(Status)
ENDED_BY: tuple[Ended, ...] = get_args(Ended)
ENDED: frozenset[Status] = frozenset(ENDED_BY)
ENDPOINTS = ("/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/embeddings")
# The time that a batch has: OpenAI's one completion window.
WINDOW, WINDOW_SECONDS = "24h", 86_400
# The most requests of a batch, as at OpenAI.
MOST_LINES = 50_000


class Batch(msgspec.Struct, frozen=True):
    """One batch.

    `owner` is who may see it, `caller` who its requests are answered for. `fingerprint` is that of the request that created it.
    `created` is a time such as 2026-11-30T19:02:44.123Z; those that end with `_at` are in seconds since the epoch, 0: not yet.
    What is not done at `expires_at` is done no more, and from `expires` on the batch is not there. `execution` is that of the
    state machine which has claimed it. `cancel`: its caller wants it stopped. `refusals` is how many objects hold the lines
    that were refused before any was asked. `errors` are those of its file, as OpenAI's
    batches have them. `model` is the alias of its requests, empty where they have several. `output_seconds` is how long its
    files are kept, 0: as long as any. `version` counts the changes of the status.
    """

    id: str
    owner: str
    caller: Caller
    fingerprint: str
    endpoint: str
    input_file: str
    created: str
    expires_at: int
    expires: int
    status: Status = "validating"
    metadata: dict[str, str] | None = None
    output_seconds: int = 0
    execution: str = ""
    cancel: bool = False
    in_progress_at: int = 0
    finalizing_at: int = 0
    completed_at: int = 0
    failed_at: int = 0
    expired_at: int = 0
    cancelling_at: int = 0
    cancelled_at: int = 0
    total: int = 0
    completed: int = 0
    failed: int = 0
    refusals: int = 0
    model: str = ""
    usage: dict[str, Any] | None = None
    errors: list[dict[str, Any]] | None = None
    output_file: str = ""
    error_file: str = ""
    version: int = 1

    @property
    def created_at(self) -> int:
        return self.expires_at - WINDOW_SECONDS

    @property
    def chunks_key(self) -> str:
        """The key of the object that holds the chunks of the input file, one in a line."""
        return f"{self._objects}/chunks.jsonl"

    def result_key(self, line: int) -> str:
        """The key of the object that holds the answer to a line of the input file."""
        return f"{self._objects}/results/{line}.json"

    def refused_key(self, number: int) -> str:
        """The key of an object that holds lines which were refused, as they will stand in the error file."""
        return f"{self._objects}/refused/{number}.jsonl"

    @property
    def _objects(self) -> str:
        """The same request, once its batch has expired, has other objects."""
        return f"{BATCHES_PREFIX}{self.id}/{self.created_at}"


def new_batch(
    caller: Caller,
    asked: Mapping[str, Any],
    now: float,
    *,
    endpoint: str,
    input_file: str,
    metadata: dict[str, str] | None = None,
    output_seconds: int = 0,
    key: str = "",
) -> Batch:
    """Return a batch that begins to exist now.

    Args:
        asked: The body of the request.
        key: Its idempotency key: the same caller's same key finds the same batch.
    """
    owner, expires_at = owner_of_batches(caller), int(now) + WINDOW_SECONDS
    return Batch(
        id=f"batch_{digest([owner, key])[:32] if key else uuid.uuid4().hex}",
        owner=owner,
        caller=caller,
        fingerprint=digest(asked),
        endpoint=endpoint,
        input_file=input_file,
        created=timestamp(now),
        expires_at=expires_at,
        expires=expires_at + JOBS_KEPT_DAYS * 86_400,
        metadata=metadata,
        output_seconds=output_seconds,
    )


def owner_of_batches(caller: Caller) -> str:
    """Return who may see the batches that a caller creates: the index lists them, and nothing else, by it."""
    return f"{owner_of(caller)}#batch"


def digest(value: Any) -> str:
    return hashlib.sha256(msgspec.json.encode(value, order="sorted")).hexdigest()


BATCHES = ItemType(Batch, {"status": JOB_STATUS, "model": JOB_ALIAS})


def item_of(batch: Batch) -> Item:
    """Return the item of a batch that is new. Its events are made of the attributes of a job's."""
    named: Item = {
        JOB_TENANT: {"S": batch.caller.tenant},
        JOB_EVENT: {"S": BATCH_ACCEPTED},
        JOB_ALIAS: {"S": batch.model},
    }
    return named | BATCHES.item(batch)


def batch_of(item: Item) -> Batch:
    """Return the batch of an item."""
    return BATCHES.struct(item)


def event_of(status: Status) -> str:
    """Return the name of the event that says that a batch, which is not new, has this status."""
    return "batch.started" if status == "in_progress" else f"batch.{status}"
