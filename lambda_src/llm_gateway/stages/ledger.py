"""Stages 3 and 9: what callers have used, and whether a call fits within their limits.

DynamoDB has one item for each caller, and one for each tenant that has limits. The item holds a counter for each window and
measure, such as ``2026-11-30 tokens`` for the day and ``2026-11 micro_usd`` for the month, with the alias at its end where an
alias has a limit of its own. The window is part of the name, so that a new one begins at zero without a write, a month needs no
sum over days, and a call that ends after midnight is settled in the windows in which it was reserved. A window is kept until
the one after it is over; then settling a call deletes it. (An item a day would lose the calls in flight at midnight, and would
have to carry the month's sum over.)

Before a call, one conditional update adds the most that it may use: the bound of the request's tokens, and `max_tokens`. After
it, another one takes off what it has not used. Each costs a write unit for every KB of the item, which is below 1 KB with some
ten calls in flight. What was never settled stays charged: the model may have billed it. The same holds where the outcome of a
call is not known.

The item also holds the calls in flight, as a set of ids. An id makes each of the two updates happen once, though DynamoDB's
client may carry a write out twice. It begins with the time at which the call's function is over in any case, after which others
delete it.

If DynamoDB fails, no call is made: otherwise its failure, or a caller who makes it throttle, would lift all limits.
"""

import asyncio
import itertools
import math
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

from llm_gateway import errors
from llm_gateway.accounts import (
    IN_FLIGHT,
    Counter,
    call_id,
    caller_holder,
    calls_in_flight,
    counters,
    is_old,
    is_over,
    old_counters,
    tenant_holder,
    value_of,
)
from llm_gateway.aws.dynamodb import ConditionFailed, DynamoDB, DynamoDBError, Item, Update
from llm_gateway.call import ModelCall
from llm_gateway.charge import NOTHING, Charge, most_of, of_failure, of_usage
from llm_gateway.errors import GatewayError
from llm_gateway.events import Usage
from llm_gateway.http.errors import HttpError
from llm_gateway.identity.caller import Caller
from llm_gateway.limits import CallerLimits, Limit, Limits, amount_of, seconds_left, stamps
from llm_gateway.tables import LEDGER

if TYPE_CHECKING:
    from llm_gateway.embeddings import EmbeddingCall

HASH_KEY, _, TTL_ATTRIBUTE = LEDGER

# Seconds for settling a call that has reached its deadline, before the function's end, which is a second later.
_SETTLING_SECONDS = 0.5
# Seconds that an item is kept after the last call: until the month after is over.
_KEPT_SECONDS = 93 * 86_400
# The most counters of windows that are over which one update deletes. An expression may have 4 KB.
_MOST_DELETED = 100


class Attempt(Protocol):
    """A call of a target: the router's."""

    @property
    def error(self) -> GatewayError | None: ...


