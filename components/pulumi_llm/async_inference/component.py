"""AsyncInference: works off the jobs that an API takes, and tells of them by events."""

from collections.abc import Collection, Mapping
from types import MappingProxyType

import pulumi
from pulumi_aws import ssm

from llm_gateway.job_events import STATUS_OF
from pulumi_llm.api_edge.jobs import UsedJobs
from pulumi_llm.api_edge.used import unsaid_warning
from pulumi_llm.async_inference import batches, event_schemas, events, queues, webhooks, worker
from pulumi_llm.async_inference.args import AsyncInferenceSettings
from pulumi_llm.async_inference.args_types import AsyncInferenceArgs
from pulumi_llm.base.component import Component
from pulumi_llm.base.lambda_function import Shared
from pulumi_llm.base.location import Location
from pulumi_llm.base.parameters import create_parameters
from pulumi_llm.base.settings import read_arguments

# The outputs that other stacks need.
PARAMETERS = (
    "event_bus_name",
    "event_bus_arn",
    "queue_url",
    "queue_arn",
    "dead_letter_queue_url",
    "dead_letter_queue_arn",
    "undelivered_queue_url",
    "function_name",
    "function_arn",
    "function_alias_arn",
    "role_name",
    "role_arn",
    "log_group_name",
    "log_group_arn",
)


