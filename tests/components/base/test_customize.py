"""How a change of `customize` and the component's own argument become one."""

import json
import re
from typing import Any

import pulumi
import pulumi_aws as aws
import pytest

from pulumi_llm.base.customize import merged
from pulumi_llm.base.customize_problems import customize_problems
from pulumi_llm_local.aws_types.values import revealed
from support import programs
from support.programs import run_chat

OWN: dict[str, Any] = {
    "memory_size": 512,
    "layers": ["a"],
    "environment": {"variables": {"A": "1", "B": "2"}},
    "tags": {"Team": "search"},
    "logging_config": {"log_format": "JSON", "log_group": "logs"},
    "architectures": ["arm64"],
}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, {}),
        ({"memory_size": 1024}, {"memory_size": 1024}),
        ({"memorySize": 1024}, {"memory_size": 1024}),
        ({"memory_size": None}, {}),
        ({"memory_size": {"$replace": None}}, {"memory_size": None}),
        ({"timeout": 9}, {"timeout": 9}),
        # Lists: named ones are added to.
        ({"layers": ["b"]}, {"layers": ["a", "b"]}),
        ({"layers": ["a", "b"]}, {"layers": ["a", "b"]}),
        ({"layers": {"$replace": ["b"]}}, {"layers": ["b"]}),
        ({"architectures": ["x86_64"]}, {"architectures": ["x86_64"]}),
        # Maps and objects.
        ({"tags": {"Cost": "42"}}, {"tags": {"Team": "search", "Cost": "42"}}),
        ({"tags": {"Team": {"$replace": None}}}, {"tags": {}}),
        ({"environment": {"variables": {"B": "3", "C": "4"}}}, {"environment": {"variables": {"A": "1", "B": "3", "C": "4"}}}),
        ({"environment": {"variables": {"B": None}}}, {}),
        ({"environment": {"variables": {"$replace": {"C": "4"}}}}, {"environment": {"variables": {"C": "4"}}}),
        ({"environment": {"$replace": {"variables": {"C": "4"}}}}, {"environment": {"variables": {"C": "4"}}}),
        (
            {"environment": aws.lambda_.FunctionEnvironmentArgs(variables={"C": "4"})},
            {"environment": {"variables": {"A": "1", "B": "2", "C": "4"}}},
        ),
        # Python's names and the schema's are one.
        (
            {"logging_config": {"logGroup": "others"}},
            {"logging_config": {"log_format": "JSON", "log_group": "others"}},
        ),
        (
            {"loggingConfig": aws.lambda_.FunctionLoggingConfigArgs(log_format="JSON", system_log_level="WARN")},
            {"logging_config": {"log_format": "JSON", "log_group": "logs", "system_log_level": "WARN"}},
        ),
        # The keys of a map are the user's own.
        ({"tags": {"log_group": "a"}}, {"tags": {"Team": "search", "log_group": "a"}}),
        ({"vpc_config": {"subnetIds": ["a"]}}, {"vpc_config": {"subnet_ids": ["a"]}}),
    ],
)
def test_a_change_is_merged(change: dict[str, Any], expected: dict[str, Any]) -> None:
    assert merged(aws.lambda_.Function, OWN, change, "customize.function") == {**OWN, **expected}


STATEMENT = {"Sid": "More", "Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/*"}


@pytest.mark.parametrize(
    "given",
    [
        {"Version": "2012-10-17", "Statement": [STATEMENT]},
        json.dumps({"Version": "2012-10-17", "Statement": STATEMENT}),
        [STATEMENT],
        aws.iam.PolicyDocumentArgs(
            version=aws.iam.PolicyDocumentVersion.POLICY_DOCUMENT_VERSION_2012_10_17,
            statement=[
                aws.iam.PolicyStatementArgs(
                    sid="More", effect=aws.iam.PolicyStatementEffect.ALLOW, action="s3:GetObject", resource="arn:aws:s3:::b/*"
                )
            ],
        ),
    ],
    ids=lambda given: type(given).__name__,
)
def test_statements_are_added_to_the_component_s_own(given: Any) -> None:
    recording = run_chat(customize={"logs-policy": {"policy": given}})
    document = json.loads(recording.inputs("chat-logs-policy")["policy"])
    assert document["Version"] == "2012-10-17"
    assert [statement["Sid"] for statement in document["Statement"]] == ["Logs", "More"]


