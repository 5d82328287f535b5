"""The engine is killed between two steps of an up: the next one finishes, with nothing doubled."""

import os
import signal
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from pulumi_llm_local.engine.cloud import Cloud, ProviderCall, Refused
from pulumi_llm_local.engine.stack import Stack
from system.engine.conftest import our_stack, program, succeeded

# Roles, a policy that names another resource, and what is retained: every kind of step in few resources.
BASELINE = """\
import pulumi_llm

pulumi_llm.AccountBaseline("account", {"api_gateway_logs": True, "github_oidc": True, "bedrock_invocation_logs": True})
"""
# The dev stack has some ninety steps; these are spread over them.
STEPS_OF_DEV = (2, 50, 90)


@contextmanager
def baseline(folder: Path, cloud: Cloud) -> Iterator[Stack]:
    with program(folder, BASELINE, cloud, checkpoints=True) as stack:
        yield stack


@contextmanager
def dev(folder: Path, cloud: Cloud) -> Iterator[Stack]:
    with our_stack(folder, "dev", cloud, checkpoints=True) as stack:
        yield stack


def killed_before(stack: Stack, step: int) -> None:
    """An up of which the engine is killed as the account is asked for its `step`th resource: the one before is recorded."""
    arguments = stack.operation("up", "--yes", "--skip-preview", "--parallel=1", "--non-interactive")
    process = stack.start(*arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def kill(call: ProviderCall) -> None:
        if len(stack.cloud.calls) == step - 1:
            os.killpg(process.pid, signal.SIGKILL)
            raise Refused("the engine is gone")

    stack.cloud.before = kill
    output, _ = process.communicate()
    stack.cloud.before = lambda call: None
    assert process.returncode == -signal.SIGKILL, output
    assert len(stack.cloud.calls) == step - 1
    # The lock of the one that was killed is in the way, and the message says what to do.
    refused = stack.up()
    assert refused.returncode != 0
    assert "pulumi cancel" in refused.output, refused.output
    succeeded(stack.run("cancel", "--yes"))


@pytest.mark.parametrize(("stack_of", "steps"), [(baseline, range(1, 9)), (dev, STEPS_OF_DEV)], ids=["each step", "dev"])
def test_the_next_up_finishes_with_nothing_doubled(
    stack_of: Callable[[Path, Cloud], AbstractContextManager[Stack]], steps: Sequence[int], tmp_path: Path
) -> None:
    """Killed again and again, each time somewhat later, until there is nothing left to make."""
    cloud = Cloud()
    with stack_of(tmp_path, cloud) as stack:
        for step in steps:
            killed_before(stack, step)
        succeeded(stack.up())
        assert {call.verb for call in cloud.calls} == {"create"}
        assert max(Counter(call.urn for call in cloud.calls).values()) == 1
        assert len(cloud.calls) == len(list(cloud)) >= max(steps)
        again = succeeded(stack.up())
        assert set(again.steps().values()) == {"same"}
        # What it was about to make stays noted until somebody says that it is not there, as docs/deployment.md tells.
        assert stack.exported()["pending_operations"]
        succeeded(stack.refresh("--clear-pending-creates"))
        assert not stack.exported().get("pending_operations")
