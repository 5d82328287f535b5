"""A burst of jobs whose workers are killed at random: is a job lost or run twice, is the bound of the model's calls kept?

    python bench/jobs_burst.py [--jobs 1000] [--kill-seconds 10] [--poison 0] [--throttle 0]

It runs a stack on this machine (`pulumi-llm local`) with jobs, and submits 1,000 of them. A model of its own stands behind
the stand-in for Bedrock: it answers after half a second, counts the calls that run at once, and which job each was for. Every
ten seconds one worker is killed with SIGKILL, until half of the jobs have ended. `--throttle` is the share of the table's calls
that are throttled. `--poison` is the share of jobs that the model fails for, each time: they must fail, and they alone must be
in the dead letter queue; then the model is mended, and the dead letters are redriven.

At the end each job must have succeeded; the model must not have been asked twice at the same time for one, and again only
where a worker was killed; the ledger must have charged as many requests as there were calls, and no more than what killed
workers were about to ask besides; and never more calls may have run at once than maximum_concurrency x batch_size. Every five
seconds the resident memory of all processes is read from /proc. Most of the time is the local run's own: moto serves DynamoDB,
S3 and SQS in one process. It ends by itself; the exit code is 1 if anything was wrong.
"""

import asyncio
import contextlib
import json
import math
import os
import random
import re
import signal
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import aiohttp
import typer
from aiohttp import web

ROOT = Path(__file__).parents[1]
ENDED = ("succeeded", "failed", "cancelled")
COMMAND = str(Path(sys.executable).with_name("pulumi-llm"))
CONCURRENCY, BATCH, TRIES, MODEL_SECONDS, SAMPLE_SECONDS = 5, 4, 3, 0.5, 5
MOST_SECONDS = 6_000
CONFIG: dict[str, Any] = {
    "async_inference": {
        "enabled": True,
        "maximum_concurrency": CONCURRENCY,
        "batch_size": BATCH,
        "max_tries": TRIES,
        "timeout_seconds": 60,
        "jobs_per_caller": 10_000,
    },
    "api.throttle": {"rate_limit": 1_000, "burst_limit": 1_000},
    "api.daily_quota": 1_000_000,
    "api.limits": {"requests": {"day": 1_000_000}},
    "websocket.enabled": False,
}


