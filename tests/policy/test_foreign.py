"""Twenty programs as others write them, some with care, some without: the pack finds what it would defend before the authors.

`foreign/findings.yaml` has what is found: by the program and the rule, the resources' names. Every entry there was read and
agreed with; one that its program's author could rightly refuse is a mistake of the rule.
"""

import ast
from typing import Any

import pytest
import yaml

from llm_policies.rules import RULES
from pulumi_llm_local.aws_types import api_values
from pulumi_llm_local.program import arguments
from support.foreign import FOLDER, NAMES, Judged, judged, run

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the SDK's own modules warn as they are imported

EXPECTED: dict[str, dict[str, list[str]]] = yaml.safe_load((FOLDER / "findings.yaml").read_text())
each_program = pytest.mark.parametrize("name", NAMES)
both_modes = pytest.mark.parametrize("preview", [False, True], ids=["up", "preview"])


def pairs(found: Judged) -> set[tuple[str, str]]:
    return {(rule, name) for rule, names in found.findings.items() for name in names}


def test_there_are_twenty_and_each_says_what_it_is() -> None:
    assert len(NAMES) == 20
    for name in NAMES:
        assert ast.get_docstring(ast.parse((FOLDER / f"{name}.py").read_text())), name


def test_the_golden_file_names_programs_and_rules_that_there_are() -> None:
    assert sorted(EXPECTED) == NAMES
    assert {rule for findings in EXPECTED.values() for rule in findings} <= {rule.name for rule in RULES}


@each_program
@both_modes
def test_the_provider_takes_their_inputs(name: str, preview: bool) -> None:
    resources = run(name, preview=preview).custom()
    assert len(resources) >= 5
    found: list[Any] = []
    for resource in resources:
        found += arguments.problems(resource.type, resource.inputs) + api_values.problems(resource.type, resource.inputs)
    assert found == []


@each_program
def test_what_is_found_is_what_is_defended(name: str) -> None:
    found = judged(name)
    assert found.findings == EXPECTED[name], "\n".join(["found:", *found.problems])
    assert found.not_verified == [], "at up, everything is verified"


@each_program
def test_a_state_without_ids_is_judged_alike(name: str) -> None:
    assert judged(name, with_ids=False).findings == judged(name).findings


@each_program
@pytest.mark.parametrize("with_ids", [True, False])
def test_a_preview_finds_nothing_that_up_does_not(name: str, with_ids: bool) -> None:
    """What is unknown may hide a problem until `up`; it never makes one up."""
    assert pairs(judged(name, preview=True, with_ids=with_ids)) <= pairs(judged(name))


@each_program
def test_what_a_preview_misses_it_says_that_it_could_not_verify(name: str) -> None:
    preview = judged(name, preview=True)
    told = {line.partition(":")[0] for line in preview.not_verified}
    missed = pairs(judged(name)) - pairs(preview)
    assert {rule for rule, _ in missed} <= told
