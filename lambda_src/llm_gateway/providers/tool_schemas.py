"""The schemas of tools as Claude, Nova and OpenAI take them."""

from collections.abc import Iterator, Mapping
from typing import Any, cast

import msgspec

from llm_gateway.json_schema import definition, is_of_type
from llm_gateway.request import Tool
from llm_gateway.tool_calls import UNIONS

_encode = msgspec.json.Encoder().encode
# The characters of a union that the description of its tool repeats.
_MOST_SHOWN = 4000


def without_unions(tool: Tool, refused: frozenset[str] = UNIONS) -> Tool:
    """Return the tool with a schema that has no anyOf, oneOf or allOf at its top, which Claude refuses, nor others `refused`.

    The properties of their branches become properties of the tool, and its description says what they were. It is not strict
    then: the caller's schema is checked here.
    """
    unions = {name: tool.parameters[name] for name in sorted(refused & tool.parameters.keys())}
    if not unions:
        return tool
    schema = {name: value for name, value in tool.parameters.items() if name not in unions}
    properties: dict[str, dict[bytes, Any]] = {}  # the different rules of each, by their JSON
    required: list[str] = []
    for name, branches in unions.items():
        for found in _branches(branches, tool.parameters) if name in UNIONS else ():
            if isinstance(found.get("properties"), dict):
                for each, rules in found["properties"].items():
                    properties.setdefault(each, {}).setdefault(_encode(rules), rules)
            if name == "allOf" and isinstance(found.get("required"), list):
                required += found["required"]
    merged = {each: _any_of([*rules.values()]) for each, rules in properties.items()}
    own: Any = schema.get("properties")
    schema["type"] = "object"
    schema["properties"] = {**merged, **own} if isinstance(own, dict) else merged
    if required:
        schema["required"] = list(dict.fromkeys([*schema.get("required", []), *required]))
    return msgspec.structs.replace(tool, parameters=schema, description=_described(tool, unions), strict=False)


# What OpenAI refuses at the top of a function's parameters: "schema must have type 'object' and not have …".
_OPENAI_REFUSES = UNIONS | {"enum", "const", "not"}
# The keywords that hold schemas: one or a list of them, or some by their names.
_WITH_SCHEMAS = frozenset(("items", "additionalProperties", "anyOf", "oneOf", "allOf", "prefixItems", "not"))
_WITH_NAMED_SCHEMAS = frozenset(("properties", "$defs", "definitions"))


def as_openai_takes(tool: Tool) -> Tool:
    """Return the tool with a schema that OpenAI and Azure take: without rules that they refuse at its top, and with items."""
    tool = without_unions(tool, _OPENAI_REFUSES)
    return msgspec.structs.replace(tool, parameters=with_items(tool.parameters))


def with_items(schema: Any) -> Any:
    """Return a schema whose arrays all say what they hold, as OpenAI requires: any value where they did not say it.

    A list with a schema for each place, of an older JSON Schema, becomes one schema for all of them.
    """
    if isinstance(schema, list):
        return [with_items(each) for each in cast("list[Any]", schema)]
    if not isinstance(schema, dict):
        return schema
    found: dict[str, Any] = {}
    for name, value in cast("dict[str, Any]", schema).items():
        if name in _WITH_NAMED_SCHEMAS and isinstance(value, dict):
            found[name] = {key: with_items(each) for key, each in cast("dict[str, Any]", value).items()}
        else:
            found[name] = with_items(value) if name in _WITH_SCHEMAS else value
    items = found.get("items")
    if isinstance(items, list):
        found["items"] = {"anyOf": items} if items else {}
    elif "items" not in found and is_of_type(found, "array"):
        found["items"] = {}
    return found


# The keywords that may be null. Elsewhere, null stands for a keyword that is not given.
_MAY_BE_NULL = ("default", "const", "example")
_BOUNDS = {"exclusiveMinimum": "minimum", "exclusiveMaximum": "maximum"}


def in_draft_2020_12(schema: Any) -> Any:
    """Return a schema in the words of JSON Schema's draft 2020-12, which Claude requires, as far as older drafts differ.

    A list of `items` is `prefixItems` there, and `exclusiveMinimum` and `exclusiveMaximum` are numbers, not marks of the bound
    beside them. `required` is a list, and a keyword is not null.
    """
    if isinstance(schema, list):
        return [in_draft_2020_12(each) for each in cast("list[Any]", schema)]
    if not isinstance(schema, dict):
        return schema
    rules = cast("dict[str, Any]", schema)
    found: dict[str, Any] = {}
    for name, value in rules.items():
        if value is None and name not in _MAY_BE_NULL:
            continue
        if name in _WITH_NAMED_SCHEMAS or name == "patternProperties":
            if isinstance(value, dict):
                named = cast("dict[str, Any]", value)
                found[name] = {key: {} if each is None else in_draft_2020_12(each) for key, each in named.items()}
        elif name == "items" and isinstance(value, list):
            if value:
                found["prefixItems"] = in_draft_2020_12(value)
            if isinstance(rules.get("additionalItems"), dict | bool):
                found["items"] = in_draft_2020_12(rules["additionalItems"])
        elif name in _BOUNDS and isinstance(value, bool):
            if value and isinstance(bound := rules.get(_BOUNDS[name]), int | float):
                found[name] = bound
        elif (name == "required" and isinstance(value, bool)) or (
            name == "additionalItems" and isinstance(rules.get("items"), list)
        ):
            pass
        else:
            found[name] = in_draft_2020_12(value) if name in _WITH_SCHEMAS else value
    for name, bound in _BOUNDS.items():
        if rules.get(name) is True:
            found.pop(bound, None)
    return found


