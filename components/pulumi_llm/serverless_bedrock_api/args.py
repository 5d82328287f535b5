"""The description of ServerlessBedrockApi's settings. The TypedDicts in args_types.py are generated from it."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Field

from llm_gateway.identity.caller import Caller
from llm_gateway.limits import CallerLimits
from llm_gateway.metrics import Metrics
from llm_gateway.operations import Operation, operations, path_parameters
from llm_gateway.routes import Routes
from pulumi_llm.api_edge.answer_cache import CachedSettings
from pulumi_llm.api_edge.api import STAGE
from pulumi_llm.api_edge.cors import Origins
from pulumi_llm.api_edge.flags import FlaggedSettings
from pulumi_llm.api_edge.limits import CallerLimitSettings
from pulumi_llm.api_edge.metrics import CallMetricsSettings
from pulumi_llm.api_edge.retrieval import RetrievingSettings
from pulumi_llm.api_edge.rules import CallerRuleSettings
from pulumi_llm.api_edge.safety import CheckedSettings
from pulumi_llm.api_edge.settings import (
    ApiKeySettings,
    CallerJobsSettings,
    JwtSettings,
    Quota,
    Throttle,
    ThrottleSettings,
    callers_with_keys,
    key_model_problems,
    key_problems,
)
from pulumi_llm.api_edge.tracing import TracedSettings
from pulumi_llm.base.function_settings import LayerArn, PolicySettings, Variables, VpcSettings, environment_problems
from pulumi_llm.base.location import Location
from pulumi_llm.base.policy_documents import ANY, check_statements, read_document
from pulumi_llm.base.settings import (
    Between,
    CertificateArn,
    Count,
    Customize,
    Flag,
    HostName,
    Input,
    KmsKeyArn,
    ParameterPrefix,
    Problem,
    Region,
    RetentionDays,
    Settings,
    Tags,
    ZoneId,
    form,
    region_problems,
    valid_items,
)
from pulumi_llm.routing import Routing, RoutingSettings, policy_problems, read
from pulumi_llm.serverless_bedrock_api import web_adapter

# Who may call. "iam": AWS signatures.
Auth = Literal["api_key", "jwt", "iam", "none"]
AUTHS: tuple[Auth, ...] = get_args(Auth)

# A STREAM integration may take 900 s, and outlives its function by this, so that the function's own error arrives.
# https://docs.aws.amazon.com/apigateway/latest/developerguide/response-transfer-mode.html
INTEGRATION_MARGIN_SECONDS = 5

# The partitions that have Amazon Bedrock and the domain amazonaws.com, at which the functions call AWS.
# https://docs.aws.amazon.com/general/latest/gr/bedrock.html
PARTITIONS = ("aws", "aws-us-gov")

# A Firehose stream's name must begin so. https://docs.aws.amazon.com/apigateway/latest/api/API_AccessLogSettings.html
_AccessLogDestinationArn = Annotated[
    str,
    form(
        r"arn:aws[a-z-]*:(logs:[a-z0-9-]+:\d{12}:log-group:[A-Za-z0-9._/#-]{1,512}(:\*)?"
        r"|firehose:[a-z0-9-]+:\d{12}:deliverystream/amazon-apigateway-[A-Za-z0-9._-]{1,45})",
        "the ARN of a log group, or of a Firehose stream whose name begins with amazon-apigateway-",
    ),
]
# REST APIs have base paths of one part. https://docs.aws.amazon.com/apigateway/latest/api/API_CreateBasePathMapping.html
_BasePath = Annotated[str, form(r"[A-Za-z0-9._-]+", "a base path, such as llm: one part, without a slash")]


class DomainSettings(Settings):
    """A custom domain."""

    regional = ("certificate_arn",)

    name: Input[HostName]
    """The host name."""
    existing: Flag = False
    """The domain name is in API Gateway already, made elsewhere. Only the mapping of its base path to the API is made."""
    base_path: Input[_BasePath] | None = None
    """The path below which the API answers, such as "llm". Default: the domain's root."""
    certificate_arn: Input[CertificateArn] | None = None
    """Its certificate in ACM, in the API's Region. Required unless the domain name is there already."""
    zone_id: Input[ZoneId] | None = None
    """The public Route 53 zone in which its record is made. Default: you make the record."""
    default_endpoint: Flag = False
    """Answer at API Gateway's own address, too."""

    def problems(self) -> Iterator[Problem]:
        if not self.existing and not self.given("certificate_arn"):
            yield Problem("certificate_arn", "is required, unless 'existing' says that the domain name is there already")
        for name in ("certificate_arn", "zone_id"):
            if self.existing and self.given(name):
                yield Problem(name, "is for a domain name that is made here, not for an existing one")


