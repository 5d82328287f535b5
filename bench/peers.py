"""Our gateway against LiteLLM's proxy and Portkey's gateway: latency, CPU, throughput, start and memory.

    python bench/peers.py [--only ours,portkey] [--seconds 0.5]
    python bench/peers.py --only ours,+ledger,+cancel,+filters,+rules,+cache,+flags,+traces,+all,portkey

One client (ours) sends the same requests, in OpenAI's API format, to each gateway. Each gateway is one process and calls
one fake provider (peers_upstream.py), first with OpenAI's API and then with Bedrock's. `direct` is the client that calls
the provider itself (Bedrock without a signature: signing is a cost of the gateway). To be sure that answers are measured
and not errors, the script counts the tokens of every answer, compares the first answers of each gateway with what the
provider sent, and compares the number of requests with the provider's count.

- added: a complete answer of 64 tokens, one request at a time: the median and the 99th percentile, minus those of `direct`.
- first token: of a stream, one request at a time, minus that of `direct`.
- CPU: of the gateway's process and its children, as the kernel counts it (Linux), one request at a time, as in a Lambda
  environment. CPU per token is that of a stream of 256 tokens at 100 a second, the request itself included. A process that
  wakes for one token finds cold caches, so a good part of it is the machine's cost and the same for all.
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
it. LiteLLM runs on the same Python, with bytecode, one worker, no database, and error logs only. Portkey runs on the node
of the PATH, in production mode without its console. Their versions are locked in bench/peers/ and installed once, into the
project's cache. A gateway that cannot be installed is left out. The script ends by itself after about four minutes, and
fails only if ours does.

`+ledger` and the others are ours with one stage on, and `+all` with all of them. Their stores are played by the fake provider,
which answers at once: in the same Region, DynamoDB takes some 4 ms a call. A request waits for one call of the ledger; what
else a stage asks runs beside it or after the answer. Guardrails and retrieval are not among them: what they cost is AWS's time.
"""

import argparse
import asyncio
import hashlib
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, Protocol
from urllib.parse import quote

import msgspec
from cold_start import KEY, REGION, SECRET, TARGET, assemble, free_port, function_environment, pythons
from peers_upstream import FAST, MARK, PACED, PROMPT_TOKENS, text

from llm_gateway import environment
from llm_gateway.answer_cache import AnswerCache
from llm_gateway.http.client import ConnectError, HttpClient, HttpError
from llm_gateway.limits import CallerLimits, Limit, Limits
from llm_gateway.routes import ROUTES_FILE, Alias, Endpoint, Routes, encode
from llm_gateway.rules import Rule
from llm_gateway.safety import Filter, Safety
from llm_gateway.stages.prompt_filters import PII
from llm_gateway.trace import Tracing
from llm_gateway.tracing import xray
from pulumi_llm.base import bundle

HERE = Path(__file__).resolve().parent
UPSTREAMS = ("openai", "bedrock")
SECONDS = 0.5  # of a measurement; answers that have begun by then are waited for
STARTS = 3
WARM_UP_AT_ONCE = 16
PATIENCE = 60.0  # seconds for a start, and for any answer
CONNECT_EVERY = 0.005  # seconds, while a gateway starts

OPENAI_KEY = "sk-bench"
SYSTEM = "You are a helpful AI assistant. Answer in plain words, and say so where you do not know."
PROMPT = "What does a gateway between an application and a language model do, and what does it cost? " * 6


class Case(NamedTuple):
    name: str
    tokens: int
    at_once: int
    stream: bool = True
    paced: bool = False
    rounds: int = 5


# The first case also lets V8 compile the code of Portkey.
CASES = (
    Case("complete at once", 64, 64, stream=False),
    Case("complete", 64, 1, stream=False),
    Case("first token", 4, 1, paced=True),
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


class NotInstalled(Exception):
    """A gateway cannot be installed."""


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
        finally:
            for process in processes:
                end(process)
    return int(failed)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default="ours,portkey,litellm", help="the gateways to measure, with commas between")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="how long one measurement lasts")
    return parser.parse_args()


