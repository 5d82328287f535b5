"""What a cluster says of the objects of served models: admitted as they are, refused where they are wrong, and scheduled."""

import copy
import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from pulumi_llm.gpu_inference_cluster.workloads.manifests import manifests, namespace_manifests, shared_manifests
from pulumi_llm.gpu_inference_cluster.workloads.place import GPU_RESOURCE, GPU_TAINT, POOL_LABEL, Schedule
from pulumi_llm.gpu_inference_cluster.workloads.versions import ServedModel, served_models
from pulumi_llm_local.engine.kubernetes_api import KubernetesApi, Rejected
from support.control_plane import add_node, wait_for
from support.served_models import AWQ, IMAGE, INSTANCES, PLACE, QWEN, settings_of

# The first time, the control plane has to be built: some seven minutes.
pytestmark = pytest.mark.timeout(2400)

Manifest = dict[str, Any]


def prod() -> list[ServedModel]:
    """Two models, the second with a candidate, and a server of gRPC."""
    models = {
        "qwen": settings_of(**QWEN, replicas={"min": 0, "max": 4}),
        "large": settings_of(
            **{**QWEN, "pool": "large", "model": "deepseek-r1-distill-qwen-32b"},
            **AWQ,
            candidate={"weights_uri": "s3://models/large", "weight": 20},
        ),
        "own": settings_of(image=IMAGE, pool="gpu", grpc=True),
    }
    return served_models(models, INSTANCES)


@pytest.fixture(scope="module")
def admitted(api: KubernetesApi) -> list[Manifest]:
    """Everything of prod, as the cluster has it."""
    return [api.apply(manifest) for manifest in wanted()]


def wanted() -> list[Manifest]:
    there = dataclasses.replace(PLACE, schedule=Schedule("15:00", "06:00"))
    shared = [*namespace_manifests(there), *shared_manifests(there)]
    return [*shared, *(each for model in prod() for each in manifests(model, there))]


def named(kind: str, model: str, version: int = 0) -> Manifest:
    """The manifest of that kind of a model's version."""
    (found,) = [each for each in prod() if each.name == model]
    name = found.versions[version].name
    (manifest,) = [each for each in wanted() if each["kind"] == kind and each["metadata"]["name"] == name]
    return manifest


def test_every_object_is_admitted_and_the_second_time_nothing_changes(api: KubernetesApi, admitted: list[Manifest]) -> None:
    assert len(admitted) == 3 + 3 * 2 + 3 * 6 + 5
    for before, manifest in zip(admitted, wanted(), strict=True):
        after = api.apply(manifest)
        assert after["metadata"].get("generation") == before["metadata"].get("generation"), manifest
        assert after["metadata"]["uid"] == before["metadata"]["uid"]


def put(*path: str | int, value: Any) -> Callable[[Manifest], None]:
    """Set a value deep in a manifest."""

    def change(manifest: Manifest) -> None:
        place: Any = manifest
        for part in path[:-1]:
            place = place[part]
        place[path[-1]] = value

    return change


