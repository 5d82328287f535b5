"""The servers of a version: Deployment, Service, disruption budget, and what they are given as files.

The figures of probes and drain are vLLM's own advice or follow from it:
https://docs.vllm.ai/en/latest/deployment/k8s/ and https://docs.vllm.ai/en/latest/usage/security/
"""

import hashlib
import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any, Final

from pulumi_llm.cost.served_models import INSTANCE_TYPE, TOKENS_PER_SECOND
from pulumi_llm.gpu_inference_cluster.workloads.place import (
    GPU_RESOURCE,
    GPU_TAINT,
    GRPC_PORT,
    HEALTH_PATH,
    HTTPS_PORT,
    IDLE_SECONDS,
    POOL_LABEL,
    STICKINESS_COOKIE,
    STICKINESS_SECONDS,
    Place,
)
from pulumi_llm.gpu_inference_cluster.workloads.versions import PRE_STOP_SECONDS, Version

Manifest = dict[str, Any]

CONTAINER: Final = "server"
SERVICE_PORT: Final = 443

# The time to pull the image, load the weights and compile: probes of the start, every 30 s.
START_PROBES: Final = 60
START_PERIOD_SECONDS: Final = 30
START_SECONDS: Final = START_PROBES * START_PERIOD_SECONDS
# A first server needs a node besides: so long Pulumi waits for it, and so long KEDA leaves it.
READY_SECONDS: Final = START_SECONDS + 900

_SHARED_MEMORY: Final = "2Gi"
# Above those that a node has for itself.
_USER: Final = 10_001
_WORK, _TLS, _MIDDLEWARE = "/var/lib/server", "/etc/server/tls", "/etc/server/middleware"
# Mount points of the pod's own volumes, no folders that it shares with others.
_TEMPORARY, _MEMORY = "/tmp", "/dev/shm"  # noqa: S108  # nosec B108

# Argo CD makes custom resources after Deployments, and a pod is checked by the balancer only if its TargetGroupBinding is there
# before it. A ScaledObject is not healthy before its Deployment is there, so both are in the later wave.
# https://argo-cd.readthedocs.io/en/stable/user-guide/sync-waves/
AFTER_OTHERS: Final = {"argocd.argoproj.io/sync-wave": "1"}
_NO_AWAIT: Final = {"pulumi.com/skipAwait": "true"}

# How many sequences one request may ask for; vLLM's default is 16,384.
_MOST_SEQUENCES: Final = 64
# Running and waiting, as many times as those at which another server is started: more are refused with 503, and the gateway
# calls its next target.
_QUEUE_FACTOR: Final = 2
# A reserved name, which never resolves: without a list of domains, vLLM fetches images from anywhere.
# https://www.rfc-editor.org/rfc/rfc2606
_NO_DOMAIN: Final = "media.invalid"
# https://docs.vllm.ai/en/latest/models/extensions/runai_model_streamer/ ; without a limit, 40 GB of host memory are read ahead.
_STREAMER: Final = {"concurrency": 32, "memory_limit": 5 * 1024**3}


def server_labels(version: Version) -> dict[str, str]:
    """The labels of a version's pods, and of what belongs to them.

    https://kubernetes.io/docs/concepts/overview/working-with-objects/common-labels/
    """
    return {**selector(version), "app.kubernetes.io/component": "model-server", "app.kubernetes.io/part-of": "pulumi-llm"}


def selector(version: Version) -> dict[str, str]:
    """The labels by which a version's pods are found."""
    return {"app.kubernetes.io/name": version.model, "app.kubernetes.io/version": version.hash}


def metadata(version: Version, place: Place, **more: Any) -> Manifest:
    """The metadata of an object that belongs to one version."""
    return {"name": version.name, "namespace": place.namespace, "labels": server_labels(version), **more}


