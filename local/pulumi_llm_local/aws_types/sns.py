"""SNS."""

from collections.abc import Mapping
from typing import Final

from pulumi_llm_local.aws_types.aws_type import AWS_DOCS, AwsType, ValueRule, fifo_name

_API: Final = AWS_DOCS + "sns/latest/api/API_CreateTopic.html"


TYPES: Final[Mapping[str, AwsType]] = {
    "aws:sns/topic:Topic": AwsType(
        outputs={"id": "{arn}", "arn": "arn:{partition}:sns:{region}:{account}:{name}", "owner": "{account}"},
        replaced_by="fifoTopic name namePrefix",
        stateful="its subscribers have to confirm again",
        # SNS takes its settings as a map of texts
        adapt_name=fifo_name,
        rules={
            "name": ValueRule(_API, high=256, pattern=r"[a-zA-Z0-9_-]+(\.fifo)?"),
            "signatureVersion": ValueRule(_API, values=(1, 2)),
            "tracingConfig": ValueRule(_API, values=("PassThrough", "Active")),
            "fifoThroughputScope": ValueRule(_API, values=("Topic", "MessageGroup")),
        },
    ),
    "aws:sns/topicPolicy:TopicPolicy": AwsType(outputs={"id": "{arn}", "owner": "{account}"}, replaced_by="arn"),
    "aws:sns/topicSubscription:TopicSubscription": AwsType(
        outputs={
            "id": "{topic}:{uuid}",
            "arn": "{topic}:{uuid}",
            "ownerId": "{account}",
            "confirmationWasAuthenticated": True,
            "pendingConfirmation": False,
        },
        replaced_by="endpoint protocol topic",
        api="sns Subscribe",
    ),
}
