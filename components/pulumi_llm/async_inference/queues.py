"""The queue of the jobs that wait for a worker, and the queues of what cannot be done or delivered."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pulumi
from pulumi_aws import sqs

from llm_gateway.queues import MOST_RECEIVES
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
LONGEST_SECONDS = 14 * _DAY
# As AWS advises: invocations that Lambda throttles are tried again within it, and do not count as tries of their messages.
# https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
_TIMEOUTS_INVISIBLE = 6


class Queues(NamedTuple):
    """The queue of jobs, that of the jobs which failed each time, and that of the events which reached no queue."""

    jobs: sqs.Queue
    dead_letters: sqs.Queue
    undelivered: sqs.Queue


def create_queues(component: Component, *, timeout_seconds: int) -> Queues:
    """Make the queues. A message names a job, and has nothing of what it asks, so that SQS's own keys do."""
    dead_letters = create_queue(component, "dead-letters", LONGEST_SECONDS)
    # As long as there are jobs: an older message would find none. The worker counts a job's tries itself, sends what failed to
    # the dead letters, and what has to wait anew. So the count of receives is a net for what no worker can count.
    jobs = create_queue(
        component,
        "queue",
        JOBS_KEPT_DAYS * _DAY,
        visibility_timeout_seconds=_TIMEOUTS_INVISIBLE * timeout_seconds,
        redrive_policy=pulumi.Output.json_dumps({"deadLetterTargetArn": dead_letters.arn, "maxReceiveCount": MOST_RECEIVES}),
    )
    sqs.RedriveAllowPolicy(
        component.child_name("dead-letters-redrive"),
        queue_url=dead_letters.url,
        redrive_allow_policy=pulumi.Output.json_dumps({"redrivePermission": "byQueue", "sourceQueueArns": [jobs.arn]}),
        opts=component.child("dead-letters-redrive"),
    )
    return Queues(jobs, dead_letters, create_queue(component, "undelivered", LONGEST_SECONDS))


def protect_queues(
    component: Component, queues: Queues, rule_arn: pulumi.Output[str], others: Sequence[pulumi.Output[str]] = ()
) -> list[pulumi.Resource]:
    """Let this rule alone send to the queue of jobs, and it and the others to that of undelivered events. Let nobody use any
    queue without TLS."""
    return [
        protect_queue(component, "queue-policy", queues.jobs, [rule_arn]),
        protect_queue(component, "undelivered-policy", queues.undelivered, [rule_arn, *others]),
        protect_queue(component, "dead-letters-policy", queues.dead_letters, []),
    ]


def create_queue(component: Component, key: str, retention_seconds: int, *, name: str = "", **arguments: Any) -> sqs.Queue:
    """Make a queue; `name` is what tells it from others of the same key."""
    return sqs.Queue(
        _child_name(component, key, name),
        message_retention_seconds=retention_seconds,
        sqs_managed_sse_enabled=True,
        **arguments,
        tags=component.tags,
        opts=component.child(key),
    )


def protect_queue(
    component: Component, key: str, queue: sqs.Queue, rule_arns: Sequence[pulumi.Output[str]], *, name: str = ""
) -> sqs.QueuePolicy:
    """Let these rules send to a queue, and nobody without TLS use it."""

    def document(arns: list[str]) -> str:
        rules = arns[1:]
        send = [_let_rules_send(arns[0], rules[0] if len(rules) == 1 else rules)] if rules else []
        return json.dumps(policy_document(*send, only_by_tls_to_queue(arns[0])))

    return sqs.QueuePolicy(
        _child_name(component, key, name),
        queue_url=queue.url,
        policy=pulumi.Output.all(queue.arn, *rule_arns).apply(document),
        opts=component.child(key),
    )


def _child_name(component: Component, key: str, name: str) -> str:
    return f"{component.child_name(key)}-{name}" if name else component.child_name(key)


def _let_rules_send(queue_arn: str, rule_arns: str | list[str]) -> dict[str, Any]:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-resource-based.html#eb-sqs-permissions"""
    return {
        "Sid": "RulesSend",
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": queue_arn,
        "Condition": {"ArnEquals": {"aws:SourceArn": rule_arns}},
    }
