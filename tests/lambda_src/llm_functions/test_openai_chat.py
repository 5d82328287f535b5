"""The OpenAI routes, whole and streamed, called by the official SDK."""

import asyncio
import json
from typing import Any

import openai
import pytest

from pulumi_llm_local.upstreams.tokens import count_tokens

HELLO: Any = [{"role": "user", "content": "Hello, who is there?"}]
WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "unit": {"enum": ["celsius", "fahrenheit"]}},
            "required": ["city", "unit"],
        },
    },
}
CLOCK: Any = {"type": "function", "function": {"name": "get_time"}}


def allowed(mode: str, *names: str) -> Any:
    """A tool choice that allows some tools only."""
    tools = [{"type": "function", "function": {"name": name}} for name in names]
    return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": tools}}


class Streamed:
    """What a stream amounts to, its chunks held against what the SDK expects of each."""

    def __init__(self) -> None:
        self.content = ""
        self.reasoning = ""
        self.calls: dict[int, dict[str, str]] = {}
        self.finish_reasons: list[str] = []
        self.usage: Any = None
        self.ids: set[tuple[str, str, str, int]] = set()
        self.chunks = 0

    def add(self, chunk: Any) -> None:
        self.chunks += 1
        self.ids.add((chunk.id, chunk.object, chunk.model, chunk.created))
        if chunk.usage is not None:
            assert chunk.choices == [] and self.usage is None and self.finish_reasons
            self.usage = chunk.usage
            return
        (choice,) = chunk.choices
        assert choice.index == 0 and not self.finish_reasons
        assert (choice.delta.role == "assistant") == (self.chunks == 1)
        self.content += choice.delta.content or ""
        self.reasoning += getattr(choice.delta, "reasoning_content", None) or ""
        for call in choice.delta.tool_calls or []:
            if call.id is not None:
                assert call.type == "function" and call.index == len(self.calls)
                self.calls[call.index] = {"id": call.id, "name": call.function.name, "arguments": ""}
            self.calls[call.index]["arguments"] += call.function.arguments
        if choice.finish_reason is not None:
            self.finish_reasons.append(choice.finish_reason)

    def assistant(self) -> dict[str, Any]:
        """The message as a caller sends it back."""
        calls = [
            {"id": call["id"], "type": "function", "function": {"name": call["name"], "arguments": call["arguments"]}}
            for call in self.calls.values()
        ]
        return {"role": "assistant", "content": self.content or None, "tool_calls": calls}


async def streamed(client: openai.AsyncOpenAI, **arguments: Any) -> Streamed:
    result = Streamed()
    stream = await client.chat.completions.create(stream=True, **{"model": "full", "messages": HELLO, **arguments})
    async for chunk in stream:
        result.add(chunk)
    assert len(result.ids) == 1 and len(result.finish_reasons) == 1
    return result


async def whole(client: openai.AsyncOpenAI, **arguments: Any) -> Any:
    return await client.chat.completions.create(**{"model": "full", "messages": HELLO, **arguments})


# Text and usage.


async def test_a_whole_answer(gateway, bedrock) -> None:
    service = await gateway((await bedrock()).url)
    answer = await whole(service.openai())
    (choice,) = answer.choices
    assert (answer.object, answer.model, choice.index, choice.finish_reason) == ("chat.completion", "full", 0, "stop")
    assert answer.id.startswith("chatcmpl-") and answer.created > 1_700_000_000
    assert "Hello, who is there?" in choice.message.content and choice.message.role == "assistant"
    assert choice.message.tool_calls is None and choice.logprobs is None
    read, written = count_tokens("Hello, who is there?"), count_tokens(choice.message.content)
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (read, written)
    assert answer.usage.total_tokens == read + written


async def test_a_streamed_answer_is_the_whole_one_in_pieces(gateway, bedrock) -> None:
    service = await gateway((await bedrock()).url)
    client = service.openai()
    expected = await whole(client)
    answer = await streamed(client)
    assert answer.content == expected.choices[0].message.content and answer.chunks > 10
    assert answer.finish_reasons == ["stop"] and answer.usage is None
    ((identifier, shape, model, _),) = answer.ids
    assert (identifier[:9], shape, model) == ("chatcmpl-", "chat.completion.chunk", "full")


