"""A function's environments: as many as it has events at once, and not all of them started at once."""

import asyncio
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import aiohttp

from pulumi_llm_local.services.lambda_function import Function

HANDLER = """
import os, time
def handler(event, context):
    time.sleep(event["seconds"])
    return os.getpid()
"""


async def environments(tmp_path: Path, events: int, seconds: float) -> int:
    """How many environments serve so many events at once."""
    (tmp_path / "quick.py").write_text(HANDLER)
    state = {"name": "quick", "arn": "arn:aws:lambda:us-east-1:123456789012:function:quick", "handler": "quick.handler"}
    resource = SimpleNamespace(state=state | {"timeout": 60}, inputs={"code": {"path": str(tmp_path)}})
    function = Function(cast("Any", resource), dict(os.environ), tmp_path / "log", {})
    try:
        return len(set(await asyncio.gather(*(function.invoke({"seconds": seconds}) for _ in range(events)))))
    finally:
        await function.stop()


async def test_a_burst_of_quick_events_takes_environments_that_become_free(tmp_path: Path) -> None:
    assert await environments(tmp_path, 40, 0) < 30


async def test_slow_events_have_an_environment_each(tmp_path: Path) -> None:
    assert await environments(tmp_path, 12, 2) > 8


async def test_a_port_and_a_log_of_a_function_are_its_callers_alone(tmp_path: Path) -> None:
    """Other users of the machine reach the port, and could make up who calls."""
    (tmp_path / "quick.py").write_text(HANDLER)
    (tmp_path / "log").write_text("of a run before")
    state = {"name": "quick", "arn": "arn:aws:lambda:us-east-1:123456789012:function:quick", "handler": "quick.handler"}
    resource = SimpleNamespace(state=state | {"timeout": 60}, inputs={"code": {"path": str(tmp_path)}})
    function = Function(cast("Any", resource), dict(os.environ), tmp_path / "log", {})
    try:
        await function.invoke({"seconds": 0})
        (environment,) = function._environments
        async with aiohttp.ClientSession() as session:
            for headers in ({}, {"x-invoker-secret": "guessed"}):
                forged = {"x-request-id": "1", "x-deadline-ms": "1", **headers}
                url = f"http://127.0.0.1:{environment.port}/"
                async with session.post(url, json={"seconds": 0}, headers=forged) as answer:
                    assert answer.status == 403
        assert (tmp_path / "log").stat().st_mode & 0o777 == 0o600
    finally:
        await function.stop()
