"""What a function costs on Lambda: its start and its requests under the CPU share of each memory size, and USD for them.

    python bench/lambda_share.py [--before COMMIT] [--rounds 5] [--json FILE]

Lambda gives a function a share of the CPU in proportion to its memory: one vCPU at 1,769 MB (MEMORY_SOURCE). Ours, the bundle,
runs under these shares beside a function on FastAPI and boto3 that answers the same requests (peers/fastapi_boto3.py), and
with `--before` beside the bundle of an earlier commit. All have bytecode, Lambda's Python version if this machine has it, and
the fake Bedrock of bench/peers.py. They take turns, and every figure is the median over the rounds.

- start: from the process's start to its first complete answer, and its CPU time until then. On Lambda come the environment,
  the code's download and the Web Adapter, the same for all. Lambda does not promise more CPU for a start than for a request.
- answer: a complete answer of 64 tokens from a provider that answers at once, when warm.
- stream: 256 tokens, 100 a second, which takes 2.55 s where the function keeps up.
- memory: the most that was resident.
- USD: of a million requests, with the requests' own price and Lambda's prices (components/pulumi_llm/cost/prices.toml) in
  us-east-1. One in COLD_EVERY waits for a start, whose time is billed (INIT_SOURCE); half of them stream as above, and half
  wait as long for a complete answer. API Gateway, logs and the model are paid beside it, whatever the function is.

The share is a cgroup's quota where one can be made (as root on Linux), with a period of 20 ms; else the process is stopped for
the rest of each period. The script ends by itself after some six minutes.
"""

import argparse
import http.client
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from cold_start import free_port, local_bedrock, pythons
from peers import PROMPT, SYSTEM, cpu, end, memory
from peers_gateways import GATEWAYS, Gateway, ours
from peers_upstream import FAST, MARK, PACED, TOKENS_A_SECOND

from pulumi_llm.cost.prices import price_table

HERE = Path(__file__).resolve().parent
MEMORY_SOURCE = "https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html"
INIT_SOURCE = "https://aws.amazon.com/blogs/compute/aws-lambda-standardizes-billing-for-init-phase/"
FULL = 1769  # MB with one vCPU
SIZES = (128, 256, 512, 1024, FULL)
COLD_EVERY = 100  # AWS: "INITs typically occur in under 1% of invocations" (INIT_SOURCE)
TOKENS, STREAMED = 64, 256
ANSWERS = 10
PERIOD = 0.02
PATIENCE = 120.0


class Measured(NamedTuple):
    start: float  # seconds
    start_cpu: float  # seconds
    answer: float  # seconds
    stream: float  # seconds
    memory: float  # MB


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--before", default="", help="a commit, whose bundle is measured too")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)), help="MB, with commas between")
    parser.add_argument("--json", type=Path, help="where the figures are written")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # end what was started
    sizes = [int(size) for size in options.sizes.split(",")]
    python = list(pythons().values())[-1]  # Lambda's, where there is one
    with tempfile.TemporaryDirectory() as name, local_bedrock(HERE / "peers_upstream.py") as address:
        folder = Path(name)
        functions = {each: GATEWAYS[each](folder, python) for each in ("ours", "fastapi")}
        if options.before:
            functions["before"] = ours(folder, python, before=options.before)
        rounds: dict[tuple[int, str], list[Measured]] = {(size, name): [] for size in sizes for name in functions}
        for number in range(options.rounds):
            for (size, which), measured in rounds.items():
                print(f"round {number + 1} of {options.rounds}: {size} MB, {which}", file=sys.stderr, flush=True)
                measured.append(_measure(functions[which], address, size / FULL))
    medians = {key: Measured(*map(statistics.median, zip(*each, strict=True))) for key, each in rounds.items()}
    _print(medians, _limiter.__name__)
    if options.json:
        rows = [
            {"mb": size, "function": name, **one._asdict(), "usd": _usd(size, one)} for (size, name), one in medians.items()
        ]
        options.json.write_text(json.dumps(rows, indent=2))


def _print(medians: dict[tuple[int, str], Measured], how: str) -> None:
    print(f"CPU share by {how}; USD a million requests, one in {COLD_EVERY} after a start")
    heads = ("start, s", "CPU, s", "answer, ms", "stream, s", "memory, MB", "USD arm64", "USD x86_64")
    print(f"{'MB':>5} {'CPU':>5} {'':8}{''.join(f'{head:>12}' for head in heads)}  start, of ours")
    for (size, name), one in medians.items():
        usd = _usd(size, one)
        figures = (f"{one.start:.3f}", f"{one.start_cpu:.3f}", f"{one.answer * 1000:.1f}", f"{one.stream:.2f}")
        figures += (f"{one.memory:.0f}", f"{usd['arm64']:.2f}", f"{usd['x86_64']:.2f}")
        ratio = one.start / medians[size, "ours"].start
        print(f"{size:5} {size / FULL:5.2f} {name:8}{''.join(f'{figure:>12}' for figure in figures)}  {ratio:.2f}")


