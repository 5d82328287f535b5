"""The rules on what the internet can reach."""

from typing import Any

from llm_policies import exposure
from llm_policies.rule import Resource
from llm_policies.testing import UNKNOWN, resource
from support.policies import cases

BUCKET = "aws:s3/bucket:Bucket"
BLOCK = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"
ACL = "aws:s3/bucketAcl:BucketAcl"
ACCESS_POINT = "aws:s3/accessPoint:AccessPoint"
ACCOUNT_BLOCK = "aws:s3/accountPublicAccessBlock:AccountPublicAccessBlock"
REGIONS = "aws:s3control/multiRegionAccessPoint:MultiRegionAccessPoint"
OBJECT, OLD_OBJECT = "aws:s3/bucketObjectv2:BucketObjectv2", "aws:s3/bucketObject:BucketObject"
COPY = "aws:s3/objectCopy:ObjectCopy"
LAUNCH = "aws:ec2/launchConfiguration:LaunchConfiguration"
ECS = "aws:ecs/service:Service"
SCHEDULE = "aws:scheduler/schedule:Schedule"
TARGET = "aws:cloudwatch/eventTarget:EventTarget"
JOB = "aws:batch/jobDefinition:JobDefinition"
SUBNET = "aws:ec2/subnet:Subnet"
EIP, EIP_LINK = "aws:ec2/eip:Eip", "aws:ec2/eipAssociation:EipAssociation"
WEBSITE = "aws:s3/bucketWebsiteConfiguration:BucketWebsiteConfiguration"
CLUSTER = "aws:eks/cluster:Cluster"
GROUP = "aws:ec2/securityGroup:SecurityGroup"
GROUP_RULE = "aws:ec2/securityGroupRule:SecurityGroupRule"
INGRESS = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
PORTS = "aws:lightsail/instancePublicPorts:InstancePublicPorts"
LIST, ENTRY = "aws:ec2/managedPrefixList:ManagedPrefixList", "aws:ec2/managedPrefixListEntry:ManagedPrefixListEntry"
INSTANCE = "aws:ec2/instance:Instance"
SERVICE = "aws:ec2/vpcEndpointService:VpcEndpointService"
PRINCIPAL = "aws:ec2/vpcEndpointServiceAllowedPrinciple:VpcEndpointServiceAllowedPrinciple"
TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"
VPC = "aws:ec2/vpc:Vpc"
FLOW_LOG = "aws:ec2/flowLog:FlowLog"
DISTRIBUTION = "aws:cloudfront/distribution:Distribution"
SOURCE = "aws:cloudwatch/logDeliverySource:LogDeliverySource"
FOUR = {"blockPublicAcls": True, "blockPublicPolicy": True, "ignorePublicAcls": True, "restrictPublicBuckets": True}
ACCOUNT = "arn:aws:iam::210987654321:root"
ALL_USERS = "http://acs.amazonaws.com/groups/global/AllUsers"


def block(**settings: Any) -> Resource:
    return resource(BLOCK, {"bucket": "chat", **settings})


def cluster(**config: Any) -> list[Resource]:
    return [resource(CLUSTER, {"vpcConfig": config})]


def ingress(**rule: Any) -> list[Resource]:
    return [resource(GROUP, {"ingress": [{"protocol": "tcp", "fromPort": 22, "toPort": 22, **rule}]})]


def ports(**info: Any) -> list[Resource]:
    return [resource(PORTS, {"portInfos": [{"protocol": "tcp", "fromPort": 8000, "toPort": 8000, **info}]})]


def node(kind: str = INSTANCE, **options: Any) -> list[Resource]:
    return [resource(kind, {"metadataOptions": options})]


def site(**origin: Any) -> list[Resource]:
    return [resource(DISTRIBUTION, {"origins": [{"domainName": "chat.s3.us-east-1.amazonaws.com", **origin}]})]


VPC_AND_LOG = [
    network := resource(VPC, {"id": UNKNOWN}, name="network"),
    resource(FLOW_LOG, {"vpcId": UNKNOWN, "trafficType": "ALL"}, name="log", dependencies={"vpcId": [network]}),
]

