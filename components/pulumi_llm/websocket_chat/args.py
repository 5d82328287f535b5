"""The description of WebSocketChat's settings."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Literal, get_args

from pydantic import Field

from llm_gateway.identity.caller import Caller
from llm_gateway.limits import CallerLimits
from llm_gateway.metrics import Metrics
from pulumi_llm.api_edge.answer_cache import CachedSettings
from pulumi_llm.api_edge.limits import CallerLimitSettings, LimitSettings
from pulumi_llm.api_edge.metrics import CallMetricsSettings
from pulumi_llm.api_edge.retrieval import RetrievingSettings
from pulumi_llm.api_edge.rules import CallerRuleSettings
from pulumi_llm.api_edge.safety import CheckedSettings
from pulumi_llm.api_edge.settings import (
    ApiKeySettings,
    JwtSettings,
    Throttle,
    ThrottleSettings,
    WebSocketConnections,
    callers_with_keys,
    key_model_problems,
    key_problems,
)
from pulumi_llm.api_edge.tracing import TracedSettings
from pulumi_llm.api_edge.used import FlagsSettings, TableSettings
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
    valid_items,
)
from pulumi_llm.routing import Routing, RoutingSettings, policy_problems, read

# Who may connect.
Auth = Literal["api_key", "jwt", "none"]
AUTHS: tuple[Auth, ...] = get_args(Auth)

STAGE_THROTTLE = Throttle(rate_limit=100, burst_limit=200)


class WebSocketSettings(Settings):
    """What a stack's configuration and a program's arguments say alike."""

    free_text = ("customize", "environment")
    regional = ("kms_key_arn",)

    stage_throttle: ThrottleSettings = ThrottleSettings(**STAGE_THROTTLE._asdict())
    """The rate of each route, whoever calls: API Gateway counts every route by itself."""
    connections_per_key: WebSocketConnections = 1_000
    """How many connections one API key, or one caller of a token, may have open at once; ten times as many may begin in ten
    minutes. One whose end API Gateway does not report counts for up to two hours and ten minutes: take twice what you expect.
    `keys[].websocket_connections` is a key's own. With `auth` "none" it does not hold."""
    messages_per_minute: Annotated[Count, Between(10, 6_000)] = 120
    """How many messages may come on one connection in a minute."""
    generations_per_connection: Annotated[Count, Between(1, 100)] = 4
    """How many generations may run at once for one connection."""
    # They are entries of one item, which is written four times for each generation.
    generations_per_key: Annotated[Count, Between(1, 200)] = 20
    """How many generations may run at once for one API key, or one caller of a token. With `auth` "none" it does not hold."""
    message_interval_ms: Annotated[Count, Between(50, 1_000)] = 50
    """The least time between two messages of a generation, in milliseconds. Each message is a call that counts against the
    throttle of all APIs of the account, and costs money."""
    memory_mb: Input[Annotated[Count, Between(256, 10_240)]] = 512
    """The memory of the function that generates, in MB; on Lambda it also sets its share of a processor."""
    timeout_seconds: Annotated[Count, Between(30, 900)] = 600
    """How long a generation may take, in seconds."""
    log_retention_days: Input[RetentionDays] = 30
    """How long logs are kept, in days; one of the numbers that CloudWatch Logs accepts."""
    reserved_concurrency: Input[Annotated[Count, Between(1, 10_000)]] | None = None
    """The most generations at once, taken from the account's limit. Default: none reserved."""
    vpc: VpcSettings | None = None
    """The network that the generating function runs in, to reach private servers of models. Messages to clients need a way to
    the internet, such as a NAT gateway: no endpoint of a VPC leads to a WebSocket API. Default: Lambda's own."""
    policies: PolicySettings = PolicySettings()
    """What the generating function may do besides what the component lets it. Default: nothing."""
    environment: Variables = Field(default_factory=dict)
    """More environment variables of the generating function. Default: none."""
    kms_key_arn: Input[KmsKeyArn] | None = None
    """The KMS key of logs, tables and environment; its policy must let CloudWatch Logs use it. Default: keys of AWS."""
    tracing: Flag = False
    """Trace invocations with X-Ray: Lambda's segments and, unless there is `otlp`, spans of the calls of models."""
    access_logs: Flag = True
    """Log each message at API Gateway; needs the Region's API Gateway log role."""
    debug: Flag = False
    """Show causes in errors; for development."""
    deletion_protection: Flag = True
    """Protect what cannot be made again: the API's address, the keys' values and their table."""
    customize: Customize = Field(default_factory=dict)
    """Per child, arguments that are merged with the component's own. Default: none."""


