"""Our gateway against other gateways: latency, CPU, throughput, start and memory.

    python bench/peers.py [--only ours,portkey] [--seconds 0.5]
    python bench/peers.py --only ours,+ledger,+cancel,+filters,+rules,+cache,+flags,+traces,+all,portkey

The peers are LiteLLM's proxy, Portkey's gateway and Bifrost's core (in Go). Two more show how fast a proxy can be: nginx, and
the least that a proxy in Python does. One client (ours) sends the same requests, in OpenAI's API format, to each gateway. Each
gateway is one process and calls one fake provider (peers_upstream.py), first with OpenAI's API and then with Bedrock's, for
those that translate to it. `direct` is the client that calls the provider itself (Bedrock without a signature: signing is a
cost of the gateway). To be sure that answers are measured and not errors, the script counts the tokens of every answer,
compares the first answers of each gateway with what the provider sent, and compares the number of requests with the
provider's count.

- added: a complete answer of 64 tokens, one request at a time: the median and the 99th percentile, minus those of `direct`.
- first token: of a stream, one request at a time, minus that of `direct`.
- CPU: of the gateway's process and its children, as the kernel counts it (Linux), one request at a time, as in a Lambda
  environment, and 64 at once. CPU per token is that of a stream of 256 tokens at 100 a second, the request itself included. A
  process that wakes for one token finds cold caches, so a good part of it is the machine's cost and the same for all.
- fresh: 64 streams of 128 tokens, 100 a second each, in a process that has answered one request before. Warm processes hide
  what reads cost (llm_gateway/http/receiver.py), and a Lambda environment is young.
- rates: 64 requests at once, as in a container, with tokens as fast as the gateway takes them. Client, provider and gateway
  share this machine: `busy` is how many CPUs the gateway used. If it is below 1, something else was the limit; for a
  gateway that is as fast as `direct`, that was the client or the provider. The tokens of an answer then arrive together,
  which favors a gateway that passes on at once what it has read. Tokens per CPU second are therefore measured with 64
  streams of 100 tokens a second each, as models send them. An aim above `direct` is marked so, because client and provider
  cannot reach it.
- start: from the process's start to its first complete answer. The memory at start is the resident memory then; the peak is
  taken after all load.

The gateways take turns in every round, so that a busy machine slows all of them. Every figure is the median over the
rounds. Ours is the bundle, started as on Lambda but without the Web Adapter, on Lambda's Python version if this machine has
it. The peers' versions are locked in bench/peers/ and installed once, into the project's cache; nginx and Go are those of this
machine. A gateway that cannot be had is left out by name. The script ends by itself after some six minutes, and fails only if
ours does.

`+ledger` and the others are ours with one stage on, and `+all` with all of them. Their stores are played by the fake provider,
which answers at once: in the same Region, DynamoDB takes some 4 ms a call. A request waits for one call of the ledger; what
else a stage asks runs beside it or after the answer. Guardrails and retrieval are not among them: what they cost is AWS's time.
"""

import argparse
import asyncio
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from cold_start import free_port, pythons
from peers_gateways import GATEWAYS, UPSTREAMS, Gateway, NotInstalled
from peers_upstream import FAST, MARK, OPENAI_KEY, PACED, PROMPT_TOKENS, text

from llm_gateway.http.client import ConnectError, HttpClient, HttpError

HERE = Path(__file__).resolve().parent
SECONDS = 0.5  # of a measurement; answers that have begun by then are waited for
STARTS = 5
WARM_UP_AT_ONCE = 16
PATIENCE = 60.0  # seconds for a start, and for any answer
CONNECT_EVERY = 0.005  # seconds, while a gateway starts

SYSTEM = "You are a helpful AI assistant. Answer in plain words, and say so where you do not know."
PROMPT = "What does a gateway between an application and a language model do, and what does it cost? " * 6


class Case(NamedTuple):
    name: str
    tokens: int
    at_once: int
    stream: bool = True
    paced: bool = False
    rounds: int = 5


# Measured right after each start. A Lambda environment is young, and memory that was used before hides what reads cost.
FRESH = Case("fresh, paced at once", 128, 64, paced=True)
# The first case also lets V8 compile the code of Portkey.
CASES = (
    Case("complete at once", 64, 64, stream=False),
    Case("complete", 64, 1, stream=False),
    Case("first token", 16, 1, paced=True),  # the least that Bifrost asks for
    Case("paced", 256, 1, paced=True, rounds=2),
    Case("streamed at once", 256, 64, rounds=3),
    Case("paced at once", 256, 64, paced=True, rounds=1),
)
COMPLETE_AT_ONCE, COMPLETE, FIRST_TOKEN, PACED_STREAM, STREAMED_AT_ONCE, PACED_AT_ONCE = CASES


