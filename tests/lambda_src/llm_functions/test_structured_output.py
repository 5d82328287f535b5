"""Structured output on every provider, asked for by the official SDK: by the provider's own switch, by a tool, in words."""

import json
from functools import partial
from typing import Any, Literal

import jsonschema_rs
import openai
import pytest
from aiohttp import web
from openai.lib._parsing._completions import type_to_response_format_param
from pydantic import BaseModel

from llm_gateway.routes import Alias, Endpoint, Routes, Target
from pulumi_llm_local.upstreams.anthropic import app as anthropic_app
from pulumi_llm_local.upstreams.model import Finish, ModelTraits, TextDelta, ToolUseDelta, ToolUseStart
from pulumi_llm_local.upstreams.openai import app as openai_app
from pulumi_llm_local.upstreams.stand_in_model import StandInModel
from support.local_bedrock import running
from support.web_app import listening
from wire.conversations import ask_openai
from wire.speaker import FunctionCall

HELLO: Any = [{"role": "user", "content": "Hello, who is there? Answer in JSON."}]


class Street(BaseModel):
    name: str
    number: int | None


class City(BaseModel):
    """A city that someone has asked for."""

    name: str
    kind: Literal["town", "village"]
    streets: list[Street]


SAMPLING = ("max_tokens", "temperature", "top_p", "stop", "system")
TOOLS = (*SAMPLING, "tools", "stream_tools")
OPEN = (*TOOLS, "json_object", "forced_tools")
SWITCHES = (*OPEN, "json_schema", "strict_tools", "parallel_tool_calls")
# The targets by their aliases: the upstream that answers, and what it takes.
TARGETS: dict[str, tuple[str, tuple[str, ...]]] = {
    "converse-forced": ("bedrock", (*TOOLS, "forced_tools")),
    "converse-auto": ("bedrock", TOOLS),
    "converse-whole": ("bedrock", (*SAMPLING, "tools", "forced_tools")),
    "openai": ("openai", SWITCHES),
    "vllm": ("vllm", SWITCHES),
    "deepseek": ("deepseek", OPEN),
    "anthropic": ("anthropic", (*TOOLS, "forced_tools")),
    "converse-native": ("bedrock", (*TOOLS, "closed_json_schema", "strict_tools", "forced_tools")),
    "anthropic-native": ("anthropic", (*TOOLS, "closed_json_schema", "strict_tools", "parallel_tool_calls")),
    "converse-without-tools": ("bedrock", SAMPLING),
    "converse-without-system": ("bedrock", ("max_tokens",)),
    "anthropic.claude": ("bedrock", TOOLS),
    "meta.llama": ("bedrock", SAMPLING),
}
every = pytest.mark.parametrize("model", TARGETS)
with_tools = pytest.mark.parametrize("model", [name for name, (_, accepts) in TARGETS.items() if "tools" in accepts])
streamed = pytest.mark.parametrize("stream", [False, True], ids=["complete", "streamed"])


class Recorded:
    def __init__(self, model: Any) -> None:
        self.model = model
        self.calls: list[Any] = []

    def generate(self, request: Any) -> Any:
        self.calls.append(request)
        return self.model.generate(request)


def target(name: str) -> Target:
    upstream, accepts = TARGETS[name]
    limit: Any = "max_completion_tokens" if upstream == "openai" else "max_tokens"
    return Target(
        name=f"{upstream}/{name}",
        provider=upstream,
        model=name,
        max_output_tokens=4096,
        context_tokens=100_000,
        accepts=accepts,  # pyright: ignore[reportArgumentType]
        max_tokens_name=limit,
    )


async def _key(request: web.Request) -> web.Response:
    return web.json_response({"ARN": "arn:of:the-key", "Name": "key", "VersionId": "v1", "SecretString": "sk-test"})


