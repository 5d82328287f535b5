"""A stack's configuration: what is right loads, and every mistake is told at once with its place and what would be right."""

import json
import runpy
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import pulumi
import pytest
import yaml

import pulumi_llm
from pulumi_llm import stack_models, stack_settings
from pulumi_llm.stack_settings import SettingsError, StackSettings
from support import programs
from support.served_models import IMAGE, QWEN

WAIVED = {"budget_waiver": "the account's owner has one for the whole account"}
RIGHT: dict[str, Any] = {
    "environment": "qa",
    "aws:region": "us-east-1",
    "models": ["gpt-oss-20b"],
    "account_baseline": {"api_gateway_logs": True},
    "observability": WAIVED,
}
ABSENT = object()
HELP = "docs/settings.md explains each setting; docs/troubleshooting.md helps with what AWS refuses."

# https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html
RETENTION = "1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653"
NEEDS_DEVELOPMENT = (
    "pulumi-llm:api.auth: 'none' lets anyone spend this account's money; use 'api_key', or set pulumi-llm:development to true "
    "in a developer's own environment"
)
DEBUG_NEEDS_DEVELOPMENT = "pulumi-llm:api.debug: shows causes to callers, so it needs pulumi-llm:development to be true"
CDN = {"enabled": True, "folder": str(programs.PAGE)}
THE_CDN = "the CDN (frontend.enabled)"
NEEDS_BUDGET = (
    "pulumi-llm:observability.budget: is required: the caller of a model spends this account's money, and nobody would be "
    "notified. Give monthly_usd with emails or topic_arn, or say in observability.budget_waiver why there is none"
)
NEEDS_LOG_ROLE = (
    "pulumi-llm:api.access_logs: API Gateway refuses a stage with access logs until the Region has its log role. Set "
    "account_baseline.api_gateway_logs to true in one stack of the Region; in the others, or if a person has set the role, "
    "api.log_role_exists to true (`aws apigateway get-account` tells). Or set api.access_logs to false"
)
NEEDS_SUBSCRIBER = "is required, unless there is a topic_arn: without a subscriber nobody is notified"
ORIGIN_FORM = "is not of the form of an origin, such as https://chat.example.com, or '*'"
ANTHROPIC = {"type": "anthropic", "secret_arn": "arn:aws:secretsmanager:us-east-1:123456789012:secret:claude-AbCdEf"}
CLAUDE = {"provider": "type", "model": "claude-opus", "context_tokens": 200_000, "max_output_tokens": 32_000}
KNOWLEDGE_BASE_ARN = "arn:aws:bedrock:us-east-1:123456789012:knowledge-base/A1B2C3D4E5"
NAME_FORM = "is not of the form of a name: small letters, digits, '.', '_' and '-', at most 63"


def mistakes(**changes: Any) -> list[str]:
    """What is told of `RIGHT` with some changes; nothing where it is right."""
    raw = {key: value for key, value in {**RIGHT, **changes}.items() if value is not ABSENT}
    try:
        stack_settings.parse(raw)
    except SettingsError as error:
        head, *lines, last = str(error).splitlines()
        assert last == HELP
        assert head == f"the configuration has {f'{len(lines)} mistakes' if len(lines) > 1 else 'a mistake'}:"
        return [line.removeprefix("  ") for line in lines]
    return []


