"""Chooses the target of an alias that answers, and another one if it fails.

Before the first token another target can answer; later failures are reported to the caller. What the router knows of a target
(that it failed, how soon it begins to answer) is kept in this process only and may be lost at any time.
"""

import asyncio
import random
import time
from collections import defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping, Sequence
from itertools import takewhile
from typing import TYPE_CHECKING, Literal, Protocol, cast

import msgspec

from llm_gateway import errors
from llm_gateway.call import ModelCall, model_call
from llm_gateway.errors import GatewayError
from llm_gateway.estimate import CHARACTERS_PER_TOKEN
from llm_gateway.events import CacheUse, Citation, Event
from llm_gateway.identity.caller import ANONYMOUS, Caller
from llm_gateway.request import ChatRequest
from llm_gateway.routes import BEDROCK, Alias, Target
from llm_gateway.trace import current as trace_of_request

if TYPE_CHECKING:  # only requests for embeddings load it
    from llm_gateway.embeddings import EmbeddingCall, EmbeddingRequest


class Provider(Protocol):
    """Answers a `ModelCall`.

    It yields batches of the events after `Start` and raises `GatewayError` for every failure. Closing the generator ends the
    call of the model.
    """

    def answer(self, call: ModelCall) -> AsyncGenerator[list[Event], None]: ...


class EmbeddingProvider(Protocol):
    """Answers an `EmbeddingCall`, in one batch of `Embeddings`, `Usage` and `Done`. Every provider of such a target is one."""

    def embed(self, call: "EmbeddingCall") -> AsyncGenerator[list[Event], None]: ...


class Reservation(Protocol):
    """What the caller's limits leave for a request."""

    async def admit(self, call: "ModelCall | EmbeddingCall") -> None:
        """Return if the call fits in. Raises the error with which the request ends if it does not, and `AnsweredBefore`."""
        ...


Check = Callable[["ChatRequest | EmbeddingRequest"], Awaitable["ChatRequest | EmbeddingRequest"]]


class Attempt(msgspec.Struct):
    """One call of a target: when it began, by a monotonic clock, the seconds until its first batch or its failure, and the
    failure."""

    call: "ModelCall | EmbeddingCall"
    began: float
    seconds: float = 0.0
    error: GatewayError | None = None

    @property
    def target(self) -> Target:
        return self.call.target


class Opened(msgspec.Struct):
    """An answer that has begun: its first batch, and the other ones, whose generator the receiver closes.

    `dropped` names the hints and parameters that the target does not accept. `cache`, `citations` and `retrieval` are those of
    `Start`.
    """

    target: Target
    first: list[Event]
    rest: AsyncGenerator[list[Event], None]
    dropped: tuple[str, ...] = ()
    cache: CacheUse | None = None
    citations: tuple[Citation, ...] = ()
    retrieval: Literal["", "unavailable"] = ""


class InnerRouter(Protocol):
    """The router, or what stands around it."""

    async def open(
        self,
        request: "ChatRequest | EmbeddingRequest",
        alias: Alias,
        deadline: float,
        attempts: list[Attempt],
        caller: Caller,
        reservation: "Reservation | None",
        check: "Check | None" = None,
    ) -> Opened: ...
    def failed(self, target: Target, error: GatewayError) -> None: ...


# Seconds. The pause before the n-th retry is a random part of PAUSE * 2**n, after the earliest Retry-After of the targets that
# are asked again. If the pause would be longer than LONGEST_PAUSE, the error with its Retry-After is returned instead.
PAUSE = 0.25
LONGEST_PAUSE = 8.0
# A target that failed is asked after all others for this long, twice as long after each further failure.
COOLDOWN = 5.0
LONGEST_COOLDOWN = 60.0
# How long a measured time to the first token is used, and the weight of a new one in the average.
LATENCY_LIFE = 300.0
LATENCY_WEIGHT = 0.3


