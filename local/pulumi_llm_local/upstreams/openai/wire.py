"""OpenAI's chat completions on the wire, as OpenAI, DeepSeek and vLLM send them: chunks, complete answers, errors, SSE frames.

https://platform.openai.com/docs/api-reference/chat, https://api-docs.deepseek.com/api/create-chat-completion and
https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html.
"""

import json
import re
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from pulumi_llm_local.upstreams.model import (
    Finish,
    Json,
    Piece,
    ReasoningDelta,
    SignatureDelta,
    StopReason,
    TextDelta,
    ToolUseDelta,
    ToolUseStart,
)
from pulumi_llm_local.upstreams.tokens import count_tokens

# vllm-old is vLLM up to 0.9: its errors are flat, and only reasoning_content has the reasoning.
Flavour = Literal["openai", "deepseek", "vllm", "vllm-old"]

# Frames of a stream.

EVENT_STREAM = "text/event-stream; charset=utf-8"
KEEP_ALIVE = b": keep-alive\n\n"


def frame(document: Json) -> bytes:
    """Return one Server-Sent Event."""
    return data_frame(json.dumps(document, ensure_ascii=False).encode())


def data_frame(data: bytes) -> bytes:
    return b"data: %s\n\n" % data


DONE = data_frame(b"[DONE]")


# Answers.


@dataclass(frozen=True)
class ChatStyle:
    """How one server answers.

    Attributes:
        reasoning: The fields with the reasoning. Without any it is hidden, and only its tokens are counted.
        tool_call_prefix: How the id of a tool call begins.
        usage: Returns the usage from the end of the answer and the number of reasoning tokens.
        usage_chunk: Where a stream tells the usage: in a chunk of its own if the request asks for it, or always in the last.
        tells_stop: A choice names the stop sequence that was found.
    """

    reasoning: tuple[str, ...]
    tool_call_prefix: str
    usage: Callable[[Finish, int], Json]
    usage_chunk: Literal["own", "last"] = "own"
    tells_stop: bool = False


def _totals(finish: Finish, reasoning_tokens: int) -> Json:
    """Return the usage that every server tells."""
    return {
        "prompt_tokens": finish.input_tokens,
        "completion_tokens": finish.output_tokens,
        "total_tokens": finish.input_tokens + finish.output_tokens,
    }


