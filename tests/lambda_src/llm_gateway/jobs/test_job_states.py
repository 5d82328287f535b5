"""The states of a job against a simple model of them: whoever claims, renews, ends, dies, cancels or reads, in whatever order.

The table is moto's, without a server. A write may be carried out although its answer is lost; the client then makes it again.
"""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule

from llm_gateway.identity.caller import Caller
from llm_gateway.jobs.job import ENDED, Job, new_job, owner_of
from llm_gateway.jobs.table import LEASE_SECONDS, JobTable, LeaseLost
from support.jobs_table import TABLE, Table

START = 1_800_000_010.5
CALLER = Caller("acme", "ci", ("small",))
# Mostly one job: its states are many.
KEYS = st.sampled_from("aaaab")
ERROR = {"type": "upstream_error", "code": "upstream_throttled", "message": "later", "request_id": "r"}


@dataclass
class Modelled:
    """The model of a job. `ends` counts how often it has ended for good."""

    status: str = "queued"
    run: str = ""
    lease: float = 0
    attempts: int = 0
    cancel: bool = False
    tries: int = 0
    due: float = 0
    message: str = ""
    is_redrivable: bool = False
    ends: int = 0
    runs: list[str] = field(default_factory=list)

    def is_free(self, now: float, message: str) -> bool:
        if self.cancel:
            return False
        waits = (self.status == "queued" and self.due <= now) or (self.status == "running" and self.lease < now)
        return waits or (self.status == "failed" and self.is_redrivable and self.message != message)

    def end(self, status: str, *, is_redrivable: bool = False) -> None:
        self.status, self.is_redrivable, self.tries = status, is_redrivable, 0
        self.ends += not is_redrivable


