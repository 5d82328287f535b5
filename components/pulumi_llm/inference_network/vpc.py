"""The VPC: its subnets, routes, NAT gateways and gateway endpoints."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import pulumi
from pulumi_aws import ec2, get_availability_zones_output, get_caller_identity_output

from pulumi_llm.base.component import Component
from pulumi_llm.base.iam import allow, policy_document
from pulumi_llm.inference_network.addresses import zone_ranges
from pulumi_llm.inference_network.args import InferenceNetworkSettings
from pulumi_llm.inference_network.tags import named

_ANYWHERE: Final = "0.0.0.0/0"

# By these tags the AWS Load Balancer Controller finds the subnets of a balancer.
# https://docs.aws.amazon.com/eks/latest/userguide/network-load-balancing.html
_INTERNAL_BALANCERS: Final = {"kubernetes.io/role/internal-elb": "1"}

# EKS makes no cluster in subnets of these. Which name a zone has differs between accounts; its id does not.
# https://docs.aws.amazon.com/eks/latest/userguide/network-reqs.html
_WITHOUT_EKS: Final = ("use1-az3", "usw1-az2", "cac1-az3")

GATEWAY_ENDPOINTS: Final = ("s3", "dynamodb")


class Network(NamedTuple):
    """A VPC and what is in it, each list in the order of the zones. `private_ways` are by what private subnets call others."""

    vpc: ec2.Vpc
    private_subnets: Sequence[ec2.Subnet]
    public_subnets: Sequence[ec2.Subnet]
    balancer_subnets: Sequence[ec2.Subnet]
    private_route_tables: Sequence[ec2.RouteTable]
    private_ways: Sequence[pulumi.Resource]
    nat_addresses: Sequence[ec2.Eip]


def create_vpc(component: Component, settings: InferenceNetworkSettings, region: str) -> Network:
    """Make the VPC."""
    vpc = ec2.Vpc(
        component.child_name("vpc"),
        cidr_block=settings.cidr,
        # Interface endpoints and EKS want both. https://docs.aws.amazon.com/vpc/latest/userguide/vpc-dns.html
        enable_dns_support=True,
        enable_dns_hostnames=True,
        tags=named(component, "vpc"),
        opts=component.child("vpc", protect=settings.deletion_protection or None),
    )
    # Without rules, so that nothing works by chance in a group that nobody chose.
    ec2.DefaultSecurityGroup(
        component.child_name("default-security-group"),
        vpc_id=vpc.id,
        tags=component.tags,
        opts=component.child("default-security-group"),
    )
    zones = _zones(component, settings)
    ranges = zone_ranges(settings.cidr, settings.count)
    public = [
        _subnet(component, "public-subnet", number, vpc, zone, cidr.public, {})
        for number, (zone, cidr) in enumerate(zip(zones, ranges, strict=True), 1)
    ]
    private = [
        _subnet(component, "private-subnet", number, vpc, zone, cidr.private, _INTERNAL_BALANCERS)
        for number, (zone, cidr) in enumerate(zip(zones, ranges, strict=True), 1)
    ]
    # With the routes within the VPC alone: an internal balancer calls nobody outside.
    balancer = [
        _subnet(component, "balancer-subnet", number, vpc, zone, cidr.balancer, {})
        for number, (zone, cidr) in enumerate(zip(zones, ranges, strict=True), 1)
    ]
    gateway, ways = _route_public(component, vpc, public)
    addresses, nats = _nat_gateways(component, settings, public, gateway)
    tables: list[ec2.RouteTable] = []
    for number, subnet in enumerate(private, 1):
        table, routes = _private_routes(component, number, vpc, subnet, nats[min(number, len(nats)) - 1] if nats else None)
        tables.append(table)
        ways += routes
    account = get_caller_identity_output(opts=component.invoke_options()).account_id
    ways += [
        ec2.VpcEndpoint(
            f"{component.child_name('gateway-endpoint')}-{service}",
            vpc_id=vpc.id,
            service_name=f"com.amazonaws.{region}.{service}",
            vpc_endpoint_type="Gateway",
            route_table_ids=[table.id for table in tables],
            policy=pulumi.Output.json_dumps(policy_document(*_endpoint_policy(service, account))),
            tags=named(component, "gateway-endpoint", service),
            opts=component.child("gateway-endpoint"),
        )
        for service in GATEWAY_ENDPOINTS
    ]
    return Network(vpc, private, public, balancer, tables, ways, addresses)


def _endpoint_policy(service: str, account: pulumi.Output[str]) -> list[dict[str, Any]]:
    """What is called of a service by its endpoint: all of this account, and of others only objects in S3, which are read.

    Without it, whoever has taken over a server writes what it sees into a bucket or table of their own, without any NAT. Images
    and the packages of Amazon Linux are in buckets of AWS and of registries.
    https://docs.aws.amazon.com/vpc/latest/privatelink/vpc-endpoints-s3.html
    """
    own = {"StringEquals": {"aws:ResourceAccount": account}}
    all_of_own = {**allow("AllOfOwn", [f"{service}:*"], "*", own), "Principal": "*"}
    if service != "s3":
        return [all_of_own]
    return [all_of_own, {**allow("ReadOthers", ["s3:GetObject", "s3:ListBucket"], "*"), "Principal": "*"}]


def _zones(component: Component, settings: InferenceNetworkSettings) -> Sequence[pulumi.Input[str]]:
    """The zones' names. A zone that has an outage now is still one of them, so that nothing is replaced meanwhile."""
    if settings.zones is not None:
        return settings.zones
    found = get_availability_zones_output(
        filters=[{"name": "opt-in-status", "values": ["opt-in-not-required"]}],
        exclude_zone_ids=_WITHOUT_EKS,
        opts=component.invoke_options(),
    )
    return [found.names.apply(lambda names, number=number: _numbered(names, number)) for number in range(settings.count)]


