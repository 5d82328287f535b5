"""The rules on what a role may do: each with what is right, what is wrong and what is not known yet."""

import functools
import json
from typing import Any

import pytest

from llm_policies import actions, least_privilege
from llm_policies.documents import PLACES
from llm_policies.escalation import ESCALATIONS
from llm_policies.rule import Resource
from llm_policies.testing import UNKNOWN, problems, resource
from pulumi_llm_local.aws_types.sdk import takes
from support.policies import BY_NAME, cases_by_rule

ROLE_POLICY = "aws:iam/rolePolicy:RolePolicy"
TABLE = "arn:aws:dynamodb:us-east-1:123456789012:table/keys"
ROLE = "arn:aws:iam::123456789012:role/worker"
USER = "arn:aws:iam::123456789012:user/"
LIMIT = "arn:aws:iam::123456789012:policy/limit"
READ = {"Effect": "Allow", "Action": ["dynamodb:GetItem"], "Resource": TABLE}
LAMBDA = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "lambda.amazonaws.com"}}
MANAGED = "arn:aws:iam::aws:policy/"


def document(*statements: Any, version: str | None = "2012-10-17") -> dict[str, Any]:
    return {"Version": version, "Statement": list(statements)} if version else {"Statement": list(statements)}


def policy(*statements: Any, text: bool = True, name: str = "tested", kind: str = ROLE_POLICY) -> Resource:
    held = document(*statements)
    return resource(kind, {"role": "chat", "policy": json.dumps(held) if text else held}, name=name)


def allow(action: Any, on: Any = TABLE, condition: Any = None) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": on} | ({"Condition": condition} if condition else {})


def pass_role(on: str = ROLE, to: str | None = "lambda.amazonaws.com") -> dict[str, Any]:
    return allow("iam:PassRole", on, {"StringEquals": {"iam:PassedToService": to}} if to else None)


def attachment(arn: Any) -> Resource:
    return resource("aws:iam/rolePolicyAttachment:RolePolicyAttachment", {"role": "chat", "policyArn": arn})


def key_policy(*statements: Any, version: str | None = "2012-10-17") -> Resource:
    return resource("aws:kms/key:Key", {"policy": json.dumps(document(*statements, version=version))})


def identity(name: str) -> list[tuple[str, Resource]]:
    return [(f"{name}: role policy", policy(READ)), (f"{name}: no document", resource("aws:iam/role:Role", {}))]


ROOT_KEYS = {
    "Effect": "Allow",
    "Action": "kms:*",
    "Resource": "*",
    "Principal": {"AWS": "arn:aws:iam::123456789012:root"},
}

