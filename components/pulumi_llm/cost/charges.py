"""What a resource is charged for, where that depends on its inputs."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from pulumi_llm.cost.charge import Charge, Resource, Unpriced, charge, counted, of_type
from pulumi_llm.cost.kept_nodes import NODE_GROUP
from pulumi_llm.cost.node_groups import node_group_charges
from pulumi_llm.cost.prices import price_table


class Charges(NamedTuple):
    """What a resource is charged for, and why that is not all; `unpriced` is empty where it is."""

    charges: Sequence[Charge]
    unpriced: str = ""


def charges_of(resource: Resource, resources: Sequence[Resource]) -> Charges:
    """Return what a resource is charged for; nothing where it costs nothing by itself.

    Args:
        resource: The resource.
        resources: All of the program, for what the resource refers to.
    """
    if resource.type not in CHARGES:
        return _charges_of_type(resource.type)
    found: list[Charge] = []
    try:
        for each in CHARGES[resource.type](resource, resources):
            found.append(each)  # one by one: what comes before an error stays
    except Unpriced as error:
        return Charges(found, str(error))
    return Charges(found)


def _charges_of_type(type: str) -> Charges:
    table = price_table()
    if type in table.types:
        return Charges([Charge(table.prices[name]) for name in table.types[type]])
    if table.why_free(type) is not None:
        return Charges([])
    return Charges([], "there is no price for resources of this type")


# Networks


def _vpc_endpoint(endpoint: Resource, _: Sequence[Resource]) -> Iterator[Charge]:
    """An interface endpoint is charged for in each zone, so for each of its subnets. Gateway endpoints are free.

    https://docs.aws.amazon.com/vpc/latest/privatelink/gateway-endpoints.html
    """
    kind = endpoint.inputs.get("vpcEndpointType") or "Gateway"
    if kind == "Gateway":
        return
    if kind != "Interface":
        raise Unpriced(f"there is no price for an endpoint of the type {kind}")
    zones = len(endpoint.inputs.get("subnetIds") or endpoint.inputs.get("subnetConfigurations") or ())
    yield charge("interface_endpoint_data")
    if not zones:
        raise Unpriced("it names no subnets, in each of which it is charged for")
    yield charge("interface_endpoint", zones, note=counted(zones, "zone"))


def _load_balancer(balancer: Resource, _: Sequence[Resource]) -> Iterator[Charge]:
    """One that faces the internet has a public address in each of its subnets."""
    kind = balancer.inputs.get("loadBalancerType") or "application"
    if kind not in ("application", "network"):
        raise Unpriced(f"there is no price for a load balancer of the type {kind}")
    yield charge(f"{kind}_balancer")
    yield charge(f"{kind}_balancer_lcu")
    if not balancer.inputs.get("internal"):
        zones = len(balancer.inputs.get("subnets") or balancer.inputs.get("subnetMappings") or ())
        yield charge("public_ipv4", zones, note=counted(zones, "address", "es"))
        yield charge("data_out")


def _record(record: Resource, _: Sequence[Resource]) -> Iterator[Charge]:
    """Queries of an alias of an AWS resource cost nothing. https://aws.amazon.com/route53/pricing/"""
    if not record.inputs.get("aliases"):
        yield charge("dns_queries")


def _certificate(certificate: Resource, _: Sequence[Resource]) -> Iterator[Charge]:
    """Certificates of a private authority and those that can be exported cost something; the others do not."""
    options: Mapping[str, Any] = certificate.inputs.get("options") or {}
    if certificate.inputs.get("certificateAuthorityArn") or options.get("export") == "ENABLED":
        raise Unpriced("there is no price for private and exportable certificates")
    yield from ()


# Functions and APIs


def _function(function: Resource, _: Sequence[Resource]) -> Iterator[Charge]:
    given = function.inputs
    yield charge("lambda_requests")
    yield charge(f"lambda_{architecture(function)}", note=f"{memory_gb(function):g} GB")
    storage: Mapping[str, Any] = given.get("ephemeralStorage") or {}
    if storage.get("size", 512) > 512:
        yield charge("lambda_storage")
    if given.get("snapStart"):
        raise Unpriced("there is no price for what SnapStart keeps and restores")
    if given.get("durableConfig"):
        raise Unpriced("there is no price for durable functions")


def architecture(function: Resource) -> str:
    """The processor of a function."""
    return (function.inputs.get("architectures") or ["x86_64"])[0]


def memory_gb(function: Resource) -> float:
    """The memory of a function. Lambda's default is 128 MB."""
    return float(function.inputs.get("memorySize") or 128) / 1024


def _provisioned_concurrency(config: Resource, resources: Sequence[Resource]) -> Iterator[Charge]:
    name = str(config.inputs.get("functionName"))
    function = next((each for each in of_type(resources, FUNCTION) if name in _names(each)), None)
    if function is None:
        raise Unpriced(f"the function {name} is not in the program, so its memory is not known")
    executions = float(config.inputs["provisionedConcurrentExecutions"])
    gigabytes = executions * memory_gb(function)
    yield charge(f"provisioned_{architecture(function)}", gigabytes, note=f"{gigabytes:g} GB")


