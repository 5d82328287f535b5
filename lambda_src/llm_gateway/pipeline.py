"""What happens to every request, whichever transport it came by. This is the page to read first.

The stages, in their order:

1. validate       the conversation's own rules; a field's type and bounds were the transport's to check
2. authorize      the caller may use the alias
3. reserve quota  (ledger)
4. filter the prompt (safety)
5. cache          an answer that is already there
6. route          the target that answers
7. call           the provider; the first event is the first byte of an answer
8. filter the answer (safety)
9. settle quota   (ledger)
10. record        one line of telemetry, whatever happened

Stages 3, 4, 5, 8 and 9 are named for their places and have no code yet.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from typing import Protocol

import msgspec

from llm_gateway import errors
from llm_gateway.auth import Caller, authorize
from llm_gateway.call import ModelCall, model_call
from llm_gateway.errors import GatewayError
from llm_gateway.events import Done, Event, Start
from llm_gateway.request import ChatRequest, conversation_problems
from llm_gateway.router import route
from llm_gateway.routes import Routes
from llm_gateway.telemetry import Record


class Provider(Protocol):
    """Who can answer a `ModelCall`.

    Yields the events between `Start` and the end, `Usage` and `Done` last; raises `GatewayError` for every failure. Closing
    the generator ends the upstream call.
    """

    def answer(self, call: ModelCall) -> AsyncGenerator[Event, None]: ...


class Gateway(msgspec.Struct, frozen=True):
    """What a process holds: the routes and the providers by name."""

    routes: Routes
    providers: Mapping[str, Provider]


async def answer(
    gateway: Gateway, request: ChatRequest, caller: Caller, request_id: str, deadline: float
) -> AsyncGenerator[Event, None]:
    """The event stream that answers `request`.

    Raises `GatewayError` before the first event or after any; what was yielded before it stands. `deadline` is a time of the
    running loop's clock, by which the answer is whole or a 504 is raised.
    """
    record = Record(request_id, caller, request.model)
    try:
        problems = conversation_problems(request.messages)
        if problems:
            raise errors.invalid_request(problems)
        alias = authorize(caller, request.model, gateway.routes)
        target = route(alias)
        call = model_call(request, alias.name, target)
        record.target(alias.name, target)
        started = done = False
        events = gateway.providers[target.provider].answer(call)
        try:
            while (event := await _next(events, deadline)) is not None:
                if not started:
                    started = True
                    start = Start(request_id=request_id, model=alias.name)
                    record.event(start)
                    yield start
                done = isinstance(event, Done)
                record.event(event)
                yield event
        finally:
            await events.aclose()
        if not done:
            raise errors.stream_interrupted(detail="the provider's events ended without done")
    except GatewayError as error:
        record.error(error)
        raise
    except (GeneratorExit, asyncio.CancelledError):
        record.abandoned()
        raise
    except Exception as error:
        failure = errors.internal(detail=f"{type(error).__name__}: {error}")
        record.error(failure, error)
        raise failure from error
    finally:
        record.close()


async def _next(events: AsyncGenerator[Event, None], deadline: float) -> Event | None:
    """The next event, None at the end; 504 at the deadline."""
    try:
        async with asyncio.timeout_at(deadline):
            return await anext(events, None)
    except TimeoutError:
        raise errors.upstream_timeout("the model did not finish in the time that this call may take") from None