def test_a_statement_of_the_same_sid_replaces_the_component_s_own() -> None:
    own = {**STATEMENT, "Sid": "Logs"}
    recording = run_chat(customize={"logs-policy": {"policy": {"Statement": [own]}}})
    assert json.loads(recording.inputs("chat-logs-policy")["policy"])["Statement"] == [own]


def test_a_policy_is_replaced_only_on_purpose() -> None:
    recording = run_chat(customize={"logs-policy": {"policy": {"$replace": "{}"}}})
    assert recording.inputs("chat-logs-policy")["policy"] == "{}"


DOCUMENT = {"Version": "2012-10-17", "Statement": [STATEMENT]}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"$replace": DOCUMENT}, DOCUMENT),
        ({"$replace": json.dumps(DOCUMENT)}, DOCUMENT),
        ({"$replace": [STATEMENT]}, DOCUMENT),
        ({"Statement": {"$replace": [STATEMENT]}}, DOCUMENT),
        ({"Statement": {"$replace": STATEMENT}}, DOCUMENT),
        ({"Id": "mine", "Statement": {"$replace": [STATEMENT]}}, {**DOCUMENT, "Id": "mine"}),
        (
            {"Version": {"$replace": "2008-10-17"}, "Id": None, "Statement": {"$replace": []}},
            {"Version": "2008-10-17", "Statement": []},
        ),
    ],
    ids=str,
)
def test_what_replaces_stands_at_any_level_of_a_policy(change: Any, expected: dict[str, Any]) -> None:
    def policy(change: Any) -> dict[str, Any]:
        return json.loads(run_chat(customize={"logs-policy": {"policy": change}}).inputs("chat-logs-policy")["policy"])

    assert policy(change) == expected


@pytest.mark.parametrize("preview", [False, True])
def test_outputs_are_merged_when_they_resolve(preview: bool) -> None:
    """A statement about a queue of the same program, a layer, and variables that are an Output as a whole."""

    def program() -> None:
        queue = aws.sqs.Queue("queue")
        layer = aws.lambda_.LayerVersion("layer", layer_name="mine", code=pulumi.FileArchive("."))
        programs.chat(
            customize={
                "logs-policy": {"policy": {"Statement": [{**STATEMENT, "Resource": queue.arn}]}},
                "function": {
                    "layers": [layer.arn],
                    "environment": {"variables": {"QUEUE": queue.name}},
                    "tags": queue.name.apply(lambda name: {"Queue": name}),
                },
            }
        )

    recording = programs.run(program, preview=preview)
    policy, function = recording.inputs("chat-logs-policy")["policy"], recording.inputs("chat-function")
    assert len(function["layers"]) == 2
    assert {"AUTHORIZATION", "QUEUE"} <= set(function["environment"]["variables"])
    assert programs.holds_unknown(function["environment"]["variables"]["QUEUE"]) == preview
    assert programs.holds_unknown(policy) == preview
    if not preview:
        assert json.loads(policy)["Statement"][1]["Resource"] == recording.named("queue").state["arn"]
        assert set(revealed(function["tags"])) == {"Component", "Queue"}


# One of several.

KEYS = [{"name": "web"}, {"name": "batch"}]


