"""A worker with its table, bucket and queue, all in the test's process, and time that leaps."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from llm_functions.job_runner import JobRunner
from llm_gateway.gateway import Gateway
from llm_gateway.identity.caller import Caller
from llm_gateway.jobs.job import Job, new_job
from llm_gateway.jobs.store import JobStore
from llm_gateway.jobs.table import JobTable
from llm_gateway.routes import Routes
from llm_gateway.tables import JOBS
from support.clock import Clock
from support.jobs_queue import StandInQueue
from support.jobs_table import TABLE, Objects, Table
from support.scripted_provider import alias, routing

EPOCH = 1_800_000_000.0
CALLER = Caller("acme", "ci")


class Worker:
    """The worker and what it works with. `provider` answers, at the alias's `targets`."""

    def __init__(self, clock: Clock, provider: Any, max_tries: int, targets: Sequence[str], **gateway: Any) -> None:
        began = clock.now()
        self.clock = lambda: EPOCH + clock.now() - began
        self.table = Table()
        self.objects = Objects()
        self.jobs = JobTable(self.table, TABLE, clock=self.clock)
        self.queue = StandInQueue(self.clock)
        self.routes = Routes((alias(*targets),))
        self.runner = JobRunner(
            Gateway(self.routes, routing(provider), **gateway), JobStore(self.jobs, self.objects), self.queue, max_tries
        )

    async def submit(self, asked: Any = None, caller: Caller = CALLER) -> Job:
        """Keep a job, and have its message in the queue."""
        asked = {"message": "Hi"} if asked is None else asked
        job = new_job(caller, "main", asked, self.clock())
        await JobStore(self.jobs, self.objects).submit([job], [json.dumps(asked).encode()], has_key=False)
        self.queue.send(job.id)
        return job

    async def work(self, most: int = 10, seconds: float = 900.0) -> list[str]:
        """Receive a batch, run it and delete what is done of it. Returns the messages that are not."""
        records = self.queue.receive(most)
        answer = await self.runner.run(records, seconds)
        kept = [each["itemIdentifier"] for each in answer["batchItemFailures"]]
        self.queue.delete(records, kept)
        return kept

    async def known(self, job: Job) -> Job:
        found = await self.jobs.get(job.id)
        assert found is not None
        return found

    async def tried(self, job: Job, times: int) -> None:
        """Have a job that waits have been tried and have waited so often."""
        key, value = {JOBS.hash_key: {"S": job.id}}, {":times": {"N": str(times)}}
        await self.table.update_item(TABLE, key, "SET tries = :times, waits = :times", values=value)

    def result(self, job: Job) -> Any:
        content = self.objects.kept.get(job.result_key)
        return None if content is None else json.loads(content)


@pytest.fixture
def worker(clock: Clock) -> Callable[..., Worker]:
    clock._quiet = 0.0  # nothing is on its way outside of this process

    def make(provider: Any, max_tries: int = 3, targets: Sequence[str] = ("target",), **gateway: Any) -> Worker:
        return Worker(clock, provider, max_tries, targets, **gateway)

    return make
