"""The engine at work: one stack of a project, its state in a folder, against a stand-in account."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import grpc
import yaml
from pulumi.runtime.proto import language_pb2_grpc, provider_pb2_grpc

from pulumi_llm_local.aws_types.sdk import PACKAGES
from pulumi_llm_local.engine import command
from pulumi_llm_local.engine.cloud import Cloud
from pulumi_llm_local.engine.kubernetes_api import KubernetesApi
from pulumi_llm_local.engine.language import LanguageHost
from pulumi_llm_local.engine.provider import Provider
from pulumi_llm_local.program.given import Given
from pulumi_llm_local.program.graph import configuration

# It encrypts the secrets of a state that nobody else sees.
_PASSPHRASE = "stand-ins"
_MESSAGE_BYTES = 400 * 1024 * 1024


@dataclass(frozen=True)
class Done:
    """What a command of the CLI gave. `events` are the engine's own, as its event log has them."""

    returncode: int
    output: str
    events: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    def steps(self) -> dict[str, str]:
        """What was to be done with each resource, by its URN; of a replacement, `replace`."""
        found: dict[str, str] = {}
        for event in self.events:
            if pre := event.get("resourcePreEvent"):
                step = pre["metadata"]
                if found.get(step["urn"]) != "replace":
                    found[step["urn"]] = "replace" if "replace" in step["op"] else step["op"]
        return found


