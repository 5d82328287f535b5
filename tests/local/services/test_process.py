"""Processes that end with the local run, whenever it ends."""

import asyncio
import gc
import os
import sys
import time
from pathlib import Path

from pulumi_llm_local.services.process import spawn, start_server, stop_process

# A server that never listens, and one that is not ended politely. Each says first that it runs.
SILENT = "import pathlib, sys, time; pathlib.Path(sys.argv[1]).write_text(str(__import__('os').getpid())); time.sleep(600)"
DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + SILENT


async def started(script: str, directory: Path) -> asyncio.subprocess.Process:
    command = [sys.executable, "-c", script, str(directory / "pid")]
    return await spawn(sys.executable, command, os.environ, directory / "log", directory)


async def pid_in(directory: Path) -> int:
    """The process that runs the script, once it does."""
    file = directory / "pid"
    async with asyncio.timeout(60):
        while not (file.exists() and file.read_text()):  # noqa: ASYNC110  # another process writes it
            await asyncio.sleep(0.01)
    return int(file.read_text())


def has_ended(pid: int) -> bool:
    """Wait until a process is gone, a zombie included."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except OSError:
            return True
        time.sleep(0.01)
    return False


async def test_a_start_that_is_given_up_leaves_no_process(tmp_path: Path) -> None:
    starting = asyncio.ensure_future(start_server(lambda _: started(SILENT, tmp_path), 60))
    pid = await pid_in(tmp_path)
    starting.cancel()
    await asyncio.gather(starting, return_exceptions=True)
    del starting
    gc.collect()  # asyncio kills the process that it started, and not those which that one started
    assert has_ended(pid)


async def test_the_group_ends_though_one_of_it_does_not_listen(tmp_path: Path) -> None:
    process = await started(DEAF, tmp_path)
    pid = await pid_in(tmp_path)
    await stop_process(process)
    assert has_ended(pid)
