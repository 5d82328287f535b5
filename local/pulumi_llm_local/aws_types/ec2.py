"""EC2 and its networks."""

from collections.abc import Callable, Mapping
from typing import Final

from pulumi_llm_local.aws_types.aws_type import AWS_DOCS, Answer, AwsType, Outputs, Relation, ValueRule
from pulumi_llm_local.aws_types.draft import Draft, drawn

_ARN: Final = "arn:{partition}:ec2:{region}:{account}:"
_API: Final = AWS_DOCS + "AWSEC2/latest/APIReference/API_"
_INSTANCE_TYPES: Final = ValueRule(
    AWS_DOCS + "ec2/latest/instancetypes/ec2-instance-type-specifications.html",
    exempt="new types come by the week, so that the model's list is out of date where it is used",
)
_VERIFICATION: Final = "aws:vpc/endpointServicePrivateDnsVerification:EndpointServicePrivateDnsVerification"
_PORTS: Final = ValueRule(_API + "IpPermission.html", low=-1, high=65535)


def _prefix_list(call: Draft) -> Answer:
    """A list of one documentation range, whether asked for by its name or by its id."""
    name = call.text("name", f"com.amazonaws.{call.region}.s3")
    identifier = call.text("prefixListId", call.text("id", f"pl-{drawn(name, 8, '0123456789abcdef')}"))
    cidr = "203.0.113.0/24"
    return {
        "id": identifier,
        "prefixListId": identifier,
        "name": name,
        "region": call.region,
        "arn": f"arn:{call.partition}:ec2:{call.region}:aws:prefix-list/{identifier}",
        "addressFamily": "IPv4",
        "cidrBlocks": [cidr],
        "entries": [{"cidr": cidr, "description": ""}],
        "maxEntries": 55,
        "ownerId": "AWS",
        "tags": {},
        "version": 1,
    }


def _subnet(call: Draft) -> Answer:
    """A private subnet of the account, asked for by its id."""
    identifier = call.text("id", "subnet-0123456789abcdef0")
    return {
        **call.inputs,
        "id": identifier,
        "arn": f"arn:{call.partition}:ec2:{call.region}:{call.account}:subnet/{identifier}",
        "availabilityZone": f"{call.region}a",
        "cidrBlock": f"10.0.{int(drawn(identifier, 6, '0123456789')) % 256}.0/24",
        "state": "available",
        "vpcId": call.text("vpcId", f"vpc-{drawn(identifier, 17, '0123456789abcdef')}"),
    }


def _endpoint_service(draft: Draft) -> Outputs:
    """The proof of a private DNS name is drawn when the name is set.

    https://docs.aws.amazon.com/vpc/latest/privatelink/manage-dns-names.html
    """
    proof = {"name": f"_{draft.digits(20, 'name')}", "state": "pendingVerification", "type": "TXT"}
    named = draft.text("privateDnsName")
    return {
        "id": "vpce-svc-{hex17}",
        "arn": _ARN + "vpc-endpoint-service/{id}",
        "serviceName": "com.amazonaws.vpce.{region}.{id}",
        "serviceType": "Interface",
        "state": "Available",
        "managesVpcEndpoints": False,
        "privateDnsNameConfigurations": [{**proof, "value": f"vpce:{draft.digits(20, 'value')}"}] if named else [],
    }


