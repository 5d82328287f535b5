"""The rules of callers: as settings, and as the functions read them."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import chain
from typing import Annotated, Any, cast

import pulumi_aws
from pydantic import Field

from llm_gateway import rules as document
from llm_gateway.identity.caller import Caller
from llm_gateway.providers.registry import always_caching
from llm_gateway.routes import Routes
from llm_gateway.rules import OutOfBounds, Retention, Rule, Weekday, principal_of
from llm_gateway.stages.policy import Policy
from pulumi_llm.api_edge.limits import Tenant
from pulumi_llm.base.settings import (
    Between,
    Count,
    DataRegion,
    Flag,
    Name,
    Number,
    Problem,
    Settings,
    form,
    hint,
    valid_items,
)
from pulumi_llm.base.time_settings import TimeOfDay, TimeZone

# The name of an API key, the subject of a token, or the ARN of an AWS identity.
_Key = Annotated[str, form(r"[^\x00-\x1f\x7f]{1,2048}", "a caller: a key's name, a token's subject, or an AWS identity's ARN")]
_ToolName = Annotated[str, form(r"[^\x00-\x20\x7f]{1,128}", "a tool's name, without white space")]
# What API Gateway says of who has signed, without the session.
_IDENTITY = re.compile(r"arn:aws[a-z-]*:(iam::\d{12}:(user/.+|root)|sts::\d{12}:(assumed-role/[\w+=,.@-]+|federated-user))")


class HoursSettings(Settings):
    """A part of the day."""

    start: TimeOfDay = "00:00"
    """From when on, in hours and minutes."""
    end: TimeOfDay = "00:00"
    """Until when; where it is not after `start`, on the next day."""
    weekdays: Annotated[tuple[Weekday, ...], Field(min_length=1)] = document.WEEKDAYS
    """The days on which it starts. Default: every day."""
    time_zone: TimeZone = "UTC"
    """The time zone, by the name of the IANA's database."""

    def document(self) -> document.Hours:
        return document.Hours(self.start, self.end, tuple(dict.fromkeys(self.weekdays)), self.time_zone)


class RuleSettings(Settings):
    """A restriction of some callers. It never allows anything: of all rules that are for a caller, each holds."""

    name: Name
    """What answers and logs call it."""
    keys: Annotated[tuple[_Key, ...], Field(min_length=1)] | None = None
    """The callers that it is for: names of API keys, subjects of tokens, or ARNs of AWS users and roles, with all sessions of a
    role. With `tenants`, those of these keys that are of these tenants. Default: every caller."""
    tenants: Annotated[tuple[Tenant, ...], Field(min_length=1)] | None = None
    """The tenants whose callers it is for: those of the keys, the values of a token's `tenant_claim`, or numbers of AWS
    accounts. Default: every tenant."""
    models: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    """The aliases that they may use. Default: all that the key allows."""
    regions: Annotated[tuple[DataRegion, ...], Field(min_length=1)] | None = None
    """Where their data may go: the API's Region, those where a model of Bedrock's may run (several for a cross-Region inference
    profile, any for a global one), and the `regions` of providers. A target that may take it elsewhere, or of which nobody
    knows, is not asked, not as a fallback either. Default: anywhere."""
    hours: Annotated[tuple[HoursSettings, ...], Field(min_length=1)] | None = None
    """When they may call, in any of these parts of the day. Default: always."""
    tools: tuple[_ToolName, ...] | None = None
    """The names of the tools that they may offer to a model, Anthropic's own among them; an empty list: none. Default: any."""
    max_tokens: Annotated[Count, Between(1)] | None = None
    """The most tokens that an answer may have. Default: the model's own bound."""
    temperature_min: Annotated[Number, Between(0, 2)] | None = None
    """The lowest temperature. Default: 0."""
    temperature_max: Annotated[Number, Between(0, 2)] | None = None
    """The highest temperature. Default: the model's own bound."""
    out_of_bounds: OutOfBounds = "refuse"
    """What becomes of a caller's max_tokens or temperature that is out of the bounds: "refuse" the request, or "clamp" the
    value to the bound."""
    streams: Flag = True
    """Whether answers may be streamed. Over a WebSocket, all are."""
    prompt_caching: Flag = True
    """Whether a provider may keep parts of their prompts in its prompt cache. With false, no request asks for it, and a target
    that does it by itself is not asked: those of OpenAI-compatible providers, and Amazon's Nova."""
    retention: Retention | None = None
    """"none": nothing that they ask and are answered is kept: not in the cache of answers, not for an Idempotency-Key, which is
    refused, not for a WebSocket that resumes after the answer's end, and not in traces. Default: what is switched on keeps
    answers for its time."""

    def problems(self) -> Iterator[Problem]:
        low, high = self.temperature_min, self.temperature_max
        if low is not None and high is not None and low > high:
            yield Problem("temperature_min", f"must be at most temperature_max, which is {high:g}, not {low:g}")
        if not self.model_fields_set - {"name", "keys", "tenants", "out_of_bounds"}:
            yield Problem("name", "is that of a rule which restricts nothing; say what its callers may do, or leave it out")
        if self.given("out_of_bounds") and not any(map(self.given, ("max_tokens", "temperature_min", "temperature_max"))):
            yield Problem("out_of_bounds", "is for max_tokens and temperature, and this rule bounds neither; leave it out")

    def document(self) -> Rule:
        """The rule as the functions read it."""
        # The document's bytes do not depend on how a number was written.
        bounds = {name: getattr(self, name) for name in ("temperature_min", "temperature_max")}
        return Rule(
            name=self.name,
            keys=None if self.keys is None else tuple(map(principal_of, self.keys)),
            hours=None if self.hours is None else tuple(hours.document() for hours in self.hours),
            **{name: None if value is None else float(value) for name, value in bounds.items()},
            **{name: getattr(self, name) for name in ("tenants", "models", "regions", "tools", "max_tokens")},
            **{name: getattr(self, name) for name in ("out_of_bounds", "streams", "prompt_caching", "retention")},
        )

    @property
    def is_valid(self) -> bool:
        """Whether nothing in it is wrong by itself."""
        return self.valid("name") and _is_whole(self)


