"""Records the state that a release leaves behind, so that a later version can be previewed over it (make record-release)."""

import json
import shutil
import sys
import tempfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

from pulumi_llm_local.aws_types.values import ARCHIVE, ASSET, SIGNATURE
from pulumi_llm_local.engine.cloud import Cloud
from pulumi_llm_local.engine.stack import Stack

RELEASES = Path(__file__).resolve().parent
ROOT = RELEASES.parents[1]
STACKS = ("dev", "prod")
PAGE = ROOT / "tests" / "support" / "page"
ENVIRONMENT = {"PULUMI_LLM_BUNDLE": "host", "PULUMI_LLM_WEB_CLIENT": str(PAGE), "OWNER": ""}


def main() -> None:
    version = metadata.version("pulumi-llm")
    folder = RELEASES / version
    if folder.exists():
        sys.exit(f"{version} is recorded already. If it was never released, delete {folder.relative_to(ROOT)} first")
    documents: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as work:
        for stack in STACKS:
            sys.stdout.write(f"recording {stack} of {version}\n")
            documents[stack] = recorded(stack, Path(work) / stack)
    folder.mkdir()
    for stack, document in documents.items():
        (folder / f"{stack}.json").write_text(json.dumps(document, separators=(",", ":")) + "\n")
        shutil.copy(ROOT / f"Pulumi.{stack}.yaml", folder)
    sys.stdout.write(f"{folder.relative_to(ROOT)}: commit it with the release\n")


def recorded(name: str, folder: Path) -> dict[str, Any]:
    """The deployment of a stack that is up, as `pulumi stack export` gives it, without times and this machine's paths."""
    with Stack(folder, ROOT, name, Cloud(), environment=ENVIRONMENT) as stack:
        done = stack.up()
        if done.returncode != 0:
            sys.exit(done.output)
        deployment = stack.exported()
    for value in _objects(deployment):
        for key in ("created", "modified", "sourcePosition", "stackTrace"):
            value.pop(key, None)
        if value.get(SIGNATURE) in (ASSET, ARCHIVE) and "path" in value:
            value["path"] = Path(value["path"]).name  # its hash tells whether it has changed
    return {"version": 3, "deployment": deployment}


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    for item in value if isinstance(value, list) else ():
        yield from _objects(item)


if __name__ == "__main__":
    main()
