"""The GPU cluster: who reaches it, its nodes, its permissions, its balancer, and what is refused."""

import fnmatch
import json
from datetime import date
from typing import Any

import pulumi
import pytest

from pulumi_llm.base.settings import read
from pulumi_llm.gpu_inference_cluster.args import GpuInferenceClusterSettings
from pulumi_llm.gpu_inference_cluster.component import GpuInferenceCluster
from pulumi_llm.gpu_inference_cluster.kubernetes_versions import VERSIONS, support_notice
from support import programs
from support.programs import Recording
from support.served_models import CLUSTER_NETWORK, IMAGE, QWEN, REVISION

KEY = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
DEPLOYER = "arn:aws:iam::123456789012:role/deploy"
CERTIFICATE = "arn:aws:acm:us-east-1:123456789012:certificate/1234abcd-12ab-34cd-56ef-1234567890ab"
ARGS: dict[str, Any] = {
    "network": CLUSTER_NETWORK,
    "admins": [DEPLOYER],
    "domain": {"name": "models.example.com", "zone_id": "Z0123456789ABCDEFGHIJ"},
    "models": {"chat": QWEN},
}


def made(**settings: Any) -> Recording:
    """A cluster with these settings."""
    args: Any = {**ARGS, **settings}
    return programs.run(lambda: GpuInferenceCluster("gpu", args))


@pytest.fixture(scope="module")
def least() -> Recording:
    return made()


# The cluster.


def test_only_admins_reach_the_cluster_and_only_from_the_network(least: Recording) -> None:
    cluster = least.inputs("gpu-cluster")
    assert cluster["accessConfig"] == {"authenticationMode": "API", "bootstrapClusterCreatorAdminPermissions": False}
    assert cluster["vpcConfig"]["endpointPrivateAccess"] is True
    assert cluster["vpcConfig"]["endpointPublicAccess"] is False
    assert least.inputs("gpu-admin-1")["principalArn"] == DEPLOYER
    assert least.inputs("gpu-admin-policy-1")["policyArn"].endswith("/AmazonEKSClusterAdminPolicy")
    opened = made(endpoint_public_cidrs=["203.0.113.0/24"]).inputs("gpu-cluster")["vpcConfig"]
    assert (opened["endpointPublicAccess"], opened["publicAccessCidrs"]) == (True, ["203.0.113.0/24"])


def test_the_control_plane_s_logs_are_in_a_group_that_ends_them(least: Recording) -> None:
    """EKS writes to a group by the cluster's name, and makes it without an end where it is not there before the cluster."""
    cluster, logs = least.named("gpu-cluster"), least.named("gpu-cluster-logs")
    assert logs.inputs["name"] == f"/aws/eks/{cluster.inputs['name']}/cluster"
    assert logs.inputs["retentionInDays"] == 90
    assert logs.urn in cluster.dependencies
    assert set(cluster.inputs["enabledClusterLogTypes"]) == {
        *("api", "audit", "authenticator", "controllerManager", "scheduler")
    }


def test_secrets_are_encrypted_with_a_key(least: Recording) -> None:
    key = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
    own = least.inputs("gpu-cluster")["encryptionConfig"]
    assert own == {"provider": {"keyArn": least.named("gpu-secrets-key").state["arn"]}, "resources": ["secrets"]}
    # EKS takes no other key later, so the one that a cluster has must not go while the cluster stays.
    assert least.named("gpu-secrets-key").protect
    assert not made(deletion_protection=False).named("gpu-secrets-key").protect
    given = made(kms_key_arn=key)
    assert given.inputs("gpu-cluster")["encryptionConfig"]["provider"] == {"keyArn": key}
    assert given.inputs("gpu-cluster-logs")["kmsKeyId"] == key
    assert "gpu-secrets-key" not in given.names()


