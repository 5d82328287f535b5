"""The JSON Schemas that OpenAI takes: for the parameters of a function, and in strict mode.

https://platform.openai.com/docs/guides/structured-outputs#supported-schemas. What that page leaves out is from public reports
of the errors.
"""

from collections.abc import Iterator
from typing import Any, cast

from pulumi_llm_local.upstreams.model import Json

_NOT_AT_THE_TOP = ("oneOf", "anyOf", "allOf", "enum", "const", "not")
_NOT_STRICT = (
    *("allOf", "oneOf", "not", "if", "then", "else", "dependentRequired", "dependentSchemas", "patternProperties"),
    *("propertyNames", "unevaluatedProperties", "unevaluatedItems", "prefixItems", "contains", "uniqueItems", "default"),
    *("minProperties", "maxProperties"),
)
_FORMATS = ("date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid")


def function_refusal(schema: Json) -> str:
    """Return why the schema of a function's parameters is refused; empty if it is taken."""
    if problem := object_refusal(schema):
        return problem
    if any(name in schema for name in _NOT_AT_THE_TOP):
        names = "/".join(f"'{name}'" for name in _NOT_AT_THE_TOP)
        return f"schema must have type 'object' and not have {names} at the top level."
    return items_refusal(schema)


def items_refusal(schema: Json) -> str:
    """Return which array of a schema does not say what it holds; empty if each does."""
    for path, rules in _subschemas(schema):
        kinds: Any = rules.get("type")
        if (kinds == "array" or (isinstance(kinds, list) and "array" in kinds)) and "items" not in rules:
            return f"In context={path!r}, array schema missing items."
        if isinstance(rules.get("items"), list):
            return f"{rules['items']!r} is not of type 'object', 'boolean'."
    return ""


def strict_refusal(schema: Json) -> str:
    """Return why strict mode refuses a schema; empty if it takes it."""
    if problem := object_refusal(schema):
        return problem
    if "anyOf" in schema:
        return "In context=(), 'anyOf' is not permitted."
    for path, rules in _subschemas(schema):
        where = f"In context={path!r}, "
        for name in _NOT_STRICT:
            if name in rules:
                return f"{where}'{name}' is not permitted."
        if "$ref" in rules and len(rules) > 1:
            return f"{where}$ref cannot have keywords {rules.keys() - {'$ref'}}."
        if not rules.keys() & {"type", "anyOf", "$ref", "enum", "const"}:
            return f"{where}schema must have a 'type' key."
        if rules.get("format", "date") not in _FORMATS:
            return f"{where}'{rules['format']}' is not a valid format."
        properties: Json = rules.get("properties") or {}
        if rules.get("type") == "object" and rules.get("additionalProperties") is not False:
            return f"{where}'additionalProperties' is required to be supplied and to be false."
        missing = [name for name in properties if name not in rules.get("required", ())]
        if missing:
            return (
                f"{where}'required' is required to be supplied and to be an array including every key in properties. Missing "
                f"'{missing[0]}'."
            )
    return ""


def object_refusal(schema: Json) -> str:
    """Return what a schema is whose values are no objects; empty if they are."""
    if schema.get("type") == "object":
        return ""
    return f"schema must be a JSON Schema of 'type: \"object\"', got 'type: \"{schema.get('type')}\"'."


def _subschemas(schema: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Json]]:
    """Yield a schema and those within it, each with its path."""
    if isinstance(schema, list):
        for index, each in enumerate(cast(list[Any], schema)):
            yield from _subschemas(each, (*path, str(index)))
    if not isinstance(schema, dict):
        return
    rules = cast(Json, schema)
    yield path, rules
    for key in ("properties", "$defs", "definitions"):
        for name, value in cast(Json, rules.get(key) or {}).items():
            yield from _subschemas(value, (*path, key, name))
    for key in ("items", "additionalProperties", "anyOf", "oneOf", "allOf", "not"):
        yield from _subschemas(rules.get(key), (*path, key))
