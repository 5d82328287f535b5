"""Anthropic's Messages API as the local run plays it."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from aiohttp.test_utils import TestServer

from pulumi_llm_local.upstreams import fault
from pulumi_llm_local.upstreams.anthropic.app import create_app
from pulumi_llm_local.upstreams.fault import Fault, parse_fault
from pulumi_llm_local.upstreams.model import GenerationRequest, ModelTraits, Piece, TextDelta, UpstreamError
from pulumi_llm_local.upstreams.stand_in_model import StandInModel
from pulumi_llm_local.upstreams.tokens import count_tokens

ALL = frozenset({"max_tokens", "temperature", "top_p", "stop", "system", "tools"})
MODELS = {
    "plain": ModelTraits(ALL, exclusive=frozenset({"temperature", "top_p"})),
    "thinker": ModelTraits(ALL, reasoning=True),
    "small": ModelTraits(ALL, context_tokens=20),
}
HELLO = [{"role": "user", "content": "Hello, who is there?"}]
TOOL = {
    "name": "get_weather",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
THINKING = {"model": "thinker", "max_tokens": 2000, "thinking": {"type": "enabled", "budget_tokens": 1024}}
HEADERS = {"x-api-key": "sk-ant-local", "anthropic-version": "2023-06-01"}


@asynccontextmanager
async def serving(*faults: Fault, **arguments: Any) -> AsyncIterator[str]:
    """The base URL of an upstream."""
    app = create_app(**{"models": MODELS, "model": StandInModel(), "faults": faults, **arguments})
    async with TestServer(app) as server:
        yield str(server.make_url("")).rstrip("/")


async def post(url: str, headers: Any = HEADERS, timeout: Any = 60, **change: Any) -> httpx.Response:
    body = {"model": "plain", "max_tokens": 500, "messages": HELLO, **change}
    async with httpx.AsyncClient(timeout=timeout) as http:
        content = json.dumps({name: value for name, value in body.items() if value is not None})
        return await http.post(f"{url}/v1/messages", content=content, headers=headers)


def events(answer: httpx.Response) -> list[dict[str, Any]]:
    assert answer.status_code == 200 and answer.headers["content-type"].startswith("text/event-stream")
    found: list[dict[str, Any]] = []
    for frame in answer.text.split("\n\n")[:-1]:
        event, data = frame.split("\n")
        found.append(json.loads(data.removeprefix("data: ")))
        assert event == f"event: {found[-1]['type']}"
    return found


DELTAS = {
    "text": "text_delta",
    "thinking": "thinking_delta",
    "signature": "signature_delta",
    "partial_json": "input_json_delta",
}


def blocks(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The content, put together as Anthropic's client does."""
    content: list[dict[str, Any]] = []
    for event in found:
        if event["type"] == "content_block_start":
            assert event["index"] == len(content)
            content.append(dict(event["content_block"]))
        elif event["type"] == "content_block_delta":
            assert event["index"] == len(content) - 1
            ((field, piece),) = ((name, piece) for name, piece in event["delta"].items() if name != "type")
            assert event["delta"]["type"] == DELTAS[field]
            content[-1][field] = content[-1].get(field, "") + piece
    for block in content:
        if "partial_json" in block:
            block["input"] = json.loads(block.pop("partial_json"))
    return content


# Answers.


@pytest.mark.parametrize(
    "given", [{}, THINKING, {"tools": [TOOL]}, {"max_tokens": 7}, {"stop_sequences": ["never", "stand-in"]}]
)
async def test_a_stream_and_a_whole_answer_say_the_same(given: dict[str, Any]) -> None:
    async with serving() as url:
        whole = (await post(url, **given)).json()
        found = events(await post(url, **given, stream=True))
    assert [found[0]["type"], found[1]["type"], found[2]["type"]] == ["message_start", "content_block_start", "ping"]
    assert [event["type"] for event in found[-3:]] == ["content_block_stop", "message_delta", "message_stop"]
    assert found[0]["message"] == {**whole, "id": found[0]["message"]["id"], "content": [], "stop_reason": None} | {
        "stop_sequence": None,
        "usage": {**whole["usage"], "output_tokens": 1},
    }
    assert blocks(found) == whole["content"]
    assert found[-2]["delta"] == {"stop_reason": whole["stop_reason"], "stop_sequence": whole["stop_sequence"]}
    assert found[-2]["usage"]["output_tokens"] == whole["usage"]["output_tokens"]
    assert (whole["type"], whole["role"], whole["usage"]["service_tier"]) == ("message", "assistant", "standard")


