"""An answer in the format of OpenAI's chat completions: the chunks of a stream, and the whole that they add up to."""

import time
import uuid
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Literal

from pulumi_llm_local.upstreams.model import (
    ConverseCall,
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


@dataclass(frozen=True)
class ChatStyle:
    """How one server answers.

    `reasoning` are the fields in which the reasoning stands; with none it is hidden, and only its tokens are told. `usage`
    says the tokens used; its second argument is how many of them were reasoning. `usage_chunk`: where a stream says them: in a
    chunk of its own if the request wants it, or always in the last chunk of the answer. `tells_stop`: a choice names the stop
    sequence that was met.
    """

    reasoning: tuple[str, ...]
    tool_call_prefix: str
    usage: Callable[[Finish, int], Json]
    usage_chunk: Literal["own", "last"] = "own"
    tells_stop: bool = False


async def chunks(
    pieces: AsyncGenerator[Piece | None, None], call: ConverseCall, style: ChatStyle, *, include_usage: bool
) -> AsyncGenerator[Json | None, None]:
    """The objects of type chat.completion.chunk. A None among the pieces (nothing has come yet) is passed on."""
    base: Json = {
        "id": f"chatcmpl-{uuid.uuid4().hex}",
        "object": "chat.completion.chunk",
        "created": int(time.time()),
        "model": call.model_id,
    }
    shown = {"usage": None} if include_usage and style.usage_chunk == "own" else {}
    begun, reasoning, calls = False, 0, -1
    async with aclosing(pieces):
        async for piece in pieces:
            if piece is None:
                yield None
                continue
            if not begun:
                begun = True
                yield {**base, "choices": [_choice({"role": "assistant", "content": ""})], **shown}
            if isinstance(piece, Finish):
                usage = style.usage(piece, reasoning)
                last = _choice({}, _FINISH_REASONS[piece.stop_reason])
                if style.tells_stop:
                    last["stop_reason"] = piece.stop_sequence
                yield {**base, "choices": [last], **({"usage": usage} if style.usage_chunk == "last" else shown)}
                if shown:
                    yield {**base, "choices": [], "usage": usage}
                return
            reasoning += count_tokens(piece.text) if isinstance(piece, ReasoningDelta) else 0
            calls += isinstance(piece, ToolUseStart)
            delta = _delta(piece, calls, style)
            if delta:
                yield {**base, "choices": [_choice(delta)], **shown}


async def whole(pieces: AsyncGenerator[Piece | None, None], call: ConverseCall, style: ChatStyle) -> Json:
    """The chat.completion."""
    message: Json = {"role": "assistant", "content": None}
    answer: Json = {}
    async with aclosing(chunks(pieces, call, style, include_usage=True)) as stream:
        async for chunk in stream:
            if chunk is None:
                continue
            answer = {**answer, **{name: value for name, value in chunk.items() if name != "choices" or value}}
            for choice in chunk["choices"]:
                _extend(message, choice["delta"])
    last = {name: value for name, value in answer["choices"][0].items() if name != "delta"}
    usage = answer.pop("usage")
    return {**answer, "object": "chat.completion", "choices": [{**last, "message": message}], "usage": usage}


_FINISH_REASONS: dict[StopReason, str] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "tool_use": "tool_calls",
    "content_filtered": "content_filter",
}


def _choice(delta: Json, finish_reason: str | None = None) -> Json:
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}


def _delta(piece: Piece, index: int, style: ChatStyle) -> Json:
    """What the piece adds to the message; nothing where it is not shown."""
    match piece:
        case TextDelta():
            return {"content": piece.text}
        case ReasoningDelta():
            return dict.fromkeys(style.reasoning, piece.text)
        case ToolUseStart():
            id_ = style.tool_call_prefix + piece.id.removeprefix("tooluse_")
            function = {"name": piece.name, "arguments": ""}
            return {"tool_calls": [{"index": index, "id": id_, "type": "function", "function": function}]}
        case ToolUseDelta():
            return {"tool_calls": [{"index": index, "function": {"arguments": piece.input}}]}
        case SignatureDelta() | Finish():
            return {}


def _extend(message: Json, delta: Json) -> None:
    for name, value in delta.items():
        if name == "tool_calls":
            calls = message.setdefault("tool_calls", [])
            for call in value:
                if "id" in call:
                    calls.append({"id": call["id"], "type": "function", "function": dict(call["function"])})
                else:
                    calls[-1]["function"]["arguments"] += call["function"]["arguments"]
        elif name != "role" and value:
            message[name] = (message.get(name) or "") + value
