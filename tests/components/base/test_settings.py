"""What is taken for a setting and what is refused, for every setting of every component alike."""

import asyncio
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast, get_origin

import pulumi
import pulumi_aws as aws
import pytest

import pulumi_llm
from pulumi_llm.account_baseline.args import AccountBaselineSettings, CostAnomalySettings
from pulumi_llm.api_edge.settings import JwtSettings
from pulumi_llm.base.function_settings import VpcSettings
from pulumi_llm.base.location import Location
from pulumi_llm.base.problems import members
from pulumi_llm.base.settings import Settings, read
from pulumi_llm.observability.args import BudgetSettings, CostTagSettings, ObservabilitySettings
from pulumi_llm.routing.settings import ModelSettings, ProviderSettings, TargetSettings, WakeQueueSettings
from pulumi_llm.serverless_bedrock_api.args import DomainSettings, ServerlessBedrockApiSettings
from pulumi_llm.stack_settings import StackSettings
from support import programs
from support.programs import MODELS, run_chat

sys.path.insert(0, str(programs.ROOT / "docs"))
from describe import nested, settings_of

CERTIFICATE = "arn:aws:acm:us-east-1:123456789012:certificate/1234abcd"
KEY = "arn:aws:kms:us-east-1:123456789012:key/1234abcd"
SECRET = "arn:aws:secretsmanager:us-east-1:123456789012:secret:claude-AbCdEf"
LAYER = "arn:aws:lambda:us-east-1:123456789012:layer:adapter:1"

QUEUE = {"url": "https://sqs.us-east-1.amazonaws.com/123456789012/wake", "arn": "arn:aws:sqs:us-east-1:123456789012:wake"}
TOPIC = "arn:aws:sns:us-east-1:123456789012:ops"
BUDGET = {"monthly_usd": 10, "topic_arn": TOPIC}

# What must be given of each kind of settings; nothing of the others.
LEAST: dict[type[Settings], dict[str, Any]] = {
    AccountBaselineSettings: {"github_oidc": True},
    ServerlessBedrockApiSettings: {"models": MODELS, "region": "us-east-1"},
    StackSettings: {"models": MODELS, "aws:region": "us-east-1", "environment": "dev", "development": True},
    ObservabilitySettings: {"budget": BUDGET},
    BudgetSettings: BUDGET,
    CostAnomalySettings: {"topic_arn": "arn:aws:sns:us-east-1:123456789012:costs"},
    CostTagSettings: {"key": "Team", "value": "search"},
    VpcSettings: {"subnet_ids": ["subnet-0a"], "security_group_ids": ["sg-0a"]},
    DomainSettings: {"name": "chat.example.com", "certificate_arn": CERTIFICATE},
    JwtSettings: {"issuer": "https://id.example.com", "audiences": ["chat"]},
    ModelSettings: {"name": "a", "model": "gpt-oss-20b"},
    TargetSettings: {"model": "gpt-oss-20b"},
    ProviderSettings: {"type": "anthropic", "secret_arn": SECRET},
    WakeQueueSettings: QUEUE,
}


def kinds() -> Iterator[type[Settings]]:
    """Every class of settings, those within others too."""
    found = [AccountBaselineSettings, ObservabilitySettings, ServerlessBedrockApiSettings, StackSettings]
    for kind in found:
        found += [held for setting in settings_of(kind) for held in nested(setting.annotation) if held not in found]
    yield from found


def least(kind: type[Settings]) -> dict[str, Any]:
    given = LEAST.get(kind, {})
    return {"name": "a", **given} if "name" in kind.model_fields and "name" not in given else given


FIELDS = [(kind, name, field.alias or name) for kind in kinds() for name, field in kind.model_fields.items()]
each_field = pytest.mark.parametrize(("kind", "name", "key"), FIELDS, ids=lambda value: getattr(value, "__name__", value))


@each_field
def test_none_counts_as_not_given(kind: type[Settings], name: str, key: str) -> None:
    without = {other: value for other, value in least(kind).items() if other != key}
    expected, problems = read(kind, without)
    assert ((key, "is required, but not given") in problems) == kind.model_fields[name].is_required()
    settings, found = read(kind, {**without, key: None})
    assert found == problems
    assert settings == expected
    assert settings.given(name) is False


