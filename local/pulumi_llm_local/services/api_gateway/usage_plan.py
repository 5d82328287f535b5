"""API Gateway's limits: the throttle of each method, and a usage plan's throttle and quota per key."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pulumi_llm_local.program.graph import Graph, Resource


class UsagePlans:
    """The limits of one API's stage. `clock` gives seconds since the epoch."""

    def __init__(self, graph: Graph, api: str, stage: str, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._method_settings = _method_settings(graph, api, stage)
        self._methods: dict[str, Bucket] = {}
        self._keys: dict[str, list[_Meter]] = {}
        values = {
            key.id: str(key.state["value"])
            for key in graph.of_type("aws:apigateway/apiKey:ApiKey")
            if key.state.get("enabled") is not False
        }
        for plan in graph.of_type("aws:apigateway/usagePlan:UsagePlan"):
            stages: list[Any] = plan.state.get("apiStages") or []
            if not any(s["apiId"] == api and s["stage"] == stage for s in stages):
                continue
            for link in graph.of_type("aws:apigateway/usagePlanKey:UsagePlanKey"):
                if link.state["usagePlanId"] == plan.id and link.state["keyId"] in values:
                    self._keys.setdefault(values[link.state["keyId"]], []).append(_Meter.of(plan))

    @property
    def keys(self) -> list[str]:
        """The keys' values, in the order of the program."""
        return list(self._keys)

    def admit_to_method(self, resource_path: str, http_method: str) -> str | None:
        """Count a request against its method's limit; the gateway response type where it is refused.

        A stage's throttle is applied to each method by itself, and a method may have one of its own.
        https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-request-throttling.html
        """
        method = f"{resource_path.removeprefix('/')}/{http_method}"
        settings = self._method_settings.get(method) or self._method_settings.get("*/*") or {}
        if settings.get("throttlingRateLimit", -1) < 0:
            return None
        bucket = self._methods.setdefault(method, Bucket(settings["throttlingRateLimit"], settings["throttlingBurstLimit"]))
        return None if bucket.take(self._clock()) else "THROTTLED"

    def admit(self, key: str) -> str | None:
        """Count a request of a key; the gateway response type where it is refused."""
        meters = self._keys.get(key)
        if not meters:
            return "INVALID_API_KEY"
        now = self._clock()
        for meter in meters:
            verdict = meter.admit(now)
            if verdict is not None:
                return verdict
        return None


@dataclass
class Bucket:
    """A token bucket: `rate` tokens a second, at most `burst`."""

    rate: float
    burst: float
    tokens: float = 0.0
    at: float = 0.0

    def __post_init__(self) -> None:
        self.tokens = self.burst

    def take(self, now: float) -> bool:
        self.tokens = min(self.burst, self.tokens + (now - self.at) * self.rate) if self.at else self.burst
        self.at = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


# A quota's period begins anew at 00:00 UTC: seconds since the epoch -> the period's number.
_PERIODS: dict[str, Callable[[float], Any]] = {
    "DAY": lambda now: int(now // 86_400),
    "WEEK": lambda now: int((now // 86_400 + 4) // 7),  # weeks begin on Sunday, and the epoch was a Thursday
    "MONTH": lambda now: time.gmtime(now)[:2],
}


@dataclass
class _Meter:
    """One key in one usage plan."""

    bucket: Bucket | None
    limit: int | None
    period: str
    used: int = 0
    current: Any = field(default=None)

    @staticmethod
    def of(plan: Resource) -> "_Meter":
        throttle, quota = plan.state.get("throttleSettings"), plan.state.get("quotaSettings")
        return _Meter(
            bucket=Bucket(throttle["rateLimit"], throttle["burstLimit"]) if throttle else None,
            limit=int(quota["limit"]) if quota else None,
            period=quota["period"] if quota else "DAY",
        )

    def admit(self, now: float) -> str | None:
        if self.bucket is not None and not self.bucket.take(now):
            return "THROTTLED"
        period = _PERIODS[self.period](now)
        if period != self.current:
            self.current, self.used = period, 0
        if self.limit is not None and self.used >= self.limit:
            return "QUOTA_EXCEEDED"
        self.used += 1
        return None


def _method_settings(graph: Graph, api: str, stage: str) -> dict[str, dict[str, Any]]:
    """The settings of a stage's methods, by their paths; those of `*/*` are for the others."""
    return {
        str(settings.state["methodPath"]).replace("~1", "/").removeprefix("/"): settings.state.get("settings") or {}
        for settings in graph.of_type("aws:apigateway/methodSettings:MethodSettings")
        if (settings.state["restApi"], settings.state["stageName"]) == (api, stage)
    }