def _gateways(names: list[str], folder: Path) -> list["Gateway"]:
    python = list(pythons().values())[-1]  # Lambda's, where there is one
    gateways: list[Gateway] = []
    kinds: dict[str, Callable[[], Gateway]] = {
        "ours": lambda: Ours(folder, python),
        **{f"+{stage}": lambda stage=stage: Ours(folder, python, stage) for stage in (*STAGES, "all")},
        "portkey": lambda: Portkey(folder, python),
        "litellm": lambda: LiteLlm(folder, python),
    }
    for name in names:
        try:
            gateways.append(kinds[name]())
        except KeyError:
            sys.exit(f"--only: {name!r} is none of {', '.join(kinds)}")
        except NotInstalled as error:
            print(f"{name} cannot be installed and is left out: {error}")
    return gateways


# The measurements.


class Run:
    """Measures all gateways with one upstream. A gateway that fails is left out, and `failures` says why."""

    def __init__(self, upstream: str, gateways: list["Gateway"], folder: Path, processes: Processes, seconds: float) -> None:
        self._upstream = upstream
        self._left = {gateway.name: gateway for gateway in gateways}
        self._folder = folder
        self._processes = processes
        self._seconds = seconds
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._ports: dict[str, int] = {}
        self.failures: dict[str, str] = {}

    async def results(self) -> dict[str, Results]:
        command = [sys.executable, str(HERE / "peers_upstream.py"), "serve"]
        upstream = self._spawn(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert upstream.stdout is not None
        self._address = f"http://127.0.0.1:{int(upstream.stdout.readline())}"
        async with HttpClient() as client:
            self._client = client
            starts = await self._starts()
            rounds = {case: await self._rounds(case) for case in CASES}
        peaks = {name: memory(self._running[name].pid, "VmHWM") for name in self._left}
        for process in (*self._running.values(), upstream):
            end(process)
        return {
            name: Results(starts.get(name, []), {case: rounds[case].get(name, []) for case in CASES}, peaks.get(name, 0.0))
            for name in ("direct", *self._left)
        }

    def _drop(self, name: str, error: Exception) -> None:
        self.failures[name] = f"{type(error).__name__}: {error}" if not isinstance(error, GatewayFailed) else str(error)
        _progress(f"{self._upstream}: {name} dropped out: {self.failures[name]}")
        del self._left[name]
        if name in self._running:
            end(self._running[name])

    async def _starts(self) -> dict[str, list[Started]]:
        """Start each gateway several times; the last process keeps running. The first start does not count."""
        starts: dict[str, list[Started]] = {name: [] for name in self._left}
        for number in range(0 if self._upstream == UPSTREAMS[0] else 1, STARTS + 1):
            for name, gateway in list(self._left.items()):
                _progress(f"{self._upstream}: start {number} of {STARTS}, {name}")
                if name in self._running:
                    end(self._running[name])
                try:
                    started = await self._start(gateway)
                except (GatewayFailed, HttpError) as error:
                    self._drop(name, error)
                else:
                    starts[name] += [started] if number else []
        return starts

    async def _start(self, gateway: "Gateway") -> Started:
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


# The gateways.


class Command(NamedTuple):
    arguments: list[str]
    environment: dict[str, str]
    folder: Path


class Gateway(Protocol):
    """A gateway that can be started. Its constructor installs it, and raises `NotInstalled` if that fails."""

    name: str

    def command(self, upstream: str, address: str, port: int) -> Command: ...
    def headers(self, upstream: str, address: str) -> list[tuple[str, str]]: ...


# Our stages: what of the routes document and of the environment switches each on. PROVIDER is the fake provider's address.
_LIMITS = Limits((Limit("tokens", "day", 10**12), Limit("requests", "minute", 10**9)), calls_in_flight=10**6)
_FILTERS = (
    Filter("length", most=10**6),
    Filter("control_characters"),
    Filter("injection"),
    Filter("pii", "mask", kinds=tuple(PII)),
)
STAGES: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "ledger": ({"limits": CallerLimits(others=_LIMITS)}, {environment.LEDGER_TABLE: "ledger"}),
    "cancel": ({}, {environment.JOURNAL_TABLE: "journal"}),
    "filters": ({"safety": Safety(_FILTERS)}, {}),
    "rules": ({"rules": (Rule("all", max_tokens=4000, out_of_bounds="clamp", tools=("search",)),)}, {}),
    "cache": ({"cache": AnswerCache(600)}, {environment.CACHE_TABLE: "journal"}),
    "flags": ({}, {environment.FLAGS_CONFIGURATION: "application/environment/profile"}),
    "traces": ({"tracing": Tracing()}, {xray.ADDRESS: "PROVIDER"}),
}


