"""The schemas of Anthropic's Messages API. What a block holds is in Anthropic's own documentation."""

from typing import Any

from llm_functions.api_formats.anthropic_messages.answer import STOP_REASONS
from llm_functions.api_formats.anthropic_messages.request import EFFORTS, HOSTED, IGNORED, STOP_LIMIT
from llm_functions.http.schemas import ANY, COUNT, TEXT, WORDS, obj, or_null, retrieval_fields
from llm_gateway.request import NUMERIC_PARAMETERS


def schemas(models: tuple[str, ...], error: dict[str, Any]) -> dict[str, Any]:
    """Return the schemas of requests, answers and errors. `error` is that of an error in OpenAI's format."""
    names = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens", "output_tokens")
    counts: dict[str, Any] = dict.fromkeys(names, COUNT)
    message = {
        "id": TEXT,
        "type": {"const": "message"},
        "role": {"const": "assistant"},
        "model": TEXT,
        "content": {"type": "array", "items": obj({"type": {"enum": ["text", "thinking", "redacted_thinking", "tool_use"]}})},
        "stop_reason": {"enum": list(STOP_REASONS.values())},
        "stop_sequence": {"type": ["string", "null"]},
        "usage": obj(counts, tuple(counts)),
    }
    failed = {"type": {"const": "error"}, "error": error, "request_id": TEXT}
    return {
        "MessageRequest": _request(models, ("model", "max_tokens", "messages")),
        "TokenCountRequest": _request(models, ("model", "messages")),
        "Message": obj({**message, **retrieval_fields()}, tuple(message)),
        "TokenCount": obj({"input_tokens": {**COUNT, "description": "An estimate"}}, ("input_tokens",)),
        "AnthropicError": obj(failed, tuple(failed)),
    }


def _request(models: tuple[str, ...], required: tuple[str, ...]) -> dict[str, Any]:
    block = obj({"type": WORDS}, ("type",), description="text, image, document, tool_use, tool_result, thinking, …")
    content = {"anyOf": [TEXT, {"type": "array", "items": block}]}
    message = obj({"role": {"enum": ["user", "assistant", "system"]}, "content": content}, ("role", "content"))
    tool = obj(
        {"name": WORDS, "description": {"type": ["string", "null"]}, "input_schema": {"type": "object"}},
        ("name", "input_schema"),
    )
    nothing = {"type": "null"}
    return obj(
        {
            "model": {"type": "string", "enum": list(models)},
            "max_tokens": {"type": "integer", "minimum": 1},
            "messages": {"type": "array", "minItems": 1, "items": {**message, "additionalProperties": False}},
            "system": {"anyOf": [TEXT, {"type": "array", "items": block}, nothing]},
            "stream": {"type": ["boolean", "null"]},
            **{
                name: {"type": ["number", "null"], "minimum": low, "maximum": high}
                for name, (low, high) in NUMERIC_PARAMETERS.items()
            },
            "stop_sequences": {
                "anyOf": [{"type": "array", "items": {"type": "string", "minLength": 1}, "maxItems": STOP_LIMIT}, TEXT, nothing]
            },
            "tools": {"type": ["array", "null"], "items": tool},
            "tool_choice": or_null(obj({"type": {"enum": ["auto", "any", "tool", "none"]}}, ("type",))),
            "thinking": or_null(obj({"type": {"enum": ["enabled", "adaptive", "between_tools", "disabled"]}}, ("type",))),
            "output_config": or_null(obj({"effort": {"enum": [*EFFORTS, None]}})),
            "output_format": or_null({"type": "object"}),
            "metadata": or_null(obj({"user_id": {"type": ["string", "null"]}}, additionalProperties=False)),
            "cache_control": ANY,
            "top_k": {"type": ["integer", "null"], "minimum": 0},
            **dict.fromkeys(HOSTED, ANY),
            **dict.fromkeys(IGNORED, ANY),
        },
        required,
        additionalProperties=False,
        externalDocs={"url": "https://platform.claude.com/docs/en/api/messages"},
    )
