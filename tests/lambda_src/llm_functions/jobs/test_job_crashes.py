"""Workers that die, or whose calls fail, at any call of the table, the bucket and the queue: no job is lost or doubled.

Everything is in the test's process, in time that leaps. A worker that dies does nothing any more, as after SIGKILL. An error
may come before a write is carried out or after it, and a client may repeat a write whose answer was lost.
"""

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, cast

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from llm_functions.job_runner import JobRunner
from llm_gateway import errors
from llm_gateway.aws.dynamodb import DynamoDB
from llm_gateway.aws.s3 import Bucket, S3Error
from llm_gateway.call import ModelCall
from llm_gateway.errors import GatewayError
from llm_gateway.events import Delta, Done, Event, Usage
from llm_gateway.gateway import Gateway
from llm_gateway.http.errors import ConnectError
from llm_gateway.identity.caller import Caller
from llm_gateway.jobs.job import ENDED, Job, job_of, new_job
from llm_gateway.jobs.store import JobStore
from llm_gateway.jobs.table import JobTable
from llm_gateway.routes import Routes
from support.clock import Clock
from support.jobs_queue import StandInQueue
from support.jobs_requeue import requeue
from support.jobs_table import TABLE, Objects, Table
from support.moto_table import plain
from support.scripted_provider import alias, routing

pytestmark = pytest.mark.timeout(300)

EPOCH = 1_800_000_000.0
CALLER = Caller("acme", "ci")
MAX_TRIES = 3
FAULTS = ("dies before", "dies after", "fails before", "fails after", "is repeated")
REACTIONS: dict[str, GatewayError | None] = {
    "answers": None,
    "fails": errors.upstream_failed(),
    "throttles": errors.upstream_throttled(),
    "is misconfigured": errors.upstream_misconfigured(),
    "rejects": errors.upstream_rejected(reason="no"),
}
# Which of a process's calls go wrong: the first, second or later one of a name.
CALLS = (
    "get 1",
    "put_new 1",
    "put_new 1",
    "update_item 1",
    "update_item 2",
    "update_item 3",
    "hide 1",
    "send_dead_letter 1",
    "send_later 1",
)
CALLS_THAT_FAIL = st.dictionaries(st.sampled_from(CALLS), st.sampled_from(FAULTS), max_size=2)
# How long a model takes, and what passes before the next thing happens.
SECONDS = st.sampled_from([0.0, 0.0, 5.0, 40.0, 200.0])
WAITS = st.sampled_from([0.0, 0.02, 1.0, 66.0, 1_000.0])
# How far an operator's clock is off: AWS refuses what is signed more than five minutes before or after.
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-troubleshooting.html
OFF = st.sampled_from([-290.0, 0.0, 20.0, 290.0])
# The least that `pulumi-llm jobs requeue` takes a job as stuck after, and after which all open jobs are that no worker has.
STUCK_SECONDS, LATER_SECONDS = 900.0, 3_000.0


class Process:
    """A process that calls the stores and the queue."""

    def __init__(self, faults: dict[str, str]) -> None:
        self.faults = faults
        self.is_dead = False
        self._calls: Counter[str] = Counter()

    async def call(self, name: str, do: Callable[[], Awaitable[Any]]) -> Any:
        """Make a call, and have happen to it what is to happen. Raises `ConnectError`."""
        await self.lives()
        self._calls[name] += 1
        fault = self.faults.get(f"{name} {self._calls[name]}", "")
        if fault == "dies before":
            await self.die()
        if fault == "fails before":
            raise ConnectError("lost")
        await asyncio.sleep(0.01)
        await self.lives()
        done = await do()
        if fault == "is repeated":
            done = await do()
        if fault == "dies after":
            await self.die()
        if fault == "fails after":
            raise ConnectError("lost")
        return done

    async def die(self) -> None:
        self.is_dead = True
        await asyncio.get_running_loop().create_future()

    async def lives(self) -> None:
        if self.is_dead:
            await self.die()


class Denying(Objects):
    """The bucket. `refuses`: it takes no new object."""

    refuses = False

    async def put_new(self, key: str, content: bytes) -> bool:
        if self.refuses:
            raise S3Error("AccessDenied", 403)
        return await super().put_new(key, content)


class Counting(StandInQueue):
    """The queue. `sent` is how often a job's message was sent by another than a run: each may run anew what has failed."""

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__(clock)
        self.sent: Counter[str] = Counter()

    def send(self, job: str, version: int = 1) -> str:
        self.sent[job] += 1
        return super().send(job, version)

    def redrive(self) -> None:
        self.sent.update(json.loads(each.body)["detail"]["job"] for each in self.dead.values())
        super().redrive()


class CalledBy:
    """The table, or the bucket, as a process calls it."""

    def __init__(self, process: Process, store: Any) -> None:
        self._process = process
        self._store = store

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        method = getattr(self._store, name)
        return lambda *given, **more: self._process.call(name, lambda: method(*given, **more))


