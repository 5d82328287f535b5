"""What every component of the package keeps to. The components are found, not listed: a new one needs arguments below."""

import ast
import inspect
import json
import typing
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pulumi
import pulumi_aws as aws
import pytest
from pulumi.provider.experimental.component import ComponentProvider

import pulumi_llm
from pulumi_llm.base.component import Component, output_names
from pulumi_llm_local.aws_types import registry
from pulumi_llm_local.aws_types.sdk import resource_class
from pulumi_llm_local.aws_types.values import revealed
from pulumi_llm_local.program.arguments import problems
from pulumi_llm_local.program.recorder import Recorded
from support import programs
from support.programs import MODELS, Recording
from support.served_models import IMAGE, QWEN

COMPONENTS: dict[str, type[Component]] = {
    name: value
    for name in pulumi_llm.__all__
    if inspect.isclass(value := getattr(pulumi_llm, name)) and issubclass(value, Component)
}

# Sets of arguments that together make every child of a component.
WAKE_QUEUE = {
    "url": "https://sqs.us-east-1.amazonaws.com/123456789012/wake",
    "arn": "arn:aws:sqs:us-east-1:123456789012:wake",
    "kms_key_arn": "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab",
}
KNOWLEDGE_BASE_ARN = "arn:aws:bedrock:us-east-1:123456789012:knowledge-base/A1B2C3D4E5"
JOBS = {
    "table_name": "chat-jobs-table-1a2b3c4",
    "table_arn": "arn:aws:dynamodb:us-east-1:123456789012:table/chat-jobs-table-1a2b3c4",
    "stream_arn": "arn:aws:dynamodb:us-east-1:123456789012:table/chat-jobs-table-1a2b3c4/stream/2026-01-01T00:00:00.000",
    "bucket_name": "chat-jobs-bucket-1a2b3c4",
}
PROFILE_ARN = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/a1b2c3d4e5f6"
GPU = {
    "network": {
        "vpc_id": "vpc-0123456789abcdef0",
        "private_subnet_ids": ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"],
        "balancer_subnet_ids": ["subnet-0123456789abcdef2", "subnet-0123456789abcdef3"],
        "balancer_subnet_cidrs": ["172.16.224.0/22", "172.16.228.0/22"],
        "balancer_security_group_id": "sg-0123456789abcdef0",
        "service_security_group_id": "sg-0123456789abcdef1",
    },
    "admins": ["arn:aws:iam::123456789012:role/deploy"],
    "domain": {"name": "models.example.com", "zone_id": "Z0123456789ABCDEFGHIJ"},
    "models": {"chat": QWEN},
}
USAGE_TABLE = {
    "name": "chat-usage-table-1a2b3c4",
    "arn": "arn:aws:dynamodb:us-east-1:123456789012:table/chat-usage-table-1a2b3c4",
    "kms_key_arn": "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab",
}
LOG_GROUP = "arn:aws:logs:us-east-1:123456789012:log-group:chat-logs"
ARGUMENTS: dict[str, dict[str, dict[str, Any]]] = {
    "AccountBaseline": {
        "everything": {
            "api_gateway_logs": True,
            "github_oidc": True,
            "cost_anomalies": {"emails": ["ops@example.com"], "topic_arn": "arn:aws:sns:us-east-1:123456789012:costs"},
            "bedrock_invocation_logs": True,
            "log_retention_days": 90,
        },
        "one part": {"github_oidc": True},
    },
    "AsyncInference": {
        "least": {"models": MODELS, "jobs": JOBS},
        "everything": {
            "jobs": {**JOBS, "kms_key_arn": "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"},
            "limits": {"requests": {"minute": 60}},
            "key_limits": {"web": {"tokens": {"day": 9_000}}},
            "ledger_table": {
                "name": "chat-ledger-table-1a2b3c4",
                "arn": "arn:aws:dynamodb:us-east-1:123456789012:table/chat-ledger-table-1a2b3c4",
            },
            "safety": {
                "length": {"max_characters": 9_000},
                "guardrail": {"arn": "arn:aws:bedrock:us-east-1:123456789012:guardrail/a1b2c3d4e5f6", "version": "1"},
            },
            "flags": {
                "configuration": "abcd123/efgh456/ijkl789",
                "arn": "arn:aws:appconfig:us-east-1:123456789012:application/abcd123/environment/efgh456/configuration/ijkl789",
            },
            "retrieval": {"knowledge_base_arn": KNOWLEDGE_BASE_ARN},
            "rules": [{"name": "short", "max_tokens": 100}],
            "metrics": {"namespace": "llm/jobs"},
            "models": [
                *MODELS,
                {
                    "name": "other",
                    "targets": [
                        {"provider": "vllm", "model": "mine", "context_tokens": 8_192, "max_output_tokens": 2_048},
                    ],
                },
            ],
            "providers": {
                "vllm": {
                    "type": "openai_compatible",
                    "base_url": "https://vllm.example.com/v1",
                    "secret_arn": "arn:aws:secretsmanager:us-east-1:123456789012:secret:vllm-AbCdEf",
                    "wake_queue": WAKE_QUEUE,
                },
            },
            "maximum_concurrency": 20,
            "batch_size": 10,
            "max_tries": 6,
            "batches": {"maximum_concurrency": 10, "lines_per_call": 8, "memory_mb": 1024, "reserved_concurrency": 30},
            "reserved_concurrency": 20,
            "event_archive_days": 30,
            "event_schemas": True,
            "notifications": {
                "shop": {
                    "events": ["job.failed"],
                    "tenants": ["shop"],
                    "webhook": {
                        "url": "https://shop.example.com/hooks",
                        "secret_arn": "arn:aws:secretsmanager:us-east-1:123456789012:secret:shop-AbCdEf",
                        "kms_key_arn": "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab",
                    },
                },
            },
            "vpc": {"subnet_ids": ["subnet-0123456789abcdef0"], "security_group_ids": ["sg-0123456789abcdef0"]},
            "kms_key_arn": "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab",
            "tracing": True,
            "otlp": {"endpoint": "xray"},
            "policies": {
                "managed": {"read": "arn:aws:iam::123456789012:policy/read"},
                "inline": {
                    "queue": [{"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": "arn:aws:sqs:us-east-1:1:q"}]
                },
            },
            "environment": {"LEVEL": "debug"},
            "parameter_prefix": "/llm/jobs",
        },
        "an Output": {"models": [{"name": "own", "model": PROFILE_ARN, "base_model": "claude-haiku-5-5"}], "jobs": JOBS},
    },
    "CdnFrontend": {
        "everything": {
            "folder": str(programs.PAGE),
            "api_url": "https://a1b2c3d4e5.execute-api.us-east-1.amazonaws.com/api",
            "api_stage_arn": "arn:aws:apigateway:us-east-1::/restapis/a1b2c3d4e5/stages/api",
            "websocket_url": "wss://f6g7h8i9j0.execute-api.us-east-1.amazonaws.com/ws",
            "function_url": "https://a1b2c3d4e5f6.lambda-url.us-east-1.on.aws/",
            "function_alias_arn": "arn:aws:lambda:us-east-1:123456789012:function:chat:live",
            "domain": {
                "name": "www.example.com",
                "certificate_arn": "arn:aws:acm:us-east-1:123456789012:certificate/1234abcd-12ab-34cd-56ef-1234567890ab",
                "zone_id": "Z0123456789ABCDEFGHIJ",
            },
            "deny_countries": ["KP"],
            "parameter_prefix": "/llm/cdn",
        },
        "cheap": {
            "folder": str(programs.PAGE),
            "api_url": "https://a1b2c3d4e5.execute-api.us-east-1.amazonaws.com/api",
            "waf": {"enabled": False},
            "access_logs": False,
            "deletion_protection": False,
        },
    },
    "GpuInferenceCluster": {
        "least": GPU,
        "everything": {
            **GPU,
            "domain": {"name": "gpu.example.com", "zone_id": "Z0123456789ABCDEFGHIJ"},
            "admins": ["arn:aws:iam::123456789012:role/deploy", "arn:aws:iam::123456789012:role/ops"],
            "endpoint_public_cidrs": ["203.0.113.0/24"],
            "private_link": {"allowed_principals": ["arn:aws:iam::210987654321:root"]},
            "node_pools": {
                "gpu": {"spot": {"max": 4}, "volume_gib": 300},
                "large": {
                    "instance_type": "p5.48xlarge",
                    "capacity_reservation_id": "cr-0123456789abcdef0",
                    "capacity_block": True,
                    "spot": {"max": 0},
                },
            },
            "models": {
                "chat": {**QWEN, "candidate": {"weight": 10, "context": 8192}},
                "stored": {
                    "model": "deepseek-r1-distill-qwen-7b",
                    "pool": "large",
                    "image": IMAGE,
                    "weights_uri": "s3://weights-of-ours/r1-7b",
                    "weights_kms_key_arn": "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab",
                },
                "own": {"pool": "gpu", "image": IMAGE, "grpc": True},
            },
            "schedule": {"up": "07:00", "down": "19:00", "time_zone": "Europe/Berlin"},
            "parameter_prefix": "/llm/gpu",
        },
        "cheap": {
            **GPU,
            "domain": {
                "name": "models.example.com",
                "certificate_arn": "arn:aws:acm:us-east-1:123456789012:certificate/1234abcd-12ab-34cd-56ef-1234567890ab",
            },
            "kms_key_arn": "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab",
            "deletion_protection": False,
        },
        "synced": {
            **GPU,
            "domain": {"name": "synced.example.com", "zone_id": "Z0123456789ABCDEFGHIJ"},
            "manifests_folder": "build/manifests",
        },
    },
    "InferenceNetwork": {
        "everything": {
            "cidr": "10.20.0.0/18",
            "zones": ["us-east-1a", "us-east-1b", "us-east-1c"],
            "nat": "per_zone",
            "interface_endpoints": ["bedrock-runtime", "execute-api"],
            "flow_logs": "all",
            "kms_key_arn": "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab",
            "parameter_prefix": "/llm/network",
        },
        "existing": {
            "existing": {
                "vpc_id": "vpc-0123456789abcdef0",
                "private_subnet_ids": ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"],
            }
        },
        "cheap": {"nat": "none", "flow_logs": "off", "deletion_protection": False},
    },
    "KnowledgeBase": {
        "everything": {
            "prefix": "handbook/",
            "embedding_model": "titan-embed-text-v2",
            "dimensions": 512,
            "ingest_schedule": "cron(0 3 * * ? *)",
            "kms_key_arn": "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab",
            "parameter_prefix": "/llm/knowledge",
        },
        "given bucket": {
            "bucket": "documents-of-ours",
            "embedding_model": "cohere-embed-multilingual-v3",
            "ingest_schedule": "never",
            "deletion_protection": False,
        },
        "cheap": {"deletion_protection": False},
    },
    "Observability": {
        "everything": {
            "budget": {
                "monthly_usd": 500,
                "emails": ["ops@example.com", "finance@example.com"],
                "topic_arn": "arn:aws:sns:us-east-1:123456789012:costs",
                "cost_tag": {"key": "Project", "value": "chat"},
            }
        },
        "addresses only": {"budget": {"monthly_usd": 0.5e3, "emails": ["ops@example.com"]}},
    },
    "ServerlessBedrockApi": {
        "least": {"models": MODELS},
        "no authentication": {"models": MODELS, "auth": "none", "access_logs": False, "debug": True},
        "two keys": {"models": MODELS, "keys": [{"name": "web", "models": ["fast"]}, {"name": "batch", "tenant": "acme"}]},
        "everything": {
            "models": MODELS,
            "keys": [
                {"name": "web", "throttle": {"rate_limit": 1, "burst_limit": 2}, "daily_quota": 10},
                {"name": "batch", "limits": {"usd": {"month": 5}}},
            ],
            "limits": {"requests": {"minute": 60}, "calls_in_flight": 5, "models": {"fast": {"tokens": {"day": 100_000}}}},
            "tenant_limits": {"default": {"usd": {"day": 0.5}}},
            "safety": {
                "pii": {"email": "mask"},
                "guardrail": {"content": {"PROMPT_ATTACK": "HIGH"}, "words": ["Voldemort"], "cross_region": True},
            },
            "flags": True,
            "retrieval": {"knowledge_base_arn": KNOWLEDGE_BASE_ARN, "results": 3},
            "authorizer_cache_seconds": 300,
            "function_url": True,
            "websocket_tickets": True,
            "jobs": True,
            "batches": True,
            "usage": {"tenant_readers": ["web"]},
            "idempotency": True,
            "cache": {"ttl_seconds": 600},
            "reserved_concurrency": 20,
            "kms_key_arn": "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab",
            "tracing": True,
            "otlp": {"endpoint": "xray", "content": True},
            "domain": {
                "name": "chat.example.com",
                "certificate_arn": "arn:aws:acm:us-east-1:123456789012:certificate/1234abcd-12ab-34cd-56ef-1234567890ab",
                "zone_id": "Z0123456789ABCDEFGHIJ",
            },
            "parameter_prefix": "/llm/test",
        },
        "tokens": {
            "models": MODELS,
            "auth": "jwt",
            "jwt": {"issuer": "https://id.example.com", "audiences": ["chat"], "models_claim": "models", "in_vpc": True},
            "vpc": {"subnet_ids": ["subnet-0123456789abcdef0"], "security_group_ids": ["sg-0123456789abcdef0"]},
            "policies": {
                "managed": {"read": "arn:aws:iam::123456789012:policy/read"},
                "inline": {
                    "queue": [{"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": "arn:aws:sqs:us-east-1:1:q"}]
                },
            },
            "environment": {"LEVEL": "debug"},
        },
        "AWS signatures": {"models": MODELS, "auth": "iam"},
        "providers": {
            "models": [
                {
                    "name": "chat",
                    "strategy": "weight",
                    "retries": 1,
                    "first_token_seconds": 12.5,
                    "targets": [
                        {"model": "claude-haiku-5-5", "weight": 3},
                        {
                            "provider": "deepseek",
                            "model": "deepseek-chat",
                            "context_tokens": 128_000,
                            "max_output_tokens": 8_192,
                            "accepts": ["max_tokens", "temperature", "system"],
                            "temperature_max": 1.5,
                        },
                        {
                            "provider": "claude",
                            "model": "claude-opus",
                            "context_tokens": 200_000,
                            "max_output_tokens": 32_000,
                        },
                        {"provider": "vllm", "model": "mine", "context_tokens": 8_192, "max_output_tokens": 2_048},
                    ],
                },
            ],
            "providers": {
                "deepseek": {
                    "type": "openai_compatible",
                    "base_url": "https://api.deepseek.com",
                    "secret_arn": "arn:aws:secretsmanager:us-east-1:123456789012:secret:deepseek-AbCdEf",
                    "kms_key_arn": "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab",
                },
                "claude": {
                    "type": "anthropic",
                    "secret_arn": "arn:aws:secretsmanager:us-east-1:123456789012:secret:llm/claude-GhIjKl",
                },
                "vllm": {
                    "type": "openai_compatible",
                    "base_url": "http://10.0.0.5:8000/v1",
                    "wake_queue": WAKE_QUEUE,
                    "stickiness_cookie": "LlmServiceStickiness",
                },
            },
        },
        "an Output": {"models": [{"name": "own", "model": PROFILE_ARN, "base_model": "claude-haiku-5-5"}]},
        "no Bedrock": {"models": [{"name": "fast", "model": "mock"}], "log_retention_days": 7},
        "private, with routes of one's own": {
            "models": MODELS,
            "endpoint": "private",
            "vpc_endpoint_ids": ["vpce-0123456789abcdef0"],
            "routes": [
                {
                    "method": "GET",
                    "path": "/orders/{id}",
                    "function_arn": "arn:aws:lambda:us-east-1:123456789012:function:orders:live",
                },
                {"method": "ANY", "path": "/files/{proxy+}", "url": "https://files.example.com/{proxy}"},
            ],
        },
        "on an API that exists": {
            "models": MODELS,
            "existing_api": {
                "rest_api_id": "a1b2c3d4e5",
                "root_resource_id": "r1o2o3t4",
                "execution_arn": "arn:aws:execute-api:us-east-1:123456789012:a1b2c3d4e5",
                "path_prefix": "/mine",
            },
        },
    },
    "UsageAnalytics": {
        "everything": {
            "table": USAGE_TABLE,
            "log_groups": {"chat": LOG_GROUP, "jobs": f"{LOG_GROUP}-of-jobs"},
            "kms_key_arn": "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab",
            "log_retention_days": 90,
        },
        "least": {"table": {**USAGE_TABLE, "kms_key_arn": None}, "log_groups": {"chat": LOG_GROUP}},
    },
    "WebSocketChat": {
        "least": {"models": MODELS},
        "no authentication": {"models": MODELS, "auth": "none", "access_logs": False, "deletion_protection": False},
        "another API's keys": {
            "models": MODELS,
            "keys_table": {"name": "chat-keys", "arn": "arn:aws:dynamodb:us-east-1:123456789012:table/chat-keys"},
            "tickets_table": {
                "name": "chat-tickets-table-1a2b3c4",
                "arn": "arn:aws:dynamodb:us-east-1:123456789012:table/chat-tickets-table-1a2b3c4",
            },
        },
        "everything": {
            "limits": {"requests": {"minute": 60}},
            "safety": {"length": {"max_characters": 9_000}, "guardrail": {"profanity": True}},
            "flags": {
                "configuration": "abcd123/efgh456/ijkl789",
                "arn": "arn:aws:appconfig:us-east-1:123456789012:application/abcd123/environment/efgh456/configuration/ijkl789",
            },
            "retrieval": {"knowledge_base_arn": KNOWLEDGE_BASE_ARN},
            "models": [
                *MODELS,
                {
                    "name": "other",
                    "targets": [
                        {"provider": "vllm", "model": "mine", "context_tokens": 8_192, "max_output_tokens": 2_048},
                    ],
                },
            ],
            "providers": {
                "vllm": {
                    "type": "openai_compatible",
                    "base_url": "https://vllm.example.com/v1",
                    "secret_arn": "arn:aws:secretsmanager:us-east-1:123456789012:secret:vllm-AbCdEf",
                    "wake_queue": WAKE_QUEUE,
                },
            },
            "keys": [{"name": "web", "tenant": "acme"}, {"name": "old", "enabled": False}],
            "stage_throttle": {"rate_limit": 10, "burst_limit": 20},
            "generations_per_connection": 2,
            "reserved_concurrency": 20,
            "kms_key_arn": "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab",
            "tracing": True,
            "otlp": {"endpoint": "xray", "content": True},
            "policies": {
                "managed": {"read": "arn:aws:iam::123456789012:policy/read"},
                "inline": {
                    "queue": [{"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": "arn:aws:sqs:us-east-1:1:q"}]
                },
            },
            "environment": {"LEVEL": "debug"},
            "parameter_prefix": "/llm/ws",
        },
        "tokens": {
            "models": MODELS,
            "auth": "jwt",
            "jwt": {"issuer": "https://id.example.com", "audiences": ["chat"], "in_vpc": True},
            "vpc": {"subnet_ids": ["subnet-0123456789abcdef0"], "security_group_ids": ["sg-0123456789abcdef0"]},
        },
        "an Output": {"models": [{"name": "own", "model": PROFILE_ARN, "base_model": "claude-haiku-5-5"}]},
    },
}
# The argument by which AWS refuses to delete a resource.
PROTECTION = {
    "aws:dynamodb/table:Table": "deletionProtectionEnabled",
    "aws:eks/cluster:Cluster": "deletionProtection",
    "aws:lb/loadBalancer:LoadBalancer": "enableDeletionProtection",
}
# What is in a cluster that the component makes, and how it is reached.
IN_CLUSTER = ("kubernetes:", "pulumi:providers:kubernetes")
# What AWS protects not, and nobody can make again: an address, and the value of a key that may call.
API_KEY = "aws:apigateway/apiKey:ApiKey"
IRREPLACEABLE = (
    API_KEY,
    "aws:apigateway/restApi:RestApi",
    "aws:apigatewayv2/api:Api",
    "aws:cloudfront/distribution:Distribution",
    "aws:ec2/vpc:Vpc",
    "aws:ec2/vpcEndpointService:VpcEndpointService",
    "aws:s3/vectorsVectorBucket:VectorsVectorBucket",
)
# S3 takes ten tags of an object, and bills them.
WITHOUT_TAGS = ("aws:s3/bucketObjectv2:BucketObjectv2",)
# Components of what an account or a Region has only once.
ONCE_ONLY = ("AccountBaseline",)
CASES = [(name, label) for name in sorted(COMPONENTS) for label in ARGUMENTS.get(name, {})]

