"""The rules on who may come in: each with what is right, what is wrong and what is not known yet."""

import json
from typing import Any

import pytest

from llm_policies import trust
from llm_policies.rule import Resource
from llm_policies.testing import UNKNOWN, problems, resource, unverified
from support.policies import BY_NAME, cases_by_rule

ACCOUNT = "123456789012"
ROLE = "aws:iam/role:Role"
QUEUE = "aws:sqs/queue:Queue"
KEY = "aws:kms/key:Key"
TOPIC = "aws:sns/topicPolicy:TopicPolicy"
BUCKET = "aws:s3/bucketPolicy:BucketPolicy"
DOMAIN = "aws:opensearch/domain:Domain"
PERMISSION = "aws:lambda/permission:Permission"
LAYER = "aws:lambda/layerVersionPermission:LayerVersionPermission"
BUS = "aws:cloudwatch/eventPermission:EventPermission"
GITHUB = "token.actions.githubusercontent.com"
EKS = "oidc.eks.us-east-1.amazonaws.com/id/ABCDEF"
IN_ACCOUNT = {"StringEquals": {"aws:SourceAccount": ACCOUNT}}


def statement(
    principal: Any, condition: Any = None, action: Any = "sqs:SendMessage", effect: str = "Allow", on: str | None = "*"
) -> dict[str, Any]:
    held = {"Effect": effect, "Action": action, "Principal": principal}
    return held | ({"Resource": on} if on else {}) | ({"Condition": condition} if condition else {})


def guarded(kind: str, *statements: Any, text: bool = True, **inputs: Any) -> Resource:
    """A resource with a policy."""
    held = {"Version": "2012-10-17", "Statement": list(statements)}
    name = {ROLE: "assumeRolePolicy", DOMAIN: "accessPolicies"}.get(kind, "policy")
    return resource(kind, {name: json.dumps(held) if text else held, **inputs})


def role(principal: Any, condition: Any = None, action: str = "sts:AssumeRole") -> Resource:
    return guarded(ROLE, statement(principal, condition, action, on=None))


def service(name: str, condition: Any = None) -> Resource:
    return role({"Service": name}, condition)


def web(host: str, equals: Any = None, like: Any = None) -> Resource:
    provider = host if host == "cognito-identity.amazonaws.com" else f"arn:aws:iam::{ACCOUNT}:oidc-provider/{host}"
    condition = ({"StringEquals": equals} if equals else {}) | ({"StringLike": like} if like else {})
    return role({"Federated": provider}, condition, "sts:AssumeRoleWithWebIdentity")


def github(sub: str) -> Resource:
    return web(GITHUB, {f"{GITHUB}:aud": "sts.amazonaws.com"}, {f"{GITHUB}:sub": sub})


def permission(principal: Any, **inputs: Any) -> Resource:
    return resource(PERMISSION, {"action": "lambda:InvokeFunction", "function": "chat", "principal": principal, **inputs})


def api(*statements: Any, kind: str = "PRIVATE", **inputs: Any) -> Resource:
    return guarded("aws:apigateway/restApi:RestApi", *statements, endpointConfiguration={"types": kind}, **inputs)


INVOKE = statement("*", action="execute-api:Invoke")

