"""The operations of jobs over HTTP. What they ask is checked as /chat checks it, and answered later, by a worker."""

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, cast
from urllib.parse import parse_qsl

import msgspec

from llm_functions.api_formats.jobs import MOST_JOBS, described, parse
from llm_functions.http.event_stream import EventStreamWriter, Headers, Send
from llm_gateway import errors
from llm_gateway.errors import GatewayError, Problem, clipped
from llm_gateway.gateway import Gateway
from llm_gateway.identity.caller import Caller
from llm_gateway.jobs.job import ENDED, STATUSES, Job, new_jobs, owner_of
from llm_gateway.jobs.store import JobStore, StoreErrors, unavailable
from llm_gateway.routes import Alias
from llm_gateway.stages.authorize import authorize
from llm_gateway.stages.idempotency import check_key
from llm_gateway.stages.validate import conversation_problems

# Of a page of the list.
DEFAULT_PAGE, LARGEST_PAGE = 20, 100
# Seconds between two looks at a job that is followed: more and more of them, for the states of a job are few. Each who follows
# one holds a function, which does not learn that its client has left, so it ends after some time; an EventSource comes again.
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 5.0
FOLLOW_SECONDS = 300.0

_JOB_ID = re.compile(r"job_[0-9a-f]{32}")
_AFTER = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z),(job_[0-9a-f]{32})", re.ASCII)
_encode = msgspec.json.Encoder().encode

Answer = tuple[int, Any, list[tuple[str, str]]]


class Request(Protocol):
    """What is needed of an HTTP request."""

    @property
    def headers(self) -> Headers: ...
    @property
    def request_id(self) -> str: ...
    @property
    def caller(self) -> Caller: ...
    @property
    def parameter(self) -> str: ...
    @property
    def body(self) -> dict[str, Any]: ...
    @property
    def deadline(self) -> float: ...
    @property
    def send(self) -> Send: ...
    @property
    def scope(self) -> Mapping[str, Any]: ...


async def submit(gateway: Gateway, store: JobStore, http: Request) -> Answer:
    """Keep the jobs of a request, and return them. Nothing is kept of one that has a problem."""
    is_list = "jobs" in http.body
    asked: Sequence[Any] = _listed(http.body) if is_list else [http.body]
    aliases = _checked(asked, lambda each: _alias(gateway, http.caller, each), is_list=is_list)
    key = _header(http.scope, b"idempotency-key")
    if key is not None:
        check_key(key)
    jobs = new_jobs(http.caller, aliases, http.body, store.table.clock(), key=key or "")
    try:
        kept, is_replayed = await store.submit(jobs, [_encode(each) for each in asked], has_key=bool(key))
    except StoreErrors as error:
        raise unavailable(error) from error
    shown = [described(job) for job in kept]
    return 202, {"jobs": shown} if is_list else shown[0], [("idempotent-replayed", "true")] if is_replayed else []


async def page(_gateway: Gateway, store: JobStore, http: Request) -> Answer:
    """Return some of the caller's jobs, the newest first."""
    asked = dict(parse_qsl(http.scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True))
    problems: list[Problem] = []
    status, limit, after = asked.pop("status", None), asked.pop("limit", str(DEFAULT_PAGE)), asked.pop("after", None)
    found = None if after is None else _AFTER.fullmatch(after)
    if status is not None and status not in STATUSES:
        problems.append(Problem("status", f"must be one of {', '.join(STATUSES)}, not {clipped(status)!r}"))
    if not (limit.isascii() and limit.isdigit() and len(limit) < 4 and 1 <= int(limit) <= LARGEST_PAGE):
        problems.append(Problem("limit", f"must be between 1 and {LARGEST_PAGE}, not {clipped(limit)!r}"))
    if after is not None and found is None:
        problems.append(Problem("after", "must be the next of the page before"))
    problems += [Problem(clipped(name), "is not known; there are after, limit, status") for name in asked]
    if problems:
        raise errors.invalid_request(problems)
    try:
        jobs, following = await store.table.page(
            http.caller,
            status,  # pyright: ignore[reportArgumentType]  it is one of STATUSES
            int(limit),
            None if found is None else (found[1], found[2]),
        )
    except StoreErrors as error:
        raise unavailable(error) from error
    return 200, {"jobs": [described(job) for job in jobs], **({"next": ",".join(following)} if following else {})}, []


async def get(_gateway: Gateway, store: JobStore, http: Request) -> Answer:
    """Return a job, with its result."""
    try:
        return 200, await _shown(store, await _found(store, http)), []
    except StoreErrors as error:
        raise unavailable(error) from error


async def cancel(_gateway: Gateway, store: JobStore, http: Request) -> Answer:
    """Cancel a job, and return what it is then. One that has ended stays as it is."""
    try:
        return 200, described(await store.table.cancel(await _found(store, http))), []
    except StoreErrors as error:
        raise unavailable(error) from error


