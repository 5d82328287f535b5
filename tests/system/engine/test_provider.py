"""The stand-in providers, as a program meets them through the engine: what they refuse, name, replace and leave unknown."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pulumi_llm_local.aws_types.draft import Place
from pulumi_llm_local.engine.cloud import Cloud, Refused
from pulumi_llm_local.engine.stack import Stack
from system.engine.conftest import RAW_PROGRAM, names, program, succeeded

FUNCTION = "aws:lambda/function:Function"
TABLE = "aws:dynamodb/table:Table"
BUCKET = "aws:s3/bucket:Bucket"
QUEUE = "aws:sqs/queue:Queue"
MONITOR = "aws:costexplorer/anomalyMonitor:AnomalyMonitor"
CONFIG_MAP = "kubernetes:core/v1:ConfigMap"

ROLE = "arn:aws:iam::123456789012:role/llm"
GOOD_FUNCTION = {"role": ROLE, "handler": "main.handler", "runtime": "python3.13", "s3Bucket": "code", "s3Key": "code.zip"}
GOOD_TABLE = {"billingMode": "PAY_PER_REQUEST", "hashKey": "id", "attributes": [{"name": "id", "type": "S"}]}
METHOD = {"restApi": "a1b2c3", "resourceId": "d4e5f6", "httpMethod": "POST", "authorization": "NONE"}
DEPLOYMENT = "kubernetes:apps/v1:Deployment"

# The type, one mistake, the property's path and the beginning of the reason.
WRONG: list[tuple[str, dict[str, Any], str, str]] = [
    (FUNCTION, {**GOOD_FUNCTION, "memory": 512}, "memory", "no such argument; did you mean 'memorySize'?"),
    (FUNCTION, {"handler": "main.handler", "runtime": "python3.13"}, "role", "required, but missing"),
    (FUNCTION, {**GOOD_FUNCTION, "memorySize": 64}, "memorySize", "must be at least 128, not 64"),
    (FUNCTION, {**GOOD_FUNCTION, "timeout": 1000}, "timeout", "must be at most 900, not 1000"),
    (FUNCTION, {**GOOD_FUNCTION, "timeout": "soon"}, "timeout", "must be a number, not 'soon'"),
    (FUNCTION, {**GOOD_FUNCTION, "memorySize": 512.5}, "memorySize", "must be a whole number"),
    (FUNCTION, {**GOOD_FUNCTION, "runtime": "python2.4"}, "runtime", "must be a value that the API knows"),
    (FUNCTION, {**GOOD_FUNCTION, "name": "f" * 65}, "name", "must have at most 64 characters"),
    (FUNCTION, {**GOOD_FUNCTION, "name": "with space"}, "name", "must match"),
    (FUNCTION, {**GOOD_FUNCTION, "role": "llm"}, "role", "must match"),
    (FUNCTION, {**GOOD_FUNCTION, "architectures": ["arm"]}, "architectures[0]", "must be 'x86_64' or 'arm64'"),
    (FUNCTION, {**GOOD_FUNCTION, "tracingConfig": {"mode": "On"}}, "tracingConfig.mode", "must be "),
    (FUNCTION, {**GOOD_FUNCTION, "tracingConfig": "Active"}, "tracingConfig", "must be an object"),
    (FUNCTION, {**GOOD_FUNCTION, "environment": {"vars": {}}}, "environment.vars", "no such argument"),
    (TABLE, {**GOOD_TABLE, "billingMode": "FREE"}, "billingMode", "must be 'PROVISIONED' or 'PAY_PER_REQUEST'"),
    (TABLE, {**GOOD_TABLE, "attributes": [{"name": "id", "type": "T"}]}, "attributes[0].type", "must be 'S', 'N' or 'B'"),
    (TABLE, {**GOOD_TABLE, "name": "ab"}, "name", "must have at least 3 characters"),
    (QUEUE, {"visibilityTimeoutSeconds": 50_000}, "visibilityTimeoutSeconds", "must be at most 43200"),
    (QUEUE, {"messageRetentionSeconds": 1}, "messageRetentionSeconds", "must be at least 60"),
    ("aws:cloudwatch/logGroup:LogGroup", {"retentionInDays": 8}, "retentionInDays", "must be "),
    ("aws:apigateway/method:Method", {**METHOD, "authorization": "OAUTH"}, "authorization", "must be "),
    (
        "aws:apigateway/usagePlan:UsagePlan",
        {"quotaSettings": {"limit": 5, "period": "HOUR"}},
        "quotaSettings.period",
        "must be ",
    ),
    ("aws:iam/role:Role", {"assumeRolePolicy": "{}", "maxSessionDuration": 60}, "maxSessionDuration", "must be at least 3600"),
    ("aws:iam/role:Role", {"name": "llm"}, "assumeRolePolicy", "required, but missing"),
    ("aws:kms/key:Key", {"keyUsage": "HASHING"}, "keyUsage", "must be "),
    (BUCKET, {"bucketName": "weights"}, "bucketName", "no such argument"),
    (CONFIG_MAP, {"metadata": {"name": "c"}, "values": {"a": "b"}}, "values", "no such argument"),
    (CONFIG_MAP, {"metadata": {"name": "c"}, "data": ["a"]}, "data", "must be a map"),
    (DEPLOYMENT, {"spec": {"replicas": "two", "selector": {}, "template": {}}}, "spec.replicas", "must be a number"),
]


def raw(token: str, inputs: dict[str, Any], **options: Any) -> dict[str, Any]:
    return {"type": token, "inputs": inputs, "options": options}


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack with nothing in it, for programs that are refused."""
    with program(tmp_path_factory.mktemp("empty"), RAW_PROGRAM, resources={}) as stack:
        yield stack


