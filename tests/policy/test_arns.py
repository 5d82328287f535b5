"""Resources by AWS's forms of ARNs: what stands for all of a type, and what an action can never have."""

from typing import Any

import pytest

from llm_policies.actions import find
from llm_policies.arns import can_be, forms_of, is_open
from llm_policies.testing import UNKNOWN, problems, resource, unverified
from support.policies import BY_NAME

ACCOUNT = "123456789012"


def policy(action: Any, on: Any, kind: str = "aws:iam/rolePolicy:RolePolicy", **more: Any) -> Any:
    statement = {"Effect": "Allow", "Action": action, "Resource": on, **more}
    return resource(kind, {"policy": {"Version": "2012-10-17", "Statement": [statement]}})


def arn(service: str, name: str, region: str = "us-east-1") -> str:
    return f"arn:aws:{service}:{region}:{ACCOUNT}:{name}"


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*", True),
        ("arn:*", True),
        ("arn:aws:iam:*", True),
        ("arn:aws:iam::123456789012:role*", True),
        ("arn:aws:iam::*:ro*", True),
        ("arn:aws:iam::123456789012:user/?*", True),
        ("arn:aws:iam::*:role/chat-deploy", False),
        ("arn:aws:lambda:us-east-1:123456789012:function*", True),
        ("arn:aws:lambda:us-east-1:123456789012:func*:*", True),
        ("arn:aws:lambda:us-east-1:123456789012:function:chat*", False),
        ("arn:aws:dynamodb:us-east-1:123456789012:tab?e/*", True),
        ("arn:aws:secretsmanager:us-east-1:123456789012:secret:*-*", True),
        ("arn:aws:secretsmanager:us-east-1:123456789012:secret:*-??????", True),
        ("arn:aws:secretsmanager:us-east-1:123456789012:secret:chat-??????", False),
        ("arn:aws:ssm:us-east-1:123456789012:parameter*", True),
        ("arn:aws:ssm:us-east-1:123456789012:parameter/*/*", True),
        ("arn:aws:ssm:us-east-1:123456789012:parameter/chat/*", False),
        ("arn:aws:sqs:us-east-1:123456789012:*-*", True),
        ("arn:aws:kms:us-east-1:123456789012:key/*-*-*-*-*", True),
        ("arn:aws:kms:us-east-1:123456789012:key/mrk-*", False),
        ("arn:aws:s3:::*.*", True),
        ("arn:aws:s3:::*-*/*", True),
        ("arn:aws:s3:::chat-*", False),
        ("arn:aws:logs:us-east-1:123456789012:log-group:/*", True),
        ("arn:aws:ecr:us-east-1:123456789012:repository*", True),
        ("arn:aws:bedrock:us-east-1::foundation-model*", True),
        ("arn:aws:s3:::*", True),
        ("arn:aws:s3:::job/*", False),
        ("arn:aws:dynamodb:*:*:table/*/index/*", True),
        ("arn:aws:lambda:us-east-1:123456789012:function:*", True),
        ("arn:aws:lambda:us-east-1:123456789012:function:chat:*", False),
        ("arn:aws:execute-api:us-east-1:123456789012:abc/*", False),
        ("arn:aws:sqs:us-east-1:123456789012:*", True),
        ("arn:aws:sqs:us-east-1:123456789012:chat", False),
        ("arn:aws:apigateway:us-east-1::/restapis/*", True),
        ("arn:aws:apigateway:us-east-1::/account", False),
        ("arn:aws:s3:::${aws:PrincipalTag/team}/*", False),
        ("arn:aws:autoscaling:*:*:autoScalingGroup:*:autoScalingGroupName/eks-*", False),
    ],
)
def test_an_open_resource_is_known(pattern: str, expected: bool) -> None:
    assert is_open(pattern) is expected


