"""A cold start: the time from a process's start to its first answer, for our function and for a minimal caller of Bedrock.

    python bench/cold_start.py

Ours is the bundle as Lambda starts it (``run.sh``, then ``POST /chat``). The floor is Python's own HTTP server with one boto3
client. Both have bytecode as in the deployed bundle, and both call the same local Bedrock. The two take turns, so that a busy
machine slows both. All figures are medians over the rounds. CPU is the user and system time of the process. After that, the
script shows which imports take the time of our start (`-X importtime`). Files are read from the page cache; a new Lambda
environment reads them from its disk. The script ends by itself after about 30 seconds. The first run also installs what it
starts.
"""

import asyncio
import http.client
import json
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from aiohttp import web

from llm_gateway.routes import ROUTES_FILE, Alias, Routes, Target, encode
from pulumi_llm.base import bundle
from pulumi_llm_local.services.signature import Credentials
from pulumi_llm_local.upstreams.bedrock.app import create_app
from pulumi_llm_local.upstreams.model import LanguageModel, ModelTraits
from pulumi_llm_local.upstreams.stand_in_model import StandInModel

ROUNDS = 9
PROFILES = 3
HEAVIEST = 15
# The aim for a cold start: the ratio to the floor, and the seconds.
AIM_RATIO, AIM_SECONDS = 1.3, 0.6

MODEL = "bench.model-v1:0"
REGION = "us-east-1"
KEY, SECRET = "AKIABENCH", "bench-secret"
TARGET = Target(
    name="bedrock/bench",
    provider="bedrock",
    model=MODEL,
    max_output_tokens=4096,
    context_tokens=100_000,
    accepts=("max_tokens", "temperature", "top_p", "stop", "system"),
)
REQUEST = {"message": "Hello", "max_tokens": 64}

FLOOR = f"""
import json, os
from http.server import BaseHTTPRequestHandler, HTTPServer
import boto3

bedrock = boto3.client("bedrock-runtime")

class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        answer = bedrock.converse(
            modelId="{MODEL}",
            messages=[{{"role": "user", "content": [{{"text": request["message"]}}]}}],
            system=[{{"text": "You are a helpful AI assistant."}}],
            inferenceConfig={{"maxTokens": request["max_tokens"], "temperature": 0.7, "topP": 0.9}},
        )
        body = json.dumps({{"message": answer["output"]["message"]["content"][0]["text"], "usage": answer["usage"]}}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

HTTPServer(("127.0.0.1", int(os.environ["AWS_LWA_PORT"])), Handler).serve_forever()
"""


class Start(NamedTuple):
    """One start, in milliseconds: until the process listens, until its answer is complete, and the CPU time until then."""

    listens: float
    answers: float
    cpu: float


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # end what was started
    with tempfile.TemporaryDirectory() as folder, local_bedrock(Path(__file__)) as bedrock:
        print(f"start to first answer, ms ({ROUNDS} rounds, medians)")
        print(f"{'':7}{'':8} {'listens':>8} {'answers':>8} {'slowest':>8} {'CPU':>6}")
        for name, python in pythons().items():
            root = Path(folder) / name
            ours, floor = assemble(root / "ours", python), _floor(root / "floor", python)
            compare(name, ours, floor, python, bedrock)
            profile(ours, python, bedrock)


def compare(name: str, ours: Path, floor: Path, python: str, bedrock: str) -> None:
    starts: dict[str, list[Start]] = {"ours": [], "boto3": []}
    for number in range(ROUNDS + 1):
        for which, root in (("ours", ours), ("boto3", floor)):
            start = _start(root, function_environment(root, python, bedrock, TARGET))
            if number:  # the first round reads the files from the disk
                starts[which].append(start)
    middle = {which: Start(*map(statistics.median, zip(*measured, strict=True))) for which, measured in starts.items()}
    for which, (listens, answers, cpu) in middle.items():
        slowest = max(start.answers for start in starts[which])
        print(f"{name:7}{which:8} {listens:8.0f} {answers:8.0f} {slowest:8.0f} {cpu:6.0f}")
    ratio = middle["ours"].answers / middle["boto3"].answers
    cpu_ratio = middle["ours"].cpu / middle["boto3"].cpu
    met = "met" if ratio <= AIM_RATIO and middle["ours"].answers <= AIM_SECONDS * 1000 else "missed"
    print(f"{name:7}ratio    {ratio:17.2f} {'':8} {cpu_ratio:6.2f}   aim: {AIM_RATIO} and {AIM_SECONDS} s: {met}")


def profile(root: Path, python: str, bedrock: str) -> None:
    """Print the imports that take the time of our start."""
    alone: defaultdict[str, list[float]] = defaultdict(list)
    below: defaultdict[str, list[float]] = defaultdict(list)
    totals: list[float] = []
    bare: list[float] = []
    listens: list[float] = []
    environment = function_environment(root, python, bedrock, TARGET)
    log = root.with_name("imports")
    for _ in range(PROFILES):
        listens.append(_start(root, environment).listens)
        began = time.perf_counter()
        subprocess.run([python, "-c", "pass"], env=environment, cwd=root, check=True)
        bare.append((time.perf_counter() - began) * 1000)
        _start(root, {**environment, "PYTHONPROFILEIMPORTTIME": "1"}, log)
        lines = _IMPORT.findall(log.read_text())
        # The imports up to `site` belong to the start of the interpreter itself.
        first = next(at for at, (_, _, _, module) in enumerate(lines) if module == "site") + 1
        for own, cumulative, _, module in lines[first:]:
            alone[module].append(int(own) / 1000)
            below[module].append(int(cumulative) / 1000)
        totals.append(sum(int(own) for own, _, _, _ in lines[first:]) / 1000)
    total, start = statistics.median(totals), statistics.median(bare)
    until = statistics.median(listens)
    print(
        f"  {until:.0f} ms until it listens: Python {start:.0f}, {len(alone)} imports {total:.0f} (measured by -X importtime)"
    )
    print(f"  {'alone':>7} {'':42} {'with what it imports':>22}")
    columns = [
        sorted(((statistics.median(times), module) for module, times in table.items()), reverse=True)[:HEAVIEST]
        for table in (alone, below)
    ]
    for (own, module), (cumulative, importer) in zip(*columns, strict=True):
        print(f"  {own:7.1f} {module:42} {cumulative:7.1f} {importer}")


