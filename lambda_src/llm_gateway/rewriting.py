"""Rewrites the events of an answer, batch by batch."""

from collections.abc import AsyncGenerator, Callable, Collection, Sequence

from llm_gateway.errors import GatewayError
from llm_gateway.events import Event, Usage


async def rewritten(
    batches: AsyncGenerator[list[Event], None], read: Callable[[list[Event]], list[Event]]
) -> AsyncGenerator[list[Event], None]:
    """Yield what `read` makes of each batch, without empty ones.

    An error that `read` raises is told the usage of the batch, if it has one: the answer is paid for nevertheless.
    """
    try:
        async for batch in batches:
            try:
                events = read(batch)
            except GatewayError as error:
                error.usage = next((event for event in batch if isinstance(event, Usage)), None)
                raise
            if events:
                yield events
    finally:
        await batches.aclose()


def before_usage(events: Sequence[Event]) -> int:
    """Return the place before the usage, which is the last event of an answer that ends now."""
    return max(len(events) - 1, 0)


def beginning(text: str, sequences: Collection[str]) -> int:
    """Return how many characters at the end of a text may be the beginning of one of the sequences."""
    for length in range(min(len(text), max(map(len, sequences)) - 1), 0, -1):
        if any(sequence.startswith(text[-length:]) for sequence in sequences):
            return length
    return 0