class Request(NamedTuple):
    url: str
    headers: list[tuple[str, str]]
    body: bytes


class Answered(NamedTuple):
    """Milliseconds until the first token and the last byte of an answer."""

    first: float
    last: float


class Measured(NamedTuple):
    """One round of one case at one gateway."""

    answers: list[Answered]
    seconds: float
    cpu: float

    def percentile(self, percent: int) -> float:
        times = sorted(answer.last for answer in self.answers)
        return times[min(len(times) - 1, len(times) * percent // 100)]

    def first(self) -> float:
        return statistics.median(answer.first for answer in self.answers)

    def rate(self) -> float:
        return len(self.answers) / self.seconds

    def work(self) -> float:
        """CPU seconds per answer."""
        return self.cpu / len(self.answers)

    def busy(self) -> float:
        return self.cpu / self.seconds


class Started(NamedTuple):
    """Seconds to the first answer, and the resident memory at that time, in MB."""

    seconds: float
    memory: float


class Results(NamedTuple):
    """The results of one gateway with one upstream. The rounds of a case are in the same order for all gateways."""

    starts: list[Started]
    rounds: dict[Case, list[Measured]]
    peak: float


class GatewayFailed(Exception):
    """A gateway does not start, or gives a wrong answer."""


Processes = list[subprocess.Popen[bytes]]


def main() -> int:
    options = _options()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(1))  # end what was started
    processes: Processes = []
    failed = False
    with tempfile.TemporaryDirectory() as name:
        try:
            gateways = _gateways(options.only.split(","), Path(name))
            for upstream in UPSTREAMS:
                run = Run(upstream, gateways, Path(name), processes, options.seconds)
                results = asyncio.run(run.results())
                failed |= any(name == "ours" or name.startswith("+") for name in run.failures)
                print_table(upstream, results, run.failures)
                print_aims(results)
        finally:
            for process in processes:
                end(process)
    return int(failed)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default=",".join(DEFAULT), help="the gateways to measure, with commas between")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="how long one measurement lasts")
    return parser.parse_args()


def _gateways(names: list[str], folder: Path) -> list[Gateway]:
    python = list(pythons().values())[-1]  # Lambda's, where there is one
    gateways: list[Gateway] = []
    for name in names:
        if name not in GATEWAYS:
            sys.exit(f"--only: {name!r} is none of {', '.join(GATEWAYS)}")
        try:
            gateways.append(GATEWAYS[name](folder, python))
        except NotInstalled as error:
            print(f"{name} cannot be installed and is left out: {error}")
    return gateways


# The measurements.


