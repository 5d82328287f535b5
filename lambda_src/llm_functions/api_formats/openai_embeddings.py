"""The API format of OpenAI's embeddings. https://platform.openai.com/docs/api-reference/embeddings"""

import base64 as base_64
from array import array
from collections.abc import AsyncIterator, Mapping
from typing import Any, cast

import msgspec

from llm_functions.api_formats.fields import Fields, kind
from llm_gateway.embeddings import INPUT_TYPES, EmbeddingRequest
from llm_gateway.errors import MOST_PROBLEMS, clipped
from llm_gateway.events import Embeddings, Event, Start, Usage, Vector

# OpenAI's bound of a list. https://platform.openai.com/docs/api-reference/embeddings/create#embeddings-create-input
MOST_TEXTS = 2048

_encode = msgspec.json.Encoder().encode


def parse(body: Mapping[str, Any]) -> EmbeddingRequest:
    """Parse a request's body. Raises the error 400, which names every field that is wrong."""
    fields = Fields(body)
    model = fields.string("model", required=True)
    texts = _texts(fields)
    encoding = fields.string("encoding_format")
    if encoding not in (None, "float", "base64"):
        fields.wrong("encoding_format", f"must be 'float' or 'base64', not {clipped(encoding)!r}")
    dimensions = fields.integer("dimensions", 1)
    input_type = fields.string("input_type")
    if input_type is not None and input_type not in INPUT_TYPES:
        fields.wrong("input_type", f"must be {', '.join(INPUT_TYPES[:-1])} or {INPUT_TYPES[-1]}, not {clipped(input_type)!r}")
    user = fields.string("user")
    fields.no_others()
    fields.finish()
    return EmbeddingRequest(
        texts=texts,
        model=model or "",
        dimensions=dimensions,
        input_type=input_type,
        user=user,
        base64=encoding == "base64",
        alone=isinstance(body.get("input"), str),
    )


def _texts(fields: Fields) -> tuple[str, ...]:
    value = fields.any("input")
    if isinstance(value, str):
        if not value:
            fields.wrong("input", "must not be empty")
        return (value,)
    if not isinstance(value, list):
        given = "it is required" if value is None else f"not {kind(value)}"
        fields.wrong("input", f"must be a string or a list of strings, {given}")
        return ()
    texts = cast("list[Any]", value)
    if not texts or isinstance(texts[0], int | list):
        fields.wrong("input", _TOKENS if texts else "must hold at least one text")
        return ()
    if len(texts) > MOST_TEXTS:
        fields.wrong("input", f"may hold at most {MOST_TEXTS:,} texts, not {len(texts):,}; send them in several calls")
        return ()
    wrong = [index for index, text in enumerate(texts) if not isinstance(text, str) or not text]
    for index in wrong[: MOST_PROBLEMS + 1]:
        text = texts[index]
        fields.wrong(f"input[{index}]", f"must be a string, not {kind(text)}" if text != "" else "must not be empty")
    return tuple(texts)


_TOKENS = (
    "must be text, not the numbers of tokens, which each model has others of; with LangChain's OpenAIEmbeddings, set "
    "check_embedding_ctx_length=False"
)


async def render(batches: AsyncIterator[list[Event]], *, base64: bool) -> tuple[Start, bytes]:
    """Return the event that begins the answer, and the answer as JSON, its vectors as numbers or as Base64."""
    found: dict[type, Event] = {}
    async for batch in batches:
        found |= {type(event): event for event in batch}
    start, embeddings, usage = found[Start], found[Embeddings], found[Usage]
    assert isinstance(start, Start) and isinstance(embeddings, Embeddings) and isinstance(usage, Usage)
    form = _as_base64 if base64 else _as_numbers
    body = {
        "object": "list",
        "data": [
            {"object": "embedding", "index": index, "embedding": form(vector)}
            for index, vector in enumerate(embeddings.vectors)
        ],
        "model": start.model,
        "usage": {"prompt_tokens": usage.input_tokens, "total_tokens": usage.input_tokens},
    }
    return start, _encode(body)


def _as_base64(vector: Vector) -> str:
    """Return a vector as OpenAI's SDKs ask for it by default: float32, little-endian."""
    return vector if isinstance(vector, str) else base_64.b64encode(array("f", vector).tobytes()).decode()


def _as_numbers(vector: Vector) -> list[float]:
    return array("f", base_64.b64decode(vector)).tolist() if isinstance(vector, str) else vector
