"""`pulumi preview` of our stacks, compared with a program that has the same resources without components.

    python bench/preview.py

The engine is Pulumi's own; the providers are the stand-ins of `pulumi_llm_local.engine`, in this process. The floor is a
simple program: it imports pulumi_aws and creates each resource of our stack with the same inputs as plain values. It has no
component, no settings, no bundle, and no output that another resource waits for. `new` is a preview of a stack that does
not exist yet, `same` is one of a stack that is up and needs no change. The two take turns, so that a busy machine slows
both. The figures are medians over the rounds. CPU is the user and system time of the CLI and the program. Bytecode is
compiled first, as in `make setup`. The script ends by itself after about 60 seconds. If the Pulumi CLI is not installed,
the first run builds it (about three minutes).
"""

import contextlib
import inspect
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import yaml
from program import measure

from pulumi_llm.base import bundle
from pulumi_llm_local.aws_types.sdk import resource_class
from pulumi_llm_local.engine import command
from pulumi_llm_local.engine.cloud import FUNCTION, Cloud
from pulumi_llm_local.engine.stack import Done, Stack
from pulumi_llm_local.program import graph

ROUNDS = 5
STACKS = ("dev", "prod")
# For these, also a preview of the stack that is up.
UP = ("prod",)
# The aim: the time of a preview, as a multiple of the floor's.
AIM_RATIO = 1.5

DIRECTORY = Path(__file__).resolve().parents[1]


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # end what was started
    try:
        command.find()
    except command.EngineMissing as missing:
        print(missing)
        return
    with tempfile.TemporaryDirectory() as folder:
        # Its own bytecode: the checkout gets none, and what is there is not used.
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
                    results.append(measure(partial(_operate, stack, "preview")))
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
    """Write a project whose program creates the resources of `found`, with one call each and no connections between them."""
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
    """The value as Python source. For an archive, the graph has its path."""
    return f"pulumi.FileArchive({value['path']!r})" if (token, key) == (FUNCTION, "code") else repr(value)


def _registered(pair: tuple[Stack, Stack], log: Path) -> int:
    """Preview both once, which compiles the program, check that they have the same resources, and return how many."""
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


def _operate(stack: Stack, verb: str, *arguments: str) -> Done:
    process = stack.start(
        *stack.operation(verb, "--non-interactive", "--color=never", *arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        output, _ = process.communicate()
    finally:
        process.wait()  # also when this script is ended: a CLI that is killed leaves its program running
    assert process.returncode == 0, output
    return Done(process.returncode, output)


if __name__ == "__main__":
    main()
