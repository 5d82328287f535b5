"""InvokeModel of Bedrock's imported models, in the format of OpenAI's chat completions.

Bedrock takes this format for models imported since November 2025
(https://docs.aws.amazon.com/bedrock/latest/userguide/invoke-imported-model.html). The other format of an imported model (a
`prompt`) is not played.
"""

import json
import re
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing

from pulumi_llm_local.upstreams.bedrock.errors import validation_error
from pulumi_llm_local.upstreams.bedrock.wire import chunk_message, invocation_metrics
from pulumi_llm_local.upstreams.model import GenerationRequest, Json, ModelTraits, Piece
from pulumi_llm_local.upstreams.openai.request import ChatRules, InvalidChat, read_chat, read_document
from pulumi_llm_local.upstreams.openai.wire import IMPORTED_MODEL, ChatChunks, render_complete


def read_invoke(model_id: str, body: bytes, models: Mapping[str, ModelTraits]) -> GenerationRequest:
    """Read the body of InvokeModel.

    Raises:
        BedrockError: A ValidationException.
    """
    if model_id not in models:
        raise validation_error("The provided model identifier is invalid.")
    if _IMPORTED.fullmatch(model_id) is None:
        raise validation_error(
            f"The local Bedrock plays InvokeModel for imported models alone (arn:aws:bedrock:…:imported-model/…), not for "
            f"{model_id}. Use Converse."
        )
    try:
        return read_chat(read_document(body), model_id, models[model_id], _RULES).generation
    except InvalidChat as error:
        raise validation_error(error.message) from error


_IMPORTED = re.compile(r"arn:aws[a-z-]*:bedrock:[a-z0-9-]+:\d{12}:imported-model/[a-z0-9]{12}")
_RULES = ChatRules(limits=("max_tokens", "max_completion_tokens"), paired_tools=False)


async def frames(
    pieces: AsyncGenerator[Piece, None], request: GenerationRequest, started: float
) -> AsyncGenerator[bytes, None]:
    """Yield the chunks, each as an event. The last one has the tokens used, and what Bedrock measured."""
    first: float | None = None
    chunks = ChatChunks(request.model_id, IMPORTED_MODEL)
    async with aclosing(pieces):
        async for piece in pieces:
            for chunk in chunks.of(piece):
                first = first or time.monotonic()
                if "usage" in chunk:
                    chunk["amazon-bedrock-invocationMetrics"] = invocation_metrics(
                        chunk["usage"]["prompt_tokens"],
                        chunk["usage"]["completion_tokens"],
                        latency_ms=_milliseconds(started, time.monotonic()),
                        first_byte_ms=_milliseconds(started, first),
                    )
                yield chunk_message(json.dumps(chunk, ensure_ascii=False).encode())


MALFORMED_CHUNK = chunk_message(b'{"object": "chat.completion.chunk", "choices": [{"index": 0, "del')


async def complete(
    pieces: AsyncGenerator[Piece, None], request: GenerationRequest, started: float
) -> tuple[Json, dict[str, str]]:
    """Return the chat.completion, and the headers that Bedrock adds."""
    chunks = ChatChunks(request.model_id, IMPORTED_MODEL)
    answer = render_complete([chunk async for piece in pieces for chunk in chunks.of(piece)])
    usage = answer["usage"]
    return answer, {
        "X-Amzn-Bedrock-Input-Token-Count": str(usage["prompt_tokens"]),
        "X-Amzn-Bedrock-Output-Token-Count": str(usage["completion_tokens"]),
        "X-Amzn-Bedrock-Invocation-Latency": str(_milliseconds(started, time.monotonic())),
    }


def _milliseconds(start: float, end: float) -> int:
    return round((end - start) * 1000)
