"""Rules on networks and nodes: open security groups, instance metadata, public addresses, flow logs."""

import ipaddress
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from llm_policies.rule import AWS_DOCS, Resource, Rule, Setting, Settings
from llm_policies.stacks import Found, companions, each_resource, of_type
from llm_policies.values import NotVerified, State, Value, each


def is_everywhere(cidr: str) -> bool:
    """Whether a network is the whole internet, or a large part of it: nobody owns a /4."""
    try:
        return ipaddress.ip_network(cidr, strict=False).prefixlen < 8
    except ValueError:
        return False


_REMOTE_ACCESS: Final = {22: "SSH", 3389: "RDP"}


def _security_group_open(resource: Resource, settings: Settings) -> Iterator[str]:
    allowed = {int(port) for port in settings["ports"]}

    def rule(value: Value, protocol: str, sources: tuple[Value, ...]) -> Iterator[str]:
        def source(cidr: Value) -> Iterator[str]:
            if is_everywhere(cidr.text()) and (what := _opened(value, protocol, allowed)):
                yield f"{cidr.path} is {cidr.text()}: {what} open to the internet; name networks or a security group"

        yield from each(sources, lambda place: each(place.items(), source))

    def inline(value: Value) -> Iterator[str]:
        yield from rule(value, "protocol", (value["cidrBlocks"], value["ipv6CidrBlocks"]))

    def lightsail(value: Value) -> Iterator[str]:
        sources = (value["cidrs"], value["ipv6Cidrs"])
        if all(place.missing for place in (*sources, value["cidrListAliases"])):  # that is: from everywhere
            sources = (Value("0.0.0.0/0", f"{value.path}.cidrs"),)
        yield from rule(value, "protocol", sources)

    match resource.type:
        case "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule":
            yield from rule(resource.properties, "ipProtocol", (resource["cidrIpv4"], resource["cidrIpv6"]))
        case "aws:ec2/securityGroupRule:SecurityGroupRule":
            if resource["type"].equals("ingress"):
                yield from inline(resource.properties)
        case "aws:lightsail/instancePublicPorts:InstancePublicPorts":
            yield from each(resource["portInfos"].items(), lightsail)
        case kind if kind in _PREFIX_LISTS:
            entries = resource["entries"].items() if kind == _PREFIX_LISTS[0] else [resource.properties]
            yield from each((entry["cidr"] for entry in entries), _listed)
        case _:
            yield from each(resource["ingress"].items(), inline)


_PREFIX_LISTS: Final = (
    "aws:ec2/managedPrefixList:ManagedPrefixList",
    "aws:ec2/managedPrefixListEntry:ManagedPrefixListEntry",
)


def _listed(cidr: Value) -> Iterator[str]:
    if is_everywhere(cidr.text()):
        yield f"{cidr.path} is {cidr.text()}: each port that a group opens to the list is open to the internet; name networks"


def _opened(rule: Value, protocol: str, allowed: set[int]) -> str:
    """The ports that a rule opens in addition to the allowed ones, in words; empty if there are none."""
    kind = rule[protocol].text().lower()
    if kind in {"icmp", "icmpv6", "1", "58"}:
        return ""
    if kind in {"-1", "all"}:
        return "all ports (SSH and RDP among them: critical)"
    first, last = int(rule["fromPort"].number(-1)), int(rule["toPort"].number(-1))
    if first < 0 or last < 0:
        return "all ports (SSH and RDP among them: critical)"
    if first == last and first in allowed:
        return ""
    remote = " and ".join(name for port, name in _REMOTE_ACCESS.items() if first <= port <= last)
    ports = f"port {first}" if first == last else f"ports {first}–{last}"
    return f"{ports}{f' ({remote}: critical)' if remote else ''}"


def has_template(instance: Resource) -> bool:
    """Whether an instance starts from a launch template, which may say what the instance leaves out."""
    return any(bool(instance.at(f"launchTemplate.{name}").text()) for name in ("id", "name"))


