"""Each documented setting, changed on a stack that is up: what the engine would then do, and that no state is replaced."""

import json
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from llm_gateway.operations import OPERATIONS
from pulumi_llm.stack_settings import StackSettings
from pulumi_llm_local.aws_types.registry import STATEFUL
from pulumi_llm_local.engine.cloud import Cloud
from pulumi_llm_local.engine.stack import Done, Stack
from support.programs import PAGE, ROOT
from support.served_models import QWEN
from system.engine.conftest import our_stack, succeeded

sys.path.insert(0, str(ROOT / "docs"))
from describe import setting_rows

KEY_ARN = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
CERTIFICATE = "arn:aws:acm:us-east-1:123456789012:certificate/1234abcd-12ab-34cd-56ef-1234567890ab"
ORDERS = "arn:aws:lambda:us-east-1:123456789012:function:orders"
FIREHOSE = "arn:aws:firehose:us-east-1:123456789012:deliverystream/amazon-apigateway-chat"
DOMAIN = {"name": "chat.example.com", "certificate_arn": CERTIFICATE, "zone_id": "Z0123456789ABCDEFGHIJ"}
VPC = {"subnet_ids": ["subnet-0123456789abcdef0"], "security_group_ids": ["sg-0123456789abcdef0"]}
STATEMENT = {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": "arn:aws:sqs:us-east-1:123456789012:queue"}
JWT = {"issuer": "https://id.example.com", "audiences": ["chat"]}
DEFAULT_KEY = {"name": "default"}
MODELS = ["deepseek-v3-2", "gpt-oss-20b", "claude-haiku-5-5"]

BUDGET = {"monthly_usd": 500}
HAS_LOG_ROLE = {"log_role_exists": True}
MONITOR = "arn:aws:ce::123456789012:anomalymonitor/1234abcd-12ab-34cd-56ef-1234567890ab"
TOPIC = "arn:aws:sns:us-east-1:123456789012:costs"
COST_TAG = {"key": "Project", "value": "pulumi-llm"}
IMPORT = "arn:aws:bedrock:us-east-1:123456789012:imported-model/abcdefghijkl"
DEEPSEEK = {
    "type": "openai_compatible",
    "base_url": "https://api.deepseek.com",
    "secret_arn": "arn:aws:secretsmanager:us-east-1:123456789012:secret:deepseek-AbCdEf",
    "kms_key_arn": KEY_ARN,
    "cache_salt": True,
    "trace_context": True,
}
QUEUE = {"url": "https://sqs.us-east-1.amazonaws.com/123456789012/wake", "arn": "arn:aws:sqs:us-east-1:123456789012:wake"}
TARGET = {"provider": "deepseek", "model": "deepseek-chat", "context_tokens": 128_000, "max_output_tokens": 8_192}
DETAILS: dict[str, Any] = {
    "accepts": ["max_tokens", "temperature", "top_p", "stop"],
    "exclusive": ["temperature", "top_p"],
    "temperature_max": 1.5,
    "stop_max": 16,
    "max_tokens_name": "max_completion_tokens",
    "kind": "chat",
    "think_tags": "written",
}

POLICY = json.dumps(
    {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "execute-api:Invoke"}]}
)
OWN = {
    "context_tokens": 50_000,
    "max_output_tokens": 4_000,
    **{key: value for key, value in DETAILS.items() if key not in ("max_tokens_name", "kind")},
    "accepts": [*DETAILS["accepts"], "prompt_caching"],
    "temperature_max": 0.5,
    "cache_prompts": True,
}
ROUTER = {
    "model": "arn:aws:bedrock:us-east-1:123456789012:prompt-router/abcdefghijkl",
    "router_models": ["nova-pro", "nova-lite"],
}

