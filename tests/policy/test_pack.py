"""The pack as a whole: what each rule says of itself, the levels of the environments, and our own stacks under all of it."""

import inspect
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from contract.test_components import CASES, recorded
from llm_policies import pack, values
from llm_policies.rule import Resource, Rule, judge, judge_stack
from llm_policies.rules import RULES
from llm_policies.testing import UNKNOWN, problems, resource, unverified
from llm_policies.values import Value
from pulumi_llm_local.aws_types.sdk import resource_class
from support import programs
from support.foreign import plain
from support.programs import ROOT, Recording

CONFIG = ROOT / "policy" / "config"
ENVIRONMENTS = ("dev", "prod")
BY_NAME = {rule.name: rule for rule in RULES}


def config(environment: str) -> dict[str, Any]:
    return json.loads((CONFIG / f"{environment}.json").read_text())


# The rules.


def test_there_are_many_rules_each_of_its_own_name() -> None:
    assert len(RULES) == len(BY_NAME) >= 40


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_rule_says_what_why_and_how(rule: Rule) -> None:
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+", rule.name)
    assert rule.severity in ("low", "medium", "high", "critical")
    assert rule.title.endswith(".") and len(rule.title) < 160
    assert len(rule.why) > 40
    assert len(rule.fix) > 20
    assert rule.check is not None or rule.check_stack is not None, "it judges a resource, or the stack"
    assert rule.check is None or rule.types
    assert rule.url == "" or re.match(r"https://((docs\.)?aws\.amazon\.com|kubernetes\.io)/", rule.url)
    for name, setting in rule.settings.items():
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", name), "settings have one spelling"
        assert setting.description
        assert "type" in setting.schema


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule.types], ids=lambda rule: rule.name)
def test_a_rule_looks_at_types_that_there_are(rule: Rule) -> None:
    for kind in rule.types:
        if kind.startswith("aws:") and not kind.endswith("*"):
            assert resource_class(kind)


def test_the_pack_and_its_package_have_the_version_of_the_release() -> None:
    files = ("pyproject.toml", "policy/pyproject.toml", "policy/PulumiPolicy.yaml")
    texts = [(ROOT / file).read_text() for file in files]
    assert len({re.findall(r'^version(?: = |: )"?([0-9.]+)', text, re.MULTILINE)[0] for text in texts}) == 1


# The levels of the environments.


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_an_environment_names_rules_that_there_are_and_why_one_is_off(environment: str) -> None:
    for name, entry in config(environment).items():
        assert name == "all" or name in BY_NAME, name
        level = entry if isinstance(entry, str) else entry.get("enforcementLevel")
        assert level in (None, "advisory", "mandatory", "remediate", "disabled")
        if level in ("disabled", "advisory") and name != "all":
            assert isinstance(entry, dict) and len(entry.get("reason", "")) > 20, f"{name} is {level} without a reason"
        if level == "remediate":
            assert BY_NAME[name].mend
        if isinstance(entry, dict):
            assert set(entry) <= {"enforcementLevel", "reason", *BY_NAME[name].settings}


def test_production_is_nowhere_laxer_than_development() -> None:
    order = ["disabled", "advisory", "mandatory"]

    def level(environment: str, name: str) -> int:
        entry = config(environment).get(name, config(environment)["all"])
        text = entry if isinstance(entry, str) else entry.get("enforcementLevel", config(environment)["all"])
        return order.index("mandatory" if text == "remediate" else text)

    assert [name for name in BY_NAME if level("prod", name) < level("dev", name)] == []


# Our own programs.


def as_resources(recording: Recording, which: str) -> list[Resource]:
    """What was recorded, as the engine shows it to a policy."""
    stack = Resource("pulumi:pulumi:Stack", "stack", Value(recording.stack_outputs))
    made: dict[str, Resource] = {"": stack} if which == "state" else {}
    for each in recording.custom():
        data = plain(getattr(each, which))
        sources = {
            name: [made[urn] for urn in urns if urn in made] for name, urns in each.property_dependencies.items() if urns
        }
        made[each.urn] = Resource(each.type, each.name, Value(data), each.urn, sources)
    return list(made.values())


