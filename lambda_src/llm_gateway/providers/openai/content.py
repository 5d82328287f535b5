"""The parts of a message in OpenAI's chat format.

https://platform.openai.com/docs/guides/images-vision, https://platform.openai.com/docs/guides/pdf-files
"""

import base64
import binascii
from collections.abc import Sequence
from typing import Any

from llm_gateway.errors import Problem, invalid_request
from llm_gateway.request import Media, Message


def content(message: Message) -> str | list[dict[str, Any]]:
    """Return the content of a message: its text, or parts if it has images or documents."""
    return [_part(part, message) for part in message.parts if part] if _has_media(message) else message.text


def media_of_results(messages: Sequence[Message]) -> dict[str, Any] | None:
    """Return a message of the user with the images and documents of tools' results, whose own messages take only text."""
    parts: list[dict[str, Any]] = []
    for message in messages:
        if _has_media(message):
            parts.append({"type": "text", "text": f"What belongs to the result of the call {message.tool_call_id}:"})
            parts += [_part(part, message) for part in message.parts if isinstance(part, Media)]
    return {"role": "user", "content": parts} if parts else None


def _has_media(message: Message) -> bool:
    return any(isinstance(part, Media) for part in message.parts)


def _part(part: str | Media, message: Message) -> dict[str, Any]:
    if isinstance(part, str):
        return {"type": "text", "text": part}
    if part.kind == "image":
        image = {"url": part.url or f"data:{part.media_type};base64,{part.data}"}
        return {"type": "image_url", "image_url": {**image, "detail": part.detail} if part.detail else image}
    if part.url:
        raise invalid_request([Problem(message.place, "the address of a document is not possible here; send it as data")])
    if part.media_type.startswith("text/"):  # files are PDF there; a text is one without a file
        try:
            return {"type": "text", "text": f"{part.name}\n{base64.b64decode(part.data).decode()}".lstrip()}
        except (binascii.Error, UnicodeDecodeError):
            raise invalid_request([Problem(message.place, f"the document {part.name!r} must be a text in UTF-8")]) from None
    file = {"filename": part.name or "document.pdf", "file_data": f"data:{part.media_type};base64,{part.data}"}
    return {"type": "file", "file": file}