def test_none_within_a_program_s_arguments_changes_nothing() -> None:
    """As deep as it goes: the switches, the limits of a key, an entry of a map, and what `customize` changes."""
    plain = run_chat(keys=[{"name": "web"}], tags={"Team": "search"})
    nothing = {"rate_limit": None, "burst_limit": None}
    with_none = run_chat(
        keys=[{"name": "web", "tenant": None, "models": None, "throttle": None, "daily_quota": None}],
        tags={"Team": "search", "Owner": None},
        deletion_protection=None,
        access_logs=None,
        tracing=None,
        auth=None,
        jwt=None,
        throttle=nothing,
        stage_throttle=nothing,
        daily_quota=None,
        domain=None,
        kms_key_arn=None,
        providers={"gone": None},
        customize={"logs": None, "function": {"memory_size": None, "environment": {"variables": None}}},
    )
    assert inputs(with_none) == inputs(plain)


def inputs(recording: programs.Recording) -> dict[str, Any]:
    return {name: {k: v for k, v in recording.inputs(name).items() if k != "code"} for name in recording.names()}


# An empty list, where leaving it out means all, or what the catalogue says.

LISTS = [
    (kind, key)
    for kind, name, key in FIELDS
    if any(get_origin(member) is tuple for member in members(kind.model_fields[name].annotation))
]
# None of these is a mistake: a model takes all its parameters together, a topic is notified, there are no routes but ours; a
# cluster is reached from within its VPC alone, a network has no such endpoints or subnets, a server has no more arguments and
# calls nothing more; there are no rules, and a rule may allow no tools; a guardrail looks for nothing of a kind.
EMPTY_MEANS_NONE = {"exclusive", "emails", "routes", "rules", "tools"}
EMPTY_MEANS_NONE |= {"topics", "words", "regexes", "examples"}
EMPTY_MEANS_NONE |= {"endpoint_public_cidrs", "interface_endpoints", "public_subnet_ids", "arguments", "egress_cidrs"}


@pytest.mark.parametrize(("kind", "key"), LISTS, ids=lambda value: getattr(value, "__name__", value))
def test_an_empty_list_is_a_mistake(kind: type[Settings], key: str) -> None:
    if key == "accepts":  # what is wrong with it is in the table of routing
        target = {**LEAST[TargetSettings], "provider": "p", "context_tokens": 9, "max_output_tokens": 9, "accepts": []}
        given = {**LEAST[ServerlessBedrockApiSettings], "models": [{"name": "a", "targets": [target]}]}
        given["providers"] = {"p": LEAST[ProviderSettings]}
        problems = [*read(ServerlessBedrockApiSettings, given)[0].problems_in(Location.of("us-east-1"))]
        assert ("models[0].targets[0].accepts", "must hold 'max_tokens', which is always sent") in problems
        return
    _, problems = read(kind, {**least(kind), key: []})
    found = [problem.reason for problem in problems if problem.path == key]
    if key in EMPTY_MEANS_NONE:
        assert found == []
    else:
        assert {"must hold at least one", "must hold at least 2"} & set(found)


def test_an_empty_name_of_a_claim_is_a_mistake() -> None:
    _, problems = read(JwtSettings, {**LEAST[JwtSettings], "models_claim": ""})
    assert problems == [("models_claim", "must not be empty")]


# What Python has and other languages do not.


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"tracing": "false"}, "tracing: must be true or false, not 'false'"),
        ({"tracing": 0}, "tracing: must be true or false, not 0"),
        ({"timeout_seconds": True}, "timeout_seconds: must be a whole number, not True"),
        ({"timeout_seconds": "60"}, "timeout_seconds: must be a whole number, not '60'"),
        ({"auth": b"none"}, "auth: must be a string, not a bytes"),
        ({"cors_allow_origin": b"*"}, "cors_allow_origin: must be a string, not a bytes"),
        ({"tags": {"Team": b"search"}}, "tags.Team: must be a string, not a bytes"),
        ({"models": {"gpt-oss-20b"}}, "models: must be a list, whose order stays the same, not a set"),
        ({"models": map(str, ["gpt-oss-20b"])}, "models: must be a list, not a map"),
        (
            {"keys": [{"name": "a", "models": {"x"}}]},
            "keys[0].models: must be a list, whose order stays the same, not a set",
        ),
        ({"keys": [{"name": "a", "models": [b"fast"]}]}, "keys[0].models[0]: must be a string, not a bytes"),
        ({"keys": [None]}, "keys[0]: must hold keys and values, not None"),
        ({"keys": [{"name": "a\nb"}]}, "keys[0].name: holds a line break or another control character; leave it out"),
        ({"keys": [{"name": "web\n"}]}, "keys[0].name: holds a line break or another control character; leave it out"),
        ({"region": "us-east-1\n"}, "region: holds a line break or another control character; leave it out"),
        ({"parameter_prefix": "/llm\x00"}, "parameter_prefix: holds a line break or another control character; leave it out"),
        ({"parameter_prefix": Path("/llm")}, f"parameter_prefix: must be a string, not a {type(Path()).__name__}"),
        (
            {"auth": "jwt", "jwt": {"issuer": "https://id\x7f.example", "audiences": ["a"]}},
            "jwt.issuer: holds a line break or another control character; leave it out",
        ),
    ],
    ids=lambda value: None if isinstance(value, dict) else value,
)
def test_a_program_s_arguments_are_taken_strictly(given: dict[str, Any], expected: str) -> None:
    assert mistakes(**given) == [expected]


