"""What our function adds to a call of Bedrock: latency, and CPU per request and per token.

    python bench/overhead.py

One client (the gateway's own) calls one local Bedrock in two ways: directly, with a signed request of Converse, and through the
function from its bundle (``/chat``, ``/chat/stream``). Client, function and Bedrock are one process each and share this
machine, so with 16 requests at once the rates are limited by all three together. The CPU time is the function's alone: the
kernel counts it for each thread (Linux). The two ways take turns, so that a busy machine slows both. Latencies are over all
requests of all rounds, in milliseconds. `paced` is a stream of 100 tokens a second, as models send them, each token alone: its
times come from the pacing, and its CPU is what a real stream costs. After that, the script samples where the function spends
its time in the streamed runs. It ends by itself after about 55 seconds.
"""

import asyncio
import json
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import msgspec
from cold_start import MODEL, TARGET, assemble, connected, function_environment, local_bedrock, pythons, serve_bedrock

from llm_gateway.aws.client import Aws
from llm_gateway.http.client import HttpClient, Response
from pulumi_llm.base.bundle import RUN_SCRIPT
from pulumi_llm_local.upstreams.model import GenerationRequest, Piece
from pulumi_llm_local.upstreams.stand_in_model import StandInModel

ROUNDS = 6  # the first makes the connections and does not count
SECONDS = 0.6  # a measurement
PROFILE_SECONDS = 5.0
HEAVIEST = 15

PACED_MODEL = "bench.paced-v1:0"
TOKEN_DELAY = 0.01  # seconds between the tokens of the paced model
# The stand-in repeats the prompt word by word: one word of many tokens gives an answer of any length.
PROMPT = "token." * 200

TIMES = {"response_timeout": 30.0, "read_timeout": 30.0}


class Case(NamedTuple):
    name: str
    tokens: int
    at_once: int
    model: str = MODEL

    rounds: int = ROUNDS

    @property
    def complete(self) -> bool:
        return self.name == "complete"


CASES = [
    Case("complete", 64, 1),
    Case("complete", 64, 16),
    Case("streamed", 256, 1),
    Case("streamed", 256, 16),
    Case("paced", 256, 16, PACED_MODEL, rounds=1),
]


class Answered(NamedTuple):
    """Milliseconds until the first and the last byte of an answer's body."""

    first: float
    last: float


class Measured(NamedTuple):
    answers: list[Answered]
    seconds: float
    cpu: float  # seconds of the function process


Call = Callable[[Case], Awaitable[Answered]]


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # end what was started
    python = next(iter(pythons().values()))
    with tempfile.TemporaryDirectory() as folder, local_bedrock(Path(__file__)) as bedrock:
        root = assemble(Path(folder) / "bundle", python)
        targets = [msgspec.structs.replace(TARGET, model=model) for model in (MODEL, PACED_MODEL)]
        environment = function_environment(root, python, bedrock, *targets)
        with function(["/bin/sh", RUN_SCRIPT], root, environment) as process:
            asyncio.run(compare(environment, process.pid))
        profiled, samples = root.with_name("profiled.py"), root.with_name("samples")
        profiled.write_text(PROFILED)
        with function([python, str(profiled), str(samples)], root, environment) as process:
            profile(environment, process, samples)


async def compare(environment: dict[str, str], pid: int) -> None:
    print(
        f"{'':8} {'at':>4} {'direct':>13} {'ours':>13} {'added':>13} {'first byte':>13} {'requests/s':>13}"
        f" {'tokens/s':>8} {'CPU':>15}"
    )
    print(
        f"{'':8} {'once':>4} {'p50':>6} {'p99':>6} {'p50':>6} {'p99':>6} {'p50':>7} {'ratio':>5}"
        f" {'direct':>6} {'ours':>6} {'direct':>6} {'ours':>6} {'ours':>8} {'ms/req':>6} {'µs/token':>8}"
    )
    async with HttpClient() as client:
        calls = _direct(client, environment), _ours(client, int(environment["AWS_LWA_PORT"]))
        for case in CASES:
            measured: tuple[list[Measured], list[Measured]] = ([], [])
            for number in range(case.rounds):
                for call, results in zip(calls, measured, strict=True):
                    results.append(await measure(call, case, SECONDS if number else SECONDS / 6, pid))
            _print_row(case, *(rounds[1:] or rounds for rounds in measured))