def _imdsv2(resource: Resource, settings: Settings) -> Iterator[str]:
    options = resource["metadataOptions"]
    if options["httpEndpoint"].equals("disabled"):
        return
    if resource.type == _INSTANCE and options.missing and has_template(resource):
        return  # its template says it
    if not options["httpTokens"].equals("required"):
        yield "metadataOptions.httpTokens is not required: any request forged on the node reads its role's credentials"
    if options["httpPutResponseHopLimit"].number(1) > settings["maximum_hops"]:
        yield (
            f"metadataOptions.httpPutResponseHopLimit is {options['httpPutResponseHopLimit'].number():g}: pods reach the "
            f"node's credentials; {settings['maximum_hops']} is enough"
        )


def _no_public_ip(resource: Resource, _: Settings) -> Iterator[str]:
    if resource.type == _JOB:
        try:
            held = Value(json.loads(resource["containerProperties"].text() or "{}"), "containerProperties")
        except ValueError:
            return
        yield from _public_address(held.at("networkConfiguration.assignPublicIp"))
    elif resource.type in _ADDRESSES:
        if resource[_ADDRESSES[resource.type]].text():
            yield f"{_ADDRESSES[resource.type]} has a public address: put the node into a private subnet, behind a balancer"
    else:
        yield from each(_PUBLIC_IPS[resource.type], lambda path: each(resource.properties.all_at(path), _public_address))


def _public_address(flag: Value) -> Iterator[str]:
    if flag.flag() or flag.equals("ENABLED"):
        yield f"{flag.path} is {flag.plain}: put the node into a private subnet, behind a load balancer".replace("True", "true")


_JOB: Final = "aws:batch/jobDefinition:JobDefinition"
_ADDRESSES: Final[Mapping[str, str]] = {
    "aws:ec2/eip:Eip": "instance",
    "aws:ec2/eipAssociation:EipAssociation": "instanceId",
}
_PUBLIC_IPS: Final[Mapping[str, tuple[str, ...]]] = {
    "aws:ec2/instance:Instance": ("associatePublicIpAddress",),
    "aws:ec2/launchConfiguration:LaunchConfiguration": ("associatePublicIpAddress",),
    "aws:ec2/launchTemplate:LaunchTemplate": ("networkInterfaces[].associatePublicIpAddress",),
    "aws:ec2/spotFleetRequest:SpotFleetRequest": ("launchSpecifications[].associatePublicIpAddress",),
    "aws:ec2/spotInstanceRequest:SpotInstanceRequest": ("associatePublicIpAddress",),
    "aws:ec2/subnet:Subnet": ("mapPublicIpOnLaunch",),
    "aws:cloudwatch/eventTarget:EventTarget": ("ecsTarget.networkConfiguration.assignPublicIp",),
    "aws:ecs/service:Service": ("networkConfiguration.assignPublicIp",),
    "aws:ecs/taskSet:TaskSet": ("networkConfiguration.assignPublicIp",),
    "aws:pipes/pipe:Pipe": ("targetParameters.ecsTaskParameters.networkConfiguration.awsVpcConfiguration.assignPublicIp",),
    "aws:scheduler/schedule:Schedule": ("target.ecsParameters.networkConfiguration.assignPublicIp",),
}


def _vpc_flow_logs(resources: Sequence[Resource], _: Settings) -> Found:
    def vpc(resource: Resource) -> Iterator[str]:
        logs, unverified = companions(resource, resources, _FLOW_LOGS, "vpcId", ("id",))
        if not logs:
            if unverified:
                raise NotVerified(unverified)
            yield "it has no FlowLog: nothing tells afterwards what went where; add one with its vpcId"
        # A log of accepted traffic alone misses the probing, one of refused traffic misses what got through.
        for log in logs:
            if log["trafficType"].state is State.KNOWN and log["trafficType"].equals("ACCEPT"):
                yield f"trafficType of its flow log {log.name} is ACCEPT: refused connections are not logged; write ALL"

    yield from each_resource(of_type(resources, *_VPCS), vpc)