class _Health:
    """The health of a target, as this process knows it. Times are of its monotonic clock."""

    def __init__(self) -> None:
        self.failures = 0
        self.cool_until = 0.0
        # Whether its last failure may be that it has no servers.
        self.absent = False
        # Whether a stream was asked for -> seconds, and when they were measured.
        self.first_token: dict[bool, tuple[float, float]] = {}


class Router:
    """Asks the targets of an alias one after another until one begins to answer.

    `wake` is told the name of a provider that does not answer although it is wanted: by a request that it would take.
    """

    def __init__(
        self,
        providers: Mapping[str, Provider],
        chance: random.Random | None = None,
        wake: Callable[[str], None] = lambda provider: None,
    ) -> None:
        self._providers = providers
        self._chance = chance or random.Random()  # noqa: S311  it only distributes load
        self._wake = wake
        self._health = defaultdict[str, _Health](_Health)

    async def open(
        self,
        request: "ChatRequest | EmbeddingRequest",
        alias: Alias,
        deadline: float,
        attempts: list[Attempt],
        caller: Caller = ANONYMOUS,
        reservation: "Reservation | None" = None,
        check: "Check | None" = None,
    ) -> Opened:
        """Return the answer of the first target that begins to answer.

        Args:
            deadline: A time of the running loop's clock.
            attempts: Each call of a target is added to it.
            reservation: Is asked to admit each call.
            check: Returns the request as a target may see it, or raises the error with which it ends. It is asked when a call
                has been admitted: a check costs money, and who has no more to spend may not cause one.

        Raises:
            GatewayError: The error of a request that every target would refuse, the failure of the only target that was asked,
                or one error that names the failure of each.
        """
        loop = asyncio.get_running_loop()
        calls = self._calls(request, alias, deadline, caller)
        failures: dict[str, GatewayError] = {}
        # The targets that may recover, and when each is asked again.
        waiting: list[tuple[float, ModelCall | EmbeddingCall]] = []
        too_small = 0  # the largest context that is too small for the conversation
        paid = False
        retry = 0
        while True:
            for position, call in enumerate(calls):
                if call.target.context_tokens <= too_small:
                    continue
                try:
                    if reservation is not None:
                        await reservation.admit(call)
                    sent = call
                    if check is not None and (checked := await check(request)) is not request:
                        sent = _call(checked, alias, call.target, deadline, caller)
                    others = sum(other.target.context_tokens > too_small for other in calls[position + 1 :])
                    limit = _begin_deadline(alias, sent, deadline, others=others)
                    return await self._attempt(sent, limit, attempts, request.stream)
                except GatewayError as error:
                    failures[call.target.name] = error
                    if not error.policy.next_target or (paid and error.policy.paid):
                        raise
                    paid = paid or error.policy.paid
                    if error.policy.retry:
                        waiting.append((loop.time() + (error.retry_after or 0.0), call))
                    elif error.policy.larger_context:
                        too_small = max(too_small, call.target.context_tokens)
            waiting = [(since, call) for since, call in waiting if call.target.context_tokens > too_small]
            if not waiting or retry == alias.retries:
                break
            now = loop.time()
            retry_at = max(now, min(since for since, _ in waiting)) + self._chance.random() * PAUSE * 2.0**retry
            if retry_at - now > LONGEST_PAUSE or retry_at >= deadline:
                break
            await asyncio.sleep(retry_at - now)
            calls = [call for since, call in waiting if since <= retry_at]
            waiting = [(since, call) for since, call in waiting if since > retry_at]
            retry += 1
        if len(failures) == 1:
            raise next(iter(failures.values()))
        raise errors.no_target_answered(alias.name, list(failures.items()))

    def _calls(
        self, request: "ChatRequest | EmbeddingRequest", alias: Alias, deadline: float, caller: Caller
    ) -> "list[ModelCall | EmbeddingCall]":
        """Return the calls of the targets in order. Raises the error 400 of the first target if none accepts the request."""
        calls: list[ModelCall | EmbeddingCall] = []
        refused: GatewayError | None = None
        ordered, passed_over = self._order(alias, request)
        for target in ordered:
            try:
                calls.append(_call(request, alias, target, deadline, caller))
                if target.name in passed_over:
                    self._wake(target.provider)  # it is wanted, and not asked at first
            except GatewayError as error:
                refused = refused or error
        if refused is not None and not calls:
            raise refused
        return calls

    async def _attempt(self, call: "ModelCall | EmbeddingCall", limit: float, attempts: list[Attempt], stream: bool) -> Opened:
        """Call a target. `stream` is what the caller asked for: latencies are compared among requests that ask for the same."""
        target = call.target
        began = time.monotonic()
        attempt = Attempt(call, began)
        attempts.append(attempt)
        provider = self._providers[target.provider]
        events = _answer(provider, call) if isinstance(call, ModelCall) else cast(EmbeddingProvider, provider).embed(call)
        if (trace := trace_of_request()) is not None:
            trace.begin_call(began)
        try:
            first = await _first_batch(events, limit)
        except BaseException as error:
            attempt.seconds = time.monotonic() - began
            if isinstance(error, GatewayError):
                attempt.error = error
                self.failed(target, error)
            await events.aclose()
            raise
        attempt.seconds = time.monotonic() - began
        self._began(target, stream, attempt.seconds)
        return Opened(target, first, events, call.dropped)

    def _began(self, target: Target, stream: bool, seconds: float) -> None:
        health, now = self._health[target.name], time.monotonic()
        health.failures = 0
        health.cool_until = 0.0
        before, measured = health.first_token.get(stream, (0.0, -LATENCY_LIFE))
        if measured + LATENCY_LIFE <= now:
            before = seconds
        health.first_token[stream] = (before + LATENCY_WEIGHT * (seconds - before), now)

    def failed(self, target: Target, error: GatewayError) -> None:
        """Record the failure of a target. It may come after the first token."""
        if not error.policy.cooldown:
            return
        health = self._health[target.name]
        cooldown = min(COOLDOWN * 2.0**health.failures, LONGEST_COOLDOWN)
        health.failures = min(health.failures + 1, 10)  # the power of some thousand is no number any more
        health.cool_until = time.monotonic() + max(cooldown, error.retry_after or 0.0)
        health.absent = error.policy.wake
        if error.policy.wake:
            self._wake(target.provider)

    # The order of the targets.

    def _order(self, alias: Alias, request: "ChatRequest | EmbeddingRequest") -> tuple[Sequence[Target], Collection[str]]:
        """Return the targets in the order of the strategy, and the names of those that would be first and have no servers.

        Those that failed recently come last.
        """
        if len(alias.targets) == 1:
            return alias.targets, ()
        now = time.monotonic()
        match alias.strategy:
            case "weight":
                # Draws without replacement in proportion to the weights: by exponential times with the weights as rates.
                ordered = sorted(alias.targets, key=lambda target: self._chance.expovariate(1) / target.weight)
            case "latency":
                ordered = sorted(alias.targets, key=lambda target: self._latency(target, request.stream, now))
            case "workload" if isinstance(request, ChatRequest):
                ordered = sorted(alias.targets, key=lambda target: _workload_rank(target, request))
            case _:
                ordered = list(alias.targets)
        cooling_down = {target.name for target in ordered if self._is_cooling_down(target, now)}
        if not cooling_down:
            return ordered, ()
        first = takewhile(lambda target: target.name in cooling_down, ordered)
        passed_over = {target.name for target in first if self._health[target.name].absent}
        return sorted(ordered, key=lambda target: target.name in cooling_down), passed_over

    def _is_cooling_down(self, target: Target, now: float) -> bool:
        health = self._health.get(target.name)
        return health is not None and health.cool_until > now

    def _latency(self, target: Target, stream: bool, now: float) -> float:
        """Return the seconds to the first token; 0 if they were not measured recently, so that the target is asked."""
        health = self._health.get(target.name)
        seconds, measured = health.first_token.get(stream, (0.0, now)) if health is not None else (0.0, now)
        return seconds if measured + LATENCY_LIFE > now else 0.0