# A changed function is published as a new version, which its alias then names.
FUNCTION = "update function alias"
# Everything that takes tags. A tag publishes no version.
TAGGED = (
    "update api authorizer-function authorizer-logs authorizer-role function key-default keys-table logs role stage usage-plan"
)
PARAMETERS = "parameter-execution-arn parameter-function-alias-arn parameter-function-arn parameter-function-name "
PARAMETERS += "parameter-log-group-arn parameter-log-group-name parameter-rest-api-id parameter-role-arn parameter-role-name "
PARAMETERS += "parameter-root-resource-id parameter-stage-arn parameter-stage-name parameter-stream-url parameter-url"
# A changed method takes effect with a new deployment, to which the stage is switched before the old one goes.
DEPLOYMENT = "replace deployment; update stage"
# Its Retry-After is how long a caller waits for one more request.
THROTTLED = "gateway-response-throttled"
METHODS = "update " + " ".join(f"method-{each.id.replace('_', '-')}" for each in OPERATIONS if each.authorized)
KEYS = "authorizer-policy key-default key-item-default keys-table usage-plan usage-plan-key-default"
AUTHORIZER = "authorizer authorizer-alias authorizer-function authorizer-logs authorizer-logs-policy authorizer-permission "
AUTHORIZER += "authorizer-role"
TICKETS = "tickets-table tickets-policy resource-/ws resource-/ws/ticket method-websocket-ticket integration-websocket-ticket "
TICKETS += "cors-method-/ws/ticket cors-integration-/ws/ticket cors-method-response-/ws/ticket cors-response-/ws/ticket"
JOB_ROUTES = "resource-/jobs* method-*job* integration-*job* cors-method-/jobs* cors-integration-/jobs* "
JOB_ROUTES += "cors-method-response-/jobs* cors-response-/jobs*"
# Those of files and batches.
BATCH_ROUTES = " ".join(
    f"{kind}-/v1/{name}*"
    for kind in ("resource", "cors-method", "cors-integration", "cors-method-response", "cors-response")
    for name in ("files", "batches")
)
BATCH_ROUTES += " method-*file* method-*batch* integration-*file* integration-*batch*"
# Callers may ask for their use. The table of keys takes what one more route lets through.
LEDGER = (
    f"{FUNCTION} keys-table; {DEPLOYMENT}; create ledger-table ledger-policy resource-/usage method-usage integration-usage "
)
LEDGER += "cors-method-/usage cors-integration-/usage cors-method-response-/usage cors-response-/usage"
USAGE = LEDGER.replace("ledger-", "usage-")
AMOUNTS: dict[str, Any] = {"requests": {"minute": 5}, "tokens": {"day": 9_000}, "usd": {"month": 2.5}}
LIMITS: dict[str, Any] = {**AMOUNTS, "calls_in_flight": 3}
PRICE = {"input": 1, "output": 5, "cache_read": 0.1, "cache_write": 1.25, "cache_write_hour": 2}
FLAGS = "create flags-application flags-environment flags-profile flags-strategy flags-version flags-deployment flags-policy"
FILTERS: dict[str, Any] = {
    "length": {"max_characters": 9_000, "mode": "shadow"},
    "control_characters": {"mode": "mask"},
    "injection": {"mode": "shadow", "builtin": False, "patterns": {"codename": "project (?:blue|red)"}},
    "pii": {"email": "mask"},
}
GUARDRAIL_ARN = "arn:aws:bedrock:us-east-1:123456789012:guardrail/abcdefghijkl"
GUARDRAIL: dict[str, Any] = {
    "content": {"PROMPT_ATTACK": "HIGH"},
    "topics": [{"name": "Investments", "definition": "Advice on what to buy.", "examples": ["Which shares should I buy?"]}],
    "words": ["Voldemort"],
    "profanity": True,
    "pii": {"EMAIL": "ANONYMIZE"},
    "regexes": [{"name": "ticket", "pattern": "TICKET-[0-9]{4}", "action": "BLOCK", "description": "Our tickets"}],
    "cross_region": True,
    "tier": "STANDARD",
    "mode": "shadow",
    "on_failure": "allow",
    "prompts": True,
    "answers": False,
    "window_characters": 500,
    "window_seconds": 1,
    "system_prompts": False,
}
OTLP = {
    "endpoint": "https://otlp.example.com",
    "sample_ratio": 0.1,
    "metrics": False,
    "content": True,
    "secret_arn": "arn:aws:secretsmanager:us-east-1:123456789012:secret:otlp-AbCdEf",
    "kms_key_arn": "arn:aws:kms:us-east-1:123456789012:key/11111111-2222-3333-4444-555555555555",
    "header": "x-otlp-key",
    "collector_layer_arn": "arn:aws:lambda:us-east-1:123456789012:layer:collector:1",
}
RULE = {
    "name": "strict",
    "keys": ["default"],
    "tenants": ["default"],
    "models": [*MODELS],
    "regions": ["us-east-1", "us-east-2", "us-west-2"],
    "hours": [{"start": "08:00", "end": "18:00", "weekdays": ["mon"], "time_zone": "Europe/Berlin"}],
    "tools": ["search"],
    "max_tokens": 500,
    "temperature_min": 0.1,
    "temperature_max": 0.5,
    "out_of_bounds": "clamp",
    "streams": False,
    "prompt_caching": False,
    "retention": "none",
}
# The route by which a stream is stopped, with the table.
JOURNAL = (
    f"{FUNCTION} keys-table; {DEPLOYMENT}; create journal-table journal-policy resource-/chat/{{}} method-cancel "
    "integration-cancel cors-method-/chat/{} cors-integration-/chat/{} "
    "cors-method-response-/chat/{} cors-response-/chat/{}"
)
KNOWLEDGE_BASE_ARN = "arn:aws:bedrock:us-east-1:123456789012:knowledge-base/A1B2C3D4E5"
RETRIEVAL: dict[str, Any] = {
    "aliases": ["gpt-oss-20b"],
    "results": 3,
    "min_score": 0.5,
    "passage_bytes": 1_000,
    "excerpt_characters": 100,
    "tenant_key": "owner",
    "when_unavailable": "answer",
}
KNOWLEDGE_BASE: dict[str, Any] = {
    "enabled": True,
    "parameters": False,
    "prefix": "handbook/",
    "embedding_model": "titan-embed-text-v2",
    "dimensions": 256,
    "chunk_tokens": 200,
    "chunk_overlap_percent": 10,
    "ingest_schedule": "rate(1 hour)",
    "kms_key_arn": KEY_ARN,
    "deletion_protection": False,
}
# The key moves from the plan of all to a plan of its own.
OWN_PLAN = "create usage-plan-default; replace usage-plan-key-default; delete usage-plan"


