"""What a deployment's gateway is made of."""

import subprocess
import sys

import pytest

from llm_functions.compose import providers
from llm_gateway.http.client import HttpClient
from llm_gateway.routes import Endpoint


def test_a_provider_of_an_unknown_protocol_stops_the_start() -> None:
    environ = {"AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    endpoints = [Endpoint(name="p", type="gopher", base_url="https://p.example.com")]
    with pytest.raises(ValueError, match="provider 'p' must be one of openai_compatible, anthropic, not 'gopher'"):
        providers(endpoints, HttpClient(), environ)


OF_RETRIEVAL = {f"llm_gateway.{name}" for name in ("retrieving_router", "stages.knowledge_base", "stages.passages")} | {
    "llm_functions.api_formats.citations"
}
OF_THE_CACHE = {"llm_gateway.caching_router", "llm_gateway.stages.cache", "llm_gateway.stages.journal"}


@pytest.mark.parametrize("cached", [False, True], ids=["off", "on"])
def test_the_cache_is_loaded_where_it_is_on(cached: bool) -> None:
    """When the function starts, and for a request."""
    code = f"""if True:
        import asyncio, sys
        from llm_functions.compose import gateway_of
        from llm_functions.http import application
        from llm_gateway.answer_cache import AnswerCache
        from llm_gateway.http.client import HttpClient
        from llm_gateway.identity.caller import ANONYMOUS
        from llm_gateway.pipeline import answer
        from llm_gateway.request import ChatRequest, Message, Sampling
        from llm_gateway.routes import Alias, Routes, Target

        async def main():
            target = Target("mock/m", "mock", "m", 100, 1000, ("max_tokens", "temperature"))
            environ = {{"AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}}
            environ |= {{"CACHE_TABLE": "t", "AWS_ENDPOINT_URL_DYNAMODB": "http://127.0.0.1:9"}}
            async with HttpClient() as client:
                routes = Routes((Alias("m", (target,)),), cache=AnswerCache(60) if {cached} else None)
                request = ChatRequest((Message("user", "Hi"),), sampling=Sampling(temperature=0))
                deadline = asyncio.get_running_loop().time() + 30
                async for _ in answer(gateway_of(routes, client, environ), request, ANONYMOUS, "r", deadline):
                    pass

        asyncio.run(main())
        print(*sys.modules)
    """
    loaded = set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())
    assert loaded & OF_THE_CACHE == (OF_THE_CACHE if cached else set())
    assert loaded & OF_RETRIEVAL == set()  # which is off