def _call(
    request: "ChatRequest | EmbeddingRequest", alias: Alias, target: Target, deadline: float, caller: Caller
) -> "ModelCall | EmbeddingCall":
    """Return the call of a target. Raises the error 400 of what it does not accept."""
    if not isinstance(request, ChatRequest):
        return request.call(alias, target, deadline, caller)
    call = model_call(request, alias, target, deadline, caller)
    if request.response_format is not None:
        from llm_gateway.structured_output import structured

        call = structured(call, request.response_format)
    if _is_asked_in_words(call):
        from llm_gateway.tool_calls import asked_in_words

        call = asked_in_words(call)
    return call


def _is_asked_in_words(call: ModelCall) -> bool:
    """Whether the target does not take the call's tool choice.

    Converse has no "none", and the tools that were called in the conversation are declared to it nevertheless.
    """
    mode = call.tool_choice.mode
    if mode in ("required", "tool"):
        return "forced_tools" not in call.target.accepts
    if call.target.provider != BEDROCK or call.target.api != "converse" or (mode != "none" and call.tools):
        return False
    return any(message.tool_calls for message in call.messages)


def _as_asked(events: AsyncGenerator[list[Event], None], call: ModelCall) -> AsyncGenerator[list[Event], None]:
    """Return the events as the caller asked for them, where the target does not see to it: the calls, and the text's form."""
    if call.must_call is not None:
        from llm_gateway.tool_calls import with_a_call

        events = with_a_call(events, call.must_call)
    if not call.parallel_tool_calls or any(tool.strict for tool in call.tools):
        from llm_gateway.tool_calls import strict_calls

        events = strict_calls(events, call)
    if call.output_tool:
        from llm_gateway.structured_output import text_of_tool

        events = text_of_tool(events, call)
    return events