async def follow(store: JobStore, http: Request) -> None:
    """Send an event for each state of a job, from now on, until it has ended or the function must end.

    The id of an event is the number of the job's state. A client that names the last one is answered 204, which tells an
    EventSource to try no more.
    """
    since = _last_event(http.scope)
    try:
        job = await _found(store, http)
    except StoreErrors as error:
        raise unavailable(error) from error
    if job.status in ENDED and job.version <= since:
        await http.send({"type": "http.response.start", "status": 204, "headers": http.headers})
        await http.send({"type": "http.response.body"})
        return
    loop = asyncio.get_running_loop()
    end = min(http.deadline, loop.time() + FOLLOW_SECONDS)
    writer, pause = EventStreamWriter(http.send, http.headers, b"retry: 3000\n\n"), _FIRST_PAUSE
    try:
        while True:
            try:
                if job.version > since:
                    since, pause = job.version, _FIRST_PAUSE
                    frame = (job.version, job.status.encode(), _encode(await _shown(store, job)))
                    await writer.write(b"id: %d\nevent: %s\ndata: %s\n\n" % frame)
                if job.status in ENDED or loop.time() + pause > end:
                    break
                await asyncio.sleep(pause)
                pause = min(pause * 1.5, _LONGEST_PAUSE)
                job = await _found(store, http)
            except (*StoreErrors, GatewayError) as error:
                failure = error if isinstance(error, GatewayError) else unavailable(error)
                if not writer.opened:
                    raise failure from error
                await writer.write(b"event: error\ndata: %s\n\n" % _encode(failure.body(http.request_id)))
                break
        await writer.finish(b"")
    finally:
        writer.close()


async def _found(store: JobStore, http: Request) -> Job:
    """Return the job of the path. Raises the error 404 unless there is one of the caller."""
    id = http.parameter
    job = await store.table.get(id) if _JOB_ID.fullmatch(id) else None
    if job is None or job.owner != owner_of(http.caller):
        raise errors.unknown_job(id=clipped(id))
    return job


async def _shown(store: JobStore, job: Job) -> dict[str, Any]:
    return described(job, await store.bucket.get(job.result_key) if job.status == "succeeded" else None)


def _listed(body: Mapping[str, Any]) -> Sequence[Any]:
    jobs: Any = body["jobs"]
    problems = [Problem(clipped(name), "is not known beside jobs; put it into each of them") for name in body if name != "jobs"]
    if not isinstance(jobs, list) or not 1 <= len(cast("list[Any]", jobs)) <= MOST_JOBS:
        raise errors.invalid_request([Problem("jobs", f"must be a list of 1 to {MOST_JOBS} objects"), *problems])
    listed = cast("list[Any]", jobs)
    problems += [Problem(f"jobs[{i}]", "must be an object") for i, each in enumerate(listed) if not isinstance(each, dict)]
    if problems:
        raise errors.invalid_request(problems)
    return listed


def _checked(asked: Sequence[Any], check: Callable[[Any], str], *, is_list: bool) -> list[str]:
    """Return what `check` returns for each job. Raises the errors of all of them as one."""
    results, failures = list[str](), list[tuple[int, GatewayError]]()
    for index, each in enumerate(asked):
        try:
            results.append(check(each))
        except GatewayError as error:
            failures.append((index, error))
    if not failures:
        return results
    others = [error for _, error in failures if error.status != 400]
    if not is_list or others:
        raise others[0] if others else failures[0][1]
    raise errors.invalid_request([Problem(f"jobs[{index}]", error.message) for index, error in failures])


def _alias(gateway: Gateway, caller: Caller, asked: Mapping[str, Any]) -> str:
    """Return the name of the alias that a job is for. Raises what the pipeline would before it asks a target."""
    _, request = parse(asked)
    if problems := conversation_problems(request.messages):
        raise errors.invalid_request(problems)
    alias: Alias = authorize(caller, request.model, gateway.routes, request.kind, gateway.policy)
    if gateway.policy is not None:
        gateway.policy.check_job(caller)
        _, alias = gateway.policy.apply(request, alias, caller, gateway.routes, _nobody)
    if gateway.flags is not None:
        gateway.flags.admit(alias.name)
    return alias.name


def _nobody(*_: Any) -> None:
    """Nobody is told what the rules decide: the worker's record has it."""


def _last_event(scope: Mapping[str, Any]) -> int:
    text = _header(scope, b"last-event-id") or "0"
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise errors.invalid_request([Problem("Last-Event-ID", "must be the id of an event of this job, such as 2")])
    return int(text)


def _header(scope: Mapping[str, Any], name: bytes) -> str | None:
    value = dict(scope["headers"]).get(name)
    return None if value is None else value.decode("latin-1")
