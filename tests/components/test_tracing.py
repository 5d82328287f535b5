"""Where spans of requests are sent: the settings, and what the functions are told and may do."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pulumi
import pytest

from llm_gateway.routes import ROUTES_FILE, load
from llm_gateway.trace import Tracing
from pulumi_llm.serverless_bedrock_api import ServerlessBedrockApi
from pulumi_llm.websocket_chat import WebSocketChat
from support import programs
from support.programs import MODELS, Recording

SECRET = "arn:aws:secretsmanager:us-east-1:123456789012:secret:otlp-AbCdEf"
KEY = "arn:aws:kms:us-east-1:123456789012:key/12345678-1234-1234-1234-123456789012"
COLLECTOR = "arn:aws:lambda:us-east-1:123456789012:layer:collector-arm64:3"
RECEIVER = "https://otlp.example.com"
# The components, and the keys of the function that answers and of its policies.
COMPONENTS: dict[str, tuple[Callable[..., Any], str]] = {
    "REST": (ServerlessBedrockApi, "chat-function"),
    "WebSocket": (WebSocketChat, "chat-generations-function"),
}


def made(kind: Callable[..., Any], **args: Any) -> Recording:
    return programs.run(lambda: kind("chat", {"models": MODELS, **args}))


def tracing(recording: Recording, function: str) -> Tracing | None:
    inputs = recording.inputs(function)
    return load(Path(inputs["code"].path) / ROUTES_FILE, inputs["environment"]["variables"]).tracing


def actions(recording: Recording) -> set[str]:
    policies = [each for each in recording.custom() if each.type == "aws:iam/rolePolicy:RolePolicy"]
    statements = [s for policy in policies for s in json.loads(policy.inputs["policy"])["Statement"]]
    return {action for statement in statements for action in statement["Action"] if action.startswith("xray:")}


# The arguments -> what the function reads, and what may be done with X-Ray.
SETTINGS: dict[str, tuple[dict[str, Any], Tracing | None, set[str]]] = {
    "off": ({}, None, set()),
    "X-Ray": ({"tracing": True}, Tracing(), {"xray:PutTraceSegments", "xray:PutTelemetryRecords"}),
    "a receiver": ({"otlp": {"endpoint": f"{RECEIVER}/"}}, Tracing(RECEIVER, metrics=True), set()),
    "a receiver with a key": (
        {"otlp": {"endpoint": RECEIVER, "secret_arn": SECRET, "header": "X-Api-Key", "metrics": False, "content": True}},
        Tracing(RECEIVER, content=True, header="x-api-key", secret_arn_variable="OTLP_SECRET_ARN", secret_arn=SECRET),
        set(),
    ),
    "X-Ray's receiver": (
        {"otlp": {"endpoint": "xray", "sample_ratio": 0.25}},
        Tracing("xray", sample_ratio=0.25),
        {"xray:PutSpans", "xray:PutTraceSegments"},
    ),
    "both": (
        {"tracing": True, "otlp": {"endpoint": RECEIVER}},
        Tracing(RECEIVER, metrics=True),
        {"xray:PutTraceSegments", "xray:PutTelemetryRecords"},
    ),
}


@pytest.mark.parametrize(("kind", "function"), COMPONENTS.values(), ids=COMPONENTS)
@pytest.mark.parametrize(("args", "expected", "allowed"), SETTINGS.values(), ids=SETTINGS)
def test_what_the_function_reads(
    kind: Callable[..., Any], function: str, args: dict[str, Any], expected: Tracing | None, allowed: set[str]
) -> None:
    recording = made(kind, **args)
    assert tracing(recording, function) == expected
    assert actions(recording) == allowed
    assert (recording.inputs(function).get("tracingConfig") == {"mode": "Active"}) == args.get("tracing", False)


@pytest.mark.parametrize(("kind", "function"), COMPONENTS.values(), ids=COMPONENTS)
def test_the_secret_and_its_key_may_be_read_and_the_collector_runs_beside(kind: Callable[..., Any], function: str) -> None:
    otlp = {"endpoint": "http://localhost:4318", "collector_layer_arn": COLLECTOR}
    assert made(kind, otlp=otlp).inputs(function)["layers"][-1] == COLLECTOR
    recording = made(kind, otlp={"endpoint": RECEIVER, "secret_arn": SECRET, "kms_key_arn": KEY})
    read, decrypt = json.loads(recording.inputs("chat-secrets-policy")["policy"])["Statement"]
    assert (read["Resource"], decrypt["Resource"]) == ([SECRET], [KEY]) or (read["Resource"], decrypt["Resource"]) == (
        SECRET,
        KEY,
    )


# otlp -> where the mistake is, and what is said of it.
WRONG: dict[str, tuple[dict[str, Any], str, str]] = {
    "no endpoint": ({}, "otlp.endpoint", "is required"),
    "no URL": ({"endpoint": "otlp.example.com:4318"}, "otlp.endpoint", 'must be "xray", or a URL'),
    "a password": ({"endpoint": "https://me:hunter2@otlp.example.com"}, "otlp.endpoint", "without a user"),
    "a signal's path": ({"endpoint": f"{RECEIVER}/v1/traces"}, "otlp.endpoint", f"without the path of a signal: '{RECEIVER}'"),
    "a key in plain text": (
        {"endpoint": "http://otlp.example.com", "secret_arn": SECRET},
        "otlp.endpoint",
        "would send what secret_arn says in plain text",
    ),
    "prompts in plain text": ({"endpoint": "http://otlp.example.com", "content": True}, "otlp.endpoint", "in plain text"),
    "a ratio": ({"endpoint": RECEIVER, "sample_ratio": 1.5}, "otlp.sample_ratio", "1"),
    "a header": ({"endpoint": RECEIVER, "secret_arn": SECRET, "header": "x y"}, "otlp.header", "the name of a header"),
    "a header without a secret": ({"endpoint": RECEIVER, "header": "api-key"}, "otlp.header", "give secret_arn too"),
    "a key without a secret": ({"endpoint": RECEIVER, "kms_key_arn": KEY}, "otlp.kms_key_arn", "give secret_arn too"),
    "metrics for X-Ray": ({"endpoint": "xray", "metrics": True}, "otlp.metrics", "X-Ray takes no metrics"),
    "a secret for X-Ray": ({"endpoint": "xray", "secret_arn": SECRET}, "otlp.secret_arn", "X-Ray takes signed requests"),
    "a collector for X-Ray": (
        {"endpoint": "xray", "collector_layer_arn": COLLECTOR},
        "otlp.collector_layer_arn",
        "not reached by a collector",
    ),
    "a secret elsewhere": (
        {"endpoint": RECEIVER, "secret_arn": SECRET.replace("us-east-1", "eu-west-1")},
        "otlp.secret_arn",
        "eu-west-1",
    ),
    "no layer": ({"endpoint": RECEIVER, "collector_layer_arn": "collector"}, "otlp.collector_layer_arn", "the ARN of a layer"),
}


@pytest.mark.parametrize(("otlp", "path", "text"), WRONG.values(), ids=WRONG)
def test_what_is_refused(otlp: dict[str, Any], path: str, text: str) -> None:
    with pytest.raises(pulumi.InputPropertiesError) as refused:
        made(ServerlessBedrockApi, otlp=otlp)
    (detail,) = refused.value.errors or []
    assert (detail["property_path"], text in detail["reason"]) == (path, True), detail
    assert "hunter2" not in str(refused.value)


def test_a_provider_is_told_the_trace_where_that_is_set() -> None:
    providers = {"vllm": {"type": "openai_compatible", "base_url": "https://vllm.example.com/v1", "trace_context": True}}
    bounds = {"max_output_tokens": 1_000, "context_tokens": 10_000}
    models = [{"name": "own", "targets": [{"provider": "vllm", "model": "m", **bounds}]}]
    recording = programs.run(lambda: ServerlessBedrockApi("chat", {"models": models, "providers": providers}))  # pyright: ignore
    inputs = recording.inputs("chat-function")
    (endpoint,) = load(Path(inputs["code"].path) / ROUTES_FILE, inputs["environment"]["variables"]).endpoints
    assert endpoint.trace_context
