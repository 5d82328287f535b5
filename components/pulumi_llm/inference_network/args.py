"""The description of InferenceNetwork's settings. The TypedDicts in args_types.py are generated from it."""

from collections.abc import Iterator
from ipaddress import IPv4Network
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from pulumi_llm.base.location import Location
from pulumi_llm.base.settings import (
    Between,
    Count,
    Customize,
    Flag,
    Input,
    KmsKeyArn,
    ParameterPrefix,
    Problem,
    Region,
    RetentionDays,
    Settings,
    SubnetId,
    Tags,
    VpcId,
    form,
    ipv4_range,
    region_problems,
)
from pulumi_llm.inference_network.addresses import LONGEST_PREFIX, MOST_ZONES, SHORTEST_PREFIX

_Zone = Annotated[str, form(r"[a-z]{2,4}(-[a-z]+)+-\d[a-z]", "the name of an Availability Zone, such as us-east-1a")]
_Service = Annotated[
    str, form(r"[a-z0-9-]+(\.[a-z0-9-]+)*", "the end of an endpoint service's name, such as bedrock-runtime or ecr.dkr")
]
_Nat = Literal["one", "per_zone", "none"]
_FlowLogs = Literal["rejected", "all", "off"]

# What belongs to a VPC that is made here.
_OWN_VPC = ("cidr", "zones", "zone_count", "nat", "interface_endpoints", "flow_logs", "log_retention_days", "kms_key_arn")


# RFC 1918.
_PRIVATE_RANGES = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")
# AWS advises against it: Docker and some of AWS's services take these addresses for themselves.
# https://docs.aws.amazon.com/vpc/latest/userguide/vpc-cidr-blocks.html
DOCKER_RANGE = IPv4Network("172.17.0.0/16")


def _cidr(text: str) -> str:
    network = ipv4_range(text, "172.16.0.0/16")
    if not any(network.subnet_of(IPv4Network(private)) for private in _PRIVATE_RANGES):
        within = "{}, {} or {}".format(*_PRIVATE_RANGES)
        raise ValueError(f"{text!r} is no private range; take a /{SHORTEST_PREFIX} to /{LONGEST_PREFIX} within {within}")
    if not SHORTEST_PREFIX <= network.prefixlen <= LONGEST_PREFIX:
        raise ValueError(f"{text!r} must have a prefix of /{SHORTEST_PREFIX} to /{LONGEST_PREFIX}")
    return str(network)


class ExistingVpcSettings(Settings):
    """A VPC that is there already."""

    vpc_id: Input[VpcId]
    """The VPC."""
    private_subnet_ids: Input[Annotated[tuple[Input[SubnetId], ...], Field(min_length=2)]]
    """Its private subnets, in two zones or more. From there the internet or the endpoints of what is called must be reached."""
    public_subnet_ids: Input[tuple[Input[SubnetId], ...]] = ()
    """Its public subnets. Default: none."""
    balancer_subnet_ids: Input[Annotated[tuple[Input[SubnetId], ...], Field(min_length=2)]] | None = None
    """Its subnets for internal balancers, in two zones or more. Give some in which nothing else is: who is in them may call the
    servers behind the balancers, past these. Default: the private ones."""


class NetworkSettings(Settings):
    """The settings of a network that a stack's file may have, too."""

    regional = ("kms_key_arn",)

    existing: ExistingVpcSettings | None = None
    """A VPC that is there already, in which only the security groups are made. Default: a VPC is made."""
    cidr: Annotated[str, AfterValidator(_cidr)] = "172.16.0.0/16"
    """The VPC's addresses, a private range from /16 to /20. Another range replaces the VPC and all that is in it."""
    zones: Annotated[tuple[Input[_Zone], ...], Field(min_length=2, max_length=MOST_ZONES)] | None = None
    """The Availability Zones by name, in an order to which you only append: each has its addresses by its place. Default: the
    first `zone_count` of the Region, by their names. Not every zone has every instance type, EKS and each endpoint."""
    zone_count: Annotated[Count, Between(2, MOST_ZONES)] = 2
    """How many Availability Zones. More of them later move nothing."""
    nat: _Nat = "one"
    """NAT gateways, by which private subnets reach the internet: "one" for all zones, which ends with its zone; "per_zone"; or
    "none", where nothing is reached but S3, DynamoDB and `interface_endpoints`."""
    interface_endpoints: tuple[_Service, ...] = ()
    """AWS services that are reached by endpoints in the VPC, such as "bedrock-runtime", "ecr.dkr" or "sts". Each costs some $7
    a month and zone; the preview says from how much data on that is cheaper than NAT. S3 and DynamoDB always are, for free.
    Default: none."""
    flow_logs: _FlowLogs = "rejected"
    """Which connections are logged: those that were "rejected", "all", or none with "off". All of a busy network cost more."""
    log_retention_days: RetentionDays = 30
    """How long logs are kept, in days; one of the numbers that CloudWatch Logs accepts."""
    kms_key_arn: Input[KmsKeyArn] | None = None
    """The KMS key of the flow logs; its policy must let CloudWatch Logs use it. Default: a key of AWS."""
    service_port: Input[Annotated[Count, Between(1, 65_535)]] = 8000
    """The port on which the servers of models listen, behind their balancer."""
    deletion_protection: Flag = True
    """Protect the VPC: `pulumi destroy` refuses before it deletes anything. To destroy the stack, set it to false and run
    `pulumi up` first."""
    customize: Customize = Field(default_factory=dict)
    """Per child, arguments that are merged with the component's own. Default: none."""

    @property
    def count(self) -> int:
        """How many zones there are."""
        return len(self.zones) if self.zones is not None else self.zone_count or 0

    def problems(self) -> Iterator[Problem]:
        if self.given("existing"):
            for name in _OWN_VPC:
                if self.given(name):
                    yield Problem(
                        name, "is of a VPC that is made here, and existing gives one that is there already; leave it out"
                    )
            return
        if self.given("zones") and self.given("zone_count"):
            yield Problem("zone_count", "zones says already how many there are; leave it out")
        for field, items in (("zones", self.zones or ()), ("interface_endpoints", self.interface_endpoints or ())):
            plain = [item for item in items if isinstance(item, str)]
            for index, item in enumerate(plain):
                if item in plain[:index]:
                    yield Problem(f"{field}[{index}]", f"{item!r} stands there twice")
        for index, service in enumerate(self.interface_endpoints or ()):
            if service in ("s3", "dynamodb"):
                reason = "has a gateway endpoint here already, which costs nothing"
                yield Problem(f"interface_endpoints[{index}]", f"{service!r} {reason}")


class InferenceNetworkSettings(NetworkSettings):
    """The arguments. What decides which resources there are is plain; the rest may be Outputs."""

    parameter_prefix: ParameterPrefix | None = None
    """Where SSM parameters with the outputs are made, such as "/pulumi-llm/prod/network". Default: none are made."""
    region: Region | None = None
    """The Region of the component's AWS provider; another one is a mistake. Default: the provider's."""
    tags: Tags = Field(default_factory=dict)
    """Tags of every resource. Default: none but the component's own."""

    def problems_in(self, location: Location) -> Iterator[Problem]:
        yield from region_problems(self.region, location)
        for index, zone in enumerate(self.zones or ()):
            if isinstance(zone, str) and not zone.startswith(location.region):
                yield Problem(f"zones[{index}]", f"{zone} is not in {location.region}, where the network is")