_IMPORT = re.compile(r"^import time:\s+(\d+) \|\s+(\d+) \| ( *)(\S+)$", re.MULTILINE)


# What is started.


def pythons() -> dict[str, str]:
    """The interpreter below the virtual environment, and the one of Lambda's runtime if that is another one."""
    found = {}
    for target in ("host", "lambda"):
        try:
            python = bundle._python(target)
        except bundle.BundleError as error:
            print(error)
            continue
        print_version = "import sys; print('%d.%d' % sys.version_info[:2])"
        found[subprocess.check_output([python, "-c", print_version], text=True).strip()] = python
    return {f"py{name}": python for name, python in found.items()}


def assemble(to: Path, python: str) -> Path:
    """The bundle for this machine and `python`, compiled as the deployed one is."""
    lock = bundle._lock()
    to.parent.mkdir(parents=True, exist_ok=True)
    key = [lock.read_bytes(), python.encode(), repr((bundle._LEFT_OUT, bundle._REPLACED)).encode()]
    bundle._assemble(to, bundle._cached("dependencies-host", key, lambda made: bundle._install(made, "host", python)))
    return compiled(to, python)


def _floor(to: Path, python: str) -> Path:
    """boto3 in the project's version, complete, as pip installs it."""
    packages = [f"{name}=={version(name)}" for name in ("boto3", "botocore")]

    def install(made: Path) -> None:
        command = [bundle._uv(), "pip", "install", "--quiet", "--python", python, "--target", str(made), *packages]
        subprocess.run(command, check=True)
        compiled(made, python)

    installed = bundle._cached("bench-boto3", [python.encode(), *map(str.encode, packages)], install)
    to.mkdir(parents=True)
    (to / "floor.py").write_text(FLOOR)
    (to / bundle.RUN_SCRIPT).write_text(f"#!/bin/sh\nexport PYTHONPATH={installed}\nexec python3 -m floor\n")
    return compiled(to, python)


def compiled(root: Path, python: str) -> Path:
    command = [python, "-m", "compileall", "-q", "-f", "-s", str(root), "-p", "/var/task"]
    subprocess.run([*command, "--invalidation-mode", "unchecked-hash", str(root)], check=True)
    return root


def function_environment(root: Path, python: str, bedrock: str, *targets: Target) -> dict[str, str]:
    """The environment that Lambda and the component give a function. The alias of each target is the id of its model."""
    (root / ROUTES_FILE).write_bytes(encode(Routes(tuple(Alias(target.model, (target,)) for target in targets))))
    return {
        "PATH": f"{Path(python).parent}:/usr/bin:/bin",
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": bedrock,
        "AWS_LWA_PORT": str(free_port()),
        "LAMBDA_TASK_ROOT": str(root),
        "AUTHORIZATION": "none",
        "CORS_ALLOW_ORIGIN": "*",
        "PYTHONNOUSERSITE": "1",
        "TZ": ":UTC",
        "LANG": "en_US.UTF-8",
    }


def _start(root: Path, environment: dict[str, str], log: Path | None = None) -> Start:
    """Start the process, send one request, and kill the process."""
    port = int(environment["AWS_LWA_PORT"])
    with (log or Path(os.devnull)).open("wb") as output:
        began = time.perf_counter()
        process = subprocess.Popen(
            ["/bin/sh", bundle.RUN_SCRIPT], cwd=root, env=environment, stdout=subprocess.DEVNULL, stderr=output
        )
        try:
            connection = connected(port, process)
            listens = time.perf_counter() - began
            connection.request("POST", "/chat", json.dumps(REQUEST))
            response = connection.getresponse()
            body = response.read()
            answers = time.perf_counter() - began
            connection.close()
            assert response.status == 200 and json.loads(body)["usage"], body
        finally:
            process.kill()
            _, process.returncode, used = os.wait4(process.pid, 0)
    return Start(listens * 1000, answers * 1000, (used.ru_utime + used.ru_stime) * 1000)


def connected(port: int, process: subprocess.Popen[bytes]) -> http.client.HTTPConnection:
    until = time.monotonic() + 10
    while time.monotonic() < until:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            connection.connect()
            return connection
        except ConnectionRefusedError:
            time.sleep(0.001)
    raise RuntimeError(f"nothing listens on {port}: process {process.pid} did not start")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


# The Bedrock, in a process of its own.


@contextmanager
def local_bedrock(script: Path) -> Iterator[str]:
    """Run ``script serve`` as a local Bedrock while the context lasts, and give its address."""
    process = subprocess.Popen([sys.executable, str(script), "serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.kill()
        process.wait()


async def serve_bedrock(model: LanguageModel, *names: str) -> None:
    """Serve as Bedrock, with `model` behind every name, until this process is killed."""
    traits = dict.fromkeys(names, ModelTraits(accepts=frozenset(TARGET.accepts)))
    app = create_app(region=REGION, credentials=Credentials(KEY, SECRET), models=traits, model=model)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.sleep(240)  # ends too if its parent has died


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        asyncio.run(serve_bedrock(StandInModel(), MODEL))
    else:
        main()
