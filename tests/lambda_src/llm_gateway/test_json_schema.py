"""Schemas for switches that take closed ones only, and values against schemas, held against another implementation."""

from collections.abc import Callable
from typing import Any, Literal

import jsonschema_rs
import msgspec
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from llm_gateway.json_schema import closed, closed_tools, text_violation, violation
from llm_gateway.request import Tool
from pulumi_llm_local.upstreams.closed_schema import limits_refusal, refusal
from support.growth import assert_linear

SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-3, 3), st.sampled_from([0.5, 1.0, "", "a", "ab"]))
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from("abc"), inner, max_size=3)),
    max_leaves=6,
)
KINDS = st.sampled_from(["object", "array", "string", "integer", "number", "boolean", "null", ["string", "null"]])
NUMBERS = st.integers(-1, 2)
SIZES = st.integers(0, 2)
SCHEMAS: Any = st.recursive(
    st.fixed_dictionaries({}, optional={"type": KINDS, "const": SCALARS, "enum": st.lists(VALUES, min_size=1, max_size=3)})
    | st.just({"$ref": "#/$defs/a"})
    | st.booleans(),
    lambda inner: st.fixed_dictionaries(
        {},
        optional={
            "type": KINDS,
            "properties": st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
            "required": st.lists(st.sampled_from("abc"), max_size=2, unique=True),
            "additionalProperties": inner,
            "items": inner,
            "anyOf": st.lists(inner, min_size=1, max_size=3),
            "oneOf": st.lists(inner, min_size=1, max_size=2),
            "allOf": st.lists(inner, min_size=1, max_size=2),
            "minimum": NUMBERS,
            "maximum": NUMBERS,
            "exclusiveMinimum": NUMBERS,
            "exclusiveMaximum": NUMBERS,
            "minLength": SIZES,
            "maxLength": SIZES,
            "minItems": SIZES,
            "maxItems": SIZES,
        },
    ),
    max_leaves=6,
)


def leads_to_itself(definition: Any) -> bool:
    """Whether a definition refers to itself without a step into the value: no implementation has to end on it."""
    if not isinstance(definition, dict):
        return False
    parts = (part for name in ("anyOf", "oneOf", "allOf") for part in definition.get(name, ()))
    return "$ref" in definition or any(map(leads_to_itself, parts))


@settings(max_examples=400, deadline=None)
@given(SCHEMAS.filter(lambda schema: isinstance(schema, dict) and "$ref" not in schema), SCHEMAS, VALUES)
def test_a_value_against_a_schema(schema: Any, definition: Any, value: Any) -> None:
    assume(not leads_to_itself(definition))
    whole = {**schema, "$defs": {"a": definition}}
    valid = jsonschema_rs.validator_for(whole, offline=True).is_valid(value)
    assert (violation(whole, value) == "") == valid