@pytest.mark.parametrize(
    ("customize", "expected"),
    [
        ({"key": {"enabled": False}}, {"chat-key-web", "chat-key-batch"}),
        ({"key:web": {"enabled": False}}, {"chat-key-web"}),
        ({"method:chat-stream": {"operation_name": "stream"}}, {"chat-method-chat-stream"}),
        ({"gateway-response:throttled": {"status_code": "420"}}, {"chat-gateway-response-throttled"}),
        ({"resource:v1-models": {"region": "us-east-1"}}, {"chat-resource-v1-models"}),
    ],
)
def test_one_of_several_children_is_changed_alone(customize: dict[str, Any], expected: set[str]) -> None:
    (change,) = customize.values()
    ((name, value),) = change.items()
    camel = "".join(part.capitalize() if index else part for index, part in enumerate(name.split("_")))
    recording = run_chat(keys=KEYS, customize=customize)
    assert {child for child in recording.names() if recording.inputs(child).get(camel) == value} == expected


def test_what_is_said_of_one_comes_after_what_is_said_of_all() -> None:
    recording = run_chat(keys=KEYS, customize={"key:web": {"description": "the web's"}, "key": {"description": "a key"}})
    found = [recording.inputs(f"chat-key-{key['name']}")["description"] for key in KEYS]
    assert found == ["the web's", "a key"]


# What there is not, all of it at once and before anything is made.


def lines(**args: Any) -> list[str]:
    with pytest.raises(pulumi.InputPropertiesError) as error:
        run_chat(**args)
    return [f"{detail['property_path']}: {detail['reason']}" for detail in error.value.errors or []]


def test_everything_that_is_wrong_is_reported_at_once() -> None:
    customize: dict[str, Any] = {
        "role": 5,
        "functoin": {},
        "key-web": {},
        "key:webb": {},
        "function:live": {},
        "function": {"memory": 1, "environment": {"variable": {}}, "logging_config": {"logGruop": "x"}},
        "logs": {"tags": {"$replace": {}, "Team": "x"}},
        "logs-policy": {"policy": "nojson"},
    }
    assert lines(keys=KEYS, memory_mb=1, customize=customize) == [
        "memory_mb: must be between 256 and 10240, not 1",
        "customize.role: must hold keys and values, not 5",
        "customize.functoin: is no child of this component; did you mean 'function'?",
        "customize.key-web: is no child of this component; did you mean 'key:web'?",
        "customize.key:webb: 'webb' is not among those of 'key'; did you mean 'web'?",
        "customize.function:live: there is one 'function'; give 'function'",
        "customize.function.memory: Function has no such argument; did you mean 'memory_size'?",
        "customize.function.environment.variable: FunctionEnvironment has no such argument; did you mean 'variables'?",
        "customize.function.logging_config.logGruop: FunctionLoggingConfig has no such argument; did you mean 'log_group'?",
        "customize.logs.tags: holds '$replace' beside others; give it alone",
        "customize.logs-policy.policy: is not JSON",
    ]


def test_a_key_of_which_there_is_none_says_so() -> None:
    (problem,) = customize_problems({"key:web": {}}, {"key": aws.apigateway.ApiKey}, {"key": []})
    assert problem.reason == "the other arguments make no 'key', so there is nothing to change"


def test_what_only_follows_from_other_mistakes_is_not_told() -> None:
    """Without a right `auth` nobody knows whether there are keys."""
    assert lines(auth="password", customize={"key:web": {"enabled": False}, "key": {"enable": False}}) == [
        "auth: must be 'api_key', 'jwt', 'iam' or 'none', not 'password'",
        "customize.key.enable: ApiKey has no such argument; did you mean 'enabled'?",
    ]


LIMITED = [{"name": "web", "daily_quota": 5}, {"name": "batch"}]
NO_DOCUMENT = "must be a policy document: an object with a Statement"
ALREADY = "holds '$replace' in what takes the place of the component's own already; give the value itself"