GOOD: dict[str, list[Resource]] = {
    "iam-document-valid": [
        policy(READ),
        policy(READ, text=False),
        resource(ROLE_POLICY, {"policy": json.dumps({"Version": "2012-10-17", "Statement": READ})}),
        resource("aws:iam/role:Role", {"assumeRolePolicy": json.dumps(document(LAMBDA))}),
        resource("aws:iam/role:Role", {"assumeRolePolicy": json.dumps(document(LAMBDA, version="2008-10-17"))}),
        key_policy(ROOT_KEYS),
        key_policy(ROOT_KEYS, version="2008-10-17"),
        key_policy(ROOT_KEYS | {"Sid": "Enable IAM User Permissions"}),
        policy(READ | {"Condition": {"StringEquals": {"aws:ResourceTag/a": "${*}"}, "ArnEquals": {"aws:SourceArn": "*"}}}),
        resource("aws:sqs/queue:Queue", {}),
        resource("aws:sqs/queue:Queue", {"policy": ""}),
        policy(
            READ | {"Condition": {"ForAnyValue:StringLikeIfExists": {"aws:TagKeys": "a"}, "Null": {"aws:TagKeys": "false"}}}
        ),
    ],
    "iam-actions-exist": [
        policy(READ),
        policy(allow("S3:getobject")),
        policy(allow(["s3:Get*", "*"])),
        key_policy(ROOT_KEYS),
        resource(
            "aws:sns/topic:Topic", {"policy": json.dumps(document(ROOT_KEYS | {"Action": ["SNS:Receive", "SNS:Publish"]}))}
        ),
    ],
    "iam-no-wildcard-action": [
        policy(READ),
        policy(allow(["ec2:Describe*", "logs:List*"], "*")),
        policy({"Effect": "Deny", "Action": "*", "Resource": "*"}),
        key_policy(ROOT_KEYS),
    ],
    "iam-no-wildcard-resource": [
        policy(READ),
        policy(allow(["xray:PutTraceSegments", "ecr:GetAuthorizationToken", "cloudwatch:PutMetricData"], "*")),
        policy(allow("s3:GetObject", "arn:aws:s3:::prompts/*")),
        # What only tells what there is, and what most calls name no resource for.
        policy(allow("ec2:Describe*", "*")),
        policy(
            allow(["rds:DescribeDBInstances", "ecs:ListTasks", "dynamodb:DescribeTable", "secretsmanager:DescribeSecret"], "*")
        ),
        policy(allow(["iam:GetRole", "iam:ListRolePolicies", "s3:GetBucketLocation", "s3:GetBucketTagging"], "*")),
        policy(allow(["sqs:GetQueueUrl", "sns:GetTopicAttributes", "bedrock:GetFoundationModel", "kms:DescribeKey"], "*")),
        policy(allow(["translate:TranslateText", "comprehend:DetectEntities", "polly:SynthesizeSpeech"], "*")),
        policy(allow("logs:PutLogEvents", "arn:aws:logs:us-east-1:123456789012:log-group:/aws/lambda/chat:*")),
        policy(allow("ec2:TerminateInstances", "*", {"StringEquals": {"aws:ResourceTag/Project": "chat"}})),
        policy(allow("ec2:DeleteTags", "*", {"Null": {"aws:ResourceTag/elbv2.k8s.aws/cluster": "false"}})),
        policy(allow("kms:Decrypt", "*", {"StringEquals": {"kms:ViaService": "s3.us-east-1.amazonaws.com"}})),
        policy(allow("ec2:RunInstances", "arn:aws:ec2:us-east-1:123456789012:instance/*")),
        policy(allow(["ec2:CreateNetworkInterface", "ec2:DescribeNetworkInterfaces", "ec2:DeleteNetworkInterface"], "*")),
        policy(allow("bedrock:InvokeModel", "arn:aws:bedrock:*::foundation-model/anthropic.claude-haiku*")),
        policy(allow("ssm:GetParameter", "arn:aws-us-gov:ssm:us-gov-west-1:123456789012:parameter/chat/*")),
        policy({"Effect": "Deny", "Action": "s3:GetObject", "Resource": "*"}),
    ],
    "iam-no-not-action": [policy(READ), policy({"Effect": "Deny", "NotAction": "iam:*", "Resource": "*"})],
    "iam-pass-role-limited": [policy(READ), policy(pass_role()), policy({**pass_role("*", None), "Effect": "Deny"})],
    "iam-no-privilege-escalation": [
        policy(READ),
        policy(pass_role(), allow(["lambda:CreateFunction", "lambda:InvokeFunction"], "*")),
        policy(pass_role("*", "ec2.amazonaws.com"), allow(["lambda:CreateFunction", "lambda:InvokeFunction"], "*")),
        policy(allow("iam:AttachRolePolicy", "*"), {"Effect": "Deny", "Action": "iam:*", "Resource": "*"}),
        policy(allow("iam:PutRolePolicy", ROLE)),
        policy(
            allow(["iam:CreateRole", "iam:PutRolePolicy"], f"{ROLE}-*", {"StringEquals": {"iam:PermissionsBoundary": LIMIT}})
        ),
        policy(
            allow("iam:CreateRole", f"{ROLE}-*"),
            allow("iam:AttachRolePolicy", f"{ROLE}-*", {"ArnEquals": {"iam:PolicyARN": LIMIT}}),
        ),
        policy(allow("iam:CreateRole", f"{ROLE}-*"), allow("iam:PutRolePolicy", "arn:aws:iam::123456789012:role/other")),
        policy(allow("iam:AttachRolePolicy", "*", {"ArnEquals": {"iam:PolicyARN": f"{MANAGED}AmazonS3ReadOnlyAccess"}})),
        policy(allow("sts:AssumeRole", ROLE)),
    ],
    "iam-no-administrator-policy": [
        attachment(f"{MANAGED}service-role/AWSLambdaBasicExecutionRole"),
        attachment("arn:aws:iam::123456789012:policy/MyFullAccess"),
        attachment("arn:aws:iam::123456789012:policy/SecretsManagerReadWrite"),
        resource("aws:iam/role:Role", {}),
    ],
    "iam-no-long-lived-credentials": [
        resource("aws:iam/accessKey:AccessKey", {"user": "ci", "status": "Inactive"}),
        resource(
            "aws:iam/serviceSpecificCredential:ServiceSpecificCredential",
            {"serviceName": "bedrock.amazonaws.com", "userName": "ci", "credentialAgeDays": 30},
        ),
    ],
}

