"""What the worker makes of each message: of its job, of its answer, and of the message itself."""

import asyncio
import itertools
import math
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Any, cast

import pytest

from llm_functions.job_runner import HIDDEN_SECONDS, LAST_SECONDS, LONGEST_BACKOFF, LONGEST_DELAY, LONGEST_WAIT, backoff
from llm_gateway import errors
from llm_gateway.aws.dynamodb import DynamoDBError
from llm_gateway.aws.s3 import S3Error
from llm_gateway.call import ModelCall
from llm_gateway.checked_router import Safety as Stage
from llm_gateway.errors import GatewayError
from llm_gateway.events import Delta, Done, Event, Usage
from llm_gateway.jobs.job import Job
from llm_gateway.jobs.table import LEASE_SECONDS
from llm_gateway.providers.registry import always_caching
from llm_gateway.rules import Rule
from llm_gateway.safety import GuardrailUse, Safety
from llm_gateway.stages.guardrail import Assessment, Guardrail, Source
from llm_gateway.stages.policy import Policy
from llm_gateway.tables import JOBS
from support.clock import Clock
from support.jobs_queue import VISIBILITY_SECONDS
from support.jobs_requeue import requeue
from support.jobs_table import TABLE, Objects
from support.scripted_provider import Scripted

pytestmark = pytest.mark.timeout(120)

OPENAI = {"endpoint": "/v1/chat/completions", "body": {"model": "main", "messages": [{"role": "user", "content": "Hi"}]}}


async def test_a_job_is_answered_as_chat_answers(worker) -> None:
    at = worker(Scripted())
    job = await at.submit()
    assert await at.work() == [] and not at.queue.messages
    ended = await at.known(job)
    assert (ended.status, ended.attempts, ended.error, ended.lease) == ("succeeded", 1, None, 0)
    assert ended.usage == {"input_tokens": 3, "output_tokens": 2}
    assert ended.created <= ended.started <= ended.ended
    result = at.result(job)
    assert (result["message"], result["model"], result["stop_reason"]) == ("target!", "main", "end_turn")
    assert result["request_id"] == ended.run and job.id in ended.run


async def test_a_job_is_answered_as_openai_answers(worker) -> None:
    at = worker(Scripted())
    job = await at.submit(OPENAI)
    await at.work()
    result = at.result(job)
    assert (result["object"], result["choices"][0]["message"]["content"]) == ("chat.completion", "target!")
    assert (await at.known(job)).usage == result["usage"]


# The error, at which of three tries -> whether the job is done, its status, its error's code, and after how many seconds its
# next message comes, from and to.
ERRORS: dict[str, tuple[GatewayError, int, bool, str, str, tuple[float, float] | None]] = {
    "refused by the provider": (errors.upstream_rejected(reason="no"), 1, True, "failed", "upstream_rejected", None),
    "content": (errors.content_filter(), 1, True, "failed", "content_filter", None),
    "too long": (errors.context_length_exceeded(), 1, True, "failed", "context_length_exceeded", None),
    "misconfigured": (errors.upstream_misconfigured(), 1, True, "failed", "upstream_misconfigured", None),
    "throttled": (errors.upstream_throttled(), 1, False, "queued", "upstream_throttled", (6, 11)),
    "throttled again": (errors.upstream_throttled(), 2, False, "queued", "upstream_throttled", (11, 21)),
    "throttled for long": (errors.upstream_throttled(retry_after=300), 1, False, "queued", "upstream_throttled", (305, 310)),
    "used up today": (
        errors.limit_reached(whose="k", limit="l", why="w", then="t", retry_after=9 * 3600),
        *(1, False, "queued", "quota_exceeded", (32_405, 32_410)),
    ),
    "used up this month": (
        errors.limit_reached(whose="k", limit="l", why="w", then="t", retry_after=LONGEST_WAIT + 1),
        *(1, True, "failed", "quota_exceeded", None),
    ),
    "not ready": (errors.model_not_ready(), 1, False, "queued", "model_not_ready", (35, 40)),
    "down": (errors.upstream_unavailable(), 1, False, "queued", "upstream_unavailable", (6, 11)),
    "failed": (errors.upstream_failed(), 1, False, "queued", "upstream_failed", (6, 11)),
    "slow": (errors.upstream_timeout(), 1, False, "queued", "upstream_timeout", (6, 11)),
    "switched off": (errors.service_disabled(then=""), 1, False, "queued", "service_disabled", (305, 310)),
    # Postponed: none of the tries.
    "throttled at the last try": (errors.upstream_throttled(), 3, False, "queued", "upstream_throttled", (21, 41)),
    "down at the last try": (errors.upstream_unavailable(), 3, False, "queued", "upstream_unavailable", (21, 41)),
    "switched off at the last try": (errors.service_disabled(then=""), 3, False, "queued", "service_disabled", (320, 340)),
    "failed for the last time": (errors.upstream_failed(), 3, True, "failed", "retries_exhausted", None),
    "slow for the last time": (errors.upstream_timeout(), 3, True, "failed", "retries_exhausted", None),
    "refused for the last time": (errors.upstream_rejected(reason="no"), 3, True, "failed", "upstream_rejected", None),
}


