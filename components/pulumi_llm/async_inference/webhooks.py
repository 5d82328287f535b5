"""Notifications of jobs by webhook: for each, a rule and a queue, and one function that sends what the queues have.

An API destination of EventBridge cannot do it: its connection adds the same headers to every request, and a signature is
another one for each. https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-target-connection-auth.html
"""

from collections.abc import Mapping

import pulumi
from pulumi_aws import cloudwatch, iam, lambda_, sqs

from llm_gateway import environment as variables
from llm_gateway.queues import MOST_RECEIVES, WEBHOOK_FUNCTION_SECONDS, WEBHOOK_HIDDEN_SECONDS, WEBHOOK_KEPT_SECONDS
from pulumi_llm.async_inference.args import AsyncInferenceSettings
from pulumi_llm.async_inference.events import RETRIES
from pulumi_llm.async_inference.notification_settings import NotificationSettings
from pulumi_llm.async_inference.queues import LONGEST_SECONDS, Queues, create_queue, protect_queue
from pulumi_llm.base import bundle
from pulumi_llm.base.component import Component
from pulumi_llm.base.iam import allow, read_secrets
from pulumi_llm.base.lambda_function import Shared, publish
from pulumi_llm.base.location import Location

# Each notification has one of these, with its name.
EACH: Mapping[str, type[pulumi.Resource]] = {
    "notify-rule": cloudwatch.EventRule,
    "notify-target": cloudwatch.EventTarget,
    "webhook-queue": sqs.Queue,
    "webhook-queue-policy": sqs.QueuePolicy,
    "webhook-mapping": lambda_.EventSourceMapping,
}
# All of them share one of these.
SHARED: Mapping[str, type[pulumi.Resource]] = {
    "webhook-dead-letters": sqs.Queue,
    "webhook-dead-letters-redrive": sqs.RedriveAllowPolicy,
    "webhook-dead-letters-policy": sqs.QueuePolicy,
    "webhooks-logs": cloudwatch.LogGroup,
    "webhooks-role": iam.Role,
    "webhooks-logs-policy": iam.RolePolicy,
    "webhooks-policy": iam.RolePolicy,
    "webhooks-function": lambda_.Function,
    "webhooks-alias": lambda_.Alias,
}
CHILDREN: Mapping[str, type[pulumi.Resource]] = {**EACH, **SHARED}

# Requests that one receiver gets at once, at most: the fewest executions that a mapping can be bounded to, with as many each.
_CONCURRENCY, _BATCH = 2, 5


def create_rules(
    component: Component, notifications: Mapping[str, NotificationSettings], bus: cloudwatch.EventBus
) -> dict[str, cloudwatch.EventRule]:
    """Make the rule of each notification."""
    return {
        name: cloudwatch.EventRule(
            f"{component.child_name('notify-rule')}-{name}",
            description="Events of jobs that somebody is told of",
            event_bus_name=bus.name,
            event_pattern=notification.event_pattern,
            tags=component.tags,
            opts=component.child("notify-rule"),
        )
        for name, notification in notifications.items()
    }


def create_webhooks(
    component: Component,
    settings: AsyncInferenceSettings,
    location: Location,
    bus: cloudwatch.EventBus,
    rules: Mapping[str, cloudwatch.EventRule],
    queues: Queues,
    ready: list[pulumi.Resource],
) -> tuple[sqs.Queue, list[pulumi.Resource]]:
    """Make what sends the events of the rules, once `ready` lets what reaches no queue be kept.

    Returns:
        The queue of what no receiver took, and what has to be there before an event comes.
    """
    dead_letters = create_queue(component, "webhook-dead-letters", LONGEST_SECONDS)
    protect_queue(component, "webhook-dead-letters-policy", dead_letters, [])
    redrive = pulumi.Output.json_dumps({"deadLetterTargetArn": dead_letters.arn, "maxReceiveCount": MOST_RECEIVES})
    own = {
        name: create_queue(
            component,
            "webhook-queue",
            WEBHOOK_KEPT_SECONDS,
            name=name,
            visibility_timeout_seconds=WEBHOOK_HIDDEN_SECONDS,
            redrive_policy=redrive,
        )
        for name in rules
    }
    sources = [queue.arn for queue in own.values()]
    sqs.RedriveAllowPolicy(
        component.child_name("webhook-dead-letters-redrive"),
        queue_url=dead_letters.url,
        redrive_allow_policy=pulumi.Output.json_dumps({"redrivePermission": "byQueue", "sourceQueueArns": sources}),
        opts=component.child("webhook-dead-letters-redrive"),
    )
    webhooks = {name: settings.notifications[name].webhook for name in rules}
    actions = ("ChangeMessageVisibility", "DeleteMessage", "GetQueueAttributes", "ReceiveMessage")
    secrets = list(dict.fromkeys(each.secret_arn for each in webhooks.values()))
    keys = list(dict.fromkeys(each.kms_key_arn for each in webhooks.values() if each.kms_key_arn is not None))
    # In no network of the user's, where a receiver's name could lead to a server of theirs.
    sender = publish(
        component,
        "webhooks-",
        Shared(log_retention_days=settings.log_retention_days, kms_key_arn=settings.kms_key_arn, tracing=settings.tracing),
        description="Tells receivers of jobs",
        code=bundle.archive(),
        handler="llm_functions.webhooks.handler",
        memory_mb=256,
        timeout_seconds=WEBHOOK_FUNCTION_SECONDS,
        environment={
            variables.WEBHOOKS: pulumi.Output.json_dumps(
                [
                    {"name": name, "url": each.url, "secret_arn": each.secret_arn, "queue_url": own[name].url}
                    for name, each in webhooks.items()
                ]
            )
        },
        policies={
            "webhooks-policy": [
                allow("TakeMessages", [f"sqs:{action}" for action in actions], sources),
                *read_secrets(secrets, keys, location.region),
            ]
        },
    )
    made: list[pulumi.Resource] = []
    for name, rule in rules.items():
        policy = protect_queue(component, "webhook-queue-policy", own[name], [rule.arn], name=name)
        made += [
            cloudwatch.EventTarget(
                f"{component.child_name('notify-target')}-{name}",
                event_bus_name=bus.name,
                rule=rule.name,
                arn=own[name].arn,
                retry_policy=RETRIES,  # pyright: ignore[reportArgumentType]
                dead_letter_config={"arn": queues.undelivered.arn},
                opts=component.child("notify-target", depends_on=[policy, *ready]),
            ),
            lambda_.EventSourceMapping(
                f"{component.child_name('webhook-mapping')}-{name}",
                event_source_arn=own[name].arn,
                function_name=sender.alias.arn,
                batch_size=_BATCH,
                scaling_config={"maximum_concurrency": _CONCURRENCY},
                function_response_types=["ReportBatchItemFailures"],
                tags=component.tags,
                opts=component.child("webhook-mapping"),
            ),
        ]
    return dead_letters, made
