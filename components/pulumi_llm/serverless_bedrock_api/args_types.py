"""The arguments as TypedDicts, for programs and for Pulumi's analyzer. Made by `make docs` from args.py."""

from collections.abc import Mapping, Sequence
from typing import Any, NotRequired, TypedDict

import pulumi


class TargetArgs(TypedDict):
    """One of the models behind an alias. A provider's target gives its own bounds; the catalogue has those of Bedrock's."""

    model: pulumi.Input[str]
    """As in ModelArgs; for a provider's target the provider's own id of the model."""
    base_model: NotRequired[str]
    """For an ARN that does not name its model (imported, deployed, provisioned, application profile) or is an Output: the
    catalogue name, id or inference profile id of the model behind it. Default: none."""
    router_models: NotRequired[Sequence[str]]
    """For the ARN of a prompt router: the models that it routes to, named as in base_model. Default: none."""
    destination_regions: NotRequired[Sequence[str]]
    """Where a Bedrock inference profile may run, for one whose Regions the catalogue does not have. The Region of the call
    is always among them. Default: the catalogue's."""
    context_tokens: NotRequired[int]
    """How many tokens the model reads and writes in all. Required, with max_output_tokens, for a provider's model and for
    one of Bedrock's that the catalogue lacks. At least 1. Default: the catalogue's."""
    max_output_tokens: NotRequired[int]
    """How many tokens the model answers at most. Required where context_tokens is. At least 1. Default: the catalogue's."""
    accepts: NotRequired[Sequence[str]]
    """What the model takes, of "max_tokens", "temperature", "top_p", "stop", "system", "tools", "stream_tools",
    "reasoning_effort", "reasoning_content" (the reasoning of earlier turns, which DeepSeek wants back while it uses tools);
    Bedrock is sent neither of the last two. Default: the catalogue's; for a model of Bedrock's that it lacks "max_tokens",
    "system"; for a provider's "max_tokens", "temperature", "top_p", "stop", "system", "tools", "stream_tools"."""
    exclusive: NotRequired[Sequence[str]]
    """Parameters of which the model takes only one. Default: the catalogue's; for a provider's model none; for "anthropic":
    "temperature", "top_p"."""
    temperature_max: NotRequired[float]
    """The highest temperature that the model takes; Bedrock takes at most 1. From 0 to 2. Default: the catalogue's, or 1;
    for a provider's model 2; for "anthropic": 1."""
    stop_max: NotRequired[int]
    """The most stop sequences that the model takes. At least 1. Default: the catalogue's, or any; for a provider's model 4;
    for "anthropic": any."""
    provider: NotRequired[str]
    """The name of a provider. Default: "bedrock"."""
    weight: NotRequired[int]
    """Its share under the strategy "weight". From 1 to 1,000. Default: 1."""
    short_prompt_tokens: NotRequired[int]
    """Under the strategy "workload": this is a small model, which is preferred for prompts up to that size. At least 1.
    Default: a large one."""
    max_tokens_name: NotRequired[str]
    """What an OpenAI-compatible provider calls the bound of the answer: "max_tokens", or "max_completion_tokens", as
    OpenAI's reasoning models ask for. Default: "max_tokens"."""


