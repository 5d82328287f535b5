"""What tests of the core share: the log, a clock that leaps, and a gateway in front of failing providers."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest

from llm_gateway import demand, router, telemetry
from support.clock import Clock
from support.tls import Authority
from wire.harness import Harness


@pytest.fixture
def records(monkeypatch) -> list[dict[str, Any]]:
    """The lines that telemetry writes."""
    lines: list[dict[str, Any]] = []
    monkeypatch.setattr(telemetry, "write_log", lambda fields: lines.append(dict(fields)))
    return lines


@pytest.fixture
async def clock(monkeypatch) -> AsyncIterator[Clock]:
    """The time of the loop, of the router and of the demand, which leaps."""
    loop = asyncio.get_running_loop()
    with Clock(loop).installed() as clock:
        for module in (router, demand):
            monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=loop.time))
        yield clock


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def harness(clock: Clock, opened: contextlib.AsyncExitStack, authority: Authority) -> Harness:
    return Harness(opened, authority.server, ssl.create_default_context())
