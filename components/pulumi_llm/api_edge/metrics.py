"""The metrics of requests: as settings, and as the functions read them."""

from collections.abc import Iterable
from typing import Annotated

from pydantic import Field

from llm_gateway import metrics as document
from pulumi_llm.api_edge.limits import Tenant
from pulumi_llm.base.settings import Flag, Settings, form

# https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_MetricDatum.html and …/API_PutMetricData.html
_Namespace = Annotated[
    str,
    form(
        r"(?!AWS/)[A-Za-z0-9._/#:-]{1,255}",
        "a namespace in CloudWatch, such as pulumi-llm/dev: letters, digits and ._/#:-, at most 255, not AWS/ first",
    ),
]


class MetricsSettings(Settings):
    """Metrics in CloudWatch of tokens, times, costs and errors, by alias, target and tenant. CloudWatch charges for each."""

    namespace: _Namespace
    """The namespace in which they are, such as "pulumi-llm/dev". Give each service one of its own."""
    tenants: Annotated[tuple[Tenant, ...], Field(min_length=1)] | None = None
    """Tenants that have metrics of their own, besides those of API keys that are made here: those of tokens are not known
    before, and each one costs. Default: none."""


class CallMetricsSettings(Settings):
    """What is measured of requests."""

    metrics: MetricsSettings | None = None
    """Metrics of requests in CloudWatch: tokens, cost, time to the first token, errors. Default: none; the log has them of each
    request."""

    log_costs: Flag = False
    """Write what each request costs, by the prices of the models, to its record in the log, where `metrics` do, too. A
    UsageAnalytics counts it."""

    def call_metrics(self, tenants: Iterable[str]) -> document.Metrics | None:
        """Return the metrics as the functions read them, None where there are none. `tenants` are those of API keys."""
        if self.metrics is None or not self.metrics.valid("namespace"):
            return None
        return document.Metrics(self.metrics.namespace, tuple(dict.fromkeys((*tenants, *(self.metrics.tenants or ())))))