BAD: dict[str, list[tuple[Resource, str]]] = {
    "iam-document-valid": [
        (resource(ROLE_POLICY, {"policy": "{"}), "policy: is no JSON"),
        (resource(ROLE_POLICY, {"policy": "[]"}), "policy: is no JSON object"),
        (resource(ROLE_POLICY, {"policy": json.dumps(document(READ, version=None))}), "must be 2012-10-17, and is missing"),
        (resource(ROLE_POLICY, {"policy": json.dumps(document(READ, version="2012-10-18"))}), "is no version"),
        (resource(ROLE_POLICY, {"policy": '{"Version": "2012-10-17"}'}), "has no Statement"),
        (resource(ROLE_POLICY, {"policy": {"Version": "2012-10-17", "Statements": [READ]}}), "did you mean Statement?"),
        (
            key_policy(ROOT_KEYS | {"Resource": "arn:aws:s3:::b/${aws:username}"}, version="2008-10-17"),
            "must be 2012-10-17, not 2008-10-17",
        ),
        (
            resource("aws:iam/role:Role", {"assumeRolePolicy": json.dumps(document(LAMBDA, version=None))}),
            "assumeRolePolicy.Version: must be 2012-10-17, and is missing",
        ),
        (policy(READ | {"Effect": "allow"}), "Effect must be Allow or Deny, not allow"),
        (policy({"Effect": "Allow", "Resource": "*"}), "either Action or NotAction"),
        (policy({"Effect": "Allow", "Action": "s3:GetObject"}), "either Resource or NotResource"),
        (policy(READ | {"Principal": "*"}), "must have no Principal"),
        (policy(READ | {"Sid": "Read keys"}), "letters and digits"),
        (policy(READ | {"Sid": "A"}, READ | {"Sid": "A"}), "policy.Statement[1] (A): another statement has this Sid"),
        (policy(READ | {"Conditions": {}}), "did you mean Condition?"),
        (policy(READ | {"Condition": {"StringEqual": {"aws:SourceAccount": "1"}}}), "did you mean StringEquals?"),
        (policy(READ | {"Condition": {"StringEquals": {"SourceAccount": "1"}}}), "is no condition key"),
        (policy(READ | {"Condition": {"StringEquals": {"s3:prefix": ["a", "b*"]}}}), "s3:prefix[1]: StringEquals takes the *"),
        (
            policy(READ | {"Condition": {"ForAnyValue:StringNotEqualsIfExists": {"aws:TagKeys": "*"}}}),
            "and matches no other; write StringNotLike",
        ),
        (policy("text"), "policy.Statement[0]: must be an object"),
        (
            resource(ROLE_POLICY, {"policy": json.dumps(document(READ)).replace('"Action"', '"Effect": "Deny", "Action"')}),
            "has Effect twice",
        ),
        (
            resource("aws:iam/role:Role", {"assumeRolePolicy": json.dumps(document(LAMBDA | {"Resource": "*"}))}),
            "must have no Resource",
        ),
        (key_policy({"Effect": "Allow", "Action": "kms:*", "Resource": "*"}), "either Principal or NotPrincipal"),
        (
            resource("aws:iam/role:Role", {"inlinePolicies": [{"policy": UNKNOWN}, {"policy": "{"}]}),
            "inlinePolicies[1].policy: is no JSON",
        ),
    ],
    "iam-actions-exist": [
        (
            policy(allow(["dynamodb:GetItem", "dynamodb:GetItems"])),
            "policy.Statement[0].Action[1]: dynamodb:GetItems is no action",
        ),
        (policy(allow("bedrock:Converse")), "did you mean bedrock:InvokeModel?"),
        (policy(allow("dynamdb:GetItem")), "did you mean dynamodb:GetItem?"),
        (policy(allow("s3:Gett*")), "s3:Gett* matches no action"),
        (policy({"Effect": "Deny", "NotAction": "iam:CreateUsr", "Resource": "*"}), "did you mean iam:CreateUser?"),
        (policy(allow(["s3:GetObjet", UNKNOWN]), text=False), "did you mean s3:GetObject?"),
        (key_policy(ROOT_KEYS | {"Action": "kms:Decrpt"}), "did you mean kms:Decrypt?"),
    ],
    "iam-no-wildcard-action": [
        (policy(allow("*")), "* allows"),
        (policy(allow("s3:*", "arn:aws:s3:::prompts")), "s3:* allows"),
        (policy(allow("s3:Get*", "arn:aws:s3:::prompts/*")), "s3:Get* allows"),
        (policy(allow("*:Describe*")), "*:Describe* allows"),
        (policy(allow([UNKNOWN, "sqs:*"]), text=False), "policy.Statement[0].Action[1]: sqs:* allows"),
        (policy(UNKNOWN, allow("sqs:*"), text=False), "policy.Statement[1].Action: sqs:* allows"),
        (
            resource(
                "aws:iam/role:Role",
                {"assumeRolePolicy": UNKNOWN, "inlinePolicies": [{"policy": json.dumps(document(allow("*")))}]},
            ),
            "inlinePolicies[0].policy.Statement[0].Action: *",
        ),
    ],
    "iam-no-wildcard-resource": [
        (policy(allow(["dynamodb:GetItem", "xray:PutTraceSegments"], "*")), "* where dynamodb:GetItem can be scoped"),
        (policy(allow("s3:GetObject", "arn:aws:s3:::*")), "arn:aws:s3:::* where"),
        (policy(allow(["dynamodb:DescribeTable", "dynamodb:Scan"], "*")), "* where dynamodb:Scan can"),
        (policy(allow(["s3:ListBucket", "s3:ListAllMyBuckets"], "*")), "* where s3:ListBucket can"),
        (
            policy(allow(["translate:DeleteTerminology", "translate:TranslateText"], "*")),
            "* where translate:DeleteTerminology can",
        ),
        (policy(allow("lambda:GetFunction", "*")), "* where lambda:GetFunction"),
        (policy(allow("es:ESHttpGet", "*")), "* where es:ESHttpGet"),
        (policy(allow("s3:GetObject", "arn:aws:s3:::*/*")), "arn:aws:s3:::*/* where"),
        (policy(allow("dynamodb:Query", "arn:aws:dynamodb:*:*:table/*")), "table/* where"),
        (policy(allow("dynamodb:Query", [TABLE, "arn:aws:dynamodb:us-east-1:123456789012:table/*/index/*"])), "Resource[1]"),
        (policy(allow("logs:CreateLogGroup", "arn:aws:logs:*:*:*")), "arn:aws:logs:*:*:* where logs:CreateLogGroup"),
        (policy(allow("bedrock:InvokeModel", "arn:aws-cn:bedrock:cn-north-1::foundation-model/*")), "foundation-model/* where"),
        (policy(allow("ec2:RunInstances", "*")), "* where ec2:RunInstances"),
        (policy(allow("kms:Decrypt", "*", {"StringLike": {"kms:ViaService": "*"}})), "* where kms:Decrypt"),
        (policy(allow("kms:Decrypt", "*", {"StringEqualsIfExists": {"aws:ResourceAccount": "123456789012"}})), "kms:Decrypt"),
        (policy(allow("ec2:DeleteTags", "*", {"Null": {"aws:ResourceTag/team": "true"}})), "ec2:DeleteTags"),
        (policy(allow("s3:GetObject", "*", {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}})), "s3:GetObject"),
        (policy(allow(["s3:GetObject", "s3:PutObject", "sqs:SendMessage", "sns:Publish"], "*")), "and 1 more"),
        (policy(allow([UNKNOWN, "sqs:SendMessage"], "*"), text=False), "* where sqs:SendMessage"),
        (policy(allow("sqs:SendMessage", [UNKNOWN, "*"]), text=False), "Resource[1]: * where sqs:SendMessage"),
    ],
    "iam-no-not-action": [
        (policy({"Effect": "Allow", "NotAction": "iam:*", "Resource": TABLE}), "Allow with NotAction"),
        (policy({"Effect": "Allow", "Action": "s3:GetObject", "NotResource": TABLE}), "Allow with NotResource"),
        (
            key_policy({"Effect": "Allow", "Action": "kms:*", "Resource": "*", "NotPrincipal": {"AWS": ROLE}}),
            "give its Principal",
        ),
    ],
    "iam-pass-role-limited": [
        (policy(pass_role(to=None)), "iam:PassRole without a condition"),
        (policy(pass_role(to="*")), "iam:PassRole without a condition"),
        (policy(pass_role("arn:aws:iam::123456789012:role/*")), "iam:PassRole of every role"),
        (policy(allow("iam:*", ROLE)), "iam:PassRole without a condition"),
    ],
    "iam-no-privilege-escalation": [
        (policy(allow("iam:CreatePolicyVersion", "*")), "iam:CreatePolicyVersion on every resource rewrites any policy"),
        (policy(allow("iam:PutRolePolicy", "arn:aws:iam::123456789012:role/*")), "iam:PutRolePolicy"),
        (policy(allow("*", "*")), "leads to all rights, in"),
        # Who makes a role and writes its policies gives it any right.
        (policy(allow(["iam:CreateRole", "iam:PutRolePolicy"], f"{ROLE}-*")), "makes a role with any right; demand"),
        (
            policy(allow("iam:CreateUser", f"{USER}*"), allow("iam:AttachUserPolicy", f"{USER}ci")),
            "makes a user with any right",
        ),
        (
            resource(
                "aws:iam/role:Role",
                {"name": "worker", "inlinePolicies": [{"policy": json.dumps(document(allow("iam:PutRolePolicy", ROLE)))}]},
            ),
            "iam:PutRolePolicy on role/worker gives its holder any right",
        ),
        (policy(allow("lambda:UpdateFunctionCode", "*")), "lambda:UpdateFunctionCode"),
        (policy(allow("sts:AssumeRole", "*")), "sts:AssumeRole on every resource"),
        (policy(allow("sts:AssumeRole", "arn:aws:iam::*:role/*")), "sts:AssumeRole on every resource"),
        (
            policy(pass_role("*"), allow("lambda:CreateFunction", "*"), allow("lambda:InvokeFunction", "*")),
            "iam:PassRole with lambda:CreateFunction and lambda:InvokeFunction",
        ),
        (policy(pass_role("*", None), allow("ec2:RunInstances", "*")), "iam:PassRole with ec2:RunInstances"),
        (
            policy(
                allow("iam:CreateAccessKey", "*"),
                {
                    "Effect": "Deny",
                    "Action": "iam:*",
                    "Resource": "*",
                    "Condition": {"Bool": {"aws:MultiFactorAuthPresent": "false"}},
                },
            ),
            "iam:CreateAccessKey",
        ),
        (policy({"Effect": "Allow", "NotAction": "s3:*", "NotResource": TABLE}), "leads to all rights"),
    ],
    "iam-no-administrator-policy": [
        (attachment(f"{MANAGED}AdministratorAccess"), "policyArn: AWS's AdministratorAccess"),
        (attachment("arn:aws-us-gov:iam::aws:policy/PowerUserAccess"), "PowerUserAccess"),
        (attachment(f"{MANAGED}AmazonBedrockFullAccess"), "AmazonBedrockFullAccess"),
        (attachment(f"{MANAGED}AWSLambda_FullAccess"), "AWSLambda_FullAccess"),
        (attachment(f"{MANAGED}AmazonDynamoDBFullAccess_v2"), "AmazonDynamoDBFullAccess_v2"),
        (attachment(f"{MANAGED}job-function/SystemAdministrator"), "SystemAdministrator"),
        (attachment(f"{MANAGED}SecretsManagerReadWrite"), "SecretsManagerReadWrite"),
        (
            resource("aws:iam/role:Role", {"managedPolicyArns": [UNKNOWN, f"{MANAGED}IAMFullAccess"]}),
            "managedPolicyArns[1]: AWS's IAMFullAccess",
        ),
    ],
    "iam-no-long-lived-credentials": [
        (resource("aws:iam/accessKey:AccessKey", {"user": "ci"}), "access key"),
        (resource("aws:iam/userLoginProfile:UserLoginProfile", {"user": "ann"}), "a console password of ann"),
        (
            resource("aws:iam/serviceSpecificCredential:ServiceSpecificCredential", {"serviceName": "bedrock.amazonaws.com"}),
            "credentialAgeDays: the credential must expire, within 30 days",
        ),
    ],
}

