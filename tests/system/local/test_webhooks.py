"""Notifications over the whole local run: from the change of a job by a rule, a queue and a function to its receiver."""

import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from support.programs import ROOT
from system.local.conftest import LocalStack
from system.local.test_jobs import SHORT, burst, stack_with_jobs

pytestmark = pytest.mark.timeout(600)

SECRET = "arn:aws:secretsmanager:us-east-1:123456789012:secret:shop-webhook-AbCdEf"
EVERY = ["job.accepted", "job.started", "job.succeeded", "job.failed", "job.cancelled"]
WEBHOOK = {"url": "https://shop.example.com/hooks", "secret_arn": SECRET}
NOTIFICATIONS: dict[str, Any] = {
    "all": {"events": EVERY, "webhook": WEBHOOK},
    "ended": {"webhook": WEBHOOK},
    "others": {"tenants": ["nobody"], "webhook": WEBHOOK},
}


def received(stack: LocalStack, count: int) -> list[dict[str, Any]]:
    """What the receivers have had, once it is so many messages."""
    log, ends = Path(stack.outputs["logs"]) / "webhooks.log", time.monotonic() + 120
    while True:
        lines = log.read_text().splitlines() if log.exists() else []
        if len(lines) >= count:
            return [json.loads(line[line.index("{") :]) for line in lines]
        assert time.monotonic() < ends, f"{len(lines)} of {count}: {lines}"
        time.sleep(0.1)


def test_receivers_are_told_of_jobs_and_can_verify_it() -> None:
    with stack_with_jobs("--model-delay", "0", **{"async_inference.notifications": NOTIFICATIONS}) as stack:
        jobs = burst(stack, [SHORT] * 3)
        assert [each["status"] for each in jobs] == ["succeeded"] * 3
        had = received(stack, 3 * 3 + 3)
    assert [each for each in had if not each["verified"]] == []
    told = Counter((each["webhook"], each["message"]["type"]) for each in had)
    assert told == {
        ("all", "job.accepted"): 3,
        ("all", "job.started"): 3,
        ("all", "job.succeeded"): 3,
        ("ended", "job.succeeded"): 3,
    }
    assert {each["message"]["data"]["job"] for each in had} == {each["id"] for each in jobs}
    assert len({(each["webhook"], each["id"]) for each in had}) == len(had)
    for each in had:
        message = each["message"]
        schema = json.loads((ROOT / f"docs/events/{message['type']}.json").read_text())["properties"]["detail"]
        jsonschema_rs.Draft4Validator(schema).validate(message["data"])
