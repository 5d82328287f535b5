"""How many servers a version has: one ScaledObject of KEDA, which alone decides it.

https://keda.sh/docs/latest/reference/scaledobject-spec/
"""

from typing import Any, Final

from pulumi_llm.gpu_inference_cluster.workloads.deployment import AFTER_OTHERS, READY_SECONDS, START_SECONDS, Manifest, metadata
from pulumi_llm.gpu_inference_cluster.workloads.place import MODEL_LABEL, VERSION_LABEL, Place, Schedule
from pulumi_llm.gpu_inference_cluster.workloads.versions import Version

AUTHENTICATION: Final = "demand"

# Requests in the servers. https://docs.vllm.ai/en/latest/usage/metrics/
_METRICS: Final = ("vllm:num_requests_waiting", "vllm:num_requests_running")
# While there are none, KEDA looks so often whether there is demand.
_POLLING_SECONDS: Final = 15
# By what only keeps a first server: so many messages or requests there never are. Messages tell that there is demand, not how
# much.
_NO_FURTHER_SERVER: Final = "1000000"
# Up at once, down by one server in five minutes, and after ten that were calm: a server is soon gone and long in coming.
_BEHAVIOR: Final = {
    "scaleUp": {"stabilizationWindowSeconds": 0, "policies": [{"type": "Percent", "value": 100, "periodSeconds": 60}]},
    "scaleDown": {"stabilizationWindowSeconds": 600, "policies": [{"type": "Pods", "value": 1, "periodSeconds": 300}]},
}


def scaled_object(version: Version, place: Place) -> Manifest:
    """Scale by the requests in the servers; from none by the gateway's queue; and by the schedule as a floor.

    A trigger that is active keeps KEDA from scaling to none. A server that loads has no metrics, so the time until then
    covers the longest load.
    """
    scheduled = place.schedule is not None and version.replicas.min > 0
    triggers = [*_by_requests(version, place), *_by_the_other_version(version, place), _by_demand(version, place)]
    if place.schedule is not None and scheduled:
        triggers.append(_by_schedule(version.replicas.min, place.schedule))
    off = {"autoscaling.keda.sh/paused-replicas": "0"} if place.hard_off else {}
    return {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": metadata(version, place, annotations={**AFTER_OTHERS, **off}),
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": version.name},
            "pollingInterval": _POLLING_SECONDS,
            "cooldownPeriod": START_SECONDS,
            # Longer than Pulumi waits for a first server: a version without servers would count as ready.
            "initialCooldownPeriod": READY_SECONDS + 300,
            "minReplicaCount": 0 if scheduled else version.replicas.min,
            "maxReplicaCount": version.replicas.max,
            "advanced": {"horizontalPodAutoscalerConfig": {"behavior": _BEHAVIOR}},
            "triggers": triggers,
        },
    }


def trigger_authentication(place: Place) -> Manifest:
    """KEDA reads the queues as itself: its operator's role is that of its own Pod Identity.

    https://keda.sh/docs/latest/authentication-providers/aws/
    """
    return {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "TriggerAuthentication",
        "metadata": {
            "name": AUTHENTICATION,
            "namespace": place.namespace,
            "labels": {"app.kubernetes.io/part-of": "pulumi-llm"},
        },
        "spec": {"podIdentity": {"provider": "aws"}},
    }


def _by_requests(version: Version, place: Place) -> list[dict[str, Any]]:
    """A gRPC server of the user's own has no metrics that are known here."""
    if version.grpc:
        return []
    labels = f'{MODEL_LABEL}="{version.model}",{VERSION_LABEL}="{version.hash}"'
    return [_prometheus("requests", labels, str(version.requests_per_replica), place)]


def _by_the_other_version(version: Version, place: Place) -> list[dict[str, Any]]:
    """Versions that share the traffic sleep and wake together: the balancer forwards to one by its weight, asleep or not."""
    if version.grpc or version.weight in (0, 100):
        return []
    return [_prometheus("shared", f'{MODEL_LABEL}="{version.model}"', _NO_FURTHER_SERVER, place)]


def _prometheus(name: str, labels: str, threshold: str, place: Place) -> dict[str, Any]:
    query = " + ".join(f"sum({metric}{{{labels}}})" for metric in _METRICS)
    metadata = {"serverAddress": place.prometheus_url, "query": query, "threshold": threshold}
    return {"type": "prometheus", "name": name, "metricType": "AverageValue", "metadata": metadata}


def _by_demand(version: Version, place: Place) -> dict[str, Any]:
    return {
        "type": "aws-sqs-queue",
        "name": "demand",
        "metricType": "AverageValue",
        "metadata": {
            "queueURL": place.queue_urls[version.model],
            "queueLength": _NO_FURTHER_SERVER,
            "awsRegion": place.region,
        },
        "authenticationRef": {"name": AUTHENTICATION},
    }


def _by_schedule(floor: int, schedule: Schedule) -> dict[str, Any]:
    """Cron only raises the floor: https://github.com/kedacore/keda/issues/6564"""

    def daily(time: str) -> str:
        hours, minutes = time.split(":")
        return f"{int(minutes)} {int(hours)} * * *"

    return {
        "type": "cron",
        "name": "schedule",
        "metadata": {
            "timezone": schedule.time_zone,
            "start": daily(schedule.up),
            "end": daily(schedule.down),
            "desiredReplicas": str(floor),
        },
    }
