"""The upstreams of a stack: the providers that its functions call, each with the stand-in that plays it."""

import asyncio
import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, Literal
from urllib.parse import urlsplit

from aiohttp import web

from llm_gateway.providers.anthropic.protocol import ANTHROPIC
from llm_gateway.providers.openai.protocol import OPENAI_COMPATIBLE
from llm_gateway.routes import BEDROCK, Endpoint, Routes, Target
from pulumi_llm.models.catalogue import ModelError, find
from pulumi_llm_local.program.graph import Graph
from pulumi_llm_local.program.routes import routes_documents
from pulumi_llm_local.services import moto
from pulumi_llm_local.services.local_run import LocalError, LocalRun
from pulumi_llm_local.upstreams.anthropic import app as anthropic
from pulumi_llm_local.upstreams.bedrock import app as bedrock
from pulumi_llm_local.upstreams.bedrock.guardrails import GUARDRAIL, GUARDRAIL_VERSION, guardrails_of
from pulumi_llm_local.upstreams.fault import POOL_FAULTS, FaultSchedule
from pulumi_llm_local.upstreams.model import ModelTraits
from pulumi_llm_local.upstreams.openai import app as openai
from pulumi_llm_local.upstreams.openai.pool import VllmPool
from pulumi_llm_local.upstreams.openai.wire import Flavour

# No resource of the program is a provider; Bedrock's guardrails are played with it.
PLAYED = frozenset({GUARDRAIL, GUARDRAIL_VERSION})
IMPLIED = frozenset[str]()
# What scales the servers of a model in a cluster: https://keda.sh/docs/latest/reference/scaledobject-spec/
SCALED_OBJECT = "kubernetes:keda.sh/v1alpha1:ScaledObject"


async def start(run: LocalRun) -> None:
    """Play every provider that the stack calls. Raises `LocalError`."""
    graph, options = run.graph, run.options
    endpoints, models = _called(routes_documents(graph))
    for fault in options.faults:  # one of an upstream that the stack does not call would do nothing
        if fault.upstream and fault.upstream not in (names := (*models, moto.DYNAMODB)):
            raise LocalError(f"--fault: the stack calls no upstream {fault.upstream!r}; it calls {', '.join(names)}")
    pools = {name for name, endpoint in endpoints.items() if _is_pool(endpoint)}
    for fault in options.faults:
        if fault.kind in POOL_FAULTS and not (pools if not fault.upstream else fault.upstream in pools):
            has = ", ".join(sorted(pools)) or "none"
            raise LocalError(f"--fault: {fault.kind} is for providers with a wake_queue; the stack has {has}")
    others = [fault for fault in options.faults if fault.kind not in POOL_FAULTS]
    if options.aws_bedrock:
        run.variables |= _own_credentials()
    else:
        app = bedrock.create_app(
            region=graph.region,
            credentials=run.key,
            models=models[BEDROCK],
            model=options.model,
            faults=others,
            guardrails=guardrails_of(graph),
        )
        url = await run.serve(app)
        run.variables["AWS_ENDPOINT_URL_BEDROCK_RUNTIME"] = url
        run.bedrock |= {**run.aws_variables(), "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": url}
    for endpoint in endpoints.values():
        key = run.provider_keys[endpoint.secret_arn] if endpoint.secret_arn else None
        if endpoint.name in pools:
            run.addresses[endpoint.base_url_variable] = await _start_pool(run, endpoint, models[endpoint.name], key)
            continue
        create_app = STAND_INS[endpoint.type](endpoint)
        app = create_app(models=models[endpoint.name], model=options.model, name=endpoint.name, key=key, faults=others)
        run.addresses[endpoint.base_url_variable] = await run.serve(app)


def _is_pool(endpoint: Endpoint) -> bool:
    """Whether a provider is a pool of vLLM servers that may have none."""
    return bool(endpoint.wake_queue_url) and endpoint.type == OPENAI_COMPATIBLE.name


