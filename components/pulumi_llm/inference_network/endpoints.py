"""Interface endpoints (PrivateLink), and from how much data on they are cheaper than NAT."""

import difflib
from collections.abc import Iterator, Sequence
from typing import Final

from pulumi_aws import ec2, vpc

from pulumi_llm.base.component import Component
from pulumi_llm.cost.prices import price_table
from pulumi_llm.inference_network.args import InferenceNetworkSettings
from pulumi_llm.inference_network.security_groups import HTTPS, add_rule, create_group
from pulumi_llm.inference_network.tags import named
from pulumi_llm.inference_network.vpc import Network, nat_count

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


def spelling_notices(settings: InferenceNetworkSettings) -> Iterator[str]:
    """Yield which services are likely misspelt. AWS has more of them every month, so that none is refused here."""
    for index, service in enumerate(settings.interface_endpoints):
        nearest = [] if service in _COMMON else difflib.get_close_matches(service, _COMMON, 1, 0.75)
        if nearest:
            yield f"interface_endpoints[{index}]: {service!r} is not known here; did you mean {nearest[0]!r}?"


# https://docs.aws.amazon.com/vpc/latest/privatelink/aws-services-privatelink-support.html
_COMMON: Final = (
    *("autoscaling", "bedrock", "bedrock-agent", "bedrock-agent-runtime", "bedrock-mantle", "bedrock-runtime", "ec2"),
    *("ec2messages", "ecr.api", "ecr.dkr", "eks", "eks-auth", "elasticfilesystem", "elasticloadbalancing", "events"),
    *("execute-api", "kms", "lambda", "logs", "monitoring", "s3", "secretsmanager", "sns", "sqs", "ssm", "ssmmessages"),
    *("states", "sts", "xray", "appconfig", "appconfigdata", "sagemaker.api", "sagemaker.runtime", "guardduty-data"),
)


def cost_notice(settings: InferenceNetworkSettings) -> str:
    """What NAT gateways and interface endpoints cost a month, in one line. Prices of us-east-1, and it says so.

    With one NAT gateway for several zones, what comes from the others crosses zones, which both sides pay.
    """
    return f"{_costs(settings)} (prices of us-east-1)"


def _costs(settings: InferenceNetworkSettings) -> str:
    prices = price_table().prices
    nats, endpoints = nat_count(settings), len(settings.interface_endpoints) * settings.count
    nat_gb, endpoint_gb = prices["nat_gateway_data"].usd, prices["interface_endpoint_data"].usd
    endpoint_month = prices["interface_endpoint"].usd_a_month
    nat_month = prices["nat_gateway"].usd_a_month + prices["public_ipv4"].usd_a_month
    gateways = "NAT gateways with their addresses" if nats > 1 else "NAT gateway with its address"
    nat = f"{nats} {gateways}: ${nats * nat_month:,.2f} a month and ${nat_gb} a GB"
    cost = endpoints * endpoint_month
    by_endpoints = (
        f"{len(settings.interface_endpoints)} interface endpoints in {settings.count} zones: ${cost:,.2f} a month and "
        f"${endpoint_gb} a GB"
    )
    if not endpoints and not nats:
        return "without NAT gateways and interface endpoints, private subnets reach S3 and DynamoDB only, at no cost"
    between_zones = 2 * prices["between_zones"].usd * (1 - nats / settings.count)
    saved_gb = nat_gb + between_zones - endpoint_gb
    if between_zones and nats:
        nat += f", with ${between_zones:.2g} more between zones"
    if not endpoints:
        each = settings.count * endpoint_month / saved_gb
        return f"{nat}; an interface endpoint is cheaper for a service with more than {each:,.0f} GB a month"
    if not nats:
        return f"{by_endpoints}; no NAT gateway"
    return f"{nat}; {by_endpoints}, cheaper than NAT from {cost / saved_gb:,.0f} GB a month on"
