"""Processes that end with this one."""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Mapping
from pathlib import Path

# Seconds between a polite end and the kill.
_STOP_SECONDS = 2.0


def free_port() -> int:
    """Choose a port of 127.0.0.1 that nobody listens on. Another process may take it before it is used."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


async def spawn(
    python: str, command: list[str], environment: Mapping[str, str], log: Path, directory: Path
) -> asyncio.subprocess.Process:
    """Start a command in a process group of its own. It ends with this process, however that ends.

    Args:
        python: The interpreter that runs `child.py`, which watches this process.
        command: The program and its arguments.
        environment: All environment variables of the command.
        log: The file to which its output is appended.
        directory: Its working directory.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        return await asyncio.create_subprocess_exec(
            *(python, "-S", "-P", str(Path(__file__).with_name("child.py")), *command),
            stdin=asyncio.subprocess.PIPE,
            stdout=output,
            stderr=output,
            env=dict(environment),
            cwd=directory,
            start_new_session=True,
        )


async def stop_process(process: asyncio.subprocess.Process | None) -> None:
    """End a process and its group: politely, then for good."""
    if process is None or process.returncode is not None:
        return
    for how in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, how)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), _STOP_SECONDS)
            return
