"""A model's refusal: apart from the text in OpenAI's formats, as OpenAI's client reads it, and as text in the others."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from openai.lib._parsing._completions import parse_chat_completion
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import BaseModel, TypeAdapter

from llm_functions.api_formats import chat, openai_chat, openai_completions
from llm_functions.api_formats.anthropic_messages import answer as anthropic_messages
from llm_functions.api_formats.openai_responses import answer as openai_responses
from llm_gateway.events import Delta, Done, Event, Logprobs, Start, Usage
from llm_gateway.providers.openai.dialect import OpenAICompatible
from llm_gateway.request import ChatRequest
from llm_gateway.structured_output import checked_text
from wire.speaker import dumped


class City(BaseModel):
    name: str


START = Start("request-1", "model", "the/target", 1, 0.0, 0.0)
REFUSAL = [Delta("I can't ", refusal=True), Delta("help.", refusal=True)]
TEXT = "I can't help."
EVENTS: list[Event] = [START, *REFUSAL, Usage(1, 2), Done("end_turn")]
MESSAGE = {"role": "assistant", "content": None, "refusal": TEXT}
TOKEN = {"token": TEXT, "logprob": -0.5}


async def batches(events: list[Event] = EVENTS) -> AsyncIterator[list[Event]]:
    yield events


def data(stream: bytes) -> list[Any]:
    found = (line.removeprefix("data: ") for line in stream.decode().splitlines() if line.startswith("data: "))
    return [json.loads(line) for line in found]


def test_openais_answer_is_read() -> None:
    whole = {"choices": [{"message": MESSAGE, "finish_reason": "stop"}], "usage": {"prompt_tokens": 1, "completion_tokens": 2}}
    assert OpenAICompatible().read_complete(dumped(whole)) == [Delta(TEXT, refusal=True), Usage(1, 2), Done("end_turn")]
    deltas: list[Any] = [{"role": "assistant", "content": "", "refusal": None}, {"refusal": "I can't "}, {"refusal": "help."}]
    chunks = [{"choices": [{"delta": delta, "finish_reason": None}]} for delta in deltas]
    chunks.append({"choices": [{"delta": {}, "finish_reason": "stop"}], "usage": whole["usage"]})
    events: list[Event] = []
    OpenAICompatible().decoder().feed(
        b"".join(b"data: %s\n\n" % dumped(chunk) for chunk in chunks) + b"data: [DONE]\n\n", events
    )
    assert events == EVENTS[1:]


async def test_chat_completions() -> None:
    _, body = await openai_chat.render_complete(batches())
    whole = parse_chat_completion(
        response_format=City, input_tools=[], chat_completion=ChatCompletion.model_validate_json(body)
    )
    state = ChatCompletionStreamState(response_format=City)
    for chunk in data(openai_chat.StreamRenderer("request-1", True).events(EVENTS)):
        state.handle_chunk(ChatCompletionChunk.model_validate(chunk))
    for answer in (whole, state.get_final_completion()):
        message = answer.choices[0].message
        assert (message.refusal, message.parsed, answer.choices[0].finish_reason) == (TEXT, None, "stop")
        assert not message.content


async def test_the_log_probabilities_of_a_refusal() -> None:
    told: list[Event] = [START, Delta(TEXT, refusal=True), Logprobs([TOKEN]), Usage(1, 2), Done("end_turn")]
    _, body = await openai_chat.render_complete(batches(told), logprobs=True)
    whole = ChatCompletion.model_validate_json(body).choices[0].logprobs
    chunks = map(ChatCompletionChunk.model_validate, data(openai_chat.LogprobsRenderer("request-1", False).events(told)))
    (streamed,) = [chunk.choices[0].logprobs for chunk in chunks if chunk.choices[0].delta.refusal]
    for found in (whole, streamed):
        assert found is not None and found.content is None and [each.token for each in found.refusal or ()] == [TEXT]


@pytest.mark.parametrize("said", ["", "Well, "])
async def test_responses(said: str) -> None:
    given = [START, *([Delta(said)] if said else []), *EVENTS[1:]]
    _, body = await openai_responses.render_complete({"model": "model"}, batches(given))
    whole = Response.model_validate_json(body)
    events: list[Any] = data(openai_responses.StreamRenderer("request-1", {"model": "model"}).events(given))
    read: list[Any] = [TypeAdapter(ResponseStreamEvent).validate_python(event) for event in events]
    assert [event.sequence_number for event in read] == list(range(len(read)))
    assert "".join(event.delta for event in read if event.type == "response.refusal.delta") == TEXT
    assert [event.refusal for event in read if event.type == "response.refusal.done"] == [TEXT]
    for response in (whole, read[-1].response):
        parts: list[Any] = [part for item in response.output for part in item.content]
        assert parts[-1].refusal == TEXT and response.output_text == said and len(parts) == (2 if said else 1)


async def test_the_other_formats_have_it_as_text() -> None:
    assert json.loads((await chat.render_complete(batches()))[1])["message"] == TEXT
    assert '"text":"help."}' in chat.StreamRenderer("request-1").events(EVENTS).decode()
    assert json.loads((await openai_completions.render_complete(batches()))[1])["choices"][0]["text"] == TEXT
    _, body = await anthropic_messages.render_complete(batches(), False, ())
    assert json.loads(body)["content"] == [{"type": "text", "text": TEXT}]
    streamed = data(anthropic_messages.StreamRenderer("request-1", ChatRequest(()), False).events(EVENTS))
    assert "".join(event["delta"].get("text", "") for event in streamed if "delta" in event) == TEXT


async def test_a_refusal_need_not_follow_a_schema() -> None:
    async def events() -> Any:
        yield EVENTS

    schema = {"type": "object", "required": ["name"]}
    assert [batch async for batch in checked_text(events(), schema)] == [EVENTS]
