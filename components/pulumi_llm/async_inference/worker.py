"""The function that works jobs off, and the mapping by which Lambda calls it with messages of the queue."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import pulumi
from pulumi_aws import cloudwatch, iam, lambda_, sqs

from llm_gateway import environment as variables
from pulumi_llm.api_edge.generating import used_stages
from pulumi_llm.api_edge.guardrail import use_guardrail
from pulumi_llm.api_edge.jobs import UsedJobs
from pulumi_llm.api_edge.tables import UsedTable
from pulumi_llm.async_inference.args import AsyncInferenceSettings
from pulumi_llm.async_inference.queues import Queues
from pulumi_llm.async_inference.state_machine import FUNCTION_SECONDS
from pulumi_llm.base import bundle
from pulumi_llm.base.component import Component
from pulumi_llm.base.iam import allow
from pulumi_llm.base.lambda_function import Published, Shared, create_identity, publish_as
from pulumi_llm.base.location import Location
from pulumi_llm.routing import Routing, model_policies

CHILDREN: Mapping[str, type[pulumi.Resource]] = {
    "worker-logs": cloudwatch.LogGroup,
    "worker-role": iam.Role,
    "worker-logs-policy": iam.RolePolicy,
    "worker-policy": iam.RolePolicy,
    "worker-vpc-policy": iam.RolePolicy,
    "bedrock-policy": iam.RolePolicy,
    "bedrock-output-policy": iam.RolePolicy,
    "secrets-policy": iam.RolePolicy,
    "wake-policy": iam.RolePolicy,
    "managed-policy": iam.RolePolicyAttachment,
    "inline-policy": iam.RolePolicy,
    "worker-function": lambda_.Function,
    "worker-alias": lambda_.Alias,
    "mapping": lambda_.EventSourceMapping,
}


class Workers(NamedTuple):
    """The worker, and the function of batches, if there is one."""

    jobs: Published
    batches: Published | None


def create_workers(
    component: Component,
    settings: AsyncInferenceSettings,
    routing: Routing,
    location: Location,
    shared: Shared,
    queues: Queues,
) -> Workers:
    """Make the worker, which may call exactly the models and read exactly the secrets of `routing`.

    The function of batches asks the same models, for the same callers, so it has the same role, and the same log group.
    """
    jobs = UsedJobs.of(settings.jobs, location)
    guardrail = None
    if settings.guardrail is not None:
        guardrail = use_guardrail(component, settings.guardrail, location, settings.customize)
    stages = used_stages(
        component,
        location,
        ledger=None if settings.ledger_table is None else UsedTable.of(settings.ledger_table),
        guardrail=guardrail,
        flags=settings.flags,
        retrieval=settings.retrieval,
        sends_to_xray=settings.sends_to_xray,
    )
    # Lambda receives and deletes messages with the function's role. The worker hides those in hand, and sends those that are to
    # come later.
    # https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
    actions = ("ChangeMessageVisibility", "DeleteMessage", "GetQueueAttributes", "ReceiveMessage", "SendMessage")
    own = [
        *jobs.work_off(location),
        allow("TakeMessages", [f"sqs:{action}" for action in actions], queues.jobs.arn),
        allow("GiveUp", ["sqs:SendMessage"], queues.dead_letters.arn),
        *stages.statements,
    ]
    policies = {"worker-policy": own, **model_policies(component, routing, location)}
    if settings.batches is not None:
        policies["batch-policy"] = jobs.batch_steps()
    identity = create_identity(component, "worker-", shared, policies, settings.vpc, settings.policies)
    code = bundle.archive(routing.routes)

    def published(prefix: str, environment: Mapping[str, pulumi.Input[str]], **more: Any) -> Published:
        debug = {variables.DEBUG: "true"} if settings.debug else {}
        made = {**jobs.variables, **environment, **stages.environment, **routing.environment, **debug}
        common = {**made, **settings.environment}
        layers, vpc = settings.collector_layers, settings.vpc
        return publish_as(component, identity, prefix, shared, code=code, environment=common, layers=layers, vpc=vpc, **more)

    of_jobs = published(
        "worker-",
        {
            variables.JOBS_QUEUE_URL: queues.jobs.url,
            variables.JOBS_DEAD_LETTERS_URL: queues.dead_letters.url,
            variables.JOBS_MAX_TRIES: str(settings.max_tries),
        },
        description="Works jobs off",
        handler="llm_functions.worker.handler",
        memory_mb=settings.memory_mb,
        timeout_seconds=settings.timeout_seconds,
        reserved_concurrency=settings.reserved_concurrency,
    )
    if settings.batches is None:
        return Workers(of_jobs, None)
    of_batches = published(
        "batch-",
        {
            variables.BATCH_LINES_PER_CALL: str(settings.batches.lines_per_call),
            variables.BATCH_ANSWER_SECONDS: str(settings.timeout_seconds),
        },
        description="Does the steps of batches",
        handler="llm_functions.batch.handler",
        memory_mb=settings.batches.memory_mb,
        timeout_seconds=FUNCTION_SECONDS,
        reserved_concurrency=settings.batches.reserved,
    )
    return Workers(of_jobs, of_batches)


def feed_worker(
    component: Component, worker: Published, queue: sqs.Queue, *, batch_size: int, maximum_concurrency: int
) -> lambda_.EventSourceMapping:
    """Let Lambda call the worker with messages, in at most so many executions at once: it receives no more than these take."""
    return lambda_.EventSourceMapping(
        component.child_name("mapping"),
        event_source_arn=queue.arn,
        function_name=worker.alias.arn,
        batch_size=batch_size,
        scaling_config={"maximum_concurrency": maximum_concurrency},
        function_response_types=["ReportBatchItemFailures"],
        tags=component.tags,
        opts=component.child("mapping"),
    )
