"""Packages of Node.js that tests need, installed from their lock."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from pulumi_llm.base import bundle
from pulumi_llm_local.engine.command import locked

MISSING = "Node.js 20.19 or later is not on PATH (https://nodejs.org)"


def install(folder: Path) -> None:
    """Install the packages of a folder's package-lock.json, once. Skips the test where there is no Node.js."""
    node = shutil.which("node")
    said = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout if node else ""
    version = re.match(r"v(\d+)\.(\d+)\.", said)
    if version is None or (int(version[1]), int(version[2])) < (20, 19) or shutil.which("npm") is None:
        pytest.skip(MISSING)
    lock, installed = folder / "package-lock.json", folder / "node_modules" / ".package-lock.json"
    with locked(bundle.cache_folder() / f"npm-{folder.name}"):
        if not installed.exists() or installed.stat().st_mtime < lock.stat().st_mtime:
            run(folder, "npm", "ci", "--loglevel=error")
            installed.touch()


def run(folder: Path, *command: str, standard_input: str | None = None, seconds: float = 280) -> str:
    """Run a command in a folder and return its output. Fails the test with what the command said."""
    done = subprocess.run(
        command, cwd=folder, input=standard_input, capture_output=True, text=True, check=False, timeout=seconds
    )
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
    return done.stdout
