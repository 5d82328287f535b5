"""Every object of the served models, in the order in which they are made."""

from pulumi_llm.gpu_inference_cluster.workloads.deployment import (
    SERVICE_PORT,
    Manifest,
    config_map,
    deployment,
    disruption_budget,
    metadata,
    service,
    service_account,
)
from pulumi_llm.gpu_inference_cluster.workloads.network_policy import network_policy, nothing_allowed
from pulumi_llm.gpu_inference_cluster.workloads.place import Place
from pulumi_llm.gpu_inference_cluster.workloads.scaling import scaled_object, trigger_authentication
from pulumi_llm.gpu_inference_cluster.workloads.versions import ServedModel, Version


def namespace_manifests(place: Place) -> list[Manifest]:
    """The namespace of the served models, in which only pods without privileges are admitted and nothing is called.

    A pod counts as ready there only when the balancer has found it healthy, too.
    https://kubernetes.io/docs/concepts/security/pod-security-standards/
    https://kubernetes-sigs.github.io/aws-load-balancer-controller/latest/deploy/pod_readiness_gate/
    """
    labels = {
        "app.kubernetes.io/part-of": "pulumi-llm",
        "elbv2.k8s.aws/pod-readiness-gate-inject": "enabled",
        **{f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn", "audit")},
    }
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": place.namespace, "labels": labels}}
    return [namespace, nothing_allowed(place)]


def shared_manifests(place: Place) -> list[Manifest]:
    """What all models share, of kinds that the charts define."""
    return [trigger_authentication(place)]


def manifests(model: ServedModel, place: Place) -> list[Manifest]:
    """The objects of a served model: those that its versions share, then those of each."""
    own = (manifest for version in model.versions for manifest in version_manifests(version, place))
    bounds, rest = model_manifests(model, place)
    return [*bounds, *rest, *own]


def model_manifests(model: ServedModel, place: Place) -> tuple[list[Manifest], list[Manifest]]:
    """What the versions of a model share: what bounds them, and the rest."""
    return [network_policy(model, place)], [service_account(model.name, place)]


def version_manifests(version: Version, place: Place) -> list[Manifest]:
    """The objects of one version. What registers its pods at the balancer is there before the pods are."""
    files = [] if version.grpc else [config_map(version, place)]
    return [
        *files,
        service(version, place),
        target_group_binding(version, place),
        disruption_budget(version, place),
        # Before the servers: it must not wait until they are ready, for servers that never are would keep their nodes.
        scaled_object(version, place),
        deployment(version, place),
    ]


def target_group_binding(version: Version, place: Place) -> Manifest:
    """AWS Load Balancer Controller registers the pods in the target group.

    The rules of the security groups are not its own, but those of the network.
    https://kubernetes-sigs.github.io/aws-load-balancer-controller/latest/guide/targetgroupbinding/targetgroupbinding/
    """
    return {
        "apiVersion": "elbv2.k8s.aws/v1beta1",
        "kind": "TargetGroupBinding",
        "metadata": metadata(version, place),
        "spec": {
            "serviceRef": {"name": version.name, "port": SERVICE_PORT},
            "targetGroupARN": place.target_group_arns[version.name],
            "targetType": "ip",
        },
    }
