"""WAF's web ACLs: the rules that the program writes itself. AWS's managed rule groups are not played.

https://docs.aws.amazon.com/waf/latest/developerguide/waf-rule-statements.html
"""

import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from aiohttp import web

from pulumi_llm_local.program.graph import Graph, Resource
from pulumi_llm_local.services.local_run import LocalRun

WEB_ACL = "aws:wafv2/webAcl:WebAcl"
ASSOCIATION = "aws:wafv2/webAclAssociation:WebAclAssociation"
PLAYED = frozenset({WEB_ACL, ASSOCIATION})
IMPLIED = frozenset[str]()

# "WAF checks the rate about every 10 seconds."
# https://docs.aws.amazon.com/waf/latest/APIReference/API_RateBasedStatement.html (EvaluationWindowSec)
CHECK_SECONDS = 10
_WINDOW_SECONDS = 300
_CONTENT_TYPES = {"APPLICATION_JSON": "application/json", "TEXT_HTML": "text/html", "TEXT_PLAIN": "text/plain"}
_POSITIONS: Mapping[str, Callable[[str, str], bool]] = {
    "EXACTLY": str.__eq__,
    "STARTS_WITH": str.startswith,
    "ENDS_WITH": str.endswith,
    "CONTAINS": str.__contains__,
}


async def start(run: LocalRun) -> None:
    """Make each web ACL. What it protects asks for it by `acl_of`."""
    for resource in run.graph.of_type(WEB_ACL):
        run.web_acls[str(resource.state["arn"])] = WebAcl(resource)


def not_played(graph: Graph) -> set[str]:
    """The rules that are passed over."""
    return {f"{WEB_ACL} ({what})" for acl in graph.of_type(WEB_ACL) for rule in _rules(acl) if (what := _unplayed(rule))}


def acl_of(run: LocalRun, resource_arn: str) -> "WebAcl | None":
    """The web ACL that is associated with a resource, such as a stage."""
    for association in run.graph.of_type(ASSOCIATION):
        if association.state["resourceArn"] == resource_arn:
            return run.web_acls.get(str(association.state["webAclArn"]))
    return None


@dataclass(frozen=True)
class Blocked:
    """A request that is blocked. Without `response`, what the web ACL protects answers 403 in its own words."""

    response: web.Response | None


class WebAcl:
    """A web ACL with the counts of its rate-based rules. `clock` gives seconds."""

    def __init__(self, resource: Resource, clock: Callable[[], float] = time.monotonic) -> None:
        self._rules = [(rule, _Rate(rule, clock)) for rule in _rules(resource) if not _unplayed(rule)]
        self._default: dict[str, Any] = resource.state["defaultAction"]
        bodies: list[dict[str, Any]] = resource.state.get("customResponseBodies") or []
        self._bodies = {str(body["key"]): body for body in bodies}

    def inspect(self, request: web.Request) -> Blocked | None:
        """Apply the rules in the order of their priorities, until one allows or blocks the request."""
        for rule, rate in self._rules:
            statement: dict[str, Any] = rule["statement"]
            limited: dict[str, Any] | None = statement.get("rateBasedStatement")
            if rate.exceeded(request) if limited is not None else _matches(statement, request):
                action: dict[str, Any] = rule.get("action") or {}
                if "block" in action:
                    return self._block(action["block"])
                if "allow" in action:
                    return None
        return self._block(self._default["block"]) if "block" in self._default else None

    def _block(self, action: Mapping[str, Any]) -> Blocked:
        """https://docs.aws.amazon.com/waf/latest/developerguide/customizing-the-response-for-blocked-requests.html"""
        custom: dict[str, Any] | None = action.get("customResponse")
        if custom is None:
            return Blocked(None)
        body = self._bodies.get(str(custom.get("customResponseBodyKey")))
        headers: list[dict[str, str]] = custom.get("responseHeaders") or []
        response = web.Response(
            status=int(custom["responseCode"]),
            text=str(body["content"]) if body else None,
            content_type=_CONTENT_TYPES[str(body["contentType"])] if body else None,
            headers=[(header["name"], header["value"]) for header in headers],
        )
        return Blocked(response)


