"""The stand-in model: what it gives as a tool's input is valid against the tool's schema."""

import json
import math
import re
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from pulumi_llm_local.upstreams.stand_in_model import sample

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