TYPES: Final[Mapping[str, AwsType]] = {
    # It is the VPC's own, taken over; with the VPC it goes.
    "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup": AwsType(
        outputs={"id": "sg-{hex17}", "arn": _ARN + "security-group/{id}", "name": "default", "ownerId": "{account}"},
        replaced_by="vpcId",
    ),
    "aws:ec2/eip:Eip": AwsType(
        outputs={
            "id": "eipalloc-{hex17}",
            "allocationId": "{id}",
            "arn": _ARN + "elastic-ip/{id}",
            "publicIp": "203.0.113.10",
            "domain": "vpc",
        },
        replaced_by="address domain ipamPoolId networkBorderGroup publicIpv4Pool",
        stateful="firewalls let its address through",
        api="ec2 AllocateAddress",
    ),
    "aws:ec2/flowLog:FlowLog": AwsType(
        outputs={"id": "fl-{hex17}", "arn": _ARN + "vpc-flow-log/{id}"},
        # A flow log can only be replaced; regionalNatGatewayId and tagFieldSpecifications: CloudFormation.
        replaced_by=(
            "deliverCrossAccountRole destinationOptions eniId iamRoleArn logDestination logDestinationType "
            "logFormat maxAggregationInterval regionalNatGatewayId subnetId tagFieldSpecifications trafficType "
            "transitGatewayAttachmentId transitGatewayId vpcId"
        ),
        api="ec2 CreateFlowLogs",
        rules={"maxAggregationInterval": ValueRule(_API + "CreateFlowLogs.html", values=(60, 600))},
    ),
    "aws:ec2/instance:Instance": AwsType(api="ec2 RunInstances", rules={"instanceType": _INSTANCE_TYPES}),
    "aws:ec2/internetGateway:InternetGateway": AwsType(
        outputs={"id": "igw-{hex17}", "arn": _ARN + "internet-gateway/{id}", "ownerId": "{account}"}, replaced_by=""
    ),
    "aws:ec2/launchTemplate:LaunchTemplate": AwsType(
        outputs={"id": "lt-{hex17}", "arn": _ARN + "launch-template/{id}", "latestVersion": 1, "defaultVersion": 1},
        replaced_by="name namePrefix",
        api="ec2 CreateLaunchTemplate CreateLaunchTemplate.LaunchTemplateData",
        rules={"instanceType": _INSTANCE_TYPES},
    ),
    "aws:ec2/natGateway:NatGateway": AwsType(
        outputs={
            "id": "nat-{hex17}",
            "networkInterfaceId": "eni-{interface.hex17}",
            "privateIp": "10.0.0.10",
            "publicIp": "203.0.113.11",
        },
        # availabilityMode and vpcId: the source of provider 6.
        replaced_by="allocationId availabilityMode connectivityType privateIp subnetId vpcId",
    ),
    "aws:ec2/route:Route": AwsType(
        outputs={"id": "r-{routeTableId}{digits10}", "origin": "CreateRoute", "state": "active"},
        replaced_by="destinationCidrBlock destinationIpv6CidrBlock destinationPrefixListId routeTableId",
    ),
    "aws:ec2/routeTable:RouteTable": AwsType(
        outputs={"id": "rtb-{hex17}", "arn": _ARN + "route-table/{id}", "ownerId": "{account}"}, replaced_by="vpcId"
    ),
    "aws:ec2/routeTableAssociation:RouteTableAssociation": AwsType(
        outputs={"id": "rtbassoc-{hex17}"}, replaced_by="gatewayId subnetId", api="ec2 AssociateRouteTable"
    ),
    "aws:ec2/securityGroup:SecurityGroup": AwsType(
        outputs={"id": "sg-{hex17}", "arn": _ARN + "security-group/{id}", "ownerId": "{account}"},
        replaced_by="description name namePrefix vpcId",
        rules={
            "egress.fromPort": _PORTS,
            "egress.toPort": _PORTS,
            "ingress.fromPort": _PORTS,
            "ingress.toPort": _PORTS,
            "name": ValueRule(_API + "CreateSecurityGroup.html", high=255),
            "description": ValueRule(
                _API + "CreateSecurityGroup.html", high=255, pattern=r"[a-zA-Z0-9. _\-:/()#,@\[\]+=&;{}!$*]*"
            ),
        },
    ),
    "aws:ec2/subnet:Subnet": AwsType(
        outputs={"id": "subnet-{hex17}", "arn": _ARN + "subnet/{id}", "ownerId": "{account}", "availabilityZone": "{region}a"},
        replaced_by="availabilityZone availabilityZoneId cidrBlock ipv6Native outpostArn vpcId",
    ),
    "aws:ec2/vpc:Vpc": AwsType(
        outputs={
            "id": "vpc-{hex17}",
            "arn": _ARN + "vpc/{id}",
            "ownerId": "{account}",
            "cidrBlock": "10.0.0.0/16",
            "defaultNetworkAclId": "acl-{acl.hex17}",
            "defaultRouteTableId": "rtb-{routes.hex17}",
            "defaultSecurityGroupId": "sg-{group.hex17}",
            "dhcpOptionsId": "dopt-{dhcp.hex17}",
            "mainRouteTableId": "{defaultRouteTableId}",
        },
        replaced_by="cidrBlock instanceTenancy ipv4IpamPoolId ipv4NetmaskLength",
        stateful="all that is in it goes with it",
    ),
    "aws:ec2/vpcEndpoint:VpcEndpoint": AwsType(
        outputs={
            "id": "vpce-{hex17}",
            "arn": _ARN + "vpc-endpoint/{id}",
            "ownerId": "{account}",
            "state": "available",
            "prefixListId": "pl-{hex8}",
            "requesterManaged": False,
            "dnsEntries": [],
            "networkInterfaceIds": [],
            "cidrBlocks": [],
        },
        replaced_by="resourceConfigurationArn serviceName serviceNetworkArn serviceRegion vpcEndpointType vpcId",
    ),
    "aws:ec2/vpcEndpointService:VpcEndpointService": AwsType(
        outputs=_endpoint_service,
        replaced_by="",
        stateful="the endpoints of callers name it",
        contains=(Relation(_VERIFICATION, {"serviceId": "id"}),),
        api="ec2 CreateVpcEndpointServiceConfiguration",
        rules={
            "allowedPrincipals": ValueRule(
                _API + "ModifyVpcEndpointServicePermissions.html",
                pattern=r"\*|arn:[a-z-]+:iam::\d{12}:(root|(role|user)/[^/]+)",
            ),
        },
    ),
    # It is no resource of AWS: each one calls StartVpcEndpointServicePrivateDnsVerification, and its end does nothing.
    _VERIFICATION: AwsType(
        outputs={"id": "{serviceId}"},
        replaced_by="serviceId",
        api="ec2 StartVpcEndpointServicePrivateDnsVerification",
        overwrites=True,
    ),
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": AwsType(
        outputs={"id": "sgr-{hex17}", "securityGroupRuleId": "{id}", "arn": _ARN + "security-group-rule/{id}"},
        # Another value of a source is updated in place; another kind of source (cidrIpv4 to prefixListId) replaces.
        replaced_by="securityGroupId",
        rules={"fromPort": _PORTS, "toPort": _PORTS},
    ),
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": AwsType(
        outputs={"id": "sgr-{hex17}", "securityGroupRuleId": "{id}", "arn": _ARN + "security-group-rule/{id}"},
        replaced_by="securityGroupId",
        rules={"fromPort": _PORTS, "toPort": _PORTS},
    ),
}

INVOKES: Final[Mapping[str, Callable[[Draft], Answer]]] = {
    "aws:ec2/getManagedPrefixList:getManagedPrefixList": _prefix_list,
    "aws:ec2/getPrefixList:getPrefixList": _prefix_list,
    "aws:ec2/getSubnet:getSubnet": _subnet,
}
