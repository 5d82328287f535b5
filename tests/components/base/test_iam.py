"""The policy documents: what a function may call, and nothing else."""

import re
from typing import Any

import pytest

from pulumi_llm.base.iam import INVOKE, allow, assume_role, invoke_models, policy_document, read_secrets, write_logs
from pulumi_llm.base.location import Location
from pulumi_llm.models.resolve import Asked, BedrockModel, Bounds, resolve

REGION, ACCOUNT = "us-east-1", "123456789012"
HERE = Location.of(REGION)
HAIKU = "anthropic.claude-haiku-4-5-20251001-v1:0"
OWN = f"arn:aws:bedrock:{REGION}:{ACCOUNT}"
APPLICATION = f"{OWN}:application-inference-profile/a1b2c3d4e5f6"
IMPORTED = f"{OWN}:imported-model/abcdefghijkl"
ROUTER = f"{OWN}:prompt-router/a1b2c3d4e5f6"
PROVISIONED = f"{OWN}:provisioned-model/mnopqrstuvwx"


def foundation(model: str, *regions: str) -> list[str]:
    return [f"arn:aws:bedrock:{region}::foundation-model/{model}" for region in regions]


def statement(sid: str, resources: list[str], profile: str = "", router: str = "") -> dict[str, Any]:
    invoke = ["bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream"]
    key = "bedrock:InferenceProfileArn" if profile else "bedrock:PromptRouterArn"
    paired = {"Condition": {"StringEquals": {key: profile or router}}} if profile or router else {}
    return {"Sid": sid, "Effect": "Allow", "Action": invoke, "Resource": resources, **paired}


def asked(name: str, region: str = REGION, **more: Any) -> BedrockModel:
    return resolve(name, Asked(*Location.of(region), **more))


def mixture() -> list[BedrockModel]:
    return [
        asked("gpt-oss-20b"),
        asked("deepseek-v3-2"),
        asked("claude-haiku-4-5"),
        asked(APPLICATION, base_model="llama-3-3-70b"),
        asked(IMPORTED, base_model="deepseek-r1-distill-llama-8b"),
        asked(PROVISIONED, base_model="llama-3-3-70b"),
        asked(f"global.{HAIKU}"),
        asked(ROUTER, router_models=("us.amazon.nova-pro-v1:0", "gpt-oss-120b")),
    ]


@pytest.mark.assumes("profile-statements")
@pytest.mark.assumes("router-statements")
def test_each_model_is_allowed_as_it_is_called() -> None:
    llama = foundation("meta.llama3-3-70b-instruct-v1:0", "us-east-1", "us-east-2", "us-west-2")
    everywhere, geographic = f"{OWN}:inference-profile/global.{HAIKU}", f"{OWN}:inference-profile/us.{HAIKU}"
    assert invoke_models(mixture(), HERE, ACCOUNT) == [
        # Without a profile: the foundation models in this Region alone, and the account's own models.
        statement(
            "InvokeModels",
            [
                IMPORTED,
                ROUTER,
                PROVISIONED,
                *foundation("deepseek.v3.2", REGION),
                *foundation("openai.gpt-oss-20b-1:0", REGION),
            ],
        ),
        # The profiles themselves, unconditionally: AWS does not send the condition's key for them.
        statement("InvokeProfiles", [APPLICATION, everywhere, geographic]),
        # The models behind a profile, only through it.
        statement("InvokeModelsOfProfile1", llama, APPLICATION),
        # A global one's: the model in the Region of the call, and the one without a Region.
        statement("InvokeModelsOfProfile2", foundation(HAIKU, "", "us-east-1"), everywhere),
        statement("InvokeModelsOfProfile3", foundation(HAIKU, "us-east-1", "us-east-2", "us-west-2"), geographic),
        # What is behind a prompt router, only through it.
        statement(
            "InvokeModelsOfRouter1",
            [
                f"{OWN}:inference-profile/us.amazon.nova-pro-v1:0",
                *foundation("amazon.nova-pro-v1:0", "us-east-1"),
                *foundation("openai.gpt-oss-120b-1:0", "us-east-1"),
                *foundation("amazon.nova-pro-v1:0", "us-east-2", "us-west-2"),
            ],
            router=ROUTER,
        ),
    ]


# https://docs.aws.amazon.com/bedrock/latest/userguide/geographic-cross-region-inference.html asks for the model in the source
# Region too, which is not a destination of every profile that it calls.
@pytest.mark.assumes("profile-statements")
@pytest.mark.parametrize("region", ["us-west-1", "ca-west-1", "us-east-2"])
def test_the_model_in_the_source_region_is_allowed(region: str) -> None:
    (*_, paired) = invoke_models([asked("us.anthropic.claude-haiku-5-5", region)], Location.of(region), ACCOUNT)
    regions = {arn.split(":")[3] for arn in paired["Resource"]}
    assert regions == {region, "us-east-1", "us-east-2", "us-west-2"}


def test_arns_are_in_the_regions_partition() -> None:
    region, bounds = "us-gov-west-1", Bounds(context_tokens=9, max_output_tokens=9)
    model = asked("us-gov.acme.chat-2", region, destination_regions=("us-gov-east-1",), bounds=bounds)
    arns = [arn for statement in invoke_models([model], Location.of(region), ACCOUNT) for arn in statement["Resource"]]
    assert arns
    assert all(arn.startswith("arn:aws-us-gov:bedrock:us-gov-") for arn in arns)


def test_the_order_of_the_models_and_repeats_change_nothing() -> None:
    models = mixture()
    assert invoke_models([*reversed(models), models[0]], HERE, ACCOUNT) == invoke_models(models, HERE, ACCOUNT)


def test_a_statement_is_there_only_where_it_allows_something() -> None:
    direct, through = asked("gpt-oss-20b"), asked("claude-haiku-4-5")
    assert [s["Sid"] for s in invoke_models([direct], HERE, ACCOUNT)] == ["InvokeModels"]
    assert [s["Sid"] for s in invoke_models([through], HERE, ACCOUNT)] == ["InvokeProfiles", "InvokeModelsOfProfile1"]
    assert invoke_models([], HERE, ACCOUNT) == []


@pytest.mark.parametrize("models", [mixture(), [asked("claude-haiku-4-5")]], ids=["mixture", "one profile"])
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
