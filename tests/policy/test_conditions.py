"""Conditions by what they can match: which keys and values limit a statement, for each rule that asks."""

import json
from typing import Any

import pytest

from llm_policies.conditions import KEYS
from llm_policies.rule import Resource
from llm_policies.testing import problems, resource, unverified
from support.policies import BY_NAME

ACCOUNT = "123456789012"
KEY_OF_ROLE = f"arn:aws:iam::{ACCOUNT}:role/worker"


def made(rule: str, condition: dict[str, Any], action: str) -> Resource:
    """A resource whose only statement has the condition: what it is follows from the rule, and the action."""
    statement = {"Effect": "Allow", "Action": action, "Condition": condition}
    kind, name = "aws:iam/rolePolicy:RolePolicy", "policy"
    if rule == "iam-trust-limited" or (rule == "iam-service-principal-scoped" and action.startswith("sts:")):
        kind, name = "aws:iam/role:Role", "assumeRolePolicy"
        statement["Principal"] = {"Service": "states.amazonaws.com"} if rule != "iam-trust-limited" else {"AWS": "*"}
    elif rule in ("iam-no-public-principal", "iam-service-principal-scoped"):
        service = {"kms": ("aws:kms/key:Key", "logs"), "s3": ("aws:s3/bucketPolicy:BucketPolicy", "cloudtrail")}
        kind, principal = service.get(action.partition(":")[0], ("aws:sqs/queue:Queue", "events"))
        public = rule == "iam-no-public-principal"
        statement |= {"Principal": "*" if public else {"Service": f"{principal}.amazonaws.com"}, "Resource": "*"}
    else:
        statement["Resource"] = KEY_OF_ROLE if rule == "iam-pass-role-limited" else "*"
    return resource(kind, {name: json.dumps({"Version": "2012-10-17", "Statement": [statement]})})


def of_account(condition: dict[str, Any]) -> Resource:
    statement = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": "111122223333"}, "Condition": condition}
    return resource("aws:iam/role:Role", {"assumeRolePolicy": json.dumps({"Version": "2012-10-17", "Statement": [statement]})})


def is_told(rule: str, given: Resource) -> bool:
    assert unverified(BY_NAME[rule], given) == ""
    return bool(problems(BY_NAME[rule], given))


PUBLIC, SERVICE, TRUST = "iam-no-public-principal", "iam-service-principal-scoped", "iam-trust-limited"
ESCALATION, WILDCARD, PASS = "iam-no-privilege-escalation", "iam-no-wildcard-resource", "iam-pass-role-limited"
LIKE, EQUALS, ARN, ANY = "StringLike", "StringEquals", "ArnLike", "ForAnyValue:StringLike"
ORG = "o-a1b2c3d4e5"