WRONG: dict[str, tuple[dict[str, Any], list[str]]] = {
    # Keys.
    "a key with a near one": ({"model": ["x"]}, ["pulumi-llm:model: is not known; did you mean 'models'?"]),
    "a key with none near": (
        {"vpc": 1},
        [
            "pulumi-llm:vpc: is not known; there are account_baseline, api, async_inference, development, environment, "
            "frontend, gpu, knowledge_base, models, network, observability, owner, permissions_boundary, providers, tags, "
            "usage_analytics, websocket"
        ],
    ),
    "a key of a component": (
        {"api": {"memory": 512}},
        ["pulumi-llm:api.memory: is not known; did you mean 'memory_mb'?"],
    ),
    "a key deep down": (
        {"api": {"throttle": {"burst": 3}}},
        ["pulumi-llm:api.throttle.burst: is not known; did you mean 'burst_limit'?"],
    ),
    # What must be there.
    "no models": ({"models": ABSENT}, ["pulumi-llm:models: is required, but not given"]),
    "an empty list of models": ({"models": []}, ["pulumi-llm:models: must hold at least one"]),
    "an empty list of keys": ({"api": {"keys": []}}, ["pulumi-llm:api.keys: must hold at least one"]),
    # Types.
    "a text for a list": ({"models": "gpt-oss-20b"}, ["pulumi-llm:models: must be a list, not 'gpt-oss-20b'"]),
    "a list for an object": ({"api": [1]}, ["pulumi-llm:api: must hold keys and values, not a list"]),
    "a number for an object": (
        {"api": {"throttle": 5}},
        ["pulumi-llm:api.throttle: must hold keys and values, not 5"],
    ),
    "a text for a whole number": (
        {"api": {"daily_quota": "many"}},
        ["pulumi-llm:api.daily_quota: must be a whole number, not 'many'"],
    ),
    "a fraction for a whole number": (
        {"api": {"daily_quota": 1.5}},
        ["pulumi-llm:api.daily_quota: must be a whole number, not 1.5"],
    ),
    "a limit of money without a price": (
        {
            "models": [{"name": "m", "targets": [{**CLAUDE, "provider": "p"}]}],
            "providers": {"p": ANTHROPIC},
            "api": {"limits": {"usd": {"day": 1}}},
        },
        [
            "pulumi-llm:models[0].targets[0].model: has no price in the catalogue, and limits of money count by it; give "
            "price, in US dollars a million"
        ],
    ),
    "a limit of another model": (
        {"api": {"limits": {"models": {"gpt-4": {"requests": {"day": 1}}}}}},
        ["pulumi-llm:api.limits.models.gpt-4: 'gpt-4' is not among the models; choose of gpt-oss-20b"],
    ),
    "a filter that could be slow": (
        {"api": {"safety": {"injection": {"patterns": {"own": "(a+)+"}}}}},
        [
            "pulumi-llm:api.safety.injection.patterns.own: '(a+)+' has a repetition without a bound, such as '*' or '+'; give "
            "one, such as {0,20} or {1,20}"
        ],
    ),
    "flags that are no switch": ({"api": {"flags": "on"}}, ["pulumi-llm:api.flags: must be true or false, not 'on'"]),
    "a guardrail of nothing": (
        {"api": {"safety": {"guardrail": {"mode": "shadow"}}}},
        [
            "pulumi-llm:api.safety.guardrail.content: is missing: give what the guardrail looks for (content, topics, words, "
            "…), or its arn"
        ],
    ),
    "a cache of nothing": (
        {"api": {"cache": {"ttl_seconds": 0, "when": "always"}}},
        [
            "pulumi-llm:api.cache.ttl_seconds: must be between 1 and 2592000, not 0",
            "pulumi-llm:api.cache.when: must be 'deterministic' or 'asked', not 'always'",
        ],
    ),
    "retrieval from nowhere": (
        {"api": {"retrieval": {"aliases": ["gpt-4"]}}},
        [
            "pulumi-llm:api.retrieval.aliases[0]: there is no alias 'gpt-4'; there are gpt-oss-20b",
            "pulumi-llm:api.retrieval.knowledge_base_arn: is required, unless a knowledge base is made here "
            "(knowledge_base.enabled)",
        ],
    ),
    "jobs of no API": (
        {"api": {"enabled": False}, "async_inference": {"enabled": True, "batch_size": 20}},
        [
            "pulumi-llm:async_inference.batch_size: must be between 1 and 10, not 20",
            "pulumi-llm:async_inference.enabled: must be false without the API (api.enabled), which takes the jobs",
        ],
    ),
    "usage of no API": (
        {"api": {"enabled": False}, "usage_analytics": {"enabled": True, "tenant_readers": [""]}},
        [
            "pulumi-llm:usage_analytics.enabled: must be false without the API (api.enabled), which tells what was used",
            "pulumi-llm:usage_analytics.tenant_readers[0]: '' is not of the form of a caller: an API key's name, a "
            "token's subject, or a role's ARN",
        ],
    ),
    "jobs without end": (
        {"async_inference": {"enabled": True, "jobs_per_caller": 100_000}},
        ["pulumi-llm:async_inference.jobs_per_caller: must be between 1 and 20000, not 100000"],
    ),
    "batches and files without end": (
        {
            "async_inference": {
                "enabled": True,
                "batches_per_caller": 1_000,
                "batch_requests_per_caller": 0,
                "files_per_caller": 1_000_000,
            }
        },
        [
            "pulumi-llm:async_inference.batches_per_caller: must be between 1 and 100, not 1000",
            "pulumi-llm:async_inference.batch_requests_per_caller: must be between 1 and 5000000, not 0",
            "pulumi-llm:async_inference.files_per_caller: must be between 1 and 100000, not 1000000",
        ],
    ),
    "causes told to the callers of jobs": (
        {"async_inference": {"enabled": True, "debug": True}},
        ["pulumi-llm:async_inference.debug: shows causes to callers, so it needs pulumi-llm:development to be true"],
    ),
    "jobs of nobody": (
        {"development": True, "api": {"auth": "none"}, "async_inference": {"enabled": True}},
        [
            "pulumi-llm:async_inference.enabled: must be false with api.auth 'none': nobody is known there, so everyone would "
            "read and cancel everyone's jobs",
        ],
    ),
    "too few executions for jobs": (
        {"async_inference": {"enabled": True, "reserved_concurrency": 3}},
        [
            "pulumi-llm:async_inference.reserved_concurrency: must be at least maximum_concurrency, which is 5, not 3: Lambda "
            "would throttle the worker",
        ],
    ),
    "too few executions for a batch": (
        {"async_inference": {"enabled": True, "batches": {"maximum_concurrency": 9, "reserved_concurrency": 8}}},
        [
            "pulumi-llm:async_inference.batches.reserved_concurrency: must be 0, or at least maximum_concurrency, which is 9, "
            "not 8",
        ],
    ),
    "retrieval from two": (
        {"knowledge_base": {"enabled": True}, "api": {"retrieval": {"knowledge_base_arn": KNOWLEDGE_BASE_ARN}}},
        [
            "pulumi-llm:api.retrieval.knowledge_base_arn: is of another knowledge base than the one that is made here "
            "(knowledge_base.enabled); leave one of them out",
        ],
    ),
    "an embedding model that is elsewhere": (
        {"aws:region": "ap-southeast-1", "models": ["claude-haiku-4-5"], "knowledge_base": {"enabled": True}},
        [
            "pulumi-llm:knowledge_base.embedding_model: is not known to be in ap-southeast-1, only in ap-northeast-1, "
            "ap-northeast-2, ap-northeast-3, ap-south-1, ap-south-2, ap-southeast-2, ca-central-1, eu-central-1, eu-central-2, "
            "eu-north-1, eu-south-1, eu-south-2, eu-west-1, eu-west-2, eu-west-3, sa-east-1, us-east-1, us-east-2, us-west-2; "
            "cohere-embed-english-v3 and cohere-embed-multilingual-v3 are",
        ],
    ),
    "rules of nobody and for nothing": (
        {
            "api": {
                "keys": [{"name": "web", "tenant": "shop"}, {"name": "batch", "tenant": "ops"}],
                "rules": [
                    {"name": "a", "keys": ["wep"], "tenants": ["x"], "models": ["gpt-4"], "regions": ["us-east-9"]},
                    {"name": "a", "keys": ["web"], "tenants": ["ops"], "streams": False},
                    {"name": "b"},
                    {"name": "c", "retention": "60s"},
                ],
            }
        },
        [
            "pulumi-llm:api.rules[3].retention: must be 'none', not '60s'",
            "pulumi-llm:api.rules[2].name: is that of a rule which restricts nothing; say what its callers may do, or leave it "
            "out",
            "pulumi-llm:api.rules[0].keys[0]: 'wep' is not among the keys; did you mean 'web'?",
            "pulumi-llm:api.rules[0].tenants[0]: 'x' is no tenant of a key; there are ops, shop",
            "pulumi-llm:api.rules[0].models[0]: 'gpt-4' is not among the models; choose of gpt-oss-20b",
            "pulumi-llm:api.rules[1].name: 'a' is there already; every rule needs a name of its own",
            "pulumi-llm:api.rules[1].tenants: are those of none of its keys; the rule would be for nobody",
            "pulumi-llm:api.rules[0].regions[0]: 'us-east-9' is no Region of AWS's, and no place of a provider's; did you mean "
            "'us-east-2'?",
        ],
    ),
    "a rule that keeps nothing, and a log that keeps everything": (
        {
            "account_baseline": {"bedrock_invocation_logs": True, "api_gateway_logs": True},
            "api": {"rules": [{"name": "private", "retention": "none"}, {"name": "short", "max_tokens": 5}]},
        },
        [
            "pulumi-llm:api.rules[0].retention: 'none' cannot hold beside account_baseline.bedrock_invocation_logs, which keep "
            "the prompts and answers of every call of Bedrock in the Region; leave one of them out",
        ],
    ),
    "a rule that leaves an alias no target": (
        {"models": ["claude-haiku-4-5"], "api": {"rules": [{"name": "home", "regions": ["us-east-1"]}]}},
        [
            "pulumi-llm:api.rules[0]: leaves the key 'default' no target of 'claude-haiku-4-5' (bedrock/claude-haiku-4-5: "
            "us-east-1, us-east-2, us-west-2); allow one, or give models without the alias"
        ],
    ),
    "a limit of another window": (
        {"api": {"limits": {"tokens": {"week": 1}}}},
        ['pulumi-llm:api.limits.tokens.week: \'week\' is not of the form of a window, which is "minute", "day" or "month"'],
    ),
    "a text for a number": (
        {"api": {"throttle": {"rate_limit": "x"}}},
        ["pulumi-llm:api.throttle.rate_limit: must be a number, not 'x'"],
    ),
    "a text for true or false": (
        {"api": {"enabled": "maybe"}},
        ["pulumi-llm:api.enabled: must be true or false, not 'maybe'"],
    ),
    "a number for a text": ({"tags": {"Team": 1}}, ["pulumi-llm:tags.Team: must be a string, not 1"]),
    # Bounds and forms.
    "below a bound": ({"api": {"memory_mb": 128}}, ["pulumi-llm:api.memory_mb: must be between 256 and 10240, not 128"]),
    "above a bound": (
        {"api": {"timeout_seconds": 900}},
        ["pulumi-llm:api.timeout_seconds: must be between 10 and 895, not 900"],
    ),
    "bounds of a throttle": (
        {"api": {"throttle": {"rate_limit": 0, "burst_limit": 99_999}}},
        [
            "pulumi-llm:api.throttle.rate_limit: must be between 0.1 and 10000, not 0",
            "pulumi-llm:api.throttle.burst_limit: must be between 1 and 5000, not 99999",
        ],
    ),
    "a retention that CloudWatch does not take": (
        {"api": {"log_retention_days": 31}},
        [f"pulumi-llm:api.log_retention_days: must be one of {RETENTION}, not 31"],
    ),
    "an origin without its scheme": (
        {"api": {"cors_allow_origin": "chat.example.com"}},
        [f"pulumi-llm:api.cors_allow_origin: 'chat.example.com' {ORIGIN_FORM}"],
    ),
    "an origin with a path": (
        {"api": {"cors_allow_origin": "https://example.com/chat"}},
        [f"pulumi-llm:api.cors_allow_origin: 'https://example.com/chat' {ORIGIN_FORM}"],
    ),
    "a name that is none": (
        {"models": [{"name": "Good Model", "model": "gpt-oss-20b"}, "gpt-oss-20b"]},
        [f"pulumi-llm:models[0].name: 'Good Model' {NAME_FORM}"],
    ),
    "an environment that is no name": ({"environment": "QA"}, [f"pulumi-llm:environment: 'QA' {NAME_FORM}"]),
    "an unknown kind of authentication": (
        {"api": {"auth": "password"}},
        ["pulumi-llm:api.auth: must be 'api_key', 'jwt', 'iam' or 'none', not 'password'"],
    ),
    # Models.
    "an unknown model": (
        {"models": ["claude-haiku-9"]},
        [
            "pulumi-llm:models[0]: 'claude-haiku-9' is no model of the catalogue; did you mean 'claude-haiku-5-5' or "
            "'claude-haiku-4-5'? To use another model of Bedrock's, give its id or ARN with its bounds: context_tokens and "
            "max_output_tokens"
        ],
    ),
    "a model that has ended": (
        {"models": ["claude-3-5-haiku"]},
        [
            "pulumi-llm:models[0]: 'claude-3-5-haiku' has ended: Bedrock refuses every call of it; "
            "use 'claude-haiku-5-5' instead"
        ],
    ),
    "a model of embeddings beside one that chats": (
        {"models": [{"name": "a", "targets": [{"model": "gpt-oss-20b"}, {"model": "titan-embed-text-v2"}]}]},
        [
            "pulumi-llm:models[0].targets[1]: is for embeddings, and the first target for chats; give it an alias of its own",
        ],
    ),
    "a model that is elsewhere": (
        {"aws:region": "eu-west-1", "models": ["llama-3-3-70b"]},
        ["pulumi-llm:models[0]: 'llama-3-3-70b' cannot be called from eu-west-1, only from us-east-1, us-east-2, us-west-2"],
    ),
    "an alias twice": (
        {"models": ["gpt-oss-20b", {"name": "gpt-oss-20b", "model": "gpt-oss-120b"}]},
        ["pulumi-llm:models[1].name: 'gpt-oss-20b' is there already; every alias needs a name of its own"],
    ),
    # Keys of callers.
    "a key twice": (
        {"api": {"keys": [{"name": "k"}, {"name": "j"}, {"name": "k"}]}},
        ["pulumi-llm:api.keys[2].name: 'k' is there already; every key needs a name of its own"],
    ),
    "a key with an unknown alias": (
        {"models": ["gpt-oss-20b", "qwen3-32b"], "api": {"keys": [{"name": "k", "models": ["qwen3-32b", "nope"]}]}},
        ["pulumi-llm:api.keys[0].models[1]: 'nope' is not among the models; choose of gpt-oss-20b, qwen3-32b"],
    ),
    # Who may call.
    "tokens without their issuer": (
        {"api": {"auth": "jwt"}},
        ["pulumi-llm:api.jwt: is required with auth 'jwt': the issuer and the audiences"],
    ),
    "an issuer without tokens": (
        {"api": {"jwt": {"issuer": "https://id.example.com", "audiences": ["chat"]}}},
        ["pulumi-llm:api.jwt: is only for auth 'jwt', not 'api_key'"],
    ),
    "keys without API keys": (
        {"api": {"auth": "iam", "keys": [{"name": "k"}]}},
        ["pulumi-llm:api.keys: are only for auth 'api_key', not 'iam'"],
    ),
    **{
        f"an issuer that only looks like loopback or https: {issuer}": (
            {"api": {"auth": "jwt", "jwt": {"issuer": issuer, "audiences": ["chat"]}}},
            [f"pulumi-llm:api.jwt.issuer: '{issuer}' is not of the form of an issuer, such as https://id.example.com"],
        )
        for issuer in ("http://127.0.0.1.evil.example", "http://localhost.evil.example", "http://127.0.0.1:1@evil.example")
    },
    "an issuer that is not safe": (
        {"api": {"auth": "jwt", "jwt": {"issuer": "http://id.example.com", "audiences": []}}},
        [
            "pulumi-llm:api.jwt.issuer: 'http://id.example.com' is not of the form of an issuer, such as https://id.example.com",
            "pulumi-llm:api.jwt.audiences: must hold at least one",
        ],
    ),
    # What the Region must have.
    "access logs without their role": ({"account_baseline": ABSENT}, [NEEDS_LOG_ROLE]),
    "access logs with the role of another Region's stack": ({"account_baseline": {"github_oidc": True}}, [NEEDS_LOG_ROLE]),
    # Who is notified of what it costs.
    "anomalies that nobody is told of": (
        {"account_baseline": {"api_gateway_logs": True, "cost_anomalies": {}}},
        [f"pulumi-llm:account_baseline.cost_anomalies.emails: {NEEDS_SUBSCRIBER}"],
    ),
    "anomalies as a flag": (
        {"account_baseline": {"api_gateway_logs": True, "cost_anomalies": True}},
        ["pulumi-llm:account_baseline.cost_anomalies: must hold keys and values, not True"],
    ),
    "a monitor that is none": (
        {
            "account_baseline": {
                "api_gateway_logs": True,
                "cost_anomalies": {"emails": ["ops@example.com"], "monitor_arn": "default", "minimum_usd": -1},
            }
        },
        [
            "pulumi-llm:account_baseline.cost_anomalies.monitor_arn: 'default' is not of the form of a monitor's ARN, such as "
            "arn:aws:ce::ACCOUNT:anomalymonitor/ID",
            "pulumi-llm:account_baseline.cost_anomalies.minimum_usd: must be between 0 and 1000000000, not -1",
        ],
    ),
    "of logs that are not made": (
        {"account_baseline": {"api_gateway_logs": True, "log_retention_days": 90}},
        [
            "pulumi-llm:account_baseline.log_retention_days: is for the logs of bedrock_invocation_logs; leave it out, or set "
            "that to true"
        ],
    ),
    "nobody is notified": ({"observability": ABSENT}, [NEEDS_BUDGET]),
    "a section without a budget": ({"observability": {"budget": None}}, [NEEDS_BUDGET]),
    "a waiver that says nothing": (
        {"observability": {"budget_waiver": "none"}},
        ["pulumi-llm:observability.budget_waiver: must say why in a sentence, not 'none'"],
    ),
    "a budget and a waiver": (
        {"observability": {**WAIVED, "budget": {"monthly_usd": 5, "emails": ["ops@example.com"]}}},
        [
            "pulumi-llm:observability.budget_waiver: is for an environment without a budget, and this one has a budget; leave "
            "it out"
        ],
    ),
    "a budget without subscribers": (
        {"observability": {"budget": {"monthly_usd": 0}}},
        [
            "pulumi-llm:observability.budget.monthly_usd: must be between 1 and 1000000000, not 0",
            f"pulumi-llm:observability.budget.emails: {NEEDS_SUBSCRIBER}",
        ],
    ),
    "no address": (
        {"observability": {"budget": {"monthly_usd": 5, "emails": []}}},
        ["pulumi-llm:observability.budget.emails: must hold at least one, unless there is a topic_arn"],
    ),
    "addresses that are none": (
        {"observability": {"budget": {"monthly_usd": 5, "emails": ["ops"], "topic_arn": "arn:aws:sqs:us-east-1:1:costs"}}},
        [
            "pulumi-llm:observability.budget.emails[0]: 'ops' is not of the form of an e-mail address, such as "
            "ops@your-company.com",
            "pulumi-llm:observability.budget.topic_arn: 'arn:aws:sqs:us-east-1:1:costs' is not of the form of a topic's ARN, "
            "such as arn:aws:sns:us-east-1:ACCOUNT:NAME",
        ],
    ),
    "too many addresses": (
        {"observability": {"budget": {"monthly_usd": 5, "emails": ["ops@example.com"] * 11}}},
        ["pulumi-llm:observability.budget.emails: must hold at most 10, not 11"],
    ),
    # Whose callers may connect to the WebSocket API.
    "a WebSocket API without the API": (
        {"websocket": {"enabled": True}, "api": {"enabled": False}},
        ["pulumi-llm:websocket.enabled: must be false without the API (api.enabled), whose callers may connect"],
    ),
    "a WebSocket API with signatures, that shows causes": (
        {"websocket": {"enabled": True, "debug": True, "access_logs": False}, "api": {"auth": "iam"}},
        [
            "pulumi-llm:websocket.enabled: must be false with api.auth 'iam': a browser's WebSocket cannot be signed",
            "pulumi-llm:websocket.debug: shows causes to callers, so it needs pulumi-llm:development to be true",
        ],
    ),
    "a WebSocket API whose issuer is in a network": (
        {
            "websocket": {"enabled": True},
            "api": {
                "auth": "jwt",
                "jwt": {"issuer": "https://id.example.com", "audiences": ["chat"], "in_vpc": True},
                "vpc": {"subnet_ids": ["subnet-0123456789abcdef0"], "security_group_ids": ["sg-0123456789abcdef0"]},
            },
        },
        ["pulumi-llm:websocket.vpc: is required with api.jwt.in_vpc: the authorizer reaches the issuer from there"],
    ),
    # What a CDN can reach and pass on.
    "a CDN in front of no API": (
        {"frontend": CDN, "api": {"enabled": False}},
        [f"pulumi-llm:api.enabled: must be true for {THE_CDN}, which serves the API"],
    ),
    "a CDN in front of signatures": (
        {"frontend": CDN, "api": {"auth": "iam"}},
        [f"pulumi-llm:api.auth: must not be 'iam' for {THE_CDN}: a signature is of one host name, and the CDN has another"],
    ),
    "a CDN in front of a private API": (
        {"frontend": CDN, "api": {"endpoint": "private", "vpc_endpoint_ids": ["vpce-0123456789abcdef0"]}},
        [f"pulumi-llm:api.endpoint: must be 'regional' for {THE_CDN}, which is in no VPC"],
    ),
    "a CDN in front of a domain's root": (
        {"frontend": CDN, "api": {"domain": {"name": "chat.example.com", "existing": True}}},
        [f"pulumi-llm:api.domain.base_path: must be 'api' for {THE_CDN}, which asks for /api as the browser does"],
    ),
    "a function's URL without a CDN": (
        {"api": {"function_url": True}},
        ["pulumi-llm:api.function_url: needs the CDN (frontend.enabled), which alone may call it"],
    ),
    "a function's URL for tokens, in a VPC": (
        {
            "frontend": CDN,
            "api": {
                "function_url": True,
                "auth": "jwt",
                "jwt": {"issuer": "https://id.example.com", "audiences": ["chat"]},
                "vpc": {"subnet_ids": ["subnet-0123456789abcdef0"], "security_group_ids": ["sg-0123456789abcdef0"]},
            },
        },
        [
            "pulumi-llm:api.function_url: is only for auth 'api_key' and 'none', not 'jwt': the CDN's signature stands in "
            "Authorization, where a token or a signature of the caller's would be",
            "pulumi-llm:api.function_url: does not stream from a function in a VPC; leave out vpc, or this",
        ],
    ),
    "a function's URL of a private API": (
        {
            "frontend": CDN,
            "api": {"function_url": True, "endpoint": "private", "vpc_endpoint_ids": ["vpce-0123456789abcdef0"]},
        },
        [
            "pulumi-llm:api.function_url: is only for endpoint 'regional': the CDN reaches it from the internet",
            f"pulumi-llm:api.endpoint: must be 'regional' for {THE_CDN}, which is in no VPC",
        ],
    ),
    "a CDN without a page": (
        {"frontend": {"enabled": True, "folder": "/nowhere"}},
        ["pulumi-llm:frontend.folder: there is no built page in /nowhere: it has no index.html"],
    ),
    # What only a developer's environment may do.
    "no authentication": ({"api": {"auth": "none"}}, [NEEDS_DEVELOPMENT]),
    "causes told to callers": ({"api": {"debug": True}}, [DEBUG_NEEDS_DEVELOPMENT]),
}

