"""A router whose answers end when their caller wants them stopped.

The call of the model is ended. What has come of the answer stays, and it ends with an estimate of its usage, for the provider
has not counted, and with the stop reason "cancelled": so limits are settled, and every API format ends as it does otherwise.
Checks of safety stand around it, and see the end of what has come as the end of any answer.
"""

from collections.abc import AsyncGenerator
from functools import partial
from typing import TYPE_CHECKING, cast

from llm_gateway import errors
from llm_gateway.errors import GatewayError
from llm_gateway.estimate import usage_so_far
from llm_gateway.events import Delta, Done, Event, Reasoning, ToolCallDelta
from llm_gateway.identity.caller import Caller
from llm_gateway.router import Attempt, Check, InnerRouter, Opened, Reservation
from llm_gateway.routes import Alias, Target
from llm_gateway.stages.cancel import Stop, Stopped

if TYPE_CHECKING:
    from llm_gateway.call import ModelCall
    from llm_gateway.embeddings import EmbeddingRequest
    from llm_gateway.request import ChatRequest


class StoppableRouter:
    """Opens an answer as `Router` does."""

    def __init__(self, router: InnerRouter, stop: Stop) -> None:
        self._router = router
        self._stop = stop

    async def open(
        self,
        request: "ChatRequest | EmbeddingRequest",
        alias: Alias,
        deadline: float,
        attempts: list[Attempt],
        caller: Caller,
        reservation: Reservation | None,
        check: Check | None = None,
    ) -> Opened:
        """Return the first of the answer, and the rest. Raises what `Router.open` does, and `cancelled`."""
        self._stop.begin()
        try:
            opened = await self._stop.unless_requested(
                partial(self._router.open, request, alias, deadline, attempts, caller, reservation, check)
            )
        except BaseException as error:
            self._stop.close()
            if isinstance(error, Stopped):
                raise errors.cancelled() from None
            raise
        events = _until_stopped(opened, cast("ModelCall", attempts[-1].call), self._stop)
        opened.first, opened.rest = await anext(events), events
        return opened

    def failed(self, target: Target, error: GatewayError) -> None:
        """As `Router.failed`."""
        self._router.failed(target, error)


async def _until_stopped(opened: Opened, call: "ModelCall", stop: Stop) -> AsyncGenerator[list[Event], None]:
    """Yield an answer's first batch, and the rest until it is to be stopped."""
    batch, rest, text, reasoning = opened.first, opened.rest, 0, 0
    try:
        yield batch
        while not isinstance(batch[-1], Done):
            for event in batch:
                if isinstance(event, Delta):
                    text += len(event.text)
                elif isinstance(event, ToolCallDelta):
                    text += len(event.arguments)
                elif isinstance(event, Reasoning):
                    reasoning += len(event.text)
            batch = await stop.unless_requested(rest.__anext__)
            yield batch
    except StopAsyncIteration:
        return
    except Stopped:
        yield [usage_so_far(call, text, reasoning), Done("cancelled")]
    finally:
        stop.close()
        await rest.aclose()
