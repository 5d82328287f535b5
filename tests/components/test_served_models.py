"""Served models: their settings, what fits a pool, the versions, and the Kubernetes objects that follow."""

import asyncio
import json
import runpy
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes
import pytest

from pulumi_llm.base.component import Component
from pulumi_llm.base.settings import read
from pulumi_llm.gpu_inference_cluster.workloads import stickiness
from pulumi_llm.gpu_inference_cluster.workloads.deployment import READY_SECONDS
from pulumi_llm.gpu_inference_cluster.workloads.manifests import manifests, namespace_manifests, shared_manifests
from pulumi_llm.gpu_inference_cluster.workloads.place import Schedule
from pulumi_llm.gpu_inference_cluster.workloads.resources import (
    KEYS,
    create_namespace,
    create_workloads,
    workload_children,
    workload_names,
)
from pulumi_llm.gpu_inference_cluster.workloads.served_model import ServedModelSettings
from pulumi_llm.gpu_inference_cluster.workloads.versions import ServedModel, Version, model_problems, served_models
from support import programs
from support.served_models import AWQ, IMAGE, INSTANCES, PLACE, QWEN, REVISION, by_kind, settings_of

LONGER = {**QWEN, "context": 16_384}


def one(**settings: Any) -> Version:
    (model,) = served_models({"qwen": settings_of(**{**QWEN, **settings})}, INSTANCES)
    return model.versions[0]


def server(version: Version) -> dict[str, Any]:
    """The container of a version's servers."""
    deployment = by_kind(manifests(ServedModel(version.model, (version,)), PLACE), "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    return container


# The settings besides those of QWEN; None takes one away -> path and beginning of what is wrong.
WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"model": None}, "model", "give a model of the catalogue, or config_file for another one"),
    ({"config_file": "there"}, "model", "give a model of the catalogue, or config_file for another one"),
    ({"model": None, "config_file": "no/such.json"}, "config_file", "no/such.json: No such file"),
    ({"model": "qwen-72b"}, "model", "'qwen-72b' is no model of the catalogue"),
    ({"model": "nova-pro"}, "model", "the catalogue has no shape of 'nova-pro'; give config_file instead"),
    ({"revision": None}, "revision", "is required without weights_uri"),
    ({"revision": "main"}, "revision", "'main' is not of the form of a commit"),
    ({"weights": "awq"}, "repository", "is required without weights_uri: the catalogue knows none with weights in awq"),
    ({"weights_uri": "s3://models/qwen"}, "revision", "is of Hugging Face, and weights_uri says that the weights are in S3"),
    ({"weights_uri": "https://models/qwen"}, "weights_uri", "'https://models/qwen' is not of the form of a folder in S3"),
    ({"image": "vllm/vllm-openai:latest"}, "image", "'vllm/vllm-openai:latest' is not of the form of an image with its digest"),
    ({"replicas": {"min": 3, "max": 2}}, "replicas.max", "must be at least min, 3, not 2"),
    ({"arguments": ["--max_model_len=4096"]}, "arguments[0]", "--max-model-len is set by context"),
    ({"arguments": ["--api-key", "secret"]}, "arguments[0]", "--api-key is set by the balancer"),
    ({"parameters_billion": 7.6}, "parameters_billion", "is for a config_file"),
    ({"grpc": True, "revision": None}, "model", "is of vLLM, and with grpc the image is your own"),
    ({"candidate": {"weight": 10}}, "candidate", "differs in nothing from the model"),
    ({"candidate": {"weight": 101, "context": 8192}}, "candidate.weight", "must be between 0 and 100, not 101"),
    ({"candidate": {"weights": "awq"}}, "candidate.repository", "is required without weights_uri"),
]


@pytest.mark.parametrize(("changes", "path", "reason"), WRONG)
def test_wrong_settings(changes: dict[str, Any], path: str, reason: str) -> None:
    given = {key: value for key, value in {**QWEN, **changes}.items() if value is not None}
    _, problems = read(ServedModelSettings, given)
    assert [problem for problem in problems if problem.path == path and problem.reason.startswith(reason)], problems


def test_all_mistakes_are_told_at_once() -> None:
    _, problems = read(
        ServedModelSettings, {"model": "qwen-72b", "pool": "gpu", "image": "vllm:1", "replicas": {"min": 3, "max": 1}}
    )
    assert {problem.path for problem in problems} == {"model", "image", "replicas.max"}