@pytest.fixture
def service(opened, gateway) -> Any:
    """Start the gateway in front of all stand-ins, which `model` answers; its aliases are `TARGETS` and those given."""

    async def start(model: Any = None, **aliases: tuple[str, ...]) -> Any:
        recorded = Recorded(model or StandInModel())
        models: dict[str, dict[str, ModelTraits]] = {}
        for name, (upstream, accepts) in TARGETS.items():
            models.setdefault(upstream, {})[name] = ModelTraits(frozenset(accepts))
        apps = {
            "anthropic": anthropic_app.create_app,
            **{flavour: partial(openai_app.create_app, flavour=flavour) for flavour in ("openai", "deepseek", "vllm")},
        }
        endpoints = []
        for name, create_app in apps.items():
            app = create_app(models=models[name], model=recorded, key=None)  # pyright: ignore[reportArgumentType]
            url = await opened.enter_async_context(listening(app))
            kind = "anthropic" if name == "anthropic" else "openai_compatible"
            endpoints.append(Endpoint(name, kind, base_url=url, secret_arn="arn:of:the-key"))
        bedrock = await opened.enter_async_context(running(recorded, models=models["bedrock"]))
        known = {name: (name,) for name in TARGETS} | aliases
        routes = Routes(
            tuple(Alias(name, tuple(map(target, names)), retries=1) for name, names in known.items()), tuple(endpoints)
        )
        secrets = web.Application()
        secrets.router.add_post("/", _key)
        found = await gateway(bedrock, routes=routes, secrets=await opened.enter_async_context(listening(secrets)))
        found.asked = recorded.calls
        return found

    return start


@every
async def test_the_sdks_parse(service, model: str) -> None:
    client = (await service()).openai()
    answer = await client.chat.completions.parse(model=model, messages=HELLO, response_format=City)
    (choice,) = answer.choices
    assert isinstance(choice.message.parsed, City) and choice.finish_reason == "stop" and not choice.message.tool_calls
    assert "Hello" in choice.message.parsed.name


@every
async def test_the_sdks_stream(service, model: str) -> None:
    client = (await service()).openai()
    async with client.chat.completions.stream(model=model, messages=HELLO, response_format=City) as stream:
        deltas = [event async for event in stream if event.type == "content.delta"]
        answer = await stream.get_final_completion()
    assert isinstance(answer.choices[0].message.parsed, City) and answer.choices[0].finish_reason == "stop"
    assert len(deltas) > (1 if model == "converse-whole" else 10) - 1


@pytest.mark.assumes("json-in-words")
@every
@streamed
async def test_any_object(service, model: str, stream: bool) -> None:
    answer, reason = await ask_openai(
        await service(), stream, model=model, messages=HELLO, response_format={"type": "json_object"}
    )
    assert HELLO[0]["content"] in json.loads(answer.text)["answer"] and reason == "stop" and not answer.calls


LOOSE = {
    "type": "object",
    "properties": {"counts": {"type": "object", "additionalProperties": {"type": "integer"}}, "age": {"minimum": 3}},
    "required": ["counts", "age"],
}


@every
async def test_a_schema_that_is_not_strict(service, model: str) -> None:
    client = (await service()).openai()
    wanted: Any = {"type": "json_schema", "json_schema": {"name": "ages", "description": "Ages", "schema": LOOSE}}
    answer = await client.chat.completions.create(model=model, messages=HELLO, response_format=wanted)
    jsonschema_rs.validate(LOOSE, json.loads(answer.choices[0].message.content or ""))


TOOL: Any = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


@with_tools
async def test_a_tool_first_then_the_answer(service, model: str) -> None:
    """As agents ask: the same tools and the same form in each turn."""
    client = (await service()).openai()
    said: Any = {"model": model, "tools": [TOOL], "response_format": type_to_response_format_param(City)}
    (first,) = (await client.chat.completions.create(messages=HELLO, **said)).choices
    assert first.finish_reason == "tool_calls" and first.message.content is None
    (call,) = first.message.tool_calls
    assert call.function.name == "weather"
    result: Any = {"role": "tool", "tool_call_id": call.id, "content": '{"degrees": 21}'}
    messages = [*HELLO, first.message.model_dump(exclude_none=True), result]
    (second,) = (await client.chat.completions.create(messages=messages, **said)).choices
    assert second.finish_reason == "stop" and not second.message.tool_calls
    City.model_validate_json(second.message.content)


