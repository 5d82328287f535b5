"""Anthropic's Messages API, whole and streamed, called by the official SDK and as Claude Code calls it."""

import json
import re
from typing import Any

import anthropic
import msgspec
import pytest

from llm_functions.api_formats.anthropic_messages.answer import StreamRenderer, error_body, render_complete
from llm_functions.api_formats.anthropic_messages.request import parse
from llm_gateway import errors
from llm_gateway.call import ModelCall
from llm_gateway.errors import GatewayError
from llm_gateway.estimate import request_tokens
from llm_gateway.events import Delta, Done, Reasoning, ReasoningSignature, Start, ToolCall, ToolCallDelta, Usage
from llm_gateway.providers.anthropic.dialect import Anthropic
from llm_gateway.providers.bedrock.converse import Converse
from llm_gateway.request import ChatRequest, Media, Message, ReasoningBlock, ResponseFormat, Sampling, ToolChoice, ToolUse
from llm_gateway.routes import Target

HELLO: Any = [{"role": "user", "content": "Hello, who is there?"}]
WEATHER: Any = {
    "name": "get_weather",
    "description": "The weather of a city",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
CACHED = {"cache_control": {"type": "ephemeral"}}


async def whole(client: anthropic.AsyncAnthropic, **arguments: Any) -> Any:
    return await client.messages.create(**{"model": "full", "max_tokens": 100, "messages": HELLO, **arguments})


async def streamed(client: anthropic.AsyncAnthropic, **arguments: Any) -> Any:
    async with client.messages.stream(**{"model": "full", "max_tokens": 100, "messages": HELLO, **arguments}) as stream:
        events = [event async for event in stream]
        assert [events[0].type, events[-1].type] == ["message_start", "message_stop"]
        return await stream.get_final_message()


# Answers.


async def test_a_whole_answer_and_a_streamed_one(gateway, bedrock) -> None:
    client = (await gateway((await bedrock()).url)).anthropic()
    answer = await whole(client)
    assert (answer.type, answer.role, answer.model, answer.stop_reason) == ("message", "assistant", "full", "end_turn")
    (block,) = answer.content
    assert "Hello, who is there?" in block.text and answer.id == f"msg_{answer._request_id}"
    assert answer.usage.input_tokens > 0 and answer.usage.output_tokens > 0
    counted = await client.messages.count_tokens(model="full", messages=HELLO)
    async with client.messages.stream(model="full", max_tokens=100, messages=HELLO) as stream:
        begun = next(event.message.usage for event in [await anext(stream)] if event.type == "message_start")
        assert (begun.input_tokens, begun.output_tokens) == (counted.input_tokens, 1)
    again = await streamed(client)
    assert (again.content[0].text, again.stop_reason) == (block.text, "end_turn")
    assert (again.usage.input_tokens, again.usage.output_tokens) == (answer.usage.input_tokens, answer.usage.output_tokens)
    assert (await whole(client, max_tokens=2)).stop_reason == "max_tokens"


async def test_a_tool_call_and_its_result(gateway, bedrock) -> None:
    """The SDK's own blocks are sent back, from a whole answer and from a streamed one."""
    upstream = await bedrock()
    client = (await gateway(upstream.url)).anthropic()
    for ask in (whole, streamed):
        first = await ask(client, tools=[WEATHER])
        assert first.stop_reason == "tool_use"
        call = first.content[-1]
        assert (call.type, call.name, call.input) == ("tool_use", "get_weather", {"city": "Hello, who is there?"})
        result = {"type": "tool_result", "tool_use_id": call.id, "content": [{"type": "text", "text": "21 degrees"}], **CACHED}
        history = [
            *HELLO,
            {"role": "assistant", "content": first.content},
            {"role": "user", "content": [result, {"type": "text", "text": "Thanks"}]},
        ]
        second = await ask(client, tools=[WEATHER], messages=history)
        assert second.stop_reason == "end_turn" and "21 degrees" in second.content[0].text
        sent = upstream.calls[-1].messages
        assert (sent[1].content[-1].id, sent[1].content[-1].input) == (call.id, call.input)
        assert [getattr(block, "text", None) for block in sent[2].content] == ["21 degrees", "Thanks"]


async def test_thinking_is_shown_where_it_is_asked_for(gateway, bedrock) -> None:
    client = (await gateway((await bedrock()).url)).anthropic()
    for ask in (whole, streamed):
        plain = await ask(client, model="r1")
        assert [block.type for block in plain.content] == ["text"]
        shown = await ask(client, model="r1", thinking={"type": "enabled", "budget_tokens": 1024}, max_tokens=2000)
        assert [block.type for block in shown.content] == ["thinking", "text"]
        assert "stand-in" in shown.content[0].thinking and shown.content[1].text
        history = [*HELLO, {"role": "assistant", "content": shown.content}, *HELLO]
        assert (await ask(client, model="r1", messages=history)).content


ASKED = ChatRequest(messages=(Message("user", "Hello, who is there?"),))
START = Start("r", "full", "bedrock/full", 1, 0.0, 1.0)
COUNTED = Usage(100, 20, cached_tokens=60, cache_write_tokens=30, reasoning_tokens=7)
EVERYTHING = [
    [START, Reasoning("Let me "), Reasoning("think."), ReasoningSignature("c2ln")],
    [ReasoningSignature(data="b3BhcXVl"), Delta("I "), Delta("look.")],
    [ToolCall(0, "t0", "a"), ToolCallDelta(0, '{"n":'), ToolCallDelta(0, "0}")],
    # Thinking goes on between calls; the newest models leave its text out.
    [ReasoningSignature("bW9yZQ=="), ToolCall(1, "t1", "b")],
    [ToolCallDelta(1, '{"n": "cu'), COUNTED, Done("max_tokens")],
]
SHOWN = [
    {"type": "thinking", "thinking": "Let me think.", "signature": "c2ln"},
    {"type": "redacted_thinking", "data": "b3BhcXVl"},
    {"type": "text", "text": "I look."},
    {"type": "tool_use", "id": "t0", "name": "a", "input": {"n": 0}},
    {"type": "thinking", "thinking": "", "signature": "bW9yZQ=="},
    {"type": "tool_use", "id": "t1", "name": "b", "input": {"INVALID_JSON": '{"n": "cu'}},
]
TOLD = [block for block in SHOWN if not block["type"].endswith("thinking")]
COUNTS = {
    "input_tokens": 10,
    "cache_creation_input_tokens": 30,
    "cache_read_input_tokens": 60,
    "output_tokens": 20,
    "output_tokens_details": {"thinking_tokens": 7},
}


async def batches(events: Any) -> Any:
    for batch in events:
        yield batch


async def test_an_answer_with_everything_in_it() -> None:
    _, body = await render_complete(batches(EVERYTHING), True, ())
    answer = json.loads(body)
    assert (answer["content"], answer["stop_reason"], answer["usage"]) == (SHOWN, "max_tokens", COUNTS)
    _, body = await render_complete(batches(EVERYTHING), False, ())
    assert json.loads(body)["content"] == TOLD


def test_a_stream_with_everything_in_it() -> None:
    """Blocks come one after another, and what they amount to is the whole answer."""
    for thinking in (True, False):
        renderer = StreamRenderer("r", ASKED, thinking)
        data = b"".join([renderer.opening(), *(renderer.events(batch) for batch in EVERYTHING), renderer.closing()])
        frames = [frame.split("\n") for frame in data.decode().removesuffix("\n\n").split("\n\n")]
        events = [json.loads(line.removeprefix("data: ")) for _, line in frames]
        assert [name for name, _ in frames] == [f"event: {event['type']}" for event in events]
        blocks: list[Any] = []
        opened: int | None = None
        for event in events[1:-2]:
            match event["type"]:
                case "content_block_start":
                    assert opened is None and event["index"] == len(blocks)
                    opened = event["index"]
                    blocks.append(event["content_block"])
                case "content_block_stop":
                    assert event["index"] == opened
                    opened = None
                case "content_block_delta":
                    assert event["index"] == opened
                    ((name, value),) = [(name, value) for name, value in event["delta"].items() if name != "type"]
                    if name == "partial_json":
                        blocks[-1]["input"] = (blocks[-1]["input"] or "") + value
                    else:
                        blocks[-1][name] += value
        assert opened is None
        expected: Any = [dict(block) for block in (SHOWN if thinking else TOLD)]
        expected[3 if thinking else 1]["input"], expected[-1]["input"] = '{"n":0}', '{"n": "cu'
        assert blocks == expected
        assert (events[0]["type"], events[0]["message"]["content"]) == ("message_start", [])
        # Clients show how full the context is by it, before the counts of the provider come.
        assert events[0]["message"]["usage"] == {
            "input_tokens": request_tokens(None, ASKED.messages, ()),
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": 1,
        }
        assert events[-2] == {
            "type": "message_delta",
            "delta": {"stop_reason": "max_tokens", "stop_sequence": None},
            "usage": COUNTS,
        }
        assert events[-1] == {"type": "message_stop"}


def test_an_empty_object_that_comes_late_is_told_by_no_delta() -> None:
    """Its block is closed, and has the empty object from the beginning."""
    calls = [ToolCall(0, "t0", "a"), ToolCall(1, "t1", "b")]
    renderer = StreamRenderer("r", ASKED, False)
    told = renderer.events([*calls, ToolCallDelta(0, "{}"), ToolCallDelta(1, "{}"), Usage(1, 1), Done("tool_use")]).decode()
    events = [json.loads(line[6:]) for line in told.split("\n") if line.startswith("data: ")]
    assert [(event["type"], event["index"]) for event in events[:-1]] == [
        ("content_block_start", 0),
        ("content_block_stop", 0),
        ("content_block_start", 1),
        ("content_block_delta", 1),
        ("content_block_stop", 1),
    ]


# The end of an answer, the request's stop sequences -> the one that ended it, as far as it is known.
ENDS: dict[str, tuple[Done, tuple[str, ...], str | None]] = {
    "told": (Done("stop_sequence", "B"), ("A", "B"), "B"),
    "one": (Done("stop_sequence"), ("A",), "A"),
    "not told": (Done("stop_sequence"), ("A", "B"), None),
    "none": (Done("end_turn"), ("A",), None),
}


@pytest.mark.parametrize(("done", "stop", "expected"), ENDS.values(), ids=ENDS)
async def test_the_stop_sequence_is_told(done: Done, stop: tuple[str, ...], expected: str | None) -> None:
    events: Any = [*EVERYTHING[0], Usage(1, 1), done]
    _, body = await render_complete(batches([events]), False, stop)
    assert json.loads(body)["stop_sequence"] == expected
    request = msgspec.structs.replace(ASKED, sampling=Sampling(stop=stop))
    last = StreamRenderer("r", request, False).events(events).decode().split("data: ")[-1]
    assert json.loads(last)["delta"] == {"stop_reason": json.loads(body)["stop_reason"], "stop_sequence": expected}


# Requests.


def asked(**fields: Any) -> Any:
    return parse({"model": "full", "max_tokens": 100, "messages": HELLO, **fields})[0]


async def test_a_top_k_is_left_out_and_named(gateway, bedrock) -> None:
    service = await gateway((await bedrock()).url)
    answer = await service.post("/v1/messages", {"model": "full", "max_tokens": 50, "messages": HELLO, "top_k": 5})
    assert answer.status_code == 200 and answer.headers["x-llm-dropped"] == "top_k"


def test_what_a_request_becomes() -> None:
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}}
    pdf = {
        "type": "document",
        "title": "a.pdf",
        "source": {"type": "base64", "media_type": "application/pdf", "data": "aGk="},
    }
    plain = {"type": "document", "title": "b.txt", "source": {"type": "text", "media_type": "text/plain", "data": "Words"}}
    request = asked(
        system=[{"type": "text", "text": "Be brief."}, {"type": "text", "text": "Be kind.", **CACHED}],
        messages=[
            {"role": "user", "content": [{"type": "text", "text": "See"}, image, pdf, plain]},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"},
                    {"type": "thinking", "thinking": " Unsigned.", "signature": ""},
                    {"type": "redacted_thinking", "data": "b3Bh"},
                    {"type": "text", "text": "Let me look.", "citations": None},
                    {"type": "tool_use", "id": "t1", "name": "get_weather", "input": {"city": "Oslo"}},
                ],
            },
            {
                "role": "user",
                "content": [{"type": "tool_result", "tool_use_id": "t1", "is_error": True, "content": [image], **CACHED}],
            },
        ],
        tools=[{**WEATHER, "type": "custom", "strict": True, **CACHED}],
        tool_choice={"type": "any", "disable_parallel_tool_use": True},
        stop_sequences=["a", "b"],
        temperature=0.5,
        thinking={"type": "adaptive"},
        output_config={"effort": "max", "format": {"type": "json_schema", "schema": {"type": "object"}}},
        metadata={"user_id": "ada"},
        service_tier="auto",
    )
    picture = Media("image", "image/png", "aGk=")
    document = Media("document", "application/pdf", "aGk=", name="a.pdf")
    assert request.messages == (
        Message(
            "user",
            text="See\nb.txt\nWords",
            parts=("See", picture, document, "b.txt\nWords"),
            place="messages[0]",
        ),
        Message(
            "assistant",
            text="Let me look.",
            tool_calls=(ToolUse("t1", "get_weather", {"city": "Oslo"}),),
            reasoning="Hm. Unsigned.",
            reasoning_blocks=(ReasoningBlock("Hm.", "c2ln"), ReasoningBlock(data="b3Bh")),
            place="messages[1]",
        ),
        Message("tool", tool_call_id="t1", parts=(picture,), place="messages[2].content[0]", cache=True, failed=True),
    )
    assert (request.system, request.cache_system) == ("Be brief.\n\nBe kind.", True)
    (tool,) = request.tools
    assert (tool.name, tool.strict, tool.cache, tool.parameters) == ("get_weather", True, True, WEATHER["input_schema"])
    assert (request.tool_choice.mode, request.parallel_tool_calls) == ("required", False)
    assert (request.sampling.stop, request.sampling.temperature, request.sampling.max_tokens) == (("a", "b"), 0.5, 100)
    assert (request.sampling.reasoning_effort, request.defaults.reasoning_effort) == (None, "high")
    assert request.response_format == ResponseFormat("json_schema", "answer", schema={"type": "object"}, strict=True)
    assert request.hints == {"user": "ada"}


