"""The ledger against a simple model of it: whatever is done in whatever order, both have the same counts."""

import asyncio
import math
from dataclasses import dataclass, field
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule

from llm_gateway import errors
from llm_gateway.accounts import (
    caller_holder,
    calls_in_flight,
    counted_windows,
    counter_name,
    is_over,
    tenant_holder,
    value_of,
)
from llm_gateway.call import ModelCall, model_call
from llm_gateway.charge import NOTHING, Charge, most_of, of_usage
from llm_gateway.errors import GatewayError
from llm_gateway.events import Usage
from llm_gateway.identity.caller import Caller
from llm_gateway.limits import MEASURES, CallerLimits, Limit, Limits, stamps
from llm_gateway.request import Sampling
from llm_gateway.routes import Price
from llm_gateway.stages.ledger import Ledger, Reservation
from llm_gateway.usage import usage_of
from support.ledger_table import TABLE, Client, Table
from support.scripted_provider import alias, said, target

# 2027-01-15T08:00:10.5Z
START = 1_800_000_010.5
LIFE = 300
CALLERS = [Caller("acme", "ci"), Caller("acme", "app"), Caller("other", "ci")]
LIMITS = CallerLimits(
    keys={"ci": Limits((Limit("requests", "minute", 3), Limit("tokens", "day", 40, "main")), 2)},
    others=Limits((Limit("micro_usd", "month", 2_000),)),
    tenants={"acme": Limits((Limit("tokens", "day", 90), Limit("requests", "month", 12)), 4)},
)
PRICE = Price(1_000_000, 5_000_000, 100_000, 0, 0)
TO = alias(target("a", price=PRICE), target("b", price=PRICE))


@dataclass
class Attempt:
    error: GatewayError | None = None


@dataclass
class Account:
    """The model of an item: what was counted in each window, by its stamp, and when each call in flight is over."""

    limits: Limits
    counts: dict[tuple[str, str], int] = field(default_factory=dict)
    in_flight: dict[int, float] = field(default_factory=dict)

    def fits(self, began: float, amounts: dict[str, int]) -> bool:
        return all(
            self.counts.get((getattr(stamps(began), limit.window), limit.measure), 0) + amounts[limit.measure] <= limit.most
            for limit in self.limits.counted
            if amounts[limit.measure]
        )

    def has_slot(self, now: float) -> bool:
        most = self.limits.calls_in_flight
        return most is None or sum(over >= now for over in self.in_flight.values()) < most

    def add(self, began: float, amounts: dict[str, int]) -> None:
        for stamp in stamps(began):
            for measure, amount in amounts.items():
                self.counts[stamp, measure] = self.counts.get((stamp, measure), 0) + amount


@dataclass
class Call:
    """A call of the model, and the ledger's reservation for it. `used` is what its failed attempts have cost."""

    number: int
    accounts: list[Account]
    reservation: Reservation
    attempts: list[Attempt]
    last: ModelCall
    began: float
    reserved: Charge
    used: Charge = NOTHING


def amounts(charge: Charge, requests: int = 0) -> dict[str, int]:
    return {"requests": requests, "tokens": charge.tokens, "micro_usd": charge.micro_usd}


def call_of(place: int, most: int) -> ModelCall:
    return model_call(said("Hi", sampling=Sampling(max_tokens=most)), TO, TO.targets[place], 0.0)


