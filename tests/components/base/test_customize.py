"""How a change of `customize` and the component's own argument become one."""

import json
from typing import Any

import pulumi
import pulumi_aws as aws
import pytest

from pulumi_llm.base.customize import customize_problems, merged
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
    assert merged(aws.lambda_.Function, OWN, change) == {**OWN, **expected}


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


def test_everything_that_is_wrong_is_reported_at_once() -> None:
    with pytest.raises(pulumi.InputPropertiesError) as error:
        run_chat(
            keys=KEYS,
            memory_mb=1,
            customize={
                "functoin": {},
                "key-web": {},
                "key:webb": {},
                "function:live": {},
                "function": {"memory": 1, "environment": {"variable": {}}, "logging_config": {"logGruop": "x"}},
                "logs": {"tags": {"$replace": {}, "Team": "x"}},
            },
        )
    assert [f"{detail['property_path']}: {detail['reason']}" for detail in error.value.errors or []] == [
        "memory_mb: must be between 256 and 10240, not 1",
        "customize.functoin: is no child of this component; did you mean 'function'?",
        "customize.key-web: is no child of this component; did you mean 'key:web'?",
        "customize.key:webb: 'webb' is not among those of 'key'; did you mean 'web'?",
        "customize.function:live: there is one 'function'; give 'function'",
        "customize.function.memory: Function has no such argument; did you mean 'memory_size'?",
        "customize.function.environment.variable: FunctionEnvironment has no such argument; did you mean 'variables'?",
        "customize.function.logging_config.logGruop: FunctionLoggingConfig has no such argument; did you mean 'log_group'?",
        "customize.logs.tags: holds '$replace' beside others; give it alone",
    ]


def test_a_key_of_which_there_is_none_says_so() -> None:
    (problem,) = customize_problems({"key:web": {}}, {"key": aws.apigateway.ApiKey}, {"key": []})
    assert problem.reason == "'web' is not among those of 'key'; there is no 'key'"