def _print_row(case: Case, *measured: list[Measured]) -> None:
    (d50, d99, d_first, d_rate), (o50, o99, o_first, o_rate) = (
        (
            statistics.median(answer.last for one in rounds for answer in one.answers),
            statistics.quantiles((answer.last for one in rounds for answer in one.answers), n=100)[98],
            statistics.median(answer.first for one in rounds for answer in one.answers),
            statistics.median(len(one.answers) / one.seconds for one in rounds),
        )
        for rounds in measured
    )
    cpu = statistics.median(one.cpu / len(one.answers) for one in measured[1])
    print(
        f"{case.name:8} {case.at_once:4} {d50:6.1f} {d99:6.1f} {o50:6.1f} {o99:6.1f} {o50 - d50:7.2f} {o50 / d50:5.2f}"
        f" {d_first:6.1f} {o_first:6.1f} {d_rate:6.0f} {o_rate:6.0f} {o_rate * case.tokens:8.0f}"
        f" {cpu * 1e3:6.2f} {cpu / case.tokens * 1e6:8.1f}"
    )


async def measure(call: Call, case: Case, seconds: float, pid: int) -> Measured:
    answers: list[Answered] = []
    cpu, start = _cpu(pid), time.perf_counter()
    end = start + seconds

    async def worker() -> None:
        while time.perf_counter() < end:
            answers.append(await call(case))

    await asyncio.gather(*(worker() for _ in range(case.at_once)))
    return Measured(answers, time.perf_counter() - start, _cpu(pid) - cpu)


def _direct(client: HttpClient, environment: dict[str, str]) -> Call:
    """Call Bedrock directly, with the request that the function would send."""
    aws = Aws(client, environment)

    async def call(case: Case) -> Answered:
        request = {
            "messages": [{"role": "user", "content": [{"text": PROMPT}]}],
            "inferenceConfig": {"maxTokens": case.tokens, "temperature": 0.7, "topP": 0.9},
            "system": [{"text": "You are a helpful AI assistant."}],
        }
        operation = "converse" if case.complete else "converse-stream"
        path, body = f"/model/{quote(case.model, safe='')}/{operation}", json.dumps(request).encode()
        start = time.perf_counter()
        response = await aws.post("bedrock-runtime", path, [("content-type", "application/json")], body, **TIMES)
        return await _read(response, start, b'"outputTokens": %d' % case.tokens)

    return call


def _ours(client: HttpClient, port: int) -> Call:
    async def call(case: Case) -> Answered:
        body = json.dumps({"message": PROMPT, "model": case.model, "max_tokens": case.tokens}).encode()
        url = f"http://127.0.0.1:{port}/chat{'' if case.complete else '/stream'}"
        start = time.perf_counter()
        response = await client.send("POST", url, [("content-type", "application/json")], body, **TIMES)
        return await _read(response, start, b'"output_tokens":%d' % case.tokens)

    return call


async def _read(response: Response, start: float, expected: bytes) -> Answered:
    first = 0.0
    pieces: list[bytes] = []
    async for piece in response.chunks():
        first = first or time.perf_counter()
        pieces.append(piece)
    last = time.perf_counter()
    body = b"".join(pieces)
    assert response.status == 200 and expected in body, body[-400:]
    return Answered((first - start) * 1000, (last - start) * 1000)


