"""No body makes the service fail: any bytes and any JSON are answered or refused."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from anthropic.types import message_create_params
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from openai.types.chat import ChatCompletionMessage
from openai.types.chat import completion_create_params as chat_params
from openai.types.responses import response_create_params

from llm_functions.api_formats import chat as chat_api
from llm_functions.api_formats import openai_chat as openai_api
from llm_functions.api_formats.anthropic_messages import request as messages_api
from llm_functions.api_formats.openai_responses import request as responses_api
from llm_functions.http.application import Application
from llm_gateway import telemetry
from llm_gateway.errors import GatewayError
from llm_gateway.gateway import Gateway
from llm_gateway.providers.mock import Mock
from llm_gateway.router import Router
from llm_gateway.routes import Alias, Routes
from llm_gateway.stages.validate import conversation_problems
from support.chat_requests import SAMPLING, target
from support.sdk_types import requests

NAMES = [
    *("message", "prompt", "model", "system_prompt", "max_tokens", "temperature", "top_p", "stop", "history", "messages"),
    *("role", "content", "tools", "tool_choice", "tool_calls", "tool_call_id", "stream", "stream_options", "include_usage"),
    *("type", "function", "name", "arguments", "parameters", "description", "strict", "id", "text", "n", "logprobs"),
    *("input", "output", "call_id", "instructions", "text", "format", "reasoning", "effort", "image_url", "file_data"),
    *("stop_sequences", "thinking", "input_schema", "input", "source", "cache_control", "tool_use_id", "output_config"),
    *("max_completion_tokens", "response_format", "parallel_tool_calls", "logit_bias", "modalities", "user", "metadata"),
]
WORDS = [
    "user",
    "assistant",
    "system",
    "developer",
    "function_call",
    "function_call_output",
    "input_text",
    "input_image",
    "tool_use",
    "tool_result",
    "image",
    "document",
    "tool",
    "text",
    "function",
    "auto",
    "none",
    "required",
    "full",
    "{}",
    "[1]",
]
# Numbers that every float holds: the ones beyond are a row of the table of bad requests.
SCALARS = st.none() | st.booleans() | st.integers(-(2**64), 2**64) | st.floats(allow_nan=False, allow_infinity=False)
TEXTS = st.sampled_from(WORDS) | st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
KEYS = st.sampled_from(NAMES) | st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
VALUES = st.recursive(
    SCALARS | TEXTS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=5), max_leaves=20
)
# Near what is right, where the deeper branches are.
PARTS = st.fixed_dictionaries({}, optional={"type": TEXTS, "text": TEXTS})
CALLS = st.fixed_dictionaries(
    {},
    optional={"id": TEXTS, "type": TEXTS, "function": st.fixed_dictionaries({}, optional={"name": TEXTS, "arguments": VALUES})},
)
MESSAGES = st.fixed_dictionaries(
    {"role": st.sampled_from(["system", "user", "assistant", "tool", "robot"])},
    optional={"content": TEXTS | st.lists(PARTS, max_size=2), "tool_calls": st.lists(CALLS, max_size=2), "tool_call_id": TEXTS},
)
BODIES = st.dictionaries(KEYS, VALUES, max_size=8) | st.fixed_dictionaries(
    {"model": TEXTS, "messages": st.lists(MESSAGES, max_size=4)},
    optional={"tools": VALUES, "tool_choice": VALUES, "stream": st.booleans(), "n": VALUES, "temperature": SCALARS},
)
SLOWLY = settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True, database=None
)


SDK_TYPES = (
    chat_params.CompletionCreateParamsNonStreaming,
    response_create_params.ResponseCreateParamsNonStreaming,
    message_create_params.MessageCreateParamsNonStreaming,
)


def parsed_or_refused(parse: Any, body: dict[str, Any]) -> Any:
    """What parsing gives, None for a GatewayError 400 that names a field; anything else is the test's failure."""
    try:
        return parse(body)
    except GatewayError as error:
        assert (error.status, error.type) == (400, "invalid_request_error") and error.param and error.message
        msgspec.json.encode(error.body("request-1"))  # can be sent
        return None


@SLOWLY
@given(BODIES)
@example({"message": "Hi", "history": [{}]})
def test_any_object_is_read_or_refused_by_chat(body: dict[str, Any]) -> None:
    read = parsed_or_refused(lambda body: chat_api.parse(body, stream=False), body)
    assert read is None or isinstance(read.messages[-1].text, str)


@SLOWLY
@given(BODIES)
@example({"model": "full", "messages": [{"role": "tool", "content": None}]})
def test_any_object_is_read_or_refused_by_openai(body: dict[str, Any]) -> None:
    read = parsed_or_refused(openai_api.parse, body)
    if read is not None:
        conversation_problems(read[0].messages)


@SLOWLY
@given(BODIES)
@example({"model": "full", "max_tokens": 5, "messages": [{"role": "user", "content": [{"type": "tool_result"}]}]})
def test_any_object_is_read_or_refused_by_anthropic(body: dict[str, Any]) -> None:
    read = parsed_or_refused(messages_api.parse, body)
    if read is not None:
        conversation_problems(read[0].messages)


