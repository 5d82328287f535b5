"""The network: addresses, routes, who may call whom, what it costs, and what is refused."""

import json
from ipaddress import IPv4Network
from typing import Any

import pulumi
import pytest
from pulumi_aws import ec2

import pulumi_llm
from pulumi_llm.base.settings import read as read_settings
from pulumi_llm.inference_network.addresses import MOST_ZONES, zone_ranges
from pulumi_llm.inference_network.args import InferenceNetworkSettings
from pulumi_llm.inference_network.endpoints import spelling_notices
from pulumi_llm_local.aws_types.values import revealed
from pulumi_llm_local.program.recorder import Recorded
from support import programs
from support.programs import Recording

REGION = "eu-west-1"
EXISTING = {"vpc_id": "vpc-1", "private_subnet_ids": ["subnet-1", "subnet-2"]}


def made(**settings: Any) -> Recording:
    """A network in Ireland, with these settings."""
    args: Any = settings
    return programs.run(lambda: pulumi_llm.InferenceNetwork("net", args), config={"aws:region": REGION})


def by_name(recording: Recording, kind: str) -> dict[str, Recorded]:
    return {each.name.removeprefix("net-"): each for each in recording.of_type(kind)}


@pytest.mark.parametrize("cidr", ["172.16.0.0/16", "10.20.0.0/18", "192.168.16.0/20"])
def test_another_zone_moves_nothing(cidr: str) -> None:
    all_zones = zone_ranges(cidr, MOST_ZONES)
    for zones in range(2, MOST_ZONES):
        assert zone_ranges(cidr, zones) == all_zones[:zones]
    networks = [IPv4Network(each) for zone in all_zones for each in zone]
    assert all(each.subnet_of(IPv4Network(cidr)) for each in networks)
    assert not any(a.overlaps(b) for number, a in enumerate(networks) for b in networks[:number])


def test_the_default_addresses_and_zones() -> None:
    subnets = by_name(made(), "aws:ec2/subnet:Subnet")
    assert {name: (each.inputs["availabilityZone"], each.inputs["cidrBlock"]) for name, each in subnets.items()} == {
        "public-subnet-1": ("eu-west-1a", "172.16.192.0/22"),
        "public-subnet-2": ("eu-west-1b", "172.16.196.0/22"),
        "private-subnet-1": ("eu-west-1a", "172.16.0.0/19"),
        "private-subnet-2": ("eu-west-1b", "172.16.32.0/19"),
        "balancer-subnet-1": ("eu-west-1a", "172.16.224.0/22"),
        "balancer-subnet-2": ("eu-west-1b", "172.16.228.0/22"),
    }
    assert not any(each.inputs["mapPublicIpOnLaunch"] for each in subnets.values())
    assert subnets["private-subnet-1"].inputs["tags"]["kubernetes.io/role/internal-elb"] == "1"
    # The cluster makes no balancer that is reached from the internet, by a Service of nobody's.
    assert "kubernetes.io/role/elb" not in subnets["public-subnet-1"].inputs["tags"]


# The setting -> the NAT gateway to which each zone's private subnet routes.
NATS: dict[str, list[str]] = {"one": ["nat-1", "nat-1", "nat-1"], "per_zone": ["nat-1", "nat-2", "nat-3"], "none": []}


