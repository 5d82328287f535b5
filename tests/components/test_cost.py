"""What a program costs: the charges of resources, the prices of models, and `pulumi-llm cost`."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pulumi_aws as aws
import pytest
from typer.testing import CliRunner

import pulumi_llm
from llm_gateway.routes import Alias, Routes, Target
from pulumi_llm.cli.command import app
from pulumi_llm.cost.charges import FUNCTION, charges_of
from pulumi_llm.cost.chats import Chat
from pulumi_llm.cost.estimate import Component, Estimate, estimate
from pulumi_llm.cost.model_prices import model_prices
from pulumi_llm.gpu_inference_cluster.component import GpuInferenceCluster
from pulumi_llm_local.aws_types.values import revealed
from pulumi_llm_local.program.recorder import STACK_TYPE
from support import programs
from support.programs import ROOT, Recording
from support.served_models import CLUSTER_NETWORK, QWEN

NAT, EIP = "aws:ec2/natGateway:NatGateway", "aws:ec2/eip:Eip"
GROUP, TEMPLATE = "aws:eks/nodeGroup:NodeGroup", "aws:ec2/launchTemplate:LaunchTemplate"


@dataclass(frozen=True)
class Made:
    """A resource as an evaluated program has it."""

    type: str
    inputs: Mapping[str, Any] = field(default_factory=dict[str, Any])
    name: str = "it"
    id: str = "id-1"
    urn: str = "urn:pulumi:dev::shop::aws:x/y:Y::it"
    state: Mapping[str, Any] = field(default_factory=dict[str, Any])
    parents: tuple[str, ...] = ()


def node_group(**inputs: Any) -> Made:
    return Made(GROUP, {"scalingConfig": {"minSize": 1, "maxSize": 3}, "instanceTypes": ["g5.2xlarge"], **inputs})


WITH_TEMPLATE = {"launchTemplate": {"id": "lt-1", "version": "1"}}


def template(**ebs: Any) -> Made:
    return Made(TEMPLATE, {"blockDeviceMappings": [{"deviceName": "/dev/xvda", "ebs": ebs}]}, id="lt-1")


def alarm(*queries: Mapping[str, Any], **inputs: Any) -> Made:
    return Made("aws:cloudwatch/metricAlarm:MetricAlarm", {**inputs, **({"metricQueries": queries} if queries else {})})


METRIC = {"metric": {"metricName": "Errors", "period": 300}}
ACL = "aws:wafv2/webAcl:WebAcl"
BOTS = {"statement": {"managedRuleGroupStatement": {"vendorName": "AWS", "name": "AWSManagedRulesBotControlRuleSet"}}}
ENDPOINT = "aws:ec2/vpcEndpoint:VpcEndpoint"
BALANCER = "aws:lb/loadBalancer:LoadBalancer"
CLUSTER, KEY, TABLE = "aws:eks/cluster:Cluster", "aws:kms/key:Key", "aws:dynamodb/table:Table"
FUNCTION_OF_2_GB = Made(FUNCTION, {"memorySize": 2048, "architectures": ["arm64"]}, state={"name": "f", "arn": "arn:f"})
CONCURRENCY = "aws:lambda/provisionedConcurrencyConfig:ProvisionedConcurrencyConfig"
STANDARD_SUPPORT = {"upgradePolicy": {"supportType": "STANDARD"}}

# A resource, what is around it -> US dollars a month while idle, at least and at most; and a part of what is not priced.
# Calculated by hand from AWS's pages: hours by 730.
IDLE: dict[str, tuple[Made, Sequence[Made], float, float, str]] = {
    "a NAT gateway": (Made(NAT), (), 32.85, 32.85, ""),
    "its address": (Made(EIP), (), 3.65, 3.65, ""),
    "an endpoint in three zones": (
        Made(ENDPOINT, {"vpcEndpointType": "Interface", "subnetIds": ["a", "b", "c"]}),
        *((), 21.90, 21.90, ""),
    ),
    "an endpoint in no zone that is known": (Made(ENDPOINT, {"vpcEndpointType": "Interface"}), (), 0, 0, "no subnets"),
    "a gateway endpoint": (Made(ENDPOINT, {"vpcEndpointType": "Gateway"}), (), 0, 0, ""),
    "an endpoint of another kind": (Made(ENDPOINT, {"vpcEndpointType": "GatewayLoadBalancer"}), (), 0, 0, "GatewayLoadBal"),
    "an internal balancer": (Made(BALANCER, {"internal": True, "subnets": ["a", "b"]}), (), 16.425, 16.425, ""),
    "one on the internet": (Made(BALANCER, {"subnets": ["a", "b"]}), (), 23.725, 23.725, ""),
    "a cluster, later on extended support": (Made(CLUSTER), (), 73.00, 438.00, ""),
    "a cluster that AWS updates": (Made(CLUSTER, STANDARD_SUPPORT), (), 73.00, 73.00, ""),
    "one of Auto Mode": (Made(CLUSTER, {**STANDARD_SUPPORT, "computeConfig": {"enabled": True}}), (), 73, 73, "Auto Mode"),
    # 1.212 an hour, and 200 GB at 0.08
    "nodes with disks": (
        node_group(**WITH_TEMPLATE),
        [template(volumeType="gp3", volumeSize=200)],
        *(884.76 + 16, 3 * (884.76 + 16), ""),
    ),
    "faster disks": (
        node_group(**WITH_TEMPLATE, scalingConfig={"minSize": 1, "maxSize": 1}),
        [template(volumeType="gp3", volumeSize=100, iops=4000, throughput=250)],
        *(884.76 + 8 + 5 + 5, 884.76 + 8 + 5 + 5, ""),
    ),
    "none at night": (node_group(scalingConfig={"minSize": 0, "maxSize": 1}), (), 0, 884.76 + 1.6, ""),
    "of two types": (node_group(instanceTypes=["g5.2xlarge", "g5.xlarge"], diskSize=50), (), 734.38 + 4, 3 * (884.76 + 4), ""),
    "of a type without a price": (node_group(instanceTypes=["z9.huge"]), (), 0, 0, "instance type z9.huge"),
    "with a template from elsewhere": (
        node_group(**WITH_TEMPLATE),
        *((), 884.76, 3 * 884.76, "launch template is not in the program"),
    ),
    "with the image's disk": (
        node_group(**WITH_TEMPLATE),
        [Made(TEMPLATE, id="lt-1")],
        *(884.76, 3 * 884.76, "no size of a volume"),
    ),
    "in a Capacity Block": (node_group(capacityType="CAPACITY_BLOCK"), (), 0, 0, "paid in advance"),
    "a key": (Made(KEY), (), 1, 1, ""),
    "a key that is rotated": (Made(KEY, {"enableKeyRotation": True}), (), 1, 3, ""),
    "a secret": (Made("aws:secretsmanager/secret:Secret"), (), 0.40, 0.40, ""),
    "a parameter": (Made("aws:ssm/parameter:Parameter", {"type": "String"}), (), 0, 0, ""),
    "an advanced one": (Made("aws:ssm/parameter:Parameter", {"tier": "Advanced"}), (), 0.05, 0.05, ""),
    "a web ACL of two rules": (Made(ACL, {"rules": [{}, {}]}), (), 7, 7, ""),
    "with bot control": (Made(ACL, {"rules": [BOTS]}), (), 6, 6, "BotControl"),
    "an alarm": (alarm(metricName="Errors", period=60), (), 0.10, 0.10, ""),
    "an alarm every ten seconds": (alarm(metricName="Errors", period=10), (), 0.30, 0.30, ""),
    "an alarm on two metrics": (alarm(METRIC, METRIC, {"expression": "m1 / m2"}), (), 0.20, 0.20, ""),
    "an alarm on anomalies": (alarm(METRIC, {"expression": "ANOMALY_DETECTION_BAND(m1, 2)"}), (), 0.30, 0.30, ""),
    "an alarm on a query": (alarm({"expression": "SELECT MAX(Errors) FROM x"}), (), 0, 0, "Metrics Insights"),
    "a dashboard": (Made("aws:cloudwatch/dashboard:Dashboard"), (), 3, 3, ""),
    "a table on demand": (Made(TABLE, {"billingMode": "PAY_PER_REQUEST"}), (), 0, 0, ""),
    # 0.00065 and 0.00013 an hour
    "a table with capacity": (Made(TABLE, {"readCapacity": 10, "writeCapacity": 20}), (), 10.439, 10.439, ""),
    "a table elsewhere too": (
        Made(TABLE, {"billingMode": "PAY_PER_REQUEST", "replicas": [{"regionName": "eu-west-1"}]}),
        *((), 0, 0, "replicas"),
    ),
    "a function": (FUNCTION_OF_2_GB, (), 0, 0, ""),
    # 10 GB by 2,628,000 seconds, at 0.0000033334
    "functions kept warm": (
        Made(CONCURRENCY, {"functionName": "f", "provisionedConcurrentExecutions": 5}),
        [FUNCTION_OF_2_GB],
        *(87.60, 87.60, ""),
    ),
    "a Service of a balancer": (Made("kubernetes:core/v1:Service", {"spec": {"type": "LoadBalancer"}}), (), 0, 0, "balancer"),
    "a Service": (Made("kubernetes:core/v1:Service", {"spec": {"type": "ClusterIP"}}), (), 0, 0, ""),
    "an Ingress": (Made("kubernetes:networking.k8s.io/v1:Ingress"), (), 0, 0, "load balancer"),
    "a volume": (Made("kubernetes:core/v1:PersistentVolumeClaim"), (), 0, 0, "a volume"),
    "volumes": (Made("kubernetes:apps/v1:StatefulSet", {"spec": {"volumeClaimTemplates": [{}]}}), (), 0, 0, "volumes"),
    "a chart": (Made("kubernetes:helm.sh/v3:Release"), (), 0, 0, ""),
    "a role": (Made("aws:iam/role:Role"), (), 0, 0, ""),
    "a type that nobody has described": (Made("aws:rds/cluster:Cluster"), (), 0, 0, "no price for resources of this type"),
    "another provider's": (Made("random:index/randomId:RandomId"), (), 0, 0, "no price for resources of this type"),
}


@pytest.mark.assumes("prices")
@pytest.mark.parametrize(("resource", "around", "least", "most", "unpriced"), IDLE.values(), ids=IDLE.keys())
def test_what_is_idle(resource: Made, around: Sequence[Made], least: float, most: float, unpriced: str) -> None:
    found = charges_of(resource, [resource, *around])
    idle = [charge for charge in found.charges if charge.price.idle]
    assert sum(charge.low * charge.price.usd_a_month for charge in idle) == pytest.approx(least, abs=0.005)
    assert sum(charge.high * charge.price.usd_a_month for charge in idle) == pytest.approx(most, abs=0.005)
    assert unpriced in found.unpriced
    assert bool(unpriced) == bool(found.unpriced)


POOL = {"pulumi-llm/pool": "gpu"}


def gpu_group(capacity: str, most: int, instance: str = "g5.2xlarge") -> Made:
    bounds = {"minSize": 0, "maxSize": most}
    return Made(
        GROUP, {"scalingConfig": bounds, "instanceTypes": [instance], "capacityType": capacity, "labels": POOL}, capacity
    )


def servers(name: str, gpus: int = 1, least: int = 0, schedule: tuple[str, str] | None = None, **metadata: Any) -> list[Made]:
    """A Deployment whose servers have GPUs of a pool, and what KEDA is told of it; by a schedule, at least one."""
    container = {"name": "server", "resources": {"limits": {"nvidia.com/gpu": str(gpus)}}}
    pod = {"nodeSelector": POOL, "containers": [container]}
    triggers: list[Any] = [{"type": "aws-sqs-queue", "metadata": {}}]
    if schedule:
        start, end = schedule
        triggers.append({"type": "cron", "metadata": {"start": start, "end": end, "desiredReplicas": "1"}})
    own = {"namespace": "models", "name": name}
    scaled = {"scaleTargetRef": {"name": name}, "minReplicaCount": least, "triggers": triggers}
    return [
        Made("kubernetes:apps/v1:Deployment", {"metadata": own, "spec": {"template": {"spec": pod}}}),
        Made("kubernetes:keda.sh/v1alpha1:ScaledObject", {"metadata": {**own, **metadata}, "spec": scaled}),
    ]


# Node groups on demand and of spot instances, what runs on them -> how many nodes of each stay, on average through a day.
KEPT: dict[str, tuple[Sequence[Made], Sequence[Made], Sequence[float]]] = {
    "no servers": ([gpu_group("ON_DEMAND", 2)], (), [0]),
    "one that may go": ([gpu_group("ON_DEMAND", 2)], servers("a"), [0]),
    "one that stays": ([gpu_group("ON_DEMAND", 2)], servers("a", least=1), [1]),
    "one that stays from 15:00 to 06:00": (
        [gpu_group("ON_DEMAND", 2)],
        servers("a", schedule=("0 15 * * *", "0 6 * * *")),
        [15 / 24],
    ),
    "one that stays from 07:30 to 19:00, and another one": (
        [gpu_group("ON_DEMAND", 2)],
        [*servers("a", schedule=("30 7 * * *", "0 19 * * *")), *servers("b", least=1)],
        [1 + 11.5 / 24],
    ),
    "more than there are on demand": (
        [gpu_group("ON_DEMAND", 1), gpu_group("SPOT", 4)],
        servers("a", least=3),
        [1, 2],
    ),
    "two on a node": ([gpu_group("ON_DEMAND", 2, "g5.12xlarge")], servers("a", gpus=2, least=2), [1]),
    "all are off": (
        [gpu_group("ON_DEMAND", 2)],
        servers("a", least=1, annotations={"autoscaling.keda.sh/paused-replicas": "0"}),
        [0],
    ),
}


@pytest.mark.parametrize(("groups", "running", "kept"), KEPT.values(), ids=KEPT.keys())
def test_nodes_that_servers_keep(groups: Sequence[Made], running: Sequence[Made], kept: Sequence[float]) -> None:
    resources = [*groups, *running]
    found = [charges_of(group, resources).charges[0] for group in groups]
    assert [charge.low for charge in found] == pytest.approx(kept)
    assert [charge.high for charge in found] == [group.inputs["scalingConfig"]["maxSize"] for group in groups]


# A resource -> its unit prices, such as "0.20 for 1000000 requests".
UNITS: dict[str, tuple[Made, set[tuple[float, int, str]]]] = {
    "a function on arm64": (FUNCTION_OF_2_GB, {(0.20, 1_000_000, "requests"), (0.0000133334, 1, "GB-second")}),
    "one on x86_64": (Made(FUNCTION), {(0.20, 1_000_000, "requests"), (0.0000166667, 1, "GB-second")}),
    "an HTTP API": (
        Made("aws:apigatewayv2/api:Api", {"protocolType": "HTTP"}),
        {(1.00, 1_000_000, "requests"), (0.09, 1, "GB")},
    ),
    "a WebSocket API": (
        Made("aws:apigatewayv2/api:Api", {"protocolType": "WEBSOCKET"}),
        {(1.00, 1_000_000, "messages"), (0.25, 1_000_000, "minutes"), (0.09, 1, "GB")},
    ),
    "a FIFO queue": (Made("aws:sqs/queue:Queue", {"fifoQueue": True}), {(0.50, 1_000_000, "requests")}),
    "an alias of a distribution": (Made("aws:route53/record:Record", {"aliases": [{}]}), set()),
    "a record": (Made("aws:route53/record:Record", {"records": ["1.2.3.4"]}), {(0.40, 1_000_000, "queries")}),
    "logs that are seldom read": (
        Made("aws:cloudwatch/logGroup:LogGroup", {"logGroupClass": "INFREQUENT_ACCESS"}),
        {(0.25, 1, "GB"), (0.03, 1, "GB-month"), (0.005, 1, "GB")},
    ),
}


@pytest.mark.assumes("prices")
@pytest.mark.parametrize(("resource", "units"), UNITS.values(), ids=UNITS.keys())
def test_what_is_used_up(resource: Made, units: set[tuple[float, int, str]]) -> None:
    prices = [charge.price for charge in charges_of(resource, [resource]).charges]
    assert {(price.usd, price.each, price.unit) for price in prices} == units


# Whole components and stacks


def made(recording: Recording) -> list[Made]:
    """What a program registered, as the command gets it."""
    found: list[Made] = []
    for r in recording.custom():
        parents = tuple(parent.urn for parent in recording.ancestors(r) if parent.type != STACK_TYPE)[::-1]
        found.append(Made(r.type, revealed(r.inputs), r.name, r.id, r.urn, revealed(r.state), parents))
    return found


def cost(recording: Recording, chat: Chat = Chat()) -> Estimate:  # noqa: B008 - it cannot be changed
    return estimate(made(recording), [], "us-east-1", chat)


def test_a_network() -> None:
    """Three NAT gateways, their addresses, and two endpoints in three zones."""

    def program() -> None:
        zones = ["us-east-1a", "us-east-1b", "us-east-1c"]
        endpoints = ["bedrock-runtime", "sts"]
        pulumi_llm.InferenceNetwork("net", {"zones": zones, "nat": "per_zone", "interface_endpoints": endpoints})
        aws.ec2.Eip("mine")

    found = cost(programs.run(program))
    idle = {each.component: each.idle_usd_month_least for each in found.components}
    network = 3 * (32.85 + 3.65) + 2 * 3 * 7.30
    assert idle == {Component("net", "llm:index:InferenceNetwork"): pytest.approx(network), Component("", ""): 3.65}
    assert found.idle_usd_month_least == found.idle_usd_month_most == pytest.approx(network + 3.65)
    assert found.not_priced == []


def test_a_gpu_cluster() -> None:
    """Two system nodes stay, and a GPU node for the model's server from 15:00 to 06:00."""
    args: Any = {
        "network": CLUSTER_NETWORK,
        "admins": ["arn:aws:iam::123456789012:role/deploy"],
        "domain": {"name": "models.example.com", "zone_id": "Z0123456789ABCDEFGHIJ"},
        "models": {"chat": QWEN},
        "node_pools": {"gpu": {"on_demand": {"max": 2}, "spot": {"max": 0}, "volume_gib": 200}},
        "system_nodes": {"min": 2, "max": 2},
    }
    of_aws = [each for each in made(programs.run(lambda: GpuInferenceCluster("gpu", args))) if each.type.startswith("aws:")]
    running = servers("chat", schedule=("0 15 * * *", "0 6 * * *"))
    found = estimate([*of_aws, *running], [], "us-east-1", Chat())
    fixed = 1 + 73 + 16.43 + 2 * (70.08 + 50 * 0.08)  # the key, the control plane, the balancer, the system nodes
    node = 884.76 + 200 * 0.08 + (500 - 125) * 0.04  # the instance, its disk and what that is faster
    assert found.idle_usd_month_least == pytest.approx(fixed + 15 / 24 * node, abs=0.02)
    # Two rotations of the key, and extended support.
    assert found.idle_usd_month_most == pytest.approx(fixed + 2 * node + 2 + 365, abs=0.02)
    assert found.not_priced == []