@pytest.mark.assumes("eks-versions")
@pytest.mark.parametrize("version", VERSIONS)
def test_add_ons_are_pinned_and_of_the_cluster_s_version(version: str) -> None:
    recording = made(kubernetes_version=version)
    addons = {each.inputs["addonName"]: each for each in recording.of_type("aws:eks/addon:Addon")}
    assert {name: each.inputs["addonVersion"] for name, each in addons.items()} == dict(VERSIONS[version].addons)
    assert addons["kube-proxy"].inputs["addonVersion"].startswith(f"v{version}.")
    # Without it, NetworkPolicies have no effect.
    assert json.loads(addons["vpc-cni"].inputs["configurationValues"]) == {"enableNetworkPolicy": "true"}
    # Nodes are not ready without a network, and DNS is not ready without nodes.
    nodes = recording.named("gpu-system-node-group")
    assert {addons["vpc-cni"].urn, addons["kube-proxy"].urn} <= set(nodes.dependencies)
    assert nodes.urn in addons["coredns"].dependencies
    tag = recording.inputs("gpu-autoscaler-chart")["values"]["image"]["tag"]
    assert tag == VERSIONS[version].autoscaler


def test_the_end_of_a_version_s_support_is_told() -> None:
    told = {
        day: support_notice("1.34", day) for day in (date(2026, 9, 1), date(2026, 11, 29), date(2027, 1, 1), date(2028, 1, 1))
    }
    assert ["ends on" in told[day] for day in told] == [False, True, False, False]
    assert ["0.60" in told[day] for day in told] == [False, True, True, False]
    assert "support ended on 2027-12-02" in told[date(2028, 1, 1)]
    assert support_notice("1.35", date(2026, 11, 29)) == ""


# The nodes.


def test_the_nodes_of_a_pool(least: Recording) -> None:
    for capacity, kind in (("on-demand", "ON_DEMAND"), ("spot", "SPOT")):
        group, template = (least.inputs(f"gpu-{part}-gpu-{capacity}") for part in ("node-group", "launch-template"))
        assert (group["capacityType"], group["instanceTypes"], group["amiType"]) == (
            *(kind, ["g5.2xlarge"], "AL2023_x86_64_NVIDIA"),
        )
        assert group["taints"] == [{"key": "nvidia.com/gpu", "value": "true", "effect": "NO_SCHEDULE"}]
        assert group["nodeRepairConfig"] == {"enabled": True}
        # Without a release, another tag would bring another driver, too.
        assert group["releaseVersion"] == VERSIONS["1.35"].node_release
        # No GPUs beyond the group's own are asked for while it is updated.
        assert group["updateConfig"] == {"maxUnavailable": 1, "updateStrategy": "MINIMAL"}
        assert group["scalingConfig"] == {"minSize": 0, "maxSize": 1, "desiredSize": 0}
        (disk,) = template["blockDeviceMappings"]
        assert {key: disk["ebs"][key] for key in ("volumeType", "encrypted", "volumeSize", "throughput", "iops")} == {
            **{"volumeType": "gp3", "encrypted": "true", "volumeSize": 200, "throughput": 500, "iops": 3000}
        }
        assert template["metadataOptions"]["httpTokens"] == "required"
        assert template["metadataOptions"]["httpPutResponseHopLimit"] == 1
        cluster_group = least.named("gpu-cluster").state["vpcConfig"]["clusterSecurityGroupId"]
        assert template["vpcSecurityGroupIds"] == [cluster_group, "sg-service"]


def test_the_autoscaler_knows_what_a_node_will_be_like(least: Recording) -> None:
    """A group without nodes tells it by tags, which are those of its nodes: GPUs, disk, labels, taint."""
    group = least.named("gpu-node-group-gpu-on-demand")
    tags = [each.inputs for each in least.of_type("aws:autoscaling/tag:Tag") if "on-demand" in each.name]
    assert {each["autoscalingGroupName"] for each in tags} == {group.state["resources"][0]["autoscalingGroups"][0]["name"]}
    told = {each["tag"]["key"].partition("node-template/")[2]: each["tag"]["value"] for each in tags}
    labels = {f"label/{key}": value for key, value in group.inputs["labels"].items() if key != "nvidia.com/gpu.present"}
    assert told == {
        "resources/nvidia.com/gpu": "1",
        # What is left to pods of a disk of 200 GiB.
        "resources/ephemeral-storage": "178Gi",
        "taint/nvidia.com/gpu": "true:NoSchedule",
        **labels,
    }


