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
# What is not the internet: the VPC and its peers, the cluster's Services, the Kubernetes API, the node's metadata.
# https://www.iana.org/assignments/iana-ipv4-special-registry/
_NOT_PUBLIC: Final = ("10.0.0.0/8", "100.64.0.0/10", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16")
_INTERNET: Final = {"ipBlock": {"cidr": "0.0.0.0/0", "except": list(_NOT_PUBLIC)}}


def nothing_allowed(place: Place) -> Manifest:
    """What no other policy allows in the namespace is refused."""
    spec: Manifest = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    metadata = {"name": NOTHING_ALLOWED, "namespace": place.namespace, "labels": {"app.kubernetes.io/part-of": "pulumi-llm"}}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": spec}


def network_policy(model: ServedModel, place: Place) -> Manifest:
    """The balancer and Prometheus call the servers; these call DNS, and HTTPS where their weights are: S3's addresses, or the
    internet for the hub. Nobody else, nothing else: not each other, not the VPC, and not the node's metadata."""
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
    ]
    called = _called(model, place)
    if called is not None:
        egress.append({"to": called, "ports": [{"protocol": "TCP", "port": 443}]})
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
            "ingress": [{"from": _blocks(place.balancer_cidrs, prometheus), "ports": ports}],
            "egress": egress,
        },
    }


def _called(model: ServedModel, place: Place) -> pulumi.Input[list[Manifest]] | None:
    """What is called over HTTPS: where the weights of each version are, and what the settings name. None where nothing is:
    an empty list would mean everything."""
    named = dict.fromkeys(cidr for version in model.versions for cidr in version.egress_cidrs)
    peers: list[Manifest] = [{"ipBlock": {"cidr": cidr}} for cidr in named]
    if any(not version.bucket and not version.grpc for version in model.versions):
        peers.append(_INTERNET)
    in_s3 = any(version.bucket for version in model.versions)
    return _blocks(place.s3_cidrs, *peers) if in_s3 else peers or None


def _blocks(cidrs: pulumi.Input[Sequence[str]], *others: Manifest) -> pulumi.Input[list[Manifest]]:
    """Ranges of addresses, and other peers: plain where the ranges are."""

    def listed(cidrs: Sequence[str]) -> list[Manifest]:
        return [*({"ipBlock": {"cidr": cidr}} for cidr in cidrs), *others]

    return cidrs.apply(listed) if isinstance(cidrs, pulumi.Output) else listed(cast("Sequence[str]", cidrs))
