"""The schemas of tools as callers send them, and what Nova and Claude take of them. The stand-ins judge what is written."""

from typing import Any

import pytest
from pydantic import BaseModel, Field

from llm_gateway.call import ModelCall
from llm_gateway.providers.bedrock.converse import Converse
from llm_gateway.request import Message, Sampling, Tool, ToolChoice
from llm_gateway.routes import Target
from pulumi_llm_local.upstreams.bedrock.converse_request import read_converse
from pulumi_llm_local.upstreams.model import ModelTraits
from wire.speaker import dumped

ACCEPTS: Any = ("max_tokens", "system", "tools", "forced_tools")
HI = (Message("user", "Hi"),)


def call(model: str, *tools: Tool, messages: tuple[Message, ...] = HI) -> ModelCall:
    target = Target(f"bedrock/{model}", "bedrock", model, 4096, 100_000, ACCEPTS)
    return ModelCall(target, messages, None, Sampling(max_tokens=9), tools, ToolChoice(), False, 0.0, 1.0)


class Address(BaseModel):
    city: str
    zip: str | None = None


class Node(BaseModel):
    name: str
    children: "list[Node]" = []


class Person(BaseModel):
    """A person."""

    home: Address = Field(description="Where they live.")
    work: list[Address]
    tree: Node


def novas(schema: dict[str, Any], description: str = "") -> tuple[Any, str]:
    """Return the schema and the description of a tool as Nova is sent them."""
    body = Converse().body(call("us.amazon.nova-lite-v1:0", Tool("t", description, schema)))
    read_converse("us.amazon.nova-lite-v1:0", dumped(body), {"us.amazon.nova-lite-v1:0": ModelTraits(frozenset(ACCEPTS))})
    spec = body["toolConfig"]["tools"][0]["toolSpec"]
    return spec["inputSchema"]["json"], spec.get("description", "")


def test_what_openais_sdk_sends_of_a_model_goes_to_nova() -> None:
    schema, description = novas({**Person.model_json_schema(), "additionalProperties": False}, "Saves it.")
    assert schema.keys() == {"type", "properties", "required"} and description == "Saves it."
    assert schema["required"] == ["home", "work", "tree"] and "$ref" not in str(schema)
    home, work, tree = schema["properties"].values()
    assert home["properties"] == Address.model_json_schema()["properties"] and home["description"] == "Where they live."
    assert work["items"]["required"] == ["city"]
    again = tree["properties"]["children"]["items"]
    assert again == {"type": "object", "description": "The same as Node, within it."}


A = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
# a caller's schema -> the one that Nova is sent, and a part of its tool's description
FOR_NOVA: dict[str, tuple[Any, Any, str]] = {
    "none": ({"type": "object"}, {"type": "object", "properties": {}}, ""),
    "notes": ({**A, "title": "T", "$schema": "x", "description": "D"}, A, ""),
    "a reference at the top": ({"type": "object", "$ref": "#/$defs/A", "$defs": {"A": A}}, A, ""),
    "a map": ({"type": "object", "additionalProperties": A}, {"type": "object", "properties": {}}, '"additionalProperties"'),
    "a union": ({"type": "object", "anyOf": [A]}, {"type": "object", "properties": A["properties"]}, '"anyOf"'),
    "a property of the name of a keyword": (
        {"type": "object", "properties": {"definitions": {"type": "string"}, "$ref": {"type": "string"}}},
        {"type": "object", "properties": {"definitions": {"type": "string"}, "$ref": {"type": "string"}}},
        "",
    ),
    "itself": (
        {"type": "object", "properties": {"next": {"$ref": "#"}}},
        {
            "type": "object",
            "properties": {
                "next": {
                    "type": "object",
                    "properties": {"next": {"type": "object", "description": "The same as #, within it."}},
                }
            },
        },
        "",
    ),
    "a name with a slash": (
        {"type": "object", "properties": {"a": {"$ref": "#/definitions/a~1b"}}, "definitions": {"a/b": {"type": "null"}}},
        {"type": "object", "properties": {"a": {"type": "null"}}},
        "",
    ),
    "nothing": (
        {"type": "object", "properties": {"a": {"$ref": "#/$defs/None"}}},
        {"type": "object", "properties": {"a": {}}},
        "",
    ),
}


@pytest.mark.parametrize(("schema", "sent", "told"), FOR_NOVA.values(), ids=FOR_NOVA)
def test_a_schema_as_nova_takes_it(schema: Any, sent: Any, told: str) -> None:
    found, description = novas(schema)
    assert found == sent and told in description and bool(told) == bool(description)


def test_definitions_that_name_each_other_many_times_end() -> None:
    next_ones = [{"$ref": f"#/$defs/D{at + 1}"} for at in range(25)]
    pairs = {f"D{at}": {"type": "object", "properties": {"a": each, "b": each}} for at, each in enumerate(next_ones)}
    schema, _ = novas({"type": "object", "properties": {"a": {"$ref": "#/$defs/D0"}}, "$defs": {**pairs, "D25": A}})
    assert len(dumped(schema)) < 1_000_000 and "$ref" not in str(schema)
