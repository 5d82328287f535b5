"""A pool of vLLM servers as the local run plays it: what its load balancer and its server answer, by their state."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from aiohttp.test_utils import TestServer

from pulumi_llm_local.upstreams.fault import Fault, FaultSchedule
from pulumi_llm_local.upstreams.model import ModelTraits
from pulumi_llm_local.upstreams.openai.pool import VllmPool
from pulumi_llm_local.upstreams.stand_in_model import StandInModel

HELLO = {"model": "qwen", "messages": [{"role": "user", "content": "Hello"}]}
CHAT = "/qwen/v1/chat/completions"


class Pool:
    """The pool, and clients of its load balancer and of its server."""

    def __init__(self, pool: VllmPool, balancer: httpx.AsyncClient, server: httpx.AsyncClient) -> None:
        self.pool, self.balancer, self.server = pool, balancer, server

    async def chat(self, **more: Any) -> httpx.Response:
        return await self.balancer.post(CHAT, json={**HELLO, **more})

    async def loaded(self) -> None:
        while not await self.answers():
            pass

    async def answers(self) -> bool:
        """Whether the load balancer has a server."""
        return (await self.balancer.get("/qwen/v1/models")).status_code == 200


@asynccontextmanager
async def serving(*faults: Fault, state: Any = "ready", load_seconds: float = 0.0, model: Any = None) -> AsyncIterator[Pool]:
    pool = VllmPool(
        models={"qwen": ModelTraits(frozenset({"max_tokens"}), context_tokens=1000)},
        model=model or StandInModel(token_delay=0.005),
        faults=FaultSchedule(faults, "qwen"),
        flavour="vllm",
        key=None,
        funded=True,
        keep_alive_s=None,
        path="/qwen",
        load_seconds=load_seconds,
        state=state,
    )
    async with (
        TestServer(pool.application()) as balancer,
        TestServer(pool.server_application()) as server,
        httpx.AsyncClient(base_url=str(balancer.make_url("/")), timeout=60) as by_balancer,
        httpx.AsyncClient(base_url=str(server.make_url("/")), timeout=60) as direct,
    ):
        yield Pool(pool, by_balancer, direct)


async def test_ready_it_answers_and_tells_its_state() -> None:
    async with serving() as pool:
        assert (await pool.chat()).json()["choices"][0]["finish_reason"] == "stop"
        assert (await pool.server.get("/health")).status_code == 200
        metrics = (await pool.server.get("/metrics")).text
        assert 'vllm:num_requests_running{engine="0",model_name="qwen"} 0.0\n' in metrics
        assert 'vllm:request_success_total{engine="0",model_name="qwen"} 1.0\n' in metrics
        assert "# TYPE vllm:num_requests_waiting gauge\n" in metrics and "vllm:kv_cache_usage_perc{" in metrics
        assert (await pool.server.get("/v1/models")).json()["data"][0]["id"] == "qwen"


@pytest.mark.parametrize(
    "path", ["/qwen/metrics", "/qwen/health", "/v1/chat/completions", "/other/v1/models", "/qwen/v1/pause"]
)
async def test_the_load_balancer_forwards_only_the_listed_paths(path: str) -> None:
    async with serving() as pool:
        response = await pool.balancer.get(path)
        assert (response.status_code, response.headers["server"]) == (404, "awselb/2.0")


@pytest.mark.parametrize("state", ["none", "loading"])
async def test_without_a_server_the_load_balancer_answers(state: str) -> None:
    async with serving(state=state) as pool:
        response = await pool.chat()
        assert (response.status_code, response.headers["server"]) == (503, "awselb/2.0")
        assert response.headers["content-type"].startswith("text/html")
        for path in ("/health", "/metrics", "/v1/models"):
            with pytest.raises(httpx.RemoteProtocolError):
                await pool.server.get(path)


async def test_a_message_in_the_queue_wakes_it() -> None:
    depths = [0, 0, 1]

    async def depth() -> int:
        return depths.pop(0) if len(depths) > 1 else depths[0]

    async with serving(state="none") as pool:
        watching = asyncio.ensure_future(pool.pool.wake_on_demand(depth))
        await pool.loaded()
        watching.cancel()
        assert (await pool.chat()).status_code == 200


async def test_full_it_refuses_in_its_own_words() -> None:
    async with serving(Fault("full")) as pool:
        response = await pool.chat(stream=True)
        assert (response.status_code, response.json()["error"]["type"]) == (503, "ServiceUnavailableError")
        assert (await pool.server.get("/health")).status_code == 200


@pytest.mark.parametrize("stream", [False, True])
async def test_killed_it_cuts_all_its_answers_and_the_next_one_loads(stream: bool) -> None:
    async with serving(Fault("killed", 0.5), load_seconds=0.05) as pool:
        first, second = await asyncio.gather(pool.chat(stream=True), pool.chat(stream=stream), return_exceptions=True)
        assert isinstance(first, httpx.RemoteProtocolError)
        assert isinstance(second, httpx.RemoteProtocolError) if stream else second.status_code == 502  # type: ignore[union-attr]
        assert (await pool.chat()).status_code == 503
        await pool.loaded()
        assert (await pool.chat()).status_code == 200
        metrics = (await pool.server.get("/metrics")).text
        assert 'vllm:num_requests_running{engine="0",model_name="qwen"} 0.0\n' in metrics
        assert 'vllm:request_success_total{engine="0",model_name="qwen"} 1.0\n' in metrics, "the new server's own"


async def test_draining_it_ends_what_has_begun_and_takes_nothing_new() -> None:
    async with serving(Fault("draining", 0.5), load_seconds=60) as pool:
        assert (await pool.chat()).status_code == 200
        ending = asyncio.ensure_future(pool.chat(stream=True))
        while await pool.answers():
            pass
        assert (await pool.chat()).status_code == 503
        assert (await ending).text.endswith("data: [DONE]\n\n")
        assert (await pool.server.get("/health")).status_code == 200
