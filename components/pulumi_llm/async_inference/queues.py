"""The queue of the jobs that wait for a worker, and the queues of what cannot be done or delivered."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import pulumi
from pulumi_aws import sqs

from llm_gateway.tables import JOBS_KEPT_DAYS
from pulumi_llm.base.component import Component
from pulumi_llm.base.iam import only_by_tls_to_queue, policy_document

CHILDREN: Mapping[str, type[pulumi.Resource]] = {
    "queue": sqs.Queue,
    "dead-letters": sqs.Queue,
    "dead-letters-redrive": sqs.RedriveAllowPolicy,
    "undelivered": sqs.Queue,
    "queue-policy": sqs.QueuePolicy,
    "dead-letters-policy": sqs.QueuePolicy,
    "undelivered-policy": sqs.QueuePolicy,
}

_DAY = 24 * 60 * 60
# SQS keeps no message longer. It counts from a message's first queue on, in a queue of dead letters, too.
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-dead-letter-queues.html
_LONGEST_SECONDS = 14 * _DAY
# As AWS advises: invocations that Lambda throttles are tried again within it, and do not count as tries of their messages.
# https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
_TIMEOUTS_INVISIBLE = 6
# The worker counts a job's tries itself, and sends what failed to the dead letters: a job that a limit or a switch postpones is
# received every 15 minutes or so, for six days, and this is no try of it. So this is a net for what no worker can count. SQS's
# most: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-configure-dead-letter-queue.html
_MOST_RECEIVES = 1_000


class Queues(NamedTuple):
    """The queue of jobs, that of the jobs which failed each time, and that of the events which reached no queue."""

    jobs: sqs.Queue
    dead_letters: sqs.Queue
    undelivered: sqs.Queue


def create_queues(component: Component, *, timeout_seconds: int) -> Queues:
    """Make the queues. A message names a job, and has nothing of what it asks, so that SQS's own keys do."""
    dead_letters = _queue(component, "dead-letters", _LONGEST_SECONDS)
    # As long as there are jobs: an older message would find none.
    jobs = _queue(
        component,
        "queue",
        JOBS_KEPT_DAYS * _DAY,
        visibility_timeout_seconds=_TIMEOUTS_INVISIBLE * timeout_seconds,
        redrive_policy=pulumi.Output.json_dumps({"deadLetterTargetArn": dead_letters.arn, "maxReceiveCount": _MOST_RECEIVES}),
    )
    sqs.RedriveAllowPolicy(
        component.child_name("dead-letters-redrive"),
        queue_url=dead_letters.url,
        redrive_allow_policy=pulumi.Output.json_dumps({"redrivePermission": "byQueue", "sourceQueueArns": [jobs.arn]}),
        opts=component.child("dead-letters-redrive"),
    )
    return Queues(jobs, dead_letters, _queue(component, "undelivered", _LONGEST_SECONDS))


def protect_queues(component: Component, queues: Queues, rule_arn: pulumi.Output[str]) -> list[pulumi.Resource]:
    """Let this rule alone send to the queues of jobs and of undelivered events, and nobody without TLS use any queue."""
    by_rule = {"queue": queues.jobs, "undelivered": queues.undelivered}
    policies: list[pulumi.Resource] = [_policy(component, f"{key}-policy", queue, rule_arn) for key, queue in by_rule.items()]
    return [*policies, _policy(component, "dead-letters-policy", queues.dead_letters, None)]


def _queue(component: Component, key: str, retention_seconds: int, **arguments: Any) -> sqs.Queue:
    return sqs.Queue(
        component.child_name(key),
        message_retention_seconds=retention_seconds,
        sqs_managed_sse_enabled=True,
        **arguments,
        tags=component.tags,
        opts=component.child(key),
    )


def _policy(component: Component, key: str, queue: sqs.Queue, rule_arn: pulumi.Output[str] | None) -> sqs.QueuePolicy:
    def document(arns: list[str]) -> str:
        return json.dumps(policy_document(*(_let_rule_send(arns[0], rule) for rule in arns[1:]), only_by_tls_to_queue(arns[0])))

    arns = [queue.arn] if rule_arn is None else [queue.arn, rule_arn]
    return sqs.QueuePolicy(
        component.child_name(key),
        queue_url=queue.url,
        policy=pulumi.Output.all(*arns).apply(document),
        opts=component.child(key),
    )


def _let_rule_send(queue_arn: str, rule_arn: str) -> dict[str, Any]:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-resource-based.html#eb-sqs-permissions"""
    return {
        "Sid": "RuleSends",
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": queue_arn,
        "Condition": {"ArnEquals": {"aws:SourceArn": rule_arn}},
    }