def test_dev_costs_nothing_while_idle_and_prod_its_web_acls(dev: Recording, prod: Recording) -> None:
    assert cost(dev).idle_usd_month_most == 0
    found = cost(prod)
    assert found.idle_usd_month_least == found.idle_usd_month_most == 20
    assert {each.component.name for each in found.idle} == {"frontend"}
    assert cost(dev).not_priced == found.not_priced == []


def test_a_thousand_chats(prod: Recording) -> None:
    """Of 1,000 tokens in 20 s: what the largest parts cost, from the figures on AWS's pages."""
    parts = {each.component.name: each.chat_parts for each in cost(prod, Chat(100, 1000, 20)).components}
    # 256 MB for 20 s, and 512 MB for 0.05 s of the authorizer.
    assert parts["chat"]["Lambda on arm64"] == pytest.approx(1000 * (0.25 * 20 + 0.5 * 0.05) * 0.0000133334)
    assert parts["chat"]["REST API, requests"] == pytest.approx(0.0035)
    assert parts["chat"]["Lambda, requests"] == pytest.approx(2 * 0.0002)
    # A message each 50 ms, three more, and the question.
    assert parts["websocket"]["WebSocket API, messages of 32 KB"] == pytest.approx(404 * 0.001)
    assert parts["websocket"]["WebSocket API, connections"] == pytest.approx(1000 * 20 / 60 * 0.25e-6)
    # Two web ACLs.
    assert parts["frontend"]["web ACL, requests"] == pytest.approx(2 * 0.0006)


