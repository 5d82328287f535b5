"""A stack run on this machine by the command itself, as a user would start it."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

ROOT = Path(__file__).parents[3]
COMMAND = [str(Path(sys.executable).with_name("pulumi-llm"))]
START_SECONDS = 240


@dataclass
class LocalStack:
    """A running stack: its outputs, and what it said on standard error before it was ready."""

    process: subprocess.Popen[str]
    outputs: dict[str, Any]

    @property
    def url(self) -> str:
        return self.outputs["api_gateway_url"]

    @property
    def key(self) -> str:
        return self.outputs["api_key_value"]

    def post(self, path: str, body: Any, **headers: str) -> httpx.Response:
        given = {"x-api-key": self.key, **{name.replace("_", "-"): value for name, value in headers.items()}}
        return httpx.post(self.url + path, json=body, headers=given, timeout=60)


@contextlib.contextmanager
def local_stack(*arguments: str, directory: Path = ROOT, json_output: bool = True) -> Iterator[LocalStack]:
    """Start a stack on a free port, and stop it as Ctrl-C does."""
    command = [*COMMAND, "local", "--port", "0", *(["--json"] if json_output else ["--no-browser"]), *arguments]
    process = subprocess.Popen(
        command, cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | {"COLUMNS": "500"}
    )
    try:
        assert process.stdout is not None
        assert process.stderr is not None
        line = process.stdout.readline()
        if not line:
            raise AssertionError(f"the stack did not start: {process.stderr.read()}")
        yield LocalStack(process, json.loads(line) if json_output else {})
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.communicate(timeout=120)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise


def failed_start(*arguments: str, directory: Path = ROOT) -> tuple[int, str]:
    """The exit code and the standard error of a start that must fail."""
    done = subprocess.run(
        [*COMMAND, "local", "--port", "0", "--json", *arguments],
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
        check=False,
    )
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr


def events(lines: Sequence[str]) -> list[tuple[int, str, dict[str, Any]]]:
    """The Server-Sent Events of /chat/stream: id, type and data of each."""
    found: list[tuple[int, str, dict[str, Any]]] = []
    for frame in "\n".join(lines).split("\n\n"):
        fields = dict(line.split(": ", 1) for line in frame.splitlines() if ": " in line and not line.startswith(":"))
        if "event" in fields:
            found.append((int(fields["id"]), fields["event"], json.loads(fields["data"])))
    return found


@pytest.fixture(scope="session")
def dev() -> Iterator[LocalStack]:
    """The dev stack, answering at once."""
    unthrottled = ("--config", 'api.throttle={"rate_limit": 1000, "burst_limit": 1000}')
    with local_stack("--model-delay", "0", *unthrottled) as stack:
        yield stack


def descendants(pid: int) -> list[int]:
    """The processes below one."""
    table = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    children: dict[int, list[int]] = {}
    for line in table.splitlines():
        child, parent = map(int, line.split())
        children.setdefault(parent, []).append(child)
    found, queue = [], [pid]
    while queue:
        for child in children.get(queue.pop(), []):
            found.append(child)
            queue.append(child)
    return found


def command_line(pid: int) -> str:
    """What a process runs; empty where it has ended."""
    return subprocess.run(["ps", "-ww", "-o", "args=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
