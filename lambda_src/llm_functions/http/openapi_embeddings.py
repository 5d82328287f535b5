"""The schemas of OpenAI's embeddings."""

from typing import Any

from llm_functions.api_formats.openai_embeddings import MOST_TEXTS
from llm_functions.http.schemas import COUNT, TEXT, obj
from llm_gateway.embeddings import INPUT_TYPES


def schemas(models: tuple[str, ...]) -> dict[str, Any]:
    """Return the schemas of requests and answers. `models` are the aliases for embeddings."""
    text = {"type": "string", "minLength": 1}
    texts = {"type": "array", "items": text, "minItems": 1, "maxItems": MOST_TEXTS}
    request = {
        "model": {"type": "string", "enum": list(models)} if models else TEXT,
        "input": {"anyOf": [text, texts], "description": "A text, or a list of them"},
        "encoding_format": {"enum": ["float", "base64", None], "description": "base64: float32, little-endian"},
        "dimensions": {"type": ["integer", "null"], "minimum": 1, "description": "Default: the model's own"},
        "input_type": {
            "enum": [*INPUT_TYPES, None],
            "description": f"What the vectors are for, where the model tells them apart. Default: {INPUT_TYPES[0]}",
        },
        "user": {"type": ["string", "null"]},
    }
    counts = {"prompt_tokens": COUNT, "total_tokens": COUNT}
    vector = {"anyOf": [{"type": "array", "items": {"type": "number"}}, {"type": "string", "contentEncoding": "base64"}]}
    item = {"object": {"const": "embedding"}, "index": COUNT, "embedding": vector}
    answer = {
        "object": {"const": "list"},
        "data": {"type": "array", "items": obj(item, tuple(item)), "minItems": 1},
        "model": TEXT,
        "usage": obj(counts, tuple(counts)),
    }
    docs = {"url": "https://platform.openai.com/docs/api-reference/embeddings"}
    return {
        "EmbeddingRequest": obj(request, ("model", "input"), additionalProperties=False, externalDocs=docs),
        "EmbeddingList": obj(answer, tuple(answer)),
    }