def test_a_system_text_that_ends_with_its_turn() -> None:
    """https://platform.claude.com/docs/en/api/beta/messages: once a later user message exists, the model is not shown it."""
    now = {"role": "system", "content": "Hurry.", "clear_at": "next_user_message"}
    kept = {"role": "system", "content": "Be kind.", "clear_at": "never", "output_config": {"effort": "low"}}
    config = {"role": "system", "output_config": {"effort": "low"}}
    said = {"role": "assistant", "content": "Hi"}
    shown = asked(messages=[*HELLO, kept, now, config, said]).messages
    assert [message.text for message in shown] == [HELLO[0]["content"], "Be kind.", "Hurry.", "Hi"]
    later = asked(messages=[*HELLO, kept, now, said, *HELLO, now]).messages
    assert [message.text for message in later[1:]] == ["Be kind.", "Hi", HELLO[0]["content"], "Hurry."]


def test_a_reference_to_a_tool_is_its_name() -> None:
    """Claude Code's search of its tools answers so. All of them are offered, those too that are to be loaded when found."""
    found = {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "tool_reference", "tool_name": "get_weather"}]}
    assert asked(messages=[{"role": "user", "content": [found]}]).messages[0].text == "get_weather"


# As Claude Code 2 sends it: the fields of its requests to ANTHROPIC_BASE_URL, with the headers that it adds.
CLAUDE_CODE: Any = {
    "model": "full",
    "max_tokens": 4096,
    "stream": True,
    "temperature": 1,
    "system": [
        {"type": "text", "text": "x-anthropic-billing-header: cc_version=2.1; cc_entrypoint=cli; cch=f00;"},
        {"type": "text", "text": "You are Claude Code, Anthropic's official CLI for Claude.", **CACHED},
        {"type": "text", "text": "You help with software engineering.", **CACHED},
    ],
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "<system-reminder>\nAs you answer …\n</system-reminder>"},
                {"type": "text", "text": "List the files", **CACHED},
            ],
        }
    ],
    "tools": [
        {
            "name": "Bash",
            "description": "Runs a command",
            "input_schema": {
                "$schema": "http://json-schema.org/draft-07/schema#",
                "type": "object",
                "properties": {"command": {"type": "string"}},
                "required": ["command"],
                "additionalProperties": False,
            },
        }
    ],
    "metadata": {"user_id": "user_0123_account__session_4567"},
    "thinking": {"type": "enabled", "budget_tokens": 2048},
    "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
    "output_config": {"effort": "medium"},
}