TAGS = {"Team": "search", "CostCenter": "42"}


def make(
    component: str,
    label: str,
    name: str,
    opts: pulumi.ResourceOptions | None = None,
    customize: Mapping[str, Any] | None = None,
) -> Component:
    constructor: Any = COMPONENTS[component]
    args = {**ARGUMENTS[component][label], "tags": TAGS, "customize": customize or {}}
    if label == "an Output":
        args["models"] = [{**model, "model": pulumi.Output.from_input(model["model"])} for model in args["models"]]
    # These are names that a user gives, so each instance has its own.
    if "domain" in args:
        args["domain"] = {**args["domain"], "name": f"{name}.example.com"}
    if "parameter_prefix" in args:
        args["parameter_prefix"] = f"/llm/{name}"
    if "existing_api" in args:
        args["existing_api"] = {**args["existing_api"], "path_prefix": f"/{name}", "stage_name": name}
    return constructor(name, args, opts)


@cache
def recorded(component: str, label: str) -> Recording:
    """One component, named `mine`."""
    return programs.run(lambda: make(component, label, "mine"))


def children(recording: Recording, name: str = "mine") -> list[Recorded]:
    (component,) = (resource for resource in recording.of_type() if resource.name == name and not resource.custom)
    return [child for child in recording.of_type() if component in recording.ancestors(child)]