def test_nodes_on_demand_come_first(least: Recording) -> None:
    values = least.inputs("gpu-autoscaler-chart")["values"]
    assert values["extraArgs"]["expander"] == "priority"
    order = {int(priority): patterns for priority, patterns in values["expanderPriorities"].items()}
    assert ["on-demand" in order[max(order)][0], "spot" in order[sorted(order)[-2]][0]] == [True, True]


@pytest.mark.parametrize("block", [False, True])
def test_a_capacity_reservation_is_of_the_nodes_on_demand(block: bool) -> None:
    pool = {"instance_type": "p5.48xlarge", "capacity_reservation_id": "cr-1", "capacity_block": block, "spot": {"max": 0}}
    recording = made(node_pools={"gpu": pool})
    template, group = recording.inputs("gpu-launch-template-gpu-on-demand"), recording.inputs("gpu-node-group-gpu-on-demand")
    target = template["capacityReservationSpecification"]["capacityReservationTarget"]
    assert target == {"capacityReservationId": "cr-1"}
    # A block's instance type stands in the launch template, and then not in the group.
    assert template.get("instanceMarketOptions") == ({"marketType": "capacity-block"} if block else None)
    assert (template.get("instanceType"), group.get("instanceTypes")) == (
        ("p5.48xlarge", None) if block else (None, ["p5.48xlarge"])
    )
    assert group["capacityType"] == ("CAPACITY_BLOCK" if block else "ON_DEMAND")
    assert "gpu-node-group-gpu-spot" not in recording.names()


# Permissions.


def test_a_role_is_for_the_pods_of_one_service_account(least: Recording) -> None:
    associations = {
        each.inputs["roleArn"]: each.inputs for each in least.of_type("aws:eks/podIdentityAssociation:PodIdentityAssociation")
    }
    roles = {each.state["arn"]: each for each in least.of_type("aws:iam/role:Role")}
    for arn, association in associations.items():
        (statement,) = json.loads(roles[arn].inputs["assumeRolePolicy"])["Statement"]
        assert statement["Principal"] == {"Service": "pods.eks.amazonaws.com"}
        assert statement["Condition"]["StringEquals"] == {
            "aws:RequestTag/eks-cluster-name": association["clusterName"],
            "aws:RequestTag/kubernetes-namespace": association["namespace"],
            "aws:RequestTag/kubernetes-service-account": association["serviceAccount"],
        }
    assert {each["serviceAccount"] for each in associations.values()} == {
        *("keda-operator", "aws-load-balancer-controller", "cluster-autoscaler")
    }


def test_controllers_may_do_no_more_than_they_do(least: Recording) -> None:
    def changes(key: str) -> dict[str, Any]:
        statements = json.loads(least.inputs(f"gpu-{key}-policy")["policy"])["Statement"]
        return {action: statement for statement in statements for action in statement["Action"] if ":Describe" not in action}

    name = least.inputs("gpu-cluster")["name"]
    group = least.named("gpu-target-group-chat-" + version_hash(least))
    registers = changes("controller")
    assert set(registers) == {f"elasticloadbalancing:{verb}Targets" for verb in ("Register", "Deregister")}
    # Groups of versions that are going, too: the program's own are known by their tag.
    for statement in registers.values():
        assert fnmatch.fnmatchcase(group.state["arn"], statement["Resource"])
        ((key, value),) = statement["Condition"]["StringEquals"].items()
        assert group.inputs["tags"][key.removeprefix("aws:ResourceTag/")] == value == name
    scales = changes("autoscaler")
    assert scales["autoscaling:SetDesiredCapacity"]["Condition"] == {
        "StringEquals": {f"aws:ResourceTag/k8s.io/cluster-autoscaler/{name}": "owned"}
    }
    counts = changes("keda")
    assert counts["sqs:GetQueueAttributes"]["Resource"] == [least.named("gpu-demand-chat").state["arn"]]