# Models


def target(model: str, name: str = "", provider: str = "bedrock") -> Target:
    return Target(name or f"{provider}/{model}", provider, model, 100, 1000, ())


ARN = "arn:aws:bedrock:us-east-1:123456789012"
MODELS: dict[str, tuple[Target, tuple[float, float] | None, str]] = {
    "a foundation model": (target("openai.gpt-oss-20b-1:0", "bedrock/gpt-oss-20b"), (0.07, 0.30), ""),
    "by its ARN": (target("arn:aws:bedrock:us-east-1::foundation-model/openai.gpt-oss-20b-1:0"), (0.07, 0.30), ""),
    "an application's profile": (target(f"{ARN}:application-inference-profile/a1", "bedrock/gpt-oss-20b"), (0.07, 0.30), ""),
    "a second one": (target(f"{ARN}:application-inference-profile/a2", "bedrock/gpt-oss-20b-2"), (0.07, 0.30), ""),
    "an import": (target(f"{ARN}:imported-model/a1", "bedrock/gpt-oss-20b"), None, "copies and minutes"),
    "provisioned": (target(f"{ARN}:provisioned-model/a1", "bedrock/gpt-oss-20b"), None, "by the hour"),
    "unknown": (target("acme.new-v1:0"), None, "no such model"),
    "a provider's": (target("deepseek-chat", provider="deepseek"), None, "provider deepseek is not known"),
    "the mock": (target("mock", provider="mock"), (0, 0), "mock"),
}


