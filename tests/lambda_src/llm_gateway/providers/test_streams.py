"""What every provider's answers have in common: what is ignored, how calls come in pieces, and how a stream ends."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from wire import http
from wire.anthropic import Anthropic
from wire.bedrock import Converse
from wire.conversations import (
    BOTH,
    CLOCK,
    HELLO,
    OTHER,
    TOOLS,
    WEATHER,
    answers_in_turn,
    ask_chat,
    ask_openai,
    every,
    read_chat,
)
from wire.openai import OpenAI
from wire.providers import OPENAI, SPEAKERS
from wire.speaker import Answer, Frames, FunctionCall, Speaker, dumped, with_unknown_members

# What means nothing.

ALL = Answer("Let me look.", "The weather.", (WEATHER, CLOCK), "tool_use")


@every(SPEAKERS)
async def test_what_is_not_known_is_ignored(gateway_for, fake, speaker: Speaker) -> None:
    """Unknown members everywhere, and before every event of a stream all that means nothing: pings, comments, new events."""
    complete = http.response(200, speaker.padding() + dumped(with_unknown_members(speaker.complete(ALL))))
    noise = b"".join(speaker.noise())
    if isinstance(speaker, Converse):
        frames = [speaker.frame((name, with_unknown_members(payload))) for name, payload in speaker.events(ALL)]
    else:
        frames = [
            speaker.frame(event if isinstance(event, bytes) else with_unknown_members(event)) for event in speaker.events(ALL)
        ]
    upstream = await fake(answers_in_turn(complete, speaker.streamed(*(noise + frame for frame in frames))))
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
    complete = {**body, "content": [use, found, *body["content"], use]}
    service = await gateway_for(speaker, await fake(answers_in_turn(http.response(200, dumped(complete)), before_and_behind)))
    for stream in (False, True):
        assert await ask_openai(service, stream, tools=TOOLS) == (replace(ALL, stop="end_turn"), "tool_calls")


# What servers of OpenAI's format do differently.


@BOTH
async def test_a_forced_call_that_ends_with_stop_is_a_call(gateway_for, fake, stream: bool) -> None:
    """OpenAI and vLLM say finish_reason "stop" where tool_choice names the function."""
    speaker = SPEAKERS["openai"]
    answer = Answer(calls=(CLOCK,))
    choice = {"type": "function", "function": {"name": "clock"}}
    upstream = await fake(answers_in_turn(speaker.response(answer, stream=stream)))
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
    "complete calls in one chunk": ([[_call(0, WEATHER, FIRST), _call(1, OTHER, SECOND)]], (WEATHER, OTHER)),
    "no index": ([[_call(None, WEATHER, FIRST)]], (WEATHER,)),
    "every index is 0": ([[_call(0, WEATHER, FIRST)], [_call(0, OTHER)], [_call(0, arguments=SECOND)]], (WEATHER, OTHER)),
    "the id is said again": ([[_call(0, WEATHER, FIRST[:5])], [_call(0, WEATHER, FIRST[5:])]], (WEATHER,)),
    "indexes from 1": ([[_call(1, CLOCK)], [_call(2, OTHER)], [_call(2, arguments=SECOND)]], (CLOCK, OTHER)),
}


@pytest.mark.parametrize(("chunks", "calls"), CHUNKS.values(), ids=CHUNKS)
async def test_how_calls_are_streamed(gateway_for, fake, chunks: Any, calls: tuple[FunctionCall, ...]) -> None:
    speaker = OPENAI["openai"]
    answer = Answer(calls=calls, stop="tool_use")
    events = [*(speaker.chunk({"tool_calls": calls}) for calls in chunks), *speaker.ending(answer), b"[DONE]"]
    upstream = await fake(answers_in_turn(speaker.streamed(*map(speaker.frame, events))))
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
    """Also where what ends the body comes in a packet of its own, after the caller has got the complete answer."""
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
    """Whether the mark is [DONE] or Converse's metadata, and what says that the answer is complete stands before it."""
    return isinstance(speaker, OpenAI | Converse)


# how a stream ends: its frames -> the response; which speakers that concerns; for which the answer is complete
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
    "a piece of another event behind the last": (
        lambda speaker, frames: speaker.streamed(*frames, speaker.noise()[0][:20]),
        lambda speaker: speaker.ends_with_the_body,
        lambda speaker: False,
    ),
}
ENDED = {
    f"{name}-{end}": (speaker, ends, complete(speaker))
    for end, (ends, concerns, complete) in ENDS.items()
    for name, speaker in SPEAKERS.items()
    if concerns(speaker)
}


@pytest.mark.parametrize(("speaker", "ends", "complete"), ENDED.values(), ids=ENDED)
async def test_how_a_stream_ends(gateway_for, fake, speaker: Speaker, ends: Any, complete: bool) -> None:
    service = await gateway_for(speaker, await fake(http.plays(ends(speaker, speaker.frames(HELLO)))))
    events = await service.sse("/chat/stream", {"message": "Hi"})
    if complete:
        answer = read_chat(events)
        if isinstance(speaker, Converse) and answer.usage != HELLO.usage:  # it is in metadata, and estimated without it
            answer = replace(answer, usage=HELLO.usage)
        assert answer == HELLO
    else:
        assert (events[-1].name, events[-1].data["error"]["code"]) == ("error", "stream_interrupted")
        assert "".join(event.data["text"] for event in events if event.name == "delta") == HELLO.text