# Where an API is reached.
Endpoint = Literal["regional", "private"]
_VpcEndpointId = Annotated[str, form(r"vpce-[0-9a-f]{8,17}", "a VPC endpoint's id, such as vpce-0123456789abcdef0")]


def _policy_document(value: Any) -> Mapping[str, Any]:
    document = read_document(value)
    if not document.get("Statement"):
        raise ValueError("must be a policy document: an object with a Statement")
    check_statements(document["Statement"], ANY, ("Principal", "Action"))
    return document


PolicyDocument = Annotated[Mapping[str, Any], BeforeValidator(_policy_document)]

# https://docs.aws.amazon.com/apigateway/latest/api/API_CreateResource.html
_RoutePath = Annotated[
    str,
    form(r"(/([A-Za-z0-9._-]+|\{[A-Za-z0-9._-]+\}))*/([A-Za-z0-9._-]+|\{[A-Za-z0-9._-]+\+?\})", "a path, such as /orders/{id}"),
]
_StageName = Annotated[str, form(r"[A-Za-z0-9_-]{1,128}", "a stage's name: letters, digits, '_' and '-', at most 128")]
_FunctionArn = Annotated[
    str,
    form(
        r"arn:aws[a-z-]*:lambda:[a-z0-9-]+:\d{12}:function:[A-Za-z0-9_-]+(:[A-Za-z0-9_-]+)?",
        "the ARN of a function or its alias",
    ),
]
_HttpsUrl = Annotated[str, form(r"https://[^\s?#]+", "a URL, such as https://orders.example.com/{id}")]
_Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "ANY"]


class RouteSettings(Settings):
    """A route of your own on the API, to a function or a URL. It is deployed together with the service's. A route that you take
    away leaves the stage with the next deployment only (`redeploy`)."""

    regional = ("function_arn",)

    method: _Method
    """The HTTP method, or "ANY". Preflight requests are answered for every path."""
    path: _RoutePath
    """The path, such as "/orders/{id}" or "/files/{proxy+}"."""
    function_arn: Input[_FunctionArn] | None = None
    """The function that answers, or its alias, with a proxy integration. API Gateway gets the permission to call it."""
    url: Input[_HttpsUrl] | None = None
    """The URL that answers. It may hold the path's parameters, as in "https://orders.example.com/{id}". It gets the request's
    headers, the caller's key or token among them: name only a service that you trust with those."""
    authorized: Flag = True
    """Whether callers must be known, as for the service's own routes."""

    def problems(self) -> Iterator[Problem]:
        if self.given("function_arn") == self.given("url"):
            yield Problem("function_arn", "or 'url' is required, one of the two")


def any_value(path: str) -> str:
    """Return a path with "*" for its parameters, as ARNs of routes have it."""
    return re.sub(r"\{[^}]+\}", "*", path)