@pytest.mark.parametrize(("model", "prices", "note"), MODELS.values(), ids=MODELS.keys())
def test_the_price_of_a_model(model: Target, prices: tuple[float, float] | None, note: str) -> None:
    routes = Routes((Alias("fast", (model,)),))
    (found,) = model_prices([routes, routes], {}, Chat(2000, 500))
    assert (found.usd_per_million_input, found.usd_per_million_output) == (prices or (None, None))
    expected = None if prices is None else pytest.approx(2 * prices[0] + 0.5 * prices[1])
    assert found.usd_per_thousand_chats == expected
    assert note in found.note


def test_the_price_of_a_model_on_gpus_of_ones_own() -> None:
    """A g5.2xlarge at 1.212 an hour that answers 500 tokens a second; its candidate, at half of that, is dearer."""

    def deployment(speed: str) -> Made:
        sizing = {"pulumi-llm/instance-type": "g5.2xlarge", "pulumi-llm/tokens-per-second": speed}
        metadata = {"labels": {"app.kubernetes.io/name": "small"}, "annotations": sizing}
        return Made("kubernetes:apps/v1:Deployment", {"metadata": metadata})

    other = Made("kubernetes:apps/v1:Deployment", {"metadata": {"name": "web"}})
    routes = Routes((Alias("fast", (target("small", provider="small"), target("small", provider="elsewhere"))),))
    resources = [other, deployment("500"), deployment("250")]
    own, others = estimate(resources, [routes], "us-east-1", Chat(2000, 1000)).models
    assert own.usd_per_million_input is None
    assert own.usd_per_million_output == pytest.approx(1.212 / 3600 / 250 * 1e6)
    assert own.usd_per_thousand_chats == pytest.approx(1.212 / 3600 / 250 * 1e6)
    assert "g5.2xlarge" in own.note
    assert others.usd_per_million_output is None


