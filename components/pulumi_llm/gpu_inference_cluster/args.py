"""The description of GpuInferenceCluster's settings. The TypedDicts in args_types.py are generated from it."""

import math
import re
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Network
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from pulumi_llm.base.location import Location
from pulumi_llm.base.settings import (
    Between,
    CertificateArn,
    Count,
    Customize,
    Flag,
    HostName,
    Input,
    KmsKeyArn,
    ParameterPrefix,
    Problem,
    Region,
    RetentionDays,
    SecurityGroupId,
    Settings,
    SubnetId,
    Tags,
    VpcId,
    ZoneId,
    form,
    hint,
    ipv4_range,
    region_problems,
)
from pulumi_llm.base.time_settings import TimeOfDay, TimeZone
from pulumi_llm.gpu_inference_cluster.kubernetes_versions import VERSIONS
from pulumi_llm.gpu_inference_cluster.workloads.place import Schedule
from pulumi_llm.gpu_inference_cluster.workloads.served_model import ModelName, ServedModelSettings
from pulumi_llm.gpu_inference_cluster.workloads.versions import ServedModel, Version, model_problems, served_models
from pulumi_llm.models.gpu_instances import gpu_instances

_ReservationId = Annotated[str, form(r"cr-[0-9a-z]+", "the id of a capacity reservation, such as cr-0123456789abcdef0")]
_RoleArn = Annotated[
    str, form(r"arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+", "the ARN of an IAM role, such as arn:aws:iam::ACCOUNT:role/NAME")
]
# ARNs with a path are not supported.
# https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifyVpcEndpointServicePermissions.html
_Principal = Annotated[
    str,
    form(
        r"arn:aws[a-z-]*:iam::\d{12}:(root|(role|user)/[\w+=,.@-]+)",
        "the ARN of an account, such as arn:aws:iam::123456789012:root, or of a role or user without a path; never '*', which "
        "is every AWS account",
    ),
]
_InstanceType = Annotated[str, form(r"[a-z0-9-]+\.[a-z0-9-]+", "an instance type, such as m5.large")]
_PoolName = Annotated[str, form(r"[a-z0-9]([a-z0-9-]{0,14}[a-z0-9])?", "a name: small letters, digits and '-', at most 16")]


def _text(value: object) -> object:
    """YAML reads 1.35 as a number, and 1.30 as 1.3."""
    if isinstance(value, int | float):
        raise ValueError(f'must be text, not the number {value}: write it in quotes, such as "1.35"')
    return value


_KubernetesVersion = Annotated[Literal["1.34", "1.35", "1.36"], BeforeValidator(_text)]


def _range(text: str) -> str:
    return str(ipv4_range(text, "203.0.113.0/24"))


def _closed_range(text: str) -> str:
    found = _range(text)
    if IPv4Network(found).prefixlen < _SHORTEST_PREFIX:
        raise ValueError(f"{text!r} opens the cluster's API to more than a /{_SHORTEST_PREFIX}; name the networks of its users")
    if any(IPv4Network(found).subnet_of(private) for private in _NOT_PUBLIC):
        raise ValueError(f"{text!r} is no range of the internet; within the VPC the cluster's API is reached without")
    return found


# EKS refuses them. https://docs.aws.amazon.com/eks/latest/userguide/cluster-endpoint.html
_NOT_PUBLIC: Final = [
    IPv4Network(cidr)
    for cidr in ("10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16")
]
_SHORTEST_PREFIX: Final = 8

_Range = Annotated[str, AfterValidator(_range)]
_ClosedRange = Annotated[str, AfterValidator(_closed_range)]


def _gpu_instance(name: str) -> str:
    if name not in gpu_instances():
        known = [kind for kind in gpu_instances() if kind.startswith("g5.")]
        raise ValueError(
            f"{name!r} is no GPU instance that a model can be sized for; {hint(name, known, list(gpu_instances()))}"
        )
    return name


_GpuInstance = Annotated[str, AfterValidator(_gpu_instance)]