async def test_include_usage_ends_the_stream_with_the_usage(gateway, bedrock) -> None:
    service = await gateway((await bedrock()).url)
    client = service.openai()
    expected = (await whole(client)).usage
    answer = await streamed(client, stream_options={"include_usage": True})
    assert answer.usage == expected
    assert (await streamed(client, stream_options={"include_usage": False})).usage is None


async def test_the_stream_ends_with_the_sdks_mark(gateway, bedrock) -> None:
    service = await gateway((await bedrock()).url)
    events = await service.sse("/v1/chat/completions", {"model": "full", "stream": True, "messages": HELLO})
    assert events[-1].name == "[DONE]" and [event.name for event in events].count("[DONE]") == 1


async def test_the_id_is_the_requests(gateway, bedrock) -> None:
    service = await gateway((await bedrock()).url)
    raw = await service.openai().chat.completions.with_raw_response.create(model="full", messages=HELLO)
    assert raw.parse().id == f"chatcmpl-{raw.headers['x-request-id']}"


async def test_what_the_model_is_sent(gateway, bedrock) -> None:
    upstream = await bedrock()
    client = (await gateway(upstream.url)).openai()
    await whole(client)
    await whole(client, max_tokens=5, temperature=0.5, top_p=0.25, stop=["a", "b"])
    await whole(client, max_completion_tokens=6, max_tokens=6, stop="a", n=1, user="ada", logprobs=False, presence_penalty=0)
    await whole(client, model="bare")
    plain, all_given, newer, bare = upstream.calls
    # no default that OpenAI does not have: neither a system prompt nor a temperature
    assert (plain.system, plain.max_tokens, plain.temperature, plain.top_p, plain.stop) == ((), 4096, None, None, ())
    given = (all_given.max_tokens, all_given.temperature, all_given.top_p, all_given.stop)
    assert given == (5, 0.5, 0.25, ("a", "b"))
    assert (newer.max_tokens, newer.stop) == (6, ("a",))
    assert bare.max_tokens == 100


async def test_what_asks_for_nothing_is_no_parameter(gateway, bedrock) -> None:
    """As SDKs send it without being asked. `null` is whatever a caller's library does not set."""
    upstream = await bedrock()
    client = (await gateway(upstream.url)).openai()
    nothing: Any = {
        **{"n": 1, "presence_penalty": 0, "frequency_penalty": 0.0, "logit_bias": {}, "logprobs": False, "top_logprobs": 0},
        **{"store": False, "service_tier": "auto", "modalities": ["text"], "metadata": {}, "top_p": 1, "temperature": 1},
        **dict.fromkeys(("seed", "user", "prediction", "verbosity", "audio", "tools", "stop", "web_search_options"), None),
    }
    raw = await client.chat.completions.with_raw_response.create(model="bare", messages=HELLO, **nothing)
    (call,) = upstream.calls
    assert (call.temperature, call.top_p, call.stop) == (None, None, ()) and "x-llm-dropped" not in raw.headers


@pytest.mark.parametrize("stream", [False, True])
async def test_hints_that_the_target_does_not_know_are_named(gateway, bedrock, stream: bool) -> None:
    client = (await gateway((await bedrock()).url)).openai()
    raw = await client.chat.completions.with_raw_response.create(
        model="full",
        messages=HELLO,
        stream=stream,
        seed=7,
        user="ada",
        metadata={"a": "b"},
        verbosity="low",
        service_tier="flex",
    )
    assert raw.headers["x-llm-dropped"] == "metadata, seed, service_tier, user, verbosity"
    assert "x-llm-dropped" in raw.headers["access-control-expose-headers"]


