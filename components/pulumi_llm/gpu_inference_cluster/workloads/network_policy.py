"""Who may call the servers of models, and whom they may call. VPC CNI holds to it only where enableNetworkPolicy is set."""

from collections.abc import Sequence
from typing import Any, Final, cast

import pulumi

from pulumi_llm.gpu_inference_cluster.workloads.place import GRPC_PORT, HTTPS_PORT, Place
from pulumi_llm.gpu_inference_cluster.workloads.versions import ServedModel

Manifest = dict[str, Any]

NOTHING_ALLOWED: Final = "nothing-allowed"

_NAMESPACE_NAME: Final = "kubernetes.io/metadata.name"
# Where the agent of EKS Pod Identity gives credentials.
# https://docs.aws.amazon.com/eks/latest/userguide/pod-id-how-it-works.html
_POD_IDENTITY: Final = "169.254.170.23/32"


def nothing_allowed(place: Place) -> Manifest:
    """What no other policy allows in the namespace is refused."""
    spec: Manifest = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    metadata = {"name": NOTHING_ALLOWED, "namespace": place.namespace, "labels": {"app.kubernetes.io/part-of": "pulumi-llm"}}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": spec}


def network_policy(model: ServedModel, place: Place) -> Manifest:
    """The balancer and Prometheus call the servers; these call DNS, and HTTPS for their weights. Nobody else, nothing else:
    not each other, and not the node's metadata."""
    grpc = any(version.grpc for version in model.versions)
    ports = [{"protocol": "TCP", "port": GRPC_PORT if grpc else HTTPS_PORT}]
    prometheus = {
        "namespaceSelector": {"matchLabels": {_NAMESPACE_NAME: place.prometheus_namespace}},
        "podSelector": {"matchLabels": {"app.kubernetes.io/name": "prometheus"}},
    }
    dns = {
        "namespaceSelector": {"matchLabels": {_NAMESPACE_NAME: "kube-system"}},
        "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
    }
    egress: list[Manifest] = [
        {"to": [dns], "ports": [{"protocol": protocol, "port": 53} for protocol in ("UDP", "TCP")]},
        {"ports": [{"protocol": "TCP", "port": 443}]},
    ]
    if any(version.bucket for version in model.versions):
        egress.append({"to": [{"ipBlock": {"cidr": _POD_IDENTITY}}], "ports": [{"protocol": "TCP", "port": 80}]})
    labels = {"app.kubernetes.io/name": model.name, "app.kubernetes.io/part-of": "pulumi-llm"}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": model.name, "namespace": place.namespace, "labels": labels},
        "spec": {
            "podSelector": {"matchLabels": {"app.kubernetes.io/name": model.name}},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [{"from": _callers(place.balancer_cidrs, prometheus), "ports": ports}],
            "egress": egress,
        },
    }


def _callers(balancer_cidrs: pulumi.Input[Sequence[str]], prometheus: Manifest) -> pulumi.Input[list[Manifest]]:
    """Who may call: plain where the balancer's addresses are."""

    def listed(cidrs: Sequence[str]) -> list[Manifest]:
        return [*({"ipBlock": {"cidr": cidr}} for cidr in cidrs), prometheus]

    return (
        balancer_cidrs.apply(listed)
        if isinstance(balancer_cidrs, pulumi.Output)
        else listed(cast("Sequence[str]", balancer_cidrs))
    )
