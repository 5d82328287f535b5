"""A receiver of OTLP/HTTP on loopback, which reads what comes with the official protobuf messages and refuses all else."""

import asyncio
import base64
import json
from collections.abc import Iterator
from typing import Any

from google.protobuf import json_format
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import HistogramDataPoint, Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from wire.http import Fake, Peer, response

_MESSAGES: dict[str, type[Any]] = {"/v1/traces": ExportTraceServiceRequest, "/v1/metrics": ExportMetricsServiceRequest}
# Of OTLP's fields of bytes. In its JSON they are hexadecimal, and in that of protobuf Base64.
_BYTES = ("traceId", "spanId", "parentSpanId")


def parsed(path: str, body: Any) -> Any:
    """The message of an export. Raises an error for a field that there is not, or one of another type."""
    return json_format.ParseDict(_with_base64(body), _MESSAGES[path](), ignore_unknown_fields=False)


class Receiver(Fake):
    """Answers each export with 200, or with the statuses that `answers` has first. `None` there: it answers nothing."""

    def __init__(self, *answers: int | None) -> None:
        super().__init__(self._receive)
        self.answers = list(answers)
        self.exports: list[tuple[str, Any]] = []
        self._came = asyncio.Event()

    async def _receive(self, peer: Peer) -> None:
        while True:
            body = await peer.request()
            path = self.paths[-1]
            answer = self.answers.pop(0) if self.answers else 200
            if answer == 200:
                self.exports.append((path, parsed(path, body)))
            self._came.set()
            if answer is None:
                await peer.gone()
                return
            await peer.send(response(answer, {}))

    async def came(self, count: int) -> None:
        """Wait until so many requests have come."""
        while len(self.paths) < count:
            self._came.clear()
            await self._came.wait()

    def spans(self) -> list[Span]:
        exports = [message for path, message in self.exports if path == "/v1/traces"]
        return [s for message in exports for r in message.resource_spans for scope in r.scope_spans for s in scope.spans]

    def metrics(self) -> list[Metric]:
        exports = [message for path, message in self.exports if path == "/v1/metrics"]
        return [m for message in exports for r in message.resource_metrics for scope in r.scope_metrics for m in scope.metrics]

    def points(self, name: str) -> list[HistogramDataPoint]:
        return [point for metric in self.metrics() if metric.name == name for point in metric.histogram.data_points]


def attributes(of: Any) -> dict[str, Any]:
    """The attributes of a span, a point or a resource."""
    pairs: Iterator[KeyValue] = of.attributes
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    assert kind is not None
    return [_value(each) for each in value.array_value.values] if kind == "array_value" else getattr(value, kind)


def _with_base64(body: Any) -> Any:
    if isinstance(body, list):
        return [_with_base64(each) for each in body]
    if not isinstance(body, dict):
        return body
    return {
        name: base64.b64encode(bytes.fromhex(value)).decode() if name in _BYTES else _with_base64(value)
        for name, value in body.items()
    }


def without_content(receiver: Receiver, *texts: str) -> bool:
    """Whether none of the texts is in anything that came."""
    everything = json.dumps(receiver.bodies) + "".join(receiver.heads)
    return not any(text in everything for text in texts)
