"""The limits of callers: as settings, and as the functions read them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated

from pydantic import Field

from llm_gateway import limits as document
from pulumi_llm.base.settings import Between, Count, Number, Problem, Settings, form

Window = Annotated[str, form("|".join(document.WINDOWS), 'a window, which is "minute", "day" or "month"')]
_Amount = Annotated[Count, Between(1, 10**15)]
_Usd = Annotated[Number, Between(0.01, 10**9)]
# A call in flight is an entry of the caller's item, which is written twice for each call.
_Calls = Annotated[Count, Between(1, 200)]
# A tenant's name; of a token's it is the value of a claim.
Tenant = Annotated[str, form(r"[^\x00-\x1f\x7f]{1,256}", "a tenant's name, as keys, tokens or an account have it")]


class ModelLimitSettings(Settings):
    """What may be used of one alias in a minute, a day or a month, which are the calendar's, in UTC."""

    requests: Mapping[Window, _Amount] = Field(default_factory=dict)
    """Requests, such as {"minute": 60, "day": 5000}. Default: no limits."""
    tokens: Mapping[Window, _Amount] = Field(default_factory=dict)
    """Tokens, those of requests and of answers together. Before a call, those of its request, as they are estimated, and its
    `max_tokens`, or the bound that an answer has without, are reserved. What it has not used is given back after it.
    Default: no limits."""
    usd: Mapping[Window, _Usd] = Field(default_factory=dict)
    """US dollars, by the prices of the models. Before a call, the most that it can cost is reserved. Default: no limits."""

    def amounts(self) -> dict[tuple[document.Measure, document.Window], int]:
        """The limits that are given, by what they limit; money in micro-dollars."""
        found: dict[tuple[document.Measure, document.Window], int] = {}
        for window in document.WINDOWS:
            if (requests := (self.requests or {}).get(window)) is not None:
                found["requests", window] = requests
            if (tokens := (self.tokens or {}).get(window)) is not None:
                found["tokens", window] = tokens
            if (usd := (self.usd or {}).get(window)) is not None:
                found["micro_usd", window] = round(usd * 1_000_000)
        return found


class LimitSettings(ModelLimitSettings):
    """What may be used in a minute, a day or a month, which are the calendar's, in UTC."""

    calls_in_flight: _Calls | None = None
    """How many calls may run at once."""
    models: Mapping[str, ModelLimitSettings] = Field(default_factory=dict)
    """Limits for single aliases, within the others. Default: none."""

    def document(self, above: "LimitSettings | None" = None) -> document.Limits:
        """The limits as the functions read them; for what is not given, those of `above`."""
        levels = [level for level in (above, self) if level is not None]
        amounts: dict[tuple[str, document.Measure, document.Window], int] = {}
        calls: int | None = None
        for level in levels:
            amounts |= {("", *key): most for key, most in level.amounts().items()}
            for model, limits in (level.models or {}).items():
                amounts |= {(model, *key): most for key, most in limits.amounts().items()}
            calls = calls if level.calls_in_flight is None else level.calls_in_flight
        counted = (document.Limit(measure, window, most, model) for (model, measure, window), most in amounts.items())
        return document.Limits(tuple(counted), calls)


class CallerLimitSettings(Settings):
    """The limits of callers, besides those of single keys."""

    limits: LimitSettings = LimitSettings()
    """What each caller may use: an API key, the subject of a token, or an AWS identity, all sessions of a role together. With
    `auth` "none" all callers are one. Without any limits nothing is counted, and no table is made. Default: no limits."""
    tenant_limits: Mapping[Tenant, LimitSettings] = Field(default_factory=dict)
    """What all callers of a tenant may use together, by the tenant's name: that of the keys, the value of a token's
    `tenant_claim`, or the number of an AWS account. Default: no limits."""

    def caller_limits(self, keys: Mapping[str, LimitSettings | None]) -> document.CallerLimits | None:
        """Return all limits as the functions read them, with those of keys by their names; None where there are none."""
        own = {name: limits.document(self.limits) for name, limits in keys.items() if limits and limits.model_fields_set}
        tenants = {name: limits.document() for name, limits in (self.tenant_limits or {}).items() if limits}
        found = document.CallerLimits(own, self.limits.document() if self.limits else document.NO_LIMITS, tenants)
        return found if any((*own.values(), found.others, *tenants.values())) else None

    def limit_problems(self, keys: Mapping[str, LimitSettings | None], aliases: Sequence[str]) -> Iterator[Problem]:
        """Yield which limits are of a model that is not among the aliases. `keys` are those of keys, by their paths."""
        tenants = {f"tenant_limits.{name}": limits for name, limits in (self.tenant_limits or {}).items()}
        for path, settings in {"limits": self.limits, **keys, **tenants}.items():
            for model in (settings.models or {}) if settings else {}:
                if aliases and model not in aliases:
                    reason = f"{model!r} is not among the models; choose of {', '.join(sorted(set(aliases)))}"
                    yield Problem(f"{path}.models.{model}", reason)
