"""OpenAI's embeddings, as OpenAI, vLLM and others serve them. https://platform.openai.com/docs/api-reference/embeddings"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from llm_gateway.embeddings import EmbeddingCall, Part
from llm_gateway.errors import GatewayError
from llm_gateway.providers.openai import chat_completions

PATH = "/embeddings"


class _Item(msgspec.Struct):
    embedding: list[float] | str
    index: int | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int | None = None


class _Answer(msgspec.Struct):
    data: list[_Item]
    usage: _Usage | None = None


_decode = msgspec.json.Decoder(_Answer).decode


class Embeddings:
    """The server may answer with numbers where Base64 is asked for, as some do that do not know it."""

    most_texts = 2048

    def body(self, call: EmbeddingCall, texts: Sequence[str]) -> dict[str, Any]:
        given = {"dimensions": call.dimensions, "input_type": call.input_type, "user": call.user}
        return {
            "model": call.target.model,
            "input": texts,
            "encoding_format": "base64" if call.base64 else "float",
            **chat_completions.fitting_ids({name: value for name, value in given.items() if value is not None}),
        }

    def read(self, body: bytes, headers: Mapping[str, str]) -> Part:
        answer = _decode(body)
        items = answer.data
        if all(item.index is not None for item in items):
            items = sorted(items, key=lambda item: item.index or 0)
        return Part([item.embedding for item in items], answer.usage.prompt_tokens if answer.usage else None)

    def refusal(self, status: int, headers: Mapping[str, str], body: bytes) -> GatewayError:
        return chat_completions.refusal(status, headers, body)
