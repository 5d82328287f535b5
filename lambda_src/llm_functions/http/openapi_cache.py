"""The OpenAPI description of what the cache of answers adds to an operation."""

from typing import Any

_CACHE_CONTROL = {
    "name": "Cache-Control",
    "in": "header",
    "description": "no-cache: the answer is generated, and kept. no-store: it is generated, and not kept. max-age=N: an answer "
    "from the cache may be N seconds old",
    "schema": {"type": "string"},
}


def _header(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "required": False, "schema": schema}


_SECONDS = {"type": "integer", "minimum": 0}
_HEADERS = {
    "x-llm-cache": _header(
        "hit: the answer is from the cache; miss: it was not there; bypass: the cache was not asked",
        {"type": "string", "enum": ["hit", "miss", "bypass"]},
    ),
    "age": _header("Of an answer from the cache: the seconds since it was complete", _SECONDS),
    "x-llm-saved-tokens": _header(
        "Of an answer from the cache: the tokens of the call that was not made. Missing in a stream that is still being "
        "generated for another request",
        _SECONDS,
    ),
}


def add_cache(described: dict[str, Any]) -> None:
    """Add the request's header and the answer's to the description of an operation."""
    described["parameters"] = [*described.get("parameters", ()), _CACHE_CONTROL]
    answer = described["responses"]["200"]
    answer["headers"] = {**answer["headers"], **_HEADERS}
