"""Runs jobs: each message of the queue leads to one of these ends.

- its job is run, and ends, or has ended before: the message is done
- it fails for a reason that may pass: the job waits again, for longer each time, and the message is done: another one like it
  was sent, which comes when the job is due. Where it was only postponed (by a limit, a switch, or something that is not
  available), that is no try of it, and goes on until a day before it expires
- it comes before its job is due: another one like it is sent, and so is one whose job was queued anew by its event
- that, and its tries are used up, or an operator has to mend something: the job has failed, and the message is sent to the
  dead-letter queue; once it is sent back from there, the job is run again
- another run has the job: another message of the same job is done, and the same message waits until that run's lease is over

A message that waits with a delay is none of those in flight, of which a queue has 120,000 at most; above that it hands out no
more. It is sent before the job is given back, and the message in hand is done after that. So a worker that dies between them
leaves two messages, and whichever comes second is done: by the first one, the job runs, ends, or goes on by one of that run.

A worker hides its messages for little longer than a lease, in the place of the queue's own time, which is far longer. While a
job runs, its lease is renewed, and its message stays hidden for as long. A worker that dies renews neither, so another one gets
the message soon; this was a try. A run that can renew its lease no more is given up before the lease is over.
"""

import asyncio
import random
import secrets
from collections.abc import Sequence
from typing import Any

import msgspec

from llm_functions.api_formats.jobs import parse, render_complete
from llm_gateway import errors
from llm_gateway.aws.sqs import Sqs, SqsError
from llm_gateway.errors import GatewayError
from llm_gateway.gateway import Gateway
from llm_gateway.http.errors import HttpError
from llm_gateway.jobs.job import ENDED, Job
from llm_gateway.jobs.retries import is_postponed, may_pass
from llm_gateway.jobs.store import JobStore, StoreErrors, put_answer, unavailable
from llm_gateway.jobs.table import LEASE_SECONDS, LeaseLost
from llm_gateway.pipeline import answer
from llm_gateway.stages.cancel import Stop
from llm_gateway.tables import JOB_VERSION
from llm_gateway.telemetry import stacktrace, write_log, write_warning

# A lease is renewed so often that two tries may fail.
RENEW_SECONDS = LEASE_SECONDS / 4
# A message stays hidden for a little longer than its lease lasts.
_MARGIN_SECONDS = 5
HIDDEN_SECONDS = LEASE_SECONDS + _MARGIN_SECONDS
# Seconds before the end of the invocation at which an answer times out, so that what became of it can still be written.
END_SECONDS = 20.0
# Seconds before the next try: at most so many after the first one, twice as many after each further one. At least half of them.
FIRST_BACKOFF, LONGEST_BACKOFF = 10.0, 890.0
# SQS delays a message no longer. One that is to come later is sent again.
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-delay-queues.html
LONGEST_DELAY = 900
# Of an error that lasts longer, the job fails. Where no message can be sent, the one in hand is hidden, for 12 hours at most.
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-visibility-timeout.html
LONGEST_WAIT = 11 * 3600
# Seconds before a job expires from which on it is postponed no more: so long, its dead letter may have it run again.
LAST_SECONDS = 24 * 3600
_CALL_SECONDS = 3.0
# Seconds for which a batch waits for newer feature flags.
_FLAGS_SECONDS = 3.0


