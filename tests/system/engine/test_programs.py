"""Programs of importers: each is deployed by the engine, and a second `up` changes nothing.

More of them: own routes and an API that exists (test_beside.py), the Automation API (test_automation_api.py), other languages
(test_languages.py), unit tests with plain mocks (tests/components/test_unit_tests.py).
"""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pulumi_llm_local.aws_types.values import revealed
from system.engine.conftest import CheckedStack, program, succeeded

PROGRAMS = Path(__file__).parent / "programs"


@contextmanager
def deployed(folder: Path, name: str, **config: Any) -> Iterator[CheckedStack]:
    code = folder / "code"
    code.mkdir()
    (code / "index.py").write_text("def handler(event, context): return {}\n")
    archive = shutil.make_archive(str(folder / "code"), "zip", code)
    with program(folder, (PROGRAMS / f"{name}.py").read_text(), archive=archive, **config) as stack:
        preview = succeeded(stack.preview())
        up = succeeded(stack.up())
        assert preview.steps() == up.steps()
        yield stack
        assert set(succeeded(stack.preview()).steps().values()) == {"same"}


def inputs(stack: CheckedStack, name: str) -> dict[str, Any]:
    (found,) = (e for e in stack.cloud if e.urn.endswith(f"::{name}"))
    return revealed(found.inputs)


def test_two_regions_and_two_accounts(tmp_path: Path) -> None:
    with deployed(tmp_path, "two_regions") as stack:
        outputs = json.loads(stack.run("stack", "output", "--json").output)
        assert len(outputs) == 3
        for place, chats in outputs.items():
            region, account = place.split()
            for function, stage, execution, url in chats:
                assert function.split(":")[3:5] == execution.split(":")[3:5] == [region, account]
                assert stage.split(":")[3] == region
                assert f".execute-api.{region}." in url
        for existing in stack.cloud:
            arn = revealed(existing.state).get("arn")
            if isinstance(arn, str) and "team-" in existing.urn and arn.split(":")[3]:
                assert arn.split(":")[3] == "ap-northeast-1", existing.urn


@pytest.mark.parametrize("secret", ["false", "true"])
def test_an_output_wherever_an_argument_takes_one(secret: str, tmp_path: Path) -> None:
    with deployed(tmp_path, "every_output", secret=secret) as stack:
        function = inputs(stack, "chat-function")
        assert (function["memorySize"], function["tags"]["Team"]) == (2048, "search")
        assert function["environment"]["variables"]["MODE"] == "all"
        assert inputs(stack, "watch-budget")["limitAmount"] == "10"
        printed = stack.run("stack", "output", "--json").output + json.dumps(stack.exported())
        assert "hunter2" not in printed


def test_a_child_of_every_kind_is_customized(tmp_path: Path) -> None:
    with deployed(tmp_path, "customized") as stack:
        function = inputs(stack, "chat-function")
        variables = function["environment"]["variables"]
        assert (variables["MORE"], variables["MINE"], len(function["layers"])) == ("1", "2", 2)
        assert {"Base": "changed", "Own": "y"}.items() <= function["tags"].items()
        assert inputs(stack, "chat-logs")["tags"] == {"Only": "this"}
        statements = json.loads(inputs(stack, "chat-bedrock-policy")["policy"])["Statement"]
        assert [s["Action"] for s in statements].count("bedrock:ListFoundationModels") == 1
        assert len(statements) == 2
        assert inputs(stack, "chat-key-web")["description"] == "web's"
        assert inputs(stack, "chat-key-app")["description"] == "any"
