"""A program whose component makes served models in a cluster that is there, or renders them into a folder."""

from dataclasses import replace
from types import MappingProxyType
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

from pulumi_llm.base.component import Component
from pulumi_llm.gpu_inference_cluster.workloads.resources import create_namespace, create_workloads, workload_children
from pulumi_llm.gpu_inference_cluster.workloads.versions import served_models
from support.served_models import INSTANCES, PLACE, settings_of


class Cluster(Component):
    """Served models, and what comes after they are ready."""

    CHILDREN = MappingProxyType(workload_children())

    def __init__(self, name: str, args: pulumi.Config) -> None:
        super().__init__(name, None, {}, {})
        queue = pulumi.Output.from_input("https://sqs.eu-west-1.amazonaws.com/123456789012/demand")
        folder = args.get("manifests_folder")
        provider = (
            kubernetes.Provider("cluster", kubeconfig="{}", delete_unreachable=True)
            if folder is None
            else kubernetes.Provider("manifests", render_yaml_to_directory=folder)
        )
        models: dict[str, Any] = args.require_object("models")
        given = served_models({name: settings_of(**model) for name, model in models.items()}, INSTANCES)
        place = replace(
            PLACE,
            namespace=args.get("namespace") or PLACE.namespace,
            queue_urls=dict.fromkeys(models, queue),
            hard_off=args.get_bool("hard_off") or False,
        )
        namespace = create_namespace(self, place, provider)
        create_workloads(self, given, place, provider, namespace)
        self.register_outputs({})


Cluster("gpu", pulumi.Config())