GOOD: list[tuple[str, list[Resource], dict[str, Any]]] = [
    ("s3-public-access-blocked", [block(**FOUR)], {}),
    ("s3-public-access-blocked", [resource(ACCESS_POINT, {"bucket": "chat"})], {}),
    ("s3-public-access-blocked", [resource(ACCESS_POINT, {"publicAccessBlockConfiguration": {"blockPublicAcls": True}})], {}),
    ("s3-public-access-blocked", [resource(ACCOUNT_BLOCK, FOUR)], {}),
    ("s3-no-public-acl", [resource(OBJECT, {"acl": "bucket-owner-full-control"})], {}),
    ("ec2-no-public-ip", [resource(ECS, {"networkConfiguration": {"assignPublicIp": False, "subnets": ["subnet-1"]}})], {}),
    ("ec2-no-public-ip", [resource(EIP, {"domain": "vpc"})], {}),
    ("ec2-no-public-ip", [resource(JOB, {"containerProperties": '{"networkConfiguration": {}}'})], {}),
    ("s3-no-public-acl", [resource(ACL, {"acl": "private"})], {}),
    ("s3-no-public-acl", [resource(ACL, {"acl": "log-delivery-write"})], {}),
    ("s3-no-public-acl", [resource(BUCKET, {})], {}),
    ("s3-no-website", [resource(BUCKET, {})], {}),
    ("s3-no-website", [resource(WEBSITE, {"redirectAllRequestsTo": {"hostName": "example.com"}})], {}),
    ("eks-endpoint-private", cluster(endpointPublicAccess=False), {}),
    ("endpoint-service-names-callers", [resource(SERVICE, {"allowedPrincipals": [ACCOUNT]})], {}),
    ("endpoint-service-names-callers", [resource(SERVICE, {})], {}),
    ("eks-endpoint-private", cluster(publicAccessCidrs=["203.0.113.0/24"]), {}),
    ("security-group-open", ingress(cidrBlocks=["10.0.0.0/8"]), {}),
    ("security-group-open", ingress(fromPort=443, toPort=443, cidrBlocks=["0.0.0.0/0"], ipv6CidrBlocks=["::/0"]), {}),
    ("security-group-open", ingress(fromPort=8443, toPort=8443, cidrBlocks=["0.0.0.0/0"]), {"ports": [8443]}),
    ("security-group-open", ingress(protocol="icmp", fromPort=-1, toPort=-1, cidrBlocks=["0.0.0.0/0"]), {}),
    (
        "security-group-open",
        [resource(GROUP_RULE, {"type": "egress", "protocol": "-1", "fromPort": 0, "toPort": 0, "cidrBlocks": ["0.0.0.0/0"]})],
        {},
    ),
    ("security-group-open", ports(cidrs=["203.0.113.0/24"]), {}),
    ("security-group-open", ports(cidrListAliases=["lightsail-connect"]), {}),
    ("security-group-open", ports(fromPort=443, toPort=443), {}),
    ("security-group-open", [resource(LIST, {"entries": [{"cidr": "10.0.0.0/8"}]}), resource(LIST, {})], {}),
    ("security-group-open", [resource(INGRESS, {"ipProtocol": "-1", "referencedSecurityGroupId": "sg-1"})], {}),
    ("ec2-imdsv2", node(httpTokens="required"), {}),
    ("ec2-imdsv2", node(httpEndpoint="disabled"), {}),
    ("ec2-imdsv2", [resource(INSTANCE, {"launchTemplate": {"id": "lt-1"}})], {}),
    ("ec2-imdsv2", [resource(INSTANCE, {"launchTemplate": {"name": "gpu"}})], {}),
    ("ec2-no-public-ip", [resource(INSTANCE, {})], {}),
    ("ec2-no-public-ip", [resource(TEMPLATE, {"networkInterfaces": [{"associatePublicIpAddress": "false"}]})], {}),
    ("vpc-flow-logs", VPC_AND_LOG, {}),
    ("vpc-flow-logs", [resource(VPC, {"id": "vpc-1"}), resource(FLOW_LOG, {"vpcId": "vpc-1", "trafficType": "REJECT"})], {}),
    ("cloudfront-oac", site(originAccessControlId="E2QWRUHAPOMQZL"), {}),
    ("cloudfront-oac", site(domainName="api.example.com"), {}),
    ("cloudfront-oac", site(domainName="chat.s3-website-us-east-1.amazonaws.com"), {}),
    (
        "cloudfront-security-headers",
        [resource(DISTRIBUTION, {"defaultCacheBehavior": {"responseHeadersPolicyId": "67f7725c-6f97-4210-82d7-5512b31e9d03"}})],
        {},
    ),
    ("cloudfront-logging", [resource(DISTRIBUTION, {"loggingConfig": {"bucket": "logs.s3.amazonaws.com"}})], {}),
    ("cloudfront-logging", [resource(DISTRIBUTION, {"arn": "arn:1"}), resource(SOURCE, {"resourceArn": "arn:1"})], {}),
]

