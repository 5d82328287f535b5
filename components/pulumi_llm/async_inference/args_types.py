"""The arguments as TypedDicts, for programs and for Pulumi's analyzer. Made by `make docs` from args.py."""

from collections.abc import Mapping, Sequence
from typing import Any, NotRequired, TypedDict

import pulumi

from pulumi_llm.api_edge.args_types import (
    FlagsArgs,
    JobsArgs,
    LimitArgs,
    MetricsArgs,
    OtlpArgs,
    RetrievalArgs,
    RuleArgs,
    SafetyArgs,
    TableArgs,
)
from pulumi_llm.base.args_types import PolicyArgs, VpcArgs
from pulumi_llm.routing.args_types import ModelArgs, ProviderArgs


class BatchesArgs(TypedDict):
    """Batches: files of requests that are answered within a day."""

    maximum_concurrency: NotRequired[int]
    """How many calls of the function a batch may make at once. With `lines_per_call` it bounds the calls of models of each
    batch: by default 5 x 4 = 20 at once. From 1 to 1,000. Default: 5."""
    lines_per_call: NotRequired[int]
    """How many requests a call of the function answers at once. Most of its time it waits for models, so that more of them
    cost less. From 1 to 100. Default: 4."""
    memory_mb: NotRequired[pulumi.Input[int]]
    """The function's memory in MB; on Lambda it also sets its share of a processor. From 256 to 10,240. Default: 512."""
    reserved_concurrency: NotRequired[int]
    """How many calls of the function all batches together may make at once, at least `maximum_concurrency`. So many
    executions of the account are kept for them, so that they never take those of the API. 0: none are kept, and nothing
    bounds them. From 0 to 10,000. Default: 20, or `maximum_concurrency` where that is more."""


class WebhookArgs(TypedDict):
    """A receiver that is told by HTTPS, signed as Standard Webhooks has it."""

    url: pulumi.Input[str]
    """Where the events are posted. Its host must have public addresses only."""
    secret_arn: pulumi.Input[str]
    """The Secrets Manager secret that holds what the events are signed with: `whsec_` and 24 to 64 random bytes in Base64,
    or two of these with a space between them while the receiver changes from one to the other. The whole ARN."""
    kms_key_arn: NotRequired[pulumi.Input[str]]
    """The customer key that encrypts the secret. Default: AWS's own, which needs no permission."""


class NotificationArgs(TypedDict):
    """Who is told of which events of jobs and batches."""

    events: NotRequired[Sequence[str]]
    """Of what they are told. Default: of the end of a job, `job.succeeded`, `job.failed`, `job.cancelled`, and of a batch,
    `batch.completed`, `batch.failed`, `batch.expired`, `batch.cancelled`."""
    tenants: NotRequired[Sequence[str]]
    """The tenants of whose jobs and batches they are told. Default: all."""
    webhook: WebhookArgs
    """The receiver."""


