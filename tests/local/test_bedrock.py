"""The local Bedrock, called by boto3 as the functions and any other client call it."""

import asyncio
import json
import math
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import islice
from typing import Any

import boto3
import pytest
from aiohttp import web
from botocore import UNSIGNED
from botocore.config import Config
from botocore.eventstream import EventStreamBuffer
from botocore.exceptions import ClientError, EventStreamError, ReadTimeoutError
from hypothesis import given, settings
from hypothesis import strategies as st
from urllib3.exceptions import ProtocolError
from urllib3.exceptions import ReadTimeoutError as UnwrappedReadTimeoutError

from pulumi_llm_local import bedrock
from pulumi_llm_local.bedrock import (
    BedrockError,
    ConverseCall,
    Credentials,
    Fault,
    Finish,
    Model,
    ModelTraits,
    Piece,
    TextDelta,
    create_app,
    event_message,
    parse_fault,
)
from pulumi_llm_local.stand_in_model import StandInModel, count_tokens, sample

REGION = "us-east-1"
KEYS = Credentials("AKIALOCAL", "local-secret")
ALL = frozenset({"max_tokens", "temperature", "top_p", "stop", "system", "tools"})
PROFILE = "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.deepseek.r1-v1:0"
MODELS = {
    "test.all-v1:0": ModelTraits(ALL),
    "test.bare-v1": ModelTraits(frozenset({"max_tokens"}), max_output_tokens=100),
    "test.exclusive-v1": ModelTraits(ALL, exclusive=frozenset({"temperature", "top_p"})),
    PROFILE: ModelTraits(frozenset({"max_tokens", "system"}), reasoning=True),
    "arn:aws:bedrock:us-east-1:123456789012:imported-model/abcdef123456": ModelTraits(ALL),
}
HELLO = [{"role": "user", "content": [{"text": "Hello, who is there?"}]}]
WEATHER = {
    "toolSpec": {
        "name": "get_weather",
        "description": "The weather of a city",
        "inputSchema": {
            "json": {
                "type": "object",
                "properties": {
                    "city": {"type": "string"},
                    "unit": {"enum": ["celsius", "fahrenheit"]},
                    "days": {"type": "integer"},
                },
                "required": ["city", "unit"],
            }
        },
    }
}
CLOCK = {"toolSpec": {"name": "get_time", "inputSchema": {"json": {"type": "object"}}}}


@asynccontextmanager
async def running(model: Model | None = None, *faults: Fault) -> AsyncIterator[str]:
    """The address of a Bedrock that `model` (by default the stand-in) answers."""
    app = create_app(region=REGION, credentials=KEYS, models=MODELS, model=model or StandInModel(), faults=faults)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def client(url: str, *, region: str = REGION, key: str = KEYS.access_key, secret: str = KEYS.secret_key, **config: Any) -> Any:
    config = {"retries": {"total_max_attempts": 1}, "proxies": {}, "read_timeout": 10, **config}
    return boto3.client(
        "bedrock-runtime",
        endpoint_url=url,
        region_name=region,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        config=Config(**config),
    )


async def converse(url: str, model: str = "test.all-v1:0", messages: Any = HELLO, **arguments: Any) -> Any:
    return await asyncio.to_thread(lambda: client(url).converse(modelId=model, messages=messages, **arguments))


async def stream(url: str, model: str = "test.all-v1:0", messages: Any = HELLO, **arguments: Any) -> list[dict[str, Any]]:
    call = {"modelId": model, "messages": messages, **arguments}
    return await asyncio.to_thread(lambda: list(client(url).converse_stream(**call)["stream"]))


def names(events: list[dict[str, Any]]) -> list[str]:
    return [name for event in events for name in event]


