"""The permissions boundary that a stack names is that of every role: of each component, of each argument that makes one."""

import json
from typing import Any

import pulumi
import pytest

import pulumi_llm
from contract.test_components import CASES, make
from support import programs
from support.programs import ROOT, Recording
from support.served_models import QWEN

FUNCTIONS = "arn:aws:iam::123456789012:policy/functions"
PODS = "arn:aws:iam::123456789012:policy/pods"


def boundaries(recording: Recording) -> dict[str, Any]:
    roles = recording.of_type("aws:iam/role:Role")
    return {role.name: role.inputs.get("permissionsBoundary") for role in roles}


@pytest.mark.parametrize(("component", "label"), CASES)
def test_each_role_of_a_component_has_it(component: str, label: str) -> None:
    def program() -> None:
        pulumi.runtime.register_stack_transformation(pulumi_llm.role_boundary(FUNCTIONS))
        make(component, label, "x")

    assert set(boundaries(programs.run(program)).values()) <= {FUNCTIONS}


def test_customize_and_a_component_s_own_come_before_the_stack_s() -> None:
    def program() -> None:
        pulumi.runtime.register_stack_transformation(pulumi_llm.role_boundary(FUNCTIONS))
        own = pulumi.ResourceOptions(transformations=[pulumi_llm.role_boundary(f"{FUNCTIONS}/own")])
        programs.chat("a", own)
        programs.chat("b", customize={"role": {"permissions_boundary": f"{FUNCTIONS}/named"}})

    found = boundaries(programs.run(program))
    assert found["a-role"] == found["a-authorizer-role"] == f"{FUNCTIONS}/own"
    assert (found["b-role"], found["b-authorizer-role"]) == (f"{FUNCTIONS}/named", FUNCTIONS)


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_each_role_of_a_stack_has_it(stack: str) -> None:
    gpu: dict[str, Any] = {
        "admins": ["arn:aws:iam::123456789012:role/deploy"],
        "domain": {"name": "models.example.com", "zone_id": "Z0123456789ABCDEFGHIJ"},
        "models": {"r1": {**QWEN, "pool": "a10g"}},
        "node_pools": {"a10g": {"instance_type": "g5.2xlarge", "on_demand": {"min": 1, "max": 2}}},
        "permissions_boundary": PODS,
    }
    settings: dict[str, Any] = {
        "permissions_boundary": FUNCTIONS,
        "network": {"enabled": True, "flow_logs": "all"},
        "gpu": gpu,
        "knowledge_base": {"enabled": True},
        "async_inference": {"enabled": True, "batches": {}},
        "usage_analytics": {"enabled": True},
    }
    found = boundaries(programs.run_project(ROOT, stack, {f"pulumi-llm:{name}": value for name, value in settings.items()}))
    assert {name: arn for name, arn in found.items() if arn != (PODS if name.startswith("gpu-") else FUNCTIONS)} == {}
    assert {name.partition("-")[0] for name in found} >= {"chat", "gpu", "jobs", "knowledge", "network", "usage", "websocket"}


def test_without_the_setting_no_role_has_one() -> None:
    recording = programs.run_chat()
    assert set(boundaries(recording).values()) == {None}
    assert "permissionsBoundary" not in json.dumps([each.inputs for each in recording.of_type("aws:iam/role:Role")])