def findings(recording: Recording, levels: Mapping[str, Any]) -> Iterator[str]:
    for rule in RULES:
        entry = levels.get(rule.name, {})
        if entry == "disabled" or (isinstance(entry, dict) and entry.get("enforcementLevel") == "disabled"):
            continue
        settings = {k: v for k, v in entry.items() if k in rule.settings} if isinstance(entry, dict) else {}
        for each in as_resources(recording, "inputs"):
            problems, not_verified = judge(rule, each, settings)
            yield from (f"{rule.name}: {each.name}: {problem}" for problem in problems)
            assert not not_verified, (rule.name, each.name, not_verified)
        found, not_verified = judge_stack(rule, as_resources(recording, "state"), settings)
        yield from (f"{rule.name}: {each.name if each else 'the stack'}: {problem}" for each, problem in found)
        assert not not_verified, (rule.name, not_verified)


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_our_own_stacks_break_no_rule(environment: str, request: pytest.FixtureRequest) -> None:
    assert list(findings(request.getfixturevalue(environment), config(environment))) == []


EXAMPLES = sorted(path.parent for path in (ROOT / "examples").glob("*/__main__.py"))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_an_example_breaks_no_rule(example: Path) -> None:
    assert list(findings(programs.run_project(example, "dev"), config("dev"))) == []


ASKED_FOR = {
    "AccountBaseline: everything": {"bedrock-prompts-not-logged"},
    "CdnFrontend: cheap": {"cloudfront-waf"},
    "GpuInferenceCluster: everything": {"gpu-hourly-ceiling", "gpu-types-allowed"},  # a p5.48xlarge
    "InferenceNetwork: cheap": {"vpc-flow-logs"},
    "ServerlessBedrockApi: no authentication": {"apigateway-method-authorized"},
    "WebSocketChat: no authentication": {"apigatewayv2-route-authorized"},
}


@pytest.mark.parametrize(("component", "label"), CASES)
def test_a_component_breaks_no_rule_but_those_that_its_arguments_ask_for(component: str, label: str) -> None:
    """With the levels of dev. A caller that asks for no authentication gets what it asked for, and is told."""
    found = {finding.partition(":")[0] for finding in findings(recorded(component, label), config("dev"))}
    # The test's own tags are none of the required ones.
    assert found - {"required-tags"} == ASKED_FOR.get(f"{component}: {label}", set())


# What a rule reads, and how the pack hands it over.


def test_a_place_is_known_unknown_or_missing() -> None:
    value = Value({"a": {"b": [1, UNKNOWN]}, "later": UNKNOWN, "none": None})
    assert value["a"]["b"][0].plain == 1
    assert [value[name].state for name in ("a", "later", "none", "nothing")] == [
        values.State.KNOWN,
        values.State.UNKNOWN,
        values.State.MISSING,
        values.State.MISSING,
    ]
    assert value["later"]["deeper"][3].state is values.State.UNKNOWN
    assert value["a"]["b"]["c"].missing
    assert value["a"]["b"][7].missing
    assert value.at("a.b")[1].path == "a.b[1]"
    for read in (
        lambda v: v.plain,
        lambda v: v.text(),
        lambda v: v.number(),
        lambda v: v.flag(),
        lambda v: v.items(),
        lambda v: v.entries(),
        lambda v: v.missing,
        lambda v: v.equals(1),
    ):
        with pytest.raises(values.NotVerified, match="later is not known yet"):
            read(value["later"])


def test_one_unknown_item_hides_no_problem_of_the_others() -> None:
    def check(tested: Resource, settings: Mapping[str, Any]) -> Iterator[str]:
        def bad(item: Value) -> Iterator[str]:
            if item.text() == "bad":
                yield f"{item.path} is bad"

        yield from values.each(tested["list"].items(), bad)

    rule = Rule("a-b", "t", "low", "w", "f", check=check, types=("x:*",))
    tested = resource("x:y:Z", {"list": ["bad", UNKNOWN, "good", "bad"]})
    assert problems(rule, tested) == ["list[0] is bad", "list[3] is bad"]
    assert unverified(rule, tested) == "list[1]"
    assert problems(rule, resource("other:y:Z", {"list": ["bad"]})) == []


def test_the_pack_imports_nothing_but_its_own_requirements() -> None:
    allowed = {"google", "grpc", "llm_policies", "policy_sentry", "pulumi", "yaml"}
    for path in Path(inspect.getfile(pack)).parent.glob("*.py"):
        for name in re.findall(r"^\s*(?:from|import) ([a-z0-9_]+)", path.read_text(), re.MULTILINE):
            assert name in allowed or name in __import__("sys").stdlib_module_names, f"{path.name} imports {name}"