@pytest.mark.parametrize(("error", "receive", "done", "status", "code", "delay"), ERRORS.values(), ids=ERRORS)
async def test_what_becomes_of_a_job_that_fails(worker, error, receive, done, status, code, delay) -> None:
    at = worker(Scripted(target=error))
    job = await at.submit()
    (message,) = at.queue.messages.values()
    await at.tried(job, receive - 1)
    assert await at.work() == []
    known = await at.known(job)
    assert known.error is not None
    # Of one target, a failure that has others try is told as that of all targets.
    told = {known.error["code"], *(word.strip(";:") for word in known.error["message"].split())}
    assert known.status == status and code in told
    assert set(known.error) >= {"type", "code", "message", "request_id"}
    # What an operator can mend is a dead letter.
    assert known.is_redrivable is (code in ("retries_exhausted", "upstream_misconfigured"))
    assert [each.body for each in at.queue.dead.values()] == [message.body] * known.is_redrivable
    # A job that is sent back is tried as often again.
    assert known.tries == (0 if done else receive - 1 if error.status in (429, 503) else receive)
    assert at.result(job) is None
    # The message in hand is done, so that it is none of those in flight; another one like it comes when the job is due.
    assert message.id not in at.queue.messages and len(at.queue.messages) == len(at.queue.delays) == (not done)
    if delay is not None:
        low, high = delay
        assert low <= at.queue.delays[0] <= high and known.due == pytest.approx(at.clock() + at.queue.delays[0], abs=1)


async def test_a_job_that_is_given_up_runs_again_from_the_dead_letter_queue(worker) -> None:
    at = worker(Scripted(target=[errors.upstream_failed(), 0.0]), max_tries=1)
    job = await at.submit()
    await at.work()
    assert (await at.known(job)).error["code"] == "retries_exhausted"  # pyright: ignore[reportOptionalSubscript]
    assert not at.queue.messages and len(at.queue.dead) == 1
    at.queue.redrive()
    assert await at.work() == []
    ended = await at.known(job)
    assert (ended.status, ended.error, ended.attempts) == ("succeeded", None, 2)


async def test_a_short_outage_fails_no_job(worker, clock) -> None:
    """However many tries it lasts; a job that cannot be answered until a day before it expires is a dead letter then."""
    provider = Scripted(target=errors.upstream_unavailable())
    at = worker(provider, max_tries=2)
    job = await at.submit()
    for _ in range(12):
        assert await at.work() == [] and len(at.queue.messages) == 1
        clock.forward(1_000)
    known = await at.known(job)
    assert (known.status, known.attempts, known.tries) == ("queued", 12, 0) and not at.queue.dead
    clock.forward(job.expires - LAST_SECONDS - at.clock())
    assert await at.work() == []
    known = await at.known(job)
    assert (known.status, known.error["code"], known.is_redrivable) == ("failed", "retries_exhausted", True)
    assert len(at.queue.dead) == 1


async def test_a_dead_letter_that_cannot_be_sent_is_sent_later(worker, clock, monkeypatch) -> None:
    """The message with which a job has failed does not run it again."""
    provider = Scripted(target=errors.upstream_misconfigured())
    at = worker(provider)
    job = await at.submit()

    async def down(_: str) -> bool:
        return False

    with monkeypatch.context() as patched:
        patched.setattr(at.queue, "send_dead_letter", down)
        assert len(await at.work()) == 1
    assert (await at.known(job)).is_redrivable
    clock.forward(VISIBILITY_SECONDS)
    assert await at.work() == [] and len(at.queue.dead) == 1
    known = await at.known(job)
    assert (known.status, known.attempts, provider.asked) == ("failed", 1, ["target"])


