"""The properties of tools that Claude refuses, as tools made from OpenAPI have them. The caller never sees that."""

import json
from typing import Any

import msgspec
import pytest

from llm_gateway.call import ModelCall
from llm_gateway.events import Done, Event, ToolCall, ToolCallDelta, Usage
from llm_gateway.providers.anthropic.dialect import Anthropic
from llm_gateway.providers.bedrock.converse import Converse
from llm_gateway.providers.exchange import read_answer
from llm_gateway.providers.openai.dialect import OpenAICompatible
from llm_gateway.providers.tool_properties import CallersProperties, as_claude_takes
from llm_gateway.providers.tool_schemas import in_draft_2020_12
from llm_gateway.request import Message, Sampling, Tool, ToolChoice, ToolUse
from llm_gateway.routes import Target
from pulumi_llm_local.upstreams.anthropic.request import read_messages
from pulumi_llm_local.upstreams.bedrock.converse_request import read_converse
from pulumi_llm_local.upstreams.model import ModelTraits
from wire.speaker import dumped

pytestmark = pytest.mark.assumes("tool-rules")

ACCEPTS: Any = ("max_tokens", "system", "tools", "strict_tools")
TEXT = {"type": "string"}
ODATA = Tool(
    "list apps",
    "",
    {"type": "object", "properties": {"$filter": TEXT, "filter[id]": TEXT, "top": TEXT}, "required": ["top", "$filter"]},
)
DIALECTS = {"anthropic": Anthropic(), "bedrock": Converse(), "openai": OpenAICompatible()}
both = pytest.mark.parametrize("provider", ["anthropic", "bedrock"])


def call(provider: str, *tools: Tool, messages: tuple[Message, ...] = (Message("user", "Hi"),)) -> ModelCall:
    target = Target(f"{provider}/claude", provider, "claude-haiku-4-5", 4096, 100_000, ACCEPTS)
    return ModelCall(target, messages, None, Sampling(max_tokens=9), tools, ToolChoice(), False, 0.0, 1.0)


class Answering:
    """A response with a call of the first tool, whose arguments have each property of its schema; it keeps the request."""

    status = 200

    def __init__(self, provider: str) -> None:
        self.provider = provider
        self.headers = {"content-type": "application/json"}
        self.body: Any = None
        self.schema: Any = None

    async def send(self, made: ModelCall) -> Any:
        self.body = DIALECTS[self.provider].body(made)
        traits = {"claude-haiku-4-5": ModelTraits(frozenset(ACCEPTS))}
        if self.provider == "anthropic":
            read_messages(dumped(self.body), traits)
            self.name, self.schema = self.body["tools"][0]["name"], self.body["tools"][0]["input_schema"]
        else:
            read_converse("claude-haiku-4-5", dumped(self.body), traits)
            spec = self.body["toolConfig"]["tools"][0]["toolSpec"]
            self.name, self.schema = spec["name"], spec["inputSchema"]["json"]
        return self

    async def read(self) -> bytes:
        arguments = dict.fromkeys(self.schema["properties"], "x")
        if self.provider == "anthropic":
            use = {"type": "tool_use", "id": "c1", "name": self.name, "input": arguments}
            return dumped({"content": [use], "stop_reason": "tool_use", "usage": {"input_tokens": 1, "output_tokens": 1}})
        use = {"toolUseId": "c1", "name": self.name, "input": arguments}
        usage = {"inputTokens": 1, "outputTokens": 1}
        return dumped({"output": {"message": {"content": [{"toolUse": use}]}}, "stopReason": "tool_use", "usage": usage})

    def close(self) -> None:
        pass


@both
async def test_names_that_claude_does_not_take(provider: str) -> None:
    used = ToolUse("c0", "list apps", {"$filter": "a", "top": "b", "more": "c"})
    history = (Message("user", "Hi"), Message("assistant", tool_calls=(used,)), Message("tool", "1", tool_call_id="c0"))
    union = msgspec.structs.replace(
        ODATA, parameters={"type": "object", "anyOf": [ODATA.parameters], "properties": {"p": TEXT}}
    )
    for tool, required in ((ODATA, ["top", "$filter"]), (msgspec.structs.replace(ODATA, strict=True), None), (union, None)):
        peer = Answering(provider)
        made = call(provider, tool, messages=history)
        (events,) = [batch async for batch in read_answer(peer.send, made, DIALECTS[provider], str)]
        (arguments,) = [event.arguments for event in events if isinstance(event, ToolCallDelta)]
        names = dict(zip(json.loads(arguments), peer.schema["properties"], strict=True))
        assert {"$filter", "filter[id]", "top"} <= names.keys() and names["top"] == "top"
        assert [event.name for event in events if isinstance(event, ToolCall)] == ["list apps"]
        if required is not None:
            assert peer.schema["required"] == [names[each] for each in required]
        (block,) = peer.body["messages"][1]["content"]
        assert (block.get("toolUse") or block)["input"] == {names["$filter"]: "a", "top": "b", "more": "c"}


