"""A chat API that takes jobs, workers for them, and a queue of the program's own that gets the events of failed jobs."""

import json
from typing import Any

import pulumi
import pulumi_aws as aws

import pulumi_llm

tags = {"Project": pulumi.get_project(), "Environment": pulumi.get_stack()}
models: Any = [{"name": "fast", "model": "gpt-oss-20b"}]

api = pulumi_llm.ServerlessBedrockApi("chat", {"models": models, "jobs": True, "access_logs": False, "tags": tags})
jobs = pulumi_llm.AsyncInference(
    "jobs",
    {
        "models": models,
        "jobs": {
            "table_name": api.jobs_table_name,
            "table_arn": api.jobs_table_arn,
            "stream_arn": api.jobs_stream_arn,
            "bucket_name": api.jobs_bucket_name,
        },
        # The API has none of these. If it had, they would be the same here.
        "limits": {},
        "rules": [],
        "safety": {},
        # At most 40 calls of models at once.
        "maximum_concurrency": 10,
        "batch_size": 4,
        "tags": tags,
    },
)

rule = aws.cloudwatch.EventRule(
    "failed-jobs",
    event_bus_name=jobs.event_bus_name,
    event_pattern=json.dumps({"source": ["pulumi-llm.jobs"], "detail-type": ["job.failed"]}),
    tags=tags,
)


def queue_of_rule(name: str) -> tuple[aws.sqs.Queue, aws.sqs.QueuePolicy]:
    """Make a queue to which the rule alone may send."""
    queue = aws.sqs.Queue(name, sqs_managed_sse_enabled=True, tags=tags)
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": queue.arn,
        "Condition": {"ArnEquals": {"aws:SourceArn": rule.arn}},
    }
    document = pulumi.Output.json_dumps({"Version": "2012-10-17", "Statement": [statement]})
    return queue, aws.sqs.QueuePolicy(name, queue_url=queue.url, policy=document)


failed, let_send = queue_of_rule("failed-jobs")
undelivered, let_keep = queue_of_rule("failed-jobs-undelivered")
aws.cloudwatch.EventTarget(
    "failed-jobs",
    event_bus_name=jobs.event_bus_name,
    rule=rule.name,
    arn=failed.arn,
    dead_letter_config={"arn": undelivered.arn},
    opts=pulumi.ResourceOptions(depends_on=[let_send, let_keep]),
)

pulumi.export("api_gateway_url", api.url)
pulumi.export("api_keys", api.api_keys)
pulumi.export("jobs_pipe", jobs.pipe_name)
pulumi.export("jobs_queue_url", jobs.queue_url)
pulumi.export("jobs_dead_letter_queue_arn", jobs.dead_letter_queue_arn)
pulumi.export("failed_jobs_queue_url", failed.url)
