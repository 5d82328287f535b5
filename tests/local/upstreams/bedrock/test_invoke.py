"""The imported models of the local Bedrock, asked by boto3's invoke_model in the format of OpenAI's chat completions."""

import asyncio
import json
from typing import Any

import pytest
from botocore.eventstream import ChecksumMismatch
from botocore.exceptions import ClientError, EventStreamError, ReadTimeoutError
from urllib3.exceptions import ProtocolError

from pulumi_llm_local.upstreams import fault
from pulumi_llm_local.upstreams.fault import Fault, parse_fault
from pulumi_llm_local.upstreams.tokens import count_tokens
from support.local_bedrock import HELLO as CONVERSE_HELLO
from support.local_bedrock import WEATHER, client, running

MODEL = "arn:aws:bedrock:us-east-1:123456789012:imported-model/abcdef123456"
HELLO = [{"role": "user", "content": "Hello, who is there?"}]
TOOL = {
    "type": "function",
    "function": {"name": "get_weather", "parameters": WEATHER["toolSpec"]["inputSchema"]["json"]},
}


async def invoke(url: str, model: str = MODEL, messages: Any = HELLO, timeout: float = 60, **body: Any) -> Any:
    call = {"modelId": model, "body": json.dumps({"messages": messages, **body})}
    answer = await asyncio.to_thread(lambda: client(url, read_timeout=timeout).invoke_model(**call))
    return json.loads(answer["body"].read()) | {"headers": answer["ResponseMetadata"]["HTTPHeaders"]}


async def chunks(url: str, model: str = MODEL, messages: Any = HELLO, **body: Any) -> list[dict[str, Any]]:
    call = {"modelId": model, "body": json.dumps({"messages": messages, **body})}

    def read() -> list[dict[str, Any]]:
        answer = client(url).invoke_model_with_response_stream(**call)
        return [json.loads(event["chunk"]["bytes"]) for event in answer["body"]]

    return await asyncio.to_thread(read)


async def test_a_stream_and_a_whole_answer_say_the_same() -> None:
    async with running() as url:
        whole, streamed = await invoke(url), await chunks(url)
    message = whole["choices"][0]["message"]
    assert whole["object"] == "chat.completion" and "Hello, who is there?" in message["content"]
    assert "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in streamed) == message["content"]
    assert whole["choices"][0]["finish_reason"] == streamed[-1]["choices"][0]["finish_reason"] == "stop"
    assert whole["usage"] == streamed[-1]["usage"]
    assert whole["usage"]["completion_tokens"] == count_tokens(message["content"])
    metrics = streamed[-1]["amazon-bedrock-invocationMetrics"]
    assert (metrics["inputTokenCount"], metrics["outputTokenCount"]) == (6, whole["usage"]["completion_tokens"])
    assert whole["headers"]["x-amzn-bedrock-input-token-count"] == "6"
    assert all(chunk["object"] == "chat.completion.chunk" for chunk in streamed)


async def test_limits_stop_and_tools() -> None:
    async with running() as url:
        short = await invoke(url, max_tokens=7, temperature=0.5, top_p=0.9)
        stopped = await invoke(url, stop=["stand-in"])
        called = await invoke(url, tools=[TOOL])
        streamed = await chunks(url, tools=[TOOL])
    assert (short["choices"][0]["finish_reason"], short["usage"]["completion_tokens"]) == ("length", 7)
    assert (stopped["choices"][0]["finish_reason"], stopped["choices"][0]["stop_reason"]) == ("stop", "stand-in")
    (call,) = called["choices"][0]["message"]["tool_calls"]
    assert json.loads(call["function"]["arguments"])["city"] == "Hello, who is there?"
    pieces = [piece for chunk in streamed for piece in chunk["choices"][0]["delta"].get("tool_calls", ())]
    assert "".join(piece["function"]["arguments"] for piece in pieces) == call["function"]["arguments"]


async def test_converse_answers_for_it_as_well() -> None:
    async with running() as url:
        answer = await asyncio.to_thread(lambda: client(url).converse(modelId=MODEL, messages=CONVERSE_HELLO))
    assert answer["stopReason"] == "end_turn"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model": "test.all-v1:0"}, "for imported models alone"),
        ({"model": "arn:aws:bedrock:us-east-1:123456789012:imported-model/zzzzzz999999"}, "identifier is invalid"),
        ({"messages": []}, "Invalid 'messages'"),
        ({"max_tokens": "many"}, "Invalid type for 'max_tokens'"),
        ({"n": 2}, "does not play n"),
    ],
)
async def test_a_wrong_request(change: Any, said: str) -> None:
    async with running() as url:
        with pytest.raises(ClientError) as error:
            await invoke(url, **change)
    assert error.value.response["Error"]["Code"] == "ValidationException"
    assert said in error.value.response["Error"]["Message"]


async def test_it_wants_a_signature() -> None:
    async with running() as url:
        with pytest.raises(ClientError) as error:
            await asyncio.to_thread(lambda: client(url, secret="wrong").invoke_model(modelId=MODEL, body="{}"))
    assert error.value.response["Error"]["Code"] == "InvalidSignatureException"


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        ("throttle", 429, "ThrottlingException"),
        ("not-ready", 429, "ModelNotReadyException"),
        ("500", 500, "InternalServerException"),
        ("503", 503, "ServiceUnavailableException"),
        ("bad-key", 403, "UnrecognizedClientException"),
        ("context", 400, "ValidationException"),
        ("stream-error", 424, "ModelErrorException"),
    ],
)
async def test_a_fault_that_refuses(kind: str, status: int, code: str) -> None:
    async with running(None, parse_fault(f"bedrock={kind}")) as url:
        with pytest.raises(ClientError) as whole:
            await invoke(url)
        with pytest.raises(ClientError) as streamed:
            await chunks(url)
    assert (whole.value.response["ResponseMetadata"]["HTTPStatusCode"], whole.value.response["Error"]["Code"]) == (status, code)
    if kind == "stream-error":
        assert isinstance(streamed.value, EventStreamError)
    else:
        assert streamed.value.response["Error"]["Code"] == code


async def test_a_fault_within_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fault, "SLOW_FIRST_PIECE_S", 0.1)
    monkeypatch.setattr(fault, "SLOW_PIECE_S", 0.001)
    async with running(None, Fault("slow")) as url:
        assert (await invoke(url))["choices"] and await chunks(url)
    async with running(None, Fault("stall")) as url:
        with pytest.raises(ReadTimeoutError):
            await invoke(url, timeout=0.5)
    async with running(None, Fault("cut-stream")) as url:
        with pytest.raises(ProtocolError):
            await chunks(url)
    for kind in ("malformed", "html"):
        async with running(None, Fault(kind)) as url:  # type: ignore[arg-type]
            with pytest.raises(ValueError):
                await invoke(url)
            with pytest.raises((ValueError, ChecksumMismatch)):
                await chunks(url)
    async with running(None, Fault("refuse")) as url:
        choice = (await invoke(url))["choices"][0]
        assert choice["finish_reason"] == "content_filter" and count_tokens(choice["message"]["content"]) == 3
        assert (await chunks(url))[-1]["choices"][0]["finish_reason"] == "content_filter"
