"""The feature flags of the worker, whose process was frozen since its last batch."""

import asyncio
import json
from typing import Any

import pytest

from llm_functions.job_runner import JobRunner
from llm_gateway.aws.appconfig import Received
from llm_gateway.feature_flags import FeatureFlags
from llm_gateway.gateway import Gateway
from llm_gateway.jobs.store import JobStore
from support.scripted_provider import Scripted, routing


class SlowFlags:
    """AppConfig, whose document comes after some seconds of the loop's time. `asked` counts the questions."""

    def __init__(self, document: Any, seconds: float) -> None:
        self._document, self._seconds, self.asked = json.dumps(document).encode(), seconds, 0

    async def latest(self) -> Received:
        self.asked += 1
        await asyncio.sleep(self._seconds)
        return Received(self._document, "", 60.0)


FORBIDDING = {"service": {"enabled": False}}
UNKEPT = {"rules": {"private": {"tenants": ["acme"], "retention": "none"}}}


# The document, the seconds until it comes -> the status of both jobs of a batch, and how often a model was asked.
@pytest.mark.parametrize(
    ("document", "seconds", "status", "asked"),
    [(FORBIDDING, 2.0, "queued", 0), (UNKEPT, 2.0, "failed", 0), (FORBIDDING, 1e6, "succeeded", 2)],
    ids=["switched off", "nothing is kept", "AppConfig does not answer"],
)
async def test_a_batch_begins_with_the_flags_of_now(
    worker: Any, document: Any, seconds: float, status: str, asked: int
) -> None:
    provider = Scripted()
    at = worker(provider)
    source = SlowFlags(document, seconds)
    flags = FeatureFlags(Gateway(at.routes, routing(provider)), source, print, clock=at.clock)
    at.runner = JobRunner(flags.deployed, JobStore(at.jobs, at.objects), at.queue, 3)
    jobs = [await at.submit(), await at.submit()]
    await at.work()
    assert [(await at.known(job)).status for job in jobs] == [status] * 2
    assert len(provider.calls) == asked and source.asked == 1
