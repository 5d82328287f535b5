"""Four function processes at once on one budget, one of which is killed in the middle.

Four stand for ten: processes share the table alone, which is one process.
"""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from llm_gateway.aws import dynamodb as dynamodb_module
from llm_gateway.aws.dynamodb import DynamoDB
from llm_gateway.call import ModelCall
from llm_gateway.errors import GatewayError
from llm_gateway.events import Delta, Done, Event, Usage
from llm_gateway.gateway import Gateway
from llm_gateway.http.client import HttpClient
from llm_gateway.identity.caller import Caller
from llm_gateway.limits import CallerLimits, Limit, Limits
from llm_gateway.pipeline import answer
from llm_gateway.request import Sampling
from llm_gateway.router import Router
from llm_gateway.routes import Routes
from llm_gateway.stages.ledger import Ledger
from support.ledger_table import counters_of
from support.scripted_provider import alias, said
from support.websocket_api import LEDGER, aws

pytestmark = pytest.mark.timeout(240)

PROCESSES, CALLS, FIT = 4, 30, 40
# A request of one token, and an answer of up to 9; the answers have 3 + 2.
RESERVED, USED = 10, 5
NOON, LIFE = 1_800_000_000.0, 300
CALLER = Caller("acme", "ci")
LIMITS = CallerLimits(others=Limits((Limit("tokens", "day", FIT * RESERVED),), CALLS * PROCESSES))


class Waiting:
    """A provider whose answers end when they may."""

    def __init__(self) -> None:
        self.may_end = asyncio.Event()

    async def answer(self, call: ModelCall) -> AsyncGenerator[list[Event], None]:
        yield [Delta("a")]
        await self.may_end.wait()
        yield [Usage(3, 2), Done("end_turn")]


async def function(url: str) -> None:
    """Make calls at once, print how many run when each is decided, and end them when a line comes in."""
    dynamodb_module._ATTEMPT_SECONDS = dynamodb_module._CALL_SECONDS = 60.0  # as in conftest.py
    provider, left, running = Waiting(), CALLS, 0
    decided = asyncio.Event()
    async with HttpClient() as http:
        table = DynamoDB(aws(http, AWS_ENDPOINT_URL_DYNAMODB=url))
        ledger = Ledger(table, LEDGER, LIMITS, _fail, clock=lambda: NOON)
        gateway = Gateway(Routes((alias("a"),)), Router({"p": provider}), ledger=ledger)

        async def call() -> None:
            nonlocal left, running
            request, deadline = said(sampling=Sampling(max_tokens=9)), asyncio.get_running_loop().time() + LIFE
            batches = answer(gateway, request, CALLER, "r", deadline)
            try:
                await anext(batches)
                running += 1
            except GatewayError as error:
                if error.code != "quota_exceeded":
                    os._exit(1)  # its end is seen at once
            left -= 1
            if not left:
                decided.set()
            async for _ in batches:
                pass

        calls = [asyncio.create_task(call()) for _ in range(CALLS)]
        await decided.wait()
        sys.stdout.write(f"running {running}\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.readline)
        provider.may_end.set()
        await asyncio.gather(*calls)
        sys.stdout.write("ended\n")
        sys.stdout.flush()


def _fail(text: str) -> None:
    raise AssertionError(text)


def _line(process: "subprocess.Popen[str]", start: str) -> str:
    """Return the next line that begins so; the others are telemetry."""
    assert process.stdout is not None
    line = next((line for line in process.stdout if line.startswith(start)), "")
    assert line, "the process has ended"
    return line


async def test_one_budget_of_several_processes_one_of_which_is_killed(dynamodb: DynamoDB, dynamodb_url: str) -> None:
    processes = [_process(dynamodb_url) for _ in range(PROCESSES)]
    try:
        running = [int((await asyncio.to_thread(_line, process, "running")).split()[1]) for process in processes]
        assert sum(running) == FIT
        # The one with most calls dies; the others answer theirs.
        killed = running.index(max(running))
        processes[killed].kill()
        for place, process in enumerate(processes):
            if place != killed:
                assert process.stdin is not None
                process.stdin.write("end\n")
                process.stdin.flush()
                await asyncio.to_thread(_line, process, "ended")
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    item = await Ledger(dynamodb, LEDGER, LIMITS, _fail).item('["caller","acme","ci"]')
    lost = running[killed]
    # Its reservations stay charged: its calls may have been billed. Its places are taken until its functions must be over.
    assert counters_of(item)["2027-01-15 tokens"] == (FIT - lost) * USED + lost * RESERVED
    assert counters_of(item)["2027-01-15 requests"] == FIT and len(item["in_flight"]["SS"]) == lost
    outcomes = [await _one_more(dynamodb, lost, NOON + seconds) for seconds in (0, LIFE + 50, LIFE + 70)]
    assert outcomes == ["quota_exceeded", "quota_exceeded", "passed"]


def _process(url: str) -> "subprocess.Popen[str]":
    tests = str(Path(__file__).parents[3])
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([tests, *filter(None, [os.environ.get("PYTHONPATH")])])}
    return subprocess.Popen(
        [sys.executable, __file__, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environ
    )


async def _one_more(dynamodb: DynamoDB, places: int, now: float) -> str:
    ledger = Ledger(dynamodb, LEDGER, CallerLimits(others=Limits((), places)), _fail, clock=lambda: now)
    provider: Any = Waiting()
    provider.may_end.set()
    gateway = Gateway(Routes((alias("a"),)), Router({"p": provider}), ledger=ledger)
    try:
        async for _ in answer(gateway, said(), CALLER, "r", asyncio.get_running_loop().time() + LIFE):
            pass
    except GatewayError as error:
        return error.code
    return "passed"


if __name__ == "__main__":
    asyncio.run(function(sys.argv[1]))
