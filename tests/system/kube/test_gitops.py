"""The objects of served models as files, for Argo CD or Flux."""

import hashlib
from pathlib import Path

import yaml

from support.served_models import QWEN
from system.engine.conftest import program, succeeded
from system.kube.conftest import SOURCE


def digests(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*.yaml")}


def test_the_files_stay_the_same_until_a_model_changes(tmp_path: Path) -> None:
    folder = tmp_path / "manifests"
    with program(tmp_path, SOURCE, models={"qwen": QWEN}, manifests_folder=str(folder)) as stack:
        succeeded(stack.preview())
        assert not folder.exists()
        succeeded(stack.up())
        before = digests(folder)
        (deployment,) = folder.glob("1-manifest/apps_v1-deployment-*.yaml")
        assert yaml.safe_load(deployment.read_text())["kind"] == "Deployment"
        # The namespace, what is shared in it, what the model has, and its version's.
        assert len(before) == 3 + 2 + 6
        done = succeeded(stack.up())
        assert not set(done.steps().values()) - {"same"}
        assert digests(folder) == before
        # The new version's files come, and the old one's go: the tool removes from the cluster what is in the folder no more.
        stack.configure({"models": {"qwen": {**QWEN, "context": 16_384}}})
        succeeded(stack.up())
        after = digests(folder)
        assert len(after) == len(before)
        assert {name for name in before if name not in after} == {name for name in before if deployment.stem[-8:] in name}
        succeeded(stack.destroy())
        assert not digests(folder)
