"""The states of batches. Each change is one conditional write, so it is made once, however often it is asked for.

    validating → in_progress → finalizing → completed | failed | expired
    validating → cancelled | expired                                        where no execution has claimed it
    validating | in_progress | finalizing → cancelling → cancelled | failed
    all but the ended → failed | cancelled                                  long after it expired: its execution is gone

An execution of the state machine claims a batch for good, and only that one changes it from then on; its caller may have it
cancelled. A step that is repeated finds what it has done before, and goes on.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any

from llm_gateway import errors
from llm_gateway.aws.dynamodb import ConditionFailed, DynamoDB, Item, Update
from llm_gateway.batches.batch import BATCHES, ENDED, Batch, Ended, Status, batch_of, event_of, item_of, owner_of_batches
from llm_gateway.batches.open_batches import admit
from llm_gateway.batches.pages import Page, page_of
from llm_gateway.identity.caller import Caller
from llm_gateway.tables import BATCH_EXECUTION_SECONDS, JOB_EVENT, JOBS

NOT_WORKED_OFF: dict[str, Any] = {
    "code": "internal_error",
    "message": "The batch could not be worked off.",
    "param": None,
    "line": None,
}
# The states of a batch that is worked on, and may become finalizing or end.
_WORKED_ON: tuple[Status, ...] = ("validating", "in_progress", "finalizing", "cancelling")


class BatchTable:
    """The table. Its methods raise `DynamoDBError` or `HttpError`. `clock` gives seconds since the epoch."""

    def __init__(self, dynamodb: DynamoDB, table: str, *, clock: Callable[[], float] = time.time) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self.clock = clock

    # For whoever creates and reads.

    async def add(self, batch: Batch) -> Batch:
        """Write a new batch, and return it, or the one that the same request has created before. Raises the error 409."""
        try:
            await self._dynamodb.put_item(
                self._table,
                item_of(batch),
                # TTL deletes an expired batch days later.
                condition="attribute_not_exists(#id) OR #expires <= :now",
                names={"#id": JOBS.hash_key, "#expires": JOBS.ttl_attribute},
                values={":now": {"N": str(int(self.clock()))}},
                item_on_failure=True,
            )
        except ConditionFailed as failed:
            known = batch_of(failed.item)
            return batch if known == batch else _of_the_same_request(known, batch)
        return batch

    async def admit(self, batch: Batch, requests: int, *, batches: int, all_requests: int) -> None:
        """Count a batch that is about to be created. Raises the errors 429 and 503; `open_batches` says which."""
        await admit(self._dynamodb, self._table, self.clock, batch, requests, batches=batches, all_requests=all_requests)

    async def created(self, batch: Batch) -> Batch | None:
        """Return the batch that the same request has created before, None if there is none. Raises the error 409."""
        known = await self.get(batch.id)
        return None if known is None else _of_the_same_request(known, batch)

    async def get(self, id: str) -> Batch | None:
        """Return the batch of that id, None if there is none, or it is no longer kept."""
        item = await self._dynamodb.get_item(self._table, _key(id), consistent=True)
        return None if item is None or (batch := batch_of(item)).expires <= self.clock() else batch

    async def page(self, caller: Caller, limit: int, after: Batch | None) -> Page[Batch]:
        """Return batches of the caller, the newest first, after that one."""
        position = None if after is None else (after.created, after.id)
        owner, now = owner_of_batches(caller), self.clock()
        return await page_of(self._dynamodb, self._table, BATCHES, owner, limit, position, lambda batch: batch.expires > now)

    async def cancel(self, batch: Batch) -> Batch:
        """Cancel a batch, and return what it is then: cancelled where no execution has claimed it, else cancelling. One that
        has ended stays as it is."""
        while batch.status not in ENDED and not batch.cancel:
            change = _Change([batch.status], execution=batch.execution)
            if batch.status == "validating" and not batch.execution:
                change.set_status("cancelled", cancel=True, cancelling_at=self._now, cancelled_at=self._now)
            else:
                change.set_status("cancelling", cancel=True, cancelling_at=self._now)
            known = await self._write(batch.id, change)
            if known is None:
                return batch
            batch = known
        return batch

    async def expire(self, batch: Batch) -> Batch:
        """End a batch that no execution has claimed in its time, or whose execution is gone and has not ended it.

        Returns what it is then.
        """
        late = self.clock() - batch.expires_at
        if batch.status in ENDED or late < 0:
            return batch
        if batch.status == "validating" and not batch.execution:
            change = _Change(["validating"], execution="")
            change.set_status("expired", expired_at=self._now)
            return await self._write(batch.id, change) or batch
        if late < BATCH_EXECUTION_SECONDS:
            return batch
        return await self.end(
            batch, "cancelled" if batch.cancel else "failed", errors=None if batch.cancel else [NOT_WORKED_OFF]
        )

    # For the state machine.

    async def claim(self, id: str, execution: str) -> Batch | None:
        """Begin to work on a batch. Returns it if it is the execution's, now or since before, and has not ended; else None."""
        change = _Change(["validating"], execution="")
        change.update.conditions.append(f"{change.name('expires_at')} > {change.value('expires_at', self._now)}")
        # The event of a batch that is new is that of no change.
        change.set_status("validating", execution=execution)
        batch = await self._write(id, change)
        is_own = batch is not None and batch.execution == execution and batch.status not in ENDED
        return batch if is_own else None

    async def begin(self, batch: Batch, total: int, *, refused: int = 0, refusals: int = 0) -> Batch:
        """Begin to answer the requests, of which there are so many. Returns what the batch is then: it may be cancelling.

        Args:
            refused: How many of them are refused already.
            refusals: How many objects hold their lines.
        """
        change = _Change(["validating"], execution=batch.execution)
        change.set_status("in_progress", total=total, failed=refused, refusals=refusals, in_progress_at=self._now)
        return await self._write(batch.id, change) or batch

    async def is_cancelled(self, id: str) -> bool:
        """Whether a batch is to be cancelled, or is not there."""
        batch = await self.get(id)
        return batch is None or batch.cancel

    async def count(self, id: str, completed: int, failed: int) -> None:
        """Add to the requests that are done, as its caller sees while they are: at the end, all are counted anew."""
        change = _Change(["in_progress", "cancelling"])
        change.add(completed=completed, failed=failed)
        await self._write(id, change)

    async def finalize(self, batch: Batch) -> Batch:
        """Begin to write the files. Returns what the batch is then: it may be cancelling, and stays so."""
        change = _Change(["in_progress"], execution=batch.execution)
        change.set_status("finalizing", finalizing_at=self._now)
        return await self._write(batch.id, change) or batch

    async def end(
        self,
        batch: Batch,
        status: Ended,
        *,
        total: int | None = None,
        completed: int | None = None,
        failed: int | None = None,
        output_file: str = "",
        error_file: str = "",
        usage: dict[str, Any] | None = None,
        errors: Sequence[dict[str, Any]] | None = None,
        model: str = "",
    ) -> Batch:
        """End a batch; as cancelled where that was wanted meanwhile, unless it has failed. Returns what it is then.

        Args:
            total: How many requests there are, of which `completed` have an answer and `failed` an error. None: as counted.
            errors: What is wrong with its file, as OpenAI's batches have it.
            model: The alias of its requests; empty where they have several.
        """
        counts = {"total": total, "completed": completed, "failed": failed}
        others = {"output_file": output_file, "error_file": error_file, "usage": usage, "errors": errors, "model": model}
        found = {name: value for name, value in counts.items() if value is not None}
        found |= {name: value for name, value in others.items() if value}
        change = _Change(_WORKED_ON, execution=batch.execution)
        if status not in ("cancelled", "failed"):
            change.update.conditions.append(f"attribute_not_exists({change.name('cancel')})")
        change.set_status(status, **{f"{status}_at": self._now}, **found)
        known = await self._write(batch.id, change)
        if known is None:
            return batch
        if known.status in ENDED or not known.cancel or status == "cancelled" or known.execution != batch.execution:
            return known
        return await self.end(
            batch,
            "cancelled",
            **{name: value for name, value in counts.items() if value is not None},
            output_file=output_file,
            error_file=error_file,
            usage=usage,
            errors=errors,
            model=model,
        )

    @property
    def _now(self) -> int:
        return int(self.clock())

    async def _write(self, id: str, change: "_Change") -> Batch | None:
        """Make a change where its conditions hold. Returns what the batch is then, None if there is none."""
        update = change.update
        try:
            item = await self._dynamodb.update_item(
                self._table,
                _key(id),
                update.expression(),
                condition=" AND ".join([f"attribute_exists({JOBS.hash_key})", *update.conditions]),
                names=update.names,
                values=update.values,
                item_on_failure=True,
            )
        except ConditionFailed as failed:
            return batch_of(failed.item) if failed.item else None
        return batch_of(item)