WRONG |= {
    "a number of hundreds of digits": (
        {"api": {"daily_quota": 10**400}},
        ["pulumi-llm:api.daily_quota: must be between 1 and 2147483647, not a number of so many digits"],
    ),
    "a key in the place of a provider": (
        {"providers": {"type": "sk-hunter2"}},
        [
            "pulumi-llm:providers.type: must hold keys and values, not a string",
            "pulumi-llm:providers.type: is used by no target; name it as a target's provider, or leave it out",
        ],
    ),
    "a key in a list": (
        {
            "providers": {"p": {"type": "anthropic", "secret_arn": ["sk-hunter2"]}},
            "models": [{"name": "a", "targets": [{**CLAUDE, "provider": "p"}]}],
        },
        ["pulumi-llm:providers.p.secret_arn: must be a string, not a list"],
    ),
    "an unknown key without a value": (
        {"api": {"memroy_mb": None}},
        ["pulumi-llm:api.memroy_mb: is not known; did you mean 'memory_mb'?"],
    ),
    "causes told to callers, spelled as a text": (
        {"api": {"debug": "true"}},
        ["pulumi-llm:api.debug: must be true or false, not 'true'"],
    ),
    "a Region that is none": (
        {"aws:region": "us-east"},
        ["aws:region: 'us-east' is not of the form of a Region, such as us-east-1"],
    ),
    "a key of a provider": (
        {"providers": {"type": {"type": "anthropic", "api_key": "hunter2"}}, "models": [{"name": "a", "targets": [CLAUDE]}]},
        [
            "pulumi-llm:providers.type.api_key: is not known; there are base_url, cache_salt, kms_key_arn, regions, "
            "secret_arn, stickiness_cookie, trace_context, type, wake_queue",
            "pulumi-llm:providers.type.secret_arn: is required by https://api.anthropic.com: the ARN of the secret with its "
            "key",
        ],
    ),
    "a key of a target": (
        {"models": [{"name": "a", "targets": [{"model": "gpt-oss-20b", "wait": 1}]}]},
        ["pulumi-llm:models[0].targets[0].wait: is not known; did you mean 'weight'?"],
    ),
    "a wrong item of a list": (
        {"models": [{"model": "gpt-oss-20b"}]},
        ["pulumi-llm:models[0].name: is required, but not given"],
    ),
    "an alias whose model is wrong, used by a key": (
        {
            "models": [{"name": "a", "model": "gpt-oss-20b", "extra": 1}, "gpt-oss-20b"],
            "api": {"keys": [{"name": "k", "models": ["a"]}]},
        },
        [
            "pulumi-llm:models[0].extra: is not known; there are accepts, base_model, cache_prompts, context_tokens, "
            "default_max_tokens, destination_regions, exclusive, first_token_seconds, max_output_tokens, model, name, price, "
            "retries, "
            "router_models, stall_seconds, stop_max, strategy, targets, temperature_max, think_tags"
        ],
    ),
    "true for a whole number": (
        {"api": {"daily_quota": True}},
        ["pulumi-llm:api.daily_quota: must be a whole number, not True"],
    ),
    "an origin with a quote": (
        {"api": {"cors_allow_origin": "https://a'b"}},
        [f'pulumi-llm:api.cors_allow_origin: "https://a\'b" {ORIGIN_FORM}'],
    ),
}