class Jobs(RuleBasedStateMachine):
    runs = Bundle("runs")

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.now = START
        self.table = Table()
        self.jobs = JobTable(self.table, TABLE, clock=lambda: self.now)
        self.model: dict[str, Modelled] = {}
        self.ids: dict[str, str] = {}
        self.number = 0

    def teardown(self) -> None:
        self.loop.close()

    def _do(self, doing: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(doing)

    def _known(self, key: str) -> Job | None:
        return self._do(self.jobs.get(self.ids[key])) if key in self.ids else None

    def _owned(self, run: tuple[str, Job]) -> Modelled | None:
        """The model of a run's job, None if the job is no longer the run's."""
        model = self.model[run[0]]
        return model if (model.status, model.run) == ("running", run[1].run) else None

    @initialize()
    def submit_one(self) -> None:
        self.submit("a", "Hi", loses=False)

    @rule(key=KEYS, body=st.sampled_from(["Hi", "Hi", "Hello"]), loses=st.booleans())
    def submit(self, key: str, body: str, loses: bool) -> None:
        self.table.loses = loses
        new = new_job(CALLER, "small", {"message": body}, self.now, key=key)
        known = self._known(key)
        try:
            job = self._do(self.jobs.add(new))
        except Exception as error:
            assert getattr(error, "code", "") == "idempotency_key_reused"
            assert known is not None and known.fingerprint != new.fingerprint
            return
        assert job.fingerprint == new.fingerprint and job.id == new.id
        if known is None:
            self.model[key], self.ids[key] = Modelled(), job.id
        else:
            assert job == known

    @rule(target=runs, key=KEYS, message=st.sampled_from(["m", "n"]), loses=st.booleans())
    def claim(self, key: str, message: str, loses: bool) -> Any:
        if key not in self.model:
            assert self._do(self.jobs.claim("job_0", "run-0", message)) is None
            return multiple()
        model, self.table.loses = self.model[key], loses
        self.number += 1
        run, is_free = f"run-{self.number}", model.is_free(self.now, message)
        job = self._do(self.jobs.claim(self.ids[key], run, message))
        assert (job.run == run) is is_free
        if not is_free:
            return multiple()
        assert job.caller == CALLER and job.error is None and not job.ended
        model.status, model.run, model.lease, model.message = "running", run, self.now + LEASE_SECONDS, message
        model.is_redrivable = False
        model.attempts += 1
        model.tries += 1
        return key, job

    @rule(run=runs, loses=st.booleans())
    def renew(self, run: tuple[str, Job], loses: bool) -> None:
        model, self.table.loses = self._owned(run), loses
        try:
            job = self._do(self.jobs.renew(run[1]))
        except LeaseLost:
            assert model is None
            return
        assert model is not None and job.cancel is model.cancel
        model.lease = self.now + LEASE_SECONDS

    @rule(
        run=consumes(runs),
        end=st.sampled_from(["succeeded", "failed", "cancelled", "exhausted"]),
        loses=st.booleans(),
    )
    def finish(self, run: tuple[str, Job], end: str, loses: bool) -> None:
        model, self.table.loses = self._owned(run), loses
        status: Any = "failed" if end == "exhausted" else end
        error = ERROR if status == "failed" else None
        try:
            job = self._do(self.jobs.finish(run[1], status, error=error, is_redrivable=end == "exhausted"))
        except LeaseLost:
            assert model is None
            return
        if model is None:  # somebody else has ended it in the same way, while it named this run
            assert (self.model[run[0]].status, self.model[run[0]].run) == (status, run[1].run)
            return
        if model.cancel:
            assert (job.status, job.error) == ("cancelled", None)
            model.end("cancelled")
            return
        assert (job.status, job.error) == (status, error)
        model.end(status, is_redrivable=end == "exhausted")

    @rule(run=consumes(runs), is_postponed=st.booleans(), loses=st.booleans())
    def release(self, run: tuple[str, Job], is_postponed: bool, loses: bool) -> None:
        model, self.table.loses = self._owned(run), loses
        try:
            job = self._do(self.jobs.release(run[1], ERROR, due=self.now + 30, is_postponed=is_postponed))
        except LeaseLost:
            assert model is None
            return
        assert model is not None
        if model.cancel:
            assert job.status == "cancelled"
            model.end("cancelled")
        else:
            assert (job.status, job.error) == ("queued", ERROR)
            model.status, model.due = "queued", self.now + 30
            model.tries -= is_postponed

    @rule(run=consumes(runs))
    def die(self, run: tuple[str, Job]) -> None:
        """Its function is killed: it does nothing any more."""

    @rule(key=KEYS, stale=st.booleans(), seconds=st.sampled_from([0, 61]), loses=st.booleans())
    def cancel(self, key: str, stale: bool, seconds: int, loses: bool) -> None:
        if (job := self._known(key)) is None:
            return
        model, self.table.loses = self.model[key], loses
        if stale and job.status == "queued":  # a worker takes it between the look and the change
            self.claim(key, "m", loses=False)
        self.now += seconds
        after = self._do(self.jobs.cancel(job))
        if model.status == "queued":
            model.end("cancelled")
        elif model.status == "running":
            model.cancel = True
        elif model.is_redrivable:
            model.end("failed")
        assert (after.status, after.cancel) == (model.status, model.cancel)

    @rule(key=KEYS, seconds=st.sampled_from([0, 61]))
    def find_dead(self, key: str, seconds: int) -> None:
        """A worker finds a job that was to be cancelled, and whose worker is dead."""
        self.now += seconds
        if (job := self._known(key)) is None or job.status != "running" or not job.cancel:
            return
        model = self.model[key]
        if model.lease < self.now:
            model.end("cancelled")
        assert self._do(self.jobs.end_cancelled(job)).status == model.status

    @rule(seconds=st.sampled_from([1, 20, 59, 61]))
    def pass_time(self, seconds: int) -> None:
        self.now += seconds

    @invariant()
    def each_job_is_what_the_model_says_and_has_ended_once(self) -> None:
        for key, model in self.model.items():
            job = self._known(key)
            assert job is not None
            assert (job.status, job.cancel, job.attempts) == (model.status, model.cancel, model.attempts)
            assert job.tries == model.tries
            assert job.status != "running" or job.run == model.run
            assert job.is_redrivable is model.is_redrivable
            assert bool(job.ended) is (job.status in ENDED)
            assert model.ends <= 1
        open_ones = sum(model.status not in ENDED for model in self.model.values())
        assert self._do(self.jobs.count_open(owner_of(CALLER), 9)) == open_ones


TestJobs = pytest.mark.assumes("job-states")(Jobs.TestCase)
TestJobs.settings = settings(max_examples=100, stateful_step_count=30, deadline=None, derandomize=True)
