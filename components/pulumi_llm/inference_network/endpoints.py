"""Interface endpoints (PrivateLink), and from how much data on they are cheaper than NAT."""

from collections.abc import Sequence
from typing import Final

from pulumi_aws import ec2, vpc

from pulumi_llm.base.component import Component
from pulumi_llm.inference_network.args import InferenceNetworkSettings
from pulumi_llm.inference_network.security_groups import HTTPS, add_rule, create_group
from pulumi_llm.inference_network.tags import named
from pulumi_llm.inference_network.vpc import Network, nat_count

# US dollars in us-east-1: an hour, and a GB of data. https://aws.amazon.com/vpc/pricing/ and
# https://aws.amazon.com/privatelink/pricing/
_NAT_HOUR: Final = 0.045
_NAT_GB: Final = 0.045
_ENDPOINT_HOUR: Final = 0.01
_ENDPOINT_GB: Final = 0.01
_HOURS: Final = 730

# With private DNS, public APIs answer 403 from the VPC, the connections of WebSocket APIs among them.
# https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-private-apis.html
_WITHOUT_PRIVATE_DNS: Final = ("execute-api",)


def create_interface_endpoints(
    component: Component, settings: InferenceNetworkSettings, network: Network, region: str
) -> Sequence[ec2.VpcEndpoint]:
    """Make an endpoint for each service, in each private subnet, open to the VPC."""
    if not settings.interface_endpoints:
        return ()
    group = create_group(component, "endpoint-security-group", network.vpc.id, "Interface endpoints of AWS services")
    add_rule(component, "endpoint-from-vpc", vpc.SecurityGroupIngressRule, group, HTTPS, cidr_ipv4=settings.cidr)
    return [
        ec2.VpcEndpoint(
            f"{component.child_name('interface-endpoint')}-{service}",
            vpc_id=network.vpc.id,
            service_name=f"com.amazonaws.{region}.{service}",
            vpc_endpoint_type="Interface",
            private_dns_enabled=service not in _WITHOUT_PRIVATE_DNS,
            subnet_ids=[subnet.id for subnet in network.private_subnets],
            security_group_ids=[group.id],
            tags=named(component, "interface-endpoint", service),
            opts=component.child("interface-endpoint"),
        )
        for service in settings.interface_endpoints
    ]


def cost_notice(settings: InferenceNetworkSettings) -> str:
    """What NAT gateways and interface endpoints cost a month, in one line."""
    nats, endpoints = nat_count(settings), len(settings.interface_endpoints) * settings.count
    nat = f"{nats} NAT gateway{'s' if nats > 1 else ''}: ${nats * _NAT_HOUR * _HOURS:,.2f} a month and ${_NAT_GB} a GB"
    cost = endpoints * _ENDPOINT_HOUR * _HOURS
    by_endpoints = (
        f"{len(settings.interface_endpoints)} interface endpoints in {settings.count} zones: ${cost:,.2f} a month and "
        f"${_ENDPOINT_GB} a GB"
    )
    if not endpoints and not nats:
        return "without NAT gateways and interface endpoints, private subnets reach S3 and DynamoDB only, at no cost"
    if not endpoints:
        each = settings.count * _ENDPOINT_HOUR * _HOURS / (_NAT_GB - _ENDPOINT_GB)
        return f"{nat}; an interface endpoint is cheaper for a service with more than {each:,.0f} GB a month"
    if not nats:
        return f"{by_endpoints}; no NAT gateway"
    return f"{nat}; {by_endpoints}, cheaper than NAT from {cost / (_NAT_GB - _ENDPOINT_GB):,.0f} GB a month on"