class ExistingApiSettings(Settings):
    """A REST API that was made elsewhere. The service gets a stage of its own on it."""

    rest_api_id: Input[Annotated[str, Field(min_length=1)]]
    """Its id. With `auth` "api_key", its `api_key_source` must be AUTHORIZER."""
    root_resource_id: Input[Annotated[str, Field(min_length=1)]]
    """The id of its root resource."""
    execution_arn: Input[
        Annotated[str, form(r"arn:aws[a-z-]*:execute-api:[a-z0-9-]+:\d{12}:[a-z0-9]+", "a REST API's execution ARN")]
    ]
    """Its execution ARN."""
    path_prefix: Annotated[str, form(r"(/[A-Za-z0-9._-]+)*", "a path, such as /llm")] = ""
    """The path below which the service's routes are made, such as "/llm". Default: the root."""
    stage_name: _StageName = STAGE
    """The name of the stage that is made, which the API must not have yet."""
    redeploy_on: Mapping[str, Input[str]] = Field(default_factory=dict)
    """Values of your own methods and integrations, by any names: the stage is made after them, and deployed anew when one
    changes. Default: none."""


# Until calls in flight are counted, a key is bounded by its requests alone: burst + rate x the longest answer, so
# 20 + 0.5 x 300 = 170 calls at once. That leaves others room in the 200 that prod reserves, and in an account's 1,000.
KEY_THROTTLE = Throttle(rate_limit=0.5, burst_limit=20)
STAGE_THROTTLE = Throttle(rate_limit=100, burst_limit=200)


# Of an API with `auth` "none", all callers are one.
SHARED_JOBS = "nobody is known there, so everyone would read and cancel everyone's jobs"


