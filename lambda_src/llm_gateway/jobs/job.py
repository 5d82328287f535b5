"""A job, as its table's item holds it, and where its objects are."""

import hashlib
import time
import uuid
from collections.abc import Sequence
from typing import Any, Literal, get_args

import msgspec

from llm_gateway.aws.dynamodb import Item
from llm_gateway.identity.caller import Caller
from llm_gateway.tables import (
    JOB_ALIAS,
    JOB_EVENT,
    JOB_OPEN,
    JOB_STATUS,
    JOB_TENANT,
    JOB_VERSION,
    JOBS,
    JOBS_BY_OWNER,
    JOBS_KEPT_DAYS,
    JOBS_PREFIX,
)

Status = Literal["queued", "running", "succeeded", "failed", "cancelled"]
STATUSES: tuple[Status, ...] = get_args(Status)
ENDED = frozenset[Status]({"succeeded", "failed", "cancelled"})


class Job(msgspec.Struct, frozen=True):
    """One job.

    `owner` is who may see it, `caller` who it is answered for. `fingerprint` is that of the request that submitted it.
    `created`, `started` and `ended` are times such as 2026-11-30T19:02:44.123Z; empty: not yet. `expires` is in seconds since
    the epoch, as is `lease`: until then, a running job belongs to its run alone. `run` is the run's id, and `message` that of
    the queue's message by which it got the job. `attempts` counts runs, `tries` those since it was last submitted or redriven
    that were not postponed, `waits` how often it had to wait for the next one since then, and `version` the changes of the
    status. `due`: a job that waits is not run before, in seconds since the epoch. `cancel`: its caller wants it stopped.
    `is_redrivable`: it failed, and its message is, or will be, a dead letter; once that is sent back, it is run again.
    """

    id: str
    owner: str
    caller: Caller
    alias: str
    fingerprint: str
    created: str
    expires: int
    status: Status = "queued"
    started: str = ""
    ended: str = ""
    run: str = ""
    message: str = ""
    lease: float = 0
    attempts: int = 0
    tries: int = 0
    waits: int = 0
    due: float = 0
    version: int = 1
    cancel: bool = False
    is_redrivable: bool = False
    error: dict[str, Any] | None = None
    usage: dict[str, Any] | None = None

    @property
    def request_key(self) -> str:
        """The key of the object that holds what is asked."""
        return f"{self._objects}/request.json"

    @property
    def result_key(self) -> str:
        """The key of the object that holds the answer."""
        return f"{self._objects}/result.json"

    @property
    def _objects(self) -> str:
        """Another request with the same idempotency key, and the same one after its job has expired, has other objects."""
        return f"{JOBS_PREFIX}{self.id}/{self.created.translate(_NO_PUNCTUATION)}-{self.fingerprint}"


_NO_PUNCTUATION = str.maketrans("", "", "-:.")


def new_job(caller: Caller, alias: str, asked: Any, now: float, *, key: str = "") -> Job:
    """Return a job that begins to exist now. See `new_jobs`."""
    return new_jobs(caller, [alias], asked, now, key=key)[0]


def new_jobs(caller: Caller, aliases: Sequence[str], asked: Any, now: float, *, key: str = "") -> list[Job]:
    """Return the jobs of one request, which begin to exist now.

    Args:
        aliases: That of each job.
        asked: The body of the request, with all of its jobs.
        key: Its idempotency key: the same caller's same key finds the same jobs.
    """
    owner, fingerprint = owner_of(caller), _digest(asked)
    created, expires = timestamp(now), int(now) + JOBS_KEPT_DAYS * 86_400
    ids = [_digest([owner, key, index])[:32] if key else uuid.uuid4().hex for index in range(len(aliases))]
    return [
        Job(f"job_{id}", owner, caller, alias, fingerprint, created, expires) for id, alias in zip(ids, aliases, strict=True)
    ]


def owner_of(caller: Caller) -> str:
    """Return who may see the jobs that a caller submits: the same key, token's subject or role, whatever its session."""
    return _digest([caller.tenant, caller.principal])


def timestamp(seconds: float) -> str:
    """Return a time in UTC with milliseconds: the order of such texts is that of time."""
    thousandths = int(seconds * 1000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(thousandths // 1000)) + f".{thousandths % 1000:03}Z"


# What each field is called in the item, where it is not the field's own name, and the DynamoDB type of its value.
_NAMES = {
    "id": JOBS.hash_key,
    "owner": JOBS_BY_OWNER.hash_key,
    "created": JOBS_BY_OWNER.sort_key,
    "expires": JOBS.ttl_attribute,
    "alias": JOB_ALIAS,
    "status": JOB_STATUS,
    "version": JOB_VERSION,
    "is_redrivable": "redrivable",
}
_NUMBERS = ("expires", "lease", "attempts", "tries", "waits", "due", "version")
_BOOLEANS = ("cancel", "is_redrivable")
_DOCUMENTS = ("caller", "error", "usage")


def item_of(job: Job) -> Item:
    """Return the item of a job that is new."""
    item: Item = {JOB_TENANT: {"S": job.caller.tenant}, JOB_EVENT: {"S": event_of(job.status)}, JOB_OPEN: {"S": job.owner}}
    for name in job.__struct_fields__:
        value = getattr(job, name)
        if value:
            item[attribute(name)] = typed(name, value)
    return item


def job_of(item: Item) -> Job:
    """Return the job of an item."""
    fields: dict[str, Any] = {}
    for name in Job.__struct_fields__:
        if (value := item.get(attribute(name))) is not None:
            ((kind, read),) = value.items()
            fields[name] = float(read) if kind == "N" else msgspec.json.decode(read) if name in _DOCUMENTS else read
    return msgspec.convert(fields, Job, strict=False)


def attribute(field: str) -> str:
    """Return the name of a field's attribute."""
    return _NAMES.get(field, field)


def typed(field: str, value: Any) -> dict[str, Any]:
    """Return the attribute's value of a field."""
    if field in _NUMBERS:
        return {"N": str(value)}
    if field in _BOOLEANS:
        return {"BOOL": value}
    return {"S": msgspec.json.encode(value).decode() if field in _DOCUMENTS else value}


def event_of(status: Status) -> str:
    """Return the name of the event that says that a job has this status."""
    return {"queued": "job.accepted", "running": "job.started"}.get(status, f"job.{status}")


def _digest(value: Sequence[Any] | Any) -> str:
    return hashlib.sha256(msgspec.json.encode(value, order="sorted")).hexdigest()