# The command


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["cost", *arguments])


def test_the_command_reads_the_program_and_its_routes() -> None:
    done = run(str(ROOT), "--stack=dev", "--json", "--input-tokens=2000", "--output-tokens=0", "--config=aws:region=us-west-2")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert (found["region"], found["prices_of"]) == ("us-west-2", "us-east-1")
    assert found["idle_usd_month_most"] == 0
    models = {each["alias"]: each for each in found["models"]}
    assert list(models) == ["deepseek-v3-2", "gpt-oss-20b", "claude-haiku-5-5"]
    assert models["gpt-oss-20b"]["usd_per_thousand_chats"] == pytest.approx(0.14)
    components = {each["component"]["type"]: each["usd_per_thousand_chats"] for each in found["components"]}
    assert set(components) == {"llm:index:ServerlessBedrockApi", "llm:index:WebSocketChat"}
    assert min(components.values()) > 0


PROGRAM = """\
import pulumi_aws as aws

aws.ec2.NatGateway("nat", subnet_id="subnet-1", allocation_id="eipalloc-1")
aws.rds.Cluster("db", engine="aurora-mysql")
"""


def test_the_command_shows_a_strangers_program(tmp_path: Path) -> None:
    (tmp_path / "Pulumi.yaml").write_text("name: shop\nruntime: python\n")
    (tmp_path / "Pulumi.qa.yaml").write_text("config: {'aws:region': eu-west-1}\n")
    (tmp_path / "__main__.py").write_text(PROGRAM)
    done = run(str(tmp_path), "--stack=qa")
    assert done.exit_code == 0, done.output
    said = " ".join(done.stdout.split())
    assert "The stack qa: $32.85 a month while idle." in said
    assert "Prices of us-east-1" in said
    assert "The stack is in eu-west-1, where prices may differ." in said
    assert "Not priced, and in no sum" in said
    assert "aws:rds/cluster:Cluster │ there is no price for resources of this type" in said
    done = run(str(tmp_path))
    assert (done.exit_code, done.stdout) == (1, "")
    assert "there is no stack 'dev'" in done.stderr
    done = run(str(tmp_path), "--config=size", "--invoke=x")
    assert (done.exit_code, len(done.stderr.splitlines())) == (2, 2)