@pytest.mark.parametrize(
    ("token", "inputs", "path", "reason"), WRONG, ids=[f"{w[0].rpartition(':')[2]} {w[2]} {i}" for i, w in enumerate(WRONG)]
)
def test_a_mistake_is_refused_at_preview_with_its_path(
    token: str, inputs: dict[str, Any], path: str, reason: str, empty: Stack
) -> None:
    empty.configure({"resources": {"wrong": raw(token, inputs)}})
    done = empty.preview()
    assert done.returncode != 0
    assert f"wrong' has a problem: {path}: {reason}" in done.output
    assert set(re.findall(r"problem: (\S+):", done.output)) == {path}, "one mistake, one refusal"


def test_nothing_is_made_where_something_is_refused(empty: Stack) -> None:
    token, inputs, path, reason = WRONG[0]
    empty.configure({"resources": {"wrong": raw(token, inputs)}})
    done = empty.up()
    assert done.returncode != 0
    assert f"{path}: {reason}" in done.output
    assert list(empty.cloud) == []


@pytest.mark.parametrize(
    ("token", "said"),
    [("aws:lambda/function:Functoin", "no such resource; did you mean"), ("aws:nowhere/thing:Thing", "no such resource")],
)
def test_a_type_that_there_is_not_is_refused(token: str, said: str, empty: Stack) -> None:
    empty.configure({"resources": {"wrong": raw(token, {})}})
    done = empty.preview()
    assert done.returncode != 0
    assert said in done.output


def test_a_provider_takes_only_its_own_configuration(tmp_path: Path) -> None:
    source = "import pulumi_aws as aws\naws.sqs.Queue('q')\n"
    with program(tmp_path, source) as stack:
        stack.configure({"aws:regoin": "us-east-1"})
        done = stack.preview()
    assert done.returncode != 0
    assert "regoin: no such argument; did you mean 'region'?" in done.output


