"""The engine tier: the Pulumi engine itself runs our programs, against stand-ins for AWS and Kubernetes."""

import atexit
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from pulumi_llm.base import web_client
from pulumi_llm_local.engine import command
from pulumi_llm_local.engine.cloud import STAGES, Cloud
from pulumi_llm_local.engine.kubernetes_api import KubernetesApi
from pulumi_llm_local.engine.stack import Done, Stack
from support.programs import PAGE, ROOT

# What a program sees: the bundle for the machine at hand, which needs no Python 3.13, and a page, which needs no Node.js. It
# keeps its bytecode, for it is started some three hundred times.
ENVIRONMENT = {
    "PULUMI_LLM_BUNDLE": "host",
    web_client.FOLDER_VARIABLE: str(PAGE),
    "PULUMI_ERROR_OUTPUT_STRING": "true",
    "OWNER": "",
    "PYTHONDONTWRITEBYTECODE": "",
}

# Any resource, by its type and its inputs as the engine gets them, without an SDK that could help.
RAW_PROGRAM = """\
import pulumi

config = pulumi.Config()
for name, resource in config.require_object("resources").items():
    given = resource["inputs"]
    options = pulumi.ResourceOptions(**resource.get("options", {}))
    pulumi.CustomResource(resource["type"], name, given, options)
"""


@pytest.fixture(scope="session", autouse=True)
def pulumi_cli() -> Path:
    """The CLI, built where there is none: the first test waits for it."""
    try:
        return command.find()
    except command.EngineMissing as missing:
        pytest.skip(str(missing))


class CheckedStack(Stack):
    """A stack whose account is looked at after each `up`: stages serve what is configured, and there is what the state has."""

    base: Mapping[str, Any] = {}
    """Settings that every configuration has unless it gives others."""

    def configure(self, overrides: Mapping[str, Any]) -> None:
        super().configure({**self.base, **overrides})

    def up(self, *arguments: str) -> Done:
        done = super().up(*arguments)
        if done.returncode == 0:
            for stage in [each for kind in STAGES for each in self.cloud.of_type(kind)]:
                assert self.cloud.served(stage) == self.cloud.configured(stage), f"{stage.id} serves what was configured before"
            assert urns(self.cloud) == sorted(self.urns())
        return done

    def urns(self) -> list[str]:
        """The resources of the state that a provider has made."""
        (state,) = self.folder.glob(f"state/.pulumi/stacks/*/{self.name}.json")
        resources = json.loads(state.read_text())["checkpoint"]["latest"].get("resources", [])
        return [each["urn"] for each in resources if each["custom"] and not each["type"].startswith("pulumi:")]


@contextmanager
def our_stack(folder: Path, name: str, cloud: Cloud | None = None, *, checkpoints: bool = False) -> Iterator[CheckedStack]:
    """The repository's own program, with a stack's settings.

    `checkpoints` are what an engine that is killed leaves; they take five sixths of an `up`'s CPU.
    """
    with CheckedStack(folder, ROOT, name, cloud or Cloud(), environment=ENVIRONMENT, checkpoints=checkpoints) as stack:
        begin(stack, folder)
        yield stack


@contextmanager
def program(
    folder: Path,
    source: str,
    cloud: Cloud | None = None,
    *,
    cluster: KubernetesApi | None = None,
    checkpoints: bool = False,
    **config: Any,
) -> Iterator[CheckedStack]:
    """A program of a test's own. Without a `cloud`, in a Region whose log role for API Gateway a person has set.

    `cluster` takes its objects of Kubernetes; `checkpoints` are those of `our_stack`.
    """
    project = folder / "program"
    project.mkdir(parents=True, exist_ok=True)
    (project / "Pulumi.yaml").write_text("name: program\nruntime: python\n")
    settings = {"aws:region": "us-east-1", **{f"program:{key}": value for key, value in config.items()}}
    (project / "Pulumi.test.yaml").write_text(yaml.safe_dump({"config": settings}))
    (project / "__main__.py").write_text(source)
    cloud = cloud or Cloud(api_gateway_log_role=True)
    own = folder / "stack"
    with CheckedStack(own, project, "test", cloud, environment=ENVIRONMENT, cluster=cluster, checkpoints=checkpoints) as stack:
        begin(stack, folder / "stack")
        yield stack


_begun: dict[str, Path] = {}


def begin(stack: Stack, folder: Path) -> None:
    """Make the stack. `pulumi stack init` takes half a second: later ones of the name begin with a copy of the first."""
    if stack.name in _begun:
        shutil.copytree(_begun[stack.name], folder, dirs_exist_ok=True)
        return
    stack.operation("preview")
    kept = _begun[stack.name] = Path(tempfile.mkdtemp(prefix="pulumi-llm-tests-"))
    atexit.register(shutil.rmtree, kept, ignore_errors=True)
    shutil.copytree(folder / "state", kept / "state")
    (kept / "project").mkdir()
    shutil.copy(folder / "project" / f"Pulumi.{stack.name}.yaml", kept / "project")


def succeeded(done: Done) -> Done:
    assert done.returncode == 0, done.output
    return done


def names(done: Done, *operations: str) -> set[str]:
    """The logical names of the resources with which one of these was done; providers and the stack are left out."""
    return {
        urn.split("::", maxsplit=3)[3]
        for urn, operation in done.steps().items()
        if operation in operations and "::pulumi:" not in urn
    }


def urns(cloud: Cloud) -> list[str]:
    return sorted(existing.urn for existing in cloud)