# action, resource: of what AWS would take, and never match
NEVER = [
    ("s3:GetObject", "arn:aws:s3:::chat-prompts"),
    ("s3:ListBucket", "arn:aws:s3:::chat-prompts/*"),
    ("s3:GetObject", "arn:aws:s3::chat-prompts/*"),
    ("s3:GetObject", f"arn:aws:s3::{ACCOUNT}:chat-prompts/*"),
    ("s3:GetObject", arn("dynamodb", "table/chat")),
    ("dynamodb:GetItem", arn("dynamodb", "chat")),
    ("dynamodb:GetItem", "arn:aws:dynamodb:us-east-1:table/chat"),
    ("dynamodb:Query", arn("dynamodb", "table:chat")),
    ("lambda:InvokeFunction", arn("lambda", "function/chat")),
    ("sqs:SendMessage", f"arn:aws:sqs:us-east-1:{ACCOUNT}/chat"),
    ("sns:Publish", "arn:aws:sns:us-east-1::chat"),
    ("iam:PassRole", f"arn:aws:iam:{ACCOUNT}:role/w"),
    ("secretsmanager:GetSecretValue", arn("secretsmanager", "secret/chat-AbCdEf")),
    ("kms:Decrypt", arn("kms", "alias/chat")),
    ("logs:PutLogEvents", arn("logs", "/aws/lambda/chat:*")),
    ("logs:PutLogEvents", arn("logs", "log-group:/aws/lambda/chat")),
    ("bedrock:InvokeModel", "arn:aws:bedrock:us-east-1:foundation-model/anthropic.claude-haiku-4-5-20251001-v1:0"),
]
CAN = [
    ("s3:GetObject", "arn:aws:s3:::chat-prompts*"),
    ("s3:ListBucket", "arn:aws:s3:::chat-*"),
    ("s3:GetObject", arn("s3", "accesspoint/chat/object/*")),
    ("s3:GetObject", "arn:aws:*"),
    ("dynamodb:GetRecords", arn("dynamodb", "table/chat/stream/2025-01-01T00:00:00.000")),
    ("lambda:InvokeFunction", arn("lambda", "function:chat:*")),
    ("logs:PutLogEvents", arn("logs", "log-group:/aws/lambda/chat:*")),
    ("logs:CreateLogGroup", arn("logs", "*")),
    ("execute-api:ManageConnections", arn("execute-api", "abc/live/POST/@connections/*")),
    ("execute-api:Invoke", arn("execute-api", "abc/*")),
    ("bedrock:InvokeModel", "arn:aws:bedrock:::foundation-model/anthropic.claude-haiku-4-5-20251001-v1:0"),
    ("ecs:RunTask", arn("ecs", "task-definition/chat:*")),
    ("iam:PassRole", f"arn:aws:iam::{ACCOUNT}:role/service/w"),
    ("ssm:GetParameter", arn("ssm", "parameter/chat/key")),
]


@pytest.mark.parametrize(("action", "on", "expected"), [(*one, False) for one in NEVER] + [(*one, True) for one in CAN])
def test_an_action_has_resources_of_its_own_forms(action: str, on: str, expected: bool) -> None:
    assert forms_of(action)
    assert any(can_be(on, form) for form in forms_of(action)) is expected
    assert (problems(BY_NAME["iam-document-valid"], policy(action, on)) == []) is expected


@pytest.mark.parametrize("on", ["chat-topic", "alias/chat", "anthropic.claude-haiku-4-5-20251001-v1:0", "chat-prompts/*"])
def test_what_is_no_arn_is_said_to_be_none(on: str) -> None:
    (line,) = problems(BY_NAME["iam-document-valid"], policy("s3:GetObject", on))
    assert "is no ARN" in line


def test_what_a_deny_can_never_match_it_does_not_deny() -> None:
    (line,) = problems(BY_NAME["iam-document-valid"], policy("s3:GetObject", "arn:aws:s3:::chat", Effect="Deny"))
    assert "s3:GetObject denies nothing" in line


def test_one_resource_of_the_right_form_is_enough() -> None:
    both = ["arn:aws:s3:::chat-prompts", "arn:aws:s3:::chat-prompts/*"]
    rule = BY_NAME["iam-document-valid"]
    assert problems(rule, policy(["s3:GetObject", "s3:ListBucket"], both)) == []
    assert problems(rule, policy("s3:*", both[0])) == []
    # What is not known yet may be of the right form.
    unknown = policy("s3:GetObject", [both[0], UNKNOWN])
    assert problems(rule, unknown) == []
    assert unverified(rule, unknown).endswith("Resource[1]")


def test_an_apis_own_policy_may_write_its_resource_in_short() -> None:
    own = policy("execute-api:Invoke", "execute-api:/live/*", "aws:apigateway/restApi:RestApi", Principal="*")
    assert problems(BY_NAME["iam-document-valid"], own) == []


def test_every_action_of_the_table_exists() -> None:
    assert [action for action, _ in (*NEVER, *CAN) if find(action) is None] == []
