"""`pulumi-llm preview` with a policy pack: its paths are the caller's, and a wrong one is told before the engine runs."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import pulumi_llm_local.engine.preview
from pulumi_llm.cli.command import app


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The arguments that the engine was given. It fails, so that no cost is computed."""
    given: list[str] = []

    def preview(directory: Path, stack: str, overrides: Any, read: Any, arguments: Sequence[str], *, account: bool) -> int:
        given.extend(arguments)
        return 1

    monkeypatch.setattr(pulumi_llm_local.engine.preview, "preview", preview)
    return given


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The caller's folder, with a pack and a configuration in it."""
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack" / "PulumiPolicy.yaml").write_text("name: mine\nruntime: python\n")
    (tmp_path / "levels.json").write_text(json.dumps({"all": "advisory", "a-rule": {"size": 3}}))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["preview", "elsewhere", *arguments])


def test_paths_are_relative_to_the_callers_folder_not_to_the_programs(engine: list[str], folder: Path) -> None:
    assert run("--policy-pack", "pack", "--policy-pack-config", "levels.json").exit_code == 1
    assert engine == [f"--policy-pack={folder / 'pack'}", f"--policy-pack-config={folder / 'levels.json'}"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--policy-pack", "pakc"], ["--policy-pack: there is no folder pakc"]),
        (["--policy-pack", "."], ["--policy-pack: . has no PulumiPolicy.yaml, so that it is no policy pack"]),
        (["--policy-pack-config", "levels.json"], ["--policy-pack-config: configures a pack, so name it, too"]),
        (
            ["--policy-pack", "pakc", "--policy-pack-config", "none.json"],
            ["--policy-pack: there is no folder pakc", "none.json cannot be read: No such file or directory"],
        ),
        (["--policy-pack", "pack", "--policy-pack-config", "pack"], ["pack cannot be read: Is a directory"]),
    ],
)
def test_a_wrong_path_is_told_before_the_engine_runs(
    arguments: list[str], told: list[str], engine: list[str], folder: Path
) -> None:
    done = run(*arguments)
    assert done.exit_code == 2
    assert [part for part, line in zip(told, done.stderr.splitlines(), strict=True) if part not in line] == []
    assert engine == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"all": ', ["is no JSON: line 1, column 9"]),
        ("[]", ["must be an object with a level for each rule"]),
        (
            json.dumps({"all": "mandatry", "a-rule": {"enforcementLevel": 3}, "b-rule": {"size": 3}, "c-rule": "disabled"}),
            [
                'all: the level must be one of advisory, mandatory, remediate, disabled, not "mandatry"',
                "a-rule: the level must be one of advisory, mandatory, remediate, disabled, not 3",
            ],
        ),
    ],
)
def test_each_mistake_in_a_configurations_form_is_named(text: str, told: list[str], engine: list[str], folder: Path) -> None:
    (folder / "levels.json").write_text(text)
    done = run("--policy-pack", "pack", "--policy-pack-config", "levels.json")
    assert done.exit_code == 2
    assert [part for part, line in zip(told, done.stderr.splitlines(), strict=True) if part not in line] == []
    assert engine == []
