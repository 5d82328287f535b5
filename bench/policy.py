"""What the policy pack adds to `pulumi preview` of prod, compared with no pack and with an empty pack.

    python bench/policy.py

The engine is Pulumi's own; the providers are stand-ins. The empty pack, in Pulumi's library, has one policy that does
nothing. It shows what any Python pack costs: a process that starts before the program, and two calls for each resource. The
three take turns, so that a busy machine slows all of them, and the fastest round of each counts: what else the machine does
only adds to the others. The processor's time is that of the engine and the pack, without the program. The script ends by
itself after about a minute. If the Pulumi CLI is not installed, the first run builds it.
"""

import os
import resource
import signal
import sys
import tempfile
import time
from pathlib import Path

from pulumi_llm.base import bundle
from pulumi_llm_local.engine import command
from pulumi_llm_local.engine.cloud import Cloud
from pulumi_llm_local.engine.stack import Stack

ROUNDS = 5
# The aim: what the pack may add to a preview, as a share of its time.
AIM = 0.2

DIRECTORY = Path(__file__).resolve().parents[1]
EMPTY = """\
from pulumi_policy import PolicyPack, ResourceValidationPolicy

PolicyPack("empty", [ResourceValidationPolicy("does-nothing", "Does nothing.", lambda args, report: None)])
"""


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # end what was started
    try:
        command.find()
    except command.EngineMissing as missing:
        print(missing)
        return
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    with tempfile.TemporaryDirectory() as folder:
        empty = Path(folder) / "empty"
        empty.mkdir()
        (empty / "PulumiPolicy.yaml").write_text("name: empty\nversion: 0.0.1\nruntime: python\n")
        (empty / "__main__.py").write_text(EMPTY)
        ours = ["--policy-pack", str(DIRECTORY / "policy")]
        ours += ["--policy-pack-config", str(DIRECTORY / "policy" / "config" / "prod.json")]
        runs = {"no pack": [], "an empty pack": ["--policy-pack", str(empty)], "our pack": ours}
        environment = {bundle.TARGET_VARIABLE: "host", "PYTHONPYCACHEPREFIX": f"{folder}/bytecode"}
        with Stack(Path(folder) / "stack", DIRECTORY, "prod", Cloud(), environment=environment) as stack:
            compare(stack, runs)


def compare(stack: Stack, runs: dict[str, list[str]]) -> None:
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    processor: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(ROUNDS + 1):
        for name, arguments in runs.items():
            start, before = time.perf_counter(), processor_time()
            done = stack.preview(*arguments)
            if done.returncode:
                sys.exit(done.output)
            if number:  # the first round compiles
                seconds[name].append(time.perf_counter() - start)
                processor[name].append(processor_time() - before)
    fastest = {name: min(times) for name, times in seconds.items()}
    floor, empty, ours = fastest.values()
    print(
        f"\n{'preview of prod':18} {'s':>6} {'slowest':>8} {'ratio':>6} {'processor s':>12}   (the fastest of {ROUNDS} rounds)"
    )
    for name, time_taken in fastest.items():
        print(f"{name:18} {time_taken:6.2f} {max(seconds[name]):8.2f} {time_taken / floor:6.2f} {min(processor[name]):12.2f}")
    added, verdict = ours / floor - 1, "met" if ours <= floor * (1 + AIM) else "missed"
    print(f"our pack adds {added:.0%}, of which an empty one {empty / floor - 1:.0%}   aim: {AIM:.0%}: {verdict}")


def processor_time() -> float:
    """The seconds of processor time that this process's children took which have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
