"""This version over the state that each release left behind: nothing that holds data or an identity is replaced or deleted."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from pulumi_llm_local.aws_types.registry import STATEFUL
from pulumi_llm_local.engine.stack import Done
from support.programs import ROOT
from system.engine.conftest import our_stack, succeeded

RELEASES = ROOT / "tests" / "releases"
RECORDED = sorted((path.parent.name, path.stem) for path in RELEASES.glob("*/*.json"))
TABLE = "aws:dynamodb/table:Table"
# A picture of the routes: whenever they change there is a new one, to which the stage is switched.
REPLACEABLE = {"aws:apigateway/deployment:Deployment"}


def previewed(release: str, name: str, folder: Path, change: Callable[[dict[str, Any]], None] | None = None) -> Done:
    """A preview of today's program, with the release's settings, over its state."""
    document = json.loads((RELEASES / release / f"{name}.json").read_text())
    if change is not None:
        change(document)
    (folder / "state.json").write_text(json.dumps(document))
    with our_stack(folder / "stack", name) as stack:
        stack.configure(yaml.safe_load((RELEASES / release / f"Pulumi.{name}.yaml").read_text())["config"])
        stack.operation("preview")  # makes the stack
        assert (imported := stack.run("stack", "import", "--file", str(folder / "state.json"))).returncode == 0, imported.output
        return stack.preview()


def lost(done: Done) -> list[str]:
    """What an upgrade must not do: replace anything (but a picture of the routes), or delete what is stateful."""
    found: list[str] = []
    for urn, operation in done.steps().items():
        kind = urn.split("::")[2].rpartition("$")[2]
        if (operation == "replace" and kind not in REPLACEABLE) or (operation == "delete" and kind in STATEFUL):
            found.append(f"{operation} {urn.rpartition('::')[2]}")
    return sorted(found)


def test_there_is_a_release_to_upgrade_from() -> None:
    assert {name for _, name in RECORDED} == {"dev", "prod"}


@pytest.mark.assumes("replacement")
@pytest.mark.parametrize(("release", "name"), RECORDED)
def test_an_upgrade_loses_nothing(release: str, name: str, tmp_path: Path) -> None:
    assert lost(succeeded(previewed(release, name, tmp_path))) == []


def of_type(document: dict[str, Any], kind: str) -> dict[str, Any]:
    return next(resource for resource in document["deployment"]["resources"] if resource["type"] == kind)


def another_key(document: dict[str, Any]) -> None:
    of_type(document, TABLE)["inputs"]["hashKey"] = "id"


def another_name(document: dict[str, Any]) -> None:
    text = json.dumps(document).replace("::chat-keys-table", "::chat-callers")
    document.clear()
    document.update(json.loads(text))


def another_component_name(document: dict[str, Any]) -> None:
    text = json.dumps(document).replace("::chat-", "::api-").replace("ServerlessBedrockApi::chat", "ServerlessBedrockApi::api")
    document.clear()
    document.update(json.loads(text))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (another_key, ["replace chat-keys-table"]),
        (another_name, ["delete chat-callers"]),
        (another_component_name, ["delete api-api", "delete api-key-default", "delete api-keys-table"]),
    ],
)
def test_a_loss_would_be_noticed(change: Callable[[dict[str, Any]], None], expected: list[str], tmp_path: Path) -> None:
    """Had the release been another one, whose table has another key or another name."""
    found = lost(previewed(RECORDED[0][0], "dev", tmp_path, change))
    assert set(expected) <= set(found)
