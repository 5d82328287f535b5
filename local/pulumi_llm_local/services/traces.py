"""What stands for a receiver of traces: OTLP over HTTP in JSON, X-Ray's own OTLP endpoint, and X-Ray's daemon.

It takes what the protocols have and refuses everything else, and shows the latest traces as text at its address. Nothing leaves
this machine, whatever receiver the program names.
https://opentelemetry.io/docs/specs/otlp/#otlphttp
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch-OTLPEndpoint.html
https://docs.aws.amazon.com/xray/latest/devguide/xray-api-sendingdata.html#xray-api-daemon
"""

import asyncio
import hmac
import json
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

import msgspec
from aiohttp import web

from llm_gateway.trace import XRAY, Tracing
from pulumi_llm_local.program.routes import routes_documents
from pulumi_llm_local.services.local_run import LocalRun
from pulumi_llm_local.services.signature import SignatureError, verify_signature

PLAYED = IMPLIED = frozenset[str]()
# The latest traces that are shown.
_MOST_TRACES = 50
# Of X-Ray's endpoint.
_MOST_BYTES = 5_000_000


async def start(run: LocalRun) -> None:
    """Start the receiver where a function traces requests, and tell every function its address."""
    await run.loading
    found = [routes.tracing for routes in routes_documents(run.graph) if routes.tracing is not None]
    if not found:
        return
    traces = Traces()
    app = web.Application(client_max_size=_MOST_BYTES)
    receiver = Receiver(traces, run, found)
    app.router.add_get("/", receiver.show)
    app.router.add_post("/v1/traces", receiver.take_traces)
    app.router.add_post("/v1/metrics", receiver.take_metrics)
    run.traces = await run.serve(app)
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(lambda: Daemon(traces), ("127.0.0.1", 0))
    run.stop.callback(transport.close)
    host, port = transport.get_extra_info("sockname")
    run.variables |= {
        "OTEL_EXPORTER_OTLP_ENDPOINT": run.traces,
        "AWS_ENDPOINT_URL_XRAY": run.traces,
        "AWS_XRAY_DAEMON_ADDRESS": f"{host}:{port}",
    }


# OTLP's messages in JSON, as far as they are sent. https://github.com/open-telemetry/opentelemetry-proto

_TraceId = Annotated[str, msgspec.Meta(pattern="^(?!0{32})[0-9a-fA-F]{32}$")]
_SpanId = Annotated[str, msgspec.Meta(pattern="^(?!0{16})[0-9a-fA-F]{16}$")]
_Int64 = Annotated[str, msgspec.Meta(pattern=r"^-?\d{1,20}$")]


