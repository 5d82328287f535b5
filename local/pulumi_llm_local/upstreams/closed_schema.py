"""The JSON Schemas that the structured outputs of Anthropic and of Bedrock take.

https://platform.claude.com/docs/en/build-with-claude/structured-outputs#json-schema-limitations and
https://docs.aws.amazon.com/bedrock/latest/userguide/structured-output.html
"""

from collections.abc import Iterator, Sequence
from typing import Any, cast

from pulumi_llm_local.upstreams.model import Json

_REFUSED = (
    *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength", "maxItems"),
    *("uniqueItems", "oneOf", "not", "if", "patternProperties", "prefixItems", "propertyNames", "minProperties"),
)


# Of all strict schemas of a request together.
# https://platform.claude.com/docs/en/build-with-claude/structured-outputs#schema-complexity-limits
_MOST_STRICT_TOOLS = 20
_MOST_OPTIONAL = 24
_MOST_UNIONS = 16


def limits_refusal(tools: Sequence[Json], text: Json | None) -> str:
    """Return why Anthropic refuses the strict tools' schemas of a request, and that of the text; empty if it takes them."""
    if len(tools) > _MOST_STRICT_TOOLS:
        return f"Too many strict tools ({len(tools)}). The maximum number of strict tools is {_MOST_STRICT_TOOLS}."
    schemas = [*tools, *([text] if text is not None else [])]
    optional = unions = 0
    for rules in (rules for schema in schemas for rules in _subschemas(schema)):
        optional += len(cast(Json, rules.get("properties") or {}).keys() - set(rules.get("required") or ()))
        unions += "anyOf" in rules or isinstance(rules.get("type"), list)
    if optional > _MOST_OPTIONAL:
        return (
            f"Schemas contains too many optional parameters ({optional}), which would make grammar compilation inefficient. "
            f"Reduce the number of optional parameters in your tool schemas (limit: {_MOST_OPTIONAL})."
        )
    if unions > _MOST_UNIONS:
        return (
            f"Schemas contains too many parameters with union types ({unions} parameters with type arrays or anyOf). "
            f"Reduce the number of parameters that use union types (limit: {_MOST_UNIONS})."
        )
    return ""


def _subschemas(schema: Any) -> Iterator[Json]:
    """Yield a schema and those within it, each definition once."""
    if not isinstance(schema, dict):
        return
    rules = cast(Json, schema)
    yield rules
    below: list[Any] = [rules.get("items"), *rules.get("anyOf", ()), *rules.get("allOf", ())]
    for name in ("properties", "$defs", "definitions"):
        below += cast(Json, rules.get(name) or {}).values()
    for each in below:
        yield from _subschemas(each)


def refusal(schema: Any, place: str = "", within: tuple[str, ...] = (), root: Json | None = None) -> str:
    """Return why a schema is refused; empty if it is taken."""
    if not isinstance(schema, dict):
        return f"{place or 'the schema'}: Input should be an object"
    rules = cast(Json, schema)
    whole = rules if root is None else root
    where = f"{place}: " if place else ""
    for name in _REFUSED:
        if name in rules:
            return f"{where}For '{rules.get('type', 'schema')}' type, property '{name}' is not supported"
    if rules.get("minItems", 0) not in (0, 1):
        return f"{where}For 'array' type, 'minItems' values other than 0 or 1 are not supported"
    if any(isinstance(value, dict | list) for value in rules.get("enum", ())):
        return f"{where}Complex types within enums are not supported"
    kinds: Any = rules.get("type")
    if (kinds == "object" or (isinstance(kinds, list) and "object" in kinds)) and rules.get(
        "additionalProperties"
    ) is not False:
        return f"{where}For 'object' type, 'additionalProperties' must be explicitly set to false"
    ref = rules.get("$ref")
    if ref is not None:
        if not str(ref).startswith("#/"):
            return f"{where}External '$ref' is not supported"
        if ref in within:
            return f"{where}Recursive schemas are not supported"
        found: Any = whole
        for step in str(ref).split("/")[1:]:
            found = cast(Json, found).get(step) if isinstance(found, dict) else None
        if problem := refusal(found, place, (*within, str(ref)), whole):
            return problem
    below: list[tuple[str, Any]] = list(cast(Json, rules.get("properties") or {}).items())
    below += [("items", rules["items"])] if "items" in rules else []
    below += [(f"{name}[{i}]", part) for name in ("anyOf", "allOf") for i, part in enumerate(rules.get(name, ()))]
    for name, part in below:
        if problem := refusal(part, f"{place}.{name}".lstrip("."), within, whole):
            return problem
    return ""