def test_claude_codes_billing_line_is_no_part_of_the_prompt() -> None:
    """It differs in each request, and would keep everything after it from the prompt cache."""
    request, _ = parse(CLAUDE_CODE)
    assert request.system is not None and request.system.startswith("You are") and request.cache_system
    line = CLAUDE_CODE["system"][0]["text"]
    assert parse({**CLAUDE_CODE, "system": f"{line}\n\nBe brief."})[0].system == "Be brief."


async def test_claude_codes_requests(gateway, bedrock) -> None:
    service = await gateway((await bedrock()).url)
    headers = {
        "anthropic-version": "2023-06-01",
        "anthropic-beta": "claude-code-20250219,interleaved-thinking-2025-05-14,context-management-2025-06-27",
        "authorization": "Bearer test-key",
    }
    events = await service.sse("/v1/messages?beta=true", CLAUDE_CODE, headers)
    calls = [event.data["content_block"] for event in events if event.name == "content_block_start"]
    assert (calls[-1]["type"], calls[-1]["name"], events[-1].name) == ("tool_use", "Bash", "message_stop")
    counted = {name: CLAUDE_CODE[name] for name in ("model", "messages", "system", "tools", "thinking")}
    response = await service.post("/v1/messages/count_tokens?beta=true", counted, headers)
    assert response.status_code == 200 and response.json()["input_tokens"] > 40


