"""Carries signed reasoning through the field `encrypted_content` of a reasoning item, which callers send back as it is."""

import base64
from collections.abc import Sequence

import msgspec

from llm_functions.api_formats.fields import Fields
from llm_gateway.request import ReasoningBlock

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(tuple[ReasoningBlock, ...]).decode


def sealed(blocks: Sequence[ReasoningBlock]) -> str | None:
    """Return the blocks as text; None if none of them is signed."""
    if not any(block.signature or block.data for block in blocks):
        return None
    return base64.b64encode(_encode(blocks)).decode()


def unsealed(fields: Fields, name: str) -> tuple[ReasoningBlock, ...]:
    """Return the blocks in a field's text. One of another service's holds none of ours."""
    try:
        text = base64.b64decode(fields.string(name) or "", validate=True)
    except ValueError:
        return ()
    if not fields.count_values(name, text):
        return ()
    try:
        return _decode(text)
    except (msgspec.DecodeError, RecursionError):
        return ()
