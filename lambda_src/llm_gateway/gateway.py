"""What answers requests in a process: its routes and router, and the stages that are on."""

from typing import TYPE_CHECKING, Protocol

import msgspec

from llm_gateway.identity.caller import Caller
from llm_gateway.router import Attempt, Opened, Reservation, Router
from llm_gateway.routes import Alias, Routes

if TYPE_CHECKING:  # only requests for embeddings load it
    from llm_gateway.checked_router import Safety  # only where conversations are checked
    from llm_gateway.embeddings import EmbeddingRequest
    from llm_gateway.request import ChatRequest
    from llm_gateway.retrieving_router import Retriever  # only where answers have passages
    from llm_gateway.stages.cache import Cache  # only where answers are cached
    from llm_gateway.stages.ledger import Ledger  # only where callers have limits
    from llm_gateway.stages.policy import Policy  # only where there are rules
    from llm_gateway.tracing.tracer import Tracer  # only where requests are traced


class Demand(Protocol):
    """The demand for providers that may sleep."""

    async def sent(self) -> None:
        """Wait until what wakes them has left, for a limited time."""
        ...


class AnyRouter(Protocol):
    """The router, or one with stages around it."""

    async def open(
        self,
        request: "ChatRequest | EmbeddingRequest",
        alias: Alias,
        deadline: float,
        attempts: list[Attempt],
        caller: Caller,
        reservation: Reservation | None,
    ) -> Opened: ...


class Flags(Protocol):
    """The feature flags: `version` is that of the last good document, empty before there is one."""

    @property
    def version(self) -> str: ...

    def current(self) -> "Gateway":
        """Return the gateway as that document has it."""
        ...

    async def fetched(self, seconds: float | None = None) -> None:
        """Wait for a fetch under way, for a limited time: a short one, or so long."""
        ...

    def admit(self, alias: str) -> None:
        """Raise the error 503 if the service or the alias is switched off."""
        ...

    def around(self, router: AnyRouter) -> AnyRouter:
        """Return a router whose answers do not begin where they have been switched off meanwhile."""
        ...


class Gateway(msgspec.Struct, frozen=True):
    """The routes, the router with its providers, the demand for those that may sleep, the ledger of limits, what
    conversations are checked by, the rules of callers, the cache of answers, what finds passages, the feature flags, and what
    traces requests; the last eight if any.

    A process has one.
    """

    routes: Routes
    router: Router
    demand: Demand | None = None
    ledger: "Ledger | None" = None
    safety: "Safety | None" = None
    policy: "Policy | None" = None
    cache: "Cache | None" = None
    retriever: "Retriever | None" = None
    flags: Flags | None = None
    tracer: "Tracer | None" = None

    def current(self) -> "Gateway":
        """Return the gateway as the feature flags have it now."""
        return self if self.flags is None else self.flags.current()
