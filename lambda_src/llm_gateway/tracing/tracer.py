"""Begins the trace of a request, and exports its spans and measurements when it has ended."""

import random
import time
from collections.abc import Callable, Mapping

from llm_gateway.events import Event
from llm_gateway.telemetry import Record
from llm_gateway.trace import Trace, Tracing, begin, current
from llm_gateway.tracing.context import Context, of_traceparent, of_xray
from llm_gateway.tracing.exporter import Exporter
from llm_gateway.tracing.spans import Server, measurements, spans
from llm_gateway.tracing.xray import Daemon


class Tracer:
    """The traces of a process.

    Args:
        settings: Which requests are traced, and what is said of them.
        exporter: Where spans go; None: there is nowhere, as outside of Lambda.
        servers: The servers of the providers, by their names.
        warn: Is told of a request whose spans cannot be made.
        chance: What draws the sample.
    """

    def __init__(
        self,
        settings: Tracing,
        exporter: "Exporter | Daemon | None",
        servers: Mapping[str, Server],
        warn: Callable[[str], None],
        chance: random.Random | None = None,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._settings = settings
        self._exporter = exporter
        self._servers = servers
        self._warn = warn
        self._chance = chance or random.SystemRandom()
        self._clock = clock

    def begin(self, headers: Mapping[bytes, bytes], method: str, route: str) -> None:
        """Begin the trace of a request over HTTP, within its caller's trace if it has one."""
        self._begin(lambda name: headers.get(name, b"").decode("latin-1"), method, route)

    def begin_event(self, xray_header: str) -> None:
        """Begin the trace of an event of Lambda's, whose trace is in the environment variable ``_X_AMZN_TRACE_ID``."""
        self._begin(lambda name: xray_header if name == b"x-amzn-trace-id" else "")

    def answered(self, events: list[Event]) -> list[Event]:
        """Keep what the caller of the request gets, where the content is asked for, and return it."""
        if (trace := current()) is not None:
            trace.answered(events)
        return events

    def leave_content_out(self) -> None:
        """Say nothing of what this request asks and is answered, though the content is asked for."""
        if (trace := current()) is not None:
            trace.content = False

    def end(self, record: Record) -> None:
        """Export the request's spans and measurements. Returns at once, and never raises: the request has been answered."""
        trace = current()
        if trace is None or self._exporter is None:
            return
        try:
            self._export(self._exporter, trace, record)
        except Exception as error:
            self._warn(f"traces: the spans of {record.fields['request_id']} cannot be made: {type(error).__name__}")

    async def sent(self) -> None:
        """Wait for a moment until all has been sent, where nobody waits for what comes after."""
        if self._exporter is not None:
            await self._exporter.sent()

    async def flush(self) -> None:
        """Send what there is, because the process ends."""
        if isinstance(self._exporter, Exporter):
            await self._exporter.flush()

    def _export(self, exporter: Exporter | Daemon, trace: Trace, record: Record) -> None:
        ended = trace.at(record.ended)  # before anything was settled
        made = list(spans(trace, record, self._servers, ended)) if trace.sampled else []
        if isinstance(exporter, Daemon):
            exporter.add(made)
            return
        if trace.content:
            from llm_gateway.tracing.content import with_content

            made = with_content(made, trace, record)
        counted = list(measurements(trace, record, self._servers, ended)) if self._settings.metrics else []
        exporter.add(made, counted)

    def _begin(self, header: Callable[[bytes], str], method: str = "", route: str = "") -> None:
        found = self._context(header)
        trace_id = found.trace_id if found is not None else self._new_trace_id()
        begin(
            Trace(
                trace_id,
                found.parent_id if found is not None else "",
                found.state if found is not None else "",
                sampled=self._is_sampled(found),
                content=self._settings.content,
                method=method,
                route=route,
            )
        )

    def _context(self, header: Callable[[bytes], str]) -> Context | None:
        xray = of_xray(header(b"x-amzn-trace-id"))
        if not self._settings.endpoint:
            return xray  # a segment can be in Lambda's own trace only
        found = of_traceparent(header(b"traceparent"), header(b"tracestate"))
        if found is not None or xray is None:
            return found
        # Where X-Ray has not recorded the trace, nobody knows its spans, and its sample is none of ours.
        return Context(xray.trace_id, xray.parent_id if xray.sampled else "")

    def _is_sampled(self, found: Context | None) -> bool:
        """Whether the spans of a request are exported.

        Who calls may keep them out of the sample, but not put them in: it is drawn here, and not by the trace's id, which
        callers choose. X-Ray has drawn the sample of its traces.
        """
        if not self._settings.endpoint:
            return found is not None and found.sampled is True and bool(found.parent_id)
        if found is not None and found.sampled is False:
            return False
        return self._settings.sample_ratio >= 1 or self._chance.random() < self._settings.sample_ratio

    def _new_trace_id(self) -> str:
        """Return a new id, which X-Ray takes, too: it begins with the time, in seconds since the epoch."""
        return f"{self._clock() // 1_000_000_000:08x}{self._chance.getrandbits(96) or 1:024x}"
