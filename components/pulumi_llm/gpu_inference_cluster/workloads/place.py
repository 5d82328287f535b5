"""Where the objects of served models go: what the cluster around them gives."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import pulumi

# The namespace of the models, which alone KEDA and Prometheus look into.
NAMESPACE: Final = "models"

# The label of a node's pool, and the taint that keeps other pods off its GPUs.
POOL_LABEL: Final = "pulumi-llm/pool"
GPU_RESOURCE: Final = "nvidia.com/gpu"
GPU_TAINT: Final = "nvidia.com/gpu"

HTTPS_PORT: Final = 8000
GRPC_PORT: Final = 50_051
HEALTH_PATH: Final = "/health"

Protocol = Literal["HTTP", "HTTPS"]

# A function waits for at most 900 seconds, and an answer that is not streamed is silent until its end: so long, and longer, the
# balancer keeps a connection.
IDLE_SECONDS: Final = 920

STICKINESS_COOKIE: Final = "LlmServiceStickiness"
STICKINESS_SECONDS: Final = 900

# The labels that a pod's metrics get in Prometheus, by which a version's are found; `prometheus.py` sets them.
MODEL_LABEL: Final = "served_model"
VERSION_LABEL: Final = "served_version"


@dataclass(frozen=True)
class Schedule:
    """When the least number of servers holds: from `up` to `down`, in hours and minutes of the time zone."""

    up: str
    down: str
    time_zone: str = "UTC"


@dataclass(frozen=True)
class Place:
    """A namespace of a cluster, and what the servers of models have to do with beside it.

    Attributes:
        target_group_arns: The target group of each version, by the version's name.
        balancer_cidrs: The addresses of the subnets in which the balancer is.
        s3_cidrs: The addresses of S3 in the Region, from which servers get their weights.
        queue_urls: The queue of each model in which the gateway says that there is demand, by the model's name.
        prometheus_url: Where KEDA asks for metrics.
        prometheus_namespace: The namespace of Prometheus, whose pods read metrics.
        schedule: Without one, the least number of servers holds always.
        hard_off: There are no servers at all, whatever the demand.
    """

    namespace: str
    region: str
    target_group_arns: Mapping[str, pulumi.Input[str]]
    balancer_cidrs: pulumi.Input[Sequence[str]]
    s3_cidrs: pulumi.Input[Sequence[str]]
    queue_urls: Mapping[str, pulumi.Input[str]]
    prometheus_url: str
    prometheus_namespace: str
    schedule: Schedule | None = None
    hard_off: bool = False
