"""A stack on this machine: the program's resources, each played by what stands in for its service.

One supervisor, this process, answers as API Gateway and as Bedrock; every function, and moto, is a process of its own that ends
with it, however it ends.
"""

import asyncio
import contextlib
import json
import os
import secrets
import signal
import socket
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web

from llm_gateway.environment import KEYS_TABLE
from llm_gateway.identity import keys
from llm_gateway.identity.caller import key_hash
from pulumi_llm.base.bundle import TARGET_VARIABLE, cache_folder
from pulumi_llm_local.program import graph as graphs
from pulumi_llm_local.program.graph import Graph
from pulumi_llm_local.run.page import STATUS_PATH, Handler, with_pages
from pulumi_llm_local.run.running_api import RunningApi, RunningWebSocketApi
from pulumi_llm_local.services import (
    appconfig,
    event_bus,
    event_pipe,
    event_source_mapping,
    function_url,
    knowledge_base,
    lambda_function,
    log_subscription,
    moto,
    scheduler,
    traces,
    waf,
    webhooks,
)
from pulumi_llm_local.services.api_gateway import rest_api, websocket_api, websocket_connections
from pulumi_llm_local.services.api_gateway.rest_api import REST_API, RestApi
from pulumi_llm_local.services.api_gateway.websocket_api import WebSocketApi
from pulumi_llm_local.services.cloudfront import distribution
from pulumi_llm_local.services.lambda_function import Function
from pulumi_llm_local.services.local_run import LocalError, LocalRun, Options, address, listen
from pulumi_llm_local.services.signature import Credentials
from pulumi_llm_local.services.step_functions import state_machine
from pulumi_llm_local.upstreams import stack_upstreams

# The stand-ins, in the order in which they start. Each says which types it plays, and which take effect in others.
SERVICES = (
    moto,
    stack_upstreams,
    knowledge_base,
    scheduler,
    traces,
    websocket_connections,
    appconfig,
    webhooks,
    lambda_function,
    state_machine,
    event_bus,
    event_pipe,
    event_source_mapping,
    log_subscription,
    function_url,
    waf,
    rest_api,
    websocket_api,
    distribution,
)
_PLAYED = frozenset[str]().union(*(service.PLAYED for service in SERVICES))
_IMPLIED = frozenset[str]().union(*(service.IMPLIED for service in SERVICES))


@dataclass(frozen=True)
class Running:
    """A stack that answers. `outputs` are the stack's, with the addresses of this machine.

    `page` is the address of the web client, `status` that of the page that says what runs.
    `pools` are the addresses of the servers that stand for a cluster's, by the names of their providers.
    `traces` is the address at which traces are shown; empty where requests are not traced.
    `bedrock` are the environment variables by which any AWS SDK calls the local Bedrock; empty where Amazon's own is called.
    `appconfig` are those by which it calls the local AppConfig; empty where the program makes nothing there.
    `queues` are those by which it calls the local SQS and DynamoDB; empty where the program makes no queue.
    """

    outputs: Mapping[str, Any]
    apis: Sequence[RunningApi]
    websockets: Sequence[RunningWebSocketApi]
    distributions: Sequence[str]
    page: str
    status: str
    not_played: Sequence[str]
    warnings: Sequence[str]
    pools: Mapping[str, str]
    bedrock: Mapping[str, str]
    appconfig: Mapping[str, str]
    queues: Mapping[str, str]
    log_folder: Path
    traces: str = ""


Progress = Callable[[str], None]


@asynccontextmanager
async def running(options: Options, progress: Progress) -> AsyncGenerator[Running, None]:
    """Run a stack while the context lasts. Raises `LocalError` and `graph.GraphError` before it begins.

    `progress` is told each step.
    """
    listener = listen(options.port)
    logs = cache_folder() / "local" / f"{options.stack}-{listener.getsockname()[1]}"
    async with contextlib.AsyncExitStack() as stop:
        stop.callback(listener.close)
        environment = {**os.environ, TARGET_VARIABLE: "host"}
        loading = asyncio.ensure_future(_load(options, environment, progress))
        stop.callback(loading.cancel)
        run = LocalRun(options, environment, logs, listener, loading, stop)
        for service in SERVICES:
            await service.start(run)
        running = Running(
            outputs=_with_addresses(run),
            apis=[_served(api, run.graph.region, run.key, socket_) for api, socket_ in run.apis],
            websockets=[_served_websocket(api, url, run.graph) for api, url in run.websocket_apis],
            page=f"{run.address}/",
            status=f"{run.address}{STATUS_PATH}",
            distributions=[url for _, url in run.distributions],
            not_played=_not_played(run.graph),
            warnings=run.graph.warnings,
            pools=run.pools,
            bedrock=run.bedrock,
            appconfig=run.appconfig,
            queues=run.queues,
            log_folder=logs,
            traces=run.traces,
        )
        for handle, socket_ in [(_shared(run, running), listener), *((api.handle, socket_) for api, socket_ in run.apis[1:])]:
            app = web.Application()
            app.router.add_route("*", "/{path:.*}", handle)
            # What is not compressed as it says is for API Gateway to refuse.
            await run.serve(app, socket_, keepalive_timeout=75, auto_decompress=False)
        yield running


