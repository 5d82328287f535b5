"""Every IAM document of every component, held against AWS's own list of actions, resources and condition keys."""

import copy
import json
import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import pulumi
import pytest

from contract.test_components import CASES, make
from pulumi_llm.models.catalogue import catalogue
from pulumi_llm_local.aws_types.values import revealed
from support import iam_documents, programs
from support.iam_documents import Document, document_problems, documents, permission_problems, size_problems
from support.programs import REGION, Recording

ACCOUNT = "123456789012"
BEDROCK = f"arn:aws:bedrock:{REGION}:{ACCOUNT}"
KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/1234abcd-12ab-34cd-56ef-1234567890ab"
HAIKU = "anthropic.claude-haiku-4-5-20251001-v1:0"
# One model in each way that Bedrock can be called.
MODELS = [
    {"name": "direct", "model": "gpt-oss-20b"},
    {"name": "profile", "model": "claude-haiku-4-5"},
    {"name": "everywhere", "model": f"global.{HAIKU}"},
    {"name": "own-profile", "model": f"{BEDROCK}:application-inference-profile/a1b2c3", "base_model": "llama-3-3-70b"},
    {"name": "imported", "model": f"{BEDROCK}:imported-model/abcdef", "base_model": "deepseek-r1-distill-llama-8b"},
    {
        "name": "routed",
        "model": f"{BEDROCK}:default-prompt-router/amazon.nova:1",
        "router_models": ["nova-pro", "nova-lite"],
    },
    {"name": "deployed", "model": f"{BEDROCK}:custom-model-deployment/abcdef", "base_model": "nova-lite"},
    {"name": "provisioned", "model": f"{BEDROCK}:provisioned-model/ghijkl", "base_model": "llama-3-3-70b"},
]


# The components.


@cache
def union() -> Recording:
    """Every component with every set of arguments that the contract has, and a chat API with all that asks for permissions."""

    def program() -> None:
        for number, (component, label) in enumerate(CASES):
            make(component, label, f"case{number}")
        programs.chat("all", models=MODELS, tracing=True, kms_key_arn=KEY)

    return programs.run(program)


@pytest.mark.parametrize("stack", ["dev", "prod", "union"])
def test_no_document_has_a_problem(stack: str, request: pytest.FixtureRequest) -> None:
    recording: Recording = union() if stack == "union" else request.getfixturevalue(stack)
    assert iam_documents.problems(recording.of_type()) == []


@pytest.mark.parametrize("stack", ["dev", "prod", "union"])
def test_every_document_is_found(stack: str, request: pytest.FixtureRequest) -> None:
    recording: Recording = union() if stack == "union" else request.getfixturevalue(stack)
    found = {document.where.partition(".")[0] for document in documents(recording.of_type())}
    assert found
    # A web ACL's rules have statements of other names.
    held = {resource.name for resource in recording.custom() if re.search(r"\bStatement\b", str(revealed(resource.inputs)))}
    assert held - found == set()
    roles = {resource.id for resource in recording.of_type("aws:iam/role:Role")}
    assert {document.role for document in documents(recording.of_type()) if document.kind == "inline"} <= roles


def test_each_kind_of_model_is_among_them() -> None:
    (document,) = (d for d in documents(union().of_type()) if d.where == "all-bedrock-policy.policy")
    text = json.dumps(document.body)
    kinds = ("::foundation-model", ":inference-profile", ":application-inference", ":imported-model", ":provisioned-model")
    assert [kind for kind in (*kinds, ":::foundation-model", iam_documents._PROFILE_KEY) if kind not in text] == []


def test_models_whose_policy_iam_would_refuse_are_refused_before() -> None:
    regions = list(catalogue()["claude-haiku-4-5"].profiles[-1].source_regions)
    profile = {"base_model": "claude-haiku-4-5", "destination_regions": regions}
    tenants = [
        {"name": f"tenant{n}", "model": f"{BEDROCK}:application-inference-profile/abcdefgh{n}", **profile} for n in range(3)
    ]
    try:
        recording = programs.run_chat(models=tenants)
    except pulumi.InputPropertiesError as refused:
        assert "10,240" in str(refused)
    else:
        assert iam_documents.problems(recording.of_type()) == []


