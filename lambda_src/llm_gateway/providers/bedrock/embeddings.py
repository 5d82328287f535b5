"""Bedrock's InvokeModel for models of embeddings, in the format of their makers.

https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-titan-embed-text.html
https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-embed-v3.html
https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-embed-v4.html
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from llm_gateway.embeddings import INPUT_TYPES, EmbeddingCall, Part
from llm_gateway.errors import GatewayError
from llm_gateway.providers.bedrock.errors import refusal


class _Titan(msgspec.Struct):
    embedding: list[float]
    inputTextTokenCount: int | None = None


class _ByType(msgspec.Struct):
    float: list[list[float]]


class _Cohere(msgspec.Struct):
    embeddings: _ByType | list[list[float]]


_decode_titan = msgspec.json.Decoder(_Titan).decode
_decode_cohere = msgspec.json.Decoder(_Cohere).decode


class Titan:
    """Titan Text Embeddings V2. It takes one text. Its vectors are of length one unless that is switched off."""

    most_texts = 1

    def body(self, call: EmbeddingCall, texts: Sequence[str]) -> dict[str, Any]:
        (text,) = texts
        return {"inputText": text} if call.dimensions is None else {"inputText": text, "dimensions": call.dimensions}

    def read(self, body: bytes, headers: Mapping[str, str]) -> Part:
        answer = _decode_titan(body)
        return Part([answer.embedding], answer.inputTextTokenCount)

    def refusal(self, status: int, headers: Mapping[str, str], body: bytes) -> GatewayError:
        return refusal(status, headers, body)


class Cohere:
    """Cohere's Embed v3 and v4. They take 96 texts. A text that is too long is an error, not cut."""

    most_texts = 96

    def body(self, call: EmbeddingCall, texts: Sequence[str]) -> dict[str, Any]:
        body: dict[str, Any] = {
            "texts": texts,
            "input_type": call.input_type or INPUT_TYPES[0],
            "embedding_types": ["float"],
        }
        if call.dimensions is not None and "dimensions" in call.target.accepts:  # v3 has no such field
            body["output_dimension"] = call.dimensions
        return body

    def read(self, body: bytes, headers: Mapping[str, str]) -> Part:
        found = _decode_cohere(body).embeddings
        # The answer has no count of tokens; InvokeModel gives it in a header.
        count = headers.get("x-amzn-bedrock-input-token-count", "")
        return Part([*(found.float if isinstance(found, _ByType) else found)], int(count) if count.isdigit() else None)

    def refusal(self, status: int, headers: Mapping[str, str], body: bytes) -> GatewayError:
        return refusal(status, headers, body)


DIALECTS: dict[str, Titan | Cohere] = {"titan_embed": Titan(), "cohere_embed": Cohere()}
