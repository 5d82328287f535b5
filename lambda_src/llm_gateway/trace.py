"""The trace of a request: its ids, and the calls of models in it.

`llm_gateway.tracing` begins and exports traces; it is loaded only where requests are traced. This module is what the router and
the providers know of it: `current()` is None where a request is not.
"""

import os
import time
from collections.abc import Callable, Sequence
from contextvars import ContextVar

import msgspec

from llm_gateway.events import Event

# In `Tracing.endpoint`: the OTLP endpoint of X-Ray in the function's Region, which takes signed requests.
XRAY = "xray"
# The most events of an answer that are kept. Most have several characters of text, and a trace shows 16,000 at most.
_MOST_EVENTS = 16_000


class Tracing(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where traces are sent, as the routes document has it.

    `endpoint` is the base URL of an OTLP/HTTP receiver, or `XRAY`; empty: X-Ray's daemon in the execution environment gets
    segments. Of `sample_ratio` of the requests, spans are sent; metrics count all of them. `content`: prompts and answers are
    sent, too. `secret_arn` is the Secrets Manager secret with the value of the header `header`, empty if the endpoint needs
    none; the document names the environment variable that holds it.
    """

    endpoint: str = ""
    sample_ratio: float = 1.0
    metrics: bool = False
    content: bool = False
    header: str = "authorization"
    secret_arn_variable: str = ""
    secret_arn: str = ""


class Call(msgspec.Struct):
    """A call of a model: the id of its span, and when it began, in nanoseconds since the epoch."""

    span_id: str
    began: int


class Trace:
    """The trace that a request belongs to.

    `trace_id` and `parent_id` are of 32 and 16 hexadecimal digits; `parent_id` is the caller's span, empty if there is none.
    `state` is the caller's ``tracestate``. `method` and `route` are the operation's, such as POST and ``/chat``; both are empty
    for a message of a WebSocket. `content`: prompt and answer are sent, too; `answer` is then what the caller has got.
    """

    def __init__(
        self,
        trace_id: str,
        parent_id: str = "",
        state: str = "",
        *,
        sampled: bool = True,
        content: bool = False,
        method: str = "",
        route: str = "",
        new_id: Callable[[], str] = lambda: os.urandom(8).hex(),
    ) -> None:
        self.trace_id = trace_id
        self.parent_id = parent_id
        self.state = state
        self.sampled = sampled
        self.method = method
        self.route = route
        self.span_id = new_id()
        self.began = time.time_ns()
        self._started = time.monotonic_ns()
        self.calls: list[Call] = []
        self.answer: list[Event] = []
        self.content = content and sampled
        self._new_id = new_id

    def now(self) -> int:
        """Return the time, in nanoseconds since the epoch. It goes on from the beginning by the clock that is never set."""
        return self.at(time.monotonic_ns())

    def at(self, clock: int) -> int:
        """Return the time at which `time.monotonic_ns` was `clock`, in nanoseconds since the epoch."""
        return self.began + clock - self._started

    def begin_call(self, began: float) -> None:
        """Begin the span of a call, which began at that time of `time.monotonic`."""
        self.calls.append(Call(self._new_id(), self.at(int(began * 1e9))))

    def answered(self, events: Sequence[Event]) -> None:
        """Keep what the caller gets, where the content is asked for: a provider's answer may hold what a policy masks."""
        if self.content and len(self.answer) < _MOST_EVENTS:
            self.answer += events

    def headers(self) -> list[tuple[str, str]]:
        """Return the headers of the call that has begun last. https://www.w3.org/TR/trace-context/"""
        traceparent = f"00-{self.trace_id}-{self.calls[-1].span_id}-{'01' if self.sampled else '00'}"
        return [("traceparent", traceparent), *([("tracestate", self.state)] if self.state else [])]


_CURRENT: ContextVar[Trace | None] = ContextVar("trace", default=None)
# A request runs in one task, whose context nobody shares, so it is never taken back.
current = _CURRENT.get
begin = _CURRENT.set