def deployment(version: Version, place: Place) -> Manifest:
    """The servers. How many there are is left out, for KEDA alone decides it. Pulumi waits for the first unless all are off.

    https://www.pulumi.com/registry/packages/kubernetes/installation-configuration/ (skipAwait)
    """
    template = {
        "metadata": {"labels": server_labels(version), "annotations": {"pulumi-llm/files": _digest(_files())}},
        "spec": _pod(version, place),
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata(
            version, place, annotations={**AFTER_OTHERS, **_sizing(version), **(_NO_AWAIT if place.hard_off else {})}
        ),
        "spec": {
            "selector": {"matchLabels": selector(version)},
            "revisionHistoryLimit": 2,
            # Longer than the start may take, which includes a new node.
            "progressDeadlineSeconds": START_SECONDS + 600,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "template": template,
        },
    }


def _sizing(version: Version) -> dict[str, str]:
    """What `pulumi-llm cost` reads, as annotations. They are the Deployment's own: no pod changes with them."""
    if version.fit is None:
        return {}
    return {INSTANCE_TYPE: version.instance, TOKENS_PER_SECOND: f"{version.fit.tokens_per_second:g}"}


def service(version: Version, place: Place) -> Manifest:
    """The address by which the balancer's controller finds the pods. It is there before them, and while there are none, so
    Pulumi must not wait until it leads to some.

    https://github.com/pulumi/pulumi-kubernetes/blob/master/provider/pkg/await/service.go
    """
    port = {"name": _port_name(version), "port": SERVICE_PORT, "targetPort": _port_name(version), "protocol": "TCP"}
    spec = {"type": "ClusterIP", "selector": selector(version), "ports": [port]}
    described = metadata(version, place, annotations=_NO_AWAIT)
    return {"apiVersion": "v1", "kind": "Service", "metadata": described, "spec": spec}


def disruption_budget(version: Version, place: Place) -> Manifest:
    """Nodes are drained one server at a time, and one that never got ready hinders nobody."""
    spec = {
        "maxUnavailable": 1,
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
        "selector": {"matchLabels": selector(version)},
    }
    return {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": metadata(version, place), "spec": spec}


def config_map(version: Version, place: Place) -> Manifest:
    """The middleware, as a file."""
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata(version, place), "data": _files()}


def service_account(model: str, place: Place) -> Manifest:
    """Who the servers of a model are to AWS; they have no business with Kubernetes itself."""
    labels = {"app.kubernetes.io/name": model, "app.kubernetes.io/part-of": "pulumi-llm"}
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": model, "namespace": place.namespace, "labels": labels},
        "automountServiceAccountToken": False,
    }


def _pod(version: Version, place: Place) -> Manifest:
    spread = {"labelSelector": {"matchLabels": selector(version)}, "maxSkew": 1, "whenUnsatisfiable": "ScheduleAnyway"}
    return {
        "serviceAccountName": version.model,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": version.grace_seconds,
        "nodeSelector": {POOL_LABEL: version.pool},
        "tolerations": [{"key": GPU_TAINT, "operator": "Exists", "effect": "NoSchedule"}],
        "topologySpreadConstraints": [
            {"topologyKey": key, **spread} for key in ("topology.kubernetes.io/zone", "kubernetes.io/hostname")
        ],
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _USER,
            "runAsGroup": _USER,
            "fsGroup": _USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        **({} if version.grpc else {"initContainers": [_certificate(version)]}),
        "containers": [_grpc_server(version) if version.grpc else _vllm_server(version, place)],
        "volumes": _volumes(version),
    }


def _vllm_server(version: Version, place: Place) -> Manifest:
    def probe(path: str, **more: int) -> Manifest:
        return {"httpGet": {"path": path, "port": "https", "scheme": "HTTPS"}, "timeoutSeconds": 5, **more}

    return {
        **_container(version),
        "command": ["vllm", "serve"],
        "args": _arguments(version),
        "env": _environment(version, place),
        "startupProbe": probe("/v1/models", periodSeconds=START_PERIOD_SECONDS, failureThreshold=START_PROBES),
        "readinessProbe": probe("/v1/models", periodSeconds=5, failureThreshold=3),
        "livenessProbe": probe(HEALTH_PATH, periodSeconds=10, failureThreshold=6),
        "volumeMounts": [
            *_mounts(),
            {"name": "tls", "mountPath": _TLS, "readOnly": True},
            {"name": "middleware", "mountPath": _MIDDLEWARE, "readOnly": True},
        ],
    }