async def test_tokens_are_estimated(gateway) -> None:
    client = (await gateway()).anthropic()
    short = (await client.messages.count_tokens(model="full", messages=HELLO)).input_tokens
    long = (
        await client.messages.count_tokens(model="full", messages=HELLO * 3, system="Be brief.", tools=[WEATHER])
    ).input_tokens
    assert 0 < short < long < 100
    with pytest.raises(anthropic.NotFoundError):
        await client.messages.count_tokens(model="nobody", messages=HELLO)


def block(kind: str, **fields: Any) -> Any:
    return [{"role": "user", "content": [{"type": kind, **fields}]}]


REFUSED: dict[str, tuple[dict[str, Any], str, str]] = {
    "no model": ({"model": None}, "model", "is required"),
    "no limit": ({"max_tokens": None}, "max_tokens", "is required"),
    "a limit of nothing": ({"max_tokens": 0}, "max_tokens", "at least 1"),
    "no messages": ({"messages": None}, "messages", "is required"),
    "a role": ({"messages": [{"role": "tool", "content": "Hi"}]}, "messages[0].role", "user or assistant"),
    "no content": ({"messages": [{"role": "user"}]}, "messages[0].content", "is required"),
    "a block of a hosted tool": (
        {"messages": block("server_tool_use", id="a")},
        "messages[0].content[0].type",
        "runs no tools",
    ),
    "a file": (
        {"messages": block("image", source={"type": "file", "file_id": "a"})},
        "messages[0].content[0].source.type",
        "keeps no files",
    ),
    "a private address": (
        {"messages": block("image", source={"type": "url", "url": "http://169.254.169.254/latest/meta-data"})},
        "messages[0].content[0].source.url",
        "a public name",
    ),
    "no base64": (
        {"messages": block("document", source={"type": "base64", "media_type": "text/plain", "data": "é"})},
        "messages[0].content[0].source.data",
        "base64",
    ),
    "a media type": (
        {"messages": block("image", source={"type": "base64", "media_type": "image/png;x", "data": "AAAA"})},
        "messages[0].content[0].source.media_type",
        "such as image/png",
    ),
    "a hosted tool": (
        {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
        "tools[0].type",
        "Anthropic's own tools",
    ),
    "a tool of a type that nobody knows": (
        {"tools": [{"type": "teleport_20300101", "name": "teleport"}]},
        "tools[0].type",
        "is not possible here",
    ),
    "a tool of Anthropic's without a name": ({"tools": [{"type": "bash_20250124"}]}, "tools[0].name", "is required"),
    "a tool without a schema": ({"tools": [{"name": "a"}]}, "tools[0].input_schema", "is required"),
    "an unknown choice": ({"tool_choice": {"type": "some"}}, "tool_choice.type", "auto, any, tool or none"),
    "a tool that is not there": ({"tool_choice": {"type": "tool", "name": "a"}}, "tool_choice.name", "no tool 'a'"),
    "arguments that are text": (
        {"messages": [*HELLO, {"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": "a", "input": "{}"}]}]},
        "messages[1].content[0].input",
        "an object",
    ),
    "top_k": ({"top_k": -1}, "top_k", "at least 0"),
    "servers": ({"mcp_servers": [{"type": "url"}]}, "mcp_servers", "leave it out"),
    "an effort": ({"output_config": {"effort": "huge"}}, "output_config.effort", "low, medium"),
    "a field": ({"max_token": 5}, "max_token", "did you mean 'max_tokens'"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name: str) -> None:
    fields, param, text = REFUSED[name]
    with pytest.raises(GatewayError) as raised:
        asked(**fields)
    assert (raised.value.status, raised.value.param) == (400, param) and text in raised.value.message


