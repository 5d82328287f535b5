"""What a role of the program lets a service do."""

import json
from typing import Any

import pytest

from pulumi_llm_local.program.graph import Graph, Resource
from pulumi_llm_local.services.role_policies import ATTACHMENT, ROLE, ROLE_POLICY, role_allows

ARN = "arn:aws:iam::123456789012:role/r"
ALLOW = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/batches/*"}
OBJECT = "arn:aws:s3:::b/batches/x"


def resource(type_: str, **state: Any) -> Resource:
    return Resource(type_, type_, "r", "r", state, state)


def document(*statements: Any) -> str:
    return json.dumps({"Statement": list(statements)})


def inline(*statements: Any, role: str = "r") -> Resource:
    return resource(ROLE_POLICY, role=role, policy=document(*statements))


CASES: dict[str, tuple[list[Resource], bool]] = {
    "nothing": ([], False),
    "allowed": ([inline(ALLOW)], True),
    "allowed by a list": ([inline({**ALLOW, "Action": ["s3:Get*"], "Resource": ["x", "*"]})], True),
    "another action": ([inline({**ALLOW, "Action": "s3:PutObject"})], False),
    "another object": ([inline({**ALLOW, "Resource": "arn:aws:s3:::b/files/*"})], False),
    "another role": ([inline(ALLOW, role="other")], False),
    "denied": ([inline(ALLOW), inline({**ALLOW, "Effect": "Deny", "Resource": "*"})], False),
    "a managed policy": ([resource(ATTACHMENT, role="r", policyArn="x")], True),
    "a managed policy, but denied": (
        [resource(ATTACHMENT, role="r", policyArn="x"), inline({**ALLOW, "Effect": "Deny"})],
        False,
    ),
}


@pytest.mark.parametrize(("policies", "allowed"), CASES.values(), ids=CASES)
def test_what_a_role_allows(policies: list[Resource], allowed: bool) -> None:
    role = resource(ROLE, name="r", arn=ARN, assumeRolePolicy="{}")
    graph = Graph("us-east-1", (role, *policies), {}, ())
    assert role_allows(graph, ARN, "s3:GetObject", OBJECT) is allowed


def test_policies_within_the_role() -> None:
    role = resource(ROLE, name="r", arn=ARN, assumeRolePolicy="{}", inlinePolicies=[{"name": "p", "policy": document(ALLOW)}])
    assert role_allows(Graph("us-east-1", (role,), {}, ()), ARN, "s3:GetObject", OBJECT)


def test_a_role_of_elsewhere_allows_nothing() -> None:
    assert not role_allows(Graph("us-east-1", (inline(ALLOW),), {}, ()), ARN, "s3:GetObject", OBJECT)
