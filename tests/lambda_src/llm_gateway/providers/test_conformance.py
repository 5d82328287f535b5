"""The same conversations over every provider that is called over HTTP: what each is sent, and what a caller gets."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from llm_functions.api_formats.chat import SYSTEM_PROMPT
from llm_gateway.aws.client import Aws
from llm_gateway.routes import Alias, Endpoint, Routes, Target
from support.local_bedrock import REGION
from wire import http
from wire.anthropic import Anthropic
from wire.bedrock import Converse
from wire.openai import OpenAI
from wire.providers import OPENAI, SPEAKERS
from wire.speaker import KEY, Answer, Asked, Frames, FunctionCall, Speaker, dumped, with_unknown_members

pytestmark = pytest.mark.timeout(20)

BOTH = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
SECRET = f"arn:aws:secretsmanager:{REGION}:123456789012:secret:provider-key"


def every(speakers: dict[str, Speaker] | dict[str, OpenAI]) -> Any:
    return pytest.mark.parametrize("speaker", speakers.values(), ids=speakers)


# The gateway in front of a speaker.


@pytest.fixture
def gateway_for(gateway, fake, monkeypatch) -> Callable[..., Any]:
    """Start the gateway in front of `upstream`, which speaks as `speaker`; its key comes from Secrets Manager."""

    async def start(speaker: Speaker, upstream: Any) -> Any:
        async def tell_key(peer: Any) -> None:
            while True:
                assert (await peer.request())["SecretId"] == SECRET
                await peer.send(http.response(200, {"SecretString": json.dumps({"api_key": KEY})}))

        urls = {"bedrock-runtime": upstream.url, "secretsmanager": (await fake(tell_key)).url}
        monkeypatch.setattr(Aws, "endpoint", lambda self, service: urls[service])
        target = Target(
            name="the/target",
            provider="there" if speaker.endpoint else "bedrock",
            model="test.model-v1:0",
            max_output_tokens=4096,
            context_tokens=100_000,
            accepts=(
                *("max_tokens", "temperature", "top_p", "stop", "system", "tools", "stream_tools"),
                *(("reasoning_effort",) if speaker.takes_effort else ()),
            ),
            stop_max=3,
            **speaker.target,
        )
        secret = SECRET if speaker.key else ""
        base = upstream.url + ("" if speaker.endpoint == "anthropic" else "/v1")
        endpoints = (Endpoint("there", speaker.endpoint, base_url=base, secret_arn=secret),) if speaker.endpoint else ()
        return await gateway(routes=Routes((Alias("model", (target,), retries=0),), endpoints))

    return start


def plays(*responses: bytes) -> Any:
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


# The same conversation.


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
# what a caller of the OpenAI route says -> what the provider is asked, and what it answers
CONVERSATIONS: dict[str, tuple[dict[str, Any], Asked, Answer]] = {
    "text": ({}, Asked(), HELLO),
    "text that is no ASCII": (
        {"messages": [user("Grüß 🙂")]},
        Asked((("user", "Grüß 🙂"),)),
        Answer("Größe 你好\n🙂"),
    ),
    "reasoning": ({}, Asked(), Answer("42", reasoning="Six times seven is 42.")),
    "an empty answer": ({}, Asked(), Answer(usage=(11, 0))),
    "a system prompt": (
        {"messages": [BRIEF, user("Hi")]},
        Asked(system="Be brief."),
        HELLO,
    ),
    "several turns": (
        {"messages": [user("One"), assistant("Two"), user("Three"), user("Four")]},
        Asked((("user", "One"), ("assistant", "Two"), ("user", "Three"), ("user", "Four"))),
        HELLO,
    ),
    "parameters": (
        {"max_tokens": 9, "temperature": 0.5, "top_p": 0.25, "stop": ["END", "STOP"]},
        Asked(max_tokens=9, temperature=0.5, top_p=0.25, stop=("END", "STOP")),
        HELLO,
    ),
    "zeros": ({"temperature": 0, "top_p": 0}, Asked(temperature=0, top_p=0), HELLO),
    "a stop sequence": ({"stop": "END"}, Asked(stop=("END",)), Answer("Up to the", stop="stop_sequence")),
    "the bound of the answer": ({"max_tokens": 1}, Asked(max_tokens=1), Answer("Up to the", stop="max_tokens", usage=(11, 1))),
    "a filter in the midst": ({}, Asked(), Answer("Up to the", stop="content_filtered")),
    "tools that are not called": ({"tools": TOOLS}, Asked(tools=OFFERED, choice="auto"), HELLO),
    "a tool call": ({"tools": TOOLS}, Asked(tools=OFFERED, choice="auto"), Answer(calls=(WEATHER,), stop="tool_use")),
    "several tool calls": (
        {"tools": TOOLS},
        Asked(tools=OFFERED, choice="auto"),
        Answer("Let me look.", "The weather, then the time.", (WEATHER, CLOCK, OTHER), "tool_use"),
    ),
    "a call without arguments": ({"tools": TOOLS}, Asked(tools=OFFERED, choice="auto"), Answer("", "", (CLOCK,), "tool_use")),
    "a call that must be": (
        {"tools": TOOLS, "tool_choice": "required"},
        Asked(tools=OFFERED, choice="required"),
        Answer("", "", (CLOCK,), "tool_use"),
    ),
    "a call that is chosen": (
        {"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "clock"}}},
        Asked(tools=OFFERED, choice="clock"),
        Answer("", "", (CLOCK,), "tool_use"),
    ),
    "a tool's result": ({"messages": CALLED, "tools": TOOLS}, Asked(CALLED_TURNS, tools=OFFERED, choice="auto"), HELLO),
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
        HELLO,
    ),
}


@BOTH
@every(SPEAKERS)
@pytest.mark.parametrize(("said", "asked", "answer"), CONVERSATIONS.values(), ids=CONVERSATIONS)
async def test_a_conversation(
    gateway_for, fake, speaker: Speaker, said: Any, asked: Asked, answer: Answer, stream: bool
) -> None:
    upstream = await fake(plays(speaker.response(answer, stream=stream)))
    service = await gateway_for(speaker, upstream)
    expected = speaker.expected(answer)
    assert await ask_openai(service, stream, **said) == (replace(expected, stop="end_turn"), FINISH[expected.stop])
    assert check(speaker, upstream, stream=stream) == asked


# what a caller of /chat says -> what the provider is asked beside the defaults, and what it answers
CHATS: dict[str, tuple[dict[str, Any], dict[str, Any], Answer]] = {
    "text": ({}, {}, HELLO),
    "reasoning": ({}, {}, Answer("42", reasoning="Six times seven is 42.")),
    "an empty answer": ({}, {}, Answer(usage=(11, 0))),
    "a stop sequence": ({"stop": "END"}, {"stop": ("END",)}, Answer("Up to the", stop="stop_sequence")),
    "the bound of the answer": ({"max_tokens": 1}, {"max_tokens": 1}, Answer("Up to the", stop="max_tokens")),
    "a filter in the midst": ({}, {}, Answer("Up to the", stop="content_filtered")),
    "a history": (
        {"history": [user("One"), assistant("Two")], "system_prompt": "Be brief.", "temperature": 0, "top_p": 1},
        {"turns": (("user", "One"), ("assistant", "Two"), ("user", "Hi"))}
        | {"system": "Be brief.", "temperature": 0.0, "top_p": 1.0},
        HELLO,
    ),
}


@BOTH
@every(SPEAKERS)
@pytest.mark.parametrize(("said", "asked", "answer"), CHATS.values(), ids=CHATS)
async def test_a_chat(gateway_for, fake, speaker: Speaker, said: Any, asked: Any, answer: Answer, stream: bool) -> None:
    upstream = await fake(plays(speaker.response(answer, stream=stream)))
    service = await gateway_for(speaker, upstream)
    assert await ask_chat(service, stream, **said) == speaker.expected(answer)
    defaults = Asked(system=SYSTEM_PROMPT, max_tokens=1000, temperature=0.7, top_p=0.9)
    assert check(speaker, upstream, stream=stream) == replace(defaults, **asked)


@BOTH
@every(SPEAKERS)
async def test_a_history_of_calls_without_tools(gateway_for, fake, speaker: Speaker, stream: bool) -> None:
    """Bedrock and Anthropic refuse it where the tools are not declared; none of them may be called then."""
    upstream = await fake(plays(speaker.response(HELLO, stream=stream)))
    answer, _ = await ask_openai(await gateway_for(speaker, upstream), stream, messages=CALLED)
    asked = check(speaker, upstream, stream=stream)
    assert (answer, asked.turns) == (HELLO, CALLED_TURNS)
    if isinstance(speaker, OpenAI):
        assert (asked.tools, asked.choice) == ({}, None)
    else:
        assert list(asked.tools) == ["weather"] and asked.choice != "required"
    if isinstance(speaker, Anthropic):
        assert asked.choice == "none"


# Bounds.

# what is said -> the parameter to blame
OUT_OF_BOUNDS: dict[str, tuple[dict[str, Any], str]] = {
    "max_tokens": ({"max_tokens": 4097}, "max_tokens"),
    "max_completion_tokens": ({"max_completion_tokens": 4097}, "max_completion_tokens"),
    "temperature": ({"temperature": 1.5}, "temperature"),
    "stop": ({"stop": ["a", "b", "c", "d"]}, "stop"),
}


@every(SPEAKERS)
async def test_what_is_out_of_the_targets_bounds_is_not_sent(gateway_for, fake, speaker: Speaker) -> None:
    upstream = await fake(plays())
    service = await gateway_for(speaker, upstream)
    for said, param in OUT_OF_BOUNDS.values():
        for stream in (False, True):
            body = {"model": "model", "messages": [user("Hi")], "stream": stream, **said}
            response = await service.post("/v1/chat/completions", body)
            error = service.error_of(response)
            assert (response.status_code, error["code"], error["param"]) == (400, "invalid_value", param)
    assert upstream.bodies == []


@every(SPEAKERS)
async def test_reasoning_effort(gateway_for, fake, speaker: Speaker) -> None:
    upstream = await fake(plays(speaker.response(HELLO, stream=False)))
    service = await gateway_for(speaker, upstream)
    body = {"model": "model", "messages": [user("Hi")], "reasoning_effort": "low"}
    response = await service.post("/v1/chat/completions", body)
    if speaker.takes_effort:
        assert response.status_code == 200 and upstream.bodies[0]["reasoning_effort"] == "low"
        check(speaker, upstream, stream=False)
    else:
        assert (response.status_code, service.error_of(response)["param"]) == (400, "reasoning_effort")


NESTED = {"arguments": "messages[1].tool_calls[0].function.arguments", "parameters": "tools[0].function.parameters"}


@every(SPEAKERS)
@pytest.mark.parametrize(("where", "param"), NESTED.items(), ids=NESTED)
async def test_nesting_has_a_bound(gateway_for, fake, speaker: Speaker, where: str, param: str) -> None:
    """Well below the depth at which JSON can be read where the request is, and not written where the provider's is made."""
    upstream = await fake(plays(speaker.response(HELLO, stream=False)))
    service = await gateway_for(speaker, upstream)
    statuses: list[int] = []
    for levels in (100, 101, *range(900, 1000, 4), 100_000):
        deep = '{"type":' * (levels - 1) + "{}" + "}" * (levels - 1)
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
            assert service.error_of(response)["param"] == param
    assert statuses == [200, *[400] * (len(statuses) - 1)] and len(upstream.bodies) == 1


