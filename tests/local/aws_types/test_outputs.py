"""The table of computed outputs: AWS's own forms, the same answer each time, and names that the SDK knows."""

import json
import re
from typing import Any

import pulumi
import pytest

from pulumi_llm_local.aws_types.draft import Draft, Place
from pulumi_llm_local.aws_types.registry import TYPES, has_entry, invoke, outputs
from pulumi_llm_local.aws_types.sdk import output_names
from pulumi_llm_local.aws_types.values import SECRET, SIGNATURE, UNKNOWN
from pulumi_llm_local.program.arguments import problems

HERE = Place()
UUID = "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-a[0-9a-f]{3}-[0-9a-f]{12}"
GATEWAY = "arn:aws:apigateway:us-east-1::"
LAMBDA = "arn:aws:lambda:us-east-1:123456789012:"
INVOKE = "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/"
STREAM = "arn:aws:apigateway:us-east-1:lambda:path/2021-11-15/functions/"

# Type, inputs, and the form of the id and of outputs. The logical name is always `chat`.
FORMS: list[tuple[str, dict[str, Any], dict[str, str]]] = [
    (
        "apigateway/restApi:RestApi",
        {},
        {
            "id": "[a-z0-9]{10}",
            "name": "chat-[0-9a-f]{7}",
            "arn": GATEWAY + "/restapis/[a-z0-9]{10}",
            "rootResourceId": "[a-z0-9]{10}",
            "executionArn": "arn:aws:execute-api:us-east-1:123456789012:[a-z0-9]{10}",
        },
    ),
    ("apigateway/resource:Resource", {"restApi": "abc"}, {"id": "[a-z0-9]{6}"}),
    (
        "apigateway/method:Method",
        {"restApi": "abc", "resourceId": "r", "httpMethod": "POST"},
        {"id": "agm-abc-r-POST"},
    ),
    ("apigateway/model:Model", {"restApi": "abc"}, {"name": "chat[0-9a-f]{7}"}),
    (
        "apigateway/methodResponse:MethodResponse",
        {"restApi": "abc", "resourceId": "r", "httpMethod": "POST", "statusCode": "200"},
        {"id": "agmr-abc-r-POST-200"},
    ),
    ("apigateway/authorizer:Authorizer", {"restApi": "abc"}, {"arn": GATEWAY + "/restapis/abc/authorizers/[a-z0-9]{6}"}),
    (
        "apigateway/stage:Stage",
        {"restApi": "abc", "stageName": "v1"},
        {
            "id": "ags-abc-v1",
            "invokeUrl": "https://abc[.]execute-api[.]us-east-1[.]amazonaws[.]com/v1",
            "executionArn": "arn:aws:execute-api:us-east-1:123456789012:abc/v1",
            "arn": GATEWAY + "/restapis/abc/stages/v1",
        },
    ),
    ("apigateway/apiKey:ApiKey", {}, {"id": "[a-z0-9]{10}", "arn": GATEWAY + "/apikeys/[a-z0-9]{10}"}),
    (
        "apigateway/domainName:DomainName",
        {"domainName": "api.example.com"},
        {
            "regionalDomainName": "d-[a-z0-9]{10}[.]execute-api[.]us-east-1[.]amazonaws[.]com",
            "regionalZoneId": "Z[A-Z0-9]{13}",
        },
    ),
    (
        "apigateway/basePathMapping:BasePathMapping",
        {"domainName": "api.example.com", "restApi": "abc"},
        {"id": "api[.]example[.]com/"},
    ),
    (
        "apigatewayv2/api:Api",
        {"protocolType": "WEBSOCKET"},
        {"id": "[a-z0-9]{7}wss", "apiEndpoint": "wss://[a-z0-9]{7}wss[.]execute-api[.]us-east-1[.]amazonaws[.]com"},
    ),
    (
        "apigatewayv2/stage:Stage",
        {"apiId": "1234567wss", "name": "live"},
        {"id": "live", "invokeUrl": "wss://1234567wss[.]execute-api[.]us-east-1[.]amazonaws[.]com/live"},
    ),
    (
        "apigatewayv2/stage:Stage",
        {"apiId": "1234567web", "name": "$default"},
        {"invokeUrl": "https://1234567web[.]execute-api[.]us-east-1[.]amazonaws[.]com/"},
    ),
    (
        "lambda/function:Function",
        {"name": "f", "publish": True},
        {
            "id": "f",
            "arn": LAMBDA + "function:f",
            "version": "1",
            "qualifiedArn": LAMBDA + "function:f:1",
            "invokeArn": INVOKE + LAMBDA + "function:f/invocations",
            "qualifiedInvokeArn": INVOKE + LAMBDA + "function:f:1/invocations",
            "responseStreamingInvokeArn": STREAM + LAMBDA + "function:f/response-streaming-invocations",
            "codeSha256": "[A-Za-z0-9+/]{43}=",
        },
    ),
    ("lambda/function:Function", {}, {"version": "[$]LATEST"}),
    ("lambda/alias:Alias", {"functionName": "f", "name": "live"}, {"arn": LAMBDA + "function:f:live"}),
    (
        "lambda/alias:Alias",
        {"functionName": LAMBDA + "function:f", "name": "live"},
        {"arn": LAMBDA + "function:f:live", "invokeArn": INVOKE + LAMBDA + "function:f:live/invocations"},
    ),
    ("lambda/permission:Permission", {"function": "f"}, {"statementId": "chat-[0-9a-f]{7}"}),
    ("lambda/layerVersion:LayerVersion", {"layerName": "l"}, {"arn": LAMBDA + "layer:l:1", "version": "1"}),
    (
        "lambda/functionUrl:FunctionUrl",
        {"functionName": "f", "qualifier": "live"},
        {
            "id": "f/live",
            "functionArn": LAMBDA + "function:f:live",
            "functionUrl": "https://[a-z0-9]{32}[.]lambda-url[.]us-east-1[.]on[.]aws/",
        },
    ),
    (
        "lambda/eventSourceMapping:EventSourceMapping",
        {"functionName": "f"},
        {"id": UUID, "functionArn": LAMBDA + "function:f", "arn": LAMBDA + f"event-source-mapping:{UUID}"},
    ),
    (
        "iam/role:Role",
        {"path": "/service/"},
        {"arn": "arn:aws:iam::123456789012:role/service/chat-[0-9a-f]{7}", "uniqueId": "AROA[A-Z0-9]{17}"},
    ),
    ("iam/policy:Policy", {}, {"id": "arn:aws:iam::123456789012:policy/chat-[0-9a-f]{7}"}),
    ("iam/rolePolicy:RolePolicy", {"role": "r"}, {"id": "r:chat-[0-9a-f]{7}"}),
    (
        "iam/openIdConnectProvider:OpenIdConnectProvider",
        {"url": "https://oidc.example.com/id/A"},
        {"arn": "arn:aws:iam::123456789012:oidc-provider/oidc[.]example[.]com/id/A"},
    ),
    (
        "dynamodb/table:Table",
        {"streamEnabled": True, "name": "t"},
        {"id": "t", "streamArn": "arn:aws:dynamodb:us-east-1:123456789012:table/t/stream/[0-9T:.-]+"},
    ),
    (
        "cloudwatch/logGroup:LogGroup",
        {"namePrefix": "/aws/lambda/"},
        {"arn": "arn:aws:logs:us-east-1:123456789012:log-group:/aws/lambda/[0-9]{26}"},
    ),
    (
        "cloudwatch/dashboard:Dashboard",
        {"dashboardName": "d"},
        {"dashboardArn": "arn:aws:cloudwatch::123456789012:dashboard/d"},
    ),
    ("kms/key:Key", {}, {"id": UUID, "arn": f"arn:aws:kms:us-east-1:123456789012:key/{UUID}"}),
    (
        "kms/alias:Alias",
        {"targetKeyId": "k"},
        {"id": "alias/chat-[0-9a-f]{7}", "targetKeyArn": "arn:aws:kms:us-east-1:123456789012:key/k"},
    ),
    (
        "sqs/queue:Queue",
        {"fifoQueue": True},
        {"id": "https://sqs[.]us-east-1[.]amazonaws[.]com/123456789012/chat-[0-9a-f]{7}[.]fifo"},
    ),
    ("ssm/parameter:Parameter", {"name": "/a/b"}, {"arn": "arn:aws:ssm:us-east-1:123456789012:parameter/a/b"}),
    (
        "secretsmanager/secret:Secret",
        {},
        {"id": "arn:aws:secretsmanager:us-east-1:123456789012:secret:chat-[0-9a-f]{7}-[a-z0-9]{6}"},
    ),
    (
        "s3/bucket:Bucket",
        {"bucket": "b"},
        {
            "id": "b",
            "arn": "arn:aws:s3:::b",
            "bucketDomainName": "b[.]s3[.]amazonaws[.]com",
            "bucketRegionalDomainName": "b[.]s3[.]us-east-1[.]amazonaws[.]com",
        },
    ),
    ("s3/bucketPolicy:BucketPolicy", {"bucket": "b"}, {"id": "b"}),
    (
        "cloudfront/distribution:Distribution",
        {},
        {
            "id": "E[A-Z0-9]{13}",
            "arn": "arn:aws:cloudfront::123456789012:distribution/E[A-Z0-9]{13}",
            "domainName": "d[a-z0-9]{13}[.]cloudfront[.]net",
        },
    ),
    (
        "wafv2/webAcl:WebAcl",
        {"scope": "CLOUDFRONT", "name": "w", "region": "eu-west-1"},
        {"arn": f"arn:aws:wafv2:us-east-1:123456789012:global/webacl/w/{UUID}"},
    ),
    ("sns/topic:Topic", {}, {"id": "arn:aws:sns:us-east-1:123456789012:chat-[0-9a-f]{7}"}),
    ("ec2/vpc:Vpc", {}, {"id": "vpc-[0-9a-f]{17}", "arn": "arn:aws:ec2:us-east-1:123456789012:vpc/vpc-[0-9a-f]{17}"}),
    ("vpc/securityGroupIngressRule:SecurityGroupIngressRule", {}, {"securityGroupRuleId": "sgr-[0-9a-f]{17}"}),
    (  # a type without an entry
        "kinesis/stream:Stream",
        {},
        {"id": "chat-[0-9a-f]{7}", "arn": "arn:aws:kinesis:us-east-1:123456789012:stream/chat-[0-9a-f]{7}"},
    ),
]


