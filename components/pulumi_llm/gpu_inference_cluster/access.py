"""How Pulumi reaches the cluster: a Kubernetes provider with short-lived tokens of the AWS CLI."""

import pulumi
import pulumi_kubernetes as kubernetes

from pulumi_llm.base.component import Component
from pulumi_llm.gpu_inference_cluster.cluster import Cluster


def create_provider(component: Component, cluster: Cluster, region: str) -> kubernetes.Provider:
    """Make the provider. Its tokens are asked for when they are needed, so that none is in the state."""
    return kubernetes.Provider(
        component.child_name("kubernetes"),
        kubeconfig=kubeconfig(cluster, region),
        # Another address or certificate of the same cluster replaces nothing in it.
        cluster_identifier=cluster.cluster.arn,
        # Without delete_unreachable: a cluster that is not reached, as when a login has ended, would be taken for one that is
        # gone, and all that is in it would leave the state.
        suppress_helm_hook_warnings=True,
        opts=component.child("kubernetes", depends_on=list(cluster.access)),
    )


def create_writer(component: Component, folder: str) -> kubernetes.Provider:
    """Make the provider that writes objects into a folder instead."""
    return kubernetes.Provider(
        component.child_name("manifests"), render_yaml_to_directory=folder, opts=component.child("manifests")
    )


def kubeconfig(cluster: Cluster, region: str) -> pulumi.Output[str]:
    """A kubeconfig for whoever is among the cluster's admins and has the AWS CLI.

    https://docs.aws.amazon.com/eks/latest/userguide/create-kubeconfig.html
    """
    authority = cluster.cluster.certificate_authority.apply(lambda authority: authority.data or "")
    token = {
        "apiVersion": "client.authentication.k8s.io/v1beta1",
        "command": "aws",
        "args": ["eks", "get-token", "--cluster-name", cluster.name, "--region", region, "--output", "json"],
        "interactiveMode": "Never",
    }
    address = {"server": cluster.cluster.endpoint, "certificate-authority-data": authority}
    return pulumi.Output.json_dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "eks", "cluster": address}],
            "users": [{"name": "eks", "user": {"exec": token}}],
            "contexts": [{"name": "eks", "context": {"cluster": "eks", "user": "eks"}}],
            "current-context": "eks",
        }
    )