class ClusterNetworkSettings(Settings):
    """Where the cluster is: outputs of an InferenceNetwork, or of your own VPC."""

    vpc_id: Input[VpcId]
    """The VPC."""
    private_subnet_ids: Input[Annotated[tuple[Input[SubnetId], ...], Field(min_length=2)]]
    """Private subnets for nodes and pods, in two zones or more. From there images, weights and AWS are reached, by
    NAT or endpoints."""
    balancer_subnet_ids: Input[Annotated[tuple[Input[SubnetId], ...], Field(min_length=2)]]
    """Subnets for the balancer, in two zones or more. Best are some in which nothing else is, for who is in them may call the
    model servers."""
    balancer_subnet_cidrs: Input[Annotated[tuple[Input[_Range], ...], Field(min_length=2)]]
    """Their addresses, from which the balancer calls."""
    balancer_security_group_id: Input[SecurityGroupId]
    """The security group of the balancer, into which the callers' groups lead."""
    service_security_group_id: Input[SecurityGroupId]
    """The security group of the GPU nodes, into which the balancer's leads."""

    def problems(self) -> Iterator[Problem]:
        if not self.valid("private_subnet_ids", "balancer_subnet_ids"):
            return
        nodes, balancer = self.private_subnet_ids, self.balancer_subnet_ids
        if isinstance(nodes, tuple) and isinstance(balancer, tuple):
            shared = sorted(
                {each for each in nodes if isinstance(each, str)} & {each for each in balancer if isinstance(each, str)}
            )
            if shared:
                reason = f"{', '.join(shared)} are those of the nodes, all of whose pods could then call the model servers"
                yield Problem("balancer_subnet_ids", f"{reason}; give subnets in which nothing else is")


class ClusterDomainSettings(Settings):
    """The name under which the models are called, over HTTPS."""

    regional = ("certificate_arn",)

    name: HostName
    """The host name, such as models.example.com. It leads to addresses within the VPC."""
    zone_id: Input[ZoneId] | None = None
    """The hosted zone in which a record for it is made. Without `certificate_arn` it must be public, for a certificate is
    validated in it. Default: no record is made."""
    certificate_arn: Input[CertificateArn] | None = None
    """A certificate of ACM for the name. Default: one is made, and validated in the zone."""

    def problems(self) -> Iterator[Problem]:
        if not self.given("zone_id") and not self.given("certificate_arn"):
            yield Problem("certificate_arn", "is required without zone_id, a public zone in which a certificate is validated")


class PrivateLinkSettings(Settings):
    """Callers in other VPCs: an endpoint service (PrivateLink), with a Network Load Balancer before the internal balancer."""

    allowed_principals: Annotated[tuple[Input[_Principal], ...], Field(min_length=1)]
    """Who may ask for a connection: ARNs of accounts (arn:aws:iam::ACCOUNT:root), roles or users. Who is taken out keeps the
    connections that were accepted."""
    acceptance_required: Input[Flag] = True
    """Each connection waits until somebody here accepts it."""
    zone_id: Input[ZoneId] | None = None
    """A public zone in which a record proves that the domain is yours, so that the callers' endpoints answer under its name.
    Default: `domain.zone_id` if a certificate is validated in it, for then it is public; else the endpoints have AWS's names
    only."""


class ScheduleSettings(Settings):
    """When models keep their least number of servers. At other times they have servers only while there is demand."""

    enabled: Flag = True
    """Hold to the schedule. Without it, models keep their least number of servers always."""
    up: TimeOfDay = "15:00"
    """From when on, in hours and minutes."""
    down: TimeOfDay = "06:00"
    """Until when; before `up`, it is on the next day."""
    time_zone: TimeZone = "UTC"
    """The time zone, by the name of the IANA's database."""
    hard_off: Flag = False
    """Have no servers at all, whatever the demand; the next targets of the aliases answer."""

    def problems(self) -> Iterator[Problem]:
        if self.valid("up", "down") and self.up == self.down:
            yield Problem("down", f"must be another time than up, {self.up}; to keep servers always, set enabled to false")


