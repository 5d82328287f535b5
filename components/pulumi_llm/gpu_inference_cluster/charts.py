"""What runs in the cluster beside the models: pinned charts, each with the AWS permissions that it uses."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import pulumi
import pulumi_kubernetes as kubernetes
from pulumi_kubernetes.helm import v3 as helm

from pulumi_llm.base.component import Component
from pulumi_llm.base.iam import allow
from pulumi_llm.base.location import Location
from pulumi_llm.gpu_inference_cluster.args import GpuInferenceClusterSettings
from pulumi_llm.gpu_inference_cluster.cluster import Cluster
from pulumi_llm.gpu_inference_cluster.identities import ServiceAccount, associate, create_identity
from pulumi_llm.gpu_inference_cluster.kubernetes_versions import VERSIONS
from pulumi_llm.gpu_inference_cluster.load_balancer import CLUSTER_TAG
from pulumi_llm.gpu_inference_cluster.node_pools import ON_DEMAND, SPOT, groups
from pulumi_llm.gpu_inference_cluster.workloads.place import MODEL_LABEL, NAMESPACE, VERSION_LABEL

PROMETHEUS_NAMESPACE: Final = "monitoring"
PROMETHEUS_URL: Final = f"http://prometheus-server.{PROMETHEUS_NAMESPACE}.svc.cluster.local"


class Chart(NamedTuple):
    """A chart at the version that its values below were written for."""

    repository: str
    name: str
    version: str
    namespace: str


# The names are the releases', and those of the ServiceAccounts that AWS roles are for.
KEDA: Final = Chart("https://kedacore.github.io/charts", "keda", "2.20.2", "keda")
LOAD_BALANCER_CONTROLLER: Final = Chart(
    "https://aws.github.io/eks-charts", "aws-load-balancer-controller", "3.5.0", "kube-system"
)
AUTOSCALER: Final = Chart("https://kubernetes.github.io/autoscaler", "cluster-autoscaler", "9.59.0", "kube-system")
PROMETHEUS: Final = Chart("https://prometheus-community.github.io/helm-charts", "prometheus", "29.27.0", PROMETHEUS_NAMESPACE)
DEVICE_PLUGIN: Final = Chart("https://nvidia.github.io/k8s-device-plugin", "nvidia-device-plugin", "0.20.0", "kube-system")

_KEDA_OPERATOR: Final = ServiceAccount(KEDA.namespace, "keda-operator")
_CONTROLLER: Final = ServiceAccount(LOAD_BALANCER_CONTROLLER.namespace, LOAD_BALANCER_CONTROLLER.name)
_AUTOSCALER: Final = ServiceAccount(AUTOSCALER.namespace, AUTOSCALER.name)

# The most that a chart's pods may take to become ready, and to go.
_SECONDS: Final = 600


class Cloud(NamedTuple):
    """What the charts' permissions are for."""

    location: Location
    account: pulumi.Input[str]
    cluster: Cluster
    vpc_id: pulumi.Input[str]
    count_demand: Mapping[str, Any]


def install_charts(
    component: Component,
    settings: GpuInferenceClusterSettings,
    provider: kubernetes.Provider,
    cloud: Cloud,
    nodes: Sequence[pulumi.Resource],
    namespace: Sequence[pulumi.Resource],
) -> list[pulumi.Resource]:
    """Install the charts, on nodes and in a namespace that are there. What they define is there for the models' objects."""
    return [
        _keda(component, provider, cloud, [*nodes, *namespace]),
        _load_balancer_controller(component, provider, cloud, nodes),
        _autoscaler(component, settings, provider, cloud, nodes),
        _release(component, "prometheus", PROMETHEUS, prometheus_values(), provider, nodes),
        # The labels by which its DaemonSet finds its nodes are the node groups'; the AMI has the driver and the runtime.
        _release(component, "device-plugin", DEVICE_PLUGIN, {}, provider, nodes),
    ]


def _keda(
    component: Component, provider: kubernetes.Provider, cloud: Cloud, after: Sequence[pulumi.Resource]
) -> pulumi.Resource:
    """By its chart's defaults KEDA's operator reads every secret and every object of the cluster, the kubelets' API among
    them, and makes jobs in every namespace. Here it may do that in the models' namespace and its own, and reads no secrets.

    https://github.com/kedacore/charts/blob/main/keda/templates/manager/clusterrolebindings.yaml
    """
    identity = create_identity(
        component, "keda", cloud.cluster.name, _KEDA_OPERATOR, "KEDA counts the demand for models", [dict(cloud.count_demand)]
    )
    association = associate(component, "keda", cloud.cluster.name, _KEDA_OPERATOR, identity)
    values = {
        "clusterName": cloud.cluster.name,
        "watchNamespace": NAMESPACE,
        # Deployments are scaled without it.
        "rbac": {"enabledCustomScaledRefKinds": False},
        "permissions": {part: {"restrict": {"secret": True}} for part in ("operator", "metricServer")},
    }
    return _release(component, "keda", KEDA, values, provider, [*after, association])


