"""Stage 5 around the router: an answer that is cached is returned in the place of a target's, and a target's is kept.

It stands around the checks of safety, too, so what is kept has passed them. Filters look at a prompt before the cache is looked
into, and the guardrail only if no answer is there.
"""

from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Protocol

import msgspec

from llm_gateway.events import CacheUse, Done, Event, Start, Usage
from llm_gateway.identity.caller import Caller
from llm_gateway.router import Attempt, InnerRouter, Opened, Reservation
from llm_gateway.routes import Alias
from llm_gateway.stages.cache import Found, Lookup
from llm_gateway.stages.cache_key import without_unmeant

if TYPE_CHECKING:
    from llm_gateway.checked_router import CheckedRouter
    from llm_gateway.embeddings import EmbeddingRequest
    from llm_gateway.request import ChatRequest
    from llm_gateway.stages.cancel import Stop


class Record(Protocol):
    """What is recorded of a request."""

    @property
    def is_unchecked(self) -> bool: ...

    def cached(self, use: CacheUse) -> None: ...


class CachingRouter:
    """Opens an answer as `Router` does, of one request."""

    def __init__(
        self, router: "InnerRouter | CheckedRouter", lookup: Lookup, record: Record, stop: "Stop | None" = None
    ) -> None:
        self._router = router
        self._stop = stop
        self._lookup = lookup
        self._record = record

    async def open(
        self,
        request: "ChatRequest | EmbeddingRequest",
        alias: Alias,
        deadline: float,
        attempts: list[Attempt],
        caller: Caller,
        reservation: Reservation | None,
    ) -> Opened:
        """Return an answer that is cached, or that of a target. Raises what `Router.open` does."""
        lookup = self._lookup
        try:
            opened = await self._router.open(request, alias, deadline, attempts, caller, lookup.beside(reservation))
        except Found as found:
            kept = found.kept
            self._record.cached(kept.use)
            # The key has the alias in it, so the target is one of its.
            target = next(each for each in alias.targets if each.name == kept.start.target)
            rest = kept.rest
            if self._stop is not None and not isinstance(kept.first[-1], Done):
                rest = _until_stopped(rest, self._stop)
            return Opened(target, kept.first, rest, kept.start.dropped, kept.use)
        self._record.cached(lookup.use)
        lookup.answered(attempts[-1].call)
        if not lookup.keeps:
            return msgspec.structs.replace(opened, cache=lookup.use)
        unmeant = without_unmeant(opened.dropped)
        start = Start("", alias.name, opened.target.name, 0, 0.0, 0.0, unmeant)
        self._add([start, *opened.first])
        return msgspec.structs.replace(opened, rest=self._kept(opened.rest), cache=lookup.use)

    async def _kept(self, rest: AsyncGenerator[list[Event], None]) -> AsyncGenerator[list[Event], None]:
        try:
            async for batch in rest:
                self._add(batch)
                yield batch
        finally:
            await rest.aclose()

    def _add(self, events: list[Event]) -> None:
        if self._record.is_unchecked:  # the guardrail could not be asked, and would not be asked of a hit
            self._lookup.forget()
        self._lookup.add(events)


async def _until_stopped(rest: AsyncGenerator[list[Event], None], stop: "Stop") -> AsyncGenerator[list[Event], None]:
    """Yield what comes of somebody else's answer, until the caller wants no more of it. That ends nothing for the others."""
    from llm_gateway.stages.cancel import Stopped

    stop.begin()
    try:
        while True:
            yield await stop.unless_requested(rest.__anext__)
    except StopAsyncIteration:
        return
    except Stopped:
        yield [Usage(0, 0), Done("cancelled")]
    finally:
        stop.close()
        await rest.aclose()