BAD: list[tuple[str, list[Resource], dict[str, Any], list[str]]] = [
    ("s3-public-access-blocked", [block(blockPublicAcls=True)], {}, ["blockPublicPolicy", "ignorePublic", "restrictPublic"]),
    ("s3-public-access-blocked", [block(**{**FOUR, "ignorePublicAcls": False})], {}, ["ignorePublicAcls"]),
    (
        "s3-public-access-blocked",
        [resource(ACCESS_POINT, {"publicAccessBlockConfiguration": {**FOUR, "blockPublicPolicy": False}})],
        {},
        ["publicAccessBlockConfiguration.blockPublicPolicy"],
    ),
    (
        "s3-public-access-blocked",
        [resource(REGIONS, {"details": {"publicAccessBlock": {"restrictPublicBuckets": False}}})],
        {},
        ["details.publicAccessBlock.restrictPublicBuckets"],
    ),
    ("s3-public-access-blocked", [resource(ACCOUNT_BLOCK, {**FOUR, "blockPublicAcls": False})], {}, ["blockPublicAcls"]),
    ("s3-no-public-acl", [resource(OBJECT, {"acl": "public-read"})], {}, ["acl is public-read"]),
    ("s3-no-public-acl", [resource(OLD_OBJECT, {"acl": "authenticated-read"})], {}, ["acl is authenticated-read"]),
    ("s3-no-public-acl", [resource(COPY, {"grants": [{"uri": ALL_USERS}]})], {}, ["grants[0].uri is AllUsers"]),
    ("ec2-imdsv2", [resource(LAUNCH, {})], {}, ["httpTokens is not required"]),
    ("ec2-no-public-ip", [resource(LAUNCH, {"associatePublicIpAddress": True})], {}, ["associatePublicIpAddress is true"]),
    ("ec2-no-public-ip", [resource(ECS, {"networkConfiguration": {"assignPublicIp": True}})], {}, ["assignPublicIp is true"]),
    (
        "ec2-no-public-ip",
        [resource(SCHEDULE, {"target": {"ecsParameters": {"networkConfiguration": {"assignPublicIp": True}}}})],
        {},
        ["target.ecsParameters.networkConfiguration.assignPublicIp"],
    ),
    (
        "ec2-no-public-ip",
        [resource(TARGET, {"ecsTarget": {"networkConfiguration": {"assignPublicIp": True}}})],
        {},
        ["ecsTarget.networkConfiguration.assignPublicIp"],
    ),
    (
        "ec2-no-public-ip",
        [resource(JOB, {"containerProperties": '{"networkConfiguration": {"assignPublicIp": "ENABLED"}}'})],
        {},
        ["assignPublicIp is ENABLED"],
    ),
    ("ec2-no-public-ip", [resource(SUBNET, {"mapPublicIpOnLaunch": True})], {}, ["mapPublicIpOnLaunch is true"]),
    ("ec2-no-public-ip", [resource(EIP, {"instance": "i-1"})], {}, ["instance has a public address"]),
    ("ec2-no-public-ip", [resource(EIP_LINK, {"instanceId": "i-1"})], {}, ["instanceId has a public address"]),
    ("s3-no-public-acl", [resource(ACL, {"acl": "public-read"})], {}, ["acl is public-read"]),
    ("s3-no-public-acl", [resource(BUCKET, {"grants": [{"uri": ALL_USERS}]})], {}, ["grants[0].uri is AllUsers"]),
    (
        "s3-no-public-acl",
        [resource(ACL, {"accessControlPolicy": {"grants": [{"grantee": {"uri": ALL_USERS}}]}})],
        {},
        ["accessControlPolicy.grants[0].grantee.uri"],
    ),
    ("s3-no-website", [resource(WEBSITE, {"indexDocument": {"suffix": "index.html"}})], {}, ["plain HTTP"]),
    ("s3-no-website", [resource(BUCKET, {"website": {"indexDocument": "index.html"}})], {}, ["website"]),
    ("eks-endpoint-private", cluster(), {}, ["publicAccessCidrs is missing"]),
    (
        "endpoint-service-names-callers",
        [resource(SERVICE, {"allowedPrincipals": [ACCOUNT, "*"]})],
        {},
        ["Principals[1] is '*'"],
    ),
    ("endpoint-service-names-callers", [resource(PRINCIPAL, {"principalArn": "*"})], {}, ["principalArn is '*'"]),
    ("eks-endpoint-private", cluster(publicAccessCidrs=["10.0.0.0/8", "0.0.0.0/0"]), {}, ["publicAccessCidrs[1]"]),
    ("eks-endpoint-private", cluster(publicAccessCidrs=["203.0.113.0/24"]), {"allow_cidrs": False}, ["is not false"]),
    ("security-group-open", ingress(cidrBlocks=["0.0.0.0/0"]), {}, ["port 22 (SSH: critical) open"]),
    ("security-group-open", ingress(fromPort=0, toPort=65535, ipv6CidrBlocks=["::/0"]), {}, ["SSH and RDP"]),
    ("security-group-open", ingress(fromPort=8000, toPort=8000, cidrBlocks=["0.0.0.0/1"]), {}, ["port 8000 open"]),
    ("security-group-open", ingress(fromPort=80, toPort=443, cidrBlocks=["0.0.0.0/0"]), {}, ["ports 80–443"]),
    (
        "security-group-open",
        [resource(GROUP_RULE, {"type": "ingress", "protocol": "-1", "fromPort": 0, "toPort": 0, "cidrBlocks": ["0.0.0.0/0"]})],
        {},
        ["all ports"],
    ),
    ("security-group-open", ports(), {}, ["portInfos[0].cidrs is 0.0.0.0/0: port 8000"]),
    ("security-group-open", ports(cidrs=["10.0.0.0/8"], ipv6Cidrs=["::/0"]), {}, ["ipv6Cidrs[0] is ::/0"]),
    ("security-group-open", [resource(LIST, {"entries": [{"cidr": "0.0.0.0/0"}]})], {}, ["entries[0].cidr is 0.0.0.0/0"]),
    ("security-group-open", [resource(ENTRY, {"cidr": "::/0"})], {}, ["cidr is ::/0"]),
    ("security-group-open", [resource(INGRESS, {"ipProtocol": "-1", "cidrIpv6": "::/0"})], {}, ["cidrIpv6 is ::/0: all ports"]),
    ("ec2-imdsv2", [resource(INSTANCE, {})], {}, ["httpTokens is not required"]),
    ("ec2-imdsv2", node(TEMPLATE, httpTokens="optional", httpPutResponseHopLimit=5), {}, ["httpTokens", "is 5"]),
    ("ec2-imdsv2", node(httpTokens="required", httpPutResponseHopLimit=2), {"maximum_hops": 1}, ["is 2"]),
    ("ec2-no-public-ip", [resource(INSTANCE, {"associatePublicIpAddress": True})], {}, ["associatePublicIpAddress"]),
    (
        "ec2-no-public-ip",
        [resource(TEMPLATE, {"networkInterfaces": [{"associatePublicIpAddress": "true"}]})],
        {},
        ["networkInterfaces[0].associatePublicIpAddress"],
    ),
    ("vpc-flow-logs", [resource(VPC, {"id": UNKNOWN})], {}, ["it has no FlowLog"]),
    (
        "vpc-flow-logs",
        [resource(VPC, {"id": "vpc-1"}), resource(FLOW_LOG, {"vpcId": "vpc-1", "trafficType": "ACCEPT"})],
        {},
        ["is ACCEPT"],
    ),
    ("vpc-flow-logs", [*VPC_AND_LOG, resource(VPC, {"id": UNKNOWN}, name="other")], {}, ["it has no FlowLog"]),
    ("cloudfront-oac", site(), {}, ["origins[0].originAccessControlId"]),
    ("cloudfront-oac", site(s3OriginConfig={"originAccessIdentity": "origin-access-identity/E1"}), {}, ["superseded"]),
    ("cloudfront-oac", site(domainName="chat.s3.cn-north-1.amazonaws.com.cn"), {}, ["originAccessControlId"]),
    ("cloudfront-security-headers", [resource(DISTRIBUTION, {"defaultCacheBehavior": {}})], {}, ["responseHeadersPolicyId"]),
    ("cloudfront-logging", [resource(DISTRIBUTION, {"arn": UNKNOWN})], {}, ["neither"]),
]

