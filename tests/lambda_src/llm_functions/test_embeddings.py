"""POST /v1/embeddings through the openai SDK and by hand, in front of the local Bedrock and the local OpenAI."""

import base64
import contextlib
import json
import re
import struct
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx
import openai
import pytest

from llm_functions.compose import gateway_of
from llm_functions.http.application import Application
from llm_gateway.http.client import HttpClient
from llm_gateway.routes import Alias, Endpoint, Routes, Target
from pulumi_llm_local.upstreams.fault import Fault
from pulumi_llm_local.upstreams.model import ModelTraits
from pulumi_llm_local.upstreams.openai.app import create_app
from pulumi_llm_local.upstreams.stand_in_model import StandInModel
from support.gateway_service import ORIGIN, PATIENCE, Service, serve
from support.local_bedrock import KEYS, REGION, running
from support.web_app import listening
from wire import http as wire


def target(model: str, **more: Any) -> Target:
    values: dict[str, Any] = {"provider": "bedrock", "context_tokens": 8192, "max_output_tokens": 0, "kind": "embedding"}
    values |= {"accepts": (), **more}
    return Target(name=f"{values['provider']}/{model}", model=model, **values)


TITAN = target(
    "amazon.titan-embed-text-v2:0",
    api="titan_embed",
    accepts=("dimensions",),
    dimensions=(1024, 512, 256),
    text_characters=50_000,
)
COHERE_3 = target(
    "cohere.embed-english-v3", api="cohere_embed", accepts=("input_type",), dimensions=(1024,), text_characters=2048
)
COHERE_4 = target(
    "cohere.embed-v4:0", api="cohere_embed", accepts=("dimensions", "input_type"), dimensions=(1536, 1024, 512, 256)
)
OPENAI = target("text-embedding-3-small", provider="openai", accepts=("dimensions", "user"))
CHAT = Target(name="bedrock/chat", provider="bedrock", model="test.all-v1:0", max_output_tokens=1, context_tokens=1, accepts=())
ROUTES = Routes(
    aliases=(
        Alias("chat", (CHAT,), retries=0),
        Alias("titan", (TITAN,), retries=2),
        Alias("cohere3", (COHERE_3,), retries=0),
        Alias("cohere4", (COHERE_4,), retries=0),
        Alias("openai", (OPENAI,), retries=0),
        Alias("both", (TITAN, OPENAI), retries=0),
    ),
    endpoints=(Endpoint("openai", "openai_compatible"),),
)
MODELS = {
    TITAN.model: ModelTraits(frozenset(), embedding="titan_v2"),
    COHERE_3.model: ModelTraits(frozenset(), embedding="cohere_v3"),
    COHERE_4.model: ModelTraits(frozenset(), embedding="cohere_v4"),
}
OPENAI_MODELS = {OPENAI.model: ModelTraits(frozenset(), context_tokens=8192, embedding="openai")}
LENGTHS = {"titan": 1024, "cohere3": 1024, "cohere4": 1536, "openai": 1536}


@contextlib.asynccontextmanager
async def local_gateway(*faults: Fault) -> AsyncIterator[Service]:
    async with contextlib.AsyncExitStack() as stack:
        bedrock = await stack.enter_async_context(running(None, *faults, models=MODELS))
        app = create_app(flavour="openai", models=OPENAI_MODELS, model=StandInModel(), faults=faults)
        url = await stack.enter_async_context(listening(app))
        environ = {
            "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": KEYS.access_key,
            "AWS_SECRET_ACCESS_KEY": KEYS.secret_key,
            "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": bedrock,
            "AUTHORIZATION": "none",
            "CORS_ALLOW_ORIGIN": ORIGIN,
        }
        client = HttpClient()
        stack.push_async_callback(client.close)
        endpoint = Endpoint("openai", "openai_compatible", base_url=f"{url}/v1")
        # The local OpenAI wants any key; no secret holds one here.
        headers = {"authorization": "Bearer sk-any"}
        routes = Routes(ROUTES.aliases, (endpoint,))
        made = gateway_of(routes, _with_headers(client, headers), environ)
        address = await stack.enter_async_context(serve(Application(made, environ)))
        http = await stack.enter_async_context(httpx.AsyncClient(base_url=address, trust_env=False, timeout=PATIENCE))
        yield Service(address, http, stack)


def _with_headers(client: HttpClient, headers: Mapping[str, str]) -> HttpClient:
    """The client, which sends these to a server that is not AWS."""
    send = client.send

    async def with_them(method: str, url: str, given: Any, body: bytes = b"", **more: Any) -> Any:
        more_headers = list(headers.items()) if "/v1/" in url else []
        return await send(method, url, [*given, *more_headers], body, **more)

    client.send = with_them  # type: ignore[method-assign]
    return client


