"""Builds the gateway of a deployment: its routes, its providers and their clients."""

import os
import random
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache as cache_result
from importlib import import_module
from typing import TYPE_CHECKING

from llm_gateway import environment
from llm_gateway.aws.client import Aws
from llm_gateway.aws.secrets import Secrets
from llm_gateway.gateway import Gateway
from llm_gateway.http.client import HttpClient
from llm_gateway.providers.bedrock.provider import Bedrock
from llm_gateway.providers.mock import Mock
from llm_gateway.providers.registry import PROTOCOLS, always_caching
from llm_gateway.router import Provider, Router
from llm_gateway.routes import BEDROCK, MOCK, ROUTES_FILE, Endpoint, Routes, load
from llm_gateway.telemetry import write_warning

if TYPE_CHECKING:  # what a deployment does not use is not imported: it would cost a cold start some milliseconds
    from llm_gateway.batches.store import BatchStore
    from llm_gateway.checked_router import Safety
    from llm_gateway.demand import Demand
    from llm_gateway.identity.keys import KeyStore
    from llm_gateway.identity.tickets import TicketTable
    from llm_gateway.jobs.store import JobStore
    from llm_gateway.retrieving_router import Retriever
    from llm_gateway.stages.cache import Cache
    from llm_gateway.stages.cancel import Cancels
    from llm_gateway.stages.idempotency import Idempotency
    from llm_gateway.stages.ledger import Ledger
    from llm_gateway.stages.policy import Policy
    from llm_gateway.tracing.tracer import Tracer
    from llm_gateway.usage_history import UsageHistory


def gateway(client: HttpClient) -> Gateway:
    """Return the gateway that the deployed archive and the environment configure. It calls with `client`."""
    document = f"{os.environ['LAMBDA_TASK_ROOT']}/{ROUTES_FILE}"  # without pathlib, which takes 2 % of a start
    return gateway_of(load(document), client)


def gateway_of(
    routes: Routes, client: HttpClient, environ: Mapping[str, str] = os.environ, chance: random.Random | None = None
) -> Gateway:
    """Return the gateway of these routes. `chance` is what distributes load."""
    found, known = demand(routes.endpoints, client, environ), providers(routes.endpoints, client, environ)
    router = Router(known, chance) if found is None else Router(known, chance, found.wake)
    checks, rules = safety(routes, client, environ), policy(routes)
    limits, answers = ledger(routes, client, environ), cache(routes, client, environ)
    passages, traces = retriever(routes, client, environ), tracer(routes, client, environ)
    answering = Gateway(routes, router, found, limits, checks, rules, answers, passages, tracer=traces)
    return flagged(answering, client, environ)


def flagged(gateway: Gateway, client: HttpClient, environ: Mapping[str, str] = os.environ) -> Gateway:
    """Return the gateway with the feature flags; as it is where the environment names no configuration."""
    configuration = environ.get(environment.FLAGS_CONFIGURATION)
    if not configuration:
        return gateway
    from llm_gateway.aws.appconfig import AppConfig
    from llm_gateway.feature_flags import POLL_SECONDS, FeatureFlags

    source = AppConfig(Aws(client, environ), *configuration.split("/"), interval=POLL_SECONDS)
    return FeatureFlags(gateway, source, write_warning).deployed


def ledger(routes: Routes, client: HttpClient, environ: Mapping[str, str] = os.environ) -> "Ledger | None":
    """Return the ledger, None where no caller has limits."""
    if routes.limits is None:
        return None
    from llm_gateway.aws.dynamodb import DynamoDB
    from llm_gateway.stages.ledger import Ledger

    return Ledger(DynamoDB(Aws(client, environ)), environ[environment.LEDGER_TABLE], routes.limits, write_warning)


def idempotency(client: HttpClient, environ: Mapping[str, str] = os.environ) -> "Idempotency | None":
    """Return what keeps the answers to requests that name keys; None where the environment names no journal."""
    table = environ.get(environment.JOURNAL_TABLE)
    if not table:
        return None
    from llm_gateway.aws.dynamodb import DynamoDB
    from llm_gateway.stages.idempotency import Idempotency

    return Idempotency(DynamoDB(Aws(client, environ)), table, write_warning)


