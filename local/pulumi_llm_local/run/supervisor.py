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
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

from pulumi_llm.base.bundle import TARGET_VARIABLE, cache_folder
from pulumi_llm_local.aws_types.lambda_ import FUNCTION
from pulumi_llm_local.program import graph as graphs
from pulumi_llm_local.program.graph import Graph
from pulumi_llm_local.run.page import page_handler
from pulumi_llm_local.run.running_api import RunningApi
from pulumi_llm_local.services import lambda_function, moto
from pulumi_llm_local.services.api_gateway import rest_api
from pulumi_llm_local.services.api_gateway.rest_api import REST_API, RestApi
from pulumi_llm_local.services.lambda_function import Function
from pulumi_llm_local.services.signature import Credentials
from pulumi_llm_local.upstreams.fault import Fault
from pulumi_llm_local.upstreams.model import LanguageModel
from pulumi_llm_local.upstreams.stack_upstreams import StackUpstreams

# The stand-ins, one a module in services/: each says which types it plays, and which take effect in others.
SERVICES = (lambda_function, moto, rest_api)
_PLAYED = frozenset[str]().union(*(service.PLAYED for service in SERVICES))
_IMPLIED = frozenset[str]().union(*(service.IMPLIED for service in SERVICES))


class LocalError(Exception):
    """The stack cannot be run here; the text says why and what would help."""


@dataclass(frozen=True)
class Options:
    """How to run. `aws_bedrock` calls Amazon Bedrock with the user's own credentials in the stand-in's place."""

    directory: Path
    stack: str
    port: int
    model: LanguageModel
    aws_bedrock: bool = False
    faults: Sequence[Fault] = ()
    config: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True)
class Running:
    """A stack that answers. `outputs` are the stack's, with the addresses of this machine.

    `bedrock` are the environment variables by which any AWS SDK calls the local Bedrock; empty where Amazon's own is called.
    """

    outputs: Mapping[str, Any]
    apis: Sequence[RunningApi]
    page: str
    not_played: Sequence[str]
    warnings: Sequence[str]
    bedrock: Mapping[str, str]
    log_folder: Path


Progress = Callable[[str], None]


@asynccontextmanager
async def running(options: Options, progress: Progress) -> AsyncGenerator[Running, None]:
    """Run a stack while the context lasts. Raises `LocalError` and `graph.GraphError` before it begins.

    `progress` is told each step.
    """
    listener = _listen(options.port)
    port = listener.getsockname()[1]
    logs = cache_folder() / "local" / f"{options.stack}-{port}"
    async with contextlib.AsyncExitStack() as stop:
        stop.callback(listener.close)
        progress(f"evaluating the program for the stack {options.stack}")
        environment = {**os.environ, TARGET_VARIABLE: "host"}
        mock = moto.Moto(logs / "moto.log", environment)
        stop.push_async_callback(mock.stop)
        mock_started = asyncio.ensure_future(mock.start())  # it takes as long as the program, so both at once
        stop.callback(mock_started.cancel)
        graph = await asyncio.to_thread(
            graphs.load, options.directory, options.stack, options.config, seed=_seed(), environment=environment
        )
        if not any(True for _ in graph.of_type(REST_API)):
            raise LocalError("the program has no REST API to run; is every component switched off?")
        progress(f"{len(graph.resources)} resources; starting what they need")

        key = Credentials(access_key="AKIALOCALSTACK000000", secret_key=secrets.token_urlsafe(30))
        variables = _aws_variables(graph.region, key)
        bedrock: dict[str, str] = {}
        addresses: dict[str, str] = {}
        functions = {
            str(resource.state["name"]): Function(resource, variables, logs / f"{resource.name}.log", addresses)
            for resource in graph.of_type(FUNCTION)
        }
        for function in functions.values():
            stop.push_async_callback(function.stop)
        upstreams = StackUpstreams.of(routes for function in functions.values() if (routes := function.routes) is not None)
        _check_upstreams(options.faults, upstreams.names)
        if options.aws_bedrock:
            variables |= _own_credentials()
        else:
            app = upstreams.bedrock(graph.region, key, options.model, options.faults)
            variables["AWS_ENDPOINT_URL_BEDROCK_RUNTIME"] = await _serve_upstream(stop, app)
            bedrock = dict(variables)
        await mock_started
        await mock.fill(graph)
        await _serve_endpoints(stop, upstreams, mock, addresses, graph.region, options)
        variables |= dict.fromkeys(moto.ENDPOINTS, mock.url)
        await asyncio.gather(*(function.start() for function in functions.values()))

        apis = _apis(graph, functions, key, listener, stop)
        run = Running(
            outputs=_with_addresses(graph, apis),
            apis=[_served(api, graph.region, key, socket_) for api, socket_ in apis],
            page=f"http://127.0.0.1:{port}/",
            not_played=sorted({r.type for r in graph.resources} - _PLAYED - _IMPLIED),
            warnings=graph.warnings,
            bedrock=bedrock,
            log_folder=logs,
        )
        for api, socket_ in apis:
            app = web.Application()
            if socket_ is listener:
                app.router.add_get("/", page_handler(run.apis, run.outputs, run.not_played))
            app.router.add_route("*", "/{path:.*}", api.handle)
            await _serve(stop, web.AppRunner(app, access_log=None, keepalive_timeout=75), socket_)
        yield run