def test_every_exception_to_the_database_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    for exception, pattern in iam_documents.ALSO_NAMED.items():
        others = {key: value for key, value in iam_documents.ALSO_NAMED.items() if key != exception}
        with monkeypatch.context() as without:
            without.setattr(iam_documents, "ALSO_NAMED", others)
            assert iam_documents.problems(union().of_type()), f"{exception}: {pattern} serves nothing"


def test_every_explained_statement_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    found = documents(union().of_type())
    for explained in iam_documents.EXPLAINED:
        (of, *_) = [document for document in found if explained.is_of(document.where)]
        with monkeypatch.context() as without:
            without.setattr(iam_documents, "EXPLAINED", [each for each in iam_documents.EXPLAINED if each != explained])
            told = document_problems(of)
        for action in explained.actions:
            assert any(f": {explained.sid}: {action} " in problem for problem in told), f"{explained.sid}: {action}"
        for resource in explained.resources:
            named = "'*'" if resource == "*" else resource
            assert any(named in problem or "wildcard" in problem for problem in told), f"{explained.sid}: {resource}"


# The checks can fail: a good document, and one mistake each.

TABLE = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/keys"
GROUP = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/aws/lambda/chat"
PROFILE = f"{BEDROCK}:inference-profile/us.{HAIKU}"
INVOKE = ["bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream"]


def allow(sid: str, actions: Any, resources: Any, **others: Any) -> dict[str, Any]:
    return {"Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resources, **others}


def foundation_model(name: str, region: str = REGION) -> str:
    return f"arn:aws:bedrock:{region}::foundation-model/{name}"


def through(profile: str) -> dict[str, Any]:
    return {"StringEquals": {"bedrock:InferenceProfileArn": profile}}


INLINE = [
    allow("Keys", ["dynamodb:GetItem", "dynamodb:Query"], TABLE, Condition={"StringEquals": {"dynamodb:Select": "COUNT"}}),
    allow("Logs", ["logs:CreateLogStream", "logs:PutLogEvents"], f"{GROUP}:*"),
    allow("Objects", "s3:GetObject", "arn:aws:s3:::bucket/prefix/*"),
    allow("Tagged", "s3:GetObject", "arn:aws:s3:::bucket/a", Condition={"StringEquals": {"s3:ExistingObjectTag/team": "a"}}),
    allow("Traces", ["xray:PutTraceSegments"], "*"),
    allow("Mine", "dynamodb:GetItem", TABLE, Condition={"ForAllValues:StringLike": {"aws:PrincipalTag/team": ["a", "b"]}}),
    allow("Profiles", INVOKE, [PROFILE]),
    allow("Models", INVOKE, [foundation_model(HAIKU), foundation_model(HAIKU, "us-west-2")], Condition=through(PROFILE)),
    {
        "Sid": "Never",
        "Effect": "Deny",
        "Action": "s3:*",
        "Resource": "*",
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    },
]
TRUST = [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "lambda.amazonaws.com"}}]
QUEUE = f"arn:aws:sqs:{REGION}:{ACCOUNT}:jobs"
RESOURCE = [allow("Send", "sqs:SendMessage", QUEUE, Principal={"Service": "s3.amazonaws.com"})]


def document(kind: Any, statements: Any, version: str = "2012-10-17") -> Document:
    return Document("it", kind, {"Version": version, "Statement": statements})


@pytest.mark.parametrize(
    "good",
    [document("inline", INLINE), document("managed", INLINE), document("trust", TRUST), document("resource", RESOURCE)],
    ids=lambda good: good.kind,
)
def test_a_good_document_has_no_problem(good: Document) -> None:
    assert document_problems(good) == []
    assert size_problems([good]) == []


