"""The official Anthropic SDK: messages, streams, tools with the history fed back, images, counting."""

from typing import Any

import anthropic
from checks import API_KEY, BASE_URL, run

client = anthropic.Anthropic(base_url=BASE_URL.removesuffix("/v1"), api_key=API_KEY, max_retries=0)
USER: Any = {"role": "user", "content": "What is the weather in Paris?"}
TOOL: Any = {
    "name": "get_weather",
    "description": "Tell the weather of a city.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


def messages(model: str) -> None:
    answer = client.messages.create(model=model, max_tokens=300, system="Be brief.", messages=[USER])
    assert any(block.type == "text" and block.text for block in answer.content)
    assert answer.stop_reason == "end_turn" and answer.usage.output_tokens > 0


def stream(model: str) -> None:
    with client.messages.stream(model=model, max_tokens=300, messages=[USER]) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert text and final.stop_reason == "end_turn"
    again: list[Any] = [USER, {"role": "assistant", "content": final.content}, USER]
    assert client.messages.create(model=model, max_tokens=300, messages=again).content


def tools(model: str) -> None:
    first = client.messages.create(
        model=model,
        max_tokens=300,
        messages=[USER],
        tools=[TOOL],
        tool_choice={"type": "any", "disable_parallel_tool_use": True},
    )
    assert first.stop_reason == "tool_use"
    (use,) = [block for block in first.content if block.type == "tool_use"]
    result: Any = {"type": "tool_result", "tool_use_id": use.id, "content": [{"type": "text", "text": "7 degrees"}]}
    answered: list[Any] = [USER, {"role": "assistant", "content": first.content}, {"role": "user", "content": [result]}]
    assert client.messages.create(model=model, max_tokens=300, messages=answered, tools=[TOOL]).content


def tools_streamed(model: str) -> None:
    with client.messages.stream(
        model=model, max_tokens=300, messages=[USER], tools=[TOOL], tool_choice={"type": "tool", "name": "get_weather"}
    ) as stream:
        final = stream.get_final_message()
    (use,) = [block for block in final.content if block.type == "tool_use"]
    assert isinstance(use.input, dict) and "city" in use.input


def count_tokens(model: str) -> None:
    assert client.messages.count_tokens(model=model, messages=[USER]).input_tokens > 0


def models(model: str) -> None:
    listed = {each.id: each for each in client.models.list()}
    one = client.models.retrieve(model)
    assert listed[model] == one and (one.type, one.display_name) == ("model", model)
    assert one.created_at.year and one.max_input_tokens and one.max_tokens
    try:
        client.models.retrieve("meta-llama/Llama-3.1:8b")
        raise AssertionError("there is no such model")
    except anthropic.NotFoundError:
        pass


def errors(model: str) -> None:
    """Errors are Anthropic's own classes with its own shape."""
    try:
        client.messages.create(model=model, max_tokens=300, messages=[{"role": "user", "content": 7}])
        raise AssertionError("7 is no content")
    except anthropic.BadRequestError as error:
        assert isinstance(error.body, dict) and error.body["type"] == "error", error.body
    stranger = anthropic.Anthropic(base_url=BASE_URL.removesuffix("/v1"), api_key="x" * 40, max_retries=0)
    try:
        stranger.messages.create(model=model, max_tokens=300, messages=[USER])
        raise AssertionError("a wrong key was let in")
    except anthropic.AuthenticationError:
        pass


if __name__ == "__main__":
    run({check.__name__: check for check in (messages, stream, tools, tools_streamed, count_tokens, models, errors)})