def _load_balancer_controller(
    component: Component, provider: kubernetes.Provider, cloud: Cloud, nodes: Sequence[pulumi.Resource]
) -> pulumi.Resource:
    """It registers pods in our target groups, and may do no more: it makes no balancer, and changes no security group.

    A target group is known by its tag, not by its ARN: while a version goes, its pods are taken out of a group that is no
    longer among the program's, or the controller never lets go of the version's TargetGroupBinding.
    https://kubernetes-sigs.github.io/aws-load-balancer-controller/latest/guide/targetgroupbinding/targetgroupbinding/
    """
    register = ["elasticloadbalancing:RegisterTargets", "elasticloadbalancing:DeregisterTargets"]
    find = [
        "ec2:DescribeAvailabilityZones",
        "ec2:DescribeInstances",
        "ec2:DescribeNetworkInterfaces",
        "ec2:DescribeSecurityGroups",
        "ec2:DescribeSubnets",
        "ec2:DescribeVpcs",
        "elasticloadbalancing:DescribeTargetGroups",
        "elasticloadbalancing:DescribeTargetHealth",
    ]
    partition, region, name = cloud.location.partition, cloud.location.region, cloud.cluster.name
    target_groups = pulumi.Output.concat(f"arn:{partition}:elasticloadbalancing:{region}:", cloud.account, ":targetgroup/*/*")
    owned = {"StringEquals": {f"aws:ResourceTag/{CLUSTER_TAG}": name}}
    statements = [allow("RegisterPods", register, target_groups, owned), allow("FindTargets", find, "*")]
    identity = create_identity(component, "controller", name, _CONTROLLER, "Pods are registered at the balancer", statements)
    association = associate(component, "controller", cloud.cluster.name, _CONTROLLER, identity)
    values = {
        "clusterName": cloud.cluster.name,
        # Pods do not reach the metadata from which it would read these.
        "region": cloud.location.region,
        "vpcId": cloud.vpc_id,
        "serviceAccount": {"name": _CONTROLLER.name},
        "createIngressClassResource": False,
        "ingressClassParams": {"create": False},
        "enableServiceMutatorWebhook": False,
        # No Gateway is used here. With them, the controller does not start where its definitions are another version's.
        "controllerConfig": {"featureGates": {"ALBGatewayAPI": False, "NLBGatewayAPI": False}},
        "enableShield": False,
        "enableWaf": False,
        "enableWafv2": False,
        # Else each upgrade makes another certificate of its webhooks, which its pods learn of late.
        "keepTLSSecret": True,
    }
    return _release(component, "controller", LOAD_BALANCER_CONTROLLER, values, provider, [*nodes, association])


def _autoscaler(
    component: Component,
    settings: GpuInferenceClusterSettings,
    provider: kubernetes.Provider,
    cloud: Cloud,
    nodes: Sequence[pulumi.Resource],
) -> pulumi.Resource:
    """It adds and takes nodes within the groups' bounds: on demand first, spot on top.

    https://github.com/kubernetes/autoscaler/blob/master/cluster-autoscaler/cloudprovider/aws/README.md
    """
    partition, region, name = cloud.location.partition, cloud.location.region, cloud.cluster.name
    arn = f"arn:{partition}:{{}}:{region}:"
    scaling_groups = pulumi.Output.concat(
        arn.format("autoscaling"), cloud.account, ":autoScalingGroup:*:autoScalingGroupName/eks-*"
    )
    node_groups = pulumi.Output.concat(arn.format("eks"), cloud.account, ":nodegroup/", name, "/*/*")
    # EKS gives the groups that tag.
    owned = name.apply(lambda name: {"StringEquals": {f"aws:ResourceTag/k8s.io/cluster-autoscaler/{name}": "owned"}})
    find = [
        "autoscaling:DescribeAutoScalingGroups",
        "autoscaling:DescribeAutoScalingInstances",
        "autoscaling:DescribeLaunchConfigurations",
        "autoscaling:DescribeScalingActivities",
        "ec2:DescribeImages",
        "ec2:DescribeInstanceTypes",
        "ec2:DescribeLaunchTemplateVersions",
        "ec2:GetInstanceTypesFromInstanceRequirements",
    ]
    scale = ["autoscaling:SetDesiredCapacity", "autoscaling:TerminateInstanceInAutoScalingGroup"]
    statements: list[dict[str, Any]] = [
        allow("FindGroups", find, "*"),
        allow("ReadNodeGroups", ["eks:DescribeNodegroup"], node_groups),
        {**allow("Scale", scale, scaling_groups), "Condition": owned},
    ]
    versions = [version for model in settings.served_models() for version in model.versions]
    identity = create_identity(component, "autoscaler", name, _AUTOSCALER, "Nodes are added and taken", statements)
    association = associate(component, "autoscaler", name, _AUTOSCALER, identity)
    values = {
        "fullnameOverride": AUTOSCALER.name,
        "cloudProvider": "aws",
        "awsRegion": region,
        "autoDiscovery": {"clusterName": name},
        "image": {"tag": VERSIONS[settings.kubernetes_version].autoscaler},
        "rbac": {"serviceAccount": {"name": _AUTOSCALER.name}},
        "expanderPriorities": _priorities(settings),
        "extraArgs": {
            "expander": "priority",
            # A model's server may be moved: its disruption budget says when.
            "skip-nodes-with-local-storage": False,
            "skip-nodes-with-system-pods": False,
            "scale-down-unneeded-time": "10m",
            # A GPU node takes a while until its device plugin has told of the GPUs.
            "max-node-provision-time": "20m",
            # Of a node's pods; what is longer is cut off. The autoscaler's own default is 600.
            "max-graceful-termination-sec": max(600, *(version.grace_seconds for version in versions)),
        },
    }
    return _release(component, "autoscaler", AUTOSCALER, values, provider, [*nodes, association])


