"""The same conversations over every provider that is called over HTTP: what each is sent, and what a caller gets."""

import json
from dataclasses import replace
from typing import Any

import pytest

from llm_functions.api_formats.chat import SYSTEM_PROMPT
from wire.anthropic import Anthropic
from wire.conversations import (
    BOTH,
    BRIEF,
    CALLED,
    CLOCK,
    FINISH,
    HELLO,
    NOTHING,
    OTHER,
    RESULT,
    SCHEMA,
    TOOLS,
    WEATHER,
    answers_in_turn,
    ask_chat,
    ask_openai,
    assistant,
    check,
    every,
    tool,
    user,
)
from wire.openai import OpenAI
from wire.providers import SPEAKERS
from wire.speaker import Answer, Asked, Speaker

# What is sent.

OFFERED = {"weather": ("The weather of a city", SCHEMA), "clock": (None, NOTHING)}
CALLED_TURNS = (("user", "Hi"), ("call", "call_1", "weather", WEATHER.arguments), ("result", "call_1", "21 degrees"))
# what a caller of the OpenAI route says -> what the provider is asked
REQUESTS: dict[str, tuple[dict[str, Any], Asked]] = {
    "text": ({}, Asked()),
    "text that is no ASCII": ({"messages": [user("Grüß 🙂")]}, Asked((("user", "Grüß 🙂"),))),
    "a system prompt": ({"messages": [BRIEF, user("Hi")]}, Asked(system="Be brief.")),
    "several turns": (
        {"messages": [user("One"), assistant("Two"), user("Three"), user("Four")]},
        Asked((("user", "One"), ("assistant", "Two"), ("user", "Three"), ("user", "Four"))),
    ),
    "parameters": (
        {"max_tokens": 9, "temperature": 0.5, "top_p": 0.25, "stop": ["END", "STOP"]},
        Asked(max_tokens=9, temperature=0.5, top_p=0.25, stop=("END", "STOP")),
    ),
    "zeros": ({"temperature": 0, "top_p": 0}, Asked(temperature=0, top_p=0)),
    "a stop sequence": ({"stop": "END"}, Asked(stop=("END",))),
    "tools": ({"tools": TOOLS}, Asked(tools=OFFERED, choice="auto")),
    "a call that must be": (
        {"tools": TOOLS, "tool_choice": "required"},
        Asked(tools=OFFERED, choice="required"),
    ),
    "a call that is chosen": (
        {"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "clock"}}},
        Asked(tools=OFFERED, choice="clock"),
    ),
    "a tool's result": ({"messages": CALLED, "tools": TOOLS}, Asked(CALLED_TURNS, tools=OFFERED, choice="auto")),
    "results of several tools": (
        {
            "messages": [
                user("Hi"),
                assistant("Let me look.", WEATHER, CLOCK),
                RESULT,
                {"role": "tool", "tool_call_id": "call_3", "content": ""},
                user("And?"),
            ],
            "tools": TOOLS,
        },
        Asked(
            (
                ("user", "Hi"),
                ("assistant", "Let me look."),
                ("call", "call_1", "weather", WEATHER.arguments),
                ("call", "call_3", "clock", {}),
                ("result", "call_1", "21 degrees"),
                ("result", "call_3", ""),
                ("user", "And?"),
            ),
            tools=OFFERED,
            choice="auto",
        ),
    ),
}
# Three bodies: the others that speak OpenAI's format differ from it in the bound's name, and in what their path says.
BODIES = ("bedrock", "openai", "anthropic")
SENT = {
    f"{name}-{request}": (speaker, *REQUESTS[request])
    for name, speaker in SPEAKERS.items()
    for request in (REQUESTS if name in BODIES else ("parameters", "tools"))
}


@pytest.mark.parametrize(("speaker", "said", "asked"), SENT.values(), ids=SENT)
async def test_what_is_sent(gateway_for, fake, speaker: Speaker, said: Any, asked: Asked) -> None:
    upstream = await fake(answers_in_turn(speaker.response(HELLO, stream=False)))
    await ask_openai(await gateway_for(speaker, upstream), False, **said)
    assert check(speaker, upstream, stream=False) == asked


@every({name: SPEAKERS[name] for name in BODIES})
async def test_a_history_of_calls_without_tools(gateway_for, fake, speaker: Speaker) -> None:
    """Bedrock and Anthropic refuse it where the tools are not declared; none of them may be called then."""
    upstream = await fake(answers_in_turn(speaker.response(HELLO, stream=False)))
    answer, _ = await ask_openai(await gateway_for(speaker, upstream), False, messages=CALLED)
    asked = check(speaker, upstream, stream=False)
    assert (answer, asked.turns) == (HELLO, CALLED_TURNS)
    if isinstance(speaker, OpenAI):
        assert (asked.tools, asked.choice) == ({}, None)
    else:
        assert list(asked.tools) == ["weather"] and asked.choice != "required"
    if isinstance(speaker, Anthropic):
        assert asked.choice == "none"


# Bounds.


@every(SPEAKERS)
async def test_a_temperature_above_the_targets_own_is_not_sent(gateway_for, fake, speaker: Speaker) -> None:
    upstream = await fake(answers_in_turn())
    service = await gateway_for(speaker, upstream)
    for stream in (False, True):
        body = {"model": "model", "messages": [user("Hi")], "stream": stream, "temperature": 1.5}
        response = await service.post("/v1/chat/completions", body)
        error = service.error_of(response)
        assert (response.status_code, error["code"], error["param"]) == (400, "invalid_value", "temperature")
    assert upstream.bodies == []


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
@every(SPEAKERS)
async def test_a_bound_above_the_targets_own_is_lowered(gateway_for, fake, speaker: Speaker, name: str) -> None:
    """Claude Code and LiteLLM send 32,000 and more with every request."""
    upstream = await fake(answers_in_turn(speaker.response(HELLO, stream=False)))
    await ask_openai(await gateway_for(speaker, upstream), False, messages=[user("Hi")], **{name: 128_000})
    assert check(speaker, upstream, stream=False).max_tokens == 4096


@every(SPEAKERS)
async def test_reasoning_effort(gateway_for, fake, speaker: Speaker) -> None:
    """Where the target knows none, it is left out, and the answer's head says so."""
    upstream = await fake(answers_in_turn(speaker.response(HELLO, stream=False)))
    service = await gateway_for(speaker, upstream)
    body = {"model": "model", "messages": [user("Hi")], "reasoning_effort": "low"}
    response = await service.post("/v1/chat/completions", body)
    assert response.status_code == 200
    check(speaker, upstream, stream=False)
    if speaker.takes_effort:
        assert upstream.bodies[0]["reasoning_effort"] == "low" and "x-llm-dropped" not in response.headers
    else:
        assert b"effort" not in json.dumps(upstream.bodies[0]).encode()
        assert response.headers["x-llm-dropped"] == "reasoning_effort"


NESTED = {"arguments": "messages[1].tool_calls[0].function.arguments", "parameters": "tools[0].function.parameters"}


@pytest.mark.parametrize(("where", "param"), NESTED.items(), ids=NESTED)
async def test_nesting_has_a_bound(gateway_for, fake, where: str, param: str) -> None:
    """Well below the depth at which JSON can be read where the request is, and not written where the provider's is made."""
    speaker = SPEAKERS["bedrock"]  # whose body nests what is sent the deepest
    upstream = await fake(answers_in_turn(speaker.response(HELLO, stream=False)))
    service = await gateway_for(speaker, upstream)
    statuses: list[int] = []
    for levels in (100, 101, *range(900, 1000, 4), 100_000):
        deep = '{"properties":' * (levels - 1) + "{}" + "}" * (levels - 1)
        if where == "arguments":
            use = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": deep}}
            turns = [user("Hi"), {"role": "assistant", "tool_calls": [use]}, RESULT]
            body = json.dumps({"model": "model", "messages": turns})
        else:
            offered = json.dumps({"model": "model", "messages": [user("Hi")], "tools": [tool("weather", parameters="HERE")]})
            body = offered.replace('"HERE"', deep)
        response = await service.http.post("/v1/chat/completions", content=body)
        statuses.append(response.status_code)
        if levels < 900 and response.status_code == 400:
            assert service.error_of(response)["param"].startswith(param)
    assert statuses == [200, *[400] * (len(statuses) - 1)] and len(upstream.bodies) == 1


# What is answered.

# what the provider answers, complete and streamed
ANSWERS: dict[str, Answer] = {
    "text that is no ASCII": Answer("Größe 你好\n🙂"),
    "reasoning": Answer("42", reasoning="Six times seven is 42."),
    "an empty answer": Answer(usage=(11, 0)),
    "the bound of the answer": Answer("Up to the", stop="max_tokens", usage=(11, 1)),
    "a filter in the midst": Answer("Up to the", stop="content_filtered"),
    "several tool calls": Answer("Let me look.", "The weather, then the time.", (WEATHER, CLOCK, OTHER), "tool_use"),
    "a call without arguments": Answer("", "", (CLOCK,), "tool_use"),
}


@BOTH
@every(SPEAKERS)
@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
async def test_what_is_answered(gateway_for, fake, speaker: Speaker, answer: Answer, stream: bool) -> None:
    upstream = await fake(answers_in_turn(speaker.response(answer, stream=stream)))
    service = await gateway_for(speaker, upstream)
    expected = speaker.expected(answer)
    said = {"tools": TOOLS} if answer.calls else {}
    assert await ask_openai(service, stream, **said) == (replace(expected, stop="end_turn"), FINISH[expected.stop])
    check(speaker, upstream, stream=stream)


@BOTH
@every(SPEAKERS)
async def test_a_stop_sequence_is_told_where_the_provider_tells_it(gateway_for, fake, speaker: Speaker, stream: bool) -> None:
    """OpenAI's finish_reason is the same for both; /chat tells them apart."""
    answer = Answer("Up to the", stop="stop_sequence")
    service = await gateway_for(speaker, await fake(answers_in_turn(speaker.response(answer, stream=stream))))
    assert await ask_chat(service, stream) == speaker.expected(answer)


# The same over /chat. It reads the same events whoever answers, so that one provider is enough.

# what a caller of /chat says -> what the provider is asked beside the defaults
CHATS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "text": ({}, {}),
    "parameters": ({"max_tokens": 1, "stop": "END"}, {"max_tokens": 1, "stop": ("END",)}),
    "a history": (
        {"history": [user("One"), assistant("Two")], "system_prompt": "Be brief.", "temperature": 0, "top_p": 1},
        {"turns": (("user", "One"), ("assistant", "Two"), ("user", "Hi"))}
        | {"system": "Be brief.", "temperature": 0.0, "top_p": 1.0},
    ),
}


@BOTH
@pytest.mark.parametrize(("said", "asked"), CHATS.values(), ids=CHATS)
async def test_what_is_sent_for_a_chat(gateway_for, fake, said: Any, asked: Any, stream: bool) -> None:
    speaker = SPEAKERS["bedrock"]
    upstream = await fake(answers_in_turn(speaker.response(HELLO, stream=stream)))
    assert await ask_chat(await gateway_for(speaker, upstream), stream, **said) == HELLO
    defaults = Asked(system=SYSTEM_PROMPT, max_tokens=1000, temperature=0.7, top_p=0.9)
    assert check(speaker, upstream, stream=stream) == replace(defaults, **asked)


@BOTH
@pytest.mark.parametrize("answer", [answer for answer in ANSWERS.values() if not answer.calls])
async def test_what_is_answered_to_a_chat(gateway_for, fake, answer: Answer, stream: bool) -> None:
    speaker = SPEAKERS["bedrock"]
    service = await gateway_for(speaker, await fake(answers_in_turn(speaker.response(answer, stream=stream))))
    assert await ask_chat(service, stream) == answer
