"""Batches: the function that does their steps, the state machine that calls it, and the rule that starts the state machine."""

import json
from collections.abc import Mapping
from typing import Any

import pulumi
from pulumi_aws import cloudwatch, get_caller_identity_output, iam, lambda_, sfn, sqs

from llm_gateway.tables import BATCH_ACCEPTED, JOB_EVENT_SOURCE
from pulumi_llm.api_edge.jobs import UsedJobs
from pulumi_llm.async_inference.batch_settings import BatchesSettings
from pulumi_llm.async_inference.events import NO_REPLAY, RETRIES
from pulumi_llm.async_inference.state_machine import definition
from pulumi_llm.base.component import Component
from pulumi_llm.base.iam import allow, assume_role, policy_document
from pulumi_llm.base.lambda_function import Published, Shared, log_group
from pulumi_llm.base.location import Location

CHILDREN: Mapping[str, type[pulumi.Resource]] = {
    "batch-policy": iam.RolePolicy,
    "batch-function": lambda_.Function,
    "batch-alias": lambda_.Alias,
    "batch-machine-logs": cloudwatch.LogGroup,
    "batch-machine-role": iam.Role,
    "batch-machine-policy": iam.RolePolicy,
    "batch-machine": sfn.StateMachine,
    "batch-map-policy": iam.RolePolicy,
    "batch-rule": cloudwatch.EventRule,
    "batch-rule-role": iam.Role,
    "batch-rule-policy": iam.RolePolicy,
    "batch-target": cloudwatch.EventTarget,
}


def create_machine(
    component: Component,
    settings: BatchesSettings,
    shared: Shared,
    jobs: UsedJobs,
    location: Location,
    function: Published,
    *,
    max_tries: int,
) -> tuple[sfn.StateMachine, list[pulumi.Resource]]:
    """Make the state machine. It is ready with the second result."""

    def defined(arn: str) -> str:
        asked = {"maximum_concurrency": settings.maximum_concurrency, "max_tries": max_tries}
        return json.dumps(definition(location.partition, arn, **asked))

    account = get_caller_identity_output(opts=component.invoke_options()).account_id
    logs = log_group(component, "batch-machine-logs", shared)
    role = _role(component, "batch-machine-role", "states.amazonaws.com", account, _any_machine(location))
    before = _policy(component, "batch-machine-policy", role, _statements(jobs, location, function))
    machine = sfn.StateMachine(
        component.child_name("batch-machine"),
        type="STANDARD",
        role_arn=role.arn,
        definition=function.alias.arn.apply(defined),
        # Its data are ids and keys, but they are no more of use in a log than in the history of executions.
        logging_configuration={
            "level": "ERROR",
            "include_execution_data": False,
            "log_destination": pulumi.Output.concat(logs.arn, ":*"),
        },
        tags=component.tags,
        # It is gone when its executions have come to their next state, and a call takes up to 16 minutes. The provider waits 5.
        opts=component.child("batch-machine", depends_on=[before], custom_timeouts=pulumi.CustomTimeouts(delete="45m")),
    )
    return machine, [_policy(component, "batch-map-policy", role, _of_map(machine.arn))]


def create_rule(component: Component, bus: cloudwatch.EventBus) -> cloudwatch.EventRule:
    """Make the rule that chooses the batches which are accepted."""
    pattern = {"source": [JOB_EVENT_SOURCE], "detail-type": [BATCH_ACCEPTED], **NO_REPLAY}
    return cloudwatch.EventRule(
        component.child_name("batch-rule"),
        description="Batches that wait for the state machine",
        event_bus_name=bus.name,
        event_pattern=json.dumps(pattern),
        tags=component.tags,
        opts=component.child("batch-rule"),
    )


def create_target(
    component: Component,
    bus: cloudwatch.EventBus,
    rule: cloudwatch.EventRule,
    machine: sfn.StateMachine,
    undelivered: sqs.Queue,
    ready: list[pulumi.Resource],
) -> cloudwatch.EventTarget:
    """Let the rule start the state machine, once `ready` lets it."""
    account = get_caller_identity_output(opts=component.invoke_options()).account_id
    role = _role(component, "batch-rule-role", "events.amazonaws.com", account, rule.arn)
    policy = _policy(component, "batch-rule-policy", role, [allow("StartBatches", ["states:StartExecution"], machine.arn)])
    return cloudwatch.EventTarget(
        component.child_name("batch-target"),
        event_bus_name=bus.name,
        rule=rule.name,
        arn=machine.arn,
        role_arn=role.arn,
        retry_policy=RETRIES,  # pyright: ignore[reportArgumentType]
        dead_letter_config={"arn": undelivered.arn},
        opts=component.child("batch-target", depends_on=[policy, *ready]),
    )


def _any_machine(location: Location) -> str:
    """The form of the ARNs of state machines. The name of this one is known after its role alone, and may be any: `customize`
    or a project's own way of naming may give it. Who may pass the role to another one is IAM's part."""
    return f"arn:{location.partition}:states:{location.region}:{{}}:stateMachine:*"


def _role(component: Component, key: str, service: str, account: pulumi.Output[str], source: pulumi.Input[str]) -> iam.Role:
    def trust(values: list[str]) -> str:
        return json.dumps(assume_role(service, values[0], values[1].format(values[0])))

    return iam.Role(
        component.child_name(key),
        assume_role_policy=pulumi.Output.all(account, source).apply(trust),
        tags=component.tags,
        opts=component.child(key),
    )


def _policy(component: Component, key: str, role: iam.Role, statements: list[dict[str, Any]]) -> iam.RolePolicy:
    return iam.RolePolicy(
        component.child_name(key),
        role=role.name,
        policy=pulumi.Output.json_dumps(policy_document(*statements)),
        opts=component.child(key),
    )


def _statements(jobs: UsedJobs, location: Location, function: Published) -> list[dict[str, Any]]:
    """What the state machine needs from its creation on."""
    # https://docs.aws.amazon.com/step-functions/latest/dg/cw-logs.html#cloudwatch-iam-policy: these take no resource.
    logs = ("CreateLogDelivery", "DeleteLogDelivery", "GetLogDelivery", "ListLogDeliveries", "UpdateLogDelivery")
    policies = ("DescribeLogGroups", "DescribeResourcePolicies", "PutResourcePolicy")
    return [
        allow("DoSteps", ["lambda:InvokeFunction"], function.alias.arn),
        *jobs.read_chunks(location),
        allow("DeliverLogs", [f"logs:{action}" for action in (*logs, *policies)], "*"),
    ]


def _of_map(machine_arn: pulumi.Output[str]) -> list[dict[str, Any]]:
    """What a Distributed Map needs: each of its items is an execution of the same state machine.

    https://docs.aws.amazon.com/step-functions/latest/dg/iam-policies-eg-dist-map.html
    """
    executions = machine_arn.apply(lambda arn: arn.replace(":stateMachine:", ":execution:"))
    of_map = ["states:DescribeExecution", "states:StopExecution"]
    return [
        allow("StartChunks", ["states:StartExecution"], machine_arn),
        allow("FollowChunks", of_map, [pulumi.Output.concat(executions, end) for end in (":*", "/*:*")]),
    ]
