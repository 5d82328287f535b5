"""Sends the requests, and measures each."""

import asyncio
import itertools
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from pulumi_llm.cli.transports import Answer, ChatError, Transport, TransportName, UsageError, open_transport

# What a run may ask for at most.
MAX_CONCURRENCY = 64
MAX_REQUESTS = 1_000
MAX_SECONDS = 600
# A run ends when so many requests have failed in a row, throttled ones not counted: the next would fail, too.
FAILURES_IN_A_ROW = 10
# A run ends when the service asks to wait longer than this, such as until its daily quota starts anew.
LONGEST_WAIT_SECONDS = 60.0


@dataclass(frozen=True)
class Plan:
    """What to send. `requests` are those over each transport; with `seconds`, no new ones are sent after that time.

    `message` is sent behind a code that differs in each request; `options` are the other fields of its body.
    """

    endpoints: Mapping[TransportName, str]
    message: str
    options: dict[str, object]
    concurrency: int
    requests: int
    seconds: float | None = None

    @property
    def total(self) -> int:
        """How many requests there are at most."""
        return self.requests * len(self.endpoints)

    def body(self) -> dict[str, object]:
        """The body of a request. Its message begins unlike any other, so that no cache has its answer or its first tokens.

        vLLM, Bedrock and OpenAI keep the beginnings of prompts. https://docs.vllm.ai/en/latest/features/automatic_prefix_caching/
        """
        return {"message": f"[{secrets.token_hex(4)}] {self.message}", **self.options}


@dataclass(frozen=True)
class Sample:
    """One request. `started` is in seconds since the run began. A request that failed has no answer, but an error."""

    transport: TransportName
    started: float
    seconds: float
    answer: Answer | None = None
    reconnects: int = 0
    error: ChatError | None = None


@dataclass
class LoadRun:
    """A run, as far as it has come."""

    plan: Plan
    api_key: str
    changed: Callable[["LoadRun"], None] = lambda _: None
    samples: list[Sample] = field(default_factory=list[Sample])
    began: float = 0.0
    ended: float | None = None
    # Why it ended early; empty while it has not.
    stopped: str = ""
    interrupted: bool = False

    @property
    def seconds(self) -> float:
        return (self.ended or time.monotonic()) - self.began

    @property
    def waited(self) -> float:
        """Seconds that the users have waited, all together, because the service asked for it."""
        return self._waited

    def __post_init__(self) -> None:
        self._waited = 0.0
        self._failed_in_a_row = 0
        self._jobs = self._all_jobs()

    async def run(self) -> None:
        """Run to the end. Ctrl-C, which cancels the task, ends it early. Raises `UsageError` for a wrong endpoint or key."""
        users = [
            {name: open_transport(name, url, self.api_key) for name, url in self.plan.endpoints.items()}
            for _ in range(self.plan.concurrency)
        ]
        self.began = time.monotonic()
        tasks = [asyncio.create_task(self._user(transports)) for transports in users]
        try:
            await asyncio.gather(*tasks)
        except asyncio.CancelledError:
            self.interrupted = True
        finally:
            for task in tasks:
                task.cancel()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.gather(*(transport.close() for transports in users for transport in transports.values()))
            self.ended = time.monotonic()
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                raise outcome

    def _all_jobs(self) -> Iterator[TransportName]:
        """The transport of each request: they take turns, so that a busy moment slows all of them alike."""
        for name in itertools.chain.from_iterable(itertools.repeat(list(self.plan.endpoints), self.plan.requests)):
            late = self.plan.seconds is not None and time.monotonic() - self.began >= self.plan.seconds
            if late or self.stopped:
                return
            yield name

    async def _user(self, transports: Mapping[TransportName, Transport]) -> None:
        for name in self._jobs:
            sample = await self._request(name, transports[name])
            self.samples.append(sample)
            self._failed_in_a_row = 0 if sample.error is None or sample.error.retry_after else self._failed_in_a_row + 1
            if self._failed_in_a_row >= FAILURES_IN_A_ROW:
                self.stopped = f"{FAILURES_IN_A_ROW} requests in a row have failed"
            self.changed(self)
            if sample.error is not None and sample.error.retry_after:
                await self._wait(sample.error.retry_after)

    async def _request(self, name: TransportName, transport: Transport) -> Sample:
        display = _Counting()
        start = time.monotonic()
        answer = error = None
        try:
            answer = await transport.ask(self.plan.body(), display)
        except UsageError:
            raise
        except ChatError as failure:
            error = failure
        now = time.monotonic()
        return Sample(name, start - self.began, now - start, answer, display.reconnects, error)

    async def _wait(self, seconds: float) -> None:
        if seconds > LONGEST_WAIT_SECONDS:
            self.stopped = self.stopped or f"the service asks to wait {seconds:g} s"
            return
        self._waited += seconds
        await asyncio.sleep(seconds)


class _Counting:
    """Shows nothing, and counts the connections that were lost."""

    def __init__(self) -> None:
        self.reconnects = 0

    def answer(self, text: str) -> None:
        pass

    def reasoning(self, text: str) -> None:
        pass

    def reconnecting(self) -> None:
        self.reconnects += 1
