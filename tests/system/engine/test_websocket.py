"""A WebSocket API that is up: what a change of its settings touches, and that it takes effect on the live stage."""

import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from pulumi_llm_local.aws_types.registry import STATEFUL
from pulumi_llm_local.engine.cloud import Cloud
from system.engine.conftest import program, succeeded
from system.engine.test_settings import JWT, KEY_ARN, VPC, Up, compared, planned

PROGRAM = """\
import pulumi
import pulumi_llm

models = [{"name": "fast", "model": "gpt-oss-20b"}]
pulumi_llm.WebSocketChat("ws", {"models": models, **pulumi.Config().require_object("settings")})
"""
SETTINGS: dict[str, Any] = {"deletion_protection": False}
# The stage is switched to a new deployment before the old one goes.
DEPLOYMENT = "replace deployment; update stage"
AUTHORIZER = "authorizer authorizer-alias authorizer-function authorizer-logs authorizer-logs-policy authorizer-permission "
AUTHORIZER += "authorizer-role"
KEYS = "authorizer-policy key-default key-item-default keys-table"
# What looks keys up, or knows that they are.
CHECKING = "connections-function connections-alias generations-function generations-alias generations-policy "
CHECKING += "recovery-function recovery-alias recovery-policy"

# Settings -> what is done with which children. What each setting does by itself: tests/components/test_websocket_chat.py.
CASES: list[tuple[dict[str, Any], str]] = [
    ({}, ""),
    (
        {"auth": "none"},
        f"update {CHECKING} route-connect; {DEPLOYMENT}; delete {KEYS} {AUTHORIZER}",
    ),
    (
        {"auth": "jwt", "jwt": JWT},
        f"update {CHECKING} authorizer-function authorizer-alias; delete {KEYS}",
    ),
    (
        {"keys": [{"name": "default", "enabled": False}, {"name": "web"}]},
        "delete key-item-default; create key-web key-item-web",
    ),
    (
        {
            "keys_table": {"name": "keys", "arn": "arn:aws:dynamodb:us-east-1:123456789012:table/keys"},
            "tickets_table": {"name": "tickets", "arn": "arn:aws:dynamodb:us-east-1:123456789012:table/tickets"},
        },
        "update authorizer-* generations-function generations-alias generations-policy recovery-function recovery-alias "
        "recovery-policy; delete key-default key-item-default keys-table",
    ),
    (
        {
            "generations_per_connection": 1,
            "generations_per_key": 1,
            "message_interval_ms": 100,
            "connections_per_key": 5,
            "messages_per_minute": 30,
            "memory_mb": 1024,
            "timeout_seconds": 60,
            "reserved_concurrency": 5,
            "environment": {"LEVEL": "debug"},
            "policies": {"managed": {"read": "arn:aws:iam::123456789012:policy/read"}},
            "vpc": VPC,
        },
        "update connections-function connections-alias recovery-function recovery-alias "
        "generations-function generations-alias; "
        "create generations-vpc-policy managed-policy-read",
    ),
    (
        {"kms_key_arn": KEY_ARN, "tracing": True, "debug": True, "log_retention_days": 90},
        "update *-function *-alias *logs *-logs-policy *-table",
    ),
    (
        {"stage_throttle": {"rate_limit": 5, "burst_limit": 5}, "access_logs": False, "parameter_prefix": "/llm/ws"},
        "update stage; delete access-logs; create parameter-*",
    ),
    ({"deletion_protection": True}, "update keys-table"),
    # What a deployment freezes reaches the stage with another one. What is replaced is there before what names it is changed,
    # and no sooner gone.
    (
        {
            "customize": {
                "api": {"route_selection_expression": "$request.body.type"},
                "event-integration": {"request_templates": {"$default": "{}"}},
                "route:chat": {"operation_name": "chat"},
                "authorizer": {"identity_sources": ["route.request.header.Origin"]},
                "connections-function": {"name": "connections"},
            }
        },
        "update api event-integration-* proxy-integration route-chat authorizer; "
        f"replace connections-function connections-alias connections-permission; {DEPLOYMENT}",
    ),
]


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    state = tmp_path_factory.mktemp("state")
    with program(tmp_path_factory.mktemp("ws"), PROGRAM, Cloud(api_gateway_log_role=True), settings=SETTINGS) as stack:
        succeeded(stack.up())
        shutil.copytree(stack.folder / "state", state, dirs_exist_ok=True)
        yield Up(stack, state, stack.cloud.copy())


@pytest.mark.parametrize(("change", "expected"), CASES, ids=[f"{'-'.join(change)} {i}" for i, (change, _) in enumerate(CASES)])
def test_a_setting_touches_only_what_it_should_and_reaches_the_stage(up: Up, change: dict[str, Any], expected: str) -> None:
    stack = up.again()
    stack.configure({"program:settings": {**SETTINGS, **change}})
    done = succeeded(stack.up())  # which compares what the stage serves with what is configured
    assert compared(planned(done, "ws-"), expected) == ([], [])
    replaced = {urn.split("::")[2].rpartition("$")[2] for urn, operation in done.steps().items() if operation == "replace"}
    assert replaced.isdisjoint(STATEFUL)


def test_it_is_destroyed_in_order(up: Up) -> None:
    stack = up.again()
    stack.configure({"program:settings": SETTINGS})
    succeeded(stack.destroy())
    assert list(stack.cloud) == []
