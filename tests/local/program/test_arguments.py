"""The checker of arguments: what it must find, and what it must let pass."""

import inspect
import typing
from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
import pytest

from pulumi_llm_local.aws_types.sdk import resource_class
from pulumi_llm_local.aws_types.values import ARCHIVE, OUTPUT_VALUE, SECRET, SIGNATURE, UNKNOWN
from pulumi_llm_local.program.arguments import problems

FUNCTION = "aws:lambda/function:Function"
INTEGRATION = "aws:apigateway/integration:Integration"
ROLE = "aws:iam/role:Role"
QUEUE = "aws:sqs/queue:Queue"
TABLE = "aws:dynamodb/table:Table"
DISTRIBUTION = "aws:cloudfront/distribution:Distribution"
WEB_ACL = "aws:wafv2/webAcl:WebAcl"
BUCKET_OBJECT = "aws:s3/bucketObject:BucketObject"
LIFECYCLE = "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration"

INTEGRATION_INPUTS = {"restApi": "a", "resourceId": "r", "httpMethod": "POST", "type": "AWS_PROXY"}
TRUST = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": "*"}]}
DISTRIBUTION_INPUTS = {
    "enabled": True,
    "origins": [{"domainName": "d", "originId": "o", "originAccessControlId": UNKNOWN}],
    "defaultCacheBehavior": {
        "allowedMethods": ["GET"],
        "cachedMethods": ["GET"],
        "targetOriginId": "o",
        "viewerProtocolPolicy": "https-only",
    },
    "restrictions": {"geoRestriction": {"restrictionType": "none"}},
    "viewerCertificate": {"cloudfrontDefaultCertificate": True},
}
WEB_ACL_INPUTS = {
    "scope": "REGIONAL",
    "defaultAction": {"allow": {}},
    "visibilityConfig": {"cloudwatchMetricsEnabled": True, "metricName": "m", "sampledRequestsEnabled": True},
}


def secret(value: Any) -> dict[str, Any]:
    return {SIGNATURE: SECRET, "value": value}


def without(inputs: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in inputs.items() if key != name}


GOOD: list[tuple[str, dict[str, Any]]] = [
    (FUNCTION, {"role": "arn", "timeout": 30.0, "tracingConfig": {"mode": "Active"}, "layers": ["l"]}),
    (FUNCTION, {"role": secret("arn"), "environment": secret({"variables": {"KEY": secret("v")}})}),
    (FUNCTION, {"role": UNKNOWN, "timeout": UNKNOWN, "layers": [UNKNOWN], "vpcConfig": UNKNOWN}),
    (FUNCTION, {"role": pulumi.output.UNKNOWN, "memorySize": secret(pulumi.output.UNKNOWN)}),
    (FUNCTION, {"role": {SIGNATURE: OUTPUT_VALUE, "secret": True, "dependencies": ["urn"]}}),
    (FUNCTION, {"role": "arn", "code": pulumi.AssetArchive({"a.py": pulumi.StringAsset("")})}),
    (FUNCTION, {"role": "arn", "code": {SIGNATURE: ARCHIVE, "path": "bundle.zip", "hash": "0"}}),
    (FUNCTION, {"role": "arn", "runtime": "python3.13", "publish": True, "tags": {"any key": "value"}}),
    (FUNCTION, {"role": "arn", "handler": None, "__defaults": ["name"]}),
    (BUCKET_OBJECT, {"bucket": "b", "source": pulumi.StringAsset("text")}),
    (BUCKET_OBJECT, {"bucket": "b", "source": pulumi.FileArchive("folder")}),
    (INTEGRATION, INTEGRATION_INPUTS),
    (ROLE, {"assumeRolePolicy": "{}"}),
    (ROLE, {"assumeRolePolicy": TRUST}),
    (DISTRIBUTION, without(DISTRIBUTION_INPUTS, "origins") | {"origins": UNKNOWN}),
    (WEB_ACL, WEB_ACL_INPUTS),
    ("pulumi:providers:aws", {"region": "eu-west-1", "defaultTags": '{"tags": {"a": "b"}}', "maxRetries": "3"}),
]


@pytest.mark.parametrize(("token", "inputs"), GOOD)
def test_good_inputs_pass(token: str, inputs: dict[str, Any]) -> None:
    assert problems(token, inputs) == []


