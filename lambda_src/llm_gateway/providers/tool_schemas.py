"""The schemas of tools as Claude takes them."""

from collections.abc import Mapping
from typing import Any, cast

import msgspec

from llm_gateway.request import Tool
from llm_gateway.tool_calls import UNIONS

_encode = msgspec.json.Encoder().encode
# The characters of a union that the description of its tool repeats.
_MOST_SHOWN = 4000


def without_unions(tool: Tool) -> Tool:
    """Return the tool with a schema that has no anyOf, oneOf or allOf at its top, which Claude refuses.

    The properties of their branches become properties of the tool, and its description says what they were. It is not strict
    then: the caller's schema is checked here.
    """
    unions = {name: tool.parameters[name] for name in sorted(UNIONS & tool.parameters.keys())}
    if not unions:
        return tool
    schema = {name: value for name, value in tool.parameters.items() if name not in unions}
    properties: dict[str, Any] = {}
    required: list[str] = []
    for name, branches in unions.items():
        for branch in cast("list[Any]", branches) if isinstance(branches, list) else []:
            found = _resolved(branch, tool.parameters)
            if isinstance(found.get("properties"), dict):
                for each, rules in found["properties"].items():
                    known = properties.setdefault(each, [])
                    if rules not in known:
                        known.append(rules)
            if name == "allOf" and isinstance(found.get("required"), list):
                required += found["required"]
    merged = {each: rules[0] if len(rules) == 1 else {"anyOf": rules} for each, rules in properties.items()}
    own: Any = schema.get("properties")
    schema["type"] = "object"
    schema["properties"] = {**merged, **own} if isinstance(own, dict) else merged
    if required:
        schema["required"] = list(dict.fromkeys([*schema.get("required", []), *required]))
    told = f"The arguments must also follow this JSON Schema: {_encode(unions).decode()}"
    description = "\n".join(filter(None, (tool.description, told if len(told) <= _MOST_SHOWN else "")))
    return msgspec.structs.replace(tool, parameters=schema, description=description, strict=False)


def _resolved(branch: Any, schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a branch, or what it refers to among the definitions of its schema."""
    if not isinstance(branch, dict):
        return {}
    found = cast("dict[str, Any]", branch)
    reference = found.get("$ref")
    if not isinstance(reference, str):
        return found
    target: Any = schema
    for part in reference.removeprefix("#/").split("/"):
        target = cast("dict[str, Any]", target).get(part) if isinstance(target, dict) else None
    return cast("dict[str, Any]", target) if isinstance(target, dict) else {}
