"""Which target of an alias answers, and what happens where it does not.

Until the first token the next target answers; what fails after it is the caller's to hear. What is remembered of a target (that
it failed, how soon it begins to answer) is this process's own and may be lost at any time.
"""

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Protocol

import msgspec

from llm_gateway import errors
from llm_gateway.call import ModelCall, model_call
from llm_gateway.errors import FailurePolicy, GatewayError
from llm_gateway.events import Event
from llm_gateway.request import ChatRequest
from llm_gateway.routes import Alias, Target


class Provider(Protocol):
    """Who can answer a `ModelCall`.

    Yields batches of the events between `Start` and the end; raises `GatewayError` for every failure. Closing the generator
    ends the upstream's call.
    """

    def answer(self, call: ModelCall) -> AsyncGenerator[list[Event], None]: ...


class Attempt(msgspec.Struct):
    """One call of a target: how long it took in seconds until its first batch or its failure, and the failure."""

    target: Target
    seconds: float
    error: GatewayError | None = None


class Opened(msgspec.Struct):
    """An answer that has begun: its first batch, and the rest of them, which the caller closes."""

    target: Target
    first: list[Event]
    rest: AsyncGenerator[list[Event], None]


# What the router does after a failure, by the error's code.
FAILURE_POLICY: Mapping[str, FailurePolicy] = {kind.code: kind.policy for kind in errors.ERROR_KINDS}

# Seconds. The pause before the n-th retry is a random part of PAUSE * 2**n, on top of what the first target that may be asked
# again has asked for; where that is more than LONGEST_PAUSE, the caller is told to come back instead.
PAUSE = 0.25
LONGEST_PAUSE = 8.0
# A target that failed is asked last for this long, twice as long after each further failure.
COOLDOWN = 5.0
LONGEST_COOLDOWN = 60.0
# How long a measured time to the first token is believed, and how much of the average a new one is.
LATENCY_LIFE = 300.0
LATENCY_WEIGHT = 0.3

# Characters of a token, roughly, for English text. https://platform.openai.com/tokenizer
CHARACTERS_PER_TOKEN = 4


class _Health:
    """What this process knows of a target. Times are of its monotonic clock."""

    def __init__(self) -> None:
        self.failures = 0
        self.cool_until = 0.0
        self.first_token: dict[bool, tuple[float, float]] = {}  # whether a stream was wanted -> seconds, and when measured


