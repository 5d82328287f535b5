"""A queue, its dead-letter queue and the function that works it off, as a component that is used twice."""

import json
from collections.abc import Mapping
from typing import Any

import pulumi
import pulumi_aws as aws


class Worker(pulumi.ComponentResource):
    """A queue and a function that takes from it."""

    def __init__(
        self,
        name: str,
        code: str,
        timeout: int,
        tags: Mapping[str, str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("acme:workers:Worker", name, {}, opts)
        own = pulumi.ResourceOptions(parent=self)
        tagged: dict[str, Any] = {"tags": dict(tags), "opts": own}
        self.dead = aws.sqs.Queue(
            f"{name}-dead", message_retention_seconds=14 * 24 * 3600, sqs_managed_sse_enabled=True, **tagged
        )
        self.queue = aws.sqs.Queue(
            f"{name}-queue",
            visibility_timeout_seconds=6 * timeout,
            sqs_managed_sse_enabled=True,
            redrive_policy=pulumi.Output.json_dumps({"deadLetterTargetArn": self.dead.arn, "maxReceiveCount": 5}),
            **tagged,
        )
        role = aws.iam.Role(
            f"{name}-role",
            assume_role_policy=json.dumps(
                {
                    "Version": "2012-10-17",
                    "Statement": [
                        {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
                    ],
                }
            ),
            **tagged,
        )
        aws.iam.RolePolicyAttachment(
            f"{name}-queue-access",
            role=role.name,
            policy_arn="arn:aws:iam::aws:policy/service-role/AWSLambdaSQSQueueExecutionRole",
            opts=own,
        )
        logs = aws.cloudwatch.LogGroup(f"{name}-logs", name=f"/aws/lambda/{name}", retention_in_days=14, **tagged)
        self.function = aws.lambda_.Function(
            f"{name}-function",
            name=name,
            runtime="python3.13",
            handler="worker.handler",
            code=pulumi.AssetArchive({"worker.py": pulumi.StringAsset(code)}),
            role=role.arn,
            timeout=timeout,
            tags=dict(tags),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[logs]),
        )
        aws.lambda_.EventSourceMapping(
            f"{name}-source",
            event_source_arn=self.queue.arn,
            function_name=self.function.arn,
            batch_size=10,
            function_response_types=["ReportBatchItemFailures"],
            scaling_config={"maximum_concurrency": 10},
            opts=own,
        )
        self.register_outputs({"queueUrl": self.queue.url})


TAGS = {"Project": "imports", "Environment": pulumi.get_stack(), "Owner": "data"}
CODE = "def handler(event, context):\n    return {'batchItemFailures': []}\n"
thumbnails = Worker("thumbnails", CODE, 60, TAGS)
invoices = Worker("invoices", CODE, 120, TAGS)

aws.cloudwatch.MetricAlarm(
    "invoices-dead",
    namespace="AWS/SQS",
    metric_name="ApproximateNumberOfMessagesVisible",
    dimensions={"QueueName": invoices.dead.name},
    statistic="Maximum",
    period=300,
    evaluation_periods=1,
    threshold=0,
    comparison_operator="GreaterThanThreshold",
    tags=TAGS,
)
pulumi.export("queues", [thumbnails.queue.url, invoices.queue.url])
