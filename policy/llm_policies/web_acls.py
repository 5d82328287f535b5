"""Web ACLs: whether one of their rules limits the rate of requests, and to a number that is a limit."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from llm_policies.rule import Resource, Setting, Settings
from llm_policies.stacks import came_from, of_type, refers
from llm_policies.values import NotVerified, State, Value, some

WEB_ACL: Final = "aws:wafv2/webAcl:WebAcl"
_RULE: Final = "aws:wafv2/webAclRule:WebAclRule"
_JOINED: Final = "aws:wafv2/webAclRuleGroupAssociation:WebAclRuleGroupAssociation"
_RULE_GROUP: Final = "aws:wafv2/ruleGroup:RuleGroup"
WEB_ACLS: Final = (WEB_ACL, _RULE, _JOINED, _RULE_GROUP)
"""The resource types that together say what a web ACL holds."""

LIMIT: Final[Mapping[str, Setting]] = {
    "acl_requests": Setting(
        30_000,
        {"type": "integer", "minimum": 10},
        "The most requests in five minutes that a rate-based rule may let through, by address: AWS takes 2,000,000,000.",
    )
}
"""The setting of every rule that asks whether a web ACL limits the rate."""

_CHOSEN_BY_THE_CALLER: Final = ("cookie", "header", "queryArgument", "queryString")


def limits_rate(acl: Resource, resources: Sequence[Resource], settings: Settings) -> bool:
    """Whether a web ACL has a rule that limits the rate of requests. Raises `NotVerified` if that is unknown."""

    def limits(rule: Resource) -> bool:
        if rule is acl:
            return _any_rate_rule(acl["rules"], acl["ruleJson"], acl, resources, settings)
        if not refers(rule, "webAclArn", acl, "arn"):
            return False
        if rule.type == _JOINED:
            return not rule["overrideAction"].equals("count") and _group_limits(
                rule["ruleGroupReference"], rule, resources, settings
            )
        return _is_rate_rule(rule.properties, rule, resources, settings)

    return some([acl, *of_type(resources, _RULE, _JOINED)], limits)


def _any_rate_rule(rules: Value, text: Value, holder: Resource, resources: Sequence[Resource], settings: Settings) -> bool:
    """Whether one of the rules, given as a list or as JSON text, limits the rate."""
    listed = [*rules.items(), *_from_json(text)]
    known = [rule for rule in listed if rule.state is State.KNOWN]
    ends = min((rule["priority"].number() for rule in known if _lets_all_pass(rule)), default=math.inf)

    def limits(rule: Value) -> bool:
        return rule["priority"].number() < ends and _is_rate_rule(rule, holder, resources, settings)

    return some(listed, limits)


def _is_rate_rule(rule: Value, holder: Resource, resources: Sequence[Resource], settings: Settings) -> bool:
    """Whether a rule limits the rate. A rule that only counts, or allows, does not. A group does if one of its rules does."""
    statement = rule["statement"]
    rate = statement["rateBasedStatement"]
    if not rate.missing:
        passes = any(not rule["action"][name].missing for name in ("count", "allow"))
        return not passes and _is_limit(rate, settings)
    if not rule["overrideAction"]["count"].missing:
        return False
    return _group_limits(statement["ruleGroupReferenceStatement"], holder, resources, settings)


def _is_limit(rate: Value, settings: Settings) -> bool:
    in_five_minutes = rate["limit"].number() * 300 / (rate["evaluationWindowSec"].number(300) or 300)
    if in_five_minutes > settings["acl_requests"]:
        return False
    if _is_for_few(rate["scopeDownStatement"]):
        return False
    # Who is counted by what he writes himself writes something else each time.
    return all(key[name].missing for key in rate["customKeys"].items() for name in _CHOSEN_BY_THE_CALLER)


def _is_for_few(scope: Value) -> bool:
    """Whether a rule counts only the requests to one path, or from some countries or addresses.

    One that leaves some out, or counts all paths that begin in some way, may be right.
    """
    if any(_is_for_few(part) for part in scope["andStatement"]["statements"].items()):
        return True
    path = scope["byteMatchStatement"]
    one_path = not path["fieldToMatch"]["uriPath"].missing and path["positionalConstraint"].equals("EXACTLY")
    return one_path or not scope["geoMatchStatement"].missing or not scope["ipSetReferenceStatement"].missing


def _lets_all_pass(rule: Value) -> bool:
    """Whether a rule is known to let every path pass, so that no later rule is asked."""
    path = rule["statement"]["byteMatchStatement"]
    try:
        return (
            not rule["action"]["allow"].missing
            and not path["fieldToMatch"]["uriPath"].missing
            and path["positionalConstraint"].equals("STARTS_WITH", "CONTAINS")
            and path["searchString"].equals("/", "")
        )
    except NotVerified:
        return False


def _group_limits(reference: Value, holder: Resource, resources: Sequence[Resource], settings: Settings) -> bool:
    group = reference["arn"]
    if group.missing:
        return False
    names = ("rules", "statement", "ruleGroupReference")
    held = [source for name in names for source in came_from(holder, name, _RULE_GROUP)]
    held += [other for other in of_type(resources, _RULE_GROUP) if other["arn"].data == group.data]
    if not held:  # a group of another stack: what it holds can't be seen
        raise NotVerified(group.path)
    return any(_any_rate_rule(other["rules"], other["rulesJson"], other, resources, settings) for other in held)


def _from_json(text: Value) -> list[Value]:
    """The rules of a JSON text, with keys as in Pulumi: `RateBasedStatement` becomes `rateBasedStatement`."""
    try:
        rules: Any = json.loads(text.text() or "[]")
    except ValueError:
        return []
    return Value(_camel(rules), text.path).items()


def _camel(data: Any) -> Any:
    if isinstance(data, Mapping):
        entries = cast("Mapping[str, Any]", data)
        renamed = {key[:1].lower() + key[1:]: _camel(value) for key, value in entries.items()}
        # The API gives a group's ARN as `ARN`, and an action without settings as an empty object, which is not missing.
        return {("arn" if key == "aRN" else key): value for key, value in renamed.items()}
    if isinstance(data, list):
        return [_camel(item) for item in cast("list[Any]", data)]
    return data