# What does not fit -> what is said of it, and the smallest instance that does.
MISFITS: list[tuple[dict[str, Any], str, str]] = [
    ({"model": "deepseek-r1-distill-qwen-32b"}, "the weights in bf16 take 61.0 GiB", "g6.12xlarge"),
    ({"weights": "fp8", "repository": "me/fp8"}, "multiplying in FP8 needs compute capability 8.9", "g6.2xlarge"),
    ({"context": 131_072}, "leave a KV cache of", "g6e.xlarge"),
    ({"context": 200_000}, "the model takes at most 131,072 tokens", "none as it is"),
    ({"tensor_parallel": 3}, "tensor parallel over 3 is not possible", "none as it is"),
]


@pytest.mark.parametrize(("changes", "reason", "smallest"), MISFITS)
def test_what_does_not_fit_its_pool_is_refused(changes: dict[str, Any], reason: str, smallest: str) -> None:
    (problem,) = model_problems({"qwen": settings_of(**{**QWEN, **changes})}, INSTANCES)
    assert problem.path == "qwen"
    assert problem.reason.startswith("does not fit g5.2xlarge, on which pool 'gpu' is: ")
    assert reason in problem.reason
    assert smallest in problem.reason


def test_a_pool_that_is_not_there_and_a_candidate_that_does_not_fit() -> None:
    models = {
        "astray": settings_of(**{**QWEN, "pool": "cpu"}),
        "qwen": settings_of(**QWEN, candidate={"context": 131_072}),
        "right": settings_of(**QWEN),
        "twice": settings_of(**QWEN, candidate={"tensor_parallel": 1}),
    }
    paths = {problem.path: problem.reason for problem in model_problems(models, INSTANCES)}
    assert paths.keys() == {"astray.pool", "qwen.candidate", "twice.candidate"}
    assert "its servers would be those of the model" in paths["twice.candidate"]
    assert paths["astray.pool"] == "there is no pool 'cpu'; there are gpu, large"


def test_a_version_is_known_by_what_defines_it() -> None:
    first = one()
    assert first == one()
    assert first.name == f"qwen-{first.hash}"
    # Bounds of replicas and targets of scaling make no new version.
    assert one(replicas={"min": 0, "max": 9}, requests_per_replica=4).hash == first.hash
    others = [
        one(image=IMAGE.replace("aaaa", "bbbb")),
        one(revision="b" * 40),
        one(context=8192),
        one(arguments=["--reasoning-parser", "deepseek_r1"]),
        one(pool="large"),
        one(weights_uri="s3://models/qwen", revision=None),
    ]
    assert len({first.hash, *(version.hash for version in others)}) == 1 + len(others)


def test_a_candidate_becomes_the_model_under_its_name() -> None:
    """Its objects stay as they are, so its servers go on; only that they wake and sleep with the others' ends."""
    (both,) = served_models({"qwen": settings_of(**QWEN, candidate={"context": 16_384, "weight": 30})}, INSTANCES)
    (promoted,) = served_models({"qwen": settings_of(**LONGER)}, INSTANCES)
    stable, candidate = both.versions
    assert (stable.weight, candidate.weight) == (70, 30)
    assert replace(stable, weight=100) == one()
    kept = [each for each in manifests(both, PLACE) if each["metadata"]["name"] == candidate.name]
    triggers = by_kind(kept, "ScaledObject")["spec"]["triggers"]
    (shared,) = [each["metadata"] for each in triggers if each["name"] == "shared"]
    # The balancer forwards to a version by its weight, so while one has requests, neither sleeps.
    assert shared["query"] == (
        'sum(vllm:num_requests_waiting{served_model="qwen"}) + sum(vllm:num_requests_running{served_model="qwen"})'
    )
    assert int(shared["threshold"]) > 10_000  # it adds no server
    triggers[:] = [each for each in triggers if each["name"] != "shared"]
    assert kept == [each for each in manifests(promoted, PLACE) if each["metadata"]["name"] == candidate.name]
    assert len(kept) == 6
    assert both.context_tokens == 16_384


@pytest.mark.assumes("vllm-server")
def test_the_arguments_of_vllm() -> None:
    version = one(arguments=["--reasoning-parser", "deepseek_r1"])
    container = server(version)
    args = container["args"]
    assert container["command"] == ["vllm", "serve"]
    assert args[:3] == ["deepseek-ai/DeepSeek-R1-Distill-Qwen-7B", "--revision", REVISION]
    assert args[-2:] == ["--reasoning-parser", "deepseek_r1"]
    for name, value in {
        "--served-model-name": "qwen",
        "--root-path": "/qwen",
        "--max-model-len": "32768",
        "--tensor-parallel-size": "1",
        "--shutdown-timeout": "45",
        "--middleware": "stickiness.StickinessCookie",
        "--allowed-media-domains": "media.invalid",
        "--max-num-queued-reqs": "86",  # twice the requests at which another server is started
    }.items():
        assert args[args.index(name) + 1] == value
    assert not {"--api-key", "--load-format"} & set(args)