def test_prometheus_scrapes_the_model_servers_and_itself_alone(least: Recording) -> None:
    """The chart makes YAML of its map `scrapeConfigs`; its text `extraScrapeConfigs` must be such YAML already."""
    values = least.inputs("gpu-prometheus-chart")["values"]
    assert "extraScrapeConfigs" not in values
    jobs = {name: job for name, job in values["scrapeConfigs"].items() if job.get("enabled", True)}
    assert set(jobs) == {"model-servers"}
    assert jobs["model-servers"]["kubernetes_sd_configs"] == [{"role": "pod", "namespaces": {"names": ["models"]}}]
    assert "job_name" not in jobs["model-servers"]


def test_a_cluster_that_is_not_reached_is_not_taken_for_gone(least: Recording) -> None:
    assert "deleteUnreachable" not in least.inputs("gpu-kubernetes")


# The balancer.


def version_hash(recording: Recording, model: str = "chat") -> str:
    """The hash of the only version of a model."""
    start = f"gpu-target-group-{model}-"
    (found,) = [name.removeprefix(start) for name in recording.names() if name.startswith(start)]
    return found


def test_a_model_is_called_by_its_paths_over_https_alone(least: Recording) -> None:
    listener, balancer = least.inputs("gpu-listener"), least.inputs("gpu-balancer")
    assert (balancer["internal"], balancer["securityGroups"], balancer["subnets"]) == (
        *(True, ["sg-balancer"], ["subnet-3", "subnet-4"]),
    )
    # A call that is not streamed is silent for as long as it may take.
    assert 900 < balancer["idleTimeout"] <= 4000
    # A server that closed a connection first would make the balancer answer 502.
    pod = least.inputs(f"gpu-deployment-chat-{version_hash(least)}")["spec"]["template"]["spec"]
    environment = {each["name"]: each.get("value") for each in pod["containers"][0]["env"]}
    assert int(environment["VLLM_HTTP_TIMEOUT_KEEP_ALIVE"]) > balancer["idleTimeout"]
    assert (listener["port"], listener["protocol"]) == (443, "HTTPS")
    (nothing,) = listener["defaultActions"]
    assert nothing["fixedResponse"]["statusCode"] == "404"
    assert json.loads(nothing["fixedResponse"]["messageBody"])["error"]["code"] == "not_found"
    rule, group = least.inputs("gpu-rule-chat"), least.named(f"gpu-target-group-chat-{version_hash(least)}")
    (paths,) = rule["conditions"]
    assert set(paths["pathPattern"]["values"]) == {
        f"/chat/v1/{path}" for path in ("chat/completions", "completions", "embeddings", "models", "responses")
    }
    assert rule["actions"] == [{"type": "forward", "targetGroupArn": group.state["arn"]}]
    assert (group.inputs["protocol"], group.inputs["port"], group.inputs["targetType"]) == ("HTTPS", 8000, "ip")
    assert group.inputs["deregistrationDelay"] == 120
    assert group.inputs["healthCheck"]["path"] == "/health"
    assert group.inputs["stickiness"] == {
        **{"enabled": True, "type": "app_cookie", "cookieName": "LlmServiceStickiness", "cookieDuration": 900}
    }


def test_a_candidate_has_targets_of_its_own_and_its_share() -> None:
    candidate = {"weight": 20, "image": IMAGE.replace("a" * 64, "b" * 64)}
    recording = made(models={"chat": {**QWEN, "candidate": candidate}})
    (action,) = recording.inputs("gpu-rule-chat")["actions"]
    groups = {each.state["arn"]: each for each in recording.of_type("aws:lb/targetGroup:TargetGroup")}
    assert len({each.inputs["name"] for each in groups.values()}) == 2
    assert sorted(each["weight"] for each in action["forward"]["targetGroups"]) == [20, 80]
    assert {each["arn"] for each in action["forward"]["targetGroups"]} == set(groups)
    assert action["forward"]["stickiness"] == {"enabled": True, "duration": 900}
    # Each is checked before it gets traffic.
    checks = [each for each in recording.of_type("aws:lb/listenerRule:ListenerRule") if "-check-rule-" in each.name]
    assert {each.inputs["actions"][0]["targetGroupArn"] for each in checks} == set(groups)