async def test_a_failed_job_that_is_cancelled_does_not_run_again(worker) -> None:
    provider = Scripted(target=[errors.upstream_misconfigured(), 0.0])
    at = worker(provider)
    job = await at.submit()
    await at.work()
    after = await at.jobs.cancel(await at.known(job))
    assert (after.status, after.is_redrivable) == ("failed", False)
    at.queue.redrive()
    assert await at.work() == [] and (await at.known(job)).status == "failed" and provider.asked == ["target"]


async def test_a_job_waits_until_its_next_try(worker, clock) -> None:
    at = worker(Scripted(target=[errors.upstream_throttled(), 0.0]))
    job = await at.submit()
    await at.work()
    assert at.queue.receive() == []
    clock.forward(20)
    assert await at.work() == []
    ended = await at.known(job)
    assert (ended.status, ended.attempts, ended.error) == ("succeeded", 2, None)


# What a message says -> whether it is a dead letter then.
MESSAGES = {
    "no JSON": ("Hi", True),
    "no event": ("{}", True),
    "no object": ("[]", True),
    "no job": ('{"detail": {"job": 7}}', True),
    "an unknown job": ('{"detail": {"job": "job_0"}}', False),
}


@pytest.mark.parametrize(("body", "dead"), MESSAGES.values(), ids=MESSAGES)
async def test_a_message_that_names_no_job(worker, body: str, dead: bool) -> None:
    """Poison goes to the dead-letter queue; what has expired is done. The others of its batch are run."""
    at = worker(Scripted())
    at.queue.send_body(body)
    job = await at.submit()
    assert await at.work() == [] and not at.queue.messages
    assert [each.body for each in at.queue.dead.values()] == [body] * dead
    assert (await at.known(job)).status == "succeeded"


async def test_what_is_done_of_a_batch_does_not_come_again_while_the_rest_runs(worker) -> None:
    at = worker(Scripted(target=[0.0, 300.0]))
    jobs = [await at.submit() for _ in range(2)]
    working = asyncio.create_task(at.work())
    await asyncio.sleep(200)
    assert sorted([(await at.known(job)).status for job in jobs]) == ["running", "succeeded"]
    assert at.queue.receive() == []
    assert await working == [] and not at.queue.messages


async def test_an_item_that_cannot_be_read_keeps_only_its_own_message(worker, monkeypatch) -> None:
    at = worker(Scripted())
    jobs, messages = [await at.submit() for _ in range(2)], list(at.queue.messages)
    claim = at.jobs.claim

    async def claims(id: str, *args: Any, **more: Any) -> Any:
        if id == jobs[0].id:
            raise ValueError("an item of another version")
        return await claim(id, *args, **more)

    monkeypatch.setattr(at.jobs, "claim", claims)
    assert await at.work() == messages[:1]
    assert [(await at.known(job)).status for job in jobs] == ["queued", "succeeded"]


async def test_a_long_answer_keeps_its_lease_and_its_message(worker) -> None:
    """Another message of the same job is done meanwhile, and the same message, delivered twice, waits."""
    provider = Scripted(target=500.0)
    at = worker(provider)
    job = await at.submit()
    (message,) = at.queue.messages.values()
    working = asyncio.create_task(at.work())
    await asyncio.sleep(300)
    at.queue.send(job.id)
    assert await at.work() == []
    message.visible_at = 0
    assert await at.work() == [message.id]
    assert LEASE_SECONDS / 2 < at.queue.hidden[message.id][-1] <= LEASE_SECONDS + 5
    assert provider.asked == ["target"]
    assert await working == []
    assert (await at.known(job)).status == "succeeded"
    # The first delivery's receipt deletes it no more, so it comes again, and is done.
    assert list(at.queue.messages) == [message.id]
    await asyncio.sleep(VISIBILITY_SECONDS)
    assert await at.work() == [] and not at.queue.messages
    assert provider.asked == ["target"]


async def test_the_job_of_a_dead_worker_is_run_again_within_a_minute_or_so(worker) -> None:
    provider = Scripted(target=[math.inf, 0.0])
    at = worker(provider)
    job = await at.submit()
    working = asyncio.create_task(at.work())
    await asyncio.sleep(100)
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    assert (await at.known(job)).status == "running" and at.queue.receive() == []
    await asyncio.sleep(LEASE_SECONDS + 5)
    assert await at.work() == []
    assert (await at.known(job)).status == "succeeded" and provider.asked == ["target"] * 2