class Ours:
    """The bundle of the current sources, with a stage on, or all. It gets no key, because API Gateway checks the callers."""

    def __init__(self, folder: Path, python: str, stage: str = "") -> None:
        self.name = f"+{stage}" if stage else "ours"
        self._stages = [STAGES[each] for each in STAGES if stage in (each, "all")]
        self._python = python
        self._root = assemble(folder / self.name, python)

    def command(self, upstream: str, address: str, port: int) -> Command:
        variables = function_environment(self._root, self._python, address, TARGET)
        routes, local = _routes(upstream, address), address.removeprefix("http://")
        for changes, more in self._stages:
            routes = msgspec.structs.replace(routes, **changes)
            variables |= {name: value.replace("PROVIDER", local) for name, value in more.items()}
        stores = {f"AWS_ENDPOINT_URL_{name}": address for name in ("DYNAMODB", "APPCONFIGDATA")}
        (self._root / ROUTES_FILE).write_bytes(encode(routes))
        return Command(["/bin/sh", bundle.RUN_SCRIPT], {**variables, **stores, "AWS_LWA_PORT": str(port)}, self._root)

    def headers(self, upstream: str, address: str) -> list[tuple[str, str]]:
        return [("x-amzn-trace-id", "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1")]


def _routes(upstream: str, address: str) -> Routes:
    provider = "bedrock" if upstream == "bedrock" else "bench"
    aliases = tuple(
        Alias(model, (msgspec.structs.replace(TARGET, name=f"{provider}/{model}", provider=provider, model=model),))
        for model in (FAST[upstream], PACED[upstream])
    )
    if upstream == "bedrock":
        return Routes(aliases)
    return Routes(aliases, endpoints=(Endpoint(name=provider, type="openai_compatible", base_url=f"{address}/v1"),))


# Portkey listens on every address of the machine, and has no option for that.
_LOOPBACK = """
const { Server } = require("node:net");
const { listen } = Server.prototype;
Server.prototype.listen = function (port, ...rest) {
  return listen.call(this, { port: Number(port), host: "127.0.0.1" }, rest.find((each) => typeof each === "function"));
};
"""


class Portkey:
    name = "portkey"

    def __init__(self, folder: Path, python: str) -> None:
        node, npm = shutil.which("node"), shutil.which("npm")
        if node is None or npm is None:
            raise NotInstalled("node and npm are not on the PATH")
        self._node, self._home = node, folder

        def install(to: Path) -> None:
            for name in ("package.json", "package-lock.json"):
                shutil.copyfile(HERE / "peers" / "portkey" / name, to / name)
            _execute([npm, "ci", "--prefix", str(to), "--ignore-scripts", "--no-audit", "--no-fund"])

        self._installed = _installed(self.name, HERE / "peers" / "portkey" / "package-lock.json", "", install)
        self._loopback = folder / "loopback.cjs"
        self._loopback.write_text(_LOOPBACK)

    def command(self, upstream: str, address: str, port: int) -> Command:
        script = self._installed / "node_modules/@portkey-ai/gateway/build/start-server.js"
        arguments = [self._node, "--require", str(self._loopback), str(script), f"--port={port}", "--headless"]
        environment = {"PATH": f"{Path(self._node).parent}:/usr/bin:/bin", "HOME": str(self._home), "NODE_ENV": "production"}
        return Command(arguments, environment, self._installed)

    def headers(self, upstream: str, address: str) -> list[tuple[str, str]]:
        """Portkey is configured by the headers of each request."""
        if upstream == "openai":
            values = {"provider": "openai", "custom-host": f"{address}/v1"}
            return [("authorization", f"Bearer {OPENAI_KEY}"), *_portkey_headers(values)]
        values = {
            "provider": "bedrock",
            "custom-host": address,
            "aws-access-key-id": KEY,
            "aws-secret-access-key": SECRET,
            "aws-region": REGION,
        }
        return _portkey_headers(values)