class ApiSettings(
    CallerLimitSettings,
    CallerRuleSettings,
    CheckedSettings,
    CachedSettings,
    RetrievingSettings,
    CallMetricsSettings,
    FlaggedSettings,
    TracedSettings,
):
    """What a stack's configuration and a program's arguments say alike."""

    free_text = ("customize", "environment", "resource_policy")
    regional = ("kms_key_arn", "web_adapter_layer_arn", "access_log_destination_arn")

    auth: Auth = "api_key"
    """Who may call: "api_key", "jwt", "iam" (AWS signatures), or "none", which lets anyone call."""
    jwt: JwtSettings | None = None
    """The tokens that are accepted, with `auth` "jwt" only."""
    authorizer_cache_seconds: Annotated[Count, Between(0, 3_600)] = 0
    """How long API Gateway trusts an authorizer's answer, in seconds. Above 0, a key must come as Authorization.
    The authorizer itself remembers a key for a minute."""
    keys: Annotated[tuple[ApiKeySettings, ...], Field(min_length=1)] = (ApiKeySettings(name="default"),)
    """The API keys. Default: one, named "default"."""
    throttle: ThrottleSettings = ThrottleSettings(**KEY_THROTTLE._asdict())
    """A key's rate, with `auth` "api_key" only. A key may have burst_limit + rate_limit * timeout_seconds calls in flight, each
    of which holds an execution: so the rate is low, and agents that send several calls a second live on the burst. Raise it
    where `timeout_seconds` is short, or `reserved_concurrency` large."""
    stage_throttle: ThrottleSettings = ThrottleSettings(**STAGE_THROTTLE._asdict())
    """The rate of each route, whoever calls: API Gateway counts every method by itself."""
    daily_quota: Input[Quota] = 1_000
    """A key's requests a day (UTC), with `auth` "api_key" only."""
    cors_allow_origin: Input[Origins] = ("*",)
    """The origins that browsers may call from, or "*", which is any. One origin need not be in a list. Default: "*"."""
    memory_mb: Input[Annotated[Count, Between(256, 10_240)]] = 256
    """The function's memory in MB; on Lambda it also sets its share of a processor. What a size costs: docs/performance.md."""
    timeout_seconds: Annotated[Count, Between(10, 900 - INTEGRATION_MARGIN_SECONDS)] = 300
    """How long an answer may take, in seconds. API Gateway ends a connection on which nothing is sent for 5 minutes: a longer
    answer has to be streamed."""
    log_retention_days: Input[RetentionDays] = 30
    """How long logs are kept, in days; one of the numbers that CloudWatch Logs accepts."""
    reserved_concurrency: Input[Annotated[Count, Between(1, 10_000)]] | None = None
    """The most answers at once, taken from the account's limit. Keep it above what one key may have in flight (`throttle`).
    Default: none reserved."""
    vpc: VpcSettings | None = None
    """The network that the function runs in, to reach private servers of models. Default: Lambda's own, which reaches the
    internet."""
    function_url: Flag = False
    """Give the function a URL of its own, from which a CDN streams to its page past the REST API: without the REST API's price,
    and without the usage plans and limits of `throttle`, `daily_quota` and `stage_throttle`. Only the CDN may call it."""
    idempotency: Flag = False
    """Keep answers to requests that name an `Idempotency-Key`: a client that sends one again gets the same answer, from one
    call of the model, and one that was cut off goes on with its stream. Makes a table."""
    policies: PolicySettings = PolicySettings()
    """What the function may do besides what the component lets it. Default: nothing."""
    environment: Variables = Field(default_factory=dict)
    """More environment variables of the function. Default: none."""
    kms_key_arn: Input[KmsKeyArn] | None = None
    """The KMS key of logs, table and environment; its policy must let CloudWatch Logs use it. Default: keys of AWS."""
    tracing: Flag = False
    """Trace requests with X-Ray: API Gateway's and Lambda's segments and, unless there is `otlp`, spans of the calls of
    models."""
    endpoint: Endpoint = "regional"
    """Where the API is reached: "regional", or "private" through VPC endpoints only."""
    vpc_endpoint_ids: Annotated[tuple[Input[_VpcEndpointId], ...], Field(min_length=1)] | None = None
    """The VPC endpoints for execute-api through which a private API is called. Required with `endpoint` "private"."""
    resource_policy: Input[PolicyDocument] | None = None
    """The API's resource policy, a document or its JSON; "execute-api:/*" is the API itself. Default: none; for a private API,
    one that lets calls in through its VPC endpoints alone."""
    routes: tuple[RouteSettings, ...] = ()
    """Routes of your own on the API. Default: none."""
    redeploy: Annotated[str, Field(min_length=1)] | None = None
    """Any text; with another one the API is deployed again. `pulumi up` deletes what you take away (routes, a resource policy)
    after it has deployed the API, so that the stage still serves it: change this text then, and run `pulumi up` again."""
    existing_api: ExistingApiSettings | None = None
    """Your own REST API, on which the service is put. Default: a REST API is made."""
    domain: DomainSettings | None = None
    """A custom domain. Default: API Gateway's own address."""
    access_logs: Flag = True
    """Log each request at API Gateway; needs the Region's API Gateway log role. A program that makes the role itself gives
    its AccountBaseline as `depends_on` in this component's options."""
    access_log_destination_arn: Input[_AccessLogDestinationArn] | None = None
    """The log group or Firehose stream of your own that gets the access logs, in the API's Region. Default: a log group is
    made."""
    debug: Flag = False
    """Show causes in error answers; for development."""
    deletion_protection: Flag = True
    """Protect what cannot be made again, the API's address and the keys' values, and the table of keys: `pulumi destroy`
    refuses before it deletes anything. To destroy the stack, set it to false and run `pulumi up` first."""
    web_adapter_layer_version: Annotated[Count, Between(1)] = web_adapter.VERSION
    """The version of AWS's Lambda Web Adapter layer; 30 is the adapter 1.1.0."""
    web_adapter_layer_arn: Input[LayerArn] | None = None
    """Another Web Adapter layer (arm64), such as a copy in your own account, in the API's Region. Default: AWS's."""
    customize: Customize = Field(default_factory=dict)
    """Per child, arguments that are merged with the component's own. Default: none."""

    def problems(self) -> Iterator[Problem]:
        if self.auth == "jwt" and not self.given("jwt"):
            yield Problem("jwt", "is required with auth 'jwt': the issuer and the audiences")
        if self.auth in AUTHS and self.auth != "jwt" and self.given("jwt"):
            yield Problem("jwt", f"is only for auth 'jwt', not {self.auth!r}")
        if self.auth in AUTHS and self.auth != "api_key":
            if self.given("keys"):
                yield Problem("keys", f"are only for auth 'api_key', not {self.auth!r}")
            # Usage plans count keys. Other callers share the limit of each route.
            for name in ("throttle", "daily_quota"):
                if self.given(name):
                    yield Problem(name, f"is only for auth 'api_key', not {self.auth!r}; stage_throttle holds for every caller")
        if self.auth in ("iam", "none") and self.given("authorizer_cache_seconds"):
            yield Problem("authorizer_cache_seconds", f"is only for auth 'api_key' and 'jwt', not {self.auth!r}")
        if self.jwt is not None and self.jwt.in_vpc and not self.given("vpc"):
            yield Problem("jwt.in_vpc", "needs vpc: the subnets and security groups")
        yield from self._function_url_problems()
        yield from self._endpoint_problems()
        yield from self._route_problems()
        if self.access_logs is False and self.given("access_log_destination_arn"):
            yield Problem("access_log_destination_arn", "gets nothing while access_logs is false")
        if self.given("web_adapter_layer_arn") and self.given("web_adapter_layer_version"):
            yield Problem("web_adapter_layer_version", "is that of AWS's layer, and web_adapter_layer_arn gives another one")
        yield from key_problems(self.keys)

    def layer_problems(self, location: Location) -> Iterator[Problem]:
        """Yield what is wrong with the layer of the Web Adapter at a location."""
        region, partition = location
        if self.given("web_adapter_layer_arn"):
            return
        if partition != "aws":
            reason = f"is required in {region}, for AWS publishes its layer in the partition aws only; give the ARN of a copy"
            yield Problem("web_adapter_layer_arn", reason)
        # Who gives a version knows that it is there.
        elif region not in web_adapter.REGIONS and not self.given("web_adapter_layer_version"):
            reason = (
                f"is required in {region}, where AWS did not publish its Web Adapter on {web_adapter.PUBLISHED}: copy the "
                f"layer {web_adapter.LAYER} into your account, and give its ARN; or give web_adapter_layer_version, if AWS "
                "has published one since"
            )
            yield Problem("web_adapter_layer_arn", reason)

    def _function_url_problems(self) -> Iterator[Problem]:
        if not self.function_url:
            return
        if self.auth in ("jwt", "iam"):
            reason = "the CDN's signature stands in Authorization, where a token or a signature of the caller's would be"
            yield Problem("function_url", f"is only for auth 'api_key' and 'none', not {self.auth!r}: {reason}")
        # https://docs.aws.amazon.com/lambda/latest/dg/configuration-response-streaming.html
        if self.given("vpc"):
            yield Problem("function_url", "does not stream from a function in a VPC; leave out vpc, or this")
        if self.endpoint == "private":
            yield Problem("function_url", "is only for endpoint 'regional': the CDN reaches it from the internet")

    def _endpoint_problems(self) -> Iterator[Problem]:
        private = self.endpoint == "private"
        if private and not self.given("vpc_endpoint_ids"):
            yield Problem("vpc_endpoint_ids", "is required with endpoint 'private'")
        if self.endpoint == "regional" and self.given("vpc_endpoint_ids"):
            yield Problem("vpc_endpoint_ids", "is only for endpoint 'private'")
        if private and self.given("domain"):
            yield Problem("domain", "is only for endpoint 'regional'; a private API has private custom domains, which you make")
        if not self.given("existing_api"):
            return
        for name in ("endpoint", "vpc_endpoint_ids", "resource_policy", "routes"):
            if self.given(name):
                yield Problem(name, "belongs to an API that is made here, and existing_api gives one")
        if self.domain is not None and self.domain.given("default_endpoint"):
            yield Problem("domain.default_endpoint", "belongs to an API that is made here, and existing_api gives one")

    def _route_problems(self) -> Iterator[Problem]:
        taken = {(operation.method, operation.path): "the service's own" for operation in self.operations()}
        operation_parts = [part for operation in self.operations() for part in _parts(operation.path)]
        variables = {above: part for above, part in operation_parts if part.startswith("{")}
        for index, route in valid_items(self.routes):
            if not route.valid("method", "path"):
                continue
            if (route.method, route.path) in taken:
                yield Problem(f"routes[{index}]", f"{route.method} {route.path} is {taken[route.method, route.path]}")
            taken[route.method, route.path] = "there already"
            if isinstance(route.url, str):
                for parameter in re.findall(r"\{([^}]*)\}", route.url):
                    if parameter not in path_parameters(route.path):
                        reason = f"holds {{{parameter}}}, which is no parameter of the path {route.path}"
                        yield Problem(f"routes[{index}].url", reason)
            # https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-known-issues.html
            if re.match(r"/s?ping(/|$)", route.path):
                yield Problem(f"routes[{index}].path", "begins with /ping or /sping, which API Gateway keeps for itself")
            for above, part in _parts(route.path):
                if part.startswith("{") and variables.setdefault(above, part) != part:
                    there = f"{part} where another route has {variables[above]}"
                    reason = f"has {there}; API Gateway takes one parameter below {above or '/'}"
                    yield Problem(f"routes[{index}].path", reason)

    @property
    def keeps_answers(self) -> bool:
        """Whether there is a table of answers."""
        return self.idempotency or self.cache is not None

    def operations(self) -> tuple[Operation, ...]:
        """The operations that the API has."""
        return operations(tickets=False, limits=self.all_limits() is not None, journal=self.idempotency)

    def model_problems(self, aliases: Sequence[str]) -> Iterator[Problem]:
        """Yield what is wrong between the keys and limits, and the aliases that there are."""
        yield from key_model_problems(self.keys, aliases)
        yield from self.limit_problems({f"keys[{i}].limits": key.limits for i, key in valid_items(self.keys)}, aliases)
        if self.valid("auth"):
            yield from self.rule_problems(self.auth, self._callers(), aliases)

    def target_problems(self, routes: Routes, location: Location) -> Iterator[Problem]:
        """Yield what the rules leave nothing of, and what is too much for the flags."""
        yield from self.rule_target_problems(routes, location.region, self._callers(), self.guardrail_regions(location))
        yield from self.flags_problems(routes)

    def _callers(self) -> list[Caller] | None:
        return callers_with_keys(self.keys) if self.auth == "api_key" else None

    def all_limits(self) -> CallerLimits | None:
        """The limits as the functions read them; None where there are none."""
        return self.caller_limits({key.name: key.limits for key in self._known_keys() if key.valid("name")})

    def all_metrics(self) -> Metrics | None:
        """The metrics as the functions read them; None where there are none."""
        return self.call_metrics(key.tenant for key in self._known_keys() if key.valid("tenant"))

    def _known_keys(self) -> list[ApiKeySettings]:
        return [key for _, key in valid_items(self.keys)] if self.auth == "api_key" else []


