"""A file, as its table's item holds it, and where its content is."""

import uuid
from typing import Literal

import msgspec

from llm_gateway.batches.batch import Batch, digest
from llm_gateway.batches.item import ItemType
from llm_gateway.identity.caller import Caller
from llm_gateway.jobs.job import owner_of, timestamp
from llm_gateway.tables import FILES_KEPT_DAYS, FILES_PREFIX

Purpose = Literal["batch", "batch_output"]
KEPT_SECONDS = FILES_KEPT_DAYS * 86_400


class File(msgspec.Struct, frozen=True):
    """One file, which `owner` may see, of so many `bytes` and, if it was uploaded, `lines`. From `expires` on, in seconds since
    the epoch, it is not there."""

    id: str
    owner: str
    filename: str
    bytes: int
    purpose: Purpose
    created: str
    created_at: int
    expires: int
    lines: int = 0

    @property
    def key(self) -> str:
        """The key of the object that holds its content."""
        return f"{FILES_PREFIX}{self.id}"


FILES = ItemType(File)


def new_file(caller: Caller, filename: str, bytes: int, now: float, *, lines: int = 0, seconds: int = 0) -> File:
    """Return a file of requests that begins to exist now, for so many seconds; 0: for as long as files are kept."""
    file = _file(f"file-{uuid.uuid4().hex}", owner_of_files(caller), filename, bytes, "batch", now, seconds)
    return msgspec.structs.replace(file, lines=lines)


def file_of_batch(batch: Batch, kind: Literal["output", "error"], bytes: int, now: float) -> File:
    """Return the file of a batch's answers or errors. However often it is made, it has the same id, and so the same key."""
    id = f"file-{digest([batch.id, batch.created, kind])[:32]}"
    filename = f"{batch.id}_{kind}.jsonl"
    return _file(id, owner_of_files(batch.caller), filename, bytes, "batch_output", now, batch.output_seconds)


def owner_of_files(caller: Caller) -> str:
    """Return who may see the files that a caller uploads: the index lists them, and nothing else, by it."""
    return f"{owner_of(caller)}#file"


def _file(id: str, owner: str, filename: str, bytes: int, purpose: Purpose, now: float, seconds: int) -> File:
    expires = int(now) + min(seconds or KEPT_SECONDS, KEPT_SECONDS)
    return File(id, owner, filename, bytes, purpose, timestamp(now), int(now), expires)
