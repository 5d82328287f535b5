"""The rules as a CrossGuard policy pack: levels, settings, unknown values, and remediation."""

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, cast

from pulumi_policy import (
    EnforcementLevel,
    Policy,
    PolicyConfigSchema,
    PolicyPack,
    PolicyResource,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    StackValidationArgs,
    StackValidationPolicy,
)
from pulumi_policy import Severity as PackSeverity
from pulumi_policy.proxy import UNKNOWN_STRING_VALUE, UnknownValueError, _is_unknown  # pyright: ignore[reportPrivateUsage]

from llm_policies import actions
from llm_policies.rule import Resource, Rule, judge, judge_stack
from llm_policies.rules import RULES
from llm_policies.values import UNKNOWN, Value

NAME: Final = "pulumi-llm"
_TOLD_WITH_EVERY_RULE: Final = {
    "reason": {"type": "string", "description": "Why this environment has another level or setting than the others."}
}
Report = Callable[..., None]


def serve() -> None:
    """Serve the pack to the engine. This call does not return."""
    # While the program starts: the list of actions takes 0.1 s to read.
    threading.Thread(target=actions.find, args=("s3:GetObject",), daemon=True).start()
    PolicyPack(NAME, policies(RULES))


def policies(rules: Sequence[Rule]) -> list[Policy]:
    """Turn rules into policies, for this pack or for your own.

    Without a configuration, what is critical or high is mandatory, and the rest advisory.
    """
    return [_stack_policy(rule) if rule.check_stack else _resource_policy(rule, rules) for rule in rules]


class _NotVerifiedYet(UnknownValueError):
    """The exception that the engine reports as advisory, so that an unknown value does not stop a preview."""

    def __init__(self, message: str) -> None:
        super().__init__(UNKNOWN_STRING_VALUE, [])
        self.message = message


def _resource_policy(rule: Rule, rules: Sequence[Rule]) -> Policy:
    def validate(args: ResourceValidationArgs, report: Report) -> None:
        if not rule.looks_at(args.resource_type):
            return
        resource = Resource(args.resource_type, args.name, Value(plain(args.props)), args.urn)
        problems, not_verified = judge(rule, resource, _settings(args))
        for problem in problems:
            report(_told(problem, rule))
        if not_verified:
            blind = (r for r in rules if r is rule or judge(r, resource)[1] == not_verified)
            if next(blind) is rule:  # told once, by the first of them
                names = [rule.name, *(r.name for r in blind)]
                raise _NotVerifiedYet(_unseen(resource.name, not_verified, names))

    def remediate(args: ResourceValidationArgs) -> Mapping[str, Any] | None:
        if rule.mend is None or not rule.looks_at(args.resource_type):
            return None
        return rule.mend(
            Resource(args.resource_type, args.name, Value(plain(args.props)), args.urn), rule.settings_of(_settings(args))
        )

    kind: Any = ResourceValidationPolicy
    return kind(validate=validate, remediate=remediate if rule.mend else None, **_described(rule))


def _stack_policy(rule: Rule) -> Policy:
    def validate(args: StackValidationArgs, report: Report) -> None:
        resources = _resources([each for each in args.resources if not rule.types or rule.looks_at(each.resource_type)])
        problems, not_verified = judge_stack(rule, resources, _settings(args))
        for resource, problem in problems:
            report(_told(problem, rule), resource.urn if resource else None)
        if not_verified:
            raise _NotVerifiedYet(_unseen("the stack", not_verified, [rule.name]))

    kind: Any = StackValidationPolicy
    return kind(validate=validate, **_described(rule))


def _described(rule: Rule) -> dict[str, Any]:
    properties = {name: {**s.schema, "description": s.description} for name, s in rule.settings.items()}
    blocking = rule.severity in ("critical", "high")
    return {
        "name": rule.name,
        "description": rule.title,
        "enforcement_level": EnforcementLevel.MANDATORY if blocking else EnforcementLevel.ADVISORY,
        "config_schema": PolicyConfigSchema({**properties, **_TOLD_WITH_EVERY_RULE}),
        "severity": PackSeverity(rule.severity),
        "tags": list(rule.frameworks),
        "remediation_steps": rule.fix,
        "url": rule.url or None,
    }


def _told(problem: str, rule: Rule) -> str:
    return f"{problem.rstrip('.')}. {rule.fix.rstrip('.')}."


def _unseen(name: str, path: str, rules: Sequence[str]) -> str:
    return f"{name}: {path} is not known before `up`, which verifies it then. Not verified now: {', '.join(rules)}"


def _settings(args: Any) -> dict[str, Any]:
    config = cast("dict[str, Any]", plain(args.get_config()))
    return {name: value for name, value in config.items() if name != "reason"}


def _resources(given: Sequence[PolicyResource]) -> list[Resource]:
    """The stack's resources, each with the resources that its properties' values came from."""
    dependencies: dict[str, dict[str, list[Resource]]] = {each.urn: {} for each in given}
    made = {
        each.urn: Resource(
            each.resource_type, each.name, Value(plain(each.props), origin=each.name), each.urn, dependencies[each.urn]
        )
        for each in given
    }
    for each in given:
        for name, sources in each.property_dependencies.items():
            dependencies[each.urn][name] = [made[source.urn] for source in sources if source.urn in made]
    return list(made.values())


def plain(value: Any) -> Any:
    """Data with `UNKNOWN` for unknown values, instead of proxies that raise an error when they are read."""
    if isinstance(value, str):
        return UNKNOWN if _is_unknown(value) else value
    if isinstance(value, Mapping):
        inner = cast("Mapping[str, Any]", value if isinstance(value, dict) else value["__target"])
        return {key: plain(item) for key, item in inner.items()}
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        items = cast("Any", value)
        return [plain(item) for item in (items if isinstance(value, list) else items["__target"])]
    return value
