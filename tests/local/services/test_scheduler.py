"""EventBridge Scheduler: when a schedule is due, and what it calls."""

import json
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from pulumi_llm_local.program.graph import Graph, Resource
from pulumi_llm_local.services import scheduler
from pulumi_llm_local.services.scheduler import Schedule, Scheduler, read_expression
from pulumi_llm_local.upstreams.bedrock.knowledge_bases import DataSource, LocalKnowledgeBase, create_app
from support.local_bedrock import KEYS, REGION
from support.web_app import listening
from wire.knowledge_bases import BUCKET, ID, SOURCE, objects


def minute(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() // 60)


BEGAN = minute("2026-11-30T19:07")  # a Monday
# An expression, a minute, and whether it is due.
MINUTES = [
    ("rate(1 minute)", "2026-11-30T19:08", True),
    ("rate(5 minutes)", "2026-11-30T19:07", True),
    ("rate(5 minutes)", "2026-11-30T19:11", False),
    ("rate(5 minutes)", "2026-11-30T19:12", True),
    ("rate(2 hours)", "2026-11-30T20:07", False),
    ("rate(2 hours)", "2026-11-30T21:07", True),
    ("rate(1 day)", "2026-12-01T19:07", True),
    ("rate(1 day)", "2026-12-01T07:07", False),
    ("cron(0 3 * * ? *)", "2026-12-01T03:00", True),
    ("cron(0 3 * * ? *)", "2026-12-01T03:01", False),
    ("cron(0 3 * * ? *)", "2026-12-01T15:00", False),
    ("cron(*/15 8-17 ? * MON-FRI *)", "2026-11-30T17:45", True),
    ("cron(*/15 8-17 ? * MON-FRI *)", "2026-11-30T18:00", False),
    ("cron(*/15 8-17 ? * MON-FRI *)", "2026-11-29T08:15", False),
    ("cron(0 0 ? * 1,7 *)", "2026-11-29T00:00", True),
    ("cron(0 0 ? * 1,7 *)", "2026-11-30T00:00", False),
    ("cron(5/20 0 1 jan,JUL ? 2027)", "2027-07-01T00:45", True),
    ("cron(5/20 0 1 jan,JUL ? 2027)", "2028-07-01T00:45", False),
]


@pytest.mark.parametrize(("expression", "at", "due"), MINUTES)
def test_when_a_schedule_is_due(expression: str, at: str, due: bool) -> None:
    is_due = read_expression(expression)
    assert is_due is not None
    assert is_due(BEGAN, minute(at)) is due


UNREAD = [
    "at(2026-12-01T00:00:00)",
    "cron(0 3 L * ? *)",
    "cron(0 3 ? * 6#3 *)",
    "cron(0 3 15W * ? *)",
    "cron(60 3 * * ? *)",
    "cron(0 3 * * ?)",
]


@pytest.mark.parametrize("expression", UNREAD)
def test_what_is_not_read(expression: str) -> None:
    assert read_expression(expression) is None


def resource(expression: str, target: str, state: str = "ENABLED") -> Resource:
    values: dict[str, Any] = {
        "state": state,
        "scheduleExpression": expression,
        "target": {"arn": target, "input": json.dumps({"KnowledgeBaseId": ID, "DataSourceId": SOURCE})},
    }
    return Resource("urn", scheduler.SCHEDULE, "name", "id", values, values)


START_JOB = "arn:aws:scheduler:::aws-sdk:bedrockagent:startIngestionJob"
OTHER = "arn:aws:scheduler:::aws-sdk:sqs:sendMessage"


@pytest.mark.parametrize(
    ("schedule", "told"),
    [
        (resource("rate(1 day)", START_JOB), set()),
        (resource("rate(1 day)", OTHER, state="DISABLED"), set()),
        (resource("rate(1 day)", OTHER), {f"{scheduler.SCHEDULE} (rate(1 day) of {OTHER})"}),
        (resource("cron(0 3 L * ? *)", START_JOB), {f"{scheduler.SCHEDULE} (cron(0 3 L * ? *) of {START_JOB})"}),
    ],
    ids=["a job", "disabled", "another target", "an expression"],
)
def test_what_is_not_played_is_told(schedule: Resource, told: set[str]) -> None:
    assert scheduler.not_played(Graph(REGION, (schedule,), {}, ())) == told


async def test_a_schedule_that_is_due_ingests_what_is_in_the_bucket(caplog: pytest.LogCaptureFixture) -> None:
    held = objects({"leave.md": ("Leave: 30 days.", {"tenant": "shop"})})

    async def read(bucket: str) -> Mapping[str, bytes]:
        assert bucket == BUCKET
        return held

    base = LocalKnowledgeBase({SOURCE: DataSource(BUCKET)})
    is_due = read_expression("rate(1 hour)")
    assert is_due is not None
    job = {"KnowledgeBaseId": ID, "DataSourceId": SOURCE}
    app = create_app(region=REGION, credentials=KEYS, knowledge_bases={ID: base}, read_bucket=read)
    async with listening(app) as url:
        call = vars(scheduler)["_started"](url, REGION, KEYS)
        unknown = Schedule(is_due, {**job, "KnowledgeBaseId": "KB00000000"})
        playing = Scheduler([unknown, Schedule(is_due, job)], call, BEGAN)
        await playing.tick(BEGAN)
        await playing.tick(BEGAN + 1)
        assert [each["status"] for each in base.jobs.values()] == ["COMPLETE"]
        held |= objects({"office.md": ("Office.", {"tenant": "*"})})
        await playing.tick(BEGAN + 60)
    assert sorted(chunk.text for chunk in base.all_chunks()) == ["Leave: 30 days.", "Office."]
    failures = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(failures) == 2 and "KB00000000" in failures[0].getMessage()
