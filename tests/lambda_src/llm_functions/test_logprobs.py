"""Log probabilities through the openai SDK, in front of the local OpenAI."""

import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import openai
import pytest

from llm_functions.api_formats.openai_chat import LogprobsRenderer
from llm_functions.compose import gateway_of
from llm_functions.http.application import Application
from llm_gateway.events import Citation, Delta, Done, Event, Logprobs, Start, Usage
from llm_gateway.http.client import HttpClient
from llm_gateway.routes import Alias, Endpoint, Routes, Target
from pulumi_llm_local.upstreams.model import ModelTraits
from pulumi_llm_local.upstreams.openai.app import create_app
from pulumi_llm_local.upstreams.stand_in_model import StandInModel
from support.gateway_service import ORIGIN, PATIENCE, Service, serve
from support.local_bedrock import KEYS, REGION
from support.web_app import listening

ACCEPTS: Any = ("max_tokens", "stop", "system", "tools", "stream_tools", "logprobs")
HELLO: Any = [{"role": "user", "content": "Hello, who is there?"}]


@contextlib.asynccontextmanager
async def gateway() -> AsyncIterator[Service]:
    async with contextlib.AsyncExitStack() as stack:
        model = ModelTraits(frozenset(("max_tokens", "stop", "system", "tools")))
        app = create_app(flavour="vllm", models={"m": model}, model=StandInModel())
        url = await stack.enter_async_context(listening(app))
        target = Target("own/m", "own", "m", max_output_tokens=4000, context_tokens=100_000, accepts=ACCEPTS)
        routes = Routes((Alias("m", (target,), retries=0),), (Endpoint("own", "openai_compatible", base_url=f"{url}/v1"),))
        client = HttpClient()
        stack.push_async_callback(client.close)
        environ = {
            "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": KEYS.access_key,
            "AWS_SECRET_ACCESS_KEY": KEYS.secret_key,
            "AUTHORIZATION": "none",
            "CORS_ALLOW_ORIGIN": ORIGIN,
        }
        address = await stack.enter_async_context(serve(Application(gateway_of(routes, client, environ), environ)))
        http = await stack.enter_async_context(httpx.AsyncClient(base_url=address, trust_env=False, timeout=PATIENCE))
        yield Service(address, http, stack)


def tokens(logprobs: Any) -> str:
    assert all(token.logprob < 0 and token.bytes == list(token.token.encode()) for token in logprobs.content)
    return "".join(token.token for token in logprobs.content)


async def test_whole_and_streamed_answers_have_those_that_are_asked_for() -> None:
    async with gateway() as service:
        chats = service.openai().chat.completions
        whole = await chats.create(model="m", messages=HELLO, logprobs=True, top_logprobs=2)
        text, told = whole.choices[0].message.content, whole.choices[0].logprobs
        assert text and told and told.content
        assert tokens(told) == text and {len(token.top_logprobs) for token in told.content} == {2}
        async with chats.stream(model="m", messages=HELLO, logprobs=True) as stream:
            chunks = [event.chunk async for event in stream if event.type == "chunk"]
            final = (await stream.get_final_completion()).choices[0]
        assert final.message.content == text and final.logprobs is not None and tokens(final.logprobs) == text
        spoken = [chunk.choices[0] for chunk in chunks if chunk.choices and chunk.choices[0].delta.content]
        assert spoken and all(part.logprobs and tokens(part.logprobs) == part.delta.content for part in spoken)


@pytest.mark.parametrize("asked", [{}, {"logprobs": False, "top_logprobs": 0}])
async def test_an_answer_has_none_unasked(asked: Any) -> None:
    async with gateway() as service:
        answer = await service.openai().chat.completions.create(model="m", messages=HELLO, **asked)
        assert answer.choices[0].message.content and answer.choices[0].logprobs is None


async def test_other_formats_refuse_them_by_name() -> None:
    async with gateway() as service:
        client = service.openai()
        with pytest.raises(openai.BadRequestError, match="logprobs: is not possible in this format"):
            await client.completions.create(model="m", prompt="Hi", logprobs=2)
        with pytest.raises(openai.BadRequestError, match=r"include: .* is not possible in this format"):
            await client.responses.create(model="m", input="Hi", include=["message.output_text.logprobs"])


def test_passages_that_are_cited_are_told_beside_them() -> None:
    start = Start("r", "m", "own/m", 1, 0.0, 0.0, citations=(Citation(1, "s3://b/a.md", "a.md", "A."),))
    batches: list[list[Event]] = [
        *([start], [Delta("See "), Logprobs([{"token": "See ", "logprob": -0.1}])]),
        *([Delta("[1"), Delta("]."), Logprobs([{"token": "].", "logprob": -0.1}])], [Usage(1, 1), Done("end_turn")]),
    ]
    renderer = LogprobsRenderer("r", False)
    chunks = [json.loads(line[6:]) for batch in batches for line in renderer.events(batch).decode().split("\n\n")[:-1]]
    (annotation,) = chunks[-2]["choices"][0]["delta"]["annotations"]
    assert annotation["url_citation"] == {"start_index": 4, "end_index": 7, "url": "s3://b/a.md", "title": "a.md"}
