"""A network from scratch: public and private subnets in two zones, one NAT gateway, routes, an endpoint for S3; no flow log."""

import pulumi
import pulumi_aws as aws

NAME = "core"
CIDR = "10.0.0.0/16"


def tags(name: str, **more: str) -> dict[str, str]:
    return {"Name": f"{NAME}-{name}", "Project": NAME, **more}


vpc = aws.ec2.Vpc(NAME, cidr_block=CIDR, enable_dns_hostnames=True, enable_dns_support=True, tags=tags("vpc"))
internet = aws.ec2.InternetGateway(NAME, vpc_id=vpc.id, tags=tags("igw"))
zones = aws.get_availability_zones().names[:2]

public_routes = aws.ec2.RouteTable("public", vpc_id=vpc.id, tags=tags("public"))
aws.ec2.Route("public", route_table_id=public_routes.id, destination_cidr_block="0.0.0.0/0", gateway_id=internet.id)
public = []
for index, zone in enumerate(zones):
    subnet = aws.ec2.Subnet(
        f"public-{index}",
        vpc_id=vpc.id,
        availability_zone=zone,
        cidr_block=f"10.0.{index}.0/24",
        map_public_ip_on_launch=True,
        tags=tags(f"public-{zone}", **{"kubernetes.io/role/elb": "1"}),
    )
    aws.ec2.RouteTableAssociation(f"public-{index}", subnet_id=subnet.id, route_table_id=public_routes.id)
    public.append(subnet)

address = aws.ec2.Eip("nat", domain="vpc", tags=tags("nat"))
nat = aws.ec2.NatGateway("nat", subnet_id=public[0].id, allocation_id=address.id, tags=tags("nat"))
private_routes = aws.ec2.RouteTable(
    "private", vpc_id=vpc.id, routes=[{"cidr_block": "0.0.0.0/0", "nat_gateway_id": nat.id}], tags=tags("private")
)
private = []
for index, zone in enumerate(zones):
    subnet = aws.ec2.Subnet(
        f"private-{index}",
        vpc_id=vpc.id,
        availability_zone=zone,
        cidr_block=f"10.0.{index + 10}.0/24",
        tags=tags(f"private-{zone}"),
    )
    aws.ec2.RouteTableAssociation(f"private-{index}", subnet_id=subnet.id, route_table_id=private_routes.id)
    private.append(subnet)

region = aws.get_region().region
aws.ec2.VpcEndpoint(
    "s3",
    vpc_id=vpc.id,
    service_name=f"com.amazonaws.{region}.s3",
    route_table_ids=[public_routes.id, private_routes.id],
    tags=tags("s3"),
)
endpoints = aws.ec2.SecurityGroup(
    "endpoints",
    vpc_id=vpc.id,
    description="HTTPS within the network",
    ingress=[{"protocol": "tcp", "from_port": 443, "to_port": 443, "cidr_blocks": [CIDR]}],
    tags=tags("endpoints"),
)
aws.ec2.VpcEndpoint(
    "bedrock",
    vpc_id=vpc.id,
    service_name=f"com.amazonaws.{region}.bedrock-runtime",
    vpc_endpoint_type="Interface",
    subnet_ids=[subnet.id for subnet in private],
    security_group_ids=[endpoints.id],
    private_dns_enabled=True,
    tags=tags("bedrock"),
)
aws.ec2.DefaultSecurityGroup(NAME, vpc_id=vpc.id, tags=tags("default"))

pulumi.export("vpc", vpc.id)
pulumi.export("private", [subnet.id for subnet in private])