def _numbered(names: Sequence[str], number: int) -> str:
    if number >= len(names):
        usable = f"{len(names)} Availability Zones only: {', '.join(sorted(names))}"
        raise ValueError(
            f"zone_count: EKS makes clusters in {usable}; name others by `zones`, if nothing of EKS is in this network"
        )
    return sorted(names)[number]


def _subnet(
    component: Component,
    key: str,
    number: int,
    vpc: ec2.Vpc,
    zone: pulumi.Input[str],
    cidr: str,
    tags: dict[str, str],
) -> ec2.Subnet:
    return ec2.Subnet(
        f"{component.child_name(key)}-{number}",
        vpc_id=vpc.id,
        cidr_block=cidr,
        availability_zone=zone,
        map_public_ip_on_launch=False,
        tags={**named(component, key, number), **tags},
        # Another zone replaces it, and EC2 takes no other one with the same addresses before it is gone.
        opts=component.child(key, delete_before_replace=True),
    )


def _route_public(
    component: Component, vpc: ec2.Vpc, subnets: Sequence[ec2.Subnet]
) -> tuple[ec2.InternetGateway, list[pulumi.Resource]]:
    """Make the internet gateway, and the ways to it."""
    gateway = ec2.InternetGateway(
        component.child_name("internet-gateway"),
        vpc_id=vpc.id,
        tags=named(component, "internet-gateway"),
        opts=component.child("internet-gateway"),
    )
    table = ec2.RouteTable(
        component.child_name("public-routes"),
        vpc_id=vpc.id,
        tags=named(component, "public-routes"),
        opts=component.child("public-routes"),
    )
    route = ec2.Route(
        component.child_name("public-route"),
        route_table_id=table.id,
        destination_cidr_block=_ANYWHERE,
        gateway_id=gateway.id,
        opts=component.child("public-route"),
    )
    associations = [
        _associate(component, "public-routes-association", number, table, subnet) for number, subnet in enumerate(subnets, 1)
    ]
    return gateway, [route, *associations]


def nat_count(settings: InferenceNetworkSettings) -> int:
    """How many NAT gateways there are."""
    return {"one": 1, "per_zone": settings.count}.get(settings.nat, 0)


def _nat_gateways(
    component: Component, settings: InferenceNetworkSettings, public: Sequence[ec2.Subnet], gateway: ec2.InternetGateway
) -> tuple[Sequence[ec2.Eip], Sequence[ec2.NatGateway]]:
    addresses = [
        ec2.Eip(
            f"{component.child_name('nat-address')}-{number}",
            domain="vpc",
            tags=named(component, "nat-address", number),
            opts=component.child("nat-address"),
        )
        for number in range(1, nat_count(settings) + 1)
    ]
    nats = [
        ec2.NatGateway(
            f"{component.child_name('nat')}-{number}",
            allocation_id=address.id,
            subnet_id=subnet.id,
            tags=named(component, "nat", number),
            opts=component.child("nat", depends_on=[gateway]),
        )
        for number, (address, subnet) in enumerate(zip(addresses, public, strict=False), 1)
    ]
    return addresses, nats


def _private_routes(
    component: Component, number: int, vpc: ec2.Vpc, subnet: ec2.Subnet, nat: ec2.NatGateway | None
) -> tuple[ec2.RouteTable, list[pulumi.Resource]]:
    """A table for each zone, so that another choice of NAT gateways changes routes alone."""
    table = ec2.RouteTable(
        f"{component.child_name('private-routes')}-{number}",
        vpc_id=vpc.id,
        tags=named(component, "private-routes", number),
        opts=component.child("private-routes"),
    )
    ways: list[pulumi.Resource] = [_associate(component, "private-routes-association", number, table, subnet)]
    if nat is not None:
        route = ec2.Route(
            f"{component.child_name('private-route')}-{number}",
            route_table_id=table.id,
            destination_cidr_block=_ANYWHERE,
            nat_gateway_id=nat.id,
            opts=component.child("private-route"),
        )
        ways.append(route)
    return table, ways


def _associate(
    component: Component, key: str, number: int, table: ec2.RouteTable, subnet: ec2.Subnet
) -> ec2.RouteTableAssociation:
    return ec2.RouteTableAssociation(
        f"{component.child_name(key)}-{number}",
        route_table_id=table.id,
        subnet_id=subnet.id,
        opts=component.child(key),
    )
