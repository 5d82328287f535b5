"""Objects in a Kubernetes cluster."""

from collections.abc import Mapping
from typing import Any, Final, cast

from pulumi_llm_local.aws_types.aws_type import Outputs
from pulumi_llm_local.aws_types.draft import Draft


def replaced_by(token: str) -> frozenset[str]:
    """Give the paths of the properties whose change replaces an object.

    A kind that the table lacks has no property of its own that replaces it; a patch of an object never has one.
    """
    own = _REPLACED_BY.get(token.removeprefix("kubernetes:"), "")
    return frozenset(own.split()) | {"metadata.name", "metadata.namespace"}


def outputs(draft: Draft) -> Outputs:
    """Name an object as the provider does: its id is `namespace/name`, or the name alone where it has no namespace.

    A Service of type LoadBalancer has its address at once; a Helm release is deployed.
    """
    kind = draft.token.rpartition(":")[2]
    given = draft.inputs.get("metadata", {})
    metadata: dict[str, Any] = {"name": f"{draft.name}-{draft.hex(8, 'name')}", "uid": draft.uuid(), **given}
    namespace = "" if kind in _CLUSTER_SCOPED else str(metadata.setdefault("namespace", "default"))
    entry: dict[str, Any] = {}
    if kind == "Release":  # a Helm release has its name and namespace at the top
        metadata = {"name": draft.physical_name, "namespace": draft.text("namespace", "default")}
        namespace = metadata["namespace"]
        entry = {**metadata, "status": {**metadata, "status": "deployed", "revision": 1}}
    elif kind == "Service" and cast("Mapping[str, Any]", draft.inputs.get("spec", {})).get("type") == "LoadBalancer":
        host = f"k8s-{draft.hex(32)}.elb.{draft.region}.{draft.dns_suffix}"
        entry = {"status": {"loadBalancer": {"ingress": [{"hostname": host}]}}}
    identifier = f"{namespace}/{metadata['name']}" if namespace else str(metadata["name"])
    return {"id": identifier, **entry, **({} if kind == "Release" else {"metadata": metadata})}


_CLUSTER_SCOPED: Final = {
    "ClusterRole",
    "ClusterRoleBinding",
    "CustomResourceDefinition",
    "IngressClass",
    "Namespace",
    "Node",
    "PersistentVolume",
    "PriorityClass",
    "RuntimeClass",
    "StorageClass",
}


STATEFUL: Final[Mapping[str, str]] = {
    "kubernetes:core/v1:Namespace": "all that is in it goes with it",
    "kubernetes:core/v1:PersistentVolume": "its files are lost with it",
    "kubernetes:core/v1:PersistentVolumeClaim": "its files are lost with it",
}
"""Why an upgrade must never replace an object of a kind."""

_CONTAINER: Final = (
    "args command env image imagePullPolicy lifecycle livenessProbe ports readinessProbe resources securityContext stdin "
    "stdinOnce terminationMessagePath terminationMessagePolicy tty volumeDevices volumeMounts workingDir"
)

# pulumi-kubernetes 4, provider/pkg/provider/diff.go.
_REPLACED_BY: Final[Mapping[str, str]] = {
    "apps/v1:DaemonSet": "spec.selector",
    "apps/v1:Deployment": "spec.selector",
    "apps/v1:StatefulSet": (
        "spec.podManagementPolicy spec.revisionHistoryLimit spec.selector spec.serviceName spec.volumeClaimTemplates"
    ),
    "batch/v1:Job": "spec.completions spec.parallelism spec.selector spec.template",
    # Unless the provider's enableConfigMapMutable and enableSecretMutable say otherwise, which we don't set.
    "core/v1:ConfigMap": "binaryData data",
    "core/v1:Secret": "data stringData type",
    "core/v1:PersistentVolume": (
        "spec.awsElasticBlockStore spec.azureDisk spec.azureFile spec.cephfs spec.cinder spec.csi spec.fc spec.flexVolume "
        "spec.flocker spec.gcePersistentDisk spec.glusterfs spec.hostPath spec.iscsi spec.local spec.nfs "
        "spec.photonPersistentDisk spec.portworxVolume spec.quobyte spec.rbd spec.scaleIO spec.storageos spec.vsphereVolume"
    ),
    # A claim can grow: not `spec.resources`.
    "core/v1:PersistentVolumeClaim": "spec.accessModes spec.selector spec.storageClassName spec.volumeName",
    "core/v1:Pod": (
        "spec.affinity spec.automountServiceAccountToken spec.dnsConfig spec.dnsPolicy spec.enableServiceLinks "
        "spec.hostAliases spec.hostIPC spec.hostNetwork spec.hostPID spec.hostname spec.imagePullSecrets spec.nodeName "
        "spec.nodeSelector spec.overhead spec.preemptionPolicy spec.priority spec.priorityClassName spec.readinessGates "
        "spec.restartPolicy spec.runtimeClassName spec.schedulerName spec.securityContext spec.serviceAccount "
        "spec.serviceAccountName spec.shareProcessNamespace spec.subdomain spec.terminationGracePeriodSeconds spec.volumes "
        + " ".join(f"spec.{kind}.{field}" for kind in ("containers", "initContainers") for field in _CONTAINER.split())
    ),
    "core/v1:ResourceQuota": "spec.scopes",
    "core/v1:Service": "spec.clusterIP",
    # A Helm release has its name and namespace at the top; helm_release.go.
    "helm.sh/v3:Release": "name namespace",
    "rbac.authorization.k8s.io/v1:ClusterRoleBinding": "roleRef",
    "rbac.authorization.k8s.io/v1:RoleBinding": "roleRef",
    "storage.k8s.io/v1:StorageClass": "parameters provisioner",
}
"""The paths of each kind beside `metadata.name` and `metadata.namespace`, which replace an object of any kind."""