class ModelArgs(TypedDict):
    """A name that callers use, and the model or the targets behind it. A name alone is name and model."""

    name: str
    """The alias."""
    model: NotRequired[pulumi.Input[str]]
    """A name of the catalogue, a Bedrock model id or inference profile id, an ARN, or "mock". An ARN may be another
    resource's output, such as that of an aws.bedrock.InferenceProfile made in the same program. Required without
    targets."""
    base_model: NotRequired[str]
    """For an ARN that does not name its model (imported, deployed, provisioned, application profile) or is an Output: the
    catalogue name, id or inference profile id of the model behind it. Default: none."""
    router_models: NotRequired[Sequence[str]]
    """For the ARN of a prompt router: the models that it routes to, named as in base_model. Default: none."""
    destination_regions: NotRequired[Sequence[str]]
    """Where a Bedrock inference profile may run, for one whose Regions the catalogue does not have. The Region of the call
    is always among them. Default: the catalogue's."""
    context_tokens: NotRequired[int]
    """How many tokens the model reads and writes in all. Required, with max_output_tokens, for a provider's model and for
    one of Bedrock's that the catalogue lacks. At least 1. Default: the catalogue's."""
    max_output_tokens: NotRequired[int]
    """How many tokens the model answers at most. Required where context_tokens is. At least 1. Default: the catalogue's."""
    accepts: NotRequired[Sequence[str]]
    """What the model takes, of "max_tokens", "temperature", "top_p", "stop", "system", "tools", "stream_tools",
    "reasoning_effort", "reasoning_content" (the reasoning of earlier turns, which DeepSeek wants back while it uses tools);
    Bedrock is sent neither of the last two. Default: the catalogue's; for a model of Bedrock's that it lacks "max_tokens",
    "system"; for a provider's "max_tokens", "temperature", "top_p", "stop", "system", "tools", "stream_tools"."""
    exclusive: NotRequired[Sequence[str]]
    """Parameters of which the model takes only one. Default: the catalogue's; for a provider's model none; for "anthropic":
    "temperature", "top_p"."""
    temperature_max: NotRequired[float]
    """The highest temperature that the model takes; Bedrock takes at most 1. From 0 to 2. Default: the catalogue's, or 1;
    for a provider's model 2; for "anthropic": 1."""
    stop_max: NotRequired[int]
    """The most stop sequences that the model takes. At least 1. Default: the catalogue's, or any; for a provider's model 4;
    for "anthropic": any."""
    targets: NotRequired[Sequence[TargetArgs]]
    """Several models in the place of one: where one fails, the next answers. Default: one, `model`."""
    strategy: NotRequired[str]
    """Which target is asked first: "priority" the first one, "weight" by shares, "latency" the quickest, "workload" small
    models for short prompts. Default: "priority"."""
    retries: NotRequired[int]
    """How often targets that may recover are asked again. From 0 to 5. Default: 2."""
    first_token_seconds: NotRequired[float]
    """How long a target that streams may take to begin where another could answer, in seconds; below the API's
    timeout_seconds. From 1 to 300. Default: 30."""
    stall_seconds: NotRequired[float]
    """How long a stream may be silent, in seconds. From 5 to 300. Default: 60."""


class ProviderArgs(TypedDict):
    """A provider of models that is called over HTTP, with a key of its own."""

    type: str
    """What it speaks: "openai_compatible" (OpenAI, DeepSeek, vLLM and others) or "anthropic" (Anthropic)."""
    base_url: NotRequired[pulumi.Input[str]]
    """What its clients call the base URL: with the /v1 where an OpenAI-compatible one has it, without it for Anthropic's.
    Default: none, it is required; for "anthropic": https://api.anthropic.com."""
    secret_arn: NotRequired[pulumi.Input[str]]
    """The Secrets Manager secret that holds the key: alone, or as `api_key` of a JSON object. The whole ARN, in the API's
    Region. Default: no key is sent."""
    kms_key_arn: NotRequired[pulumi.Input[str]]
    """The customer key that encrypts the secret. Default: AWS's own, which needs no permission."""


class JwtArgs(TypedDict):
    """The JSON Web Tokens of an OpenID Connect issuer, signed with RS256, which every such issuer supports."""

    issuer: str
    """The issuer's URL, as it stands in a token's `iss`. Its keys are found by its discovery document."""
    audiences: Sequence[str]
    """A token's `aud` must hold one of these."""
    in_vpc: NotRequired[bool]
    """The issuer is reached from the API's `vpc` only, so that the authorizer runs there, too. Default: false."""
    tenant_claim: NotRequired[str]
    """The claim that names the tenant. Default: "sub"."""
    models_claim: NotRequired[str]
    """The claim that lists the aliases allowed. Default: none, which allows all."""


class ThrottleArgs(TypedDict):
    """A rate of requests. API Gateway's limits for an account are 10,000 a second and 5,000 at once."""

    rate_limit: NotRequired[float]
    """Requests a second. From 0.1 to 10,000. Default: that of the limit above it."""
    burst_limit: NotRequired[int]
    """Requests at once. From 1 to 5,000. Default: that of the limit above it."""


