"""What is measured of a request, and over many. The web client has the same figures (frontend/src/runs/figures.ts)."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from pulumi_llm.cli.load.runner import Sample
from pulumi_llm.cli.transports import Answer, TransportName

TITLES = {TransportName.REST: "REST", TransportName.SSE: "SSE", TransportName.WS: "WebSocket"}


class Figure(NamedTuple):
    """A figure of an answer: its key in JSON, its name, its unit and what it measures."""

    key: str
    name: str
    unit: str
    meaning: str

    def of(self, answer: Answer) -> float | None:
        """Its value for an answer, None if there is none."""
        seconds = {"first_chunk": answer.first_chunk, "total": answer.seconds, "jitter": answer.jitter}
        if self.key == "rate":
            return answer.rate
        value = seconds[self.key]
        return None if value is None else value * 1000

    def text(self, value: float | None) -> str:
        """A value as it is shown."""
        if value is None:
            return "–"
        return f"{value:,.{1 if self.key == 'rate' or (self.key == 'jitter' and value < 100) else 0}f}"


FIRST_CHUNK = Figure(
    "first_chunk",
    "First chunk",
    "ms",
    "From the moment the command sends the request until the first piece of the answer, or of the reasoning, has arrived. It "
    "contains the network, the service, the model's thinking and, in a user's first request, the opening of the connection.",
)
TOTAL = Figure("total", "Total", "ms", "From the moment the command sends the request until the answer is complete.")
RATE = Figure(
    "rate",
    "Tokens per second",
    "tok/s",
    "The answer's tokens, as the model's provider counts them, divided by the total time.",
)
JITTER = Figure(
    "jitter",
    "Jitter",
    "ms",
    "The standard deviation of the pauses between two pieces as they arrive: 0 is a perfectly even stream. A piece may contain "
    "several tokens. An answer in one piece has none.",
)
FIGURES = (FIRST_CHUNK, TOTAL, RATE, JITTER)

METHOD = (
    "Closed loop: a fixed number of users, each with connections of its own, send one request after the other, and the next "
    "one when the last has ended. A slow service is therefore asked less often. The figures say what so many users see; they "
    "are no latencies at a fixed rate of arrivals, which would be longer under overload. The transports take turns. Figures "
    "are of complete answers; failed requests are counted by their error. A refused request is not sent again: its user waits "
    "as long as the service asks, and that wait is in no figure. Each message begins with a code of its own, so no cache of "
    "answers or of the beginnings of prompts makes it faster; a cache may still have a system prompt that the service adds. "
    "Nothing is left out as a warm-up: the percentiles contain the opening of each user's connections and the cold starts that "
    "its requests met."
)


class Summary(NamedTuple):
    """The requests over one transport."""

    transport: TransportName
    complete: int
    failed: int
    reconnects: int
    output_tokens: int
    values: dict[str, list[float]]

    def quantile(self, figure: Figure, q: float) -> float | None:
        return quantile(self.values[figure.key], q)

    def both(self, figure: Figure) -> str:
        """The median and p95 of a figure, as they are shown."""
        if not self.values[figure.key]:
            return "–"
        return f"{figure.text(self.quantile(figure, 0.5))} / {figure.text(self.quantile(figure, 0.95))}"


def summarize(samples: Sequence[Sample], transports: Sequence[TransportName]) -> list[Summary]:
    """Return the summary of each transport."""
    summaries: list[Summary] = []
    for name in transports:
        ours = [sample for sample in samples if sample.transport == name]
        answers = [sample.answer for sample in ours if sample.answer is not None]
        values = {figure.key: [value for answer in answers if (value := figure.of(answer)) is not None] for figure in FIGURES}
        reconnects = sum(sample.reconnects for sample in ours)
        tokens = sum(answer.output_tokens for answer in answers)
        summaries.append(Summary(name, len(answers), len(ours) - len(answers), reconnects, tokens, values))
    return summaries


def errors_by_code(samples: Sequence[Sample]) -> dict[tuple[TransportName, str], int]:
    """Return how often each error came over each transport, the most frequent ones first."""
    return dict(Counter((s.transport, s.error.code) for s in samples if s.error is not None).most_common())


def quantile(values: Sequence[float], q: float) -> float | None:
    """The quantile `q` (0 to 1), interpolated between the two nearest values; None of none."""
    if not values:
        return None
    ordered = sorted(values)
    place = (len(ordered) - 1) * q
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)
