"""The kube tier: a Kubernetes control plane admits and schedules the objects of served models."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pulumi_llm_local.engine.kubernetes_api import KubernetesApi
from support.control_plane import control_plane
from support.programs import ROOT

# What makes served models, and nothing else.
SOURCE = f"""\
import runpy, sys
sys.path.insert(0, {str(ROOT / "tests")!r})
runpy.run_path({str(Path(__file__).with_name("workloads_program.py"))!r}, run_name="__main__")
"""


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubernetesApi]:
    """A control plane for each file, with nodes and objects of its own; the first time, its programs have to be built."""
    folder: Path = tmp_path_factory.mktemp("control-plane")
    with control_plane(folder) as api:
        yield api