@dataclass(frozen=True)
class Resolved:
    """Stands for an Output, which can be made only within a program."""

    value: Any
    secret: bool = False


def with_outputs(value: Any) -> Any:
    match value:
        case Resolved():
            return pulumi.Output.secret(value.value) if value.secret else pulumi.Output.from_input(value.value)
        case dict():
            return {key: with_outputs(item) for key, item in cast("dict[str, Any]", value).items()}
        case list():
            return [with_outputs(item) for item in cast("list[Any]", value)]
        case _:
            return value


def mistakes(name: str = "chat", *, preview: bool = False, **args: Any) -> list[str]:
    """What is said of wrong arguments, each path with its reason."""
    with pytest.raises(pulumi.InputPropertiesError) as error:
        programs.run(lambda: programs.chat(name, **with_outputs(args)), preview=preview)
    head, *lines = str(error.value).splitlines()
    details = [f"{detail['property_path']}: {detail['reason']}" for detail in error.value.errors or []]
    assert head == "ServerlessBedrockApi has arguments that are wrong:"
    assert [line.strip() for line in lines] == details
    return details


def test_an_output_is_not_reported_where_the_component_was_refused_already() -> None:
    domain = {"name": "chat.example.com", "certificate_arn": CERTIFICATE, "zone_id": Resolved("!!")}
    assert mistakes(domain=domain, memory_mb=1) == ["memory_mb: must be between 256 and 10240, not 1"]


# The level above a throttle.


@pytest.mark.parametrize(
    ("api", "key", "limits"),
    [
        ({}, {}, (0.5, 20)),
        ({"rate_limit": 5}, {}, (5, 20)),
        ({"burst_limit": 7}, {}, (0.5, 7)),
        ({"rate_limit": 5}, {"burst_limit": 9}, (5, 9)),
        ({"burst_limit": 7}, {"rate_limit": 3}, (3, 7)),
        ({"rate_limit": 5, "burst_limit": 7}, {"rate_limit": 3}, (3, 7)),
        ({"rate_limit": 5, "burst_limit": 7}, {"rate_limit": 3, "burst_limit": 4}, (3, 4)),
    ],
)
def test_a_throttle_takes_its_other_half_from_the_level_above(
    api: dict[str, float], key: dict[str, float], limits: tuple[float, int]
) -> None:
    recording = run_chat(throttle=api, keys=[{"name": "web", "throttle": key} if key else {"name": "web"}])
    throttle = recording.inputs("chat-usage-plan-web" if key else "chat-usage-plan")["throttleSettings"]
    assert (throttle["rateLimit"], throttle["burstLimit"]) == limits


@pytest.mark.parametrize(("given", "limits"), [({}, (100, 200)), ({"rate_limit": 5}, (5, 200)), ({"burst_limit": 7}, (100, 7))])
def test_a_stage_throttle_takes_its_other_half_from_its_own_default(given: dict[str, float], limits: tuple[float, int]) -> None:
    settings = run_chat(stage_throttle=given, throttle={"rate_limit": 1, "burst_limit": 2}).inputs("chat-stage-settings")
    assert (settings["settings"]["throttlingRateLimit"], settings["settings"]["throttlingBurstLimit"]) == limits


# The component's name.

DIGITS = "Pulumi's random digits in the 64 that AWS takes"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("x" * 36, []),
        ("x" * 37, [f"name: {'x' * 37!r} has 37 characters; at most 36 leave room for '-authorizer-function' and {DIGITS}"]),
        ("a b", ["name: 'a b' becomes part of names of which AWS takes letters, digits, '-' and '_' only"]),
        ("chat\n", ["name: 'chat\\n' becomes part of names of which AWS takes letters, digits, '-' and '_' only"]),
    ],
)
def test_a_name_that_is_no_part_of_a_physical_name_is_a_mistake(name: str, expected: list[str]) -> None:
    if expected:
        assert mistakes(name) == expected
    else:
        programs.run(lambda: programs.chat(name))


