"""What the services of one local run share: the program's resources, and what each service adds for the others."""

import asyncio
import contextlib
import secrets
import socket
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

from llm_gateway.environment import CORS_ALLOW_ORIGIN
from pulumi_llm_local.aws_types.lambda_ import FUNCTION
from pulumi_llm_local.program.given import Given
from pulumi_llm_local.program.graph import Graph
from pulumi_llm_local.services.loopback import is_foreign, is_loopback
from pulumi_llm_local.services.signature import Credentials
from pulumi_llm_local.upstreams.fault import Fault
from pulumi_llm_local.upstreams.model import LanguageModel

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class LocalError(Exception):
    """The stack cannot be run here; the text says why and what would help."""


@dataclass(frozen=True)
class WebSocketLimits:
    """Seconds after which a connection of a WebSocket API is closed: without a message, and in all.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-execution-service-websocket-limits-table.html
    """

    idle_seconds: float = 600.0
    life_seconds: float = 7200.0


@dataclass(frozen=True)
class Options:
    """How to run.

    `aws_bedrock` calls Amazon Bedrock with the user's own credentials in the stand-in's place. `pool_start` is how many seconds
    a server of a pool loads.
    """

    directory: Path
    stack: str
    port: int
    model: LanguageModel
    aws_bedrock: bool = False
    faults: Sequence[Fault] = ()
    config: Mapping[str, Any] = field(default_factory=dict[str, Any])
    given: Given = field(default_factory=Given)
    websocket_limits: WebSocketLimits = field(default_factory=WebSocketLimits)
    pool_start: float = 5.0


@dataclass(frozen=True)
class ServiceCaller:
    """A service of AWS's that calls by signed requests. Its source is the resource on whose behalf it calls."""

    credentials: Credentials
    principal: str
    source_arn: str