def _names(function: Resource) -> tuple[str, str]:
    return str(function.state.get("name")), str(function.state.get("arn"))


def _rest_stage(stage: Resource, _: Sequence[Resource]) -> Iterator[Charge]:
    if stage.inputs.get("cacheClusterEnabled"):
        raise Unpriced("there is no price for a stage's cache")
    yield from ()


def _api(api: Resource, _: Sequence[Resource]) -> Iterator[Charge]:
    if api.inputs.get("protocolType") == "WEBSOCKET":
        yield charge("websocket_messages")
        yield charge("websocket_minutes")
    else:
        yield charge("http_requests")
    yield charge("data_out")


# The CDN and the web ACLs


def _distribution(distribution: Resource, _: Sequence[Resource]) -> Iterator[Charge]:
    certificate: Mapping[str, Any] = distribution.inputs.get("viewerCertificate") or {}
    if certificate.get("sslSupportMethod") == "vip":
        yield charge("cloudfront_dedicated_ip")
    yield charge("cloudfront_data")
    yield charge("cloudfront_requests")


# AWS charges more for these. https://aws.amazon.com/waf/pricing/
_PAID_GROUPS: Final = ("AntiDDoS", "ATPRuleSet", "ACFPRuleSet", "BotControl")


def _web_acl(acl: Resource, _: Sequence[Resource]) -> Iterator[Charge]:
    """Each rule is charged for; a group of AWS's rules counts as one."""
    rules: Sequence[Mapping[str, Any]] = acl.inputs.get("rules") or ()
    yield charge("web_acl")
    yield charge("web_acl_rule", len(rules), note=counted(len(rules), "rule"))
    yield charge("web_acl_requests")
    text = json.dumps(rules, default=str)
    if paid := [group for group in _PAID_GROUPS if group in text]:
        raise Unpriced(f"there is no price for what the groups of rules cost besides: {', '.join(paid)}")


# Data


def _table(table: Resource, _: Sequence[Resource]) -> Iterator[Charge]:
    given = table.inputs
    if given.get("tableClass", "STANDARD") != "STANDARD":
        raise Unpriced(f"there is no price for the table class {given['tableClass']}")
    if given.get("billingMode") == "PAY_PER_REQUEST":
        yield charge("dynamodb_writes")
        yield charge("dynamodb_reads")
    else:
        indexes: Sequence[Mapping[str, Any]] = given.get("globalSecondaryIndexes") or ()
        for kind in ("write", "read"):
            units = sum(float(each.get(f"{kind}Capacity") or 0) for each in (given, *indexes))
            yield charge(f"dynamodb_{kind}_capacity", units, note=counted(units, "unit"))
    yield charge("dynamodb_storage")
    recovery: Mapping[str, Any] = given.get("pointInTimeRecovery") or {}
    if recovery.get("enabled"):
        yield charge("dynamodb_backup")
    if given.get("streamEnabled"):
        yield charge("dynamodb_streams")
    if given.get("replicas"):
        raise Unpriced("there is no price for replicas in other Regions")


def _queue(queue: Resource, _: Sequence[Resource]) -> Iterator[Charge]:
    yield charge("sqs_fifo_requests" if queue.inputs.get("fifoQueue") else "sqs_requests")


# Keys and parameters


def _key(key: Resource, _: Sequence[Resource]) -> Iterator[Charge]:
    """With rotation, each of the first two adds to the price, once a year by default.

    https://docs.aws.amazon.com/kms/latest/developerguide/rotate-keys.html
    """
    yield charge("kms_key")
    if key.inputs.get("enableKeyRotation"):
        yield charge("kms_rotated", 0, 2, "after one and two rotations")
    yield charge("kms_requests")


def _parameter(parameter: Resource, _: Sequence[Resource]) -> Iterator[Charge]:
    """Standard parameters cost nothing. https://aws.amazon.com/systems-manager/pricing/"""
    tier = parameter.inputs.get("tier") or "Standard"
    if tier == "Advanced":
        yield charge("advanced_parameter")
        yield charge("advanced_parameter_requests")
    elif tier == "Intelligent-Tiering":
        yield charge("advanced_parameter", 0, 1, "if AWS makes it an advanced one")


# Logs and alarms


def _log_group(group: Resource, _: Sequence[Resource]) -> Iterator[Charge]:
    kind = group.inputs.get("logGroupClass") or "STANDARD"
    if kind not in ("STANDARD", "INFREQUENT_ACCESS"):
        raise Unpriced(f"there is no price for the class {kind} of log groups")
    yield charge("logs" if kind == "STANDARD" else "logs_infrequent")
    yield charge("logs_storage")
    yield charge("logs_queries")