def _is_whole(value: Any) -> bool:
    """Whether nothing in a setting is wrong: what is wrong is None."""
    if isinstance(value, Settings):
        return all(_is_whole(getattr(value, name)) for name in value.model_fields_set)
    return all(map(_is_whole, cast("tuple[Any, ...]", value))) if isinstance(value, tuple) else value is not None


class CallerRuleSettings(Settings):
    """The rules of callers."""

    rules: tuple[RuleSettings, ...] = ()
    """What callers may ask for, and where their data may go. A request that a rule does not allow is answered 403
    `denied_by_rule`, with the rule's name. Default: none."""

    def rule_documents(self) -> list[Rule]:
        """The rules as the functions read them; those that are wrong are left out."""
        return [rule.document() for _, rule in valid_items(self.rules) if rule.is_valid]

    def rule_problems(self, auth: str, keys: Sequence[Caller] | None, aliases: Sequence[str]) -> Iterator[Problem]:
        """Yield what is wrong between the rules, and the callers and aliases that there are.

        Args:
            auth: Who may call.
            keys: The callers that have an API key; None: others may call, or they are not known here.
            aliases: The aliases' names.
        """
        tenants = sorted({key.tenant for key in keys or ()})
        names: set[str] = set()
        for index, rule in valid_items(self.rules):
            path = f"rules[{index}]"
            if rule.name in names:
                yield Problem(f"{path}.name", f"{rule.name!r} is there already; every rule needs a name of its own")
            names |= {rule.name} if rule.valid("name") else set()
            for name in ("keys", "tenants"):
                if auth == "none" and rule.given(name):
                    yield Problem(f"{path}.{name}", "tells nobody apart with auth 'none'; leave it out")
            for place, key in valid_items(rule.keys):
                if reason := _key_reason(key, auth, keys):
                    yield Problem(f"{path}.keys[{place}]", reason)
            for place, tenant in valid_items(rule.tenants):
                if keys is not None and tenant not in tenants:
                    yield Problem(f"{path}.tenants[{place}]", f"{tenant!r} is no tenant of a key; {hint(tenant, tenants)}")
                if auth == "iam" and re.fullmatch(r"\d{12}", tenant) is None:
                    yield Problem(f"{path}.tenants[{place}]", f"{tenant!r} is not the number of an AWS account: 12 digits")
            for place, model in valid_items(rule.models):
                if aliases and model not in aliases:
                    reason = f"{model!r} is not among the models; choose of {', '.join(sorted(set(aliases)))}"
                    yield Problem(f"{path}.models[{place}]", reason)
            named = [key for key in keys or () if rule.keys is not None and key.key in rule.keys]
            of_tenants = [key for key in keys or () if rule.tenants is not None and key.tenant in rule.tenants]
            if named and of_tenants and not any(key in of_tenants for key in named):
                yield Problem(f"{path}.tenants", "are those of none of its keys; the rule would be for nobody")

    def logged_retention_problems(self) -> Iterator[Problem]:
        """Yield which rules say that nothing is kept, where Bedrock's log of invocations keeps everything."""
        for index, rule in valid_items(self.rules):
            if rule.retention == "none":
                reason = (
                    "'none' cannot hold beside account_baseline.bedrock_invocation_logs, which keep the prompts and answers of "
                    "every call of Bedrock in the Region; leave one of them out"
                )
                yield Problem(f"rules[{index}].retention", reason)

    def rule_target_problems(
        self, routes: Routes, region: str, keys: Sequence[Caller] | None, guardrail_regions: Collection[str]
    ) -> Iterator[Problem]:
        """Yield which Regions there are not, for which callers nothing is left of an alias, and where a guardrail takes data.

        Args:
            routes: The aliases with their targets.
            region: Where the API is.
            keys: The callers that have an API key; None: others may call, too.
            guardrail_regions: Where else a guardrail may evaluate prompts and answers.
        """
        targets = [target for alias in routes.aliases for target in alias.targets]
        places = {region, *(place.value for place in pulumi_aws.Region), *chain(*(target.regions for target in targets))}
        for index, rule in valid_items(self.rules):
            for at, place in valid_items(rule.regions):
                if place not in places:
                    reason = f"{place!r} is no Region of AWS's, and no place of a provider's; {hint(place, sorted(places))}"
                    yield Problem(f"rules[{index}].regions[{at}]", reason)
            outside = sorted(set(guardrail_regions).difference(rule.regions or ()))
            if outside and rule.regions is not None and rule.valid("regions"):
                reason = (
                    f"leave out {', '.join(outside)}, where the guardrail may evaluate prompts and answers "
                    "(safety.guardrail.cross_region); allow them, or switch that off"
                )
                yield Problem(f"rules[{index}].regions", reason)
        paths = {rule.name: f"rules[{index}]" for index, rule in valid_items(self.rules)}
        rules = self.rule_documents()
        policy = Policy(rules, always_caching(routes.endpoints))
        reported: set[tuple[str, str]] = set()
        for whose, models, together in _callers(rules, keys):
            for problem, alias in _left_nothing(policy, together, routes, models, whose, paths):
                if (problem.path, alias) not in reported:
                    reported.add((problem.path, alias))
                    yield problem