class _Message(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    pass


class _Values(_Message, frozen=True):
    values: list["_Value"] = []


class _Value(_Message, frozen=True):
    string_value: str | None = None
    bool_value: bool | None = None
    int_value: _Int64 | None = None
    double_value: float | None = None
    array_value: _Values | None = None

    def plain(self) -> Any:
        """The value as Python has it."""
        if self.array_value is not None:
            return [each.plain() for each in self.array_value.values]
        if self.int_value is not None:
            return int(self.int_value)
        return next((each for each in (self.string_value, self.bool_value, self.double_value) if each is not None), None)


class _Attribute(_Message, frozen=True):
    key: str
    value: _Value


class _Resource(_Message, frozen=True):
    attributes: list[_Attribute] = []


class _Scope(_Message, frozen=True):
    name: str = ""
    version: str = ""


class _Status(_Message, frozen=True):
    code: int = 0
    message: str = ""


class _Span(_Message, frozen=True):
    trace_id: _TraceId
    span_id: _SpanId
    name: str
    start_time_unix_nano: _Int64
    end_time_unix_nano: _Int64
    kind: Annotated[int, msgspec.Meta(ge=0, le=5)] = 0
    parent_span_id: _SpanId | None = None
    trace_state: str = ""
    flags: int = 0
    attributes: list[_Attribute] = []
    status: _Status = _Status()


class _ScopeSpans(_Message, frozen=True):
    spans: list[_Span] = []
    scope: _Scope = _Scope()
    schema_url: str = ""


class _ResourceSpans(_Message, frozen=True):
    scope_spans: list[_ScopeSpans] = []
    resource: _Resource = _Resource()
    schema_url: str = ""


class _Traces(_Message, frozen=True):
    resource_spans: list[_ResourceSpans]


class _Point(_Message, frozen=True):
    start_time_unix_nano: _Int64
    time_unix_nano: _Int64
    count: _Int64
    bucket_counts: list[_Int64]
    explicit_bounds: list[float]
    attributes: list[_Attribute] = []
    sum: float | None = None
    min: float | None = None
    max: float | None = None


class _Histogram(_Message, frozen=True):
    data_points: list[_Point]
    aggregation_temporality: Annotated[int, msgspec.Meta(ge=1, le=2)]


class _Metric(_Message, frozen=True):
    name: str
    histogram: _Histogram
    unit: str = ""
    description: str = ""


class _ScopeMetrics(_Message, frozen=True):
    metrics: list[_Metric] = []
    scope: _Scope = _Scope()
    schema_url: str = ""


class _ResourceMetrics(_Message, frozen=True):
    scope_metrics: list[_ScopeMetrics] = []
    resource: _Resource = _Resource()
    schema_url: str = ""


class _Metrics(_Message, frozen=True):
    resource_metrics: list[_ResourceMetrics]


@dataclass
class Shown:
    """A span as it is shown. Times are in seconds since the epoch."""

    id: str
    parent: str
    name: str
    began: float
    ended: float
    attributes: Mapping[str, Any]
    error: str


@dataclass
class Traces:
    """The latest traces, and how often each metric has come."""

    spans: OrderedDict[str, list[Shown]] = field(default_factory=OrderedDict[str, list[Shown]])
    metrics: dict[str, int] = field(default_factory=dict[str, int])

    def add(self, trace_id: str, span: Shown) -> None:
        self.spans.setdefault(trace_id, []).append(span)
        if len(self.spans) > _MOST_TRACES:
            self.spans.popitem(last=False)

    def text(self) -> str:
        """The traces as trees, the latest first, and the metrics."""
        lines: list[str] = []
        for trace_id, spans in reversed(self.spans.items()):
            lines.append(f"trace {trace_id}")
            known = {span.id for span in spans}
            for root in (span for span in spans if span.parent not in known):
                lines += _tree(root, spans, 1)
            lines.append("")
        lines += [f"metric {name}: {count} values" for name, count in sorted(self.metrics.items())]
        return "\n".join(lines or ["no traces yet"]) + "\n"


def _tree(span: Shown, spans: list[Shown], depth: int) -> Iterator[str]:
    began = datetime.fromtimestamp(span.began, UTC).strftime("%H:%M:%S.%f")[:-3]
    indent = "  " * depth
    yield f"{indent}{began} {span.name}  {(span.ended - span.began) * 1000:.1f} ms{f'  {span.error}' if span.error else ''}"
    yield from (f"{indent}    {name}: {value}" for name, value in sorted(span.attributes.items()))
    for child in sorted((each for each in spans if each.parent == span.id), key=lambda each: each.began):
        yield from _tree(child, spans, depth + 1)


_Body = TypeVar("_Body", _Traces, _Metrics)


class Receiver:
    """The receiver by HTTP. What asks for a key or a signature gets one."""

    def __init__(self, traces: Traces, run: LocalRun, settings: list[Tracing]) -> None:
        self._traces = traces
        self._run = run
        self._settings = settings

    async def show(self, request: web.Request) -> web.Response:
        return web.Response(text=self._traces.text())

    async def take_traces(self, request: web.Request) -> web.Response:
        message = await self._read(request, _Traces)
        for scope in (scope for resource in message.resource_spans for scope in resource.scope_spans):
            for span in scope.spans:
                began, ended = (int(each) / 1e9 for each in (span.start_time_unix_nano, span.end_time_unix_nano))
                attributes = {each.key: each.value.plain() for each in span.attributes}
                error = span.status.message or "error" if span.status.code == 2 else ""
                shown = Shown(span.span_id, span.parent_span_id or "", span.name, began, ended, attributes, error)
                self._traces.add(span.trace_id, shown)
        return web.json_response({})

    async def take_metrics(self, request: web.Request) -> web.Response:
        message = await self._read(request, _Metrics)
        for scope in (scope for resource in message.resource_metrics for scope in resource.scope_metrics):
            for metric in scope.metrics:
                count = sum(int(point.count) for point in metric.histogram.data_points)
                self._traces.metrics[metric.name] = self._traces.metrics.get(metric.name, 0) + count
        return web.json_response({})

    async def _read(self, request: web.Request, kind: type[_Body]) -> _Body:
        """Return the body. Raises the response 400, 401, 403 or 415."""
        body = await request.read()
        self._authorize(request, body)
        if request.content_type != "application/json":
            raise web.HTTPUnsupportedMediaType(text=json.dumps({"code": 3, "message": "send application/json"}))
        try:
            return msgspec.json.decode(body, type=kind)
        except msgspec.DecodeError as error:
            raise web.HTTPBadRequest(text=json.dumps({"code": 3, "message": str(error)})) from None

    def _authorize(self, request: web.Request, body: bytes) -> None:
        """Check the signature, or the key of one of the functions."""
        if any(tracing.endpoint == XRAY for tracing in self._settings):
            try:
                verify_signature(request, body, self._run.graph.region, self._run.key, "xray")
            except SignatureError as error:
                raise web.HTTPForbidden(text=json.dumps({"message": error.message})) from None
            return
        for tracing in self._settings:
            key = self._run.provider_keys[tracing.secret_arn] if tracing.secret_arn else ""
            if not key or hmac.compare_digest(request.headers.get(tracing.header, "").encode(), key.encode()):
                return
        raise web.HTTPUnauthorized(text=json.dumps({"message": "the header that the settings name does not hold the secret"}))


class _Subsegment(msgspec.Struct):
    """As far as it is looked at. https://docs.aws.amazon.com/xray/latest/devguide/xray-api-segmentdocuments.html"""

    name: Annotated[str, msgspec.Meta(pattern=r"^[\w\s.:/%&#=+\\@-]{1,200}$")]
    id: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{16}$")]
    trace_id: Annotated[str, msgspec.Meta(pattern="^1-[0-9a-f]{8}-[0-9a-f]{24}$")]
    parent_id: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{16}$")]
    start_time: float
    end_time: float
    annotations: dict[Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_]+$")], str | float | bool] = {}
    metadata: dict[str, dict[str, Any]] = {}
    fault: bool = False


class Daemon(asyncio.DatagramProtocol):
    """X-Ray's daemon. It answers nothing, to what is wrong neither."""

    def __init__(self, traces: Traces) -> None:
        self._traces = traces

    def datagram_received(self, data: bytes, addr: Any) -> None:
        header, _, document = data.partition(b"\n")
        try:
            if msgspec.json.decode(header) != {"format": "json", "version": 1}:
                return
            segment = msgspec.json.decode(document, type=_Subsegment)
        except msgspec.DecodeError:
            return
        attributes = segment.metadata.get("default") or segment.annotations
        error = "fault" if segment.fault else ""
        span = Shown(segment.id, segment.parent_id, segment.name, segment.start_time, segment.end_time, attributes, error)
        self._traces.add(segment.trace_id.replace("-", "")[1:], span)
