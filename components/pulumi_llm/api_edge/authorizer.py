"""The authorizer that checks API keys or tokens."""

from collections.abc import Sequence
from typing import NamedTuple

import pulumi
from pulumi_aws import apigateway, lambda_

from llm_gateway import environment as variables
from pulumi_llm.api_edge.api import Api
from pulumi_llm.api_edge.keys import read_keys
from pulumi_llm.api_edge.settings import JwtSettings
from pulumi_llm.api_edge.tables import UsedTable
from pulumi_llm.api_edge.tickets import redeem_tickets
from pulumi_llm.base import bundle
from pulumi_llm.base.component import Component
from pulumi_llm.base.function_settings import VpcSettings
from pulumi_llm.base.lambda_function import Published, Shared, let_api_gateway_invoke, publish


class Made(NamedTuple):
    """An authorizer, its function, and what lets API Gateway call that."""

    authorizer: apigateway.Authorizer
    published: Published
    permission: lambda_.Permission


def authorizer_function(
    component: Component,
    shared: Shared,
    checks: UsedTable | JwtSettings,
    vpc: VpcSettings | None,
    tickets: UsedTable | None = None,
    *,
    websocket: bool = False,
) -> Published:
    """Make the function that checks API keys by their table, or JSON Web Tokens, for an API of any kind.

    `vpc` is the network of an issuer that is reached from there only. With `tickets`, whoever has one of them is let in, too.
    `websocket`: the API is a WebSocket API, to which some keys may not connect.
    """
    if isinstance(checks, UsedTable):
        environment: dict[str, pulumi.Input[str]] = {
            variables.AUTHORIZATION: "api_key",
            variables.KEYS_TABLE: checks.name,
        }
        own = read_keys(checks)
    else:
        environment = {
            variables.AUTHORIZATION: "jwt",
            variables.JWT_ISSUER: checks.issuer,
            variables.JWT_AUDIENCES: _joined(checks.audiences),
            variables.JWT_TENANT_CLAIM: checks.tenant_claim,
            **({} if checks.models_claim is None else {variables.JWT_MODELS_CLAIM: checks.models_claim}),
        }
        own = []
    if websocket:
        environment[variables.FOR_WEBSOCKET] = "true"
    if tickets is not None:
        environment[variables.TICKETS_TABLE] = tickets.name
        own = [*own, *redeem_tickets(tickets)]
    return publish(
        component,
        "authorizer-",
        shared,
        description="Checks who calls",
        code=bundle.archive(),
        handler="llm_functions.authorizer.handler",
        memory_mb=512,
        timeout_seconds=10,
        environment=environment,
        policies={"authorizer-policy": own} if own else {},
        vpc=vpc,
    )


def _joined(texts: Sequence[pulumi.Input[str]]) -> pulumi.Input[str]:
    """Return texts with commas between; an Output where one of them is."""
    plain = [text for text in texts if isinstance(text, str)]
    return ",".join(plain) if len(plain) == len(texts) else pulumi.Output.all(*texts).apply(",".join)


def authorizer(
    component: Component,
    shared: Shared,
    api: Api,
    checks: UsedTable | JwtSettings,
    cache_seconds: int,
    vpc: VpcSettings | None,
) -> Made:
    """Make the authorizer of `api`, which checks API keys by their table, or JSON Web Tokens.

    `cache_seconds` is how long API Gateway trusts an answer for the same Authorization header; 0: not at all. `vpc` is the
    network of an issuer that is reached from there only.
    """
    published = authorizer_function(component, shared, checks, vpc)
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
    source_arn = pulumi.Output.format("{}/authorizers/{}", api.execution_arn, made.id)
    permission = let_api_gateway_invoke(component, "authorizer-permission", published, source_arn)
    return Made(made, published, permission)