def test_a_longer_drain_is_waited_for_everywhere() -> None:
    recording = made(models={"chat": {**QWEN, "drain_seconds": 900}})
    pod = recording.inputs(f"gpu-deployment-chat-{version_hash(recording)}")["spec"]["template"]["spec"]
    (server,) = pod["containers"]
    assert server["args"][server["args"].index("--shutdown-timeout") + 1] == "900"
    grace = pod["terminationGracePeriodSeconds"]
    assert grace == 15 + 900 + 15
    assert recording.inputs(f"gpu-target-group-chat-{version_hash(recording)}")["deregistrationDelay"] >= grace
    assert recording.inputs("gpu-autoscaler-chart")["values"]["extraArgs"]["max-graceful-termination-sec"] >= grace


def test_a_pool_without_a_gpu_to_spare_is_told(caplog: pytest.LogCaptureFixture) -> None:
    made()
    assert "an update will wait for a GPU" not in caplog.text
    made(node_pools={"gpu": {"spot": {"max": 0}}})
    assert "node_pools.gpu has at most 1 GPUs" in caplog.text


def test_weights_are_read_until_the_last_server_of_a_version_is_gone() -> None:
    """Each folder has a policy of its own: a new version's comes first, and the old one's goes last."""
    old, new = (
        made(models={"chat": {**QWEN, "revision": None, "weights_uri": f"s3://weights/{folder}", "weights_kms_key_arn": KEY}})
        for folder in ("v1", "v2")
    )
    policies = [{each.name: each for each in recording.of_type("aws:iam/rolePolicy:RolePolicy")} for recording in (old, new)]
    own = [{name for name in found if "-model-policy-" in name} for found in policies]
    assert len(own[0]) == len(own[1]) == 1 and own[0] != own[1]
    (name,) = own[1]
    read, find, decrypt = json.loads(policies[1][name].inputs["policy"])["Statement"]
    assert (read["Resource"], find["Resource"]) == ("arn:aws:s3:::weights/v2/*", "arn:aws:s3:::weights")
    assert (decrypt["Action"], decrypt["Resource"]) == (["kms:Decrypt"], KEY)
    assert decrypt["Condition"] == {"StringLike": {"kms:ViaService": "s3.us-east-1.*"}}


# Callers in other VPCs.

CONSUMER = "arn:aws:iam::210987654321:root"


@pytest.mark.assumes("private-link")
def test_callers_in_other_vpcs_come_by_an_endpoint_service() -> None:
    recording = made(private_link={"allowed_principals": [CONSUMER]})
    service, front = recording.inputs("gpu-endpoint-service"), recording.named("gpu-nlb")
    assert (service["acceptanceRequired"], service["allowedPrincipals"]) == (True, [CONSUMER])
    assert service["networkLoadBalancerArns"] == [front.state["arn"]]
    assert (front.inputs["loadBalancerType"], front.inputs["internal"]) == ("network", True)
    # The internal balancer ends TLS, and is there with or without models.
    target, group = recording.named("gpu-nlb-target"), recording.named("gpu-nlb-target-group")
    assert (group.inputs["targetType"], group.inputs["protocol"], group.inputs["port"]) == ("alb", "TCP", 443)
    assert group.inputs["healthCheck"] == {"protocol": "HTTPS", "path": "/", "matcher": "404"}
    assert target.inputs["targetId"] == recording.named("gpu-balancer").state["arn"]
    assert recording.named("gpu-listener").urn in target.dependencies
    listener = recording.inputs("gpu-nlb-listener")
    assert (listener["protocol"], listener["port"], listener["tcpIdleTimeoutSeconds"]) == ("TCP", 443, 920)


