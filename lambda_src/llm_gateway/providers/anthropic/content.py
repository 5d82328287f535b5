"""The content of messages in Anthropic's Messages API.

https://docs.anthropic.com/en/docs/build-with-claude/vision, https://docs.anthropic.com/en/docs/build-with-claude/pdf-support
"""

import base64
import binascii
from collections.abc import Iterator
from typing import Any

from llm_gateway.call import ModelCall
from llm_gateway.errors import Problem, invalid_request
from llm_gateway.providers.exchange import NO_OUTPUT
from llm_gateway.request import Cache, Media, Message, ReasoningBlock, ToolUse

_IMAGES = ("image/jpeg", "image/png", "image/gif", "image/webp")
_PDF = "application/pdf"


def cache_control(cache: Cache) -> dict[str, Any]:
    """Return the field that marks a cache point, if there is one.

    https://platform.claude.com/docs/en/build-with-claude/prompt-caching
    """
    if not cache:
        return {}
    return {"cache_control": {"type": "ephemeral", "ttl": "1h"} if cache == "1h" else {"type": "ephemeral"}}


class ContentBlocks:
    """Makes the blocks of the messages of one request."""

    def __init__(self, call: ModelCall) -> None:
        self._with_reasoning = "reasoning_content" in call.target.accepts

    def of(self, message: Message) -> Iterator[dict[str, Any]]:
        blocks = list(self._blocks(message))
        if message.cache and blocks and not blocks[-1]["type"].endswith("thinking"):  # which cannot be marked
            blocks[-1] |= cache_control(message.cache)
        return iter(blocks)

    def _blocks(self, message: Message) -> Iterator[dict[str, Any]]:
        if message.role == "tool":
            content = list(_parts(message)) if message.parts else message.text if message.text.strip() else ""
            if message.failed and not content:  # Anthropic refuses an error that says nothing
                content = NO_OUTPUT
            result = {"type": "tool_result", "tool_use_id": message.tool_call_id, "content": content}
            yield {**result, "is_error": True} if message.failed else result
            return
        if message.order and self._with_reasoning:
            for part in message.order:
                if isinstance(part, int):
                    yield _call(message.tool_calls[part])
                elif isinstance(part, ReasoningBlock):
                    yield _thinking(part)
                elif part.strip():
                    yield {"type": "text", "text": part}
            return
        if self._with_reasoning:
            yield from (_thinking(block) for block in message.reasoning_blocks if block.signature or block.data)
        yield from _parts(message)
        yield from map(_call, message.tool_calls)


def _parts(message: Message) -> Iterator[dict[str, Any]]:
    for part in message.parts or (message.text,):
        if isinstance(part, Media):
            yield _media(part, message)
        elif part.strip():
            yield {"type": "text", "text": part}


def _media(media: Media, message: Message) -> dict[str, Any]:
    block: dict[str, Any] = {"type": media.kind, "source": _source(media, message)}
    return {**block, "title": media.name} if media.kind == "document" and media.name else block


def _source(media: Media, message: Message) -> dict[str, Any]:
    if media.url:
        return {"type": "url", "url": media.url}
    media_type = "image/jpeg" if media.media_type == "image/jpg" else media.media_type
    if media_type in _IMAGES if media.kind == "image" else media_type == _PDF:
        return {"type": "base64", "media_type": media_type, "data": media.data}
    if media.kind == "document" and media_type.startswith("text/"):
        try:
            return {"type": "text", "media_type": "text/plain", "data": base64.b64decode(media.data).decode()}
        except (binascii.Error, UnicodeDecodeError):
            raise invalid_request([Problem(message.place, f"the document {media.name!r} must be a text in UTF-8")]) from None
    known = ", ".join(_IMAGES) if media.kind == "image" else f"{_PDF} or a text"
    raise invalid_request([Problem(message.place, f"{media.media_type!r} is not possible with this model; send {known}")])


def _call(use: ToolUse) -> dict[str, Any]:
    return {"type": "tool_use", "id": use.id, "name": use.name, "input": use.arguments}


def _thinking(block: ReasoningBlock) -> dict[str, Any]:
    if block.data:
        return {"type": "redacted_thinking", "data": block.data}
    return {"type": "thinking", "thinking": block.text, "signature": block.signature}
