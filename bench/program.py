"""How long the Pulumi program itself takes, and the size of what it deploys.

    python bench/program.py

The program is evaluated as in the local run, by a process that registers every resource of a stack without an engine: with the
bundle for Lambda, as in a deployment, and (`local`) with the bundle for this machine. It is compared with a process that only
imports pulumi and the modules of pulumi_aws that the components import. They take turns, so that a busy machine slows all of
them. The figures are medians over the rounds. CPU is user and system time. Bytecode is compiled first, as in `make setup`. The
script ends by itself after about 45 seconds.
"""

import ast
import os
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from pulumi_llm.base import bundle
from pulumi_llm_local.program import graph

ROUNDS = 5
STACKS = ("dev", "prod")
LARGEST = 10
# The aims: the seconds of an evaluation, and the bytes of the bundle.
AIM_SECONDS, AIM_BYTES = 2.0, 3_000_000

DIRECTORY = Path(__file__).resolve().parents[1]


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # end what was started
    with tempfile.TemporaryDirectory() as bytecode:
        # Its own bytecode: the checkout gets none, and what is there is not used.
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        environment["PYTHONPYCACHEPREFIX"] = bytecode
        size(environment)
        compare(environment)


def size(environment: dict[str, str]) -> None:
    """Print the size of the bundle for Lambda. If it cannot be built, the program is evaluated with this machine's bundle."""
    try:
        path = bundle.build("lambda")
    except bundle.BundleError as error:
        print(error)
        environment[bundle.TARGET_VARIABLE] = "host"
        return
    with zipfile.ZipFile(path) as zipped:
        entries = sorted(zipped.infolist(), key=lambda entry: -entry.compress_size)
    packages: dict[str, int] = {}
    for entry in entries:
        package = entry.filename.partition("/")[0]
        packages[package] = packages.get(package, 0) + entry.compress_size
    total = path.stat().st_size
    met = "met" if total <= AIM_BYTES else "missed"
    print(f"the bundle: {total / 1e6:.2f} MB zipped, {len(entries)} entries   aim: {AIM_BYTES / 1e6:g} MB: {met}")
    print(
        "  by package, kB:", ", ".join(f"{name} {of / 1e3:.0f}" for name, of in sorted(packages.items(), key=lambda p: -p[1]))
    )
    for entry in entries[:LARGEST]:
        print(f"  {entry.compress_size / 1e3:7.0f} kB  {entry.filename}")


def compare(environment: dict[str, str]) -> None:
    used = _modules()
    resources: dict[str, int] = {}

    def evaluate(name: str, stack: str, **variables: str) -> Callable[[], None]:
        def run() -> None:
            found = graph.load(DIRECTORY, stack, {}, seed="bench", environment={**environment, **variables})
            resources[name] = len(found.resources)

        return run

    def imports() -> None:
        # A module of pulumi_aws is loaded when something in it is asked for.
        names = ", ".join(used)
        code = f"import pulumi\nfrom pulumi_aws import {names}\nfor module in ({names},): hasattr(module, 'loaded')"
        subprocess.run([sys.executable, "-c", code], env=environment, check=True)

    runs = {stack: evaluate(stack, stack) for stack in STACKS}
    runs |= {"dev local": evaluate("dev local", "dev", **{bundle.TARGET_VARIABLE: "host"}), "imports": imports}
    measured: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
    for number in range(ROUNDS + 1):
        for name, run in runs.items():
            one = measure(run)
            if number:  # the first round compiles
                measured[name].append(one)
    print(f"\n{'':9} {'resources':>9} {'s':>6} {'slowest':>8} {'CPU s':>6} {'CPU ratio':>9}   ({ROUNDS} rounds, medians)")
    _, floor = (statistics.median(times) for times in zip(*measured["imports"], strict=True))
    for name, times in measured.items():
        wall, cpu = (statistics.median(column) for column in zip(*times, strict=True))
        slowest = max(wall for wall, _ in times)
        aim = "" if name == "imports" else f"   aim: {AIM_SECONDS:g} s: {'met' if wall <= AIM_SECONDS else 'missed'}"
        print(f"{name:9} {resources.get(name, ''):>9} {wall:6.2f} {slowest:8.2f} {cpu:6.2f} {cpu / floor:9.2f}{aim}")
    print(f"imports: pulumi, pulumi_aws.{{{', '.join(used)}}}")


def measure(run: Callable[[], object]) -> tuple[float, float]:
    """Wall-clock seconds, and CPU seconds of the child processes."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    run()
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _modules() -> list[str]:
    """The modules of pulumi_aws that the components import."""
    found: set[str] = set()
    package = find_spec("pulumi_llm")
    assert package is not None and package.submodule_search_locations
    aws = find_spec("pulumi_aws")
    assert aws is not None and aws.submodule_search_locations
    for path in Path(package.submodule_search_locations[0]).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module == "pulumi_aws":
                found |= {alias.name for alias in node.names}
    return sorted(name for name in found if (Path(aws.submodule_search_locations[0]) / name / "__init__.py").exists())


if __name__ == "__main__":
    main()