# What means nothing.

ALL = Answer("Let me look.", "The weather.", (WEATHER, CLOCK), "tool_use")


@every(SPEAKERS)
async def test_what_is_not_known_is_ignored(gateway_for, fake, speaker: Speaker) -> None:
    """Unknown members everywhere, and before every event of a stream all that means nothing: pings, comments, new events."""
    whole = http.response(200, speaker.padding() + dumped(with_unknown_members(speaker.complete(ALL))))
    noise = b"".join(speaker.noise())
    if isinstance(speaker, Converse):
        frames = [speaker.frame((name, with_unknown_members(payload))) for name, payload in speaker.events(ALL)]
    else:
        frames = [
            speaker.frame(event if isinstance(event, bytes) else with_unknown_members(event)) for event in speaker.events(ALL)
        ]
    upstream = await fake(plays(whole, speaker.streamed(*(noise + frame for frame in frames))))
    service = await gateway_for(speaker, upstream)
    for stream in (False, True):
        answer, reason = await ask_openai(service, stream, tools=TOOLS)
        assert (answer, reason) == (replace(speaker.expected(ALL), stop="end_turn"), "tool_calls")


async def test_blocks_of_tools_that_run_at_anthropic_are_ignored(gateway_for, fake) -> None:
    speaker = Anthropic()
    use = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}}
    found = {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []}
    deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in ("", '{"query": ', '"x"}')]
    blocks = [
        {"type": "content_block_start", "index": 0, "content_block": use},
        *({"type": "content_block_delta", "index": 0, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": 0},
        {"type": "content_block_start", "index": 1, "content_block": found},
        {"type": "content_block_stop", "index": 1},
    ]
    first, *rest = speaker.frames(ALL)
    *answered, delta, stop = rest
    before_and_behind = speaker.streamed(
        first, *map(speaker.frame, blocks), *answered, *map(speaker.frame, blocks), delta, stop
    )
    body = speaker.complete(ALL)
    whole = {**body, "content": [use, found, *body["content"], use]}
    service = await gateway_for(speaker, await fake(plays(http.response(200, dumped(whole)), before_and_behind)))
    for stream in (False, True):
        assert await ask_openai(service, stream, tools=TOOLS) == (replace(ALL, stop="end_turn"), "tool_calls")


# What servers of OpenAI's format do differently.


@BOTH
@every(OPENAI)
async def test_a_forced_call_that_ends_with_stop_is_a_call(gateway_for, fake, speaker: OpenAI, stream: bool) -> None:
    """OpenAI and vLLM say finish_reason "stop" where tool_choice names the function."""
    answer = Answer(calls=(CLOCK,))
    choice = {"type": "function", "function": {"name": "clock"}}
    upstream = await fake(plays(speaker.response(answer, stream=stream)))
    service = await gateway_for(speaker, upstream)
    assert await ask_openai(service, stream, tools=TOOLS, tool_choice=choice) == (answer, "tool_calls")


def _call(index: int | None, call: FunctionCall | None = None, arguments: str | None = None) -> dict[str, Any]:
    piece: dict[str, Any] = {} if index is None else {"index": index}
    if call:
        return piece | {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": arguments or ""}}
    return piece | {"function": {"arguments": arguments}}


FIRST, SECOND = json.dumps(WEATHER.arguments), json.dumps(OTHER.arguments)
# pieces of calls, each line those of one chunk -> the calls
CHUNKS: dict[str, tuple[list[list[Any]], tuple[FunctionCall, ...]]] = {
    "all begin before their arguments come": (
        [
            [_call(0, WEATHER), _call(1, CLOCK), _call(2, OTHER)],
            [_call(0, arguments=FIRST[:5]), _call(2, arguments=SECOND[:3])],
            [_call(2, arguments=SECOND[3:])],
            [_call(0, arguments=FIRST[5:])],
        ],
        (WEATHER, CLOCK, OTHER),
    ),
    "whole calls in one chunk": ([[_call(0, WEATHER, FIRST), _call(1, OTHER, SECOND)]], (WEATHER, OTHER)),
    "no index": ([[_call(None, WEATHER, FIRST)]], (WEATHER,)),
    "every index is 0": ([[_call(0, WEATHER, FIRST)], [_call(0, OTHER)], [_call(0, arguments=SECOND)]], (WEATHER, OTHER)),
    "the id is said again": ([[_call(0, WEATHER, FIRST[:5])], [_call(0, WEATHER, FIRST[5:])]], (WEATHER,)),
    "indexes from 1": ([[_call(1, CLOCK)], [_call(2, OTHER)], [_call(2, arguments=SECOND)]], (CLOCK, OTHER)),
}


@every(OPENAI)
@pytest.mark.parametrize(("chunks", "calls"), CHUNKS.values(), ids=CHUNKS)
async def test_how_calls_are_streamed(gateway_for, fake, speaker: OpenAI, chunks: Any, calls: tuple[FunctionCall, ...]) -> None:
    answer = Answer(calls=calls, stop="tool_use")
    events = [*(speaker.chunk({"tool_calls": calls}) for calls in chunks), *speaker.ending(answer)]
    if not speaker.ends_with_the_body:
        events.append(b"[DONE]")
    upstream = await fake(plays(speaker.streamed(*map(speaker.frame, events))))
    service = await gateway_for(speaker, upstream)
    assert await ask_openai(service, True, tools=TOOLS) == (replace(answer, stop="end_turn"), "tool_calls")


# Packets, connections and ends.


@every(SPEAKERS)
async def test_a_character_that_is_cut_across_packets(gateway_for, fake, speaker: Speaker) -> None:
    answer = Answer("Grüße 你好 🙂")
    body = b"".join(speaker.frames(answer))
    # in the midst of the third piece's first character, or of its frame where that is encoded
    at = body.find("你".encode()) + 1 or len(b"".join(speaker.frames(replace(answer, text="Grüße "))[:3])) + 90
    go_on = asyncio.Event()

    async def script(peer: Any) -> None:
        await peer.request()
        await peer.send(speaker.head() + http.chunk(body[:at]))
        await go_on.wait()
        await peer.send(http.chunk(body[at:]) + http.STREAM_END)

    service = await gateway_for(speaker, await fake(script))
    found: list[Any] = []
    async with service.streaming("/chat/stream", {"message": "Hi"}) as (_, events):
        async for event in events:
            found.append(event)
            if event.data and event.data.get("text") == "ße ":
                go_on.set()  # the gateway has read all of the first packet
    assert go_on.is_set() and read_chat(found) == answer


@every(SPEAKERS)
async def test_the_connection_serves_the_next_call(gateway_for, fake, speaker: Speaker) -> None:
    """Also where what ends the body comes in a packet of its own, after the caller has got the whole answer."""
    connections = 0
    read, sent = asyncio.Event(), asyncio.Event()

    async def script(peer: Any) -> None:
        nonlocal connections
        connections += 1
        while True:
            await peer.request()
            await peer.send(speaker.response(HELLO, stream=False))
            await peer.request()
            await peer.send(speaker.streamed(*speaker.frames(HELLO)).removesuffix(http.STREAM_END))
            if not speaker.ends_with_the_body:
                await read.wait()
            await peer.send(http.STREAM_END)
            sent.set()

    service = await gateway_for(speaker, await fake(script))
    for _ in range(3):
        assert await ask_chat(service, False) == HELLO
        assert await ask_chat(service, True) == HELLO
        read.set()
        await sent.wait()
        read.clear()
        sent.clear()
    assert connections == 1


CLOSES = "connection: close"
Concerns = Callable[[Speaker], bool]


def always(speaker: Speaker) -> bool:
    return True


def has_a_mark(speaker: Speaker) -> bool:
    return not speaker.ends_with_the_body


def says_more_before(speaker: Speaker) -> bool:
    """Whether the mark is [DONE], and what counts, finish_reason and usage, stands before it."""
    return isinstance(speaker, OpenAI)


# how a stream ends: its frames -> the response; which speakers that concerns; for which the answer is whole
ENDS: dict[str, tuple[Callable[[Speaker, Frames], bytes], Concerns, Concerns]] = {
    "closed behind the last event": (
        lambda speaker, frames: speaker.head() + b"".join(map(http.chunk, frames)),
        always,
        has_a_mark,
    ),
    "a body that ends with the connection": (
        lambda speaker, frames: speaker.head(CLOSES) + b"".join(frames),
        always,
        always,
    ),
    "no mark of the end": (
        lambda speaker, frames: speaker.streamed(*frames[:-1]),
        has_a_mark,
        says_more_before,
    ),
    "no mark of the end, and closed": (
        lambda speaker, frames: speaker.head(CLOSES) + b"".join(frames[:-1]),
        has_a_mark,
        says_more_before,
    ),
    "no empty line behind the last event": (
        lambda speaker, frames: speaker.streamed(*frames[:-1], frames[-1].rstrip(b"\n")),
        lambda speaker: speaker.media_type.startswith("text/"),
        always,
    ),
}
ENDED = {
    f"{name}-{end}": (speaker, ends, whole(speaker))
    for end, (ends, concerns, whole) in ENDS.items()
    for name, speaker in SPEAKERS.items()
    if concerns(speaker)
}


@pytest.mark.parametrize(("speaker", "ends", "whole"), ENDED.values(), ids=ENDED)
async def test_how_a_stream_ends(gateway_for, fake, speaker: Speaker, ends: Any, whole: bool) -> None:
    service = await gateway_for(speaker, await fake(http.plays(ends(speaker, speaker.frames(HELLO)))))
    events = await service.sse("/chat/stream", {"message": "Hi"})
    if whole:
        assert read_chat(events) == HELLO
    else:
        assert (events[-1].name, events[-1].data["error"]["code"]) == ("error", "stream_interrupted")
        assert "".join(event.data["text"] for event in events if event.name == "delta") == HELLO.text
