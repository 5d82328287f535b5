"""The objects of served models as resources of Pulumi: the one module here that makes any."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import pulumi
import pulumi_kubernetes as kubernetes

from pulumi_llm.base.component import Component
from pulumi_llm.gpu_inference_cluster.workloads.custom_resources import (
    ScaledObject,
    TargetGroupBinding,
    TriggerAuthentication,
)
from pulumi_llm.gpu_inference_cluster.workloads.deployment import READY_SECONDS, Manifest
from pulumi_llm.gpu_inference_cluster.workloads.manifests import (
    model_manifests,
    namespace_manifests,
    shared_manifests,
    version_manifests,
)
from pulumi_llm.gpu_inference_cluster.workloads.network_policy import NOTHING_ALLOWED
from pulumi_llm.gpu_inference_cluster.workloads.place import Place
from pulumi_llm.gpu_inference_cluster.workloads.scaling import AUTHENTICATION
from pulumi_llm.gpu_inference_cluster.workloads.versions import ServedModel

_READY_MINUTES: Final = READY_SECONDS // 60

# The key of a component's children for each kind. A type of the SDK is loaded when a child's is.
KEYS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "Namespace": "namespace",
        "NetworkPolicy": "network-policy",
        "TriggerAuthentication": "trigger-authentication",
        "ServiceAccount": "service-account",
        "ConfigMap": "config-map",
        "Service": "service",
        "TargetGroupBinding": "target-group-binding",
        "PodDisruptionBudget": "disruption-budget",
        "Deployment": "deployment",
        "ScaledObject": "scaled-object",
    }
)

_KEYS_OF_VERSIONS: Final = ("service", "target-group-binding", "disruption-budget", "deployment", "scaled-object")


def workload_children() -> dict[str, type[pulumi.Resource]]:
    """The types of a component's children that are made here, by their keys."""
    return {
        "namespace": kubernetes.core.v1.Namespace,
        "network-policy": kubernetes.networking.v1.NetworkPolicy,
        "trigger-authentication": TriggerAuthentication,
        "service-account": kubernetes.core.v1.ServiceAccount,
        "config-map": kubernetes.core.v1.ConfigMap,
        "service": kubernetes.core.v1.Service,
        "target-group-binding": TargetGroupBinding,
        "disruption-budget": kubernetes.policy.v1.PodDisruptionBudget,
        "deployment": kubernetes.apps.v1.Deployment,
        "scaled-object": ScaledObject,
    }


def workload_names(models: Sequence[ServedModel], namespace: str) -> dict[str, list[str]]:
    """What stands behind each key in the names of the component's children."""
    of_models = [model.name for model in models]
    versions = [version for model in models for version in model.versions]
    return {
        "namespace": [namespace],
        "network-policy": [NOTHING_ALLOWED, *of_models],
        "trigger-authentication": [AUTHENTICATION],
        "service-account": of_models,
        "config-map": [version.name for version in versions if not version.grpc],
        **{key: [version.name for version in versions] for key in _KEYS_OF_VERSIONS},
    }


def create_namespace(component: Component, place: Place, provider: kubernetes.Provider) -> list[pulumi.Resource]:
    """Make the namespace with what bounds its pods, before the charts that are let into it."""
    return _create(component, namespace_manifests(place), provider, [])


def create_workloads(
    component: Component,
    models: Sequence[ServedModel],
    place: Place,
    provider: kubernetes.Provider,
    depends_on: Sequence[pulumi.Resource],
    writer: kubernetes.Provider | None = None,
) -> dict[str, list[pulumi.Resource]]:
    """Make the objects of the models in their namespace, after what defines their kinds and registers their pods.

    With a `writer` the objects are written by it instead, except those that bound what the others may do.

    Returns:
        For each model, by its name, what is there as soon as every version of it has a server that the balancer found
        healthy. An object's name holds its version, so a new version's are made first, and the old one's go last.
    """
    shared = _create(component, shared_manifests(place), provider, depends_on)
    ready: dict[str, list[pulumi.Resource]] = {}
    for model in models:
        bounds, rest = model_manifests(model, place)
        own = _create(component, bounds, provider, shared)
        own = [*own, *_create(component, rest, writer or provider, own)]
        ready[model.name] = [
            each
            for version in model.versions
            for each in _create(component, version_manifests(version, place), writer or provider, own)
            if isinstance(each, kubernetes.apps.v1.Deployment)
        ]
    return ready


def _create(
    component: Component, manifests: Sequence[Manifest], provider: kubernetes.Provider, depends_on: Sequence[pulumi.Resource]
) -> list[pulumi.Resource]:
    """Make objects that wait for each other in their order; the first wait for `depends_on`."""
    children = workload_children()
    made: list[pulumi.Resource] = []
    for manifest in manifests:
        key = KEYS[manifest["kind"]]
        kind: Any = children[key]
        name = manifest["metadata"]["name"]
        others = {field: value for field, value in manifest.items() if field not in ("apiVersion", "kind")}
        options: dict[str, Any] = {"provider": provider, "depends_on": [*(made or depends_on)]}
        if key == "deployment":
            options["custom_timeouts"] = pulumi.CustomTimeouts(create=f"{_READY_MINUTES}m", update=f"{_READY_MINUTES}m")
        made.append(
            kind(
                f"{component.child_name(key)}-{name}",
                **{_SNAKE.get(field, field): value for field, value in others.items()},
                opts=component.child(key, **options),
            )
        )
    return made


# The fields of our objects whose names the SDK spells otherwise.
_SNAKE: Final = {"automountServiceAccountToken": "automount_service_account_token"}
