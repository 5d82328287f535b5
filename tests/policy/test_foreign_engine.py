"""Programs of others' making, run by the engine with the pack beside it: it finds what is found without an engine."""

import json
from collections import defaultdict
from pathlib import Path

import pytest

from pulumi_llm_local.engine.stack import Done
from support.foreign import FOLDER, Findings, judged, told_of
from support.policies import TOLD_ONCE, names_told
from support.programs import ROOT
from system.engine.conftest import (
    program,
    pulumi_cli,  # noqa: F401  skips without the engine
    succeeded,
)

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def findings(done: Done) -> Findings:
    """The resources that break a rule, by the rule; what could not be verified is left out."""
    found: dict[str, set[str]] = defaultdict(set)
    for event in (event["policyEvent"] for event in done.events if "policyEvent" in event):
        if "Not verified now:" not in event["message"]:
            urn = event.get("resourceUrn", "")
            told = [told_of(urn) if urn and "::pulumi:pulumi:Stack::" not in urn else "Stack"]
            found[event["policyName"]].update(names_told(event) if event["policyName"] in TOLD_ONCE else told)
    return {rule: sorted(names) for rule, names in sorted(found.items())}


@pytest.mark.parametrize("name", ["cognito_login", "eks_gpu", "sqs_worker"])
def test_the_engine_finds_what_is_found_without_it(name: str, tmp_path: Path) -> None:
    advisory = tmp_path / "advisory.json"
    advisory.write_text(json.dumps({"all": "advisory"}))
    arguments = ["--policy-pack", str(ROOT / "policy"), "--policy-pack-config", str(advisory)]
    with program(tmp_path, (FOLDER / f"{name}.py").read_text()) as stack:
        preview = succeeded(stack.preview(*arguments))
        up = succeeded(stack.up(*arguments))
    assert findings(up) == as_told(judged(name).findings)
    assert findings(preview) == as_told(judged(name, preview=True).findings)


def as_told(found: Findings) -> Findings:
    """A rule that tells all resources in one line names them without their types."""
    return {rule: sorted({n.partition(" ")[2] for n in names} if rule in TOLD_ONCE else names) for rule, names in found.items()}