each_case = pytest.mark.parametrize(("component", "label"), CASES)
each_component = pytest.mark.parametrize("component", sorted(COMPONENTS))


def test_there_are_components_and_arguments_for_each() -> None:
    assert COMPONENTS
    assert set(ARGUMENTS) == set(COMPONENTS)


# The tree.


@each_case
def test_every_child_is_under_the_component_and_named_after_it(component: str, label: str) -> None:
    recording = recorded(component, label)
    below = children(recording)
    assert len(below) == len(recording.of_type()) - 1, "a child stands beside its component"
    assert [child.name for child in below if not child.name.startswith("mine-")] == []
    assert recording.named("mine").type == f"llm:index:{component}"


@each_component
def test_the_declared_children_are_exactly_those_that_are_made(component: str) -> None:
    declared = COMPONENTS[component].CHILDREN
    assert len(set(declared)) == len(declared)
    made: set[str] = set()
    for label in ARGUMENTS[component]:
        for child in children(recorded(component, label)):
            rest = child.name.removeprefix("mine-")
            fitting = [key for key in declared if rest == key or rest.startswith(f"{key}-")]
            assert fitting, f"{child.name} is of no declared child"
            made.add(max(fitting, key=len))
    assert made == set(declared)


@each_case
def test_a_child_is_of_the_declared_type(component: str, label: str) -> None:
    declared = COMPONENTS[component].CHILDREN
    for child in children(recorded(component, label)):
        rest = child.name.removeprefix("mine-")
        fitting = [key for key in declared if rest == key or rest.startswith(f"{key}-")]
        assert any(declared[key].pulumi_type == child.type for key in fitting), child.name  # type: ignore[attr-defined]


