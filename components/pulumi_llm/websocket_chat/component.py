"""WebSocketChat: a WebSocket API in front of Amazon Bedrock, whose generations outlive their connections."""

import math
from collections.abc import Collection, Mapping
from types import MappingProxyType

import pulumi
from pulumi_aws import apigateway, apigatewayv2, bedrock, cloudwatch, dynamodb, iam, lambda_, ssm

from pulumi_llm.api_edge import keys
from pulumi_llm.api_edge.authorizer import authorizer_function
from pulumi_llm.api_edge.guardrail import use_guardrail
from pulumi_llm.api_edge.journal import journal_table
from pulumi_llm.api_edge.ledger import ledger_table
from pulumi_llm.api_edge.settings import JwtSettings
from pulumi_llm.api_edge.tables import UsedTable
from pulumi_llm.api_edge.used import unsaid_warning
from pulumi_llm.base.component import Component
from pulumi_llm.base.lambda_function import Published, Shared, let_api_gateway_invoke
from pulumi_llm.base.location import Location
from pulumi_llm.base.parameters import create_parameters
from pulumi_llm.base.settings import read_arguments, valid_items
from pulumi_llm.websocket_chat.args import STAGE_THROTTLE, WebSocketChatSettings
from pulumi_llm.websocket_chat.args_types import WebSocketChatArgs
from pulumi_llm.websocket_chat.functions import Stores, connections_function, generations_function, recovery_function
from pulumi_llm.websocket_chat.routes import CHILDREN as ROUTES
from pulumi_llm.websocket_chat.routes import HANDED_OVER, answered_names, create_routes, route_names
from pulumi_llm.websocket_chat.stage import STAGE, create_stage
from pulumi_llm.websocket_chat.tables import connections_table

# The outputs that other stacks need.
PARAMETERS = (
    "websocket_url",
    "api_id",
    "execution_arn",
    "stage_arn",
    "function_name",
    "function_arn",
    "function_alias_arn",
    "role_name",
    "role_arn",
    "log_group_name",
    "log_group_arn",
)

# What nobody can tell of a network by its subnets' ids. https://repost.aws/knowledge-center/api-gateway-vpc-connections
_IN_VPC = (
    "vpc: the function sends to clients by the API's public address, so its subnets need a way to the internet, such as a NAT "
    "gateway; without one every chat fails. No endpoint of a VPC leads there: one for execute-api must have its private DNS off"
)


def _function_children(prefix: str) -> dict[str, type[pulumi.Resource]]:
    return {
        f"{prefix}-logs": cloudwatch.LogGroup,
        f"{prefix}-role": iam.Role,
        f"{prefix}-logs-policy": iam.RolePolicy,
        f"{prefix}-policy": iam.RolePolicy,
        f"{prefix}-function": lambda_.Function,
        f"{prefix}-alias": lambda_.Alias,
    }