GPU: dict[str, Any] = {
    "admins": ["arn:aws:iam::123456789012:role/deploy"],
    "domain": {"name": "models.example.com", "zone_id": "Z0123456789ABCDEFGHIJ"},
    "models": {"r1": QWEN},
}
R1 = {"provider": "r1", "model": "r1"}


def served(*targets: dict[str, Any], **gpu: Any) -> dict[str, Any]:
    """A stack with a model of its own, and an alias with these targets."""
    models = [{"name": "a", "targets": list(targets or [R1])}]
    return {"network": {"enabled": True}, "gpu": {**GPU, **gpu}, "models": models}


FIRST = "pulumi-llm:models[0].targets[0]"
WRONG |= {
    "an alias of a gRPC model": (
        served(models={"r1": {"pool": "gpu", "image": IMAGE, "grpc": True}}),
        [f"{FIRST}.provider: must not be 'r1': a gRPC model is called directly, and no alias leads to it"],
    ),
    "another model of a served one": (
        served({**R1, "model": "r2"}),
        [f"{FIRST}.model: must be 'r1', the model that is served, not 'r2'"],
    ),
    "more context than is served": (
        served({**R1, "context_tokens": 10**6}, models={"r1": {**QWEN, "context": 8192}}),
        [f"{FIRST}.context_tokens: must be at most 8192, the context for which 'r1' is sized, not 1000000"],
    ),
    "more output than is served": (
        served({**R1, "max_output_tokens": 10_000}, models={"r1": {**QWEN, "context": 8192}}),
        [
            f"{FIRST}.max_output_tokens: must be at most context_tokens, which is 8192, not 10000",
        ],
    ),
    "a network that is there, without subnets of the balancer's own": (
        {
            **served(),
            "network": {"enabled": True, "existing": {"vpc_id": "vpc-1", "private_subnet_ids": ["subnet-1", "subnet-2"]}},
        },
        [
            "pulumi-llm:network.existing.balancer_subnet_ids: is required with gpu: subnets with nothing else in them, for who "
            "is in them may call the model servers"
        ],
    ),
    "a boundary of functions for a cluster's roles": (
        {**served(), "permissions_boundary": "arn:aws:iam::123456789012:policy/functions"},
        [
            "pulumi-llm:gpu.permissions_boundary: is required with permissions_boundary, which bounds functions: a cluster's "
            "roles do other things"
        ],
    ),
    "a boundary that is no policy": (
        {"permissions_boundary": "arn:aws:iam::123456789012:role/functions"},
        [
            "pulumi-llm:permissions_boundary: 'arn:aws:iam::123456789012:role/functions' is not of the form of the ARN of a "
            "managed policy, such as arn:aws:iam::ACCOUNT:policy/NAME"
        ],
    ),
    "a provider that is near no served model": (
        served({**R1, "provider": "own"}),
        [f"{FIRST}.provider: 'own' is not among the providers; there are r1, bedrock"],
    ),
    "a served model that is off": (
        served(enabled=False),
        [f"{FIRST}.provider: the model 'r1' is off, for gpu.enabled is false; set that to true"],
    ),
    "a served model as one of Bedrock's": (
        {**served(), "models": ["r1", {"name": "b", "model": "r1"}, {"name": "c", "targets": [{"model": "r1"}]}]},
        [
            f"pulumi-llm:models[{place}: 'r1' is none of Bedrock's, but a model of gpu; write {right}"
            for place, right in (
                ("0]", "targets: [{provider: r1, model: r1}]"),
                ("1].model", "targets: [{provider: r1, model: r1}]"),
                ("2].targets[0].model", "the target {provider: r1, model: r1}"),
            )
        ],
    ),
    "a mistake in a served model": (
        served(models={"r1": {**QWEN, "context": -1}}),
        ["pulumi-llm:gpu.models.r1.context: must be at least 1, not -1"],
    ),
    "a mistake in a served model's pool": (
        served(node_pools={"gpu": {"on_demand": {"max": 1000}}}),
        ["pulumi-llm:gpu.node_pools.gpu.on_demand.max: must be between 0 and 100, not 1000"],
    ),
    "a wrong instance type": (
        served(node_pools={"gpu": {"instance_type": "g5.2xlarg"}}),
        [
            "pulumi-llm:gpu.node_pools.gpu.instance_type: 'g5.2xlarg' is no GPU instance that a model can be sized for; "
            "did you mean 'g5.2xlarge'?"
        ],
    ),
    "a wrong domain": (
        served(domain={"name": "models", "zone_id": "Z1"}),
        ["pulumi-llm:gpu.domain.name: 'models' is not of the form of a host name, such as chat.example.com"],
    ),
}


