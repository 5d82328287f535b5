"""The descriptions of keys, tokens and limits, which every API shares."""

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, NamedTuple

from pydantic import BeforeValidator, Field

from llm_gateway.identity.caller import KEY_LENGTHS, Caller, is_key
from llm_gateway.tables import (
    DEFAULT_BATCH_REQUESTS_PER_CALLER,
    DEFAULT_BATCHES_PER_CALLER,
    DEFAULT_FILES_PER_CALLER,
    DEFAULT_JOBS_PER_CALLER,
    MOST_BATCHES_PER_CALLER,
)
from pulumi_llm.api_edge.limits import LimitSettings
from pulumi_llm.base.settings import Between, Count, Flag, Input, Name, Number, Problem, Settings, form, valid_items

# Each request that submits jobs counts those of its caller, some 25 to 4 KB: for 10,000 it reads 200 units, of the 2,000 a
# second that are the bound of the table's index.
JobsPerCaller = Annotated[Count, Between(1, 20_000)]
BatchesPerCaller = Annotated[Count, Between(1, MOST_BATCHES_PER_CALLER)]
BatchRequestsPerCaller = Annotated[Count, Between(1, 5_000_000)]
FilesPerCaller = Annotated[Count, Between(1, 100_000)]
# Requests that a usage plan may count. https://docs.aws.amazon.com/apigateway/latest/api/APIQuotaSettings.html
WebSocketConnections = Annotated[Count, Between(1, 100_000)]
Quota = Annotated[Count, Between(1, 2_147_483_647)]


class CallerJobsSettings(Settings):
    """What one caller may have of jobs, batches and files."""

    jobs_per_caller: JobsPerCaller = DEFAULT_JOBS_PER_CALLER
    """How many jobs of a caller may be queued or running."""
    batches_per_caller: BatchesPerCaller = DEFAULT_BATCHES_PER_CALLER
    """How many batches of a caller may be there that have not ended."""
    batch_requests_per_caller: BatchRequestsPerCaller = DEFAULT_BATCH_REQUESTS_PER_CALLER
    """How many requests, lines of their files, these may have. A batch has up to 50,000."""
    files_per_caller: FilesPerCaller = DEFAULT_FILES_PER_CALLER
    """How many files a caller may upload a day (UTC), each of up to 4 MiB; they are kept for some days."""


# Loopback is for a local run with an issuer on the same machine.
_Issuer = Annotated[
    str,
    form(
        r"(https://[A-Za-z0-9.-]+|http://(127\.0\.0\.1|localhost))(:\d{1,5})?(/[^\s?#]*)?",
        "an issuer, such as https://id.example.com",
    ),
]
_Audience = Annotated[str, form(r"[^,\s]+", "an audience: not empty, without commas or white space")]


def _key_value(value: Any) -> str:
    """Check a key's value; an error never shows it."""
    if not isinstance(value, str):
        raise ValueError("must be a string")
    shortest, longest = KEY_LENGTHS
    if not shortest <= len(value) <= longest:
        raise ValueError(f"must have {shortest} to {longest} characters")
    if not is_key(value):
        raise ValueError("must be letters, digits and '-._~+/', with '=' at its end only")
    return value


_KeyValue = Annotated[str, BeforeValidator(_key_value)]


class Throttle(NamedTuple):
    """A token bucket: requests a second, and requests at once."""

    rate_limit: float
    burst_limit: int


class ThrottleSettings(Settings):
    """A rate of requests. API Gateway's limits for an account are 10,000 a second and 5,000 at once."""

    rate_limit: Annotated[Number, Between(0.1, 10_000)] | None = None
    """Requests a second. Default: that of the limit above it."""
    burst_limit: Annotated[Count, Between(1, 5_000)] | None = None
    """Requests at once. Default: that of the limit above it."""

    def over(self, above: Throttle) -> Throttle:
        """These limits; for what is not given, those of the level above."""
        return Throttle(
            above.rate_limit if self.rate_limit is None else self.rate_limit,
            above.burst_limit if self.burst_limit is None else self.burst_limit,
        )


