"""A WebSocket API under many connections for minutes: is anything lost, and does memory stay as it is?

    python bench/websocket_soak.py [CONNECTIONS [GENERATIONS [SECONDS]]]

It runs a stack on this machine (`pulumi-llm local`) and opens 1,000 connections. Then 100 generations run at any time for 600
seconds, each on a connection chosen by chance. Each answer must be complete: its messages numbered without a gap, its text what
the stand-in says to this question, its end `done`. An idle connection pings every two to four minutes, as a client must, and
none may be closed. Every ten seconds the resident memory is read from /proc: of the supervisor, which plays API Gateway, of
the functions by their entry point, and of moto, whose DynamoDB keeps every message, because it deletes nothing.

The stand-in writes a token every two seconds, because each is a write to moto, which takes some 7 ms of CPU. Generations start
one after the other, at most five a second, because each needs a process of its own here. It ends by itself; the exit code is 1
if anything was lost.
"""

import asyncio
import contextlib
import json
import random
import re
import signal
import statistics
import subprocess
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

CONNECTIONS, GENERATIONS, SECONDS = (int(given) for given in [*sys.argv[1:], *("1000", "100", "600")[len(sys.argv) - 1 :]])
ROOT = Path(__file__).parents[1]
PROGRAM = ROOT / "tests/system/local/programs/transports"
FIRST_DELAY, TOKEN_DELAY, TOKENS = 0.3, 2.0, 80
STARTS_PER_SECOND = 5
HANDSHAKES_AT_ONCE = 8
PING_SECONDS = 240
SAMPLE_SECONDS = 10
ANSWER_SECONDS = 120  # none takes so long, so one that does has been lost