@pytest.mark.parametrize(
    ("changes", "lines"),
    [
        *(pytest.param(*case, id=name) for name, case in WRONG.items()),
    ],
)
def test_a_mistake_is_told_with_its_place_and_what_would_be_right(changes: dict[str, Any], lines: list[str]) -> None:
    assert sorted(mistakes(**changes)) == sorted(lines)


FIVE: dict[str, Any] = {
    "pulumi-llm:models": ["gpt-oss-20b", "claude-3-5-haiku"],
    "pulumi-llm:api": {"debug": True, "memory_mb": 1, "keys": [{"name": "k", "models": ["nope"]}]},
    "pulumi-llm:ownr": "me",
}
FIVE_LINES = [
    "pulumi-llm:ownr: is not known; did you mean 'owner'?",
    "pulumi-llm:api.memory_mb: must be between 256 and 10240, not 1",
    "pulumi-llm:models[1]: 'claude-3-5-haiku' has ended: Bedrock refuses every call of it; use 'claude-haiku-5-5' instead",
    DEBUG_NEEDS_DEVELOPMENT,
    "pulumi-llm:api.keys[0].models[0]: 'nope' is not among the models; choose of claude-3-5-haiku, gpt-oss-20b",
]


def test_a_program_with_five_mistakes_tells_exactly_these_and_creates_nothing() -> None:
    with pytest.raises(SettingsError) as error:
        programs.run_project(programs.ROOT, "prod", FIVE)
    head, *lines, last = str(error.value).splitlines()
    assert last == HELP
    assert head == "the configuration has 5 mistakes:"
    assert sorted(line.strip() for line in lines) == sorted(FIVE_LINES)