async def test_what_an_answer_says() -> None:
    async with serving() as url:
        plain = (await post(url, system=[{"type": "text", "text": "Be brief."}])).json()
        thought = (await post(url, **THINKING)).json()
        short = (await post(url, max_tokens=7)).json()
        stopped = (await post(url, stop_sequences=["never", "stand-in"])).json()
    assert plain["stop_reason"] == "end_turn" and "Hello, who is there?" in plain["content"][0]["text"]
    assert plain["usage"]["input_tokens"] == 9
    assert [block["type"] for block in thought["content"]] == ["thinking", "text"] and thought["content"][0]["signature"]
    assert (short["stop_reason"], short["usage"]["output_tokens"]) == ("max_tokens", 7)
    assert (stopped["stop_reason"], stopped["stop_sequence"]) == ("stop_sequence", "stand-in")
    assert stopped["content"][0]["text"].endswith("the local ")


@pytest.mark.parametrize("given", [{}, THINKING])
async def test_a_tool_round_trip(given: dict[str, Any]) -> None:
    async with serving() as url:
        called = (await post(url, **given, tools=[TOOL])).json()
        use = called["content"][-1]
        result = {"type": "tool_result", "tool_use_id": use["id"], "content": [{"type": "text", "text": "12 °C"}]}
        turns = [*HELLO, {"role": "assistant", "content": called["content"]}, {"role": "user", "content": [result]}]
        answer = (await post(url, **given, tools=[TOOL], messages=turns)).json()
        silent = (await post(url, **given, tools=[TOOL], tool_choice={"type": "none"})).json()
    assert called["stop_reason"] == "tool_use"
    assert use == {"type": "tool_use", "id": use["id"], "name": "get_weather", "input": {"city": "Hello, who is there?"}}
    assert use["id"].startswith("toolu_")
    assert "12 °C" in answer["content"][-1]["text"]
    assert silent["content"][-1]["type"] == "text"


# Errors.

USE = {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {}}
RESULT = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "x"}]}
IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}
# The change to the request, the error's status and a part of its message.
WRONG: list[tuple[dict[str, Any], int, str]] = [
    ({"max_tokens": None}, 400, "max_tokens: Field required"),
    ({"metadata": {"user_id": "x" * 257}}, 400, "metadata.user_id: String should have at most 256 characters"),
    ({"metadata": {"user_id": "ada@corp.com"}}, 400, "metadata.user_id: user_id appears to contain an email address"),
    ({"metadata": {"user_id": "+43 660 123 45 67"}}, 400, "metadata.user_id: user_id appears to contain a phone number"),
    ({"metadata": {"tenant": "a"}}, 400, "metadata.tenant: Extra inputs are not permitted"),
    ({"max_tokens": 0}, 400, "max_tokens: Input should be greater than or equal to 1"),
    ({"max_tokens": 5000}, 400, "max_tokens: 5000 > 4096, which is the maximum"),
    ({"temperature": 1.5}, 400, "temperature: range: 0..1"),
    ({"temperature": 1, "top_p": 0.5}, 400, "cannot both be specified"),
    ({"top_q": 1}, 400, "top_q: Extra inputs are not permitted"),
    ({"model": "claude-9"}, 404, "model: claude-9"),
    ({"messages": []}, 400, "at least one message is required"),
    ({"messages": [{"role": "system", "content": "x"}]}, 400, "role 'system' is not supported on this model"),
    ({"messages": [{"role": "tool", "content": "x"}]}, 400, 'Unexpected role "tool"'),
    ({"messages": [{"role": "user", "content": ""}]}, 400, "text content blocks must be non-empty"),
    ({"messages": [{"role": "user", "content": [{"type": "video"}]}]}, 400, "does not play the block 'video'"),
    ({"model": "plain", "messages": [{"role": "user", "content": [IMAGE]}]}, 400, "does not support image"),
    ({"messages": [*HELLO, {"role": "assistant", "content": [USE]}, *HELLO]}, 400, "without `tool_result` blocks"),
    ({"messages": [*HELLO, RESULT]}, 400, "unexpected `tool_use_id` found"),
    ({"messages": [*HELLO, *2 * [{"role": "assistant", "content": [USE]}, RESULT]]}, 400, "`tool_use` ids must be unique"),
    ({**THINKING, "messages": [*HELLO, {"role": "assistant", "content": [USE]}, RESULT]}, 400, "Expected `thinking`"),
    ({**THINKING, "model": "plain"}, 400, "does not support thinking"),
    ({**THINKING, "temperature": 0.5}, 400, "may only be set to 1"),
    ({**THINKING, "max_tokens": 1024}, 400, "greater than `thinking.budget_tokens`"),
    ({**THINKING, "tools": [TOOL], "tool_choice": {"type": "any"}}, 400, "Thinking may not be enabled"),
    ({"stop_sequences": [" "]}, 400, "must contain non-whitespace"),
    ({"model": "small", "max_tokens": 15}, 400, "prompt is too long: 6 tokens > 20 maximum"),
]
TYPES = {400: "invalid_request_error", 401: "authentication_error", 404: "not_found_error"}