def _openai_usage(finish: Finish, reasoning_tokens: int) -> Json:
    return {
        **_totals(finish, reasoning_tokens),
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": reasoning_tokens,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _deepseek_usage(finish: Finish, reasoning_tokens: int) -> Json:
    return {
        **_totals(finish, reasoning_tokens),
        "prompt_tokens_details": {"cached_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": reasoning_tokens},
        "prompt_cache_hit_tokens": 0,
        "prompt_cache_miss_tokens": finish.input_tokens,
    }


def _vllm_usage(finish: Finish, reasoning_tokens: int) -> Json:
    return {**_totals(finish, reasoning_tokens), "prompt_tokens_details": None}


STYLES: dict[Flavour, ChatStyle] = {
    "openai": ChatStyle((), "call_", _openai_usage),
    "deepseek": ChatStyle(("reasoning_content",), "call_00_", _deepseek_usage, usage_chunk="last"),
    "vllm": ChatStyle(("reasoning",), "chatcmpl-tool-", _vllm_usage, tells_stop=True),
    "vllm-old": ChatStyle(("reasoning_content",), "chatcmpl-tool-", _vllm_usage, tells_stop=True),
}
# A model imported to Bedrock: its server names the fields of a chat completion as vLLM does.
IMPORTED_MODEL = ChatStyle(("reasoning_content",), "chatcmpl-tool-", _totals, usage_chunk="last", tells_stop=True)


class ChatChunks:
    """Turns the pieces of one answer into the chunks of its stream.

    Args:
        model: The name of the model, as the answer tells it.
        style: How the server answers.
        include_usage: The request asks for the usage in a chunk of its own.
        top_logprobs: The log probabilities that the request asks for: of so many other tokens; None: of none.
    """

    def __init__(self, model: str, style: ChatStyle, *, include_usage: bool = False, top_logprobs: int | None = None) -> None:
        self._style = style
        self._base: Json = {
            "id": f"chatcmpl-{uuid.uuid4().hex}",
            "object": "chat.completion.chunk",
            "created": int(time.time()),
            "model": model,
            "system_fingerprint": None,
        }
        self._own_usage = include_usage and style.usage_chunk == "own"
        self._top_logprobs = top_logprobs
        self._begun = False
        self._reasoning_tokens = 0
        self._tool_calls = 0

    def of(self, piece: Piece) -> Iterator[Json]:
        """Yield the chunks of the next piece."""
        if not self._begun:
            self._begun = True
            yield self.chunk({"role": "assistant", "content": "", "refusal": None})
        match piece:
            case Finish():
                yield from self.ending(piece)
            case ReasoningDelta():
                self._reasoning_tokens += count_tokens(piece.text)
                if self._style.reasoning:
                    yield self.chunk({**dict.fromkeys(self._style.reasoning, piece.text), "content": None})
            case TextDelta():
                told = None if self._top_logprobs is None else _logprobs(piece.text, self._top_logprobs)
                yield self.chunk({"content": piece.text}, logprobs=told)
            case ToolUseStart():
                id_ = self._style.tool_call_prefix + piece.id.removeprefix("tooluse_")
                function = {"name": piece.name, "arguments": ""}
                index = self._tool_calls
                self._tool_calls += 1
                yield self.chunk({"tool_calls": [{"index": index, "id": id_, "type": "function", "function": function}]})
            case ToolUseDelta():
                yield self.chunk({"tool_calls": [{"index": self._tool_calls - 1, "function": {"arguments": piece.input}}]})
            case SignatureDelta():
                pass

    def ending(self, finish: Finish) -> Iterator[Json]:
        """Yield the last chunks: the finish_reason, and the usage."""
        usage = self._style.usage(finish, self._reasoning_tokens)
        last = self.chunk({}, finish_reason=_FINISH_REASONS[finish.stop_reason])
        if self._style.tells_stop:
            last["choices"][0]["stop_reason"] = finish.stop_sequence
        yield {**last, "usage": usage} if self._style.usage_chunk == "last" else last
        if self._own_usage:
            yield {**self._base, "choices": [], "usage": usage}

    def chunk(self, delta: Json, finish_reason: str | None = None, logprobs: Json | None = None) -> Json:
        choice = {"index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": finish_reason}
        return {**self._base, "choices": [choice], **({"usage": None} if self._own_usage else {})}


def _logprobs(text: str, most: int) -> Json:
    """Return the log probabilities of a text, each word of which is a token here.

    https://platform.openai.com/docs/api-reference/chat/object#chat-object-choices-logprobs
    """

    def of(token: str, place: int) -> Json:
        return {"token": token, "logprob": -0.25 * (place + 1), "bytes": list(token.encode())}

    tokens = re.findall(r"\s*\S+|\s+$", text)
    content = [{**of(token, 0), "top_logprobs": [of(token + "?" * i, i) for i in range(most)]} for token in tokens]
    return {"content": content, "refusal": None}


_FINISH_REASONS: dict[StopReason, str] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "tool_use": "tool_calls",
    "content_filtered": "content_filter",
}


def render_complete(chunks: Iterable[Json]) -> Json:
    """Put the chat.completion together from all chunks of a stream with its usage."""
    message: Json = {"role": "assistant", "content": "", "refusal": None}
    answer: Json = {}
    logprobs: list[Any] = []
    for chunk in chunks:
        answer |= {name: value for name, value in chunk.items() if name != "choices" or value}
        for choice in chunk["choices"]:
            _extend(message, choice["delta"])
            told: Json = choice["logprobs"] or {}
            logprobs += told.get("content") or []
    if "tool_calls" in message and not message["content"]:
        message["content"] = None
    last = {name: value for name, value in answer["choices"][0].items() if name != "delta"}
    last["logprobs"] = {"content": logprobs, "refusal": None} if logprobs else None
    return {**answer, "object": "chat.completion", "choices": [{**last, "message": message}]}


def _extend(message: Json, delta: Json) -> None:
    for name, value in delta.items():
        if name == "tool_calls":
            calls: list[Any] = message.setdefault("tool_calls", [])
            for call in value:
                if "id" in call:
                    calls.append({"id": call["id"], "type": "function", "function": dict(call["function"])})
                else:
                    calls[-1]["function"]["arguments"] += call["function"]["arguments"]
        elif name != "role" and value:
            message[name] = (message.get(name) or "") + value