@pytest.mark.parametrize(
    "changes",
    [
        {"development": True, "api": {"auth": "none", "debug": True}},
        {"development": True, "observability": None},
        {"api": {"enabled": False}, "observability": None},
        {"api": {"access_logs": False}, "account_baseline": None},
        {"api": {"log_role_exists": True}, "account_baseline": None},
        {"observability": {"budget": {"monthly_usd": 99.5, "emails": ["o'hara+llm@mail.example.co.uk"]}}},
        {"observability": {"budget": {"monthly_usd": 500, "topic_arn": "arn:aws:sns:us-east-1:123456789012:costs"}}},
        {"api": {"auth": "api_key", "debug": False}},
        {"models": ["mock", {"name": "imported", "model": "mock"}]},
        {"api": {"cors_allow_origin": "http://localhost:5173"}},
        {"api": {"auth": "jwt", "jwt": {"issuer": "https://id.example.com/", "audiences": ["chat"]}}},
        {"api": {"auth": "iam", "reserved_concurrency": 20, "tracing": True}},
        {
            "api": {
                "domain": {"name": "chat.example.com", "certificate_arn": "arn:aws:acm:us-east-1:123456789012:certificate/a"}
            }
        },
        {"api": {"keys": [{"name": "k", "throttle": {"rate_limit": 1}, "daily_quota": 5}]}},
        {
            "api": {
                "limits": {"usd": {"month": 20}, "calls_in_flight": 5},
                "tenant_limits": {"Acme, Inc.": {"tokens": {"day": 9}}},
            }
        },
        {"api": {"tracing": True}, "websocket": {"enabled": True, "tracing": True}},
        {"api": {"otlp": {"endpoint": "xray", "sample_ratio": 0.1, "content": True}}},
        {"api": {"metrics": {"namespace": "acme/llm", "tenants": ["Acme, Inc."]}}},
        {"api": {"cache": {"ttl_seconds": 600, "when": "asked"}}},
        {"api": {"flags": True}},
        {"api": {"safety": {"pii": {"email": "mask"}, "guardrail": {"profanity": True, "window_characters": 500}}}},
        {"knowledge_base": {"enabled": True, "prefix": "handbook/"}, "api": {"retrieval": {"results": 20}}},
        {"api": {"retrieval": {"knowledge_base_arn": KNOWLEDGE_BASE_ARN, "aliases": ["gpt-oss-20b"]}}},
        {
            "models": ["claude-haiku-4-5", "gpt-oss-20b"],
            "api": {"rules": [{"name": "home", "regions": ["us-east-1"], "models": ["gpt-oss-20b"], "tools": []}]},
        },
        {"async_inference": {"enabled": True, "maximum_concurrency": 50, "reserved_concurrency": 50}},
        {"api": {"cors_allow_origin": "https://chat.example.com"}},
        {"models": ["claude-haiku-4-5"], "aws:region": "ap-southeast-2"},
        {"api": {"keys": [{"name": "k", "tenant": "acme", "models": ["gpt-oss-20b"]}]}},
        served({**R1, "context_tokens": 4096}),
        {**served(enabled=False), "models": ["gpt-oss-20b"]},
        # A served model is in the stack's Region.
        {**served(), "api": {"rules": [{"name": "home", "regions": ["us-east-1"]}]}},
    ],
    ids=str,
)
def test_what_is_right_is_taken(changes: dict[str, Any]) -> None:
    assert mistakes(**changes) == []


