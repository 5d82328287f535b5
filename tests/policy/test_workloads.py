"""The rules on what runs in a cluster."""

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


GOOD: list[tuple[str, list[Resource], dict[str, Any]]] = [
    (
        "pods-not-privileged",
        deployment(containers=[{"securityContext": {"privileged": False}}], volumes=[{"emptyDir": {}}]),
        {},
    ),
    ("pods-not-privileged", deployment("kube-system", hostNetwork=True), {}),
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
    ("pods-limited", deployment(containers=[UNKNOWN, {}]), {}, "containers[0]", ["containers[1]"]),
]


(
    test_every_rule_is_tried_as_good_as_bad_and_as_unknown,
    test_good,
    test_bad,
    test_what_is_not_known_is_said_and_hides_nothing,
) = cases(workloads.RULES, GOOD, BAD, NOT_KNOWN)
