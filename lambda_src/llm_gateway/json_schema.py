"""JSON Schema, as far as structured output needs it."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

import msgspec

from llm_gateway.errors import clipped
from llm_gateway.request import Tool

Schema = dict[str, Any]

# What the switches of Anthropic and Bedrock take. https://platform.claude.com/docs/en/build-with-claude/structured-outputs and
# https://docs.aws.amazon.com/bedrock/latest/userguide/structured-output.html
_FORMATS = frozenset(("date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"))
_TAKEN = frozenset(("type", "title", "description", "default", "enum", "const", "anyOf", "$ref", "items", "required"))
# What may stand beside a reference and changes nothing.
_NOTES = frozenset(("title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly", "$comment"))
# The most of all strict schemas of a request together.
# https://platform.claude.com/docs/en/build-with-claude/structured-outputs#schema-complexity-limits
_MOST_TOOLS, _MOST_OPTIONAL, _MOST_UNIONS = 20, 24, 16


def closed(schema: Schema) -> Schema | None:
    """Return the schema as a switch takes it whose objects must be closed; None if it cannot be said so.

    An object that does not say whether it has other properties than those that are named gets none. A rule that these
    switches do not take, such as a length, goes into the description, as Anthropic's own SDKs do it. There is none for a
    schema with a map, whose properties have no names, or one that contains itself.
    """
    try:
        definitions = {
            f"#/{key}/{name}": (key, name) for key in ("$defs", "definitions") for name in cast("Schema", schema.get(key) or {})
        }
        if not _references(schema) <= definitions.keys() or _is_recursive(schema, definitions):
            return None
        found = _closed({name: value for name, value in schema.items() if name not in ("$defs", "definitions", "$schema")})
        for key in ("$defs", "definitions"):
            if schema.get(key):
                found[key] = {name: _closed(value) for name, value in cast("Schema", schema[key]).items()}
    except (_Open, AttributeError, TypeError):  # the last two: it is no JSON Schema
        return None
    optional, unions = _complexity(found)
    return found if optional <= _MOST_OPTIONAL and unions <= _MOST_UNIONS else None


def closed_tools(tools: Iterable[Tool], beside: Schema | None = None) -> dict[str, Schema]:
    """Return the closed schemas of those strict tools that a switch takes together, by the tools' names.

    `beside` is the closed schema of the answer's text.
    """
    found: dict[str, Schema] = {}
    optional, unions = (0, 0) if beside is None else _complexity(beside)
    for tool in tools:
        if not tool.strict or len(found) == _MOST_TOOLS or (schema := closed(tool.parameters)) is None:
            continue
        more_optional, more_unions = _complexity(schema)
        if optional + more_optional <= _MOST_OPTIONAL and unions + more_unions <= _MOST_UNIONS:
            found[tool.name] = schema
            optional, unions = optional + more_optional, unions + more_unions
    return found


def _complexity(schema: Schema) -> tuple[int, int]:
    """Return how many properties of a schema may be left out, and how many parts have one of several forms."""
    optional = unions = 0
    for part in _parts(schema):
        if isinstance(properties := part.get("properties"), dict):
            required: Any = part.get("required")
            names = (
                {each for each in cast("list[Any]", required) if isinstance(each, str)}
                if isinstance(required, list)
                else set[str]()
            )
            optional += len(cast("Schema", properties).keys() - names)
        unions += "anyOf" in part or isinstance(part.get("type"), list)
    return optional, unions


# What OpenAI's strict mode refuses anywhere in a schema, and besides at its top; the formats that it takes.
_NOT_STRICT = frozenset(
    (
        *("allOf", "oneOf", "not", "if", "then", "else", "dependentRequired", "dependentSchemas", "patternProperties"),
        *("propertyNames", "unevaluatedProperties", "unevaluatedItems", "prefixItems", "contains", "uniqueItems", "default"),
        *("minProperties", "maxProperties"),
    )
)
_NOT_STRICT_AT_TOP = frozenset(("anyOf", "enum", "const", "$ref"))
_STRICT_FORMATS = _FORMATS - {"uri"}


def is_fully_required(schema: Any) -> bool:
    """Whether OpenAI's strict mode takes a schema: its objects name all properties and require each, and no rule is refused.

    https://platform.openai.com/docs/guides/structured-outputs#supported-schemas. Some rules are known from public reports of
    errors alone, such as "'default' is not permitted" and "$ref cannot have keywords".
    """
    if not isinstance(schema, dict) or _NOT_STRICT_AT_TOP & schema.keys():
        return False
    level: list[Any] = [schema]
    while level:
        each = level.pop()
        if not isinstance(each, dict):
            return False
        rules = cast("Schema", each)
        if _NOT_STRICT & rules.keys() or ("$ref" in rules and len(rules) > 1):
            return False
        if "format" in rules and str(rules["format"]) not in _STRICT_FORMATS:
            return False
        if "items" in rules:
            level.append(rules["items"])
        elif is_of_type(rules, "array"):
            return False
        branches: Any = rules.get("anyOf", [])
        named: Any = rules.get("properties", {})
        if not isinstance(branches, list) or not isinstance(named, dict):
            return False
        properties = cast("Schema", named)
        level += [*cast("list[Any]", branches), *properties.values()]
        if "properties" in rules or is_of_type(rules, "object"):
            required: Any = rules.get("required") or []
            if rules.get("additionalProperties") is not False or not isinstance(required, list):
                return False
            if not set(properties) <= {name for name in cast("list[Any]", required) if isinstance(name, str)}:
                return False
        elif not rules.keys() & {"type", "anyOf", "$ref", "enum", "const"}:
            return False
        for name in ("$defs", "definitions"):
            if isinstance(rules.get(name), dict):
                level += cast("Schema", rules[name]).values()
    return True


class _Open(Exception):
    """A part of the schema that cannot be closed."""


def _closed(schema: Any) -> Schema:
    if not isinstance(schema, dict):
        raise _Open
    rules = cast("Schema", schema)
    if "$ref" in rules or "allOf" in rules:
        return _only(rules)
    found: Schema = {}
    left: Schema = {}
    for name, value in rules.items():
        match name:
            case "properties":
                found[name] = {key: _closed(item) for key, item in cast("Schema", value).items()}
            case "items":
                found[name] = _closed(value)
            case "anyOf":
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
    if "properties" in found or is_of_type(found, "object"):
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


def _only(rules: Schema) -> Schema:
    """Return the schema to which a reference or an `allOf` leads, as older versions of pydantic write it.

    Several parts of an `allOf` cannot be closed: each would forbid the other's properties.
    """
    name = "$ref" if "$ref" in rules else "allOf"
    if not rules.keys() - {name} <= _NOTES:
        raise _Open
    if name == "$ref":
        return {name: rules[name]}
    parts: Any = rules["allOf"]
    if not isinstance(parts, list) or len(cast("list[Any]", parts)) != 1 or not isinstance(parts[0], dict):
        raise _Open
    notes = {key: value for key, value in rules.items() if key != "allOf"}
    return _closed({**notes, **parts[0]})


def definition(root: Mapping[str, Any], ref: str) -> Any:
    """Return what a reference within a schema names. Raises `LookupError` where there is nothing of that name."""
    found: Any = root
    for step in ref.removeprefix("#").split("/")[1:]:
        key = step.replace("~1", "/").replace("~0", "~")
        if not ref.startswith("#") or not isinstance(found, dict) or key not in found:
            raise LookupError(ref)
        found = cast("Schema", found)[key]
    return found


def is_of_type(rules: Mapping[str, Any], kind: str) -> bool:
    """Whether a schema names a type, alone or among others."""
    kinds: Any = rules.get("type")
    return kinds == kind or (isinstance(kinds, list) and kind in kinds)


def _is_recursive(schema: Schema, definitions: Mapping[str, tuple[str, str]]) -> bool:
    """Whether a definition leads back to itself."""
    leads = {
        ref: _references(cast("Schema", schema[key])[name]) & definitions.keys() for ref, (key, name) in definitions.items()
    }
    led_from: dict[str, list[str]] = {}
    for ref, others in leads.items():
        for other in others:
            led_from.setdefault(other, []).append(ref)
    open_leads = {ref: len(others) for ref, others in leads.items()}
    ended = [ref for ref, number in open_leads.items() if not number]
    for other in ended:  # which grows by those that lead to ended ones only
        for ref in led_from.get(other, ()):
            open_leads[ref] -= 1
            if not open_leads[ref]:
                ended.append(ref)
    return len(ended) < len(leads)


def _references(schema: Any) -> set[str]:
    """Return what the references in a schema name."""
    return {ref for part in _parts(schema) if isinstance(ref := part.get("$ref"), str)}


def _parts(schema: Any) -> Iterator[Schema]:
    """Yield every object in a schema."""
    level: list[Any] = [schema]
    while level:
        each = level.pop()
        if isinstance(each, dict):
            fields = cast("Schema", each)
            yield fields
            level += fields.values()
        elif isinstance(each, list):
            level += cast("list[Any]", each)


# Checking a value.


def text_violation(schema: Schema, text: str) -> str:
    """Return how a JSON text breaks a schema, empty if it does not."""
    try:
        value = msgspec.json.decode(text or "{}")
    except (msgspec.DecodeError, RecursionError):
        return "it is no JSON"
    try:
        return violation(schema, value)
    except (_Unknown, RecursionError, AttributeError, TypeError):  # a schema that is not understood here refuses nothing
        return ""


class _Unknown(Exception):
    """A reference that leads nowhere in the schema."""


def violation(schema: Schema, value: Any) -> str:
    """Return how a JSON value breaks a schema, and where; empty if it does not.

    `pattern`, `format` and the keywords that OpenAI's strict schemas do not have are not checked: a pattern of a caller's could
    take any time. https://platform.openai.com/docs/guides/structured-outputs#supported-schemas
    """
    return next(_Check(schema).violations(schema, value, "", ()), "")


# The most work of a check, and what a step of it costs beside the comparison of two values, which costs 1: a small schema could
# ask for any number of them.
_MOST_WORK = 300_000
_STEP = 3
_CHARACTERS = 100


class _Check:
    def __init__(self, root: Schema) -> None:
        self._root = root
        self._work = 0

    def _count(self, work: int) -> None:
        self._work += work
        if self._work > _MOST_WORK:
            raise _Unknown

    def violations(self, schema: Any, value: Any, place: str, refs: tuple[str, ...]) -> Iterator[str]:
        """Yield what is wrong. `refs` are the references that led here without a step into the value."""
        self._count(_STEP + len(refs))
        if schema is False:
            yield f"{place or 'it'} is not allowed"
        if not isinstance(schema, dict):
            return
        rules = cast("Schema", schema)
        where = place or "it"
        ref = rules.get("$ref")
        if isinstance(ref, str) and ref not in refs:
            self._count(len(ref) // _CHARACTERS)
            try:
                named = definition(self._root, ref)
            except LookupError:
                raise _Unknown from None
            yield from self.violations(named, value, place, (*refs, ref))
        kinds: Any = rules.get("type")
        if isinstance(kinds, list):
            self._count(len(cast("list[Any]", kinds)))
        if kinds is not None and not any(_is_of(kind, value) for kind in (kinds if isinstance(kinds, list) else [kinds])):  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
            yield f"{where} must be of the type {clipped(str(cast('object', kinds)))}"
            return
        if "enum" in rules and not any(self._equal(value, each) for each in rules["enum"]):
            yield f"{where} is none of the values that are allowed"
        if "const" in rules and not self._equal(value, rules["const"]):
            yield f"{where} is not the value that is required"
        for part in rules.get("allOf", ()):
            yield from self.violations(part, value, place, refs)
        for name in ("anyOf", "oneOf"):
            if name in rules:
                matching = sum(next(self.violations(part, value, place, refs), None) is None for part in rules[name])
                if matching == 0 or (name == "oneOf" and matching > 1):
                    yield f"{where} matches {'several' if matching else 'none'} of the forms that are possible"
        if isinstance(value, dict):
            yield from self._object_violations(rules, cast("Schema", value), place)
        elif isinstance(value, list):
            items = cast("list[Any]", value)
            yield from _bound_violations(rules, len(items), where, "minItems", "maxItems")
            if "prefixItems" not in rules:
                for index, item in enumerate(items):
                    yield from self.violations(rules.get("items"), item, f"{place}[{index}]", ())
        elif isinstance(value, str):
            yield from _bound_violations(rules, len(value), where, "minLength", "maxLength")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield from _number_violations(rules, value, where)

    def _object_violations(self, rules: Schema, value: Schema, place: str) -> Iterator[str]:
        given: Any = rules.get("properties") or {}
        needed: Any = rules.get("required", [])
        if not isinstance(given, dict) or not isinstance(needed, list):
            raise _Unknown
        properties, required = cast("Schema", given), cast("list[Any]", needed)
        self._count(len(required) + len(value))
        for name in required:
            if name not in value:
                yield f"{place or 'it'} lacks {clipped(str(name))!r}"
        for name, item in value.items():
            below = f"{place}.{clipped(name)}" if place else clipped(name)
            if name in properties:
                yield from self.violations(properties[name], item, below, ())
            elif "patternProperties" not in rules:
                yield from self.violations(rules.get("additionalProperties"), item, below, ())

    def _equal(self, value: Any, other: Any) -> bool:
        """Whether two JSON values are equal. In Python, true equals 1."""
        self._count(1)
        if isinstance(value, bool) or isinstance(other, bool):
            return value is other
        if isinstance(value, list) and isinstance(other, list):
            pairs = zip(cast("list[Any]", value), cast("list[Any]", other), strict=False)
            return len(value) == len(other) and all(self._equal(*pair) for pair in pairs)  # pyright: ignore[reportUnknownArgumentType]
        if isinstance(value, dict) and isinstance(other, dict):
            left, right = cast("Schema", value), cast("Schema", other)
            self._count(len(left))
            return left.keys() == right.keys() and all(self._equal(left[key], right[key]) for key in left)
        if isinstance(value, str):
            self._count(len(value) // _CHARACTERS)
        return value == other


def _bound_violations(rules: Schema, size: float, where: str, least: str, most: str) -> Iterator[str]:
    if least in rules and size < rules[least]:
        yield f"{where} must have a {least} of {rules[least]}"
    if most in rules and size > rules[most]:
        yield f"{where} must have a {most} of {rules[most]}"


def _number_violations(rules: Schema, value: float, where: str) -> Iterator[str]:
    yield from _bound_violations(rules, value, where, "minimum", "maximum")
    if "exclusiveMinimum" in rules and value <= rules["exclusiveMinimum"]:
        yield f"{where} must be above {rules['exclusiveMinimum']}"
    if "exclusiveMaximum" in rules and value >= rules["exclusiveMaximum"]:
        yield f"{where} must be below {rules['exclusiveMaximum']}"


def _is_of(kind: Any, value: Any) -> bool:
    match kind:
        case "object":
            return isinstance(value, dict)
        case "array":
            return isinstance(value, list)
        case "string":
            return isinstance(value, str)
        case "boolean":
            return isinstance(value, bool)
        case "null":
            return value is None
        case "integer":
            return not isinstance(value, bool) and (isinstance(value, int) or (isinstance(value, float) and value.is_integer()))
        case "number":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case _:
            raise _Unknown
