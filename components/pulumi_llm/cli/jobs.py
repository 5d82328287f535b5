"""The commands `pulumi-llm jobs …`: submit jobs to a service, follow them, and run those again that failed or got stuck."""

import asyncio
import json
import sys
import uuid
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Annotated, Any, cast

import typer
from rich.console import Console

from pulumi_llm.cli import redrive, requeue
from pulumi_llm.cli.chat_screen import visible
from pulumi_llm.cli.transports.jobs import ENDED, Job, JobsClient
from pulumi_llm.cli.transports.transport import ChatError, UsageError

# The most jobs that the service takes with one request.
MOST_JOBS = 100
# How often a request that may succeed later is sent, and the seconds between two where the service names none.
_TRIES, _PAUSE = 8, 2.0
# Codes of failures after which nobody knows whether the service has the jobs: the same key asks again.
_UNKNOWN = frozenset({"timeout", "connection_failed", "stream_interrupted"})
# The code of the failure that as many jobs of the caller wait as may.
_NO_ROOM = "too_many_jobs"
# Jobs that one round of a wait looks at, and the seconds after a round in which none has ended.
_LOOKED_AT, _ROUND_SECONDS = 20, 1.0

app = typer.Typer(
    help="Submit jobs to a service, follow them, and run those again that failed or got stuck.", no_args_is_help=True
)

Endpoint = Annotated[str, typer.Option(envvar="PULUMI_LLM_ENDPOINT", help="The service's URL: the output api_gateway_url.")]
ApiKey = Annotated[
    str, typer.Option(envvar="PULUMI_LLM_API_KEY", help="The API key. Leave it out for a service without authentication.")
]
Ids = Annotated[list[str], typer.Argument(help="The jobs.", metavar="ID...")]


@app.command()
def submit(
    endpoint: Endpoint,
    api_key: ApiKey = "",
    message: Annotated[str, typer.Option("--message", "-m", help="What one job asks; '-' reads it from standard input.")] = "",
    file: Annotated[
        str, typer.Option("--file", "-f", help="JSON lines: the body of a job in each; '-' reads them from standard input.")
    ] = "",
    model: Annotated[str, typer.Option(help="The alias of the model. Default: the first model of the service.")] = "",
    wait: Annotated[bool, typer.Option("--wait", help="Wait until all have ended, and write each as a JSON line.")] = False,
) -> None:
    """Submit one job with --message, or many with --file. Writes their ids, or with --wait what has become of them.

    \f
    The exit code is 1 after an error of the service, or with --wait if a job has not succeeded, and 2 if an argument is wrong.
    """

    async def run(jobs: JobsClient) -> bool:
        asked = list(_asked(message, file, model))
        ids: list[str] = []
        with _progress(len(asked), "submitted") as advance:
            for start in range(0, len(asked), MOST_JOBS):
                found = await _submitted(jobs, asked[start : start + MOST_JOBS])
                ids += [job.id for job in found]
                advance(len(found))
        if wait:
            return await _waited(jobs, ids)
        for id in ids:
            typer.echo(visible(id))
        return True

    _run(endpoint, api_key, run)


@app.command()
def status(
    endpoint: Endpoint,
    ids: Annotated[
        list[str] | None, typer.Argument(help="The jobs. Without any, the newest are listed.", metavar="[ID]...")
    ] = None,
    api_key: ApiKey = "",
    only: Annotated[str, typer.Option("--status", help="List the jobs of this status alone.")] = "",
    limit: Annotated[int, typer.Option(help="How many jobs are listed.", min=1, max=100)] = 20,
) -> None:
    """Show jobs as JSON, or list the newest ones: id, status, model, time of creation, error."""

    async def run(jobs: JobsClient) -> bool:
        for id in ids or ():
            typer.echo(visible(json.dumps(json.loads(await jobs.described(id)), indent=2, ensure_ascii=False)))
        for job in [] if ids else await jobs.page(limit, only):
            typer.echo(visible(f"{job.id}  {job.status:9}  {job.model}  {job.created}  {_why(job)}".rstrip()))
        return True

    _run(endpoint, api_key, run)


@app.command()
def tail(endpoint: Endpoint, id: Annotated[str, typer.Argument(help="The job.", metavar="ID")], api_key: ApiKey = "") -> None:
    """Follow a job until it ends, and write its answer.

    \f
    The exit code is 1 if the job has not succeeded.
    """

    async def run(jobs: JobsClient) -> bool:
        async for job in jobs.follow(id):
            typer.echo(visible(f"{job.status} {_why(job)}".rstrip()), err=True)
            if job.has_ended:
                if job.result is not None:
                    typer.echo(visible(_text(job.result)))
                return job.status == "succeeded"
        return False

    _run(endpoint, api_key, run)