def test_a_wrong_secret_is_not_shown(tmp_path: Path) -> None:
    source = f"""\
import pulumi

pulumi.CustomResource({FUNCTION!r}, "f", {{"role": {ROLE!r}, "name": pulumi.Output.secret("h0rse battery staple")}})
"""
    with program(tmp_path, source) as stack:
        done = stack.preview()
    assert done.returncode != 0
    assert "name: must match" in done.output
    assert "h0rse" not in done.output


# What is unknown, and what is named.


LINKED = """\
import pulumi
import pulumi_aws as aws

role = aws.iam.Role("role", assume_role_policy="{}")
function = aws.lambda_.Function(
    "f", role=role.arn, handler="main.handler", runtime="python3.13", s3_bucket="code", s3_key="code.zip",
    memory_size=pulumi.Config().require_int("memory"), publish=True,
)
pulumi.export("role", role.arn)
pulumi.export("name", role.name)
alias = aws.lambda_.Alias("live", function_name=function.name, function_version=function.version)
pulumi.export("version", function.version)
"""


def test_what_aws_computes_is_unknown_at_preview_and_known_after(tmp_path: Path) -> None:
    with program(tmp_path, LINKED, memory=512) as stack:
        preview = succeeded(stack.preview())
        assert "role   : [unknown]" in preview.output
        assert 'name   : "role-' in preview.output, "a name is made before AWS is asked"
        up = succeeded(stack.up())
        assert 'role   : "arn:aws:iam::123456789012:role/role-' in up.output
        assert 'version: "1"' in up.output


def test_an_update_publishes_a_version_that_preview_cannot_know(tmp_path: Path) -> None:
    with program(tmp_path, LINKED, memory=512) as stack:
        succeeded(stack.up())
        stack.configure({"memory": 1024})
        assert names(succeeded(stack.preview()), "update") == {"f", "live"}
        assert 'version: "1" => "2"' in succeeded(stack.up()).output


@pytest.mark.parametrize(
    ("token", "before", "after", "order"),
    [
        (TABLE, GOOD_TABLE, {**GOOD_TABLE, "hashKey": "key", "attributes": [{"name": "key", "type": "S"}]}, "create delete"),
        # The provider does not ask whether a name that is given has changed.
        (TABLE, {**GOOD_TABLE, "name": "keys"}, {**GOOD_TABLE, "name": "users"}, "delete create"),
        (
            TABLE,
            {**GOOD_TABLE, "name": "keys"},
            {**GOOD_TABLE, "name": "keys", "hashKey": "key", "attributes": [{"name": "key", "type": "S"}]},
            "delete create",
        ),
        (TABLE, GOOD_TABLE, {**GOOD_TABLE, "deletionProtectionEnabled": False}, "update"),
        (CONFIG_MAP, {"data": {"a": "b"}}, {"data": {"a": "c"}}, "create delete"),
        (
            DEPLOYMENT,
            {"spec": {"selector": {"matchLabels": {"a": "b"}}, "template": {}}},
            {"spec": {"selector": {"matchLabels": {"a": "b"}}, "template": {}, "paused": True}},
            "update",
        ),
    ],
    ids=["key", "another name", "key of a named one", "update", "config map", "deployment"],
)
def test_a_replacement_is_made_before_the_old_one_goes_unless_its_name_is_given(
    token: str, before: dict[str, Any], after: dict[str, Any], order: str, tmp_path: Path
) -> None:
    with program(tmp_path, RAW_PROGRAM, resources={"one": raw(token, before)}) as stack:
        succeeded(stack.up())
        made = len(stack.cloud.calls)
        stack.configure({"resources": {"one": raw(token, after)}})
        succeeded(stack.up())
        assert [call.verb for call in stack.cloud.calls[made:]] == order.split()
        assert set(succeeded(stack.preview()).steps().values()) == {"same"}


