"""OpenAI's Responses API, whole and streamed, called by the official SDK and as Codex and openai-agents call it."""

import base64
import json
from typing import Any

import openai
import pydantic
import pytest

from llm_functions.api_formats.openai_responses.answer import StreamRenderer, render_complete
from llm_functions.api_formats.openai_responses.request import parse
from llm_gateway.errors import GatewayError
from llm_gateway.events import Delta, Done, Reasoning, ReasoningSignature, Start, ToolCall, ToolCallDelta, Usage
from llm_gateway.request import Media, Message, ReasoningBlock, ResponseFormat, ToolChoice, ToolUse
from support.growth import assert_linear

HELLO = "Hello, who is there?"
WEATHER: Any = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather of a city",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    "strict": False,
}


async def whole(client: openai.AsyncOpenAI, **arguments: Any) -> Any:
    return await client.responses.create(**{"model": "full", "input": HELLO, **arguments})


async def streamed(client: openai.AsyncOpenAI, **arguments: Any) -> Any:
    """The answer as the SDK's helper makes it of the events, held against the one that the last event holds."""
    async with client.responses.stream(**{"model": "full", "input": HELLO, **arguments}) as stream:
        events = [event async for event in stream]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert (events[0].type, events[1].type) == ("response.created", "response.in_progress")
    return events[-1].response


async def test_a_whole_answer_and_a_streamed_one(gateway, bedrock) -> None:
    upstream = await bedrock()
    client = (await gateway(upstream.url)).openai()
    answer = await whole(client, instructions="Be brief.", metadata={"a": "b"}, store=False)
    assert (answer.object, answer.status, answer.model, answer.metadata) == ("response", "completed", "full", {"a": "b"})
    assert HELLO in answer.output_text and answer.output[0].status == "completed"
    assert answer.usage.total_tokens == answer.usage.input_tokens + answer.usage.output_tokens > 0
    again = await streamed(client, instructions="Be brief.", metadata={"a": "b"})
    assert (again.output_text, again.usage, again.metadata) == (answer.output_text, answer.usage, {"a": "b"})
    assert [call.system for call in upstream.calls] == [("Be brief.",)] * 2
    cut = await whole(client, max_output_tokens=2)
    assert (cut.status, cut.incomplete_details.reason) == ("incomplete", "max_output_tokens")
    raw = [event.type async for event in await whole(client, max_output_tokens=2, stream=True)]
    assert raw[-1] == "response.incomplete"


async def test_a_tool_call_and_its_result(gateway, bedrock) -> None:
    """The SDK's own items are sent back, as openai-agents does, from a whole answer and from a streamed one."""
    upstream = await bedrock()
    client = (await gateway(upstream.url)).openai()
    for ask in (whole, streamed):
        first = await ask(client, tools=[WEATHER])
        (call,) = first.output
        assert (call.type, call.name, json.loads(call.arguments)) == ("function_call", "get_weather", {"city": HELLO})
        result = {"type": "function_call_output", "call_id": call.call_id, "output": "21 degrees"}
        items = [{"role": "user", "content": HELLO}, *(item.to_dict() for item in first.output), result]
        second = await ask(client, tools=[WEATHER], input=items)
        assert second.status == "completed" and "21 degrees" in second.output_text
        sent = upstream.calls[-1].messages
        assert (sent[1].content[0].id, sent[2].content[0].text) == (call.call_id, "21 degrees")


async def test_reasoning_goes_round(gateway, bedrock) -> None:
    client = (await gateway((await bedrock()).url)).openai()
    for ask in (whole, streamed):
        answer = await ask(client, model="r1")
        assert [item.type for item in answer.output] == ["reasoning", "message"]
        assert "stand-in" in answer.output[0].content[0].text and answer.output_text
        items = [
            {"role": "user", "content": HELLO},
            *(item.to_dict() for item in answer.output),
            {"role": "user", "content": "?"},
        ]
        assert (await ask(client, model="r1", input=items)).output_text


class City(pydantic.BaseModel):
    city: str


async def test_structured_text_is_parsed(gateway, bedrock) -> None:
    client = (await gateway((await bedrock()).url)).openai()
    answer = await client.responses.parse(model="full", input=HELLO, text_format=City)
    assert isinstance(answer.output_parsed, City)


