"""OpenAI's older completions, whole and streamed, called by the official SDK."""

from typing import Any

import openai
import pytest


async def test_a_prompt_is_answered_whole_and_streamed(gateway, bedrock) -> None:
    upstream = await bedrock()
    client = (await gateway(upstream.url)).openai()
    answer = await client.completions.create(model="full", prompt="Hello, who is there?", max_tokens=200, stop=["@@"], n=1)
    (choice,) = answer.choices
    assert (answer.object, choice.finish_reason) == ("text_completion", "stop") and "Hello, who is there?" in choice.text
    stream: Any = await client.completions.create(
        model="full", prompt=["Hello, who is there?"], max_tokens=200, stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    assert "".join(chunk.choices[0].text for chunk in chunks[:-1]) == choice.text
    assert (chunks[-2].choices[0].finish_reason, chunks[-1].usage) == ("stop", answer.usage)
    assert [turn.role for turn in upstream.calls[0].messages] == ["user"]
    assert (upstream.calls[0].max_tokens, upstream.calls[0].stop) == (200, ("@@",))
    cut = await client.completions.create(model="full", prompt="Hello", max_tokens=2)
    assert cut.choices[0].finish_reason == "length"


@pytest.mark.parametrize(
    "fields",
    [{"prompt": ["a", "b"]}, {"prompt": [1, 2]}, {"prompt": ""}, {"echo": True}, {"logprobs": 2}, {"best_of": 2}, {"n": 2}],
)
async def test_what_is_refused(gateway, fields: dict[str, Any]) -> None:
    client = (await gateway()).openai()
    arguments: Any = {"model": "full", "prompt": "Hi", **fields}
    with pytest.raises(openai.BadRequestError) as refused:
        await client.completions.create(**arguments)
    assert refused.value.param == next(iter(fields))
