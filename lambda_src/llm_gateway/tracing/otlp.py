"""Spans and histograms as OTLP/HTTP has them, in JSON.

Bytes are hexadecimal there, 64-bit integers are strings, and enumerations are numbers.
https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding
https://github.com/open-telemetry/opentelemetry-proto/tree/main/opentelemetry/proto
"""

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any, Final

import msgspec

from llm_gateway.tracing.histograms import METRICS, Series
from llm_gateway.tracing.spans import SCHEMA_URL, Attributes, Span, Value

TRACES_PATH: Final = "/v1/traces"
METRICS_PATH: Final = "/v1/metrics"

_KINDS = {"server": 2, "client": 3}
_ERROR = 2
_DELTA = 1
# https://github.com/open-telemetry/opentelemetry-proto/blob/main/opentelemetry/proto/trace/v1/trace.proto (SpanFlags)
_SAMPLED, _HAS_IS_REMOTE, _IS_REMOTE = 0x1, 0x100, 0x200
_SCOPE = {"name": "pulumi-llm"}
_encode = msgspec.json.Encoder().encode


def span(described: Span) -> bytes:
    """Return a span as it stands in an export."""
    return _encode(_span(described))


def traces(resource: Attributes, spans: Iterable[bytes]) -> bytes:
    """Return the body of an export of spans, which `span` has made."""
    scope = {"scope": _SCOPE, "schemaUrl": SCHEMA_URL, "spans": [msgspec.Raw(each) for each in spans]}
    described = {"resource": {"attributes": _attributes(resource)}, "scopeSpans": [scope], "schemaUrl": SCHEMA_URL}
    return _encode({"resourceSpans": [described]})


def metrics(resource: Attributes, series: Sequence[Series], since: int, now: int) -> bytes:
    """Return the body of an export of histograms, whose values came from `since` to `now`, in nanoseconds since the epoch."""
    described = [
        {
            "name": name,
            "unit": METRICS[name].unit,
            "description": METRICS[name].description,
            "histogram": {"aggregationTemporality": _DELTA, "dataPoints": [_point(each, since, now) for each in group]},
        }
        for name, group in groupby(sorted(series, key=_metric), _metric)
    ]
    scope = {"scope": _SCOPE, "schemaUrl": SCHEMA_URL, "metrics": described}
    whole = {"resource": {"attributes": _attributes(resource)}, "scopeMetrics": [scope], "schemaUrl": SCHEMA_URL}
    return _encode({"resourceMetrics": [whole]})


def _metric(series: Series) -> str:
    return series.metric


def _span(span: Span) -> dict[str, Any]:
    return {
        "traceId": span.trace_id,
        "spanId": span.span_id,
        **({"parentSpanId": span.parent_id} if span.parent_id else {}),
        **({"traceState": span.state} if span.state else {}),
        "flags": _SAMPLED | _HAS_IS_REMOTE | (_IS_REMOTE if span.remote_parent else 0),
        "name": span.name,
        "kind": _KINDS[span.kind],
        "startTimeUnixNano": str(span.began),
        "endTimeUnixNano": str(max(span.began, span.ended)),
        "attributes": _attributes(span.attributes),
        "status": {"code": _ERROR, "message": span.error} if span.error else {},
    }


def _point(series: Series, since: int, now: int) -> dict[str, Any]:
    return {
        "attributes": _attributes(dict(series.attributes)),
        "startTimeUnixNano": str(since),
        "timeUnixNano": str(now),
        "count": str(sum(series.counts)),
        "sum": series.total,
        "bucketCounts": [str(count) for count in series.counts],
        "explicitBounds": METRICS[series.metric].bounds,
        "min": series.least,
        "max": series.most,
    }


def _attributes(attributes: Attributes) -> list[dict[str, Any]]:
    return [{"key": name, "value": _value(value)} for name, value in attributes.items()]


def _value(value: Value) -> dict[str, Any]:
    match value:
        case bool():
            return {"boolValue": value}
        case str():
            return {"stringValue": value}
        case int():
            return {"intValue": str(value)}
        case float():
            return {"doubleValue": value}
        case _:
            return {"arrayValue": {"values": [{"stringValue": each} for each in value]}}
