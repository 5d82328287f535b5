"""The arguments as TypedDicts, for programs and for Pulumi's analyzer. Made by `make docs` from args.py."""

from collections.abc import Mapping, Sequence
from typing import Any, NotRequired, TypedDict

import pulumi

from pulumi_llm.api_edge.args_types import (
    AnswerCacheArgs,
    ApiKeyArgs,
    JwtArgs,
    LimitArgs,
    MetricsArgs,
    OtlpArgs,
    RetrievalArgs,
    RuleArgs,
    SafetyArgs,
    ThrottleArgs,
)
from pulumi_llm.base.args_types import PolicyArgs, VpcArgs
from pulumi_llm.routing.args_types import ModelArgs, ProviderArgs


class RouteArgs(TypedDict):
    """A route of your own on the API, to a function or a URL. It is deployed together with the service's. A route that you
    take away leaves the stage with the next deployment only (`redeploy`)."""

    method: str
    """The HTTP method, or "ANY". Preflight requests are answered for every path."""
    path: str
    """The path, such as "/orders/{id}" or "/files/{proxy+}"."""
    function_arn: NotRequired[pulumi.Input[str]]
    """The function that answers, or its alias, with a proxy integration. API Gateway gets the permission to call it.
    Default: none."""
    url: NotRequired[pulumi.Input[str]]
    """The URL that answers. It may hold the path's parameters, as in "https://orders.example.com/{id}". It gets the
    request's headers, the caller's key or token among them: name only a service that you trust with those. Default:
    none."""
    authorized: NotRequired[bool]
    """Whether callers must be known, as for the service's own routes. Default: true."""


class ExistingApiArgs(TypedDict):
    """A REST API that was made elsewhere. The service gets a stage of its own on it."""

    rest_api_id: pulumi.Input[str]
    """Its id. With `auth` "api_key", its `api_key_source` must be AUTHORIZER."""
    root_resource_id: pulumi.Input[str]
    """The id of its root resource."""
    execution_arn: pulumi.Input[str]
    """Its execution ARN."""
    path_prefix: NotRequired[str]
    """The path below which the service's routes are made, such as "/llm". Default: the root."""
    stage_name: NotRequired[str]
    """The name of the stage that is made, which the API must not have yet. Default: "api"."""
    redeploy_on: NotRequired[Mapping[str, pulumi.Input[str]]]
    """Values of your own methods and integrations, by any names: the stage is made after them, and deployed anew when one
    changes. Default: none."""


class DomainArgs(TypedDict):
    """A custom domain."""

    name: pulumi.Input[str]
    """The host name."""
    existing: NotRequired[bool]
    """The domain name is in API Gateway already, made elsewhere. Only the mapping of its base path to the API is made.
    Default: false."""
    base_path: NotRequired[pulumi.Input[str]]
    """The path below which the API answers, such as "llm". Default: the domain's root."""
    certificate_arn: NotRequired[pulumi.Input[str]]
    """Its certificate in ACM, in the API's Region. Required unless the domain name is there already."""
    zone_id: NotRequired[pulumi.Input[str]]
    """The public Route 53 zone in which its record is made. Default: you make the record."""
    default_endpoint: NotRequired[bool]
    """Answer at API Gateway's own address, too. Default: false."""


class UsageArgs(TypedDict):
    """What callers have used on past days, which a UsageAnalytics counts."""

    tenant_readers: NotRequired[Sequence[str]]
    """The callers that may read what all of their own tenant have used (`GET /usage?scope=tenant`): names of API keys,
    subjects of tokens, or ARNs of roles, as `GET /usage` has them as `caller`. Default: none."""