Mutation = Callable[[dict[str, dict[str, Any]]], object]

# (what is changed in the good inline document, what is said of it)
INLINE_MISTAKES: list[tuple[Mutation, str]] = [
    (
        lambda by: by["Keys"].update(Action="dynamodb:GetItems"),
        "dynamodb:GetItems does not exist; did you mean dynamodb:GetItem?",
    ),
    (lambda by: by["Keys"].update(Action="dynamo:GetItem"), "dynamo:GetItem is of no AWS service"),
    (lambda by: by["Keys"].update(Action="dynamodb:Get*", Condition={}), "dynamodb:Get* has a wildcard"),
    (lambda by: by["Keys"].update(Action="dynamodb:GetIte?", Condition={}), "dynamodb:GetIte? has a wildcard"),
    (lambda by: by["Keys"].update(Action="*", Condition={}), "* has a wildcard"),
    (lambda by: by["Mine"].update(Resource="*"), "is allowed on '*', but can be scoped to table"),
    (lambda by: by["Mine"].update(Resource=[TABLE, "*"]), "is allowed on '*', but can be scoped to table"),
    (lambda by: by["Mine"].update(Resource=f"{TABLE}/index/by-name"), "takes table, which"),
    (lambda by: by["Mine"].update(Resource=f"{TABLE}/*"), "takes table, which"),
    (lambda by: by["Mine"].update(Resource=TABLE.replace("dynamodb", "s3")), "takes table, which"),
    (lambda by: by["Mine"].update(Resource=TABLE.replace(ACCOUNT, "")), "takes table, which"),
    (lambda by: by["Mine"].update(Resource=TABLE.replace(ACCOUNT, "*")), "leaves open whose or which"),
    (lambda by: by["Mine"].update(Resource=TABLE.replace(REGION, "*")), "leaves open whose or which"),
    (lambda by: by["Mine"].update(Resource=TABLE.replace("keys", "*")), "leaves open whose or which"),
    (
        lambda by: by["Mine"].update(
            Resource=TABLE.replace(REGION, "*"), Condition={"StringEquals": {"aws:ResourceTag/Team": "a"}}
        ),
        "leaves open whose or which",
    ),
    (
        lambda by: by["Mine"].update(
            Resource=TABLE.replace("keys", "*"), Condition={"StringLike": {"aws:ResourceTag/Team": "*"}}
        ),
        "leaves open whose or which",
    ),
    (lambda by: by["Mine"].update(Resource=TABLE.replace("table/keys", "*")), "leaves open whose or which"),
    (lambda by: by["Mine"].update(Resource="keys"), "takes table, which keys is not"),
    (lambda by: by["Objects"].update(Resource="arn:aws:s3:::bucket"), "object, which arn:aws:s3:::bucket is not"),
    (lambda by: by["Objects"].update(Resource="arn:aws:s3:::*"), "leaves open whose or which"),
    (lambda by: by["Logs"].update(Action="logs:PutLogEvents", Resource=GROUP), "takes log-stream, which"),
    (lambda by: by["Traces"].update(Resource=TABLE), "allows nothing: it needs '*'"),
    (lambda by: by["Mine"].update(Condition={"StringEquals": {"dynamodb:Selects": "a"}}), "the condition key dynamodb:Selects"),
    (
        lambda by: by["Mine"].update(Condition={"StringEquals": {"s3:prefix": "a"}}),
        "does not support the condition key s3:prefix",
    ),
    (
        lambda by: by["Mine"].update(Condition={"StringEqual": {"aws:PrincipalTag/a": "b"}}),
        "StringEqual is no condition operator",
    ),
    (lambda by: by["Mine"].update(Sid="Keys"), "Keys: 2 statements have this Sid"),
    (lambda by: by["Mine"].update(Sid="Read keys"), "a Sid is letters and digits"),
    (lambda by: by["Mine"].update(Effect="allow"), "Effect must be Allow or Deny"),
    (lambda by: by["Mine"].update(Resources=by["Mine"]["Resource"]), "Resources has no place in it"),
    (lambda by: by["Mine"].update(NotAction="dynamodb:GetItem"), "NotAction has no place in it"),
    (lambda by: by["Mine"].update(Principal="*"), "Principal has no place in it"),
    (lambda by: by["Mine"].pop("Resource"), "Resource is missing"),
]