# rule, action, operator, key, values
LIMITS_NOTHING: list[tuple[str, str, str, str, Any]] = [
    # A wildcard in what should be an account, an organization, an endpoint or a role is anyone.
    (PUBLIC, "sqs:SendMessage", LIKE, "aws:PrincipalOrgID", "o-*"),
    (PUBLIC, "sqs:SendMessage", LIKE, "aws:PrincipalOrgID", "o-????????"),
    (PUBLIC, "sqs:SendMessage", LIKE, "aws:PrincipalAccount", "1*"),
    (PUBLIC, "sqs:SendMessage", LIKE, "aws:PrincipalAccount", "????????????"),
    (PUBLIC, "sqs:SendMessage", LIKE, "aws:PrincipalAccount", [ACCOUNT, "*"]),
    (PUBLIC, "sqs:SendMessage", ARN, "aws:PrincipalArn", "arn:aws:iam::*:role/x"),
    (PUBLIC, "sqs:SendMessage", ARN, "aws:PrincipalArn", "arn:aws:iam::1*:role/deploy"),
    (PUBLIC, "sqs:SendMessage", LIKE, "aws:PrincipalArn", "*:role/x"),
    (PUBLIC, "sqs:SendMessage", LIKE, "aws:SourceVpce", "vpce-*"),
    (PUBLIC, "sqs:SendMessage", LIKE, "aws:SourceVpc", "vpc-*"),
    (PUBLIC, "sqs:SendMessage", LIKE, "aws:SourceAccount", "12345*"),
    (PUBLIC, "sqs:SendMessage", LIKE, "aws:SourceOrgID", "o-*"),
    (PUBLIC, "sqs:SendMessage", ANY, "aws:PrincipalOrgPaths", "o-*/r-ab12/ou-ab12-11111111/*"),
    (PUBLIC, "sqs:SendMessage", ANY, "aws:PrincipalOrgPaths", "*/ou-ab12-11111111/*"),
    (PUBLIC, "sqs:SendMessage", ARN, "aws:SourceArn", "arn:aws:sns:*:*:alarms"),
    (PUBLIC, "s3:GetObject", ARN, "aws:SourceArn", "arn:aws:s3:::prompts-*"),
    (PUBLIC, "s3:GetObject", LIKE, "s3:DataAccessPointAccount", "*2"),
    (PUBLIC, "s3:GetObject", ARN, "s3:DataAccessPointArn", "arn:aws:s3:us-east-1:*:accesspoint/chat"),
    (PUBLIC, "kms:Decrypt", LIKE, "kms:CallerAccount", "*"),
    (PUBLIC, "sqs:SendMessage", "IpAddress", "aws:SourceIp", ["0.0.0.0/1", "128.0.0.0/1"]),
    # What callers of any account have, or choose.
    (PUBLIC, "sqs:SendMessage", EQUALS, "aws:PrincipalTag/team", "chat"),
    (PUBLIC, "sqs:SendMessage", EQUALS, "aws:PrincipalType", "AssumedRole"),
    (PUBLIC, "sqs:SendMessage", "Bool", "aws:PrincipalIsAWSService", "true"),
    (PUBLIC, "sqs:SendMessage", "Bool", "aws:ViaAWSService", "true"),
    (PUBLIC, "sqs:SendMessage", "Bool", "aws:MultiFactorAuthPresent", "true"),
    (PUBLIC, "sqs:SendMessage", EQUALS, "aws:username", "alice"),
    (PUBLIC, "sqs:SendMessage", LIKE, "aws:userid", "*:chat"),
    (PUBLIC, "sqs:SendMessage", LIKE, "aws:userid", "AROA*"),
    (PUBLIC, "sqs:SendMessage", "IpAddress", "aws:VpcSourceIp", "10.0.0.0/8"),
    (PUBLIC, "s3:GetObject", LIKE, "aws:Referer", "https://chat.example/*"),
    (PUBLIC, "s3:GetObject", EQUALS, "aws:ResourceAccount", ACCOUNT),
    (PUBLIC, "s3:GetObject", "ForAnyValue:StringEquals", "aws:CalledVia", "athena.amazonaws.com"),
    (PUBLIC, "kms:Decrypt", EQUALS, "kms:ViaService", "s3.us-east-1.amazonaws.com"),
    (PUBLIC, "kms:Decrypt", EQUALS, "kms:EncryptionContext:app", "chat"),
    # What always holds, or holds where the key is missing.
    (PUBLIC, "sqs:SendMessage", EQUALS, "aws:PrincipalAccount", "${aws:PrincipalAccount}"),
    (PUBLIC, "sqs:SendMessage", EQUALS, "aws:PrincipalOrgID", "${aws:PrincipalOrgID}"),
    (PUBLIC, "sqs:SendMessage", "ForAllValues:StringEquals", "aws:PrincipalOrgID", ORG),
    (SERVICE, "sts:AssumeRole", LIKE, "aws:SourceAccount", "1*"),
    (SERVICE, "sts:AssumeRole", ARN, "aws:SourceArn", "arn:aws:states:*:*:stateMachine:nightly"),
    (SERVICE, "sts:AssumeRole", LIKE, "aws:SourceOrgID", "o-*"),
    (SERVICE, "sts:AssumeRole", EQUALS, "aws:SourceAccount", "${aws:SourceAccount}"),
    (SERVICE, "kms:Decrypt", ARN, "kms:EncryptionContext:aws:logs:arn", "arn:aws:logs:us-east-1:*:*"),
    (TRUST, "sts:AssumeRole", LIKE, "aws:PrincipalOrgID", "o-*"),
    (TRUST, "sts:AssumeRole", ARN, "aws:PrincipalArn", "arn:aws:iam::*:role/ci"),
    (TRUST, "sts:AssumeRole", EQUALS, "aws:PrincipalTag/team", "chat"),
    (TRUST, "sts:AssumeRole", EQUALS, "aws:PrincipalType", "User"),
    (TRUST, "sts:AssumeRole", EQUALS, "sts:ExternalId", "7c1f"),
    (TRUST, "sts:AssumeRole", EQUALS, "aws:SourceIdentity", "ann"),
    # The whole account, or what the caller says himself, scopes no way to more rights.
    (ESCALATION, "iam:PutRolePolicy", EQUALS, "aws:ResourceAccount", ACCOUNT),
    (ESCALATION, "sts:AssumeRole", EQUALS, "aws:ResourceAccount", ACCOUNT),
    (ESCALATION, "iam:AttachRolePolicy", EQUALS, "aws:ResourceOrgID", ORG),
    (ESCALATION, "lambda:UpdateFunctionCode", ANY, "aws:ResourceOrgPaths", f"{ORG}/*"),
    (ESCALATION, "iam:CreateAccessKey", EQUALS, "aws:RequestTag/team", "chat"),
    (ESCALATION, "sts:AssumeRole", EQUALS, "sts:ExternalId", "7c1f"),
    (ESCALATION, "lambda:UpdateFunctionCode", LIKE, "aws:ResourceTag/team", "*"),
    (ESCALATION, "iam:PutRolePolicy", EQUALS, "iam:PolicyARN", "arn:aws:iam::aws:policy/ReadOnlyAccess"),
    (ESCALATION, "iam:AttachRolePolicy", ARN, "iam:PolicyARN", "arn:aws:iam::aws:policy/*"),
    (ESCALATION, "iam:AttachRolePolicy", "ArnEquals", "iam:PolicyARN", "arn:aws:iam::aws:policy/AdministratorAccess"),
    (ESCALATION, "iam:PutRolePolicy", LIKE, "iam:PermissionsBoundary", "*"),
    (ESCALATION, "iam:PutRolePolicy", EQUALS, "iam:PermissionsBoundary", "arn:aws:iam::aws:policy/AdministratorAccess"),
    (ESCALATION, "iam:AttachRolePolicy", ARN, "iam:PermissionsBoundary", f"arn:aws:iam::{ACCOUNT}:policy/*"),
    # It takes just that boundary off.
    (ESCALATION, "iam:DeleteRolePermissionsBoundary", EQUALS, "iam:PermissionsBoundary", f"arn:aws:iam::{ACCOUNT}:policy/b"),
    (WILDCARD, "dynamodb:GetItem", EQUALS, "aws:ResourceAccount", ACCOUNT),
    (WILDCARD, "dynamodb:GetItem", EQUALS, "aws:ResourceOrgID", ORG),
    (WILDCARD, "secretsmanager:GetSecretValue", LIKE, "aws:ResourceTag/team", "*"),
    (WILDCARD, "secretsmanager:GetSecretValue", ARN, "secretsmanager:SecretId", "arn:aws:secretsmanager:*:*:secret:*"),
    (WILDCARD, "kms:Decrypt", LIKE, "kms:ViaService", "*.amazonaws.com"),
    (WILDCARD, "kms:Decrypt", ANY, "kms:ResourceAliases", "alias/*"),
    (WILDCARD, "ecs:RunTask", ARN, "ecs:cluster", f"arn:aws:ecs:us-east-1:{ACCOUNT}:cluster/*"),
    (PASS, "iam:PassRole", LIKE, "iam:PassedToService", "*.amazonaws.com"),
    (PASS, "iam:PassRole", EQUALS, "aws:ResourceAccount", ACCOUNT),
]
LIMITS: list[tuple[str, str, str, str, Any]] = [
    (PUBLIC, "sqs:SendMessage", EQUALS, "aws:PrincipalOrgID", ORG),
    (PUBLIC, "sqs:SendMessage", ANY, "aws:PrincipalOrgPaths", f"{ORG}/r-ab12/ou-ab12-11111111/*"),
    (PUBLIC, "sqs:SendMessage", ARN, "aws:PrincipalArn", f"arn:aws:iam::{ACCOUNT}:role/chat-*"),
    (PUBLIC, "sqs:SendMessage", EQUALS, "aws:PrincipalAccount", ["111122223333", "444455556666"]),
    (PUBLIC, "sqs:SendMessage", EQUALS, "aws:PrincipalAccount", "${aws:ResourceAccount}"),
    (PUBLIC, "sqs:SendMessage", EQUALS, "aws:SourceVpce", "vpce-0a1b2c3d4e5f67890"),
    (PUBLIC, "sqs:SendMessage", ARN, "aws:SourceArn", f"arn:aws:sns:*:{ACCOUNT}:*"),
    (PUBLIC, "sqs:SendMessage", "ArnEquals", "aws:SourceArn", "arn:aws:s3:::prompts"),
    (PUBLIC, "sqs:SendMessage", LIKE, "aws:userid", "AROAEXAMPLEID1234567:*"),
    (SERVICE, "sts:AssumeRole", EQUALS, "aws:SourceOrgID", ORG),
    (SERVICE, "s3:PutObject", EQUALS, "aws:SourceAccount", "${aws:ResourceAccount}"),
    (TRUST, "sts:AssumeRole", EQUALS, "aws:PrincipalAccount", ACCOUNT),
    (ESCALATION, "iam:AttachRolePolicy", "ArnEquals", "iam:PolicyARN", f"arn:aws:iam::{ACCOUNT}:policy/chat-read"),
    (ESCALATION, "iam:PutRolePolicy", EQUALS, "iam:PermissionsBoundary", f"arn:aws:iam::{ACCOUNT}:policy/chat-boundary"),
    (ESCALATION, "lambda:UpdateFunctionCode", EQUALS, "aws:ResourceTag/team", "${aws:PrincipalTag/team}"),
    (WILDCARD, "secretsmanager:GetSecretValue", LIKE, "aws:ResourceTag/team", "chat-*"),
    (WILDCARD, "kms:Decrypt", LIKE, "kms:ViaService", "s3.*.amazonaws.com"),
    (WILDCARD, "ecs:RunTask", "ArnEquals", "ecs:cluster", f"arn:aws:ecs:us-east-1:{ACCOUNT}:cluster/chat"),
    (PASS, "iam:PassRole", EQUALS, "iam:PassedToService", ["lambda.amazonaws.com", "ecs-tasks.amazonaws.com"]),
    (PASS, "iam:PassRole", ARN, "iam:AssociatedResourceArn", "arn:aws:ec2:*:*:instance/*"),
]