def _workload_rank(target: Target, request: ChatRequest) -> int:
    """Rank a target for the strategy ``workload``: a small target 0 for a small task and 2 for a large one, others 1."""
    if target.short_prompt_tokens is None:
        return 1
    characters = len(request.system or "") + sum(len(message.text) for message in request.messages)
    short = characters <= target.short_prompt_tokens * CHARACTERS_PER_TOKEN
    return 0 if short and request.sampling.reasoning_effort in _NO_REASONING else 2


_NO_REASONING = (None, "none", "minimal", "low")


def _answer(provider: Provider, call: ModelCall) -> AsyncGenerator[list[Event], None]:
    """Return the events of a chat, with what the gateway does in the provider's place."""
    events = provider.answer(call)
    if call.target.think_tags is not None:
        from llm_gateway.think_tags import without_think_tags

        events = without_think_tags(events, call.target.think_tags)
    if call.tools or call.must_call is not None:
        events = _as_asked(events, call)
    if call.object_in_text:
        from llm_gateway.json_text import object_in_text

        events = object_in_text(events, call)
    elif call.checked_schema is not None:
        from llm_gateway.structured_output import checked_text

        events = checked_text(events, call.checked_schema)
    if call.cut:
        from llm_gateway.stop_sequences import cut

        events = cut(events, call)
    return events


async def _first_batch(events: AsyncGenerator[list[Event], None], limit: float) -> list[Event]:
    """Return the first batch. Raises the error 504 at `limit`, a time of the loop's clock."""
    try:
        async with asyncio.timeout_at(limit):
            return await anext(events)
    except TimeoutError:
        raise errors.upstream_timeout(detail="it did not begin to answer in time") from None
    except StopAsyncIteration:
        raise errors.stream_interrupted(detail="the provider's events ended before the first") from None


def _begin_deadline(alias: Alias, call: "ModelCall | EmbeddingCall", deadline: float, *, others: int) -> float:
    """Return the loop's time by which a target must have begun to answer.

    If other targets could still answer, each gets an equal share of the time that is left, and a stream at most the alias's
    `first_token_seconds`. A complete answer comes at once, when it is complete, so it has its whole share.
    """
    if not others:
        return deadline
    now = asyncio.get_running_loop().time()
    share = (deadline - now) / (others + 1)
    return now + (min(share, alias.first_token_seconds) if call.stream else share)
