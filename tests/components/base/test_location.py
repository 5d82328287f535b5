"""Where a component is: the Region, partition and account of the AWS provider that makes its resources."""

import json
from collections.abc import Callable
from typing import Any

import pulumi
import pulumi_aws as aws
import pytest

import pulumi_llm
from pulumi_llm.base.location import Location
from support import programs
from support.programs import Recording

ROLE = "arn:aws:iam::210987654321:role/deployment"
SECRET = "arn:aws:secretsmanager:{region}:210987654321:secret:key-AbCdEf"
KEY = "arn:aws:kms:{region}:210987654321:key/1"


class Group(pulumi.ComponentResource):
    def __init__(self, name: str, opts: pulumi.ResourceOptions) -> None:
        super().__init__("test:index:Group", name, {}, opts)


def provider(region: pulumi.Input[str] = "us-west-2") -> aws.Provider:
    """One of the program's own, for another account."""
    return aws.Provider("there", region=region, assume_roles=[aws.ProviderAssumeRoleArgs(role_arn=ROLE)])


def of_a_role() -> pulumi.Output[str]:
    return aws.ssm.Parameter("region", type="String", value="us-west-2").value


def outer() -> Group:
    return Group("outer", pulumi.ResourceOptions(providers={"aws": provider()}))


# Each way in which a program gives a component its provider.
WAYS: dict[str, Callable[[], pulumi.ResourceOptions]] = {
    "provider": lambda: pulumi.ResourceOptions(provider=provider()),
    "providers": lambda: pulumi.ResourceOptions(providers=[provider()]),
    "providers by package": lambda: pulumi.ResourceOptions(providers={"aws": provider()}),
    "a Region that is an Output": lambda: pulumi.ResourceOptions(provider=provider(of_a_role())),
    "a parent's": lambda: pulumi.ResourceOptions(parent=outer()),
    "a parent's parent's": lambda: pulumi.ResourceOptions(parent=Group("inner", pulumi.ResourceOptions(parent=outer()))),
    "beside another package's": lambda: pulumi.ResourceOptions(
        parent=outer(), provider=pulumi.ProviderResource("other", "other", {})
    ),
}


def located(recording: Recording, name: str) -> dict[str, Any]:
    """Where the parts of a chat API are that name a Region, a partition or an account."""
    (layer,) = recording.inputs(f"{name}-function")["layers"]
    bedrock = json.loads(recording.inputs(f"{name}-bedrock-policy")["policy"])["Statement"]
    secrets = json.loads(recording.inputs(f"{name}-secrets-policy")["policy"])["Statement"]
    (decrypt,) = (statement for statement in secrets if statement["Sid"] == "DecryptSecrets")
    profiles = next(statement for statement in bedrock if statement["Sid"] == "InvokeProfiles")
    uri = recording.inputs(f"{name}-integration-chat")["uri"]
    return {
        "layer": layer.split(":")[1:4],
        "integration": uri.split(":")[1:4],
        "function": uri.split(":function:")[0].rpartition("arn:")[2].split(":"),
        "profile": profiles["Resource"][0].split(":")[1:5],
        "key used by": decrypt["Condition"]["StringEquals"]["kms:ViaService"].split(".")[1],
    }


def where(region: str, account: str, partition: str = "aws") -> dict[str, Any]:
    return {
        "layer": [partition, "lambda", region],
        "integration": [partition, "apigateway", region],
        "function": [partition, "lambda", region, account],
        "profile": [partition, "bedrock", region, account],
        "key used by": region,
    }


def chat(name: str, region: str, opts: pulumi.ResourceOptions | None = None, **args: Any) -> None:
    claude = {"type": "anthropic", "secret_arn": SECRET.format(region=region), "kms_key_arn": KEY.format(region=region)}
    target = {"provider": "claude", "model": "c", "context_tokens": 9_000, "max_output_tokens": 900}
    models = [{"name": "haiku", "model": "claude-haiku-4-5"}, {"name": "own", "targets": [target]}]
    programs.chat(name, opts, models=models, providers={"claude": claude}, **args)


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_two_components_in_two_regions_each_follow_their_provider(way: Callable[[], pulumi.ResourceOptions]) -> None:
    def program() -> None:
        chat("here", "us-east-1")
        chat("there", "us-west-2", way())

    recording = programs.run(program, config={"aws:region": "us-east-1"})
    assert located(recording, "here") == where("us-east-1", "123456789012")
    assert located(recording, "there") == where("us-west-2", "210987654321")


def test_the_partition_is_the_providers() -> None:
    """A Region that has the models, and a Web Adapter of the user's own, as AWS publishes none there."""

    def program() -> None:
        there = pulumi.ResourceOptions(provider=aws.Provider("there", region="us-gov-west-1"))
        own = "arn:aws-us-gov:lambda:us-gov-west-1:123456789012:layer:adapter:1"
        pulumi_llm.ServerlessBedrockApi("chat", {"models": ["mock"], "web_adapter_layer_arn": own}, there)
        pulumi_llm.AccountBaseline("account", {"api_gateway_logs": True}, there)

    recording = programs.run(program)
    assert recording.inputs("chat-integration-chat")["uri"].startswith("arn:aws-us-gov:apigateway:us-gov-west-1:lambda:path/")
    arn = recording.inputs("account-api-gateway-policy")["policyArn"]
    assert arn == "arn:aws-us-gov:iam::aws:policy/service-role/AmazonAPIGatewayPushToCloudWatchLogs"


@pytest.mark.parametrize(
    ("region", "args", "problems"),
    [
        ("us-west-2", {"region": "us-east-1"}, {"region": "is us-east-1, but the component's AWS provider is in us-west-2"}),
        ("cn-north-1", {}, {"region": "cn-north-1 is in the partition aws-cn, which has no Bedrock"}),
        ("us-gov-west-1", {}, {"web_adapter_layer_arn": "is required in us-gov-west-1"}),
    ],
)
def test_what_cannot_work_there_is_refused(region: str, args: dict[str, Any], problems: dict[str, str]) -> None:
    def program() -> None:
        there = aws.Provider("there", region=region)
        pulumi_llm.ServerlessBedrockApi("chat", {"models": ["mock"], **args}, pulumi.ResourceOptions(provider=there))  # type: ignore[typeddict-item]

    with pytest.raises(pulumi.InputPropertiesError) as error:
        programs.run(program)
    found = {detail["property_path"]: detail["reason"] for detail in error.value.errors or []}
    assert list(found) == list(problems)
    assert all(found[path].startswith(reason) for path, reason in problems.items())


@pytest.mark.parametrize(
    ("region", "partition"),
    [("us-west-2", "aws"), ("cn-north-1", "aws-cn"), ("us-gov-east-1", "aws-us-gov"), ("us-isob-east-1", "aws-iso-b")],
)
def test_a_regions_name_tells_its_partition(region: str, partition: str) -> None:
    assert Location.of(region) == (region, partition)