@each_case
def test_those_of_which_there_are_several_can_be_changed_one_by_one(component: str, label: str) -> None:
    """Each is named by what its name has behind the key, and those that there are not are refused."""
    several: dict[str, set[str]] = {}
    for child in children(recorded(component, label)):
        rest, declared = child.name.removeprefix("mine-"), COMPONENTS[component].CHILDREN
        of_type = [key for key, kind in declared.items() if kind.pulumi_type == child.type]  # type: ignore[attr-defined]
        key = max((key for key in of_type if rest == key or rest.startswith(f"{key}-")), key=len)
        if rest != key:
            several.setdefault(key, set()).add(rest.removeprefix(f"{key}-"))
    customize = {f"{key}:{name}": {} for key, names in several.items() for name in names}
    constructor: Any = COMPONENTS[component]
    programs.run(lambda: constructor("mine", {**ARGUMENTS[component][label], "customize": customize}))
    for key in several:
        with pytest.raises(pulumi.InputPropertiesError, match=f"customize.{key}:nope: 'nope' is not among those of '{key}'"):
            programs.run(lambda: constructor("mine", {**ARGUMENTS[component][label], "customize": {f"{key}:nope": {}}}))  # noqa: B023 - run at once


@each_case
def test_only_those_that_the_arguments_make_can_be_changed(component: str, label: str) -> None:
    declared = COMPONENTS[component].CHILDREN
    made: set[str] = set()
    for child in children(recorded(component, label)):
        rest = child.name.removeprefix("mine-")
        made.add(max((key for key in declared if rest == key or rest.startswith(f"{key}-")), key=len))
    programs.run(lambda: make(component, label, "mine", customize={key: {} for key in made}))
    if others := [key for key in declared if key not in made]:
        with pytest.raises(pulumi.InputPropertiesError) as error:
            programs.run(lambda: make(component, label, "mine", customize={key: {} for key in others}))
        reasons = {d["property_path"]: d["reason"] for d in error.value.errors or []}
        assert reasons == {
            f"customize.{key}": f"the other arguments make no {key!r}, so there is nothing to change" for key in others
        }


