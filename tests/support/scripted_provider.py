"""A provider whose targets answer by a script, and the router in front of it."""

import asyncio
import math
import random
from collections.abc import AsyncGenerator, Sequence
from typing import Any

from llm_gateway import errors
from llm_gateway.call import ModelCall
from llm_gateway.errors import GatewayError
from llm_gateway.events import Delta, Done, Event, Usage
from llm_gateway.request import ChatRequest, Message
from llm_gateway.router import Attempt, Opened, Router
from llm_gateway.routes import Alias, Target

FAR = 1000.0  # seconds until the deadline, where it does not matter
NEAR = 1e-3  # seconds: a time is one or another


Reaction = GatewayError | float  # an error at once, or an answer after so many seconds


class Scripted:
    """A provider whose targets react as their lists say, the last entry for ever."""

    def __init__(self, **reactions: Sequence[Reaction] | Reaction) -> None:
        self.reactions = {name: list(r) if isinstance(r, Sequence) else [r] for name, r in reactions.items()}
        self.asked: list[str] = []
        self.times: list[float] = []
        self.calls: list[ModelCall] = []
        self.running = 0
        self.began = asyncio.Event()

    async def answer(self, call: ModelCall) -> AsyncGenerator[list[Event], None]:
        name = call.target.name
        self.asked.append(name)
        self.calls.append(call)
        loop = asyncio.get_running_loop()
        self.times.append(loop.time())
        reactions = self.reactions.get(name, [0.0])
        reaction = reactions.pop(0) if len(reactions) > 1 else reactions[0]
        self.running += 1
        self.began.set()
        try:
            if isinstance(reaction, GatewayError):
                raise reaction.with_traceback(None)
            if reaction == math.inf:
                await loop.create_future()
            if reaction:
                await asyncio.sleep(reaction)
            yield [Delta(name)]
            yield [Delta("!"), Usage(3, 2), Done("end_turn")]
        finally:
            self.running -= 1


def target(name: str, **more: Any) -> Target:
    values: dict[str, Any] = {"max_output_tokens": 4096, "context_tokens": 100_000, "accepts": ("max_tokens", "temperature")}
    return Target(name=name, provider="p", model=name, **{**values, **more})


def alias(*targets: Target | str, **more: Any) -> Alias:
    behind = tuple(target(each) if isinstance(each, str) else each for each in targets)
    return Alias(name="main", targets=behind, **{"retries": 0, **more})


def said(text: str = "Hi", **more: Any) -> ChatRequest:
    return ChatRequest(messages=(Message("user", text),), **{"stream": True, **more})


class Chance(random.Random):
    """Chance that always gives this."""

    def __init__(self, value: float) -> None:
        super().__init__(0)
        self.value = value

    def random(self) -> float:
        return self.value


def routing(provider: Scripted, chance: random.Random | None = None) -> Router:
    return Router({"p": provider}, chance or random.Random(7))


async def opened(
    routes: Router, to: Alias, request: ChatRequest | None = None, seconds: float = FAR, attempts: list[Attempt] | None = None
) -> Opened:
    deadline = asyncio.get_running_loop().time() + seconds
    return await routes.open(request or said(), to, deadline, [] if attempts is None else attempts)


async def once(routes: Router, to: Alias, request: ChatRequest | None = None, seconds: float = FAR) -> str:
    """The target that answers, or the code of the error that the caller gets."""
    try:
        found = await opened(routes, to, request, seconds)
    except GatewayError as error:
        return error.code
    assert found.first == [Delta(found.target.name)]
    await found.rest.aclose()
    return found.target.name


def refused() -> GatewayError:
    """A failure after which the next target is asked and nothing is remembered."""
    return errors.content_filter()