def test_where_a_value_is_wrong() -> None:
    schema = {"properties": {"a": {"items": {"properties": {"b": {"type": "integer"}}}}}}
    assert violation(schema, {"a": [{"b": 1}, {"b": "x"}]}) == "a[1].b must be of the type integer"
    assert text_violation(schema, "{") == "it is no JSON"
    assert text_violation({"$ref": "#/$defs/none"}, "{}") == ""
    doubling = {f"d{n}": {"anyOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(60)} | {"d60": False}
    assert text_violation({"$ref": "#/$defs/d0", "$defs": doubling}, "{}") == ""  # and it comes soon
    assert len(violation({"type": ["string"] * 30_000}, 1)) < 1_000


# A part of a schema and a value, of a size.
WIDE: dict[str, Callable[[int], tuple[Any, Any]]] = {
    "enum": lambda size: ({"enum": list(range(size))}, "x"),
    "an enum of long lists": lambda size: ({"enum": [["a"] * size]}, ["a"] * (size - 1) + ["b"]),
    "required": lambda size: ({"required": [*["a"] * size, "b"]}, {"a": 1}),
    "type": lambda size: ({"type": ["string"] * size}, 1),
    "properties that are none": lambda size: ({"properties": ["a"] * size}, {f"p{n}": 0 for n in range(size)}),
    "an object": lambda size: ({"patternProperties": {}, "required": ["a"]}, {f"p{n}": 0 for n in range(size)}),
}


@pytest.mark.parametrize("wide", WIDE.values(), ids=WIDE)
def test_the_work_of_a_check_grows_with_the_schema(wide: Callable[[int], tuple[Any, Any]]) -> None:
    """A wide part is named by many others."""

    def check(size: int) -> None:
        part, value = wide(4 * size)
        schema = {"properties": {"a": {"anyOf": [{"$ref": "#/$defs/e"}] * size}}, "$defs": {"e": part}}
        found.append(text_violation(schema, msgspec.json.encode({"a": value}).decode()))

    found: list[str] = []
    assert_linear(check, 150)
    assert found[0] == ""


def test_the_work_of_closing_grows_with_the_definitions() -> None:
    def close(number: int) -> None:
        definitions: Any = {f"d{n}": {"$ref": f"#/$defs/d{n + 1}"} for n in range(number)} | {f"d{number}": {"type": "null"}}
        schema = {"type": "object", "properties": {"a": {"$ref": "#/$defs/d0"}}, "$defs": definitions}
        assert closed(schema) is not None
        definitions[f"d{number}"] = {"$ref": "#/$defs/d0"}
        assert closed(schema) is None

    assert_linear(close, 500)


@settings(max_examples=300, deadline=None)
@given(SCHEMAS)
def test_the_stand_ins_take_a_closed_schema(schema: Any) -> None:
    """They are written from the providers' documents; a schema that is closed here must be one there."""
    found = closed({"type": "object", "properties": {"value": schema}})
    assert found is None or (refusal(found) or limits_refusal([], found)) == ""


def test_the_stand_ins_know_anthropics_limits() -> None:
    """Of all strict tools and the text of a request together; what is sent to it keeps within them."""

    def schema(count: int, kind: Any, required: bool) -> dict[str, Any]:
        names = [f"p{n}" for n in range(count)]
        return {"type": "object", "properties": {name: {"type": kind} for name in names}, "required": names if required else []}

    optional, unions = schema(12, "string", False), schema(8, ["string", "null"], True)
    assert limits_refusal([schema(1, "string", True)] * 20, None) == limits_refusal([optional, unions], unions) == ""
    assert "Too many strict tools (21)" in limits_refusal([schema(1, "string", True)] * 21, None)
    assert "optional parameters (36)" in limits_refusal([optional] * 2, optional)
    assert "union types (24 parameters" in limits_refusal([unions] * 3, None)
    for each in (optional, unions, schema(1, "string", True)):
        tools = [Tool(f"t{n}", "", each, strict=True) for n in range(30)]
        sent = closed_tools(tools, closed(unions))
        assert sent and limits_refusal([*sent.values()], closed(unions)) == ""


class Inner(BaseModel):
    kind: Literal["a", "b"]
    size: int = Field(ge=1, le=5, description="How large")


class Outer(BaseModel):
    inner: Inner | None = None
    names: list[str] = Field(min_length=2)


class Node(BaseModel):
    children: list["Node"]


class Map(BaseModel):
    counts: dict[str, int]


def test_a_closed_schema() -> None:
    found: Any = closed(Outer.model_json_schema())
    assert found["additionalProperties"] is False and found["$defs"]["Inner"]["additionalProperties"] is False
    size = found["$defs"]["Inner"]["properties"]["size"]
    assert size["description"] == "How large (maximum: 5; minimum: 1)" and set(size) == {"type", "title", "description"}
    assert found["properties"]["names"]["description"] == "(minItems: 2)"


def test_an_all_of_of_one_part_is_that_part() -> None:
    """Older versions of pydantic write it for a field with a default. A reference stands alone."""
    definitions = {"C": {"enum": ["r", "g"], "type": "string"}}
    fields = {
        "c": {"allOf": [{"$ref": "#/$defs/C"}], "default": "r", "description": "A colour"},
        "d": {"allOf": [{"type": "string"}], "description": "A text"},
        "e": {"$ref": "#/$defs/C", "description": "A colour"},
    }
    found: Any = closed({"type": "object", "properties": fields, "$defs": definitions})
    ref = {"$ref": "#/$defs/C"}
    assert found["properties"] == {"c": ref, "d": {"type": "string", "description": "A text"}, "e": ref}
    assert refusal(found) == ""


def test_what_a_request_may_hold_of_strict_schemas() -> None:
    def tool(name: str, optional: int = 0, unions: int = 0) -> Tool:
        fields: Any = {f"o{n}": {"type": "string"} for n in range(optional)}
        fields |= {f"u{n}": {"anyOf": [{"type": "string"}, {"type": "null"}]} for n in range(unions)}
        required = [name for name in fields if name.startswith("u")]
        parameters = {"type": "object", "properties": fields, "required": required, "additionalProperties": False}
        return Tool(name, "", parameters, strict=True)

    assert len(closed_tools([tool(f"t{n}") for n in range(25)])) == 20
    assert list(closed_tools([tool("a", 20), tool("b", 5), tool("c", 4), tool("d", 0, 16), tool("e", 0, 1)])) == ["a", "c", "d"]
    beside: Any = closed(tool("", 20, 10).parameters)
    assert list(closed_tools([tool("a", 5), tool("b", 4), tool("c", 0, 7), tool("d", 0, 6)], beside)) == ["b", "d"]
    assert closed(tool("", 25).parameters) is None and closed(tool("", 0, 17).parameters) is None


@pytest.mark.parametrize(
    "schema",
    [
        Node.model_json_schema(),
        Map.model_json_schema(),
        {"type": "object"},
        {"type": "object", "properties": {"a": {"$ref": "https://example.com/a"}}},
        {"type": "object", "properties": {"a": {"$ref": "#"}}},
        {"type": "object", "properties": {"a": True}},
        {"type": "object", "properties": {"a": {"enum": [{}]}}},
        {"type": "object", "properties": []},
        {"type": "object", "properties": {}, "$defs": 5},
        {"type": "object", "properties": {}, "definitions": ["a"]},
        {"allOf": [{"properties": {"a": {"type": "null"}}}, {"properties": {"b": {"type": "null"}}}]},
        {"properties": {"a": {"allOf": [{"type": "null"}], "properties": {"b": {"type": "null"}}}}},
        {"properties": {"a": {"allOf": 5}}},
    ],
)
def test_a_schema_that_cannot_be_closed(schema: Any) -> None:
    assert closed(schema) is None
