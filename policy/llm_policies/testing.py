"""For tests of rules: make a resource, and get the result of a rule for it.

from llm_policies.testing import UNKNOWN, problems, resource, unverified

bucket = resource("aws:s3/bucket:Bucket", {"forceDestroy": True})
assert problems(MY_RULE, bucket) == ["forceDestroy: …"]
assert unverified(MY_RULE, resource("aws:s3/bucket:Bucket", {"forceDestroy": UNKNOWN})) == "forceDestroy"
"""

from collections.abc import Mapping, Sequence
from typing import Any

from llm_policies.rule import Resource, Rule, judge, judge_stack
from llm_policies.values import UNKNOWN, Value

__all__ = ["UNKNOWN", "problems", "resource", "unverified"]


def resource(
    kind: str,
    properties: Mapping[str, Any] | None = None,
    *,
    name: str = "tested",
    dependencies: Mapping[str, Sequence[Resource]] | None = None,
) -> Resource:
    """A resource for a rule. The `properties` have Pulumi's camelCase names; `UNKNOWN` stands for an unknown value."""
    urn = f"urn:pulumi:test::tests::{kind}::{name}"
    return Resource(kind, name, Value(dict(properties or {})), urn, dependencies or {})


def problems(rule: Rule, *resources: Resource, settings: Mapping[str, Any] | None = None) -> list[str]:
    """The problems that the rule finds, one line each: in each resource, and for a stack rule in all resources together."""
    alone = [problem for each in resources for problem in judge(rule, each, settings)[0]]
    return alone + [problem for _, problem in judge_stack(rule, resources, settings)[0]]


def unverified(rule: Rule, *resources: Resource, settings: Mapping[str, Any] | None = None) -> str:
    """The path of the first unknown value that the rule needs; empty if there is none."""
    alone = next((path for each in resources if (path := judge(rule, each, settings)[1])), "")
    return alone or judge_stack(rule, resources, settings)[1]
