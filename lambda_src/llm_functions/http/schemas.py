"""The parts from which the schemas of the OpenAPI document are made."""

from typing import Any

ANY: dict[str, Any] = {}
TEXT: dict[str, Any] = {"type": "string"}
WORDS: dict[str, Any] = {"type": "string", "minLength": 1, "pattern": r"\S"}
COUNT: dict[str, Any] = {"type": "integer", "minimum": 0}

# What is said of the bound of an answer that a caller does not give.
DEFAULT_MAX_TOKENS = "Default: the model's default_max_tokens in the settings, at most its own limit"


def ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def obj(properties: dict[str, Any], required: tuple[str, ...] = (), **more: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(required), **more}


def retrieval_fields() -> dict[str, Any]:
    """What an answer says of a knowledge base, in every format: the passages that its model was given, or that there are none
    because it could not be asked."""
    citation = {"index": {"type": "integer", "minimum": 1}, "source": TEXT, "title": TEXT, "excerpt": TEXT}
    cited = obj({**citation, "score": {"type": "number"}}, tuple(citation))
    return {"citations": {"type": "array", "items": cited}, "retrieval": {"enum": ["unavailable"]}}


def or_null(schema: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [schema, {"type": "null"}]}