class AsyncInferenceArgs(TypedDict):
    """The arguments. What decides which resources there are is plain; the rest may be Outputs. `models`, `limits`, `rules`,
    `safety` and so on are to be those of the API that takes the jobs."""

    models: Sequence[ModelArgs]
    """The models, in order; the first is the default. In a stack's file, a catalogue name alone is enough."""
    providers: NotRequired[Mapping[str, ProviderArgs]]
    """Providers of models besides Bedrock, by the names that targets have for them. Default: none."""
    otlp: NotRequired[OtlpArgs]
    """Send a span of each request and of each call of a model, with metrics, by OpenTelemetry's protocol. Default: none;
    with `tracing`, X-Ray has the spans."""
    metrics: NotRequired[MetricsArgs]
    """Metrics of requests in CloudWatch: tokens, cost, time to the first token, errors. Default: none; the log has them of
    each request."""
    log_costs: NotRequired[bool]
    """Write what each request costs, by the prices of the models, to its record in the log, where `metrics` do, too. A
    UsageAnalytics counts it. Default: false."""
    retrieval: NotRequired[RetrievalArgs]
    """A knowledge base, whose passages stand in the prompts and are cited in the answers. Default: none."""
    safety: NotRequired[SafetyArgs]
    """What prompts and answers are checked for: length, invisible characters, injections, personal data, and by a guardrail
    of Bedrock's. Default: nothing."""
    rules: NotRequired[Sequence[RuleArgs]]
    """What callers may ask for, and where their data may go. A request that a rule does not allow is answered 403
    `denied_by_rule`, with the rule's name. Default: none."""
    limits: NotRequired[LimitArgs]
    """What each caller may use: an API key, the subject of a token, or an AWS identity, all sessions of a role together.
    With `auth` "none" all callers are one. Without any limits nothing is counted, and no table is made. Default: no
    limits."""
    tenant_limits: NotRequired[Mapping[str, LimitArgs]]
    """What all callers of a tenant may use together, by the tenant's name: that of the keys, the value of a token's
    `tenant_claim`, or the number of an AWS account. Default: no limits."""
    maximum_concurrency: NotRequired[int]
    """How many workers may run at once. With `batch_size` it bounds the calls of models: by default 5 x 4 = 20 at once.
    From 2 to 1,000. Default: 5."""
    batch_size: NotRequired[int]
    """How many jobs a worker does at once. Most of its time it waits for models, so that more of them cost less. From 1 to
    10. Default: 4."""
    max_tries: NotRequired[int]
    """How often a job is tried that fails by an error that may pass (500, 502, 504), or whose worker dies, before it has
    failed and its message is kept as a dead letter. That it was postponed (429, 503) is no try. From 2 to 15. Default:
    10."""
    memory_mb: NotRequired[pulumi.Input[int]]
    """The worker's memory in MB; on Lambda it also sets its share of a processor. From 256 to 10,240. Default: 512."""
    timeout_seconds: NotRequired[int]
    """How long a job may take, in seconds. From 30 to 900. Default: 300."""
    batches: NotRequired[BatchesArgs]
    """Work off batches, which an API with `batches: true` takes, by a state machine. Default: none are."""
    log_retention_days: NotRequired[pulumi.Input[int]]
    """How long logs are kept, in days; one of the numbers that CloudWatch Logs accepts. Default: 30."""
    reserved_concurrency: NotRequired[int]
    """Executions of the account that are kept for the worker, at least `maximum_concurrency`. From 2 to 10,000. Default:
    none reserved."""
    vpc: NotRequired[VpcArgs]
    """The network that the worker runs in, to reach private servers of models. Default: Lambda's own, which reaches the
    internet."""
    policies: NotRequired[PolicyArgs]
    """What the worker may do besides what the component lets it. Default: nothing."""
    environment: NotRequired[Mapping[str, pulumi.Input[str]]]
    """More environment variables of the worker. Default: none."""
    kms_key_arn: NotRequired[pulumi.Input[str]]
    """The KMS key of logs and environment; its policy must let CloudWatch Logs use it. Default: keys of AWS."""
    tracing: NotRequired[bool]
    """Trace invocations with X-Ray: Lambda's segments and, unless there is `otlp`, spans of the calls of models. Default:
    false."""
    event_archive_days: NotRequired[int]
    """Days for which the events of jobs are kept, to be sent to rules of your own again. From 1 to 3,650. Default: they are
    not kept."""
    event_schemas: NotRequired[bool]
    """Make a schema registry of EventBridge's with the schemas of the events of jobs, for whoever writes rules and code for
    them. Default: false."""
    notifications: NotRequired[Mapping[str, NotificationArgs]]
    """Who is told of events of jobs, by names of your own, at most five. Default: nobody."""
    debug: NotRequired[bool]
    """Show causes in the errors of jobs; for development. Default: false."""
    customize: NotRequired[Mapping[str, Mapping[str, Any]]]
    """Per child, arguments that are merged with the component's own. Default: none."""
    jobs: JobsArgs
    """The jobs of a ServerlessBedrockApi, which has `jobs: true`."""
    key_limits: NotRequired[Mapping[str, LimitArgs]]
    """The limits of single keys of that API, by their names, each in the place of `limits`. Default: `limits`."""
    ledger_table: NotRequired[TableArgs]
    """The table of what callers have used at that API, its output `ledger_table_name`: jobs count there. Required with
    limits."""
    flags: NotRequired[FlagsArgs]
    """The feature flags of that API, by which jobs are changed and switched off, too. Default: none."""
    region: NotRequired[str]
    """The Region of the component's AWS provider; another one is a mistake. Default: the provider's."""
    parameter_prefix: NotRequired[str]
    """Where SSM parameters with the outputs are made, such as "/pulumi-llm/prod/jobs". Default: none are made."""
    tags: NotRequired[Mapping[str, pulumi.Input[str]]]
    """Tags of every resource. Default: none but the component's own."""
