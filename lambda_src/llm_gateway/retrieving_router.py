"""Stage 5: passages of a knowledge base, which stand in the prompt and are cited in the answer.

The question is as the prompt's filters and the guardrail have passed it. It is asked once, when the ledger has room for the
call: a request that a limit refuses, or that has been answered before, asks nothing. The ledger reserves the most that the
passages can have. Another target that is asked gets the same ones. The request waits for one call of Bedrock's Retrieve, some
0.3 to 1 s.
"""

from collections.abc import Awaitable, Callable, Sequence
from time import perf_counter
from typing import TYPE_CHECKING, Protocol, cast

import msgspec

from llm_gateway import errors
from llm_gateway.errors import GatewayError
from llm_gateway.identity.caller import Caller
from llm_gateway.request import ChatRequest
from llm_gateway.retrieval import Retrieval
from llm_gateway.router import Attempt, Check, InnerRouter, Opened, Reservation
from llm_gateway.routes import Alias, Target
from llm_gateway.stages.knowledge_base import KnowledgeBase
from llm_gateway.stages.passages import Passage, citations, most_passages, question, with_passages

if TYPE_CHECKING:
    from llm_gateway import checked_router
    from llm_gateway.checked_router import Safety
    from llm_gateway.embeddings import EmbeddingRequest

# Returns the texts of passages as they may be used, None for each that a policy blocks.
PassageCheck = Callable[[Sequence[str]], Awaitable[Sequence[str | None]]]


class Record(Protocol):
    """What is recorded of a request."""

    def retrieved(self, request: ChatRequest, passages: int, seconds: float, failure: GatewayError | None = None) -> None: ...
    def policy(self, action: str, policy: str) -> None: ...


class Retriever:
    """The knowledge base of a deployment."""

    def __init__(self, knowledge_base: KnowledgeBase, settings: Retrieval) -> None:
        self._knowledge_base = knowledge_base
        self._settings = settings

    def around(
        self, router: InnerRouter, safety: "Safety | None", record: Record
    ) -> "RetrievingRouter | checked_router.CheckedRouter":
        """Return a router that answers one request with passages, and checks it where there is `safety`."""
        retrieving = RetrievingRouter(self._knowledge_base, self._settings, router, record)
        if safety is None:
            return retrieving
        checked = safety.around(retrieving, record)
        retrieving.check = checked.passages
        return checked

    def is_for(self, alias: Alias) -> bool:
        return alias.name in self._settings.aliases and alias.kind == "chat"


class RetrievingRouter:
    """Opens an answer as `Router` does, with passages in the prompt. `check` looks at the passages."""

    def __init__(self, knowledge_base: KnowledgeBase, settings: Retrieval, router: InnerRouter, record: Record) -> None:
        self._knowledge_base = knowledge_base
        self._settings = settings
        self._router = router
        self._record = record
        self._request: ChatRequest | None = None  # with its passages
        self._passages: Sequence[Passage] = ()
        self._failed = False
        self.check: PassageCheck | None = None

    async def open(
        self,
        request: "ChatRequest | EmbeddingRequest",
        alias: Alias,
        deadline: float,
        attempts: list[Attempt],
        caller: Caller,
        reservation: Reservation | None,
        check: "Check | None" = None,
    ) -> Opened:
        """Return the answer as it begins. Raises what `Router.open` does, and the error 503 of the knowledge base."""
        assert isinstance(request, ChatRequest)  # an alias that retrieves chats
        most = with_passages(request, most_passages(self._settings))

        async def answered(_: object) -> "ChatRequest | EmbeddingRequest":
            """Return the request with what is found in the place of the most that there can be."""
            if self._request is None:
                passed = request if check is None else await check(request)
                self._request = await self._with_passages(cast(ChatRequest, passed), caller, deadline)
            return self._request

        opened = await self._router.open(most, alias, deadline, attempts, caller, reservation, answered)
        cited = citations(self._passages, self._settings.excerpt_characters)
        return msgspec.structs.replace(opened, citations=cited, retrieval="unavailable" if self._failed else "")

    def failed(self, target: Target, error: GatewayError) -> None:
        self._router.failed(target, error)

    async def _with_passages(self, request: ChatRequest, caller: Caller, deadline: float) -> ChatRequest:
        """Return the request with the passages that fit its question. Raises the error 503."""
        began, failure = perf_counter(), None
        try:
            if asked := question(request):
                self._passages = await self._checked(await self._knowledge_base.passages(asked, caller.tenant, deadline))
        except GatewayError as error:
            if not self._settings.answer_without or error.code != errors.retrieval_unavailable.code:
                raise
            failure, self._failed = error, True
        request = with_passages(request, self._passages)
        self._record.retrieved(request, len(self._passages), perf_counter() - began, failure)
        return request

    async def _checked(self, passages: Sequence[Passage]) -> Sequence[Passage]:
        """Return the passages that no policy blocks, as they may be used."""
        check = self.check
        if check is None:
            return passages
        texts = await check([passage.text for passage in passages])
        checked = zip(passages, texts, strict=True)
        return [msgspec.structs.replace(passage, text=text) for passage, text in checked if text is not None]
