"""OpenAI, DeepSeek and vLLM as the local run plays them, called by the official client and, where it hides them, by bytes."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import openai
import pytest
from aiohttp.test_utils import TestServer

from pulumi_llm_local.upstreams import fault
from pulumi_llm_local.upstreams.fault import Fault, parse_fault
from pulumi_llm_local.upstreams.model import Finish, GenerationRequest, ModelTraits, Piece, TextDelta, UpstreamError
from pulumi_llm_local.upstreams.openai.app import create_app
from pulumi_llm_local.upstreams.stand_in_model import StandInModel
from pulumi_llm_local.upstreams.tokens import count_tokens

ALL = frozenset({"max_tokens", "temperature", "top_p", "stop", "system", "tools"})
MODELS = {
    "plain": ModelTraits(ALL, max_output_tokens=1000),
    "thinker": ModelTraits(ALL, reasoning=True),
    "fixed": ModelTraits(ALL - {"temperature"}),
    "org/small": ModelTraits(ALL, context_tokens=20),
}
FLAVOURS = ["openai", "deepseek", "vllm", "vllm-old"]
LIMIT = {"openai": "max_completion_tokens", "deepseek": "max_tokens", "vllm": "max_tokens", "vllm-old": "max_tokens"}
HELLO = [{"role": "user", "content": "Hello, who is there?"}]
TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
            "required": ["city", "days"],
        },
    },
}


def taking(rules: Any) -> dict[str, Any]:
    """A closed schema with one property."""
    return {"type": "object", "properties": {"a": rules}, "required": ["a"], "additionalProperties": False}


@asynccontextmanager
async def serving(flavour: Any, *faults: Fault, **arguments: Any) -> AsyncIterator[str]:
    """The base URL of an upstream."""
    app = create_app(**{"flavour": flavour, "models": MODELS, "model": StandInModel(), "faults": faults, **arguments})
    async with TestServer(app) as server:
        yield str(server.make_url("/v1"))


def client(url: str, key: str = "sk-local-0001") -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=url, api_key=key, max_retries=0, timeout=60)


async def ask(url: str, model: str = "plain", messages: Any = HELLO, **arguments: Any) -> Any:
    async with client(url) as openai_client:
        return await openai_client.chat.completions.create(model=model, messages=messages, **arguments)


async def stream(url: str, model: str = "plain", messages: Any = HELLO, **arguments: Any) -> list[Any]:
    async with client(url) as openai_client:
        call = {"model": model, "messages": messages, "stream": True, **arguments}
        return [chunk async for chunk in await openai_client.chat.completions.create(**call)]


async def post(url: str, body: Any, key: str | None = "sk-local-0001", path: str = "/chat/completions") -> httpx.Response:
    headers = {"authorization": f"Bearer {key}"} if key else {}
    content = body if isinstance(body, str) else json.dumps(body)
    async with httpx.AsyncClient(timeout=60) as http:
        return await http.post(url + path, content=content, headers=headers)


def text(chunks: list[Any], field: str = "content") -> str:
    deltas = [choice.delta for chunk in chunks for choice in chunk.choices]
    return "".join(getattr(delta, field, None) or "" for delta in deltas)


# Answers.


@pytest.mark.parametrize("flavour", FLAVOURS)
async def test_a_stream_and_a_whole_answer_say_the_same(flavour: str) -> None:
    async with serving(flavour) as url:
        whole = await ask(url)
        chunks = await stream(url, stream_options={"include_usage": True})
    content = whole.choices[0].message.content
    assert "Hello, who is there?" in content and text(chunks) == content
    assert whole.choices[0].finish_reason == "stop" and whole.object == "chat.completion" and whole.model == "plain"
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [c.usage for c in chunks if c.usage] == [whole.usage] == [chunks[-1].usage]
    assert (whole.usage.prompt_tokens, whole.usage.completion_tokens) == (6, count_tokens(content))
    assert [choice.finish_reason for choice in chunks[-1].choices] == (["stop"] if flavour == "deepseek" else [])


@pytest.mark.parametrize(("flavour", "told"), [("openai", False), ("deepseek", True), ("vllm", False)])
async def test_a_stream_that_nobody_asked_to_tell_its_usage(flavour: str, told: bool) -> None:
    async with serving(flavour) as url:
        body = {"model": "plain", "messages": HELLO, "stream": True}
        answer = await post(url, body)
    lines = [line for line in answer.text.split("\n") if line]
    assert lines[-1] == "data: [DONE]"
    last = json.loads(lines[-2].removeprefix("data: "))
    assert last["choices"][0]["finish_reason"] == "stop" and ("usage" in last) == told


@pytest.mark.parametrize(
    ("flavour", "field"),
    [("openai", None), ("deepseek", "reasoning_content"), ("vllm", "reasoning"), ("vllm-old", "reasoning_content")],
)
async def test_reasoning(flavour: str, field: str | None) -> None:
    async with serving(flavour) as url:
        whole, chunks = await ask(url, "thinker"), await stream(url, "thinker")
    message = whole.choices[0].message
    shown = {name for name in ("reasoning", "reasoning_content") if getattr(message, name, None)}
    assert shown == ({field} if field else set())
    if field:
        assert "stand-in" in getattr(message, field) and text(chunks, field) == getattr(message, field)
    if not flavour.startswith("vllm"):
        details = whole.usage.completion_tokens_details
        assert whole.usage.completion_tokens == details.reasoning_tokens + count_tokens(message.content)
        assert details.reasoning_tokens > 10


async def test_deepseek_thinks_where_it_is_not_told_otherwise_and_counts_its_cache() -> None:
    async with serving("deepseek") as url:
        whole = await ask(url, "thinker", extra_body={"thinking": {"type": "disabled"}})
    assert not hasattr(whole.choices[0].message, "reasoning_content")
    usage = whole.usage.model_dump()
    assert (usage["prompt_cache_hit_tokens"], usage["prompt_cache_miss_tokens"]) == (0, 6)


@pytest.mark.parametrize("flavour", FLAVOURS)
async def test_limits_and_stop(flavour: str) -> None:
    async with serving(flavour) as url:
        short = await ask(url, **{LIMIT[flavour]: 7})
        full = await ask(url, "org/small")
        stopped = await ask(url, stop=["never said", "stand-in"])
    assert short.choices[0].finish_reason == "length" and short.usage.completion_tokens == 7
    assert full.choices[0].finish_reason == "length" and full.usage.total_tokens == 20
    choice = stopped.choices[0]
    assert choice.finish_reason == "stop" and choice.message.content.endswith("the local ")
    assert getattr(choice, "stop_reason", "") == ("stand-in" if flavour.startswith("vllm") else "")


@pytest.mark.parametrize("flavour", FLAVOURS)
async def test_a_tool_round_trip(flavour: str) -> None:
    prefix = {"openai": "call_", "deepseek": "call_00_"}.get(flavour, "chatcmpl-tool-")
    async with serving(flavour) as url:
        whole, chunks = await ask(url, tools=[TOOL]), await stream(url, tools=[TOOL])
        (call,) = whole.choices[0].message.tool_calls
        assert whole.choices[0].finish_reason == "tool_calls" and whole.choices[0].message.content is None
        assert call.id.startswith(prefix) and call.function.name == "get_weather"
        assert json.loads(call.function.arguments) == {"city": "Hello, who is there?", "days": 1}
        pieces = [piece for chunk in chunks for c in chunk.choices for piece in c.delta.tool_calls or ()]
        assert [piece.id for piece in pieces if piece.id] == [call.id] and {piece.index for piece in pieces} == {0}
        assert "".join(piece.function.arguments for piece in pieces) == call.function.arguments
        assistant = whole.choices[0].message.model_dump(exclude_none=True)
        result = {"role": "tool", "tool_call_id": call.id, "content": "12 °C"}
        answer = await ask(url, messages=[*HELLO, assistant, result], tools=[TOOL])
        silent = await ask(url, tools=[TOOL], tool_choice="none")
    assert "12 °C" in answer.choices[0].message.content
    assert silent.choices[0].message.tool_calls is None


async def test_the_models() -> None:
    async with serving("vllm") as url, client(url) as openai_client:
        listed = (await openai_client.models.list()).data
        assert [model.id for model in listed] == list(MODELS)
        assert listed[-1].model_dump()["max_model_len"] == 20
        assert (await openai_client.models.retrieve("plain")).id == "plain"
        with pytest.raises(openai.NotFoundError):
            await openai_client.models.retrieve("gpt-9")


async def test_deepseek_says_that_it_is_still_there() -> None:
    async with serving("deepseek", model=StandInModel(first_delay=0.2), keep_alive_s=0.05) as url:
        body = {"model": "plain", "messages": HELLO}
        whole, streamed = await post(url, body), await post(url, {**body, "stream": True})
        chunks = await stream(url)
    assert whole.text.startswith("\n\n") and whole.json()["choices"]
    assert streamed.text.startswith(": keep-alive\n\n: keep-alive\n\n") and text(chunks)


# Errors.


class Failing:
    async def generate(self, request: GenerationRequest) -> AsyncIterator[Piece]:
        yield TextDelta("one")
        raise UpstreamError(503, "gone")


class Filtering:
    async def generate(self, request: GenerationRequest) -> AsyncIterator[Piece]:
        yield TextDelta("one")
        yield Finish("content_filtered", 1, 1)


async def test_what_a_model_says_becomes_what_the_provider_says() -> None:
    async with serving("openai", model=Failing()) as url:
        with pytest.raises(openai.APIError, match="overloaded"):
            await stream(url)
        with pytest.raises(openai.InternalServerError) as whole:
            await ask(url)
        assert whole.value.status_code == 503
    async with serving("openai", model=Filtering()) as url:
        assert (await ask(url)).choices[0].finish_reason == "content_filter"


TOOL_RESULT = {"role": "tool", "tool_call_id": "x", "content": ""}
# The request, and the error's status, code or type, parameter and a part of its text.
WRONG: list[tuple[str, Any, int, Any, str | None, str]] = [
    ("openai", {"max_tokens": 5}, 400, "unsupported_parameter", "max_tokens", "Use 'max_completion_tokens' instead"),
    ("openai", {"top_k": 5}, 400, None, None, "Unrecognized request argument supplied: top_k"),
    ("openai", {"temperature": 3}, 400, "decimal_above_max_value", "temperature", "<= 2"),
    ("openai", {"temperature": "hot"}, 400, "invalid_type", "temperature", "expected a decimal, but got a string"),
    ("openai", {"model": "fixed", "temperature": 0.5}, 400, "unsupported_parameter", "temperature", "not supported"),
    ("openai", {"max_completion_tokens": 1001}, 400, "invalid_value", "max_completion_tokens", "at most 1000 completion"),
    ("openai", {"model": "gpt-9"}, 404, "model_not_found", None, "`gpt-9` does not exist"),
    ("openai", {"messages": []}, 400, "empty_array", "messages", "empty array"),
    (
        "openai",
        {"messages": [TOOL_RESULT]},
        400,
        None,
        "messages.[0].role",
        "preceeding",
    ),
    ("openai", {"stream_options": {"include_usage": True}}, 400, None, "stream_options", "only allowed when 'stream'"),
    ("openai", {"tool_choice": "auto"}, 400, None, "tool_choice", "only allowed when 'tools'"),
    ("openai", {"n": 2}, 400, None, "n", "does not play n"),
    (
        "openai",
        {"tools": [{"type": "function", "function": {"name": "a tool"}}]},
        *(400, "invalid_value", "tools[0].function.name", "does not match pattern"),
    ),
    (
        "openai",
        {"messages": [*HELLO, {"role": "tool", "tool_call_id": "x" * 41, "content": ""}]},
        *(400, "string_above_max_length", "messages[1].tool_call_id", "maximum length 40"),
    ),
    *[
        (
            *("openai", {"tools": [{"type": "function", "function": {"name": "look", "parameters": parameters, **more}}]}),
            *(400, "invalid_function_parameters", "tools[0].function.parameters", said),
        )
        for parameters, more, said in (
            ({"type": "object", "anyOf": [{}]}, {}, "schema must have type 'object' and not have"),
            ({"properties": {}}, {}, "got 'type: \"None\"'"),
            (taking({"type": "array"}), {}, "In context=('properties', 'a'), array schema missing items."),
            (taking({"type": "array", "items": [{}]}), {}, "is not of type 'object', 'boolean'"),
            (
                taking({"oneOf": [{"type": "string"}]}),
                {"strict": True},
                "('properties', 'a'), 'oneOf' is not permitted",
            ),
            (taking({"type": "string", "default": ""}), {"strict": True}, "'default' is not permitted"),
            (taking({"type": "string", "format": "uri"}), {"strict": True}, "'uri' is not a valid format"),
            (taking({"$ref": "#/$defs/A", "title": "A"}), {"strict": True}, "$ref cannot have keywords {'title'}"),
            (taking({}), {"strict": True}, "schema must have a 'type' key"),
            ({"type": "object", "anyOf": []}, {"strict": True}, "In context=(), 'anyOf' is not permitted"),
        )
    ],
    ("openai", {"user": "x" * 65}, 400, "string_above_max_length", "user", "length 64, but got a string with length 65"),
    ("openai", {"prompt_cache_key": "x" * 65}, 400, "string_above_max_length", "prompt_cache_key", "maximum length 64"),
    ("openai", {"safety_identifier": "x" * 129}, 400, "string_above_max_length", "safety_identifier", "maximum length 128"),
    ("openai", {"model": "org/small", "max_completion_tokens": 15}, 400, "context_length_exceeded", "messages", "resulted in"),
    ("deepseek", {"temperature": "hot"}, 422, "invalid_request_error", None, "Failed to deserialize"),
    ("deepseek", {"max_tokens": 1001}, 400, "invalid_request_error", None, "the valid range of max_tokens is [1, 1000]"),
    ("deepseek", {"model": "gpt-9"}, 400, "invalid_request_error", None, "Model Not Exist"),
    ("vllm", {"messages": None}, 400, 400, "messages", "messages"),
    ("vllm", {"model": "gpt-9"}, 404, 404, "model", "`gpt-9` does not exist."),
    (
        "vllm",
        {"model": "org/small", "max_tokens": 15},
        400,
        400,
        None,
        "context length is 20 tokens. However, you requested 21 tokens (6 in the messages, 15 in the completion)",
    ),
]


@pytest.mark.parametrize(("flavour", "change", "status", "code", "param", "said"), WRONG, ids=lambda v: str(v)[:40])
async def test_a_wrong_request(flavour: str, change: Any, status: int, code: Any, param: str | None, said: str) -> None:
    async with serving(flavour) as url:
        answer = await post(url, {"model": "plain", "messages": HELLO, **change})
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert (answer.status_code, error["code"], error["param"]) == (status, code, param)
    assert said in error["message"]


@pytest.mark.parametrize("flavour", ["deepseek", "vllm"])
async def test_others_ignore_what_they_do_not_know(flavour: str) -> None:
    async with serving(flavour) as url:
        assert (await post(url, {"model": "plain", "messages": HELLO, "top_kk": 5})).status_code == 200


async def test_keys() -> None:
    body = {"model": "plain", "messages": HELLO}
    for flavour, given in (("openai", "sk-right"), ("deepseek", None), ("vllm", "sk-right")):
        async with serving(flavour, key=given) as url:
            assert (await post(url, body, key="sk-right")).status_code == 200
            assert (await post(url, body, key=None)).status_code == 401
            wrong = await post(url, body, key="sk-other-9999")
            assert wrong.status_code == (401 if given else 200)
            assert "sk-other" not in wrong.text
    async with serving("vllm") as url:
        assert (await post(url, body, key=None)).status_code == 200
    async with serving("deepseek", funded=False) as url:
        unpaid = await post(url, body)
        assert (unpaid.status_code, unpaid.json()["error"]["message"]) == (402, "Insufficient Balance")


async def test_openai_tells_its_rate_limits() -> None:
    async with serving("openai", parse_fault("throttle:0.5")) as url:
        sane, throttled = [await post(url, {"model": "plain", "messages": HELLO}) for _ in range(2)]
    assert sane.headers["x-ratelimit-limit-requests"] == "500" and sane.headers["x-ratelimit-reset-requests"] == "120ms"
    assert (throttled.status_code, throttled.headers["retry-after"], throttled.headers["retry-after-ms"]) == (429, "1", "1000")


# Faults: what comes of a whole request, and of a streamed one. A number is the status of an error before the answer.

REFUSED: dict[str, dict[str, int]] = {
    "openai": {"throttle": 429, "not-ready": 503, "500": 500, "503": 503, "bad-key": 401, "context": 400, "refuse": 400},
    "deepseek": {"throttle": 429, "not-ready": 503, "500": 500, "503": 503, "bad-key": 401, "context": 400, "refuse": 400},
    "vllm": {"throttle": 429, "not-ready": 503, "500": 500, "503": 503, "bad-key": 401, "context": 400},
    "vllm-old": {"throttle": 429, "not-ready": 503, "500": 500, "503": 503, "bad-key": 401, "context": 400},
}
SAID = {
    ("openai", "context"): ("code", "context_length_exceeded"),
    ("openai", "refuse"): ("code", "content_policy_violation"),
    ("openai", "bad-key"): ("code", "invalid_api_key"),
    ("openai", "throttle"): ("code", "rate_limit_exceeded"),
    ("deepseek", "refuse"): ("message", "Content Exists Risk"),
    ("deepseek", "bad-key"): ("type", "authentication_error"),
    ("vllm", "context"): ("type", "BadRequestError"),
    ("vllm-old", "context"): ("type", "BadRequestError"),
}


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(("flavour", "kind"), [(f, k) for f, kinds in REFUSED.items() for k in kinds])
async def test_a_fault_that_refuses(flavour: str, kind: Any, streamed: bool) -> None:
    async with serving(flavour, Fault(kind)) as url:
        with pytest.raises(openai.APIStatusError) as error:
            await ask(url, stream=streamed)
    assert error.value.status_code == REFUSED[flavour][kind]
    field, value = SAID.get((flavour, kind), (None, None))
    if field:
        assert error.value.response.json().get("error", error.value.response.json())[field] == value
    if flavour == "vllm-old" and kind not in ("not-ready", "bad-key"):
        assert set(error.value.response.json()) == {"object", "message", "type", "param", "code"}
    if flavour == "vllm" and kind == "not-ready":
        assert error.value.response.headers["content-type"].startswith("text/html")


@pytest.mark.parametrize("flavour", FLAVOURS)
async def test_a_fault_within_an_answer(flavour: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fault, "SLOW_FIRST_PIECE_S", 0.1)
    monkeypatch.setattr(fault, "SLOW_PIECE_S", 0.001)
    body = {"model": "plain", "messages": HELLO}

    async def outcome(kind: Any, **arguments: Any) -> Any:
        timeout = httpx.Timeout(60, read=0.3) if kind == "stall" else 60
        async with (
            serving(flavour, Fault(kind, upstream="pool"), name="pool") as url,
            httpx.AsyncClient(timeout=timeout) as http,
        ):
            key = {"authorization": "Bearer sk-x"}
            return await http.post(f"{url}/chat/completions", json={**body, **arguments}, headers=key)

    assert (await outcome("slow")).json()["choices"]
    for streamed in (False, True):
        with pytest.raises(httpx.ReadTimeout):
            await outcome("stall", stream=streamed)
        with pytest.raises(httpx.RemoteProtocolError):
            await outcome("cut-stream", stream=streamed)
        page = await outcome("html", stream=streamed)
        assert (page.status_code, page.headers["content-type"].partition(";")[0]) == (200, "text/html")
    malformed = await outcome("malformed")
    assert malformed.status_code == 200
    with pytest.raises(ValueError):
        malformed.json()
    failed = await outcome("stream-error")
    assert failed.status_code == 500
    async with serving(flavour, Fault("malformed")) as url:
        with pytest.raises(ValueError):
            await stream(url)
    async with serving(flavour, Fault("stream-error")) as url:
        if flavour == "vllm-old":  # the client knows no flat error: it comes as a chunk without choices
            assert [chunk.choices for chunk in await stream(url)][-1] is None
        else:
            with pytest.raises(openai.APIError):
                await stream(url)
    if flavour.startswith("vllm"):
        refused = (await outcome("refuse")).json()["choices"][0]
        assert refused["finish_reason"] == "content_filter" and count_tokens(refused["message"]["content"]) == 3


async def test_a_fault_for_another_upstream_does_nothing() -> None:
    async with serving("deepseek", parse_fault("bedrock=500"), parse_fault("openai=stall")) as url:
        assert (await ask(url)).choices