def chat(*targets: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """An alias of several targets."""
    return {"name": "chat", "targets": list(targets), **more}


# `test_websocket` changes a WebSocket API that is there.
WITHOUT_WEBSOCKET = {"websocket.enabled": False}
# What is changed on dev -> what is then done with which children of the component `chat`, or with `account`. `*`: several.
CASES: list[tuple[dict[str, Any], str]] = [
    ({"tags": {"Team": "search"}}, f"{TAGGED}; update {PARAMETERS}"),
    ({"owner": "ana"}, f"{TAGGED}; update {PARAMETERS}"),
    (
        {"permissions_boundary": "arn:aws:iam::123456789012:policy/functions"},
        "update role authorizer-role",
    ),
    ({"environment": "staging"}, f"{TAGGED}; replace {PARAMETERS}"),
    ({"development": False, "observability": {"budget_waiver": "the account has one already"}}, ""),
    (
        {"observability.budget": {**BUDGET, "emails": ["ops@example.com"], "topic_arn": TOPIC, "cost_tag": COST_TAG}},
        "create observability observability-budget",
    ),
    (
        {
            "observability": {
                "budget": {**BUDGET, "topic_arn": TOPIC},
                "customize": {"budget": {"time_period_end": "2030-01-01_00:00"}},
            }
        },
        "create observability observability-budget",
    ),
    ({"models": [*MODELS, "qwen3-32b"]}, f"{FUNCTION}; update bedrock-policy"),
    ({"models": [{"name": "fast", "model": MODELS[0]}, *MODELS[1:]]}, FUNCTION),
    ({"models": [{"name": MODELS[0], "model": "qwen3-32b"}, *MODELS[1:]]}, f"{FUNCTION}; update bedrock-policy"),
    (
        {
            "models": [
                *MODELS,
                chat({"model": MODELS[0]}, {"model": MODELS[1]}, retries=1, stall_seconds=30, default_max_tokens=99),
            ]
        },
        FUNCTION,
    ),
    ({"models": [*MODELS, chat({"model": MODELS[0]}, {"model": MODELS[1]}, first_token_seconds=9.5)]}, FUNCTION),
    ({"models": [*MODELS, chat({"model": MODELS[0], "weight": 9}, {"model": MODELS[1]}, strategy="weight")]}, FUNCTION),
    (
        {"models": [*MODELS, chat({"model": MODELS[0]}, {"model": MODELS[1], "short_prompt_tokens": 9}, strategy="workload")]},
        FUNCTION,
    ),
    (
        {"models": [*MODELS, chat({"model": IMPORT, "base_model": "deepseek-r1-distill-qwen-7b"})]},
        f"{FUNCTION}; update bedrock-policy",
    ),
    # What the catalogue lacks, in full and as a target.
    ({"models": [*MODELS, {"name": "own", "model": IMPORT, **OWN}]}, f"{FUNCTION}; update bedrock-policy"),
    ({"models": [*MODELS, chat({"model": "acme.chat-2", **OWN})]}, f"{FUNCTION}; update bedrock-policy"),
    ({"models": [*MODELS, {"name": "router", **ROUTER}]}, f"{FUNCTION}; update bedrock-policy"),
    ({"models": [*MODELS, chat(ROUTER)]}, f"{FUNCTION}; update bedrock-policy"),
    (
        {"models": [*MODELS[:2], chat({"model": MODELS[2], "destination_regions": ["us-west-1"]})]},
        f"{FUNCTION}; update bedrock-policy",
    ),
    (
        {"models": [*MODELS, chat({"model": MODELS[0]}, {**TARGET, **DETAILS})], "providers": {"deepseek": DEEPSEEK}},
        f"{FUNCTION}; create secrets-policy",
    ),
    (
        {
            "models": [*MODELS, chat(TARGET)],
            "providers": {
                "deepseek": {
                    **{key: value for key, value in DEEPSEEK.items() if not key.endswith("arn")},
                    "wake_queue": {**QUEUE, "kms_key_arn": KEY_ARN},
                    "stickiness_cookie": "LlmServiceStickiness",
                    "regions": ["eu-west-1"],
                }
            },
        },
        f"{FUNCTION}; create wake-policy",
    ),
    # A stack that calls no Bedrock at all may not do so.
    (
        {"models": [chat(TARGET)], "providers": {"deepseek": DEEPSEEK}},
        f"{FUNCTION}; create secrets-policy; delete bedrock-policy",
    ),
    ({"api.enabled": False}, "delete *"),
    (
        {"api.auth": "jwt", "api.jwt": JWT},
        f"{FUNCTION} api authorizer-function authorizer-alias {THROTTLED}; {METHODS}; {DEPLOYMENT}; delete {KEYS}",
    ),
    (
        {"api.auth": "iam"},
        f"{FUNCTION} api gateway-response-access-denied gateway-response-missing-authentication-token {THROTTLED}; {METHODS}; "
        f"{DEPLOYMENT}; delete {KEYS} {AUTHORIZER}",
    ),
    ({"api.auth": "none"}, f"{FUNCTION} api {THROTTLED}; {METHODS}; {DEPLOYMENT}; delete {KEYS} {AUTHORIZER}"),
    ({"api.authorizer_cache_seconds": 300}, f"update authorizer; {DEPLOYMENT}"),
    ({"api.keys": [DEFAULT_KEY, {"name": "web"}]}, "create key-web key-item-web usage-plan-key-web"),
    ({"api.keys": [{**DEFAULT_KEY, "tenant": "shop"}]}, "update key-default key-item-default"),
    ({"api.keys": [{**DEFAULT_KEY, "models": [MODELS[1]]}]}, "update key-item-default"),
    # A value of the caller's own is another key.
    (
        {"api.keys": [{**DEFAULT_KEY, "value": "sk-0123456789abcdefghij"}]},
        "replace key-default usage-plan-key-default; update key-item-default",
    ),
    (
        {"api.keys": [{**DEFAULT_KEY, "throttle": {"rate_limit": 1, "burst_limit": 2}}]},
        f"{OWN_PLAN}; update {THROTTLED}; {DEPLOYMENT}",
    ),
    ({"api.keys": [{**DEFAULT_KEY, "daily_quota": 5}]}, OWN_PLAN),
    ({"api.keys": [{**DEFAULT_KEY, "websocket": False}]}, "update key-item-default"),
    ({"api.keys": [{**DEFAULT_KEY, "websocket_connections": 5}]}, "update key-item-default"),
    ({"api.keys": [{**DEFAULT_KEY, "enabled": False}]}, "update key-default; delete key-item-default"),
    ({"api.limits": {**LIMITS, "models": {MODELS[0]: AMOUNTS}}}, LEDGER),
    ({"api.otlp": OTLP}, f"{FUNCTION}; create secrets-policy"),
    ({"api.otlp": {"endpoint": "xray"}}, f"{FUNCTION}; create traces-policy"),
    ({"api.metrics": {"namespace": "acme/llm", "tenants": ["acme"]}}, FUNCTION),
    ({"api.tenant_limits": {"default": {**LIMITS, "models": {MODELS[0]: AMOUNTS}}}}, LEDGER),
    ({"api.keys": [{**DEFAULT_KEY, "limits": {**LIMITS, "models": {MODELS[0]: AMOUNTS}}}]}, LEDGER),
    (
        {
            "models": [
                *MODELS,
                {"name": "priced", "model": IMPORT, **OWN, "price": PRICE},
                chat({"model": MODELS[0], "price": PRICE}, {"model": MODELS[1]}),
            ],
            "api.limits": LIMITS,
        },
        f"{LEDGER}; update bedrock-policy",
    ),
    ({"api.idempotency": True}, JOURNAL),
    ({"api.cache": {"ttl_seconds": 600, "when": "asked"}}, f"{FUNCTION}; create journal-table journal-policy"),
    ({"api.flags": True}, f"{FUNCTION}; {FLAGS}"),
    ({"api.safety": FILTERS}, FUNCTION),
    ({"api.safety": {"guardrail": GUARDRAIL}}, f"{FUNCTION}; create guardrail guardrail-version guardrail-policy"),
    (
        {"api.safety": {"guardrail": {"arn": GUARDRAIL_ARN, "version": "7", "cross_region": True}}},
        f"{FUNCTION}; create guardrail-policy",
    ),
    ({"api.rules": [RULE]}, FUNCTION),
    ({"api.retrieval": {**RETRIEVAL, "knowledge_base_arn": KNOWLEDGE_BASE_ARN}}, f"{FUNCTION}; create retrieval-policy"),
    (
        {"knowledge_base": KNOWLEDGE_BASE, "api.retrieval": RETRIEVAL},
        f"create knowledge knowledge-* retrieval-policy; {FUNCTION}",
    ),
    (
        {
            "knowledge_base": {
                "enabled": True,
                "bucket": "documents-of-ours",
                "bucket_kms_key_arn": KEY_ARN,
                "ingest_schedule": "never",
                "customize": {"index": {"tags": {"Team": "search"}}},
            }
        },
        "create knowledge knowledge-*",
    ),
    ({"api.throttle.rate_limit": 1}, f"update usage-plan {THROTTLED}; {DEPLOYMENT}"),
    ({"api.throttle.burst_limit": 5}, "update usage-plan"),
    ({"api.daily_quota": 5}, "update usage-plan"),
    # The table of keys takes what all routes together let through.
    ({"api.stage_throttle.rate_limit": 5}, "update stage-settings keys-table"),
    ({"api.stage_throttle.burst_limit": 5}, "update stage-settings keys-table"),
    (
        {"api.cors_allow_origin": "https://chat.example.com"},
        f"{FUNCTION} cors-response-* gateway-response-*; {DEPLOYMENT}",
    ),
    (
        {"api.cors_allow_origin": ["https://chat.example.com", "https://www.example.com"]},
        f"{FUNCTION} cors-method-response-* cors-response-*; {DEPLOYMENT}",
    ),
    ({"api.memory_mb": 1024}, FUNCTION),
    ({"api.timeout_seconds": 60}, f"{FUNCTION} integration-*; {DEPLOYMENT}"),
    ({"api.vpc": VPC}, f"{FUNCTION}; create vpc-policy"),
    ({"api.policies": {"managed": {"read": "arn:aws:iam::123456789012:policy/read"}}}, "create managed-policy-read"),
    ({"api.policies": {"inline": {"queue": [STATEMENT]}}}, "create inline-policy-queue"),
    ({"api.environment": {"LEVEL": "debug"}}, FUNCTION),
    ({"api.log_retention_days": 30}, "update logs authorizer-logs"),
    ({"api.reserved_concurrency": 5}, "update function"),
    (
        {"api.kms_key_arn": KEY_ARN},
        f"{FUNCTION} authorizer-function authorizer-alias logs authorizer-logs keys-table logs-policy authorizer-logs-policy",
    ),
    ({"api.tracing": True}, f"{FUNCTION} authorizer-function authorizer-alias logs-policy authorizer-logs-policy stage"),
    # Its default endpoint is closed by a setting of the API, which reaches the stage with a deployment.
    (
        {"api.domain": DOMAIN},
        f"create domain domain-mapping domain-record; update api parameter-url parameter-stream-url; {DEPLOYMENT}",
    ),
    (
        {"api.domain": {**DOMAIN, "default_endpoint": True}},
        "create domain domain-mapping domain-record; update parameter-url parameter-stream-url",
    ),
    (
        {"api.domain": {**DOMAIN, "base_path": "llm"}},
        f"create domain domain-mapping domain-record; update api parameter-url parameter-stream-url; {DEPLOYMENT}",
    ),
    (
        {"api.domain": {"name": "chat.example.com", "existing": True}},
        f"create domain-mapping; update api parameter-url parameter-stream-url; {DEPLOYMENT}",
    ),
    (
        {"api.endpoint": "private", "api.vpc_endpoint_ids": ["vpce-0123456789abcdef0"]},
        f"update api; create resource-policy; {DEPLOYMENT}",
    ),
    ({"api.resource_policy": POLICY}, f"create resource-policy; {DEPLOYMENT}"),
    (
        {"api.routes": [{"method": "GET", "path": "/orders/{id}", "function_arn": ORDERS, "authorized": False}]},
        f"create resource-* route-* cors-*; {DEPLOYMENT}",
    ),
    (
        {"api.routes": [{"method": "ANY", "path": "/chat", "url": "https://example.com"}]},
        f"create route-*; update cors-response-chat; {DEPLOYMENT}",
    ),
    ({"api.redeploy": "2026-12-01"}, DEPLOYMENT),
    ({"api.parameters": False}, f"delete {PARAMETERS}"),
    ({"api.access_logs": True, "api.log_role_exists": True}, "create access-logs; update stage"),
    (
        {"api": {"auth": "api_key", "access_log_destination_arn": FIREHOSE, **HAS_LOG_ROLE}},
        "update stage logs authorizer-logs keys-table",
    ),
    ({"api.debug": True}, FUNCTION),
    ({"api.deletion_protection": True}, "update keys-table"),
    ({"api.web_adapter_layer_version": 28}, FUNCTION),
    ({"api.web_adapter_layer_arn": "arn:aws:lambda:us-east-1:123456789012:layer:adapter:1"}, FUNCTION),
    ({"api.customize": {"stage": {"description": "ours"}}}, "update stage"),
    # All that a deployment freezes is deployed anew.
    ({"api.customize": {"api": {"policy": POLICY}}}, f"update api; {DEPLOYMENT}"),
    ({"api.customize": {"api": {"disable_execute_api_endpoint": True}}}, f"update api; {DEPLOYMENT}"),
    ({"api.customize": {"api": {"tags": {"Team": "search"}}}}, "update api"),
    ({"api.customize": {"authorizer": {"identity_source": "method.request.header.X"}}}, f"update authorizer; {DEPLOYMENT}"),
    (
        {"api.customize": {"method": {"request_parameters": {"method.request.header.X": True}}}},
        f"update method-*; {DEPLOYMENT}",
    ),
    ({"api.customize": {"validator": {"validate_request_body": False}}}, f"update validator; {DEPLOYMENT}"),
    ({"api.customize": {"body-model": {"schema": "{}"}}}, f"update body-model; {DEPLOYMENT}"),
    (
        {"api.customize": {"cors-method-response": {"response_models": {"text/plain": "Empty"}}}},
        f"update cors-m*; {DEPLOYMENT}",
    ),
    ({"api.customize": {"cors-response": {"content_handling": "CONVERT_TO_TEXT"}}}, f"update cors-response-*; {DEPLOYMENT}"),
    (
        {"api.customize": {"gateway-response": {"response_templates": {"text/plain": "no"}}}},
        f"update gateway-response-*; {DEPLOYMENT}",
    ),
    # What is replaced is there before the stage is moved, and no sooner gone.
    ({"api.customize": {"role": {"path": "/llm/"}}}, f"replace role logs-policy bedrock-policy; {FUNCTION} parameter-role-*"),
    (
        {"api.customize": {"stage": {"stage_name": "v2"}}},
        "replace stage stage-settings method-settings-*; update usage-plan parameter-url parameter-st*",
    ),
    (
        {"api.customize": {"function": {"name": "chat"}, "authorizer-function": {"name": "checks"}}},
        f"replace function alias permission authorizer-function authorizer-alias authorizer-permission; "
        f"update integration-* authorizer parameter-*; {DEPLOYMENT}",
    ),
    (
        {"api.customize": {"body-model": {"name": "Any", "content_type": "text/plain"}}},
        f"replace body-model; update method-*; {DEPLOYMENT}",
    ),
    (
        {"api.customize": {"integration": {"passthrough_behavior": "NEVER"}}},
        f"replace integration-*; {DEPLOYMENT}",
    ),
    (
        {"api.customize": {"cors-integration": {"passthrough_behavior": "NEVER"}}},
        f"replace cors-integration-* cors-response-*; {DEPLOYMENT}",
    ),
    ({"account_baseline.api_gateway_logs": True}, "create account account-*"),
    ({"account_baseline.github_oidc": True}, "create account account-*"),
    ({"account_baseline.cost_anomalies": {"emails": ["ops@example.com"], "minimum_usd": 20}}, "create account account-*"),
    (
        {"account_baseline.cost_anomalies": {"topic_arn": TOPIC, "monitor_arn": MONITOR}},
        "create account account-anomaly-topic",
    ),
    ({"account_baseline.bedrock_invocation_logs": True}, "create account account-*"),
    ({"account_baseline": {"bedrock_invocation_logs": True, "log_retention_days": 90}}, "create account account-*"),
    ({"account_baseline": {"bedrock_invocation_logs": True, "kms_key_arn": KEY_ARN}}, "create account account-*"),
    (
        {"account_baseline": {"github_oidc": True, "customize": {"github-oidc": {"thumbprint_lists": ["a" * 40]}}}},
        "create account account-*",
    ),
    (
        {
            "websocket": {
                "enabled": True,
                "parameters": False,
                "stage_throttle": {"rate_limit": 5, "burst_limit": 5},
                "connections_per_key": 50,
                "messages_per_minute": 30,
                "generations_per_connection": 2,
                "generations_per_key": 5,
                "message_interval_ms": 100,
                "memory_mb": 1024,
                "timeout_seconds": 300,
                "log_retention_days": 90,
                "reserved_concurrency": 5,
                "vpc": VPC,
                "policies": {
                    "managed": {"read": "arn:aws:iam::123456789012:policy/read"},
                    "inline": {"queue": [STATEMENT]},
                },
                "environment": {"LEVEL": "debug"},
                "kms_key_arn": KEY_ARN,
                "tracing": True,
                "access_logs": True,
                "debug": True,
                "deletion_protection": True,
                "customize": {"stage": {"description": "ours"}},
            },
            "api.log_role_exists": True,
        },
        f"create websocket websocket-* {TICKETS}; {FUNCTION} keys-table; {DEPLOYMENT}",
    ),
    (
        {
            "async_inference": {
                "enabled": True,
                "parameters": False,
                "jobs_per_caller": 50,
                "batches_per_caller": 5,
                "batch_requests_per_caller": 10_000,
                "files_per_caller": 20,
                "debug": True,
                "maximum_concurrency": 10,
                "batch_size": 2,
                "max_tries": 4,
                "memory_mb": 1024,
                "timeout_seconds": 600,
                "log_retention_days": 90,
                "batches": {"maximum_concurrency": 10, "lines_per_call": 8, "memory_mb": 1024, "reserved_concurrency": 30},
                "reserved_concurrency": 10,
                "vpc": VPC,
                "policies": {
                    "managed": {"read": "arn:aws:iam::123456789012:policy/read"},
                    "inline": {"queue": [STATEMENT]},
                },
                "environment": {"LEVEL": "debug"},
                "kms_key_arn": KEY_ARN,
                "tracing": True,
                "event_archive_days": 30,
                "event_schemas": True,
                "notifications": {
                    "shop": {
                        "events": ["job.failed"],
                        "tenants": ["shop"],
                        "webhook": {
                            "url": "https://shop.example.com/hooks",
                            "secret_arn": "arn:aws:secretsmanager:us-east-1:123456789012:secret:shop-AbCdEf",
                            "kms_key_arn": KEY_ARN,
                        },
                    },
                },
                "customize": {"bus": {"description": "ours"}},
            },
        },
        f"create jobs jobs-* {JOB_ROUTES} {BATCH_ROUTES}; {FUNCTION} keys-table; {DEPLOYMENT}",
    ),
    (
        {
            "usage_analytics": {
                "enabled": True,
                "tenant_readers": ["default"],
                "log_retention_days": 90,
                "kms_key_arn": KEY_ARN,
                "customize": {"dead-letters": {"messageRetentionSeconds": 600}},
            },
        },
        f"{USAGE}; create usage usage-*",
    ),
    ({"api.log_costs": True}, FUNCTION),
    # `test_frontend` changes a CDN that is there.
    (
        {
            "frontend": {
                "enabled": True,
                "parameters": False,
                "folder": str(PAGE),
                "domain": {**DOMAIN, "name": "www.example.com"},
                "price_class": "PriceClass_All",
                "allow_countries": ["DE"],
                "waf": {"enabled": True, "rate_limit": 500, "managed_rules": "count"},
                "access_logs": True,
                "log_retention_days": 90,
                "deletion_protection": True,
                "customize": {"bucket": {"bucket_prefix": "page-"}},
            }
        },
        "create frontend frontend-*",
    ),
    (
        {"frontend": {"enabled": True, "deny_countries": ["KP"]}, "api.function_url": True},
        f"{FUNCTION}; create function-url keys-policy frontend frontend-*",
    ),
]
CASES += [
    (
        {
            "network": {
                "enabled": True,
                "parameters": False,
                "cidr": "10.20.0.0/18",
                "zone_count": 3,
                "nat": "per_zone",
                "interface_endpoints": ["sts"],
                "flow_logs": "all",
                "log_retention_days": 90,
                "kms_key_arn": KEY_ARN,
                "service_port": 8000,
                "deletion_protection": False,
                "customize": {"vpc": {"instance_tenancy": "default"}},
            },
            "gpu": {
                "enabled": True,
                "parameters": False,
                "admins": ["arn:aws:iam::123456789012:role/deploy"],
                "domain": {"name": "models.example.com", "zone_id": "Z0123456789ABCDEFGHIJ", "certificate_arn": CERTIFICATE},
                "private_link": {
                    "allowed_principals": ["arn:aws:iam::210987654321:root"],
                    "acceptance_required": False,
                    "zone_id": "Z0123456789ABCDEFGHIJ",
                },
                "models": {"r1": {**QWEN, "pool": "a10g"}},
                "schedule": {"enabled": True, "up": "07:00", "down": "19:00", "time_zone": "Europe/Berlin", "hard_off": False},
                "permissions_boundary": "arn:aws:iam::123456789012:policy/pods",
                "manifests_folder": "build/manifests",
                "kubernetes_version": "1.36",
                "node_release": "1.36.2-20260714",
                "endpoint_public_cidrs": ["203.0.113.0/24"],
                "system_nodes": {"instance_type": "m5.xlarge", "min": 2, "max": 4},
                "node_pools": {
                    "a10g": {
                        "instance_type": "g5.2xlarge",
                        "on_demand": {"min": 1, "max": 2},
                        "spot": {"min": 0, "max": 4},
                        "volume_gib": 300,
                        "volume_throughput": 1000,
                        "capacity_reservation_id": "cr-0123456789abcdef0",
                        "capacity_block": False,
                    }
                },
                "log_retention_days": 30,
                "kms_key_arn": KEY_ARN,
                "deletion_protection": False,
                "customize": {"node-group:a10g-spot": {"instance_types": ["g5.2xlarge", "g5.4xlarge"]}},
            },
            # Its functions join the network, and wake the model.
            "models": [*MODELS, chat({"provider": "r1", "model": "r1"}, {"model": MODELS[0]})],
        },
        f"{FUNCTION}; create wake-policy vpc-policy network network-* gpu gpu-*",
    ),
    (
        {
            "network": {
                "enabled": True,
                "existing": {
                    "vpc_id": "vpc-0123456789abcdef0",
                    "private_subnet_ids": ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"],
                    "public_subnet_ids": ["subnet-0123456789abcdef2"],
                    "balancer_subnet_ids": ["subnet-0123456789abcdef3", "subnet-0123456789abcdef4"],
                },
            }
        },
        "create network network-*",
    ),
    ({"network": {"enabled": True, "zones": ["us-east-1a", "us-east-1b"]}}, "create network network-*"),
]
# What is replaced on purpose: the outputs' copies, whose paths have the environment in them, a key by its value, a stage by its
# name.
REPLACED = {
    "environment": {"aws:ssm/parameter:Parameter"},
    "api.keys[].value": {"aws:apigateway/apiKey:ApiKey"},
    "api.customize.stage.stage_name": {"aws:apigateway/stage:Stage"},
}
# A Region is a place: another one is another stack. These settings are tried with others (`test_beside`), or change nothing
# alone.
NOT_CHANGED = {
    *(f"api.existing_api.{name}" for name in ("rest_api_id", "root_resource_id", "execution_arn", "path_prefix", "stage_name")),
    "api.existing_api.redeploy_on",
    "aws:region",
    "models[].base_model",
    "models[].destination_regions",
    "api.jwt.in_vpc",
    "api.jwt.tenant_claim",
    "api.jwt.models_claim",
}


@dataclass
class Up:
    """A stack that is up, with its account as it was then."""

    stack: Stack
    state: Path
    cloud: Cloud

    def again(self) -> Stack:
        """The stack, as if nothing had been done with it since."""
        shutil.copytree(self.state, self.stack.folder / "state", dirs_exist_ok=True)
        self.stack.cloud.become(self.cloud)
        return self.stack


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    state = tmp_path_factory.mktemp("state")
    # Access logs can be switched on.
    with our_stack(tmp_path_factory.mktemp("dev"), "dev", Cloud(api_gateway_log_role=True)) as stack:
        stack.base = WITHOUT_WEBSOCKET
        stack.configure({})
        succeeded(stack.up())
        shutil.copytree(stack.folder / "state", state, dirs_exist_ok=True)
        yield Up(stack, state, stack.cloud.copy())


@pytest.fixture
def dev(up: Up) -> Stack:
    return up.again()


@pytest.mark.parametrize(
    ("change", "expected"), CASES, ids=[", ".join(change) + f" {i}" for i, (change, _) in enumerate(CASES)]
)
def test_a_setting_touches_only_what_it_should(dev: Stack, change: Mapping[str, Any], expected: str) -> None:
    dev.configure(change)
    done = succeeded(dev.up())
    assert compared(planned(done), expected) == ([], [])
    replaced = {urn.split("::")[2].rpartition("$")[2] for urn, operation in done.steps().items() if operation == "replace"}
    assert replaced & STATEFUL.keys() == set[str]().union(*(REPLACED.get(path, set()) for path in leaves(change)))


def test_a_switch_of_auth_leaves_nothing_of_the_other_one_on_the_stage(dev: Stack) -> None:
    for change in ({"api.auth": "iam"}, {}, {"api.auth": "jwt", "api.jwt": JWT}, {"api.auth": "none"}, {}):
        dev.configure(change)
        succeeded(dev.up())  # which compares what is served with what is configured


@pytest.mark.parametrize(
    "change",
    [
        {"api.routes": [{"method": "GET", "path": "/orders", "url": "https://example.com", "authorized": False}]},
        {"api.resource_policy": POLICY},
        {"api.endpoint": "private", "api.vpc_endpoint_ids": ["vpce-0123456789abcdef0"]},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_is_taken_away_leaves_the_stage_with_another_deployment(dev: Stack, change: Mapping[str, Any]) -> None:
    dev.configure(change)
    succeeded(dev.up())
    dev.configure({})
    succeeded(Stack.up(dev))
    (stage,) = dev.cloud.of_type("aws:apigateway/stage:Stage")
    assert dev.cloud.served(stage) != dev.cloud.configured(stage)  # the rule of AWS's that the documentation warns of
    dev.configure({"api.redeploy": "1"})
    assert planned(succeeded(dev.up())) == [("replace", "deployment"), ("update", "stage")]


def compared(found: list[tuple[str, str]], expected: str) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """What is done although it is not expected, and what is expected and not done."""
    patterns = [(operation, re.compile(pattern.replace("*", ".*"))) for operation, pattern in spelled(expected)]
    unexpected = [each for each in found if not any(each[0] == o and p.fullmatch(each[1]) for o, p in patterns)]
    missing = [(o, p.pattern) for o, p in patterns if not any(o == each[0] and p.fullmatch(each[1]) for each in found)]
    return unexpected, missing


def planned(done: Done, component: str = "chat-") -> list[tuple[str, str]]:
    """What is to be done, as operations and the children's keys; the stack itself is left out."""
    names = ((operation, urn.split("::", maxsplit=3)[3]) for urn, operation in done.steps().items() if "::pulumi:" not in urn)
    return [(operation, name.removeprefix(component)) for operation, name in names if operation != "same"]


def spelled(expected: str) -> list[tuple[str, str]]:
    clauses = (clause.split() for clause in expected.split(";") if clause.strip())
    return [(operation, name) for operation, *names in clauses for name in names]


def test_every_documented_setting_is_tried() -> None:
    # These have names that a configuration gives.
    named = re.compile(r"(^providers|^gpu\.node_pools|^api\.tenant_limits|^async_inference\.notifications|\.models)\.[^.]+")
    tried = {named.sub(r"\1.*", path) for change, _ in CASES for path in leaves(change)}
    # What is of a served model changes its objects in the cluster: tests/components/test_served_models.py
    documented = {path for path in setting_paths() if not path.startswith("gpu.models.*.")}
    untried = {path for path in documented if not any(t == path or t.startswith((f"{path}.", f"{path}[")) for t in tried)}
    assert untried == NOT_CHANGED


def leaves(value: Any, path: str = "") -> Iterator[str]:
    """The paths of the settings that a change gives: `api.keys[].tenant`."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from leaves(item, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for item in value:
            yield from leaves(item, f"{path}[]")
        yield path
    else:
        yield path.removesuffix("[]")


def setting_paths() -> set[str]:
    """The paths of the settings that hold no other settings, as the description of a stack has them."""
    paths = [path for path, _, _ in setting_rows(StackSettings)]
    return {path for path in paths if not any(other.startswith((f"{path}.", f"{path}[")) for other in paths)}


def test_protection_keeps_addresses_and_keys(dev: Stack) -> None:
    """Another Region replaces everything, and a key's value cannot be made again: `deletion_protection` stands in the way."""
    protected = {"api.deletion_protection": True}
    two, disabled = [DEFAULT_KEY, {"name": "web"}], [DEFAULT_KEY, {"name": "web", "enabled": False}]
    dev.configure({**protected, "api.keys": two})
    succeeded(dev.up())
    for change, kept in (({"aws:region": "us-west-2"}, "chat-api"), ({"api.keys": [DEFAULT_KEY]}, "chat-key-web")):
        dev.configure({**protected, "api.keys": two, **change})
        done = dev.preview()
        assert done.returncode != 0
        assert kept in done.output
        assert "protect" in done.output
    # A key leaves in two steps.
    dev.configure({**protected, "api.keys": disabled})
    succeeded(dev.up())
    dev.configure(protected)
    assert planned(succeeded(dev.up())) == [("delete", "usage-plan-key-web"), ("delete", "key-web")]