_UNKNOWN_DOCUMENT = [(resource(ROLE_POLICY, {"policy": UNKNOWN}), "policy")]
UNSEEN: dict[str, list[tuple[Resource, str]]] = {
    **dict.fromkeys(
        ["iam-document-valid", "iam-no-not-action", "iam-pass-role-limited", "iam-no-privilege-escalation"], _UNKNOWN_DOCUMENT
    ),
    "iam-actions-exist": [
        *_UNKNOWN_DOCUMENT,
        (policy(allow(["s3:GetObject", UNKNOWN]), text=False), "policy.Statement[0].Action[1]"),
    ],
    "iam-no-wildcard-action": [
        *_UNKNOWN_DOCUMENT,
        (resource("aws:iam/role:Role", {"inlinePolicies": [{"policy": UNKNOWN}]}), "inlinePolicies[0].policy"),
    ],
    "iam-no-wildcard-resource": [
        *_UNKNOWN_DOCUMENT,
        (policy(allow("dynamodb:GetItem", [UNKNOWN, TABLE]), text=False), "policy.Statement[0].Resource[0]"),
    ],
    "iam-no-administrator-policy": [(attachment(UNKNOWN), "policyArn")],
    "iam-no-long-lived-credentials": [
        (resource("aws:iam/accessKey:AccessKey", {"user": "ci", "status": UNKNOWN}), "status"),
    ],
}


