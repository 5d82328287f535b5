"""The rules on encryption, at rest and in transit, and on secrets in plain text."""

import json
from typing import Any

from llm_policies import encryption
from llm_policies.rule import Resource
from llm_policies.testing import UNKNOWN, resource, unverified
from support.policies import BY_NAME, cases, found

QUEUE = "aws:sqs/queue:Queue"
TOPIC = "aws:sns/topic:Topic"
TABLE = "aws:dynamodb/table:Table"
VOLUME = "aws:ebs/volume:Volume"
INSTANCE = "aws:ec2/instance:Instance"
TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"
FILES = "aws:efs/fileSystem:FileSystem"
CLUSTER = "aws:eks/cluster:Cluster"
BUCKET = "aws:s3/bucket:Bucket"
POLICY = "aws:s3/bucketPolicy:BucketPolicy"
SSE = "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
KEY = "aws:kms/key:Key"
GROUP = "aws:cloudwatch/logGroup:LogGroup"
DOMAIN = "aws:apigateway/domainName:DomainName"
DOMAIN_2 = "aws:apigatewayv2/domainName:DomainName"
LISTENER = "aws:lb/listener:Listener"
BALANCER = "aws:lb/loadBalancer:LoadBalancer"
INTEGRATION, INTEGRATION_2 = "aws:apigateway/integration:Integration", "aws:apigatewayv2/integration:Integration"
SOURCE = "aws:appsync/dataSource:DataSource"
DEFAULT = "aws:ebs/encryptionByDefault:EncryptionByDefault"
LAUNCH = "aws:ec2/launchConfiguration:LaunchConfiguration"
DISTRIBUTION = "aws:cloudfront/distribution:Distribution"
FUNCTION = "aws:lambda/function:Function"
OWN = {"customer_key": True}
KMS = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"


