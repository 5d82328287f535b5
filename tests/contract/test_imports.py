"""The arrows between the packages: import-linter's contracts of pyproject.toml hold."""

import os
import re
import subprocess
import sys

import pytest

from support.programs import ROOT


def lint(*arguments: str) -> tuple[int, str]:
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()", "--no-cache", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "policy")}  # the one package that is not installed
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_every_arrow_points_the_right_way() -> None:
    status, told = lint("--config", "pyproject.toml")
    assert status == 0, told
    kept = re.search(r"Contracts: (\d+) kept, 0 broken", told)
    assert kept, told
    assert int(kept[1]) == len(re.findall(r"\[\[tool.importlinter.contracts\]\]", (ROOT / "pyproject.toml").read_text()))


def test_a_broken_contract_would_be_told(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The linter sees these packages: what `pulumi_llm` does import, when forbidden, is told."""
    config = tmp_path_factory.mktemp("lint") / "importlinter.ini"
    config.write_text(
        "[importlinter]\nroot_packages =\n    pulumi_llm\n    llm_gateway\n\n"
        "[importlinter:contract:1]\nname = no vocabulary\ntype = forbidden\n"
        "source_modules = pulumi_llm\nforbidden_modules = llm_gateway\n"
    )
    status, told = lint("--config", str(config))
    assert status == 1, told
    assert "pulumi_llm.models.catalogue -> llm_gateway.routes" in told