class Ledgers(RuleBasedStateMachine):
    running = Bundle("running")

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.now = START
        self.ledger = Ledger(Client(Table()), TABLE, LIMITS, _fail, clock=lambda: self.now)
        self.model: dict[str, Account] = {}
        self.number = 0

    def teardown(self) -> None:
        self.loop.close()

    def _accounts(self, caller: Caller) -> list[Account]:
        holders = [(caller_holder(caller), LIMITS.of_key(caller.key)), (tenant_holder(caller), LIMITS.of_tenant(caller.tenant))]
        return [self.model.setdefault(holder, Account(limits)) for holder, limits in holders if limits]

    def _is_admitted(self, reservation: Reservation, call: ModelCall) -> bool:
        try:
            self.loop.run_until_complete(reservation.admit(call))
        except GatewayError as error:
            assert error.code == "quota_exceeded"
            return False
        return True

    def _is_over(self, call: Call) -> bool:
        """Whether its function has ended, which then does nothing any more."""
        return self.now > call.began + LIFE

    def _settle(self, call: Call, usage: Usage | None, used: Charge) -> None:
        self.loop.run_until_complete(call.reservation.settle(usage))
        for account in call.accounts:
            account.add(call.began, amounts(used.minus(call.reserved)))
            del account.in_flight[call.number]

    @rule(target=running, caller=st.sampled_from(CALLERS), most=st.integers(1, 30))
    def begin(self, caller: Caller, most: int) -> Any:
        call, attempts, accounts = call_of(0, most), list[Attempt](), self._accounts(caller)
        reservation = self.ledger.reservation(caller, TO.name, attempts, self.loop.time() + LIFE)
        assert reservation is not None
        needed = amounts(most_of(call), 1)
        fits = all(account.fits(self.now, needed) and account.has_slot(self.now) for account in accounts)
        assert self._is_admitted(reservation, call) is fits
        if not fits:
            return multiple()
        attempts.append(Attempt())
        self.number += 1
        for account in accounts:
            account.add(self.now, needed)
            account.in_flight[self.number] = math.floor(self.now) + LIFE + 60
        return Call(self.number, accounts, reservation, attempts, call, self.now, most_of(call))

    @rule(target=running, call=consumes(running), most=st.integers(1, 60), is_billed=st.booleans())
    def fall_back(self, call: Call, most: int, is_billed: bool) -> Any:
        if self._is_over(call):
            return multiple()
        call.attempts[-1].error = errors.upstream_timeout() if is_billed else errors.upstream_throttled()
        call.used = call.used.plus(most_of(call.last) if is_billed else NOTHING)
        following = call_of(1, most)
        needed = call.used.plus(most_of(following))
        more = Charge(*(max(0, most - had) for most, had in zip(needed, call.reserved, strict=True)))
        fits = all(account.fits(call.began, amounts(more)) for account in call.accounts)
        assert self._is_admitted(call.reservation, following) is fits
        if not fits:  # the request ends with that
            self._settle(call, None, call.used)
            return multiple()
        for account in call.accounts:
            account.add(call.began, amounts(more))
        call.attempts.append(Attempt())
        call.last, call.reserved = following, call.reserved.plus(more)
        return call

    @rule(call=consumes(running), tokens=st.integers(0, 9))
    def finish(self, call: Call, tokens: int) -> None:
        if not self._is_over(call):
            usage = Usage(3, tokens)
            self._settle(call, usage, call.used.plus(of_usage(usage, call.last)))

    @rule(call=consumes(running))
    def break_off(self, call: Call) -> None:
        if not self._is_over(call):
            self._settle(call, None, call.used.plus(most_of(call.last)))

    @rule(call=consumes(running))
    def die(self, call: Call) -> None:
        """Its function is killed: nothing is settled."""

    @rule(seconds=st.sampled_from([5, 30, 60, 200, 360, 15 * 3600, 86_400, 20 * 86_400]))
    def pass_time(self, seconds: int) -> None:
        self.now += seconds

    @invariant()
    def all_is_counted(self) -> None:
        for holder, account in self.model.items():
            item = self.loop.run_until_complete(self.ledger.item(holder))
            for window in counted_windows(account.limits):
                for measure in MEASURES:
                    stamp = getattr(stamps(self.now), window)
                    assert value_of(item, counter_name(stamp, measure)) == account.counts.get((stamp, measure), 0)
            running = sum(not is_over(id, self.now) for id in calls_in_flight(item))
            assert running == sum(over >= self.now for over in account.in_flight.values())
            assert len(item) < 40  # what is over does not stay for ever

    @invariant()
    def each_caller_is_told_so(self) -> None:
        for caller in CALLERS:
            told = self.loop.run_until_complete(usage_of(self.ledger, caller)).caller
            account = self.model.get(caller_holder(caller), Account(LIMITS.of_key(caller.key)))
            assert told.day is not None
            assert told.day.tokens == account.counts.get((stamps(self.now).day, "tokens"), 0)


def _fail(text: str) -> None:
    raise AssertionError(text)


TestLedger = Ledgers.TestCase
TestLedger.settings = settings(max_examples=20, stateful_step_count=25, deadline=None)
