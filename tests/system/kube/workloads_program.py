"""A program whose component makes served models in a cluster that is there, or renders them into a folder."""

from dataclasses import replace
from types import MappingProxyType
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

from pulumi_llm.base.component import Component
from pulumi_llm.gpu_inference_cluster.workloads.resources import create_workloads, workload_children
from pulumi_llm.gpu_inference_cluster.workloads.versions import served_models
from support.served_models import INSTANCES, PLACE, settings_of


class Cluster(Component):
    """Served models, and what comes after they are ready."""

    CHILDREN = MappingProxyType(workload_children())

    def __init__(self, models: dict[str, Any], namespace: str, folder: str | None, hard_off: bool) -> None:
        super().__init__("gpu", None, {}, {})
        self.queue = pulumi.Output.from_input("https://sqs.eu-west-1.amazonaws.com/123456789012/demand")
        provider = kubernetes.Provider(
            "cluster", kubeconfig="{}", delete_unreachable=True, render_yaml_to_directory=folder, enable_server_side_apply=True
        )
        queues = dict.fromkeys(models, self.queue)
        given = served_models({name: settings_of(**model) for name, model in models.items()}, INSTANCES)
        create_workloads(
            self, given, replace(PLACE, namespace=namespace, queue_urls=queues, hard_off=hard_off), provider, [provider]
        )
        self.register_outputs({})


config = pulumi.Config()
Cluster(
    config.require_object("models"),
    config.get("namespace") or PLACE.namespace,
    config.get("manifests_folder"),
    config.get_bool("hard_off") or False,
)
