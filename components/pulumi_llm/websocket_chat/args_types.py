"""The arguments as TypedDicts, for programs and for Pulumi's analyzer. Made by `make docs` from args.py."""

from collections.abc import Mapping, Sequence
from typing import Any, NotRequired, TypedDict

import pulumi

from pulumi_llm.api_edge.args_types import (
    AnswerCacheArgs,
    ApiKeyArgs,
    FlagsArgs,
    JwtArgs,
    LimitArgs,
    MetricsArgs,
    OtlpArgs,
    RetrievalArgs,
    RuleArgs,
    SafetyArgs,
    TableArgs,
    ThrottleArgs,
)
from pulumi_llm.base.args_types import PolicyArgs, VpcArgs
from pulumi_llm.routing.args_types import ModelArgs, ProviderArgs


class WebSocketChatArgs(TypedDict):
    """The arguments. What decides which resources there are is plain; the rest may be Outputs."""

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
    cache: NotRequired[AnswerCacheArgs]
    """Cache answers, so that equal requests of a tenant are generated once. Default: each request is."""
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
    stage_throttle: NotRequired[ThrottleArgs]
    """The rate of each route, whoever calls: API Gateway counts every route by itself. Default: rate_limit 100, burst_limit
    200."""
    connections_per_key: NotRequired[int]
    """How many connections one API key, or one caller of a token, may have open at once; ten times as many may begin in ten
    minutes. One whose end API Gateway does not report counts for up to two hours and ten minutes: take twice what you
    expect. `keys[].websocket_connections` is a key's own. With `auth` "none" it does not hold. From 1 to 100,000. Default:
    1,000."""
    messages_per_minute: NotRequired[int]
    """How many messages may come on one connection in a minute. From 10 to 6,000. Default: 120."""
    generations_per_connection: NotRequired[int]
    """How many generations may run at once for one connection. From 1 to 100. Default: 4."""
    generations_per_key: NotRequired[int]
    """How many generations may run at once for one API key, or one caller of a token. With `auth` "none" it does not hold.
    From 1 to 200. Default: 20."""
    message_interval_ms: NotRequired[int]
    """The least time between two messages of a generation, in milliseconds. Each message is a call that counts against the
    throttle of all APIs of the account, and costs money. From 50 to 1,000. Default: 50."""
    memory_mb: NotRequired[pulumi.Input[int]]
    """The memory of the function that generates, in MB; on Lambda it also sets its share of a processor. From 256 to
    10,240. Default: 512."""
    timeout_seconds: NotRequired[int]
    """How long a generation may take, in seconds. From 30 to 900. Default: 600."""
    log_retention_days: NotRequired[pulumi.Input[int]]
    """How long logs are kept, in days; one of the numbers that CloudWatch Logs accepts. Default: 30."""
    reserved_concurrency: NotRequired[pulumi.Input[int]]
    """The most generations at once, taken from the account's limit. From 1 to 10,000. Default: none reserved."""
    vpc: NotRequired[VpcArgs]
    """The network that the generating function runs in, to reach private servers of models. Messages to clients need a way
    to the internet, such as a NAT gateway: no endpoint of a VPC leads to a WebSocket API. Default: Lambda's own."""
    policies: NotRequired[PolicyArgs]
    """What the generating function may do besides what the component lets it. Default: nothing."""
    environment: NotRequired[Mapping[str, pulumi.Input[str]]]
    """More environment variables of the generating function. Default: none."""
    kms_key_arn: NotRequired[pulumi.Input[str]]
    """The KMS key of logs, tables and environment; its policy must let CloudWatch Logs use it. Default: keys of AWS."""
    tracing: NotRequired[bool]
    """Trace invocations with X-Ray: Lambda's segments and, unless there is `otlp`, spans of the calls of models. Default:
    false."""
    access_logs: NotRequired[bool]
    """Log each message at API Gateway; needs the Region's API Gateway log role. Default: true."""
    debug: NotRequired[bool]
    """Show causes in errors; for development. Default: false."""
    deletion_protection: NotRequired[bool]
    """Protect what cannot be made again: the API's address, the keys' values and their table. Default: true."""
    customize: NotRequired[Mapping[str, Mapping[str, Any]]]
    """Per child, arguments that are merged with the component's own. Default: none."""
    auth: NotRequired[str]
    """Who may connect: "api_key", "jwt", or "none", which lets anyone connect. Default: "api_key"."""
    jwt: NotRequired[JwtArgs]
    """The tokens that are accepted, with `auth` "jwt" only. Default: none."""
    keys: NotRequired[Sequence[ApiKeyArgs]]
    """The API keys; `throttle` and `daily_quota` are of REST APIs only. Default: one, named "default"."""
    keys_table: NotRequired[TableArgs]
    """The table of another API's keys, which then may connect here, too. Their limits are given here again (`limits`,
    `key_limits`, `tenant_limits`, with `ledger_table`), or `limits: {}` where they have none. Default: the keys are made
    here."""
    tickets_table: NotRequired[TableArgs]
    """The table of the tickets that a ServerlessBedrockApi issues (`websocket_tickets`): who has one may connect with it
    once, as the caller that it was issued to. It is of an API with the same `auth`, and with "api_key" needs that API's
    `keys_table`. Default: tickets are refused."""
    key_limits: NotRequired[Mapping[str, LimitArgs]]
    """The limits of keys that are in `keys_table`, by their names, each in the place of `limits`. Default: `limits`."""
    flags: NotRequired[FlagsArgs]
    """The feature flags of another component, by which generations are changed and switched off here, too. Default:
    none."""
    ledger_table: NotRequired[TableArgs]
    """The table of what callers have used at another API, a ServerlessBedrockApi's `ledger_table_name`: what they use here
    counts there, too. Default: with limits, a table is made here."""
    region: NotRequired[str]
    """The Region of the component's AWS provider; another one is a mistake. Default: the provider's."""
    parameter_prefix: NotRequired[str]
    """Where SSM parameters with the outputs are made, such as "/pulumi-llm/prod/websocket". Default: none are made."""
    tags: NotRequired[Mapping[str, pulumi.Input[str]]]
    """Tags of every resource. Default: none but the component's own."""