class NodeBoundsSettings(Settings):
    """How many nodes a node group has."""

    min: Annotated[Count, Between(0, 100)] = 0
    """At least so many, needed or not. To raise it above what is running, see docs/gpu-cluster.md."""
    max: Annotated[Count, Between(0, 100)] = 1
    """At most so many. 0 makes no such node group. After a change of min or max, run `pulumi up --refresh`: AWS gets the number
    of nodes that is in Pulumi's state along with them."""

    def problems(self) -> Iterator[Problem]:
        if self.valid("min", "max") and self.min > self.max:
            yield Problem("min", f"must be at most max, which is {self.max}, not {self.min}")


# nodefs.available is 10 % where nothing else is said; the rest is the system's, with room to spare.
_DISK_SHARE: Final = 0.9
_SYSTEM_DISK_GIB: Final = 2


class NodePoolSettings(Settings):
    """GPU nodes of one instance type: a node group on demand, which is filled first, and one of spot instances on top."""

    instance_type: _GpuInstance = "g5.2xlarge"
    """The instance type; one of those that `pulumi-llm fit` knows."""
    on_demand: NodeBoundsSettings = NodeBoundsSettings()
    """The nodes on demand, the base."""
    spot: NodeBoundsSettings = NodeBoundsSettings()
    """The spot instances on top. AWS may take one back with two minutes' notice, which its pods use to end their answers."""
    volume_gib: Annotated[Count, Between(30, 16_384)] = 200
    """The size of each node's disk, in GiB: for the image (some 20), and for weights that come from the hub."""
    volume_throughput: Annotated[Count, Between(125, 2000)] = 500
    """How fast each node's disk is, in MiB a second; images and weights are written to it and read from it. Above 125 it costs
    extra, while there is a node."""
    capacity_reservation_id: Input[_ReservationId] | None = None
    """A capacity reservation in which the nodes on demand run. Name its zone's subnet by `customize`, as `subnet_ids` of
    `node-group:POOL-on-demand`. Default: none."""
    capacity_block: Flag = False
    """Whether the reservation is a Capacity Block for ML, which is paid in advance and ends by itself."""

    @property
    def allocatable_gib(self) -> int:
        """What of a node's disk the pods may ask for: the kubelet keeps a tenth free, and some for the system.

        https://kubernetes.io/docs/tasks/administer-cluster/reserve-compute-resources/
        """
        return int(self.volume_gib * _DISK_SHARE) - _SYSTEM_DISK_GIB

    def problems(self) -> Iterator[Problem]:
        if self.capacity_block and not self.given("capacity_reservation_id"):
            yield Problem("capacity_reservation_id", "is required with capacity_block: the id of the block's reservation")
        if not self.valid("on_demand", "spot"):
            return
        if self.on_demand.max == 0 and self.spot.max == 0:
            yield Problem("on_demand.max", "must not be 0 where spot.max is, or the pool has no nodes")
        if self.given("capacity_reservation_id") and self.on_demand.max == 0:
            yield Problem("capacity_reservation_id", "is for the nodes on demand, and on_demand.max is 0; leave it out")
        if self.capacity_block and self.spot.max != 0:
            yield Problem("spot.max", "must be 0 with capacity_block, whose nodes are all in the block")


def _x86_instance(name: str) -> str:
    # The letter behind the generation is the processor's, g of AWS Graviton; the first Graviton's family is a1.
    # https://docs.aws.amazon.com/ec2/latest/instancetypes/instance-type-names.html
    if re.match(r"a1\.|[a-z]+\d+g", name):
        raise ValueError(f"{name!r} is of arm64, and the nodes' image is of x86_64; give one such as m5.large or m7i.large")
    return name


class SystemNodesSettings(Settings):
    """The nodes of what the cluster itself needs: DNS, autoscalers, Prometheus, the balancer's controller."""

    instance_type: Annotated[_InstanceType, AfterValidator(_x86_instance)] = "m5.large"
    """The instance type, of x86_64. Another one replaces the nodes."""
    min: Annotated[Count, Between(2, 10)] = 2
    """At least so many, in different zones."""
    max: Annotated[Count, Between(2, 10)] = 3
    """At most so many."""

    def problems(self) -> Iterator[Problem]:
        if self.valid("min", "max") and self.min > self.max:
            yield Problem("min", f"must be at most max, which is {self.max}, not {self.min}")


