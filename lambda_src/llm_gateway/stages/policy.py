"""Stage 2, after the alias is known: the rules of callers.

All rules that are for a caller hold, each for the request as it came, so that one more rule never allows more: the feature
flags add theirs to the deployed ones. What a rule allows of an alias is a narrower alias: a target that it does not allow is
not there, so no fallback leads to it.
"""

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, NoReturn, TypeVar

import msgspec

from llm_gateway import errors
from llm_gateway.call import is_nova
from llm_gateway.errors import GatewayError, clipped
from llm_gateway.identity.caller import Caller
from llm_gateway.request import NEUTRAL, ChatRequest, Sampling
from llm_gateway.routes import BEDROCK, Alias, Routes, Target
from llm_gateway.rules import Rule, time_zone
from llm_gateway.stages.authorize import allowed_models

if TYPE_CHECKING:  # only requests for embeddings load it
    from llm_gateway.embeddings import EmbeddingRequest

_Request = TypeVar("_Request", bound="ChatRequest | EmbeddingRequest")
# Is told what the log calls a rule, and what it has changed or refused.
Decided = Callable[[str, str], None]

# What asks a provider to keep parts of the prompt, besides cache points.
_CACHE_HINTS = ("prompt_cache_key", "prompt_cache_options", "prompt_cache_retention")


def policy_of(routes: Routes, caching: Collection[str], added: Sequence[Rule] = ()) -> "Policy":
    """Return the rules of a deployment, and those that are added to them. `caching` is as for `Policy`."""
    guardrail = None if routes.safety is None else routes.safety.guardrail
    elsewhere = () if guardrail is None else guardrail.regions
    return Policy((*routes.rules, *added), caching, elsewhere)


