"""The arguments that the stand-in model passes to a tool: valid against the schemas that tools have, else {}."""

from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pulumi_llm_local.upstreams.schema_sample import sample

LEAVES = st.one_of(
    st.builds(
        lambda least, more: {"type": "string", "minLength": least, "maxLength": least + more},
        st.integers(0, 40),
        st.integers(0, 9),
    ),
    st.builds(
        lambda kind, low: {"type": kind, "minimum": low, "maximum": low + 1},
        st.sampled_from(["integer", "number"]),
        st.integers(-50, 50),
    ),
    st.builds(
        lambda kind, key, bound: {"type": kind, key: bound},
        st.sampled_from(["integer", "number"]),
        st.sampled_from(["maximum", "minimum", "exclusiveMinimum"]),
        st.integers(-7, 7),
    ),
    st.sampled_from(
        [
            {"enum": ["a", 1, None]},
            {"const": {"x": [1]}},
            {"type": "boolean"},
            {"type": "null"},
            {"type": ["integer", "null"], "minimum": 4},
            {"type": "string", "default": "given"},
            {"type": "string", "default": None},
            {"type": ["integer", "null"], "default": None},
            {"anyOf": [{"$ref": "#/$defs/even"}, {"type": "null"}], "default": None},
            {"anyOf": [{"type": "string", "minLength": 2}, {"$ref": "#/$defs/even"}], "default": None},
            {"type": "string", "format": "date"},
            {},
            True,
            {"$ref": "#/$defs/tree"},
            {"$ref": "#/$defs/tree", "description": "A tree"},
            {"allOf": [{"$ref": "#/$defs/even"}]},
            {"oneOf": [{"type": "string"}, {"type": "object"}]},
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
    "even": {"type": "integer", "minimum": 4},
}


@given(st.dictionaries(st.sampled_from("pqr"), SCHEMAS, min_size=1, max_size=3), st.text(max_size=30))
@settings(max_examples=200, deadline=None)
def test_arguments_are_valid_against_what_tools_use(properties: dict[str, Any], prompt: str) -> None:
    schema = {"type": "object", "properties": properties, "required": list(properties), "$defs": DEFINITIONS}
    value = sample(schema, prompt)
    assert list(value) == list(properties)  # it is not the {} of a schema that it does not understand
    assert jsonschema_rs.is_valid(schema, value)


def required(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


@pytest.mark.parametrize(
    "schema",
    [
        required(next={"$ref": "#"}),
        required(code={"type": "string", "pattern": "^[A-Z]{3}$"}),
        required(step={"type": "number", "multipleOf": 7}),
        required(elsewhere={"$ref": "https://schemas.example.com/city"}),
        required(none={"$ref": "#/$defs/none"}),
        required(wrong={"type": "text"}),
        {"type": "object", "properties": 5},
    ],
    ids=str,
)
def test_where_it_finds_nothing_valid_the_arguments_are_empty(schema: dict[str, Any]) -> None:
    assert sample(schema, "prompt") == {}