@each_case
def test_every_child_that_takes_tags_has_them(component: str, label: str) -> None:
    expected = {"Component": f"{component}/mine", **TAGS}
    for child in children(recorded(component, label)):
        if child.type in WITHOUT_TAGS:
            assert "tags" not in child.inputs, child.name
            assert child.inputs["overrideProvider"] == {"defaultTags": {"tags": {}}}, child.name
        elif (
            child.custom
            and not child.type.startswith(IN_CLUSTER)
            and "tags" in inspect.signature(resource_class(child.type)._internal_init).parameters
        ):
            assert _without_own(revealed(child.inputs).get("tags")) == expected, child.name


def _without_own(tags: Mapping[str, str]) -> dict[str, str]:
    """Tags without those by which AWS's console names a resource, EKS finds subnets, and a policy knows the component's own."""
    return {
        key: value for key, value in tags.items() if key != "Name" and not key.startswith(("kubernetes.io/", "pulumi-llm/"))
    }


@each_component
def test_a_given_tag_wins(component: str) -> None:
    constructor: Any = COMPONENTS[component]
    args = {**next(iter(ARGUMENTS[component].values())), "tags": {"Component": "mine alone"}}
    recording = programs.run(lambda: constructor("mine", args))
    tags = [child.inputs["tags"] for child in children(recording) if "tags" in child.inputs]
    assert tags
    assert all(_without_own(tag) == {"Component": "mine alone"} for tag in tags)