def tls_policy(partition: str = "aws", **changes: Any) -> dict[str, Any]:
    """A bucket policy that refuses requests without TLS, as an object."""
    arn = f"arn:{partition}:s3:::chat"
    statement = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [arn, f"{arn}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    return {"Version": "2012-10-17", "Statement": [{**statement, **changes}]}


def bucket_with(policy: Any) -> list[Resource]:
    return [resource(BUCKET, {"bucket": "chat"}), resource(POLICY, {"bucket": "chat", "policy": policy})]


def env(**variables: Any) -> list[Resource]:
    return [resource(FUNCTION, {"environment": {"variables": variables}})]


def listener(balancer: dict[str, Any] | None = None, **inputs: Any) -> list[Resource]:
    owner = resource(BALANCER, {"arn": UNKNOWN, "internal": UNKNOWN, **(balancer or {})}, name="balancer")
    made = resource(LISTENER, {"loadBalancerArn": UNKNOWN, **inputs}, dependencies={"loadBalancerArn": [owner]})
    return [owner, made]


def site(**changes: Any) -> list[Resource]:
    inputs: dict[str, Any] = {
        "defaultCacheBehavior": {"viewerProtocolPolicy": "redirect-to-https"},
        "orderedCacheBehaviors": [{"viewerProtocolPolicy": "https-only"}],
        "viewerCertificate": {"acmCertificateArn": "arn:…", "minimumProtocolVersion": "TLSv1.2_2021"},
        "origins": [{"customOriginConfig": {"originProtocolPolicy": "https-only", "originSslProtocols": ["TLSv1.2"]}}],
    }
    return [resource(DISTRIBUTION, {**inputs, **changes})]


REDIRECT = {"type": "redirect", "redirect": {"protocol": "HTTPS", "statusCode": "HTTP_301"}}
FORWARD = {"type": "forward", "targetGroupArn": "arn:aws:…"}

GOOD: list[tuple[str, list[Resource], dict[str, Any]]] = [
    ("sqs-encrypted", [resource(QUEUE, {})], {}),
    ("sqs-encrypted", [resource(QUEUE, {"sqsManagedSseEnabled": False, "kmsMasterKeyId": KMS})], {}),
    ("sqs-encrypted", [resource(QUEUE, {"kmsMasterKeyId": KMS})], OWN),
    ("sns-encrypted", [resource(TOPIC, {"kmsMasterKeyId": "alias/aws/sns"})], {}),
    ("dynamodb-kms", [resource(TABLE, {})], {}),
    ("dynamodb-kms", [resource(TABLE, {"serverSideEncryption": {"enabled": True, "kmsKeyArn": KMS}})], OWN),
    ("ebs-encrypted", [resource(VOLUME, {"encrypted": True})], {}),
    ("ebs-encrypted", [resource(VOLUME, {})], {"account_default": True}),
    ("ebs-encrypted", [resource(INSTANCE, {"rootBlockDevice": {"encrypted": True}})], {}),
    ("ebs-encrypted", [resource(INSTANCE, {"launchTemplate": {"id": "lt-1"}})], {}),
    ("ebs-encrypted", [resource(INSTANCE, {"launchTemplate": {"name": "gpu"}})], {}),
    ("ebs-encrypted", [resource(TEMPLATE, {"blockDeviceMappings": [{"ebs": {"encrypted": "true"}}, {"noDevice": ""}]})], {}),
    ("ebs-encrypted", [resource(DEFAULT, {})], {}),
    ("efs-encrypted", [resource(FILES, {"encrypted": True})], {}),
    (
        "eks-secrets-encrypted",
        [resource(CLUSTER, {"encryptionConfig": {"provider": {"keyArn": KMS}, "resources": ["secrets"]}})],
        {},
    ),
    ("eks-secrets-encrypted", [resource(CLUSTER, {"version": "1.35"})], {"customer_key": False}),
    ("s3-encryption-not-weakened", [resource(SSE, {"rules": [{"blockedEncryptionTypes": ["SSE-C"]}]})], {}),
    ("s3-encryption-not-weakened", [resource(BUCKET, {})], OWN),
    ("kms-rotation", [resource(KEY, {"enableKeyRotation": True})], {}),
    ("kms-rotation", [resource(KEY, {"keyUsage": "SIGN_VERIFY", "customerMasterKeySpec": "RSA_2048"})], {}),
    ("kms-rotation", [resource(KEY, {"keyUsage": "GENERATE_VERIFY_MAC", "customerMasterKeySpec": "HMAC_256"})], {}),
    ("log-group-kms", [resource(GROUP, {})], {}),
    ("log-group-kms", [resource(GROUP, {"kmsKeyId": KMS})], OWN),
    ("s3-tls-only", bucket_with(tls_policy()), {}),
    ("s3-tls-only", bucket_with(json.dumps(tls_policy("aws-cn", Principal={"AWS": ["*"]}, Action=["s3:*"]))), {}),
    ("s3-tls-only", bucket_with(tls_policy(Condition={"BoolIfExists": {"AWS:SecureTransport": [False]}})), {}),
    ("s3-tls-only", [resource(QUEUE, {})], {}),
    ("apigateway-domain-tls", [resource(DOMAIN, {"securityPolicy": "TLS_1_2"})], {}),
    ("apigateway-domain-tls", [resource(DOMAIN, {"securityPolicy": "SecurityPolicy_TLS13_1_3_2025_09"})], {}),
    ("apigateway-domain-tls", [resource(DOMAIN_2, {"domainNameConfiguration": {"securityPolicy": "TLS_1_2"}})], {}),
    ("integration-tls", [resource(INTEGRATION, {"uri": "https://models.example.com/v1"})], {}),
    ("integration-tls", [resource(INTEGRATION, {"uri": "http://models.internal", "connectionType": "VPC_LINK"})], {}),
    ("integration-tls", [resource(INTEGRATION_2, {"integrationUri": "arn:aws:lambda:us-east-1:1:function:chat"})], {}),
    ("integration-tls", [resource(SOURCE, {"type": "AWS_LAMBDA"})], {}),
    ("lb-listener-tls", [resource("aws:elb/loadBalancer:LoadBalancer", {"listeners": [{"lbProtocol": "https"}]})], {}),
    ("lb-listener-tls", listener(protocol="HTTP", defaultActions=[REDIRECT]), {}),
    ("lb-listener-tls", listener(protocol="HTTPS", sslPolicy="ELBSecurityPolicy-TLS13-1-2-Res-2021-06"), {}),
    ("lb-listener-tls", listener(protocol="HTTPS", sslPolicy="ELBSecurityPolicy-TLS13-1-3-PQ-2025-09"), {}),
    ("lb-listener-tls", listener({"internal": True}, protocol="HTTP", defaultActions=[FORWARD]), {}),
    ("lb-listener-tls", listener(protocol="TCP"), {}),
    ("lb-listener-tls", listener(port=80, defaultActions=[REDIRECT]), {}),
    ("lb-listener-tls", listener({"loadBalancerType": "gateway"}, defaultActions=[FORWARD]), {}),
    ("cloudfront-tls", site(), {}),
    ("cloudfront-tls", site(viewerCertificate={"cloudfrontDefaultCertificate": True}), {}),
    ("lambda-environment-no-secrets", env(SECRET_ARN="arn:aws:secretsmanager:…", MAX_TOKENS="4096", TOKEN_BUDGET="lots"), {}),
    ("lambda-environment-no-secrets", env(PASSWORD_RESET_PAGE="reset.html", NEXT_PUBLIC_TOKEN="USDC"), {}),
    ("lambda-environment-no-secrets", env(DB_SECRET="prod/chat/db", PASSWORD="", USE_TOKEN="true", TOKENIZER="llama"), {}),
    ("lambda-environment-no-secrets", env(API_KEY_HEADER="x-api-key", KEYS_TABLE="keys", AUTHORIZATION="api_key"), {}),
    ("lambda-environment-no-secrets", [resource(FUNCTION, {})], {}),
    ("no-secrets-in-plain-text", [resource("aws:ec2/instance:Instance", {"userData": "#!/bin/sh\nexport API_KEY=$1"})], {}),
]

BAD: list[tuple[str, list[Resource], dict[str, Any], list[str]]] = [
    ("sqs-encrypted", [resource(QUEUE, {"sqsManagedSseEnabled": False})], {}, ["sqsManagedSseEnabled is false"]),
    ("sqs-encrypted", [resource(QUEUE, {})], OWN, ["kmsMasterKeyId is missing"]),
    ("sns-encrypted", [resource(TOPIC, {})], {}, ["kmsMasterKeyId is missing"]),
    ("dynamodb-kms", [resource(TABLE, {})], OWN, ["serverSideEncryption.enabled"]),
    (
        "dynamodb-kms",
        [resource(TABLE, {"serverSideEncryption": {"enabled": True}, "replicas": [{"regionName": "eu-west-1"}]})],
        OWN,
        ["serverSideEncryption.kmsKeyArn", "replicas[0].kmsKeyArn"],
    ),
    ("ebs-encrypted", [resource(VOLUME, {})], {}, ["the volume: encrypted is not true"]),
    ("ebs-encrypted", [resource(VOLUME, {"encrypted": False, "snapshotId": "snap-1"})], {}, ["encrypted is not true"]),
    (
        "ebs-encrypted",
        [resource(INSTANCE, {"ebsBlockDevices": [{"encrypted": False}]})],
        {},
        ["rootBlockDevice.encrypted", "ebsBlockDevices[0].encrypted"],
    ),
    (
        "ebs-encrypted",
        [resource(TEMPLATE, {"blockDeviceMappings": [{"ebs": {"volumeSize": 100}}]})],
        {},
        ["blockDeviceMappings[0].ebs.encrypted"],
    ),
    ("ebs-encrypted", [resource(DEFAULT, {"enabled": False})], {}, ["enabled is false"]),
    ("ebs-encrypted", [resource(LAUNCH, {"rootBlockDevice": {"encrypted": False}})], {}, ["rootBlockDevice.encrypted"]),
    ("efs-encrypted", [resource(FILES, {})], {}, ["encrypted is not true"]),
    ("eks-secrets-encrypted", [resource(CLUSTER, {"version": "1.35"})], {}, ["encryptionConfig is missing"]),
    (
        "eks-secrets-encrypted",
        [resource(CLUSTER, {"version": "1.27"})],
        {"customer_key": False},
        ["encryptionConfig is missing"],
    ),
    (
        "eks-secrets-encrypted",
        [resource(CLUSTER, {"encryptionConfig": {"provider": {}, "resources": []}})],
        {},
        ["keyArn is missing", "lacks 'secrets'"],
    ),
    ("s3-encryption-not-weakened", [resource(SSE, {"rules": [{"blockedEncryptionTypes": ["NONE"]}]})], {}, ["SSE-C"]),
    (
        "s3-encryption-not-weakened",
        [resource(SSE, {"rules": [{"applyServerSideEncryptionByDefault": {"sseAlgorithm": "AES256"}}]})],
        OWN,
        ["rules[0].applyServerSideEncryptionByDefault.kmsMasterKeyId"],
    ),
    ("kms-rotation", [resource(KEY, {})], {}, ["enableKeyRotation"]),
    ("log-group-kms", [resource(GROUP, {})], OWN, ["kmsKeyId is missing"]),
    ("s3-tls-only", [resource(BUCKET, {"bucket": "chat"})], {}, ["it has no policy"]),
    ("s3-tls-only", bucket_with(tls_policy(Effect="Allow")), {}, ["its policy does not deny"]),
    ("s3-tls-only", bucket_with(tls_policy(Resource="arn:aws:s3:::chat")), {}, ["its policy does not deny"]),
    ("s3-tls-only", bucket_with(tls_policy(Resource="arn:aws:s3:::chat/*")), {}, ["its policy does not deny"]),
    ("s3-tls-only", bucket_with(tls_policy(Principal={"AWS": "arn:aws:iam::123456789012:root"})), {}, ["does not deny"]),
    ("s3-tls-only", bucket_with(tls_policy(Condition={"Bool": {"aws:SecureTransport": "true"}})), {}, ["does not deny"]),
    (
        "s3-tls-only",
        bucket_with(
            tls_policy(Condition={"Bool": {"aws:SecureTransport": "false"}, "StringEquals": {"aws:userid": "someone"}})
        ),
        {},
        ["does not deny"],
    ),
    ("s3-tls-only", bucket_with("no JSON"), {}, ["does not deny"]),
    (
        "s3-tls-only",
        [resource(BUCKET, {"bucket": "other"}), resource(POLICY, {"bucket": "chat", "policy": tls_policy()}, name="policy")],
        {},
        ["it has no policy"],
    ),
    ("apigateway-domain-tls", [resource(DOMAIN, {"securityPolicy": "TLS_1_0"})], {}, ["securityPolicy is TLS_1_0"]),
    ("apigateway-domain-tls", [resource(DOMAIN, {})], {}, ["securityPolicy is missing"]),
    ("integration-tls", [resource(INTEGRATION, {"uri": "http://models.example.com/v1"})], {}, ["uri begins with"]),
    ("integration-tls", [resource(INTEGRATION_2, {"integrationUri": "HTTP://models.example.com"})], {}, ["integrationUri"]),
    ("integration-tls", [resource(SOURCE, {"httpConfig": {"endpoint": "http://a.example.com"}})], {}, ["httpConfig.endpoint"]),
    (
        "lb-listener-tls",
        [resource("aws:elb/loadBalancer:LoadBalancer", {"listeners": [{"lbProtocol": "HTTP"}]})],
        {},
        ["classic"],
    ),
    ("lb-listener-tls", listener(protocol="HTTPS", sslPolicy=UNKNOWN), {}, ["sslPolicy is missing"]),
    ("lb-listener-tls", listener(protocol="TLS", sslPolicy="ELBSecurityPolicy-TLS13-1-0-2021-06"), {}, ["TLS13-1-0"]),
    ("lb-listener-tls", listener(protocol="HTTP", defaultActions=[FORWARD]), {}, ["redirect to HTTPS"]),
    ("lb-listener-tls", listener(port=80, defaultActions=[FORWARD]), {}, ["redirect to HTTPS"]),
    ("lb-listener-tls", listener({"internal": True}, protocol="HTTP", defaultActions=[FORWARD]), {"internal": True}, ["HTTPS"]),
    ("lb-listener-tls", listener(protocol="HTTP", defaultActions=[{"type": "redirect", "redirect": {}}]), {}, ["HTTPS"]),
    ("cloudfront-tls", site(defaultCacheBehavior={"viewerProtocolPolicy": "allow-all"}), {}, ["defaultCacheBehavior"]),
    ("cloudfront-tls", site(viewerCertificate={"acmCertificateArn": "arn:…"}), {}, ["minimumProtocolVersion is TLSv1"]),
    ("cloudfront-tls", site(), {"minimum": "TLSv1.3_2025"}, ["minimumProtocolVersion is TLSv1.2_2021"]),
    (
        "cloudfront-tls",
        site(
            origins=[
                {"customOriginConfig": {"originProtocolPolicy": "http-only"}},
                {"customOriginConfig": {"originProtocolPolicy": "https-only", "originSslProtocols": ["TLSv1", "TLSv1.2"]}},
            ]
        ),
        {},
        ["origins[0].customOriginConfig.originProtocolPolicy", "originSslProtocols has TLSv1:"],
    ),
    ("lambda-environment-no-secrets", env(DB_PASSWORD="hunter2"), {}, ["environment.variables.DB_PASSWORD"]),
    ("lambda-environment-no-secrets", env(API_KEY_2="hunter2"), {}, ["environment.variables.API_KEY_2"]),
    ("lambda-environment-no-secrets", env(OPENAI_API_KEY="a-key"), {}, ["OPENAI_API_KEY holds a value in plain text"]),
    ("lambda-environment-no-secrets", env(clientSecret="Zm9v"), {}, ["clientSecret holds"]),
    ("lambda-environment-no-secrets", env(A="AKIAIOSFODNN7EXAMPLE"), {}, ["A holds an AWS access key"]),
    ("lambda-environment-no-secrets", env(A="sk-proj-abcdefghijklmnopqrstuv"), {}, ["a model's provider"]),
    ("lambda-environment-no-secrets", env(A="ghp_" + "a" * 36), {}, ["a GitHub token"]),
    ("lambda-environment-no-secrets", env(A="-----BEGIN RSA PRIVATE KEY-----\nMII"), {}, ["a private key"]),
    ("lambda-environment-no-secrets", env(A="postgres://chat:hunter2@db.internal/chat"), {}, ["a URL with a password"]),
    ("no-secrets-in-plain-text", [resource("aws:ec2/instance:Instance", {"userData": "API_KEY=hunter2"})], {}, ["API_KEY"]),
]

NOT_KNOWN: list[tuple[str, list[Resource], dict[str, Any], str, list[str]]] = [
    ("sqs-encrypted", [resource(QUEUE, {"sqsManagedSseEnabled": False, "kmsMasterKeyId": UNKNOWN})], {}, "kmsMasterKeyId", []),
    ("sns-encrypted", [resource(TOPIC, {"kmsMasterKeyId": UNKNOWN})], {}, "kmsMasterKeyId", []),
    ("dynamodb-kms", [resource(TABLE, {"serverSideEncryption": UNKNOWN})], OWN, "serverSideEncryption", []),
    (
        "ebs-encrypted",
        [resource(INSTANCE, {"rootBlockDevice": UNKNOWN, "ebsBlockDevices": [UNKNOWN, {"encrypted": False}]})],
        {},
        "rootBlockDevice",
        ["ebsBlockDevices[1]"],
    ),
    ("efs-encrypted", [resource(FILES, {"encrypted": UNKNOWN})], {}, "encrypted", []),
    ("eks-secrets-encrypted", [resource(CLUSTER, {"encryptionConfig": UNKNOWN})], {}, "encryptionConfig", []),
    (
        "s3-encryption-not-weakened",
        [resource(SSE, {"rules": [UNKNOWN, {"blockedEncryptionTypes": ["NONE"]}]})],
        {},
        "rules[0]",
        ["SSE-C"],
    ),
    ("kms-rotation", [resource(KEY, {"enableKeyRotation": UNKNOWN})], {}, "enableKeyRotation", []),
    ("log-group-kms", [resource(GROUP, {"kmsKeyId": UNKNOWN})], OWN, "kmsKeyId", []),
    ("s3-tls-only", bucket_with(UNKNOWN), {}, "policy", []),
    (
        "s3-tls-only",
        [
            resource(BUCKET, {"bucket": "chat"}),
            resource(POLICY, {"bucket": UNKNOWN, "policy": tls_policy()}, name="policy"),
        ],
        {},
        "policy.bucket",
        [],
    ),
    ("apigateway-domain-tls", [resource(DOMAIN, {"securityPolicy": UNKNOWN})], {}, "securityPolicy", []),
    ("integration-tls", [resource(INTEGRATION, {"uri": UNKNOWN})], {}, "uri", []),
    (
        "lb-listener-tls",
        [resource(LISTENER, {"protocol": UNKNOWN}), *listener(protocol="HTTP", defaultActions=[FORWARD])],
        {},
        "protocol",
        ["redirect to HTTPS"],
    ),
    (
        "cloudfront-tls",
        site(origins=UNKNOWN, defaultCacheBehavior={"viewerProtocolPolicy": "allow-all"}),
        {},
        "origins",
        ["allow-all"],
    ),
    ("lambda-environment-no-secrets", env(A=UNKNOWN, PASSWORD="hunter2"), {}, "environment.variables.A", ["PASSWORD"]),
    ("no-secrets-in-plain-text", [resource("aws:ec2/instance:Instance", {"userData": UNKNOWN})], {}, "userData", []),
]


def test_a_secret_is_never_shown() -> None:
    for secret in ("hunter2", "AKIAIOSFODNN7EXAMPLE", "sk-proj-abcdefghijklmnopqrstuv"):
        assert all(secret not in line for line in found("lambda-environment-no-secrets", *env(API_TOKEN=secret)))


def test_a_policy_belongs_to_the_bucket_that_it_came_from() -> None:
    one, other = (resource(BUCKET, {"id": UNKNOWN, "policy": UNKNOWN}, name=name) for name in ("one", "other"))
    policy = resource(POLICY, {"bucket": UNKNOWN, "policy": tls_policy()}, dependencies={"bucket": [one]})
    assert found("s3-tls-only", one, policy) == []
    assert len(found("s3-tls-only", one, other, policy)) == 1
    assert unverified(BY_NAME["s3-tls-only"], one, other, policy) == ""


(
    test_every_rule_is_tried_as_good_as_bad_and_as_unknown,
    test_good,
    test_bad,
    test_what_is_not_known_is_said_and_hides_nothing,
) = cases(encryption.RULES, GOOD, BAD, NOT_KNOWN)
