"""The metrics of requests: CloudWatch Logs makes them from fields of the record of a request, which says what they are.

That costs no call and no permission. CloudWatch charges for each metric with each combination of its dimensions, so dimensions
have only values that settings know: aliases, targets, and tenants that are named.
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

# The fields of the record that become metrics, with CloudWatch's units.
UNITS: Final[Mapping[str, str]] = {
    "duration_ms": "Milliseconds",
    "time_to_first_event_ms": "Milliseconds",
    "gen_ai.usage.input_tokens": "Count",
    "gen_ai.usage.output_tokens": "Count",
    "gen_ai.usage.cache_read.input_tokens": "Count",
    "gen_ai.usage.cache_creation.input_tokens": "Count",
    "cost_usd": "None",
    "cache.hits": "Count",
    "cache.saved_tokens": "Count",
    "server_errors": "Count",
    "client_errors": "Count",
    "throttles": "Count",
}
# What the records of requests have as their `message`.
MESSAGES: Final = ("chat", "embeddings")
_ALIAS, _TARGET, _TENANT = "gen_ai.request.model", "target", "tenant"


class Metrics(msgspec.Struct, frozen=True):
    """Where the metrics are: in a namespace of CloudWatch's. `tenants` are those that have metrics of their own."""

    namespace: str
    tenants: tuple[str, ...] = ()

    def describe(self, fields: Mapping[str, Any], now: float, *, known_alias: bool) -> dict[str, Any]:
        """Return the member ``_aws`` of a record, which says which of its fields are metrics, and by what they are divided.

        Args:
            now: Seconds since the epoch.
            known_alias: Whether the record names an alias, and not what the caller has written in its place.
        """
        dimensions: list[list[str]] = [[]]
        if known_alias:
            dimensions.append([_ALIAS])
            if _TARGET in fields:
                dimensions.append([_ALIAS, _TARGET])
        if fields[_TENANT] in self.tenants:
            dimensions.append([_TENANT])
        metrics = [{"Name": name, "Unit": unit} for name, unit in UNITS.items() if name in fields]
        directive = {"Namespace": self.namespace, "Dimensions": dimensions, "Metrics": metrics}
        return {"Timestamp": int(now * 1000), "CloudWatchMetrics": [directive]}