async def test_an_answer_that_a_dead_worker_has_left_is_not_asked_for_again(worker, monkeypatch) -> None:
    provider = Scripted()
    at = worker(provider)
    job = await at.submit()

    async def dies(*_: Any, **__: Any) -> Any:
        raise asyncio.CancelledError

    with monkeypatch.context() as patched:
        patched.setattr(at.jobs, "finish", dies)
        with pytest.raises(asyncio.CancelledError):
            await at.work()
    assert at.result(job) is not None and (await at.known(job)).status == "running"
    await asyncio.sleep(LEASE_SECONDS + 6)
    at.objects.denied = "/result"  # what may not be read for a while is not taken for missing
    await at.work()
    assert (await at.known(job)).status == "queued" and provider.asked == ["target"]
    at.objects.denied = None
    await asyncio.sleep(LONGEST_BACKOFF)
    assert await at.work() == []
    ended = await at.known(job)
    assert (ended.status, ended.attempts, ended.usage) == ("succeeded", 3, {"input_tokens": 3, "output_tokens": 2})
    assert provider.asked == ["target"]


async def test_a_job_that_dies_with_its_last_worker_has_failed(worker) -> None:
    """The next one finds that out, and asks no model; from the dead-letter queue it is run again."""
    provider = Scripted(target=[math.inf, 0.0])
    at = worker(provider, max_tries=1)
    job = await at.submit()
    working = asyncio.create_task(at.work())
    await asyncio.sleep(10)
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    await asyncio.sleep(LEASE_SECONDS + 6)
    assert await at.work() == [] and provider.asked == ["target"]
    found = await at.known(job)
    assert found.error is not None and (found.status, found.error["code"]) == ("failed", "retries_exhausted")
    assert "run 1 times" in found.error["message"] and len(at.queue.dead) == 1
    at.queue.redrive()
    assert await at.work() == []
    assert (await at.known(job)).status == "succeeded"


@pytest.mark.parametrize(
    "when", ["before it is received", "while it runs", "after its worker died", "after its worker died, and requeued"]
)
async def test_a_job_is_cancelled(worker, when: str) -> None:
    provider = Scripted(target=math.inf)
    at = worker(provider)
    job = await at.submit()
    if when == "before it is received":
        assert (await at.jobs.cancel(job)).status == "cancelled"
        assert await at.work() == [] and provider.asked == []
    else:
        working = asyncio.create_task(at.work())
        await asyncio.sleep(20)
        if when.startswith("after its worker died"):
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)
        after = await at.jobs.cancel(await at.known(job))
        assert (after.status, after.cancel) == ("running", True)
        if when == "while it runs":
            assert await working == []
        else:
            if "requeued" in when:
                values = {":queued": {"S": "queued"}}
                key, names = {JOBS.hash_key: {"S": job.id}}, {"#status": "status"}
                await at.table.update_item(TABLE, key, "SET #status = :queued REMOVE lease", names=names, values=values)
                at.queue.send(job.id)
            await asyncio.sleep(LEASE_SECONDS + 6)
            assert await at.work() == []
        assert provider.asked == ["target"] and provider.running == 0
    known = await at.known(job)
    assert known.status == "cancelled" and known.ended and not at.queue.messages
    assert at.result(job) is None


@pytest.mark.parametrize("off", [-250.0, 0.0, 250.0])
async def test_a_requeued_job_runs_whatever_the_operator_s_clock_says(worker, off: float) -> None:
    provider = Scripted(target=[errors.upstream_failed(), 0.0])
    at = worker(provider)
    job = await at.submit()
    await at.work()  # it has run, and waits
    at.queue.messages.clear()
    await asyncio.sleep(2_000)
    now = at.clock() + off
    await requeue(at.table, at.queue, job.id, now, now - 900)
    assert await at.work() == []
    while at.queue.messages:
        await asyncio.sleep(60)
        await at.work()
    assert (await at.known(job)).status == "succeeded" and provider.asked == ["target"] * 2


async def test_a_job_that_fails_before_it_is_seen_to_be_cancelled_is_not_run_again(worker) -> None:
    class Fails(Scripted):
        async def answer(self, call: ModelCall) -> AsyncGenerator[list[Event], None]:
            await at.jobs.cancel(await at.known(job))
            raise errors.upstream_throttled()
            yield []

    at = worker(Fails())
    job = await at.submit()
    assert await at.work() == [] and (await at.known(job)).status == "cancelled"