@SLOWLY
@given(BODIES)
@example({"model": "full", "input": [{"type": "function_call"}, {"type": "function_call_output", "output": [{}]}]})
def test_any_object_is_read_or_refused_by_responses(body: dict[str, Any]) -> None:
    read = parsed_or_refused(responses_api.parse, body)
    if read is not None:
        conversation_problems(read.messages)


# Of an answer without calls: their results would have to follow.
ANSWERS = st.builds(
    ChatCompletionMessage,
    role=st.just("assistant"),
    content=st.none() | TEXTS,
    refusal=st.none() | TEXTS,
    annotations=st.just([]) | st.none(),
    audio=st.none(),
    function_call=st.none(),
    tool_calls=st.none() | st.just([]),
    reasoning_content=st.none() | TEXTS,
    surplus=VALUES,
)


@SLOWLY
@given(ANSWERS, st.booleans())
def test_an_answer_that_the_sdk_has_read_is_taken_back(answer: ChatCompletionMessage, exclude_unset: bool) -> None:
    user = {"role": "user", "content": "Hi"}
    kept = json.loads(answer.model_dump_json(exclude_unset=exclude_unset))
    request, _ = openai_api.parse({"model": "full", "messages": [user, kept, user]})
    assert conversation_problems(request.messages) == []
    assert request.messages[1].text == (answer.content or answer.refusal or "")


@asynccontextmanager
async def in_process(messages: list[dict[str, Any]] | None = None) -> AsyncIterator[Any]:
    """The application called as uvicorn calls it, one request after another."""
    environ = {"AUTHORIZATION": "none", "DEBUG": "true", "CORS_ALLOW_ORIGIN": "*"}
    routes = Routes(aliases=(Alias("full", (target((*SAMPLING, "tools"), stop_max=4),)),))
    application = Application(Gateway(routes, Router({"mock": Mock()})), environ)

    async def post(path: str, body: bytes) -> tuple[int, bytes]:
        sent: list[dict[str, Any]] = []
        left = messages or [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> dict[str, Any]:
            if left:
                return left.pop(0)
            return await asyncio.get_running_loop().create_future()  # the client stays

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        await application({"type": "http", "method": "POST", "path": path, "headers": []}, receive, send)
        assert [message["type"] for message in sent].count("http.response.start") == 1
        assert sent[0]["type"] == "http.response.start" and not sent[-1].get("more_body")
        return sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:])

    yield post


def check_bodies(bodies: Any, count: int) -> None:
    """No body that `bodies` gives makes the service fail, on any route."""

    @settings(SLOWLY, max_examples=count)
    @given(
        st.sampled_from(
            [
                "/chat",
                "/chat/stream",
                "/v1/chat/completions",
                "/v1/completions",
                "/v1/responses",
                "/v1/messages",
                "/v1/messages/count_tokens",
            ]
        ),
        bodies,
    )
    def check(path: str, body: bytes) -> None:
        async def once() -> None:
            async with in_process() as post:
                status, content = await post(path, body)
            assert status in (200, 400, 404), content
            if status != 200:
                error = json.loads(content)["error"]
                assert set(error) <= {"type", "code", "message", "request_id", "param", "detail"}
            assert b'"code":"internal_error"' not in content

        asyncio.run(once())

    check()


def test_no_bytes_make_the_service_fail(monkeypatch) -> None:
    monkeypatch.setattr(telemetry, "write_log", lambda fields: None)
    check_bodies(st.binary(max_size=60) | st.binary(max_size=40).map(lambda data: b'{"message": "' + data + b'"}'), 200)


def test_nothing_of_the_sdks_types_makes_the_service_fail(monkeypatch) -> None:
    monkeypatch.setattr(telemetry, "write_log", lambda fields: None)
    bodies = st.one_of(requests(type_) for type_ in SDK_TYPES)
    check_bodies(bodies.map(lambda body: json.dumps({**body, "model": "full"}).encode()), 100)


def test_no_object_makes_the_service_fail(monkeypatch) -> None:
    monkeypatch.setattr(telemetry, "write_log", lambda fields: None)
    check_bodies(BODIES.map(lambda body: json.dumps({"model": "full", **body}).encode()), 200)


async def test_a_body_that_was_cut_is_not_read_as_a_whole_one(monkeypatch) -> None:
    """What has come of it can be JSON."""
    recorded: list[dict[str, Any]] = []
    monkeypatch.setattr(telemetry, "write_log", recorded.append)
    left = [{"type": "http.request", "body": b'{"message": "Hi"}', "more_body": True}, {"type": "http.disconnect"}]
    async with in_process(left) as post:
        status, content = await post("/chat", b"")
    assert status == 400 and "the connection was closed before its end" in json.loads(content)["error"]["message"]
    assert [record["error.type"] for record in recorded] == ["invalid_json"]