(
    test_what_is_right_passes,
    test_what_is_wrong_is_told,
    test_what_is_not_known_yet_is_named,
    test_every_rule_has_all_three_kinds_of_cases,
) = cases_by_rule(least_privilege.RULES, GOOD, BAD, UNSEEN)


@pytest.mark.parametrize(
    ("name", "tested", "settings"),
    [
        ("iam-actions-exist", policy(allow("bedrock:BrandNew")), {"known_actions": ["bedrock:Brand*"]}),
        ("iam-no-wildcard-action", policy(allow("kms:Get*")), {"read_only_prefixes": ["Get"]}),
        ("iam-no-wildcard-resource", policy(allow("sqs:SendMessage", "*")), {"accepted_actions": ["sqs:*"]}),
        ("iam-no-privilege-escalation", policy(allow("iam:CreateAccessKey", "*")), {"accepted": ["iam:CreateAccessKey"]}),
        ("iam-no-administrator-policy", attachment(f"{MANAGED}ViewFullAccess"), {"accepted_policies": ["ViewFullAccess"]}),
        (
            "iam-no-long-lived-credentials",
            resource("aws:iam/serviceSpecificCredential:ServiceSpecificCredential", {"credentialAgeDays": 90}),
            {"credential_age_days": 90},
        ),
    ],
)
def test_a_setting_lets_it_be(name: str, tested: Resource, settings: dict[str, Any]) -> None:
    assert problems(BY_NAME[name], tested)
    assert problems(BY_NAME[name], tested, settings=settings) == []