# The same, of what Bedrock needs; a profile and its models are judged for each action.
BEDROCK_MISTAKES: list[tuple[Mutation, str]] = [
    (lambda by: by["Profiles"].update(Action=INVOKE[:1]), "allowed on models through"),
    (lambda by: by["Models"].update(Action=INVOKE[:1]), "but on no model through it"),
    (lambda by: by["Profiles"]["Resource"].append(PROFILE.replace("us.", "eu.")), "but on no model through it"),
    (lambda by: by["Models"].pop("Condition"), "but on no model through it"),
    (lambda by: by["Profiles"].update(Condition=through(PROFILE)), "which AWS does not send for a profile"),
    (lambda by: by["Models"]["Resource"].append(foundation_model("amazon.nova-pro-v1:0")), "which is not behind it"),
    (lambda by: by["Models"]["Resource"].pop(0), "on no model in us-east-1, where AWS asks for it"),
    (
        lambda by: (
            by["Profiles"].update(Resource=PROFILE.replace("us.", "global.")),
            by["Models"].update(Condition=through(PROFILE.replace("us.", "global."))),
        ),
        "on no model in no Region, where AWS asks for it",
    ),
    (lambda by: by["Models"]["Resource"].append(foundation_model("*")), "which leaves open whose or which"),
    (lambda by: by["Models"].update(Resource=f"{BEDROCK}:foundation-model/{HAIKU}"), "which arn:aws:bedrock"),
]


@pytest.mark.parametrize(
    ("change", "said"),
    [*INLINE_MISTAKES, *BEDROCK_MISTAKES],
    ids=[said for _, said in (*INLINE_MISTAKES, *BEDROCK_MISTAKES)],
)
def test_a_mistake_is_told(change: Mutation, said: str) -> None:
    statements = copy.deepcopy(INLINE)
    change({statement["Sid"]: statement for statement in statements})
    found = document_problems(document("inline", statements))
    assert found
    told = [problem for problem in found if said in problem]
    assert told, found
    # Nothing else is held against it but what follows from the same change: Bedrock's pairs, an action that is two.
    if (change, said) in INLINE_MISTAKES:
        assert found == told


def denied_to_code(function: str) -> dict[str, Any]:
    by_code = {"ArnLike": {"lambda:SourceFunctionArn": f"arn:*:lambda:*:*:function:{function}"}}
    return {"Sid": "Code", "Effect": "Deny", "Action": "ec2:DeleteNetworkInterface", "Resource": "*", "Condition": by_code}


def test_what_only_lambda_can_do_with_a_role_need_not_be_scoped() -> None:
    statements = [allow("Make", "ec2:DeleteNetworkInterface", "*"), denied_to_code("*")]
    assert document_problems(document("inline", statements)) == []