@pytest.mark.parametrize(
    ("customize", "expected"),
    [
        # What is no change of a child.
        ({"function": 5}, "function: must hold keys and values, not 5"),
        ({"function": "x"}, "function: must hold keys and values, not a string"),
        ({"function": pulumi.Output.from_input({})}, "function: must be a plain value, known before anything is made, which"),
        ({"function": aws.lambda_.FunctionArgs(role="r")}, "function: must hold keys and values, not a FunctionArgs"),
        ({"logs": {"$replace": {"retention_in_days": 1}}}, "logs: '$replace' takes the place of an argument or of what is in"),
        # A value of another form.
        ({"function": {"layers": "arn:x"}}, "function.layers: must be a list, not a string"),
        ({"function": {"layers": {"$replace": "arn:x"}}}, "function.layers: must be a list, not a string"),
        ({"function": {"layers": [["arn:x"]]}}, "function.layers[0]: must be a string, not a list"),
        ({"function": {"memory_size": [1]}}, "function.memory_size: must be a number, not a list"),
        ({"function": {"runtime": {}}}, "function.runtime: must be a string, not keys and values"),
        ({"function": {"environment": "A=1"}}, "function.environment: must be keys and values, not a string"),
        ({"function": {"tags": {"Team": {"a": "b"}}}}, "function.tags.Team: must be a string, not keys and values"),
        ({"function": {"tags": {5: "x"}}}, "function.tags: must have strings as keys, not 5"),
        ({"keys-table": {"attributes": [{"nam": "x"}]}}, "keys-table.attributes[0].nam: TableAttribute has no such argument;"),
        ({"body-model": {"schema": {"type": "object"}}}, "body-model.schema: must be a string, not keys and values"),
        # What replaces.
        ({"function": {"tags": {"$repalce": {"A": "b"}}}}, "function.tags.$repalce: is not known; did you mean '$replace'?"),
        ({"function": {"memory_size": {"$Replace": 1}}}, "function.memory_size.$Replace: is not known; did you mean"),
        ({"function": {"tags": {"$replace": {"A": {"$replace": "b"}}}}}, f"function.tags.A: {ALREADY}"),
        ({"function": {"layers": [{"$replace": "b"}]}}, f"function.layers[0]: {ALREADY}"),
        # Given twice.
        (
            {"function": {"memory_size": 1024, "memorySize": 2048}},
            "function.memorySize: is given as 'memory_size' too; give one",
        ),
        (
            {"function": {"logging_config": {"logGroup": "a", "log_group": "b"}}},
            "function.logging_config.log_group: is given as 'logGroup' too; give one of the two",
        ),
        # Policy documents.
        ({"logs-policy": {"policy": 5}}, f"logs-policy.policy: {NO_DOCUMENT}"),
        ({"logs-policy": {"policy": "nojson"}}, "logs-policy.policy: is not JSON"),
        ({"logs-policy": {"policy": "5"}}, f"logs-policy.policy: {NO_DOCUMENT}"),
        ({"logs-policy": {"policy": {"$replace": 5}}}, f"logs-policy.policy: {NO_DOCUMENT}"),
        ({"role": {"assumeRolePolicy": 5}}, f"role.assumeRolePolicy: {NO_DOCUMENT}"),
        ({"logs-policy": {"policy": {"Statement": "x"}}}, "logs-policy.policy: statement 0 must hold keys and values"),
        ({"logs-policy": {"policy": ["x"]}}, "logs-policy.policy: statement 0 must hold keys and values"),
        (
            {"logs-policy": {"policy": {"statement": [STATEMENT]}}},
            "logs-policy.policy: is a policy document with the element 'statement'; did you mean 'Statement'?",
        ),
        (
            {"logs-policy": {"policy": {"Statement": {"$replace": [{**STATEMENT, "effect": "Deny"}]}}}},
            "logs-policy.policy: statement 0 has the element 'effect'; did you mean 'Effect'?",
        ),
        (
            {"logs-policy": {"policy": [{**STATEMENT, "Action": {"$replace": "s3:*"}}]}},
            f"logs-policy.policy.Statement[0].Action: {ALREADY}",
        ),
        (
            {"logs-policy": {"policy": {"$replace": {"Statement": {"$replace": [STATEMENT]}}}}},
            f"logs-policy.policy.Statement: {ALREADY}",
        ),
        (
            {"logs-policy": {"policy": {"$replace": json.dumps({"Statement": {"$replace": [STATEMENT]}})}}},
            f"logs-policy.policy.Statement: {ALREADY}",
        ),
        # What AWS keeps for itself.
        ({"logs": {"tags": {"aws:x": "1"}}}, "logs.tags.aws:x: 'aws:x' begins with 'aws:', which AWS keeps for itself"),
        ({"logs": {"tags": {"$replace": {"aws:x": "1"}}}}, "logs.tags.aws:x: 'aws:x' begins with 'aws:', which AWS keeps"),
        ({"logs": {"tags": {"Team": "a*"}}}, "logs.tags.Team: 'a*' holds '*'"),
        ({"logs": {"tags": {"Team": "a", "team": "b"}}}, "logs.tags: 'Team' and 'team' are one key for IAM"),
        (
            {"function": {"environment": {"variables": {"AWS_REGION": "x"}}}},
            "function.environment.variables.AWS_REGION: 'AWS_REGION' is a name that Lambda keeps for itself",
        ),
        (
            {"function": {"environment": aws.lambda_.FunctionEnvironmentArgs(variables={"A": "x"})}},
            "function.environment.variables.A: 'A' is not of the form of a variable's name",
        ),
        ({"logs": {"tags": {"$Team": "x"}}}, "logs.tags.$Team: '$Team' holds '$'"),
        # Children that there are not.
        ({"vpc-policy": {"name": "x"}}, "vpc-policy: the other arguments make no 'vpc-policy', so there is nothing to change"),
        (
            {"usage-plan:batch": {}},
            "usage-plan:batch: 'batch' is not among those of 'usage-plan'; there are web, and one that is",
        ),
    ],
)
def test_a_change_that_cannot_be_made_is_refused_with_its_path(customize: dict[str, Any], expected: str) -> None:
    (found,) = lines(keys=LIMITED, customize=customize)
    assert found.startswith(f"customize.{expected}"), found