@pytest.mark.parametrize(("change", "status", "said"), WRONG, ids=lambda value: str(value)[:40])
async def test_a_wrong_request(change: dict[str, Any], status: int, said: str) -> None:
    async with serving() as url:
        answer = await post(url, **change)
    body = answer.json()
    assert answer.status_code == status and said in body["error"]["message"]
    assert body == {
        "type": "error",
        "error": {"type": TYPES[status], "message": body["error"]["message"]},
        "request_id": answer.headers["request-id"],
    }


@pytest.mark.parametrize(
    ("headers", "status", "said"),
    [
        ({}, 401, "x-api-key header is required"),
        ({"x-api-key": "wrong"}, 401, "invalid x-api-key"),
        ({"x-api-key": "sk-right"}, 400, "anthropic-version: header is required"),
        ({"x-api-key": "sk-right", "anthropic-version": "2020-01-01"}, 400, "is not a valid version"),
    ],
)
async def test_wrong_headers(headers: dict[str, str], status: int, said: str) -> None:
    async with serving(key="sk-right") as url:
        answer = await post(url, headers=headers)
    assert (answer.status_code, answer.json()["error"]["type"]) == (status, TYPES[status])
    assert said in answer.json()["error"]["message"]


class Failing:
    async def generate(self, request: GenerationRequest) -> AsyncIterator[Piece]:
        yield TextDelta("one")
        raise UpstreamError(403, "no")


async def test_what_a_model_says_becomes_what_anthropic_says() -> None:
    async with serving(model=Failing()) as url:
        whole, streamed = await post(url), events(await post(url, stream=True))
    assert (whole.status_code, whole.json()["error"]) == (403, {"type": "permission_error", "message": "no"})
    assert streamed[-1]["type"] == "error" and streamed[-1]["error"]["type"] == "permission_error"


# Faults.


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    ("kind", "status", "code", "said"),
    [
        ("throttle", 429, "rate_limit_error", "rate limit"),
        ("not-ready", 529, "overloaded_error", "Overloaded"),
        ("500", 500, "api_error", "Internal server error"),
        ("503", 529, "overloaded_error", "Overloaded"),
        ("bad-key", 401, "authentication_error", "invalid x-api-key"),
        ("context", 400, "invalid_request_error", "prompt is too long: 131073 tokens > 131072 maximum"),
    ],
)
async def test_a_fault_that_refuses(kind: Any, status: int, code: str, said: str, streamed: bool) -> None:
    async with serving(Fault(kind)) as url:
        answer = await post(url, stream=streamed)
    assert (answer.status_code, answer.json()["error"]["type"]) == (status, code)
    assert said in answer.json()["error"]["message"]
    assert ("retry-after" in answer.headers) == (kind == "throttle")
    assert answer.headers["anthropic-ratelimit-requests-limit"] == "50"


async def test_a_fault_within_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fault, "SLOW_FIRST_PIECE_S", 0.1)
    monkeypatch.setattr(fault, "SLOW_PIECE_S", 0.001)

    async def outcome(kind: str, streamed: bool = False) -> httpx.Response:
        async with serving(parse_fault(f"anthropic={kind}")) as url:
            return await post(url, timeout=httpx.Timeout(60, read=0.3) if kind == "stall" else 60, stream=streamed)

    assert (await outcome("slow")).json()["content"]
    for streamed in (False, True):
        with pytest.raises(httpx.ReadTimeout):
            await outcome("stall", streamed)
        with pytest.raises(httpx.RemoteProtocolError):
            await outcome("cut-stream", streamed)
        page = await outcome("html", streamed)
        assert (page.status_code, page.headers["content-type"].partition(";")[0]) == (200, "text/html")
    for streamed in (False, True):
        malformed = await outcome("malformed", streamed)
        assert malformed.status_code == 200
        with pytest.raises(ValueError):
            _ = events(malformed) if streamed else malformed.json()
    failed = await outcome("stream-error")
    assert (failed.status_code, failed.json()["error"]["type"]) == (529, "overloaded_error")
    broken = events(await outcome("stream-error", streamed=True))
    assert broken[-1]["error"] == {"type": "overloaded_error", "message": "Overloaded"} and broken[-1]["request_id"]
    refused = (await outcome("refuse")).json()
    assert (refused["stop_reason"], refused["stop_details"]["type"]) == ("refusal", "refusal")
    assert refused["usage"]["input_tokens"] == 6 and count_tokens(refused["content"][0]["text"]) == 3
    assert events(await outcome("refuse", streamed=True))[-2]["delta"]["stop_reason"] == "refusal"


async def test_a_fault_for_another_upstream_does_nothing() -> None:
    async with serving(parse_fault("bedrock=500"), name="claude") as url:
        assert (await post(url)).status_code == 200
    async with serving(parse_fault("claude=500"), name="claude") as url:
        assert (await post(url)).status_code == 500