def test_a_name_may_be_longer_where_customize_names_the_children() -> None:
    own = {key: {"name": key} for key in ("function", "role", "authorizer-function", "authorizer-role")}
    assert programs.run(lambda: programs.chat("x" * 60, customize=own)).inputs(f"{'x' * 60}-function")["name"] == "function"


def test_the_longest_name_of_each_component() -> None:
    """An account's parts have roles alone."""
    with pytest.raises(pulumi.InputPropertiesError, match="at most 39 leave room for '-api-gateway-role'"):
        programs.run(lambda: pulumi_llm.AccountBaseline("x" * 40, {"api_gateway_logs": True}))
    programs.run(lambda: pulumi_llm.AccountBaseline("x" * 39, {"api_gateway_logs": True}))


# Tags. https://docs.aws.amazon.com/tag-editor/latest/userguide/best-practices-and-strats.html


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({"aws:cost": "a"}, ["tags.aws:cost: 'aws:cost' begins with 'aws:', which AWS keeps for itself; give another key"]),
        ({"AWS:cost": "a"}, ["tags.AWS:cost: 'AWS:cost' begins with 'aws:', which AWS keeps for itself; give another key"]),
        ({"": "a"}, ["tags.: a tag's key must have from 1 to 128 characters, not 0"]),
        ({"k" * 129: "a"}, [f"tags.{'k' * 129}: a tag's key must have from 1 to 128 characters, not 129"]),
        ({"Team": "v" * 257}, ["tags.Team: a tag's value must have at most 256 characters, not 257"]),
        ({"Team": "a;b"}, ["tags.Team: 'a;b' holds ';'; AWS takes letters, digits, spaces and _ . : / = + - @"]),
        ({"Team*": "a"}, ["tags.Team*: 'Team*' holds '*'; AWS takes letters, digits, spaces and _ . : / = + - @"]),
        ({f"t{i}": "a" for i in range(49)}, []),
        (
            {f"t{i}": "a" for i in range(50)},
            ["tags: AWS takes 50 tags of a resource, and with the component's own these are 51; give fewer"],
        ),
        ({**{f"t{i}": "a" for i in range(49)}, "Component": "mine"}, []),
        (
            {"component": "a"},
            ["tags: 'Component' and 'component' are one key for IAM, which tells no capitals; give one of them"],
        ),
        ({"Équipe été": "Süd / 1+1=2 @home"}, []),
        ({"Team": ""}, []),
    ],
    ids=lambda value: str(value)[:60],
)
def test_tags_are_what_aws_takes(tags: dict[str, str], expected: list[str]) -> None:
    _, problems = read(ServerlessBedrockApiSettings, {**LEAST[ServerlessBedrockApiSettings], "tags": tags})
    assert [f"{path}: {reason}" for path, reason in problems] == expected
    _, problems = read(AccountBaselineSettings, {**LEAST[AccountBaselineSettings], "tags": tags})
    assert [f"{path}: {reason}" for path, reason in problems] == expected


def test_a_stack_s_tags_are_counted_with_its_own() -> None:
    """Project, Environment, ManagedBy, Owner and Component are the stack's and the component's."""
    for count, expected in ((45, []), (46, ["tags"])):
        tags = {f"t{i}": "a" for i in range(count)}
        given = {**LEAST[StackSettings], "api": {"log_role_exists": True}, "owner": "ana", "tags": tags}
        assert [problem.path for problem in read(StackSettings, given)[1]] == expected


# What must be in the API's Region.

ELSEWHERE = "is in eu-west-1; give one in us-east-1, where it is used"


def elsewhere(arn: str) -> str:
    return arn.replace("us-east-1", "eu-west-1")


REGIONAL: list[tuple[str, dict[str, Any]]] = [
    ("kms_key_arn", {"kms_key_arn": KEY}),
    ("web_adapter_layer_arn", {"web_adapter_layer_arn": LAYER}),
    ("domain.certificate_arn", {"domain": {"name": "chat.example.com", "certificate_arn": CERTIFICATE}}),
    ("providers.p.secret_arn", {"providers": {"p": {"type": "anthropic", "secret_arn": SECRET}}}),
    ("providers.p.wake_queue.arn", {"providers": {"p": {"type": "anthropic", "secret_arn": SECRET, "wake_queue": QUEUE}}}),
    (
        "providers.p.wake_queue.kms_key_arn",
        {"providers": {"p": {"type": "anthropic", "secret_arn": SECRET, "wake_queue": {**QUEUE, "kms_key_arn": KEY}}}},
    ),
    ("providers.p.kms_key_arn", {"providers": {"p": {"type": "anthropic", "secret_arn": SECRET, "kms_key_arn": KEY}}}),
]
TARGET = {"provider": "p", "model": "m", "context_tokens": 9_000, "max_output_tokens": 900}