def test_nobody_in_the_vpc_goes_around_the_balancer_s_group() -> None:
    """The network balancer has no inbound rule, and the traffic of PrivateLink, which is of another VPC, needs none."""
    recording = made(private_link={"allowed_principals": [CONSUMER]})
    front, group = recording.inputs("gpu-nlb"), recording.named("gpu-nlb-security-group")
    assert front["securityGroups"] == [group.id]
    assert front["enforceSecurityGroupInboundRulesOnPrivateLinkTraffic"] == "off"
    rules = recording.of_type("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule")
    assert [each.inputs["securityGroupId"] for each in rules] == ["sg-balancer"]
    out, into = recording.inputs("gpu-nlb-to-balancer"), recording.inputs("gpu-balancer-from-nlb")
    assert (out["securityGroupId"], out["referencedSecurityGroupId"]) == (group.id, "sg-balancer")
    assert into["referencedSecurityGroupId"] == group.id
    assert {(each["fromPort"], each["toPort"]) for each in (out, into)} == {(443, 443)}


@pytest.mark.parametrize(
    ("domain", "zone_id", "verified"),
    [
        ({"zone_id": "Z0PUBLIC"}, None, "Z0PUBLIC"),
        # With a certificate of one's own, the zone may be a private one.
        ({"zone_id": "Z0PRIVATE", "certificate_arn": CERTIFICATE}, None, None),
        ({"zone_id": "Z0PRIVATE", "certificate_arn": CERTIFICATE}, "Z0PUBLIC", "Z0PUBLIC"),
    ],
)
def test_callers_endpoints_have_the_domain_where_it_is_proved(
    domain: dict[str, str], zone_id: str | None, verified: str | None
) -> None:
    link = {"allowed_principals": [CONSUMER], **({"zone_id": zone_id} if zone_id else {})}
    recording = made(domain={"name": "models.example.com", **domain}, private_link=link)
    service = recording.named("gpu-endpoint-service")
    assert service.inputs.get("privateDnsName") == ("models.example.com" if verified else None)
    assert ("gpu-endpoint-service-record" in recording.names()) is (verified is not None)
    if verified:
        record, (proof,) = recording.inputs("gpu-endpoint-service-record"), service.state["privateDnsNameConfigurations"]
        assert (record["zoneId"], record["type"], record["records"]) == (verified, "TXT", [proof["value"]])
        assert record["name"] == f"{proof['name']}.models.example.com"
        check = recording.named("gpu-endpoint-service-verification")
        assert recording.named("gpu-endpoint-service-record").urn in check.dependencies


def test_names_of_target_groups_fit_and_differ() -> None:
    long = "a-model-with-a-name-of-forty-characters"
    recording = made(models={long: QWEN, f"{long}s": QWEN})
    names = [each.inputs["name"] for each in recording.of_type("aws:lb/targetGroup:TargetGroup")]
    assert len(set(names)) == 2
    assert all(len(name) <= 32 and not name.startswith("-") and "--" not in name for name in names)


def test_a_grpc_model_is_called_by_its_header_on_a_port_of_its_own() -> None:
    recording = made(models={"own": {"pool": "gpu", "image": IMAGE, "grpc": True}})
    group = recording.inputs(f"gpu-target-group-own-{version_hash(recording, 'own')}")
    assert (group["protocolVersion"], group["protocol"], group["port"]) == ("GRPC", "HTTP", 50051)
    headers = [condition["httpHeader"] for condition in recording.inputs("gpu-rule-own")["conditions"]]
    assert {each["httpHeaderName"]: each["values"] for each in headers} == {
        **{"content-type": ["application/grpc*"], "llm-model": ["own"]}
    }
    opened = recording.inputs("gpu-grpc-from-balancer")
    assert (opened["securityGroupId"], opened["referencedSecurityGroupId"], opened["fromPort"]) == (
        *("sg-service", "sg-balancer", 50051),
    )


DOMAINS: list[tuple[dict[str, Any], set[str]]] = [
    ({"zone_id": "Z1"}, {"certificate", "certificate-record", "certificate-validation", "record"}),
    ({"zone_id": "Z1", "certificate_arn": CERTIFICATE}, {"record"}),
    ({"certificate_arn": CERTIFICATE}, set()),
]