@pytest.mark.parametrize(("component", "label"), [case for case in CASES if case[0] not in ONCE_ONLY])
def test_two_stand_in_one_stack(component: str, label: str) -> None:
    def two() -> None:
        make(component, label, "mine")
        make(component, label, "mine-too")

    recording = programs.run(two)
    assert len(recording.custom()) == 2 * len(recorded(component, label).custom())
    # A fixed physical name would give both the same id; but names in a cluster are its own.
    outside = [resource for resource in recording.custom() if not resource.type.startswith(IN_CLUSTER)]
    identities = [registry.identity(resource.type, resource.id, resource.inputs) for resource in outside]
    assert [identity for identity in identities if identities.count(identity) > 1] == []


@pytest.mark.parametrize(
    ("component", "label", "given"),
    [
        *((*case, "provider") for case in CASES),
        *((name, next(iter(ARGUMENTS[name])), given) for name in ARGUMENTS for given in ("providers", "by name", "parent")),
    ],
)
def test_an_explicit_provider_reaches_children_and_invokes(component: str, label: str, given: str) -> None:
    def elsewhere() -> None:
        provider = aws.Provider("elsewhere", region="us-east-1")
        options = {
            "provider": lambda: pulumi.ResourceOptions(provider=provider),
            "providers": lambda: pulumi.ResourceOptions(providers=[provider]),
            "by name": lambda: pulumi.ResourceOptions(providers={"aws": provider}),
            "parent": lambda: pulumi.ResourceOptions(
                parent=pulumi.ComponentResource("test:index:Outer", "outer", {}, pulumi.ResourceOptions(providers=[provider]))
            ),
        }
        make(component, label, "mine", options[given]())

    recording = programs.run(elsewhere)
    urn = recording.named("elsewhere").urn
    below = [child for child in children(recording) if child.custom and not child.type.startswith(IN_CLUSTER)]
    assert below
    assert [child.name for child in below if child.provider.rpartition("::")[0] != urn] == []
    assert len(recording.invoked) == len(recorded(component, label).invoked)
    assert [invoked.token for invoked in recording.invoked if invoked.provider.rpartition("::")[0] != urn] == []


