"""The events of jobs: from the stream of their table to a bus, and from there to the queue of the workers.

A job's item is the only thing that functions write. Every event is made of a change of it, so that none is told of a job which
is not there, and none is lost between two writes.
"""

import json
from collections.abc import Mapping
from typing import Any

import pulumi
from pulumi_aws import cloudwatch, get_caller_identity_output, iam, pipes

from llm_gateway.tables import BATCH_ACCEPTED, JOB_ACCEPTED, JOB_EVENT, JOB_EVENT_SOURCE, JOB_STATUS, JOB_VERSION
from pulumi_llm.api_edge.used import JobsSettings
from pulumi_llm.async_inference.event_schemas import FIELDS
from pulumi_llm.async_inference.queues import Queues
from pulumi_llm.base.component import Component
from pulumi_llm.base.iam import allow, assume_role, decrypt_table, policy_document
from pulumi_llm.base.location import Location

CHILDREN: Mapping[str, type[pulumi.Resource]] = {
    "bus": cloudwatch.EventBus,
    "pipe-role": iam.Role,
    "pipe-role-policy": iam.RolePolicy,
    "pipe": pipes.Pipe,
    "rule": cloudwatch.EventRule,
    "target": cloudwatch.EventTarget,
    "archive": cloudwatch.EventArchive,
}

# A pipe takes no more records at once than the target does in one call.
# https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-pipes-batching-concurrency.html
_BATCH = 10
# A change that the bus has not taken for so long is dropped, which leaves its job undone, so it is tried nearly as long as the
# stream has it, which is 24 hours: where the bus takes one change, it takes all. In the hour that is left, its place in the
# stream, which the queue of undelivered events gets, can be read.
_RECORD_AGE_SECONDS = 23 * 60 * 60
# As long and as often as EventBridge takes. https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_RetryPolicy.html
RETRIES = {"maximum_event_age_in_seconds": 24 * 60 * 60, "maximum_retry_attempts": 185}
# What a replay of the archive sends has its name. It is for rules of the user's own. To the queue of jobs it must not come: a
# job that has failed would run again.
# https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-archive.html
NO_REPLAY: Mapping[str, Any] = {"replay-name": [{"exists": False}]}


def create_bus(component: Component) -> cloudwatch.EventBus:
    """Make the bus. It costs nothing but the events that come."""
    return cloudwatch.EventBus(
        component.child_name("bus"),
        description="Events of the jobs of pulumi-llm",
        tags=component.tags,
        opts=component.child("bus"),
    )


def create_archive(component: Component, bus: cloudwatch.EventBus, retention_days: int) -> cloudwatch.EventArchive:
    """Make the archive of all that comes to the bus, from which it can be sent to rules again."""
    return cloudwatch.EventArchive(
        component.child_name("archive"),
        description="Events of the jobs of pulumi-llm",
        event_source_arn=bus.arn,
        retention_days=retention_days,
        opts=component.child("archive"),
    )


def create_rule(component: Component, bus: cloudwatch.EventBus) -> cloudwatch.EventRule:
    """Make the rule that chooses the jobs which are to be done."""
    pattern = {"source": [JOB_EVENT_SOURCE], "detail-type": [JOB_ACCEPTED], **NO_REPLAY}
    return cloudwatch.EventRule(
        component.child_name("rule"),
        description="Jobs that wait for a worker",
        event_bus_name=bus.name,
        event_pattern=json.dumps(pattern),
        tags=component.tags,
        opts=component.child("rule"),
    )


def create_target(
    component: Component,
    bus: cloudwatch.EventBus,
    rule: cloudwatch.EventRule,
    queues: Queues,
    ready: list[pulumi.Resource],
) -> cloudwatch.EventTarget:
    """Let the rule send to the queue, once `ready` lets it."""
    return cloudwatch.EventTarget(
        component.child_name("target"),
        event_bus_name=bus.name,
        rule=rule.name,
        arn=queues.jobs.arn,
        retry_policy=RETRIES,  # pyright: ignore[reportArgumentType]
        dead_letter_config={"arn": queues.undelivered.arn},
        opts=component.child("target", depends_on=ready),
    )


