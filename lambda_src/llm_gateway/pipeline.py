"""The stages of every request, whichever transport it came by. Read this module first.

The stages, in their order:

0. flags          take the gateway as the feature flags have it, and end here if the service or the alias is switched off
1. validate       check the rules of a conversation; the API format has checked the types and bounds of fields
2. authorize      check that the caller may use the alias, and hold the request and its targets within the rules (policy)
3. reserve quota  at each target that is asked, where the caller has limits (ledger); with the first one, claim the request's
                  idempotency key, and end here if it has been answered before (idempotency)
4. filter the prompt (safety)
5. cache          look for an answer that is there already, beside the first reservation (cache; around the router)
   retrieve       find passages in a knowledge base, once a call is admitted, and put them into the prompt (around the router)
6. route          choose a target, and another one if it fails, until one begins to answer
7. call           read the provider's answer, until its caller wants it stopped (cancel); after its first event, a failure is
                  reported to the caller
8. filter the answer (safety; its code for both stands around the router), and keep it (cache)
9. settle quota   take off what was reserved and not used (ledger)
10. record        write one line of telemetry, whatever happened, and, when the rest has ended, export the spans (tracing)
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from typing import TYPE_CHECKING

from llm_gateway import errors
from llm_gateway.errors import AnsweredBefore, GatewayError
from llm_gateway.events import Done, Event, Start, Usage
from llm_gateway.gateway import AnyRouter, Gateway
from llm_gateway.identity.caller import Caller
from llm_gateway.request import ChatRequest
from llm_gateway.router import InnerRouter
from llm_gateway.routes import Alias
from llm_gateway.stages.authorize import authorize
from llm_gateway.stages.validate import conversation_problems
from llm_gateway.telemetry import Record

if TYPE_CHECKING:  # only requests for embeddings load it
    from llm_gateway.checked_router import CheckedRouter  # only where conversations are checked
    from llm_gateway.embeddings import EmbeddingRequest
    from llm_gateway.stages.cache import Lookup  # only where answers are cached
    from llm_gateway.stages.cancel import Stop  # only where streams can be stopped
    from llm_gateway.stages.idempotency import Claim  # only where requests may name keys
    from llm_gateway.stages.ledger import Reservation  # only where callers have limits


async def answer(
    gateway: Gateway,
    request: "ChatRequest | EmbeddingRequest",
    caller: Caller,
    request_id: str,
    deadline: float,
    claim: "Claim | None" = None,
    stop: "Stop | None" = None,
    cache_control: str = "",
) -> AsyncGenerator[list[Event], None]:
    """Yield the events that answer `request`, in batches.

    Args:
        deadline: A time of the running loop's clock. If the answer is not complete by then, the error 504 is raised.
        claim: That of the idempotency key which the request names.
        stop: Ends the answer to a chat when its caller wants that.
        cache_control: The header of that name.

    Raises:
        GatewayError: Before the first event or after any; the events before it are valid.
        AnsweredBefore: Before the first event, by the claim.
    """
    gateway = gateway.current()
    record = Record(request_id, caller, request, gateway.routes.metrics, costs=gateway.routes.costs)
    reservation, lookup, usage = None, None, None
    try:
        if isinstance(request, ChatRequest) and (problems := conversation_problems(request.messages)):
            raise errors.invalid_request(problems)
        request, alias, cache_control = _authorized(gateway, request, caller, record, claim, cache_control)
        if gateway.ledger is not None:
            reservation = gateway.ledger.reservation(caller, alias.name, record.attempts, deadline)
        if gateway.cache is not None and isinstance(request, ChatRequest):
            lookup = gateway.cache.lookup(request, alias, gateway.routes, caller, request_id, deadline, cache_control)
        opened = await _router(gateway, alias, record, stop, lookup).open(
            request, alias, deadline, record.attempts, caller, reservation if claim is None else claim.beside(reservation)
        )
        limits: Mapping[str, str] = {} if reservation is None else reservation.rate_limits
        started = (request_id, alias.name, opened.target.name, *record.started(opened.target))
        start = Start(*started, opened.dropped, limits, opened.cache, opened.citations, opened.retrieval)
        events, last = [start, *opened.first], opened.first[-1]
        try:
            yield events if gateway.tracer is None else gateway.tracer.answered(events)
            if not isinstance(last, Done):
                async for events in opened.rest:
                    last = events[-1]
                    yield events if gateway.tracer is None else gateway.tracer.answered(events)
                    if isinstance(last, Done):
                        break
            if not isinstance(last, Done):
                raise errors.stream_interrupted(detail="the provider's events ended without done")
        except GatewayError as error:
            if opened.cache is None or opened.cache.status != "hit":  # of a hit, no target was called
                gateway.router.failed(opened.target, error)
            raise
        finally:
            await opened.rest.aclose()
        usage = record.done(events)
    except GatewayError as error:
        usage = _failed(record, error)
        raise
    except (AnsweredBefore, GeneratorExit, asyncio.CancelledError) as reason:
        record.stopped(repeated=isinstance(reason, AnsweredBefore))
        raise
    except Exception as error:
        failure = errors.unexpected(error)
        record.error(failure, error)
        raise failure from error
    finally:
        record.close()
        await _finish(gateway, record, reservation, lookup, usage)


def refuse(gateway: Gateway, request: "ChatRequest | EmbeddingRequest", caller: Caller, request_id: str) -> GatewayError | None:
    """Return the error with which the first stages refuse a request, however often it is sent, once it is recorded; None if
    they do not."""
    record = Record(request_id, caller, request, gateway.routes.metrics, costs=gateway.routes.costs)
    try:
        if isinstance(request, ChatRequest) and (problems := conversation_problems(request.messages)):
            raise errors.invalid_request(problems)
        _authorized(gateway, request, caller, record, None, "")
    except GatewayError as error:
        if error.status >= 500:  # it is switched off for now
            return None
        record.error(error)
        record.close()
        return error
    return None


def _failed(record: Record, error: GatewayError) -> Usage | None:
    """Record the error that a request ends with, and have it say whether the request has cost something. Returns its usage."""
    record.error(error)
    error.spent = error.spent or any(each.error is None or each.error.is_billed for each in record.attempts)
    return error.usage


async def _finish(
    gateway: Gateway, record: Record, reservation: "Reservation | None", lookup: "Lookup | None", usage: Usage | None
) -> None:
    """Settle what was reserved, and end what is kept; a caller waits for that once. After that, export the spans."""
    try:
        if lookup is not None and lookup.has_claimed:
            settling = [] if reservation is None else [reservation.settle(usage)]
            await asyncio.gather(lookup.close(), *settling)
        elif reservation is not None:
            await reservation.settle(usage)
    finally:
        if gateway.tracer is not None:
            gateway.tracer.end(record)
    if gateway.flags is not None:
        await gateway.flags.fetched()
    if gateway.demand is not None:  # the answer has been sent; when it ends, nothing is sent any more
        await gateway.demand.sent()


def _router(gateway: Gateway, alias: Alias, record: Record, stop: "Stop | None", lookup: "Lookup | None") -> AnyRouter:
    """Return the router with what stands around it: retrieval, checks of prompt and answer, the cache, the flags; if any."""
    router: InnerRouter = gateway.router
    if stop is not None:
        from llm_gateway.stoppable_router import StoppableRouter

        router = StoppableRouter(router, stop)
    checked: InnerRouter | CheckedRouter = router
    if gateway.retriever is not None and gateway.retriever.is_for(alias):
        checked = gateway.retriever.around(router, gateway.safety, record)
    elif gateway.safety is not None:
        checked = gateway.safety.around(router, record)
    outer: AnyRouter = checked
    if lookup is not None:
        from llm_gateway.caching_router import CachingRouter

        outer = CachingRouter(checked, lookup, record, stop)
    return outer if gateway.flags is None else gateway.flags.around(outer)


def _authorized(
    gateway: Gateway,
    request: "ChatRequest | EmbeddingRequest",
    caller: Caller,
    record: Record,
    claim: "Claim | None",
    cache_control: str,
) -> "tuple[ChatRequest | EmbeddingRequest, Alias, str]":
    """Return the request, its alias, and what it says of the cache, all as the caller's rules allow them."""
    if gateway.flags is not None:
        record.flagged(gateway.flags.version)
    alias = authorize(caller, request.model, gateway.routes, request.kind, gateway.policy)
    if gateway.policy is not None:
        request, alias = gateway.policy.apply(request, alias, caller, gateway.routes, record.decided)
        if not gateway.policy.check_retention(caller, named_key=claim is not None, decided=record.decided):
            cache_control = "no-store"
            if gateway.tracer is not None:
                gateway.tracer.leave_content_out()
    record.alias(alias)
    if gateway.flags is not None:
        gateway.flags.admit(alias.name)
    return request, alias, cache_control