async def test_roles_and_text_parts(gateway, bedrock) -> None:
    upstream = await bedrock()
    client = (await gateway(upstream.url)).openai()
    messages: Any = [
        {"role": "system", "content": "Be brief."},
        {"role": "developer", "content": [{"type": "text", "text": "Be "}, {"type": "text", "text": "kind."}]},
        {"role": "user", "content": [{"type": "text", "text": "One"}, {"type": "text", "text": " two"}], "name": "ada"},
        {"role": "assistant", "content": "three", "refusal": None},
        {"role": "system", "content": "Be late."},
        {"role": "user", "content": "four"},
        {"role": "user", "content": "five"},
    ]
    for answer in (await whole(client, messages=messages), await streamed(client, messages=messages)):
        assert answer is not None
    assert upstream.calls[0] == upstream.calls[1]
    call = upstream.calls[0]
    assert call.system == ("Be brief.\n\nBe kind.",)
    assert [(turn.role, [block.text for block in turn.content]) for turn in call.messages] == [
        ("user", ["One two"]),
        ("assistant", ["three"]),
        ("user", ["<system-reminder>\nBe late.\n</system-reminder>\n\nfour", "five"]),
    ]


async def test_reasoning_content(gateway, bedrock) -> None:
    client = (await gateway((await bedrock()).url)).openai()
    message = (await whole(client, model="r1")).choices[0].message
    assert "stand-in" in message.reasoning_content and message.reasoning_content not in message.content
    answer = await streamed(client, model="r1")
    assert (answer.reasoning, answer.content) == (message.reasoning_content, message.content)
    # an SDK sends back what it got
    assert (await whole(client, model="r1", messages=[*HELLO, message.model_dump(), *HELLO])).choices[0].message.content


FINISH_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
}


@pytest.mark.parametrize(("reason", "expected"), FINISH_REASONS.items())
async def test_finish_reasons(gateway, fake, wire, reason: str, expected: str) -> None:
    async def script(peer: Any) -> None:
        await peer.request()
        await peer.send(wire.response(200, wire.converse({"text": "Hi"}, reason=reason)))
        await peer.request()
        await peer.send(wire.stream(wire.text("Hi"), wire.ending(reason)))

    client = (await gateway((await fake(script)).url)).openai()
    assert (await whole(client)).choices[0].finish_reason == expected
    assert (await streamed(client)).finish_reasons == [expected]


# Tools.


@pytest.mark.parametrize("model", ["full", "whole-tools"])
async def test_a_tool_call_and_its_result_whole(gateway, bedrock, model: str) -> None:
    upstream = await bedrock()
    client = (await gateway(upstream.url)).openai()
    first = (await whole(client, model=model, tools=[WEATHER, CLOCK])).choices[0]
    assert first.finish_reason == "tool_calls" and first.message.content is None
    (call,) = first.message.tool_calls
    assert (call.type, call.function.name) == ("function", "get_weather")
    assert json.loads(call.function.arguments) == {"city": "Hello, who is there?", "unit": "celsius"}
    messages = [*HELLO, first.message, {"role": "tool", "tool_call_id": call.id, "content": "21 degrees"}]
    second = (await whole(client, model=model, tools=[WEATHER, CLOCK], messages=messages)).choices[0]
    assert second.finish_reason == "stop" and "21 degrees" in second.message.content
    sent = upstream.calls[1].messages
    assert (sent[1].content[0].id, sent[1].content[0].input) == (call.id, json.loads(call.function.arguments))
    assert (sent[2].role, sent[2].content[0].id, sent[2].content[0].text) == ("user", call.id, "21 degrees")
    assert [tool.name for tool in upstream.calls[0].tools] == ["get_weather", "get_time"]


@pytest.mark.parametrize("model", ["full", "whole-tools"])
async def test_a_tool_call_and_its_result_streamed(gateway, bedrock, model: str) -> None:
    client = (await gateway((await bedrock()).url)).openai()
    first = await streamed(client, model=model, tools=[WEATHER], stream_options={"include_usage": True})
    assert first.finish_reasons == ["tool_calls"] and first.content == "" and first.usage.completion_tokens > 0
    (call,) = first.calls.values()
    assert call["name"] == "get_weather"
    assert json.loads(call["arguments"]) == {"city": "Hello, who is there?", "unit": "celsius"}
    messages = [*HELLO, first.assistant(), {"role": "tool", "tool_call_id": call["id"], "content": "21 degrees"}]
    second = await streamed(client, model=model, tools=[WEATHER], messages=messages)
    assert second.finish_reasons == ["stop"] and "21 degrees" in second.content


