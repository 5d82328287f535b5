"""Served models that tests share, and the place of their objects."""

from collections.abc import Sequence
from typing import Any

from pulumi_llm.base.settings import read
from pulumi_llm.gpu_inference_cluster.workloads.place import Place
from pulumi_llm.gpu_inference_cluster.workloads.served_model import ServedModelSettings

IMAGE = f"docker.io/vllm/vllm-openai:v0.33.0@sha256:{'a' * 64}"
REVISION = "a" * 40
QWEN = {"model": "deepseek-r1-distill-qwen-7b", "pool": "gpu", "image": IMAGE, "revision": REVISION}
AWQ = {"weights": "awq", "repository": "me/awq"}
CLUSTER_NETWORK = {
    "vpc_id": "vpc-1",
    "private_subnet_ids": ["subnet-1", "subnet-2"],
    "balancer_subnet_ids": ["subnet-3", "subnet-4"],
    "balancer_subnet_cidrs": ["172.16.224.0/22", "172.16.228.0/22"],
    "balancer_security_group_id": "sg-balancer",
    "service_security_group_id": "sg-service",
}
INSTANCES = {"gpu": "g5.2xlarge", "large": "g5.12xlarge"}


class _Arns(dict[str, str]):
    """A target group for each version."""

    def __missing__(self, name: str) -> str:
        return f"arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/{name[:32]}/0123456789abcdef"


class _Queues(dict[str, str]):
    """A queue for each model."""

    def __missing__(self, name: str) -> str:
        return f"https://sqs.eu-west-1.amazonaws.com/123456789012/{name}"


PLACE = Place(
    namespace="models",
    region="eu-west-1",
    target_group_arns=_Arns(),
    balancer_cidrs=("172.16.0.0/19", "172.16.32.0/19"),
    s3_cidrs=("203.0.113.0/25",),
    queue_urls=_Queues(),
    prometheus_url="http://prometheus-server.monitoring.svc",
    prometheus_namespace="monitoring",
)


def settings_of(**given: Any) -> ServedModelSettings:
    """The settings of a model, without problems."""
    settings, problems = read(ServedModelSettings, given)
    assert not problems, problems
    return settings


def by_kind(manifests: Sequence[dict[str, Any]], kind: str) -> dict[str, Any]:
    """The one object of a kind."""
    (found,) = [each for each in manifests if each["kind"] == kind]
    return found
