"""The description of AsyncInference's settings. The TypedDicts in args_types.py are generated from it."""

from collections.abc import Iterator, Mapping
from typing import Annotated

from pydantic import Field

from llm_gateway.limits import CallerLimits
from llm_gateway.queues import MOST_JOB_TRIES
from pulumi_llm.api_edge.limits import CallerLimitSettings, LimitSettings
from pulumi_llm.api_edge.metrics import CallMetricsSettings
from pulumi_llm.api_edge.retrieval import RetrievingSettings
from pulumi_llm.api_edge.rules import CallerRuleSettings
from pulumi_llm.api_edge.safety import CheckedSettings
from pulumi_llm.api_edge.tracing import TracedSettings
from pulumi_llm.api_edge.used import FlagsSettings, JobsSettings, TableSettings
from pulumi_llm.async_inference.batch_settings import BatchesSettings
from pulumi_llm.async_inference.notification_settings import MOST_NOTIFICATIONS, NotificationName, NotificationSettings
from pulumi_llm.base.function_settings import PolicySettings, Variables, VpcSettings, environment_problems
from pulumi_llm.base.location import Location
from pulumi_llm.base.settings import (
    Between,
    Count,
    Customize,
    Flag,
    Input,
    KmsKeyArn,
    Name,
    ParameterPrefix,
    Problem,
    Region,
    RetentionDays,
    Settings,
    Tags,
    region_problems,
)
from pulumi_llm.routing import Routing, RoutingSettings, policy_problems, read


class AsyncInferenceBaseSettings(Settings):
    """What a stack's configuration and a program's arguments say alike."""

    free_text = ("customize", "environment")
    regional = ("kms_key_arn",)

    # https://docs.aws.amazon.com/lambda/latest/api/API_ScalingConfig.html
    maximum_concurrency: Annotated[Count, Between(2, 1_000)] = 5
    """How many workers may run at once. With `batch_size` it bounds the calls of models: by default 5 x 4 = 20 at once."""
    # A batch above ten needs a window in which it is gathered: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-parameters.html
    batch_size: Annotated[Count, Between(1, 10)] = 4
    """How many jobs a worker does at once. Most of its time it waits for models, so that more of them cost less."""
    # AWS advises five and more: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html. With ten, a job lives
    # through half an hour in which a model fails.
    max_tries: Annotated[Count, Between(2, MOST_JOB_TRIES)] = 10
    """How often a job is tried that fails by an error that may pass (500, 502, 504), or whose worker dies, before it has failed
    and its message is kept as a dead letter. That it was postponed (429, 503) is no try."""
    memory_mb: Input[Annotated[Count, Between(256, 10_240)]] = 512
    """The worker's memory in MB; on Lambda it also sets its share of a processor."""
    timeout_seconds: Annotated[Count, Between(30, 900)] = 300
    """How long a job may take, in seconds."""
    batches: BatchesSettings | None = None
    """Work off batches, which an API with `batches: true` takes, by a state machine. Default: none are."""
    log_retention_days: Input[RetentionDays] = 30
    """How long logs are kept, in days; one of the numbers that CloudWatch Logs accepts."""
    reserved_concurrency: Annotated[Count, Between(2, 10_000)] | None = None
    """Executions of the account that are kept for the worker, at least `maximum_concurrency`. Default: none reserved."""
    vpc: VpcSettings | None = None
    """The network that the worker runs in, to reach private servers of models. Default: Lambda's own, which reaches the
    internet."""
    policies: PolicySettings = PolicySettings()
    """What the worker may do besides what the component lets it. Default: nothing."""
    environment: Variables = Field(default_factory=dict)
    """More environment variables of the worker. Default: none."""
    kms_key_arn: Input[KmsKeyArn] | None = None
    """The KMS key of logs and environment; its policy must let CloudWatch Logs use it. Default: keys of AWS."""
    tracing: Flag = False
    """Trace invocations with X-Ray: Lambda's segments and, unless there is `otlp`, spans of the calls of models."""
    # https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-archive.html
    event_archive_days: Annotated[Count, Between(1, 3_650)] | None = None
    """Days for which the events of jobs are kept, to be sent to rules of your own again. Default: they are not kept."""
    event_schemas: Flag = False
    """Make a schema registry of EventBridge's with the schemas of the events of jobs, for whoever writes rules and code for
    them."""
    notifications: Annotated[Mapping[NotificationName, NotificationSettings], Field(max_length=MOST_NOTIFICATIONS)] = Field(
        default_factory=dict
    )
    """Who is told of events of jobs, by names of your own, at most five. Default: nobody."""
    debug: Flag = False
    """Show causes in the errors of jobs; for development."""
    customize: Customize = Field(default_factory=dict)
    """Per child, arguments that are merged with the component's own. Default: none."""

    def problems(self) -> Iterator[Problem]:
        reserved = self.reserved_concurrency
        if reserved is not None and self.valid("maximum_concurrency") and reserved < self.maximum_concurrency:
            reason = (
                f"must be at least maximum_concurrency, which is {self.maximum_concurrency}, not {reserved}: Lambda would "
                "throttle the worker"
            )
            yield Problem("reserved_concurrency", reason)