@pytest.mark.parametrize(("domain", "expected"), DOMAINS)
def test_the_domain_s_certificate_and_record(domain: dict[str, Any], expected: set[str]) -> None:
    recording = made(domain={"name": "models.example.com", **domain})
    found = {name.removeprefix("gpu-") for name in recording.names() if "certificate" in name or name == "gpu-record"}
    assert found == expected
    if "certificate_arn" in domain:
        assert recording.inputs("gpu-listener")["certificateArn"] == CERTIFICATE


def test_each_model_is_a_provider_of_the_gateway() -> None:
    found: list[Any] = []

    def program() -> None:
        cluster = GpuInferenceCluster("gpu", ARGS)  # type: ignore[arg-type]
        found.append(cluster.providers)
        pulumi.export("queue", cluster.providers["chat"]["wake_queue"]["url"])

    recording = programs.run(program)
    ((provider,),) = (each.values() for each in found)
    assert provider["base_url"] == "https://models.example.com/chat/v1"
    assert provider["stickiness_cookie"] == "LlmServiceStickiness"
    assert provider["cache_salt"] is True
    assert recording.stack_outputs["queue"] == recording.named("gpu-demand-chat").state["url"]


# What is refused.

BAD: list[tuple[dict[str, Any], list[str]]] = [
    ({"endpoint_public_cidrs": ["0.0.0.0/0"]}, ["endpoint_public_cidrs[0]", "opens the cluster's API"]),
    ({"admins": []}, ["admins: must hold at least one"]),
    ({"endpoint_public_cidrs": ["192.168.0.0/24"]}, ["endpoint_public_cidrs[0]", "no range of the internet"]),
    ({"kubernetes_version": 1.35}, ["kubernetes_version: must be text, not the number 1.35: write it in quotes"]),
    ({"node_release": "1.34.9-20260714"}, ["node_release: must be of Kubernetes 1.35, not 1.34.9-20260714"]),
    ({"models": {"chat": {**QWEN, "image": IMAGE.replace("v0.33.0", "v0.17.1")}}}, ["models.chat.image: is of vLLM 0.17 by"]),
    ({"models": {"chat": {**QWEN, "weights_kms_key_arn": KEY}}}, ["models.chat.weights_kms_key_arn: is of weights in S3"]),
    ({"kubernetes_version": "1.30"}, ["kubernetes_version: must be '1.34', '1.35' or '1.36', not '1.30'"]),
    ({"node_pools": {"gpu": {"instance_type": "m5.large"}}}, ["node_pools.gpu.instance_type", "no GPU instance"]),
    ({"node_pools": {"gpu": {"on_demand": {"min": 2, "max": 1}}}}, ["node_pools.gpu.on_demand.min: must be at most max"]),
    ({"node_pools": {"gpu": {"on_demand": {"max": 0}, "spot": {"max": 0}}}}, ["the pool has no nodes"]),
    ({"node_pools": {"gpu": {"capacity_block": True}}}, ["capacity_reservation_id: is required", "spot.max: must be 0"]),
    ({"models": {"v1": QWEN}}, ["models.v1", "begins a path of the servers' own"]),
    ({"models": {"chat": {**QWEN, "pool": "big"}}}, ["models.chat.pool: there is no pool 'big'; there are gpu"]),
    (
        {"models": {"chat": {**QWEN, "model": "qwen3-32b", "revision": REVISION}}},
        ["models.chat: does not fit g5.2xlarge", "the smallest that it fits is"],
    ),
    (
        {
            "models": {"chat": {**QWEN, "model": "qwen3-32b"}},
            "node_pools": {"gpu": {"instance_type": "g5.12xlarge", "volume_gib": 60}},
        },
        ["node_pools.gpu.volume_gib: must be at least", "GiB of disk, not 60"],
    ),
    *(
        ({"system_nodes": {"instance_type": name}}, [f"system_nodes.instance_type: {name!r} is of arm64"])
        for name in ("m7g.large", "t4g.large", "c7gn.large", "im4gn.large", "a1.large")
    ),
    ({"domain": {"name": "models.example.com"}}, ["domain.certificate_arn: is required without zone_id"]),
    ({"schedule": {"up": "25:00", "time_zone": "Mars"}}, ["schedule.up", "schedule.time_zone: 'Mars' is no time zone"]),
    ({"private_link": {"allowed_principals": []}}, ["private_link.allowed_principals: must hold at least one"]),
    ({"private_link": {"allowed_principals": ["*"]}}, ["private_link.allowed_principals[0]", "never '*'"]),
    ({"private_link": {"allowed_principals": ["arn:aws:iam::210987654321:role/ci/deploy"]}}, ["[0]", "without a path"]),
    ({"schedule": {"up": "06:00"}}, ["schedule.down: must be another time than up"]),
    (
        {"network": {**CLUSTER_NETWORK, "balancer_subnet_ids": ["subnet-1", "subnet-4"]}},
        ["network.balancer_subnet_ids: subnet-1 are those of the nodes"],
    ),
]