@each_component
def test_every_child_waits_for_what_the_component_depends_on(component: str) -> None:
    """A component's own dependency is one of nothing that is made, so that Pulumi alone would let the children go first."""

    def later() -> None:
        first = aws.sns.Topic("first")
        make(component, next(iter(ARGUMENTS[component])), "mine", pulumi.ResourceOptions(depends_on=[first]))

    recording = programs.run(later)
    urn = recording.named("first").urn
    assert [child.name for child in children(recording) if child.custom and urn not in child.dependencies] == []


def test_some_component_asks_a_provider() -> None:
    assert any(recorded(component, label).invoked for component, label in CASES), "or the test above proves nothing"


# What ends when it is switched off: who is notified of anomalies, and the logging of prompts and answers.
ENDS = {
    "aws:costexplorer/anomalySubscription:AnomalySubscription",
    "aws:bedrockmodel/invocationLoggingConfiguration:InvocationLoggingConfiguration",
}


@pytest.mark.parametrize("label", ARGUMENTS["AccountBaseline"])
def test_what_an_account_has_once_stays(label: str) -> None:
    """Another stack uses it: API Gateway's log role is one for the whole Region. A role that nothing uses any more goes."""
    made = recorded("AccountBaseline", label).custom()
    ends = [r for r in made if r.type in ENDS or "-bedrock-role" in r.name or "-bedrock-policy" in r.name]
    assert [r.name for r in made if r.retain_on_delete == (r in ends) or r.protect] == []


# What operators have written is kept: AppConfig deletes no profile that has versions, and those are not the program's.
KEPT = {
    "aws:appconfig/application:Application",
    "aws:appconfig/configurationProfile:ConfigurationProfile",
    "aws:appconfig/hostedConfigurationVersion:HostedConfigurationVersion",
}


@pytest.mark.assumes("appconfig-owner")
@pytest.mark.parametrize(("component", "label"), [case for case in CASES if case[0] not in ONCE_ONLY])
def test_what_is_protected_is_asked_for_and_nothing_is_kept(component: str, label: str) -> None:
    """Pulumi protects what AWS does, and what cannot be made again: the argument `deletion_protection` decides all."""
    resources = recorded(component, label).of_type()
    asked = ARGUMENTS[component][label].get("deletion_protection", True)
    in_aws = [r.name for r in resources if r.type in PROTECTION and r.inputs.get(PROTECTION[r.type]) is True]
    # A key that has an item may call, whether or not a usage plan counts it.
    calling = {r.name.replace("-key-item-", "-key-") for r in resources if r.type == "aws:dynamodb/tableItem:TableItem"}
    irreplaceable = [
        r.name
        for r in resources
        if r.type in IRREPLACEABLE and (r.type != API_KEY or (r.name in calling and "value" not in r.inputs))
    ]
    # A cluster of EKS keeps the key of its secrets for good; and documents are nowhere else.
    irreplaceable += [r.name for r in resources if r.name.endswith(("-secrets-key", "-documents"))]
    assert {r.name for r in resources if r.protect} == {*in_aws, *(irreplaceable if asked else ())}
    assert {r.type for r in resources if r.retain_on_delete} <= KEPT


# The outputs.