@pytest.mark.parametrize(("rule", "action", "operator", "key", "values"), LIMITS_NOTHING)
def test_what_anyone_can_match_limits_nothing(rule: str, action: str, operator: str, key: str, values: Any) -> None:
    assert is_told(rule, made(rule, {operator: {key: values}}, action))


@pytest.mark.parametrize(("rule", "action", "operator", "key", "values"), LIMITS)
def test_a_specific_value_limits(rule: str, action: str, operator: str, key: str, values: Any) -> None:
    assert not is_told(rule, made(rule, {operator: {key: values}}, action))


@pytest.mark.parametrize(
    ("operator", "key", "values", "told"),
    [
        (ARN, "aws:PrincipalArn", "arn:aws:iam::111122223333:*", True),
        (ARN, "aws:PrincipalArn", "arn:aws:iam::111122223333:role/*", True),
        (EQUALS, "aws:PrincipalAccount", "111122223333", True),
        (EQUALS, "aws:PrincipalType", "AssumedRole", True),
        (EQUALS, "sts:ExternalId", "${sts:ExternalId}", True),
        (LIKE, "sts:ExternalId", "*", True),
        (LIKE, "aws:PrincipalTag/team", "*", True),
        ("IpAddress", "aws:SourceIp", "0.0.0.0/0", True),
        (ARN, "aws:PrincipalArn", "arn:aws:iam::*:role/ci-*", False),
        (EQUALS, "aws:PrincipalTag/team", "chat", False),
    ],
)
def test_of_a_trusted_account_it_says_who(operator: str, key: str, values: Any, told: bool) -> None:
    assert is_told(TRUST, of_account({operator: {key: values}})) is told