async def _start_pool(run: LocalRun, endpoint: Endpoint, models: Mapping[str, ModelTraits], key: str | None) -> str:
    """Play a pool. Returns its base URL."""
    base_path = urlsplit(endpoint.base_url).path
    pool = VllmPool(
        models=models,
        model=run.options.model,
        faults=FaultSchedule(run.options.faults, endpoint.name),
        flavour="vllm",
        key=key,
        funded=True,
        keep_alive_s=None,
        path=base_path.removesuffix("/v1"),
        load_seconds=run.options.pool_start,
        state="none" if _sleeps(run.graph, endpoint.wake_queue_url) else "ready",
    )
    depth = partial(moto.queue_depth, run.variables[moto.SQS_ENDPOINT], run.graph.region, endpoint.wake_queue_url)
    watching = asyncio.ensure_future(pool.wake_on_demand(depth))
    run.stop.callback(watching.cancel)
    run.pools[endpoint.name] = await run.serve(pool.server_application())
    return await run.serve(pool.application()) + base_path


def _sleeps(graph: Graph, queue_url: str) -> bool:
    """Whether a pool begins without a server: unless the program scales it, and never below one."""
    for scaled in graph.of_type(SCALED_OBJECT):
        spec: Mapping[str, Any] = scaled.inputs["spec"]
        queues = [trigger.get("metadata", {}).get("queueURL") for trigger in spec["triggers"]]
        if queue_url in queues and spec.get("minReplicaCount"):
            return False
    return True


def _own_credentials() -> dict[str, str]:
    """The user's AWS credentials, as every AWS tool finds them. Raises `LocalError` where there are none."""
    import botocore.session

    found = botocore.session.get_session().get_credentials()
    if found is None:
        raise LocalError("--bedrock aws needs AWS credentials, and none are configured here (aws configure, or AWS_PROFILE)")
    frozen = found.get_frozen_credentials()
    token = {"AWS_SESSION_TOKEN": frozen.token} if frozen.token else {}
    return {"AWS_ACCESS_KEY_ID": frozen.access_key, "AWS_SECRET_ACCESS_KEY": frozen.secret_key, **token}


def _called(documents: Iterable[Routes]) -> tuple[dict[str, Endpoint], dict[str, dict[str, ModelTraits]]]:
    """Return what routes documents call: the endpoints by their names, and the models of each provider by their names there."""
    endpoints: dict[str, Endpoint] = {}
    models: dict[str, dict[str, ModelTraits]] = {BEDROCK: {}}
    for routes in documents:
        for endpoint in routes.endpoints:
            endpoints[endpoint.name] = endpoint
            models.setdefault(endpoint.name, {})
        for target in (target for alias in routes.aliases for target in alias.targets):
            if target.provider in models:
                models[target.provider][target.model] = _traits(target)
    return endpoints, models


def _traits(target: Target) -> ModelTraits:
    return ModelTraits(
        accepts=frozenset(target.accepts),
        exclusive=frozenset(target.exclusive),
        reasoning=_reasons(target),
        max_output_tokens=target.max_output_tokens,
        context_tokens=target.context_tokens,
        embedding=_embedding(target),
    )


def _embedding(target: Target) -> Literal["", "titan_v2", "cohere_v3", "cohere_v4", "openai"]:
    """In which form a model makes embeddings, by its maker's id where Bedrock serves it; empty: it chats."""
    if target.kind == "chat":
        return ""
    if target.provider != BEDROCK:
        return "openai"
    name = target.name.removeprefix(f"{BEDROCK}/")
    try:
        found = find(name)[0].foundation_model
    except ModelError:  # the second target of a name has a number
        found = find(re.sub(r"-\d+$", "", name))[0].foundation_model
    if found.startswith("amazon.titan"):
        return "titan_v2"
    return "cohere_v4" if ".embed-v4" in found else "cohere_v3"


def _reasons(target: Target) -> bool:
    """Whether the model shows its reasoning without being asked: by the catalogue, else by its name."""
    for name in (target.name.partition("/")[2], target.model.rpartition("/")[2]):
        try:
            return find(name)[0].reasoning
        except ModelError:
            continue
    return any(word in target.model.lower() for word in ("reasoner", "-r1", "thinking"))


# The stand-in of each protocol of an endpoint.
STAND_INS: Mapping[str, Callable[[Endpoint], Callable[..., web.Application]]] = {
    OPENAI_COMPATIBLE.name: lambda endpoint: partial(openai.create_app, flavour=_flavour(endpoint.base_url)),
    ANTHROPIC.name: lambda _: anthropic.create_app,
}


def _flavour(base_url: str) -> Flavour:
    """Return whose server is at an address. An unknown host is a vLLM."""
    host = urlsplit(base_url).hostname or ""
    if host.endswith("deepseek.com"):
        return "deepseek"
    return "openai" if host.endswith(("openai.com", "openai.azure.com")) else "vllm"