class Ledger:
    """The limits, and the table of what has been used.

    `warn` is told what cannot be settled. `clock` gives seconds since the epoch.
    """

    def __init__(
        self,
        dynamodb: DynamoDB,
        table: str,
        limits: CallerLimits,
        warn: Callable[[str], None],
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._warn = warn
        self.limits = limits
        self.clock = clock

    def within(self, limits: CallerLimits) -> "Ledger":
        """Return the same ledger with other limits."""
        return Ledger(self._dynamodb, self._table, limits, self._warn, clock=self.clock)

    async def item(self, holder: str) -> Item:
        """Return the item of a caller or a tenant as it is, empty where there is none yet. Raises the error 503."""
        try:
            return await self._dynamodb.get_item(self._table, {HASH_KEY: {"S": holder}}, consistent=True) or {}
        except (DynamoDBError, HttpError) as error:
            raise _unavailable(error) from error

    def reservation(self, caller: Caller, alias: str, attempts: Sequence[Attempt], deadline: float) -> "Reservation | None":
        """Return what reserves and settles the calls of a request; None for a caller without limits.

        Args:
            attempts: The router adds each call of a target.
            deadline: A time of the running loop's clock.
        """
        limits, of_tenant = self.limits.of_key(caller.principal), self.limits.of_tenant(caller.tenant)
        accounts: list[_Account] = []
        if limits:
            accounts.append(self._account(caller_holder(caller), "this caller", limits, alias))
        if of_tenant:
            accounts.append(self._account(tenant_holder(caller), "this caller's tenant", of_tenant, alias))
        return Reservation(accounts, attempts, deadline, self._warn, self.clock) if accounts else None

    def _account(self, holder: str, whose: str, limits: Limits, alias: str) -> "_Account":
        return _Account(self._dynamodb, self._table, {HASH_KEY: {"S": holder}}, whose, limits, alias, self.clock)


class Reservation:
    """What the calls of one request are reserved, at the caller's account and the tenant's.

    `rate_limits` are the headers that say what is left: after a reservation without what it may use, and once it is settled,
    without what it has used. So a whole answer, which is sent then, says what the next call finds.
    """

    def __init__(
        self,
        accounts: "Sequence[_Account]",
        attempts: Sequence[Attempt],
        deadline: float,
        warn: Callable[[str], None],
        clock: Callable[[], float],
    ) -> None:
        self._accounts = accounts
        self._attempts = attempts
        self._deadline = deadline
        self._warn = warn
        self._clock = clock
        self._calls: list[ModelCall | EmbeddingCall] = []  # those of `attempts`
        self._is_reserved = False
        self.rate_limits: dict[str, str] = {}

    async def admit(self, call: "ModelCall | EmbeddingCall") -> None:
        """Reserve a call. One that costs no more than what the calls before it have left needs no write.

        Raises the error 429 if a limit has not enough left, and 503 if the table cannot be written.
        """
        needed = self._used().plus(most_of(call))
        if self._is_reserved:
            await self._at_all(lambda account: account.extend(needed, call))
        else:
            await self._reserve(needed, call)
        self._calls.append(call)

    async def settle(self, usage: Usage | None) -> None:
        """Take off what the request has not used. `usage` is that of its answer, None if it has none or nobody knows it."""
        if not self._is_reserved:
            return
        used = self._used(usage)
        settled = await asyncio.gather(*(self._settled(account, used) for account in self._accounts), return_exceptions=True)
        for failure in settled:
            if failure is not None:  # it stays charged
                self._warn(f"not settled: {type(failure).__name__}: {failure}")
        self.rate_limits.update(_headers(self._accounts, self._clock()))

    async def _settled(self, account: "_Account", used: Charge) -> None:
        """Settle an account within the function's time: a whole answer is sent after it, and a stream ended."""
        end = max(self._deadline, asyncio.get_running_loop().time() + _SETTLING_SECONDS)
        async with asyncio.timeout_at(end):
            await account.settle(used)

    async def withdraw(self) -> None:
        """Give everything back that was reserved, and the request, because no target is called."""
        if self._is_reserved:
            self._is_reserved = False
            await asyncio.gather(*(each.settle(NOTHING, requests=-1) for each in self._accounts), return_exceptions=True)

    async def _reserve(self, charge: Charge, call: "ModelCall | EmbeddingCall") -> None:
        left = self._deadline - asyncio.get_running_loop().time()
        id = call_id(self._clock() + left)
        self._is_reserved = True  # so that it is settled, too, where the request is cancelled meanwhile
        try:
            await self._at_all(lambda account: account.reserve(id, charge, call), undo=True)
        except GatewayError:
            self._is_reserved = False
            raise
        self.rate_limits.update(_headers(self._accounts, self._clock()))

    def _used(self, usage: Usage | None = None) -> Charge:
        """Return what the calls have used so far. One that has neither failed nor ended with a usage may have used the most."""
        used = NOTHING
        last = len(self._calls) - 1
        is_answered = usage is not None and self._attempts[last].error is None
        for index, (attempt, call) in enumerate(zip(self._attempts, self._calls, strict=False)):
            if attempt.error is not None:
                if not (is_answered and _goes_on(self._calls[last], call)):
                    used = used.plus(of_failure(attempt.error, call))
            else:
                used = used.plus(of_usage(usage, call) if usage is not None and index == last else most_of(call))
        return used

    async def _at_all(self, write: "Callable[[_Account], Awaitable[None]]", *, undo: bool = False) -> None:
        """Write to all accounts at once, so that a request waits for one call.

        Where one of them refuses, `undo` takes back what the others have written, or may have. An extension is left to the
        settling, which happens once. A transaction would cost twice as much, and fails where two meet.
        """
        results = await asyncio.gather(*map(write, self._accounts), return_exceptions=True)
        failures = [result for result in results if isinstance(result, BaseException)]
        if not failures:
            return
        if undo:
            written = [
                account.settle(NOTHING, requests=-1)
                for account, result in zip(self._accounts, results, strict=True)
                if not isinstance(result, GatewayError)
            ]
            await asyncio.gather(*written, return_exceptions=True)  # where that fails, it stays charged
        refusals = [failure for failure in failures if isinstance(failure, GatewayError)]
        if refusals:
            refusal = max(refusals, key=lambda each: (each.lasts, each.retry_after or 0.0))
            refusal.rate_limits = _headers(self._accounts, self._clock())
            raise refusal
        if isinstance(failures[0], DynamoDBError | HttpError):
            raise _unavailable(failures[0]) from failures[0]
        raise failures[0]


class _Account:
    """The item of a holder of limits, for one request."""

    def __init__(
        self, dynamodb: DynamoDB, table: str, key: Item, whose: str, limits: Limits, alias: str, clock: Callable[[], float]
    ) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._key = key
        self._whose = whose
        self._limits = limits
        self._alias = alias
        self._clock = clock
        self._id = ""
        self._reserved = NOTHING
        self._counters: list[Counter] = []
        self._item: Item = {}

    async def reserve(self, id: str, charge: Charge, call: "ModelCall | EmbeddingCall") -> None:
        """Count a request with the most that it may use, and the call as in flight. Raises the error 429."""
        now = self._clock()
        self._id, self._counters = id, list(counters(self._limits, self._alias, stamps(now)))
        self._reserved = charge
        slots = self._limits.calls_in_flight
        for _ in range(3):
            update = self._update(charge, requests=1, limited=call)
            free = [f"NOT contains({IN_FLIGHT}, {update.value('S', id)})"]
            if slots is not None:
                free.append(f"size({IN_FLIGHT}) < {update.value('N', str(slots))}")
            update.conditions.append(f"(attribute_not_exists({IN_FLIGHT}) OR ({' AND '.join(free)}))")
            update.adds.append(f"{IN_FLIGHT} {update.value('SS', [id])}")
            update.sets.append(f"{TTL_ATTRIBUTE} = {update.value('N', str(int(now + _KEPT_SECONDS)))}")
            if await self._written(update) or id in calls_in_flight(self._item):
                return
            self._check(charge, call, requests=1)
            ids = calls_in_flight(self._item)
            over = [each for each in ids if is_over(each, now)]
            if slots is None or len(ids) < slots:
                break
            if len(ids) - len(over) >= slots:
                limit = f"{slots} call{'' if slots == 1 else 's'} in flight"
                raise errors.limit_reached(
                    whose=self._whose, limit=limit, why="none is left", then="try again when one ends", retry_after=1
                )
            forget = Update()
            forget.deletes.append(f"{IN_FLIGHT} {forget.value('SS', over)}")
            await self._written(forget)
        raise errors.limits_unavailable(detail="the table refuses a write that fits within the limits")

    async def extend(self, needed: Charge, call: "ModelCall | EmbeddingCall") -> None:
        """Reserve up to `needed`. Raises the error 429. If the client carries it out twice, the caller pays too much."""
        charge = Charge(*(max(0, most - had) for most, had in zip(needed, self._reserved, strict=True)))
        if charge == NOTHING:
            return
        update = self._update(charge, limited=call)
        update.conditions.append(f"contains({IN_FLIGHT}, {update.value('S', self._id)})")
        if not await self._written(update):
            self._check(charge, call)
            raise errors.limits_unavailable(detail="the call does not count as in flight any more")
        self._reserved = self._reserved.plus(charge)

    async def settle(self, used: Charge, *, requests: int = 0) -> None:
        """Add what was used beyond the reservation, or take off what was not, at the end of the call.

        Counters of windows that are over, and the calls of functions that are, are deleted by the way.
        """
        now = self._clock()
        update = self._update(used.minus(self._reserved), requests=requests)
        update = self._ending(update, *(each for each in calls_in_flight(self._item) if is_over(each, now)))
        old = itertools.islice(old_counters(self._item, now), _MOST_DELETED)
        update.removes.extend(update.name(name) for name in old)
        await self._written(update)

    def room(self) -> Iterator[tuple[Limit, int]]:
        """Yield each limit that holds for the request, with what is left of it in the windows of this moment."""
        for counter in counters(self._limits, self._alias, stamps(self._clock())):
            if counter.limit is not None:
                yield counter.limit, max(0, counter.limit.most - value_of(self._item, counter.attribute))

    def _update(self, charge: Charge, *, requests: int = 0, limited: "ModelCall | EmbeddingCall | None" = None) -> Update:
        """Return the update that adds to the counters; of the call `limited` where their limits allow it."""
        update, now = Update(), self._clock()
        for counter in self._counters:
            amount = _amount(counter, charge, requests)
            if not amount or is_old(counter.window, counter.attribute, now):
                continue
            name = update.name(counter.attribute)
            update.adds.append(f"{name} {update.value('N', str(amount))}")
            if limited is not None and counter.limit is not None:
                if amount > counter.limit.most:
                    raise self._too_large(counter.limit, amount, limited)
                # DynamoDB's conditions have no arithmetic.
                most = update.value("N", str(counter.limit.most - amount))
                update.conditions.append(f"(attribute_not_exists({name}) OR {name} <= {most})")
        return update

    def _ending(self, update: Update, *others: str) -> Update:
        """Return an update that also ends the call, and happens only once by that."""
        update.conditions.append(f"contains({IN_FLIGHT}, {update.value('S', self._id)})")
        update.deletes.append(f"{IN_FLIGHT} {update.value('SS', sorted({self._id, *others}))}")
        return update

    async def _written(self, update: Update) -> bool:
        """Carry out an update, and keep the item as it is then. Returns whether its conditions held."""
        try:
            self._item = await self._dynamodb.update_item(
                self._table,
                self._key,
                update.expression(),
                condition=" AND ".join(update.conditions),
                names=update.names,
                values=update.values,
                item_on_failure=True,
            )
        except ConditionFailed as error:
            self._item = error.item
            return False
        return True

    def _check(self, charge: Charge, call: "ModelCall | EmbeddingCall", *, requests: int = 0) -> None:
        """Raise the error 429 of the limit that has not enough left, of several the one that lasts longest."""
        reached = [
            (counter.limit, amount)
            for counter in self._counters
            if counter.limit is not None
            and (amount := _amount(counter, charge, requests))
            and value_of(self._item, counter.attribute) + amount > counter.limit.most
        ]
        if not reached:
            return
        now = self._clock()
        limit, amount = max(reached, key=lambda each: seconds_left(each[0].window, now))
        seconds = math.ceil(seconds_left(limit.window, now))
        then = f"the next {limit.window} begins in {_duration(seconds)}"
        why = _why(limit, amount, call)
        raise errors.limit_reached(whose=self._whose, limit=limit, why=why, then=then, retry_after=seconds)

    def _too_large(self, limit: Limit, amount: int, call: "ModelCall | EmbeddingCall") -> GatewayError:
        is_chat = isinstance(call, ModelCall)
        then = f"shorten the request, or give it a lower {call.bound_name}" if is_chat else "embed fewer texts at once"
        error = errors.limit_reached(whose=self._whose, limit=limit, why=_why(limit, amount, call), then=then)
        error.lasts = True
        return error


def _why(limit: Limit, amount: int, call: "ModelCall | EmbeddingCall") -> str:
    """Return why a call does not fit within a limit: what it reserves, and for which answer."""
    if limit.measure == "requests":
        return "none is left"
    why = f"less is left than the {amount_of(limit.measure, amount)} that this call reserves"
    if not isinstance(call, ModelCall):
        return why
    why += f", for an answer of up to {call.sampling.max_tokens:,} tokens"
    return f"{why}, because no {call.bound_name} was given" if call.is_bounded_by_default else why


def _amount(counter: Counter, charge: Charge, requests: int) -> int:
    """Return what a call adds to a counter."""
    return requests if counter.measure == "requests" else charge.tokens if counter.measure == "tokens" else charge.micro_usd


def _unavailable(failure: Exception) -> GatewayError:
    return errors.limits_unavailable(detail=f"{type(failure).__name__}: {failure}")


def _goes_on(call: "ModelCall | EmbeddingCall", failed: "ModelCall | EmbeddingCall") -> bool:
    """Whether a call of embeddings goes on where it had failed before, so that its usage has those parts, too."""
    return call is failed and not isinstance(call, ModelCall)


def _headers(accounts: Sequence[_Account], now: float) -> dict[str, str]:
    """Return OpenAI's headers: for requests and for tokens, the limit of which the least is left.

    https://platform.openai.com/docs/guides/rate-limits#rate-limits-in-headers
    """
    headers: dict[str, str] = {}
    room = [each for account in accounts for each in account.room()]
    for measure in ("requests", "tokens"):
        of_measure = [(left, limit) for limit, left in room if limit.measure == measure]
        if of_measure:
            left, limit = min(of_measure, key=lambda each: each[0])
            headers[f"x-ratelimit-limit-{measure}"] = str(limit.most)
            headers[f"x-ratelimit-remaining-{measure}"] = str(left)
            headers[f"x-ratelimit-reset-{measure}"] = _duration(math.ceil(seconds_left(limit.window, now)))
    return headers


def _duration(seconds: int) -> str:
    """Return a time as OpenAI's headers have it, such as ``6m0s``."""
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes}m{seconds}s" if hours else f"{minutes}m{seconds}s" if minutes else f"{seconds}s"
