"""GpuInferenceCluster: an EKS cluster on which vLLM serves open models, behind an internal balancer."""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, cast

import pulumi
import pulumi_kubernetes as kubernetes
from pulumi_aws import acm, autoscaling, cloudwatch, ec2, eks, get_caller_identity_output, iam, kms, lb, route53, sqs, ssm, vpc
from pulumi_kubernetes.helm import v3 as helm

from pulumi_llm.base.component import Component
from pulumi_llm.base.location import Location
from pulumi_llm.base.parameters import create_parameters
from pulumi_llm.base.settings import read_arguments
from pulumi_llm.gpu_inference_cluster.access import create_provider, create_writer, kubeconfig
from pulumi_llm.gpu_inference_cluster.args import GpuInferenceClusterSettings
from pulumi_llm.gpu_inference_cluster.args_types import GpuInferenceClusterArgs
from pulumi_llm.gpu_inference_cluster.charts import PROMETHEUS_NAMESPACE, PROMETHEUS_URL, Cloud, install_charts
from pulumi_llm.gpu_inference_cluster.cluster import ADDONS, addons_after_nodes, addons_before_nodes, create_cluster
from pulumi_llm.gpu_inference_cluster.demand import create_queues, read_depth
from pulumi_llm.gpu_inference_cluster.identities import (
    create_cni_identity,
    read_weights,
    weight_policies,
    with_weights_in_s3,
)
from pulumi_llm.gpu_inference_cluster.kubernetes_versions import support_notice
from pulumi_llm.gpu_inference_cluster.load_balancer import create_balancer, forward
from pulumi_llm.gpu_inference_cluster.node_pools import NODE_POLICIES, create_nodes, groups, template_tags
from pulumi_llm.gpu_inference_cluster.private_link import create_private_link
from pulumi_llm.gpu_inference_cluster.workloads.place import NAMESPACE, STICKINESS_COOKIE, Place
from pulumi_llm.gpu_inference_cluster.workloads.resources import (
    create_namespace,
    create_workloads,
    workload_children,
    workload_names,
)
from pulumi_llm.gpu_inference_cluster.workloads.versions import ServedModel

# The outputs that other stacks need.
PARAMETERS = ("cluster_name", "cluster_arn", "endpoint", "balancer_arn", "listener_arn")