class WebSocketChatSettings(
    WebSocketSettings,
    CallerLimitSettings,
    CallerRuleSettings,
    CheckedSettings,
    CachedSettings,
    RetrievingSettings,
    CallMetricsSettings,
    TracedSettings,
    RoutingSettings,
):
    """The arguments. What decides which resources there are is plain; the rest may be Outputs."""

    auth: Auth = "api_key"
    """Who may connect: "api_key", "jwt", or "none", which lets anyone connect."""
    jwt: JwtSettings | None = None
    """The tokens that are accepted, with `auth` "jwt" only."""
    keys: Annotated[tuple[ApiKeySettings, ...], Field(min_length=1)] = (ApiKeySettings(name="default"),)
    """The API keys; `throttle` and `daily_quota` are of REST APIs only. Default: one, named "default"."""
    keys_table: TableSettings | None = None
    """The table of another API's keys, which then may connect here, too. Their limits are given here again (`limits`,
    `key_limits`, `tenant_limits`, with `ledger_table`), or `limits: {}` where they have none. Default: the keys are made
    here."""
    tickets_table: TableSettings | None = None
    """The table of the tickets that a ServerlessBedrockApi issues (`websocket_tickets`): who has one may connect with it once,
    as the caller that it was issued to. It is of an API with the same `auth`, and with "api_key" needs that API's `keys_table`.
    Default: tickets are refused."""
    key_limits: Mapping[Name, LimitSettings] = Field(default_factory=dict)
    """The limits of keys that are in `keys_table`, by their names, each in the place of `limits`. Default: `limits`."""
    flags: FlagsSettings | None = None
    """The feature flags of another component, by which generations are changed and switched off here, too. Default: none."""
    ledger_table: TableSettings | None = None
    """The table of what callers have used at another API, a ServerlessBedrockApi's `ledger_table_name`: what they use here
    counts there, too. Default: with limits, a table is made here."""
    region: Region | None = None
    """The Region of the component's AWS provider; another one is a mistake. Default: the provider's."""
    parameter_prefix: ParameterPrefix | None = None
    """Where SSM parameters with the outputs are made, such as "/pulumi-llm/prod/websocket". Default: none are made."""
    tags: Tags = Field(default_factory=dict)
    """Tags of every resource. Default: none but the component's own."""

    @property
    def shares_callers(self) -> bool:
        """Whether callers of another API may connect."""
        return self.keys_table is not None or self.tickets_table is not None

    def routing(self, location: Location) -> Routing:
        """What is routed where, within which limits and rules, what is checked and cached, and which answers have passages."""
        limits, metrics, rules = self.all_limits(), self.all_metrics(), self.rule_documents()
        routing = read(self, location, self.timeout_seconds, limits=limits, metrics=metrics, rules=rules, costs=self.log_costs)
        return self.traced(self.retrieving(self.cached(self.checked(routing, location))), xray=self.tracing)

    def all_limits(self) -> CallerLimits | None:
        """The limits as the functions read them; None where there are none."""
        own = {key.name: key.limits for key in self._known_keys() if key.valid("name")}
        return self.caller_limits({**own, **(self.key_limits or {})})

    def all_metrics(self) -> Metrics | None:
        """The metrics as the functions read them; None where there are none."""
        return self.call_metrics(key.tenant for key in self._known_keys() if key.valid("tenant"))

    def _known_keys(self) -> list[ApiKeySettings]:
        return [key for _, key in valid_items(self.keys)] if self.auth == "api_key" and self.keys_table is None else []

    def problems(self) -> Iterator[Problem]:
        yield from super().problems()
        if self.auth == "jwt" and not self.given("jwt"):
            yield Problem("jwt", "is required with auth 'jwt': the issuer and the audiences")
        if self.auth in AUTHS and self.auth != "jwt" and self.given("jwt"):
            yield Problem("jwt", f"is only for auth 'jwt', not {self.auth!r}")
        if self.auth in AUTHS and self.auth != "api_key":
            for name in ("keys", "keys_table"):
                if self.given(name):
                    yield Problem(name, f"is only for auth 'api_key', not {self.auth!r}")
        if self.auth == "none" and self.given("tickets_table"):
            yield Problem("tickets_table", "is only for auth 'api_key' and 'jwt', not 'none', which lets anyone connect")
        if self.auth == "api_key" and self.given("tickets_table") and not self.given("keys_table"):
            yield Problem(
                "tickets_table", "needs keys_table: tickets are issued for the keys of another API, which must be known here"
            )
        if self.given("keys") and self.given("keys_table"):
            yield Problem("keys", "are made here, and keys_table gives those of another API; leave one out")
        if self.jwt is not None and self.jwt.in_vpc and not self.given("vpc"):
            yield Problem("jwt.in_vpc", "needs vpc: the subnets and security groups")
        yield from key_problems(self.keys)
        for index, key in valid_items(self.keys):
            if not key.websocket:
                yield Problem(f"keys[{index}].websocket", "keeps out a key that this API alone would know; leave the key out")
            for name in ("throttle", "daily_quota"):
                if key.given(name):
                    reason = (
                        "is of a usage plan, which would count connections here, not messages; generations_per_key bounds a key"
                    )
                    yield Problem(f"keys[{index}].{name}", reason)
        yield from key_model_problems(self.keys, self.aliases())
        of_keys = {f"keys[{index}].limits": key.limits for index, key in valid_items(self.keys)}
        of_keys |= {f"key_limits.{name}": limits for name, limits in (self.key_limits or {}).items()}
        yield from self.limit_problems(of_keys, self.aliases())
        if self.valid("auth"):
            yield from self.rule_problems(self.auth, self._callers(), self.aliases())
        if self.given("key_limits") and not self.given("keys_table"):
            yield Problem("key_limits", "are of the keys in keys_table; give those of keys that are made here in `keys`")
        if self.given("ledger_table") and self.all_limits() is None:
            yield Problem("ledger_table", "is only for limits, and there are none; leave it out")

    def _callers(self) -> list[Caller] | None:
        """The callers that have keys, where these are made here."""
        return callers_with_keys(self.keys) if self.auth == "api_key" and not self.given("keys_table") else None

    def problems_in(self, location: Location) -> Iterator[Problem]:
        yield from region_problems(self.region, location)
        routing = self.routing(location)
        yield from routing.problems
        yield from self.guardrail_problems(location)
        yield from self.retrieval_problems(routing)
        elsewhere = self.guardrail_regions(location)
        yield from self.rule_target_problems(routing.routes, location.region, self._callers(), elsewhere)
        yield from policy_problems(routing, self.policies, location)
        yield from environment_problems(self.environment, routing.environment)