_INSTANCE: Final = "aws:ec2/instance:Instance"
_TEMPLATE: Final = "aws:ec2/launchTemplate:LaunchTemplate"
_OTHER_NODES: Final = (
    "aws:ec2/launchConfiguration:LaunchConfiguration",
    "aws:ec2/spotInstanceRequest:SpotInstanceRequest",
)
_VPCS: Final = ("aws:ec2/vpc:Vpc",)
_FLOW_LOGS: Final = ("aws:ec2/flowLog:FlowLog",)

RULES: Final[tuple[Rule, ...]] = (
    Rule(
        name="security-group-open",
        title="Security groups open no port to the internet but the web's.",
        severity="critical",
        why="Model servers such as vLLM, and SSH, have no login worth the name: an open port is found within minutes.",
        fix="Take traffic from the load balancer's security group, or name the networks; only 80 and 443 may be open.",
        check=_security_group_open,
        types=(
            "aws:ec2/securityGroup:SecurityGroup",
            "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup",
            "aws:ec2/securityGroupRule:SecurityGroupRule",
            "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule",
            "aws:lightsail/instancePublicPorts:InstancePublicPorts",
            *_PREFIX_LISTS,
        ),
        settings={
            "ports": Setting(
                [80, 443], {"type": "array", "items": {"type": "integer"}}, "The ports that may be open to the internet."
            )
        },
        frameworks=("AWS FSBP EC2.18", "AWS FSBP EC2.19", "CIS AWS 3.0 5.2", "CIS AWS 3.0 5.3"),
        url=f"{AWS_DOCS}/vpc/latest/userguide/security-group-rules.html",
    ),
    Rule(
        name="ec2-imdsv2",
        title="Nodes give their credentials only to requests with a token, and not through containers.",
        severity="high",
        why="A model server that can be made to fetch a URL fetches the node's credentials, unless a token is required.",
        fix="`metadata_options={'http_tokens': 'required', 'http_put_response_hop_limit': 1}`.",
        check=_imdsv2,
        types=(_INSTANCE, _TEMPLATE, *_OTHER_NODES),
        settings={
            "maximum_hops": Setting(
                2,
                {"type": "integer", "minimum": 1},
                "The largest hop limit: 1 keeps pods out.",
            )
        },
        frameworks=("AWS FSBP EC2.8", "AWS FSBP EC2.170", "CIS AWS 3.0 5.6"),
        url=f"{AWS_DOCS}/AWSEC2/latest/UserGuide/configuring-instance-metadata-service.html",
    ),
    Rule(
        name="ec2-no-public-ip",
        title="Nodes and tasks have no public address.",
        severity="high",
        why="A node with a public address is one security group's mistake away from the internet.",
        fix="Private subnets, and `associate_public_ip_address` or `assign_public_ip` left out or false.",
        check=_no_public_ip,
        types=(*_PUBLIC_IPS, *_ADDRESSES, _JOB),
        frameworks=("AWS FSBP EC2.9", "AWS FSBP ECS.2"),
        url=f"{AWS_DOCS}/AWSEC2/latest/UserGuide/using-instance-addressing.html",
    ),
    Rule(
        name="vpc-flow-logs",
        title="A network's traffic is logged.",
        severity="medium",
        why="Without flow logs nobody can tell whether weights or conversations left the network.",
        fix="A `FlowLog` with the network's `vpc_id` and `traffic_type='ALL'`.",
        check_stack=_vpc_flow_logs,
        types=(*_VPCS, *_FLOW_LOGS),
        frameworks=("AWS FSBP EC2.6", "CIS AWS 3.0 3.7"),
        url=f"{AWS_DOCS}/vpc/latest/userguide/flow-logs.html",
    ),
)