class Model:
    """An OpenAI-compatible server that counts, and fails for some jobs until it is mended."""

    def __init__(self, poisoned: set[str]) -> None:
        self.poisoned = poisoned
        self.failures: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()
        self.running: Counter[str] = Counter()
        self.most = 0
        self.doubled: set[str] = set()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        text = json.dumps((await request.json())["messages"])
        job = (re.search(r"burst-\d+", text) or [""])[0]
        if job in self.poisoned:
            self.failures[job] += 1
            headers = {"content-type": "text/event-stream"}
            return web.Response(body=b'data: {"error": {"message": "out of memory"}}\n\n', headers=headers)
        self.calls[job] += 1
        self.running[job] += 1
        self.most = max(self.most, self.running.total())
        if self.running[job] > 1:
            self.doubled.add(job)
        try:
            await asyncio.sleep(MODEL_SECONDS)
            response = web.StreamResponse(headers={"content-type": "text/event-stream"})
            await response.prepare(request)
            usage = {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}
            chunks: list[dict[str, Any]] = [
                {"choices": [{"index": 0, "delta": {"content": job}, "finish_reason": None}]},
                {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": usage},
            ]
            for chunk in chunks:
                await response.write(b"data: " + json.dumps(chunk).encode() + b"\n\n")
            await response.write(b"data: [DONE]\n\n")
            return response
        finally:
            self.running[job] -= 1


def processes(pid: int) -> dict[int, tuple[str, float]]:
    """The processes of the stack: their commands and resident memory in MB."""
    found: dict[int, tuple[int, str, float]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            status, command = (folder / "status").read_text(), (folder / "cmdline").read_text().replace("\0", " ")
        except OSError:  # it has just ended
            continue
        parent, resident = re.search(r"PPid:\s+(\d+)", status), re.search(r"VmRSS:\s+(\d+)", status)
        found[int(folder.name)] = int(parent[1]) if parent else 0, command, int(resident[1]) / 1024 if resident else 0
    ours = {pid}
    while more := {child for child, (parent, _, _) in found.items() if parent in ours} - ours:
        ours |= more
    return {each: found[each][1:] for each in ours if each in found}


class Stack:
    """A local run, what it has printed, and the memory of its processes."""

    def __init__(self, pid: int, printed: str, session: aiohttp.ClientSession) -> None:
        self.pid = pid
        self.session = session
        self.memory: list[dict[str, float]] = []
        self.kills = 0
        variables = dict(each.split("=", 1) for each in printed.partition("  queues   ")[2].splitlines()[0].split())
        self.environment = {**os.environ, **variables}
        self.status = printed.partition("  status   ")[2].split()[0]

    def sample(self) -> list[int]:
        """Note the memory. Returns the process ids of the workers."""
        found = processes(self.pid)
        self.memory.append({"all": sum(mb for _, mb in found.values()), "supervisor": found[self.pid][1]})
        return [each for each, (command, _) in found.items() if "llm_functions.worker.handler" in command]

    async def ended(self, ids: list[str], kill_seconds: float, waits_for: Sequence[str] = ENDED) -> Counter[str]:
        """Wait until jobs have ended so, and kill a worker now and then until half of them have. Returns how many ended how."""
        open_jobs, ended, began = set(ids), Counter[str](), time.monotonic()
        next_kill = began + kill_seconds
        while open_jobs and time.monotonic() - began < MOST_SECONDS:
            await asyncio.sleep(SAMPLE_SECONDS)
            workers = self.sample()
            if workers and len(open_jobs) > len(ids) / 2 and time.monotonic() >= next_kill:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(random.choice(workers), signal.SIGKILL)
                    self.kills += 1
                next_kill = time.monotonic() + kill_seconds
            for id in random.sample(sorted(open_jobs), min(50, len(open_jobs))):
                if (status := (await self.get(f"jobs/{id}"))["status"]) in waits_for:
                    ended[status] += 1
                    open_jobs.remove(id)
        return ended

    async def submit(self, bodies: list[dict[str, Any]], key: str) -> list[str]:
        """Submit jobs, again with the same key where the table is throttled or the machine busy. Returns their ids."""
        for _ in range(20):
            async with self.session.post("jobs", json={"jobs": bodies}, headers={"idempotency-key": key}) as response:
                if response.status >= 500:
                    continue
                response.raise_for_status()
                return [each["id"] for each in (await response.json())["jobs"]]
        raise RuntimeError("no answer in twenty tries")

    async def get(self, path: str) -> Any:
        for _ in range(20):
            async with self.session.get(path) as response:
                if response.status >= 500:
                    continue
                response.raise_for_status()
                return await response.json()
        raise RuntimeError("no answer in twenty tries")

    async def redrive(self, count: int) -> int:
        """Redrive the dead letters, which come when their jobs have failed. Returns how many there were."""
        async with aiohttp.ClientSession() as session, session.get(self.status) as response:
            arn = (await response.text()).partition("jobs_dead_letter_queue_arn</th><td><code>")[2].partition("<")[0]
        moved = 0
        for _ in range(20):
            done = await asyncio.create_subprocess_exec(
                *(COMMAND, "jobs", "redrive", arn), env=self.environment, stdout=asyncio.subprocess.PIPE
            )
            said, _ = await done.communicate()
            moved += int((re.match(rb"\d+", said) or [b"0"])[0])
            if moved >= count:
                break
            await asyncio.sleep(1)
        return moved


async def main(jobs: int, kill_seconds: float, poison: float, throttle: float) -> int:
    """Run the stack, and the burst against it. Returns the exit code."""
    poisoned = {f"burst-{number}" for number in random.sample(range(jobs), round(jobs * poison))}
    model = Model(poisoned)
    app = web.Application()
    app.router.add_post("/v1/chat/completions", model.answer)
    runner = web.AppRunner(app, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    settings = [part for name, value in CONFIG.items() for part in ("--config", f"{name}={json.dumps(value)}")]
    stack = await asyncio.create_subprocess_exec(
        *(COMMAND, "local", "--port", "0", "--no-browser", "--model-url", f"http://127.0.0.1:{port}/v1#m", *settings),
        *(("--fault", f"dynamodb=throttle:{throttle}") if throttle else ()),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert stack.stdout is not None
        lines: list[str] = []
        while "Ctrl-C" not in (line := (await stack.stdout.readline()).decode()):
            assert line, "the local run has ended"
            lines.append(line)
        printed = "".join(lines)
        headers = {"x-api-key": printed.partition("x-api-key: ")[2].partition("'")[0]}
        async with aiohttp.ClientSession(printed.partition(" s: ")[2].split()[0] + "/", headers=headers) as session:
            return await burst(Stack(stack.pid, printed, session), model, jobs, kill_seconds)
    finally:
        stack.send_signal(signal.SIGINT)
        await stack.wait()
        await runner.cleanup()


async def burst(stack: Stack, model: Model, jobs: int, kill_seconds: float) -> int:
    """Submit the jobs, wait, and report. Returns the exit code."""
    began, ids = time.monotonic(), list[str]()
    for first in range(0, jobs, 100):
        bodies = [{"message": f"burst-{number}", "max_tokens": 20} for number in range(first, min(first + 100, jobs))]
        ids += await stack.submit(bodies, key=f"from-{first}")
    submitted = time.monotonic() - began
    ended = await stack.ended(ids, kill_seconds)
    seconds = time.monotonic() - began
    print(f"{jobs} jobs, submitted in {submitted:.1f} s, ended in {seconds:.0f} s: {jobs / seconds:.1f} jobs/s; {dict(ended)}")
    poisoned, dead = len(model.poisoned), 0
    wrong = {"not succeeded, or failed without poison": abs(jobs - poisoned - ended["succeeded"])}
    if poisoned:
        wrong["poisoned jobs that have not failed"] = poisoned - ended["failed"]
        model.poisoned = set()
        dead = await stack.redrive(poisoned)
        wrong["dead letters beside those of the poisoned jobs"] = abs(dead - poisoned)
        again = await stack.ended(ids, math.inf, ["succeeded"])
        wrong["not succeeded after the redrive"] = jobs - again["succeeded"]
        print(f"{dead} dead letters, of the {poisoned} poisoned jobs; redriven: {dict(again)}")
    charged = (await stack.get("usage"))["caller"]["month"]["requests"]  # a run may last over midnight
    calls, failures = model.calls.total(), model.failures.total()
    twice = sum(count - 1 for count in model.calls.values())
    wrong |= {
        "asked twice at once": len(model.doubled),
        "asked again beyond the jobs of killed workers": max(0, twice - stack.kills * BATCH),
        "never asked": jobs - len(model.calls),
        "calls above the bound": max(0, model.most - CONCURRENCY * BATCH),
        "charged otherwise than asked": max(0, calls - charged, charged - calls - failures - stack.kills * BATCH),
    }
    print(f"{stack.kills} workers killed; {calls} answers and {failures} failures of the model, at most {model.most} at once")
    print(f"{charged} requests charged")
    for name in ("all", "supervisor"):
        quarter = len(stack.memory) // 4
        first, last = stack.memory[quarter][name], stack.memory[-1][name]
        print(f"resident memory of {name}: {first:.0f} MB after a quarter, {last:.0f} MB at the end")
    print("wrong:", {name: number for name, number in wrong.items() if number} or "nothing")
    return int(any(wrong.values()))


def run(jobs: int = 1_000, kill_seconds: float = 10, poison: float = 0, throttle: float = 0) -> None:
    """Read the options."""
    sys.exit(asyncio.run(main(jobs, kill_seconds, poison, throttle)))


if __name__ == "__main__":
    typer.run(run)