def _callers(rules: Sequence[Rule], keys: Sequence[Caller] | None) -> Iterator[tuple[str, Sequence[str] | None, list[Rule]]]:
    """Yield each kind of caller: who it is, the aliases that its key allows, None: all, and the rules that are for it."""
    if keys is not None:
        for caller in keys:
            yield f"the key {caller.key!r}", caller.models, [rule for rule in rules if rule.is_for(caller.key, caller.tenant)]
        return
    general = [rule for rule in rules if rule.keys is None and rule.tenants is None]
    yield "every caller", None, general
    for rule in rules:
        if rule not in general:
            yield "its callers", None, [*general, rule]


def _left_nothing(
    policy: Policy, rules: Sequence[Rule], routes: Routes, models: Sequence[str] | None, whose: str, paths: Mapping[str, str]
) -> Iterator[tuple[Problem, str]]:
    """Yield of which aliases some rules leave nothing, as problems of the last rule that takes something away."""
    left = [alias for alias in routes.aliases if models is None or alias.name in models]
    for rule in rules:
        before, left = left, [alias for alias in left if rule.models is None or alias.name in rule.models]
        if before and not left:
            yield Problem(f"{paths[rule.name]}.models", f"{_together(rules, rule)} {whose} no model at all; allow one"), ""
    for alias in left:
        targets = list(alias.targets)
        for rule in rules:
            before, targets = targets, [target for target in targets if policy.allows(rule, target)]
            if before and not targets:
                where = "; ".join(
                    f"{t.name}: {', '.join(t.regions) or 'nobody knows where, or anywhere'}" for t in alias.targets
                )
                reason = f"{_together(rules, rule)} {whose} no target of {alias.name!r} ({where}); allow one, or give models"
                yield Problem(paths[rule.name], f"{reason} without the alias"), alias.name


def _together(rules: Sequence[Rule], last: Rule) -> str:
    others = [repr(rule.name) for rule in rules if rule is not last]
    return f"leaves, with {' and '.join(others)}," if others else "leaves"


def _key_reason(key: str, auth: str, keys: Sequence[Caller] | None) -> str:
    """Return what is wrong with the name of a caller; nothing if it may be one."""
    if keys is not None and key not in (names := [known.key for known in keys]):
        return f"{key!r} is not among the keys; {hint(key, names)}"
    if auth == "iam" and _IDENTITY.fullmatch(principal_of(key)) is None:
        return f"{key!r} is no AWS identity's ARN, such as arn:aws:iam::ACCOUNT:role/NAME or arn:aws:iam::ACCOUNT:user/NAME"
    return ""