class ApiKeySettings(Settings):
    """An API key."""

    name: Name
    """What the key is called in logs and outputs."""
    tenant: Name = "default"
    """Whose key it is."""
    value: Input[_KeyValue] | None = None
    """A value that callers have already, a secret of 20 to 128 characters. Another value replaces the key. AWS takes a value
    once in an account and Region: to rename such a key, take it off the list, run `pulumi up`, and add it under the new name.
    Default: API Gateway makes one."""
    enabled: Flag = True
    """Whether it may call. With `deletion_protection`, a key is removed or renamed in two steps: set this to false and run
    `pulumi up`, then change the list."""
    models: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    """The aliases that it may use. Default: all."""
    throttle: ThrottleSettings = ThrottleSettings()
    """Its own rate. Default: the API's."""
    daily_quota: Quota | None = None
    """Its own requests a day. Default: the API's."""
    limits: LimitSettings = LimitSettings()
    """Its own limits, each in the place of the API's. Default: the API's `limits`."""
    websocket: Flag = True
    """Whether it may connect to a WebSocket API that takes the keys of this API. Neither `throttle` nor `daily_quota` counts
    there."""
    websocket_connections: WebSocketConnections | None = None
    """How many connections it may have open at once there. Default: as many as any key, the WebSocket API's
    `connections_per_key`."""


class JwtSettings(Settings):
    """The JSON Web Tokens of an OpenID Connect issuer, signed with RS256, which every such issuer supports."""

    issuer: Input[_Issuer]
    """The issuer's URL, as it stands in a token's `iss`. Its keys are found by its discovery document."""
    audiences: Annotated[tuple[Input[_Audience], ...], Field(min_length=1)]
    """A token's `aud` must hold one of these."""
    in_vpc: Flag = False
    """The issuer is reached from the API's `vpc` only, so that the authorizer runs there, too."""
    tenant_claim: Input[Annotated[str, Field(min_length=1)]] = "sub"
    """The claim that names the tenant."""
    models_claim: Input[Annotated[str, Field(min_length=1)]] | None = None
    """The claim that lists the aliases allowed. Default: none, which allows all."""


def callers_with_keys(keys: Sequence[ApiKeySettings] | None) -> list[Caller]:
    """Return the callers that have these keys."""
    found = [key for _, key in valid_items(keys) if key.valid("name", "tenant")]
    return [Caller(key.tenant, key.name, None if key.models is None else tuple(filter(None, key.models))) for key in found]


def key_problems(keys: Sequence[ApiKeySettings] | None) -> Iterator[Problem]:
    """Yield which keys have the name or the value of another."""
    names: set[str] = set()
    values: set[str] = set()
    for index, key in valid_items(keys):
        if key.websocket is False and key.given("websocket_connections"):
            yield Problem(f"keys[{index}].websocket_connections", "is of a key that may not connect; leave it or websocket out")
        if key.name in names:
            yield Problem(f"keys[{index}].name", f"{key.name!r} is there already; every key needs a name of its own")
        names |= {key.name} if key.valid("name") else set()
        if isinstance(key.value, str):
            if key.value in values:
                yield Problem(f"keys[{index}].value", "is another key's value; API Gateway takes each only once")
            values.add(key.value)


def key_model_problems(keys: Sequence[ApiKeySettings] | None, aliases: Sequence[str]) -> Iterator[Problem]:
    """Yield which keys name a model that is not among the aliases."""
    for index, key in valid_items(keys):
        for position, model in valid_items(key.models):
            if aliases and model not in aliases:
                reason = f"{model!r} is not among the models; choose of {', '.join(sorted(set(aliases)))}"
                yield Problem(f"keys[{index}].models[{position}]", reason)
