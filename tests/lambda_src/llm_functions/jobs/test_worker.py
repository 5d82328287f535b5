"""The worker's entry point, as Lambda calls it, with DynamoDB, S3 and SQS played by moto; and what starts import of jobs."""

import importlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import msgspec
import pytest

from llm_gateway.http.client import HttpClient
from llm_gateway.identity.caller import Caller
from llm_gateway.jobs.job import Job, item_of, new_job
from llm_gateway.routes import ROUTES_FILE, Alias, Routes, Target
from llm_gateway.tables import JOB_ACCEPTED, JOB_EVENT_SOURCE, JOBS
from support import jobs_table
from support.jobs_table import BUCKET
from support.local_bedrock import KEYS, REGION

QUEUE, TABLE = "the-jobs-queue", "the-jobs-of-a-worker"
ROUTES = Routes((Alias("mock", (Target("mock", "mock", "m", max_output_tokens=99, context_tokens=999, accepts=()),)),))
CONTEXT = SimpleNamespace(get_remaining_time_in_millis=lambda: 900_000)


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, dynamodb_url: str) -> Iterator[Any]:
    """boto3's clients by their names, and the environment of the function."""
    keys = {"aws_access_key_id": KEYS.access_key, "aws_secret_access_key": KEYS.secret_key, "region_name": REGION}

    def client(service: str) -> Any:
        return boto3.client(service, endpoint_url=dynamodb_url, **keys)  # pyright: ignore

    table, queues = client("dynamodb"), client("sqs")
    table.create_table(
        TableName=TABLE,
        KeySchema=[{"AttributeName": JOBS.hash_key, "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in jobs_table.ATTRIBUTES],
        GlobalSecondaryIndexes=jobs_table.INDEXES,
        BillingMode="PAY_PER_REQUEST",
    )
    if BUCKET not in {each["Name"] for each in client("s3").list_buckets()["Buckets"]}:
        client("s3").create_bucket(Bucket=BUCKET)
    dead = queues.create_queue(QueueName=f"{QUEUE}-dead")["QueueUrl"]
    arn = queues.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    redrive = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 20})
    attributes = {"RedrivePolicy": redrive, "VisibilityTimeout": "0"}
    url = queues.create_queue(QueueName=QUEUE, Attributes=attributes)["QueueUrl"]
    (tmp_path / ROUTES_FILE).write_bytes(msgspec.json.encode(ROUTES))
    for name, value in {
        "JOBS_TABLE": TABLE,
        "JOBS_BUCKET": BUCKET,
        "JOBS_QUEUE_URL": url,
        "JOBS_DEAD_LETTERS_URL": dead,
        "JOBS_MAX_TRIES": "2",
        "LAMBDA_TASK_ROOT": str(tmp_path),
        "AWS_REGION": REGION,
        "AWS_ACCESS_KEY_ID": KEYS.access_key,
        "AWS_SECRET_ACCESS_KEY": KEYS.secret_key,
        "AWS_ENDPOINT_URL": dynamodb_url,
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("DEBUG", raising=False)
    yield SimpleNamespace(table=table, objects=client("s3"), queues=queues, url=url, dead=dead)
    table.delete_table(TableName=TABLE)
    for queue in (url, dead):
        queues.delete_queue(QueueUrl=queue)


@pytest.fixture
def handler(aws: Any) -> Iterator[Any]:
    module = importlib.import_module("llm_functions.worker")
    yield module.handler
    for value in vars(module).values():
        if isinstance(value, HttpClient):
            module._loop.run_until_complete(value.close())
    module._loop.close()
    del sys.modules["llm_functions.worker"]


def received(aws: Any) -> dict[str, Any]:
    """What the queue has, as the event source mapping hands it to the function."""
    messages = aws.queues.receive_message(
        QueueUrl=aws.url, MaxNumberOfMessages=10, AttributeNames=["ApproximateReceiveCount"]
    ).get("Messages", [])
    return {
        "Records": [
            {
                "messageId": each["MessageId"],
                "receiptHandle": each["ReceiptHandle"],
                "body": each["Body"],
                "attributes": each["Attributes"],
            }
            for each in messages
        ]
    }


def submitted(aws: Any, asked: Any, *, there: bool = True) -> Job:
    """Keep a job and send its message."""
    job = new_job(Caller("acme", "ci"), "mock", asked, time.time())
    if there:
        aws.objects.put_object(Bucket=BUCKET, Key=job.request_key, Body=json.dumps(asked).encode())
    aws.table.put_item(TableName=TABLE, Item=item_of(job))
    event = {"version": "0", "detail-type": JOB_ACCEPTED, "source": JOB_EVENT_SOURCE, "detail": {"job": job.id}}
    aws.queues.send_message(QueueUrl=aws.url, MessageBody=json.dumps(event))
    return job


def item(aws: Any, id: str) -> dict[str, Any]:
    return aws.table.get_item(TableName=TABLE, Key={JOBS.hash_key: {"S": id}})["Item"]


@pytest.mark.assumes("job-states")
def test_a_batch_of_jobs_is_run(aws: Any, handler: Any) -> None:
    jobs = [submitted(aws, {"message": text}) for text in ("Hi", "Ho")]
    assert handler(received(aws), CONTEXT) == {"batchItemFailures": []}
    for job, text in zip(jobs, ("Hi", "Ho"), strict=True):
        kept = item(aws, job.id)
        assert (kept["status"], kept["event"], kept["tenant"]) == ({"S": "succeeded"}, {"S": "job.succeeded"}, {"S": "acme"})
        result = json.load(aws.objects.get_object(Bucket=BUCKET, Key=job.result_key)["Body"])
        assert result["message"] == f"You said: {text}" and "lease" not in kept


@pytest.mark.assumes("message-visibility")
def test_a_job_that_fails_as_often_as_it_may_is_given_up(aws: Any, handler: Any) -> None:
    """Between the tries, another message waits in the queue; at the last one, its worker makes it a dead letter."""
    id = submitted(aws, {"message": "Hi"}, there=False).id
    first = received(aws)
    assert handler(first, CONTEXT) == {"batchItemFailures": []}
    assert item(aws, id)["status"] == {"S": "queued"} and received(aws) == {"Records": []}
    names = ["ApproximateNumberOfMessagesDelayed"]
    counts = aws.queues.get_queue_attributes(QueueUrl=aws.url, AttributeNames=names)["Attributes"]
    assert counts == {names[0]: "1"}
    aws.table.update_item(TableName=TABLE, Key={JOBS.hash_key: {"S": id}}, UpdateExpression="REMOVE due")  # time goes by
    assert handler(first, CONTEXT) == {"batchItemFailures": []}
    kept = item(aws, id)
    assert (kept["status"], kept["redrivable"]) == ({"S": "failed"}, {"BOOL": True})
    assert json.loads(kept["error"]["S"])["code"] == "retries_exhausted"
    dead = aws.queues.receive_message(QueueUrl=aws.dead)["Messages"]
    assert json.loads(dead[0]["Body"])["detail"]["job"] == id


def test_without_a_table_the_worker_does_not_start(aws: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JOBS_TABLE")
    with pytest.raises(ValueError, match="JOBS_TABLE: it must name the table"):
        importlib.import_module("llm_functions.worker")


START = """
import os, sys
import llm_functions.http.__main__
from llm_functions.compose import job_store
from llm_functions.http.application import Application
from llm_gateway.http.client import HttpClient

made = job_store(HttpClient(), os.environ)
print(made is not None, *(name for name in sys.modules if "job" in name or name.endswith(".s3")))
"""


@pytest.mark.parametrize("configured", [{}, {"JOBS_TABLE": "t", "JOBS_BUCKET": "b"}], ids=["off", "on"])
def test_a_cold_start_loads_nothing_of_jobs(configured: dict[str, str]) -> None:
    environ = {"AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", **configured}
    started = subprocess.run(
        [sys.executable, "-c", START], env=environ, capture_output=True, text=True, timeout=120, check=True
    )
    assert started.stdout.split() == [str(bool(configured))]
