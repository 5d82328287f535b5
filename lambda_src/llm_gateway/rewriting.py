"""Rewrites the events of an answer, batch by batch."""

from collections.abc import AsyncGenerator, Callable

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