@pytest.mark.parametrize(("kind", "inputs", "forms"), FORMS)
def test_outputs_have_the_form_that_aws_gives_them(kind: str, inputs: dict[str, Any], forms: dict[str, str]) -> None:
    identifier, state = outputs(f"aws:{kind}", "chat", inputs, HERE)
    for key, form in forms.items():
        value = identifier if key == "id" else state[key]
        assert re.fullmatch(form, value), f"{key}: {value} is not {form}"
    assert inputs.items() <= state.items()
    assert None not in state.values()


ENTRIES = sorted(token for token, entry in TYPES.items() if entry.outputs is not None)


@pytest.mark.parametrize("token", ENTRIES)
def test_each_output_of_an_entry_is_one_of_its_class(token: str) -> None:
    missing = [problem.split(": ")[1] for problem in problems(token, {}) if problem.endswith("required, but missing")]
    inputs = dict.fromkeys(missing, "given")
    entry = TYPES[token].outputs
    known = output_names(token) | {"id"}
    assert entry is not None
    assert set(entry(Draft(token, "chat", inputs, HERE)) if callable(entry) else entry) - known == set()

    identifier, state = outputs(token, "chat", inputs, HERE)
    assert identifier
    assert set(state) <= known
    assert None not in state.values()
    assert not re.search(r"\{[\w.]+\}", json.dumps(state) + identifier)