@pytest.mark.parametrize(("nat", "expected"), NATS.items())
def test_the_way_to_the_internet(nat: str, expected: list[str]) -> None:
    recording = made(nat=nat, zone_count=3)
    gateways = by_name(recording, "aws:ec2/natGateway:NatGateway")
    assert set(gateways) == set(expected)
    assert set(by_name(recording, "aws:ec2/eip:Eip")) == {name.replace("nat", "nat-address") for name in expected}
    routes = by_name(recording, "aws:ec2/route:Route")
    private = [routes[f"private-route-{number}"].inputs for number in (1, 2, 3) if expected]
    assert [route["natGatewayId"] for route in private] == [gateways[name].id for name in expected]
    # Each in a public subnet of its zone, and each zone keeps its own table whatever the setting.
    subnets = by_name(recording, "aws:ec2/subnet:Subnet")
    for name, each in gateways.items():
        assert each.inputs["subnetId"] == subnets[name.replace("nat", "public-subnet")].id
    tables = by_name(recording, "aws:ec2/routeTable:RouteTable")
    assert set(tables) == {"public-routes", *(f"private-routes-{number}" for number in (1, 2, 3))}
    assert routes["public-route"].inputs["gatewayId"] == recording.named("net-internet-gateway").id


def test_s3_and_dynamodb_are_reached_without_nat() -> None:
    recording = made(zone_count=3)
    endpoints = by_name(recording, "aws:ec2/vpcEndpoint:VpcEndpoint")
    private = {each.id for name, each in by_name(recording, "aws:ec2/routeTable:RouteTable").items() if "private" in name}
    assert set(endpoints) == {"gateway-endpoint-s3", "gateway-endpoint-dynamodb"}
    for name, each in endpoints.items():
        assert each.inputs["serviceName"] == f"com.amazonaws.{REGION}.{name.rsplit('-', 1)[1]}"
        assert set(each.inputs["routeTableIds"]) == private


def test_buckets_and_tables_of_others_are_not_written_by_an_endpoint() -> None:
    for service, read in (("s3", ["s3:GetObject", "s3:ListBucket"]), ("dynamodb", None)):
        policy = json.loads(made().named(f"net-gateway-endpoint-{service}").inputs["policy"])
        own, *others = policy["Statement"]
        assert own["Condition"] == {"StringEquals": {"aws:ResourceAccount": "123456789012"}}
        assert [each["Action"] for each in others] == ([read] if read else [])


def test_interface_endpoints() -> None:
    recording = made(interface_endpoints=["bedrock-runtime", "execute-api"])
    endpoints = by_name(recording, "aws:ec2/vpcEndpoint:VpcEndpoint")
    bedrock, gateway = endpoints["interface-endpoint-bedrock-runtime"], endpoints["interface-endpoint-execute-api"]
    subnets = {each.id for name, each in by_name(recording, "aws:ec2/subnet:Subnet").items() if "private" in name}
    assert set(bedrock.inputs["subnetIds"]) == subnets
    assert (bedrock.inputs["privateDnsEnabled"], gateway.inputs["privateDnsEnabled"]) == (True, False)
    (rule,) = [
        each.inputs
        for each in recording.of_type("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule")
        if each.name == "net-endpoint-from-vpc"
    ]
    assert (rule["cidrIpv4"], rule["fromPort"], rule["toPort"]) == ("172.16.0.0/16", 443, 443)


def test_what_is_in_the_private_subnets_goes_before_the_ways_out_of_them() -> None:
    """A cluster's controllers call AWS while they are deleted, so routes and endpoints must outlive them."""

    def program() -> None:
        network = pulumi_llm.InferenceNetwork("net", {"interface_endpoints": ["sts"]})
        ec2.NetworkInterface("user", subnet_id=network.private_subnet_ids.apply(lambda ids: ids[0]))

    recording = programs.run(program, config={"aws:region": REGION})
    user = recording.named("user")
    ways = ["private-route-1", "private-route-2", "public-route", "public-routes-association-1", "private-routes-association-2"]
    ways += ["gateway-endpoint-s3", "interface-endpoint-sts"]
    assert {recording.named(f"net-{way}").urn for way in ways} <= set(user.dependencies)