def create_pipe(
    component: Component,
    jobs: JobsSettings,
    location: Location,
    bus: cloudwatch.EventBus,
    queues: Queues,
    ready: list[pulumi.Resource],
) -> pipes.Pipe:
    """Make the pipe. It begins with what the stream has, so after all that an event needs on its way, which is `ready`.

    EventBridge looks whether the role reaches the stream and the queue only once the pipe is there, and a pipe that has failed
    stays so. So it is made last, when the role and the stream are as old as can be.
    https://github.com/hashicorp/terraform-provider-aws/issues/40572
    """
    account = get_caller_identity_output(opts=component.invoke_options()).account_id
    role = iam.Role(
        component.child_name("pipe-role"),
        assume_role_policy=account.apply(lambda account: json.dumps(_trust(location, account))),
        tags=component.tags,
        opts=component.child("pipe-role"),
    )
    policy = iam.RolePolicy(
        component.child_name("pipe-role-policy"),
        role=role.name,
        policy=pulumi.Output.json_dumps(policy_document(*_statements(jobs, bus, queues))),
        opts=component.child("pipe-role-policy"),
    )
    return pipes.Pipe(
        component.child_name("pipe"),
        description="Changes of jobs become events",
        role_arn=role.arn,
        source=jobs.stream_arn,
        source_parameters={
            "dynamodb_stream_parameters": {
                "starting_position": "TRIM_HORIZON",
                "batch_size": _BATCH,
                # Of one job, the events keep their order.
                "parallelization_factor": 10,
                "maximum_record_age_in_seconds": _RECORD_AGE_SECONDS,
                "maximum_retry_attempts": -1,
                "on_partial_batch_item_failure": "AUTOMATIC_BISECT",
                "dead_letter_config": {"arn": queues.undelivered.arn},
            },
            "filter_criteria": {"filters": [{"pattern": json.dumps(pattern)} for pattern in _PATTERNS]},
        },
        target=bus.arn,
        target_parameters={
            "eventbridge_event_bus_parameters": {"detail_type": f"$.{_image(JOB_EVENT)}.S", "source": JOB_EVENT_SOURCE},
            "input_template": _TEMPLATE,
        },
        tags=component.tags,
        opts=component.child("pipe", depends_on=[policy, *ready]),
    )


def _image(attribute: str) -> str:
    return f"dynamodb.NewImage.{attribute}"


def _change(before: list[str], after: list[str]) -> dict[str, Any]:
    images = {"OldImage": {JOB_STATUS: {"S": before}}, "NewImage": {JOB_STATUS: {"S": after}}}
    return {"eventName": ["MODIFY"], "dynamodb": images}


# The changes that are events: the acceptance, again where a job is requeued, and each transition of the status, but not a
# worker's return from running to queued, not what is between the begin and the end of a batch, and nothing that leaves the
# status as it is, such as a worker's sign of life. What TTL deletes is none either.
_PATTERNS: tuple[dict[str, Any], ...] = (
    # MODIFY: a job whose Idempotency-Key comes again takes the place of an expired one, until TTL has deleted that.
    {"eventName": ["INSERT", "MODIFY"], "dynamodb": {"NewImage": {JOB_EVENT: {"S": [JOB_ACCEPTED, BATCH_ACCEPTED]}}}},
    # The states of a job and, where there are others, those of a batch: a pipe has five filters at most.
    # https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-pipes-event-filtering.html
    _change(["queued", "failed", "validating"], ["running", "in_progress"]),
    _change(
        ["queued", "running", "validating", "in_progress", "finalizing", "cancelling"],
        ["succeeded", "failed", "cancelled", "completed", "expired"],
    ),
)

# A path that stands alone becomes a JSON value, a text with its quotes, as the CDK's InputTransformation.fromObject has it.
# https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-pipes-input-transformation.html
# Within quotes it is put in as it is: so the version, a number, is a text like the others, as the schemas have it.
_DETAIL = {name: f"<$.{_image(field.path)}>" for name, field in FIELDS.items()}
_DETAIL[JOB_VERSION] = f'"{_DETAIL[JOB_VERSION]}"'
_TEMPLATE = "{" + ", ".join(f'"{name}": {path}' for name, path in _DETAIL.items()) + "}"


def _trust(location: Location, account: str) -> dict[str, Any]:
    """Only pipes of this account and Region may take the role. The name of this one is known after its role alone, and may be
    any: `customize` or a project's own way of naming may give it. A pipe that could not take its role would stay failed."""
    return assume_role("pipes.amazonaws.com", account, f"arn:{location.partition}:pipes:{location.region}:{account}:pipe/*")


def _statements(jobs: JobsSettings, bus: cloudwatch.EventBus, queues: Queues) -> list[dict[str, Any]]:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-pipes-permissions.html"""
    read = [f"dynamodb:{action}" for action in ("DescribeStream", "GetRecords", "GetShardIterator")]
    return [
        allow("ReadChanges", read, jobs.stream_arn),
        # It takes no resource.
        allow("FindStream", ["dynamodb:ListStreams"], "*"),
        allow("PutEvents", ["events:PutEvents"], bus.arn),
        allow("KeepUndelivered", ["sqs:SendMessage"], queues.undelivered.arn),
        *([] if jobs.kms_key_arn is None else [decrypt_table("DecryptChanges", jobs.kms_key_arn)]),
    ]
