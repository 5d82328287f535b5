"""The programs of docs/other-languages.md, in YAML and in Go, deployed by the engine."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from golden import write
from pulumi_llm_local.aws_types.values import revealed
from pulumi_llm_local.engine.stack import Stack
from support.go_tools import build, go_tool
from support.programs import ROOT
from system.engine.conftest import succeeded
from system.engine.test_component_package import stack_of

# The hosts and the SDK are built first, once.
pytestmark = pytest.mark.timeout(1_200)

MODULE = ROOT / "tools" / "languages"
SDK = "pulumi-llm/tools/languages/llm"

PYTHON = """\
import pulumi
import pulumi_llm

chat = pulumi_llm.ServerlessBedrockApi("chat", {
    "models": [{"name": "fast", "model": "gpt-oss-20b"}, {"name": "best", "model": "claude-haiku-5-5"}],
    "keys": [{"name": "web", "tenant": "shop", "models": ["fast"]}],
    "timeout_seconds": 120,
})
pulumi.export("url", chat.url)
pulumi.export("keys", chat.api_keys)
"""


def documented(language: str) -> str:
    (program,) = re.findall(rf"```{language}\n(.*?)```", (ROOT / "docs/other-languages.md").read_text(), re.DOTALL)
    return program


def deployed(stack: Stack) -> tuple[dict[str, Any], str]:
    """What was made, and the outputs that are printed. A second `up` changes nothing."""
    succeeded(stack.up())
    assert set(succeeded(stack.preview()).steps().values()) == {"same"}
    return {e.urn: revealed(e.inputs) for e in stack.cloud}, stack.run("stack", "output", "--json").output


@pytest.fixture(scope="module")
def in_python(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], str]:
    with stack_of(tmp_path_factory.mktemp("python"), PYTHON, project={"name": "chat"}) as stack:
        return deployed(stack)


def test_the_yaml_program_makes_what_a_python_program_makes(in_python: tuple[dict[str, Any], str], tmp_path: Path) -> None:
    host = go_tool("languages", "github.com/pulumi/pulumi-yaml/cmd/pulumi-language-yaml")
    project, hosts = yaml.safe_load(documented("yaml")), {"pulumi-language-yaml": host}
    with stack_of(tmp_path, "", project=project, language_hosts=hosts) as stack:
        assert deployed(stack) == in_python


def test_the_go_program_makes_what_a_python_program_makes(in_python: tuple[dict[str, Any], str], tmp_path: Path) -> None:
    module = tmp_path / "module"
    shutil.copytree(MODULE, module)
    subprocess.run([go_tool("languages", "./gensdk"), write.SCHEMA, module, SDK], check=True, timeout=300)
    (module / "program").mkdir()
    (module / "program" / "main.go").write_text(documented("go"))
    build(module, "./program", tmp_path / "program-binary")
    host = tmp_path / "pulumi-language-go"
    started = [sys.executable, Path(__file__).with_name("go_host.py"), tmp_path / "program-binary"]
    host.write_text(f'#!/bin/sh\nexec {shlex.join(map(str, started))} "$@"\n')
    host.chmod(0o755)
    project = {"name": "chat", "runtime": "go"}
    with stack_of(tmp_path, "", project=project, language_hosts={"pulumi-language-go": host}) as stack:
        assert deployed(stack) == in_python
