"""Embeddings as OpenAI and vLLM serve them: POST {base}/embeddings.

https://platform.openai.com/docs/api-reference/embeddings/create,
https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html#embeddings-api
"""

import base64
import struct
from typing import Any, cast

from pulumi_llm_local.upstreams.embedding import vector
from pulumi_llm_local.upstreams.model import Json
from pulumi_llm_local.upstreams.openai.request import InvalidChat, check_user
from pulumi_llm_local.upstreams.openai.wire import Flavour
from pulumi_llm_local.upstreams.tokens import count_tokens

_DIMENSIONS = 1536  # those of text-embedding-3-small
_MOST_TEXTS = 2048


def read_embedding(request: Json, flavour: Flavour, context_tokens: int | None) -> Json:
    """Return the answer to a request of a known model. Raises `InvalidChat` for what the server refuses."""
    model = str(request["model"])
    items = _items(request.get("input"))
    encoding = request.get("encoding_format", "float")
    if encoding not in ("float", "base64"):
        message = f"Invalid value: '{encoding}'. Supported values are: 'float' and 'base64'."
        raise InvalidChat(message, "encoding_format", "invalid_value", form=True)
    dimensions = request.get("dimensions")
    if flavour == "openai":
        check_user(request.get("user"))
    # OpenAI's older model has one length, as has a model on vLLM that is no Matryoshka model.
    fixed = model == "text-embedding-ada-002" if flavour == "openai" else "matryoshka" not in model
    if dimensions is not None and fixed:
        raise InvalidChat("This model does not support specifying dimensions.", "dimensions")
    if dimensions is not None and not (isinstance(dimensions, int) and 1 <= dimensions <= _DIMENSIONS):
        raise InvalidChat(f"Invalid value for 'dimensions' = {dimensions}. Must be at most {_DIMENSIONS}.", "dimensions")
    counts = [count_tokens(item) if isinstance(item, str) else len(item) for item in items]
    if context_tokens is not None and max(counts) > context_tokens:
        message = (
            f"This model's maximum context length is {context_tokens} tokens, however you requested {max(counts)} tokens "
            f"({max(counts)} in your prompt; 0 for the completion). Please reduce your prompt; or completion length."
        )
        raise InvalidChat(message)
    data: list[Json] = []
    for index, item in enumerate(items):
        text = item if isinstance(item, str) else " ".join(map(str, item))
        numbers = vector(text, dimensions or _DIMENSIONS)
        packed = base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()
        data.append({"object": "embedding", "index": index, "embedding": packed if encoding == "base64" else numbers})
    usage = {"prompt_tokens": sum(counts), "total_tokens": sum(counts)}
    return {"object": "list", "data": data, "model": model, "usage": usage}


def _items(value: Any) -> list[str | list[int]]:
    """Return the texts, or the tokens of each text."""
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list) or not value:
        raise InvalidChat("Missing required parameter: 'input'.", "input", "missing_required_parameter", form=True)
    items: list[Any] = value  # pyright: ignore[reportUnknownVariableType]
    if all(isinstance(item, int) for item in items):
        items = [items]
    if len(items) > _MOST_TEXTS:
        message = f"Invalid 'input': maximum array length is {_MOST_TEXTS}, but got {len(items)}."
        raise InvalidChat(message, "input", "array_above_max_length", form=True)
    for item in items:
        numbers = isinstance(item, list) and all(isinstance(token, int) for token in cast("list[Any]", item))
        if not item or not (isinstance(item, str) or numbers):
            raise InvalidChat("'$.input' is invalid. Please check the API reference.", "input", form=True)
    return items