FORM: Any = {
    "type": "json_schema",
    "json_schema": {"name": "form", "schema": {"type": "object", "properties": {"a": {"type": "integer"}}}},
}
OBJECT: Any = {"type": "json_object"}
MAP = {"type": "object", "additionalProperties": {"type": "integer"}}


@every
@streamed
@pytest.mark.parametrize(
    "schema",
    [MAP, {"type": "object"}, {"properties": {}, "additionalProperties": True}],
    ids=["map", "object", "no properties"],
)
async def test_a_schema_that_names_no_properties(service, model: str, stream: bool, schema: Any) -> None:
    """As a tool's schema it would be answered by {}."""
    if model == "openai":  # which requires it
        schema = {"type": "object", **schema}
    wanted = {"type": "json_schema", "json_schema": {"name": "ages", "schema": schema}}
    answer, reason = await ask_openai(await service(), stream, model=model, messages=HELLO, response_format=wanted)
    assert list(json.loads(answer.text)) == ["answer"] and reason == "stop"
    jsonschema_rs.validate(schema, json.loads(answer.text))


async def test_a_tool_choice_that_leaves_no_text(service) -> None:
    """A call of the caller's own tool is forced: no other tool is offered. None may be called: only the answer's is."""
    running = await service()
    create = running.openai().chat.completions.create
    said: Any = {"model": "converse-forced", "messages": HELLO, "tools": [TOOL], "response_format": FORM}
    for choice in ("required", {"type": "function", "function": {"name": "weather"}}):
        answer = await create(**said, tool_choice=choice)
        assert answer.choices[0].finish_reason == "tool_calls"
        assert [tool.name for tool in running.asked[-1].tools] == ["weather"]
    answer = await create(**said, tool_choice="none")
    assert answer.choices[0].finish_reason == "stop" and json.loads(answer.choices[0].message.content) == {"a": 1}
    assert [tool.name for tool in running.asked[-1].tools] == ["final_answer"]


@pytest.mark.parametrize("model", ["converse-auto", "converse-forced", "converse-native", "anthropic"])
async def test_no_call_and_json_after_a_call(service, model: str) -> None:
    """The last step of an agent. The tools of the conversation are declared, and none of them is called."""
    running = await service()
    use = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    history = [*HELLO, {"role": "assistant", "tool_calls": [use]}, {"role": "tool", "tool_call_id": "call_1", "content": "12"}]
    said: Any = {"messages": [*history, *HELLO], "tools": [TOOL], "tool_choice": "none", "response_format": FORM}
    answer = await running.openai().chat.completions.create(model=model, **said)
    (choice,) = answer.choices
    assert choice.finish_reason == "stop" and not choice.message.tool_calls and json.loads(choice.message.content) == {"a": 1}
    assert len(running.asked) == 1


class Saying:
    """A model that answers with these pieces, each time with the next ones."""

    def __init__(self, *answers: list[Any]) -> None:
        self.answers = list(answers)

    async def generate(self, request: Any) -> Any:
        for piece in self.answers.pop(0):
            yield piece


def text(said: str, reason: Any = "end_turn") -> list[Any]:
    return [*map(TextDelta, said), Finish(reason, 3, 5)]


def call(name: str, arguments: str, identifier: str = "call_1") -> list[Any]:
    return [ToolUseStart(identifier, name), *map(ToolUseDelta, arguments)]