class Run:
    """Measures all gateways with one upstream. A gateway that fails is left out, and `failures` says why."""

    def __init__(self, upstream: str, gateways: list[Gateway], folder: Path, processes: Processes, seconds: float) -> None:
        self._upstream = upstream
        self._left = {gateway.name: gateway for gateway in gateways if upstream in gateway.upstreams}
        self._folder = folder
        self._processes = processes
        self._seconds = seconds
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._ports: dict[str, int] = {}
        # Why a gateway is not in the table.
        self.failures = {gateway.name: "passes OpenAI's API on only" for gateway in gateways if gateway.name not in self._left}

    async def results(self) -> dict[str, Results]:
        command = [sys.executable, str(HERE / "peers_upstream.py"), "serve"]
        upstream = self._spawn(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert upstream.stdout is not None
        self._address = f"http://127.0.0.1:{int(upstream.stdout.readline())}"
        async with HttpClient() as client:
            self._client = client
            starts, fresh = await self._starts()
            rounds = {FRESH: fresh, **{case: await self._rounds(case) for case in CASES}}
        peaks = {name: memory(self._running[name].pid, "VmHWM") for name in self._left}
        for process in (*self._running.values(), upstream):
            end(process)
        return {
            name: Results(starts.get(name, []), {case: rounds[case].get(name, []) for case in rounds}, peaks.get(name, 0.0))
            for name in ("direct", *self._left)
        }

    def _drop(self, name: str, error: Exception) -> None:
        self.failures[name] = f"{type(error).__name__}: {error}" if not isinstance(error, GatewayFailed) else str(error)
        _progress(f"{self._upstream}: {name} dropped out: {self.failures[name]}")
        del self._left[name]
        if name in self._running:
            end(self._running[name])

    async def _starts(self) -> tuple[dict[str, list[Started]], dict[str, list[Measured]]]:
        """Start each gateway several times, and measure it while it is fresh. The first start does not count; the last
        process keeps running.
        """
        starts: dict[str, list[Started]] = {name: [] for name in self._left}
        fresh: dict[str, list[Measured]] = {name: [] for name in self._left}
        for number in range(0 if self._upstream == UPSTREAMS[0] else 1, STARTS + 1):
            for name, gateway in list(self._left.items()):
                _progress(f"{self._upstream}: start {number} of {STARTS}, {name}")
                if name in self._running:
                    end(self._running[name])
                try:
                    started = await self._start(gateway)
                    if number:
                        starts[name].append(started)
                        fresh[name].append(await self._measure(name, FRESH))
                except (GatewayFailed, HttpError) as error:
                    self._drop(name, error)
        return starts, fresh

    async def _start(self, gateway: Gateway) -> Started:
        name = gateway.name
        port = self._ports[name] = free_port()
        command = gateway.command(self._upstream, self._address, port)
        request = self._request(name, COMPLETE)
        log = self._folder / f"{name}.log"
        with log.open("wb") as output:
            start = time.perf_counter()
            process = self._spawn(
                command.arguments,
                cwd=command.folder,
                env=command.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        self._running[name] = process
        while True:
            try:
                await self._ask(request, COMPLETE)
                return Started(time.perf_counter() - start, memory(process.pid, "VmRSS"))
            except ConnectError:
                if process.poll() is not None or time.perf_counter() > start + PATIENCE:
                    lines = log.read_text(errors="replace").split("\n")
                    raise GatewayFailed(f"does not start: {' | '.join(lines[-4:])[-500:]}") from None
                await asyncio.sleep(CONNECT_EVERY)

    def _spawn(self, arguments: list[str], **options: Any) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(arguments, start_new_session=True, **options)
        self._processes.append(process)
        return process

    async def _rounds(self, case: Case) -> dict[str, list[Measured]]:
        """Measure a case. The first round warms up and does not count; a paced stream is long enough without one."""
        paced = case in {PACED_STREAM, PACED_AT_ONCE}
        names = [*([] if paced else ["direct"]), *self._left]
        rounds: dict[str, list[Measured]] = {name: [] for name in names}
        for number in range(1 if paced else 0, case.rounds + 1):
            _progress(f"{self._upstream}: {case.name}, round {number} of {case.rounds}")
            for name in names:
                if name in self.failures:
                    continue
                try:
                    if number == 0:
                        await self._compare(name, case)
                        await self._measure(name, case._replace(at_once=min(case.at_once, WARM_UP_AT_ONCE)))
                    else:
                        rounds[name].append(await self._measure(name, case))
                except (GatewayFailed, HttpError, LookupError, TypeError, ValueError) as error:
                    if name == "direct":
                        raise
                    self._drop(name, error)
        return rounds

    async def _measure(self, name: str, case: Case) -> Measured:
        request = self._request(name, case)
        pid = self._running[name].pid if name in self._running else 0
        answers: list[Answered] = []
        asked = await self._asked()
        used, start = cpu(pid), time.perf_counter()
        until = start + self._seconds

        async def worker() -> None:
            while time.perf_counter() < until:
                answers.append((await self._ask(request, case))[0])

        for outcome in await asyncio.gather(*(worker() for _ in range(case.at_once)), return_exceptions=True):
            if outcome is not None:
                raise outcome
        seconds, used = time.perf_counter() - start, cpu(pid) - used
        asked = await self._asked() - asked
        if asked != len(answers):
            raise GatewayFailed(f"{case.name}: asked {len(answers)} times, it asked the provider {asked} times")
        return Measured(answers, seconds, used)

    async def _ask(self, request: Request, case: Case) -> tuple[Answered, bytes]:
        first = 0.0
        pieces: list[bytes] = []
        start = time.perf_counter()
        response = await self._client.send("POST", *request, response_timeout=PATIENCE, read_timeout=PATIENCE)
        async for piece in response.chunks():
            if not first and MARK in piece:
                first = time.perf_counter()
            pieces.append(piece)
        last = time.perf_counter()
        body = b"".join(pieces)
        if response.status != 200 or body.count(MARK) != case.tokens:
            raise GatewayFailed(f"{case.name}: answered {response.status} {body[-300:]!r}")
        return Answered((first - start) * 1000, (last - start) * 1000), body

    async def _compare(self, name: str, case: Case) -> None:
        """Read one answer as a caller does. Its text and its usage must be what the provider sent."""
        _, body = await self._ask(self._request(name, case), case)
        if name == "direct":
            return
        if case.stream:
            *events, done = [line.removeprefix(b"data:").strip() for line in body.splitlines() if line.startswith(b"data:")]
            documents = [json.loads(event) for event in events]
            found = "".join(
                choice["delta"].get("content") or "" for document in documents for choice in document.get("choices", ())
            )
            complete = done == b"[DONE]"
        else:
            documents = [json.loads(body)]
            found = documents[0]["choices"][0]["message"]["content"]
            complete = True
        usage = next((document["usage"] for document in reversed(documents) if document.get("usage")), {})
        counts = usage.get("prompt_tokens"), usage.get("completion_tokens")
        if not complete or found != text(case.tokens) or counts != (PROMPT_TOKENS, case.tokens):
            raise GatewayFailed(f"{case.name}: an answer is not what the provider sent: {body[-500:]!r}")

    async def _asked(self) -> int:
        response = await self._client.send(
            "GET", f"{self._address}/count", [], b"", response_timeout=PATIENCE, read_timeout=PATIENCE
        )
        return int(await response.read())

    def _request(self, name: str, case: Case) -> Request:
        model = (PACED if case.paced else FAST)[self._upstream]
        content = ("content-type", "application/json")
        if name == "direct" and self._upstream == "bedrock":
            body = {
                "messages": [{"role": "user", "content": [{"text": PROMPT}]}],
                "inferenceConfig": {"maxTokens": case.tokens, "temperature": 0.7},
                "system": [{"text": SYSTEM}],
            }
            operation = "converse-stream" if case.stream else "converse"
            url = f"{self._address}/model/{quote(model, safe='')}/{operation}"
            return Request(url, [content], json.dumps(body).encode())
        body = {
            "model": model,
            "messages": [{"role": "system", "content": SYSTEM}, {"role": "user", "content": PROMPT}],
            "max_tokens": case.tokens,
            "temperature": 0.7,
        }
        if case.stream:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        address, more = self._address, [("authorization", f"Bearer {OPENAI_KEY}")]
        if name != "direct":
            address = f"http://127.0.0.1:{self._ports[name]}"
            more = self._left[name].headers(self._upstream, self._address)
        return Request(f"{address}/v1/chat/completions", [content, *more], json.dumps(body).encode())


# The CPU time and the memory of a process and its children, from the kernel.


def cpu(pid: int) -> float:
    """CPU seconds of the process and its children that still run. The clock of a process includes its ended threads."""
    total = 0.0
    for each in _family(pid) if pid else ():
        with suppress(OSError):
            total += time.clock_gettime((~each << 3) | 2)  # clock_getcpuclockid(3)
    return total


def memory(pid: int, line: str) -> float:
    """The memory of the process and its children in MB. `line` names the line of /proc/PID/status."""
    total = 0
    for each in _family(pid):
        with suppress(OSError):
            status = Path(f"/proc/{each}/status").read_text()
            total += int(status.split(f"\n{line}:")[1].split()[0])
    return total * 1024 / 1e6


def _family(pid: int) -> list[int]:
    found = [pid]
    for parent in found:  # the list grows during the loop
        for path in Path(f"/proc/{parent}/task").glob("*/children"):
            with suppress(OSError):
                found += map(int, path.read_text().split())
    return found


def end(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and its children, which are in its session."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _progress(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


# The table.


class Aim(NamedTuple):
    """A bound for our figure divided by the peer's: a maximum, or with `at_least` a minimum."""

    ratio: float
    at_least: bool = False

    def verdict(self, ours: float, peer: float, direct: float | None) -> str:
        ratio = ours / peer
        met = ratio >= self.ratio if self.at_least else ratio <= self.ratio
        beyond = direct is not None and self.ratio * peer > direct
        return f"{'≥' if self.at_least else '≤'} {self.ratio:g} {'met' if met else '>direct' if beyond else 'missed'}"


class Figure(NamedTuple):
    """A row of the table: its name, its digits, how it follows from a gateway's results and those of `direct`, and its aims."""

    name: str
    digits: int
    of: Callable[[Results, Results], float]
    aims: dict[str, Aim]


def _added(case: Case, of: Callable[[Measured], float]) -> Callable[[Results, Results], float]:
    def added(results: Results, direct: Results) -> float:
        pairs = zip(results.rounds[case], direct.rounds[case], strict=True)
        return statistics.median(of(ours) - of(theirs) for ours, theirs in pairs)

    return added


def _median(case: Case, of: Callable[[Measured], float]) -> Callable[[Results, Results], float]:
    return lambda results, _: statistics.median(map(of, results.rounds[case]))


def _least(portkey: float, litellm: float, **others: float) -> dict[str, Aim]:
    return {name: Aim(bound, at_least=True) for name, bound in {**others, "portkey": portkey, "litellm": litellm}.items()}


HALF, NO_MORE = {"portkey": Aim(0.5), "litellm": Aim(0.5)}, {"portkey": Aim(1.0), "litellm": Aim(1.0)}
_START = {"floor": Aim(1.1), **NO_MORE}
DEFAULT = ("ours", "nginx", "floor", "bifrost", "portkey", "litellm")

FIGURES = (
    Figure("added p50, ms", 2, _added(COMPLETE, lambda one: one.percentile(50)), {"bifrost": Aim(1.0), **HALF}),
    Figure("added p99, ms", 2, _added(COMPLETE, lambda one: one.percentile(99)), HALF),
    Figure("added to first token, ms", 2, _added(FIRST_TOKEN, Measured.first), HALF),
    Figure("CPU a request, ms", 3, _median(COMPLETE, lambda one: one.work() * 1e3), {"floor": Aim(1.6)}),
    Figure("  64 at once", 3, _median(COMPLETE_AT_ONCE, lambda one: one.work() * 1e3), {"floor": Aim(1.6)}),
    Figure("CPU a token, µs", 1, _median(PACED_STREAM, lambda one: one.work() / PACED_STREAM.tokens * 1e6), {}),
    Figure("  64 unpaced", 1, _median(STREAMED_AT_ONCE, lambda one: one.work() / STREAMED_AT_ONCE.tokens * 1e6), {}),
    Figure("  64 paced, fresh", 1, _median(FRESH, lambda one: one.work() / FRESH.tokens * 1e6), {"bifrost": Aim(1.0)}),
    Figure("requests/s, 64 at once", 0, _median(COMPLETE_AT_ONCE, Measured.rate), _least(3, 20, bifrost=0.8)),
    Figure("  busy", 2, _median(COMPLETE_AT_ONCE, Measured.busy), {}),
    Figure(
        "tokens/s, 64 at once",
        0,
        _median(STREAMED_AT_ONCE, lambda one: one.rate() * STREAMED_AT_ONCE.tokens),
        _least(3, 20, bifrost=2),
    ),
    Figure("  busy", 2, _median(STREAMED_AT_ONCE, Measured.busy), {}),
    Figure("tokens/CPU s, 64 paced", 0, _median(PACED_AT_ONCE, lambda one: PACED_AT_ONCE.tokens / one.work()), _least(3, 20)),
    Figure("  fresh", 0, _median(FRESH, lambda one: FRESH.tokens / one.work()), _least(3, 20, bifrost=1)),
    Figure("start to first answer, s", 3, lambda one, _: statistics.median(start.seconds for start in one.starts), _START),
    Figure("memory at start, MB", 0, lambda one, _: statistics.median(start.memory for start in one.starts), NO_MORE),
    Figure("memory peak, MB", 0, lambda one, _: one.peak, NO_MORE),
)


def print_table(upstream: str, results: dict[str, Results], failures: dict[str, str]) -> None:
    print(f"\n{upstream:25}{''.join(f'{name:>10}' for name in results)}")
    for figure in FIGURES:
        values = _values(figure, results)
        columns = (f"{values[name]:10,.{figure.digits}f}" if name in values else " " * 10 for name in results)
        print(f"{figure.name:25}{''.join(columns)}".rstrip())
    for name, reason in failures.items():
        print(f"{name}: {reason}")
    sys.stdout.flush()


def print_aims(results: dict[str, Results]) -> None:
    """With its stages on, the aim of ours is to be no worse than Portkey."""
    pairs = [(mine, peer) for mine in ("ours", "+all") for peer in results if {mine, peer} <= set(results)]
    for mine, peer in pairs:
        above = ""
        for figure in FIGURES:
            above = above if figure.name.startswith(" ") else figure.name
            aim, values = figure.aims.get(peer), _values(figure, results)
            if aim is None or (mine == "+all" and peer != "portkey"):
                continue
            aim = aim if mine == "ours" else Aim(1.0, at_least=aim.at_least)
            name = figure.name if figure.name == above else f"{above},{figure.name[1:]}"
            verdict = aim.verdict(values[mine], values[peer], values.get("direct"))
            print(f"{f'{mine}/{peer}':16}{name:32}{values[mine] / values[peer]:7.2f}  {verdict}")
    sys.stdout.flush()


def _values(figure: Figure, results: dict[str, Results]) -> dict[str, float]:
    direct = results["direct"]
    # `direct` has rates only: no process of a gateway, and no time beside its own.
    names = [name for name in results if name != "direct" or figure.name.endswith("/s, 64 at once")]
    return {name: figure.of(results[name], direct) for name in names}


if __name__ == "__main__":
    sys.exit(main())
