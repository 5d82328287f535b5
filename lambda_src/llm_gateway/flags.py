"""The feature flags: the document by which a running deployment is changed without another one.

AppConfig holds it. `document_type` says which documents a deployment accepts: it names the deployment's own aliases, targets
and filters. The function reads documents by that type, and the validator of AppConfig is made from it
(`pulumi_llm.api_edge.flags`), so both accept the same. `llm_gateway.feature_flags` fetches and applies them.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, cast

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from llm_gateway.limits import CallerLimits, Limit, Limits, Measure, Window
from llm_gateway.routes import Alias, Routes
from llm_gateway.rules import AddedRule, OutOfBounds, Restrictions, Retention, Weekday, principal_of, time_zone
from llm_gateway.safety import Filter, GuardrailUse, Safety

# How much a check does, the least first.
Strength = Literal["off", "shadow", "mask", "block"]
_STRENGTHS: Sequence[Strength] = ("off", "shadow", "mask", "block")
# The filters that can mask what they find.
_MASKING = ("pii", "control_characters")

_Message = Annotated[str, Meta(max_length=500)]
_Seconds = Annotated[int, Meta(ge=1, le=86_400)]
_Weight = Annotated[int, Meta(ge=1, le=1_000_000)]
_Amount = Annotated[int, Meta(ge=1, le=10**15)]
_Usd = Annotated[float, Meta(ge=0.01, le=10**9)]
_Calls = Annotated[int, Meta(ge=1, le=200)]
# A caller or a tenant. In Python, "$" alone would let a line end pass.
_Name = Annotated[str, Meta(pattern=r"^[^\u0000-\u001f\u007f]{1,256}$(?!\n)")]
# Of rules.
_RuleName = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$(?!\n)")]
_TimeOfDay = Annotated[str, Meta(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$(?!\n)")]
_Temperature = Annotated[float, Meta(ge=0, le=2)]
_Tokens = Annotated[int, Meta(ge=1, le=10**9)]
_SOME = Meta(min_length=1)


class _Part(Struct, frozen=True, forbid_unknown_fields=True):
    """A part of the document. What it does not name stays as it is deployed."""


class Switch(_Part, frozen=True):
    """Whether calls are answered. Where they are not, the error has `message`, and `retry_after` in seconds."""

    enabled: bool = True
    message: _Message = ""
    retry_after: _Seconds = 300


class TargetSwitch(_Part, frozen=True):
    """A target of an alias: one that is not enabled is not asked."""

    enabled: bool = True


class TargetFlags(TargetSwitch, frozen=True):
    """A target of an alias with the strategy "weight": `weight` is its share."""

    weight: _Weight | UnsetType = UNSET


class ModelFlags(Switch, frozen=True):
    """An alias, and its targets by their names. One whose targets are all switched off is switched off."""

    targets: Mapping[str, TargetFlags] = {}


class SafetyFlags(_Part, frozen=True):
    """The modes of the filters of prompts by their names, and of the guardrail."""

    filters: Mapping[str, Strength] = {}
    guardrail: Strength | UnsetType = UNSET


class AmountsPerWindow(_Part, frozen=True):
    """The most that may be used in a minute, a day and a month."""

    minute: _Amount | UnsetType = UNSET
    day: _Amount | UnsetType = UNSET
    month: _Amount | UnsetType = UNSET


class UsdPerWindow(_Part, frozen=True):
    """The most US dollars that may be used in a minute, a day and a month."""

    minute: _Usd | UnsetType = UNSET
    day: _Usd | UnsetType = UNSET
    month: _Usd | UnsetType = UNSET


class ModelLimitFlags(_Part, frozen=True):
    """Limits of one alias, as the settings have them."""

    requests: AmountsPerWindow | UnsetType = UNSET
    tokens: AmountsPerWindow | UnsetType = UNSET
    usd: UsdPerWindow | UnsetType = UNSET

    def limits(self, model: str) -> Iterator[Limit]:
        """Yield each limit. Money is counted in micro-dollars."""
        measures: tuple[tuple[Measure, AmountsPerWindow | UsdPerWindow | UnsetType, int], ...] = (
            ("requests", self.requests, 1),
            ("tokens", self.tokens, 1),
            ("micro_usd", self.usd, 1_000_000),
        )
        for measure, amounts, factor in measures:
            if amounts is not UNSET:
                for window, most in msgspec.structs.asdict(cast(Struct, amounts)).items():
                    if most is not UNSET:
                        yield Limit(measure, cast(Window, window), round(most * factor), model)


class LimitFlags(ModelLimitFlags, frozen=True):
    """Limits, and those of single aliases within them."""

    calls_in_flight: _Calls | UnsetType = UNSET
    models: Mapping[str, ModelLimitFlags] = {}

    def over(self, deployed: Limits) -> Limits:
        """Return the limits with these in the place of those of the same measure, window and alias."""
        limits = {(each.measure, each.window, each.model): each for each in deployed.counted}
        for each in self.limits(""):
            limits[each.measure, each.window, each.model] = each
        for model, flags in self.models.items():
            limits |= {(each.measure, each.window, each.model): each for each in flags.limits(model)}
        calls = deployed.calls_in_flight if self.calls_in_flight is UNSET else self.calls_in_flight
        return Limits(tuple(limits.values()), calls)


class CallerLimitFlags(_Part, frozen=True):
    """The limits of API keys and other callers by their names, of each caller without limits of its own, and of tenants."""

    keys: Mapping[str, LimitFlags] = {}
    others: LimitFlags | UnsetType = UNSET
    tenants: Mapping[str, LimitFlags] = {}


class CacheFlags(_Part, frozen=True):
    """The cache of answers: where it is not enabled, none is looked for, and none is kept."""

    enabled: bool = True


class Document(_Part, frozen=True):
    """The feature flags.

    `safety` makes checks stricter, at least as strict as it says. Only `weaker_safety` makes any weaker, at most as strict as
    it says; where both name one, `safety` wins. `rules`, by their names, are added to the deployed ones: of all, each holds.
    """

    service: Switch = Switch()
    models: Mapping[str, ModelFlags] = {}
    safety: SafetyFlags = SafetyFlags()
    weaker_safety: SafetyFlags = SafetyFlags()
    cache: CacheFlags = CacheFlags()
    limits: CallerLimitFlags = CallerLimitFlags()
    rules: Mapping[str, Restrictions] = {}


def document_type(routes: Routes) -> type[Struct]:
    """Return the type of the documents that a deployment with these routes accepts. What it has not cannot be named."""
    fields: dict[str, Any] = {
        "service": Switch,
        "models": _struct("Models", {alias.name: _model_type(f"Model{n}", alias) for n, alias in enumerate(routes.aliases)}),
    }
    if routes.safety is not None:
        fields["safety"] = _safety_type("Safety", routes.safety, _STRENGTHS[1:])
        fields["weaker_safety"] = _safety_type("WeakerSafety", routes.safety, _STRENGTHS[:-1])
    if routes.cache is not None:
        fields["cache"] = CacheFlags
    if routes.limits is not None:
        fields["limits"] = _limits_type(routes, money=routes.limits.has_money)
    fields["rules"] = Mapping[_RuleName, _rule_type(*_names_in_rules(routes))]
    return _struct("Flags", fields)


def _model_type(name: str, alias: Alias) -> type[Struct]:
    target = TargetFlags if alias.strategy == "weight" else TargetSwitch
    targets = _struct(f"{name}Targets", {each.name: target for each in alias.targets})
    return _struct(name, {"enabled": bool, "message": _Message, "retry_after": _Seconds, "targets": targets})


def _safety_type(name: str, safety: Safety, strengths: Sequence[Strength]) -> type[Struct]:
    filters: dict[str, Any] = {}
    for each in safety.filters:
        known = [strength for strength in strengths if strength != "mask" or each.name in _MASKING]
        filters[each.name] = Literal[tuple(known)]
    fields: dict[str, Any] = {"filters": _struct(f"{name}Filters", filters)}
    if safety.guardrail is not None:
        fields["guardrail"] = Literal[tuple(strength for strength in strengths if strength != "mask")]
    return _struct(name, fields)


def _limits_type(routes: Routes, *, money: bool) -> type[Struct]:
    of_model: dict[str, Any] = {
        "requests": AmountsPerWindow,
        "tokens": AmountsPerWindow,
        **({"usd": UsdPerWindow} if money else {}),
    }
    model = _struct("ModelLimits", of_model)
    models = _struct("LimitsOfModels", dict.fromkeys(routes.names(), model))
    limits = _struct("Limits", {**of_model, "calls_in_flight": _Calls, "models": models})
    by_name = Mapping[_Name, limits]
    return _struct("CallerLimits", {"keys": by_name, "others": limits, "tenants": by_name})


def _names_in_rules(routes: Routes) -> tuple[Any, Any, Any]:
    """Return the types of the aliases, places and time zones that a rule may name: those of the deployment."""
    places = {region for alias in routes.aliases for target in alias.targets for region in target.regions}
    if routes.safety is not None and routes.safety.guardrail is not None:
        places.update(routes.safety.guardrail.regions)
    zones = {hours.time_zone for rule in routes.rules for hours in rule.hours or ()}
    return (
        Literal[tuple(routes.names())],
        Literal[tuple(sorted(places))] if places else None,
        Literal[tuple(sorted({"UTC", *zones}))],
    )


def _rule_type(model: Any, place: Any, zone: Any) -> type[Struct]:
    """Return the type of a rule that names these aliases, places, if any are known, and time zones."""
    hours: dict[str, Any] = {
        "start": _TimeOfDay,
        "end": _TimeOfDay,
        "weekdays": Annotated[tuple[Weekday, ...], _SOME],
        "time_zone": zone,
    }
    names = Annotated[tuple[_Name, ...], _SOME]
    fields: dict[str, Any] = {
        "keys": names,
        "tenants": names,
        "models": Annotated[tuple[model, ...], _SOME],
        **({} if place is None else {"regions": Annotated[tuple[place, ...], _SOME]}),
        "hours": Annotated[tuple[_struct("Hours", hours), ...], _SOME],
        "tools": tuple[_Name, ...],
        "max_tokens": _Tokens,
        "temperature_min": _Temperature,
        "temperature_max": _Temperature,
        "out_of_bounds": OutOfBounds,
        "streams": bool,
        "prompt_caching": bool,
        "retention": Retention,
    }
    return _struct("Rule", fields)


def _struct(name: str, fields: Mapping[str, Any]) -> type[Struct]:
    """Return a type whose fields may be left out, and have any names but those that JSON would escape: no type has such."""
    known = [field for field in fields if field.isprintable() and not {'"', "\\"} & set(field)]
    names = {f"field_{number}": field for number, field in enumerate(known)}
    described = [(name, fields[field] | UnsetType, UNSET) for name, field in names.items()]
    return msgspec.defstruct(name, described, rename=names, frozen=True, forbid_unknown_fields=True)


class _Service(Struct, frozen=True):
    """The kill switch, which every document may have, whatever is deployed."""

    service: Switch = Switch()


class _Rules(Struct, frozen=True):
    """The rules, which every document may have, too."""

    rules: Mapping[str, Restrictions] = {}


def service_off(content: bytes) -> Switch | None:
    """Return the kill switch of a document that is refused, if it can be read and is off."""
    try:
        switch = msgspec.json.decode(content, type=_Service).service
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return None if switch.enabled else switch


def rules_alone(content: bytes) -> list[AddedRule]:
    """Return the rules of a document that is refused, whatever is deployed, if they can be read and this machine has their time
    zones. They only restrict: one that names what there is not allows less.
    """
    accepted = msgspec.defstruct("Rules", [("rules", Mapping[_RuleName, _rule_type(_Name, _Name, _Name)], {})])
    try:
        msgspec.json.decode(content, type=accepted)
        found = rules_of(msgspec.json.decode(content, type=_Rules).rules)
        for zone in {hours.time_zone for rule in found for hours in rule.hours or ()}:
            time_zone(zone)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, KeyError, ValueError, OSError):
        return []
    return found


def parse(content: bytes, accepted: type[Struct]) -> Document:
    """Return the document, if it is of the type that is accepted. Raises `msgspec.DecodeError`."""
    msgspec.json.decode(content, type=accepted)
    return msgspec.json.decode(content, type=Document)


# What a document makes of what is deployed.


def rules_of(flags: Mapping[str, Restrictions]) -> list[AddedRule]:
    """Return the rules of a document. A role's name stands for all its sessions, as in the settings."""
    found: list[AddedRule] = []
    for name, each in flags.items():
        given = {field: getattr(each, field) for field in each.__struct_fields__}
        if each.keys is not None:
            given["keys"] = tuple(map(principal_of, each.keys))
        found.append(AddedRule(name, **given))
    return found


