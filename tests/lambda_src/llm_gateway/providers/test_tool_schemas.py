"""The schemas of tools and of answers as OpenAI is sent them: its stand-in judges what it would refuse."""

from typing import Any

import msgspec
import pytest

from llm_gateway.call import ModelCall
from llm_gateway.providers.openai.dialect import OpenAICompatible
from llm_gateway.request import Message, ResponseFormat, Sampling, Tool, ToolChoice
from llm_gateway.routes import Target
from llm_gateway.tool_calls import strict_schemas
from pulumi_llm_local.upstreams.model import ModelTraits
from pulumi_llm_local.upstreams.openai.request import ChatRules, read_chat
from wire.speaker import dumped

pytestmark = pytest.mark.assumes("tool-rules")

ACCEPTS: Any = ("max_tokens", "tools", "json_schema", "strict_tools")
TARGET = Target("openai/gpt", "openai", "gpt", 4096, 100_000, ACCEPTS)
A, B = {"type": "object", "properties": {"a": {"type": "string"}}}, {"properties": {"b": {"type": "string"}}}


def call(**fields: Any) -> ModelCall:
    plain = ModelCall(TARGET, (Message("user", "Hi"),), None, Sampling(), (), ToolChoice(), False, 0.0, 1.0)
    return msgspec.structs.replace(plain, **fields)


def sent(**fields: Any) -> Any:
    """Return the body of a call, which the stand-in takes."""
    body = OpenAICompatible().body(call(**fields))
    read_chat(msgspec.json.decode(dumped(body)), "gpt", ModelTraits(frozenset(ACCEPTS)), ChatRules(("max_tokens",), True))
    return body


def function(parameters: dict[str, Any], *, strict: bool = False) -> Any:
    return sent(tools=(Tool("look", "Looks.", parameters, strict),))["tools"][0]["function"]


@pytest.mark.parametrize(
    ("rule", "properties"),
    [
        ({"anyOf": [A, B]}, ["a", "b"]),
        ({"oneOf": [A, {"$ref": "#/$defs/B"}], "$defs": {"B": B}}, ["a", "b"]),
        ({"allOf": [A, B]}, ["a", "b"]),
        ({"not": {"required": ["own"]}}, []),
        ({"enum": [{"own": 1}]}, []),
        ({"const": {"own": 1}}, []),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_rule_that_openai_refuses_at_the_top_is_told_in_words(rule: dict[str, Any], properties: list[str]) -> None:
    strict = Tool("look", "Looks.", {"type": "object", "properties": {"own": {}}, **rule}, strict=True)
    assert not strict_schemas(call(tools=(strict,)))  # so that the gateway checks the arguments
    found = function(strict.parameters, strict=True)
    assert list(found["parameters"]["properties"]) == [*properties, "own"] and "strict" not in found
    assert found["description"].startswith("Looks.\nThe arguments must also follow this JSON Schema: ")
    assert f'"{next(iter(rule))}"' in found["description"]


ARRAY = {"type": "array"}


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        (ARRAY, {"type": "array", "items": {}}),
        ({"type": ["array", "null"]}, {"type": ["array", "null"], "items": {}}),
        ({"type": "array", "items": ARRAY}, {"type": "array", "items": {"type": "array", "items": {}}}),
        ({"anyOf": [ARRAY, {"type": "null"}]}, {"anyOf": [{"type": "array", "items": {}}, {"type": "null"}]}),
        (
            {"type": "array", "items": [{"type": "string"}, {"type": "number"}]},
            {"type": "array", "items": {"anyOf": [{"type": "string"}, {"type": "number"}]}},
        ),
        # What is no schema stays: a value, and a property of the name.
        ({"enum": [{"type": "array"}]}, {"enum": [{"type": "array"}]}),
        (
            {"type": "object", "properties": {"type": {"const": "array"}, "items": {"type": "string"}}},
            {"type": "object", "properties": {"type": {"const": "array"}, "items": {"type": "string"}}},
        ),
    ],
    ids=lambda value: str(value)[:40],
)
def test_an_array_says_what_it_holds(given: Any, taken: Any) -> None:
    schema = {"type": "object", "properties": {"a": given, "b": {"$ref": "#/$defs/B"}}, "$defs": {"B": given}}
    expected = {"type": "object", "properties": {"a": taken, "b": {"$ref": "#/$defs/B"}}, "$defs": {"B": taken}}
    assert function(schema)["parameters"] == expected
    wanted = ResponseFormat("json_schema", "answer", "", schema, strict=True)
    assert sent(response_format=wanted)["response_format"]["json_schema"]["schema"] == expected


TEXT = {"type": "string"}


@pytest.mark.parametrize(
    ("rules", "is_strict"),
    [
        (TEXT, True),
        ({"type": ["string", "null"], "description": "A text."}, True),
        ({"anyOf": [TEXT, {"type": "null"}]}, True),
        ({"type": "array", "items": TEXT, "minItems": 1}, True),
        ({"type": "string", "format": "date"}, True),
        ({"enum": ["a", "b"]}, True),
        ({"$ref": "#/$defs/Text"}, True),
        ({"oneOf": [TEXT, {"type": "null"}]}, False),
        ({"allOf": [TEXT]}, False),
        ({"not": TEXT}, False),
        ({"type": "array"}, False),
        ({"type": "array", "items": {}}, False),
        ({"type": "array", "items": TEXT, "uniqueItems": True}, False),
        ({"type": "array", "prefixItems": [TEXT], "items": TEXT}, False),
        ({"type": "object"}, False),
        ({"type": "object", "properties": {"b": TEXT}, "required": [], "additionalProperties": False}, False),
        ({"type": "object", "additionalProperties": False, "patternProperties": {"^a": TEXT}}, False),
        ({"type": "string", "default": "a"}, False),
        ({"type": "string", "format": "uri"}, False),
        ({"type": "string", "format": ["date"]}, False),
        ({"$ref": "#/$defs/Text", "description": "A text."}, False),
        ({}, False),
        (True, False),
    ],
    ids=lambda value: str(value)[:40],
)
def test_strict_is_sent_with_what_openais_strict_mode_takes(rules: Any, is_strict: bool) -> None:
    schema = {"type": "object", "properties": {"a": rules}, "required": ["a"], "additionalProperties": False}
    schema["$defs"] = {"Text": TEXT}
    assert function(schema, strict=True).get("strict", False) == is_strict
    wanted = ResponseFormat("json_schema", "answer", "", schema, strict=True)
    assert sent(response_format=wanted)["response_format"]["json_schema"]["strict"] == is_strict
