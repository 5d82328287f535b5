"""A real model behind the local Bedrock: boto3 in front, a small OpenAI-compatible server behind."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import boto3
import pytest
from aiohttp import web
from botocore.config import Config
from botocore.exceptions import ClientError, EventStreamError

from pulumi_llm_local.services.signature import Credentials
from pulumi_llm_local.upstreams.bedrock.app import create_app
from pulumi_llm_local.upstreams.model import ModelTraits
from pulumi_llm_local.upstreams.model_url import ModelUrl
from support.web_app import listening

MODEL = "test.model-v1:0"
ACCEPTS = frozenset({"max_tokens", "temperature", "top_p", "stop", "system", "tools", "closed_json_schema"})
TRAITS = ModelTraits(ACCEPTS, reasoning=True)
HELLO = [{"role": "user", "content": [{"text": "Hi"}]}]


def choice(finish_reason: str | None = None, **delta: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}]}


def tool_call(index: int, arguments: str, **more: Any) -> dict[str, Any]:
    name = {"name": more.pop("name")} if "name" in more else {}
    return choice(tool_calls=[{"index": index, "function": {"arguments": arguments, **name}, **more}])


USAGE = {"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 7}}


class Server:
    """Answers with `chunks`, or `status` and `body`; waits before the last chunk for `released`."""

    def __init__(self, *chunks: Any, status: int = 200, body: str = "", done: bool = True) -> None:
        self.chunks = chunks
        self.status = status
        self.body = body
        self.done = done
        self.asked: list[dict[str, Any]] = []
        self.released = asyncio.Event()
        self.released.set()

    async def chat(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(await request.json())
        if self.status != 200:
            return web.Response(status=self.status, text=self.body)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b": a comment\n\n")
        for i, chunk in enumerate(self.chunks):
            if i == len(self.chunks) - 1:
                await self.released.wait()
            text = chunk if isinstance(chunk, str) else json.dumps(chunk)
            await response.write(f"data: {text}\n\n".encode())
        if self.done:
            await response.write(b"data: [DONE]\n\n")
        return response

    async def models(self, request: web.Request) -> web.Response:
        if self.status != 200:
            return web.Response(status=self.status, text=self.body)
        return web.json_response({"object": "list", "data": [{"id": "first"}, {"id": "second"}]})


@asynccontextmanager
async def bedrock_before(model: ModelUrl) -> AsyncIterator[Any]:
    app = create_app(region="us-east-1", credentials=Credentials("key", "secret"), models={MODEL: TRAITS}, model=model)
    async with listening(app) as url:
        yield boto3.client(
            "bedrock-runtime",
            endpoint_url=url,
            region_name="us-east-1",
            aws_access_key_id="key",
            aws_secret_access_key="secret",
            config=Config(retries={"total_max_attempts": 1}, proxies={}, read_timeout=60),
        )


@asynccontextmanager
async def bedrock(server: Server, fragment: str = "#llama") -> AsyncIterator[Any]:
    app = web.Application()
    app.router.add_post("/v1/chat/completions", server.chat)
    app.router.add_get("/v1/models", server.models)
    async with listening(app) as url, bedrock_before(ModelUrl(f"{url}/v1{fragment}")) as boto:
        yield boto


async def converse(boto: Any, messages: Any = HELLO, **arguments: Any) -> Any:
    return await asyncio.to_thread(lambda: boto.converse(modelId=MODEL, messages=messages, **arguments))


async def stream(boto: Any) -> list[dict[str, Any]]:
    return await asyncio.to_thread(lambda: list(boto.converse_stream(modelId=MODEL, messages=HELLO)["stream"]))


async def test_everything_in_a_call_is_translated() -> None:
    server = Server(choice(content="Hello"), choice("stop"), USAGE)
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    spec = {"name": "get_weather", "description": "Weather", "inputSchema": {"json": schema}}
    use = {"toolUse": {"toolUseId": "u1", "name": "get_weather", "input": {"city": "Bonn"}}}
    reasoning = {"reasoningContent": {"reasoningText": {"text": "Hm."}}}
    result = {"toolResult": {"toolUseId": "u1", "content": [{"json": {"sky": "blue"}}, {"text": "21"}]}}
    failed = {"toolResult": {"toolUseId": "u2", "content": [{"text": "no network"}], "status": "error"}}
    async with bedrock(server) as boto:
        answer = await converse(
            boto,
            [
                {"role": "user", "content": [{"text": "Weather"}, {"text": "in Bonn?"}]},
                {
                    "role": "assistant",
                    "content": [reasoning, {"text": "I look."}, use, {"toolUse": {**use["toolUse"], "toolUseId": "u2"}}],
                },
                {"role": "user", "content": [result, failed, {"text": "And now?"}]},
            ],
            system=[{"text": "Be brief."}],
            inferenceConfig={"maxTokens": 9, "temperature": 0.5, "topP": 0.25, "stopSequences": ["END"]},
            toolConfig={"tools": [{"toolSpec": spec}], "toolChoice": {"tool": {"name": "get_weather"}}},
        )
    calls = [
        {"id": id_, "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Bonn"}'}}
        for id_ in ("u1", "u2")
    ]
    assert server.asked == [
        {
            "model": "llama",
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "Weather\nin Bonn?"},
                {"role": "assistant", "content": "I look.", "tool_calls": calls},
                {"role": "tool", "tool_call_id": "u1", "content": '{"sky": "blue"}\n21'},
                {"role": "tool", "tool_call_id": "u2", "content": "Error: no network"},
                {"role": "user", "content": "And now?"},
            ],
            "stream": True,
            "stream_options": {"include_usage": True},
            "max_tokens": 9,
            "temperature": 0.5,
            "top_p": 0.25,
            "stop": ["END"],
            "tools": [
                {"type": "function", "function": {"name": "get_weather", "description": "Weather", "parameters": schema}}
            ],
            "tool_choice": {"type": "function", "function": {"name": "get_weather"}},
        }
    ]
    assert answer["output"]["message"]["content"] == [{"text": "Hello"}]
    assert answer["usage"] == {"inputTokens": 5, "outputTokens": 7, "totalTokens": 12}


@pytest.mark.parametrize(
    ("chunks", "content", "stop_reason"),
    [
        ([choice(content="Hel"), choice(content="lo"), choice("stop")], [{"text": "Hello"}], "end_turn"),
        ([choice("length", content="Hel")], [{"text": "Hel"}], "max_tokens"),
        ([choice("content_filter", content="Hel")], [{"text": "Hel"}], "content_filtered"),
        (
            [{"choices": [{"delta": {"content": "Hel"}, "finish_reason": "stop", "stop_reason": "lo"}]}],
            [{"text": "Hel"}],
            "stop_sequence",
        ),
        (
            [choice(reasoning_content="Let me "), choice(reasoning="think."), choice("stop", content="Hello")],
            [{"reasoningContent": {"reasoningText": {"text": "Let me think."}}}, {"text": "Hello"}],
            "end_turn",
        ),
        (
            [
                choice(content="I look."),
                tool_call(0, "", id="c1", name="get_weather"),
                tool_call(0, '{"city": '),
                tool_call(0, '"Bonn"}'),
                tool_call(1, "{}", id="c2", name="get_time"),
                choice("tool_calls"),
            ],
            [
                {"text": "I look."},
                {"toolUse": {"toolUseId": "c1", "name": "get_weather", "input": {"city": "Bonn"}}},
                {"toolUse": {"toolUseId": "c2", "name": "get_time", "input": {}}},
            ],
            "tool_use",
        ),
        (  # as Ollama does it: whole calls, all of index 0, ended with "stop"
            [tool_call(0, "{}", id="c1", name="one"), tool_call(0, "{}", id="c2", name="two"), choice("stop")],
            [{"toolUse": {"toolUseId": f"c{i}", "name": name, "input": {}}} for i, name in ((1, "one"), (2, "two"))],
            "tool_use",
        ),
    ],
)
async def test_an_answer_is_translated_back(chunks: list[Any], content: list[Any], stop_reason: str) -> None:
    async with bedrock(Server(*chunks, USAGE)) as boto:
        whole, events = await converse(boto), await stream(boto)
    assert (whole["output"]["message"]["content"], whole["stopReason"]) == (content, stop_reason)
    assert events[-2]["messageStop"]["stopReason"] == stop_reason
    assert events[-1]["metadata"]["usage"] == {"inputTokens": 5, "outputTokens": 7, "totalTokens": 12}


async def test_the_form_of_an_answer_is_passed_on() -> None:
    server = Server(choice(content="{}"), choice("stop"), USAGE)
    schema = {"type": "object", "properties": {}, "additionalProperties": False}
    form = {"type": "json_schema", "structure": {"jsonSchema": {"name": "x", "schema": json.dumps(schema)}}}
    async with bedrock(server) as boto:
        await converse(boto, HELLO, outputConfig={"textFormat": form})
    described = {"name": "answer", "schema": schema}
    assert server.asked[0]["response_format"] == {"type": "json_schema", "json_schema": described}


async def test_tokens_are_estimated_for_a_server_that_counts_none() -> None:
    async with bedrock(Server(choice("stop", content="12345678"))) as boto:
        usage = (await converse(boto))["usage"]
    assert usage["outputTokens"] == 2 and usage["inputTokens"] > 0


async def test_a_piece_arrives_before_the_server_has_finished() -> None:
    server = Server(choice(content="one"), choice("stop", content=" two"))
    server.released.clear()
    async with bedrock(server) as boto:
        events = (await asyncio.to_thread(lambda: boto.converse_stream(modelId=MODEL, messages=HELLO)))["stream"]
        iterator = iter(events)
        assert "messageStart" in await asyncio.to_thread(next, iterator)
        assert (await asyncio.to_thread(next, iterator))["contentBlockDelta"]["delta"] == {"text": "one"}
        server.released.set()
        rest = await asyncio.to_thread(lambda: list(iterator))
    assert rest[0]["contentBlockDelta"]["delta"] == {"text": " two"}


async def test_without_a_fragment_the_first_model_listed_is_asked() -> None:
    server = Server(choice("stop", content="Hello"))
    async with bedrock(server, fragment="") as boto:
        await converse(boto)
        await converse(boto)
    assert [request["model"] for request in server.asked] == ["first", "first"]


@pytest.mark.parametrize("fragment", ["", "#llama"])
@pytest.mark.parametrize(
    ("status", "body", "code", "said"),
    [
        (429, '{"error": {"message": "slow down"}}', "ThrottlingException", "slow down"),
        (400, '{"error": "no such option"}', "ValidationException", "no such option"),
        (404, '{"message": "no such model"}', "ValidationException", "no such model"),
        (500, "<html>broken</html>", "ServiceUnavailableException", "<html>broken</html>"),
        (503, "", "ServiceUnavailableException", "(no text)"),
    ],
)
async def test_an_error_of_the_server(fragment: str, status: int, body: str, code: str, said: str) -> None:
    async with bedrock(Server(status=status, body=body), fragment) as boto:
        for call in (converse(boto), stream(boto)):
            with pytest.raises(ClientError) as error:
                await call
            response = error.value.response["Error"]
            assert response["Code"] == code
            assert f"answered {status}: {said}" in response["Message"]
            assert "/v1/" in response["Message"]


@pytest.mark.parametrize("fragment", ["", "#llama"])
async def test_a_server_that_is_not_there(fragment: str) -> None:
    async with listening(web.Application()) as url:
        pass  # its port is closed from here on
    async with bedrock_before(ModelUrl(f"{url}/v1{fragment}")) as boto:
        with pytest.raises(ClientError) as error:
            await converse(boto)
    assert error.value.response["Error"]["Code"] == "ServiceUnavailableException"
    assert f"{url}/v1/" in error.value.response["Error"]["Message"]
    assert "cannot be reached" in error.value.response["Error"]["Message"]


@pytest.mark.parametrize(
    ("server", "said"),
    [
        (Server(choice(content="Hel"), done=False), "without a finish_reason"),
        (Server(choice(content="Hel"), {"error": {"message": "out of memory"}}), "out of memory"),
        (Server(choice(content="Hel"), "{not json"), "no chunk of a chat completion"),
        (Server(choice(content="Hel"), {"choices": [3]}), "no chunk of a chat completion"),
    ],
)
async def test_a_failure_in_mid_answer(server: Server, said: str) -> None:
    async with bedrock(server) as boto:
        with pytest.raises(EventStreamError) as mid_stream:
            await stream(boto)
        with pytest.raises(ClientError) as whole:
            await converse(boto)
    assert mid_stream.value.response["Error"]["Code"] == "modelStreamErrorException"
    assert whole.value.response["Error"]["Code"] == "ModelErrorException"
    assert said in mid_stream.value.response["Error"]["Message"] and said in whole.value.response["Error"]["Message"]