BAD: list[tuple[str, dict[str, Any], list[str]]] = [
    (FUNCTION, {"role": "r", "layer": []}, ["layer: no such argument; did you mean 'layers'?"]),
    (FUNCTION, {"role": "r", "memory_size": 1.0}, ["memory_size: no such argument; did you mean 'memorySize'?"]),
    (FUNCTION, {"role": "r", "zzz": 1.0}, ["zzz: no such argument"]),
    (FUNCTION, {}, ["role: required, but missing"]),
    (FUNCTION, {"role": None}, ["role: required, but missing"]),
    (FUNCTION, {"role": "r", "timeout": "ten"}, ["timeout: must be a number, not 'ten'"]),
    (FUNCTION, {"role": "r", "timeout": True}, ["timeout: must be a number, not true"]),
    (FUNCTION, {"role": "r", "timeout": 1.5}, ["timeout: must be a whole number, not 1.5"]),
    (FUNCTION, {"role": "r", "timeout": secret("hush")}, ["timeout: must be a number, not a secret string"]),
    (FUNCTION, {"role": 7.0}, ["role: must be a string, not 7"]),
    (FUNCTION, {"role": "r", "publish": "true"}, ["publish: must be true or false, not 'true'"]),
    (FUNCTION, {"role": "r", "layers": "l"}, ["layers: must be a list, not 'l'"]),
    (FUNCTION, {"role": "r", "layers": ["l", {}]}, ["layers[1]: must be a string, not a map"]),
    (FUNCTION, {"role": "r", "tags": ["a"]}, ["tags: must be a map, not a list"]),
    (FUNCTION, {"role": "r", "tags": {"a b": 1.0}}, ["tags['a b']: must be a string, not 1"]),
    (
        FUNCTION,
        {"role": "r", "tracingConfig": {"mod": "Active"}},
        ["tracingConfig.mod: no such argument; there is 'mode'", "tracingConfig.mode: required, but missing"],
    ),
    (
        FUNCTION,
        {"role": "r", "tracingConfig": "Active"},
        ["tracingConfig: must be an object with 'mode', not 'Active'"],
    ),
    (
        FUNCTION,
        {"role": "r", "environment": secret({"variables": {"KEY": 1.0}})},
        ["environment.variables.KEY: must be a string, not a secret that is no string"],
    ),
    (
        FUNCTION,
        {"role": "r", "code": "bundle.zip"},
        ["code: must be an archive (pulumi.FileArchive or AssetArchive), not 'bundle.zip'"],
    ),
    (
        FUNCTION,
        {"role": "r", "code": pulumi.StringAsset("")},
        ["code: must be an archive (pulumi.FileArchive or AssetArchive), not an asset"],
    ),
    (INTEGRATION, without(INTEGRATION_INPUTS, "httpMethod"), ["httpMethod: required, but missing"]),
    (QUEUE, {"redrivePolicy": {"maxReceiveCount": 3.0}}, ["redrivePolicy: must be a string, not a map"]),
    (
        TABLE,
        {"attributes": [{"name": "pk"}]},
        ["attributes[0].type: required, but missing"],
    ),
    (
        ROLE,
        {"assumeRolePolicy": {"Version": "2012-10-17", "Statement": [{"Efect": "Allow", "Effect": "Allow"}]}},
        ["assumeRolePolicy.Statement[0].Efect: no such argument; did you mean 'Effect'?"],
    ),
    (
        DISTRIBUTION,
        DISTRIBUTION_INPUTS | {"restrictions": {"geoRestriction": {"restrictionTyp": "none"}}},
        [
            "restrictions.geoRestriction.restrictionTyp: no such argument; there are 'restrictionType' and 'locations'",
            "restrictions.geoRestriction.restrictionType: required, but missing",
        ],
    ),
    (
        WEB_ACL,
        WEB_ACL_INPUTS | {"visibilityConfig": UNKNOWN, "defaultAction": {"allow": {"customRequest": {}}}},
        ["defaultAction.allow.customRequest: no such argument; there is 'customRequestHandling'"],
    ),
    (
        LIFECYCLE,
        {"bucket": "b", "rules": [{"id": "i", "status": "Enabled", "expiration": {"days": "7"}}]},
        ["rules[0].expiration.days: must be a number, not '7'"],
    ),
    (
        "pulumi:providers:aws",
        {"assumeRoles": '[{"role_arn": "r"}]', "maxRetries": "many"},
        [
            "assumeRoles[0].role_arn: no such argument; did you mean 'roleArn'?",
            "maxRetries: must be a number, not 'many'",
        ],
    ),
]