@pytest.mark.parametrize(
    ("services", "told"),
    [(["ecr.dkr", "sts", "a-new-one"], []), (["ecr-dkr", "bedrock-runtimes"], ["mean 'ecr.dkr'", "mean 'bedrock-runtime'"])],
)
def test_a_misspelt_service_is_told_with_the_nearest(services: list[str], told: list[str]) -> None:
    settings, problems = read_settings(InferenceNetworkSettings, {"interface_endpoints": services})
    assert problems == []
    notices = list(spelling_notices(settings))
    assert len(notices) == len(told) and all(text in notice for text, notice in zip(told, notices, strict=True))


def test_the_security_groups_are_chained() -> None:
    recording = made(service_port=8080)
    groups = {each.id: name.removesuffix("-security-group") for name, each in by_name(recording, SECURITY_GROUP).items()}
    rules = {
        (way, groups[rule["securityGroupId"]], groups.get(rule.get("referencedSecurityGroupId"), rule.get("cidrIpv4")), port)
        for way in ("Ingress", "Egress")
        for each in recording.of_type(f"aws:vpc/securityGroup{way}Rule:SecurityGroup{way}Rule")
        for rule in [each.inputs]
        for port in {int(rule["fromPort"]), int(rule["toPort"])}
    }
    assert rules == {
        ("Egress", "function", "balancer", 443),
        ("Ingress", "balancer", "function", 443),
        ("Egress", "balancer", "service", 8080),
        ("Ingress", "service", "balancer", 8080),
        ("Egress", "function", "0.0.0.0/0", 443),
        ("Egress", "service", "0.0.0.0/0", 443),
    }
    default = recording.named("net-default-security-group").inputs
    assert "ingress" not in default and "egress" not in default


SECURITY_GROUP = "aws:ec2/securityGroup:SecurityGroup"


@pytest.mark.parametrize(("setting", "traffic"), [("rejected", "REJECT"), ("all", "ALL"), ("off", None)])
def test_flow_logs(setting: str, traffic: str | None) -> None:
    recording = made(flow_logs=setting, log_retention_days=90)
    flow_logs = recording.of_type("aws:ec2/flowLog:FlowLog")
    assert [each.inputs["trafficType"] for each in flow_logs] == ([traffic] if traffic else [])
    if traffic:
        logs = recording.named("net-flow-logs")
        assert logs.inputs["retentionInDays"] == 90
        write, find, groups = json.loads(recording.inputs("net-flow-logs-policy")["policy"])["Statement"]
        assert write["Resource"] == f"{logs.state['arn']}:*"
        assert find["Resource"] == [logs.state["arn"], f"{logs.state['arn']}:*"]
        # https://docs.aws.amazon.com/vpc/latest/userguide/flow-logs-iam-role.html
        assert groups["Action"] == ["logs:DescribeLogGroups"]
        trust = json.loads(recording.inputs("net-flow-logs-role")["assumeRolePolicy"])["Statement"][0]
        assert trust["Condition"] == {"StringEquals": {"aws:SourceAccount": "123456789012"}}


def test_an_existing_vpc_gets_the_security_groups_alone() -> None:
    recording = made(existing=EXISTING)
    kinds = {each.type for each in recording.custom()}
    rules = {f"aws:vpc/securityGroup{way}Rule:SecurityGroup{way}Rule" for way in ("Ingress", "Egress")}
    assert kinds == {SECURITY_GROUP, *rules}
    assert {each.inputs["vpcId"] for each in recording.of_type(SECURITY_GROUP)} == {"vpc-1"}
    assert recording.named("net").outputs["private_subnet_ids"] == ["subnet-1", "subnet-2"]


def test_lists_are_parameters_of_lists() -> None:
    recording = made(parameter_prefix="/llm/net")
    parameters = {each.inputs["name"]: each.inputs for each in recording.of_type("aws:ssm/parameter:Parameter")}
    subnets = by_name(recording, "aws:ec2/subnet:Subnet")
    listed = revealed(parameters["/llm/net/private_subnet_ids"])
    assert listed["type"] == "StringList"
    assert listed["value"] == f"{subnets['private-subnet-1'].id},{subnets['private-subnet-2'].id}"
    assert parameters["/llm/net/vpc_id"]["type"] == "String"


