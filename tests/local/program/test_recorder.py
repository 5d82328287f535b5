"""What a program registers is recorded as a provider gets it from the engine: resources as their ids, documents as text."""

import json
from typing import Any

import pulumi
import pulumi_aws as aws
import pytest

from pulumi_llm_local.aws_types.values import UNKNOWN
from support import programs

ALLOW: dict[str, Any] = {"Effect": "Allow", "Action": "sqs:SendMessage"}


@pytest.mark.parametrize("preview", [False, True])
def test_a_resource_as_an_input_is_its_id(preview: bool) -> None:
    def program() -> None:
        role = aws.iam.Role("role", assume_role_policy="{}")
        aws.iam.RolePolicy("policy", role=role, policy="{}")
        group = pulumi.ComponentResource("a:b:Group", "group")
        aws.ssm.Parameter("urn", type="String", value=pulumi.Output.from_input(group).urn)

    recorded = programs.run(program, preview=preview)
    assert recorded.inputs("policy")["role"] == (UNKNOWN if preview else recorded.named("role").id)


def test_a_policy_given_as_an_object_is_text() -> None:
    def program() -> None:
        queue = aws.sqs.Queue("queue")
        document = {"Version": "2012-10-17", "Statement": [{**ALLOW, "Resource": queue.arn}]}
        aws.iam.Policy("plain", policy=document)
        aws.iam.Policy("secret", policy=pulumi.Output.secret(document))
        aws.iam.Policy("within", policy={**document, "Id": pulumi.Output.secret("x")})

    recorded = programs.run(program)
    arn = recorded.named("queue").state["arn"]
    document = {"Version": "2012-10-17", "Statement": [{**ALLOW, "Resource": arn}]}
    assert json.loads(recorded.inputs("plain")["policy"]) == document
    for name, extra in (("secret", {}), ("within", {"Id": "x"})):
        value = recorded.named(name).inputs["policy"]
        assert programs.is_secret(value)
        assert json.loads(value["value"]) == {**document, **extra}
    late = programs.run(program, preview=True)
    assert late.inputs("plain")["policy"] == UNKNOWN