@pytest.mark.parametrize(("token", "inputs", "expected"), BAD)
def test_each_mistake_is_told(token: str, inputs: dict[str, Any], expected: list[str]) -> None:
    assert problems(token, inputs) == [f"{token}: {problem}" for problem in expected]


def test_a_secret_never_shows_its_value() -> None:
    found = problems(FUNCTION, {"role": "r", "timeout": secret("hunter2"), "layers": secret(["hunter2", {}])})
    assert len(found) == 2
    assert "hunter2" not in " ".join(found)


@pytest.mark.parametrize(
    ("token", "text"),
    [
        ("aws:lambda/function:Fuction", "no such resource; did you mean 'aws:lambda/function:Function'"),
        ("aws:lambda/function", "no such resource"),
        ("llm:index:ServerlessBedrockApi", "only 'aws' and 'kubernetes' resources"),
        ("pulumi:pulumi:Stack", "only 'aws' and 'kubernetes' resources"),
    ],
)
def test_a_type_without_a_class_is_an_error(token: str, text: str) -> None:
    with pytest.raises(LookupError, match=text):
        problems(token, {})


SWEPT = {
    "apigateway": "Account ApiKey Authorizer Deployment DomainName Integration Method Model RestApi Stage UsagePlan",
    "apigatewayv2": "Api Integration Route Stage",
    "cloudfront": "Distribution Function OriginAccessControl",
    "cloudwatch": "Dashboard LogGroup MetricAlarm",
    "dynamodb": "Table",
    "ec2": "LaunchTemplate SecurityGroup Subnet Vpc VpcEndpoint",
    "eks": "Cluster NodeGroup",
    "iam": "Policy Role",
    "kms": "Key",
    "lambda": "Alias EventSourceMapping Function FunctionUrl Permission",
    "s3": "Bucket BucketPolicy",
    "secretsmanager": "Secret",
    "sns": "Topic",
    "sqs": "Queue",
    "ssm": "Parameter",
    "wafv2": "WebAcl",
    "bedrock": "Guardrail",
    "budgets": "Budget",
}
"""Per service, the classes that a program of this kind uses."""

SWEPT_TOKENS = [
    f"aws:{service}/{name[0].lower()}{name[1:]}:{name}" for service, names in SWEPT.items() for name in names.split()
]


@pytest.mark.parametrize("token", SWEPT_TOKENS)
def test_every_parameter_of_a_class_is_accepted(token: str) -> None:
    """Sets each parameter to a value of its annotation, and holds what is required against the generated code."""
    cls = resource_class(token)
    initializer = typing.cast(Any, cls)._internal_init
    hints = typing.get_type_hints(initializer, localns={"Output": pulumi.Output, "T": type(None)})
    names = {
        python: member.fget._pulumi_name
        for python, member in inspect.getmembers(cls, lambda member: isinstance(member, property))
        if hasattr(member.fget, "_pulumi_name")
    }
    parameters = set(inspect.signature(initializer).parameters) - {"__self__", "resource_name", "opts", "__props__"}
    inputs = {names[parameter]: sample(hints[parameter]) for parameter in parameters}
    assert problems(token, inputs) == []

    required = {
        names[constant.split("'")[1]]
        for constant in initializer.__code__.co_consts
        if isinstance(constant, str) and constant.startswith("Missing required property")
    }
    assert {problem.removeprefix(f"{token}: ").split(":")[0] for problem in problems(token, {})} == required


def sample(annotation: Any) -> Any:
    """Make a value of a plain kind; an object is left unknown."""
    members = [annotation]
    while typing.get_origin(members[0]) is typing.Union:
        members = [member for member in typing.get_args(members[0]) if member is not type(None)]
    first = typing.get_origin(members[0]) or members[0]
    if first in (str, bool, int, float):
        return {str: "text", bool: True, int: 3.0, float: 0.5}[first]
    if inspect.isclass(first) and issubclass(first, pulumi.Archive):
        return pulumi.FileArchive("folder")
    if inspect.isclass(first) and issubclass(first, pulumi.Asset):
        return pulumi.StringAsset("text")
    if first in (Sequence, list):
        return [UNKNOWN]
    return {"key": UNKNOWN} if first is Mapping else UNKNOWN
