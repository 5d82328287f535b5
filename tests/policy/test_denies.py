"""A Deny counts for what it denies: its actions, its resources, and the callers or values that its conditions do not spare."""

import json
from typing import Any

import pytest

from llm_policies.testing import problems, resource
from support.policies import BY_NAME

ACCOUNT = "arn:aws:iam::123456789012"
OFFICE = {"NotIpAddress": {"aws:SourceIp": "203.0.113.0/24"}}
MAIN = {"StringNotEquals": {"iam:PermissionsBoundary": f"{ACCOUNT}:policy/chat-boundary"}}


def allow(action: str, on: str = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": on, **more}


def deny(action: Any, on: Any = "*", condition: Any = None, **more: Any) -> dict[str, Any]:
    held = {"Effect": "Deny", "Action": action, "Resource": on, **more} | ({"Condition": condition} if condition else {})
    return {key: value for key, value in held.items() if value is not None}


# What is allowed (in an identity's policy), the Deny beside it, and whether the way to more rights stays open.
ESCALATIONS: list[tuple[str, dict[str, Any], bool]] = [
    ("iam:PutRolePolicy", deny("iam:*"), False),
    ("iam:PutRolePolicy", deny("iam:Put*", f"{ACCOUNT}:role/*"), False),
    ("iam:PutRolePolicy", deny("iam:*", f"{ACCOUNT}:role/admin"), True),
    ("iam:PutRolePolicy", deny("iam:PutRolePolicy", f"{ACCOUNT}:role/admin-*"), True),
    ("iam:PutRolePolicy", deny("iam:PutUserPolicy"), True),
    ("iam:PutRolePolicy", deny("iam:PutRolePolicy", None, NotResource=f"{ACCOUNT}:role/chat-*"), False),
    ("iam:PutRolePolicy", deny("iam:PutRolePolicy", None, NotResource=f"{ACCOUNT}:role/*"), True),
    ("iam:PutRolePolicy", deny("iam:PutRolePolicy", None, NotResource="*"), True),
    ("iam:PutRolePolicy", deny(None, NotAction=["s3:*", "dynamodb:*"]), False),
    ("iam:PutRolePolicy", deny(None, NotAction="iam:*"), True),
    ("iam:PutRolePolicy", deny("iam:PutRolePolicy", condition=MAIN), False),
    ("iam:PutRolePolicy", deny("iam:PutRolePolicy", condition={"StringEquals": MAIN["StringNotEquals"]}), True),
    ("iam:PutRolePolicy", deny("iam:PutRolePolicy", condition={**MAIN, "Bool": {"aws:SecureTransport": "true"}}), True),
    (
        "iam:PutRolePolicy",
        deny("iam:*", condition={"StringNotLike": {"iam:PermissionsBoundary": f"{ACCOUNT}:policy/*"}}),
        True,
    ),
    ("iam:PutRolePolicy", deny("iam:*", condition={"StringNotEquals": {"aws:RequestedRegion": "us-east-1"}}), True),
    ("iam:CreateAccessKey", deny("iam:CreateAccessKey", f"{ACCOUNT}:role/*"), True),
    (
        "iam:AttachRolePolicy",
        deny("iam:*", condition={"ArnNotEquals": {"iam:PolicyARN": f"{ACCOUNT}:policy/chat-read"}}),
        False,
    ),
    (
        "iam:AttachRolePolicy",
        deny("iam:*", condition={"ArnEquals": {"iam:PolicyARN": "arn:aws:iam::aws:policy/AdministratorAccess"}}),
        True,
    ),
    ("lambda:UpdateFunctionCode", deny("lambda:*", condition={"StringNotEquals": {"aws:ResourceTag/team": "chat"}}), False),
    ("lambda:UpdateFunctionCode", deny("lambda:*", condition={"StringEquals": {"aws:ResourceTag/team": "billing"}}), True),
    ("lambda:UpdateFunctionCode", deny("lambda:*", "arn:aws:lambda:us-east-1:123456789012:function:*"), True),  # one Region's
]


@pytest.mark.parametrize(("action", "denied", "is_open"), ESCALATIONS)
def test_a_way_to_more_rights_is_closed_by_what_denies_it(action: str, denied: dict[str, Any], is_open: bool) -> None:
    document = {"Version": "2012-10-17", "Statement": [allow(action), denied]}
    policy = resource("aws:iam/rolePolicy:RolePolicy", {"policy": json.dumps(document)})
    assert bool(problems(BY_NAME["iam-no-privilege-escalation"], policy)) is is_open


@pytest.mark.parametrize(
    ("condition", "is_open"),
    [
        ({"StringNotEquals": {"iam:PassedToService": "lambda.amazonaws.com"}}, False),
        ({"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}}, False),
        ({"StringNotEquals": {"iam:PassedToService": ["lambda.amazonaws.com", "ec2.amazonaws.com"]}}, True),
        ({"StringEquals": {"iam:PassedToService": "lambda.amazonaws.com"}}, True),
    ],
)
def test_a_deny_says_to_whom_a_role_is_passed(condition: dict[str, Any], is_open: bool) -> None:
    statements = [allow("iam:PassRole"), allow("ec2:RunInstances"), deny("iam:PassRole", condition=condition)]
    policy = resource("aws:iam/rolePolicy:RolePolicy", {"policy": {"Version": "2012-10-17", "Statement": statements}})
    assert bool(problems(BY_NAME["iam-no-privilege-escalation"], policy)) is is_open


ANYONE = {"Principal": "*"}
ORG = {"StringNotEquals": {"aws:PrincipalOrgID": "o-a1b2c3d4e5"}}
CHAT = ["arn:aws:s3:::chat", "arn:aws:s3:::chat/*"]
# What anyone is allowed, the Deny beside it, and whether anyone still comes in.
PUBLIC: list[tuple[str, str, dict[str, Any], bool]] = [
    ("sqs:*", "*", deny("sqs:*", condition=ORG, **ANYONE), False),
    ("sqs:*", "*", deny("sqs:*", condition=ORG, Principal={"AWS": ["*"]}), False),
    ("sqs:*", "*", deny("sqs:*", "arn:aws:sqs:us-east-1:123456789012:chat", ORG, **ANYONE), False),
    (
        "sqs:*",
        "*",
        deny("sqs:*", condition={**OFFICE, "StringNotEquals": {"aws:SourceVpce": "vpce-0a1b2c3d"}}, **ANYONE),
        False,
    ),
    ("sqs:*", "*", deny(None, condition=OFFICE, NotAction="s3:*", **ANYONE), False),
    ("sqs:*", "*", deny(None, condition=OFFICE, NotAction="sqs:SendMessage", **ANYONE), True),
    ("sqs:*", "*", deny("sqs:SendMessage", condition=OFFICE, **ANYONE), True),
    ("sqs:*", "*", deny("sqs:*", condition=OFFICE, Principal={"AWS": "111122223333"}), True),
    ("sqs:*", "*", deny("sqs:*", condition={**OFFICE, "Bool": {"aws:SecureTransport": "false"}}, **ANYONE), True),
    ("sqs:*", "*", deny("sqs:*", condition={"StringNotLike": {"aws:PrincipalOrgID": "o-*"}}, **ANYONE), True),
    ("sqs:*", "*", deny("sqs:*", condition={"StringNotEquals": {"aws:PrincipalTag/team": "chat"}}, **ANYONE), True),
    ("sqs:*", "*", deny("sqs:*", condition={"StringEquals": {"aws:PrincipalAccount": "111122223333"}}, **ANYONE), True),
    ("sqs:*", "*", deny("sqs:*", condition={"Null": {"aws:SourceVpce": "true"}}, **ANYONE), True),
    # A caller outside any organization has no such key: nothing is denied.
    ("sqs:*", "*", deny("sqs:*", condition={"ForAnyValue:StringNotEquals": ORG["StringNotEquals"]}, **ANYONE), True),
    ("sqs:*", "*", deny("sqs:*", NotPrincipal={"AWS": [f"{ACCOUNT}:root", f"{ACCOUNT}:role/chat"]}), False),
    ("sqs:*", "*", deny("sqs:*", NotPrincipal={"AWS": "*"}), True),
    ("s3:GetObject", "arn:aws:s3:::chat/*", deny("s3:*", CHAT, OFFICE, **ANYONE), False),
    ("s3:GetObject", "arn:aws:s3:::chat/*", deny("s3:*", "arn:aws:s3:::chat/private/*", OFFICE, **ANYONE), True),
    ("s3:GetObject", "arn:aws:s3:::chat/*", deny("s3:*", "arn:aws:s3:::chat", OFFICE, **ANYONE), True),
    ("s3:GetObject", "arn:aws:s3:::chat/*", deny("s3:*", None, OFFICE, NotResource="arn:aws:s3:::log/*", **ANYONE), False),
    ("s3:GetObject", "arn:aws:s3:::chat/*", deny("s3:*", None, OFFICE, NotResource="arn:aws:s3:::chat/*", **ANYONE), True),
]


@pytest.mark.parametrize(("action", "on", "denied", "is_open"), PUBLIC)
def test_anyone_is_kept_out_by_what_denies_it_to_others(action: str, on: str, denied: dict[str, Any], is_open: bool) -> None:
    document = {"Version": "2012-10-17", "Statement": [allow(action, on, **ANYONE), denied]}
    kind = "aws:s3/bucketPolicy:BucketPolicy" if action.startswith("s3:") else "aws:sqs/queuePolicy:QueuePolicy"
    assert bool(problems(BY_NAME["iam-no-public-principal"], resource(kind, {"policy": document}))) is is_open
