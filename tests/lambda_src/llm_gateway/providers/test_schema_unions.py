"""Unions at the top of a tool's schema, and how the work on them grows."""

from typing import Any

import pytest

from llm_gateway.providers.tool_schemas import as_nova_takes, without_unions
from llm_gateway.request import Tool
from support.growth import assert_linear

TEXT, NUMBER = {"type": "string"}, {"type": "number"}
LEFT: Any = {"properties": {"a": TEXT, "b": TEXT}, "required": ["a"]}
RIGHT: Any = {"properties": {"b": NUMBER, "c": TEXT}, "required": ["c"]}
# a schema -> the properties and what is required of the tool that has no union
UNIONS: dict[str, tuple[dict[str, Any], dict[str, Any], list[str]]] = {
    "either": ({"anyOf": [LEFT, RIGHT]}, {"a": TEXT, "b": {"anyOf": [TEXT, NUMBER]}, "c": TEXT}, []),
    "both": ({"allOf": [LEFT, RIGHT]}, {"a": TEXT, "b": {"anyOf": [TEXT, NUMBER]}, "c": TEXT}, ["a", "c"]),
    "the tool's own first": (
        {"properties": {"b": NUMBER}, "required": ["b"], "oneOf": [LEFT]},
        *({"a": TEXT, "b": NUMBER}, ["b"]),
    ),
    "definitions": (
        {"$defs": {"l": LEFT, "r": RIGHT}, "allOf": [{"$ref": "#/$defs/l"}, {"$ref": "#/$defs/l"}, {"$ref": "#/$defs/no"}]},
        *({"a": TEXT, "b": TEXT}, ["a"]),
    ),
    "no branches": ({"anyOf": "x", "allOf": [1, None]}, {}, []),
}


@pytest.mark.parametrize(("schema", "properties", "required"), UNIONS.values(), ids=UNIONS)
def test_unions_become_properties(schema: dict[str, Any], properties: dict[str, Any], required: list[str]) -> None:
    found = without_unions(Tool("t", "Does it", schema, strict=True))
    assert found.parameters["properties"] == properties and found.parameters.get("required", []) == required
    assert not {"anyOf", "oneOf", "allOf"} & found.parameters.keys() and not found.strict
    assert found.description.startswith("Does it\nThe arguments must also follow this JSON Schema: ")


# A schema of a size.
WIDE: dict[str, Any] = {
    "one definition often": lambda size: {
        "$defs": {"a": {"properties": {f"p{n}": TEXT for n in range(size)}, "required": [f"p{n}" for n in range(size)]}},
        "allOf": [{"$ref": "#/$defs/a"}] * size,
    },
    "one list often": lambda size: {
        "$defs": {"a": {"enum": list(range(size))}},
        "properties": {f"p{n}": {"$ref": "#/$defs/a"} for n in range(size)},
    },
    "one property often": lambda size: {"anyOf": [{"properties": {"a": {"const": n}}} for n in range(size)]},
}


@pytest.mark.parametrize("wide", WIDE.values(), ids=WIDE)
def test_the_work_grows_with_the_schema(wide: Any) -> None:
    assert_linear(lambda size: without_unions(Tool("t", "", wide(size))), 500)
    assert_linear(lambda size: as_nova_takes(Tool("t", "", wide(size))), 500)