class QueueOf(StandInQueue):
    """The queue as a process calls it: it tells of no error."""

    def __init__(self, process: Process, queue: StandInQueue) -> None:
        self._process = process
        self._queue = queue

    async def send_dead_letter(self, body: str) -> bool:
        try:
            return await self._process.call("send_dead_letter", lambda: self._queue.send_dead_letter(body))
        except ConnectError:
            return False

    async def send_later(self, body: str, seconds: float) -> bool:
        try:
            return await self._process.call("send_later", lambda: self._queue.send_later(body, seconds))
        except ConnectError:
            return False

    async def hide(self, receipt: str, seconds: float) -> None:
        try:
            await self._process.call("hide", lambda: self._queue.hide(receipt, seconds))
        except ConnectError:
            return


class Model:
    """The model as a worker calls it. It reports what a call must not find: another call for the job, or its answer."""

    def __init__(self, process: Process, jobs: "Crashes", reaction: str, seconds: float) -> None:
        self._process = process
        self._jobs = jobs
        self._error = REACTIONS[reaction]
        self._seconds = seconds

    async def answer(self, call: ModelCall) -> AsyncGenerator[list[Event], None]:
        job = self._jobs.of_text(call.messages[-1].text)
        mine = (job.id, self._process)
        if any(id == job.id and not process.is_dead for id, process in self._jobs.asked):
            self._jobs.problems.append(f"{job.id} is run by two at once")
        if job.result_key in self._jobs.objects.kept:
            self._jobs.problems.append(f"{job.id} is asked again although its answer was kept")
        self._jobs.asked.append(mine)
        try:
            await asyncio.sleep(self._seconds)
            await self._process.lives()
            if self._error is not None:
                raise self._error.with_traceback(None)
            self._jobs.paid[job.id] += 1
            yield [Delta("Hello"), Usage(3, 2), Done("end_turn")]
        finally:
            self._jobs.asked.remove(mine)