@pytest.mark.parametrize("token", ENTRIES)
def test_the_same_resource_gets_the_same_outputs(token: str) -> None:
    assert outputs(token, "chat", {}, HERE) == outputs(token, "chat", {}, Place())


@pytest.mark.parametrize("token", ["aws:apigateway/restApi:RestApi", "aws:lambda/function:Function", "aws:kms/key:Key"])
def test_name_and_seed_tell_resources_apart(token: str) -> None:
    ids = {outputs(token, name, {}, Place(seed=seed))[0] for name in ("a", "b") for seed in ("", "dev")}
    assert len(ids) == 4


def test_account_and_region_are_the_places_and_a_resources_own_region_goes_first() -> None:
    place = Place(account="210987654321", region="eu-central-1")
    _, state = outputs("aws:sqs/queue:Queue", "q", {"name": "q"}, place)
    assert state["arn"] == "arn:aws:sqs:eu-central-1:210987654321:q"
    assert state["region"] == "eu-central-1"
    _, state = outputs("aws:sqs/queue:Queue", "q", {"name": "q", "region": "us-west-2"}, place)
    assert state["url"] == "https://sqs.us-west-2.amazonaws.com/210987654321/q"
    _, state = outputs("aws:sqs/queue:Queue", "q", {"name": "q", "region": "us-gov-west-1"}, place)
    assert state["arn"].startswith("arn:aws-us-gov:")


