"""The states of jobs. Each change is one conditional write, so it is made once, however often a message comes.

    queued → running → succeeded | failed | cancelled
    queued → cancelled
    running → queued            to be tried again later, or requeued by an operator: its worker has been dead for long
    queued → queued             requeued by an operator: its message was lost
    running → running           of another run, once the lease is over: the worker is dead
    failed → running            once its message, which was a dead letter, has been sent back: it is another message then

A run owns its job while its lease lasts, and changes it only as long as the job still names the run. A write may be carried out
although its answer is lost, and is then made again: whoever finds its own change there has made it.
"""

import time
from collections.abc import Callable
from typing import Any

from llm_gateway import errors
from llm_gateway.aws.dynamodb import ConditionFailed, DynamoDB, Item, Update
from llm_gateway.identity.caller import Caller
from llm_gateway.jobs.job import ENDED, Job, Status, attribute, event_of, item_of, job_of, owner_of, timestamp, typed
from llm_gateway.tables import JOB_EVENT, JOB_OPEN, JOBS, JOBS_BY_OWNER, JOBS_OPEN

# Seconds for which a job belongs to a run that says no more that it lives.
LEASE_SECONDS = 60.0
# The most reads of the index for one page: a filter may leave little of each.
_MOST_READS = 10
_INDEX_KEY = JOBS.hash_key, JOBS_BY_OWNER.hash_key, JOBS_BY_OWNER.sort_key


class LeaseLost(Exception):
    """The job belongs to another run, or has ended. `job` is what it is now, None if there is none."""

    def __init__(self, job: Job | None) -> None:
        super().__init__("the job belongs to another run")
        self.job = job


