"""Signed and encrypted reasoning through OpenAI's format: a field comes with the answer, and goes back to the provider."""

import json
from typing import Any

import pytest
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletionChunk

from llm_functions.api_formats import openai_chat
from llm_gateway.events import Delta, Done, Event, Reasoning, ReasoningSignature, Start, Usage
from llm_gateway.request import ReasoningBlock

EVENTS: list[Event] = [
    Start("request-1", "model", "the/target", 1, 0.0, 0.0),
    Reasoning("H"),
    Reasoning("m."),
    ReasoningSignature(signature="c2ln"),
    ReasoningSignature(data="ZGF0YQ=="),
    Reasoning("And?"),
    ReasoningSignature(signature="bW9yZQ=="),
    Delta("Hello"),
    Usage(1, 2),
    Done("end_turn"),
]
BLOCKS = [
    {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"},
    {"type": "redacted_thinking", "data": "ZGF0YQ=="},
    {"type": "thinking", "thinking": "And?", "signature": "bW9yZQ=="},
]


def sent_back(**fields: Any) -> Any:
    """Return how a message of the assistant is understood."""
    answer = {"role": "assistant", "content": "Hello", **fields}
    messages = [{"role": "user", "content": "Hi"}, answer, {"role": "user", "content": "And?"}]
    request, _ = openai_chat.parse({"model": "model", "messages": messages})
    return request.messages[1]


async def test_a_complete_answer() -> None:
    async def batches() -> Any:
        yield EVENTS

    _, body = await openai_chat.render_complete(batches())
    message = json.loads(body)["choices"][0]["message"]
    assert (message["thinking_blocks"], message["reasoning_content"]) == (BLOCKS, "Hm.And?")
    assert sent_back(**message).reasoning_blocks == (
        ReasoningBlock("Hm.", "c2ln"),
        ReasoningBlock(data="ZGF0YQ=="),
        ReasoningBlock("And?", "bW9yZQ=="),
    )


def test_a_stream() -> None:
    lines = openai_chat.StreamRenderer("request-1", False).events(EVENTS).decode().split("\n\n")
    chunks = [json.loads(line.removeprefix("data: ")) for line in lines if line]
    deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
    blocks = [block for delta in deltas for block in delta.get("thinking_blocks", [])]
    assert blocks == [{"index": index, **block} for index, block in enumerate(BLOCKS)]
    assert sent_back(thinking_blocks=blocks).reasoning_blocks == sent_back(thinking_blocks=BLOCKS).reasoning_blocks


def test_openais_client_puts_the_blocks_of_a_stream_together() -> None:
    lines = openai_chat.StreamRenderer("request-1", False).events(EVENTS).decode().split("\n\n")
    state = ChatCompletionStreamState()
    for line in filter(None, lines):
        state.handle_chunk(ChatCompletionChunk.model_validate_json(line.removeprefix("data: ")))
    message = state.get_final_completion().choices[0].message.to_dict()
    assert message["reasoning_content"] == "Hm.And?"
    assert sent_back(**message).reasoning_blocks == sent_back(thinking_blocks=BLOCKS).reasoning_blocks


@pytest.mark.parametrize("blocks", [None, "x", [None], [{"type": "thinking", "thinking": "not signed"}], [{"type": "new"}]])
def test_what_is_no_signed_block_is_left_out(blocks: Any) -> None:
    message = sent_back(thinking_blocks=blocks)
    assert (message.text, message.reasoning_blocks) == ("Hello", ())