def alias_of(alias: Alias, flags: ModelFlags) -> Alias:
    """Return the alias with the targets that are enabled, and their weights; if none is enabled, it is as it was."""
    targets = tuple(
        target if found.weight is UNSET else msgspec.structs.replace(target, weight=found.weight)
        for target in alias.targets
        if (found := flags.targets.get(target.name, TargetFlags())).enabled
    )
    return msgspec.structs.replace(alias, targets=targets) if targets else alias


def switch_of(alias: Alias, flags: ModelFlags) -> Switch | None:
    """Return the switch by which an alias is off, None if it is on."""
    on = any(flags.targets.get(target.name, TargetFlags()).enabled for target in alias.targets)
    return None if flags.enabled and on else flags


def limits_of(limits: CallerLimits, flags: CallerLimitFlags) -> CallerLimits:
    """Return the limits with those of the flags over them. Who has none of its own by name has those of the others."""
    others = limits.others if flags.others is UNSET else flags.others.over(limits.others)
    keys = {name: each.over(limits.keys.get(name, others)) for name, each in flags.keys.items()}
    tenants = {name: each.over(limits.of_tenant(name)) for name, each in flags.tenants.items()}
    return CallerLimits({**limits.keys, **keys}, others, {**limits.tenants, **tenants})


def safety_of(safety: Safety, document: Document) -> Safety | None:
    """Return the checks that are on, None if there are none."""
    stricter, weaker = document.safety, document.weaker_safety
    filters: list[Filter] = []
    for each in safety.filters:
        strength = _strength(each.mode, stricter.filters.get(each.name, UNSET), weaker.filters.get(each.name, UNSET))
        filters += [] if strength == "off" else [msgspec.structs.replace(each, mode=strength)]
    guardrail = None if safety.guardrail is None else _guardrail_of(safety.guardrail, stricter.guardrail, weaker.guardrail)
    return Safety(tuple(filters), guardrail) if filters or guardrail else None


def _guardrail_of(use: GuardrailUse, at_least: Strength | UnsetType, at_most: Strength | UnsetType) -> GuardrailUse | None:
    strength = _strength("shadow" if use.shadow else "block", at_least, at_most)
    return None if strength == "off" else msgspec.structs.replace(use, shadow=strength == "shadow")


def _strength(deployed: Strength, at_least: Strength | UnsetType, at_most: Strength | UnsetType) -> Strength:
    index = _STRENGTHS.index(deployed)
    if at_most is not UNSET:
        index = min(index, _STRENGTHS.index(at_most))
    if at_least is not UNSET:
        index = max(index, _STRENGTHS.index(at_least))
    return _STRENGTHS[index]