async def _load(options: Options, environment: Mapping[str, str], progress: Progress) -> Graph:
    progress(f"evaluating the program for the stack {options.stack}")
    graph = await asyncio.to_thread(
        graphs.load,
        options.directory,
        options.stack,
        options.config,
        seed=_seed(),
        environment=environment,
        given=options.given,
    )
    if not any(True for _ in graph.of_type(REST_API)) and not websocket_api.websocket_apis(graph):
        raise LocalError("the program has no API to run; is every component switched off?")
    progress(f"{len(graph.resources)} resources; starting what they need")
    return graph


def _not_played(graph: Graph) -> list[str]:
    types = {resource.type for resource in graph.resources} - _PLAYED - _IMPLIED
    return sorted(
        types.union(
            *(service.not_played(graph) for service in (scheduler, event_bus, function_url, waf, websocket_api, distribution))
        )
    )


async def until_stopped() -> None:
    """Wait for Ctrl-C or a request to end."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(name, stopped.set)
    await stopped.wait()


def _seed() -> str:
    """What the made-up keys and ids depend on: the same on every start, and nobody else's."""
    path = cache_folder() / "local" / "seed"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with (
            contextlib.suppress(FileExistsError),
            os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as f,
        ):
            f.write(secrets.token_hex(16))
    return path.read_text()


def _served(api: RestApi, region: str, key: Credentials, socket_: socket.socket) -> RunningApi:
    return RunningApi(
        url=f"{address(socket_)}/{api.stage_name}",
        keys=api.keys,
        signing=f'--aws-sigv4 "aws:amz:{region}:execute-api" --user {key.access_key}:{key.secret_key}' if api.signed else "",
        models=_models(api.functions),
    )


def _served_websocket(api: WebSocketApi, url: str, graph: Graph) -> RunningWebSocketApi:
    return RunningWebSocketApi(_websocket_address(api, url), _keys(graph, api.functions), _models(api.functions))


def _models(functions: Sequence[Function]) -> list[str]:
    return [name for function in functions if (routes := function.routes) is not None for name in routes.names("chat")]


def _keys(graph: Graph, functions: Sequence[Function]) -> list[str]:
    """The values of the API keys whose hashes are in a table that one of the functions looks keys up in."""
    tables = {function.variables.get(KEYS_TABLE) for function in functions}
    items = [json.loads(item.state["item"]) for item in graph.of_type(moto.TABLE_ITEM) if item.state["tableName"] in tables]
    known = {item[keys.HASH_KEY]["S"] for item in items}
    values = [str(key.state["value"]) for key in graph.of_type(rest_api.API_KEY)]
    return [value for value in values if key_hash(value) in known]


def _shared(run: LocalRun, running: Running) -> Handler:
    """What answers at the page's address: the page, the first WebSocket API, and the first REST API for everything else."""
    rest: RestApi | None = run.apis[0][0] if run.apis else None
    websocket: WebSocketApi | None = next((api for api, url in run.websocket_apis if url == run.address), None)
    path = f"/{websocket.stage_name}" if websocket else ""
    machines = list(run.state_machines.values())

    async def handle(request: web.Request) -> web.StreamResponse:
        if websocket is not None and (rest is None or f"{request.path}/".startswith(f"{path}/")):
            return await websocket.handle(request)
        assert rest is not None
        return await rest.handle(request)

    return with_pages(handle, running.apis, running.websockets, path, running.outputs, running.not_played, machines)


def _with_addresses(run: LocalRun) -> dict[str, Any]:
    """The stack's outputs with this machine's addresses in the place of AWS's."""
    text = json.dumps(run.graph.outputs, sort_keys=True)
    for api, socket_ in run.apis:
        for theirs in api.addresses:
            text = text.replace(theirs, f"{address(socket_)}/{api.stage_name}")
    for api, url in run.websocket_apis:
        text = text.replace(api.address, _websocket_address(api, url))
    for theirs, url in run.function_urls.items():
        text = text.replace(theirs.removesuffix("/"), url)
    for made, url in run.distributions:
        for theirs in made.addresses:
            text = text.replace(theirs, url)
    return json.loads(text)


def _websocket_address(api: WebSocketApi, url: str) -> str:
    return f"{url.replace('http', 'ws', 1)}/{api.stage_name}"