class AsyncInference(Component):
    """Workers for the jobs that a ServerlessBedrockApi takes (`jobs: true`), fed by a queue, and a bus of events that tells of
    each change of a job. Without jobs it costs next to nothing.

    Raises `pulumi.InputPropertiesError` that lists every argument that is wrong.
    """

    CHILDREN = MappingProxyType(
        {
            **queues.CHILDREN,
            **events.CHILDREN,
            **event_schemas.CHILDREN,
            **webhooks.CHILDREN,
            **worker.CHILDREN,
            **batches.CHILDREN,
            "parameter": ssm.Parameter,
        }
    )

    event_bus_name: pulumi.Output[str]
    """The bus of the events of jobs, for rules of your own."""
    event_bus_arn: pulumi.Output[str]
    """Its ARN."""
    queue_url: pulumi.Output[str]
    """The queue of the jobs that wait for a worker."""
    queue_arn: pulumi.Output[str]
    """Its ARN."""
    dead_letter_queue_url: pulumi.Output[str]
    """The queue of the jobs that have failed each time they were tried."""
    dead_letter_queue_arn: pulumi.Output[str]
    """Its ARN, from which its messages are moved back."""
    pipe_name: pulumi.Output[str]
    """The pipe that makes events of the changes of jobs. It must be RUNNING after the first `up`."""
    undelivered_queue_url: pulumi.Output[str]
    """The queue of the events that reached no queue."""
    webhook_dead_letter_queue_arn: pulumi.Output[str]
    """The queue of the events that a receiver of `notifications` has not taken; empty where there are none."""
    function_name: pulumi.Output[str]
    """The worker."""
    function_arn: pulumi.Output[str]
    """Its ARN, without a version."""
    function_alias_arn: pulumi.Output[str]
    """Its alias `live`."""
    role_name: pulumi.Output[str]
    """Its role, for policies of your own."""
    role_arn: pulumi.Output[str]
    """The role's ARN."""
    log_group_name: pulumi.Output[str]
    """Its log group."""
    log_group_arn: pulumi.Output[str]
    """The log group's ARN."""
    batch_machine_arn: pulumi.Output[str]
    """The state machine that works batches off. Empty without `batches`."""

    def __init__(self, name: str, args: AsyncInferenceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        settings, location = read_arguments(type(self).__name__, name, AsyncInferenceSettings, args, self.CHILDREN, opts, _made)
        super().__init__(name, opts, settings.tags, settings.customize)
        if warning := unsaid_warning(settings):
            pulumi.log.warn(warning, resource=self)
        made = queues.create_queues(self, timeout_seconds=settings.timeout_seconds)
        shared = Shared(
            log_retention_days=settings.log_retention_days, kms_key_arn=settings.kms_key_arn, tracing=settings.tracing
        )
        published, of_batches = worker.create_workers(self, settings, settings.routing(location), location, shared, made)
        mapping = worker.feed_worker(
            self,
            published,
            made.jobs,
            batch_size=settings.batch_size,
            maximum_concurrency=settings.maximum_concurrency,
        )
        bus = events.create_bus(self)
        rule = events.create_rule(self, bus)
        notified = webhooks.create_rules(self, settings.notifications, bus)
        others = [each.arn for each in notified.values()]
        batch_rule = None if of_batches is None else batches.create_rule(self, bus)
        if batch_rule is not None:
            others.append(batch_rule.arn)
        ready = queues.protect_queues(self, made, rule.arn, others)
        target = events.create_target(self, bus, rule, made, ready)
        before_pipe: list[pulumi.Resource] = [target, mapping]
        self.batch_machine_arn = pulumi.Output.from_input("")
        if settings.batches is not None and of_batches is not None and batch_rule is not None:
            jobs = UsedJobs.of(settings.jobs, location)
            machine, let_map = batches.create_machine(
                self, settings.batches, shared, jobs, location, of_batches, max_tries=settings.max_tries
            )
            let_start = [*let_map, *ready]
            before_pipe.append(batches.create_target(self, bus, batch_rule, machine, made.undelivered, let_start))
            self.batch_machine_arn = machine.arn
        if settings.event_archive_days is not None:
            before_pipe.append(events.create_archive(self, bus, settings.event_archive_days))
        if settings.event_schemas:
            event_schemas.create_schemas(self)
        webhook_dead_letters = None
        if notified:
            webhook_dead_letters, sending = webhooks.create_webhooks(self, settings, location, bus, notified, made, ready)
            before_pipe += sending
        pipe = events.create_pipe(self, settings.jobs, location, bus, made, before_pipe)
        self.event_bus_name, self.event_bus_arn = bus.name, bus.arn
        self.queue_url, self.queue_arn = made.jobs.url, made.jobs.arn
        self.dead_letter_queue_url, self.dead_letter_queue_arn = made.dead_letters.url, made.dead_letters.arn
        self.pipe_name, self.undelivered_queue_url = pipe.name, made.undelivered.url
        self.webhook_dead_letter_queue_arn = pulumi.Output.from_input(
            "" if webhook_dead_letters is None else webhook_dead_letters.arn
        )
        self.function_name, self.function_arn = published.function.name, published.function.arn
        self.function_alias_arn = published.alias.arn
        self.role_name, self.role_arn = published.role.name, published.role.arn
        self.log_group_name, self.log_group_arn = published.log_group.name, published.log_group.arn
        if settings.parameter_prefix is not None:
            create_parameters(self, settings.parameter_prefix, PARAMETERS)
        self.finish()


def _made(settings: AsyncInferenceSettings, location: Location) -> Mapping[str, Collection[str]]:
    """What stands behind the keys in the names of their children: "" where nothing does, nothing where there is none."""
    routing = settings.routing(location)
    names = list(settings.notifications) if settings.valid("notifications") else []
    single = {
        "bedrock-policy": bool(routing.models),
        "bedrock-output-policy": bool(routing.output_models),
        "secrets-policy": bool(routing.secret_arns),
        "wake-policy": bool(routing.queue_arns),
        "worker-vpc-policy": settings.vpc is not None,
        "archive": settings.event_archive_days is not None,
        "schemas": settings.event_schemas,
        **dict.fromkeys(webhooks.SHARED, bool(names)),
    }
    return {
        **{key: [""] if made else [] for key, made in single.items()},
        "schema": [event.replace(".", "-") for event in STATUS_OF] if settings.event_schemas else [],
        **dict.fromkeys(webhooks.EACH, names),
        **{key: [""] if settings.batches is not None else [] for key in batches.CHILDREN},
        "managed-policy": list(settings.policies.managed) if settings.valid("policies") else [],
        "inline-policy": list(settings.policies.inline) if settings.valid("policies") else [],
        "parameter": [output.replace("_", "-") for output in PARAMETERS] if settings.parameter_prefix else [],
    }
