"""The functions: connections, generations, and recovery from what was lost. Each may do what it does, no more."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_aws import dynamodb, lambda_

from llm_gateway import environment as variables
from pulumi_llm.api_edge.generating import used_stages
from pulumi_llm.api_edge.guardrail import UsedGuardrail
from pulumi_llm.api_edge.keys import read_keys
from pulumi_llm.api_edge.tables import UsedTable
from pulumi_llm.base import bundle
from pulumi_llm.base.component import Component
from pulumi_llm.base.iam import allow
from pulumi_llm.base.lambda_function import Published, Shared, publish
from pulumi_llm.base.location import Location
from pulumi_llm.routing import Routing, model_policies
from pulumi_llm.websocket_chat.args import WebSocketChatSettings

# Seconds that Lambda keeps a message for which no execution is free. Its client waits.
_EVENT_AGE_SECONDS = 60


@dataclass(frozen=True)
class Stores:
    """What all functions share: the tables, and the stage's URL and execution ARN. `keys` is the table of API keys, if any."""

    connections: dynamodb.Table
    journal: dynamodb.Table
    keys: UsedTable | None
    stage_url: pulumi.Output[str]
    execution_arn: pulumi.Output[str]

    def environment(self, settings: WebSocketChatSettings, *, keys: bool) -> dict[str, pulumi.Input[str]]:
        """The variables that name them. `keys`: also the table of API keys, which such a function checks again."""
        return {
            variables.CONNECTIONS_TABLE: self.connections.name,
            variables.JOURNAL_TABLE: self.journal.name,
            variables.WEBSOCKET_STAGE_URL: self.stage_url,
            variables.MESSAGES_PER_MINUTE: str(settings.messages_per_minute),
            **({variables.KEYS_TABLE: self.keys.name} if keys and self.keys is not None else {}),
            **({variables.DEBUG: "true"} if settings.debug else {}),
        }

    def read_keys(self) -> list[dict[str, Any]]:
        """Statements that allow to look API keys up."""
        return [] if self.keys is None else read_keys(self.keys)

    def use(self, connections: Sequence[str], journal: Sequence[str], methods: Sequence[str]) -> list[dict[str, Any]]:
        """Statements that allow these actions on the tables, and these methods of @connections.

        https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-control-access-iam.html
        """
        statements = [
            allow("Connections", [f"dynamodb:{action}" for action in connections], self.connections.arn),
            allow("Journal", [f"dynamodb:{action}" for action in journal], self.journal.arn),
        ]
        arns = [pulumi.Output.format("{}/{}/@connections/*", self.execution_arn, method) for method in methods]
        return [*statements, allow("Messages", ["execute-api:ManageConnections"], arns)]


def connections_function(component: Component, settings: WebSocketChatSettings, shared: Shared, stores: Stores) -> Published:
    """Make the function that is told of connections, and answers what needs no model."""
    return publish(
        component,
        "connections-",
        shared,
        description="Connections of the WebSocket API",
        code=bundle.archive(),
        handler="llm_functions.websocket.connections.handler",
        memory_mb=512,
        timeout_seconds=10,
        environment={
            variables.AUTHORIZATION: settings.auth,
            variables.CONNECTIONS_PER_KEY: str(settings.connections_per_key),
            **stores.environment(settings, keys=False),
        },
        policies={"connections-policy": stores.use(["GetItem", "PutItem", "UpdateItem"], ["UpdateItem"], ["DELETE"])},
    )


def generations_function(
    component: Component,
    settings: WebSocketChatSettings,
    shared: Shared,
    stores: Stores,
    routing: Routing,
    location: Location,
    recovery: Published,
    ledger: UsedTable | None,
    guardrail: UsedGuardrail | None,
) -> Published:
    """Make the function that generates. Its invocations are never repeated; one that fails is reported to `recovery`.

    Where callers have limits, it counts in the `ledger` what they use. It asks the `guardrail`, if there is one.
    """
    stages = used_stages(
        component,
        location,
        ledger=ledger,
        guardrail=guardrail,
        flags=settings.flags,
        retrieval=settings.retrieval,
        sends_to_xray=settings.sends_to_xray,
    )
    own = [
        *stores.use(
            ["GetItem", "PutItem", "UpdateItem"], ["GetItem", "PutItem", "Query", "UpdateItem"], ["POST", "GET", "DELETE"]
        ),
        *stores.read_keys(),
        *stages.statements,
        allow("ReportFailures", ["lambda:InvokeFunction"], recovery.alias.arn),
    ]
    published = publish(
        component,
        "generations-",
        shared,
        description="Generates answers over the WebSocket API",
        code=bundle.archive(routing.routes),
        handler="llm_functions.websocket.generations.handler",
        memory_mb=settings.memory_mb,
        timeout_seconds=settings.timeout_seconds,
        environment={
            **stores.environment(settings, keys=True),
            variables.GENERATIONS_PER_CONNECTION: str(settings.generations_per_connection),
            variables.GENERATIONS_PER_KEY: str(settings.generations_per_key),
            variables.MESSAGE_INTERVAL_MS: str(settings.message_interval_ms),
            **({variables.CACHE_TABLE: stores.journal.name} if settings.cache else {}),
            **stages.environment,
            **routing.environment,
            **settings.environment,
        },
        policies={"generations-policy": own, **model_policies(component, routing, location)},
        layers=settings.collector_layers,
        reserved_concurrency=settings.reserved_concurrency,
        vpc=settings.vpc,
        own_policies=settings.policies,
    )
    _never_repeat(component, "events", published, on_failure=recovery)
    return published


def recovery_function(component: Component, settings: WebSocketChatSettings, shared: Shared, stores: Stores) -> Published:
    """Make the function that serves clients which have lost their connection, and tells those whose function has failed.

    Its invocations are not repeated either: a client that gets no answer asks again.
    """
    published = publish(
        component,
        "recovery-",
        shared,
        description="Resumes generations, and reports failed ones",
        code=bundle.archive(),
        handler="llm_functions.websocket.recovery.handler",
        memory_mb=512,
        # A client has 10 s to take what it has missed.
        timeout_seconds=60,
        environment=stores.environment(settings, keys=True),
        policies={
            "recovery-policy": [
                *stores.use(
                    ["GetItem", "PutItem", "UpdateItem"], ["GetItem", "Query", "UpdateItem"], ["POST", "GET", "DELETE"]
                ),
                *stores.read_keys(),
            ]
        },
    )
    _never_repeat(component, "recovery-events", published)
    return published


def _never_repeat(component: Component, key: str, published: Published, on_failure: Published | None = None) -> None:
    """Let Lambda try each event once: by default it tries one that fails twice more, and keeps it for six hours.

    https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html
    """
    lambda_.FunctionEventInvokeConfig(
        component.child_name(key),
        function_name=published.function.name,
        qualifier=published.alias.name,
        maximum_retry_attempts=0,
        maximum_event_age_in_seconds=_EVENT_AGE_SECONDS,
        destination_config=None if on_failure is None else {"on_failure": {"destination": on_failure.alias.arn}},
        opts=component.child(key),
    )