NOT_KNOWN: list[tuple[str, list[Resource], dict[str, Any], str, list[str]]] = [
    ("s3-public-access-blocked", [block(**{**FOUR, "blockPublicAcls": UNKNOWN})], {}, "blockPublicAcls", []),
    (
        "s3-public-access-blocked",
        [block(blockPublicAcls=UNKNOWN, blockPublicPolicy=True, ignorePublicAcls=True)],
        {},
        "blockPublicAcls",
        ["restrictPublicBuckets"],
    ),
    (
        "s3-public-access-blocked",
        [resource(ACCESS_POINT, {"publicAccessBlockConfiguration": UNKNOWN})],
        {},
        "Configuration",
        [],
    ),
    ("ec2-no-public-ip", [resource(JOB, {"containerProperties": UNKNOWN})], {}, "containerProperties", []),
    ("s3-no-public-acl", [resource(ACL, {"acl": UNKNOWN})], {}, "acl", []),
    ("s3-no-public-acl", [resource(BUCKET, {"grants": [UNKNOWN, {"uri": ALL_USERS}]})], {}, "grants[0]", ["grants[1]"]),
    ("s3-no-website", [resource(BUCKET, {"website": UNKNOWN})], {}, "website", []),
    ("eks-endpoint-private", cluster(publicAccessCidrs=[UNKNOWN, "::/0"]), {}, "[0]", ["publicAccessCidrs[1]"]),
    ("endpoint-service-names-callers", [resource(SERVICE, {"allowedPrincipals": [UNKNOWN, "*"]})], {}, "[0]", ["[1] is '*'"]),
    (
        "security-group-open",
        ingress(cidrBlocks=[UNKNOWN, "0.0.0.0/0"], ipv6CidrBlocks=UNKNOWN),
        {},
        "ingress[0].cidrBlocks[0]",
        ["cidrBlocks[1]"],
    ),
    ("security-group-open", [resource(GROUP, {"ingress": UNKNOWN})], {}, "ingress", []),
    ("security-group-open", ports(cidrs=UNKNOWN), {}, "cidrs", []),
    ("ec2-imdsv2", node(httpTokens=UNKNOWN), {}, "metadataOptions.httpTokens", []),
    ("ec2-no-public-ip", [resource(INSTANCE, {"associatePublicIpAddress": UNKNOWN})], {}, "associatePublicIpAddress", []),
    ("vpc-flow-logs", [resource(VPC, {"id": UNKNOWN}), resource(FLOW_LOG, {"vpcId": UNKNOWN}, name="log")], {}, "vpcId", []),
    (
        "cloudfront-oac",
        [resource(DISTRIBUTION, {"origins": [UNKNOWN, *site()[0]["origins"].plain]})],
        {},
        "[0]",
        ["origins[1]"],
    ),
    ("cloudfront-security-headers", [resource(DISTRIBUTION, {"defaultCacheBehavior": UNKNOWN})], {}, "Behavior", []),
    (
        "cloudfront-logging",
        [resource(DISTRIBUTION, {"arn": UNKNOWN}), resource(SOURCE, {"resourceArn": UNKNOWN}, name="source")],
        {},
        "resourceArn",
        [],
    ),
]


(
    test_every_rule_is_tried_as_good_as_bad_and_as_unknown,
    test_good,
    test_bad,
    test_what_is_not_known_is_said_and_hides_nothing,
) = cases(exposure.RULES, GOOD, BAD, NOT_KNOWN)