CALLED = Finish("tool_use", 3, 5)
BY_TOOL: dict[str, tuple[list[Any], str | None, str]] = {
    # what the model says, the text that the caller gets, and the finish_reason
    "a preamble": ([*text("Here it is:")[:-1], *call("final_answer", '{"a": 1}'), CALLED], '{"a": 1}', "stop"),
    "text instead of the call": (text('```json\n{"a": 1}\n```'), '{"a": 1}', "stop"),
    "cut within the arguments": ([*call("final_answer", '{"a'), Finish("max_tokens", 3, 5)], '{"a', "length"),
    "cut within a text": (text("Here it", "max_tokens"), "Here it", "length"),
    "filtered": (text("Here", "content_filtered"), "Here", "content_filter"),
    "two answers": (
        [*call("final_answer", '{"a": 1}'), *call("final_answer", '{"a": 2}', "call_2"), CALLED],
        '{"a": 1}',
        "stop",
    ),
    "the answer and a call": (
        [*call("final_answer", '{"a": 1}'), *call("weather", '{"city": "x"}', "call_2"), CALLED],
        '{"a": 1}',
        "tool_calls",
    ),
    "a preamble and a call": (
        [*text("I look it up")[:-1], *call("weather", '{"city": "x"}', "call_2"), CALLED],
        None,
        "tool_calls",
    ),
}


IN_WORDS: dict[str, tuple[list[Any], str | None, str]] = {
    "as told": (text('{"a": {"b": 1}}'), '{"a": {"b": 1}}', "stop"),
    "in a block, between words": (text('Here it is:\n\n```json\n{"a": 1}\n```\n\nDone.'), '{"a": 1}', "stop"),
    "two answers": (text('{"a": 1}\n{"a": 2}'), '{"a": 1}', "stop"),
    "cut within the object": (text('Here: {"a', "max_tokens"), '{"a', "length"),
    "cut within words": (text("Here it", "max_tokens"), "Here it", "length"),
    "filtered": (text("Here", "content_filtered"), "Here", "content_filter"),
    "a call": ([*call("weather", '{"city": "x"}', "call_2"), CALLED], None, "tool_calls"),
    "a preamble and a call": (
        [*text("I look it up")[:-1], *call("weather", '{"city": "x"}', "call_2"), CALLED],
        None,
        "tool_calls",
    ),
    "the answer and a call": (
        [*text('{"a": 1}')[:-1], *call("weather", '{"city": "x"}', "call_2"), CALLED],
        '{"a": 1}',
        "tool_calls",
    ),
}
# Of a complete answer, Converse gives the arguments as they were read.
SAID = {
    **{f"{name}, by tool, streamed": (FORM, True, *case) for name, case in BY_TOOL.items()},
    **{f"{name}, in words, streamed": (OBJECT, True, *case) for name, case in IN_WORDS.items()},
    **{f"{name}, in words, complete": (OBJECT, False, *case) for name, case in IN_WORDS.items()},
}


@pytest.mark.parametrize("case", SAID)
async def test_what_models_say(service, case: str) -> None:
    form, stream, pieces, expected, reason = SAID[case]
    running = await service(Saying(pieces))
    said: Any = {"model": "converse-forced", "messages": HELLO, "tools": [TOOL], "response_format": form}
    answer, found = await ask_openai(running, stream, **said)
    assert (answer.text or None, found) == (expected, reason)
    assert answer.calls == ((FunctionCall("call_2", "weather", {"city": "x"}),) if reason == "tool_calls" else ())
    offered = ["weather", "final_answer"] if form is FORM else ["weather"]
    assert [tool.name for tool in running.asked[-1].tools] == offered


@streamed
@pytest.mark.parametrize("form", [FORM, OBJECT], ids=["by tool", "in words"])
async def test_words_instead_of_json(service, form: Any, stream: bool) -> None:
    """The target is asked again, and an error says that it gave none. Nothing of the words has left."""
    said: Any = {"model": "converse-forced", "messages": HELLO, "response_format": form}
    running = await service(Saying(text("It is fine."), text('{"a": 1}')))
    answer, _ = await ask_openai(running, stream, **said)
    assert answer.text == '{"a": 1}'
    running = await service(Saying(text("It is fine."), text("It is {fine}.")))
    response = await running.post("/v1/chat/completions", {**said, "stream": stream})
    assert (response.status_code, running.error_of(response)["code"]) == (502, "invalid_output")


