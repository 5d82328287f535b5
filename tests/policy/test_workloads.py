"""The rules on what runs in a cluster."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from llm_policies import encryption, exposure, operations, workloads
from llm_policies.rule import Resource
from llm_policies.testing import UNKNOWN, problems, resource, unverified
from pulumi_llm_local import api_values, arguments

RULES = {rule.name: rule for rule in workloads.RULES}
# Without their setting these find nothing: no program breaks them by itself.
BY_SETTING: set[str] = set()
PROGRAMS: list[dict[str, Any]] = yaml.safe_load((Path(__file__).parent / "programs" / "workloads.yaml").read_text())

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


def found(name: str, *given: Resource, **settings: Any) -> list[str]:
    return problems(RULES[name], *given, settings=settings)


def test_every_rule_is_tried_as_good_as_bad_and_as_unknown() -> None:
    for table in (GOOD, BAD, NOT_KNOWN):
        assert {name for name, *_ in table} == set(RULES)


@pytest.mark.parametrize(("name", "given", "settings"), GOOD)
def test_good(name: str, given: list[Resource], settings: dict[str, Any]) -> None:
    assert found(name, *given, **settings) == []
    assert unverified(RULES[name], *given, settings=settings) == ""


@pytest.mark.parametrize(("name", "given", "settings", "parts"), BAD)
def test_bad(name: str, given: list[Resource], settings: dict[str, Any], parts: list[str]) -> None:
    lines = found(name, *given, **settings)
    assert len(lines) == len(parts), lines
    for line, part in zip(lines, parts, strict=True):
        assert part in line
        assert "\n" not in line


@pytest.mark.parametrize(("name", "given", "settings", "path", "parts"), NOT_KNOWN)
def test_what_is_not_known_is_said_and_hides_nothing(
    name: str, given: list[Resource], settings: dict[str, Any], path: str, parts: list[str]
) -> None:
    lines = found(name, *given, **settings)
    assert [part for line, part in zip(lines, parts, strict=True) if part not in line] == []
    assert unverified(RULES[name], *given, settings=settings).endswith(path)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program["name"])
def test_programs_are_ones_that_aws_would_take(program: dict[str, Any]) -> None:
    for made in (*program["resources"].values(), *program["mended"].values()):
        assert arguments.problems(made["type"], made["inputs"]) == []
        assert api_values.problems(made["type"], made["inputs"]) == []


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program["name"])
def test_programs_break_their_rule_until_they_are_mended(program: dict[str, Any]) -> None:
    assert broken(program["resources"]) == {program["rule"]}
    assert broken(program["mended"]) == set()


def test_every_rule_that_is_on_by_itself_has_a_program() -> None:
    assert {program["rule"] for program in PROGRAMS} == set(RULES) - BY_SETTING


def broken(program: dict[str, Any]) -> set[str]:
    """The rules of the pack's modules on encryption, exposure, operations and workloads that a program breaks."""
    rules = (*encryption.RULES, *exposure.RULES, *operations.RULES, *workloads.RULES)
    given = [resource(made["type"], made["inputs"], name=name) for name, made in program.items()]
    return {rule.name for rule in rules if problems(rule, *given) or unverified(rule, *given)}