def cancels(client: HttpClient, environ: Mapping[str, str] = os.environ) -> "Cancels | None":
    """Return what callers have asked to stop; None where the environment names no journal."""
    table = environ.get(environment.JOURNAL_TABLE)
    if not table:
        return None
    from llm_gateway.aws.dynamodb import DynamoDB
    from llm_gateway.stages.cancel import Cancels

    return Cancels(DynamoDB(Aws(client, environ)), table, write_warning)


def job_store(client: HttpClient, environ: Mapping[str, str] = os.environ) -> "Callable[[], JobStore] | None":
    """Return what makes the store of jobs, at its first call; None where the environment names no table."""
    table = environ.get(environment.JOBS_TABLE)
    if not table:
        return None

    @cache_result
    def made() -> "JobStore":
        from llm_gateway.aws.dynamodb import DynamoDB
        from llm_gateway.aws.s3 import Bucket
        from llm_gateway.jobs.store import JobStore
        from llm_gateway.jobs.table import JobTable
        from llm_gateway.tables import DEFAULT_JOBS_PER_CALLER

        aws = Aws(client, environ)
        most = int(environ.get(environment.JOBS_PER_CALLER, DEFAULT_JOBS_PER_CALLER))
        return JobStore(JobTable(DynamoDB(aws), table), Bucket(aws, environ[environment.JOBS_BUCKET]), most)

    return made


def batch_store(client: HttpClient, environ: Mapping[str, str] = os.environ) -> "Callable[[], BatchStore] | None":
    """Return what makes the store of batches, at its first call; None where the environment names no table."""
    table = environ.get(environment.JOBS_TABLE)
    if not table:
        return None

    @cache_result
    def made() -> "BatchStore":
        from llm_gateway.aws.dynamodb import DynamoDB
        from llm_gateway.aws.s3 import Bucket
        from llm_gateway.batches.files import FileTable
        from llm_gateway.batches.store import BatchStore
        from llm_gateway.batches.table import BatchTable
        from llm_gateway.tables import DEFAULT_BATCH_REQUESTS_PER_CALLER, DEFAULT_BATCHES_PER_CALLER, DEFAULT_FILES_PER_CALLER

        aws = Aws(client, environ)
        dynamodb = DynamoDB(aws)
        bucket = Bucket(aws, environ[environment.JOBS_BUCKET])
        return BatchStore(
            BatchTable(dynamodb, table),
            FileTable(dynamodb, table),
            bucket,
            most_open=int(environ.get(environment.BATCHES_PER_CALLER, DEFAULT_BATCHES_PER_CALLER)),
            most_requests=int(environ.get(environment.BATCH_REQUESTS_PER_CALLER, DEFAULT_BATCH_REQUESTS_PER_CALLER)),
            most_files=int(environ.get(environment.FILES_PER_CALLER, DEFAULT_FILES_PER_CALLER)),
        )

    return made


def usage_history(client: HttpClient, environ: Mapping[str, str] = os.environ) -> "Callable[[], UsageHistory] | None":
    """Return what makes the table of past days, at its first call; None where the environment names no table."""
    table = environ.get(environment.USAGE_TABLE)
    if not table:
        return None

    @cache_result
    def made() -> "UsageHistory":
        import msgspec

        from llm_gateway.aws.dynamodb import DynamoDB
        from llm_gateway.usage_history import UsageHistory

        readers = msgspec.json.decode(environ.get(environment.USAGE_TENANT_READERS, "[]"), type=list[str])
        return UsageHistory(DynamoDB(Aws(client, environ)), table, readers)

    return made


def safety(routes: Routes, client: HttpClient, environ: Mapping[str, str] = os.environ) -> "Safety | None":
    """Return what conversations are checked by, None where they are not."""
    if routes.safety is None:
        return None
    from llm_gateway.checked_router import Safety

    guardrail = None
    if routes.safety.guardrail is not None:
        from llm_gateway.stages.guardrail import Guardrail

        aws = Aws(client, environ)
        guardrail = Guardrail(aws, environ[environment.GUARDRAIL_ARN], environ[environment.GUARDRAIL_VERSION])
    return Safety(routes.safety, guardrail)


def policy(routes: Routes) -> "Policy | None":
    """Return the rules of callers, None where there are none."""
    if not routes.rules:
        return None
    from llm_gateway.stages.policy import policy_of

    return policy_of(routes, always_caching(routes.endpoints))


