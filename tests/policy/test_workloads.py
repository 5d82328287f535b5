"""The rules on what runs in a cluster."""

import json
from typing import Any

from llm_policies import workloads
from llm_policies.rule import Resource
from llm_policies.testing import UNKNOWN, resource
from support.policies import cases

DEPLOYMENT = "kubernetes:apps/v1:Deployment"
CRON = "kubernetes:batch/v1:CronJob"
POD = "kubernetes:core/v1:Pod"
LIMITS = {"resources": {"limits": {"cpu": "4", "memory": "16Gi"}}}


def deployment(namespace: str | None = None, **pod: Any) -> list[Resource]:
    return [resource(DEPLOYMENT, {"metadata": {"namespace": namespace}, "spec": {"template": {"spec": pod}}})]


TASK = "aws:ecs/taskDefinition:TaskDefinition"
JOB = "aws:batch/jobDefinition:JobDefinition"
BUILD = "aws:codebuild/project:Project"
NAMESPACE = "kubernetes:core/v1:Namespace"


def task(*containers: Any, **more: Any) -> list[Resource]:
    return [resource(TASK, {"containerDefinitions": json.dumps(list(containers)), **more})]


def namespace(level: str, name: str = "chat") -> list[Resource]:
    labels = {"pod-security.kubernetes.io/enforce": level}
    return [resource(NAMESPACE, {"metadata": {"name": name, "labels": labels}})]


def secured(**context: Any) -> list[Resource]:
    return deployment(containers=[{"securityContext": context}])


GOOD: list[tuple[str, list[Resource], dict[str, Any]]] = [
    (
        "pods-not-privileged",
        deployment(containers=[{"securityContext": {"privileged": False}}], volumes=[{"emptyDir": {}}]),
        {},
    ),
    ("pods-not-privileged", deployment("kube-system", hostNetwork=True), {}),
    ("pods-not-privileged", secured(capabilities={"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}, runAsUser=1000), {}),
    ("pods-not-privileged", [*namespace("baseline"), *namespace("privileged", "kube-system")], {}),
    ("tasks-not-privileged", task({"privileged": False}, networkMode="awsvpc", volumes=[{"name": "data"}]), {}),
    ("tasks-not-privileged", task({}, volumes=[{"hostPath": "/mnt/models"}]), {}),
    ("tasks-not-privileged", [resource(TASK, {"containerDefinitions": "no JSON"}), resource(JOB, {}), resource(BUILD, {})], {}),
    ("tasks-not-privileged", [resource(BUILD, {"environment": {"privilegedMode": True}})], {"builds": True}),
    ("pods-limited", deployment(containers=[LIMITS], initContainers=[LIMITS]), {}),
    ("pods-limited", deployment(containers=[{"resources": {"limits": {"memory": "1Gi"}}}]), {"limits": ["memory"]}),
    ("pods-limited", deployment(containers=[{"resources": {"requests": {"cpu": 4}, "limits": {"memory": "1Gi"}}}]), {}),
    ("pods-limited", deployment("gpu-operator", containers=[{}]), {"except_namespaces": ["gpu-operator"]}),
]

BAD: list[tuple[str, list[Resource], dict[str, Any], list[str]]] = [
    (
        "pods-not-privileged",
        deployment(
            containers=[{"securityContext": {"privileged": True}}],
            volumes=[{"hostPath": {"path": "/"}}],
            hostNetwork=True,
        ),
        {},
        ["containers[0].securityContext.privileged", "volumes[0].hostPath", "hostNetwork is true"],
    ),
    (
        "pods-not-privileged",
        [resource(CRON, {"spec": {"jobTemplate": {"spec": {"template": {"spec": {"hostPID": True}}}}}})],
        {},
        ["spec.jobTemplate.spec.template.spec.hostPID"],
    ),
    (
        "pods-not-privileged",
        [resource(POD, {"spec": {"initContainers": [{"securityContext": {"allowPrivilegeEscalation": True}}]}})],
        {},
        ["allowPrivilegeEscalation"],
    ),
    ("pods-not-privileged", secured(capabilities={"add": ["CAP_SYS_ADMIN", "CHOWN"]}), {}, ["add[0] is SYS_ADMIN"]),
    ("pods-not-privileged", secured(runAsUser=0, seccompProfile={"type": "Unconfined"}), {}, ["runAsUser", "seccomp"]),
    ("pods-not-privileged", deployment(securityContext={"runAsUser": 0}), {}, ["spec.securityContext.runAsUser"]),
    ("pods-not-privileged", deployment(containers=[{"ports": [{"hostPort": 80}]}]), {}, ["ports[0].hostPort"]),
    ("pods-not-privileged", namespace("privileged"), {}, ["enforce is privileged"]),
    ("tasks-not-privileged", task({"privileged": True}), {}, ["containerDefinitions[0].privileged"]),
    ("tasks-not-privileged", task({}, pidMode="host", ipcMode="host", networkMode="host"), {}, ["pid", "ipc", "network"]),
    ("tasks-not-privileged", task({}, volumes=[{"hostPath": "/var/run/docker.sock"}]), {}, ["volumes[0].hostPath"]),
    ("tasks-not-privileged", task({"linuxParameters": {"capabilities": {"add": ["SYS_ADMIN"]}}}), {}, ["SYS_ADMIN"]),
    ("tasks-not-privileged", [resource(BUILD, {"environment": {"privilegedMode": True}})], {}, ["privilegedMode"]),
    (
        "tasks-not-privileged",
        [resource(JOB, {"containerProperties": json.dumps({"privileged": True, "volumes": [{"host": {"sourcePath": "/"}}]})})],
        {},
        ["containerProperties.privileged", "host.sourcePath"],
    ),
    (
        "tasks-not-privileged",
        [resource(JOB, {"nodeProperties": json.dumps({"nodeRangeProperties": [{"container": {"privileged": True}}]})})],
        {},
        ["container.privileged"],
    ),
    (
        "tasks-not-privileged",
        [resource(JOB, {"eksProperties": {"podProperties": {"containers": [{"securityContext": {"privileged": True}}]}}})],
        {},
        ["securityContext.privileged"],
    ),
    ("pods-limited", deployment(containers=[LIMITS, {}]), {}, ["containers[1].resources.limits lacks cpu and memory"]),
    ("pods-limited", deployment(containers=[{"resources": {"limits": {"cpu": 1}}}]), {}, ["lacks memory"]),
    ("pods-limited", deployment(containers=[{"resources": {"requests": {"cpu": 4, "memory": 1}}}]), {}, ["lacks memory"]),
]

NOT_KNOWN: list[tuple[str, list[Resource], dict[str, Any], str, list[str]]] = [
    (
        "pods-not-privileged",
        deployment(containers=UNKNOWN, hostNetwork=True),
        {},
        "spec.template.spec.containers",
        ["hostNetwork"],
    ),
    (
        "tasks-not-privileged",
        [resource(TASK, {"containerDefinitions": UNKNOWN, "pidMode": "host"})],
        {},
        "Definitions",
        ["pid"],
    ),
    ("pods-limited", deployment(containers=[UNKNOWN, {}]), {}, "containers[0]", ["containers[1]"]),
]


(
    test_every_rule_is_tried_as_good_as_bad_and_as_unknown,
    test_good,
    test_bad,
    test_what_is_not_known_is_said_and_hides_nothing,
) = cases(workloads.RULES, GOOD, BAD, NOT_KNOWN)
