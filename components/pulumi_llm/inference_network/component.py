"""InferenceNetwork: a VPC for the servers of models, and the security groups by which functions call them."""

from collections.abc import Awaitable, Collection, Mapping, Sequence
from ipaddress import IPv4Network
from types import MappingProxyType
from typing import cast

import pulumi
from pulumi_aws import cloudwatch, ec2, iam, ssm, vpc

from pulumi_llm.base.component import Component
from pulumi_llm.base.location import Location
from pulumi_llm.base.parameters import create_parameters
from pulumi_llm.base.settings import read_arguments
from pulumi_llm.inference_network.addresses import zone_ranges
from pulumi_llm.inference_network.args import DOCKER_RANGE, InferenceNetworkSettings
from pulumi_llm.inference_network.args_types import InferenceNetworkArgs
from pulumi_llm.inference_network.endpoints import cost_notice, create_interface_endpoints, spelling_notices
from pulumi_llm.inference_network.flow_logs import log_flows
from pulumi_llm.inference_network.security_groups import create_security_groups
from pulumi_llm.inference_network.vpc import GATEWAY_ENDPOINTS, create_vpc, nat_count

# The outputs that other stacks need. SSM takes no empty value, so what may be empty is left out.
PARAMETERS = (
    "vpc_id",
    "private_subnet_ids",
    "balancer_subnet_ids",
    "function_security_group_id",
    "balancer_security_group_id",
    "service_security_group_id",
)

_WITHOUT_NAT = "nat: without NAT gateways, no WebSocketChat works in this network: its function cannot send to clients"


