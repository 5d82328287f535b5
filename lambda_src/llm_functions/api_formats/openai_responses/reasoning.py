"""Carries signed reasoning through the field `encrypted_content` of a reasoning item, which callers send back as it is."""

import base64
from collections.abc import Sequence

import msgspec

from llm_gateway.request import ReasoningBlock

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(tuple[ReasoningBlock, ...]).decode


def sealed(blocks: Sequence[ReasoningBlock]) -> str | None:
    """Return the blocks as text; None if none of them is signed."""
    if not any(block.signature or block.data for block in blocks):
        return None
    return base64.b64encode(_encode(blocks)).decode()


def unsealed(text: str) -> tuple[ReasoningBlock, ...]:
    """Return the blocks in a text. One of another service's holds none of ours."""
    try:
        return _decode(base64.b64decode(text, validate=True))
    except (ValueError, msgspec.DecodeError):
        return ()
