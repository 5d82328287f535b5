"""The feature flags: what is made in AppConfig, and a validator that takes exactly what the functions take."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonschema_rs
import msgspec
import pulumi
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_gateway import flags
from llm_gateway.answer_cache import AnswerCache
from llm_gateway.limits import CallerLimits, Limit, Limits
from llm_gateway.routes import ROUTES_FILE, Alias, Routes, Target, load
from llm_gateway.rules import Hours, Restrictions, Rule
from llm_gateway.safety import Filter, GuardrailUse, Safety
from pulumi_llm.api_edge.flags import VALIDATOR_CHARACTERS, json_schema, validator
from pulumi_llm.base.location import Location
from pulumi_llm.base.settings import read
from pulumi_llm.serverless_bedrock_api.args import ServerlessBedrockApiSettings
from support import programs
from support.programs import run_chat


def target(name: str, *regions: str) -> Target:
    return Target(name, "mock", name, max_output_tokens=9, context_tokens=9, accepts=(), regions=regions)


ALIASES = (
    Alias("canary", (target("bedrock/one"), target("mock"))),
    Alias("odd $ näme", (target("a.b"), target("c*"), target('no"name'))),
    Alias("weighted", (target("one", "eu-west-1", "us-east-1"), target("two", "us-east-1")), "weight"),
)
DEPLOYMENTS: dict[str, Routes] = {
    "aliases alone": Routes(ALIASES),
    "limits": Routes(ALIASES, limits=CallerLimits(others=Limits((Limit("requests", "day", 5),)))),
    "limits of money": Routes(ALIASES, limits=CallerLimits(others=Limits((Limit("micro_usd", "day", 5),)))),
    "filters": Routes(ALIASES[:1], safety=Safety((Filter("length", most=5), Filter("pii", "mask"), Filter("pii", "block")))),
    "everything": Routes(
        ALIASES,
        limits=CallerLimits(others=Limits((Limit("micro_usd", "day", 5),))),
        safety=Safety((Filter("control_characters"), Filter("injection", "shadow")), GuardrailUse()),
        cache=AnswerCache(60),
        rules=(Rule("night", hours=(Hours(time_zone="Europe/Berlin"),)),),
    ),
}

# Documents, and whether the deployment "everything" takes them.
DOCUMENTS: dict[str, tuple[Any, bool]] = {
    "nothing": ({}, True),
    "all off": ({"service": {"enabled": False, "message": "x" * 500, "retry_after": 86_400}}, True),
    "a long message": ({"service": {"enabled": False, "message": "x" * 501}}, False),
    "an odd name": ({"models": {"odd $ näme": {"enabled": False, "targets": {"c*": {"enabled": False}}}}}, True),
    "another alias": ({"models": {"canari": {}}}, False),
    "another alias's target": ({"models": {"canary": {"targets": {"c*": {}}}}}, False),
    "a weight": ({"models": {"weighted": {"targets": {"one": {"weight": 95}}}}}, True),
    "a weight without the strategy": ({"models": {"canary": {"targets": {"mock": {"weight": 95}}}}}, False),
    "a weight of nothing": ({"models": {"weighted": {"targets": {"one": {"weight": 0}}}}}, False),
    "a fraction": ({"models": {"weighted": {"targets": {"one": {"weight": 1.5}}}}}, False),
    "a stricter filter": ({"safety": {"filters": {"injection": "block"}, "guardrail": "block"}}, True),
    "a filter off": ({"weaker_safety": {"filters": {"injection": "off"}, "guardrail": "off"}}, True),
    "a filter off, not said": ({"safety": {"filters": {"injection": "off"}}}, False),
    "masking": ({"safety": {"filters": {"control_characters": "mask"}}}, True),
    "masking of what cannot be": ({"safety": {"filters": {"injection": "mask"}}}, False),
    "a filter that is not there": ({"safety": {"filters": {"pii": "block"}}}, False),
    "limits": (
        {
            "limits": {
                "keys": {"web": {"requests": {"minute": 5}, "models": {"canary": {"usd": {"day": 0.5}}}}},
                "others": {"calls_in_flight": 200},
                "tenants": {"Müller & Söhne": {"tokens": {"month": 10**15}}},
            }
        },
        True,
    ),
    "a limit of nothing": ({"limits": {"others": {"calls_in_flight": 0}}}, False),
    "a name without a letter": ({"limits": {"keys": {"": {}}}}, False),
    "a name with a line end": ({"limits": {"keys": {"web\n": {}}}}, False),
    "a long name": ({"limits": {"keys": {"x" * 257: {}}}}, False),
    "the cache": ({"cache": {"enabled": False}}, True),
    "a rule": (
        {
            "rules": {
                "eu.only-1": {
                    "keys": ["web", "arn:aws:iam::123456789012:role/batch"],
                    "tenants": ["Müller & Söhne"],
                    "models": ["odd $ näme"],
                    "regions": ["eu-west-1"],
                    "hours": [{"start": "08:00", "end": "23:59", "weekdays": ["mon"], "time_zone": "Europe/Berlin"}, {}],
                    "tools": [],
                    "max_tokens": 1,
                    "temperature_min": 0,
                    "temperature_max": 0.5,
                    "out_of_bounds": "clamp",
                    "streams": False,
                    "prompt_caching": False,
                    "retention": "none",
                }
            }
        },
        True,
    ),
    "a rule without a name": ({"rules": {"": {}}}, False),
    "a rule with a long name": ({"rules": {"x" * 64: {}}}, False),
    "a rule with a name in it": ({"rules": {"one": {"name": "two"}}}, False),
    "a rule for nobody": ({"rules": {"one": {"keys": []}}}, False),
    "a rule of another alias": ({"rules": {"one": {"models": ["canari"]}}}, False),
    "a rule of a Region where nothing is": ({"rules": {"one": {"regions": ["eu-central-1"]}}}, False),
    "a rule of a time zone that is not deployed": ({"rules": {"one": {"hours": [{"time_zone": "Asia/Tokyo"}]}}}, False),
    "a rule of an hour that is none": ({"rules": {"one": {"hours": [{"end": "24:00"}]}}}, False),
    "a rule of an hour with a line end": ({"rules": {"one": {"hours": [{"end": "08:00\n"}]}}}, False),
    "a rule that keeps something": ({"rules": {"one": {"retention": 60}}}, False),
    "a rule of null": ({"rules": {"one": {"keys": None}}}, False),
    "a list of rules": ({"rules": [{"name": "one"}]}, False),
    "null": ({"models": None}, False),
    "a list": ([], False),
}


def takes(routes: Routes, content: bytes) -> bool:
    """Whether the functions take a document."""
    try:
        flags.parse(content, flags.document_type(routes))
    except msgspec.DecodeError:
        return False
    return True


@pytest.mark.parametrize("name", DOCUMENTS)
def test_both_sides_take_the_same_documents(name: str) -> None:
    document, right = DOCUMENTS[name]
    routes = DEPLOYMENTS["everything"]
    assert takes(routes, json.dumps(document).encode()) is right
    assert jsonschema_rs.Draft4Validator(json_schema(routes)).is_valid(document) is right


_NAMES = ["web", "", "a\n", "\x00", "ü", "x" * 256, "x" * 257, "\u2028", "a b"]


def _values(schema: Any, definitions: Mapping[str, Any]) -> st.SearchStrategy[Any]:
    """Documents that nearly follow a schema: of each place, what belongs there or something close to it."""
    if "$ref" in schema:
        return _values(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    near: list[st.SearchStrategy[Any]] = [st.none(), st.booleans(), st.integers(-1, 3), st.floats(0, 2), st.just("block")]
    if "enum" in schema:
        own: st.SearchStrategy[Any] = st.sampled_from([*schema["enum"], "off"])
    elif schema["type"] == "object":
        places = {name: _values(each, definitions) for name, each in schema.get("properties", {}).items()}
        own = st.fixed_dictionaries({}, optional={**places, "other": st.just({})} if places else {"other": st.just({})})
        for pattern in schema.get("patternProperties", {}).values():
            names = st.sampled_from([*_NAMES, "x" * 63, "x" * 64])
            own = st.dictionaries(names, _values(pattern, definitions), max_size=2)
    elif schema["type"] == "integer":
        low, high = schema["minimum"], schema["maximum"]
        own = st.sampled_from([low - 1, low, high, high + 1, low + 0.5, float(low)])
    elif schema["type"] == "number":
        own = st.sampled_from([schema["minimum"], schema["maximum"], 0, 1, 0.009, 1e300, -0.1])
    elif schema["type"] == "array":
        own = st.lists(_values(schema["items"], definitions), max_size=2)
    elif "pattern" in schema:
        own = st.sampled_from([*_NAMES, "00:00", "23:59", "24:00", "8:00", "08:60", "08:00\n"])
    elif schema["type"] == "string":
        own = st.sampled_from(["", "why", "ü" * 500, "x" * 501, "\U0001f600" * 500])
    else:
        own = st.booleans()
    return st.one_of(own, own, own, own, *near[:1], st.sampled_from([True, 1, 0.5, "block", [], {}]))


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_the_validator_takes_exactly_what_the_functions_take(name: str) -> None:
    routes = DEPLOYMENTS[name]
    schema = json_schema(routes)
    validates = jsonschema_rs.Draft4Validator(schema)

    @settings(max_examples=300, deadline=None)
    @given(_values({key: schema[key] for key in schema if key != "definitions"}, schema["definitions"]))
    def same(document: Any) -> None:
        assert takes(routes, json.dumps(document).encode()) is validates.is_valid(document)

    same()


def test_a_document_may_hold_all_that_a_rule_of_the_program_may() -> None:
    definitions = json_schema(DEPLOYMENTS["everything"])["definitions"]
    for name, described in (("Rule", Restrictions), ("Hours", Hours)):
        assert set(definitions[name]["properties"]) == set(described.__struct_fields__)


@pytest.mark.assumes("appconfig-validators")
@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_the_validator_is_of_draft_4(name: str) -> None:
    schema = json.loads(validator(DEPLOYMENTS[name]))
    assert schema["$schema"] == "http://json-schema.org/draft-04/schema#"
    assert jsonschema_rs.meta.is_valid(schema)
    newer = ("$defs", "const", "propertyNames", "exclusiveMinimum", "if", "contains", "examples", "title", "default")
    assert not [word for word in newer if f'"{word}":' in validator(DEPLOYMENTS[name])]


ONE: dict[str, Any] = {"models": [{"name": "fast", "model": "mock"}], "flags": True}


def test_the_program_makes_the_configuration_and_an_empty_document() -> None:
    made = run_chat(**ONE)
    profile = made.inputs("chat-flags-profile")
    assert (profile["locationUri"], profile["type"]) == ("hosted", "AWS.Freeform")
    (one,) = profile["validators"]
    accepted = jsonschema_rs.Draft4Validator(json.loads(one["content"]))
    assert accepted.is_valid({"models": {"fast": {"enabled": False}}}) and not accepted.is_valid({"models": {"slow": {}}})
    version = made.inputs("chat-flags-version")
    assert (json.loads(version["content"]), version["contentType"]) == ({}, "application/json")
    # A deployment that bakes keeps a kill switch out until it is over.
    strategy = made.inputs("chat-flags-strategy")
    assert (strategy["deploymentDurationInMinutes"], strategy["finalBakeTimeInMinutes"]) == (0, 0)


def test_the_function_reads_exactly_this_configuration() -> None:
    made = run_chat(**ONE)
    application = made.named("chat-flags-application").id
    environment = made.named("chat-flags-environment").state["environmentId"]
    profile = made.named("chat-flags-profile").state["configurationProfileId"]
    configuration = f"{application}/{environment}/{profile}"
    assert made.inputs("chat-function")["environment"]["variables"]["FLAGS_CONFIGURATION"] == configuration
    (statement,) = json.loads(made.inputs("chat-flags-policy")["policy"])["Statement"]
    assert statement["Action"] == ["appconfig:GetLatestConfiguration", "appconfig:StartConfigurationSession"]
    arn = "arn:aws:appconfig:us-east-1:123456789012:application"
    assert statement["Resource"] == f"{arn}/{application}/environment/{environment}/configuration/{profile}"
    outputs = made.named("chat").outputs
    assert outputs["flags_configuration"] == configuration and outputs["flags_configuration_arn"] == statement["Resource"]
    assert outputs["flags_strategy_id"] == made.named("chat-flags-strategy").id


def test_without_flags_there_is_nothing_of_them() -> None:
    made = run_chat(models=ONE["models"])
    assert not [name for name in made.names() if "flags" in name]
    assert "FLAGS_CONFIGURATION" not in made.inputs("chat-function")["environment"]["variables"]
    assert made.named("chat").outputs["flags_configuration"] == ""


def test_the_websocket_api_of_a_stack_reads_the_same_flags() -> None:
    stack = programs.run_project(programs.ROOT, "dev", {"pulumi-llm:api": {"access_logs": False, "flags": True}})
    functions = ("chat-function", "websocket-generations-function")
    rest, websocket = (stack.inputs(name)["environment"]["variables"]["FLAGS_CONFIGURATION"] for name in functions)
    assert rest == websocket
    own = json.loads(stack.inputs("websocket-generations-policy")["policy"])["Statement"]
    (read_flags,) = [each for each in own if each["Sid"] == "ReadFlags"]
    assert [read_flags] == json.loads(stack.inputs("chat-flags-policy")["policy"])["Statement"]


def test_both_apis_of_a_stack_take_the_same_documents() -> None:
    api: dict[str, Any] = {
        "access_logs": False,
        "flags": True,
        "limits": {"requests": {"minute": 5}},
        "tenant_limits": {"acme": {"usd": {"day": 5}}},
        "safety": {
            "injection": {"mode": "shadow"},
            "pii": {"email": "mask"},
            "guardrail": {"profanity": True, "cross_region": True},
        },
        "cache": {"ttl_seconds": 60},
        "rules": [{"name": "night", "hours": [{"start": "08:00", "time_zone": "Europe/Berlin"}]}],
    }
    stack = programs.run_project(programs.ROOT, "dev", {"pulumi-llm:api": api})
    found: list[str] = []
    for name in ("chat-function", "websocket-generations-function"):
        function = stack.inputs(name)
        routes = load(Path(function["code"].path) / ROUTES_FILE, function["environment"]["variables"])
        found.append(validator(routes))
    assert found[0] == found[1] == stack.inputs("chat-flags-profile")["validators"][0]["content"]
    assert all(f'"{section}"' in found[0] for section in ("weaker_safety", "guardrail", "cache", "limits", "usd", "rules"))
    # What rules may name: the deployed ones' time zones, and where the guardrail may take texts.
    assert all(f'"{name}"' in found[0] for name in ("Europe/Berlin", "us-west-2"))


def test_the_documents_of_the_example_are_taken() -> None:
    example = programs.ROOT / "examples" / "flags"
    profile = programs.run_project(example, "dev").inputs("chat-flags-profile")
    accepted = jsonschema_rs.Draft4Validator(json.loads(profile["validators"][0]["content"]))
    documents = list(example.glob("*.json"))
    assert len(documents) == 3 and all(accepted.is_valid(json.loads(each.read_text())) for each in documents)


def test_a_validator_that_is_too_long_is_a_mistake() -> None:
    models = [{"name": f"a-name-that-is-rather-long-{number:03}", "model": "mock"} for number in range(150)]
    found, problems = read(ServerlessBedrockApiSettings, {"models": models, "auth": "none", "flags": True})
    (problem,) = [*problems, *found.problems_in(Location.of("us-east-1"))]
    assert problem.path == "flags" and f"AppConfig takes {VALIDATOR_CHARACTERS:,}" in problem.reason


def test_a_name_leaves_room_for_appconfigs() -> None:
    """https://docs.aws.amazon.com/appconfig/2019-10-09/APIReference/API_CreateApplication.html"""

    def named(length: int, **customize: Any) -> None:
        programs.run(lambda: programs.chat("x" * length, auth="iam", flags=True, customize=customize))

    named(38)
    with pytest.raises(pulumi.InputPropertiesError, match=r"at most 38 leave room for '-flags-(application|environment)'"):
        named(39)
    named(39, **{"flags-application": {"name": "f"}, "flags-environment": {"name": "f"}})
