"""Every example is a program that evaluates, with arguments that the provider takes."""

from pathlib import Path

import pytest

from pulumi_llm.base.component import Component
from pulumi_llm_local.program.arguments import problems
from support import programs

EXAMPLES = sorted(path.parent for path in (programs.ROOT / "examples").glob("*/__main__.py"))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_an_example_evaluates(example: Path) -> None:
    recording = programs.run_project(example, "dev")
    assert recording.stack_outputs
    assert [problem for each in recording.custom() for problem in problems(each.type, each.inputs)] == []
    assert (example / "README.md").read_text().startswith("# ")


def test_every_component_has_one() -> None:
    used = "".join((example / "__main__.py").read_text() for example in EXAMPLES)
    components = [name for name in programs.pulumi_llm.__all__ if isinstance(getattr(programs.pulumi_llm, name), type)]
    classes = [getattr(programs.pulumi_llm, name) for name in components]
    for kind in classes:
        if issubclass(kind, Component):
            assert f"pulumi_llm.{kind.__name__}(" in used