class AsyncInferenceSettings(
    AsyncInferenceBaseSettings,
    CallerLimitSettings,
    CallerRuleSettings,
    CheckedSettings,
    RetrievingSettings,
    CallMetricsSettings,
    TracedSettings,
    RoutingSettings,
):
    """The arguments. What decides which resources there are is plain; the rest may be Outputs. `models`, `limits`, `rules`,
    `safety` and so on are to be those of the API that takes the jobs."""

    jobs: JobsSettings
    """The jobs of a ServerlessBedrockApi, which has `jobs: true`."""
    key_limits: Mapping[Name, LimitSettings] = Field(default_factory=dict)
    """The limits of single keys of that API, by their names, each in the place of `limits`. Default: `limits`."""
    ledger_table: TableSettings | None = None
    """The table of what callers have used at that API, its output `ledger_table_name`: jobs count there. Required with
    limits."""
    flags: FlagsSettings | None = None
    """The feature flags of that API, by which jobs are changed and switched off, too. Default: none."""
    region: Region | None = None
    """The Region of the component's AWS provider; another one is a mistake. Default: the provider's."""
    parameter_prefix: ParameterPrefix | None = None
    """Where SSM parameters with the outputs are made, such as "/pulumi-llm/prod/jobs". Default: none are made."""
    tags: Tags = Field(default_factory=dict)
    """Tags of every resource. Default: none but the component's own."""

    def routing(self, location: Location) -> Routing:
        """What is routed where, within which limits and rules, what is checked, and which answers have passages."""
        limits, metrics, rules = self.all_limits(), self.call_metrics(()), self.rule_documents()
        routing = read(self, location, self.timeout_seconds, limits=limits, metrics=metrics, rules=rules, costs=self.log_costs)
        return self.traced(self.retrieving(self.checked(routing, location)), xray=self.tracing)

    def all_limits(self) -> CallerLimits | None:
        """The limits as the worker reads them; None where there are none."""
        return self.caller_limits(dict(self.key_limits or {}))

    def problems(self) -> Iterator[Problem]:
        yield from super().problems()
        of_keys = {f"key_limits.{name}": limits for name, limits in (self.key_limits or {}).items()}
        yield from self.limit_problems(of_keys, self.aliases())
        # Who may call is the API's affair.
        yield from self.rule_problems("api_key", None, self.aliases())
        limited = self.all_limits() is not None
        if limited and not self.given("ledger_table"):
            yield Problem("ledger_table", "is required with limits: that of the API, where its callers' requests count, too")
        if not limited and self.given("ledger_table"):
            yield Problem("ledger_table", "is only for limits, and there are none; leave it out")
        if self.makes_guardrail:
            yield Problem(
                "safety.guardrail.arn", "is required: the output guardrail_arn of the API that takes the jobs, or another"
            )

    def problems_in(self, location: Location) -> Iterator[Problem]:
        """Yield what is wrong with them at a location."""
        yield from region_problems(self.region, location)
        routing = self.routing(location)
        yield from routing.problems
        yield from self.guardrail_problems(location)
        yield from self.retrieval_problems(routing)
        yield from self.rule_target_problems(routing.routes, location.region, None, self.guardrail_regions(location))
        yield from policy_problems(routing, self.policies, location)
        yield from environment_problems(self.environment, routing.environment)
