"""Web ACLs: rules, rates, and what a blocked request is answered."""

import json
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from pulumi_llm_local.program.graph import Graph, Resource
from pulumi_llm_local.services import waf
from pulumi_llm_local.services.waf import CHECK_SECONDS, WebAcl

LIMITED = {
    "responseCode": 429.0,
    "customResponseBodyKey": "limited",
    "responseHeaders": [{"name": "retry-after", "value": "300"}],
}
BODY = {"key": "limited", "contentType": "APPLICATION_JSON", "content": '{"error": "slow down"}'}


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def rate(limit: int = 10, window: int = 60, **more: Any) -> dict[str, Any]:
    return {"rateBasedStatement": {"limit": limit, "aggregateKeyType": "IP", "evaluationWindowSec": window, **more}}


def match(header: str, value: str, position: str = "EXACTLY") -> dict[str, Any]:
    return {
        "byteMatchStatement": {
            "searchString": value,
            "fieldToMatch": {"singleHeader": {"name": header}},
            "positionalConstraint": position,
            "textTransformations": [{"priority": 0, "type": "NONE"}],
        }
    }


def rule(statement: dict[str, Any], action: dict[str, Any], priority: int = 0) -> dict[str, Any]:
    return {"name": f"rule-{priority}", "priority": float(priority), "statement": statement, "action": action}


def resource(*rules: dict[str, Any], default: str = "allow") -> Resource:
    state = {"arn": "arn", "rules": list(rules), "defaultAction": {default: {}}, "customResponseBodies": [BODY]}
    return Resource("urn", waf.WEB_ACL, "acl", "acl", {}, state)


def request(address: str = "192.0.2.1", **headers: str) -> web.Request:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return make_mocked_request("GET", "/api/chat", headers=given).clone(remote=address)


BLOCK: dict[str, Any] = {"block": {}}
CDN = match("x-cdn", "secret")


# Rules, a default action and a request's headers -> whether it is blocked.
RULES: dict[str, tuple[list[dict[str, Any]], str, dict[str, str], bool]] = {
    "no rule": ([], "allow", {}, False),
    "no rule, and a default that blocks": ([], "block", {}, True),
    "a match": ([rule(CDN, BLOCK)], "allow", {"x_cdn": "secret"}, True),
    "another value": ([rule(CDN, BLOCK)], "allow", {"x_cdn": "secret2"}, False),
    "no header": ([rule({"notStatement": {"statements": [CDN]}}, BLOCK)], "allow", {}, True),
    "a part of it": ([rule(match("x-cdn", "ecr", "CONTAINS"), BLOCK)], "allow", {"x_cdn": "secret"}, True),
    "a count goes on": ([rule(CDN, {"count": {}}), rule(CDN, BLOCK, 1)], "allow", {"x_cdn": "secret"}, True),
    "the first to decide": ([rule(CDN, BLOCK, 1), rule(CDN, {"allow": {}}, 0)], "block", {"x_cdn": "secret"}, False),
}


@pytest.mark.parametrize(("rules", "default", "headers", "blocked"), RULES.values(), ids=RULES)
def test_rules(rules: list[dict[str, Any]], default: str, headers: dict[str, str], *, blocked: bool) -> None:
    assert (WebAcl(resource(*rules, default=default)).inspect(request(**headers)) is not None) == blocked


def test_an_address_that_asks_too_often_is_blocked_until_it_does_not() -> None:
    clock = Clock()
    acl = WebAcl(resource(rule(rate(), {"block": {"customResponse": LIMITED}})), clock)

    def blocked(address: str = "192.0.2.1") -> bool:
        return acl.inspect(request(address)) is not None

    # AWS looks at the rate every ten seconds, so what comes before gets through.
    assert not any(blocked() for _ in range(11))
    clock.now += CHECK_SECONDS
    assert blocked()
    assert not blocked("192.0.2.2")
    response = acl.inspect(request())
    assert response is not None
    assert response.response is not None
    assert (response.response.status, response.response.headers["retry-after"]) == (429, "300")
    assert json.loads(response.response.text or "") == {"error": "slow down"}
    # A window of 60 seconds still holds them, and the next one does not.
    clock.now += 45
    assert blocked()
    clock.now += 61
    assert not blocked()


def test_a_rate_counts_what_its_scope_has() -> None:
    clock = Clock()
    scope = {"notStatement": {"statements": [CDN]}}
    acl = WebAcl(resource(rule(rate(scopeDownStatement=scope), BLOCK)), clock)
    for _ in range(30):
        acl.inspect(request(x_cdn="secret"))
    clock.now += CHECK_SECONDS
    assert acl.inspect(request()) is None
    for _ in range(11):
        acl.inspect(request())
    clock.now += CHECK_SECONDS
    assert acl.inspect(request(x_cdn="secret")) is None
    blocked = acl.inspect(request())
    assert blocked is not None
    assert blocked.response is None


def test_what_is_passed_over_is_named() -> None:
    managed = {"name": "m", "priority": 0, "statement": {"managedRuleGroupStatement": {"name": "AWSManagedRulesCommonRuleSet"}}}
    acl = resource(managed, rule({"geoMatchStatement": {}}, BLOCK, 1), rule(rate(), BLOCK, 2))
    graph = Graph("us-east-1", (acl,), {}, ())
    assert waf.not_played(graph) == {
        f"{waf.WEB_ACL} (AWSManagedRulesCommonRuleSet)",
        f"{waf.WEB_ACL} (rule-1: geoMatchStatement)",
    }
