"""The WebSocket API with its functions, made of API Gateway's own resources."""

import json

import pulumi
import pulumi_aws as aws
from pulumi_aws import apigatewayv2 as gateway

from llm_gateway.identity.caller import Caller, key_hash
from llm_gateway.identity.keys import item
from llm_gateway.routes import Alias, Routes, Target
from pulumi_llm.base import bundle

KEY = "sk-websocket-test-0123456789"
config = pulumi.Config()

api = gateway.Api("api", protocol_type="WEBSOCKET", route_selection_expression="$request.body.action")
role = aws.iam.Role("role", assume_role_policy="{}")
keys = aws.dynamodb.Table(
    "keys", hash_key="key_hash", attributes=[{"name": "key_hash", "type": "S"}], billing_mode="PAY_PER_REQUEST"
)
aws.dynamodb.TableItem(
    "key", table_name=keys.name, hash_key="key_hash", item=json.dumps(item(key_hash(KEY), Caller("acme", "ci")))
)
connections = aws.dynamodb.Table(
    "connections", hash_key="id", attributes=[{"name": "id", "type": "S"}], billing_mode="PAY_PER_REQUEST"
)
journal = aws.dynamodb.Table(
    "journal",
    hash_key="generation",
    range_key="seq",
    attributes=[{"name": "generation", "type": "S"}, {"name": "seq", "type": "N"}],
    billing_mode="PAY_PER_REQUEST",
)
parameters = ("max_tokens", "temperature", "top_p", "stop", "system")
target = Target(
    name="bedrock/fast", provider="bedrock", model="m", accepts=parameters, max_output_tokens=4096, context_tokens=100_000
)
routes = Routes(aliases=(Alias(name="fast", targets=(target,), retries=0),))
environment = {
    "AUTHORIZATION": "api_key",
    "KEYS_TABLE": keys.name,
    "CONNECTIONS_TABLE": connections.name,
    "JOURNAL_TABLE": journal.name,
    "WEBSOCKET_STAGE_URL": pulumi.Output.format("https://{}.execute-api.us-east-1.amazonaws.com/ws", api.id),
    "GENERATIONS_PER_CONNECTION": "4",
    "GENERATIONS_PER_KEY": "20",
}


def function(name: str, handler: str, timeout: int) -> tuple[aws.lambda_.Function, aws.lambda_.Alias]:
    made = aws.lambda_.Function(
        name,
        role=role.arn,
        runtime="python3.13",
        handler=f"llm_functions.{handler}.handler",
        code=bundle.archive(routes),
        timeout=timeout,
        environment={"variables": environment},
        publish=True,
    )
    alias = aws.lambda_.Alias(f"{name}-live", name="live", function_name=made.name, function_version=made.version)
    return made, alias


def let_call(name: str, of: aws.lambda_.Function, source: pulumi.Output[str]) -> None:
    aws.lambda_.Permission(
        name,
        action="lambda:InvokeFunction",
        function=of.name,
        qualifier="live",
        principal="apigateway.amazonaws.com",
        source_arn=source,
    )


authorizer_function, authorizer_alias = function("authorizer", "authorizer", 10)
connecting, connecting_alias = function("connecting", "websocket.connections", 10)
generating, generating_alias = function("generating", "websocket.generations", config.get_int("timeout") or 300)
_, failures_alias = function("failures", "websocket.failures", 30)

authorizer = gateway.Authorizer(
    "authorizer",
    api_id=api.id,
    authorizer_type="REQUEST",
    authorizer_uri=authorizer_alias.invoke_arn,
    identity_sources=["context.identity.sourceIp"],
)
let_call("let-authorize", authorizer_function, pulumi.Output.format("{}/authorizers/{}", api.execution_arn, authorizer.id))
let_call("let-connect", connecting, pulumi.Output.format("{}/ws/*", api.execution_arn))
let_call("let-generate", generating, pulumi.Output.format("{}/ws/*", api.execution_arn))
aws.lambda_.FunctionEventInvokeConfig(
    "events",
    function_name=generating.name,
    qualifier=generating_alias.name,
    maximum_retry_attempts=0,
    maximum_event_age_in_seconds=60,
    destination_config={"on_failure": {"destination": failures_alias.arn}},
)
synchronous = gateway.Integration(
    "synchronous", api_id=api.id, integration_type="AWS_PROXY", integration_uri=connecting_alias.invoke_arn
)
parts: list[pulumi.Resource] = [authorizer, synchronous]
for key in ("$connect", "$disconnect", "cancel", "ping", "$default"):
    name = key.removeprefix("$")
    two_way = key in ("cancel", "ping", "$default")
    route = gateway.Route(
        f"route-{name}",
        api_id=api.id,
        route_key=key,
        target=synchronous.id.apply(lambda id: f"integrations/{id}"),
        authorization_type="CUSTOM" if key == "$connect" else "NONE",
        authorizer_id=authorizer.id if key == "$connect" else None,
        route_response_selection_expression="$default" if two_way else None,
    )
    parts.append(route)
    if two_way:
        parts.append(gateway.RouteResponse(f"response-{name}", api_id=api.id, route_id=route.id, route_response_key="$default"))
for action in ("chat", "resume"):
    template = {
        "action": action,
        "connection": "$context.connectionId",
        "request_id": "$context.requestId",
        "body": "$util.base64Encode($input.body)",
    }
    integration = gateway.Integration(
        f"integration-{action}",
        api_id=api.id,
        integration_type="AWS",
        integration_method="POST",
        integration_uri=generating_alias.invoke_arn,
        passthrough_behavior="NEVER",
        template_selection_expression="\\$default",
        request_templates={"$default": json.dumps(template)},
        request_parameters={"integration.request.header.X-Amz-Invocation-Type": "'Event'"},
    )
    route = gateway.Route(
        f"route-{action}",
        api_id=api.id,
        route_key=action,
        target=integration.id.apply(lambda id: f"integrations/{id}"),
    )
    parts += [integration, route]
deployment = gateway.Deployment("deployment", api_id=api.id, opts=pulumi.ResourceOptions(depends_on=parts))
stage = gateway.Stage(
    "ws",
    api_id=api.id,
    name="ws",
    deployment_id=deployment.id,
    default_route_settings={"throttling_rate_limit": 1000, "throttling_burst_limit": 1000},
    route_settings=[{"route_key": "ping", "throttling_rate_limit": 1, "throttling_burst_limit": 3}],
)
pulumi.export("websocket_url", pulumi.Output.format("wss://{}.execute-api.us-east-1.amazonaws.com/{}", api.id, stage.name))
pulumi.export("api_key_value", KEY)