def test_other_models_are_sent_them_as_they_are() -> None:
    made = call("openai", ODATA)
    made = msgspec.structs.replace(made, target=msgspec.structs.replace(made.target, name="a", model="gpt-5"))
    assert as_claude_takes(made) == (made, {})


ARGUMENTS = '{"top":"_ \\"","_filter_1":"a _filter_1","_x_2":{"_":1}}'
SAID = '{"top":"_ \\"","$filter":"a _filter_1","x\\"":{"_":1}}'


@pytest.mark.parametrize("cut", [None, 19, -3])
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_arguments_in_parts(size: int, cut: int | None) -> None:
    """What has come is passed on at once, but for the beginning of a name. The calls of other tools are left alone."""
    text = ARGUMENTS[:cut]
    parts: list[Event] = [ToolCallDelta(0, text[at : at + size]) for at in range(0, len(text), size)]
    reader = CallersProperties({"t": {"_filter_1": "$filter", "_x_2": 'x"'}})
    other = [ToolCall(1, "c2", "u"), ToolCallDelta(1, ARGUMENTS)]
    batches: list[list[Event]] = [
        [ToolCall(0, "c1", "t")],
        *([each] for each in parts),
        [*other, Usage(1, 1), Done("tool_use")],
    ]
    events = [event for batch in batches for event in reader.read(batch)]
    told = "".join(event.arguments for event in events if isinstance(event, ToolCallDelta) and event.index == 0)
    assert told == (SAID if cut is None else text.replace('"_filter_1"', '"$filter"').replace('"_x_2"', '"x\\""'))
    assert [event for event in events if isinstance(event, ToolCallDelta) and event.index == 1] == [other[1]]
    assert events[-2:] == [Usage(1, 1), Done("tool_use")] and all(
        event.arguments for event in events if isinstance(event, ToolCallDelta)
    )


# a schema of an older draft -> the one that is sent
OLDER: dict[str, tuple[Any, Any]] = {
    "a list of items": ({"type": "array", "items": [TEXT]}, {"type": "array", "prefixItems": [TEXT]}),
    "and others": ({"items": [TEXT], "additionalItems": False}, {"prefixItems": [TEXT], "items": False}),
    "no items": ({"items": []}, {}),
    "a bound that is not in it": ({"minimum": 0, "exclusiveMinimum": True}, {"exclusiveMinimum": 0}),
    "one that is": ({"maximum": 9, "exclusiveMaximum": False}, {"maximum": 9}),
    "a bound of nothing": ({"exclusiveMaximum": True}, {}),
    "required beside it": ({**TEXT, "required": True}, TEXT),
    "null": ({**TEXT, "description": None, "default": None}, {**TEXT, "default": None}),
    "deep": ({"anyOf": [{"items": {"exclusiveMinimum": False}}]}, {"anyOf": [{"items": {}}]}),
    "properties of such names": (
        {"properties": {"items": TEXT, "required": TEXT, "exclusiveMinimum": TEXT}},
        {"properties": {"items": TEXT, "required": TEXT, "exclusiveMinimum": TEXT}},
    ),
    "a newer one": ({"minimum": 1, "exclusiveMinimum": 0, "items": TEXT}, {"minimum": 1, "exclusiveMinimum": 0, "items": TEXT}),
    "a property without a schema": ({"properties": {"a": None}}, {"properties": {"a": {}}}),
}


@pytest.mark.parametrize(("older", "sent"), OLDER.values(), ids=OLDER)
async def test_schemas_of_older_drafts(older: Any, sent: Any) -> None:
    assert in_draft_2020_12(older) == sent
    for provider in ("anthropic", "bedrock"):
        peer = Answering(provider)
        await peer.send(as_claude_takes(call(provider, Tool("t", "", {"type": "object", "properties": {"p": older}})))[0])
        assert peer.schema["properties"]["p"] == sent