@pytest.mark.parametrize(("settings", "texts"), BAD)
def test_wrong_arguments_are_refused_before_anything_is_made(settings: dict[str, Any], texts: list[str]) -> None:
    with pytest.raises(pulumi.InputPropertiesError) as refused:
        made(**settings)
    for text in texts:
        assert text in str(refused.value)


SERVERS: list[tuple[dict[str, Any], str]] = [
    ({}, ""),
    ({"models": {"a": QWEN, "b": QWEN}}, "an update will wait for a GPU"),
    ({"models": {"a": QWEN, "b": {**QWEN, "replicas": {"min": 2}}}}, "needs 3 nodes, and on_demand.max and spot.max allow 2"),
    ({"models": {"a": {**QWEN, "candidate": {"context": 4096, "replicas": {"min": 2}}}}}, "needs 3 nodes"),
    # Four GPUs in a node: two servers of two.
    (
        {
            "models": {"a": {**QWEN, "tensor_parallel": 2, "replicas": {"min": 5, "max": 5}}},
            "node_pools": {"gpu": {"instance_type": "g5.12xlarge"}},
        },
        "needs 3 nodes",
    ),
]


@pytest.mark.parametrize(("settings", "text"), SERVERS)
def test_a_pool_with_too_few_nodes_is_told(settings: dict[str, Any], text: str) -> None:
    found, problems = read(GpuInferenceClusterSettings, {**ARGS, **settings})
    assert problems == []
    told = list(found.pool_notices())
    assert len(told) == bool(text) and all(text in each for each in told)


def test_the_models_objects_are_written_into_a_folder() -> None:
    recording = made(manifests_folder="manifests/prod")
    assert recording.inputs("gpu-manifests") == {"renderYamlToDirectory": "manifests/prod"}
    writers = {
        each.type.rpartition(":")[2]: each.provider.split("::")[3]
        for each in recording.recorded.values()
        if each.type.startswith("kubernetes:")
    }
    # Who may change the files changes nothing of what bounds the pods.
    bounds = {"Namespace", "NetworkPolicy", "TriggerAuthentication", "Release"}
    assert {kind for kind, writer in writers.items() if writer == "gpu-kubernetes"} == bounds
    assert {"Deployment", "ScaledObject", "ServiceAccount"} <= {kind for kind in writers if kind not in bounds}
    assert {writer for kind, writer in writers.items() if kind not in bounds} == {"gpu-manifests"}


def test_keda_and_prometheus_look_into_the_models_namespace_alone() -> None:
    recording = made()
    keda = recording.inputs("gpu-keda-chart")
    assert keda["values"]["watchNamespace"] == "models"
    assert keda["values"]["rbac"]["enabledCustomScaledRefKinds"] is False
    assert keda["values"]["permissions"] == {part: {"restrict": {"secret": True}} for part in ("operator", "metricServer")}
    # Its chart binds roles in the namespace, which has to be there.
    by_name = {each.name: each for each in recording.recorded.values()}
    assert by_name["gpu-namespace-models"].urn in by_name["gpu-keda-chart"].dependencies
    servers = recording.inputs("gpu-prometheus-chart")["values"]["scrapeConfigs"]["model-servers"]
    assert servers["kubernetes_sd_configs"] == [{"role": "pod", "namespaces": {"names": ["models"]}}]
    assert {"sample_limit", "body_size_limit", "label_limit"} <= servers.keys()