class Queue:
    """The queue that the messages come from, and the one for the dead letters among them."""

    def __init__(self, sqs: Sqs, url: str, dead_letters_url: str) -> None:
        self._sqs = sqs
        self._url = url
        self._dead_letters_url = dead_letters_url

    async def send_dead_letter(self, body: str) -> bool:
        """Send what a message says to the dead letters. Returns whether that was done: the message itself is done then."""
        try:
            await self._sqs.send_message(self._dead_letters_url, body, timeout=_CALL_SECONDS)
        except (SqsError, HttpError) as error:
            write_warning(f"a dead letter cannot be sent: {type(error).__name__}: {error}")
            return False
        return True

    async def send_later(self, body: str, seconds: float) -> bool:
        """Send a message that comes after so many seconds, or after the longest delay. Returns whether that was done."""
        delay = min(int(seconds) + 1, LONGEST_DELAY)  # not a moment too early
        try:
            await self._sqs.send_message(self._url, body, delay=delay, timeout=_CALL_SECONDS)
        except (SqsError, HttpError) as error:
            write_warning(f"a message cannot be sent: {type(error).__name__}: {error}")
            return False
        return True

    async def hide(self, receipt: str, seconds: float) -> None:
        """Hide a message for so long from now on. If that fails, it stays hidden for as long as it was."""
        try:
            await self._sqs.change_visibility(self._url, receipt, int(seconds), timeout=_CALL_SECONDS)
        except (SqsError, HttpError) as error:
            write_warning(f"the visibility of a message cannot be changed: {type(error).__name__}: {error}")


class Message(msgspec.Struct, frozen=True):
    """One message. `receives` counts how often the queue has handed it out. `sent_by` is the run that has sent it; empty: it is
    the event of the job. `version` is what the event says of the job's version."""

    id: str
    receipt: str
    body: str
    job: str
    receives: int
    sent_by: str
    version: int