@pytest.mark.parametrize(("model", "place"), [("converse-auto", "system"), ("converse-without-system", "user")])
async def test_where_the_words_stand(service, model: str, place: str) -> None:
    """After the caller's system text; in the user's last turn where there is none."""
    running = await service()
    messages: Any = [*HELLO, {"role": "assistant", "content": '{"a": 1}'}, *HELLO]
    system: Any = [{"role": "system", "content": "Be brief."}] if place == "system" else []
    body = {"model": model, "messages": [*system, *messages], "response_format": OBJECT}
    assert (await running.post("/v1/chat/completions", body)).status_code == 200
    (asked,) = running.asked
    turns = [message.content[0].text for message in asked.messages]
    if place == "system":
        assert asked.system[0].startswith("Be brief.\n\nGive your final answer as one JSON object")
        assert turns == [message["content"] for message in messages]
    else:
        assert turns[:2] == [message["content"] for message in messages[:2]]
        assert turns[2].startswith(f"{HELLO[0]['content']}\n\n<system-reminder>\nGive your final answer as one JSON object")


STRICT: Any = {
    "type": "function",
    "function": {
        "name": "weather",
        "strict": True,
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": ["integer", "null"]}},
            "required": ["city", "days"],
            "additionalProperties": False,
        },
    },
}


@with_tools
@streamed
async def test_a_strict_tool_called_alone(service, model: str, stream: bool) -> None:
    """As agents ask by default."""
    said: Any = {"model": model, "messages": HELLO, "tools": [STRICT], "parallel_tool_calls": False}
    answer, reason = await ask_openai(await service(), stream, **said)
    assert reason == "tool_calls" and not answer.text
    (call,) = answer.calls
    jsonschema_rs.validate(STRICT["function"]["parameters"], call.arguments)


GOOD, BAD = '{"city": "Rome", "days": 2}', '{"city": "Rome", "days": "two"}'
SAID_CALLS: dict[str, tuple[list[list[Any]], dict[str, Any], list[str] | str]] = {
    # the model's answers, what is asked, and the arguments that the caller gets or the error's text
    "by the schema": ([[*call("weather", GOOD), CALLED]], {}, [GOOD]),
    "against the schema, then by it": ([[*call("weather", BAD), CALLED], [*call("weather", GOOD), CALLED]], {}, [GOOD]),
    "against the schema twice": (
        [[*call("weather", BAD), CALLED]] * 2,
        {},
        "of the arguments of the tool 'weather', days must be of the type ['integer', 'null']",
    ),
    "cut": ([[*call("weather", '{"city'), Finish("max_tokens", 3, 5)]], {}, ['{"city']),
    "two": ([[*call("weather", GOOD), *call("weather", GOOD, "call_2"), CALLED]], {}, [GOOD, GOOD]),
    "two, and one was asked for": (
        [[*call("weather", GOOD), *call("weather", BAD, "call_2"), CALLED]],
        {"parallel_tool_calls": False},
        [GOOD],
    ),
    "two, one of them not strict": (
        [[*call("weather", GOOD), *call("clock", BAD, "call_2"), CALLED]],
        {"tools": [STRICT, {"type": "function", "function": {"name": "clock"}}]},
        [GOOD, BAD],
    ),
}


@pytest.mark.parametrize("case", SAID_CALLS)
@streamed
async def test_what_models_call(service, case: str, stream: bool) -> None:
    answers, more, expected = SAID_CALLS[case]
    running = await service(Saying(*answers))
    body: Any = {"model": "converse-forced", "messages": HELLO, "tools": [STRICT], "stream": stream, **more}
    if isinstance(expected, str):
        response = await running.post("/v1/chat/completions", body)
        assert response.status_code == 502 and expected in running.error_of(response)["message"]
        return
    found: dict[int, str] = {}
    if stream:
        async for chunk in await running.openai().chat.completions.create(**body):
            for each in chunk.choices[0].delta.tool_calls or []:
                found[each.index] = found.get(each.index, "") + each.function.arguments
    else:
        answer = await running.openai().chat.completions.create(**body)
        found = {index: each.function.arguments for index, each in enumerate(answer.choices[0].message.tool_calls)}
    if case == "cut" and not stream:  # Converse gives a call that was cut without its arguments
        assert found == {0: "{}"}
    else:
        assert [json.loads(each) if case != "cut" else each for each in found.values()] == [
            json.loads(each) if case != "cut" else each for each in expected
        ]