def test_what_follows_from_an_unknown_is_unknown() -> None:
    identifier, state = outputs("aws:apigateway/stage:Stage", "s", {"restApi": UNKNOWN, "stageName": "v1"}, HERE)
    assert (identifier, state["invokeUrl"]) == (UNKNOWN, UNKNOWN)
    _, state = outputs("aws:lambda/function:Function", "f", {"name": pulumi.output.UNKNOWN}, HERE)
    assert (state["arn"], state["loggingConfig"]["logGroup"]) == (UNKNOWN, UNKNOWN)
    assert state["timeout"] == 3


def test_inputs_come_back_as_they_were_secrets_included() -> None:
    hidden = {SIGNATURE: SECRET, "value": "q"}
    _, state = outputs("aws:sqs/queue:Queue", "x", {"name": hidden, "tags": {"a": "b"}, "policy": None}, HERE)
    assert state["name"] == hidden
    assert state["arn"].endswith(":q")
    assert state["tagsAll"] == {"a": "b"}
    assert "policy" not in state


def test_a_usage_plan_finds_the_value_of_its_key() -> None:
    key_id, key = outputs("aws:apigateway/apiKey:ApiKey", "k", {}, HERE)
    _, plan_key = outputs("aws:apigateway/usagePlanKey:UsagePlanKey", "p", {"keyId": key_id}, HERE)
    assert key["value"][SIGNATURE] == SECRET
    # The provider does not mark the second one, so the component has to.
    assert key["value"]["value"] == plan_key["value"]
    assert re.fullmatch("[A-Za-z0-9]{40}", key["value"]["value"])


def test_other_packages_resources() -> None:
    identifier, state = outputs("kubernetes:core/v1:ConfigMap", "c", {"metadata": {"labels": {"a": "b"}}}, HERE)
    assert re.fullmatch("default/c-[0-9a-f]{8}", identifier)
    assert state["metadata"]["labels"] == {"a": "b"}
    assert outputs("kubernetes:core/v1:Namespace", "n", {"metadata": {"name": "llm"}}, HERE)[0] == "llm"
    service = {"metadata": {"name": "s", "namespace": "llm"}, "spec": {"type": "LoadBalancer"}}
    identifier, state = outputs("kubernetes:core/v1:Service", "s", service, HERE)
    assert identifier == "llm/s"
    assert state["status"]["loadBalancer"]["ingress"][0]["hostname"].endswith(".elb.us-east-1.amazonaws.com")
    _, state = outputs("kubernetes:helm.sh/v3:Release", "keda", {"namespace": "keda", "chart": "keda"}, HERE)
    assert state["status"]["namespace"] == "keda"
    assert re.fullmatch(UUID, outputs("pulumi:providers:aws", "p", {}, HERE)[0])


def test_a_type_without_an_entry_is_told_and_one_that_does_not_exist_is_an_error() -> None:
    assert has_entry("aws:lambda/function:Function")
    assert not has_entry("aws:kinesis/stream:Stream")
    with pytest.raises(LookupError, match="no such resource"):
        outputs("aws:lambda/function:Fuction", "f", {}, HERE)


