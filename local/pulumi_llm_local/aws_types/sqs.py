"""SQS."""

from collections.abc import Mapping
from typing import Final

from pulumi_llm_local.aws_types.aws_type import AWS_DOCS, AwsType, ValueRule, fifo_name

_API: Final = AWS_DOCS + "AWSSimpleQueueService/latest/APIReference/API_CreateQueue.html"


TYPES: Final[Mapping[str, AwsType]] = {
    "aws:sqs/queue:Queue": AwsType(
        outputs={
            "id": "{url}",
            "url": "https://sqs.{region}.{dns_suffix}/{account}/{name}",
            "arn": "arn:{partition}:sqs:{region}:{account}:{name}",
            "visibilityTimeoutSeconds": 30,
        },
        replaced_by="fifoQueue name namePrefix",
        stateful="its messages are lost with it",
        adapt_name=fifo_name,
        rules={
            "name": ValueRule(_API, high=80, pattern=r"[a-zA-Z0-9_-]+(\.fifo)?"),
            "deduplicationScope": ValueRule(_API, values=("messageGroup", "queue")),
            "delaySeconds": ValueRule(_API, low=0, high=900),
            "fifoThroughputLimit": ValueRule(_API, values=("perQueue", "perMessageGroupId")),
            "kmsDataKeyReusePeriodSeconds": ValueRule(_API, low=60, high=86400),
            "maxMessageSize": ValueRule(_API, low=1024, high=1048576),
            "messageRetentionSeconds": ValueRule(_API, low=60, high=1209600),
            "receiveWaitTimeSeconds": ValueRule(_API, low=0, high=20),
            "visibilityTimeoutSeconds": ValueRule(_API, low=0, high=43200),
        },
    ),
    "aws:sqs/queuePolicy:QueuePolicy": AwsType(outputs={"id": "{queueUrl}"}, replaced_by="queueUrl"),
    "aws:sqs/redriveAllowPolicy:RedriveAllowPolicy": AwsType(outputs={"id": "{queueUrl}"}, replaced_by="queueUrl"),
    "aws:sqs/redrivePolicy:RedrivePolicy": AwsType(outputs={"id": "{queueUrl}"}, replaced_by="queueUrl"),
}