def test_a_name_stays_when_something_else_changes(tmp_path: Path) -> None:
    with program(tmp_path, RAW_PROGRAM, resources={"t": raw(TABLE, GOOD_TABLE), "c": raw(CONFIG_MAP, {})}) as stack:
        succeeded(stack.up())
        first = {existing.urn: existing.id for existing in stack.cloud}
        changed = {
            "t": raw(TABLE, {**GOOD_TABLE, "tags": {"a": "b"}}),
            "c": raw(CONFIG_MAP, {"metadata": {"labels": {"a": "b"}}}),
        }
        stack.configure({"resources": changed})
        assert names(succeeded(stack.up()), "update") == {"t", "c"}
        assert {existing.urn: existing.id for existing in stack.cloud} == first


@pytest.mark.assumes("one-plan")
@pytest.mark.parametrize(
    ("token", "inputs"),
    [
        ("aws:apigateway/usagePlanKey:UsagePlanKey", {"keyId": "k", "keyType": "API_KEY", "usagePlanId": "p"}),
        (TABLE, {**GOOD_TABLE, "name": "keys"}),
        ("aws:lambda/functionUrl:FunctionUrl", {"functionName": "f", "qualifier": "live", "authorizationType": "AWS_IAM"}),
        (MONITOR, {"monitorType": "DIMENSIONAL", "monitorDimension": "SERVICE"}),
    ],
)
def test_the_account_refuses_a_second_of_what_there_is_once(token: str, inputs: dict[str, Any], tmp_path: Path) -> None:
    with program(tmp_path, RAW_PROGRAM, resources={"a": raw(token, inputs), "b": raw(token, inputs)}) as stack:
        done = stack.up()
    assert done.returncode != 0
    assert "ConflictException" in done.output
    assert len(list(stack.cloud)) == 1


def test_the_account_has_many_monitors_of_its_own() -> None:
    cloud = Cloud()
    for name in ("a", "b"):
        inputs = {"monitorType": "CUSTOM", "monitorSpecification": json.dumps({"Tags": {"Key": "Team", "Values": [name]}})}
        cloud.create(MONITOR, f"urn::{name}", inputs, Place())
    assert len(list(cloud)) == 2


ACCESS_LOGS = {"accessLogSettings": {"destinationArn": "arn:aws:logs:us-east-1:123456789012:log-group:a", "format": "{}"}}


@pytest.mark.parametrize(
    ("token", "inputs"),
    [
        ("aws:apigateway/stage:Stage", {"restApi": "r", "deployment": "d", "stageName": "api", **ACCESS_LOGS}),
        (
            "aws:apigateway/methodSettings:MethodSettings",
            {"restApi": "r", "stageName": "api", "methodPath": "*/*", "settings": {"loggingLevel": "INFO"}},
        ),
    ],
)
def test_the_account_refuses_logs_of_api_gateway_before_the_region_has_their_role(token: str, inputs: dict[str, Any]) -> None:
    cloud, place = Cloud(), Place(region="us-east-1")
    account = {"cloudwatchRoleArn": "arn:aws:iam::123456789012:role/logs"}

    def refusal() -> str:
        try:
            cloud.create(token, "urn::it", inputs, place)
        except Refused as refused:
            return str(refused)
        return ""

    assert "CloudWatch Logs role ARN must be set in account settings" in refusal()
    cloud.create("aws:apigateway/account:Account", "urn::elsewhere", account, Place(region="eu-west-1"))
    assert "CloudWatch Logs role ARN must be set in account settings" in refusal()
    cloud.create("aws:apigateway/account:Account", "urn::account", account, place)
    assert "CloudWatch" not in refusal()


def test_the_account_refuses_to_delete_what_it_protects(tmp_path: Path) -> None:
    inputs = {**GOOD_TABLE, "deletionProtectionEnabled": True}
    with program(tmp_path, RAW_PROGRAM, resources={"keys": raw(TABLE, inputs)}) as stack:
        succeeded(stack.up())
        done = stack.destroy()
    assert done.returncode != 0
    assert "protected against deletion: deletionProtectionEnabled is on" in done.output
    assert len(list(stack.cloud)) == 1