@pytest.mark.parametrize(("model", "operation"), [("full", "converse-stream"), ("whole-tools", "converse")])
async def test_a_model_that_does_not_stream_tools_is_called_whole(gateway, fake, wire, model: str, operation: str) -> None:
    uses = [{"toolUse": {"toolUseId": f"t{i}", "name": name, "input": {"n": i}}} for i, name in enumerate(("a", "b"))]

    async def script(peer: Any) -> None:
        await peer.request()
        if operation == "converse":
            await peer.send(wire.response(200, wire.converse({"text": "I ask."}, *uses, reason="tool_use")))
            return
        events = [wire.event("messageStart", {"role": "assistant"}), wire.text("I ask.")]
        for use in (block["toolUse"] for block in uses):
            start = {"toolUse": {"toolUseId": use["toolUseId"], "name": use["name"]}}
            events.append(wire.event("contentBlockStart", {"start": start}))
            text = json.dumps(use["input"])
            for piece in (text[:3], "", text[3:]):
                events.append(wire.event("contentBlockDelta", {"delta": {"toolUse": {"input": piece}}}))
            events.append(wire.event("contentBlockStop", {}))
        await peer.send(wire.stream(*events, wire.ending("tool_use")))

    upstream = await fake(script)
    client = (await gateway(upstream.url)).openai()
    answer = await streamed(client, model=model, tools=[WEATHER])
    assert upstream.paths[0].endswith(f"/{operation}")
    assert (answer.content, answer.finish_reasons) == ("I ask.", ["tool_calls"])
    assert [(call["id"], call["name"], json.loads(call["arguments"])) for call in answer.calls.values()] == [
        ("t0", "a", {"n": 0}),
        ("t1", "b", {"n": 1}),
    ]


@pytest.mark.parametrize("pieces", [[], [""]], ids=["no piece", "an empty piece"])
async def test_a_streamed_call_without_arguments_goes_round(gateway, fake, wire, pieces: list[str]) -> None:
    """Claude streams the call of a tool without parameters so."""

    async def script(peer: Any) -> None:
        await peer.request()
        start = {"toolUse": {"toolUseId": "t1", "name": "get_time"}}
        deltas = [wire.event("contentBlockDelta", {"delta": {"toolUse": {"input": piece}}}) for piece in pieces]
        events = [wire.event("contentBlockStart", {"start": start}), *deltas, wire.event("contentBlockStop", {})]
        await peer.send(wire.stream(*events, wire.ending("tool_use")))
        await peer.request()
        await peer.send(wire.stream(wire.text("Noon."), wire.ending()))

    client = (await gateway((await fake(script)).url)).openai()
    first = await streamed(client, tools=[CLOCK])
    assert json.loads(first.calls[0]["arguments"]) == {}
    messages = [*HELLO, first.assistant(), {"role": "tool", "tool_call_id": "t1", "content": "12:00"}]
    assert (await streamed(client, tools=[CLOCK], messages=messages)).content == "Noon."


async def test_two_calls_are_answered_in_one_turn(gateway, bedrock) -> None:
    upstream = await bedrock()
    client = (await gateway(upstream.url)).openai()
    calls = [{"id": i, "type": "function", "function": {"name": "get_time", "arguments": "{}"}} for i in ("c1", "c2")]
    messages: Any = [
        *HELLO,
        {"role": "assistant", "content": "Let me look.", "tool_calls": calls},
        {"role": "tool", "tool_call_id": "c2", "content": "two"},
        {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "one"}]},
        {"role": "user", "content": "And now?"},
    ]
    assert (await whole(client, tools=[CLOCK], messages=messages)).choices[0].message.content
    (call,) = upstream.calls
    assert [type(block).__name__ for block in call.messages[1].content] == ["TextBlock", "ToolUseBlock", "ToolUseBlock"]
    assert [block.text for block in call.messages[2].content] == ["two", "one", "And now?"]


@pytest.mark.parametrize(
    ("choice", "called"),
    [
        ("auto", "get_weather"),
        ("required", "get_weather"),
        ({"type": "function", "function": {"name": "get_time"}}, "get_time"),
        ("none", None),
        (allowed("auto", "get_time"), "get_time"),
        (allowed("required", "get_time"), "get_time"),
        (allowed("auto", "get_time", "get_weather"), "get_weather"),
    ],
)
async def test_tool_choice(gateway, bedrock, choice: Any, called: str | None) -> None:
    client = (await gateway((await bedrock()).url)).openai()
    answer = (await whole(client, tools=[WEATHER, CLOCK], tool_choice=choice)).choices[0]
    assert [call.function.name for call in answer.message.tool_calls or []] == ([called] if called else [])
    assert answer.finish_reason == ("tool_calls" if called else "stop")