IN_VPC = {"ArnEquals": {"ec2:Vpc": f"arn:aws:ec2:{REGION}:{ACCOUNT}:vpc/vpc-1"}}
INTERFACES = f"arn:aws:ec2:{REGION}:{ACCOUNT}:network-interface/*"


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({}, "gpu-other-policy.policy"),
        ({"Sid": "TagOthers"}, "gpu-cni-policy.policy"),
        ({"Action": "ec2:DeleteTags"}, "gpu-cni-policy.policy"),
        ({"Resource": "*"}, "gpu-cni-policy.policy"),
        ({"Resource": INTERFACES.replace(ACCOUNT, "*")}, "gpu-cni-policy.policy"),
        ({"Resource": INTERFACES.replace("network-interface", "instance")}, "gpu-cni-policy.policy"),
        ({"Condition": {}}, "gpu-cni-policy.policy"),
        ({"Condition": {"ArnLike": IN_VPC["ArnEquals"]}}, "gpu-cni-policy.policy"),
        ({"Condition": {"ArnEquals": {"ec2:Vpc": f"arn:aws:ec2:{REGION}:{ACCOUNT}:vpc/*"}}}, "gpu-cni-policy.policy"),
    ],
)
def test_what_is_explained_holds_for_one_statement_alone(changes: Mapping[str, Any], where: str) -> None:
    def of(where: str, **changes: Any) -> Document:
        statement = {**allow("TagInterfaces", "ec2:CreateTags", INTERFACES, Condition=IN_VPC), **changes}
        return Document(where, "inline", {"Version": "2012-10-17", "Statement": [statement]})

    assert document_problems(of("gpu-cni-policy.policy")) == []
    assert document_problems(of(where, **changes)) != []


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (Document("it", "inline", {}), "holds no statement, or is not known"),
        (document("inline", []), "holds no statement, or is not known"),
        (document("inline", INLINE[:1], version="2008-10-17"), "Version must be 2012-10-17"),
        (document("trust", [{**TRUST[0], "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}}]), "exactly one AWS service"),
        (document("trust", [{**TRUST[0], "Principal": "*"}]), "exactly one AWS service, not *"),
        (
            document("trust", [{**TRUST[0], "Principal": {"Service": ["lambda.amazonaws.com", "ec2.amazonaws.com"]}}]),
            "exactly one AWS service, not ec2.amazonaws.com, lambda.amazonaws.com",
        ),
        (
            document("trust", [*TRUST, {**TRUST[0], "Principal": {"Service": "ec2.amazonaws.com"}}]),
            "exactly one AWS service, not ec2.amazonaws.com, lambda.amazonaws.com",
        ),
        (document("trust", [{**TRUST[0], "Action": "sts:GetFederationToken"}]), "by sts:AssumeRole, not by sts:GetFederation"),
        (document("trust", [{**TRUST[0], "Resource": "*"}]), "Resource has no place in it"),
        (document("resource", [{**RESOURCE[0], "Principal": "*"}]), "lets anyone in"),
        (document("resource", [{**RESOURCE[0], "Principal": {"AWS": ["*"]}}]), "lets anyone in"),
        (document("resource", [allow("Send", "sqs:SendMessage", QUEUE)]), "Principal is missing"),
        (document("resource", [{**RESOURCE[0], "Resource": "*"}]), "can be scoped to queue"),
        # What Lambda does with the role has to be denied to every function's code, not to one's.
        (
            document("inline", [allow("Make", "ec2:DeleteNetworkInterface", "*"), denied_to_code("my-function")]),
            "can be scoped to network-interface",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else value.kind,
)
def test_a_mistake_of_a_whole_document_is_told(bad: Document, said: str) -> None:
    (problem,) = document_problems(bad)
    assert said in problem
    assert problem.startswith("it: ")


PERMISSION = {
    "action": "lambda:InvokeFunction",
    "function": "chat",
    "principal": "apigateway.amazonaws.com",
    "sourceArn": f"arn:aws:execute-api:{REGION}:{ACCOUNT}:a1b2c3/api/*",
}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"sourceArn": None}, "the source must be the ARN of who calls, not missing"),
        ({"sourceArn": "*"}, "the source must be the ARN of who calls"),
        ({"sourceArn": f"arn:aws:execute-api:{REGION}:{ACCOUNT}:*/api/*"}, "the source must be the ARN of who calls"),
        ({"sourceArn": f"arn:aws:execute-api:{REGION}:*:a1b2c3/api/*"}, "the source must be the ARN of who calls"),
        ({"sourceArn": "arn:aws:s3:::bucket"}, "tells no account"),
        ({"principal": "*"}, "the principal must be one AWS service"),
        ({"action": "lambda:*"}, "lambda:* has a wildcard"),
        ({"action": "lambda:Invoke"}, "lambda:Invoke does not exist"),
    ],
)
def test_a_permission_names_its_caller(changes: Mapping[str, str | None], said: str) -> None:
    assert permission_problems(PERMISSION) == []
    assert permission_problems({**PERMISSION, "sourceArn": "arn:aws:s3:::bucket", "sourceAccount": ACCOUNT}) == []
    changed = {name: value for name, value in {**PERMISSION, **changes}.items() if value is not None}
    (problem,) = permission_problems(changed)
    assert said in problem


