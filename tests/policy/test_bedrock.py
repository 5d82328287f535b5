"""Each rule about Bedrock, by a table of resources: what it passes, what it finds, and what it cannot tell."""

import json
from typing import Any

import pytest

from llm_policies import bedrock
from llm_policies.bedrock import RULES
from llm_policies.rule import Resource
from llm_policies.testing import UNKNOWN, problems, resource, unverified
from support.policies import BY_NAME

INVOKE = ["bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream"]
HAIKU = "anthropic.claude-haiku-4-5-20251001-v1:0"
PROFILE = f"arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.{HAIKU}"
ROUTER = "arn:aws:bedrock:us-east-1:123456789012:prompt-router/abcdefghijkl"
GLOBAL = f"arn:aws:bedrock:us-east-1:123456789012:inference-profile/global.{HAIKU}"
PAIRED = {"StringEquals": {"bedrock:InferenceProfileArn": PROFILE}}


def model(region: str = "us-east-1", name: str = HAIKU, partition: str = "aws") -> str:
    return f"arn:{partition}:bedrock:{region}::foundation-model/{name}"


def allow(resources: Any, actions: Any = INVOKE, condition: Any = None, **more: Any) -> dict[str, Any]:
    statement = {"Effect": "Allow", "Action": actions, "Resource": resources, **more}
    return statement if condition is None else {**statement, "Condition": condition}


def policy(*statements: Any, text: bool = False) -> Resource:
    document = {"Version": "2012-10-17", "Statement": list(statements)}
    return resource("aws:iam/rolePolicy:RolePolicy", {"role": "chat", "policy": json.dumps(document) if text else document})


def role(*statements: Any, **more: Any) -> Resource:
    document = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
    return resource("aws:iam/role:Role", {"inlinePolicies": [{"name": "models", "policy": document}], **more})


def attached(arn: Any) -> Resource:
    return resource("aws:iam/rolePolicyAttachment:RolePolicyAttachment", {"role": "chat", "policyArn": arn})


BOTH = [allow(PROFILE), allow([model(), model("us-east-2")], condition=PAIRED)]
ONLY_CLAUDE = {"models": ["anthropic.*", "imported-model/*"]}