async def test_a_job_that_is_cancelled_while_its_answer_is_kept_has_not_succeeded(worker, monkeypatch) -> None:
    at = worker(Scripted())
    job = await at.submit()
    put_new = at.objects.put_new

    async def cancels(*args: Any) -> bool:
        assert (await at.jobs.cancel(await at.known(job))).cancel
        return await put_new(*args)

    monkeypatch.setattr(at.objects, "put_new", cancels)
    assert await at.work() == [] and not at.queue.messages
    known = await at.known(job)
    assert (known.status, known.usage) == ("cancelled", {"input_tokens": 3, "output_tokens": 2})
    assert at.result(job) == {}


async def test_what_was_paid_for_an_answer_that_was_cancelled_is_told(worker) -> None:
    class Talks(Scripted):
        async def answer(self, call: ModelCall) -> AsyncGenerator[list[Event], None]:
            while True:
                yield [Delta("word ")]
                await asyncio.sleep(5)

    at = worker(Talks())
    job = await at.submit()
    working = asyncio.create_task(at.work())
    await asyncio.sleep(30)
    await at.jobs.cancel(await at.known(job))
    assert await working == []
    known = await at.known(job)
    assert known.status == "cancelled" and known.usage is not None and known.usage["output_tokens"] > 0


async def test_a_run_that_cannot_renew_its_lease_is_given_up_before_it_is_over(worker, monkeypatch) -> None:
    provider = Scripted(target=[math.inf, 0.0])
    at = worker(provider)
    job = await at.submit()
    (message,) = at.queue.messages

    async def down(*_: Any) -> Any:
        raise DynamoDBError("InternalServerError", "no", 500)

    with monkeypatch.context() as patched:
        patched.setattr(at.jobs, "renew", down)
        began = at.clock()
        assert await at.work() == [message]
        assert at.clock() - began < LEASE_SECONDS and provider.running == 0
    assert (await at.known(job)).status == "running"
    await asyncio.sleep(LEASE_SECONDS)
    assert await at.work() == [] and (await at.known(job)).status == "succeeded"


# What cannot be done -> how often the model is asked in all.
STORES = {"claim": 1, "finish": 1, "get": 1, "put_new": 2}


@pytest.mark.parametrize(("method", "asked"), STORES.items(), ids=STORES)
async def test_a_job_outlives_its_stores_being_down(worker, monkeypatch, method: str, asked: int) -> None:
    provider = Scripted()
    at = worker(provider)
    job = await at.submit()

    async def down(*_: Any, **__: Any) -> Any:
        raise S3Error("InternalError", 500) if method in ("get", "put_new") else DynamoDBError("InternalServerError", "", 500)

    with monkeypatch.context() as patched:
        patched.setattr(at.objects if method in ("get", "put_new") else at.jobs, method, down)
        await at.work()
    assert (await at.known(job)).status in ("queued", "running") and len(at.queue.messages) == 1
    await asyncio.sleep(HIDDEN_SECONDS)
    assert await at.work() == []
    assert (await at.known(job)).status == "succeeded" and len(provider.asked) == asked


def denies(puts: int) -> Callable[..., Awaitable[bool]]:
    """A bucket's `put_new` that so many calls are denied, as by its policy."""
    left = itertools.count(-puts)

    async def put_new(bucket: Objects, key: str, content: bytes) -> bool:
        if next(left) < 0:
            raise S3Error("AccessDenied", 403)
        return bucket.kept.setdefault(key, content) is content

    return put_new


async def test_an_answer_is_written_again_and_again_and_not_asked_for_again(worker, monkeypatch) -> None:
    at = worker(provider := Scripted())
    job = await at.submit()
    monkeypatch.setattr(Objects, "put_new", denies(8))
    assert await at.work() == []
    known = await at.known(job)
    assert (known.status, known.attempts, provider.asked) == ("succeeded", 1, ["target"])


async def every_try(at: Any, clock: Clock, job: Job) -> Job:
    """Work for as long as a job has messages."""
    while at.queue.messages:
        clock.forward(1_000)
        assert await at.work() == []
    return await at.known(job)