class GpuInferenceCluster(Component):
    """Open models on GPUs of your own: an EKS cluster with pools of GPU nodes, vLLM, scaling to none and back, and an internal
    balancer over HTTPS in front.

    Raises `pulumi.InputPropertiesError` that lists every argument that is wrong, a model that does not fit its pool among them.
    """

    CHILDREN = MappingProxyType(
        {
            "cluster-role": iam.Role,
            "cluster-policy": iam.RolePolicy,
            "cluster-key-policy": iam.RolePolicy,
            "cluster-logs": cloudwatch.LogGroup,
            "secrets-key": kms.Key,
            "cluster": eks.Cluster,
            "admin": eks.AccessEntry,
            "admin-policy": eks.AccessPolicyAssociation,
            "cni-role": iam.Role,
            "cni-policy": iam.RolePolicy,
            "addon": eks.Addon,
            "node-role": iam.Role,
            "node-policy": iam.RolePolicyAttachment,
            "session-policy": iam.RolePolicy,
            "system-launch-template": ec2.LaunchTemplate,
            "system-node-group": eks.NodeGroup,
            "launch-template": ec2.LaunchTemplate,
            "node-group": eks.NodeGroup,
            "scaling-tag": autoscaling.Tag,
            "certificate": acm.Certificate,
            "certificate-record": route53.Record,
            "certificate-validation": acm.CertificateValidation,
            "balancer": lb.LoadBalancer,
            "listener": lb.Listener,
            "record": route53.Record,
            "target-group": lb.TargetGroup,
            "check-rule": lb.ListenerRule,
            "rule": lb.ListenerRule,
            "balancer-to-grpc": vpc.SecurityGroupEgressRule,
            "grpc-from-balancer": vpc.SecurityGroupIngressRule,
            "nlb": lb.LoadBalancer,
            "nlb-security-group": ec2.SecurityGroup,
            "nlb-to-balancer": vpc.SecurityGroupEgressRule,
            "balancer-from-nlb": vpc.SecurityGroupIngressRule,
            "nlb-target-group": lb.TargetGroup,
            "nlb-target": lb.TargetGroupAttachment,
            "nlb-listener": lb.Listener,
            "endpoint-service": ec2.VpcEndpointService,
            "endpoint-service-record": route53.Record,
            "endpoint-service-verification": vpc.EndpointServicePrivateDnsVerification,
            "demand": sqs.Queue,
            "kubernetes": kubernetes.Provider,
            "manifests": kubernetes.Provider,
            **{
                f"{key}-{part}": kind
                for key in ("keda", "controller", "autoscaler", "model")
                for part, kind in (("role", iam.Role), ("policy", iam.RolePolicy), ("identity", eks.PodIdentityAssociation))
            },
            **{f"{key}-chart": helm.Release for key in ("keda", "controller", "autoscaler", "prometheus", "device-plugin")},
            **workload_children(),
            "parameter": ssm.Parameter,
        }
    )

    cluster_name: pulumi.Output[str]
    """The cluster. `aws eks update-kubeconfig --name …` lets its admins use kubectl."""
    cluster_arn: pulumi.Output[str]
    """Its ARN."""
    cluster_endpoint: pulumi.Output[str]
    """The address of its API."""
    cluster_security_group_id: pulumi.Output[str]
    """The security group of its control plane and nodes."""
    kubeconfig: pulumi.Output[str]
    """A kubeconfig without a secret: whoever uses it needs the AWS CLI, and to be one of the admins."""
    node_role_name: pulumi.Output[str]
    """The role of all nodes."""
    node_role_arn: pulumi.Output[str]
    """Its ARN."""
    log_group_name: pulumi.Output[str]
    """The log group of the control plane."""
    log_group_arn: pulumi.Output[str]
    """Its ARN."""
    balancer_arn: pulumi.Output[str]
    """The internal balancer in front of all models."""
    balancer_dns_name: pulumi.Output[str]
    """Its own name, to which the domain leads."""
    balancer_zone_id: pulumi.Output[str]
    """The zone of that name, for an alias record of your own."""
    listener_arn: pulumi.Output[str]
    """Its listener, to which rules of your own can be added."""
    endpoint_service_id: pulumi.Output[str]
    """The endpoint service of callers in other VPCs, for whoever accepts their connections; empty without `private_link`."""
    endpoint_service_name: pulumi.Output[str]
    """Its name, for the VPC endpoints of these callers; empty without `private_link`."""
    endpoint: pulumi.Output[str]
    """Where the models are: `https://DOMAIN`. The base URL of a model is `ENDPOINT/NAME/v1`."""
    base_urls: pulumi.Output[Mapping[str, str]]
    """The base URL of each model, as clients of OpenAI's API want it."""
    demand_queue_urls: pulumi.Output[Mapping[str, str]]
    """By model, the queue into which a message is sent to wake it."""
    demand_queue_arns: pulumi.Output[Mapping[str, str]]
    """Their ARNs, for the permission to send."""

    def __init__(self, name: str, args: GpuInferenceClusterArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        settings, location = read_arguments(
            type(self).__name__, name, GpuInferenceClusterSettings, args, self.CHILDREN, opts, _made
        )
        super().__init__(name, opts, settings.tags, settings.customize)
        if notice := support_notice(settings.kubernetes_version, datetime.now(UTC).date()):
            pulumi.log.warn(notice, self)
        for notice in settings.pool_notices():
            pulumi.log.warn(notice, self)
        models = settings.served_models()

        account = get_caller_identity_output(opts=self.invoke_options()).account_id
        cluster = create_cluster(self, settings, location, account)
        cni = create_cni_identity(self, location, account, settings.network.vpc_id, cluster.name)
        before = addons_before_nodes(self, settings, cluster, cni)
        role, system, pools = create_nodes(self, settings, location, account, cluster, before)
        addons = addons_after_nodes(self, settings, cluster, [system])
        balancer = create_balancer(self, settings, models, cluster.name)
        if settings.private_link is not None:
            link = create_private_link(self, settings, settings.private_link, balancer)
            self.endpoint_service_id, self.endpoint_service_name = link
        else:
            self.endpoint_service_id = self.endpoint_service_name = pulumi.Output.from_input("")
        queues = create_queues(self, models)

        provider = create_provider(self, cluster, location.region)
        cloud = Cloud(location, account, cluster, settings.network.vpc_id, read_depth(queues))
        place = Place(
            namespace=NAMESPACE,
            region=location.region,
            target_group_arns={name: group.arn for name, group in balancer.target_groups.items()},
            balancer_cidrs=cast("pulumi.Input[Sequence[str]]", settings.network.balancer_subnet_cidrs),
            queue_urls={name: queue.url for name, queue in queues.items()},
            prometheus_url=PROMETHEUS_URL,
            prometheus_namespace=PROMETHEUS_NAMESPACE,
            schedule=settings.floor,
            s3_cidrs=self._s3_cidrs(models, location),
            hard_off=settings.schedule.hard_off,
        )
        namespace = create_namespace(self, place, provider)
        charts = install_charts(self, settings, provider, cloud, [system, *addons], namespace)
        weights = read_weights(self, models, place.namespace, location, cluster.name)
        writer = None if settings.manifests_folder is None else create_writer(self, settings.manifests_folder)
        ready = create_workloads(self, models, place, provider, [*charts, *pools, *weights], writer)
        for model in models:
            forward(self, balancer, model, ready[model.name])

        self.cluster_name, self.cluster_arn = cluster.name, cluster.cluster.arn
        self.cluster_endpoint, self.cluster_security_group_id = cluster.cluster.endpoint, cluster.security_group_id
        self.kubeconfig = kubeconfig(cluster, location.region)
        self.node_role_name, self.node_role_arn = role.name, role.arn
        self.log_group_name, self.log_group_arn = cluster.logs.name, cluster.logs.arn
        self.balancer_arn, self.listener_arn = balancer.balancer.arn, balancer.listener.arn
        self.balancer_dns_name, self.balancer_zone_id = balancer.balancer.dns_name, balancer.balancer.zone_id
        self.endpoint = pulumi.Output.from_input(f"https://{settings.domain.name}")
        urls = {model.name: base_url(settings.domain.name, model.name) for model in models}
        self.base_urls = pulumi.Output.from_input(urls)
        self.demand_queue_urls = pulumi.Output.all(**{model: queue.url for model, queue in queues.items()})
        self.demand_queue_arns = pulumi.Output.all(**{model: queue.arn for model, queue in queues.items()})
        self._served = {
            model: {
                "type": "openai_compatible",
                "base_url": urls[model],
                "wake_queue": {"url": queue.url, "arn": queue.arn},
                "stickiness_cookie": STICKINESS_COOKIE,
                "cache_salt": True,
                "trace_context": True,
                "regions": [location.region],
            }
            for model, queue in queues.items()
        }
        if settings.parameter_prefix is not None:
            create_parameters(self, settings.parameter_prefix, PARAMETERS)
        self.finish()

    def _s3_cidrs(self, models: Sequence[ServedModel], location: Location) -> pulumi.Input[Sequence[str]]:
        """The addresses of S3 in the Region, in an order of their own, where a model's weights are there."""
        if not with_weights_in_s3(models):
            return ()
        name = f"com.amazonaws.{location.region}.s3"
        return ec2.get_prefix_list_output(name=name, opts=self.invoke_options()).cidr_blocks.apply(_ipv4)

    @property
    def providers(self) -> Mapping[str, Mapping[str, Any]]:
        """Each model as a provider, by its name: for the argument `providers` of ServerlessBedrockApi and WebSocketChat."""
        return self._served


def _ipv4(cidrs: Sequence[str]) -> list[str]:
    found = sorted(cidr for cidr in cidrs if ":" not in cidr)
    if not found:
        raise ValueError("AWS has told of no addresses of S3, and a NetworkPolicy without any would allow all")
    return found


def base_url(domain: str, model: str) -> str:
    """Where a model's API is, as clients of OpenAI's want it."""
    return f"https://{domain}/{model}/v1"


def _made(settings: GpuInferenceClusterSettings, location: Location) -> Mapping[str, Collection[str]]:
    """What stands behind the keys in the names of their children: "" where nothing does, nothing where there is none."""
    models, node_groups, domain = settings.served_models(), list(groups(settings)), settings.domain
    versions = [version for model in models for version in model.versions]
    in_s3 = [model.name for model in with_weights_in_s3(models)]
    admins = [str(number) for number, _ in enumerate(settings.admins or (), 1)]
    suffixes = [group.suffix for group in node_groups]
    grpc = [""] if any(version.grpc for version in versions) else []
    validated = [""] if settings.valid("domain") and domain.certificate_arn is None else []
    return {
        "secrets-key": [] if settings.kms_key_arn is not None else [""],
        "admin": admins,
        "admin-policy": admins,
        "addon": ADDONS,
        "node-policy": NODE_POLICIES,
        "launch-template": suffixes,
        "node-group": suffixes,
        "scaling-tag": [f"{group.suffix}-{key}" for group in node_groups for key in template_tags(group)],
        **dict.fromkeys(("certificate", "certificate-record", "certificate-validation"), validated),
        "record": [""] if settings.valid("domain") and domain.zone_id is not None else [],
        "target-group": [version.name for version in versions],
        "check-rule": [version.name for version in versions],
        "rule": [model.name for model in models],
        **_made_for_private_link(settings),
        "demand": [model.name for model in models],
        **{f"model-{part}": in_s3 for part in ("role", "identity")},
        "model-policy": [name for model in models for name in weight_policies(model)],
        **workload_names(models, NAMESPACE),
        "manifests": [""] if settings.manifests_folder is not None else [],
        "balancer-to-grpc": grpc,
        "grpc-from-balancer": grpc,
        "parameter": [output.replace("_", "-") for output in PARAMETERS] if settings.parameter_prefix else [],
    }


def _made_for_private_link(settings: GpuInferenceClusterSettings) -> dict[str, list[str]]:
    link = settings.private_link
    keys = [key for key in GpuInferenceCluster.CHILDREN if key.startswith(("nlb", "endpoint-service", "balancer-from-nlb"))]
    verified = link is not None and settings.valid("domain") and settings.verification_zone_id(link) is not None
    proof = ("endpoint-service-record", "endpoint-service-verification")
    return {key: [""] if verified or (link is not None and key not in proof) else [] for key in keys}
