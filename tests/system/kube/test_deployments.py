"""Deployments by Pulumi's engine into a Kubernetes API: new versions beside old ones, and what is left in the end."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pulumi_llm.gpu_inference_cluster.workloads.place import GPU_RESOURCE, GPU_TAINT, POOL_LABEL
from pulumi_llm_local.engine.kubernetes_api import KubernetesApi
from support.control_plane import Kubelets, add_node, wait_for
from support.served_models import CLUSTER_NETWORK, QWEN
from system.engine.conftest import CheckedStack, program, succeeded
from system.kube.conftest import SOURCE

# The first time, engine and control plane have to be built.
pytestmark = pytest.mark.timeout(2400)

NAMESPACE = "deployed"
OFFERS = {"cpu": "64", "memory": "256Gi", "ephemeral-storage": "500Gi", "pods": "110", GPU_RESOURCE: "8"}


def deployments(api: KubernetesApi) -> dict[str, dict[str, Any]]:
    return {each["metadata"]["name"]: each for each in api.list("apps/v1", "Deployment", NAMESPACE)}


def test_a_new_version_comes_up_before_the_old_one_goes(api: KubernetesApi, tmp_path: Path) -> None:
    add_node(api, "gpu-1", {POOL_LABEL: "gpu"}, OFFERS, [{"key": GPU_TAINT, "value": "true", "effect": "NoSchedule"}])
    with (
        program(tmp_path, SOURCE, cluster=api, models={"qwen": QWEN}, namespace=NAMESPACE) as stack,
        Kubelets(api, NAMESPACE) as kubelets,
        ThreadPoolExecutor() as beside,
    ):
        succeeded(stack.up())
        ((old, there),) = deployments(api).items()
        assert there["status"]["availableReplicas"] == 1
        done = succeeded(stack.up())
        assert not set(done.steps().values()) - {"same"}
        assert deployments(api)[old]["metadata"]["generation"] == there["metadata"]["generation"]

        # Another context: other servers, which take their time.
        kubelets.may_get_ready.clear()
        stack.configure({"models": {"qwen": {**QWEN, "context": 16_384}}})
        updating = beside.submit(stack.up)
        wait_for(lambda: len(deployments(api)) == 2)
        (new,) = deployments(api).keys() - {old}
        labels = deployments(api)[new]["spec"]["selector"]["matchLabels"]
        wait_for(lambda: [pod for pod in api.list("v1", "Pod", NAMESPACE, labels) if pod["spec"].get("nodeName")])
        assert not updating.done()
        assert deployments(api)[old]["status"]["availableReplicas"] == 1
        kubelets.may_get_ready.set()
        succeeded(updating.result())
        assert set(deployments(api)) == {new}

        # A bound of the scaling changes no server.
        stack.configure({"models": {"qwen": {**QWEN, "context": 16_384, "replicas": {"min": 1, "max": 3}}}})
        generation = deployments(api)[new]["metadata"]["generation"]
        done = succeeded(stack.up())
        changed = {urn.rpartition("::")[2]: step for urn, step in done.steps().items() if step != "same"}
        assert changed == {f"gpu-scaled-object-{new}": "update"}
        assert deployments(api)[new]["metadata"]["generation"] == generation

        succeeded(stack.destroy())
        assert api.read({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}) is None


def test_a_cluster_that_is_gone_hinders_no_destroy(api: KubernetesApi, tmp_path: Path) -> None:
    there = replace(api)
    with program(tmp_path, SOURCE, cluster=there, models={"qwen": QWEN}, namespace="gone", hard_off="true") as stack:
        succeeded(stack.up())
        there.url = "https://127.0.0.1:1"  # nothing listens there
        succeeded(stack.destroy())
        assert not list(stack.cloud)
    api.delete({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "gone"}})


def test_what_the_cluster_refuses_fails_the_update(api: KubernetesApi, tmp_path: Path) -> None:
    wrong = {**QWEN, "replicas": {"max": 3_000_000_000}}  # which is no int32
    with (
        program(tmp_path, SOURCE, cluster=api, models={"qwen": wrong}, namespace="refused", hard_off="true") as stack,
        Kubelets(api, "refused"),
    ):
        done = stack.up()
        assert done.returncode != 0
        assert "ScaledObject refused/qwen-" in done.output
        succeeded(stack.destroy())


CLUSTER: dict[str, Any] = {
    "network": CLUSTER_NETWORK,
    "admins": ["arn:aws:iam::123456789012:role/deploy"],
    "domain": {"name": "models.example.com", "zone_id": "Z0123456789ABCDEFGHIJ"},
    "models": {"qwen": QWEN},
    "deletion_protection": False,
}
CLUSTER_SOURCE = """\
import pulumi, pulumi_llm

pulumi_llm.GpuInferenceCluster("gpu", pulumi.Config().require_object("cluster"))
"""


def test_the_component_deploys_its_models(api: KubernetesApi, tmp_path: Path) -> None:
    def changed(stack: CheckedStack, **changes: Any) -> dict[str, str]:
        """What is done with which resource once these arguments are changed."""
        stack.configure({"cluster": {**CLUSTER, **changes}})
        steps = succeeded(stack.up()).steps().items()
        return {urn.rpartition("::")[2]: step for urn, step in steps if step != "same"}

    models = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "models"}}
    add_node(api, "gpu-2", {POOL_LABEL: "gpu"}, OFFERS, [{"key": GPU_TAINT, "value": "true", "effect": "NoSchedule"}])
    with (
        program(tmp_path, CLUSTER_SOURCE, cluster=api) as stack,
        Kubelets(api, "models"),
    ):
        changed(stack)
        (name,) = [each["metadata"]["name"] for each in api.list("apps/v1", "Deployment", "models")]
        (binding,) = api.list("elbv2.k8s.aws/v1beta1", "TargetGroupBinding", "models")
        (group,) = stack.cloud.of_type("aws:lb/targetGroup:TargetGroup")
        assert binding["spec"]["targetGroupARN"] == group.state["arn"]
        assert not changed(stack)
        # Bounds of servers and nodes replace nothing.
        pools = {"gpu": {"on_demand": {"min": 0, "max": 3}}}
        assert changed(stack, node_pools=pools, models={"qwen": {**QWEN, "replicas": {"min": 1, "max": 3}}}) == {
            "gpu-node-group-gpu-on-demand": "update",
            f"gpu-scaled-object-{name}": "update",
        }
        succeeded(stack.destroy())
        assert api.read(models) is None
        assert not list(stack.cloud)
