"""Bedrock's imported models, asked by InvokeModel in the format of OpenAI's chat completions.

Bedrock takes this format for models imported since November 2025
(https://docs.aws.amazon.com/bedrock/latest/userguide/invoke-imported-model.html). The other formats in which an imported model
may be asked (a `prompt`) are not played.
"""

import base64
import json
import re
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing

from pulumi_llm_local.upstreams.bedrock.wire import event_message
from pulumi_llm_local.upstreams.model import ConverseCall, Finish, Json, ModelTraits, Piece, validation_error
from pulumi_llm_local.upstreams.openai.answer import ChatStyle, chunks, whole
from pulumi_llm_local.upstreams.openai.request import ChatError, ChatRules, read_chat, read_document


def read_invoke(model_id: str, body: bytes, models: Mapping[str, ModelTraits]) -> ConverseCall:
    """Raises ValidationException."""
    if model_id not in models:
        raise validation_error("The provided model identifier is invalid.")
    if _IMPORTED.fullmatch(model_id) is None:
        raise validation_error(
            f"The local Bedrock plays InvokeModel for imported models alone (arn:aws:bedrock:…:imported-model/…), not for "
            f"{model_id}. Use Converse."
        )
    try:
        return read_chat(read_document(body), model_id, models[model_id], _RULES).call
    except ChatError as error:
        raise validation_error(error.message) from error


_IMPORTED = re.compile(r"arn:aws[a-z-]*:bedrock:[a-z0-9-]+:\d{12}:imported-model/[a-z0-9]{12}")
_RULES = ChatRules(limits=("max_tokens", "max_completion_tokens"), paired_tools=False)


async def invoke_frames(pieces: AsyncGenerator[Piece, None], call: ConverseCall, started: float) -> AsyncGenerator[bytes, None]:
    """The chunks, each an event; the last says the tokens used, and what Bedrock measured."""
    first: float | None = None
    async with aclosing(chunks(pieces, call, _STYLE, include_usage=True)) as stream:
        async for chunk in stream:
            if chunk is None:
                continue
            first = first or time.monotonic()
            if "usage" in chunk:
                usage = chunk["usage"]
                chunk["amazon-bedrock-invocationMetrics"] = {
                    "inputTokenCount": usage["prompt_tokens"],
                    "outputTokenCount": usage["completion_tokens"],
                    "invocationLatency": _milliseconds(started),
                    "firstByteLatency": round((first - started) * 1000),
                }
            yield _chunk(json.dumps(chunk, ensure_ascii=False))


def _chunk(text: str) -> bytes:
    return event_message("event", "chunk", {"bytes": base64.b64encode(text.encode()).decode()})


MALFORMED_CHUNK = _chunk('{"object": "chat.completion.chunk", "choices": [{"index": 0, "del')


async def invoke_whole(pieces: AsyncGenerator[Piece, None], call: ConverseCall, started: float) -> tuple[Json, dict[str, str]]:
    """The chat.completion, and the headers that Bedrock adds."""
    answer = await whole(pieces, call, _STYLE)
    usage = answer["usage"]
    return answer, {
        "X-Amzn-Bedrock-Input-Token-Count": str(usage["prompt_tokens"]),
        "X-Amzn-Bedrock-Output-Token-Count": str(usage["completion_tokens"]),
        "X-Amzn-Bedrock-Invocation-Latency": str(_milliseconds(started)),
    }


def _milliseconds(started: float) -> int:
    return round((time.monotonic() - started) * 1000)


def _usage(finish: Finish, reasoning: int) -> Json:
    return {
        "prompt_tokens": finish.input_tokens,
        "completion_tokens": finish.output_tokens,
        "total_tokens": finish.input_tokens + finish.output_tokens,
    }


# What serves an imported model names the fields of a chat completion as vLLM does.
_STYLE = ChatStyle(("reasoning_content",), "chatcmpl-tool-", _usage, usage_chunk="last", tells_stop=True)