class InferenceNetwork(Component):
    """A VPC with private subnets for the servers of models and for functions, and security groups from the one to the other.

    Raises `pulumi.InputPropertiesError` that lists every argument that is wrong.
    """

    CHILDREN = MappingProxyType(
        {
            "vpc": ec2.Vpc,
            "default-security-group": ec2.DefaultSecurityGroup,
            "public-subnet": ec2.Subnet,
            "private-subnet": ec2.Subnet,
            "balancer-subnet": ec2.Subnet,
            "internet-gateway": ec2.InternetGateway,
            "public-routes": ec2.RouteTable,
            "public-route": ec2.Route,
            "public-routes-association": ec2.RouteTableAssociation,
            "nat-address": ec2.Eip,
            "nat": ec2.NatGateway,
            "private-routes": ec2.RouteTable,
            "private-route": ec2.Route,
            "private-routes-association": ec2.RouteTableAssociation,
            "gateway-endpoint": ec2.VpcEndpoint,
            "endpoint-security-group": ec2.SecurityGroup,
            "endpoint-from-vpc": vpc.SecurityGroupIngressRule,
            "interface-endpoint": ec2.VpcEndpoint,
            "flow-logs": cloudwatch.LogGroup,
            "flow-logs-role": iam.Role,
            "flow-logs-policy": iam.RolePolicy,
            "flow-log": ec2.FlowLog,
            "function-security-group": ec2.SecurityGroup,
            "balancer-security-group": ec2.SecurityGroup,
            "service-security-group": ec2.SecurityGroup,
            "function-to-balancer": vpc.SecurityGroupEgressRule,
            "balancer-from-function": vpc.SecurityGroupIngressRule,
            "balancer-to-service": vpc.SecurityGroupEgressRule,
            "service-from-balancer": vpc.SecurityGroupIngressRule,
            "function-to-internet": vpc.SecurityGroupEgressRule,
            "service-to-internet": vpc.SecurityGroupEgressRule,
            "parameter": ssm.Parameter,
        }
    )

    vpc_id: pulumi.Output[str]
    """The VPC."""
    vpc_arn: pulumi.Output[str]
    """Its ARN. Empty for one that was there already."""
    private_subnet_ids: pulumi.Output[Sequence[str]]
    """The private subnets, in the order of the zones."""
    public_subnet_ids: pulumi.Output[Sequence[str]]
    """The public subnets, in the order of the zones."""
    balancer_subnet_ids: pulumi.Output[Sequence[str]]
    """The subnets for internal balancers, in the order of the zones."""
    balancer_subnet_cidrs: pulumi.Output[Sequence[str]]
    """Their addresses."""
    private_route_table_ids: pulumi.Output[Sequence[str]]
    """The route tables of the private subnets. Empty for a VPC that was there already."""
    nat_public_ips: pulumi.Output[Sequence[str]]
    """The addresses from which the private subnets call the internet. Empty without NAT gateways of this component."""
    function_security_group_id: pulumi.Output[str]
    """The security group for functions that call models: `vpc.security_group_ids` of ServerlessBedrockApi."""
    balancer_security_group_id: pulumi.Output[str]
    """The security group for the balancer in front of the servers of models."""
    service_security_group_id: pulumi.Output[str]
    """The security group for the servers of models."""
    flow_log_group_name: pulumi.Output[str]
    """The log group of the flow logs. Empty where none is made."""
    flow_log_group_arn: pulumi.Output[str]
    """Its ARN. Empty where none is made."""

    def __init__(self, name: str, args: InferenceNetworkArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        settings, location = read_arguments(
            type(self).__name__, name, InferenceNetworkSettings, args, self.CHILDREN, opts, _made
        )
        super().__init__(name, opts, settings.tags, settings.customize)
        nothing = pulumi.Output.from_input("")
        none: pulumi.Output[Sequence[str]] = pulumi.Output.from_input([])
        self.flow_log_group_name, self.flow_log_group_arn = nothing, nothing
        if settings.existing is not None:
            self.vpc_id, self.vpc_arn = pulumi.Output.from_input(settings.existing.vpc_id), nothing
            self.private_subnet_ids = _list(settings.existing.private_subnet_ids)
            self.public_subnet_ids = _list(settings.existing.public_subnet_ids)
            self.balancer_subnet_ids = _list(settings.existing.balancer_subnet_ids or settings.existing.private_subnet_ids)
            self.balancer_subnet_cidrs = self.balancer_subnet_ids.apply(self._cidrs)
            self.private_route_table_ids, self.nat_public_ips = none, none
        else:
            network = create_vpc(self, settings, location.region)
            endpoints = create_interface_endpoints(self, settings, network, location.region)
            self.vpc_id, self.vpc_arn = network.vpc.id, network.vpc.arn
            private = pulumi.Output.all(*(subnet.id for subnet in network.private_subnets))
            self.private_subnet_ids = _after(private, [*network.private_ways, *endpoints])
            self.public_subnet_ids = pulumi.Output.all(*(subnet.id for subnet in network.public_subnets))
            self.balancer_subnet_ids = pulumi.Output.all(*(subnet.id for subnet in network.balancer_subnets))
            ranges = zone_ranges(settings.cidr, settings.count)
            self.balancer_subnet_cidrs = pulumi.Output.from_input([zone.balancer for zone in ranges])
            self.private_route_table_ids = pulumi.Output.all(*(table.id for table in network.private_route_tables))
            self.nat_public_ips = pulumi.Output.all(*(address.public_ip for address in network.nat_addresses))
            if settings.flow_logs != "off":
                logs = log_flows(self, settings, network.vpc)
                self.flow_log_group_name, self.flow_log_group_arn = logs.name, logs.arn
            pulumi.log.info(cost_notice(settings), self)
            for notice in spelling_notices(settings):
                pulumi.log.warn(notice, self)
            if settings.nat == "none":
                pulumi.log.info(_WITHOUT_NAT, self)
            if IPv4Network(settings.cidr).overlaps(DOCKER_RANGE):
                pulumi.log.warn(
                    f"cidr: {settings.cidr} has addresses of {DOCKER_RANGE}, which Docker and some services of AWS (Cloud9, "
                    "SageMaker) use themselves; take another range",
                    self,
                )
        groups = create_security_groups(self, self.vpc_id, settings.service_port)
        self.function_security_group_id = groups.function.id
        self.balancer_security_group_id = groups.balancer.id
        self.service_security_group_id = groups.service.id
        if settings.parameter_prefix is not None:
            create_parameters(self, settings.parameter_prefix, PARAMETERS)
        self.finish()

    def _cidrs(self, subnet_ids: Sequence[str]) -> pulumi.Output[Sequence[str]]:
        subnets = (ec2.get_subnet_output(id=subnet, opts=self.invoke_options()) for subnet in subnet_ids)
        return pulumi.Output.all(*(subnet.cidr_block for subnet in subnets))


def _after(output: pulumi.Output[Sequence[str]], resources: Sequence[pulumi.Resource]) -> pulumi.Output[Sequence[str]]:
    """The same output, whose users depend on these resources, too.

    What is in the private subnets calls AWS by routes and endpoints until it is deleted: without those, the controllers of a
    cluster let go of nothing, and its deletion never ends.
    """

    async def sources() -> set[pulumi.Resource]:
        return {*await output.resources(), *resources}

    value = cast("Awaitable[Sequence[str]]", output.future())
    return pulumi.Output(sources(), value, output.is_known(), output.is_secret())


def _list(ids: pulumi.Input[Sequence[pulumi.Input[str]]]) -> pulumi.Output[Sequence[str]]:
    return pulumi.Output.from_input(ids).apply(lambda ids: pulumi.Output.all(*ids))


def _made(settings: InferenceNetworkSettings, location: Location) -> Mapping[str, Collection[str]]:
    """What stands behind the keys in the names of their children: "" where nothing does, nothing where there is none."""
    own = settings.existing is None
    zones = [str(number) for number in range(1, settings.count + 1)] if own else []
    nats = zones[: nat_count(settings)] if own else []
    services = list(settings.interface_endpoints) if own else []
    groups = {key for key in InferenceNetwork.CHILDREN if key.startswith(("function-", "balancer-", "service-"))}
    groups.remove("balancer-subnet")
    single = {key: [""] if own else [] for key in InferenceNetwork.CHILDREN if key not in groups}
    return {
        **single,
        **dict.fromkeys(("public-subnet", "private-subnet", "balancer-subnet", "private-routes"), zones),
        **dict.fromkeys(("public-routes-association", "private-routes-association"), zones),
        "private-route": zones if nats else [],
        "nat-address": nats,
        "nat": nats,
        "gateway-endpoint": list(GATEWAY_ENDPOINTS) if own else [],
        "interface-endpoint": services,
        **{key: [""] if services else [] for key in ("endpoint-security-group", "endpoint-from-vpc")},
        **{key: [""] if own and settings.flow_logs != "off" else [] for key in single if key.startswith("flow-log")},
        "parameter": [output.replace("_", "-") for output in PARAMETERS] if settings.parameter_prefix else [],
    }