# Events of every kind.

EVERYTHING = [
    [Start("r", "full", "bedrock/full", 1, 0.0, 1.0), Reasoning("Let me "), Reasoning("think."), ReasoningSignature("c2ln")],
    [ReasoningSignature(data="b3BhcXVl"), Delta("I "), Delta("look.")],
    [ToolCall(0, "t0", "a"), ToolCallDelta(0, '{"n":'), ToolCall(1, "t1", "b"), ToolCallDelta(0, "0}")],
    [ToolCallDelta(1, "{}"), Usage(100, 20, cached_tokens=60, reasoning_tokens=5), Done("tool_use")],
]
SIGNED = (ReasoningBlock("Let me think.", "c2ln"), ReasoningBlock(data="b3BhcXVl"))


async def batches() -> Any:
    for batch in EVERYTHING:
        yield batch


async def test_an_answer_with_everything_in_it_whole_and_streamed() -> None:
    """Each item is added once and done once, and the last event holds what the whole answer holds."""
    _, body = await render_complete({"model": "full"}, batches())
    answer = json.loads(body)
    assert [item["type"] for item in answer["output"]] == ["reasoning", "message", "function_call", "function_call"]
    assert [item["arguments"] for item in answer["output"][2:]] == ['{"n":0}', "{}"]
    assert answer["usage"]["input_tokens_details"]["cached_tokens"] == 60
    renderer = StreamRenderer("r", {"model": "full"})
    frames = b"".join([*(renderer.events(batch) for batch in EVERYTHING), renderer.closing()]).decode().split("\n\n")[:-1]
    events = [json.loads(frame.split("\n")[1].removeprefix("data: ")) for frame in frames]
    assert [frame.split("\n")[0] for frame in frames] == [f"event: {event['type']}" for event in events]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    added = [event["output_index"] for event in events if event["type"] == "response.output_item.added"]
    done = {event["output_index"]: event["item"] for event in events if event["type"] == "response.output_item.done"}
    assert added == [0, 1, 2, 3] and list(done.values()) == events[-1]["response"]["output"] == answer["output"]
    assert events[-1]["type"] == "response.completed"
    # what comes back is what was given
    request = parse(
        {"model": "full", "input": [*answer["output"], {"type": "function_call_output", "call_id": "t0", "output": ""}]}
    )
    assert request.messages[0] == Message(
        "assistant",
        text="I look.",
        tool_calls=(ToolUse("t0", "a", {"n": 0}), ToolUse("t1", "b", {})),
        reasoning="Let me think.",
        reasoning_blocks=SIGNED,
        place="input[0]",
    )


# Requests.

# As Codex sends it to a provider with wire_api = "responses".
CODEX: Any = {
    "model": "full",
    "instructions": "You are a coding agent running in the Codex CLI.",
    "input": [
        {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "<permissions>…"}]},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "List the files"}]},
    ],
    "tools": [
        {
            "type": "function",
            "name": "shell",
            "description": "Runs a command",
            "strict": False,
            "parameters": {
                "type": "object",
                "properties": {"command": {"type": "array", "items": {"type": "string"}}},
                "required": ["command"],
                "additionalProperties": False,
            },
        },
        {
            "type": "custom",
            "name": "apply_patch",
            "description": "Edits files",
            "format": {"type": "grammar", "syntax": "lark", "definition": "start: line+"},
        },
        {
            "type": "namespace",
            "name": "mcp__tickets",
            "description": "The tools of tickets",
            "tools": [{"type": "function", "name": "close", "description": "Closes one", "strict": False, "parameters": {}}],
        },
        {"type": "web_search", "external_web_access": True},
        {"type": "image_generation", "output_format": "png"},
    ],
    "client_metadata": {"x-codex-installation-id": "1"},
    "tool_choice": "auto",
    "parallel_tool_calls": True,
    "reasoning": None,
    "store": False,
    "stream": True,
    "include": ["reasoning.encrypted_content"],
    "prompt_cache_key": "0123",
    "text": {"verbosity": "medium"},
}


