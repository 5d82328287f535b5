"""The limits of callers as a client sees them over HTTP: what is left, and what a refusal says in each format's words."""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest

from lambda_src.conftest import ROUTES
from llm_gateway.limits import CallerLimits, Limit, Limits
from llm_gateway.routes import Alias, Routes, Target
from support.clock import Now
from support.gateway_service import Service

pytestmark = [pytest.mark.timeout(60), pytest.mark.usefixtures("dynamodb")]

Gateway = Callable[..., Awaitable[Service]]
(MOCK,) = (each for each in ROUTES.aliases if each.name == "mock")
VECTORS = Alias(
    "vectors",
    (Target("bedrock/v", "bedrock", "amazon.titan-embed-text-v2:0", 0, 8192, (), kind="embedding", api="titan_embed"),),
)


def limited(tokens: int) -> Routes:
    limits = CallerLimits(others=Limits((Limit("tokens", "day", tokens),)))
    return msgspec.structs.replace(ROUTES, aliases=(MOCK, VECTORS), limits=limits)


SAID = [{"role": "user", "content": "Hi"}]
# How each operation is asked for a whole answer.
ASKED: dict[str, tuple[str, dict[str, Any]]] = {
    "chat": ("/chat", {"message": "Hi", "max_tokens": 500}),
    "completions": ("/v1/completions", {"model": "mock", "prompt": "Hi", "max_tokens": 500}),
    "chat completions": ("/v1/chat/completions", {"model": "mock", "messages": SAID, "max_tokens": 500}),
    "responses": ("/v1/responses", {"model": "mock", "input": "Hi", "max_output_tokens": 500}),
    "messages": ("/v1/messages", {"model": "mock", "messages": SAID, "max_tokens": 500}),
}


@pytest.mark.parametrize(("path", "body"), ASKED.values(), ids=ASKED)
async def test_a_whole_answer_says_what_the_next_call_finds(
    gateway: Gateway, dynamodb_url: str, now: Now, path: str, body: dict[str, Any]
) -> None:
    service = await gateway(routes=limited(10_000), limits=dynamodb_url, now=now)
    for _ in range(2):
        answer = await service.post(path, body)
        assert answer.status_code == 200, answer.text
        (limit,) = (await service.http.get("/usage")).json()["caller"]["limits"]
        assert answer.headers["x-ratelimit-remaining-tokens"] == str(limit["remaining"])
    assert limit["used"] < 500  # not what was reserved


# What a page may read of any answer, what is the transport's, and what is for browsers and proxies.
# https://fetch.spec.whatwg.org/#cors-safelisted-response-header-name
NOT_EXPOSED = {"cache-control", "content-length", "content-type", "date", "x-content-type-options", "vary"}


@pytest.mark.parametrize(("path", "body"), ASKED.values(), ids=ASKED)
async def test_a_page_of_another_origin_may_read_all_that_an_answer_says(
    gateway: Gateway, dynamodb_url: str, path: str, body: dict[str, Any]
) -> None:
    service = await gateway(routes=limited(10_000), limits=dynamodb_url)
    for asked in (body, {**body, "max_tokens": 0, "max_output_tokens": 0}):
        answer = await service.post(path, asked)
        said = {name for name in answer.headers if not name.startswith("access-control-")} - NOT_EXPOSED
        exposed = set(answer.headers["access-control-expose-headers"].split(", "))
        assert said <= exposed, said - exposed


async def test_the_head_of_a_stream_says_what_the_call_may_leave(gateway: Gateway, dynamodb_url: str, now: Now) -> None:
    service = await gateway(routes=limited(10_000), limits=dynamodb_url, now=now)
    body = {"message": "Hi", "max_tokens": 500}
    async with service.streaming("/chat/stream", body) as (answer, events):
        (start,) = [event.data async for event in events if event.name == "start"]
    assert int(answer.headers["x-ratelimit-remaining-tokens"]) <= 10_000 - 500
    assert start["rate_limits"]["x-ratelimit-remaining-tokens"] == answer.headers["x-ratelimit-remaining-tokens"]


# A call that reserves more than there is -> what its text tells the caller to change.
LARGE: dict[str, tuple[str, dict[str, Any], str]] = {
    "chat": ("/chat", {"message": "Hi"}, "because no max_tokens was given; shorten the request, or give it a lower max_tokens"),
    "messages": ("/v1/messages", {"model": "mock", "messages": SAID, "max_tokens": 500}, "give it a lower max_tokens"),
    "chat completions": (
        *("/v1/chat/completions", {"model": "mock", "messages": SAID, "max_completion_tokens": 500}),
        "give it a lower max_completion_tokens",
    ),
    "the older name": (
        *("/v1/chat/completions", {"model": "mock", "messages": SAID, "max_tokens": 500}),
        "give it a lower max_tokens",
    ),
    "responses": (
        *("/v1/responses", {"model": "mock", "input": "Hi"}),
        "because no max_output_tokens was given; shorten the request, or give it a lower max_output_tokens",
    ),
    "embeddings": ("/v1/embeddings", {"model": "vectors", "input": ["word " * 400] * 2}, "; embed fewer texts at once"),
}


@pytest.mark.parametrize(("path", "body", "told"), LARGE.values(), ids=LARGE)
async def test_a_refusal_names_the_parameter_that_the_caller_has(
    gateway: Gateway, dynamodb_url: str, now: Now, path: str, body: dict[str, Any], told: str
) -> None:
    service = await gateway(routes=limited(400), limits=dynamodb_url, now=now)
    refused = await service.post(path, body)
    assert refused.status_code == 429 and refused.headers["x-should-retry"] == "false"
    message = service.error_of(refused)["message"]
    assert message.endswith(told)
    others = {"max_tokens", "max_completion_tokens", "max_output_tokens"} - set(told.replace(",", " ").split())
    assert not others & set(message.replace(",", " ").replace(";", " ").split())