def _grpc_server(version: Version) -> Manifest:
    """A user's own image, which answers the standard health checks.

    https://github.com/grpc/grpc/blob/master/doc/health-checking.md
    """

    def probe(**more: int) -> Manifest:
        return {"grpc": {"port": GRPC_PORT}, "timeoutSeconds": 5, **more}

    return {
        **_container(version),
        "args": list(version.extra),
        "env": [{"name": "HOME", "value": _WORK}],
        "startupProbe": probe(periodSeconds=START_PERIOD_SECONDS, failureThreshold=START_PROBES),
        "readinessProbe": probe(periodSeconds=5, failureThreshold=3),
        "livenessProbe": probe(periodSeconds=10, failureThreshold=6),
        "volumeMounts": _mounts(),
    }


def _container(version: Version) -> Manifest:
    """What both kinds of servers have. CPU has no limit: a server that is throttled makes its GPU wait."""
    gpus = {GPU_RESOURCE: str(version.gpus)}
    storage = f"{version.storage_gib}Gi"
    return {
        "name": CONTAINER,
        "image": version.image,
        "imagePullPolicy": "IfNotPresent",
        "ports": [{"name": _port_name(version), "containerPort": _port(version), "protocol": "TCP"}],
        "resources": {
            "requests": {
                "cpu": f"{version.millicores}m",
                "memory": f"{version.memory_gib}Gi",
                "ephemeral-storage": storage,
                **gpus,
            },
            "limits": {"memory": f"{version.memory_limit_gib}Gi", "ephemeral-storage": f"{2 * version.storage_gib}Gi", **gpus},
        },
        "lifecycle": {"preStop": {"sleep": {"seconds": PRE_STOP_SECONDS}}},
        "securityContext": _security_context(),
    }


def _certificate(version: Version) -> Manifest:
    """Make a certificate of the pod's own. The balancer encrypts to its targets, and checks no certificate.

    https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-target-groups.html
    """
    paths = ["-keyout", f"{_TLS}/tls.key", "-out", f"{_TLS}/tls.crt"]
    key = [
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-noenc",
        "-days",
        "3650",
        "-subj",
        f"/CN={version.name}",
    ]
    resources = {"cpu": "100m", "memory": "64Mi", "ephemeral-storage": "10Mi"}
    return {
        "name": "certificate",
        "image": version.image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["openssl", "req", "-x509"],
        "args": [*key, *paths],
        # Images of CUDA ask for all GPUs of the node, whoever has them.
        # https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/docker-specialized.html
        "env": [{"name": "NVIDIA_VISIBLE_DEVICES", "value": "void"}],
        "resources": {"requests": resources, "limits": resources},
        "securityContext": _security_context(),
        "volumeMounts": [{"name": "tls", "mountPath": _TLS}, {"name": "temporary", "mountPath": _TEMPORARY}],
    }