def test_a_namespace_is_told_once() -> None:
    """A few of its tools would else have a long text a thousand times."""
    tools = [{"type": "function", "name": f"t{n}", "description": "Does it", "parameters": {}} for n in range(3)]
    namespace = {"type": "namespace", "name": "mcp__x", "description": "The tools of x", "tools": tools}
    request = parse({"model": "a", "input": "Hi", "tools": [namespace]})
    assert [tool.description for tool in request.tools] == ["The tools of x\n\nDoes it", "Does it", "Does it"]
    many = [{**namespace, "name": f"n{n}", "tools": tools * 100} for n in range(4)]
    for wrong, place in (([{**namespace, "name": "n" * 257}], "tools[0].name"), (many, "tools")):
        with pytest.raises(GatewayError) as refused:
            parse({"model": "a", "input": "Hi", "tools": wrong})
        assert refused.value.param == place


async def test_codexs_requests(gateway, bedrock) -> None:
    service = await gateway((await bedrock()).url)
    events = await service.sse("/v1/responses", CODEX)
    done = [event.data["item"] for event in events if event.name == "response.output_item.done"]
    assert [(item["type"], item["name"]) for item in done] == [("function_call", "shell")]
    assert events[-1].name == "response.completed" and events[-1].data["response"]["usage"]["total_tokens"] > 0
    answer = await service.post("/v1/responses", {**CODEX, "stream": False})
    assert {"image_generation", "web_search"} <= set(answer.headers["x-llm-dropped"].split(", "))


def test_codexs_tools_are_functions_for_the_model() -> None:
    calls = [
        {"type": "custom_tool_call", "call_id": "1", "name": "apply_patch", "input": "*** Begin"},
        {"type": "function_call", "call_id": "2", "name": "close", "namespace": "mcp__tickets", "arguments": "{}"},
        {"type": "custom_tool_call_output", "call_id": "1", "output": "ok"},
        {"type": "function_call_output", "call_id": "2", "output": "ok"},
    ]
    choice = {"type": "function", "name": "close", "namespace": "mcp__tickets"}
    request = parse({**CODEX, "input": [*CODEX["input"], *calls], "tool_choice": choice})
    assert [tool.name for tool in request.tools] == ["shell", "apply_patch", "mcp__tickets__close"]
    assert "start: line+" in request.tools[1].description and list(request.tools[1].parameters["properties"]) == ["input"]
    assert request.tool_choice.name == "mcp__tickets__close"
    uses = (ToolUse("1", "apply_patch", {"input": "*** Begin"}), ToolUse("2", "mcp__tickets__close", {}))
    assert [message.tool_calls for message in request.messages if message.role == "assistant"] == [uses]


async def test_calls_of_codexs_tools_come_back_as_its_own_items() -> None:
    """The input of a custom tool is a text, whole and streamed; a call that the bound of tokens cut keeps what there is."""
    made = [
        [Start("r", "full", "bedrock/full", 1, 0.0, 1.0), ToolCall(0, "1", "apply_patch"), ToolCallDelta(0, '{"input":"a')],
        [ToolCallDelta(0, '\\nb"}'), ToolCall(1, "2", "mcp__tickets__close"), ToolCallDelta(1, "{}")],
        [ToolCall(2, "3", "apply_patch"), ToolCallDelta(2, '{"inp'), Usage(1, 1), Done("tool_use")],
    ]

    async def events() -> Any:
        for batch in made:
            yield batch

    _, body = await render_complete(CODEX, events())
    output = json.loads(body)["output"]
    assert [(item["type"], item["name"]) for item in output] == [
        ("custom_tool_call", "apply_patch"),
        ("function_call", "close"),
        ("custom_tool_call", "apply_patch"),
    ]
    assert (output[0]["input"], output[1]["namespace"], output[2]["input"]) == ("a\nb", "mcp__tickets", '{"inp')
    renderer = StreamRenderer("r", CODEX)
    frames = b"".join(renderer.events(batch) for batch in made).decode().split("\n\n")[:-1]
    told = [json.loads(frame.split("\n")[1].removeprefix("data: ")) for frame in frames]
    assert [event["item"] for event in told if event["type"] == "response.output_item.done"] == output
    assert [event["input"] for event in told if event["type"] == "response.custom_tool_call_input.done"] == ["a\nb", '{"inp']