async def test_an_answer_that_cannot_be_written_is_paid_for_at_each_try_and_no_more(worker, clock, monkeypatch) -> None:
    at = worker(provider := Scripted())
    job = await at.submit()
    with monkeypatch.context() as patched:
        patched.setattr(Objects, "put_new", denies(10_000))
        known = await every_try(at, clock, job)
    assert (known.status, known.error["code"], known.is_redrivable) == ("failed", "retries_exhausted", True)
    assert "jobs_unavailable" in known.error["message"] and len(provider.asked) == 3
    at.queue.redrive()
    assert (await every_try(at, clock, job)).status == "succeeded" and len(provider.asked) == 4


# Where the guardrail is away -> how often a job is tried, and its model is asked.
AWAY: dict[str, tuple[Source, int, int]] = {"before it is asked": ("INPUT", 8, 0), "after it has answered": ("OUTPUT", 3, 3)}


@pytest.mark.parametrize(("source", "tries", "asked"), AWAY.values(), ids=AWAY)
async def test_an_answer_that_cannot_be_checked_was_a_try(worker, clock, source: Source, tries: int, asked: int) -> None:
    """A prompt that cannot be checked waits: nothing is paid for that."""

    class Away:
        async def assess(self, of: Source, texts: Sequence[str], deadline: float) -> Assessment:
            if of == source:
                raise errors.guardrail_unavailable()
            return Assessment((), tuple(texts))

    safety = Stage(Safety(guardrail=GuardrailUse()), cast("Guardrail", Away()))
    at = worker(provider := Scripted(), safety=safety)
    job = await at.submit()
    for _ in range(8):
        clock.forward(1_000)
        await at.work()
    known = await at.known(job)
    assert (known.status, known.attempts, len(provider.asked)) == ("failed" if asked else "queued", tries, asked)


async def test_what_is_used_up_after_another_target_has_cost_something_was_a_try(worker, clock) -> None:
    slow, throttled = errors.upstream_timeout(), errors.upstream_throttled()
    at = worker(provider := Scripted(target=slow, other=throttled), targets=("target", "other"))
    job = await at.submit()
    known = await every_try(at, clock, job)
    assert (known.status, known.error["code"]) == ("failed", "retries_exhausted")
    assert provider.asked == ["target", "other"] * 3


async def test_a_job_is_refused_by_what_holds_when_it_runs(worker) -> None:
    """The caller's aliases are those that it had; the routes are those of now."""
    at = worker(Scripted())
    job = await at.submit({"message": "Hi", "model": "gone"})
    assert await at.work() == []
    known = await at.known(job)
    assert known.error is not None and (known.status, known.error["code"]) == ("failed", "model_not_found")


@pytest.mark.parametrize("rule", [Rule("private", retention="none"), Rule("stolen", keys=("ci",), retention="none")], ids=str)
async def test_a_job_that_a_newer_rule_forbids_is_not_asked(worker, rule: Rule) -> None:
    provider = Scripted()
    at = worker(provider, policy=Policy((rule,), always_caching(())))
    job = await at.submit()
    assert await at.work() == []
    known = await at.known(job)
    assert known.error is not None and (known.status, known.error["code"]) == ("failed", "denied_by_rule")
    assert not provider.asked and at.result(job) is None


def test_tries_are_apart() -> None:
    for receives in (*range(1, 20), 1_000, 2_000):
        assert 1 <= backoff(receives, 0) <= 901
        assert backoff(receives, 100) >= 105


USED_UP = errors.limit_reached(whose="k", limit="l", why="w", then="t", retry_after=3_000)


async def test_a_job_that_waits_for_longer_than_a_message_is_not_run_before(worker, clock) -> None:
    """SQS delays a message for 15 minutes: after that, another one is sent."""
    provider = Scripted(target=[USED_UP, 0.0])
    at = worker(provider)
    job = await at.submit()
    began = at.clock()
    await at.work()
    while not (await at.known(job)).ended:
        assert len(at.queue.messages) == 1 and at.clock() - began < 3_100
        clock.forward(LONGEST_DELAY / 2)
        assert await at.work() == []
        assert len(provider.asked) == 1 or at.clock() - began >= 3_000
    ended = await at.known(job)
    assert (ended.status, ended.attempts, ended.due, ended.waits) == ("succeeded", 2, 0, 0) and not at.queue.messages


