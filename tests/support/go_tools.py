"""Programs in Go that tests need: built once from the modules in tools/, and kept by what they are built from."""

import hashlib
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from pulumi_llm.base import bundle
from pulumi_llm_local.engine.command import locked
from support.programs import ROOT


def go_tool(module: str, package: str) -> Path:
    """The program of a package (an import path, or "./folder") of the module tools/`module`.

    Skips the test where it cannot be built.
    """
    folder = ROOT / "tools" / module
    sources = [folder / "go.mod", folder / "go.sum", *sorted(folder.rglob("*.go"))]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:16]
    program = bundle.cache_folder() / f"{package.rpartition('/')[2]}-{digest}"
    with locked(program):
        if not program.exists():
            made = program.with_name(f"{program.name}.made")
            build(folder, package, made)
            made.rename(program)
    return program


def build(folder: Path, package: str, program: Path) -> None:
    """Build a package of the module in a folder. Skips the test where that is not possible."""
    if shutil.which("go") is None:
        pytest.skip(f"no go here to build {package}: install Go 1.25 or later (https://go.dev/doc/install)")
    command = ["go", "-C", str(folder), "build", "-mod=readonly", "-trimpath", "-ldflags=-s -w", "-o", str(program), package]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1800, check=False)
    if done.returncode != 0:
        pytest.skip(f"{package} cannot be built here: {' '.join(command)}\n{done.stderr.strip()}")


def module_folder(module: str, path: str) -> Path:
    """The sources of the Go module `path`, which tools/`module` requires. Skips the test where they cannot be had."""
    if shutil.which("go") is None:
        pytest.skip(f"no go here to fetch {path}: install Go 1.25 or later (https://go.dev/doc/install)")
    command = ["go", "-C", str(ROOT / "tools" / module), "mod", "download", "-json", path]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode != 0:
        pytest.skip(f"{path} cannot be fetched here: {' '.join(command)}\n{done.stdout.strip()}{done.stderr.strip()}")
    return Path(json.loads(done.stdout)["Dir"])