class Router:
    """Asks an alias's targets, one after another, until one begins to answer."""

    def __init__(self, providers: Mapping[str, Provider], chance: random.Random | None = None) -> None:
        self._providers = providers
        self._chance = chance or random.Random()  # noqa: S311  it spreads load and guards nothing
        self._health: dict[str, _Health] = {}

    async def open(self, request: ChatRequest, alias: Alias, deadline: float, attempts: list[Attempt]) -> Opened:
        """The answer of the first target that begins one; each call of a target is added to `attempts`.

        Raises the caller's mistake at once, the failure of the only target that was asked, or one error that names the reason
        of each. `deadline` is a time of the running loop's clock.
        """
        loop = asyncio.get_running_loop()
        calls = self._calls(request, alias, deadline)
        failures: dict[str, GatewayError] = {}
        waiting: list[tuple[float, ModelCall]] = []  # from when on each that may recover is asked again
        too_small = 0  # the largest context that the conversation does not fit
        retry = 0
        while True:
            for position, call in enumerate(calls):
                if call.target.context_tokens <= too_small:
                    continue
                try:
                    others = sum(other.target.context_tokens > too_small for other in calls[position + 1 :])
                    limit = _limit(alias, call, deadline, others=others)
                    return await self._attempt(call, limit, attempts, request.stream)
                except GatewayError as error:
                    failures[call.target.name] = error
                    policy = FAILURE_POLICY[error.code]
                    if not policy.next_target:
                        raise
                    if policy.retry:
                        waiting.append((loop.time() + (error.retry_after or 0.0), call))
                    elif policy.larger_context:
                        too_small = max(too_small, call.target.context_tokens)
            waiting = [(since, call) for since, call in waiting if call.target.context_tokens > too_small]
            if not waiting or retry == alias.retries:
                break
            now = loop.time()
            then = max(now, min(since for since, _ in waiting)) + self._chance.random() * PAUSE * 2.0**retry
            if then - now > LONGEST_PAUSE or then >= deadline:
                break
            await asyncio.sleep(then - now)
            calls = [call for since, call in waiting if since <= then]
            waiting = [(since, call) for since, call in waiting if since > then]
            retry += 1
        if len(failures) == 1:
            raise next(iter(failures.values()))
        raise errors.no_target_answered(alias.name, list(failures.items()))

    def _calls(self, request: ChatRequest, alias: Alias, deadline: float) -> list[ModelCall]:
        """What each target is to be sent, in order. Raises the first target's 400 where none of them takes the request."""
        calls: list[ModelCall] = []
        refused: GatewayError | None = None
        for target in self._order(alias, request):
            try:
                calls.append(model_call(request, alias, target, deadline))
            except GatewayError as error:
                refused = refused or error
        if refused is not None and not calls:
            raise refused
        return calls

    async def _attempt(self, call: ModelCall, limit: float, attempts: list[Attempt], stream: bool) -> Opened:
        """`stream` is whether the caller wants one: a target that is asked whole all the same is compared with those."""
        target = call.target
        began = time.monotonic()
        attempt = Attempt(target, 0.0)
        attempts.append(attempt)
        events = self._providers[target.provider].answer(call)
        try:
            first = await _first(events, limit)
        except BaseException as error:
            attempt.seconds = time.monotonic() - began
            if isinstance(error, GatewayError):
                attempt.error = error
                self.failed(target, error)
            await events.aclose()
            raise
        attempt.seconds = time.monotonic() - began
        self._began(target, stream, attempt.seconds)
        return Opened(target, first, events)

    def _began(self, target: Target, stream: bool, seconds: float) -> None:
        health, now = self._health_of(target), time.monotonic()
        health.failures = 0
        health.cool_until = 0.0
        before, measured = health.first_token.get(stream, (0.0, -LATENCY_LIFE))
        if measured + LATENCY_LIFE <= now:
            before = seconds
        health.first_token[stream] = (before + LATENCY_WEIGHT * (seconds - before), now)

    def failed(self, target: Target, error: GatewayError) -> None:
        """Take note of a target's failure, also of one after its first token."""
        if not FAILURE_POLICY[error.code].cooldown:
            return
        health = self._health_of(target)
        cooldown = min(COOLDOWN * 2.0**health.failures, LONGEST_COOLDOWN)
        health.failures += 1
        health.cool_until = time.monotonic() + max(cooldown, error.retry_after or 0.0)

    def _health_of(self, target: Target) -> _Health:
        health = self._health.get(target.name)
        if health is None:
            health = self._health[target.name] = _Health()
        return health

    # The order.

    def _order(self, alias: Alias, request: ChatRequest) -> Sequence[Target]:
        """The targets as the strategy has them; those that failed lately come last."""
        if len(alias.targets) == 1:
            return alias.targets
        now = time.monotonic()
        match alias.strategy:
            case "priority":
                ordered = list(alias.targets)
            case "weight":
                # Each is drawn with its share of what is left: the smallest of exponential times at rates of the weights.
                ordered = sorted(alias.targets, key=lambda target: self._chance.expovariate(1) / target.weight)
            case "latency":
                ordered = sorted(alias.targets, key=lambda target: self._latency(target, request.stream, now))
            case "workload":
                ordered = sorted(alias.targets, key=lambda target: _unfit(target, request))
        return sorted(ordered, key=lambda target: self._cools(target, now))

    def _cools(self, target: Target, now: float) -> bool:
        health = self._health.get(target.name)
        return health is not None and health.cool_until > now

    def _latency(self, target: Target, stream: bool, now: float) -> float:
        """Seconds to the first token; 0 for one that has not been measured lately, so that it is."""
        health = self._health.get(target.name)
        seconds, measured = health.first_token.get(stream, (0.0, now)) if health is not None else (0.0, now)
        return seconds if measured + LATENCY_LIFE > now else 0.0


def _unfit(target: Target, request: ChatRequest) -> int:
    """Under the strategy ``workload``: 0 for a small target and a small task, 2 for a small target and a large task, else 1."""
    if target.short_prompt_tokens is None:
        return 1
    characters = len(request.system or "") + sum(len(message.text) for message in request.messages)
    short = characters <= target.short_prompt_tokens * CHARACTERS_PER_TOKEN
    return 0 if short and request.sampling.reasoning_effort in _NO_REASONING else 2


_NO_REASONING = (None, "none", "minimal", "low")


async def _first(events: AsyncGenerator[list[Event], None], limit: float) -> list[Event]:
    """The first batch; 504 at `limit`, a time of the loop's clock."""
    try:
        async with asyncio.timeout_at(limit):
            return await anext(events)
    except TimeoutError:
        raise errors.upstream_timeout("the model did not begin to answer in time") from None
    except StopAsyncIteration:
        raise errors.stream_interrupted(detail="the provider's events ended before the first") from None


def _limit(alias: Alias, call: ModelCall, deadline: float, *, others: int) -> float:
    """By when a target must have begun: where others could still answer, it gets its share of the time that is left.

    A whole answer begins when it is whole, so there the share alone counts.
    """
    if not others:
        return deadline
    now = asyncio.get_running_loop().time()
    share = (deadline - now) / (others + 1)
    return now + (min(share, alias.first_token_seconds) if call.stream else share)