class Crashes(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.clock = Clock(self.loop)
        self.clock._quiet = 0.0  # pyright: ignore[reportPrivateUsage] - nothing is on its way outside of this process
        self.stop = contextlib.ExitStack()
        self.stop.callback(self.loop.close)
        self.stop.enter_context(self.clock.installed())
        self.began = self.clock.now()
        self.table, self.objects, self.queue = Table(), Denying(), Counting(self.now)
        self.workers: list[tuple[Process, asyncio.Task[None]]] = []
        self.asked: list[tuple[str, Process]] = []
        self.paid: Counter[str] = Counter()  # the answers to each job
        self.problems: list[str] = []
        self.announced: set[tuple[str, str]] = set()
        self.ended: dict[tuple[str, str], Job] = {}

    def now(self) -> float:
        return EPOCH + self.clock.now() - self.began

    def _pass(self, seconds: float) -> None:
        self.loop.run_until_complete(asyncio.sleep(seconds))

    def jobs(self) -> dict[str, Job]:
        """All jobs, as the table has them, but those that have expired."""
        found = [job_of(plain(item)) for item in self.table.backend.get_table(TABLE).all_items()]
        return {job.id: job for job in found if job.expires > self.now()}

    def of_text(self, text: str) -> Job:
        (job,) = (job for job in self.jobs().values() if job.id == new_job(CALLER, "main", None, 0, key=text).id)
        return job

    def _store(self, process: Process) -> JobStore:
        table, bucket = cast("DynamoDB", CalledBy(process, self.table)), cast("Bucket", CalledBy(process, self.objects))
        return JobStore(JobTable(table, TABLE, clock=self.now), bucket)

    def _work(self, faults: dict[str, str], reaction: str, seconds: float, most: int) -> None:
        process = Process(faults)
        model = Model(process, self, reaction, seconds)
        gateway = Gateway(Routes((alias("target"),)), routing(cast("Any", model)))
        runner = JobRunner(gateway, self._store(process), QueueOf(process, self.queue), MAX_TRIES)

        async def work() -> None:
            if records := self.queue.receive(most):
                answer = await runner.run(records, 900.0)
                await process.lives()
                self.queue.delete(records, [each["itemIdentifier"] for each in answer["batchItemFailures"]])

        self.workers.append((process, self.loop.create_task(work())))
        self._pass(0.001)

    @initialize()
    def submit_one(self) -> None:
        self.submit("a", faults={}, deliveries=1)

    @rule(key=st.sampled_from("abcd"), faults=CALLS_THAT_FAIL, deliveries=st.sampled_from([1, 1, 2]))
    def submit(self, key: str, faults: dict[str, str], deliveries: int) -> None:
        """A caller submits a job, again with its idempotency key. A change of the table leads to one event or more."""
        asked = {"message": key}
        store = self._store(process := Process(faults))
        job = new_job(CALLER, "main", asked, self.now(), key=key)
        known = self.jobs().get(job.id)

        async def submitted() -> None:
            (found,), was_known = await store.submit([job], [json.dumps(asked).encode()], has_key=True)
            if known is not None and (not was_known or found.created != known.created):
                self.problems.append(f"{job.id} was submitted twice")

        task = self.loop.create_task(submitted())
        self._pass(1)
        if task.done():
            assert isinstance(task.exception(), ConnectError | None)
        self.workers.append((process, task))
        for found in self.jobs().values():
            if (found.id, found.created) not in self.announced:
                self.announced.add((found.id, found.created))
                for _ in range(deliveries):
                    self.queue.send(found.id)

    @rule(reaction=st.sampled_from([*REACTIONS]), seconds=SECONDS, most=st.sampled_from([1, 10]), waits=WAITS)
    def work(self, reaction: str, seconds: float, most: int, waits: float) -> None:
        """A worker receives messages, and begins. The next one comes meanwhile, or when the messages show again."""
        self._work({}, reaction, seconds, most)
        self._pass(waits)

    @rule(
        call=st.sampled_from(CALLS),
        fault=st.sampled_from(FAULTS),
        others=CALLS_THAT_FAIL,
        reaction=st.sampled_from(["answers", "is misconfigured"]),
        waits=WAITS,
    )
    def work_and_fail(self, call: str, fault: str, others: dict[str, str], reaction: str, waits: float) -> None:
        self._work({**others, call: fault}, reaction, 5.0, 1)
        self._pass(waits)

    @rule(seconds=st.sampled_from([0.01, 20.0, 66.0, 1_000.0, 7 * 86_400.0]))
    def pass_time(self, seconds: float) -> None:
        """A job expires after seven days."""
        self._pass(seconds)

    @rule(key=st.sampled_from("abcd"))
    def deliver_again(self, key: str) -> None:
        self.queue.send(new_job(CALLER, "main", None, 0, key=key).id)

    @rule()
    def redrive(self) -> None:
        self.queue.redrive()

    @rule(times=st.integers(1, MAX_TRIES + 1))
    def deny(self, times: int) -> None:
        """The bucket takes no new object for a while, in which workers go on."""
        self.objects.refuses = True
        for _ in range(times):
            self._work({}, "answers", 5.0, 10)
            self._pass(1_000)
        self.objects.refuses = False

    @rule(off=OFF)
    def requeue(self, off: float) -> None:
        """An operator requeues what looks stuck, though there are messages."""
        now = self.now() + off
        for job in self.jobs().values():
            self.loop.run_until_complete(requeue(self.table, self.queue, job.id, now, now - STUCK_SECONDS))

    @rule(off=OFF)
    def lose_and_requeue(self, off: float) -> None:
        """The messages of all open jobs are lost, and after some time an operator requeues these."""
        self._pass(LATER_SECONDS)
        lost = {job.id for job in self.jobs().values() if job.status not in ENDED}
        for id, message in list(self.queue.messages.items()):
            if json.loads(message.body)["detail"]["job"] in lost:
                del self.queue.messages[id]
        self.requeue(off)

    @rule(key=st.sampled_from("abcd"))
    def cancel(self, key: str) -> None:
        job = self.jobs().get(new_job(CALLER, "main", None, 0, key=key).id)
        if job is not None:
            self.loop.run_until_complete(JobTable(self.table, TABLE, clock=self.now).cancel(job))

    @invariant()
    def none_is_lost_and_none_is_doubled(self) -> None:
        assert self.problems == []
        waiting, dead = (
            {json.loads(each.body)["detail"]["job"] for each in of.values()} for of in (self.queue.messages, self.queue.dead)
        )
        for job in self.jobs().values():
            assert self.paid[job.id] <= MAX_TRIES * self.queue.sent[job.id], "it is paid for more often than it is tried"
            if job.status not in ENDED:
                assert job.id in waiting, "its message is lost"
            elif job.is_redrivable:
                assert job.id in waiting | dead, "its dead letter is lost"
            else:
                assert self.ended.setdefault((job.id, job.created), job) == job, "it has ended again"
            if job.status == "succeeded":
                assert json.loads(self.objects.kept[job.result_key])["message"] == "Hello"

    def teardown(self) -> None:
        """Once nothing fails any more, every job ends, and of those that had failed a redrive makes the rest succeed."""
        try:
            for process, _ in self.workers:
                process.faults = {}
            for _ in range(2):
                self._settle()
                self.none_is_lost_and_none_is_doubled()
                assert {job.status for job in self.jobs().values()} <= ENDED
                self.queue.redrive()
            assert not any(job.is_redrivable for job in self.jobs().values())
        finally:
            self.loop.run_until_complete(self._end())
            self.stop.close()

    async def _end(self) -> None:
        for _, task in self.workers:
            task.cancel()
        await asyncio.gather(*(task for _, task in self.workers), return_exceptions=True)

    def _settle(self) -> None:
        """Have healthy workers do all that is there. A message is hidden for 16 minutes at most."""
        for _ in range(30):
            self._pass(1_000)
            if not self.queue.messages:
                return
            self._work({}, "answers", 0.0, 10)
        raise AssertionError(f"the messages do not end: {self.queue.messages}")


TestCrashes = pytest.mark.assumes("job-states")(Crashes.TestCase)
TestCrashes.settings = settings(max_examples=120, stateful_step_count=15, deadline=None, derandomize=True)