@pytest.mark.parametrize("step", ["before the job is given back", "before its message is deleted"])
async def test_a_worker_that_dies_while_it_postpones_a_job_leaves_no_second_message(worker, clock, monkeypatch, step) -> None:
    provider = Scripted(target=[USED_UP, USED_UP, 0.0])
    at = worker(provider, max_tries=5)
    job = await at.submit()
    release = at.jobs.release

    async def dies(*args: Any, **more: Any) -> Any:
        if step == "before its message is deleted":
            await release(*args, **more)
        raise asyncio.CancelledError

    with monkeypatch.context() as patched:
        patched.setattr(at.jobs, "release", dies)
        with pytest.raises(asyncio.CancelledError):
            await at.work()
    assert len(at.queue.messages) == 2
    for _ in range(12):
        clock.forward(LEASE_SECONDS + 6)
        await at.work()
    for _ in range(12):
        clock.forward(LONGEST_DELAY)
        await at.work()
    assert (await at.known(job)).status == "succeeded" and len(provider.asked) == 3 and not at.queue.messages


async def test_where_no_message_can_be_sent_the_one_in_hand_waits(worker, clock, monkeypatch) -> None:
    provider = Scripted(target=[USED_UP, 0.0])
    at = worker(provider)
    job = await at.submit()
    (message,) = at.queue.messages

    async def down(*_: Any) -> bool:
        return False

    with monkeypatch.context() as patched:
        patched.setattr(at.queue, "send_later", down)
        assert await at.work() == [message]
        assert 3_000 < at.queue.hidden[message][-1] <= 3_010
        # SQS may show it earlier all the same: as long as no other one can be sent, it stays.
        at.queue.messages[message].visible_at = 0
        assert await at.work() == [message] and list(at.queue.messages) == [message]
    at.queue.messages[message].visible_at = 0
    assert await at.work() == [] and len(at.queue.messages) == 1
    for _ in range(4):
        clock.forward(LONGEST_DELAY)
        await at.work()
    assert (await at.known(job)).status == "succeeded" and len(provider.asked) == 2


class Moody(Scripted):
    """Answers after a while, or fails for a while, by chance. No two runs of a job are asked at the same time."""

    def __init__(self, chance: random.Random) -> None:
        super().__init__()
        self.chance = chance
        self.now: set[str] = set()

    async def answer(self, call: ModelCall) -> AsyncGenerator[list[Event], None]:
        said = call.messages[-1].text
        assert said not in self.now
        self.now.add(said)
        try:
            await asyncio.sleep(self.chance.choice([0.1, 1, 5, 40]))
            if said.startswith("poison"):
                raise errors.upstream_rejected(reason="poison")
            if self.chance.random() < 0.2:
                raise errors.upstream_throttled()
            yield [Delta(said)]
            yield [Usage(1, 1), Done("end_turn")]
        finally:
            self.now.discard(said)


async def test_none_is_lost_and_none_ends_twice_however_workers_die(worker, monkeypatch) -> None:
    """Two hundred jobs at once, some of them delivered twice, and workers that are killed."""
    chance = random.Random(20)
    at = worker(Moody(chance), max_tries=50)
    update = at.table.update_item

    async def lossy(*args: Any, **more: Any) -> Any:
        at.table.loses = chance.random() < 0.05
        return await update(*args, **more)

    monkeypatch.setattr(at.table, "update_item", lossy)
    jobs: list[Job] = []
    for number in range(200):
        jobs.append(await at.submit({"message": f"{'poison' if number % 50 == 0 else 'job'} {number}"}))
        if number % 10 == 0:
            at.queue.send(jobs[-1].id)

    async def worker_process() -> None:
        while at.queue.messages:
            working = asyncio.create_task(at.work(most=5))
            done, _ = await asyncio.wait({working}, timeout=chance.uniform(1, 60) if chance.random() < 0.2 else None)
            if not done:
                working.cancel()
                await asyncio.gather(working, return_exceptions=True)
            else:
                working.result()
            is_idle = all(message.visible_at > at.clock() for message in at.queue.messages.values())
            await asyncio.sleep(chance.uniform(10, 60) if is_idle else chance.uniform(0.1, 10))

    await asyncio.gather(*(worker_process() for _ in range(20)))
    for number, job in enumerate(jobs):
        known = await at.known(job)
        assert known.status == ("failed" if number % 50 == 0 else "succeeded"), known
        assert at.table.ends[job.id] == 1
        assert number % 50 == 0 or at.result(job)["message"] == f"job {number}"
    assert not at.queue.dead