DOUBTFUL: list[tuple[dict[str, Any], list[str]]] = [
    ({}, []),
    (served(), []),
    (served({**R1}, {"model": "gpt-oss-20b"}, schedule={"hard_off": True}), []),
    (served(schedule={"hard_off": True}), ["a answers nothing while gpu.schedule.hard_off is true"]),
    (
        {**served(), "network": {"enabled": True, "nat": "none", "interface_endpoints": ["ecr.api", "ecr.dkr"]}},
        ["Docker Hub, Hugging Face and other public places are not reached", "without ec2, eks, eks-auth, sts,"],
    ),
    (
        {**served(), "network": {"enabled": True, "nat": "none", "interface_endpoints": [*stack_models.NODE_ENDPOINTS]}},
        ["weights in S3."],
    ),
]


@pytest.mark.parametrize(("changes", "texts"), DOUBTFUL)
def test_what_is_likely_not_meant_is_told(changes: dict[str, Any], texts: list[str]) -> None:
    told = stack_settings.parse({**RIGHT, **changes}).warnings()
    assert len(told) == bool(texts)
    assert all(text in each for each in told for text in texts)


def test_what_answers_the_api_s_callers_is_told_that_they_have_no_limits_rules_or_checks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[str] = []
    monkeypatch.setattr(pulumi.log, "warn", lambda message, **_: told.append(message))
    settings = stack_settings.parse({**RIGHT, "websocket": {"enabled": True}, "async_inference": {"enabled": True}})

    def program() -> None:
        api = pulumi_llm.ServerlessBedrockApi("chat", settings.api_args())
        pulumi_llm.WebSocketChat("websocket", settings.websocket_args(api))
        pulumi_llm.AsyncInference("jobs", settings.async_inference_args(api))

    programs.run(program)
    assert [message for message in told if "another API" in message] == []


def loaded(stack: str = "test", **config: str) -> StackSettings:
    """What `load` reads from a configuration as the engine hands it over."""
    found: list[StackSettings] = []
    values = {"aws:region": "us-east-1", "pulumi-llm:models": '["gpt-oss-20b"]', "pulumi-llm:development": "true"}
    values["pulumi-llm:account_baseline"] = '{"api_gateway_logs": true}'
    values.update({f"pulumi-llm:{key}": value for key, value in config.items()})
    programs.run(lambda: found.append(stack_settings.load()), stack=stack, config=values)
    return found[0]


def test_load_names_the_environment_after_the_stack_and_reads_structured_values_as_json() -> None:
    found = loaded("staging-2", development="true", tags='{"Team": "search"}', api='{"debug": true}')
    assert (found.environment, found.region, found.development, found.api.debug) == ("staging-2", "us-east-1", True, True)
    assert found.all_tags() == {
        "Project": "pulumi-llm",
        "Environment": "staging-2",
        "ManagedBy": "Pulumi",
        "Team": "search",
    }


def test_a_tag_of_the_configuration_wins_and_the_owner_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OWNER", "ada")
    assert loaded().all_tags()["Owner"] == "ada"
    assert loaded(owner="grace", tags='{"Environment": "mine"}').all_tags() == {
        "Project": "pulumi-llm",
        "Environment": "mine",
        "ManagedBy": "Pulumi",
        "Owner": "grace",
    }


def test_the_region_comes_from_the_environment_where_the_stack_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-west-2")
    found: list[StackSettings] = []
    config = {"pulumi-llm:models": '["gpt-oss-20b"]', "pulumi-llm:development": "true"}
    config["pulumi-llm:api"] = '{"access_logs": false}'
    programs.run(lambda: found.append(stack_settings.load()), config=config)
    assert found[0].region == "eu-west-2"


