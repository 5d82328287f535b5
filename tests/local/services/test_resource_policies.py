"""Whether a queue's own policy lets a rule send to it."""

import json
from typing import Any

import pytest

from pulumi_llm_local.program.graph import Graph, Resource
from pulumi_llm_local.services.moto import QUEUE
from pulumi_llm_local.services.resource_policies import queue_allows

ARN, URL = "arn:aws:sqs:us-east-1:123456789012:jobs", "https://sqs.us-east-1.amazonaws.com/123456789012/jobs"
RULE = "arn:aws:events:us-east-1:123456789012:rule/bus/rule"
ALLOW = {"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sqs:SendMessage", "Resource": ARN}
TLS = {"Bool": {"aws:SecureTransport": "false"}}
CASES: dict[str, tuple[list[dict[str, Any]], bool]] = {
    "allowed": ([ALLOW], True),
    "another queue": ([{**ALLOW, "Resource": f"{ARN}-other"}], False),
    "no resource": ([{name: value for name, value in ALLOW.items() if name != "Resource"}], False),
    "denied": ([ALLOW, {**ALLOW, "Effect": "Deny", "Principal": "*", "Action": "sqs:*"}], False),
    "denied without TLS": ([ALLOW, {**ALLOW, "Effect": "Deny", "Principal": "*", "Condition": TLS}], True),
    "another queue denied": ([ALLOW, {**ALLOW, "Effect": "Deny", "Resource": f"{ARN}-other"}], True),
}


@pytest.mark.parametrize(("statements", "allowed"), CASES.values(), ids=CASES)
def test_a_queue_s_policy(statements: list[dict[str, Any]], allowed: bool) -> None:
    state = {"arn": ARN, "url": URL, "policy": json.dumps({"Statement": statements})}
    graph = Graph("us-east-1", (Resource("jobs", QUEUE, "jobs", "jobs", state, state),), {}, ())
    assert queue_allows(graph, URL, RULE) is allowed