def test_sizes_are_counted_as_iam_counts_them() -> None:
    def of_size(kind: Any, size: int, role: str = "") -> Document:
        empty = len(json.dumps({"Sid": ""}, separators=(",", ":")))
        return Document("it", kind, {"Sid": "a b" + "c" * (size - empty - 2)}, role)

    assert size_problems([of_size("inline", 10_240, "a"), of_size("inline", 10_240, "b")]) == []
    assert size_problems([of_size("inline", 10_241, "a")]) == [
        "the inline policies of the role a: 10,241 characters, over IAM's 10,240"
    ]
    assert size_problems([of_size("inline", 6_000, "a"), of_size("inline", 6_000, "a")]) != []
    assert size_problems([of_size("managed", 6_144), of_size("trust", 100)]) == []
    assert size_problems([of_size("managed", 6_145)]) == ["it: 6,145 characters, over IAM's 6,144"]
    assert size_problems([of_size("trust", 2_049)]) == ["it: 2,049 characters, over IAM's 2,048"]
    assert size_problems([of_size("resource", 20_000)]) == []


def test_documents_are_found_wherever_they_stand() -> None:
    from pulumi_aws import iam, lambda_, secretsmanager, sqs

    bad = {"Version": "2012-10-17", "Statement": [allow("Bad", "s3:*", "*")]}
    text = json.dumps(bad)

    def program() -> None:
        trust = json.dumps({"Version": "2012-10-17", "Statement": TRUST})
        inline = [{"name": "one", "policy": pulumi.Output.secret(text)}]
        role = iam.Role("role", assume_role_policy=trust, inline_policies=inline)
        iam.RolePolicy("inline", role=role.id, policy=text)
        iam.Policy("managed", policy=text)
        sqs.Queue("queue", policy=text)
        secretsmanager.SecretPolicy("secret", secret_arn="arn", policy=text)
        sqs.RedrivePolicy("no-document", queue_url="url", redrive_policy='{"maxReceiveCount": 3}')
        lambda_.Permission("permission", action="lambda:InvokeFunction", function="f", principal="s3.amazonaws.com")

    resources = programs.run(program).of_type()
    assert {(document.where, document.kind) for document in documents(resources)} == {
        ("role.assumeRolePolicy", "trust"),
        ("role.inlinePolicies[0].policy", "inline"),
        ("inline.policy", "inline"),
        ("managed.policy", "managed"),
        ("queue.policy", "resource"),
        ("secret.policy", "resource"),
    }
    assert len({document.role for document in documents(resources) if document.kind == "inline"}) == 1, "they count together"
    told = iam_documents.problems(resources)
    for where in ("role.inlinePolicies[0].policy", "inline.policy", "managed.policy", "queue.policy", "secret.policy"):
        assert f"{where}: Bad: s3:* has a wildcard" in told
    assert [problem for problem in told if problem.startswith("permission: ")]


def test_a_document_that_is_not_known_is_told() -> None:
    from pulumi_aws import iam

    def program() -> None:
        role = iam.Role("role", assume_role_policy=json.dumps({"Version": "2012-10-17", "Statement": TRUST}))
        iam.RolePolicy("inline", role=role.id, policy=role.arn.apply(lambda arn: json.dumps({"Statement": [arn]})))

    resources = programs.run(program, preview=True).of_type()
    assert any(problem.startswith("inline.policy: holds no statement") for problem in iam_documents.problems(resources))