def _portkey_headers(values: dict[str, str]) -> list[tuple[str, str]]:
    return [(f"x-portkey-{name}", value) for name, value in values.items()]


class LiteLlm:
    name = "litellm"

    def __init__(self, folder: Path, python: str) -> None:
        self._folder = folder

        def install(to: Path) -> None:
            _execute([bundle._uv(), "venv", "--quiet", "--python", python, "--no-python-downloads", str(to)])
            lock = ["--require-hashes", "--requirements", str(HERE / "peers" / "litellm.txt")]
            _execute(
                [bundle._uv(), "pip", "install", "--quiet", "--compile-bytecode", "--python", str(to / "bin/python"), *lock]
            )

        self._installed = _installed(self.name, HERE / "peers" / "litellm.txt", python, install)

    def command(self, upstream: str, address: str, port: int) -> Command:
        if upstream == "openai":
            parameters = {"api_base": f"{address}/v1", "api_key": OPENAI_KEY}
        else:
            parameters = {
                "aws_bedrock_runtime_endpoint": address,
                "aws_access_key_id": KEY,
                "aws_secret_access_key": SECRET,
                "aws_region_name": REGION,
            }
        prefix = "bedrock/converse" if upstream == "bedrock" else "openai"
        models = [
            {"model_name": model, "litellm_params": {"model": f"{prefix}/{model}", **parameters}}
            for model in (FAST[upstream], PACED[upstream])
        ]
        config = self._folder / f"litellm-{upstream}.yaml"
        config.write_text(json.dumps({"model_list": models}))  # JSON is YAML
        environment = {
            "PATH": f"{self._installed / 'bin'}:/usr/bin:/bin",
            "HOME": str(self._folder),
            "LANG": "C.UTF-8",
            "LITELLM_LOG": "ERROR",
            "LITELLM_MODE": "PRODUCTION",
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            # No gateway checks a key of its caller.
            "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",
        }
        arguments = [str(self._installed / "bin/litellm"), "--config", str(config), "--host", "127.0.0.1"]
        arguments += ["--port", str(port), "--num_workers", "1", "--telemetry", "False"]
        return Command(arguments, environment, self._folder)

    def headers(self, upstream: str, address: str) -> list[tuple[str, str]]:
        return []


def _installed(name: str, lock: Path, more: str, install: Callable[[Path], None]) -> Path:
    """The folder of a peer. It is installed again if its lock has changed. Raises `NotInstalled`."""
    key = hashlib.sha256(lock.read_bytes() + more.encode()).hexdigest()
    folder = bundle.cache_folder() / "bench-peers" / name
    mark = folder.with_name(f"{name}.installed")
    if mark.exists() and mark.read_text() == key:
        return folder
    _progress(f"installing {name}, once")
    mark.unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    install(folder)
    mark.write_text(key)
    return folder


def _execute(command: list[str]) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=300)
    except subprocess.CalledProcessError as error:
        raise NotInstalled(" ".join(error.stderr.split())[:300]) from None
    except subprocess.TimeoutExpired:
        raise NotInstalled(f"{Path(command[0]).name} took longer than five minutes") from None


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
    name: str
    digits: int
    of: Callable[[Results, Results], float]  # of a gateway's results and those of direct
    portkey: Aim | None = None
    litellm: Aim | None = None


