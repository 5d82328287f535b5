"""Processes that end with this one."""

import asyncio
import contextlib
import os
import signal
import socket
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import BinaryIO

# Seconds between a polite end and the kill.
_STOP_SECONDS = 2.0


async def start_server(spawned: Callable[[int], Awaitable[asyncio.subprocess.Process]], seconds: float) -> int | None:
    """Start a server on a free port of 127.0.0.1 and wait until it takes connections.

    Args:
        spawned: Starts the server's process, given the port.
        seconds: How long it may take to listen.

    Returns:
        The port; None where the server ends or takes too long, three times.
    """
    for _ in range(3):  # another process may take the port between the choice and the start
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        process = await spawned(port)
        try:
            if await _listens(port, process, seconds):
                return port
        except BaseException:  # nobody waits for it any more
            _signal_group(process, signal.SIGKILL)
            raise
    return None


async def _listens(port: int, process: asyncio.subprocess.Process, seconds: float) -> bool:
    """Wait until `port` takes connections; False where the process ends or takes too long."""
    began = time.monotonic()
    while time.monotonic() - began < seconds and process.returncode is None:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.01)
            continue
        writer.close()
        return True
    await stop_process(process)
    return False


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
    log.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with private_file(log) as output:
        starting = asyncio.ensure_future(
            asyncio.create_subprocess_exec(
                *(python, "-S", "-P", str(Path(__file__).with_name("child.py")), *command),
                stdin=asyncio.subprocess.PIPE,
                stdout=output,
                stderr=output,
                env=dict(environment),
                cwd=directory,
                start_new_session=True,
            )
        )
        try:
            return await asyncio.shield(starting)
        except asyncio.CancelledError:
            # asyncio would kill the process that it started, and not those which that one starts.
            _signal_group(await starting, signal.SIGKILL)
            raise


def private_file(log: Path) -> BinaryIO:
    """Open a file at its end that nobody else may read, also one that is there: a log may hold what a program works with."""
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.fchmod(descriptor, 0o600)
    return os.fdopen(descriptor, "ab")


async def stop_process(process: asyncio.subprocess.Process | None) -> None:
    """End a process and its group: politely, then for good."""
    if process is None or process.returncode is not None:
        return
    for how in (signal.SIGTERM, signal.SIGKILL):
        _signal_group(process, how)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_STOP_SECONDS):
                await process.wait()
            return


def _signal_group(process: asyncio.subprocess.Process, how: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, how)