class WebSocketChat(Component):
    """A chat API over WebSockets on Amazon Bedrock: answers come as numbered messages, and a lost connection is resumed.

    Raises `pulumi.InputPropertiesError` that lists every argument that is wrong.
    """

    CHILDREN = MappingProxyType(
        {
            "ledger-table": dynamodb.Table,
            "guardrail": bedrock.Guardrail,
            "guardrail-version": bedrock.GuardrailVersion,
            "keys-table": dynamodb.Table,
            "key": apigateway.ApiKey,
            "key-item": dynamodb.TableItem,
            "connections-table": dynamodb.Table,
            "journal-table": dynamodb.Table,
            "api": apigatewayv2.Api,
            **_function_children("authorizer"),
            "authorizer-vpc-policy": iam.RolePolicy,
            "authorizer": apigatewayv2.Authorizer,
            "authorizer-permission": lambda_.Permission,
            **_function_children("connections"),
            "connections-permission": lambda_.Permission,
            **_function_children("generations"),
            "generations-vpc-policy": iam.RolePolicy,
            "generations-permission": lambda_.Permission,
            "bedrock-policy": iam.RolePolicy,
            "bedrock-output-policy": iam.RolePolicy,
            "secrets-policy": iam.RolePolicy,
            "wake-policy": iam.RolePolicy,
            "managed-policy": iam.RolePolicyAttachment,
            "inline-policy": iam.RolePolicy,
            "events": lambda_.FunctionEventInvokeConfig,
            **_function_children("recovery"),
            "recovery-events": lambda_.FunctionEventInvokeConfig,
            "recovery-permission": lambda_.Permission,
            **ROUTES,
            "deployment": apigatewayv2.Deployment,
            "access-logs": cloudwatch.LogGroup,
            "stage": apigatewayv2.Stage,
            "parameter": ssm.Parameter,
        }
    )

    websocket_url: pulumi.Output[str]
    """The address to which clients connect, such as wss://ID.execute-api.REGION.amazonaws.com/ws."""
    api_keys: pulumi.Output[Mapping[str, str]]
    """The values of the keys made here, by their names (secret)."""
    api_id: pulumi.Output[str]
    """The WebSocket API."""
    execution_arn: pulumi.Output[str]
    """The stage's execution ARN, below which its connections are."""
    stage_arn: pulumi.Output[str]
    """The stage's ARN."""
    function_name: pulumi.Output[str]
    """The function that generates."""
    function_arn: pulumi.Output[str]
    """Its ARN, without a version."""
    function_alias_arn: pulumi.Output[str]
    """Its alias `live`."""
    role_name: pulumi.Output[str]
    """Its role, for policies of your own."""
    role_arn: pulumi.Output[str]
    """The role's ARN."""
    log_group_name: pulumi.Output[str]
    """Its log group."""
    log_group_arn: pulumi.Output[str]
    """The log group's ARN."""
    connections_table_name: pulumi.Output[str]
    """The table of connections."""
    journal_table_name: pulumi.Output[str]
    """The table of the journal."""
    access_log_group_name: pulumi.Output[str]
    """The log group of the access logs. Empty without access logs."""

    def __init__(self, name: str, args: WebSocketChatArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        settings, location = read_arguments(type(self).__name__, name, WebSocketChatSettings, args, self.CHILDREN, opts, _made)
        super().__init__(name, opts, settings.tags, settings.customize)
        self._settings = settings
        if settings.vpc is not None:
            pulumi.log.info(_IN_VPC, resource=self)
        if settings.shares_callers and (warning := unsaid_warning(settings)):
            pulumi.log.warn(warning, resource=self)
        self._shared = Shared(
            log_retention_days=settings.log_retention_days, kms_key_arn=settings.kms_key_arn, tracing=settings.tracing
        )
        api = apigatewayv2.Api(
            self.child_name("api"),
            protocol_type="WEBSOCKET",
            route_selection_expression="$request.body.action",
            description="pulumi-llm chat API over WebSockets",
            tags=self.tags,
            opts=self.child("api", protect=settings.deletion_protection or None),
        )
        stage_arn = pulumi.Output.format("{}/{}", api.execution_arn, STAGE)
        api_keys, checks = self._keys()
        stores = Stores(
            keys=checks if isinstance(checks, UsedTable) else None,
            connections=connections_table(self, settings.kms_key_arn),
            journal=journal_table(self, settings.kms_key_arn),
            stage_url=pulumi.Output.format("{}/{}", api.api_endpoint.apply(_as_https), STAGE),
            execution_arn=stage_arn,
        )
        connections = connections_function(self, settings, self._shared, stores)
        recovery = recovery_function(self, settings, self._shared, stores)
        routing = settings.routing(location)
        ledger = self._ledger() if routing.routes.limits is not None else None
        guardrail = None
        if settings.guardrail is not None:
            guardrail = use_guardrail(self, settings.guardrail, location, settings.customize)
        generations = generations_function(self, settings, self._shared, stores, routing, location, recovery, ledger, guardrail)
        authorizer, ready = (None, list[pulumi.Resource]()) if checks is None else self._authorizer(api, checks)
        routes = create_routes(
            self,
            api,
            authorizer,
            connections_uri=connections.alias.invoke_arn,
            generations_uri=generations.alias.invoke_arn,
            recovery_uri=recovery.alias.invoke_arn,
        )
        stage, access_logs = create_stage(
            self,
            self._shared,
            api,
            routes if authorizer is None else [*routes, authorizer],
            ready=[*ready, *self._let_call(stage_arn, connections=connections, generations=generations, recovery=recovery)],
            throttle=settings.stage_throttle.over(STAGE_THROTTLE),
            access_logs=settings.access_logs,
        )
        self.websocket_url = stage.invoke_url
        values = {key: resource.value for key, resource in api_keys.items()}
        # Output.all() of nothing is a list.
        self.api_keys = pulumi.Output.secret(pulumi.Output.all(**values) if values else {})
        self.api_id, self.execution_arn, self.stage_arn = api.id, stage_arn, stage.arn
        self.function_name, self.function_arn = generations.function.name, generations.function.arn
        self.function_alias_arn = generations.alias.arn
        self.role_name, self.role_arn = generations.role.name, generations.role.arn
        self.log_group_name, self.log_group_arn = generations.log_group.name, generations.log_group.arn
        self.connections_table_name, self.journal_table_name = stores.connections.name, stores.journal.name
        self.access_log_group_name = access_logs.name if access_logs else pulumi.Output.from_input("")
        if settings.parameter_prefix is not None:
            create_parameters(self, settings.parameter_prefix, PARAMETERS)
        self.finish()

    def _keys(self) -> tuple[dict[str, apigateway.ApiKey], UsedTable | JwtSettings | None]:
        """Make the keys unless another API's are given. Returns them, and what the authorizer checks; None: there is none."""
        settings = self._settings
        if settings.auth != "api_key":
            return {}, settings.jwt
        if settings.keys_table is not None:
            return {}, UsedTable.of(settings.keys_table)
        throttle = settings.stage_throttle.over(STAGE_THROTTLE)
        table = keys.keys_table(
            self,
            deletion_protection=settings.deletion_protection,
            kms_key_arn=settings.kms_key_arn,
            reads_per_second=math.ceil(throttle.rate_limit) + throttle.burst_limit,  # of $connect alone
        )
        made = keys.api_keys(self, settings.keys, table, deletion_protection=settings.deletion_protection, planned=False)
        return made, UsedTable(table.name, table.arn)

    def _ledger(self) -> UsedTable:
        """Return the table of what callers have used, which is made unless another API's is given."""
        given = self._settings.ledger_table
        if given is not None:
            return UsedTable.of(given)
        table = ledger_table(self, self._settings.kms_key_arn, deletion_protection=self._settings.deletion_protection)
        return UsedTable(table.name, table.arn)

    def _authorizer(
        self, api: apigatewayv2.Api, checks: UsedTable | JwtSettings
    ) -> tuple[apigatewayv2.Authorizer, list[pulumi.Resource]]:
        """Make the authorizer of $connect. Returns it, and what lets API Gateway call its function."""
        in_vpc = isinstance(checks, JwtSettings) and checks.in_vpc
        given = self._settings.tickets_table
        tickets = None if given is None else UsedTable.of(given)
        vpc = self._settings.vpc if in_vpc else None
        published = authorizer_function(self, self._shared, checks, vpc, tickets, websocket=True)
        # A key may stand in any of three headers, so the source is one that is always there.
        authorizer = apigatewayv2.Authorizer(
            self.child_name("authorizer"),
            api_id=api.id,
            authorizer_type="REQUEST",
            authorizer_uri=published.alias.invoke_arn,
            identity_sources=["context.identity.sourceIp"],
            opts=self.child("authorizer"),
        )
        source_arn = pulumi.Output.format("{}/authorizers/{}", api.execution_arn, authorizer.id)
        return authorizer, [let_api_gateway_invoke(self, "authorizer-permission", published, source_arn)]

    def _let_call(self, stage_arn: pulumi.Output[str], **functions: Published) -> list[pulumi.Resource]:
        source_arn = pulumi.Output.format("{}/*", stage_arn)
        return [
            let_api_gateway_invoke(self, f"{name}-permission", function, source_arn) for name, function in functions.items()
        ]


def _as_https(endpoint: str) -> str:
    """The address of @connections: the API's own, by HTTPS."""
    return (endpoint or "").replace("wss://", "https://", 1)


def _made(settings: WebSocketChatSettings, location: Location) -> Mapping[str, Collection[str]]:
    """What stands behind the keys in the names of their children: "" where nothing does, nothing where there is none."""
    routing, auth, jwt = settings.routing(location), settings.auth, settings.jwt
    own = auth == "api_key" and settings.keys_table is None
    keys = [key for _, key in valid_items(settings.keys) if key.valid("name")] if own else []
    single = {
        "keys-table": own,
        "ledger-table": routing.routes.limits is not None and settings.ledger_table is None,
        **dict.fromkeys(("guardrail", "guardrail-version"), settings.makes_guardrail),
        "bedrock-policy": bool(routing.models),
        "bedrock-output-policy": bool(routing.output_models),
        "secrets-policy": bool(routing.secret_arns),
        "wake-policy": bool(routing.queue_arns),
        "generations-vpc-policy": settings.vpc is not None,
        **{key: auth != "none" for key in WebSocketChat.CHILDREN if key.startswith("authorizer")},
        "authorizer-policy": auth == "api_key" or (auth == "jwt" and settings.tickets_table is not None),
        "authorizer-vpc-policy": settings.vpc is not None and jwt is not None and jwt.in_vpc,
        "access-logs": settings.access_logs,
    }
    return {
        **{key: [""] if made else [] for key, made in single.items()},
        "key": [key.name for key in keys],
        "key-item": [key.name for key in keys if key.enabled],
        "managed-policy": list(settings.policies.managed) if settings.valid("policies") else [],
        "inline-policy": list(settings.policies.inline) if settings.valid("policies") else [],
        "event-integration": list(HANDED_OVER),
        "event-response": list(HANDED_OVER),
        "route": route_names(),
        "route-response": answered_names(),
        "parameter": [output.replace("_", "-") for output in PARAMETERS] if settings.parameter_prefix else [],
    }
