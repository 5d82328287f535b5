"""The official OpenAI SDK: chat, streams with the history fed back, structured output, strict tools, images, Responses."""

import base64
import json
from typing import Any

import openai
from checks import API_KEY, BASE_URL, run
from pydantic import BaseModel

client = openai.OpenAI(base_url=BASE_URL, api_key=API_KEY, max_retries=0)
SYSTEM: Any = {"role": "system", "content": "You are brief."}
USER: Any = {"role": "user", "content": "What is the weather in Paris?"}
# One red pixel.
PNG = base64.b64encode(
    base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==")
).decode()


class Weather(BaseModel):
    """The weather of a city."""

    city: str
    celsius: float
    words: list[str]


class get_weather(BaseModel):
    """Tell the weather of a city."""

    city: str
    days: int | None


TOOL: Any = openai.pydantic_function_tool(get_weather)


def chat(model: str) -> None:
    answer = client.chat.completions.create(model=model, messages=[SYSTEM, USER])
    assert answer.choices[0].message.content
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None and answer.usage.total_tokens > 0
    assert answer.usage.prompt_tokens_details is None or answer.usage.prompt_tokens_details.cached_tokens is not None


def every_neutral_value(model: str) -> None:
    """What frameworks send although it says nothing."""
    answer = client.chat.completions.create(
        model=model,
        messages=[USER],
        n=1,
        frequency_penalty=0,
        presence_penalty=0,
        logprobs=False,
        store=False,
        parallel_tool_calls=True,
        logit_bias={},
        metadata={},
        user="somebody",
        seed=7,
        stop=None,
        tools=openai.omit,
        service_tier="auto",
        response_format={"type": "text"},
        extra_body={"top_logprobs": None, "prompt_cache_key": "k", "safety_identifier": "s", "modalities": ["text"]},
    )
    assert answer.choices[0].message.content


def stream_helper(model: str) -> None:
    """The stream helper; its final message goes back as it is."""
    messages: list[Any] = [SYSTEM, USER]
    with client.chat.completions.stream(model=model, messages=messages, stream_options={"include_usage": True}) as stream:
        kinds = {event.type for event in stream}
        final = stream.get_final_completion()
    assert {"chunk", "content.delta", "content.done"} <= kinds, kinds
    assert final.usage is not None and final.usage.completion_tokens > 0
    messages += [final.choices[0].message, {"role": "user", "content": "And tomorrow?"}]
    assert client.chat.completions.create(model=model, messages=messages).choices[0].message.content
    dumped = final.choices[0].message.model_dump()
    assert client.chat.completions.create(model=model, messages=[USER, dumped, USER]).choices[0].message.content


def parse(model: str) -> None:
    answer = client.chat.completions.parse(model=model, messages=[USER], response_format=Weather)
    assert isinstance(answer.choices[0].message.parsed, Weather)
    again: list[Any] = [USER, answer.choices[0].message, USER]  # with the field `parsed`
    assert client.chat.completions.parse(model=model, messages=again, response_format=Weather).choices[0].message.parsed


def parse_stream(model: str) -> None:
    with client.chat.completions.stream(model=model, messages=[USER], response_format=Weather) as stream:
        for _ in stream:
            pass
        assert isinstance(stream.get_final_completion().choices[0].message.parsed, Weather)


def json_object(model: str) -> None:
    asked: Any = [{"role": "user", "content": "Answer as a JSON object with the key city."}]
    answer = client.chat.completions.create(model=model, messages=asked, response_format={"type": "json_object"})
    assert isinstance(json.loads(answer.choices[0].message.content or ""), dict)


