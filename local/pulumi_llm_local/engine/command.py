"""The Pulumi CLI: the one on PATH, else the pinned one, built once as a Go tool from tools/engine."""

import contextlib
import fcntl
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Generator
from pathlib import Path

from pulumi_llm.base.bundle import cache_folder

MODULE = "github.com/pulumi/pulumi/pkg/v3"
TOOL = Path(__file__).resolve().parents[3] / "tools" / "engine"
INSTALL = "install the Pulumi CLI (https://www.pulumi.com/docs/install/), or Go 1.25 or later (https://go.dev/dl/)"


class EngineMissing(Exception):
    """There is no Pulumi CLI and none can be built; the text says how to get one."""


def find() -> Path:
    """The CLI. Raises `EngineMissing`. Building it takes some three minutes, once."""
    if installed := shutil.which("pulumi"):
        return Path(installed)
    if not (TOOL / "go.mod").exists():
        raise EngineMissing(f"the Pulumi CLI is not on PATH, and this is no checkout that could build it; {INSTALL}")
    version = pinned_version()
    folder = cache_folder() / f"pulumi-{version}"
    with locked(folder):
        if not (folder / "pulumi").exists():
            _build(folder, version)
    return folder / "pulumi"


def pinned_version() -> str:
    """The version in tools/engine/go.mod, such as v3.250.0."""
    found = re.search(rf"{re.escape(MODULE)} (v\S+)", (TOOL / "go.mod").read_text())
    if found is None:
        raise EngineMissing(f"{TOOL / 'go.mod'} does not require {MODULE}")
    return found[1]


def _build(folder: Path, version: str) -> None:
    go = shutil.which("go")
    if go is None:
        raise EngineMissing(f"the Pulumi CLI is not on PATH, and there is no Go to build it with; {INSTALL}")
    sys.stderr.write(f"building the Pulumi CLI {version} (once; some three minutes)\n")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix="making-") as making:
        # The Automation API and policy packs refuse a CLI without a version.
        flags = f"-s -w -X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version={version}"
        command = [go, "build", "-trimpath", "-ldflags", flags, "-o", f"{making}/pulumi", f"{MODULE}/cmd/pulumi"]
        done = subprocess.run(command, cwd=TOOL, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise EngineMissing(f"the Pulumi CLI cannot be built; {INSTALL}:\n{done.stderr.strip()[-2000:]}")
        folder.mkdir(exist_ok=True)
        Path(making, "pulumi").rename(folder / "pulumi")


@contextlib.contextmanager
def locked(made: Path) -> Generator[None]:
    """Hold the lock beside what is made once for all: one process builds, the others wait for it."""
    made.parent.mkdir(parents=True, exist_ok=True)
    with made.with_name(f"{made.name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