POD = ("spec", "template", "spec")
CONTAINER = (*POD, "containers", 0)
RESOURCES = (*CONTAINER, "resources")
# The kind, what is made wrong in it -> what the API server says.
WRONG: list[tuple[str, Callable[[Manifest], None], str]] = [
    ("Deployment", put(*RESOURCES, "requests", GPU_RESOURCE, value="2"), "must be equal to nvidia.com/gpu limit of 1"),
    ("Deployment", put(*RESOURCES, "limits", GPU_RESOURCE, value="500m"), "must be an integer"),
    (
        "Deployment",
        put("spec", "selector", "matchLabels", value={"app": "other"}),
        "`selector` does not match template `labels`",
    ),
    ("Deployment", put("spec", "template", "metadata", "labels", value={}), "`selector` does not match template `labels`"),
    ("Deployment", put(*CONTAINER, "probe", value={}), "probe: field not declared in schema"),
    ("Deployment", put(*CONTAINER, "volumeMounts", 0, "name", value="elsewhere"), "Not found"),
    ("Deployment", put(*CONTAINER, "startupProbe", "failureThreshold", value="sixty"), "failureThreshold"),
    ("Deployment", put("spec", "strategy", "rollingUpdate", value={"maxSurge": 0, "maxUnavailable": 0}), "may not be 0"),
    ("Service", put("spec", "ports", 0, "port", value=70_000), "must be between 1 and 65535"),
    ("Service", put("metadata", "name", value="Models"), "lower case alphanumeric"),
    ("ScaledObject", put("spec", "minReplicaCount", value="one"), "minReplicaCount"),
    ("ScaledObject", put("spec", "triggers", 0, "metadata", "threshold", value=43), "threshold"),
    ("ScaledObject", put("spec", "replicas", value=1), ".spec.replicas: field not declared in schema"),
    ("PodDisruptionBudget", put("spec", "unhealthyPodEvictionPolicy", value="Never"), "unhealthyPodEvictionPolicy"),
    ("TargetGroupBinding", put("spec", "targetType", value="pod"), "spec.targetType"),
]


@pytest.mark.usefixtures("admitted")
@pytest.mark.parametrize(("kind", "spoil", "reason"), WRONG)
def test_what_is_wrong_is_refused(api: KubernetesApi, kind: str, spoil: Callable[[Manifest], None], reason: str) -> None:
    manifest = copy.deepcopy(named(kind, "qwen"))
    spoil(manifest)
    with pytest.raises(Rejected) as refused:
        api.apply(manifest, dry_run=True)
    assert reason in str(refused.value)


# What a pod of the namespace must not be -> the standard's words for it.
PRIVILEGED: list[tuple[Callable[[Manifest], None], str]] = [
    (put("hostIPC", value=True), "host namespaces"),
    (put("containers", 0, "securityContext", value={}), "allowPrivilegeEscalation != false"),
    (put("securityContext", value={}), "runAsNonRoot != true"),
    (put("volumes", 0, value={"name": "work", "hostPath": {"path": "/"}}), "hostPath"),
]


@pytest.mark.usefixtures("admitted")
@pytest.mark.parametrize(("spoil", "reason"), PRIVILEGED)
def test_a_pod_with_privileges_is_refused(api: KubernetesApi, spoil: Callable[[Manifest], None], reason: str) -> None:
    spec = copy.deepcopy(named("Deployment", "qwen")["spec"]["template"]["spec"])
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "bad", "namespace": PLACE.namespace}, "spec": spec}
    api.apply(pod, dry_run=True)
    spoil(spec)
    with pytest.raises(Rejected, match="violates PodSecurity") as refused:
        api.apply(pod, dry_run=True)
    assert reason in str(refused.value)


GPU_NODE = {"cpu": "8", "memory": "31Gi", "ephemeral-storage": "190Gi", "pods": "58"}
TAINT = {"key": GPU_TAINT, "value": "true", "effect": "NoSchedule"}
# The labels, what a node offers, and its taint -> why no server of `qwen` is put there, or "" where it is.
NODES: list[tuple[str, Mapping[str, str], Mapping[str, str], str]] = [
    ("without-gpu", {POOL_LABEL: "gpu"}, GPU_NODE, "Insufficient nvidia.com/gpu"),
    ("of-another-pool", {POOL_LABEL: "large"}, {**GPU_NODE, GPU_RESOURCE: "1"}, "didn't match Pod's node affinity/selector"),
    ("too-small", {POOL_LABEL: "gpu"}, {**GPU_NODE, "memory": "15Gi", GPU_RESOURCE: "1"}, "Insufficient memory"),
    ("right", {POOL_LABEL: "gpu"}, {**GPU_NODE, GPU_RESOURCE: "1"}, ""),
]