def strict_tools(model: str) -> None:
    """A strict tool, called, answered, with the SDK's own message in the history."""
    messages: list[Any] = [USER]
    answer = client.chat.completions.parse(
        model=model, messages=messages, tools=[TOOL], tool_choice="required", parallel_tool_calls=False
    )
    message = answer.choices[0].message
    assert answer.choices[0].finish_reason == "tool_calls", answer.choices[0].finish_reason
    assert message.tool_calls and len(message.tool_calls) == 1
    call = message.tool_calls[0]
    assert isinstance(call.function.parsed_arguments, get_weather)
    messages += [message, {"role": "tool", "tool_call_id": call.id, "content": '{"celsius": 7}'}]
    answer = client.chat.completions.parse(model=model, messages=messages, tools=[TOOL], parallel_tool_calls=False)
    assert answer.choices[0].message.content or answer.choices[0].message.tool_calls


def tools_streamed(model: str) -> None:
    with client.chat.completions.stream(model=model, messages=[USER], tools=[TOOL], tool_choice="required") as stream:
        kinds = {event.type for event in stream}
        message = stream.get_final_completion().choices[0].message
    assert "tool_calls.function.arguments.done" in kinds, kinds
    assert message.tool_calls and isinstance(message.tool_calls[0].function.parsed_arguments, get_weather)
    answered: list[Any] = [USER, message, {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "7 degrees"}]
    assert client.chat.completions.create(model=model, messages=answered, tools=[TOOL]).choices[0].message.content


def cut_short(model: str) -> None:
    """An answer of two tokens, whose text or arguments are cut, goes back."""
    messages: list[Any] = [USER]
    answer = client.chat.completions.create(model=model, messages=messages, max_completion_tokens=2)
    assert answer.choices[0].finish_reason == "length"
    messages += [answer.choices[0].message, {"role": "user", "content": "Go on."}]
    assert client.chat.completions.create(model=model, messages=messages).choices[0].message


def stop(model: str) -> None:
    answer = client.chat.completions.create(model=model, messages=[USER], stop=["stand-in"])
    assert "stand-in" not in (answer.choices[0].message.content or "")


def models(model: str) -> None:
    assert model in {each.id for each in client.models.list()}
    assert client.models.retrieve(model).id == model
    try:
        client.models.retrieve("meta-llama/Llama-3.1:8b")
        raise AssertionError("there is no such model")
    except openai.NotFoundError as error:
        assert error.code == "model_not_found"


def responses(model: str) -> None:
    answer = client.responses.create(model=model, input="Say hello.", instructions="Be brief.", store=False)
    assert answer.output_text and answer.status == "completed" and answer.usage is not None
    parsed = client.responses.parse(model=model, input="The weather in Paris", text_format=Weather, store=False)
    assert isinstance(parsed.output_parsed, Weather)


def responses_stream(model: str) -> None:
    with client.responses.stream(model=model, input=[{"role": "user", "content": "Say hello."}], store=False) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_response()
    assert kinds[0] == "response.created" and kinds[-1] == "response.completed", kinds
    assert "response.output_text.delta" in kinds and final.output_text


def responses_tools(model: str) -> None:
    tool: Any = {
        "type": "function",
        "name": "get_weather",
        "strict": True,
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
            "additionalProperties": False,
        },
    }
    question: list[Any] = [{"role": "user", "content": "What is the weather in Paris?"}]
    first = client.responses.create(model=model, input=question, tools=[tool], tool_choice="required", store=False)
    calls = [item for item in first.output if item.type == "function_call"]
    assert len(calls) >= 1 and "city" in json.loads(calls[0].arguments)
    question += [*first.output, {"type": "function_call_output", "call_id": calls[0].call_id, "output": "7 degrees"}]
    second = client.responses.create(model=model, input=question, tools=[tool], store=False)
    assert second.output


def completions(model: str) -> None:
    assert client.completions.create(model=model, prompt="Once upon a time", max_tokens=200).choices[0].text


if __name__ == "__main__":
    run(
        {
            check.__name__: check
            for check in (
                chat,
                every_neutral_value,
                stream_helper,
                parse,
                parse_stream,
                json_object,
                strict_tools,
                tools_streamed,
                cut_short,
                stop,
                models,
                responses,
                responses_stream,
                responses_tools,
                completions,
            )
        }
    )