class JobRunner:
    """Runs jobs. A process has one. `max_tries` is how often a job is tried that fails."""

    def __init__(self, gateway: Gateway, store: JobStore, queue: Queue, max_tries: int, *, debug: bool = False) -> None:
        self._gateway = gateway
        self._store = store
        self._table = store.table
        self._queue = queue
        self._max_tries = max_tries
        self._debug = debug

    async def run(self, records: Sequence[Any], seconds: float, trace: str = "") -> dict[str, Any]:
        """Run the jobs of a batch, and return the messages that are not done, as Lambda wants them named.

        Args:
            records: Those of the event.
            seconds: How long the function may still run.
            trace: X-Ray's header of the event.
        """
        deadline = asyncio.get_running_loop().time() + seconds - END_SECONDS
        await asyncio.gather(*(self._queue.hide(record["receiptHandle"], HIDDEN_SECONDS) for record in records))
        self._gateway.current()  # newer feature flags are fetched
        if self._gateway.flags is not None:  # what is switched off, or forbidden, is not begun
            await self._gateway.flags.fetched(_FLAGS_SECONDS)

        async def is_done(record: Any) -> bool:
            try:
                done = await self._is_done(record, deadline, trace)
            except Exception as error:  # the other messages of the batch are none the worse
                write_log({"level": "ERROR", "message": stacktrace(error), "request_id": str(record["messageId"])})
                return False
            if done and len(records) > 1:  # it is deleted when the whole batch is done, and must not come again before
                await self._queue.hide(record["receiptHandle"], seconds)
            return done

        try:
            done = await asyncio.gather(*map(is_done, records))
        finally:
            if self._gateway.tracer is not None:
                await self._gateway.tracer.sent()
        kept = [record["messageId"] for record, is_done in zip(records, done, strict=True) if not is_done]
        return {"batchItemFailures": [{"itemIdentifier": id} for id in kept]}

    async def _is_done(self, record: Any, deadline: float, trace: str) -> bool:
        """Do what a message asks for. Returns whether it is done."""
        try:
            message = _message(record)
        except (KeyError, TypeError, ValueError) as error:
            write_warning(f"a message that names no job: {type(error).__name__}: {error}", request_id=str(record["messageId"]))
            return await self._queue.send_dead_letter(record["body"])
        if self._gateway.tracer is not None:
            self._gateway.tracer.begin_event(trace)
        run = f"{message.job}-{secrets.token_hex(4)}"
        try:
            job = await self._table.claim(message.job, run, message.id)
            if job is None:  # it has expired
                return True
            if job.run == run:
                return await self._keep_while(job, message, deadline)
            return await self._is_done_elsewhere(job, message)
        except LeaseLost:
            write_warning("the job belongs to another run", request_id=run)
        except StoreErrors as error:
            write_warning(f"{type(error).__name__}: {error}", request_id=run)
            await self._queue.hide(message.receipt, backoff(message.receives, 0))
        return False

    async def _is_done_elsewhere(self, job: Job, message: Message) -> bool:
        left = job.lease - self._table.clock()
        if job.cancel and job.status not in ENDED and left < 0:  # its worker is dead
            job = await self._table.end_cancelled(job)
        is_newest = message.version == job.version  # an operator has requeued the job
        if message.id != job.message and message.sent_by != job.run and not is_newest:  # the job goes on by another one
            return True
        if job.status == "queued":
            return await self._is_sent_later(job, message, job.due - self._table.clock())
        if job.is_redrivable:  # with this message; whether it is a dead letter already, nobody knows
            return await self._queue.send_dead_letter(message.body)
        if job.status == "running":
            await self._queue.hide(message.receipt, max(left, 0) + _MARGIN_SECONDS)
        return job.status in ENDED

    async def _is_sent_later(self, job: Job, message: Message, seconds: float) -> bool:
        """Have a job's message come after so many seconds. Returns whether this one is done."""
        if await self._queue.send_later(_sent_by(job.run, message.body), seconds):
            return True
        await self._queue.hide(message.receipt, seconds)
        return False

    async def _keep_while(self, job: Job, message: Message, deadline: float) -> bool:
        """Run a job, and keep its lease and its message meanwhile. Returns whether the message is done. Raises `LeaseLost`."""
        stop = Stop()
        running = asyncio.create_task(self._run(job, message, stop, deadline))
        keeping = asyncio.create_task(self._keep(job, message, stop))
        try:
            await asyncio.wait((running, keeping), return_when=asyncio.FIRST_COMPLETED)
            if not running.done():
                await keeping  # raises
            pause = await running
        finally:
            for task in (running, keeping):
                task.cancel()
            await asyncio.gather(running, keeping, return_exceptions=True)
        if pause is not None:  # and not before: while the job runs, its message is hidden for a lease
            await self._queue.hide(message.receipt, pause)
        return pause is None

    async def _keep(self, job: Job, message: Message, stop: Stop) -> None:
        """Renew the lease, until it is lost. Asks for the job to be stopped when that is wanted."""
        run = job.run
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            try:
                job = await self._table.renew(job)
            except StoreErrors as error:
                write_warning(f"a lease is not renewed: {type(error).__name__}: {error}", request_id=run)
                if self._table.clock() + RENEW_SECONDS >= job.lease:
                    raise LeaseLost(None) from error
                continue
            if job.cancel:
                stop.request()
            await self._queue.hide(message.receipt, HIDDEN_SECONDS)

    async def _run(self, job: Job, message: Message, stop: Stop, deadline: float) -> float | None:
        """Run a job. Returns the seconds until its message is to come again; None: the message is done."""
        try:
            await self._answered(job, stop, deadline)
            return None
        except GatewayError as error:
            failure = error
        except StoreErrors as error:
            failure = unavailable(error)
        except LeaseLost:
            raise
        except Exception as error:
            write_log({"level": "ERROR", "message": stacktrace(error), "request_id": job.run})
            failure = errors.unexpected(error)
        if stop.requested:
            await self._table.finish(job, "cancelled")
            return None
        return await self._failed(job, message, failure)

    async def _answered(self, job: Job, stop: Stop, deadline: float) -> None:
        bucket = self._store.bucket
        # A worker that died may have left an answer: it is paid for, and is the job's.
        body = await bucket.get(job.result_key) if job.attempts > 1 else None
        if body is None:
            if job.tries > self._max_tries:  # its worker died with the last try
                lost = errors.retries_exhausted(
                    attempts=job.attempts - 1, reason="its worker ended before its answer was there"
                )
                lost.lasts = True
                raise lost
            asked = await bucket.get(job.request_key)
            if asked is None:
                raise errors.internal_error(detail="what the job asks is not in the bucket")
            endpoint, request = parse(msgspec.json.decode(asked))
            if (policy := self._gateway.current().policy) is not None:  # the rule may be newer than the job
                policy.check_job(job.caller)
            answering = answer(self._gateway, request, job.caller, job.run, deadline, stop=stop)
            _, body = await render_complete(endpoint, request, answering)
            if stop.requested:  # what has come of the answer was paid for
                await self._table.finish(job, "cancelled", usage=_decode(body).usage)
                return
            if not await self._put(job, body, deadline):  # its own write, of which the answer was lost, or a dead run's
                body = await bucket.get(job.result_key) or body
        ended = await self._table.finish(job, "succeeded", usage=_decode(body).usage)
        if ended.status == "cancelled":  # while the answer was written; it is kept no longer
            await bucket.put(job.result_key, b"{}")

    async def _put(self, job: Job, body: bytes, deadline: float) -> bool:
        """Write the answer of a job as `Bucket.put_new` does. Raises the error of a run that was paid for."""
        try:
            return await put_answer(self._store.bucket, job.result_key, body, deadline)
        except StoreErrors as error:
            failure = unavailable(error)
            failure.spent = True
            raise failure from error

    async def _failed(self, job: Job, message: Message, error: GatewayError) -> float | None:
        """Do what follows an error. Returns as `_run` does."""
        usage = None if error.usage is None else msgspec.to_builtins(error.usage)
        failure: dict[str, Any] = error.body(job.run, debug=self._debug)["error"]
        if may_pass(error, LONGEST_WAIT):
            postponed = is_postponed(error)
            ends = job.expires - self._table.clock() <= LAST_SECONDS if postponed else job.tries >= self._max_tries
            if not ends:
                pause = backoff(job.waits + 1, error.retry_after or 0)
                due = self._table.clock() + pause
                is_sent = await self._queue.send_later(_sent_by(job.run, message.body), pause)
                job = await self._table.release(job, failure, due=due, is_postponed=postponed)
                return None if is_sent or job.status in ENDED else pause
            exhausted = errors.retries_exhausted(attempts=job.attempts, reason=f"the last time: {error.code}: {error.message}")
            exhausted.detail = error.detail
            failure = exhausted.body(job.run, debug=self._debug)["error"]
        # What is wrong on this side, an operator mends.
        ended = await self._table.finish(
            job, "failed", error=failure, usage=usage, is_redrivable=may_pass(error, LONGEST_WAIT) or error.status >= 500
        )
        if ended.is_redrivable and not await self._queue.send_dead_letter(message.body):
            return backoff(message.receives, 0)
        return None