class GpuSettings(Settings):
    """The settings of a cluster that a stack's file may have, too."""

    regional = ("kms_key_arn",)

    admins: Annotated[tuple[Input[_RoleArn], ...], Field(min_length=1)]
    """IAM roles that administer the cluster. The role that runs `pulumi up` must be one of them, for it makes what is in the
    cluster. Nobody else has access; who created the cluster has none by that."""
    domain: ClusterDomainSettings
    """The name under which the models are called, over HTTPS."""
    private_link: PrivateLinkSettings | None = None
    """Callers in other VPCs. Default: the models are called within the VPC alone."""
    models: Annotated[Mapping[ModelName, ServedModelSettings], Field(min_length=1)]
    """The models that are served, by the names under which they are called."""
    schedule: ScheduleSettings = ScheduleSettings()
    """When models keep their least number of servers."""
    manifests_folder: str | None = None
    """A folder into which `pulumi up` writes the objects of the models, for Argo CD or Flux, instead of making them in the
    cluster: docs/gitops.md. Default: they are made in the cluster."""
    kubernetes_version: _KubernetesVersion = "1.35"
    """The version of Kubernetes, which is updated one minor version at a time."""
    node_release: (
        Annotated[str, form(r"1\.\d+\.\d+-\d{8}", "a release of the nodes' image, such as 1.35.6-20260714")] | None
    ) = None
    """The release of the nodes' image: kernel, kubelet, drivers of the GPUs. Another one replaces all nodes, one after the
    other; EKS goes back to no older one. Default: one that belongs to the version, and changes with this package."""
    endpoint_public_cidrs: tuple[Input[_ClosedRange], ...] = ()
    """Networks from which the cluster's API is reached over the internet, such as those of your CI. Default: none, and
    `pulumi up` has to run within the VPC."""
    system_nodes: SystemNodesSettings = SystemNodesSettings()
    """The nodes of what the cluster itself needs."""
    node_pools: Annotated[Mapping[_PoolName, NodePoolSettings], Field(min_length=1)] = Field(
        default_factory=lambda: {"gpu": NodePoolSettings()}
    )
    """The GPU nodes, by the names that models have for them. Default: `gpu`, one g5.2xlarge on demand and one spot instance at
    most."""
    log_retention_days: RetentionDays = 90
    """How long the control plane's logs are kept, in days; one of the numbers that CloudWatch Logs accepts."""
    kms_key_arn: Input[KmsKeyArn] | None = None
    """The KMS key of the cluster's secrets and logs; its policy must let CloudWatch Logs use it. For the secrets it is chosen
    once: a cluster keeps the key that it was made with. Default: a key of the component's own for the secrets, and one of AWS
    for the logs."""
    deletion_protection: Flag = True
    """Protect the cluster and the balancer: AWS refuses to delete them. To destroy the stack, set it to false and run
    `pulumi up` first."""
    customize: Customize = Field(default_factory=dict)
    """Per child, arguments that are merged with the component's own. Default: none."""

    @property
    def release(self) -> str:
        """The release of the nodes' image."""
        return self.node_release or VERSIONS[self.kubernetes_version].node_release

    def problems(self) -> Iterator[Problem]:
        version, release = self.kubernetes_version, self.node_release
        if self.valid("node_release", "kubernetes_version") and release and not release.startswith(f"{version}."):
            yield Problem("node_release", f"must be of Kubernetes {version}, not {release}")
        for problem in model_problems(self._models(), self._instances()) if self.valid("node_pools") else ():
            yield Problem(f"models.{problem.path}", problem.reason)
        yield from self._disk_problems()

    def _disk_problems(self) -> Iterator[Problem]:
        """A node never gets a server that asks for more disk than it has."""
        asked: dict[str, int] = {}
        for model in self.served_models():
            for version in model.versions:
                asked[version.pool] = max(asked.get(version.pool, 0), version.storage_gib)
        for name, pool in self.node_pools.items():
            if pool and pool.valid("volume_gib") and asked.get(name, 0) > pool.allocatable_gib:
                least = math.ceil((asked[name] + _SYSTEM_DISK_GIB) / _DISK_SHARE)
                reason = f"must be at least {least} for a server that asks for {asked[name]} GiB of disk, not {pool.volume_gib}"
                yield Problem(f"node_pools.{name}.volume_gib", reason)

    def served_models(self) -> list[ServedModel]:
        """The models with their versions; of wrong settings, those that are right."""
        models, instances = self._models(), self._instances()
        wrong = {problem.path.partition(".")[0] for problem in model_problems(models, instances)}
        right = {
            name: model
            for name, model in models.items()
            if name not in wrong and _is_right(model) and instances.get(model.pool, "") in gpu_instances()
        }
        return served_models(right, instances)

    def pool_notices(self) -> Iterator[str]:
        """Yield which pools have too few GPUs, or none to spare: an update starts a new server before the old one goes."""
        pools: dict[str, list[Version]] = {}
        for model in self.served_models():
            for version in model.versions:
                pools.setdefault(version.pool, []).append(version)
        for name, versions in pools.items():
            pool, instance = self.node_pools[name], gpu_instances()[self.node_pools[name].instance_type]
            gpus = (pool.on_demand.max + pool.spot.max) * instance.gpus
            busy = sum(max(1, version.replicas.min) * version.gpus for version in versions)
            least = math.ceil(sum(version.replicas.min * version.gpus for version in versions) / instance.gpus)
            if least > pool.on_demand.max + pool.spot.max:
                yield (
                    f"node_pools.{name}: replicas.min needs {least} nodes, and on_demand.max and spot.max allow "
                    f"{pool.on_demand.max + pool.spot.max}: the other servers wait. Raise max, or lower replicas.min"
                )
            elif (needed := busy + max(version.gpus for version in versions)) > gpus:
                yield (
                    f"node_pools.{name} has at most {gpus} GPUs, and its models' servers, with the new one of an update beside "
                    f"the old ones, need {needed}: an update will wait for a GPU until it fails. Raise max"
                )

    def _models(self) -> dict[str, ServedModelSettings]:
        # In one order, for the maps of other languages have another one.
        return {name: model for name, model in sorted((self.models or {}).items()) if model}

    def _instances(self) -> dict[str, str]:
        """The instance types of the pools; "" where it is wrong, for the pool is there all the same."""
        return {name: (pool.instance_type if pool else None) or "" for name, pool in (self.node_pools or {}).items()}

    def verification_zone_id(self, link: PrivateLinkSettings) -> "Input[ZoneId] | None":
        """The public zone in which it is proved that the domain is ours; None where none is known."""
        if link.zone_id is not None:
            return link.zone_id
        return self.domain.zone_id if self.domain.certificate_arn is None else None

    @property
    def floor(self) -> Schedule | None:
        """When the least number of servers holds; None: always."""
        schedule = self.schedule
        return Schedule(schedule.up, schedule.down, schedule.time_zone) if schedule.enabled else None


def _is_right(model: ServedModelSettings) -> bool:
    """Whether nothing is wrong with a model by itself."""
    return model.valid(*model.model_fields_set) and next(model.problems(), None) is None


class GpuInferenceClusterSettings(GpuSettings):
    """The arguments. What decides which resources there are is plain; the rest may be Outputs."""

    network: ClusterNetworkSettings
    """Where the cluster is: outputs of an InferenceNetwork, or of your own VPC."""
    parameter_prefix: ParameterPrefix | None = None
    """Where SSM parameters with the outputs are made, such as "/llm/prod/gpu". Default: none are made."""
    region: Region | None = None
    """The Region of the component's AWS provider; another one is a mistake. Default: the provider's."""
    tags: Tags = Field(default_factory=dict)
    """Tags of every resource. Default: none but the component's own."""

    def problems_in(self, location: Location) -> Iterator[Problem]:
        yield from region_problems(self.region, location)