def _added(case: Case, of: Callable[[Measured], float]) -> Callable[[Results, Results], float]:
    def added(results: Results, direct: Results) -> float:
        pairs = zip(results.rounds[case], direct.rounds[case], strict=True)
        return statistics.median(of(ours) - of(theirs) for ours, theirs in pairs)

    return added


def _median(case: Case, of: Callable[[Measured], float]) -> Callable[[Results, Results], float]:
    return lambda results, _: statistics.median(map(of, results.rounds[case]))


LATENCY, START = Aim(0.5), Aim(1.0)
RATES: dict[str, Any] = {"portkey": Aim(3, at_least=True), "litellm": Aim(20, at_least=True)}

FIGURES = (
    Figure("added p50, ms", 2, _added(COMPLETE, lambda one: one.percentile(50)), LATENCY),
    Figure("added p99, ms", 2, _added(COMPLETE, lambda one: one.percentile(99)), LATENCY),
    Figure("added to first token, ms", 2, _added(FIRST_TOKEN, Measured.first), LATENCY),
    Figure("CPU a request, ms", 2, _median(COMPLETE, lambda one: one.work() * 1e3)),
    Figure("CPU a token, µs", 1, _median(PACED_STREAM, lambda one: one.work() / PACED_STREAM.tokens * 1e6)),
    Figure("requests/s, 64 at once", 0, _median(COMPLETE_AT_ONCE, Measured.rate), **RATES),
    Figure("  busy", 2, _median(COMPLETE_AT_ONCE, Measured.busy)),
    Figure("tokens/s, 64 at once", 0, _median(STREAMED_AT_ONCE, lambda one: one.rate() * STREAMED_AT_ONCE.tokens), **RATES),
    Figure("  busy", 2, _median(STREAMED_AT_ONCE, Measured.busy)),
    Figure("tokens/CPU s, 64 paced", 0, _median(PACED_AT_ONCE, lambda one: PACED_AT_ONCE.tokens / one.work()), **RATES),
    Figure("  busy", 2, _median(PACED_AT_ONCE, Measured.busy)),
    Figure("start to first answer, s", 2, lambda one, _: statistics.median(start.seconds for start in one.starts), START),
    Figure("memory at start, MB", 0, lambda one, _: statistics.median(start.memory for start in one.starts), START),
    Figure("memory peak, MB", 0, lambda one, _: one.peak, START),
)


def print_table(upstream: str, results: dict[str, Results], failures: dict[str, str]) -> None:
    pairs = [(mine, peer) for mine in ("ours", "+all") for peer in ("portkey", "litellm") if {mine, peer} <= set(results)]
    columns = [*(f"{name:>10}" for name in results), *(f"{f'{mine}/{peer}':>15}  {'aim':11}" for mine, peer in pairs)]
    print(f"\n{upstream:25}{''.join(columns)}".rstrip())
    for figure in FIGURES:
        line = f"{figure.name:25}"
        values: dict[str, float] = {}
        for name, found in results.items():
            if name == "direct" and not figure.name.endswith("64 at once"):
                line += " " * 10
            else:
                values[name] = figure.of(found, results["direct"])
                line += f"{values[name]:10,.{figure.digits}f}"
        for mine, peer in pairs:
            aim: Aim | None = getattr(figure, peer)
            if "busy" not in figure.name and values[peer]:
                # With its stages on, the aim is to be no worse.
                bound = aim if mine == "ours" or aim is None else Aim(1.0, at_least=aim.at_least)
                verdict = bound.verdict(values[mine], values[peer], values.get("direct")) if bound else ""
                line += f"{values[mine] / values[peer]:15.2f}  {verdict:11}"
            else:
                line += " " * 28
        print(line.rstrip())
    for name, reason in failures.items():
        print(f"{name}: {reason}")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