def _usd(size: int, one: Measured) -> dict[str, float]:
    """USD of a million requests, for each architecture."""
    model = (STREAMED - 1) / TOKENS_A_SECOND
    seconds = one.start / COLD_EVERY + (one.stream + model + one.answer) / 2
    prices = price_table().prices
    return {
        name: prices["lambda_requests"].usd + 1e6 * seconds * size / 1024 * prices[f"lambda_{name}"].usd
        for name in ("arm64", "x86_64")
    }


# Measuring.


def _measure(function: Gateway, address: str, share: float) -> Measured:
    port = free_port()
    command = function.command("bedrock", address, port)
    with _limiter(share) as (prefix, started):
        began = time.perf_counter()
        process = subprocess.Popen(
            [*prefix, *command.arguments],
            env=command.environment,
            cwd=command.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        started(process.pid)
        try:
            connection = _connected(port, process)
            _ask(connection, FAST["bedrock"], TOKENS, stream=False)
            start, start_cpu = time.perf_counter() - began, cpu(process.pid)
            answers: list[float] = [_ask(connection, FAST["bedrock"], TOKENS, stream=False) for _ in range(ANSWERS)]
            stream = _ask(connection, PACED["bedrock"], STREAMED, stream=True)
            return Measured(start, start_cpu, statistics.median(answers), stream, memory(process.pid, "VmHWM"))
        finally:
            end(process)


def _connected(port: int, process: subprocess.Popen[bytes]) -> http.client.HTTPConnection:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until and process.poll() is None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        with suppress(ConnectionRefusedError):
            connection.connect()
            return connection
        time.sleep(0.002)
    raise RuntimeError(f"process {process.pid} does not start")


def _ask(connection: http.client.HTTPConnection, model: str, tokens: int, *, stream: bool) -> float:
    """Seconds until the answer was complete."""
    body = {
        "model": model,
        "messages": [{"role": "system", "content": SYSTEM}, {"role": "user", "content": PROMPT}],
        "max_tokens": tokens,
        "temperature": 0.7,
        "stream": stream,
    }
    began = time.perf_counter()
    connection.request("POST", "/v1/chat/completions", json.dumps(body), {"content-type": "application/json"})
    answer = connection.getresponse().read()
    seconds = time.perf_counter() - began
    if answer.count(MARK) != tokens:
        raise RuntimeError(f"not the provider's answer: {answer[-500:]!r}")
    return seconds


# The share of a CPU: a command's first words, and what is called with its process.

Limited = tuple[list[str], Callable[[int], None]]


@contextmanager
def cgroup(share: float) -> Iterator[Limited]:
    """A quota of the kernel (cgroups, version 2 or 1). The process joins the group before it becomes the function."""
    folder = _CGROUPS / f"pulumi-llm-bench-{os.getpid()}"
    folder.mkdir()
    try:
        period, quota = int(PERIOD * 1e6), int(PERIOD * 1e6 * share)
        if (folder / "cpu.max").exists():
            (folder / "cpu.max").write_text(f"{quota} {period}")
        else:
            (folder / "cpu.cfs_period_us").write_text(str(period))
            (folder / "cpu.cfs_quota_us").write_text(str(quota))
        yield ["/bin/sh", "-c", f'echo $$ > {folder}/cgroup.procs && exec "$@"', "sh"], lambda _pid: None
    finally:
        _removed(folder)


def _removed(folder: Path) -> None:
    """A group can be removed when its last process is gone."""
    for _ in range(100):
        try:
            folder.rmdir()
        except OSError:
            time.sleep(0.01)
        else:
            return


@contextmanager
def duty_cycle(share: float) -> Iterator[Limited]:
    """The process is stopped for the rest of every period, whether it worked or waited: a bound from below."""
    over = threading.Event()
    threads: list[threading.Thread] = []

    def cycle(pid: int) -> None:
        with suppress(ProcessLookupError):
            while not over.wait(PERIOD * share):
                os.killpg(pid, signal.SIGSTOP)
                over.wait(PERIOD * (1 - share))
                os.killpg(pid, signal.SIGCONT)

    def started(pid: int) -> None:
        threads.append(threading.Thread(target=cycle, args=(pid,), daemon=True))
        threads[-1].start()

    try:
        yield [], started
    finally:
        over.set()
        for thread in threads:
            thread.join()


_CGROUPS = next(
    (path for path in map(Path, ("/sys/fs/cgroup/cpu", "/sys/fs/cgroup")) if (path / "cgroup.procs").exists()), Path("/none")
)


def _cgroups_permitted() -> bool:
    try:
        with cgroup(0.5) as (prefix, _):
            return subprocess.run([*prefix, "true"], check=False, capture_output=True).returncode == 0
    except OSError:
        return False


_limiter = cgroup if _cgroups_permitted() else duty_cycle


if __name__ == "__main__":
    main()
