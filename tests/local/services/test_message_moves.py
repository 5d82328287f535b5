"""Message move tasks, by boto3, in a moto of their own."""

import json
import os
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from pulumi_llm_local.services.moto import Moto

ARN = "arn:aws:sqs:eu-west-1:123456789012:"


@pytest.fixture
async def sqs(tmp_path: Path) -> AsyncGenerator[Any]:
    """SQS with a queue whose messages die at the second receive, and its dead letter queue."""
    moto = Moto(tmp_path / "moto.log", os.environ)
    await moto.start()
    keys = {"aws_access_key_id": "id", "aws_secret_access_key": "secret"}
    client: Any = boto3.client("sqs", "eu-west-1", endpoint_url=moto.url, **keys)
    client.create_queue(QueueName="dead")
    redrive = json.dumps({"deadLetterTargetArn": ARN + "dead", "maxReceiveCount": 1})
    client.create_queue(QueueName="jobs", Attributes={"RedrivePolicy": redrive, "VisibilityTimeout": "0"})
    try:
        yield client
    finally:
        client.close()
        await moto.stop()


def depth(sqs: Any, name: str) -> int:
    url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])
    return int(found["Attributes"]["ApproximateNumberOfMessages"])


async def test_dead_letters_come_back_as_new_messages(sqs: Any) -> None:
    url = sqs.get_queue_url(QueueName="jobs")["QueueUrl"]
    attributes = {"kind": {"DataType": "String", "StringValue": "x"}}
    sqs.send_message(QueueUrl=url, MessageBody="hello", MessageAttributes=attributes)
    (first,) = sqs.receive_message(QueueUrl=url)["Messages"]
    assert "Messages" not in sqs.receive_message(QueueUrl=url)
    assert (depth(sqs, "jobs"), depth(sqs, "dead")) == (0, 1)
    assert sqs.start_message_move_task(SourceArn=ARN + "dead")["TaskHandle"]
    (task,) = sqs.list_message_move_tasks(SourceArn=ARN + "dead")["Results"]
    assert (task["Status"], task["ApproximateNumberOfMessagesMoved"]) == ("COMPLETED", 1)
    assert (depth(sqs, "jobs"), depth(sqs, "dead")) == (1, 0)
    (again,) = sqs.receive_message(QueueUrl=url, AttributeNames=["All"], MessageAttributeNames=["All"])["Messages"]
    assert again["MessageId"] != first["MessageId"]
    assert (again["Body"], again["Attributes"]["ApproximateReceiveCount"]) == ("hello", "1")
    assert again["MessageAttributes"]["kind"]["StringValue"] == "x"


async def test_what_was_sent_to_the_queue_comes_from_nowhere(sqs: Any) -> None:
    sqs.send_message(QueueUrl=sqs.get_queue_url(QueueName="dead")["QueueUrl"], MessageBody="hello")
    sqs.start_message_move_task(SourceArn=ARN + "dead")
    (task,) = sqs.list_message_move_tasks(SourceArn=ARN + "dead")["Results"]
    assert (task["Status"], task["FailureReason"]) == ("FAILED", "CouldNotDetermineMessageSource")
    assert (depth(sqs, "jobs"), depth(sqs, "dead")) == (0, 1)
    sqs.start_message_move_task(SourceArn=ARN + "dead", DestinationArn=ARN + "jobs")
    assert (depth(sqs, "jobs"), depth(sqs, "dead")) == (1, 0)


async def test_what_is_refused(sqs: Any) -> None:
    asked: list[tuple[dict[str, Any], str]] = [
        ({"SourceArn": ARN + "jobs"}, "must be configured as a Dead Letter Queue"),
        ({"SourceArn": ARN + "other"}, "doesn't exist"),
        ({"SourceArn": ARN + "dead", "DestinationArn": ARN + "other"}, "doesn't exist"),
        ({"SourceArn": ARN + "dead", "MaxNumberOfMessagesPerSecond": 501}, "MaxNumberOfMessagesPerSecond"),
        ({"SourceArn": "dead"}, "is not valid"),
    ]
    for arguments, text in asked:
        with pytest.raises(ClientError, match=text):
            sqs.start_message_move_task(**arguments)