def backoff(failures: int, retry_after: float) -> float:
    """Return the seconds before the next try after so many failures. Jobs that failed together come back apart."""
    most = min(FIRST_BACKOFF * 2 ** min(failures - 1, 9), LONGEST_BACKOFF)
    return max(1.0, retry_after) + most * (0.5 + random.random() / 2)  # noqa: S311


class _Answer(msgspec.Struct):
    """What is read of an answer, in any format."""

    usage: dict[str, Any] | None = None


_decode = msgspec.json.Decoder(_Answer).decode
# What the body of a message has besides the event, where a run has sent it.
_SENT_BY = "sent_by"


def _message(record: Any) -> Message:
    """Return what a record of the event holds. Raises `KeyError`, `TypeError` or `ValueError`."""
    body = record["body"]
    event = msgspec.json.decode(body)
    job, version = event["detail"]["job"], int(event["detail"].get(JOB_VERSION, 0))
    if not isinstance(job, str):
        raise TypeError("detail.job must be a string")
    receives = int(record["attributes"]["ApproximateReceiveCount"])
    return Message(record["messageId"], record["receiptHandle"], body, job, receives, str(event.get(_SENT_BY, "")), version)


def _sent_by(run: str, body: str) -> str:
    """Return the body of a message that a run sends in the place of its own."""
    return msgspec.json.encode({**msgspec.json.decode(body), _SENT_BY: run}).decode()
