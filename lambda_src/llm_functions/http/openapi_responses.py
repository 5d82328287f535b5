"""The schemas of OpenAI's Responses API. What an item holds is in OpenAI's own documentation."""

from typing import Any

from llm_functions.api_formats import openai_chat
from llm_functions.api_formats.openai_responses.answer import REPEATED
from llm_functions.api_formats.openai_responses.request import HINTS, IGNORED, STATEFUL
from llm_functions.http.schemas import ANY, COUNT, DEFAULT_MAX_TOKENS, TEXT, WORDS, obj, or_null, retrieval_fields
from llm_gateway.request import NUMERIC_PARAMETERS


def schemas(models: tuple[str, ...]) -> dict[str, Any]:
    """Return the schemas of requests and answers."""
    counts: dict[str, Any] = dict.fromkeys(("input_tokens", "output_tokens", "total_tokens"), COUNT)
    response = {
        "id": TEXT,
        "object": {"const": "response"},
        "created_at": COUNT,
        "status": {"enum": ["completed", "incomplete"]},
        "model": TEXT,
        "output": {"type": "array", "items": obj({"type": {"enum": ["reasoning", "message", "function_call"]}}, ("type",))},
        "usage": obj(counts, tuple(counts)),
        **dict.fromkeys(REPEATED, ANY),
    }
    return {"ResponseRequest": _request(models), "Response": obj({**response, **retrieval_fields()}, tuple(response))}


def _request(models: tuple[str, ...]) -> dict[str, Any]:
    item = obj(
        {"type": {"type": ["string", "null"]}}, description="A message, function_call, function_call_output or reasoning"
    )
    function = obj(
        {
            "type": {"const": "function"},
            "name": WORDS,
            "description": {"type": ["string", "null"]},
            "parameters": {"type": ["object", "null"]},
            "strict": {"type": ["boolean", "null"]},
        },
        ("type", "name"),
    )
    allowed = obj(
        {
            "type": {"const": "allowed_tools"},
            "mode": {"enum": ["auto", "required"]},
            "tools": {"type": "array", "minItems": 1, "items": {"type": "object"}},
        },
        ("type", "mode", "tools"),
    )
    chosen = obj({"type": {"const": "function"}, "name": TEXT}, ("type", "name"))
    flag = {"type": ["boolean", "null"]}
    return obj(
        {
            "model": {"type": "string", "enum": list(models)},
            "input": {"anyOf": [TEXT, {"type": "array", "items": item}]},
            "instructions": {"type": ["string", "null"]},
            "max_output_tokens": {
                "type": ["integer", "null"],
                "minimum": 1,
                "description": DEFAULT_MAX_TOKENS,
            },
            **{
                name: {"type": ["number", "null"], "minimum": low, "maximum": high}
                for name, (low, high) in NUMERIC_PARAMETERS.items()
            },
            "stream": flag,
            "tools": {"type": ["array", "null"], "items": function},
            "tool_choice": {"anyOf": [{"enum": ["auto", "none", "required", None]}, chosen, allowed]},
            "parallel_tool_calls": flag,
            "text": or_null({"type": "object"}),
            "reasoning": or_null(obj({"effort": {"enum": [*openai_chat.EFFORTS, None]}})),
            **dict.fromkeys((*HINTS, *IGNORED, *STATEFUL), ANY),
        },
        ("model", "input"),
        additionalProperties=False,
        externalDocs={"url": "https://platform.openai.com/docs/api-reference/responses/create"},
    )