def test_weights_in_s3_are_streamed() -> None:
    version = one(weights_uri="s3://models/qwen/7b/", revision=None)
    container = server(version)
    args = container["args"]
    assert (version.bucket, version.prefix) == ("models", "qwen/7b")
    assert args[0] == "s3://models/qwen/7b/"
    assert args[args.index("--load-format") + 1] == "runai_streamer"
    # Read ahead is less than what the host's memory has been sized for.
    assert json.loads(args[args.index("--model-loader-extra-config") + 1]) == {"concurrency": 32, "memory_limit": 5 * 1024**3}
    assert {"name": "AWS_REGION", "value": "eu-west-1"} in container["env"]
    assert version.storage_gib < one().storage_gib  # nothing is downloaded
    policy = by_kind(manifests(ServedModel("qwen", (version,)), PLACE), "NetworkPolicy")
    assert {"to": [{"ipBlock": {"cidr": "169.254.170.23/32"}}], "ports": [{"protocol": "TCP", "port": 80}]} in policy["spec"][
        "egress"
    ]


def test_probes_and_drain() -> None:
    deployment = by_kind(manifests(ServedModel("qwen", (one(),)), PLACE), "Deployment")
    pod = deployment["spec"]["template"]["spec"]
    container = server(one())
    paths = {name: container[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "readiness", "liveness")}
    assert paths == {"startup": "/v1/models", "readiness": "/v1/models", "liveness": "/health"}
    start = container["startupProbe"]
    assert (start["periodSeconds"], start["failureThreshold"]) == (30, 60)
    assert container["readinessProbe"]["periodSeconds"] == 5
    assert container["lifecycle"]["preStop"] == {"sleep": {"seconds": 15}}
    assert pod["terminationGracePeriodSeconds"] == 75 == 15 + 45 + 15
    # Pulumi and Kubernetes wait for as long as a start may take.
    assert deployment["spec"]["progressDeadlineSeconds"] > 30 * 60
    assert "replicas" not in deployment["spec"]


def test_a_server_gets_its_share_of_the_instance() -> None:
    version = one(pool="large", **AWQ, model="deepseek-r1-distill-qwen-32b")
    resources = server(version)["resources"]
    assert version.gpus == 2
    assert resources["requests"]["nvidia.com/gpu"] == resources["limits"]["nvidia.com/gpu"] == "2"
    assert resources["requests"]["cpu"] == "23500m"  # half of 48 vCPUs, one of them left to the node
    assert resources["requests"]["memory"] == "22Gi"  # the weights, and 4 GiB
    assert resources["limits"]["memory"] == "86Gi"
    assert "cpu" not in resources["limits"]