class Stack:
    """A stack of the project in `directory`, whose program is run by this Python with `environment`.

    A context: its stand-ins answer until it is left. `folder` keeps state and logs, so that a later one goes on from them.
    Without `checkpoints` the state is saved at the end only: with hundreds of resources, five times as fast.
    `language_hosts` are Pulumi's language hosts by their file names; one of them runs the program instead of this Python.
    `given` is what the program reads from elsewhere. `cluster` takes the objects of Kubernetes, whatever the program says.
    """

    def __init__(
        self,
        folder: Path,
        directory: Path,
        stack: str,
        cloud: Cloud,
        *,
        environment: Mapping[str, str] | None = None,
        checkpoints: bool = True,
        language_hosts: Mapping[str, Path] | None = None,
        given: Given | None = None,
        cluster: KubernetesApi | None = None,
    ) -> None:
        given = given or Given()
        self.name = stack
        self.cloud = cloud
        self._pulumi = command.find()
        self.folder = folder.resolve()
        self._directory = directory.resolve()
        self._environment = {**os.environ, **(environment or {})}
        self._checkpoints = checkpoints
        self._language_hosts = language_hosts or {}
        self._overrides: dict[str, Any] = {}
        self._servers = {name: _server() for name in ("language", *PACKAGES)}
        host = LanguageHost(self._directory, self._environment, given.outputs)
        language_pb2_grpc.add_LanguageRuntimeServicer_to_server(host, self._servers["language"])
        for package in PACKAGES:
            provider_pb2_grpc.add_ResourceProviderServicer_to_server(
                Provider(package, cloud, self._environment, given.answers, cluster), self._servers[package]
            )
        self._ports = {name: server.add_insecure_port("127.0.0.1:0") for name, server in self._servers.items()}

    def __enter__(self) -> Self:
        for folder in ("state", "home", "project", "bin"):
            (self.folder / folder).mkdir(parents=True, exist_ok=True)
        # Where the CLI would keep an encrypted log of each command, which takes a third of its CPU. It goes on without one.
        (self.folder / "home" / "logs").touch()
        # The part of Pulumi's language host for Python that starts a policy pack.
        analyzer = self.folder / "bin" / "pulumi-analyzer-policy-python"
        analyzer.write_text(f'#!/bin/sh\nexec "{sys.executable}" -u -m pulumi.policy "$1" "$2"\n')
        analyzer.chmod(0o755)
        for name, host in self._language_hosts.items():
            (self.folder / "bin" / name).symlink_to(host)
        for server in self._servers.values():
            server.start()
        return self

    def __exit__(self, *_: object) -> None:
        for stopped in [server.stop(None) for server in self._servers.values()]:
            stopped.wait()

    def configure(self, overrides: Mapping[str, Any]) -> None:
        """Settings that win over the stack's file: a path of keys ("api.throttle.rate_limit") and a value."""
        self._overrides = dict(overrides)

    def preview(self, *arguments: str) -> Done:
        return self._operate("preview", *arguments)

    def up(self, *arguments: str) -> Done:
        return self._operate("up", "--yes", "--skip-preview", *arguments)

    def refresh(self, *arguments: str) -> Done:
        return self._operate("refresh", "--yes", "--skip-preview", *arguments)

    def destroy(self, *arguments: str) -> Done:
        """With its preview, for what is protected is refused there, before anything is deleted."""
        return self._operate("destroy", "--yes", *arguments)

    def run(self, *arguments: str) -> Done:
        """Any command of the CLI, its output in one text."""
        process = self.start(*arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        output, _ = process.communicate()
        return Done(process.returncode, output)

    def start(self, *arguments: str, **streams: Any) -> "subprocess.Popen[str]":
        """Any command of the CLI, in a process group of its own."""
        project = self._written()
        stack = [] if arguments[:2] == ("policy", "analyze") else ["--stack", self.name]  # that judges a file
        return subprocess.Popen(
            [str(self._pulumi), *arguments, *stack, "--cwd", str(project)],
            env=self.cli_environment(),
            text=True,
            stdin=subprocess.DEVNULL,
            process_group=0,
            **streams,
        )

    def operation(self, verb: str, *arguments: str) -> list[str]:
        """The arguments of a command that runs the program; the stack is made where it is not there yet."""
        if not any(self.folder.glob(f"state/.pulumi/stacks/*/{self.name}.json")):
            made = self.run("stack", "init")
            if made.returncode != 0:
                raise RuntimeError(f"the stack {self.name} cannot be made:\n{made.output}")
        client = [] if self._language_hosts else [f"--client=127.0.0.1:{self._ports['language']}"]
        return [verb, *client, *arguments]

    def exported(self) -> dict[str, Any]:
        """The stack's deployment, its secrets encrypted."""
        done = self.run("stack", "export")
        if done.returncode != 0:
            raise RuntimeError(done.output)
        return json.loads(done.output)["deployment"]

    def _operate(self, verb: str, *arguments: str) -> Done:
        log = self.folder / "events.json"
        log.unlink(missing_ok=True)
        done = self.run(*self.operation(verb, *arguments), "--non-interactive", "--color=never", f"--event-log={log}")
        events = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
        return Done(done.returncode, done.output, events)

    def _written(self) -> Path:
        """The project as the CLI gets it: the user's own files, but a stack file of our making, for the CLI writes to it."""
        project = self.folder / "project"
        for path in self._directory.iterdir():
            link = project / path.name
            if not (path.name.startswith("Pulumi.") and path.name != "Pulumi.yaml") and not link.exists():
                link.symlink_to(path)
        _, config = configuration(self._directory, self.name, self._overrides)
        file = project / f"Pulumi.{self.name}.yaml"
        before: dict[str, Any] = yaml.safe_load(file.read_text()) if file.exists() else {}
        # An object stays one, for its secrets are decrypted as parts of it.
        objects = {key: json.loads(value) if value.startswith(("{", "[")) else value for key, value in config.items()}
        file.write_text(yaml.safe_dump({**before, "config": objects}))
        return project

    def cli_environment(self) -> dict[str, str]:
        given = self._environment.items()
        own = {key: value for key, value in given if not key.startswith("PULUMI_") or key.startswith("PULUMI_LLM_")}
        at_the_end = {} if self._checkpoints else {"PULUMI_EXPERIMENTAL": "true", "PULUMI_SKIP_CHECKPOINTS": "true"}
        return own | {
            **at_the_end,
            "PATH": os.pathsep.join([str(self.folder / "bin"), str(self._pulumi.parent), own.get("PATH", "")]),
            "PULUMI_HOME": str(self.folder / "home"),
            "PULUMI_BACKEND_URL": (self.folder / "state").as_uri(),
            "PULUMI_CONFIG_PASSPHRASE": _PASSPHRASE,
            "PULUMI_DEBUG_PROVIDERS": ",".join(f"{package}:{self._ports[package]}" for package in PACKAGES),
            "PULUMI_DEBUG_COMMANDS": "true",  # the event log is among these
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            "PULUMI_SKIP_UPDATE_CHECK": "1",
        }


def _server() -> grpc.Server:
    options = [("grpc.max_receive_message_length", _MESSAGE_BYTES), ("grpc.max_send_message_length", _MESSAGE_BYTES)]
    return grpc.server(ThreadPoolExecutor(max_workers=32), options=options)
