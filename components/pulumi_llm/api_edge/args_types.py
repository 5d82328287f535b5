"""The arguments as TypedDicts, for programs and for Pulumi's analyzer. Made by `make docs` from args.py."""

from collections.abc import Mapping, Sequence
from typing import NotRequired, TypedDict

import pulumi


class MetricsArgs(TypedDict):
    """Metrics in CloudWatch of tokens, times, costs and errors, by alias, target and tenant. CloudWatch charges for
    each."""

    namespace: str
    """The namespace in which they are, such as "pulumi-llm/dev". Give each service one of its own."""
    tenants: NotRequired[Sequence[str]]
    """Tenants that have metrics of their own, besides those of API keys that are made here: those of tokens are not known
    before, and each one costs. Default: none."""


class ModelLimitArgs(TypedDict):
    """What may be used of one alias in a minute, a day or a month, which are the calendar's, in UTC."""

    requests: NotRequired[Mapping[str, int]]
    """Requests, such as {"minute": 60, "day": 5000}. Default: no limits."""
    tokens: NotRequired[Mapping[str, int]]
    """Tokens, those of requests and of answers together. Before a call, those of its request, as they are estimated, and
    its `max_tokens`, or the bound that an answer has without, are reserved. What it has not used is given back after it.
    Default: no limits."""
    usd: NotRequired[Mapping[str, float]]
    """US dollars, by the prices of the models. Before a call, the most that it can cost is reserved. Default: no limits."""


class LimitArgs(TypedDict):
    """What may be used in a minute, a day or a month, which are the calendar's, in UTC."""

    requests: NotRequired[Mapping[str, int]]
    """Requests, such as {"minute": 60, "day": 5000}. Default: no limits."""
    tokens: NotRequired[Mapping[str, int]]
    """Tokens, those of requests and of answers together. Before a call, those of its request, as they are estimated, and
    its `max_tokens`, or the bound that an answer has without, are reserved. What it has not used is given back after it.
    Default: no limits."""
    usd: NotRequired[Mapping[str, float]]
    """US dollars, by the prices of the models. Before a call, the most that it can cost is reserved. Default: no limits."""
    calls_in_flight: NotRequired[int]
    """How many calls may run at once. From 1 to 200. Default: none."""
    models: NotRequired[Mapping[str, ModelLimitArgs]]
    """Limits for single aliases, within the others. Default: none."""


class JwtArgs(TypedDict):
    """The JSON Web Tokens of an OpenID Connect issuer, signed with RS256, which every such issuer supports."""

    issuer: pulumi.Input[str]
    """The issuer's URL, as it stands in a token's `iss`. Its keys are found by its discovery document."""
    audiences: Sequence[pulumi.Input[str]]
    """A token's `aud` must hold one of these."""
    in_vpc: NotRequired[bool]
    """The issuer is reached from the API's `vpc` only, so that the authorizer runs there, too. Default: false."""
    tenant_claim: NotRequired[pulumi.Input[str]]
    """The claim that names the tenant. Default: "sub"."""
    models_claim: NotRequired[pulumi.Input[str]]
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
    limits: NotRequired[LimitArgs]
    """Its own limits, each in the place of the API's. Default: the API's `limits`."""
    websocket: NotRequired[bool]
    """Whether it may connect to a WebSocket API that takes the keys of this API. Neither `throttle` nor `daily_quota`
    counts there. Default: true."""
    websocket_connections: NotRequired[int]
    """How many connections it may have open at once there. From 1 to 100,000. Default: as many as any key, the WebSocket
    API's `connections_per_key`."""