def test_invokes_answer_for_the_place() -> None:
    place = Place(account="210987654321", region="ap-southeast-2")
    assert invoke("aws:index/getRegion:getRegion", {}, place)["region"] == "ap-southeast-2"
    assert invoke("aws:index/getRegion:getRegion", {"region": "eu-west-1"}, place)["region"] == "eu-west-1"
    assert invoke("aws:index/getCallerIdentity:getCallerIdentity", {}, place)["accountId"] == "210987654321"
    assert invoke("aws:index/getPartition:getPartition", {}, place)["reverseDnsPrefix"] == "com.amazonaws"
    zones = invoke("aws:index/getAvailabilityZones:getAvailabilityZones", {"state": "available"}, place)
    assert zones["names"] == ["ap-southeast-2a", "ap-southeast-2b", "ap-southeast-2c"]
    assert zones["zoneIds"][0] == "apse2-az1"
    name = {"name": "com.amazonaws.global.cloudfront.origin-facing"}
    assert re.fullmatch("pl-[0-9a-f]{8}", invoke("aws:ec2/getManagedPrefixList:getManagedPrefixList", name, place)["id"])
    caching = invoke("aws:cloudfront/getCachePolicy:getCachePolicy", {"name": "Managed-CachingDisabled"}, place)
    assert caching["id"] == "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"
    image = {"name": "/aws/service/eks/optimized-ami/1.33/image_id"}
    assert re.fullmatch("ami-[0-9a-f]{17}", invoke("aws:ssm/getParameter:getParameter", image, place)["value"])
    with pytest.raises(LookupError, match="aws:ec2/getVpc:getVpc: no answer"):
        invoke("aws:ec2/getVpc:getVpc", {}, place)


def test_a_policy_document_reads_as_iam_writes_it() -> None:
    args = {
        "policyId": "P",
        "sourcePolicyDocuments": [json.dumps({"Statement": {"Sid": "Base", "Effect": "Allow", "Action": "s3:List*"}})],
        "overridePolicyDocuments": [json.dumps({"Statement": [{"Sid": "Base", "Effect": "Deny", "Action": "*"}]})],
        "statements": [
            {
                "sid": "Invoke",
                "actions": ["bedrock:InvokeModel"],
                "resources": ["arn:a", "arn:b"],
                "principals": [
                    {"type": "AWS", "identifiers": ["arn:1", "arn:2"]},
                    {"type": "Service", "identifiers": ["lambda.amazonaws.com"]},
                ],
                "conditions": [
                    {"test": "StringEquals", "variable": "aws:SourceAccount", "values": ["123456789012"]},
                    {"test": "StringLike", "variable": "s3:prefix", "values": ["a/*", "home/&{aws:username}/*"]},
                    {"test": "StringEquals", "variable": "aws:RequestedRegion", "values": ["r1"]},
                ],
            },
            {
                "effect": "Deny",
                "notActions": ["iam:*", "sts:*"],
                "notResources": ["arn:c"],
                "principals": [{"type": "*", "identifiers": ["*"]}],
            },
        ],
    }
    answer = invoke("aws:iam/getPolicyDocument:getPolicyDocument", args, HERE)
    assert json.loads(answer["json"]) == json.loads(answer["minifiedJson"])
    assert json.loads(answer["json"]) == {
        "Version": "2012-10-17",
        "Id": "P",
        "Statement": [
            {"Sid": "Base", "Effect": "Deny", "Action": "*"},
            {
                "Sid": "Invoke",
                "Effect": "Allow",
                "Action": "bedrock:InvokeModel",
                "Resource": ["arn:a", "arn:b"],
                "Principal": {"AWS": ["arn:1", "arn:2"], "Service": "lambda.amazonaws.com"},
                "Condition": {
                    "StringEquals": {"aws:SourceAccount": "123456789012", "aws:RequestedRegion": "r1"},
                    "StringLike": {"s3:prefix": ["a/*", "home/${aws:username}/*"]},
                },
            },
            {"Effect": "Deny", "NotAction": ["iam:*", "sts:*"], "NotResource": "arn:c", "Principal": "*"},
        ],
    }
