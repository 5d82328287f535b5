"""Histograms of measurements, which are added up from one export to the next (delta temporality).

https://opentelemetry.io/docs/specs/otel/metrics/data-model/#histogram
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

import msgspec

from llm_gateway.tracing.spans import Attributes, Measurement, Value


class Metric(NamedTuple):
    """A histogram: its unit, what it counts, and the upper bounds of its buckets."""

    unit: str
    description: str
    bounds: tuple[float, ...]


_SECONDS = tuple(0.01 * 2**n for n in range(14))
# https://github.com/open-telemetry/semantic-conventions/blob/v1.41.1/docs/gen-ai/gen-ai-metrics.md
METRICS: Final[Mapping[str, Metric]] = {
    "gen_ai.client.token.usage": Metric(
        "{token}", "Number of input and output tokens used.", tuple(float(4**n) for n in range(14))
    ),
    "gen_ai.client.operation.duration": Metric("s", "GenAI operation duration.", _SECONDS),
    "gen_ai.client.operation.time_to_first_chunk": Metric("s", "Time to receive the first chunk of an answer.", _SECONDS),
    "gen_ai.server.time_to_first_token": Metric(
        "s",
        "Time to generate first token for successful responses.",
        (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0),
    ),
}
# The most series of a process between two exports. Attributes have only values of settings, so there are far fewer.
MOST_SERIES = 2_000


class Series(msgspec.Struct):
    """The values of one metric with one set of attributes."""

    metric: str
    attributes: tuple[tuple[str, Value], ...]
    counts: list[int]
    total: float
    least: float
    most: float


class Histograms:
    """The values since the last export, which began at `since`, in nanoseconds since the epoch."""

    def __init__(self, since: int) -> None:
        self.since = since
        self._series: dict[tuple[str, tuple[tuple[str, Value], ...]], Series] = {}

    def add(self, measurements: Iterable[Measurement]) -> None:
        for metric, value, attributes in measurements:
            key = metric, _sorted(attributes)
            series = self._series.get(key)
            bounds = METRICS[metric].bounds
            if series is None:
                if len(self._series) >= MOST_SERIES:
                    continue
                series = self._series[key] = Series(*key, [0] * (len(bounds) + 1), 0.0, value, value)
            series.counts[bisect_left(bounds, value)] += 1
            series.total += value
            series.least, series.most = min(series.least, value), max(series.most, value)

    def take(self, now: int) -> list[Series]:
        """Return the values, and begin again at `now`."""
        series, self._series, self.since = list(self._series.values()), {}, now
        return series


def _sorted(attributes: Attributes) -> tuple[tuple[str, Value], ...]:
    return tuple(sorted(attributes.items()))
