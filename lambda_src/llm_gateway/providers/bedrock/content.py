"""The content of Converse's messages.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ContentBlock.html
"""

import re
from collections.abc import Iterator
from typing import Any

from llm_gateway.call import ModelCall, is_claude, is_nova
from llm_gateway.errors import Problem, invalid_request
from llm_gateway.providers.exchange import NO_OUTPUT
from llm_gateway.request import Cache, Media, Message, ReasoningBlock, ToolUse

# https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ImageBlock.html
_IMAGES = {"image/png": "png", "image/jpeg": "jpeg", "image/jpg": "jpeg", "image/gif": "gif", "image/webp": "webp"}
# https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_DocumentBlock.html
_DOCUMENTS = {
    "application/pdf": "pdf",
    "text/csv": "csv",
    "application/msword": "doc",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.ms-excel": "xls",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "text/html": "html",
    "text/plain": "txt",
    "text/markdown": "md",
}
# What the name of a document may not have, besides more than one space in a row.
_NOT_IN_A_NAME = re.compile(r"[^a-zA-Z0-9 ()\[\]-]+")


# https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_CachePointBlock.html
def cache_point(cache: Cache) -> dict[str, Any]:
    return {"cachePoint": {"type": "default", "ttl": "1h"} if cache == "1h" else {"type": "default"}}


class ContentBlocks:
    """Makes the blocks of the messages of one request. Its documents have different names, as Bedrock requires."""

    def __init__(self, call: ModelCall) -> None:
        self._with_reasoning = "reasoning_content" in call.target.accepts
        # Only Claude and Nova take it: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ToolResultBlock.html
        self._with_status = is_claude(call.target) or is_nova(call.target)
        self._names: set[str] = set()

    def of(self, message: Message) -> Iterator[dict[str, Any]]:
        last: dict[str, Any] = {}
        for last in self._blocks(message):
            yield last
        if message.cache and last and "reasoningContent" not in last:  # after which Bedrock refuses it
            yield cache_point(message.cache)

    def _blocks(self, message: Message) -> Iterator[dict[str, Any]]:
        if message.role == "tool":
            content = list(self._parts(message)) or [{"text": NO_OUTPUT}]
            result: dict[str, Any] = {"toolUseId": message.tool_call_id, "content": content}
            if message.failed and self._with_status:
                result["status"] = "error"
            yield {"toolResult": result}
            return
        if message.order and self._with_reasoning:
            for part in message.order:
                if isinstance(part, int):
                    yield _call(message.tool_calls[part])
                elif isinstance(part, ReasoningBlock):
                    yield _reasoning(part)
                elif part.strip():
                    yield {"text": part}
        else:
            if self._with_reasoning:
                yield from (_reasoning(block) for block in message.reasoning_blocks if block.signature or block.data)
            yield from self._parts(message)
            yield from map(_call, message.tool_calls)

    def _parts(self, message: Message) -> Iterator[dict[str, Any]]:
        for part in message.parts or (message.text,):
            if isinstance(part, Media):
                yield self._media(part, message)
            elif part.strip():
                yield {"text": part}
        if not message.text.strip() and any(isinstance(part, Media) and part.kind == "document" for part in message.parts):
            yield {"text": "The document."}  # a message with a document must have a text

    def _media(self, media: Media, message: Message) -> dict[str, Any]:
        formats = _IMAGES if media.kind == "image" else _DOCUMENTS
        format_ = formats.get(media.media_type)
        if media.url or format_ is None:
            known = ", ".join(dict.fromkeys(formats.values()))
            reason = f"an address of an {media.kind} is not" if media.url else f"{media.media_type!r} is not"
            raise invalid_request([Problem(message.place, f"{reason} possible with this model; send one of {known} as data")])
        source = {"bytes": media.data}
        if media.kind == "image":
            return {"image": {"format": format_, "source": source}}
        return {"document": {"format": format_, "name": self._name(media.name), "source": source}}

    def _name(self, file_name: str) -> str:
        stem = file_name.rsplit(".", 1)[0]
        name = " ".join(_NOT_IN_A_NAME.sub(" ", stem).split())[:190] or "document"
        number, base = 1, name
        while name in self._names:
            number += 1
            name = f"{base} {number}"
        self._names.add(name)
        return name


def _call(use: ToolUse) -> dict[str, Any]:
    return {"toolUse": {"toolUseId": use.id, "name": use.name, "input": use.arguments}}


def _reasoning(block: ReasoningBlock) -> dict[str, Any]:
    if block.data:
        return {"reasoningContent": {"redactedContent": block.data}}
    return {"reasoningContent": {"reasoningText": {"text": block.text, "signature": block.signature}}}
