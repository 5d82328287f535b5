"""Who may call: the API keys and their table, and the authorizer that checks keys or tokens."""

import json
from collections.abc import Callable, Mapping, Sequence

import pulumi
from pulumi_aws import apigateway, dynamodb

from llm_gateway import environment as variables
from llm_gateway.identity import keys
from llm_gateway.identity.caller import Caller, key_hash
from pulumi_llm.base import bundle
from pulumi_llm.base.component import Component
from pulumi_llm.base.iam import allow
from pulumi_llm.base.lambda_function import Shared, let_api_gateway_invoke, publish
from pulumi_llm.serverless_bedrock_api.args import STAGE_THROTTLE, ApiKeyArgs, JwtArgs, ServerlessBedrockApiArgs, ThrottleArgs


def keys_table(component: Component, args: ServerlessBedrockApiArgs) -> dynamodb.Table:
    """The table of the keys' hashes, which the authorizer reads."""
    protected = args.get("deletion_protection", True)
    encryption: dynamodb.TableServerSideEncryptionArgsDict = {"enabled": True}
    if "kms_key_arn" in args:
        encryption["kms_key_arn"] = args["kms_key_arn"]
    at_once = args.get("stage_throttle", STAGE_THROTTLE)["burst_limit"]
    return dynamodb.Table(
        component.child_name("keys-table"),
        billing_mode="PAY_PER_REQUEST",
        # A bound on what it may cost. A request reads one item at most, and only a deployment writes.
        on_demand_throughput={"max_read_request_units": max(1_000, 2 * at_once), "max_write_request_units": 100},
        hash_key=keys.HASH_KEY,
        attributes=[{"name": keys.HASH_KEY, "type": "S"}],
        deletion_protection_enabled=protected,
        server_side_encryption=encryption,
        point_in_time_recovery={"enabled": True},
        tags=component.tags,
        # AWS refuses to delete the table alone; Pulumi refuses to destroy the stack before it has deleted anything.
        opts=component.child("keys-table", protect=protected or None),
    )


def api_keys(component: Component, declared: Sequence[ApiKeyArgs], table: dynamodb.Table) -> dict[str, apigateway.ApiKey]:
    """The keys by their names; API Gateway makes their values, of which only the hash is stored."""
    made: dict[str, apigateway.ApiKey] = {}
    for key in declared:
        name, tenant = key["name"], key.get("tenant", "default")
        made[name] = apigateway.ApiKey(
            f"{component.child_name('key')}-{name}",
            description=f"pulumi-llm key {name} of tenant {tenant}",
            tags=component.tags,
            opts=component.child("key", additional_secret_outputs=["value"]),
        )
        caller = Caller(tenant=tenant, key=name, models=tuple(key.get("models", ())))
        dynamodb.TableItem(
            f"{component.child_name('key-item')}-{name}",
            table_name=table.name,
            hash_key=keys.HASH_KEY,
            item=made[name].value.apply(_item_of(caller)),
            opts=component.child("key-item"),
        )
    return made


def authorizer(
    component: Component,
    shared: Shared,
    api: apigateway.RestApi,
    checks: dynamodb.Table | JwtArgs,
    cache_seconds: int,
) -> apigateway.Authorizer:
    """The authorizer of `api`, which checks API keys by their table, or JSON Web Tokens.

    `cache_seconds` is how long API Gateway trusts an answer for the same Authorization header; 0: not at all.
    """
    if isinstance(checks, dynamodb.Table):
        environment: dict[str, pulumi.Input[str]] = {
            variables.AUTHORIZATION: "api_key",
            variables.KEYS_TABLE: checks.name,
        }
        policies = {"authorizer-policy": [allow("ReadKeys", ["dynamodb:GetItem"], checks.arn)]}
    else:
        environment = {
            variables.AUTHORIZATION: "jwt",
            variables.JWT_ISSUER: checks["issuer"],
            variables.JWT_AUDIENCES: ",".join(checks["audiences"]),
            variables.JWT_TENANT_CLAIM: checks.get("tenant_claim", "sub"),
            variables.JWT_MODELS_CLAIM: checks.get("models_claim", ""),
        }
        policies = {}
    published = publish(
        component,
        "authorizer-",
        shared,
        description="Checks who calls",
        code=bundle.archive(),
        handler="llm_functions.authorizer.handler",
        memory_mb=512,
        timeout_seconds=10,
        environment=environment,
        policies=policies,
    )
    # A key may stand in either of two headers, and API Gateway asks for every identity source that is named. Without a
    # cache the source is one that is always there; with one it is the cache's key, so only Authorization can be it.
    made = apigateway.Authorizer(
        component.child_name("authorizer"),
        rest_api=api.id,
        type="REQUEST",
        authorizer_uri=published.alias.invoke_arn,
        identity_source="method.request.header.Authorization" if cache_seconds else "context.identity.sourceIp",
        authorizer_result_ttl_in_seconds=cache_seconds,
        opts=component.child("authorizer"),
    )
    source_arn = pulumi.Output.concat(api.execution_arn, "/authorizers/", made.id)
    let_api_gateway_invoke(component, "authorizer-permission", published, source_arn)
    return made


def usage_plans(
    component: Component,
    args: ServerlessBedrockApiArgs,
    declared: Sequence[ApiKeyArgs],
    made: Mapping[str, apigateway.ApiKey],
    api: apigateway.RestApi,
    stage: apigateway.Stage,
) -> None:
    """A coarse shield per key, in front of the function: one plan for the keys without limits of their own, and one for each
    of the others."""
    throttle = args.get("throttle", ThrottleArgs(rate_limit=10, burst_limit=20))
    quota = args.get("daily_quota", 1_000)
    plans: dict[str, apigateway.UsagePlan] = {}
    for key in declared:
        own = "throttle" in key or "daily_quota" in key
        suffix = f"-{key['name']}" if own else ""
        if suffix not in plans:
            limits = key.get("throttle", throttle)
            plans[suffix] = apigateway.UsagePlan(
                component.child_name("usage-plan") + suffix,
                api_stages=[{"api_id": api.id, "stage": stage.stage_name}],
                throttle_settings={"rate_limit": limits["rate_limit"], "burst_limit": limits["burst_limit"]},
                quota_settings={"limit": key.get("daily_quota", quota), "period": "DAY"},
                tags=component.tags,
                opts=component.child("usage-plan"),
            )
        apigateway.UsagePlanKey(
            f"{component.child_name('usage-plan-key')}-{key['name']}",
            usage_plan_id=plans[suffix].id,
            key_id=made[key["name"]].id,
            key_type="API_KEY",
            # A key that moves to another plan has to leave the first: it is in one plan for each stage.
            opts=component.child("usage-plan-key", delete_before_replace=True),
        )


def _item_of(caller: Caller) -> Callable[[str], str]:
    return lambda value: json.dumps(keys.item(key_hash(value), caller))