@pytest.mark.parametrize(
    "condition",
    [
        {EQUALS: {"aws:PrincipalTag/team": "chat", "aws:PrincipalOrgID": ORG}},
        {"IpAddress": {"aws:VpcSourceIp": "10.0.0.0/16"}, EQUALS: {"aws:SourceVpc": "vpc-0a1b2c3d"}},
        {"StringEqualsIfExists": {"aws:SourceVpce": "vpce-0a1b2c3d"}, "Null": {"aws:SourceVpce": "false"}},
    ],
)
def test_one_condition_of_several_is_enough(condition: dict[str, Any]) -> None:
    assert not is_told(PUBLIC, made(PUBLIC, condition, "sqs:SendMessage"))


@pytest.mark.parametrize(
    ("inputs", "told"),
    [
        ({"sourceArn": "arn:aws:s3:::*"}, True),
        ({"sourceArn": "arn:aws:events:us-east-1:*:rule/x"}, True),
        ({"sourceArn": f"arn:aws:events:us-east-1:{ACCOUNT}:rule/x"}, False),
        ({"sourceAccount": ACCOUNT}, False),
    ],
)
def test_a_permissions_source_is_judged_alike(inputs: dict[str, Any], told: bool) -> None:
    permission = resource("aws:lambda/permission:Permission", {"action": "lambda:InvokeFunction", "principal": "*", **inputs})
    assert is_told(PUBLIC, permission) is told


def test_every_key_of_the_table_is_lower_case_and_has_a_purpose() -> None:
    assert [key.pattern for key in KEYS if key.pattern != key.pattern.lower() or not key.purposes] == []
