"""`pulumi-llm jobs requeue`: what has lost its message gets another one, and nothing else does."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import botocore.session
import pytest
from moto import mock_aws
from typer.testing import CliRunner, Result

from llm_gateway.identity.caller import Caller
from llm_gateway.jobs.job import Job, item_of, new_job
from llm_gateway.tables import JOB_OPEN, JOBS
from pulumi_llm.cli.command import app
from support.jobs_table import ATTRIBUTES, INDEXES, TABLE

ARN = f"arn:aws:dynamodb:eu-west-1:123456789012:table/{TABLE}"
HOUR = 3_600.0


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        session: Any = botocore.session.Session()
        client = session.create_client("dynamodb", region_name="eu-west-1")
        client.create_table(
            TableName=TABLE,
            KeySchema=[{"AttributeName": JOBS.hash_key, "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ATTRIBUTES],
            GlobalSecondaryIndexes=INDEXES,
            BillingMode="PAY_PER_REQUEST",
        )
        yield client


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["jobs", "requeue", *arguments])


# The hours since a job was submitted, what its item has besides, and whether it is requeued. A number is a time, so many hours
# ago.
STATES: dict[str, tuple[float, dict[str, Any], bool]] = {
    "new": (0.5, {}, False),
    "never received": (2, {}, True),
    "waits": (30, {"due": 0.2}, False),
    "waits for long": (30, {"due": -10}, False),
    "due long ago": (30, {"due": 2}, True),
    "runs": (30, {"status": "running", "lease": -0.01}, False),
    "its worker died just now": (30, {"status": "running", "lease": 0.1}, False),
    "its worker died, and nobody has seen it": (30, {"status": "running", "lease": 2, "cancel": True}, True),
    "ended": (30, {"status": "succeeded"}, False),
    "expired": (24 * 8, {}, False),
}


@pytest.mark.parametrize(("hours", "has", "is_requeued"), STATES.values(), ids=STATES)
def test_what_is_requeued(table: Any, hours: float, has: dict[str, Any], is_requeued: bool) -> None:
    now = time.time()
    job = new_job(Caller("acme", "ci"), "main", "Hi", now - hours * HOUR)
    item = item_of(job) | {
        name: typed(value) if isinstance(value, bool | str) else {"N": str(now - value * HOUR)} for name, value in has.items()
    }
    if "status" in has:
        item["event"] = {"S": "job.started"}
    if has.get("status") == "succeeded":
        del item[JOB_OPEN]
    table.put_item(TableName=TABLE, Item=item)
    done = run(ARN)
    assert (done.exit_code, done.stdout) == (0, f"{job.id}\n" * is_requeued)
    assert done.stderr == f"{is_requeued:d} jobs were requeued\n"
    after = kept(table, job)
    if not is_requeued:
        assert after == item
        return
    # The pipe makes an event of it, which is another one than the first.
    assert (after["event"], after["status"], after["version"]) == ({"S": "job.accepted"}, {"S": "queued"}, {"N": "2"})
    assert "lease" not in after and after.get("cancel") == item.get("cancel")
    assert run(ARN).stdout == "", "once is enough"


def typed(value: Any) -> dict[str, Any]:
    return {"BOOL": value} if isinstance(value, bool) else {"S": value}


def kept(table: Any, job: Job) -> dict[str, Any]:
    return table.get_item(TableName=TABLE, Key={JOBS.hash_key: {"S": job.id}})["Item"]


def test_all_of_many_are_found(table: Any) -> None:
    for _ in range(30):
        table.put_item(TableName=TABLE, Item=item_of(new_job(Caller("acme", "ci"), "main", "Hi", time.time() - 1_000)))
    assert run(ARN).stdout == ""
    done = run(ARN, "--minutes", "15")
    assert len(set(done.stdout.splitlines())) == 30 and done.stderr == "30 jobs were requeued\n"


@pytest.mark.parametrize("table_arn", ["jobs", "arn:aws:sqs:eu-west-1:123456789012:jobs"])
def test_a_table_is_given_by_its_arn(table_arn: str) -> None:
    done = run(table_arn)
    assert done.exit_code == 2 and "give the table by its ARN" in done.stderr


def test_an_error_of_aws_is_one_line() -> None:
    """Nothing listens there."""
    address = {"AWS_ENDPOINT_URL_DYNAMODB": "http://127.0.0.1:9", "AWS_MAX_ATTEMPTS": "1"}
    keys = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret"}
    command = [sys.executable, "-c", "from pulumi_llm.cli import main; main()", "jobs", "requeue", ARN]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **keys, **address})
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Could not connect to the endpoint URL") and done.stderr.count("\n") == 1
