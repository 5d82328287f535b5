"""The programs with one mistake each: AWS would take them, and each breaks its own rule and no other of the pack."""

import importlib
from typing import Any

import pytest

from llm_policies.rules import RULES
from pulumi_llm_local.aws_types import api_values
from pulumi_llm_local.program import arguments
from support.policies import PROGRAMS, broken

# Rules that find nothing without a setting, or without a reference from one resource to another, which test data cannot hold.
# Each has its cases beside its module's.
NO_PROGRAM = {"bedrock-models-allowed", "dynamodb-kms", "iam-boundary-not-attached", "log-group-kms"}

each_program = pytest.mark.parametrize(
    "program", [program for programs in PROGRAMS.values() for program in programs], ids=lambda program: program["name"]
)


@each_program
def test_aws_would_take_it(program: dict[str, Any]) -> None:
    for made in (*program["resources"].values(), *program["mended"].values()):
        assert arguments.problems(made["type"], made["inputs"]) == []
        assert api_values.problems(made["type"], made["inputs"]) == []


@each_program
def test_it_breaks_its_rule_alone_until_it_is_mended(program: dict[str, Any]) -> None:
    assert broken(program["resources"]) == {program["rule"]}
    assert broken(program["mended"]) == set()


@pytest.mark.parametrize("module", PROGRAMS)
def test_every_rule_of_a_module_has_one(module: str) -> None:
    rules = importlib.import_module(f"llm_policies.{module}").RULES
    assert {program["rule"] for program in PROGRAMS[module]} == {rule.name for rule in rules} - NO_PROGRAM


def test_every_rule_of_the_pack_has_one() -> None:
    assert {program["rule"] for programs in PROGRAMS.values() for program in programs} == {r.name for r in RULES} - NO_PROGRAM