def test_a_prefix_of_reading_actions_lets_no_writing_one_through() -> None:
    # s3:GetObject reads; kms:Generate* and ssm:Start* do not only read, whatever the prefixes are.
    assert problems(BY_NAME["iam-no-wildcard-action"], policy(allow("ssm:S*")), settings={"read_only_prefixes": ["S"]})


def test_who_writes_its_own_policies_has_any_right() -> None:
    rule = BY_NAME["iam-no-privilege-escalation"]
    worker = resource("aws:iam/role:Role", {"name": "worker"}, name="worker")
    user = resource("aws:iam/user:User", {"name": "ci"}, name="ci")

    def writes(action: str, on: str, **holder: str) -> Resource:
        kind = ROLE_POLICY if "role" in holder else "aws:iam/userPolicy:UserPolicy"
        return resource(kind, {**holder, "policy": json.dumps(document(allow(action, on)))})

    assert problems(rule, worker, writes("iam:AttachRolePolicy", "arn:aws:iam::123456789012:role/work*", role="worker"))
    assert problems(rule, user, writes("iam:PutUserPolicy", USER + "${aws:username}", user="ci"))
    assert problems(rule, worker, writes("iam:AttachRolePolicy", "arn:aws:iam::123456789012:role/chat-*", role="worker")) == []
    assert problems(rule, user, writes("iam:CreateAccessKey", USER + "${aws:username}", user="ci")) == []


def test_every_action_of_a_way_to_more_rights_exists() -> None:
    assert [action for way in ESCALATIONS for action in way.actions if actions.find(action) is None] == []


@functools.cache
def properties(token: str) -> frozenset[str]:
    return frozenset(name for name in {_top(path) for places in PLACES.values() for _, path in places} if takes(token, name))


def _top(path: str) -> str:
    return path.partition("[].")[0].partition(".")[0]


def test_every_place_of_a_document_is_a_property_of_its_type() -> None:
    assert [
        (token, path) for token, places in PLACES.items() for _, path in places if _top(path) not in properties(token)
    ] == []
