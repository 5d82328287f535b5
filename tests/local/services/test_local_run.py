"""What the services of a local run share."""

import asyncio
import contextlib
import socket
from pathlib import Path

import pytest

from pulumi_llm_local.services.local_run import LocalError, LocalRun, Options, listen
from pulumi_llm_local.upstreams.stand_in_model import StandInModel


def free_ports() -> int:
    """The first of three ports that are free, one after the other."""
    for _ in range(100):
        with contextlib.ExitStack() as held, contextlib.suppress(LocalError):
            first = held.enter_context(listen(0)).getsockname()[1]
            for port in (first + 1, first + 2):
                held.enter_context(listen(port))
            return first
    raise AssertionError("there are none")


async def test_further_addresses_have_the_ports_that_follow() -> None:
    first = free_ports()
    async with contextlib.AsyncExitStack() as stop:
        for asked in (first, 0):
            options = Options(Path("/"), "dev", asked, StandInModel(first_delay=0, token_delay=0))
            listener = stop.enter_context(listen(asked))
            run = LocalRun(options, {}, Path("/"), listener, asyncio.Future(), stop)
            ports = [run.next_listener().getsockname()[1] for _ in range(2)]
            assert ports == [first + 1, first + 2] if asked else first not in ports
        taken = LocalRun(Options(Path("/"), "dev", first, options.model), {}, Path("/"), listener, asyncio.Future(), stop)
        with pytest.raises(LocalError, match=f"port {first + 1} on 127.0.0.1 cannot be used"):
            taken.next_listener()


def test_a_port_that_there_is_not() -> None:
    with pytest.raises(LocalError, match=r"port 65536 .*there is none"):
        listen(65_536)
    with socket.socket() as other, pytest.raises(LocalError, match="Address already in use"):
        other.bind(("127.0.0.1", 0))
        other.listen()
        listen(other.getsockname()[1])
