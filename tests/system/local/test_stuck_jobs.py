"""Jobs that have lost their message, over the whole local run: they are requeued by a change of the table."""

from typing import Any

import botocore.session
import pytest

from system.local.test_jobs import SHORT, command, stack_with_jobs, until

OUTPUTS = ("jobs_table_arn", "jobs_queue_url")

pytestmark = pytest.mark.timeout(900)


def test_a_job_whose_message_was_deleted_runs_again_once_it_is_requeued(monkeypatch: pytest.MonkeyPatch) -> None:
    with stack_with_jobs("--model-delay", "0", "--fault", "500", **{"async_inference.max_tries": 2}) as stack:
        for name, value in stack.outputs["queues"].items():
            monkeypatch.setenv(name, value)
        arn, url = (stack.outputs["page"].partition(f"{name}</th><td><code>")[2].partition("<")[0] for name in OUTPUTS)
        session: Any = botocore.session.Session()
        queue, table = (session.create_client(service, region_name=arn.split(":")[3]) for service in ("sqs", "dynamodb"))
        id = stack.post("/jobs", SHORT).json()["id"]
        until(stack, id, lambda each: (each["status"], each["attempts"]) == ("queued", 1))
        counted = queue.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        assert counted["ApproximateNumberOfMessagesDelayed"] == "1", counted
        queue.purge_queue(QueueUrl=url)
        key, before = {"job": {"S": id}}, {":then": {"N": "1"}, ":created": {"S": "2026-11-29T00:00:00.000Z"}}
        table.update_item(
            TableName=arn.partition("/")[2],
            Key=key,
            UpdateExpression="SET due = :then, created = :created",
            ExpressionAttributeValues=before,
        )
        done = command(stack, "requeue", arn)
        assert (done.returncode, done.stdout, done.stderr) == (0, f"{id}\n", "1 jobs were requeued\n")
        ended = until(stack, id, lambda each: each["status"] == "failed")
        assert (ended["attempts"], ended["error"]["code"]) == (2, "retries_exhausted")