def _priorities(settings: GpuInferenceClusterSettings) -> dict[str, list[str]]:
    """The autoscaler's order of the groups: a higher number first. A group's name begins with its node group's.

    https://github.com/kubernetes/autoscaler/blob/master/cluster-autoscaler/expander/priority/readme.md
    """
    order = {ON_DEMAND: 20, SPOT: 10}
    found: dict[int, list[str]] = {1: [".*"]}
    for group in groups(settings):
        found.setdefault(order[group.capacity], []).append(f"^eks-.*-node-group-{group.suffix}-.*")
    return {str(number): patterns for number, patterns in sorted(found.items(), reverse=True)}


def prometheus_values() -> dict[str, Any]:
    """One Prometheus, for KEDA: the model servers' metrics of some hours, on no disk of its own."""
    own_jobs = ("kubernetes-api-servers", "kubernetes-nodes", "kubernetes-nodes-cadvisor", "kubernetes-service-endpoints")
    own_jobs += ("kubernetes-service-endpoints-slow", "prometheus-pushgateway", "kubernetes-services", "kubernetes-pods")
    own_jobs += ("kubernetes-pods-slow",)
    parts = ("alertmanager", "kube-state-metrics", "prometheus-node-exporter", "prometheus-pushgateway")
    return {
        **{part: {"enabled": False} for part in parts},
        # By their names; a new one is enabled.
        "scrapeConfigs": {**{job: {"enabled": False} for job in own_jobs}, "model-servers": _MODEL_SERVERS},
        "server": {
            "fullnameOverride": "prometheus-server",
            "persistentVolume": {"enabled": False},
            "retention": "6h",
            "global": {"scrape_interval": "10s", "scrape_timeout": "5s", "evaluation_interval": "30s"},
            "resources": {"requests": {"cpu": "100m", "memory": "512Mi"}, "limits": {"memory": "1Gi"}},
        },
    }


def _label(source: str, target: str) -> dict[str, Any]:
    return {"source_labels": [source], "target_label": target}


def _keep(source: str, value: str) -> dict[str, Any]:
    return {"source_labels": [source], "action": "keep", "regex": value}


_POD_LABEL: Final = "__meta_kubernetes_pod_label_app_kubernetes_io_"
# The pods of vLLM, whose certificates are their own. https://docs.vllm.ai/en/latest/usage/metrics/
_MODEL_SERVERS: Final = {
    "scheme": "https",
    "metrics_path": "/metrics",
    "tls_config": {"insecure_skip_verify": True},
    # Pods elsewhere, and a server that has gone wrong, neither start servers nor end Prometheus.
    "kubernetes_sd_configs": [{"role": "pod", "namespaces": {"names": [NAMESPACE]}}],
    "sample_limit": 20_000,
    "body_size_limit": "8MB",
    "label_limit": 64,
    "relabel_configs": [
        _keep(f"{_POD_LABEL}part_of", "pulumi-llm"),
        _keep(f"{_POD_LABEL}component", "model-server"),
        _keep("__meta_kubernetes_pod_container_port_name", "https"),
        _label(f"{_POD_LABEL}name", MODEL_LABEL),
        _label(f"{_POD_LABEL}version", VERSION_LABEL),
        _label("__meta_kubernetes_pod_name", "pod"),
    ],
}


def _release(
    component: Component,
    key: str,
    chart: Chart,
    values: Mapping[str, Any],
    provider: kubernetes.Provider,
    depends_on: Sequence[pulumi.Resource],
) -> helm.Release:
    return helm.Release(
        component.child_name(f"{key}-chart"),
        name=chart.name,
        namespace=chart.namespace,
        create_namespace=chart.namespace != "kube-system",
        chart=chart.name,
        version=chart.version,
        repository_opts={"repo": chart.repository},
        values=values,
        timeout=_SECONDS,
        opts=component.child(f"{key}-chart", depends_on=list(depends_on), provider=provider),
    )
