"""A sample value for a JSON Schema: what the stand-in model passes to a tool."""

from collections.abc import Sequence
from typing import Any, cast

import jsonschema_rs

from pulumi_llm_local.upstreams.model import Json


def sample(schema: Json, prompt: str) -> Json:
    """Return a tool's arguments, with strings made from `prompt`. They are valid against `schema`, or else {}.

    It knows the keywords that tools use: type, properties, required, items, minItems, enum, const, default, $ref within the
    document, anyOf, oneOf, allOf, and the bounds of numbers and of a string's length. A schema with other rules (pattern,
    multipleOf, uniqueItems, …) gets {} if the sample breaks them.
    """
    try:
        validator = jsonschema_rs.validator_for(schema, offline=True)
        value = _Sampler(schema, prompt or "text").value(schema, ())
    except (jsonschema_rs.ValidationError, _Impossible):  # no JSON Schema, or one for which there is no value
        return {}
    return value if validator.is_valid(value) else {}


class _Impossible(Exception):
    """The schema requires a value that contains itself, or has a reference that is not understood here."""


def _rules(schema: Any) -> Json:
    """Return the keywords of a schema, which may also be true, or missing."""
    return dict(cast(Json, schema)) if isinstance(schema, dict) else {}


class _Sampler:
    def __init__(self, root: Json, prompt: str) -> None:
        self._root = root
        self._prompt = prompt

    def value(self, schema: Any, refs: tuple[str, ...]) -> Any:
        """Return a value for `schema`. `refs` are the references that lead to it."""
        rules = _rules(schema)
        if "$ref" in rules:
            ref = rules.pop("$ref")
            if ref in refs:
                raise _Impossible
            return self.value({**self._definition(ref), **rules}, (*refs, ref))
        if "allOf" in rules:
            for part in rules.pop("allOf"):
                rules |= _rules(part)
            return self.value(rules, refs)
        if "default" in rules and self._is_valid(rules["default"], rules):
            return rules["default"]
        for keyword in ("anyOf", "oneOf"):
            if keyword in rules:
                return self._first_possible(rules.pop(keyword), rules, refs)
        if "const" in rules:
            return rules["const"]
        if "enum" in rules:
            return rules["enum"][0]
        return self._of_type(rules, refs)

    def _is_valid(self, value: Any, rules: Json) -> bool:
        """Whether a value follows rules: OpenAPI writes `default: null` also where null is none of the values."""
        definitions = {name: self._root[name] for name in ("$defs", "definitions") if name in self._root}
        try:
            return jsonschema_rs.validator_for({**definitions, **rules}, offline=True).is_valid(value)
        except jsonschema_rs.ValidationError:
            return False

    def _definition(self, ref: str) -> Json:
        """Return the rules that a reference such as #/$defs/city names."""
        found: Any = self._root
        for step in ref.split("/")[1:]:
            if not isinstance(found, dict) or step not in found:
                raise _Impossible
            found = cast(Json, found)[step]
        return _rules(found)

    def _first_possible(self, options: Sequence[Any], rules: Json, refs: tuple[str, ...]) -> Any:
        for option in options:
            try:
                return self.value({**rules, **_rules(option)}, refs)
            except _Impossible:
                continue
        raise _Impossible

    def _of_type(self, rules: Json, refs: tuple[str, ...]) -> Any:
        kinds: Any = rules.get("type", "object" if "properties" in rules else "array" if "items" in rules else "string")
        kind = str(cast(list[Any], kinds)[0] if isinstance(kinds, list) else kinds)
        match kind:
            case "object":
                return self._object(rules, refs)
            case "array":
                return self._array(rules, refs)
            case "integer" | "number":
                if "exclusiveMinimum" in rules:
                    return rules["exclusiveMinimum"] + 1
                return rules.get("minimum", min(1, rules.get("maximum", 1)))
            case "boolean":
                return True
            case "null":
                return None
            case _:
                return self._prompt[: rules.get("maxLength")].ljust(rules.get("minLength", 0), "x")

    def _object(self, rules: Json, refs: tuple[str, ...]) -> Json:
        """Return the required properties or, where none is required, all that are possible."""
        properties: Json = rules.get("properties", {})
        if rules.get("required"):
            return {name: self.value(properties.get(name), refs) for name in rules["required"]}
        sampled: Json = {}
        for name, schema in properties.items():
            try:
                sampled[name] = self.value(schema, refs)
            except _Impossible:
                continue
        return sampled

    def _array(self, rules: Json, refs: tuple[str, ...]) -> list[Any]:
        try:
            item = self.value(rules.get("items"), refs)
        except _Impossible:
            return []
        return [item] * min(max(rules.get("minItems", 1), 1), rules.get("maxItems", 1_000))