def test_grpc_by_an_image_of_ones_own() -> None:
    given = {"image": IMAGE, "pool": "large", "grpc": True, "tensor_parallel": 2, "arguments": ["--workers", "2"]}
    (model,) = served_models({"own": settings_of(**given)}, INSTANCES)
    (version,) = model.versions
    container = server(version)
    assert container["ports"] == [{"name": "grpc", "containerPort": 50_051, "protocol": "TCP"}]
    assert container["readinessProbe"]["grpc"] == {"port": 50_051}
    assert container["args"] == ["--workers", "2"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "2"
    assert [trigger["type"] for trigger in by_kind(manifests(model, PLACE), "ScaledObject")["spec"]["triggers"]] == [
        "aws-sqs-queue"
    ]
    (problem,) = model_problems({"own": settings_of(**{**given, "tensor_parallel": 8})}, INSTANCES)
    assert problem == ("own.tensor_parallel", "there are 4 GPUs in a g5.12xlarge, not 8")


# Replicas, and what the place says -> the least replicas, the cron trigger's floor, and whether KEDA is paused at none.
SCHEDULES: list[tuple[dict[str, int], dict[str, Any], int, str | None, bool]] = [
    ({"min": 2, "max": 4}, {}, 2, None, False),
    ({"min": 2, "max": 4}, {"schedule": True}, 0, "2", False),
    ({"min": 0, "max": 4}, {"schedule": True}, 0, None, False),
    ({"min": 2, "max": 4}, {"hard_off": True}, 2, None, True),
]


@pytest.mark.assumes("keda-scaling")
@pytest.mark.parametrize(("replicas", "place", "least", "floor", "paused"), SCHEDULES)
def test_scaling(replicas: dict[str, int], place: dict[str, Any], least: int, floor: str | None, paused: bool) -> None:
    schedule = Schedule(up="15:00", down="06:30", time_zone="Europe/Berlin") if place.get("schedule") else None
    there = replace(PLACE, schedule=schedule, hard_off=place.get("hard_off", False))
    version = one(replicas=replicas)
    scaled = by_kind(manifests(ServedModel("qwen", (version,)), there), "ScaledObject")
    spec = scaled["spec"]
    assert (spec["minReplicaCount"], spec["maxReplicaCount"]) == (least, 4)
    triggers: Mapping[str, Any] = {trigger["type"]: trigger["metadata"] for trigger in spec["triggers"]}
    assert triggers["prometheus"]["threshold"] == "43"  # as many requests of 2,048 tokens as its cache holds
    assert triggers["prometheus"]["query"] == (
        f'sum(vllm:num_requests_waiting{{served_model="qwen",served_version="{version.hash}"}}) + '
        f'sum(vllm:num_requests_running{{served_model="qwen",served_version="{version.hash}"}})'
    )
    assert triggers["aws-sqs-queue"]["queueURL"] == PLACE.queue_urls["qwen"]
    assert triggers.get("cron") == (
        {"timezone": "Europe/Berlin", "start": "0 15 * * *", "end": "30 6 * * *", "desiredReplicas": floor} if floor else None
    )
    assert scaled["metadata"]["annotations"].get("autoscaling.keda.sh/paused-replicas") == ("0" if paused else None)
    # A server that loads has no metrics, so KEDA must not scale it away before it is ready.
    assert spec["cooldownPeriod"] >= 30 * 60
    assert spec["initialCooldownPeriod"] > READY_SECONDS
    # And it may take those away that never get ready: it is there before them, and does not wait until they are.
    kinds = [each["kind"] for each in manifests(ServedModel("qwen", (version,)), there)]
    assert kinds.index("ScaledObject") < kinds.index("Deployment")
    # Argo CD goes by waves, of which 0 is what says nothing.
    waves = {
        each["kind"]: each["metadata"].get("annotations", {}).get("argocd.argoproj.io/sync-wave", "0")
        for each in manifests(ServedModel("qwen", (version,)), there)
    }
    assert {kind for kind, wave in waves.items() if wave != "0"} == {"ScaledObject", "Deployment"}


def test_nothing_is_waited_for_where_everything_is_off() -> None:
    off = by_kind(manifests(ServedModel("qwen", (one(),)), replace(PLACE, hard_off=True)), "Deployment")
    assert off["metadata"]["annotations"]["pulumi.com/skipAwait"] == "true"
    on = by_kind(manifests(ServedModel("qwen", (one(),)), PLACE), "Deployment")
    assert "pulumi.com/skipAwait" not in on["metadata"]["annotations"]
    # What `pulumi-llm cost` reads.
    assert on["metadata"]["annotations"]["pulumi-llm/instance-type"] == "g5.2xlarge"
    assert float(on["metadata"]["annotations"]["pulumi-llm/tokens-per-second"]) > 100


class Cluster(Component):
    """Makes served models, and waits with what comes after them."""

    CHILDREN = MappingProxyType({**workload_children(), "after": kubernetes.core.v1.ConfigMap})

    def __init__(self, name: str, args: list[ServedModel]) -> None:
        super().__init__(name, None, {}, {"deployment": {"metadata": {"labels": {"team": "search"}}}})
        provider = kubernetes.Provider("cluster", kubeconfig="{}")
        queues = {"qwen": pulumi.Output.from_input(PLACE.queue_urls["qwen"])}
        create_namespace(self, PLACE, provider)
        ready = create_workloads(self, args, replace(PLACE, queue_urls=queues), provider, [provider])
        kubernetes.core.v1.ConfigMap("gpu-after", opts=self.child("after", depends_on=ready["qwen"], provider=provider))


@pytest.mark.assumes("readiness-gate")
def test_the_objects_are_resources_that_wait_for_each_other() -> None:
    (both,) = served_models({"qwen": settings_of(**QWEN, candidate={"context": 16_384})}, INSTANCES)
    recording = programs.run(lambda: Cluster("gpu", [both]), config={"aws:region": "eu-west-1"})
    made = [each for each in recording.recorded.values() if each.type.startswith("kubernetes:")]
    expected = [*namespace_manifests(PLACE), *shared_manifests(PLACE), *manifests(both, PLACE)]
    told = {(key, name) for key, names in workload_names([both], PLACE.namespace).items() for name in names}
    assert told == {(KEYS[each["kind"]], each["metadata"]["name"]) for each in expected}
    assert {each.name for each in made} == {
        "gpu-after",
        *(f"gpu-{KEYS[each['kind']]}-{each['metadata']['name']}" for each in expected),
    }
    for manifest in expected:
        (resource,) = [each for each in made if each.name == f"gpu-{KEYS[manifest['kind']]}-{manifest['metadata']['name']}"]
        assert resource.inputs["kind"] == manifest["kind"]
        spec = resource.inputs.get("spec")
        assert spec == (json.loads(json.dumps(manifest["spec"])) if "spec" in manifest else None), resource.name
        labels = {**manifest["metadata"]["labels"], **({"team": "search"} if manifest["kind"] == "Deployment" else {})}
        assert resource.inputs["metadata"]["labels"] == labels


def test_only_the_balancer_and_prometheus_call_the_servers() -> None:
    policy = by_kind(manifests(ServedModel("qwen", (one(),)), PLACE), "NetworkPolicy")
    (rule,) = policy["spec"]["ingress"]
    assert rule["ports"] == [{"protocol": "TCP", "port": 8000}]
    cidrs = [peer["ipBlock"]["cidr"] for peer in rule["from"] if "ipBlock" in peer]
    assert cidrs == list(PLACE.balancer_cidrs)
    (others,) = [peer for peer in rule["from"] if "ipBlock" not in peer]
    assert others["namespaceSelector"] == {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}
    # Not the node's metadata, at 169.254.169.254, port 80.
    assert [port["port"] for rule in policy["spec"]["egress"] for port in rule["ports"]] == [53, 53, 443]
    assert all(rule["to"] for rule in policy["spec"]["egress"])
    namespace, nothing = namespace_manifests(PLACE)
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert nothing["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


@pytest.mark.assumes("egress")
@pytest.mark.parametrize(
    ("settings", "called"),
    [
        ({}, ["0.0.0.0/0"]),
        ({"revision": None, "weights_uri": "s3://models/qwen"}, ["203.0.113.0/25"]),
        (
            {"revision": None, "weights_uri": "s3://models/qwen", "egress_cidrs": ["10.1.0.0/24"]},
            ["203.0.113.0/25", "10.1.0.0/24"],
        ),
    ],
)
def test_servers_call_the_place_of_their_weights_alone(settings: dict[str, Any], called: list[str]) -> None:
    """A server that was taken over finds nobody to tell what it sees: S3 for weights in S3, and nothing private for the hub."""
    given = {name: value for name, value in {**QWEN, **settings}.items() if value is not None}
    (model,) = served_models({"qwen": settings_of(**given)}, INSTANCES)
    rules = by_kind(manifests(model, PLACE), "NetworkPolicy")["spec"]["egress"]
    (https,) = [rule for rule in rules if rule["ports"][0]["port"] == 443]
    blocks = [peer["ipBlock"] for peer in https["to"]]
    assert [block["cidr"] for block in blocks] == called
    for block in blocks:
        excluded = {"10.0.0.0/8", "100.64.0.0/10", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16"}
        assert set(block.get("except", ())) == (excluded if block["cidr"] == "0.0.0.0/0" else set())


def test_a_grpc_server_calls_nobody_over_https_unless_it_is_named() -> None:
    image = f"registry.example.com/own@sha256:{'b' * 64}"
    (model,) = served_models({"own": settings_of(pool="gpu", image=image, grpc=True)}, INSTANCES)
    rules = by_kind(manifests(model, PLACE), "NetworkPolicy")["spec"]["egress"]
    assert [port["port"] for rule in rules for port in rule["ports"]] == [53, 53]


def test_a_token_of_the_hub_comes_from_a_secret() -> None:
    (model,) = served_models({"qwen": settings_of(**QWEN, hub_token_secret="hub-token")}, INSTANCES)
    pod = by_kind(manifests(model, PLACE), "Deployment")["spec"]["template"]["spec"]
    token = {"name": "HF_TOKEN", "valueFrom": {"secretKeyRef": {"name": "hub-token", "key": "token"}}}
    assert token in pod["containers"][0]["env"]
    # What makes the certificate is the image, too, and sees no GPU.
    assert pod["initContainers"][0]["env"] == [{"name": "NVIDIA_VISIBLE_DEVICES", "value": "void"}]


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"arguments": ["--hf-token", "x"]}, "--hf-token is set by hub_token_secret"),
        ({"arguments": ["--hf_token=x"]}, "--hf-token is set by hub_token_secret"),
        ({"arguments": ["--reasoning-parser", "hf_" + "A" * 34]}, "holds a token of Hugging Face"),
        ({"arguments": ["--allowed-media-domains", "169.254.169.254"]}, "is set by the gateway"),
        ({"arguments": ["--trust-remote-code"]}, "give --code-revision with the commit"),
        ({"arguments": ["--trust-remote-code", "--code-revision", "main"]}, "give --code-revision with the commit"),
        ({"arguments": ["--trust_remote_code", "--code-revision", "a" * 40]}, ""),
        ({"weights_uri": "s3://models", "revision": None}, "a folder in S3"),
        ({"weights_uri": "s3://models/*", "revision": None}, "a folder in S3"),
        ({"weights_uri": "s3://models/../others", "revision": None}, "a folder in S3"),
        ({"egress_cidrs": ["10.0.0.1/8"]}, "is no range of IPv4 addresses"),
        ({"weights_uri": "s3://models/qwen", "revision": None, "hub_token_secret": "t"}, "they come from elsewhere"),
    ],
)
def test_what_is_secret_or_runs_code_of_others_is_refused(settings: dict[str, Any], told: str) -> None:
    given = {name: value for name, value in {**QWEN, **settings}.items() if value is not None}
    _, problems = read(ServedModelSettings, given)
    assert len(problems) == bool(told)
    assert all(told in problem.reason for problem in problems)