def test_what_was_deleted_behind_our_back_is_noticed_by_a_refresh_and_made_again(tmp_path: Path) -> None:
    with program(tmp_path, RAW_PROGRAM, resources={"keys": raw(TABLE, GOOD_TABLE)}) as stack:
        succeeded(stack.up())
        (table,) = stack.cloud
        stack.cloud.delete(table.token, table.id, table.urn, table.state)
        assert stack.refresh("--expect-no-changes").returncode != 0
        assert names(succeeded(stack.up()), "create") == {"keys"}
        assert len(list(stack.cloud)) == 1


REGIONS = """\
import pulumi
import pulumi_aws as aws
import pulumi_llm

there = aws.Provider("there", region="eu-west-1")
pulumi.export("here", aws.sqs.Queue("here").arn)
pulumi.export("there", aws.sqs.Queue("there", opts=pulumi.ResourceOptions(provider=there)).arn)
pulumi.export("asked", aws.get_region_output(opts=pulumi.InvokeOptions(provider=there)).region)
made = aws.ssm.Parameter("made", type="String", value="role")
role = made.arn.apply(lambda _: "arn:aws:iam::210987654321:role/deployment")
roles = [aws.ProviderAssumeRoleArgs(role_arn=role)]
later = aws.Provider("later", region="eu-west-2", assume_roles=roles)
for name, provider in {"there": there, "later": later}.items():
    baseline = pulumi_llm.AccountBaseline(name, {"bedrock_invocation_logs": True}, pulumi.ResourceOptions(provider=provider))
    pulumi.export(f"{name} logs", baseline.bedrock_log_group_name)
"""


def test_each_provider_has_its_region_and_account(tmp_path: Path) -> None:
    """The one whose account is an output of the program itself is not configured before that is made."""
    with program(tmp_path, REGIONS) as stack:
        preview = succeeded(stack.preview()).output
        assert "the Region of its AWS provider is not known yet; this preview supposes us-east-1" in preview
        output = succeeded(stack.up()).output
        assert "not known yet" not in output
        policy = next(existing for existing in stack.cloud if existing.urn.endswith("::later-bedrock-policy"))
    assert ":eu-west-2:210987654321:" in policy.inputs["policy"]
    assert 'here      : "arn:aws:sqs:us-east-1:' in output
    assert 'there     : "arn:aws:sqs:eu-west-1:' in output
    assert 'asked     : "eu-west-1"' in output


def test_a_function_that_is_not_known_fails_by_name(tmp_path: Path) -> None:
    source = "import pulumi\npulumi.runtime.invoke('aws:nowhere/getThing:getThing', {})\n"
    with program(tmp_path, source) as stack:
        done = stack.preview()
    assert done.returncode != 0
    assert "aws:nowhere/getThing:getThing: AWS's answer is not known here; give its answer with --invoke" in done.output
    assert "Traceback" not in done.output


# Programs that fail.


@pytest.mark.parametrize(
    ("source", "said", "unsaid"),
    [
        ("import pulumi\nraise pulumi.RunError('the settings are wrong')\n", "the settings are wrong", "Traceback"),
        ("undefined\n", "NameError: name 'undefined' is not defined", "rpc"),
        ("import os\nos._exit(3)\n", "exit status 3", "Traceback"),
        ("import sys\nsys.exit('stopped')\n", "stopped", "Traceback"),
    ],
    ids=["told", "traceback", "killed", "exit"],
)
def test_a_program_that_fails_is_told_as_it_is(source: str, said: str, unsaid: str, tmp_path: Path) -> None:
    with program(tmp_path, source, Cloud()) as stack:
        done = stack.preview()
    assert done.returncode != 0
    assert said in done.output
    assert unsaid not in done.output
