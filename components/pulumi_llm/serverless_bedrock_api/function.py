"""The function that answers: the bundle behind the Web Adapter, and what it may call."""

import json
from collections.abc import Mapping
from typing import NamedTuple

import pulumi
from pulumi_aws import lambda_

from llm_gateway import environment as variables
from llm_gateway.operations import PATHS
from pulumi_llm.api_edge.appconfig import UsedFlags
from pulumi_llm.api_edge.cors import Cors
from pulumi_llm.api_edge.guardrail import UsedGuardrail, ask_guardrail
from pulumi_llm.api_edge.jobs import UsedJobs
from pulumi_llm.api_edge.journal import use_journal
from pulumi_llm.api_edge.keys import read_keys
from pulumi_llm.api_edge.ledger import use_ledger
from pulumi_llm.api_edge.retrieval import retrieval_variables, retrieve_passages
from pulumi_llm.api_edge.safety import guardrail_variables
from pulumi_llm.api_edge.tables import UsedTable
from pulumi_llm.api_edge.tickets import issue_tickets
from pulumi_llm.api_edge.tracing import put_spans
from pulumi_llm.api_edge.usage import read_usage
from pulumi_llm.base import bundle
from pulumi_llm.base.component import Component
from pulumi_llm.base.lambda_function import Published, Shared, publish
from pulumi_llm.base.location import Location
from pulumi_llm.routing import Routing, model_policies
from pulumi_llm.serverless_bedrock_api import web_adapter
from pulumi_llm.serverless_bedrock_api.args import ServerlessBedrockApiSettings

_PER_CALLER: Mapping[str, str] = {
    "jobs_per_caller": variables.JOBS_PER_CALLER,
    "batches_per_caller": variables.BATCHES_PER_CALLER,
    "batch_requests_per_caller": variables.BATCH_REQUESTS_PER_CALLER,
    "files_per_caller": variables.FILES_PER_CALLER,
}


class Stores(NamedTuple):
    """The tables in which the function issues tickets, counts what callers with limits use, and keeps answers, where it
    keeps jobs, and in which it finds what was used on past days; each if any."""

    tickets: UsedTable | None
    ledger: UsedTable | None
    journal: UsedTable | None
    jobs: UsedJobs | None
    usage: UsedTable | None


def create_function(
    component: Component,
    settings: ServerlessBedrockApiSettings,
    shared: Shared,
    routing: Routing,
    location: Location,
    *,
    keys: UsedTable | None,
    stores: Stores,
    guardrail: UsedGuardrail | None,
    flags: UsedFlags | None,
) -> Published:
    """Make the function with its role, which may call exactly the models and read exactly the secrets of `routing`.

    At a URL of its own, it reads the table of `keys`, because no authorizer has checked them. It asks the
    `guardrail`, and reads the feature `flags`, if there are any.
    """
    tickets, ledger, journal, jobs, usage = stores
    readers = list(settings.usage.tenant_readers or ()) if settings.usage else []
    environment: dict[str, pulumi.Input[str]] = {
        variables.AUTHORIZATION: settings.auth,
        **({variables.PATH_PREFIX: settings.existing_api.path_prefix} if settings.existing_api else {}),
        variables.CORS_ALLOW_ORIGIN: Cors(settings.cors_allow_origin).variable,
        # The Web Adapter: https://github.com/aws/aws-lambda-web-adapter#configurations
        "AWS_LAMBDA_EXEC_WRAPPER": "/opt/bootstrap",
        "AWS_LWA_INVOKE_MODE": "response_stream",
        variables.PORT: str(variables.DEFAULT_PORT),
        "AWS_LWA_READINESS_CHECK_PATH": PATHS["health"],
        **({variables.KEYS_TABLE: keys.name} if keys else {}),
        **({variables.TICKETS_TABLE: tickets.name} if tickets else {}),
        **({variables.LEDGER_TABLE: ledger.name} if ledger else {}),
        **({variables.JOURNAL_TABLE: journal.name} if journal and settings.idempotency else {}),
        **({variables.CACHE_TABLE: journal.name} if journal and settings.cache else {}),
        **(jobs.variables if jobs else {}),
        **{variable: str(getattr(settings, name)) for name, variable in _PER_CALLER.items() if settings.given(name)},
        **({variables.BATCHES: "true"} if settings.batches else {}),
        **({variables.USAGE_TABLE: usage.name} if usage else {}),
        **({variables.USAGE_TENANT_READERS: json.dumps(readers)} if readers else {}),
        **(guardrail_variables(guardrail.arn, guardrail.version) if guardrail else {}),
        **(flags.variables if flags else {}),
        **retrieval_variables(settings.retrieval),
        **routing.environment,
        **settings.environment,
    }
    if settings.debug:
        environment[variables.DEBUG] = "true"
    layer = settings.web_adapter_layer_arn
    if layer is None:
        version = settings.web_adapter_layer_version
        # Another partition needs an ARN of the user's own.
        layer = f"arn:aws:lambda:{location.region}:{web_adapter.ACCOUNT}:layer:{web_adapter.LAYER}:{version}"
    return publish(
        component,
        "",
        shared,
        description="Answers chats with Amazon Bedrock",
        code=bundle.archive(routing.routes),
        handler=bundle.RUN_SCRIPT,
        memory_mb=settings.memory_mb,
        timeout_seconds=settings.timeout_seconds,
        environment=environment,
        policies={
            **model_policies(component, routing, location),
            **({"keys-policy": read_keys(keys)} if keys else {}),
            **({"tickets-policy": issue_tickets(tickets)} if tickets else {}),
            **({"ledger-policy": use_ledger(ledger, read=True)} if ledger else {}),
            **({"journal-policy": use_journal(journal)} if journal else {}),
            **({"jobs-policy": jobs.submit(location, batches=settings.batches)} if jobs else {}),
            **({"usage-policy": read_usage(usage)} if usage else {}),
            **({"traces-policy": put_spans()} if settings.sends_to_xray else {}),
            **({"guardrail-policy": ask_guardrail(component, guardrail, location)} if guardrail else {}),
            **({"flags-policy": flags.read()} if flags else {}),
            **({"retrieval-policy": retrieve_passages(settings.retrieval)} if settings.retrieval else {}),
        },
        layers=[layer, *settings.collector_layers],
        reserved_concurrency=settings.reserved_concurrency,
        vpc=settings.vpc,
        own_policies=settings.policies,
    )


def create_function_url(component: Component, function: Published) -> lambda_.FunctionUrl:
    """Make the function's own URL, which streams and asks for AWS signatures. Whoever may call it gets a permission."""
    return lambda_.FunctionUrl(
        component.child_name("function-url"),
        function_name=function.function.name,
        qualifier=function.alias.name,
        authorization_type="AWS_IAM",
        invoke_mode="RESPONSE_STREAM",
        opts=component.child("function-url"),
    )
