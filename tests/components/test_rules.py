"""The rules of callers: from arguments to the routes document, and what is wrong between them and the rest."""

from pathlib import Path
from typing import Any

import pulumi
import pytest

from llm_gateway.routes import ROUTES_FILE, Routes, load
from llm_gateway.rules import Hours, Rule
from pulumi_llm.base.location import Location
from pulumi_llm.base.settings import read
from pulumi_llm.models.resolve import Asked, resolve
from pulumi_llm.serverless_bedrock_api.args import ServerlessBedrockApiSettings
from pulumi_llm.websocket_chat.args import WebSocketChatSettings
from support import programs
from support.programs import run_chat

PROFILE = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abcdefghijkl"
IMPORT = "arn:aws:bedrock:us-east-1:123456789012:imported-model/abcdefghijkl"
ROUTER = "arn:aws:bedrock:us-east-1:123456789012:prompt-router/abcdefghijkl"
BOUNDS = {"context_tokens": 9_000, "max_output_tokens": 900}
VLLM = {"provider": "vllm", "model": "qwen", **BOUNDS}
PROVIDERS = {"vllm": {"type": "openai_compatible", "base_url": "https://models.example.com/v1"}}
US = ("us-east-1", "us-east-2", "us-west-2")

# Where a model's data may go, as the API in us-east-1 calls it.
REGIONS: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "on demand": ({"model": "gpt-oss-20b"}, ("us-east-1",)),
    "a profile of a geography": ({"model": "claude-haiku-4-5"}, US),
    "a global profile": ({"model": "global.anthropic.claude-haiku-4-5-20251001-v1:0"}, ()),
    "a profile of the account's own": ({"model": PROFILE, "base_model": "claude-haiku-4-5"}, US),
    "one made from a global profile": (
        {"model": PROFILE, "base_model": "global.anthropic.claude-haiku-4-5-20251001-v1:0"},
        (),
    ),
    "a profile that the catalogue lacks": (
        {"model": "us.acme.chat-v1:0", "destination_regions": ["us-west-1"], **BOUNDS},
        ("us-east-1", "us-west-1"),
    ),
    "an import": ({"model": IMPORT, **BOUNDS}, ("us-east-1",)),
    "a prompt router": ({"model": ROUTER, "router_models": ["gpt-oss-20b", "claude-haiku-4-5"]}, US),
    "the mock": ({"model": "mock"}, ("us-east-1",)),
    "a provider of which nobody knows": ({"targets": [VLLM]}, ()),
}


@pytest.mark.assumes("profile-regions")
@pytest.mark.parametrize(("model", "regions"), REGIONS.values(), ids=REGIONS)
def test_where_a_targets_data_may_go(model: dict[str, Any], regions: tuple[str, ...]) -> None:
    given = {"models": [{"name": "m", **model}], **({"providers": PROVIDERS} if "targets" in model else {})}
    settings, problems = read(ServerlessBedrockApiSettings, given)
    assert problems == []
    routing = settings.routing(Location.of("us-east-1"))
    assert routing.problems == []
    (alias,) = routing.routes.aliases
    assert sorted(alias.targets[0].regions) == sorted(regions)


def test_a_provider_is_where_its_settings_say_and_the_function_reads_all() -> None:
    providers = {"vllm": {**PROVIDERS["vllm"], "regions": ["eu-west-1", "berlin"]}}
    settings, _ = read(ServerlessBedrockApiSettings, {"models": [{"name": "m", "targets": [VLLM]}], "providers": providers})
    (alias,) = settings.routing(Location.of("us-east-1")).routes.aliases
    assert alias.targets[0].regions == ("us-east-1", "eu-west-1", "berlin")


def test_a_prompt_router_to_a_global_profile_may_go_anywhere() -> None:
    asked = Asked("us-east-1", router_models=("gpt-oss-20b", "global.anthropic.claude-haiku-4-5-20251001-v1:0"))
    assert resolve(ROUTER, asked).regions() == ()


def document(recording: programs.Recording, function: str = "chat-function") -> Routes:
    found = recording.inputs(function)
    return load(Path(found["code"].path) / ROUTES_FILE, found["environment"]["variables"])