def test_fields_that_change_no_answer_are_taken() -> None:
    thinking = {"type": "adaptive", "block_binding": {"prefix_mismatch_behavior": "drop_block"}}
    assert asked(messages=[{"role": "user", "content": "Hi", "effort": "low"}], thinking=thinking).messages[0].text == "Hi"


def test_cache_points_may_be_kept_for_an_hour() -> None:
    hour = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
    system = [{"type": "text", "text": "A", **CACHED}, {"type": "text", "text": "B", **hour}]
    said = [{"role": "user", "content": [{"type": "text", "text": "Hi", **CACHED}]}]
    request = asked(system=system, messages=said, tools=[{**WEATHER, **hour}])
    assert (request.cache_system, request.messages[0].cache, request.tools[0].cache) == ("1h", True, "1h")


def test_a_reference_to_a_tool_becomes_a_text() -> None:
    found = {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "tool_reference", "tool_name": "read_file"}]}
    call = {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "search", "input": {}}]}
    assert "read_file" in asked(messages=[*HELLO, call, {"role": "user", "content": [found]}]).messages[-1].text


def test_thinking_stays_in_its_place() -> None:
    """Claude refuses a turn whose thinking is elsewhere than it was; its signature holds there alone."""
    used = [{"type": "tool_use", "id": f"t{at}", "name": "a", "input": {}} for at in range(2)]
    empty = {"type": "thinking", "thinking": "", "signature": "s3"}
    turn = [SHOWN[0], {"type": "text", "text": "A"}, SHOWN[1], used[0], empty, used[1]]
    results = [{"type": "tool_result", "tool_use_id": use["id"], "content": "0"} for use in used]
    request = asked(messages=[*HELLO, {"role": "assistant", "content": turn}, {"role": "user", "content": results}])
    accepts = ("max_tokens", "tools", "reasoning_content")
    target = Target("there/a", "there", "claude-sonnet-4-6", 64_000, 200_000, accepts)
    call = ModelCall(target, request.messages, None, Sampling(max_tokens=9), (), ToolChoice(), False, 0.0, 1.0)
    assert Anthropic().body(call)["messages"][1]["content"] == turn
    kinds = [kind for block in Converse().body(call)["messages"][1]["content"] for kind in block]
    assert kinds == ["reasoningContent", "text", "reasoningContent", "toolUse", "reasoningContent", "toolUse"]


