"""`pulumi preview` of our stacks, against a program of the same bare resources in the same engine.

    python bench/preview.py

The engine is Pulumi's own; the providers are the stand-ins of `pulumi_llm_local.engine`, in this process. The floor is a
program as one writes it by hand: it imports pulumi_aws and calls the class of each resource of our stack, with the same inputs
as plain values. It has no component, no settings, no bundle, and no output that another resource waits for. `new` is a preview
of a stack that does not exist yet, `same` one of a stack that is up and needs no change. The rounds alternate, so that a busy
machine slows both; the medians are over the rounds, CPU is user and system time of the CLI and the program. Bytecode is
compiled first, as `make setup` does it. It stops by itself after some 60 seconds; where no CLI is installed, it builds one the
first time (some three minutes).
"""

import contextlib
import inspect
import json
import os
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from pulumi_llm.base import bundle
from pulumi_llm_local.aws_types.sdk import resource_class
from pulumi_llm_local.engine import command
from pulumi_llm_local.engine.cloud import FUNCTION, Cloud
from pulumi_llm_local.engine.stack import Done, Stack
from pulumi_llm_local.program import graph

ROUNDS = 5
STACKS = ("dev", "prod")
# Of these, a preview of the stack that is up, too.
UP = ("prod",)
# What a preview may cost, as a multiple of the floor's.
AIM_RATIO = 1.5

DIRECTORY = Path(__file__).resolve().parents[1]


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # ends with what was started
    try:
        command.find()
    except command.EngineMissing as missing:
        print(missing)
        return
    with tempfile.TemporaryDirectory() as folder:
        # Bytecode of its own: none is left in the checkout, and none that is there is taken.
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        environment = {bundle.TARGET_VARIABLE: "host", "PYTHONPYCACHEPREFIX": f"{folder}/bytecode"}
        compare(Path(folder), environment)


def compare(folder: Path, environment: Mapping[str, str]) -> None:
    with contextlib.ExitStack() as open_stacks:
        cases: dict[str, tuple[Stack, Stack]] = {}
        for name in STACKS:
            found = graph.load(DIRECTORY, name, {}, seed="bench", environment={**os.environ, **environment})
            programs = DIRECTORY, _floor(folder / f"floor-{name}", name, found)
            for state in ("new", *(["same"] if name in UP else [])):
                ours, floor = (
                    open_stacks.enter_context(
                        Stack(folder / f"{name}-{state}-{number}", program, name, Cloud(), environment=environment)
                    )
                    for number, program in enumerate(programs)
                )
                if state == "same":
                    for stack in (ours, floor):
                        _operate(stack, "up", "--yes", "--skip-preview")
                cases[f"{name} {state}"] = ours, floor
        resources = {name: _registered(pair, folder / "events.json") for name, pair in cases.items()}
        measured = {name: ([], []) for name in cases}
        for _ in range(ROUNDS):
            for name, pair in cases.items():
                for stack, results in zip(pair, measured[name], strict=True):
                    results.append(_measure(stack))
    _print(resources, measured)


def _print(resources: Mapping[str, int], measured: Mapping[str, tuple[list[tuple[float, float]], ...]]) -> None:
    print(f"{'':9} {'':9} {'s':>15} {'':>9} {'CPU s':>15}   ({ROUNDS} rounds, medians)")
    print(f"{'':9} {'resources':>9} {'ours':>7} {'floor':>7} {'ratio':>9} {'ours':>7} {'floor':>7} {'ratio':>9}")
    for name, pair in measured.items():
        (wall, cpu), (floor_wall, floor_cpu) = (map(statistics.median, zip(*times, strict=True)) for times in pair)
        ratio = wall / floor_wall
        print(
            f"{name:9} {resources[name]:9} {wall:7.2f} {floor_wall:7.2f} {ratio:9.2f}"
            f" {cpu:7.2f} {floor_cpu:7.2f} {cpu / floor_cpu:9.2f}"
            f"   aim: {AIM_RATIO:g}: {'met' if ratio <= AIM_RATIO else 'missed'}"
        )


def _floor(folder: Path, stack: str, found: graph.Graph) -> Path:
    """A project whose program has the resources of `found`, one call a resource, without what connects them."""
    modules: set[str] = set()
    lines: list[str] = []
    for one in found.resources:
        kind = resource_class(one.type)
        module = kind.__module__.split(".")[1]
        modules.add(module)
        names = {getattr(member.fget, "_pulumi_name", name): name for name, member in inspect.getmembers(kind, _is_property)}
        arguments = [f"{names[key]}={_source(one.type, key, value)}" for key, value in one.inputs.items()]
        lines.append(f"{module}.{kind.__name__}({', '.join([repr(one.name), *arguments])})")
    lines += [f"pulumi.export({name!r}, {value!r})" for name, value in found.outputs.items()]
    folder.mkdir()
    project, config = graph.configuration(DIRECTORY, stack, {})
    settings = {key: value for key, value in config.items() if key.startswith("aws:")}
    (folder / "Pulumi.yaml").write_text(yaml.safe_dump({"name": project, "runtime": "python"}))
    (folder / f"Pulumi.{stack}.yaml").write_text(yaml.safe_dump({"config": settings}))
    imports = f"import pulumi\nfrom pulumi_aws import {', '.join(sorted(modules))}\n"
    (folder / "__main__.py").write_text("\n".join([imports, *lines, ""]))
    return folder


def _is_property(member: object) -> bool:
    return isinstance(member, property)


def _source(token: str, key: str, value: Any) -> str:
    """The value as Python has it. The graph tells of an archive its path."""
    return f"pulumi.FileArchive({value['path']!r})" if (token, key) == (FUNCTION, "code") else repr(value)


def _registered(pair: tuple[Stack, Stack], log: Path) -> int:
    """A first preview of both, in which the program is compiled: how many resources, which have to be the same ones."""
    kinds: list[Counter[str]] = []
    for stack in pair:
        done = _operate(stack, "preview", f"--event-log={log}")
        events = [json.loads(line) for line in log.read_text().splitlines()]
        log.unlink()
        urns = Done(done.returncode, done.output, events).steps()
        own = (urn.split("::")[2].rpartition("$")[2] for urn in urns)
        kinds.append(Counter(token for token in own if token.startswith("aws:")))
    ours, floor = kinds
    assert ours == floor, f"the floor has other resources: {ours - floor or floor - ours}"
    return ours.total()


def _measure(stack: Stack) -> tuple[float, float]:
    """Seconds on the clock, and of the children's CPU."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    _operate(stack, "preview")
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _operate(stack: Stack, verb: str, *arguments: str) -> Done:
    process = stack.start(
        *stack.operation(verb, "--non-interactive", "--color=never", *arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        output, _ = process.communicate()
    finally:
        process.wait()  # when this is ended, too: a CLI that is killed leaves its program behind
    assert process.returncode == 0, output
    return Done(process.returncode, output)


if __name__ == "__main__":
    main()