@app.command()
def cancel(endpoint: Endpoint, ids: Ids, api_key: ApiKey = "") -> None:
    """Cancel jobs, and write what has become of each. One that has ended stays as it is; one that runs is stopped."""

    async def run(jobs: JobsClient) -> bool:
        for id in ids:
            job = await jobs.cancel(id)
            typer.echo(visible(f"{job.id}  {job.status}"))
        return True

    _run(endpoint, api_key, run)


app.command("redrive")(redrive.run)
app.command("requeue")(requeue.run)


def _run(endpoint: str, api_key: str, run: Callable[[JobsClient], Coroutine[Any, Any, bool]]) -> None:
    """Run a command, and end with its exit code."""

    async def connected() -> bool:
        async with _client(endpoint, api_key) as jobs:
            return await run(jobs)

    try:
        done = asyncio.run(connected())
    except ChatError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2 if isinstance(error, UsageError) else 1) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    if not done:
        raise typer.Exit(1)


@asynccontextmanager
async def _client(endpoint: str, api_key: str) -> AsyncGenerator[JobsClient]:
    jobs = JobsClient(endpoint, api_key)
    try:
        yield jobs
    finally:
        await jobs.close()


def _asked(message: str, file: str, model: str) -> Iterator[dict[str, Any]]:
    """Yield the body of each job. Raises `UsageError`."""
    if bool(message) == bool(file):
        raise UsageError("invalid_message", "give --message or --file")
    chosen = {"model": model} if model else {}
    if message:
        text = sys.stdin.read() if message == "-" else message
        if not text.strip():
            raise UsageError("invalid_message", "the message is empty; give some text")
        yield {**chosen, "message": text}
        return
    try:
        lines = (sys.stdin.read() if file == "-" else Path(file).read_text()).splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError("invalid_message", f"{file} cannot be read: {error}") from None
    if not any(line.strip() for line in lines):
        raise UsageError("invalid_message", f"{file} has no line")
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                body = json.loads(line)
            except ValueError as error:
                raise UsageError("invalid_message", f"{file}, line {number}: it is not JSON: {error}") from None
            if not isinstance(body, dict):
                raise UsageError("invalid_message", f"{file}, line {number}: it is no JSON object")
            yield cast("dict[str, Any]", body) if "endpoint" in body else {**chosen, **body}


async def _submitted(jobs: JobsClient, asked: Sequence[Any]) -> list[Job]:
    """Submit jobs once, however often that takes: the same key finds the same jobs."""
    key, tries = str(uuid.uuid4()), 0
    while True:
        try:
            return await jobs.submit(asked, key)
        except ChatError as error:
            if error.code != _NO_ROOM:  # jobs of before are done sooner or later
                tries += 1
            if tries == _TRIES or (error.retry_after is None and error.code not in _UNKNOWN):
                raise
            await asyncio.sleep(_PAUSE if error.retry_after is None else error.retry_after)


async def _waited(jobs: JobsClient, ids: Sequence[str]) -> bool:
    """Write each job when it has ended. Returns whether all have succeeded."""
    waiting, good = list(ids), True
    with _progress(len(ids), "ended") as advance:
        while waiting:
            looked_at, waiting = waiting[:_LOOKED_AT], waiting[_LOOKED_AT:]
            before = len(waiting)
            for id in looked_at:
                described = await jobs.described(id)
                state = json.loads(described)["status"]
                if state not in ENDED:
                    waiting.append(id)
                    continue
                good = good and state == "succeeded"
                typer.echo(visible(described.decode()))
                advance(1)
            if waiting and len(waiting) - before == len(looked_at):
                await asyncio.sleep(_ROUND_SECONDS)
    return good


@contextmanager
def _progress(total: int, what: str) -> Generator[Callable[[int], None]]:
    """Show on a terminal how many of the jobs are done."""
    console = Console(stderr=True)
    if not console.is_terminal or total < 2:
        yield lambda _: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn

    with Progress(what, BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=console) as progress:
        task = progress.add_task(what, total=total)
        yield lambda number: progress.advance(task, number)


def _why(job: Job) -> str:
    return f"{job.error.code}: {job.error.message}" if job.error else ""


def _text(result: Any) -> str:
    """The text of an answer of /chat; the JSON of any other one."""
    if isinstance(result, dict) and isinstance(found := cast("dict[str, Any]", result).get("message"), str):
        return found
    return json.dumps(result, ensure_ascii=False)