def deltas(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [event["contentBlockDelta"]["delta"] for event in events if "contentBlockDelta" in event]


class Controlled:
    """Sends two pieces, then waits to be released; knows how it ended."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.released = asyncio.Event()
        self.ended = asyncio.Event()
        self.failure = failure

    async def generate(self, call: ConverseCall) -> AsyncIterator[Piece]:
        try:
            yield TextDelta("one")
            yield TextDelta(" two")
            await self.released.wait()
            if self.failure:
                raise self.failure
            yield Finish("end_turn", 1, 2)
        finally:
            self.ended.set()


# Answers.


@pytest.mark.parametrize("model", sorted(MODELS))
async def test_a_stream_and_a_whole_answer_say_the_same(model: str) -> None:
    async with running() as url:
        whole, events = await converse(url, model), await stream(url, model)
    content = whole["output"]["message"]["content"]
    assert "".join(delta.get("text", "") for delta in deltas(events)) == content[-1]["text"]
    assert 40 <= count_tokens(content[-1]["text"]) <= 80
    assert "Hello, who is there?" in content[-1]["text"] and "stand-in" in content[-1]["text"]
    assert whole["stopReason"] == "end_turn"
    assert names(events)[:2] == ["messageStart", "contentBlockDelta"]
    assert names(events)[-3:] == ["contentBlockStop", "messageStop", "metadata"]
    usage = events[-1]["metadata"]["usage"]
    assert usage == whole["usage"]
    assert usage["inputTokens"] == 6 and usage["totalTokens"] == 6 + usage["outputTokens"]
    assert whole["metrics"]["latencyMs"] >= 0 and whole["ResponseMetadata"]["RequestId"]
    if MODELS[model].reasoning:
        reasoning = content[0]["reasoningContent"]["reasoningText"]
        sent = [delta["reasoningContent"] for delta in deltas(events) if "reasoningContent" in delta]
        assert "".join(piece.get("text", "") for piece in sent) == reasoning["text"]
        assert sent[-1] == {"signature": reasoning["signature"]}
        indexes = [event["contentBlockDelta"]["contentBlockIndex"] for event in events if "contentBlockDelta" in event]
        assert indexes == sorted(indexes) and set(indexes) == {0, 1}


async def test_the_first_event_arrives_before_the_generation_ends() -> None:
    model = Controlled()
    async with running(model) as url:
        events = (await asyncio.to_thread(client(url).converse_stream, modelId="test.all-v1:0", messages=HELLO))["stream"]
        iterator = iter(events)
        first = await asyncio.to_thread(lambda: list(islice(iterator, 3)))
        assert [delta["text"] for delta in deltas(first)] == ["one", " two"]
        assert not model.ended.is_set()
        model.released.set()
        rest = await asyncio.to_thread(lambda: list(iterator))
        assert names(rest) == ["contentBlockStop", "messageStop", "metadata"]


async def test_the_generation_stops_when_the_client_leaves() -> None:
    model = Controlled()
    async with running(model) as url:
        events = (await asyncio.to_thread(client(url).converse_stream, modelId="test.all-v1:0", messages=HELLO))["stream"]
        await asyncio.to_thread(lambda: list(islice(iter(events), 3)))
        assert not model.ended.is_set()
        events.close()
        await asyncio.wait_for(model.ended.wait(), 5)


@pytest.mark.parametrize("failure", [BedrockError(429, "ThrottlingException", "wait"), RuntimeError("a bug")])
async def test_a_failure_in_mid_stream_is_an_exception_event(failure: Exception) -> None:
    model = Controlled(failure)
    model.released.set()
    async with running(model) as url:
        with pytest.raises(EventStreamError) as error:
            await stream(url)
    expected = "throttlingException" if isinstance(failure, BedrockError) else "internalServerException"
    assert error.value.response["Error"]["Code"] == expected


def test_an_event_has_the_headers_of_bedrock() -> None:
    buffer = EventStreamBuffer()
    buffer.add_data(event_message("event", "messageStop", {"stopReason": "end_turn"}))  # checks both CRCs
    (message,) = list(buffer)
    assert message.headers == {":event-type": "messageStop", ":content-type": "application/json", ":message-type": "event"}


@pytest.mark.parametrize("model", ["test.all-v1:0", PROFILE])
@pytest.mark.parametrize("limit", [1, 7, 30])
async def test_max_tokens_is_exact(model: str, limit: int) -> None:
    async with running() as url:
        whole = await converse(url, model, inferenceConfig={"maxTokens": limit})
        events = await stream(url, model, inferenceConfig={"maxTokens": limit})
    texts = [
        block["text"] if "text" in block else block["reasoningContent"]["reasoningText"]["text"]
        for block in whole["output"]["message"]["content"]
    ]
    assert sum(map(count_tokens, texts)) == whole["usage"]["outputTokens"] == limit
    assert whole["stopReason"] == "max_tokens"
    assert events[-2]["messageStop"] == {"stopReason": "max_tokens"}
    assert len([delta for delta in deltas(events) if "signature" not in delta.get("reasoningContent", {})]) == limit


async def test_a_stop_sequence_cuts_the_text_before_itself() -> None:
    async with running() as url:
        full = (await converse(url))["output"]["message"]["content"][0]["text"]
        for sequence in ("stand-in", "eal mod", "l model has re"):  # each lies across pieces
            whole = await converse(url, inferenceConfig={"stopSequences": ["never said", sequence]})
            text = whole["output"]["message"]["content"][0]["text"]
            assert text == full.partition(sequence)[0]
            assert (whole["stopReason"], whole["usage"]["outputTokens"]) == ("stop_sequence", count_tokens(text))
        limited = await converse(url, inferenceConfig={"stopSequences": ["stand-in"], "maxTokens": 3})
        assert limited["stopReason"] == "max_tokens"


# Tools.


@pytest.mark.parametrize(
    ("choice", "name"),
    [
        (None, "get_weather"),
        ({"auto": {}}, "get_weather"),
        ({"any": {}}, "get_weather"),
        ({"tool": {"name": "get_time"}}, "get_time"),
    ],
)
async def test_a_tool_round_trip(choice: dict[str, Any] | None, name: str) -> None:
    config = {"tools": [WEATHER, CLOCK], **({"toolChoice": choice} if choice else {})}
    async with running() as url:
        whole, events = await converse(url, toolConfig=config), await stream(url, toolConfig=config)
        (block,) = whole["output"]["message"]["content"]
        use = block["toolUse"]
        assert (use["name"], whole["stopReason"]) == (name, "tool_use")
        if name == "get_weather":
            assert use["input"] == {"city": "Hello, who is there?", "unit": "celsius"}
        assert events[1]["contentBlockStart"]["start"] == {"toolUse": {"toolUseId": use["toolUseId"], "name": name}}
        fragments = [delta["toolUse"]["input"] for delta in deltas(events)]
        assert len(fragments) > 1 and json.loads("".join(fragments)) == use["input"]

        result = {"toolUseId": use["toolUseId"], "content": [{"json": {"sky": "blue"}}, {"text": "21 degrees"}]}
        history = [*HELLO, whole["output"]["message"], {"role": "user", "content": [{"toolResult": result}]}]
        answer = await converse(url, messages=history, toolConfig=config)
        text = answer["output"]["message"]["content"][0]["text"]
        assert answer["stopReason"] == "end_turn" and "21 degrees" in text and "blue" in text


KINDS = st.sampled_from(["integer", "number"])
LEAVES = st.one_of(
    st.builds(
        lambda least, more: {"type": "string", "minLength": least, "maxLength": least + more},
        st.integers(0, 40),
        st.integers(0, 9),
    ),
    st.builds(lambda name: {"type": "string", "format": name}, st.sampled_from(["date", "date-time", "uuid", "email", "uri"])),
    st.builds(
        lambda kind, key, low, step: {"type": kind, key: low, "maximum": low + 2 * step, "multipleOf": step},
        KINDS,
        st.sampled_from(["minimum", "exclusiveMinimum"]),
        st.integers(-50, 50),
        st.integers(1, 9),
    ),
    st.builds(
        lambda kind, key, bound: {"type": kind, key: bound},
        KINDS,
        st.sampled_from(["maximum", "exclusiveMaximum", "exclusiveMinimum"]),
        st.sampled_from([-2.5, 0, 0.1, 7]),
    ),
    st.sampled_from(
        [
            {"type": "number", "multipleOf": 0.1, "minimum": 0.25},
            {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
            {"enum": ["a", 1, None]},
            {"type": "integer", "enum": ["a", 3]},
            {"const": {"x": [1]}},
            {"type": "boolean"},
            {"type": "null"},
            {"type": ["null", "integer"], "minimum": 4},
            {"type": "string", "default": "given"},
            {},
            True,
            {"$ref": "#/$defs/tree"},
            {"$ref": "#/$defs/a~1b"},
            {"oneOf": [{"type": "string"}, {"type": "object"}]},
            {"allOf": [{"type": "number", "minimum": 2}, {"type": "integer", "maximum": 9}, {"$ref": "#/$defs/a~1b"}]},
        ]
    ),
)
SCHEMAS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(
            lambda properties, keep: {
                "type": "object",
                "properties": properties,
                "required": [n for n in properties if n in keep],
            },
            st.dictionaries(st.sampled_from("abcd"), inner, max_size=4),
            st.sets(st.sampled_from("abcd")),
        ),
        st.builds(lambda items, least: {"type": "array", "items": items, "minItems": least}, inner, st.integers(0, 3)),
        st.builds(lambda options: {"anyOf": options}, st.lists(inner, min_size=1, max_size=3)),
    ),
    max_leaves=8,
)
DEFINITIONS = {
    "tree": {
        "type": "object",
        "properties": {
            "value": {"type": "string", "minLength": 1},
            "children": {"type": "array", "items": {"$ref": "#/$defs/tree"}},
            "next": {"anyOf": [{"$ref": "#/$defs/tree"}, {"type": "null"}]},
        },
        "required": ["value", "children", "next"],
    },
    "a/b": {"type": "integer", "multipleOf": 2, "minimum": 3},
}


@given(st.dictionaries(st.sampled_from("pqr"), SCHEMAS, max_size=3), st.text(max_size=30))
@settings(max_examples=200, deadline=None)
def test_a_tool_input_is_valid_against_any_schema(properties: dict[str, Any], prompt: str) -> None:
    schema = {"type": "object", "properties": properties, "required": list(properties), "$defs": DEFINITIONS}
    value = sample(schema, prompt)
    assert list(violations(schema, json.loads(json.dumps(value)), schema)) == []


def test_a_schema_that_nothing_finite_meets_gives_an_empty_input() -> None:
    endless = {"type": "object", "properties": {"next": {"$ref": "#"}}, "required": ["next"]}
    assert sample(endless, "prompt") == {}


TYPES: dict[str, Callable[[Any], bool]] = {
    "object": lambda v: isinstance(v, dict),
    "array": lambda v: isinstance(v, list),
    "string": lambda v: isinstance(v, str),
    "boolean": lambda v: isinstance(v, bool),
    "null": lambda v: v is None,
    "number": lambda v: isinstance(v, int | float) and not isinstance(v, bool),
    "integer": lambda v: isinstance(v, int | float) and not isinstance(v, bool) and v == int(v),
}
FORMATS = {
    "date": r"\d{4}-\d\d-\d\d",
    "date-time": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ",
    "uuid": r"[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}",
    "email": r"[^@\s]+@[^@\s]+\.\w+",
    "uri": r"https?://\S+",
}


def violations(schema: Any, value: Any, root: Any) -> Iterator[str]:
    """JSON Schema, as far as the schemas above go."""
    if isinstance(schema, bool):
        yield from () if schema else ("false",)
        return
    if "$ref" in schema:
        name = schema["$ref"].removeprefix("#/$defs/").replace("~1", "/")
        yield from violations(root["$defs"][name], value, root)
    kinds = schema.get("type", list(TYPES))
    if not any(TYPES[kind](value) for kind in ([kinds] if isinstance(kinds, str) else kinds)):
        yield f"{value!r} is not {kinds}"
    if ("enum" in schema and value not in schema["enum"]) or ("const" in schema and value != schema["const"]):
        yield f"{value!r} is not among the values"
    for part in schema.get("allOf", ()):
        yield from violations(part, value, root)
    for keyword, allowed in (("anyOf", range(1, 9)), ("oneOf", range(1, 2))):
        if keyword in schema and sum(not list(violations(o, value, root)) for o in schema[keyword]) not in allowed:
            yield f"{value!r} against {keyword}"
    if isinstance(value, dict):
        yield from (f"{name} is missing" for name in schema.get("required", ()) if name not in value)
        for name, part in schema.get("properties", {}).items():
            yield from violations(part, value[name], root) if name in value else ()
    elif isinstance(value, list):
        yield from ("too few",) if len(value) < schema.get("minItems", 0) else ()
        for item in value:
            yield from violations(schema.get("items", True), item, root)
    elif isinstance(value, str):
        if not schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", math.inf):
            yield f"{value!r} is too short or too long"
        if "format" in schema and not re.fullmatch(FORMATS[schema["format"]], value):
            yield f"{value!r} is no {schema['format']}"
    elif TYPES["number"](value):
        low, high = schema.get("exclusiveMinimum", -math.inf), schema.get("exclusiveMaximum", math.inf)
        if not (low < value < high and schema.get("minimum", value) <= value <= schema.get("maximum", value)):
            yield f"{value!r} is out of bounds"
        if "multipleOf" in schema and Fraction(str(value)) % Fraction(str(schema["multipleOf"])):
            yield f"{value!r} is no multiple"


# Requests that are refused.


def user(*content: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(content)}


def assistant(*content: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": list(content)}


USE = {"toolUse": {"toolUseId": "u1", "name": "get_weather", "input": {}}}
RESULT = {"toolResult": {"toolUseId": "u1", "content": [{"text": "sunny"}]}}
TEXT = {"text": "Hi"}
TOOLS = {"tools": [WEATHER]}
IMAGE = {"image": {"format": "png", "source": {"bytes": "aGk="}}}


def inference(**values: Any) -> dict[str, Any]:
    return {"messages": HELLO, "inferenceConfig": values}


def tools(*entries: Any, **more: Any) -> dict[str, Any]:
    return {"messages": HELLO, "toolConfig": {"tools": list(entries), **more}}


def history(*messages: Any) -> dict[str, Any]:
    return {"messages": list(messages), "toolConfig": TOOLS}


TEXT_5 = "Value '5' at 'messages.1.member.content.1.member.text' failed to satisfy constraint: Member must be of type string"
TOO_HOT = (
    "1 validation error detected: Value '1.5' at 'inferenceConfig.temperature' failed to satisfy constraint: Member must have "
    "value less than or equal to 1"
)
NO_TOOLS = "Value at 'toolConfig.tools' failed to satisfy constraint: Member must have length greater than or equal to 1"
A_SPACE = (
    "'toolConfig.tools.1.member.toolSpec.name' failed to satisfy constraint: Member must satisfy regular expression pattern"
)
NO_TYPE = "The value at toolConfig.tools.0.toolSpec.inputSchema.json.type must be one of the following: object."
BAD_REQUESTS: dict[str, list[tuple[Any, str]]] = {
    "test.all-v1:0": [
        (b"{", "not valid JSON"),
        (b'{"inferenceConfig": {"temperature": NaN}}', "not valid JSON"),
        ([], "Member must be of type structure"),
        ({"messages": "Hi"}, "Member must be of type list"),
        ({"messages": HELLO, "maxTokens": 5}, "Value at 'maxTokens' failed to satisfy constraint: Member must be one of: "),
        ({"messages": [{"role": "user"}]}, "Value null at 'messages.1.member.content' failed to satisfy constraint"),
        ({"messages": [{"role": "bot", "content": [TEXT]}]}, "Member must satisfy enum value set: [user, assistant"),
        ({"messages": [user({"text": 5})]}, TEXT_5),
        ({"messages": [user({**TEXT, **RESULT})]}, "Member must set one of the following keys: text, image"),
        (inference(temperature=1.5), TOO_HOT),
        (inference(topP=-0.1, temperature=2), "2 validation errors detected: "),
        (inference(maxTokens=0), "Member must have value greater than or equal to 1"),
        (inference(maxTokens=True), "Member must be of type integer"),
        (inference(maxTokens=2.5), "Member must be of type integer"),
        (inference(stopSequences=[""]), "Value '' at 'inferenceConfig.stopSequences.1.member' failed to satisfy constraint"),
        (tools(), NO_TOOLS),
        (tools({"toolSpec": {**WEATHER["toolSpec"], "name": "a space"}}), A_SPACE),
        (tools({"toolSpec": {**WEATHER["toolSpec"], "inputSchema": {"json": {}}}}), NO_TYPE),
        (tools(WEATHER, WEATHER), "already defined at toolConfig.tools.1"),
        (tools(WEATHER, toolChoice={"tool": {"name": "other"}}), "The tool other at"),
        (tools({"systemTool": {"name": "x"}}), "systemTool"),
        ({}, "A conversation must start with a user message."),
        (history(assistant(TEXT)), "A conversation must start with a user message."),
        (history(user(TEXT), user(TEXT)), "must alternate between user and assistant"),
        (history(user(TEXT), assistant(TEXT)), "must end with a user message"),
        (history(user()), "The content field in the Message object at messages.0 is empty."),
        (history(user({"text": " "})), "The text field in the ContentBlock object at messages.0.content.0 is blank."),
        (history(user(IMAGE)), "image content block at messages.0.content.0"),
        (history(user(USE)), "toolUse content block at messages.0.content.0"),
        ({"messages": [user(TEXT), assistant(USE), user(RESULT)]}, "The toolConfig field must be defined"),
        (history(user(TEXT), assistant(USE), user(TEXT)), "toolResult blocks at messages.2.content for the following Ids: u1"),
        (history(user(RESULT)), "exceeds the number of toolUse blocks of previous turn"),
        (history(user(TEXT), assistant(USE), user(RESULT, RESULT)), "duplicate Ids"),
        ({"messages": HELLO, "system": [{"cachePoint": {"type": "default"}}]}, "cachePoint"),
        ({"messages": HELLO, "guardrailConfig": {"guardrailIdentifier": "g", "guardrailVersion": "1"}}, "guardrailConfig"),
    ],
    "test.unknown-v1:0": [({"messages": HELLO}, "The provided model identifier is invalid.")],
    "test.bare-v1": [
        ({"messages": HELLO, "system": [TEXT]}, "This model doesn't support system messages."),
        (tools(WEATHER), "This model doesn't support tool use."),
        (inference(temperature=0.5), "This model doesn't support the temperature field. Remove temperature and try again."),
        (inference(stopSequences=["x"]), "This model doesn't support the stopSequences field."),
        (inference(maxTokens=101), "exceeds the model limit of 100"),
    ],
    "test.exclusive-v1": [(inference(temperature=0.5, topP=0.5), "`temperature` and `top_p` cannot both be specified")],
}


async def test_bad_requests() -> None:
    def refusal(boto: Any, model: str, body: Any) -> ClientError | None:
        """Send `body` as it stands: boto3 would refuse or mend much of it itself."""

        def replace(request: Any, **_: Any) -> None:
            request.data = body if isinstance(body, bytes) else json.dumps(body).encode()

        boto.meta.events.register_first("before-sign.bedrock-runtime.Converse", replace, unique_id="replace")
        try:
            boto.converse(modelId=model, messages=HELLO)
        except ClientError as error:
            return error
        finally:
            boto.meta.events.unregister("before-sign.bedrock-runtime.Converse", replace, unique_id="replace")
        return None

    async with running() as url:
        boto = client(url)
        for model, body, message in ((model, *case) for model, cases in BAD_REQUESTS.items() for case in cases):
            error = await asyncio.to_thread(refusal, boto, model, body)
            assert error is not None, body
            response = error.response
            assert (response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]) == ("ValidationException", 400)
            assert message in response["Error"]["Message"], body
            assert response["ResponseMetadata"]["RequestId"]


def edited(old: str, new: str) -> Callable[..., None]:
    """What a request becomes after it was signed."""

    def edit(request: Any, **_: Any) -> None:
        request.body = request.body.replace(old.encode(), new.encode())
        authorization = request.headers["Authorization"]
        authorization = authorization.decode() if isinstance(authorization, bytes) else authorization
        request.headers["Authorization"] = authorization.replace(old, new)

    return edit


@pytest.mark.parametrize(
    ("arguments", "edit", "clock", "code"),
    [
        ({"signature_version": UNSIGNED}, None, 0, "MissingAuthenticationTokenException"),
        ({"key": "AKIAOTHER"}, None, 0, "UnrecognizedClientException"),
        ({"secret": "wrong"}, None, 0, "InvalidSignatureException"),
        ({"region": "eu-west-1"}, None, 0, "InvalidSignatureException"),
        ({}, edited("who is", "who's "), 0, "InvalidSignatureException"),
        ({}, edited("/bedrock/", "/s3/"), 0, "InvalidSignatureException"),
        ({}, edited("host;", ""), 0, "InvalidSignatureException"),
        ({}, edited("SignedHeaders=", "Headers="), 0, "IncompleteSignatureException"),
        ({}, None, -16, "InvalidSignatureException"),
        ({}, None, +16, "InvalidSignatureException"),
        ({}, None, -14, None),
    ],
)
async def test_signatures(
    monkeypatch: pytest.MonkeyPatch, arguments: Any, edit: Callable[..., None] | None, clock: int, code: str | None
) -> None:
    now = datetime.now(UTC) + timedelta(minutes=clock)
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda **_: now)
    async with running() as url:
        boto = client(url, **arguments)
        if edit:
            boto.meta.events.register("before-send.bedrock-runtime", edit)
        try:
            await asyncio.to_thread(lambda: boto.converse(modelId="test.all-v1:0", messages=HELLO))
        except ClientError as error:
            assert error.response["Error"]["Code"] == code
            assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 403
        else:
            assert code is None


# Faults.


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        ("throttle", 429, "ThrottlingException"),
        ("not-ready", 429, "ModelNotReadyException"),
        ("500", 500, "InternalServerException"),
        ("503", 503, "ServiceUnavailableException"),
    ],
)
async def test_a_refusing_fault_hits_its_share_of_the_requests(kind: str, status: int, code: str) -> None:
    async def outcome() -> tuple[int, str]:
        try:
            await asyncio.to_thread(lambda: boto.converse(modelId="test.all-v1:0", messages=HELLO))
        except ClientError as error:
            return error.response["ResponseMetadata"]["HTTPStatusCode"], error.response["Error"]["Code"]
        return 200, ""

    async with running(None, parse_fault(f"{kind}:0.3")) as url:
        boto = client(url)
        outcomes = [await outcome() for _ in range(10)]
    assert [i for i, seen in enumerate(outcomes) if seen == (status, code)] == [3, 6, 9]
    assert sum(seen == (200, "") for seen in outcomes) == 7


async def test_two_faults_keep_their_rates() -> None:
    schedule = bedrock._FaultSchedule([Fault("throttle", 0.5), Fault("500", 0.5)])
    kinds = [schedule.next() for _ in range(100)]
    assert kinds.count("throttle") + kinds.count("500") >= 98
    assert abs(kinds.count("throttle") - kinds.count("500")) <= 1


async def test_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bedrock, "SLOW_FIRST_PIECE_S", 0.2)
    monkeypatch.setattr(bedrock, "SLOW_PIECE_S", 0.01)
    async with running(None, Fault("slow")) as url:
        events = await stream(url, inferenceConfig={"maxTokens": 5})
    assert len(deltas(events)) == 5
    assert events[-1]["metadata"]["metrics"]["latencyMs"] >= 240


async def test_a_stalled_answer_keeps_its_connection_open() -> None:
    async with running(None, Fault("stall")) as url:
        boto = client(url, read_timeout=0.8)
        events = (await asyncio.to_thread(lambda: boto.converse_stream(modelId="test.all-v1:0", messages=HELLO)))["stream"]
        seen: list[dict[str, Any]] = []
        with pytest.raises(UnwrappedReadTimeoutError):
            await asyncio.to_thread(lambda: seen.extend(iter(events)))
        assert [name for name in names(seen) if name != "contentBlockDelta"] == ["messageStart"]
        with pytest.raises(ReadTimeoutError):
            await asyncio.to_thread(lambda: boto.converse(modelId="test.all-v1:0", messages=HELLO))


async def test_a_stopping_server_does_not_wait_for_a_stalled_answer() -> None:
    async with asyncio.timeout(10):  # aiohttp itself would wait for a minute
        async with running(None, Fault("stall")) as url:
            boto = client(url)
            events = (await asyncio.to_thread(lambda: boto.converse_stream(modelId="test.all-v1:0", messages=HELLO)))["stream"]
        with pytest.raises(ProtocolError):
            await asyncio.to_thread(lambda: list(events))


@pytest.mark.parametrize("limit", [1, 50])
async def test_a_cut_answer_is_never_whole(limit: int) -> None:
    async with running(None, Fault("cut-stream")) as url:
        call = {"modelId": "test.all-v1:0", "messages": HELLO, "inferenceConfig": {"maxTokens": limit}}
        events = (await asyncio.to_thread(lambda: client(url).converse_stream(**call)))["stream"]
        seen: list[dict[str, Any]] = []
        with pytest.raises(ProtocolError):
            await asyncio.to_thread(lambda: seen.extend(iter(events)))
        assert "messageStop" not in names(seen)
        # botocore does not hold a body against its Content-Length: what it makes of half an answer is an empty one.
        whole = await asyncio.to_thread(lambda: client(url).converse(**call))
        assert "output" not in whole


async def test_a_stream_error() -> None:
    async with running(None, Fault("stream-error")) as url:
        with pytest.raises(EventStreamError) as mid_stream:
            await stream(url)
        with pytest.raises(ClientError) as whole:
            await converse(url)
    assert mid_stream.value.response["Error"]["Code"] == "modelStreamErrorException"
    assert whole.value.response["Error"]["Code"] == "ModelErrorException"
    assert whole.value.response["ResponseMetadata"]["HTTPStatusCode"] == 424


@pytest.mark.parametrize("text", ["throttling", "throttle:1.5", "throttle:-1", "throttle:", "throttle:nan", ":0.5", ""])
def test_a_wrong_fault_says_what_would_be_right(text: str) -> None:
    with pytest.raises(ValueError, match="throttle"):
        parse_fault(text)


def test_a_fault_without_a_rate_hits_every_request() -> None:
    assert parse_fault("stall") == Fault("stall", 1.0)