class JobTable:
    """The table. Its methods raise `DynamoDBError` or `HttpError`. `clock` gives seconds since the epoch."""

    def __init__(self, dynamodb: DynamoDB, table: str, *, clock: Callable[[], float] = time.time) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self.clock = clock

    # For whoever submits and reads.

    async def add(self, job: Job) -> Job:
        """Write a new job, and return it, or the one that the same request has submitted before. Raises the error 409."""
        try:
            await self._dynamodb.put_item(
                self._table,
                item_of(job),
                # TTL deletes an expired job days later.
                condition="attribute_not_exists(#job) OR #expires <= :now",
                names={"#job": JOBS.hash_key, "#expires": JOBS.ttl_attribute},
                values={":now": typed("expires", int(self.clock()))},
                item_on_failure=True,
            )
        except ConditionFailed as failed:
            known = job_of(failed.item)
            return job if known == job else _of_the_same_request(known, job)
        return job

    async def submitted(self, job: Job) -> Job | None:
        """Return the job that the same request has submitted before, None if there is none. Raises the error 409."""
        known = await self.get(job.id)
        return None if known is None else _of_the_same_request(known, job)

    async def get(self, id: str) -> Job | None:
        """Return the job of that id, None if there is none, or it has expired."""
        item = await self._dynamodb.get_item(self._table, _key(id), consistent=True)
        return None if item is None or (job := job_of(item)).expires <= self.clock() else job

    async def page(
        self, caller: Caller, status: Status | None, limit: int, after: tuple[str, str] | None
    ) -> tuple[list[Job], tuple[str, str] | None]:
        """Return jobs of the caller, the newest first, and where the next page begins, None where there is none.

        Args:
            after: The `created` and the id of the job after which the page begins.
        """
        owner, found, position = owner_of(caller), list[Job](), after
        start: Item | None = None if after is None else _index_key(owner, *after)
        for _ in range(_MOST_READS):
            items, start = await self._dynamodb.query_index(
                self._table,
                JOBS_BY_OWNER.name,
                "#owner = :owner",
                {":owner": {"S": owner}},
                names={"#owner": JOBS_BY_OWNER.hash_key},
                start=start,
                limit=limit,
            )
            for place, job in enumerate(map(job_of, items), 1):
                position = job.created, job.id
                if job.expires > self.clock() and status in (None, job.status):
                    found.append(job)
                    if len(found) == limit:
                        return found, None if start is None and place == len(items) else position
            if start is None:
                return found, None
        return found, position

    async def count_open(self, owner: str, most: int) -> int:
        """Return how many jobs of an owner are queued or running; of more than `most`, any number above it.

        Jobs that were written a moment ago may be missing: an index lags behind its table.
        """
        return await self._dynamodb.count_index(
            self._table,
            JOBS_OPEN.name,
            "#owner = :owner",
            {":owner": {"S": owner}, ":now": typed("expires", int(self.clock()))},
            names={"#owner": JOB_OPEN, "#expires": JOBS.ttl_attribute},
            only="#expires > :now",  # TTL deletes days later
            most=most,
        )

    async def cancel(self, job: Job) -> Job:
        """Cancel a job, and return what it is then: cancelled if it waits, to be cancelled soon if it runs; one that has ended
        stays as it is, and is run no more if it has failed."""
        while job.is_redrivable or (job.status not in ENDED and not (job.cancel and job.status == "running")):
            change = Change(job)
            if job.is_redrivable:
                change.remove("is_redrivable")
            elif job.status == "queued":
                self._end(change, "cancelled")
            else:
                change.set("cancel", True)
            try:
                return await self._write(change)
            except LeaseLost as lost:  # it has changed meanwhile; it cannot do so for ever, for its tries are counted
                if lost.job is None:
                    return job
                job = lost.job
        return job

    # For a worker.

    async def claim(self, id: str, run: str, message: str) -> Job | None:
        """Begin a run. Returns the job: it is the run's own if it names that run. Any other is as it is: it has ended, another
        run has it, it was cancelled, or it is not due yet. None: there is no such job, or it has expired.

        Args:
            message: The id of the queue's message. The one with which the job has failed does not run it again.
        """
        change = Change(None)
        status, lease, now = change.name("status"), change.name("lease"), self.clock()
        due, at = change.name("due"), change.value("due", now)
        waiting = f"{status} = {change.value('status', 'queued')} AND (attribute_not_exists({due}) OR {due} <= {at})"
        left = f"{status} = {change.value('status', 'running')} AND {lease} < {at}"
        failed = (
            f"{status} = {change.value('status', 'failed')} AND attribute_exists({change.name('is_redrivable')})"
            f" AND {change.name('message')} <> {change.value('message', message)}"
        )
        free = f"attribute_not_exists({change.name('cancel')}) AND (({waiting}) OR ({left}) OR ({failed}))"
        change.update.conditions.append(free)
        change.update.conditions.append(f"{change.name('expires')} > {change.value('expires', int(now))}")
        change.set("status", "running")
        change.set_event("running")
        for field, value in {"run": run, "message": message, "lease": now + LEASE_SECONDS}.items():
            change.set(field, value)
        started = change.name("started")
        change.update.sets.append(f"{started} = if_not_exists({started}, {change.value('started', timestamp(now))})")
        change.add("attempts", 1)
        change.add("tries", 1)
        change.remove("ended", "error", "is_redrivable", "due")
        # It was open, unless it is redriven.
        change.update.sets.append(f"{change.update.name(JOB_OPEN)} = {change.name('owner')}")
        try:
            return await self._write(change, id)
        except LeaseLost as lost:
            return None if lost.job is None or lost.job.expires <= now else lost.job

    async def renew(self, job: Job) -> Job:
        """Keep a running job for longer, and return what it is now. Raises `LeaseLost`."""
        change = Change(job)
        change.set("lease", self.clock() + LEASE_SECONDS)
        return await self._write(change, owned=lambda known: known.status == "running")

    async def finish(
        self,
        job: Job,
        status: Status,
        *,
        error: dict[str, Any] | None = None,
        usage: dict[str, Any] | None = None,
        is_redrivable: bool = False,
    ) -> Job:
        """End a run's job, as cancelled where that was wanted meanwhile. Returns what it is then. Raises `LeaseLost`."""
        change = Change(job)
        if status != "cancelled":
            change.update.conditions.append(f"attribute_not_exists({change.name('cancel')})")
        self._end(change, status, error=error, usage=usage)
        if is_redrivable:
            change.set("is_redrivable", True)
        try:
            return await self._write(change, owned=lambda known: known.status == status)
        except LeaseLost as lost:
            if status == "cancelled" or not _is_still_run(lost.job, job):
                raise
            return await self.finish(job, "cancelled", usage=usage)

    async def release(self, job: Job, error: dict[str, Any], *, due: float, is_postponed: bool) -> Job:
        """Give a job back to be run when it is `due`, or end it where it was to be cancelled. Raises `LeaseLost`.

        Args:
            is_postponed: This run does not count as a try.
        """
        change = Change(job)
        change.update.conditions.append(f"attribute_not_exists({change.name('cancel')})")
        change.set("status", "queued")
        change.set("error", error)
        change.set("due", due)
        change.add("waits", 1)
        change.remove("lease")
        if is_postponed:
            change.add("tries", -1)
        try:
            # The run stays there, so that a repeated write finds itself.
            return await self._write(change, owned=lambda known: known.status == "queued")
        except LeaseLost as lost:
            if not _is_still_run(lost.job, job):
                raise
            return await self.finish(job, "cancelled")

    async def end_cancelled(self, job: Job) -> Job:
        """End a job that was to be cancelled, and whose worker is dead. Returns what it is then."""
        change = Change(job)
        lease = change.name("lease")
        change.update.conditions.append(
            f"(attribute_not_exists({lease}) OR {lease} < {change.value('lease', self.clock())})"  # it may be requeued
        )
        self._end(change, "cancelled")
        try:
            return await self._write(change)
        except LeaseLost as lost:
            return lost.job or job

    def _end(
        self, change: "Change", status: Status, *, error: dict[str, Any] | None = None, usage: dict[str, Any] | None = None
    ) -> None:
        change.set("status", status)
        change.set_event(status)
        change.set("ended", timestamp(self.clock()))
        change.remove("lease", "tries", "waits", "due", *(() if error else ("error",)))
        change.update.removes.append(change.update.name(JOB_OPEN))
        if error:
            change.set("error", error)
        if usage:
            change.set("usage", usage)

    async def _write(self, change: "Change", id: str = "", *, owned: Callable[[Job], bool] = lambda known: False) -> Job:
        """Make a change. Raises `LeaseLost` where its condition does not hold, unless the job is what it is to be."""
        update = change.update
        try:
            item = await self._dynamodb.update_item(
                self._table,
                _key(id or change.job_id),
                update.expression(),
                condition=" AND ".join([f"attribute_exists({JOBS.hash_key})", *update.conditions]),
                names=update.names,
                values=update.values,
                item_on_failure=True,
            )
        except ConditionFailed as failed:
            known = job_of(failed.item) if failed.item else None
            if known is not None and known.run == change.run and owned(known):
                return known
            raise LeaseLost(known) from None
        return job_of(item)


