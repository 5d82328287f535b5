"""vLLM behind an Application Load Balancer, as the servers of a GPU cluster: none, one that loads, one that answers.

https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html, https://docs.vllm.ai/en/latest/usage/metrics/
https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-troubleshooting.html
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from aiohttp import web

from pulumi_llm_local.upstreams.fault import CutStream, FaultKind
from pulumi_llm_local.upstreams.openai.app import ChatServer
from pulumi_llm_local.upstreams.openai.errors import ChatRefusal, ChatRefused
from pulumi_llm_local.upstreams.openai.request import ChatRequest
from pulumi_llm_local.upstreams.server import abort, html_page

# What the load balancer's rules forward, below the path of the model.
FORWARDED = ("/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/models")
# Seconds between two looks at the queue.
POLLING_SECONDS = 0.5
# Seconds that a server which drains has for the answers that it has begun.
DRAIN_SECONDS = 45.0
# vLLM's own default of the sequences that run at once.
MAX_NUM_SEQS = 256

_BALANCER = {"server": "awselb/2.0"}
# vLLM answers so with --max-num-queued-reqs; the text is the local run's own.
_FULL = ChatRefusal(503, "The server has as many requests as it queues at most.", "ServiceUnavailableError")


@dataclass(kw_only=True, eq=False)
class VllmPool(ChatServer):
    """The load balancer, and the one server that it may have.

    Attributes:
        path: What the load balancer's rules have before the paths of vLLM, such as ``/qwen``.
        load_seconds: How long a server loads before it answers.
        state: `none`: it has no server. `draining`: the server has its answers to end, and the next one loads.
    """

    path: str
    load_seconds: float
    state: Literal["none", "loading", "ready", "draining"] = "none"
    _running: int = field(default=0, init=False)
    _answered: int = field(default=0, init=False)

    # The load balancer.

    async def handle(self, request: web.Request) -> web.StreamResponse:
        path = request.path.removeprefix(self.path) if request.path.startswith(f"{self.path}/") else ""
        if not f"{path}/".startswith(tuple(f"{forwarded}/" for forwarded in FORWARDED)):
            return web.Response(status=404, headers=_BALANCER)
        if self.state != "ready":
            return _page("503 Service Temporarily Unavailable", 503)
        return await super().handle(request)

    # The server.

    def server_application(self) -> web.Application:
        """Return the server itself, as Prometheus and the probes see it. While there is none, connections are closed."""
        app = web.Application(client_max_size=self.max_body_bytes)
        app.router.add_get("/health", self._health)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_route("*", "/{path:.*}", self._directly)
        return app

    async def answer(self, request: web.Request, call: ChatRequest, headers: Mapping[str, str]) -> web.StreamResponse:
        fault = self.faults.next()
        if fault == "draining":
            self.drain()
        self._running += 1
        try:
            response = await self.answer_with(fault, request, call, headers)
            if request.transport is not None and not request.transport.is_closing():  # else it was cut
                self._answered += 1
            return response
        except CutStream:  # it was killed before the head of its answer
            return _page("502 Bad Gateway", 502)
        finally:
            self._running -= 1
            if fault == "killed":
                self.kill()

    def refusal(self, call: ChatRequest, fault: FaultKind | None) -> ChatRefused | web.Response | None:
        return ChatRefused(_FULL) if fault == "full" else super().refusal(call, fault)

    async def _directly(self, request: web.Request) -> web.StreamResponse:
        return await super().handle(request) if self._listens(request) else web.Response()

    async def _health(self, request: web.Request) -> web.Response:
        self._listens(request)
        return web.Response()

    async def _metrics(self, request: web.Request) -> web.Response:
        self._listens(request)
        text = "".join(self._metric(*metric) for metric in self._measured())
        return web.Response(body=text.encode(), headers={"content-type": "text/plain; version=0.0.4; charset=utf-8"})

    def _listens(self, request: web.Request) -> bool:
        """Whether there is a server. Without one, the connection is closed: nobody listens."""
        listens = self.state in ("ready", "draining")
        if not listens:
            abort(request)
        return listens

    def _measured(self) -> list[tuple[str, str, str, float]]:
        return [
            ("vllm:num_requests_running", "gauge", "Number of requests in model execution batches.", self._running),
            ("vllm:num_requests_waiting", "gauge", "Number of requests waiting to be processed.", 0),
            ("vllm:kv_cache_usage_perc", "gauge", "KV-cache usage. 1 means 100 percent usage.", self._running / MAX_NUM_SEQS),
            ("vllm:request_success_total", "counter", "Count of successfully processed requests.", self._answered),
        ]

    def _metric(self, name: str, kind: str, text: str, value: float) -> str:
        model = next(iter(self.models), "")
        return f'# HELP {name} {text}\n# TYPE {name} {kind}\n{name}{{engine="0",model_name="{model}"}} {float(value)}\n'

    # How many servers there are.

    async def wake_on_demand(self, depth: Callable[[], Awaitable[int]]) -> None:
        """Start a server when there is none and the queue holds a message, as KEDA would. `depth` is how many it holds."""
        while True:
            if self.state == "none" and await depth():
                self.load()
            await asyncio.sleep(POLLING_SECONDS)

    def load(self) -> None:
        """Start a server."""
        self.state = "loading"
        self._after(self.load_seconds, self._loaded)

    def kill(self) -> None:
        """End the server at once, with all its answers. The next one loads."""
        if self.state in ("ready", "draining"):
            self._end(*self._answering)
            self._answered = 0
            self.load()

    def drain(self) -> None:
        """Let the server end what it answers, while the next one loads."""
        if self.state == "ready":
            self.state = "draining"
            self._after(DRAIN_SECONDS, self._end, *self._answering)
            self._after(self.load_seconds, self._loaded)

    def _loaded(self) -> None:
        self.state = "ready"

    def _end(self, *answers: "asyncio.Task[web.StreamResponse]") -> None:
        for answer in answers:
            answer.cancel()

    def _after(self, seconds: float, function: Callable[..., None], *arguments: "asyncio.Task[web.StreamResponse]") -> None:
        asyncio.get_running_loop().call_later(seconds, function, *arguments)


def _page(title: str, status: int) -> web.Response:
    response = html_page(title, status)
    response.headers.update(_BALANCER)
    return response
