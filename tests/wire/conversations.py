"""What callers say and what they make of the answers, the same for every provider."""

import json
from typing import Any

import pytest

from wire.openai import OpenAI
from wire.speaker import Answer, Asked, FunctionCall, Speaker

BOTH = pytest.mark.parametrize("stream", [False, True], ids=["complete", "streamed"])


def every(speakers: dict[str, Speaker] | dict[str, OpenAI]) -> Any:
    return pytest.mark.parametrize("speaker", speakers.values(), ids=speakers)


def answers_in_turn(*responses: bytes) -> Any:
    """A script: answer one request after another on one connection, as long as the gateway keeps it."""

    async def script(peer: Any) -> None:
        for response in responses:
            await peer.request()
            await peer.send(response)
        await peer.gone()

    return script


def check(speaker: Speaker, upstream: Any, *, stream: bool) -> Asked:
    """What the last request asked; the request must be as the provider documents it."""
    lines = [line.split(": ", 1) for line in upstream.heads[-1].split("\r\n")[1:] if line]
    speaker.check(upstream.paths[-1], {name.lower(): value for name, value in lines}, upstream.bodies[-1], stream=stream)
    return speaker.asked(upstream.bodies[-1])


FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "tool_use": "tool_calls",
    "content_filtered": "content_filter",
}


async def ask_openai(service: Any, stream: bool, **said: Any) -> tuple[Answer, str]:
    """What the official client makes of the answer, and the finish_reason that it tells."""
    create = service.openai().chat.completions.create
    arguments: dict[str, Any] = {"model": "model", "messages": [user("Hi")], **said}
    if not stream:
        answer = await create(**arguments)
        (choice,) = answer.choices
        found = choice.message.tool_calls or []
        assert (choice.message.content is None) == bool(found and not choice.message.content)
        calls = [(call.id, call.function.name, call.function.arguments) for call in found]
        text, reasoning = choice.message.content or "", getattr(choice.message, "reasoning_content", "")
        usage, reason = answer.usage, choice.finish_reason
    else:
        text = reasoning = reason = ""
        parts: dict[int, list[str]] = {}
        usage = None
        async for chunk in await create(stream=True, stream_options={"include_usage": True}, **arguments):
            assert usage is None
            usage = chunk.usage
            for choice in chunk.choices:
                assert not reason
                text += choice.delta.content or ""
                reasoning += getattr(choice.delta, "reasoning_content", None) or ""
                for call in choice.delta.tool_calls or []:
                    if call.id:
                        assert call.index == len(parts)
                        parts[call.index] = [call.id, call.function.name, ""]
                    parts[call.index][2] += call.function.arguments
                reason = choice.finish_reason or ""
        calls = [(id_, name, arguments) for id_, name, arguments in parts.values()]
        assert usage is not None
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    answer = Answer(
        text=text,
        reasoning=reasoning,
        calls=tuple(FunctionCall(id_, name, json.loads(arguments)) for id_, name, arguments in calls),
        usage=(usage.prompt_tokens, usage.completion_tokens),
    )
    return answer, reason


async def ask_chat(service: Any, stream: bool, **said: Any) -> Answer:
    """What a caller of /chat or /chat/stream gets."""
    body = {"message": "Hi", **said}
    if not stream:
        response = await service.post("/chat", body)
        assert response.status_code == 200, response.text
        assert response.headers["x-llm-target"] == "the/target"
        answer = response.json()
        usage = (answer["usage"]["input_tokens"], answer["usage"]["output_tokens"])
        return Answer(answer["message"], answer.get("reasoning", ""), (), answer["stop_reason"], usage)
    return read_chat(await service.sse("/chat/stream", body))


def read_chat(events: list[Any]) -> Answer:
    """What the events of /chat/stream amount to, in the order that they must have."""
    first, *middle, usage, done = [event for event in events if event.name]
    assert (first.name, usage.name, done.name) == ("start", "usage", "done"), done.data
    text = reasoning = ""
    calls: list[list[str]] = []
    for event in middle:
        match event.data:
            case {"type": "delta", "text": piece}:
                text += piece
            case {"type": "reasoning", "text": piece}:
                reasoning += piece
            case {"type": "tool_call", "index": index, "id": id_, "name": name}:
                assert index == len(calls)
                calls.append([id_, name, ""])
            case {"type": "tool_call_delta", "index": index, "arguments": piece}:
                assert index >= 0
                calls[index][2] += piece
            case unknown:
                raise AssertionError(unknown)
    return Answer(
        text,
        reasoning,
        tuple(FunctionCall(id_, name, json.loads(arguments)) for id_, name, arguments in calls),
        done.data["stop_reason"],
        (usage.data["input_tokens"], usage.data["output_tokens"]),
    )


# What is said.


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def assistant(text: str | None, *calls: FunctionCall) -> dict[str, Any]:
    uses = [{"id": c.id, "type": "function", "function": {"name": c.name, "arguments": json.dumps(c.arguments)}} for c in calls]
    return {"role": "assistant", "content": text, **({"tool_calls": uses} if uses else {})}


def tool(name: str, **more: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, **more}}


SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
NOTHING: dict[str, Any] = {"type": "object", "properties": {}}
TOOLS = [tool("weather", description="The weather of a city", parameters=SCHEMA), tool("clock")]
OFFERED = {"weather": ("The weather of a city", SCHEMA), "clock": (None, NOTHING)}
WEATHER = FunctionCall("call_1", "weather", {"city": "Köln", "day": {"n": [1, 2.5, None]}})
OTHER = FunctionCall("call_2", "weather", {"city": "北京"})
CLOCK = FunctionCall("call_3", "clock", {})
BRIEF = {"role": "system", "content": "Be brief."}
RESULT = {"role": "tool", "tool_call_id": "call_1", "content": "21 degrees"}
CALLED = [user("Hi"), assistant(None, WEATHER), RESULT]
CALLED_TURNS = (("user", "Hi"), ("call", "call_1", "weather", WEATHER.arguments), ("result", "call_1", "21 degrees"))
HELLO = Answer("Hello, who is there?")