def _parts(path: str) -> Iterator[tuple[str, str]]:
    """Yield each part of a path with the path above it."""
    above = ""
    for part in path.split("/")[1:]:
        yield above, part
        above += f"/{part}"


# Who calls, as GET /usage names the caller.
_Principal = Annotated[str, form(r"[^\x00-\x1f\x7f]{1,256}", "a caller: an API key's name, a token's subject, or a role's ARN")]


class UsageSettings(Settings):
    """What callers have used on past days, which a UsageAnalytics counts."""

    tenant_readers: Annotated[tuple[_Principal, ...], Field(min_length=1, max_length=20)] | None = None
    """The callers that may read what all of their own tenant have used (`GET /usage?scope=tenant`): names of API keys,
    subjects of tokens, or ARNs of roles, as `GET /usage` has them as `caller`. Default: none."""


class ServerlessBedrockApiSettings(ApiSettings, CallerJobsSettings, RoutingSettings):
    """The arguments. What decides which resources there are is plain; the rest may be Outputs."""

    websocket_tickets: Flag = False
    """Issue tickets (`POST /ws/ticket`), with which browsers connect to a WebSocketChat. For `auth` "api_key" and "jwt"."""
    jobs: Flag = False
    """Take jobs (`POST /jobs`), which an AsyncInference works off. Makes a table and a bucket."""
    batches: Flag = False
    """Take files and batches as OpenAI's API does (`/v1/files`, `/v1/batches`), which an AsyncInference works off. Needs
    `jobs`."""
    usage: UsageSettings | None = None
    """Tell callers what they have used on past days, by alias and target (`GET /usage?by=alias`), which a UsageAnalytics
    counts. Makes a table. Default: it is not counted."""
    region: Region | None = None
    """The Region of the component's AWS provider; another one is a mistake. Default: the provider's."""
    parameter_prefix: ParameterPrefix | None = None
    """Where SSM parameters with the outputs are made, such as "/pulumi-llm/prod/chat". Default: none are made."""
    tags: Tags = Field(default_factory=dict)
    """Tags of every resource. Default: none but the component's own."""

    def routing(self, location: Location) -> Routing:
        """What is routed where, within which limits and rules, what is checked and cached, and which answers have passages."""
        limits, metrics, rules = self.all_limits(), self.all_metrics(), self.rule_documents()
        routing = read(self, location, self.timeout_seconds, limits=limits, metrics=metrics, rules=rules, costs=self.has_costs)
        return self.traced(self.retrieving(self.cached(self.checked(routing, location))), xray=self.tracing)

    def operations(self) -> tuple[Operation, ...]:
        limits = self.all_limits() is not None
        return operations(
            tickets=self.websocket_tickets,
            limits=limits,
            journal=self.idempotency,
            jobs=self.jobs,
            batches=self.batches,
            usage=self.usage is not None,
        )

    @property
    def has_costs(self) -> bool:
        """Whether the records of requests have what they cost."""
        return self.log_costs or self.usage is not None

    def problems(self) -> Iterator[Problem]:
        yield from super().problems()
        yield from self.model_problems(self.aliases())
        # Whoever signs has no key or token to check again while a connection lasts.
        if self.websocket_tickets and self.auth in ("iam", "none"):
            yield Problem("websocket_tickets", f"is only for auth 'api_key' and 'jwt', not {self.auth!r}")
        if self.jobs and self.auth == "none":
            yield Problem("jobs", f"is not for auth 'none': {SHARED_JOBS}")
        if not self.jobs and self.given("jobs_per_caller"):
            yield Problem("jobs_per_caller", "is only for jobs, and there are none; leave it out")
        if not self.batches:
            for name in ("batches_per_caller", "batch_requests_per_caller", "files_per_caller"):
                if self.given(name):
                    yield Problem(name, "is only for batches, and there are none; leave it out")
        if self.batches and not self.jobs:
            yield Problem("batches", "needs jobs: true, whose table and bucket hold batches, too")

    def problems_in(self, location: Location) -> Iterator[Problem]:
        region, partition = location
        yield from region_problems(self.region, location)
        if partition not in PARTITIONS:
            reason = f"{region} is in the partition {partition}, which has no Bedrock; use one of {' or '.join(PARTITIONS)}"
            yield Problem("region", reason)
        else:
            yield from self.layer_problems(location)
        routing = self.routing(location)
        yield from routing.problems
        yield from self.guardrail_problems(location)
        yield from self.retrieval_problems(routing)
        yield from self.target_problems(routing.routes, location)
        yield from policy_problems(routing, self.policies, location)
        yield from environment_problems(self.environment, routing.environment)