class Policy:
    """The rules. They may be replaced while others are in use: a request sees one set.

    `caching` are the providers whose prompt cache cannot be switched off. `elsewhere` is where a guardrail may take what any
    target is sent. `clock` gives seconds since the epoch. Raises `ZoneInfoNotFoundError` for a time zone that this machine does
    not have: the function must not start.
    """

    def __init__(
        self,
        rules: Sequence[Rule],
        caching: Collection[str] = (),
        elsewhere: Collection[str] = (),
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._rules = tuple(rules)
        self._caching = frozenset(caching)
        self._elsewhere = frozenset(elsewhere)
        self._clock = clock
        self._zones = {hours.time_zone: time_zone(hours.time_zone) for rule in rules for hours in rule.hours or ()}

    def apply(
        self, request: _Request, alias: Alias, caller: Caller, routes: Routes, decided: Decided
    ) -> tuple[_Request, Alias]:
        """Return the request and the alias within the rules of the caller.

        Args:
            alias: The one that the caller may use by the key. If the request names none, the rules may choose another one.

        Raises:
            GatewayError: 403, which names the rule.
        """
        rules = self._rules_of(caller)
        if not rules:
            return request, alias
        try:
            for rule in rules:
                self._check_hours(rule)
                if isinstance(request, ChatRequest):
                    _check(rule, request)
            alias = (
                self._narrowed(rules, alias, decided) if request.model else self._first(rules, alias, caller, routes, decided)
            )
            if isinstance(request, ChatRequest):
                request = _within(rules, request, decided)
        except _Denied as denied:
            decided(denied.rule, denied.decision)
            raise denied.error from None
        return request, alias

    def check_retention(self, caller: Caller, *, named_key: bool, decided: Decided) -> bool:
        """Whether the answer to a request may be kept here.

        Args:
            named_key: The request names an idempotency key, under which its answer would be kept.

        Raises:
            GatewayError: 403, where it names one and its answer may not be kept.
        """
        rule = self._unkept(caller)
        if rule is None:
            return True
        if named_key:
            decided(rule.label, "refused Idempotency-Key")
            reason = "keeps no answers, so none is sent again; leave the Idempotency-Key out"
            raise errors.denied_by_rule(rule=rule.name, reason=reason, param="Idempotency-Key")
        decided(rule.label, "keeps no answer")
        return False

    def check_job(self, caller: Caller) -> None:
        """Raise the error 403 if nothing is to be kept of what a caller asks, as a job and its answer are."""
        if (rule := self._unkept(caller)) is not None:
            reason = "keeps nothing of what is asked, and a job is kept: ask it at once, with POST /chat"
            raise errors.denied_by_rule(rule=rule.name, reason=reason)

    def keeps(self, caller: Caller) -> bool:
        """Whether answers to a caller may be kept here."""
        return self._unkept(caller) is None

    def _unkept(self, caller: Caller) -> Rule | None:
        """Return the first rule by which answers to the caller are not kept, None if there is none."""
        return next((rule for rule in self._rules_of(caller) if rule.retention == "none"), None)

    def usable(self, alias: Alias, caller: Caller) -> Alias:
        """Return what the rules leave of an alias at any hour, as it is described. Raises the error 403 if it is nothing."""
        rules = self._rules_of(caller)
        try:
            alias = self._narrowed(rules, alias, _nobody)
        except _Denied as denied:
            raise denied.error from None
        if all(rule.tools != () for rule in rules):
            return alias
        # A call still has them: the form of an answer may be asked for by a tool.
        targets = tuple(
            msgspec.structs.replace(target, accepts=tuple(each for each in target.accepts if "tool" not in each))
            for target in alias.targets
        )
        return msgspec.structs.replace(alias, targets=targets)

    def may_stream(self, caller: Caller) -> bool:
        """Whether the rules let a caller ask for streams."""
        return all(rule.streams for rule in self._rules_of(caller))

    def _rules_of(self, caller: Caller) -> list[Rule]:
        return [rule for rule in self._rules if rule.is_for(caller.principal, caller.tenant)]

    def _check_hours(self, rule: Rule) -> None:
        if rule.hours is None:
            return
        now = self._clock()
        for hours in rule.hours:
            local = datetime.fromtimestamp(now, self._zones[hours.time_zone])
            if hours.contains(local.weekday(), local.hour * 60 + local.minute):
                return
        _deny(rule, "", f"allows calls at these times only: {'; '.join(map(str, rule.hours))}")

    def _first(self, rules: Sequence[Rule], alias: Alias, caller: Caller, routes: Routes, decided: Decided) -> Alias:
        """Return the first alias that the rules allow. Raises the denial of the one that the key comes with."""
        try:
            return self._narrowed(rules, alias, decided)
        except _Denied as denied:
            allowed = allowed_models(caller, routes)
            for other in routes.aliases:
                if other.kind == alias.kind and other.name in allowed and other is not alias:
                    try:
                        return self._narrowed(rules, other, decided)
                    except _Denied:
                        continue
            raise denied from None

    def _narrowed(self, rules: Sequence[Rule], alias: Alias, decided: Decided) -> Alias:
        """Return the alias with the targets that every rule allows, within their bounds."""
        targets, dropped = alias.targets, list[tuple[str, str]]()
        for rule in rules:
            if rule.models is not None and alias.name not in rule.models:
                _deny(rule, "model", f"does not allow the model {alias.name!r}; it allows {', '.join(rule.models) or 'none'}")
            left = tuple(target for target in targets if self.allows(rule, target))
            if not left:
                _deny(rule, "model", f"allows no target of {alias.name!r}, for {_why(rule)}")
            dropped += [(rule.label, target.name) for target in targets if target not in left]
            targets = left
        for name, target in dropped:
            decided(name, f"dropped {target}")
        bounded = tuple(_bounded(rules, target) for target in targets)
        return alias if bounded == alias.targets else msgspec.structs.replace(alias, targets=bounded)

    def allows(self, rule: Rule, target: Target) -> bool:
        """Whether a request may go to a target, for all that this rule says."""
        if rule.regions is not None and not (target.regions and self._elsewhere.union(target.regions).issubset(rule.regions)):
            return False
        if rule.temperature_min is not None and target.temperature_max < rule.temperature_min:
            return False
        return rule.prompt_caching or not self._always_caches(target)

    def _always_caches(self, target: Target) -> bool:
        """Whether a target's prompt cache cannot be switched off. Nova's works without cache points, too.

        https://docs.aws.amazon.com/bedrock/latest/userguide/prompt-caching.html
        """
        return is_nova(target) if target.provider == BEDROCK else target.provider in self._caching


class _Denied(Exception):
    """A rule refuses the request: its label, what is logged, and the error of the caller."""

    def __init__(self, rule: str, decision: str, error: GatewayError) -> None:
        super().__init__(rule)
        self.rule = rule
        self.decision = decision
        self.error = error


def _deny(rule: Rule, field: str, reason: str) -> NoReturn:
    error = errors.denied_by_rule(rule=rule.name, reason=reason, param=field or None)
    raise _Denied(rule.label, f"refused {field or 'the hour'}", error)


def _nobody(rule: str, decision: str) -> None:
    """Nobody is told."""


def _why(rule: Rule) -> str:
    reasons: list[str] = []
    if rule.regions is not None:
        reasons.append(f"data may go to {', '.join(rule.regions) or 'no Region'} only")
    if not rule.prompt_caching:
        reasons.append("no prompt cache may keep prompts")
    if rule.temperature_min is not None:
        reasons.append(f"temperature is at least {rule.temperature_min:g}")
    return " and ".join(reasons)


# The bounds of a request.


def _check(rule: Rule, request: ChatRequest) -> None:
    """Refuse what the rule does not allow of a request."""
    if request.stream and not rule.streams:
        _deny(rule, "stream", "allows no streams; ask for a complete answer, such as with POST /chat")
    if rule.tools is not None:
        called = (call.name for message in request.messages for call in message.tool_calls)
        for name in (*(tool.name for tool in request.tools), *called):
            if name not in rule.tools:
                allowed = ", ".join(rule.tools) or "none"
                _deny(
                    rule, "tools", f"does not allow the tool {clipped(name)!r}, offered or called before; it allows {allowed}"
                )
    if rule.out_of_bounds == "refuse":
        for field, value, bounded in _out_of_bounds(rule, request.sampling):
            bound = "at most" if bounded < value else "at least"
            name = request.name(field)
            _deny(rule, name, f"allows {name} of {bound} {bounded:g}, not {value:g}")


def _out_of_bounds(rule: Rule, given: Sampling) -> Iterator[tuple[str, float, float]]:
    """Yield each parameter that the caller gave out of the rule's bounds, with its value and the bound."""
    if rule.max_tokens is not None and given.max_tokens is not None and given.max_tokens > rule.max_tokens:
        yield "max_tokens", given.max_tokens, rule.max_tokens
    if given.temperature is not None and (bounded := _clamped(rule, given.temperature)) != given.temperature:
        yield "temperature", given.temperature, bounded


def _clamped(rule: Rule, temperature: float) -> float:
    if rule.temperature_min is not None and temperature < rule.temperature_min:
        return rule.temperature_min
    if rule.temperature_max is not None and temperature > rule.temperature_max:
        return rule.temperature_max
    return temperature


def _within(rules: Sequence[Rule], request: ChatRequest, decided: Decided) -> ChatRequest:
    """Return the request within the bounds, and without what asks for a prompt cache where none may be."""
    sampling, defaults = request.sampling, request.defaults
    for rule in rules:
        for field, value, bounded in _out_of_bounds(rule, sampling):
            decided(rule.label, f"{field} {value:g} to {bounded:g}")
            # Elsewhere the target's own bound lowers it, and a budget of thinking with it.
            if field != "max_tokens" or request.exact:
                sampling = msgspec.structs.replace(sampling, **{field: bounded})
        if sampling.temperature is None:
            # A model that is sent none takes its own, which is 1 with most.
            own = NEUTRAL if defaults.temperature is None else defaults.temperature
            if (bounded := _clamped(rule, own)) != own:
                defaults = msgspec.structs.replace(defaults, temperature=bounded)
    chosen = defaults.temperature if sampling.temperature is None else sampling.temperature
    for rule in rules:
        if chosen is not None and _clamped(rule, chosen) != chosen:
            _deny(rule, "temperature", "and another one allow no temperature together")
    request = msgspec.structs.replace(request, sampling=sampling, defaults=defaults)
    uncached = [rule.label for rule in rules if not rule.prompt_caching]
    if uncached and _asks_for_cache(request):
        decided(uncached[0], "prompt_caching off")
        return _without_cache(request)
    return request


def _asks_for_cache(request: ChatRequest) -> bool:
    marked = (request.cache_system, *(each.cache for each in (*request.tools, *request.messages)))
    return any(marked) or any(name in request.hints for name in _CACHE_HINTS)


def _without_cache(request: ChatRequest) -> ChatRequest:
    return msgspec.structs.replace(
        request,
        cache_system=False,
        tools=tuple(msgspec.structs.replace(tool, cache=False) for tool in request.tools),
        messages=tuple(msgspec.structs.replace(message, cache=False) for message in request.messages),
        hints={name: value for name, value in request.hints.items() if name not in _CACHE_HINTS},
    )


# The bounds of a target.


def _bounded(rules: Sequence[Rule], target: Target) -> Target:
    """Return the target with the bounds of the rules, which hold for what the caller leaves out, too."""
    for rule in rules:
        if rule.max_tokens is not None and rule.max_tokens < target.max_output_tokens:
            target = msgspec.structs.replace(target, max_output_tokens=rule.max_tokens)
        if rule.temperature_max is not None and rule.temperature_max < target.temperature_max:
            target = msgspec.structs.replace(target, temperature_max=rule.temperature_max)
        if target.cache_prompts and not rule.prompt_caching:
            target = msgspec.structs.replace(target, cache_prompts=False)
    return target
