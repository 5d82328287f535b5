"""What happens to every request, whichever transport it came by. This is the page to read first.

The stages, in their order:

1. validate       the conversation's own rules; a field's type and bounds were the transport's to check
2. authorize      the caller may use the alias
3. reserve quota  (ledger)
4. filter the prompt (safety)
5. cache          an answer that is already there
6. route          which target is asked, and which after it: until one begins to answer
7. call           the provider; from the first event on, a failure is the caller's to hear
8. filter the answer (safety)
9. settle quota   (ledger)
10. record        one line of telemetry, whatever happened

Stages 3, 4, 5, 8 and 9 are named for their places and have no code yet.
"""

import asyncio
from collections.abc import AsyncGenerator

import msgspec

from llm_gateway import errors
from llm_gateway.errors import GatewayError
from llm_gateway.events import Done, Event, Start
from llm_gateway.identity.caller import Caller
from llm_gateway.request import ChatRequest
from llm_gateway.router import Router
from llm_gateway.routes import Routes
from llm_gateway.stages.authorize import authorize
from llm_gateway.stages.validate import conversation_problems
from llm_gateway.telemetry import Record


class Gateway(msgspec.Struct, frozen=True):
    """What a process holds: the routes, and the router that knows the providers."""

    routes: Routes
    router: Router


async def answer(
    gateway: Gateway, request: ChatRequest, caller: Caller, request_id: str, deadline: float
) -> AsyncGenerator[list[Event], None]:
    """The event stream that answers `request`, in batches.

    Raises `GatewayError` before the first event or after any; what was yielded before it stands. `deadline` is a time of the
    running loop's clock, by which the answer is whole or a 504 is raised.
    """
    record = Record(request_id, caller, request.model)
    try:
        problems = conversation_problems(request.messages)
        if problems:
            raise errors.invalid_request(problems)
        alias = authorize(caller, request.model, gateway.routes)
        record.alias(alias)
        opened = await gateway.router.open(request, alias, deadline, record.attempts)
        start = Start(request_id, alias.name, opened.target.name, *record.started(opened.target))
        events, last = [start, *opened.first], opened.first[-1]
        try:
            yield events
            if not isinstance(last, Done):
                async for events in opened.rest:
                    last = events[-1]
                    yield events
                    if isinstance(last, Done):
                        break
            if not isinstance(last, Done):
                raise errors.stream_interrupted(detail="the provider's events ended without done")
        except GatewayError as error:
            gateway.router.failed(opened.target, error)
            raise
        finally:
            await opened.rest.aclose()
        record.done(events)
    except GatewayError as error:
        record.error(error)
        raise
    except (GeneratorExit, asyncio.CancelledError):
        record.abandoned()
        raise
    except Exception as error:
        failure = errors.internal_error(detail=f"{type(error).__name__}: {error}")
        record.error(failure, error)
        raise failure from error
    finally:
        record.close()