@streamed
@pytest.mark.parametrize("model", ["converse-forced", "converse-auto"])
async def test_a_text_that_breaks_its_strict_schema(service, model: str, stream: bool) -> None:
    """It is asked for again; but a stream, whose text has left, ends with an error, unless it has come in one piece."""
    good, bad = '{"name": "Rome", "kind": "town", "streets": []}', '{"name": "Rome", "kind": "city", "streets": []}'
    by_tool = model == "converse-forced"
    answers = [[*call("final_answer", each), CALLED] if by_tool else text(each) for each in (bad, good)]
    running = await service(Saying(*answers))
    said: Any = {"model": model, "messages": HELLO, "response_format": type_to_response_format_param(City)}
    try:
        answer, _ = await ask_openai(running, stream, **said)
    except openai.APIError as error:
        assert stream and "kind is none of the values that are allowed" in str(error)
    else:
        assert json.loads(answer.text) == json.loads(good)


@streamed
async def test_a_text_that_openais_strict_mode_is_not_asked_for(service, stream: bool) -> None:
    """OpenAI's strict mode does not take a schema with an optional property: the text is checked here."""
    schema = {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "string"}}, "required": ["a"]}
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "strict": True, "schema": schema}}
    said: Any = {"model": "openai", "messages": HELLO, "response_format": wanted}
    running = await service(Saying(text('{"a": "one"}'), text('{"a": 1}')))
    try:
        answer, _ = await ask_openai(running, stream, **said)
    except openai.APIError as error:
        assert stream and "a must be of the type integer" in str(error)
    else:
        assert answer.text == '{"a": 1}'
    running = await service(Saying([TextDelta('{"a": "o'), Finish("max_tokens", 1, 1)]))
    assert (await ask_openai(running, stream, **said))[0].text == '{"a": "o'


WRONG: dict[str, tuple[Any, str]] = {
    "no object": ("json", "response_format: must be an object, not a string"),
    "no type": ({}, "response_format.type: is required"),
    "another type": ({"type": "xml"}, "response_format.type: must be text, json_object or json_schema, not 'xml'"),
    "no schema's description": ({"type": "json_schema"}, "response_format.json_schema: is required"),
    "a name": ({"type": "json_schema", "json_schema": {"name": "a b", "schema": {}}}, "json_schema.name: may have up to 64"),
    "a schema": ({"type": "json_schema", "json_schema": {"name": "a", "schema": []}}, "schema: must be a JSON Schema"),
    "a list": (
        {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "array"}}},
        "schema: must be of the type object",
    ),
    "unknown": ({"type": "json_object", "strict": True}, "response_format.strict: is not known"),
}


@pytest.mark.parametrize("case", WRONG)
async def test_wrong_forms(gateway, case: str) -> None:
    wrong, expected = WRONG[case]
    service = await gateway()
    response = await service.post("/v1/chat/completions", {"model": "full", "messages": HELLO, "response_format": wrong})
    error = service.error_of(response)
    assert response.status_code == 400 and expected in error["message"]


@pytest.mark.parametrize("form", [None, {"type": "text"}])
async def test_text_of_any_form(gateway, bedrock, form: Any) -> None:
    upstream = await bedrock()
    service = await gateway(upstream.url)
    body = {"model": "full", "messages": HELLO, "response_format": form}
    assert (await service.post("/v1/chat/completions", body)).status_code == 200
    assert upstream.calls[0].tools == ()