def _security_context() -> Manifest:
    return {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def _arguments(version: Version) -> list[str]:
    """The arguments of `vllm serve`. A later one wins, so the settings' own come last."""
    fit = version.fit
    assert fit is not None  # every version but one with gRPC has been sized
    streamed = ("--load-format", "runai_streamer", "--model-loader-extra-config", json.dumps(_STREAMER))
    return [
        version.source,
        *(streamed if version.bucket else ("--revision", version.revision)),
        *("--served-model-name", version.model),
        *fit.arguments,
        *("--port", str(HTTPS_PORT)),
        *("--root-path", f"/{version.model}"),
        *("--ssl-keyfile", f"{_TLS}/tls.key", "--ssl-certfile", f"{_TLS}/tls.crt"),
        *("--middleware", "stickiness.StickinessCookie"),
        *("--shutdown-timeout", str(version.drain_seconds)),
        *("--allowed-media-domains", _NO_DOMAIN),
        *("--max-num-queued-reqs", str(_QUEUE_FACTOR * version.requests_per_replica)),
        *("--disable-access-log-for-endpoints", f"{HEALTH_PATH},/metrics,/v1/models"),
        "--disable-fastapi-docs",
        "--enable-prompt-tokens-details",
        *version.extra,
    ]


def _environment(version: Version, place: Place) -> list[Manifest]:
    """Every cache in the one writable folder: vLLM, Triton, PyTorch, the hub and what else looks for a home."""
    variables = {
        "AWS_REGION": place.region,
        "HF_HOME": f"{_WORK}/huggingface",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HOME": _WORK,
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": _MIDDLEWARE,
        "STICKINESS_COOKIE": STICKINESS_COOKIE,
        "STICKINESS_SECONDS": str(STICKINESS_SECONDS),
        "TORCHINDUCTOR_CACHE_DIR": f"{_WORK}/inductor",
        "TRITON_CACHE_DIR": f"{_WORK}/triton",
        "USER": "server",  # the user's number has no name in the image, and PyTorch asks for one
        "VLLM_CACHE_ROOT": f"{_WORK}/vllm",
        "VLLM_MAX_N_SEQUENCES": str(_MOST_SEQUENCES),
        # Longer than the balancer keeps a connection, or it sends a request into one that closes, and answers 502.
        # https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-troubleshooting.html
        "VLLM_HTTP_TIMEOUT_KEEP_ALIVE": str(IDLE_SECONDS + 10),
        "VLLM_MEDIA_URL_ALLOW_REDIRECTS": "0",
        "VLLM_NO_USAGE_STATS": "1",
        "XDG_CACHE_HOME": f"{_WORK}/cache",
        "XDG_CONFIG_HOME": f"{_WORK}/config",
    }
    if not version.bucket:
        del variables["AWS_REGION"]
    token = {"secretKeyRef": {"name": version.hub_token_secret, "key": "token"}}
    return [
        *({"name": name, "value": value} for name, value in variables.items()),
        *([{"name": "HF_TOKEN", "valueFrom": token}] if version.hub_token_secret else []),
    ]


def _mounts() -> list[Manifest]:
    return [
        {"name": "work", "mountPath": _WORK},
        {"name": "temporary", "mountPath": _TEMPORARY},
        {"name": "shared-memory", "mountPath": _MEMORY},
    ]


def _volumes(version: Version) -> list[Manifest]:
    """The folders that may be written to; where the node has a local NVMe disk for its pods, they are on that."""
    own = (
        []
        if version.grpc
        else [
            {"name": "tls", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
            {"name": "middleware", "configMap": {"name": version.name}},
        ]
    )
    return [
        {"name": "work", "emptyDir": {}},
        {"name": "temporary", "emptyDir": {}},
        {"name": "shared-memory", "emptyDir": {"medium": "Memory", "sizeLimit": _SHARED_MEMORY}},
        *own,
    ]


def _port(version: Version) -> int:
    return GRPC_PORT if version.grpc else HTTPS_PORT


def _port_name(version: Version) -> str:
    return "grpc" if version.grpc else "https"


def _files() -> dict[str, str]:
    package = files("pulumi_llm.gpu_inference_cluster.workloads")
    return {"stickiness.py": package.joinpath("stickiness.py").read_text(encoding="utf-8")}


def _digest(contents: Mapping[str, str]) -> str:
    """Changes with the files, so that servers are replaced that have read the old ones."""
    return hashlib.sha256(json.dumps(contents, sort_keys=True).encode()).hexdigest()[:16]