class ServerlessBedrockApiArgs(TypedDict):
    """The arguments. What decides which resources there are is plain; the rest may be Outputs."""

    models: Sequence[ModelArgs]
    """The models, in order; the first is the default. In a stack's file, a catalogue name alone is enough."""
    providers: NotRequired[Mapping[str, ProviderArgs]]
    """Providers of models besides Bedrock, by the names that targets have for them. Default: none."""
    jobs_per_caller: NotRequired[int]
    """How many jobs of a caller may be queued or running. From 1 to 20,000. Default: 1,000."""
    batches_per_caller: NotRequired[int]
    """How many batches of a caller may be there that have not ended. From 1 to 100. Default: 50."""
    batch_requests_per_caller: NotRequired[int]
    """How many requests, lines of their files, these may have. A batch has up to 50,000. From 1 to 5,000,000. Default:
    100,000."""
    files_per_caller: NotRequired[int]
    """How many files a caller may upload a day (UTC), each of up to 4 MiB; they are kept for some days. From 1 to 100,000.
    Default: 500."""
    otlp: NotRequired[OtlpArgs]
    """Send a span of each request and of each call of a model, with metrics, by OpenTelemetry's protocol. Default: none;
    with `tracing`, X-Ray has the spans."""
    flags: NotRequired[bool]
    """Make a configuration in AWS AppConfig by which the running service is changed without a deployment: switched off, as
    a whole or by alias; weights of targets; filters and the guardrail; the cache; limits; more rules of callers. Each
    process asks for it once a minute. Default: false."""
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
    auth: NotRequired[str]
    """Who may call: "api_key", "jwt", "iam" (AWS signatures), or "none", which lets anyone call. Default: "api_key"."""
    jwt: NotRequired[JwtArgs]
    """The tokens that are accepted, with `auth` "jwt" only. Default: none."""
    authorizer_cache_seconds: NotRequired[int]
    """How long API Gateway trusts an authorizer's answer, in seconds. Above 0, a key must come as Authorization. The
    authorizer itself remembers a key for a minute. From 0 to 3,600. Default: 0."""
    keys: NotRequired[Sequence[ApiKeyArgs]]
    """The API keys. Default: one, named "default"."""
    throttle: NotRequired[ThrottleArgs]
    """A key's rate, with `auth` "api_key" only. A key may have burst_limit + rate_limit * timeout_seconds calls in flight,
    each of which holds an execution: so the rate is low, and agents that send several calls a second live on the burst.
    Raise it where `timeout_seconds` is short, or `reserved_concurrency` large. Default: rate_limit 0.5, burst_limit 20."""
    stage_throttle: NotRequired[ThrottleArgs]
    """The rate of each route, whoever calls: API Gateway counts every method by itself. Default: rate_limit 100,
    burst_limit 200."""
    daily_quota: NotRequired[pulumi.Input[int]]
    """A key's requests a day (UTC), with `auth` "api_key" only. From 1 to 2,147,483,647. Default: 1,000."""
    cors_allow_origin: NotRequired[pulumi.Input[Sequence[pulumi.Input[str]]]]
    """The origins that browsers may call from, or "*", which is any. One origin need not be in a list. Default: "*"."""
    memory_mb: NotRequired[pulumi.Input[int]]
    """The function's memory in MB; on Lambda it also sets its share of a processor. What a size costs: docs/performance.md.
    From 256 to 10,240. Default: 256."""
    timeout_seconds: NotRequired[int]
    """How long an answer may take, in seconds. API Gateway ends a connection on which nothing is sent for 5 minutes: a
    longer answer has to be streamed. From 10 to 895. Default: 300."""
    log_retention_days: NotRequired[pulumi.Input[int]]
    """How long logs are kept, in days; one of the numbers that CloudWatch Logs accepts. Default: 30."""
    reserved_concurrency: NotRequired[pulumi.Input[int]]
    """The most answers at once, taken from the account's limit. Keep it above what one key may have in flight (`throttle`).
    From 1 to 10,000. Default: none reserved."""
    vpc: NotRequired[VpcArgs]
    """The network that the function runs in, to reach private servers of models. Default: Lambda's own, which reaches the
    internet."""
    function_url: NotRequired[bool]
    """Give the function a URL of its own, from which a CDN streams to its page past the REST API: without the REST API's
    price, and without the usage plans and limits of `throttle`, `daily_quota` and `stage_throttle`. Only the CDN may call
    it. Default: false."""
    idempotency: NotRequired[bool]
    """Keep answers to requests that name an `Idempotency-Key`: a client that sends one again gets the same answer, from one
    call of the model, and one that was cut off goes on with its stream. Makes a table. Default: false."""
    policies: NotRequired[PolicyArgs]
    """What the function may do besides what the component lets it. Default: nothing."""
    environment: NotRequired[Mapping[str, pulumi.Input[str]]]
    """More environment variables of the function. Default: none."""
    kms_key_arn: NotRequired[pulumi.Input[str]]
    """The KMS key of logs, table and environment; its policy must let CloudWatch Logs use it. Default: keys of AWS."""
    tracing: NotRequired[bool]
    """Trace requests with X-Ray: API Gateway's and Lambda's segments and, unless there is `otlp`, spans of the calls of
    models. Default: false."""
    endpoint: NotRequired[str]
    """Where the API is reached: "regional", or "private" through VPC endpoints only. Default: "regional"."""
    vpc_endpoint_ids: NotRequired[Sequence[pulumi.Input[str]]]
    """The VPC endpoints for execute-api through which a private API is called. Required with `endpoint` "private"."""
    resource_policy: NotRequired[pulumi.Input[Mapping[str, Any]]]
    """The API's resource policy, a document or its JSON; "execute-api:/*" is the API itself. Default: none; for a private
    API, one that lets calls in through its VPC endpoints alone."""
    routes: NotRequired[Sequence[RouteArgs]]
    """Routes of your own on the API. Default: none."""
    redeploy: NotRequired[str]
    """Any text; with another one the API is deployed again. `pulumi up` deletes what you take away (routes, a resource
    policy) after it has deployed the API, so that the stage still serves it: change this text then, and run `pulumi up`
    again. Default: none."""
    existing_api: NotRequired[ExistingApiArgs]
    """Your own REST API, on which the service is put. Default: a REST API is made."""
    domain: NotRequired[DomainArgs]
    """A custom domain. Default: API Gateway's own address."""
    access_logs: NotRequired[bool]
    """Log each request at API Gateway; needs the Region's API Gateway log role. A program that makes the role itself gives
    its AccountBaseline as `depends_on` in this component's options. Default: true."""
    access_log_destination_arn: NotRequired[pulumi.Input[str]]
    """The log group or Firehose stream of your own that gets the access logs, in the API's Region. Default: a log group is
    made."""
    debug: NotRequired[bool]
    """Show causes in error answers; for development. Default: false."""
    deletion_protection: NotRequired[bool]
    """Protect what cannot be made again, the API's address and the keys' values, and the table of keys: `pulumi destroy`
    refuses before it deletes anything. To destroy the stack, set it to false and run `pulumi up` first. Default: true."""
    web_adapter_layer_version: NotRequired[int]
    """The version of AWS's Lambda Web Adapter layer; 30 is the adapter 1.1.0. At least 1. Default: 30."""
    web_adapter_layer_arn: NotRequired[pulumi.Input[str]]
    """Another Web Adapter layer (arm64), such as a copy in your own account, in the API's Region. Default: AWS's."""
    customize: NotRequired[Mapping[str, Mapping[str, Any]]]
    """Per child, arguments that are merged with the component's own. Default: none."""
    websocket_tickets: NotRequired[bool]
    """Issue tickets (`POST /ws/ticket`), with which browsers connect to a WebSocketChat. For `auth` "api_key" and "jwt".
    Default: false."""
    jobs: NotRequired[bool]
    """Take jobs (`POST /jobs`), which an AsyncInference works off. Makes a table and a bucket. Default: false."""
    batches: NotRequired[bool]
    """Take files and batches as OpenAI's API does (`/v1/files`, `/v1/batches`), which an AsyncInference works off. Needs
    `jobs`. Default: false."""
    usage: NotRequired[UsageArgs]
    """Tell callers what they have used on past days, by alias and target (`GET /usage?by=alias`), which a UsageAnalytics
    counts. Makes a table. Default: it is not counted."""
    region: NotRequired[str]
    """The Region of the component's AWS provider; another one is a mistake. Default: the provider's."""
    parameter_prefix: NotRequired[str]
    """Where SSM parameters with the outputs are made, such as "/pulumi-llm/prod/chat". Default: none are made."""
    tags: NotRequired[Mapping[str, pulumi.Input[str]]]
    """Tags of every resource. Default: none but the component's own."""
