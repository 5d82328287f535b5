"""A burst of jobs whose workers are killed at random: is a job lost or run twice, is the bound of the model's calls kept?

    python bench/jobs_burst.py [JOBS [SECONDS_BETWEEN_KILLS]]

It runs a stack on this machine (`pulumi-llm local`) with jobs, and submits 1,000 of them. A model of its own stands behind the
stand-in for Bedrock: it answers after half a second, counts the calls that run at once, and which job each was for. Every ten
seconds one worker is killed with SIGKILL, until half of the jobs have ended. Then each job must have succeeded; the model must
not have been asked twice at the same time for one, and again only where a worker was killed; the ledger must have charged as
many requests as there were calls, and no more than what killed workers were about to ask besides; and never more calls may have
run at once than maximum_concurrency x batch_size. Every five seconds the resident memory of all processes is read from /proc.
Most of the time is the local run's own: moto serves DynamoDB, S3 and SQS in one process. It ends by itself; the exit code is 1
if anything was wrong.
"""

import asyncio
import contextlib
import json
import os
import random
import re
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

ROOT = Path(__file__).parents[1]
JOBS, KILL_SECONDS = (int(given) for given in [*sys.argv[1:], *("1000", "10")[len(sys.argv) - 1 :]])
CONCURRENCY, BATCH, MODEL_SECONDS, SAMPLE_SECONDS = 5, 4, 0.5, 5
MOST_SECONDS = 3_000
CONFIG: dict[str, Any] = {
    "async_inference": {
        "enabled": True,
        "maximum_concurrency": CONCURRENCY,
        "batch_size": BATCH,
        "timeout_seconds": 60,
    },
    "api.throttle": {"rate_limit": 1_000, "burst_limit": 1_000},
    "api.daily_quota": 1_000_000,
    "api.limits": {"requests": {"day": 1_000_000}},
    "websocket.enabled": False,
}


class Model:
    """An OpenAI-compatible server that counts."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.running: Counter[str] = Counter()
        self.most = 0
        self.doubled: set[str] = set()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        text = json.dumps((await request.json())["messages"])
        job = (re.search(r"burst-\d+", text) or [""])[0]
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


async def main() -> int:
    model = Model()
    app = web.Application()
    app.router.add_post("/v1/chat/completions", model.answer)
    runner = web.AppRunner(app, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    settings = [part for name, value in CONFIG.items() for part in ("--config", f"{name}={json.dumps(value)}")]
    stack = await asyncio.create_subprocess_exec(
        *(str(Path(sys.executable).with_name("pulumi-llm")), "local", "--port", "0", "--json"),
        *("--model-url", f"http://127.0.0.1:{port}/v1#m", *settings),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert stack.stdout is not None
        outputs = json.loads(await stack.stdout.readline())
        headers = {"x-api-key": outputs["api_key_value"]}
        async with aiohttp.ClientSession(outputs["api_gateway_url"] + "/", headers=headers) as session:
            return await burst(session, model, stack.pid)
    finally:
        stack.send_signal(signal.SIGINT)
        await stack.wait()
        await runner.cleanup()


async def burst(session: aiohttp.ClientSession, model: Model, pid: int) -> int:
    began, ids = time.monotonic(), list[str]()
    for first in range(0, JOBS, 100):
        bodies = [{"message": f"burst-{number}", "max_tokens": 20} for number in range(first, min(first + 100, JOBS))]
        async with session.post("jobs", json={"jobs": bodies}) as response:
            response.raise_for_status()
            ids += [each["id"] for each in (await response.json())["jobs"]]
    submitted = time.monotonic() - began
    memory: list[dict[str, float]] = []
    kills = 0
    open_jobs, ended = set(ids), Counter[str]()
    next_kill = began + KILL_SECONDS
    while open_jobs and time.monotonic() - began < MOST_SECONDS:
        await asyncio.sleep(SAMPLE_SECONDS)
        found = processes(pid)
        memory.append({"all": sum(mb for _, mb in found.values()), "supervisor": found[pid][1]})
        workers = [each for each, (command, _) in found.items() if "llm_functions.worker.handler" in command]
        if workers and len(open_jobs) > JOBS / 2 and time.monotonic() >= next_kill:
            with contextlib.suppress(ProcessLookupError):
                os.kill(random.choice(workers), signal.SIGKILL)
                kills += 1
            next_kill = time.monotonic() + KILL_SECONDS
        for id in list(open_jobs)[:50]:
            async with session.get(f"jobs/{id}") as response:
                status = (await response.json())["status"]
            if status not in ("queued", "running"):
                ended[status] += 1
                open_jobs.remove(id)
    seconds = time.monotonic() - began
    async with session.get("usage") as response:
        charged = (await response.json())["caller"]["month"]["requests"]  # a run may last over midnight
    calls = model.calls.total()
    again = sum(count - 1 for count in model.calls.values())
    wrong = {
        "not succeeded": JOBS - ended["succeeded"],
        "asked twice at once": len(model.doubled),
        "asked again beyond the jobs of killed workers": max(0, again - kills * BATCH),
        "never asked": JOBS - len(model.calls),
        "calls above the bound": max(0, model.most - CONCURRENCY * BATCH),
        "charged otherwise than asked": max(0, calls - charged, charged - calls - kills * BATCH),
    }
    print(f"{JOBS} jobs, submitted in {submitted:.1f} s, ended in {seconds:.0f} s: {JOBS / seconds:.1f} jobs/s; {dict(ended)}")
    print(f"{kills} workers killed; {calls} calls of the model, at most {model.most} at once; {charged} charged")
    for name in ("all", "supervisor"):
        quarter = len(memory) // 4
        print(
            f"resident memory of {name}: {memory[quarter][name]:.0f} MB after a quarter, {memory[-1][name]:.0f} MB at the end"
        )
    print("wrong:", {name: number for name, number in wrong.items() if number} or "nothing")
    return int(any(wrong.values()))


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