# Errors.


def test_a_conversation_that_is_too_long_is_said_so_in_the_words_that_claude_code_knows() -> None:
    body = error_body(errors.context_length_exceeded(), "r")
    assert body["error"]["message"].startswith("prompt is too long: ")
    failures = [(name, errors.context_length_exceeded()) for name in "ab"]
    assert errors.no_target_answered("full", failures).code == "context_length_exceeded"


async def test_errors_have_anthropics_shape(gateway, bedrock, fake, wire) -> None:
    service = await gateway((await bedrock()).url)
    client = service.anthropic()
    with pytest.raises(anthropic.BadRequestError) as refused:
        await whole(client, max_tokens=-1)
    body: Any = refused.value.body
    assert (body["type"], body["error"]["type"], body["error"]["param"]) == ("error", "invalid_request_error", "max_tokens")
    assert body["request_id"] == refused.value.request_id
    with pytest.raises(anthropic.NotFoundError) as unknown:
        await whole(client, model="nobody")
    assert unknown.value.type == "not_found_error"
    with pytest.raises(anthropic.NotFoundError, match=r"there is /v1/messages: .* ends before /v1"):
        await whole(client.with_options(base_url=f"{service.url}/v1"))
    # @ai-sdk/anthropic appends /messages
    for path, hint in {"/messages": "there is /v1/messages: .* ends with /v1", "/v2/x": "with /v1 .* before /v1"}.items():
        answer = await service.post(path, {})
        assert answer.status_code == 404 and re.search(hint, service.error_of(answer)["message"])
    closed = (await gateway(authorization="api_key")).anthropic()
    with pytest.raises(anthropic.AuthenticationError):
        await whole(closed)

    async def script(peer: Any) -> None:
        await peer.request()
        await peer.send(wire.response(503, {"message": "Later"}, x_amzn_errortype="ServiceUnavailableException"))
        await peer.request()
        broken = wire.exception("throttlingException", "Later")
        await peer.send(wire.stream(wire.text("Hi"), broken))

    client = (await gateway((await fake(script)).url)).anthropic()
    with pytest.raises(anthropic.APIStatusError) as overloaded:
        await whole(client)
    assert (overloaded.value.status_code, overloaded.value.type) == (503, "overloaded_error")
    with pytest.raises(anthropic.APIStatusError) as cut:
        await streamed(client)
    assert cut.value.type == "rate_limit_error"