GOOD: dict[str, list[Resource]] = {
    "iam-no-public-principal": [
        resource(QUEUE, {}),
        guarded(QUEUE, statement({"AWS": ACCOUNT})),
        guarded(QUEUE, statement("*", {"ArnEquals": {"aws:SourceArn": f"arn:aws:sns:us-east-1:{ACCOUNT}:alarms"}})),
        guarded(QUEUE, statement("*", {"ArnLike": {"aws:SourceArn": "arn:aws:s3:*:*:prompts"}})),
        guarded(TOPIC, statement({"AWS": "*"}, {"StringEquals": {"AWS:SourceOwner": ACCOUNT}})),
        guarded(BUCKET, statement("*", {"Bool": {"aws:SecureTransport": "false"}}, "s3:*", "Deny")),
        guarded(BUCKET, statement("*", {"StringEquals": {"aws:PrincipalOrgID": "o-1234567890"}}, "s3:GetObject")),
        guarded(BUCKET, statement("*", {"IpAddress": {"aws:SourceIp": ["203.0.113.0/24"]}}, "s3:GetObject")),
        guarded(KEY, statement({"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, action="kms:*")),
        guarded(KEY, statement({"AWS": "*"}, {"StringEquals": {"kms:CallerAccount": ACCOUNT}}, "kms:Decrypt")),
        guarded(
            QUEUE,
            statement("*"),
            statement("*", {"NotIpAddress": {"aws:SourceIp": "203.0.113.0/24"}}, "sqs:*", "Deny"),
        ),
        guarded(DOMAIN, statement("*", action="es:*"), vpcOptions={"subnetIds": ["subnet-1"]}),
        guarded(DOMAIN, statement("*", action="es:*"), advancedSecurityOptions={"enabled": True}),
        api(INVOKE, kind="REGIONAL"),
        permission("apigateway.amazonaws.com"),
        permission("*", principalOrgId="o-1234567890"),
        resource(LAYER, {"principal": "*", "organizationId": "o-1234567890"}),
        resource(LAYER, {"principal": ACCOUNT}),
        resource(BUS, {"principal": "*", "condition": {"key": "aws:PrincipalOrgID", "value": "o-1234567890"}}),
        resource(BUS, {"principal": ACCOUNT}),
    ],
    "iam-service-principal-scoped": [
        service("lambda.amazonaws.com"),
        service("ec2.amazonaws.com"),
        service("pods.eks.amazonaws.com"),
        service("ecs-tasks.amazonaws.com"),
        service("apigateway.amazonaws.com"),
        service("bedrock.amazonaws.com", IN_ACCOUNT),
        service("states.amazonaws.com", {"ArnLike": {"aws:SourceArn": f"arn:aws:states:us-east-1:{ACCOUNT}:stateMachine:*"}}),
        guarded(
            QUEUE,
            statement({"Service": "sns.amazonaws.com"}, {"ArnEquals": {"aws:SourceArn": f"arn:aws:sns:us-east-1:{ACCOUNT}:a"}}),
        ),
        guarded(TOPIC, statement({"Service": "events.amazonaws.com"}, action="sns:Publish")),
        guarded(KEY, statement({"Service": "sns.amazonaws.com"}, action="kms:Decrypt")),
        guarded(
            KEY,
            statement(
                {"Service": "logs.us-east-1.amazonaws.com"},
                {"ArnLike": {"kms:EncryptionContext:aws:logs:arn": f"arn:aws:logs:us-east-1:{ACCOUNT}:*"}},
                "kms:Decrypt",
            ),
        ),
        guarded(BUCKET, statement({"Service": "cloudtrail.amazonaws.com"}, action="s3:PutObject", effect="Deny")),
    ],
    "lambda-permission-source": [
        permission("apigateway.amazonaws.com", sourceArn=f"arn:aws:execute-api:us-east-1:{ACCOUNT}:a1/api/*"),
        permission("s3.amazonaws.com", sourceArn="arn:aws:s3:::prompts", sourceAccount=ACCOUNT),
        permission("secretsmanager.amazonaws.com", sourceAccount=ACCOUNT),
        permission("alexa-appkit.amazon.com", eventSourceToken="amzn1.ask.skill.1"),
        permission(ACCOUNT),
        permission(f"arn:aws:iam::{ACCOUNT}:role/team.chat"),
        permission("*"),
        permission("cloudfront.amazonaws.com", sourceArn=f"arn:aws:cloudfront::{ACCOUNT}:distribution/E1"),
        permission("events.amazonaws.com.cn", sourceArn=f"arn:aws-cn:events:cn-north-1:{ACCOUNT}:rule/r"),
        permission("apigateway.amazonaws.com", sourceAccount=ACCOUNT, sourceArn=UNKNOWN),
    ],
    "iam-trust-limited": [
        service("lambda.amazonaws.com"),
        role({"AWS": f"arn:aws:iam::{ACCOUNT}:role/deploy"}),
        role({"AWS": "111122223333"}, {"StringEquals": {"sts:ExternalId": "7c1f"}}),
        role({"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, {"Bool": {"aws:MultiFactorAuthPresent": "true"}}),
        role("*", {"StringEquals": {"aws:PrincipalOrgID": "o-1234567890"}}),
        # The stack's own account, as the role's own ARN or its boundary tells it.
        guarded(ROLE, statement({"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, on=None), arn=f"arn:aws:iam::{ACCOUNT}:role/r"),
        guarded(ROLE, statement({"AWS": ACCOUNT}, on=None), permissionsBoundary=f"arn:aws:iam::{ACCOUNT}:policy/b"),
        # Both conditions must hold.
        web(
            GITHUB,
            {f"{GITHUB}:aud": "sts.amazonaws.com", f"{GITHUB}:sub": "repo:acme/chat:environment:prod"},
            {f"{GITHUB}:sub": "repo:*"},
        ),
        github("repo:acme/chat:ref:refs/heads/main"),
        github("repo:acme/*"),
        web(EKS, {f"{EKS}:sub": "system:serviceaccount:chat:gateway"}),
        web(
            "api.pulumi.com/oidc", {"api.pulumi.com/oidc:aud": "acme"}, {"api.pulumi.com/oidc:sub": "pulumi:deploy:org:acme:*"}
        ),
        web("cognito-identity.amazonaws.com", {"cognito-identity.amazonaws.com:aud": "us-east-1:1234"}),
        role(
            {"Federated": f"arn:aws:iam::{ACCOUNT}:saml-provider/sso"},
            {"StringEquals": {"SAML:aud": "https://signin.aws.amazon.com/saml"}},
            "sts:AssumeRoleWithSAML",
        ),
    ],
}

BAD: dict[str, list[tuple[Resource, str]]] = {
    "iam-no-public-principal": [
        (resource(LAYER, {"principal": "*"}), "read the layer"),
        (resource(BUS, {"principal": "*"}), "send events"),
        (resource(BUS, {"principal": "*", "condition": {"key": "aws:PrincipalOrgID", "value": "o-*"}}), "send events"),
        (permission("*", sourceAccount="*"), "invoke"),
        (guarded("aws:redshift/resourcePolicy:ResourcePolicy", statement("*")), "lets anyone"),
        (guarded("aws:dsql/clusterPolicy:ClusterPolicy", statement("*")), "lets anyone"),
        (guarded("aws:ecrpublic/repositoryPolicy:RepositoryPolicy", statement("*")), "lets anyone"),
        (guarded(QUEUE, statement("*")), "policy.Statement[0]: lets anyone do sqs:SendMessage"),
        (guarded(QUEUE, statement({"AWS": ["*"]})), "lets anyone"),
        (guarded(KEY, statement({"AWS": "*"}, action="kms:*")), "lets anyone do kms:*"),
        (guarded(BUCKET, statement("*", {"Bool": {"aws:SecureTransport": "true"}}, "s3:GetObject")), "s3:GetObject"),
        (guarded(BUCKET, statement("*", {"IpAddress": {"aws:SourceIp": ["203.0.113.0/24", "0.0.0.0/1"]}})), "lets anyone"),
        (guarded(BUCKET, statement("*", {"StringEqualsIfExists": {"aws:SourceVpce": "vpce-1"}})), "lets anyone"),
        (guarded(BUCKET, statement("*", {"StringNotEquals": {"aws:PrincipalOrgID": "o-1"}})), "lets anyone"),
        (guarded(BUCKET, statement("*", {"Bool": {"aws:PrincipalIsAWSService": "false"}})), "lets anyone"),
        (guarded(QUEUE, statement("*", {"ArnLike": {"aws:SourceArn": "arn:aws:s3:*:*:*"}})), "lets anyone"),
        (
            guarded(
                QUEUE,
                statement("*"),
                statement("*", {"NotIpAddress": {"aws:SourceIp": "203.0.113.0/24"}}, "sqs:ReceiveMessage", "Deny"),
            ),
            "lets anyone",
        ),
        (guarded(DOMAIN, statement("*", action="es:*")), "accessPolicies.Statement[0]: lets anyone"),
        (permission("*"), "principal: lets anyone invoke"),
    ],
    "iam-service-principal-scoped": [
        (service("bedrock.amazonaws.com"), "bedrock.amazonaws.com may act for anyone"),
        (
            role({"Service": ["lambda.amazonaws.com", "states.us-east-1.amazonaws.com"]}),
            "states.us-east-1.amazonaws.com may act",
        ),
        (service("scheduler.amazonaws.com", {"StringLike": {"aws:SourceAccount": "*"}}), "scheduler.amazonaws.com may act"),
        (service("sagemaker.amazonaws.com.cn"), "sagemaker.amazonaws.com.cn may act"),
        (guarded(BUCKET, statement({"Service": "cloudtrail.amazonaws.com"}, action="s3:PutObject")), "cloudtrail"),
        (guarded(QUEUE, statement({"Service": "events.amazonaws.com"})), "events.amazonaws.com may act"),
        (guarded(KEY, statement({"Service": "logs.us-east-1.amazonaws.com"}, action="kms:*")), "encrypt-log-data-kms"),
    ],
    "lambda-permission-source": [
        (permission("apigateway.amazonaws.com"), "sourceArn: missing, so that apigateway.amazonaws.com"),
        (permission("events.amazonaws.com", sourceArn="arn:aws:events:us-east-1:*:rule/*"), "is of any account"),
        (permission("events.amazonaws.com", sourceArn="*"), "is of any account"),
        (permission("s3.amazonaws.com", sourceArn="arn:aws:s3:::prompts"), "sourceAccount: missing"),
        (permission("alexa-appkit.amazon.com"), "sourceArn: missing"),
    ],
    "iam-trust-limited": [
        (role("*"), "assumeRolePolicy.Statement[0]: anyone may take the role"),
        (role({"AWS": "*"}, {"StringLike": {"aws:PrincipalArn": "*"}}), "anyone may take the role"),
        (role({"AWS": "arn:aws:iam::111122223333:root"}), "all of account 111122223333"),
        (
            guarded(ROLE, statement({"AWS": "111122223333"}, on=None), arn=f"arn:aws:iam::{ACCOUNT}:role/r"),
            "all of account 111122223333",
        ),
        (role({"AWS": ["arn:aws-us-gov:iam::111122223333:root"]}), "all of account 111122223333"),
        (role({"AWS": "111122223333"}, {"StringEqualsIfExists": {"sts:ExternalId": "7c1f"}}), "all of account"),
        (github("repo:*"), f"{GITHUB}:sub may be repo:*"),
        (github("*"), "which is anyone"),
        (github("repo:*/chat:*"), "which is anyone"),
        (github("repo:acme*"), "which is anyone"),
        (github("*:ref:refs/heads/main"), "which is anyone"),
        (web(GITHUB, {f"{GITHUB}:aud": "sts.amazonaws.com"}), f"without a condition on {GITHUB}:sub"),
        (web(GITHUB, {f"{GITHUB}:sub": "repo:acme/chat:environment:prod"}), f"without a condition on {GITHUB}:aud"),
        (web(EKS, {f"{EKS}:aud": "sts.amazonaws.com"}), f"without a condition on {EKS}:sub"),
        (web(EKS, like={f"{EKS}:sub": "system:serviceaccount:*:*"}), "which is anyone"),
        (web("cognito-identity.amazonaws.com"), "without a condition on cognito-identity.amazonaws.com:aud"),
        (role({"Federated": f"arn:aws:iam::{ACCOUNT}:saml-provider/sso"}), "SAML:aud"),
    ],
}

UNSEEN: dict[str, list[tuple[Resource, str]]] = {
    "iam-no-public-principal": [
        (resource(QUEUE, {"policy": UNKNOWN}), "policy"),
        (
            guarded(QUEUE, statement("*", {"ArnEquals": {"aws:SourceArn": UNKNOWN}}), text=False),
            "policy.Statement[0].Condition.ArnEquals.aws:SourceArn",
        ),
        # What is not known yet may be the Deny that keeps all others out.
        (guarded(QUEUE, UNKNOWN, statement("*"), text=False), "policy.Statement[0]"),
        (permission(UNKNOWN), "principal"),
    ],
    "iam-service-principal-scoped": [(resource(ROLE, {"assumeRolePolicy": UNKNOWN}), "assumeRolePolicy")],
    "lambda-permission-source": [(permission("apigateway.amazonaws.com", sourceArn=UNKNOWN), "sourceArn")],
    "iam-trust-limited": [
        (resource(ROLE, {"assumeRolePolicy": UNKNOWN}), "assumeRolePolicy"),
        # Before the first `up`, nothing tells which account is the stack's own.
        (guarded(ROLE, statement({"AWS": ACCOUNT}, on=None), arn=UNKNOWN), "arn"),
    ],
}


(
    test_what_is_right_passes,
    test_what_is_wrong_is_told,
    test_what_is_not_known_yet_is_named,
    test_every_rule_has_all_three_kinds_of_cases,
) = cases_by_rule(trust.RULES, GOOD, BAD, UNSEEN)


def test_an_open_policy_of_a_search_domain_is_judged_with_its_domain() -> None:
    rule = BY_NAME["iam-no-public-principal"]
    held = json.dumps({"Version": "2012-10-17", "Statement": [statement("*", action="es:*")]})

    def apart(domain: Resource, name: Any = "chat", *, made: bool = False) -> list[Resource]:
        kind = "aws:opensearch/domainPolicy:DomainPolicy"
        sources = {"domainName": [domain]} if made else {}
        return [domain, resource(kind, {"domainName": name, "accessPolicies": held}, name="apart", dependencies=sources)]

    open_to_all = resource(DOMAIN, {"domainName": "chat"})
    assert len(problems(rule, *apart(open_to_all))) == 1
    assert len(problems(rule, *apart(resource(DOMAIN, {"domainName": UNKNOWN}), UNKNOWN, made=True))) == 1
    assert problems(rule, *apart(open_to_all, "another")) == []
    assert problems(rule, *apart(resource(DOMAIN, {"domainName": "chat", "vpcOptions": {"subnetIds": ["subnet-1"]}}))) == []
    assert unverified(rule, *apart(open_to_all, UNKNOWN)) == "domainName"


def test_a_private_api_says_which_endpoints_reach_it() -> None:
    rule = BY_NAME["apigateway-private-api-scoped"]
    from_endpoint = INVOKE | {"Condition": {"StringEquals": {"aws:SourceVpce": "vpce-1"}}}
    others = statement("*", {"StringNotEquals": {"aws:SourceVpce": "vpce-1"}}, "execute-api:Invoke", "Deny")
    assert problems(rule, api(INVOKE, kind="REGIONAL"), api(from_endpoint), api(INVOKE, others)) == []
    assert len(problems(rule, api(INVOKE))) == 1

    private = resource("aws:apigateway/restApi:RestApi", {"endpointConfiguration": {"types": "PRIVATE"}})

    def apart(**inputs: Any) -> Resource:
        held = json.dumps({"Version": "2012-10-17", "Statement": [INVOKE]})
        kind = "aws:apigateway/restApiPolicy:RestApiPolicy"
        return resource(kind, {"policy": held, **inputs}, dependencies={"restApiId": [private]} if not inputs else {})

    assert len(problems(rule, private, apart())) == 1
    assert problems(rule, private, apart(restApiId="another")) == []
    known = resource("aws:apigateway/restApi:RestApi", {"id": "a1", "endpointConfiguration": {"types": "PRIVATE"}})
    assert len(problems(rule, known, apart(restApiId="a1"))) == 1
    assert unverified(rule, api(INVOKE, policy=UNKNOWN)) == "policy"


@pytest.mark.parametrize(
    ("name", "tested", "settings"),
    [
        ("iam-service-principal-scoped", service("states.amazonaws.com"), {"accepted_services": ["states"]}),
        ("iam-trust-limited", role({"AWS": ACCOUNT}), {"trusted_accounts": [ACCOUNT]}),
    ],
)
def test_a_setting_lets_it_be(name: str, tested: Resource, settings: dict[str, Any]) -> None:
    assert problems(BY_NAME[name], tested)
    assert problems(BY_NAME[name], tested, settings=settings) == []


def test_more_services_can_be_asked_for() -> None:
    settings = {"additional_services": ["ecs-tasks"]}
    assert problems(BY_NAME["iam-service-principal-scoped"], service("ecs-tasks.amazonaws.com"), settings=settings)