def test_a_key_without_limits_of_its_own_has_the_usage_plan_of_all() -> None:
    assert lines(keys=KEYS, customize={"usage-plan:web": {}}) == [
        "customize.usage-plan:web: there is one 'usage-plan'; give 'usage-plan'"
    ]
    plan = {"description": "ours"}
    assert run_chat(keys=KEYS, customize={"usage-plan": plan}).inputs("chat-usage-plan")["description"] == "ours"


@pytest.mark.parametrize("resolved", [5, "nojson", {"Statement": "x"}, {"$replace": {}}])
@pytest.mark.parametrize("replacing", [False, True])
def test_an_output_that_resolves_to_no_policy_is_told_with_its_path(resolved: Any, replacing: bool) -> None:
    def program() -> None:
        given = pulumi.Output.from_input(resolved)
        programs.chat(customize={"logs-policy": {"policy": {"$replace": given} if replacing else given}})

    with pytest.raises(
        pulumi.InputPropertiesError, match=r"RolePolicy has arguments that are wrong:\n  customize.logs-policy.policy: "
    ):
        programs.run(program)


def test_names_that_aws_s_libraries_read_may_be_customized() -> None:
    """Lambda keeps only some of the names that begin with AWS_."""
    changes = {"AWS_RETRY_MODE": "standard", "AWS_LWA_READINESS_CHECK_PATH": "/other"}
    recording = run_chat(customize={"function": {"environment": {"variables": changes}}})
    assert recording.inputs("chat-function")["environment"]["variables"].items() >= changes.items()


def test_the_examples_of_the_documents_are_taken() -> None:
    page = (programs.ROOT / "docs" / "components.md").read_text(encoding="utf-8")
    section = page.partition("## customize\n")[2].partition("\n## ")[0]
    examples = re.findall(r"`(\{.+?\})`", section)
    whole = [example for example in examples if not example.startswith('{"$replace"')]
    assert len(whole) >= 3
    for example in whole:
        run_chat(customize=json.loads(example))