def _metric_alarm(alarm: Resource, _: Sequence[Resource]) -> Iterator[Charge]:
    """An alarm is charged for each metric that it reads; one that detects anomalies, for three of them.

    https://aws.amazon.com/cloudwatch/pricing/
    """
    queries: Sequence[Mapping[str, Any]] = alarm.inputs.get("metricQueries") or ()
    metrics: Sequence[Mapping[str, Any]] = [each["metric"] for each in queries if each.get("metric")]
    expressions = [str(each.get("expression") or "") for each in queries]
    if any(text.upper().startswith("SELECT") for text in expressions):
        raise Unpriced("there is no price for an alarm on a query of Metrics Insights")
    periods = [float(each.get("period") or 60) for each in (metrics or [alarm.inputs])]
    count = max(len(metrics), 1) * (3 if any("ANOMALY_DETECTION_BAND" in text for text in expressions) else 1)
    yield charge("alarm_metric_fast" if min(periods) < 60 else "alarm_metric", count, note=counted(count, "metric"))


def _metric_filter(_: Resource, __: Sequence[Resource]) -> Iterator[Charge]:
    """A metric is charged for from its first value on, and each set of its dimensions by itself."""
    yield charge("custom_metric", 0, 1, "once it has values; more with dimensions")


# Kubernetes


def _cluster(cluster: Resource, _: Sequence[Resource]) -> Iterator[Charge]:
    """Where a version may stay after its standard support, the control plane costs more from then on.

    https://docs.aws.amazon.com/eks/latest/userguide/view-upgrade-policy.html
    """
    yield charge("eks_cluster")
    policy: Mapping[str, Any] = cluster.inputs.get("upgradePolicy") or {}
    if policy.get("supportType") != "STANDARD":
        yield charge("eks_extended", 0, 1, "from the end of the version's standard support on")
    compute: Mapping[str, Any] = cluster.inputs.get("computeConfig") or {}
    if compute.get("enabled"):
        raise Unpriced("there is no price for the nodes that Auto Mode makes")
    if cluster.inputs.get("controlPlaneScalingConfig"):
        raise Unpriced("there is no price for what a provisioned control plane costs besides")


def _service(service: Resource, _: Sequence[Resource]) -> Iterator[Charge]:
    spec: Mapping[str, Any] = service.inputs.get("spec") or {}
    if spec.get("type") == "LoadBalancer":
        raise Unpriced("the cluster makes a load balancer for it, of which the program does not tell the kind")
    yield from ()


def _ingress(_: Resource, __: Sequence[Resource]) -> Iterator[Charge]:
    raise Unpriced("a controller may make a load balancer for it, of which the program does not tell the kind")
    yield  # as the others, it is an iterator


def _volume_claim(_: Resource, __: Sequence[Resource]) -> Iterator[Charge]:
    raise Unpriced("the cluster makes a volume for it, of which the program does not tell the kind")
    yield


def _stateful_set(stateful_set: Resource, _: Sequence[Resource]) -> Iterator[Charge]:
    spec: Mapping[str, Any] = stateful_set.inputs.get("spec") or {}
    if spec.get("volumeClaimTemplates"):
        raise Unpriced("the cluster makes volumes for it, of which the program does not tell the kind")
    yield from ()


FUNCTION: Final = "aws:lambda/function:Function"

CHARGES: Final[Mapping[str, Callable[[Resource, Sequence[Resource]], Iterator[Charge]]]] = {
    "aws:acm/certificate:Certificate": _certificate,
    "aws:apigateway/stage:Stage": _rest_stage,
    "aws:apigatewayv2/api:Api": _api,
    "aws:cloudfront/distribution:Distribution": _distribution,
    "aws:cloudwatch/logGroup:LogGroup": _log_group,
    "aws:cloudwatch/logMetricFilter:LogMetricFilter": _metric_filter,
    "aws:cloudwatch/metricAlarm:MetricAlarm": _metric_alarm,
    "aws:dynamodb/table:Table": _table,
    "aws:ec2/vpcEndpoint:VpcEndpoint": _vpc_endpoint,
    "aws:eks/cluster:Cluster": _cluster,
    NODE_GROUP: node_group_charges,
    "aws:kms/key:Key": _key,
    FUNCTION: _function,
    "aws:lambda/provisionedConcurrencyConfig:ProvisionedConcurrencyConfig": _provisioned_concurrency,
    "aws:lb/loadBalancer:LoadBalancer": _load_balancer,
    "aws:route53/record:Record": _record,
    "aws:sqs/queue:Queue": _queue,
    "aws:ssm/parameter:Parameter": _parameter,
    "aws:wafv2/webAcl:WebAcl": _web_acl,
    "kubernetes:apps/v1:StatefulSet": _stateful_set,
    "kubernetes:core/v1:PersistentVolumeClaim": _volume_claim,
    "kubernetes:core/v1:Service": _service,
    "kubernetes:networking.k8s.io/v1:Ingress": _ingress,
}
"""The charges of each type that depend on the resource. Types without an entry stand in the table of prices."""