@dataclass
class LocalRun:
    """One run of a stack, while its services start, each by its `start(run)`.

    Attributes:
        options: How to run.
        environment: This process's environment variables.
        logs: The folder of the log files.
        listener: The socket of the page, the first REST API and the first WebSocket API.
        loading: The program's resources, when the program has been evaluated.
        stop: What has to end with the run.
        key: What every function signs its calls of AWS with.
        variables: The environment variables that every function gets, besides Lambda's own.
        addresses: The values that stand in the place of variables of the program.
        bedrock: The variables by which any AWS SDK calls the local Bedrock.
        appconfig: Those by which it calls the local AppConfig. Empty where the program makes nothing there.
        queues: Those by which it calls the queues. Empty where the program makes none.
        provider_keys: The key that a provider's stand-in asks for, by its secret's ARN. Each is made when it is first read.
        webhook_secrets: What a receiver of webhooks verifies with, by its secret's ARN.
        pools: The URL of this machine that stands for the servers of a provider which may have none, by the provider's name.
        functions: Each `lambda_function.Function` by its name.
        apis: Each `rest_api.RestApi` with its socket.
        websocket_apis: Each `websocket_api.WebSocketApi` with its address.
        function_urls: The URL of this machine that stands for a function's URL.
        service_callers: The services that sign requests, by their access keys.
        web_acls: Each `waf.WebAcl` by its ARN.
        state_machines: Each `state_machine.StateMachine` by its ARN.
        event_buses: The `event_bus.EventBuses` of the program, None where it has none.
        hosts: The URL of this machine that stands for a host name of AWS's.
        distributions: Each `distribution.Distribution` of CloudFront with its address.
        traces: Where the traces of requests are shown, empty where there are none.
        further_ports: How many ports after the first one have been given out.
    """

    options: Options
    environment: Mapping[str, str]
    logs: Path
    listener: socket.socket
    loading: asyncio.Future[Graph]
    stop: contextlib.AsyncExitStack
    key: Credentials = field(default_factory=lambda: Credentials("AKIALOCALSTACK000000", secrets.token_urlsafe(30)))
    variables: dict[str, str] = field(default_factory=dict[str, str])
    addresses: dict[str, str] = field(default_factory=dict[str, str])
    bedrock: dict[str, str] = field(default_factory=dict[str, str])
    appconfig: dict[str, str] = field(default_factory=dict[str, str])
    queues: dict[str, str] = field(default_factory=dict[str, str])
    provider_keys: dict[str, str] = field(default_factory=lambda: defaultdict[str, str](_provider_key))
    webhook_secrets: dict[str, str] = field(default_factory=dict[str, str])
    pools: dict[str, str] = field(default_factory=dict[str, str])
    functions: dict[str, Any] = field(default_factory=dict[str, Any])
    apis: list[tuple[Any, socket.socket]] = field(default_factory=list[tuple[Any, socket.socket]])
    websocket_apis: list[tuple[Any, str]] = field(default_factory=list[tuple[Any, str]])
    function_urls: dict[str, str] = field(default_factory=dict[str, str])
    service_callers: dict[str, ServiceCaller] = field(default_factory=dict[str, ServiceCaller])
    web_acls: dict[str, Any] = field(default_factory=dict[str, Any])
    state_machines: dict[str, Any] = field(default_factory=dict[str, Any])
    event_buses: Any = None
    hosts: dict[str, str] = field(default_factory=dict[str, str])
    distributions: list[tuple[Any, str]] = field(default_factory=list[tuple[Any, str]])
    further_ports: int = 0
    traces: str = ""

    @property
    def graph(self) -> Graph:
        """The program's resources. A service that starts before they are known awaits `loading`."""
        return self.loading.result()

    @property
    def address(self) -> str:
        """The URL of `listener`."""
        return address(self.listener)

    def aws_variables(self) -> dict[str, str]:
        """What Lambda sets for every function."""
        return {
            "AWS_REGION": self.graph.region,
            "AWS_DEFAULT_REGION": self.graph.region,
            "AWS_ACCESS_KEY_ID": self.key.access_key,
            "AWS_SECRET_ACCESS_KEY": self.key.secret_key,
        }

    def next_listener(self) -> socket.socket:
        """Return a socket for a further address that a user opens, on the port that follows the last one.

        So an address stays the same from start to start. Where the first port is a free one, so are these. Raises `LocalError`.
        """
        self.further_ports += 1
        listener = listen(self.options.port + self.further_ports if self.options.port else 0)
        self.stop.callback(listener.close)
        return listener

    async def serve(self, app: web.Application, listener: socket.socket | None = None, **settings: Any) -> str:
        """Serve `app` while the run lasts, on a free port if no socket is given. Returns its URL."""
        listener = listener or listen(0)
        app.middlewares.append(self._refuse_pages_of_elsewhere)
        runner = web.AppRunner(app, access_log=None, **settings)
        await runner.setup()
        self.stop.push_async_callback(runner.cleanup)
        await web.SockSite(runner, listener, shutdown_timeout=0.5).start()
        return address(listener)

    @web.middleware
    async def _refuse_pages_of_elsewhere(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Refuse what a page of elsewhere asks by the user's browser, whoever may call: such a page could use the models, and
        by a name of its own that leads here (DNS rebinding) read the answers.

        Browsers ask before they send JSON for a page of elsewhere, and name the page; they do not ask before they send a text.
        https://fetch.spec.whatwg.org/#cors-safelisted-request-header
        """
        origin, own = request.headers.get("origin"), {urlsplit(f"//{name}").hostname for name in self.hosts}
        if not is_loopback(request.host) and urlsplit(f"//{request.host}").hostname not in own:
            return _refused(403, f"this run does not answer for the host {request.host[:64]}")
        if request.method != "OPTIONS" and is_foreign(origin) and origin not in self._named_origins():
            return _refused(403, "pages of other sites may not call this run; name their origin in cors_allow_origin")
        if origin is not None and request.method == "POST" and not _is_preflighted(request):
            return _refused(415, "send application/json")
        return await handler(request)

    def _named_origins(self) -> set[str]:
        """The origins whose pages may call by the stack's own settings, which name them: "*" names nobody."""
        found: set[str] = set()
        for function in self.graph.of_type(FUNCTION) if self.loading.done() else ():
            environment: dict[str, Any] = function.state.get("environment") or {}
            variables: dict[str, Any] = environment.get("variables") or {}
            found |= set(str(variables.get(CORS_ALLOW_ORIGIN, "")).split(","))
        return found - {"*", ""}


# What a browser sends without asking first.
_SIMPLE_TYPES = ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data")


def _is_preflighted(request: web.Request) -> bool:
    return "content-type" in request.headers and request.content_type not in _SIMPLE_TYPES


def _refused(status: int, message: str) -> web.Response:
    return web.json_response({"message": message}, status=status)


def _provider_key() -> str:
    return f"local-{secrets.token_urlsafe(24)}"


def address(listener: socket.socket) -> str:
    """Return the URL of a socket of this machine."""
    return f"http://127.0.0.1:{listener.getsockname()[1]}"


def listen(port: int) -> socket.socket:
    """Return a socket that listens on `port` of 127.0.0.1; 0: a free one. Raises `LocalError`."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except (OSError, OverflowError) as error:
        listener.close()
        reason = error.strerror if isinstance(error, OSError) else "there is none"
        raise LocalError(
            f"port {port} on 127.0.0.1 cannot be used ({reason}); name another with --port, or 0 for a free one"
        ) from error
    listener.listen(1024)
    return listener
