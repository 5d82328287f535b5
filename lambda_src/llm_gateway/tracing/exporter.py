"""Sends spans and metrics to an OTLP receiver, beside requests.

A request adds its spans when it has ended and waits for nothing. They are sent in batches, one after another. What could not be
sent is sent once more with the next batch, and then given up: a receiver that is away costs memory and requests nothing. On
Lambda the environment stands still between two requests, and an export with it, which goes on with the next request.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from llm_gateway.errors import GatewayError, clipped
from llm_gateway.http.client import HttpError, Response
from llm_gateway.tracing import otlp
from llm_gateway.tracing.histograms import Histograms
from llm_gateway.tracing.spans import Attributes, Measurement, Span

# The most spans that wait, and those of one export: X-Ray takes 10,000 and 5 MB.
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch-OTLPEndpoint.html
MOST_WAITING: Final = 2_048
MOST_AT_ONCE: Final = 256
# The most bytes of an export, and those of the spans that wait, for what prompts and answers may add to spans.
MOST_BYTES: Final = 4_000_000
MOST_BYTES_WAITING: Final = 16_000_000
# Seconds that an export may take, and that the end of a stream or of a process waits for what is under way.
EXPORT_SECONDS: Final = 5.0
END_SECONDS: Final = 0.5
# Seconds between two exports of metrics.
METRICS_INTERVAL: Final = 10.0
# https://opentelemetry.io/docs/specs/otlp/#failures-1
_RETRYABLE: Final = frozenset((429, 502, 503, 504))

# Posts a body to a path of the receiver.
Post = Callable[[str, bytes], Awaitable[Response]]


class Exporter:
    """Exports to one receiver.

    Args:
        post: Posts a body; may raise `HttpError` or `GatewayError`.
        resource: What is said of this service.
        warn: Is told of the first failure of each kind after a success.
        histograms: The metrics, None where none are exported.
        clock: Gives nanoseconds since the epoch.
    """

    def __init__(
        self,
        post: Post,
        resource: Attributes,
        warn: Callable[[str], None],
        clock: Callable[[], int],
        histograms: Histograms | None = None,
    ) -> None:
        self._post = post
        self._resource = resource
        self._warn = warn
        self._clock = clock
        self._histograms = histograms
        self._waiting: deque[bytes] = deque()  # spans as they are sent
        self._bytes_waiting = 0
        self._again: tuple[str, bytes] | None = None  # an export that failed
        self._warned: set[str] = set()
        self._task: asyncio.Task[None] | None = None

    def add(self, spans: Sequence[Span], measurements: Sequence[Measurement] = ()) -> None:
        """Add what a request has left. Returns at once."""
        for encoded in map(otlp.span, spans):
            self._waiting.append(encoded)
            self._bytes_waiting += len(encoded)
        if len(self._waiting) > MOST_WAITING or self._bytes_waiting > MOST_BYTES_WAITING:
            most = f"{MOST_WAITING:,} spans or {MOST_BYTES_WAITING:,} bytes of them"
            self._warn_once("full", f"more than {most} wait; the oldest are dropped")
        while len(self._waiting) > MOST_WAITING or self._bytes_waiting > MOST_BYTES_WAITING:
            self._taken()
        if self._histograms is not None:
            self._histograms.add(measurements)
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._send_all())

    async def sent(self) -> None:
        """Wait until all has been sent, for `END_SECONDS` at most."""
        if self._task is not None and not self._task.done():
            await asyncio.wait((self._task,), timeout=END_SECONDS)

    async def flush(self) -> None:
        """Send all there is, the metrics too, for `END_SECONDS` at most: the process ends."""
        await self.sent()
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._send_all(last=True))
            await self.sent()

    async def _send_all(self, *, last: bool = False) -> None:
        if self._again is not None:
            again, self._again = self._again, None
            await self._export(*again, again=False)
        while self._waiting:
            await self._export(otlp.TRACES_PATH, self._batch())
        histograms = self._histograms
        if histograms is None or (not last and self._clock() - histograms.since < METRICS_INTERVAL * 1e9):
            return
        since, now = histograms.since, self._clock()
        if series := histograms.take(now):
            await self._export(otlp.METRICS_PATH, otlp.metrics(self._resource, series, since, now))

    def _batch(self) -> bytes:
        """Return the body of the next export, and take its spans off."""
        batch = [self._taken()]
        room = MOST_BYTES - len(batch[0])
        while self._waiting and len(batch) < MOST_AT_ONCE and len(self._waiting[0]) <= room:
            batch.append(self._taken())
            room -= len(batch[-1])
        return otlp.traces(self._resource, batch)

    def _taken(self) -> bytes:
        """Return the oldest span that waits, and take it off."""
        encoded = self._waiting.popleft()
        self._bytes_waiting -= len(encoded)
        return encoded

    async def _export(self, path: str, body: bytes, *, again: bool = True) -> None:
        try:
            async with asyncio.timeout(EXPORT_SECONDS):
                response = await self._post(path, body)
                async with response:
                    answer = await response.read()
        except (HttpError, GatewayError, TimeoutError) as error:
            reason = getattr(error, "detail", None) or str(error) or f"no answer within {EXPORT_SECONDS:g} s"
            self._failed(path, body if again else None, type(error).__name__, str(reason))
            return
        if response.status < 300:
            self._warned.discard(path)
            return
        keep = again and response.status in _RETRYABLE
        text = clipped(answer.decode(errors="replace"), 300)
        self._failed(path, body if keep else None, str(response.status), f"status {response.status}: {text}")

    def _failed(self, path: str, body: bytes | None, kind: str, reason: str) -> None:
        if body is not None:
            self._again = path, body
        self._warn_once(path, f"{kind}: {reason}")

    def _warn_once(self, of: str, text: str) -> None:
        if of not in self._warned:
            self._warned.add(of)
            self._warn(f"telemetry{of if of.startswith('/') else ''} is not exported: {text}")
