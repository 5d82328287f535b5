"""Pulumi programs run in this process, without an engine: what they registered, to be asserted."""

import asyncio
import contextvars
import json
import os
import runpy
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import pulumi
import yaml
from pulumi.runtime import rpc, settings
from pulumi.runtime.stack import run_in_stack

import pulumi_llm
from pulumi_llm.base import web_client
from pulumi_llm_local.aws_types.draft import Place
from pulumi_llm_local.aws_types.values import SECRET, SIGNATURE, revealed
from pulumi_llm_local.program import recorder
from pulumi_llm_local.program.given import Given
from pulumi_llm_local.program.recorder import Recorded, Recorder

ROOT = Path(__file__).resolve().parents[2]
REGION = "us-east-1"
# A page in the place of the built web client, so that the tests need no Node.js and the names of its files stay.
PAGE = ROOT / "tests" / "support" / "page"
# Two models that are called in two ways, directly and through an inference profile.
MODELS = [{"name": "fast", "model": "gpt-oss-20b"}, {"name": "good", "model": "claude-haiku-5-5"}]


@dataclass
class Invoked:
    """A call of a provider's function."""

    token: str
    provider: str


class Recording(Recorder):
    """A recorder that remembers the calls of functions too, and is asked by logical name."""

    def __init__(self, place: Place, given: Given) -> None:
        super().__init__(place, given)
        self.invoked: list[Invoked] = []

    def Invoke(self, request: Any) -> Any:
        self.invoked.append(Invoked(request.tok, request.provider))
        return super().Invoke(request)

    def named(self, name: str) -> Recorded:
        """The one resource of that logical name."""
        found = [resource for resource in self.of_type() if resource.name == name]
        assert len(found) == 1, f"{len(found)} resources are named {name}"
        return found[0]

    def inputs(self, name: str) -> dict[str, Any]:
        """What the one resource of that logical name was given, secrets revealed."""
        return revealed(self.named(name).inputs)

    def names(self) -> list[str]:
        return sorted(resource.name for resource in self.of_type())

    def custom(self) -> list[Recorded]:
        return [resource for resource in self.of_type() if resource.custom]

    def ancestors(self, resource: Recorded) -> Iterator[Recorded]:
        while resource.parent in self.recorded:
            resource = self.recorded[resource.parent]
            yield resource

    def same(self) -> dict[str, Any]:
        """The whole program in a form to compare: every resource's type, name, inputs and options."""
        return {
            resource.urn: (resource.inputs, resource.dependencies, resource.protect, resource.provider)
            for resource in self.of_type()
        }


def run(
    program: Callable[[], object],
    *,
    project: str = "pulumi-llm",
    stack: str = "test",
    config: Mapping[str, str] | None = None,
    preview: bool = False,
) -> Recording:
    """Run `program` and give what it registered. Raises what it raises.

    Pulumi keeps its settings, configuration and root resource in context variables, so that each program gets a context, a
    thread and an event loop of its own, and leaves nothing behind.
    """
    config = {"aws:region": REGION} if config is None else config

    def evaluate() -> Recording:
        # These two are made once, at Pulumi's import: the context is a new one, so they are missing from it.
        settings.SETTINGS.outputs = set()
        settings.SETTINGS.lock = threading.Lock()
        with mock.patch.object(recorder, "Recorder", Recording):
            place = Place(region=config.get("aws:region", REGION))
            recording = recorder.start(place, project, stack, config, preview=preview)
        assert isinstance(recording, Recording)

        def main() -> None:
            program()

        asyncio.run(run_in_stack(main))
        return recording

    results: list[Recording] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            results.append(contextvars.Context().run(evaluate))
        except BaseException as error:  # it is raised again below, in the test's own thread
            errors.append(error)

    thread = threading.Thread(target=work, name="pulumi program")
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def run_project(directory: Path, stack: str, overrides: Mapping[str, Any] | None = None) -> Recording:
    """Run a project's `__main__.py` with the configuration of one of its stacks. `overrides` are whole keys of it."""
    project = yaml.safe_load((directory / "Pulumi.yaml").read_text())["name"]
    values: dict[str, Any] = yaml.safe_load((directory / f"Pulumi.{stack}.yaml").read_text())["config"]
    with mock.patch.dict(os.environ, {web_client.FOLDER_VARIABLE: str(PAGE)}):
        return run(
            lambda: runpy.run_path(str(directory / "__main__.py"), run_name="__main__"),
            project=project,
            stack=stack,
            config=engine_config({**values, **(overrides or {})}),
        )


def engine_config(values: Mapping[str, Any]) -> dict[str, str]:
    """A configuration as the engine hands it to a program: every value a text, objects as JSON."""
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in values.items()}


def chat(name: str = "chat", opts: pulumi.ResourceOptions | None = None, **args: Any) -> pulumi_llm.ServerlessBedrockApi:
    """A chat API of `MODELS`, or of what else is given."""
    return pulumi_llm.ServerlessBedrockApi(name, {"models": MODELS, **args}, opts)  # type: ignore[typeddict-item]


def run_chat(preview: bool = False, **args: Any) -> Recording:
    """A program of one chat API."""
    return run(lambda: chat(**args), preview=preview)


def is_secret(value: Any) -> bool:
    """Whether a recorded value travels as a secret."""
    return isinstance(value, Mapping) and value.get(SIGNATURE) == SECRET


def holds_unknown(value: Any) -> bool:
    """Whether a recorded value is unknown, or holds one that is."""
    if isinstance(value, Mapping):
        return any(map(holds_unknown, value.values()))
    if isinstance(value, list | tuple):
        return any(map(holds_unknown, value))
    return isinstance(value, pulumi.output.Unknown) or (isinstance(value, str) and rpc.UNKNOWN in value)
