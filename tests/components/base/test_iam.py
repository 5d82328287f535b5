"""The policy documents: what a function may call, and nothing else."""

import re
from typing import Any

import pytest

from pulumi_llm.base.iam import INVOKE, allow, assume_role, invoke_models, policy_document, read_secrets, write_logs
from pulumi_llm.base.location import Location
from pulumi_llm.models.catalogue import BedrockModel, resolve

REGION, ACCOUNT = "us-east-1", "123456789012"
HERE = Location.of(REGION)
HAIKU = "anthropic.claude-haiku-4-5-20251001-v1:0"
OWN = f"arn:aws:bedrock:{REGION}:{ACCOUNT}"
APPLICATION = f"{OWN}:application-inference-profile/a1b2c3d4e5f6"
IMPORTED = f"{OWN}:imported-model/abcdefghijkl"
PROVISIONED = f"{OWN}:provisioned-model/mnopqrstuvwx"


def foundation(model: str, *regions: str) -> list[str]:
    return [f"arn:aws:bedrock:{region}::foundation-model/{model}" for region in regions]


def statement(sid: str, resources: list[str], profile: str = "") -> dict[str, Any]:
    invoke = ["bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream"]
    paired = {"Condition": {"StringEquals": {"bedrock:InferenceProfileArn": profile}}} if profile else {}
    return {"Sid": sid, "Effect": "Allow", "Action": invoke, "Resource": resources, **paired}


def mixture() -> list[BedrockModel]:
    return [
        resolve("gpt-oss-20b", REGION),
        resolve("deepseek-v3-2", REGION),
        resolve("claude-haiku-4-5", REGION),
        resolve(APPLICATION, REGION, base_model="llama-3-3-70b"),
        resolve(IMPORTED, REGION, base_model="deepseek-r1-distill-llama-8b"),
        resolve(PROVISIONED, REGION, base_model="llama-3-3-70b"),
        resolve(f"global.{HAIKU}", REGION, destination_regions=["us-east-1", "eu-west-1"]),
    ]


@pytest.mark.assumes("profile-statements")
def test_each_model_is_allowed_as_it_is_called() -> None:
    llama = foundation("meta.llama3-3-70b-instruct-v1:0", "us-east-1", "us-east-2", "us-west-2")
    everywhere, geographic = f"{OWN}:inference-profile/global.{HAIKU}", f"{OWN}:inference-profile/us.{HAIKU}"
    assert invoke_models(mixture(), HERE, ACCOUNT) == [
        # Without a profile: the foundation models in this Region alone, and the account's own models.
        statement(
            "InvokeModels",
            [
                IMPORTED,
                PROVISIONED,
                *foundation("deepseek.v3.2", REGION),
                *foundation("openai.gpt-oss-20b-1:0", REGION),
            ],
        ),
        # The profiles themselves, unconditionally: AWS does not send the condition's key for them.
        statement("InvokeProfiles", [APPLICATION, everywhere, geographic]),
        # The models behind a profile, only through it.
        statement("InvokeModelsOfProfile1", llama, APPLICATION),
        statement("InvokeModelsOfProfile2", sorted(foundation(HAIKU, "us-east-1", "eu-west-1", "")), everywhere),
        statement("InvokeModelsOfProfile3", foundation(HAIKU, "us-east-1", "us-east-2", "us-west-2"), geographic),
    ]


def test_the_order_of_the_models_and_repeats_change_nothing() -> None:
    models = mixture()
    assert invoke_models([*reversed(models), models[0]], HERE, ACCOUNT) == invoke_models(models, HERE, ACCOUNT)


def test_a_statement_is_there_only_where_it_allows_something() -> None:
    direct, through = resolve("gpt-oss-20b", REGION), resolve("claude-haiku-4-5", REGION)
    assert [s["Sid"] for s in invoke_models([direct], HERE, ACCOUNT)] == ["InvokeModels"]
    assert [s["Sid"] for s in invoke_models([through], HERE, ACCOUNT)] == ["InvokeProfiles", "InvokeModelsOfProfile1"]
    assert invoke_models([], HERE, ACCOUNT) == []


@pytest.mark.parametrize("models", [mixture(), [resolve("claude-haiku-4-5", REGION)]], ids=["mixture", "one profile"])
def test_a_document_of_them_is_one_that_iam_takes(models: list[BedrockModel]) -> None:
    statements = policy_document(*invoke_models(models, HERE, ACCOUNT))["Statement"]
    sids = [statement["Sid"] for statement in statements]
    assert len(set(sids)) == len(sids)
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_sid.html
    assert all(re.fullmatch("[A-Za-z0-9]+", sid) for sid in sids)
    assert all(statement["Action"] == INVOKE and statement["Resource"] for statement in statements)
    assert not any("*" in arn for statement in statements for arn in statement["Resource"])


@pytest.mark.assumes("secret-arn")
def test_secrets_are_read_and_decrypted_through_secrets_manager_alone() -> None:
    secret, key = "arn:of:secret-AbCdEf", "arn:of:key"
    assert read_secrets([], [], REGION) == []
    assert [s["Sid"] for s in read_secrets([secret], [], REGION)] == ["ReadSecrets"]
    read, decrypt = read_secrets([secret], [key], REGION)
    assert (read["Action"], read["Resource"]) == (["secretsmanager:GetSecretValue"], [secret])
    assert (decrypt["Action"], decrypt["Resource"]) == (["kms:Decrypt"], [key])
    # Without it the key would decrypt whatever else it has encrypted.
    assert decrypt["Condition"] == {"StringEquals": {"kms:ViaService": f"secretsmanager.{REGION}.amazonaws.com"}}


def test_the_small_documents() -> None:
    assert policy_document() == {"Version": "2012-10-17", "Statement": []}
    assert assume_role("lambda.amazonaws.com") == {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "lambda.amazonaws.com"}}],
    }
    # The group exists already, so that its retention is ours: the function may not make one.
    assert write_logs("arn:of:group:*") == {
        "Sid": "Logs",
        "Effect": "Allow",
        "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
        "Resource": "arn:of:group:*",
    }
    assert "Condition" not in allow("Sid", ["s3:GetObject"], "arn")
    assert allow("Sid", ["s3:GetObject"], "arn", {"Bool": {}})["Condition"] == {"Bool": {}}
