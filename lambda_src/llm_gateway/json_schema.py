"""JSON Schema, as far as structured output needs it."""

from collections.abc import Mapping
from typing import Any, cast

Schema = dict[str, Any]

# What the switches of Anthropic and Bedrock take. https://platform.claude.com/docs/en/build-with-claude/structured-outputs and
# https://docs.aws.amazon.com/bedrock/latest/userguide/structured-output.html
_FORMATS = frozenset(("date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"))
_TAKEN = frozenset(("type", "title", "description", "default", "enum", "const", "anyOf", "allOf", "$ref", "items", "required"))


def closed(schema: Schema) -> Schema | None:
    """Return the schema as a switch takes it whose objects must be closed; None if it cannot be said so.

    An object that does not say whether it has other properties than those that are named gets none. A rule that these
    switches do not take, such as a length, goes into the description, as Anthropic's own SDKs do it. There is none for a
    schema with a map, whose properties have no names, or one that contains itself.
    """
    definitions = {
        f"#/{key}/{name}": (key, name) for key in ("$defs", "definitions") for name in cast("Schema", schema.get(key) or {})
    }
    try:
        if _is_recursive(schema, definitions):
            return None
        found = _closed({name: value for name, value in schema.items() if name not in ("$defs", "definitions", "$schema")})
        for key in ("$defs", "definitions"):
            if schema.get(key):
                found[key] = {name: _closed(value) for name, value in cast("Schema", schema[key]).items()}
    except (_Open, AttributeError, TypeError):  # the last two: it is no JSON Schema
        return None
    return found


class _Open(Exception):
    """A part of the schema that cannot be closed."""


def _closed(schema: Any) -> Schema:
    if not isinstance(schema, dict):
        raise _Open
    rules = cast("Schema", schema)
    found: Schema = {}
    left: Schema = {}
    for name, value in rules.items():
        match name:
            case "properties":
                found[name] = {key: _closed(item) for key, item in cast("Schema", value).items()}
            case "items":
                found[name] = _closed(value)
            case "anyOf" | "allOf":
                found[name] = [_closed(item) for item in cast("list[Any]", value)]
            case "oneOf":
                found["anyOf"] = [_closed(item) for item in cast("list[Any]", value)]
            case "additionalProperties":
                if value not in (False, True) or (value is True and not rules.get("properties")):
                    raise _Open
            case "format" if value in _FORMATS:
                found[name] = value
            case "minItems" if value in (0, 1):
                found[name] = value
            case "enum" if any(isinstance(item, dict | list) for item in cast("list[Any]", value)):
                raise _Open
            case "patternProperties" | "not" | "if" | "prefixItems" | "dependentSchemas" | "propertyNames":
                raise _Open
            case _ if name in _TAKEN:
                found[name] = value
            case _:
                left[name] = value
    if "$ref" in found and not str(found["$ref"]).startswith("#/"):
        raise _Open
    if found.get("type") == "object" or "properties" in found:
        if not found.get("properties"):
            if rules.get("additionalProperties") is not False:
                raise _Open
            found["properties"] = {}
        found["additionalProperties"] = False
    left.pop("discriminator", None)  # OpenAPI's, which pydantic writes beside a oneOf
    if left:
        rule = "; ".join(f"{name}: {value}" for name, value in left.items())
        found["description"] = " ".join(filter(None, (found.get("description"), f"({rule})")))
    return found


def _is_recursive(schema: Schema, definitions: Mapping[str, tuple[str, str]]) -> bool:
    """Whether a definition leads back to itself, or anything to the whole schema."""
    leads = {ref: _references(cast("Schema", schema[key])[name]) for ref, (key, name) in definitions.items()}
    if "#" in _references(schema):
        return True
    for ref, direct in leads.items():
        seen: set[str] = set()
        open_ = set(direct)
        while open_:
            each = open_.pop()
            if each == ref:
                return True
            if each not in seen:
                seen.add(each)
                open_ |= leads.get(each, set())
    return False


def _references(schema: Any) -> set[str]:
    """Return what the references in a schema name."""
    found: set[str] = set()
    level: list[Any] = [schema]
    while level:
        each = level.pop()
        if isinstance(each, dict):
            fields = cast("Schema", each)
            if isinstance(ref := fields.get("$ref"), str):
                found.add(ref)
            level += fields.values()
        elif isinstance(each, list):
            level += cast("list[Any]", each)
    return found
