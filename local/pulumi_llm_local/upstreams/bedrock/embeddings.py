"""InvokeModel of Bedrock's models of embeddings: Titan Text Embeddings V2, Cohere Embed v3 and v4, in their makers' formats.

https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-titan-embed-text.html
https://docs.aws.amazon.com/bedrock/latest/userguide/titan-embedding-models.html
https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-embed-v3.html
https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-embed-v4.html

Images are not played, nor other types of numbers than float.
"""

import json
import uuid
from collections.abc import Mapping
from typing import Any, Literal, cast

from pulumi_llm_local.upstreams.bedrock.errors import too_long, validation_error
from pulumi_llm_local.upstreams.embedding import vector
from pulumi_llm_local.upstreams.model import Json
from pulumi_llm_local.upstreams.tokens import count_tokens

EmbeddingFamily = Literal["titan_v2", "cohere_v3", "cohere_v4"]

_TITAN_DIMENSIONS = (1024, 512, 256)
_TITAN_TOKENS, _TITAN_CHARACTERS = 8192, 50_000
_COHERE_TEXTS = 96
_V3_CHARACTERS, _V3_TOKENS, _V3_DIMENSIONS = 2048, 512, 1024
_V4_TOKENS, _V4_DIMENSIONS = 128_000, (1536, 1024, 512, 256)
_INPUT_TYPES = ("search_document", "search_query", "classification", "clustering")


def invoke(family: EmbeddingFamily, body: bytes) -> tuple[Json, dict[str, str]]:
    """Return the answer to a request, and the headers that Bedrock adds. Raises `BedrockError`, a ValidationException."""
    try:
        document: Any = json.loads(body)
    except ValueError:
        raise _malformed("the body is not valid JSON") from None
    if not isinstance(document, dict):
        raise _malformed("#: expected type: JSONObject")
    request = cast(Json, document)
    answer, tokens = _titan(request) if family == "titan_v2" else _cohere(request, family)
    return answer, {"X-Amzn-Bedrock-Input-Token-Count": str(tokens), "X-Amzn-Bedrock-Invocation-Latency": "1"}


def _titan(request: Json) -> tuple[Json, int]:
    _known(request, ("inputText", "dimensions", "normalize", "embeddingTypes"))
    text = request.get("inputText")
    if text is None:
        raise _malformed("#: required key [inputText] not found")
    if not isinstance(text, str):
        raise _malformed("#/inputText: expected type: String")
    if not text:
        raise _malformed("expected minLength: 1, actual: 0")
    if len(text) > _TITAN_CHARACTERS:
        raise _malformed(f"expected maxLength: {_TITAN_CHARACTERS}, actual: {len(text)}")
    tokens = count_tokens(text)
    if tokens > _TITAN_TOKENS:
        reason = f"Too many input tokens. Max input tokens: {_TITAN_TOKENS}, request input token count: {tokens}"
        raise validation_error(f"400 Bad Request: {reason}")
    dimensions = request.get("dimensions", _TITAN_DIMENSIONS[0])
    if dimensions not in _TITAN_DIMENSIONS:
        raise _malformed(f"#/dimensions: {dimensions} is not a valid enum value")
    numbers = vector(text, dimensions)
    return {"embedding": numbers, "embeddingsByType": {"float": numbers}, "inputTextTokenCount": tokens}, tokens


def _cohere(request: Json, family: EmbeddingFamily) -> tuple[Json, int]:
    v4 = family == "cohere_v4"
    more = ("output_dimension", "max_tokens", "inputs") if v4 else ()
    _known(request, ("texts", "images", "input_type", "truncate", "embedding_types", *more))
    if "input_type" not in request:
        raise _malformed("#: required key [input_type] not found")
    if request["input_type"] not in _INPUT_TYPES:
        raise _malformed(f"#/input_type: {request['input_type']} is not a valid enum value")
    texts = _texts(request)
    if not v4:
        for text in texts:
            if len(text) > _V3_CHARACTERS:
                raise _malformed(f"expected maxLength: {_V3_CHARACTERS}, actual: {len(text)}")
    counts = [count_tokens(text) for text in texts]
    if request.get("truncate", "NONE") == "NONE" and max(counts) > (_V4_TOKENS if v4 else _V3_TOKENS):
        raise too_long()
    dimensions = request.get("output_dimension", _V4_DIMENSIONS[0]) if v4 else _V3_DIMENSIONS
    if v4 and dimensions not in _V4_DIMENSIONS:
        raise _malformed(f"#/output_dimension: {dimensions} is not a valid enum value")
    vectors = [vector(text, dimensions) for text in texts]
    types = request.get("embedding_types")
    if types is not None and types != ["float"]:
        raise validation_error("The local Bedrock plays embedding_types ['float'] alone.")
    answer: Json = {"id": str(uuid.uuid4()), "texts": texts}
    if types is None:
        return {**answer, "response_type": "embeddings_floats", "embeddings": vectors}, sum(counts)
    return {**answer, "response_type": "embeddings_by_type", "embeddings": {"float": vectors}}, sum(counts)


def _texts(request: Mapping[str, Any]) -> list[str]:
    texts = request.get("texts")
    if not isinstance(texts, list) or not texts:
        raise validation_error("The local Bedrock embeds texts alone, and at least one.")
    found = cast("list[Any]", texts)
    if len(found) > _COHERE_TEXTS:
        raise _malformed(f"#/texts: expected maximum item count: {_COHERE_TEXTS}, found: {len(found)}")
    for index, text in enumerate(found):
        if not isinstance(text, str):
            raise _malformed(f"#/texts/{index}: expected type: String")
    return found


def _known(request: Json, names: tuple[str, ...]) -> None:
    for name in request:
        if name not in names:
            raise _malformed(f"#: extraneous key [{name}] is not permitted")


def _malformed(reason: str) -> Exception:
    return validation_error(f"Malformed input request: {reason}, please reformat your input and try again.")