def cache(routes: Routes, client: HttpClient, environ: Mapping[str, str] = os.environ) -> "Cache | None":
    """Return the cache of answers, None where there is none."""
    if routes.cache is None:
        return None
    from llm_gateway.aws.dynamodb import DynamoDB
    from llm_gateway.stages.cache import Cache

    asked = [environ.get(name, "") for name in (environment.GUARDRAIL_ARN, environment.GUARDRAIL_VERSION)]
    return Cache(DynamoDB(Aws(client, environ)), environ[environment.CACHE_TABLE], routes.cache, asked, write_warning)


def retriever(routes: Routes, client: HttpClient, environ: Mapping[str, str] = os.environ) -> "Retriever | None":
    """Return what finds passages for answers, None where none have any."""
    if routes.retrieval is None:
        return None
    from llm_gateway.retrieving_router import Retriever
    from llm_gateway.stages.knowledge_base import KnowledgeBase

    knowledge_base = KnowledgeBase(Aws(client, environ), environ[environment.KNOWLEDGE_BASE_ID], routes.retrieval)
    return Retriever(knowledge_base, routes.retrieval)


def tracer(routes: Routes, client: HttpClient, environ: Mapping[str, str] = os.environ) -> "Tracer | None":
    """Return what traces requests, None where they are not traced."""
    if routes.tracing is None:
        return None
    from llm_functions.tracing import tracer_of

    return tracer_of(routes.tracing, routes.endpoints, client, environ, write_warning)


def key_store(client: HttpClient, environ: Mapping[str, str] = os.environ) -> "KeyStore | None":
    """Return the table of API keys, where the function checks them itself; None where the environment names no table."""
    table = environ.get(environment.KEYS_TABLE)
    if not table:
        return None
    from llm_gateway.aws.dynamodb import DynamoDB
    from llm_gateway.identity.keys import KeyStore

    return KeyStore(DynamoDB(Aws(client, environ)), table, clock=time.monotonic)


def ticket_table(client: HttpClient, environ: Mapping[str, str] = os.environ) -> "TicketTable | None":
    """Return the table of tickets for WebSockets; None where the environment names no table."""
    table = environ.get(environment.TICKETS_TABLE)
    if not table:
        return None
    from llm_gateway.aws.dynamodb import DynamoDB
    from llm_gateway.identity.tickets import TicketTable

    return TicketTable(DynamoDB(Aws(client, environ)), table)


def providers(
    endpoints: Sequence[Endpoint], client: HttpClient, environ: Mapping[str, str] = os.environ
) -> dict[str, Provider]:
    """Make the providers, by the names that targets have for them.

    A provider's code is loaded only where an endpoint needs it. Raises `ValueError` for an endpoint of an unknown type: the
    function must not start.
    """
    aws = Aws(client, environ)
    found: dict[str, Provider] = {BEDROCK: Bedrock(aws), MOCK: Mock()}
    secrets = Secrets(aws)
    for endpoint in endpoints:
        from llm_gateway.providers.endpoint import EndpointDialect, EndpointProvider

        if endpoint.type not in PROTOCOLS:
            known = ", ".join(PROTOCOLS)
            raise ValueError(f"the type of the provider {endpoint.name!r} must be one of {known}, not {endpoint.type!r}")
        module, _, name = PROTOCOLS[endpoint.type].dialect.partition(":")
        dialect: EndpointDialect = getattr(import_module(module), name)()
        stickiness = None
        if endpoint.stickiness_cookie:
            from llm_gateway.providers.stickiness import Stickiness

            stickiness = Stickiness(endpoint.stickiness_cookie)
        found[endpoint.name] = EndpointProvider(client, endpoint, secrets, dialect, stickiness)
    return found


def demand(endpoints: Sequence[Endpoint], client: HttpClient, environ: Mapping[str, str] = os.environ) -> "Demand | None":
    """Return the demand for the providers that may sleep, None where there are none."""
    queues = {endpoint.name: endpoint.wake_queue_url for endpoint in endpoints if endpoint.wake_queue_url}
    if not queues:
        return None
    from llm_gateway.aws.sqs import Sqs
    from llm_gateway.demand import Demand

    return Demand(Sqs(Aws(client, environ)), queues)