def changed(value: Any, path: str, change: Any) -> Any:
    """The value with what is at the path put through `change`."""
    if not path:
        return change(value)
    name, _, rest = path.partition(".")
    return {**value, name: changed(value[name], rest, change)}


def routed(args: Mapping[str, Any]) -> dict[str, Any]:
    return {"models": [{"name": "a", "targets": [TARGET]}], **args} if "providers" in args else dict(args)


@pytest.mark.parametrize(("path", "args"), REGIONAL)
def test_a_key_a_certificate_and_a_layer_of_another_region_are_refused(path: str, args: dict[str, Any]) -> None:
    run_chat(**routed(args))
    assert mistakes(**routed(changed(args, path, elsewhere))) == [f"{path}: {ELSEWHERE}"]
    assert mistakes(**routed(changed(args, path, lambda arn: Resolved(elsewhere(arn))))) == [f"{path}: {ELSEWHERE}"]


# Outputs.


def test_every_output_that_resolved_to_what_is_wrong_is_reported_at_once_with_its_path() -> None:
    found = mistakes(
        memory_mb=Resolved(1),
        log_retention_days=Resolved(31),
        daily_quota=Resolved("many", secret=True),
        tags={"Team": Resolved("a;b"), "Owner": Resolved("ana"), "Cost": Resolved(7)},
        domain={"name": "chat.example.com", "certificate_arn": Resolved("nope"), "zone_id": Resolved("")},
    )
    assert [mistake.partition(" 1, 3, 5")[0] for mistake in found] == [
        "daily_quota: must be a whole number",
        "memory_mb: must be between 256 and 10240",
        "log_retention_days: must be one of",
        "domain.certificate_arn: what the Output resolved to is not of the form of the ARN of a certificate in ACM",
        "domain.zone_id: what the Output resolved to is not of the form of the id of a hosted zone, such as "
        "Z0123456789ABCDEFGHIJ",
        "tags.Team: what the Output resolved to holds ';'; AWS takes letters, digits, spaces and _ . : / = + - @",
        "tags.Cost: must be a string",
    ]


def test_outputs_that_are_not_known_yet_do_not_hide_what_is_wrong_with_another() -> None:
    def program() -> None:
        key = aws.kms.Key("key")
        programs.chat(kms_key_arn=key.arn, **with_outputs({"memory_mb": Resolved(1), "daily_quota": Resolved(0)}))

    with pytest.raises(pulumi.InputPropertiesError) as error:
        programs.run(program, preview=True)
    assert [detail["property_path"] for detail in error.value.errors or []] == ["daily_quota", "memory_mb"]


@pytest.mark.parametrize(
    ("argument", "child", "of", "default"),
    [
        ("memory_mb", "chat-function", ("memorySize",), 256),
        ("daily_quota", "chat-usage-plan", ("quotaSettings", "limit"), 1_000),
        ("log_retention_days", "chat-logs", ("retentionInDays",), 30),
    ],
)
def test_an_output_that_resolved_to_none_is_not_given(argument: str, child: str, of: tuple[str, ...], default: int) -> None:
    value: Any = programs.run(lambda: programs.chat(**with_outputs({argument: Resolved(None)}))).inputs(child)
    for name in of:
        value = value[name]
    assert value == default


@pytest.mark.parametrize(
    "args",
    [
        {"kms_key_arn": Resolved(None)},
        {"web_adapter_layer_arn": Resolved(None)},
        {"reserved_concurrency": Resolved(None)},
        {"tags": {"Team": Resolved(None)}},
        {"domain": {"name": "chat.example.com", "certificate_arn": Resolved(None)}},
    ],
    ids=str,
)
def test_an_output_without_a_default_must_have_a_value(args: dict[str, Any]) -> None:
    """A key that is not there must not silently become a key of AWS."""
    (found,) = mistakes(**args)
    assert found.endswith(": the Output resolved to None; leave it out, or give a value")


def test_an_awaitable_is_taken_as_an_output_is() -> None:
    async def memory() -> int:
        await asyncio.sleep(0)
        return 1024

    recording = programs.run(lambda: programs.chat(memory_mb=memory()))
    assert recording.inputs("chat-function")["memorySize"] == 1024


def test_what_decides_which_resources_there_are_is_no_output() -> None:
    (found,) = mistakes(auth=Resolved("none"))
    assert found == "auth: must be a plain value, known before anything is made, which an Output is not"