@pytest.mark.usefixtures("admitted")
def test_servers_are_put_where_their_gpus_are(api: KubernetesApi) -> None:
    deployment = named("Deployment", "qwen")
    labels = deployment["spec"]["selector"]["matchLabels"]

    def scheduled() -> Manifest:
        """The condition PodScheduled of the one pod."""
        pods = api.list("v1", "Pod", PLACE.namespace, labels)
        conditions = [each for pod in pods for each in pod.get("status", {}).get("conditions", [])]
        return next((each for each in conditions if each["type"] == "PodScheduled"), {})

    for name, of_pool, offers, reason in NODES:
        add_node(api, name, dict(of_pool), dict(offers), [TAINT])
        if reason:
            wait_for(lambda reason=reason: reason in scheduled().get("message", ""))
        else:
            wait_for(lambda: scheduled().get("status") == "True")
            (pod,) = api.list("v1", "Pod", PLACE.namespace, labels)
            assert pod["spec"]["nodeName"] == name
    # Nothing else than servers comes to a GPU node: its taint keeps it away.
    plain = {"containers": [{"name": "plain", "image": IMAGE, "resources": {"requests": {"cpu": "1"}}}]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "plain", "namespace": "default"}, "spec": plain}
    api.apply(pod)

    def refused() -> bool:
        conditions = (api.read(pod) or {}).get("status", {}).get("conditions", [])
        return any("untolerated taint" in each.get("message", "") for each in conditions)

    wait_for(refused)


@pytest.mark.usefixtures("admitted")
def test_keda_alone_owns_the_number_of_servers(api: KubernetesApi) -> None:
    """What is applied again leaves the number as it is; and the autoscaler that KEDA makes of a ScaledObject is admitted."""
    for model in prod():
        for number in range(len(model.versions)):
            deployment, scaled = named("Deployment", model.name, number), named("ScaledObject", model.name, number)
            spec = scaled["spec"]
            assert spec["scaleTargetRef"]["name"] == deployment["metadata"]["name"]
            assert "replicas" not in deployment["spec"]
            api.patch(deployment, {"spec": {"replicas": 3}}, subresource="scale")
            assert api.apply(deployment)["spec"]["replicas"] == 3
            autoscaler = api.apply(horizontal_pod_autoscaler(scaled))
            assert autoscaler["spec"]["behavior"]["scaleDown"]["stabilizationWindowSeconds"] == 600
    owned = api.list("autoscaling/v2", "HorizontalPodAutoscaler", PLACE.namespace)
    assert len(owned) == 4
    assert not [each for each in wanted() if each["kind"] == "HorizontalPodAutoscaler"]


def horizontal_pod_autoscaler(scaled: Manifest) -> Manifest:
    """What KEDA makes of a ScaledObject. https://keda.sh/docs/latest/concepts/scaling-deployments/

    While there is none to scale, KEDA itself scales to one, so the least is one.
    """
    spec, name = scaled["spec"], scaled["metadata"]["name"]

    def metric(number: int, trigger: Manifest) -> Manifest:
        described = {"name": f"s{number}-{trigger['type']}", "selector": {"matchLabels": {"scaledobject.keda.sh/name": name}}}
        target = {"type": trigger.get("metricType", "AverageValue"), "averageValue": trigger["metadata"].get("threshold", "1")}
        return {"type": "External", "external": {"metric": described, "target": target}}

    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": f"keda-hpa-{name}", "namespace": PLACE.namespace, "labels": {"scaledobject.keda.sh/name": name}},
        "spec": {
            "minReplicas": max(1, spec["minReplicaCount"]),
            "maxReplicas": spec["maxReplicaCount"],
            "scaleTargetRef": spec["scaleTargetRef"],
            "metrics": [metric(number, trigger) for number, trigger in enumerate(spec["triggers"])],
            "behavior": spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"],
        },
    }