@pytest.mark.assumes("embeddings")
@pytest.mark.parametrize("model", LENGTHS)
async def test_the_sdk_has_the_vectors_as_base64_and_as_numbers(model: str) -> None:
    texts = ["the cat sat", "a cat sat down", "stock prices fell"]
    async with local_gateway() as service:
        client = service.openai()
        packed = await client.embeddings.create(model=model, input=texts)  # the SDK asks for base64 by itself
        plain = await client.embeddings.create(model=model, input=texts, encoding_format="float")
        one = await client.embeddings.create(model=model, input=texts[0])
    assert packed.model == model and packed.object == "list"
    assert [item.index for item in packed.data] == [0, 1, 2]
    assert {len(item.embedding) for item in packed.data} == {LENGTHS[model]}
    for first, second in zip(packed.data, plain.data, strict=True):
        assert first.embedding == pytest.approx(second.embedding, abs=1e-6)
    assert one.data[0].embedding == pytest.approx(plain.data[0].embedding, abs=1e-6)
    near, far = (sum(a * b for a, b in zip(plain.data[0].embedding, plain.data[i].embedding, strict=True)) for i in (1, 2))
    assert near > far
    assert packed.usage.prompt_tokens == packed.usage.total_tokens == 10 and one.usage.prompt_tokens == 3


@pytest.mark.parametrize(("model", "count"), [("titan", 40), ("cohere3", 200), ("openai", 300)])
async def test_texts_beyond_a_providers_bound_are_several_calls_in_their_order(model: str, count: int) -> None:
    texts = [f"text number{n}" for n in range(count)]
    async with local_gateway() as service:
        client = service.openai()
        many = await client.embeddings.create(model=model, input=texts)
        last = await client.embeddings.create(model=model, input=texts[-1])
    assert len(many.data) == count and many.data[-1].embedding == last.data[0].embedding
    assert many.usage.prompt_tokens == 2 * count


@pytest.mark.parametrize("model", ["titan", "cohere4", "openai"])
async def test_dimensions_are_the_models(model: str) -> None:
    async with local_gateway() as service:
        found = await service.openai().embeddings.create(model=model, input="a", dimensions=256)
    assert len(found.data[0].embedding) == 256


async def test_an_input_type_goes_to_cohere_and_is_no_matter_elsewhere() -> None:
    async with local_gateway() as service:
        for model in LENGTHS:
            body = {"model": model, "input": "a", "user": "u" * 65, "input_type": "search_query"}
            response = await service.post("/v1/embeddings", body)
            assert response.status_code == 200
            known = {"titan": "input_type, user", "cohere3": "user", "cohere4": "user", "openai": "input_type"}
            assert response.headers["x-llm-dropped"] == known[model]


REFUSED: dict[str, tuple[dict[str, Any], str, str]] = {
    "no input": ({"input": None}, "input", "must be a string or a list of strings, it is required"),
    "an empty text": ({"input": ""}, "input", "must not be empty"),
    "an empty list": ({"input": []}, "input", "must hold at least one text"),
    "an empty text in a list": ({"input": ["a", ""]}, "input[1]", "must not be empty"),
    "a number in a list": ({"input": ["a", 1]}, "input[1]", "must be a string, not a number"),
    "tokens": ({"input": [1, 2]}, "input", "set check_embedding_ctx_length=False"),
    "lists of tokens": ({"input": [[1, 2]]}, "input", "set check_embedding_ctx_length=False"),
    "too many": ({"input": ["a"] * 2049}, "input", "may hold at most 2,048 texts, not 2,049"),
    "an encoding": ({"encoding_format": "int8"}, "encoding_format", "must be 'float' or 'base64', not 'int8'"),
    "an input type": ({"input_type": "query"}, "input_type", "must be search_document, search_query,"),
    "a length": ({"dimensions": 300}, "dimensions", "titan takes 256, 512, 1024, not 300"),
    "a length of v3": ({"model": "cohere3", "dimensions": 512}, "dimensions", "does not take it, its vectors have 1024"),
    "a long text": ({"input": "x" * 50_001}, "input", "titan takes at most 50,000 characters a text, not 50,001; split it"),
    "a long text of v3": ({"model": "cohere3", "input": ["a", "x" * 2049]}, "input[1]", "at most 2,048 characters"),
    "an unknown field": ({"dimension": 1}, "dimension", "is not known; did you mean 'dimensions'?"),
    "a model that chats": ({"model": "chat"}, "model", "'chat' is for chats, so call POST /v1/chat/completions with it"),
}


async def test_what_is_wrong_is_named() -> None:
    async with local_gateway() as service:
        for name, (fields, param, text) in REFUSED.items():
            response = await service.post("/v1/embeddings", {"model": "titan", "input": "a", **fields})
            assert response.status_code == 400, (name, response.text)
            error = service.error_of(response)
            assert error["param"] == param and text in error["message"], (name, error)
        response = await service.post(
            "/v1/chat/completions", {"model": "titan", "messages": [{"role": "user", "content": "a"}]}
        )
        error = service.error_of(response)
        assert (response.status_code, error["code"], error["param"]) == (400, "wrong_kind_of_model", "model")
        assert error["message"] == (
            "model: 'titan' is for embeddings, so call POST /v1/embeddings with it; for chats choose chat"
        )
        unknown = await service.post("/v1/embeddings", {"model": "nope", "input": "a"})
        assert (unknown.status_code, service.error_of(unknown)["code"]) == (404, "model_not_found")