@each_case
def test_every_declared_output_is_registered_and_known(component: str, label: str) -> None:
    outputs = recorded(component, label).named("mine").outputs
    assert set(outputs) == set(output_names(COMPONENTS[component]))
    assert outputs
    for name, value in outputs.items():
        assert revealed(value) is not None, name
        assert not programs.holds_unknown(value), name


@each_component
def test_every_declared_output_is_registered_at_a_preview_too(component: str) -> None:
    preview = programs.run(lambda: make(component, next(iter(ARGUMENTS[component])), "mine"), preview=True)
    assert set(preview.named("mine").outputs) == set(output_names(COMPONENTS[component]))


# The arguments that the provider gets.


@each_case
def test_the_provider_takes_every_argument(component: str, label: str) -> None:
    found = [problem for child in recorded(component, label).custom() for problem in problems(child.type, child.inputs)]
    assert found == []


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_the_provider_takes_every_argument_of_a_stack(stack: str, request: pytest.FixtureRequest) -> None:
    recording: Recording = request.getfixturevalue(stack)
    assert recording.custom()
    assert [problem for child in recording.custom() for problem in problems(child.type, child.inputs)] == []


# The class.


def arguments_of(component: type[Component]) -> type:
    return inspect.get_annotations(component.__init__)["args"]


def typed_dicts(kind: Any) -> Iterator[type]:
    """A TypedDict and those within its fields."""
    if typing.is_typeddict(kind):
        yield kind
        for annotation in inspect.get_annotations(kind).values():
            yield from typed_dicts(annotation)
    else:
        for argument in typing.get_args(kind):
            yield from typed_dicts(argument)


def documented(kind: type) -> Mapping[str, str]:
    """The docstrings of a class's annotated attributes, from its source."""
    source = Path(inspect.getfile(kind)).read_text()
    (node,) = (n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.ClassDef) and n.name == kind.__name__)
    found: dict[str, str] = {}
    for statement, following in zip(node.body, [*node.body[1:], None], strict=True):
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            text = following.value if isinstance(following, ast.Expr) else None
            found[statement.target.id] = str(text.value) if isinstance(text, ast.Constant) else ""
    return found


@each_component
def test_every_argument_and_output_is_documented(component: str) -> None:
    kind = COMPONENTS[component]
    assert inspect.getdoc(kind)
    outputs = documented(kind)
    assert [name for name in output_names(kind) if not outputs.get(name)] == []
    arguments = list(dict.fromkeys(typed_dicts(arguments_of(kind))))
    assert arguments
    for nested in arguments:
        assert nested.__doc__, nested.__name__
        assert [name for name, text in documented(nested).items() if not text] == [], nested.__name__


@each_component
def test_a_component_is_made_as_every_other(component: str) -> None:
    kind = COMPONENTS[component]
    assert list(inspect.signature(kind.__init__).parameters) == ["self", "name", "args", "opts"]
    assert arguments_of(kind).__name__ == f"{component}Args"
    assert f"{component}Args" in pulumi_llm.__all__, "a user's type checker needs it"
    assert {"tags", "customize"} <= set(inspect.get_annotations(arguments_of(kind)))
    # In a generated SDK, a resource has one property of a name: the output would be sent in the argument's place.
    assert set(output_names(kind)) & set(inspect.get_annotations(arguments_of(kind))) == set()


# What is wrong with a call itself -> the places that are named.
CALLS: dict[str, tuple[list[Any], dict[str, Any], set[str]]] = {
    "arguments as keywords": (["x"], {"models": MODELS, "tags": {}}, {"models", "tags"}),
    "no arguments": (["x"], {}, {"args"}),
    "no name": ([{"models": MODELS}], {}, {"name", "args"}),
    "no name, by keyword": ([], {"args": {"models": MODELS}}, {"name"}),
}


@each_component
@pytest.mark.parametrize(("given", "named", "places"), CALLS.values(), ids=CALLS)
def test_a_wrong_call_is_told_as_wrong_arguments_are(
    component: str, given: list[Any], named: dict[str, Any], places: set[str]
) -> None:
    constructor: Any = COMPONENTS[component]
    with pytest.raises(pulumi.InputPropertiesError, match=rf"{component}\(NAME, ") as error:
        constructor(*given, **named)
    assert {details["property_path"] for details in error.value.errors or []} == places


def test_other_languages_get_a_schema() -> None:
    provider = ComponentProvider(list(COMPONENTS.values()), "llm", "pulumi-llm", "0.1.0")
    described = json.loads(provider.schema)
    for name, kind in COMPONENTS.items():
        resource = described["resources"][f"llm:index:{name}"]
        assert len(resource["inputProperties"]) == len(inspect.get_annotations(arguments_of(kind)))
        assert len(resource["properties"]) == len(output_names(kind))
