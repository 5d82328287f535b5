"""What counts usage: which lines of which log groups come to it, who may call it, and what it may do."""

import json
from typing import Any

import pulumi
import pytest

import pulumi_llm
from contract.test_components import LOG_GROUP, USAGE_TABLE
from llm_gateway.request import Kind
from llm_gateway.telemetry import Record
from pulumi_llm_local.services.log_subscription import read_pattern
from support import programs
from support.programs import MODELS, Recording

ACCOUNT = "123456789012"


def made(**settings: Any) -> Recording:
    args: Any = {"table": USAGE_TABLE, "log_groups": {"chat": LOG_GROUP}, **settings}
    return programs.run(lambda: pulumi_llm.UsageAnalytics("usage", args))


@pytest.mark.assumes("usage-subscription")
def test_each_log_group_has_its_records_handed_over_and_no_other_may_call() -> None:
    other = f"arn:aws:logs:us-east-1:{ACCOUNT}:log-group:jobs-logs"
    recording = made(log_groups={"chat": LOG_GROUP, "jobs": other})
    for key, arn, name in (("chat", LOG_GROUP, "chat-logs"), ("jobs", other, "jobs-logs")):
        filter_, permission = recording.inputs(f"usage-filter-{key}"), recording.inputs(f"usage-permission-{key}")
        assert filter_["logGroup"] == name
        assert filter_["destinationArn"] == recording.named("usage-writer-alias").state["arn"]
        assert (permission["principal"], permission["sourceArn"]) == ("logs.amazonaws.com", f"{arn}:*")
        assert (permission["sourceAccount"], permission["qualifier"]) == (ACCOUNT, "live")


def test_the_pattern_lets_the_records_of_requests_through_and_nothing_else() -> None:
    pattern = read_pattern(made().inputs("usage-filter-chat")["filterPattern"])
    assert pattern is not None
    for kind in Kind.__args__:  # pyright: ignore[reportAttributeAccessIssue]
        from types import SimpleNamespace

        from llm_gateway.identity.caller import ANONYMOUS

        request: Any = SimpleNamespace(kind=kind, model="fast")
        assert pattern(json.dumps(Record("request-1", ANONYMOUS, request).fields))
    for line in (
        '{"message": "refused"}',
        "START RequestId",
        '{"a": {"message": "chat"}}',
        '["chat"]',
        '{"message": ["chat"]}',
    ):
        assert not pattern(line)


def test_it_may_add_to_the_table_and_give_up_and_nothing_else() -> None:
    recording = made()
    statements = json.loads(recording.inputs("usage-writer-policy")["policy"])["Statement"]
    queue = recording.named("usage-dead-letters").state["arn"]
    assert {each["Sid"]: (each["Action"], each["Resource"]) for each in statements} == {
        "AddUsage": (["dynamodb:PutItem", "dynamodb:UpdateItem"], USAGE_TABLE["arn"]),
        "DecryptUsage": (["kms:Decrypt"], USAGE_TABLE["kms_key_arn"]),
        "GiveUp": (["sqs:SendMessage"], queue),
    }
    function = recording.inputs("usage-writer-function")
    assert function["deadLetterConfig"] == {"targetArn": queue}
    assert function["environment"]["variables"] == {"USAGE_TABLE": USAGE_TABLE["name"]}


# Arguments -> what is wrong with them.
MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    "no log group": ({"log_groups": {}}, "log_groups"),
    "a name of no form": ({"log_groups": {"The API": LOG_GROUP}}, "log_groups"),
    "an ARN of a stream": ({"log_groups": {"chat": f"{LOG_GROUP}:*"}}, "log_groups.chat"),
    "of another Region": ({"log_groups": {"chat": f"arn:aws:logs:eu-west-1:{ACCOUNT}:log-group:x"}}, "log_groups.chat"),
}


@pytest.mark.parametrize(("settings", "path"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes(settings: dict[str, Any], path: str) -> None:
    with pytest.raises(pulumi.InputPropertiesError) as failure:
        made(**settings)
    assert any(error["property_path"].startswith(path) for error in failure.value.errors or [])


def test_the_api_tells_and_counts_costs() -> None:
    args: Any = {"models": MODELS, "usage": {"tenant_readers": ["ops", "arn:aws:iam::1:role/x"]}}
    recording = programs.run(lambda: pulumi_llm.ServerlessBedrockApi("chat", args))
    variables = recording.inputs("chat-function")["environment"]["variables"]
    table = recording.named("chat-usage-table")
    assert variables["USAGE_TABLE"] == table.state["name"]
    assert json.loads(variables["USAGE_TENANT_READERS"]) == args["usage"]["tenant_readers"]
    (statement,) = json.loads(recording.inputs("chat-usage-policy")["policy"])["Statement"]
    assert (statement["Action"], statement["Resource"]) == (["dynamodb:Query"], table.state["arn"])
    assert {each["name"]: each["type"] for each in table.inputs["attributes"]} == {"holder": "S", "slot": "S"}
    assert table.inputs["ttl"]["attributeName"] == "expires"