class Change:
    """A change of a job, which must still have the status and the run of the one that is given."""

    def __init__(self, job: Job | None) -> None:
        self.update = Update()
        self.job_id, self.run = ("", "") if job is None else (job.id, job.run)
        self._names: dict[str, str] = {}
        if job is not None:
            self.update.conditions.append(f"{self.name('status')} = {self.value('status', job.status)}")
            run = self.name("run")
            same = f"{run} = {self.value('run', job.run)}" if job.run else f"attribute_not_exists({run})"
            self.update.conditions.append(same)

    def name(self, field: str) -> str:
        if field not in self._names:
            self._names[field] = self.update.name(attribute(field))
        return self._names[field]

    def value(self, field: str, value: Any) -> str:
        ((kind, text),) = typed(field, value).items()
        return self.update.value(kind, text)

    def set(self, field: str, value: Any) -> None:
        self.update.sets.append(f"{self.name(field)} = {self.value(field, value)}")
        if field == "status":
            self.add("version", 1)

    def add(self, field: str, number: int) -> None:
        self.update.adds.append(f"{self.name(field)} {self.value(field, number)}")

    def set_event(self, status: Status) -> None:
        self.update.sets.append(f"{self.update.name(JOB_EVENT)} = {self.update.value('S', event_of(status))}")

    def remove(self, *fields: str) -> None:
        self.update.removes += [self.name(field) for field in fields]


def requeue(now: float, since: float) -> Update:
    """Return the change by which an operator queues a job anew that has been stuck since then: that should have run, or whose
    worker has renewed no lease. It is accepted again, so that it gets another message. It is due at once, and is stuck no more.

    Args:
        now: By the operator's clock, which may be minutes off: a worker that finds the job not due yet has its message wait.
    """
    change = Change(None)
    status, due, at = change.name("status"), change.name("due"), change.value("due", int(since))
    waiting = f"{status} = {change.value('status', 'queued')}"
    left = f"{status} = {change.value('status', 'running')} AND {change.name('lease')} < {at}"
    change.update.conditions += [
        f"{change.name('expires')} > {change.value('expires', int(now))}",
        f"(attribute_not_exists({due}) OR {due} < {at})",
        f"({waiting} OR ({left}))",
    ]
    change.set("status", "queued")
    change.set_event("queued")
    change.set("due", int(now))
    change.remove("lease")
    return change.update


def _of_the_same_request(known: Job, job: Job) -> Job:
    if known.fingerprint != job.fingerprint:
        raise errors.idempotency_key_reused(param="Idempotency-Key")
    return known


def _is_still_run(known: Job | None, job: Job) -> bool:
    """Whether a change of a run's job was refused although it is the run's: it is to be cancelled."""
    return known is not None and known.run == job.run and known.status == "running"


def _key(id: str) -> Item:
    return {JOBS.hash_key: {"S": id}}


def _index_key(owner: str, created: str, id: str) -> Item:
    return {name: {"S": value} for name, value in zip(_INDEX_KEY, (id, owner, created), strict=True)}