class ApiKeyArgs(TypedDict):
    """An API key."""

    name: str
    """What the key is called in logs and outputs."""
    tenant: NotRequired[str]
    """Whose key it is. Default: "default"."""
    value: NotRequired[pulumi.Input[str]]
    """A value that callers have already, a secret of 20 to 128 characters. Another value replaces the key. AWS takes a
    value once in an account and Region: to rename such a key, take it off the list, run `pulumi up`, and add it under the
    new name. Default: API Gateway makes one."""
    enabled: NotRequired[bool]
    """Whether it may call. With `deletion_protection`, a key is removed or renamed in two steps: set this to false and run
    `pulumi up`, then change the list. Default: true."""
    models: NotRequired[Sequence[str]]
    """The aliases that it may use. Default: all."""
    throttle: NotRequired[ThrottleArgs]
    """Its own rate. Default: the API's."""
    daily_quota: NotRequired[int]
    """Its own requests a day. From 1 to 2,147,483,647. Default: the API's."""


class VpcArgs(TypedDict):
    """The network of a function. What the function calls must be reachable from there: Bedrock, Secrets Manager, the
    providers, by a NAT gateway or by endpoints."""

    subnet_ids: pulumi.Input[Sequence[pulumi.Input[str]]]
    """The subnets, private ones in several zones."""
    security_group_ids: pulumi.Input[Sequence[pulumi.Input[str]]]
    """The security groups, which must let the function call out."""


class PolicyArgs(TypedDict):
    """What a function may do besides what the component lets it."""

    managed: NotRequired[Mapping[str, pulumi.Input[str]]]
    """The ARNs of managed policies, by names of your choice. Default: none."""
    inline: NotRequired[Mapping[str, pulumi.Input[Sequence[Any]]]]
    """Lists of statements, in IAM's own form, by names of your choice; each becomes an inline policy. Default: none."""


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


class ServerlessBedrockApiArgs(TypedDict):
    """The arguments. What decides which resources there are is plain; the rest may be Outputs."""

    models: Sequence[ModelArgs]
    """The models, in order; the first is the default. In a stack's file, a catalogue name alone is enough."""
    providers: NotRequired[Mapping[str, ProviderArgs]]
    """Providers of models besides Bedrock, by the names that targets have for them. Default: none."""
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
    """A key's rate, with `auth` "api_key" only. A key may have burst_limit + rate_limit * timeout_seconds calls in flight.
    Default: rate_limit 0.5, burst_limit 10."""
    stage_throttle: NotRequired[ThrottleArgs]
    """The rate of each route, whoever calls: API Gateway counts every method by itself. Default: rate_limit 100,
    burst_limit 200."""
    daily_quota: NotRequired[pulumi.Input[int]]
    """A key's requests a day (UTC), with `auth` "api_key" only. From 1 to 2,147,483,647. Default: 1,000."""
    cors_allow_origin: NotRequired[pulumi.Input[Sequence[pulumi.Input[str]]]]
    """The origins that browsers may call from, or "*", which is any. One origin need not be in a list. Default: "*"."""
    memory_mb: NotRequired[pulumi.Input[int]]
    """The function's memory in MB; on Lambda it also sets its share of a processor. From 256 to 10,240. Default: 512."""
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
    policies: NotRequired[PolicyArgs]
    """What the function may do besides what the component lets it. Default: nothing."""
    environment: NotRequired[Mapping[str, pulumi.Input[str]]]
    """More environment variables of the function. Default: none."""
    kms_key_arn: NotRequired[pulumi.Input[str]]
    """The KMS key of logs, table and environment; its policy must let CloudWatch Logs use it. Default: keys of AWS."""
    tracing: NotRequired[bool]
    """Trace requests with X-Ray. Default: false."""
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
    region: NotRequired[str]
    """The Region of the component's AWS provider; another one is a mistake. Default: the provider's."""
    parameter_prefix: NotRequired[str]
    """Where SSM parameters with the outputs are made, such as "/llm/prod". Default: none are made."""
    tags: NotRequired[Mapping[str, pulumi.Input[str]]]
    """Tags of every resource. Default: none but the component's own."""
