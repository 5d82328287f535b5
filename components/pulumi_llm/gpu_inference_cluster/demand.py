"""The queues by which the gateway wakes a model that has no servers."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import pulumi
from pulumi_aws import sqs

from pulumi_llm.base.component import Component
from pulumi_llm.base.iam import allow
from pulumi_llm.gpu_inference_cluster.workloads.versions import ServedModel

# Nobody reads the messages: KEDA counts them, and so long they say that there is demand.
_DEMAND_SECONDS: Final = 300


def create_queues(component: Component, models: Sequence[ServedModel]) -> Mapping[str, sqs.Queue]:
    """Make a queue for each model, by the model's name."""
    return {
        model.name: sqs.Queue(
            f"{component.child_name('demand')}-{model.name}",
            message_retention_seconds=_DEMAND_SECONDS,
            sqs_managed_sse_enabled=True,
            tags=component.tags,
            opts=component.child("demand"),
        )
        for model in models
    }


def read_depth(queues: Mapping[str, sqs.Queue]) -> dict[str, Any]:
    """What KEDA's operator does with the queues. https://keda.sh/docs/latest/scalers/aws-sqs/"""
    arns: list[pulumi.Output[str]] = [queue.arn for queue in queues.values()]
    return allow("CountDemand", ["sqs:GetQueueAttributes"], arns)
