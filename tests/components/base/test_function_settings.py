"""What a user adds to a function: a network, policies and environment variables."""

import json
from typing import Any

import pulumi
import pulumi_aws as aws
import pytest

from llm_gateway import environment as variables
from pulumi_llm.base.function_settings import ENVIRONMENT_BYTES, OWN_ENVIRONMENT_BYTES
from support import programs
from support.programs import run_chat

VPC = {"subnet_ids": ["subnet-0a", "subnet-0b"], "security_group_ids": ["sg-0a"]}
JWT = {"issuer": "https://id.example.com", "audiences": ["chat"]}
STATEMENT = {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": "arn:aws:sqs:us-east-1:123456789012:q"}


def test_a_function_runs_in_the_vpc_and_its_role_may_what_lambda_asks_for() -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html#configuration-vpc-permissions"""
    recording = run_chat(vpc=VPC)
    function = recording.named("chat-function")
    assert function.inputs["vpcConfig"] == {"subnetIds": ["subnet-0a", "subnet-0b"], "securityGroupIds": ["sg-0a"]}
    assert recording.named("chat-vpc-policy").urn in function.dependencies, "Lambda checks the role when the function is made"
    allowed, denied = json.loads(recording.inputs("chat-vpc-policy")["policy"])["Statement"]
    actions = {"AssignPrivateIpAddresses", "CreateNetworkInterface", "DeleteNetworkInterface", "DescribeNetworkInterfaces"}
    assert set(allowed["Action"]) == {f"ec2:{action}" for action in actions | {"DescribeSubnets", "UnassignPrivateIpAddresses"}}
    assert allowed["Resource"] == "*"
    assert (denied["Effect"], denied["Action"]) == ("Deny", allowed["Action"]), "the function's code needs none of them"
    assert list(denied["Condition"]) == ["ArnLike"]
    assert "vpcConfig" not in recording.inputs("chat-authorizer-function"), "it reads a table, and answers sooner outside"


@pytest.mark.parametrize(("jwt", "inside"), [({}, False), ({"in_vpc": True}, True)])
def test_an_authorizer_is_in_the_vpc_where_its_issuer_is_reached_from_there(jwt: dict[str, Any], inside: bool) -> None:
    recording = run_chat(auth="jwt", jwt={**JWT, **jwt}, vpc=VPC)
    assert ("vpcConfig" in recording.inputs("chat-authorizer-function")) == inside
    assert ("chat-authorizer-vpc-policy" in recording.names()) == inside


@pytest.mark.parametrize("preview", [False, True])
def test_a_network_and_policies_of_the_same_program_are_taken(preview: bool) -> None:
    """An Output in a list, and one that is the whole list, as a component's outputs are."""

    def program() -> None:
        subnets = [aws.ec2.Subnet(name, vpc_id="vpc-0a", cidr_block=f"10.0.{i}.0/24") for i, name in enumerate("ab")]
        group = aws.ec2.SecurityGroup("group", vpc_id="vpc-0a")
        queue, policy = aws.sqs.Queue("queue"), aws.iam.Policy("policy", policy="{}")
        programs.chat(
            vpc={
                "subnet_ids": pulumi.Output.all(*(subnet.id for subnet in subnets)),
                "security_group_ids": [group.id],
            },
            policies={"managed": {"own": policy.arn}, "inline": {"queue": [{**STATEMENT, "Resource": queue.arn}]}},
            environment={"QUEUE": queue.url},
        )

    recording = programs.run(program, preview=preview)
    function = recording.inputs("chat-function")
    if preview:
        assert programs.holds_unknown(function["vpcConfig"]["subnetIds"])
        return
    assert function["vpcConfig"]["subnetIds"] == [recording.named(name).id for name in "ab"]
    assert function["vpcConfig"]["securityGroupIds"] == [recording.named("group").id]
    assert function["environment"]["variables"]["QUEUE"] == recording.named("queue").state["url"]
    assert recording.inputs("chat-managed-policy-own")["policyArn"] == recording.named("policy").state["arn"]
    (statement,) = json.loads(recording.inputs("chat-inline-policy-queue")["policy"])["Statement"]
    assert statement == {**STATEMENT, "Resource": recording.named("queue").state["arn"]}
    for name in ("chat-managed-policy-own", "chat-inline-policy-queue"):
        assert recording.named(name).urn in recording.named("chat-function").dependencies


def test_variables_stand_beside_the_component_s_own() -> None:
    plain = run_chat().inputs("chat-function")["environment"]["variables"]
    added = {"LOG_LEVEL": "debug", "CERTIFICATE": "-----BEGIN\nEND-----", "EMPTY": ""}
    assert run_chat(environment=added).inputs("chat-function")["environment"]["variables"] == {**plain, **added}


ROOM = ENVIRONMENT_BYTES - OWN_ENVIRONMENT_BYTES


def lines(**args: Any) -> list[str]:
    with pytest.raises(pulumi.InputPropertiesError) as error:
        run_chat(**args)
    return [f"{detail['property_path']}: {detail['reason']}" for detail in error.value.errors or []]


@pytest.mark.parametrize("name", [variables.KEYS_TABLE, variables.AUTHORIZATION, variables.DEBUG, "PROVIDER_X_BASE_URL"])
def test_the_component_s_own_variables_are_refused_by_name(name: str) -> None:
    assert lines(environment={name: "x"}) == [
        f"environment.{name}: {name!r} is a variable of the component's own; give another name"
    ]


@pytest.mark.parametrize("name", ["AWS_REGION", "AWS_LAMBDA_EXEC_WRAPPER", "LAMBDA_TASK_ROOT"])
def test_lambda_s_own_variables_are_refused_by_name(name: str) -> None:
    assert lines(environment={name: "x"}) == [
        f"environment.{name}: {name!r} is a name that Lambda keeps for itself; give another name"
    ]


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ({"environment": {"A": "x"}}, "environment.A: 'A' is not of the form of a variable's name"),
        ({"environment": {"A-B": "x"}}, "environment.A-B: 'A-B' is not of the form of a variable's name"),
        ({"environment": {"AB": 1}}, "environment.AB: must be a string, not 1"),
        ({"environment": {"AB": b"x"}}, "environment.AB: must be a string, not a bytes"),
        ({"environment": {"AB": "x" * (ROOM - 1)}}, f"environment: takes {ROOM + 1:,} bytes, and with the component's"),
        ({"vpc": {**VPC, "subnet_ids": []}}, "vpc.subnet_ids: must hold at least one"),
        ({"vpc": {"subnet_ids": ["subnet-0a"]}}, "vpc.security_group_ids: is required, but not given"),
        ({"vpc": {**VPC, "security_group_ids": ["subnet-0a"]}}, "vpc.security_group_ids[0]: 'subnet-0a' is not of the form"),
        ({"vpc": {**VPC, "security_group_ids": ["sg-0a"] * 6}}, "vpc.security_group_ids: must hold at most 5, not 6"),
        ({"auth": "jwt", "jwt": {**JWT, "in_vpc": True}}, "jwt.in_vpc: needs vpc"),
        ({"policies": {"managed": {"a": "nope"}}}, "policies.managed.a: 'nope' is not of the form of the ARN of a managed"),
        ({"policies": {"inline": {"a": []}}}, "policies.inline.a: must hold at least one"),
        (
            {"policies": {"inline": {"a": ["sqs:SendMessage"]}}},
            "policies.inline.a: statement 0 must hold keys and values, such as Effect, Action and Resource",
        ),
        (
            {"policies": {"inline": {"a": [{"effect": "Allow"}]}}},
            "policies.inline.a: statement 0 has the element 'effect'; did you mean 'Effect'?",
        ),
        (
            {"policies": {"inline": {"a": [STATEMENT, {"Effect": "Allow", "Action": "sqs:SendMessage"}]}}},
            "policies.inline.a: statement 1 must have Resource or NotResource, one of them",
        ),
        (
            {"policies": {"inline": {"a": [{**STATEMENT, "Sid": "x" * 9_000}]}}},
            "policies.inline: have 9,1",
        ),
    ],
)
def test_what_aws_would_refuse_is_refused_up_front(args: dict[str, Any], expected: str) -> None:
    (found,) = lines(**args)
    assert found.startswith(expected)