async def until_stopped() -> None:
    """Wait for Ctrl-C or a request to end."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(name, stopped.set)
    await stopped.wait()


def _listen(port: int) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError as error:
        listener.close()
        raise LocalError(
            f"port {port} on 127.0.0.1 cannot be used ({error.strerror}); name another with --port, or 0 for a free one"
        ) from error
    listener.listen(1024)
    return listener


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


# What stands in for the services.


def _aws_variables(region: str, key: Credentials) -> dict[str, str]:
    """What Lambda sets for every function."""
    return {
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "AWS_ACCESS_KEY_ID": key.access_key,
        "AWS_SECRET_ACCESS_KEY": key.secret_key,
    }


def _check_upstreams(faults: Sequence[Fault], names: Sequence[str]) -> None:
    """Raises `LocalError` for a fault of an upstream that the stack does not call: it would do nothing."""
    for fault in faults:
        if fault.upstream and fault.upstream not in names:
            raise LocalError(f"--fault: the stack calls no upstream {fault.upstream!r}; it calls {', '.join(names)}")


def _own_credentials() -> dict[str, str]:
    """The user's AWS credentials, as every AWS tool finds them. Raises `LocalError` where there are none."""
    import botocore.session

    found = botocore.session.get_session().get_credentials()
    if found is None:
        raise LocalError("--bedrock aws needs AWS credentials, and none are configured here (aws configure, or AWS_PROFILE)")
    frozen = found.get_frozen_credentials()
    token = {"AWS_SESSION_TOKEN": frozen.token} if frozen.token else {}
    return {"AWS_ACCESS_KEY_ID": frozen.access_key, "AWS_SECRET_ACCESS_KEY": frozen.secret_key, **token}


async def _serve_endpoints(
    stop: contextlib.AsyncExitStack,
    upstreams: StackUpstreams,
    mock: moto.Moto,
    addresses: dict[str, str],
    region: str,
    options: Options,
) -> None:
    """Play every endpoint, with a key of this run's own, and put its address into `addresses`."""
    keys: dict[str, str] = {}
    for endpoint in upstreams.endpoints.values():
        key = keys.setdefault(endpoint.secret_arn, f"local-{secrets.token_urlsafe(24)}") if endpoint.secret_arn else None
        address = await _serve_upstream(stop, upstreams.endpoint(endpoint, key, options.model, options.faults))
        addresses[endpoint.base_url_variable] = address
    await mock.add_secrets(region, keys)


async def _serve_upstream(stop: contextlib.AsyncExitStack, app: web.Application) -> str:
    return await _serve(stop, web.AppRunner(app, access_log=None), _listen(0))


def _apis(
    graph: Graph,
    functions: Mapping[str, Function],
    key: Credentials,
    listener: socket.socket,
    stop: contextlib.AsyncExitStack,
) -> list[tuple[RestApi, socket.socket]]:
    """Every REST API with where it will listen, the first on `listener`."""
    apis: list[tuple[RestApi, socket.socket]] = []
    for resource in graph.of_type(REST_API):
        socket_ = _listen(0) if apis else listener
        stop.callback(socket_.close)
        apis.append((RestApi(graph, resource, functions, key), socket_))
    return apis


def _served(api: RestApi, region: str, key: Credentials, socket_: socket.socket) -> RunningApi:
    documents = [routes for function in api.functions if (routes := function.routes) is not None]
    return RunningApi(
        url=f"http://127.0.0.1:{socket_.getsockname()[1]}/{api.stage_name}",
        keys=api.keys,
        signing=f'--aws-sigv4 "aws:amz:{region}:execute-api" --user {key.access_key}:{key.secret_key}' if api.signed else "",
        models=[name for document in documents for name in document.names()],
    )


async def _serve(stop: contextlib.AsyncExitStack, runner: web.AppRunner, listener: socket.socket) -> str:
    await runner.setup()
    stop.push_async_callback(runner.cleanup)
    await web.SockSite(runner, listener, shutdown_timeout=0.5).start()
    return f"http://127.0.0.1:{listener.getsockname()[1]}"


def _with_addresses(graph: Graph, apis: Sequence[tuple[RestApi, socket.socket]]) -> dict[str, Any]:
    """The stack's outputs with this machine's addresses in the place of AWS's."""
    text = json.dumps(graph.outputs, sort_keys=True)
    for api, socket_ in apis:
        for theirs in api.addresses:
            text = text.replace(theirs, f"http://127.0.0.1:{socket_.getsockname()[1]}/{api.stage_name}")
    return json.loads(text)