@dataclass
class _Rate:
    """What a rate-based rule has counted, by address: all requests that its scope-down statement matches, blocked ones too.

    The rate is looked at every ten seconds, as AWS does, so that what comes before is let through.
    """

    rule: Mapping[str, Any]
    clock: Callable[[], float]
    counts: deque[tuple[float, Counter[str]]] = field(default_factory=deque[tuple[float, Counter[str]]])
    limited: frozenset[str] = frozenset()

    def exceeded(self, request: web.Request) -> bool:
        statement: dict[str, Any] = self.rule["statement"]["rateBasedStatement"]
        scope: dict[str, Any] | None = statement.get("scopeDownStatement")
        if scope and not _matches(scope, request):
            return False
        now, address = self.clock(), request.remote or ""
        if not self.counts or now - self.counts[-1][0] >= CHECK_SECONDS:
            self._check(now, float(statement.get("evaluationWindowSec") or _WINDOW_SECONDS), float(statement["limit"]))
            self.counts.append((now, Counter()))
        self.counts[-1][1][address] += 1
        return address in self.limited

    def _check(self, now: float, window: float, limit: float) -> None:
        while self.counts and self.counts[0][0] < now - window:
            self.counts.popleft()
        total = sum((counter for _, counter in self.counts), Counter[str]())
        self.limited = frozenset(address for address, count in total.items() if count > limit)


def _rules(acl: Resource) -> Sequence[dict[str, Any]]:
    rules: list[dict[str, Any]] = acl.state.get("rules") or []
    return sorted(rules, key=lambda rule: int(rule["priority"]))


def _unplayed(rule: Mapping[str, Any]) -> str:
    """What is not played of a rule; empty where all is."""
    statement: dict[str, Any] = rule["statement"]
    if managed := statement.get("managedRuleGroupStatement"):
        return str(managed["name"])
    action: dict[str, Any] = rule.get("action") or {}
    if limited := statement.get("rateBasedStatement"):
        if limited["aggregateKeyType"] != "IP":
            return f"{rule['name']}: a rate by {limited['aggregateKeyType']}"
        statement = limited.get("scopeDownStatement") or {}
    kinds = _unplayed_statements(statement) + [kind for kind in action if kind not in ("allow", "block", "count")]
    return f"{rule['name']}: {', '.join(dict.fromkeys(kinds))}" if kinds else ""


def _unplayed_statements(statement: Mapping[str, Any]) -> list[str]:
    found: list[str] = []
    for kind, content in statement.items():
        if kind in ("andStatement", "orStatement"):
            found += [each for part in content["statements"] for each in _unplayed_statements(part)]
        elif kind == "notStatement":
            found += [each for part in _parts(content) for each in _unplayed_statements(part)]
        elif kind != "byteMatchStatement" or not _played_match(content):
            found.append(kind)
    return found


def _parts(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The statement of a `notStatement`, which the provider has as a list or as one."""
    given: Any = content.get("statement") or content.get("statements") or []
    return cast("list[dict[str, Any]]", given if isinstance(given, list) else [given])


def _played_match(content: Mapping[str, Any]) -> bool:
    transformations: list[dict[str, Any]] = content.get("textTransformations") or []
    field_: dict[str, Any] = content.get("fieldToMatch") or {}
    return (
        content["positionalConstraint"] in _POSITIONS
        and set(field_) <= {"singleHeader", "uriPath", "method"}
        and all(each["type"] in ("NONE", "LOWERCASE") for each in transformations)
    )


def _matches(statement: Mapping[str, Any], request: web.Request) -> bool:
    if "andStatement" in statement:
        return all(_matches(part, request) for part in statement["andStatement"]["statements"])
    if "orStatement" in statement:
        return any(_matches(part, request) for part in statement["orStatement"]["statements"])
    if "notStatement" in statement:
        return not any(_matches(part, request) for part in _parts(statement["notStatement"]))
    match: dict[str, Any] = statement["byteMatchStatement"]
    field_: dict[str, Any] = match["fieldToMatch"]
    values = [request.path] if "uriPath" in field_ else [request.method] if "method" in field_ else []
    if header := field_.get("singleHeader"):
        values = list(request.headers.getall(str(header["name"]), []))
    if any(each["type"] == "LOWERCASE" for each in match["textTransformations"]):
        values = [value.lower() for value in values]
    position = _POSITIONS[str(match["positionalConstraint"])]
    return any(position(value, str(match["searchString"])) for value in values)