RULES: list[dict[str, Any]] = [
    {"name": "all", "max_tokens": 500, "out_of_bounds": "clamp", "temperature_max": 1},
    {
        "name": "web",
        "keys": ["web"],
        "models": ["gpt-oss-20b"],
        "regions": ["us-east-1"],
        "hours": [{"start": "08:00", "end": "18:00", "weekdays": ["mon", "mon", "fri"], "time_zone": "Europe/Berlin"}],
        "tools": [],
        "streams": False,
        "prompt_caching": False,
    },
]


def test_the_rules_are_in_the_routes_document_and_an_alias_without_a_target_is_left_to_others() -> None:
    models = [{"name": name, "model": name} for name in ("gpt-oss-20b", "claude-haiku-4-5")]
    found = document(run_chat(models=models, keys=[{"name": "web"}, {"name": "batch"}], rules=RULES)).rules
    hours = Hours("08:00", "18:00", ("mon", "fri"), "Europe/Berlin")
    web = {"keys": ("web",), "models": ("gpt-oss-20b",), "regions": ("us-east-1",), "hours": (hours,), "tools": ()}
    assert found == (
        Rule("all", max_tokens=500, out_of_bounds="clamp", temperature_max=1.0),
        Rule("web", **web, streams=False, prompt_caching=False),
    )
    assert document(run_chat()).rules == ()


def test_the_websocket_api_of_a_stack_has_the_same_rules() -> None:
    stack = programs.run_project(programs.ROOT, "dev", {"pulumi-llm:api": {"access_logs": False, "rules": [RULES[0]]}})
    rest, websocket = (document(stack, name) for name in ("chat-function", "websocket-generations-function"))
    assert rest.rules == websocket.rules == (Rule("all", max_tokens=500, out_of_bounds="clamp", temperature_max=1.0),)


def test_a_role_is_known_by_its_sessions() -> None:
    arns = ["arn:aws:iam::123456789012:role/path/batch", "arn:aws-us-gov:iam::123456789012:role/batch"]
    given = {"models": ["mock"], "auth": "iam", "rules": [{"name": "a", "keys": arns, "streams": False}]}
    settings, problems = read(ServerlessBedrockApiSettings, given)
    assert problems == []
    (rule,) = settings.rule_documents()
    ends = (":sts::123456789012:assumed-role/batch",) * 2
    assert rule.keys == (f"arn:aws{ends[0]}", f"arn:aws-us-gov{ends[1]}")