# Settings -> what the preview says of their cost.
NOTICES: list[tuple[dict[str, Any], str]] = [
    (
        {},
        "1 NAT gateway with its address: $36.50 a month and $0.045 a GB, with $0.01 more between zones; an interface endpoint "
        "is cheaper for a service with more than 324 GB a month (prices of us-east-1)",
    ),
    ({"nat": "per_zone", "zone_count": 3}, "3 NAT gateways with their addresses: $109.50 a month"),
    (
        {"interface_endpoints": ["sts"]},
        "1 interface endpoints in 2 zones: $14.60 a month and $0.01 a GB, cheaper than NAT from 324",
    ),
    ({"nat": "none", "interface_endpoints": ["sts", "logs"]}, "$29.20 a month and $0.01 a GB; no NAT gateway"),
    ({"nat": "none"}, "reach S3 and DynamoDB only, at no cost"),
    ({"nat": "none"}, "no WebSocketChat works in this network"),
]


@pytest.mark.parametrize(("settings", "text"), NOTICES)
def test_the_preview_says_what_it_costs(settings: dict[str, Any], text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(pulumi.log, "info", lambda message, *_: told.append(message))
    made(**settings)
    assert text in "\n".join(told)


@pytest.mark.parametrize(("cidr", "warned"), [("172.17.0.0/16", True), ("172.16.0.0/16", False)])
def test_addresses_that_docker_takes_are_warned_of(cidr: str, warned: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(pulumi.log, "warn", lambda message, *_: told.append(message))
    made(cidr=cidr)
    assert bool(told) is warned


# Wrong settings -> the mistakes, all at once.
WRONG: list[tuple[dict[str, Any], list[str]]] = [
    ({"cidr": "8.8.0.0/16"}, ["'8.8.0.0/16' is no private range"]),
    *(({"cidr": cidr}, ["is no private range"]) for cidr in ("127.0.0.0/16", "169.254.0.0/16", "240.0.0.0/16")),
    ({"cidr": "10.0.0.0/24"}, ["must have a prefix of /16 to /20"]),
    ({"cidr": "10.0.0.1/16"}, ["is no range of IPv4 addresses"]),
    (
        {"nat": "two", "flow_logs": "some", "interface_endpoints": ["S3!"], "customize": {"nat": {"tags": {}}}},
        ["nat: must be 'one', 'per_zone' or 'none', not 'two'", "flow_logs: must be", "interface_endpoints[0]: "],
    ),
    ({"zones": 3}, ["zones: "]),
    ({"zone_count": 1, "cidr": "nothing"}, ["zone_count: ", "cidr: 'nothing'"]),
    ({"zones": ["us-east-1a", "eu-west-1a"]}, ["zones[0]", "us-east-1a is not in eu-west-1"]),
    ({"zones": ["eu-west-1a", "eu-west-1a"]}, ["'eu-west-1a' stands there twice"]),
    ({"zones": ["eu-west-1a", "eu-west-1b"], "zone_count": 2}, ["zones says already how many"]),
    ({"interface_endpoints": ["s3", "sts", "sts"]}, ["gateway endpoint here already", "'sts' stands there twice"]),
    ({"existing": EXISTING, "nat": "one", "cidr": "10.0.0.0/16"}, ["nat", "cidr", "existing gives one"]),
    ({"existing": {**EXISTING, "private_subnet_ids": ["subnet-1"]}}, ["existing.private_subnet_ids: must hold at least 2"]),
]


@pytest.mark.parametrize(("settings", "parts"), WRONG)
def test_mistakes_are_told(settings: dict[str, Any], parts: list[str]) -> None:
    with pytest.raises(pulumi.InputPropertiesError) as told:
        made(**settings)
    assert all(part in str(told.value) for part in parts), told.value