# rule, what is looked at, "good" | "bad" | "unknown", how many problems, settings
CASES: dict[str, tuple[str, Resource, str, int, dict[str, Any]]] = {
    # bedrock-model-scope
    "exact model": ("bedrock-model-scope", policy(allow(model())), "good", 0, {}),
    "exact model in text": ("bedrock-model-scope", policy(allow(model()), text=True), "good", 0, {}),
    "another partition": ("bedrock-model-scope", policy(allow(model("us-gov-west-1", partition="aws-us-gov"))), "good", 0, {}),
    "profile and models": ("bedrock-model-scope", policy(*BOTH), "good", 0, {}),
    "region-less model of a global profile": ("bedrock-model-scope", policy(allow(model(""))), "good", 0, {}),
    "paired models in every region": ("bedrock-model-scope", policy(allow(model("*"), condition=PAIRED)), "good", 0, {}),
    "deny of everything": (
        "bedrock-model-scope",
        policy({"Effect": "Deny", "Action": "bedrock:*", "Resource": "*"}),
        "good",
        0,
        {},
    ),
    "reading models": ("bedrock-model-scope", policy(allow("*", "bedrock:ListFoundationModels")), "good", 0, {}),
    "guardrails": (
        "bedrock-model-scope",
        policy(allow("arn:aws:bedrock:us-east-1:123456789012:guardrail/*", [*INVOKE, "bedrock:ApplyGuardrail"])),
        "good",
        0,
        {},
    ),
    "own profiles by tag": (
        "bedrock-model-scope",
        policy(allow("*", condition={"StringEquals": {"aws:ResourceTag/Project": "chat"}})),
        "good",
        0,
        {},
    ),
    "no JSON": ("bedrock-model-scope", resource("aws:iam/policy:Policy", {"policy": "none"}), "good", 0, {}),
    "customer's policy": ("bedrock-model-scope", attached("arn:aws:iam::123456789012:policy/models"), "good", 0, {}),
    "everything": ("bedrock-model-scope", policy(allow("*")), "bad", 1, {}),
    "everything by a role": ("bedrock-model-scope", role(allow("*")), "bad", 1, {}),
    "all of Bedrock": ("bedrock-model-scope", policy(allow("arn:aws:bedrock:*", "bedrock:*")), "bad", 1, {}),
    "a shorter pattern": ("bedrock-model-scope", policy(allow("arn:aws:b*", "*")), "bad", 1, {}),
    "lower case": ("bedrock-model-scope", policy(allow("*", "bedrock:invokemodel")), "bad", 1, {}),
    "every region": ("bedrock-model-scope", policy(allow(model("*"))), "bad", 1, {}),
    "every region, paired with anything": (
        "bedrock-model-scope",
        policy(allow(model("*"), condition={"StringLike": {"bedrock:InferenceProfileArn": "*"}})),
        "bad",
        1,
        {},
    ),
    "a condition that a missing key passes": (
        "bedrock-model-scope",
        policy(allow(model("*"), condition={"StringEqualsIfExists": {"bedrock:InferenceProfileArn": PROFILE}})),
        "bad",
        1,
        {},
    ),
    "a quantifier that a missing key passes": (
        "bedrock-model-scope",
        policy(allow(model("*"), condition={"ForAllValues:StringEquals": {"bedrock:InferenceProfileArn": [PROFILE]}})),
        "bad",
        1,
        {},
    ),
    "unknown document of a role beside everything": (
        "bedrock-model-scope",
        resource("aws:iam/role:Role", {"inlinePolicies": [{"policy": UNKNOWN}, {"policy": {"Statement": allow("*")}}]}),
        "unknown",
        1,
        {},
    ),
    "every model": ("bedrock-model-scope", policy(allow(model(name="*"))), "bad", 1, {}),
    "a family": ("bedrock-model-scope", policy(allow(model(name="anthropic.*"))), "bad", 1, {}),
    "every own profile": (
        "bedrock-model-scope",
        policy(allow("arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/*")),
        "bad",
        1,
        {},
    ),
    "all actions but one": (
        "bedrock-model-scope",
        policy({"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"}),
        "bad",
        1,
        {},
    ),
    "all models but one": (
        "bedrock-model-scope",
        policy({"Effect": "Allow", "Action": INVOKE, "NotResource": model()}),
        "bad",
        1,
        {},
    ),
    "full access": ("bedrock-model-scope", attached("arn:aws:iam::aws:policy/AmazonBedrockFullAccess"), "bad", 1, {}),
    "full access of a role": (
        "bedrock-model-scope",
        role(managedPolicyArns=[UNKNOWN, "arn:aws:iam::aws:policy/AmazonBedrockFullAccess"]),
        "unknown",
        1,
        {},
    ),
    "unknown document": ("bedrock-model-scope", resource("aws:iam/policy:Policy", {"policy": UNKNOWN}), "unknown", 0, {}),
    "unknown model": ("bedrock-model-scope", policy(allow(UNKNOWN)), "unknown", 0, {}),
    "unknown model beside every model": ("bedrock-model-scope", policy(allow([UNKNOWN, model(name="*")])), "unknown", 1, {}),
    "unknown action beside a statement": (
        "bedrock-model-scope",
        policy(allow("*", [UNKNOWN]), allow("*")),
        "unknown",
        1,
        {},
    ),
    # bedrock-profile-paired
    "paired": ("bedrock-profile-paired", policy(*BOTH), "good", 0, {}),
    "paired in text": ("bedrock-profile-paired", policy(*BOTH, text=True), "good", 0, {}),
    "paired among several": (
        "bedrock-profile-paired",
        policy(
            allow(PROFILE),
            allow([model(), model("us-east-2")], condition={"StringLike": {"bedrock:inferenceProfileArn": [PROFILE, GLOBAL]}}),
        ),
        "good",
        0,
        {},
    ),
    "called directly at home too": ("bedrock-profile-paired", policy(*BOTH, allow(model())), "good", 0, {}),
    "another model elsewhere": ("bedrock-profile-paired", policy(*BOTH, allow(model("us-east-2", "m"))), "good", 0, {}),
    "global": (
        "bedrock-profile-paired",
        policy(allow(GLOBAL), allow([model(), model("")], condition={"StringEquals": {"bedrock:InferenceProfileArn": GLOBAL}})),
        "good",
        0,
        {},
    ),
    "everything, which another rule tells": ("bedrock-profile-paired", policy(allow("*"), allow(PROFILE)), "good", 0, {}),
    "regions given": ("bedrock-profile-paired", policy(*BOTH), "good", 0, {"regions": {"us": ["us-east-1", "us-east-2"]}}),
    "no model": ("bedrock-profile-paired", policy(allow(PROFILE)), "bad", 1, {}),
    "another model": ("bedrock-profile-paired", policy(allow(PROFILE), allow(model(name="m"))), "bad", 1, {}),
    "paired with another profile": (
        "bedrock-profile-paired",
        policy(allow(PROFILE), allow(model(), condition={"StringEquals": {"bedrock:InferenceProfileArn": GLOBAL}})),
        "bad",
        1,
        {},
    ),
    "unpaired elsewhere": ("bedrock-profile-paired", policy(allow([PROFILE, model(), model("us-east-2")])), "bad", 1, {}),
    "paired with anything": (
        "bedrock-profile-paired",
        policy(
            allow(PROFILE),
            allow([model(), model("us-east-2")], condition={"StringLike": {"bedrock:InferenceProfileArn": "*"}}),
        ),
        "bad",
        1,
        {},
    ),
    "global without the region-less model": (
        "bedrock-profile-paired",
        policy(allow(GLOBAL), allow(model(), condition={"StringEquals": {"bedrock:InferenceProfileArn": GLOBAL}})),
        "bad",
        1,
        {},
    ),
    "the region of the call is missing": (
        "bedrock-profile-paired",
        policy(allow(PROFILE), allow(model("us-east-2"), condition={"StringEquals": {"bedrock:InferenceProfileArn": PROFILE}})),
        "bad",
        1,
        {},
    ),
    "behind a prompt router": (
        "bedrock-profile-paired",
        policy(
            allow(ROUTER), allow([PROFILE, model("us-east-2")], condition={"StringEquals": {"bedrock:PromptRouterArn": ROUTER}})
        ),
        "good",
        0,
        {},
    ),
    "a region is missing": ("bedrock-profile-paired", policy(*BOTH), "bad", 1, {"regions": {"us": ["us-west-2"]}}),
    "unknown profile": ("bedrock-profile-paired", policy(allow([UNKNOWN])), "unknown", 0, {}),
    # bedrock-models-allowed
    "no list": ("bedrock-models-allowed", policy(allow(UNKNOWN)), "good", 0, {}),
    "allowed": ("bedrock-models-allowed", policy(*BOTH), "good", 0, ONLY_CLAUDE),
    "allowed kind": (
        "bedrock-models-allowed",
        policy(allow("arn:aws:bedrock:us-east-1:123456789012:imported-model/abcdefghijkl")),
        "good",
        0,
        ONLY_CLAUDE,
    ),
    "allowed throughput": (
        "bedrock-models-allowed",
        resource("aws:bedrock/provisionedModelThroughput:ProvisionedModelThroughput", {"modelArn": model()}),
        "good",
        0,
        ONLY_CLAUDE,
    ),
    "another maker's": ("bedrock-models-allowed", policy(allow(model(name="openai.gpt-oss-20b-1:0"))), "bad", 1, ONLY_CLAUDE),
    "any": ("bedrock-models-allowed", policy(allow("*")), "bad", 1, ONLY_CLAUDE),
    "another maker's profile": (
        "bedrock-models-allowed",
        resource("aws:bedrock/inferenceProfile:InferenceProfile", {"modelSource": {"copyFrom": model(name="amazon.nova")}}),
        "bad",
        1,
        ONLY_CLAUDE,
    ),
    "unknown beside another maker's": (
        "bedrock-models-allowed",
        policy(allow([UNKNOWN, model(name="openai.gpt-oss-20b-1:0")])),
        "unknown",
        1,
        ONLY_CLAUDE,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_case(case: str) -> None:
    name, looked_at, kind, count, settings = CASES[case]
    found = problems(BY_NAME[name], looked_at, settings=settings)
    assert len(found) == count, found
    assert bool(unverified(BY_NAME[name], looked_at, settings=settings)) == (kind == "unknown")
    assert all(": " in problem and "\n" not in problem for problem in found)


def test_every_rule_has_all_kinds_of_case() -> None:
    for rule in RULES:
        assert {kind for name, _, kind, _, _ in CASES.values() if name == rule.name} == {"good", "bad", "unknown"}, rule.name


@pytest.mark.parametrize("arn", ["arn:aws:s3:::models/*", "arn:aws:s3*", "arn:aws:bedrock:us-east-1:1:agent/*", "none"])
def test_what_is_no_model_is_not_judged(arn: str) -> None:
    assert problems(BY_NAME["bedrock-model-scope"], policy(allow(arn))) == []


def test_who_calls_models() -> None:
    assert bedrock.calls_models(policy({"Effect": UNKNOWN}, allow("*")))
    assert bedrock.calls_models(policy(allow("arn:aws:sagemaker:us-east-1:1:endpoint/e", "sagemaker:InvokeEndpoint")))
    assert bedrock.calls_models(attached("arn:aws:iam::aws:policy/AdministratorAccess"))
    assert not bedrock.calls_models(policy(allow("*", "s3:*")))
    assert not bedrock.calls_models(attached("arn:aws:iam::123456789012:policy/AdministratorAccess"))