@pytest.mark.assumes("vllm-server")
def test_nothing_in_a_pod_reaches_kubernetes_or_is_written_outside_its_folders() -> None:
    (model,) = served_models({"qwen": settings_of(**QWEN)}, INSTANCES)
    objects = manifests(model, PLACE)
    pod = by_kind(objects, "Deployment")["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert by_kind(objects, "ServiceAccount")["automountServiceAccountToken"] is False
    for container in [*pod["containers"], *pod["initContainers"]]:
        security = container["securityContext"]
        assert security == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
    mounted = {mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]}
    for variable in pod["containers"][0]["env"]:
        if variable["value"].startswith("/"):
            assert any(variable["value"].startswith(path) for path in mounted), variable


class App:
    """An ASGI application that answers 200 with a header of its own."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"x-own", b"1")]})
        await send({"type": "http.response.body", "body": b"ok"})


SENT = "0123456789abcdef" * 2
# The request's Cookie header -> the value that the answer sets; None: a new one.
COOKIES: list[tuple[str | None, str | None]] = [
    (None, None),
    ("other=1", None),
    (f"a=b; LlmServiceStickiness={SENT}; AWSALBAPP-0=x", SENT),
    ("LlmServiceStickiness=<script>", None),
    ("LlmServiceStickiness=" + "A" * 32, None),
]


@pytest.mark.parametrize(("cookie", "expected"), COOKIES)
def test_the_stickiness_cookie(cookie: str | None, expected: str | None) -> None:
    headers = [(b"cookie", cookie.encode())] if cookie else []
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(stickiness.StickinessCookie(App())({"type": "http", "headers": headers}, None, send))
    start, body = sent
    assert body["body"] == b"ok"
    own, (name, value) = start["headers"]
    assert (own, name) == ((b"x-own", b"1"), b"set-cookie")
    first, *attributes = value.decode().split("; ")
    given = first.removeprefix("LlmServiceStickiness=")
    assert given == expected if expected else len(given) == 32 and given != SENT
    assert attributes == ["Max-Age=900", "Path=/", "Secure", "HttpOnly", "SameSite=Lax"]


def test_the_middleware_runs_alone(tmp_path: Path) -> None:
    """In vLLM's image there is no package of ours."""
    (model,) = served_models({"qwen": settings_of(**QWEN)}, INSTANCES)
    (path,) = [tmp_path / name for name in by_kind(manifests(model, PLACE), "ConfigMap")["data"]]
    path.write_text(by_kind(manifests(model, PLACE), "ConfigMap")["data"][path.name])
    assert "StickinessCookie" in runpy.run_path(str(path))