class Client:
    """A connection, and the generations on it."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._queues: dict[str, asyncio.Queue[dict[str, Any]]] = {}
        self.closed = False

    async def read(self) -> None:
        """Hand out what comes, until the connection ends. The clients do not ping all at once."""
        try:
            while True:
                try:
                    async with asyncio.timeout(random.uniform(PING_SECONDS / 2, PING_SECONDS)):
                        received = json.loads(await self._connection.recv())
                except TimeoutError:
                    await self._connection.send('{"action":"ping"}')
                    continue
                for message in received if isinstance(received, list) else [received]:
                    if queue := self._queues.get(message.get("id") or ""):
                        queue.put_nowait(message)
        except ConnectionClosed:
            self.closed = True

    async def generate(self, id: str, question: str) -> str:
        """Ask, and return what was wrong with the answer; empty if nothing was."""
        queue = self._queues[id] = asyncio.Queue()
        text, tokens = "", 0
        try:
            await self._connection.send(json.dumps({"action": "chat", "id": id, "message": question, "max_tokens": TOKENS}))
            for number in range(1, sys.maxsize):
                async with asyncio.timeout(ANSWER_SECONDS):
                    message = await queue.get()
                if message.get("seq") != number:
                    return f"message {number} is missing: {json.dumps(message)[:200]}"
                text += message.get("text", "") if message["type"] == "delta" else ""
                if message["type"] == "error":
                    return f"{message['error']['code']}: {message['error']['message']}"
                tokens = message.get("output_tokens", tokens)
                if message["type"] == "done":
                    whole = tokens == TOKENS and text.startswith("Hello! ") and f"“{question}”" in text
                    return "" if whole else f"the text is not whole: {text!r}"
        except TimeoutError:
            return f"no message for {ANSWER_SECONDS} s"
        except ConnectionClosed as closed:
            return f"the connection was closed: {closed}"
        finally:
            del self._queues[id]
        raise AssertionError


class Soak:
    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._chance = random.Random(7)
        self.clients: list[Client] = []
        self.complete = 0
        self.wrong: Counter[str] = Counter()
        self.seconds: list[float] = []  # of each complete answer
        self.memory: dict[str, list[tuple[float, int, float]]] = defaultdict(list)  # when, processes, MB

    async def run(self, url: str, key: str) -> None:
        began = time.monotonic()
        gate = asyncio.Semaphore(HANDSHAKES_AT_ONCE)

        async def opened() -> Client:
            async with gate:
                headers = {"authorization": f"Bearer {key}"}
                connection = await connect(
                    url, additional_headers=headers, ping_interval=None, compression=None, open_timeout=60
                )
                return Client(connection)

        self.clients = await asyncio.gather(*(opened() for _ in range(CONNECTIONS)))
        print(f"{CONNECTIONS} connections are open after {time.monotonic() - began:.0f} s", flush=True)
        background = [asyncio.create_task(client.read()) for client in self.clients]
        background.append(asyncio.create_task(self._sample()))
        end = time.monotonic() + SECONDS
        await asyncio.gather(*(self._keep_generating(number, end) for number in range(GENERATIONS)))
        for task in background:
            task.cancel()
        await asyncio.gather(*background, return_exceptions=True)

    async def _keep_generating(self, number: int, end: float) -> None:
        await asyncio.sleep(number / STARTS_PER_SECOND)
        for turn in range(sys.maxsize):
            if time.monotonic() >= end:
                return
            start = time.monotonic()
            client = self._chance.choice(self.clients)
            problem = await client.generate(f"soak-{number}-{turn}", f"Question {number} of turn {turn}")
            if problem:
                self.wrong[problem] += 1
                await asyncio.sleep(1)
            else:
                self.complete += 1
                self.seconds.append(time.monotonic() - start)

    async def _sample(self) -> None:
        began = time.monotonic()
        while True:
            now = time.monotonic() - began
            found = memory(self._pid)
            for kind, sizes in found.items():
                self.memory[kind].append((now, len(sizes), sum(sizes)))
            if round(now) % 60 < SAMPLE_SECONDS:
                said = ", ".join(f"{kind} {len(sizes)} × {statistics.mean(sizes):.0f} MB" for kind, sizes in found.items())
                print(f"{now:4.0f} s: {self.complete} complete, {self.wrong.total()} wrong; {said}", flush=True)
            await asyncio.sleep(SAMPLE_SECONDS)

    def report(self) -> bool:
        """Print the figures; returns whether nothing was lost."""
        closed = sum(client.closed for client in self.clients)
        print(f"\n{self.complete} answers complete, {self.wrong.total()} not; {closed} of {CONNECTIONS} connections closed")
        for problem, count in self.wrong.most_common(10):
            print(f"  {count} × {problem}")
        if len(self.seconds) > 1:
            cuts = statistics.quantiles(self.seconds, n=20)
            print(f"an answer took {cuts[9]:.1f} s (p50), {cuts[18]:.1f} s (p95)")
        print("\nresident memory in MB: the median of the second quarter of the time, and of the last")
        for kind, samples in sorted(self.memory.items()):
            quarter = len(samples) // 4
            early, late = (
                statistics.median(mb for *_, mb in part)
                for part in (samples[quarter : 2 * quarter + 1], samples[-quarter - 1 :])
            )
            processes = max(count for _, count, _ in samples)
            print(f"  {kind:12} {early:8.0f} {late:8.0f}  ratio {late / early:.2f}, at most {processes} processes")
        return not self.wrong and not closed


def memory(pid: int) -> dict[str, list[float]]:
    """The resident memory in MB of each process of the stack, by what it is."""
    parents: dict[int, int] = {}
    commands: dict[int, str] = {}
    sizes: dict[int, float] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            status = (folder / "status").read_text()
            commands[int(folder.name)] = (folder / "cmdline").read_text().replace("\0", " ")
        except OSError:  # it has just ended
            continue
        parents[int(folder.name)] = int(re.search(r"PPid:\s+(\d+)", status)[1])  # type: ignore[index]
        sizes[int(folder.name)] = int((re.search(r"VmRSS:\s+(\d+)", status) or ["", "0"])[1]) / 1024
    ours = {pid}
    while more := {child for child, parent in parents.items() if parent in ours} - ours:
        ours |= more
    found: dict[str, list[float]] = defaultdict(list)
    for process in ours:
        if (kind := _kind(commands[process], supervisor=process == pid)) and sizes[process]:
            found[kind].append(sizes[process])
    return found


def _kind(command: str, *, supervisor: bool) -> str:
    if supervisor:
        return "supervisor"
    if "child.py" in command:  # starts another process, and ends it
        return ""
    if match := re.search(r"handler_host.py llm_functions\.(?:\w+\.)*(\w+)\.handler", command):
        return match[1]
    return "moto" if "moto" in command else "rest" if "llm_functions.http" in command else ""


def main() -> int:
    command = [str(Path(sys.executable).with_name("pulumi-llm")), "local", "--port", "0", "--json"]
    command += ["--model-delay", f"{FIRST_DELAY},{TOKEN_DELAY}"]
    stack = subprocess.Popen(command, cwd=PROGRAM, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert stack.stdout is not None
        outputs = json.loads(stack.stdout.readline())
        soak = Soak(stack.pid)
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(soak.run(outputs["websocket_url"], outputs["api_key_value"]))
        return 0 if soak.report() else 1
    finally:
        stack.send_signal(signal.SIGINT)
        try:
            stack.wait(30)
        except subprocess.TimeoutExpired:
            stack.kill()


if __name__ == "__main__":
    sys.exit(main())