def test_a_region_of_the_project_is_not_known() -> None:
    with pytest.raises(SettingsError, match="pulumi-llm:region: is not known"):
        loaded(region="eu-west-2")


def test_a_text_of_digits_stays_a_text() -> None:
    assert loaded(owner="1234").owner == "1234"


def tags_of(recording: programs.Recording) -> Mapping[str, str]:
    return recording.inputs("chat-function")["tags"]


def test_dev_and_prod_load_and_differ_in_what_the_specification_says(dev: programs.Recording, prod: programs.Recording) -> None:
    for recording, environment in ((dev, "dev"), (prod, "prod")):
        assert tags_of(recording)["Environment"] == environment
        assert recording.inputs("chat-stage")["stageName"] == "api"
        assert recording.of_type("aws:apigateway/apiKey:ApiKey"), "api_key is on in both"
        of_cdn = {"frontend_url", "distribution_id"}
        assert (of_cdn <= set(recording.stack_outputs)) is (environment == "prod")
        assert set(recording.stack_outputs) - of_cdn - {"budget_waiver"} == {
            "api_gateway_url",
            "stream_url",
            "api_key_value",
            "api_keys",
            "cloudwatch_log_group",
            "lambda_function_name",
            "websocket_url",
        }
        assert all(programs.is_secret(recording.stack_outputs[name]) for name in ("api_key_value", "api_keys"))
    assert not dev.inputs("chat-keys-table")["deletionProtectionEnabled"]
    assert prod.inputs("chat-keys-table")["deletionProtectionEnabled"]
    assert dev.inputs("chat-logs")["retentionInDays"] < prod.inputs("chat-logs")["retentionInDays"]


def test_a_third_environment_is_one_new_file(tmp_path: Path) -> None:
    for name in ("__main__.py", "Pulumi.yaml"):
        shutil.copy(programs.ROOT / name, tmp_path)
    settings = {"aws:region": "eu-west-2", "pulumi-llm:models": ["gpt-oss-20b"], "pulumi-llm:observability": WAIVED}
    settings["pulumi-llm:account_baseline"] = {"api_gateway_logs": True}
    (tmp_path / "Pulumi.qa.yaml").write_text(yaml.safe_dump({"config": settings}))
    qa = programs.run_project(tmp_path, "qa")
    assert tags_of(qa)["Environment"] == "qa"
    assert qa.stack_outputs["api_gateway_url"].endswith(".execute-api.eu-west-2.amazonaws.com/api")


def test_a_component_is_switched_off_by_its_setting() -> None:
    off = {"pulumi-llm:api": {"enabled": False}, "pulumi-llm:websocket": {"enabled": False}}
    nothing = programs.run_project(programs.ROOT, "dev", off)
    assert nothing.of_type() == []
    assert nothing.stack_outputs == {}


MARK = "hunter2"
ENCRYPTED: dict[str, dict[str, Any]] = {
    "providers": {
        "p": {
            "type": "openai_compatible",
            "base_url": f"https://{MARK}.example.com/v1",
            "secret_arn": f"arn:aws:secretsmanager:us-east-1:123456789012:secret:{MARK}-AbCdEf",
        }
    },
    "api": {
        "auth": "jwt",
        "jwt": {"issuer": f"https://{MARK}.example.com", "audiences": [MARK], "tenant_claim": MARK, "models_claim": MARK},
        "access_logs": False,
        "environment": {"TOKEN": MARK},
        "routes": [{"method": "GET", "path": "/a", "url": f"https://a.example.com/{MARK}"}],
        "customize": {"function": {"description": MARK, "environment": {"variables": {"MORE": MARK}}}},
    },
    "websocket": {"enabled": True, "access_logs": False, "environment": {"TOKEN": MARK}},
    "observability": {"budget_waiver": f"the account has one already, {MARK} says"},
}


def test_what_came_encrypted_is_in_the_state_as_a_secret_only() -> None:
    models = [
        "gpt-oss-20b",
        {
            "name": "m",
            "targets": [
                {"provider": "p", "model": "x", **{name: CLAUDE[name] for name in ("context_tokens", "max_output_tokens")}}
            ],
        },
    ]
    values = {f"pulumi-llm:{name}": json.dumps(value) for name, value in {**ENCRYPTED, "models": models}.items()}

    def program() -> None:
        secret = [f"pulumi-llm:{name}" for name in ENCRYPTED]
        pulumi.runtime.set_all_config({**values, "aws:region": "us-east-1"}, secret)
        runpy.run_path(str(programs.ROOT / "__main__.py"))

    recording = programs.run(program, stack="prod", config={"aws:region": "us-east-1"})
    told = {path for resource in recording.custom() for path in _in_plain_text(resource.inputs, resource.name)}
    assert told == set()
    assert list(_in_plain_text(recording.stack_outputs, "")) == []
    assert MARK in json.dumps(recording.inputs("chat-function")["environment"])
    assert f"https://{MARK}.example.com" in recording.inputs("chat-authorizer-function")["environment"]["variables"].values()


def _in_plain_text(value: Any, path: str) -> Iterator[str]:
    """Yield where the mark stands in what the engine gets, and is no secret."""
    if programs.is_secret(value):
        return
    if isinstance(value, str) and MARK in value:
        yield path
    elif isinstance(value, Mapping):
        for name, item in cast("Mapping[str, Any]", value).items():
            yield from _in_plain_text(item, f"{path}.{name}")
    elif isinstance(value, list | tuple):
        for item in cast("list[Any]", value):
            yield from _in_plain_text(item, path)


def test_the_mistakes_of_an_encrypted_section_are_told_at_once() -> None:
    def program() -> None:
        values = {"aws:region": "us-east-1", "pulumi-llm:models": '["gpt-oss-20b"]', "pulumi-llm:development": "true"}
        api = json.dumps({"routes": [{"method": "GET", "path": "/a", "url": "ftp://a"}], "environment": {"AWS_REGION": "x"}})
        pulumi.runtime.set_all_config({**values, "pulumi-llm:api": api}, ["pulumi-llm:api"])
        stack_settings.load()

    with pytest.raises(SettingsError) as wrong:
        programs.run(program, stack="dev", config={"aws:region": "us-east-1"})
    assert "routes[0].url" in str(wrong.value) and "environment.AWS_REGION" in str(wrong.value)