# All that the top of a schema may have. https://docs.aws.amazon.com/nova/latest/userguide/tool-use-definition.html
_NOVAS = ("type", "properties", "required")
# What the top of a schema may lose without a word: notes, and definitions, which are written out where they are named.
_NOTES = ("$schema", "$id", "$comment", "$defs", "definitions", "$ref", "title", "description", "examples", "default")
# The most values of a schema whose references are written out, and how deep: a reference may lead to itself, and few
# definitions that name each other twice are thousands of values.
_MOST_VALUES, _DEEPEST = 20_000, 30


def as_nova_takes(tool: Tool) -> Tool:
    """Return the tool with a schema of nothing but type, properties and required at its top, as Nova takes it.

    References are written out. One that leads to itself ends in a value of its type. The other rules of the top stand in the
    tool's description.
    """
    tool = without_unions(tool)
    whole = {**_resolved(tool.parameters, tool.parameters), **tool.parameters}
    inlined = _Inlined(tool.parameters)
    properties: Any = whole.get("properties")
    schema: dict[str, Any] = {"type": "object", "properties": inlined.of(properties) if isinstance(properties, dict) else {}}
    if required := whole.get("required"):
        schema["required"] = required
    rules = {
        name: value
        for name, value in whole.items()
        if name not in (*_NOVAS, *_NOTES) and not (name == "additionalProperties" and isinstance(value, bool))
    }
    return msgspec.structs.replace(tool, parameters=schema, description=_described(tool, inlined.of(rules)))


class _Inlined:
    """Writes out the references of one schema."""

    def __init__(self, whole: Mapping[str, Any]) -> None:
        self._whole = whole
        self._values = 0

    def of(self, schema: Any, within: tuple[str, ...] = (), depth: int = 0) -> Any:
        """Return a part of the schema. `within` are the references that led to it."""
        if isinstance(schema, list):
            self._values += len(cast("list[Any]", schema))
            return [self.of(each, within, depth) for each in cast("list[Any]", schema)]
        if not isinstance(schema, dict):
            return schema
        rules = cast("dict[str, Any]", schema)
        self._values += 1 + len(rules)
        reference = rules.get("$ref")
        if isinstance(reference, str):
            found = _resolved(rules, self._whole)
            found = {name: value for name, value in found.items() if name not in ("$defs", "definitions")}
            beside = {name: value for name, value in rules.items() if name != "$ref"}
            if reference in within or depth >= _DEEPEST or self._values > _MOST_VALUES:
                name = reference.rpartition("/")[2]
                kind = found.get("type")
                return {**({"type": kind} if kind else {}), "description": f"The same as {name}, within it.", **beside}
            return self.of({**found, **beside}, (*within, reference), depth + 1)
        return {name: self.of(value, within, depth + 1) for name, value in rules.items()}


def _described(tool: Tool, rules: Mapping[str, Any]) -> str:
    """Return the description of a tool with what its schema cannot say."""
    told = f"The arguments must also follow this JSON Schema: {_encode(rules).decode()}" if rules else ""
    return "\n".join(filter(None, (tool.description, told if len(told) <= _MOST_SHOWN else "")))


def _any_of(rules: list[Any]) -> Any:
    return rules[0] if len(rules) == 1 else {"anyOf": rules}


def _branches(branches: Any, schema: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the branches of a union, each definition that they refer to once: a small schema may refer to a large one often."""
    seen: set[int] = set()
    for branch in cast("list[Any]", branches) if isinstance(branches, list) else []:
        found = _resolved(branch, schema)
        if id(found) not in seen:
            seen.add(id(found))
            yield found


def _resolved(branch: Any, schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a branch, or what it refers to among the definitions of its schema."""
    if not isinstance(branch, dict):
        return _NOTHING
    found = cast("dict[str, Any]", branch)
    reference = found.get("$ref")
    if not isinstance(reference, str):
        return found
    try:
        target = definition(schema, reference)
    except LookupError:
        return _NOTHING
    return cast("dict[str, Any]", target) if isinstance(target, dict) else _NOTHING


_NOTHING: dict[str, Any] = {}
