"""The models, in a shape that clients of OpenAI's format and of Anthropic's both read.

https://platform.openai.com/docs/api-reference/models https://platform.claude.com/docs/en/api/models
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from llm_gateway.routes import Alias

_encode = msgspec.json.Encoder().encode


def render_list(aliases: Sequence[Alias], *, streams: bool) -> bytes:
    """The answer of GET /v1/models: all of them in one page. `streams`: the caller may ask for streams."""
    names = [alias.name for alias in aliases]
    page = {"has_more": False, "first_id": names[0] if names else None, "last_id": names[-1] if names else None}
    return _encode({"object": "list", "data": [_model(alias, streams) for alias in aliases], **page})


def render(alias: Alias, *, streams: bool) -> bytes:
    """The answer of GET /v1/models/{id}."""
    return _encode(_model(alias, streams))


def _model(alias: Alias, streams: bool) -> dict[str, Any]:
    """Describe an alias by its most able targets: a request that needs more than one target offers goes to another one."""
    accepted = {parameter for target in alias.targets for parameter in target.accepts}
    context = max(target.context_tokens for target in alias.targets)
    output = max(target.max_output_tokens for target in alias.targets)
    described: dict[str, Any] = {
        "id": alias.name,
        "object": "model",
        "created": 0,
        "owned_by": "pulumi-llm",
        # Anthropic's fields.
        "type": "model",
        "display_name": alias.name,
        "created_at": "1970-01-01T00:00:00Z",
        "lifecycle": "active",
        "max_input_tokens": context,
        "max_tokens": output or None,
        # Our own.
        "kind": alias.kind,
        "context_tokens": context,
        "max_output_tokens": output,
        "accepts": sorted(accepted),
    }
    if alias.kind == "chat":
        described |= {"streams": streams, "default_max_tokens": min(alias.default_max_tokens, output)}
    if temperatures := [target.temperature_max for target in alias.targets if "temperature" in target.accepts]:
        described["temperature_max"] = max(temperatures)
    if alias.targets[0].dimensions:
        described["dimensions"] = list(alias.targets[0].dimensions)
    return described