# Models.


async def test_the_models_are_those_that_the_key_may_use(gateway) -> None:
    open_service = await gateway()
    names = [model.id async for model in open_service.openai().models.list()]
    assert names == ["full", "bare", "exclusive", "r1", "whole-tools", "arn", "mock"]
    service = await gateway(authorization="api_key")
    headers = service.context({"tenant": "acme", "key": "ci", "models": '["r1","full"]'})
    models = [model async for model in service.openai(default_headers=headers).models.list()]
    assert [(model.id, model.object, model.owned_by) for model in models] == [
        ("full", "model", "pulumi-llm"),
        ("r1", "model", "pulumi-llm"),
    ]


async def test_a_model_is_listed_with_what_can_be_asked_of_it(gateway) -> None:
    service = await gateway()
    listed = {model["id"]: model for model in (await service.http.get("/v1/models")).json()["data"]}
    assert listed["bare"]["max_output_tokens"] == 100
    assert listed["bare"]["context_tokens"] == 100_000
    assert listed["bare"]["accepts"] == ["max_tokens"]
    assert (listed["bare"]["streams"], listed["bare"]["default_max_tokens"]) == (True, 100)
    assert "temperature_max" not in listed["bare"]
    assert (listed["full"]["default_max_tokens"], listed["full"]["temperature_max"]) == (4096, 1.0)
    assert listed["whole-tools"]["accepts"] == ["max_tokens", "stop", "system", "temperature", "tools", "top_p"]


async def test_one_model_is_described_as_in_the_list_whatever_its_id_looks_like(gateway) -> None:
    service = await gateway()
    listed = (await service.http.get("/v1/models")).json()
    assert (listed["has_more"], listed["first_id"], listed["last_id"]) == (False, "full", "mock")
    for model in listed["data"]:
        assert (await service.http.get(f"/v1/models/{model['id']}")).json() == model
    assert (await service.openai().models.retrieve("bare")).id == "bare"
    for name in ("meta-llama/Llama 3.1", "anthropic.claude-v1:0", "a%2Fb", "gpt-4o?", "{id}", "..."):
        with pytest.raises(openai.NotFoundError) as unknown:
            await service.openai().models.retrieve(name)
        assert (unknown.value.code, unknown.value.param) == ("model_not_found", "model")
        assert repr(name) in unknown.value.message
    (slashed,) = [await service.http.get("/v1/models/meta/llama")]
    assert service.error_of(slashed)["code"] == "model_not_found"


async def test_one_model_is_described_to_those_who_may_use_it(gateway) -> None:
    service = await gateway(authorization="api_key")
    client = service.openai(default_headers=service.context({"tenant": "acme", "key": "ci", "models": '["full"]'}))
    assert (await client.models.retrieve("full")).id == "full"
    with pytest.raises(openai.PermissionDeniedError):
        await client.models.retrieve("bare")
    with pytest.raises(openai.AuthenticationError):
        await service.openai().models.retrieve("full")


# Errors, as the SDK's own exceptions.


async def test_the_callers_mistakes(gateway) -> None:
    service = await gateway(authorization="api_key")
    client = service.openai(default_headers=service.context({"tenant": "acme", "key": "ci", "models": '["full","mock"]'}))
    with pytest.raises(openai.NotFoundError) as unknown:
        await whole(client, model="gpt-4o")
    assert (unknown.value.code, unknown.value.param, unknown.value.type) == ("model_not_found", "model", "not_found_error")
    assert unknown.value.request_id == "request-1"
    with pytest.raises(openai.BadRequestError) as bad:
        await whole(client, temperature=1.5)
    assert (bad.value.code, bad.value.param, bad.value.type) == ("invalid_value", "temperature", "invalid_request_error")
    with pytest.raises(openai.PermissionDeniedError):
        await whole(client, model="r1")
    with pytest.raises(openai.AuthenticationError):
        await whole(service.openai())
    with pytest.raises(openai.BadRequestError, match="'full' is for chats, so call POST /v1/chat/completions with it"):
        await client.embeddings.create(model="full", input="a")