def test_what_a_request_becomes() -> None:
    request = parse(
        {
            "model": "full",
            "instructions": "Be brief.",
            "input": [
                {"role": "system", "content": "Be kind."},
                {
                    "role": "user",
                    "content": [
                        {"type": "input_text", "text": "See"},
                        {"type": "input_image", "image_url": "data:image/png;base64,aGk=", "detail": "auto"},
                        {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,aGk="},
                    ],
                },
                {"type": "message", "id": "m", "role": "assistant", "status": "completed", "content": [
                    {"type": "output_text", "text": "Yes.", "annotations": [], "logprobs": []}
                ]},
            ],
            "text": {"format": {"type": "json_schema", "name": "x", "schema": {"type": "object"}, "strict": True}},
            "reasoning": {"effort": "low", "summary": "auto"},
            "tools": [{**WEATHER, "strict": True}],
            "tool_choice": {"type": "function", "name": "get_weather"},
            "parallel_tool_calls": False,
            "max_output_tokens": 7,
            "user": "ada",
            "previous_response_id": None,
        }
    )  # fmt: skip
    picture, document = Media("image", "image/png", "aGk="), Media("document", "application/pdf", "aGk=", name="a.pdf")
    assert request.messages == (
        Message("user", text="See", parts=("See", picture, document), place="input[1]"),
        Message("assistant", text="Yes.", place="input[2]"),
    )
    assert request.system == "Be brief.\n\nBe kind."
    assert request.response_format == ResponseFormat("json_schema", "x", schema={"type": "object"}, strict=True)
    assert (request.sampling.reasoning_effort, request.sampling.max_tokens, request.hints) == ("low", 7, {"user": "ada"})
    assert (request.tools[0].strict, request.tool_choice.name, request.parallel_tool_calls) == (True, "get_weather", False)


@pytest.mark.parametrize("mode", ["auto", "required"])
def test_only_the_tools_that_are_allowed_are_offered(mode: Any) -> None:
    listed = [
        {"type": "custom", "name": "apply_patch"},
        {"type": "function", "name": "close", "namespace": "mcp__tickets"},
        {"type": "web_search"},
    ]
    request = parse({**CODEX, "tool_choice": {"type": "allowed_tools", "mode": mode, "tools": listed}})
    assert [tool.name for tool in request.tools] == ["apply_patch", "mcp__tickets__close"]
    assert request.tool_choice == ToolChoice(mode)


@pytest.mark.parametrize("given", [None, {}, {"verbosity": "low"}, {"format": None}])
async def test_a_response_has_a_format_of_its_text(gateway, bedrock, given: Any) -> None:
    service = await gateway((await bedrock()).url)
    body = {"model": "full", "input": "Hello", "text": given}
    answer = (await service.post("/v1/responses", body)).json()
    last = (await service.sse("/v1/responses", {**body, "stream": True}))[-1].data["response"]
    verbosity = {"verbosity": "low"} if given and "verbosity" in given else {}
    assert answer["text"] == last["text"] == {"format": {"type": "text"}, **verbosity}


def test_a_reference_to_reasoning_is_passed_over() -> None:
    reference, user = {"type": "item_reference", "id": "rs_1"}, {"role": "user", "content": "Hello"}
    request = parse({"model": "fast", "input": [user, reference, user]})
    assert [message.text for message in request.messages] == ["Hello", "Hello"]


def sealed_reasoning(blocks: Any) -> dict[str, Any]:
    return {"type": "reasoning", "encrypted_content": base64.b64encode(json.dumps(blocks).encode()).decode()}


def test_what_a_target_is_spared() -> None:
    """OpenAI's highest effort, which only its newest models know, and schemas that lack what every provider asks for."""
    tools = [
        {"type": "function", "name": "f", "parameters": {"required": []}, "strict": False},
        {**WEATHER, "parameters": None},
    ]
    request = parse({"model": "full", "input": HELLO, "reasoning": {"effort": "max", "mode": "pro"}, "tools": tools})
    assert request.sampling.reasoning_effort == "xhigh"
    empty = {"type": "object", "properties": {}}
    assert [tool.parameters for tool in request.tools] == [{"required": [], **empty}, empty]


def test_the_work_of_joining_items_grows_with_their_number() -> None:
    def said(text: str) -> dict[str, Any]:
        return {"type": "message", "role": "assistant", "content": text}

    def join(size: int) -> None:
        long = [said("a" * 600 * size), sealed_reasoning([{"text": "b"}] * 4 * size)]
        items = [*long, *[said("z"), sealed_reasoning([{}])] * size]
        user = {"role": "user", "content": HELLO}
        first, _, last = parse({"model": "full", "input": [*items, user, said("Hi")]}).messages
        assert first.text.endswith("a" + "\nz" * size) and len(first.reasoning_blocks) == 5 * size and last.text == "Hi"

    assert_linear(join, 150)


def test_reasoning_that_is_nested_too_deeply_is_another_services() -> None:
    deep = {
        "type": "reasoning",
        "encrypted_content": base64.b64encode(b'[{"x":' + b"[" * 5_000 + b"]" * 5_000 + b"}]").decode(),
    }
    request = parse({"model": "full", "input": [{"role": "user", "content": HELLO}, deep]})
    assert request.messages[-1].reasoning_blocks == ()


REFUSED: dict[str, tuple[dict[str, Any], str, str]] = {
    "no input": ({"input": None}, "input", "is required"),
    "an earlier answer": ({"previous_response_id": "resp_1"}, "previous_response_id", "nothing is kept"),
    "a conversation": ({"conversation": "conv_1"}, "conversation", "nothing is kept"),
    "the background": ({"background": True}, "background", "leave it out"),
    "a reference": ({"input": [{"type": "item_reference", "id": "a"}]}, "input[0].type", "send the item itself"),
    "a hosted tool": ({"tools": [{"type": "code_interpreter"}]}, "tools[0].type", "only 'function'"),
    "the choice of a tool that is left out": (
        {"tools": [{"type": "web_search"}], "tool_choice": {"type": "web_search"}},
        "tool_choice",
        "must be 'auto'",
    ),
    "a reference without its type": ({"input": [{"id": "msg_1"}]}, "input[0].type", "send the item itself"),
    "a hosted tool's item": ({"input": [{"type": "web_search_call", "id": "a"}]}, "input[0].type", "leave it out"),
    "a file": (
        {"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "a"}]}]},
        "input[0].content[0].file_id",
        "no files are kept",
    ),
    "many values in reasoning": (
        {"input": [sealed_reasoning([{}] * 100_000)]},
        "input[0].encrypted_content",
        "more than 100,000",
    ),
    "metadata": ({"metadata": "abc"}, "metadata", "must be an object"),
    "a tier": ({"service_tier": [1]}, "service_tier", "must be a string"),
    "a user": ({"user": {"a": 1}}, "user", "must be a string"),
    "a verbosity": ({"text": {"verbosity": "some"}}, "text.verbosity", "low, medium or high"),
    "a private address": (
        {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "https://[::1]/a"}]}]},
        "input[0].content[0].image_url",
        "a public name",
    ),
    "logprobs": ({"top_logprobs": 2}, "top_logprobs", "chat/completions"),
    "a field": ({"max_tokens": 5}, "max_tokens", "did you mean 'max_output_tokens'"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name: str) -> None:
    fields, param, text = REFUSED[name]
    with pytest.raises(GatewayError) as raised:
        parse({"model": "full", "input": HELLO, **fields})
    assert (raised.value.status, raised.value.param) == (400, param) and text in raised.value.message


async def test_errors(gateway, fake, wire) -> None:
    async def script(peer: Any) -> None:
        await peer.request()
        await peer.send(wire.response(429, {"message": "Later"}, x_amzn_errortype="ThrottlingException"))
        await peer.request()
        await peer.send(wire.stream(wire.text("Hi"), wire.exception("throttlingException", "Later")))

    client = (await gateway((await fake(script)).url)).openai()
    with pytest.raises(openai.RateLimitError):
        await whole(client)
    events = [event async for event in await whole(client, stream=True)]
    assert [event.type for event in events[-2:]] == ["error", "response.failed"]
    failed = events[-1].response
    assert (failed.status, failed.error.code, events[-2].code) == ("failed", "upstream_throttled", "upstream_throttled")
    with pytest.raises(openai.NotFoundError):
        await whole(client, model="nobody")
