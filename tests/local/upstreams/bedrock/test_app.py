"""The local Bedrock, called by boto3 as the functions and any other client call it: what it answers."""

import asyncio
import json
from collections.abc import AsyncIterator
from itertools import islice
from typing import Any

import pytest
from botocore.eventstream import EventStreamBuffer
from botocore.exceptions import EventStreamError

from pulumi_llm_local.upstreams.bedrock.wire import event_message
from pulumi_llm_local.upstreams.model import Finish, GenerationRequest, Piece, TextDelta, UpstreamError
from pulumi_llm_local.upstreams.tokens import count_tokens
from support.local_bedrock import CLOCK, HELLO, MODELS, PROFILE, WEATHER, client, converse, deltas, names, running, stream


class Controlled:
    """Sends two pieces, then waits to be released; knows how it ended."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.released = asyncio.Event()
        self.ended = asyncio.Event()
        self.failure = failure

    async def generate(self, request: GenerationRequest) -> AsyncIterator[Piece]:
        try:
            yield TextDelta("one")
            yield TextDelta(" two")
            await self.released.wait()
            if self.failure:
                raise self.failure
            yield Finish("end_turn", 1, 2)
        finally:
            self.ended.set()


# Answers.


@pytest.mark.parametrize("model", sorted(MODELS))
async def test_a_stream_and_a_whole_answer_say_the_same(model: str) -> None:
    async with running() as url:
        whole, events = await converse(url, model), await stream(url, model)
    content = whole["output"]["message"]["content"]
    assert "".join(delta.get("text", "") for delta in deltas(events)) == content[-1]["text"]
    assert 40 <= count_tokens(content[-1]["text"]) <= 80
    assert "Hello, who is there?" in content[-1]["text"] and "stand-in" in content[-1]["text"]
    assert whole["stopReason"] == "end_turn"
    assert names(events)[:2] == ["messageStart", "contentBlockDelta"]
    assert names(events)[-3:] == ["contentBlockStop", "messageStop", "metadata"]
    usage = events[-1]["metadata"]["usage"]
    assert usage == whole["usage"]
    assert usage["inputTokens"] == 6 and usage["totalTokens"] == 6 + usage["outputTokens"]
    assert whole["metrics"]["latencyMs"] >= 0 and whole["ResponseMetadata"]["RequestId"]
    if MODELS[model].reasoning:
        reasoning = content[0]["reasoningContent"]["reasoningText"]
        sent = [delta["reasoningContent"] for delta in deltas(events) if "reasoningContent" in delta]
        assert "".join(piece.get("text", "") for piece in sent) == reasoning["text"]
        assert sent[-1] == {"signature": reasoning["signature"]}
        indexes = [event["contentBlockDelta"]["contentBlockIndex"] for event in events if "contentBlockDelta" in event]
        assert indexes == sorted(indexes) and set(indexes) == {0, 1}


async def test_the_first_event_arrives_before_the_generation_ends() -> None:
    model = Controlled()
    async with running(model) as url:
        events = (await asyncio.to_thread(client(url).converse_stream, modelId="test.all-v1:0", messages=HELLO))["stream"]
        iterator = iter(events)
        first = await asyncio.to_thread(lambda: list(islice(iterator, 3)))
        assert [delta["text"] for delta in deltas(first)] == ["one", " two"]
        assert not model.ended.is_set()
        model.released.set()
        rest = await asyncio.to_thread(lambda: list(iterator))
        assert names(rest) == ["contentBlockStop", "messageStop", "metadata"]


async def test_the_generation_stops_when_the_client_leaves() -> None:
    model = Controlled()
    async with running(model) as url:
        events = (await asyncio.to_thread(client(url).converse_stream, modelId="test.all-v1:0", messages=HELLO))["stream"]
        await asyncio.to_thread(lambda: list(islice(iter(events), 3)))
        assert not model.ended.is_set()
        events.close()
        await asyncio.wait_for(model.ended.wait(), 60)


@pytest.mark.parametrize("failure", [UpstreamError(429, "wait"), RuntimeError("a bug")])
async def test_a_failure_in_mid_stream_is_an_exception_event(failure: Exception) -> None:
    model = Controlled(failure)
    model.released.set()
    async with running(model) as url:
        with pytest.raises(EventStreamError) as error:
            await stream(url)
    expected = "throttlingException" if isinstance(failure, UpstreamError) else "internalServerException"
    assert error.value.response["Error"]["Code"] == expected


def test_an_event_has_the_headers_of_bedrock() -> None:
    buffer = EventStreamBuffer()
    buffer.add_data(event_message("messageStop", {"stopReason": "end_turn"}))  # checks both CRCs
    (message,) = list(buffer)
    assert message.headers == {":event-type": "messageStop", ":content-type": "application/json", ":message-type": "event"}


@pytest.mark.parametrize("model", ["test.all-v1:0", PROFILE])
@pytest.mark.parametrize("limit", [1, 7, 30])
async def test_max_tokens_is_exact(model: str, limit: int) -> None:
    async with running() as url:
        whole = await converse(url, model, inferenceConfig={"maxTokens": limit})
        events = await stream(url, model, inferenceConfig={"maxTokens": limit})
    texts = [
        block["text"] if "text" in block else block["reasoningContent"]["reasoningText"]["text"]
        for block in whole["output"]["message"]["content"]
    ]
    assert sum(map(count_tokens, texts)) == whole["usage"]["outputTokens"] == limit
    assert whole["stopReason"] == "max_tokens"
    assert events[-2]["messageStop"] == {"stopReason": "max_tokens"}
    assert len([delta for delta in deltas(events) if "signature" not in delta.get("reasoningContent", {})]) == limit


async def test_a_stop_sequence_cuts_the_text_before_itself() -> None:
    async with running() as url:
        full = (await converse(url))["output"]["message"]["content"][0]["text"]
        for sequence in ("stand-in", "eal mod", "l model has re"):  # each lies across pieces
            whole = await converse(url, inferenceConfig={"stopSequences": ["never said", sequence]})
            text = whole["output"]["message"]["content"][0]["text"]
            assert text == full.partition(sequence)[0]
            assert (whole["stopReason"], whole["usage"]["outputTokens"]) == ("stop_sequence", count_tokens(text))
        limited = await converse(url, inferenceConfig={"stopSequences": ["stand-in"], "maxTokens": 3})
        assert limited["stopReason"] == "max_tokens"


# Tools.


@pytest.mark.parametrize(
    ("choice", "name"),
    [
        (None, "get_weather"),
        ({"auto": {}}, "get_weather"),
        ({"any": {}}, "get_weather"),
        ({"tool": {"name": "get_time"}}, "get_time"),
    ],
)
async def test_a_tool_round_trip(choice: dict[str, Any] | None, name: str) -> None:
    config = {"tools": [WEATHER, CLOCK], **({"toolChoice": choice} if choice else {})}
    async with running() as url:
        whole, events = await converse(url, toolConfig=config), await stream(url, toolConfig=config)
        (block,) = whole["output"]["message"]["content"]
        use = block["toolUse"]
        assert (use["name"], whole["stopReason"]) == (name, "tool_use")
        if name == "get_weather":
            assert use["input"] == {"city": "Hello, who is there?", "unit": "celsius"}
        assert events[1]["contentBlockStart"]["start"] == {"toolUse": {"toolUseId": use["toolUseId"], "name": name}}
        fragments = [delta["toolUse"]["input"] for delta in deltas(events)]
        assert len(fragments) > 1 and json.loads("".join(fragments)) == use["input"]

        result = {"toolUseId": use["toolUseId"], "content": [{"json": {"sky": "blue"}}, {"text": "21 degrees"}]}
        history = [*HELLO, whole["output"]["message"], {"role": "user", "content": [{"toolResult": result}]}]
        answer = await converse(url, messages=history, toolConfig=config)
        if choice is not None and "auto" not in choice:  # a call that must be is also one after a result
            assert answer["stopReason"] == "tool_use"
            answer = await converse(url, messages=history, toolConfig={"tools": [WEATHER, CLOCK]})
        text = answer["output"]["message"]["content"][0]["text"]
        assert answer["stopReason"] == "end_turn" and "21 degrees" in text and "blue" in text