# Converse's exception -> the SDK's, its status, its code, Retry-After
UPSTREAM: dict[str, tuple[type[openai.APIStatusError], int, str, str | None]] = {
    "ThrottlingException": (openai.RateLimitError, 429, "upstream_throttled", "1"),
    "ModelNotReadyException": (openai.InternalServerError, 503, "model_not_ready", "30"),
    "ServiceUnavailableException": (openai.InternalServerError, 503, "upstream_unavailable", "1"),
    "AccessDeniedException": (openai.InternalServerError, 502, "upstream_misconfigured", None),
    "ModelTimeoutException": (openai.InternalServerError, 504, "upstream_timeout", None),
    "ValidationException": (openai.BadRequestError, 400, "upstream_rejected", None),
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("name", "expected"), UPSTREAM.items(), ids=UPSTREAM)
async def test_upstream_errors(gateway, fake, wire, name: str, expected: Any, stream: bool) -> None:
    kind, status, code, retry_after = expected
    refusal = wire.response(400, {"message": "Whatever"}, x_amzn_errortype=name)
    client = (await gateway((await fake(wire.plays(refusal))).url)).openai()
    with pytest.raises(kind) as raised:
        await (streamed if stream else whole)(client)
    assert (raised.value.status_code, raised.value.code) == (status, code)
    assert raised.value.response.headers.get("retry-after") == retry_after


async def test_the_sdks_own_retry_succeeds(gateway, fake, wire) -> None:
    async def script(peer: Any) -> None:
        await peer.request()
        await peer.send(wire.response(429, {"message": "Wait"}, x_amzn_errortype="ThrottlingException"))
        await peer.request()
        await peer.send(wire.response(200, wire.converse({"text": "Hi"})))

    upstream = await fake(script)
    client = (await gateway(upstream.url)).openai(max_retries=1)
    assert (await whole(client)).choices[0].message.content == "Hi"
    assert len(upstream.bodies) == 2


async def test_an_error_in_mid_stream(gateway, fake, wire) -> None:
    events = [wire.text("Hel"), wire.text("lo"), wire.exception("throttlingException", "slow down")]
    service = await gateway((await fake(wire.plays(wire.stream(*events)))).url)
    stream = await service.openai().chat.completions.create(model="full", messages=HELLO, stream=True)
    text = ""
    with pytest.raises(openai.APIError, match="throttling") as raised:
        async for chunk in stream:
            text += chunk.choices[0].delta.content or ""
    assert text == "Hello"
    assert (raised.value.code, raised.value.type) == ("upstream_throttled", "rate_limit_error")


async def test_a_cut_stream_never_looks_finished(gateway, fake, wire) -> None:
    service = await gateway((await fake(wire.plays(wire.STREAM_HEAD, wire.text("Hel")))).url)
    events = await service.sse("/v1/chat/completions", {"model": "full", "stream": True, "messages": HELLO})
    assert events[-1].data["error"]["code"] == "stream_interrupted"
    assert "[DONE]" not in [event.name for event in events]
    assert all(event.data["choices"][0]["finish_reason"] is None for event in events[:-1])


async def test_comments_do_not_disturb_the_sdk(gateway, fake, wire, monkeypatch) -> None:
    from llm_functions.http import event_stream

    monkeypatch.setattr(event_stream, "KEEP_ALIVE_SECONDS", 0.02)
    go_on = asyncio.Event()

    async def script(peer: Any) -> None:
        await peer.request()
        await go_on.wait()
        await peer.send(wire.stream(wire.text("Hi"), wire.ending()))

    service = await gateway((await fake(script)).url)
    client = service.openai()
    # create returns with the response's head, which here only a comment can have brought
    stream = await client.chat.completions.create(model="full", messages=HELLO, stream=True)
    go_on.set()
    result = Streamed()
    async for chunk in stream:
        result.add(chunk)
    assert (result.content, result.finish_reasons) == ("Hi", ["stop"])