JWT = {"auth": "jwt", "jwt": {"issuer": "https://id.example.com", "audiences": ["chat"]}}
TABLE = {"keys_table": {"name": "keys", "arn": "arn:aws:dynamodb:us-east-1:123456789012:table/keys"}}
TWO = [{"name": "home", "model": "gpt-oss-20b"}, {"name": "away", "model": "claude-haiku-4-5"}]
STRICT: dict[str, Any] = {"name": "a", "streams": False}
# Arguments besides the models -> the path of the mistake, and a part of its reason.
WRONG: dict[str, tuple[dict[str, Any], str, str]] = {
    "a window without days": ({"rules": [{"name": "a", "hours": [{"weekdays": []}]}]}, "rules[0].hours[0].weekdays", "one"),
    "a folder of time zones": (
        {"rules": [{"name": "a", "hours": [{"time_zone": "Europe"}]}]},
        "rules[0].hours[0].time_zone",
        "is no time zone of the IANA's database",
    ),
    "no time": ({"rules": [{"name": "a", "hours": [{"start": "24:00"}]}]}, "rules[0].hours[0].start", "is no time of the day"),
    "no aliases": ({"rules": [{"name": "a", "models": []}]}, "rules[0].models", "must hold at least one"),
    "no keys": ({"rules": [{**STRICT, "keys": []}]}, "rules[0].keys", "must hold at least one"),
    "no Regions": ({"rules": [{"name": "a", "regions": []}]}, "rules[0].regions", "must hold at least one"),
    "crossed bounds": (
        {"rules": [{"name": "a", "temperature_min": 0.5, "temperature_max": 0.4}]},
        "rules[0].temperature_min",
        "must be at most temperature_max, which is 0.4, not 0.5",
    ),
    "bounds of nothing": ({"rules": [{**STRICT, "out_of_bounds": "clamp"}]}, "rules[0].out_of_bounds", "bounds neither"),
    "an unknown constraint": ({"rules": [{**STRICT, "max_token": 5}]}, "rules[0].max_token", "did you mean 'max_tokens'?"),
    "nobody to tell apart": ({"auth": "none", "rules": [{**STRICT, "keys": ["a"]}]}, "rules[0].keys", "tells nobody apart"),
    "no identity": ({"auth": "iam", "rules": [{**STRICT, "keys": ["batch"]}]}, "rules[0].keys[0]", "is no AWS identity's ARN"),
    "no account": ({"auth": "iam", "rules": [{**STRICT, "tenants": ["shop"]}]}, "rules[0].tenants[0]", "12 digits"),
    "an unknown key": ({"rules": [{**STRICT, "keys": ["a"]}]}, "rules[0].keys[0]", "is not among the keys; there are default"),
    "an unknown tenant": ({"rules": [{**STRICT, "tenants": ["a"]}]}, "rules[0].tenants[0]", "there are default"),
    "no target for a token's callers": (
        {**JWT, "rules": [{"name": "a", "regions": ["us-east-1"], "tenants": ["x"]}]},
        "rules[0]",
        "leaves its callers no target of 'away'",
    ),
    "no target for anybody": (
        {"auth": "none", "rules": [{"name": "a", "regions": ["us-east-1"]}]},
        "rules[0]",
        "leaves every caller no target of 'away'",
    ),
    "no target by two rules": (
        {
            "rules": [
                {"name": "a", "regions": ["us-east-1", "us-east-2", "us-west-2"]},
                {"name": "b", "keys": ["default"], "regions": ["us-east-1"]},
            ]
        },
        "rules[1]",
        "leaves, with 'a', the key 'default' no target of 'away'",
    ),
    "no alias by a key's own list": (
        {"keys": [{"name": "k", "models": ["home"]}], "rules": [{"name": "a", "models": ["away"]}]},
        "rules[0].models",
        "leaves the key 'k' no model at all",
    ),
    "not where the guardrail evaluates": (
        {
            "safety": {"guardrail": {"profanity": True, "cross_region": True}},
            "rules": [{"name": "a", "regions": ["us-east-1"], "models": ["home"]}],
        },
        "rules[0].regions",
        "leave out us-east-2, us-west-2, where the guardrail may evaluate",
    ),
    "without the API's own Region": (
        {"rules": [{"name": "a", "regions": ["eu-west-1"], "models": ["home"]}]},
        "rules[0]",
        "no target of 'home' (bedrock/gpt-oss-20b: us-east-1)",
    ),
}


@pytest.mark.parametrize(("args", "path", "reason"), WRONG.values(), ids=WRONG)
def test_a_wrong_rule_is_named(args: dict[str, Any], path: str, reason: str) -> None:
    with pytest.raises(pulumi.InputPropertiesError) as error:
        run_chat(**{"models": TWO, **args})
    found = {each["property_path"]: each["reason"] for each in error.value.errors}
    assert reason in found.get(path, ""), found


@pytest.mark.parametrize(
    "args",
    [
        {"keys": [{"name": "k", "models": ["home"]}], "rules": [{"name": "a", "regions": ["us-east-1"]}]},
        {**JWT, "rules": [{**STRICT, "keys": ["auth0|7"], "tenants": ["Acme, Inc."]}]},
        {"rules": [{"name": "a", "regions": ["us-east-1"], "models": ["home"]}]},
    ],
)
def test_a_rule_that_leaves_something_is_taken(args: dict[str, Any]) -> None:
    settings, problems = read(ServerlessBedrockApiSettings, {"models": TWO, **args})
    assert problems == [] and list(settings.problems_in(Location.of("us-east-1"))) == []


def test_a_websocket_api_with_another_apis_keys_does_not_know_their_names() -> None:
    rules = [{**STRICT, "keys": ["web"], "tenants": ["shop"]}]
    _, problems = read(WebSocketChatSettings, {"models": ["mock"], "rules": rules, **TABLE})
    assert problems == []
    _, problems = read(WebSocketChatSettings, {"models": ["mock"], "rules": rules})
    assert [problem.path for problem in problems] == ["rules[0].keys[0]", "rules[0].tenants[0]"]