class _Change:
    """A change of a batch that has one of those statuses. `execution`: the one that has claimed it, "" for none; None: any."""

    def __init__(self, statuses: Sequence[Status], *, execution: str | None = None) -> None:
        self.update = Update()
        self._names: dict[str, str] = {}
        choices = ", ".join(self.value("status", status) for status in statuses)
        self.update.conditions.append(f"{self.name('status')} IN ({choices})")
        if execution is not None:
            name = self.name("execution")
            same = f"{name} = {self.value('execution', execution)}" if execution else f"attribute_not_exists({name})"
            self.update.conditions.append(same)

    def name(self, field: str) -> str:
        if field not in self._names:
            self._names[field] = self.update.name(BATCHES.attribute(field))
        return self._names[field]

    def value(self, field: str, value: Any) -> str:
        ((kind, text),) = BATCHES.value(field, value).items()
        return self.update.value(kind, text)

    def set_status(self, status: Status, **fields: Any) -> None:
        for field, value in {"status": status, **fields}.items():
            self.update.sets.append(f"{self.name(field)} = {self.value(field, value)}")
        self.add(version=1)
        self.update.sets.append(f"{self.update.name(JOB_EVENT)} = {self.update.value('S', event_of(status))}")

    def add(self, **numbers: int) -> None:
        self.update.adds += [f"{self.name(field)} {self.value(field, number)}" for field, number in numbers.items() if number]


def _of_the_same_request(known: Batch, batch: Batch) -> Batch:
    if known.fingerprint != batch.fingerprint:
        raise errors.idempotency_key_reused(param="Idempotency-Key")
    return known


def _key(id: str) -> Item:
    return {JOBS.hash_key: {"S": id}}