async def test_the_list_of_models_tells_what_they_are_for() -> None:
    async with local_gateway() as service:
        models = {each["id"]: each for each in (await service.http.get("/v1/models")).json()["data"]}
    assert (models["chat"]["kind"], models["titan"]["kind"]) == ("chat", "embedding")
    assert models["titan"]["dimensions"] == [1024, 512, 256] and models["titan"]["accepts"] == ["dimensions"]
    assert "dimensions" not in models["chat"]


async def test_a_call_that_is_throttled_goes_on_where_it_stood(capfd: pytest.CaptureFixture[str]) -> None:
    """A tenth of Titan's calls fails: twice asked again, each time for what is missing, all 20 texts are there."""
    async with local_gateway(Fault("throttle", 0.1, "bedrock")) as service:
        found = await service.openai().embeddings.create(model="titan", input=[f"text{n}" for n in range(20)])
    assert len(found.data) == 20
    record = next(json.loads(line) for line in reversed(capfd.readouterr().out.splitlines()) if "gen_ai" in line)
    assert record["gen_ai.operation.name"] == record["message"] == "embeddings"
    assert record["failed_attempts"] and record["gen_ai.usage.input_tokens"] == 20


async def test_a_server_that_takes_fewer_texts_is_asked_in_parts(gateway: Any, fake: Any) -> None:
    """text-embeddings-inference takes 32 by default. What it has said is known in the next request."""
    counts: list[int] = []

    async def server(peer: Any) -> None:
        while True:
            texts = (await peer.request())["input"]
            counts.append(len(texts))
            data = [{"embedding": [float(text)], "index": index} for index, text in enumerate(texts)]
            answer: Any = {"data": data, "usage": {"prompt_tokens": len(texts)}}
            if len(texts) > 32:
                message = f"batch size {len(texts)} > maximum allowed batch size 32"
                answer = {"message": message, "code": 413, "type": "Validation"}
            await peer.send(wire.response(413 if len(texts) > 32 else 200, answer))

    upstream = await fake(server)
    small = target("bge-m3", provider="tei")
    routes = Routes((Alias("small", (small,), retries=0),), (Endpoint("tei", "openai_compatible", base_url=upstream.url),))
    service = await gateway(routes=routes)
    for expected in ([70, 6, 32, 32], [6, 32, 32]):
        counts.clear()
        body = {"model": "small", "input": [str(n) for n in range(70)], "encoding_format": "float"}
        found = (await service.post("/v1/embeddings", body)).json()
        assert [each["embedding"] for each in found["data"]] == [[float(n)] for n in range(70)]
        assert sorted(counts, key=lambda count: (count <= 32, count)) == expected
        assert found["usage"]["prompt_tokens"] == 70


async def test_more_texts_than_the_time_is_enough_for_are_refused_before_they_cost_anything() -> None:
    """Titan is asked for each text by itself, Cohere for 96 at once."""
    async with local_gateway() as service:
        for model, count, refused in (("titan", 2048, True), ("titan", 40, False), ("cohere3", 2048, False)):
            deadline = int((time.time() + 61) * 1000)  # of the invocation
            response = await service.post(
                "/v1/embeddings",
                {"model": model, "input": ["a"] * count},
                {"x-amzn-lambda-context": json.dumps({"deadline": deadline})},
            )
            assert response.status_code == (400 if refused else 200)
            if refused:
                error = service.error_of(response)
                assert (error["code"], error["param"]) == ("invalid_value", "input")
                most = re.search(r"titan\S+ has time for (\d+) texts, not 2048; send them in several calls", error["message"])
                assert most and 16 <= int(most[1]) <= 1920


async def test_another_target_answers_where_one_fails() -> None:
    async with local_gateway(Fault("503", 1, "bedrock")) as service:
        response = await service.post("/v1/embeddings", {"model": "both", "input": "a", "encoding_format": "base64"})
    assert response.status_code == 200 and response.headers["x-llm-target"] == "openai/text-embedding-3-small"
    packed = base64.b64decode(response.json()["data"][0]["embedding"])
    assert len(struct.unpack(f"<{len(packed) // 4}f", packed)) == 1536


FAILURES = {
    "throttle": (429, "upstream_throttled"),
    "500": (502, "upstream_failed"),
    "503": (503, "upstream_unavailable"),
    "bad-key": (502, "upstream_misconfigured"),
    "malformed": (502, "upstream_failed"),
    "cut-stream": (502, "upstream_failed"),
    "html": (502, "upstream_failed"),
}


@pytest.mark.parametrize("kind", FAILURES)
async def test_each_failure_has_its_error(kind: Any) -> None:
    async with local_gateway(Fault(kind)) as service:
        for model in ("cohere4", "openai"):
            with pytest.raises(openai.APIStatusError) as error:
                await service.openai().embeddings.create(model=model, input=["a", "b"])
            assert (error.value.status_code, error.value.code) == FAILURES[kind], model
