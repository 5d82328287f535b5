"""Permissions boundaries: a managed policy is one where it is used as one, and limits those who have it."""

import json
from typing import Any

import pytest

from llm_policies.rule import Resource
from llm_policies.testing import UNKNOWN, problems, resource, unverified
from support.policies import BY_NAME

ACCOUNT = "arn:aws:iam::123456789012"
ADMINISTRATOR = "arn:aws:iam::aws:policy/AdministratorAccess"
POLICY, ROLE, USER = "aws:iam/policy:Policy", "aws:iam/role:Role", "aws:iam/user:User"
ATTACHMENT, ROLE_POLICY = "aws:iam/rolePolicyAttachment:RolePolicyAttachment", "aws:iam/rolePolicy:RolePolicy"


def document(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(action: Any, **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": "*", **more}


def policy(*statements: dict[str, Any], name: str = "chat-limits", **inputs: Any) -> Resource:
    return resource(POLICY, {"policy": document(*statements), **inputs}, name=name)


def limited(by: Resource | str, kind: str = ROLE, **inputs: Any) -> Resource:
    """A role or user with a boundary: a resource of the program, or an ARN."""
    if isinstance(by, str):
        return resource(kind, {"permissionsBoundary": by, **inputs}, name="worker")
    return resource(kind, {"permissionsBoundary": UNKNOWN, **inputs}, name="worker", dependencies={"permissionsBoundary": [by]})


def attached(what: Resource | str, to: Resource | None = None) -> Resource:
    dependencies = {"role": [to] if to else [], "policyArn": [] if isinstance(what, str) else [what]}
    inputs = {"role": UNKNOWN if to else "another", "policyArn": what if isinstance(what, str) else UNKNOWN}
    return resource(ATTACHMENT, inputs, name="attached", dependencies=dependencies)


def inline(role: Resource, *statements: dict[str, Any]) -> Resource:
    return resource(ROLE_POLICY, {"role": UNKNOWN, "policy": document(*statements)}, dependencies={"role": [role]})


WIDE = policy(
    allow(["s3:*", "bedrock:InvokeModel", "iam:PutRolePolicy"]), {"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"}
)
JUDGING = (
    "iam-no-wildcard-action",
    "iam-no-wildcard-resource",
    "iam-no-not-action",
    "iam-no-privilege-escalation",
    "bedrock-model-scope",
)
DEPLOYER = resource(
    ROLE_POLICY,
    {
        "policy": document(
            allow("iam:CreateRole", Condition={"StringEquals": {"iam:PermissionsBoundary": f"{ACCOUNT}:policy/chat-limits"}})
        )
    },
)


@pytest.mark.parametrize("rule", JUDGING)
@pytest.mark.parametrize(
    ("others", "is_boundary"),
    [
        ([], False),
        ([limited(WIDE)], True),
        ([limited(WIDE, USER)], True),
        ([limited(f"{ACCOUNT}:policy/team/chat-limits")], True),
        ([DEPLOYER], True),
        ([limited(f"{ACCOUNT}:policy/another")], False),
        ([limited(policy(allow("s3:GetObject"), name="another"))], False),
        ([attached(WIDE)], False),
    ],
)
def test_a_policy_is_a_boundary_where_it_is_used_as_one(rule: str, others: list[Resource], is_boundary: bool) -> None:
    told = problems(BY_NAME[rule], WIDE, *(one for one in others if BY_NAME[rule].looks_at(one.type)))
    assert (told == []) is is_boundary


def test_a_name_makes_no_boundary_but_a_setting_does() -> None:
    named = policy(allow("s3:*"), name="team-boundary")
    rule = BY_NAME["iam-no-wildcard-action"]
    assert problems(rule, named)
    assert problems(rule, named, settings={"boundaries": ["team-*"]}) == []


def test_what_demands_it_may_not_be_known_yet() -> None:
    maker = resource(ROLE_POLICY, {"policy": UNKNOWN}, dependencies={"policy": [WIDE]})
    assert problems(BY_NAME["iam-no-not-action"], WIDE, maker) == []
    assert unverified(BY_NAME["iam-no-not-action"], WIDE, maker) == "policy"


EVERYTHING = policy(allow("*"))
ROLE_WITH = limited(WIDE)
BOUNDARIES: list[tuple[list[Resource], int]] = [
    ([WIDE, ROLE_WITH], 0),
    ([WIDE, ROLE_WITH, attached(WIDE, ROLE_WITH)], 1),
    ([WIDE, limited(f"{ACCOUNT}:policy/chat-limits"), attached(f"{ACCOUNT}:policy/chat-limits")], 1),
    ([WIDE, attached(WIDE)], 0),
    ([EVERYTHING, limited(EVERYTHING)], 1),
    ([policy(allow("*"), {"Effect": "Deny", "Action": "iam:*", "Resource": "*"}), limited(f"{ACCOUNT}:policy/chat-limits")], 0),
    ([limited(ADMINISTRATOR)], 1),
    ([limited(ADMINISTRATOR, USER)], 1),
    ([limited("arn:aws:iam::aws:policy/ReadOnlyAccess")], 0),
]


@pytest.mark.parametrize(("given", "count"), BOUNDARIES)
def test_a_boundary_limits_and_is_not_attached(given: list[Resource], count: int) -> None:
    assert len(problems(BY_NAME["iam-boundary-not-attached"], *given)) == count


PUT = allow("iam:PutRolePolicy")
ESCALATION, ADMINISTRATORS = "iam-no-privilege-escalation", "iam-no-administrator-policy"
OTHERS = limited(f"{ACCOUNT}:policy/of-another-program")
NARROW = policy(allow("s3:GetObject"), name="narrow")
# The rule, the resources, and whether somebody gets what the rule forbids in spite of a boundary.
IN_SPITE: list[tuple[str, list[Resource], bool]] = [
    (ESCALATION, [resource(ROLE, {"inlinePolicies": [{"policy": document(PUT)}]})], True),
    (ESCALATION, [limited(ADMINISTRATOR, inlinePolicies=[{"policy": document(PUT)}])], True),
    (ESCALATION, [limited(f"{ACCOUNT}:policy/b", inlinePolicies=[{"policy": document(PUT)}])], False),
    (ESCALATION, [OTHERS, inline(OTHERS, PUT)], False),
    (ESCALATION, [NARROW, limited(NARROW), inline(limited(NARROW), PUT)], False),
    # The boundary allows the same.
    (ESCALATION, [WIDE, ROLE_WITH, inline(ROLE_WITH, PUT)], True),
    (ESCALATION, [OTHERS, policy(PUT, name="more"), attached(policy(PUT, name="more"), OTHERS)], False),
    (ESCALATION, [policy(PUT, name="more"), attached(policy(PUT, name="more"))], True),
    (ESCALATION, [policy(PUT, name="more")], True),
    (ADMINISTRATORS, [limited(f"{ACCOUNT}:policy/b", managedPolicyArns=[ADMINISTRATOR])], False),
    (ADMINISTRATORS, [limited(ADMINISTRATOR, managedPolicyArns=[ADMINISTRATOR])], True),
    (ADMINISTRATORS, [OTHERS, attached(ADMINISTRATOR, OTHERS)], False),
    (ADMINISTRATORS, [resource(ROLE, {}, name="worker"), attached(ADMINISTRATOR)], True),
    (ADMINISTRATORS, [EVERYTHING, limited(EVERYTHING), attached(ADMINISTRATOR, limited(EVERYTHING))], True),
]


@pytest.mark.parametrize(("rule", "given", "told"), IN_SPITE)
def test_who_has_a_boundary_is_limited_by_it(rule: str, given: list[Resource], told: bool) -> None:
    assert all(BY_NAME[rule].looks_at(one.type) for one in given)
    assert bool(problems(BY_NAME[rule], *given)) is told