def _cpu(pid: int) -> float:
    """CPU seconds of all threads of the process `pid`."""
    return sum(int(path.read_text().split()[0]) for path in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9


# The profile.

# The timer counts CPU time, in the kernel's clock ticks. There are no samples while the process waits.
PROFILED = """
import collections, json, os, runpy, signal, sys

path = sys.argv[1]
alone, within = collections.Counter(), collections.Counter()

def sample(_, frame):
    stack = []
    while frame is not None:
        code = frame.f_code
        stack.append(f"{'/'.join(code.co_filename.split('/')[-2:])}:{code.co_firstlineno} {code.co_qualname}")
        frame = frame.f_back
    alone[stack[0]] += 1
    within.update(set(stack))

def end(*_):
    signal.setitimer(signal.ITIMER_PROF, 0)
    with open(path + ".making", "w") as file:
        json.dump({"alone": alone, "within": within}, file)
    os.rename(path + ".making", path)
    alone.clear()
    within.clear()

signal.signal(signal.SIGPROF, sample)
signal.signal(signal.SIGUSR1, lambda *_: signal.setitimer(signal.ITIMER_PROF, 0.001, 0.001))
signal.signal(signal.SIGUSR2, end)
sys.path[0] = os.getcwd()
runpy.run_module("llm_functions.http", run_name="__main__", alter_sys=True)
"""


class Profile(NamedTuple):
    """For each function, the share of the samples in which it is innermost (`alone`) or anywhere on the stack (`within`)."""

    samples: int
    alone: dict[str, float]
    within: dict[str, float]


def profile(environment: dict[str, str], process: subprocess.Popen[bytes], samples: Path) -> None:
    """Print where the process of the function spends its CPU time while it streams."""
    cases = [case for case in CASES if not case.complete and case.at_once > 1]
    profiles = [_profile(case, environment, process, samples) for case in cases]
    print(f"\n% of the function's CPU time, {cases[0].at_once} at once, alone and with what it calls, by", end=" ")
    print(" and ".join(f"{profile.samples} samples" for profile in profiles))
    print(" ".join(f"{case.name:>15}" for case in cases))
    names = {name for profile in profiles for name in profile.alone}
    for name in sorted(names, key=lambda name: -sum(profile.alone.get(name, 0) for profile in profiles))[:HEAVIEST]:
        shares = [f"{profile.alone.get(name, 0):8.1%} {profile.within.get(name, 0):6.1%}" for profile in profiles]
        print(" ".join(shares), "", name)


def _profile(case: Case, environment: dict[str, str], process: subprocess.Popen[bytes], samples: Path) -> Profile:
    async def run() -> None:
        async with HttpClient() as client:
            call = _ours(client, int(environment["AWS_LWA_PORT"]))
            process.send_signal(signal.SIGUSR1)
            await measure(call, case, PROFILE_SECONDS, process.pid)
            process.send_signal(signal.SIGUSR2)

    asyncio.run(run())
    until = time.monotonic() + 10
    while not samples.exists() and time.monotonic() < until:
        time.sleep(0.01)
    found = json.loads(samples.read_text())
    samples.unlink()
    count = sum(found["alone"].values())
    return Profile(count, *({name: n / count for name, n in found[table].items()} for table in ("alone", "within")))


@contextmanager
def function(command: list[str], root: Path, environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run the function while the context lasts, and give its process once it listens."""
    process = subprocess.Popen(command, cwd=root, env=environment, stdout=subprocess.DEVNULL)
    try:
        connected(int(environment["AWS_LWA_PORT"]), process).close()
        yield process
    finally:
        process.kill()
        process.wait()


class Paced:
    """The stand-in model, at full speed or at the speed of a real model."""

    def __init__(self) -> None:
        self._models = {MODEL: StandInModel(), PACED_MODEL: StandInModel(token_delay=TOKEN_DELAY)}

    def generate(self, request: GenerationRequest) -> AsyncIterator[Piece]:
        return self._models[request.model_id].generate(request)


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        asyncio.run(serve_bedrock(Paced(), MODEL, PACED_MODEL))
    else:
        main()
